"""What people and schedulers see: log lines on stderr without secrets, progress, the JSON summary on stdout."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from mcpush.redaction import redact, redact_values
from mcpush.summary import Summary

SECONDS_BETWEEN_PROGRESS_LINES = 30.0

log = logging.getLogger("mcpush")


def printable(text: str) -> str:
    """The text as people may see it: without secrets."""
    return redact(text)


# --- log lines on stderr ----------------------------------------------------------------------------------


class _Formatter(logging.Formatter):
    """Makes the text of a record, with its traceback, and masks all of it. Times are UTC."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


TERMINAL_FORMATTER = _Formatter("%(message)s")
FILE_FORMATTER = _Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")


class _Stderr(logging.Handler):
    """Writes to whatever ``sys.stderr`` is at that moment. A reader that has gone away stops nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if sys.stderr.isatty():
                tqdm.write(_text(record, TERMINAL_FORMATTER), file=sys.stderr)  # moves a progress bar out of the way
            else:
                print(_text(record, FILE_FORMATTER), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            discard_output(sys.stderr)


def _text(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    try:
        return formatter.format(record)
    except Exception:  # a library's message that does not fit its arguments
        record.msg, record.args = str(record.msg), None
        return formatter.format(record)


_stderr = _Stderr()


def start_logging() -> None:
    """Send the log lines of the scripts, and those of drivers that their loggers let pass, to stderr, masked.

    Handlers that others brought for stderr are removed: they would write the same lines unmasked.
    """
    if sys.stderr is None:  # closed by whoever started this
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    logging.raiseExceptions = False  # what a handler cannot write would be printed with its arguments, unmasked
    log.setLevel(logging.INFO)
    logging.root.addHandler(_stderr)
    named = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (logging.root, *named):
        for handler in [each for each in logger.handlers if type(each) is logging.StreamHandler]:
            logger.removeHandler(handler)


def discard_output(stream: TextIO) -> None:
    """The reader of a stream has gone away: write into nothing from here on, so that the exit does not fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# --- progress -------------------------------------------------------------------------------------------


class Progress:
    """A bar on a terminal; elsewhere a line every half minute, so that a log shows life."""

    def __init__(self, label: str, total: int | None = None) -> None:
        self._label, self._total, self.done = label, total, 0
        self._bar = tqdm(total=total, desc=label, unit="rec", file=sys.stderr) if sys.stderr.isatty() else None
        self._next = time.monotonic() + SECONDS_BETWEEN_PROGRESS_LINES

    def advance(self, count: int = 1) -> None:
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_PROGRESS_LINES
            log.info("%s: %s%s records", self._label, self.done, f" of {self._total}" if self._total else "")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


# --- the summary on stdout --------------------------------------------------------------------------------


def print_summary(summary: Summary) -> None:
    """One line of ASCII, which every pipe takes. A reader that has gone away changes nothing of what was done."""
    try:
        print(json.dumps(redact_values(summary.to_json())), flush=True)
    except OSError:
        discard_output(sys.stdout)
