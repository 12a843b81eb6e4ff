"""Writes an accepted metadata, lineage or query log push to the store.

Runs in the store's writer thread, in one transaction per push. If a metadata push omits a field, the field keeps its
earlier value, so that an hourly push of only freshness and volume does not delete a table's columns. A new column
version is written only if the columns differ. Each pushed volume and freshness is a separate sample.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from bodies import LINEAGE, METADATA, QUERY_LOGS, references
from shapes import microseconds

Event = dict[str, Any]


@dataclass(frozen=True)
class Push:
    """One accepted request. `resource` is its warehouse, or None for lineage across warehouses."""

    invocation_id: str
    flow: str
    event_type: str
    received: int
    resource: str | None
    log_type: str | None
    events: list[Event]
    raw: bytes


def full_table_id(asset: dict[str, Any]) -> str:
    """Return Monte Carlo's full table id, `database:schema.name`, with its case unchanged."""
    return f"{asset['database']}:{asset['schema']}.{asset['name']}"


def record(push: Push) -> Callable[[sqlite3.Connection], None]:
    """Return the function for `Store.write` that writes `push`."""

    def work(connection: sqlite3.Connection) -> None:
        cursor = connection.execute(
            """
            INSERT INTO pushes (
                invocation_id, flow, event_type, log_type, received, events, raw_bytes, body
            )
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            (
                push.invocation_id,
                push.flow,
                push.event_type,
                push.log_type,
                push.received,
                len(push.events),
                len(push.raw),
                zlib.compress(push.raw, 1),
            ),
        )
        push_id = cursor.lastrowid
        assert push_id is not None  # noqa: S101 - set after every successful INSERT
        _RECORDERS[push.flow](connection, push, push_id)

    return work


def _record_resources(connection: sqlite3.Connection, push: Push, push_id: int, resources: Iterable[str]) -> None:
    connection.executemany(
        "INSERT INTO push_resources (push_id, resource, flow) VALUES (?, ?, ?)",
        [(push_id, resource, push.flow) for resource in resources],
    )


def _node(connection: sqlite3.Connection, resource: str, kind: str, asset: dict[str, Any]) -> int:
    """Return the id of an asset's node, which is created if it is new."""
    table = full_table_id(asset)
    known = connection.execute(
        "SELECT node_id FROM nodes WHERE resource = ? AND full_table_id = ?", (resource, table)
    ).fetchone()
    if known is not None:
        return int(known[0])
    cursor = connection.execute(
        """
        INSERT INTO nodes (resource, full_table_id, type, database, schema, name, folded_name)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        (resource, table, kind, asset["database"], asset["schema"], asset["name"], asset["name"].lower()),
    )
    return int(cursor.lastrowid or 0)


def _record_metadata(connection: sqlite3.Connection, push: Push, push_id: int) -> None:
    assert push.resource is not None  # noqa: S101 - the body was validated
    _record_resources(connection, push, push_id, [push.resource])
    for event in push.events:
        asset = event["relational_asset"]
        node = _node(connection, push.resource, asset["type"], asset["metadata"])
        # An earlier lineage push can have guessed the type. Metadata has the right one.
        connection.execute("UPDATE nodes SET type = ? WHERE node_id = ?", (asset["type"], node))
        _record_asset(connection, push, node, asset)
        _record_version(connection, push, node, asset.get("fields") or [])
        _record_measurements(connection, push, node, asset)


def _record_asset(connection: sqlite3.Connection, push: Push, node: int, asset: dict[str, Any]) -> None:
    metadata = asset["metadata"]
    created = metadata.get("created_on")
    connection.execute(
        """
        INSERT INTO assets (
            node_id, description, view_query, created_on, tags, first_seen, last_seen, invocation_id
        )
        VALUES (
            :node, :description, :view_query, :created, coalesce(:tags, '[]'), :received, :received, :invocation
        )
        ON CONFLICT (node_id) DO UPDATE SET
            description = coalesce(:description, description),
            view_query = coalesce(:view_query, view_query),
            created_on = coalesce(:created, created_on),
            tags = coalesce(:tags, tags),
            last_seen = :received,
            invocation_id = :invocation
        """,
        {
            "node": node,
            "description": metadata.get("description"),
            "view_query": metadata.get("view_query"),
            "created": None if created is None else microseconds(created),
            "tags": orjson.dumps(asset["tags"]).decode() if asset.get("tags") else None,
            "received": push.received,
            "invocation": push.invocation_id,
        },
    )


def _record_version(connection: sqlite3.Connection, push: Push, node: int, fields: list[Event]) -> None:
    if not fields:
        return
    written = orjson.dumps(fields).decode()
    latest = connection.execute(
        "SELECT fields FROM versions WHERE node_id = ? ORDER BY version_id DESC LIMIT 1", (node,)
    ).fetchone()
    if latest is None or latest[0] != written:
        connection.execute(
            "INSERT INTO versions (node_id, seen, fields) VALUES (?, ?, ?)", (node, push.received, written)
        )


def _record_measurements(connection: sqlite3.Connection, push: Push, node: int, asset: dict[str, Any]) -> None:
    volume = asset.get("volume") or {}
    rows, size = volume.get("row_count"), volume.get("byte_count")
    if rows is not None or size is not None:
        connection.execute(
            "INSERT INTO volumes (node_id, measured, row_count, byte_count) VALUES (?, ?, ?, ?)",
            (node, push.received, rows, size),
        )
    updated = (asset.get("freshness") or {}).get("last_update_time")
    if updated is not None:
        connection.execute(
            "INSERT INTO freshness (node_id, measured, last_update) VALUES (?, ?, ?)",
            (node, push.received, microseconds(updated)),
        )


def _record_lineage(connection: sqlite3.Connection, push: Push, push_id: int) -> None:
    resources: set[str] = set()

    def node(reference: dict[str, Any]) -> int:
        resource = (reference.get("resource_uuid") or push.resource or "").lower()
        resources.add(resource)
        return _node(connection, resource, reference["type"], reference)

    edges, columns = [], []
    for event in push.events:
        (_, destination), *sources = references(event)
        target = node(destination)
        by_asset_id = {}
        for _, source in sources:
            origin = node(source)
            by_asset_id[source.get("asset_id")] = origin
            edges.append((origin, target, push.received))
        for column in event.get("fields") or []:
            for source in column["source_fields"]:
                origin = by_asset_id[source["asset_id"]]
                columns.append((origin, source["field_name"], target, column["name"], push.received))
    _record_resources(connection, push, push_id, resources)
    connection.executemany(
        "INSERT OR REPLACE INTO edges (source, destination, seen) VALUES (?, ?, ?)",
        edges,
    )
    connection.executemany(
        """
        INSERT OR REPLACE INTO column_edges (source, source_column, destination, destination_column, seen)
        VALUES (?, ?, ?, ?, ?)
        """,
        columns,
    )


def _record_queries(connection: sqlite3.Connection, push: Push, push_id: int) -> None:
    """Queue the push: `query_log` indexes its queries later, many at a time."""
    assert push.resource is not None  # noqa: S101 - the body was validated
    _record_resources(connection, push, push_id, [push.resource])
    connection.execute("INSERT INTO pushes_to_spread (push_id) VALUES (?)", (push_id,))


_RECORDERS = {METADATA: _record_metadata, LINEAGE: _record_lineage, QUERY_LOGS: _record_queries}
