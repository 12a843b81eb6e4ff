"""Reads the latest value of a column that tells when rows were written, for ``--freshness-column``.

One statement for each table that has the column. It needs the permission to read the rows, and bills the column.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from connection import Place, Warehouse, is_statement_error, quote
from error_table import message
from iceberg_tables import TableRow
from mcpush.collect.catalog import SortedRows, read_or_skip
from mcpush.collect.collector import Options
from mcpush.collect.pool import Answer, Pool

# Names of columns are not case-sensitive.
# https://docs.cloud.google.com/bigquery/docs/information-schema-columns
# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
DATED_COLUMNS_SQL = """
SELECT
    c.table_schema AS schema_name,
    c.table_name AS table_name,
    c.column_name AS column_name,
    c.data_type AS data_type
FROM {project}.{scope}.INFORMATION_SCHEMA.COLUMNS AS c
JOIN {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
    ON t.table_schema = c.table_schema
    AND t.table_name = c.table_name
    AND t.managed_table_type = 'BIGLAKE'
WHERE LOWER(c.column_name) = LOWER(@column)
ORDER BY c.table_schema, c.table_name
"""

# TIMESTAMP() converts a DATE or a DATETIME, in UTC.
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#timestamp
LATEST_SQL = """
SELECT
    TIMESTAMP(MAX(t.{column})) AS latest,
    CURRENT_TIMESTAMP() AS now
FROM {table} AS t
"""

TYPES = ("DATE", "DATETIME", "TIMESTAMP")
WORKERS = 8
# ADAPT: raise the time budget of a run for more or larger tables.
SECONDS = 900
NO_COLUMN = "table without a DATE, DATETIME or TIMESTAMP column of the name in --freshness-column"
NO_COLUMNS = "COLUMNS not readable: values of --freshness-column unknown"
UNREADABLE = "column of --freshness-column not readable"
IN_FUTURE = "latest value of --freshness-column in the future: ignored"
NOT_REACHED = f"column of --freshness-column not reached in {SECONDS} seconds"


class ColumnRow(NamedTuple):
    """A row of DATED_COLUMNS_SQL."""

    schema_name: str
    table_name: str
    column_name: str
    data_type: str


class LatestRow(NamedTuple):
    """A row of LATEST_SQL; ``latest`` is None in a table without values."""

    latest: datetime | None
    now: datetime


class DatedRow(NamedTuple):
    """A table with the latest value of its column, if it has one. ``is_known`` is False if it could not be read."""

    table: TableRow
    latest: datetime | None
    is_known: bool = True


def add_column_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--freshness-column",
        metavar="NAME",
        help="also read the latest value of this DATE, DATETIME or TIMESTAMP column of each table (bills the column)",
    )


class FreshnessColumn:
    """Asks about the tables that have the column, within one time budget for the run."""

    def __init__(self, warehouse: Warehouse, options: Options) -> None:
        self._warehouse, self._options = warehouse, options
        self._name: str | None = options.arguments.freshness_column
        self._pool = Pool(WORKERS, SECONDS)

    def dated(self, place: Place, rows: Iterator[TableRow]) -> Iterator[DatedRow]:
        """Yields all rows in order, with the latest values of the column. Counts values that are not known."""
        if self._name is None:
            yield from (DatedRow(row, None) for row in rows)
            return
        columns = self._columns(place, self._name)
        if columns is None:
            yield from (DatedRow(row, None, is_known=False) for row in rows)
            return

        def ask(item: tuple[TableRow, str | None]) -> LatestRow | None:
            row, column = item
            return None if column is None else self._ask(place, row, column)

        for answer in self._pool.answers(ask, ((row, self._column(place, row, columns)) for row in rows)):
            row, column = answer.item
            if column is None:
                yield DatedRow(row, None)
            else:
                yield self._dated(place, row, answer)

    def _dated(self, place: Place, row: TableRow, answer: Answer[Any, LatestRow | None]) -> DatedRow:
        name = ".".join((place.project, *row.key))
        if answer.error is not None:
            if not is_statement_error(answer.error):
                raise answer.error
            self._options.skip(UNREADABLE, f"{name}: {message(answer.error)}")
            return DatedRow(row, None, is_known=False)
        if not answer.is_reached:
            self._options.skip(NOT_REACHED, name)
            return DatedRow(row, None, is_known=False)
        found = answer.value
        if found is not None and found.latest is not None and found.latest > found.now:
            self._options.skip(IN_FUTURE, name)  # not the time of a write: a planned date
            return DatedRow(row, None)
        return DatedRow(row, found.latest if found else None)

    def _columns(self, place: Place, name: str) -> SortedRows[ColumnRow] | None:
        rows = read_or_skip(
            self._options,
            NO_COLUMNS,
            lambda: self._warehouse.rows(ColumnRow, DATED_COLUMNS_SQL, place, column=name),
            is_statement_error,
            lambda error: f"{place}: {message(error)}",
        )
        return None if rows is None else SortedRows(rows, key=lambda row: (row.schema_name, row.table_name))

    def _column(self, place: Place, row: TableRow, columns: SortedRows[ColumnRow]) -> str | None:
        """The name of the table's column. Counts tables without one."""
        for column in columns.take(row.key):
            if column.data_type in TYPES:
                return column.column_name
        self._options.skip(NO_COLUMN, ".".join((place.project, *row.key)))
        return None

    def _ask(self, place: Place, row: TableRow, column: str) -> LatestRow | None:
        table = ".".join(map(quote, (place.project, *row.key)))
        sql = LATEST_SQL.format(column=quote(column), table=table)
        return next(iter(self._warehouse.rows(LatestRow, sql, place)), None)
