"""Signal handling: the handler sets a flag, which loops and waits check. It interrupts only driver calls.

    for record in records:
        stop_if_asked()
        ...
    with interruptible():
        cursor.execute(sql)

The handler must not acquire a lock: the code that it interrupts might hold it. Two threads therefore do the rest. One
ends waits and logs the shutdown. The other forces the exit after MAX_SHUTDOWN_SECONDS, even if logging hangs. Python
writes each signal to a socket at once, so that the threads act even while native code of a driver delays the handler.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from mcpush.errors import INTERRUPTED, Terminated

SIGNALS = (signal.SIGTERM, signal.SIGINT)
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # the terminal was closed; Windows does not have it
MAX_SHUTDOWN_SECONDS = 75.0  # after a signal; longer than a request can take (push/request.py)
MAX_LOG_SECONDS = 5.0  # how long the exit waits for a log line

log = logging.getLogger("mcpush")  # the logger of console.py; importing that module would require third-party packages

stopping = threading.Event()  # for waits: stopping.wait(seconds)
_stop_requested = False
_is_interruptible = False
_received, _to_received = socket.socketpair()  # a byte per signal: its number
_to_received.setblocking(False)
_shutdown_logged = threading.Event()
_is_overdue = threading.Event()
_overdue_logged = threading.Event()


def stop_if_asked() -> None:
    """Raise Terminated after a signal. Every long loop calls it."""
    if _stop_requested:
        raise Terminated


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal interrupt a driver call.

    Raises Terminated after a signal, even if the driver raises its own error or ignores the signal.
    """
    global _is_interruptible
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals only in the main thread
        return
    before, _is_interruptible = _is_interruptible, True
    try:
        stop_if_asked()
        yield
    finally:
        _is_interruptible = before
        stop_if_asked()


def _handled() -> list[signal.Signals]:
    """The signals that end a run. With ``nohup`` a run goes on after SIGHUP."""
    if HANGUP is None or signal.getsignal(HANGUP) is signal.SIG_IGN:
        return [*SIGNALS]
    return [*SIGNALS, HANGUP]


def handle_signals() -> None:
    """Shut down cleanly on SIGTERM, SIGINT and SIGHUP from now on. Call it in the main thread."""
    signal.set_wakeup_fd(_to_received.fileno(), warn_on_full_buffer=False)
    for each in _handled():
        signal.signal(each, _handle)
    for thread in _threads:
        if not thread.is_alive():
            thread.start()


def ignore_signals() -> None:
    """Ignore signals from now on. Call it before exiting.

    On exit the interpreter first removes Python handlers, so a late signal would kill the process.
    """
    for each in _handled():
        signal.signal(each, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    if _stop_requested:  # the interpreter cannot exit cleanly while a daemon thread writes to stderr
        _shutdown_logged.wait(MAX_LOG_SECONDS)


def _handle(signum: int, frame: FrameType | None) -> None:
    """Start a clean shutdown at the first signal. Ignore later ones: they would interrupt the shutdown."""
    global _stop_requested
    is_first, _stop_requested = not _stop_requested, True
    if is_first:
        with suppress(BlockingIOError):  # full: the threads have read none of the signals yet, and will
            _to_received.send(bytes([signum]))  # Python does not if a library has replaced the wakeup descriptor
        if _is_interruptible:
            raise Terminated


def _log_shutdown() -> None:
    """Log the shutdown. This blocks forever if stderr is a pipe that nobody reads."""
    while _received.recv(1)[0] not in (*SIGNALS, HANGUP):
        pass  # another signal, which a library handles
    stopping.set()
    log.info("stopping: waiting for requests in progress")
    _shutdown_logged.set()
    _is_overdue.wait()
    log.error("still running after %g s: exiting now", MAX_SHUTDOWN_SECONDS)
    _overdue_logged.set()


def _force_exit() -> None:
    """Force a hanging run to exit. Accepted batches are in the journal, and the next run removes a partial manifest."""
    stopping.wait()
    threading.Event().wait(MAX_SHUTDOWN_SECONDS)
    _is_overdue.set()
    _overdue_logged.wait(MAX_LOG_SECONDS)
    os._exit(INTERRUPTED)


_threads = [threading.Thread(target=each, name="signals", daemon=True) for each in (_log_shutdown, _force_exit)]
