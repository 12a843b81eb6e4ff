# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/signing_in.py.
"""Finds Google credentials: application default credentials of any kind, with or without impersonation.

https://docs.cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import google.auth
from error_table import NOT_GOOGLE
from google.api_core.retry import Retry
from google.auth import impersonated_credentials
from google.auth._cloud_sdk import get_application_default_credentials_path
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import Request
from mcpush.encryption import require_encrypted_url
from mcpush.environment import checked, name_and_length
from mcpush.errors import ConfigurationError, UnavailableError
from mcpush.interrupts import interruptible

FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
IMPERSONATE_VARIABLE = "BIGQUERY_IMPERSONATE_SERVICE_ACCOUNT"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# Fields of credential files with URLs to which google-auth sends a key or a token.
# https://google.aip.dev/auth/4112 (service accounts), https://google.aip.dev/auth/4117 (external accounts)
URL_FIELDS = ("token_uri", "token_url", "token_info_url", "service_account_impersonation_url")
# Where virtual machines of AWS and Azure get their tokens, without TLS: https://google.aip.dev/auth/4117
METADATA_SERVER = re.compile(r"http://169\.254\.169\.254/")
SERVICE_ACCOUNT = re.compile(r"[a-z0-9.-]{1,64}@[a-z0-9.-]{1,253}")
CORRECT_FILE = "Use a JSON file with the credentials of a service account or of a workload identity (README.md)."


def credentials_from_environment() -> tuple[Credentials, str | None]:
    """The credentials, and the project that they or GOOGLE_CLOUD_PROJECT name.

    Raises ConfigurationError for an unusable file, and google-auth's errors, which ``explain`` converts.
    """
    file = _file()
    if file:
        _check_file(*file)
    principal = os.environ.get(IMPERSONATE_VARIABLE, "")
    if principal:
        principal = checked(IMPERSONATE_VARIABLE, principal, parse_service_account)
    try:
        with interruptible():
            credentials, project = google.auth.default(scopes=SCOPES)
    # Parts of the file that the libraries cannot parse. Their messages repeat some.
    except (DefaultCredentialsError, ValueError, TypeError, KeyError, AttributeError) as error:
        if file is None:
            raise
        raise ConfigurationError(f"{file[0]} is not usable ({type(error).__name__}).", CORRECT_FILE) from None
    if principal:
        credentials = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            source_credentials=credentials,
            target_principal=principal,
            target_scopes=list(SCOPES),
            quota_project_id=getattr(credentials, "quota_project_id", None),
        )
    return credentials, project


def sign_in(credentials: Credentials, retry: Retry) -> None:
    """Gets the first token, which the client then uses. Raises google-auth's errors.

    Raises UnavailableError if the response has no token: google-auth does not check what a proxy returns.
    """
    try:
        with interruptible():
            retry(credentials.refresh)(Request())
    except GoogleAuthError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UnavailableError("Google sign-in: the response has no token.", NOT_GOOGLE) from None


def parse_service_account(text: str) -> str:
    if not SERVICE_ACCOUNT.fullmatch(text):
        raise ValueError("use the email address of a service account")
    return text


def _file() -> tuple[str, Path] | None:
    """The file that google-auth reads, with its description for messages; None if there is none."""
    if path := os.environ.get(FILE_VARIABLE):
        return f"The file in {name_and_length(FILE_VARIABLE)}", Path(path)
    of_gcloud = Path(get_application_default_credentials_path())  # type: ignore[no-untyped-call]
    return ("The file of gcloud's application default credentials", of_gcloud) if of_gcloud.is_file() else None


def _check_file(what: str, path: Path) -> None:
    """Raises ConfigurationError if the file of credentials is not JSON, or sends keys unencrypted."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{what} is not readable JSON: {type(error).__name__}.", CORRECT_FILE) from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{what} has no JSON object.", CORRECT_FILE)
    _check_urls(what, content)


def _check_urls(what: str, content: dict[str, object]) -> None:
    for field in URL_FIELDS:
        if url := content.get(field):
            require_encrypted_url(f"{what}: {field}", str(url))
    source = content.get("source_credentials")  # of an impersonated service account
    if isinstance(source, dict):
        _check_urls(what, source)
    source = content.get("credential_source")  # of an external account: what returns the token to exchange
    if isinstance(source, dict) and (url := source.get("url")) and not METADATA_SERVER.match(str(url)):
        require_encrypted_url(f"{what}: credential_source.url", str(url))
