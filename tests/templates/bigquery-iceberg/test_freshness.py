"""Tests freshness from BigQuery's views: the latest known write of all sources, and nothing that only looks like it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.templates.bigquery.iceberg import (
    ITEMS,
    NOW,
    ORDERS,
    PROBES,
    freshness,
    iceberg,
    lake,
    minute,
    write,
)
from tests.templates.bigquery.running import Folder, iso, query_job, reference
from tests.templates.bigquery.world import LAB, SHOP
from tests.warehouses.bigquery.truth import Job

HOUR = timedelta(hours=1)
EARLIER, LATER = NOW - 5 * HOUR, NOW - 2 * HOUR
NO_FRESHNESS = "freshness unknown (see --freshness-lookback-hours and --freshness-column)"
NO_JOBS = "JOBS not readable: unless the project does not exist, freshness of the tables in its region is unknown"
NO_TIMELINE = "WRITE_API_TIMELINE not readable: freshness of the tables in its region unknown"
NO_STORAGE = "TABLE_STORAGE not readable: freshness comes from the other sources only"
ERROR = {"reason": "invalidQuery", "message": "no"}
UNCHANGED = {"inserted_row_count": 0, "updated_row_count": 0, "deleted_row_count": 0}


def changed(column: str) -> dict[str, int]:
    return {**UNCHANGED, f"{column}_row_count": 1}


# --- jobs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns",
    [
        {"statement_type": "INSERT", "dml_statistics": changed("inserted")},
        {"statement_type": "UPDATE", "dml_statistics": changed("updated")},
        {"statement_type": "DELETE", "dml_statistics": changed("deleted")},
        {"statement_type": "MERGE", "dml_statistics": changed("updated")},
        {"statement_type": "DELETE", "dml_statistics": {"deleted_row_count": 1}},
        {"statement_type": "CREATE_TABLE_AS_SELECT", "dml_statistics": None},
        {"statement_type": "LOAD_DATA", "dml_statistics": None},
        {"statement_type": None, "job_type": "LOAD", "dml_statistics": None, "query": None},
        {"destination_table": reference(f"{ORDERS}$20260101")},
    ],
)
def test_a_job_that_wrote_the_table_is_a_write(folder: Folder, columns: Mapping[str, Any]) -> None:
    folder.server.load(lake(write(ORDERS, EARLIER, **columns)))
    assert freshness(folder) == {ORDERS: iso(EARLIER), ITEMS: None, PROBES: None}


@pytest.mark.parametrize(
    "columns",
    [
        {"error_result": ERROR},
        {"state": "RUNNING", "end_time": None},
        {"dml_statistics": UNCHANGED},
        {"statement_type": "ALTER_TABLE", "dml_statistics": None},
        {"statement_type": "CREATE_TABLE", "dml_statistics": None},
        {"statement_type": "EXPORT_METADATA", "dml_statistics": None},
        {"statement_type": "SELECT", "dml_statistics": None},
        {"transaction_id": "never committed"},
        {"destination_table": None, "referenced_tables": [reference(ORDERS)]},
        {"destination_table": reference(f"{SHOP}.lake.orders_2")},
        {"destination_table": reference(f"{SHOP}.lake_de.orders")},
        {"destination_table": reference(f"{LAB}.lake.orders")},
        {"statement_type": "UPDATE", "dml_statistics": {"updated_row_count": 0}},  # has the counts of its kind only
        {"statement_type": "DELETE", "dml_statistics": {"deleted_row_count": 0}},
    ],
)
def test_other_jobs_are_no_writes(folder: Folder, columns: Mapping[str, Any]) -> None:
    folder.server.load(lake(write(ORDERS, EARLIER, **columns)))
    assert freshness(folder) == dict.fromkeys((ORDERS, ITEMS, PROBES))


def test_the_last_of_several_jobs_counts_in_whichever_project_it_ran(folder: Folder) -> None:
    folder.server.load(
        lake(
            write(ORDERS, EARLIER, "a"),
            write(ORDERS, LATER, "b", project=LAB),
            write(ORDERS, LATER + HOUR, "failed", error_result=ERROR),
            write(ITEMS, EARLIER + HOUR, "c", project=LAB),
            write(PROBES, EARLIER - HOUR, "d"),
        )
    )
    assert freshness(folder) == {ORDERS: iso(LATER), ITEMS: iso(EARLIER + HOUR), PROBES: iso(EARLIER - HOUR)}


def transaction(name: str, statement_type: str, **columns: Any) -> Job:
    end = LATER if "error_result" not in columns else LATER + HOUR
    return query_job(SHOP, "EU", f"{name}_{end:%H}", end, statement_type=statement_type, transaction_id=name, **columns)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([transaction("t", "COMMIT_TRANSACTION")], LATER),
        ([transaction("t", "ROLLBACK_TRANSACTION")], None),
        ([transaction("t", "COMMIT_TRANSACTION", error_result=ERROR)], None),
        ([transaction("another", "COMMIT_TRANSACTION")], None),
    ],
)
def test_a_write_in_a_transaction_counts_once_it_is_committed(folder: Folder, ends: list[Job], expected: Any) -> None:
    folder.server.load(lake(write(ORDERS, EARLIER, transaction_id="t"), *ends))
    assert freshness(folder)[ORDERS] == (expected and iso(expected))


def test_the_lookback_limits_jobs_and_streams(folder: Folder) -> None:
    old = NOW - 47 * HOUR
    older = NOW - 49 * HOUR
    rows = {"WRITE_API_TIMELINE": [minute(PROBES, older)]}
    folder.server.load(lake(write(ORDERS, old, "a"), write(ITEMS, older, "b"), rows=rows))
    assert freshness(folder) == {ORDERS: iso(old), ITEMS: None, PROBES: None}
    longer = ("--freshness-lookback-hours", "50")
    assert freshness(folder, *longer) == {ORDERS: iso(old), ITEMS: iso(older), PROBES: iso(older)}


@pytest.mark.parametrize("hours", ["0", "-1", "4320.5", "nan", "1e300", "two"])
def test_a_wrong_lookback_is_refused(folder: Folder, hours: str) -> None:
    run = folder.run("metadata", "--freshness-lookback-hours", hours)
    assert run.exit_code == 2
    assert "--freshness-lookback-hours" in run.stderr


# --- the Storage Write API, TABLE_STORAGE -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, EARLIER),
        ({"error_code": "INVALID_ARGUMENT"}, None),
        ({"total_rows": 0}, None),
        ({"table_id": "orders_2"}, None),
    ],
)
def test_rows_that_were_streamed_are_a_write(folder: Folder, columns: dict[str, Any], expected: Any) -> None:
    folder.server.load(lake(rows={"WRITE_API_TIMELINE": [minute(ORDERS, EARLIER, **columns)]}))
    assert freshness(folder)[ORDERS] == (expected and iso(expected))


def test_the_storage_counts_for_tables_that_it_lists(folder: Folder) -> None:
    deleted = iceberg(ITEMS, stored=True, modified=EARLIER, storage={"deleted": True})
    without_data = iceberg(PROBES, stored=True)
    folder.server.load(lake(relations=(iceberg(ORDERS, stored=True, modified=EARLIER), deleted, without_data)))
    assert freshness(folder) == {ORDERS: iso(EARLIER), ITEMS: None, PROBES: None}


@pytest.mark.parametrize("newest", ["job", "stream", "storage"])
def test_the_latest_source_wins(folder: Folder, newest: str) -> None:
    times = dict.fromkeys(("job", "stream", "storage"), EARLIER) | {newest: LATER}
    relations = (iceberg(ORDERS, stored=True, modified=times["storage"]),)
    rows = {"WRITE_API_TIMELINE": [minute(ORDERS, times["stream"])]}
    folder.server.load(lake(write(ORDERS, times["job"]), relations=relations, rows=rows))
    assert freshness(folder) == {ORDERS: iso(LATER)}


# --- unknown ----------------------------------------------------------------------------------------------


def test_a_table_without_a_known_write_has_no_freshness_and_is_counted(folder: Folder) -> None:
    folder.server.load(lake(write(PROBES, EARLIER)))
    collected = folder.collect("metadata")
    assert [record.get("last_update_time") for record in collected.records] == [None, None, iso(EARLIER)]
    assert not any("row_count" in record or "byte_count" in record for record in collected.records)
    assert collected.skipped == {NO_FRESHNESS: 2}
    assert collected.examples == {NO_FRESHNESS: ORDERS}


@pytest.mark.parametrize(
    ("denied", "reason", "known"),
    [
        (f"{LAB}.region-eu.INFORMATION_SCHEMA.JOBS", NO_JOBS, [ITEMS]),
        (f"{SHOP}.region-eu.INFORMATION_SCHEMA.WRITE_API_TIMELINE", NO_TIMELINE, [ITEMS, PROBES]),
        (f"{SHOP}.region-eu.INFORMATION_SCHEMA.TABLE_STORAGE", NO_STORAGE, [ORDERS, ITEMS, PROBES]),
    ],
)
def test_freshness_is_unknown_where_a_source_is_missing(
    folder: Folder, denied: str, reason: str, known: list[str]
) -> None:
    """A job of any project can have written a table of the region; streams and storage are in the table's project."""
    folder.server.load(lake(*(write(path, EARLIER, f"job_{n}") for n, path in enumerate((ORDERS, ITEMS, PROBES)))))
    folder.server.deny(denied)
    found = freshness(folder)
    assert found == {path: iso(EARLIER) if path in known else None for path in (ORDERS, ITEMS, PROBES)}
    skipped = folder.collect("metadata").skipped
    assert skipped == {reason: 1, **({NO_FRESHNESS: 3 - len(known)} if len(known) < 3 else {})}


def test_the_storage_may_be_off(folder: Folder) -> None:
    folder.server.load(lake(write(ORDERS, EARLIER), relations=(iceberg(ORDERS),)))
    folder.server.turn_storage(on=False)
    assert freshness(folder) == {ORDERS: iso(EARLIER)}
    assert folder.collect("metadata").skipped == {NO_STORAGE: 1}
