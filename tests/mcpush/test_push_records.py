"""A dry run reports, by field, what a push would lose or Monte Carlo would reject. Valid records pass both."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from mcpush.manifest import Header, Writer, read
from mcpush.records import (
    RECORDS,
    Asset,
    Column,
    ColumnLineage,
    ColumnSource,
    Json,
    LineageRecord,
    QueryLogRecord,
    Record,
    TableRecord,
    Tag,
)

from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, Run, run_script

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ORDERS = {"type": "TABLE", "database": "SHOP", "schema": "PUBLIC", "name": "ORDERS"}
ITEMS = ORDERS | {"name": "ITEMS"}
EDGE = {
    "destination": ORDERS,
    "sources": [ITEMS],
    "columns": [{"name": "ID", "sources": [{"source": 0, "name": "ID"}]}],
}
QUERY = {"query_id": "q", "start_time": "2026-03-01T12:00:00Z", "end_time": "2026-03-01T12:00:01.5Z", "query_text": "S"}

GOOD: dict[str, list[Json]] = {
    "metadata": [
        ORDERS,
        ORDERS
        | {
            "type": "VIEW",
            "kind": "view",
            "description": "",
            "view_query": None,
            "created_on": "2026-01-31T06:00:00.123456+02:00",
            "fields": [{"name": "Größe", "type": "NUMBER(38,0)"}, {"name": "ID", "type": "TEXT", "description": "x"}],
            "tags": [{"key": "owner", "value": "sales"}, {"key": "pii"}],
            "row_count": 0,
            "byte_count": 2**40,
            "last_update_time": "2026-02-28T23:59:59Z",
        },
    ],
    "lineage": [
        EDGE,
        {"destination": ORDERS | {"type": "EXTERNAL"}, "sources": [ITEMS], "origin": "x", "certainty": "exact"},
    ],
    "query_logs": [
        QUERY,
        {key: value for key, value in QUERY.items() if key != "query_id"},
        QUERY | {"user": "ÅSA", "returned_rows": 0, "error_code": 100, "error_text": "no", "extra": {"deep": [{}]}},
        QUERY | {"error_code": "E7", "extra": None},
    ],
}

BAD: dict[str, dict[str, Json]] = {
    "metadata": {
        "type is 'BASE TABLE'; it must be TABLE or VIEW": ORDERS | {"type": "BASE TABLE"},
        "row_count is '10'; it must be an integer": ORDERS | {"row_count": "10"},
        "row_count is 1.5; it must be an integer": ORDERS | {"row_count": 1.5},
        "byte_count is True; it must be an integer": ORDERS | {"byte_count": True},
        "byte_count is -1; it must be an integer": ORDERS | {"byte_count": -1},
        "last_update_time is '2026-01-01 10:00:00'; it must be a time with an offset": ORDERS
        | {"last_update_time": "2026-01-01 10:00:00"},
        "created_on is '2026-01-01T10:00:00'; it must be a time with an offset": ORDERS
        | {"created_on": "2026-01-01T10:00:00"},
        "created_on is '2026-02-30T10:00:00Z'; it must be a time": ORDERS | {"created_on": "2026-02-30T10:00:00Z"},
        "schema is ''; it must be a non-empty string": ORDERS | {"schema": ""},
        "database is missing": {key: value for key, value in ORDERS.items() if key != "database"},
        "fields[1].type is missing": ORDERS | {"fields": [{"name": "A", "type": "T"}, {"name": "B"}]},
        "fields[0] is 'ID'; it must be an object": ORDERS | {"fields": ["ID"]},
        "tags is {'a': 1}; it must be a list": ORDERS | {"tags": {"a": 1}},
        "the record has unknown keys: 'columns', 'rows'; allowed:": ORDERS | {"rows": 5, "columns": []},
    },
    "lineage": {
        "sources is []; it must be a list of at least 1": EDGE | {"sources": [], "columns": []},
        "columns[0].sources[0].source is 1; it must be an index below 1": EDGE
        | {"columns": [{"name": "ID", "sources": [{"source": 1, "name": "ID"}]}]},
        "destination.type is 'STAGE'; it must be TABLE or VIEW or EXTERNAL or WILDCARD_TABLE": EDGE
        | {"destination": ORDERS | {"type": "STAGE"}},
        "sources[0].name is 7; it must be a non-empty string": EDGE | {"sources": [ITEMS | {"name": 7}]},
        "destination is missing; it must be an object": {"sources": [ITEMS]},
    },
    "query_logs": {
        "end_time is '2026-03-01T12:00:00'; it must be a time with an offset": QUERY
        | {"end_time": "2026-03-01T12:00:00"},
        "start_time is missing": {key: value for key, value in QUERY.items() if key != "start_time"},
        "query_text is ''; it must be a non-empty string": QUERY | {"query_text": ""},
        "returned_rows is '7'; it must be an integer": QUERY | {"returned_rows": "7"},
        "extra is 'queue'; it must be an object": QUERY | {"extra": "queue"},
        "the record has unknown keys: 'duration'; allowed:": QUERY | {"duration": 3},
    },
}


def push(folder: Path, flow: str, records: list[Json], *arguments: str, env: dict[str, str]) -> Run:
    manifest = folder / f"{flow}.jsonl"
    with Writer(manifest, Header(flow, "snowflake", "snowflake", NOON)) as writer:
        for record in records:
            writer.write(record)
        writer.finish({}, {})
    script = f"push_{flow}.py"
    return run_script(TEMPLATES / "snowflake", script, "--manifest", str(manifest), *arguments, env=env)


@pytest.mark.parametrize("flow", GOOD)
def test_valid_records_pass_the_dry_run_and_arrive(tmp_path: Path, sandbox: SandboxProcess, flow: str) -> None:
    dry_run = push(tmp_path, flow, GOOD[flow], "--dry-run", env={}).check(0)
    assert dry_run.summary["records_rejected"] == 0
    pushed = push(tmp_path, flow, GOOD[flow], env=sandbox.env).check(0)
    assert pushed.summary["records_accepted"] == len(GOOD[flow])


@pytest.mark.parametrize("flow", BAD)
def test_the_dry_run_reports_field_and_value_of_invalid_records(tmp_path: Path, flow: str) -> None:
    good = GOOD[flow][0]
    run = push(tmp_path, flow, [good, *BAD[flow].values(), good], "--dry-run", env={}).check(1)
    rejected: list[dict[str, Any]] = run.summary["rejected"]
    assert [each["index"] for each in sorted(rejected, key=lambda each: each["index"])] == [
        place + 1 for place in range(len(BAD[flow]))
    ]
    reasons = {each["index"]: each["reason"] for each in rejected}
    for place, sentence in enumerate(BAD[flow], start=1):
        assert sentence in reasons[place]


def test_an_invalid_value_is_truncated_in_the_reason(tmp_path: Path) -> None:
    record = ORDERS | {"description": ["long"] * 10_000}
    run = push(tmp_path, "metadata", [record], "--dry-run", env={}).check(1)
    assert len(json.dumps(run.summary["rejected"])) < 400


MOMENTS = [NOON.replace(second=second) for second in range(3)]
COLLECTED: dict[str, Record] = {
    "metadata": TableRecord(
        type="VIEW",
        kind="materialized view",
        database="SHOP",
        schema="PUBLIC",
        name="DAILY",
        created_on=MOMENTS[0],
        row_count=0,
        byte_count=2,
        last_update_time=MOMENTS[1],
        description="of orders",
        view_query="SELECT 1",
        fields=[Column("ID", "NUMBER", "key"), Column("AT", "DATE")],
        tags=[Tag("owner", "sales"), Tag("pii")],
    ),
    "lineage": LineageRecord(
        Asset("VIEW", "SHOP", "PUBLIC", "DAILY"),
        [Asset("TABLE", "SHOP", "PUBLIC", "ORDERS"), Asset("EXTERNAL", "s3", "bucket", "s3://bucket/x")],
        [ColumnLineage("ID", [ColumnSource(1, "A"), ColumnSource(0, "B")]), ColumnLineage("AT", [])],
        "query_text",
        "partial",
    ),
    "query_logs": QueryLogRecord("q", MOMENTS[0], MOMENTS[1], "SELECT 1", "ANA", 0, 0, "no", {"cost": 0, "at": None}),
}


@pytest.mark.parametrize("flow", COLLECTED)
def test_collected_records_survive_the_round_trip(tmp_path: Path, flow: str) -> None:
    """Zeros are known values and are kept."""
    manifest = tmp_path / "m.jsonl"
    record = COLLECTED[flow]
    with Writer(manifest, Header(flow, "snowflake", "snowflake", NOON)) as writer:
        writer.write(record.to_json())
        writer.finish({}, {})
    [found] = read(manifest, flow)
    assert RECORDS[flow].from_json(found) == record
    assert RECORDS[flow].from_json(found).to_json() == record.to_json()


def test_no_part_of_a_secret_is_in_the_message_about_an_invalid_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "s3cret-of-the-test")
    for length in range(70):
        wrong = ORDERS | {"type": "x" * length + "s3cret-of-the-test"}
        with pytest.raises(ValueError, match="must be TABLE or VIEW") as refused:
            TableRecord.from_json(wrong)
        shown = f"'{'x' * length}***'"[:60]
        assert str(refused.value) == f"type is {shown}{'…' if length > 40 else ''}; it must be TABLE or VIEW"
