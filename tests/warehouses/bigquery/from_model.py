"""Converts the neutral model to a BigQuery warehouse: databases are projects, schemas are datasets.

Data that only BigQuery has (regions, job ids, figures of jobs) is derived from the model. ``model_records.py`` uses the
same functions for the expected records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.warehouses.bigquery.truth import Column, Dataset, Job, Path, Relation, Warehouse
from tests.warehouses.model import ColumnType, Model, Query, Table

DIALECT = "bigquery"
PROJECTS = ("mc-demo-shop", "mc-demo-archive")
# The regions of each project's datasets, in order of appearance. The last region has all further datasets.
REGIONS = {PROJECTS[0]: ("US", "EU"), PROJECTS[1]: ("europe-west3",)}
TYPES: dict[ColumnType, str] = {
    "integer": "INT64",
    "decimal": "NUMERIC(12, 2)",
    "text": "STRING(40)",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOL",
}
ANY_NUMBER = 987_654_321  # of a query text that is written only once and reused with other numbers
ERROR_REASON = "invalidQuery"
PRIORITY = "INTERACTIVE"
DELETED_ROWS = 50_000


def warehouse(model: Model) -> Warehouse:
    found = datasets(model)
    regions = {(dataset.project, dataset.name): dataset.region for dataset in found}
    texts = Texts(model)
    jobs = [job(query, regions[(query.target or query.path)[:2]], texts.of(query)) for query in model.queries]
    return Warehouse(
        projects=PROJECTS,
        datasets=found,
        relations=[relation(model, table, number) for number, table in enumerate(model.tables, 1)],
        jobs=jobs + [running(each) for each in jobs[:1]],
        rows={"TABLE_STORAGE": [dropped(found[0], table) for table in model.tables[:1]]},
    )


# --- metadata -------------------------------------------------------------------------------------------


def datasets(model: Model) -> list[Dataset]:
    """The datasets of the model's tables, with their regions."""
    by_project: dict[str, dict[str, datetime]] = {}
    for table in model.tables:
        project, dataset, _ = table.path
        by_project.setdefault(project, {}).setdefault(dataset, table.created - timedelta(days=7))
    return [
        Dataset(project, name, _region(project, place), created)
        for project, names in by_project.items()
        for place, (name, created) in enumerate(names.items())
    ]


def _region(project: str, place: int) -> str:
    regions = REGIONS[project]
    return regions[min(place, len(regions) - 1)]


def relation(model: Model, table: Table, number: int) -> Relation:
    """A table or view. ``number`` makes values distinct that the records must not contain."""
    project, dataset, name = table.path
    return Relation(
        project,
        dataset,
        name,
        columns=tuple(Column(each.name, TYPES[each.type], each.comment) for each in table.columns),
        created=table.created,
        kind="VIEW" if table.is_view else "BASE TABLE",
        managed=None if table.is_view else "NATIVE",
        description=table.comment,
        rows=table.rows,
        logical_bytes=table.size,
        physical_bytes=None if table.size is None else table.size // 3 + number,
        modified=table.modified,
        definition=model.definition(table, DIALECT) if table.is_view else None,
    )


def dropped(dataset: Dataset, table: Table) -> tuple[str, str, dict[str, Any]]:
    """The row of a dropped table whose name a table has again. It is not expected in the manifest."""
    _, schema, name = table.path
    place = {"project_id": dataset.project, "table_catalog": dataset.project, "table_schema": schema}
    figures = {"total_rows": 5, "total_logical_bytes": 6, "storage_last_modified_time": table.created}
    return dataset.project, dataset.region, place | {"table_name": name, "deleted": True} | figures


# --- jobs -----------------------------------------------------------------------------------------------


class Texts:
    """The texts of a model's queries. Writing each would take minutes for many queries."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._written: dict[tuple[Path, Path | None], str] = {}

    def of(self, query: Query) -> str:
        key = query.path, query.target
        if key not in self._written:
            self._written[key] = self._model.text(replace(query, number=ANY_NUMBER), DIALECT)
        return self._written[key].replace(str(ANY_NUMBER), str(query.number))


def project_of(query: Query) -> str:
    """The project that ran a query: that of its target, or of the table that it read."""
    return (query.target or query.path)[0]


def job_id(query: Query) -> str:
    return f"bquxjob_{query.number:08x}_19a{query.number:05d}"


def session_id(query: Query) -> str:
    return f"session-{query.session}"


def statement_type(query: Query) -> str:
    return "INSERT" if query.target else "SELECT"


def figures(query: Query) -> dict[str, int]:
    """Columns of JOBS with values that are distinct across columns and queries."""
    number = query.number
    return {
        "total_bytes_processed": 1_000_000_000 + number,
        "total_bytes_billed": 2_000_000_000 + number,
        "total_slot_ms": 3_000_000 + number,
    }


def query_hash(query: Query) -> str:
    return f"hash of {query.number}"


def changed_rows(query: Query) -> tuple[int | None, int, int]:
    """The rows that a statement inserted, updated and deleted."""
    return query.rows, 20_000 + query.number, DELETED_ROWS + query.number


def job(query: Query, region: str, text: str) -> Job:
    """The row of a query in JOBS. A job is created a second before it starts."""
    ok = query.error is None
    row: dict[str, Any] = {
        "project_id": project_of(query),
        "job_id": job_id(query),
        "job_type": "QUERY",
        "statement_type": statement_type(query),
        "priority": PRIORITY,
        "state": "DONE",
        "user_email": query.user,
        "creation_time": query.start - timedelta(seconds=1),
        "start_time": query.start,
        "end_time": query.end,
        "query": text,
        "cache_hit": False,
        "session_info": {"session_id": session_id(query)},
        "destination_table": reference(query.target) if query.target else _anonymous(query),
        "referenced_tables": [reference(path) for path in _referenced(query)],
        "error_result": None if ok else {"reason": ERROR_REASON, "message": query.error},
        "query_info": {"query_hashes": {"normalized_literals": query_hash(query)}},
        **figures(query),
    }
    if query.target and ok:
        inserted, updated, deleted = changed_rows(query)
        row["dml_statistics"] = {
            "inserted_row_count": inserted,
            "updated_row_count": updated,
            "deleted_row_count": deleted,
        }
    return Job(region, row)


def running(like: Job) -> Job:
    """A job that has started at the same time and has not ended. It is not expected in the manifest."""
    row = dict(like.row) | {"job_id": "bquxjob_running", "state": "RUNNING", "end_time": None, "error_result": None}
    return Job(like.region, row)


def reference(path: Sequence[str]) -> dict[str, str]:
    return dict(zip(("project_id", "dataset_id", "table_id"), path, strict=True))


def _anonymous(query: Query) -> dict[str, str]:
    """The temporary table with the result of a SELECT. Its dataset is hidden."""
    return reference((project_of(query), f"_{query.session:040x}", f"anon{query.number:064x}"))


def _referenced(query: Query) -> list[Path]:
    """The tables of a job: a statement that writes refers to its target too, and a failed one to the same tables."""
    return [query.path, query.target] if query.target else [query.path]
