"""Writes a shop to the test server's facts, as the system views would show it according to the vendor's pages.

Converts ``shop_model.Shop`` to rows of the tables named in ``catalog.toml``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.warehouses.snowflake.catalog import documented_catalog
from tests.warehouses.snowflake.launch import EmbeddedSnowflake
from tests.warehouses.snowflake.shop_model import ColumnFlow, LoggedQuery, Name, Relation, Shop, spelled

ORIGINS = {"PARTNER_SHARE": "ACME.RETAIL.PRICES_SHARE", "SNOWFLAKE_SAMPLE_DATA": "SFC_SAMPLES.AWS_PROD.SAMPLE_DATA"}

_TABLE_TYPES = {
    "external table": "EXTERNAL TABLE",
    "materialized view": "MATERIALIZED VIEW",
    "view": "VIEW",
    "secure view": "VIEW",
}
_DOMAINS = {
    "external table": "EXTERNAL TABLE",
    "iceberg table": "ICEBERG TABLE",
    "dynamic table": "DYNAMIC TABLE",
    "materialized view": "MATERIALIZED VIEW",
    "view": "VIEW",
    "secure view": "VIEW",
}
_ACCOUNT = "SNOWFLAKE.ACCOUNT_USAGE"


def write_shop(server: EmbeddedSnowflake, shop: Shop) -> None:
    """Insert all facts of ``shop``. The server must be empty."""
    relations = list(shop.relations.values())
    server.insert(
        "INFORMATION_SCHEMA.DATABASES", [_database(shop, name) for name in shop.databases if name != "SNOWFLAKE"]
    )
    server.insert(
        "SHOW DATABASES", [_shown_share(shop, *each) for each in ORIGINS.items() if each[0] in shop.databases]
    )
    server.insert("INFORMATION_SCHEMA.SCHEMATA", _schemata(shop))
    server.insert("INFORMATION_SCHEMA.TABLES", [_table(r) for r in relations])
    server.insert("INFORMATION_SCHEMA.VIEWS", [_view(r) for r in relations if r.kind in ("view", "secure view")])
    server.insert("INFORMATION_SCHEMA.COLUMNS", [row for r in relations for row in _columns(r)])
    server.insert("SHOW DYNAMIC TABLES", [_dynamic(r) for r in relations if r.kind == "dynamic table"])
    server.insert("SHOW MATERIALIZED VIEWS", [_materialized(r) for r in relations if r.kind == "materialized view"])
    external = [r for r in relations if r.kind == "external table"]
    server.insert("SHOW EXTERNAL TABLES", [_shown_external(r) for r in external])
    server.insert("INFORMATION_SCHEMA.EXTERNAL_TABLES", [_external(r) for r in external])
    server.insert("SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES", list(_dependencies(shop)))
    server.insert("SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES", list(_tags(shop)))
    server.insert("SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY", [_query(q) for q in shop.queries])
    server.insert("SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY", list(_access_history(shop)))
    for view in ("TABLES", "VIEWS", "COLUMNS", "DATABASES"):
        server.sql(_account_wide(view))


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _database(shop: Shop, name: str) -> dict[str, Any]:
    return {
        "DATABASE_NAME": name,
        "DATABASE_OWNER": "SYSADMIN" if shop.databases[name] == "STANDARD" else "ACCOUNTADMIN",
        "IS_TRANSIENT": "NO",
        "COMMENT": f"Database {name}",
        "CREATED": "2024-02-01T00:00:00+00:00",
        "LAST_ALTERED": "2024-02-01T00:00:00+00:00",
        "RETENTION_TIME": 1,
        "TYPE": shop.databases[name],
        "OWNER_ROLE_TYPE": "ROLE",
    }


def _shown_share(shop: Shop, name: str, origin: str) -> dict[str, Any]:
    return {
        "created_on": "2024-02-01T00:00:00+00:00",
        "name": name,
        "is_default": "N",
        "is_current": "N",
        "origin": origin,
        "owner": "ACCOUNTADMIN",
        "comment": "",
        "options": "",
        "retention_time": "1",
        "kind": shop.databases[name],
        "owner_role_type": "ROLE",
    }


def _schemata(shop: Shop) -> list[dict[str, Any]]:
    found = {relation.name[:2] for relation in shop.relations.values()}
    found |= {(name, "PUBLIC") for name, kind in shop.databases.items() if kind == "STANDARD"}
    return [
        {
            "CATALOG_NAME": database,
            "SCHEMA_NAME": schema,
            "SCHEMA_OWNER": "SYSADMIN",
            "IS_TRANSIENT": "NO",
            "IS_MANAGED_ACCESS": "NO",
            "RETENTION_TIME": 1,
            "CREATED": "2024-02-01T00:00:00+00:00",
        }
        for database, schema in sorted(found)
    ]


def _key(relation: Relation) -> dict[str, str]:
    return dict(zip(("TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME"), relation.name, strict=True))


def _shown_key(relation: Relation) -> dict[str, str]:
    return dict(zip(("database_name", "schema_name", "name"), relation.name, strict=True))


def _flag(value: bool) -> str:
    return "YES" if value else "NO"


def _table(relation: Relation) -> dict[str, Any]:
    plain_view = relation.kind in ("view", "secure view")
    return {
        **_key(relation),
        "TABLE_OWNER": "SYSADMIN",
        "TABLE_TYPE": _TABLE_TYPES.get(relation.kind, "BASE TABLE"),
        "IS_TRANSIENT": None if plain_view else _flag(relation.kind == "transient table"),
        "ROW_COUNT": relation.row_count,
        "BYTES": relation.byte_count,
        "RETENTION_TIME": None if plain_view else 1,
        "CREATED": _iso(relation.created),
        "LAST_ALTERED": _iso(relation.last_altered),
        "LAST_DDL": _iso(relation.created),
        "LAST_DDL_BY": "DBT_SVC",
        "COMMENT": relation.comment,
        "IS_TEMPORARY": "NO",
        "IS_ICEBERG": _flag(relation.kind == "iceberg table"),
        "IS_DYNAMIC": _flag(relation.kind == "dynamic table"),
        "IS_IMMUTABLE": "NO",
        "IS_HYBRID": _flag(relation.kind == "hybrid table"),
    }


def _view(relation: Relation) -> dict[str, Any]:
    return {
        **_key(relation),
        "TABLE_OWNER": "SYSADMIN",
        "VIEW_DEFINITION": relation.definition,
        "CHECK_OPTION": "NONE",
        "IS_UPDATABLE": "NO",
        "INSERTABLE_INTO": "NO",
        "IS_SECURE": _flag(relation.kind == "secure view"),
        "CREATED": _iso(relation.created),
        "LAST_ALTERED": _iso(relation.last_altered),
        "COMMENT": relation.comment,
    }


def _columns(relation: Relation) -> Iterable[dict[str, Any]]:
    for position, column in enumerate(relation.columns, 1):
        yield {
            **_key(relation),
            "COLUMN_NAME": column.name,
            "ORDINAL_POSITION": position,
            "IS_NULLABLE": _flag(column.nullable),
            **column.facts(),
            "IS_IDENTITY": "NO",
            "COMMENT": column.comment,
            "KIND": "COLUMN",
        }


def _dynamic(relation: Relation) -> dict[str, Any]:
    return {
        "created_on": _iso(relation.created),
        **_shown_key(relation),
        "rows": relation.row_count,
        "bytes": relation.byte_count,
        "owner": "SYSADMIN",
        "target_lag": "1 hour",
        "refresh_mode": "INCREMENTAL",
        "warehouse": "ETL_WH",
        "comment": relation.comment or "",
        "text": relation.definition,
        "scheduling_state": "RUNNING",
        "is_iceberg": "false",
        "data_timestamp": _iso(relation.last_altered),
        "owner_role_type": "ROLE",
    }


def _materialized(relation: Relation) -> dict[str, Any]:
    base = relation.sources[0]
    return {
        "created_on": _iso(relation.created),
        **_shown_key(relation),
        "rows": relation.row_count,
        "bytes": relation.byte_count,
        "source_database_name": base[0],
        "source_schema_name": base[1],
        "source_table_name": base[2],
        "refreshed_on": _iso(relation.refreshed or relation.last_altered),
        "owner": "SYSADMIN",
        "invalid": "false",
        "behind_by": "0s",
        "comment": relation.comment or "",
        "text": relation.definition,
        "is_secure": "false",
        "owner_role_type": "ROLE",
    }


def _shown_external(relation: Relation) -> dict[str, Any]:
    return {
        "created_on": _iso(relation.created),
        **_shown_key(relation),
        "owner": "SYSADMIN",
        "comment": relation.comment or "",
        "stage": "RAW.LAKE.FILES",
        "location": f"@RAW.LAKE.FILES/{relation.name[2].lower()}/",
        "file_format_type": "PARQUET",
        "cloud": "AWS",
        "last_refreshed_on": _iso(relation.last_altered),
        "table_format": "UNSPECIFIED",
    }


def _external(relation: Relation) -> dict[str, Any]:
    return {
        **_key(relation),
        "TABLE_OWNER": "SYSADMIN",
        "CREATED": _iso(relation.created),
        "LAST_ALTERED": _iso(relation.last_altered),
        "COMMENT": relation.comment,
        "LOCATION": f"@RAW.LAKE.FILES/{relation.name[2].lower()}/",
        "FILE_FORMAT_TYPE": "PARQUET",
    }


def _domain(relation: Relation) -> str:
    return _DOMAINS.get(relation.kind, "TABLE")


def _dependencies(shop: Shop) -> Iterable[dict[str, Any]]:
    for relation in shop.relations.values():
        for source in relation.sources:
            referenced = shop.relations[source]
            yield {
                "REFERENCED_DATABASE": source[0],
                "REFERENCED_SCHEMA": source[1],
                "REFERENCED_OBJECT_NAME": source[2],
                "REFERENCED_OBJECT_ID": referenced.object_id,
                "REFERENCED_OBJECT_DOMAIN": _domain(referenced),
                "REFERENCING_DATABASE": relation.name[0],
                "REFERENCING_SCHEMA": relation.name[1],
                "REFERENCING_OBJECT_NAME": relation.name[2],
                "REFERENCING_OBJECT_ID": relation.object_id,
                "REFERENCING_OBJECT_DOMAIN": _domain(relation),
                "DEPENDENCY_TYPE": "BY_NAME_AND_ID" if relation.kind == "materialized view" else "BY_NAME",
            }
    # not tables: a function that a view uses, and the stage of an external table
    for domain, kind in (("FUNCTION", "BY_NAME"), ("STAGE", "BY_ID")):
        yield {
            "REFERENCED_DATABASE": "RAW",
            "REFERENCED_SCHEMA": "LAKE",
            "REFERENCED_OBJECT_NAME": "CLEANED" if domain == "FUNCTION" else "FILES",
            "REFERENCED_OBJECT_ID": 9001,
            "REFERENCED_OBJECT_DOMAIN": domain,
            "REFERENCING_DATABASE": "RAW",
            "REFERENCING_SCHEMA": "LAKE",
            "REFERENCING_OBJECT_NAME": "WEATHER",
            "REFERENCING_OBJECT_ID": 9002,
            "REFERENCING_OBJECT_DOMAIN": "EXTERNAL TABLE",
            "DEPENDENCY_TYPE": kind,
        }


def _tags(shop: Shop) -> Iterable[dict[str, Any]]:
    for relation in shop.relations.values():
        for tag in relation.tags:
            yield _tag(relation, tag.name, tag.value, tag.column, deleted=None)
    dropped = next(iter(shop.relations.values()))
    yield _tag(dropped, "DROPPED_LONG_AGO", "yes", None, deleted="2025-01-01T00:00:00+00:00")


def _tag(relation: Relation, name: str, value: str, column: str | None, deleted: str | None) -> dict[str, Any]:
    return {
        "TAG_DATABASE": "ANALYTICS",
        "TAG_SCHEMA": "PUBLIC",
        "TAG_ID": zlib.crc32(name.encode()),
        "TAG_NAME": name,
        "TAG_VALUE": value,
        "OBJECT_DATABASE": relation.name[0],
        "OBJECT_SCHEMA": relation.name[1],
        "OBJECT_ID": relation.object_id,
        "OBJECT_NAME": relation.name[2],
        "OBJECT_DELETED": deleted,
        "DOMAIN": "COLUMN" if column else ("VIEW" if relation.is_view else "TABLE"),
        "COLUMN_ID": relation.column_id(column) if column else None,
        "COLUMN_NAME": column,
        "APPLY_METHOD": "MANUAL",
    }


def _query(query: LoggedQuery) -> dict[str, Any]:
    elapsed = None if query.end is None else int((query.end - query.start).total_seconds() * 1000)
    status = "success" if query.error_code is None else "fail"
    return {
        "QUERY_ID": query.query_id,
        "QUERY_TEXT": query.text,
        "DATABASE_NAME": query.database,
        "SCHEMA_NAME": query.schema,
        "QUERY_TYPE": query.kind,
        "SESSION_ID": zlib.crc32(query.user.encode()),
        "USER_NAME": query.user,
        "ROLE_NAME": query.role,
        "WAREHOUSE_NAME": query.warehouse,
        "WAREHOUSE_SIZE": None if query.warehouse is None else "X-Small",
        "WAREHOUSE_TYPE": None if query.warehouse is None else "STANDARD",
        "QUERY_TAG": query.query_tag,
        "EXECUTION_STATUS": status,
        "ERROR_CODE": query.error_code,
        "ERROR_MESSAGE": query.error_message,
        "START_TIME": _iso(query.start),
        "END_TIME": _iso(query.end),
        "TOTAL_ELAPSED_TIME": elapsed,
        "BYTES_SCANNED": query.bytes_scanned,
        "ROWS_PRODUCED": query.rows_produced,
        "ROWS_INSERTED": query.rows_produced if query.write else 0,
        "ROWS_WRITTEN_TO_RESULT": query.rows_returned,
        "COMPILATION_TIME": 12,
        "EXECUTION_TIME": None if elapsed is None else max(elapsed - 12, 0),
        "QUEUED_OVERLOAD_TIME": 0,
        "CREDITS_USED_CLOUD_SERVICES": "0.000123",
        "IS_CLIENT_GENERATED_STATEMENT": False,
        "QUERY_HASH": f"{zlib.crc32(query.text.encode()):08x}",
        "ROLE_TYPE": "ROLE",
        "USER_TYPE": "SERVICE" if query.user.endswith("_SVC") else "PERSON",
        **query.more,
    }


def _access_history(shop: Shop) -> Iterable[dict[str, Any]]:
    """One row for each successful statement that read or wrote a table. Refreshes and calls have none."""
    for query in shop.queries:
        if query.error_code is not None or query.end is None or not (query.write or query.reads):
            continue
        reads = [_accessed(shop, name) for name in query.reads]
        yield {
            "QUERY_ID": query.query_id,
            "QUERY_START_TIME": _iso(query.start),
            "USER_NAME": query.user,
            "DIRECT_OBJECTS_ACCESSED": json.dumps(reads or _stage_of(query)),
            "BASE_OBJECTS_ACCESSED": json.dumps(reads or _stage_of(query)),
            "OBJECTS_MODIFIED": json.dumps(_modified(shop, query)),
            "EVENT_SOURCE": "snowflake_sql",
        }


def _stage_of(query: LoggedQuery) -> list[dict[str, Any]]:
    if query.kind != "COPY":
        return []
    stage = f"RAW.{query.schema}.LANDING"
    location = f"s3://landing/{query.schema}/"
    return [
        {
            "objectDomain": "Stage",
            "objectName": stage,
            "objectId": 77,
            "stageKind": "External Named",
            "location": location,
        }
    ]


def _accessed(shop: Shop, name: Name) -> dict[str, Any]:
    relation = shop.relations[name]
    return {
        "objectDomain": "View" if relation.is_view else "Table",
        "objectId": relation.object_id,
        "objectName": spelled(name),
        "columns": [{"columnId": relation.column_id(c.name), "columnName": c.name} for c in relation.columns],
    }


def _modified(shop: Shop, query: LoggedQuery) -> list[dict[str, Any]]:
    if query.write is None:
        return []
    if query.query_id in shop.truncated_query_ids:
        return _cut(shop, query.write.target, whole=query.query_id == min(shop.truncated_query_ids))
    target = shop.relations[query.write.target]
    return [
        {
            "objectDomain": "Table",
            "objectId": target.object_id,
            "objectName": target.full_name,
            "columns": [_flow(shop, target, flow) for flow in query.write.flows],
        }
    ]


def _cut(shop: Shop, target: Name, *, whole: bool) -> list[dict[str, Any]]:
    """A record that exceeds the size limit: its columns are replaced, or in the last phase the whole record."""
    if whole:
        return [{"objectDomain": "TRUNCATED", "objectId": -1, "objectName": "TRUNCATED"}]
    column = {"columnId": -1, "columnName": "TRUNCATED"}
    source = {"objectDomain": "TRUNCATED", "objectId": -1, "objectName": "TRUNCATED", "columnName": "TRUNCATED"}
    relation = shop.relations[target]
    return [
        {
            "objectDomain": "Table",
            "objectId": relation.object_id,
            "objectName": relation.full_name,
            "columns": [{**column, "directSources": [source], "baseSources": [source]}],
        }
    ]


def _flow(shop: Shop, target: Relation, flow: ColumnFlow) -> dict[str, Any]:
    return {
        "columnId": target.column_id(flow.target),
        "columnName": flow.target,
        "directSources": [_source(shop, name, column) for name, column in flow.direct],
        "baseSources": [_source(shop, name, column) for name, column in flow.base],
    }


def _source(shop: Shop, name: Name, column: str) -> dict[str, Any]:
    relation = shop.relations[name]
    return {
        "columnName": column,
        "objectDomain": "View" if relation.is_view else "Table",
        "objectId": relation.object_id,
        "objectName": relation.full_name,
    }


def _account_wide(view: str) -> str:
    """SQL that copies INFORMATION_SCHEMA's facts to the common columns of the ACCOUNT_USAGE view of the same name."""
    views = documented_catalog().views
    shared = [
        name for name in views[f"INFORMATION_SCHEMA.{view}"].columns if name in views[f"{_ACCOUNT}.{view}"].columns
    ]
    names = ", ".join(f'"{name}"' for name in shared)
    return f'INSERT INTO facts."{_ACCOUNT}.{view}" ({names}) SELECT {names} FROM facts."INFORMATION_SCHEMA.{view}"'
