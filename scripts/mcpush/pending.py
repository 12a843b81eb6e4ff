"""Finds a manifest that an earlier run did not push completely, and reads its journal.

The journal is ``<manifest>.journal``: a header that identifies the manifest's content and the destination, then one
line per accepted batch and per rejected record. This module reads it; push/journal.py writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path

from mcpush.console import log
from mcpush.errors import ConfigurationError
from mcpush.manifest import Manifest, ManifestError, verify
from mcpush.records import Json

JOURNAL_VERSION = 1
PARSE_ERRORS = (ValueError, TypeError, KeyError, OverflowError)  # raised by parsing a damaged line

Span = tuple[int, int]  # indexes of the first record (inclusive) and of the end (exclusive), from 0


# --- an earlier run -------------------------------------------------------------------------------------


class PushStatus(Enum):
    """How much of a manifest was pushed, to any destination."""

    NOT_STARTED = "the push has not started"
    UNFINISHED = "the push has started, and some records were not sent"
    SETTLED = "every record was accepted or rejected"


@dataclass(frozen=True)
class Pending:
    """A manifest of an earlier run, with at least one record."""

    manifest: Manifest
    status: PushStatus


def pending_manifest(path: Path, flow: str) -> Pending | None:
    """The manifest of an earlier run at this path, or None if there is none or it has no records.

    Raises ManifestError if the file cannot be pushed: it is truncated, or of another flow or version.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return None
    try:
        manifest = verify(path, flow)
    except ManifestError as error:
        raise ManifestError(
            f"This run would overwrite a manifest that cannot be pushed: {error}",
            "With --state, its window might not be collected again. Fix the cause and push it, or move it away.",
        ) from error
    return Pending(manifest, _status(manifest)) if manifest.records else None


def _status(manifest: Manifest) -> PushStatus:
    content = read_journal(journal_path(manifest.path))
    if content is None or content.header.digest != manifest.digest:
        return PushStatus.NOT_STARTED
    return PushStatus.SETTLED if content.is_settled else PushStatus.UNFINISHED


# --- the journal ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JournalHeader:
    """The first line: the manifest's digest and record count, and the destination."""

    digest: str
    destination: str
    records: int
    version: int = JOURNAL_VERSION

    def to_json(self) -> Json:
        return {
            "journal": self.version,
            "digest": self.digest,
            "destination": self.destination,
            "records": self.records,
        }

    @classmethod
    def from_json(cls, line: Json) -> JournalHeader:
        """Raises one of PARSE_ERRORS."""
        return cls(str(line["digest"]), str(line["destination"]), int(line["records"]), int(line["journal"]))


@dataclass(frozen=True)
class Reduced:
    """The record of a batch of one that was too large: its name, and what was truncated or left out."""

    name: str
    reasons: Sequence[str]

    @classmethod
    def from_json(cls, value: Json) -> Reduced:
        """Raises one of PARSE_ERRORS."""
        name, reasons = value["name"], value["reasons"]
        if not (isinstance(reasons, list) and all(isinstance(each, str) for each in [name, *reasons])):
            raise ValueError("name and reasons must be strings")
        return cls(name, reasons)


@dataclass(frozen=True)
class Accepted:
    """An accepted batch: ``count`` records from index ``first`` of the manifest, accepted at ``at`` (ISO 8601, UTC).

    ``reduced`` is set if the batch was a record that was too large and was sent in a smaller form.
    """

    first: int
    count: int
    invocation_id: str | None
    at: str
    reduced: Reduced | None = None

    def to_json(self) -> Json:
        values = asdict(self)
        if self.reduced is None:
            del values["reduced"]
        return values

    @classmethod
    def from_json(cls, line: Json) -> Accepted:
        """Raises one of PARSE_ERRORS."""
        reduced = Reduced.from_json(line["reduced"]) if "reduced" in line else None
        return cls(int(line["first"]), int(line["count"]), line["invocation_id"], str(line["at"]), reduced)

    @property
    def span(self) -> Span:
        return self.first, self.first + self.count


@dataclass
class JournalContent:
    """The content of a journal. ``rejected`` contains the indexes of rejected records."""

    header: JournalHeader
    accepted: list[Accepted] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        """Whether every record was accepted or rejected."""
        spans = [batch.span for batch in self.accepted] + [(index, index + 1) for index in self.rejected]
        return not any(uncovered(spans, self.header.records))

    def add(self, line: Json) -> None:
        """Raises one of PARSE_ERRORS."""
        if "rejected" in line:
            self.rejected.append(int(line["rejected"]))
        else:
            self.accepted.append(Accepted.from_json(line))


def journal_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.name + ".journal")


def read_journal(path: Path) -> JournalContent | None:
    """The journal, or None if it does not exist or its header is damaged. Logs and skips damaged lines.

    Raises ConfigurationError if the journal exists but cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # without the part after the last newline: empty, or a torn line
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable_journal(path, "read", error) from error
    if not lines:
        return None
    try:
        content = JournalContent(JournalHeader.from_json(json.loads(lines[0])))
    except PARSE_ERRORS:
        _warn_of_damage(path, 1)
        return None
    for number, line in enumerate(lines[1:], start=2):
        try:
            content.add(json.loads(line))
        except PARSE_ERRORS:
            _warn_of_damage(path, number)
    return content


def _warn_of_damage(path: Path, number: int) -> None:
    log.warning("skipping line %d of %s: it is damaged", number, path)


def uncovered(spans: Iterable[Span], records: int) -> Iterator[Span]:
    """The spans of a manifest with ``records`` records that the given spans do not cover, in order."""
    position = 0
    for first, end in sorted(spans):
        if first > position:
            yield position, first
        position = max(position, end)
    if position < records:
        yield position, records


def unusable_journal(path: Path, verb: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"Cannot {verb} the journal {path}: {error.strerror or error}",
        "The journal is written next to the manifest. Put the manifest in a writable folder with free space.",
    )
