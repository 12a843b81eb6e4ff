# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "google-cloud-bigquery>=3.40,<4",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects metadata: tables and views of all datasets, with columns, view SQL, labels, volume and freshness.

Reads BigQuery's INFORMATION_SCHEMA and writes a manifest, ``metadata.jsonl``. Needs the roles and variables listed in
README.md; changes nothing in the warehouse.

    python collect_metadata.py --include 'my-project.sales.*' --manifest metadata.jsonl.gz

Runs four statements for each project and region. Their rows are streamed in the same order and merged: memory holds one
table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from connection import Place, Warehouse, connect, explain, is_statement_error, is_too_much
from descriptions import ColumnRow, Description, OptionRow, storage
from error_table import message
from estimate import estimator
from mcpush.collect.catalog import (
    NO_COLUMNS,
    NO_VIEW_TEXT,
    IsError,
    SortedRows,
    listed_table,
    read_or_skip,
)
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.rows import R, Rows
from mcpush.records import TableRecord
from projects import check_places, selected_projects
from scopes import each_project
from shards import Selection, add_shard_argument
from volumes import TableRow, Volumes

# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
# https://docs.cloud.google.com/bigquery/docs/information-schema-table-storage
TABLES_AND_STORAGE_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.table_type AS table_type,
    t.managed_table_type AS managed_table_type,
    t.creation_time AS created,
    CASE WHEN t.managed_table_type = 'BIGLAKE' THEN t.ddl END AS ddl,
    s.table_name IS NOT NULL AS is_stored,
    s.total_rows AS row_count,
    s.total_logical_bytes AS byte_count,
    s.storage_last_modified_time AS modified
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
LEFT JOIN {project}.{scope}.INFORMATION_SCHEMA.TABLE_STORAGE AS s
    ON s.table_schema = t.table_schema
    AND s.table_name = t.table_name
    AND NOT s.deleted
ORDER BY t.table_schema, t.table_name
"""

# The same without TABLE_STORAGE, which a project can lack, and which no dataset has.
# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
TABLES_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.table_type AS table_type,
    t.managed_table_type AS managed_table_type,
    t.creation_time AS created,
    CASE WHEN t.managed_table_type = 'BIGLAKE' THEN t.ddl END AS ddl
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
ORDER BY t.table_schema, t.table_name
"""

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
FROM {project}.{scope}.INFORMATION_SCHEMA.COLUMNS AS c
LEFT JOIN {project}.{scope}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS AS p
    ON p.table_schema = c.table_schema
    AND p.table_name = c.table_name
    AND p.column_name = c.column_name
ORDER BY c.table_schema, c.table_name, c.ordinal_position, field_path
"""

# https://docs.cloud.google.com/bigquery/docs/information-schema-table-options
OPTIONS_SQL = """
SELECT
    o.table_schema AS schema_name,
    o.table_name AS table_name,
    o.option_name AS option_name,
    o.option_value AS option_value
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLE_OPTIONS AS o
WHERE o.option_name IN ('description', 'labels')
ORDER BY o.table_schema, o.table_name, o.option_name
"""

# VIEWS has no materialized views.
# https://docs.cloud.google.com/bigquery/docs/information-schema-views
# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
VIEWS_SQL = """
SELECT
    v.table_schema AS schema_name,
    v.table_name AS table_name,
    v.view_definition AS definition
FROM {project}.{scope}.INFORMATION_SCHEMA.VIEWS AS v
UNION ALL
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.ddl AS definition
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
WHERE t.table_type = 'MATERIALIZED VIEW'
ORDER BY schema_name, table_name
"""

NO_STORAGE = "TABLE_STORAGE not readable: volume and freshness come from tables.get"
NOT_STORED = "table without a row in TABLE_STORAGE: volume and freshness unknown"
ICEBERG_VOLUME = "managed Iceberg table: volume and freshness unknown (collect them with the bigquery-iceberg scripts)"
UNREADABLE_COLUMNS = "columns of a region or dataset not readable (COLUMNS, COLUMN_FIELD_PATHS)"
UNREADABLE_VIEWS = "view definitions of a region or dataset not readable (VIEWS)"
NO_OPTIONS = "descriptions and labels not readable (TABLE_OPTIONS)"


class ViewRow(NamedTuple):
    """A row of VIEWS_SQL: the SELECT of a view, or the CREATE statement of a materialized view."""

    schema_name: str
    table_name: str
    definition: str | None


def collect(warehouse: Warehouse, options: Options) -> Iterator[TableRecord]:
    """Yields one record for each table and view that the filters select, by project, region, dataset and name."""
    return records(warehouse, options, is_full=not options.only_freshness_and_volume)


def records(warehouse: Warehouse, options: Options, *, is_full: bool) -> Iterator[TableRecord]:
    selection = Selection(options)
    return selection.collapsed(_tables(warehouse, options, selection, is_full))


def _tables(warehouse: Warehouse, options: Options, selection: Selection, is_full: bool) -> Iterator[TableRecord]:
    reader = Reader(warehouse, options, selection, is_full)
    yield from each_project(warehouse, options, reader.tables)
    check_places(warehouse, selected_projects(warehouse, options))


class Reader:
    """Reads tables with all that is known about them. ``is_full``: not only volume and freshness."""

    def __init__(self, warehouse: Warehouse, options: Options, selection: Selection, is_full: bool) -> None:
        self._warehouse, self._options, self._selection, self._is_full = warehouse, options, selection, is_full
        self._volumes = Volumes(warehouse, options, selection.may_have)

    def tables(self, place: Place, seen: set[str]) -> Iterator[TableRecord]:
        """Yields the records of a region or dataset, and adds the names of all datasets with tables to ``seen``."""
        rows = self._rows(place)
        columns = self._sorted(UNREADABLE_COLUMNS, ColumnRow, COLUMNS_SQL, place)
        described = self._sorted(NO_OPTIONS, OptionRow, OPTIONS_SQL, place)
        views = self._sorted(UNREADABLE_VIEWS, ViewRow, VIEWS_SQL, place)
        for row in rows:
            seen.add(row.schema_name)
            if self._selection.read(place.project, row):
                view = next(iter(views.take(row.key)), None)
                description = Description.of(columns.take(row.key), described.take(row.key))
                yield self._record(place.project, row, description, view.definition if view else None)

    def _rows(self, place: Place) -> Iterator[TableRow]:
        """The tables of a place with volume and freshness, from TABLE_STORAGE or else from tables.get."""
        if place.dataset is None:
            rows = self._readable(NO_STORAGE, TableRow, TABLES_AND_STORAGE_SQL, place, is_storage_error)
            if rows is not None:
                return self._stored(place, rows)
        return self._volumes.completed(place, self._warehouse.rows(TableRow, TABLES_SQL, place))

    def _stored(self, place: Place, rows: Iterable[TableRow]) -> Iterator[TableRow]:
        """Yields all rows. Counts tables that TABLE_STORAGE does not have yet."""
        for row in rows:
            if row.has_storage and not row.is_stored and self._selection.may_have(place.project, row):
                self._options.skip(NOT_STORED, ".".join((place.project, *row.key)))
            yield row

    def _sorted(self, reason: str, kind: type[R], sql: str, place: Place) -> SortedRows[R]:
        rows = self._readable(reason, kind, sql, place) if self._is_full else None
        return SortedRows(rows or (), key=lambda row: (row[0], row[1]))

    def _readable(
        self, reason: str, kind: type[R], sql: str, place: Place, is_skipped: IsError = is_statement_error
    ) -> Rows[R] | None:
        return read_or_skip(
            self._options,
            reason,
            lambda: self._warehouse.rows(kind, sql, place),
            is_skipped,
            lambda error: f"{place}: {message(error)}",
        )

    def _record(self, project: str, row: TableRow, description: Description, view_query: str | None) -> TableRecord:
        name = ".".join((project, *row.key))
        if row.is_iceberg:
            self._options.skip(ICEBERG_VOLUME, name)
        if self._is_full and row.is_view and not view_query:
            self._options.skip(NO_VIEW_TEXT, name)
        if self._is_full and not description.fields:
            self._options.skip(NO_COLUMNS, name)
        return TableRecord(
            type="VIEW" if row.is_view else "TABLE",
            kind=row.kind,
            database=project,
            schema=row.schema_name,
            name=row.table_name,
            created_on=row.created,
            row_count=row.row_count,
            byte_count=row.byte_count,
            last_update_time=row.modified,
            description=description.text,
            view_query=view_query,
            fields=description.fields,
            tags=[*description.tags, *(storage(row.ddl) if self._is_full else ())],
        )


def is_storage_error(error: BaseException) -> bool:
    """Whether TABLE_STORAGE is not readable, or its region too large: tables.get has the same facts."""
    return is_statement_error(error) or is_too_much(error)


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields the full name and type of each table and view, as ``--list`` prints them."""
    for record in records(warehouse, options, is_full=False):
        yield listed_table(record.database, record.schema, record.name, record.kind or "")


COLLECTOR = Collector(
    flow="metadata",
    warehouse="bigquery",
    resource="bigquery",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect tables, views, columns, volume and freshness from BigQuery into a manifest.",
    arguments=add_shard_argument,
    estimate=estimator(collect),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
