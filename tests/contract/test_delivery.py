"""Tests that Monte Carlo receives every collected record exactly once, through the real pycarlo and the sandbox."""

from __future__ import annotations

import re

import pytest

from tests.collected import Collected, Record
from tests.contract.records import differences
from tests.contract.subject import INGESTION_PATHS, Case, Observation
from tests.contract.world import HOSTILE_NAME, hostile_names
from tests.sandbox_process import SandboxProcess
from tests.script_process import Run

CONTROL_CHARACTER = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


def test_collected_records_arrive_unchanged(case: Case, full: Observation, monte_carlo: SandboxProcess) -> None:
    run = case.run("collect_and_push", env=case.server.environment() | monte_carlo.env).check()
    assert differences(_arrived(case, run, monte_carlo), map(_as_event, full.records)) == []
    assert run.summary["records_accepted"] == len(full.records)


def _arrived(case: Case, run: Run, monte_carlo: SandboxProcess) -> list[Record]:
    flow = INGESTION_PATHS[case.flow].rpartition("/")[2]
    ids = run.summary["invocation_ids"]
    assert len(ids) == len(set(ids)) > 0
    return [event for invocation in ids for event in monte_carlo.received(flow, invocation)]


def _as_event(record: Record) -> Record:
    """A manifest record in the format of the ingestion API."""
    if "query_text" in record:
        return record
    return _edge(record) if "destination" in record else _asset(record)


def _asset(record: Record) -> Record:
    metadata = ("name", "database", "schema", "description", "view_query", "created_on")
    parts = {
        "metadata": _some(record, metadata),
        "volume": _some(record, ("row_count", "byte_count")),
        "freshness": _some(record, ("last_update_time",)),
        "fields": record.get("fields"),
        "tags": record.get("tags"),
    }
    asset = {"type": record["type"], **{name: part for name, part in parts.items() if part}}
    return {"relational_asset": asset}


def _edge(record: Record) -> Record:
    """A lineage record in the format of the ingestion API. If columns refer to sources, the sources have IDs."""
    if not record["columns"]:
        return {"destination": record["destination"], "sources": record["sources"]}
    fields = [
        {
            "name": column["name"],
            "source_fields": [
                {"asset_id": f"source-{source['source']}", "field_name": source["name"]} for source in column["sources"]
            ],
        }
        for column in record["columns"]
    ]
    sources = [source | {"asset_id": f"source-{place}"} for place, source in enumerate(record["sources"])]
    return {"destination": record["destination"], "sources": sources, "fields": fields}


def _some(record: Record, keys: tuple[str, ...]) -> Record:
    return {key: record[key] for key in keys if key in record}


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
    assert differences(_arrived(case, run, monte_carlo), map(_as_event, full.records)) == []


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
    assert differences(_arrived(case, pushed, monte_carlo), map(_as_event, records)) == []
