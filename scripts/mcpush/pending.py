"""Finds a manifest that an earlier run did not push completely, and reads its journal.

The journal is ``<manifest>.journal``: a header that identifies the manifest's content and the destination, then one
line per accepted batch and per rejected record. This module reads it; push/journal.py writes it.

A journal can be damaged or forged. A line counts only if it is exactly what a push writes for this manifest: all other
records are sent, at worst again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from mcpush.console import log
from mcpush.errors import ConfigurationError
from mcpush.files import open_own_file
from mcpush.manifest import Manifest, ManifestError, verify
from mcpush.records import TIMESTAMP, Json

JOURNAL_VERSION = 1
MAX_LINE_BYTES = 2**20  # of the journal; a push writes much shorter ones
MAX_WARNINGS = 5  # about damaged lines
INVOCATION_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
PARSE_ERRORS = (ValueError, TypeError, KeyError, RecursionError)  # raised by parsing a damaged line

Span = tuple[int, int]  # indexes of the first record (inclusive) and of the end (exclusive), from 0


# --- an earlier run -------------------------------------------------------------------------------------


class PushStatus(Enum):
    """How much of a manifest was pushed, to one destination or to any."""

    NOT_STARTED = "the push has not started"
    UNFINISHED = "the push has started, and some records were not sent"
    SETTLED = "every record was accepted or rejected"


@dataclass(frozen=True)
class Pending:
    """A manifest of an earlier run, with at least one record."""

    manifest: Manifest
    status: PushStatus


def pending_manifest(path: Path, flow: str, destination: str | None = None) -> Pending | None:
    """The manifest of an earlier run at this path, or None if there is none or it has no records.

    Its status is that of the push to this destination; without one, to any.

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
    return Pending(manifest, _status(manifest, destination)) if manifest.records else None


def _status(manifest: Manifest, destination: str | None) -> PushStatus:
    content = read_journal(journal_path(manifest.path))
    if content is None or not content.header.describes(manifest):
        return PushStatus.NOT_STARTED
    if destination is not None and content.header.destination != destination:
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
        version = _number(line["journal"], JOURNAL_VERSION)
        return cls(_text(line["digest"]), _text(line["destination"]), _number(line["records"], 0), version)

    def describes(self, manifest: Manifest) -> bool:
        """Whether the journal belongs to the manifest's content."""
        return self == JournalHeader(manifest.digest, self.destination, manifest.records)


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
    def from_json(cls, line: Json, records: int) -> Accepted:
        """A batch of a manifest with this number of records. Raises one of PARSE_ERRORS."""
        first = _number(line["first"], 0)
        count = _number(line["count"], 1, records - first)
        invocation_id = line["invocation_id"]
        if invocation_id is not None and not INVOCATION_ID.fullmatch(invocation_id):
            raise ValueError("not an invocation id")
        if not TIMESTAMP.fullmatch(line["at"]):
            raise ValueError("not a time")
        reduced = Reduced.from_json(line["reduced"]) if "reduced" in line else None
        return cls(first, count, invocation_id, line["at"], reduced)

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
            self.rejected.append(_number(line["rejected"], 0, self.header.records - 1))
        else:
            self.accepted.append(Accepted.from_json(line, self.header.records))


def _number(value: object, lowest: int, highest: int | None = None) -> int:
    """The value if it is an integer in this range. True is not a number."""
    if type(value) is not int or value < lowest or (highest is not None and value > highest):
        raise ValueError("not a number in the range")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def journal_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.name + ".journal")


def read_journal(path: Path) -> JournalContent | None:
    """The journal, or None if it does not exist or its header is damaged. Logs and skips damaged lines.

    Raises ConfigurationError if the journal exists but cannot be read.
    """
    content: JournalContent | None = None
    damaged = 0
    try:
        with open_own_file(path) as file:
            for number, line in enumerate(_lines(file), start=1):
                try:
                    parsed = json.loads(line.decode("utf-8"))
                    if content is None:
                        content = JournalContent(JournalHeader.from_json(parsed))
                    else:
                        content.add(parsed)
                except PARSE_ERRORS:
                    damaged += 1
                    if damaged <= MAX_WARNINGS:
                        log.warning("skipping line %d of %s: it is damaged", number, path)
                    if content is None:
                        break
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable_journal(path, "read", error) from error
    if damaged > MAX_WARNINGS:
        log.warning("skipping %d lines of %s in all: they are damaged", damaged, path)
    return content


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The complete lines. A line of more than MAX_LINE_BYTES is not read into memory; it is empty instead.

    An incomplete last line is left out: the run was killed while writing it.
    """
    while line := file.readline(MAX_LINE_BYTES):
        is_complete = line.endswith(b"\n")
        part = line
        while part and not part.endswith(b"\n"):
            part = file.readline(MAX_LINE_BYTES)
        if part:
            yield line if is_complete else b""


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
        "The journal is written next to the manifest. Put the manifest in a folder with free space that only this user "
        "writes to.",
    )
