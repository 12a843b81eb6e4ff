"""The local BigQuery: its REST API over DuckDB, with documented views, sign-in, regions, and faults on request.

    python -m tests.warehouses.bigquery.server --mark TEXT

listens on a port of 127.0.0.1, prints one line of JSON (the port, and the secrets of the identities), and serves until
its standard input is closed. The text is part of every access token. Tests control it with
``POST /testbed/<order>``; see ``Control``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import socket
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.warehouses.bigquery.accounts import Accounts, invalid_grant
from tests.warehouses.bigquery.catalog import documented_catalog
from tests.warehouses.bigquery.errors import ConnectionGone, Refused, unauthenticated
from tests.warehouses.bigquery.faults import Orders, RestFault, StatementFault
from tests.warehouses.bigquery.jobs import Jobs
from tests.warehouses.bigquery.rest import Api, Request
from tests.warehouses.bigquery.storage import Storage
from tests.warehouses.bigquery.world import World

RECORDED_HEADERS = ("x-goog-user-project", "user-agent", "x-goog-api-client", "x-goog-request-params")
TOKEN_PATH, EXCHANGE_PATH = "/token", "/sts/v1/token"
IMPERSONATION_PATH = re.compile("/v1/projects/-/serviceAccounts/([^/]+):generateAccessToken")
CONTROL_PATH = "/testbed/"


class Control:
    """Executes the orders of the tests. Each method is an order."""

    def __init__(self, accounts: Accounts) -> None:
        catalog = documented_catalog()
        self._world = World(catalog, Storage(catalog), Orders())
        self.api = Api(self._world, Jobs(self._world), accounts)
        self.requests: list[dict[str, Any]] = []

    @property
    def orders(self) -> Orders:
        return self._world.orders

    def empty(self, projects: list[str]) -> None:
        """Delete all data, orders and records. The named projects exist and are empty."""
        self.restore()
        self.api.jobs.clear()
        self._world.empty(projects)
        self.api.statements.clear()
        self.requests.clear()

    def add(self, project: str, resources: dict[str, Any]) -> None:
        self._world.add(project, resources)

    def rows(self, view: str, rows: list[dict[str, Any]]) -> None:
        self._world.storage.insert(view, rows)

    def table(self, path: list[str], columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
        """Give a table contents. ``columns`` maps names to GoogleSQL types."""
        self._world.storage.fill_table(path, columns, rows)

    def sql(self, sql: str) -> list[Any]:
        """Run DuckDB SQL, e.g. to insert generated rows. Views are in the schema ``facts``."""
        return [list(map(str, row)) for row in self._world.storage.rows(sql)]

    def deny(self, names: list[str]) -> None:
        self.orders.denied = frozenset(names)

    def deny_all(self) -> None:
        self.orders.denies_all = True

    def unreachable(self, regions: list[str]) -> None:
        self.orders.unreachable = frozenset(regions)

    def storage(self, on: bool) -> None:
        self.orders.storage_is_on = on

    def cut(self, rows: int) -> None:
        self.orders.rows_left = rows

    def fail(self, **fault: Any) -> None:
        self.orders.statement_faults.append(StatementFault(**fault))

    def rest_fault(self, **fault: Any) -> None:
        self.orders.rest_faults.append(RestFault(**fault))

    def clock(self, ahead: float) -> None:
        self.orders.clock_ahead = timedelta(seconds=ahead)

    def restore(self) -> None:
        """Undo all orders. The data stay."""
        self._world.orders = Orders()

    def statements(self) -> list[str]:
        return self.api.statements

    def recorded(self) -> list[dict[str, Any]]:
        return self.requests


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other of a connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    control: Control
    accounts: Accounts

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Log nothing: the server's log is for tracebacks."""

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        path = urlsplit(self.path).path
        try:
            if path.startswith(CONTROL_PATH):
                self._send(200, {"answer": self._order(path.removeprefix(CONTROL_PATH), json.loads(content))})
            elif path in (TOKEN_PATH, EXCHANGE_PATH):
                self._send(*self._token(path, dict(parse_qsl(content.decode()))))
            elif impersonated := IMPERSONATION_PATH.fullmatch(path):
                authorization = self.headers.get("Authorization") or ""
                self._send(200, self.accounts.impersonated(authorization, unquote(impersonated[1])))
            else:
                self._send(200, self._api(path, content))
        except Refused as error:
            self._send(error.code, error.body())
        except ConnectionGone as gone:
            self._break(gone.sent)

    def _order(self, name: str, arguments: dict[str, Any]) -> Any:
        return getattr(self.control, name)(**arguments)

    def _token(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Errors of OAuth have another form: https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""
        self._fault()
        try:
            if self.control.orders.is_signed_out:
                raise invalid_grant("Token has been expired or revoked.")
            issue = self.accounts.token if path == TOKEN_PATH else self.accounts.exchanged
            return 200, issue(form)
        except Refused as error:
            return error.code, {"error": error.reason, "error_description": error.message}

    def _api(self, path: str, content: bytes) -> dict[str, Any]:
        arguments = dict(parse_qsl(urlsplit(self.path).query))
        body = json.loads(content) if content else {}
        principal = self.accounts.principal(self.headers.get("Authorization") or "")
        self._record(path, arguments, body, principal)
        self._fault()
        if principal is None:
            raise unauthenticated()
        return self.control.api.answer(self.command, path, Request(principal, arguments, body))

    def _record(self, path: str, arguments: Mapping[str, str], body: Any, principal: str | None) -> None:
        headers = {name: self.headers[name] for name in RECORDED_HEADERS if name in self.headers}
        request = {"method": self.command, "path": path, "arguments": arguments, "body": body}
        self.control.requests.append(request | {"headers": headers, "principal": principal})

    def _fault(self) -> None:
        fault = self.control.orders.rest_fault(f"{self.command} {self.path}")
        if fault is None:
            return
        if not fault.status:
            raise ConnectionGone
        self._more_headers = fault.headers
        raise Refused(fault.reason, fault.message or fault.reason, fault.status)

    _more_headers: Mapping[str, str] = {}

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(data))}
        for name, value in (headers | dict(self._more_headers)).items():
            self.send_header(name, value)
        self._more_headers = {}
        self.end_headers()
        self.wfile.write(data)

    def _break(self, sent: bytes) -> None:
        """Close the connection without a response, or after a part of one."""
        if sent:
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(sent) + 1000))
            self.end_headers()
            self.wfile.write(sent)
            self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mark", required=True)
    accounts = Accounts(parser.parse_args().mark)
    Handler.accounts, Handler.control = accounts, Control(accounts)
    with Listener(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        ready = {"port": listener.server_port, "subject_token": accounts.subject_token}
        print(json.dumps(ready | {"keys": accounts.private_keys()}), flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
