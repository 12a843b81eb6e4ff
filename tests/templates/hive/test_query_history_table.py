"""Tests query logs from sys.query_history: a genuine HiveServer2 2.3 runs the statement on a table with its columns.

Hive fills this table itself only in 4.1 and later: the rows are a fixture.
"""

from __future__ import annotations

from pathlib import Path

from tests.collected import Collected
from tests.contract.statements import catalog_of
from tests.script_process import TEMPLATES, run_script
from tests.templates.hive.server_runs import ServerRuns, execute
from tests.warehouses.hive.launch import HiveServer

WINDOW = ("--since", "2026-03-02T10:00", "--until", "2026-03-03T10:00")
# query_id, text, user, state, failure, start, end, rows, session, database
ROWS = (
    ("q_1", "SELECT 1", "ana", "FINISHED", None, "2026-03-02 09:59:00.5", "2026-03-02 10:00:00", 3, "s_1", "sales"),
    ("q_2", "SELECT x", "bea", "ERROR", "no x", "2026-03-03 09:00:00", "2026-03-03 09:59:59.999", 0, "s_2", "mart"),
    (
        "before",
        "SELECT 2",
        "ana",
        "FINISHED",
        None,
        "2026-03-02 09:00:00",
        "2026-03-02 09:59:59.999",
        1,
        "s_1",
        "sales",
    ),
    ("after", "SELECT 3", "ana", "FINISHED", None, "2026-03-02 09:00:00", "2026-03-03 10:00:00", 1, "s_1", "sales"),
    ("empty", None, "ana", "CANCELED", None, "2026-03-02 11:00:00", "2026-03-02 12:00:00", -1, "s_1", "sales"),
)
FILLED = (
    *("query_id", "sql", "end_user", "query_state", "failure_reason", "start_time_utc", "end_time_utc"),
    *("num_rows_fetched", "session_id", "db_name"),
)


def literal(value: str | int | None) -> str:
    return "NULL" if value is None else repr(value)


def fill(server: HiveServer) -> None:
    columns = catalog_of(TEMPLATES / "hive")["views"]["sys.query_history"]["columns"]
    types = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    rows = [dict(zip(FILLED, row, strict=True)) for row in ROWS]
    values = ", ".join(f"({', '.join(literal(row.get(name)) for name in columns)})" for row in rows)
    execute(
        server,
        "CREATE DATABASE sys",
        f"CREATE TABLE sys.query_history ({types})",
        f"INSERT INTO sys.query_history VALUES {values}",
    )


def test_rows_of_the_window_become_records(hive: HiveServer, runs: ServerRuns, tmp_path: Path) -> None:
    fill(hive)
    command = ("--from-query-history", "--manifest", str(tmp_path / "q.jsonl"), *WINDOW)
    run = run_script(TEMPLATES / "hive", "collect_query_logs.py", *command, env=runs.environment).check()
    collected = Collected.read(tmp_path / "q.jsonl")
    assert collected.records == [
        {
            "query_id": "q_1",
            "start_time": "2026-03-02T09:59:00.500000Z",
            "end_time": "2026-03-02T10:00:00Z",
            "query_text": "SELECT 1",
            "user": "ana",
            "returned_rows": 3,
            "extra": {"session_id": "s_1", "database": "hive", "schema": "sales", "status": "FINISHED"},
        },
        {
            "query_id": "q_2",
            "start_time": "2026-03-03T09:00:00Z",
            "end_time": "2026-03-03T09:59:59.999000Z",
            "query_text": "SELECT x",
            "user": "bea",
            "returned_rows": 0,
            "error_code": "ERROR",
            "error_text": "no x",
            "extra": {"session_id": "s_2", "database": "hive", "schema": "mart", "status": "ERROR"},
        },
    ]
    assert run.summary["skipped"] == {"query without text": 1}


def test_a_server_without_the_table_is_refused(runs: ServerRuns, tmp_path: Path) -> None:
    command = ("--from-query-history", "--manifest", str(tmp_path / "q.jsonl"), *WINDOW)
    run = run_script(TEMPLATES / "hive", "collect_query_logs.py", *command, env=runs.environment).check(3)
    assert "hive.query.history.enabled=true" in run.summary["error"]["remedy"]
    assert "Table not found" in run.summary["error"]["message"]
    assert "TExecuteStatementResp" not in run.stderr  # the server's answer, with its stack trace
    assert not (tmp_path / "q.jsonl").exists()
