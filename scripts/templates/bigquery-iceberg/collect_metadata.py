# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "google-cloud-bigquery>=3.40,<4",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects metadata of managed Iceberg tables: columns, labels, storage location and freshness.

Reads BigQuery's INFORMATION_SCHEMA and writes a manifest, ``metadata.jsonl``. Needs the roles and variables listed in
README.md; changes nothing in the warehouse.

    python collect_metadata.py --include 'my-project.lake.*' --manifest metadata.jsonl.gz

BigQuery does not know the rows and bytes of these tables, so they are not sent. Rows of the views are streamed in the
same order and merged: memory holds one table, and the time of the last write of each table that was written lately.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice

from connection import Place, Warehouse, connect, explain, is_statement_error
from descriptions import ColumnRow, Description, OptionRow, storage
from error_table import message
from estimate import estimator
from freshness import Freshness, add_freshness_arguments
from freshness_column import FreshnessColumn, add_column_argument
from iceberg_tables import TableRow, each_table_place
from mcpush.collect.catalog import NO_COLUMNS, SortedRows, listed_table, read_or_skip
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.rows import R
from mcpush.records import TableRecord, Tag

# The join with TABLES leaves out the columns of all other tables.
# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
# https://docs.cloud.google.com/bigquery/docs/information-schema-columns
# https://docs.cloud.google.com/bigquery/docs/information-schema-column-field-paths
COLUMNS_SQL = """
SELECT
    c.table_schema AS schema_name,
    c.table_name AS table_name,
    c.column_name AS column_name,
    COALESCE(p.field_path, c.column_name) AS field_path,
    COALESCE(p.data_type, c.data_type) AS data_type,
    p.description AS description,
    c.is_hidden AS is_hidden,
    c.is_partitioning_column AS is_partitioning_column,
    c.clustering_ordinal_position AS clustering_position
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
JOIN {project}.{scope}.INFORMATION_SCHEMA.COLUMNS AS c
    ON c.table_schema = t.table_schema
    AND c.table_name = t.table_name
LEFT JOIN {project}.{scope}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS AS p
    ON p.table_schema = c.table_schema
    AND p.table_name = c.table_name
    AND p.column_name = c.column_name
WHERE t.managed_table_type = 'BIGLAKE'
ORDER BY c.table_schema, c.table_name, c.ordinal_position, field_path
"""

# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
# https://docs.cloud.google.com/bigquery/docs/information-schema-table-options
OPTIONS_SQL = """
SELECT
    o.table_schema AS schema_name,
    o.table_name AS table_name,
    o.option_name AS option_name,
    o.option_value AS option_value
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
JOIN {project}.{scope}.INFORMATION_SCHEMA.TABLE_OPTIONS AS o
    ON o.table_schema = t.table_schema
    AND o.table_name = t.table_name
WHERE t.managed_table_type = 'BIGLAKE'
    AND o.option_name IN ('description', 'labels')
ORDER BY o.table_schema, o.table_name, o.option_name
"""

KIND = "iceberg table"
UNREADABLE_COLUMNS = "columns of a region or dataset not readable (COLUMNS, COLUMN_FIELD_PATHS)"
NO_OPTIONS = "descriptions and labels not readable (TABLE_OPTIONS)"
NO_LOCATION = "storage location unknown: not in the table's DDL"
NO_FRESHNESS = "freshness unknown (see --freshness-lookback-hours and --freshness-column)"
NOT_ESTIMATED = "--freshness-column is not in this estimate: it bills the whole column of each table that has it"


def collect(warehouse: Warehouse, options: Options) -> Iterator[TableRecord]:
    """Yields one record for each table that the filters select, by project, region, dataset and name."""
    reader = Reader(warehouse, options)
    yield from each_table_place(warehouse, options, reader.records)


class Reader:
    """Reads what is known about tables; with ``--only-freshness-and-volume`` only their freshness."""

    def __init__(self, warehouse: Warehouse, options: Options) -> None:
        self._warehouse, self._options = warehouse, options
        self._freshness = Freshness(warehouse, options)
        self._column = FreshnessColumn(warehouse, options)

    def records(self, place: Place, rows: Iterator[TableRow]) -> Iterator[TableRecord]:
        """Yields the record of each table. Runs no further statements in a place without tables."""
        first = list(islice(rows, 1))
        if not first and self._warehouse.estimates is None:
            return
        columns = self._sorted(UNREADABLE_COLUMNS, ColumnRow, COLUMNS_SQL, place)
        described = self._sorted(NO_OPTIONS, OptionRow, OPTIONS_SQL, place)
        writes = self._freshness.writes(place)
        for found in self._column.dated(place, chain(first, rows)):
            key = found.table.key
            modified = None
            if writes is not None and found.is_known:
                times = (writes.get((place.project, *key)), found.latest)
                modified = max((time for time in times if time is not None), default=None)
            description = Description.of(columns.take(key), described.take(key))
            yield self._record(place.project, found.table, description, modified)

    def _sorted(self, reason: str, kind: type[R], sql: str, place: Place) -> SortedRows[R]:
        def read() -> Iterator[R]:
            return iter(self._warehouse.rows(kind, sql, place))

        if self._options.only_freshness_and_volume:
            return SortedRows((), key=lambda row: (row[0], row[1]))
        rows = read_or_skip(self._options, reason, read, is_statement_error, lambda error: f"{place}: {message(error)}")
        return SortedRows(rows or (), key=lambda row: (row[0], row[1]))

    def _record(self, project: str, row: TableRow, description: Description, modified: datetime | None) -> TableRecord:
        name = ".".join((project, *row.key))
        if modified is None:
            self._options.skip(NO_FRESHNESS, name)
        return TableRecord(
            type="TABLE",
            kind=KIND,
            database=project,
            schema=row.schema_name,
            name=row.table_name,
            created_on=row.created,
            last_update_time=modified,
            description=description.text,
            fields=description.fields,
            tags=[] if self._options.only_freshness_and_volume else self._tags(name, row, description),
        )

    def _tags(self, name: str, row: TableRow, description: Description) -> list[Tag]:
        if not description.fields:
            self._options.skip(NO_COLUMNS, name)
        location = storage(row.ddl)
        if not location:
            self._options.skip(NO_LOCATION, name)
        return [*description.tags, *location]


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields the full name and type of each table, as ``--list`` prints them."""

    def listed(place: Place, rows: Iterator[TableRow]) -> Iterator[str]:
        return (listed_table(place.project, *row.key, KIND) for row in rows)

    yield from each_table_place(warehouse, options, listed)


def estimate(warehouse: Warehouse, options: Options) -> Iterator[str]:
    yield from estimator(collect)(warehouse, options)
    if options.arguments.freshness_column:
        yield NOT_ESTIMATED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_freshness_arguments(parser)
    add_column_argument(parser)


COLLECTOR = Collector(
    flow="metadata",
    warehouse="bigquery-iceberg",
    resource="bigquery",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect managed Iceberg tables with columns, labels and freshness from BigQuery into a manifest.",
    arguments=add_arguments,
    estimate=estimate,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
