"""Killed and overlapping runs of all three kinds of script: no file is torn, and no record is lost or sent twice.

The rows come from fixtures/one_query_a_minute.py. Each kill happens at a fixed point: while the sandbox delays a
response, or while a FIFO blocks the warehouse's next row.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from mcpush.records import iso_utc, parse_utc

from tests.collected import Collected
from tests.mcpush.test_collect_and_push import FIXTURES, QUERY_LOGS
from tests.mcpush.test_delivery import journal_lines, query, write
from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, Run, clean_environment, started_script, wait_for, wait_until

SCRIPTS = {
    "collect": (FIXTURES, "one_query_a_minute.py", ["collect"]),
    "collect_and_push": (FIXTURES, "one_query_a_minute.py", ["collect_and_push"]),
    "push": (TEMPLATES / "snowflake", "push_query_logs.py", []),
}
UNTIL = datetime.now(timezone.utc).replace(second=0, microsecond=0) - timedelta(hours=9)
SINCE = UNTIL - timedelta(minutes=3)
THREE = [iso_utc(SINCE + timedelta(minutes=number)) for number in range(3)]
WINDOW = ["--since", iso_utc(SINCE), "--until", iso_utc(UNTIL)]
# Collects with a checkpoint that another run advances at the moment when this run locks it.
LATE_LOCK = """
import json, sys
from pathlib import Path
from filelock import FileLock
from mcpush.collect.collector import run_collect
from one_query_a_minute import COLLECTOR

acquire, state = FileLock.acquire, Path({state!r})

def acquire_late(lock, *arguments, **options):
    state.write_text(json.dumps(json.loads(state.read_text()) | dict(until={until!r})))
    return acquire(lock, *arguments, **options)

FileLock.acquire = acquire_late
sys.exit(run_collect(COLLECTOR, {arguments}[1:]))
"""
LONGEST_REFUSAL_SECONDS = 60  # a refused run does not wait; if it did, it would wait forever


@pytest.fixture
def env(quiet_sandbox: SandboxProcess) -> dict[str, str]:
    return quiet_sandbox.env | {"PYTHONPATH": str(TEMPLATES / "snowflake")}


@contextmanager
def started(kind: str, *arguments: str, env: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    folder, script, first = SCRIPTS[kind]
    with started_script(folder, script, *first, *arguments, env=env, cwd=cwd) as process:
        yield process


def run(kind: str, *arguments: str, env: dict[str, str], cwd: Path) -> Run:
    with started(kind, *arguments, env=env, cwd=cwd) as process:
        return wait_for(process)


@contextmanager
def paused_at_the_gate(kind: str, *arguments: str, env: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a script and let it pause after its first record. It is killed at the end of the block."""
    gate = cwd / "gate"
    os.mkfifo(gate)
    opened: list[int] = []

    def is_open() -> bool:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError):  # nobody reads the FIFO yet
            opened.append(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    with started(kind, *arguments, env=env, cwd=cwd) as process:
        wait_until(is_open)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            os.close(opened[0])
            gate.unlink()


def arrived(sandbox: SandboxProcess, invocations: list[str]) -> list[str]:
    return sorted(event["query_id"] for each in invocations for event in sandbox.received("querylogs", each))


@pytest.mark.parametrize(("kind", "workers", "accepted"), [("push", 1, 3), ("collect_and_push", 4, 5)])
def test_after_a_kill_gateway_and_journal_have_the_same_batches(
    quiet_sandbox: SandboxProcess, env: dict[str, str], tmp_path: Path, kind: str, workers: int, accepted: int
) -> None:
    """Each worker waits for a delayed response. The sandbox does not store a delayed request whose sender is gone."""
    manifest = tmp_path / "q.jsonl"
    arguments = ["--manifest", str(manifest), "--workers", str(workers)]
    if kind == "push":
        ids = [f"q{number}" for number in range(2_520)]
        write(manifest, "query_logs", (query(number) for number in range(2_520)))
    else:
        hours = timedelta(hours=42)
        arguments += ["--state", str(tmp_path / "state"), "--until", iso_utc(UNTIL), "--lookback-hours", "42"]
        ids = [iso_utc(UNTIL - hours + timedelta(minutes=number)) for number in range(2_520)]
    before = len(quiet_sandbox.pushes("querylogs"))
    quiet_sandbox.fault(QUERY_LOGS, calls=list(range(accepted + 1, accepted + 1 + workers)), delay=600)
    with started(kind, *arguments, env=env, cwd=tmp_path) as process:
        wait_until(lambda: quiet_sandbox.requests(QUERY_LOGS).count == accepted + workers)
        process.send_signal(signal.SIGKILL)
        process.wait()
    stored = [push["invocation_id"] for push in quiet_sandbox.pushes("querylogs")[before:]]
    assert len(stored) == accepted
    assert sorted(line["invocation_id"] for line in journal_lines(manifest)[1:]) == sorted(stored)
    assert not (tmp_path / "state").exists()
    quiet_sandbox.clear_faults()
    run(kind, *arguments, env=env, cwd=tmp_path).check()
    stored = [push["invocation_id"] for push in quiet_sandbox.pushes("querylogs")[before:]]
    assert arrived(quiet_sandbox, stored) == sorted(ids)


@pytest.mark.parametrize("kind", ["collect", "collect_and_push"])
def test_a_kill_while_collecting_damages_neither_manifest_nor_checkpoint(
    quiet_sandbox: SandboxProcess, env: dict[str, str], tmp_path: Path, kind: str
) -> None:
    manifest, state = tmp_path / "q.jsonl", tmp_path / "state.json"
    before = json.dumps({"warehouse": "snowflake", "flow": "query_logs", "until": iso_utc(SINCE)})
    state.write_text(before)
    write(manifest, "query_logs", [])
    older = manifest.read_bytes()
    arguments = ["--manifest", str(manifest), "--state", str(state), "--until", iso_utc(UNTIL)]
    with paused_at_the_gate(kind, *arguments, env=env, cwd=tmp_path):
        pass
    assert (state.read_text(), manifest.read_bytes()) == (before, older)
    # Whoever reads these files while the next run replaces them sees the complete earlier content.
    for path in (state, manifest):
        os.link(path, tmp_path / f"{path.name} of a reader")
    run(kind, *arguments, env=env, cwd=tmp_path).check()
    assert json.loads(state.read_text()) == json.loads(before) | {"until": iso_utc(UNTIL)}
    assert [each["query_id"] for each in Collected.read(manifest).records] == THREE
    assert (tmp_path / "state.json of a reader").read_text() == before
    assert (tmp_path / "q.jsonl of a reader").read_bytes() == older
    assert [path.name for path in tmp_path.glob("*.partial")] == []
    assert quiet_sandbox.requests(QUERY_LOGS).count == (1 if kind == "collect_and_push" else 0)


def test_no_script_uses_a_manifest_that_another_run_is_using(
    quiet_sandbox: SandboxProcess, env: dict[str, str], tmp_path: Path
) -> None:
    manifest, elsewhere = tmp_path / "q.jsonl", tmp_path / "elsewhere"  # without a gate that blocks the other scripts
    elsewhere.mkdir()
    write(manifest, "query_logs", [query(1)])
    older = manifest.read_bytes()
    with paused_at_the_gate("collect", "--manifest", str(manifest), *WINDOW, env=env, cwd=tmp_path):
        for kind in SCRIPTS:
            window = [] if kind == "push" else WINDOW
            with started(kind, "--manifest", str(manifest), *window, env=env, cwd=elsewhere) as process:
                stdout, stderr = process.communicate(timeout=LONGEST_REFUSAL_SECONDS)
            refused = Run(process.returncode, stdout, stderr).check(4)
            assert "Another run" in refused.summary["error"]["message"]
        assert manifest.read_bytes() == older
    assert quiet_sandbox.requests(QUERY_LOGS).count == 0
    # A killed run releases the manifest.
    pushed = run("push", "--manifest", str(manifest), env=env, cwd=elsewhere).check()
    assert arrived(quiet_sandbox, pushed.summary["invocation_ids"]) == ["q1"]


def test_no_script_uses_a_checkpoint_that_another_run_is_using(
    quiet_sandbox: SandboxProcess, env: dict[str, str], tmp_path: Path
) -> None:
    """Two jobs with one --state and different manifests would collect the same window. One names it by a link."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    state, link = tmp_path / "state.json", elsewhere / "link.json"
    link.symlink_to(state)
    arguments = ["--manifest", str(tmp_path / "q.jsonl"), "--state", str(state), *WINDOW]
    with paused_at_the_gate("collect_and_push", *arguments, env=env, cwd=tmp_path):
        for kind, given in (("collect", state), ("collect_and_push", link)):
            other = ["--manifest", str(elsewhere / "q.jsonl"), "--state", str(given), "--until", iso_utc(UNTIL)]
            with started(kind, *other, env=env, cwd=elsewhere) as process:
                stdout, stderr = process.communicate(timeout=LONGEST_REFUSAL_SECONDS)
            refused = Run(process.returncode, stdout, stderr).check(4)
            assert str(given) in refused.summary["error"]["message"]
            assert "--state" in refused.summary["error"]["remedy"]
        for kind, option in (("collect", "--list"), ("collect_and_push", "--dry-run")):  # do not move the checkpoint
            run(kind, *other, option, env=env, cwd=elsewhere).check()
        assert [each.name for each in elsewhere.iterdir() if each.name != "connections"] == ["link.json"]
    assert quiet_sandbox.requests(QUERY_LOGS).count == 0
    # A killed run releases the checkpoint.
    run("collect_and_push", *arguments, env=env, cwd=elsewhere).check()
    assert parse_utc(json.loads(state.read_text())["until"]) == UNTIL


def test_the_window_is_read_from_the_checkpoint_after_locking_it(env: dict[str, str], tmp_path: Path) -> None:
    """Another run finished between the start of this run and its lock: its window must not be collected again."""
    state = tmp_path / "state.json"
    checkpoint = {"warehouse": "snowflake", "flow": "query_logs", "until": iso_utc(SINCE)}
    state.write_text(json.dumps(checkpoint))
    arguments = ["--manifest", str(tmp_path / "q.jsonl"), "--state", str(state), "--until", iso_utc(UNTIL)]
    code = LATE_LOCK.format(arguments=["collect", *arguments], state=str(state), until=iso_utc(UNTIL))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_environment(env | {"PYTHONPATH": f"{TEMPLATES / 'snowflake'}{os.pathsep}{FIXTURES}"}),
        capture_output=True,
        text=True,
        timeout=LONGEST_REFUSAL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 0


def test_state_and_manifest_are_different_files(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("q.jsonl")
    for kind in ("collect", "collect_and_push"):
        refused = run(kind, "--manifest", "q.jsonl", "--state", "link", *WINDOW, env=env, cwd=tmp_path).check(2)
        assert "--state" in refused.summary["error"]["message"]
    assert [each.name for each in tmp_path.iterdir()] == ["link"]
