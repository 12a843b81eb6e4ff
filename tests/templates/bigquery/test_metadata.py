"""Tests the metadata of BigQuery: kinds of tables and datasets, columns, options, volume, filters and shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.collected import Collected, Record
from tests.script_process import copy_folder
from tests.templates.bigquery.copied_folder import CopiedFolder
from tests.templates.bigquery.metadata_truth import figures, record
from tests.warehouses.bigquery.errors import STORAGE_OFF
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.truth import Column, Dataset, Relation, Warehouse

SHOP, LAKE = "acme-shop", "acme-lake-2"
PROJECTS = (SHOP, LAKE)
CREATED = datetime(2025, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
SALES = Dataset(SHOP, "sales", "EU", CREATED)
STOCK = Dataset(SHOP, "stock", "us-west1", CREATED)
WEB = Dataset(LAKE, "web", "US", CREATED)
VIEWS_OF_A_REGION = ("TABLES", "COLUMNS", "COLUMN_FIELD_PATHS", "TABLE_OPTIONS", "VIEWS", "TABLE_STORAGE")

NO_STORAGE = "TABLE_STORAGE not readable: volume and freshness come from tables.get"
NOT_STORED = "table without a row in TABLE_STORAGE: volume and freshness unknown"
ICEBERG_VOLUME = "managed Iceberg table: volume and freshness unknown (collect them with the bigquery-iceberg scripts)"
UNREADABLE_VOLUME = "volume and freshness not readable (tables.get)"
NO_VIEW_TEXT = "view definition not visible"
UNREADABLE_DATASET = "schema not readable"
NO_DATASETS = "project in which no dataset is visible: it is empty, or this principal has no grants"
FEDERATED = "federated dataset: its tables are not collected"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_folder("bigquery", tmp_path_factory.mktemp("metadata") / "my-push")


@pytest.fixture
def metadata(bigquery_server: BigQueryServer, copied: Path, tmp_path: Path) -> CopiedFolder:
    return CopiedFolder(bigquery_server, copied, tmp_path, PROJECTS)


def warehouse(datasets: Sequence[Dataset], relations: Sequence[Relation]) -> Warehouse:
    return Warehouse(PROJECTS, list(datasets), list(relations))


_figures = iter(range(101, 100_000, 7))


def table(dataset: Dataset, name: str, **more: Any) -> Relation:
    """A table. No two have a figure or a time in common."""
    number = next(_figures)
    values: dict[str, Any] = {
        "columns": (Column("id", "INT64"),),
        "created": CREATED + timedelta(seconds=number),
        "rows": number,
        "logical_bytes": number * 1_000,
        "physical_bytes": number * 999,
        "modified": CREATED + timedelta(days=300, seconds=number),
    }
    return Relation(dataset.project, dataset.name, name, **(values | more))


def without_figures(table: Relation) -> Relation:
    return replace(table, rows=None, logical_bytes=None, physical_bytes=None, modified=None)


def view(dataset: Dataset, name: str, definition: str | None, **more: Any) -> Relation:
    own: dict[str, Any] = {"kind": "VIEW", "managed": None, "definition": definition}
    return without_figures(table(dataset, name, **(own | more)))


def materialized(dataset: Dataset, name: str) -> Relation:
    found = table(dataset, name, kind="MATERIALIZED VIEW", ddl=f"CREATE MATERIALIZED VIEW {name} AS\nSELECT 1 AS id")
    return replace(found, refreshed=found.modified, definition="SELECT 1 AS id")


def iceberg(dataset: Dataset, name: str) -> Relation:
    return without_figures(table(dataset, name, managed="BIGLAKE", stored=False, ddl='… storage_uri="gs://lake/t"'))


def by_name(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda each: (each["database"], each["schema"], each["name"]))


def collect(
    metadata: CopiedFolder, datasets: Sequence[Dataset], relations: Sequence[Relation], *arguments: str
) -> Collected:
    metadata.server.load(warehouse(datasets, relations))
    return metadata.collect("metadata", *arguments)


def selects(metadata: CopiedFolder) -> list[str]:
    """The statements since the world was loaded, with the names of their views on one line."""
    return [" ".join(each.split()) for each in metadata.server.statements()]


# --- tables ----------------------------------------------------------------------------------------------


def test_every_kind_of_table_has_its_type_and_what_bigquery_knows_about_it(metadata: CopiedFolder) -> None:
    orders = table(SALES, "orders")
    without_data = replace(table(SALES, "empty"), rows=0, logical_bytes=0, modified=None)
    relations = [
        orders,
        without_data,
        table(SALES, "orders_copy", kind="CLONE", base=orders.path),
        table(SALES, "orders_snapshot", kind="SNAPSHOT", base=orders.path),
        view(SALES, "recent", "SELECT id\nFROM sales.orders -- é"),
        materialized(SALES, "totals"),
        without_figures(table(SALES, "sheet", kind="EXTERNAL", managed=None)),
        iceberg(SALES, "lake"),
    ]
    collected = collect(metadata, [SALES], relations)
    assert by_name(collected.records) == by_name([record(each) for each in relations])
    assert collected.skipped == {ICEBERG_VOLUME: 1, NO_DATASETS: 1}
    assert [each["kind"] for each in by_name(collected.records)] == [
        "table",
        "iceberg table",
        "table",
        "clone",
        "snapshot",
        "view",
        "external",
        "materialized view",
    ]


def test_names_keep_every_legal_special_character(metadata: CopiedFolder) -> None:
    """https://docs.cloud.google.com/bigquery/docs/tables#table_naming, .../schemas#flexible-column-names"""
    columns = (Column("größe in m²-x", "STRING"), Column("a%b&c=d+e:f'g<h>i#j|k", "INT64"), Column("_x", "DATE"))
    names = ("été 2026", "with-hyphen", "Ωmega_‿", "表", "2026", "_under", "Case", "case")
    relations = [table(SALES, name, columns=columns) for name in names]
    relations.append(table(Dataset(SHOP, "Sales_2", "EU", CREATED), "Case"))
    collected = collect(metadata, [SALES, Dataset(SHOP, "Sales_2", "EU", CREATED), WEB], relations)
    assert by_name(collected.records) == by_name([record(each) for each in relations])
    assert collected.skipped == {}


def test_columns_are_in_their_order_with_nested_fields_and_without_pseudo_columns(metadata: CopiedFolder) -> None:
    lines = Column("lines", "STRING", 'of the "street"', repeated=True)
    city = Column("city", "STRUCT", fields=(Column("zip", "STRING(5)"), Column("name", "STRING", "é\n2")))
    columns = (
        Column("zeta", "NUMERIC(10, 2)", "first"),
        Column("address", "STRUCT", "where", fields=(lines, city), repeated=True),
        Column("alpha", "ARRAY<FLOAT64>"),
        Column("day", "DATE", partitions=True),
        Column("beta", "STRING", clusters=2),
        Column("Alpha2", "STRING", clusters=1),
        Column("place", "STRUCT", fields=(Column("x", "INT64"), Column("y", "INT64")), clusters=3),
    )
    by_arrival = (Column("id", "INT64"), Column("_PARTITIONTIME", "TIMESTAMP", pseudo=True, partitions=True))
    relations = [table(SALES, "people", columns=columns), table(SALES, "arrivals", columns=by_arrival)]
    collected = collect(metadata, [SALES, WEB], relations)
    assert collected.records == [record(each) for each in reversed(relations)]
    arrivals, people = collected.records
    assert [(each["name"], each["type"]) for each in people["fields"]] == [
        ("zeta", "NUMERIC(10, 2)"),
        ("address", "ARRAY<STRUCT<lines ARRAY<STRING>, city STRUCT<zip STRING(5), name STRING>>>"),
        ("address.city", "STRUCT<zip STRING(5), name STRING>"),
        ("address.city.name", "STRING"),
        ("address.city.zip", "STRING(5)"),
        ("address.lines", "ARRAY<STRING>"),
        ("alpha", "ARRAY<FLOAT64>"),
        ("day", "DATE"),
        ("beta", "STRING"),
        ("Alpha2", "STRING"),
        ("place", "STRUCT<x INT64, y INT64>"),
        ("place.x", "INT64"),
        ("place.y", "INT64"),
    ]
    assert people["tags"] == [
        {"key": "partitioned_by", "value": "day"},
        {"key": "clustered_by", "value": "Alpha2, beta, place"},
    ]
    assert arrivals["tags"] == [{"key": "partitioned_by", "value": "_PARTITIONTIME"}]
    assert [each["name"] for each in arrivals["fields"]] == ["id"]


@pytest.mark.parametrize(
    "text",
    [
        'say "hi", it\'s',
        "C:\\temp\\new \\\\ \\n",
        "two\nlines\r\n\tand a tab",
        "émoji 🎉 \u2028 STRUCT",
        '[STRUCT("a", "b")]',
        " ",
    ],
)
def test_descriptions_are_unescaped(metadata: CopiedFolder, text: str) -> None:
    relations = [table(SALES, "orders", description=text), view(SALES, "w", "SELECT 1 AS id", description=f"{text}!")]
    collected = collect(metadata, [SALES, WEB], relations)
    assert collected.records == [record(each) for each in relations]


def test_labels_are_tags(metadata: CopiedFolder) -> None:
    """Labels have letters of any alphabet: https://docs.cloud.google.com/bigquery/docs/labels-intro"""
    labels = {"team": "finance", "été": "ζ-9_", "flag": ""}
    collected = collect(metadata, [SALES, WEB], [table(SALES, "orders", labels=labels, description="d")])
    assert collected.records[0]["tags"] == [
        {"key": "team", "value": "finance"},
        {"key": "été", "value": "ζ-9_"},
        {"key": "flag"},
    ]
    assert collected.records[0]["description"] == "d"


def test_views_have_their_sql_and_a_missing_one_is_counted(metadata: CopiedFolder) -> None:
    relations = [
        view(SALES, "a_view", 'SELECT id, "x\\n" AS x\nFROM `acme-shop`.sales.orders'),
        view(SALES, "b_legacy", "SELECT id FROM [acme-shop:sales.orders]", is_legacy=True),
        materialized(SALES, "c_materialized"),
        view(SALES, "d_hidden", None),
    ]
    collected = collect(metadata, [SALES, WEB], relations)
    assert collected.records == [record(each) for each in relations]
    assert [each.get("view_query") for each in collected.records] == [
        relations[0].definition,
        relations[1].definition,
        "CREATE MATERIALIZED VIEW c_materialized AS\nSELECT 1 AS id",
        None,
    ]
    assert collected.skipped == {NO_VIEW_TEXT: 1}


# --- volume and freshness --------------------------------------------------------------------------------


def turn_storage_off(server: BigQueryServer, project: str, region: str) -> None:
    message = STORAGE_OFF.format(project=project, region=region)
    server.fail(
        f"`{project}`.`region-{region}`.INFORMATION_SCHEMA.TABLE_STORAGE",
        "error",
        reason="invalidQuery",
        message=message,
    )


def requested(metadata: CopiedFolder) -> list[str]:
    """The names of the tables that tables.get was asked about."""
    return [each["path"].rpartition("/")[2] for each in metadata.server.requests() if "/tables/" in each["path"]]


def test_without_table_storage_volume_comes_from_each_table(metadata: CopiedFolder) -> None:
    """Off in one region only. Views, external and Iceberg tables are not asked about, nor is what is not selected."""
    gone, denied, left_out = table(SALES, "gone"), table(SALES, "denied"), table(SALES, "left_out")
    others = [view(SALES, "v", "SELECT 1 AS id"), without_figures(table(SALES, "x", kind="EXTERNAL", managed=None))]
    lake, shelves = iceberg(SALES, "lake"), table(STOCK, "shelves")
    asked = [
        table(SALES, "orders"),
        table(SALES, "clone", kind="CLONE", base=(SHOP, "sales", "orders")),
        table(SALES, "snapshot", kind="SNAPSHOT", base=(SHOP, "sales", "orders")),
        materialized(SALES, "totals"),
    ]
    every = [gone, denied, left_out, *others, lake, shelves, *asked]
    metadata.server.load(warehouse([SALES, STOCK, WEB], every))
    turn_storage_off(metadata.server, SHOP, "eu")
    metadata.server.deny(f"tables.get {SHOP}.sales.denied")
    metadata.server.rest_fault("/tables/gone", 404, "notFound", message="Not found: Table acme-shop:sales.gone")
    collected = metadata.collect("metadata", "--exclude", f"{SHOP}.sales.left_out")
    unknown = [record(each, has_volume=False) for each in (gone, denied)]
    known = [record(each) for each in (*others, lake, shelves, *asked)]
    assert by_name(collected.records) == by_name([*unknown, *known])
    assert collected.skipped == {NO_STORAGE: 1, UNREADABLE_VOLUME: 2, ICEBERG_VOLUME: 1}
    assert set(requested(metadata)) == {"gone", "denied", *(each.name for each in asked)}


def test_tables_that_are_not_reached_in_time_are_counted(metadata: CopiedFolder) -> None:
    orders, recent = table(SALES, "orders"), view(SALES, "recent", "SELECT 1 AS id")
    metadata.server.load(warehouse([SALES, WEB], [orders, recent, table(SALES, "left_out")]))
    turn_storage_off(metadata.server, SHOP, "eu")
    with metadata.changed("volumes.py", "SECONDS = 900", "SECONDS = 0"):
        collected = metadata.collect("metadata", "--exclude", f"{SHOP}.sales.left_out")
    assert collected.records == [record(orders, has_volume=False), record(recent)]
    reason = "volume and freshness unknown: tables.get did not reach the table in 0 seconds"
    assert collected.skipped == {NO_STORAGE: 1, reason: 1}


def test_a_region_of_omni_has_no_table_storage(metadata: CopiedFolder) -> None:
    omni = Dataset(SHOP, "elsewhere", "aws-us-east-1", CREATED)
    blob = without_figures(table(omni, "blob", kind="EXTERNAL", managed=None))
    collected = collect(metadata, [omni, WEB], [blob])
    assert collected.records == [record(blob)]
    assert collected.skipped == {NO_STORAGE: 1}


def test_deleted_rows_of_table_storage_do_not_count_and_a_missing_one_is_counted(metadata: CopiedFolder) -> None:
    orders, late, again = table(SALES, "orders"), table(SALES, "late", stored=False), table(SALES, "again")
    world = warehouse([SALES, WEB], [orders, late, again])
    for name in ("orders", "late"):  # earlier tables of the same names
        row = {"project_id": SHOP, "table_schema": "sales", "table_name": name, "deleted": True}
        times = {"total_rows": 5, "total_logical_bytes": 6, "storage_last_modified_time": CREATED}
        world.rows.setdefault("TABLE_STORAGE", []).append((SHOP, "EU", row | times))
    metadata.server.load(world)
    collected = metadata.collect("metadata")
    assert collected.records == [record(again), record(late, has_volume=False), record(orders)]
    assert collected.skipped == {NOT_STORED: 1}


def test_only_freshness_and_volume_needs_one_statement_for_each_region(metadata: CopiedFolder) -> None:
    relations = [
        table(SALES, "orders", description="d", labels={"a": "b"}),
        view(SALES, "recent", "SELECT 1 AS id"),
        iceberg(STOCK, "lake"),
        table(STOCK, "shelves"),
        table(WEB, "hits"),
    ]
    collected = collect(metadata, [SALES, STOCK, WEB], relations, "--only-freshness-and-volume")
    assert by_name(collected.records) == by_name([figures(each) for each in relations])
    assert collected.skipped == {ICEBERG_VOLUME: 1}
    statements = selects(metadata)
    assert len(statements) == 3
    assert all(each.count("INFORMATION_SCHEMA.TABLE_STORAGE") == 1 for each in statements)


def test_a_full_run_needs_four_statements_for_each_region(metadata: CopiedFolder) -> None:
    tables = [table(dataset, f"t{number}") for dataset in (SALES, STOCK, WEB) for number in range(5)]
    assert len(collect(metadata, [SALES, STOCK, WEB], tables).records) == 15
    assert len(selects(metadata)) == 4 * 3


# --- datasets --------------------------------------------------------------------------------------------


def test_with_grants_on_single_datasets_a_region_is_read_dataset_by_dataset(metadata: CopiedFolder) -> None:
    private, unlisted = (
        Dataset(SHOP, "private", "EU", CREATED, may="dataset"),
        Dataset(SHOP, "un", "EU", CREATED, may="nothing"),
    )
    orders, shelves = table(SALES, "orders", labels={"a": "b"}), table(STOCK, "shelves")
    relations = [orders, view(SALES, "recent", "SELECT 1 AS id"), shelves, table(private, "p"), table(unlisted, "u")]
    metadata.server.load(warehouse([SALES, STOCK, private, unlisted, WEB], relations))
    metadata.server.deny(*(f"{SHOP}.region-eu.INFORMATION_SCHEMA.{name}" for name in VIEWS_OF_A_REGION))
    collected = metadata.collect("metadata")
    assert by_name(collected.records) == by_name([record(each) for each in relations[:3]])
    assert collected.skipped == {NO_STORAGE: 1, UNREADABLE_DATASET: 1}


def test_a_region_that_is_too_large_for_a_statement_is_read_dataset_by_dataset(metadata: CopiedFolder) -> None:
    orders, shelves, hits = table(SALES, "orders"), table(STOCK, "shelves"), table(WEB, "hits")
    metadata.server.load(warehouse([SALES, STOCK, WEB], [orders, shelves, hits]))
    metadata.server.fail("`region-eu`.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS", "error", reason="resourcesExceeded")
    collected = metadata.collect("metadata")
    assert by_name(collected.records) == by_name([record(each) for each in (orders, shelves, hits)])
    assert collected.skipped == {}


def test_linked_datasets_are_read_and_federated_and_hidden_ones_are_not(metadata: CopiedFolder) -> None:
    """TABLE_STORAGE has only the tables of the dataset behind the link: volume comes from tables.get."""
    linked = Dataset(SHOP, "shared", "EU", CREATED, linked_to=(LAKE, "published"))
    source = Dataset(LAKE, "published", "EU", CREATED)
    others = [Dataset(SHOP, "glue", "EU", CREATED, external=True), Dataset(SHOP, "_hidden", "EU", CREATED)]
    orders, hits = table(SALES, "orders"), table(source, "hits", labels={"a": "b"})
    collected = collect(
        metadata, [SALES, linked, source, *others], [orders, hits, *(table(each, "inside") for each in others)]
    )
    shared = replace(hits, project=SHOP, dataset="shared")
    assert by_name(collected.records) == by_name([record(each) for each in (orders, hits, shared)])
    assert collected.skipped == {FEDERATED: 1}


# --- filters and lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--include", "ACME-SHOP.Sales.*"), ["acme-shop.sales.Orders", "acme-shop.sales.items"]),
        (("--include", "*.items"), ["acme-lake-2.web.items", "acme-shop.sales.items"]),
        (("--exclude", "*.orders", "--exclude", "acme-lake-2.*"), ["acme-shop.sales.items", "acme-shop.stock.shelves"]),
        (("--include", "acme-shop.*", "--exclude", "acme-shop.sales.*"), ["acme-shop.stock.shelves"]),
    ],
)
def test_filters_select_tables_and_what_they_leave_out_is_not_asked_for(
    metadata: CopiedFolder, arguments: Sequence[str], names: list[str]
) -> None:
    relations = [table(SALES, "Orders"), table(SALES, "items"), table(STOCK, "shelves"), table(WEB, "items")]
    collected = collect(metadata, [SALES, STOCK, WEB], relations, *arguments)
    found = {".".join((each["database"], each["schema"], each["name"])): each for each in collected.records}
    assert sorted(found) == names
    assert list(found.values()) == [record(each) for each in relations if ".".join(each.path) in found]
    assert collected.skipped == {}


def test_what_the_filters_leave_out_is_not_counted(metadata: CopiedFolder) -> None:
    orders = table(SALES, "orders")
    others = [table(SALES, "late", stored=False), iceberg(SALES, "lake"), view(SALES, "v", None)]
    collected = collect(metadata, [SALES, WEB], [orders, *others], "--include", f"{SHOP}.sales.orders")
    assert collected.records == [record(orders)]
    assert collected.skipped == {}


def test_regions_without_a_selected_dataset_are_not_read(metadata: CopiedFolder) -> None:
    other = Dataset(SHOP, "sales_2", "EU", CREATED, linked_to=(LAKE, "web"))
    relations = [table(SALES, "orders"), table(STOCK, "shelves"), table(WEB, "hits")]
    collected = collect(metadata, [SALES, STOCK, WEB, other], relations, "--include", f"{SHOP}.sales.*")
    assert collected.records == [record(relations[0])]
    statements = selects(metadata)
    assert len(statements) == 4
    assert all("`acme-shop`.`region-eu`." in each for each in statements)


@pytest.mark.parametrize("arguments", [(), ("--collapse-date-shards",), ("--include", f"{SHOP}.*")])
def test_the_list_has_what_a_run_collects_and_needs_one_statement_for_each_region(
    metadata: CopiedFolder, arguments: Sequence[str]
) -> None:
    relations = [
        table(SALES, "orders_20260101"),
        table(SALES, "orders_20260102"),
        view(SALES, "recent", "SELECT 1 AS id"),
        iceberg(STOCK, "lake"),
        materialized(WEB, "totals"),
    ]
    collected = collect(metadata, [SALES, STOCK, WEB], relations, *arguments)
    before = len(selects(metadata))
    listed = metadata.run("collect", "metadata", "--list", *arguments).check().stdout.splitlines()
    names = [f"{each['database']}.{each['schema']}.{each['name']} ({each['kind']})" for each in collected.records]
    assert listed == names
    assert len(selects(metadata)) - before == len({each["schema"] for each in collected.records})


# --- date shards -----------------------------------------------------------------------------------------


def shards(metadata: CopiedFolder, relations: Sequence[Relation], *arguments: str) -> list[Record]:
    return collect(metadata, [SALES, STOCK, WEB], relations, "--collapse-date-shards", *arguments).records


def merged(name: str, *tables: Relation) -> Record:
    """One record for all shards: their sums, the latest time, the first creation, and the columns of the last one."""
    rows, sizes = [each.rows for each in tables], [each.logical_bytes for each in tables]
    together = replace(
        tables[-1],
        name=name,
        created=min(each.created for each in tables),
        rows=None if None in rows else sum(each or 0 for each in rows),
        logical_bytes=None if None in sizes else sum(each or 0 for each in sizes),
        modified=max((each.modified for each in tables if each.modified), default=None),
    )
    return record(together)


def test_date_shards_are_tables_of_their_own_without_the_option(metadata: CopiedFolder) -> None:
    relations = [table(SALES, "hits_20260101"), table(SALES, "hits_20260102")]
    assert collect(metadata, [SALES, WEB], relations).records == [record(each) for each in relations]


def test_date_shards_are_one_table_with_the_option(metadata: CopiedFolder) -> None:
    """The later shard was created and written first. Names between shards and of other datasets stay."""
    wide = (Column("id", "INT64"), Column("new", "STRING"))
    first = table(SALES, "hits_20260101", modified=CREATED + timedelta(days=600))
    second = table(SALES, "hits_20260102", columns=wide, created=CREATED - timedelta(days=1), labels={"a": "b"})
    copy, other = table(SALES, "hits_20260101_copy"), table(SALES, "hits_mobile")
    mobile = [table(SALES, f"hits_mobile_2026010{day}") for day in (3, 4)]
    elsewhere = table(STOCK, "hits_20260103")
    records = shards(metadata, [first, second, copy, other, *mobile, elsewhere])
    assert by_name(records) == by_name(
        [
            merged("hits_*", first, second),
            merged("hits_mobile_*", *mobile),
            record(copy),
            record(other),
            record(elsewhere),
        ]
    )


@pytest.mark.parametrize(
    "names",
    [
        ("hits_20261399", "hits_20260230"),  # no dates
        ("hits_20260101", "clicks_20260101"),  # two prefixes
        ("20260101", "20260102"),  # no prefix
        ("hits_2026010", "hits_202601011"),  # not eight digits
        ("hits20260101", "hits20260102"),  # no underscore
        ("hits_20260101", "hits_20261399"),
    ],
)
def test_other_names_are_not_date_shards(metadata: CopiedFolder, names: Sequence[str]) -> None:
    relations = [table(SALES, name) for name in names]
    assert by_name(shards(metadata, relations)) == by_name([record(each) for each in relations])


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_sum_with_an_unknown_part_is_unknown(metadata: CopiedFolder, unknown: int) -> None:
    relations = [table(SALES, "hits_20260101"), table(SALES, "hits_20260102")]
    relations[unknown] = replace(relations[unknown], stored=False)
    known = relations[1 - unknown]
    (found,) = shards(metadata, relations)
    expected = merged("hits_*", *relations)
    expected.pop("row_count")
    expected.pop("byte_count")
    assert known.modified
    assert found == expected | {"last_update_time": record(known)["last_update_time"]}


def test_views_are_not_shards(metadata: CopiedFolder) -> None:
    relations = [view(SALES, "v_20260101", "SELECT 1 AS id"), view(SALES, "v_20260102", "SELECT 2 AS id")]
    assert shards(metadata, relations) == [record(each) for each in relations]


SHARDED = tuple(f"hits_202{year}0101" for year in (5, 6, 7))


@pytest.mark.parametrize("is_stored", [True, False], ids=["TABLE_STORAGE", "tables.get"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--include", "*.hits_2026*"), []),
        (("--include", f"{SHOP}.sales.hits_20260101"), []),
        (("--include", "*.hits_[*]"), ["hits_*"]),
        (("--include", "*.hits_*"), ["hits_*"]),
        (("--include", "*_20260101"), ["logs_20260101"]),
        (("--include", "*.single_2026*"), ["single_20260102"]),
        (("--include", "*.single_[*]"), []),
        (("--exclude", "*.hits_2026*"), ["hits_*", "logs_20260101", "orders", "single_20260102"]),
        (("--exclude", "*.hits_[*]"), ["logs_20260101", "orders", "single_20260102"]),
        (("--exclude", "*.single_20*"), ["hits_*", "logs_20260101", "orders"]),
    ],
)
def test_filters_select_shards_by_the_name_that_is_sent(
    metadata: CopiedFolder, arguments: Sequence[str], expected: Sequence[str], is_stored: bool
) -> None:
    """``logs_*`` has one shard in each of two datasets, so each is a table of its own."""
    sharded = [table(SALES, name) for name in SHARDED]
    others = [table(SALES, name) for name in ("orders", "single_20260102")]
    logs = [table(SALES, "logs_20260101"), table(STOCK, "logs_20260103")]
    metadata.server.load(warehouse([SALES, STOCK, WEB], [*sharded, *others, *logs]))
    if not is_stored:
        turn_storage_off(metadata.server, SHOP, "eu")
    option = "--collapse-date-shards"
    found = metadata.collect("metadata", option, *arguments).records
    whole = [merged("hits_*", *sharded), record(logs[0]), *map(record, others)]
    in_sales = [each for each in by_name(found) if each["schema"] == "sales"]
    assert in_sales == [each for each in by_name(whole) if each["name"] in expected]
    listed = metadata.run("collect", "metadata", "--list", option, *arguments).check().stdout.splitlines()
    assert [line.split(" ")[0] for line in listed] == [f"{SHOP}.{each['schema']}.{each['name']}" for each in found]


def test_shards_that_no_filter_selects_are_not_asked_for_their_volume(metadata: CopiedFolder) -> None:
    relations = [table(SALES, name) for name in (*SHARDED, "clicks_20260101", "clicks_20260102", "orders")]
    metadata.server.load(warehouse([SALES, WEB], relations))
    turn_storage_off(metadata.server, SHOP, "eu")
    metadata.collect("metadata", "--collapse-date-shards", "--include", "*.hits_[*]")
    assert sorted(requested(metadata)) == sorted(SHARDED)
