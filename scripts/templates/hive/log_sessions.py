"""Follows the sessions in a server's log: who opened them, and their current database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from log_lines import LogLine
from log_messages import AUDIT_SESSION, AUDIT_USER, CLIENT_USER, CONNECTED, OPENED, OPENING, PROXY_USER

MAX_SESSIONS = 100_000  # that are remembered; the oldest are forgotten


class Database(NamedTuple):
    name: str
    since: datetime


@dataclass
class Session:
    user: str | None = None
    database: Database | None = None


class Sessions:
    """The sessions of one server."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._opening: dict[str, str | None] = {}  # thread → user of the session that it is opening

    def read(self, line: LogLine) -> None:
        """Note what a line says about a session's user.

        Hive logs the user without a session, and then, on the same thread, the session without a user.
        """
        message = line.message
        if OPENING.match(message):
            self._opening[line.thread] = None
        elif found := CLIENT_USER.match(message):
            self._opening[line.thread] = None if found[1] in ("", "null") else found[1]
        elif found := OPENED.match(message):
            if user := self._opening.pop(line.thread, None):
                self.session(found[1]).user = user
        elif found := CONNECTED.match(message):
            self.session(found[1]).user = found[2]
        elif line.thread in self._opening and (found := PROXY_USER.search(message)):
            self._opening[line.thread] = found[1]
        elif (found := AUDIT_USER.search(message)) and (session := AUDIT_SESSION.search(message)):
            self.session(session[1]).user = self.session(session[1]).user or found[1]

    def session(self, session: str) -> Session:
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
