"""What tests order a front (front.py) to do to statements and results, and what it received."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

SLOW_SECONDS = 5
# Those of tests/warehouses/harness.py, "error" for a failure with an own message, and "dropped": the table that the
# statement names is dropped before it runs.
Kind = Literal["denied", "session ended", "connection gone", "timeout", "slow", "error", "dropped"]
# Commands that need no right of any object are denied to nobody.
FREE = re.compile(r"\s*(SET|USE)\b", re.IGNORECASE)


@dataclass
class Fault:
    """Applies to each statement that contains ``text``, after ``after`` of them have succeeded. ``times`` limits how
    often; None means always. With ``user``, it applies to this user only. The last four are for "error" and "slow".
    """

    text: str
    kind: Kind
    after: int = 0
    times: int | None = None
    user: str | None = None
    message: str = ""
    sql_state: str | None = None
    error_code: int = 0
    seconds: float = SLOW_SECONDS


@dataclass(frozen=True)
class Received:
    """A statement as a client sent it."""

    user: str
    text: str


@dataclass
class Orders:
    """The current orders. ``denied``: the commands and tables that nobody may use, e.g. ``SHOW TABLES``. ``powerless``:
    users who may use nothing. ``rows_left``: how many rows are sent before the connection breaks.
    """

    faults: list[Fault] = field(default_factory=list)
    denied: Sequence[str] = ()
    denies_all: bool = False
    powerless: frozenset[str] = frozenset()
    rows_left: int | None = None
    received: list[Received] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock, repr=False)

    def restore(self) -> None:
        """Undo all orders. What was received stays."""
        with self.lock:
            self.faults, self.denied, self.denies_all, self.rows_left = [], (), False, None

    def fault(self, user: str, statement: str) -> Fault | None:
        """The fault that applies to a statement now."""
        with self.lock:
            if self._is_denied(user, statement):
                return Fault(statement, "denied")
            found = (each for each in self.faults if each.text in statement and each.user in (None, user))
            return next((each for each in found if _is_due(each)), None)

    def _is_denied(self, user: str, statement: str) -> bool:
        if FREE.match(statement):
            return False
        begins = " ".join(statement.upper().split()) + " "
        is_denied = any(begins.startswith(f"{command.upper()} ") or _names(begins, command) for command in self.denied)
        return self.denies_all or user in self.powerless or is_denied

    def sendable(self, rows: int) -> int:
        """How many of these rows are sent."""
        with self.lock:
            if self.rows_left is None:
                return rows
            sent = min(rows, self.rows_left)
            self.rows_left -= sent
        return sent


def _names(statement: str, table: str) -> bool:
    """Whether a query in upper case reads this table, e.g. ``sys.query_history``."""
    read = re.findall(r"\b(?:FROM|JOIN) ([\w.]+)", statement.replace("`", ""))
    return table.upper() in read


def _is_due(fault: Fault) -> bool:
    """Count an occurrence, and return whether the fault applies to it."""
    if fault.after > 0:
        fault.after -= 1
        return False
    if fault.times is None:
        return True
    fault.times -= 1
    return fault.times >= 0
