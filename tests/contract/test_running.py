"""Tests runs that are interrupted or killed, and concurrent runs on the same manifest."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.contract.statements import sort_out
from tests.contract.subject import INGESTION_PATHS, Case, Observation
from tests.others_modules import OthersModules
from tests.sandbox_process import SandboxProcess
from tests.script_process import KINDS, Kind, Run, started_script, wait_for

LONGEST_START_SECONDS = 300  # until a script sends its first statement; far longer than any machine needs
LONGEST_REFUSAL_SECONDS = 60  # for a second run, which must not wait for the first one
POLLING_SECONDS = 0.05


@pytest.mark.one_flow
def test_sigint_ends_a_run_cleanly(case: Case, full: Observation) -> None:
    _ends_in_order(case, full, signal.SIGINT)


def test_sigterm_ends_a_run_cleanly(case: Case, full: Observation) -> None:
    _ends_in_order(case, full, signal.SIGTERM)


@pytest.mark.one_flow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_ends_a_run_cleanly(case: Case, full: Observation) -> None:
    """A closed terminal sends it."""
    _ends_in_order(case, full, signal.SIGHUP)


def _ends_in_order(case: Case, full: Observation, number: signal.Signals) -> None:
    with _waiting_for_the_warehouse(case, "collect", full) as process:
        process.send_signal(number)
        run = wait_for(process).check(130)
    assert run.summary["status"] == "interrupted"
    assert case.leftovers() == []


def test_nothing_is_imported_from_the_current_directory(case: Case, monte_carlo: SandboxProcess) -> None:
    """The script imports all others, and its workers parse SQL. It starts in a new process: forked ones import less."""
    others = OthersModules(case.work)
    arguments, environment = case.command("collect_and_push"), case.server.environment() | monte_carlo.env
    script = case.script("collect_and_push")
    with started_script(case.subject.folder, script, *arguments, env=environment, cwd=others.folder) as process:
        wait_for(process).check()
    assert others.imported() == []
    assert case.manifest.exists()


@pytest.mark.one_flow
def test_only_one_run_uses_a_manifest(case: Case, full: Observation, monte_carlo: SandboxProcess) -> None:
    """All three kinds of script take the lock and respect it. A killed run releases its lock."""
    with _waiting_for_the_warehouse(case, "collect", full) as first:
        _held(first)
        for kind in KINDS:
            _is_refused(case, kind, monte_carlo)
    with _waiting_for_the_warehouse(case, "collect_and_push", full, monte_carlo.env) as first:
        _held(first)
        _is_refused(case, "collect", monte_carlo)
    case.server.restore()
    case.run("collect").check()
    with _waiting_for_monte_carlo(case, monte_carlo) as first:
        _held(first)
        _is_refused(case, "collect", monte_carlo)
    monte_carlo.clear_faults()
    run = case.run("push", env=monte_carlo.env).check()
    assert run.summary["records_accepted"] == len(full.records)


def _held(process: subprocess.Popen[str]) -> None:
    """Suspend a run, so that it keeps its lock until it is killed."""
    assert process.poll() is None, "the run ended before it could be stopped"
    process.send_signal(signal.SIGSTOP)


def _is_refused(case: Case, kind: Kind, monte_carlo: SandboxProcess) -> None:
    environment = case.server.environment() | monte_carlo.env
    arguments = case.command(kind)
    with started_script(case.subject.folder, case.script(kind), *arguments, env=environment, cwd=case.work) as process:
        try:
            stdout, stderr = process.communicate(timeout=LONGEST_REFUSAL_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{kind} waits for the run that is using its manifest") from None
    run = Run(process.returncode, stdout, stderr).check(4)
    assert str(case.manifest) in run.summary["error"]["message"]


@contextmanager
def _waiting_for_the_warehouse(
    case: Case, kind: Kind, full: Observation, monte_carlo: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a run whose first query gets a slow response. Yields as soon as the server has received the query."""
    first = next(iter(sort_out(full.statements, case.subject.template).by_constant.values()))[0]
    case.server.restore()
    case.server.fail(first, "slow")
    before = len(case.server.statements())
    environment = case.server.environment() | (monte_carlo or {})
    with started_script(
        case.subject.folder, case.script(kind), *case.command(kind), env=environment, cwd=case.work
    ) as process:
        _wait(process, lambda: first in list(case.server.statements())[before:])
        yield process


@contextmanager
def _waiting_for_monte_carlo(case: Case, monte_carlo: SandboxProcess) -> Iterator[subprocess.Popen[str]]:
    """Start a push whose requests get slow responses. Yields as soon as its journal exists."""
    monte_carlo.fault(INGESTION_PATHS[case.flow], delay=LONGEST_START_SECONDS)
    with started_script(
        case.subject.folder, case.script("push"), *case.command("push"), env=monte_carlo.env, cwd=case.work
    ) as process:
        _wait(process, lambda: any(name.endswith(".journal") for name in case.leftovers()))
        yield process


def _wait(process: subprocess.Popen[str], has_begun: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while not has_begun():
        if process.poll() is not None:
            wait_for(process).check(-1)
        assert time.monotonic() < deadline, "the run did not start"
        time.sleep(POLLING_SECONDS)
