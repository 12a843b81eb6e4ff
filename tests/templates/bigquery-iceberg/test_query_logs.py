"""Tests query logs of managed Iceberg tables: the jobs that read or wrote one of them, and no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.collected import Collected
from tests.templates.bigquery.iceberg import ITEMS, NOW, ORDERS, PROBES, TABLES, iceberg, lake, native, write
from tests.templates.bigquery.running import Folder, iso, query_job, reference, window
from tests.templates.bigquery.world import LAB, SHOP
from tests.warehouses.bigquery.truth import Job

UNTIL = NOW.replace(minute=0, second=0) - timedelta(hours=3)
SINCE = UNTIL - timedelta(hours=2)
WINDOW = window(SINCE, UNTIL)
MINUTE = timedelta(minutes=1)
UNREADABLE = "database or project missing, dropped during the run, or not accessible"
NATIVE = f"{SHOP}.lake.native"


def read(job_id: str, *paths: str, region: str = "EU", project: str = SHOP, **columns: Any) -> Job:
    """A SELECT on these tables."""
    return query_job(
        project, region, job_id, SINCE + MINUTE, **{"referenced_tables": list(map(reference, paths)), **columns}
    )


def logs(folder: Folder, *arguments: str) -> Collected:
    return folder.collect("query_logs", *WINDOW, *arguments)


def ids(folder: Folder, *arguments: str) -> list[str]:
    return sorted(record["query_id"] for record in logs(folder, *arguments).records)


def fill(folder: Folder, *jobs: Job) -> None:
    folder.server.load(lake(*jobs, relations=(*map(iceberg, TABLES), native(NATIVE))))


def test_queries_of_the_tables_are_collected_and_no_others(folder: Folder) -> None:
    fill(
        folder,
        read("one", ORDERS),
        read("with_native", NATIVE, ORDERS),
        read("in_another_region", ITEMS, region="europe-west3"),
        read("from_another_project", ORDERS, project=LAB),
        read("of_the_lab", PROBES),
        read("at_a_time", f"{ORDERS}@1767225600000"),
        write(ORDERS, SINCE + MINUTE, "written"),
        write(f"{ORDERS}$20260101", SINCE + MINUTE, "partition"),
        read("native_only", NATIVE),
        read("no_table"),
        read("similar_name", f"{SHOP}.lake.orders_2"),
        read("other_dataset", f"{SHOP}.lake_de.orders"),
        read("other_project", f"{LAB}.lake.orders"),
        read("no_columns", referenced_tables=[], destination_table=None),
    )
    assert ids(folder) == [
        "at_a_time",
        "from_another_project",
        "in_another_region",
        "of_the_lab",
        "one",
        "partition",
        "with_native",
        "written",
    ]
    listed = folder.lines("query_logs", "--list", *WINDOW)
    assert listed == [f"{iso(SINCE)} {LAB} 1", f"{iso(SINCE)} {SHOP} 7"]


def test_a_record_is_that_of_the_bigquery_folder(folder: Folder) -> None:
    labels = [{"key": "team", "value": "lake"}]
    fill(folder, read("one", ORDERS, labels=labels, total_bytes_billed=10_485_760))
    collected = logs(folder)
    assert collected.records == [
        {
            "query_id": "one",
            "start_time": iso(SINCE + MINUTE - timedelta(seconds=3)),
            "end_time": iso(SINCE + MINUTE),
            "query_text": "SELECT 1 AS one",
            "user": "ana@example.com",
            "extra": {
                "database": SHOP,
                "location": "EU",
                "job_type": "QUERY",
                "statement_type": "SELECT",
                "total_bytes_billed": 10_485_760,
                "labels": {"team": "lake"},
            },
        }
    ]
    assert collected.skipped == {}
    assert (collected.header["log_type"], collected.header["warehouse"]) == ("bigquery", "bigquery-iceberg")


def test_failed_queries_and_skipped_jobs_are_treated_as_elsewhere(folder: Folder) -> None:
    error = {"reason": "invalidQuery", "message": "no"}
    fill(
        folder,
        read("failed", ORDERS, error_result=error),
        read("maintenance", ORDERS, user_email="bigquery-adminbot@system.gserviceaccount.com"),
        read("redacted", ORDERS, query=None),
        read("script_of_native", NATIVE, statement_type="SCRIPT"),
    )
    collected = logs(folder)
    (record,) = collected.records
    assert (record["error_code"], record["error_text"]) == ("invalidQuery", "no")
    assert collected.skipped == {"maintenance job of BigQuery": 1, "query without text": 1}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--include", "*.lake.*"), ["both", "one"]),
        (("--include", PROBES), ["both", "three"]),
        (("--exclude", f"{SHOP}.*"), ["both", "three"]),
        (("--exclude", ITEMS), ["both", "one", "three"]),
    ],
)
def test_filters_select_the_queries_of_tables(folder: Folder, arguments: tuple[str, ...], expected: list[str]) -> None:
    """Jobs are read in all projects: the tables can be in others."""
    fill(
        folder,
        read("one", ORDERS),
        read("two", ITEMS, region="europe-west3"),
        read("three", PROBES),
        read("both", ORDERS, PROBES, project=LAB),
    )
    assert ids(folder, *arguments) == expected


def test_without_tables_no_jobs_are_read(folder: Folder) -> None:
    warehouse = lake(read("one", NATIVE), relations=(native(NATIVE),))
    folder.server.load(warehouse)
    collected = logs(folder)
    assert (collected.records, collected.skipped) == ([], {})
    assert not any("JOBS" in statement for statement in folder.server.statements())


def test_a_project_with_unreadable_jobs_is_counted(folder: Folder) -> None:
    fill(folder, read("one", ORDERS), read("two", ORDERS, project=LAB))
    folder.server.deny(f"{LAB}.INFORMATION_SCHEMA.JOBS")
    collected = logs(folder)
    assert [record["query_id"] for record in collected.records] == ["one"]
    assert collected.skipped == {UNREADABLE: 2}
    folder.server.deny("INFORMATION_SCHEMA.JOBS")
    (folder.work / "query_logs.jsonl").unlink()
    run = folder.run("query_logs", *WINDOW).check(3)
    assert "Cannot read the jobs of any project" in run.summary["error"]["message"]


def test_a_table_in_an_unreadable_project_is_not_searched_for(folder: Folder) -> None:
    fill(folder, read("one", ORDERS), read("two", PROBES))
    folder.server.deny(f"{LAB}.INFORMATION_SCHEMA.TABLES")
    collected = logs(folder)
    assert [record["query_id"] for record in collected.records] == ["one"]
    assert collected.skipped[UNREADABLE] == 1


def test_many_tables_are_bound_to_one_statement(folder: Folder) -> None:
    names = [f"{SHOP}.lake.table_with_a_long_name_{n:05}" for n in range(2_000)]
    warehouse = lake(read("last", names[-1]), read("other", NATIVE))
    warehouse.relations = [replace(iceberg(name), columns=(), ddl=None) for name in names]
    folder.server.load(warehouse)
    assert ids(folder) == ["last"]


def test_the_estimate_covers_every_place(folder: Folder) -> None:
    fill(folder, read("one", ORDERS))
    lines = folder.lines("query_logs", "--estimate", *WINDOW)
    assert sorted(line.partition(":")[0] for line in lines if " JOBS:" in line) == [
        f"{project} {region} JOBS" for project in (LAB, SHOP) for region in ("EU", "europe-west3")
    ]
