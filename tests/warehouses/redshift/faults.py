"""What goes wrong on order: statements that are refused, cut off or slow, and connections that break within a result.

Data for the shim, sent to the server as JSON (launch.py). Needs the standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# Severity, SQLSTATE and text of what the server answers. https://www.postgresql.org/docs/8.0/errcodes-appendix.html
# "connection gone" has no answer, and "slow" has the right one.
ANSWERS = {
    "denied": ("ERROR", "42501", "permission denied for relation {subject}"),
    "timeout": ("ERROR", "57014", "canceling statement due to statement timeout"),
    "session ended": ("FATAL", "57P01", "terminating connection due to administrator command"),
}


@dataclass
class Order:
    """Let each statement in which ``pattern`` is found meet the fault, after so many of them were answered.

    Case is ignored. ``user``: only that user's statements; empty: everybody's.
    """

    fault: str
    pattern: str
    after: int = 0
    user: str = ""

    def applies(self, sql: str, user: str) -> str | None:
        """The text of the statement that is meant; None where the order is not for this statement, or not yet."""
        found = re.search(self.pattern, sql, re.IGNORECASE)
        if found is None or self.user not in ("", user):
            return None
        self.after -= 1
        return found[0] if self.after < 0 else None


@dataclass
class Faults:
    """The orders in force. ``rows``: how many rows are handed out before connections break; None: any number."""

    orders: list[Order] = field(default_factory=list)
    rows: int | None = None

    def take(self, command: dict[str, Any]) -> None:
        """Put the orders of this command in place of those before."""
        self.orders = [Order(**each) for each in command["orders"]]
        self.rows = command["rows"]

    def of(self, sql: str, user: str) -> tuple[str, bytes] | None:
        """The fault that this statement meets, with the body of the error message that answers it, if one does."""
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
