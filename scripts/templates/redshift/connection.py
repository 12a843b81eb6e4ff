"""Opens Amazon Redshift and runs statements: the one place of this folder that talks to the driver.

From environment variables (signing_in.py) to open sessions, on provisioned clusters and on Serverless. Needs
``redshift-connector`` 2.2 or later.

    with connect() as warehouse:
        for row in warehouse.main.rows(QueryRow, "SELECT …", since=since):
            ...
        with warehouse.within("analytics") as session:
            ...

A session only ever runs SELECT, SHOW and SET. The driver keeps a whole result in memory, so large ones are asked for in
pages by those who want them (query_history.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import redshift_connector
from error_table import read_error
from mcpush.collect.driver_errors import Scope, explained, has_scope
from mcpush.collect.rows import R, Rows, fetch_in_batches, named_rows
from mcpush.console import log
from mcpush.errors import ConfigurationError, PushIngestionError
from mcpush.interrupts import interruptible
from mcpush.version import RELEASE
from signing_in import TIMEOUT_VARIABLE, arguments_from_environment

PRODUCT = "push-ingestion"
DEFAULT_DATABASE = "dev"  # the one every new cluster and namespace has
DEFAULT_PORT = 5439
FETCH_ROWS = 1_000  # rows handed over at a time
# ADAPT: a cluster with a very long query history or a very large catalog may need longer for one statement.
DEFAULT_STATEMENT_TIMEOUT = 900  # seconds
NETWORK_GRACE = 60  # seconds a socket may stay silent beyond the statement's own limit


# --- sessions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """A session in one database."""

    connection: Any
    database: str

    def rows(self, kind: type[R], sql: str, **values: object) -> Rows[R]:
        """Run the statement now, hand out its rows as ``kind``; ``:name`` in the SQL takes the values."""
        cursor = self._execute(sql, values)
        return named_rows(
            kind, [column[0] for column in cursor.description or []], fetch_in_batches(cursor, FETCH_ROWS)
        )

    def run(self, sql: str) -> None:
        """Run a statement that returns no rows."""
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
        """A session in this database: the main one, or another that is closed at the end."""
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
    """An open warehouse, closed at the end. Says on stderr how it signs in.

    Raises ConfigurationError for variables that are missing or contradict each other, and the driver's errors,
    which ``explain`` turns into ours.
    """
    method, given = arguments_from_environment()
    timeout = _statement_timeout()
    arguments = {
        "database": DEFAULT_DATABASE,
        "port": DEFAULT_PORT,
        "ssl": True,
        "sslmode": "verify-full",
        "application_name": f"{PRODUCT}/{RELEASE}",  # https://docs.aws.amazon.com/redshift/latest/dg/SYS_CONNECTION_LOG.html
        # The driver has one limit for connecting and for reading: it has to outlast the longest statement.
        "timeout": timeout + NETWORK_GRACE,
        **given,
    }
    log.info("connecting to Redshift: %s, database %s", method, arguments["database"])
    warehouse = Warehouse(Session(None, arguments["database"]), arguments, timeout)
    session = _open(warehouse)
    try:
        yield replace(warehouse, main=session)
    finally:
        _close(session)


def _statement_timeout() -> int:
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise ConfigurationError(
            f"{TIMEOUT_VARIABLE} is not a number of seconds: {text!r}", "Use a number such as 900."
        )
    return int(text or DEFAULT_STATEMENT_TIMEOUT)


def _open(warehouse: Warehouse) -> Session:
    with interruptible():
        connection = redshift_connector.connect(**warehouse.arguments)
    connection.autocommit = True  # no transaction stays open while someone reads slowly
    session = Session(connection, warehouse.arguments["database"])
    # https://docs.aws.amazon.com/redshift/latest/dg/r_statement_timeout.html (milliseconds)
    session.run(f"SET statement_timeout TO {warehouse.statement_timeout * 1000}")
    # The label under which our own statements stand in SYS_QUERY_HISTORY, so that they can be told apart.
    # https://docs.aws.amazon.com/redshift/latest/dg/r_query_group.html
    session.run(f"SET query_group TO '{PRODUCT}'")
    # By default Redshift lower-cases even what is quoted, and SHOW TABLES would not find "Sales".
    # https://docs.aws.amazon.com/redshift/latest/dg/r_enable_case_sensitive_identifier.html
    session.run("SET enable_case_sensitive_identifier TO true")
    return session


def _close(session: Session) -> None:
    with suppress(Exception):  # the work is done or has failed already: its own outcome is what counts
        session.connection.close()


def quote(identifier: str) -> str:
    """The identifier as SQL takes it literally: in double quotes, embedded ones doubled.

    Its case counts because ``_open`` asks for that.
    """
    return '"' + identifier.replace('"', '""') + '"'


# --- what went wrong -----------------------------------------------------------------------------------------


def explain(error: BaseException) -> PushIngestionError | None:
    """The driver's error as one of ours, with a remedy; None when it is neither the driver's nor AWS's."""
    return explained(read_error(error))


def is_closed(error: BaseException) -> bool:
    """Whether this one database cannot be entered, by what Redshift says or by what IAM allows: others may be."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE)


def is_statements_own(error: BaseException) -> bool:
    """Whether the server refused this one statement, and the session goes on: no right, too slow, or, as with an
    external schema whose catalog does not answer, a view that cannot be read just now."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE, Scope.STATEMENT)
