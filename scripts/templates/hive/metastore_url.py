"""The URL of a Hive metastore database, and what differs between PostgreSQL and MySQL (MariaDB).

``HIVE_METASTORE_URL`` is a SQLAlchemy URL. SQLAlchemy and the drivers are optional packages, imported on first use.
"""

from __future__ import annotations

import importlib
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from mcpush.encryption import is_loopback, require_encryption
from mcpush.environment import name_and_length
from mcpush.errors import ConfigurationError
from mcpush.version import RELEASE
from metastore_sql import MYSQL_NUMBER_CONDITION, POSTGRESQL_NUMBER_CONDITION

URL_VARIABLE = "HIVE_METASTORE_URL"
CONNECT_TIMEOUT = 30  # seconds
NETWORK_GRACE = 60  # seconds that a socket's timeout exceeds a statement's
PRODUCT = "push-ingestion"
FIRST_PYMYSQL = (1, 2)
# https://docs.sqlalchemy.org/en/20/dialects/mysql.html#module-sqlalchemy.dialects.mysql.pymysql
SSL_PARAMETERS = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_check_hostname", "ssl_disabled")
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
        packages=("sqlalchemy>=2,<3", "psycopg[binary]>=3.2,<4"),
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
        packages=("sqlalchemy>=2,<3", "pymysql>=1.2,<2"),
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


def url_and_dialect() -> tuple[Any, Dialect]:
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
    """Raises ConfigurationError with the commands that install packages."""
    try:
        for module in dialect.modules:
            _check_version(importlib.import_module(module))
    except ImportError as error:
        with_options = " ".join(f"--with '{package}'" for package in dialect.packages)
        quoted = " ".join(f"'{package}'" for package in dialect.packages)
        raise ConfigurationError(
            f"{URL_VARIABLE} needs packages that are not installed: {error}.",
            f"Run: uv run {with_options} collect_metadata.py … (or: pip install {quoted})",
        ) from None


def _check_version(module: ModuleType) -> None:
    """Older versions of PyMySQL connect without TLS if the server offers none.

    https://github.com/PyMySQL/PyMySQL/blob/v1.2.0/pymysql/connections.py
    """
    version = getattr(module, "VERSION", ())
    if module.__name__ == "pymysql" and version[:2] < FIRST_PYMYSQL:
        raise ImportError(f"PyMySQL {'.'.join(map(str, version[:3]))} is too old to require TLS")


def connect_arguments(driver: str, host: str | None, query: Mapping[str, Any], timeout: int) -> dict[str, Any]:
    """Arguments of the driver that the URL leaves open: timeouts, and verified TLS to other machines.

    Raises ConfigurationError if the URL requests an unencrypted connection to another machine.
    """
    named = [*filter(None, (host, *_each(query.get("host")), *_each(query.get("hostaddr"))))]
    if driver.startswith("postgresql"):
        # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
        arguments: dict[str, Any] = {
            "application_name": f"{PRODUCT}/{RELEASE}",
            "connect_timeout": CONNECT_TIMEOUT,
            "keepalives_idle": NETWORK_GRACE,
            "keepalives_interval": 15,
            "keepalives_count": 4,
            "tcp_user_timeout": 2 * NETWORK_GRACE * 1000,
            **_postgresql_tls(_others([*named, *_of_libpq(named, query)]), query),
        }
    else:
        # https://pymysql.readthedocs.io/en/latest/modules/connections.html
        arguments = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": timeout + NETWORK_GRACE,
            "write_timeout": NETWORK_GRACE,
            **_mysql_tls(_others(named or [name for name in query if name.startswith("read_default")]), query),
        }
    return {name: value for name, value in arguments.items() if name not in query}


def _others(named: Sequence[str]) -> list[str]:
    """The other machines among these hosts. A path is a socket of this machine."""
    hosts = [part.partition(":")[0] if part.count(":") == 1 else part for part in named]
    return [each for each in hosts if not each.startswith("/") and not is_loopback(each)]


def _of_libpq(named: Sequence[str], query: Mapping[str, Any]) -> list[str]:
    """Hosts, or the service with them, that libpq takes from variables.

    https://www.postgresql.org/docs/current/libpq-envars.html
    """
    addresses = [] if "hostaddr" in query else _each(os.environ.get("PGHOSTADDR"))
    if named:
        return [*addresses]
    service = query.get("service") or os.environ.get("PGSERVICE")
    return [*_each(os.environ.get("PGHOST")), *addresses, *_each(service)]


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
    """Without an authority in the URL, PyMySQL verifies nothing."""
    given = [name for name in query if name.startswith("ssl")]
    if not {*given} <= {*SSL_PARAMETERS}:
        raise ConfigurationError(f"{URL_VARIABLE} has an unknown ssl parameter.", f"Use {', '.join(SSL_PARAMETERS)}.")
    if not others:
        return {}
    if query.get("ssl_disabled"):  # for the driver, any text is true
        require_encryption(f"ssl_disabled in {URL_VARIABLE}", others[0])
        return {}
    if not given:
        return {"ssl": ssl.create_default_context()}
    is_unverified = str(query.get("ssl_check_hostname")).lower() in ("false", "off", "no", "0")  # on purpose
    if not is_unverified and not {"ssl_ca", "ssl_capath"} & {*given}:
        raise ConfigurationError(
            f"{URL_VARIABLE} has {given[0]} without ssl_ca: the driver would not verify the server.",
            "Add ssl_ca with the file of the server's certificate authority.",
        )
    return {}
