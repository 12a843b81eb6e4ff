# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/logged_queries.py.
"""Streams the query jobs that ended in a window as query log records, place by place.

Reads INFORMATION_SCHEMA.JOBS. With bigquery.jobs.list instead of bigquery.jobs.listAll, jobs of other users have no
text. A window is read in slices of a day: JOBS has one partition for each day, and a statement scans whole partitions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from connection import Place, Value, Warehouse, is_too_much
from estimate import slicing_for
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.collector import Options
from mcpush.collect.query_text import NO_TEXT, limited_text
from mcpush.records import QueryLogRecord, TimeRange, iso_utc, known
from scopes import each_place

T = TypeVar("T")

# Only query jobs and background jobs: those of type LOAD, COPY and EXTRACT have no text. Jobs that are still running
# belong to a later window. The jobs of these scripts have the label push-ingestion.
# Repeated records are selected as JSON: the client takes several times as long to read nested ones.
# ADAPT: to add a column of JOBS to extra of query logs, append it to this list and to JobRow.
# https://docs.cloud.google.com/bigquery/docs/information-schema-jobs
JOBS_SQL = """
SELECT
    j.job_id AS job_id,
    j.start_time AS start_time,
    j.end_time AS end_time,
    j.query AS text,
    j.user_email AS user_name,
    j.error_result.reason AS error_code,
    j.error_result.message AS error_text,
    TO_JSON_STRING(j.labels) AS labels,
    j.project_id AS database,
    j.session_info.session_id AS session_id,
    j.transaction_id AS transaction_id,
    j.parent_job_id AS parent_job_id,
    j.job_type AS job_type,
    j.statement_type AS statement_type,
    j.priority AS priority,
    j.cache_hit AS cache_hit,
    j.total_bytes_processed AS total_bytes_processed,
    j.total_bytes_billed AS total_bytes_billed,
    j.total_slot_ms AS total_slot_ms,
    j.dml_statistics.inserted_row_count AS rows_inserted,
    j.dml_statistics.updated_row_count AS rows_updated,
    j.dml_statistics.deleted_row_count AS rows_deleted,
    j.query_info.query_hashes.normalized_literals AS query_hash,
    j.reservation_id AS reservation_id,
    j.edition AS edition
FROM {project}.{scope}.INFORMATION_SCHEMA.JOBS AS j
WHERE j.creation_time >= @created_since
    AND j.creation_time < @until
    AND j.end_time >= @since
    AND j.end_time < @until
    AND j.state = 'DONE'
    AND (j.job_type = 'QUERY' OR j.job_type IS NULL)
    AND NOT EXISTS (SELECT 1 FROM UNNEST(j.labels) AS l WHERE l.key = 'push-ingestion')
    AND {condition}
ORDER BY j.end_time, j.job_id
"""

# Counts the jobs that have a record. The conditions are those of JOBS_SQL and of _reason_to_skip.
# https://docs.cloud.google.com/bigquery/docs/information-schema-jobs
COUNTS_SQL = """
SELECT
    TIMESTAMP_TRUNC(j.end_time, HOUR) AS hour,
    COUNT(*) AS queries
FROM {project}.{scope}.INFORMATION_SCHEMA.JOBS AS j
WHERE j.creation_time >= @created_since
    AND j.creation_time < @until
    AND j.end_time >= @since
    AND j.end_time < @until
    AND j.state = 'DONE'
    AND j.job_type = 'QUERY'
    AND COALESCE(j.statement_type, '') NOT IN ('SCRIPT', 'EXPORT_METADATA')
    AND COALESCE(j.user_email, '') != 'bigquery-adminbot@system.gserviceaccount.com'
    AND NOT STARTS_WITH(j.job_id, 'materialized_view_refresh_')
    AND TRIM(j.query) != ''
    AND NOT EXISTS (SELECT 1 FROM UNNEST(j.labels) AS l WHERE l.key = 'push-ingestion')
    AND {condition}
GROUP BY TIMESTAMP_TRUNC(j.end_time, HOUR)
ORDER BY TIMESTAMP_TRUNC(j.end_time, HOUR)
"""

# How long before its end a job can have been created: it runs for at most 6 hours, and BigQuery tries it up to three
# times. https://docs.cloud.google.com/bigquery/quotas#query_jobs
# ADAPT: CREATE MODEL can run for 48 hours. A longer time reads more partitions of JOBS.
LONGEST_JOB = timedelta(hours=24)
SLICING = Slicing(first=timedelta(days=1), few_rows=10_000, many_rows=1_000_000)
LATENCY = timedelta(minutes=10)  # the page of JOBS says "near real-time"
RETENTION = timedelta(days=180)  # see the page of JOBS

JOBS = "the jobs of any project"  # in the error of a run that can read none
SCRIPT = "script: its statements are collected instead"
MAINTENANCE = "maintenance job of BigQuery"
# https://docs.cloud.google.com/bigquery/docs/information-schema-jobs#get-iceberg-storage-optimization-jobs
MAINTENANCE_USER = "bigquery-adminbot@system.gserviceaccount.com"
# https://docs.cloud.google.com/bigquery/docs/biglake-iceberg-tables-in-bigquery
MAINTENANCE_STATEMENT = "EXPORT_METADATA"
# https://docs.cloud.google.com/bigquery/docs/materialized-views-monitor#list_automatic_refresh_jobs
REFRESH_JOB = "materialized_view_refresh_"  # start of the ID of an automatic refresh


class JobRow(NamedTuple):
    """A row of JOBS_SQL. ``labels`` is a JSON array of objects with a key and a value.

    The fields from ``database`` on go into ``extra`` of a query log under the same names.
    """

    job_id: str
    start_time: datetime
    end_time: datetime
    text: str | None
    user_name: str | None
    error_code: str | None
    error_text: str | None
    labels: str | None
    database: str
    session_id: str | None
    transaction_id: str | None
    parent_job_id: str | None
    job_type: str | None
    statement_type: str | None
    priority: str | None
    cache_hit: bool | None
    total_bytes_processed: int | None
    total_bytes_billed: int | None
    total_slot_ms: int | None
    rows_inserted: int | None
    rows_updated: int | None
    rows_deleted: int | None
    query_hash: str | None
    reservation_id: str | None
    edition: str | None


EXTRA = JobRow._fields[JobRow._fields.index("database") :]


class CountRow(NamedTuple):
    """A row of COUNTS_SQL."""

    hour: datetime
    queries: int


def query_logs(
    warehouse: Warehouse, options: Options, places: list[Place], condition: str, **values: Value
) -> Iterator[QueryLogRecord]:
    """Yields one record for each query that ended in the window, in the order of the places, then by end time.

    ``condition`` further limits the rows of JOBS; ``values`` are bound to it. Double its braces (``{{``). Counts jobs
    without a record. Raises RefusedError if JOBS is not readable in any of the places.
    """
    sql = _statement(JOBS_SQL, condition)

    def read(place: Place) -> Iterator[QueryLogRecord]:
        def part(window: TimeRange) -> Iterator[JobRow]:
            return iter(warehouse.rows(JobRow, sql, place, **_bounds(window), **values))

        slicing = slicing_for(warehouse, SLICING)
        for row in in_slices(TimeRange(options.since, options.until), part, slicing, is_too_much):
            if reason := _reason_to_skip(row):
                options.skip(reason, f"{place} {row.job_id}")
            else:
                yield _record(row, place, options)

    yield from each_place(options, places, JOBS, read)


def listed_queries(
    warehouse: Warehouse, options: Options, places: list[Place], condition: str, **values: Value
) -> Iterator[str]:
    """Yields hour, project and number of queries, as ``--list`` prints them. BigQuery counts them."""
    sql = _statement(COUNTS_SQL, condition)
    window = _bounds(TimeRange(options.since, options.until))

    def read(place: Place) -> Iterator[tuple[str, str, int]]:
        for row in warehouse.rows(CountRow, sql, place, **window, **values):
            yield iso_utc(row.hour), place.project, row.queries

    found: Counter[tuple[str, str]] = Counter()  # a project has jobs in several regions
    for hour, project, queries in each_place(options, places, JOBS, read):
        found[hour, project] += queries
    for (hour, project), queries in sorted(found.items()):
        yield f"{hour} {project} {queries}"


def _statement(sql: str, condition: str) -> str:
    """The statement with the condition. ``Warehouse.rows`` fills in the project and the scope."""
    return sql.format(project="{project}", scope="{scope}", condition=condition)


def _bounds(window: TimeRange) -> dict[str, datetime]:
    return {"since": window.start, "until": window.end, "created_since": window.start - LONGEST_JOB}


def _reason_to_skip(row: JobRow) -> str | None:
    if row.statement_type == "SCRIPT":
        return SCRIPT
    if row.job_type is None or row.user_name == MAINTENANCE_USER or row.statement_type == MAINTENANCE_STATEMENT:
        return MAINTENANCE
    if row.job_id.startswith(REFRESH_JOB):
        return MAINTENANCE
    return None if (row.text or "").strip() else NO_TEXT


def _record(row: JobRow, place: Place, options: Options) -> QueryLogRecord:
    extra = dict(zip(EXTRA, row[-len(EXTRA) :], strict=True))
    return QueryLogRecord(
        query_id=row.job_id,
        start_time=row.start_time,
        end_time=row.end_time,
        query_text=limited_text(row.text or "", row.job_id, options),
        user=row.user_name,
        error_code=row.error_code,
        error_text=row.error_text,
        extra=known(extra | {"location": place.location, "labels": _labels(row.labels) or None}),
    )


def _labels(text: str | None) -> dict[str, str]:
    return {label["key"]: label["value"] for label in json.loads(text or "[]") or ()}
