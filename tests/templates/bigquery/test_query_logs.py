"""Tests query logs: every query that ended in the window, once, with its text, user, error, labels and costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.collected import Collected, Record
from tests.templates.bigquery.running import Folder, iso, query_job, reference, window
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.truth import Dataset, Job, Warehouse

SHOP, LAB = "mc-shop-prod", "mc-lab-dev"
NOW = datetime.now(timezone.utc).replace(microsecond=0)
UNTIL = NOW.replace(minute=0, second=0) - timedelta(hours=3)
SINCE = UNTIL - timedelta(hours=2)
WINDOW = window(SINCE, UNTIL)
MINUTE = timedelta(minutes=1)

SCRIPT = "script: its statements are collected instead"
MAINTENANCE = "maintenance job of BigQuery"
NO_TEXT = "query without text"
UNREADABLE = "database or project missing, dropped during the run, or not accessible"
NO_REGION = "no region is known: no dataset is visible (set BIGQUERY_REGIONS to read the jobs of projects without any)"
ADMINBOT = "bigquery-adminbot@system.gserviceaccount.com"
SPECIAL = (
    "SELECT 'it''s', \"q\", `x`, '\\\\n\\t' -- ünïcode \U0001f600 \u2028 {braces} %s @since \x7f\n"
    "/* \\u0000 */ , r'\\d'"
)


@pytest.fixture
def folder(bigquery_server: BigQueryServer, tmp_path: Path) -> Iterator[Folder]:
    yield Folder("bigquery", tmp_path, bigquery_server, (SHOP, LAB))
    bigquery_server.restore()


def fill(folder: Folder, *jobs: Job, datasets: list[Dataset] | None = None) -> None:
    """Two projects: the shop has datasets in the EU and in europe-west3, the lab has none."""
    regions = ("EU", "europe-west3")
    found = [Dataset(SHOP, f"in_{region[:2].lower()}_{n}", region, NOW) for n, region in enumerate(regions)]
    folder.server.load(
        Warehouse(projects=list(folder.projects), datasets=found if datasets is None else datasets, jobs=list(jobs))
    )


def logs(folder: Folder, *arguments: str) -> Collected:
    return folder.collect("query_logs", *WINDOW, *arguments)


def ids(collected: Collected) -> list[str]:
    return [record["query_id"] for record in collected.records]


def plain(job: Job, **extra: Any) -> Record:
    """The expected record of a job with only the columns of ``query_job``."""
    row = job.row
    return {
        "query_id": row["job_id"],
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        "query_text": row["query"],
        "user": row["user_email"],
        "extra": {
            "database": row["project_id"],
            "location": job.region,
            "job_type": "QUERY",
            "statement_type": row["statement_type"],
            **extra,
        },
    }


# --- records ----------------------------------------------------------------------------------------------


def test_every_column_is_collected_in_its_place(folder: Folder) -> None:
    columns = {
        "statement_type": "MERGE",
        "priority": "BATCH",
        "cache_hit": False,
        "total_bytes_processed": 101,
        "total_bytes_billed": 102,
        "total_slot_ms": 103,
        "reservation_id": "admin-project:EU.nightly",
        "edition": "ENTERPRISE",
        "transaction_id": "transaction-1",
        "parent_job_id": "script_1",
        "session_info": {"session_id": "session-1"},
        "labels": [{"key": "team", "value": "finance"}, {"key": "dbt_invocation_id", "value": ""}],
        "dml_statistics": {"inserted_row_count": 104, "deleted_row_count": 105, "updated_row_count": 0},
        "query_info": {"query_hashes": {"normalized_literals": "a1b2"}},
        "destination_table": reference(f"{SHOP}.in_eu_0.orders"),
        "referenced_tables": [reference(f"{SHOP}.in_eu_0.items")],
    }
    job = query_job(SHOP, "EU", "merge_1", SINCE + 7 * MINUTE, **columns)
    fill(folder, job)
    collected = logs(folder)
    extra = {
        "priority": "BATCH",
        "cache_hit": False,
        "total_bytes_processed": 101,
        "total_bytes_billed": 102,
        "total_slot_ms": 103,
        "reservation_id": "admin-project:EU.nightly",
        "edition": "ENTERPRISE",
        "transaction_id": "transaction-1",
        "parent_job_id": "script_1",
        "session_id": "session-1",
        "labels": {"team": "finance", "dbt_invocation_id": ""},
        "rows_inserted": 104,
        "rows_updated": 0,
        "rows_deleted": 105,
        "query_hash": "a1b2",
    }
    assert collected.records == [plain(job, **extra)]
    assert (collected.skipped, collected.header["log_type"]) == ({}, "bigquery")


def test_unknown_values_are_left_out(folder: Folder) -> None:
    job = query_job(SHOP, "EU", "select_1", SINCE, user_email=None, statement_type=None)
    fill(folder, job)
    (record,) = logs(folder).records
    expected = plain(job)
    del expected["user"], expected["extra"]["statement_type"]
    assert record == expected


def test_a_failed_query_has_its_reason_and_message(folder: Folder) -> None:
    error = {"reason": "resourcesExceeded", "location": "query", "debug_info": "inner", "message": 'not "enough"\n:'}
    job = query_job(SHOP, "EU", "failed_1", SINCE, error_result=error)
    fill(folder, job)
    expected = plain(job) | {"error_code": "resourcesExceeded", "error_text": 'not "enough"\n:'}
    assert logs(folder).records == [expected]


def test_texts_are_sent_unchanged(folder: Folder) -> None:
    longest = f"SELECT '{'ä' * 499_000}'"  # a statement has at most 1 MB
    jobs = [
        query_job(SHOP, "EU", f"text_{n}", SINCE + n * MINUTE, query=text)
        for n, text in enumerate((SPECIAL, longest, " \nSELECT 1\n "))
    ]
    fill(folder, *jobs)
    collected = logs(folder)
    assert collected.records == [plain(job) for job in jobs]
    assert collected.skipped == {}


def test_long_texts_are_truncated_only_with_the_option(folder: Folder) -> None:
    fill(folder, query_job(SHOP, "EU", "long_1", SINCE, query="SELECT 12345"))
    assert logs(folder, "--max-query-text", "12").records[0]["query_text"] == "SELECT 12345"
    collected = logs(folder, "--max-query-text", "11")
    assert collected.records[0]["query_text"].startswith("SELECT 1234")
    assert collected.skipped == {"query text truncated at 11 characters": 1}


def test_the_same_id_in_two_projects_is_two_queries(folder: Folder) -> None:
    jobs = [query_job(project, "EU", "same", SINCE + MINUTE) for project in (SHOP, LAB)]
    fill(folder, *jobs)
    assert logs(folder).records == [plain(job) for job in jobs]


def test_records_are_ordered_by_place_and_then_by_end(folder: Folder) -> None:
    """Jobs with the same end are in the order of their ids."""
    places = [(project, region) for project in (SHOP, LAB) for region in ("EU", "europe-west3")]
    ends = (SINCE + MINUTE, SINCE + 2 * MINUTE)
    names = [f"{place}_{minute}_{n}" for place in range(len(places)) for minute in range(2) for n in range(6)]
    fill(
        folder,
        *(
            query_job(*places[int(place)], name, ends[int(minute)])
            for name in names
            for place, minute, _ in [name.split("_")]
        ),
    )
    assert ids(logs(folder)) == names


# --- jobs without a record ---------------------------------------------------------------------------------


def test_jobs_without_a_record_are_counted(folder: Folder) -> None:
    def job(number: int, **columns: Any) -> Job:
        return query_job(SHOP, "EU", f"job_{number}", SINCE + number * MINUTE, **columns)

    child = job(2, parent_job_id="job_1")
    fill(
        folder,
        job(1, statement_type="SCRIPT", cache_hit=None),
        child,
        job(3, job_type=None, query=None),
        job(4, user_email=ADMINBOT, query="CALL BQ.OPTIMIZE_STORAGE('t')"),
        job(5, statement_type="EXPORT_METADATA", query="EXPORT TABLE METADATA FROM t"),
        job(6, query=None, user_email=None),
        job(7, query=" \n"),
        query_job(SHOP, "EU", "materialized_view_refresh_8", SINCE + 8 * MINUTE, user_email="admin@example.com"),
    )
    collected = logs(folder)
    assert collected.records == [plain(child, parent_job_id="job_1")]
    assert collected.skipped == {SCRIPT: 1, MAINTENANCE: 4, NO_TEXT: 2}
    assert collected.examples == {
        SCRIPT: f"{SHOP} EU job_1",
        MAINTENANCE: f"{SHOP} EU job_3",
        NO_TEXT: f"{SHOP} EU job_6",
    }


def test_jobs_without_sql_and_the_jobs_of_these_scripts_are_left_out(folder: Folder) -> None:
    others = [
        query_job(SHOP, "EU", f"job_{kind}", SINCE, job_type=kind, query=None, statement_type=None)
        for kind in ("LOAD", "COPY", "EXTRACT")
    ]
    labels = [{"key": "team", "value": "x"}, {"key": "push-ingestion", "value": "0-1-0"}]
    own = query_job(SHOP, "EU", "own", SINCE, labels=labels)
    similar = query_job(SHOP, "EU", "similar", SINCE, labels=[{"key": "tool", "value": "push-ingestion"}])
    fill(folder, *others, own, similar)
    collected = logs(folder)
    assert ids(collected) == ["similar"]
    assert collected.skipped == {}


# --- windows ----------------------------------------------------------------------------------------------


def test_a_query_belongs_to_the_window_in_which_it_ended(folder: Folder) -> None:
    tick = timedelta(microseconds=1)
    ends = {"before": SINCE - tick, "first": SINCE, "last": UNTIL - tick, "after": UNTIL}
    fill(folder, *(query_job(SHOP, "EU", name, end) for name, end in ends.items()))
    assert ids(logs(folder)) == ["first", "last"]


def test_a_query_that_runs_across_two_windows_is_collected_once_it_has_ended(folder: Folder) -> None:
    """With --state, an hourly job neither misses nor repeats it."""
    state = ("--state", str(folder.work / "checkpoint"))
    long = query_job(SHOP, "EU", "long", UNTIL - MINUTE, start_time=SINCE + MINUTE, creation_time=SINCE)
    running = replace(long, row={**long.row, "state": "RUNNING", "end_time": None})
    quick = query_job(SHOP, "EU", "quick", SINCE + 3 * MINUTE)
    middle = SINCE + timedelta(hours=1)
    fill(folder, running, quick)
    first = folder.collect("query_logs", *state, *window(SINCE, middle))
    (folder.work / "query_logs.jsonl").unlink()
    fill(folder, long, quick)
    second = folder.collect("query_logs", *state, "--until", iso(UNTIL))
    assert (ids(first), ids(second)) == (["quick"], ["long"])
    assert second.records[0]["start_time"] == iso(SINCE + MINUTE)


def test_a_job_can_be_created_a_day_before_the_window(folder: Folder) -> None:
    day = timedelta(days=1)
    jobs = {"a_day": SINCE - day, "longer": SINCE - day - timedelta(seconds=1)}
    fill(folder, *(query_job(SHOP, "EU", name, SINCE, creation_time=created) for name, created in jobs.items()))
    assert ids(logs(folder)) == ["a_day"]


# --- slices and errors -------------------------------------------------------------------------------------


def bounds(folder: Folder, project: str, region: str) -> list[tuple[str, str]]:
    """The values of @since and @until in the statements that read JOBS of a place."""
    place = f"`{project}`.`region-{region.lower()}`"
    found = []
    for request in folder.server.requests():
        query = ((request["body"] or {}).get("configuration") or {}).get("query") or {}
        if f"{place}.INFORMATION_SCHEMA.JOBS" in query.get("query", ""):
            values = {each["name"]: each["parameterValue"].get("value") for each in query["queryParameters"]}
            found.append((values["since"][:19], values["until"][:19]))
    return found


def spelled(*times: datetime) -> tuple[str, ...]:
    return tuple(time.strftime("%Y-%m-%d %H:%M:%S") for time in times)


def test_a_slice_that_is_too_large_is_halved(folder: Folder) -> None:
    jobs = [query_job(SHOP, "EU", f"job_{n}", SINCE + n * 20 * MINUTE) for n in range(6)]
    fill(folder, *jobs)
    folder.server.fail("`region-eu`.INFORMATION_SCHEMA.JOBS", "error", reason="resourcesExceeded", times=1)
    assert logs(folder).records == [plain(job) for job in jobs]
    middle = SINCE + timedelta(hours=1)
    assert bounds(folder, SHOP, "EU") == [spelled(SINCE, UNTIL), spelled(SINCE, middle), spelled(middle, UNTIL)]


def test_a_statement_that_is_always_too_large_ends_the_run(folder: Folder) -> None:
    fill(folder, query_job(SHOP, "EU", "job_1", SINCE))
    folder.server.fail("INFORMATION_SCHEMA.JOBS", "error", reason="resourcesExceeded")
    run = folder.run("query_logs", *WINDOW).check(4)
    assert "BIGQUERY_STATEMENT_TIMEOUT" in run.summary["error"]["remedy"]
    assert not (folder.work / "query_logs.jsonl").exists()


def test_an_exceeded_quota_is_waited_for(folder: Folder) -> None:
    job = query_job(SHOP, "EU", "job_1", SINCE)
    fill(folder, job)
    folder.server.fail("INFORMATION_SCHEMA.JOBS", "error", reason="quotaExceeded", times=1)
    assert logs(folder).records == [plain(job)]
    folder.server.fail("INFORMATION_SCHEMA.JOBS", "error", reason="quotaExceeded")
    (folder.work / "query_logs.jsonl").unlink()
    run = folder.run("query_logs", *WINDOW).check(4)
    assert "quotas" in run.summary["error"]["remedy"]
    assert not (folder.work / "query_logs.jsonl").exists()


def test_a_long_window_is_read_in_slices_of_a_day_and_longer_ones_while_they_are_small(folder: Folder) -> None:
    fill(folder, query_job(SHOP, "EU", "old", UNTIL - timedelta(days=6)))
    since = UNTIL - timedelta(days=7)
    assert ids(folder.collect("query_logs", *window(since, UNTIL))) == ["old"]
    ends = [since + timedelta(days=days) for days in (0, 1, 3, 7)]
    assert bounds(folder, SHOP, "EU") == [spelled(*pair) for pair in pairwise(ends)]


def test_a_project_with_unreadable_jobs_is_counted(folder: Folder) -> None:
    jobs = [query_job(project, "EU", f"in_{project}", SINCE) for project in (SHOP, LAB)]
    fill(folder, *jobs)
    folder.server.deny(f"{LAB}.INFORMATION_SCHEMA.JOBS")
    collected = logs(folder)
    assert collected.records == [plain(jobs[0])]
    assert collected.skipped == {UNREADABLE: 2}
    assert collected.examples[UNREADABLE].startswith(f"{LAB} EU: Access Denied")


@pytest.mark.parametrize("reason", ["notImplemented", "invalidQuery"])
def test_a_region_that_does_not_support_the_view_is_counted(folder: Folder, reason: str) -> None:
    jobs = [query_job(SHOP, region, f"in_{region}", SINCE) for region in ("EU", "europe-west3")]
    fill(folder, *jobs)
    folder.server.fail(f"`{SHOP}`.`region-eu`.INFORMATION_SCHEMA.JOBS", "error", reason=reason, message="not here")
    collected = logs(folder)
    assert collected.records == [plain(jobs[1])]
    assert collected.skipped == {UNREADABLE: 1}
    assert collected.examples[UNREADABLE].startswith(f"{SHOP} EU: not here")


def test_the_run_is_refused_if_no_jobs_are_readable(folder: Folder) -> None:
    fill(folder, query_job(SHOP, "EU", "job_1", SINCE))
    folder.server.deny("INFORMATION_SCHEMA.JOBS")
    run = folder.run("query_logs", *WINDOW).check(3)
    assert "Cannot read the jobs of any project" in run.summary["error"]["message"]


# --- regions, filters, list --------------------------------------------------------------------------------


def test_without_datasets_only_the_configured_regions_are_read(folder: Folder) -> None:
    job = query_job(LAB, "US", "job_1", SINCE)
    fill(folder, job, datasets=[])
    nothing = logs(folder)
    assert (nothing.records, nothing.skipped) == ([], {NO_REGION: 1})
    collected = folder.collect("query_logs", *WINDOW, BIGQUERY_REGIONS="us")
    assert (collected.records, collected.skipped) == ([plain(job)], {})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--include", f"{LAB}.*"), [LAB]),
        (("--exclude", f"{LAB}.*"), [SHOP]),
        (("--include", f"{SHOP}.sales.*"), [SHOP]),
        (("--exclude", f"{SHOP}.sales.*"), [SHOP, LAB]),
    ],
)
def test_filters_select_projects(folder: Folder, arguments: tuple[str, ...], expected: list[str]) -> None:
    fill(folder, *(query_job(project, "EU", f"in_{project}", SINCE) for project in (SHOP, LAB)))
    run = folder.run("query_logs", *WINDOW, *arguments).check()
    collected = Collected.read(folder.work / "query_logs.jsonl")
    assert [record["extra"]["database"] for record in collected.records] == expected
    assert ("a query has only a database" in run.stderr) == ("sales" in arguments[1])


def test_the_list_counts_what_a_run_collects(folder: Folder) -> None:
    hour = timedelta(hours=1)
    fill(
        folder,
        query_job(SHOP, "EU", "a", SINCE),
        query_job(SHOP, "EU", "b", SINCE + 59 * MINUTE),
        query_job(SHOP, "europe-west3", "c", SINCE + MINUTE),
        query_job(SHOP, "EU", "d", SINCE + hour),
        query_job(LAB, "EU", "e", SINCE + hour, user_email=None, statement_type=None),
        query_job(LAB, "EU", "script", SINCE, statement_type="SCRIPT"),
        query_job(LAB, "EU", "export", SINCE, statement_type="EXPORT_METADATA"),
        query_job(LAB, "EU", "maintenance", SINCE, user_email=ADMINBOT),
        query_job(LAB, "EU", "background", SINCE, job_type=None),
        query_job(LAB, "EU", "materialized_view_refresh_1", SINCE),
        query_job(LAB, "EU", "redacted", SINCE, query=None),
        query_job(LAB, "EU", "own", SINCE, labels=[{"key": "push-ingestion", "value": "1"}]),
        query_job(LAB, "EU", "after", UNTIL),
    )
    assert folder.lines("query_logs", "--list", *WINDOW) == [
        f"{iso(SINCE)} {SHOP} 3",
        f"{iso(SINCE + hour)} {LAB} 1",
        f"{iso(SINCE + hour)} {SHOP} 1",
    ]
    assert len(logs(folder).records) == 5


def test_the_estimate_has_one_line_for_each_place(folder: Folder) -> None:
    fill(folder, query_job(SHOP, "EU", "a", SINCE))
    *places, total = folder.lines("query_logs", "--estimate", *WINDOW)
    assert [line.partition(":")[0] for line in places] == [
        f"{project} {region} JOBS" for project in (LAB, SHOP) for region in ("EU", "europe-west3")
    ]
    assert total.startswith("total: 40 MiB, 4 statements.")
    dry = [
        json.dumps(request["body"])
        for request in folder.server.requests()
        if "INFORMATION_SCHEMA.JOBS" in json.dumps(request["body"])
    ]
    assert len(dry) == 4
    assert all('"dryRun": true' in body for body in dry)
