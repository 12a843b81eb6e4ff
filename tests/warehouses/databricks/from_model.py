"""Converts the neutral model to a Databricks workspace: databases are catalogs of Unity Catalog.

Data that only Databricks has (statement ids, figures of statements, lineage rows) is derived from the model.
``model_records.py`` uses the same functions for the expected records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.warehouses.databricks.catalog import HIVE
from tests.warehouses.databricks.truth import OWNER, Column, Commit, Relation, Warehouse
from tests.warehouses.model import ColumnType, Model, Path, Query, Table

DIALECT = "databricks"
CATALOGS = ("main_shop", "archive")
TYPES: dict[ColumnType, str] = {
    "integer": "int",
    "decimal": "decimal(12,2)",
    "text": "varchar(40)",
    "timestamp": "timestamp",
    "boolean": "boolean",
}
ANY_NUMBER = 987_654_321  # of a query text that is written only once and reused with other numbers
WORKSPACE, WAREHOUSE_ID = "1234567890123456", "ec58ee3772e8d305"
APPLICATION, DRIVER = "Databricks SQL Editor", "Databricks JDBC Driver"
LINEAGE = "system.access.table_lineage"
COLUMN_LINEAGE = "system.access.column_lineage"
HISTORY = "system.query.history"
MANY_COMMITS = 60
OPTIMIZED = timedelta(hours=5)  # after the last write: a collector that takes it for a write is noticed
Row = dict[str, Any]


def warehouse(model: Model) -> Warehouse:
    texts = Texts(model)
    history = [statement(query, texts.of(query)) for query in model.queries]
    lineage = [row for query in model.queries for row in table_lineage(model, query)]
    lineage += [row for number, view in enumerate(views(model), 1) for row in view_lineage(model, view, number)]
    columns = [row for query in model.queries for row in column_lineage(model, query)]
    columns += [row for number, view in enumerate(views(model), 1) for row in view_columns(model, view, number)]
    return Warehouse(
        catalogs=CATALOGS,
        relations=[relation(model, table) for table in model.tables],
        schemas=[(HIVE, "default")],  # each workspace has a Hive metastore. The model has no place for its tables.
        rows={HISTORY: list(history), LINEAGE: list(lineage), COLUMN_LINEAGE: list(columns)},
    )


# --- metadata -------------------------------------------------------------------------------------------


def relation(model: Model, table: Table) -> Relation:
    catalog, schema, name = table.path
    return Relation(
        catalog,
        schema,
        name,
        columns=tuple(Column(each.name, TYPES[each.type], each.comment) for each in table.columns),
        created=table.created,
        kind="VIEW" if table.is_view else "MANAGED",
        comment=table.comment,
        rows=table.rows,
        # between two daily snapshots, DESCRIBE DETAIL knows more than the newest one
        size=table.size,
        active_bytes=table.size,
        history=_history(table),
        definition=model.definition(table, DIALECT) if table.is_view else None,
    )


def _history(table: Table) -> tuple[Commit, ...]:
    if table.modified is None:
        return ()
    created = Commit(0, table.created, "CREATE TABLE")
    written = Commit(1, table.modified, "WRITE", {"numOutputRows": "5"})
    # In some tables, the write is not among the newest commits.
    number = MANY_COMMITS if (table.rows or 0) % 10 == 1 else 1
    later = [Commit(2 + at, table.modified + OPTIMIZED + timedelta(minutes=at), "OPTIMIZE") for at in range(number)]
    return created, written, *later


# --- statements -----------------------------------------------------------------------------------------


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


def statement_id(query: Query) -> str:
    return f"01f0a7c2-0000-4000-8000-{query.number:012}"


def session_id(query: Query) -> str:
    return f"01f0a7c1-0000-4000-8000-{query.session:012}"


def statement_type(query: Query) -> str:
    return "INSERT" if query.target else "SELECT"


def figures(query: Query) -> dict[str, int]:
    """Columns of the history with values that are distinct across columns and queries."""
    number = query.number
    return {
        "execution_duration_ms": 1_000_000 + number,
        "compilation_duration_ms": 2_000_000 + number,
        "waiting_for_compute_duration_ms": 3_000_000 + number,
        "waiting_at_capacity_duration_ms": 4_000_000 + number,
        "result_fetch_duration_ms": 5_000_000 + number,
        "total_task_duration_ms": 6_000_000 + number,
        "read_rows": 7_000_000 + number,
        "read_files": 8_000_000 + number,
        "read_bytes": 9_000_000_000 + number,
        "spilled_local_bytes": 11_000_000_000 + number,
        "written_bytes": 12_000_000_000 + number,
    }


def statement(query: Query, text: str) -> Row:
    """The row of a statement in system.query.history."""
    return {
        "workspace_id": WORKSPACE,
        "statement_id": statement_id(query),
        "session_id": session_id(query),
        "execution_status": "FAILED" if query.error else "FINISHED",
        "compute": {"type": "WAREHOUSE", "cluster_id": None, "warehouse_id": WAREHOUSE_ID},
        "executed_by": query.user,
        "executed_as": OWNER,
        "statement_text": text,
        "statement_type": statement_type(query),
        "error_message": query.error,
        "client_application": APPLICATION,
        "client_driver": DRIVER,
        "start_time": query.start,
        "end_time": query.end,
        "update_time": query.end + timedelta(seconds=1),
        "total_duration_ms": query.seconds * 1000,
        "produced_rows": None if query.target else query.rows,
        "written_rows": query.rows if query.target else None,
        "from_result_cache": False,
        **figures(query),
    }


# --- lineage --------------------------------------------------------------------------------------------


def table_lineage(model: Model, query: Query) -> Iterator[Row]:
    """The rows of a statement: of what it read and wrote. A read has no target. Failed statements have none."""
    if query.error:
        return
    common = _of_query(query, "table")
    source, target = _side(model, "source", query.path), _side(model, "target", query.target)
    yield common | source | target | {"direct_access": True, "record_id": f"{common['event_id']}-1"}
    if query.target:
        # of a base table, which the statement did not name
        hidden = {"source_table_name": "base", "source_table_full_name": "x.y.base", "direct_access": False}
        yield common | source | target | hidden | {"record_id": f"{common['event_id']}-2"}


def column_lineage(model: Model, query: Query) -> Iterator[Row]:
    """A row for each column that was read, with the column of the same name that was written."""
    if query.error:
        return
    common = _of_query(query, "column")
    place = _side(model, "source", query.path) | _side(model, "target", query.target)
    for at, column in enumerate(model.table(query.path).columns):
        written = column.name if query.target else None
        names = {"source_column_name": column.name, "target_column_name": written}
        yield common | place | names | {"record_id": f"{common['event_id']}-{at}"}


def views(model: Model) -> list[Table]:
    return [table for table in model.tables if table.source]


def view_lineage(model: Model, view: Table, number: int) -> Iterator[Row]:
    """A job has created the view again, in the model's window. It runs on compute without statement ids."""
    common = _of_view(model, view, number, "table")
    sides = _side(model, "source", view.source) | _side(model, "target", view.path)
    yield common | sides | {"direct_access": True, "record_id": f"{common['event_id']}-1"}


def view_columns(model: Model, view: Table, number: int) -> Iterator[Row]:
    common = _of_view(model, view, number, "column")
    sides = _side(model, "source", view.source) | _side(model, "target", view.path)
    for at, column in enumerate(view.columns):
        names = {"source_column_name": column.name, "target_column_name": column.name}
        yield common | sides | names | {"record_id": f"{common['event_id']}-{at}"}


def _of_view(model: Model, view: Table, number: int, of: str) -> Row:
    time = model.since + timedelta(seconds=number)
    return {
        "workspace_id": WORKSPACE,
        "entity_type": "JOB",
        "entity_id": "job-7",
        "entity_run_id": f"run-{number}",
        "created_by": "etl",
        "event_time": time,
        "event_date": time.date(),
        "event_id": f"{of}-event-of-view-{number}",
        "entity_metadata": {"job_info": {"job_id": "job-7", "job_run_id": f"run-{number}"}},
    }


def _of_query(query: Query, of: str) -> Row:
    return {
        "workspace_id": WORKSPACE,
        "entity_type": "DBSQL_QUERY",
        "entity_id": f"entity-{query.number}",
        "entity_run_id": statement_id(query),
        "created_by": query.user,
        "event_time": query.end,
        "event_date": query.end.date(),
        "event_id": f"{of}-event-{query.number}",
        "statement_id": statement_id(query),
        "entity_metadata": {"sql_query_id": f"sql-{query.number}"},
    }


def _side(model: Model, side: str, path: Path | None) -> Row:
    if path is None:
        return {}
    names = dict(zip(("catalog", "schema", "name"), path, strict=True)) | {"full_name": ".".join(path)}
    kind = "VIEW" if model.table(path).is_view else "TABLE"
    return {f"{side}_table_{name}": value for name, value in names.items()} | {f"{side}_type": kind}
