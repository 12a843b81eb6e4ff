"""Finds the last known write of each managed Iceberg table, in the system views of a region.

INFORMATION_SCHEMA has no column with the time of a table's last change that is documented for these tables. Known are:

- jobs that wrote the table (JOBS), in whichever project they ran
- rows that arrived over the Storage Write API (WRITE_API_TIMELINE), from Spark, Dataflow and others
- ``storage_last_modified_time`` of tables that TABLE_STORAGE lists. Its page names their type among its values, but the
  page of Iceberg tables says that it does not include them.

A table with none of these has no freshness. https://docs.cloud.google.com/bigquery/docs/biglake-iceberg-tables-in-bigquery
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from connection import Place, Value, Warehouse, is_missing_project, is_statement_error
from error_table import message
from mcpush.collect.collector import Options
from mcpush.program import positive
from mcpush.records import AssetKey

# A write in a transaction counts once that is committed: the LEFT JOIN finds the COMMIT. DML that changed no row is no
# write. The statement types are those of https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatistics2
# https://docs.cloud.google.com/bigquery/docs/information-schema-jobs
JOB_WRITES_SQL = """
SELECT
    j.destination_table.project_id AS project,
    j.destination_table.dataset_id AS schema_name,
    j.destination_table.table_id AS table_name,
    MAX(COALESCE(c.end_time, j.end_time)) AS written
FROM {project}.{scope}.INFORMATION_SCHEMA.JOBS AS j
LEFT JOIN {project}.{scope}.INFORMATION_SCHEMA.JOBS AS c
    ON c.transaction_id = j.transaction_id
    AND c.statement_type = 'COMMIT_TRANSACTION'
    AND c.state = 'DONE'
    AND c.error_result.reason IS NULL
    AND c.creation_time >= @since
WHERE j.creation_time >= @since
    AND j.state = 'DONE'
    AND j.error_result.reason IS NULL
    AND (j.transaction_id IS NULL OR c.transaction_id IS NOT NULL)
    AND (
        j.job_type = 'LOAD'
        OR j.statement_type IN ('INSERT', 'UPDATE', 'DELETE', 'MERGE', 'CREATE_TABLE_AS_SELECT', 'LOAD_DATA')
    )
    AND (
        COALESCE(
            j.dml_statistics.inserted_row_count,
            j.dml_statistics.updated_row_count,
            j.dml_statistics.deleted_row_count
        ) IS NULL
        OR j.dml_statistics.inserted_row_count > 0
        OR j.dml_statistics.updated_row_count > 0
        OR j.dml_statistics.deleted_row_count > 0
    )
    AND NOT STARTS_WITH(j.destination_table.dataset_id, '_')
GROUP BY
    j.destination_table.project_id,
    j.destination_table.dataset_id,
    j.destination_table.table_id
"""

# https://docs.cloud.google.com/bigquery/docs/information-schema-write-api
STREAMED_WRITES_SQL = """
SELECT
    w.project_id AS project,
    w.dataset_id AS schema_name,
    w.table_id AS table_name,
    MAX(w.start_timestamp) AS written
FROM {project}.{scope}.INFORMATION_SCHEMA.WRITE_API_TIMELINE AS w
WHERE w.start_timestamp >= @since
    AND w.error_code = 'OK'
    AND w.total_rows > 0
GROUP BY
    w.project_id,
    w.dataset_id,
    w.table_id
"""

# https://docs.cloud.google.com/bigquery/docs/information-schema-table-storage
STORAGE_SQL = """
SELECT
    s.project_id AS project,
    s.table_schema AS schema_name,
    s.table_name AS table_name,
    s.storage_last_modified_time AS written
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLE_STORAGE AS s
WHERE s.managed_table_type = 'BIGLAKE'
    AND s.storage_last_modified_time IS NOT NULL
    AND NOT s.deleted
"""

DEFAULT_LOOKBACK_HOURS = 48.0
RETENTION = timedelta(days=180)  # of JOBS and WRITE_API_TIMELINE: see their pages
NO_JOBS = "JOBS not readable: unless the project does not exist, freshness of the tables in its region is unknown"
NO_TIMELINE = "WRITE_API_TIMELINE not readable: freshness of the tables in its region unknown"
NO_STORAGE = "TABLE_STORAGE not readable: freshness comes from the other sources only"


class WriteRow(NamedTuple):
    """A table, and the time of its last write. ``table_name`` can have a partition as a suffix: name$20260101."""

    project: str
    schema_name: str
    table_name: str
    written: datetime


def add_freshness_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--freshness-lookback-hours",
        type=lookback_hours,
        default=DEFAULT_LOOKBACK_HOURS,
        metavar="H",
        help="look for writes in the last H hours (default: %(default)g); longer times read more of JOBS",
    )


def lookback_hours(text: str) -> float:
    """A number of hours for which the views have rows. Raises ArgumentTypeError for others."""
    hours = float(positive(float)(text))
    longest = RETENTION / timedelta(hours=1)
    if hours > longest:
        raise argparse.ArgumentTypeError(f"{hours:g} is too much: BigQuery keeps {longest:g} hours")
    return hours


class Freshness:
    """The last writes of the tables in each region, which it reads once."""

    def __init__(self, warehouse: Warehouse, options: Options) -> None:
        self._warehouse, self._options = warehouse, options
        self._since = datetime.now(timezone.utc) - timedelta(hours=options.arguments.freshness_lookback_hours)
        self._is_readable: dict[tuple[str, Place], bool] = {}
        self._writes: dict[AssetKey, datetime] = {}

    def writes(self, place: Place) -> dict[AssetKey, datetime] | None:
        """The last write of each table in the place, and maybe of tables elsewhere.

        None if JOBS or WRITE_API_TIMELINE are not readable: the last write of the other would look like a delay. Counts
        what is not readable.
        """
        region = Place(place.project, place.location)
        self._read(NO_STORAGE, STORAGE_SQL, region)
        required = [self._read(NO_TIMELINE, STREAMED_WRITES_SQL, region, since=self._since)]
        for project in self._warehouse.projects:  # a job can run in any project, but only in the region of its table
            required.append(self._read(NO_JOBS, JOB_WRITES_SQL, Place(project, place.location), since=self._since))
        return self._writes if all(required) else None

    def _read(self, reason: str, sql: str, place: Place, **values: Value) -> bool:
        """Adds the writes that the statement finds, once. Returns whether all of the place's writes are known."""
        key = reason, place
        if key in self._is_readable:
            return self._is_readable[key]
        try:
            for row in self._warehouse.rows(WriteRow, sql, place, **values):
                self._add(row)
            self._is_readable[key] = True
        except Exception as error:
            if not is_statement_error(error):
                raise
            self._options.skip(reason, f"{place}: {message(error)}")
            self._is_readable[key] = is_missing_project(error)  # no job runs in it
        return self._is_readable[key]

    def _add(self, row: WriteRow) -> None:
        key = row.project, row.schema_name, row.table_name.partition("$")[0]
        self._writes[key] = max(row.written, self._writes.get(key, row.written))
