"""Connects to a Hive metastore database, PostgreSQL or MySQL (MariaDB), and streams the rows of statements.

``HIVE_METASTORE_URL`` is a SQLAlchemy URL. SQLAlchemy and the drivers are optional packages, imported on first use.
"""

from __future__ import annotations

import importlib
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from mcpush.collect.rows import R, Rows, fetch_in_batches, named_rows
from mcpush.encryption import is_loopback, require_encryption
from mcpush.environment import checked, hide_values, name_and_length, whole_number
from mcpush.errors import ConfigurationError
from mcpush.interrupts import interruptible
from mcpush.version import RELEASE
from metastore_sql import MYSQL_NUMBER_CONDITION, POSTGRESQL_NUMBER_CONDITION

URL_VARIABLE = "HIVE_METASTORE_URL"
TIMEOUT_VARIABLE = "HIVE_METASTORE_TIMEOUT"
# ADAPT: raise it for a metastore with many millions of partitions.
DEFAULT_TIMEOUT = 900  # seconds of a statement; with MySQL, also the time in which its rows are read
CONNECT_TIMEOUT = 30  # seconds
NETWORK_GRACE = 60  # seconds that a socket's timeout exceeds a statement's
FETCH_ROWS = 2_000  # rows fetched at a time
PRODUCT = "push-ingestion"
EXAMPLE = "postgresql+psycopg://user:password@host:5432/metastore or mysql+pymysql://user:password@host:3306/metastore"


@dataclass(frozen=True)
class Dialect:
    """What differs between the databases. ``settings`` run in each session, with the timeout in s and ms filled in.

    With ``one_connection``, several results are read at the same time in one transaction, which sees one snapshot.
    Otherwise each result needs its own connection.
    """

    driver: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    one_connection: bool
    isolation: str
    number_condition: str
    settings: tuple[str, ...]
    mariadb_settings: tuple[str, ...] = ()
    mysql_settings: tuple[str, ...] = ()


DIALECTS = {
    "postgresql": Dialect(
        driver="postgresql+psycopg",
        modules=("sqlalchemy", "psycopg"),
        packages=("sqlalchemy>=2.1,<3", "psycopg[binary]>=3.3,<4"),
        one_connection=True,
        isolation="REPEATABLE READ",
        number_condition=POSTGRESQL_NUMBER_CONDITION,
        settings=(
            # https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT
            "SET statement_timeout TO {milliseconds}",
            # The planner otherwise assumes that only a tenth of a cursor's rows are read.
            # https://www.postgresql.org/docs/current/runtime-config-query.html#GUC-CURSOR-TUPLE-FRACTION
            "SET cursor_tuple_fraction TO 1.0",
        ),
    ),
    "mysql": Dialect(
        driver="mysql+pymysql",
        modules=("sqlalchemy", "pymysql"),
        packages=("sqlalchemy>=2.1,<3", "pymysql>=2.2,<3"),
        one_connection=False,
        isolation="AUTOCOMMIT",
        number_condition=MYSQL_NUMBER_CONDITION,
        settings=(
            # https://dev.mysql.com/doc/refman/8.4/en/sql-mode.html#sqlmode_ansi_quotes
            "SET SESSION sql_mode = 'ANSI_QUOTES'",
            # The server ends a connection whose rows are not read for 60 s. Ours wait for those of other connections.
            # https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_net_write_timeout
            "SET SESSION net_write_timeout = {seconds}",
            # https://dev.mysql.com/doc/refman/8.4/en/set-transaction.html
            "SET SESSION TRANSACTION READ ONLY",
        ),
        # https://mariadb.com/docs/server/ha-and-performance/optimization-and-tuning/query-optimizations/aborting-statements
        mariadb_settings=("SET SESSION max_statement_time = {seconds}",),
        # https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_max_execution_time
        mysql_settings=("SET SESSION max_execution_time = {milliseconds}",),
    ),
}
BACKENDS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}


# --- sessions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """Sessions in a metastore database, closed by ``closing``."""

    engine: Any
    dialect: Dialect
    timeout: int
    connections: list[Any] = field(default_factory=list)
    closing: ExitStack = field(default_factory=ExitStack)

    def rows(self, kind: type[R], sql: str, **values: object) -> Rows[R]:
        """Runs the statement now and streams its rows; ``values`` are bound to ``:name`` in the SQL.

        Fetches the first rows at once: sorting and summing are done by then, and an error leaves the session usable.
        """
        sqlalchemy = importlib.import_module("sqlalchemy")
        connection = self._connection()
        with interruptible(), self._savepoint(connection):
            streamed = {"stream_results": True, "max_row_buffer": FETCH_ROWS}
            result = connection.execute(sqlalchemy.text(sql), values, execution_options=streamed)
            first = result.fetchmany(FETCH_ROWS)
        return named_rows(kind, result.keys(), chain(first, fetch_in_batches(result, FETCH_ROWS)))

    def _connection(self) -> Any:
        """The connection for the next statement: the first one, or one of its own."""
        if self.dialect.one_connection and self.connections:
            return self.connections[0]
        with interruptible(), _unknown_parameters():
            connection = self.engine.connect()
            self.closing.callback(_discard, connection)
            for setting in self._settings(connection):
                connection.exec_driver_sql(setting)
        self.connections.append(connection)
        return connection

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
    """Closes the connection without reading the rows that remain, as ``close`` would."""
    with suppress(Exception):  # must not hide the result or error of the run
        connection.invalidate()
        connection.close()


@contextmanager
def open_session() -> Iterator[Session]:
    """Opens a session by ``HIVE_METASTORE_URL`` and closes it at the end.

    Raises ConfigurationError for a missing package, or a URL or variable that is not valid, and errors of SQLAlchemy.
    """
    timeout = checked(
        TIMEOUT_VARIABLE, os.environ.get(TIMEOUT_VARIABLE) or str(DEFAULT_TIMEOUT), whole_number(1, 86_400)
    )
    url, dialect = _url_and_dialect()
    sqlalchemy = importlib.import_module("sqlalchemy")
    engine = sqlalchemy.create_engine(
        url,
        poolclass=sqlalchemy.pool.NullPool,
        isolation_level=dialect.isolation,
        execution_options={"postgresql_readonly": True},
        connect_args=connect_arguments(dialect.driver, url.host, url.query, timeout),
        hide_parameters=True,
    )
    session = Session(engine, dialect, timeout)
    with session.closing:
        yield session


# --- the URL ----------------------------------------------------------------------------------------------


def _url_and_dialect() -> tuple[Any, Dialect]:
    """The URL with its driver, and its dialect. No message repeats the URL, which has a password."""
    text = os.environ.get(URL_VARIABLE, "")
    backend, _, driver = text.partition(":")[0].lower().partition("+")
    dialect = DIALECTS.get(BACKENDS.get(backend, ""))
    if dialect is None or driver not in ("", dialect.driver.partition("+")[2]):
        raise ConfigurationError(
            f"{name_and_length(URL_VARIABLE)} is not a URL of a database that this script can read.",
            f"Use a URL such as {EXAMPLE}. JDBC URLs, other databases and other drivers are not supported.",
        )
    _require(dialect)
    sqlalchemy = importlib.import_module("sqlalchemy")
    try:
        url = sqlalchemy.make_url(text).set(drivername=dialect.driver)
    except (ValueError, TypeError, sqlalchemy.exc.ArgumentError):
        raise ConfigurationError(
            f"{name_and_length(URL_VARIABLE)} is not a valid URL.",
            f"Use a URL such as {EXAMPLE}. Percent-encode special characters in the password, such as @ as %40.",
        ) from None
    return url, dialect


def _require(dialect: Dialect) -> None:
    """Raises ConfigurationError with the commands that install what is missing."""
    try:
        for module in dialect.modules:
            importlib.import_module(module)
    except ImportError as error:
        with_options = " ".join(f"--with '{package}'" for package in dialect.packages)
        quoted = " ".join(f"'{package}'" for package in dialect.packages)
        raise ConfigurationError(
            f"{URL_VARIABLE} needs packages that are not installed: {error}.",
            f"Run: uv run {with_options} collect_metadata.py … (or: pip install {quoted})",
        ) from None


def connect_arguments(driver: str, host: str | None, query: Mapping[str, Any], timeout: int) -> dict[str, Any]:
    """Arguments of the driver that the URL leaves open: timeouts, and verified TLS to other machines.

    Raises ConfigurationError if the URL requests an unencrypted connection to another machine.
    """
    if driver.startswith("postgresql"):
        # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
        arguments: dict[str, Any] = {
            "application_name": f"{PRODUCT}/{RELEASE}",
            "connect_timeout": CONNECT_TIMEOUT,
            "keepalives_idle": NETWORK_GRACE,
            "keepalives_interval": 15,
            "keepalives_count": 4,
            "tcp_user_timeout": 2 * NETWORK_GRACE * 1000,
            **_postgresql_tls(_hosts(host, query), query),
        }
    else:
        # https://pymysql.readthedocs.io/en/latest/modules/connections.html
        arguments = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": timeout + NETWORK_GRACE,
            "write_timeout": NETWORK_GRACE,
            **_mysql_tls(_hosts(host, query), query),
        }
    return {name: value for name, value in arguments.items() if name not in query}


def _hosts(host: str | None, query: Mapping[str, Any]) -> list[str]:
    """All other machines that the URL names. Without a name, or with a path, it is a socket of this machine."""
    named = [host, *_each(query.get("host")), *_each(query.get("hostaddr"))]
    hosts = [part.partition(":")[0] if part.count(":") == 1 else part for part in filter(None, named)]
    return [each for each in hosts if not each.startswith("/") and not is_loopback(each)]


def _each(value: Any) -> Sequence[str]:
    values = [value] if isinstance(value, str) else value or ()
    return [part for each in values for part in each.split(",")]


def _postgresql_tls(others: Sequence[str], query: Mapping[str, Any]) -> dict[str, Any]:
    mode = query.get("sslmode")
    if not others:
        return {}
    if mode is None:
        # "system" are the certificate authorities of this machine.
        return {"sslmode": "verify-full", "sslrootcert": "system"}
    if mode in ("disable", "allow", "prefer"):
        require_encryption(f"sslmode={mode} in {URL_VARIABLE}", others[0])
    return {}


def _mysql_tls(others: Sequence[str], query: Mapping[str, Any]) -> dict[str, Any]:
    if not others:
        return {}
    if query.get("ssl_disabled"):  # for the driver, any text is true
        require_encryption(f"ssl_disabled in {URL_VARIABLE}", others[0])
        return {}
    if any(name.startswith("ssl") for name in query):
        return {}
    return {"ssl": ssl.create_default_context()}
