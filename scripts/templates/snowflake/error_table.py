"""Errors of Snowflake's driver, with their consequences for a run and their remedies."""

from __future__ import annotations

import os

from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope
from mcpush.environment import hide_values
from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError
from snowflake.connector.errors import DatabaseError, Error, InterfaceError, InternalError, OperationalError

CORRECT_SIGN_IN = "Correct the key file, its passphrase or the profile (see README.md)."
CHECK_ADDRESS = "Check SNOWFLAKE_ACCOUNT. A network policy may also block this machine's address."
TRY_AGAIN = "Check the network and status.snowflake.com, then run the same command again."
MISSING_GRANTS = "Grant the role what README.md lists, or correct SNOWFLAKE_ROLE."
CONTACT_SUPPORT = (
    "Run the same command again. If it fails again, contact Snowflake's support with the error number and the query "
    "id (QUERY_HISTORY has the statement)."
)

SHOWN = ("SNOWFLAKE_AUTHENTICATOR", "SNOWFLAKE_PROTOCOL")  # checked: one of a few words, which messages contain anyway
VENDORED = "snowflake.connector.vendored."  # version 4 passes on network errors of its copy of requests
NETWORK = "network"  # the code for such errors, which have no number


def _sign_in(number: int, remedy: str) -> ErrorCase:
    return ErrorCase(RefusedError, remedy, codes=(number,))


def _failed_statement(number: int, remedy: str) -> ErrorCase:
    """Returns the case of an error that ends a valid statement. No page lists these numbers."""
    return ErrorCase(UnavailableError, remedy, codes=(number,), scope=Scope.STATEMENT)


ERRORS = ErrorTable(
    "Snowflake",
    cases=(
        ErrorCase(UnavailableError, TRY_AGAIN, codes=(NETWORK,)),
        # The session ended (idle, closed by an administrator, token expired). Signing in again helps.
        ErrorCase(
            UnavailableError,
            "The session ended. Run the same command again.",
            codes=(390_111, 390_112, 390_113, 390_114, 390_115),
        ),
        _sign_in(390_100, "Check user and password. If password-only sign-in is disabled, use a key pair or a token."),
        _sign_in(390_102, "The user is disabled or locked. Ask an administrator (DESCRIBE USER)."),
        _sign_in(
            390_144,
            "The key does not match the user, or the clock is wrong. Compare RSA_PUBLIC_KEY_FP in DESCRIBE USER.",
        ),
        _sign_in(390_189, "Grant the role to the user, or correct SNOWFLAKE_ROLE."),
        _sign_in(390_201, "Grant USAGE on the object to the role, or correct the variable."),
        _sign_in(390_303, "The OAuth token is not valid for this account. Get a new one."),
        _sign_in(390_318, "The OAuth token has expired. Get a new one."),
        _sign_in(390_422, "A network policy blocks this machine's address. Ask an administrator."),
        ErrorCase(RefusedError, "Check credentials, role and network policy.", codes=range(390_000, 396_000)),
        ErrorCase(
            ConfigurationError, "Set SNOWFLAKE_WAREHOUSE and grant USAGE on it to the role.", codes=(606,)
        ),  # no active warehouse
        _failed_statement(
            603,
            "Snowflake had an internal error. Run the same command again, or contact Snowflake's support with the "
            "query id.",
        ),
        _failed_statement(604, "The statement was canceled. Run the same command again, or find out what cancels it."),
        _failed_statement(
            608, "The warehouse is suspended. Resume it or set AUTO_RESUME, then run the same command again."
        ),
        _failed_statement(
            630,
            "The statement timed out. Raise STATEMENT_TIMEOUT_IN_SECONDS (in connection.py and of the warehouse), "
            "or use a larger warehouse or a shorter window.",
        ),
        # "cannot be resumed because resource monitor … has exceeded its quota"
        ErrorCase(
            RefusedError,
            "Raise the resource monitor's quota, wait for its next period, or use another warehouse.",
            codes=(90_073,),
        ),
        # 2003, 2043: missing or not visible to the role; Snowflake does not say which. 3001: not granted. 3030:
        # "Shared database is no longer available for use", because its provider revoked it.
        # https://docs.snowflake.com/en/user-guide/security-access-control-overview
        ErrorCase(RefusedError, MISSING_GRANTS, codes=(2003, 2043, 3001, 3030), scope=Scope.OBJECT),
        # INFORMATION_SCHEMA and SHOW refuse results that are too large; the pages give no error numbers. This case
        # follows those with numbers, because names in their messages can contain these words.
        # https://docs.snowflake.com/en/sql-reference/info-schema
        ErrorCase(
            PushIngestionError,
            CONTACT_SUPPORT,
            words=("too much data", "exceeded the max number of rows"),
            types=(DatabaseError,),
            scope=Scope.TOO_MUCH,
        ),
        # No such account, or the address is blocked: both versions of the driver report it only in the message.
        ErrorCase(RefusedError, CHECK_ADDRESS, words=("HTTP 403", "status: 403", "HTTP 404", "status: 404")),
        # Version 4: 290000 plus the HTTP status of a failed response.
        ErrorCase(UnavailableError, TRY_AGAIN, codes=range(290_000, 291_000)),
        # The driver failed before it sent a request: the account, user or password is missing, or a value is invalid.
        # 250001 is also the code for an unusable key.
        ErrorCase(ConfigurationError, CORRECT_SIGN_IN, words=("configuration error",)),
        ErrorCase(
            ConfigurationError,
            CORRECT_SIGN_IN,
            codes=(250_001, 251_001, 251_005, 251_006, 251_007),
            without=("http", "could not connect"),
        ),
        ErrorCase(UnavailableError, TRY_AGAIN, types=(OperationalError, InterfaceError, InternalError)),
        ErrorCase(UnavailableError, TRY_AGAIN, words=("http request",)),
    ),
    other=ErrorCase(PushIngestionError, CONTACT_SUPPORT, scope=Scope.STATEMENT),
)


def message(error: BaseException) -> str:
    """Returns the driver's message, with the names of variables instead of the values that the driver repeats."""
    hidden = [name for name in os.environ if name.startswith("SNOWFLAKE_") and name not in SHOWN]
    return hide_values(str(error).strip(), hidden)


def read_error(error: BaseException) -> DriverError | None:
    """Returns the driver's error with its number; None for other errors."""
    text = message(error)
    if type(error).__module__.startswith(VENDORED):
        return DriverError(ERRORS, error, NETWORK, text)
    if not isinstance(error, Error):
        return None
    return DriverError(ERRORS, error, error.errno if isinstance(error.errno, int) else None, text)
