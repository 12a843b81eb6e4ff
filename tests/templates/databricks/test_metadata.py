"""Tests metadata of Unity Catalog: complete records of a small shop, filters, parts, and what is not readable."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.folder_modules import error_of
from tests.templates.databricks.conftest import Scripts
from tests.warehouses.databricks.truth import Column, Commit, Relation, Warehouse

T0 = datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
ORDERS = Relation(
    "main",
    "sales",
    "orders",
    (
        Column("Id", "bigint", "the id"),
        Column("lines", "array<struct<sku:string,price:decimal(12,2)>>"),
        Column("a.b `c`", "map<string,timestamp_ntz>", tags={"pii": "no"}),
    ),
    T0,
    comment="all orders",
    altered=T0 + 90 * HOUR,  # a comment was changed: not a write
    rows=7,
    size=3_000,
    active_bytes=2_000,
    history=(
        Commit(0, T0, "CREATE TABLE"),
        Commit(1, T0 + HOUR, "WRITE"),
        Commit(2, T0 + 2 * HOUR, "MERGE"),
        Commit(3, T0 + 3 * HOUR, "OPTIMIZE"),
        Commit(4, T0 + 4 * HOUR, "SET TBLPROPERTIES"),
        Commit(5, T0 + 5 * HOUR, "VACUUM END"),
    ),
    tags={"team": "sales", "gold": ""},
)
ID = (Column("id", "int"),)
VIEW = Relation("main", "sales", "v_orders", ID, T0, kind="VIEW", definition="SELECT id FROM orders")
OTHERS = replace(VIEW, name="v_others", is_owned=False)
OTHER_KINDS = [
    Relation("main", "kinds", "external", ID, T0, kind="EXTERNAL", format="PARQUET", rows=3),
    Relation("main", "kinds", "foreign", ID, T0, kind="FOREIGN", format="POSTGRESQL_FORMAT"),
    Relation("main", "kinds", "iceberg", ID, T0, format="ICEBERG", rows=1, active_bytes=11),
    Relation("main", "kinds", "mat", ID, T0, kind="MATERIALIZED_VIEW", definition="SELECT 1 AS id", active_bytes=12),
    Relation("main", "kinds", "metric", ID, T0, kind="METRIC_VIEW", definition="version: 0.1"),
    Relation("main", "kinds", "shallow", ID, T0, kind="MANAGED_SHALLOW_CLONE", rows=2, size=13),
    Relation(
        "main", "kinds", "stream", ID, T0, kind="STREAMING_TABLE", history=(Commit(0, T0 + HOUR, "STREAMING UPDATE"),)
    ),
]
SHOP = [ORDERS, VIEW, OTHERS]


def shop(*relations: Relation, catalogs: tuple[str, ...] = ("main",), **more: Any) -> Warehouse:
    return Warehouse(catalogs, relations=list(relations or SHOP), **more)


def times(scripts: Scripts, text: str) -> int:
    return sum(text in statement for statement in scripts.server.statements())


# --- records -----------------------------------------------------------------------------------------------


def test_complete_records(scripts: Scripts) -> None:
    scripts.load(shop(schema_tags={("main", "sales"): {"of": "schema"}}, catalog_tags={"main": {"of": "catalog"}}))
    found = scripts.collect()
    assert found.header["resource_type"] == "databricks"
    assert found.records == [
        {
            "type": "TABLE",
            "kind": "managed table",
            "database": "main",
            "schema": "sales",
            "name": "orders",
            "created_on": "2026-05-04T03:02:01Z",
            "row_count": 7,
            "byte_count": 2_000,
            "last_update_time": "2026-05-04T05:02:01Z",
            "description": "all orders",
            "fields": [
                {"name": "Id", "type": "bigint", "description": "the id"},
                {"name": "lines", "type": "array<struct<sku:string,price:decimal(12,2)>>"},
                {"name": "a.b `c`", "type": "map<string,timestamp_ntz>"},
            ],
            "tags": [{"key": "gold"}, {"key": "team", "value": "sales"}],
        },
        {
            "type": "VIEW",
            "kind": "view",
            "database": "main",
            "schema": "sales",
            "name": "v_orders",
            "created_on": "2026-05-04T03:02:01Z",
            "view_query": "SELECT id FROM orders",
            "fields": [{"name": "id", "type": "int"}],
        },
        {
            "type": "VIEW",
            "kind": "view",
            "database": "main",
            "schema": "sales",
            "name": "v_others",
            "created_on": "2026-05-04T03:02:01Z",
            "fields": [{"name": "id", "type": "int"}],
        },
    ]
    assert found.skipped == {"view definition not visible": 1}
    assert found.examples == {"view definition not visible": "main.sales.v_others"}


def test_types_and_facts_of_every_kind(scripts: Scripts) -> None:
    scripts.load(shop(*OTHER_KINDS))
    found = scripts.records()
    facts = ("type", "kind", "row_count", "byte_count", "last_update_time")
    shown = {name.rpartition(".")[2]: [each.get(fact) for fact in facts] for name, each in found.items()}
    assert shown == {
        "external": ["TABLE", "external table", 3, None, None],
        "foreign": ["TABLE", "foreign table", None, None, None],
        "iceberg": ["TABLE", "managed table", 1, 11, None],
        "mat": ["VIEW", "materialized view", None, 12, None],
        "metric": ["VIEW", "metric view", None, None, None],
        "shallow": ["TABLE", "managed shallow clone", 2, 13, None],
        "stream": ["TABLE", "streaming table", None, None, "2026-05-04T04:02:01Z"],
    }
    asked = [statement for statement in scripts.server.statements() if "`kinds`" in statement]
    assert [each for each in asked if "`foreign`" in each or "`m" in each.rpartition(".")[2]] == []


def test_only_freshness_and_volume(scripts: Scripts) -> None:
    scripts.load(shop())
    full, short = scripts.records(), scripts.records("--only-freshness-and-volume")
    dropped = ("description", "fields", "tags", "view_query")
    assert short == {name: {key: each[key] for key in each if key not in dropped} for name, each in full.items()}


def test_the_list_has_the_same_names_and_asks_about_no_table(scripts: Scripts) -> None:
    scripts.load(shop())
    run = scripts.attempt("--list").check()
    assert run.stdout.splitlines() == [
        "main.sales.orders (managed table)",
        "main.sales.v_orders (view)",
        "main.sales.v_others (view)",
    ]
    assert times(scripts, "DESCRIBE") + times(scripts, "SHOW STATISTICS") == 0


def test_another_resource_type_is_written(scripts: Scripts) -> None:
    scripts.load(shop())
    found = scripts.collect("--resource-type", "data-lake")
    assert found.header["resource_type"] == "data-lake"


# --- catalogs and filters ----------------------------------------------------------------------------------


def test_catalogs_of_databricks_are_collected_only_if_they_are_named(scripts: Scripts) -> None:
    nyc = Relation("samples", "nyctaxi", "trips", ID, T0)
    scripts.load(shop(ORDERS, nyc, catalogs=("main", "samples")))
    assert list(scripts.records()) == ["main.sales.orders"]
    assert list(scripts.records("--include", "*")) == ["main.sales.orders"]
    assert list(scripts.records("--include", "samples.*")) == ["samples.nyctaxi.trips"]


def test_filters_select_catalogs_and_schemas_before_reading(scripts: Scripts) -> None:
    other = [replace(ORDERS, catalog="other"), replace(ORDERS, schema="hr")]
    scripts.load(shop(ORDERS, *other, catalogs=("main", "other")))
    assert list(scripts.records("--include", "MAIN.Sales.ord*")) == ["main.sales.orders"]
    conditions = [each for each in scripts.server.statements() if "t.table_catalog = :catalog" in each]
    assert conditions
    assert all("t.table_schema = :schema_name" in each for each in conditions)


def test_a_schema_that_is_not_readable_is_counted(scripts: Scripts) -> None:
    scripts.load(shop(ORDERS, replace(ORDERS, schema="hr"), replace(ORDERS, schema="it")))
    scripts.server.fail("t.data_source_format", "denied", after=2, times=1)  # both are read before, to ask about them
    found = scripts.collect("--include", "main.sales.*", "--include", "main.hr.*")
    assert ([each["schema"] for each in found.records], found.skipped) == (["sales"], {"schema not readable": 1})


def test_if_no_selected_schema_is_readable_the_run_is_refused(scripts: Scripts) -> None:
    scripts.load(shop(ORDERS, replace(ORDERS, schema="hr")))
    scripts.server.fail("t.data_source_format", "denied")
    scripts.attempt("--include", "main.sales.*").check(3)


@pytest.mark.parametrize("after", [0, 1])
def test_a_catalog_that_is_too_large_is_read_in_parts(scripts: Scripts, after: int) -> None:
    """Each table comes once, whether the listing or the records are too large."""
    tables = [replace(ORDERS, schema=schema, name=f"t{at}") for schema in ("a", "b") for at in range(3)]
    scripts.load(shop(*tables))
    scripts.server.fail("t.table_schema <> 'information_schema'", "timeout", after=after)
    found = scripts.records()
    assert list(found) == [f"main.{schema}.t{at}" for schema in ("a", "b") for at in range(3)]
    assert {each["row_count"] for each in found.values()} == {7}


def test_no_visible_catalog_is_refused(scripts: Scripts) -> None:
    scripts.load(shop())
    run = scripts.attempt(DATABRICKS_TOKEN=scripts.server.token("denied")).check(3)
    assert "No catalog with tables is visible" in error_of(run)["message"]


def test_a_revoked_information_schema_is_refused(scripts: Scripts) -> None:
    scripts.load(shop())
    scripts.server.deny("information_schema.tables")
    scripts.attempt().check(3)


@pytest.mark.parametrize(
    ("view", "reason", "key"),
    [
        ("information_schema.columns", "columns of a catalog not readable (information_schema.columns)", "fields"),
        (
            "information_schema.views",
            "view definitions of a catalog not readable (information_schema.views)",
            "view_query",
        ),
        ("information_schema.table_tags", "tags of a catalog not readable (information_schema.table_tags)", "tags"),
    ],
)
def test_a_view_that_is_not_readable_is_counted(scripts: Scripts, view: str, reason: str, key: str) -> None:
    scripts.load(shop())
    scripts.server.deny(view)
    found = scripts.collect()
    assert found.skipped[reason] == 1
    assert [record for record in found.records if key in record] == []


# --- sizes -------------------------------------------------------------------------------------------------

NO_SIZES = "system.storage.table_metrics_history not readable: bytes come from DESCRIBE DETAIL"


def test_the_newest_snapshot_has_the_size(scripts: Scripts) -> None:
    scripts.load(shop(ORDERS))
    assert scripts.records()["main.sales.orders"]["byte_count"] == 2_000
    assert times(scripts, "DESCRIBE DETAIL") == 0


@pytest.mark.parametrize("problem", ["denied", "disabled", "timeout"])
def test_without_snapshots_describe_detail_has_the_size(scripts: Scripts, problem: str) -> None:
    scripts.load(shop(ORDERS, replace(ORDERS, catalog="other"), catalogs=("main", "other")))
    if problem == "denied":
        scripts.server.deny("system.storage.table_metrics_history")
    elif problem == "disabled":
        scripts.server.disable("system.storage")
    else:
        scripts.server.fail("table_metrics_history", "timeout")
    found = scripts.collect()
    assert [record["byte_count"] for record in found.records] == [3_000, 3_000]
    assert found.skipped == {NO_SIZES: 1}


def test_a_snapshot_of_a_dropped_table_is_not_the_size_of_the_new_one(scripts: Scripts) -> None:
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    scripts.load(shop(ORDERS, replace(ORDERS, name="recreated", created=tomorrow)))
    sizes = {name: record["byte_count"] for name, record in scripts.records().items()}
    assert sizes == {"main.sales.orders": 2_000, "main.sales.recreated": 3_000}


def test_an_old_snapshot_is_not_the_size(scripts: Scripts) -> None:
    old = {
        "catalog_name": "main",
        "schema_name": "sales",
        "table_name": "orders",
        "snapshot_date": datetime.now(timezone.utc).date() - timedelta(days=30),
        "active_bytes": 5,
    }
    scripts.load(shop(replace(ORDERS, active_bytes=None), rows={"system.storage.table_metrics_history": [old]}))
    assert scripts.records()["main.sales.orders"]["byte_count"] == 3_000
