"""Errors of a metastore database and its drivers, with their consequences for a run and their remedies."""

from __future__ import annotations

import sys

from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope, has_scope
from mcpush.environment import hide_values
from mcpush.errors import ConfigurationError, RefusedError, UnavailableError

URL_VARIABLE = "HIVE_METASTORE_URL"
TIMEOUT_REMEDY = "Run the same command again when the database is less busy, or raise HIVE_METASTORE_TIMEOUT."
GRANT_REMEDY = "Grant this user SELECT on the tables that README.md lists."
SIGN_IN_REMEDY = f"Check the user and the password in {URL_VARIABLE}."
NETWORK_REMEDY = f"Check the network and {URL_VARIABLE}, then run the same command again."
TLS_REMEDY = (
    "The connection must be encrypted and the server's certificate valid. Set sslrootcert (PostgreSQL) or ssl_ca "
    f"(MySQL) in {URL_VARIABLE} to the file of its certificate authority (see README.md)."
)
DATABASE_REMEDY = f"Set the database in {URL_VARIABLE} to the one that has the metastore's tables."
SCHEMA_REMEDY = f"{DATABASE_REMEDY} If they are in another schema than public, add ?options=-csearch_path%3DSCHEMA."
AGAIN = "Run the same command again. If it fails again, look up the code in the database's documentation."
TLS_WORDS = ("certificate", "SSL is required", "does not support SSL", "SSL error", "sslmode")

# By SQLSTATE. https://www.postgresql.org/docs/current/errcodes-appendix.html
# If a connection fails, the driver has only a message.
POSTGRESQL = ErrorTable(
    "Metastore database (PostgreSQL)",
    cases=(
        ErrorCase(RefusedError, SIGN_IN_REMEDY, codes=("28000", "28P01"), scope=Scope.STATEMENT),
        ErrorCase(RefusedError, GRANT_REMEDY, codes=("42501",), scope=Scope.OBJECT),
        ErrorCase(ConfigurationError, DATABASE_REMEDY, codes=("3D000",)),
        ErrorCase(ConfigurationError, SCHEMA_REMEDY, codes=("42P01", "42703"), scope=Scope.OBJECT),
        ErrorCase(UnavailableError, TIMEOUT_REMEDY, codes=("57014",), scope=Scope.STATEMENT),
        ErrorCase(UnavailableError, NETWORK_REMEDY, starts=("08", "53", "57", "58")),
        ErrorCase(RefusedError, SIGN_IN_REMEDY, words=("password authentication failed", "no pg_hba.conf entry")),
        ErrorCase(RefusedError, SIGN_IN_REMEDY, words=("no password supplied", "not permitted to log in")),
        ErrorCase(ConfigurationError, DATABASE_REMEDY, words=('database "',), codes=(None,)),
        ErrorCase(ConfigurationError, TLS_REMEDY, words=TLS_WORDS, codes=(None,)),
        ErrorCase(
            ConfigurationError, "Correct the parameters after ? in the URL.", words=("invalid connection option",)
        ),
        ErrorCase(UnavailableError, NETWORK_REMEDY, codes=(None,)),
    ),
    other=ErrorCase(UnavailableError, AGAIN, note=" (code {code})", scope=Scope.STATEMENT),
)

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
# https://dev.mysql.com/doc/mysql-errors/8.4/en/client-error-reference.html
# https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference (1969)
MYSQL = ErrorTable(
    "Metastore database (MySQL)",
    cases=(
        ErrorCase(RefusedError, SIGN_IN_REMEDY, codes=(1045, 1698)),
        ErrorCase(RefusedError, f"{DATABASE_REMEDY} {GRANT_REMEDY}", codes=(1044,)),
        ErrorCase(RefusedError, GRANT_REMEDY, codes=(1142, 1143), scope=Scope.OBJECT),
        ErrorCase(ConfigurationError, DATABASE_REMEDY, codes=(1046, 1049)),
        ErrorCase(ConfigurationError, DATABASE_REMEDY, codes=(1054, 1109, 1146), scope=Scope.OBJECT),
        ErrorCase(UnavailableError, TIMEOUT_REMEDY, codes=(1317, 1969, 3024), scope=Scope.STATEMENT),
        ErrorCase(ConfigurationError, TLS_REMEDY, codes=(2026,)),
        ErrorCase(ConfigurationError, TLS_REMEDY, words=("CERTIFICATE_VERIFY_FAILED", "Hostname mismatch")),
        ErrorCase(
            ConfigurationError, "This script needs MySQL 5.7.8 or later, or MariaDB 10.1 or later.", codes=(1193,)
        ),
        # connections: too many, refused, lost
        ErrorCase(UnavailableError, NETWORK_REMEDY, codes=(1040, 1203, 1226, 2002, 2003, 2005, 2006, 2013)),
        ErrorCase(UnavailableError, NETWORK_REMEDY, codes=(None, 0)),
    ),
    other=ErrorCase(UnavailableError, AGAIN, note=" (code {code})", scope=Scope.STATEMENT),
)


def read_metastore_error(error: BaseException) -> DriverError | None:
    """Returns the error of the database or its driver with its code; None for other errors.

    Without SQLAlchemy nothing was connected: then there is none.
    """
    exceptions = sys.modules.get("sqlalchemy.exc")
    if exceptions is None or not isinstance(error, exceptions.DBAPIError):
        return None
    cause: BaseException = getattr(error, "orig", None) or error
    text = hide_values(_message(cause), [URL_VARIABLE])
    if type(cause).__module__.startswith("psycopg"):
        return DriverError(POSTGRESQL, error, getattr(cause, "sqlstate", None), text)
    code = cause.args[0] if cause.args and isinstance(cause.args[0], int) else None
    return DriverError(MYSQL, error, code, text)


def _message(cause: BaseException) -> str:
    """The driver's message, without SQLAlchemy's additions, MySQL's number and PostgreSQL's copy of the statement."""
    if primary := getattr(getattr(cause, "diag", None), "message_primary", None):
        return str(primary)
    if len(cause.args) == 2 and isinstance(cause.args[0], int):
        return str(cause.args[1]).strip()
    return str(cause).strip()


def is_unreadable_statement(error: BaseException) -> bool:
    """Whether only this statement failed: a missing grant, a missing table, or a timeout."""
    return has_scope(read_metastore_error(error), Scope.OBJECT, Scope.STATEMENT)
