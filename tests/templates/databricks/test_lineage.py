"""Tests lineage: the edges that the two lineage tables have in the window, by target, each once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.templates.databricks.system_tables import (
    COLUMN_LINEAGE,
    LINEAGE,
    SINCE,
    UNTIL,
    Folder,
    asset,
    column_edge,
    edge,
    lineage,
    table,
)
from tests.warehouses.databricks.launch import DatabricksServer

MISSING = "destination not in the catalog (renamed or dropped), or not visible to this principal"
NOT_LISTED = "catalog without visible tables: dropped and renamed tables in it are not recognized"
NO_COLUMNS = "column lineage not readable (system.access.column_lineage)"
NO_EDGE = "column lineage without direct table lineage"
NO_NAME = "lineage of an object without catalog, schema and name"
UNKNOWN_ACCESS = "edge that can be indirect: direct_access is not set"
ORDERS, ITEMS, RAW = "main.shop.orders", "main.shop.items", "raw.landing.orders"
TABLES = [table(ORDERS), table(ITEMS), table(RAW)]
OVERLAP = timedelta(days=1)


@pytest.fixture(scope="module")
def server() -> Iterator[DatabricksServer]:
    with DatabricksServer() as started:
        yield started


@pytest.fixture
def folder(server: DatabricksServer, tmp_path: Path) -> Folder:
    return Folder(server, tmp_path)


def fill(folder: Folder, *rows: dict[str, Any], relations: Any = TABLES) -> None:
    """Rows with a column name are of column_lineage."""
    columns = [row for row in rows if "target_column_name" in row]
    folder.fill({LINEAGE: [row for row in rows if "target_column_name" not in row], COLUMN_LINEAGE: columns}, relations)


# --- edges -------------------------------------------------------------------------------------------------


def test_sources_and_columns_of_a_table_are_one_record(folder: Folder) -> None:
    fill(
        folder,
        edge(RAW, ORDERS),
        edge(ITEMS, ORDERS),
        column_edge(RAW, "amount", ORDERS, "total"),
        column_edge(ITEMS, "price", ORDERS, "total"),
        column_edge(RAW, "id", ORDERS, "id"),
    )
    collected = folder.collect("lineage")
    columns = {"id": [(1, "id")], "total": [(0, "price"), (1, "amount")]}
    assert collected.records == [lineage(asset(ORDERS), asset(ITEMS), asset(RAW), columns=columns)]
    assert collected.skipped == {}
    assert collected.header["resource_type"] == "databricks"


def test_an_edge_of_many_runs_is_sent_once(folder: Folder) -> None:
    """Across slices, too: the second is read separately."""
    times = (SINCE, SINCE + timedelta(minutes=5), SINCE - timedelta(hours=23), UNTIL - timedelta(seconds=1))
    fill(folder, *(edge(RAW, ORDERS, at) for at in times), *(column_edge(RAW, "id", ORDERS, "id", at) for at in times))
    expected = lineage(asset(ORDERS), asset(RAW), columns={"id": [(0, "id")]})
    assert folder.collect("lineage").records == [expected]


def test_every_kind_of_entity_is_collected(folder: Folder) -> None:
    kinds = ("NOTEBOOK", "JOB", "PIPELINE", "DASHBOARD_V3", "DBSQL_DASHBOARD", "DBSQL_QUERY", None, "NEW_KIND")
    names = [f"main.shop.t{n}" for n in range(len(kinds))]
    rows = [edge(RAW, name, entity_type=kind) for name, kind in zip(names, kinds, strict=True)]
    fill(folder, *rows, relations=[*TABLES, *map(table, names)])
    assert folder.collect("lineage").records == [lineage(asset(name), asset(RAW)) for name in names]


@pytest.mark.parametrize("is_listed", [True, False], ids=["by the catalog", "by the lineage"])
def test_every_kind_of_table_has_its_type(folder: Folder, is_listed: bool) -> None:
    """The same types as in metadata. If the catalog is not visible, the types of the lineage."""
    kinds = {
        "MATERIALIZED_VIEW": "VIEW",
        "METRIC_VIEW": "VIEW",
        "STREAMING_TABLE": "TABLE",
        "TABLE": "TABLE",
        "VIEW": "VIEW",
    }
    names = {kind: f"main.shop.{kind.lower()}" for kind in kinds}
    rows = [edge(RAW, names[kind], target_kind=kind) for kind in kinds]
    rows += [edge(names[kind], ORDERS, source_kind=kind) for kind in kinds]
    listed = [table(name, "EXTERNAL" if kind == "TABLE" else kind) for kind, name in names.items()]
    fill(folder, *rows, relations=[*TABLES, *listed] if is_listed else [])
    collected = folder.collect("lineage")
    found = [asset(names[kind], kinds[kind]) for kind in kinds]
    assert collected.records == [
        *(lineage(each, asset(RAW)) for each in found[:2]),
        lineage(asset(ORDERS), *found),
        *(lineage(each, asset(RAW)) for each in found[2:]),
    ]
    assert collected.skipped == ({} if is_listed else {NOT_LISTED: 2})


def test_the_newest_type_counts_if_the_catalog_does_not_have_the_table(folder: Folder) -> None:
    """A table was replaced by a view of the same name."""
    old, new = edge(RAW, ORDERS), edge(ITEMS, ORDERS, UNTIL - timedelta(minutes=1), target_kind="VIEW")
    fill(folder, new, old, edge(RAW, ORDERS, SINCE + timedelta(minutes=1)), relations=())
    expected = lineage(asset(ORDERS, "VIEW"), asset(ITEMS), asset(RAW))
    assert folder.collect("lineage").records == [expected]


def test_names_are_not_split(folder: Folder) -> None:
    source, target = ("main", "my.schema", 'a "b" `c`.d'), ("raw", "über", "x'y; --\\")
    fill(folder, edge(source, target), column_edge(source, "c.1", target, "`c`"), relations=())
    expected = lineage(asset(target), asset(source), columns={"`c`": [(0, "c.1")]})
    assert folder.collect("lineage").records == [expected]


def test_reads_writes_of_values_and_own_rows_are_not_lineage(folder: Folder) -> None:
    fill(
        folder,
        edge(RAW, None),
        edge(None, ORDERS),
        edge(ORDERS, ORDERS),  # MERGE
        column_edge(ORDERS, "id", ORDERS, "id"),
    )
    collected = folder.collect("lineage")
    assert (collected.records, collected.skipped) == ([], {})


def test_indirect_accesses_are_left_out(folder: Folder) -> None:
    """The statement reads a view; its base table is read indirectly. column_lineage does not tell them apart."""
    view = "main.shop.v_items"
    fill(
        folder,
        edge(view, ORDERS, source_kind="VIEW"),
        edge(ITEMS, ORDERS, direct_access=False),
        column_edge(view, "id", ORDERS, "id"),
        column_edge(ITEMS, "item_id", ORDERS, "id"),
        relations=[*TABLES, table(view, "VIEW")],
    )
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset(view, "VIEW"), columns={"id": [(0, "id")]})]
    assert collected.skipped == {NO_EDGE: 1}
    assert collected.examples[NO_EDGE] == f"{ORDERS}.id <- {ITEMS}"


def test_an_edge_is_direct_if_one_access_is(folder: Folder) -> None:
    fill(folder, *(edge(RAW, ORDERS, direct_access=value) for value in (False, True, None)))
    collected = folder.collect("lineage")
    assert (collected.records, collected.skipped) == ([lineage(asset(ORDERS), asset(RAW))], {})


def test_edges_that_can_be_indirect_are_counted(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS, direct_access=None), edge(ITEMS, ORDERS))
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset(ITEMS))]
    assert collected.skipped == {UNKNOWN_ACCESS: 1}
    assert collected.examples[UNKNOWN_ACCESS] == f"{ORDERS} <- {RAW}"


def test_without_direct_access_all_edges_are_collected_with_a_warning(folder: Folder) -> None:
    """The server refuses the column as Databricks refuses an unknown one."""
    fill(folder, edge(RAW, ORDERS, direct_access=None), edge(ITEMS, ORDERS, direct_access=False))
    message = (
        "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name `l`.`direct_access` "
        "cannot be resolved. Did you mean one of the following? [`l`.`source_path`] SQLSTATE: 42703"
    )
    folder.server.fail("l.direct_access", "error", message=message, state="42703")
    run = folder.run("lineage").check()
    assert "system.access.table_lineage has no direct_access" in run.stderr
    assert folder.records("lineage") == [lineage(asset(ORDERS), asset(ITEMS), asset(RAW))]


def test_another_unknown_column_is_not_taken_for_direct_access(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS))
    message = "[UNRESOLVED_COLUMN.WITH_SUGGESTION] … `l`.`source_path` cannot be resolved. SQLSTATE: 42703"
    folder.server.fail("l.source_path", "error", message=message, state="42703")
    run = folder.run("lineage").check(4)
    assert "direct_access" not in run.stderr


def test_an_object_without_a_full_name_is_counted(folder: Folder) -> None:
    row = edge(RAW, ORDERS)
    fill(folder, {**row, "source_table_catalog": None}, {**row, "target_table_schema": ""}, edge(ITEMS, ORDERS))
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset(ITEMS))]
    assert collected.skipped == {NO_NAME: 2}


# --- paths -------------------------------------------------------------------------------------------------


def test_paths_are_external_assets(folder: Folder) -> None:
    """A row of a table has the path where it is stored, too: it is not another source."""
    fill(
        folder,
        edge("s3://lake/in/2026/11/30/part.parquet", ORDERS),
        edge("s3://lake/in/2026/12/01/part.parquet", ORDERS),
        edge("abfss://raw@account.dfs.core.windows.net/in", ORDERS),
        edge(ORDERS, "dbfs:/exports/orders"),
        edge("/Volumes/main/shop/files/a.csv", "/Volumes/main/shop/files/a.csv"),
    )
    azure = asset(
        ("abfss", "raw@account.dfs.core.windows.net", "abfss://raw@account.dfs.core.windows.net/in"), "EXTERNAL"
    )
    s3 = asset(("s3", "lake", "s3://lake/in/"), "EXTERNAL")
    export = asset(("external", "dbfs:", "dbfs:/exports/orders"), "EXTERNAL")
    collected = folder.collect("lineage")
    assert collected.records == [lineage(export, asset(ORDERS)), lineage(asset(ORDERS), azure, s3)]
    assert collected.skipped == {}


# --- tables that no longer exist ---------------------------------------------------------------------------


def test_a_dropped_table_is_replaced_with_its_sources(folder: Folder) -> None:
    """As its target, it is counted."""
    staging = "main.shop.orders_staging"
    fill(
        folder,
        edge(RAW, staging),
        edge(staging, ORDERS, UNTIL - timedelta(minutes=1)),
        column_edge(RAW, "amount", staging, "sum"),
        column_edge(staging, "sum", ORDERS, "total"),
    )
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset(RAW), columns={"total": [(0, "amount")]})]
    assert (collected.skipped, collected.examples[MISSING]) == ({MISSING: 1}, staging)


def test_a_missing_source_without_known_sources_is_kept(folder: Folder) -> None:
    """It can exist, and be visible to nobody but its owner."""
    fill(folder, edge("raw.hidden.orders", ORDERS))
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset("raw.hidden.orders"))]


def test_without_a_visible_table_in_a_catalog_all_can_exist(folder: Folder) -> None:
    """The principal can have a grant for system.access, and none for the catalogs."""
    fill(folder, edge("gone.a.source", ORDERS), edge(RAW, ORDERS), edge(ORDERS, "gone.b.target"), relations=TABLES[:1])
    collected = folder.collect("lineage")
    gone = [asset("gone.b.target"), asset("gone.a.source")]
    assert collected.records == [lineage(gone[0], asset(ORDERS)), lineage(asset(ORDERS), gone[1], asset(RAW))]
    assert collected.skipped == {NOT_LISTED: 2}
    folder.server.deny("information_schema.tables")
    collected = folder.collect("lineage")
    assert len(collected.records) == 2
    assert collected.skipped == {NOT_LISTED: 3}


def test_a_catalog_that_does_not_answer_does_not_end_the_run(folder: Folder) -> None:
    """A foreign catalog needs a connection to another system."""
    fill(folder, edge(RAW, ORDERS))
    message = "[FAILED_JDBC.UNCLASSIFIED] Failed JDBC: check that all connection options are correct. SQLSTATE: HV000"
    folder.server.fail("information_schema.tables", "error", message=message, state="HV000")
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset(RAW))]
    assert NOT_LISTED in collected.skipped


# --- windows -----------------------------------------------------------------------------------------------


def test_the_window_starts_a_day_earlier_and_excludes_its_end(folder: Folder) -> None:
    inside = (SINCE - OVERLAP, SINCE, UNTIL - timedelta(microseconds=1))
    outside = (SINCE - OVERLAP - timedelta(microseconds=1), UNTIL)
    names = [f"main.shop.t{n}" for n in range(5)]
    rows = [edge(RAW, name, at) for name, at in zip(names, inside + outside, strict=True)]
    rows += [column_edge(RAW, "id", name, "id", at) for name, at in zip(names, inside + outside, strict=True)]
    fill(folder, *rows, relations=[*TABLES, *map(table, names)])
    expected = [lineage(asset(name), asset(RAW), columns={"id": [(0, "id")]}) for name in names[:3]]
    for zone in ("UTC", "Asia/Tokyo", "America/Los_Angeles"):
        assert folder.collect("lineage", TZ=zone).records == expected


def test_an_event_can_have_the_date_of_the_next_day(folder: Folder) -> None:
    row = edge(RAW, ORDERS, UNTIL - timedelta(seconds=1)) | {"event_date": (UNTIL + timedelta(days=1)).date()}
    fill(folder, row)
    assert folder.collect("lineage").records == [lineage(asset(ORDERS), asset(RAW))]


def test_statements_are_bound_to_the_days_and_the_times_of_their_slice(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS))
    folder.collect("lineage")
    read = [text for text in folder.server.statements() if "_lineage AS l" in text]
    assert len(read) == 4  # two slices of each of the two tables
    for text in read:
        assert all(f":{name}" in text for name in ("first_day", "last_day", "since", "until")), text


def test_a_slice_that_takes_too_long_is_halved(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS), edge(ITEMS, ORDERS, UNTIL - timedelta(minutes=1)))
    folder.server.fail("table_lineage", "timeout", times=3)
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset(ITEMS), asset(RAW))]


def test_a_statement_that_always_takes_too_long_ends_the_run(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS))
    folder.server.fail("column_lineage", "timeout")
    folder.run("lineage").check(4)
    assert not list(folder.work.glob("lineage.jsonl*"))


# --- filters and lists -------------------------------------------------------------------------------------


def test_filters_select_targets(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS), edge(RAW, ITEMS), edge(ORDERS, "main.shop.gone"))
    collected = folder.collect("lineage", "--include", "main.shop.O*")
    assert (collected.records, collected.skipped) == ([lineage(asset(ORDERS), asset(RAW))], {})


def test_the_list_has_a_line_for_each_target(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS), column_edge(RAW, "id", ORDERS, "id"), edge(RAW, ITEMS))
    assert folder.run("lineage", "--list").check().stdout.splitlines() == [
        f"{ITEMS} <- 1 sources, 0 columns (table_lineage)",
        f"{ORDERS} <- 1 sources, 1 columns (table_lineage)",
    ]


def test_the_type_of_the_warehouse_in_monte_carlo_is_an_option(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS))
    assert folder.collect("lineage", "--resource-type", "data-lake").header["resource_type"] == "data-lake"


# --- what cannot be read -----------------------------------------------------------------------------------


def test_without_table_lineage_the_run_is_refused(folder: Folder) -> None:
    """A revoked grant, or a schema that no admin has enabled, is not an empty lineage."""
    fill(folder, edge(RAW, ORDERS))
    folder.server.deny(LINEAGE)
    run = folder.run("lineage").check(3)
    assert "GRANT USE SCHEMA, SELECT ON SCHEMA system.access TO `<principal>`" in run.summary["error"]["remedy"]
    folder.server.restore()
    folder.server.disable("system.access")
    folder.run("lineage").check(3)
    assert not list(folder.work.glob("lineage.jsonl*"))


def test_without_column_lineage_tables_are_collected(folder: Folder) -> None:
    fill(folder, edge(RAW, ORDERS), column_edge(RAW, "id", ORDERS, "id"))
    folder.server.deny(COLUMN_LINEAGE)
    collected = folder.collect("lineage")
    assert collected.records == [lineage(asset(ORDERS), asset(RAW))]
    assert collected.skipped == {NO_COLUMNS: 1}


def test_a_server_that_stops_midway_leaves_no_manifest(folder: Folder) -> None:
    rows = [edge(RAW, f"main.shop.t{n}") for n in range(50)]
    fill(folder, *rows, *(column_edge(RAW, "id", f"main.shop.t{n}", "id") for n in range(50)))
    for after in (1, 49, 53, 99):  # the edges, the tables that exist, the columns
        folder.server.cut_after(after)
        folder.run("lineage").check(4)
        assert not list(folder.work.glob("lineage.jsonl*"))
        folder.server.restore()
