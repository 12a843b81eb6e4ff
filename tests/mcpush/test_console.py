"""Log lines on stderr: with timestamps in a log, without them on a terminal, and without secrets from any source."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from datetime import datetime, timedelta, timezone

import pytest
from mcpush.summary import CollectSummary, ErrorSummary, PushSummary, Summary

from tests.script_process import LONGEST_RUN_SECONDS, TEMPLATES, clean_environment

TIMED_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z (.*)")

# A script that runs the given work.
SCRIPT = """
import logging, sys, time
import requests, urllib3
from mcpush.console import Progress, log
from mcpush.program import run

def work(summary):
    {work}
    return 0

sys.exit(run("collect_metadata.py", work))
"""
ENVIRONMENT = {
    "PYTHONPATH": str(TEMPLATES / "snowflake"),
    "TZ": "America/New_York",
    "WAREHOUSE_PASSWORD": "s3cret-of-the-test",
}


def run_code(code: str, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(ENVIRONMENT),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )


def run_work(work: str, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return run_code(SCRIPT.format(work=work), stderr)


def test_lines_in_a_log_begin_with_the_utc_time() -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    done = run_work('log.info("collected %d records", 3); log.error("  what to do: %s", "nothing")')
    found = [TIMED_LINE.fullmatch(line) for line in done.stderr.splitlines()]
    assert [line and line[2] for line in found] == ["collected 3 records", "  what to do: nothing"]
    times = [datetime.fromisoformat(line[1] + "+00:00") for line in found if line]
    assert all(before <= time <= datetime.now(timezone.utc) for time in times)


def test_log_lines_and_tracebacks_of_drivers_are_masked() -> None:
    done = run_work("""
    driver = logging.getLogger("driver.of.a.warehouse")
    driver.info("is not shown")
    try:
        raise OSError("refused: s3cret-of-the-test")
    except OSError:
        driver.warning("sign-in of %s", {"password": "s3cret-of-the-test"}, exc_info=True)
    """)
    lines = done.stderr.splitlines()
    assert TIMED_LINE.fullmatch(lines[0])[2] == "sign-in of {'password': '***'}"  # type: ignore[index]
    assert lines[1] == "  | Traceback (most recent call last):"
    assert lines[-1] == "  | OSError: refused: ***"
    assert "s3cret" not in done.stderr
    assert "is not shown" not in done.stderr


@pytest.mark.parametrize("name", ["a.library", ""])
def test_log_handlers_of_libraries_write_no_secrets(name: str) -> None:
    """pycarlo has a handler in each module, enabled by MCD_VERBOSE_ERRORS; others add one to the root logger."""
    done = run_code(f"""
import logging, sys
library = logging.getLogger({name!r})
library.addHandler(logging.StreamHandler())
library.setLevel(logging.DEBUG)
from mcpush.program import run
sys.exit(run("push_metadata.py", lambda summary: library.debug("with s3cret-of-the-test") or 0))
""")
    [line] = done.stderr.splitlines()
    assert TIMED_LINE.fullmatch(line)[2] == "with ***"  # type: ignore[index]


def test_a_line_that_cannot_be_formatted_loses_only_its_values() -> None:
    done = run_work('logging.getLogger("driver").warning("%d of s3cret-of-the-test", "x"); log.info("goes on")')
    assert done.returncode == 0
    assert [line[2] for line in map(TIMED_LINE.fullmatch, done.stderr.splitlines()) if line] == [
        "%d of ***",
        "goes on",
    ]
    assert "Traceback" not in done.stderr


def on_a_terminal(work: str) -> str:
    """Run the work with an 80-column terminal as stderr. Returns what the terminal received."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    chunks: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                chunks.append(chunk)
        except OSError:
            pass  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    done = run_work(work, stderr=theirs)
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "complete"
    return b"".join(chunks).decode()


def test_on_a_terminal_lines_have_no_times_and_do_not_overlap_the_progress_bar() -> None:
    output = on_a_terminal("""
    log.info("first")
    with Progress("pushing", 10) as progress:
        for number in range(10):
            progress.advance()
            logging.getLogger("driver").warning("line %d", number)
            time.sleep(0.02)
    log.info("last")
    """)
    lines = output.replace("\r\n", "\n").split("\n")
    visible = [line.rpartition("\r")[2] for line in lines]  # text before a carriage return is overwritten
    assert visible[0] == "first"
    assert [line for line in visible if line.startswith("line")] == [f"line {number}" for number in range(10)]
    assert visible[-2:] == ["last", ""]
    assert "10/10" in output


@pytest.mark.parametrize("reader", ["goes away", "was never there"])
def test_the_work_is_done_even_if_nobody_reads_stderr(reader: str) -> None:
    work = 'for number in range(1000): log.info("line %d", number)'
    command = {"goes away": '"$0" -c "$1" 2> >(exec 0<&-)', "was never there": '"$0" -c "$1" 2>&-'}[reader]
    done = subprocess.run(
        ["/bin/bash", "-c", command, sys.executable, SCRIPT.format(work=work)],
        env=clean_environment(ENVIRONMENT),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "complete"


def test_the_summary_has_keys_only_for_the_steps_that_ran() -> None:
    summary = Summary("collect_and_push_metadata", "0.1.0", status="failed", exit_code=4, seconds=1.5)
    ends = {"status": "failed", "exit_code": 4, "seconds": 1.5}
    begins = {"command": "collect_and_push_metadata", "version": "0.1.0"}
    assert summary.to_json() == {**begins, **ends}
    summary.error = ErrorSummary("gone", "Try again.")
    summary.collected = CollectSummary("m.jsonl", None, {"no grant": 1}, {})
    collected = {"manifest": "m.jsonl", "window": None, "skipped": {"no grant": 1}, "skipped_examples": {}}
    error = {"error": {"message": "gone", "remedy": "Try again."}}
    assert list(summary.to_json().items()) == list({**begins, **collected, **error, **ends}.items())
    summary.resumed = PushSummary(
        "m.jsonl", "there", False, 3, 3, 0, 0, [], 0, {}, {}, 1, 99, ["id-1"], "m.result.json"
    )
    assert summary.to_json()["invocation_ids"] == ["id-1"]
    summary.pushed = PushSummary(
        "m.jsonl", "there", False, 5, 5, 0, 0, [], 0, {}, {}, 1, 99, ["id-1", "id-2"], "m.result.json"
    )
    found = summary.to_json()
    assert (found["records"], found["invocation_ids"], found["resumed"]["records"]) == (5, ["id-1", "id-2"], 3)
