"""Runs push scripts in the test process, for tables of cases that would take minutes in separate processes.

The push scripts, pycarlo and the sandbox are the real ones.
"""

from __future__ import annotations

import json
import runpy
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from mcpush.push.run import run_push

from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # scripts that run in the test process replace the handlers
LONGEST_CALL_SECONDS = 60  # a call that reads a few bytes; if it waits for another process, it would wait forever


@dataclass(frozen=True)
class InProcess:
    """Runs push scripts against a sandbox."""

    sandbox: SandboxProcess
    capsys: pytest.CaptureFixture[str]

    def push(self, flow: str, manifest: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run ``push_<flow>.py``. Returns its exit code and summary."""
        pusher = runpy.run_path(str(TEMPLATES / "snowflake" / f"push_{flow}.py"))["PUSHER"]
        code = run_push(pusher, ["--manifest", str(manifest), *arguments])
        return code, json.loads(self.capsys.readouterr().out)


@dataclass(frozen=True)
class Outcome:
    """How a push ended. ``output`` is the log and the summary as JSON."""

    exit_code: int
    summary: dict[str, Any]
    output: str

    @property
    def message(self) -> str:
        return str(self.summary.get("error", {}).get("message", ""))

    @property
    def was_retriable(self) -> bool:
        return self.message.startswith("Sending records")


Push = Callable[..., Outcome]


@contextmanager
def restored_handlers() -> Iterator[None]:
    """Restore the signal handlers on exit."""
    before = [(number, signal.getsignal(number)) for number in HANDLED]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def ends_by_itself() -> Iterator[None]:
    """Fail with AssertionError if the block waits forever, for example for the other end of a FIFO."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError("the call waits forever")

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_CALL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


@contextmanager
def pushing_to(
    sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[InProcess]:
    """Set the sandbox's environment variables in this process. On exit, restore the signal handlers."""
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "pycarlo.core.session.MCD_API_ENDPOINT", sandbox.endpoint
    )  # pycarlo reads the variable at import
    with restored_handlers():
        yield InProcess(sandbox, capsys)
