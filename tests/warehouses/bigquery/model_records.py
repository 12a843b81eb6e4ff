"""The expected manifest records of a neutral model, derived from the model and not by the code under test.

They follow the folder's documentation: README.md and references/manifest.md. Data that only BigQuery has is in
``from_model.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.warehouses.bigquery.from_model import (
    DIALECT,
    ERROR_REASON,
    PRIORITY,
    TYPES,
    Texts,
    changed_rows,
    datasets,
    figures,
    job_id,
    project_of,
    query_hash,
    session_id,
    statement_type,
)
from tests.warehouses.harness import Flow, Record
from tests.warehouses.model import Column, Model, Path, Query, Table


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
        kind="view" if table.is_view else "table",
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
    """Views from their definitions, and one record for each target of the window."""
    views = [
        _edge(model, view.path, [view.source], "view_definition", "parsed") for view in model.tables if view.source
    ]
    written: dict[Path, set[Path]] = {}
    for query in model.queries:
        if query.target and not query.error and model.since <= query.end < model.until:
            written.setdefault(query.target, set()).add(query.path)
    return views + [
        _edge(model, target, sorted(sources, key=".".join), "jobs", "exact") for target, sources in written.items()
    ]


def _edge(model: Model, target: Path, sources: list[Path], origin: str, certainty: str) -> Record:
    """An edge with columns by name. A column has the same name as its source column."""
    columns: dict[str, list[Record]] = {}
    for place, source in enumerate(sources):
        for column in model.table(source).columns:
            columns.setdefault(column.name, []).append({"source": place, "name": column.name})
    return {
        "destination": _asset(model, target),
        "sources": [_asset(model, source) for source in sources],
        "columns": [{"name": name, "sources": each} for name, each in sorted(columns.items())],
        "origin": origin,
        "certainty": certainty,
    }


def _asset(model: Model, path: Path) -> Record:
    kind = "VIEW" if model.table(path).is_view else "TABLE"
    return dict(zip(("type", "database", "schema", "name"), (kind, *path), strict=True))


# --- query logs -----------------------------------------------------------------------------------------


def query_logs(model: Model) -> list[Record]:
    texts = Texts(model)
    regions = {(dataset.project, dataset.name): dataset.region for dataset in datasets(model)}
    ended = [query for query in model.queries if model.since <= query.end < model.until]
    return [_query(query, texts, regions[(query.target or query.path)[:2]]) for query in ended]


def _query(query: Query, texts: Texts, region: str) -> Record:
    extra = _known(
        database=project_of(query),
        location=region,
        session_id=session_id(query),
        job_type="QUERY",
        statement_type=statement_type(query),
        priority=PRIORITY,
        query_hash=query_hash(query),
        **figures(query),
        cache_hit=False,
    )
    if query.target and not query.error:
        inserted, updated, deleted = changed_rows(query)
        extra |= {"rows_inserted": inserted, "rows_updated": updated, "rows_deleted": deleted}
    return _known(
        query_id=job_id(query),
        start_time=_iso(query.start),
        end_time=_iso(query.end),
        query_text=texts.of(query),
        user=query.user,
        error_code=ERROR_REASON if query.error else None,
        error_text=query.error,
        extra=extra,
    )
