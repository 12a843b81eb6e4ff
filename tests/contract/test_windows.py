"""Tests that windows end by the clock of the warehouse, whose views contain what happened until then."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from mcpush.records import parse_utc

from tests.collected import Collected
from tests.contract.records import differences
from tests.contract.subject import Case, Observation
from tests.script_process import Run, run_script
from tests.warehouses.model import Model

SKEW = "the clock of this machine is"


@pytest.mark.flows("lineage", "query_logs")
def test_windows_end_by_the_clock_of_the_warehouse(case: Case, full: Observation) -> None:
    """A window ends before the queries that the warehouse has yet to run, even if this machine's clock is ahead. The
    next window contains each of them once, even if this machine's clock is then behind.
    """
    assert SKEW not in full.run.stderr
    model = case.subject.world
    case.server.set_clock(model.since - datetime.now(timezone.utc))
    early = _collected(case, "ahead of the warehouse's")
    assert _window(early)[1] <= model.since
    case.server.set_clock(timedelta(days=1))
    late = _collected(case, "behind the warehouse's")
    assert _window(late)[0] == _window(early)[1]
    assert _window(late)[1] > datetime.now(timezone.utc)
    assert differences(late.records, case.subject.harness.expected(_until_now(model), case.flow)) == []
    if case.flow == "query_logs":
        assert early.records == []


@pytest.mark.flows("lineage", "query_logs")
def test_a_window_of_any_length_is_collected(case: Case) -> None:
    manifest = case.work / "all.jsonl"
    _run(case, "--manifest", str(manifest), "--since", "1900-01-01", "--until", "9999-12-31").check()
    wanted = case.subject.harness.expected(_until_now(case.subject.world), case.flow)
    assert differences(Collected.read(manifest).records, wanted) == []


def _run(case: Case, *arguments: str) -> Run:
    own = case.subject.harness.arguments(case.flow)
    environment = case.server.environment()
    return run_script(case.subject.folder, case.script("collect"), *arguments, *own, env=environment, cwd=case.work)


def _collected(case: Case, direction: str) -> Collected:
    """What a run collects from its checkpoint on. It warns that this machine's clock is wrong."""
    manifest = case.work / f"{direction.split()[0]}.jsonl"
    run = _run(case, "--manifest", str(manifest), "--state", str(case.work / "checkpoint")).check()
    assert [line for line in run.stderr.splitlines() if SKEW in line and direction in line], run.stderr
    collected = Collected.read(manifest)
    skew = parse_utc(collected.header["collected_at"]) - datetime.now(timezone.utc)
    assert abs(skew) > timedelta(hours=1)
    return collected


def _window(collected: Collected) -> tuple[datetime, datetime]:
    return parse_utc(collected.header["window"]["start"]), parse_utc(collected.header["window"]["end"])


def _until_now(model: Model) -> Model:
    return replace(model, until=model.now)
