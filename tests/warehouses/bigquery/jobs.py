"""Query jobs: they run at once, and are done at once unless a test orders them to be slow.

https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb  # type: ignore[import-not-found, unused-ignore]

from tests.warehouses.bigquery import errors, results
from tests.warehouses.bigquery.errors import Refused
from tests.warehouses.bigquery.faults import StatementFault
from tests.warehouses.bigquery.storage import quoted
from tests.warehouses.bigquery.translation import Translated, translate
from tests.warehouses.bigquery.world import DEFAULT_REGION, MULTI_REGIONS, World, region_name

MINIMUM_BILLED = 10 << 20  # https://cloud.google.com/bigquery/pricing#analysis_pricing_models: 10 MB per query
DEFAULT_WAIT_MS = 10_000  # of jobs.getQueryResults
LONGEST_JOB_SECONDS = 6 * 3600  # https://docs.cloud.google.com/bigquery/quotas#query_jobs


@dataclass
class Job:
    """A query job. ``done_at`` is on the monotonic clock; ``error`` is the error of a job that fails then."""

    project: str
    job_id: str
    location: str
    configuration: dict[str, Any]
    email: str
    created: datetime
    done_at: float = 0.0
    error: Refused | None = None
    table: str | None = None
    rows: int = 0
    fields: list[results.Field] = field(default_factory=list)
    processed: int = 0
    billed: int = 0

    @property
    def is_done(self) -> bool:
        return time.monotonic() >= self.done_at

    @property
    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "jobId": self.job_id, "location": self.location}

    def resource(self) -> dict[str, Any]:
        status: dict[str, Any] = {"state": "DONE" if self.is_done else "RUNNING"}
        if self.is_done and self.error:
            status |= {"errorResult": self.error.proto(), "errors": [self.error.proto()]}
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.job_id}",
            "jobReference": self.reference,
            "configuration": self.configuration | {"jobType": "QUERY"},
            "status": status,
            "statistics": self._statistics(),
            "user_email": self.email,
        }

    def _statistics(self) -> dict[str, Any]:
        created = str(int(self.created.timestamp() * 1000))
        found: dict[str, Any] = {"creationTime": created, "startTime": created}
        if not self.is_done:
            return found
        query = {
            "totalBytesProcessed": str(self.processed),
            "totalBytesBilled": str(self.billed),
            "statementType": "SELECT",
            "cacheHit": False,
            "schema": {"fields": self.fields},
        }
        return found | {"endTime": created, "totalBytesProcessed": str(self.processed), "query": query}


class Jobs:
    """All query jobs of the server's clients."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._jobs: dict[tuple[str, str], Job] = {}
        self._numbers = itertools.count(1)

    def clear(self) -> None:
        self._jobs.clear()

    def of(self, project: str) -> list[Job]:
        return [job for job in self._jobs.values() if job.project == project]

    def find(self, project: str, job_id: str, location: str | None) -> Job:
        """The job. Outside the multi-regions, its location must be given:
        https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get
        """
        job = self._jobs.get((project, job_id))
        is_there = job and (region_name(location) == job.location if location else job.location in MULTI_REGIONS)
        if job is None or not is_there:
            raise errors.not_found("Job", f"{project}:{location or DEFAULT_REGION}.{job_id}")
        return job

    def insert(
        self,
        project: str,
        reference: Mapping[str, Any],
        configuration: dict[str, Any],
        email: str,
        fault: StatementFault | None = None,
    ) -> Job:
        """Run a job. The error of its statement becomes the job's, except in a dry run."""
        given = reference.get("location")
        job_id = reference.get("jobId") or f"job_{next(self._numbers)}"
        location = region_name(given) if given else DEFAULT_REGION
        if (project, job_id) in self._jobs:
            raise Refused("duplicate", f"Already Exists: Job {project}:{location}.{job_id}")
        job = Job(project, job_id, location, configuration, email, self._world.orders.now())
        try:
            self._run(job, region_name(given) if given else None, fault)
        except Refused as error:
            if configuration.get("dryRun"):
                raise
            job.error = error
        if not configuration.get("dryRun"):
            self._jobs[project, job_id] = job
        return job

    def cancel(self, job: Job) -> None:
        if not job.is_done:
            job.done_at, job.error = 0.0, Refused("stopped", "Job execution was cancelled: User requested cancellation")

    # --- running ----------------------------------------------------------------------------------------

    def _run(self, job: Job, location: str | None, fault: StatementFault | None) -> None:
        query, world = job.configuration["query"], self._world

        def resolve(parts: Any) -> Any:
            return world.resolve(parts, job.project, location)

        found = translate(query["query"], query.get("queryParameters", []), resolve, world.orders.now())
        regions = found.regions or {job.location}
        if len(regions) > 1 or (location and regions != {location}):
            region = sorted(regions - {location})[0].lower()
            raise errors.not_found("Dataset", f"{job.project}:region-{region}", job.location)
        (job.location,) = regions
        if fault:
            _apply(fault, job, found)
        self._measure(job, found, query.get("maximumBytesBilled"))
        self._execute(job, found)

    def _measure(self, job: Job, found: Translated, limit: str | None) -> None:
        job.processed = self._world.storage.size(found.views)
        job.billed = max(job.processed, MINIMUM_BILLED) if found.views else 0
        if limit is not None and int(limit) < job.billed:
            said = f"Query exceeded limit for bytes billed: {limit}. {job.billed} or higher required."
            raise Refused("bytesBilledLimitExceeded", said)

    def _execute(self, job: Job, found: Translated) -> None:
        """Store the result, in random order unless the statement has ORDER BY."""
        storage = self._world.storage
        is_dry = bool(job.configuration.get("dryRun"))
        sql = found.sql if found.is_ordered else f"SELECT * FROM ({found.sql}) ORDER BY random()"
        with storage.lock:
            try:
                if is_dry:
                    job.fields = results.schema(
                        storage.execute(f"SELECT * FROM ({found.sql}) LIMIT 0", found.values).description
                    )
                    return
                table = quoted("results", f"r{next(self._numbers)}")
                storage.execute(f"CREATE TABLE {table} AS {sql}", found.values)
                job.fields = results.schema(storage.execute(f"SELECT * FROM {table} LIMIT 0").description)
                job.rows = storage.rows(f"SELECT count(*) FROM {table}")[0][0]
                job.table = table
            except duckdb.Error as error:
                raise Refused("invalidQuery", str(error)) from None

    # --- results ----------------------------------------------------------------------------------------

    def results(self, job: Job, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The response of getQueryResults, after waiting for the job. Raises the job's error."""
        _wait_for(job, int(arguments.get("timeoutMs") or DEFAULT_WAIT_MS))
        body: dict[str, Any] = {"kind": "bigquery#getQueryResultsResponse", "jobReference": job.reference}
        if not job.is_done:
            return body | {"jobComplete": False}
        if job.error:
            raise job.error
        start = int(arguments.get("pageToken") or arguments.get("startIndex") or 0)
        limit = min(int(arguments.get("maxResults", results.PAGE_ROWS)), results.PAGE_ROWS)
        body |= {
            "jobComplete": True,
            "schema": {"fields": job.fields},
            "totalRows": str(job.rows),
            "totalBytesProcessed": str(job.processed),
            "cacheHit": False,
            "location": job.location,
        }
        if not limit:  # the client only waits; an empty list of rows would end its loop
            return body
        body["rows"] = self._page(job, start, limit, _is_true(arguments.get("formatOptions.useInt64Timestamp")))
        if start + len(body["rows"]) < job.rows:
            body["pageToken"] = str(start + len(body["rows"]))
        return body

    def _page(self, job: Job, start: int, limit: int, integer_times: bool) -> list[dict[str, Any]]:
        place = f"rowid >= {start} AND rowid < {start + limit} ORDER BY rowid"
        rows = self._world.storage.rows(f"SELECT * FROM {job.table} WHERE {place}") if job.table else []
        return results.page(rows, job.fields, integer_times)


def _apply(fault: StatementFault, job: Job, found: Translated) -> None:
    """Make the job slow, or raise its error."""
    limit = _seconds(job.configuration.get("jobTimeoutMs"))
    if fault.kind == "slow":
        seconds = fault.seconds if limit is None else min(limit, fault.seconds)
        job.done_at = time.monotonic() + seconds
        if seconds < fault.seconds:
            raise errors.job_timed_out(seconds)
    elif fault.kind == "timeout":
        raise errors.job_timed_out(limit or LONGEST_JOB_SECONDS)
    elif fault.kind == "denied":
        view = f"region-{job.location.lower()}.{found.views[0]}" if found.views else "region-us"
        raise errors.denied_on_table(f"{job.project}:{view}", job.location)
    elif fault.kind == "error":
        raise Refused(fault.reason, fault.message or fault.reason)


def _wait_for(job: Job, milliseconds: int) -> None:
    time.sleep(max(0.0, min(job.done_at - time.monotonic(), milliseconds / 1000)))


def _is_true(text: str | None) -> bool:
    return str(text).lower() == "true"


def _seconds(milliseconds: str | None) -> float | None:
    return None if milliseconds is None else int(milliseconds) / 1000
