"""Lists databases, reads them whole or in parts (by schema, by ranges of names), and runs SHOW commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple, TypeVar

from connection import SHOW_ROW_CAP, is_too_much, is_unreadable, is_unreadable_or_too_much, literal, quote, rows
from error_table import MISSING_GRANTS
from mcpush.collect.catalog import Key, Part, SplitDatabase, each_readable, read_or_skip
from mcpush.collect.collector import Options
from mcpush.collect.rows import R, Rows
from mcpush.errors import RefusedError
from snowflake.connector import SnowflakeConnection

# https://docs.snowflake.com/en/sql-reference/sql/show-databases
DATABASES_SQL = "SHOW DATABASES LIMIT {limit}"
MORE_DATABASES_SQL = "SHOW DATABASES LIMIT {limit} FROM {name}"  # the next page

# https://docs.snowflake.com/en/sql-reference/info-schema/schemata
SCHEMAS_SQL = """
SELECT
    SCHEMA_NAME AS schema_name
FROM {database}.INFORMATION_SCHEMA.SCHEMATA
WHERE SCHEMA_NAME <> 'INFORMATION_SCHEMA'
ORDER BY HEX_ENCODE(SCHEMA_NAME)
"""

# https://docs.snowflake.com/en/sql-reference/info-schema/tables
NAMES_SQL = """
SELECT
    TABLE_NAME AS table_name
FROM {database}.INFORMATION_SCHEMA.TABLES
WHERE TABLE_SCHEMA = ?
ORDER BY HEX_ENCODE(TABLE_NAME)
"""

# Values of ``{condition}`` in a statement that reads a part of a database. HEX_ENCODE compares names byte by byte,
# regardless of the account's collation, as Python sorts strings.
DATABASE_CONDITION = "TABLE_SCHEMA <> 'INFORMATION_SCHEMA'"
SCHEMA_CONDITION = "TABLE_SCHEMA = ?"
RANGE_CONDITION = """TABLE_SCHEMA = ?
    AND HEX_ENCODE(TABLE_NAME) >= HEX_ENCODE(?)
    AND HEX_ENCODE(TABLE_NAME) <= HEX_ENCODE(?)"""

SYSTEM_DATABASE = "SNOWFLAKE"  # https://docs.snowflake.com/en/sql-reference/snowflake-db
SAMPLE_DATABASE = "SNOWFLAKE_SAMPLE_DATA"  # https://docs.snowflake.com/en/user-guide/sample-data
SHARED_DATABASE = "shared database (use --include-shared)"

NO_SHOW = "details not readable (SHOW)"
CAPPED_SHOW = f"details beyond the {SHOW_ROW_CAP} rows that SHOW returns"

T = TypeVar("T")


class DatabaseRow(NamedTuple):
    """A row of SHOW DATABASES."""

    name: str
    kind: str | None = None
    origin: str | None = None

    @property
    def is_shared(self) -> bool:
        """Whether it is a share from another account, an installed application, or Snowflake's sample data."""
        # ADAPT: add databases to leave out (a clone, a sandbox). They are then collected only with --include-shared.
        return self.name == SAMPLE_DATABASE or self.kind in ("IMPORTED DATABASE", "APPLICATION") or bool(self.origin)


class SchemaRow(NamedTuple):
    schema_name: str


class NameRow(NamedTuple):
    table_name: str


class ShownRow(NamedTuple):
    """The columns of a dynamic table or materialized view that only SHOW returns."""

    schema_name: str
    name: str
    text: str | None = None
    refreshed_on: datetime | None = None


def databases(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Yields the names of the databases to collect from, sorted; counts shared databases that are left out."""
    for name, row in sorted(_shown_databases(connection).items()):
        if name == SYSTEM_DATABASE or not options.filters.may_hold(name):
            continue
        if row.is_shared and not options.arguments.include_shared:
            options.skip(SHARED_DATABASE, name)
            continue
        yield name


def _shown_databases(connection: SnowflakeConnection) -> dict[str, DatabaseRow]:
    """Returns all databases by name, read page by page because SHOW returns at most 10,000 rows."""
    found: dict[str, DatabaseRow] = {}
    sql = DATABASES_SQL.format(limit=SHOW_ROW_CAP)
    while True:
        before = len(found)
        page = list(rows(connection, DatabaseRow, sql))
        found |= {row.name: row for row in page}
        if len(page) < SHOW_ROW_CAP or len(found) == before:
            return found
        sql = MORE_DATABASES_SQL.format(limit=SHOW_ROW_CAP, name=literal(page[-1].name))


def in_part(connection: SnowflakeConnection, kind: type[R], sql: str, database: str, part: Part) -> Rows[R]:
    """Runs a statement that has ``{database}`` and ``{condition}`` for a part of the database."""
    conditions = {0: DATABASE_CONDITION, 1: SCHEMA_CONDITION, 3: RANGE_CONDITION}
    values = part.values
    return rows(connection, kind, sql.format(database=quote(database), condition=conditions[len(values)]), values)


def each_table(
    connection: SnowflakeConnection,
    options: Options,
    reader: Callable[[str], Callable[[Part], Iterator[T]]],
    key: Callable[[T], Key],
) -> Iterator[T]:
    """Yields what the readers of all databases yield, one item for each table.

    ``reader`` creates the reader of a database from its name. If Snowflake refuses a part of a database as too large,
    it is read in smaller parts. Unreadable databases are counted and skipped. Raises RefusedError if no database is
    readable.
    """

    def items(name: str) -> Iterator[T]:
        def schemas() -> list[str]:
            found = rows(connection, SchemaRow, SCHEMAS_SQL.format(database=quote(name)))
            return [row.schema_name for row in found]

        def names(schema: str) -> list[str]:
            found = rows(connection, NameRow, NAMES_SQL.format(database=quote(name)), (schema,))
            return [row.table_name for row in found]

        return SplitDatabase(
            name, options, reader(name), key, schemas, names, is_unreadable=is_unreadable, is_too_much=is_too_much
        ).items()

    def refusal(refusals: list[str]) -> RefusedError:
        return RefusedError(f"Cannot read any of {len(refusals)} databases; the first: {refusals[0]}", MISSING_GRANTS)

    return each_readable(options, databases(connection, options), items, is_unreadable, refusal)


def shown_objects(connection: SnowflakeConnection, options: Options, sql: str, database: str) -> dict[Key, ShownRow]:
    """Returns the rows of a SHOW command by object. SHOW does not sort them, so all are kept in memory."""
    sql = sql.format(database=quote(database))

    def read() -> dict[Key, ShownRow]:
        return {(row.schema_name, row.name): row for row in rows(connection, ShownRow, sql)}

    found = read_or_skip(options, NO_SHOW, read, is_unreadable_or_too_much, lambda error: f"{sql}: {error}") or {}
    if len(found) >= SHOW_ROW_CAP:
        options.skip(CAPPED_SHOW, sql)
    return found
