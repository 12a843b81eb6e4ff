# /// script
# requires-python = ">=3.10"
# dependencies = ["tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.21,<4"]
# ///
"""Collects metadata: tables and views of every visible database, their columns, volume and freshness.

Reads Tiny's system views and writes a manifest, ``metadata.jsonl``. Requires the grants and variables in README.md.

    python collect_metadata.py --include 'shop.sales.*' --manifest metadata.jsonl.gz

Runs four statements per database. Their rows are streamed in the same order and merged: memory contains one table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from connection import Warehouse, connect, explain, is_denied, moment
from mcpush.collect.catalog import NO_COLUMNS, NO_VIEW_TEXT, Key, SortedRows, each_readable, listed_table
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.errors import RefusedError
from mcpush.records import Column, TableRecord

# https://tiny.example/docs/sys_databases
DATABASES_SQL = """
SELECT
    d.database_name AS database_name
FROM sys_databases AS d
ORDER BY d.database_name
"""

# https://tiny.example/docs/sys_tables
TABLES_SQL = """
SELECT
    t.schema_name AS schema_name,
    t.table_name AS table_name,
    t.table_type AS table_type,
    t.created_at AS created_at,
    t.comment AS comment
FROM sys_tables AS t
WHERE t.database_name = :database
ORDER BY t.schema_name, t.table_name
"""

# https://tiny.example/docs/sys_columns
COLUMNS_SQL = """
SELECT
    c.schema_name AS schema_name,
    c.table_name AS table_name,
    c.column_name AS column_name,
    c.data_type AS data_type,
    c.comment AS comment
FROM sys_columns AS c
WHERE c.database_name = :database
ORDER BY c.schema_name, c.table_name, c.position
"""

# https://tiny.example/docs/sys_table_sizes
SIZES_SQL = """
SELECT
    s.schema_name AS schema_name,
    s.table_name AS table_name,
    s.row_count AS row_count,
    s.byte_count AS byte_count,
    s.modified_at AS modified_at
FROM sys_table_sizes AS s
WHERE s.database_name = :database
ORDER BY s.schema_name, s.table_name
"""

# https://tiny.example/docs/sys_views
VIEWS_SQL = """
SELECT
    v.schema_name AS schema_name,
    v.view_name AS view_name,
    v.definition AS definition
FROM sys_views AS v
WHERE v.database_name = :database
ORDER BY v.schema_name, v.view_name
"""

NO_SIZES = "volume and freshness not visible"
GRANT_REMEDY = "Grant SELECT on sys_tables to this user, as README.md says."


class DatabaseRow(NamedTuple):
    database_name: str


class TableRow(NamedTuple):
    schema_name: str
    table_name: str
    table_type: str
    created_at: str
    comment: str | None

    @property
    def key(self) -> Key:
        return self.schema_name, self.table_name


class ColumnRow(NamedTuple):
    schema_name: str
    table_name: str
    column_name: str
    data_type: str
    comment: str | None


class SizeRow(NamedTuple):
    schema_name: str
    table_name: str
    row_count: int
    byte_count: int
    modified_at: str


class ViewRow(NamedTuple):
    schema_name: str
    view_name: str
    definition: str


def collect(warehouse: Warehouse, options: Options) -> Iterator[TableRecord]:
    """One record for each table and view that the filters allow, ordered by database, schema and name."""
    return each_readable(
        options,
        databases(warehouse, options),
        lambda database: tables_of(warehouse, database, options),
        is_denied,
        lambda refusals: RefusedError(f"the tables of no database can be read; {refusals[-1]}", GRANT_REMEDY),
    )


def databases(warehouse: Warehouse, options: Options) -> list[str]:
    rows = warehouse.rows(DatabaseRow, DATABASES_SQL)
    return [row.database_name for row in rows if options.filters.may_hold(row.database_name)]


def tables_of(warehouse: Warehouse, database: str, options: Options) -> Iterator[TableRecord]:
    tables = warehouse.rows(TableRow, TABLES_SQL, database=database)
    sizes = warehouse.sorted_rows(options, NO_SIZES, SizeRow, SIZES_SQL, database)
    columns: SortedRows[ColumnRow] = SortedRows((), key=lambda row: row[:2])
    views: SortedRows[ViewRow] = SortedRows((), key=lambda row: row[:2])
    is_full = not options.only_freshness_and_volume
    if is_full:
        columns = warehouse.sorted_rows(options, NO_COLUMNS, ColumnRow, COLUMNS_SQL, database)
        views = warehouse.sorted_rows(options, NO_VIEW_TEXT, ViewRow, VIEWS_SQL, database)
    for table in tables:
        if not options.filters.allows(database, *table.key):
            continue
        size = next(iter(sizes.take(table.key)), None)
        view = next(iter(views.take(table.key)), None)
        yield TableRecord(
            type=table.table_type,
            kind=table.table_type.lower(),
            database=database,
            schema=table.schema_name,
            name=table.table_name,
            created_on=moment(table.created_at),
            row_count=size.row_count if size else None,
            byte_count=size.byte_count if size else None,
            last_update_time=moment(size.modified_at) if size else None,
            description=table.comment if is_full else None,
            view_query=view.definition if view else None,
            fields=[Column(row.column_name, row.data_type, row.comment) for row in columns.take(table.key)],
        )


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """The full name and kind of each table and view, as ``--list`` prints them."""
    for database in databases(warehouse, options):
        for table in warehouse.rows(TableRow, TABLES_SQL, database=database):
            if options.filters.allows(database, *table.key):
                yield listed_table(database, *table.key, table.table_type.lower())


COLLECTOR = Collector(
    flow="metadata",
    warehouse="tiny",
    resource="tiny",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect tables, views, columns, volume and freshness from Tiny into a manifest.",
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
