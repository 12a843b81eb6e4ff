"""Faults that tests order from the server: which call breaks, how, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Fault:
    """One ordered fault.

    ``kind``: ``status`` (an HTTP status), ``abort`` (the connection drops within the answer), ``error`` (the
    statement fails with ``code``), ``slow`` (``seconds`` before a statement runs), ``exit`` (the server process
    ends), ``session`` (the session ends before the statement), ``too_much_data`` (INFORMATION_SCHEMA queries of more
    than ``rows`` rows are refused), ``cut`` (once ``rows`` rows were handed out, whatever the statements, the rest of a
    result cannot be downloaded).
    ``at``: ``query``, ``chunk`` or ``login``. The first ``after`` matching calls are served, then ``times`` calls
    break (None: all that follow). ``contains``: only statements with this text.
    """

    kind: str
    at: str = "query"
    after: int = 0
    times: int | None = None
    contains: str = ""
    status: int = 503
    code: str = ""
    sqlstate: str = "XX000"
    message: str = ""
    seconds: float = 0.0
    rows: int = 10_000
    seen: int = 0


@dataclass
class Faults:
    """The faults in force."""

    ordered: list[Fault] = field(default_factory=list)

    def replace(self, faults: list[Fault]) -> None:
        """Put these faults in the place of all before."""
        self.ordered = faults

    def clear(self) -> None:
        """No faults."""
        self.ordered = []

    @property
    def information_schema_limit(self) -> int | None:
        """Rows above which an INFORMATION_SCHEMA query is refused."""
        return min((f.rows for f in self.ordered if f.kind == "too_much_data"), default=None)

    @property
    def rows_left(self) -> int | None:
        """How many more rows are handed out; None: all."""
        return min((f.rows for f in self.ordered if f.kind == "cut"), default=None)

    def take_rows(self, count: int) -> None:
        """Count rows that were handed out."""
        for fault in self.ordered:
            if fault.kind == "cut":
                fault.rows = max(fault.rows - count, 0)

    def break_chunks(self, query_id: str) -> None:
        """Drop the connection whenever a chunk of this query is downloaded."""
        self.ordered.append(Fault("abort", at="chunk", contains=query_id))

    def due(self, at: str, text: str) -> Fault | None:
        """The fault that this call meets, if any; counts the call."""
        for fault in self.ordered:
            if fault.kind in ("too_much_data", "cut") or fault.at != at or fault.contains not in text:
                continue
            fault.seen += 1
            over = fault.seen - fault.after
            if over > 0 and (fault.times is None or over <= fault.times):
                return fault
        return None
