"""The embedded Snowflake: fakesnow's engine (DuckDB) behind the parts of Snowflake's wire protocol that drivers use.

Speaks HTTP on the loopback interface to snowflake-connector-python 3 to 5, unchanged. Implements what fakesnow's own
server does not have: real logins and refusals, results in chunks, the documented system views (see
``system_views.py``), SHOW, simplified privileges, and faults on request. Runs in its own environment
(``requirements.txt`` in this folder):

    python -m tests.warehouses.snowflake.server --port 0

prints ``listening on <port>`` and serves until it is ended. Tests control it through ``/testbed/…``:

    POST /testbed/users      a user (fields of ``accounts.User``)
    POST /testbed/sql        {"sql": DuckDB SQL} → {"rows": […]}; facts are in the database ``facts``
    POST /testbed/rows       {"table": "INFORMATION_SCHEMA.TABLES", "columns": {"TABLE_NAME": […], …}}
    POST /testbed/denials    [{"role": "ANALYST" or "*", "object": "SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY"}, …]
    POST /testbed/faults     [{fields of ``faults.Fault``}, …]
    POST /testbed/clock      {"ahead": seconds}: the clock of the account, compared with this machine's
    POST /testbed/reset      delete facts, denials, faults, sessions and statements (users stay)
    GET  /testbed/sessions   who logged in, how, with which session parameters
    GET  /testbed/statements the statements that clients sent, in order
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import itertools
import json
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb  # type: ignore[import-not-found, unused-ignore]
import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
import snowflake.connector.errors as connector_errors
import uvicorn
from fakesnow import macros  # type: ignore[import-not-found, unused-ignore]
from fakesnow.converter import from_binding  # type: ignore[import-not-found, unused-ignore]
from fakesnow.instance import FakeSnow  # type: ignore[import-not-found, unused-ignore]
from sqlglot import exp
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.warehouses.snowflake import errors, system_views
from tests.warehouses.snowflake.accounts import User, Users
from tests.warehouses.snowflake.arrow_results import Result, write_result
from tests.warehouses.snowflake.catalog import documented_catalog
from tests.warehouses.snowflake.faults import Fault, Faults
from tests.warehouses.snowflake.statements import (
    AlterSession,
    Change,
    Context,
    Name,
    Query,
    Show,
    Use,
    engine_time,
    parse_name,
    read,
    shuffled,
)

logger = logging.getLogger("testbed")

SERVER_VERSION = "9.38.1"
DEFAULT_TIMEZONE = "America/Los_Angeles"
"""Snowflake's documented default of the TIMEZONE parameter. It exposes clients that assume UTC.

https://docs.snowflake.com/en/sql-reference/parameters#timezone
"""
SELECT_STATEMENT = 0x1000
OTHER_STATEMENT = 0x4000


@dataclass
class Session:
    """One login: the client's requested settings, and its engine connection."""

    number: int
    token: str
    user: str
    role: str
    warehouse: str | None
    database: str | None
    schema: str | None
    authenticator: str
    parameters: dict[str, Any]
    client: dict[str, Any]
    engine: Any
    statements: int = 0
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def public(self) -> dict[str, Any]:
        """The fields that tests can read, without token and password."""
        return {name: getattr(self, name) for name in _PUBLIC_FIELDS}


_PUBLIC_FIELDS = (
    *("number", "user", "role", "warehouse", "database", "schema", "authenticator"),
    *("parameters", "client", "statements", "closed"),
)


class Warehouse:
    """The server's complete state: the engine, users, sessions, denials, faults."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="embedded-snowflake-"))
        self.catalog = documented_catalog()
        self.users = Users()
        self.faults = Faults()
        self._numbers = itertools.count(1)
        self.engine: Any = None
        self.sessions: dict[str, Session] = {}
        self.reset()

    def reset(self) -> None:
        """Reset to a new account: only the database SNOWFLAKE, no history."""
        for former in self.sessions.values():
            former.engine.close()
        for leftover in self.directory.iterdir():
            leftover.unlink(missing_ok=True)
        if self.engine is not None:
            self.engine.duck_conn.close()
        self.engine = FakeSnow(create_database_on_connect=False, create_schema_on_connect=False)
        system_views.create(self.engine.duck_conn, self.catalog)
        self.engine.duck_conn.execute(
            """
            INSERT INTO facts."INFORMATION_SCHEMA.DATABASES" (DATABASE_NAME, TYPE, IS_TRANSIENT, CREATED)
            VALUES ('SNOWFLAKE', 'APPLICATION', 'NO', TIMESTAMPTZ '2024-01-01 00:00:00+00');
            INSERT INTO facts."SHOW DATABASES" (created_on, name, kind, origin, owner, retention_time)
            VALUES (TIMESTAMPTZ '2024-01-01 00:00:00+00', 'SNOWFLAKE', 'APPLICATION', 'SNOWFLAKE.ACCOUNT_USAGE',
                    '', '0')
            """
        )
        self.engine.duck_conn.execute(macros.creation_sql(system_views.SCRATCH))
        self.sessions = {}
        self.statements: list[dict[str, Any]] = []
        self.denials: list[tuple[str, Name]] = []
        self.clock_ahead = timedelta(0)
        self.faults.clear()

    def log_in(self, login: dict[str, Any], query: dict[str, str]) -> Session:
        """Open a session. Raises :class:`errors.LoginRefusedError`."""
        user = self.users.authenticate(login)
        role = _folded(query.get("roleName")) or user.roles[0]
        if role not in user.roles:
            raise errors.role_refused(role)
        parameters = {str(k).upper(): v for k, v in (login.get("SESSION_PARAMETERS") or {}).items()}
        parameters.setdefault("TIMEZONE", DEFAULT_TIMEZONE)
        session = Session(
            number=next(self._numbers),
            token=secrets.token_urlsafe(32),
            user=user.name.upper(),
            role=role,
            warehouse=_folded(query.get("warehouse")) or user.default_warehouse,
            database=_folded(query.get("databaseName")),
            schema=_folded(query.get("schemaName")),
            authenticator=str(login.get("AUTHENTICATOR") or "SNOWFLAKE").upper(),
            parameters=parameters,
            client={key: login.get(key) for key in ("CLIENT_APP_ID", "CLIENT_APP_VERSION", "CLIENT_ENVIRONMENT")},
            engine=self.engine.connect(),
        )
        self._enter_database(session)
        self.sessions[session.token] = session
        return session

    def session(self, request: Request) -> Session:
        """The session of ``Authorization: Snowflake Token="…"``. Raises ``KeyError`` if there is none."""
        token = request.headers.get("Authorization", "").removeprefix('Snowflake Token="').removesuffix('"')
        session = self.sessions[token]
        if session.closed:
            raise KeyError(token)
        return session

    def context(self, session: Session) -> Context:
        """The context of the session's next statement."""
        denied = {name for role, name in self.denials if role in ("*", session.role, f"user:{session.user}")}
        return Context(
            catalog=self.catalog,
            database=session.database,
            schema=session.schema,
            warehouse=session.warehouse,
            denied=denied,
            database_exists=self._database_exists,
            values={
                exp.CurrentRole: session.role,
                exp.CurrentUser: session.user,
                exp.CurrentAccount: "TESTBED",
                exp.CurrentWarehouse: session.warehouse,
                exp.CurrentDatabase: session.database,
                exp.CurrentSchema: session.schema,
                exp.CurrentSession: str(session.number),
                exp.CurrentRegion: "AWS_US_WEST_2",
                exp.CurrentVersion: SERVER_VERSION,
            },
            clock_ahead=self.clock_ahead,
        )

    def _database_exists(self, name: str) -> bool:
        cursor = self.engine.duck_conn.cursor()
        found = cursor.execute(
            'SELECT 1 FROM facts.visible."INFORMATION_SCHEMA.DATABASES" WHERE DATABASE_NAME = ?', [name]
        ).fetchall()
        cursor.close()
        return bool(found)

    def _enter_database(self, session: Session) -> None:
        """Set the engine's current database to the session's database if it really exists, or else to the empty one."""
        duck = session.engine._duck_conn
        candidates = [system_views.SCRATCH]
        if session.database:
            candidates.insert(0, f'"{session.database}"')
            if session.schema:
                candidates.insert(0, f'"{session.database}"."{session.schema}"')
        for candidate in candidates:
            with contextlib.suppress(duckdb.Error):
                duck.execute(f"USE {candidate}").fetchall()
                break
        session.engine.database, session.engine._schema = session.database, session.schema
        session.engine.database_set = session.engine.schema_set = True
        duck.execute(f"SET TimeZone = '{session.parameters['TIMEZONE']}'").fetchall()

    # ------------------------------------------------------------------ statements

    def run(self, session: Session, text: str, params: Any, query_id: str) -> Result:
        """Run one statement of a session. Raises :class:`errors.StatementError`."""
        statement = read(text, self.context(session))
        if isinstance(statement, AlterSession):
            return self._alter_session(session, statement)
        if isinstance(statement, Use):
            return self._use(session, statement)
        if isinstance(statement, Show):
            return self._show(session, statement, query_id)
        if isinstance(statement, Change):
            return self._change(session, statement, params)
        return self._select(session, statement, params, query_id)

    def _alter_session(self, session: Session, statement: AlterSession) -> Result:
        for name, value in statement.parameters.items():
            if value is None:
                session.parameters.pop(name, None)
            else:
                session.parameters[name] = value
        session.parameters.setdefault("TIMEZONE", DEFAULT_TIMEZONE)
        self._enter_database(session)
        return _status()

    def _use(self, session: Session, statement: Use) -> Result:
        match statement.kind:
            case "ROLE":
                if statement.name[0] not in self.users.by_name[session.user].roles:
                    raise errors.object_not_found(statement.name[0])
                session.role = statement.name[0]
            case "WAREHOUSE":
                session.warehouse = statement.name[0]
            case "SCHEMA":
                if len(statement.name) == 2:
                    session.database = statement.name[0]
                session.schema = statement.name[-1]
            case "DATABASE":
                name = statement.name[0]
                denied = (name,) in self.context(session).denied
                if denied or not self._database_exists(name):
                    raise errors.database_not_found(name)
                session.database, session.schema = name, "PUBLIC"
        self._enter_database(session)
        return _status()

    def _show(self, session: Session, statement: Show, query_id: str) -> Result:
        cap = self.catalog.commands[statement.command].row_cap
        behavior = self.catalog.commands[statement.command].above_row_cap
        duck = session.engine._duck_conn
        [(count,)] = duck.execute(f"SELECT count(*) FROM ({statement.sql})").fetchall()
        if count > cap and behavior == "error":
            raise errors.SHOW_TOO_LARGE
        return self._write(duck.sql(f"FROM ({statement.sql}) LIMIT {cap}"), query_id)

    def _write(self, relation: Any, query_id: str) -> Result:
        """Run ``relation``. Rows beyond the limit of a ``cut`` fault cannot be downloaded."""
        left = self.faults.rows_left
        result = write_result(relation, self.directory, query_id, first_rows=left)
        if left is not None and result.chunks:
            self.faults.break_chunks(query_id)
        self.faults.take_rows(result.total)
        return result

    def _select(self, session: Session, statement: Query, params: Any, query_id: str) -> Result:
        cursor = session.engine.cursor()
        transformed = shuffled(cursor._transform(statement.expression, params))
        sql = transformed.sql(dialect="duckdb")
        duck = session.engine._duck_conn
        limit = self.faults.information_schema_limit
        if statement.reads_information_schema and limit is not None:
            [(count,)] = duck.execute(f"SELECT count(*) FROM ({sql})", params).fetchall()
            if count > limit:
                raise errors.TOO_MUCH_DATA
        return self._write(duck.sql(sql, params=params), query_id)

    def _change(self, session: Session, statement: Change, params: Any) -> Result:
        """Run DDL or DML in fakesnow. The response is its first row as text."""
        cursor = session.engine.cursor()
        cursor.execute(statement.text, binding_params=params, server=True)
        table = cursor._arrow_table
        if table is None or not table.num_columns:
            return _status()
        rows = [[None if v is None else str(v) for v in row.values()] for row in table.to_pylist()]
        result = _status()
        result.rowtype = [{**result.rowtype[0], "name": name} for name in table.column_names]
        result.total, result.rows = len(rows), rows
        return result


@dataclass
class JsonResult(Result):
    """A small response sent as JSON rows of text."""

    rows: list[list[str | None]] = field(default_factory=list)


def _status(message: str = "Statement executed successfully.") -> JsonResult:
    column = {
        "name": "status",
        "type": "text",
        "nullable": True,
        "length": 16777216,
        "byteLength": 16777216,
        "precision": None,
        "scale": None,
    }
    return JsonResult(rowtype=[column], total=1, first_part="", rows=[[message]])


def _folded(name: str | None) -> str | None:
    """A name from the login's URL: quoted names keep their case, others are converted to uppercase."""
    return parse_name(name)[0] if name else None


# ---------------------------------------------------------------------- protocol


async def _body(request: Request) -> Any:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return json.loads(body or b"null")


def _refusal(code: str, message: str, data: dict[str, Any] | None = None) -> JSONResponse:
    return JSONResponse({"success": False, "code": code, "message": message, "data": data or {}})


def _session_gone() -> JSONResponse:
    return _refusal("390111", "Session no longer exists. New login required to access the service.")


class Protocol:
    """The routes that drivers and tests call."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def routes(self) -> list[Route]:
        """All routes of the application."""
        post: list[tuple[str, Callable[..., Any]]] = [
            ("/session/v1/login-request", self.login),
            ("/session/token-request", self.renew),
            ("/session/heartbeat", self.heartbeat),
            ("/session", self.close),
            ("/queries/v1/query-request", self.query),
            ("/queries/v1/abort-request", self.accept),
            ("/telemetry/send", self.accept),
            ("/telemetry/send/sessionless", self.accept),
            ("/testbed/users", self.add_user),
            ("/testbed/sql", self.raw_sql),
            ("/testbed/rows", self.add_rows),
            ("/testbed/denials", self.set_denials),
            ("/testbed/faults", self.set_faults),
            ("/testbed/clock", self.set_clock),
            ("/testbed/reset", self.reset),
        ]
        get: list[tuple[str, Callable[..., Any]]] = [
            ("/results/{name}", self.chunk),
            ("/monitoring/queries/{query_id}", self.monitor),
            ("/testbed/sessions", self.show_sessions),
            ("/testbed/statements", self.show_statements),
            ("/testbed/ready", self.accept),
        ]
        return [Route(path, call, methods=["POST"]) for path, call in post] + [
            Route(path, call, methods=["GET"]) for path, call in get
        ]

    async def accept(self, _request: Request) -> JSONResponse:
        """Acknowledge a request that needs nothing else."""
        return JSONResponse({"success": True, "code": None, "message": None, "data": None})

    async def login(self, request: Request) -> Response:
        body = await _body(request)
        if (fault := self.warehouse.faults.due("login", "")) is not None:
            return await _broken(fault)
        try:
            session = self.warehouse.log_in(body["data"], dict(request.query_params))
        except errors.LoginRefusedError as refused:
            return _refusal(refused.code, refused.message, {"nextAction": None, "authnMethod": "USERNAME_PASSWORD"})
        return JSONResponse(
            {
                "success": True,
                "code": None,
                "message": None,
                "data": {
                    "token": session.token,
                    "masterToken": f"master-{session.token}",
                    "validityInSeconds": 3600,
                    "masterValidityInSeconds": 14400,
                    "displayUserName": session.user,
                    "serverVersion": SERVER_VERSION,
                    "firstLogin": False,
                    "remMeToken": None,
                    "remMeValidityInSeconds": 0,
                    "healthCheckInterval": 45,
                    "newClientForUpgrade": None,
                    "sessionId": session.number,
                    "parameters": _parameters(session),
                    "sessionInfo": {
                        "databaseName": session.database,
                        "schemaName": session.schema,
                        "warehouseName": session.warehouse,
                        "roleName": session.role,
                    },
                },
            }
        )

    async def renew(self, request: Request) -> JSONResponse:
        body = await _body(request)
        session = self.warehouse.sessions.get(str(body.get("oldSessionToken")))
        if session is None or session.closed:
            return _session_gone()
        data = {"sessionToken": session.token, "masterToken": f"master-{session.token}"}
        validity = {"validityInSecondsST": 3600, "validityInSecondsMT": 14400}
        return JSONResponse({"success": True, "data": {**data, **validity, "sessionId": session.number}})

    async def heartbeat(self, request: Request) -> JSONResponse:
        try:
            self.warehouse.session(request)
        except KeyError:
            return _session_gone()
        return await self.accept(request)

    async def close(self, request: Request) -> JSONResponse:
        with contextlib.suppress(KeyError):
            session = self.warehouse.session(request)
            if request.query_params.get("delete"):
                session.closed = True
                for leftover in self.warehouse.directory.glob(f"{session.number}-*"):
                    leftover.unlink(missing_ok=True)
                session.engine.close()
        return await self.accept(request)

    async def query(self, request: Request) -> Response:
        try:
            session = self.warehouse.session(request)
        except KeyError:
            return _session_gone()
        body = await _body(request)
        text = body["sqlText"]
        query_id = str(uuid.uuid4())
        session.statements += 1
        self.warehouse.statements.append({"session": session.number, "query_id": query_id, "text": text})
        if (fault := self.warehouse.faults.due("query", text)) is not None:
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "session":
                session.closed = True
                return _session_gone()
            else:
                return await _broken(fault)
        try:
            params = _bindings(body.get("bindings"))
            result = await run_in_threadpool(self._run_alone, session, text, params, query_id)
        except errors.StatementError as error:
            return _failed(query_id, error)
        except Exception as error:
            known = _translated(error)
            if known is None:
                logger.exception("statement failed in the test server: %s", text[:2000])
                known = errors.StatementError("000603", "XX000", f"SQL execution internal error: {error!r}")
            return _failed(query_id, known)
        return self._answer(request, session, query_id, result)

    def _run_alone(self, session: Session, text: str, params: Any, query_id: str) -> Result:
        """Run one statement of a session at a time: its engine connection has one open result."""
        with session.lock:
            return self.warehouse.run(session, text, params, f"{session.number}-{query_id}")

    def _answer(self, request: Request, session: Session, query_id: str, result: Result) -> JSONResponse:
        data: dict[str, Any] = {
            "parameters": _parameters(session),
            "rowtype": result.rowtype,
            "total": result.total,
            "returned": result.total,
            "queryId": query_id,
            "sqlState": None,
            "databaseProvider": None,
            "finalDatabaseName": session.database,
            "finalSchemaName": session.schema,
            "finalWarehouseName": session.warehouse,
            "finalRoleName": session.role,
            "numberOfBinds": 0,
            "arrayBindSupported": False,
            "version": 1,
            "sendResultTime": 0,
        }
        if isinstance(result, JsonResult):
            data |= {
                "queryResultFormat": "json",
                "rowset": result.rows,
                "statementTypeId": OTHER_STATEMENT,
            }
        else:
            data |= {
                "queryResultFormat": "arrow",
                "rowsetBase64": result.first_part,
                "statementTypeId": SELECT_STATEMENT,
            }
        if result.chunks:
            base = f"{request.url.scheme}://{request.headers['host']}/results"
            data |= {
                "qrmk": None,
                "chunkHeaders": {},
                "chunks": [
                    {
                        "url": f"{base}/{chunk.path.name}",
                        "rowCount": chunk.rows,
                        "uncompressedSize": chunk.uncompressed_bytes,
                        "compressedSize": chunk.compressed_bytes,
                    }
                    for chunk in result.chunks
                ],
            }
        return JSONResponse({"success": True, "code": None, "message": None, "data": data})

    async def chunk(self, request: Request) -> Response:
        name = request.path_params["name"]
        if (fault := self.warehouse.faults.due("chunk", name)) is not None:
            return await _broken(fault)
        path = self.warehouse.directory / name
        if not path.is_file():
            return Response(status_code=404)
        headers = {"Content-Encoding": "gzip", "Content-Type": "binary/octet-stream"}
        return Response(await run_in_threadpool(path.read_bytes), headers=headers)

    async def monitor(self, request: Request) -> JSONResponse:
        found = {"status": "SUCCESS", "id": request.path_params["query_id"]}
        return JSONResponse({"success": True, "data": {"queries": [found]}})

    # -------------------------------------------------------------- for tests

    async def add_user(self, request: Request) -> JSONResponse:
        self.warehouse.users.register(User(**await _body(request)))
        return await self.accept(request)

    async def raw_sql(self, request: Request) -> JSONResponse:
        rows = await run_in_threadpool(_raw_sql, self.warehouse.engine.duck_conn, (await _body(request))["sql"])
        return JSONResponse({"rows": rows})

    async def add_rows(self, request: Request) -> JSONResponse:
        body = await _body(request)
        await run_in_threadpool(_insert, self.warehouse.engine.duck_conn, body["table"], body["columns"])
        return await self.accept(request)

    async def set_denials(self, request: Request) -> JSONResponse:
        self.warehouse.denials = [(entry["role"], parse_name(entry["object"])) for entry in await _body(request)]
        return await self.accept(request)

    async def set_faults(self, request: Request) -> JSONResponse:
        self.warehouse.faults.replace([Fault(**entry) for entry in await _body(request)])
        return await self.accept(request)

    async def set_clock(self, request: Request) -> JSONResponse:
        self.warehouse.clock_ahead = timedelta(seconds=(await _body(request))["ahead"])
        return await self.accept(request)

    async def reset(self, request: Request) -> JSONResponse:
        await run_in_threadpool(self.warehouse.reset)
        return await self.accept(request)

    async def show_sessions(self, _request: Request) -> JSONResponse:
        return JSONResponse([session.public() for session in self.warehouse.sessions.values()])

    async def show_statements(self, _request: Request) -> JSONResponse:
        return JSONResponse(self.warehouse.statements)


async def _broken(fault: Fault) -> Response:
    """The response of a fault, if it has one."""
    match fault.kind:
        case "exit":
            os._exit(70)
        case "abort":
            # the web server drops the connection if the response is shorter than announced
            return Response(b"{", headers={"Content-Length": "1000"})
        case "error":
            code = fault.code or "000603"
            return _failed(
                str(uuid.uuid4()), errors.StatementError(code, fault.sqlstate, fault.message or "failed on request")
            )
    return Response(status_code=fault.status, headers={"Retry-After": "1"} if fault.status == 429 else None)


def _failed(query_id: str, error: errors.StatementError) -> JSONResponse:
    data = {"queryId": query_id, "errorCode": error.code, "sqlState": error.sqlstate, "line": -1, "pos": -1}
    return _refusal(error.code, error.message, {**data, "internalError": False, "type": "COMPILATION"})


def _translated(error: Exception) -> errors.StatementError | None:
    """The engine's exception as an error of the service, or None for an unexpected exception."""
    first_line = str(error).splitlines()[0] if str(error) else repr(error)
    if isinstance(error, duckdb.CatalogException):
        return errors.StatementError("002003", "42S02", f"SQL compilation error:\n{first_line}")
    if isinstance(error, duckdb.BinderException):
        return errors.invalid_identifier(first_line)
    if isinstance(error, duckdb.ParserException | duckdb.ConversionException):
        return errors.unsupported(first_line)
    if isinstance(error, connector_errors.Error) and error.errno is not None:
        return errors.StatementError(f"{error.errno:06d}", error.sqlstate or "", str(error.raw_msg or error.msg))
    return None


def _bindings(bindings: dict[str, Any] | None) -> Any:
    """Positional (``?``) or named bindings as Python values."""
    if not bindings:
        return None
    values = {name: _bound(binding) for name, binding in bindings.items()}
    if all(name.isdigit() for name in values):
        return [values[str(position)] for position in range(1, len(values) + 1)]
    return values


def _bound(binding: dict[str, Any]) -> Any:
    if binding.get("value") is None:
        return None
    value = from_binding(binding)
    return engine_time(value) if isinstance(value, str) else value


def _parameters(session: Session) -> list[dict[str, Any]]:
    known: dict[str, Any] = {
        "AUTOCOMMIT": True,
        "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY": 3600,
        "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": 0,
        "CLIENT_TELEMETRY_ENABLED": False,
        "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "ARROW",
        "TIMEZONE": session.parameters["TIMEZONE"],
    }
    return [{"name": name, "value": value} for name, value in known.items()]


def _raw_sql(connection: Any, sql: str) -> list[list[Any]]:
    cursor = connection.cursor()
    try:
        rows = cursor.execute(sql).fetchall()
    finally:
        cursor.close()
    return [[v if isinstance(v, bool | int | float | str | None) else str(v) for v in row] for row in rows]


def _insert(connection: Any, table: str, columns: dict[str, list[Any]]) -> None:
    """Append rows given by column. Text is converted to times and JSON according to the column's type."""
    cursor = connection.cursor()
    try:
        cursor.register("incoming", pa.table({name: pa.array(values) for name, values in columns.items()}))
        names = ", ".join(f'"{name}"' for name in columns)
        cursor.execute(f'INSERT INTO facts."{table}" ({names}) SELECT {names} FROM incoming')
    finally:
        cursor.close()


def _end_with_stdin(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.force_exit = server.should_exit = True


def main() -> None:
    """Serve until the process ends. Prints the port as soon as connections are accepted."""
    arguments = argparse.ArgumentParser(description="The embedded Snowflake.")
    arguments.add_argument("--port", type=int, default=0, help="0 (the default) chooses a free port")
    arguments.add_argument("--until-stdin-closes", action="store_true", help="end when the starting process ends")
    options = arguments.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=128)
    warehouse = Warehouse()
    app = Starlette(routes=Protocol(warehouse).routes())
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=75)
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(config)
    if options.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, args=[server], daemon=True).start()
    try:
        server.run(sockets=[listener])
    finally:
        shutil.rmtree(warehouse.directory, ignore_errors=True)


if __name__ == "__main__":
    main()
