# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "google-cloud-bigquery>=3.40,<4",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects query logs: user, text, times, outcome and cost of each query.

Reads BigQuery's INFORMATION_SCHEMA.JOBS and writes a manifest, ``query_logs.jsonl``. Needs the roles and variables
listed in README.md; changes nothing in the warehouse.

    python collect_query_logs.py --state query_logs.state --manifest query_logs.jsonl.gz

A query belongs to the window in which it ended. A query that is still running belongs to a later window. With
``--state``, an hourly job neither misses nor repeats a query.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from connection import Place, Warehouse, connect, explain
from estimate import estimator
from logged_queries import LATENCY, RETENTION, listed_queries, query_logs
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import DATABASE, warn_about_narrow_filters
from mcpush.collect.query_text import add_text_limit
from mcpush.records import QueryLogRecord
from projects import clock, job_places

# ADAPT: limit the queries by user, statement type or label here, for instance j.user_email != 'etl@example.com'
QUERIES_CONDITION = "TRUE"

NO_REGION = "no region is known: no dataset is visible (set BIGQUERY_REGIONS to read the jobs of projects without any)"


def collect(warehouse: Warehouse, options: Options) -> Iterator[QueryLogRecord]:
    """Yields one record for each query that ended in the window; failed ones have ``error_code`` and ``error_text``."""
    yield from query_logs(warehouse, options, places(warehouse, options), QUERIES_CONDITION)


def places(warehouse: Warehouse, options: Options) -> list[Place]:
    """The projects that the filters select, with every region in which jobs can have run."""
    warn_about_narrow_filters(options.filters, DATABASE)
    found = job_places(warehouse, options)
    if not warehouse.regions and not any(warehouse.listings.values()):
        options.skip(NO_REGION, ", ".join(warehouse.projects))
    return [place for place in found if options.filters.allows_database(place.project)]


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields hour, project and number of queries, as ``--list`` prints them."""
    yield from listed_queries(warehouse, options, places(warehouse, options), QUERIES_CONDITION)


COLLECTOR = Collector(
    flow="query_logs",
    warehouse="bigquery",
    resource="bigquery",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect the queries that ended in a window, with user, error and cost, from BigQuery.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_text_limit,
    estimate=estimator(collect),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
