"""Converts a neutral model to a Snowflake account, including data that only Snowflake has.

Converts ``tests.warehouses.model.Model`` to a ``shop_model.Shop``, which ``shop_facts.write_shop`` writes to the
server. Data that only Snowflake has is derived from the model: which tables are dynamic, which views are materialized,
tags, and a different value for each column of QUERY_HISTORY. ``model_records.py`` uses the same functions for the
expected records.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.warehouses.model import Column, ColumnType, Model, Path, Query, Table
from tests.warehouses.snowflake import shop_model
from tests.warehouses.snowflake.launch import EmbeddedSnowflake
from tests.warehouses.snowflake.other_columns import fill_empty_columns
from tests.warehouses.snowflake.shop_facts import write_shop
from tests.warehouses.snowflake.shop_model import ColumnFlow, LoggedQuery, Relation, Shop, Tag, Write, spelled

DIALECT = "snowflake"
TYPES: dict[ColumnType, str] = {
    "integer": "NUMBER(38,0)",
    "decimal": "NUMBER(12,2)",
    "text": "VARCHAR(40)",
    "timestamp": "TIMESTAMP_NTZ(9)",
    "boolean": "BOOLEAN",
}
# Names in the suite's world whose objects have kinds that only Snowflake has.
DYNAMIC_NAME = "éclair"
MATERIALIZED_NAME = "v_1"
ANY_NUMBER = 987_654_321  # of a query text that is written only once and reused with other numbers
# Columns of QUERY_HISTORY by their names in a record's ``extra``, each with a distinct number.
COSTS = {
    "compilation_ms": "COMPILATION_TIME",
    "execution_ms": "EXECUTION_TIME",
    "queued_overload_ms": "QUEUED_OVERLOAD_TIME",
    "bytes_scanned": "BYTES_SCANNED",
    "bytes_written": "BYTES_WRITTEN",
    "rows_updated": "ROWS_UPDATED",
    "rows_deleted": "ROWS_DELETED",
    "partitions_scanned": "PARTITIONS_SCANNED",
    "partitions_total": "PARTITIONS_TOTAL",
}


# --- data that only Snowflake has ------------------------------------------------------------------------


def dynamic_source(model: Model, table: Table) -> Table | None:
    """The table that a dynamic table reads, column by column. None for any other table.

    It is the source of the materialized view in the same schema.
    """
    if table.path[2] != DYNAMIC_NAME:
        return None
    view = (*table.path[:2], MATERIALIZED_NAME)
    source = next((each.source for each in model.tables if each.path == view), None)
    return model.table(source) if source else None


def kind_of(model: Model, table: Table) -> str:
    """Snowflake's kind of a table or view in the model."""
    if table.is_view:
        return "materialized view" if table.path[2] == MATERIALIZED_NAME else "view"
    return "dynamic table" if dynamic_source(model, table) else "table"


def definition(model: Model, table: Table) -> str | None:
    """The text in the catalog: the query of a view, or the whole command of an object that SHOW lists."""
    kind = kind_of(model, table)
    if kind == "view":
        return model.definition(table, DIALECT)
    if kind == "materialized view":
        return f"CREATE MATERIALIZED VIEW {spelled(table.path)} AS {model.definition(table, DIALECT)}"
    if (source := dynamic_source(model, table)) is None:
        return None
    pairs = zip(source.columns, table.columns, strict=True)
    columns = ", ".join(f"{spelled((one.name,))} AS {spelled((other.name,))}" for one, other in pairs)
    lag = "TARGET_LAG = '1 hour' WAREHOUSE = ETL"
    return f"CREATE DYNAMIC TABLE {spelled(table.path)} {lag} AS SELECT {columns} FROM {spelled(source.path)}"


def refreshed(table: Table) -> datetime:
    """When a materialized view was last refreshed."""
    return table.created + timedelta(days=3, seconds=17)


def tags_of(table: Table) -> tuple[Tag, ...]:
    """The tags of a table. Tables without a comment have none."""
    if table.comment is None:
        return ()
    name = table.path[2]
    return Tag("owner", f"team of {name}"), Tag("Zone", f"zone of {name}"), Tag("TIER", f"tier of {name}")


def query_id(query: Query) -> str:
    return f"01b{query.number:05d}-0000-0000-0000-0000000000ff"


def query_type(query: Query) -> str:
    return "INSERT" if query.target else "SELECT"


def error_code(query: Query) -> int | None:
    return None if query.error is None else 100_000 + query.number


def extra(query: Query) -> dict[str, Any]:
    """The ``extra`` values that QUERY_HISTORY has for a query, without unknown ones."""
    number = query.number
    found: dict[str, Any] = {name: number * 1000 + place for place, name in enumerate(COSTS, 1)}
    found |= {
        "database": query.path[0],
        "schema": query.path[1],
        "role": f"ROLE_{number}",
        "session_id": query.session,
        "query_type": query_type(query),
        "query_tag": f"tag {number}",
        "query_parameterized_hash": f"hash of {number}",
        "execution_status": "success" if query.error is None else "fail",
        "warehouse": f"WAREHOUSE_{number}",
        "warehouse_size": f"size {number}",
        "warehouse_type": f"type {number}",
        "total_elapsed_ms": query.seconds * 1000,
        "credits_used_cloud_services": number / 1000,
    }
    if query.target and query.rows is not None:
        found["rows_inserted"] = query.rows
    return found


# --- the account -----------------------------------------------------------------------------------------


def write_model(server: EmbeddedSnowflake, model: Model) -> None:
    """Insert the rows of Snowflake's views for the model. The server must be empty."""
    if not model.tables:
        return
    write_shop(server, account(model))
    fill_empty_columns(server)


def account(model: Model) -> Shop:
    databases = {table.path[0]: "STANDARD" for table in model.tables}
    shop = Shop(model.now, databases)
    for number, table in enumerate(model.tables, 1):
        shop.relations[table.path] = _relation(model, table, number)
    tables = {table.path: table for table in model.tables}
    texts: dict[tuple[Path, Path | None], str] = {}
    for query in model.queries:
        key = query.path, query.target
        if key not in texts:
            texts[key] = model.text(replace(query, number=ANY_NUMBER), DIALECT)
        text = texts[key].replace(str(ANY_NUMBER), str(query.number))
        shop.queries.append(_query(query, tables[query.path], text))
    return shop


def _relation(model: Model, table: Table, number: int) -> Relation:
    kind = kind_of(model, table)
    return Relation(
        table.path,
        kind,
        tuple(shop_model.Column(column.name, TYPES[column.type], column.comment) for column in table.columns),
        created=table.created,
        # For a view, this is the time of its last DDL.
        last_altered=table.modified or table.created + timedelta(days=1, seconds=number),
        comment=table.comment,
        row_count=table.rows,
        byte_count=table.size,
        definition=definition(model, table),
        tags=tags_of(table),
        sources=(table.source,) if table.source else (),
        object_id=number,
        refreshed=refreshed(table) if kind == "materialized view" else None,
    )


def _query(query: Query, source: Table, text: str) -> LoggedQuery:
    flows = tuple(_flow(source, column) for column in source.columns)
    known = extra(query)
    more: dict[str, Any] = {column: known[name] for name, column in COSTS.items()}
    more |= {
        "SESSION_ID": query.session,
        "ROWS_INSERTED": known.get("rows_inserted"),
        "CREDITS_USED_CLOUD_SERVICES": known["credits_used_cloud_services"],
        "QUERY_PARAMETERIZED_HASH": known["query_parameterized_hash"],
        "WAREHOUSE_SIZE": known["warehouse_size"],
        "WAREHOUSE_TYPE": known["warehouse_type"],
    }
    return LoggedQuery(
        query_id=query_id(query),
        text=text,
        kind=query_type(query),
        user=query.user,
        role=known["role"],
        warehouse=known["warehouse"],
        start=query.start,
        end=query.end,
        database=query.path[0],
        schema=query.path[1],
        error_code=error_code(query),
        error_message=query.error,
        rows_produced=query.rows,
        query_tag=known["query_tag"],
        write=Write(query.target, flows) if query.target and query.error is None else None,
        reads=(query.path,),
        more=more,
    )


def _flow(source: Table, column: Column) -> ColumnFlow:
    """A column written from the source's column of the same name. The base source of a view is its source table."""
    direct = ((source.path, column.name),)
    return ColumnFlow(column.name, direct, ((source.source, column.name),) if source.source else direct)
