"""Delivering a manifest to Monte Carlo: batches, retries, a journal to resume from, a result file.

From a verified manifest, through the destination that a push script opens, to the ingestion API. An accepted batch
is in the journal before anything else happens, so after a crash, a kill or a refusal the same command sends only
what is missing. (A batch whose answer was lost on the way may be sent twice: the API has no idempotency key.)
"""

from __future__ import annotations

import json
import math
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_any, stop_before_delay, stop_when_event_set

from mcpush.console import say
from mcpush.errors import DONE, PARTLY, ConfigurationError, UnavailableError
from mcpush.files import replace_file
from mcpush.interrupts import interruptible, stop_if_asked
from mcpush.manifest import Header, Manifest, parse_record, read_lines
from mcpush.push.journal import Accepted, Journal, Span, journal_path, read_journal, uncovered
from mcpush.records import RECORDS, Json, Record
from mcpush.redaction import redact, redact_values

MAX_BODY_BYTES = 900_000  # of gzip; the gateway refuses more than 1 MB, and may count its own compression
SMALL_LINE_BYTES = 4096  # shorter lines are counted as they are: compressing each alone would gain little
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
PROBED_BATCHES = 3  # so many whole batches are tried before a rejected one is taken apart
PROBED_RECORDS = 5  # so many records of them alone: where all are rejected too, it is not the records
REJECTIONS_SHOWN = 20  # said and in the summary
REJECTIONS_KEPT = 1_000  # in the result file; the journal holds all


Outcome = TypeVar("Outcome")


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

    ``build`` makes pycarlo's event of a record, whose type is the flow's in records.RECORDS; ``open`` checks the
    variables and gives the destination, one that only measures when its argument (dry run) is true.
    """

    flow: str
    batch_records: int
    description: str
    build: Callable[[Any], Any]
    open: Callable[[bool], Destination]


@dataclass(frozen=True)
class Batch:
    """Consecutive records of the manifest; ``first`` is the index of the first of them, from 0."""

    first: int
    records: list[Json]

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.records) // 2
        return Batch(self.first, self.records[:middle]), Batch(self.first + middle, self.records[middle:])

    def singles(self) -> list[Batch]:
        return [Batch(self.first + place, [record]) for place, record in enumerate(self.records)]

    def without(self, index: int) -> list[Batch]:
        """The parts before and after the record with this index of the manifest; itself where that lies elsewhere."""
        place = index - self.first
        if not 0 <= place < len(self.records):
            return [self]
        parts = [Batch(self.first, self.records[:place]), Batch(index + 1, self.records[place + 1 :])]
        return [part for part in parts if part.records]


@dataclass
class Delivery:
    """What became of a manifest. ``accepted`` includes what earlier runs delivered.

    ``resumed`` are the invocation ids of another manifest's rest, which this run sent before.
    """

    manifest: Manifest
    dry_run: bool
    resumed: list[str | None] = field(default_factory=list)
    destination: str = ""
    accepted: list[Accepted] = field(default_factory=list)
    records_accepted: int = 0
    records_accepted_before: int = 0
    records_rejected: int = 0
    rejected: list[Json] = field(default_factory=list)
    batches_measured: int = 0
    largest_body_bytes: int = 0

    def recall(self, accepted: list[Accepted]) -> None:
        """Start from what earlier runs delivered."""
        self.accepted = accepted
        missing = uncovered([batch.span for batch in accepted], self.manifest.records)
        covered = self.manifest.records - sum(end - first for first, end in missing)
        self.records_accepted = self.records_accepted_before = covered

    @property
    def exit_code(self) -> int:
        whole = not self.records_rejected if self.dry_run else self.records_accepted == self.manifest.records
        return DONE if whole else PARTLY

    def text(self) -> str:
        if self.dry_run:
            return (
                f"dry run: {self.manifest.records} records make {self.batches_measured} batches, the largest "
                f"{self.largest_body_bytes} bytes compressed; {self.records_rejected} records cannot be sent; "
                "nothing was sent"
            )
        if self.manifest.records == 0:
            return "the manifest is empty: nothing to send"
        before = f", {self.records_accepted_before} of them by earlier runs" if self.records_accepted_before else ""
        rejected = f"; {self.records_rejected} rejected: see {result_path(self.manifest.path)}"
        text = f"{self.records_accepted} of {self.manifest.records} records accepted{before}"
        return text + (rejected if self.records_rejected else "")

    def report(self) -> Json:
        """The part of the summary that speaks of the push."""
        return {
            "manifest": str(self.manifest.path),
            "destination": self.destination,
            "dry_run": self.dry_run,
            "records": self.manifest.records,
            "records_accepted": self.records_accepted,
            "records_accepted_before": self.records_accepted_before,
            "records_rejected": self.records_rejected,
            "rejected": self.rejected[:REJECTIONS_SHOWN],
            "batches": self.batches_measured if self.dry_run else len(self.accepted),
            "largest_body_bytes": self.largest_body_bytes,
            "invocation_ids": [*self.resumed, *(batch.invocation_id for batch in self.accepted)],
            "result": None if self.dry_run else str(result_path(self.manifest.path)),
        }


def result_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.name + ".result.json")


# --- batches --------------------------------------------------------------------------------------------


def batches(manifest: Manifest, spans: Iterator[Span], most: int) -> Iterator[Batch]:
    """Cut the records of the spans into batches by count and by estimated compressed size."""
    span = next(spans, None)
    held: list[Json] = []
    weight = 0
    for index, line in enumerate(read_lines(manifest.path, manifest.header.flow)):
        while span and index >= span[1]:
            span = next(spans, None)
        if span is None or index < span[0]:
            continue
        added = _weight(line)
        if held and (len(held) == most or weight + added > MAX_BODY_BYTES):
            yield Batch(index - len(held), held)
            held, weight = [], 0
        held.append(parse_record(manifest.path, index + 2, line))
        weight += added
        if index + 1 == span[1]:  # a batch never reaches over a gap: the journal records it as one span
            yield Batch(index + 1 - len(held), held)
            held, weight = [], 0


def _weight(line: bytes) -> int:
    """About the bytes a record adds to a compressed body, rather too many than too few."""
    return len(line) if len(line) < SMALL_LINE_BYTES else len(zlib.compress(line, 1))


# --- delivering -----------------------------------------------------------------------------------------


def deliver(
    manifest: Manifest,
    pusher: Pusher,
    *,
    workers: int,
    max_retry_seconds: float,
    dry_run: bool,
    resumed: list[str | None],
    on_records: Callable[[int], None],
    report: Json,
) -> Delivery:
    """Send what the journal lacks. ``report`` and the result file are filled in however this ends.

    Raises RefusedError, UnavailableError or ConfigurationError when going on is no use; what was accepted by then
    is in the journal. Rejected records are no exception: they are in the result, by name.
    """
    delivery = Delivery(manifest, dry_run, resumed)
    courier = _Courier(delivery, pusher, max_retry_seconds, on_records)
    error: BaseException | None = None
    try:
        if dry_run:
            courier.measure(workers)
        else:
            courier.push(workers)
    except BaseException as caught:
        error = caught
        raise
    finally:
        report |= delivery.report()
        if not dry_run and not write_result(delivery, error):
            report["result"] = None
    return delivery


class _Courier:
    """Carries batches to the destination, several at once, and notes what became of each."""

    def __init__(
        self, delivery: Delivery, pusher: Pusher, max_retry_seconds: float, on_records: Callable[[int], None]
    ) -> None:
        self._delivery, self._pusher, self._on_records = delivery, pusher, on_records
        self._max_retry_seconds = max_retry_seconds
        self._kind = RECORDS[pusher.flow]
        self._destination: Destination | None = None
        self._journal: Journal | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def measure(self, workers: int) -> None:
        """Build and size every batch, send none."""
        self._destination = self._pusher.open(True)
        self._delivery.destination = self._destination.name
        manifest = self._delivery.manifest
        self._carry(batches(manifest, iter([(0, manifest.records)]), self._pusher.batch_records), workers)

    def push(self, workers: int) -> None:
        """Send what the journal lacks."""
        manifest = self._delivery.manifest
        earlier = read_journal(journal_path(manifest.path))
        if earlier is not None and earlier.header.get("digest") == manifest.digest:
            self._delivery.recall(earlier.accepted)  # known also when the destination cannot be opened
        self._destination = self._pusher.open(False)
        self._delivery.destination = self._destination.name
        with Journal(manifest, self._destination.name) as self._journal:
            self._delivery.recall(self._journal.accepted)
            self._on_records(self._delivery.records_accepted)
            missing = self._journal.missing(manifest.records)
            self._carry(batches(manifest, missing, self._pusher.batch_records), workers)

    def _carry(self, todo: Iterator[Batch], workers: int) -> None:
        with ThreadPoolExecutor(workers) as pool:
            try:
                for batch in self._probe(pool, todo):
                    _result(pool.submit(self._send_or_split, batch))
                under_way: set[Future[None]] = set()
                for batch in todo:
                    stop_if_asked()
                    under_way.add(pool.submit(self._send_or_split, batch))
                    if len(under_way) >= workers:
                        under_way = _settle(under_way)
                while under_way:
                    under_way = _settle(under_way)
            except BaseException as error:
                self._stop.set()  # no more retries and no new requests; those under way are awaited
                if not self._delivery.dry_run:
                    write_result(self._delivery, error)  # at once, in case a scheduler does not wait for them
                pool.shutdown()
                raise

    def _probe(self, pool: ThreadPoolExecutor, todo: Iterator[Batch]) -> list[Batch]:
        """Send whole batches one at a time until one is accepted; what was rejected before it is returned.

        A wrong key is so known after one request, and a wrong resource after a few: batches are only taken apart
        when it may be their own records that are wrong.
        """
        rejected: list[Batch] = []
        for batch in todo:
            if _result(pool.submit(self._send_whole, batch)) is None:
                return rejected
            rejected.append(batch)
            if len(rejected) == PROBED_BATCHES:
                break
        return self._probe_records(pool, rejected)

    def _probe_records(self, pool: ThreadPoolExecutor, rejected: list[Batch]) -> list[Batch]:
        """Send records from all over the rejected batches, alone, until one is accepted. The batches without it.

        Raises ConfigurationError when none is: bad records may be neighbours, but are hardly everywhere.
        """
        singles = [single for batch in rejected for single in batch.singles()]
        if self._delivery.dry_run or self._delivery.records_accepted or len(singles) < PROBED_RECORDS:
            return rejected
        reason = None
        for number in range(PROBED_RECORDS):
            single = singles[number * (len(singles) - 1) // (PROBED_RECORDS - 1)]
            reason = _result(pool.submit(self._send_whole, single))
            if reason is None:
                return [part for batch in rejected for part in batch.without(single.first)]
        raise ConfigurationError(
            f"nothing was accepted: {len(rejected)} batches and {PROBED_RECORDS} single records are rejected: {reason}",
            "Does the manifest's resource type fit the resource in MCD_RESOURCE_UUID? If the records are wrong, mend "
            "what collected them; to go on without this manifest, move it away.",
        )

    def _send_whole(self, batch: Batch) -> str | None:
        """Send a batch; why it was rejected, or None when it was accepted."""
        try:
            receipt = self._send_with_retries(batch)
        except RejectedError as error:
            return str(error)
        self._note_accepted(batch, receipt)
        return None

    def _send_or_split(self, batch: Batch) -> None:
        """A rejected batch is halved until the records at fault stand alone: their neighbours still go."""
        if self._stop.is_set():
            return
        try:
            receipt = self._send_with_retries(batch)
        except RejectedError as error:
            if len(batch.records) == 1:
                self._note_rejected(batch, str(error))
                return
            for half in batch.halves():
                self._send_or_split(half)
        else:
            self._note_accepted(batch, receipt)

    def _send_with_retries(self, batch: Batch) -> Receipt:
        retrying = Retrying(
            retry=retry_if_exception_type(RetriableError),
            wait=_wait,
            stop=stop_any(stop_before_delay(self._max_retry_seconds), stop_when_event_set(self._stop)),
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
        assert self._destination is not None  # noqa: S101 - opened before anything is carried
        try:
            events = [self._pusher.build(self._kind.from_json(record)) for record in batch.records]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise RejectedError(f"not a {self._pusher.flow} record: {reason}") from error
        return self._destination.send(self._delivery.manifest.header, events)

    def _note_accepted(self, batch: Batch, receipt: Receipt) -> None:
        with self._lock:
            if not self._delivery.dry_run:
                self._delivery.records_accepted += len(batch.records)
            if self._journal is not None:
                self._journal.accept(batch.first, len(batch.records), receipt.invocation_id)
            self._delivery.batches_measured += 1
            self._delivery.largest_body_bytes = max(self._delivery.largest_body_bytes, receipt.body_bytes)
            self._on_records(len(batch.records))

    def _note_rejected(self, batch: Batch, reason: str) -> None:
        name, reason = _name_of(self._kind, batch.records[0]), redact(reason)
        with self._lock:
            delivery = self._delivery
            delivery.records_rejected += 1
            if delivery.records_rejected <= REJECTIONS_SHOWN:
                say(f"rejected: {name}: {reason}")
            if len(delivery.rejected) < REJECTIONS_KEPT:
                delivery.rejected.append({"index": batch.first, "name": name, "reason": reason})
            if self._journal is not None:
                self._journal.reject(batch.first, name, reason)


def _result(future: Future[Outcome]) -> Outcome:
    with interruptible():
        return future.result()


def _settle(under_way: set[Future[None]]) -> set[Future[None]]:
    """Wait for one to end, pass its error on, and return the others."""
    with interruptible():
        done, rest = wait(under_way, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    return rest


def _name_of(kind: type[Record], record: Json) -> str:
    try:
        return kind.name_of(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        return "(no name)"


def _wait(state: RetryCallState) -> float:
    """What the gateway asked for with Retry-After; else a growing wait, spread so that workers do not meet."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RetriableError) else None
    if asked is not None and math.isfinite(asked):
        return max(FIRST_WAIT_SECONDS, asked)
    return wait_random_exponential(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, min=FIRST_WAIT_SECONDS)(state)


def _say_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0
    say(f"attempt {state.attempt_number} failed ({error}); trying again in {pause:.0f} s")


def write_result(delivery: Delivery, error: BaseException | None) -> bool:
    """The result file beside the manifest: every accepted batch with its invocation id, rejected records by name.

    Returns whether it was written: a full disk is said, and does not hide how the push itself ended.
    """
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
    try:
        replace_file(path, json.dumps(redact_values(result), indent=1) + "\n")
    except OSError as failed:
        say(f"cannot write the result {path}: {failed.strerror or failed}")
        return False
    return True
