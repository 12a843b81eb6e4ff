"""Helpers: copies of the bundle, new_push.py as a process, and snapshots of folders.

Only the lists of warehouses and flows come from the code under test. Other expectations are read from the files.
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
    """A finished run of new_push.py. ``lines`` are the printed lines about files."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.partition("\n\n")[0].splitlines()

    def check(self, code: int) -> Run:
        """Return this run if the exit code is right. Otherwise the AssertionError shows its output."""
        assert self.code == code, f"exit {self.code}, not {code}\n{self.stdout}\n{self.stderr}"
        assert "Traceback" not in self.stderr, self.stderr
        return self

    def refused(self, *said: str) -> Run:
        """Assert exit code 2, a message with these texts and a remedy on stderr, and nothing on stdout."""
        self.check(2)
        assert self.stdout == ""
        assert "what to do: " in self.stderr
        for each in said:
            assert each in self.stderr
        return self


def copied_bundle(home: Path) -> Path:
    """Copy the bundle to ``home``, and return its scripts/ folder."""
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
    """A bundle with one small warehouse, ``small``, for tests that interrupt new_push.py before every step."""
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
    """Append a line without changing the mode. Returns the new content."""
    with path.open("ab") as file:
        file.write(f"{line}\n".encode())
    return path.read_bytes()


def to_crlf(folder: Path) -> None:
    """Convert every file below the folder to CRLF, like a checkout on Windows."""
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
    """Start new_push.py, and kill it at the end of the block.

    ``before`` goes before the interpreter, or between the interpreter and the script if it starts with ``-``.
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


# Runs a script, and sends the process a signal immediately before its n-th change below a path. Opening a file for
# writing, such as its lock, or opening a directory counts as a change. Python raises audit events before the operation:
# https://docs.python.org/3/library/audit_events.html
SIGNALED = """
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


def signaled(number: int, sent: signal.Signals, below: Path) -> list[str]:
    """The ``before`` of a new_push.py that gets a signal before its ``number``-th change below a path."""
    return ["-c", SIGNALED, str(number), sent.name, str(below)]


def wait_until_stopped(process: subprocess.Popen[str]) -> None:
    """Wait for a process that sends itself SIGSTOP."""
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert process.poll() is None, "the process ended before it could be stopped"


def interrupted(scripts: Path, *arguments: str | Path, number: int, sent: signal.Signals, below: Path) -> Run:
    """Run new_push.py with a signal before its ``number``-th change below a folder, if there are that many."""
    return new_push(scripts, *arguments, before=signaled(number, sent, below))


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, including hidden files, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def offered(scripts: Path, warehouse: str) -> dict[str, bytes]:
    """A complete folder without its record: the template's files except catalog.toml, and the library's."""
    library = {f"mcpush/{name}": content for name, content in files_of(scripts / "mcpush").items()}
    template = files_of(scripts / "templates" / warehouse)
    del template["catalog.toml"]
    return template | library


def sha256(content: bytes) -> str:
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, modification time and content of everything in a folder, and the folder's own mode."""
    found = {".": (folder.stat().st_mode, 0, b"")}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[path.relative_to(folder).as_posix()] = (status.st_mode, status.st_mtime_ns, content)
    return found


def leftovers(parent: Path) -> list[str]:
    """The names of temporary files in a directory: a run's staging folder and its lock."""
    return sorted(path.name for path in parent.glob(".*push-ingestion-*"))


@cache
def respecting_modes() -> list[str]:
    """The ``before`` of a command that has to respect file modes: empty, or setpriv to drop root's capabilities."""
    drop = "-dac_override,-dac_read_search"
    before = [] if os.geteuid() else ["setpriv", "--bounding-set", drop, "--inh-caps", drop]
    if before and shutil.which("setpriv") is None:
        pytest.skip("running as root without setpriv: file modes have no effect")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        probe = [*before, sys.executable, "-c", "import sys; open(sys.argv[1], 'w')", f"{folder}/file"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            pytest.skip("file modes have no effect here")
        Path(folder).chmod(0o755)
    return before


def make_read_only(folder: Path, read_only: bool = True) -> None:
    """Remove all write permissions of a tree, or restore the owner's."""
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222 if read_only else mode | 0o200)
