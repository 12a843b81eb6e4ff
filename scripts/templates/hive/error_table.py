"""Errors of HiveServer2, its driver and the network, with their consequences for a run and their remedies."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope
from mcpush.environment import hide_values
from mcpush.errors import ConfigurationError, RefusedError, UnavailableError
from pyhive.exc import Error  # type: ignore[import-untyped]
from thrift.protocol.TProtocol import TProtocolException  # type: ignore[import-untyped]
from thrift.Thrift import TApplicationException, TException  # type: ignore[import-untyped]
from thrift.transport.TTransport import TTransportException  # type: ignore[import-untyped]
from transport import HttpStatusError

GRANT_REMEDY = "Grant this user what README.md lists."
SIGN_IN_REMEDY = "Check HIVE_USER, HIVE_PASSWORD and HIVE_AUTH."
NETWORK_REMEDY = "Check the network, HIVE_HOST and HIVE_PORT, then run the same command again."
AGAIN = "Run the same command again. If it fails again, look up the message in the log of HiveServer2."
ENDED_REMEDY = (
    "Run the same command again. If it fails at once, check that HIVE_AUTH, HIVE_TRANSPORT_MODE and HIVE_SSL are as "
    "in the server's hive-site.xml."
)
TIMEOUT_REMEDY = (
    "Run the same command again when the server is less busy, or raise HIVE_TIMEOUT. If it fails at once, check "
    "that HIVE_AUTH, HIVE_TRANSPORT_MODE and HIVE_SSL are as in the server's hive-site.xml."
)
NO_ANSWER = "no answer within the timeout"
# Codes and states: https://github.com/apache/hive/blob/rel/release-4.1.0/common/src/java/org/apache/hadoop/hive/ql/ErrorMsg.java
INVALID_TABLE, DATABASE_NOT_EXISTS = 10001, 10072

# Errors of statements and sessions, by Hive's error code or the message.
SERVER = ErrorTable(
    "HiveServer2",
    cases=(
        # https://github.com/apache/hive/blob/rel/release-2.3.9/service/src/java/org/apache/hive/service/cli/session/SessionManager.java
        ErrorCase(UnavailableError, AGAIN, words=("Invalid SessionHandle", "Invalid OperationHandle")),
        ErrorCase(
            RefusedError,
            GRANT_REMEDY,
            words=("HiveAccessControlException", "AccessControlException", "Permission denied"),
            scope=Scope.OBJECT,
        ),
        ErrorCase(UnavailableError, AGAIN, codes=(INVALID_TABLE, DATABASE_NOT_EXISTS), scope=Scope.OBJECT),
        ErrorCase(UnavailableError, AGAIN, words=("Table not found", "NoSuchObjectException"), scope=Scope.OBJECT),
        # https://github.com/apache/hive/blob/rel/release-2.3.9/service/src/java/org/apache/hive/service/cli/operation/Operation.java
        ErrorCase(UnavailableError, TIMEOUT_REMEDY, words=("TIMEDOUT", "Query timed out"), scope=Scope.STATEMENT),
        ErrorCase(
            RefusedError,
            SIGN_IN_REMEDY,
            words=("Failed to validate proxy privilege", "is not allowed to impersonate"),
        ),
    ),
    other=ErrorCase(UnavailableError, AGAIN, scope=Scope.STATEMENT, note=" (code {code})"),
)

# Errors of Thrift and SASL, which have no codes, of HTTP, whose code is the status, and of sockets.
CONNECTION = ErrorTable(
    "HiveServer2",
    cases=(
        # https://github.com/apache/thrift/blob/0.9.3/lib/java/src/org/apache/thrift/transport/TSaslTransport.java
        ErrorCase(RefusedError, SIGN_IN_REMEDY, words=("Bad status: 3", "Bad status: 4", "SASL")),
        ErrorCase(RefusedError, SIGN_IN_REMEDY, codes=(401, 403)),
        ErrorCase(ConfigurationError, "Correct HIVE_HTTP_PATH, HIVE_HOST or HIVE_PORT.", codes=(404, 405)),
        ErrorCase(UnavailableError, NETWORK_REMEDY, types=(HttpStatusError,)),
        ErrorCase(
            ConfigurationError,
            "Set HIVE_HOST to a name in the server's certificate, and HIVE_CA_FILE to the certificate authority "
            "that signed it, in PEM format.",
            types=(ssl.SSLCertVerificationError,),
        ),
        ErrorCase(
            ConfigurationError,
            "The server does not use TLS at this port, or only old versions. Correct HIVE_PORT. For a server on this "
            "machine, or with --allow-plaintext, HIVE_SSL=false connects without TLS.",
            types=(ssl.SSLError,),
            without=("EOF",),
        ),
        ErrorCase(UnavailableError, TIMEOUT_REMEDY, words=(NO_ANSWER,)),
        ErrorCase(UnavailableError, ENDED_REMEDY, types=(TTransportException, http.client.HTTPException)),
        ErrorCase(UnavailableError, ENDED_REMEDY, types=(ssl.SSLError, ConnectionResetError, BrokenPipeError)),
        ErrorCase(
            ConfigurationError,
            "Check that HIVE_PORT, HIVE_AUTH and HIVE_TRANSPORT_MODE are as in the server's hive-site.xml.",
            types=(TProtocolException, TApplicationException),
        ),
    ),
    other=ErrorCase(UnavailableError, NETWORK_REMEDY),
)
KERBEROS = ErrorTable(
    "Kerberos",
    cases=(),
    other=ErrorCase(RefusedError, "Run kinit, and check HIVE_HOST and HIVE_KERBEROS_SERVICE_NAME."),
)
# What the driver and this folder raise for a broken connection. OSError includes errors of TLS and timeouts.
BROKEN = (TException, OSError, HttpStatusError, http.client.HTTPException)


def read_error(error: BaseException) -> DriverError | None:
    """Returns the error of the server, the driver or the network with its code; None for other errors."""
    if isinstance(error, Error):
        status = _status(error)
        if status is None:
            return DriverError(SERVER, error, None, _without_values(str(error)))
        text = str(status.errorMessage or "no message").strip()
        return DriverError(SERVER, error, status.errorCode, _without_values(text))
    if type(error).__module__.partition(".")[0] in ("kerberos", "puresasl"):
        return DriverError(KERBEROS, error, None, _without_values(str(error)))
    if isinstance(error, HttpStatusError):
        return DriverError(CONNECTION, error, error.status, str(error))
    if isinstance(error, BROKEN):
        cause = getattr(error, "inner", None) or error  # Thrift's "unexpected exception" has the cause
        text = NO_ANSWER if isinstance(cause, TimeoutError) else str(cause) or type(cause).__name__
        return DriverError(CONNECTION, error, None, _without_values(text))
    return None


def _status(error: Error) -> Any:
    """The status in a refused response, which PyHive passes on as a whole."""
    return getattr(error.args[0], "status", None) if error.args else None


def _without_values(text: str) -> str:
    """Returns the text with the names of variables instead of their values, which the server and the driver repeat."""
    return hide_values(text, ["HIVE_PASSWORD"])


def is_dropped(error: BaseException) -> bool:
    """Whether the connection was closed by the server or on the way to it. A timeout is not: the server is busy."""
    is_closed = isinstance(error, (TTransportException, ConnectionError, http.client.HTTPException))
    return is_closed and getattr(error, "type", None) != TTransportException.TIMED_OUT


def message(error: BaseException) -> str:
    """The message of the server or the driver."""
    found = read_error(error)
    return found.text if found else str(error)
