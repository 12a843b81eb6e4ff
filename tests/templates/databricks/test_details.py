"""Tests what is asked about single tables: the last write, bytes and rows, in which order, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import pytest

from tests.templates.databricks.conftest import Scripts
from tests.warehouses.databricks.truth import Column, Commit, Relation, Warehouse

T0 = datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
TABLE = Relation(
    "main", "sales", "t", (Column("id", "int"),), T0, rows=7, size=3_000, history=(Commit(1, T0 + HOUR, "WRITE"),)
)
NOT_REACHED = "rows, bytes or last write not read: DATABRICKS_DETAIL_SECONDS is over"
UNREADABLE = "rows, bytes or last write not readable: table dropped during the run, or no SELECT on it"
TOO_SLOW = "rows, bytes or last write not read: the statement took too long"
NO_COMMAND = "command not supported for a table"
NO_ROWS = "row count unknown: no statistics (ANALYZE TABLE, or predictive optimization)"
NO_WRITE = "last write unknown: none in the table's history"
UNKNOWN = "last write unknown: a later operation in the table's history is not documented"
Modules = dict[str, ModuleType]


def warehouse(*relations: Relation) -> Warehouse:
    return Warehouse(["main"], relations=list(relations or [TABLE]))


def named(number: int, **more: Any) -> Relation:
    return replace(TABLE, name=f"t{number}", **more)


def facts(record: dict[str, Any]) -> list[Any]:
    return [record.get(key) for key in ("row_count", "byte_count", "last_update_time")]


KNOWN = [7, 3_000, "2026-05-04T04:02:01Z"]


# --- order and time ----------------------------------------------------------------------------------------


def test_the_newest_change_is_asked_about_first(scripts: Scripts) -> None:
    ages = {0: 5, 1: 1, 2: 9, 3: 3}  # hours since the last change
    scripts.load(warehouse(*(named(at, altered=T0 - age * HOUR) for at, age in ages.items())))
    scripts.collect(DATABRICKS_DETAIL_WORKERS="1")
    asked = [each for each in scripts.server.statements() if each.startswith("DESCRIBE HISTORY")]
    assert [each.split("`")[5] for each in asked] == ["t1", "t3", "t0", "t2"]


def test_without_time_nothing_is_asked_and_all_are_counted(scripts: Scripts) -> None:
    scripts.load(warehouse(*map(named, range(3)), replace(TABLE, name="v", kind="VIEW", definition="SELECT 1")))
    found = scripts.collect(DATABRICKS_DETAIL_SECONDS="0")
    assert found.skipped == {NOT_REACHED: 3}
    assert [facts(record) for record in found.records] == [[None] * 3] * 4
    assert [each for each in scripts.server.statements() if each.startswith("DESCRIBE")] == []


def test_what_is_not_reached_is_unknown_and_counted(scripts: Scripts) -> None:
    scripts.load(warehouse(*map(named, range(3))))
    scripts.server.fail("DESCRIBE HISTORY", "slow", seconds=30, after=1)
    found = scripts.collect(DATABRICKS_DETAIL_SECONDS="3", DATABRICKS_DETAIL_WORKERS="1")
    reached = [record for record in found.records if facts(record) == KNOWN]
    assert (len(reached), len(found.records)) == (3 - found.skipped[NOT_REACHED], 3)
    assert found.skipped[NOT_REACHED] >= 2


def test_many_tables_are_asked_about_in_sessions_of_their_own(scripts: Scripts) -> None:
    scripts.load(warehouse(*map(named, range(20))))
    found = scripts.collect(DATABRICKS_DETAIL_WORKERS="3")
    assert [facts(record) for record in found.records] == [KNOWN] * 20
    assert len(scripts.server.observed()["opened"]) <= 4


# --- what is not readable ----------------------------------------------------------------------------------


def test_a_table_that_was_dropped_meanwhile_is_counted(scripts: Scripts) -> None:
    scripts.load(warehouse(named(0), named(1)))
    scripts.server.drop("main", "sales", "t0")
    found = scripts.collect()
    assert [facts(record) for record in found.records] == [[None] * 3, KNOWN]
    assert found.skipped == {UNREADABLE: 1}
    assert found.examples[UNREADABLE].startswith("main.sales.t0: ")


def test_a_table_without_select_is_asked_about_once(scripts: Scripts) -> None:
    scripts.load(warehouse())
    scripts.server.fail("`t`", "denied")
    found = scripts.collect()
    assert (found.skipped, len(found.records)) == ({UNREADABLE: 1}, 1)
    assert len([each for each in scripts.server.statements() if "`t`" in each]) == 1


def test_a_slow_statement_is_counted_and_the_others_are_kept(scripts: Scripts) -> None:
    scripts.load(warehouse())
    scripts.server.fail("DESCRIBE DETAIL", "timeout")
    found = scripts.collect()
    assert (facts(found.records[0]), found.skipped) == ([7, None, KNOWN[2]], {TOO_SLOW: 1})


def test_a_table_whose_statistics_are_not_readable_keeps_its_last_write(scripts: Scripts) -> None:
    scripts.load(warehouse())
    scripts.server.fail("SHOW STATISTICS", "denied")
    found = scripts.collect()
    assert (facts(found.records[0]), found.skipped) == ([None, *KNOWN[1:]], {UNREADABLE: 1})


def test_a_lost_connection_ends_the_run(scripts: Scripts) -> None:
    scripts.load(warehouse())
    scripts.server.fail("DESCRIBE DETAIL", "connection gone")
    scripts.attempt().check(4)
    assert not (scripts.work / "metadata.jsonl").exists()


def test_a_command_that_the_warehouse_does_not_know_is_tried_once(scripts: Scripts) -> None:
    scripts.load(warehouse(*map(named, range(3))))
    message = "[PARSE_SYNTAX_ERROR] Syntax error at or near 'STATISTICS'. SQLSTATE: 42601"
    scripts.server.fail("SHOW STATISTICS", "error", message=message, state="42601")
    found = scripts.collect(DATABRICKS_DETAIL_WORKERS="1")
    assert found.skipped == {NO_COMMAND: 3}
    assert [facts(record) for record in found.records] == [[None, *KNOWN[1:]]] * 3
    assert sum("SHOW STATISTICS" in each for each in scripts.server.statements()) == 1


# --- the last write ----------------------------------------------------------------------------------------


def last(modules: Modules, *operations: str | None) -> tuple[int | None, str | None]:
    """The hour of the last write in a history with these operations, oldest first, and the unknown operation."""
    row = modules["history"].CommitRow
    commits = [row(at, T0 + at * HOUR, operation) for at, operation in enumerate(operations)]
    shuffled = commits[1::2] + commits[::2]
    write = modules["history"].last_write(shuffled)
    return (None if write.time is None else (write.time - T0) // HOUR), write.unknown


@pytest.mark.parametrize(
    "operation",
    [
        *("WRITE", "STREAMING UPDATE", "COPY INTO", "DELETE", "TRUNCATE", "MERGE", "UPDATE", "RESTORE", "CLONE"),
        *("CREATE TABLE AS SELECT", "CREATE OR REPLACE TABLE AS SELECT", "REPLACE TABLE", "CONVERT"),
    ],
)
def test_operations_that_change_data(modules: Modules, operation: str) -> None:
    assert last(modules, "CREATE TABLE", operation, "OPTIMIZE", "VACUUM START", "VACUUM END") == (1, None)


@pytest.mark.parametrize(
    "operation",
    [
        "CREATE TABLE",
        "OPTIMIZE",
        "REORG",
        "VACUUM END",
        "SET TBLPROPERTIES",
        "ADD COLUMNS",
        "CLUSTER BY",
        "COMPUTE STATS",
    ],
)
def test_operations_that_leave_data_as_they_are(modules: Modules, operation: str) -> None:
    assert last(modules, "WRITE", operation) == (0, None)
    assert last(modules, operation) == (None, None)


@pytest.mark.parametrize("operation", ["REFRESH OF TOMORROW", None])
def test_after_an_operation_that_is_not_documented_the_last_write_is_unknown(
    modules: Modules, operation: str | None
) -> None:
    assert last(modules, "WRITE", operation, "OPTIMIZE") == (None, str(operation))
    assert last(modules, operation, "WRITE") == (1, None)


def test_an_unknown_operation_is_counted(scripts: Scripts) -> None:
    scripts.load(warehouse(replace(TABLE, history=(*TABLE.history, Commit(2, T0 + 2 * HOUR, "NEW OPERATION")))))
    found = scripts.collect()
    assert facts(found.records[0]) == [*KNOWN[:2], None]
    assert (found.skipped, found.examples[UNKNOWN]) == ({UNKNOWN: 1}, "main.sales.t: NEW OPERATION")
    assert sum("DESCRIBE HISTORY" in each for each in scripts.server.statements()) == 1


def test_statistics_are_compared_with_an_unknown_operation_too(modules: Modules) -> None:
    row = modules["history"].CommitRow
    write = modules["history"].last_write([row(0, T0, "WRITE"), row(1, T0 + HOUR, "NEW OPERATION")])
    assert write.latest == T0 + HOUR


def test_a_write_before_many_other_commits_is_found(scripts: Scripts) -> None:
    optimized = tuple(Commit(at, T0 + at * HOUR, "OPTIMIZE") for at in range(2, 80))
    scripts.load(warehouse(replace(TABLE, history=(*TABLE.history, *optimized))))
    assert facts(scripts.collect().records[0]) == KNOWN


def test_a_table_that_was_never_written_has_no_time(scripts: Scripts) -> None:
    scripts.load(warehouse(replace(TABLE, history=(Commit(0, T0, "CREATE TABLE"),))))
    found = scripts.collect()
    assert (facts(found.records[0]), found.skipped) == ([7, 3_000, None], {NO_WRITE: 1})


# --- rows --------------------------------------------------------------------------------------------------

WRITTEN = T0 + HOUR


@pytest.mark.parametrize(
    ("statistics", "rows"),
    [
        ({"num_rows": 7}, 7),
        ({"num_rows": 0, "created_at": "2026-05-04T04:02:01Z"}, 0),
        ({"num_rows": 7, "created_at": "2026-05-04T04:01:00Z"}, 7),  # just before the commit: of the same write
        ({"num_rows": 7, "created_at": "2026-05-04T03:00:00Z"}, None),
        ({"num_rows": 7, "created_at": "yesterday"}, None),
        ({"num_rows": -1}, None),
        ({"num_rows": True}, None),
        ({"num_rows": "7"}, None),
        ({"size_in_bytes": 7}, None),
        ({}, None),
    ],
)
def test_rows_are_known_only_if_the_statistics_are_current(
    modules: Modules, statistics: dict[str, Any], rows: int | None
) -> None:
    found, reason = modules["row_counts"].current_rows(statistics, WRITTEN)
    assert (found, reason is None) == (rows, rows is not None)


@pytest.mark.parametrize("document", [None, "", "[]", "{", '{"statistics": null}', '{"statistics": 1}'])
def test_other_documents_have_no_statistics(modules: Modules, document: str | None) -> None:
    assert modules["row_counts"].statistics_of(document) == {}


def test_a_table_without_statistics_is_counted(scripts: Scripts) -> None:
    scripts.load(warehouse(replace(TABLE, rows=None)))
    found = scripts.collect()
    assert (facts(found.records[0]), found.skipped) == ([None, *KNOWN[1:]], {NO_ROWS: 1})
