"""Streams the queries that ended in a window from system.query.history, each once, with the tables' schema if known.

A query belongs to the window in which it ended. Databricks updates the record of a query that has ended, while its
results are fetched. If the last update comes more than two hours after the end, the query belongs to the window of the
update: the run for the earlier window could have been too early to see the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from connection import Warehouse, is_too_much
from mcpush.collect.catalog import SortedRows
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.collector import Options
from mcpush.records import TimeRange
from query_schemas import NO_SCHEMA, QuerySchemas, Schema, SchemaRow, bounds
from table_lineage import refused_without

# Running queries have no end_time. The bound on start_time limits the scan of a year of history. If there are several
# records of a query, the last one comes first.
# ADAPT: to add a column to extra of query logs, append it to this list and to HistoryRow; to limit the queries by user
# or client, add a condition: AND h.client_application <> 'dbt'. Add it to the other statements, too.
# https://docs.databricks.com/aws/en/admin/system-tables/query-history
HISTORY_SQL = """
SELECT
    h.logged_at AS logged_at,
    h.statement_id AS statement_id,
    h.start_time AS start_time,
    h.end_time AS end_time,
    h.statement_text AS text,
    h.executed_by AS user_name,
    h.error_message AS error_message,
    h.produced_rows AS produced_rows,
    h.workspace_id AS workspace_id,
    h.session_id AS session_id,
    h.execution_status AS execution_status,
    h.statement_type AS statement_type,
    h.executed_as AS executed_as,
    h.compute.type AS compute_type,
    h.compute.warehouse_id AS warehouse_id,
    h.compute.cluster_id AS cluster_id,
    h.client_application AS client_application,
    h.client_driver AS client_driver,
    h.query_source.job_info.job_id AS job_id,
    h.query_source.job_info.job_run_id AS job_run_id,
    h.query_source.notebook_id AS notebook_id,
    h.query_source.dashboard_id AS dashboard_id,
    h.total_duration_ms AS total_duration_ms,
    h.waiting_for_compute_duration_ms AS waiting_for_compute_duration_ms,
    h.waiting_at_capacity_duration_ms AS waiting_at_capacity_duration_ms,
    h.execution_duration_ms AS execution_duration_ms,
    h.compilation_duration_ms AS compilation_duration_ms,
    h.total_task_duration_ms AS total_task_duration_ms,
    h.result_fetch_duration_ms AS result_fetch_duration_ms,
    h.read_files AS read_files,
    h.read_rows AS read_rows,
    h.read_bytes AS read_bytes,
    h.written_rows AS written_rows,
    h.written_bytes AS written_bytes,
    h.spilled_local_bytes AS spilled_local_bytes,
    h.from_result_cache AS from_result_cache
FROM (
    SELECT
        q.*,
        CASE WHEN q.update_time > q.end_time + INTERVAL 2 HOURS THEN q.update_time ELSE q.end_time END AS logged_at
    FROM system.query.history AS q
    WHERE q.start_time >= :started_since
        AND q.start_time < :until
) AS h
WHERE h.logged_at >= :since
    AND h.logged_at < :until
ORDER BY h.logged_at, h.statement_id, h.update_time DESC
"""

# Counts the queries that have a record, and those whose text is redacted.
# https://docs.databricks.com/aws/en/admin/system-tables/query-history
COUNTS_SQL = """
SELECT
    DATE_TRUNC('HOUR', h.logged_at) AS hour,
    COUNT(DISTINCT CASE WHEN h.text <> '<redacted>' THEN h.statement_id END) AS queries,
    COUNT(DISTINCT CASE WHEN h.text = '<redacted>' THEN h.statement_id END) AS redacted
FROM (
    SELECT
        q.statement_id AS statement_id,
        LOWER(TRIM(q.statement_text)) AS text,
        CASE WHEN q.update_time > q.end_time + INTERVAL 2 HOURS THEN q.update_time ELSE q.end_time END AS logged_at
    FROM system.query.history AS q
    WHERE q.start_time >= :started_since
        AND q.start_time < :until
        AND TRIM(q.statement_text) <> ''
) AS h
WHERE h.logged_at >= :since
    AND h.logged_at < :until
GROUP BY DATE_TRUNC('HOUR', h.logged_at)
ORDER BY DATE_TRUNC('HOUR', h.logged_at)
"""

# Records are typically available within one hour, the page says; this is twice that. The statements contain it as well.
LATENCY = timedelta(hours=2)
RETENTION = timedelta(days=365)  # https://docs.databricks.com/aws/en/admin/system-tables/
SLICING = Slicing(first=timedelta(hours=1), shortest=timedelta(minutes=1), few_rows=20_000, many_rows=500_000)


class HistoryRow(NamedTuple):
    """A row of HISTORY_SQL. The fields from ``workspace_id`` on go into ``extra`` under the same names."""

    logged_at: datetime
    statement_id: str
    start_time: datetime
    end_time: datetime
    text: str | None
    user_name: str | None
    error_message: str | None
    produced_rows: int | None
    workspace_id: str | None
    session_id: str | None
    execution_status: str | None
    statement_type: str | None
    executed_as: str | None
    compute_type: str | None
    warehouse_id: str | None
    cluster_id: str | None
    client_application: str | None
    client_driver: str | None
    job_id: str | None
    job_run_id: str | None
    notebook_id: str | None
    dashboard_id: str | None
    total_duration_ms: int | None
    waiting_for_compute_duration_ms: int | None
    waiting_at_capacity_duration_ms: int | None
    execution_duration_ms: int | None
    compilation_duration_ms: int | None
    total_task_duration_ms: int | None
    result_fetch_duration_ms: int | None
    read_files: int | None
    read_rows: int | None
    read_bytes: int | None
    written_rows: int | None
    written_bytes: int | None
    spilled_local_bytes: int | None
    from_result_cache: bool | None


class CountRow(NamedTuple):
    """A row of COUNTS_SQL."""

    hour: datetime
    queries: int
    redacted: int


class QueryHistory:
    """Reads the history of one run."""

    def __init__(self, warehouse: Warehouse, options: Options) -> None:
        self._warehouse = warehouse
        self._schemas = QuerySchemas(warehouse, options)

    def queries(self, window: TimeRange) -> Iterator[tuple[HistoryRow, Schema]]:
        """Yields each query that ended in the window, by end, with the schema of its tables."""
        with refused_without("system.query"):
            yield from in_slices(window, self._queries, SLICING, is_too_much)

    def _queries(self, part: TimeRange) -> Iterator[tuple[HistoryRow, Schema]]:
        rows = self._warehouse.rows(HistoryRow, HISTORY_SQL, **bounds(part))
        schemas = SortedRows(self._schemas.rows(part), _place)
        for place, records in groupby(rows, key=_place):
            row = next(records)
            found = schemas.take(place)
            yield row, found[0].schema if found else NO_SCHEMA

    def schemas(self, window: TimeRange) -> Iterator[tuple[datetime, Schema]]:
        """Yields the hour and the schema of each query whose tables are known."""
        for row in in_slices(window, self._schemas.rows, SLICING, is_too_much):
            yield row.logged_at.replace(minute=0, second=0, microsecond=0), row.schema

    def counts(self, window: TimeRange) -> Iterator[CountRow]:
        """Numbers of queries by hour, possibly in parts. Those without a text are not counted."""
        with refused_without("system.query"):
            yield from in_slices(
                window, lambda part: self._warehouse.rows(CountRow, COUNTS_SQL, **bounds(part)), SLICING, is_too_much
            )


def _place(row: HistoryRow | SchemaRow) -> tuple[str, str]:
    """The position in the order of the statements, as texts that sort like it."""
    return row.logged_at.isoformat(timespec="microseconds"), row.statement_id
