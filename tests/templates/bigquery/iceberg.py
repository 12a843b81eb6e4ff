"""A small lake for the tests of the Iceberg folder: managed Iceberg tables in two projects and two regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.templates.bigquery.running import Folder, query_job, reference
from tests.templates.bigquery.world import CREATED, LAB, SHOP
from tests.warehouses.bigquery.truth import Column, Dataset, Job, Relation, Warehouse

NOW = datetime.now(timezone.utc).replace(microsecond=0)
ORDERS, ITEMS, PROBES = f"{SHOP}.lake.orders", f"{SHOP}.lake_de.items", f"{LAB}.probes.samples"
TABLES = (ORDERS, ITEMS, PROBES)
REGIONS = {(SHOP, "lake"): "EU", (SHOP, "lake_de"): "europe-west3", (LAB, "probes"): "EU"}
COLUMNS = (Column("id", "INT64"), Column("name", "STRING"))


def iceberg(path: str, **more: Any) -> Relation:
    """A managed Iceberg table, as BigQuery shows it."""
    project, dataset, name = path.split(".")
    ddl = (
        f"CREATE TABLE `{path}`\n(\n  id INT64\n)\nWITH CONNECTION `eu.lake`\n"
        f'OPTIONS(\n  file_format="PARQUET",\n  table_format="ICEBERG",\n  storage_uri="{place_of(path)}"\n);'
    )
    table = Relation(project, dataset, name, COLUMNS, CREATED, managed="BIGLAKE", stored=False, ddl=ddl)
    return replace(table, **more)


def place_of(path: str) -> str:
    return f"gs://lake/{path.replace('.', '/')}"


def native(path: str, **more: Any) -> Relation:
    project, dataset, name = path.split(".")
    table = Relation(
        project, dataset, name, COLUMNS, CREATED, rows=3, logical_bytes=30, modified=NOW - timedelta(hours=1)
    )
    return replace(table, **more)


def lake(
    *jobs: Job, relations: tuple[Relation, ...] | None = None, rows: Mapping[str, list[Any]] | None = None
) -> Warehouse:
    datasets = [Dataset(project, name, region, CREATED) for (project, name), region in REGIONS.items()]
    return Warehouse(
        projects=[SHOP, LAB],
        datasets=datasets,
        relations=list(relations) if relations is not None else [iceberg(path) for path in TABLES],
        jobs=list(jobs),
        rows=dict(rows or {}),
    )


def write(path: str, end: datetime, job_id: str = "insert_1", /, *, project: str = "", **columns: Any) -> Job:
    """A job that inserted rows into a table, in the region of its dataset. ``project``: where it ran."""
    own, dataset, _ = path.split(".")
    found: dict[str, Any] = {
        "statement_type": "INSERT",
        "destination_table": reference(path),
        "dml_statistics": {"inserted_row_count": 2, "updated_row_count": 0, "deleted_row_count": 0},
    }
    return query_job(project or own, REGIONS[own, dataset], job_id, end, **{**found, **columns})


def minute(path: str, start: datetime, **columns: Any) -> tuple[str, str, dict[str, Any]]:
    """A row of WRITE_API_TIMELINE, with its project and region."""
    project, dataset, name = path.split(".")
    row = {
        "start_timestamp": start,
        "project_id": project,
        "dataset_id": dataset,
        "table_id": name,
        "stream_type": "DEFAULT",
        "error_code": "OK",
        "total_requests": 1,
        "total_rows": 5,
    }
    return project, REGIONS[project, dataset], {**row, **columns}


def freshness(folder: Folder, *arguments: str) -> dict[str, str | None]:
    """The freshness of each collected table by name."""
    collected = folder.collect("metadata", "--only-freshness-and-volume", *arguments)
    return {
        ".".join((record["database"], record["schema"], record["name"])): record.get("last_update_time")
        for record in collected.records
    }
