# /// script
# requires-python = ">=3.10"
# dependencies = ["tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.21,<4"]
# ///
"""Collects query logs: who ran which query, when, and whether it failed.

Reads Tiny's SYS_QUERY_HISTORY and writes a manifest, ``query_logs.jsonl``. Requires the grants and variables in
README.md.

    python collect_query_logs.py --state query_logs.state --manifest query_logs.jsonl.gz

A query belongs to the window in which it ended.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from connection import Warehouse, bound, clock, connect, explain, is_too_much, moment
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import DATABASE_AND_SCHEMA, warn_about_narrow_filters
from mcpush.collect.query_text import NO_DATABASE, NO_TEXT, add_text_limit, limited_text
from mcpush.records import QueryLogRecord, TimeRange, known

# https://tiny.example/docs/sys_query_history
HISTORY_SQL = """
SELECT
    h.query_id AS query_id,
    h.started_at AS started_at,
    h.ended_at AS ended_at,
    h.query_text AS query_text,
    h.user_name AS user_name,
    h.returned_rows AS returned_rows,
    h.error_code AS error_code,
    h.error_message AS error_message,
    h.session_id AS session_id,
    h.session_database AS database,
    h.session_schema AS schema
FROM sys_query_history AS h
WHERE h.ended_at >= :since
    AND h.ended_at < :until
ORDER BY h.ended_at, h.query_id
"""

# https://tiny.example/docs/sys_query_history
COUNTS_SQL = """
SELECT
    h.session_database AS database,
    h.session_schema AS schema,
    COUNT(*) AS queries
FROM sys_query_history AS h
WHERE h.ended_at >= :since
    AND h.ended_at < :until
GROUP BY h.session_database, h.session_schema
ORDER BY h.session_database, h.session_schema
"""

LATENCY = timedelta(minutes=5)  # https://tiny.example/docs/sys_query_history
RETENTION = timedelta(days=30)
SLICING = Slicing(shortest=timedelta(minutes=10))  # a single statement, unless it times out


class HistoryRow(NamedTuple):
    query_id: int
    started_at: str
    ended_at: str
    query_text: str | None
    user_name: str
    returned_rows: int | None
    error_code: int | None
    error_message: str | None
    session_id: int
    database: str | None
    schema: str | None


class CountRow(NamedTuple):
    database: str | None
    schema: str | None
    queries: int


def collect(warehouse: Warehouse, options: Options) -> Iterator[QueryLogRecord]:
    """One record for each query that ended in the window, including failed queries."""
    warn_about_narrow_filters(options.filters, DATABASE_AND_SCHEMA)

    def ended_in(part: TimeRange) -> Iterator[HistoryRow]:
        return iter(warehouse.rows(HistoryRow, HISTORY_SQL, since=bound(part.start), until=bound(part.end)))

    for row in in_slices(TimeRange(options.since, options.until), ended_in, SLICING, is_too_much):
        if not options.filters.allows_schema(row.database, row.schema):
            continue
        if not row.query_text:
            options.skip(NO_TEXT, str(row.query_id))
            continue
        yield QueryLogRecord(
            query_id=str(row.query_id),
            start_time=moment(row.started_at),
            end_time=moment(row.ended_at),
            query_text=limited_text(row.query_text, str(row.query_id), options),
            user=row.user_name,
            returned_rows=row.returned_rows,
            error_code=row.error_code,
            error_text=row.error_message,
            extra=known({"session_id": row.session_id, "database": row.database, "schema": row.schema}),
        )


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """The number of queries in each database, as ``--list`` prints them."""
    warn_about_narrow_filters(options.filters, DATABASE_AND_SCHEMA)
    counts: dict[str, int] = {}
    for row in warehouse.rows(CountRow, COUNTS_SQL, since=bound(options.since), until=bound(options.until)):
        if options.filters.allows_schema(row.database, row.schema):
            name = row.database or NO_DATABASE
            counts[name] = counts.get(name, 0) + row.queries
    return (f"{database} {queries}" for database, queries in counts.items())


COLLECTOR = Collector(
    flow="query_logs",
    warehouse="tiny",
    resource="s3",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect the queries that ended in a window from Tiny.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_text_limit,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
