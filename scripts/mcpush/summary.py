"""The summary of a run, printed on stdout as one JSON object. references/summary.md describes its keys."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mcpush.records import Json


@dataclass
class CollectSummary:
    """The result of collecting. ``records`` is None until the manifest is complete."""

    manifest: str
    window: Json | None
    skipped: dict[str, int]
    skipped_examples: dict[str, str]
    records: int | None = None

    def to_json(self) -> Json:
        values = dict(vars(self))
        if self.records is None:
            del values["records"]
        return values


@dataclass
class PushSummary:
    """The result of pushing a manifest. ``invocation_ids`` has one per accepted batch, in order of acceptance.

    ``reduced`` and ``reduced_examples`` say what was truncated or left out of records that were too large: reason to
    count, and reason to the name of one record.
    """

    manifest: str
    destination: str
    dry_run: bool
    records: int
    records_accepted: int
    records_accepted_before: int
    records_rejected: int
    rejected: list[Json]
    records_reduced: int
    reduced: dict[str, int]
    reduced_examples: dict[str, str]
    batches: int
    largest_body_bytes: int
    invocation_ids: list[str | None]
    result: str | None

    def to_json(self) -> Json:
        return dict(vars(self))


@dataclass
class ErrorSummary:
    message: str
    remedy: str


@dataclass
class Summary:
    """The result of a run, filled in as it proceeds. ``resumed`` is the push of an earlier run's manifest."""

    command: str
    version: str
    collected: CollectSummary | None = None
    resumed: PushSummary | None = None
    pushed: PushSummary | None = None
    error: ErrorSummary | None = None
    status: str = ""
    exit_code: int = 0
    seconds: float = 0.0

    def to_json(self) -> Json:
        """The JSON object, without keys for steps that the run did not reach."""
        values: Json = {"command": self.command, "version": self.version}
        if self.resumed:
            values |= {"resumed": self.resumed.to_json(), "invocation_ids": self.resumed.invocation_ids}
        if self.collected:
            values |= self.collected.to_json()
        if self.pushed:
            values |= self.pushed.to_json()
        if self.error:
            values["error"] = asdict(self.error)
        return values | {"status": self.status, "exit_code": self.exit_code, "seconds": self.seconds}
