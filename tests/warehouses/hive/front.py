"""What scripts under test connect to instead of the genuine server. It checks passwords, speaks every transport, and
fails on request. Everything else is the genuine server's.

    with HiveServer() as server, Front(server, {"ana": "secret"}) as front:
        front.orders.faults.append(Fault("SHOW TABLES", "denied"))
        pyhive.hive.connect("127.0.0.1", front.port, auth="LDAP", username="ana", password="secret")

Runs in the process of the tests, in threads.
"""

from __future__ import annotations

import base64
import socket
import ssl
import struct
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from threading import Thread
from types import TracebackType
from typing import Any, Literal

from TCLIService import TCLIService  # type: ignore[import-untyped]
from thrift.protocol.TBinaryProtocol import TBinaryProtocol  # type: ignore[import-untyped]
from thrift.transport.TSocket import TSocket  # type: ignore[import-untyped]
from thrift.transport.TTransport import TBufferedTransport, TFramedTransport, TMemoryBuffer, TTransportException  # type: ignore[import-untyped]

from tests.warehouses.hive.forwarding import Handler, Sessions
from tests.warehouses.hive.launch import HOST, HiveServer
from tests.warehouses.hive.orders import Orders

# How users sign in: LDAP with a password, NONE with any, both by SASL; NOSASL without.
Authentication = Literal["LDAP", "NONE", "NOSASL"]
PATH = "/cliservice"
# https://github.com/apache/thrift/blob/0.9.3/lib/java/src/org/apache/thrift/transport/TSaslTransport.java
START, OK, BAD, COMPLETE = 1, 2, 3, 5
WRONG_PASSWORD = "Error validating the login"
# What the genuine server answers with status 401.
HTTP_WRONG_PASSWORD = f"Authentication Error: javax.security.sasl.AuthenticationException: {WRONG_PASSWORD}\n"
HTTP_NO_PASSWORD = "Authentication Error: Authorization header received from the client is empty.\n"


class Front:
    """A running front. Exiting the context ends it.

    ``passwords``: by user. ``tls``: a PEM text with a certificate for localhost and its key.
    """

    def __init__(
        self,
        server: HiveServer,
        passwords: Mapping[str, str],
        *,
        authentication: Authentication = "LDAP",
        http: bool = False,
        tls: str | None = None,
    ) -> None:
        self.server, self.passwords, self.authentication = server, passwords, authentication
        self.orders = Orders()
        self.sessions = Sessions()
        self._listener = _Listener((HOST, 0), _HttpConnection if http else _Connection)
        self._listener.front = self
        self._listener.tls = _tls(tls) if tls else None

    def __enter__(self) -> Front:
        self._thread = Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self.sessions.close_all()
        self._thread.join()

    @property
    def port(self) -> int:
        port: int = self._listener.server_address[1]
        return port

    def accepts(self, user: str, password: str) -> bool:
        return self.authentication != "LDAP" or self.passwords.get(user) == password


class _Listener(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    allow_reuse_address = True
    front: Front
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's thread, so that a client that is slow to encrypt holds up no other."""
        with suppress(OSError):
            encrypted = self.tls.wrap_socket(request, server_side=True) if self.tls else request
            try:
                self.RequestHandlerClass(encrypted, client_address, self)  # type: ignore[arg-type]
            finally:
                encrypted.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that went away."""


class _Connection(BaseRequestHandler):
    """A client that speaks Thrift over TCP, with SASL or without. Its sessions end with it, as HiveServer2's do."""

    server: _Listener

    def handle(self) -> None:
        front = self.server.front
        raw = TSocket()
        raw.setHandle(self.request)
        buffered = TBufferedTransport(raw)
        user = None
        try:
            if front.authentication != "NOSASL":
                user = _signed_in(front, buffered)
                if user is None:
                    return
            protocol = TBinaryProtocol(buffered if user is None else TFramedTransport(raw))
            handler = Handler(front.server, front.orders, front.sessions, user)
            self._answer(handler, protocol)
        except (TTransportException, EOFError):
            return  # the client closed the connection, or an order breaks it

    def _answer(self, handler: Handler, protocol: TBinaryProtocol) -> None:
        processor = TCLIService.Processor(handler)
        try:
            while True:
                processor.process(protocol, protocol)
        finally:
            for session in handler.opened:
                handler.close(session)


def _signed_in(front: Front, transport: TBufferedTransport) -> str | None:
    """The user who signed in with SASL PLAIN, or None if the password is wrong: https://www.rfc-editor.org/rfc/rfc4616"""
    _receive(transport)  # the mechanism
    _, user, password = _receive(transport).decode().split("\0")
    if not front.accepts(user, password):
        _send(transport, BAD, WRONG_PASSWORD.encode())
        return None
    _send(transport, COMPLETE, b"")
    return user


def _receive(transport: TBufferedTransport) -> bytes:
    _, length = struct.unpack(">BI", transport.readAll(5))
    payload: bytes = transport.readAll(length)
    return payload


def _send(transport: TBufferedTransport, status: int, payload: bytes) -> None:
    transport.write(struct.pack(">BI", status, len(payload)) + payload)
    transport.flush()


class _HttpConnection(BaseHTTPRequestHandler):
    """A client that sends each call in a request, with its user and password."""

    server: _Listener
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        front = self.server.front
        body = self.rfile.read(int(self.headers["Content-Length"]))
        user, password = self._credentials()
        if self.path.rstrip("/") != PATH:
            return self._respond(405, b"")
        if not user or not front.accepts(user, password):
            return self._respond(401, (HTTP_WRONG_PASSWORD if user else HTTP_NO_PASSWORD).encode())
        answer = TMemoryBuffer()
        handler = Handler(front.server, front.orders, front.sessions, user)
        try:
            TCLIService.Processor(handler).process(TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(answer))
        except TTransportException:
            self.close_connection = True
            return None
        return self._respond(200, answer.getvalue())

    def _credentials(self) -> tuple[str, str]:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return "", ""
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user, password

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-thrift")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing."""


def _tls(pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.write_text(pem, encoding="utf-8")
        context.load_cert_chain(path)
    return context
