"""A server on a raw socket that sends exactly the bytes of a test, at the test's pace, and keeps the requests."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

# How long a server keeps an endless response up. A client that waits this long has no deadline.
PATIENCE_SECONDS = 20.0

Response = Callable[[], Iterator[bytes]]


class RawServer:
    """Sends a response to each connection, piece by piece, and closes it. A context manager.

    ``requests`` has the bytes of each request. ``gave_up`` is true if a client still waited after PATIENCE_SECONDS.
    With ``reads=False`` it does not read the request, and keeps the connection open.
    """

    def __init__(self, response: Response, *, tls: ssl.SSLContext | None = None, reads: bool = True) -> None:
        self._response, self._tls, self._reads = response, tls, reads
        self._socket = socket.socket()
        if not reads:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(64)
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self.gave_up = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # otherwise the thread would accept one more connection
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the socket is closed
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        with contextlib.suppress(OSError), connection:
            connection.settimeout(PATIENCE_SECONDS)
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            if self._reads:
                self.requests.append(read_request(stream))
            for piece in self._response():
                stream.sendall(piece)  # raises OSError once the client has left
                if time.monotonic() > until:
                    self.gave_up = True
                    return


def read_request(connection: socket.socket) -> bytes:
    """Read a request with its body. A request of a client that leaves early is incomplete."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (received := connection.recv(65_536)):
            return data
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    missing = sum(lengths) - len(body)
    while missing > 0 and (received := connection.recv(65_536)):
        data, missing = data + received, missing - len(received)
    return data


def sent_once(response: bytes) -> Response:
    def pieces() -> Iterator[bytes]:
        yield response

    return pieces


def without_end(start: bytes, repeated: bytes, pause: float = 0.0) -> Response:
    """Sends ``start``, then ``repeated`` again and again until the client leaves."""

    def pieces() -> Iterator[bytes]:
        yield start
        while True:
            time.sleep(pause)
            yield repeated

    return pieces
