"""Lineage of LOAD, COPY and EXTRACT jobs, from jobs.get: JOBS does not have their sources and files.

jobs.get bills nothing. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from connection import Place, Warehouse, is_unreadable
from error_table import message
from google.cloud.bigquery import CopyJob, ExtractJob, LoadJob, TableReference
from mcpush.collect.collector import Options
from mcpush.collect.pool import Pool
from mcpush.lineage.graph import EXACT, LineageTarget, external_asset
from mcpush.records import Asset, AssetKey
from names import Names
from query_job import HTTP_TIMEOUT

# BigQuery allows 100 requests per second and user: https://docs.cloud.google.com/bigquery/quotas#api_request_quotas
WORKERS = 8
# ADAPT: raise the time budget of a run if you have more of these jobs than it can ask about.
SECONDS = 600
MAX_TRANSFERS = 50_000  # jobs in memory

UNREADABLE = "LOAD, COPY or EXTRACT job not readable (jobs.get)"
NOT_REACHED = f"LOAD, COPY or EXTRACT job that jobs.get did not reach in {SECONDS} seconds"
EARLIER_NOT_REACHED = "job before the window that loaded a dropped table, and that jobs.get did not reach"
UPLOAD = "LOAD job without files in a storage (upload from a client)"
UNKNOWN_JOB = "job that is LOAD, COPY or EXTRACT in JOBS, but not in jobs.get"
NOT_A_TABLE = "EXTRACT job of a model, or job with a temporary table"


class Transfer(NamedTuple):
    """A LOAD, COPY or EXTRACT job."""

    end_time: datetime
    job_id: str
    place: Place

    @property
    def name(self) -> str:
        return f"{self.place} {self.job_id}"


class Transfers:
    """Collects the jobs of a run, then asks about them, the latest ones first.

    The previous run asked about the jobs of the overlap. This one asks again about those that wrote a table that is
    gone, because a job of the window can have read it: its sources replace it.
    """

    def __init__(self, warehouse: Warehouse, names: Names, options: Options) -> None:
        self._warehouse, self._names, self._options = warehouse, names, options
        self._waiting: list[Transfer] = []  # a heap, the oldest first

    def add(self, transfer: Transfer, target: AssetKey | None) -> None:
        """Adds a job with its destination table, which EXTRACT jobs lack. Keeps the latest MAX_TRANSFERS jobs."""
        if self._is_earlier(transfer) and not self._is_gone(target):
            return
        if len(self._waiting) < MAX_TRANSFERS:
            heapq.heappush(self._waiting, transfer)
        else:
            self._skip_unreached(heapq.heappushpop(self._waiting, transfer))

    def _is_earlier(self, transfer: Transfer) -> bool:
        return transfer.end_time < self._options.since

    def _is_gone(self, target: AssetKey | None) -> bool:
        asset = self._names.asset(*target) if target else None
        return asset is not None and not self._names.exists(asset)

    def _skip_unreached(self, transfer: Transfer) -> None:
        reason = EARLIER_NOT_REACHED if self._is_earlier(transfer) else NOT_REACHED
        self._options.skip(reason, transfer.name)

    def targets(self) -> Iterator[LineageTarget]:
        """Yields what the jobs write. Counts jobs that are not readable, or not reached in time."""
        latest_first = sorted(self._waiting, reverse=True)
        for answer in Pool(WORKERS, SECONDS).answers(self._job, latest_first):
            name = answer.item.name
            if answer.error is not None:
                if not is_unreadable(answer.error):
                    raise answer.error
                self._options.skip(UNREADABLE, f"{name}: {message(answer.error)}")
            elif not answer.is_reached:
                self._skip_unreached(answer.item)
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
        else:  # UnknownJob, or a query
            self._options.skip(UNKNOWN_JOB, name)

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
