"""The expected manifest records of a neutral model, derived from the model and not by the code under test.

They follow the folder's documentation: README.md and references/manifest.md. Data that only Databricks has is in
``from_model.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.warehouses.databricks.from_model import (
    APPLICATION,
    DIALECT,
    DRIVER,
    TYPES,
    WAREHOUSE_ID,
    WORKSPACE,
    Texts,
    figures,
    session_id,
    statement_id,
    statement_type,
)
from tests.warehouses.databricks.truth import OWNER
from tests.warehouses.harness import Flow, Record
from tests.warehouses.model import Column, Model, Path, Query, Table

SENT_FIGURES = (
    "execution_duration_ms",
    "compilation_duration_ms",
    "waiting_for_compute_duration_ms",
    "waiting_at_capacity_duration_ms",
    "result_fetch_duration_ms",
    "total_task_duration_ms",
    "read_rows",
    "read_files",
    "read_bytes",
    "spilled_local_bytes",
    "written_bytes",
)


def expected(model: Model, flow: Flow) -> list[Record]:
    records: dict[Flow, Callable[[Model], list[Record]]] = {
        "metadata": metadata,
        "lineage": lineage,
        "query_logs": query_logs,
    }
    return records[flow](model)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _known(**values: Any) -> Record:
    return {name: value for name, value in values.items() if value is not None}


# --- metadata -------------------------------------------------------------------------------------------


def metadata(model: Model) -> list[Record]:
    return [table_record(model, table) for table in model.tables]


def table_record(model: Model, table: Table) -> Record:
    database, schema, name = table.path
    return _known(
        type="VIEW" if table.is_view else "TABLE",
        kind="view" if table.is_view else "managed table",
        database=database,
        schema=schema,
        name=name,
        description=table.comment,
        created_on=_iso(table.created),
        row_count=table.rows,
        byte_count=table.size,
        last_update_time=_iso(table.modified),
        view_query=model.definition(table, DIALECT) if table.is_view else None,
        fields=[_field(column) for column in table.columns],
    )


def _field(column: Column) -> Record:
    return _known(name=column.name, type=TYPES[column.type], description=column.comment)


# --- lineage --------------------------------------------------------------------------------------------


def lineage(model: Model) -> list[Record]:
    """One record for each target of the window, and for each view, which a job has created again in it."""
    written: dict[Path, set[Path]] = {view.path: {view.source} for view in model.tables if view.source}
    for query in model.queries:
        if query.target and not query.error and model.since <= query.end < model.until:
            written.setdefault(query.target, set()).add(query.path)
    return [_edge(model, target, sorted(sources)) for target, sources in written.items()]


def _edge(model: Model, target: Path, sources: list[Path]) -> Record:
    """An edge with columns by name. A column has the same name as its source column."""
    columns: dict[str, list[Record]] = {}
    for place, source in enumerate(sources):
        for column in model.table(source).columns:
            columns.setdefault(column.name, []).append({"source": place, "name": column.name})
    return {
        "destination": _asset(model, target),
        "sources": [_asset(model, source) for source in sources],
        "columns": [{"name": name, "sources": each} for name, each in sorted(columns.items())],
        "origin": "table_lineage",
        "certainty": "exact",
    }


def _asset(model: Model, path: Path) -> Record:
    kind = "VIEW" if model.table(path).is_view else "TABLE"
    return dict(zip(("type", "database", "schema", "name"), (kind, *path), strict=True))


# --- query logs -----------------------------------------------------------------------------------------


def query_logs(model: Model) -> list[Record]:
    texts = Texts(model)
    return [_query(query, texts) for query in model.queries if model.since <= query.end < model.until]


def _query(query: Query, texts: Texts) -> Record:
    status = "FAILED" if query.error else "FINISHED"
    figures_of_query = figures(query)
    return _known(
        query_id=statement_id(query),
        start_time=_iso(query.start),
        end_time=_iso(query.end),
        query_text=texts.of(query),
        user=query.user,
        returned_rows=None if query.target else query.rows,
        error_code=status if query.error else None,
        error_text=query.error,
        extra=_known(
            **_place(query),
            workspace_id=WORKSPACE,
            session_id=session_id(query),
            execution_status=status,
            statement_type=statement_type(query),
            executed_as=OWNER,
            compute_type="WAREHOUSE",
            warehouse_id=WAREHOUSE_ID,
            client_application=APPLICATION,
            client_driver=DRIVER,
            total_duration_ms=query.seconds * 1000,
            **{name: figures_of_query[name] for name in SENT_FIGURES},
            written_rows=query.rows if query.target else None,
            from_result_cache=False,
        ),
    )


def _place(query: Query) -> Record:
    """The only catalog, and the only schema, of the tables of a statement. Failed ones have no lineage."""
    paths = [path for path in (query.path, query.target) if path and not query.error]
    databases, schemas = {path[0] for path in paths}, {path[:2] for path in paths}
    if len(databases) != 1:
        return {}
    return {"database": databases.pop(), **({"schema": schemas.pop()[1]} if len(schemas) == 1 else {})}
