"""Faults on request: statements that are refused, cut off or slow, and connections that break within a result.

Data for the shim, sent to the server as JSON (launch.py). Needs only the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# Severity, SQLSTATE and text of the server's response. https://www.postgresql.org/docs/8.0/errcodes-appendix.html
# "connection gone" has no response, and "slow" has the right one.
ANSWERS = {
    "denied": ("ERROR", "42501", "permission denied for relation {subject}"),
    "timeout": ("ERROR", "57014", "canceling statement due to statement timeout"),
    "session ended": ("FATAL", "57P01", "terminating connection due to administrator command"),
}


@dataclass
class Order:
    """Applies the fault to each statement that matches ``pattern``, after ``after`` of them have succeeded.

    Matching is case-insensitive. ``user`` restricts the fault to that user's statements; empty means all users.
    """

    fault: str
    pattern: str
    after: int = 0
    user: str = ""

    def applies(self, sql: str, user: str) -> str | None:
        """The matching text, or None if the order does not apply to this statement, or not yet."""
        found = re.search(self.pattern, sql, re.IGNORECASE)
        if found is None or self.user not in ("", user):
            return None
        self.after -= 1
        return found[0] if self.after < 0 else None


@dataclass
class Faults:
    """The current orders. ``rows`` is the number of rows sent before connections break; None means no limit."""

    orders: list[Order] = field(default_factory=list)
    rows: int | None = None

    def take(self, command: dict[str, Any]) -> None:
        """Replace the current orders with those of this command."""
        self.orders = [Order(**each) for each in command["orders"]]
        self.rows = command["rows"]

    def of(self, sql: str, user: str) -> tuple[str, bytes] | None:
        """The fault that applies to this statement, with the body of its error message, if it has one."""
        for order in self.orders:
            if subject := order.applies(sql, user):
                return order.fault, error_body(order.fault, subject)
        return None

    def breaks(self) -> bool:
        """Whether the connection breaks before the next row."""
        if self.rows is None:
            return False
        self.rows -= 1
        return self.rows < 0


def error_body(fault: str, subject: str) -> bytes:
    severity, code, text = ANSWERS.get(fault, ("", "", ""))
    return f"S{severity}\0C{code}\0M{text.format(subject=subject.lower())}\0\0".encode()
