"""Console output: redacted log lines and progress on stderr, and the JSON summary on stdout."""

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
    """The text without secrets, safe to print."""
    return redact(text)


# --- log lines on stderr ----------------------------------------------------------------------------------


class _Formatter(logging.Formatter):
    """Formats a record with its traceback and masks secrets in both. Times are UTC."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


TERMINAL_FORMATTER = _Formatter("%(message)s")
FILE_FORMATTER = _Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")


class _Stderr(logging.Handler):
    """Writes to the current ``sys.stderr``. A closed pipe does not stop the run."""

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
    except Exception:  # a library's message does not match its arguments
        record.msg, record.args = str(record.msg), None
        return formatter.format(record)


_stderr = _Stderr()


def start_logging() -> None:
    """Log to stderr with secrets masked: the scripts' log lines, and drivers' lines that their loggers pass on.

    Removes other stream handlers: they would write the same lines unmasked.
    """
    if sys.stderr is None:  # the parent process closed it
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stays open until the process exits
    logging.raiseExceptions = False  # logging would print a failed record and its arguments unmasked
    log.setLevel(logging.INFO)
    logging.root.addHandler(_stderr)
    named = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (logging.root, *named):
        for handler in [each for each in logger.handlers if type(each) is logging.StreamHandler]:
            logger.removeHandler(handler)


def discard_output(stream: TextIO) -> None:
    """Redirect a stream that can no longer be written to the null device, so that flushing at exit does not fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# --- progress -------------------------------------------------------------------------------------------


class Progress:
    """A progress bar on a terminal; elsewhere a log line every 30 seconds, to show that the run is alive."""

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
    """Print the summary as one line of ASCII, which every encoding supports. Ignores a closed pipe."""
    try:
        print(json.dumps(redact_values(summary.to_json())), flush=True)
    except OSError:
        discard_output(sys.stdout)
