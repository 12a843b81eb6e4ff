"""Tests the Hive metastore: SHOW and DESCRIBE TABLE EXTENDED. The outputs are documented ones, not recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import ModuleType

import pytest

from tests.templates.databricks.conftest import Scripts
from tests.warehouses.databricks.truth import Column, Commit, Relation, Warehouse

T0 = datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone.utc)
HIVE = "hive_metastore"
COLUMNS = (Column("Id", "bigint", "the id"), Column("tags", "array<struct<a:int,b:string>>"))
DELTA = Relation(
    HIVE,
    "old",
    "events",
    COLUMNS,
    T0,
    comment="before the migration",
    rows=5,
    size=77,
    history=(Commit(0, T0 + timedelta(hours=1), "WRITE"), Commit(1, T0 + timedelta(hours=2), "OPTIMIZE")),
)
PARQUET = replace(DELTA, name="files", kind="EXTERNAL", format="PARQUET", comment=None, history=(), size=None)
VIEW = replace(PARQUET, name="v", kind="VIEW", definition="SELECT Id FROM old.events", rows=None)
UNITY = Relation("main", "sales", "orders", COLUMNS[:1], T0, rows=1, size=1)
Modules = dict[str, ModuleType]


def metastore(*relations: Relation) -> Warehouse:
    return Warehouse(["main"], relations=list(relations or [DELTA, PARQUET, VIEW]))


def test_complete_records(scripts: Scripts) -> None:
    scripts.load(metastore())
    found = scripts.collect()
    common = {"database": HIVE, "schema": "old", "created_on": "2026-05-04T03:02:01Z"}
    fields = [
        {"name": "Id", "type": "bigint", "description": "the id"},
        {"name": "tags", "type": "array<struct<a:int,b:string>>"},
    ]
    assert found.records == [
        {
            "type": "TABLE",
            "kind": "managed table",
            "name": "events",
            **common,
            "row_count": 5,
            "byte_count": 77,
            "last_update_time": "2026-05-04T04:02:01Z",
            "description": "before the migration",
            "fields": fields,
        },
        {"type": "TABLE", "kind": "external table", "name": "files", **common, "row_count": 5, "fields": fields},
        {
            "type": "VIEW",
            "kind": "view",
            "name": "v",
            **common,
            "view_query": "SELECT Id FROM old.events",
            "fields": fields,
        },
    ]
    assert found.skipped == {"last write unknown: only Delta and Iceberg tables have a history": 1}


ONLY_HIVE = "no catalog of Unity Catalog is visible to this principal, only the Hive metastore"


def test_a_run_that_sees_no_catalog_of_unity_catalog_warns(scripts: Scripts) -> None:
    scripts.load(Warehouse([], relations=[DELTA]))
    assert ONLY_HIVE in scripts.attempt().check().stderr
    scripts.load(metastore())
    assert ONLY_HIVE not in scripts.attempt().check().stderr


@pytest.mark.parametrize("option", [[], ["--list"]])
def test_a_principal_that_sees_only_an_empty_hive_metastore_is_refused(scripts: Scripts, option: list[str]) -> None:
    """The Hive metastore can be visible without any grant: a run without tables would look healthy."""
    scripts.load(Warehouse([], schemas=[(HIVE, "default")]))
    scripts.attempt(*option).check(3)
    scripts.load(Warehouse(["main"], schemas=[(HIVE, "default")]))
    scripts.attempt(*option).check()


def test_only_freshness_and_volume(scripts: Scripts) -> None:
    scripts.load(metastore())
    found = scripts.collect("--only-freshness-and-volume")
    full = scripts.collect()
    kept = [
        {key: value for key, value in record.items() if key not in ("description", "fields", "view_query")}
        for record in full.records
    ]
    assert found.records == kept


def test_the_list_describes_no_table(scripts: Scripts) -> None:
    scripts.load(metastore())
    assert scripts.attempt("--list").check().stdout.splitlines() == [
        f"{HIVE}.old.events (table)",
        f"{HIVE}.old.files (table)",
        f"{HIVE}.old.v (view)",
    ]
    assert [each for each in scripts.server.statements() if each.startswith("DESCRIBE")] == []


def test_filters_select_schemas_and_tables(scripts: Scripts) -> None:
    scripts.load(metastore(DELTA, replace(DELTA, schema="other"), PARQUET))
    assert list(scripts.records("--include", f"{HIVE}.old.ev*")) == [f"{HIVE}.old.events"]
    assert [each for each in scripts.server.statements() if each.startswith("SHOW TABLES")] == [
        f"SHOW TABLES IN `{HIVE}`.`old`"
    ]
    assert list(scripts.records("--include", "main.*")) == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("SHOW TABLES", "schema not readable"),
        ("SHOW SCHEMAS", "database or project missing, dropped during the run, or not accessible"),
        ("SHOW VIEWS", "views of a schema of the Hive metastore not told from tables (SHOW VIEWS)"),
    ],
)
def test_what_is_not_readable_is_counted(scripts: Scripts, command: str, reason: str) -> None:
    scripts.load(metastore(DELTA, UNITY))
    scripts.server.deny(command)
    found = scripts.collect()
    assert found.skipped[reason] == 1
    assert found.records[0]["database"] == "main"


def test_a_table_dropped_after_show_is_counted(scripts: Scripts) -> None:
    scripts.load(metastore())
    scripts.server.fail("DESCRIBE TABLE EXTENDED `hive_metastore`.`old`.`events`", "denied")
    found = scripts.collect()
    assert [record["name"] for record in found.records] == ["files", "v"]
    reason = "table of the Hive metastore not described: dropped during the run, not readable, or too slow"
    assert found.skipped[reason] == 1


def test_tables_that_are_not_reached_have_names_only(scripts: Scripts) -> None:
    scripts.load(metastore(DELTA, VIEW))
    found = scripts.collect(DATABRICKS_DETAIL_SECONDS="0")
    reason = "table of the Hive metastore not described: DATABRICKS_DETAIL_SECONDS is over"
    assert found.skipped == {reason: 2}
    assert [(each["type"], each["name"], "fields" in each) for each in found.records] == [
        ("TABLE", "events", False),
        ("VIEW", "v", False),
    ]


# --- the output of DESCRIBE --------------------------------------------------------------------------------

# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-describe-table
PARTITIONED = [
    ("customer", "struct<name:string>", None),
    ("day", "date", "of the event"),
    ("# Partition Information", "", ""),
    ("# col_name", "data_type", "comment"),
    ("day", "date", "of the event"),
    ("", "", ""),
    ("# Detailed Table Information", "", ""),
    ("Catalog", "spark_catalog", ""),
    ("Created Time", "Wed Aug 05 18:53:40 UTC 2026", ""),
    ("Type", "EXTERNAL", ""),
    ("Comment", "a comment", ""),
    ("Provider", "parquet", ""),
    ("", "", ""),
    ("# Storage Information", "", ""),
    ("Type", "not the type", ""),
]


def described(modules: Modules, rows: list[tuple[str, str, str | None]]) -> tuple[list[str], dict[str, str]]:
    module = modules["hive_metastore"]
    found = module.Described.of([module.DescribedRow(*row) for row in rows])
    return [column.name for column in found.fields], found.details


def test_partition_columns_come_once(modules: Modules) -> None:
    fields, details = described(modules, PARTITIONED)
    assert fields == ["customer", "day"]
    assert (details["Type"], details["Comment"], details["Provider"]) == ("EXTERNAL", "a comment", "parquet")


def test_a_column_named_like_a_detail_is_a_column(modules: Modules) -> None:
    rows: list[tuple[str, str, str | None]] = [("Type", "int", None), ("Comment", "string", None), *PARTITIONED[2:]]
    fields, details = described(modules, rows)
    assert (fields, details["Type"]) == (["Type", "Comment"], "EXTERNAL")


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("Wed Aug 05 18:53:40 UTC 2026", datetime(2026, 8, 5, 18, 53, 40, tzinfo=timezone.utc)),
        ("Wed Aug 05 18:53:40 GMT 2026", datetime(2026, 8, 5, 18, 53, 40, tzinfo=timezone.utc)),
        ("Wed Aug 05 18:53:40 IST 2026", None),  # India, Israel or Ireland
        ("Wed Aug 45 18:53:40 UTC 2026", None),
        ("UNKNOWN", None),
        ("", None),
    ],
)
def test_creation_times_are_known_only_in_utc(modules: Modules, text: str, created: datetime | None) -> None:
    module = modules["hive_metastore"]
    assert module.Described([], {"Created Time": text}).created == created
