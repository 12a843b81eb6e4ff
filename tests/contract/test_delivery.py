"""Tests that Monte Carlo receives every collected record exactly once, through the real pycarlo and the sandbox."""

from __future__ import annotations

import base64
import json
import random
import re

import pytest

from tests.collected import Collected, Record
from tests.contract.records import as_event, differences
from tests.contract.subject import INGESTION_PATHS, Case, Observation
from tests.contract.world import HOSTILE_NAME, hostile_names
from tests.sandbox_process import SandboxProcess
from tests.script_process import Run

CONTROL_CHARACTER = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


def test_collected_records_arrive_unchanged(case: Case, full: Observation, monte_carlo: SandboxProcess) -> None:
    run = case.run("collect_and_push", env=case.server.environment() | monte_carlo.env).check()
    assert differences(_arrived(case, run, monte_carlo), map(as_event, full.records)) == []
    assert run.summary["records_accepted"] == len(full.records)


def test_a_record_too_large_to_send_arrives_without_its_largest_part(
    case: Case, full: Observation, monte_carlo: SandboxProcess
) -> None:
    record = max(full.records, key=len)
    assert full.collected is not None
    text = base64.b64encode(random.Random(1).randbytes(1_200_000)).decode()
    too_large, arriving = record | _large_part(case, text), record | _remaining_part(case, text)
    lines = [full.collected.header, too_large, full.collected.trailer | {"records": 1}]
    case.manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run = case.run("push", env=monte_carlo.env).check()
    assert differences(_arrived(case, run, monte_carlo), [as_event(arriving)]) == []
    assert run.summary["records_reduced"] == 1


def _large_part(case: Case, text: str) -> Record:
    parts: dict[str, Record] = {
        "metadata": {"description": text},
        "lineage": {"columns": [{"name": text, "sources": [{"source": 0, "name": "ID"}]}]},
        "query_logs": {"query_text": text},
    }
    return parts[case.flow]


def _remaining_part(case: Case, text: str) -> Record:
    parts: dict[str, Record] = {
        "metadata": {"description": f"{text[:1000]} ... (truncated at 1000 characters)"},
        "lineage": {"columns": []},
        "query_logs": {"query_text": f"{text[:100_000]}\n/* truncated at 100000 characters */"},
    }
    return parts[case.flow]


def _arrived(case: Case, run: Run, monte_carlo: SandboxProcess) -> list[Record]:
    flow = INGESTION_PATHS[case.flow].rpartition("/")[2]
    ids = run.summary["invocation_ids"]
    assert len(ids) == len(set(ids)) > 0
    return [event for invocation in ids for event in monte_carlo.received(flow, invocation)]


@pytest.mark.one_flow
def test_collect_and_push_returns_the_worst_exit_code(
    case: Case, full: Observation, monte_carlo: SandboxProcess
) -> None:
    """The collection succeeds and Monte Carlo refuses the push. The next push delivers all records."""
    wrong = {"MCD_INGEST_TOKEN": monte_carlo.env["MCD_INGEST_TOKEN"] + "-not"}
    run = case.run("collect_and_push", env=case.server.environment() | monte_carlo.env | wrong).check(3)
    assert (run.summary["status"], run.summary["records"]) == ("failed", len(full.records))
    assert run.summary["records_accepted"] == 0
    run = case.run("push", env=monte_carlo.env).check()
    assert differences(_arrived(case, run, monte_carlo), map(as_event, full.records)) == []


@pytest.mark.one_flow
def test_names_are_printed_escaped_and_sent_unchanged(case: Case, monte_carlo: SandboxProcess) -> None:
    """Names in lists and messages are escaped. Records and what Monte Carlo receives have the true names."""
    model = hostile_names(case.subject.harness)
    case.subject.show(model)
    assert any(HOSTILE_NAME in table.path for table in model.tables)
    escaped = HOSTILE_NAME.encode("unicode_escape").decode("ascii")
    listed = case.run("collect", "--list").check()
    assert len(listed.stdout.splitlines()) == len(model.tables)
    assert listed.stdout.count(escaped) == 1
    refused = {"error": HOSTILE_NAME, "details": {"events[0].name": HOSTILE_NAME}}
    monte_carlo.fault(INGESTION_PATHS[case.flow], status=400, body=refused)
    run = case.run("collect_and_push", env=case.server.environment() | monte_carlo.env).check(1)
    assert f".{escaped}: HTTP 400: " in run.said
    for each in (listed, run):
        assert CONTROL_CHARACTER.findall(each.stdout + each.stderr) == []
        assert "\n2026-01-01" not in each.stdout + each.stderr
    monte_carlo.clear_faults()
    records = Collected.read(case.manifest).records
    assert sorted(record["name"] for record in records) == sorted(table.path[-1] for table in model.tables)
    pushed = case.run("push", env=monte_carlo.env).check()
    assert differences(_arrived(case, pushed, monte_carlo), map(as_event, records)) == []
