"""Tests query logs: each query that ended in the window, exactly once, with its full text, user, error and costs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.collected import Record
from tests.script_process import run_script
from tests.templates.redshift.breaking import logged, logged_too
from tests.templates.redshift.conftest import Templates
from tests.warehouses.redshift.shop import DEV, LOADER, SYSTEM_USER_ID, Shop
from tests.warehouses.redshift.truth import SEGMENT_LENGTH, Query

NO_USER = "user unknown: not in sys_query_history or svv_user_info"
INCOMPLETE = "query text incomplete: rows are missing in sys_query_text"
OWN_ONLY = "other users' queries not visible: this user has no SYSLOG ACCESS UNRESTRICTED"


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def ended(shop: Shop) -> dict[str, Query]:
    return {str(q.query_id): q for q in shop.queries if q.is_over and q.user_id != SYSTEM_USER_ID}


def expected(query: Query) -> Record:
    record = {
        "query_id": str(query.query_id),
        "start_time": iso(query.start),
        "end_time": iso(query.end),
        "query_text": query.text,
        "user": query.user.name if query.user else None,
        "returned_rows": query.returned_rows,
        "error_code": query.status if query.error else None,
        "error_text": query.error,
    }
    return {name: value for name, value in record.items() if value is not None}


def check(records: list[Record], truth: dict[str, Query]) -> None:
    assert len(records) == len(truth)
    for record in records:
        query = truth[record["query_id"]]
        extra = record.pop("extra")
        assert record == expected(query)
        assert extra["database"] == query.database
        assert extra["elapsed_time_us"] == int(query.seconds * 1_000_000)
        assert extra["user_id"] == query.user_id
        assert extra["queue"] == "Default queue"


def test_every_finished_query_is_collected_completely(templates: Templates, shop: Shop) -> None:
    collected = templates.collect("query_logs")
    truth = ended(shop)
    assert any(query.status == "failed" for query in truth.values())
    assert any(query.status == "canceled" for query in truth.values())
    assert any("\n" in query.text for query in truth.values())
    check(collected.records, truth)
    assert collected.skipped == {NO_USER: 1}
    assert collected.header["log_type"] == "redshift"
    ends = [record["end_time"] for record in collected.records]
    assert ends == sorted(ends)


def test_collected_records_arrive_in_monte_carlo(templates: Templates, shop: Shop) -> None:
    templates.run("collect", "query_logs").check()
    run = templates.run("push", "query_logs").check()
    check(templates.received(run, "querylogs"), ended(shop))


def test_runs_with_a_checkpoint_neither_miss_nor_repeat_queries(templates: Templates, shop: Shop) -> None:
    """Three windows of one command that collects and pushes: together they deliver every query exactly once."""
    state = str(templates.work / "query_logs.state")
    cuts = [shop.now - timedelta(hours=hours) for hours in (4.9, 4, 1)]
    arrived: list[Record] = []
    for place, cut in enumerate(cuts):
        start = ("--since", iso(shop.now - timedelta(hours=20))) if place == 0 else ()
        run = templates.run("collect_and_push", "query_logs", "--state", state, *start, "--until", iso(cut)).check()
        arrived += templates.received(run, "querylogs")
    check(arrived, ended(shop))


def test_a_query_belongs_to_the_window_in_which_it_ended(templates: Templates, shop: Shop) -> None:
    canceled = next(query for query in shop.queries if query.status == "canceled")
    middle = canceled.start + timedelta(seconds=canceled.seconds / 2)
    before = templates.collect("query_logs", "--since", iso(canceled.start), "--until", iso(middle))
    after = templates.collect("query_logs", "--since", iso(middle), "--until", iso(canceled.end + timedelta(seconds=1)))
    assert str(canceled.query_id) not in [record["query_id"] for record in before.records]
    assert str(canceled.query_id) in [record["query_id"] for record in after.records]


def test_a_role_that_sees_only_its_own_queries_gets_a_message(templates: Templates, shop: Shop) -> None:
    collected = templates.collect("query_logs", user="monitor")
    own = {key: query for key, query in ended(shop).items() if query.user and query.user.name == "monitor"}
    check(collected.records, own)
    assert collected.skipped == {OWN_ONLY: 1}


def test_unrestricted_access_to_the_log_shows_all_users(templates: Templates, shop: Shop) -> None:
    collected = templates.collect("query_logs", user="auditor")
    check(collected.records, ended(shop))
    assert OWN_ONLY not in collected.skipped


def test_a_long_text_is_truncated_only_on_request_and_counted(templates: Templates) -> None:
    collected = templates.collect("query_logs", "--max-query-text", "30")
    cut = [record for record in collected.records if record["query_text"].endswith("/* truncated at 30 characters */")]
    assert len(cut) == collected.skipped["query text truncated at 30 characters"] > 3
    assert all(len(record["query_text"].split("\n/* truncated")[0]) == 30 for record in cut)


def test_a_text_that_exists_only_in_the_history_can_be_truncated(templates: Templates, shop: Shop) -> None:
    at = shop.now - timedelta(hours=2)
    for text, is_whole in (("SELECT 1" + "0" * 3992, False), ("SELECT 1" + "0" * 3900, True)):
        with logged(templates.server, text, at, "SELECT", has_text=False):
            collected = templates.collect("query_logs")
        (record,) = [each for each in collected.records if each["query_id"] == "77"]
        mark = "" if is_whole else "\n/* incomplete in sys_query_text */"
        assert record["query_text"] == text + mark
        assert collected.skipped.get(INCOMPLETE, 0) == (not is_whole)


@pytest.mark.parametrize("letter", "eé日")
def test_spaces_between_two_text_segments_are_kept(templates: Templates, shop: Shop, letter: str) -> None:
    """The last of three spaces is the last character of a text segment, with one-byte and multi-byte letters."""
    start, end = f"SELECT '{letter}', ", " FROM sales.orders   "
    text = f"{start}'{'x' * (SEGMENT_LENGTH - len(start) - len(end) - 2)}'{end}WHERE amount > 1"
    assert (text[SEGMENT_LENGTH - 1], text[SEGMENT_LENGTH]) == (" ", "W")
    query = Query(78, LOADER, DEV, "SELECT", text, shop.now - timedelta(hours=2))
    with logged_too(templates.server, query):
        collected = templates.collect("query_logs")
    (record,) = [each for each in collected.records if each["query_id"] == "78"]
    assert record["query_text"] == text


def test_a_query_that_ran_for_hours_has_its_full_text(templates: Templates, shop: Shop) -> None:
    """Its text has the time of its start. For a query that ran for days, the text is from the history and reported as
    incomplete.
    """
    for days, is_whole in ((0.9, True), (2, False)):
        text = f"SELECT '{'x' * SEGMENT_LENGTH}' AS wide"
        start = shop.now - timedelta(days=days, hours=2)
        with logged_too(templates.server, Query(79, LOADER, DEV, "SELECT", text, start, seconds=days * 24 * 60 * 60)):
            collected = templates.collect("query_logs", "--lookback-hours", "4")
        (record,) = [each for each in collected.records if each["query_id"] == "79"]
        assert (record["query_text"] == text) is is_whole
        assert collected.skipped.get(INCOMPLETE, 0) == (not is_whole)


def test_a_missing_user_name_is_read_from_the_directory(templates: Templates, shop: Shop) -> None:
    query = Query(80, LOADER, DEV, "SELECT", "SELECT 80", shop.now - timedelta(hours=2), extra={"username": None})
    with logged_too(templates.server, query):
        collected = templates.collect("query_logs")
    (record,) = [each for each in collected.records if each["query_id"] == "80"]
    assert record["user"] == LOADER.name
    assert collected.skipped == {NO_USER: 1}


def test_a_failed_query_has_an_error_even_without_a_message(templates: Templates, shop: Shop) -> None:
    at = shop.now - timedelta(hours=2)
    queries = [Query(n, LOADER, DEV, "SELECT", "SELECT 1", at, status=s) for n, s in ((81, "failed"), (82, "canceled"))]
    with logged_too(templates.server, *queries):
        collected = templates.collect("query_logs")
    found = {each["query_id"]: (each["error_code"], each["error_text"]) for each in collected.records[-2:]}
    assert found == {"81": ("failed", "failed"), "82": ("canceled", "canceled")}


def test_a_window_ends_before_the_latency_of_the_views(templates: Templates) -> None:
    """The window ends ten minutes ago, regardless of the requested end."""
    latency, second = timedelta(minutes=10), timedelta(seconds=1)
    before = datetime.now(timezone.utc)
    run = templates.run("collect", "query_logs", "--until", (before + timedelta(days=1)).isoformat()).check()
    end = datetime.fromisoformat(run.summary["window"]["end"].replace("Z", "+00:00"))
    assert before - latency - second <= end <= datetime.now(timezone.utc) - latency


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_time_zone_of_a_user_does_not_move_the_window(templates: Templates, zone: str) -> None:
    """GETDATE() returns the time of the session, whose time zone ALTER USER can change."""
    templates.server.run(f"ALTER ROLE admin SET timezone TO '{zone}'")
    try:
        before = datetime.now(timezone.utc) - timedelta(minutes=10, seconds=1)
        run = templates.run("collect", "query_logs").check()
    finally:
        templates.server.run("ALTER ROLE admin RESET timezone")
    end = datetime.fromisoformat(run.summary["window"]["end"].replace("Z", "+00:00"))
    assert before <= end <= datetime.now(timezone.utc) - timedelta(minutes=10)
    assert "the clock of this machine" not in run.stderr


def test_filters_select_databases_by_their_part_of_a_pattern(templates: Templates, shop: Shop) -> None:
    names = {query.database for query in ended(shop).values()}
    for arguments, expected in (
        (("--include", "*lytics.*"), {"analytics"}),
        (("--exclude", "analytics"), names - {"analytics"}),
    ):
        run = templates.run("collect", "query_logs", *arguments).check()
        listed = templates.run("collect", "query_logs", "--list", *arguments).check().stdout.splitlines()
        assert {line.rpartition(" ")[0] for line in listed} == expected
        assert run.summary["records"] == sum(query.database in expected for query in ended(shop).values())


def test_list_counts_by_database(templates: Templates, shop: Shop) -> None:
    run = templates.run("collect", "query_logs", "--include", "analytics.*", "--list").check()
    count = sum(query.database == "analytics" for query in ended(shop).values())
    assert run.stdout.splitlines() == [f"analytics {count}"]


def test_filters_narrower_than_a_database_give_a_warning(templates: Templates) -> None:
    whole = templates.run("collect", "query_logs", "--exclude", "dev.*", "--include", "*").check()
    assert "warning" not in whole.stderr
    narrow = templates.run("collect", "query_logs", "--include", "dev.sales.*", "--exclude", "dev.hr.*").check()
    assert "--include dev.sales.* selects whole databases" in narrow.stderr
    assert "--exclude dev.hr.* excludes no queries" in narrow.stderr
    assert narrow.summary["records"] > 0


def test_an_empty_window_is_a_success_that_sends_nothing(templates: Templates) -> None:
    future = (datetime.now(timezone.utc) - timedelta(days=5)).date().isoformat()
    window = ("--since", f"{future}T00:00:00Z", "--until", f"{future}T01:00:00Z")
    run = run_script(
        templates.folder,
        "collect_and_push_query_logs.py",
        "--manifest",
        str(templates.manifest("query_logs")),
        *window,
        env=templates.environment(),
    ).check()
    assert run.summary["records"] == 0
    # a superuser without SYSLOG ACCESS sees all queries, so nothing is reported even if there are none
    assert run.summary["skipped"] == {}
    assert run.summary["invocation_ids"] == []
