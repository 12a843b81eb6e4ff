"""A small warehouse for the tests of the connection: two projects, three regions, every kind of dataset."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from tests.warehouses.bigquery.truth import Column, Dataset, Relation, Warehouse

SHOP, LAB = "mc-shop-prod", "mc-lab-dev"
PROJECTS = (SHOP, LAB)
CREATED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)


def table(dataset: Dataset, name: str, rows: int) -> Relation:
    return Relation(
        dataset.project,
        dataset.name,
        name,
        (Column("id", "INT64"), Column(f"{name}_note", "STRING")),
        CREATED,
        rows=rows,
        logical_bytes=rows * 7,
        physical_bytes=rows * 3,
        modified=CREATED + timedelta(hours=rows),
    )


def small() -> Warehouse:
    sales = Dataset(SHOP, "sales", "EU", CREATED)
    stock = Dataset(SHOP, "stock", "europe-west3", CREATED)
    probes = Dataset(LAB, "probes", "EU", CREATED)
    return Warehouse(
        projects=list(PROJECTS),
        datasets=[sales, stock, probes],
        relations=[
            table(sales, "orders", 11),
            table(sales, "items", 13),
            table(stock, "shelves", 17),
            table(probes, "samples", 19),
        ],
    )


ALL_TABLES = [
    f"{SHOP}.sales.items",
    f"{SHOP}.sales.orders",
    f"{SHOP}.stock.shelves",
    f"{LAB}.probes.samples",
]
