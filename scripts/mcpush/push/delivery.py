"""Delivers a verified manifest to Monte Carlo: batches, retries, a journal to resume from, a result file.

Each accepted batch is written to the journal immediately, so after a crash, a kill or a refusal the same command sends
only the missing records. Delivery is at-least-once: if a response is lost, the batch can be sent twice, because the API
has no idempotency key.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timezone

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_any, stop_before_delay, stop_when_event_set

from mcpush.console import log
from mcpush.errors import ConfigurationError, UnavailableError
from mcpush.interrupts import stop_if_asked
from mcpush.pending import Accepted, Reduced, journal_path, read_journal
from mcpush.push.batches import Backlog, Batch, split_into_batches
from mcpush.push.gateway import Gateway, open_gateway
from mcpush.push.journal import Journal
from mcpush.push.pusher import Pusher, Receipt, RejectedError, RetriableError, TooLargeError
from mcpush.push.result import Delivery, Rejected, write_result
from mcpush.records import RECORDS, Json, Record, iso_utc, name_or_placeholder
from mcpush.redaction import excerpt
from mcpush.reduction import reductions

MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 60.0
MAX_INITIAL_REJECTIONS = 5  # with this many single records rejected and none accepted, the cause is not the records
MAX_NAME_LENGTH, MAX_REASON_LENGTH = 300, 2_000  # characters of a record's name and reason in messages
NESTED_TOO_DEEPLY = "it is nested too deeply"
POLL_SECONDS = 0.1  # how often the main thread checks for a signal


def deliver(delivery: Delivery, pusher: Pusher, on_records: Callable[[int], None]) -> None:
    """Send the records that are not in the journal. Updates ``delivery`` and writes the result file, even on errors.

    Calls ``on_records`` with the number of records completed since the last call. Raises RefusedError, UnavailableError
    or ConfigurationError if continuing is pointless; batches accepted until then are in the journal. Rejected records
    do not raise.
    """
    if delivery.options.dry_run:
        _measure(delivery, pusher, on_records)
        return
    error: BaseException | None = None
    try:
        _push(delivery, pusher, on_records)
    except BaseException as caught:
        error = caught
        raise
    finally:
        write_result(delivery, error)
    stop_if_asked()


def _measure(delivery: Delivery, pusher: Pusher, on_records: Callable[[int], None]) -> None:
    """Build and measure every batch without sending it."""
    gateway = open_gateway(pusher.send, dry_run=True)
    delivery.destination = gateway.name
    manifest = delivery.manifest
    batches = split_into_batches(manifest, iter([(0, manifest.records)]), pusher.batch_records)
    DeliveryRun(delivery, pusher, gateway, None, on_records).run(batches)


def _push(delivery: Delivery, pusher: Pusher, on_records: Callable[[int], None]) -> None:
    manifest = delivery.manifest
    found = read_journal(journal_path(manifest.path))
    if found is not None and found.header.describes(manifest):
        delivery.restore(found.accepted)  # reported even if the gateway cannot be opened
    gateway = open_gateway(pusher.send, dry_run=False)
    delivery.destination = gateway.name
    with Journal(manifest, gateway.name, found) as journal:
        delivery.restore(journal.accepted_before)
        on_records(delivery.records_accepted)
        batches = split_into_batches(manifest, journal.missing(manifest.records), pusher.batch_records)
        DeliveryRun(delivery, pusher, gateway, journal, on_records).run(batches)


class DeliveryRun:
    """Sends batches concurrently and records the outcome of each.

    The main thread submits batches and splits rejected ones. The pool's threads build and send batches, and record
    accepted ones. Without a journal (dry run) nothing counts as accepted.
    """

    def __init__(
        self,
        delivery: Delivery,
        pusher: Pusher,
        gateway: Gateway,
        journal: Journal | None,
        on_records: Callable[[int], None],
    ) -> None:
        self._delivery, self._pusher, self._gateway = delivery, pusher, gateway
        self._journal, self._on_records = journal, on_records
        self._kind = RECORDS[pusher.flow]
        self._lock = threading.Lock()  # guards the delivery and the journal
        self._stop = threading.Event()
        self._got_response = False
        self._batches_rejected = 0
        self._unrecorded_rejections: list[Rejected] = []  # not recorded until something is accepted

    def run(self, batches: Iterator[Batch]) -> None:
        """Send the batches. Before it raises, it waits for requests in progress and records their outcome."""
        with ThreadPoolExecutor(self._delivery.options.workers) as pool:
            try:
                self._send_all(pool, Backlog(batches))
            except BaseException as error:
                self._stop.set()  # no more retries and no new requests
                if self._journal is not None:
                    # Written now, in case a scheduler kills the run before the requests in progress finish.
                    write_result(self._delivery, error)
                raise

    def _send_all(self, pool: ThreadPoolExecutor, backlog: Backlog) -> None:
        in_progress: dict[Future[str | None], Batch] = {}
        while True:
            while batch := self._next(backlog, len(in_progress)):
                in_progress[pool.submit(self._send, batch)] = batch
            if not in_progress:
                break
            done, _ = wait(in_progress, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                batch, reason = in_progress.pop(future), future.result()
                self._got_response = True
                if reason is None:
                    self._record_rejections()
                elif batch.is_single:
                    self._reject(batch, reason)
                else:
                    self._batches_rejected += 1
                    backlog.split_and_requeue(batch, spread=not self._has_accepted)
        self._record_rejections()

    def _next(self, backlog: Backlog, in_progress: int) -> Batch | None:
        """The next batch to send, or None if there is none or the maximum of concurrent requests is reached."""
        stop_if_asked()
        return backlog.take(spread=not self._has_accepted) if in_progress < self._max_concurrent else None

    @property
    def _has_accepted(self) -> bool:
        """Whether any record was accepted, by this or an earlier run. If not, the records might not be the cause."""
        return self._journal is None or self._delivery.records_accepted > 0

    @property
    def _max_concurrent(self) -> int:
        """One request at first, so that a wrong key fails after one request."""
        return self._delivery.options.workers if self._got_response and self._has_accepted else 1

    # --- in the pool's threads ---

    def _send(self, batch: Batch) -> str | None:
        """Send a batch. Returns the reason for its rejection, or None if it was accepted."""
        reasons: list[str] = []
        try:
            records = [self._parse(record) for record in batch.records]
            try:
                receipt = self._send_with_retries(batch, records)
            except TooLargeError as error:
                if not batch.is_single:
                    raise
                receipt = self._send_reduced(batch, records[0], reasons, error)
        except RejectedError as error:
            return str(error)
        self._accept(batch, receipt, reasons)
        return None

    def _parse(self, record: Json) -> Record:
        with _rejecting(self._pusher.flow):
            return self._kind.from_json(record)

    def _send_reduced(self, batch: Batch, record: Record, reasons: list[str], error: TooLargeError) -> Receipt:
        """Send the largest form of a record that fits. Appends to ``reasons`` what it lost.

        Only forms within MAX_BODY_BYTES are requests. Raises RejectedError if even the smallest form is too large.
        """
        for reason, smaller in reductions(record):
            if self._stop.is_set():
                break
            reasons.append(reason)
            try:
                return self._send_with_retries(batch, [smaller])
            except TooLargeError as still_too_large:
                error = still_too_large
        if not reasons:
            raise error
        raise RejectedError(f"{error}; tried with {', '.join(reasons)}") from error

    def _send_with_retries(self, batch: Batch, records: Sequence[Record]) -> Receipt:
        retrying = Retrying(
            retry=retry_if_exception_type(RetriableError),
            wait=_wait,
            stop=stop_any(stop_before_delay(self._delivery.options.max_retry_seconds), stop_when_event_set(self._stop)),
            sleep=sleep_using_event(self._stop),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return retrying(self._send_once, records)
        except RetriableError as error:
            raise UnavailableError(
                f"Sending records {batch.first} to {batch.last} failed: {error}",
                "Accepted records stay accepted. Run the same command again later to send the rest.",
            ) from error

    def _send_once(self, records: Sequence[Record]) -> Receipt:
        with _rejecting(self._pusher.flow):
            events = [self._pusher.build(record) for record in records]
        try:
            return self._gateway.send(self._delivery.manifest.header.resource, events)
        except RecursionError as error:  # pycarlo needs more levels of recursion than the JSON parser
            raise RejectedError(NESTED_TOO_DEEPLY) from error

    def _accept(self, batch: Batch, receipt: Receipt, reasons: Sequence[str]) -> None:
        reduced = Reduced(self._name_of(batch), reasons) if reasons else None
        with self._lock:
            self._delivery.measure(receipt.body_bytes)
            if self._journal is not None:
                now = iso_utc(datetime.now(timezone.utc))
                accepted = Accepted(batch.first, len(batch.records), receipt.invocation_id, now, reduced)
                self._delivery.accept(accepted)
                self._journal.accept(accepted)
            elif reduced:
                self._delivery.reduce(batch.first, reduced)
            self._on_records(len(batch.records))

    # --- in the main thread ---

    def _reject(self, batch: Batch, reason: str) -> None:
        """Handle a rejected record. Until something is accepted, it is only held; too many of them end the run."""
        rejected = Rejected(batch.first, self._name_of(batch), excerpt(reason, MAX_REASON_LENGTH))
        self._unrecorded_rejections.append(rejected)
        if self._has_accepted:
            self._record_rejections()
        elif len(self._unrecorded_rejections) == MAX_INITIAL_REJECTIONS:
            raise ConfigurationError(
                f"Nothing was accepted: {self._batches_rejected} batches and {MAX_INITIAL_REJECTIONS} single "
                f"records were rejected: {rejected.reason}",
                "Check that the manifest's resource type matches the resource in MCD_RESOURCE_UUID. If the records are "
                "wrong, fix the collect script. To continue without this manifest, move it away.",
            )

    def _record_rejections(self) -> None:
        with self._lock:
            for record in self._unrecorded_rejections:
                self._delivery.reject(record)
                if self._journal is not None:
                    self._journal.reject(record)
        self._unrecorded_rejections.clear()

    def _name_of(self, batch: Batch) -> str:
        return excerpt(name_or_placeholder(self._kind, batch.records[0]), MAX_NAME_LENGTH)


@contextmanager
def _rejecting(flow: str) -> Iterator[None]:
    """Turn errors of parsing a record or building its event into a RejectedError."""
    try:
        yield
    except RecursionError as error:
        raise RejectedError(NESTED_TOO_DEEPLY) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise RejectedError(f"not a {flow} record: {reason}") from error


def _wait(state: RetryCallState) -> float:
    """Seconds to wait: Retry-After if the gateway sent it, otherwise exponential backoff with jitter."""
    error = state.outcome.exception() if state.outcome else None
    requested = error.retry_after if isinstance(error, RetriableError) else None
    if requested is not None and math.isfinite(requested):
        return max(MIN_WAIT_SECONDS, requested)
    return wait_random_exponential(MIN_WAIT_SECONDS, MAX_WAIT_SECONDS, min=MIN_WAIT_SECONDS)(state)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0
    log.warning("attempt %d failed (%s), retrying in %.0f s", state.attempt_number, error, pause)
