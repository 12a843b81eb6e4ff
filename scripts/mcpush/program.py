"""Runs a script: arguments, memory check, signals, exit code, JSON summary.

Messages and progress go to stderr; the summary goes to stdout as one JSON object. Scripts do not call this module
directly: collect/collector.py and push/run.py do.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import psutil

from mcpush.console import discard_output, log, print_summary, start_logging
from mcpush.encryption import add_plaintext_argument, allow_plaintext
from mcpush.environment import strip_line_ends
from mcpush.errors import DONE, INTERRUPTED, PARTIAL, UNEXPECTED, ConfigurationError, PushIngestionError
from mcpush.interrupts import handle_signals, ignore_signals, stop_if_asked
from mcpush.records import parse_utc
from mcpush.redaction import printable
from mcpush.summary import ErrorSummary, Summary
from mcpush.version import RELEASE

MINIMUM_FREE_MEMORY = 256 * 2**20  # bytes: enough for a driver, pycarlo and the largest batch, with a margin
AMPLE_FREE_MEMORY = 2 * 2**30  # bytes: enough for lineage from a long window with many statements
# Python versions accept different forms of ISO 8601, and some read "2026-01-31+02:00" as two in the morning.
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d){0,2}(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE)
OFFSET_WITHOUT_COLON = re.compile(r"([+-]\d\d)(\d\d)$")
EARLIEST = datetime(1900, 1, 1, tzinfo=timezone.utc)  # earlier times are mistakes, and out of range for some arithmetic
UNEXPECTED_REMEDY = "Run the same command again. If it fails again, report the error with the traceback on stderr."


# --- arguments -----------------------------------------------------------------------------------------


def timestamp(text: str) -> datetime:
    """Convert an argument to a time. It is UTC if it has no time zone. Raises ArgumentTypeError."""
    try:
        moment = parse_utc(_iso_8601(text.strip()))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; use 2026-01-31 or 2026-01-31T06:00:00Z (UTC)"
        ) from None
    if moment < EARLIEST:
        raise argparse.ArgumentTypeError(f"{text!r} is before {EARLIEST.year}")
    return moment


def _iso_8601(text: str) -> str:
    """The text, with a colon in its offset. Raises ValueError for forms that not every Python version reads alike."""
    if not TIME.fullmatch(text):
        raise ValueError(text)
    return OFFSET_WITHOUT_COLON.sub(r"\1:\2", text)


def positive(kind: type[float] | type[int]) -> Callable[[str], Any]:
    """A converter for arguments that must be finite numbers above 0. It raises ArgumentTypeError."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
        return value

    return convert


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it repeats arguments


def make_parser(description: str, script: str, example: str) -> argparse.ArgumentParser:
    """A parser with ``--version``, and help that shows an example and the exit codes."""
    parser = _Parser(
        prog=script,
        description=description,
        epilog=f"example:\n  {example}\n\nexit codes: 0 done, 1 partly done (run again to resume), 2 wrong usage or\n"
        "configuration, 3 refused, 4 service unavailable (warehouse or Monte Carlo), 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_plaintext_argument(parser)
    parser.add_argument("--version", action="version", version=f"{script} {RELEASE}")
    return parser


def parse_arguments(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; ``argv`` replaces the process's own. Wrong usage exits with 2."""
    start_logging()  # an error before run() is shown like any other
    arguments = parser.parse_args(argv)
    allow_plaintext(arguments.allow_plaintext)
    return arguments


def add_manifest(parser: argparse.ArgumentParser, flow: str) -> None:
    parser.add_argument(
        "--manifest",
        type=Path,
        default=Path(f"{flow}.jsonl"),
        metavar="FILE",
        help="manifest file, compressed with gzip if the name ends in .gz (default: %(default)s)",
    )


# --- memory ---------------------------------------------------------------------------------------------


# Per cgroup version: the files with the limit, usage and statistics, and the statistic for reclaimable cache.
# https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
CONTAINER_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def _free_memory(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory available to this process: the machine's, or fewer in a container with a limit."""
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics, cache in CONTAINER_LIMITS:
        try:
            lines = (cgroups / statistics).read_text().splitlines()
            droppable = next((int(line.split()[1]) for line in lines if line.split()[0] == cache), 0)
            left = int((cgroups / limit).read_text()) - int((cgroups / used).read_text()) + droppable
        except (OSError, ValueError):
            continue  # not Linux, the other cgroup version, or no limit ("max")
        free = min(free, left)
    return free


def _check_memory() -> None:
    """Warn if little memory is free. Raises ConfigurationError if it is too little to start."""
    free = _free_memory()
    if free < MINIMUM_FREE_MEMORY:
        raise ConfigurationError(
            f"Only {free // 2**20} MB of memory is free; at least {MINIMUM_FREE_MEMORY // 2**20} MB is needed.",
            "Nothing was done. Free memory, or raise the container's memory limit.",
        )
    if free < AMPLE_FREE_MEMORY:
        log.warning(
            "warning: only %d MB of memory is free. If the run is killed, use a shorter window or add memory.",
            free // 2**20,
        )


# --- running --------------------------------------------------------------------------------------------


def run(
    script: str,
    work: Callable[[Summary], int],
    explain: Callable[[BaseException], PushIngestionError | None] = lambda error: None,
    prints_summary: bool = True,
) -> int:
    """Run ``work``. However it ends, log the outcome, print the summary and return the exit code.

    ``explain`` turns a driver's error into one of errors.py, or returns None.
    """
    started = time.monotonic()
    strip_line_ends()
    start_logging()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # print any name, regardless of the terminal's encoding
    summary = Summary(command=script.removesuffix(".py"), version=RELEASE)
    try:
        handle_signals()
        code = _outcome(work, explain, summary)
    except KeyboardInterrupt:
        code = INTERRUPTED
    ignore_signals()  # a signal from here on would only lose the summary
    if code == INTERRUPTED:
        log.error("interrupted. Accepted records stay accepted: run the same command again to send the rest.")
    summary.status, summary.exit_code = _status(code, summary), code
    summary.seconds = round(time.monotonic() - started, 3)
    if prints_summary:
        try:
            print_summary(summary)
        except ConfigurationError as error:
            lost = _report_error(error, error, summary)
            return code or lost  # a scheduler that expects a summary must not see success
    return code


def _outcome(
    work: Callable[[Summary], int], explain: Callable[[BaseException], PushIngestionError | None], summary: Summary
) -> int:
    """Do the work and return the exit code. Only an interrupt is raised to the caller."""
    try:
        _check_memory()
        code = work(summary)
        stop_if_asked()  # report a signal even if it arrived during the last step
        return code
    except BrokenPipeError:
        discard_output(sys.stdout)  # the reader of --list closed the pipe
        return UNEXPECTED
    except Exception as error:  # last resort: a scheduler needs an exit code and a summary
        known = error if isinstance(error, PushIngestionError) else explain(error)
        stop_if_asked()
        return _report_error(error, known, summary)


def _status(code: int, summary: Summary) -> str:
    if code == PARTIAL and not (summary.pushed and summary.pushed.records_accepted):
        return "failed"
    return {DONE: "complete", PARTIAL: "partial", INTERRUPTED: "interrupted"}.get(code, "failed")


def _report_error(error: Exception, known: PushIngestionError | None, summary: Summary) -> int:
    if known is None:
        log.error("unexpected error", exc_info=error)
        message, remedy, code = f"{type(error).__name__}: {error}", UNEXPECTED_REMEDY, UNEXPECTED
    else:
        log.error("error: %s", known)
        message, remedy, code = str(known), known.remedy, known.exit_code
    if remedy:
        log.error("  what to do: %s", remedy)
    summary.error = ErrorSummary(message, remedy)
    return code
