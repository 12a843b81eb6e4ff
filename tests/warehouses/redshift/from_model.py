"""Converts the neutral model to Redshift: the data that fills the server, and the expected manifest records.

Converts ``Model`` (tests/warehouses/model.py) to the truth that filling.py writes, and to complete manifest records.
Nothing here uses the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.warehouses.model import ColumnType, Model, Path, Table
from tests.warehouses.model import Query as ModelQuery
from tests.warehouses.redshift.launch import User, copy_block, quoted
from tests.warehouses.redshift.truth import Column, Query, Relation

DIALECT = "redshift"
MIB = 1024 * 1024
DELETED_ROWS = 50_000  # tbl_rows includes them until VACUUM, estimated_visible_rows does not
FIRST_USER_ID = 500
REDSHIFTS_OWN_USER_ID = 1

# The data type, the length of a text, and the precision and scale of a number.
TYPES: dict[ColumnType, tuple[str, int | None, int | None, int | None]] = {
    "integer": ("integer", None, 32, 0),
    "decimal": ("numeric", None, 12, 2),
    "text": ("character varying", 40, None, None),
    "timestamp": ("timestamp without time zone", None, None, None),
    "boolean": ("boolean", None, None, None),
}
DECLARED: dict[ColumnType, str] = {
    "integer": "integer",
    "decimal": "numeric(12,2)",
    "text": "character varying(40)",
    "timestamp": "timestamp without time zone",
    "boolean": "boolean",
}

Record = dict[str, object]


# --- data that fills the server -------------------------------------------------------------------------


def relations(model: Model) -> list[Relation]:
    return [_view(model, table) if table.is_view else _table(table) for table in model.tables]


def _table(table: Table) -> Relation:
    return Relation(
        *table.path,
        kind="table",
        columns=_columns(table),
        comment=table.comment,
        visible_rows=table.rows,
        all_rows=None if table.rows is None else table.rows + DELETED_ROWS,
        size_mb=None if table.size is None else table.size // MIB,
        created=table.created,
        modified=table.modified,
    )


def _view(model: Model, table: Table) -> Relation:
    assert table.source is not None
    return Relation(
        *table.path,
        kind="view",
        columns=_columns(table),
        comment=table.comment,
        created=table.created,
        definition=model.definition(table, "postgres") + ";",
        sources=(".".join(table.source[1:]),),
    )


def _columns(table: Table) -> tuple[Column, ...]:
    return tuple(Column(column.name, *TYPES[column.type], comment=column.comment) for column in table.columns)


def users(model: Model) -> dict[str, User]:
    """All users who ran a query, by name. None of them signs in."""
    names = dict.fromkeys(query.user for query in model.queries)
    return {name: User(number, name, "") for number, name in enumerate(names, FIRST_USER_ID)}


def queries(model: Model) -> list[Query]:
    """The model's queries, and in the same hour one by Redshift itself and one that is still running. Those two are not
    expected in the manifest.
    """
    known = users(model)
    found = [_query(model, query, known[query.user]) for query in model.queries]
    if not found:
        return []
    at, first = model.since + timedelta(minutes=7), model.queries[0]
    own = Query(990_001, None, first.path[0], "SELECT", "SELECT 1", at, user_id_override=REDSHIFTS_OWN_USER_ID)
    runs = Query(990_002, known[first.user], first.path[0], "SELECT", "SELECT 2", at, status="running")
    return [*found, own, runs]


def _query(model: Model, query: ModelQuery, user: User) -> Query:
    return Query(
        query.number,
        user,
        query.path[0],
        _query_type(query),
        model.text(query, DIALECT),
        query.start,
        query.seconds,
        query.session,
        status=_status(query),
        error=query.error,
        returned_rows=_returned_rows(query),
        extra=_figures(query.number),
    )


def _query_type(query: ModelQuery) -> str:
    return "INSERT" if query.target else "SELECT"


def _status(query: ModelQuery) -> str:
    """The status of a query. A write with an error has failed; a read with an error was canceled."""
    if query.error is None:
        return "success"
    return "failed" if query.target else "canceled"


def _returned_rows(query: ModelQuery) -> int | None:
    """The number of rows returned to the client. A write returns none."""
    return 0 if query.target and not query.error else query.rows


def _figures(number: int) -> dict[str, object]:
    """Columns of SYS_QUERY_HISTORY with values that are distinct across columns and queries."""
    figures: dict[str, object] = {
        name: place * 1_000_000 + number
        for place, name in enumerate(
            (
                "transaction_id",
                "queue_time",
                "execution_time",
                "compile_time",
                "planning_time",
                "lock_wait_time",
                "returned_bytes",
                "service_class_id",
            ),
            start=100,
        )
    }
    words = ("query_label", "service_class_name", "query_priority", "compute_type", "generic_query_hash")
    return figures | {name: f"{name[:8]} {number}" for name in words} | {"result_cache_hit": number % 2 == 0}


def service_blocks(databases: tuple[str, ...]) -> Iterator[str]:
    """Contents of a new cluster: its databases, and schemas that belong to the service."""
    yield copy_block(
        "testbed.svv_redshift_databases",
        ["database_name", "database_owner", "database_type"],
        ((name, 100, "local") for name in (*databases, "padb_harvest")),
    )
    own = [("pg_catalog", "pg_class", "TABLE"), ("information_schema", "tables", "VIEW"), ("pg_automv", "m", "TABLE")]
    for view in ("svv_all_tables", "svv_redshift_tables"):
        yield copy_block(
            f"testbed.{view}",
            ["database_name", "schema_name", "table_name", "table_type"],
            ((database, *each) for database in databases for each in own),
        )


def user_block(model: Model) -> str:
    rows = ((user.name, user.user_id, False, "RESTRICTED") for user in users(model).values())
    return copy_block("testbed.svv_user_info", ["user_name", "user_id", "superuser", "syslog_access"], rows)


# --- expected records -----------------------------------------------------------------------------------


def metadata(model: Model) -> list[Record]:
    return [_without_unknown(_metadata_record(table)) for table in model.tables]


def _metadata_record(table: Table) -> Record:
    database, schema, name = table.path
    return {
        "type": "VIEW" if table.is_view else "TABLE",
        "kind": "view" if table.is_view else "table",
        "database": database,
        "schema": schema,
        "name": name,
        "description": table.comment,
        "created_on": iso(table.created),
        "row_count": table.rows,
        "byte_count": table.size,
        "last_update_time": iso(table.modified) if table.modified else None,
        "view_query": worded_by_postgresql(table) if table.is_view else None,
        "fields": [
            _without_unknown({"name": column.name, "type": DECLARED[column.type], "description": column.comment})
            for column in table.columns
        ],
    }


def worded_by_postgresql(view: Table) -> str:
    """The definition in PG_VIEWS. PostgreSQL stores a parsed query and formats it in its own style."""
    assert view.source is not None
    columns = ",\n    ".join(quoted_where_needed(column.name) for column in view.columns)
    return f"SELECT {columns}\n   FROM {'.'.join(quoted_where_needed(part) for part in view.source[1:])};"


def quoted_where_needed(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quoted(name)


def lineage(model: Model) -> list[Record]:
    views = [
        _lineage_record(model, table.path, {table.source: [c.name for c in table.columns]}, "pg_depend", "exact")
        for table in model.tables
        if table.source
    ]
    written: dict[Path, dict[Path, list[str]]] = {}
    for query in model.queries:
        if query.target and not query.error:
            names = [column.name for column in model.table(query.path).columns]
            written.setdefault(query.target, {})[query.path] = names
    return views + [_lineage_record(model, path, found, "query_text", "parsed") for path, found in written.items()]


def _lineage_record(model: Model, target: Path, found: dict[Path, list[str]], origin: str, certainty: str) -> Record:
    """A lineage record with sources and columns ordered by name. A column has the same name as its source column.

    Column names are in lowercase. A statement's text does not show whether its session was case-sensitive, and by
    default sessions are not. Only the catalog has the uppercase letters of a column, and this flow does not read
    columns from it (``--schema-manifest`` does). Redshift itself folds ASCII letters only; the product does not
    reproduce that.
    """
    sources = sorted(found, key=".".join)
    found = {source: [name.lower() for name in columns] for source, columns in found.items()}
    names = sorted({name for columns in found.values() for name in columns})
    return {
        "destination": _asset(model, target),
        "sources": [_asset(model, source) for source in sources],
        "columns": [
            {
                "name": name,
                "sources": [
                    {"source": place, "name": name} for place, source in enumerate(sources) if name in found[source]
                ],
            }
            for name in names
        ],
        "origin": origin,
        "certainty": certainty,
    }


def _asset(model: Model, path: Path) -> Record:
    kind = "VIEW" if model.table(path).is_view else "TABLE"
    return dict(zip(("type", "database", "schema", "name"), (kind, *path), strict=True))


def query_logs(model: Model) -> list[Record]:
    """The records of the queries that ended in the window."""
    known = users(model)
    return [
        _query_record(model, query, known[query.user].user_id)
        for query in model.queries
        if model.since <= query.end < model.until
    ]


def _query_record(model: Model, query: ModelQuery, user_id: int) -> Record:
    figures = _figures(query.number)
    return _without_unknown(
        {
            "query_id": str(query.number),
            "start_time": iso(query.start),
            "end_time": iso(query.end),
            "query_text": model.text(query, DIALECT),
            "user": query.user,
            "returned_rows": _returned_rows(query),
            "error_code": _status(query) if query.error else None,
            "error_text": query.error,
            "extra": {
                "database": query.path[0],
                "query_type": _query_type(query),
                "status": _status(query),
                "queue": figures["service_class_name"],
                "query_priority": figures["query_priority"],
                "compute_type": figures["compute_type"],
                "query_label": figures["query_label"],
                "user_id": user_id,
                "session_id": query.session,
                "transaction_id": figures["transaction_id"],
                "elapsed_time_us": query.seconds * 1_000_000,
                "queue_time_us": figures["queue_time"],
                "execution_time_us": figures["execution_time"],
                "compile_time_us": figures["compile_time"],
                "planning_time_us": figures["planning_time"],
                "lock_wait_time_us": figures["lock_wait_time"],
                "returned_bytes": figures["returned_bytes"],
                "result_cache_hit": figures["result_cache_hit"],
                "generic_query_hash": figures["generic_query_hash"],
            },
        }
    )


def _without_unknown(values: Record) -> Record:
    return {name: value for name, value in values.items() if value is not None}


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
