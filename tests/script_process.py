"""Runs template scripts as processes, as their users do."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Literal

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TEMPLATES = SCRIPTS / "templates"
# Scripts are named ``<kind>_<flow>.py``.
Kind = Literal["collect", "push", "collect_and_push"]
KINDS: tuple[Kind, ...] = ("collect", "push", "collect_and_push")
WARM_START = Path(__file__).with_name("warm_start.py")
# The variables of the machine that a script under test inherits: those that Python, the network and package installers
# need, and none of a warehouse or driver.
PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TEMP|TMP|TZ|LANG|LANGUAGE|LC_\w+|LD_LIBRARY_PATH|XDG_(CACHE|DATA)_HOME"
    r"|(HTTP|HTTPS|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|(PIP|UV|PYENV)_\w+"
    r"|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT|USERPROFILE|(LOCAL)?APPDATA|PROGRAMDATA",
    re.IGNORECASE,
)
READ_AT_START = re.compile(r"PYTHON|LC_|LANG")  # variables that Python reads only when it starts
THIS_MACHINE = ("127.0.0.1", "localhost", "0.0.0.0")  # noqa: S104 - as a target
LONGEST_RUN_SECONDS = 1_200  # far more than any run needs; only a script that hangs reaches it
TIME_OF_A_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """A finished script. ``summary`` is the JSON object on stdout, or {} if there is none."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        text = self.stdout.strip()
        if not text.startswith("{"):
            return {}
        assert "\n" not in text, f"more than one line on stdout: {text}"
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def said(self) -> str:
        """The text on stderr, without the times."""
        return TIME_OF_A_LINE.sub("", self.stderr)

    def check(self, exit_code: int = 0) -> Run:
        """Return this run. Raises AssertionError with the script's output if the exit code differs."""
        assert self.exit_code == exit_code, (
            f"exit code {self.exit_code}, expected {exit_code}\n{self.stdout}\n{self.stderr}"
        )
        return self


def reach_local_servers_directly() -> None:
    """Bypass the proxy for servers on this machine. A proxy can be set for the package index."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), *THIS_MACHINE)))


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    # With the fault handler, SIGABRT makes a script that hangs print its traceback, see ``wait_for``.
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"} | extra


def copy_folder(warehouse: str, target: Path) -> Path:
    """``python scripts/new_push.py <warehouse> target``."""
    command = [sys.executable, str(SCRIPTS / "new_push.py"), warehouse, str(target)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return target


@contextmanager
def started_script(
    folder: Path, script: str, *arguments: str, env: dict[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a script in the background, for tests that interrupt or kill it. It is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, str(folder / script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=clean_environment(env),
        cwd=cwd,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(process: subprocess.Popen[str]) -> Run:
    """Wait until the script ends. Raises AssertionError with its output and traceback if it hangs."""
    try:
        stdout, stderr = process.communicate(timeout=LONGEST_RUN_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        stdout, stderr = process.communicate(timeout=60)
        raise AssertionError(f"The script hangs.\n{stdout}\n{stderr}") from None
    return Run(process.returncode, stdout, stderr)


def wait_until(condition: Callable[[], bool], seconds: float = LONGEST_RUN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition is still false after {seconds:g} s"
        time.sleep(0.02)


def run_script(folder: Path, script: str, *arguments: str, env: dict[str, str], cwd: Path | None = None) -> Run:
    """Run a script to its end, forked from a process that has already done the slow imports (see warm_start.py)."""
    if sys.platform != "linux" or any(READ_AT_START.match(name) for name in env):
        with started_script(folder, script, *arguments, env=env, cwd=cwd) as process:
            return wait_for(process)
    return warm_start().run(folder / script, arguments, clean_environment(env), cwd)


class WarmStart:
    """The process of warm_start.py. It ends when its socket is closed, at the latest when the test process ends."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, str(WARM_START), str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, env=clean_environment({}), pass_fds=[theirs.fileno()])

    def run(self, script: Path, arguments: Sequence[str], env: dict[str, str], cwd: Path | None) -> Run:
        request = {"script": str(script), "arguments": arguments, "env": env, "cwd": cwd and str(cwd)}
        reading, writing = os.pipe()
        with _output() as stdout, _output() as stderr, os.fdopen(reading, "rb", buffering=0) as status:

            def start() -> None:
                with os.fdopen(writing, "wb") as write_end:
                    descriptors = [stdout.fileno(), stderr.fileno(), write_end.fileno()]
                    socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)

            ended = _exit_code(start, status)
            for file in (stdout, stderr):
                file.seek(0)
            output = [stdout.read(), stderr.read()]
        assert ended is not None, "\n".join(["The script hangs.", *output])
        return Run(ended, *output)


def _output() -> IO[str]:
    return TemporaryFile("w+", encoding="utf-8", errors="replace")


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_code(start: Callable[[], None], status: IO[bytes]) -> int | None:
    """Start a script. Returns its exit code; None if it hung and printed its traceback. Never leaves it running."""
    process = None
    try:
        with _interrupts_held():  # a script whose process is not known yet could not be killed
            start()
            process = int(status.readline())
        if select.select([status], [], [], LONGEST_RUN_SECONDS)[0]:
            return int(status.readline())
        os.kill(process, signal.SIGABRT)
        status.readline()
    except KeyboardInterrupt:
        if process is not None:
            os.kill(process, signal.SIGKILL)
        raise
    return None


@cache
def warm_start() -> WarmStart:
    return WarmStart()


# A process inherits the memory peak of the process it was forked from, which is large for pytest. So a small process in
# between starts the script and reports the peak of its only child.
MEASURING = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(code)
"""


def peak_memory(folder: Path, script: str, *arguments: str, env: dict[str, str], exit_code: int = 0) -> int:
    """Run a script that must end with this exit code, and return its peak resident memory in bytes."""
    run = subprocess.run(
        [sys.executable, "-S", "-c", MEASURING, sys.executable, str(folder / script), *arguments],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=LONGEST_RUN_SECONDS,
    )
    assert run.returncode == exit_code, run.stderr
    return int(run.stdout)
