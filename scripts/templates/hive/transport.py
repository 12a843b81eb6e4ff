"""Thrift transports with what PyHive's own lack: timeouts, verified TLS, keepalive, the status of responses."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from mcpush.version import RELEASE
from thrift.protocol.TProtocol import TProtocolException  # type: ignore[import-untyped]
from thrift.transport.TSocket import TSocket  # type: ignore[import-untyped]
from thrift.transport.TTransport import TTransportException  # type: ignore[import-untyped]

PRODUCT = "push-ingestion"
# A load balancer drops idle connections without notice, often after 60 seconds.
KEEPALIVE_SECONDS = 30
LONGEST_IDLE = 20  # seconds after which HTTP opens a new connection
KEEPALIVE = {"TCP_KEEPIDLE": KEEPALIVE_SECONDS, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # the names of Linux


@contextmanager
def _closed_by_server() -> Iterator[None]:
    """Converts BrokenPipeError, which elsewhere means that nobody reads the output of the script."""
    try:
        yield
    except BrokenPipeError as error:
        raise ConnectionResetError(*error.args) from None


class HttpStatusError(Exception):
    """The server, or a proxy before it, refused a request."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP status {status} {reason}".strip())
        self.status = status


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Verifies the server's certificate and host name. Trusts this file, or this machine's certificate authorities.

    Raises ssl.SSLError if the file has no certificate.
    """
    return ssl.create_default_context(cafile=ca_file)


def _connect(host: str, port: int, timeout: float, context: ssl.SSLContext | None) -> socket.socket:
    name = host.strip("[]")
    connection = socket.create_connection((name, port), timeout)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with _closed_by_server():
            return context.wrap_socket(connection, server_hostname=name) if context else connection
    except BaseException:
        connection.close()
        raise


class TcpTransport(TSocket):  # type: ignore[misc]
    """A TCP connection, encrypted if there is a context. Until ``limit`` is called, a read ends after the timeout of
    connecting.
    """

    def __init__(self, host: str, port: int, connect_timeout: float, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self._connect_timeout, self._context = connect_timeout, context

    def open(self) -> None:
        """Raises OSError, unlike the class above, which hides the cause."""
        self.handle = _connect(self.host, self.port, self._connect_timeout, self._context)

    def limit(self, seconds: float) -> None:
        """Sets how long a read waits from now on."""
        self.setTimeout(seconds * 1000)


class HttpTransport:
    """Sends each message in a POST, over a connection that is kept open. Uses no proxy and follows no redirect.

    Returns cookies to the server: with them a load balancer chooses the same server again.
    """

    def __init__(
        self,
        address: tuple[str, int],
        path: str,
        headers: dict[str, str],
        connect_timeout: float,
        context: ssl.SSLContext | None,
    ) -> None:
        self._address, self._path, self._headers = address, path, headers
        self._connect_timeout, self._timeout, self._context = connect_timeout, connect_timeout, context
        self._cookies: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0
        self._written, self._response = BytesIO(), BytesIO()

    def isOpen(self) -> bool:  # noqa: N802 - Thrift's name
        return self._connection is not None

    def open(self) -> None:
        self._connection = self._connected()

    def _open_connection(self) -> http.client.HTTPConnection:
        """The connection, or a new one if it was closed or idle for long."""
        connection = self._connection
        if connection is None or connection.sock is None or time.monotonic() - self._used > LONGEST_IDLE:
            self.close()
            self._connection = connection = self._connected()
        return connection

    def _connected(self) -> http.client.HTTPConnection:
        host, port = self._address
        connection = http.client.HTTPConnection(host.strip("[]"), port)
        connection.sock = _connect(host, port, self._connect_timeout, self._context)
        connection.auto_open = 0  # an attribute of the class: another connection would not be encrypted
        connection.sock.settimeout(self._timeout)
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def limit(self, seconds: float) -> None:
        """Sets how long a read waits from now on."""
        self._timeout = seconds
        if self._connection is not None and self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)

    def readAll(self, size: int) -> bytes:  # noqa: N802 - Thrift's name
        data = self._response.read(size)
        if len(data) < size:
            raise TTransportException(TTransportException.END_OF_FILE, "the response ends early")
        return data

    def write(self, data: bytes) -> None:
        self._written.write(data)

    def flush(self) -> None:
        """Sends what was written and reads the response.

        Raises HttpStatusError, TProtocolException, OSError or http.client.HTTPException.
        """
        body, self._written = self._written.getvalue(), BytesIO()
        connection = self._open_connection()
        headers = {
            "Content-Type": "application/x-thrift",
            "Accept": "application/x-thrift",
            "User-Agent": f"{PRODUCT}/{RELEASE}",
            **self._headers,
        }
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        with _closed_by_server():
            connection.request("POST", f"/{self._path}", body, headers)
            response = connection.getresponse()
            content = response.read()
        self._used = time.monotonic()
        if response.status != http.client.OK:
            raise HttpStatusError(response.status, response.reason)
        if response.headers.get_content_type() == "text/html":
            raise TProtocolException(TProtocolException.INVALID_DATA, "a web page, of a gateway or another service")
        self._keep_cookies(response)
        self._response = BytesIO(content)

    def _keep_cookies(self, response: Any) -> None:
        for line in response.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name.strip()] = value.strip()
