"""Serves a SQLite database as Tiny, a fictitious warehouse, over ``multiprocessing.connection``.

    python server.py path/to/catalog.toml path/to/database

Reads the password from stdin, prints its port, and ends when stdin is closed. A client connects with the password as
authkey, sends its user, ``{"user": …}``, and then sends requests. All messages are JSON. A user's request is
``{"statement": …, "values": {…}}``. The responses are the column names, ``{"rows": […]}``, packets of rows, ``{"rows":
[…]}``, and ``{"end": true}``; or ``{"error": code, "text": …}``. The user ``control`` sends the orders of a test,
``{"order": …, "value": …}``. System views have the columns that ``catalog.toml`` documents.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import sqlite3
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import tomli

CONTROL, READER = "control", "monte_carlo"  # any other user can sign in but cannot read anything
ROWS_IN_A_PACKET = 50
SLOW_SECONDS = 5
VIEW = re.compile(r"\bsys_\w+", re.IGNORECASE)
LAST_ORDER = re.compile(r"\bORDER BY\b[^()]*$")
ERRORS = {
    "denied": ("DENIED", "permission denied"),
    "session ended": ("SESSION_ENDED", "the session has ended"),
    "timeout": ("TIMEOUT", "the statement took too long"),
}


class Cut(Exception):  # noqa: N818
    """Tells the server to close the connection here."""


@dataclass
class Fault:
    text: str
    kind: str
    after: int


@dataclass
class Orders:
    """The orders of the tests and the statements that ran."""

    denied: frozenset[str] = frozenset()
    rows_left: int | None = None
    clock_ahead: float = 0  # seconds
    faults: list[Fault] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def restore(self) -> None:
        self.denied, self.rows_left, self.clock_ahead, self.faults = frozenset(), None, 0, []

    def fault_of(self, statement: str) -> str | None:
        """Record a statement and return the fault that applies to it."""
        with self.lock:
            self.statements.append(statement)
            for fault in self.faults:
                if fault.text in statement:
                    if not fault.after:
                        return fault.kind
                    fault.after -= 1
        return None

    def handed_out(self, rows: list[Any]) -> list[Any]:
        """The rows that are still sent before the connection breaks."""
        with self.lock:
            if self.rows_left is None:
                return rows
            rows = rows[: self.rows_left]
            self.rows_left -= len(rows)
        return rows


class Tiny:
    """The warehouse: its documented views, their contents and their queries."""

    def __init__(self, catalog: Path, database: Path) -> None:
        views = tomli.loads(catalog.read_text(encoding="utf-8"))["views"]
        self.views = {name.lower(): list(view["columns"]) for name, view in views.items()}
        self.database = database
        self.orders = Orders()
        with closing(self.open()) as connection:
            # a client that is still reading does not block the next fill
            connection.execute("PRAGMA journal_mode = WAL")
            for name, view in views.items():
                columns = ", ".join(f'"{column}" {kind}' for column, kind in view["columns"].items())
                connection.execute(f"CREATE TABLE {name.lower()} ({columns})")

    def open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.database, timeout=60, isolation_level=None)

    # --- for users -------------------------------------------------------------------------------------------

    def answer(self, session: Any, user: str, statement: str, values: dict[str, Any]) -> None:
        fault = self.orders.fault_of(statement)
        if fault == "connection gone":
            raise Cut
        if fault in ERRORS:
            return self.refuse(session, *ERRORS[fault])
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        named = {view.lower() for view in VIEW.findall(statement)}
        denied = named if user != READER else named & self.orders.denied
        if denied:
            return self.refuse(session, "DENIED", f"permission denied for {', '.join(sorted(denied))}")
        try:
            self.run(session, statement, values)
        except sqlite3.Error as error:
            self.refuse(session, "SQL", str(error))
        return None

    def run(self, session: Any, statement: str, values: dict[str, Any]) -> None:
        """Send the rows, in random order unless the statement has ORDER BY."""
        if not LAST_ORDER.search(statement):
            statement = f"SELECT * FROM ({statement}) ORDER BY RANDOM()"
        with closing(self.open()) as connection:
            connection.create_function("server_time", 0, self.time)
            cursor = connection.execute(statement, values)
            send(session, rows=[column[0] for column in cursor.description])
            while rows := cursor.fetchmany(ROWS_IN_A_PACKET):
                handed_out = self.orders.handed_out(rows)
                send(session, rows=handed_out)
                if len(handed_out) < len(rows):
                    raise Cut
        send(session, end=True)

    def time(self) -> str:
        """The time by the warehouse's clock."""
        now = datetime.now(timezone.utc) + timedelta(seconds=self.orders.clock_ahead)
        return now.strftime("%Y-%m-%d %H:%M:%S")

    @staticmethod
    def refuse(session: Any, code: str, text: str) -> None:
        send(session, error=code, text=text)

    # --- for the tests -------------------------------------------------------------------------------------

    def order(self, order: str, value: Any = None) -> Any:
        """Execute an order of a test and return its result."""
        if order == "fill":
            self.fill(value)
        elif order == "deny":
            self.orders.denied = frozenset(view.lower() for view in value)
        elif order == "deny all":
            self.orders.denied = frozenset(self.views)
        elif order == "cut after":
            self.orders.rows_left = value
        elif order == "clock":
            self.orders.clock_ahead = value
        elif order == "fail":
            self.orders.faults.append(Fault(**value))
        elif order == "restore":
            self.orders.restore()
        elif order == "statements":
            return list(self.orders.statements)
        else:
            raise ValueError(order)
        return None

    def fill(self, content: dict[str, list[list[Any]]]) -> None:
        """Replace the contents of all views with these rows, in random order."""
        self.orders.restore()
        with closing(self.open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for view, columns in self.views.items():
                connection.execute(f"DELETE FROM {view}")
                rows = content.get(view, [])
                random.shuffle(rows)
                places = ", ".join("?" for _ in columns)
                connection.executemany(f"INSERT INTO {view} VALUES ({places})", rows)
            connection.execute("COMMIT")
        self.orders.statements.clear()


def send(session: Any, **message: Any) -> None:
    session.send_bytes(json.dumps(message).encode())


def serve(tiny: Tiny, session: Any) -> None:
    """Serve one client until it disconnects."""
    with closing(session), suppress(EOFError, OSError, Cut):
        user = json.loads(session.recv_bytes())["user"]
        while True:
            request = json.loads(session.recv_bytes())
            if user == CONTROL:
                send(session, answer=tiny.order(**request))
            else:
                tiny.answer(session, user, **request)


def accept(tiny: Tiny, listener: Listener) -> None:
    while True:
        with suppress(AuthenticationError, EOFError, OSError):
            session = listener.accept()
            send_at_once(session.fileno())
            Thread(target=serve, args=(tiny, session), daemon=True).start()


def send_at_once(descriptor: int) -> None:
    """Disable Nagle's algorithm: otherwise a second message waits 40 ms until the client has acknowledged the first."""
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(catalog: str, database: str) -> None:
    password = sys.stdin.readline().removesuffix("\n")
    tiny = Tiny(Path(catalog), Path(database))
    listener = Listener(("127.0.0.1", 0), backlog=50, authkey=password.encode())
    Thread(target=accept, args=(tiny, listener), daemon=True).start()
    print(listener.address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
