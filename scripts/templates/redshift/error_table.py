"""What the errors of Redshift, of its driver and of AWS mean for a run, and what to do about each."""

from __future__ import annotations

import botocore.exceptions  # type: ignore[import-untyped]
from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope
from mcpush.errors import ConfigurationError, RefusedError, UnavailableError
from redshift_connector.error import Error, InterfaceError, OperationalError

LACKS = " (this patch level of Redshift lacks it, or this user may not see it)"
LACKS_REMEDY = "Check the grants in README.md; bring the cluster to a newer version, or take it out of the statement."
OTHER = ErrorCase(
    UnavailableError,
    "Run it again; if it stays, the code says what Redshift refused.",
    scope=Scope.STATEMENT,
    note=" (code {code})",
)

# What the server answered. https://www.postgresql.org/docs/8.0/errcodes-appendix.html
SERVER = ErrorTable(
    "Redshift",
    cases=(
        ErrorCase(
            RefusedError,
            "Check REDSHIFT_USER and REDSHIFT_PASSWORD, or what stands in for them.",
            codes=("28000", "28P01"),
            scope=Scope.STATEMENT,
        ),
        ErrorCase(RefusedError, "Grant what README.md lists to this user.", codes=("42501",), scope=Scope.OBJECT),
        ErrorCase(ConfigurationError, "Correct REDSHIFT_DATABASE.", codes=("3D000",), scope=Scope.OBJECT),
        ErrorCase(
            UnavailableError,
            "Run it again when the cluster is less busy, or raise REDSHIFT_STATEMENT_TIMEOUT.",
            codes=("57014",),  # canceled
            scope=Scope.STATEMENT,
        ),
        ErrorCase(  # connection, resources, shutdown, the server's own trouble
            UnavailableError,
            "Wait until the cluster is available, then run the same command again.",
            starts=("08", "53", "57", "58"),
        ),
        # view, parameter
        ErrorCase(UnavailableError, LACKS_REMEDY, codes=("42P01", "42704"), scope=Scope.OBJECT, note=LACKS),
        # column, function
        ErrorCase(UnavailableError, LACKS_REMEDY, codes=("42703", "42883"), scope=Scope.STATEMENT, note=LACKS),
        ErrorCase(OTHER.kind, OTHER.remedy, codes=("3F000",), scope=Scope.OBJECT, note=OTHER.note),  # schema
        ErrorCase(
            UnavailableError,
            "This Redshift does not offer what the statement asks for: a newer version may.",
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
            "Run the same command again; unset REDSHIFT_ options that change transactions.",
            codes=("25P02",),  # in a failed transaction
            scope=Scope.STATEMENT,
        ),
        ErrorCase(
            UnavailableError,
            "Run it again. Where the text names an external schema, repair its catalog or its IAM role.",
            codes=("XX000",),  # internal
            scope=Scope.STATEMENT,
        ),
    ),
    other=OTHER,
)

# What the driver found out without the server: it says so in words only.
DRIVER = ErrorTable(
    "Redshift driver",
    cases=(
        ErrorCase(
            ConfigurationError,
            "The server has no TLS; only a local one may be without: REDSHIFT_SSL=false.",
            words=("Server refuses SSL",),
        ),
        ErrorCase(
            ConfigurationError,
            "Use the endpoint's own name as REDSHIFT_HOST; through a tunnel set REDSHIFT_SSLMODE=verify-ca.",
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
            "Correct the variables that sign in (README.md lists them).",
            types=(InterfaceError,),
        ),
    ),
    other=ErrorCase(
        UnavailableError, "Run the same command again; if it stays, try another version of redshift-connector."
    ),
)

NETWORK = ErrorTable(
    "Redshift",
    cases=(),
    other=ErrorCase(UnavailableError, "Check the network, then run the same command again."),
)

AWS_REMEDY = "Let the caller's policy allow what README.md lists, with credentials that are valid."
# Of errors with a code, which are answers, and of others, which are the SDK's own.
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
        ConfigurationError, "Give AWS credentials and a region (AWS_PROFILE, AWS_REGION, or a role of the machine)."
    ),
)


def message(error: BaseException) -> str:
    """What the server or the driver said, in a sentence."""
    fields = error.args[0] if error.args else None
    return str(fields.get("M") if isinstance(fields, dict) else error).strip()


def read_error(error: BaseException) -> DriverError | None:
    """The error of the server, the driver or AWS with its code; None for another."""
    cause = error.args[0] if isinstance(error, Error) and error.args else None
    if isinstance(error, InterfaceError) and isinstance(cause, Exception):
        return read_error(cause) or DriverError(DRIVER, error, None, message(error))
    if isinstance(error, Error):
        state = str(cause.get("C", "")) if isinstance(cause, dict) else ""
        return DriverError(SERVER if state else DRIVER, error, state or None, message(error))
    if isinstance(error, botocore.exceptions.ClientError):
        return DriverError(AWS, error, str(error.response.get("Error", {}).get("Code", "")), str(error))
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return DriverError(AWS, error, None, str(error))
    if isinstance(error, (ConnectionError, TimeoutError)):
        return DriverError(NETWORK, error, None, str(error))
    return None
