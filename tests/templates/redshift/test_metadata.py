"""Tests metadata: every visible table and view, as in the catalog, and a count of the objects that are not visible."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from tests.collected import Collected, Record
from tests.templates.redshift.breaking import broken
from tests.templates.redshift.conftest import Templates
from tests.warehouses.redshift.faults import Order
from tests.warehouses.redshift.filling import stamp
from tests.warehouses.redshift.launch import MAIN_DATABASE, literal
from tests.warehouses.redshift.shop import ANALYTICS, DEV, DOTTED, FINANCE, SHARE_NAME, SHARED, Shop
from tests.warehouses.redshift.truth import Relation

MEGABYTE = 2**20
NO_EXTERNAL_COLUMNS = "columns of external tables, and lengths in types, not readable (svv_all_columns)"
REFUSED = "database or project missing, dropped during the run, or not accessible"
NO_MODIFIED_TIME = "freshness not available: SHOW TABLES has no last_modified_time at this patch level"
NO_FRESHNESS = "freshness not readable (SHOW TABLES)"
HIDDEN_FRESHNESS = "freshness hidden: SHOW TABLES has only tables that this user may select from"
NO_VOLUME = "volume not readable (svv_table_info)"
UNKNOWN_VOLUME = "volume unknown: not in svv_table_info, and only a superuser can tell an empty table from a hidden one"


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def name_of(record: Record) -> str:
    return f"{record['database']}.{record['schema']}.{record['name']}"


def expected_volume(relation: Relation) -> Record:
    """The volume for a superuser: the visible rows if they are known. A table without blocks is empty."""
    if relation.kind not in ("table", "materialized view"):
        return {}
    if relation.size_mb is None:
        return {"row_count": 0, "byte_count": 0}
    rows = relation.visible_rows if relation.visible_rows is not None else relation.all_rows
    volume = {"row_count": rows, "byte_count": relation.size_mb * MEGABYTE}
    return {name: value for name, value in volume.items() if value is not None}


def expected(relation: Relation) -> Record:
    """The expected record without the text of a view, because PostgreSQL reformats it."""
    record: Record = {
        "type": "VIEW" if relation.is_view else "TABLE",
        "kind": relation.kind,
        "database": relation.database,
        "schema": relation.schema,
        "name": relation.name,
        "fields": [
            {"name": c.name, "type": c.full_type} | ({"description": c.comment} if c.comment else {})
            for c in relation.columns
        ],
        **expected_volume(relation),
    }
    if relation.comment:
        record["description"] = relation.comment
    if relation.created:
        record["created_on"] = iso(relation.created)
    if relation.modified:
        record["last_update_time"] = iso(relation.modified)
    if relation.kind.startswith("datashare"):
        record["tags"] = [{"key": "datashare", "value": SHARE_NAME}]
    if relation.location:
        record["tags"] = [{"key": "external_location", "value": relation.location}]
    return record


def test_a_superuser_gets_complete_metadata(templates: Templates, shop: Shop) -> None:
    collected = templates.collect("metadata")
    truth = {relation.full_name: relation for relation in shop.relations}
    records = {name_of(record): record for record in collected.records}
    assert len(records) == len(collected.records)
    assert records.keys() == truth.keys()
    for name, record in records.items():
        text = record.pop("view_query", None)
        assert record == expected(truth[name])
        assert (text is not None) == truth[name].is_view
        if text and truth[name].kind == "view":
            assert all(source in text for source in truth[name].sources)
        elif text:
            assert text == truth[name].definition
    assert collected.skipped == {}


def test_collected_records_arrive_in_monte_carlo(templates: Templates, shop: Shop) -> None:
    templates.run("collect", "metadata").check()
    run = templates.run("push", "metadata").check()
    events = [event["relational_asset"] for event in templates.received(run, "metadata")]
    arrived = {name_of(event["metadata"]): event for event in events}
    assert arrived.keys() == {relation.full_name for relation in shop.relations}
    orders = arrived["dev.sales.orders"]
    truth = shop.relation("sales", "orders")
    assert orders["volume"] == {"row_count": 120_000, "byte_count": 64 * MEGABYTE}
    assert orders["freshness"] == {"last_update_time": iso(truth.modified)} if truth.modified else False
    assert [field["type"] for field in orders["fields"]][2] == "numeric(18,2)"
    assert arrived["dev.sales.customers"]["volume"] == {"byte_count": 12 * MEGABYTE}  # no rows: no statistics
    assert "freshness" not in arrived["dev.sales.returns"]


def test_one_command_collects_and_pushes(templates: Templates, shop: Shop) -> None:
    run = templates.run("collect_and_push", "metadata", "--include", f"{DEV}.sales.*").check()
    arrived = [name_of(event["relational_asset"]["metadata"]) for event in templates.received(run, "metadata")]
    wanted = [relation.full_name for relation in shop.relations if relation.full_name.startswith("dev.sales.")]
    assert sorted(arrived) == sorted(wanted)


def test_freshness_and_volume_can_be_collected_alone(templates: Templates, shop: Shop) -> None:
    collected = templates.collect("metadata", "--only-freshness-and-volume")
    assert len(collected.records) == len(shop.relations)
    for record in collected.records:
        assert not record.keys() & {"fields", "description", "view_query", "tags"}
    orders = next(record for record in collected.records if name_of(record) == "dev.sales.orders")
    assert orders["row_count"] == 120_000
    assert orders["last_update_time"]


def test_databases_are_sorted_by_name(templates: Templates) -> None:
    """In the manifest and in a list, regardless of the order in which Redshift returns them."""
    wanted = [ANALYTICS, DEV, DOTTED, FINANCE, SHARED]
    records = templates.collect("metadata").records
    assert list(dict.fromkeys(record["database"] for record in records)) == wanted
    listed = templates.run("collect", "metadata", "--list").check().stdout.splitlines()
    assert [line.rsplit(" (", 1)[0] for line in listed] == [name_of(record) for record in records]


def test_filters_apply_and_list_shows_the_result(templates: Templates) -> None:
    arguments = ("--include", "dev.sales.*", "--include", "analytics.*", "--exclude", "*.customers")
    collected = templates.collect("metadata", *arguments)
    run = templates.run("collect", "metadata", *arguments, "--list").check()
    listed = [line.rsplit(" (", 1)[0] for line in run.stdout.splitlines()]
    names = [name_of(record) for record in collected.records]
    assert sorted(listed) == sorted(names)
    assert "dev.sales.orders" in names
    assert "analytics.marts.fct_orders" in names
    assert "dev.sales.customers" not in names
    assert not any(name.startswith(("finance.", "dev.public.")) for name in names)


def test_databases_outside_the_filters_are_not_connected_to(templates: Templates) -> None:
    before = len(templates.server.events("session"))
    templates.collect("metadata", "--include", "analytics.*")
    entered = [event["parameters"]["database"] for event in templates.server.events("session")[before:]]
    assert sorted(entered) == [ANALYTICS, MAIN_DATABASE]


def test_a_role_that_is_not_a_superuser_gets_its_tables_and_a_count_of_the_rest(
    templates: Templates, shop: Shop
) -> None:
    collected = templates.collect("metadata", user="monitor")
    granted = {"dev.sales", "dev.spectrum", "analytics.marts"}
    wanted = {r.full_name for r in shop.relations if f"{r.database}.{r.schema}" in granted}
    assert {name_of(record) for record in collected.records} == wanted
    assert collected.skipped == {REFUSED: 2, NO_VOLUME: 2}
    assert FINANCE in str(collected.trailer["skipped_examples"]) or DOTTED in str(collected.trailer["skipped_examples"])
    assert not any("row_count" in record for record in collected.records)  # unknown, not 0
    orders = next(record for record in collected.records if name_of(record) == "dev.sales.orders")
    assert orders["last_update_time"] == expected(shop.relation("sales", "orders"))["last_update_time"]


def test_without_superuser_an_empty_table_looks_like_a_hidden_one(templates: Templates) -> None:
    collected = templates.collect("metadata", "--include", "dev.*", user="auditor")
    returns = next(record for record in collected.records if record["name"] == "returns")
    assert "row_count" not in returns
    assert collected.skipped == {UNKNOWN_VOLUME: 1}
    orders = next(record for record in collected.records if name_of(record) == "dev.sales.orders")
    assert orders["row_count"] == 120_000


@pytest.mark.parametrize(
    ("view", "reason", "lost"),
    [
        ("svv_external_tables", "external locations not readable (svv_external_tables)", "external_location"),
        ("svv_all_columns", NO_EXTERNAL_COLUMNS, '"fields"'),
    ],
)
def test_a_failing_view_affects_only_its_own_columns(
    templates: Templates, shop: Shop, view: str, reason: str, lost: str
) -> None:
    whole = templates.collect("metadata", "--include", "dev.spectrum.*")
    assert lost in json.dumps(whole.records)
    with broken(templates.server, view):
        partial = templates.collect("metadata", "--include", "dev.spectrum.*")
    assert [name_of(record) for record in partial.records] == [name_of(record) for record in whole.records]
    assert lost not in json.dumps(partial.records)
    assert partial.skipped[reason] == 1
    assert "External Catalog Error" in partial.trailer["skipped_examples"][reason]


def test_a_failing_external_catalog_does_not_affect_local_tables(templates: Templates, shop: Shop) -> None:
    with broken(templates.server, "svv_all_tables", "svv_all_columns"):
        collected = templates.collect("metadata", "--include", "dev.*")
    truth = {r.full_name: r for r in shop.relations if r.database == DEV and r.kind != "external table"}
    assert {name_of(record) for record in collected.records} == truth.keys()
    assert collected.skipped["external tables not readable (svv_all_tables)"] == 1
    assert collected.skipped[NO_EXTERNAL_COLUMNS] > 1
    for record in collected.records:
        assert [each["name"] for each in record["fields"]] == [c.name for c in truth[name_of(record)].columns]


def test_a_run_that_could_not_read_anything_fails(templates: Templates) -> None:
    with broken(templates.server, "svv_all_tables", "svv_redshift_tables"):
        run = templates.run("collect", "metadata", "--include", "dev.*").check(4)
    assert "External Catalog Error" in run.stderr
    run = templates.run("collect", "metadata", "--include", "finance.*", user="monitor").check(3)
    assert "Cannot connect to any of the selected databases" in run.stderr
    assert templates.leftovers() == []


def test_unreadable_datashares_do_not_stop_the_run(templates: Templates, shop: Shop) -> None:
    with broken(templates.server, "svv_datashares"):
        collected = templates.collect("metadata")
    assert len(collected.records) == len(shop.relations)
    assert collected.skipped == {"datashare names not readable (svv_datashares)": 1}
    assert [record["tags"] for record in collected.records if record["database"] == SHARED] == [[{"key": "datashare"}]]


def test_a_database_that_accepts_no_connections_is_skipped(templates: Templates, shop: Shop) -> None:
    templates.server.run(f"ALTER DATABASE {ANALYTICS} ALLOW_CONNECTIONS false", "postgres")
    try:
        collected = templates.collect("metadata")
    finally:
        templates.server.run(f"ALTER DATABASE {ANALYTICS} ALLOW_CONNECTIONS true", "postgres")
    assert {name_of(record) for record in collected.records} == {
        relation.full_name for relation in shop.relations if relation.database != ANALYTICS
    }
    assert collected.skipped == {REFUSED: 1}


MIXED_CASE_SQL = """
INSERT INTO testbed.svv_all_tables (database_name, schema_name, table_name, table_type)
VALUES ('dev', 'MixedCase', 'Zählung', 'TABLE');
INSERT INTO testbed.show_tables (database_name, schema_name, table_name, table_subtype, last_modified_time)
VALUES ('dev', 'MixedCase', 'Zählung', 'REGULAR TABLE', TIMESTAMP '2026-01-01');
"""
NO_MIXED_CASE_SQL = """
DELETE FROM testbed.svv_all_tables WHERE schema_name = 'MixedCase';
DELETE FROM testbed.show_tables WHERE schema_name = 'MixedCase';
"""


def test_a_schema_with_uppercase_letters_has_freshness(templates: Templates) -> None:
    """Redshift also converts quoted names to lowercase, unless the session is case-sensitive."""
    templates.server.run(MIXED_CASE_SQL)
    try:
        collected = templates.collect("metadata", "--include", "dev.MixedCase.*")
    finally:
        templates.server.run(NO_MIXED_CASE_SQL)
    assert [record.get("last_update_time") for record in collected.records] == ["2026-01-01T00:00:00Z"]


REFRESHES_SQL = """
UPDATE testbed.show_tables SET last_modified_time = NULL WHERE table_name = 'best_customers';
INSERT INTO testbed.sys_mv_refresh_history (user_id, database_name, schema_name, mv_name, status, end_time)
SELECT 100, 'dev', 'sales', 'best_customers', v.status, TIMESTAMP '2026-01-01' + v.hours * INTERVAL '1 hour'
FROM (VALUES {rows}) AS v (status, hours);
"""
NO_REFRESHES_SQL = """
UPDATE testbed.show_tables SET last_modified_time = {modified} WHERE table_name = 'best_customers';
DELETE FROM testbed.sys_mv_refresh_history;
"""
# https://docs.aws.amazon.com/redshift/latest/dg/r_SVL_MV_REFRESH_STATUS.html
CHANGED_NOTHING = (
    "Refresh successfully updated MV incrementally. Stream returned no new data.",
    "Refresh successfully updated MV incrementally. All records received from the stream were skipped.",
    "MV was already updated",
    "Refresh failed. Internal error",
)


@pytest.mark.parametrize(
    "status",
    [
        "Refresh successfully updated MV incrementally",
        "Refresh successfully updated MV incrementally. Some stream records were skipped.",
        "Refresh successfully recomputed MV from scratch",
        "Refresh partially updated MV incrementally up to an active transaction",
    ],
    ids=["incremental", "some-records-skipped", "from-scratch", "partial"],
)
def test_a_materialized_view_is_as_fresh_as_its_last_refresh_with_new_data(
    templates: Templates, shop: Shop, status: str
) -> None:
    """SHOW TABLES has no time for it here. A streaming view without new data is refreshed, and logged, indefinitely."""
    rows = [(status, 1), *((each, hour) for hour, each in enumerate(CHANGED_NOTHING, start=2))]
    templates.server.run(REFRESHES_SQL.format(rows=", ".join(f"('{each}', {hour})" for each, hour in rows)))
    try:
        collected = templates.collect("metadata", "--include", "dev.sales.best_customers")
    finally:
        modified = literal(stamp(shop.relation("sales", "best_customers").modified))
        templates.server.run(NO_REFRESHES_SQL.format(modified=modified))
    assert [record.get("last_update_time") for record in collected.records] == ["2026-01-01T01:00:00Z"]


def test_show_tables_takes_precedence_over_refreshes_of_a_materialized_view(templates: Templates, shop: Shop) -> None:
    """Both have the time of the last change. If there are several refreshes, the end of the last one counts."""
    templates.server.run(
        "INSERT INTO testbed.sys_mv_refresh_history "
        "(user_id, database_name, schema_name, mv_name, status, start_time, end_time) "
        "SELECT 100, 'dev', 'sales', 'best_customers', 'Refresh successfully updated MV incrementally', v.day, "
        "v.day + INTERVAL '1 day' FROM (VALUES (TIMESTAMP '2026-02-01'), (TIMESTAMP '2026-01-01')) AS v (day)"
    )
    modified = literal(stamp(shop.relation("sales", "best_customers").modified))
    found = []
    try:
        for shown in (modified, "NULL"):
            templates.server.run(f"UPDATE testbed.show_tables SET last_modified_time = {shown} "
                                 "WHERE table_name = 'best_customers'")  # fmt: skip
            collected = templates.collect("metadata", "--include", "dev.sales.best_customers")
            found += [record["last_update_time"] for record in collected.records]
    finally:
        templates.server.run(NO_REFRESHES_SQL.format(modified=modified))
    assert found == [expected(shop.relation("sales", "best_customers"))["last_update_time"], "2026-02-02T00:00:00Z"]


# For tables that dev also has.
NAMESAKES_SQL = """
INSERT INTO testbed.svv_mv_info (database_name, schema_name, user_name, name, is_stale, state)
VALUES ('finance', 'sales', 'admin', 'orders', 'f', 1);
INSERT INTO testbed.svv_external_tables (redshift_database_name, schemaname, tablename, tabletype, location)
VALUES ('finance', 'sales', 'customers', 'TABLE', 's3://elsewhere/customers/');
INSERT INTO testbed.sys_mv_refresh_history (user_id, database_name, schema_name, mv_name, status, end_time)
VALUES (100, 'finance', 'sales', 'best_customers', 'Refresh successfully recomputed MV from scratch',
    TIMESTAMP '2026-02-02');
"""
NO_NAMESAKES_SQL = """
DELETE FROM testbed.svv_mv_info WHERE database_name = 'finance';
DELETE FROM testbed.svv_external_tables WHERE redshift_database_name = 'finance';
"""


def test_a_table_has_no_data_of_its_namesake_in_another_database(templates: Templates, shop: Shop) -> None:
    """The system views of materialized views, their refreshes and external tables contain all databases."""
    refreshed = "('Refresh successfully updated MV incrementally', 1)"
    templates.server.run(REFRESHES_SQL.format(rows=refreshed))
    try:
        alone = templates.collect("metadata", "--include", "dev.sales.*")
        templates.server.run(NAMESAKES_SQL)
        beside = templates.collect("metadata", "--include", "dev.sales.*")
    finally:
        modified = literal(stamp(shop.relation("sales", "best_customers").modified))
        templates.server.run(NO_REFRESHES_SQL.format(modified=modified) + NO_NAMESAKES_SQL)
    assert beside.records == alone.records
    told = {record["name"]: (record["kind"], record.get("last_update_time")) for record in beside.records}
    assert told["best_customers"] == ("materialized view", "2026-01-01T01:00:00Z")
    assert told["orders"][0] == "table"


def test_an_older_patch_level_without_modification_times_is_counted(templates: Templates) -> None:
    rename = "ALTER TABLE testbed.show_tables RENAME COLUMN {} TO {}"
    templates.server.run(rename.format("last_modified_time", "not_yet_offered"))
    try:
        collected = templates.collect("metadata", "--include", "dev.sales.*")
    finally:
        templates.server.run(rename.format("not_yet_offered", "last_modified_time"))
    assert collected.skipped == {NO_MODIFIED_TIME: 1}
    assert collected.trailer["skipped_examples"] == {NO_MODIFIED_TIME: "dev.sales"}
    assert not any("last_update_time" in record for record in collected.records)


BASE_TABLE_SQL = """
INSERT INTO testbed.svv_all_tables (database_name, schema_name, table_name, table_type, remarks)
VALUES ('dev', 'based', 'one', 'BASE TABLE', 'remark');
INSERT INTO testbed.svv_all_columns (database_name, schema_name, table_name, column_name, ordinal_position, data_type,
    remarks)
VALUES ('dev', 'based', 'one', 'c', 1, 'integer', 'remark of c');
INSERT INTO testbed.svv_table_info (database, schema, "table", size, tbl_rows, estimated_visible_rows)
VALUES ('dev', 'based', 'one', 3, 7, 5);
"""
NO_BASE_TABLE_SQL = """
DELETE FROM testbed.svv_all_tables WHERE schema_name = 'based';
DELETE FROM testbed.svv_all_columns WHERE schema_name = 'based';
DELETE FROM testbed.svv_table_info WHERE schema = 'based';
"""


def test_a_table_can_come_from_the_svv_views_alone(templates: Templates) -> None:
    """The documented type name is "base table". Remarks replace comments."""
    templates.server.run(BASE_TABLE_SQL)
    templates.server.order(Order("denied", "SHOW TABLES"), Order("denied", "pg_description"))
    try:
        collected = templates.collect("metadata", "--include", "dev.based.*")
    finally:
        templates.server.run(NO_BASE_TABLE_SQL)
    assert collected.records == [
        {
            "type": "TABLE",
            "kind": "table",
            "database": "dev",
            "schema": "based",
            "name": "one",
            "row_count": 5,
            "byte_count": 3 * MEGABYTE,
            "description": "remark",
            "fields": [{"name": "c", "type": "integer", "description": "remark of c"}],
        }
    ]
    assert collected.skipped == {NO_FRESHNESS: 1, "comments not readable (pg_description)": 1}


def test_comments_are_complete_where_remarks_are_truncated(templates: Templates) -> None:
    """Remarks in the SVV views end after 256 characters. The column comment is also longer here."""
    long = "How it is counted. " * 30 + "Ends here."
    name = "sales.orders.customer_id"
    templates.server.run(f"COMMENT ON COLUMN {name} IS {literal(long)}")
    remark = (
        "UPDATE testbed.svv_all_columns SET remarks = {} WHERE table_name = 'orders' AND column_name = 'customer_id'"
    )
    templates.server.run(remark.format(literal(long[:256])))
    try:
        collected = templates.collect("metadata", "--include", "dev.sales.orders")
    finally:
        templates.server.run(f"COMMENT ON COLUMN {name} IS NULL")
        templates.server.run(remark.format("NULL"))
    assert collected.records[0]["fields"][1] == {"name": "customer_id", "type": "integer", "description": long}


def test_columns_of_a_late_binding_view_are_in_order(templates: Templates) -> None:
    names = [f"c{number}" for number in (5, 3, 9, 1, 8, 2, 7)]
    rows = ", ".join(f"('sales', 'clicks_late', '{name}', 'integer', {n})" for n, name in enumerate(names, start=3))
    templates.server.run(f"INSERT INTO testbed.late_binding_columns VALUES {rows}")
    try:
        collected = templates.collect("metadata", "--include", "dev.sales.clicks_late")
    finally:
        templates.server.run("DELETE FROM testbed.late_binding_columns WHERE col_num > 2")
    assert [each["name"] for each in collected.records[0]["fields"]] == ["url", "hits", *names]


CROWD_SQL = """
INSERT INTO testbed.svv_all_tables (database_name, schema_name, table_name, table_type)
SELECT 'dev', 'crowd', 'part_' || n, 'TABLE' FROM generate_series(1, 10500) AS n;
INSERT INTO testbed.show_tables (database_name, schema_name, table_name, table_subtype, last_modified_time)
SELECT 'dev', 'crowd', 'part_' || n, 'REGULAR TABLE', TIMESTAMP '2026-01-01' + n * INTERVAL '1 second'
FROM generate_series(1, 10500) AS n;
INSERT INTO testbed.svv_all_columns (database_name, schema_name, table_name, column_name, ordinal_position, data_type)
SELECT 'dev', 'crowd', 'part_' || n, 'column_' || n, 1, 'integer' FROM generate_series(1, 10500) AS n;
"""
NO_CROWD_SQL = """
DELETE FROM testbed.svv_all_columns WHERE schema_name = 'crowd';
DELETE FROM testbed.svv_all_tables WHERE schema_name = 'crowd';
DELETE FROM testbed.show_tables WHERE schema_name = 'crowd';
"""


@pytest.mark.parametrize(("wanted", "count"), [("dev.crowd.*", 10_500), ("dev.crowd.part_77", 1)])
def test_a_schema_too_large_for_one_result_is_listed_in_parts(templates: Templates, wanted: str, count: int) -> None:
    templates.server.run(CROWD_SQL)
    try:
        collected = templates.collect("metadata", "--include", wanted, "--only-freshness-and-volume")
    finally:
        templates.server.run(NO_CROWD_SQL)
    assert len(collected.records) == count
    assert collected.skipped == {}
    for record in collected.records:
        moment = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(record["name"][5:]))
        assert record["last_update_time"] == iso(moment)


LOOKALIKES_SQL = """
INSERT INTO testbed.svv_all_tables (database_name, schema_name, table_name, table_type)
SELECT 'dev', 'crowd', start || n, 'TABLE' FROM generate_series(1, 5300) AS n, (VALUES ('t_'), ('ta')) AS v (start);
INSERT INTO testbed.show_tables (database_name, schema_name, table_name, table_subtype, last_modified_time)
SELECT 'dev', 'crowd', t.table_name, 'REGULAR TABLE', TIMESTAMP '2026-01-01' FROM testbed.svv_all_tables AS t
WHERE t.schema_name = 'crowd';
"""


def test_names_with_underscores_are_listed_in_parts_that_are_small_enough(templates: Templates) -> None:
    """An underscore in a pattern matches any character: t_% also matches names that start with ta."""
    templates.server.run(LOOKALIKES_SQL)
    try:
        collected = templates.collect("metadata", "--include", "dev.crowd.*", "--only-freshness-and-volume")
    finally:
        templates.server.run(NO_CROWD_SQL)
    assert len(collected.records) == 10_600
    assert collected.skipped == {}
    assert {record.get("last_update_time") for record in collected.records} == {"2026-01-01T00:00:00Z"}


def test_columns_of_a_large_schema_are_read_in_pages(templates: Templates) -> None:
    """Regardless of the number of tables in a schema, a result has the columns of 2,000. Only pages with requested
    tables are read.
    """
    templates.server.run(CROWD_SQL)
    try:
        before = len(templates.server.events("statement"))
        collected = templates.collect("metadata", "--include", "dev.crowd.*", "--exclude", "*.part_2*")
        statements = [event["sql"] for event in templates.server.events("statement")[before:]]
        templates.collect("metadata", "--include", "dev.crowd.part_1", "--include", "dev.crowd.part_9999")
        few = [event["sql"] for event in templates.server.events("statement")[before + len(statements) :]]
    finally:
        templates.server.run(NO_CROWD_SQL)
    assert len(collected.records) == 10_500 - 1_111
    for record in collected.records:
        assert [each["name"] for each in record["fields"]] == [record["name"].replace("part", "column")]
    assert sum("svv_all_columns" in sql for sql in statements) == 6
    assert sum("svv_all_columns" in sql for sql in few) == 2


def test_without_select_only_freshness_is_missing_and_counted(templates: Templates) -> None:
    """As with REFERENCES. SHOW TABLES also has the kind of a view."""
    complete = templates.collect("metadata", user="auditor")
    collected = templates.collect("metadata", user="cataloger")
    lost = {"last_update_time", "kind"}
    assert [_without(record, lost) for record in collected.records] == [
        _without(record, lost) for record in complete.records
    ]
    timed = [record for record in complete.records if "last_update_time" in record]
    hidden = [record for record in timed if record["kind"] not in ("materialized view", "external table")]
    assert len(hidden) > 5
    assert collected.skipped == complete.skipped | {HIDDEN_FRESHNESS: collected.skipped[HIDDEN_FRESHNESS]}
    assert collected.skipped[HIDDEN_FRESHNESS] >= len(hidden)
    assert not [record for record in collected.records if record["kind"] == "table" and "last_update_time" in record]


def _without(record: Record, names: set[str]) -> Record:
    return {name: value for name, value in record.items() if name not in names}


def test_a_database_without_grants_looks_empty(templates: Templates) -> None:
    """Redshift answers in the same way for an empty database, so nothing is counted, as README.md says."""
    grant = "UPDATE testbed.grants SET user_name = '{}' WHERE user_name = '{}'"
    templates.server.run(grant.format("nobody", "cataloger"), ANALYTICS)
    try:
        run = templates.run("collect", "metadata", user="cataloger").check()
    finally:
        templates.server.run(grant.format("cataloger", "nobody"), ANALYTICS)
    assert {record["database"] for record in Collected.read(templates.manifest("metadata")).records} == {DEV}
    assert ANALYTICS not in str(run.summary["skipped_examples"])
