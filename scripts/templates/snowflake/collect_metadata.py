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

From Snowflake's INFORMATION_SCHEMA, SHOW commands and ACCOUNT_USAGE.TAG_REFERENCES to a manifest,
``metadata.jsonl``. Needs the grants and variables that README.md lists; changes nothing in the warehouse.

    python collect_metadata.py --include 'SHOP.*' --manifest metadata.jsonl.gz

A database costs three queries, and up to two SHOW commands where it holds dynamic tables or materialised views,
however many tables it has. Tables, columns and view texts arrive in the same order and are merged as they
stream, so that memory holds one table at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from connection import (
    MISSING_GRANTS,
    SHOW_ROW_CAP,
    connect,
    explain,
    is_too_much,
    is_unreadable,
    literal,
    quote,
    show,
    stream,
)
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.console import say
from mcpush.errors import RefusedError
from mcpush.records import Json
from snowflake.connector import SnowflakeConnection

# --- SQL ------------------------------------------------------------------------------------------------
# HEX_ENCODE in ORDER BY: names are compared byte by byte, whatever collation an account has set, which is the order
# Python gives strings. That is what lets the results be merged.

# https://docs.snowflake.com/en/sql-reference/sql/show-databases
DATABASES_SQL = "SHOW DATABASES LIMIT {limit}"
AFTER_NAME = " FROM {name}"  # the next page

# https://docs.snowflake.com/en/sql-reference/info-schema/schemata
SCHEMAS_SQL = """
SELECT
    SCHEMA_NAME AS schema_name
FROM {database}.INFORMATION_SCHEMA.SCHEMATA
WHERE SCHEMA_NAME <> 'INFORMATION_SCHEMA'
ORDER BY HEX_ENCODE(SCHEMA_NAME)
"""

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
WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA'
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
WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA'
ORDER BY HEX_ENCODE(TABLE_SCHEMA), HEX_ENCODE(TABLE_NAME), ORDINAL_POSITION
"""

# https://docs.snowflake.com/en/sql-reference/info-schema/views
VIEWS_SQL = """
SELECT
    TABLE_SCHEMA AS schema_name,
    TABLE_NAME AS table_name,
    VIEW_DEFINITION AS view_definition
FROM {database}.INFORMATION_SCHEMA.VIEWS
WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA'
ORDER BY HEX_ENCODE(TABLE_SCHEMA), HEX_ENCODE(TABLE_NAME)
"""

# Tags set on the object itself; tags it inherits from schema or database are not in this view.
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

WHOLE_DATABASE = "TABLE_SCHEMA <> 'INFORMATION_SCHEMA'"
ONE_SCHEMA = "TABLE_SCHEMA = ?"

SYSTEM_DATABASE = "SNOWFLAKE"  # https://docs.snowflake.com/en/sql-reference/snowflake-db
SAMPLE_DATABASE = "SNOWFLAKE_SAMPLE_DATA"  # https://docs.snowflake.com/en/user-guide/sample-data

UNREADABLE_DATABASE = "database dropped meanwhile or not authorised"
SHARED_DATABASE = "shared database (use --include-shared)"
NO_TAGS = "tags not readable (SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES)"
NO_COLUMNS = "columns not visible"
NO_VIEW_TEXT = "view text not visible"
NO_SHOW = "details not readable (SHOW)"
CAPPED_SHOW = f"details beyond the {SHOW_ROW_CAP} rows that SHOW answers"

Key = tuple[str, str]  # schema and name, as the catalog spells them


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


def kind_of(table: TableRow) -> str:
    """Snowflake's own word for what it is, in lower case: ``dynamic table``, ``materialized view`` …"""
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
    """The full type, ``NUMBER(38,0)``, put together from the columns that carry its parts.

    DATA_TYPE has no parameters and says TEXT for VARCHAR. Of a vector or a structured type only DATA_TYPE_ALIAS,
    the type as it was written, knows the elements; it is null for tables older than that column.
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


# --- merging --------------------------------------------------------------------------------------------


class Follower:
    """Rows that start with schema and name, handed out to the table they belong to.

    Both sides are in the byte order of schema and name, so that one group is held at a time.
    """

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._groups = groupby(rows, key=lambda row: (row[0], row[1]))
        self._key: Key | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._advance()

    def _advance(self) -> None:
        self._key, group = next(self._groups, (None, iter(())))
        self._rows = list(group)

    def take(self, key: Key) -> list[tuple[Any, ...]]:
        """The rows of this table, which may be none. Keys have to be asked for in their order."""
        while self._key is not None and self._key < key:
            self._advance()
        return self._rows if self._key == key else []


NOTHING = Follower(iter(()))


class Shown:
    """What only a SHOW command tells, asked for when the first object needs it: most databases have none.

    SHOW does not sort, so its answer is kept: text or time by schema and name, at most 10,000 of them.
    """

    def __init__(self, connection: SnowflakeConnection, sql: str, columns: dict[str, str], options: Options) -> None:
        self._connection, self._sql, self._columns, self._options = connection, sql, columns, options
        self._found: dict[Key, Json] | None = None

    def facts(self, key: Key) -> Json:
        """Keys of the manifest's record with what SHOW knows of this object; empty when it does not say."""
        if self._found is None:
            self._found = self._ask()
        return self._found.get(key, {})

    def _ask(self) -> dict[Key, Json]:
        try:
            found = {
                (row["schema_name"], row["name"]): {
                    name: row[column] for name, column in self._columns.items() if row.get(column)
                }
                for row in show(self._connection, self._sql)
            }
        except Exception as error:
            if not (is_unreadable(error) or is_too_much(error)):
                raise
            self._options.skip(NO_SHOW, f"{self._sql}: {error}")
            return {}
        if len(found) >= SHOW_ROW_CAP:
            self._options.skip(CAPPED_SHOW, self._sql)
        return found


# --- databases ------------------------------------------------------------------------------------------


def databases(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Names of the databases to collect from, in order; what is left out for its kind is counted."""
    for name, row in sorted(_shown_databases(connection).items()):
        if name == SYSTEM_DATABASE or not options.filters.may_hold(name):
            continue
        if _is_shared(row) and not options.arguments.include_shared:
            options.skip(SHARED_DATABASE, name)
            continue
        yield name


def _shown_databases(connection: SnowflakeConnection) -> dict[str, Json]:
    """Every database, by name: asked for page by page, since SHOW answers with at most 10,000."""
    found: dict[str, Json] = {}
    sql = page = DATABASES_SQL.format(limit=SHOW_ROW_CAP)
    while True:
        before = len(found)
        rows = list(show(connection, page))
        found |= {str(row["name"]): row for row in rows}
        if len(rows) < SHOW_ROW_CAP or len(found) == before:
            return found
        page = sql + AFTER_NAME.format(name=literal(str(rows[-1]["name"])))


def _is_shared(row: Json) -> bool:
    """Another account's data, seen through a share or an installed application, and Snowflake's samples."""
    # ADAPT: name databases here that must never leave the account, whatever --include says (a clone, a sandbox).
    return (
        row["name"] == SAMPLE_DATABASE
        or row.get("kind") in ("IMPORTED DATABASE", "APPLICATION")
        or bool(row.get("origin"))
    )


def each_readable(
    connection: SnowflakeConnection,
    options: Options,
    work: Callable[[str, str | None], Iterator[Any]],
) -> Iterator[Any]:
    """Do the work database by database; where Snowflake finds that too much, schema by schema.

    ``work`` takes the database and a schema (None: all of them). A database that cannot be read is counted, and the
    others go on. Raises RefusedError when there are databases and none of them can be read.
    """
    readable, refusals = 0, []
    for database in databases(connection, options):
        try:
            yield from _by_database(connection, options, database, work)
            readable += 1
        except Exception as error:
            if not is_unreadable(error):
                raise
            refusals.append(f"{database}: {error}")
            options.skip(UNREADABLE_DATABASE, refusals[-1])
    if refusals and not readable:  # an empty manifest would pass for an account that is empty
        raise RefusedError(f"none of {len(refusals)} databases can be read, the first: {refusals[0]}", MISSING_GRANTS)


def _by_database(
    connection: SnowflakeConnection,
    options: Options,
    database: str,
    work: Callable[[str, str | None], Iterator[Any]],
) -> Iterator[Any]:
    try:
        yield from work(database, None)
    except Exception as error:
        if not is_too_much(error):
            raise
        say(f"{database}: too much for one query, going schema by schema")
        yield from _by_schema(connection, options, database, work)


def _by_schema(
    connection: SnowflakeConnection,
    options: Options,
    database: str,
    work: Callable[[str, str | None], Iterator[Any]],
) -> Iterator[Any]:
    for (schema,) in list(stream(connection, SCHEMAS_SQL.format(database=quote(database)))):
        try:
            yield from work(database, schema)
        except Exception as error:
            if not (is_unreadable(error) or is_too_much(error)):
                raise
            options.skip("schema not readable", f"{database}.{schema}: {error}")


def of_database(
    connection: SnowflakeConnection, sql: str, database: str, schema: str | None
) -> Iterator[tuple[Any, ...]]:
    """Rows of one of the INFORMATION_SCHEMA statements above, for the database or one schema of it."""
    sql = sql.format(database=quote(database))
    if schema is None:
        return stream(connection, sql)
    return stream(connection, sql.replace(WHOLE_DATABASE, ONE_SCHEMA), (schema,))


# --- records --------------------------------------------------------------------------------------------


@dataclass
class WholeDatabase:
    """What is asked of a database as a whole."""

    tags: Follower
    dynamic_tables: Shown
    materialized_views: Shown


@dataclass
class Details:
    """What is merged into the tables of one database, or one schema of it: followers in the same order."""

    columns: Follower
    view_texts: Follower
    whole: WholeDatabase


def collect(connection: SnowflakeConnection, options: Options) -> Iterator[Json]:
    """One record for each table and view that the filters let through."""
    collection = _Collection(connection, options)
    yield from each_readable(connection, options, collection.records)


class _Collection:
    """One run: remembers whether tags turned out to be readable, and what was asked of the whole database at hand."""

    def __init__(self, connection: SnowflakeConnection, options: Options) -> None:
        self._connection, self._options = connection, options
        self._tags_readable = not options.only_freshness_and_volume
        self._database: str | None = None
        self._whole: WholeDatabase | None = None

    def records(self, database: str, schema: str | None) -> Iterator[Json]:
        # All queries are started before the first record: a refusal then leaves nothing half done.
        tables = of_database(self._connection, TABLES_SQL, database, schema)
        details = self._details(database, schema)
        for row in tables:
            table = TableRow(*row)
            key = (table.schema_name, table.table_name)
            if self._options.filters.allows(database, *key):
                yield self._record(database, table, details)

    def _details(self, database: str, schema: str | None) -> Details:
        columns = view_texts = NOTHING
        if not self._options.only_freshness_and_volume:
            columns = Follower(of_database(self._connection, COLUMNS_SQL, database, schema))
            view_texts = Follower(of_database(self._connection, VIEWS_SQL, database, schema))
        return Details(columns, view_texts, self._of_whole(database))

    def _of_whole(self, database: str) -> WholeDatabase:
        """Asked once, also where tables come schema by schema: schemas have the order of the tags."""
        if self._whole is None or self._database != database:
            self._database = database
            self._whole = WholeDatabase(
                tags=Follower(self._tags(database)),
                dynamic_tables=self._shown(DYNAMIC_TABLES_SQL, database, view_query="text"),
                materialized_views=self._shown(
                    MATERIALIZED_VIEWS_SQL, database, view_query="text", last_update_time="refreshed_on"
                ),
            )
        return self._whole

    def _shown(self, sql: str, database: str, **columns: str) -> Shown:
        return Shown(self._connection, sql.format(database=quote(database)), columns, self._options)

    def _tags(self, database: str) -> Iterator[tuple[Any, ...]]:
        if not self._tags_readable:
            return iter(())
        try:
            return stream(self._connection, TAGS_SQL, (database,))
        except Exception as error:
            if not is_unreadable(error):
                raise
            self._tags_readable = False
            self._options.skip(NO_TAGS, str(error))
            return iter(())

    def _record(self, database: str, table: TableRow, details: Details) -> Json:
        kind = kind_of(table)
        record: Json = {
            "type": "VIEW" if kind.endswith("view") else "TABLE",
            "kind": kind,
            "database": database,
            "schema": table.schema_name,
            "name": table.table_name,
            "created_on": table.created,
            **self._volume_and_freshness(table, kind, details),
        }
        if not self._options.only_freshness_and_volume:
            record |= self._description(database, table, kind, details)
        return {name: value for name, value in record.items() if value not in (None, "")}

    def _volume_and_freshness(self, table: TableRow, kind: str, details: Details) -> Json:
        """Only what is documented to be that: a view's LAST_ALTERED is its last DDL, not news in its data."""
        if kind == "view":
            return {}
        if kind == "external table":  # nothing is kept of what lies outside; a refresh reads its list of files anew
            return {}
        facts = {"row_count": table.row_count, "byte_count": table.byte_count}
        if kind == "materialized view":
            shown = details.whole.materialized_views.facts((table.schema_name, table.table_name))
            return {**facts, "last_update_time": shown.get("last_update_time")}
        return {**facts, "last_update_time": table.last_altered}

    def _description(self, database: str, table: TableRow, kind: str, details: Details) -> Json:
        key = (table.schema_name, table.table_name)
        fields = [_field(ColumnRow(*row)) for row in details.columns.take(key)]
        if not fields:
            self._options.skip(NO_COLUMNS, ".".join((database, *key)))
        tags = [_tag(name, value) for _, _, name, value in details.whole.tags.take(key)]
        return {
            "description": table.description,
            "view_query": self._view_query(database, key, kind, details),
            "fields": fields or None,
            "tags": tags or None,
        }

    def _view_query(self, database: str, key: Key, kind: str, details: Details) -> str | None:
        text: str | None = None
        if kind == "view":
            text = next((row[2] for row in details.view_texts.take(key)), None)
        elif kind == "materialized view":
            text = details.whole.materialized_views.facts(key).get("view_query")
        elif kind.startswith("dynamic"):
            text = details.whole.dynamic_tables.facts(key).get("view_query")
        else:
            return None
        if not text:
            self._options.skip(NO_VIEW_TEXT, ".".join((database, *key)))
        return text


def _field(column: ColumnRow) -> Json:
    record = {"name": column.column_name, "type": type_of(column)}
    return record | {"description": column.description} if column.description else record


def _tag(name: str, value: str | None) -> Json:
    return {"key": name, "value": value} if value else {"key": name}


def targets(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Full name and kind of each table and view, as ``--list`` prints them."""

    def names(database: str, schema: str | None) -> Iterator[str]:
        for row in of_database(connection, TABLES_SQL, database, schema):
            table = TableRow(*row)
            if options.filters.allows(database, table.schema_name, table.table_name):
                yield f"{database}.{table.schema_name}.{table.table_name} ({kind_of(table)})"

    yield from each_readable(connection, options, names)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--include-shared",
        action="store_true",
        help="also databases shared with this account, installed applications and Snowflake's sample data",
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
