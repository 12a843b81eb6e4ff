"""Reads the tables of catalogs, with their sizes from a system table, and asks about them one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple

from catalogs import each_table, in_part
from connection import Warehouse, is_statement_error, is_too_much
from details import Question, question
from error_table import message
from kinds import STORED_TYPES
from mcpush.collect.catalog import IsError, Key, Part, SortedRows, read_or_skip
from mcpush.collect.collector import Options
from mcpush.collect.rows import R
from mcpush.errors import RefusedError

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

# One row a day for each table; the last one counts. A dropped table can have had the same name.
# https://docs.databricks.com/aws/en/admin/system-tables/table-metrics-history
SIZES_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.active_bytes AS byte_count,
    t.snapshot_date AS snapshot_date
FROM (
    SELECT
        m.catalog_name AS table_catalog,
        m.schema_name AS table_schema,
        m.table_name AS table_name,
        m.active_bytes AS active_bytes,
        m.snapshot_date AS snapshot_date,
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
SNAPSHOT_DAYS = 7  # older snapshots are not taken for the size of a table

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


class SizeRow(NamedTuple):
    schema_name: str
    table_name: str
    byte_count: int | None
    snapshot_date: date


class Sized(NamedTuple):
    """A table, and its size if table_metrics_history has it."""

    row: TableRow
    byte_count: int | None


class Tables:
    """Reads tables and views. ``has_sizes``: also their sizes."""

    def __init__(self, warehouse: Warehouse, options: Options, *, has_sizes: bool) -> None:
        self._warehouse, self._options, self._has_sizes = warehouse, options, has_sizes

    def questions(self, names: list[str]) -> Iterator[Question]:
        """The questions about all selected tables. Counts nothing: the tables are read once more."""
        uncounted = replace(self._options, skipped={}, skipped_examples={})
        quiet = Tables(self._warehouse, uncounted, has_sizes=self._has_sizes)
        try:
            yield from quiet._questions(names)
        except RefusedError:
            return  # reading them again counts and raises

    def _questions(self, names: list[str]) -> Iterator[Question]:
        def in_catalog(catalog: str) -> Callable[[Part], Iterator[tuple[str, Sized]]]:
            return lambda part: ((catalog, sized) for sized in self.sized(catalog, part))

        for catalog, (row, size) in each_table(
            self._warehouse, self._options, names, in_catalog, lambda found: found[1].row.key
        ):
            key = catalog, *row.key
            asked = question(key, row.table_type, row.data_format, row.altered, has_bytes=size is not None)
            if asked:
                yield asked

    def sized(self, catalog: str, part: Part) -> Iterator[Sized]:
        """The selected tables and views in a part of a catalog, with their sizes."""
        rows = in_part(self._warehouse, TableRow, TABLES_SQL, catalog, part)
        sizes = self._sizes(catalog, part)
        for row in rows:
            if self._options.filters.allows(catalog, *row.key):
                found = sizes.take(row.key) if row.table_type in SIZED_TYPES else []
                yield Sized(row, _size_of(row, found[0]) if found else None)

    def _sizes(self, catalog: str, part: Part) -> SortedRows[SizeRow]:
        """The sizes of a part of a catalog. Once they are not readable, it does not try again."""
        if not self._has_sizes:
            return SortedRows((), key=sort_key)
        first_day = datetime.now(timezone.utc).date() - timedelta(days=SNAPSHOT_DAYS)
        found = self.sorted(NO_SIZES, SizeRow, SIZES_SQL, catalog, part, is_size_error, first_day=first_day)
        self._has_sizes = found is not None
        return found or SortedRows((), key=sort_key)

    def sorted(
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
        return None if rows is None else SortedRows(rows, key=sort_key)


def _size_of(row: TableRow, size: SizeRow) -> int | None:
    """The size of a table; None if it is that of a dropped table of the same name, from before this one was created."""
    return size.byte_count if not row.created or row.created.date() <= size.snapshot_date else None


def is_size_error(error: BaseException) -> bool:
    """Whether table_metrics_history is not readable, or too large: DESCRIBE DETAIL has sizes, too."""
    return is_statement_error(error) or is_too_much(error)


def sort_key(row: tuple[Any, ...]) -> Key:
    return row[0], row[1]
