"""Generates the SQL that fills the local Redshift: rows of its system views, real schemas, tables and views.

Converts the dataclasses of truth.py to statements for psql. Needs no server.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from tests.warehouses.redshift.launch import copy_block, literal, quoted
from tests.warehouses.redshift.truth import Column, Query, Relation, segments

LONGEST_REMARK = 256  # length of remarks in the SVV views, in characters
# PostgreSQL's names of Redshift types, where they differ.
TYPES_IN_POSTGRESQL = {"super": "jsonb", "geometry": "text", "hllsketch": "text", "binary varying": "bytea"}


def stamp(moment: datetime | None) -> str | None:
    """A time as the warehouse stores it: UTC, without a zone."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f") if moment else None


HISTORY_COLUMNS = [
    "user_id",
    "query_id",
    "query_label",
    "transaction_id",
    "session_id",
    "database_name",
    "query_type",
    "status",
    "result_cache_hit",
    "start_time",
    "end_time",
    "elapsed_time",
    "queue_time",
    "execution_time",
    "error_message",
    "returned_rows",
    "returned_bytes",
    "query_text",
    "redshift_version",
    "compute_type",
    "compile_time",
    "planning_time",
    "lock_wait_time",
    "service_class_id",
    "service_class_name",
    "query_priority",
    "generic_query_hash",
    "username",
]


def _history_row(query: Query) -> tuple[object, ...]:
    microseconds = int(query.seconds * 1_000_000)
    usual: dict[str, object] = {
        "user_id": query.user_id,
        "query_id": query.query_id,
        "query_label": "default",
        "transaction_id": query.transaction_id,
        "session_id": query.session_id,
        "database_name": query.database,
        "query_type": query.query_type,
        "status": query.status,
        "result_cache_hit": False,
        "start_time": stamp(query.start),
        "end_time": stamp(query.end),
        "elapsed_time": microseconds,
        "queue_time": 1200,
        "execution_time": microseconds - 1200,
        "error_message": query.error,
        "returned_rows": query.returned_rows,
        "returned_bytes": query.returned_bytes,
        "query_text": segments(query.text)[0],
        "redshift_version": "1.0.98765",
        "compute_type": "primary",
        "compile_time": 350,
        "planning_time": 90,
        "lock_wait_time": 0,
        "service_class_id": 100,
        "service_class_name": "Default queue",
        "query_priority": "normal",
        "generic_query_hash": f"h{zlib.crc32(f'{query.query_type} {len(query.text)}'.encode()):x}",
        "username": query.user.name if query.user else None,
    }
    row = usual | query.extra
    return tuple(row[name] for name in HISTORY_COLUMNS)


def query_blocks(queries: Iterable[Query]) -> Iterator[str]:
    """COPY statements for SYS_QUERY_HISTORY and SYS_QUERY_TEXT, a few thousand queries each."""
    batch: list[Query] = []
    for query in queries:
        batch.append(query)
        if len(batch) == 5000:
            yield from _query_batch(batch)
            batch = []
    if batch:
        yield from _query_batch(batch)


def _query_batch(queries: list[Query]) -> Iterator[str]:
    yield copy_block("testbed.sys_query_history", HISTORY_COLUMNS, (_history_row(query) for query in queries))
    names = ["user_id", "query_id", "transaction_id", "session_id", "start_time", "sequence", "text"]
    yield copy_block(
        "testbed.sys_query_text",
        names,
        (
            (q.user_id, q.query_id, q.transaction_id, q.session_id, stamp(q.start), sequence, segment)
            for q in queries
            # a statement's segments are not written in order
            for sequence, segment in reversed(list(enumerate(segments(q.text))))
        ),
    )


def relation_blocks(relations: list[Relation]) -> Iterator[str]:
    """COPY statements for the rows that the SVV views and SHOW TABLES have for these relations."""
    yield copy_block(
        "testbed.svv_all_tables",
        ["database_name", "schema_name", "table_name", "table_type", "remarks"],
        ((r.database, r.schema, r.name, r.table_type, _remark(r.comment)) for r in relations),
    )
    yield copy_block(
        "testbed.svv_all_columns",
        [
            "database_name",
            "schema_name",
            "table_name",
            "column_name",
            "ordinal_position",
            "is_nullable",
            "data_type",
            "character_maximum_length",
            "numeric_precision",
            "numeric_scale",
            "remarks",
        ],
        (
            (
                r.database,
                r.schema,
                r.name,
                c.name,
                number,
                "YES",
                c.data_type,
                c.length,
                c.precision,
                c.scale,
                _remark(c.comment),
            )
            for r in relations
            if r.kind != "late binding view"
            for number, c in enumerate(r.columns, start=1)
        ),
    )
    yield from _redshift_blocks([r for r in relations if r.kind != "external table"])
    yield copy_block(
        "testbed.show_tables",
        [
            "database_name",
            "schema_name",
            "table_name",
            "table_type",
            "last_altered_time",
            "last_modified_time",
            "table_subtype",
            "owner",
        ],
        (
            (r.database, r.schema, r.name, r.table_type, stamp(r.altered), stamp(r.modified), r.subtype, "admin")
            for r in relations
        ),
    )
    yield copy_block(
        "testbed.svv_table_info",
        ["database", "schema", "table_id", "table", "size", "tbl_rows", "estimated_visible_rows", "create_time"],
        (
            (r.database, r.schema, number, backing_name(r), r.size_mb, r.all_rows, r.visible_rows, stamp(r.created))
            for number, r in enumerate(relations, start=200_000)
            if r.size_mb is not None
        ),
    )
    yield copy_block(
        "testbed.svv_external_tables",
        ["redshift_database_name", "schemaname", "tablename", "tabletype", "location"],
        ((r.database, r.schema, r.name, "TABLE", r.location) for r in relations if r.location),
    )
    yield copy_block(
        "testbed.svv_mv_info",
        ["database_name", "schema_name", "user_name", "name", "is_stale", "state"],
        ((r.database, r.schema, "admin", r.name, "f", 1) for r in relations if r.kind == "materialized view"),
    )


def _redshift_blocks(relations: list[Relation]) -> Iterator[str]:
    """COPY statements for the views that exclude external schemas."""
    yield copy_block(
        "testbed.svv_redshift_tables",
        ["database_name", "schema_name", "table_name", "table_type", "remarks"],
        ((r.database, r.schema, r.name, r.table_type, (r.comment or "")[:128] or None) for r in relations),
    )
    names = ["database_name", "schema_name", "table_name", "column_name", "ordinal_position", "data_type", "remarks"]
    yield copy_block(
        "testbed.svv_redshift_columns",
        names,
        (
            (r.database, r.schema, r.name, c.name, number, c.data_type[:32], _remark(c.comment))
            for r in relations
            if r.kind != "late binding view"
            for number, c in enumerate(r.columns, start=1)
        ),
    )


def _remark(comment: str | None) -> str | None:
    return comment[:LONGEST_REMARK] if comment else None


def backing_name(relation: Relation) -> str:
    """The table that contains the rows. A materialized view has a backing table."""
    return f"mv_tbl__{relation.name}__0" if relation.kind == "materialized view" else relation.name


def own_statements(relations: list[Relation]) -> list[str]:
    """The statements that create the objects of one database: schemas, tables and views, comments, creation times.

    Creates only the tables that PostgreSQL's own catalog must contain, because they have a comment or a view reads
    them. The others exist only in the system views, so that thousands of tables are quick to create.
    """
    statements = [f"CREATE SCHEMA IF NOT EXISTS {quoted(name)};" for name in sorted({r.schema for r in relations})]
    read = {source for relation in relations for source in relation.sources}
    for relation in relations:
        if relation.is_view or relation.has_comments or f"{relation.schema}.{relation.name}" in read:
            statements.extend(_own(relation))
    statements.append(class_info(relations))
    return statements


def class_info(relations: list[Relation]) -> str:
    """The rows of PG_CLASS_INFO: when each relation was created."""
    rows = [f"({literal(r.schema)}, {literal(r.name)}, {literal(stamp(r.created))}::timestamp)" for r in relations]
    return (
        "INSERT INTO testbed.pg_class_info (reloid, relname, relnamespace, relcreationtime) "
        f"SELECT 1, v.name, n.oid, v.created FROM (VALUES {', '.join(rows)}) AS v (schema, name, created) "
        "JOIN pg_namespace AS n ON n.nspname = v.schema;"
    )


def _own(relation: Relation) -> Iterator[str]:
    name = f"{quoted(relation.schema)}.{quoted(relation.name)}"
    if relation.kind == "table":
        columns = ", ".join(f"{quoted(c.name)} {_postgresql_type(c)}" for c in relation.columns)
        yield f"CREATE TABLE {name} ({columns});"
        yield from _comments(relation)
    elif relation.kind == "view":
        yield f"CREATE VIEW {name} AS {relation.definition}"
        yield from _comments(relation)
    elif relation.is_view:
        texts = (relation.schema, relation.name, "admin", relation.definition)
        yield f"INSERT INTO testbed.view_texts VALUES ({', '.join(literal(text) for text in texts)});"
    if relation.kind == "late binding view":
        for number, c in enumerate(relation.columns, start=1):
            row = (relation.schema, relation.name, c.name, c.full_type, number)
            yield f"INSERT INTO testbed.late_binding_columns VALUES ({', '.join(literal(v) for v in row)});"


def _comments(relation: Relation) -> Iterator[str]:
    name = f"{quoted(relation.schema)}.{quoted(relation.name)}"
    if relation.comment:
        yield f"COMMENT ON {relation.kind} {name} IS {literal(relation.comment)};"
    for column in relation.columns:
        if column.comment:
            yield f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.comment)};"


def _postgresql_type(column: Column) -> str:
    return TYPES_IN_POSTGRESQL.get(column.data_type, column.full_type)
