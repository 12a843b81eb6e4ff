"""Sessions of a SQL warehouse: opens them, runs statements, retries while the warehouse starts, cancels, closes.

The connector retries a request itself, but gives up at the first response 503 if its limit is shorter than its longest
pause, and it never retries a statement whose session is gone. So it gets short limits here, and this module repeats
statements until its own limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from databricks.sql.client import Connection
from databricks.sql.exc import Error, InterfaceError
from error_table import is_retried, is_session_lost, message
from mcpush.console import log
from mcpush.interrupts import interruptible

FETCH_ROWS = 10_000  # rows that the connector holds for each open result
FETCH_BYTES = 10_000_000
LONGEST_PAUSE = 15.0  # seconds between two attempts
# Seconds that a run waits at its end for the warehouse to cancel a statement or close a session.
CLOSE_SECONDS = 5.0


class _Connection(Connection):
    """A connection that can be deleted even if it failed before it had a session."""

    @property
    def open(self) -> bool:
        return hasattr(self, "session") and bool(super().open)


class Session:
    """A session, opened when first used, and again if it is gone. For one thread at a time."""

    def __init__(self, arguments: dict[str, Any], retry_seconds: float) -> None:
        self._arguments, self._retry_seconds = arguments, retry_seconds
        self._connection: Any = None
        self._cursor: Any = None
        self._is_closed = False

    def open(self) -> None:
        """Connects. Raises the connector's errors when retries do not help."""
        self._retrying(self._connected)

    def execute(self, statement: str, values: dict[str, Any], *, is_streamed: bool = True) -> Any:
        """Runs a statement, and returns the cursor with its result. Repeats a statement: it must only read.

        If it is not streamed, the next such statement of this session ends the result.
        """
        return self._retrying(lambda: self._attempt(statement, values, is_streamed))

    def close(self) -> None:
        """Ends the session, and the statements in it. Waits a few seconds at most."""
        self._is_closed = True
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            in_background(connection.close)

    # --- attempts ---------------------------------------------------------------------------------------

    def _attempt(self, statement: str, values: dict[str, Any], is_streamed: bool) -> Any:
        cursor = self._new_cursor() if is_streamed else self._reused_cursor()
        try:
            cursor.execute(statement, values or None)
        except BaseException as error:
            if not isinstance(error, Error) and cursor.active_command_id is not None:
                in_background(cursor.cancel)  # nobody waits for it any longer
            raise
        return cursor

    def _new_cursor(self) -> Any:
        return self._connected().cursor(arraysize=FETCH_ROWS, buffer_size_bytes=FETCH_BYTES)

    def _reused_cursor(self) -> Any:
        """The connection keeps every cursor that it has opened, and so statements that follow each other share one."""
        if self._connection is None or self._cursor is None:
            self._cursor = self._new_cursor()
        return self._cursor

    def _connected(self) -> Any:
        if self._is_closed:  # a thread of a pool can outlive the run
            raise InterfaceError("the session is closed")  # type: ignore[no-untyped-call]
        if self._connection is None:
            self._connection = _Connection(**self._arguments)
        return self._connection

    def _retrying(self, attempt: Callable[[], Any]) -> Any:
        """The result of an attempt. Repeats it for as long as the warehouse may need to start."""
        deadline, pause = time.monotonic() + self._retry_seconds, 0.5
        while True:
            try:
                with interruptible():
                    return attempt()
            except Exception as error:
                if is_session_lost(error):
                    self._connection = self._cursor = None
                if not is_retried(error) or time.monotonic() + pause > deadline:
                    raise
                # The interpreter cannot exit cleanly while a daemon thread writes to stderr.
                if threading.current_thread() is threading.main_thread():
                    log.info("waiting for the SQL warehouse: %s", message(error))
            with interruptible():
                time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class SessionsOfThreads:
    """A session for each thread that asks for one."""

    def __init__(self, new: Callable[[], Session]) -> None:
        self._new, self._local, self._all = new, threading.local(), list[Session]()

    def session(self) -> Session:
        found = getattr(self._local, "session", None)
        if not isinstance(found, Session):
            found = self._local.session = self._new()
            self._all.append(found)
        return found

    def close(self) -> None:
        """Ends all sessions at the same time. A thread can still be waiting for one: its statement fails."""
        in_background(*(each.close for each in self._all))


def in_background(*calls: Callable[[], object]) -> None:
    """Calls in threads, and waits a few seconds at most: the warehouse or the network can be gone. Hides errors."""
    threads = [threading.Thread(target=_quietly, args=(call,), name="close", daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + CLOSE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _quietly(call: Callable[[], object]) -> None:
    with suppress(Exception):  # must not hide the result or error of the run
        call()
