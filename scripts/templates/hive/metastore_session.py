"""Sessions in a Hive metastore database, PostgreSQL or MySQL (MariaDB), that stream the rows of statements."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from mcpush.collect.rows import R, Rows, fetch_in_batches, named_rows
from mcpush.environment import checked, hide_values, whole_number
from mcpush.errors import ConfigurationError
from mcpush.interrupts import interruptible
from metastore_url import URL_VARIABLE, Dialect, connect_arguments, url_and_dialect

TIMEOUT_VARIABLE = "HIVE_METASTORE_TIMEOUT"
# ADAPT: raise it for a metastore with many millions of partitions.
DEFAULT_TIMEOUT = 900  # seconds of a statement; with MySQL, also the time in which its rows are read
FETCH_ROWS = 2_000  # rows fetched at a time


@dataclass(frozen=True)
class Session:
    """Sessions in a metastore database, closed by ``closing``."""

    engine: Any
    dialect: Dialect
    timeout: int
    free: list[Any] = field(default_factory=list)  # connections for the next statement
    results: list[Any] = field(default_factory=list)  # until ``closing``: without a reference, PyMySQL would read them
    closing: ExitStack = field(default_factory=ExitStack)

    def rows(self, kind: type[R], sql: str, **values: object) -> Rows[R]:
        """Runs the statement now and streams its rows; ``values`` are bound to ``:name`` in the SQL.

        Fetches the first rows at once: sorting and summing are done by then, and an error leaves the session usable.
        """
        sqlalchemy = importlib.import_module("sqlalchemy")
        connection = self._connection()
        if self.dialect.one_connection:
            self.free.append(connection)
        with interruptible(), self._savepoint(connection):
            streamed = {"stream_results": True, "max_row_buffer": FETCH_ROWS}
            result = connection.execute(sqlalchemy.text(sql), values, execution_options=streamed)
            self.results.append(result)
            first = result.fetchmany(FETCH_ROWS)
        remaining = fetch_in_batches(result, FETCH_ROWS)
        return named_rows(kind, result.keys(), chain(first, remaining, self._released(connection)))

    def _connection(self) -> Any:
        """A connection that is not in use, or a new one."""
        if self.free:
            return self.free.pop()
        with interruptible(), _unknown_parameters():
            connection = self.engine.connect()
            self.closing.callback(_discard, connection)
            for setting in self._settings(connection):
                connection.exec_driver_sql(setting)
        return connection

    def _released(self, connection: Any) -> Iterator[Any]:
        """No more rows; the connection can run the next statement."""
        if not self.dialect.one_connection:
            self.free.append(connection)
        yield from ()

    def _settings(self, connection: Any) -> Iterator[str]:
        is_mariadb = getattr(connection.dialect, "is_mariadb", False)
        own = self.dialect.mariadb_settings if is_mariadb else self.dialect.mysql_settings
        for setting in (*self.dialect.settings, *own):
            yield setting.format(seconds=self.timeout, milliseconds=self.timeout * 1000)

    @contextmanager
    def _savepoint(self, connection: Any) -> Iterator[None]:
        """In a transaction, an error would otherwise end the other statements, too."""
        if not self.dialect.one_connection:
            yield
            return
        with connection.begin_nested():
            yield


@contextmanager
def _unknown_parameters() -> Iterator[None]:
    """A driver rejects parameters of the URL that it does not know as any wrong argument."""
    try:
        yield
    except TypeError as error:
        raise ConfigurationError(
            f"{URL_VARIABLE}: {hide_values(str(error), [URL_VARIABLE])}", "Correct the parameters after ? in the URL."
        ) from None


def _discard(connection: Any) -> None:
    """Closes the connection without reading the rows that remain."""
    with suppress(Exception):  # must not hide the result or error of the run
        _forget_rows(connection)
        connection.invalidate()
        connection.close()


def _forget_rows(connection: Any) -> None:
    """PyMySQL otherwise reads the rest of a result before it closes it, even from a connection that is lost."""
    with suppress(Exception):  # there is no connection
        if result := getattr(connection.connection.driver_connection, "_result", None):
            result.unbuffered_active = False


@contextmanager
def open_session() -> Iterator[Session]:
    """Opens a session by ``HIVE_METASTORE_URL`` and closes it at the end.

    Raises ConfigurationError for a missing package, or a URL or variable that is not valid, and errors of SQLAlchemy.
    """
    timeout = checked(
        TIMEOUT_VARIABLE, os.environ.get(TIMEOUT_VARIABLE) or str(DEFAULT_TIMEOUT), whole_number(1, 86_400)
    )
    url, dialect = url_and_dialect()
    sqlalchemy = importlib.import_module("sqlalchemy")
    engine = sqlalchemy.create_engine(
        url,
        poolclass=sqlalchemy.pool.NullPool,
        isolation_level=dialect.isolation,
        execution_options={"postgresql_readonly": True},
        connect_args=connect_arguments(dialect.driver, url.host, url.query, timeout),
        hide_parameters=True,
    )
    sqlalchemy.event.listen(engine, "handle_error", lambda context: _forget_rows(context.connection))
    session = Session(engine, dialect, timeout)
    with session.closing:
        yield session
