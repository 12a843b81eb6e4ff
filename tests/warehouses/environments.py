"""Builds the isolated Python environments for local warehouse servers, each only once.

Installs ``tests/warehouses/<name>/requirements.txt`` in ``<repository>/.envs/<name>-<fingerprint>``. The servers' pins
conflict with the templates' own drivers, so they never share an environment. Requires a package index and either ``uv``
on the path or the interpreter's own ``venv`` and ``pip``. ``requirements.lock`` has the same pins with the hashes of
their files (``make lock`` writes it); only a server that is newer than the last lock is installed without hashes.

A server that needs a newer Python than this one declares it in its requirements, ``# needs Python >= 3.11``. This
module then looks for a newer interpreter on the path.

    python -m tests.warehouses.environments snowflake redshift
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = REPOSITORY / ".envs"
REQUIREMENTS = Path(__file__).resolve().parent


class EnvironmentBuildError(RuntimeError):
    """An environment could not be built. The message contains the installer's last lines."""


def environment_python(name: str) -> Path:
    """The interpreter of the environment for ``tests/warehouses/<name>``. Builds the environment if it does not exist
    yet.

    Safe to call from several processes concurrently: one builds, the others wait. A finished environment costs one file
    read. Raises :class:`EnvironmentBuildError` if the installation fails, ``FileNotFoundError`` for an unknown name.
    """
    requirements = REQUIREMENTS / name / "requirements.txt"
    base = _suitable_python(requirements)
    home = ENVIRONMENTS / f"{name}-{_fingerprint(requirements, base)}"
    if not home.exists():
        ENVIRONMENTS.mkdir(exist_ok=True)
        with only_one_process(ENVIRONMENTS / f"{name}.lock"):
            if not home.exists():
                _build(home, requirements, base)
    return _interpreter(home)


def _suitable_python(requirements: Path) -> str:
    """This interpreter, or the nearest newer one if the requirements need a newer Python."""
    needed = re.search(r"^# needs Python >= 3\.(\d+)$", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    if needed is None or sys.version_info >= (3, int(needed[1])):
        return sys.executable
    for minor in range(int(needed[1]), int(needed[1]) + 4):
        if found := shutil.which(f"python3.{minor}"):
            return found
    raise EnvironmentBuildError(
        f"{requirements.relative_to(REPOSITORY)} needs Python 3.{needed[1]} or newer: "
        f"this is {sys.version.split()[0]}, and no python3.{needed[1]} or later is on the path"
    )


def _fingerprint(requirements: Path, base: str) -> str:
    """Changes with the pins and with the interpreter's version and location; each value has its own environment."""
    digest = hashlib.sha256(requirements.read_bytes())
    if (lock := _lock(requirements)).exists():
        digest.update(lock.read_bytes())
    python = sys.base_prefix if base == sys.executable else base
    digest.update(f"{sys.version_info[:3]} {sys.platform} {python}".encode())
    return digest.hexdigest()[:12]


def _interpreter(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _build(home: Path, requirements: Path, base: str) -> None:
    """Build in a temporary directory and rename it: a directory with the final name is always complete.

    Environments only ever start ``python`` itself (with ``-m``), so it does not matter that the scripts in ``bin``
    contain the temporary path.
    """
    unfinished = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    print(f"building {home.relative_to(REPOSITORY)} …", file=sys.stderr, flush=True)
    try:
        if uv := shutil.which("uv"):
            _run([uv, "venv", "--quiet", "--clear", "--python", base, str(unfinished)])
            target = ["--python", str(_interpreter(unfinished))]
            _run([uv, "pip", "install", "--quiet", *target, *_what_to_install(requirements)])
        else:
            _run([base, "-m", "venv", str(unfinished)])
            quietly = ["--quiet", "--disable-pip-version-check"]
            _run([str(_interpreter(unfinished)), "-m", "pip", "install", *quietly, *_what_to_install(requirements)])
        unfinished.rename(home)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _what_to_install(requirements: Path) -> list[str]:
    if (lock := _lock(requirements)).exists():
        return ["--require-hashes", "--requirement", str(lock)]
    return ["--requirement", str(requirements)]


def _lock(requirements: Path) -> Path:
    return requirements.with_suffix(".lock")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last_lines = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise EnvironmentBuildError(f"{' '.join(command)} ended with {done.returncode}:\n{last_lines}")


@contextmanager
def only_one_process(path: Path) -> Iterator[None]:
    """Hold a lock that the operating system releases when its owner dies, so a crash leaves nothing to clean up."""
    with path.open("a+b") as lock:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(names: list[str]) -> int:
    """Build the named environments, or all that have requirements, and print the interpreter of each."""
    known = sorted(path.parent.name for path in REQUIREMENTS.glob("*/requirements.txt"))
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        for name in names or known:
            print(environment_python(name))
    except EnvironmentBuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
