# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "databricks-sql-connector[pyarrow]>=4.2,<5",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects metadata: tables and views of all catalogs, with columns, view SQL, tags, volume and freshness.

Reads Unity Catalog's information schema and the Hive metastore and writes a manifest, ``metadata.jsonl``. Needs the
grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_metadata.py --include 'main.sales.*' --manifest metadata.jsonl.gz

A catalog takes five statements, whose rows are streamed in the same order and merged. Rows, bytes and the last write
come from statements about single tables, for a limited time (details.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple

from catalogs import HIVE, catalogs, each_table, in_part
from connection import Warehouse, connect, explain, is_statement_error, is_too_much
from details import NO_HISTORY, Details, Question, question
from error_table import message
from hive_metastore import hive_records, hive_targets
from kinds import STORED_TYPES, VIEW, asset_type, kind_of
from mcpush.collect.catalog import (
    NO_COLUMNS,
    NO_VIEW_TEXT,
    IsError,
    Key,
    Part,
    SortedRows,
    listed_table,
    read_or_skip,
)
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.rows import R
from mcpush.errors import RefusedError
from mcpush.records import Column, TableRecord, Tag

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/tables
TABLES_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.table_type AS table_type,
    t.data_source_format AS data_format,
    t.comment AS comment,
    t.created AS created,
    t.last_altered AS altered
FROM system.information_schema.tables AS t
WHERE t.table_catalog = :catalog
    AND {condition}
ORDER BY t.table_schema, t.table_name
"""

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/columns
COLUMNS_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.column_name AS column_name,
    t.full_data_type AS full_type,
    t.comment AS comment
FROM system.information_schema.columns AS t
WHERE t.table_catalog = :catalog
    AND {condition}
ORDER BY t.table_schema, t.table_name, t.ordinal_position
"""

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/views
VIEWS_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.view_definition AS definition
FROM system.information_schema.views AS t
WHERE t.table_catalog = :catalog
    AND {condition}
ORDER BY t.table_schema, t.table_name
"""

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/table_tags
TAGS_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.tag_name AS tag_name,
    t.tag_value AS tag_value
FROM (
    SELECT
        g.catalog_name AS table_catalog,
        g.schema_name AS table_schema,
        g.table_name AS table_name,
        g.tag_name AS tag_name,
        g.tag_value AS tag_value
    FROM system.information_schema.table_tags AS g
) AS t
WHERE t.table_catalog = :catalog
    AND {condition}
ORDER BY t.table_schema, t.table_name, t.tag_name
"""

# One row a day for each table; the last one counts. A dropped table can have had the same name.
# https://docs.databricks.com/aws/en/admin/system-tables/table-metrics-history
SIZES_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.active_bytes AS byte_count
FROM (
    SELECT
        m.catalog_name AS table_catalog,
        m.schema_name AS table_schema,
        m.table_name AS table_name,
        m.active_bytes AS active_bytes,
        ROW_NUMBER() OVER (
            PARTITION BY m.catalog_name, m.schema_name, m.table_name
            ORDER BY m.snapshot_date DESC, m.table_creation_time DESC
        ) AS recency
    FROM system.storage.table_metrics_history AS m
    WHERE m.snapshot_date >= :first_day
        AND m.table_dropped_time IS NULL
) AS t
WHERE t.table_catalog = :catalog
    AND t.recency = 1
    AND {condition}
ORDER BY t.table_schema, t.table_name
"""

SIZED_TYPES = STORED_TYPES | {"MATERIALIZED_VIEW"}  # those in table_metrics_history
WITHOUT_HISTORY = ("FOREIGN", "MATERIALIZED_VIEW")
SNAPSHOT_DAYS = 7  # older snapshots are not taken for the size of a table

UNREADABLE_COLUMNS = "columns of a catalog not readable (information_schema.columns)"
UNREADABLE_VIEWS = "view definitions of a catalog not readable (information_schema.views)"
UNREADABLE_TAGS = "tags of a catalog not readable (information_schema.table_tags)"
NO_TYPE = "column without a type"
NO_SIZES = "system.storage.table_metrics_history not readable: bytes come from DESCRIBE DETAIL"


class TableRow(NamedTuple):
    """A row of TABLES_SQL. ``altered`` changes with comments and properties, too: it is not the last write."""

    schema_name: str
    table_name: str
    table_type: str
    data_format: str | None
    comment: str | None
    created: datetime | None
    altered: datetime | None

    @property
    def key(self) -> Key:
        return self.schema_name, self.table_name


class ColumnRow(NamedTuple):
    schema_name: str
    table_name: str
    column_name: str
    full_type: str | None
    comment: str | None


class ViewRow(NamedTuple):
    """A row of VIEWS_SQL. Databricks shows definitions only to the owner of the view."""

    schema_name: str
    table_name: str
    definition: str | None


class TagRow(NamedTuple):
    schema_name: str
    table_name: str
    tag_name: str
    tag_value: str | None


class SizeRow(NamedTuple):
    schema_name: str
    table_name: str
    byte_count: int | None


class Sized(NamedTuple):
    """A table, and its size if table_metrics_history has it."""

    row: TableRow
    byte_count: int | None


def collect(warehouse: Warehouse, options: Options) -> Iterator[TableRecord]:
    """Yields one record for each table and view that the filters select, by catalog, schema and name."""
    names = catalogs(warehouse, options)
    details = Details(warehouse, options)
    reader = Reader(warehouse, options, details)
    unity = [name for name in names if name != HIVE]
    details.ask(reader.questions(unity))
    yield from each_table(warehouse, options, unity, reader.records_of, lambda record: (record.schema, record.name))
    if HIVE in names:
        yield from hive_records(warehouse, options, details, is_alone=not unity)


class Reader:
    """Reads the tables of catalogs with all that is known about them."""

    def __init__(self, warehouse: Warehouse, options: Options, details: Details | None) -> None:
        self._warehouse, self._options, self._details = warehouse, options, details
        self._is_full = details is not None and not options.only_freshness_and_volume
        self._has_sizes = details is not None

    # --- tables -----------------------------------------------------------------------------------------

    def questions(self, names: list[str]) -> Iterator[Question]:
        """The questions about all selected tables. Counts nothing: the tables are read once more."""
        quiet = Reader(self._warehouse, replace(self._options, skipped={}, skipped_examples={}), self._details)
        try:
            yield from quiet._questions(names)
        except RefusedError:
            return  # reading them again counts and raises

    def _questions(self, names: list[str]) -> Iterator[Question]:
        def in_catalog(catalog: str) -> Callable[[Part], Iterator[tuple[str, Sized]]]:
            return lambda part: ((catalog, sized) for sized in self.tables(catalog, part))

        for catalog, (row, size) in each_table(
            self._warehouse, self._options, names, in_catalog, lambda found: found[1].row.key
        ):
            key = catalog, *row.key
            asked = question(key, row.table_type, row.data_format, row.altered, has_bytes=size is not None)
            if asked:
                yield asked

    def tables(self, catalog: str, part: Part) -> Iterator[Sized]:
        """The selected tables and views in a part of a catalog, with their sizes."""
        rows = in_part(self._warehouse, TableRow, TABLES_SQL, catalog, part)
        sizes = self._sizes(catalog, part)
        for row in rows:
            if self._options.filters.allows(catalog, *row.key):
                found = sizes.take(row.key) if row.table_type in SIZED_TYPES else []
                yield Sized(row, found[0].byte_count if found else None)

    def _sizes(self, catalog: str, part: Part) -> SortedRows[SizeRow]:
        """The sizes of a part of a catalog. Once they are not readable, it does not try again."""
        if not self._has_sizes:
            return SortedRows((), key=_key)
        first_day = datetime.now(timezone.utc).date() - timedelta(days=SNAPSHOT_DAYS)
        found = self._sorted(NO_SIZES, SizeRow, SIZES_SQL, catalog, part, is_size_error, first_day=first_day)
        self._has_sizes = found is not None
        return found or SortedRows((), key=_key)

    # --- records ----------------------------------------------------------------------------------------

    def records_of(self, catalog: str) -> Callable[[Part], Iterator[TableRecord]]:
        return lambda part: self._records(catalog, part)

    def _records(self, catalog: str, part: Part) -> Iterator[TableRecord]:
        tables = self.tables(catalog, part)
        columns = self._described(UNREADABLE_COLUMNS, ColumnRow, COLUMNS_SQL, catalog, part)
        views = self._described(UNREADABLE_VIEWS, ViewRow, VIEWS_SQL, catalog, part)
        tags = self._described(UNREADABLE_TAGS, TagRow, TAGS_SQL, catalog, part)
        for row, size in tables:
            record = self._record(catalog, row, size)
            if self._is_full:
                view = next(iter(views.take(row.key)), None)
                record = replace(
                    record,
                    description=row.comment or None,
                    view_query=(view.definition if view else None) or None,
                    fields=list(self._columns(catalog, columns.take(row.key))),
                    tags=[Tag(tag.tag_name, tag.tag_value or None) for tag in tags.take(row.key)],
                )
                self._count_missing(record)
            yield record

    def _record(self, catalog: str, row: TableRow, size: int | None) -> TableRecord:
        facts = self._details.of((catalog, *row.key)) if self._details else None
        name = ".".join((catalog, *row.key))
        if self._details and row.table_type in WITHOUT_HISTORY:
            self._options.skip(NO_HISTORY, name)
        return TableRecord(
            type=asset_type(row.table_type),
            kind=kind_of(row.table_type),
            database=catalog,
            schema=row.schema_name,
            name=row.table_name,
            created_on=row.created,
            row_count=facts.row_count if facts else None,
            byte_count=size if size is not None else facts.byte_count if facts else None,
            last_update_time=facts.last_write if facts else None,
        )

    def _columns(self, catalog: str, rows: list[ColumnRow]) -> Iterator[Column]:
        for row in rows:
            if row.full_type:
                yield Column(row.column_name, row.full_type, row.comment or None)
            else:
                self._options.skip(NO_TYPE, ".".join((catalog, *row[:3])))

    def _count_missing(self, record: TableRecord) -> None:
        name = ".".join((record.database, record.schema, record.name))
        if record.type == VIEW and not record.view_query:
            self._options.skip(NO_VIEW_TEXT, name)
        if not record.fields:
            self._options.skip(NO_COLUMNS, name)

    # --- statements -------------------------------------------------------------------------------------

    def _described(self, reason: str, kind: type[R], sql: str, catalog: str, part: Part) -> SortedRows[R]:
        found = self._sorted(reason, kind, sql, catalog, part) if self._is_full else None
        return found or SortedRows((), key=_key)

    def _sorted(
        self,
        reason: str,
        kind: type[R],
        sql: str,
        catalog: str,
        part: Part,
        is_skipped: IsError = is_statement_error,
        **values: date,
    ) -> SortedRows[R] | None:
        """The rows of a part of a catalog, or None, counted, if they are not readable.

        Raises the error of a statement that is too large: the catalog is then read in smaller parts.
        """
        rows = read_or_skip(
            self._options,
            reason,
            lambda: in_part(self._warehouse, kind, sql, catalog, part, **values),
            is_skipped,
            lambda error: f"{catalog}: {message(error)}",
        )
        return None if rows is None else SortedRows(rows, key=_key)


def is_size_error(error: BaseException) -> bool:
    """Whether table_metrics_history is not readable, or too large: DESCRIBE DETAIL has sizes, too."""
    return is_statement_error(error) or is_too_much(error)


def _key(row: tuple[Any, ...]) -> Key:
    return row[0], row[1]


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields the full name and type of each table and view, as ``--list`` prints them."""
    names = catalogs(warehouse, options)
    reader = Reader(warehouse, options, None)
    unity = [name for name in names if name != HIVE]
    for record in each_table(warehouse, options, unity, reader.records_of, lambda record: (record.schema, record.name)):
        yield listed_table(record.database, record.schema, record.name, record.kind or "")
    if HIVE in names:
        yield from hive_targets(warehouse, options, is_alone=not unity)


COLLECTOR = Collector(
    flow="metadata",
    warehouse="databricks",
    resource="databricks",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect tables, views, columns, volume and freshness from Databricks into a manifest.",
    other_resources=("databricks-metastore-sql-warehouse", "data-lake"),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
