# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "snowflake-connector-python>=4,<6",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects query logs: user, text, times, outcome and cost of each query.

Reads Snowflake's ACCOUNT_USAGE.QUERY_HISTORY and writes a manifest, ``query_logs.jsonl``. Needs the grants and
variables listed in README.md; changes nothing in the warehouse.

    python collect_query_logs.py --state query_logs.state --manifest query_logs.jsonl.gz

A query belongs to the window in which it ended. A query that is still running belongs to a later window. With
``--state``, an hourly job neither misses nor repeats a query.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from connection import clock, connect, explain, rows, timestamp
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import DATABASE_AND_SCHEMA, warn_about_narrow_filters
from mcpush.collect.query_text import NO_DATABASE, NO_TEXT, add_text_limit, limited_text
from mcpush.records import QueryLogRecord, iso_utc, known
from query_history import LONGEST_TEXT, REDACTED_TEXT, is_redacted
from snowflake.connector import SnowflakeConnection

# https://docs.snowflake.com/en/sql-reference/account-usage/query_history
# ADAPT: to add a column to extra, append it to this list and to QueryRow.
# START_TIME limits the scan of a year of history: no statement runs longer than a week.
QUERIES_SQL = """
SELECT
    QUERY_ID AS query_id,
    START_TIME AS start_time,
    END_TIME AS end_time,
    QUERY_TEXT AS query_text,
    USER_NAME AS user_name,
    ERROR_CODE AS error_code,
    ERROR_MESSAGE AS error_text,
    ROWS_WRITTEN_TO_RESULT AS rows_returned,
    DATABASE_NAME AS database,
    SCHEMA_NAME AS schema,
    ROLE_NAME AS role,
    SESSION_ID AS session_id,
    QUERY_TYPE AS query_type,
    QUERY_TAG AS query_tag,
    QUERY_PARAMETERIZED_HASH AS query_parameterized_hash,
    EXECUTION_STATUS AS execution_status,
    WAREHOUSE_NAME AS warehouse,
    WAREHOUSE_SIZE AS warehouse_size,
    WAREHOUSE_TYPE AS warehouse_type,
    TOTAL_ELAPSED_TIME AS total_elapsed_ms,
    COMPILATION_TIME AS compilation_ms,
    EXECUTION_TIME AS execution_ms,
    QUEUED_OVERLOAD_TIME AS queued_overload_ms,
    BYTES_SCANNED AS bytes_scanned,
    BYTES_WRITTEN AS bytes_written,
    ROWS_INSERTED AS rows_inserted,
    ROWS_UPDATED AS rows_updated,
    ROWS_DELETED AS rows_deleted,
    PARTITIONS_SCANNED AS partitions_scanned,
    PARTITIONS_TOTAL AS partitions_total,
    CREDITS_USED_CLOUD_SERVICES AS credits_used_cloud_services
FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY
WHERE END_TIME >= CAST(? AS TIMESTAMP_LTZ)
    AND END_TIME < CAST(? AS TIMESTAMP_LTZ)
    AND START_TIME >= CAST(? AS TIMESTAMP_LTZ)
ORDER BY END_TIME, QUERY_ID
"""

# https://docs.snowflake.com/en/sql-reference/account-usage/query_history
COUNTS_SQL = """
SELECT
    DATE_TRUNC('HOUR', END_TIME) AS hour,
    DATABASE_NAME AS database,
    SCHEMA_NAME AS schema,
    COUNT(*) AS queries
FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY
WHERE END_TIME >= CAST(? AS TIMESTAMP_LTZ)
    AND END_TIME < CAST(? AS TIMESTAMP_LTZ)
    AND START_TIME >= CAST(? AS TIMESTAMP_LTZ)
GROUP BY DATE_TRUNC('HOUR', END_TIME), DATABASE_NAME, SCHEMA_NAME
ORDER BY hour, database, schema
"""

LATENCY = timedelta(minutes=45)  # see the page of the view
RETENTION = timedelta(days=365)  # see the page of the view
# Maximum of STATEMENT_TIMEOUT_IN_SECONDS: https://docs.snowflake.com/en/sql-reference/parameters
LONGEST_STATEMENT = timedelta(seconds=604_800)


class QueryRow(NamedTuple):
    """A row of QUERIES_SQL. The fields after ``rows_returned`` go into ``extra`` under the same names."""

    query_id: str
    start_time: datetime
    end_time: datetime
    query_text: str | None
    user_name: str | None
    error_code: int | None
    error_text: str | None
    rows_returned: int | None
    database: str | None
    schema: str | None
    role: str | None
    session_id: int | None
    query_type: str | None
    query_tag: str | None
    query_parameterized_hash: str | None
    execution_status: str | None
    warehouse: str | None
    warehouse_size: str | None
    warehouse_type: str | None
    total_elapsed_ms: int | None
    compilation_ms: int | None
    execution_ms: int | None
    queued_overload_ms: int | None
    bytes_scanned: int | None
    bytes_written: int | None
    rows_inserted: int | None
    rows_updated: int | None
    rows_deleted: int | None
    partitions_scanned: int | None
    partitions_total: int | None
    credits_used_cloud_services: float | None


EXTRA = QueryRow._fields[QueryRow._fields.index("database") :]


class CountRow(NamedTuple):
    """A row of COUNTS_SQL."""

    hour: datetime
    database: str | None
    schema: str | None
    queries: int


def collect(connection: SnowflakeConnection, options: Options) -> Iterator[QueryLogRecord]:
    """Yields one record for each query that ended in the window; failed ones have ``error_code`` and ``error_text``."""
    warn_about_narrow_filters(options.filters, DATABASE_AND_SCHEMA)
    for row in rows(connection, QueryRow, QUERIES_SQL, _window(options)):
        # ADAPT: exclude queries by user, warehouse or tag here (the tag of these scripts is push-ingestion …).
        if not options.filters.allows_schema(row.database, row.schema):
            continue
        if not row.query_text:
            options.skip(NO_TEXT, row.query_id)
            continue
        if is_redacted(row.query_text):
            options.skip(REDACTED_TEXT, row.query_id)
        yield _record(row, limited_text(row.query_text, row.query_id, options, LONGEST_TEXT))


def _record(row: QueryRow, text: str) -> QueryLogRecord:
    return QueryLogRecord(
        query_id=row.query_id,
        start_time=row.start_time,
        end_time=row.end_time,
        query_text=text,
        user=row.user_name,
        returned_rows=row.rows_returned,
        error_code=None if row.error_code is None else str(row.error_code),
        error_text=row.error_text,
        extra=known(dict(zip(EXTRA, row[-len(EXTRA) :], strict=True))),
    )


def _window(options: Options) -> tuple[str, str, str]:
    """Returns the window, and the earliest start of a query that ended in it."""
    return timestamp(options.since), timestamp(options.until), timestamp(options.since - LONGEST_STATEMENT)


def targets(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Yields hour, database and number of queries, as ``--list`` prints them. Snowflake counts them in one query."""
    warn_about_narrow_filters(options.filters, DATABASE_AND_SCHEMA)
    wanted = (
        row
        for row in rows(connection, CountRow, COUNTS_SQL, _window(options))
        if options.filters.allows_schema(row.database, row.schema)
    )
    for (hour, database), group in groupby(wanted, key=lambda row: (row.hour, row.database)):
        yield f"{iso_utc(hour)} {database or NO_DATABASE} {sum(row.queries for row in group)}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text_limit(parser, LONGEST_TEXT)


COLLECTOR = Collector(
    flow="query_logs",
    warehouse="snowflake",
    resource="snowflake",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect the queries that ended in a window, with user, error and cost, from Snowflake.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
