"""The local Databricks: a SQL warehouse over DuckDB, with Unity Catalog, system tables, tokens and OAuth.

    python -m tests.warehouses.databricks.server --mark TEXT --trailing TEXT [--certificate FILE]

listens on a port of 127.0.0.1, prints one line of JSON (the port), and serves until its standard input is closed. The
texts are part of every secret. Tests control it with ``POST /testbed/<order>``; see ``Control``.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import secrets
import socket
import ssl
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from thrift.protocol import TBinaryProtocol  # type: ignore[import-untyped, unused-ignore]
from thrift.transport import TTransport  # type: ignore[import-untyped, unused-ignore]

from tests.warehouses.databricks.catalog import documented_catalog
from tests.warehouses.databricks.faults import HttpFault, Orders, StatementFault
from tests.warehouses.databricks.identities import CLIENT_IDS, DENIED, PRINCIPALS, RIGHT, client_secret, token
from tests.warehouses.databricks.service import Calls, Service
from tests.warehouses.databricks.storage import Storage
from tests.warehouses.databricks.stubs import service as stubs
from tests.warehouses.databricks.world import World

WAREHOUSE_PATH = "/sql/1.0/warehouses/"
METADATA_PATH = "/.well-known/databricks-config"  # the SDK gets the next address from it
DISCOVERY_PATH = "/oidc/.well-known/oauth-authorization-server"
TOKEN_PATH = "/oidc/v1/token"
CONTROL_PATH = "/testbed/"
TOKEN_SECONDS = 3600
RECORDED_HEADERS = ("user-agent", "x-databricks-org-id")


class Accounts:
    """Tokens and OAuth clients. Tokens that OAuth issued are added to ``tokens``."""

    def __init__(self, mark: str, trailing: str) -> None:
        known = (RIGHT, DENIED)
        self.tokens = {token(mark, each, trailing): each for each in known}
        self._clients = {(CLIENT_IDS[each], client_secret(mark, each, trailing)): each for each in known}
        self._mark = mark

    def issue(self, client_id: str, secret: str) -> dict[str, Any] | None:
        """https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m"""
        identity = self._clients.get((client_id, secret))
        if identity is None:
            return None
        issued = f"ey{self._mark}.{secrets.token_hex(16)}"
        self.tokens[issued] = identity
        return {"access_token": issued, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "scope": "all-apis"}


class Control:
    """Executes the orders of the tests. Each method is an order."""

    def __init__(self) -> None:
        catalog = documented_catalog()
        self.world = World(catalog, Storage(catalog), Orders())
        self.service = Service(self.world)
        self.requests: list[dict[str, Any]] = []

    def empty(self, catalogs: list[str]) -> None:
        """Delete all data, orders and records. The named catalogs exist and are empty."""
        self.restore()
        self.service.clear()
        self.requests.clear()
        self.world.empty(catalogs)

    def add(self, catalog: str, schemas: list[str], relations: list[dict[str, Any]]) -> None:
        self.world.add(catalog, schemas, relations)

    def drop(self, path: list[str]) -> None:
        """Drop a table behind the back of the information schema, as another session could between two statements."""
        self.world.relations.pop((path[0], path[1], path[2]))

    def rows(self, view: str, rows: list[dict[str, Any]]) -> None:
        self.world.storage.insert(view, rows)

    def sql(self, sql: str) -> list[Any]:
        """Run DuckDB SQL, e.g. to insert generated rows. Views are in the schema ``facts``."""
        return [list(map(str, row)) for row in self.world.storage.rows(sql)]

    def deny(self, names: list[str]) -> None:
        self.world.orders.denied = frozenset(names)

    def deny_all(self) -> None:
        self.world.orders.denies_all = True

    def disable(self, schemas: list[str]) -> None:
        self.world.orders.disabled = frozenset(schemas)

    def cut(self, rows: int) -> None:
        self.world.orders.rows_left = rows

    def fetch(self, rows: int) -> None:
        self.world.orders.rows_of_a_fetch = rows

    def fail(self, **fault: Any) -> None:
        self.world.orders.statement_faults.append(StatementFault(**fault))

    def http_fault(self, **fault: Any) -> None:
        self.world.orders.http_faults.append(HttpFault(**fault))

    def clock(self, ahead: float) -> None:
        self.world.orders.clock_ahead = timedelta(seconds=ahead)

    def restore(self) -> None:
        """Undo all orders. The data stay."""
        self.world.orders = Orders()

    def end_sessions(self) -> None:
        """End all sessions, as a warehouse does that stops."""
        self.service.sessions.clear()

    def statements(self) -> list[str]:
        return self.service.statements

    def observed(self) -> dict[str, Any]:
        service = self.service
        return {
            "requests": self.requests,
            "opened": service.opened,
            "closed": service.closed,
            "sessions": len(service.sessions),
        }


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other of a connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    control: Control
    accounts: Accounts

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        here = f"{scheme}://{self.headers['Host']}"
        if path == METADATA_PATH:
            self._send_json(200, {"oidc_endpoint": f"{here}/oidc", "cloud": "AWS"})
        elif path == DISCOVERY_PATH:
            known = {"authorization_endpoint": f"{here}/oidc/v1/authorize", "token_endpoint": f"{here}{TOKEN_PATH}"}
            self._send_json(200, known | {"issuer": f"{here}/oidc"})
        else:
            self._send_not_found(path)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.startswith(CONTROL_PATH):
            order = getattr(self.control, path.removeprefix(CONTROL_PATH))
            self._send_json(200, {"answer": order(**json.loads(content))})
        elif path == TOKEN_PATH:
            self._token(content)
        elif path.startswith(WAREHOUSE_PATH):
            self._thrift(path, content)
        else:
            self._send_not_found(path)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Log nothing: the server's log is for tracebacks."""

    # --- signing in -------------------------------------------------------------------------------------

    def _token(self, content: bytes) -> None:
        """https://www.rfc-editor.org/rfc/rfc6749#section-4.4: with HTTP Basic or in the form"""
        form = {name: values[0] for name, values in parse_qs(content.decode()).items()}
        basic = (self.headers.get("Authorization") or "").removeprefix("Basic ")
        identity, _, secret = base64.b64decode(basic).decode().partition(":") if basic else ("", "", "")
        client, secret = identity or form.get("client_id", ""), secret or form.get("client_secret", "")
        self._record("token", form.get("grant_type", ""))
        issued = self.accounts.issue(client, secret) if form.get("grant_type") == "client_credentials" else None
        error = {"error": "invalid_client", "error_description": "Client authentication failed"}
        self._send_json(200 if issued else 401, issued or error)

    def _identity(self) -> str | None:
        return self.accounts.tokens.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    # --- Thrift -----------------------------------------------------------------------------------------

    def _thrift(self, path: str, content: bytes) -> None:
        name, _, _ = TBinaryProtocol.TBinaryProtocol(TTransport.TMemoryBuffer(content)).readMessageBegin()
        self._record(name, path)
        fault, identity = self.control.world.orders.http_fault(name), self._identity()
        if fault and not fault.status:
            self._break()
        elif fault:
            self._refuse(fault.status, fault.message, fault.headers)
        elif identity is None:
            self._refuse(403, "Invalid access token.", {})
        else:
            self._call(content, Calls(self.control.service, PRINCIPALS[identity], identity == RIGHT))

    def _call(self, content: bytes, calls: Calls) -> None:
        sent = TTransport.TMemoryBuffer()
        received = TBinaryProtocol.TBinaryProtocol(TTransport.TMemoryBuffer(content))
        stubs.Processor(calls).process(received, TBinaryProtocol.TBinaryProtocolAccelerated(sent))
        if calls.is_gone:
            self._break()
        else:
            self._send(200, sent.getvalue(), {"Content-Type": "application/x-thrift"})

    def _refuse(self, status: int, message: str, headers: dict[str, str]) -> None:
        """An error without a Thrift body: the driver reads these headers."""
        named = {"X-Thriftserver-Error-Message": message, "X-Databricks-Reason-Phrase": message} if message else {}
        self._send(status, b"", named | headers)

    def _record(self, method: str, path: str) -> None:
        headers = {name: self.headers[name] for name in RECORDED_HEADERS if name in self.headers}
        self.control.requests.append({"method": method, "path": path, "headers": headers})

    # --- HTTP -------------------------------------------------------------------------------------------

    def _send_not_found(self, path: str) -> None:
        message = f"No API found for '{self.command} {path}'"
        self._send_json(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": message})

    def _send_json(self, status: int, body: Any) -> None:
        self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _break(self) -> None:
        """Close the connection without a response."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mark", required=True)
    parser.add_argument("--trailing", default="")
    parser.add_argument("--certificate", help="serve HTTPS with this file (certificate and key in PEM)")
    given = parser.parse_args()
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of commands that it does not know
    Handler.accounts, Handler.control = Accounts(given.mark, given.trailing), Control()
    with Listener(("127.0.0.1", 0), Handler) as listener:
        if given.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(given.certificate)
            listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        print(json.dumps({"port": listener.server_port}), flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
