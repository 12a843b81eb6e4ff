"""Delivery with the real push scripts and pycarlo into the sandbox, including failures and interruptions."""

from __future__ import annotations

import json
import random
import signal
import socket
import string
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from mcpush.manifest import Header, Writer
from mcpush.records import Json, TimeRange

from tests.sandbox_process import SandboxProcess
from tests.script_process import (
    LONGEST_RUN_SECONDS,
    TEMPLATES,
    Run,
    clean_environment,
    run_script,
    started_script,
    wait_for,
    wait_until,
)

SNOWFLAKE = TEMPLATES / "snowflake"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
METADATA, LINEAGE, QUERY_LOGS = "/ingest/v1/metadata", "/ingest/v1/lineage", "/ingest/v1/querylogs"


def table(name: str, **more: Any) -> Json:
    return {"type": "TABLE", "kind": "base table", "database": "SHOP", "schema": "PUBLIC", "name": name} | more


def query(number: int, **more: Any) -> Json:
    start = NOON + timedelta(seconds=number)
    record = {"query_id": f"q{number}", "query_text": f"SELECT {number}", "user": "ÅSA"}
    return (
        record
        | {"start_time": start.isoformat(), "end_time": (start + timedelta(microseconds=5)).isoformat(), "extra": {}}
        | more
    )


def write(path: Path, flow: str, records: list[Json] | Iterator[Json]) -> Path:
    window = None if flow == "metadata" else TimeRange(NOON, NOON + timedelta(days=1))
    with Writer(path, Header(flow, "snowflake", "snowflake", NOON, window)) as writer:
        for record in records:
            writer.write(record)
        writer.finish({}, {})
    return path


def push(flow: str, manifest: Path, env: dict[str, str], *arguments: str) -> Run:
    return run_script(SNOWFLAKE, f"push_{flow}.py", "--manifest", str(manifest), *arguments, env=env)


def arrived_names(sandbox: SandboxProcess, invocations: list[str]) -> list[str]:
    events = (event for each in invocations for event in sandbox.received("metadata", each))
    return [event["relational_asset"]["metadata"]["name"] for event in events]


def result_of(manifest: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest.with_name(manifest.name + ".result.json").read_text(encoding="utf-8"))
    return found


def journal_lines(manifest: Path) -> list[dict[str, Any]]:
    path = manifest.with_name(manifest.name + ".journal")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_field_of_an_asset_arrives(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    full = table(
        'a.b "c" ö',
        type="VIEW",
        description="d",
        view_query="SELECT 1",
        created_on="2026-01-01T00:00:00Z",
        fields=[{"name": "Id", "type": "NUMBER(38,0)", "description": "key"}, {"name": "v", "type": "VARIANT"}],
        tags=[{"key": "pii", "value": "yes"}, {"key": "seen"}],
        row_count=0,
        byte_count=7,
        last_update_time="2026-02-01T00:00:00Z",
    )
    run = push("metadata", write(manifest_path, "metadata", [full, table("bare")]), quiet_sandbox.env).check()
    [invocation] = run.summary["invocation_ids"]
    events = [event["relational_asset"] for event in quiet_sandbox.received("metadata", invocation)]
    assert events == [
        {
            "type": "VIEW",
            "metadata": {
                "name": 'a.b "c" ö',
                "database": "SHOP",
                "schema": "PUBLIC",
                "description": "d",
                "view_query": "SELECT 1",
                "created_on": "2026-01-01T00:00:00Z",
            },
            "tags": [{"key": "pii", "value": "yes"}, {"key": "seen"}],
            "fields": [
                {"name": "Id", "type": "NUMBER(38,0)", "description": "key"},
                {"name": "v", "type": "VARIANT"},
            ],
            "volume": {"row_count": 0, "byte_count": 7},
            "freshness": {"last_update_time": "2026-02-01T00:00:00Z"},
        },
        {"type": "TABLE", "metadata": {"name": "bare", "database": "SHOP", "schema": "PUBLIC"}},
    ]


def test_lineage_and_query_logs_arrive_unchanged(quiet_sandbox: SandboxProcess, tmp_path: Path) -> None:
    source = {"type": "EXTERNAL", "database": "S3", "schema": "bucket", "name": "x"}
    edge = {"destination": {"type": "TABLE", "database": "SHOP", "schema": "PUBLIC", "name": "T"}, "sources": [source]}
    columns = [{"name": "C", "sources": [{"source": 0, "name": "c"}]}]
    lineage = write(tmp_path / "l.jsonl.gz", "lineage", [{**edge, "columns": columns}, {**edge, "columns": []}])
    run = push("lineage", lineage, quiet_sandbox.env).check()
    [with_columns, plain] = quiet_sandbox.received("lineage", run.summary["invocation_ids"][0])
    assert plain["sources"] == [source]
    assert plain["destination"] == edge["destination"]
    assert "fields" not in plain
    [field] = with_columns["fields"]
    [mapped] = field["source_fields"]
    assert (field["name"], mapped["field_name"]) == ("C", "c")
    assert mapped["asset_id"] == with_columns["sources"][0]["asset_id"]
    failed = query(1, error_code="000904", error_text="invalid identifier", returned_rows=0, extra={"role": "R"})
    run = push("query_logs", write(tmp_path / "q.jsonl", "query_logs", [failed]), quiet_sandbox.env).check()
    [entry] = quiet_sandbox.received("querylogs", run.summary["invocation_ids"][0])
    assert entry == {
        "start_time": "2026-03-01T12:00:01Z",
        "end_time": "2026-03-01T12:00:01.000005Z",
        "query_text": "SELECT 1",
        "query_id": "q1",
        "user": "ÅSA",
        "error_code": "000904",
        "error_text": "invalid identifier",
        "returned_rows": 0,
        "extra": {"role": "R"},
    }


def test_batches_contain_fifty_assets_and_nothing_is_sent_twice(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    names = [f"T{number}" for number in range(120)]
    write(manifest_path, "metadata", [table(name) for name in names])
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert len(run.summary["invocation_ids"]) == 3
    assert sorted(arrived_names(quiet_sandbox, run.summary["invocation_ids"])) == sorted(names)
    again = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert again.summary["invocation_ids"] == run.summary["invocation_ids"]
    assert again.summary["records_accepted_before"] == 120
    assert quiet_sandbox.requests(METADATA).count == 3


def test_an_empty_manifest_succeeds_and_sends_nothing(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    run = push("metadata", write(manifest_path, "metadata", []), quiet_sandbox.env).check()
    assert (run.summary["records"], run.summary["invocation_ids"]) == (0, [])
    assert quiet_sandbox.requests(METADATA).count == 0
    assert result_of(manifest_path)["complete"] is True


def test_a_dry_run_builds_all_batches_sends_nothing_and_needs_no_key(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(51)])
    env = {"MCD_API_ENDPOINT": quiet_sandbox.endpoint}
    run = push("metadata", manifest_path, env, "--dry-run").check()
    assert (run.summary["batches"], run.summary["records_accepted"], run.summary["dry_run"]) == (2, 0, True)
    assert run.summary["largest_body_bytes"] > 1000
    assert quiet_sandbox.requests(METADATA).count == 0
    assert [path.name for path in manifest_path.parent.iterdir()] == [manifest_path.name]


def noise(size: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(string.printable[:94], k=size))


def test_bodies_stay_under_the_limit_and_an_oversized_event_is_rejected_by_name(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    wide = [table(f"T{number}", view_query=noise(90_000, number)) for number in range(30)]
    wide[7] = table("MONSTER" + noise(1_500_000, 99))
    run = push("metadata", write(manifest_path, "metadata", wide), quiet_sandbox.env).check(1)
    assert set(quiet_sandbox.requests(METADATA).answers) == {202}, "the gateway had to refuse a body"
    arrived = arrived_names(quiet_sandbox, run.summary["invocation_ids"])
    assert sorted(arrived) == sorted(f"T{number}" for number in range(30) if number != 7)
    [rejected] = run.summary["rejected"]
    assert rejected["name"].startswith("SHOP.PUBLIC.MONSTER")
    assert "compressed" in rejected["reason"]
    assert run.summary["status"] == "partial"


def test_only_the_bad_records_of_a_batch_are_rejected(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    records = [table(f"T{number}") for number in range(60)]
    records[33]["type"] = "BASE TABLE"
    del records[50]["name"]
    run = push("metadata", write(manifest_path, "metadata", records), quiet_sandbox.env).check(1)
    arrived = arrived_names(quiet_sandbox, run.summary["invocation_ids"])
    assert sorted(arrived) == sorted(f"T{number}" for number in range(60) if number not in (33, 50))
    assert sorted(each["index"] for each in run.summary["rejected"]) == [33, 50]
    reasons = {each["index"]: each["reason"] for each in result_of(manifest_path)["rejected"]}
    assert "type" in reasons[33]
    assert "name" in reasons[50]


def test_a_run_fails_if_all_records_are_refused_before_sending(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    records = [table(f"T{number}", type="NONSENSE") for number in range(500)]
    run = push("metadata", write(manifest_path, "metadata", records), quiet_sandbox.env).check(2)
    assert "Nothing was accepted" in run.summary["error"]["message"]
    assert quiet_sandbox.requests(METADATA).count == 0
    assert run.summary["status"] == "failed"


def test_adjacent_bad_records_do_not_end_the_run(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    records = [table(f"T{number}", type="TABLE" if number >= 8 else "NONSENSE") for number in range(49)]
    run = push("metadata", write(manifest_path, "metadata", records), quiet_sandbox.env).check(1)
    arrived = arrived_names(quiet_sandbox, run.summary["invocation_ids"])
    assert sorted(arrived) == sorted(f"T{number}" for number in range(8, 49))
    assert run.summary["records_rejected"] == 8


def test_bad_records_at_the_start_do_not_keep_the_good_ones_from_arriving(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    records = [table(f"T{number}", type="TABLE" if number >= 60 else "NONSENSE") for number in range(150)]
    run = push("metadata", write(manifest_path, "metadata", records), quiet_sandbox.env).check(1)
    arrived = arrived_names(quiet_sandbox, run.summary["invocation_ids"])
    assert sorted(arrived) == sorted(f"T{number}" for number in range(60, 150))
    assert run.summary["records_rejected"] == 60


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"MCD_INGEST_TOKEN": "wr0ng-t0ken-value"}, 3, "401"),
        ({"MCD_INGEST_ID": "nobody"}, 3, "401"),
        ({"MCD_RESOURCE_UUID": "00000000-0000-0000-0000-000000000001"}, 3, "403"),
        ({"MCD_RESOURCE_UUID": "not-a-uuid"}, 2, "MCD_RESOURCE_UUID"),
        ({"MCD_INGEST_ID": "", "MCD_INGEST_TOKEN": ""}, 2, "MCD_INGEST_ID, MCD_INGEST_TOKEN"),
        ({"MCD_DEFAULT_OAUTH_CLIENT_ID": "a", "MCD_DEFAULT_OAUTH_CLIENT_SECRET": "bcde1"}, 2, "OAUTH"),
    ],
)
def test_a_refusal_is_reported_at_once_and_without_secrets(
    quiet_sandbox: SandboxProcess, manifest_path: Path, change: dict[str, str], code: int, says: str
) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(500)])
    env = quiet_sandbox.env | change
    run = push("metadata", manifest_path, env).check(code)
    assert says in run.stderr
    assert run.summary["error"]["remedy"]
    assert quiet_sandbox.requests(METADATA).count <= 1, "requests were sent after the first was refused"
    for name in ("MCD_INGEST_TOKEN", "MCD_DEFAULT_OAUTH_CLIENT_SECRET"):
        if env.get(name):
            assert env[name] not in run.stdout + run.stderr


def test_an_api_key_is_not_an_ingestion_key(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    env = quiet_sandbox.env
    swapped = env | {"MCD_INGEST_ID": env["MCD_ID"], "MCD_INGEST_TOKEN": env["MCD_TOKEN"]}
    run = push("metadata", write(manifest_path, "metadata", [table("T")]), swapped).check(3)
    assert "403" in run.stderr
    assert "Ingestion" in run.summary["error"]["remedy"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 500, "headers": {"Retry-After": "Sun, 01 Mar 2026 12:00:00 GMT"}},
        {"drop": "before"},
    ],
)
def test_temporary_failures_are_retried(
    quiet_sandbox: SandboxProcess, manifest_path: Path, fault: dict[str, Any]
) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(100)])
    quiet_sandbox.fault(METADATA, calls=[1, 3], **fault)
    run = push("metadata", manifest_path, quiet_sandbox.env, "--workers", "1").check()
    assert "retrying in" in run.stderr
    assert quiet_sandbox.requests(METADATA).count == 4
    assert len(arrived_names(quiet_sandbox, run.summary["invocation_ids"])) == 100


def test_a_closed_port_is_unavailable_after_the_configured_time(
    manifest_path: Path, quiet_sandbox: SandboxProcess
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        env = quiet_sandbox.env | {"MCD_API_ENDPOINT": f"http://127.0.0.1:{unused.getsockname()[1]}/graphql"}
        write(manifest_path, "metadata", [table("T")])
        run = push("metadata", manifest_path, env, "--max-retry-seconds", "2").check(4)
    assert "Run the same command again later" in run.summary["error"]["remedy"]
    assert result_of(manifest_path)["complete"] is False


def test_batches_accepted_before_an_outage_are_kept_and_the_next_run_sends_the_rest(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    names = [f"T{number}" for number in range(300)]
    write(manifest_path, "metadata", [table(name) for name in names])
    quiet_sandbox.fault(METADATA, calls=list(range(3, 100)), status=503)
    first = push("metadata", manifest_path, quiet_sandbox.env, "--max-retry-seconds", "2", "--workers", "1").check(4)
    assert first.summary["records_accepted"] == 100
    assert len(first.summary["invocation_ids"]) == 2
    assert [batch["count"] for batch in result_of(manifest_path)["accepted"]] == [50, 50]
    quiet_sandbox.clear_faults()
    second = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert second.summary["records_accepted_before"] == 100
    assert sorted(arrived_names(quiet_sandbox, second.summary["invocation_ids"])) == sorted(names)
    assert second.summary["invocation_ids"][:2] == first.summary["invocation_ids"]


def has_journaled(manifest: Path, batches: int) -> Callable[[], bool]:
    journal = manifest.with_name(manifest.name + ".journal")
    return lambda: journal.exists() and journal.read_bytes().count(b"\n") > batches


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_rerun_after_a_kill_between_batches_sends_only_the_rest(
    quiet_sandbox: SandboxProcess, manifest_path: Path, how: signal.Signals
) -> None:
    """Responses are delayed from the fourth batch on: the signal has many seconds to arrive during the run."""
    names = [f"T{number}" for number in range(2_000)]
    write(manifest_path, "metadata", [table(name) for name in names])
    quiet_sandbox.fault(METADATA, calls=list(range(4, 41)), delay=0.7)
    arguments = ["--manifest", str(manifest_path), "--workers", "1"]
    with started_script(SNOWFLAKE, "push_metadata.py", *arguments, env=quiet_sandbox.env) as process:
        wait_until(has_journaled(manifest_path, 3))
        process.send_signal(how)
        first = wait_for(process)
    before = journal_lines(manifest_path)[1:]
    assert 3 <= len(before) < 40, "the run was not interrupted midway"
    if how is not signal.SIGKILL:
        first.check(130)
        assert first.summary["status"] == "interrupted"
        assert first.summary["invocation_ids"] == [batch["invocation_id"] for batch in before]
        assert len(result_of(manifest_path)["accepted"]) == len(before)
    quiet_sandbox.clear_faults()
    quiet_sandbox.clear_requests()
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert quiet_sandbox.requests(METADATA).count == 40 - len(before)
    assert sorted(arrived_names(quiet_sandbox, run.summary["invocation_ids"])) == sorted(names)


def test_a_truncated_journal_line_is_ignored(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(100)])
    push("metadata", manifest_path, quiet_sandbox.env).check()
    journal = manifest_path.with_name(manifest_path.name + ".journal")
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    quiet_sandbox.clear_requests()
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert quiet_sandbox.requests(METADATA).count == 1
    assert run.summary["records_accepted"] == 100
    assert len(journal_lines(manifest_path)) == 3


def test_a_batch_that_was_journaled_twice_counts_once(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(60)])
    push("metadata", manifest_path, quiet_sandbox.env).check()
    journal = manifest_path.with_name(manifest_path.name + ".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines, lines[1], b'{"first":"x","count":1,"invocation_id":null,"at":""}\n']))
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert run.summary["records_accepted"] == 60
    assert "damaged" in run.stderr


def test_a_push_succeeds_without_stderr(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table("T")])
    script = SNOWFLAKE / "push_metadata.py"
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" "$1" --manifest "$2" 2>&-', sys.executable, str(script), str(manifest_path)],
        env=clean_environment(quiet_sandbox.env),
        stdout=subprocess.PIPE,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["records_accepted"] == 1


def test_a_settled_journal_is_replaced_and_an_unfinished_one_is_kept(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    push("metadata", write(manifest_path, "metadata", [table("OLD")]), quiet_sandbox.env).check()
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(100)])
    quiet_sandbox.fault(METADATA, calls=[2, 3, 4, 5, 6], status=503)
    run = push("metadata", manifest_path, quiet_sandbox.env, "--max-retry-seconds", "1").check(4)
    assert not manifest_path.with_name(manifest_path.name + ".journal.1").exists()
    quiet_sandbox.clear_faults()
    write(manifest_path, "metadata", [table("NEW")])
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert arrived_names(quiet_sandbox, run.summary["invocation_ids"]) == ["NEW"]
    assert len(manifest_path.with_name(manifest_path.name + ".journal.1").read_text().splitlines()) == 2
    assert "did not finish" in run.stderr


def test_another_destination_gets_every_record_again(tmp_path: Path, manifest_path: Path) -> None:
    warehouses = [{"uuid": str(uuid.UUID(int=number)), "name": f"W{number}", "type": "snowflake"} for number in (1, 2)]
    key = {"id": "both", "token": "t0ken-of-both", "scope": "Ingestion", "warehouses": None}
    api_key = {"id": "api", "token": "t0ken-of-api", "scope": "GraphQL", "warehouses": None}
    settings = {"keys": [key, api_key], "warehouses": warehouses}
    write(manifest_path, "metadata", [table("T")])
    with SandboxProcess(tmp_path / "two", settings=settings) as sandbox:
        runs = [
            push("metadata", manifest_path, sandbox.env | {"MCD_RESOURCE_UUID": warehouse["uuid"]}).check()
            for warehouse in warehouses
        ]
        assert [arrived_names(sandbox, run.summary["invocation_ids"]) for run in runs] == [["T"], ["T"]]
    assert runs[1].summary["records_accepted_before"] == 0


def test_the_batch_of_a_damaged_journal_line_is_sent_again_with_a_warning(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(150)])
    push("metadata", manifest_path, quiet_sandbox.env).check()
    journal = manifest_path.with_name(manifest_path.name + ".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b"\0" * 40 + b"\n", lines[3]]))
    quiet_sandbox.clear_requests()
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert quiet_sandbox.requests(METADATA).count == 1
    assert "damaged" in run.stderr


def test_a_response_without_an_invocation_id_is_not_a_delivery(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [table("T")])
    quiet_sandbox.fault(METADATA, status=200, body={"healthy": True})
    run = push("metadata", manifest_path, quiet_sandbox.env).check(4)
    assert "invocation id" in run.summary["error"]["message"]
    quiet_sandbox.clear_faults()
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert arrived_names(quiet_sandbox, run.summary["invocation_ids"]) == ["T"]


def test_a_run_ends_instead_of_waiting_longer_than_allowed(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table("T")])
    quiet_sandbox.fault(METADATA, status=429, headers={"Retry-After": "86400"})
    push("metadata", manifest_path, quiet_sandbox.env, "--max-retry-seconds", "30").check(4)
    assert quiet_sandbox.requests(METADATA).count == 1


def test_a_retry_after_of_zero_is_not_a_busy_loop(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table("T")])
    quiet_sandbox.fault(METADATA, status=503, headers={"Retry-After": "0"})
    push("metadata", manifest_path, quiet_sandbox.env, "--max-retry-seconds", "6").check(4)
    assert 2 <= quiet_sandbox.requests(METADATA).count <= 7


def test_after_a_lost_response_the_batch_is_sent_again_and_no_record_is_lost(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    names = [f"T{number}" for number in range(100)]
    write(manifest_path, "metadata", [table(name) for name in names])
    quiet_sandbox.fault(METADATA, calls=[2], drop="after")
    run = push("metadata", manifest_path, quiet_sandbox.env, "--workers", "1").check()
    assert sorted(arrived_names(quiet_sandbox, run.summary["invocation_ids"])) == sorted(names)
    assert quiet_sandbox.requests(METADATA).count == 3


def test_two_runs_cannot_push_the_same_manifest(
    quiet_sandbox: SandboxProcess, manifest_path: Path, tmp_path: Path
) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(300)])
    quiet_sandbox.fault(METADATA, calls=list(range(2, 1_000)), status=503, headers={"Retry-After": "1"})
    arguments = ["--manifest", str(manifest_path), "--workers", "1"]
    with started_script(SNOWFLAKE, "push_metadata.py", *arguments, env=quiet_sandbox.env) as process:
        wait_until(has_journaled(manifest_path, 1))
        elsewhere = {"TMPDIR": str(tmp_path), "TEMP": str(tmp_path)}  # as in another container on the same volume
        second = push("metadata", manifest_path, quiet_sandbox.env | elsewhere).check(4)
        quiet_sandbox.clear_faults()  # until here, the first run had to retry
        wait_for(process).check()
    assert "Another run" in second.summary["error"]["message"]
    assert quiet_sandbox.requests(METADATA).answers.count(202) == 6
    assert len(quiet_sandbox.requests(METADATA).answers) == quiet_sandbox.requests(METADATA).count


def test_repeated_signals_lose_no_accepted_batch(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    """After the first batch, four one-second requests are always in progress, and many batches are left to send."""
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(4_000)])
    quiet_sandbox.fault(METADATA, delay=1.0)
    arguments = ["--manifest", str(manifest_path)]
    with started_script(SNOWFLAKE, "push_metadata.py", *arguments, env=quiet_sandbox.env) as process:
        wait_until(has_journaled(manifest_path, 1))
        time.sleep(0.3)
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        run = wait_for(process).check(130)
    ids = run.summary["invocation_ids"]
    assert sorted(ids) == sorted(push["invocation_id"] for push in quiet_sandbox.pushes("metadata")[-len(ids) :])
    assert quiet_sandbox.requests(METADATA).answers.count(202) == len(ids) == len(journal_lines(manifest_path)) - 1


def test_ids_of_earlier_runs_are_reported_even_without_a_key(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [table("T")])
    first = push("metadata", manifest_path, quiet_sandbox.env).check()
    second = push("metadata", manifest_path, {}).check(2)
    assert second.summary["invocation_ids"] == first.summary["invocation_ids"]
    assert result_of(manifest_path)["error"].startswith("ConfigurationError")


@pytest.mark.parametrize("token", ["S3cretTok3nValue\n", 'pä"sswörd-XYZ', "with\ttab-inside"])
def test_unusual_tokens_are_used_or_refused_and_never_shown(
    quiet_sandbox: SandboxProcess, manifest_path: Path, token: str
) -> None:
    write(manifest_path, "metadata", [table("T")])
    run = push("metadata", manifest_path, quiet_sandbox.env | {"MCD_INGEST_TOKEN": token})
    assert run.exit_code in (2, 3)
    result = manifest_path.with_name(manifest_path.name + ".result.json").read_text(encoding="utf-8")
    shown = run.stdout + run.stderr + result
    assert not [form for form in (token.strip(), repr(token)[1:-1], json.dumps(token)[1:-1]) if form in shown]


def test_a_token_with_a_trailing_newline_works(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table("T")])
    env = quiet_sandbox.env
    push("metadata", manifest_path, env | {"MCD_INGEST_TOKEN": env["MCD_INGEST_TOKEN"] + "\n"}).check()


def test_non_ascii_names_work_with_any_output_encoding(quiet_sandbox: SandboxProcess, tmp_path: Path) -> None:
    manifest = write(tmp_path / "漢.jsonl", "metadata", [table("漢"), table("ö", type="NONSENSE")])
    env = quiet_sandbox.env | {"PYTHONIOENCODING": "cp1252", "JOB_KEY": "records_accepted"}
    run = push("metadata", manifest, env).check(1)
    assert run.summary["manifest"] == str(manifest)
    assert run.summary["records_accepted"] == 1


def test_closed_output_pipes_do_not_stop_a_push(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(100)])
    quiet_sandbox.fault(METADATA, calls=[1], status=503)
    arguments = ["--manifest", str(manifest_path)]
    with started_script(SNOWFLAKE, "push_metadata.py", *arguments, env=quiet_sandbox.env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(LONGEST_RUN_SECONDS) == 0
    assert result_of(manifest_path)["records_accepted"] == 100


def test_a_damaged_manifest_sends_nothing(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(100)])
    manifest_path.write_bytes(manifest_path.read_bytes()[:-40])
    run = push("metadata", manifest_path, quiet_sandbox.env).check(2)
    assert "Collect again" in run.summary["error"]["remedy"]
    assert quiet_sandbox.requests(METADATA).count == 0


def test_a_manifest_of_another_flow_is_refused(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    run = push("lineage", write(manifest_path, "metadata", [table("T")]), quiet_sandbox.env).check(2)
    assert "push_metadata.py" in run.summary["error"]["remedy"]


def test_an_unwritable_journal_is_reported_before_anything_is_sent(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [table("T")])
    manifest_path.with_name(manifest_path.name + ".journal").symlink_to(manifest_path.parent / "gone" / "journal")
    run = push("metadata", manifest_path, quiet_sandbox.env).check(2)
    assert "journal" in run.summary["error"]["message"]
    assert quiet_sandbox.requests(METADATA).count == 0


@pytest.mark.parametrize("flow", ["metadata", "lineage", "query_logs"])
def test_help_has_an_example_and_the_version_is_printed(flow: str) -> None:
    text = run_script(SNOWFLAKE, f"push_{flow}.py", "--help", env={}).check().stdout
    assert f"example:\n  python push_{flow}.py" in text
    assert "exit codes" in text
    assert run_script(SNOWFLAKE, f"push_{flow}.py", "--version", env={}).check().stdout.startswith(f"push_{flow}.py 0.")
    assert run_script(SNOWFLAKE, f"push_{flow}.py", "--workers", "0", env={}).exit_code == 2


def test_the_library_imports_pycarlo_only_to_push() -> None:
    check = "import sys, mcpush.collect.collector, mcpush.lineage.query_log; sys.exit('pycarlo' in sys.modules)"
    env = clean_environment({"PYTHONPATH": str(SNOWFLAKE)})
    subprocess.run([sys.executable, "-c", check], env=env, timeout=LONGEST_RUN_SECONDS, check=True)
