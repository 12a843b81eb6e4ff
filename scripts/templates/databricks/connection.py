"""Connects to a SQL warehouse of Databricks and runs statements, for all scripts in this folder.

The configuration comes from environment variables (see README.md). Needs ``databricks-sql-connector`` 4.2 or later, and
``pyarrow``.

    with connect() as warehouse:
        for row in warehouse.rows(QueryRow, "SELECT …", since=since):
            ...

Runs only SELECT, SHOW and DESCRIBE. Rows are streamed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from error_table import read_error
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.clock import NO_CLOCK
from mcpush.collect.collector import Options
from mcpush.collect.driver_errors import Scope, explained, has_scope
from mcpush.collect.rows import R, Rows, fetch_in_batches, named_rows
from mcpush.console import log
from mcpush.errors import ConfigurationError, PushIngestionError
from mcpush.version import RELEASE
from sessions import Session, SessionsOfThreads
from signing_in import PRODUCT, SignIn, sign_in
from variables import (
    PATH_VARIABLE,
    WAREHOUSE_PATH,
    WAREHOUSE_VARIABLE,
    cloud_fetch,
    http_path,
    retry_seconds,
    statement_timeout,
)

for name in ("databricks", "urllib3", "thrift"):  # they log each error that is retried, and settings
    logging.getLogger(name).setLevel(logging.CRITICAL)

Value = str | int | bool | datetime | date | list[str]  # what can be bound to a statement

FETCH_ROWS = 1_000  # rows fetched at a time
# ADAPT: increase for a metastore with a very long query history or a very large catalog.
DEFAULT_STATEMENT_TIMEOUT = 900  # seconds
DEFAULT_RETRY_SECONDS = 600  # a warehouse that is not serverless can take minutes to start
SOCKET_TIMEOUT = 120  # seconds; the connector asks again and again whether a statement has ended
# The connector's own retries: of single requests, and not for long, because statements are repeated (sessions.py).
# https://github.com/databricks/databricks-sql-python/blob/main/CONNECTION_PARAMETERS.md
CONNECTOR_RETRY_SECONDS = 60
RETRIES = {
    "_retry_delay_min": 1,
    "_retry_delay_max": 5,
    "_retry_stop_after_attempts_count": 30,
    "_retry_dangerous_codes": [502, 504],  # dangerous only for statements that write
}

# https://docs.databricks.com/aws/en/sql/language-manual/functions/current_timestamp
CLOCK_SQL = "SELECT current_timestamp() AS warehouse_time"


class ClockRow(NamedTuple):
    """A row of CLOCK_SQL. Without pyarrow, the time has no zone, and is UTC as that of the session."""

    warehouse_time: datetime


# --- statements ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Warehouse:
    """A SQL warehouse: its main session, and one for each thread of a pool."""

    main: Session
    of_threads: SessionsOfThreads

    def rows(self, kind: type[R], sql: str, /, **values: Value) -> Rows[R]:
        """Runs the statement now and returns its rows as ``kind``; values are bound to ``:name`` in the SQL.

        Only for the main thread. Several results can be read in turn.
        """
        cursor = self.main.execute(sql, values)
        return named_rows(kind, _columns(cursor), _streamed(cursor))

    def read(self, kind: type[R], sql: str, /, **values: Value) -> list[R]:
        """Runs the statement in the thread's own session and returns all its rows. For small results."""
        cursor = self.of_threads.session().execute(sql, values, is_streamed=False)
        return list(named_rows(kind, _columns(cursor), fetch_in_batches(cursor, FETCH_ROWS)))

    def read_value(self, sql: str, /) -> object:
        """The first column of the first row of a result whose column has no documented name; None without a row."""
        row = self.of_threads.session().execute(sql, {}, is_streamed=False).fetchone()
        return row[0] if row else None


def _columns(cursor: Any) -> list[str]:
    return [column[0] for column in cursor.description or []]


def _streamed(cursor: Any) -> Iterator[Sequence[Any]]:
    """The rows of a result. Frees the result at their end."""
    yield from fetch_in_batches(cursor, FETCH_ROWS)
    cursor.close()


def quote(identifier: str) -> str:
    """The identifier in backticks, with embedded backticks doubled.

    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-identifiers
    """
    return "`" + identifier.replace("`", "``") + "`"


def quoted(*parts: str) -> str:
    """The full name of an object, from its parts."""
    return ".".join(quote(part) for part in parts)


def clock(warehouse: Warehouse, options: Options) -> datetime | None:
    """The time of the warehouse, by which windows end; counts it and returns None if it is not readable."""
    found = read_or_skip(options, NO_CLOCK, lambda: list(warehouse.rows(ClockRow, CLOCK_SQL)), is_statement_error)
    return found[0].warehouse_time if found else None


# --- connecting ----------------------------------------------------------------------------------------------


@contextmanager
def connect() -> Iterator[Warehouse]:
    """Opens the main session, and closes all at the end. Waits until the warehouse has started.

    Raises ConfigurationError if variables are missing or contradictory, and the connector's errors, which ``explain``
    converts.
    """
    path, seconds = http_path(), retry_seconds(DEFAULT_RETRY_SECONDS)
    timeout, is_fetching = statement_timeout(DEFAULT_STATEMENT_TIMEOUT), cloud_fetch()
    found = sign_in(seconds)
    path = path or (f"{WAREHOUSE_PATH}{found.warehouse}" if found.warehouse else None)
    if not path:
        raise ConfigurationError(
            f"The SQL warehouse is not known: {PATH_VARIABLE} is not set.",
            f"Set it to the HTTP path in the warehouse's connection details, or set {WAREHOUSE_VARIABLE} (README.md).",
        )
    arguments = {
        **_address(found, path),
        **found.arguments,
        # https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameters
        "session_configuration": {"STATEMENT_TIMEOUT": str(timeout), "TIMEZONE": "UTC"},
        "user_agent_entry": f"{PRODUCT}/{RELEASE}",
        "enable_telemetry": False,
        "use_cloud_fetch": is_fetching,
        "_socket_timeout": SOCKET_TIMEOUT,
        "_retry_stop_after_attempts_duration": min(seconds, CONNECTOR_RETRY_SECONDS),
        **RETRIES,
    }
    log.info("connecting to Databricks: %s", found.method)
    main = Session(arguments, seconds)
    of_threads = SessionsOfThreads(lambda: Session(arguments, seconds))
    try:
        main.open()
        yield Warehouse(main, of_threads)
    finally:
        of_threads.close()
        main.close()


def _address(found: SignIn, path: str) -> dict[str, Any]:
    """The connector's arguments for the address. It takes http only as a complete URL."""
    scheme, _, place = found.url.partition("://")
    host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
    where: dict[str, Any] = {"server_hostname": host if colon else place, "http_path": path}
    if colon:
        where["_port"] = int(port)
    if scheme == "http":
        where["_connection_uri"] = f"{found.url}{path}"
    return where


# --- errors --------------------------------------------------------------------------------------------------


def explain(error: BaseException) -> PushIngestionError | None:
    """Converts an error of Databricks or the connector to a PushIngestionError with a remedy; None for other errors."""
    return explained(read_error(error))


def is_unreadable(error: BaseException) -> bool:
    """Whether Databricks refuses access to a catalog, schema, table or view, or does not find it."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE)


def is_too_much(error: BaseException) -> bool:
    """Whether the result is too large or took too long. A smaller part may succeed."""
    return has_scope(read_error(error), Scope.TOO_MUCH)


def is_statement_error(error: BaseException) -> bool:
    """Whether Databricks refuses this statement, or does not support it here; others can succeed."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE, Scope.STATEMENT)
