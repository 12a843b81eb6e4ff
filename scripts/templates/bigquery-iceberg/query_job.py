# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/query_job.py.
"""Runs a query job: submits it, waits for it, reads its result in pages, and cancels it if nobody waits any longer.

The client's own ``QueryJob.result()`` nests its retries: if BigQuery is unavailable, it takes 10 minutes or longer
whatever timeout it gets, and a job that failed meanwhile is not submitted again. The client waits 120 seconds at least
for the response to a request for results.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from google.api_core.retry import Retry
from google.cloud import bigquery
from mcpush.interrupts import interruptible

HTTP_TIMEOUT = 60  # seconds for one request
GRACE = 60  # seconds at most that this process waits longer than BigQuery's own timeout
LONGEST_PAUSE = 2.0  # seconds between two questions whether a job is done
CANCEL_TIMEOUT = 6  # seconds
PAGE_ROWS = 2_000  # in memory for each open result, several kilobytes a row; metadata has four results
DONE = "DONE"


def submit(
    client: bigquery.Client, sql: str, config: bigquery.QueryJobConfig, location: str | None, retry: Retry
) -> bigquery.QueryJob:
    """Submits the statement, whose errors become the job's, or are raised if it is a dry run."""
    with interruptible():
        return client.query(
            sql,
            job_config=config,
            location=location,
            retry=retry,
            job_retry=None,  # ``run`` does it
            timeout=HTTP_TIMEOUT,
        )


def run(
    client: bigquery.Client, sql: str, config: bigquery.QueryJobConfig, location: str | None, retry: Retry, timeout: int
) -> Any:
    """Runs the statement and returns the result with its schema. ``timeout`` is the job's own, in seconds.

    Submits a job again that failed for a reason that passes. Raises TimeoutError if BigQuery does not end it in time.
    """

    def attempt() -> Any:
        return _result(submit(client, sql, config, location, retry), retry, timeout)

    with interruptible():
        return retry(attempt)()


def _result(job: bigquery.QueryJob, retry: Retry, timeout: int) -> Any:
    """Waits for the job and returns its result. Cancels the job if it has not ended."""
    try:
        _wait(job, retry, timeout + min(timeout, GRACE))
        return job.result(page_size=PAGE_ROWS, retry=retry, job_retry=None, timeout=HTTP_TIMEOUT)
    except BaseException:
        if job.state != DONE:
            with suppress(Exception):  # must not hide the error
                job.cancel(retry=None, timeout=CANCEL_TIMEOUT)
        raise


def _wait(job: bigquery.QueryJob, retry: Retry, seconds: float) -> None:
    deadline, pause = time.monotonic() + seconds, LONGEST_PAUSE / 16
    while not job.done(retry=retry, timeout=HTTP_TIMEOUT):
        if time.monotonic() > deadline:
            raise concurrent.futures.TimeoutError
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def rows(result: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a result, one page in memory. A signal interrupts only the requests."""
    pages = iter(result.pages)
    while True:
        with interruptible():
            page = next(pages, None)
        if page is None:
            return
        for row in page:
            yield row[:]
