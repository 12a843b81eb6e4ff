"""The harness of Tiny, a fictitious warehouse, for the contract suite (tests/warehouses/harness.py)."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

from tests.warehouses.harness import SECRET_MARK, TRAILING, Credentials, Fault, Flow, Record
from tests.warehouses.model import ColumnType, Model, Query, Table
from tests.warehouses.model import Path as TablePath

flows: Sequence[Flow] = ("metadata", "lineage", "query_logs")
dialect = "sqlite"
databases: Sequence[str] = ("shop", "archive")
not_applicable: Mapping[tuple[Flow, str], str] = {}

HERE = Path(__file__).resolve().parent
CATALOG = HERE.parents[2] / "scripts/templates/tiny/catalog.toml"
HOST = "127.0.0.1"
READER, STRANGER, CONTROL = "monte_carlo", "stranger", "control"
ERROR_CODES = 7000
TYPES: Mapping[ColumnType, str] = {
    "integer": "INTEGER",
    "decimal": "DECIMAL(12,2)",
    "text": "VARCHAR(40)",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
}


def legal_name(text: str) -> str:
    """The text itself: Tiny accepts every text as a name."""
    return text


def arguments(flow: Flow) -> Sequence[str]:
    return ()


# --- the server -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TinyServer:
    """A running server. Implements tests.warehouses.harness.Server."""

    port: int
    password: str

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        return {
            "TINY_HOST": HOST,
            "TINY_PORT": str(self.port),
            "TINY_USER": STRANGER if credentials == "denied" else READER,
            "TINY_PASSWORD": f"{self.password}-but-wrong" if credentials == "wrong" else self.password,
        }

    def unreachable(self) -> dict[str, str]:
        with closing(socket.socket()) as free:
            free.bind((HOST, 0))
            return self.environment() | {"TINY_PORT": str(free.getsockname()[1])}

    def at(self, host: str) -> dict[str, str]:
        return self.environment() | {"TINY_HOST": host}

    def empty(self) -> None:
        self._order("fill", {})

    def fill(self, model: Model) -> None:
        self._order("fill", content(model))

    def deny(self, *views: str) -> None:
        self._order("deny", views)

    def deny_all(self) -> None:
        self._order("deny all")

    def cut_after(self, rows: int) -> None:
        self._order("cut after", rows)

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        self._order("fail", {"text": statement, "kind": fault, "after": after})

    def set_clock(self, ahead: timedelta) -> None:
        self._order("clock", ahead.total_seconds())

    def restore(self) -> None:
        self._order("restore")

    def statements(self) -> Sequence[str]:
        found: list[str] = self._order("statements")
        return found

    def _order(self, order: str, value: Any = None) -> Any:
        with Client((HOST, self.port), authkey=self.password.encode()) as session:
            for message in ({"user": CONTROL}, {"order": order, "value": value}):
                session.send_bytes(json.dumps(message).encode())
            return json.loads(session.recv_bytes())["answer"]


@contextmanager
def start() -> Iterator[TinyServer]:
    password = f"{SECRET_MARK}-{secrets.token_hex(8)}{TRAILING}"
    with tempfile.TemporaryDirectory(prefix="tiny-") as folder:
        command = [sys.executable, str(HERE / "server.py"), str(CATALOG), str(Path(folder) / "tiny.sqlite")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(f"{password}\n")
                process.stdin.flush()
                yield TinyServer(int(process.stdout.readline()), password)
            finally:
                process.stdin.close()  # ends the server


# --- contents of the system views -----------------------------------------------------------------------


def content(model: Model) -> dict[str, list[list[Any]]]:
    """The rows of each system view, with columns in the order of catalog.toml."""
    tables = [table for table in model.tables if not table.is_view]
    return {
        "sys_databases": [[name] for name in databases],
        "sys_tables": [
            [*table.path, "VIEW" if table.is_view else "TABLE", stored(table.created), table.comment]
            for table in model.tables
        ],
        "sys_columns": [
            [*table.path, position, column.name, TYPES[column.type], column.comment]
            for table in model.tables
            for position, column in enumerate(table.columns, 1)
        ],
        "sys_table_sizes": [
            [*table.path, table.rows, table.size, table.modified and stored(table.modified)] for table in tables
        ],
        "sys_views": [
            [*view.path, model.definition(view, dialect), *view.source, kind_of(model, view.source)]
            for view in model.tables
            if view.source
        ],
        "sys_column_lineage": [
            [stored(query.end), *query.target, column.name, *query.path, "TABLE", column.name]
            for query in model.queries
            if query.target and not query.error
            for column in model.table(query.path).columns
        ],
        "sys_query_history": [history(model, query) for query in model.queries],
    }


def kind_of(model: Model, path: TablePath) -> str:
    return "VIEW" if model.table(path).is_view else "TABLE"


def history(model: Model, query: Query) -> list[Any]:
    database, schema, _ = query.path
    return [
        *(query.number, query.session, database, schema, query.user, stored(query.start), stored(query.end)),
        *(error_code(query), query.error, query.rows, model.text(query, dialect)),
    ]


def error_code(query: Query) -> int | None:
    return ERROR_CODES + query.number if query.error else None


def stored(time: datetime) -> str:
    """A time in the format of the system views."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


# --- expected records in a manifest ---------------------------------------------------------------------


def expected(model: Model, flow: Flow) -> list[Record]:
    if flow == "metadata":
        return [table_record(model, table) for table in model.tables]
    if flow == "lineage":
        return [*view_records(model), *write_records(model)]
    return [query_record(model, query) for query in model.queries if model.since <= query.end < model.until]


def written(time: datetime) -> str:
    """A time in the format of a manifest."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def without_nulls(values: Record) -> Record:
    return {name: value for name, value in values.items() if value is not None}


def named(path: Sequence[str]) -> Record:
    database, schema, name = path
    return {"database": database, "schema": schema, "name": name}


def table_record(model: Model, table: Table) -> Record:
    fields = [
        without_nulls({"name": column.name, "type": TYPES[column.type], "description": column.comment})
        for column in table.columns
    ]
    return named(table.path) | without_nulls(
        {
            "type": "VIEW" if table.is_view else "TABLE",
            "kind": "view" if table.is_view else "table",
            "created_on": written(table.created),
            "row_count": table.rows,
            "byte_count": table.size,
            "last_update_time": written(table.modified) if table.modified else None,
            "description": table.comment,
            "view_query": model.definition(table, dialect) if table.is_view else None,
            "fields": fields,
        }
    )


def view_records(model: Model) -> list[Record]:
    return [
        {
            "destination": {"type": "VIEW"} | named(view.path),
            "sources": [{"type": kind_of(model, view.source)} | named(view.source)],
            "columns": [],
            "origin": "sys_views",
            "certainty": "exact",
        }
        for view in model.tables
        if view.source
    ]


def write_records(model: Model) -> list[Record]:
    """One record for each target in the window, with sources sorted by name and columns sorted by name within each
    source.
    """
    written_to: dict[TablePath, set[TablePath]] = {}
    for query in model.queries:
        if query.target and not query.error and model.since <= query.end < model.until:
            written_to.setdefault(query.target, set()).add(query.path)
    return [write_record(model, target, sorted(sources)) for target, sources in written_to.items()]


def write_record(model: Model, target: TablePath, sources: list[TablePath]) -> Record:
    columns: dict[str, list[Record]] = {}
    for place, source in enumerate(sources):
        for name in sorted(column.name for column in model.table(source).columns):
            columns.setdefault(name, []).append({"source": place, "name": name})
    return {
        "destination": {"type": "TABLE"} | named(target),
        "sources": [{"type": "TABLE"} | named(source) for source in sources],
        "columns": [{"name": name, "sources": places} for name, places in columns.items()],
        "origin": "sys_column_lineage",
        "certainty": "exact",
    }


def query_record(model: Model, query: Query) -> Record:
    database, schema, _ = query.path
    return without_nulls(
        {
            "query_id": str(query.number),
            "start_time": written(query.start),
            "end_time": written(query.end),
            "query_text": model.text(query, dialect),
            "user": query.user,
            "returned_rows": query.rows,
            "error_code": error_code(query),
            "error_text": query.error,
            "extra": {"session_id": query.session, "database": database, "schema": schema},
        }
    )
