"""Signals: the handler sets an event, and loops and waits look at it. Only a driver's call is interrupted.

    for record in records:
        stop_if_asked()
        ...
    with interruptible():
        cursor.execute(sql)

A thread of its own takes the signal over from the handler, which must not take a lock: the thread that it
interrupts may hold it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from mcpush.console import log
from mcpush.errors import INTERRUPTED, Terminated

LONGEST_ENDING_SECONDS = 75.0  # after a signal; a request has 30 s to connect and 30 s to be answered

stopping = threading.Event()  # for waits: stopping.wait(seconds)
_arrived: SimpleQueue[int] = SimpleQueue()
_was_asked = False
_may_interrupt = False


def stop_if_asked() -> None:
    """Raise Terminated once a signal came. Every long loop calls it."""
    if _was_asked:
        raise Terminated


@contextmanager
def interruptible() -> Iterator[None]:
    """A signal ends what is done in this block at once, with Terminated. For a driver's call, which may take long."""
    global _may_interrupt
    if threading.current_thread() is not threading.main_thread():
        yield  # a signal is handled in the main thread only
        return
    before, _may_interrupt = _may_interrupt, True
    try:
        stop_if_asked()
        yield
    finally:
        _may_interrupt = before
    stop_if_asked()  # a driver may have made an error of its own of the interrupt, or lost it in a callback


def handle_signals() -> None:
    """From here on SIGTERM and SIGINT stop the run in order. Call it once, in the main thread."""
    threading.Thread(target=_watch, name="signals", daemon=True).start()
    _on_signals(_handle)


def ignore_signals() -> None:
    """Before the interpreter ends: it forgets other handlers first, and would end by the signal."""
    _on_signals(signal.SIG_IGN)


def _on_signals(handler: signal._HANDLER) -> None:
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


def _handle(signum: int, frame: FrameType | None) -> None:
    """The first signal ends the run in order; more of them would only cut that short."""
    global _was_asked
    is_first, _was_asked = not _was_asked, True
    if is_first:
        _arrived.put(signum)  # reentrant, unlike the lock of an event
        if _may_interrupt:
            raise Terminated


def _watch() -> None:
    _arrived.get()
    stopping.set()
    log.info("stopping: what is under way is brought to an end")
    threading.Event().wait(LONGEST_ENDING_SECONDS)
    # What is under way hangs: what was accepted is in the journal, and half a manifest is removed by the next run.
    log.error("still not ended after %g s: ending now", LONGEST_ENDING_SECONDS)
    os._exit(INTERRUPTED)
