# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "snowflake-connector-python>=4,<6",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects metadata: tables and views of every database the role sees, their columns, volume and freshness.

Reads Snowflake's INFORMATION_SCHEMA, SHOW commands and ACCOUNT_USAGE.TAG_REFERENCES and writes a manifest,
``metadata.jsonl``. Needs the grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_metadata.py --include 'SHOP.*' --manifest metadata.jsonl.gz

A database takes three catalog queries, one for tags, and up to two SHOW commands if it has dynamic tables or
materialized views, regardless of its number of tables. Tables, columns and view texts arrive in the same order and are
merged as they stream, so memory holds one table at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

from catalog import ShownRow, each_table, in_part, shown_objects
from connection import connect, explain, is_unreadable_or_too_much, rows
from mcpush.collect.catalog import NO_COLUMNS, NO_VIEW_TEXT, Key, Part, SortedRows, listed_table, read_or_skip
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.rows import R
from mcpush.records import Column, TableRecord, Tag
from snowflake.connector import SnowflakeConnection

# --- SQL ------------------------------------------------------------------------------------------------
# HEX_ENCODE in ORDER BY compares names byte by byte, regardless of the account's collation, as Python sorts strings.
# The merge depends on that order. {condition} is one of the conditions in catalog.py.

# https://docs.snowflake.com/en/sql-reference/info-schema/tables
TABLES_SQL = """
SELECT
    TABLE_SCHEMA AS schema_name,
    TABLE_NAME AS table_name,
    TABLE_TYPE AS table_type,
    IS_TRANSIENT AS is_transient,
    IS_DYNAMIC AS is_dynamic,
    IS_ICEBERG AS is_iceberg,
    IS_HYBRID AS is_hybrid,
    ROW_COUNT AS row_count,
    BYTES AS byte_count,
    CREATED AS created,
    LAST_ALTERED AS last_altered,
    COMMENT AS description
FROM {database}.INFORMATION_SCHEMA.TABLES
WHERE {condition}
    AND TABLE_TYPE <> 'TEMPORARY TABLE'
    AND COALESCE(IS_TEMPORARY, 'NO') <> 'YES'
ORDER BY HEX_ENCODE(TABLE_SCHEMA), HEX_ENCODE(TABLE_NAME)
"""

# https://docs.snowflake.com/en/sql-reference/info-schema/columns
COLUMNS_SQL = """
SELECT
    TABLE_SCHEMA AS schema_name,
    TABLE_NAME AS table_name,
    COLUMN_NAME AS column_name,
    DATA_TYPE AS data_type,
    DATA_TYPE_ALIAS AS data_type_alias,
    CHARACTER_MAXIMUM_LENGTH AS character_length,
    CHARACTER_OCTET_LENGTH AS octet_length,
    NUMERIC_PRECISION AS numeric_precision,
    NUMERIC_SCALE AS numeric_scale,
    DATETIME_PRECISION AS datetime_precision,
    COMMENT AS description
FROM {database}.INFORMATION_SCHEMA.COLUMNS
WHERE {condition}
ORDER BY HEX_ENCODE(TABLE_SCHEMA), HEX_ENCODE(TABLE_NAME), ORDINAL_POSITION
"""

# https://docs.snowflake.com/en/sql-reference/info-schema/views
VIEWS_SQL = """
SELECT
    TABLE_SCHEMA AS schema_name,
    TABLE_NAME AS table_name,
    VIEW_DEFINITION AS view_definition
FROM {database}.INFORMATION_SCHEMA.VIEWS
WHERE {condition}
ORDER BY HEX_ENCODE(TABLE_SCHEMA), HEX_ENCODE(TABLE_NAME)
"""

# Tags set on the object itself; tags inherited from its schema or database are not in this view.
# https://docs.snowflake.com/en/sql-reference/account-usage/tag_references
TAGS_SQL = """
SELECT
    OBJECT_SCHEMA AS schema_name,
    OBJECT_NAME AS table_name,
    TAG_NAME AS tag_name,
    TAG_VALUE AS tag_value
FROM SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES
WHERE OBJECT_DATABASE = ?
    AND OBJECT_DELETED IS NULL
    AND COLUMN_NAME IS NULL
    AND DOMAIN IN (
        'TABLE', 'VIEW', 'MATERIALIZED VIEW', 'DYNAMIC TABLE', 'EXTERNAL TABLE', 'EVENT TABLE', 'ICEBERG TABLE'
    )
ORDER BY HEX_ENCODE(OBJECT_SCHEMA), HEX_ENCODE(OBJECT_NAME), HEX_ENCODE(TAG_NAME)
"""

# https://docs.snowflake.com/en/sql-reference/sql/show-dynamic-tables
DYNAMIC_TABLES_SQL = "SHOW DYNAMIC TABLES IN DATABASE {database}"

# https://docs.snowflake.com/en/sql-reference/sql/show-materialized-views
MATERIALIZED_VIEWS_SQL = "SHOW MATERIALIZED VIEWS IN DATABASE {database}"

NO_TAGS = "tags not readable (SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES)"

# --- rows -----------------------------------------------------------------------------------------------


class TableRow(NamedTuple):
    """A row of TABLES_SQL."""

    schema_name: str
    table_name: str
    table_type: str
    is_transient: str | None
    is_dynamic: str | None
    is_iceberg: str | None
    is_hybrid: str | None
    row_count: int | None
    byte_count: int | None
    created: datetime | None
    last_altered: datetime | None
    description: str | None


class ColumnRow(NamedTuple):
    """A row of COLUMNS_SQL."""

    schema_name: str
    table_name: str
    column_name: str
    data_type: str
    data_type_alias: str | None
    character_length: int | None
    octet_length: int | None
    numeric_precision: int | None
    numeric_scale: int | None
    datetime_precision: int | None
    description: str | None


class ViewRow(NamedTuple):
    """A row of VIEWS_SQL."""

    schema_name: str
    table_name: str
    view_definition: str | None


class TagRow(NamedTuple):
    """A row of TAGS_SQL."""

    schema_name: str
    table_name: str
    tag_name: str
    tag_value: str | None


KEY: Callable[[Any], Key] = attrgetter("schema_name", "table_name")


def kind_of(table: TableRow) -> str:
    """Returns Snowflake's name for the kind of object, in lower case: ``dynamic table``, ``materialized view`` …"""
    if table.table_type != "BASE TABLE":
        return table.table_type.lower()
    flags = {
        "dynamic": table.is_dynamic,
        "hybrid": table.is_hybrid,
        "iceberg": table.is_iceberg,
        "transient": table.is_transient,
    }
    return " ".join([*(word for word, flag in flags.items() if flag == "YES"), "table"])


def type_of(column: ColumnRow) -> str:
    """Returns the full type, such as ``NUMBER(38,0)``, built from the columns that have its parts.

    DATA_TYPE has no parameters and is TEXT for VARCHAR. The elements of a vector or structured type are only in
    DATA_TYPE_ALIAS, the type as declared, which is null for tables older than that column.
    """
    name = column.data_type
    if name == "TEXT":
        return f"VARCHAR({column.character_length})" if column.character_length is not None else "VARCHAR"
    if name == "BINARY" and column.octet_length is not None:
        return f"BINARY({column.octet_length})"
    if name == "NUMBER" and column.numeric_precision is not None:
        return f"NUMBER({column.numeric_precision},{column.numeric_scale or 0})"
    if name.startswith("TIME") and column.datetime_precision is not None:
        return f"{name}({column.datetime_precision})"
    alias = column.data_type_alias or ""
    return alias if alias.upper().startswith(f"{name}(") else name


# --- records --------------------------------------------------------------------------------------------


class DatabaseReader:
    """Reads the tables and views of one database. Runs database-wide statements at most once."""

    def __init__(self, connection: SnowflakeConnection, options: Options, name: str) -> None:
        self._connection, self._options, self._name = connection, options, name

    def records(self, part: Part) -> Iterator[TableRecord]:
        """Yields the records of a part of the database, merged from statements with the same sort order."""
        # All statements start before the first record, so that an error leaves no partial results.
        tables = self.tables(part)
        columns = self._details(ColumnRow, COLUMNS_SQL, part)
        texts = self._details(ViewRow, VIEWS_SQL, part)
        tags = self._tags
        for table in tables:
            key = KEY(table)
            text = next((row.view_definition for row in texts.take(key)), None)
            yield self._record(table, columns.take(key), text, tags.take(key))

    def tables(self, part: Part) -> Iterator[TableRow]:
        """Starts the statement now; returns the tables and views that the filters select."""
        found = in_part(self._connection, TableRow, TABLES_SQL, self._name, part)
        return (row for row in found if self._options.filters.allows(self._name, row.schema_name, row.table_name))

    def _details(self, kind: type[R], sql: str, part: Part) -> SortedRows[R]:
        if self._options.only_freshness_and_volume:
            return SortedRows((), KEY)
        return SortedRows(in_part(self._connection, kind, sql, self._name, part), KEY)

    @cached_property
    def _tags(self) -> SortedRows[TagRow]:
        """Tags of the whole database, even if it is read by schema: schemas and tags have the same order."""
        found = None
        if not self._options.only_freshness_and_volume and NO_TAGS not in self._options.skipped:
            found = read_or_skip(
                self._options,
                NO_TAGS,
                lambda: rows(self._connection, TagRow, TAGS_SQL, (self._name,)),
                is_unreadable_or_too_much,  # smaller parts would run the same statement
            )
        return SortedRows(found or (), KEY)

    @cached_property
    def _dynamic_tables(self) -> dict[Key, ShownRow]:
        return shown_objects(self._connection, self._options, DYNAMIC_TABLES_SQL, self._name)

    @cached_property
    def _materialized_views(self) -> dict[Key, ShownRow]:
        return shown_objects(self._connection, self._options, MATERIALIZED_VIEWS_SQL, self._name)

    def _record(
        self, table: TableRow, columns: list[ColumnRow], view_text: str | None, tags: list[TagRow]
    ) -> TableRecord:
        kind = kind_of(table)
        table = self._without_guesses(table, kind)
        record = TableRecord(
            type="VIEW" if kind.endswith("view") else "TABLE",
            kind=kind,
            database=self._name,
            schema=table.schema_name,
            name=table.table_name,
            created_on=table.created,
            row_count=table.row_count,
            byte_count=table.byte_count,
            last_update_time=table.last_altered,
        )
        if self._options.only_freshness_and_volume:
            return record
        if not columns:
            self._options.skip(NO_COLUMNS, f"{self._name}.{table.schema_name}.{table.table_name}")
        return replace(
            record,
            description=table.description,
            view_query=self._view_query(table, kind, view_text),
            fields=[Column(row.column_name, type_of(row), row.description) for row in columns],
            # ADAPT: add your own tags.
            tags=[Tag(row.tag_name, row.tag_value) for row in tags],
        )

    def _without_guesses(self, table: TableRow, kind: str) -> TableRow:
        """Removes values that are not documented as volume or freshness: a view's LAST_ALTERED is its last DDL."""
        # Snowflake keeps no volume of external tables, and a refresh only reads the list of files again.
        if kind in ("view", "external table"):
            return table._replace(row_count=None, byte_count=None, last_altered=None)
        if kind == "materialized view":
            shown = self._materialized_views.get(KEY(table))
            return table._replace(last_altered=shown.refreshed_on if shown else None)
        return table

    def _view_query(self, table: TableRow, kind: str, view_text: str | None) -> str | None:
        key = KEY(table)
        if kind == "view":
            text = view_text
        elif kind == "materialized view":
            text = _text(self._materialized_views.get(key))
        elif kind.startswith("dynamic"):
            text = _text(self._dynamic_tables.get(key))
        else:
            return None
        if not text:
            self._options.skip(NO_VIEW_TEXT, ".".join((self._name, *key)))
        return text


def _text(shown: ShownRow | None) -> str | None:
    return shown.text if shown else None


def collect(connection: SnowflakeConnection, options: Options) -> Iterator[TableRecord]:
    """Yields one record for each table and view that the filters select."""
    return each_table(
        connection,
        options,
        lambda database: DatabaseReader(connection, options, database).records,
        key=attrgetter("schema", "name"),
    )


def targets(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Yields the full name and kind of each table and view, as ``--list`` prints them."""

    def reader(database: str) -> Callable[[Part], Iterator[tuple[str, TableRow]]]:
        tables = DatabaseReader(connection, options, database).tables
        return lambda part: ((database, table) for table in tables(part))

    for database, table in each_table(connection, options, reader, key=lambda found: KEY(found[1])):
        yield listed_table(database, table.schema_name, table.table_name, kind_of(table))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--include-shared",
        action="store_true",
        help="include shared databases, installed applications and Snowflake's sample data",
    )


COLLECTOR = Collector(
    flow="metadata",
    warehouse="snowflake",
    resource="snowflake",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect tables, views, columns, volume and freshness from Snowflake into a manifest.",
    arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
