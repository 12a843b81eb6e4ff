"""Reads the store for GraphQL requests, and translates between nodes and MCONs.

A table's MCON is `MCON++{account}++{resource}++table++{full table id}`, which `pycarlo.common.mcon` can parse. Views
have the type `table` too, so that an MCON does not depend on the type in metadata or lineage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from accounts import Account, Key
from graphql import GraphQLError
from store import Store

_OBJECT_TYPE = "table"


@dataclass(frozen=True)
class NodeRow:
    """One row of `nodes`."""

    node_id: int
    resource: str
    full_table_id: str
    type: str
    database: str
    schema: str
    name: str


NODE_COLUMNS = """
    nodes.node_id AS node_id,
    nodes.resource AS resource,
    nodes.full_table_id AS full_table_id,
    nodes.type AS type,
    nodes.database AS database,
    nodes.schema AS schema,
    nodes.name AS name
"""


@dataclass(frozen=True)
class Reading:
    """Access to the store for one GraphQL request, with its account and key."""

    store: Store
    account: Account
    key: Key

    def rows(self, statement: str, parameters: dict[str, Any] | None = None) -> list[Any]:
        connection: sqlite3.Connection = self.store.reading()
        return connection.execute(statement, parameters or {}).fetchall()

    def mcon(self, node: NodeRow) -> str:
        return f"MCON++{self.account.uuid}++{node.resource}++{_OBJECT_TYPE}++{node.full_table_id}"

    def node(self, resource: str, full_table_id: str) -> NodeRow | None:
        rows = self.rows(
            f"""
            SELECT {NODE_COLUMNS}
            FROM nodes
            WHERE nodes.resource = :resource AND nodes.full_table_id = :table
            """,  # noqa: S608 - the columns are a constant
            {"resource": resource, "table": full_table_id},
        )
        return NodeRow(*rows[0]) if rows else None

    def nodes(self, node_ids: Iterable[int]) -> dict[int, NodeRow]:
        """Return these nodes by their id."""
        rows = self.rows(
            f"""
            SELECT {NODE_COLUMNS}
            FROM nodes
            WHERE nodes.node_id IN (SELECT value FROM json_each(:nodes))
            """,  # noqa: S608 - as above
            {"nodes": orjson.dumps(list(node_ids)).decode()},
        )
        return {row[0]: NodeRow(*row) for row in rows}

    def named(self, mcon: str) -> NodeRow | None:
        """Return the node with this MCON, or None if no push has named it. Raises GraphQLError if it is invalid."""
        parts = mcon.split("++", 4)
        if len(parts) != 5 or parts[0] != "MCON":
            raise GraphQLError(f"mcon: {mcon!r} is not an MCON (MCON++account++resource++type++id)")
        _, account, resource, _, full_table_id = parts
        if account != self.account.uuid:
            raise GraphQLError(f"mcon: {account} is not the account of this sandbox")
        return self.node(resource, full_table_id)

    def required(self, mcon: str) -> NodeRow:
        """Return the node with this MCON. Raises GraphQLError if it is invalid or no push has named it."""
        node = self.named(mcon)
        if node is None:
            raise GraphQLError(f"mcon: {mcon} does not exist: no push has named it")
        return node
