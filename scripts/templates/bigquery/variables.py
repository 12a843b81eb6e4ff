# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/variables.py.
"""Reads the folder's own environment variables. README.md lists them.

Messages never repeat a value, which can be a secret in the wrong variable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mcpush.encryption import require_encrypted_url
from mcpush.environment import checked, host_name, whole_number

T = TypeVar("T")
PROJECTS_VARIABLE = "BIGQUERY_PROJECTS"
REGIONS_VARIABLE = "BIGQUERY_REGIONS"
TIMEOUT_VARIABLE = "BIGQUERY_STATEMENT_TIMEOUT"
RETRY_VARIABLE = "BIGQUERY_RETRY_SECONDS"
HOST_VARIABLE = "BIGQUERY_EMULATOR_HOST"  # read by the client
# Read by the client, google-auth and requests.
PROJECT_VARIABLES = ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT")
UNIVERSE_VARIABLE = "GOOGLE_CLOUD_UNIVERSE_DOMAIN"
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

# https://docs.cloud.google.com/resource-manager/docs/creating-managing-projects
# Older projects have the domain of their organization as a prefix: example.com:my-project.
PROJECT = re.compile(r"([a-z0-9][a-z0-9.-]{0,252}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
# https://docs.cloud.google.com/bigquery/docs/locations
REGION = re.compile(r"us|eu|[a-z]+-[a-z]+[0-9]{1,2}|aws-[a-z]+-[a-z]+-[0-9]|azure-[a-z]+[0-9]?")
MULTI_REGIONS = ("us", "eu")  # BigQuery reports them in upper case, and regions in lower case


def parse_project(text: str) -> str:
    if not PROJECT.fullmatch(text):
        raise ValueError("use a project ID such as my-project-123, not its name or number")
    return text


def parse_region(text: str) -> str:
    region = text.lower()
    if not REGION.fullmatch(region):
        raise ValueError("use a location such as US, EU or europe-west3")
    return region.upper() if region in MULTI_REGIONS else region


def canonical_location(location: str) -> str:
    """A location in the case in which BigQuery reports it; unchanged if its form is unknown."""
    try:
        return parse_region(location)
    except ValueError:
        return location


def parse_list(parse: Callable[[str], T]) -> Callable[[str], list[T]]:
    """A parser of a comma-separated list."""

    def parse_all(text: str) -> list[T]:
        found = list(dict.fromkeys(parse(part.strip()) for part in text.split(",") if part.strip()))
        if not found:
            raise ValueError("it is an empty list")
        return found

    return parse_all


def existing_path(text: str) -> str:
    if not Path(text).exists():
        raise ValueError("there is no such file")
    return text


def projects() -> list[str]:
    """The projects to collect, without duplicates; empty if the variable is not set."""
    return _value(PROJECTS_VARIABLE, parse_list(parse_project)) or []


def regions() -> list[str]:
    """Locations to read in addition to those of the datasets, as BigQuery reports them."""
    return _value(REGIONS_VARIABLE, parse_list(parse_region)) or []


def statement_timeout(default: int) -> int:
    """The maximum duration of a statement in seconds."""
    return _value(TIMEOUT_VARIABLE, whole_number(1, 21_600)) or default  # a job runs for at most 6 hours


def retry_seconds(default: int) -> int:
    """How long a request is retried, in seconds."""
    return _value(RETRY_VARIABLE, whole_number(1, 86_400)) or default


def check_client_variables() -> None:
    """Raises ConfigurationError if a variable that the client reads is malformed or sends credentials unencrypted."""
    for name in PROJECT_VARIABLES:
        _value(name, parse_project)
    if host := os.environ.get(HOST_VARIABLE):
        require_encrypted_url(HOST_VARIABLE, host)
    _value(UNIVERSE_VARIABLE, host_name)
    for name in CERTIFICATE_VARIABLES:
        _value(name, existing_path)


def _value(variable: str, parse: Callable[[str], T]) -> T | None:
    """The parsed value; None if the variable is not set or empty."""
    text = os.environ.get(variable, "")
    return checked(variable, text, parse) if text else None
