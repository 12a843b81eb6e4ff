"""Forwards the calls of HiveServer2's protocol to the genuine server, and applies the orders of tests to statements.

A session of a client is a session of the genuine server, on a connection of its own.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from TCLIService import TCLIService, ttypes  # type: ignore[import-untyped]
from thrift.protocol.TBinaryProtocol import TBinaryProtocol  # type: ignore[import-untyped]
from thrift.transport.TSocket import TSocket  # type: ignore[import-untyped]
from thrift.transport.TTransport import TBufferedTransport, TTransportException  # type: ignore[import-untyped]

from tests.warehouses.hive.launch import HOST, HiveServer
from tests.warehouses.hive.orders import Fault, Orders, Received

# The operation of a command, as messages name it. The names are those of Hive's source:
# https://github.com/apache/hive/blob/rel/release-2.3.9/ql/src/java/org/apache/hadoop/hive/ql/security/authorization/plugin/HiveOperationType.java
OPERATIONS = {
    "SHOW DATABASES": "SHOWDATABASES",
    "SHOW SCHEMAS": "SHOWDATABASES",
    "SHOW TABLES": "SHOWTABLES",
    "SHOW VIEWS": "SHOWVIEWS",
    "SHOW PARTITIONS": "SHOWPARTITIONS",
    "SHOW TBLPROPERTIES": "SHOW_TBLPROPERTIES",
    "SHOW CREATE": "SHOW_CREATETABLE",
    "DESCRIBE DATABASE": "DESCDATABASE",
    "DESCRIBE FORMATTED": "DESCTABLE",
    "DESCRIBE EXTENDED": "DESCTABLE",
}
# The message of Hive's own authorization, as users report it: https://github.com/ExpediaGroup/waggle-dance/issues/117.
# test_testbed.py compares it with the genuine server's.
DENIED = (
    "Error while compiling statement: FAILED: HiveAccessControlException Permission denied: "
    "Principal [name={user}, type=USER] does not have following privileges for operation {operation} "
    "[[SELECT] on Object [type={type}, name={name}]]"
)
# https://github.com/apache/hive/blob/0046932a660ff613ea32ca053bec92ad3cf9579d/service/src/java/org/apache/hive/service/cli/operation/Operation.java
TIMED_OUT = "Expected states: [FINISHED], but found TIMEDOUT"
DENIED_CODE, DENIED_STATE = 40000, "42000"
# The language manual says of all other lists that they are ordered. These have one column.
UNORDERED = re.compile(r"\s*SHOW\s+(DATABASES|SCHEMAS)\b", re.IGNORECASE)
NAME = re.compile(r"((?:`[^`]+`|\w+)(?:\.(?:`[^`]+`|\w+))?)\s*;?\s*$")


@dataclass
class Session:
    """A client's session and its connection to the genuine server, used by one thread at a time."""

    user: str
    client: Any
    transport: Any
    handle: Any = None
    lock: Lock = field(default_factory=Lock)


@dataclass
class Sessions:
    """The open sessions of a front, by the identifiers in their handles and in those of their operations; operations
    that timed out, and those whose rows have no order.
    """

    by_handle: dict[bytes, Session] = field(default_factory=dict)
    by_operation: dict[bytes, Session] = field(default_factory=dict)
    timed_out: set[bytes] = field(default_factory=set)
    unordered: set[bytes] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def of(self, request: Any) -> Session | None:
        """The session of a request, or None if the request names none that is open."""
        with self.lock:
            if getattr(request, "sessionHandle", None) is not None:
                return self.by_handle.get(request.sessionHandle.sessionId.guid)
            return self.by_operation.get(request.operationHandle.operationId.guid)

    def close_all(self) -> None:
        with self.lock:
            sessions = list(self.by_handle.values())
            self.by_handle.clear()
            self.by_operation.clear()
        for session in sessions:
            session.transport.close()


class Handler:
    """Answers the calls of one client connection as ``user``; with HTTP, of one request. Methods are named as in the
    protocol.
    """

    def __init__(self, server: HiveServer, orders: Orders, sessions: Sessions, user: str | None) -> None:
        self._server, self._orders, self._sessions, self._user = server, orders, sessions, user
        self.opened: list[Session] = []

    # --- calls that are more than forwarded -------------------------------------------------------------

    def OpenSession(self, request: Any) -> Any:  # noqa: N802
        transport = TBufferedTransport(TSocket(HOST, self._server.port))
        transport.open()
        user = self._user or request.username or "anonymous"
        session = Session(user, TCLIService.Client(TBinaryProtocol(transport)), transport)
        request.username = user
        response = session.client.OpenSession(request)
        if response.sessionHandle is not None:
            session.handle = response.sessionHandle
            with self._sessions.lock:
                self._sessions.by_handle[session.handle.sessionId.guid] = session
            self.opened.append(session)
        return response

    def CloseSession(self, request: Any) -> Any:  # noqa: N802
        session = self._sessions.of(request)
        response = self._forward("CloseSession", request)
        if session is not None:
            self.close(session)
        return response

    def ExecuteStatement(self, request: Any) -> Any:  # noqa: N802
        session = self._session(request)
        with self._orders.lock:
            self._orders.received.append(Received(session.user, request.statement))
        fault = self._orders.fault(session.user, request.statement)
        if fault is not None and (failed := self._fail(fault, session, request)) is not None:
            return failed
        response = self._forward("ExecuteStatement", request)
        if response.operationHandle is not None:
            self._note(response.operationHandle.operationId.guid, session, request.statement, fault)
        return response

    def _note(self, operation: bytes, session: Session, statement: str, fault: Fault | None) -> None:
        with self._sessions.lock:
            self._sessions.by_operation[operation] = session
            if fault is not None and fault.kind == "timeout":
                self._sessions.timed_out.add(operation)
            if UNORDERED.match(statement):
                self._sessions.unordered.add(operation)

    def FetchResults(self, request: Any) -> Any:  # noqa: N802
        if self._is_timed_out(request):
            return ttypes.TFetchResultsResp(_error(TIMED_OUT))
        response = self._forward("FetchResults", request)
        rows = _rows(response)
        if self._orders.sendable(rows) < rows:
            raise TTransportException(message="the connection breaks here")
        if rows and request.operationHandle.operationId.guid in self._sessions.unordered:
            random.shuffle(_values(response.results.columns[0]))
        return response

    def GetOperationStatus(self, request: Any) -> Any:  # noqa: N802
        response = self._forward("GetOperationStatus", request)
        if self._is_timed_out(request):
            response.operationState = ttypes.TOperationState.TIMEDOUT_STATE
        return response

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        """Every other call of the protocol is forwarded."""
        if not hasattr(TCLIService.Iface, name):
            raise AttributeError(name)
        return lambda request: self._forward(name, request)

    # --- sessions ---------------------------------------------------------------------------------------

    def close(self, session: Session) -> None:
        session.transport.close()
        with self._sessions.lock:
            self._sessions.by_handle.pop(session.handle.sessionId.guid, None)
            operations = [guid for guid, each in self._sessions.by_operation.items() if each is session]
            for guid in operations:
                del self._sessions.by_operation[guid]

    def _session(self, request: Any) -> Session:
        session = self._sessions.of(request)
        if session is None:
            raise TTransportException(message="no such session")
        return session

    def _forward(self, name: str, request: Any) -> Any:
        session = self._session(request)
        with session.lock:
            return getattr(session.client, name)(request)

    def _is_timed_out(self, request: Any) -> bool:
        return request.operationHandle.operationId.guid in self._sessions.timed_out

    # --- faults -----------------------------------------------------------------------------------------

    def _fail(self, fault: Fault, session: Session, request: Any) -> Any:
        """The answer to a statement with a fault. None if the statement runs."""
        if fault.kind == "denied":
            message = denied(session.user, request.statement)
            return ttypes.TExecuteStatementResp(_error(message, DENIED_STATE, DENIED_CODE))
        if fault.kind == "error":
            return ttypes.TExecuteStatementResp(_error(fault.message, fault.sql_state, fault.error_code))
        if fault.kind == "connection gone":
            raise TTransportException(message="the connection breaks here")
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        elif fault.kind == "session ended":
            with session.lock:  # from now on the genuine server refuses the session itself
                session.client.CloseSession(ttypes.TCloseSessionReq(session.handle))
        elif fault.kind == "dropped":
            database, table = named(request.statement)
            self._server.drop(database, table)
        return None


def denied(user: str, statement: str) -> str:
    """Hive's message for a user who lacks the right to run a statement."""
    first, _, rest = statement.strip().partition(" ")
    command = f"{first} {rest.split()[0]}".upper()
    database, table = named(statement) if len(rest.split()) > 1 else ("default", "")
    kind, name = ("TABLE_OR_VIEW", f"{database}.{table}") if table else ("DATABASE", database)
    return DENIED.format(user=user, operation=OPERATIONS.get(command, "QUERY"), type=kind, name=name)


def named(statement: str) -> tuple[str, str]:
    """The database and the table that a statement ends with. The table is empty if it ends with a database."""
    match = NAME.search(statement)
    parts = [part.strip("`") for part in match[1].split(".")] if match else [""]
    return (parts[0], parts[1]) if len(parts) == 2 else (parts[0], "")


def _rows(response: Any) -> int:
    columns = response.results.columns if response.results is not None else []
    return len(_values(columns[0])) if columns else 0


def _values(column: Any) -> list[Any]:
    return next(part.values for part in vars(column).values() if part is not None)


def _error(message: str, sql_state: str | None = None, code: int = 0) -> Any:
    """A status with an error, as HiveServer2 sends it: the messages of the exceptions, and their stack."""
    infos = [f"*org.apache.hive.service.cli.HiveSQLException:{message}:17:16", "org.example.Frame:run:Frame.java:1"]
    status = ttypes.TStatusCode.ERROR_STATUS
    return ttypes.TStatus(status, infoMessages=infos, sqlState=sql_state, errorCode=code, errorMessage=message)
