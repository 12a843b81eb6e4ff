"""Processes that parse statements: where they import the library from, and how a signal ends a wait for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from mcpush.lineage.worker import Job, Ready, Settings, packed, receive
from mcpush.lineage.workers import Pool, start_worker
from mcpush.sql import Defaults

from tests.others_modules import OthersModules
from tests.script_process import SCRIPTS, clean_environment

READER = """
import mcpush.lineage.workers
from mcpush.lineage.query_log import LineageLog

with LineageLog("redshift", workers=2) as log:
    for number in range(20):
        log.add(f"INSERT INTO t{number} SELECT a FROM s{number}", session="1")
    print(len(list(log.targets())), mcpush.lineage.workers.__file__)
"""

WAITING = """
from mcpush.errors import Terminated
from mcpush.interrupts import handle_signals
from mcpush.lineage.query_log import LineageLog

handle_signals()
try:
    with LineageLog("snowflake", workers=1, time_limit=300.0) as log:
        log.add("SELECT 1")
        log.flush()
        log.add("SELECT " + "struct(" * 40 + "1" + ")" * 40)
        print("waiting", flush=True)
        log.flush()
except Terminated:
    print("ended in order")
"""


def test_workers_import_nothing_from_the_current_directory(tmp_path: Path) -> None:
    others = OthersModules(tmp_path)
    script = tmp_path / "reader.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(SCRIPTS)!r})\n{READER}")
    for environment in ({}, {"PYTHONPATH": ""}, {"PYTHONSAFEPATH": "1"}):
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            check=False,
            cwd=others.folder,
            env=clean_environment(environment),
        )
        assert done.stdout.split()[:1] == ["20"], done.stderr
        assert others.imported() == []


def test_a_worker_has_no_secrets_and_does_not_look_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"SOME_PASSWORD": "hidden 1", "MCD_INGEST_TOKEN": "hidden 2", "ANY_PROXY": "http://me:hidden-3@proxy"}
    for name, value in {**secrets, "PLAIN": "kept", "PYTHONPATH": os.pathsep.join(["", ".", str(tmp_path)])}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path), "relative", str(tmp_path / "absolute"), *sys.path])
    monkeypatch.chdir(tmp_path)
    with start_worker() as worker:
        process = psutil.Process(worker.pid)
        deadline = time.monotonic() + 60
        while not (environment := process.environ()):  # Linux shows an empty one while the program starts
            assert time.monotonic() < deadline
        arguments = process.cmdline()
    assert environment["PLAIN"] == "kept"
    assert environment.keys().isdisjoint(secrets)
    assert "hidden" not in str(environment)
    for places in (environment["PYTHONPATH"].split(os.pathsep), arguments[3:]):
        assert places[:3] == [str(SCRIPTS), str(tmp_path / "relative"), str(tmp_path / "absolute")]
        assert not {"", ".", str(tmp_path)} & set(places)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups")
def test_a_worker_survives_a_signal_to_the_process_group() -> None:
    with start_worker() as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(packed(Settings("snowflake", None, 300.0)))
        worker.stdin.flush()
        assert receive(worker.stdout) == Ready()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            worker.send_signal(number)
        worker.stdin.write(packed(Job(1, "INSERT INTO a SELECT b FROM c", Defaults(), None, truncated=False)))
        worker.stdin.flush()
        reply = receive(worker.stdout)
    assert isinstance(reply, tuple)
    assert [str(lineage.target) for lineage in reply[1].lineages] == ["A"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups")
def test_a_signal_to_the_process_group_ends_the_run_and_not_only_its_workers() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment({"PYTHONPATH": str(SCRIPTS)}),
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        os.killpg(process.pid, signal.SIGTERM)
        assert process.stdout.read() == "ended in order\n"


def test_a_large_job_behind_one_that_never_ends_does_not_delay_its_time_limit() -> None:
    """A pipe holds a few kilobytes, so the process that writes a job waits until the worker reads it."""
    endless = Job(1, "SELECT " + "struct(" * 40 + "1" + ")" * 40, Defaults(), None, truncated=False)
    large = Job(2, f"/* {'x' * 500_000} */ INSERT INTO a SELECT b FROM c", Defaults(), None, truncated=False)
    pool = Pool("snowflake", None, size=1, time_limit=4.0)
    try:
        pool.submit(endless)
        pool.submit(large)
        found = dict(pool.results(wait=True))
        while len(found) < 2:
            found |= dict(pool.results(wait=True))
    finally:
        pool.close()
    assert [skip.reason for skip in found[1].skips] == ["time limit exceeded"]
    assert [str(lineage.target) for lineage in found[2].lineages] == ["A"]


@pytest.mark.parametrize("folder", ["", "vendored"])
def test_workers_import_the_library_from_a_zip(folder: str, tmp_path: Path) -> None:
    archive = tmp_path / "library.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((SCRIPTS / "mcpush").rglob("*.py")):
            file.write(path, Path(folder) / path.relative_to(SCRIPTS))
    done = subprocess.run(
        [sys.executable, "-c", READER],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment({"PYTHONPATH": str(archive / folder)}),
    )
    assert done.returncode == 0, done.stderr
    count, library = done.stdout.split()
    assert count == "20"
    assert library == str(archive / folder / "mcpush/lineage/workers.py")


def test_a_worker_imports_only_what_parsing_needs() -> None:
    code = "import sys, mcpush.lineage.worker; print({'tqdm', 'psutil', 'filelock'} & sys.modules.keys())"
    environment = clean_environment({"PYTHONPATH": str(SCRIPTS)})
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "set()\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send SIGTERM to a process")
def test_a_signal_ends_the_wait_for_a_worker() -> None:
    environment = clean_environment({"PYTHONPATH": str(SCRIPTS)})
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        started = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        output = process.stdout.read()
    assert output == "ended in order\n"
    assert time.monotonic() - started < 60, "the statement's own limit is five minutes"
