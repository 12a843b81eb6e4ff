"""Converts the truth to what the server stores: rows of the documented views, and REST resources.

Views: the pages in catalog.toml. Resources: https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/datasets and
…/tables. Columns and properties that no collector needs are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.warehouses.bigquery.truth import Column, Dataset, Relation, Warehouse

Row = dict[str, Any]
Rows = dict[str, list[Row]]
# tables.get type of each TABLES.table_type
RESOURCE_TYPES = {
    "BASE TABLE": "TABLE",
    "CLONE": "TABLE",
    "SNAPSHOT": "SNAPSHOT",
    "VIEW": "VIEW",
    "MATERIALIZED VIEW": "MATERIALIZED_VIEW",
    "EXTERNAL": "EXTERNAL",
}
VIEW_KINDS = ("VIEW", "MATERIALIZED VIEW")
WITHOUT_STORAGE = ("VIEW", "EXTERNAL")
LEGACY_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
LABEL_TYPE = "ARRAY<STRUCT<STRING, STRING>>"


def rows(warehouse: Warehouse) -> Rows:
    """The rows of each view, with the columns that say where a row is (storage.py)."""
    found: Rows = {}
    datasets = {(dataset.project, dataset.name): dataset for dataset in warehouse.datasets}

    def add(view: str, place: Row, row: Mapping[str, Any]) -> None:
        found.setdefault(f"INFORMATION_SCHEMA.{view}", []).append(place | _stored(row))

    for dataset in warehouse.datasets:
        for view, row in _dataset_rows(dataset):
            add(view, _place(dataset), row)
    for relation in warehouse.relations:
        home = datasets[relation.project, relation.dataset]
        for dataset in (home, *(datasets[place] for place in _links(warehouse, relation))):
            for view, row in _relation_rows(relation, dataset):
                add(view, _place(dataset), row)
    for job in warehouse.jobs:
        add("JOBS", _somewhere(job.row["project_id"], job.region), job.row)
    for view, others in warehouse.rows.items():
        for project, region, other in others:
            add(view, _somewhere(project, region), other)
    return {view: _same_columns(each) for view, each in found.items()}


def resources(warehouse: Warehouse) -> dict[str, dict[str, list[Row]]]:
    """The resources of each project: datasets, tables, jobs."""
    found: dict[str, dict[str, list[Row]]] = {
        name: {"datasets": [], "tables": [], "jobs": []} for name in warehouse.projects
    }
    for dataset in warehouse.datasets:
        found[dataset.project]["datasets"].append(_dataset_resource(dataset))
    for relation in warehouse.relations:
        for project, name in [(relation.project, relation.dataset), *_links(warehouse, relation)]:
            found[project]["tables"].append(_table_resource(replace(relation, project=project, dataset=name)))
    for job in warehouse.jobs:
        if job.resource is not None:
            found[job.row["project_id"]]["jobs"].append(dict(job.resource))
    return found


def _links(warehouse: Warehouse, relation: Relation) -> list[tuple[str, str]]:
    """The linked datasets with this relation. Clients read them like other datasets."""
    home = relation.project, relation.dataset
    return [(each.project, each.name) for each in warehouse.datasets if each.linked_to == home]


# --- where rows are -------------------------------------------------------------------------------------


def _place(dataset: Dataset) -> Row:
    """Queries of a region leave out linked, external and hidden datasets."""
    is_regional = not (dataset.linked_to or dataset.external or dataset.name.startswith("_"))
    return {
        "_project": dataset.project,
        "_region": dataset.region,
        "_dataset": dataset.name,
        "_regional": is_regional,
    }


def _somewhere(project: str, region: str) -> Row:
    return {"_project": project, "_region": region, "_dataset": None, "_regional": True}


def _stored(row: Mapping[str, Any]) -> Row:
    return {name: _stored_value(value) for name, value in row.items()}


def _stored_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _stored_value(each) for name, each in value.items()}
    return value


def _same_columns(given: list[Row]) -> list[Row]:
    names = list(dict.fromkeys(name for row in given for name in row))
    return [{name: row.get(name) for name in names} for row in given]


# --- datasets -------------------------------------------------------------------------------------------


def _dataset_rows(dataset: Dataset) -> Iterator[tuple[str, Row]]:
    name = {"catalog_name": dataset.project, "schema_name": dataset.name}
    yield "SCHEMATA", name | {"creation_time": dataset.created, "location": dataset.region}
    if dataset.labels:
        yield "SCHEMATA_OPTIONS", name | _option("labels", LABEL_TYPE, _label_literal(dataset.labels))


def _dataset_resource(dataset: Dataset) -> Row:
    found: Row = {
        "kind": "bigquery#dataset",
        "id": f"{dataset.project}:{dataset.name}",
        "datasetReference": {"projectId": dataset.project, "datasetId": dataset.name},
        "location": dataset.region,
        "creationTime": _milliseconds(dataset.created),
        "type": "LINKED" if dataset.linked_to else "EXTERNAL" if dataset.external else "DEFAULT",
        "_may": dataset.may,
    }
    if dataset.labels:
        found["labels"] = dict(dataset.labels)
    if dataset.linked_to:
        project, name = dataset.linked_to
        found["linkedDatasetSource"] = {"sourceDataset": {"projectId": project, "datasetId": name}}
    return found


# --- relations ------------------------------------------------------------------------------------------


def _relation_rows(relation: Relation, dataset: Dataset) -> Iterator[tuple[str, Row]]:
    """The rows of a relation in the views of a dataset: its own one, or a linked one."""
    name = {"table_catalog": dataset.project, "table_schema": dataset.name, "table_name": relation.name}
    yield "TABLES", name | _table_row(relation)
    for option in _options(relation):
        yield "TABLE_OPTIONS", name | option
    for position, column in enumerate(relation.columns, 1):
        yield "COLUMNS", name | _column_row(column, position)
        for path, field in _paths(column, ""):
            text = {"field_path": path, "data_type": field.full_type, "description": field.description}
            yield "COLUMN_FIELD_PATHS", name | {"column_name": column.name} | text
    if relation.kind == "VIEW":
        dialect = {"use_standard_sql": "NO" if relation.is_legacy else "YES"}
        yield "VIEWS", name | {"view_definition": relation.definition} | dialect
    if relation.kind == "MATERIALIZED VIEW":
        times = {"last_refresh_time": relation.refreshed, "refresh_watermark": relation.watermark}
        yield "MATERIALIZED_VIEWS", name | times
    if relation.stored and relation.kind not in WITHOUT_STORAGE and not dataset.linked_to:
        yield "TABLE_STORAGE", name | _storage_row(relation)


def _table_row(relation: Relation) -> Row:
    base = relation.base or (None, None, None)
    return {
        "table_type": relation.kind,
        "managed_table_type": relation.managed if relation.kind not in (*VIEW_KINDS, "EXTERNAL") else None,
        "is_insertable_into": "YES" if relation.kind == "BASE TABLE" else "NO",
        "is_typed": "NO",
        "creation_time": relation.created,
        "base_table_catalog": base[0],
        "base_table_schema": base[1],
        "base_table_name": base[2],
        "snapshot_time_ms": relation.created if relation.base else None,
        "ddl": relation.ddl,
    }


def _options(relation: Relation) -> Iterator[Row]:
    if relation.description is not None:
        yield _option("description", "STRING", _literal(relation.description))
    if relation.labels:
        yield _option("labels", LABEL_TYPE, _label_literal(relation.labels))
    for name, (kind, value) in relation.options.items():
        yield _option(name, kind, value)


def _option(name: str, kind: str, value: str) -> Row:
    return {"option_name": name, "option_type": kind, "option_value": value}


def _literal(text: str) -> str:
    """A GoogleSQL string literal in double quotes. The escapes of JSON are among those of GoogleSQL:
    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
    """
    return json.dumps(text, ensure_ascii=False)


def _label_literal(labels: Mapping[str, str]) -> str:
    """The form of the page's examples: [STRUCT("org_unit", "development")]"""
    pairs = (f"STRUCT({_literal(key)}, {_literal(value)})" for key, value in labels.items())
    return f"[{', '.join(pairs)}]"


def _column_row(column: Column, position: int) -> Row:
    return {
        "column_name": column.name,
        "ordinal_position": None if column.pseudo else position,
        "is_nullable": "YES" if column.nullable else "NO",
        "data_type": column.full_type,
        "is_generated": "NEVER",
        "is_hidden": "YES" if column.pseudo else "NO",
        "is_system_defined": "YES" if column.pseudo else "NO",
        "is_partitioning_column": "YES" if column.partitions else "NO",
        "clustering_ordinal_position": column.clusters,
    }


def _paths(column: Column, parent: str) -> Iterator[tuple[str, Column]]:
    path = f"{parent}.{column.name}" if parent else column.name
    yield path, column
    for inner in column.fields:
        yield from _paths(inner, path)


def _storage_row(relation: Relation) -> Row:
    return {
        "project_id": relation.project,
        "creation_time": relation.created,
        "total_rows": relation.rows,
        "total_logical_bytes": relation.logical_bytes,
        "total_physical_bytes": relation.physical_bytes,
        "storage_last_modified_time": relation.modified,
        "deleted": False,
        "table_type": relation.kind,
        "managed_table_type": relation.managed,
        **relation.storage,
    }


# --- tables.get -----------------------------------------------------------------------------------------


def _table_resource(relation: Relation) -> Row:
    found: Row = {
        "kind": "bigquery#table",
        "id": f"{relation.project}:{relation.dataset}.{relation.name}",
        "tableReference": {
            "projectId": relation.project,
            "datasetId": relation.dataset,
            "tableId": relation.name,
        },
        "type": RESOURCE_TYPES[relation.kind],
        "creationTime": _milliseconds(relation.created),
        # of a view: the last change of its definition
        "lastModifiedTime": _milliseconds(
            relation.created if relation.kind in VIEW_KINDS else relation.modified or relation.created
        ),
        "schema": {"fields": list(_resource_fields(relation.columns))},
    }
    if relation.kind not in WITHOUT_STORAGE:
        is_visible = relation.managed != "BIGLAKE"  # the API shows 0 bytes for Iceberg tables
        found["numRows"] = str(relation.rows if is_visible and relation.rows is not None else 0)
        found["numBytes"] = str(relation.logical_bytes if is_visible and relation.logical_bytes is not None else 0)
    if relation.description is not None:
        found["description"] = relation.description
    if relation.labels:
        found["labels"] = dict(relation.labels)
    if relation.kind == "VIEW":
        found["view"] = {"query": relation.definition, "useLegacySql": relation.is_legacy}
    if relation.kind == "MATERIALIZED VIEW":
        found["materializedView"] = {"query": relation.definition}
        if relation.refreshed:
            found["materializedView"]["lastRefreshTime"] = _milliseconds(relation.refreshed)
    return found | dict(relation.resource)


def _resource_fields(columns: Iterable[Column]) -> Iterator[Row]:
    for column in columns:
        if column.pseudo:
            continue
        mode = "REPEATED" if column.repeated else "NULLABLE" if column.nullable else "REQUIRED"
        field: Row = {"name": column.name, "mode": mode, **_resource_type(column)}
        if column.description is not None:
            field["description"] = column.description
        if column.fields:
            field["fields"] = list(_resource_fields(column.fields))
        yield field


def _resource_type(column: Column) -> Row:
    """The type of a field, e.g. of NUMERIC(12, 2):
    https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema
    """
    if column.fields:
        return {"type": "RECORD"}
    name, _, rest = column.type.rstrip(")").partition("(")
    found = {"type": LEGACY_NAMES.get(name, name)}
    if rest and name in ("STRING", "BYTES"):
        found["maxLength"] = rest
    elif rest:
        found |= dict(zip(("precision", "scale"), rest.split(", "), strict=False))
    return found


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
