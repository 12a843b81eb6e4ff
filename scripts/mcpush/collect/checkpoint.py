"""Time windows for lineage and query logs: the window of a run, the checkpoint between runs, and slices of a window.

A window ends before the period for which the system views might be incomplete. The checkpoint file (``--state``)
contains the end of the last complete run's window. It only moves forward, and only by a window that leaves no gap.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

from mcpush.console import log
from mcpush.errors import ConfigurationError
from mcpush.files import open_file, replace_file, require_replaceable
from mcpush.interrupts import stop_if_asked
from mcpush.program import EARLIEST, positive, timestamp
from mcpush.records import MAX_SHOWN_LENGTH, TimeRange, iso_utc, parse_utc
from mcpush.redaction import excerpt

DEFAULT_LOOKBACK_HOURS = 24.0
T = TypeVar("T")
NEW_CHECKPOINT = "Move the file away and run once with --state and --since: the run writes a new one."
MAX_FILE_BYTES = 4096  # of the checkpoint file; a run writes about 90
CLOCK_TOLERANCE = timedelta(days=1)  # a checkpoint further in the future was written with a wrong clock


def add_window_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=timestamp, metavar="TIME", help="start of the window, UTC (inclusive)")
    parser.add_argument("--until", type=timestamp, metavar="TIME", help="end of the window, UTC (exclusive)")
    parser.add_argument(
        "--lookback-hours",
        type=positive(float),
        metavar="H",
        help=f"start H hours before the end (default: {DEFAULT_LOOKBACK_HOURS:g}); ignored if --state has a checkpoint",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="checkpoint file: start where the last complete run ended, then save where this one ends",
    )


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint file (``--state``). It belongs to one flow of one warehouse."""

    path: Path
    warehouse: str
    flow: str

    def read(self) -> datetime | None:
        """The end of the last complete run's window, or None if there is no file.

        Raises ConfigurationError if the file is unreadable, or belongs to another warehouse or flow.
        """
        try:
            until, owner = self._content()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else excerpt(str(error), MAX_SHOWN_LENGTH)
            raise ConfigurationError(f"Cannot read the checkpoint in {self.path}: {reason}", NEW_CHECKPOINT) from error
        if owner != (self.warehouse, self.flow):
            raise ConfigurationError(
                f"{self.path} is the checkpoint of {excerpt(' '.join(owner), MAX_SHOWN_LENGTH)}, not of "
                f"{self.warehouse} {self.flow}.",
                "Use a separate --state file for each flow.",
            )
        return until

    def _content(self) -> tuple[datetime, tuple[str, str]]:
        """The time, and the warehouse and flow that it belongs to."""
        with open_file(self.path) as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise ValueError("it is too large")
        content = json.loads(text.decode("utf-8"))
        until = parse_utc(content["until"])
        if until < EARLIEST:
            raise ValueError(f"{iso_utc(until)} is before {EARLIEST.year}")
        return until, (str(content["warehouse"]), str(content["flow"]))

    def require_writable(self) -> None:
        """Raises ConfigurationError if the file cannot be replaced, before any work is done."""
        try:
            require_replaceable(self.path)
        except OSError as error:
            raise ConfigurationError(
                f"Cannot write the checkpoint to {self.path}: {error.strerror or error}",
                "Nothing was collected. Pass --state a file in a writable folder.",
            ) from error

    def covers(self, window: TimeRange | None) -> bool:
        """Whether this window was already collected, so that no later run collects it again."""
        until = self.read()
        return window is not None and until is not None and until >= window.end

    def advance(self, window: TimeRange | None) -> None:
        """Save the end of a completed window. Logs the reason if the checkpoint stays: a gap, or an earlier window."""
        saved = self.read()
        if self._advance(window, saved) or window is None or saved is None:
            return
        if window.start > saved:
            log.warning(
                "warning: the checkpoint stays at %s: nothing was collected from then until %s. "
                "Run once without --since to close the gap.",
                iso_utc(saved),
                iso_utc(window.start),
            )
        elif window.end < saved:
            log.info("the checkpoint stays at %s: this window ended before it", iso_utc(saved))

    def advance_without_warning(self, window: TimeRange | None) -> None:
        """Like ``advance``, for the window of an earlier run, which can end long before the checkpoint."""
        self._advance(window, self.read())

    def _advance(self, window: TimeRange | None, saved: datetime | None) -> bool:
        if window is None or (saved and not window.start <= saved < window.end):
            return False
        self._write(window.end)
        return True

    def _write(self, until: datetime) -> None:
        content = {"warehouse": self.warehouse, "flow": self.flow, "until": iso_utc(until)}
        try:
            replace_file(self.path, json.dumps(content) + "\n")
        except OSError as error:
            raise ConfigurationError(
                f"Cannot write the checkpoint to {self.path}: {error.strerror or error}",
                "The work is done, but the checkpoint was not saved. Make the file writable, then run again.",
            ) from error


def check_window_arguments(arguments: argparse.Namespace) -> None:
    """Raises ConfigurationError for arguments that are wrong whatever the warehouse's time is."""
    if arguments.since and arguments.until and arguments.since > arguments.until:
        raise ConfigurationError("--since is after --until.", "Swap them.")
    if arguments.since and arguments.lookback_hours:
        raise ConfigurationError(
            "--since and --lookback-hours both set the start of the window.", "Use only one of them."
        )
    if not arguments.since:
        _hours_before(arguments.until or datetime.now(timezone.utc), arguments.lookback_hours)


def choose_window(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint | None,
    latency: timedelta,
    retention: timedelta | None,
    now: datetime,
) -> TimeRange:
    """The requested window, if ``now`` is the time of the warehouse. Raises ConfigurationError if it ends before it
    starts.
    """
    latest = (now - latency).replace(microsecond=0)
    end = arguments.until or latest
    if end > latest:
        log.info("the window ends at %s: the system views lag by up to %s", iso_utc(latest), latency)
        end = latest
    saved = checkpoint.read() if checkpoint else None
    if saved and not arguments.since:
        window = _from_checkpoint(saved, end, now)
    else:
        window = TimeRange(arguments.since or _hours_before(end, arguments.lookback_hours), end)
    if window.start > window.end:
        raise ConfigurationError(
            f"The window is empty: it starts at {iso_utc(window.start)} and ends at {iso_utc(end)}.",
            f"The system views lag by up to {latency}. Use an earlier --since.",
        )
    if retention and window.start < now - retention:
        log.warning(
            "warning: the window starts before the retention period of the system views (%d days)", retention.days
        )
    return window


def _from_checkpoint(saved: datetime, end: datetime, now: datetime) -> TimeRange:
    """The window from the checkpoint to ``end``. Empty if the checkpoint is after ``end``: it never moves back."""
    if saved - now > CLOCK_TOLERANCE:
        raise ConfigurationError(
            f"The checkpoint {iso_utc(saved)} is in the future (now {iso_utc(now)}). Nothing is collected until then.",
            f"A wrong clock wrote it. {NEW_CHECKPOINT}",
        )
    if saved > now:
        log.warning("warning: the checkpoint %s is in the future. Nothing is collected until then.", iso_utc(saved))
    return TimeRange(saved, max(saved, end))


def _hours_before(end: datetime, hours: float | None) -> datetime:
    hours = hours or DEFAULT_LOOKBACK_HOURS
    try:
        start = end - timedelta(hours=hours)
    except OverflowError:
        start = None
    if start is None or start < EARLIEST:
        raise ConfigurationError(
            f"The window would start before {EARLIEST.year}, {hours:g} hours before {iso_utc(end)}.",
            "Use fewer --lookback-hours, or a later --until.",
        )
    return start


# --- slices ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slicing:
    """How a window is split into slices, each read by one statement.

    ``first`` is the length of the first slice (None: the whole window). After a slice with fewer than ``few_rows`` rows
    the next one is twice as long; with more than ``many_rows``, half as long, but not shorter than ``shortest``.
    """

    first: timedelta | None = None
    shortest: timedelta = timedelta(minutes=1)
    few_rows: int | None = None
    many_rows: int | None = None

    def half(self, length: timedelta) -> timedelta:
        """Half the length, but at least ``shortest``."""
        return max(length / 2, self.shortest)

    def after(self, length: timedelta, rows: int) -> timedelta:
        """The length of the next slice, after one with this length and number of rows."""
        if self.few_rows is not None and rows < self.few_rows:
            return length * 2
        if self.many_rows is not None and rows > self.many_rows:
            return self.half(length)
        return length


def in_slices(
    window: TimeRange,
    read: Callable[[TimeRange], Iterable[T]],
    slicing: Slicing,
    is_too_much: Callable[[BaseException], bool] = lambda error: False,
) -> Iterator[T]:
    """Yield the rows of the window slice by slice in chronological order.

    If a slice fails with ``is_too_much`` (a statement timed out, a response was too large) before its first row, it is
    retried at half its length. After the first row, a retry would repeat rows, so the error ends the run. So does an
    error in a slice of the shortest length.
    """
    start, length = window.start, slicing.first or window.end - window.start
    while start < window.end:
        stop_if_asked()
        part = TimeRange(start, start + min(length, window.end - start))
        rows = 0
        try:
            for row in read(part):
                rows += 1
                yield row
        except Exception as error:
            length = part.end - part.start
            if rows or length <= slicing.shortest or not is_too_much(error):
                raise
            length = slicing.half(length)
            log.info("%s to %s is too large for one query, reading half of it", iso_utc(part.start), iso_utc(part.end))
            continue
        start, length = part.end, slicing.after(length, rows)
