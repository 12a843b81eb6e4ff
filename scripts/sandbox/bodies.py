"""Validates the bodies of the three ingestion requests, field by field.

The reference is what `pycarlo.features.ingestion.models` builds. Where neither pycarlo nor the documentation
(https://docs.getmontecarlo.com/docs/push-ingest-api) is specific, the sandbox is strict, so that mistakes show
here first: it rejects fields that pycarlo does not send, times without an offset, and negative counts.
`problems_in(flow, body)` returns `{field path: problem}`, which is empty for a valid body.
"""

from __future__ import annotations

from typing import Any

from shapes import (
    ListOf,
    Problems,
    Record,
    any_object,
    code,
    count,
    identifier,
    name,
    one_of,
    optional,
    text,
    timestamp,
)

METADATA = "metadata"
LINEAGE = "lineage"
QUERY_LOGS = "querylogs"
FLOWS = (METADATA, LINEAGE, QUERY_LOGS)

ASSET_TYPES = ("TABLE", "VIEW")
# Lineage can also reference objects outside the catalog: files, stages, and date-sharded tables.
REFERENCE_TYPES = (*ASSET_TYPES, "EXTERNAL", "WILDCARD_TABLE")
LOG_TYPES = (
    "snowflake",
    "bigquery",
    "databricks",
    "databricks-metastore-sql-warehouse",
    "redshift",
    "hive-s3",
    "athena",
    "presto-s3",
    "s3",
    "teradata",
    "clickhouse",
)

_RESOURCE = Record(uuid=identifier, resource_type=name)

_ASSET = Record(
    type=one_of(*ASSET_TYPES),
    metadata=Record(
        name=name,
        database=name,
        schema=name,
        description=optional(text),
        view_query=optional(text),
        created_on=optional(timestamp),
    ),
    tags=optional(ListOf(Record(key=name, value=optional(text)))),
    fields=optional(ListOf(Record(name=name, type=name, description=optional(text)))),
    volume=optional(Record(row_count=optional(count), byte_count=optional(count))),
    freshness=optional(Record(last_update_time=optional(timestamp))),
)

_REFERENCE = Record(
    type=one_of(*REFERENCE_TYPES),
    name=name,
    database=name,
    schema=name,
    asset_id=optional(name),
    resource_uuid=optional(identifier),
    resource_type=optional(name),
)

_EDGE = Record(
    destination=_REFERENCE,
    sources=ListOf(_REFERENCE, minimum=1),
    fields=optional(ListOf(Record(name=name, source_fields=ListOf(Record(asset_id=name, field_name=name))))),
)

_QUERY = Record(
    start_time=timestamp,
    end_time=timestamp,
    query_text=name,
    query_id=optional(text),
    user=optional(text),
    error_code=optional(code),
    error_text=optional(text),
    returned_rows=optional(count),
    extra=optional(any_object),
)

_BODIES = {
    METADATA: Record(
        event_type=one_of("METADATA"),
        resource=_RESOURCE,
        events=ListOf(Record(relational_asset=_ASSET), minimum=1),
    ),
    LINEAGE: Record(
        event_type=one_of("LINEAGE", "COLUMN_LINEAGE"),
        resource=optional(_RESOURCE),
        events=ListOf(_EDGE, minimum=1),
    ),
    QUERY_LOGS: Record(
        event_type=one_of("QUERY_LOG"),
        resource=Record(uuid=identifier, log_type=one_of(*LOG_TYPES)),
        events=ListOf(_QUERY, minimum=1),
    ),
}


def problems_in(flow: str, body: Any) -> Problems:
    """Return the problems of a request of `flow` (one of FLOWS), by field path; empty for a valid request."""
    if not isinstance(body, dict):
        return {"body": "must be a JSON object"}
    problems: Problems = {}
    _BODIES[flow].check(body, "", problems)
    if flow == LINEAGE and not problems:
        _check_lineage(body, problems)
    return problems


def references(event: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return every asset of a lineage event, the destination first, each with its path in the event."""
    sources = [(f"sources[{position}]", each) for position, each in enumerate(event["sources"])]
    return [("destination", event["destination"]), *sources]


def _check_lineage(body: dict[str, Any], problems: Problems) -> None:
    """Check rules across fields: where the warehouse is named, and which source a column refers to."""
    one_warehouse = body.get("resource") is not None
    for position, event in enumerate(body["events"]):
        path = f"events[{position}]"
        for where, reference in references(event):
            _check_warehouse(reference, f"{path}.{where}", one_warehouse, problems)
        if event.get("fields"):
            if body["event_type"] != "COLUMN_LINEAGE":
                problems[f"{path}.fields"] = "needs event_type COLUMN_LINEAGE"
            _check_columns(event, path, problems)


def _check_warehouse(reference: dict[str, Any], path: str, one_warehouse: bool, problems: Problems) -> None:
    for field in ("resource_uuid", "resource_type"):
        given = reference.get(field) is not None
        if one_warehouse and given:
            problems[f"{path}.{field}"] = "must be absent when the request names a resource"
        elif not one_warehouse and not given:
            problems[f"{path}.{field}"] = "is required when the request names no resource"


def _check_columns(event: dict[str, Any], path: str, problems: Problems) -> None:
    declared: set[str] = set()
    for position, source in enumerate(event["sources"]):
        asset_id = source.get("asset_id")
        if asset_id in declared:
            problems[f"{path}.sources[{position}].asset_id"] = f"{asset_id!r} is listed twice"
        if asset_id is not None:
            declared.add(asset_id)
    for position, column in enumerate(event["fields"]):
        for place, source in enumerate(column["source_fields"]):
            if source["asset_id"] not in declared:
                where = f"{path}.fields[{position}].source_fields[{place}].asset_id"
                problems[where] = f"{source['asset_id']!r} is not the asset_id of a source of this event"
