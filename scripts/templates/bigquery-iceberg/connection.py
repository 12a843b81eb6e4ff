# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/connection.py.
"""Connects to BigQuery and runs statements, for all scripts in this folder.

The configuration comes from environment variables (see README.md). Needs ``google-cloud-bigquery`` 3.40 or later.

    with connect() as warehouse:
        for row in warehouse.rows(QueryRow, "SELECT …", place, since=since):
            ...

Runs only SELECT. Results are read in pages over the REST API; a page has at most 10 MB.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from error_table import is_retried, read_error
from google.api_core.client_info import ClientInfo
from google.api_core.retry import Retry
from google.auth.credentials import Credentials
from google.cloud import bigquery
from mcpush.collect.driver_errors import Scope, explained, has_scope
from mcpush.collect.rows import R, Rows, named_rows
from mcpush.console import log
from mcpush.errors import ConfigurationError, PushIngestionError
from mcpush.version import RELEASE
from query_job import rows, run, submit
from signing_in import credentials_from_environment, sign_in
from variables import (
    UNIVERSE_VARIABLE,
    check_client_variables,
    projects,
    regions,
    retry_seconds,
    statement_timeout,
)

logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its warnings quote URLs and repeat the errors

Value = str | datetime | list[str]  # what can be bound to a statement

PRODUCT = "push-ingestion"
# Labels have lower-case letters, digits, - and _: https://docs.cloud.google.com/bigquery/docs/labels-intro
LABELS = {PRODUCT: RELEASE.replace(".", "-")}
# ADAPT: increase for projects with a very long job history or a very large catalog.
DEFAULT_STATEMENT_TIMEOUT = 900  # seconds
DEFAULT_RETRY_SECONDS = 300


class Place(NamedTuple):
    """Where a statement reads: all of a region in a project, or one of its datasets.

    ``location`` is a region or multi-region as BigQuery reports it, such as US or europe-west3.
    """

    project: str
    location: str
    dataset: str | None = None

    @property
    def scope(self) -> str:
        """The second part of a view's name: https://docs.cloud.google.com/bigquery/docs/information-schema-intro"""
        return self.dataset or f"region-{self.location.lower()}"

    def __str__(self) -> str:
        return f"{self.project} {self.dataset or self.location}"


class Dataset(NamedTuple):
    """A dataset. BigQuery lists no hidden ones, whose names start with an underscore.

    ``type`` is LINKED, EXTERNAL or another one: https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/datasets/list
    """

    project: str
    name: str
    location: str
    type: str = ""

    @property
    def place(self) -> Place:
        return Place(self.project, self.location, self.name)


class Estimate(NamedTuple):
    """What BigQuery's dry run says about a statement."""

    place: Place
    sql: str
    bytes: int


# --- statements ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Warehouse:
    """The projects to collect, and the client whose project runs and pays for the jobs.

    ``estimates`` is None in an ordinary run. If it is a list, statements are only estimated and return no rows.
    ``listings`` has the datasets of the projects that were listed (projects.py); None for a project that cannot be.
    """

    client: bigquery.Client
    projects: list[str]
    regions: list[str]
    statement_timeout: int
    retry: Retry
    estimates: list[Estimate] | None = None
    listings: dict[str, list[Dataset] | None] = field(default_factory=dict)

    def rows(self, kind: type[R], sql: str, place: Place | None = None, /, **values: Value) -> Rows[R]:
        """Runs the statement now and returns its rows as ``kind``; values are bound to ``@name`` in the SQL.

        ``{project}`` and ``{scope}`` in the SQL are the place's. Without a place, the statement runs in the first of
        BIGQUERY_REGIONS, or where BigQuery chooses.
        """
        if self.estimates is not None:
            self.estimate(sql, place, values)
            return Rows(list(kind._fields), iter(()))
        location, config = self._location(place), self._config(values)
        result = run(self.client, _filled(sql, place), config, location, self.retry, self.statement_timeout)
        return named_rows(kind, [column.name for column in result.schema], rows(result))

    def estimate(self, sql: str, place: Place | None, values: dict[str, Value]) -> None:
        """Adds the statement's estimate, if there are estimates. Raises the errors that the statement would raise."""
        config = self._config(values, dry_run=True)
        job = submit(self.client, _filled(sql, place), config, self._location(place), self.retry)
        if self.estimates is not None and place is not None:
            self.estimates.append(Estimate(place, sql, int(job.total_bytes_processed or 0)))

    def _location(self, place: Place | None) -> str | None:
        return place.location if place else next(iter(self.regions), None)

    def _config(self, values: dict[str, Value], *, dry_run: bool = False) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            query_parameters=[_parameter(name, value) for name, value in values.items()],
            labels=LABELS,
            job_timeout_ms=self.statement_timeout * 1000,
            dry_run=dry_run,
        )


def _filled(sql: str, place: Place | None) -> str:
    return sql.format(project=quote(place.project), scope=quote(place.scope)) if place else sql


def _parameter(name: str, value: Value) -> Any:
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, "STRING", value)
    kind = "TIMESTAMP" if isinstance(value, datetime) else "STRING"
    return bigquery.ScalarQueryParameter(name, kind, value)


def quote(identifier: str) -> str:
    """The identifier in backticks, with the escapes of string literals.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical#quoted_identifiers
    """
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`").replace("\n", "\\n").replace("\r", "\\r") + "`"


# --- connecting ----------------------------------------------------------------------------------------------


@contextmanager
def connect() -> Iterator[Warehouse]:
    """A client that is signed in.

    Raises ConfigurationError if variables are missing or malformed, and google-auth's errors.
    """
    check_client_variables()
    chosen, locations = projects(), regions()
    timeout, seconds = statement_timeout(DEFAULT_STATEMENT_TIMEOUT), retry_seconds(DEFAULT_RETRY_SECONDS)
    credentials, project = credentials_from_environment()
    job_project = project or next(iter(chosen), None)
    if not job_project:
        raise ConfigurationError(
            "The project is not known.", "Set GOOGLE_CLOUD_PROJECT, or BIGQUERY_PROJECTS for several (see README.md)."
        )
    log.info("connecting to BigQuery")
    client = _client(job_project, credentials)
    # The client's own retries leave out quotaExceeded. https://docs.cloud.google.com/bigquery/docs/error-messages
    retry = Retry(predicate=is_retried, initial=1, maximum=30, multiplier=2, timeout=seconds)
    try:
        sign_in(credentials, retry)
        yield Warehouse(client, chosen or [job_project], locations, timeout, retry)
    finally:
        client.close()  # type: ignore[no-untyped-call]


def _client(project: str, credentials: Credentials) -> bigquery.Client:
    info = ClientInfo(user_agent=f"{PRODUCT}/{RELEASE}")  # type: ignore[no-untyped-call]
    try:
        return bigquery.Client(project, credentials, client_info=info)
    except ValueError:
        raise ConfigurationError(
            f"{UNIVERSE_VARIABLE} is not the universe domain of the credentials.", f"Remove {UNIVERSE_VARIABLE}."
        ) from None


# --- errors --------------------------------------------------------------------------------------------------


def explain(error: BaseException) -> PushIngestionError | None:
    """Converts an error of BigQuery or google-auth to a PushIngestionError with a remedy; None for other errors."""
    return explained(read_error(error))


def is_unreadable(error: BaseException) -> bool:
    """Whether BigQuery refuses access to a project, dataset, view or table, or does not find it."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE)


def is_missing_project(error: BaseException) -> bool:
    """Whether the project does not exist, or does not use BigQuery."""
    return has_scope(read_error(error), Scope.DATABASE)


def is_too_much(error: BaseException) -> bool:
    """Whether the result is too large or took too long. A smaller part may succeed."""
    return has_scope(read_error(error), Scope.TOO_MUCH)


def is_statement_error(error: BaseException) -> bool:
    """Whether BigQuery refuses this statement, or does not support it here; others can succeed."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE, Scope.STATEMENT)
