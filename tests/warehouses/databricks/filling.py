"""Converts the truth to what the server stores: rows of the documented views, and what commands show of relations.

Columns: the pages in catalog.toml. Those that no collector needs are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any

from tests.warehouses.databricks.truth import OWNER, Relation, Warehouse

Row = dict[str, Any]
SNAPSHOTS = 3  # days with a row in table_metrics_history
SNAPSHOT_BYTES = 1_000  # by which a table has grown each day


@dataclass
class Content:
    """The schemas and relations of a catalog."""

    schemas: list[str] = field(default_factory=list)
    relations: list[Row] = field(default_factory=list)


def objects(warehouse: Warehouse) -> dict[str, Content]:
    """What commands show, by catalog."""
    found = {catalog: Content() for catalog in warehouse.catalogs}
    for catalog, schema in warehouse.schemas:
        found.setdefault(catalog, Content()).schemas.append(schema)
    for relation in warehouse.relations:
        content = found.setdefault(relation.catalog, Content())
        if relation.schema not in content.schemas:
            content.schemas.append(relation.schema)
        content.relations.append(_object(relation))
    return found


def rows(warehouse: Warehouse) -> dict[str, list[Row]]:
    """The rows of each view."""
    found: dict[str, list[Row]] = {}
    for view, row in _rows(warehouse):
        found.setdefault(view, []).append({name: _stored(value) for name, value in row.items()})
    return found


def _rows(warehouse: Warehouse) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for (catalog, schema), created in _schemas(warehouse).items():
        yield (
            "information_schema.schemata",
            {
                "catalog_name": catalog,
                "schema_name": schema,
                "schema_owner": OWNER,
                "created": created,
            },
        )
    for relation in warehouse.relations:
        if relation.catalog in warehouse.catalogs:
            yield from _relation_rows(relation)
    for catalog, tags in warehouse.catalog_tags.items():
        for name, value in tags.items():
            yield "information_schema.catalog_tags", {"catalog_name": catalog, "tag_name": name, "tag_value": value}
    for (catalog, schema), tags in warehouse.schema_tags.items():
        place = {"catalog_name": catalog, "schema_name": schema}
        for name, value in tags.items():
            yield "information_schema.schema_tags", {**place, "tag_name": name, "tag_value": value}
    for view, more in warehouse.rows.items():
        for row in more:
            yield view, row


def _schemas(warehouse: Warehouse) -> dict[tuple[str, str], datetime]:
    created = datetime(2025, 1, 1, tzinfo=timezone.utc)
    places = [*warehouse.schemas, *((each.catalog, each.schema) for each in warehouse.relations)]
    return {place: created for place in places if place[0] in warehouse.catalogs}


def _relation_rows(relation: Relation) -> Iterator[tuple[str, Row]]:
    place = {
        "table_catalog": relation.catalog,
        "table_schema": relation.schema,
        "table_name": relation.name,
    }
    yield (
        "information_schema.tables",
        {
            **place,
            "table_type": relation.kind,
            "is_insertable_into": "NO" if relation.definition else "YES",
            "commit_action": "PRESERVE",
            "table_owner": relation.owner,
            "comment": relation.comment,
            "created": relation.created,
            "created_by": relation.owner,
            # after the last write: a collector that takes it for freshness is noticed
            "last_altered": relation.altered or relation.created + timedelta(hours=1),
            "last_altered_by": relation.owner,
            "data_source_format": "UNKNOWN_DATA_SOURCE_FORMAT" if relation.kind == "VIEW" else relation.format,
            "storage_path": None if relation.kind == "VIEW" else relation.location,
        },
    )
    if relation.definition is not None:
        yield (
            "information_schema.views",
            {
                **place,
                "view_definition": relation.definition if relation.is_owned else None,
                "check_option": "NONE",
                "is_updatable": "NO",
                "is_insertable_into": "NO",
                "is_materialized": "YES" if relation.kind == "MATERIALIZED_VIEW" else "NO",
            },
        )
    tagged = dict(zip(("catalog_name", "schema_name", "table_name"), relation.path, strict=True))
    for name, value in relation.tags.items():
        yield "information_schema.table_tags", {**tagged, "tag_name": name, "tag_value": value}
    for at, column in enumerate(relation.columns, 1):
        yield (
            "information_schema.columns",
            {
                **place,
                "column_name": column.name,
                "ordinal_position": at,
                "is_nullable": "YES" if column.nullable else "NO",
                "full_data_type": column.type,
                "data_type": column.type.partition("(")[0].partition("<")[0].upper(),
                "comment": column.comment,
            },
        )
        for name, value in column.tags.items():
            row = {**tagged, "column_name": column.name, "tag_name": name, "tag_value": value}
            yield "information_schema.column_tags", row
    if relation.active_bytes is not None:
        yield from _snapshots(relation, relation.active_bytes)


def _snapshots(relation: Relation, newest: int) -> Iterator[tuple[str, Row]]:
    """Daily rows, the newest of yesterday, and an older one of a dropped table of the same name."""
    yesterday = datetime.now(timezone.utc).date() - timedelta(days=1)
    common = dict(zip(("catalog_name", "schema_name", "table_name"), relation.path, strict=True))
    common |= {"table_type": relation.kind, "table_owner": relation.owner}
    view = "system.storage.table_metrics_history"
    for day in range(SNAPSHOTS):
        yield (
            view,
            {
                **common,
                "table_id": f"id-{'.'.join(relation.path)}",
                "table_creation_time": relation.created,
                "snapshot_date": yesterday - timedelta(days=day),
                "active_bytes": newest - day * SNAPSHOT_BYTES,
                "active_files": 7,
            },
        )
    yield (
        view,
        {
            **common,
            "table_id": f"old-{'.'.join(relation.path)}",
            "table_creation_time": relation.created - timedelta(days=20),
            "table_dropped_time": relation.created - timedelta(days=1),
            "snapshot_date": yesterday - timedelta(days=SNAPSHOTS),
            "active_bytes": 5,
            "active_files": 1,
        },
    )


def _object(relation: Relation) -> Row:
    """What commands show of a relation: commands.py, descriptions.py."""
    statistics: Row | None = None
    if relation.rows is not None:
        statistics = {"size_in_bytes": (relation.size or 0) + 1, "num_rows": relation.rows}
    return {
        "schema": relation.schema,
        "name": relation.name,
        "kind": relation.kind,
        "format": relation.format,
        "comment": relation.comment,
        "owner": relation.owner,
        "created": _stored(relation.created),
        "created_text": f"{relation.created:%a %b %d %H:%M:%S UTC %Y}",
        "columns": [{"name": each.name, "type": each.type, "comment": each.comment} for each in relation.columns],
        "definition": relation.definition,
        "statistics": statistics,
        "size": relation.size,
        "files": 7,
        "properties": dict(relation.properties),
        "location": relation.location,
        "history": [
            {
                "version": commit.version,
                "timestamp": _stored(commit.time),
                "userName": relation.owner,
                "operation": commit.operation,
                "operationParameters": dict(commit.parameters),
                "operationMetrics": dict(commit.metrics),
            }
            for commit in relation.history
        ],
    }


def _stored(value: Any) -> Any:
    """A value in JSON, as DuckDB reads it."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    return value.isoformat() if isinstance(value, date) else value
