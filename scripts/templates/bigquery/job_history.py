"""Reads the history of jobs that write or copy data, with what was committed, in the order in which they ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from connection import Place, Warehouse, is_too_much
from estimate import slicing_for
from logged_queries import LONGEST_JOB
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.collector import Options
from mcpush.records import AssetKey, TimeRange
from projects import job_places
from scopes import each_place

# Left out: scripts (their children have the same lineage, statement by statement), definitions of views (they copy no
# data), results of queries in hidden datasets. CREATE_TABLE also creates temporary tables that later statements fill.
# The text of an INSERT that reads no other table is not needed, and can be very long.
# https://docs.cloud.google.com/bigquery/docs/information-schema-jobs
# https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2 (statement types)
JOBS_SQL = """
SELECT
    j.job_id AS job_id,
    COALESCE(j.session_info.session_id, j.parent_job_id, j.job_id) AS session,
    j.job_type AS job_type,
    j.statement_type AS statement_type,
    j.transaction_id AS transaction_id,
    j.end_time AS end_time,
    j.destination_table.project_id AS target_project,
    j.destination_table.dataset_id AS target_dataset,
    j.destination_table.table_id AS target_table,
    TO_JSON_STRING(j.referenced_tables) AS referenced,
    CASE
        WHEN j.statement_type != 'INSERT'
            OR j.statement_type IS NULL
            OR EXISTS (
                SELECT 1
                FROM UNNEST(j.referenced_tables) AS r
                WHERE r.table_id != j.destination_table.table_id
                    OR r.dataset_id != j.destination_table.dataset_id
                    OR r.project_id != j.destination_table.project_id
            )
            THEN j.query
    END AS query_text
FROM {project}.{scope}.INFORMATION_SCHEMA.JOBS AS j
WHERE j.creation_time >= @created_since
    AND j.creation_time < @until
    AND j.end_time >= @since
    AND j.end_time < @until
    AND j.state = 'DONE'
    AND j.error_result.reason IS NULL
    AND (j.cache_hit IS NULL OR NOT j.cache_hit)
    AND (
        j.job_type IN ('LOAD', 'COPY', 'EXTRACT')
        OR j.job_type = 'QUERY'
        AND (
            j.statement_type IN (
                'COMMIT_TRANSACTION', 'ROLLBACK_TRANSACTION', 'EXPORT_DATA', 'CREATE_TABLE', 'CREATE_SNAPSHOT_TABLE'
            )
            OR j.destination_table.table_id IS NOT NULL
            AND (
                j.statement_type IS NULL
                OR j.statement_type NOT IN ('SELECT', 'SCRIPT', 'CREATE_VIEW', 'CREATE_MATERIALIZED_VIEW')
                OR j.statement_type = 'SELECT' AND NOT STARTS_WITH(j.destination_table.dataset_id, '_')
            )
        )
    )
ORDER BY j.end_time, j.job_id
"""

# How far before its window a run starts to read. Earlier statements of a session or script (temporary tables,
# transactions) determine what later ones read. Their edges are sent again, which changes nothing in Monte Carlo.
# ADAPT: set this to the longest time that one of your sessions, scripts or transactions takes.
OVERLAP = timedelta(hours=6)
# Each statement scans whole days of partitions, and the day before its slice.
SLICING = Slicing(first=timedelta(days=1), shortest=timedelta(minutes=15), few_rows=20_000, many_rows=200_000)
MAX_HELD_CHARACTERS = 50_000_000  # of query texts in uncommitted transactions

ROLLED_BACK = "statement of a transaction that was rolled back"
UNCOMMITTED = (
    "statement of a transaction without COMMIT in the window: it was rolled back, or is read again by the next run"
)
TOO_LONG = "statement of a transaction with too many statements to wait for its COMMIT"


class JobRow(NamedTuple):
    """A row of JOBS_SQL. The three parts of the target are NULL if the job has no destination table."""

    job_id: str
    session: str
    job_type: str
    statement_type: str | None
    transaction_id: str | None
    end_time: datetime
    target_project: str | None
    target_dataset: str | None
    target_table: str | None
    referenced: str | None
    query_text: str | None

    @property
    def target(self) -> AssetKey | None:
        if self.target_project and self.target_dataset and self.target_table:
            return self.target_project, self.target_dataset, self.target_table
        return None

    def references(self) -> Iterator[AssetKey]:
        """The tables that BigQuery read. They include the target of a statement that changes it.

        Leaves out those without a full name.
        """
        for key in self._recorded():
            if all(key):
                yield key

    @property
    def unnamed(self) -> int:
        """The number of tables that BigQuery read and recorded without a full name."""
        return sum(not all(key) for key in self._recorded())

    def _recorded(self) -> Iterator[AssetKey]:
        """The recorded tables. Parts that are NULL are empty."""
        for each in json.loads(self.referenced or "null") or ():
            yield each.get("project_id") or "", each.get("dataset_id") or "", each.get("table_id") or ""


def jobs(warehouse: Warehouse, options: Options) -> Iterator[tuple[Place, JobRow]]:
    """Yields the jobs that ended in the window or the OVERLAP before it, with the place where each ran.

    Reads all projects, because a job can write to another one. Counts projects and regions whose jobs are not readable;
    raises RefusedError if all are.
    """

    def read(place: Place) -> Iterator[tuple[Place, JobRow]]:
        return ((place, row) for row in committed(_rows(warehouse, place, options), options))

    places = job_places(warehouse, options)
    yield from each_place(options, places, "the jobs of any project (INFORMATION_SCHEMA.JOBS)", read)


def _rows(warehouse: Warehouse, place: Place, options: Options) -> Iterator[JobRow]:
    def read(part: TimeRange) -> Iterable[JobRow]:
        created_since = part.start - LONGEST_JOB
        return warehouse.rows(JobRow, JOBS_SQL, place, created_since=created_since, since=part.start, until=part.end)

    window = TimeRange(options.since - OVERLAP, options.until)
    return in_slices(window, read, slicing_for(warehouse, SLICING), is_too_much)


def committed(rows: Iterable[JobRow], options: Options) -> Iterator[JobRow]:
    """Yields the jobs whose changes are permanent. Those of a transaction follow when its COMMIT was read.

    https://docs.cloud.google.com/bigquery/docs/transactions
    """
    held: dict[str, list[JobRow]] = {}
    characters = 0
    for row in rows:
        if row.transaction_id is None:
            yield row
            continue
        if row.statement_type in ("COMMIT_TRANSACTION", "ROLLBACK_TRANSACTION"):
            ended = held.pop(row.transaction_id, [])
            characters -= sum(map(_characters, ended))
            if row.statement_type == "COMMIT_TRANSACTION":
                yield from ended
            else:
                _skip(ROLLED_BACK, ended, options)
            continue
        held.setdefault(row.transaction_id, []).append(row)
        characters += _characters(row)
        while characters > MAX_HELD_CHARACTERS:
            oldest = held.pop(next(iter(held)))
            characters -= sum(map(_characters, oldest))
            _skip(TOO_LONG, oldest, options)
    for waiting in held.values():
        _skip(UNCOMMITTED, waiting, options)


def _characters(row: JobRow) -> int:
    return len(row.query_text or "") + len(row.referenced or "")


def _skip(reason: str, rows: list[JobRow], options: Options) -> None:
    if rows:
        options.skip(reason, rows[0].job_id, len(rows))
