"""Parses lineage from SQL text: definitions of dynamic tables, and statements in QUERY_HISTORY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import NamedTuple

from access_history import NOT_AN_ASSET, path_asset, skip_temporary_stages
from connection import SHOW_ROW_CAP, is_unreadable, is_unreadable_or_too_much, rows
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.collector import Options
from mcpush.lineage.graph import LineageTarget
from mcpush.lineage.query_log import FullName, LoggedStatement, statement_lineage
from mcpush.records import Asset
from mcpush.sql import Defaults, Schema, TableName
from query_history import LONGEST_TEXT, REDACTED_TEXT, is_redacted
from snowflake.connector import SnowflakeConnection

# Returns the CREATE statement of each dynamic table. ACCESS_HISTORY contains only refreshes run by a statement.
# https://docs.snowflake.com/en/sql-reference/sql/show-dynamic-tables
DYNAMIC_TABLES_SQL = "SHOW DYNAMIC TABLES IN ACCOUNT"


class DynamicTableRow(NamedTuple):
    """Columns of DYNAMIC_TABLES_SQL. ``text`` is NULL if the role does not have MONITOR on the table."""

    database_name: str
    schema_name: str
    name: str
    text: str | None = None


# Statements that can write, or that affect later statements of their session (USE, temporary tables).
# https://docs.snowflake.com/en/sql-reference/account-usage/query_history
STATEMENTS_SQL = """
SELECT
    QUERY_ID AS query_id,
    QUERY_TEXT AS query_text,
    SESSION_ID AS session_id,
    DATABASE_NAME AS database,
    SCHEMA_NAME AS schema,
    START_TIME AS start_time
FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY
WHERE START_TIME >= CAST(? AS TIMESTAMP_LTZ)
    AND START_TIME < CAST(? AS TIMESTAMP_LTZ)
    AND UPPER(EXECUTION_STATUS) = 'SUCCESS'
    AND COALESCE(QUERY_TYPE, 'UNKNOWN') NOT IN ('SELECT', 'SHOW', 'DESCRIBE')
ORDER BY START_TIME, QUERY_ID
"""


class StatementRow(NamedTuple):
    """A row of STATEMENTS_SQL."""

    query_id: str
    query_text: str | None
    session_id: int
    database: str | None
    schema: str | None
    start_time: datetime


NO_DYNAMIC_TABLES = "dynamic tables not readable (SHOW DYNAMIC TABLES)"
NO_DYNAMIC_TEXT = "dynamic table definition not visible (needs MONITOR)"
OTHER_DYNAMIC_NAME = "dynamic table definition names another table (renamed or cloned)"
CAPPED_DYNAMIC_TABLES = f"dynamic tables beyond the {SHOW_ROW_CAP} rows that SHOW returns"
NO_TEXTS = "query text not readable (SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY)"


def dynamic_tables(connection: SnowflakeConnection, schema: Schema, options: Options) -> Iterator[LineageTarget]:
    """Yields dynamic tables with the tables and columns that their definitions read."""
    read = partial(rows, connection, DynamicTableRow, DYNAMIC_TABLES_SQL)
    found = read_or_skip(options, NO_DYNAMIC_TABLES, read, is_unreadable_or_too_much)
    tables = {(row.database_name, row.schema_name, row.name): row.text for row in found or ()}
    for key in (key for key, text in tables.items() if not text):
        options.skip(NO_DYNAMIC_TEXT, ".".join(key))
    if len(tables) >= SHOW_ROW_CAP:
        options.skip(CAPPED_DYNAMIC_TABLES)
    texts = (LoggedStatement(text, defaults=Defaults(*key[:2])) for key, text in tables.items() if text)
    complete = partial(full_name, options)
    for target in statement_lineage(
        texts, "snowflake", complete, options.skip, schema=schema, origin="dynamic_table_text"
    ):
        if target.asset.key in tables:
            yield target
        else:  # renamed or cloned: the text still names the original table
            options.skip(OTHER_DYNAMIC_NAME, str(target.asset))


def statements(
    connection: SnowflakeConnection, schema: Schema, window: tuple[str, str], options: Options, is_required: bool
) -> Iterator[LineageTarget]:
    """Yields what the statements in the window write; temporary tables are resolved within their session.

    If the statements are not readable, counts it, or raises the error if they are required.
    """

    def is_skippable(error: BaseException) -> bool:
        return is_unreadable(error) and not is_required

    read = partial(rows, connection, StatementRow, STATEMENTS_SQL, window)
    logged = logged_statements(read_or_skip(options, NO_TEXTS, read, is_skippable) or (), options)
    yield from statement_lineage(logged, "snowflake", partial(full_name, options), options.skip, schema=schema)


def logged_statements(found: Iterable[StatementRow], options: Options) -> Iterator[LoggedStatement]:
    for row in found:
        if not row.query_text or is_redacted(row.query_text):
            options.skip(REDACTED_TEXT, row.query_id)
            continue
        yield LoggedStatement(
            row.query_text,
            session=str(row.session_id),
            defaults=Defaults(row.database, row.schema),
            at=row.start_time,
            is_truncated=len(row.query_text) >= LONGEST_TEXT,
        )


def full_name(options: Options, table: TableName) -> FullName | None:
    """Returns the asset that a name refers to; counts it and returns None if its database or schema is unknown."""
    if table.is_external and "://" in table.name:
        path = path_asset(table.name)
        return FullName(path) if path else None
    if table.is_external and table.name.startswith("@"):  # @DB.SCHEMA.STAGE/path; ACCESS_HISTORY has only the stage
        parts = [part.upper() for part in table.name[1:].partition("/")[0].split(".")]
        if len(parts) == 3 and '"' not in table.name:
            stage = skip_temporary_stages(Asset(table.kind, *parts), options)
            return FullName(stage) if stage else None
    if table.database and table.schema:
        return FullName(Asset(table.kind, table.database, table.schema, table.name))
    options.skip(NOT_AN_ASSET, f"{table.kind} {table.name}")
    return None
