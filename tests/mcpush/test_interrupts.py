"""Signals at the moments when one could lose accepted batches. Each is sent at a fixed point, not by chance."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from mcpush.manifest import Header, Writer, verify
from mcpush.pending import Accepted, journal_path, read_journal
from mcpush.push.journal import Journal

from tests.mcpush.test_delivery import (
    METADATA,
    SNOWFLAKE,
    arrived_names,
    has_journaled,
    journal_lines,
    push,
    table,
    write,
)
from tests.sandbox_process import SandboxProcess
from tests.script_process import LONGEST_RUN_SECONDS, TEMPLATES, clean_environment, wait_until

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

# Pushes three batches to a gateway that records what it accepts, and sends a signal at a chosen moment.
PUSH = """
import os, signal, sys, threading, time
from pathlib import Path
from mcpush.push import delivery
from mcpush.push.pusher import Pusher, RetriableError
from mcpush.push.run import run_push

def send_signal():
    os.kill(os.getpid(), signal.{name})

def send(service, resource_uuid, resource_type, events):
    time.sleep(0.3)
    with Path("accepted").open("a") as file:
        print(events[0], file=file)
    return dict(invocation_id=str(events[0]))

def send_one_and_signal(service, resource_uuid, resource_type, events):
    if Path("accepted").exists():
        send_signal()
        raise RetriableError("busy", 60)
    return send_now(service, resource_uuid, resource_type, events)

send_now, start_thread, write_result = send, threading.Thread.start, delivery.write_result

def start_and_signal(thread):
    start_thread(thread)
    if thread.name.startswith("ThreadPoolExecutor"):
        send_signal()

def signal_and_write(*arguments):
    send_signal()
    return write_result(*arguments)

{moment}
pusher = Pusher("metadata", 1, "A fixture.", lambda record: record.name, send)
sys.exit(run_push(pusher, ["--manifest", "m.jsonl", "--workers", "2"]))
"""
KEY = {
    "MCD_INGEST_ID": "id",
    "MCD_INGEST_TOKEN": "token",
    "MCD_RESOURCE_UUID": "00000000-0000-0000-0000-000000000001",
}


def run_code(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the code in a separate process, because a signal affects the whole process."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean_environment(KEY | {"PYTHONPATH": str(TEMPLATES / "snowflake")}),
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )


def manifest(folder: Path) -> Path:
    path = folder / "m.jsonl"
    with Writer(path, Header("metadata", "snowflake", "snowflake", NOON, None)) as writer:
        for number in range(3):
            writer.write({"type": "TABLE", "database": "D", "schema": "S", "name": str(number)})
        writer.finish({}, {})
    return path


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("moment", "accepted"),
    [
        ("threading.Thread.start = start_and_signal", 1),  # the pool starts a thread for the first batch
        ("send = send_one_and_signal", 1),  # two batches wait a minute for their retry
        ("delivery.write_result = signal_and_write", 3),  # everything is sent, the result is being written
    ],
    ids=["a thread starts", "batches wait for their retry", "the result is written"],
)
def test_accepted_batches_are_in_journal_result_and_summary(
    tmp_path: Path, moment: str, accepted: int, name: str
) -> None:
    path = manifest(tmp_path)
    started = time.monotonic()
    done = run_code(PUSH.format(moment=moment, name=name), tmp_path)
    assert done.returncode == 130, done.stderr
    assert time.monotonic() - started < 45, "a wait did not end"
    sent = sorted((tmp_path / "accepted").read_text().split())
    assert len(sent) == accepted
    result = json.loads(path.with_name("m.jsonl.result.json").read_text())
    assert sorted(batch["invocation_id"] for batch in result["accepted"]) == sent
    assert sorted(json.loads(done.stdout)["invocation_ids"]) == sent
    lines = [json.loads(line) for line in journal_path(path).read_text().splitlines()]
    assert sorted(line["invocation_id"] for line in lines[1:]) == sent
    assert "Traceback" not in done.stderr


# Ways in which a driver can handle a signal during its call, in a script that does nothing else.
DRIVER = """
import os, signal, sys, threading, time
from mcpush import interrupts
from mcpush.interrupts import interruptible, stopping
from mcpush.program import run

interrupts.MAX_SHUTDOWN_SECONDS = {ending}

def call():
    started = time.monotonic()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    except BaseException:
        {caught}
    finally:
        print("call took", round(time.monotonic() - started), file=sys.stderr)

def work(summary):
    {work}
    print("work went on", file=sys.stderr)
    return 0

sys.exit(run("collect_metadata.py", work))
"""


def test_an_interruptible_call_ends_at_once(tmp_path: Path) -> None:
    for caught in ("raise", "pass", 'raise OSError("of the driver") from None'):
        work = "with interruptible(): call()"
        done = run_code(DRIVER.format(ending=75, caught=caught, work=work), tmp_path)
        assert done.returncode == 130, done.stderr
        assert "call took 0" in done.stderr
        assert "work went on" not in done.stderr, caught
        assert "Traceback" not in done.stderr


def test_no_call_starts_after_a_signal(tmp_path: Path) -> None:
    work = """
    os.kill(os.getpid(), signal.SIGTERM)
    with interruptible():
        print("call began", file=sys.stderr)
    """
    done = run_code(DRIVER.format(ending=75, caught="raise", work=work.strip()), tmp_path)
    assert done.returncode == 130, done.stderr
    assert "call began" not in done.stderr


def test_a_call_in_another_thread_is_not_interrupted_and_a_wait_ends(tmp_path: Path) -> None:
    work = """
    def wait():
        with interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            print("asked to stop:", stopping.wait(30), file=sys.stderr)
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    """
    done = run_code(DRIVER.format(ending=75, caught="raise", work=work.strip()), tmp_path)
    assert done.returncode == 130, done.stderr
    assert "asked to stop: True" in done.stderr
    assert "work went on" in done.stderr, "only driver calls in the main thread are interrupted"


def test_the_stop_is_announced_before_the_end(tmp_path: Path) -> None:
    done = run_code(DRIVER.format(ending=75, caught="raise", work="with interruptible(): call()"), tmp_path)
    lines = [line.partition("Z ")[2] for line in done.stderr.splitlines() if not line.startswith("call took")]
    assert lines == [
        "stopping: waiting for requests in progress",
        "interrupted. Accepted records stay accepted: run the same command again to send the rest.",
    ]


def test_work_that_does_not_stop_is_terminated(tmp_path: Path) -> None:
    done = run_code(DRIVER.format(ending=0.5, caught="raise", work="call()"), tmp_path)
    assert done.returncode == 130, done.stderr
    assert "still running after 0.5 s: exiting now" in done.stderr
    assert "call took" not in done.stderr


def test_a_hanging_run_is_terminated_even_if_nobody_reads_stderr(tmp_path: Path) -> None:
    """A log line then blocks forever, and so does the thread that writes it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * select.PIPE_BUF)
    os.set_blocking(writing, True)
    code = DRIVER.format(ending=0.5, caught="raise", work="with interruptible(): call()")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment({"PYTHONPATH": str(TEMPLATES / "snowflake")}),
        stderr=writing,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )
    os.close(reading)
    os.close(writing)
    assert done.returncode == 130


def test_a_signal_stops_the_reading_of_a_manifest(tmp_path: Path) -> None:
    """Reading a manifest of several gigabytes takes minutes."""
    path = manifest(tmp_path)
    work = f"""
    from pathlib import Path
    from mcpush.manifest import verify
    os.kill(os.getpid(), signal.SIGTERM)
    verify(Path({str(path)!r}))
    """
    done = run_code(DRIVER.format(ending=75, caught="raise", work=work.strip()), tmp_path)
    assert done.returncode == 130, done.stderr
    assert "work went on" not in done.stderr


# A collector that ends early after a signal, as one does whose threads check the event.
COLLECT = """
import os, signal, sys
from contextlib import nullcontext
from mcpush.collect.collector import Collector, run_collect
from mcpush.interrupts import stopping
from mcpush.records import TableRecord

def collect(connection, options):
    yield TableRecord("TABLE", None, "D", "S", "T")
    os.kill(os.getpid(), signal.SIGTERM)
    stopping.wait(30)

collector = Collector(
    "metadata", "snowflake", "snowflake", nullcontext, collect, lambda connection, options: iter(()),
    lambda error: None, "A fixture.",
)
sys.exit(run_collect(collector, ["--manifest", "m.jsonl"]))
"""


def test_a_manifest_that_a_signal_might_have_truncated_is_not_finished(tmp_path: Path) -> None:
    done = run_code(COLLECT, tmp_path)
    assert done.returncode == 130, done.stderr
    assert "records" not in json.loads(done.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("existing", [b"", b'{"journal": 1, "dig'])
def test_a_journal_with_an_incomplete_first_line_is_replaced(tmp_path: Path, existing: bytes) -> None:
    path = manifest(tmp_path)
    journal_path(path).write_bytes(existing)
    with Journal(verify(path), "here", read_journal(journal_path(path))) as journal:
        journal.accept(Accepted(0, 3, "id", "2026-03-01T12:00:00Z"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.jsonl", "m.jsonl.journal"]
    assert len(journal_path(path).read_text().splitlines()) == 2


# --- closed terminals -------------------------------------------------------------------------------------

# Starts a command in a new session with this terminal, as a terminal emulator does.
IN_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
for number in range(3):
    os.dup2(terminal, number)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_a_push_in_a_closed_terminal_keeps_its_journal_and_the_next_one_sends_the_rest(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    """The terminal also takes stdout and stderr with it."""
    names = [f"T{number}" for number in range(500)]
    write(manifest_path, "metadata", [table(name) for name in names])
    quiet_sandbox.fault(METADATA, calls=list(range(4, 11)), delay=0.7)
    emulator, terminal = os.openpty()
    script = [str(SNOWFLAKE / "push_metadata.py"), "--manifest", str(manifest_path), "--workers", "1"]
    command = [sys.executable, "-c", IN_TERMINAL, os.ttyname(terminal), *script]
    with subprocess.Popen(command, env=clean_environment(quiet_sandbox.env)) as process:
        wait_until(has_journaled(manifest_path, 3))
        os.close(terminal)
        os.close(emulator)
        assert process.wait(LONGEST_RUN_SECONDS) == 130
    before = journal_lines(manifest_path)[1:]
    assert 3 <= len(before) < 10, "the run was not interrupted midway"
    assert quiet_sandbox.requests(METADATA).answers.count(202) == len(before)
    quiet_sandbox.clear_faults()
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert sorted(arrived_names(quiet_sandbox, run.summary["invocation_ids"])) == sorted(names)
    assert quiet_sandbox.requests(METADATA).answers.count(202) == 10


def test_with_nohup_a_push_goes_on(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(500)])
    quiet_sandbox.fault(METADATA, calls=[4], delay=1.0)
    script = [str(SNOWFLAKE / "push_metadata.py"), "--manifest", str(manifest_path), "--workers", "1"]
    command = ["nohup", sys.executable, *script]
    with subprocess.Popen(
        command, env=clean_environment(quiet_sandbox.env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_until(has_journaled(manifest_path, 3))
        process.send_signal(signal.SIGHUP)
        stdout, _ = process.communicate(timeout=LONGEST_RUN_SECONDS)
    assert (process.returncode, json.loads(stdout)["records_accepted"]) == (0, 500)
    assert len(journal_lines(manifest_path)) == 1 + 10


# --- native code ------------------------------------------------------------------------------------------


def test_a_call_of_native_code_is_terminated(tmp_path: Path) -> None:
    """Python runs its signal handler only after the call. Some drivers wait for a statement in such a call."""
    call = "__import__('hashlib').pbkdf2_hmac('sha256', b'', b'', 2**25)"
    work = f"""
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM]).start()
    with interruptible():
        {call}
    """
    done = run_code(DRIVER.format(ending=0.5, caught="raise", work=work.strip()), tmp_path)
    assert done.returncode == 130, done.stderr
    assert "stopping: waiting" in done.stderr
    assert "still running after 0.5 s: exiting now" in done.stderr


def test_other_signals_stop_nothing(tmp_path: Path) -> None:
    """A library can handle its own signals."""
    work = """
    signal.signal(signal.SIGUSR1, lambda *_: print("handled", file=sys.stderr))
    os.kill(os.getpid(), signal.SIGUSR1)
    print("asked to stop:", stopping.wait(0.5), file=sys.stderr)
    """
    done = run_code(DRIVER.format(ending=75, caught="raise", work=work.strip()), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "handled" in done.stderr
    assert "asked to stop: False" in done.stderr


def test_a_stop_is_noticed_although_a_library_takes_the_wakeup_descriptor(tmp_path: Path) -> None:
    """An event loop of asyncio does."""
    work = """
    signal.set_wakeup_fd(-1)
    os.kill(os.getpid(), signal.SIGTERM)
    print("asked to stop:", stopping.wait(30), file=sys.stderr)
    """
    done = run_code(DRIVER.format(ending=75, caught="raise", work=work.strip()), tmp_path)
    assert done.returncode == 130, done.stderr
    assert "asked to stop: True" in done.stderr
