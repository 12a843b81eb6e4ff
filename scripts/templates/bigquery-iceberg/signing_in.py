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
from google.auth import impersonated_credentials
from google.auth.credentials import Credentials
from mcpush.encryption import require_encrypted_url
from mcpush.environment import checked, name_and_length
from mcpush.errors import ConfigurationError
from mcpush.interrupts import interruptible

FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
IMPERSONATE_VARIABLE = "BIGQUERY_IMPERSONATE_SERVICE_ACCOUNT"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# Fields of credential files with URLs to which google-auth sends a key or a token.
# https://google.aip.dev/auth/4112 (service accounts), https://google.aip.dev/auth/4117 (external accounts)
URL_FIELDS = ("token_uri", "token_url", "token_info_url", "service_account_impersonation_url")
SERVICE_ACCOUNT = re.compile(r"[a-z0-9.-]{1,64}@[a-z0-9.-]{1,253}")
CORRECT_FILE = "Set it to a JSON file with the credentials of a service account or of a workload identity (README.md)."


def credentials_from_environment() -> tuple[Credentials, str | None]:
    """The credentials, and the project that they or GOOGLE_CLOUD_PROJECT name.

    Raises ConfigurationError for an unusable file, and google-auth's errors, which ``explain`` converts.
    """
    _check_file()
    principal = os.environ.get(IMPERSONATE_VARIABLE, "")
    if principal:
        principal = checked(IMPERSONATE_VARIABLE, principal, parse_service_account)
    try:
        with interruptible():
            credentials, project = google.auth.default(scopes=SCOPES)
    except (ValueError, TypeError, KeyError) as error:  # parts of the file that the libraries cannot parse
        raise ConfigurationError(
            f"The credentials are not usable ({type(error).__name__}).", f"{FILE_VARIABLE}: {CORRECT_FILE}"
        ) from None
    if principal:
        credentials = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            source_credentials=credentials,
            target_principal=principal,
            target_scopes=list(SCOPES),
            quota_project_id=getattr(credentials, "quota_project_id", None),
        )
    return credentials, project


def parse_service_account(text: str) -> str:
    if not SERVICE_ACCOUNT.fullmatch(text):
        raise ValueError("use the email address of a service account")
    return text


def _check_file() -> None:
    """Raises ConfigurationError if the file of credentials is not JSON, or sends keys unencrypted."""
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        return
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"Cannot read the file in {name_and_length(FILE_VARIABLE)}: {type(error).__name__}.", CORRECT_FILE
        ) from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"The file in {FILE_VARIABLE} has no JSON object.", CORRECT_FILE)
    _check_urls(content)


def _check_urls(content: dict[str, object]) -> None:
    for field in URL_FIELDS:
        if url := content.get(field):
            require_encrypted_url(f"{field} in the file of {FILE_VARIABLE}", str(url))
    source = content.get("source_credentials")  # of an impersonated service account
    if isinstance(source, dict):
        _check_urls(source)
