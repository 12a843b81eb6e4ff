"""Tests collect_metadata.py against a genuine HiveServer2 2.3.9: complete records, what is counted, and failures."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.templates.hive.server_runs import ServerRuns, error_of, execute
from tests.warehouses.hive.launch import ACCURATE, Column, Database, HiveServer, Partition, Table
from tests.warehouses.hive.orders import Fault
from tests.warehouses.hive.shared import ONE_SERVER

pytestmark = ONE_SERVER

CREATED, CHANGED = 1_760_000_000, 1_760_086_400
CREATED_ISO, CHANGED_ISO = "2025-10-09T08:53:20Z", "2025-10-10T08:53:20Z"
NO_VOLUME = "statistics missing or not accurate: volume unknown (ANALYZE TABLE computes them)"
PARTITIONED = "partitioned table: time of the last change unknown (the metastore database has it)"
ALTERED = "last changed by ALTER: time of the last data change unknown"
DROPPED = "table dropped during the run"
UNREADABLE = "table not readable (DESCRIBE FORMATTED)"
QUERY = "SELECT id,\n\t'a\tb' AS note -- \u00e9\n\n  FROM sales.orders\n WHERE id > 1"
PRESTO = base64.b64encode(json.dumps({"originalSql": "SELECT\n\tid FROM orders"}).encode()).decode()
NESTED = f"struct<{','.join(f'field_{number}:array<map<string,decimal(38,10)>>' for number in range(60))}>"
COMMENT = 'one\ntwo\tthree "four" \\ five é 漢 𝄞'
SPARK_SCHEMA = json.dumps(
    {
        "type": "struct",
        "fields": [
            {"name": "id", "type": "long", "nullable": True, "metadata": {"comment": "the key"}},
            {"name": "Day", "type": "date", "nullable": True, "metadata": {}},
        ],
    }
)
DATA = {"numRows": "3", "totalSize": "40", "transient_lastDdlTime": str(CHANGED)}
ID = (Column("id", "int"),)
DAY = (Column("day", "string", "the day"),)


def partitions(*parameters: dict[str, str]) -> tuple[Partition, ...]:
    return tuple(Partition((f"2026-01-0{day}",), CREATED, each) for day, each in enumerate(parameters, 1))


def table(name: str, columns: tuple[Column, ...] = ID, parameters: dict[str, str] | None = None, **more: Any) -> Table:
    return Table("sales", name, columns, CREATED, DATA if parameters is None else parameters, **more)


TABLES = (
    table("a_plain", (*ID, Column("note", "varchar(40)", COMMENT)), {**ACCURATE, **DATA, "comment": COMMENT}),
    table("b_external", (Column("Weird ü`", NESTED),), {**ACCURATE, **DATA, "EXTERNAL": "TRUE"}, type="EXTERNAL_TABLE"),
    table("c_inaccurate"),
    table("d_minus_one", ID, {**ACCURATE, **DATA, "numRows": "-1"}),
    table("e_altered", ID, {**ACCURATE, **DATA, "last_modified_time": str(CHANGED)}),
    table("f_partitioned", partition_keys=DAY, partitions=partitions({**ACCURATE, **DATA}, {**ACCURATE, **DATA})),
    table("g_partly_accurate", partition_keys=DAY, partitions=partitions(DATA, {**ACCURATE, **DATA})),
    table("h_no_partitions", ID, {**ACCURATE, **DATA}, partition_keys=DAY),
    table("i_view", ID, {"comment": "a view"}, type="VIRTUAL_VIEW", text="written", expanded_text=QUERY),
    table(
        "j_presto",
        ID,
        {"presto_view": "true", "comment": "Presto View"},
        type="VIRTUAL_VIEW",
        text=f"/* Presto View: {PRESTO} */",
        expanded_text="/* Presto View */",
    ),
    table(
        "k_spark",
        (Column("col", "array<string>", "from deserializer"),),
        {
            **DATA,
            "spark.sql.sources.provider": "delta",
            "spark.sql.sources.schema.numParts": "2",
            "spark.sql.sources.schema.part.0": SPARK_SCHEMA[:50],
            "spark.sql.sources.schema.part.1": SPARK_SCHEMA[50:],
        },
    ),
)


def record(name: str, kind: str = "managed table", fields: list[dict[str, str]] | None = None, **more: Any) -> Any:
    found = {
        "type": "VIEW" if kind.endswith("view") else "TABLE",
        "kind": kind,
        "database": "hive",
        "schema": "sales",
        "name": name,
        "created_on": CREATED_ISO,
        "row_count": 3,
        "byte_count": 40,
        "last_update_time": CHANGED_ISO,
        "fields": fields or [{"name": "id", "type": "int"}],
    } | more
    return {key: value for key, value in found.items() if value is not None}


NOTHING: dict[str, Any] = {"row_count": None, "byte_count": None, "last_update_time": None}
KEYED = [{"name": "id", "type": "int"}, {"name": "day", "type": "string", "description": "the day"}]
NOTE = {"name": "note", "type": "varchar(40)", "description": COMMENT}
RECORDS = [
    record("a_plain", fields=[{"name": "id", "type": "int"}, NOTE], description=COMMENT),
    record("b_external", "external table", [{"name": "weird ü`", "type": NESTED}]),
    record("c_inaccurate", row_count=None, byte_count=None),
    record("d_minus_one", row_count=None),
    record("e_altered", last_update_time=None),
    record("f_partitioned", fields=KEYED, row_count=6, byte_count=80, last_update_time=None),
    record("g_partly_accurate", fields=KEYED, **NOTHING),
    record("h_no_partitions", fields=KEYED, **NOTHING),
    record("i_view", "virtual view", **NOTHING, description="a view", view_query=QUERY),
    record("j_presto", "virtual view", **NOTHING, view_query="SELECT\n\tid FROM orders"),
    record(
        "k_spark",
        fields=[{"name": "id", "type": "bigint", "description": "the key"}, {"name": "Day", "type": "date"}],
        **NOTHING,
    ),
]
SKIPPED = {
    NO_VOLUME: 4,
    ALTERED: 1,
    PARTITIONED: 3,
    "written by Spark or in another table format, without Hive: time of the last change unknown": 1,
}


def fill(hive: HiveServer, *tables: Table) -> None:
    hive.add([Database("sales")], tables)


def test_complete_records(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES)
    found = runs.collect()
    assert found.records == RECORDS
    assert found.skipped == SKIPPED


def test_only_freshness_and_volume_has_no_texts_and_columns(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES)
    left_out = ("description", "view_query", "fields")
    wanted = [{key: value for key, value in each.items() if key not in left_out} for each in RECORDS]
    assert runs.collect("--only-freshness-and-volume").records == wanted
    assert [each for each in runs.front.orders.received if each.text.startswith("DESCRIBE EXTENDED")] == []


def test_tables_that_hive_itself_wrote(hive: HiveServer, runs: ServerRuns) -> None:
    """Statements of Hive, with the parameters that it writes: statistics of INSERT, sums of partitions."""
    execute(
        hive,
        "CREATE DATABASE shop",
        "CREATE TABLE shop.plain (id int COMMENT 'the key')",
        "INSERT INTO shop.plain VALUES (1), (2)",
        "CREATE TABLE shop.parts (id int) PARTITIONED BY (day string)",
        "INSERT INTO shop.parts PARTITION (day = '1') SELECT id FROM shop.plain",
        "INSERT INTO shop.parts PARTITION (day = '2') SELECT id FROM shop.plain",
        "CREATE TABLE shop.partly (id int) PARTITIONED BY (day string)",
        "INSERT INTO shop.partly PARTITION (day = '2') SELECT id FROM shop.plain",
        "SET hive.stats.autogather=false",
        "INSERT INTO shop.partly PARTITION (day = '1') SELECT id FROM shop.plain",
        "CREATE VIEW shop.seen AS\nSELECT id,\n\t1 AS one FROM shop.plain",
        "ALTER TABLE shop.plain SET TBLPROPERTIES ('note' = 'changed')",
    )
    found = runs.collect("--include", "hive.shop.*")
    kept = ("name", "kind", "row_count", "byte_count", "view_query")
    assert [{key: each[key] for key in kept if key in each} for each in found.records] == [
        {"name": "partly", "kind": "managed table"},
        {"name": "parts", "kind": "managed table", "row_count": 4, "byte_count": 8},
        {"name": "plain", "kind": "managed table", "row_count": 2, "byte_count": 4},
        {
            "name": "seen",
            "kind": "virtual view",
            "view_query": "SELECT `plain`.`id`,\n\t1 AS `one` FROM `shop`.`plain`",
        },
    ]
    assert [each["name"] for each in found.records if "last_update_time" in each] == []  # the last change was an ALTER
    assert found.skipped == {NO_VOLUME: 1, PARTITIONED: 2, ALTERED: 1}


def test_a_view_without_the_json_format(hive: HiveServer, runs: ServerRuns) -> None:
    """A server that does not allow the setting. Of several lines, Hive could have cut any at a tab."""
    fill(hive, TABLES[8], table("l_short", ID, {}, type="VIRTUAL_VIEW", text="SELECT 1", expanded_text="SELECT 1 x"))
    refused = "Cannot modify hive.ddl.output.format at runtime. It is not in list of params that are allowed"
    runs.front.orders.faults.append(Fault("SET hive.ddl", "error", message=refused, sql_state="42000", error_code=1))
    found = runs.collect()
    assert [each.get("view_query") for each in found.records] == [None, "SELECT 1 x"]
    assert found.skipped == {
        "view definition of several lines: HiveServer2 does not allow hive.ddl.output.format, without which it can be "
        "cut (see README.md)": 1
    }


def test_the_catalog_is_the_database_of_records(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, TABLES[0])
    assert runs.collect("--include", "lake.sales.*", HIVE_CATALOG="lake").records == [RECORDS[0] | {"database": "lake"}]
    assert runs.collect("--include", "hive.sales.*", HIVE_CATALOG="lake").records == []


def test_list_has_the_names(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES[:2])
    run = runs.run("--list").check()
    assert run.stdout == "hive.sales.a_plain (table or view)\nhive.sales.b_external (table or view)\n"
    assert [each.text for each in runs.front.orders.received if each.text.startswith("DESCRIBE")] == []


def test_excluded_databases_and_tables_are_not_read(hive: HiveServer, runs: ServerRuns) -> None:
    hive.add([Database("sales"), Database("other")], TABLES[:2])
    assert [each["name"] for each in runs.collect("--include", "hive.sales.a_*").records] == ["a_plain"]
    statements = {each.text for each in runs.front.orders.received}
    assert {each for each in statements if "other" in each or "b_external" in each} == set()


# --- what cannot be read ----------------------------------------------------------------------------------


def test_a_table_dropped_between_show_and_describe_is_counted(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES[:3])
    runs.front.orders.faults.append(Fault("DESCRIBE FORMATTED `sales`.`b_external`", "dropped", times=1))
    found = runs.collect()
    assert [each["name"] for each in found.records] == ["a_plain", "c_inaccurate"]
    assert found.skipped == {DROPPED: 1, NO_VOLUME: 1}
    assert found.examples[DROPPED] == "hive.sales.b_external"


def test_denied_tables_are_counted_and_refused_if_all_are(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES[:2])
    runs.front.orders.faults.append(Fault("`b_external`", "denied"))
    found = runs.collect()
    assert [each["name"] for each in found.records] == ["a_plain"]
    assert found.skipped == {UNREADABLE: 1}
    assert found.examples[UNREADABLE].startswith("hive.sales.b_external: ")
    runs.front.orders.faults.append(Fault("`a_plain`", "denied"))
    error = error_of(runs.run().check(3))
    assert "Permission denied: Principal [name=ana" in error["message"]
    assert error["remedy"] == "Grant this user what README.md lists."


def test_denied_databases_are_counted_and_refused_if_all_are(hive: HiveServer, runs: ServerRuns) -> None:
    hive.add([Database("sales"), Database("other")], TABLES[:1])
    runs.front.orders.faults += [Fault("SHOW TABLES IN `other`", "denied"), Fault("SHOW TABLES IN `default`", "denied")]
    found = runs.collect()
    assert found.records == RECORDS[:1]
    assert found.skipped == {"database or project missing, dropped during the run, or not accessible": 2}
    runs.front.orders.faults.append(Fault("SHOW TABLES IN `sales`", "denied"))
    assert "refuses access to all databases" in error_of(runs.run().check(3))["message"]


@pytest.mark.parametrize(
    "message", ["Unable to fetch table x", "ClassNotFoundException Class org.example.SerDe not found"]
)
def test_a_table_that_hive_cannot_describe_is_counted(hive: HiveServer, runs: ServerRuns, message: str) -> None:
    fill(hive, *TABLES[:2])
    runs.front.orders.faults.append(Fault("`b_external`", "error", message=message, sql_state="08S01", error_code=1))
    found = runs.collect()
    assert [each["name"] for each in found.records] == ["a_plain"]
    assert found.skipped == {UNREADABLE: 1}


def test_tables_that_are_not_reached_in_time_are_counted(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES[:2])
    runs.front.orders.faults.append(Fault("`b_external`", "slow", seconds=20))
    found = runs.collect(HIVE_DESCRIBE_SECONDS="3")
    assert [each["name"] for each in found.records] in ([], ["a_plain"])
    assert "table not described in time (HIVE_DESCRIBE_SECONDS)" in found.skipped


# --- connections that end ---------------------------------------------------------------------------------


def test_a_session_that_was_dropped_while_idle_is_replaced(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES[:3])
    runs.front.orders.faults.append(Fault("DESCRIBE FORMATTED", "connection gone", after=1, times=1))
    assert [each["name"] for each in runs.collect(HIVE_WORKERS="1").records] == [
        "a_plain",
        "b_external",
        "c_inaccurate",
    ]


def test_a_server_that_stops_midway_ends_the_run(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, *TABLES[:3])
    runs.front.orders.faults.append(Fault("DESCRIBE FORMATTED", "connection gone", after=1))
    run = runs.run(HIVE_WORKERS="1").check(4)
    assert "hive-site.xml" in error_of(run)["remedy"]
    assert not runs.manifest.exists()


def test_a_server_that_hangs_ends_the_run(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, TABLES[0])
    runs.front.orders.faults.append(Fault("SHOW DATABASES", "slow", seconds=30))
    error = error_of(runs.run(HIVE_TIMEOUT="2").check(4))
    assert error["message"] == "HiveServer2: no answer within the timeout"
    assert "HIVE_TIMEOUT" in error["remedy"]


def test_a_password_that_the_server_repeats_is_not_printed(hive: HiveServer, runs: ServerRuns) -> None:
    fill(hive, TABLES[0])
    password = runs.environment["HIVE_PASSWORD"]
    runs.front.orders.faults.append(Fault("SHOW DATABASES", "error", message=f"what {password} was", error_code=1))
    run = runs.run()
    assert run.exit_code == 4
    assert password not in run.stdout + run.stderr + json.dumps(run.summary, ensure_ascii=False)
