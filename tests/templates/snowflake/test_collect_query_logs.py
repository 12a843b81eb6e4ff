"""Tests query logs: each query that ended in the window, exactly once, with its error and its costs."""

from __future__ import annotations

import json
import signal
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.collected import Record
from tests.script_process import started_script, wait_for
from tests.templates.snowflake.conftest import Templates, connected
from tests.templates.snowflake.facts import add_query
from tests.warehouses.snowflake import scale
from tests.warehouses.snowflake.faults import Fault
from tests.warehouses.snowflake.launch import embedded_snowflake
from tests.warehouses.snowflake.shop_model import LoggedQuery, Shop

LIMIT = 100_000
MEGABYTES = 2**20
NO_TEXT = "query without text"
CUT = f"query text truncated at {LIMIT} characters"


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def ended(shop: Shop, since: datetime, until: datetime) -> list[LoggedQuery]:
    return [query for query in shop.queries if query.end is not None and since <= query.end < until and query.text]


def expected(query: LoggedQuery) -> Record:
    assert query.end is not None
    text = query.text if len(query.text) < LIMIT else f"{query.text[:LIMIT]}\n/* truncated at {LIMIT} characters */"
    record = {
        "query_id": query.query_id,
        "start_time": iso(query.start),
        "end_time": iso(query.end),
        "query_text": text,
        "user": query.user,
        "returned_rows": query.rows_returned,
        "error_code": None if query.error_code is None else str(query.error_code),
        "error_text": query.error_message,
    }
    return {name: value for name, value in record.items() if value is not None}


def window(shop: Shop, hours_ago: float) -> datetime:
    return shop.now - timedelta(hours=hours_ago)


def test_every_query_that_ended_in_the_window_is_collected_completely(shop_templates: Templates, shop: Shop) -> None:
    since, until = window(shop, 24), window(shop, 1)
    collected = shop_templates.collect("query_logs", "--since", iso(since), "--until", iso(until))
    truth = {query.query_id: query for query in ended(shop, since, until)}
    assert len(truth) > 1_000
    assert {record["query_id"] for record in collected.records} == truth.keys()
    for record in collected.records:
        query = truth[record["query_id"]]
        extra = record.pop("extra")
        assert record == expected(query)
        wanted = {
            "warehouse": query.warehouse,
            "role": query.role,
            "query_type": query.kind,
            "query_tag": query.query_tag or None,
            "bytes_scanned": query.bytes_scanned,
            "database": query.database,
            "execution_status": "fail" if query.error_code else "success",
        }
        assert {name: extra.get(name) for name in wanted} == wanted
        assert extra["session_id"] > 0
    ends = [record["end_time"] for record in collected.records]
    assert ends == sorted(ends)
    assert any("error_code" in record for record in collected.records)
    assert collected.header["log_type"] == "snowflake"
    assert collected.header["window"] == {"start": iso(since), "end": iso(until)}


def test_truncated_and_missing_texts_are_counted(shop_templates: Templates, shop: Shop) -> None:
    since, until = window(shop, 24), window(shop, 1)
    collected = shop_templates.collect("query_logs", "--since", iso(since), "--until", iso(until))
    in_window = [query for query in shop.queries if query.end is not None and since <= query.end < until]
    cut = [query.query_id for query in in_window if query.text and len(query.text) >= LIMIT]
    without = [query.query_id for query in in_window if not query.text]
    assert cut
    assert collected.skipped == {CUT: len(cut)} | ({NO_TEXT: len(without)} if without else {})
    assert collected.trailer["skipped_examples"][CUT] in cut


def test_a_shorter_limit_truncates_more_texts(shop_templates: Templates) -> None:
    collected = shop_templates.collect("query_logs", "--max-query-text", "20")
    texts = [record["query_text"] for record in collected.records]
    cut = [text for text in texts if text.endswith("\n/* truncated at 20 characters */")]
    assert cut
    assert all(len(text.partition("\n/* truncated")[0]) == 20 for text in cut)
    assert all(len(text) <= 20 for text in texts if text not in cut)
    assert collected.skipped["query text truncated at 20 characters"] == len(cut)


def test_two_runs_with_a_checkpoint_neither_miss_nor_repeat_queries(shop_templates: Templates, shop: Shop) -> None:
    state = shop_templates.work / "state.json"
    # The boundary is the end time of a query, at which another query was running.
    since, until = window(shop, 20), window(shop, 2)
    between = [q for q in ended(shop, window(shop, 12), window(shop, 8)) if q.end is not None]
    boundary = next(
        q.end for q in between if q.end and any(r.start < q.end and r.end and r.end > q.end for r in between)
    )
    first = shop_templates.collect("query_logs", "--state", str(state), "--since", iso(since), "--until", iso(boundary))
    assert json.loads(state.read_text())["until"] == iso(boundary)
    shop_templates.manifest("query_logs").unlink()  # it has been moved to the folder from which it is pushed
    second = shop_templates.collect("query_logs", "--state", str(state), "--until", iso(until))
    assert second.header["window"]["start"] == iso(boundary)
    ids = [record["query_id"] for collected in (first, second) for record in collected.records]
    assert Counter(ids) == Counter(query.query_id for query in ended(shop, since, until))
    assert first.records
    assert second.records[0]["end_time"] == iso(boundary)
    assert any(record["start_time"] < iso(boundary) for record in second.records), "one was running at the boundary"


def test_filters_that_name_tables_give_a_warning(templates: Templates) -> None:
    whole = templates.run("query_logs", "--include", "*", "--include", "RAW.*.*", "--exclude", "RAW.HR.*").check()
    assert "warning" not in whole.stderr
    narrow = templates.run("query_logs", "--list", "--include", "RAW.CRM.O*", "--exclude", "RAW.HR.SALARIES").check()
    assert "--include RAW.CRM.O* matches no queries" in narrow.stderr
    assert "--exclude RAW.HR.SALARIES excludes no queries" in narrow.stderr


def test_filters_apply_to_the_database_and_schema_of_the_session(shop_templates: Templates, shop: Shop) -> None:
    since, until = window(shop, 24), window(shop, 1)
    span = ("--since", iso(since), "--until", iso(until))
    collected = shop_templates.collect("query_logs", *span, "--include", "RAW.*", "--exclude", "*.CRM")
    truth = [q for q in ended(shop, since, until) if q.database == "RAW" and q.schema != "CRM"]
    assert truth
    assert {record["query_id"] for record in collected.records} == {query.query_id for query in truth}


def test_a_glob_for_all_tables_of_a_schema_selects_its_queries(shop_templates: Templates, shop: Shop) -> None:
    since, until = window(shop, 24), window(shop, 1)
    span = ("--since", iso(since), "--until", iso(until))
    collected = shop_templates.collect("query_logs", *span, "--include", "RAW.CRM.*")
    truth = [q for q in ended(shop, since, until) if (q.database, q.schema) == ("RAW", "CRM")]
    assert truth
    assert {record["query_id"] for record in collected.records} == {query.query_id for query in truth}


def test_list_counts_the_queries_that_a_run_collects(shop_templates: Templates, shop: Shop) -> None:
    span = ("--since", iso(window(shop, 24)), "--until", iso(window(shop, 1)), "--include", "ANALYTICS.*")
    listed = shop_templates.run("query_logs", "--list", *span).check()
    assert shop_templates.leftovers() == []
    counts: Counter[str] = Counter()
    for line in listed.stdout.splitlines():
        hour, database, number = line.split()
        assert database == "ANALYTICS"
        counts[hour] += int(number)
    collected = shop_templates.collect("query_logs", *span)
    missing = collected.skipped.get(NO_TEXT, 0)
    hours = Counter(record["end_time"][:13] + ":00:00Z" for record in collected.records)
    assert hours
    assert sum(counts.values()) == sum(hours.values()) + missing
    assert counts.keys() >= hours.keys()


def test_a_redacted_text_is_sent_and_counted(templates: Templates) -> None:
    now = datetime.now(timezone.utc)
    add_query(templates, "q1", "<redacted>", now - timedelta(hours=2))
    collected = templates.collect("query_logs")
    assert [record["query_text"] for record in collected.records] == ["<redacted>"]
    assert collected.skipped == {"query text redacted by Snowflake": 1}


def test_a_query_that_runs_for_days_is_collected_when_it_ends(templates: Templates) -> None:
    end = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=2)
    add_query(templates, "long", "SELECT 1", end, seconds=6 * 86_400)
    assert [record["query_id"] for record in templates.collect("query_logs").records] == ["long"]


def test_an_account_without_queries_is_a_success(templates: Templates) -> None:
    assert templates.collect("query_logs").records == []


def test_a_role_that_cannot_read_the_history_gets_a_message(templates: Templates) -> None:
    templates.server.deny("SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY")
    try:
        run = templates.run("query_logs").check(3)
    finally:
        templates.server.deny()
    assert "README.md" in run.summary["error"]["remedy"]
    assert templates.leftovers() == []


@pytest.mark.parametrize(
    "fault",
    [Fault("abort", at="chunk", after=1), Fault("status", at="chunk", after=1, status=503), Fault("abort", after=0)],
)
def test_a_broken_connection_leaves_no_partial_files(templates: Templates, fault: Fault) -> None:
    scale.many_queries(templates.server, datetime.now(timezone.utc) - timedelta(hours=1), rows=60_000)
    templates.server.break_with(fault)
    assert_unavailable(templates)


def test_a_stopped_server_leaves_no_partial_files(template_folder: Path, tmp_path: Path) -> None:
    with embedded_snowflake() as server:
        scale.many_queries(server, datetime.now(timezone.utc) - timedelta(hours=1), rows=60_000)
        server.break_with(Fault("exit", at="chunk"))
        assert_unavailable(connected(server, template_folder, tmp_path))


def assert_unavailable(templates: Templates) -> None:
    state = str(templates.work / "state.json")
    run = templates.run("query_logs", "--state", state, "--lookback-hours", "30").check(4)
    assert run.summary["status"] == "failed"
    assert run.summary["error"]["remedy"]
    assert templates.leftovers() == []


def test_sigterm_ends_a_run_like_an_interrupt(templates: Templates) -> None:
    """At any point of the run. The run has too much data to finish before the signal."""
    scale.many_queries(templates.server, datetime.now(timezone.utc) - timedelta(hours=1), rows=400_000)
    command = ("--manifest", str(templates.manifest("query_logs")), "--lookback-hours", "30")
    with started_script(templates.folder, "collect_query_logs.py", *command, env=templates.environment) as process:
        assert process.stderr is not None
        assert "connecting" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        run = wait_for(process).check(130)
    assert run.summary["status"] == "interrupted"
    assert templates.leftovers() == []


@pytest.mark.scale
@pytest.mark.parametrize("many", [200_000, pytest.param(1_000_000, marks=pytest.mark.stress)])
def test_many_queries_need_no_more_memory_than_ten_thousand(many: int, templates: Templates) -> None:
    end = datetime.now(timezone.utc) - timedelta(hours=1)
    scale.many_queries(templates.server, end, rows=10_000)
    little = templates.peak_memory("query_logs", "--lookback-hours", "30")
    assert sum(1 for _ in templates.manifest("query_logs").open("rb")) == 10_000 + 2
    templates.server.reset()
    scale.many_queries(templates.server, end, rows=many)
    much = templates.peak_memory("query_logs", "--lookback-hours", "30")
    numbers = bytearray(many)
    with templates.manifest("query_logs").open("rb") as lines:
        for line in lines:
            if line.startswith(b'{"query_id":"query-'):
                numbers[int(line[19 : line.index(b'"', 19)])] += 1
    assert numbers == b"\x01" * many, "each query once"
    assert much - little < 64 * MEGABYTES
