"""Tests lineage from statements, parsed within their sessions, and from view definitions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.collected import Collected, Record
from tests.templates.redshift.breaking import broken, logged, logged_too
from tests.templates.redshift.conftest import Templates
from tests.warehouses.redshift.launch import User, literal
from tests.warehouses.redshift.shop import ANALYTICS, AUDITOR, DEV, LOADER, Shop
from tests.warehouses.redshift.truth import SEGMENT_LENGTH, Query

ORDERS = ("TABLE", DEV, "sales", "orders")
CUSTOMERS = ("TABLE", DEV, "sales", "customers")
FCT_ORDERS = ("TABLE", ANALYTICS, "marts", "fct_orders")
CLICKS = ("TABLE", DEV, "spectrum", "clicks")
LOADED = ("EXTERNAL", "s3", "lake", "s3://lake/orders/")
UNLOADED = ("EXTERNAL", "s3", "lake", "s3://lake/export/orders_")

DAILY_TOTALS = ("TABLE", ANALYTICS, "marts", "daily_totals")
RETURNS = ("TABLE", DEV, "sales", "returns")
ARCHIVE = ("TABLE", DEV, "archive", "orders")

MISSING_DESTINATION = "destination not in the catalog (renamed, dropped or temporary), or not visible to this user"
INCOMPLETE = "query text incomplete: rows are missing in sys_query_text"
TRUNCATED = "truncated statement"
NO_FULL_NAME = "unqualified name that matches no table, or several tables, in its database"

COPIED = "INSERT INTO sales.customers SELECT order_id FROM returns"  # in a session whose search path is unknown

Edge = tuple[tuple[str, ...], tuple[str, ...]]

FROM_STATEMENTS: set[Edge] = {
    (LOADED, ORDERS),
    (ORDERS, UNLOADED),
    (ORDERS, ("TABLE", DEV, "sales", "order_items")),
    (ORDERS, FCT_ORDERS),  # through a temporary table and across databases
    (CUSTOMERS, ("TABLE", ANALYTICS, "marts", "dim_customer")),
    (ORDERS, ("TABLE", DEV, "sales", "returns")),  # both names unqualified, after SET search_path
}
FROM_VIEWS: set[Edge] = {
    (FCT_ORDERS, ("VIEW", ANALYTICS, "marts", "revenue")),
    (ORDERS, ("VIEW", DEV, "sales", "daily_revenue")),
    (ORDERS, ("VIEW", DEV, "sales", "orders_by_country")),
    (CUSTOMERS, ("VIEW", DEV, "sales", "orders_by_country")),
    (CLICKS, ("VIEW", DEV, "sales", "clicks_late")),
    (ORDERS, ("VIEW", DEV, "sales", "best_customers")),
}


def asset(reference: Record) -> tuple[str, ...]:
    return tuple(reference[part] for part in ("type", "database", "schema", "name"))


def edges(records: list[Record]) -> list[Edge]:
    return [(asset(source), asset(record["destination"])) for record in records for source in record["sources"]]


def columns(records: list[Record], *destination: str) -> set[tuple[str, str, str]]:
    """(column, source table, source column) for a destination."""
    (record,) = [each for each in records if asset(each["destination"])[1:] == destination]
    return {
        (column["name"], record["sources"][mapping["source"]]["name"], mapping["name"])
        for column in record["columns"]
        for mapping in column["sources"]
    }


def of_origin(collected: Collected, origin: str) -> list[Record]:
    return [record for record in collected.records if record["origin"] == origin]


def test_exactly_the_expected_edges_are_found(templates: Templates) -> None:
    """A name that exists in two schemas gives no edge if the session's search path is unknown."""
    collected = templates.collect("lineage")
    found = edges(collected.records)
    assert set(found) == FROM_STATEMENTS | FROM_VIEWS
    assert len(found) == len(set(found))
    assert collected.skipped == {NO_FULL_NAME: 1}
    assert all(part for edge in found for reference in edge for part in reference)


def test_column_lineage_follows_the_data(templates: Templates) -> None:
    records = templates.collect("lineage").records
    assert columns(records, DEV, "sales", "order_items") == {
        ("order_id", "orders", "order_id"),
        ("price", "orders", "amount"),
    }
    assert ("amount", "orders", "amount") in columns(records, ANALYTICS, "marts", "fct_orders")
    assert columns(records, DEV, "sales", "orders_by_country") == {
        ("country", "customers", "country"),
        ("orders", "orders", "order_id"),
    }
    assert columns(records, DEV, "sales", "best_customers") == {
        ("customer_id", "orders", "customer_id"),
        ("spent", "orders", "amount"),
    }


def test_records_state_their_origin_and_certainty(templates: Templates) -> None:
    collected = templates.collect("lineage")
    exact = {record["destination"]["name"] for record in of_origin(collected, "pg_depend")}
    assert exact == {"revenue", "daily_revenue", "orders_by_country"}
    assert {record["certainty"] for record in of_origin(collected, "pg_depend")} == {"exact"}
    read = {record["destination"]["name"] for record in of_origin(collected, "view_definition")}
    assert read == {"clicks_late", "best_customers"}
    assert {record["certainty"] for record in of_origin(collected, "query_text")} == {"parsed"}


def test_a_materialized_view_reads_its_sources_and_not_its_backing_table(templates: Templates) -> None:
    """Redshift creates it as a view of a backing table, ``mv_tbl__<view>__<n>``, and PG_DEPEND has only that table."""
    templates.server.run(
        "CREATE TABLE sales.mv_tbl__best_customers__0 (customer_id integer, spent numeric); "
        "CREATE VIEW sales.best_customers AS SELECT customer_id, spent FROM sales.mv_tbl__best_customers__0"
    )
    try:
        collected = templates.collect("lineage", "--include", "dev.sales.best_customers")
    finally:
        templates.server.run("DROP VIEW sales.best_customers; DROP TABLE sales.mv_tbl__best_customers__0")
    assert edges(collected.records) == [(ORDERS, ("VIEW", DEV, "sales", "best_customers"))]
    assert collected.records[0]["origin"] == "view_definition"


# The statements that dbt runs for a table and for a view on Redshift:
# https://docs.getdbt.com/faqs/Models/sql-dialect
DBT_TABLE = (
    """/* {"app": "dbt"} */ create table "analytics"."marts"."daily_totals__dbt_tmp" as (
        select order_id, amount from "analytics"."marts"."fct_orders"
    );""",
    'alter table "analytics"."marts"."daily_totals" rename to "daily_totals__dbt_backup"',
    'alter table "analytics"."marts"."daily_totals__dbt_tmp" rename to "daily_totals"',
    'drop table if exists "analytics"."marts"."daily_totals__dbt_backup" cascade',
)
DBT_VIEW = (
    'create view "dev"."sales"."daily_revenue__dbt_tmp" as (select amount as revenue from "dev"."sales"."orders")',
    'alter table "dev"."sales"."daily_revenue" rename to "daily_revenue__dbt_backup"',
    'alter table "dev"."sales"."daily_revenue__dbt_tmp" rename to "daily_revenue"',
    'drop view if exists "dev"."sales"."daily_revenue__dbt_backup" cascade',
)


def session(
    shop: Shop, *texts: str, database: str = DEV, user: User = LOADER, hours_ago: float = 2, number: int = 1
) -> list[Query]:
    """Statements of one session, one second apart. All sessions have the same process ID."""
    start = shop.now - timedelta(hours=hours_ago)
    return [
        Query(80_000 + 100 * number + place, user, database, kind_of(text), text, start + timedelta(seconds=place),
              seconds=0.5, session_id=4711)
        for place, text in enumerate(texts)
    ]  # fmt: skip


def kind_of(text: str) -> str:
    return "SELECT" if text.lower().startswith("select") else "DDL"


def test_tables_that_dbt_builds_and_renames_have_the_sources_of_the_model(templates: Templates, shop: Shop) -> None:
    with logged_too(
        templates.server, *session(shop, *DBT_TABLE, database=ANALYTICS), *session(shop, *DBT_VIEW, number=2)
    ):
        collected = templates.collect("lineage")
        filtered = templates.collect("lineage", "--include", "dev.*")
    assert set(edges(collected.records)) == FROM_STATEMENTS | FROM_VIEWS | {(FCT_ORDERS, DAILY_TOTALS)}
    assert columns(collected.records, *DAILY_TOTALS[1:]) == {
        ("order_id", "fct_orders", "order_id"),
        ("amount", "fct_orders", "amount"),
    }
    assert collected.skipped == {NO_FULL_NAME: 1, MISSING_DESTINATION: 4}
    assert filtered.skipped == {NO_FULL_NAME: 1, MISSING_DESTINATION: 2}
    (view,) = [each for each in collected.records if each["destination"]["name"] == "daily_revenue"]
    assert (view["origin"], view["certainty"]) == ("pg_depend", "exact")


def test_names_are_spelled_as_in_the_catalog(templates: Templates, shop: Shop) -> None:
    """With enable_case_sensitive_identifier, names can have uppercase letters or differ only in case."""
    renamed = [text.replace('"analytics"."marts"', '"dev"."Mixed"').replace("fct_orders", "Both") for text in DBT_TABLE]
    insert = "INSERT INTO sales.returns (order_id) SELECT order_id FROM mixed.both"
    templates.server.run(
        "INSERT INTO testbed.svv_all_tables (database_name, schema_name, table_name, table_type) "
        "VALUES ('dev', 'Mixed', 'Both', 'TABLE'), ('dev', 'Mixed', 'daily_totals', 'TABLE'), "
        "('dev', 'mixed', 'both', 'TABLE')"
    )
    try:
        with logged_too(templates.server, *session(shop, *renamed, insert)):
            collected = templates.collect("lineage", "--include", "dev.mixed.*", "--include", "dev.sales.returns")
    finally:
        templates.server.run("DELETE FROM testbed.svv_all_tables WHERE schema_name ILIKE 'mixed'")
    found = edges(collected.records)
    assert [target for _, target in found if target[2] == "Mixed"] == [("TABLE", DEV, "Mixed", "daily_totals")]
    assert (("TABLE", DEV, "mixed", "both"), RETURNS) in found


def test_no_table_counts_as_dropped_if_not_all_tables_could_be_listed(templates: Templates, shop: Shop) -> None:
    with logged_too(templates.server, *session(shop, *DBT_VIEW)), broken(templates.server, "svv_all_tables"):
        collected = templates.collect("lineage", "--include", "dev.sales.daily_revenue__dbt_*")
    assert [each["destination"]["name"][15:] for each in collected.records] == ["dbt_backup", "dbt_tmp"]
    assert MISSING_DESTINATION not in collected.skipped


def test_a_search_path_of_several_schemas_is_searched_in_order(templates: Templates, shop: Shop) -> None:
    """Also after a long comment. ``$user`` is not a schema with that name here."""
    insert = "INSERT INTO returns (order_id) SELECT order_id FROM orders"
    for path, source in (("sales, archive", ORDERS), ("'$user', archive, \"sales\"", ARCHIVE)):
        with logged_too(templates.server, *session(shop, f"/* {'comment ' * 60} */ SET search_path TO {path}", insert)):
            collected = templates.collect("lineage", "--include", "dev.sales.returns")
        assert set(edges(collected.records)) == {(ORDERS, RETURNS), (source, RETURNS)}
        assert collected.records[0]["certainty"] == "parsed"


def test_a_missing_table_was_in_the_first_schema_of_the_search_path(templates: Templates, shop: Shop) -> None:
    texts = (
        "SET search_path TO scratch, marts",
        "CREATE TABLE staged AS SELECT order_id FROM daily_totals",
        "INSERT INTO fct_orders SELECT order_id FROM staged",
    )
    with logged_too(templates.server, *session(shop, *texts, database=ANALYTICS)):
        collected = templates.collect("lineage", "--include", "analytics.*")
    assert {edge for edge in edges(collected.records) if edge[1] == FCT_ORDERS} == {
        (ORDERS, FCT_ORDERS),
        (DAILY_TOTALS, FCT_ORDERS),
    }
    assert collected.trailer["skipped_examples"][MISSING_DESTINATION] == "analytics.scratch.staged"


def test_a_process_id_used_by_two_users_means_two_sessions(templates: Templates, shop: Shop) -> None:
    """A session uses neither the search path nor the temporary table of another user or another database."""
    first = session(
        shop, "SET search_path TO archive", "CREATE TEMP TABLE customers AS SELECT order_id FROM sales.orders"
    )
    insert = "INSERT INTO sales.returns (order_id) SELECT order_id FROM customers"
    path = "INSERT INTO sales.copied SELECT order_id FROM orders"
    second = session(shop, insert, path, user=AUDITOR, hours_ago=1, number=2)
    third = session(shop, insert, path, user=LOADER, database=ANALYTICS, hours_ago=1, number=3)
    with logged_too(templates.server, *first, *second, *third):
        collected = templates.collect("lineage", "--include", "*.sales.returns")
    found = edges(collected.records)
    assert (CUSTOMERS, RETURNS) in found
    assert ARCHIVE not in [source for source, _ in found]
    assert collected.skipped[NO_FULL_NAME] == 1 + 1 + 2


def test_a_long_select_with_into_after_the_first_text_segment_is_parsed(templates: Templates, shop: Shop) -> None:
    """The history's text of the query ends before INTO, and in spaces."""
    wide = ", ".join(f"order_id AS column_number_{number}" for number in range(115))
    text = f"SELECT {wide},{' ' * (SEGMENT_LENGTH - len(wide))}order_id INTO sales.returns FROM sales.customers"
    assert "into" not in text[:SEGMENT_LENGTH].lower()
    with logged_too(templates.server, *session(shop, text)):
        collected = templates.collect("lineage", "--include", "dev.sales.returns")
    assert (CUSTOMERS, RETURNS) in edges(collected.records)


def test_lineage_from_a_statement_with_a_missing_text_segment_is_not_certain(templates: Templates, shop: Shop) -> None:
    """The remaining text is also a valid statement, but with another meaning."""
    segments = (
        "INSERT INTO archive.orders (order_id) SELECT c.customer_id FROM sales.customers AS c",
        "JOIN sales.returns AS r ON r.order_id = c.customer_id",
        "WHERE c.customer_id > 0",
    )
    (query,) = session(shop, "".join(segment.ljust(SEGMENT_LENGTH) for segment in segments))
    with logged_too(templates.server, query):
        templates.server.run(f"DELETE FROM testbed.sys_query_text WHERE query_id = {query.query_id} AND sequence = 1")
        collected = templates.collect("lineage", "--include", "dev.archive.orders")
    assert [(edges([record]), record["certainty"]) for record in collected.records] == [
        ([(CUSTOMERS, ARCHIVE)], "partial")
    ]
    assert collected.skipped == {NO_FULL_NAME: 1, INCOMPLETE: 1, TRUNCATED: 1}


def test_a_qualified_table_can_be_named_like_a_system_view(templates: Templates, shop: Shop) -> None:
    """A name prefix identifies a system view only if the name is unqualified."""
    insert = "INSERT INTO sales.returns (order_id) SELECT order_id FROM sales.sys_orders"
    with logged_too(templates.server, *session(shop, insert)):
        collected = templates.collect("lineage", "--include", "dev.sales.returns")
    assert set(edges(collected.records)) == {(ORDERS, RETURNS), (("TABLE", DEV, "sales", "sys_orders"), RETURNS)}


def test_it_arrives_in_monte_carlo(templates: Templates) -> None:
    templates.run("collect", "lineage").check()
    run = templates.run("push", "lineage").check()
    assert set(edges(templates.received(run, "lineage"))) == FROM_STATEMENTS | FROM_VIEWS


def test_one_command_collects_and_pushes_a_window(templates: Templates, shop: Shop) -> None:
    """View lineage is independent of the window. Statements are read from the window and the six hours before it."""
    window = [(shop.now - timedelta(hours=hours)).isoformat() for hours in (3.5, 3)]
    run = templates.run("collect_and_push", "lineage", "--since", window[0], "--until", window[1]).check()
    found = set(edges(templates.received(run, "lineage")))
    assert found == FROM_STATEMENTS | FROM_VIEWS
    long_ago = shop.now - timedelta(hours=10)
    with logged(templates.server, COPIED, long_ago, "CTAS", has_text=True):
        collected = templates.collect("lineage", "--since", window[0], "--until", window[1])
    assert set(edges(collected.records)) == FROM_STATEMENTS | FROM_VIEWS


def test_a_window_includes_the_earlier_statements_of_its_sessions(templates: Templates, shop: Shop) -> None:
    """The window starts between the creation and the use of a temporary table, and after SET search_path."""
    for after_five_hours in (timedelta(minutes=1, seconds=30), timedelta(minutes=4, seconds=30)):
        since = shop.now - timedelta(hours=5) + after_five_hours
        found = set(edges(templates.collect("lineage", "--since", since.isoformat()).records))
        assert (ORDERS, FCT_ORDERS) in found
        assert (ORDERS, ("TABLE", DEV, "sales", "returns")) in found


def test_a_name_resolved_because_it_is_unique_is_not_certain(templates: Templates, shop: Shop) -> None:
    with logged(templates.server, COPIED, shop.now - timedelta(hours=2), "CTAS", has_text=True):
        collected = templates.collect("lineage", "--include", "dev.sales.customers")
    assert edges(collected.records) == [(RETURNS, CUSTOMERS)]
    assert collected.records[0]["certainty"] == "partial"


def test_a_statement_of_an_unknown_type_is_parsed(templates: Templates, shop: Shop) -> None:
    with logged(templates.server, COPIED, shop.now - timedelta(hours=2), None, has_text=True):
        collected = templates.collect("lineage", "--include", "dev.sales.customers")
    assert len(collected.records) == 1


def test_a_view_as_a_source_is_reported_as_a_view(templates: Templates, shop: Shop) -> None:
    """In three cases: the catalog knows the view, only a view's text names it, or a statement reads it."""
    (late,) = [relation for relation in shop.relations if relation.name == "clicks_late"]
    templates.server.run(
        "CREATE VIEW sales.best_days AS SELECT day FROM sales.daily_revenue; UPDATE testbed.view_texts SET definition "
        "= 'create view sales.clicks_late as select day from sales.daily_revenue with no schema binding;' "
        "WHERE viewname = 'clicks_late'; INSERT INTO testbed.svv_all_tables "
        "(database_name, schema_name, table_name, table_type) VALUES ('dev', 'sales', 'best_days', 'VIEW')"
    )
    insert = "INSERT INTO sales.returns (order_id) SELECT day FROM sales.best_days"
    try:
        with logged_too(templates.server, *session(shop, insert)):
            collected = templates.collect("lineage", "--include", "dev.sales.*")
    finally:
        templates.server.run(
            "DROP VIEW sales.best_days; DELETE FROM testbed.svv_all_tables WHERE table_name = 'best_days'; "
            f"UPDATE testbed.view_texts SET definition = {literal(late.definition)} WHERE viewname = 'clicks_late'"
        )
    daily, best = (("VIEW", DEV, "sales", name) for name in ("daily_revenue", "best_days"))
    found = set(edges(collected.records))
    assert {edge for edge in found if edge[0][0] == "VIEW"} == {
        (daily, best),
        (daily, ("VIEW", DEV, "sales", "clicks_late")),
        (best, RETURNS),
    }


def test_a_rename_that_cannot_be_parsed_is_counted(templates: Templates, shop: Shop) -> None:
    """The new name of its table is unknown. The other statements in the window are still read."""
    before = templates.collect("lineage")
    with logged_too(templates.server, *session(shop, "ALTER TABLE sales.orders RENAME TO")):
        collected = templates.collect("lineage")
    assert collected.records == before.records
    new = {reason: count for reason, count in collected.skipped.items() if before.skipped.get(reason) != count}
    assert list(new.values()) == [1]
    assert "RENAME TO" in collected.trailer["skipped_examples"][next(iter(new))]


def test_a_failed_statement_has_no_lineage(templates: Templates, shop: Shop) -> None:
    """The same applies to statements that were canceled or are still running."""
    queries = [
        replace(query, status=status)
        for number, status in enumerate(("failed", "canceled", "running"), start=1)
        for query in session(shop, "INSERT INTO sales.returns SELECT customer_id FROM sales.customers", number=number)
    ]
    with logged_too(templates.server, *queries):
        collected = templates.collect("lineage")
    assert set(edges(collected.records)) == FROM_STATEMENTS | FROM_VIEWS


def test_tables_that_cannot_be_listed_are_counted(templates: Templates) -> None:
    with broken(templates.server, "svv_all_tables"):
        collected = templates.collect("lineage", "--include", "analytics.*")
    # one for each query in dev: local tables and the share's tables
    assert collected.skipped["external tables not readable (svv_all_tables)"] == 2


def test_filters_select_destinations_and_keep_their_sources(templates: Templates) -> None:
    collected = templates.collect("lineage", "--include", "analytics.*")
    found = set(edges(collected.records))
    assert found == {edge for edge in FROM_STATEMENTS | FROM_VIEWS if edge[1][1] == ANALYTICS}
    assert (ORDERS, FCT_ORDERS) in found
    listed = templates.run("collect", "lineage", "--include", "analytics.*", "--list").check().stdout.splitlines()
    assert len(listed) == len(collected.records)


def test_star_columns_come_from_a_metadata_manifest(templates: Templates) -> None:
    templates.run("collect", "metadata").check()
    collected = templates.collect("lineage", "--schema-manifest", str(templates.manifest("metadata")))
    assert set(edges(collected.records)) == FROM_STATEMENTS | FROM_VIEWS


def test_a_role_without_grants_gets_its_views_and_a_count_of_the_rest(templates: Templates) -> None:
    collected = templates.collect("lineage", user="monitor")
    assert set(edges(collected.records)) == FROM_VIEWS
    assert set(collected.skipped) == {
        "database or project missing, dropped during the run, or not accessible",
        "other users' queries not visible: this user has no SYSLOG ACCESS UNRESTRICTED",
    }
