# /// script
# requires-python = ">=3.10"
# dependencies = ["tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.21,<4"]
# ///
"""Collects table and column lineage from statements and views.

Reads Tiny's SYS_COLUMN_LINEAGE and SYS_VIEWS and writes a manifest, ``lineage.jsonl``. Requires the grants and
variables in README.md.

    python collect_lineage.py --state lineage.state --manifest lineage.jsonl.gz

Rows are streamed; the distinct edges stay in memory until the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from typing import NamedTuple

from connection import Warehouse, bound, clock, connect, explain, is_denied
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.lineage.graph import EXACT, LineageTarget, listed, merge_by_target
from mcpush.records import Asset, LineageRecord

# https://tiny.example/docs/sys_column_lineage
WRITES_SQL = """
SELECT
    l.target_database AS target_database,
    l.target_schema AS target_schema,
    l.target_name AS target_name,
    l.target_column AS target_column,
    l.source_database AS source_database,
    l.source_schema AS source_schema,
    l.source_name AS source_name,
    l.source_type AS source_type,
    l.source_column AS source_column
FROM sys_column_lineage AS l
WHERE l.ended_at >= :since
    AND l.ended_at < :until
ORDER BY
    l.target_database, l.target_schema, l.target_name,
    l.source_database, l.source_schema, l.source_name,
    l.target_column, l.source_column
"""

# https://tiny.example/docs/sys_views
SOURCES_SQL = """
SELECT
    v.database_name AS target_database,
    v.schema_name AS target_schema,
    v.view_name AS target_name,
    v.source_database AS source_database,
    v.source_schema AS source_schema,
    v.source_name AS source_name,
    v.source_type AS source_type
FROM sys_views AS v
ORDER BY
    v.database_name, v.schema_name, v.view_name,
    v.source_database, v.source_schema, v.source_name
"""

NO_VIEWS = "sources of views not visible (sys_views)"
LATENCY = timedelta(minutes=5)  # https://tiny.example/docs/sys_column_lineage
RETENTION = timedelta(days=30)


class WriteRow(NamedTuple):
    target_database: str
    target_schema: str
    target_name: str
    target_column: str
    source_database: str
    source_schema: str
    source_name: str
    source_type: str
    source_column: str


class SourceRow(NamedTuple):
    target_database: str
    target_schema: str
    target_name: str
    source_database: str
    source_schema: str
    source_name: str
    source_type: str


def collect(warehouse: Warehouse, options: Options) -> Iterator[LineageRecord]:
    """One record for each target that the filters allow, ordered by name."""
    edges = merge_by_target(chain(written(warehouse, options), read_by_views(warehouse, options)))
    for target in sorted(edges.values(), key=lambda target: target.asset.key):
        if options.filters.allows(*target.asset.key):
            yield target.record()


def written(warehouse: Warehouse, options: Options) -> Iterator[LineageTarget]:
    """The column that each row reports as written."""
    for row in warehouse.rows(WriteRow, WRITES_SQL, since=bound(options.since), until=bound(options.until)):
        target = LineageTarget(
            Asset("TABLE", row.target_database, row.target_schema, row.target_name), "sys_column_lineage", EXACT
        )
        source = Asset(row.source_type, row.source_database, row.source_schema, row.source_name)
        target.add(source, row.target_column, row.source_column)
        yield target


def read_by_views(warehouse: Warehouse, options: Options) -> Iterator[LineageTarget]:
    """The table that each view reads, regardless of the window."""
    for row in read_or_skip(options, NO_VIEWS, lambda: warehouse.rows(SourceRow, SOURCES_SQL), is_denied) or ():
        target = LineageTarget(
            Asset("VIEW", row.target_database, row.target_schema, row.target_name), "sys_views", EXACT
        )
        target.add(Asset(row.source_type, row.source_database, row.source_schema, row.source_name))
        yield target


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """The full name of each target and the number of its sources, as ``--list`` prints them."""
    return map(listed, collect(warehouse, options))


COLLECTOR = Collector(
    flow="lineage",
    warehouse="tiny",
    resource="tiny",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect table and column lineage from Tiny into a manifest.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
