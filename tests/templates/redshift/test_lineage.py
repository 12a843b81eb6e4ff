"""Lineage: what statements moved, read from their text within their sessions, and what views are made of."""

from __future__ import annotations

from datetime import timedelta

from tests.collected import Collected, Record
from tests.templates.redshift.breaking import broken, logged
from tests.templates.redshift.conftest import Templates
from tests.warehouses.redshift.shop import ANALYTICS, DEV, Shop

ORDERS = ("TABLE", DEV, "sales", "orders")
CUSTOMERS = ("TABLE", DEV, "sales", "customers")
FCT_ORDERS = ("TABLE", ANALYTICS, "marts", "fct_orders")
CLICKS = ("TABLE", DEV, "spectrum", "clicks")
LOADED = ("EXTERNAL", "s3", "lake", "s3://lake/orders/")
UNLOADED = ("EXTERNAL", "s3", "lake", "s3://lake/export/orders_")

NO_FULL_NAME = "name without a schema, which no table or several tables of that database have"

COPIED = "CREATE TABLE sales.copied AS SELECT order_id FROM returns"  # in a session whose search path is unknown

Edge = tuple[tuple[str, ...], tuple[str, ...]]

FROM_STATEMENTS: set[Edge] = {
    (LOADED, ORDERS),
    (ORDERS, UNLOADED),
    (ORDERS, ("TABLE", DEV, "sales", "order_items")),
    (ORDERS, FCT_ORDERS),  # through a temporary table, and across databases
    (CUSTOMERS, ("TABLE", ANALYTICS, "marts", "dim_customer")),
    (ORDERS, ("TABLE", DEV, "sales", "returns")),  # both named without a schema, after SET search_path
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
    """(column, source table, source column) of a destination."""
    (record,) = [each for each in records if asset(each["destination"])[1:] == destination]
    return {
        (column["name"], record["sources"][mapping["source"]]["name"], mapping["name"])
        for column in record["columns"]
        for mapping in column["sources"]
    }


def of_origin(collected: Collected, origin: str) -> list[Record]:
    return [record for record in collected.records if record["origin"] == origin]


def test_every_edge_is_found_and_no_other(templates: Templates) -> None:
    """Also none from a name that two schemas have, in a session whose search path nobody saw."""
    collected = templates.collect("lineage")
    found = edges(collected.records)
    assert set(found) == FROM_STATEMENTS | FROM_VIEWS
    assert len(found) == len(set(found))
    assert collected.skipped == {NO_FULL_NAME: 1}
    assert all(part for edge in found for reference in edge for part in reference)


def test_columns_follow_their_data(templates: Templates) -> None:
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


def test_it_says_how_it_knows(templates: Templates) -> None:
    collected = templates.collect("lineage")
    exact = {record["destination"]["name"] for record in of_origin(collected, "pg_depend")}
    assert exact == {"revenue", "daily_revenue", "orders_by_country"}
    assert {record["certainty"] for record in of_origin(collected, "pg_depend")} == {"exact"}
    read = {record["destination"]["name"] for record in of_origin(collected, "view_definition")}
    assert read == {"clicks_late", "best_customers"}
    assert {record["certainty"] for record in of_origin(collected, "query_text")} == {"parsed"}


def test_a_materialised_view_reads_what_its_text_says_and_not_the_table_of_its_rows(templates: Templates) -> None:
    """Redshift makes one a view of a table of its own, ``mv_tbl__<view>__<n>``, and PG_DEPEND knows only that."""
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


def test_it_arrives_in_monte_carlo(templates: Templates) -> None:
    templates.run("collect", "lineage").check()
    run = templates.run("push", "lineage").check()
    assert set(edges(templates.received(run, "lineage"))) == FROM_STATEMENTS | FROM_VIEWS


def test_one_command_collects_and_pushes_a_window(templates: Templates, shop: Shop) -> None:
    """Views are what they are; of the statements those of the window and of the six hours before it."""
    window = [(shop.now - timedelta(hours=hours)).isoformat() for hours in (3.5, 3)]
    run = templates.run("collect_and_push", "lineage", "--since", window[0], "--until", window[1]).check()
    found = set(edges(templates.received(run, "lineage")))
    assert found == FROM_STATEMENTS | FROM_VIEWS
    long_ago = shop.now - timedelta(hours=10)
    with logged(templates.server, COPIED, long_ago, "CTAS", has_text=True):
        collected = templates.collect("lineage", "--since", window[0], "--until", window[1])
    assert set(edges(collected.records)) == FROM_STATEMENTS | FROM_VIEWS


def test_a_window_knows_what_its_sessions_did_before(templates: Templates, shop: Shop) -> None:
    """It starts between the making of a temporary table and its use, and after SET search_path."""
    for after_five_hours in (timedelta(minutes=1, seconds=30), timedelta(minutes=4, seconds=30)):
        since = shop.now - timedelta(hours=5) + after_five_hours
        found = set(edges(templates.collect("lineage", "--since", since.isoformat()).records))
        assert (ORDERS, FCT_ORDERS) in found
        assert (ORDERS, ("TABLE", DEV, "sales", "returns")) in found


def test_a_name_completed_because_it_is_the_only_one_is_not_certain(templates: Templates, shop: Shop) -> None:
    with logged(templates.server, COPIED, shop.now - timedelta(hours=2), "CTAS", has_text=True):
        collected = templates.collect("lineage", "--include", "dev.sales.copied")
    assert edges(collected.records) == [(("TABLE", DEV, "sales", "returns"), ("TABLE", DEV, "sales", "copied"))]
    assert collected.records[0]["certainty"] == "partial"


def test_a_statement_of_an_unknown_sort_is_read(templates: Templates, shop: Shop) -> None:
    with logged(templates.server, COPIED, shop.now - timedelta(hours=2), None, has_text=True):
        collected = templates.collect("lineage", "--include", "dev.sales.copied")
    assert len(collected.records) == 1


def test_tables_that_cannot_be_listed_are_counted(templates: Templates) -> None:
    with broken(templates.server, "svv_all_tables"):
        collected = templates.collect("lineage", "--include", "analytics.*")
    assert collected.skipped["external tables not readable (svv_all_tables)"] == 2  # asked in dev: its own, the share's


def test_filters_choose_destinations_and_leave_their_sources(templates: Templates) -> None:
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


def test_a_role_without_rights_gets_its_views_and_hears_of_the_rest(templates: Templates) -> None:
    collected = templates.collect("lineage", user="monitor")
    assert set(edges(collected.records)) == FROM_VIEWS
    assert set(collected.skipped) == {
        "database dropped meanwhile or not authorised",
        "other users' queries not visible: this user has no SYSLOG ACCESS UNRESTRICTED",
    }
