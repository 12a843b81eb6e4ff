# Shared: the original is snowflake/pushkit/delivery.py (see scripts/sync_templates.py).
"""Delivering a manifest to Monte Carlo: batches, retries, a journal to resume from, a result file.

From a verified manifest, through the destination that a push script opens, to the ingestion API. An accepted batch
is in the journal before anything else happens, so after a crash, a kill or a refusal the same command sends only
what is missing. (A batch whose answer was lost on the way may be sent twice: the API has no idempotency key.)
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_after_delay, stop_any, stop_when_event_set

from pushkit.cli import DONE, PARTLY, say
from pushkit.errors import ConfigurationError, UnavailableError
from pushkit.journal import Accepted, Journal, journal_path, read_journal
from pushkit.manifest import Header, Manifest, ManifestError, Record, encode, read, verify
from pushkit.redaction import redact

MAX_BODY_BYTES = 900_000  # of gzip; the gateway refuses more than 1 MB, and may count its own compression
SMALL_LINE_BYTES = 4096  # shorter lines are counted as they are: compressing each alone would gain little
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
HOPELESS_BATCHES = 3  # so many batches without one acceptable record: it is not the records
REJECTIONS_SHOWN = 20  # of rejected records in the summary; the result file holds all


class RetriableError(Exception):
    """The same batch may be accepted later. ``retry_after`` is the wait that was asked for, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(Exception):
    """The batch can never be accepted as it is: its content is wrong (400) or too large (413)."""


@dataclass(frozen=True)
class Receipt:
    """The answer to one request. ``body_bytes`` is the size of its body as gzip."""

    invocation_id: str | None
    body_bytes: int


class Destination(Protocol):
    """Where batches go. ``send`` raises RejectedError, RetriableError or one of errors.py, and never retries."""

    @property
    def name(self) -> str: ...

    def send(self, header: Header, events: list[Any]) -> Receipt: ...


@dataclass(frozen=True)
class Pusher:
    """A push script in data.

    ``full_name`` is what a person would look a record up by; ``build`` makes pycarlo's event of a record; ``open``
    checks the variables and gives the destination, one that only measures when its argument (dry run) is true.
    """

    flow: str
    batch_records: int
    description: str
    full_name: Callable[[Record], str]
    build: Callable[[Record], Any]
    open: Callable[[bool], Destination]


@dataclass(frozen=True)
class Batch:
    """Consecutive records of the manifest; ``first`` is the index of the first of them, from 0."""

    first: int
    records: list[Record]

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.records) // 2
        return Batch(self.first, self.records[:middle]), Batch(self.first + middle, self.records[middle:])


@dataclass
class Delivery:
    """What became of a manifest. ``accepted`` includes what earlier runs delivered."""

    manifest: Manifest
    destination: str
    dry_run: bool
    accepted: list[Accepted] = field(default_factory=list)
    records_accepted_before: int = 0
    rejected: list[Record] = field(default_factory=list)
    batches_measured: int = 0
    largest_body_bytes: int = 0

    @property
    def records_accepted(self) -> int:
        return sum(batch.count for batch in self.accepted)

    @property
    def exit_code(self) -> int:
        whole = not self.rejected if self.dry_run else self.records_accepted == self.manifest.records
        return DONE if whole else PARTLY

    def text(self) -> str:
        if self.dry_run:
            return (
                f"dry run: {self.manifest.records} records make {self.batches_measured} batches, the largest "
                f"{self.largest_body_bytes} bytes compressed; {len(self.rejected)} records cannot be sent; "
                "nothing was sent"
            )
        if self.manifest.records == 0:
            return "the manifest is empty: nothing to send"
        before = f", {self.records_accepted_before} of them by earlier runs" if self.records_accepted_before else ""
        rejected = f"; {len(self.rejected)} rejected: see {result_path(self.manifest.path)}" if self.rejected else ""
        return f"{self.records_accepted} of {self.manifest.records} records accepted{before}{rejected}"

    def report(self) -> Record:
        """The part of the summary that speaks of the push."""
        return {
            "manifest": str(self.manifest.path),
            "destination": self.destination,
            "dry_run": self.dry_run,
            "records": self.manifest.records,
            "records_accepted": self.records_accepted,
            "records_accepted_before": self.records_accepted_before,
            "records_rejected": len(self.rejected),
            "rejected": self.rejected[:REJECTIONS_SHOWN],
            "batches": self.batches_measured if self.dry_run else len(self.accepted),
            "largest_body_bytes": self.largest_body_bytes,
            "invocation_ids": [batch.invocation_id for batch in self.accepted],
            "result": None if self.dry_run else str(result_path(self.manifest.path)),
        }


def result_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.name + ".result.json")


def is_unfinished(manifest: Path, flow: str) -> bool:
    """Whether a push of this very manifest was begun and did not deliver every record."""
    journal = read_journal(journal_path(manifest))
    if journal is None:
        return False
    try:
        found = verify(manifest, flow)
    except ManifestError:
        return False
    header, accepted = journal
    return header.get("digest") == found.digest and sum(batch.count for batch in accepted) < found.records


# --- batches --------------------------------------------------------------------------------------------


def batches(manifest: Manifest, spans: Iterator[tuple[int, int]], most: int) -> Iterator[Batch]:
    """Cut the records of the spans (first, end) into batches by count and by estimated compressed size."""
    span = next(spans, None)
    held: list[Record] = []
    weight = 0
    for index, record in enumerate(read(manifest.path, manifest.header.flow)):
        while span and index >= span[1]:
            span = next(spans, None)
        if span is None or index < span[0]:
            continue
        added = _weight(record)
        if held and (len(held) == most or weight + added > MAX_BODY_BYTES):
            yield Batch(index - len(held), held)
            held, weight = [], 0
        held.append(record)
        weight += added
        if index + 1 == span[1]:  # a batch never reaches over a gap: the journal records it as one span
            yield Batch(index + 1 - len(held), held)
            held, weight = [], 0


def _weight(record: Record) -> int:
    """About the bytes a record adds to a compressed body, rather too many than too few."""
    line = encode(record)
    return len(line) if len(line) < SMALL_LINE_BYTES else len(zlib.compress(line, 1))


# --- delivering -----------------------------------------------------------------------------------------


def deliver(
    manifest: Manifest,
    pusher: Pusher,
    *,
    batch_records: int,
    workers: int,
    max_retry_seconds: float,
    dry_run: bool,
    on_records: Callable[[int], None],
    report: Record,
) -> Delivery:
    """Send what the journal lacks. ``report`` and the result file are filled in however this ends.

    Raises RefusedError, UnavailableError or ConfigurationError when going on is no use; what was accepted by then
    is in the journal. Rejected records are no exception: they are in the result, by name.
    """
    destination = pusher.open(dry_run)
    delivery = Delivery(manifest, destination.name, dry_run)
    courier = _Courier(delivery, destination, pusher, max_retry_seconds, on_records)
    if dry_run:
        courier.carry(batches(manifest, iter([(0, manifest.records)]), batch_records), workers)
        report |= delivery.report()
        return delivery
    error: BaseException | None = None
    with Journal(manifest, destination.name) as journal:
        if journal.set_aside:
            say(f"the journal beside the manifest was of another push; it is now {journal.set_aside}")
        courier.resume(journal)
        try:
            courier.carry(batches(manifest, journal.missing(manifest.records), batch_records), workers)
        except BaseException as caught:
            error = caught
            raise
        finally:
            report |= delivery.report()
            _write_result(delivery, error)
    return delivery


class _Courier:
    """Carries batches to the destination, several at once, and notes what became of each."""

    def __init__(
        self,
        delivery: Delivery,
        destination: Destination,
        pusher: Pusher,
        max_retry_seconds: float,
        on_records: Callable[[int], None],
    ) -> None:
        self.delivery, self.destination, self.pusher = delivery, destination, pusher
        self.on_records = on_records
        self.journal: Journal | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._max_retry_seconds = max_retry_seconds
        self._hopeless = 0

    def resume(self, journal: Journal) -> None:
        self.journal = journal
        self.delivery.accepted = journal.accepted
        self.delivery.records_accepted_before = self.delivery.records_accepted
        self.on_records(self.delivery.records_accepted)

    def carry(self, todo: Iterator[Batch], workers: int) -> None:
        """Send every batch. The first goes alone, so that a wrong key is known before others are tried."""
        for first in todo:
            self._send(first)
            break
        with ThreadPoolExecutor(workers) as pool:
            under_way: set[Future[None]] = set()
            try:
                for batch in todo:
                    under_way.add(pool.submit(self._send, batch))
                    if len(under_way) >= workers:
                        under_way = _settle(under_way, FIRST_COMPLETED)
                while under_way:
                    under_way = _settle(under_way, FIRST_COMPLETED)
            finally:
                self._stop.set()  # on an error or an interrupt: no more retries; requests under way are awaited

    def _send(self, batch: Batch) -> None:
        before = self.delivery.records_accepted
        self._send_or_split(batch)
        if self.delivery.dry_run:
            return
        self._hopeless = 0 if self.delivery.records_accepted > before else self._hopeless + 1
        if self._hopeless >= HOPELESS_BATCHES and self.delivery.records_accepted == 0:
            raise ConfigurationError(
                f"{self._hopeless} batches were rejected to the last record: {self.delivery.rejected[-1]['reason']}",
                "Nothing was accepted. Does the manifest's resource type fit the resource in MCD_RESOURCE_UUID?",
            )

    def _send_or_split(self, batch: Batch) -> None:
        """A rejected batch is halved until the records at fault stand alone: their neighbours still go."""
        try:
            receipt = self._send_with_retries(batch)
        except RejectedError as error:
            if len(batch.records) > 1:
                for half in batch.halves():
                    self._send_or_split(half)
                return
            self._note_rejected(batch, str(error))
        else:
            self._note_accepted(batch, receipt)

    def _send_with_retries(self, batch: Batch) -> Receipt:
        retrying = Retrying(
            retry=retry_if_exception_type(RetriableError),
            wait=_wait,
            stop=stop_any(stop_after_delay(self._max_retry_seconds), stop_when_event_set(self._stop)),
            sleep=sleep_using_event(self._stop),
            before_sleep=_say_retry,
            reraise=True,
        )
        try:
            return retrying(self._send_once, batch)
        except RetriableError as error:
            raise UnavailableError(
                f"Monte Carlo did not take records {batch.first} to {batch.first + len(batch.records) - 1}: {error}",
                "What was accepted stays accepted. Run the same command again later: it sends the rest.",
            ) from error

    def _send_once(self, batch: Batch) -> Receipt:
        try:
            events = [self.pusher.build(record) for record in batch.records]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RejectedError(f"not a {self.pusher.flow} record: {type(error).__name__}: {error}") from error
        return self.destination.send(self.delivery.manifest.header, events)

    def _note_accepted(self, batch: Batch, receipt: Receipt) -> None:
        with self._lock:
            if self.journal is not None:
                self.journal.add(batch.first, len(batch.records), receipt.invocation_id)
            self.delivery.batches_measured += 1
            self.delivery.largest_body_bytes = max(self.delivery.largest_body_bytes, receipt.body_bytes)
            self.on_records(len(batch.records))

    def _note_rejected(self, batch: Batch, reason: str) -> None:
        name = _name_of(self.pusher, batch.records[0])
        say(f"rejected: {name}: {reason}")
        with self._lock:
            self.delivery.rejected.append({"index": batch.first, "name": name, "reason": redact(reason)})


def _settle(under_way: set[Future[None]], until: str) -> set[Future[None]]:
    done, rest = wait(under_way, return_when=until)
    for future in done:
        future.result()
    return rest


def _name_of(pusher: Pusher, record: Record) -> str:
    try:
        return pusher.full_name(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        return "(no name)"


def _wait(state: RetryCallState) -> float:
    """What the gateway asked for with Retry-After; else a growing wait, spread so that workers do not meet."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RetriableError) and error.retry_after is not None:
        return error.retry_after
    return wait_random_exponential(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, min=FIRST_WAIT_SECONDS)(state)


def _say_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0
    say(f"attempt {state.attempt_number} failed ({error}); trying again in {pause:.0f} s")


def _write_result(delivery: Delivery, error: BaseException | None) -> None:
    """The result file beside the manifest: every accepted batch with its invocation id, every rejected record."""
    header = delivery.manifest.header
    result = {
        **delivery.report(),
        "flow": header.flow,
        "warehouse": header.warehouse,
        header.resource_key: header.resource,
        "collected_at": header.to_json()["collected_at"],
        "window": header.to_json()["window"],
        "complete": error is None and delivery.exit_code == DONE,
        "error": f"{type(error).__name__}: {error}" if error is not None else None,
        "accepted": [asdict(batch) for batch in delivery.accepted],
        "rejected": delivery.rejected,
    }
    path = result_path(delivery.manifest.path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(redact(json.dumps(result, ensure_ascii=False, indent=1)) + "\n", encoding="utf-8")
    os.replace(partial, path)
