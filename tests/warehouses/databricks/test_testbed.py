"""Tests of the local Databricks: views, commands, names, binds, types. To the real driver it behaves as documented."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from databricks.sql.exc import ServerOperationError

from tests.contract.world import many_tables, world
from tests.warehouses.databricks import harness
from tests.warehouses.databricks.catalog import documented_catalog
from tests.warehouses.databricks.launch import HTTP_PATH, DatabricksServer
from tests.warehouses.databricks.small_workspace import ARCHIVE, HIVE, NOW, SHOP, ask, workspace

TABLES = "SELECT t.table_name AS n FROM {}.information_schema.tables AS t WHERE t.table_schema = 'sales' ORDER BY n"

# --- views ----------------------------------------------------------------------------------------------


def test_every_documented_view_exists_with_its_columns(client: Any) -> None:
    views = documented_catalog().views
    assert len(views) > 10
    for view, columns in views.items():
        names = ", ".join(f"v.{name} AS {name}" for name in columns)
        with client.cursor() as cursor:
            cursor.execute(f"SELECT {names} FROM {view if view.startswith('system') else f'{SHOP}.{view}'} AS v")
            assert [name for name, *_ in cursor.description] == list(columns)


def test_each_catalog_has_its_own_information_schema_and_system_has_all(client: Any) -> None:
    assert ask(client, TABLES.format(SHOP)) == [("orders",), ("v",), ("w",)]
    assert ask(client, TABLES.format(ARCHIVE)) == []
    catalogs = "SELECT DISTINCT t.table_catalog AS c FROM {}.information_schema.tables AS t ORDER BY c"
    assert ask(client, catalogs.format(SHOP)) == [(SHOP,)]
    assert ask(client, catalogs.format("system")) == [(ARCHIVE,), (SHOP,), ("system",)]


def test_the_information_schema_contains_itself(client: Any) -> None:
    sql = "SELECT t.table_name AS n FROM {}.information_schema.tables AS t WHERE t.table_schema = 'information_schema'"
    own = {name.partition(".")[2] for name in documented_catalog().views if not name.startswith("system")}
    assert {name for (name,) in ask(client, sql.format(ARCHIVE))} == own


def test_the_definition_of_a_view_is_shown_to_its_owner_only(client: Any) -> None:
    sql = f"SELECT v.table_name AS n, v.view_definition AS d FROM {SHOP}.information_schema.views AS v"
    found = ask(client, f"{sql} WHERE v.table_schema = 'sales' ORDER BY n")
    assert found == [("v", "SELECT `Id` FROM `orders`"), ("w", None)]


def test_columns_keep_their_case_and_full_types(client: Any) -> None:
    sql = (
        "SELECT c.column_name AS n, c.full_data_type AS f, c.data_type AS t, c.comment AS d "
        f"FROM {SHOP}.INFORMATION_SCHEMA.COLUMNS AS c WHERE c.table_name = 'orders' ORDER BY c.ordinal_position"
    )
    assert ask(client, sql) == [
        ("Id", "bigint", "BIGINT", "the id"),
        ("lines", "array<struct<sku:string,n:int>>", "ARRAY", None),
    ]


def test_tags_of_catalogs_schemas_tables_and_columns(client: Any) -> None:
    sql = f"SELECT t.tag_name AS n, t.tag_value AS v FROM {SHOP}.information_schema.{{}}_tags AS t"
    assert [ask(client, sql.format(of)) for of in ("catalog", "schema", "table", "column")] == [
        [("env", "prod")],
        [("team", "")],
        [("owner", "sales")],
        [("pii", "no")],
    ]


def test_storage_metrics_have_a_row_each_day_and_those_of_dropped_tables(client: Any) -> None:
    sql = (
        "SELECT m.active_bytes AS b, m.table_dropped_time IS NULL AS lives, m.snapshot_date AS day "
        "FROM system.storage.table_metrics_history AS m WHERE m.table_name = 'orders' ORDER BY m.snapshot_date DESC"
    )
    found = ask(client, sql)
    assert [row[:2] for row in found] == [
        (2_000_000_000, True),
        (1_999_999_000, True),
        (1_999_998_000, True),
        (5, False),
    ]
    assert isinstance(found[0][2], date)


def test_rows_come_in_random_order_without_order_by(client: Any) -> None:
    sql = f"SELECT c.column_name AS n FROM {SHOP}.information_schema.columns AS c"
    assert len({tuple(ask(client, sql)) for _ in range(4)}) > 1
    assert len({tuple(ask(client, f"{sql} ORDER BY n, c.table_name, c.table_schema")) for _ in range(3)}) == 1


# --- names ----------------------------------------------------------------------------------------------


def test_names_are_compared_without_case(client: Any) -> None:
    assert ask(client, TABLES.format(SHOP.upper())) == ask(client, TABLES.format(f"`{SHOP}`"))
    assert ask(client, "SHOW TABLES IN MAIN_SHOP.SALES") != []


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("SELECT t.table_name AS n FROM nothing.information_schema.tables AS t", "42P01"),
        ("SELECT t.table_name AS n FROM hive_metastore.information_schema.tables AS t", "42P01"),
        ("SELECT t.x AS n FROM system.query.nothing AS t", "42P01"),
        ("SELECT t.tabel_name AS n FROM system.information_schema.tables AS t", "42703"),
        ("SELECT t.table_name AS n FROM main-shop.information_schema.tables AS t", "42601"),
        ("SELECT FROM", "42601"),
        ("SELECT 1 AS a; SELECT 2 AS b", "42601"),
        ("DELETE FROM system.query.history", "42601"),
        ("SHOW SCHEMAS IN nothing", "42704"),
        ("SHOW TABLES IN main_shop.nothing", "42704"),
        ("SHOW TABLES IN odd-schema", "42601"),
        ("DESCRIBE DETAIL main_shop.sales.nothing", "42P01"),
        ("DESCRIBE DETAIL main_shop.nothing.orders", "42P01"),
        ("DESCRIBE DETAIL main_shop.sales.v", "42809"),
        ("DESCRIBE HISTORY main_shop.sales.v", "42809"),
        ("SHOW STATISTICS main_shop.sales.v AS JSON", "42809"),
        ("SHOW STATISTICS main_shop.sales.orders", "42601"),
        ("DESCRIBE HISTORY hive_metastore.old.events", "0AKDD"),
        ("SELECT :a AS a", "42P02"),
    ],
)
def test_wrong_names_and_statements_are_refused(client: Any, statement: str, state: str) -> None:
    with pytest.raises(ServerOperationError, match=f"SQLSTATE: {state}"):
        ask(client, statement)


# --- binds and types ------------------------------------------------------------------------------------


def test_values_are_bound_by_name_and_by_position(client: Any) -> None:
    values = {"a": "it's \\ `x`; --", "b": 3, "c": NOW, "d": None, "e": True, "f": date(2026, 1, 2)}
    names = ", ".join(f":{name} AS {name}" for name in values)
    assert ask(client, f"SELECT {names}", values) == [tuple(values.values())]
    assert ask(client, "SELECT ? AS a, ? AS b", ["x", 2]) == [("x", 2)]


def test_structs_maps_and_times_with_arrow(client: Any) -> None:
    sql = "SELECT h.compute AS c, h.query_tags AS t, h.start_time AS s, h.compute.warehouse_id AS w, h.read_rows AS n"
    compute = {"type": "WAREHOUSE", "cluster_id": None, "warehouse_id": "w1"}
    ((found, tags, start, warehouse, rows),) = ask(client, f"{sql} FROM system.query.history AS h")
    assert (found, dict(tags), warehouse, rows) == (compute, {"team": "x"}, "w1", 12)
    assert start == NOW
    assert start.tzinfo is not None


def test_a_client_without_pyarrow_gets_columns(server: DatabricksServer) -> None:
    script = (
        "import sys, json; sys.modules['pyarrow'] = None\n"
        "from databricks import sql\n"
        f"c = sql.connect('127.0.0.1', {HTTP_PATH!r}, _connection_uri={server.url + HTTP_PATH!r}, "
        f"access_token={server.token()!r}, enable_telemetry=False)\n"
        "k = c.cursor()\n"
        "k.execute('SELECT h.compute AS c, h.start_time AS s, h.read_rows AS n, h.error_message AS e, "
        "h.from_result_cache AS b, h.read_io_cache_percent AS p FROM system.query.history AS h')\n"
        "print(json.dumps([list(map(repr, row)) for row in k.fetchall()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    ((compute, start, *others),) = json.loads(done.stdout.splitlines()[-1])
    assert json.loads(compute.strip("'")) == {"type": "WAREHOUSE", "cluster_id": None, "warehouse_id": "w1"}
    assert start == repr(NOW.replace(tzinfo=None))
    assert others == ["12", "None", "None", "None"]


def test_large_results_come_in_several_fetches(server: DatabricksServer, client: Any) -> None:
    server.fetch(3)
    sql = f"SELECT c.column_name AS n FROM {SHOP}.information_schema.columns AS c ORDER BY n"
    in_parts = ask(client, sql)
    methods = [each["method"] for each in server.observed()["requests"]]
    assert methods.count("FetchResults") >= len(in_parts) // 3 - 1
    server.restore()
    assert in_parts == ask(client, sql)
    assert len(in_parts) > 50


def test_a_million_rows_are_streamed(server: DatabricksServer, client: Any) -> None:
    names = "statement_id, read_rows"
    server.sql(f'INSERT INTO facts."system.query.history" ({names}) SELECT i::TEXT, i FROM range(1000000) r(i)')
    try:
        sql = "SELECT h.statement_id AS s, h.read_rows AS n FROM system.query.history AS h WHERE h.start_time IS NULL"
        with client.cursor() as cursor:
            cursor.execute(sql)
            total = 0
            while found := cursor.fetchmany_arrow(100_000).num_rows:
                total += found
            assert total == 1_000_000
    finally:
        server.load(workspace())


def test_the_clock_can_be_set(server: DatabricksServer, client: Any) -> None:
    server.set_clock(timedelta(days=2))
    ((ahead,),) = ask(client, "SELECT current_timestamp() AS now")
    assert timedelta(days=1) < ahead - datetime.now(timezone.utc) < timedelta(days=3)


# --- commands -------------------------------------------------------------------------------------------


def test_catalogs_schemas_tables_and_views_are_listed(client: Any) -> None:
    assert sorted(ask(client, "SHOW CATALOGS")) == [(ARCHIVE,), (HIVE,), (SHOP,), ("system",)]
    assert sorted(ask(client, f"SHOW SCHEMAS IN {ARCHIVE}")) == [("empty",), ("information_schema",), ("odd-schema",)]
    assert ask(client, f"SHOW TABLES IN {ARCHIVE}.`odd-schema`") == [("odd-schema", "übergröße`x`", False)]
    assert sorted(ask(client, f"SHOW TABLES FROM {HIVE}.old")) == [("old", "events", False), ("old", "v", False)]
    assert ask(client, f"SHOW VIEWS IN {HIVE}.old") == [("old", "v", False)]


def test_details_and_history_of_a_table(client: Any) -> None:
    with client.cursor() as cursor:
        cursor.execute(f"DESCRIBE DETAIL `{SHOP}`.`sales`.`orders`")
        assert [name for name, *_ in cursor.description] == list(documented_catalog().commands["DESCRIBE DETAIL"])
        row = cursor.fetchone()
    assert (row.sizeInBytes, row.format, row.lastModified) == (3_000_000_000, "delta", NOW + timedelta(hours=2))
    with client.cursor() as cursor:
        cursor.execute(f"DESCRIBE HISTORY {SHOP}.sales.orders")
        rows = cursor.fetchall()
    assert [(row.version, row.operation) for row in rows] == [(2, "OPTIMIZE"), (1, "WRITE"), (0, "CREATE TABLE")]
    assert rows[1].timestamp == NOW + timedelta(hours=1)
    assert dict(rows[1].operationMetrics) == {"numOutputRows": "7"}
    assert len(ask(client, f"DESCRIBE HISTORY {SHOP}.sales.orders LIMIT 2")) == 2


def test_a_name_with_backticks_is_described(client: Any) -> None:
    ((_, _, name, *_),) = ask(client, f"DESCRIBE DETAIL {ARCHIVE}.`odd-schema`.`Übergröße``x```")
    assert name == "archive.odd-schema.übergröße`x`"


def test_statistics_are_known_after_analyze_only(client: Any) -> None:
    ((known,),) = ask(client, f"SHOW STATISTICS {SHOP}.sales.orders AS JSON")
    assert json.loads(known)["statistics"] == {"size_in_bytes": 3_000_000_001, "num_rows": 7}
    ((unknown,),) = ask(client, f"SHOW STATISTICS {ARCHIVE}.`odd-schema`.`übergröße``x``` AS JSON")
    assert json.loads(unknown)["statistics"] == {}


def test_tables_of_the_hive_metastore_are_described(client: Any) -> None:
    rows = ask(client, f"DESCRIBE TABLE EXTENDED {HIVE}.old.v")
    assert rows[:3] == [("id", "int", None), ("", "", ""), ("# Detailed Table Information", "", "")]
    details = {name: value for name, value, _ in rows[3:]}
    assert (details["Type"], details["View Text"]) == ("VIEW", "SELECT id FROM old.events")
    ((text,),) = ask(client, f"DESCRIBE TABLE EXTENDED {HIVE}.old.events AS JSON")
    assert json.loads(text)["columns"] == [{"name": "id", "type": {"name": "int"}, "nullable": True}]


def test_use_catalog_changes_unqualified_names(server: DatabricksServer, client: Any) -> None:
    ask(client, f"USE CATALOG {SHOP}")
    assert ask(client, TABLES.format(SHOP)) == ask(client, TABLES.replace("{}.", ""))


# --- the neutral model ----------------------------------------------------------------------------------


def test_the_model_fills_the_server(server: DatabricksServer, client: Any) -> None:
    model = world(harness)
    try:
        harness.Server(server).fill(model)
        sql = "SELECT count(*) AS n FROM system.information_schema.tables AS t WHERE t.table_owner <> 'System user'"
        assert ask(client, sql) == [(len(model.tables),)]
        accesses = sum(1 for query in model.queries if not query.error) + sum(table.is_view for table in model.tables)
        assert ask(client, "SELECT count(*) AS n FROM system.query.history AS h") == [(len(model.queries),)]
        direct = "SELECT count(*) AS n FROM system.access.table_lineage AS t WHERE t.direct_access"
        assert ask(client, direct) == [(accesses,)]
    finally:
        server.load(workspace())


def test_many_tables_are_filled_quickly_enough(server: DatabricksServer, client: Any) -> None:
    try:
        harness.Server(server).fill(many_tables(harness, 2_000))
        counted = (
            "SELECT count(*) AS n FROM main_shop.information_schema.columns AS c WHERE c.table_schema LIKE 'schema%'"
        )
        assert ask(client, counted) == [(20_000,)]
    finally:
        server.load(workspace())
