"""A statement of the log, while it is read and when it has ended, and an entry of the lineage hook."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from log_messages import CONSOLE, ERROR_NUMBER

FINISHED, FAILURE, CANCELLATION, TIMEOUT = "finished", "failed", "canceled", "timed out"

OBJECT_SIZE = 600  # bytes of a statement in memory, without its text

# Reasons for skipping.
NO_START = "statement without a start in the logs: they do not have its text"
NO_ID_FAILURE = "FAILED line that belongs to no known statement"
NEVER_RAN = "statement that was compiled but not executed: its outcome is unknown"
DROPPED = "statement without an end in the logs: too many of them to wait for it"
CONSOLE_LINES = "lines of a console behind the text of a statement, removed"


@dataclass(frozen=True)
class HookEntry:
    """An entry of LineageLogger: its JSON as written, maybe over several lines, and the statement that was running."""

    time: datetime
    thread: str
    session: str | None
    text: str
    query_id: str | None = None

    @property
    def key(self) -> str:
        return f"{self.time} {self.text}"


@dataclass(frozen=True)
class LoggedQuery:
    """A statement that has ended. None means unknown. ``is_whole``: the log has its complete text.

    ``status`` is finished, failed, canceled or timed out.
    """

    id: str | None
    thread: str
    session: str | None
    user: str | None
    database: str | None
    start: datetime
    end: datetime
    status: str | None
    error: str | None
    text: str
    is_whole: bool = True

    @property
    def key(self) -> str:
        """The same for each copy of the statement."""
        return self.id or f"{self.start} {self.thread} {self.text}"

    @property
    def error_code(self) -> str | None:
        """Hive's number of the error, or the status; None if the statement did not fail."""
        if self.status in (FINISHED, None):
            return None
        found = ERROR_NUMBER.search(self.error or "")
        return found[1] if found else self.status


@dataclass
class Statement:
    """A statement while the log is read. ``phase`` is the line that it started with: Compiling, Executing, Starting."""

    id: str | None
    key: str
    start: datetime
    text: str
    is_whole: bool
    thread: str
    session: str | None
    phase: str
    database: str | None = None
    copies: int = 1
    is_compiled: bool = False
    is_doubtful: bool = False
    end: datetime | None = None
    status: str | None = None
    error: str | None = None
    hooks: list[HookEntry] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.text) + OBJECT_SIZE

    def start_again(self, phase: str, thread: str, text: str, is_whole: bool) -> None:
        """The next phase of the statement, or the first one again. The log then has its text again."""
        if self.copies == 1 and ((is_whole and not self.is_whole) or self.text.startswith(f"{text}\n")):
            self.text, self.is_whole = text, is_whole  # what the first copy has more is not SQL
        self.copies += 1
        self.phase, self.thread = phase, thread
        self.is_compiled = phase != "Compiling"
        self.end = self.status = self.error = None
        self.hooks.clear()

    def result(self, end: datetime, user: str | None, database: str | None) -> LoggedQuery:
        return LoggedQuery(
            id=self.id,
            thread=self.thread,
            session=self.session,
            user=user,
            database=database,
            start=self.start,
            end=end,
            status=self.status,
            error=self.error,
            text=self.text,
            is_whole=self.is_whole,
        )


def without_console(text: str) -> str:
    """The SQL, without lines behind it that a capture of a console has between log lines."""
    found = CONSOLE.search(text)
    return (text[: found.start()] if found else text).strip()
