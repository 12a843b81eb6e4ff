"""The outcome of a push: for the summary, the log, and the result file next to the manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mcpush.console import log
from mcpush.errors import DONE, PARTIAL
from mcpush.files import replace_file
from mcpush.manifest import Manifest
from mcpush.pending import Accepted, Reduced, uncovered
from mcpush.redaction import redact_values
from mcpush.summary import PushSummary

MAX_REJECTIONS_SHOWN = 20  # in the log and in the summary
MAX_REDUCTIONS_SHOWN = 20  # in the log
MAX_REJECTIONS_SAVED = 1_000  # in the result file; the journal has all


@dataclass(frozen=True)
class DeliveryOptions:
    """``workers`` is the number of concurrent requests. A dry run builds and measures batches without sending them."""

    workers: int
    max_retry_seconds: float
    dry_run: bool


@dataclass(frozen=True)
class Rejected:
    """A rejected record: its index in the manifest, its name, and the redacted reason."""

    index: int
    name: str
    reason: str


@dataclass
class Delivery:
    """The state and outcome of a push. ``accepted`` includes batches that earlier runs delivered.

    ``resumed`` contains the invocation ids of an earlier manifest whose push this run completed first. ``reduced``
    contains the records that were accepted (in a dry run: can be sent) only in a smaller form, by their index in the
    manifest. ``is_result_written`` is false if the result file could not be written.
    """

    manifest: Manifest
    options: DeliveryOptions
    resumed: Sequence[str | None] = ()
    destination: str = ""
    accepted: list[Accepted] = field(default_factory=list)
    records_accepted: int = 0
    records_accepted_before: int = 0
    records_rejected: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    reduced: dict[int, Reduced] = field(default_factory=dict)
    batches_measured: int = 0
    largest_body_bytes: int = 0
    is_result_written: bool = True

    def restore(self, accepted: Sequence[Accepted]) -> None:
        """Restore the batches that earlier runs delivered."""
        self.accepted = list(accepted)
        missing = uncovered([batch.span for batch in accepted], self.manifest.records)
        covered = self.manifest.records - sum(end - first for first, end in missing)
        self.records_accepted = self.records_accepted_before = covered
        self.reduced = {batch.first: batch.reduced for batch in accepted if batch.reduced}

    def measure(self, body_bytes: int) -> None:
        self.batches_measured += 1
        self.largest_body_bytes = max(self.largest_body_bytes, body_bytes)

    def accept(self, batch: Accepted) -> None:
        self.accepted.append(batch)
        self.records_accepted += batch.count
        if batch.reduced:
            self.reduce(batch.first, batch.reduced)

    def reduce(self, index: int, record: Reduced) -> None:
        """Report a record that was accepted, or in a dry run would be, in a smaller form."""
        self.reduced[index] = record
        if len(self.reduced) <= MAX_REDUCTIONS_SHOWN:
            log.warning("too large to send complete: %s: %s", record.name, ", ".join(record.reasons))

    def reject(self, record: Rejected) -> None:
        self.records_rejected += 1
        if self.records_rejected <= MAX_REJECTIONS_SHOWN:
            log.warning("rejected: %s: %s", record.name, record.reason)
        if len(self.rejected) < MAX_REJECTIONS_SAVED:
            self.rejected.append(record)

    @property
    def exit_code(self) -> int:
        if self.options.dry_run:
            return PARTIAL if self.records_rejected else DONE
        return DONE if self.records_accepted == self.manifest.records else PARTIAL

    def text(self) -> str:
        if self.options.dry_run:
            return (
                f"dry run: {self.manifest.records} records make {self.batches_measured} batches, the largest "
                f"{self.largest_body_bytes} bytes compressed; {self.records_rejected} records cannot be sent"
                f"{self._reduced_text()}; nothing was sent"
            )
        if self.manifest.records == 0:
            return "the manifest is empty: nothing to send"
        before = f", {self.records_accepted_before} of them by earlier runs" if self.records_accepted_before else ""
        rejected = f"; {self.records_rejected} rejected: see {result_path(self.manifest.path)}"
        text = f"{self.records_accepted} of {self.manifest.records} records accepted{before}{self._reduced_text()}"
        return text + (rejected if self.records_rejected else "")

    def _reduced_text(self) -> str:
        if not self.reduced:
            return ""
        reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(self._reduced_counts().items()))
        return f"; {len(self.reduced)} too large to send complete: {reasons}"

    def _reduced_counts(self) -> dict[str, int]:
        records = list(self.reduced.values())  # a copy: other threads might add records
        return dict(Counter(reason for record in records for reason in record.reasons))

    def to_summary(self) -> PushSummary:
        has_result = self.is_result_written and not self.options.dry_run
        reduced = list(self.reduced.values())
        return PushSummary(
            manifest=str(self.manifest.path),
            destination=self.destination,
            dry_run=self.options.dry_run,
            records=self.manifest.records,
            records_accepted=self.records_accepted,
            records_accepted_before=self.records_accepted_before,
            records_rejected=self.records_rejected,
            rejected=[asdict(record) for record in self.rejected[:MAX_REJECTIONS_SHOWN]],
            records_reduced=len(reduced),
            reduced=self._reduced_counts(),
            reduced_examples={reason: record.name for record in reversed(reduced) for reason in record.reasons},
            batches=self.batches_measured if self.options.dry_run else len(self.accepted),
            largest_body_bytes=self.largest_body_bytes,
            invocation_ids=[*self.resumed, *(batch.invocation_id for batch in self.accepted)],
            result=str(result_path(self.manifest.path)) if has_result else None,
        )


def result_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.name + ".result.json")


def write_result(delivery: Delivery, error: BaseException | None) -> None:
    """Write every accepted batch with its invocation id, and rejected records by name.

    If writing fails, it logs the error and does not raise, so that the outcome of the push is still reported.
    """
    header = delivery.manifest.header
    described = header.to_json()
    result = {
        **delivery.to_summary().to_json(),
        "flow": header.flow,
        "warehouse": header.warehouse,
        header.resource_key: header.resource,
        "collected_at": described["collected_at"],
        "window": described["window"],
        "complete": error is None and delivery.exit_code == DONE,
        "error": f"{type(error).__name__}: {error}" if error is not None else None,
        "accepted": [batch.to_json() for batch in delivery.accepted],
        "rejected": [asdict(record) for record in delivery.rejected],
    }
    path = result_path(delivery.manifest.path)
    try:
        replace_file(path, json.dumps(redact_values(result), indent=1) + "\n")
    except OSError as failed:
        log.error("cannot write the result %s: %s", path, failed.strerror or failed)
        delivery.is_result_written = False
