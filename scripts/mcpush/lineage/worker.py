"""A process that reads statements for its parent: `Job`s in on stdin, (number, `Extraction`) out on stdout.

Imports no more than reading SQL needs, as workers.py starts one process for each core. Both ends of the pipes are the
library's own, so what passes through is trusted.
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

# The part of the time limit after which the worker itself gives up; what is left is for the kill.
OWN_LIMIT = 0.7


@dataclass(frozen=True)
class Job:
    """One text to read, as `extract` takes it."""

    number: int
    text: str
    defaults: Defaults
    temporaries: Mapping[TableName, Temporary] | None
    truncated: bool


@dataclass(frozen=True)
class Settings:
    """What all jobs of a worker have in common. `time_limit` is in seconds a statement, the kill included."""

    dialect: str
    schema: Schema | None
    time_limit: float


@dataclass(frozen=True)
class Ready:
    """The worker's first answer: its imports are done."""


def packed(message: object) -> bytes:
    """A message as it goes through a pipe: its length, then its pickle."""
    text = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(text).to_bytes(8, "little") + text


def receive(pipe: IO[bytes]) -> object | None:
    """The next message; None when the other end has closed the pipe or died while it wrote."""
    head = pipe.read(8)
    size = int.from_bytes(head, "little")
    text = pipe.read(size) if len(head) == 8 else b""
    return pickle.loads(text) if size and len(text) == size else None  # noqa: S301  our own process


def serve() -> None:
    """The work of the process: settings first, then jobs until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may write into the answers

    def reply(answer: object) -> None:
        sink.write(packed(answer))
        sink.flush()

    settings = receive(source)
    if not isinstance(settings, Settings):
        return
    reply(Ready())
    while isinstance(job := receive(source), Job):
        with _ended_by_the_system(2 * settings.time_limit):
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
def _ended_by_the_system(seconds: float) -> Iterator[None]:
    """Has the system end this process after so long: a parent that was killed itself cannot do it. Not on Windows."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
