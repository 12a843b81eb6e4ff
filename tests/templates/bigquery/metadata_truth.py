"""The expected metadata records of relations, from the truth and from README.md, not by the code under test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from tests.collected import Record
from tests.warehouses.bigquery.truth import Column, Relation

# Monte Carlo's type, and the kind, of each TABLES.table_type
KINDS = {
    "BASE TABLE": ("TABLE", "table"),
    "CLONE": ("TABLE", "clone"),
    "SNAPSHOT": ("TABLE", "snapshot"),
    "EXTERNAL": ("TABLE", "external"),
    "VIEW": ("VIEW", "view"),
    "MATERIALIZED VIEW": ("VIEW", "materialized view"),
}
HAVE_VOLUME = ("BASE TABLE", "CLONE", "SNAPSHOT", "MATERIALIZED VIEW")


def record(relation: Relation, *, has_volume: bool = True) -> Record:
    """The whole record. ``has_volume`` False: BigQuery has not told its volume and freshness."""
    return _known(figures(relation, has_volume=has_volume) | _description(relation))


def figures(relation: Relation, *, has_volume: bool = True) -> Record:
    """The record with ``--only-freshness-and-volume``."""
    kind, name = KINDS[relation.kind]
    found: Record = {
        "type": kind,
        "kind": "iceberg table" if is_iceberg(relation) else name,
        "database": relation.project,
        "schema": relation.dataset,
        "name": relation.name,
        "created_on": iso(relation.created),
    }
    if has_volume and relation.kind in HAVE_VOLUME and not is_iceberg(relation):
        found |= {
            "row_count": relation.rows,
            "byte_count": relation.logical_bytes,
            "last_update_time": iso(relation.modified) if relation.modified else None,
        }
    return _known(found)


def is_iceberg(relation: Relation) -> bool:
    return relation.managed == "BIGLAKE"


def _description(relation: Relation) -> Record:
    own = [column for column in relation.columns if not column.pseudo]
    tags = [_known({"key": key, "value": value or None}) for key, value in relation.labels.items()]
    return {
        "description": relation.description,
        "view_query": {"VIEW": relation.definition, "MATERIALIZED VIEW": relation.ddl}.get(relation.kind),
        "fields": [field for column in own for field in sorted(_fields(column), key=lambda each: str(each["name"]))],
        "tags": [*tags, *_layout(relation)],
    }


def _fields(column: Column, parent: str = "") -> Iterator[Record]:
    """The column, and its nested fields by path."""
    path = f"{parent}.{column.name}" if parent else column.name
    yield _known({"name": path, "type": column.full_type, "description": column.description})
    for inner in column.fields:
        yield from _fields(inner, path)


def _layout(relation: Relation) -> Iterator[Record]:
    partitions = [column.name for column in relation.columns if column.partitions]
    clusters = sorted((column.clusters, column.name) for column in relation.columns if column.clusters is not None)
    if partitions:
        yield {"key": "partitioned_by", "value": ", ".join(partitions)}
    if clusters:
        yield {"key": "clustered_by", "value": ", ".join(name for _, name in clusters)}
    if is_iceberg(relation) and relation.ddl:
        yield {"key": "external_location", "value": relation.ddl.partition('storage_uri="')[2].partition('"')[0]}


def iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def _known(values: Record) -> Record:
    return {key: value for key, value in values.items() if value not in (None, [], {})}
