"""BigQuery's error responses. Needs only the standard library.

Reasons and HTTP codes: https://docs.cloud.google.com/bigquery/docs/error-messages. The texts are those that users quote
in public issues, unless a page has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CODES = {
    "accessDenied": 403,
    "backendError": 503,
    "bytesBilledLimitExceeded": 400,
    "duplicate": 409,
    "internalError": 500,
    "invalid": 400,
    "invalidQuery": 400,
    "notFound": 404,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "resourcesExceeded": 400,
    # A canceled job: jobs.get returns 200 with this reason, and jobs.getQueryResults this code.
    "stopped": 499,
}
# https://docs.cloud.google.com/docs/authentication/troubleshoot-authentication
UNAUTHENTICATED = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential."
)
# https://docs.cloud.google.com/bigquery/docs/information-schema-table-storage#troubleshooting
STORAGE_OFF = """\
INFORMATION_SCHEMA.TABLE_STORAGE hasn't been enabled for project {project}.
Consider using one of the following SQL statements to enable data collection:
ALTER PROJECT `{project}`
SET OPTIONS (`region-{region}.enable_info_schema_storage` = TRUE)

Or to enable for the entire organization:
ALTER ORGANIZATION
SET OPTIONS (`region-{region}.enable_info_schema_storage` = TRUE)

After enabling, please allow around 1 day for the complete historical data to
become available."""


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818
    """An error response, or the error of a failed job. ``status`` is the HTTP code; 0 means the code of the reason."""

    reason: str
    message: str
    status: int = 0

    @property
    def code(self) -> int:
        return self.status or CODES[self.reason]

    def proto(self) -> dict[str, str]:
        """The ErrorProto: https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/ErrorProto"""
        return {"reason": self.reason, "message": self.message}

    def body(self) -> dict[str, Any]:
        """The body of an HTTP response."""
        errors = [self.proto() | {"domain": "global"}]
        return {"error": {"code": self.code, "message": self.message, "errors": errors, "status": self._status_name()}}

    def _status_name(self) -> str:
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
        return names.get(self.code, "UNKNOWN")


class ConnectionGone(Exception):  # noqa: N818
    """Tells the HTTP server to close the connection, after sending the first part of ``sent``, if any."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__()
        self.sent = sent


def unauthenticated() -> Refused:
    return Refused("authError", UNAUTHENTICATED, 401)


def denied_on_project(project: str, permission: str) -> Refused:
    said = f"User does not have {permission} permission in project {project}."
    return Refused("accessDenied", f"Access Denied: Project {project}: {said}")


def denied_on_dataset(project: str, dataset: str, permission: str) -> Refused:
    place = f"{project}:{dataset}"
    said = f"Permission {permission} denied on dataset {place} (or it may not exist)."
    return Refused("accessDenied", f"Access Denied: Dataset {place}: {said}")


def denied_on_table(table: str, location: str) -> Refused:
    """``table``: project:dataset.table, or project:region-us.INFORMATION_SCHEMA.JOBS."""
    said = f"User does not have permission to query table {table}, or perhaps it does not exist in location {location}."
    return Refused("accessDenied", f"Access Denied: Table {table}: {said}")


def not_found(what: str, name: str, location: str | None = None) -> Refused:
    """``what``: Project, Dataset, Table or Job."""
    end = f" was not found in location {location}" if location else ""
    return Refused("notFound", f"Not found: {what} {name}{end}")


def job_timed_out(seconds: float) -> Refused:
    return Refused("stopped", f"Job execution was cancelled: Job timed out after {seconds:g} sec")


def storage_off(project: str, region: str) -> Refused:
    return Refused("invalidQuery", STORAGE_OFF.format(project=project, region=region.lower()))
