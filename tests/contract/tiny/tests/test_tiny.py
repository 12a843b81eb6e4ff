"""Tests behavior specific to Tiny: if the query history times out, it is read in shorter and shorter windows."""

from __future__ import annotations

from pathlib import Path

from tests.contract.world import world
from tests.script_process import copy_folder, run_script
from tests.warehouses.harness import harness

LENGTHS = [60, 30, 15, 10]  # minutes of each window; none is shorter than 10


def test_query_history_is_read_in_shorter_windows_if_it_times_out(tmp_path: Path) -> None:
    tiny = harness("tiny")
    model = world(tiny)
    folder = copy_folder("tiny", tmp_path / "my-push")
    window = ["--since", model.since.isoformat(), "--until", model.until.isoformat()]
    with tiny.start() as server:
        server.fill(model)
        server.fail("sys_query_history", "timeout")
        run_script(folder, "collect_query_logs.py", *window, env=server.environment(), cwd=tmp_path).check(4)
        assert sum("sys_query_history" in each for each in server.statements()) == len(LENGTHS)
    assert not (tmp_path / "query_logs.jsonl").exists()
