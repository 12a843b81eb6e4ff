"""Tests query logs: every query that ended in the window, once, with its text, user, error, schema and costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.script_process import Run
from tests.templates.databricks.system_tables import (
    HISTORY,
    LINEAGE,
    MINUTE,
    SINCE,
    UNTIL,
    Folder,
    asset,
    edge,
    iso,
    lineage,
    logged,
    query,
    window,
)
from tests.warehouses.databricks.launch import DatabricksServer

NO_TEXT = "query without text"
NO_SCHEMAS = "catalog and schema of queries not readable (system.access.table_lineage)"
REDACTED = "query text redacted by Databricks: the principal is not in the account group databricks_pii_access"
SPECIAL = (
    "SELECT 'it''s', \"q\", `x`, '\\\\n\\t' -- ünïcode \U0001f600 \u2028 {braces} %s :since ? \x7f\n"
    "/* \\u0000 */ , r'\\d'"
)
HOUR = timedelta(hours=1)
ORDERS, ITEMS = "main.shop.orders", "main.shop.items"


@pytest.fixture(scope="module")
def server() -> Iterator[DatabricksServer]:
    with DatabricksServer() as started:
        yield started


@pytest.fixture
def folder(server: DatabricksServer, tmp_path: Path) -> Folder:
    return Folder(server, tmp_path)


def fill(folder: Folder, *queries: dict[str, Any], edges: tuple[dict[str, Any], ...] = ()) -> None:
    folder.fill({HISTORY: list(queries), LINEAGE: list(edges)})


def ids(folder: Folder, *arguments: str) -> list[str]:
    return [record["query_id"] for record in folder.collect("query_logs", *arguments).records]


# --- records ----------------------------------------------------------------------------------------------


def test_every_column_is_collected_in_its_place(folder: Folder) -> None:
    same = {
        "workspace_id": "1234567890123456",
        "session_id": "01f0a7c1",
        "statement_type": "MERGE",
        "executed_as": "etl@example.com",
        "client_application": "Databricks SQL",
        "client_driver": "Databricks JDBC Driver",
        "total_duration_ms": 101,
        "waiting_for_compute_duration_ms": 102,
        "waiting_at_capacity_duration_ms": 103,
        "execution_duration_ms": 104,
        "compilation_duration_ms": 105,
        "total_task_duration_ms": 106,
        "result_fetch_duration_ms": 107,
        "read_files": 108,
        "read_rows": 109,
        "read_bytes": 110,
        "written_rows": 111,
        "written_bytes": 112,
        "spilled_local_bytes": 0,
        "from_result_cache": False,
    }
    source = {"job_info": {"job_id": "j1", "job_run_id": "r1"}, "notebook_id": "n1", "dashboard_id": "d1"}
    row = query(
        "01f0a7c2",
        SINCE + 7 * MINUTE,
        compute={"type": "WAREHOUSE", "cluster_id": "c1", "warehouse_id": "w1"},
        query_source=source,
        produced_rows=42,
        **same,
    )
    fill(folder, row)
    collected = folder.collect("query_logs")
    extra = {"compute_type": "WAREHOUSE", "cluster_id": "c1", "warehouse_id": "w1"}
    extra |= {"job_id": "j1", "job_run_id": "r1", "notebook_id": "n1", "dashboard_id": "d1"}
    assert collected.records == [logged(row, **same, **extra) | {"returned_rows": 42}]
    assert (collected.skipped, collected.header["log_type"]) == ({}, "databricks")


def test_unknown_values_are_left_out(folder: Folder) -> None:
    row = query("q1", SINCE, executed_by=None, execution_status=None, update_time=None)
    fill(folder, row)
    expected = logged(row)
    del expected["user"], expected["extra"]
    assert folder.collect("query_logs").records == [{**expected, "extra": {}}]


def test_failed_and_canceled_queries_have_their_status_and_message(folder: Folder) -> None:
    message = '[DIVIDE_BY_ZERO] Division by zero: it\'s "bad"\n SQLSTATE: 22012'
    failed = query("q1", SINCE, execution_status="FAILED", error_message=message)
    canceled = query("q2", SINCE + MINUTE, execution_status="CANCELED")
    finished = query("q3", SINCE + 2 * MINUTE, error_message="a message without an error")
    fill(folder, failed, canceled, finished)
    assert folder.collect("query_logs").records == [
        logged(failed) | {"error_code": "FAILED", "error_text": message},
        logged(canceled) | {"error_code": "CANCELED", "error_text": "CANCELED"},
        logged(finished),
    ]


def test_texts_are_sent_unchanged(folder: Folder) -> None:
    texts = (SPECIAL, f"SELECT '{'ä' * 499_000}'", " \nSELECT 1\n ")
    rows = [query(f"q{n}", SINCE + n * MINUTE, statement_text=text) for n, text in enumerate(texts)]
    fill(folder, *rows)
    collected = folder.collect("query_logs")
    assert collected.records == [logged(row) for row in rows]
    assert collected.skipped == {}
    collected = folder.collect("query_logs", "--max-query-text", "60")
    assert [len(record["query_text"]) >= 60 for record in collected.records] == [True, True, False]
    assert collected.skipped == {"query text truncated at 60 characters": 2}


# --- texts that are not readable --------------------------------------------------------------------------


def test_queries_without_a_text_are_counted(folder: Folder) -> None:
    """statement_text is empty with customer-managed keys."""
    rows = [query(f"q{n}", SINCE, statement_text=text) for n, text in enumerate((None, "", " \n", "SELECT 1"))]
    fill(folder, *rows)
    collected = folder.collect("query_logs")
    assert collected.records == [logged(rows[3])]
    assert collected.skipped == {NO_TEXT: 3}


def test_redacted_texts_are_not_sent_and_the_remedy_is_said(folder: Folder) -> None:
    texts = ("<REDACTED>", "<Redacted>", " <redacted>\n", "SELECT '<REDACTED>'")
    rows = [query(f"q{n}", SINCE, statement_text=text) for n, text in enumerate(texts)]
    fill(folder, *rows)
    run = folder.run("query_logs").check()
    assert folder.records("query_logs") == [logged(rows[3])]
    assert run.summary["skipped"] == {REDACTED: 3}
    assert "Add the principal to the account group databricks_pii_access" in run.stderr


def test_if_all_texts_are_redacted_the_run_is_refused_and_the_checkpoint_stays(folder: Folder) -> None:
    """Otherwise an hourly job would look healthy, and the queries of its windows would be lost."""
    fill(folder, query("q1", SINCE, statement_text="<REDACTED>"), query("q2", SINCE, statement_text=None))
    state = folder.work / "checkpoint"
    run = folder.run("query_logs", "--state", str(state)).check(3)
    assert "databricks_pii_access" in run.summary["error"]["remedy"]
    assert not state.exists()
    assert not list(folder.work.glob("query_logs.jsonl*"))


def test_the_list_refuses_and_counts_redacted_texts_too(folder: Folder) -> None:
    redacted = query("q1", SINCE, statement_text=" <REDACTED> ")
    fill(folder, redacted, query("q2", SINCE, statement_text=None))
    run = folder.run("query_logs", "--list").check(3)
    assert "databricks_pii_access" in run.stderr
    fill(folder, redacted, query("q2", SINCE))
    run = folder.run("query_logs", "--list").check()
    assert (len(run.stdout.splitlines()), f"{REDACTED} (1)" in run.stderr) == (1, True)


def test_filters_do_not_decide_whether_texts_are_redacted(folder: Folder) -> None:
    fill(folder, query("q1", SINCE, statement_text="<REDACTED>"), query("q2", SINCE))
    collected = folder.collect("query_logs", "--include", "nothing.*")
    assert (collected.records, collected.skipped[REDACTED]) == ([], 1)


# --- windows ----------------------------------------------------------------------------------------------


def test_a_query_belongs_to_the_window_in_which_it_ended(folder: Folder) -> None:
    """The window includes its start and excludes its end, in any time zone. Running queries belong to a later one."""
    tick = timedelta(microseconds=1)
    ends = {"before": SINCE - tick, "start": SINCE, "last": UNTIL - tick, "end": UNTIL}
    rows = [query(name, end) for name, end in ends.items()]
    rows.append(query("long", SINCE + MINUTE, start_time=SINCE - timedelta(days=2)))
    rows.append(query("running", SINCE) | {"end_time": None, "execution_status": None, "update_time": UNTIL - MINUTE})
    fill(folder, *rows)
    for zone in ("UTC", "Asia/Tokyo", "America/Los_Angeles"):
        collected = folder.collect("query_logs", TZ=zone).records
        assert collected == [logged(rows[1]), logged(rows[4]), logged(rows[2])]


def test_a_record_that_is_updated_late_belongs_to_the_window_of_the_update(folder: Folder) -> None:
    """While results are fetched. The run for the window in which the query ended could not see the record."""
    early = SINCE - 3 * HOUR
    rows = [
        query("soon", SINCE, update_time=SINCE + 2 * HOUR),  # the earlier run has seen it
        query("late", early, update_time=early + 2 * HOUR + MINUTE),
        query("later", SINCE + MINUTE, update_time=UNTIL + 2 * HOUR),
    ]
    fill(folder, *rows)
    earlier = window(early, SINCE)
    assert ids(folder, *earlier) == ["late"]
    assert ids(folder) == ["soon"]


def test_windows_neither_miss_nor_repeat_a_query(folder: Folder) -> None:
    """Whenever its record was updated. One of the queries has three records."""
    first = SINCE - 10 * HOUR
    delays = [timedelta(minutes=minutes) for minutes in (0, 1, 59, 119, 121, 300)] * 4
    rows = [
        query(f"q{n:02}", first + n * 17 * MINUTE, update_time=first + n * 17 * MINUTE + delay)
        for n, delay in enumerate(delays)
    ]
    rows += [{**rows[0], "update_time": first + n * MINUTE} for n in (20, 40)]
    fill(folder, *rows)
    bounds = [UNTIL - n * 190 * MINUTE for n in range(5)][::-1]
    found = [each for part in pairwise(bounds) for each in ids(folder, *window(*part))]
    assert sorted(found) == sorted({row["statement_id"] for row in rows})
    assert ids(folder, *window(bounds[0], UNTIL)) == found


def test_the_newest_record_of_a_query_is_sent(folder: Folder) -> None:
    old = query("q1", SINCE, update_time=SINCE, result_fetch_duration_ms=1)
    new = {**old, "update_time": SINCE + HOUR, "result_fetch_duration_ms": 60}
    fill(folder, old, new, query("q2", SINCE))
    records = folder.collect("query_logs").records
    assert records == [logged(old, result_fetch_duration_ms=60), logged(query("q2", SINCE))]


def test_a_window_ends_two_hours_ago(folder: Folder) -> None:
    """Records are typically available within one hour."""
    fill(folder, query("q1", SINCE))
    run = folder.run("query_logs", "--until", iso(UNTIL + 24 * HOUR)).check()
    assert "the system views lag by up to 2:00:00" in run.stderr


def test_a_slice_that_takes_too_long_is_halved(folder: Folder) -> None:
    rows = [query(f"q{n}", SINCE + n * 20 * MINUTE) for n in range(6)]
    fill(folder, *rows)
    folder.server.fail("h.statement_text AS text", "timeout", times=3)
    assert ids(folder) == [row["statement_id"] for row in rows]
    folder.server.restore()
    folder.server.fail("JOIN system.access.table_lineage", "timeout", times=2)
    assert ids(folder) == [row["statement_id"] for row in rows]
    folder.server.restore()
    folder.server.fail("h.statement_text AS text", "timeout")
    folder.run("query_logs").check(4)


# --- clients ----------------------------------------------------------------------------------------------


def test_without_pyarrow_the_records_are_the_same(folder: Folder) -> None:
    """Such a client gets times without a zone, in UTC as the session, and columns instead of Arrow."""
    row = query("q1", SINCE + timedelta(microseconds=1), from_result_cache=False, compute={"warehouse_id": "w1"})
    fill(folder, row, query("q2", UNTIL), edges=(edge(ITEMS, ORDERS, SINCE, statement_id="q1"),))
    (folder.work / "pyarrow.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    expected = logged(row, database="main", schema="shop", from_result_cache=False, warehouse_id="w1")
    for zone in ("UTC", "Asia/Tokyo"):
        changes = {"PYTHONPATH": str(folder.work), "TZ": zone}
        assert folder.collect("query_logs", **changes).records == [expected]
        assert folder.collect("lineage", **changes).records == [lineage(asset(ORDERS), asset(ITEMS))]


# --- catalog and schema -----------------------------------------------------------------------------------


def test_catalog_and_schema_are_those_of_all_tables_of_the_statement(folder: Folder) -> None:
    cases: dict[str, tuple[list[tuple[Any, Any]], dict[str, str]]] = {
        "read": ([(ORDERS, None)], {"database": "main", "schema": "shop"}),
        "written": ([(None, ORDERS), ("s3://lake/in", ORDERS)], {"database": "main", "schema": "shop"}),
        "both": ([(ITEMS, ORDERS), (ORDERS, None)], {"database": "main", "schema": "shop"}),
        "two schemas": ([(ITEMS, "main.mart.orders")], {"database": "main"}),
        "two catalogs": ([(ITEMS, ORDERS), ("raw.shop.x", None)], {}),
        "only paths": ([("s3://lake/in", "s3://lake/out")], {}),
        "none": ([], {}),
    }
    rows = [query(name, SINCE + n * MINUTE) for n, name in enumerate(cases)]
    edges = [edge(*pair, SINCE, statement_id=name) for name, (pairs, _) in cases.items() for pair in pairs]
    hidden = edge("raw.base.base_table", None, SINCE, statement_id="read", direct_access=False)
    fill(folder, *rows, edges=(*edges, hidden, edge("raw.a.b", "raw.a.c")))
    collected = folder.collect("query_logs")
    assert collected.records == [logged(row, **cases[row["statement_id"]][1]) for row in rows]
    assert collected.skipped == {}


def test_equal_ends_in_any_order_get_their_own_schema(folder: Folder) -> None:
    """The two results are merged by end and id, and some queries have no lineage."""
    rows = [query(f"{n % 10}-{n:03}", SINCE + (n // 7) * MINUTE + timedelta(microseconds=n // 3)) for n in range(100)]
    edges = [edge(f"main.s{n}.t", None, SINCE, statement_id=row["statement_id"]) for n, row in enumerate(rows) if n % 3]
    fill(folder, *rows, edges=tuple(edges))
    found = folder.collect("query_logs").records
    known = {row["statement_id"]: {"database": "main", "schema": f"s{n}"} for n, row in enumerate(rows) if n % 3}
    ordered = sorted(rows, key=lambda row: (row["end_time"], row["statement_id"]))
    assert found == [logged(row, **known.get(row["statement_id"], {})) for row in ordered]


@pytest.mark.parametrize("how", ["denied", "not enabled"])
def test_without_table_lineage_queries_have_no_schema(folder: Folder, how: str) -> None:
    """It is counted once, although the window has several slices."""
    row = query("q1", SINCE + 90 * MINUTE)
    fill(folder, row, edges=(edge(ORDERS, None, SINCE, statement_id="q1"),))
    if how == "denied":
        folder.server.deny(LINEAGE)
    else:
        folder.server.disable("system.access")
    collected = folder.collect("query_logs")
    assert (collected.records, collected.skipped) == ([logged(row)], {NO_SCHEMAS: 1})


def test_filters_apply_to_catalog_and_schema(folder: Folder) -> None:
    rows = [query(name, SINCE + n * MINUTE) for n, name in enumerate(("shop", "mart", "raw", "unknown"))]
    places = {"shop": ORDERS, "mart": "main.mart.orders", "raw": "raw.a.b"}
    fill(folder, *rows, edges=tuple(edge(each, None, SINCE, statement_id=name) for name, each in places.items()))
    assert ids(folder, "--include", "MAIN.*") == ["shop", "mart"]
    assert ids(folder, "--include", "main.shop.*") == ["shop"]
    assert ids(folder, "--exclude", "main.mart.*") == ["shop", "raw", "unknown"]
    run = folder.run("query_logs", "--include", "main.shop.orders").check()
    assert "warning: --include main.shop.orders matches no queries" in run.stderr


# --- lists ------------------------------------------------------------------------------------------------


def lines(run: Run) -> list[str]:
    return run.check().stdout.splitlines()


def test_the_list_has_hours_catalogs_and_numbers_of_queries(folder: Folder) -> None:
    """Of the queries that have a record."""
    rows = [query(f"q{n}", SINCE + n * 20 * MINUTE) for n in range(6)]
    more = [query("r1", SINCE, statement_text="<REDACTED>"), query("r2", SINCE, statement_text=" ")]
    edges = [edge(place, None, SINCE, statement_id=f"q{n}") for n, place in enumerate((ORDERS, ITEMS, "raw.a.b"))]
    fill(folder, *rows, *more, {**rows[5], "update_time": UNTIL}, edges=(*edges, edge(ORDERS, None, statement_id="r1")))
    first, second = iso(SINCE), iso(SINCE + HOUR)
    assert lines(folder.run("query_logs", "--list")) == [
        f"{first} main 2",
        f"{first} raw 1",
        f"{second} (no database) 3",
    ]
    assert lines(folder.run("query_logs", "--list", "--include", "main.shop.*")) == [f"{first} main 2"]
    assert lines(folder.run("query_logs", "--list", "--exclude", "main.*")) == [
        f"{first} raw 1",
        f"{second} (no database) 3",
    ]


def test_the_log_type_in_monte_carlo_is_an_option(folder: Folder) -> None:
    fill(folder, query("q1", SINCE))
    other = "databricks-metastore-sql-warehouse"
    assert folder.collect("query_logs", "--log-type", other).header["log_type"] == other


# --- what cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [(), ("--list",), ("--list", "--include", "main.*")])
def test_without_the_history_the_run_is_refused(folder: Folder, option: tuple[str, ...]) -> None:
    fill(folder, query("q1", SINCE))
    folder.server.deny(HISTORY)
    run = folder.run("query_logs", *option).check(3)
    assert "GRANT USE SCHEMA, SELECT ON SCHEMA system.query TO `<principal>`" in run.stderr
    assert not list(folder.work.glob("query_logs.jsonl*"))


def test_a_server_that_stops_midway_leaves_no_manifest(folder: Folder) -> None:
    rows = [query(f"q{n}", SINCE + n * MINUTE) for n in range(50)]
    fill(folder, *rows, edges=tuple(edge(ORDERS, None, statement_id=f"q{n}") for n in range(50)))
    for after in (1, 49, 75, 99):  # of the history, and of the schemas
        folder.server.cut_after(after)
        folder.run("query_logs").check(4)
        assert not list(folder.work.glob("query_logs.jsonl*"))
        folder.server.restore()
    assert len(ids(folder)) == 50
