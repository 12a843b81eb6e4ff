"""Asks about tables one by one: rows, bytes and the last write. Databricks has no view with these facts.

DESCRIBE DETAIL, SHOW STATISTICS and DESCRIBE HISTORY run in a bounded pool of sessions with one time budget for the
run. Tables that changed most recently are asked about first. Facts of tables that are not reached stay unknown.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple, TypeVar

from connection import Warehouse, is_statement_error, is_too_much, is_unreadable, quoted
from error_table import is_unknown_syntax, message
from history import HISTORY_SQL, RECENT_SQL, CommitRow, LastWrite, last_write
from kinds import STORED_TYPES, VERSIONED_FORMATS
from mcpush.collect.collector import Options
from mcpush.collect.pool import Answer, Pool
from mcpush.records import AssetKey
from row_counts import aware, current_rows, statistics_of
from variables import DETAIL_SECONDS_VARIABLE, detail_seconds, detail_workers

T = TypeVar("T")

# https://docs.databricks.com/aws/en/delta/table-details
DETAIL_SQL = "DESCRIBE DETAIL {table}"
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-statistics
STATISTICS_SQL = "SHOW STATISTICS {table} AS JSON"

DEFAULT_SECONDS = 600  # README.md says how many tables that is
DEFAULT_WORKERS = 8
FASTEST = 5  # tables that a worker can ask about in a second, at most: more are not kept in memory
RECENT = 50  # commits of RECENT_SQL
LONG_AGO = datetime(1, 1, 1, tzinfo=timezone.utc)

NOT_REACHED = f"rows, bytes or last write not read: {DETAIL_SECONDS_VARIABLE} is over"
UNREADABLE = "rows, bytes or last write not readable: table dropped during the run, or no SELECT on it"
TOO_SLOW = "rows, bytes or last write not read: the statement took too long"
NO_COMMAND = "command not supported for a table"
NO_WRITE = "last write unknown: none in the table's history"
UNKNOWN_OPERATION = "last write unknown: a later operation in the table's history is not documented"
NO_HISTORY = "last write unknown: only Delta and Iceberg tables have a history"


class Question(NamedTuple):
    """A table to ask about. ``has_bytes``: its size is already known."""

    changed: datetime
    key: AssetKey
    is_versioned: bool
    has_bytes: bool


class Facts(NamedTuple):
    """What commands say about a table. None is unknown."""

    row_count: int | None = None
    byte_count: int | None = None
    last_write: datetime | None = None


class DetailRow(NamedTuple):
    """A row of DESCRIBE DETAIL. Its further columns depend on the runtime and the table."""

    sizeinbytes: int | None = None


@dataclass
class Found:
    """What the commands about one table returned, with reasons for what is missing."""

    facts: Facts
    skipped: list[tuple[str, str]]


def question(
    key: AssetKey, table_type: str, data_format: str | None, changed: datetime | None, *, has_bytes: bool = False
) -> Question | None:
    """The question about a table; None for views, and for tables whose data are in other systems."""
    if table_type.upper() not in STORED_TYPES:
        return None
    is_versioned = (data_format or "").upper() in VERSIONED_FORMATS
    return Question(aware(changed) if changed else LONG_AGO, key, is_versioned, has_bytes)


class Details:
    """Asks about tables, newest change first, and keeps the answers of those that were reached."""

    def __init__(self, warehouse: Warehouse, options: Options) -> None:
        self._warehouse, self._options = warehouse, options
        self._seconds, self._workers = detail_seconds(DEFAULT_SECONDS), detail_workers(DEFAULT_WORKERS)
        self._facts: dict[AssetKey, Facts] = {}
        self._unsupported: set[str] = set()

    def new_pool(self) -> Pool:
        """A pool with as much time again, for tables that are not in Unity Catalog."""
        return Pool(self._workers, self._seconds)

    def ask(self, questions: Iterable[Question]) -> None:
        """Asks about these tables until the time is over. Counts those that were not reached."""
        counted = _Counted(questions)
        for answer in self.new_pool().answers(self._ask_one, self._newest(counted)):
            if (facts := self._take(answer)) is not None:
                self._facts[answer.item.key] = facts
        if counted.number > counted.kept:
            self._options.skip(NOT_REACHED, count=counted.number - counted.kept)

    def of(self, key: AssetKey) -> Facts:
        """The facts of a table, which are then forgotten."""
        return self._facts.pop(key, Facts())

    def _newest(self, questions: _Counted) -> list[Question]:
        newest = heapq.nlargest(max(1, self._workers * self._seconds * FASTEST), questions)
        questions.kept = len(newest)
        return newest

    def _take(self, answer: Answer[Question, Found]) -> Facts | None:
        if answer.error is not None:
            raise answer.error
        if answer.value is None:
            self._options.skip(NOT_REACHED, ".".join(answer.item.key))
            return None
        for reason, example in answer.value.skipped:
            self._options.skip(reason, example)
        return answer.value.facts

    # --- in the threads of the pool ---------------------------------------------------------------------

    def _ask_one(self, item: Question) -> Found:
        return self.found(item.key, is_versioned=item.is_versioned, has_bytes=item.has_bytes)

    def found(self, key: AssetKey, *, is_versioned: bool, has_bytes: bool = False) -> Found:
        """Asks about one table. Raises only errors that end the run."""
        asking, table = Asking(".".join(key), self._unsupported), quoted(*key)
        write, size = None, None
        if is_versioned:
            write = asking.answer("DESCRIBE HISTORY", lambda: self._last_write(table))
            if write and write.unknown:
                asking.skip(UNKNOWN_OPERATION, write.unknown)
            elif write and write.time is None:
                asking.skip(NO_WRITE)
            if not has_bytes:
                size = asking.answer("DESCRIBE DETAIL", lambda: self._size(table))
        else:
            asking.skip(NO_HISTORY)
        rows = None
        statistics = asking.answer("SHOW STATISTICS", lambda: self._statistics(table))
        if statistics is not None:
            rows, reason = current_rows(statistics, write.latest if write else None)
            if reason:
                asking.skip(reason)
        return Found(Facts(rows, size, write.time if write else None), asking.skipped)

    def _last_write(self, table: str) -> LastWrite:
        recent = self._warehouse.read(CommitRow, RECENT_SQL.format(table=table))
        write = last_write(recent)
        if write.latest is None and len(recent) >= RECENT:
            write = last_write(self._warehouse.read(CommitRow, HISTORY_SQL.format(table=table)))
        return write

    def _size(self, table: str) -> int | None:
        return next((row.sizeinbytes for row in self._warehouse.read(DetailRow, DETAIL_SQL.format(table=table))), None)

    def _statistics(self, table: str) -> dict[str, Any]:
        return statistics_of(self._warehouse.read_value(STATISTICS_SQL.format(table=table)))


class Asking:
    """Asks about one table, and notes what is missing. ``unsupported``: commands that the warehouse does not know."""

    def __init__(self, name: str, unsupported: set[str]) -> None:
        self._name, self._unsupported, self._is_readable = name, unsupported, True
        self.skipped: list[tuple[str, str]] = []

    def skip(self, reason: str, what: str = "") -> None:
        self.skipped.append((reason, f"{self._name}: {what}" if what else self._name))

    def answer(self, command: str, ask: Callable[[], T]) -> T | None:
        """What ``ask`` returns; None, with a reason, if it fails for this table. Raises errors that end the run.

        Asks nothing more about a table that is not readable.
        """
        if not self._is_readable:
            return None
        if command in self._unsupported:
            self.skip(NO_COMMAND, command)
            return None
        try:
            return ask()
        except Exception as error:
            self._failed(command, error)
            return None

    def _failed(self, command: str, error: Exception) -> None:
        if is_unreadable(error):
            self._is_readable = False
            self.skip(UNREADABLE, message(error))
        elif is_too_much(error):
            self.skip(TOO_SLOW, command)
        elif is_statement_error(error):
            self.skip(NO_COMMAND, f"{command}: {message(error)}")
            if is_unknown_syntax(error):
                self._unsupported.add(command)
        else:
            raise error


class _Counted:
    """Questions that are counted while they are read. ``kept``: how many of them can be asked."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._questions, self.number, self.kept = questions, 0, 0

    def __iter__(self) -> Iterator[Question]:
        for each in self._questions:
            self.number += 1
            yield each
