"""Connects to Amazon Redshift and runs statements, for all scripts in this folder.

Supports provisioned clusters and Serverless. The configuration comes from environment variables (see signing_in.py).
Needs ``redshift-connector`` 2.2 or later.

    with connect() as warehouse:
        for row in warehouse.main.rows(QueryRow, "SELECT …", since=since):
            ...
        with warehouse.within("analytics") as session:
            ...

A session runs only SELECT, SHOW and SET. The driver buffers the whole result in memory, so large results must be read
in pages (see query_history.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import redshift_connector
from error_table import invalid_arguments, read_error
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.clock import NO_CLOCK
from mcpush.collect.collector import Options
from mcpush.collect.driver_errors import Scope, explained, has_scope
from mcpush.collect.rows import R, Rows, fetch_in_batches, named_rows
from mcpush.console import log
from mcpush.errors import PushIngestionError
from mcpush.interrupts import interruptible
from mcpush.version import RELEASE
from signing_in import arguments_from_environment
from variables import statement_timeout

PRODUCT = "push-ingestion"
DEFAULT_DATABASE = "dev"  # every new cluster and namespace has it
DEFAULT_PORT = 5439
FETCH_ROWS = 1_000  # rows fetched at a time
# ADAPT: increase for a cluster with a very long query history or a very large catalog.
DEFAULT_STATEMENT_TIMEOUT = 900  # seconds
NETWORK_GRACE = 60  # seconds that the socket timeout exceeds the statement timeout


# https://docs.aws.amazon.com/redshift/latest/dg/r_GETDATE.html
CLOCK_SQL = "SELECT GETDATE() AS warehouse_time"


class ClockRow(NamedTuple):
    """A row of CLOCK_SQL. The time is UTC, as ``timezone`` of the session, without a time zone."""

    warehouse_time: datetime


# --- sessions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """A session in one database."""

    connection: Any
    database: str

    def rows(self, kind: type[R], sql: str, **values: object) -> Rows[R]:
        """Runs the statement now and returns its rows as ``kind``; values are bound to ``:name`` in the SQL."""
        cursor = self._execute(sql, values)
        return named_rows(
            kind, [column[0] for column in cursor.description or []], fetch_in_batches(cursor, FETCH_ROWS)
        )

    def run(self, sql: str) -> None:
        """Runs a statement that returns no rows."""
        self._execute(sql, {})

    def _execute(self, sql: str, values: dict[str, object]) -> Any:
        cursor = self.connection.cursor()
        cursor.paramstyle = "named"
        with interruptible():
            cursor.execute(sql, values) if values else cursor.execute(sql)
        return cursor


@dataclass(frozen=True)
class Warehouse:
    """A cluster or workgroup: its main session, and sessions in its other databases on request."""

    main: Session
    arguments: dict[str, Any]
    statement_timeout: int

    @contextmanager
    def within(self, database: str) -> Iterator[Session]:
        """Provides a session in this database: the main one, or a new one that is closed at the end."""
        if database == self.main.database:
            yield self.main
            return
        session = _open(replace(self, arguments=self.arguments | {"database": database}))
        try:
            yield session
        finally:
            _close(session)


@contextmanager
def connect() -> Iterator[Warehouse]:
    """Opens the main session and closes it at the end. Logs the sign-in method to stderr.

    Raises ConfigurationError if variables are missing or contradictory, and the driver's errors, which ``explain``
    converts.
    """
    method, given = arguments_from_environment()
    timeout = statement_timeout(DEFAULT_STATEMENT_TIMEOUT)
    arguments = {
        "database": DEFAULT_DATABASE,
        "port": DEFAULT_PORT,
        "ssl": True,
        "sslmode": "verify-full",
        "application_name": f"{PRODUCT}/{RELEASE}",  # https://docs.aws.amazon.com/redshift/latest/dg/SYS_CONNECTION_LOG.html
        # The driver has one timeout for connecting and reading, so it must exceed the statement timeout.
        "timeout": timeout + NETWORK_GRACE,
        **given,
    }
    log.info("connecting to Redshift: %s", method)
    warehouse = Warehouse(Session(None, arguments["database"]), arguments, timeout)
    session = _open(warehouse)
    try:
        yield replace(warehouse, main=session)
    finally:
        _close(session)


def _open(warehouse: Warehouse) -> Session:
    with invalid_arguments(), interruptible():
        connection = redshift_connector.connect(**warehouse.arguments)
    connection.autocommit = True  # no transaction stays open while rows are read slowly
    session = Session(connection, warehouse.arguments["database"])
    # https://docs.aws.amazon.com/redshift/latest/dg/r_statement_timeout.html (milliseconds)
    session.run(f"SET statement_timeout TO {warehouse.statement_timeout * 1000}")
    # Labels our statements in SYS_QUERY_HISTORY.
    # https://docs.aws.amazon.com/redshift/latest/dg/r_query_group.html
    session.run(f"SET query_group TO '{PRODUCT}'")
    # By default Redshift folds even quoted names to lower case, and SHOW TABLES would not find "Sales".
    # https://docs.aws.amazon.com/redshift/latest/dg/r_enable_case_sensitive_identifier.html
    session.run("SET enable_case_sensitive_identifier TO true")
    # GETDATE() returns the session's time. A user can have another time zone (ALTER USER … SET timezone).
    # https://docs.aws.amazon.com/redshift/latest/dg/r_timezone_config.html
    session.run("SET timezone TO 'UTC'")
    return session


def _close(session: Session) -> None:
    with suppress(Exception):  # must not hide the result or error of the run
        session.connection.close()


def quote(identifier: str) -> str:
    """Returns the identifier in double quotes, with embedded quotes doubled.

    It is case-sensitive because of a setting in ``_open``.
    """
    return '"' + identifier.replace('"', '""') + '"'


def clock(warehouse: Warehouse, options: Options) -> datetime | None:
    """Returns the time of Redshift, by which windows end; counts it and returns None if it is not readable."""
    found = read_or_skip(options, NO_CLOCK, lambda: list(warehouse.main.rows(ClockRow, CLOCK_SQL)), is_statement_error)
    return found[0].warehouse_time if found else None


# --- errors --------------------------------------------------------------------------------------------------


def explain(error: BaseException) -> PushIngestionError | None:
    """Converts an error of the driver or AWS to a PushIngestionError with a remedy; returns None for other errors."""
    return explained(read_error(error))


def is_inaccessible(error: BaseException) -> bool:
    """Whether Redshift or IAM refuses access to this database; others can be accessible."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE)


def is_statement_error(error: BaseException) -> bool:
    """Whether only this statement failed and the session can continue.

    For example: a missing grant, a timeout, or a view that fails because the catalog of an external schema does not
    respond.
    """
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE, Scope.STATEMENT)
