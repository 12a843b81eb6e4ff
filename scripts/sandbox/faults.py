"""Injects faults and counts requests: an ASGI layer in front of the whole sandbox.

A test adds a fault with `POST /sandbox/faults`. The layer counts the requests of each path. For a request that a fault
hits, it delays, returns another status, or closes the connection without a response: before the request is handled, or
after, when the data is stored but the client does not know. Closing needs the connection's transport.
`FaultableConnection`, a subclass of uvicorn's protocol, adds it to the scope.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson
from shapes import Record, any_value, name, optional
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONTROL_PREFIX = "/sandbox/"
DROPPED = "dropped"
GONE = "gone"
_TRANSPORT = "sandbox.transport"
OTHER_PATHS = "(other paths)"
_MAX_ANSWERS = 1000
_MAX_PATHS = 200  # counted one by one; the requests of further paths are counted together
_POLL_SECONDS = 0.05

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t -~]*")


class FaultableConnection(H11Protocol):
    """An HTTP connection that the application can close."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope[_TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = app


@dataclass
class Fault:
    """A fault: which requests of a path it hits, and what it does to them.

    `calls` are request numbers, counted from 1 since the fault was added. `every` N hits each Nth request. Without
    either, the fault hits every request. `delay` is in seconds. `drop` is "before" or "after" the request is handled. A
    `body` that is a string is sent unchanged, any other value as JSON. Without `status` and `drop`, a request is only
    delayed; if the client disconnects during the delay, the request is not handled.
    """

    path: str
    calls: list[int] = field(default_factory=list)
    every: int | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    delay: float = 0
    drop: str | None = None
    seen: int = 0
    hit: int = 0

    def hits(self) -> bool:
        """Count one more request of this path, and return whether the fault hits it."""
        self.seen += 1
        by_number = self.seen in self.calls
        by_turn = self.every is not None and self.seen % self.every == 0
        chosen = by_number or by_turn or (not self.calls and self.every is None)
        self.hit += chosen
        return chosen


def _call(value: Any) -> str | None:
    return None if type(value) is int and value > 0 else "must be an integer of 1 or more"


def _calls(value: Any) -> str | None:
    wrong = type(value) is not list or any(_call(each) for each in value)
    return "must be a list of call numbers, counted from 1" if wrong else None


def _status(value: Any) -> str | None:
    return None if type(value) is int and 200 <= value <= 599 else "must be an HTTP status from 200 to 599"


def _seconds(value: Any) -> str | None:
    return None if type(value) in (int, float) and 0 <= value <= 600 else "must be seconds, 0 to 600"


def _drop(value: Any) -> str | None:
    return None if value in (True, False, "before", "after") else 'must be true, "before" or "after"'


def _headers(value: Any) -> str | None:
    fits = type(value) is dict and all(
        _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(str(each)) for name, each in value.items()
    )
    return None if fits else "must be an object of header names and their values, in ASCII"


_FAULT = Record(
    path=name,
    calls=optional(_calls),
    every=optional(_call),
    status=optional(_status),
    headers=optional(_headers),
    body=optional(any_value),
    delay=optional(_seconds),
    drop=optional(_drop),
)


def read_fault(body: Any) -> tuple[Fault | None, dict[str, str]]:
    """Return the fault in a request body, or the problems by field."""
    problems: dict[str, str] = {}
    _FAULT.check(body, "", problems)
    if problems:
        return None, problems
    given = {key: value for key, value in body.items() if value is not None}
    drop = given.pop("drop", None)
    headers = {key.lower(): str(value) for key, value in given.pop("headers", {}).items()}
    return Fault(**given, headers=headers, drop={True: "before", False: None}.get(drop, drop)), {}


@dataclass
class Tally:
    """How often a path was requested, and its latest responses.

    A response is a status, "dropped", or "gone" if the client disconnected during a delay.
    """

    count: int = 0
    answers: deque[int | str] = field(default_factory=lambda: deque(maxlen=_MAX_ANSWERS))


class FaultLayer:
    """Counts requests and injects faults, except for the control endpoints."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.faults: list[Fault] = []
        self.tallies: dict[str, Tally] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        with self._lock:
            counted = path if path in self.tallies or len(self.tallies) < _MAX_PATHS else OTHER_PATHS
            tally = self.tallies.setdefault(counted, Tally())
            tally.count += 1
            chosen = [fault for fault in self.faults if fault.path == path and fault.hits()]
        if chosen:
            await self._inject(chosen[0], tally, scope, receive, send)
        else:
            await self._app(scope, receive, _record_status(tally, send))

    async def _inject(self, fault: Fault, tally: Tally, scope: Scope, receive: Receive, send: Send) -> None:
        if not await _wait(fault.delay, scope[_TRANSPORT]):
            tally.answers.append(GONE)
            return
        if fault.drop == "after":
            await self._app(scope, receive, _discard)
        elif fault.drop or fault.status is not None:
            await _drain(receive)
        if fault.drop:
            tally.answers.append(DROPPED)
            await _close_connection(scope, receive)
        elif fault.status is not None:
            await _respond(fault, _record_status(tally, send))
        else:
            await self._app(scope, receive, _record_status(tally, send))


def _record_status(tally: Tally, send: Send) -> Send:
    async def send_recorded(message: Message) -> None:
        if message["type"] == "http.response.start":
            tally.answers.append(message["status"])
        await send(message)

    return send_recorded


async def _discard(message: Message) -> None:
    """Discard a part of the response."""


async def _wait(seconds: float, transport: asyncio.Transport) -> bool:
    """Wait, and return whether the client is still connected. A client that left does not delay shutdown."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not transport.is_closing():
        left = until - loop.time()
        if left <= 0:
            return True
        await asyncio.sleep(min(left, _POLL_SECONDS))
    return False


async def _drain(receive: Receive) -> None:
    """Read the rest of a request: a client that is still sending would get a reset instead of the response."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return


async def _close_connection(scope: Scope, receive: Receive) -> None:
    transport: asyncio.Transport = scope[_TRANSPORT]
    transport.abort()
    # uvicorn returns 500 if an application sends no response, unless it has noticed the disconnect.
    while (await receive())["type"] != "http.disconnect":
        continue


async def _respond(fault: Fault, send: Send) -> None:
    body = fault.body if fault.body is not None else {"error": f"injected fault: {fault.status}"}
    if isinstance(body, str):  # like the HTML page of a proxy
        content, kind = body.encode(), "text/plain"
    else:
        content, kind = orjson.dumps(body), "application/json"
    headers = {"content-type": kind} | fault.headers
    await send(
        {
            "type": "http.response.start",
            "status": fault.status,
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": content})
