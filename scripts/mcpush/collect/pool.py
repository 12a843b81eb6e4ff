"""Asks about many objects one by one, in a bounded pool of threads with one time budget for the whole run.

For sources that offer some facts only per object. Facts about objects that are not reached in time stay unknown.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from mcpush.interrupts import interruptible

T = TypeVar("T")
U = TypeVar("U")
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
        executor = ThreadPoolExecutor(self._workers, thread_name_prefix="ask")
        waiting: deque[tuple[T, Future[U] | None]] = deque()
        try:
            for item in items:
                waiting.append((item, executor.submit(ask, item) if self._left > 0 else None))
                if len(waiting) >= self._workers * AHEAD:
                    yield self._answer(*waiting.popleft())
            while waiting:
                yield self._answer(*waiting.popleft())
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _answer(self, item: T, future: Future[U] | None) -> Answer[T, U]:
        if future is None or (self._left <= 0 and not future.done()):
            if future is not None:
                future.cancel()
            return Answer(item)
        start = time.monotonic()
        try:
            with interruptible():
                return Answer(item, future.result(timeout=max(self._left, 0)), None, True)
        except (futures.TimeoutError, futures.CancelledError):
            if future.done() and not future.cancelled():  # raised by ask itself
                return Answer(item, None, _error(future), True)
            return Answer(item)
        except Exception as error:
            return Answer(item, None, error, True)
        finally:
            self._left -= time.monotonic() - start


def _error(future: Future[U]) -> Exception | None:
    error = future.exception()
    return error if isinstance(error, Exception) else None
