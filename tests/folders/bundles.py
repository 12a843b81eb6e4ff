"""Copies of the bundle, new_push.py as a process, and what a folder looks like before and after.

Nothing here imports the code under test: what a test expects is read from the files themselves.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from folders import bundle

from tests.script_process import LONGEST_RUN_SECONDS, SCRIPTS, clean_environment

FLOWS_OF = {folder.name: bundle.flows(folder) for folder in bundle.warehouses()}
WAREHOUSES = list(FLOWS_OF)
FOLDER_FLOWS = [(name, flow) for name in WAREHOUSES for flow in FLOWS_OF[name]]
RECORD = ".push-ingestion.json"
OLDER, NEWER = "0.0.1", "99.0.0"
_BUNDLE = ("new_push.py", "folders", "mcpush", "templates")
_CACHES = shutil.ignore_patterns("__pycache__", ".mypy_cache")


@dataclass(frozen=True)
class Run:
    """A finished new_push.py. ``lines`` are what it did to each file, as it printed it."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.partition("\n\n")[0].splitlines()

    def check(self, code: int) -> Run:
        """This run, or an AssertionError that shows what it said."""
        assert self.code == code, f"exit {self.code}, not {code}\n{self.stdout}\n{self.stderr}"
        assert "Traceback" not in self.stderr, self.stderr
        return self

    def refused(self, *said: str) -> Run:
        """Exit code 2, a message with these words and a remedy on stderr, nothing on stdout."""
        self.check(2)
        assert self.stdout == ""
        assert "what to do: " in self.stderr
        for each in said:
            assert each in self.stderr
        return self


def copied_bundle(home: Path) -> Path:
    """A bundle of its own in ``home``; returns its scripts/ folder."""
    scripts = home / "scripts"
    scripts.mkdir(parents=True)
    for name in _BUNDLE:
        if (SCRIPTS / name).is_dir():
            shutil.copytree(SCRIPTS / name, scripts / name, ignore=_CACHES)
        else:
            shutil.copy(SCRIPTS / name, scripts / name)
    return scripts


BLOCK = '# /// script\n# requires-python = ">=3.10"\n# dependencies = ["tqdm"]\n# ///\n'


def small_bundle(home: Path) -> Path:
    """A bundle with one warehouse of few files, ``small``: for tests that interrupt new_push.py before every step."""
    scripts = copied_bundle(home)
    for name in ("mcpush", "templates"):
        shutil.rmtree(scripts / name)
    files = {
        "mcpush/version.py": f'RELEASE = "{OLDER}"\n',
        "templates/small/collect_metadata.py": f"{BLOCK}import connection\n",
        "templates/small/push_metadata.py": f"{BLOCK}import connection\n",
        "templates/small/connection.py": "# the connection\n",
        "templates/small/README.md": "# Small\n",
        "templates/small/requirements.txt": "tqdm\n",
    }
    for name, text in files.items():
        (scripts / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts / name).write_text(text, encoding="utf-8")
    return scripts


def release_of(scripts: Path) -> str:
    found = re.search(r'RELEASE = "(.*)"', (scripts / "mcpush/version.py").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def set_release(scripts: Path, release: str) -> None:
    change(scripts / "mcpush/version.py", f'RELEASE = "{release_of(scripts)}"', f'RELEASE = "{release}"')


def change(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode("utf-8")
    assert old in text
    path.write_bytes(text.replace(old, new).encode("utf-8"))


def edit(path: Path, line: str = "# edited by hand") -> bytes:
    """Append a line, keep the mode. Returns the new content."""
    with path.open("ab") as file:
        file.write(f"{line}\n".encode())
    return path.read_bytes()


def to_crlf(folder: Path) -> None:
    """What a checkout on Windows does: every text file below the folder gets CRLF."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


@contextmanager
def started_new_push(
    scripts: Path,
    *arguments: str | Path,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    before: list[str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """``before`` goes in front of the interpreter, or between it and the script when it starts with ``-``.

    The process does not outlive the block.
    """
    options = before or []
    python = [sys.executable, *options] if options and options[0].startswith("-") else [*options, sys.executable]
    process = subprocess.Popen(
        [*python, str(scripts / "new_push.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        env=clean_environment(env or {}),
        cwd=cwd or tempfile.gettempdir(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[str]) -> Run:
    stdout, stderr = process.communicate(timeout=LONGEST_RUN_SECONDS)
    return Run(process.returncode, stdout, stderr)


def new_push(
    scripts: Path,
    *arguments: str | Path,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    before: list[str] | None = None,
) -> Run:
    with started_new_push(scripts, *arguments, env=env, cwd=cwd, before=before) as process:
        return ended(process)


# Runs a script and sends the process a signal where it is about to change a folder, or to open it for its lock, for the
# n-th time: the audit events of Python come before what they announce. https://docs.python.org/3/library/audit_events.html
SIGNALLED = """
import os, runpy, signal, sys
number, name, below, script = sys.argv[1:5]
left, wanted = int(number), getattr(signal, name)

def hook(event, details):
    global left
    if event not in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "open"):
        return
    path = details[0]
    if not isinstance(path, (str, os.PathLike)) or not os.path.abspath(path).startswith(below):
        return
    if event == "open" and not details[2] & (os.O_WRONLY | os.O_RDWR) and not os.path.isdir(path):
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), wanted)

sys.argv = sys.argv[4:]
sys.path[0] = os.path.dirname(script)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.addaudithook(hook)
runpy.run_path(script, run_name="__main__")
"""


def signalled(number: int, sent: signal.Signals, below: Path) -> list[str]:
    """What to put before new_push.py, so that it gets a signal before its ``number``-th change below a path."""
    return ["-c", SIGNALLED, str(number), sent.name, str(below)]


def wait_until_stopped(process: subprocess.Popen[str]) -> None:
    """For a process that sends itself SIGSTOP."""
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert process.poll() is None, "it ended before it could be stopped"


def interrupted(scripts: Path, *arguments: str | Path, number: int, sent: signal.Signals, below: Path) -> Run:
    """new_push.py, sent a signal before its ``number``-th change below a folder; without one if it makes fewer."""
    return new_push(scripts, *arguments, before=signalled(number, sent, below))


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, hidden ones too, by relative name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def offered(scripts: Path, warehouse: str) -> dict[str, bytes]:
    """What a complete folder holds but for its record: the template's files without catalog.toml, and the library's."""
    library = {f"mcpush/{name}": content for name, content in files_of(scripts / "mcpush").items()}
    template = files_of(scripts / "templates" / warehouse)
    del template["catalog.toml"]
    return template | library


def sha256(content: bytes) -> str:
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time of change and content of all that is in a folder, and its own mode."""
    found = {".": (folder.stat().st_mode, 0, b"")}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[path.relative_to(folder).as_posix()] = (status.st_mode, status.st_mtime_ns, content)
    return found


def left_over(parent: Path) -> list[str]:
    """The names of what a run has beside a folder, or in it, while it works: a staging folder and a lock."""
    return sorted(path.name for path in parent.glob(".*push-ingestion-*"))


@cache
def bound_by_modes() -> list[str]:
    """What to put before a command so that file modes bind it: nothing, or what takes root's exemption away."""
    drop = "-dac_override,-dac_read_search"
    before = [] if os.geteuid() else ["setpriv", "--bounding-set", drop, "--inh-caps", drop]
    if before and shutil.which("setpriv") is None:
        pytest.skip("root, and no setpriv: file modes bind nobody")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        probe = [*before, sys.executable, "-c", "import sys; open(sys.argv[1], 'w')", f"{folder}/file"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            pytest.skip("file modes bind nobody here")
        Path(folder).chmod(0o755)
    return before


def make_read_only(folder: Path, read_only: bool = True) -> None:
    """Take the write bits of a whole tree away, or give the owner's back."""
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222 if read_only else mode | 0o200)
