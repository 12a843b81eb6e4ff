"""Tests metadata for each kind of table, view and database. Compares complete records."""

from __future__ import annotations

from typing import Any

from tests.collected import Record
from tests.templates.snowflake.conftest import Templates
from tests.templates.snowflake.facts import add_database

SHARED = "shared database (use --include-shared)"
NO_SHOW = "details not readable (SHOW)"
NO_VIEW_TEXT = "view definition not visible"
NO_COLUMNS = "columns not visible"

# TABLE_TYPE, the flag that is YES, and the tags' domain.
KINDS = {
    "table": ("BASE TABLE", None, "TABLE"),
    "transient table": ("BASE TABLE", "IS_TRANSIENT", "TABLE"),
    "hybrid table": ("BASE TABLE", "IS_HYBRID", "TABLE"),
    "iceberg table": ("BASE TABLE", "IS_ICEBERG", "ICEBERG TABLE"),
    "dynamic table": ("BASE TABLE", "IS_DYNAMIC", "DYNAMIC TABLE"),
    "external table": ("EXTERNAL TABLE", None, "EXTERNAL TABLE"),
    "event table": ("EVENT TABLE", None, "EVENT TABLE"),
    "view": ("VIEW", None, "VIEW"),
    "materialized view": ("MATERIALIZED VIEW", None, "MATERIALIZED VIEW"),
}
FLAGS = ("IS_TRANSIENT", "IS_HYBRID", "IS_ICEBERG", "IS_DYNAMIC", "IS_TEMPORARY")


def date(day: int) -> str:
    return f"2026-03-{day:02}T00:00:00Z"


def add_each_kind(templates: Templates, database: str) -> None:
    """Add a database with one object of each kind, named after the kind, in the schema S."""
    key = {"TABLE_CATALOG": database, "TABLE_SCHEMA": "S"}
    tables: list[Record] = []
    columns: list[Record] = []
    tags: list[Record] = []
    for number, (name, (kind, flag, domain)) in enumerate(KINDS.items(), 1):
        flags = {each: "YES" if each == flag else "NO" for each in FLAGS}
        sizes = {"ROW_COUNT": number * 10, "BYTES": number * 1000}
        times = {"CREATED": date(number), "LAST_ALTERED": date(number + 10)}
        tables.append({**key, "TABLE_NAME": name, "TABLE_TYPE": kind, **flags, **sizes, **times})
        columns.append({**key, "TABLE_NAME": name, "COLUMN_NAME": "A", "DATA_TYPE": "DATE", "ORDINAL_POSITION": 1})
        tag = {"OBJECT_DATABASE": database, "OBJECT_SCHEMA": "S", "OBJECT_NAME": name, "DOMAIN": domain}
        tags.append({**tag, "TAG_NAME": "OWNER", "TAG_VALUE": f"{name} of {database}"})
    server = templates.server
    server.insert("INFORMATION_SCHEMA.DATABASES", [{"DATABASE_NAME": database, "TYPE": "STANDARD"}])
    server.insert("INFORMATION_SCHEMA.TABLES", tables)
    server.insert("INFORMATION_SCHEMA.COLUMNS", columns)
    server.insert("SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES", tags)
    server.insert("INFORMATION_SCHEMA.VIEWS", [{**key, "TABLE_NAME": "view", "VIEW_DEFINITION": "SELECT 'of view'"}])
    shown = {"database_name": database, "schema_name": "S"}
    text = "SELECT 'of {}'"
    times = {"created_on": date(20), "refreshed_on": date(21), "compacted_on": date(22)}
    dynamic = {**shown, "name": "dynamic table", "text": text.format("dynamic table"), "data_timestamp": date(23)}
    server.insert("SHOW DYNAMIC TABLES", [dynamic])
    materialized = {**shown, "name": "materialized view", "text": text.format("materialized view"), **times}
    server.insert("SHOW MATERIALIZED VIEWS", [materialized])


def expected(database: str, *, is_shown: bool) -> list[Record]:
    """The expected records of such a database. ``is_shown``: SHOW is readable."""
    records = []
    for number, name in enumerate(KINDS, 1):
        is_known = is_shown or name not in ("dynamic table", "materialized view")
        record: dict[str, Any] = {
            "type": "VIEW" if name.endswith("view") else "TABLE",
            "kind": name,
            "database": database,
            "schema": "S",
            "name": name,
            "created_on": date(number),
            "fields": [{"name": "A", "type": "DATE"}],
            "tags": [{"key": "OWNER", "value": f"{name} of {database}"}],
        }
        if name in ("view", "materialized view", "dynamic table") and is_known:
            record["view_query"] = f"SELECT 'of {name}'"
        if name not in ("view", "external table"):
            record |= {"row_count": number * 10, "byte_count": number * 1000, "last_update_time": date(number + 10)}
        if name == "materialized view":
            record.pop("last_update_time")
            record |= {"last_update_time": date(21)} if is_shown else {}
        records.append(record)
    return sorted(records, key=lambda record: str(record["name"]))


def test_each_kind_of_object_has_the_expected_record(templates: Templates) -> None:
    add_each_kind(templates, "ONE")
    add_each_kind(templates, "OTHER")  # with the same names but its own tags
    collected = templates.collect("metadata")
    assert collected.records == [*expected("ONE", is_shown=True), *expected("OTHER", is_shown=True)]
    assert collected.skipped == {}
    templates.server.deny("SHOW DYNAMIC TABLES", "SHOW MATERIALIZED VIEWS")
    collected = templates.collect("metadata")
    assert collected.records == [*expected("ONE", is_shown=False), *expected("OTHER", is_shown=False)]
    assert collected.skipped == {NO_SHOW: 4, NO_VIEW_TEXT: 4}


def test_any_single_indication_of_a_shared_database_is_enough(templates: Templates) -> None:
    kinds = {
        "APPLICATION": {"kind": "APPLICATION", "origin": ""},
        "IMPORTED": {"kind": "IMPORTED DATABASE", "origin": ""},
        "OF_A_SHARE": {"kind": "STANDARD", "origin": "ACME.RETAIL.SHARE"},
        "OWN": {"kind": "STANDARD", "origin": ""},
        "SNOWFLAKE_SAMPLE_DATA": {"kind": "STANDARD", "origin": ""},
    }
    for name in kinds:
        add_database(templates, name, [("S", "T", "BASE TABLE")])
    templates.server.insert("SHOW DATABASES", [{"name": name, **kind} for name, kind in kinds.items()])
    system = {"TABLE_CATALOG": "SNOWFLAKE", "TABLE_SCHEMA": "S", "TABLE_NAME": "T", "TABLE_TYPE": "BASE TABLE"}
    templates.server.insert("INFORMATION_SCHEMA.TABLES", [system])
    own = templates.collect("metadata")
    assert [record["database"] for record in own.records] == ["OWN"]
    assert own.skipped == {SHARED: 4, NO_COLUMNS: 1}
    everything = templates.collect("metadata", "--include-shared")
    assert [record["database"] for record in everything.records] == sorted(kinds)
    assert everything.skipped == {NO_COLUMNS: 5}
