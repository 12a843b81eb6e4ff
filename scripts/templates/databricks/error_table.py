"""Errors of Databricks, its connector and its SDK: their effect on a run, their remedies, which ones are retried."""

from __future__ import annotations

import os
import re

import requests
import urllib3.exceptions
from databricks.sql import exc
from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope
from mcpush.environment import hide_values
from mcpush.errors import ConfigurationError, RefusedError, UnavailableError
from mcpush.redaction import excerpt

AGAIN = "Run the same command again."
GRANTS = "Grant this principal what README.md lists under Required permissions."
TOKEN = "Check the token or the client: it can be wrong, expired, revoked, or without CAN USE on the warehouse."  # noqa: S105
NETWORK_REMEDY = "Check the network, DATABRICKS_HOST and the proxy, then run the same command again."
PATH_REMEDY = "Check DATABRICKS_HOST and DATABRICKS_HTTP_PATH (or DATABRICKS_WAREHOUSE_ID)."
LONGEST_MESSAGE = 1000  # characters; a message can have the stack of the server
PREFIXES = ("DATABRICKS_", "ARM_", "GOOGLE_")  # of the variables whose values messages do not repeat
STATE = re.compile(r"\bSQLSTATE:? ([0-9A-Z]{5})\b")
STACK = re.compile(r"\n[ \t]*at [\w.$]+\(|\nJVM stacktrace:")  # where a message goes on with the stack of the server

# The session is gone, or the warehouse has accepted it and still starts.
# https://github.com/databricks/databricks-sql-python/issues/400, https://github.com/lightdash/lightdash/pull/28654
SESSION_LOST = ("Invalid SessionHandle", "has not been initialized or had already closed")
STARTING = (*SESSION_LOST, "Couldn't create directory /local_disk0/tmp", "TEMPORARILY_UNAVAILABLE")

BUSY = 503  # and 429
BUSY_STATUS = (429, BUSY)

# Errors of statements, by SQLSTATE: https://docs.databricks.com/aws/en/error-messages/sqlstates
# Their conditions: https://docs.databricks.com/aws/en/error-messages/error-classes
SERVER = ErrorTable(
    "Databricks",
    cases=(
        ErrorCase(UnavailableError, "Run it again when the warehouse has started.", words=STARTING),
        ErrorCase(
            RefusedError,
            GRANTS,
            words=("INSUFFICIENT_PERMISSIONS", "PERMISSION_DENIED", "UNAUTHORIZED_ACCESS", "does not have permission"),
            scope=Scope.OBJECT,
        ),
        ErrorCase(RefusedError, GRANTS, codes=("42501",), scope=Scope.OBJECT),
        # a table or view; a catalog or schema, such as a system schema that is not enabled
        ErrorCase(
            RefusedError,
            "Check the grants in README.md, and that an account admin has enabled the system schema.",
            codes=("42P01", "42704"),
            scope=Scope.OBJECT,
        ),
        # https://github.com/databricks/databricks-sql-python/issues/215
        ErrorCase(
            UnavailableError,
            "Use a shorter window or narrower filters, or raise DATABRICKS_STATEMENT_TIMEOUT.",
            words=("DEADLINE_EXCEEDED", "timed out", "timeout", "maxResultSize"),
            scope=Scope.TOO_MUCH,
        ),
        ErrorCase(
            UnavailableError,
            "Use a shorter window or narrower filters, or a larger warehouse.",
            starts=("53", "54"),  # insufficient resources, program limit exceeded
            scope=Scope.TOO_MUCH,
        ),
        ErrorCase(
            UnavailableError, "Run the same command again when the warehouse is less busy.", starts=("08", "57", "58")
        ),
        # Unity Catalog or Delta does not support it; the object has another type; a column is unknown
        ErrorCase(
            UnavailableError,
            "Run the same command again. If it fails again, Databricks does not support the statement here.",
            starts=("0A", "42", "KD", "XX", "XXKD"),
            scope=Scope.STATEMENT,
        ),
    ),
    other=ErrorCase(
        UnavailableError,
        "Run the same command again. If it fails again, look up the condition: "
        "https://docs.databricks.com/aws/en/error-messages/error-classes",
        scope=Scope.STATEMENT,
    ),
)

# Errors of requests, by HTTP status. The connector retries 429, 503 and broken connections.
REQUEST = ErrorTable(
    "Databricks",
    cases=(
        ErrorCase(ConfigurationError, "Check the token: it has a line end.", words=("Invalid header value",)),
        ErrorCase(RefusedError, TOKEN, codes=(401, 403)),
        ErrorCase(ConfigurationError, PATH_REMEDY, codes=(400, 404, 405)),
        ErrorCase(
            UnavailableError,
            "Run it again when the warehouse has started, or raise DATABRICKS_RETRY_SECONDS.",
            codes=BUSY_STATUS,
        ),
    ),
    other=ErrorCase(UnavailableError, NETWORK_REMEDY),
)

NETWORK = ErrorTable(
    "Databricks",
    cases=(
        ErrorCase(
            ConfigurationError,
            "Correct the variable HTTPS_PROXY, e.g. http://proxy.example.com:3128.",
            words=("Proxy URL had", "is not a valid host or port"),
        ),
        ErrorCase(
            ConfigurationError,
            "Check the certificates of this machine, those of a proxy, and DATABRICKS_HOST.",
            words=("CERTIFICATE_VERIFY_FAILED", "Hostname mismatch", "WRONG_VERSION_NUMBER"),
        ),
    ),
    other=ErrorCase(UnavailableError, NETWORK_REMEDY),
)

# Errors of the connector itself.
DRIVER = ErrorTable(
    "Databricks connector",
    cases=(),
    other=ErrorCase(UnavailableError, f"{AGAIN} If it fails again, try another version of databricks-sql-connector."),
)

# https://docs.databricks.com/aws/en/dev-tools/auth/unified-auth
SIGN_IN = ErrorTable(
    "Databricks sign-in",
    cases=(
        # The SDK found no method that is configured.
        ErrorCase(
            ConfigurationError,
            "Set DATABRICKS_TOKEN, or the variables of another sign-in method (README.md).",
            words=("cannot configure default credentials",),
        ),
        ErrorCase(
            RefusedError,
            "Check the client and its secret, and that the service principal is in this workspace.",
            words=("invalid_client", "unauthorized_client", "invalid_grant", "access_denied", "401", "403"),
        ),
        # The SDK did not get the address of the token endpoint from the workspace.
        ErrorCase(UnavailableError, NETWORK_REMEDY, words=("Invalid URL 'None'",)),
        ErrorCase(UnavailableError, NETWORK_REMEDY, types=(OSError, TimeoutError)),
    ),
    other=ErrorCase(ConfigurationError, "Correct the sign-in variables, or the profile (README.md)."),
)


def one_line(text: str) -> str:
    """The text without a stack, with the names of variables instead of values, which can be misplaced secrets."""
    names = [name for name in os.environ if name.startswith(PREFIXES)]
    shown = hide_values(STACK.split(text)[0], names)
    return excerpt(" ".join(shown.split()), LONGEST_MESSAGE)


def message(error: BaseException) -> str:
    """The message of Databricks or the connector on one line."""
    found = read_error(error)
    return found.text if found else one_line(str(error))


def read_error(error: BaseException | None) -> DriverError | None:
    """The error of Databricks or the connector, with its SQLSTATE or HTTP status; None for other errors."""
    if error is None:
        return None
    if isinstance(error, exc.RequestError):
        return _read_request_error(error)
    text = one_line(str(error))
    if isinstance(error, exc.DatabaseError):
        state = STATE.search(str(error))
        return DriverError(SERVER, error, state[1] if state else None, text)
    if isinstance(error, exc.Error):
        return DriverError(DRIVER, error, None, text)
    if isinstance(error, (urllib3.exceptions.HTTPError, requests.RequestException, ConnectionError, TimeoutError)):
        return DriverError(NETWORK, error, None, text)
    return None


def _read_request_error(error: exc.RequestError) -> DriverError:
    """A request that failed. When the connector has no time for another retry, it hides what it has retried."""
    cause = error.args[1] if len(error.args) > 1 else error
    if not isinstance(cause, exc.MaxRetryDurationError):
        context = error.context if isinstance(error.context, dict) else {}
        return DriverError(REQUEST, error, context.get("http-code"), one_line(str(error)))
    if cause.__context__ is not None:  # no response
        return DriverError(NETWORK, error, None, one_line(str(cause.__context__)))
    return DriverError(REQUEST, error, BUSY, "the SQL warehouse is starting or busy (HTTP 429 or 5xx)")


def is_session_lost(error: BaseException) -> bool:
    """Whether the session does not exist (any more). A new one can succeed."""
    return isinstance(error, exc.Error) and any(words in str(error) for words in SESSION_LOST)


def is_retried(error: BaseException) -> bool:
    """Whether the same statement can succeed later because the warehouse is starting or busy."""
    found = read_error(error)
    if found is None:
        return False
    is_starting = found.table is SERVER and any(words in str(error) for words in STARTING)
    return is_starting or (found.table is REQUEST and found.code in BUSY_STATUS)


def is_unknown_syntax(error: BaseException) -> bool:
    """Whether the warehouse does not know the command at all."""
    found = read_error(error)
    return found is not None and found.code == "42601"
