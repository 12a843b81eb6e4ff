"""Tests metadata of managed Iceberg tables: only these tables, with everything that BigQuery knows about them."""

from __future__ import annotations

import json
from datetime import timedelta

from tests.templates.bigquery.iceberg import ITEMS, NOW, ORDERS, PROBES, iceberg, lake, minute, native, place_of, write
from tests.templates.bigquery.running import Folder, iso
from tests.templates.bigquery.world import CREATED, LAB, SHOP
from tests.warehouses.bigquery.truth import Column, Dataset

NO_FRESHNESS = "freshness unknown (see --freshness-lookback-hours and --freshness-column)"
NO_LOCATION = "storage location unknown: not in the table's DDL"
UNREADABLE_SCHEMA = "schema not readable"


def test_a_table_has_everything_that_is_known_and_neither_rows_nor_bytes(folder: Folder) -> None:
    address = Column(
        "address", "STRUCT", fields=(Column("city", "STRING", "where"), Column("lines", "STRING", repeated=True))
    )
    columns = (
        Column("id", "INT64", nullable=False, clusters=2),
        Column("day", "DATE", partitions=True),
        Column("kind", "STRING(40)", "what", clusters=1),
        address,
    )
    table = iceberg(ORDERS, columns=columns, description='the "orders"\n storage_uri="gs://x"', labels={"team": "lake"})
    written = NOW - timedelta(hours=3)
    folder.server.load(lake(write(ORDERS, written), relations=(table,)))
    collected = folder.collect("metadata")
    assert collected.records == [
        {
            "type": "TABLE",
            "kind": "iceberg table",
            "database": SHOP,
            "schema": "lake",
            "name": "orders",
            "created_on": iso(CREATED),
            "last_update_time": iso(written),
            "description": 'the "orders"\n storage_uri="gs://x"',
            "fields": [
                {"name": "id", "type": "INT64"},
                {"name": "day", "type": "DATE"},
                {"name": "kind", "type": "STRING(40)", "description": "what"},
                {"name": "address", "type": "STRUCT<city STRING, lines ARRAY<STRING>>"},
                {"name": "address.city", "type": "STRING", "description": "where"},
                {"name": "address.lines", "type": "ARRAY<STRING>"},
            ],
            "tags": [
                {"key": "team", "value": "lake"},
                {"key": "partitioned_by", "value": "day"},
                {"key": "clustered_by", "value": "kind, id"},
                {"key": "external_location", "value": place_of(ORDERS)},
            ],
        }
    ]
    assert collected.skipped == {}
    assert (collected.header["resource_type"], collected.header["warehouse"]) == ("bigquery", "bigquery-iceberg")


def test_only_managed_iceberg_tables_are_collected(folder: Folder) -> None:
    others = (
        native(f"{SHOP}.lake.native"),
        native(f"{SHOP}.lake.of_orders", kind="VIEW", managed=None, definition="SELECT 1"),
        native(f"{SHOP}.lake.files", kind="EXTERNAL", managed=None),
    )
    folder.server.load(lake(relations=(iceberg(ORDERS), iceberg(PROBES), *others)))
    listed = folder.lines("metadata", "--list")
    assert listed == [f"{ORDERS} (iceberg table)", f"{PROBES} (iceberg table)"]
    records = folder.collect("metadata").records
    assert [[field["name"] for field in record["fields"]] for record in records] == [["id", "name"]] * 2


def test_only_freshness_leaves_out_the_rest(folder: Folder) -> None:
    written = NOW - timedelta(minutes=5)
    folder.server.load(lake(write(ORDERS, written), relations=(iceberg(ORDERS, description="text"),)))
    (record,) = folder.collect("metadata", "--only-freshness-and-volume").records
    assert record == {
        "type": "TABLE",
        "kind": "iceberg table",
        "database": SHOP,
        "schema": "lake",
        "name": "orders",
        "created_on": iso(CREATED),
        "last_update_time": iso(written),
    }
    statements = " ".join(folder.server.statements())
    assert "COLUMNS" not in statements
    assert "TABLE_OPTIONS" not in statements


def test_the_storage_location_is_read_from_the_option_only(folder: Folder) -> None:
    ddl = 'CREATE TABLE t (id INT64 OPTIONS(description="storage_uri=\\"gs://wrong\\"")) OPTIONS(storage_uri = "gs://right/t");'
    tables = (iceberg(ORDERS, ddl=ddl), iceberg(ITEMS, ddl="CREATE TABLE t (id INT64);"), iceberg(PROBES, ddl=None))
    folder.server.load(lake(relations=tables))
    collected = folder.collect("metadata")
    assert [record.get("tags") for record in collected.records] == [
        [{"key": "external_location", "value": "gs://right/t"}],
        None,
        None,
    ]
    assert collected.skipped[NO_LOCATION] == 2
    assert collected.examples[NO_LOCATION] == ITEMS


def test_places_without_iceberg_tables_cost_one_statement(folder: Folder) -> None:
    folder.server.load(lake(relations=(iceberg(ITEMS), native(ORDERS), native(PROBES))))
    folder.collect("metadata")
    locations = [
        request["body"]["jobReference"]["location"]
        for request in folder.server.requests()
        if request["method"] == "POST" and "jobReference" in json.dumps(request["body"])
    ]
    assert sorted(locations, key=str.lower) == ["EU", "EU", *["europe-west3"] * 7]


def test_filters_select_tables(folder: Folder) -> None:
    folder.server.load(lake())
    assert folder.lines("metadata", "--list", "--include", "*.orders") == [f"{ORDERS} (iceberg table)"]
    assert folder.lines("metadata", "--list", "--exclude", f"{SHOP}.*") == [f"{PROBES} (iceberg table)"]


def test_a_project_without_access_to_its_region_is_read_dataset_by_dataset(folder: Folder) -> None:
    """Freshness needs the region, so it is unknown."""
    warehouse = lake(rows={"WRITE_API_TIMELINE": [minute(ORDERS, NOW - timedelta(hours=1))]})
    warehouse.datasets.append(Dataset(SHOP, "closed", "EU", CREATED, may="nothing"))
    folder.server.load(warehouse)
    folder.server.deny(
        *(f"{SHOP}.region-eu.INFORMATION_SCHEMA.{view}" for view in ("TABLES", "WRITE_API_TIMELINE", "TABLE_STORAGE"))
    )
    collected = folder.collect("metadata", "--include", "*.orders")
    assert [record["name"] for record in collected.records] == ["orders"]
    assert "last_update_time" not in collected.records[0]
    assert collected.skipped[NO_FRESHNESS] == 1


def test_the_estimate_assumes_tables_in_every_region(folder: Folder) -> None:
    folder.server.load(lake())
    lines = folder.lines("metadata", "--estimate", "--freshness-column", "day")
    assert any(line.startswith(f"{LAB} EU JOBS: 10 MiB, 1 statements") for line in lines)
    assert any(line.startswith(f"{SHOP} europe-west3 WRITE_API_TIMELINE: ") for line in lines)
    assert lines[-1].startswith("--freshness-column is not in this estimate")
