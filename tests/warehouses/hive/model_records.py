"""The expected manifest records of a neutral model, derived from the model and not by the code under test.

They follow the folder's documentation: README.md and references/manifest.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.warehouses.harness import Flow, Record
from tests.warehouses.hive.from_model import CATALOG, TYPES, expanded_text
from tests.warehouses.hive.model_log import Statement, statements
from tests.warehouses.model import Column, Model, Path, Table


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
    return [_table(model, table) for table in model.tables]


def _table(model: Model, table: Table) -> Record:
    database, schema, name = table.path
    return _known(
        type="VIEW" if table.is_view else "TABLE",
        kind="virtual view" if table.is_view else "managed table",
        database=database,
        schema=schema,
        name=name,
        description=table.comment,
        created_on=_iso(table.created),
        row_count=table.rows,
        byte_count=table.size,
        last_update_time=_iso(table.modified),
        view_query=expanded_text(model, table) if table.is_view else None,
        fields=[_field(column) for column in table.columns],
    )


def _field(column: Column) -> Record:
    return _known(name=column.name, type=TYPES[column.type], description=column.comment)


# --- lineage --------------------------------------------------------------------------------------------


def lineage(model: Model) -> list[Record]:
    """One record for each view and for each table written to. Both come from the texts of statements."""
    written: dict[Path, set[Path]] = {view.path: {view.source} for view in model.tables if view.source}
    for query in model.queries:
        if query.target and not query.error and model.since <= query.end < model.until:
            written.setdefault(query.target, set()).add(query.path)
    return [_edge(model, target, sorted(sources, key=".".join)) for target, sources in written.items()]


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
        "origin": "query_text",
        "certainty": "parsed",
    }


def _asset(model: Model, path: Path) -> Record:
    kind = "VIEW" if model.table(path).is_view else "TABLE"
    return dict(zip(("type", "database", "schema", "name"), (kind, *path), strict=True))


# --- query logs -----------------------------------------------------------------------------------------


def query_logs(model: Model) -> list[Record]:
    return [_query(each) for each in statements(model) if model.since <= each.end < model.until]


def _query(statement: Statement) -> Record:
    """The log does not show the database of a session that sent no USE."""
    return _known(
        query_id=statement.query_id,
        start_time=_iso(statement.start),
        end_time=_iso(statement.end),
        query_text=statement.text,
        user=statement.user,
        error_code="failed" if statement.error else None,
        error_text=statement.error,
        extra={
            "database": CATALOG,
            "session_id": statement.session,
            "status": "failed" if statement.error else "finished",
        },
    )
