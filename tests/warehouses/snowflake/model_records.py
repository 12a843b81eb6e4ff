"""The expected manifest records of a neutral model, derived from the model and not by the code under test.

They follow the folder's documentation: README.md and references/manifest.md. Data that only Snowflake has is in
``model_account.py``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.warehouses.harness import Record
from tests.warehouses.model import Column, Model, Path, Query, Table
from tests.warehouses.snowflake.model_account import (
    DIALECT,
    TYPES,
    definition,
    dynamic_source,
    error_code,
    extra,
    kind_of,
    query_id,
    refreshed,
    tags_of,
)
from tests.warehouses.snowflake.shop_model import spelled

OVERLAP = timedelta(hours=6)  # README.md: lineage is read from this long before its window


def metadata(model: Model) -> list[Record]:
    return [_table(model, table) for table in model.tables]


def lineage(model: Model) -> list[Record]:
    return [*_written(model), *_dynamic(model), *(_view(model, table) for table in model.tables if table.is_view)]


def query_logs(model: Model) -> list[Record]:
    return [_query(model, query) for query in model.queries if model.since <= query.end < model.until]


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _known(**values: Any) -> Record:
    return {name: value for name, value in values.items() if value is not None}


# --- metadata ---------------------------------------------------------------------------------------------


def _table(model: Model, table: Table) -> Record:
    database, schema, name = table.path
    kind = kind_of(model, table)
    updated = refreshed(table) if kind == "materialized view" else table.modified
    return _known(
        type="VIEW" if table.is_view else "TABLE",
        kind=kind,
        database=database,
        schema=schema,
        name=name,
        created_on=_iso(table.created),
        row_count=table.rows,
        byte_count=table.size,
        last_update_time=_iso(updated),
        description=table.comment,
        view_query=definition(model, table),
        fields=[_field(column) for column in table.columns],
        tags=[{"key": tag.name, "value": tag.value} for tag in sorted(tags_of(table), key=lambda tag: tag.name)]
        or None,
    )


def _field(column: Column) -> Record:
    return _known(name=column.name, type=TYPES[column.type], description=column.comment)


# --- lineage ----------------------------------------------------------------------------------------------


def _asset(model: Model, path: Path) -> Record:
    database, schema, name = path
    kind = "VIEW" if model.table(path).is_view else "TABLE"
    return {"type": kind, "database": database, "schema": schema, "name": name}


def _written(model: Model) -> list[Record]:
    """Records of the tables that statements wrote: sources by name, then columns by name. Columns keep their names."""
    sources: dict[Path, set[Path]] = {}
    for query in model.queries:
        if query.target and not query.error and model.since - OVERLAP <= query.start < model.until:
            sources.setdefault(query.target, set()).add(query.path)
    records = []
    for target, found in sources.items():
        ordered = sorted(found, key=spelled)
        columns: dict[str, list[Record]] = {}
        for place, source in enumerate(ordered):
            for name in sorted(column.name for column in model.table(source).columns):
                columns.setdefault(name, []).append({"source": place, "name": name})
        records.append(
            {
                "destination": _asset(model, target),
                "sources": [_asset(model, source) for source in ordered],
                "columns": [{"name": name, "sources": each} for name, each in columns.items()],
                "origin": "access_history",
                "certainty": "exact",
            }
        )
    return records


def _dynamic(model: Model) -> list[Record]:
    """Records of dynamic tables, from the texts that created them."""
    found = [(table, dynamic_source(model, table)) for table in model.tables]
    return [
        {
            "destination": _asset(model, table.path),
            "sources": [_asset(model, source.path)],
            "columns": [
                {"name": name, "sources": [{"source": 0, "name": of}]}
                for name, of in sorted(
                    (made.name, read.name) for made, read in zip(table.columns, source.columns, strict=True)
                )
            ],
            "origin": "dynamic_table_text",
            "certainty": "parsed",
        }
        for table, source in found
        if source is not None
    ]


def _view(model: Model, view: Table) -> Record:
    assert view.source is not None
    return {
        "destination": _asset(model, view.path),
        "sources": [_asset(model, view.source)],
        "columns": [],  # Snowflake records no columns of views
        "origin": "object_dependencies",
        "certainty": "exact",
    }


# --- query logs -------------------------------------------------------------------------------------------


def _query(model: Model, query: Query) -> Record:
    # A statement that writes returns one row to the client: the count.
    returned = query.rows if query.rows is None or query.target is None else 1
    code = error_code(query)
    return _known(
        query_id=query_id(query),
        start_time=_iso(query.start),
        end_time=_iso(query.end),
        query_text=model.text(query, DIALECT),
        user=query.user,
        returned_rows=returned,
        error_code=None if code is None else str(code),
        error_text=query.error,
        extra=extra(query),
    )
