"""Adds single facts to an embedded Snowflake without the shop: databases, tables, statements, reads and writes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.collected import Record
from tests.templates.snowflake.conftest import Templates


def add_database(templates: Templates, database: str, tables: list[tuple[str, str, str]]) -> None:
    """Add a database with tables given as (schema, name, TABLE_TYPE). Nothing else about them is known."""
    templates.server.insert("INFORMATION_SCHEMA.DATABASES", [{"DATABASE_NAME": database, "TYPE": "STANDARD"}])
    templates.server.insert(
        "INFORMATION_SCHEMA.TABLES",
        [
            {"TABLE_CATALOG": database, "TABLE_SCHEMA": schema, "TABLE_NAME": name, "TABLE_TYPE": kind}
            for schema, name, kind in tables
        ],
    )


def add_query(
    templates: Templates, query_id: str, text: str, end: datetime, seconds: float = 1, **columns: Any
) -> None:
    """Add a finished query. ``columns`` are additional columns of the view."""
    templates.server.insert(
        "SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY",
        [
            {
                "QUERY_ID": query_id,
                "QUERY_TEXT": text,
                "EXECUTION_STATUS": "success",
                "START_TIME": (end - timedelta(seconds=seconds)).isoformat(),
                "END_TIME": end.isoformat(),
                **columns,
            }
        ],
    )


def exist(templates: Templates, *names: str, kind: str = "BASE TABLE") -> None:
    """Add these tables to the account's catalog, and dropped tables in D.S: their namesakes, OLD and DIM_NEW."""
    now = [(name.split("."), None) for name in names]
    once = [
        (["D", "S", name], "2026-01-01T00:00:00Z") for name in (*(n.split(".")[2] for n in names), "OLD", "DIM_NEW")
    ]
    templates.server.insert(
        "SNOWFLAKE.ACCOUNT_USAGE.TABLES",
        [
            {"TABLE_CATALOG": database, "TABLE_SCHEMA": schema, "TABLE_NAME": name, "TABLE_TYPE": kind, "DELETED": at}
            for (database, schema, name), at in now + once
        ],
    )


def add_change(
    templates: Templates,
    name: str,
    minutes: int = 0,
    at: datetime | None = None,
    domain: str = "Table",
    **properties: str,
) -> None:
    """Add an ALTER TABLE in the format of the guide: https://docs.snowflake.com/en/user-guide/access-history"""
    at = at or datetime.now(timezone.utc) - timedelta(hours=4, minutes=-minutes)
    change = {
        "objectDomain": domain,
        "objectId": 0,
        "objectName": name,
        "operationType": "ALTER",
        "properties": {key: {"value": value} for key, value in properties.items()},
    }
    row = {
        "QUERY_ID": f"change-{name}",
        "QUERY_START_TIME": at.isoformat(),
        "DIRECT_OBJECTS_ACCESSED": "[]",
        "BASE_OBJECTS_ACCESSED": "[]",
        "OBJECTS_MODIFIED": "[]",
        "OBJECT_MODIFIED_BY_DDL": json.dumps(change),
    }
    templates.server.insert("SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY", [row])


def table(
    name: str,
    domain: str = "Table",
    columns: dict[str, list[tuple[str, str]]] | None = None,
    source_domain: str = "Table",
    base: tuple[str, str] | None = None,
) -> Record:
    """An object in ACCESS_HISTORY's JSON format. ``columns`` maps its columns to (source, source column)."""

    def source(domain: str, name: str, column: str) -> Record:
        return {"objectDomain": domain, "objectName": name, "columnName": column}

    return {
        "objectDomain": domain,
        "objectName": name,
        "columns": [
            {
                "columnName": column,
                "directSources": [source(source_domain, *each) for each in sources],
                "baseSources": [source("Table", *(base or each)) for each in sources],
            }
            for column, sources in (columns or {}).items()
        ],
    }


def add_access(
    templates: Templates,
    modified: list[Record],
    accessed: list[Record],
    base: list[Record] | None = None,
    at: datetime | None = None,
) -> None:
    row: dict[str, Any] = {
        "QUERY_ID": "q1",
        "QUERY_START_TIME": (at or datetime.now(timezone.utc) - timedelta(hours=5)).isoformat(),
        "DIRECT_OBJECTS_ACCESSED": json.dumps(accessed),
        "BASE_OBJECTS_ACCESSED": json.dumps(accessed if base is None else base),
        "OBJECTS_MODIFIED": json.dumps(modified),
    }
    templates.server.insert("SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY", [row])


def add_statement(templates: Templates, text: str, number: int, at: datetime | None = None, **columns: Any) -> None:
    """Add a statement of one session, in D.S, a few hours ago. Numbers determine the order.

    ``columns`` are additional columns of the view, or override the values here.
    """
    start = at or datetime.now(timezone.utc) - timedelta(hours=5) + timedelta(minutes=number)
    templates.server.insert(
        "SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY",
        [
            {
                "QUERY_ID": f"q{number}",
                "QUERY_TEXT": text,
                "QUERY_TYPE": "UNKNOWN",
                "SESSION_ID": 7,
                "DATABASE_NAME": "D",
                "SCHEMA_NAME": "S",
                "EXECUTION_STATUS": "success",
                "START_TIME": start.isoformat(),
                "END_TIME": (start + timedelta(seconds=1)).isoformat(),
                **columns,
            }
        ],
    )


def add_dependency(templates: Templates, target: str, domain: str, source: str, source_domain: str) -> None:
    """Add a reference from a view, or another object with a definition. Names are dotted and unquoted."""
    (database, schema, name), (on_database, on_schema, on_name) = target.split("."), source.split(".")
    templates.server.insert(
        "SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES",
        [
            {
                "REFERENCED_DATABASE": on_database,
                "REFERENCED_SCHEMA": on_schema,
                "REFERENCED_OBJECT_NAME": on_name,
                "REFERENCED_OBJECT_DOMAIN": source_domain,
                "REFERENCING_DATABASE": database,
                "REFERENCING_SCHEMA": schema,
                "REFERENCING_OBJECT_NAME": name,
                "REFERENCING_OBJECT_DOMAIN": domain,
            }
        ],
    )


def asset(kind: str, name: str) -> Record:
    """An asset in a lineage record."""
    return {"type": kind, **dict(zip(("database", "schema", "name"), name.split("."), strict=True))}
