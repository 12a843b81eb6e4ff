"""A worker process that parses SQL: reads `Job`s from stdin and writes (number, `Extraction`) to stdout.

Imports only what parsing SQL needs, because workers.py starts up to one process per core. The library controls both
ends of the pipes, so it trusts the pickled messages.
"""

from __future__ import annotations

import contextlib
import pickle
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from mcpush.sql.names import Defaults, Schema, TableName
from mcpush.sql.relations import Temporary
from mcpush.sql.session import extract

# Fraction of the time limit after which the worker itself gives up. The parent kills it at the full limit.
OWN_LIMIT = 0.7


@dataclass(frozen=True)
class Job:
    """One text to parse: a job number and arguments of `extract`."""

    number: int
    text: str
    defaults: Defaults
    temporaries: Mapping[TableName, Temporary] | None
    truncated: bool


@dataclass(frozen=True)
class Settings:
    """Settings shared by all jobs of a worker. The parent kills a worker after `time_limit` seconds on one job."""

    dialect: str
    schema: Schema | None
    time_limit: float


@dataclass(frozen=True)
class Ready:
    """The worker's first message: its imports are done."""


def packed(message: object) -> bytes:
    """Encode a message for a pipe: its length, then its pickle."""
    text = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(text).to_bytes(8, "little") + text


def receive(pipe: IO[bytes]) -> object | None:
    """Read the next message; None if the other end closed the pipe or died while writing."""
    head = pipe.read(8)
    size = int.from_bytes(head, "little")
    text = pipe.read(size) if len(head) == 8 else b""
    return pickle.loads(text) if size and len(text) == size else None  # noqa: S301  sent by our own process


def serve() -> None:
    """Run the worker: read the settings, then jobs until the parent closes the pipe."""
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to all processes; the parent stops this one
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # stdout is only for replies

    def reply(message: object) -> None:
        sink.write(packed(message))
        sink.flush()

    settings = receive(source)
    if not isinstance(settings, Settings):
        return
    reply(Ready())
    while isinstance(job := receive(source), Job):
        with _killed_after(2 * settings.time_limit):
            found = extract(
                job.text,
                settings.dialect,
                job.defaults,
                settings.schema,
                temporaries=job.temporaries,
                truncated=job.truncated,
                time_limit=settings.time_limit * OWN_LIMIT,
            )
        reply((job.number, found))


@contextlib.contextmanager
def _killed_after(seconds: float) -> Iterator[None]:
    """Kill this process with SIGALRM after a timeout, in case the parent was killed and cannot. Not on Windows."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
