"""Collecting and pushing in one run, every hour: leftovers of earlier runs, and errors found before collecting.

The rows come from fixtures/one_query_a_minute.py. The real push code sends them to the sandbox.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from mcpush.records import iso_utc, parse_utc

from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, Run, run_script

FIXTURES = Path(__file__).parent / "fixtures"
HOUR = timedelta(hours=1)
QUERY_LOGS = "/ingest/v1/querylogs"
SCRIPTS = ["collect", "collect_and_push"]


@dataclass
class Job:
    """Runs the fixture scripts in a folder, with a checkpoint. The first window is the 24 hours before ``start``."""

    folder: Path
    start: datetime
    env: dict[str, str]

    def run(self, script: str, *argv: str, after_hours: int = 0) -> Run:
        until = iso_utc(self.start + after_hours * HOUR)
        arguments = ["--manifest", str(self.manifest), "--state", str(self.state), "--until", until, *argv]
        return run_script(FIXTURES, "one_query_a_minute.py", script, *arguments, env=self.env, cwd=self.folder)

    @property
    def manifest(self) -> Path:
        return self.folder / "q.jsonl"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    @property
    def has_connected(self) -> bool:
        return (self.folder / "connections").exists()

    def minutes(self, hours: int) -> list[str]:
        """The ids of the queries in the first window and in this many hours after it."""
        first = self.start - 24 * HOUR
        return [iso_utc(first + minute * HOUR / 60) for minute in range((24 + hours) * 60)]


@pytest.fixture
def job(quiet_sandbox: SandboxProcess, tmp_path: Path) -> Job:
    start = datetime.now(timezone.utc).replace(microsecond=0) - 9 * HOUR
    return Job(tmp_path, start, quiet_sandbox.env | {"PYTHONPATH": str(TEMPLATES / "snowflake")})


def arrived(sandbox: SandboxProcess, run: Run) -> list[str]:
    ids = run.summary["invocation_ids"]
    return sorted((event["query_id"] for each in ids for event in sandbox.received("querylogs", each)), key=parse_utc)


def test_collected_but_unpushed_records_are_sent_first(quiet_sandbox: SandboxProcess, job: Job) -> None:
    job.run("collect").check()
    run = job.run("collect_and_push", after_hours=1).check()
    assert arrived(quiet_sandbox, run) == job.minutes(1)


def test_a_rejected_record_of_an_earlier_run_makes_the_run_partial(job: Job) -> None:
    job.run("collect").check()
    job.manifest.write_bytes(job.manifest.read_bytes().replace(b'"query_text":"SELECT 1"', b'"query_text":5', 1))
    run = job.run("collect_and_push", after_hours=1).check(1)
    assert (run.summary["resumed"]["records_rejected"], run.summary["records_rejected"]) == (1, 0)
    assert run.summary["status"] == "partial"


def test_a_rejected_record_of_this_run_makes_the_run_partial(quiet_sandbox: SandboxProcess, job: Job) -> None:
    """The batch of three is rejected, then its middle record. That record is settled: no later run waits for it."""
    wrong = {"error": "Schema validation failed", "details": {"events[0].query_text": "must be a string"}}
    quiet_sandbox.fault(QUERY_LOGS, calls=[1, 2], status=400, body=wrong)
    run = job.run("collect_and_push", "--lookback-hours", "0.05").check(1)
    assert (run.summary["status"], run.summary["records_rejected"]) == ("partial", 1)
    assert arrived(quiet_sandbox, run) == [job.minutes(0)[-3], job.minutes(0)[-1]]
    assert parse_utc(json.loads(job.state.read_text())["until"]) == job.start


def test_keys_may_end_with_a_newline(job: Job) -> None:
    """Keys in files that secret stores mount can end like this."""
    job.env |= {name: job.env[name] + "\n" for name in ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "MCD_RESOURCE_UUID")}
    job.run("collect_and_push").check()


def test_after_an_outage_all_ids_are_in_summary_and_result(quiet_sandbox: SandboxProcess, job: Job) -> None:
    quiet_sandbox.fault(QUERY_LOGS, calls=list(range(3, 1_000)), status=503)
    broken = job.run("collect_and_push", "--max-retry-seconds", "1", "--workers", "1").check(4)
    again = job.run("collect_and_push", "--max-retry-seconds", "1", after_hours=1).check(4)
    assert again.summary["invocation_ids"] == broken.summary["invocation_ids"]
    quiet_sandbox.clear_faults()
    run = job.run("collect_and_push", after_hours=1).check()
    assert arrived(quiet_sandbox, run) == job.minutes(1)
    assert set(broken.summary["invocation_ids"]) < set(run.summary["invocation_ids"])
    result = json.loads((job.folder / "q.jsonl.result.json").read_text())
    assert result["invocation_ids"] == run.summary["invocation_ids"]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("damage", ["another flow", "another version", "truncated"])
def test_with_a_checkpoint_a_manifest_that_cannot_be_pushed_is_kept(job: Job, script: str, damage: str) -> None:
    job.run("collect").check()
    old, new = {
        "another flow": (b'"query_logs"', b'"lineage"'),
        "another version": (b'"version":1', b'"version":2'),
        "truncated": (b'{"end":', b""),
    }[damage]
    left = job.manifest.read_bytes().replace(old, new, 1)
    job.manifest.write_bytes(left)
    run = job.run(script, after_hours=1).check(2)
    assert "move it away" in run.summary["error"]["remedy"]
    assert job.manifest.read_bytes() == left


def test_missing_keys_are_reported_before_connecting_to_the_warehouse(job: Job) -> None:
    del job.env["MCD_INGEST_TOKEN"]
    run = job.run("collect_and_push").check(2)
    assert "MCD_INGEST_TOKEN" in run.summary["error"]["message"]
    assert not job.has_connected


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unwritable_checkpoint_is_reported_before_connecting_to_the_warehouse(job: Job, script: str) -> None:
    job.state.write_text("")
    run = job.run(script, "--state", str(job.state / "below-a-file")).check(2)
    assert "state" in run.summary["error"]["message"]
    assert not job.has_connected


def test_a_dry_run_changes_neither_manifest_nor_checkpoint(quiet_sandbox: SandboxProcess, job: Job) -> None:
    job.manifest.write_text("what an earlier run left\n")
    run = job.run("collect_and_push", "--dry-run", "--lookback-hours", "5").check()
    assert (run.summary["records"], run.summary["batches"], run.summary["records_accepted"]) == (300, 2, 0)
    assert sorted(path.name for path in job.folder.iterdir()) == ["connections", "q.jsonl"]
    assert job.manifest.read_text() == "what an earlier run left\n"
    assert quiet_sandbox.requests(QUERY_LOGS).count == 0
