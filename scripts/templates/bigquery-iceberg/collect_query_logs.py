# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "google-cloud-bigquery>=3.40,<4",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects query logs of managed Iceberg tables: the queries that read or wrote them, with user, text and cost.

Reads BigQuery's INFORMATION_SCHEMA.TABLES and JOBS and writes a manifest, ``query_logs.jsonl``. Needs the roles and
variables listed in README.md; changes nothing in the warehouse.

    python collect_query_logs.py --state query_logs.state --manifest query_logs.jsonl.gz

A query belongs to the window in which it ended. A query that is still running belongs to a later window. With
``--state``, an hourly job neither misses nor repeats a query. ``--include`` and ``--exclude`` select tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from connection import Place, Warehouse, connect, explain
from estimate import estimator
from iceberg_tables import TableRow, each_table_place
from logged_queries import LATENCY, RETENTION, listed_queries, query_logs
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.query_text import add_text_limit
from mcpush.console import log
from mcpush.records import QueryLogRecord
from projects import clock, job_places

# Views are resolved: REFERENCED_TABLES has the tables that they read. It is empty for results from the cache.
# Names can end in a partition or a time: name$20260101, name@1767225600000.
# https://docs.cloud.google.com/bigquery/docs/information-schema-jobs
TABLES_CONDITION = """(
        CONCAT(
            j.destination_table.project_id,
            '.',
            j.destination_table.dataset_id,
            '.',
            REGEXP_EXTRACT(j.destination_table.table_id, '^[^$@]*')
        ) IN UNNEST(@tables)
        OR EXISTS (
            SELECT 1
            FROM UNNEST(j.referenced_tables) AS r
            WHERE CONCAT(
                r.project_id,
                '.',
                r.dataset_id,
                '.',
                REGEXP_EXTRACT(r.table_id, '^[^$@]*')
            ) IN UNNEST(@tables)
        )
    )"""


@dataclass(frozen=True)
class Scope:
    """The names of the tables, and the places where jobs can have used them."""

    tables: list[str]
    places: list[Place]


def collect(warehouse: Warehouse, options: Options) -> Iterator[QueryLogRecord]:
    """Yields one record for each query of the tables that ended in the window; failed ones have an error."""
    scope = find_scope(warehouse, options)
    yield from query_logs(warehouse, options, scope.places, TABLES_CONDITION, tables=scope.tables)


def find_scope(warehouse: Warehouse, options: Options) -> Scope:
    """The tables that the filters select. A job can run in any project, but only in the region of its tables."""

    def located(place: Place, rows: Iterator[TableRow]) -> Iterator[tuple[str, str]]:
        return ((place.location, ".".join((place.project, *row.key))) for row in rows)

    found = list(each_table_place(warehouse, options, located))
    if warehouse.estimates is not None:  # statements return no rows, so the regions of the tables are unknown
        return Scope([], job_places(warehouse, options))
    log.info("%d managed Iceberg tables selected", len(found))
    locations = sorted({location for location, _ in found})
    return Scope(
        [name for _, name in found],
        [Place(project, location) for project in warehouse.projects for location in locations],
    )


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields hour, project and number of queries, as ``--list`` prints them."""
    scope = find_scope(warehouse, options)
    yield from listed_queries(warehouse, options, scope.places, TABLES_CONDITION, tables=scope.tables)


COLLECTOR = Collector(
    flow="query_logs",
    warehouse="bigquery-iceberg",
    resource="bigquery",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect the queries of managed Iceberg tables that ended in a window from BigQuery.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_text_limit,
    estimate=estimator(collect),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
