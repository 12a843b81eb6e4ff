"""Opens Snowflake and runs statements: the one place of this folder that talks to the driver.

From environment variables, or a profile of the driver's own ``connections.toml`` (signing_in.py), to an open
connection. Needs ``snowflake-connector-python`` 4 or 5.

    with connect() as connection:
        for row in rows(connection, QueryRow, "SELECT …", (since, until)):
            ...

The session only ever runs SELECT and SHOW. Parameters of a session:
https://docs.snowflake.com/en/sql-reference/parameters
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import snowflake.connector
from error_table import WRONG_LOCALLY, read_error
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

# Version 5 warns of AWS credentials that it does not find and does not need. What fails it raises as well.
logging.getLogger("snowflake.connector._core").setLevel(logging.CRITICAL)

PRODUCT = "push-ingestion"
LOGIN_TIMEOUT = 60  # seconds; a server that is not there is known within a minute
REQUEST_TIMEOUT = 120  # seconds for one request with its retries; a running query is asked for again and again
FETCH_ROWS = 1_000  # rows handed over at a time; the driver itself holds a chunk of the result
SHOW_ROW_CAP = 10_000  # SHOW answers with at most so many rows (page of each SHOW command)

# ADAPT: a slow account with a very long query history may need a longer statement timeout; a machine with
# memory to spare may raise threads and chunk size to fetch faster.
SESSION_PARAMETERS: dict[str, Any] = {
    "QUERY_TAG": f"{PRODUCT} {RELEASE}",  # so that the customer finds, and can filter out, what we ran
    "TIMEZONE": "UTC",
    # What an account or a user may have set otherwise, and what would then change the answers unnoticed:
    "ROWS_PER_RESULTSET": 0,  # rows after which every result ends; 0: none is cut
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,  # True would look for "My Table" as MY TABLE
    "TIMESTAMP_INPUT_FORMAT": "AUTO",  # windows are bound as ISO 8601 text
    "STATEMENT_TIMEOUT_IN_SECONDS": 3_600,
    "CLIENT_PREFETCH_THREADS": 1,  # chunks fetched ahead of the one being read
    "CLIENT_RESULT_CHUNK_SIZE": 48,  # MB of one chunk, uncompressed (default 160)
    "CLIENT_MEMORY_LIMIT": 64,  # MB the driver (version 5) may hold in chunks fetched ahead (default 1536)
}


# --- the connection --------------------------------------------------------------------------------------


@contextmanager
def connect() -> Iterator[SnowflakeConnection]:
    """An open session, closed at the end. Says on stderr how it signs in.

    Raises ConfigurationError for variables that are missing or contradict each other, and the driver's errors,
    which ``explain`` turns into ours.
    """
    about, arguments = arguments_from_environment()
    log.info("connecting to Snowflake: %s", about)
    connection = _open(arguments)
    try:
        yield connection
    finally:
        try:
            connection.close()
        except Exception as error:  # the work is done or has failed already: its own outcome is what counts
            log.info("note: closing the session failed: %s", error)


def _open(arguments: dict[str, Any]) -> SnowflakeConnection:
    try:
        with interruptible():
            return snowflake.connector.connect(
                **arguments,
                **_timeouts(),
                application="push_ingestion",
                paramstyle="qmark",  # values travel apart from the SQL text
                client_session_keep_alive=True,  # a slow reader must not lose its session
                session_parameters=SESSION_PARAMETERS,
            )
    except (ValueError, TypeError) as error:  # version 4 lets through what its cryptography library says of a key
        raise ConfigurationError(f"Snowflake driver: {error}", WRONG_LOCALLY) from None


def _timeouts() -> dict[str, Any]:
    """The same limits in the words of the driver's two generations."""
    if DRIVER_MAJOR < 5:
        return {"login_timeout": LOGIN_TIMEOUT, "network_timeout": REQUEST_TIMEOUT}
    return {
        "login_timeout": LOGIN_TIMEOUT,
        "request_timeout": REQUEST_TIMEOUT,  # query_timeout would limit the query itself: the server does that
        "retry_timeout": REQUEST_TIMEOUT,
        "enable_server_session_keep_alive_auto_detection": False,  # no query of ours outlives the session
    }


def quote(identifier: str) -> str:
    """The identifier as SQL takes it literally: in double quotes, embedded ones doubled."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a SQL string, for commands that take no bound values."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def timestamp(moment: datetime) -> str:
    """The moment as a text with an offset, to be bound: TIMESTAMP_INPUT_FORMAT of the session reads it."""
    return moment.isoformat(timespec="microseconds")


# --- statements ------------------------------------------------------------------------------------------


def rows(connection: SnowflakeConnection, kind: type[R], sql: str, values: Sequence[object] = ()) -> Rows[R]:
    """Run the statement now, hand out its rows one at a time as ``kind``; ``?`` in the SQL takes the values."""
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


# --- what went wrong -------------------------------------------------------------------------------------


def explain(error: BaseException) -> PushIngestionError | None:
    """The driver's error as one of ours, with a remedy; None when it is not the driver's."""
    return explained(read_error(error))


def is_unreadable(error: BaseException) -> bool:
    """Whether the object is missing, not granted or no longer shared: it can be skipped, the rest goes on."""
    return has_scope(read_error(error), Scope.OBJECT)


def is_too_much(error: BaseException) -> bool:
    """Whether INFORMATION_SCHEMA refused to answer at such a length (a smaller part it will), or SHOW."""
    return has_scope(read_error(error), Scope.TOO_MUCH)


def is_unanswered(error: BaseException) -> bool:
    """Whether it is either of the two: what cannot be asked for in parts is skipped then."""
    return is_unreadable(error) or is_too_much(error)
