"""Tests that Monte Carlo receives every collected record exactly once, through the real pycarlo and the sandbox."""

from __future__ import annotations

import pytest

from tests.collected import Record
from tests.contract.records import differences
from tests.contract.subject import INGESTION_PATHS, Case, Observation
from tests.sandbox_process import SandboxProcess
from tests.script_process import Run


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
