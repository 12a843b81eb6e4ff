"""Signals: the handler sets an event, and loops and waits look at it. Only a driver's call is interrupted.

    for record in records:
        stop_if_asked()
        ...
    with interruptible():
        cursor.execute(sql)

Threads take over from the handler, which must not take a lock: the code that it interrupts may hold it. One announces
the end; another, which waits for nothing that the first one does, sees to it that it comes.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from mcpush.errors import INTERRUPTED, Terminated

SIGNALS = (signal.SIGTERM, signal.SIGINT)
MAX_SHUTDOWN_SECONDS = 75.0  # after a signal; a request has 30 s to connect and 30 s to be answered
MAX_LOG_SECONDS = 5.0

log = logging.getLogger("mcpush")  # that of console.py, which would bring packages: manifest.py needs none

stopping = threading.Event()  # for waits: stopping.wait(seconds)
_stop_requested = False
_is_interruptible = False
_signals: SimpleQueue[int] = SimpleQueue()  # its put is reentrant, unlike the lock of an event
_shutdown_logged = threading.Event()
_is_overdue = threading.Event()
_overdue_logged = threading.Event()


def stop_if_asked() -> None:
    """Raise Terminated once a signal came. Every long loop calls it."""
    if _stop_requested:
        raise Terminated


@contextmanager
def interruptible() -> Iterator[None]:
    """For a driver's call: a signal ends it at once.

    Raises Terminated then, whatever the driver made of the signal: an error of its own, or nothing.
    """
    global _is_interruptible
    if threading.current_thread() is not threading.main_thread():
        yield  # a signal is handled in the main thread only
        return
    before, _is_interruptible = _is_interruptible, True
    try:
        stop_if_asked()
        yield
    finally:
        _is_interruptible = before
        stop_if_asked()


def handle_signals() -> None:
    """From here on SIGTERM and SIGINT stop the run in order. Call it in the main thread."""
    for each in SIGNALS:
        signal.signal(each, _handle)
    for thread in _threads:
        if not thread.is_alive():
            thread.start()


def ignore_signals() -> None:
    """Call it before the interpreter ends: it forgets other handlers first, and would end by the signal."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if _stop_requested:  # the interpreter cannot end in order while a daemon thread is writing to stderr
        _shutdown_logged.wait(MAX_LOG_SECONDS)


def _handle(signum: int, frame: FrameType | None) -> None:
    """The first signal ends the run in order; more of them would only cut that short."""
    global _stop_requested
    is_first, _stop_requested = not _stop_requested, True
    if is_first:
        _signals.put(signum)
        if _is_interruptible:
            raise Terminated


def _log_shutdown() -> None:
    """Says what happens, which takes for ever where stderr is a pipe that nobody empties."""
    _signals.get()
    stopping.set()
    log.info("stopping: waiting for requests in progress")
    _shutdown_logged.set()
    _is_overdue.wait()
    log.error("still running after %g s: exiting now", MAX_SHUTDOWN_SECONDS)
    _overdue_logged.set()


def _force_exit() -> None:
    """What hangs is ended: what was accepted is in the journal, and half a manifest is removed by the next run."""
    stopping.wait()
    threading.Event().wait(MAX_SHUTDOWN_SECONDS)
    _is_overdue.set()
    _overdue_logged.wait(MAX_LOG_SECONDS)
    os._exit(INTERRUPTED)


_threads = [threading.Thread(target=each, name="signals", daemon=True) for each in (_log_shutdown, _force_exit)]
