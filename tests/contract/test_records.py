"""Tests that every run, in every time zone, collects exactly what the warehouse contains."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from mcpush.records import iso_utc, parse_utc

from tests.collected import Collected, Record
from tests.contract.records import differences, exact, name_of
from tests.contract.subject import Case, Observation
from tests.contract.world import odd
from tests.sandbox_process import SandboxProcess
from tests.warehouses.model import Model

VOLUME_AND_FRESHNESS = ("row_count", "byte_count", "last_update_time")
LEFT_OUT = ("fields", "view_query", "tags")
# seconds west of UTC, without daylight saving time
FOREIGN_ZONES = {"America/New_York": 18_000, "Asia/Kolkata": -19_800}
OFFSET = "import time; print(time.timezone)"


def test_records_are_complete_and_match_the_warehouse(case: Case, full: Observation) -> None:
    wanted = case.subject.harness.expected(case.subject.world, case.flow)
    assert len(wanted) > 0
    assert differences(full.records, wanted) == []


def test_nothing_is_skipped_if_everything_is_readable(case: Case, full: Observation) -> None:
    assert full.skipped == {}
    assert full.collected is not None
    assert full.collected.skipped == {}


def test_names_are_spelled_the_same_in_all_flows(case: Case, full: Observation) -> None:
    model = case.subject.world
    tables = {table.path for table in model.tables}
    special = odd(case.subject.harness)
    assert any(special in path for path in tables)
    if case.flow == "metadata":
        assert {_key(record) for record in full.records} == tables
    elif case.flow == "lineage":
        assert set(_lineage_keys(full)) == _in_lineage(model)
    else:
        extras = [record["extra"] for record in full.records]
        assert {extra["database"] for extra in extras} == {query.path[0] for query in model.queries}
        schemas = {query.path[:2] for query in model.queries}
        assert {(extra["database"], extra["schema"]) for extra in extras if "schema" in extra} <= schemas


def _key(asset: Record) -> tuple[str, str, str]:
    return asset["database"], asset["schema"], asset["name"]


def _lineage_keys(full: Observation) -> Iterator[tuple[str, str, str]]:
    for record in full.records:
        yield _key(record["destination"])
        yield from map(_key, record["sources"])


def _in_lineage(model: Model) -> set[tuple[str, str, str]]:
    """The views, the tables they read, and the tables that successful statements read and wrote."""
    views = [(table.path, table.source) for table in model.tables if table.source]
    writes = [(query.target, query.path) for query in model.queries if query.target and not query.error]
    return {path for pair in views + writes for path in pair}


@pytest.mark.flows("query_logs")
def test_a_window_includes_its_start_and_excludes_its_end(case: Case, full: Observation) -> None:
    model = case.subject.world
    ends = {parse_utc(str(record["end_time"])) for record in full.records}
    assert model.since in ends
    assert model.until - timedelta(seconds=1) in ends
    assert model.until not in ends
    middle = sorted(ends)[len(ends) // 2]
    first = case.observe("--until", iso_utc(middle))
    second = case.observe("--since", iso_utc(middle))
    assert differences([*first.records, *second.records], full.records) == []


def test_two_runs_give_the_same_records(case: Case, full: Observation) -> None:
    assert _without_its_time(case.observe()) == _without_its_time(full)


def test_records_do_not_depend_on_the_local_time_zone(case: Case, full: Observation) -> None:
    """Times without a zone on the command line are UTC."""
    for zone, offset in FOREIGN_ZONES.items():
        known = subprocess.run([sys.executable, "-c", OFFSET], env={"TZ": zone}, capture_output=True, check=True)
        assert int(known.stdout) == offset, "this machine does not have the time zone"
        observation = case.observe(*case.window(zone=""), env=case.server.environment() | {"TZ": zone})
        observation.run.check()
        assert _without_its_time(observation) == _without_its_time(full), zone


def _without_its_time(observation: Observation) -> list[str]:
    """The lines of a manifest, in order, without the collection time."""
    collected = observation.collected
    assert collected is not None, observation.run.stderr
    header = {key: value for key, value in collected.header.items() if key != "collected_at"}
    return [json.dumps(line, ensure_ascii=False) for line in (header, *collected.records, collected.trailer)]


@pytest.mark.flows("metadata")
def test_only_freshness_and_volume_gives_a_subset_of_each_record(case: Case, full: Observation) -> None:
    observation = case.observe("--only-freshness-and-volume")
    observation.run.check()
    assert list(map(name_of, observation.records)) == list(map(name_of, full.records))
    for light, heavy in zip(observation.records, full.records, strict=True):
        assert exact(light) == exact({key: value for key, value in heavy.items() if key in light})
        assert [light.get(key) for key in VOLUME_AND_FRESHNESS] == [heavy.get(key) for key in VOLUME_AND_FRESHNESS]
        assert light.keys().isdisjoint(LEFT_OUT)


def test_an_empty_warehouse_is_collected_and_pushed(case: Case, monte_carlo: SandboxProcess) -> None:
    case.subject.empty()
    run = case.run("collect_and_push", env=case.server.environment() | monte_carlo.env).check()
    assert Collected.read(case.manifest).records == []
    assert (run.summary["records"], run.summary["invocation_ids"]) == (0, [])
