"""Runs mutants: applies each mistake to a copy of the project, where the mutant's test must fail.

The tests first run on the unchanged code, because a test that fails anyway proves nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.mutants.mutant import Mutant

PROCESSES = 2
ENVIRONMENTS = (".venv", ".envs")  # large, and the same for every copy
LEFT_OUT = (".git", ".*_cache", "__pycache__", ".hypothesis", ".demo", ".sandbox", *ENVIRONMENTS)
LONGEST_TEST_SECONDS = 600
SHOWN_CHARACTERS = 3_000  # of pytest's output, if the test neither passed nor failed

NOTICED, UNNOTICED, BROKEN = "noticed", "UNNOTICED", "BROKEN"


@dataclass(frozen=True)
class Outcome:
    """The result of a mutant. BROKEN means that the test neither passed nor failed; ``output`` shows why."""

    mutant: Mutant
    verdict: str
    output: str


@contextmanager
def copies(root: Path, count: int) -> Iterator[list[Path]]:
    """Temporary copies of the project, with its environments linked."""
    with TemporaryDirectory(prefix="mutants-") as folder:
        made = [Path(folder) / str(number) for number in range(count)]
        for copy in made:
            shutil.copytree(root, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
            for name in ENVIRONMENTS:
                if (root / name).exists():
                    (copy / name).symlink_to((root / name).resolve())
        yield made


def run_tests(project: Path, tests: Sequence[str], timeout: float | None = None) -> tuple[int, str]:
    """Run pytest in a copy. Returns its exit code and output. Interrupts tests that hang; their exit code is 2."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", *tests],
        cwd=project,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},  # bytecode would hide a change made in the same second
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # pytest then ends the servers that it started
        output, _ = process.communicate()
    return process.returncode, output


def failures_unchanged(projects: Sequence[Path], mutants: Sequence[Mutant]) -> str:
    """Run the tests of all mutants on the unchanged copies. Returns pytest's output if not all tests pass."""
    tests = sorted({mutant.test for mutant in mutants})
    files = sorted({_file(test) for test in tests})
    shares = [files[number :: len(projects)] for number in range(min(len(projects), len(files)))]

    def run(project: Path, share: list[str]) -> str:
        code, output = run_tests(project, [test for test in tests if _file(test) in share])
        return output if code else ""

    with ThreadPoolExecutor(len(projects)) as pool:
        return "".join(pool.map(run, projects, shares))


def _file(test: str) -> str:
    return test.partition("::")[0]


def outcomes(projects: Sequence[Path], mutants: Sequence[Mutant]) -> Iterator[Outcome]:
    """The result of each mutant, in order. Runs as many mutants concurrently as there are copies."""
    free: SimpleQueue[Path] = SimpleQueue()
    for project in projects:
        free.put(project)

    def run(mutant: Mutant) -> Outcome:
        project = free.get()
        try:
            return _outcome(project, mutant)
        finally:
            free.put(project)

    with ThreadPoolExecutor(len(projects)) as pool:
        yield from pool.map(run, mutants)


def _outcome(project: Path, mutant: Mutant) -> Outcome:
    with _mutated(project, mutant):
        code, output = run_tests(project, [mutant.test], LONGEST_TEST_SECONDS)
    # pytest's exit code is also 1 if the test could not start, for example if a fixture failed ("ERROR").
    has_failed = any(line.startswith(f"FAILED {mutant.test}") for line in output.splitlines())
    if code == 1 and has_failed:
        return Outcome(mutant, NOTICED, "")
    if code == 0:
        return Outcome(mutant, UNNOTICED, "")
    return Outcome(mutant, BROKEN, output[-SHOWN_CHARACTERS:])


@contextmanager
def _mutated(project: Path, mutant: Mutant) -> Iterator[None]:
    file = project / mutant.file
    before = file.read_bytes()
    file.write_bytes(mutant.mutated(project).encode())
    try:
        yield
    finally:
        file.write_bytes(before)
