"""Connects to HiveServer2 and runs statements, for the scripts in this folder that need a server.

The configuration comes from environment variables (see README.md). Needs ``pyhive[hive-pure-sasl]`` 0.7.

    with connect() as hive:
        for row in hive.rows(DatabaseRow, "SHOW DATABASES"):
            ...

Runs only SHOW, DESCRIBE and SELECT. The driver also runs USE when it opens a session.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from error_table import is_dropped, read_error
from mcpush.collect.driver_errors import Scope, explained, has_scope
from mcpush.collect.rows import R, Rows, fetch_in_batches, named_rows
from mcpush.console import log
from mcpush.errors import ConfigurationError, PushIngestionError
from mcpush.interrupts import interruptible
from pyhive import hive  # type: ignore[import-untyped]
from signing_in import SignIn, described
from variables import Settings, settings_from_environment

for _name in ("pyhive", "thrift", "puresasl"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # their messages repeat statements and the errors

FETCH_ROWS = 1_000  # rows fetched at a time
CLOSE_SECONDS = 5  # how long the end of a run waits for the server


# --- statements ---------------------------------------------------------------------------------------------


class Session:
    """A session of HiveServer2, used by one thread at a time."""

    def __init__(self, connection: Any, socket: Any) -> None:
        self._connection, self._socket = connection, socket

    def rows(self, kind: type[R], sql: str, **values: object) -> Rows[R]:
        """Runs the statement now and streams its rows as ``kind``. Values are bound to ``%(name)s``."""
        cursor = self._connection.cursor(arraysize=FETCH_ROWS)
        with interruptible():
            cursor.execute(sql, values or None)
            # Hive can put the table before the name (hive.resultset.use.unique.column.names):
            # https://hive.apache.org/docs/latest/user/configuration-properties/
            columns = [column[0].rpartition(".")[2] for column in cursor.description or []]
        return named_rows(kind, columns, _fetched(cursor))

    def run(self, sql: str) -> None:
        """Runs a statement that returns no rows."""
        cursor = self._connection.cursor()
        with interruptible():
            cursor.execute(sql)
            cursor.close()

    def close(self) -> None:
        with suppress(Exception):  # must not hide the result or error of the run
            self._socket.limit(CLOSE_SECONDS)
            self._connection.close()
        self.discard()

    def discard(self) -> None:
        """Closes the connection only. The server then ends the session (hive.server2.close.session.on.disconnect)."""
        with suppress(Exception):
            self._socket.close()


def _fetched(cursor: Any) -> Iterator[Any]:
    yield from fetch_in_batches(cursor, FETCH_ROWS)
    with interruptible():
        cursor.close()


@dataclass(frozen=True)
class Hive:
    """A server: the main session, and the sessions of threads, opened on request and used again."""

    main: Session
    settings: Settings
    sign_in: SignIn
    sessions: Sessions

    def rows(self, kind: type[R], sql: str, **values: object) -> Rows[R]:
        """Runs the statement now in the main session and streams its rows as ``kind``."""
        return self.main.rows(kind, sql, **values)

    def read(self, kind: type[R], sql: str, setting: str | None = None) -> list[R]:
        """All rows of a statement, from any thread, in a session of its own in which ``setting`` was run.

        A session that was idle can have been dropped by a load balancer: then it reads again in a new one.
        """
        idle = self.sessions.take(setting)
        if idle is not None:
            try:
                return self._read(idle, kind, sql, setting)
            except Exception as error:
                if not is_dropped(error):
                    raise
        session = self.sessions.add(_open(self.settings, self.sign_in))
        if setting is not None:
            session.run(setting)
        return self._read(session, kind, sql, setting)

    def _read(self, session: Session, kind: type[R], sql: str, setting: str | None) -> list[R]:
        try:
            found = list(session.rows(kind, sql))
        except BaseException as error:
            if is_statement_error(error):
                self.sessions.give_back(session, setting)
            else:
                self.sessions.discard(session)
            raise
        self.sessions.give_back(session, setting)
        return found


@dataclass
class Sessions:
    """The sessions of threads: all that are open, and by their setting those that no thread uses now."""

    idle: dict[str | None, list[Session]] = field(default_factory=dict)
    opened: list[Session] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, setting: str | None) -> Session | None:
        with self.lock:
            found = self.idle.get(setting)
            return found.pop() if found else None

    def add(self, session: Session) -> Session:
        with self.lock:
            self.opened.append(session)
        return session

    def give_back(self, session: Session, setting: str | None) -> None:
        with self.lock:
            self.idle.setdefault(setting, []).append(session)

    def discard(self, session: Session) -> None:
        with self.lock:
            self.opened.remove(session)
        session.discard()

    def close(self) -> None:
        """Ends idle sessions. Discards the others: their threads wait for answers that nobody needs."""
        with self.lock:
            idle = [session for sessions in self.idle.values() for session in sessions]
            busy = [session for session in self.opened if session not in idle]
        for session in idle:
            session.close()
        for session in busy:
            session.discard()


def quote(identifier: str) -> str:
    """Returns the identifier in backquotes, with embedded backquotes doubled.

    https://hive.apache.org/docs/latest/language/languagemanual-ddl/
    """
    return "`" + identifier.replace("`", "``") + "`"


# --- connecting ---------------------------------------------------------------------------------------------


@contextmanager
def connect() -> Iterator[Hive]:
    """Opens the main session and closes all sessions at the end. Logs the sign-in method to stderr.

    Raises ConfigurationError if variables are missing or contradictory, and the errors that ``explain`` converts.
    """
    settings = settings_from_environment()
    sign_in = SignIn(settings)
    log.info("connecting to HiveServer2: %s", described(settings))
    with interruptible():
        main = _open(settings, sign_in)
    found = Hive(main, settings, sign_in, Sessions())
    try:
        yield found
    finally:
        found.sessions.close()
        main.close()


def _open(settings: Settings, sign_in: SignIn) -> Session:
    transport, socket = sign_in.transport()
    try:
        connection = hive.Connection(username=settings.user, database=settings.database, thrift_transport=transport)
    except AssertionError as error:
        raise ConfigurationError(
            f"The protocol of this HiveServer2 is too old for the driver: {error}.", "Upgrade Hive to 0.13 or later."
        ) from None
    socket.limit(settings.timeout)
    return Session(connection, socket)


# --- errors -------------------------------------------------------------------------------------------------


def explain(error: BaseException) -> PushIngestionError | None:
    """Converts an error of HiveServer2 or the connection to a PushIngestionError with a remedy; None for others."""
    return explained(read_error(error))


def is_unreadable(error: BaseException) -> bool:
    """Whether the server refuses access to a database or table, or does not find it."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE)


def is_statement_error(error: BaseException) -> bool:
    """Whether only this statement failed and the session can continue."""
    return has_scope(read_error(error), Scope.OBJECT, Scope.DATABASE, Scope.STATEMENT)
