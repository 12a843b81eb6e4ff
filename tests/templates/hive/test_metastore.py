"""Tests of metadata from the metastore database: complete records, filters and options, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.templates.hive.metastore_runs import Runs, server_of
from tests.templates.hive.metastore_world import TABLES, record, skipped, table
from tests.warehouses.hive.metastore_database import KINDS, MetastoreServer, Table

VERSIONS = ("2.3.0", "4.1.0")  # other tests have 3.1.0
NOT_FOR_VOLUME = ("fields", "description", "view_query")
FULL_ONLY = ("view definition not visible", "columns not visible", "column without a type")


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[MetastoreServer]:
    yield from server_of(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_table_has_its_complete_record(server: MetastoreServer, tmp_path: Path, version: str) -> None:
    runs = Runs(server.metastore(version, [each for each, _, _ in TABLES]), tmp_path)
    collected = runs.collect()
    assert collected.records == [found for _, found, _ in TABLES if found]
    assert collected.skipped == skipped(TABLES)
    assert (collected.header["warehouse"], collected.header["resource_type"]) == ("hive", "data-lake")


def test_only_freshness_and_volume_reads_no_columns_and_texts(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("3.1.0", [each for each, _, _ in TABLES]), tmp_path)
    runs.metastore.revoke("COLUMNS_V2")
    runs.metastore.revoke("SDS")
    collected = runs.collect("--only-freshness-and-volume")
    full = [found for _, found, _ in TABLES if found]
    expected = [{key: value for key, value in each.items() if key not in NOT_FOR_VOLUME} for each in full]
    assert collected.records == expected
    assert collected.skipped == {reason: count for reason, count in skipped(TABLES).items() if reason not in FULL_ONLY}


def test_the_list_has_every_name_and_kind_and_reads_only_tables(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("4.1.0", [table("orders"), table("v", "VIRTUAL_VIEW"), table("x", None)]), tmp_path)
    for name in ("TABLE_PARAMS", "PARTITION_KEYS", "PARTITIONS", "PARTITION_PARAMS", "COLUMNS_V2", "SDS"):
        runs.metastore.revoke(name)
    lines = runs.run("--list").check().stdout.splitlines()
    assert lines == ["hive.sales.orders (managed table)", "hive.sales.v (virtual view)", "hive.sales.x ()"]


MANY = [replace(table(name), database=database) for database in ("a", "b", "c", "d") for name in ("t", "u")]


FILTERS = [
    (["--include", "hive.b.*"], ["b.t", "b.u"]),
    (["--include", "hive.b.t", "--include", "HIVE.D.*"], ["b.t", "d.t", "d.u"]),
    (["--include", "*.u", "--exclude", "hive.c.*"], ["a.u", "b.u", "d.u"]),
    (["--exclude", "hive.[a-c].*"], ["d.t", "d.u"]),
]


def test_filters(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("2.3.0", MANY), tmp_path)
    for arguments, names in FILTERS:
        collected = runs.collect(*arguments)
        assert [f"{each['schema']}.{each['name']}" for each in collected.records] == names
        assert collected.skipped == {}
    collected = runs.collect("--include", "spark.*")
    assert collected.records == []
    assert list(collected.skipped.values()) == [1]


def test_a_metastore_without_databases_is_collected(server: MetastoreServer, tmp_path: Path) -> None:
    collected = Runs(server.metastore("4.1.0"), tmp_path).collect()
    assert (collected.records, collected.skipped) == ([], {})


CATALOGS: list[Table] = [
    table("orders"),
    replace(table("orders", parameters={}), catalog="spark"),
    replace(table("other"), catalog="spark", database="default"),
]


def test_only_the_databases_of_one_catalog_are_collected(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("3.1.0", CATALOGS), tmp_path)
    collected = runs.collect()
    assert collected.records == [record("orders")]
    assert collected.skipped == {"database of another catalog than HIVE_CATALOG": 2}
    spark = runs.collect("--only-freshness-and-volume", HIVE_CATALOG="spark")
    assert [(each["database"], each["schema"], each["name"]) for each in spark.records] == [
        ("spark", "sales", "orders"),
        ("spark", "default", "other"),
    ]


def test_an_unknown_catalog_is_an_error_that_names_the_others(server: MetastoreServer, tmp_path: Path) -> None:
    run = Runs(server.metastore("3.1.0", CATALOGS), tmp_path).run(HIVE_CATALOG="prod").check(2)
    assert run.summary["error"] == {
        "message": "The metastore has no databases in the catalog prod.",
        "remedy": "Set HIVE_CATALOG to one of its catalogs: hive, spark.",
    }


def test_before_hive_3_the_catalog_is_only_a_name(server: MetastoreServer, tmp_path: Path) -> None:
    collected = Runs(server.metastore("2.3.0", [table("orders")]), tmp_path).collect(HIVE_CATALOG="prod")
    assert collected.records == [record("orders", database="prod")]


def set_versions(runs: Runs, *versions: str) -> None:
    name = runs.metastore.quoted("VERSION")
    rows = [f"INSERT INTO {name} VALUES ({number}, '{version}', '')" for number, version in enumerate(versions)]
    runs.metastore.run(f"DELETE FROM {name}", *rows)


def test_an_unreadable_version_is_an_error(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("3.1.0", [table("orders")]), tmp_path)
    for versions, says in [((), "no row"), (("banana",), "banana"), (("3.1.0", "4.1.0"), "3.1.0, 4.1.0")]:
        set_versions(runs, *versions)
        message = runs.run().check(2).summary["error"]["message"]
        assert message == f"The table VERSION of the metastore database has no version: {says}."
        assert not runs.manifest.exists()


def test_versions_of_distributions_and_later_ones_are_collected(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("4.0.0-beta-1", [table("orders")]), tmp_path)
    for version in ("4.0.0-beta-1", "3.1.3000.7.1.9.0-387", "5.0.0"):
        set_versions(runs, version)
        run = runs.run().check()
        assert run.summary["records"] == 1
        assert (f"version {version} of the metastore database was not tested" in run.stderr) == (version == "5.0.0")
