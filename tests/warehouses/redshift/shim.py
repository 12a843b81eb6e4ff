"""A PostgreSQL that Amazon Redshift's own driver accepts: a relay between the two.

From the driver's TCP connection to PostgreSQL's Unix socket (or port), message by message. It drops the
start-up parameters only Redshift knows, answers ``server_version`` as Redshift does (8.0.2), and translates the
two statements that PostgreSQL does not take: SHOW TABLES FROM SCHEMA, and SET of a parameter only Redshift has.
It tells each session's start-up parameters and statements to a listener, and cuts connections on request. Needs
the standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SERVER_VERSION = b"8.0.2"
ACCEPTED_PARAMETERS = {"user", "database", "application_name", "options", "client_encoding", "DateStyle"}
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
PARSE, BIND, QUERY, PASSWORD, FLUSH = b"P", b"B", b"Q", b"p", b"H"
ERROR, READY, PARAMETER = b"E", b"Z", b"S"
OWNER = "postgres"  # fills the server over its own socket, without a password; nobody may come in by that name

# https://docs.aws.amazon.com/redshift/latest/dg/r_SHOW_TABLES.html
SHOW_TABLES = re.compile(
    r"""\s*SHOW\s+TABLES\s+FROM\s+SCHEMA\s+
    (?:(?P<database>"(?:[^"]|"")+"|\w+)\.)?(?P<schema>"(?:[^"]|"")+"|\w+)
    (?:\s+LIKE\s+(?P<pattern>'(?:[^']|'')*'))?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*;?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
SET_UNKNOWN = re.compile(
    r"\s*SET\s+(?P<name>query_group|enable_result_cache_for_session|enable_case_sensitive_identifier)\s+TO\s+",
    re.IGNORECASE,
)
# https://docs.aws.amazon.com/redshift/latest/dg/r_enable_case_sensitive_identifier.html
KEEP_CASE = re.compile(
    r"\s*SET\s+enable_case_sensitive_identifier\s+TO\s+(?P<value>true|on|false|off)\s*;?\s*", re.IGNORECASE
)


@dataclass
class Cut:
    """Cut the connection instead of the next statement but ``after`` that contains ``containing``."""

    containing: str
    after: int


@dataclass
class Shim:
    """``backend`` is PostgreSQL's socket file, or its (host, port)."""

    backend: Path | tuple[str, int]
    listener: Callable[[dict[str, object]], None]
    cut: Cut | None = None
    tls: ssl.SSLContext | None = None  # None: the question about encryption is answered with no

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
        answers = asyncio.ensure_future(_answers(back_reader, writer))
        try:
            await self._requests(reader, back_writer, parameters.get("database", ""))
        finally:
            back_writer.close()
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await answers

    async def _requests(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, database: str) -> None:
        """Relay the client's messages; SQL stands in Parse and Query.

        The driver sends a Flush after its password. A PostgreSQL that refuses the password ends without reading
        on, and the connection's reset would overtake its reason: that Flush stays here.
        """
        last, prepared, keeps_case = b"", {}, False
        while True:
            kind, body = await _read(reader)
            last, before = kind, last
            if kind == FLUSH and before == PASSWORD:
                continue
            if kind == PARSE:
                name, sql, rest = body.split(b"\0", 2)
                prepared[name] = sql.decode()
                keeps_case = _keeps_case(sql.decode(), keeps_case)
                body = b"\0".join([name, translate(sql.decode(), database, keeps_case).encode(), rest])
            elif kind == BIND:  # the driver prepares a text once and binds it as often as it is run
                _, name, _ = body.split(b"\0", 2)
                self._run(prepared.get(name, ""), database)
            elif kind == QUERY:
                sql = body[:-1]
                self._run(sql.decode(), database)
                keeps_case = _keeps_case(sql.decode(), keeps_case)
                body = translate(sql.decode(), database, keeps_case).encode() + b"\0"
            back.write(_message(kind, body))
            await back.drain()

    def _run(self, sql: str, database: str) -> None:
        """A statement is about to be run: tell the listener, or cut the connection."""
        self.listener({"event": "statement", "database": database, "sql": sql})
        if self.cut and self.cut.containing.lower() in sql.lower():
            if self.cut.after == 0:
                raise ConnectionResetError("cut on request")
            self.cut.after -= 1


def _keeps_case(sql: str, before: bool) -> bool:
    """Whether the session keeps the case of quoted names after this statement: by default Redshift does not."""
    found = KEEP_CASE.fullmatch(sql)
    return found["value"].lower() in ("true", "on") if found else before


def translate(sql: str, database: str, keeps_case: bool = False) -> str:
    """The statement as PostgreSQL takes it; unchanged unless it is one of the two it lacks."""
    if show := SHOW_TABLES.fullmatch(sql):
        named = show["database"]
        of_database = _unquoted(named, keeps_case) if named else database
        arguments = [_literal(of_database), _literal(_unquoted(show["schema"], keeps_case))]
        arguments += [show["pattern"] or "'%'", show["limit"] or "NULL"]
        return f"SELECT * FROM testbed.show_tables_from({', '.join(arguments)})"
    return SET_UNKNOWN.sub(lambda match: f"SET testbed.{match['name']} TO ", sql, count=1)


def _unquoted(name: str, keeps_case: bool) -> str:
    plain = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    return plain if keeps_case else plain.lower()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _start_up(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext | None
) -> tuple[int, bytes]:
    """The first message that is no question about encryption; TLS is taken up when there is a certificate."""
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


async def _answers(back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Relay the server's messages, the start-up's one by one, the rest as they come."""
    kind = b""
    while kind not in (READY, ERROR):
        kind, body = await _read(back)
        if kind == PARAMETER and body.startswith(b"server_version\0"):
            body = b"server_version\0" + SERVER_VERSION + b"\0"
        elif kind == ERROR:  # Redshift has one code for whoever may not sign in, PostgreSQL 18 a finer one
            body = body.replace(b"C28P01\0", b"C28000\0")
        writer.write(_message(kind, body))
        await writer.drain()
    while data := await back.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
