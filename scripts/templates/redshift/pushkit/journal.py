# Shared: the original is snowflake/pushkit/journal.py (see scripts/sync_templates.py).
"""The journal: which records of a manifest Monte Carlo has accepted, so that a rerun sends only the rest.

A JSON Lines file beside the manifest, ``<manifest>.journal``: a header that ties it to the manifest's content and
the destination, then one line for each accepted batch, flushed to disk before the next is awaited.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pushkit.errors import ConfigurationError
from pushkit.manifest import Manifest, Record, iso_utc

JOURNAL_VERSION = 1


@dataclass(frozen=True)
class Accepted:
    """A batch Monte Carlo took: ``count`` records from index ``first`` of the manifest, at ``at`` (ISO, UTC)."""

    first: int
    count: int
    invocation_id: str | None
    at: str


def journal_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.name + ".journal")


class Journal:
    """Opens the manifest's journal, or starts one. A journal of other content or another destination is set aside."""

    def __init__(self, manifest: Manifest, destination: str) -> None:
        self.path = journal_path(manifest.path)
        self.accepted: list[Accepted] = []
        self.set_aside: Path | None = None
        header = {"journal": JOURNAL_VERSION, "digest": manifest.digest, "destination": destination}
        found = read_journal(self.path)
        if found is not None and found[0] == header:
            self.accepted = found[1]
            _drop_torn_line(self.path)
        elif self.path.exists():
            self.set_aside = _free_name(self.path)
            os.replace(self.path, self.set_aside)
        self._file = self._open()
        if self._file.tell() == 0:
            self._append(header)

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("ab")
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the journal {self.path}: {error.strerror or error}",
                "Nothing was sent. The journal stands beside the manifest: put the manifest where you may write.",
            ) from error

    def add(self, first: int, count: int, invocation_id: str | None) -> Accepted:
        """Record an accepted batch; it is on disk when this returns."""
        batch = Accepted(first, count, invocation_id, iso_utc(datetime.now(timezone.utc)))
        self._append(asdict(batch))
        self.accepted.append(batch)
        return batch

    def _append(self, line: Record) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def missing(self, records: int) -> Iterator[tuple[int, int]]:
        """The spans (first, end) of the manifest's records that no batch covers, in order."""
        position = 0
        for batch in sorted(self.accepted, key=lambda batch: batch.first):
            if batch.first > position:
                yield position, batch.first
            position = max(position, batch.first + batch.count)
        if position < records:
            yield position, records

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_journal(path: Path) -> tuple[Record, list[Accepted]] | None:
    """The header and the accepted batches, or None when there is no usable journal. A torn last line is ignored."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        parsed = [json.loads(line) for line in lines]
        return parsed[0], [Accepted(**line) for line in parsed[1:]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, IndexError, TypeError):
        return None


def _drop_torn_line(path: Path) -> None:
    """A kill may have cut the last line: append after the last whole one."""
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
