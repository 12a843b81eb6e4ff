"""Lineage of LOAD, COPY and EXTRACT jobs, from jobs.get: JOBS does not have their sources and files.

jobs.get bills nothing. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from connection import Place, Warehouse, is_unreadable
from error_table import message
from google.cloud.bigquery import CopyJob, ExtractJob, LoadJob, TableReference
from mcpush.collect.collector import Options
from mcpush.collect.pool import Pool
from mcpush.lineage.graph import EXACT, LineageTarget, external_asset
from mcpush.records import Asset
from names import Names
from query_job import HTTP_TIMEOUT

# BigQuery allows 100 requests per second and user: https://docs.cloud.google.com/bigquery/quotas#api_request_quotas
WORKERS = 8
# ADAPT: raise the time budget of a run if you have more of these jobs than it can ask about.
SECONDS = 600
MAX_TRANSFERS = 50_000  # jobs in memory

UNREADABLE = "LOAD, COPY or EXTRACT job not readable (jobs.get)"
NOT_REACHED = f"LOAD, COPY or EXTRACT job that jobs.get did not reach in {SECONDS} seconds"
UPLOAD = "LOAD job without files in a storage (upload from a client)"
NOT_A_TABLE = "EXTRACT job of a model, or job with a temporary table"


class Transfer(NamedTuple):
    """A LOAD, COPY or EXTRACT job."""

    end_time: datetime
    job_id: str
    place: Place


class Transfers:
    """Collects the jobs of a run, then asks about them, the latest ones first."""

    def __init__(self, warehouse: Warehouse, names: Names, options: Options) -> None:
        self._warehouse, self._names, self._options = warehouse, names, options
        self._waiting: deque[Transfer] = deque(maxlen=MAX_TRANSFERS)

    def add(self, transfer: Transfer) -> None:
        """Adds a job. Ignores those of the overlap, which the previous run asked about."""
        if transfer.end_time < self._options.since:
            return
        if len(self._waiting) == MAX_TRANSFERS:
            self._options.skip(NOT_REACHED, self._waiting[0].job_id)
        self._waiting.append(transfer)

    def targets(self) -> Iterator[LineageTarget]:
        """Yields what the jobs write. Counts jobs that are not readable, or not reached in time."""
        latest_first = sorted(self._waiting, reverse=True)
        for answer in Pool(WORKERS, SECONDS).answers(self._job, latest_first):
            name = f"{answer.item.place} {answer.item.job_id}"
            if answer.error is not None:
                if not is_unreadable(answer.error):
                    raise answer.error
                self._options.skip(UNREADABLE, f"{name}: {message(answer.error)}")
            elif not answer.is_reached:
                self._options.skip(NOT_REACHED, name)
            else:
                yield from self._targets_of(answer.value, name)

    def _job(self, transfer: Transfer) -> object:
        project, location, _ = transfer.place
        return self._warehouse.client.get_job(
            transfer.job_id, project=project, location=location, retry=self._warehouse.retry, timeout=HTTP_TIMEOUT
        )

    def _targets_of(self, job: object, name: str) -> Iterator[LineageTarget]:
        if isinstance(job, LoadJob):
            if not job.source_uris:
                self._options.skip(UPLOAD, name)
            yield from self._edges([external_asset(uri) for uri in job.source_uris or ()], [job.destination], name)
        elif isinstance(job, CopyJob):
            yield from self._edges(job.sources, [job.destination], name)
        elif isinstance(job, ExtractJob):
            yield from self._edges([job.source], [external_asset(uri) for uri in job.destination_uris or ()], name)

    def _edges(self, sources: list[object], targets: list[object], name: str) -> Iterator[LineageTarget]:
        known = [asset for source in sources if (asset := self._asset(source, name))]
        for each in targets:
            if known and (asset := self._asset(each, name)):
                target = LineageTarget(asset, "jobs_api", EXACT)
                for source in known:
                    target.add(source)
                yield target

    def _asset(self, reference: object, name: str) -> Asset | None:
        """The asset of a table reference; counts it and returns None if it is not one."""
        if isinstance(reference, Asset):
            return reference
        found = None
        if isinstance(reference, TableReference):
            found = self._names.asset(reference.project, reference.dataset_id, reference.table_id)
        if found is None:
            self._options.skip(NOT_A_TABLE, name)
        return found
