"""Writes the journal of a push next to its manifest. pending.py describes and reads it.

Each accepted batch and each rejected record is synced to disk immediately, so after a crash, a kill or a refusal the
same command sends only the missing records.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from mcpush.console import log
from mcpush.files import open_new, open_own_file
from mcpush.manifest import Manifest
from mcpush.pending import (
    MAX_LINE_BYTES,
    Accepted,
    JournalContent,
    JournalHeader,
    Span,
    journal_path,
    uncovered,
    unusable_journal,
)
from mcpush.push.result import Rejected
from mcpush.records import Json


class Journal:
    """Opens the manifest's journal, or creates one. ``found`` is the result of read_journal.

    A journal of another manifest or destination is replaced if it is settled, and renamed if records are unsent.
    The constructor and all methods raise ConfigurationError if the journal cannot be written.
    """

    def __init__(self, manifest: Manifest, destination: str, found: JournalContent | None) -> None:
        self.path = journal_path(manifest.path)
        header = JournalHeader(manifest.digest, destination, manifest.records)
        is_ours = found is not None and found.header == header
        self.accepted_before = found.accepted if found is not None and is_ours else []
        try:
            if is_ours:
                self._file: BinaryIO = open_own_file(self.path, to_append=True)
                _drop_torn_line(self._file)
            else:
                self._clear_path(found)
                self._file = open_new(self.path)
                self._append(header.to_json())
        except OSError as error:
            raise unusable_journal(self.path, "write", error) from error

    def _clear_path(self, found: JournalContent | None) -> None:
        if not self.path.exists():
            return
        with open_own_file(self.path) as file:
            start = file.read(MAX_LINE_BYTES)
        is_empty = len(start) < MAX_LINE_BYTES and b"\n" not in start  # interrupted while writing its first line
        if is_empty or (found is not None and found.is_settled):
            self.path.unlink()
            return
        renamed = _unused_path(self.path)
        os.replace(self.path, renamed)
        log.info(
            "the journal next to the manifest belongs to another push that did not finish; renamed it to %s", renamed
        )

    def accept(self, batch: Accepted) -> None:
        try:
            self._append(batch.to_json())
        except OSError as error:
            last = batch.first + batch.count - 1
            log.error(
                "records %d to %d were accepted (invocation %s), but are not in the journal",
                batch.first,
                last,
                batch.invocation_id,
            )
            raise unusable_journal(self.path, "write", error) from error

    def reject(self, record: Rejected) -> None:
        try:
            self._append({"rejected": record.index, "name": record.name, "reason": record.reason})
        except OSError as error:
            raise unusable_journal(self.path, "write", error) from error

    def _append(self, line: Json) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def missing(self, records: int) -> Iterator[Span]:
        """The spans of records that were not accepted. They include rejected records, which a new push retries."""
        return uncovered([batch.span for batch in self.accepted_before], records)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # writing a line already reported a full disk
            self._file.close()


def _drop_torn_line(file: BinaryIO) -> None:
    """Remove an incomplete last line, left by a killed run, so that new lines follow the last complete one."""
    end = file.seek(0, io.SEEK_END)
    while end > 0:
        start = max(0, end - MAX_LINE_BYTES)
        file.seek(start)
        if (newline := file.read(end - start).rfind(b"\n")) >= 0:
            end = start + newline + 1
            break
        end = start
    file.truncate(end)
    file.seek(end)


def _unused_path(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return candidate
