"""Parses statements in worker processes, on all cores and with an enforced time limit.

Converts `Job`s (text, defaults, temporary tables) to `Extraction`s, in order of completion. A worker that exceeds the
time limit or dies is replaced. Its current statement becomes a skip; its queued statements are sent to the new worker.
Works the same on Linux, macOS and Windows: plain subprocesses, pipes, a reading and a writing thread per worker.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import cast

import mcpush
from mcpush.interrupts import stop_if_asked
from mcpush.lineage.worker import Job, Ready, Settings, packed, receive
from mcpush.redaction import secret_variables
from mcpush.sql.names import Schema
from mcpush.sql.session import Extraction, Skip

# Maximum number of statements queued at a worker, so that it never has to wait for the next.
MAX_QUEUED_JOBS = 16
# Another worker is started when every worker has this many jobs. A short log needs only one process.
BUSY_JOBS = 6
# Additional seconds for a worker to start.
START_LIMIT = 60.0
# Maximum wait for a reply, in seconds, before checking for a signal.
MAX_WAIT = 1.0

# Python appends the current directory for -c; nothing may be imported from there.
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from mcpush.lineage.worker import serve; serve()"

Reply = tuple[int, Extraction] | Ready | None  # None: the worker has ended


def start_worker() -> subprocess.Popen[bytes]:
    """Start a worker process. It imports from where this process does, but not from the current directory.

    It gets no variable that contains a secret: it parses texts that others wrote.
    """
    places = _import_places()
    secrets = secret_variables()
    environment = {name: value for name, value in os.environ.items() if name not in secrets}
    return subprocess.Popen(
        [sys.executable, "-c", _BOOT, *places],
        # Python itself imports some modules before it runs _BOOT, such as sitecustomize.
        env=environment | {"PYTHONPATH": os.pathsep.join(places)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _import_places() -> list[str]:
    """The folders and ZIP files to import from: the library's, then this process's without the current directory."""
    home = Path(mcpush.__path__[0]).resolve().parent
    others = (Path(place).absolute() for place in sys.path if place and not _is_current_directory(place))
    return list(dict.fromkeys(str(place) for place in (home, *others)))


def _is_current_directory(place: str) -> bool:
    try:
        return Path(place).samefile(os.curdir)
    except OSError:
        return False  # it does not exist


class _Worker:
    def __init__(self, settings: bytes, replies: queue.Queue[tuple[_Worker, Reply]]) -> None:
        self.jobs: deque[Job] = deque()
        self.ready = False
        self.since = time.monotonic()  # when the first job in the queue was started
        self._process = start_worker()
        self._replies = replies
        self._messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # None: the worker was stopped
        for work in (self._listen, self._write):
            threading.Thread(target=work, name="sql-lineage-pipe", daemon=True).start()
        self._messages.put(settings)

    def enqueue(self, job: Job) -> None:
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append(job)
        self._messages.put(packed(job))

    def stop(self) -> None:
        """Kill the process. It is not an error if it has already ended."""
        self._process.kill()
        self._process.wait()
        self._messages.put(None)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # flushing buffered data to a dead process fails
                    pipe.close()

    def _write(self) -> None:
        """Send the messages. A full pipe blocks, so only this thread waits until a busy worker reads the next job."""
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # the process died: the listener reports it
            while pipe is not None and (message := self._messages.get()) is not None:
                pipe.write(message)
                pipe.flush()

    def _listen(self) -> None:
        output = self._process.stdout
        try:
            while output is not None:
                message = receive(output)
                if message is None:
                    break
                self._replies.put((self, cast(Reply, message)))
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            pass
        self._replies.put((self, None))


class Pool:
    """Worker processes for one dialect and catalog. Not thread-safe."""

    def __init__(self, dialect: str, schema: Schema | None, size: int, time_limit: float) -> None:
        self.size = max(1, size)
        self.time_limit = time_limit
        self._settings = packed(Settings(dialect, schema, time_limit))
        self._replies: queue.Queue[tuple[_Worker, Reply]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._done: deque[tuple[int, Extraction]] = deque()

    def submit(self, job: Job) -> None:
        """Queue a job. Blocks while every worker's queue is full."""
        while True:
            worker = min(self._workers, key=lambda item: len(item.jobs), default=None)
            if worker is None or (len(worker.jobs) >= BUSY_JOBS and len(self._workers) < self.size):
                worker = self._start()
            if len(worker.jobs) < MAX_QUEUED_JOBS:
                worker.enqueue(job)
                return
            self._wait(MAX_WAIT)

    def results(self, wait: bool) -> list[tuple[int, Extraction]]:
        """The results as (job number, extraction). With `wait`, blocks for at least one if jobs are pending."""
        while True:
            self._wait(0.0)
            if self._done or not wait or not any(worker.jobs for worker in self._workers):
                break
            self._wait(MAX_WAIT)
        found = list(self._done)
        self._done.clear()
        return found

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def _start(self) -> _Worker:
        worker = _Worker(self._settings, self._replies)
        self._workers.append(worker)
        return worker

    def _wait(self, max_seconds: float) -> None:
        """Handle the replies received. Waits up to `max_seconds` for the first, or until a worker's limit."""
        stop_if_asked()
        left = (self._time_left(worker) for worker in self._workers if worker.jobs)
        timeout = max(0.01, min([max_seconds, *left])) if max_seconds else 0.0
        try:
            worker, reply = self._replies.get(timeout=timeout) if timeout else self._replies.get_nowait()
            self._handle(worker, reply)
            while True:
                self._handle(*self._replies.get_nowait())
        except queue.Empty:
            pass
        for worker in list(self._workers):
            if worker.jobs and self._time_left(worker) <= 0:
                self._replace(worker, "time limit exceeded")

    def _time_left(self, worker: _Worker) -> float:
        limit = self.time_limit if worker.ready else self.time_limit + START_LIMIT
        return worker.since + limit - time.monotonic()

    def _handle(self, worker: _Worker, reply: Reply) -> None:
        if worker not in self._workers:
            return  # a late reply of a worker that was replaced
        if reply is None:
            stop_if_asked()  # a signal to the whole process group can end a worker that is starting
            self._replace(worker, "the parser process ended unexpectedly")
        elif isinstance(reply, Ready):
            worker.ready = True
            worker.since = time.monotonic()
        else:
            worker.jobs.popleft()
            worker.since = time.monotonic()
            self._done.append(reply)

    def _replace(self, worker: _Worker, reason: str) -> None:
        self._workers.remove(worker)
        worker.stop()
        if not worker.ready and reason != "time limit exceeded":
            raise RuntimeError(f"Cannot start a process to parse SQL: {sys.executable}")
        if worker.jobs:
            job = worker.jobs.popleft()
            self._done.append((job.number, Extraction(skips=(Skip.of(reason, job.text),), defaults=job.defaults)))
        if worker.jobs:
            successor = self._start()
            for job in worker.jobs:
                successor.enqueue(job)


def cores() -> int:
    """The number of cores that this process can use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
