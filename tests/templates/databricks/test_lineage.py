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
    NOW,
    SINCE,
    UNTIL,
    Folder,
    asset,
    column_edge,
    edge,
    lineage,
    table,
    window,
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
    folder.fill({LINEAGE: [row for row in rows if row not in columns], COLUMN_LINEAGE: columns}, relations)


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
