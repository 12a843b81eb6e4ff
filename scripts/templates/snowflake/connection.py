"""Connects to Snowflake and runs statements, for all scripts in this folder.

The configuration comes from environment variables or from a profile in the driver's ``connections.toml`` (see
signing_in.py). Needs ``snowflake-connector-python`` 4 or 5.

    with connect() as connection:
        for row in rows(connection, QueryRow, "SELECT …", (since, until)):
            ...

The session runs only SELECT and SHOW. Session parameters:
https://docs.snowflake.com/en/sql-reference/parameters
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import mcpush.environment  # noqa: F401 - before the driver, which reads SNOWFLAKE_HOME when it is imported

# isort: split
import snowflake.connector
from error_table import CORRECT_SIGN_IN, message, read_error
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.clock import NO_CLOCK
from mcpush.collect.collector import Options
from mcpush.collect.driver_errors import Scope, explained, has_scope
from mcpush.collect.rows import R, Rows, fetch_in_batches, named_rows
from mcpush.console import log
from mcpush.errors import ConfigurationError, PushIngestionError
from mcpush.interrupts import interruptible
from mcpush.version import RELEASE
from sign_in_methods import DRIVER_MAJOR
from signing_in import arguments_from_environment
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import ProgrammingError

# Version 5 logs warnings about missing AWS credentials that it does not need. Real failures are also raised.
logging.getLogger("snowflake.connector._core").setLevel(logging.CRITICAL)

PRODUCT = "push-ingestion"
LOGIN_TIMEOUT = 60  # seconds; an unreachable server is reported within a minute
REQUEST_TIMEOUT = 120  # seconds for one request including retries; a running query is polled
FETCH_ROWS = 1_000  # rows fetched at a time; the driver itself buffers a chunk of the result
SHOW_ROW_CAP = 10_000  # maximum number of rows that SHOW returns (see the page of each SHOW command)

# ADAPT: increase the statement timeout for a slow account with a very long query history. With memory to spare,
# increase threads and chunk size to fetch faster.
SESSION_PARAMETERS: dict[str, Any] = {
    "QUERY_TAG": f"{PRODUCT} {RELEASE}",  # lets customers find, or filter out, our queries
    "TIMEZONE": "UTC",
    # Other values of these, set for the account or user, would silently change the results:
    "ROWS_PER_RESULTSET": 0,  # maximum rows of a result; 0: no limit
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,  # True would read "My Table" as MY TABLE
    "TIMESTAMP_INPUT_FORMAT": "AUTO",  # windows are bound as ISO 8601 text
    "STATEMENT_TIMEOUT_IN_SECONDS": 3_600,
    "CLIENT_PREFETCH_THREADS": 1,  # chunks prefetched
    "CLIENT_RESULT_CHUNK_SIZE": 48,  # MB per chunk, uncompressed (default 160)
    "CLIENT_MEMORY_LIMIT": 64,  # MB of prefetched chunks (version 5 of the driver; default 1536)
}


# https://docs.snowflake.com/en/sql-reference/functions/current_timestamp
CLOCK_SQL = "SELECT CURRENT_TIMESTAMP() AS warehouse_time"


class ClockRow(NamedTuple):
    """A row of CLOCK_SQL. The time is UTC, as TIMEZONE of the session."""

    warehouse_time: datetime


# --- connection ------------------------------------------------------------------------------------------


@contextmanager
def connect() -> Iterator[SnowflakeConnection]:
    """Opens a session and closes it at the end. Logs the sign-in method to stderr.

    Raises ConfigurationError if variables are missing or contradictory, and the driver's errors, which ``explain``
    converts.
    """
    about, arguments = arguments_from_environment()
    log.info("connecting to Snowflake: %s", about)
    connection = _open(arguments)
    try:
        yield connection
    finally:
        try:
            connection.close()
        except Exception as error:  # must not hide the result or error of the run
            log.info("note: closing the session failed: %s", error)


def _open(arguments: dict[str, Any]) -> SnowflakeConnection:
    try:
        with interruptible():
            return snowflake.connector.connect(
                **arguments,
                **_timeouts(),
                application="push_ingestion",
                paramstyle="qmark",  # values are sent separately from the SQL text
                client_session_keep_alive=True,  # the session must not expire while rows are read slowly
                session_parameters=SESSION_PARAMETERS,
            )
    except (ValueError, TypeError) as error:  # version 4 passes on its cryptography library's errors about keys
        raise ConfigurationError(f"Snowflake driver: {message(error)}", CORRECT_SIGN_IN) from None


def _timeouts() -> dict[str, Any]:
    """Returns the timeouts under the names that versions 4 and 5 of the driver use."""
    if DRIVER_MAJOR < 5:
        return {"login_timeout": LOGIN_TIMEOUT, "network_timeout": REQUEST_TIMEOUT}
    return {
        "login_timeout": LOGIN_TIMEOUT,
        "request_timeout": REQUEST_TIMEOUT,  # not query_timeout, which limits the query: the server does that
        "retry_timeout": REQUEST_TIMEOUT,
        "enable_server_session_keep_alive_auto_detection": False,  # our queries do not outlive the session
    }


def quote(identifier: str) -> str:
    """Returns the identifier in double quotes, with embedded quotes doubled."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Returns the text as a SQL string literal, for commands that do not accept bound values."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def timestamp(moment: datetime) -> str:
    """Returns the time as text with an offset, to bind; see TIMESTAMP_INPUT_FORMAT of the session."""
    return moment.isoformat(timespec="microseconds")


# --- statements ------------------------------------------------------------------------------------------


def rows(connection: SnowflakeConnection, kind: type[R], sql: str, values: Sequence[object] = ()) -> Rows[R]:
    """Runs the statement now and returns its rows as ``kind``, one at a time; values are bound to ``?`` in the SQL."""
    cursor = _executed(connection, sql, values)
    return named_rows(kind, _columns(cursor), _fetched(cursor))


def _executed(connection: SnowflakeConnection, sql: str, values: Sequence[object] = ()) -> SnowflakeCursor:
    cursor = connection.cursor()
    with interruptible():
        cursor.execute(sql, tuple(values)) if values else cursor.execute(sql)
    return cursor


def _columns(cursor: SnowflakeCursor) -> list[str]:
    return [column[0] for column in cursor.description or []]


def _fetched(cursor: SnowflakeCursor) -> Iterator[Sequence[Any]]:
    try:
        yield from fetch_in_batches(cursor, FETCH_ROWS)
    finally:
        cursor.close()


def clock(connection: SnowflakeConnection, options: Options) -> datetime | None:
    """Returns the time of Snowflake, by which windows end; counts it and returns None if it is not readable."""
    found = read_or_skip(options, NO_CLOCK, lambda: list(rows(connection, ClockRow, CLOCK_SQL)), is_statement_error)
    return found[0].warehouse_time if found else None


# --- errors ----------------------------------------------------------------------------------------------


def explain(error: BaseException) -> PushIngestionError | None:
    """Converts an error of the driver to a PushIngestionError with a remedy; returns None for other errors."""
    return explained(read_error(error))


def is_unreadable(error: BaseException) -> bool:
    """Whether the object is missing, not granted or no longer shared, so that it can be skipped."""
    return has_scope(read_error(error), Scope.OBJECT)


def is_statement_error(error: BaseException) -> bool:
    """Whether Snowflake rejected or ended the statement, for any reason."""
    return isinstance(error, ProgrammingError)


def is_too_much(error: BaseException) -> bool:
    """Whether INFORMATION_SCHEMA or SHOW refused the result as too large. INFORMATION_SCHEMA can be read in parts."""
    return has_scope(read_error(error), Scope.TOO_MUCH)


def is_unreadable_or_too_much(error: BaseException) -> bool:
    """Whether to skip a statement that cannot be split into parts."""
    return is_unreadable(error) or is_too_much(error)
