"""Collecting and pushing in one run, every hour: leftovers of earlier runs, and errors found before collecting.

The rows come from fixtures/one_query_a_minute.py. The real push code sends them to the sandbox.
"""

from __future__ import annotations

import json
import uuid
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
        return self.run_without_state(script, "--state", str(self.state), *argv, after_hours=after_hours)

    def run_without_state(self, script: str, *argv: str, after_hours: int = 0) -> Run:
        until = iso_utc(self.start + after_hours * HOUR)
        arguments = ["--manifest", str(self.manifest), "--until", until, *argv]
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
    return arrived_in(sandbox, run.summary["invocation_ids"])


def arrived_in(sandbox: SandboxProcess, ids: list[str]) -> list[str]:
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


# --- whose window an earlier run collected ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (["--include", "SHOP.*"], []),
        (["--level", "1"], ["--level", "2"]),
    ],
)
def test_a_window_that_was_collected_with_other_options_is_collected_again(
    quiet_sandbox: SandboxProcess, job: Job, earlier: list[str], later: list[str]
) -> None:
    job.run("collect_and_push", *later).check()
    checkpoint = job.state.read_bytes()
    job.run("collect_and_push", *earlier, after_hours=1).check()
    job.state.write_bytes(checkpoint)  # as if that run had been killed before it wrote the checkpoint
    run = job.run("collect_and_push", *later, after_hours=2).check()
    assert arrived(quiet_sandbox, run) == job.minutes(2)[24 * 60 :]


def test_a_window_of_the_same_job_is_not_collected_again(quiet_sandbox: SandboxProcess, job: Job) -> None:
    """The job was killed before it wrote the checkpoint. How it sends does not matter, nor how its files are named."""
    options = ["--include", "SHOP.*", "--exclude", "SHOP.X", "--level", "7", "--file", "a"]
    job.run("collect_and_push", *options).check()
    checkpoint = job.state.read_bytes()
    job.run("collect_and_push", *options, "--workers", "1", after_hours=1).check()
    job.state.write_bytes(checkpoint)
    (job.folder / "link").symlink_to("state.json")
    run = job.run("collect_and_push", *options, "--workers", "2", "--state", "link", after_hours=2).check()
    assert arrived(quiet_sandbox, run) == job.minutes(2)[25 * 60 :]


def test_a_window_that_was_pushed_without_a_checkpoint_is_collected_again(
    quiet_sandbox: SandboxProcess, job: Job
) -> None:
    """A trial of one hour does not shorten the first window of the job."""
    job.run_without_state("collect_and_push", "--lookback-hours", "1").check()
    run = job.run("collect_and_push").check()
    assert arrived(quiet_sandbox, run) == job.minutes(0)


def test_an_unfinished_push_of_another_job_is_finished_and_does_not_move_the_checkpoint(
    quiet_sandbox: SandboxProcess, job: Job
) -> None:
    job.run("collect_and_push").check()
    quiet_sandbox.fault(QUERY_LOGS, calls=list(range(3, 1_000)), status=503)
    trial = ["--since", iso_utc(job.start - 24 * HOUR), "--workers", "1", "--max-retry-seconds", "1"]
    job.run_without_state("collect_and_push", *trial, after_hours=1).check(4)
    quiet_sandbox.clear_faults()
    run = job.run("collect_and_push", after_hours=2).check()
    assert run.summary["resumed"]["records_accepted"] == 25 * 60
    ids = run.summary["invocation_ids"][len(run.summary["resumed"]["invocation_ids"]) :]
    assert arrived_in(quiet_sandbox, ids) == job.minutes(2)[24 * 60 :]


def test_a_window_that_was_pushed_elsewhere_is_pushed_to_this_destination(job: Job, tmp_path: Path) -> None:
    """A trial pushed the window that the job had collected, to another resource."""
    warehouses = [{"uuid": str(uuid.UUID(int=number)), "name": f"W{number}", "type": "snowflake"} for number in (1, 2)]
    keys = [{"id": scope, "token": f"t0ken-{scope}", "scope": scope} for scope in ("Ingestion", "GraphQL")]
    with SandboxProcess(tmp_path / "two", settings={"keys": keys, "warehouses": warehouses}) as sandbox:
        here, elsewhere = ({"MCD_RESOURCE_UUID": warehouse["uuid"]} for warehouse in warehouses)
        job.folder = tmp_path / "job"
        job.folder.mkdir()
        job.env |= sandbox.env | here
        job.run("collect_and_push").check()
        job.run("collect", after_hours=1).check()
        run_script(
            TEMPLATES / "snowflake", "push_query_logs.py", "--manifest", str(job.manifest), env=job.env | elsewhere
        )
        run = job.run("collect_and_push", after_hours=2).check()
        assert run.summary["resumed"]["records_accepted_before"] == 0
        assert arrived(sandbox, run) == job.minutes(2)[24 * 60 :]
        # And the other way around: a trial of the whole script does not count for the job.
        checkpoint = job.state.read_bytes()
        job.env |= elsewhere
        job.run("collect_and_push", after_hours=3).check()
        job.state.write_bytes(checkpoint)
        job.env |= here
        run = job.run("collect_and_push", after_hours=4).check()
        assert arrived(sandbox, run) == job.minutes(4)[26 * 60 :]
