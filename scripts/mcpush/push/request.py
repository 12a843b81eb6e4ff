"""Sends one HTTP request to Monte Carlo: one deadline for all of it, a bounded response, no redirects.

requests alone would follow redirects with the key and the data, wait again after each byte, and unpack content without
limit. Proxies and certificates come from the environment, as usual: HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from mcpush.encryption import is_loopback
from mcpush.records import Json

DEADLINE_SECONDS = 60.0  # for everything: name resolution, connection, TLS, sending, and the whole response
SOCKET_TIMEOUT_SECONDS = 30  # without any progress: shorter, so that a lost connection is retried early
MAX_RESPONSE_BYTES = 1_000_000  # after unpacking; Monte Carlo sends a few hundred
PIECE_BYTES = 65_536
GZIP = 16 + zlib.MAX_WBITS
THREAD_NAME = "request"

logging.getLogger("urllib3.connection").setLevel(logging.ERROR)  # its warnings quote all headers of a response


@dataclass(frozen=True)
class Response:
    """``json`` is None if the content is not a JSON object, or is over the limit. ``text`` has the content up to it."""

    status: int
    headers: Mapping[str, str]
    text: str
    json: Json | None


def send(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
    """Send a request with a JSON body, once. The content of a redirect is not read.

    Raises requests.RequestException or urllib3.exceptions.HTTPError if there is no complete response, and
    requests.Timeout at the deadline.
    """
    connections = _Connections()
    response: Future[Response] = Future()

    def exchange() -> None:
        try:
            response.set_result(_exchange(method, url, headers, body, connections))
        except BaseException as error:
            response.set_exception(error)

    # A thread, because neither name resolution nor a read from a socket can be given a deadline.
    threading.Thread(target=exchange, name=THREAD_NAME, daemon=True).start()
    try:
        if not wait([response], DEADLINE_SECONDS).done:
            raise requests.Timeout(f"no complete response within {DEADLINE_SECONDS:g} s")
        return response.result()
    finally:
        connections.close()  # ends the thread


class _Connections:
    """The connections of a request, which another thread can close. Later ones are refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_closed = False

    def add(self, connection: socket.socket) -> None:
        """Keep a duplicate of the socket, because TLS takes over the original. Raises OSError after ``close``."""
        with self._lock:
            if self._is_closed:
                connection.close()
                raise OSError("the deadline has passed")
            self._sockets.append(socket.fromfd(connection.fileno(), connection.family, connection.type))

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for each in self._sockets:
                with contextlib.suppress(OSError):  # it is not connected any more
                    each.shutdown(socket.SHUT_RDWR)  # also ends a read of the original
                each.close()


class _Adapter(HTTPAdapter):
    """The HTTP adapter of requests. Its connections can be closed from another thread, even before TLS starts."""

    def __init__(self, connections: _Connections) -> None:
        super().__init__()
        self._connections = connections

    def get_connection_with_tls_context(self, *arguments: Any, **more: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **more)
        pool.ConnectionCls = _watched(pool.ConnectionCls, self._connections)
        return pool


def _watched(connection_class: Any, connections: _Connections) -> Any:
    class Watched(connection_class):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            connection: socket.socket = super()._new_conn()
            connections.add(connection)
            return connection

    return Watched


def _exchange(method: str, url: str, headers: Mapping[str, str], body: bytes, connections: _Connections) -> Response:
    request = requests.Request(
        method,
        url,
        headers={**headers, "Content-Type": "application/json", "Accept-Encoding": "gzip"},
        data=body,
        auth=lambda prepared: prepared,  # otherwise requests would add the password of this host in ~/.netrc
    )
    host = urlsplit(url).hostname or ""
    proxies = {"no_proxy": host} if is_loopback(host) else {}  # no proxy can reach this machine's own address
    with requests.Session() as session, contextlib.closing(_Adapter(connections)) as adapter:
        prepared = session.prepare_request(request)
        settings: Any = session.merge_environment_settings(prepared.url, proxies, stream=True, verify=None, cert=None)
        # Not session.send: even if it does not follow a redirect, it reads its whole content.
        with adapter.send(prepared, timeout=SOCKET_TIMEOUT_SECONDS, **settings) as response:
            is_redirect = 300 <= response.status_code < 400
            content = b"" if is_redirect else _content(response)
            text = content.decode(errors="replace")
            return Response(response.status_code, response.headers, text, _json_object(content))


def _content(response: requests.Response) -> bytes:
    """The unpacked content, one byte longer than MAX_RESPONSE_BYTES or more if it is over the limit.

    It is empty if it cannot be unpacked.
    """
    is_packed = response.headers.get("Content-Encoding", "").lower() == "gzip"
    unpacker = zlib.decompressobj(GZIP) if is_packed else None
    # read1, because read does not limit a chunk of negative size. urllib3 before 2.2 does not have it.
    read = getattr(response.raw, "read1", response.raw.read)
    content = bytearray()
    while len(content) <= MAX_RESPONSE_BYTES and (piece := read(PIECE_BYTES, decode_content=False)):
        if unpacker is None:
            content += piece
            continue
        try:
            content += unpacker.decompress(piece, MAX_RESPONSE_BYTES + 1 - len(content))
        except zlib.error:
            return b""
        if unpacker.eof:  # whatever follows is not content
            break
    return bytes(content)


def _json_object(content: bytes) -> Json | None:
    if len(content) > MAX_RESPONSE_BYTES:
        return None
    try:
        value = json.loads(content.decode())
    except (ValueError, RecursionError):  # deep nesting raises the second
        return None
    return value if isinstance(value, dict) else None
