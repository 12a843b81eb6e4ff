"""Follows the sessions in a server's log: who opened them, and their current database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from log_lines import LogLine
from log_messages import (
    AUDIT_SESSION,
    AUDIT_USER,
    CLIENT_USER,
    CONNECTED,
    CREATED,
    DELETED,
    OPENED,
    OPENING,
    OPERATION,
    PROXY_USER,
    STARTS_WITH_USE,
    USE,
)

MAX_SESSIONS = 100_000  # that are remembered; the oldest are forgotten
MAX_OPERATIONS = 10_000  # that are about to start; SET and ADD JAR never do
# A thread of this pool serves one connection at a time; in HTTP mode, the pool has another name.
# https://github.com/apache/hive/blob/master/service/src/java/org/apache/hive/service/cli/thrift/ThriftBinaryCLIService.java
CONNECTION_THREAD = "HiveServer2-Handler-Pool: "


class Database(NamedTuple):
    """The current database of a session, since the end of its USE; None if that is unknown."""

    name: str | None
    since: datetime


@dataclass
class Session:
    user: str | None = None
    database: Database | None = None


class Sessions:
    """The sessions of one server. ``is_one_per_connection``: the thread of a connection shows the session."""

    def __init__(self, is_one_per_connection: bool) -> None:
        self._is_one_per_connection = is_one_per_connection
        self._sessions: dict[str, Session] = {}
        self._opening: dict[str, str | None] = {}  # thread → user of the session that it is opening
        self._on_thread: dict[str, set[str]] = {}  # thread of a connection → its open sessions
        self._operations: dict[str, str] = {}  # query id of a statement that is about to start → its session

    def read(self, line: LogLine) -> None:
        """Note what a line says about sessions.

        Hive logs the user without a session, and then, on the same thread, the session without a user.
        """
        message, thread = line.message, line.thread
        if OPENING.match(message):
            self._opening[thread] = None
        elif found := CLIENT_USER.match(message):
            self._opening[thread] = None if found[1] in ("", "null") else found[1]
        elif found := OPENED.match(message):
            if user := self._opening.pop(thread, None):
                self.session(found[1]).user = user
        elif found := OPERATION.match(message):
            self._note_operation(found[1], found[2], found[3])
        elif found := CONNECTED.match(message):
            self.session(found[1]).user = found[2]
        elif self._is_one_per_connection and thread in self._opening and (found := CREATED.match(message)):
            self._on_thread.setdefault(thread, set()).add(found[1])
        elif found := DELETED.match(message):
            self._on_thread.get(thread, set()).discard(found[1])
        elif thread in self._opening and (found := PROXY_USER.search(message)):
            self._opening[thread] = found[1]
        elif (found := AUDIT_USER.search(message)) and (session := AUDIT_SESSION.search(message)):
            self.session(session[1]).user = self.session(session[1]).user or found[1]

    def _note_operation(self, query_id: str, session: str, user: str) -> None:
        if len(self._operations) >= MAX_OPERATIONS:
            del self._operations[next(iter(self._operations))]
        self._operations[query_id] = session
        if user not in ("", "null"):
            self.session(session).user = user

    def of_statement(self, line: LogLine, query_id: str | None) -> str | None:
        """The session of a statement that starts with this line, if the log shows it."""
        self._opening.pop(line.thread, None)
        if noted := self._operations.pop(query_id or "", None):
            return noted
        if line.session or not self._is_one_per_connection or not line.thread.startswith(CONNECTION_THREAD):
            return line.session
        sessions = self._on_thread.get(line.thread, set())
        return next(iter(sessions)) if len(sessions) == 1 else None

    def note_use(self, session: str, text: str, moment: datetime, *, has_succeeded: bool) -> None:
        """Note a USE that ended. If its outcome or its database is not clear, the current database is unknown."""
        if STARTS_WITH_USE.match(text):
            found = USE.match(text) if has_succeeded else None
            name = (found[1] or found[2]).replace("``", "`").lower() if found else None
            self.session(session).database = Database(name, moment)

    def session(self, session: str) -> Session:
        """The session with this id."""
        if session not in self._sessions:
            if len(self._sessions) >= MAX_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[session] = Session()
        return self._sessions[session]

    def user(self, session: str | None) -> str | None:
        found = self._sessions.get(session or "")
        return found.user if found else None

    def database(self, session: str | None, moment: datetime) -> str | None:
        """The session's database at this time; None before its first USE in the log."""
        found = self._sessions.get(session or "")
        if found is None or found.database is None or found.database.since > moment:
            return None
        return found.database.name
