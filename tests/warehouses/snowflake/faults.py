"""Faults that tests request from the server: which call breaks, how, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Fault:
    """A requested fault.

    ``kind``: ``status`` (an HTTP status), ``abort`` (the connection drops during the response), ``error`` (the
    statement fails with ``code``), ``slow`` (waits ``seconds`` before a statement runs), ``exit`` (the server process
    ends), ``session`` (the session ends before the statement), ``too_much_data`` (INFORMATION_SCHEMA queries with
    more than ``rows`` rows are refused), ``cut`` (after ``rows`` rows in total, over all statements, the rest of a
    result cannot be downloaded).
    ``at``: ``query``, ``chunk`` or ``login``. The first ``after`` matching calls succeed, then ``times`` calls
    break (None: all later calls). ``contains``: only statements with this text.
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
    """The current faults."""

    ordered: list[Fault] = field(default_factory=list)

    def replace(self, faults: list[Fault]) -> None:
        """Replace all current faults with these."""
        self.ordered = faults

    def clear(self) -> None:
        """Remove all faults."""
        self.ordered = []

    @property
    def information_schema_limit(self) -> int | None:
        """The maximum number of rows in an INFORMATION_SCHEMA query. Larger ones are refused."""
        return min((f.rows for f in self.ordered if f.kind == "too_much_data"), default=None)

    @property
    def rows_left(self) -> int | None:
        """How many more rows are sent. None means no limit."""
        return min((f.rows for f in self.ordered if f.kind == "cut"), default=None)

    def take_rows(self, count: int) -> None:
        """Subtract sent rows from the limit."""
        for fault in self.ordered:
            if fault.kind == "cut":
                fault.rows = max(fault.rows - count, 0)

    def break_chunks(self, query_id: str) -> None:
        """Drop the connection whenever a chunk of this query is downloaded."""
        self.ordered.append(Fault("abort", at="chunk", contains=query_id))

    def due(self, at: str, text: str) -> Fault | None:
        """The fault that applies to this call, if any. Counts the call."""
        for fault in self.ordered:
            if fault.kind in ("too_much_data", "cut") or fault.at != at or fault.contains not in text:
                continue
            fault.seen += 1
            over = fault.seen - fault.after
            if over > 0 and (fault.times is None or over <= fault.times):
                return fault
        return None
