"""Faults and denials on request, and the record of what clients sent. Needs only the standard library.

The harness sends faults to the server as JSON (launch.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from threading import Lock
from typing import Any

SLOW_SECONDS = 5


@dataclass
class StatementFault:
    """Applies to each job whose statement contains ``text``, after ``after`` of them have succeeded.

    ``kind``: a fault of tests/warehouses/harness.py, or "error" for a job that fails with ``reason`` and ``message``.
    ``times`` limits how often it applies; None means always. ``seconds`` is how long a slow job runs.
    """

    text: str
    kind: str
    after: int = 0
    times: int | None = None
    reason: str = ""
    message: str = ""
    seconds: float = SLOW_SECONDS


@dataclass
class RestFault:
    """Applies to each request whose "METHOD /path?query" matches the pattern, after ``after`` of them.

    ``status`` 0 closes the connection without a response. ``headers`` are sent with the response, e.g. Retry-After.
    """

    pattern: str
    status: int
    reason: str = ""
    message: str = ""
    after: int = 0
    times: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


Counted = StatementFault | RestFault


@dataclass
class Orders:
    """The current orders of the tests. ``denied``: the views, methods and resources that nobody may use; see
    ``Server.deny`` in launch.py.
    """

    denied: frozenset[str] = frozenset()
    denies_all: bool = False
    unreachable: frozenset[str] = frozenset()  # regions that datasets.list leaves out and names
    storage_is_on: bool = True
    is_signed_out: bool = False
    rows_left: int | None = None
    clock_ahead: timedelta = timedelta(0)
    statement_faults: list[StatementFault] = field(default_factory=list)
    rest_faults: list[RestFault] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock, repr=False)

    def now(self) -> datetime:
        """The time by the clock of the warehouse."""
        return datetime.now(timezone.utc) + self.clock_ahead

    def statement_fault(self, statement: str) -> StatementFault | None:
        with self.lock:
            return next((each for each in self.statement_faults if each.text in statement and _is_due(each)), None)

    def rest_fault(self, request: str) -> RestFault | None:
        with self.lock:
            return next((each for each in self.rest_faults if re.search(each.pattern, request) and _is_due(each)), None)

    def sendable(self, rows: int) -> int:
        """How many of these rows are sent before the connection breaks."""
        with self.lock:
            if self.rows_left is None:
                return rows
            sent = min(rows, self.rows_left)
            self.rows_left -= sent
        return sent


def _is_due(fault: Counted) -> bool:
    """Count an occurrence, and return whether the fault applies to it."""
    if fault.after > 0:
        fault.after -= 1
        return False
    if fault.times is None:
        return True
    fault.times -= 1
    return fault.times >= 0


@dataclass
class Log:
    """What clients sent, oldest first: statements, and requests as dicts that tests can read."""

    statements: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
