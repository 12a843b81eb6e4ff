"""Tables, warehouses and the user: the results of `getTable`, `getTables`, `getWarehouse` and `getUser`.

`versions` lists column versions, newest first, so `versions(first: 1)` has the current columns. Volume and freshness
are in `metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from accounts import Warehouse
from bodies import LINEAGE, METADATA, QUERY_LOGS
from metrics import Thresholds, latest_update
from paging import Connection, connect
from reading import NODE_COLUMNS, NodeRow, Reading
from resolving import warehouse_uuid
from shapes import iso

INGEST_TYPE = "PUSH"

# Monte Carlo expects hourly pushes, so a day without one is a problem.
STALE_AFTER = 24 * 3600 * 1_000_000

_CONNECTION_TYPES = {"snowflake": "SNOWFLAKE", "bigquery": "BIGQUERY", "redshift": "REDSHIFT"}

_PUSH_EVENT_TYPES = {METADATA: "METADATA", LINEAGE: "LINEAGE", QUERY_LOGS: "QUERY_LOGS"}


@dataclass(frozen=True)
class AccountAnswer:
    """The schema's `Account`."""

    uuid: str
    name: str = "sandbox"

    @property
    def id(self) -> str:
        return self.uuid


@dataclass(frozen=True)
class UserAnswer:
    """The schema's `User`: the service account of the key."""

    token_id: str
    account: AccountAnswer
    email: str = "sandbox@localhost"
    first_name: str = "Sandbox"
    last_name: str = "Key"
    display_name: str = "Sandbox key"
    state: str = "DASHBOARD"
    role: str = "service"
    is_sso: bool = False
    is_deleted: bool = False

    @property
    def id(self) -> str:
        return self.token_id


@dataclass(frozen=True)
class PushEvent:
    """The schema's `PushEventStatus`."""

    event_type: str
    status: str
    first_received: str | None
    last_received: str | None
    last_invocation_id: str | None


@dataclass(frozen=True)
class WarehouseAnswer:
    """The schema's `Warehouse`."""

    _reading: Reading
    _warehouse: Warehouse
    is_deleted: bool = False

    @property
    def id(self) -> str:
        return self._warehouse.uuid

    @property
    def uuid(self) -> str:
        return self._warehouse.uuid

    @property
    def name(self) -> str:
        return self._warehouse.name

    @property
    def connection_type(self) -> str:
        return _CONNECTION_TYPES.get(self._warehouse.type, "DATA_LAKE")

    @property
    def account(self) -> AccountAnswer:
        return AccountAnswer(self._reading.account.uuid)

    def tables(
        self, first: int | None = None, after: str | None = None, offset: int | None = None
    ) -> Connection[Table]:
        return find_tables(self._reading, {"resource": self._warehouse.uuid}, first, after, offset)

    @property
    def push_events(self) -> list[PushEvent]:
        return [self._push_event(flow, event_type) for flow, event_type in _PUSH_EVENT_TYPES.items()]

    def _push_event(self, flow: str, event_type: str) -> PushEvent:
        rows = self._reading.rows(
            """
            SELECT
                first.received AS first_received,
                last.received AS last_received,
                last.invocation_id AS last_invocation_id
            FROM pushes AS first
            CROSS JOIN pushes AS last
            WHERE first.push_id = (
                    SELECT min(push_id) FROM push_resources WHERE resource = :resource AND flow = :flow
                )
                AND last.push_id = (
                    SELECT max(push_id) FROM push_resources WHERE resource = :resource AND flow = :flow
                )
            """,
            {"resource": self._warehouse.uuid, "flow": flow},
        )
        if not rows:
            return PushEvent(event_type, "NEVER_RECEIVED", None, None, None)
        first, last, invocation = rows[0]
        status = "STALE" if last < time.time_ns() // 1000 - STALE_AFTER else "ACTIVE"
        return PushEvent(event_type, status, iso(first), iso(last), invocation)


@dataclass(frozen=True)
class FieldAnswer:
    """The schema's `TableField`."""

    id: str
    name: str
    field_type: str
    description: str | None
    field_mcon: str

    @property
    def original_name(self) -> str:
        return self.name


@dataclass(frozen=True)
class Version:
    """The schema's `TableSchemaVersion`: the columns, and the time of the first push that had them."""

    _table: Table
    _version_id: int
    _seen: int
    _fields: str

    @property
    def id(self) -> str:
        return str(self._version_id)

    @property
    def version_id(self) -> str:
        return str(self._version_id)

    @property
    def timestamp(self) -> str:
        return iso(self._seen)

    @property
    def table(self) -> Table:
        return self._table

    def fields(
        self,
        first: int | None = None,
        after: str | None = None,
        offset: int | None = None,
        name: str | None = None,
    ) -> Connection[FieldAnswer]:
        pushed = [each for each in orjson.loads(self._fields) if name in (None, each["name"])]

        def fetch(limit: int, start: int) -> list[FieldAnswer]:
            return [self._field(each) for each in pushed[start : start + limit]]

        return connect(fetch, first, after, offset)

    def _field(self, pushed: dict[str, Any]) -> FieldAnswer:
        return FieldAnswer(
            id=f"{self._version_id}.{pushed['name']}",
            name=pushed["name"],
            field_type=pushed["type"],
            description=pushed.get("description"),
            field_mcon=self._table.mcon.replace("++table++", "++field++") + "." + pushed["name"],
        )


@dataclass(frozen=True)
class Property:
    """The schema's `ObjectProperty`: a pushed tag."""

    mcon_id: str
    property_name: str
    property_value: str | None
    property_source_type: str = "INGEST"

    @property
    def id(self) -> str:
        return f"{self.mcon_id}.{self.property_name}"


@dataclass(frozen=True)
class Table:
    """The schema's `WarehouseTable`: a node with pushed metadata."""

    _reading: Reading
    _node: NodeRow
    _description: str | None
    _view_query: str | None
    _created_on: int | None
    _tags: str
    _first_seen: int
    _last_seen: int
    _invocation_id: str
    is_deleted: bool = False
    ingest_type: str = INGEST_TYPE

    @property
    def id(self) -> str:
        return str(self._node.node_id)

    @property
    def mcon(self) -> str:
        return self._reading.mcon(self._node)

    @property
    def full_table_id(self) -> str:
        return self._node.full_table_id

    @property
    def table_id(self) -> str:
        return self._node.name

    @property
    def friendly_name(self) -> str:
        return self._node.name

    @property
    def project_name(self) -> str:
        return self._node.database

    @property
    def dataset(self) -> str:
        return self._node.schema

    @property
    def table_type(self) -> str:
        return self._node.type

    @property
    def warehouse(self) -> WarehouseAnswer:
        warehouse = self._reading.account.warehouse(self._node.resource)
        # If a warehouse was removed from sandbox.json, its tables are still in the store.
        return WarehouseAnswer(
            self._reading, warehouse or Warehouse(self._node.resource, "removed from sandbox.json", "")
        )

    @property
    def description(self) -> str | None:
        return self._description

    @property
    def view_query(self) -> str | None:
        return self._view_query

    @property
    def created_time(self) -> str | None:
        return None if self._created_on is None else iso(self._created_on)

    @property
    def discovered_time(self) -> str:
        return iso(self._first_seen)

    @property
    def last_observed(self) -> str:
        return iso(self._last_seen)

    @property
    def last_updated_on(self) -> str | None:
        return latest_update(self._reading, self._node)

    @property
    def ingest_invocation_id(self) -> str:
        return self._invocation_id

    @property
    def object_properties(self) -> list[Property]:
        return [Property(self.mcon, tag["key"], tag.get("value")) for tag in orjson.loads(self._tags)]

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self._reading, self._node)

    @property
    def get_thresholds(self) -> Thresholds:
        return self.thresholds

    def versions(
        self, first: int | None = None, after: str | None = None, offset: int | None = None
    ) -> Connection[Version]:
        def fetch(limit: int, start: int) -> list[Version]:
            rows = self._reading.rows(
                """
                SELECT
                    version_id AS version_id,
                    seen AS seen,
                    fields AS fields
                FROM versions
                WHERE node_id = :node
                ORDER BY version_id DESC
                LIMIT :limit OFFSET :start
                """,
                {"node": self._node.node_id, "limit": limit, "start": start},
            )
            return [Version(self, *row) for row in rows]

        return connect(fetch, first, after, offset)


def find_tables(
    reading: Reading,
    wanted: dict[str, Any],
    first: int | None,
    after: str | None,
    offset: int | None = None,
) -> Connection[Table]:
    """Return a page of the tables that match `wanted` (resource, table, invocation, node), sorted by full id."""
    conditions = {
        "resource": "nodes.resource = :resource",
        "table": "nodes.full_table_id = :table",
        "invocation": "assets.invocation_id = :invocation",
        "node": "nodes.node_id = :node",
    }
    where = " AND ".join(["1 = 1", *(conditions[name] for name in wanted)])

    def fetch(limit: int, start: int) -> Sequence[Table]:
        rows = reading.rows(
            f"""
            SELECT
                {NODE_COLUMNS},
                assets.description AS description,
                assets.view_query AS view_query,
                assets.created_on AS created_on,
                assets.tags AS tags,
                assets.first_seen AS first_seen,
                assets.last_seen AS last_seen,
                assets.invocation_id AS invocation_id
            FROM assets
            JOIN nodes ON nodes.node_id = assets.node_id
            WHERE {where}
            ORDER BY nodes.full_table_id, nodes.resource
            LIMIT :limit OFFSET :start
            """,  # noqa: S608 - the conditions are constants, their values are bound
            wanted | {"limit": limit, "start": start},
        )
        return [Table(reading, NodeRow(*row[:7]), *row[7:]) for row in rows]

    return connect(fetch, first, after, offset)


def find_warehouse(reading: Reading, uuid: str) -> WarehouseAnswer | None:
    warehouse = reading.account.warehouse(warehouse_uuid(uuid, "uuid"))
    return None if warehouse is None else WarehouseAnswer(reading, warehouse)


def current_user(reading: Reading) -> UserAnswer:
    return UserAnswer(token_id=reading.key.id, account=AccountAnswer(reading.account.uuid))
