"""Tests that scripts print and write no secrets, however their runs end."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.subject import Case, Observation
from tests.sandbox_process import SandboxProcess
from tests.script_process import Run
from tests.warehouses.harness import SECRET_MARK


@pytest.mark.one_flow
def test_no_secret_is_printed_or_written(case: Case, full: Observation, monte_carlo: SandboxProcess) -> None:
    right, server = case.server.environment(), case.server
    _has_secret(right)
    _has_secret(monte_carlo.env)
    runs = {"wrong credentials": case.run("collect", env=server.environment("wrong"))}
    runs["unreachable"] = case.run("collect", env=server.unreachable())
    server.deny_all()
    runs["denied"] = case.run("collect")
    server.restore()
    wrong = {"MCD_INGEST_TOKEN": f"{SECRET_MARK}-of-another"}
    runs["refused by Monte Carlo"] = case.run("collect_and_push", env=right | monte_carlo.env | wrong)
    assert list(_found(runs, case.work)) == []
    runs["pushed"] = case.run("push", env=right | monte_carlo.env)
    assert list(_found(runs, case.work)) == []
    assert all(run.stderr for run in runs.values())
    assert case.manifest.exists()


@pytest.mark.one_flow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_files_of_a_run_are_private(case: Case, full: Observation, monte_carlo: SandboxProcess) -> None:
    """Manifest, journal and result: names, view definitions and query texts are not for every user of the machine."""
    case.run("collect_and_push", env=case.server.environment() | monte_carlo.env).check()
    modes = {name: stat.S_IMODE((case.work / name).stat().st_mode) for name in case.leftovers()}
    assert len(modes) == 3, modes
    assert [name for name, mode in modes.items() if mode & 0o077] == []


def _has_secret(environment: dict[str, str]) -> None:
    """Check that the environment contains a secret. A harness can keep secrets in files that its variables name."""
    texts = [*environment.values(), *(text for value in environment.values() for text in _files(Path(value)))]
    assert any(SECRET_MARK in text for text in texts), "the environment contains no secret"


def _files(path: Path) -> Iterator[str]:
    if not path.is_absolute():
        return
    for each in [path, *path.rglob("*")]:
        if each.is_file():
            yield each.read_text(encoding="utf-8", errors="replace")


def _found(runs: dict[str, Run], work: Path) -> Iterator[str]:
    for name, run in runs.items():
        if SECRET_MARK in run.stdout + run.stderr:
            yield f"{name}: {run.stdout}\n{run.stderr}"
    for path in work.rglob("*"):
        if path.is_file() and SECRET_MARK.encode() in path.read_bytes():
            yield path.name
