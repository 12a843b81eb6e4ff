"""Converts the neutral model to a warehouse of Iceberg tables, and to the records that are expected of it.

All tables and views of the model are managed Iceberg tables. BigQuery shows their names, columns and jobs, but neither
rows nor bytes. Another engine wrote the tables when the model says, and those that are views in the model when they
were created. The warehouse also has a native table, a view of an Iceberg table and a query of the native table. They
are not expected in the manifest.
https://docs.cloud.google.com/bigquery/docs/biglake-iceberg-tables-in-bigquery
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.warehouses.bigquery import from_model, model_records
from tests.warehouses.bigquery.truth import Column, Job, Relation, Warehouse
from tests.warehouses.harness import Flow, Record
from tests.warehouses.model import Model, Path, Table

KIND = "iceberg table"  # of the expected records
ROWS_OF_A_MINUTE = 77


# --- the warehouse --------------------------------------------------------------------------------------


def warehouse(model: Model) -> Warehouse:
    found = from_model.warehouse(model)
    found.relations = [_iceberg(relation) for relation in found.relations]
    regions = {(dataset.project, dataset.name): dataset.region for dataset in found.datasets}
    minutes = [
        (table.path[0], regions[table.path[:2]], _minute(table, written_by_others(table))) for table in model.tables
    ]
    found.rows = {"WRITE_API_TIMELINE": minutes}
    if model.tables:
        _add_others(found, model)
    return found


def _iceberg(relation: Relation) -> Relation:
    return replace(
        relation,
        kind="BASE TABLE",
        managed="BIGLAKE",
        stored=False,
        definition=None,
        ddl=f'CREATE TABLE … OPTIONS(\n  table_format="ICEBERG",\n  storage_uri="{folder(relation.path)}");',
    )


def folder(path: Path) -> str:
    """The folder with the files of a table."""
    return f"gs://mc-demo/{'/'.join(path)}"


def written_by_others(table: Table) -> datetime:
    """The start of the minute in which another engine wrote a table."""
    return (table.modified or table.created).replace(second=0)


def _minute(table: Table, start: datetime) -> Mapping[str, Any]:
    project, dataset, name = table.path
    return {
        "start_timestamp": start,
        "project_id": project,
        "dataset_id": dataset,
        "table_id": name,
        "stream_type": "DEFAULT",
        "error_code": "OK",
        "total_requests": 3,
        "total_rows": ROWS_OF_A_MINUTE,
    }


def _add_others(found: Warehouse, model: Model) -> None:
    """Add what is not Iceberg's: a native table, a view, and a query of the native table."""
    first = found.datasets[0]
    columns = (Column("id", "INT64"),)
    native = Relation(first.project, first.name, "native", columns, first.created, rows=5, modified=model.since)
    view = replace(native, name="of_iceberg", kind="VIEW", managed=None, definition="SELECT 1 AS id")
    found.relations += [native, view]
    start = model.since + timedelta(minutes=3)
    row = {
        "project_id": first.project,
        "job_id": "bquxjob_of_native",
        "job_type": "QUERY",
        "statement_type": "SELECT",
        "state": "DONE",
        "user_email": "ana",
        "creation_time": start,
        "start_time": start,
        "end_time": start + timedelta(seconds=5),
        "query": "SELECT id FROM native",
        "referenced_tables": [from_model.reference(native.path)],
    }
    found.jobs.append(Job(first.region, row))


# --- expected records -----------------------------------------------------------------------------------


def expected(model: Model, flow: Flow) -> list[Record]:
    if flow != "metadata":
        return model_records.expected(model, flow)
    return [_record(model, table) for table in model.tables]


def _record(model: Model, table: Table) -> Record:
    """Like a native table's record, with another freshness and without rows and bytes."""
    as_table = replace(table, source=None, rows=None, size=None, modified=last_written(model, table))
    location = {"key": "external_location", "value": folder(table.path)}
    return model_records.table_record(model, as_table) | {"kind": KIND, "tags": [location]}


def last_written(model: Model, table: Table) -> datetime:
    """The last write that BigQuery knows: of a job, or of another engine through the Storage Write API."""
    jobs = [query.end for query in model.queries if query.target == table.path and not query.error]
    return max([*jobs, written_by_others(table)])
