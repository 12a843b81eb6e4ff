"""Asks about many objects one by one, in a bounded pool of threads with one time budget for the whole run.

For sources that offer some facts only per object. Facts about objects that are not reached in time stay unknown.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from mcpush.interrupts import interruptible

T = TypeVar("T")
U = TypeVar("U")
LONGEST_WAIT = 1.0  # seconds; a signal that arrives just before a wait does not interrupt it
AHEAD = 4  # requests submitted per worker: enough that no worker waits


@dataclass(frozen=True)
class Answer(Generic[T, U]):
    """What asking about an item returned or raised. If it was not reached, all three are None or False."""

    item: T
    value: U | None = None
    error: Exception | None = None
    is_reached: bool = False


class Pool:
    """``workers`` threads that ask, until the run has waited ``seconds`` for them in total."""

    def __init__(self, workers: int, seconds: float) -> None:
        self._workers, self._left = workers, seconds

    def answers(self, ask: Callable[[T], U], items: Iterable[T]) -> Iterator[Answer[T, U]]:
        """Yield one answer per item, in the order of the items. ``ask`` runs in a thread, and must limit its own time.

        Reads few items ahead. Raises nothing that ``ask`` raises: the answer has it.
        """
        questions: SimpleQueue[tuple[T, Future[U]] | None] = SimpleQueue()
        for _ in range(self._workers):
            # Daemons: at its end, the run does not wait for requests that are being retried.
            Thread(target=_work, args=(ask, questions), name="ask", daemon=True).start()
        waiting: deque[tuple[T, Future[U]]] = deque()
        try:
            for item in items:
                waiting.append((item, Future()))
                if self._left > 0:
                    questions.put(waiting[-1])
                if len(waiting) >= self._workers * AHEAD:
                    yield self._answer(*waiting.popleft())
            while waiting:
                yield self._answer(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()
            for _ in range(self._workers):
                questions.put(None)

    def _answer(self, item: T, future: Future[U]) -> Answer[T, U]:
        """Wait for the answer, as long as the budget allows."""
        while not future.done() and self._left > 0:
            start = time.monotonic()
            with interruptible():
                futures.wait([future], timeout=min(self._left, LONGEST_WAIT))
            self._left -= time.monotonic() - start
        if future.cancel() or not future.done():
            return Answer(item)
        error = future.exception()
        if error is None:
            return Answer(item, future.result(), None, True)
        if not isinstance(error, Exception):
            raise error
        return Answer(item, None, error, True)


def _work(ask: Callable[[T], U], questions: SimpleQueue[tuple[T, Future[U]] | None]) -> None:
    """Answer questions until there is a None."""
    while (question := questions.get()) is not None:
        item, future = question
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(ask(item))
        except BaseException as error:
            future.set_exception(error)
