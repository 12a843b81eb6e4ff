"""Reads statements in other processes: on every core, and with a time limit that holds whatever the text does.

From `Job`s (text, defaults, temporary tables) to `Extraction`s, in the order they are ready. A worker that exceeds
the time limit or dies is replaced; the statement it had is answered with a skip, those behind it are read again.
Works the same on Linux, macOS and Windows: plain subprocesses, pipes and one reading thread each.
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
from mcpush.sql.names import Schema
from mcpush.sql.session import Extraction, Skip

# Statements a worker is given ahead, so that it never waits for the next.
AHEAD = 16
# A second worker is started when the first has this much to do: a short log needs one process.
BUSY = 6
START_LIMIT = 60.0
# How long a wait for an answer may ignore a signal.
LONGEST_WAIT = 1.0

# Replaces sys.path[0], which is the current directory: nothing is imported from there.
_BOOT = "import sys; sys.path[0] = sys.argv[1]; from mcpush.lineage.worker import serve; serve()"

Answer = tuple[int, Extraction] | Ready | None  # None: the worker has ended


def start_worker() -> subprocess.Popen[bytes]:
    """A process that has the library of this one, whether that is a folder or a ZIP."""
    home = Path(mcpush.__path__[0]).resolve().parent
    return subprocess.Popen(
        [sys.executable, "-c", _BOOT, str(home)],
        env=os.environ.copy(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


class _Worker:
    def __init__(self, settings: bytes, answers: queue.Queue[tuple[_Worker, Answer]]) -> None:
        self.jobs: deque[Job] = deque()
        self.ready = False
        self.since = time.monotonic()  # when the job in front was begun
        self._process = start_worker()
        self._answers = answers
        threading.Thread(target=self._listen, name="sql-lineage-answers", daemon=True).start()
        self._send(settings)

    def give(self, job: Job) -> None:
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append(job)
        self._send(packed(job))

    def stop(self) -> None:
        """Ends the process at once; a process that has ended already is no error."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still buffered for a dead process
                    pipe.close()

    def _send(self, message: bytes) -> None:
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # it has died: its listener reports that
            if pipe is not None:
                pipe.write(message)
                pipe.flush()

    def _listen(self) -> None:
        output = self._process.stdout
        try:
            while output is not None:
                message = receive(output)
                if message is None:
                    break
                self._answers.put((self, cast(Answer, message)))
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            pass
        self._answers.put((self, None))


class Pool:
    """Worker processes for one dialect and catalog. Not for use from several threads."""

    def __init__(self, dialect: str, schema: Schema | None, size: int, time_limit: float) -> None:
        self.size = max(1, size)
        self.time_limit = time_limit
        self._settings = packed(Settings(dialect, schema, time_limit))
        self._answers: queue.Queue[tuple[_Worker, Answer]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._done: deque[tuple[int, Extraction]] = deque()

    def submit(self, job: Job) -> None:
        """Takes a job; waits while every worker has enough to do."""
        while True:
            worker = min(self._workers, key=lambda item: len(item.jobs), default=None)
            if worker is None or (len(worker.jobs) >= BUSY and len(self._workers) < self.size):
                worker = self._start()
            if len(worker.jobs) < AHEAD:
                worker.give(job)
                return
            self._wait(LONGEST_WAIT)

    def answers(self, wait: bool) -> list[tuple[int, Extraction]]:
        """The answers that are ready, as (job number, extraction); with `wait`, at least one if a job is out."""
        while True:
            self._wait(0.0)
            if self._done or not wait or not any(worker.jobs for worker in self._workers):
                break
            self._wait(LONGEST_WAIT)
        found = list(self._done)
        self._done.clear()
        return found

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def _start(self) -> _Worker:
        worker = _Worker(self._settings, self._answers)
        self._workers.append(worker)
        return worker

    def _wait(self, longest: float) -> None:
        """Takes in what has arrived. Waits for the first at most so many seconds, or until a worker's limit."""
        stop_if_asked()
        left = (self._left(worker) for worker in self._workers if worker.jobs)
        timeout = max(0.01, min([longest, *left])) if longest else 0.0
        try:
            worker, answer = self._answers.get(timeout=timeout) if timeout else self._answers.get_nowait()
            self._take(worker, answer)
            while True:
                self._take(*self._answers.get_nowait())
        except queue.Empty:
            pass
        for worker in list(self._workers):
            if worker.jobs and self._left(worker) <= 0:
                self._replace(worker, "time limit exceeded")

    def _left(self, worker: _Worker) -> float:
        limit = self.time_limit if worker.ready else self.time_limit + START_LIMIT
        return worker.since + limit - time.monotonic()

    def _take(self, worker: _Worker, answer: Answer) -> None:
        if worker not in self._workers:
            return  # the last words of one that was replaced
        if answer is None:
            self._replace(worker, "the parser process ended unexpectedly")
        elif isinstance(answer, Ready):
            worker.ready = True
            worker.since = time.monotonic()
        else:
            worker.jobs.popleft()
            worker.since = time.monotonic()
            self._done.append(answer)

    def _replace(self, worker: _Worker, reason: str) -> None:
        self._workers.remove(worker)
        worker.stop()
        if not worker.ready and reason != "time limit exceeded":
            raise RuntimeError(f"cannot start a process to parse SQL: {sys.executable}")
        if worker.jobs:
            job = worker.jobs.popleft()
            self._done.append((job.number, Extraction(skips=(Skip.of(reason, job.text),), defaults=job.defaults)))
        if worker.jobs:
            successor = self._start()
            for job in worker.jobs:
                successor.give(job)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
