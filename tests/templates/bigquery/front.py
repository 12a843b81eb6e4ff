"""A server between the scripts and the local BigQuery: it forwards requests, keeps them, and interferes as a test asks.

    with Front(server.url) as front:
        front.answer("GET .*/queries/", refused(503, "backendError"), times=2)
        ... scripts with BIGQUERY_EMULATOR_HOST=front.url ...
        front.requests

It is also an HTTPS proxy that takes the place of the hosts which clients ask it for, if it has a certificate.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

PATIENCE_SECONDS = 120  # for a client that waits forever


@dataclass(frozen=True)
class Request:
    method: str
    host: str  # as the client names it
    path: str
    arguments: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Forward = Callable[[], Reply]
# Returns the response; None closes the connection without one. ``forward`` gets the response of the local BigQuery.
Action = Callable[[Request, Forward], Reply | None]


@dataclass
class Rule:
    pattern: re.Pattern[str]
    action: Action
    times: int | None
    after: int

    def is_due(self, request: Request) -> bool:
        """Whether it applies to this request; counts it."""
        if not self.pattern.search(str(request)) or self.times == 0:
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


def refused(status: int, reason: str, message: str = "refused by the test") -> Action:
    """An error response of BigQuery: https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/ErrorProto"""
    errors = [{"reason": reason, "message": message, "domain": "global"}]
    return said(status, {"error": {"code": status, "message": message, "errors": errors}})


def said(status: int, body: Any, kind: str = "application/json") -> Action:
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda request, forward: Reply(status, text.encode(), kind)


def gone(request: Request, forward: Forward) -> None:
    """Closes the connection without a response."""


def gone_after(request: Request, forward: Forward) -> None:
    """Closes the connection after the local BigQuery has received the request."""
    forward()


def edited(change: Callable[[Any], None]) -> Action:
    """Changes the JSON of the response."""

    def act(request: Request, forward: Forward) -> Reply:
        reply = forward()
        body = json.loads(reply.body)
        change(body)
        return Reply(reply.status, json.dumps(body).encode())

    return act


def failed_job(reason: str, message: str = "failed by the test") -> Action:
    """A job that fails: https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobstatus"""
    error = {"reason": reason, "message": message}
    return edited(lambda job: job.update(status={"state": "DONE", "errorResult": error, "errors": [error]}))


running_job = edited(lambda job: job.update(status={"state": "RUNNING"}))


@dataclass
class Front:
    target: str
    certificate: str = ""  # a file in PEM, with its key
    requests: list[Request] = field(default_factory=list)
    tunnels: list[str] = field(default_factory=list)  # what clients of the proxy connected to
    rules: list[Rule] = field(default_factory=list)
    is_closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Front:
        self._session = requests.Session()
        self._session.trust_env = False
        front = self

        class Handler(_Handler):
            owner = front

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._session.close()

    def answer(self, pattern: str, action: Action, *, times: int | None = None, after: int = 0) -> None:
        """Apply the action to each request whose "METHOD path" matches, after ``after`` of them. The last wins."""
        self.rules.insert(0, Rule(re.compile(pattern), action, times, after))

    def hang(self, request: Request, forward: Forward) -> None:
        """Never answers."""
        self.is_closing.wait(PATIENCE_SECONDS)

    def forget(self) -> None:
        self.requests.clear()
        self.tunnels.clear()
        self.rules.clear()

    def matching(self, pattern: str) -> list[Request]:
        return [request for request in self.requests if re.search(pattern, str(request))]

    def reply(self, request: Request, query: str) -> Reply | None:
        self.requests.append(request)
        rule = next((rule for rule in list(self.rules) if rule.is_due(request)), None)

        def forward() -> Reply:
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            url = f"{self.target}{request.path}" + (f"?{query}" if query else "")
            found = self._session.request(
                request.method, url, headers=headers, data=request.body, timeout=PATIENCE_SECONDS
            )
            return Reply(found.status_code, found.content)

        return rule.action(request, forward) if rule else forward()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Front

    def do_CONNECT(self) -> None:
        self.owner.tunnels.append(self.path)
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.owner.certificate)
        try:
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except (OSError, ssl.SSLError):  # a client that does not trust the certificate
            self.close_connection = True
            return
        self.close_connection = False
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        request = Request(self.command, headers.get("host", ""), parts.path, parse_qs(parts.query), headers, body)
        reply = self.owner.reply(request, parts.query)
        if reply is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = _serve  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass

    def handle(self) -> None:
        with suppress(OSError):  # the client has left
            super().handle()
