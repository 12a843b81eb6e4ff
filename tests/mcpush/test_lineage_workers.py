"""Processes that parse statements: where they import the library from, and how a signal ends a wait for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

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
