"""Tests what each documented error does to a run: its exit code, its remedy, and whether it is tried again."""

from __future__ import annotations

import concurrent.futures
from types import ModuleType
from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import pytest
import requests

api_errors: Any = google.api_core.exceptions  # without types
auth_errors: Any = google.auth.exceptions
ModulesByName = dict[str, ModuleType]

# Reason and HTTP status, from https://docs.cloud.google.com/bigquery/docs/error-messages, with the exit code, a word of
# the remedy, what can be read without it (None: nothing), and whether the request is tried again.
DOCUMENTED: list[tuple[str, int, int, str, str | None, bool]] = [
    ("accessDenied", 403, 3, "Required permissions", "OBJECT", False),
    ("backendError", 500, 4, "error-messages", None, True),
    ("backendError", 502, 4, "error-messages", None, True),
    ("backendError", 503, 4, "error-messages", None, True),
    ("backendError", 504, 4, "error-messages", None, True),
    ("billingNotEnabled", 403, 3, "billing", None, False),
    ("billingTierLimitExceeded", 400, 3, "billing", None, False),
    ("blocked", 403, 3, "Required permissions", "OBJECT", False),
    ("duplicate", 409, 4, "error-messages", None, False),
    ("internalError", 500, 4, "error-messages", None, True),
    ("invalid", 400, 4, "does not support", "STATEMENT", False),
    ("invalidQuery", 400, 4, "does not support", "STATEMENT", False),
    ("invalidUser", 400, 4, "error-messages", None, False),
    ("jobBackendError", 400, 4, "error-messages", None, True),
    ("jobInternalError", 400, 4, "error-messages", None, True),
    ("jobRateLimitExceeded", 400, 4, "error-messages", None, True),
    ("notFound", 404, 4, "again", "OBJECT", False),
    ("notImplemented", 501, 4, "does not support", "STATEMENT", False),
    ("quotaExceeded", 403, 4, "bigquery/quotas", None, True),
    ("rateLimitExceeded", 403, 4, "error-messages", None, True),
    ("rateLimitExceeded", 429, 4, "error-messages", None, True),
    ("resourceInUse", 400, 4, "error-messages", None, False),
    ("resourcesExceeded", 400, 4, "narrower filters", "TOO_MUCH", False),
    ("responseTooLarge", 403, 4, "narrower filters", "TOO_MUCH", False),
    ("stopped", 200, 4, "BIGQUERY_STATEMENT_TIMEOUT", "TOO_MUCH", False),
    ("tableUnavailable", 400, 4, "error-messages", None, False),
    ("timeout", 400, 4, "narrower filters", "TOO_MUCH", False),
    # Not in the table: https://docs.cloud.google.com/bigquery/docs/enable-disable-bigquery-service
    ("accessNotConfigured", 403, 3, "Enable the BigQuery API", "DATABASE", False),
    ("authError", 401, 3, "credentials", None, False),
    ("aReasonOfTomorrow", 400, 4, "error-messages", None, False),
    # An error without a reason
    ("", 401, 3, "credentials", None, False),
    ("", 403, 3, "proxy", None, False),
    ("", 404, 3, "BIGQUERY_EMULATOR_HOST", None, False),
    ("", 429, 4, "error-messages", None, True),
    ("", 500, 4, "error-messages", None, True),
    ("", 503, 4, "error-messages", None, True),
    ("", 418, 4, "error-messages", None, False),
]


def http_error(reason: str, status: int, message: str = "said by the test") -> Exception:
    errors = [{"reason": reason, "message": message}] if reason else []
    found: Exception = api_errors.from_http_status(status, f"GET https://example.com: {message}", errors=errors)
    return found


def scope_of(modules: ModulesByName, error: BaseException) -> str | None:
    """How much of a run the error affects, by the functions that collectors call."""
    connection = modules["connection"]
    if connection.is_unreadable(error):
        return "OBJECT or DATABASE"
    if connection.is_too_much(error):
        return "TOO_MUCH"
    return "STATEMENT" if connection.is_statement_error(error) else None


@pytest.mark.parametrize(("reason", "status", "code", "remedy", "scope", "retried"), DOCUMENTED)
@pytest.mark.parametrize("wrapped", [False, True], ids=["once", "after retries"])
def test_a_documented_error(
    modules: ModulesByName,
    reason: str,
    status: int,
    code: int,
    remedy: str,
    scope: str | None,
    retried: bool,
    wrapped: bool,
) -> None:
    error = http_error(reason, status)
    seen = api_errors.RetryError("Timeout of 300.0s exceeded", error) if wrapped else error
    found = modules["connection"].explain(seen)
    assert found.exit_code == code
    assert remedy in found.remedy
    assert str(found).startswith("BigQuery: ")
    assert "said by the test" in str(found)
    expected = "OBJECT or DATABASE" if scope in ("OBJECT", "DATABASE") else scope
    assert scope_of(modules, seen) == expected
    assert modules["error_table"].is_retried(error) is retried
    assert modules["error_table"].is_retried(seen) is (retried and not wrapped)


def test_a_missing_project_is_a_configuration_error(modules: ModulesByName) -> None:
    found = modules["connection"].explain(http_error("notFound", 404, "Not found: Project my-project"))
    assert found.exit_code == 2
    assert "BIGQUERY_PROJECTS" in found.remedy
    table = modules["connection"].explain(http_error("notFound", 404, "Not found: Table project x:y.z was not found"))
    assert table.exit_code == 4


OTHERS: list[tuple[BaseException, int, str, bool]] = [
    (requests.exceptions.ConnectionError("reset"), 4, "network", True),
    (requests.exceptions.ReadTimeout("slow"), 4, "network", True),
    (requests.exceptions.ChunkedEncodingError("cut"), 4, "network", True),
    (requests.exceptions.SSLError("self-signed"), 2, "REQUESTS_CA_BUNDLE", False),
    (requests.exceptions.ProxyError("407"), 4, "network", True),
    (requests.exceptions.JSONDecodeError("Expecting value", "<html>", 0), 4, "proxy", False),
    (ConnectionResetError("reset"), 4, "network", True),
    (concurrent.futures.TimeoutError(), 4, "BIGQUERY_STATEMENT_TIMEOUT", False),
    (auth_errors.TransportError("unreachable"), 4, "network", True),
    (auth_errors.TransportError(requests.exceptions.ConnectionError("reset")), 4, "network", True),
    (auth_errors.TransportError(requests.exceptions.SSLError("self-signed")), 2, "REQUESTS_CA_BUNDLE", False),
    (auth_errors.RefreshError("invalid_grant", {}), 3, "key", False),
    (auth_errors.RefreshError("<!DOCTYPE html><p>blocked", {}), 3, "proxy", False),
    (auth_errors.RefreshError("unavailable", {}, retryable=True), 4, "again", True),
    (auth_errors.DefaultCredentialsError("none"), 2, "gcloud auth application-default login", False),
    (auth_errors.MutualTLSChannelError("no certificate"), 2, "GOOGLE_API_USE_CLIENT_CERTIFICATE", False),
    (auth_errors.ReauthFailError("reauth"), 3, "key", False),
    (api_errors.RetryError("Timeout of 3.0s exceeded", None), 4, "network", False),
]


@pytest.mark.parametrize(("error", "code", "remedy", "retried"), OTHERS, ids=lambda value: type(value).__name__)
def test_an_error_of_the_client(
    modules: ModulesByName, error: BaseException, code: int, remedy: str, retried: bool
) -> None:
    found = modules["connection"].explain(error)
    assert found.exit_code == code
    assert remedy in found.remedy
    assert modules["error_table"].is_retried(error) is retried
    assert not modules["connection"].is_unreadable(error), "the run ends: nothing is skipped"


@pytest.mark.parametrize("error", [ValueError("x"), OSError("disk full"), KeyError("x"), AttributeError("x")])
def test_other_errors_are_not_explained(modules: ModulesByName, error: BaseException) -> None:
    assert modules["connection"].explain(error) is None
    assert not modules["error_table"].is_retried(error)
    assert not modules["connection"].is_statement_error(error)


# --- messages --------------------------------------------------------------------------------------------------------


def test_the_message_has_bigquerys_text_and_not_the_clients_additions(modules: ModulesByName) -> None:
    error: Any = http_error("accessDenied", 403, "Access Denied: Table x")
    error.message += "\n\nLocation: EU\nJob ID: 123\n"
    assert modules["error_table"].message(error) == "Access Denied: Table x"
    assert str(modules["connection"].explain(error)) == "BigQuery: Access Denied: Table x"


@pytest.mark.parametrize("prefix", ["BIGQUERY_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_"])
def test_a_message_names_a_variable_instead_of_its_value(
    modules: ModulesByName, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv(f"{prefix}OF_THE_TEST", "s3cret\nvalue-of-somebody")
    for text in (
        "about s3cret\nvalue-of-somebody",
        r"about s3cret\nvalue-of-somebody",
        "about S3CRET\nVALUE-of-somebody",
    ):
        said = modules["error_table"].message(http_error("invalid", 400, text))
        assert "value-of-somebody" not in said.lower(), "also if the client escapes it"


def test_a_message_is_one_line_of_limited_length(modules: ModulesByName) -> None:
    said = modules["error_table"].message(http_error("invalid", 400, "a\r\n\tb" + " x" * 100_000))
    assert said.startswith("a b x x")
    assert len(said) == modules["error_table"].LONGEST_MESSAGE
