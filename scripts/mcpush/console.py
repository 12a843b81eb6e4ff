"""What people and schedulers see: lines on stderr without secrets, progress, the JSON summary on stdout."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from mcpush.records import Json
from mcpush.redaction import redact, redact_values

SECONDS_BETWEEN_NOTES = 30.0

log = logging.getLogger("mcpush")


def say(text: str) -> None:
    """One line for people, on stderr, without secrets. A reader that has gone away stops nothing."""
    try:
        print(redact(text), file=sys.stderr, flush=True)
    except OSError:
        let_go(sys.stderr)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


log.setLevel(logging.INFO)
log.propagate = False
log.addHandler(_Lines())


def let_go(stream: TextIO) -> None:
    """The reader of a stream has gone away: write into nothing from here on, so that the exit does not fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# --- progress -------------------------------------------------------------------------------------------


class Progress:
    """A bar on a terminal; elsewhere a line every half minute, so that a log shows life."""

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what, self._total, self.done = what, total, 0
        self._bar = tqdm(total=total, desc=what, unit="rec", file=sys.stderr) if sys.stderr.isatty() else None
        self._next = time.monotonic() + SECONDS_BETWEEN_NOTES

    def advance(self, count: int = 1) -> None:
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_NOTES
            say(f"{self._what}: {self.done}{f' of {self._total}' if self._total else ''} records")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def print_summary(summary: Json) -> None:
    """One line of ASCII, which every pipe takes. A reader that has gone away changes nothing of what was done."""
    try:
        print(json.dumps(redact_values(summary)), flush=True)
    except OSError:
        let_go(sys.stdout)
