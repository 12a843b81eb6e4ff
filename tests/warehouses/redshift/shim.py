"""A relay that makes PostgreSQL acceptable to Amazon Redshift's own driver.

Relays messages between the driver's TCP connection and PostgreSQL's Unix socket (or port). It drops the start-up
parameters that only Redshift has, reports ``server_version`` as Redshift does (8.0.2), and translates statements
(translation.py). It reports each session's start-up parameters and statements to a listener, and injects the requested
faults (faults.py). Needs only the standard library.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.warehouses.redshift.faults import Faults
from tests.warehouses.redshift.translation import keeps_case, shuffled, translate

SERVER_VERSION = b"8.0.2"
ACCEPTED_PARAMETERS = {"user", "database", "application_name", "options", "client_encoding", "DateStyle"}
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
PARSE, BIND, QUERY, PASSWORD, FLUSH = b"P", b"B", b"Q", b"p", b"H"
ERROR, READY, PARAMETER, DATA_ROW = b"E", b"Z", b"S", b"D"
OWNER = "postgres"  # fills the server over its own socket, without a password; the shim refuses this user
SLOW_SECONDS = 10  # longer than any test lets the statement run
NO_SUCH_STATEMENT = b"\0refused by the shim\0\0\0\0\0\0\0"  # the body of a Bind that causes a PostgreSQL error


class ConnectionCutError(ConnectionResetError):
    """Closes the connection on request."""


@dataclass
class Shim:
    """The relay. ``backend`` is PostgreSQL's socket file, or its (host, port)."""

    backend: Path | tuple[str, int]
    listener: Callable[[dict[str, object]], None]
    faults: Faults = field(default_factory=Faults)
    tls: ssl.SSLContext | None = None  # None: encryption requests are refused

    async def serve(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._client, "127.0.0.1", port)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError)
        with contextlib.suppress(*gone):
            await self._session(reader, writer)
        writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        code, body = await _start_up(reader, writer, self.tls)
        parameters = _parameters(body) if code != CANCEL_REQUEST else {}
        if parameters.get("user") == OWNER:
            writer.write(_message(ERROR, b"SFATAL\0C28000\0Mthis user cannot connect over the network\0\0"))
            return
        if isinstance(self.backend, tuple):
            back_reader, back_writer = await asyncio.open_connection(*self.backend)
        else:
            back_reader, back_writer = await asyncio.open_unix_connection(self.backend)
        if code == CANCEL_REQUEST:
            back_writer.write(struct.pack("!i", len(body) + 4) + body)
            back_writer.close()
            return
        self.listener({"event": "session", "parameters": parameters})
        kept = {name: value for name, value in parameters.items() if name in ACCEPTED_PARAMETERS}
        packed = b"".join(f"{name}\0{value}\0".encode() for name, value in kept.items()) + b"\0"
        back_writer.write(struct.pack("!i", len(packed) + 8) + body[:4] + packed)
        await Session(self, parameters, writer, back_writer).relay(reader, back_reader)


@dataclass
class Session:
    """One connection, after its start-up message."""

    shim: Shim
    parameters: dict[str, str]
    front: asyncio.StreamWriter
    back: asyncio.StreamWriter
    is_case_kept: bool = False
    prepared: dict[bytes, str] = field(default_factory=dict)
    refusal: bytes | None = None  # replaces PostgreSQL's next error

    async def relay(self, reader: asyncio.StreamReader, back_reader: asyncio.StreamReader) -> None:
        answers = asyncio.ensure_future(self._answers(back_reader))
        try:
            await self._requests(reader)
        finally:
            self.back.close()
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await answers

    async def _requests(self, reader: asyncio.StreamReader) -> None:
        """Relay the client's messages. Parse and Query contain SQL.

        The driver sends a Flush after its password. A PostgreSQL that refuses the password ends without reading
        further, and the client would see the connection reset before the reason. Therefore that Flush is not relayed.
        """
        last = b""
        while True:
            kind, body = await _read(reader)
            last, before = kind, last
            if kind == FLUSH and before == PASSWORD:
                continue
            if kind == PARSE:
                name, sql, rest = body.split(b"\0", 2)
                self.prepared[name] = sql.decode()
                body = b"\0".join([name, self._translated(sql.decode()).encode(), rest])
            elif kind == BIND:  # the driver prepares a text once and binds it for each execution
                _, name, _ = body.split(b"\0", 2)
                if await self._is_refused(self.prepared.get(name, "")):
                    body = NO_SUCH_STATEMENT
            elif kind == QUERY:
                sql = body[:-1]
                refused = await self._is_refused(sql.decode())
                body = (b"refused" if refused else self._translated(sql.decode()).encode()) + b"\0"
            self.back.write(_message(kind, body))
            await self.back.drain()

    def _translated(self, sql: str) -> str:
        self.is_case_kept = keeps_case(sql, self.is_case_kept)
        return shuffled(translate(sql, self.parameters.get("database", ""), self.is_case_kept))

    async def _is_refused(self, sql: str) -> bool:
        """Report a statement to the listener before it runs. Returns True if it is refused.

        Raises ConnectionCutError if the session ends now.
        """
        self.shim.listener({"event": "statement", "database": self.parameters.get("database", ""), "sql": sql})
        fault, answer = self.shim.faults.of(sql, self.parameters.get("user", "")) or ("", b"")
        if fault == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        elif fault == "connection gone":
            raise ConnectionCutError
        elif fault == "session ended":
            self.front.write(_message(ERROR, answer))
            raise ConnectionCutError
        elif fault:
            self.refusal = answer
            return True
        return False

    async def _answers(self, back: asyncio.StreamReader) -> None:
        """Relay the server's messages until it ends or the connection breaks."""
        stream, is_open = Messages(), True
        while is_open and (data := await back.read(65536)):
            out = bytearray()
            for kind, message in stream.add(data):
                if kind == DATA_ROW and self.shim.faults.breaks():
                    is_open = False
                    break
                out += self._changed(kind, message) if kind in (PARAMETER, ERROR) else message
            self.front.write(out)
            await self.front.drain()
        self.front.close()

    def _changed(self, kind: bytes, message: bytes) -> bytes:
        body = message[5:]
        if kind == PARAMETER and body.startswith(b"server_version\0"):
            body = b"server_version\0" + SERVER_VERSION + b"\0"
        elif kind == ERROR:  # Redshift has one code for all refused logins, PostgreSQL 18 a more specific one
            body, self.refusal = self.refusal or body.replace(b"C28P01\0", b"C28000\0"), None
        return _message(kind, body)


class Messages:
    """Splits a stream of bytes into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The type and the bytes of each message that is now complete."""
        data, at = self._rest + data, 0
        while len(data) >= at + 5 and len(data) >= (end := at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")):
            yield data[at : at + 1], data[at:end]
            at = end
        self._rest = data[at:]


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _start_up(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext | None
) -> tuple[int, bytes]:
    """The first message that is not an encryption request. Starts TLS if requested and a certificate is available."""
    while True:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        (code,) = struct.unpack("!i", body[:4])
        if code not in (SSL_REQUEST, GSS_REQUEST):
            return code, body
        accepted = code == SSL_REQUEST and tls is not None
        writer.write(b"S" if accepted else b"N")
        await writer.drain()
        if accepted:
            await writer.start_tls(tls)  # type: ignore[attr-defined,unused-ignore]  # Python 3.11


def _parameters(body: bytes) -> dict[str, str]:
    parts = body[4:].rstrip(b"\0").decode().split("\0")
    return dict(zip(parts[::2], parts[1::2], strict=False))
