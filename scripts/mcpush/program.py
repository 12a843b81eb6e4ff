"""The main loop of every script: arguments, memory check, signals, exit codes, one JSON summary.

People's text and progress go to stderr; the summary goes to stdout as one JSON object. Scripts do not call
this module: collect/collector.py and push/run.py do.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from mcpush.console import let_go, print_summary, say
from mcpush.errors import DONE, INTERRUPTED, PARTLY, UNEXPECTED, ConfigurationError, PushIngestionError
from mcpush.interrupts import handle_signals, ignore_signals, stop_if_asked
from mcpush.records import Json, parse_utc
from mcpush.version import RELEASE

MINIMUM_FREE_MEMORY = 256 * 2**20  # bytes: a driver, pycarlo and the largest batch fit with room to spare


# --- arguments -----------------------------------------------------------------------------------------


def moment(text: str) -> datetime:
    try:
        return parse_utc(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; write 2026-01-31 or 2026-01-31T06:00:00Z (UTC)"
        ) from None


def positive(kind: type[float] | type[int]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
        return value

    return convert


def make_parser(description: str, script: str, example: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=script,
        description=description,
        epilog=f"example:\n  {example}\n\nexit codes: 0 done, 1 partly done (run again to resume), 2 wrong usage or\n"
        "configuration, 3 refused, 4 the other side unavailable, 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{script} {RELEASE}")
    return parser


def add_manifest(parser: argparse.ArgumentParser, flow: str) -> None:
    parser.add_argument(
        "--manifest",
        type=Path,
        default=Path(f"{flow}.jsonl"),
        metavar="FILE",
        help="the manifest; gzip when the name ends in .gz (default: %(default)s)",
    )


# --- memory ---------------------------------------------------------------------------------------------


# Files of a container's limit, its use, its statistics and the name in there of the cache that can be dropped:
# https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
CONTAINER_LIMITS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def _free_memory(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes this process may still take: the machine's, or less where a container is limited."""
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics, cache in CONTAINER_LIMITS:
        try:
            lines = (cgroups / statistics).read_text().splitlines()
            droppable = next((int(line.split()[1]) for line in lines if line.split()[0] == cache), 0)
            left = int((cgroups / limit).read_text()) - int((cgroups / used).read_text()) + droppable
        except (OSError, ValueError):
            continue  # not Linux, the other version, or no limit ("max")
        free = min(free, left)
    return free


def _check_memory() -> None:
    free = _free_memory()
    if free < MINIMUM_FREE_MEMORY:
        raise ConfigurationError(
            f"only {free // 2**20} MB of memory are free, {MINIMUM_FREE_MEMORY // 2**20} MB are needed",
            "Nothing was attempted. Free memory, or raise the container's limit.",
        )


# --- running --------------------------------------------------------------------------------------------


def run(
    script: str,
    work: Callable[[Json], int],
    explain: Callable[[BaseException], PushIngestionError | None] = lambda error: None,
    prints_summary: bool = True,
) -> int:
    """Run the work; whatever happens, end with an exit code, a sentence for people and the summary."""
    if sys.stderr is None:  # closed by whoever started this
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of all alphabets, whatever the terminal's
    started = time.monotonic()
    summary: Json = {"command": script.removesuffix(".py"), "version": RELEASE}
    try:
        handle_signals()
        code = _outcome(work, explain, summary)
    except KeyboardInterrupt:
        code = _tell_interrupted()
    ignore_signals()
    summary |= {"status": _status(code, summary), "exit_code": code, "seconds": round(time.monotonic() - started, 3)}
    if prints_summary:
        print_summary(summary)
    return code


def _outcome(
    work: Callable[[Json], int], explain: Callable[[BaseException], PushIngestionError | None], summary: Json
) -> int:
    """Do the work; the exit code, whatever happens. Only an interrupt is left to the caller."""
    try:
        _check_memory()
        return work(summary)
    except BrokenPipeError:
        let_go(sys.stdout)  # the reader of --list went away
        return UNEXPECTED
    except Exception as error:  # the last line of defence: a scheduler must get its exit code and summary
        stop_if_asked()  # a driver may have made an error of its own of the interrupt
        known = error if isinstance(error, PushIngestionError) else explain(error)
        return _tell(error, known, summary)


def _tell_interrupted() -> int:
    say("interrupted; what was accepted stays accepted, run the same command again for the rest")
    return INTERRUPTED


def _status(code: int, summary: Json) -> str:
    if code == PARTLY and not summary.get("records_accepted"):
        return "failed"
    return {DONE: "complete", PARTLY: "partial", INTERRUPTED: "interrupted"}.get(code, "failed")


def _tell(error: Exception, known: PushIngestionError | None, summary: Json) -> int:
    if known is None:
        say("".join(traceback.format_exception(error)))
        summary["error"] = {"message": f"{type(error).__name__}: {error}", "remedy": ""}
        return UNEXPECTED
    say(f"error: {known}")
    if known.remedy:
        say(f"  what to do: {known.remedy}")
    summary["error"] = {"message": str(known), "remedy": known.remedy}
    return known.exit_code
