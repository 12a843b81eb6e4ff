"""Reads the edges of table_lineage and column_lineage, each once per slice of the window, and merges them.

Kept in memory: each distinct pair of tables, and each distinct pair of columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from sys import intern
from typing import NamedTuple

from connection import Warehouse, is_too_much
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.collector import Options
from mcpush.lineage.graph import EXACT, Key, LineageTarget, external_asset
from mcpush.records import Asset, AssetKey, TimeRange
from table_lineage import TableLineage, bounds

# All kinds of entities and tables. Rows without a source are writes of values, and those without a target are reads.
# Databricks groups them, because a job repeats its edges with each run.
# https://docs.databricks.com/aws/en/admin/system-tables/lineage
EDGES_SQL = """
SELECT
    l.source_type AS source_type,
    l.source_table_catalog AS source_catalog,
    l.source_table_schema AS source_schema,
    l.source_table_name AS source_name,
    CASE WHEN l.source_table_name IS NULL THEN l.source_path END AS source_path,
    l.target_type AS target_type,
    l.target_table_catalog AS target_catalog,
    l.target_table_schema AS target_schema,
    l.target_table_name AS target_name,
    CASE WHEN l.target_table_name IS NULL THEN l.target_path END AS target_path,
    MAX(l.event_time) AS last_time,
    BOOL_OR({condition}) AS is_direct
FROM system.access.table_lineage AS l
WHERE l.event_date >= :first_day
    AND l.event_date <= :last_day
    AND l.event_time >= :since
    AND l.event_time < :until
    AND COALESCE(l.source_table_name, l.source_path) IS NOT NULL
    AND COALESCE(l.target_table_name, l.target_path) IS NOT NULL
    AND COALESCE({condition}, TRUE)
GROUP BY
    l.source_type,
    l.source_table_catalog,
    l.source_table_schema,
    l.source_table_name,
    CASE WHEN l.source_table_name IS NULL THEN l.source_path END,
    l.target_type,
    l.target_table_catalog,
    l.target_table_schema,
    l.target_table_name,
    CASE WHEN l.target_table_name IS NULL THEN l.target_path END
"""

# The page states direct_access for table_lineage only: only columns of its edges are kept. Paths have no columns.
# https://docs.databricks.com/aws/en/admin/system-tables/lineage
COLUMN_EDGES_SQL = """
SELECT
    l.source_table_catalog AS source_catalog,
    l.source_table_schema AS source_schema,
    l.source_table_name AS source_name,
    l.source_column_name AS source_column,
    l.target_table_catalog AS target_catalog,
    l.target_table_schema AS target_schema,
    l.target_table_name AS target_name,
    l.target_column_name AS target_column
FROM system.access.column_lineage AS l
WHERE l.event_date >= :first_day
    AND l.event_date <= :last_day
    AND l.event_time >= :since
    AND l.event_time < :until
    AND l.source_table_name IS NOT NULL
    AND l.source_column_name IS NOT NULL
    AND l.target_table_name IS NOT NULL
    AND l.target_column_name IS NOT NULL
GROUP BY
    l.source_table_catalog,
    l.source_table_schema,
    l.source_table_name,
    l.source_column_name,
    l.target_table_catalog,
    l.target_table_schema,
    l.target_table_name,
    l.target_column_name
"""

# Slices of whole days suit the partitions. The next one is longer after few rows, and shorter after many.
SLICING = Slicing(first=timedelta(days=1), shortest=timedelta(minutes=15), few_rows=50_000, many_rows=1_000_000)

NO_NAME = "lineage of an object without catalog, schema and name"
UNKNOWN_ACCESS = "edge that can be indirect: direct_access is not set"
NO_EDGE = "column lineage without direct table lineage"


class EdgeRow(NamedTuple):
    """A row of EDGES_SQL. A path is only set if there is no name. ``is_direct`` is None if Databricks does not say."""

    source_type: str | None
    source_catalog: str | None
    source_schema: str | None
    source_name: str | None
    source_path: str | None
    target_type: str | None
    target_catalog: str | None
    target_schema: str | None
    target_name: str | None
    target_path: str | None
    last_time: datetime
    is_direct: bool | None


class ColumnEdgeRow(NamedTuple):
    """A row of COLUMN_EDGES_SQL."""

    source_catalog: str
    source_schema: str
    source_name: str
    source_column: str
    target_catalog: str
    target_schema: str
    target_name: str
    target_column: str


class Edges:
    """The distinct edges between tables and paths. ``kinds`` has the newest type that lineage has for a table."""

    def __init__(self) -> None:
        self.paths: dict[AssetKey, Asset] = {}
        self.kinds: dict[AssetKey, tuple[datetime, str]] = {}
        self._sources: dict[AssetKey, dict[AssetKey, None]] = {}
        self._keys: dict[AssetKey, AssetKey] = {}  # each key once in memory

    def add(self, row: EdgeRow, options: Options) -> None:
        source = self._key(row.last_time, *row[:5])
        target = self._key(row.last_time, *row[5:10])
        if source is None or target is None:
            options.skip(NO_NAME, ".".join(part or "?" for part in (*row[1:5], "->", *row[6:10])))
        elif row.is_direct is None:
            options.skip(UNKNOWN_ACCESS, f"{'.'.join(target)} <- {'.'.join(source)}")
        else:
            self._sources.setdefault(target, {})[source] = None

    def _key(
        self,
        time: datetime,
        kind: str | None,
        catalog: str | None,
        schema: str | None,
        name: str | None,
        path: str | None,
    ) -> AssetKey | None:
        if name is None and path:
            asset = external_asset(path)
            self.paths[asset.key] = asset
            return asset.key
        if not (catalog and schema and name):
            return None
        key = catalog, schema, name
        key = self._keys.setdefault(key, key)
        if key not in self.kinds or self.kinds[key] < (time, kind or ""):
            self.kinds[key] = time, kind or ""
        return key

    def targets(self, asset_of: Callable[[AssetKey], Asset]) -> dict[Key, LineageTarget]:
        """The targets by key, with their sources and without columns."""
        found: dict[Key, LineageTarget] = {}
        for key, sources in self._sources.items():
            target = LineageTarget(self.paths.get(key) or asset_of(key), "table_lineage", EXACT)
            for source in sources:
                target.add(self.paths.get(source) or asset_of(source))
            if target.sources:  # a table can be its own only source
                found[key] = target
        return found


def read_edges(warehouse: Warehouse, window: TimeRange, options: Options) -> Edges:
    """The edges in the window."""
    edges, lineage = Edges(), TableLineage(warehouse)

    def read(part: TimeRange) -> Iterator[EdgeRow]:
        return iter(lineage.rows(EdgeRow, EDGES_SQL, **bounds(part)))

    for row in in_slices(window, read, SLICING, is_too_much):
        edges.add(row, options)
    return edges


def add_columns(
    warehouse: Warehouse, window: TimeRange, targets: Mapping[Key, LineageTarget], options: Options
) -> None:
    """Add the column mappings in the window to their targets, if the pair of tables has direct lineage."""

    def read(part: TimeRange) -> Iterator[ColumnEdgeRow]:
        return iter(warehouse.rows(ColumnEdgeRow, COLUMN_EDGES_SQL, **bounds(part)))

    for row in in_slices(window, read, SLICING, is_too_much):
        source_key, target_key = row[:3], row[4:7]
        target = targets.get(target_key)
        source = target.sources.get(source_key) if target else None
        if target and source:
            target.add(source, intern(row.target_column), intern(row.source_column))
        elif source_key != target_key:  # MERGE and UPDATE read their own target
            options.skip(NO_EDGE, f"{'.'.join(target_key)}.{row.target_column} <- {'.'.join(source_key)}")
