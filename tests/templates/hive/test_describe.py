"""Tests the parser of DESCRIBE FORMATTED and of Spark's schemas.

The rows named DOCUMENTED follow the source and the test results of Apache Hive 3 and 4 and of Apache Spark 3.5, which
the tests do not run. Those of Hive 2.3 come from a server in test_metadata_server.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcpush.records import Column

from tests.folder_modules import imported
from tests.script_process import TEMPLATES

Row = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class Modules:
    describe: ModuleType
    spark: ModuleType
    kinds: ModuleType


@pytest.fixture(scope="module")
def modules() -> Iterator[Modules]:
    with imported(TEMPLATES / "hive", "describe", "spark_schema", "kinds") as found:
        yield Modules(*found)


def parsed(modules: Modules, *rows: Row) -> Any:
    return modules.describe.parse([modules.describe.DescribeRow(*row) for row in rows])


def padded(name: str, value: str) -> Row:
    return f"{name:<20}", f"{value:<20}", None


# https://github.com/apache/hive/blob/master/ql/src/test/results/clientpositive/llap/materialized_view_create.q.out
# https://github.com/apache/hive/blob/rel/release-4.1.0/ql/src/java/org/apache/hadoop/hive/ql/ddl/table/info/desc/formatter/TextDescTableFormatter.java
HIVE_4_DOCUMENTED: tuple[Row, ...] = (
    ("a", "int", ""),
    ("b", "varchar(256)", "two\\nlines \\u6F22"),
    ("", None, None),
    ("# Partition Transform Information", None, None),
    ("# col_name", "transform_type", None),
    ("a", "BUCKET[2]", None),
    ("", None, None),
    ("# Detailed Table Information", None, None),
    padded("Database:", "default"),
    padded("OwnerType:", "USER"),
    padded("Owner:", "hive"),
    padded("CreateTime:", "Tue Nov 03 10:00:00 GMT+05:30 2026"),
    padded("Table Type:", "MATERIALIZED_VIEW"),
    ("Table Parameters:", None, None),
    ("", "COLUMN_STATS_ACCURATE", '{\\"BASIC_STATS\\":\\"true\\"}'),
    ("", "bucketing_version   ", "2                   "),
    ("", "numRows             ", "5                   "),
    ("", None, None),
    ("# Storage Information", None, None),
    padded("Table Type:", "not this one"),
    ("Storage Desc Params:", None, None),
    ("", "numRows             ", "7                   "),
    ("", None, None),
    ("# Materialized View Information", None, None),
    padded("Original Query:", "select a, b from t"),
    padded("Expanded Query:", "select `t`.`a`, `t`.`b` from `default`.`t`"),
    padded("Rewrite Enabled:", "No"),
    padded("Outdated for Rewriting:", "Unknown"),
    ("", None, None),
    ("# Materialized View Source table information", None, None),
    ("Table name", "Snapshot", None),
    ("default.t", "N/A", None),
)

# https://github.com/apache/spark/blob/v3.5.3/sql/core/src/test/resources/sql-tests/results/describe.sql.out
SPARK_DOCUMENTED: tuple[Row, ...] = (
    ("a", "string", None),
    ("b\\n", "int", "C:\\temp"),
    ("c", "string", None),
    ("# Partition Information", "", ""),
    ("# col_name", "data_type", "comment"),
    ("c", "string", None),
    ("", "", ""),
    ("# Detailed Table Information", "", ""),
    ("Catalog", "spark_catalog", ""),
    ("Database", "default", ""),
    ("Table", "t", ""),
    ("Created Time", "Tue Nov 03 10:00:00 UTC 2026", ""),
    ("Type", "MANAGED", ""),
    ("Provider", "parquet", ""),
    ("Comment", "table_comment", ""),
    ("Table Properties", "[e=3, t=test]", ""),
    ("Statistics", "1024 bytes, 3 rows", ""),
)


def test_hive_4_as_documented(modules: Modules) -> None:
    found = parsed(modules, *HIVE_4_DOCUMENTED)
    assert found.all_columns == [Column("a", "int"), Column("b", "varchar(256)", "two\nlines 漢")]
    assert (found.kind, modules.kinds.type_of(found.kind)) == ("materialized view", "VIEW")
    assert found.created == datetime(2026, 11, 3, 4, 30, tzinfo=timezone.utc)
    assert found.parameters == {
        "COLUMN_STATS_ACCURATE": '{"BASIC_STATS":"true"}',
        "bucketing_version": "2",
        "numRows": "5",
    }
    assert found.certain_query == "select `t`.`a`, `t`.`b` from `default`.`t`"
    assert found.partition_columns == []


def test_spark_as_documented(modules: Modules) -> None:
    """Spark does not escape, and lists partition columns twice. Its statistics can be old: they are not read."""
    found = parsed(modules, *SPARK_DOCUMENTED)
    assert found.all_columns == [Column("a", "string"), Column("b\\n", "int", "C:\\temp"), Column("c", "string")]
    assert (found.is_hive, found.kind) == (False, "managed table")
    assert found.created == datetime(2026, 11, 3, 10, tzinfo=timezone.utc)
    assert found.parameters == {"comment": "table_comment"}


def test_a_view_of_spark_as_documented(modules: Modules) -> None:
    rows = (("# Detailed Table Information", "", ""), ("Type", "VIEW", ""), ("View Text", "SELECT 1\n\tAS a", ""))
    found = parsed(modules, ("a", "int", None), ("", "", ""), *rows)
    assert (found.kind, found.certain_query) == ("virtual view", "SELECT 1\n\tAS a")


VIEW: tuple[Row, ...] = (padded("Table Type:", "VIRTUAL_VIEW"), ("# View Information", None, None))


@pytest.mark.parametrize(
    ("rows", "query"),
    [
        ([padded("View Expanded Text:", "SELECT 1")], "SELECT 1"),
        ([padded("View Expanded Text:", "null")], None),
        ([("View Expanded Text: ", "SELECT 1,", "2 -- after a tab")], None),
        ([padded("View Expanded Text:", "SELECT 1,"), ("", " " * 20, "2 -- second line")], None),
        ([padded("View Expanded Text:", "SELECT 1"), ("", " " * 20, None)], None),
        ([padded("View Original Text:", "SELECT 1")], None),
    ],
)
def test_a_query_that_hive_may_have_cut_is_not_certain(modules: Modules, rows: list[Row], query: str | None) -> None:
    assert parsed(modules, ("# Detailed Table Information", None, None), *VIEW, *rows).certain_query == query


@pytest.mark.parametrize(
    ("encoded", "query"), [("eyJvcmlnaW5hbFNxbCI6ICJTRUxFQ1RcbjEifQ==", "SELECT\n1"), ("e30=", None)]
)
def test_a_view_of_presto_without_the_json_format(modules: Modules, encoded: str, query: str | None) -> None:
    """Its expanded text is a mark, not a query."""
    rows = (
        padded("View Original Text:", f"/* Presto View: {encoded} */"),
        padded("View Expanded Text:", "/* Presto View */"),
    )
    assert parsed(modules, ("# Detailed Table Information", None, None), *VIEW, *rows).certain_query == query


def test_columns_with_the_names_of_sections(modules: Modules) -> None:
    rows: tuple[Row, ...] = (
        ("# col_name            ", "data_type           ", "comment             "),
        ("", None, None),
        ("# detailed table information", "int", ""),
        ("# partition information", "int", ""),
        ("table type:", "int", "from deserializer"),
        ("", None, None),
        ("# Detailed Table Information", None, None),
        padded("Table Type:", "EXTERNAL_TABLE"),
    )
    found = parsed(modules, *rows)
    assert [each.name for each in found.columns] == [
        "# detailed table information",
        "# partition information",
        "table type:",
    ]
    assert (found.kind, found.columns[2].description) == ("external table", None)


@given(st.text(st.characters(codec="utf-8")))
def test_escapes_of_java_are_undone(modules: Modules, text: str) -> None:
    codes = memoryview(text.encode("utf-16-be")).cast("B")
    units = [codes[at] << 8 | codes[at + 1] for at in range(0, len(codes), 2)]
    named = {ord("\\"): "\\\\", ord('"'): '\\"', 10: "\\n", 9: "\\t", 13: "\\r", 12: "\\f", 8: "\\b"}
    escaped = "".join(named.get(unit) or (chr(unit) if 32 <= unit < 127 else f"\\u{unit:04X}") for unit in units)
    assert modules.describe.unescape(escaped) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Tue Nov 03 10:00:00 UTC 2026", (datetime(2026, 11, 3, 10, tzinfo=timezone.utc), False)),
        ("Tue Nov 03 10:00:00 GMT-03:00 2026", (datetime(2026, 11, 3, 13, tzinfo=timezone.utc), False)),
        ("Tue Nov 03 10:00:00 CST 2026", (None, True)),
        ("Tue Nov 03 10:00:00 IST 2026", (None, True)),
        ("Tue Nov 31 10:00:00 UTC 2026", (None, True)),
        ("UNKNOWN", (None, False)),
        ("", (None, False)),
    ],
)
def test_times_with_a_certain_zone(modules: Modules, text: str, wanted: tuple[datetime | None, bool]) -> None:
    assert modules.describe.time_of(text) == wanted


# --- schemas of Spark -------------------------------------------------------------------------------------


def schema(*fields: dict[str, Any]) -> str:
    return json.dumps({"type": "struct", "fields": fields})


def field(name: str, kind: Any, **metadata: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


NESTED = {
    "type": "array",
    "elementType": {
        "type": "map",
        "keyType": "string",
        "valueType": {
            "type": "struct",
            "fields": [field("x", "long"), field("y", {"type": "udt", "sqlType": "short"})],
        },
        "valueContainsNull": True,
    },
    "containsNull": True,
}


def test_types_of_spark_are_spelled_as_in_hive(modules: Modules) -> None:
    text = schema(field("A", "integer", comment="c"), field("b", NESTED), field("c", "decimal(10,2)"))
    assert modules.spark.spark_columns({"spark.sql.sources.schema": text}) == [
        Column("A", "int", "c"),
        Column("b", "array<map<string,struct<x:bigint,y:smallint>>>"),
        Column("c", "decimal(10,2)"),
    ]


def test_char_and_varchar_of_spark(modules: Modules) -> None:
    """Spark stores them as strings, with the type in the column's metadata."""
    text = schema(field("a", "string", __CHAR_VARCHAR_TYPE_STRING="varchar(10)"), field("b", "string"))
    assert modules.spark.spark_columns({"spark.sql.sources.schema": text}) == [
        Column("a", "varchar(10)"),
        Column("b", "string"),
    ]


PLACEHOLDER = [Column("col", "array<string>"), Column("day", "string")]


@pytest.mark.parametrize(
    ("provider", "hive", "is_from_spark"),
    [
        ("delta", [Column("b", "int")], True),
        (None, PLACEHOLDER, True),
        (None, [Column("a", "INT")], True),
        (None, [Column("a", "bigint")], False),
        ("hive", [Column("a", "int"), Column("b", "int")], False),
        (None, [], False),
    ],
)
def test_a_schema_of_spark_that_hive_changed_later_is_not_used(
    modules: Modules, provider: str | None, hive: list[Column], is_from_spark: bool
) -> None:
    parameters = {"spark.sql.sources.schema": schema(field("A", "integer"))}
    if provider:
        parameters["spark.sql.sources.provider"] = provider
    found = modules.spark.current_columns(parameters, hive)
    assert found == ([Column("A", "int")] if is_from_spark else hive)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"spark.sql.sources.schema": "{"},
        {"spark.sql.sources.schema": "[]"},
        {"spark.sql.sources.schema": schema({"name": "a"})},
        {"spark.sql.sources.schema": schema(field("a", {"type": "unknown"}))},
        {"spark.sql.sources.schema": "[" * 100_000},
        {"spark.sql.sources.schema.numParts": "2", "spark.sql.sources.schema.part.0": schema(field("a", "long"))},
        {"spark.sql.sources.schema.numParts": "9" * 30},
        {"spark.sql.sources.schema.numParts": "x"},
    ],
)
def test_an_unreadable_schema_is_none(modules: Modules, parameters: dict[str, str]) -> None:
    assert modules.spark.spark_columns(parameters) is None


def test_parts_are_joined_in_order(modules: Modules) -> None:
    text = schema(*(field(f"column_{number}", "string") for number in range(20)))
    parts = {f"spark.sql.sources.schema.part.{at}": text[at * 60 : at * 60 + 60] for at in range(len(text) // 60 + 1)}
    found = modules.spark.spark_columns(parts | {"spark.sql.sources.schema.numParts": str(len(parts))})
    assert [each.name for each in found] == [f"column_{number}" for number in range(20)]
