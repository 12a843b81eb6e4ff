"""Commands whose output is lost, because stdout is a full disk, do not exit with 0. A closed pipe is not an error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mcpush.test_collect_and_push import FIXTURES
from tests.mcpush.test_control_characters import messages
from tests.mcpush.test_delivery import METADATA, table, write
from tests.sandbox_process import SandboxProcess
from tests.script_process import LONGEST_RUN_SECONDS, SCRIPTS, TEMPLATES, clean_environment

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")

TIMES = ("--since", "2026-01-31", "--until", "2026-01-31T00:02")


def run(
    command: Sequence[str | Path], env: dict[str, str], cwd: Path, is_pipe: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command whose stdout is a full disk, or a pipe that nobody reads."""
    if is_pipe:
        reading, stdout = os.pipe()
        os.close(reading)
    else:
        stdout = os.open(FULL, os.O_WRONLY)
    try:
        return subprocess.run(
            [sys.executable, *map(str, command)],
            env=clean_environment(env | {"PYTHONPATH": str(TEMPLATES / "snowflake")}),
            cwd=cwd,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LONGEST_RUN_SECONDS,
            check=False,
        )
    finally:
        os.close(stdout)


@pytest.mark.parametrize("script", ["collect", "push", "collect_and_push"])
def test_a_summary_that_cannot_be_printed_is_an_error(
    quiet_sandbox: SandboxProcess, tmp_path: Path, script: str
) -> None:
    command: list[str | Path]
    if script == "push":
        write(tmp_path / "m.jsonl", "metadata", [table("one")])
        command = [TEMPLATES / "snowflake/push_metadata.py", "--manifest", "m.jsonl"]
    else:
        command = [FIXTURES / "one_query_a_minute.py", script, "--manifest", "q.jsonl", *TIMES]
    done = run(command, quiet_sandbox.env, tmp_path)
    assert done.returncode == 2, done.stderr
    assert messages(done.stderr)[-2:] == [
        "error: Cannot print the summary: No space left on device",
        "  what to do: Check the free disk space.",
    ]
    assert run(command, quiet_sandbox.env, tmp_path, is_pipe=True).returncode == 0
    if script == "push":
        assert quiet_sandbox.requests(METADATA).answers == [202]  # it was accepted; nothing is sent again


def test_the_exit_code_of_a_failed_run_stays(tmp_path: Path) -> None:
    command: list[str | Path] = [
        FIXTURES / "one_query_a_minute.py",
        "collect_and_push",
        "--manifest",
        "q.jsonl",
        *TIMES,
    ]
    unreachable = {
        "MCD_INGEST_ID": "id",
        "MCD_INGEST_TOKEN": "t0ken",
        "MCD_RESOURCE_UUID": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "MCD_API_ENDPOINT": "http://127.0.0.1:9/graphql",
    }
    done = run([*command, "--max-retry-seconds", "0.1"], unreachable, tmp_path)
    assert done.returncode == 4, done.stderr
    assert "Cannot print the summary" in done.stderr


@pytest.mark.parametrize("minutes", [2, 900], ids=["few names", "more names than a buffer holds"])
def test_a_list_that_cannot_be_printed_is_an_error(tmp_path: Path, minutes: int) -> None:
    times = ("--since", "2026-01-30", "--until", f"2026-01-30T{minutes // 60:02}:{minutes % 60:02}")
    command: list[str | Path] = [
        FIXTURES / "one_query_a_minute.py",
        "collect",
        "--list",
        "--manifest",
        "q.jsonl",
        *times,
    ]
    done = run(command, {}, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "error: Cannot print the list: No space left on device" in messages(done.stderr)
    assert run(command, {}, tmp_path, is_pipe=True).returncode == 1


def test_new_push_reports_that_its_output_is_lost(tmp_path: Path) -> None:
    command: list[str | Path] = [SCRIPTS / "new_push.py", "redshift", "my-push"]
    done = run(command, {}, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Cannot print the outcome: No space left on device\n")
    assert done.stderr.count("\n") == 2
    assert (tmp_path / "my-push/mcpush/version.py").is_file()
    assert run(command, {}, tmp_path).returncode == 2  # the folder is not empty


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "JSON"])
def test_sql_lineage_reports_that_its_output_is_lost(tmp_path: Path, json: list[str]) -> None:
    (tmp_path / "a.sql").write_text("INSERT INTO a SELECT x FROM b;" * 3)
    command: list[str | Path] = [SCRIPTS / "sql_lineage.py", "--dialect", "hive", *json, "a.sql"]
    done = run(command, {}, tmp_path)
    assert (done.returncode, done.stderr) == (2, "sql_lineage.py: [Errno 28] No space left on device\n")
    done = run(command, {}, tmp_path, is_pipe=True)
    assert (done.returncode, done.stderr) == (2, "")


def test_the_sandbox_does_not_start_if_it_cannot_print_its_address(tmp_path: Path) -> None:
    done = run([SCRIPTS / "sandbox", "--port", "0", "--data", tmp_path], {}, tmp_path)
    assert done.returncode == 2
    assert done.stderr == ("sandbox: cannot start: cannot print its address: [Errno 28] No space left on device\n")
