"""The Thrift service of a SQL warehouse: sessions, statements, results.

The protocol is that of the driver's own stubs (TCLIService.thrift, an extension of HiveServer2's).
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import duckdb  # type: ignore[import-not-found, unused-ignore]

from tests.warehouses.databricks import commands
from tests.warehouses.databricks.errors import (
    ConnectionGone,
    InvalidSession,
    Refused,
    denied,
    timed_out,
    unknown_column,
)
from tests.warehouses.databricks.faults import StatementFault
from tests.warehouses.databricks.results import ROWS_OF_A_FETCH, Rows
from tests.warehouses.databricks.stubs import ttypes
from tests.warehouses.databricks.translation import translate
from tests.warehouses.databricks.world import Session, World

POLL_SECONDS = 0.2
OK = ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)
DEFAULT_CATALOG = "main"


@dataclass
class Operation:
    """A statement: its result or its error, and when it is finished."""

    run: Callable[[], Rows]
    ready: float = 0.0
    rows: Rows | None = None
    error: Refused | None = None
    is_canceled: bool = False

    @property
    def state(self) -> int:
        if self.is_canceled:
            return int(ttypes.TOperationState.CANCELED_STATE)
        if time.monotonic() < self.ready:
            return int(ttypes.TOperationState.RUNNING_STATE)
        if self.rows is None and self.error is None:
            try:
                self.rows = self.run()
            except Refused as error:
                self.error = error
        return int(ttypes.TOperationState.ERROR_STATE if self.error else ttypes.TOperationState.FINISHED_STATE)


@dataclass
class Service:
    """Sessions and operations of all clients. ``closed`` counts the sessions that clients closed."""

    world: World
    sessions: dict[bytes, Session] = field(default_factory=dict)
    operations: dict[bytes, Operation] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    opened: list[dict[str, Any]] = field(default_factory=list)
    closed: int = 0
    lock: Lock = field(default_factory=Lock, repr=False)

    def clear(self) -> None:
        self.statements.clear()
        self.opened.clear()
        self.operations.clear()
        self.closed = 0


class Calls:
    """The methods of the service for one HTTP request. ``is_gone``: the connection must break."""

    def __init__(self, service: Service, principal: str, sees_data: bool) -> None:
        self._service, self._principal, self._sees_data = service, principal, sees_data
        self.is_gone = False

    @property
    def _orders(self) -> Any:
        return self._service.world.orders

    # --- sessions ---------------------------------------------------------------------------------------

    def OpenSession(self, request: Any) -> Any:  # noqa: N802
        given = request.initialNamespace
        catalog = (given and given.catalogName) or DEFAULT_CATALOG
        session = Session(self._principal, self._sees_data, catalog, (given and given.schemaName) or "default")
        handle = uuid.uuid4().bytes
        self._service.sessions[handle] = session
        settings = dict(request.configuration or {})
        self._service.opened.append({"catalog": session.catalog, "schema": session.schema, "settings": settings})
        return ttypes.TOpenSessionResp(
            status=OK,
            serverProtocolVersion=ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V6,
            sessionHandle=ttypes.TSessionHandle(ttypes.THandleIdentifier(handle, os.urandom(16))),
            configuration={},
            initialNamespace=given,
            canUseMultipleCatalogs=True,
        )

    def CloseSession(self, request: Any) -> Any:  # noqa: N802
        if self._service.sessions.pop(request.sessionHandle.sessionId.guid, None) is not None:
            self._service.closed += 1
        return ttypes.TCloseSessionResp(status=OK)

    # --- statements -------------------------------------------------------------------------------------

    def ExecuteStatement(self, request: Any) -> Any:  # noqa: N802
        text = request.statement
        self._service.statements.append(text)
        fault = self._orders.statement_fault(text)
        guid = request.sessionHandle.sessionId.guid
        try:
            session = self._session(guid, fault)
        except InvalidSession:
            return ttypes.TExecuteStatementResp(status=_invalid(guid))
        except ConnectionGone:
            self.is_gone = True
            return ttypes.TExecuteStatementResp(status=OK)
        is_arrow = bool(request.canReadArrowResult)
        operation = Operation(lambda: self._run(session, text, request.parameters or [], is_arrow))
        _apply(operation, fault, text)
        handle = uuid.uuid4().bytes
        self._service.operations[handle] = operation
        identifier = ttypes.THandleIdentifier(handle, os.urandom(16))
        return ttypes.TExecuteStatementResp(
            status=OK,
            operationHandle=ttypes.TOperationHandle(identifier, ttypes.TOperationType.EXECUTE_STATEMENT, True),
            directResults=self._direct(operation, request),
        )

    def _session(self, guid: bytes, fault: StatementFault | None) -> Session:
        if fault and fault.kind == "connection gone":
            raise ConnectionGone
        if fault and fault.kind == "session ended":
            self._service.sessions.pop(guid, None)
        if guid not in self._service.sessions:
            raise InvalidSession
        return self._service.sessions[guid]

    def _run(self, session: Session, text: str, parameters: list[Any], is_arrow: bool) -> Rows:
        world = self._service.world
        if (result := commands.run(world, session, text)) is not None:
            return Rows(world.storage.table_of(result.columns, result.rows), is_arrow)
        sql = translate(text, parameters, lambda parts: world.source(session, parts), world.orders.now())
        try:
            return Rows(world.storage.relation(sql), is_arrow)
        except duckdb.BinderException as error:
            raise unknown_column(str(error).splitlines()[0]) from None
        except duckdb.Error as error:
            raise Refused(f"[INTERNAL_ERROR] the local server: {error} SQLSTATE: XX000", "XX000") from None

    def _direct(self, operation: Operation, request: Any) -> Any:
        """Status, metadata and first rows of a finished statement, with the response to it."""
        if request.getDirectResults is None:
            return None
        status = _status(operation)
        found = ttypes.TSparkDirectResults(operationStatus=status)
        if operation.rows is not None and status.operationState == ttypes.TOperationState.FINISHED_STATE:
            found.resultSetMetadata = operation.rows.metadata()
            found.resultSet = self._fetched(operation.rows, request.getDirectResults.maxRows)
            if not found.resultSet.hasMoreRows:
                found.closeOperation = ttypes.TCloseOperationResp(status=OK)
        return found

    # --- operations -------------------------------------------------------------------------------------

    def GetOperationStatus(self, request: Any) -> Any:  # noqa: N802
        operation = self._service.operations[request.operationHandle.operationId.guid]
        if operation.state == ttypes.TOperationState.RUNNING_STATE:
            time.sleep(POLL_SECONDS)
        return _status(operation)

    def GetResultSetMetadata(self, request: Any) -> Any:  # noqa: N802
        return self._rows(request).metadata()

    def FetchResults(self, request: Any) -> Any:  # noqa: N802
        return self._fetched(self._rows(request), request.maxRows)

    def CloseOperation(self, request: Any) -> Any:  # noqa: N802
        self._service.operations.pop(request.operationHandle.operationId.guid, None)
        return ttypes.TCloseOperationResp(status=OK)

    def CancelOperation(self, request: Any) -> Any:  # noqa: N802
        if operation := self._service.operations.get(request.operationHandle.operationId.guid):
            operation.is_canceled = True
        return ttypes.TCancelOperationResp(status=OK)

    def _rows(self, request: Any) -> Rows:
        rows = self._service.operations[request.operationHandle.operationId.guid].rows
        assert rows is not None
        return rows

    def _fetched(self, rows: Rows, asked: int | None) -> Any:
        limit = min(asked or ROWS_OF_A_FETCH, self._orders.rows_of_a_fetch or ROWS_OF_A_FETCH, rows.waiting)
        number = self._orders.sendable(limit)
        if limit and not number:
            self.is_gone = True
        sent = rows.take(number)
        return ttypes.TFetchResultsResp(
            status=OK, hasMoreRows=rows.has_more, results=sent, resultSetMetadata=rows.metadata()
        )


def _invalid(guid: bytes) -> Any:
    text = f"Invalid SessionHandle: SessionHandle [{uuid.UUID(bytes=guid)}]"
    code = ttypes.TStatusCode.ERROR_STATUS
    return ttypes.TStatus(statusCode=code, errorMessage=text, displayMessage=text, sqlState="HY000")


def _apply(operation: Operation, fault: StatementFault | None, text: str) -> None:
    if fault is None:
        return
    if fault.kind == "slow":
        operation.ready = time.monotonic() + fault.seconds
    elif fault.kind == "denied":
        operation.error = denied("SELECT", "Table", "of the statement")
    elif fault.kind == "timeout":
        operation.error = timed_out()
    elif fault.kind == "error":
        operation.error = Refused(fault.message, fault.state)
    else:
        raise ValueError(f"unknown fault {fault.kind} of {text}")


def _status(operation: Operation) -> Any:
    found = ttypes.TGetOperationStatusResp(status=OK, operationState=operation.state)
    if operation.error is not None:
        found.errorMessage = found.displayMessage = operation.error.text
        found.sqlState = operation.error.state
    return found
