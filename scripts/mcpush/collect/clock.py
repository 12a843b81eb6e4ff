"""The time of the warehouse, by which windows end. The clock of this machine can be wrong.

A clock ahead of the warehouse's would end a window before the system views show its last queries, and the next window
would not include them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from mcpush.console import log
from mcpush.records import iso_utc

MAX_SKEW = timedelta(minutes=1)  # a larger difference between the two clocks causes a warning
NO_CLOCK = "clock of the warehouse not readable: the window ends by the clock of this machine"


def warehouse_time(ask: Callable[[], datetime | None]) -> datetime:
    """The time that ``ask`` returns, in UTC; this machine's if it returns None. Warns if the two differ."""
    before = _here()
    there = ask()
    if there is None:
        log.warning("warning: %s", NO_CLOCK)
        return before
    there = there.replace(tzinfo=timezone.utc) if there.tzinfo is None else there.astimezone(timezone.utc)
    _warn_about_skew(before, there, _here())
    return there


def _warn_about_skew(before: datetime, there: datetime, after: datetime) -> None:
    """Compare with this machine's time before and after the statement, which can wait in a queue."""
    here = min(max(there, before), after)
    if abs(there - here) > MAX_SKEW:
        log.warning(
            "warning: the clock of this machine is %s %s the warehouse's: %s here, %s there. Windows end by the "
            "warehouse's clock. Correct the clock of this machine.",
            timedelta(seconds=round(abs(there - here).total_seconds())),
            "ahead of" if here > there else "behind",
            iso_utc(here.replace(microsecond=0)),
            iso_utc(there.replace(microsecond=0)),
        )


def _here() -> datetime:
    return datetime.now(timezone.utc)
