# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "databricks-sql-connector[pyarrow]>=4.2,<5",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects lineage: the sources of tables, views, columns and paths.

Reads Unity Catalog's system.access.table_lineage and column_lineage and writes a manifest, ``lineage.jsonl``. Needs the
grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_lineage.py --state lineage.state --manifest lineage.jsonl.gz

Databricks records lineage itself, so no SQL is parsed. The distinct edges are kept in memory until the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta

from connection import Warehouse, clock, connect, explain, is_unreadable
from error_table import message
from existing_tables import ExistingTables
from lineage_edges import add_columns, read_edges
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.interrupts import stop_if_asked
from mcpush.lineage.graph import bypass_missing_tables, listed, missing_tables
from mcpush.records import LineageRecord, TimeRange
from table_lineage import RETENTION, refused_without

# No page states how far the lineage tables lag. So a run also reads the day before its window: what was late for the
# previous run. Edges that are sent again change nothing in Monte Carlo.
# ADAPT: a longer overlap for schedules that must not miss later records. It reads more days of both tables.
LATENCY = timedelta(hours=1)
OVERLAP = timedelta(days=1)

NO_COLUMNS = "column lineage not readable (system.access.column_lineage)"
MISSING_DESTINATION = "destination not in the catalog (renamed or dropped), or not visible to this principal"


def collect(warehouse: Warehouse, options: Options) -> Iterator[LineageRecord]:
    """Yields one record for each target that has a source and that the filters select, by name."""
    window = TimeRange(options.since - OVERLAP, options.until)
    with refused_without("system.access"):
        edges = read_edges(warehouse, window, options)
    existing = ExistingTables()
    existing.read(warehouse, edges.kinds.keys(), options)
    written = edges.targets(lambda key: existing.asset(key, edges.kinds[key][1]))
    read_or_skip(options, NO_COLUMNS, lambda: add_columns(warehouse, window, written, options), is_unreadable, message)
    for asset in missing_tables(written.values(), existing.exists):
        if options.filters.allows(*asset.key):
            options.skip(MISSING_DESTINATION, str(asset))
    found = bypass_missing_tables(written, existing.exists)
    for target in sorted(found, key=lambda target: target.asset.key):
        stop_if_asked()
        if options.filters.allows(*target.asset.key):
            yield target.ordered().record()


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields a line for each target, as ``--list`` prints it: full name, number of sources and columns."""
    return map(listed, collect(warehouse, options))


COLLECTOR = Collector(
    flow="lineage",
    warehouse="databricks",
    resource="databricks",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect table and column lineage from Databricks Unity Catalog into a manifest.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    other_resources=("databricks-metastore-sql-warehouse", "data-lake"),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
