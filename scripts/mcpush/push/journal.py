"""The journal: what became of a manifest's records, so that a rerun sends only the rest.

A JSON Lines file beside the manifest, ``<manifest>.journal``: a header that ties it to the manifest's content and
the destination, then a line for each accepted batch and each rejected record, on disk before anything else happens.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from mcpush.console import say
from mcpush.errors import ConfigurationError
from mcpush.manifest import Manifest, ManifestError, verify
from mcpush.records import Json, iso_utc

JOURNAL_VERSION = 1
Span = tuple[int, int]  # first record and the one after the last, counted from 0


@dataclass(frozen=True)
class Accepted:
    """A batch Monte Carlo took: ``count`` records from index ``first`` of the manifest, at ``at`` (ISO, UTC)."""

    first: int
    count: int
    invocation_id: str | None
    at: str

    @classmethod
    def from_json(cls, line: Json) -> Accepted:
        """Raises KeyError, TypeError or ValueError for a line that is damaged."""
        return cls(int(line["first"]), int(line["count"]), line["invocation_id"], str(line["at"]))

    @property
    def span(self) -> Span:
        return self.first, self.first + self.count


@dataclass(frozen=True)
class JournalContent:
    """A journal that was read: its header, the accepted batches, the indexes of rejected records."""

    header: Json
    accepted: list[Accepted] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        """Whether every record was accepted or will never be."""
        spans = [batch.span for batch in self.accepted] + [(index, index + 1) for index in self.rejected]
        return not any(uncovered(spans, int(self.header.get("records") or 0)))


class Standing(Enum):
    """How far the push of a manifest that holds records has come."""

    UNPUSHED = "no push of it was begun"
    UNFINISHED = "a push of it was begun, and records are left to send"
    SETTLED = "every record was accepted or will never be"


def journal_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.name + ".journal")


def left_manifest(path: Path, flow: str) -> Manifest | None:
    """What an earlier run left to push there, read once; None when that is nothing.

    Raises ManifestError for a file that cannot be pushed: cut, of another flow or of another version.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return None
    try:
        manifest = verify(path, flow)
    except ManifestError as error:
        raise ManifestError(
            f"{error}, and this run would overwrite it",
            "With --state its window may be collected by no other run: push it as it should be, or move it away.",
        ) from error
    return manifest if manifest.records else None


def standing(manifest: Manifest) -> Standing:
    """How far the push of this very manifest has come, to any destination."""
    content = read_journal(journal_path(manifest.path))
    if content is None or content.header.get("digest") != manifest.digest:
        return Standing.UNPUSHED
    return Standing.SETTLED if content.is_settled else Standing.UNFINISHED


def uncovered(spans: Iterable[Span], records: int) -> Iterator[Span]:
    """The spans of ``records`` records that the given ones leave out, in order."""
    position = 0
    for first, end in sorted(spans):
        if first > position:
            yield position, first
        position = max(position, end)
    if position < records:
        yield position, records


def read_journal(path: Path) -> JournalContent | None:
    """The journal, or None when there is none. A damaged line is passed over, aloud: its batch is sent again.

    Raises ConfigurationError when there is a journal that cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, "read", error) from error
    content: JournalContent | None = None
    for number, line in enumerate(lines[:-1], start=1):  # after the last line's end comes nothing, or a torn line
        try:
            value = json.loads(line)
            if content is None:
                content = JournalContent(header=dict(value))
            elif "rejected" in value:
                content.rejected.append(int(value["rejected"]))
            else:
                content.accepted.append(Accepted.from_json(value))
        except (ValueError, TypeError, KeyError):
            say(f"line {number} of {path} is damaged and passed over")
    return content


def _unusable(path: Path, verb: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"cannot {verb} the journal {path}: {error.strerror or error}",
        "The journal stands beside the manifest: put the manifest where there is space and you may write.",
    )


class Journal:
    """Opens the manifest's journal, or starts one.

    The journal of another manifest, or of another destination, makes room: it is set aside while it still tells of
    records that were not sent, and replaced when it is settled.
    """

    def __init__(self, manifest: Manifest, destination: str) -> None:
        self.path = journal_path(manifest.path)
        self.accepted: list[Accepted] = []
        header = {
            "journal": JOURNAL_VERSION,
            "digest": manifest.digest,
            "destination": destination,
            "records": manifest.records,
        }
        found = read_journal(self.path)
        is_ours = found is not None and found.header == header
        if found is not None and is_ours:
            self.accepted = found.accepted
        else:
            self._make_room(found)
        try:
            self._file = self._open()
            if not is_ours:
                self._append(header)
        except OSError as error:
            raise _unusable(self.path, "write", error) from error

    def _make_room(self, found: JournalContent | None) -> None:
        if not self.path.exists():
            return
        tells_nothing = b"\n" not in self.path.read_bytes()  # interrupted before its first line was whole
        if tells_nothing or (found is not None and found.is_settled):
            self.path.unlink()
            return
        aside = _free_name(self.path)
        os.replace(self.path, aside)
        say(f"the journal beside the manifest was of another push that was not finished; it is now {aside}")

    def _open(self) -> BinaryIO:
        _drop_torn_line(self.path)
        return self.path.open("ab")

    def accept(self, first: int, count: int, invocation_id: str | None) -> None:
        """Json an accepted batch; it is on disk when this returns. Raises ConfigurationError when it cannot be."""
        batch = Accepted(first, count, invocation_id, iso_utc(datetime.now(timezone.utc)))
        self.accepted.append(batch)
        try:
            self._append(asdict(batch))
        except OSError as error:
            say(f"accepted, but not in the journal: records {first} to {first + count - 1} as {invocation_id}")
            raise _unusable(self.path, "write", error) from error

    def reject(self, index: int, name: str, reason: str) -> None:
        """Json that this record, as it is, will never be accepted."""
        try:
            self._append({"rejected": index, "name": name, "reason": reason})
        except OSError as error:
            raise _unusable(self.path, "write", error) from error

    def _append(self, line: Json) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def missing(self, records: int) -> Iterator[Span]:
        """The spans that no batch covers. Rejected records are among them: whoever pushes again asks for that."""
        return uncovered([batch.span for batch in self.accepted], records)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take was said when it was written
            self._file.close()


def _drop_torn_line(path: Path) -> None:
    """A kill may have cut the last line: append after the last whole one."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return candidate
