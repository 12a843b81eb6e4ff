"""Faults and denials on request. Needs only the standard library. launch.py sends them to the server as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from threading import Lock

SLOW_SECONDS = 5


@dataclass
class StatementFault:
    """Applies to each statement that contains ``text``, after ``after`` of them have succeeded.

    ``kind``: a fault of tests/warehouses/harness.py, or "error" for a statement that fails with ``message`` and
    ``state``. ``times`` limits how often it applies; None means always. ``seconds`` is how long a slow statement runs.
    """

    text: str
    kind: str
    after: int = 0
    times: int | None = None
    message: str = ""
    state: str = ""
    seconds: float = SLOW_SECONDS


@dataclass
class HttpFault:
    """Applies to each Thrift request of this method (``""``: of any), after ``after`` of them.

    ``status`` 0 closes the connection without a response. ``headers`` are sent with the response, e.g. Retry-After.
    """

    method: str
    status: int
    message: str = ""
    after: int = 0
    times: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Orders:
    """The current orders of the tests. ``denied``, ``disabled``: see ``DatabricksServer`` in launch.py."""

    denied: frozenset[str] = frozenset()
    denies_all: bool = False
    disabled: frozenset[str] = frozenset()
    rows_left: int | None = None
    rows_of_a_fetch: int | None = None
    clock_ahead: timedelta = timedelta(0)
    statement_faults: list[StatementFault] = field(default_factory=list)
    http_faults: list[HttpFault] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock, repr=False)

    def now(self) -> datetime:
        """The time by the clock of the warehouse."""
        return datetime.now(timezone.utc) + self.clock_ahead

    def denies(self, name: str) -> bool:
        return self.denies_all or name in self.denied

    def statement_fault(self, statement: str) -> StatementFault | None:
        with self.lock:
            return next((each for each in self.statement_faults if each.text in statement and _is_due(each)), None)

    def http_fault(self, method: str) -> HttpFault | None:
        with self.lock:
            return next((each for each in self.http_faults if each.method in ("", method) and _is_due(each)), None)

    def sendable(self, rows: int) -> int:
        """How many of these rows are sent before the connection breaks."""
        with self.lock:
            if self.rows_left is None:
                return rows
            sent = min(rows, self.rows_left)
            self.rows_left -= sent
        return sent


def _is_due(fault: StatementFault | HttpFault) -> bool:
    """Count an occurrence, and return whether the fault applies to it."""
    if fault.after > 0:
        fault.after -= 1
        return False
    if fault.times is None:
        return True
    fault.times -= 1
    return fault.times >= 0
