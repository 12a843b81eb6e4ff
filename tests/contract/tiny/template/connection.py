"""Opens sessions in Tiny and runs statements. Only this module uses the driver.

Tiny is a fictitious warehouse for the tests. Its driver is ``multiprocessing.connection`` of the standard library.
Messages are JSON, the password is the authkey, and rows arrive in packets.

    with connect() as warehouse:
        for row in warehouse.rows(TableRow, "SELECT …", database="shop"):
            ...
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from typing import Any, NamedTuple

from mcpush.collect.catalog import SortedRows, read_or_skip
from mcpush.collect.clock import NO_CLOCK
from mcpush.collect.collector import Options
from mcpush.collect.driver_errors import DriverError, ErrorCase, ErrorTable, Scope, explained, has_scope
from mcpush.collect.rows import R, Rows, named_rows
from mcpush.encryption import require_encryption
from mcpush.environment import checked, host_name, whole_number
from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError
from mcpush.interrupts import interruptible

# https://tiny.example/docs/server_time
CLOCK_SQL = "SELECT SERVER_TIME() AS warehouse_time"


class ClockRow(NamedTuple):
    warehouse_time: str


# --- sessions --------------------------------------------------------------------------------------------


class TinyError(Exception):
    """An error that the server returned instead of rows."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Warehouse:
    """A server and the user who signs in. Each statement has its own session, so that results can be merged."""

    host: str
    port: int
    user: str
    password: str

    def rows(self, kind: type[R], sql: str, **values: str) -> Rows[R]:
        """Run the statement immediately and return its rows as ``kind``. ``:name`` in the SQL binds a value."""
        packets = self._packets({"statement": sql, "values": values})
        columns = next(packets)
        return named_rows(kind, columns, (row for packet in packets for row in packet))

    def sorted_rows(self, options: Options, reason: str, kind: type[R], sql: str, database: str) -> SortedRows[R]:
        """The rows of one database, ordered by schema and name. If they are denied, counts the reason and returns no
        rows.
        """
        found = read_or_skip(options, reason, lambda: self.rows(kind, sql, database=database), is_denied)
        return SortedRows(found or (), key=lambda row: (row[0], row[1]))

    def check(self) -> None:
        """Sign in once. Raises the driver's errors."""
        self._session().close()

    def _session(self) -> Any:
        with interruptible():
            session = Client((self.host, self.port), authkey=self.password.encode())
            session.send_bytes(json.dumps({"user": self.user}).encode())
        return session

    def _packets(self, request: dict[str, object]) -> Iterator[list[Any]]:
        """The column names, then the rows in packets. Raises TinyError, EOFError and ConnectionError."""
        session = self._session()
        try:
            session.send_bytes(json.dumps(request).encode())
            while True:
                with interruptible():
                    answer = json.loads(session.recv_bytes())
                if "error" in answer:
                    raise TinyError(answer["error"], answer["text"])
                if "end" in answer:
                    return
                yield answer["rows"]
        finally:
            session.close()


@contextmanager
def connect() -> Iterator[Warehouse]:
    """A warehouse that accepted the password. Raises ConfigurationError and the driver's errors."""
    host, port, user, password = map(_variable, ("TINY_HOST", "TINY_PORT", "TINY_USER", "TINY_PASSWORD"))
    host = checked("TINY_HOST", host, host_name)
    require_encryption("TINY_HOST", host)  # Tiny has no TLS
    warehouse = Warehouse(host, checked("TINY_PORT", port, whole_number(1, 65_535)), user, password)
    warehouse.check()
    yield warehouse


def _variable(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise ConfigurationError(f"{name} is not set", "Set the variables that README.md lists.")


def clock(warehouse: Warehouse, options: Options) -> datetime | None:
    """The time of Tiny, by which windows end. Counts it and returns None if it is denied."""
    found = read_or_skip(options, NO_CLOCK, lambda: list(warehouse.rows(ClockRow, CLOCK_SQL)), is_denied)
    return moment(found[0].warehouse_time) if found else None


def bound(time: datetime) -> str:
    """A time in the format of the system views."""
    return time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(" ")


def moment(text: str) -> datetime:
    """A time from the system views, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


# --- errors ----------------------------------------------------------------------------------------------

# https://tiny.example/docs/errors
SERVER = ErrorTable(
    "Tiny",
    cases=(
        ErrorCase(RefusedError, "Grant this user what README.md lists.", codes=("DENIED",), scope=Scope.OBJECT),
        ErrorCase(
            UnavailableError,
            "Run it again when the warehouse is less busy.",
            codes=("TIMEOUT",),
            scope=Scope.TOO_MUCH,
        ),
        ErrorCase(UnavailableError, "Run the same command again.", codes=("SESSION_ENDED",)),
    ),
    other=ErrorCase(
        UnavailableError, "If it fails again, the code says what Tiny refused.", scope=Scope.STATEMENT, note=" ({code})"
    ),
)
NETWORK = ErrorTable(
    "Tiny",
    cases=(ErrorCase(RefusedError, "Check TINY_PASSWORD.", types=(AuthenticationError,)),),
    other=ErrorCase(UnavailableError, "Check the network and TINY_HOST, then run the same command again."),
)


def _read_error(error: BaseException) -> DriverError | None:
    if isinstance(error, TinyError):
        return DriverError(SERVER, error, error.code, str(error))
    if isinstance(error, (AuthenticationError, EOFError, ConnectionError, TimeoutError, socket.gaierror)):
        return DriverError(NETWORK, error, None, str(error) or "the connection was closed")
    return None


def explain(error: BaseException) -> PushIngestionError | None:
    """Convert an error of the driver to a library error with a remedy. Returns None for any other error."""
    return explained(_read_error(error))


def is_denied(error: BaseException) -> bool:
    """Whether this user has no grant on a view. Other views may still be readable."""
    return has_scope(_read_error(error), Scope.OBJECT)


def is_too_much(error: BaseException) -> bool:
    """Whether the statement timed out. A shorter window may succeed."""
    return has_scope(_read_error(error), Scope.TOO_MUCH)
