"""Console output: log lines and progress on stderr, names and the JSON summary on stdout.

Masks secrets and escapes control characters in everything.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from mcpush.control_characters import escape_block, escape_line
from mcpush.errors import ConfigurationError
from mcpush.redaction import printable, redact, redact_values, redactor
from mcpush.summary import Summary

SECONDS_BETWEEN_PROGRESS_LINES = 30.0
TRACEBACK_MARK = "  | "  # before each line of a traceback: an error text with line ends cannot forge a log line

log = logging.getLogger("mcpush")


def printer() -> Callable[[str], str]:
    """``printable`` for many texts: reads the secrets once, now."""
    mask = redactor()
    return lambda text: escape_line(mask(text))


# --- log lines on stderr ----------------------------------------------------------------------------------


class _Formatter(logging.Formatter):
    """Formats a record on one line, and its traceback below. Masks secrets in both. Times are UTC."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        lines = [printable(self.formatMessage(record))]
        if record.exc_info:
            lines.append(_indented(self.formatException(record.exc_info)))
        if record.stack_info:
            lines.append(_indented(record.stack_info))
        return "\n".join(lines)


def _indented(text: str) -> str:
    return textwrap.indent(escape_block(redact(text)), TRACEBACK_MARK, lambda line: True)


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
    """Log to stderr with secrets masked: the scripts' log lines, drivers' lines that their loggers pass on, warnings,
    and uncaught errors.

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
    logging.captureWarnings(True)
    _log_uncaught_errors()


def _log_uncaught_errors() -> None:
    """Log errors that nothing handles, also of threads and finalizers. An application's own hooks stay."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = lambda *error: log.critical("unexpected error", exc_info=error)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_error_in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _log_ignored_error


def _log_error_in_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None and found.exc_type is not SystemExit:
        log.error("unexpected error in a thread", exc_info=found.exc_value)


def _log_ignored_error(found: sys.UnraisableHookArgs) -> None:
    log.error("ignored an error in %r", found.object, exc_info=found.exc_value)


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


# --- stdout -----------------------------------------------------------------------------------------------


def print_line(text: str, what: str, end: str = "\n", flush: bool = True) -> None:
    """Print to stdout. ``what`` names it in errors.

    Raises BrokenPipeError if the reader closed the pipe, ConfigurationError if writing fails, as on a full disk.
    """
    try:
        print(text, end=end, flush=flush)
    except OSError as error:
        discard_output(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise ConfigurationError(
            f"Cannot print {what}: {error.strerror or error}", "Check the free disk space."
        ) from error


def print_summary(summary: Summary) -> None:
    """Print the summary as one line of ASCII, which every encoding supports. Ignores a closed pipe.

    Raises ConfigurationError if writing fails.
    """
    with contextlib.suppress(BrokenPipeError):
        print_line(json.dumps(redact_values(summary.to_json())), "the summary")
