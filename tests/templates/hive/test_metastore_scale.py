"""Tests that memory does not grow with the size of a metastore, and that the number of statements does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collected import Collected
from tests.templates.hive.metastore_runs import Runs, server_of
from tests.templates.hive.metastore_world import ACCURATE, CHANGED, CREATED, KEY, partition, table
from tests.warehouses.hive.metastore_database import KINDS, Metastore, MetastoreServer, Table

FLAT = 1.3  # times the peak with few tables
MANY_TABLES, COLUMNS, PARTITIONED, PARTITIONS = 100_000, 10, 1_000, 500
MOST_MEMORY = 200_000_000  # bytes


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[MetastoreServer]:
    yield from server_of(request.param)


def tables(number: int) -> list[Table]:
    columns = [(f"column_{position}", "struct<a:bigint,b:string>", "a comment " * 10) for position in range(COLUMNS)]
    days = [partition() for _ in range(3)]
    return [table(f"t{each}", columns=columns, partition_keys=[KEY], partitions=days) for each in range(number)]


@pytest.mark.scale
def test_memory_does_not_grow_with_tables(server: MetastoreServer, tmp_path: Path) -> None:
    peaks = []
    for number in (500, 5_000):
        runs = Runs(server.metastore("3.1.0", tables(number)), tmp_path)
        peaks.append(runs.peak_memory())
        records = Collected.read(runs.manifest).records
        assert len(records) == number
        assert {(each["row_count"], len(each["fields"])) for each in records} == {(21, COLUMNS + 1)}
    assert peaks[1] < peaks[0] * FLAT


def fill(metastore: Metastore) -> None:
    """Insert many tables by statements of the database. Every hundredth has partitions."""
    series = {
        "postgresql": ("generate_series(1, {0}) AS s(n)", "s.n"),
        "mariadb": ("seq_1_to_{0} AS s", "s.seq"),
    }[metastore.server.kind]

    def numbers(count: int, name: str = "s") -> tuple[str, str]:
        return (each.format(count).replace(" AS s", f" AS {name}").replace("s.", f"{name}.") for each in series)  # type: ignore[return-value]

    def insert(name: str, columns: str, select: str) -> None:
        names = ", ".join(map(metastore.quoted, columns.split()))
        metastore.run(f"INSERT INTO {metastore.quoted(name)} ({names}) SELECT {select}")

    table_rows, t = numbers(MANY_TABLES)
    each_column, c = numbers(COLUMNS, "c")
    each_partition, p = numbers(PARTITIONS, "p")
    few, f = numbers(PARTITIONED)
    insert("VERSION", "VER_ID SCHEMA_VERSION", "1, '3.1.0'")
    insert("DBS", "DB_ID NAME CTLG_NAME", "1, 'lake', 'hive'")
    insert(
        "TBLS",
        "TBL_ID DB_ID SD_ID TBL_NAME TBL_TYPE CREATE_TIME",
        f"{t}, 1, {t}, CONCAT('t', {t}), 'MANAGED_TABLE', {CREATED} FROM {table_rows}",
    )
    insert("SDS", "SD_ID CD_ID", f"{t}, {t} FROM {table_rows}")
    insert(
        "COLUMNS_V2",
        "CD_ID COLUMN_NAME TYPE_NAME COMMENT INTEGER_IDX",
        f"{t}, CONCAT('c', {c}), 'bigint', 'a comment', {c} FROM {table_rows} CROSS JOIN {each_column}",
    )
    facts = {"COLUMN_STATS_ACCURATE": ACCURATE, "numRows": "3", "totalSize": "9", "transient_lastDdlTime": str(CHANGED)}
    for key, value in facts.items():
        text = value
        insert("TABLE_PARAMS", "TBL_ID PARAM_KEY PARAM_VALUE", f"{t}, '{key}', '{text}' FROM {table_rows}")
    insert(
        "PARTITION_KEYS",
        "TBL_ID PKEY_NAME PKEY_TYPE INTEGER_IDX",
        f"{f} * 100, 'ds', 'string', 0 FROM {few}",
    )
    part = f"{f} * {PARTITIONS} + {p}"
    source = f"{few} CROSS JOIN {each_partition}"
    insert("PARTITIONS", "PART_ID TBL_ID PART_NAME", f"{part}, {f} * 100, CONCAT('ds=', {p}) FROM {source}")
    for key, value in facts.items():
        text = value
        insert("PARTITION_PARAMS", "PART_ID PARAM_KEY PARAM_VALUE", f"{part}, '{key}', '{text}' FROM {source}")


@pytest.mark.stress
def test_a_hundred_thousand_tables_and_half_a_million_partitions(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("3.1.0"), tmp_path)
    runs.metastore.run(f"DELETE FROM {runs.metastore.quoted('VERSION')}")
    fill(runs.metastore)
    assert runs.peak_memory() < MOST_MEMORY
    records = Collected.read(runs.manifest).records
    assert len(records) == MANY_TABLES
    assert sum(len(each["fields"]) for each in records) == MANY_TABLES * COLUMNS + PARTITIONED
    assert sum(each["row_count"] for each in records) == (MANY_TABLES - PARTITIONED) * 3 + PARTITIONED * PARTITIONS * 3
