# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/error_table.py.
"""Errors of BigQuery, its client and google-auth: their effect on a run, their remedies, and which ones are retried."""

from __future__ import annotations

import concurrent.futures
import os
import traceback

import requests
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth import exceptions as auth_errors
from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope
from mcpush.environment import hide_values
from mcpush.errors import ConfigurationError, RefusedError, UnavailableError
from mcpush.redaction import excerpt

AGAIN = "Run the same command again."
GRANTS = "Grant this principal what README.md lists under Required permissions."
NOT_BIGQUERY = "The response is not BigQuery's: check the proxy and BIGQUERY_EMULATOR_HOST."
NOT_GOOGLE = "The response is not Google's: check the proxy, and the URLs in the file of credentials."
PROJECTS = "Check BIGQUERY_PROJECTS and GOOGLE_CLOUD_PROJECT."
LONGEST_MESSAGE = 1000  # characters; a proxy can answer with a page of HTML
PREFIXES = ("BIGQUERY_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_")  # of the variables whose values messages do not repeat

# Errors of BigQuery, by reason. https://docs.cloud.google.com/bigquery/docs/error-messages
SERVER = ErrorTable(
    "BigQuery",
    cases=(
        ErrorCase(
            RefusedError,
            "Enable the BigQuery API in the project: "
            "https://docs.cloud.google.com/bigquery/docs/enable-disable-bigquery-service",
            codes=("accessNotConfigured", "SERVICE_DISABLED"),
            scope=Scope.DATABASE,
        ),
        ErrorCase(RefusedError, GRANTS, codes=("accessDenied", "blocked"), scope=Scope.OBJECT),
        ErrorCase(
            ConfigurationError, PROJECTS, codes=("notFound",), words=("not found: project ",), scope=Scope.DATABASE
        ),
        ErrorCase(UnavailableError, AGAIN, codes=("notFound",), scope=Scope.OBJECT),
        ErrorCase(
            UnavailableError,
            "Run it again when the quota is available, at other times than other jobs of the project, or ask Google "
            "for a higher quota: https://docs.cloud.google.com/bigquery/quotas",
            codes=("quotaExceeded",),
        ),
        ErrorCase(
            UnavailableError,
            "Use a shorter window or narrower filters, or raise BIGQUERY_STATEMENT_TIMEOUT.",
            codes=("responseTooLarge", "resourcesExceeded", "stopped", "timeout"),
            scope=Scope.TOO_MUCH,
        ),
        ErrorCase(
            RefusedError,
            "Enable billing for the project in which the jobs run.",
            codes=("billingNotEnabled", "billingTierLimitExceeded"),
        ),
        ErrorCase(
            RefusedError,
            "Check the credentials: they can be revoked, expired or of another organization.",
            codes=("authError", "required", "UNAUTHENTICATED", 401),
        ),
        ErrorCase(
            UnavailableError,
            "Run the same command again. If it fails again, BigQuery does not support the statement here.",
            codes=("invalidQuery", "invalid", "notImplemented"),
            scope=Scope.STATEMENT,
        ),
        ErrorCase(RefusedError, NOT_BIGQUERY, codes=(403, 404, 407)),
    ),
    other=ErrorCase(
        UnavailableError,
        "Run the same command again. If it fails again, look up the reason: "
        "https://docs.cloud.google.com/bigquery/docs/error-messages",
        note=" ({code})",
    ),
)

SIGN_IN = ErrorTable(
    "Google sign-in",
    cases=(
        ErrorCase(
            ConfigurationError,
            "Check GOOGLE_API_USE_CLIENT_CERTIFICATE and this machine's client certificate.",
            types=(auth_errors.MutualTLSChannelError, auth_errors.ClientCertError),
        ),
        ErrorCase(
            UnavailableError,
            "Check the network, then run the same command again.",
            types=(auth_errors.TransportError, auth_errors.TimeoutError),
        ),
        ErrorCase(RefusedError, NOT_GOOGLE, words=("<html", "<!doctype html")),
        ErrorCase(
            RefusedError,
            "Check that the key, the service account and its role still exist, and that this machine's clock is right.",
            types=(auth_errors.RefreshError, auth_errors.OAuthError, auth_errors.UserAccessTokenError),
        ),
    ),
    other=ErrorCase(
        ConfigurationError,
        "Set GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login (see README.md)",
    ),
)

# Errors that google-auth marks as retryable.
UNAVAILABLE_SIGN_IN = ErrorTable("Google sign-in", (), ErrorCase(UnavailableError, AGAIN))

NETWORK = ErrorTable(
    "BigQuery",
    cases=(
        ErrorCase(
            ConfigurationError,
            "Check the certificates of this machine, and those of a proxy (REQUESTS_CA_BUNDLE).",
            types=(requests.exceptions.SSLError,),
        ),
        ErrorCase(
            UnavailableError,
            NOT_BIGQUERY,
            types=(requests.exceptions.JSONDecodeError,),
            note=": the response is not JSON",
        ),
        ErrorCase(
            UnavailableError,
            "Raise BIGQUERY_STATEMENT_TIMEOUT, or use a shorter window.",
            types=(concurrent.futures.TimeoutError,),
            scope=Scope.TOO_MUCH,
        ),
    ),
    other=ErrorCase(UnavailableError, "Check the network, then run the same command again."),
)

# Reasons that the client retries itself, and quotaExceeded, which it does not. Without a reason, the type decides.
RETRIED_REASONS = {
    *("rateLimitExceeded", "jobRateLimitExceeded", "backendError", "jobBackendError"),
    *("internalError", "jobInternalError", "badGateway", "quotaExceeded"),
}
RETRIED_STATUS = {429, 500, 502, 503, 504}
RETRIED_TYPES = (
    ConnectionError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    auth_errors.TransportError,
)


def is_retried(error: BaseException) -> bool:
    """Whether the same request can succeed later. Predicate of the client's retries."""
    error = _network_error(error)
    if isinstance(error, GoogleAPICallError):
        reason = reason_of(error)
        return reason in RETRIED_REASONS if isinstance(reason, str) else reason in RETRIED_STATUS
    if isinstance(error, auth_errors.RefreshError):
        return bool(error.retryable)
    return isinstance(error, RETRIED_TYPES) and not isinstance(error, requests.exceptions.SSLError)


def _network_error(error: BaseException) -> BaseException:
    """The error of requests in google-auth's TransportError; any other error unchanged."""
    inner = error.args[0] if isinstance(error, auth_errors.TransportError) and error.args else None
    return inner if isinstance(inner, requests.exceptions.RequestException) else error


def reason_of(error: GoogleAPICallError) -> str | int:
    """BigQuery's reason, such as accessDenied; the HTTP status if the response has none."""
    first = error.errors[0] if error.errors else None
    reason = first.get("reason") if isinstance(first, dict) else None
    return str(reason or error.reason or "") or int(error.code or 0)


def message(error: BaseException) -> str:
    """The message of BigQuery or the client on one line. Names variables instead of repeating their values."""
    found = read_error(error)
    return found.text if found else _one_line(str(error))


def _text_of(error: GoogleAPICallError) -> str:
    """BigQuery's message, without what the client adds: the URL, or the job's location and ID."""
    first = error.errors[0] if error.errors else None
    text = first.get("message") if isinstance(first, dict) else None
    return str(text or error.message)


def _one_line(text: str) -> str:
    """The text with the names of variables instead of their values, which can be secrets in the wrong variable."""
    names = [name for name in os.environ if name.startswith(PREFIXES)]
    return excerpt(" ".join(hide_values(text, names).split()), LONGEST_MESSAGE)


def read_error(error: BaseException | None) -> DriverError | None:
    """The error of BigQuery, its client or google-auth with its reason; None for other errors."""
    if error is None:
        return None
    if isinstance(error, RetryError):
        return read_error(error.cause) or DriverError(NETWORK, error, None, _one_line(str(error)))
    if isinstance(error, GoogleAPICallError):
        return DriverError(SERVER, error, reason_of(error), _one_line(_text_of(error)))
    error = _network_error(error)
    if isinstance(error, auth_errors.GoogleAuthError):
        table = UNAVAILABLE_SIGN_IN if error.retryable else SIGN_IN
        return DriverError(table, error, None, _one_line(str(error.args[0] if error.args else error)))
    if isinstance(error, concurrent.futures.TimeoutError):
        return DriverError(NETWORK, error, None, "the statement took too long")
    if isinstance(error, (requests.exceptions.RequestException, ConnectionError)):
        return DriverError(NETWORK, error, None, _one_line(str(error)))
    if _is_of_a_response(error):
        return DriverError(NETWORK, error, None, "a response was not BigQuery's: a proxy can have sent it")
    return None


def _is_of_a_response(error: BaseException) -> bool:
    """Whether it is an error of the client in parsing a response, such as ``{"error": "text"}``."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    kinds = (AttributeError, KeyError, TypeError, ValueError)
    return isinstance(error, kinds) and modules[-1:] != [] and modules[-1].startswith("google.")
