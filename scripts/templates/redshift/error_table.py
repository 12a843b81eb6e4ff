"""Errors of Redshift, its driver and AWS, with their consequences for a run and their remedies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions  # type: ignore[import-untyped]
from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope
from mcpush.environment import hide_values
from mcpush.errors import ConfigurationError, RefusedError, UnavailableError
from redshift_connector.error import Error, InterfaceError, OperationalError

UNAVAILABLE_NOTE = " (not available at this patch level of Redshift, or not visible to this user)"
UNAVAILABLE_REMEDY = (
    "Check the grants in README.md. Otherwise, upgrade the cluster or remove the name from the statement."
)
CORRECT_SIGN_IN = "Correct the sign-in variables (see README.md)."
OTHER = ErrorCase(
    UnavailableError,
    "Run the same command again. If it fails again, look up the code in the Redshift documentation.",
    scope=Scope.STATEMENT,
    note=" (code {code})",
)

# Errors of the server, by SQLSTATE. https://www.postgresql.org/docs/8.0/errcodes-appendix.html
SERVER = ErrorTable(
    "Redshift",
    cases=(
        ErrorCase(
            RefusedError,
            "Check REDSHIFT_USER and REDSHIFT_PASSWORD, or the variables of your sign-in method.",
            codes=("28000", "28P01"),
            scope=Scope.STATEMENT,
        ),
        ErrorCase(RefusedError, "Grant this user what README.md lists.", codes=("42501",), scope=Scope.OBJECT),
        ErrorCase(ConfigurationError, "Correct REDSHIFT_DATABASE.", codes=("3D000",), scope=Scope.OBJECT),
        ErrorCase(
            UnavailableError,
            "Run the same command again when the cluster is less busy, or raise REDSHIFT_STATEMENT_TIMEOUT.",
            codes=("57014",),  # canceled
            scope=Scope.STATEMENT,
        ),
        ErrorCase(  # connection, resources, shutdown, system error
            UnavailableError,
            "Wait until the cluster is available, then run the same command again.",
            starts=("08", "53", "57", "58"),
        ),
        # view, parameter
        ErrorCase(
            UnavailableError, UNAVAILABLE_REMEDY, codes=("42P01", "42704"), scope=Scope.OBJECT, note=UNAVAILABLE_NOTE
        ),
        # column, function
        ErrorCase(
            UnavailableError, UNAVAILABLE_REMEDY, codes=("42703", "42883"), scope=Scope.STATEMENT, note=UNAVAILABLE_NOTE
        ),
        ErrorCase(OTHER.kind, OTHER.remedy, codes=("3F000",), scope=Scope.OBJECT, note=OTHER.note),  # schema
        ErrorCase(
            UnavailableError,
            "This version of Redshift does not support the statement. Upgrade the cluster.",
            codes=("0A000",),
            scope=Scope.STATEMENT,
        ),
        ErrorCase(
            UnavailableError,
            "Set REDSHIFT_DATABASE to a database that accepts connections.",
            codes=("55000",),
            scope=Scope.DATABASE,
        ),
        ErrorCase(
            UnavailableError,
            "Run the same command again. Unset REDSHIFT_ options that change transactions.",
            codes=("25P02",),  # in a failed transaction
            scope=Scope.STATEMENT,
        ),
        ErrorCase(
            UnavailableError,
            "Run the same command again. If the message names an external schema, repair its catalog or its IAM role.",
            codes=("XX000",),  # internal
            scope=Scope.STATEMENT,
        ),
    ),
    other=OTHER,
)

# Errors of the driver itself, which have no codes.
DRIVER = ErrorTable(
    "Redshift driver",
    cases=(
        ErrorCase(
            ConfigurationError,
            "The server does not support TLS. For a server on this machine only, set REDSHIFT_SSL=false.",
            words=("Server refuses SSL",),
        ),
        ErrorCase(
            ConfigurationError,
            "Set REDSHIFT_HOST to the endpoint's own name. Through a tunnel, set REDSHIFT_SSLMODE=verify-ca.",
            words=("CERTIFICATE_VERIFY_FAILED", "Hostname mismatch"),
        ),
        ErrorCase(
            UnavailableError,
            "Check the network and REDSHIFT_HOST, then run the same command again.",
            words=(
                "communication error",
                "BrokenPipe",
                "time out",
                "timed out",
                "server socket closed",
                "network error",
            ),
        ),
        ErrorCase(
            UnavailableError,
            "Check the network and REDSHIFT_HOST, then run the same command again.",
            types=(OperationalError,),
        ),
        ErrorCase(
            ConfigurationError,
            CORRECT_SIGN_IN,
            types=(InterfaceError,),
        ),
    ),
    other=ErrorCase(
        UnavailableError, "Run the same command again. If it fails again, try another version of redshift-connector."
    ),
)

NETWORK = ErrorTable(
    "Redshift",
    cases=(),
    other=ErrorCase(UnavailableError, "Check the network, then run the same command again."),
)

AWS_REMEDY = "Check that the AWS credentials are valid, and that their policy allows what README.md lists."
# Errors in responses, which have a code, and errors of the SDK itself.
AWS = ErrorTable(
    "AWS",
    cases=(
        ErrorCase(RefusedError, AWS_REMEDY, starts=("AccessDenied", "UnauthorizedOperation"), scope=Scope.DATABASE),
        ErrorCase(RefusedError, AWS_REMEDY, starts=("ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch")),
        ErrorCase(
            UnavailableError,
            "Run the same command again.",
            starts=("Throttling", "Internal", "ServiceUnavailable", "RequestLimit"),
        ),
        ErrorCase(
            ConfigurationError,
            "Check the identifiers and the region.",
            types=(botocore.exceptions.ClientError,),
        ),
        ErrorCase(
            UnavailableError,
            "Check the network and the region, then run the same command again.",
            types=(botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError),
        ),
    ),
    other=ErrorCase(
        ConfigurationError, "Set AWS credentials and a region (AWS_PROFILE, AWS_REGION, or the machine's role)."
    ),
)


def message(error: BaseException) -> str:
    """Returns the message of the server or the driver."""
    fields = error.args[0] if error.args else None
    return str(fields.get("M") if isinstance(fields, dict) else error).strip()


def _without_values(text: str) -> str:
    """Returns the text with the names of variables instead of their values, which the driver and AWS repeat."""
    return hide_values(text, [name for name in os.environ if name.startswith(("REDSHIFT_", "AWS_"))])


@contextmanager
def invalid_arguments() -> Iterator[None]:
    """Converts errors about arguments that the driver and AWS's SDK pass on from Python's libraries."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigurationError(f"Redshift driver: {_without_values(str(error))}", CORRECT_SIGN_IN) from None


def read_error(error: BaseException) -> DriverError | None:
    """Returns the error of the server, the driver or AWS with its code; None for other errors."""
    cause = error.args[0] if isinstance(error, Error) and error.args else None
    text = _without_values(message(error))
    if isinstance(error, InterfaceError) and isinstance(cause, Exception):
        return read_error(cause) or DriverError(DRIVER, error, None, text)
    if isinstance(error, Error):
        state = str(cause.get("C", "")) if isinstance(cause, dict) else ""
        return DriverError(SERVER if state else DRIVER, error, state or None, text)
    if isinstance(error, botocore.exceptions.ClientError):
        return DriverError(AWS, error, str(error.response.get("Error", {}).get("Code", "")), text)
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return DriverError(AWS, error, None, text)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return DriverError(NETWORK, error, None, text)
    return None
