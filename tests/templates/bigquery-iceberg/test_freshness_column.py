"""Tests --freshness-column: the latest value of a column of each table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.templates.bigquery.iceberg import ITEMS, NOW, ORDERS, PROBES, freshness, iceberg, lake, write
from tests.templates.bigquery.running import Folder, iso
from tests.templates.bigquery.world import SHOP
from tests.warehouses.bigquery.truth import Column, Relation

OPTION = ("--freshness-column", "loaded_at")
NO_COLUMN = "table without a DATE, DATETIME or TIMESTAMP column of the name in --freshness-column"
NO_COLUMNS = "COLUMNS not readable: values of --freshness-column unknown"
UNREADABLE = "column of --freshness-column not readable"
IN_FUTURE = "latest value of --freshness-column in the future: ignored"
NO_FRESHNESS = "freshness unknown (see --freshness-lookback-hours and --freshness-column)"


def dated(path: str, kind: str, values: Sequence[str | None], name: str = "loaded_at") -> Relation:
    columns = (Column("id", "INT64"), Column(name, kind))
    return iceberg(path, columns=columns, contents=[{"id": n, name: value} for n, value in enumerate(values)])


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("DATE", ["2026-03-04", "2026-03-06", "2026-03-05"], "2026-03-06T00:00:00Z"),
        ("DATETIME", ["2026-03-04T05:06:07.5", "2025-12-31T23:59:59"], "2026-03-04T05:06:07.500000Z"),
        ("TIMESTAMP", ["2026-03-04T05:06:07+02:00", "2026-03-04T04:00:00Z"], "2026-03-04T04:00:00Z"),
        ("TIMESTAMP", [None, "2026-03-04T05:06:07Z", None], "2026-03-04T05:06:07Z"),
        ("TIMESTAMP", [None], None),
        ("TIMESTAMP", [], None),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_latest_value_is_a_time_in_utc(
    folder: Folder, kind: str, values: list[str | None], expected: str | None, zone: str
) -> None:
    folder.server.load(lake(relations=(dated(ORDERS, kind, values),)))
    (record,) = folder.collect("metadata", *OPTION, TZ=zone).records
    assert record.get("last_update_time") == expected


@pytest.mark.parametrize(("hours", "expected"), [(2, 2), (9, 5)])
def test_the_latest_of_column_and_views_counts(folder: Folder, hours: int, expected: int) -> None:
    value = iso(NOW - timedelta(hours=hours))
    job = write(ORDERS, NOW - timedelta(hours=5))
    folder.server.load(lake(job, relations=(dated(ORDERS, "TIMESTAMP", [value]),)))
    assert freshness(folder, *OPTION) == {ORDERS: iso(NOW - timedelta(hours=expected))}


def test_names_are_found_in_any_case_and_are_quoted(folder: Folder) -> None:
    table = f"{SHOP}.lake.2026 é-orders"
    folder.server.load(lake(relations=(dated(table, "DATE", ["2026-03-04"], name="Loaded At"),)))
    assert freshness(folder, "--freshness-column", "loaded at") == {table: "2026-03-04T00:00:00Z"}


def test_tables_without_the_column_are_counted(folder: Folder) -> None:
    tables = (
        dated(ORDERS, "DATE", ["2026-03-04"]),
        dated(ITEMS, "STRING", ["2026-03-04"]),
        dated(PROBES, "DATE", ["2026-03-04"], name="loaded_at_2"),
    )
    folder.server.load(lake(write(PROBES, NOW - timedelta(hours=5)), relations=tables))
    collected = folder.collect("metadata", *OPTION)
    assert [record.get("last_update_time") for record in collected.records] == [
        "2026-03-04T00:00:00Z",
        None,
        iso(NOW - timedelta(hours=5)),
    ]
    assert collected.skipped == {NO_COLUMN: 2, NO_FRESHNESS: 1}
    assert collected.examples[NO_COLUMN] == ITEMS


def test_a_column_that_may_not_be_read_makes_freshness_unknown(folder: Folder) -> None:
    """The table's other sources can be older, which would look like a delay."""
    tables = (dated(ORDERS, "DATE", ["2026-03-04"]), dated(PROBES, "DATE", ["2026-03-05"]))
    folder.server.load(lake(write(ORDERS, NOW - timedelta(hours=5)), relations=tables))
    folder.server.deny(ORDERS)
    collected = folder.collect("metadata", *OPTION)
    assert [record.get("last_update_time") for record in collected.records] == [None, "2026-03-05T00:00:00Z"]
    assert collected.skipped == {UNREADABLE: 1, NO_FRESHNESS: 1}
    assert collected.examples[UNREADABLE].startswith(f"{ORDERS}: Access Denied")


def test_unreadable_columns_make_freshness_unknown(folder: Folder) -> None:
    folder.server.load(lake(write(ORDERS, NOW), relations=(dated(ORDERS, "DATE", ["2026-03-04"]),)))
    folder.server.deny("INFORMATION_SCHEMA.COLUMNS")
    assert freshness(folder, *OPTION) == {ORDERS: None}
    assert folder.collect("metadata", "--only-freshness-and-volume", *OPTION).skipped == {
        NO_COLUMNS: 1,
        NO_FRESHNESS: 1,
    }


def test_a_value_in_the_future_is_not_a_write(folder: Folder) -> None:
    planned = iso(NOW + timedelta(days=300))
    folder.server.load(
        lake(write(ORDERS, NOW - timedelta(hours=5)), relations=(dated(ORDERS, "TIMESTAMP", [planned]),))
    )
    collected = folder.collect("metadata", *OPTION)
    assert [record["last_update_time"] for record in collected.records] == [iso(NOW - timedelta(hours=5))]
    assert collected.skipped == {IN_FUTURE: 1}


@pytest.mark.parametrize(("reason", "code"), [("quotaExceeded", 4), ("backendError", 4)])
def test_a_failure_that_passes_ends_the_run(folder: Folder, reason: str, code: Any) -> None:
    folder.server.load(lake(relations=(dated(ORDERS, "DATE", ["2026-03-04"]),)))
    folder.server.fail("MAX(t.", "error", reason=reason)
    folder.run("metadata", *OPTION).check(code)
    assert not (folder.work / "metadata.jsonl").exists()


def test_many_tables_are_collected_in_order(folder: Folder) -> None:
    names = [f"t_{n:03}" for n in range(120)]
    tables = tuple(dated(f"{SHOP}.lake.{name}", "DATE", [f"2026-03-{n % 28 + 1:02}"]) for n, name in enumerate(names))
    folder.server.load(lake(relations=tables))
    records = folder.collect("metadata", *OPTION).records
    assert [(record["name"], record["last_update_time"]) for record in records] == [
        (name, f"2026-03-{n % 28 + 1:02}T00:00:00Z") for n, name in enumerate(names)
    ]
