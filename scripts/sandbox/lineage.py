"""Lineage: the results of `getTableLineage`, `getDerivedTablesPartialLineage` and `getTableColumnsLineage`.

Table edges do not expire. Column edges expire ten days after they were last pushed, as in Monte Carlo.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

import orjson
from graphql import GraphQLError
from paging import read_cursor, write_cursor
from reading import NodeRow, Reading
from shapes import iso

UPSTREAM = "upstream"
DOWNSTREAM = "downstream"
COLUMN_EDGE_LIFE = 10 * 24 * 3600 * 1_000_000
DERIVED_PAGE = 20


@dataclass(frozen=True)
class LineageNode:
    """The schema's `LineageGraphNode`."""

    _reading: Reading
    _node: NodeRow
    is_custom: bool = False

    @property
    def mcon(self) -> str:
        return self._reading.mcon(self._node)

    @property
    def display_name(self) -> str:
        return self._node.name

    @property
    def object_type(self) -> str:
        return self._node.type.lower().replace("_", "-")

    @property
    def has_upstream_nodes(self) -> bool:
        return self._has("destination")

    @property
    def has_downstream_nodes(self) -> bool:
        return self._has("source")

    def _has(self, end: str) -> bool:
        rows = self._reading.rows(
            f"SELECT 1 AS found FROM edges WHERE {end} = :node LIMIT 1",  # noqa: S608 - one of two columns
            {"node": self._node.node_id},
        )
        return bool(rows)


@dataclass(frozen=True)
class EdgeEnd:
    """The schema's `LineageGraphEdgeNode`."""

    mcon: str
    jobs: tuple[()] = ()


@dataclass(frozen=True)
class FlattenedEdges:
    """The schema's `FlattenedLineageGraphEdges`: a node and its neighbors in the requested direction."""

    mcon: str
    directly_connected_mcons: list[str]

    @property
    def directly_connected_nodes(self) -> list[EdgeEnd]:
        return [EdgeEnd(mcon) for mcon in self.directly_connected_mcons]


@dataclass(frozen=True)
class LineageGraph:
    """The schema's type of the same name."""

    base_nodes: list[LineageNode]
    connected_nodes: list[LineageNode]
    flattened_edges: list[FlattenedEdges]

    @property
    def base_node(self) -> LineageNode:
        return self.base_nodes[0]


def neighbors(reading: Reading, node_id: int, direction: str) -> list[int]:
    """Return the ids of the nodes one edge away."""
    here, there = {UPSTREAM: ("destination", "source"), DOWNSTREAM: ("source", "destination")}[direction]
    rows = reading.rows(
        f"SELECT {there} AS there FROM edges WHERE {here} = :node ORDER BY {there}",  # noqa: S608 - constants
        {"node": node_id},
    )
    return [node for (node,) in rows]


def read_graph(reading: Reading, mcons: list[str], direction: str, hops: int) -> LineageGraph:
    """Return the nodes that are reachable from these tables in `hops` edges. Raises GraphQLError."""
    if direction not in (UPSTREAM, DOWNSTREAM):
        raise GraphQLError(f"direction: must be {UPSTREAM} or {DOWNSTREAM}, not {direction!r}")
    if hops < 1:
        raise GraphQLError("hops: must be at least 1")
    base = [reading.required(mcon) for mcon in mcons]
    edges: dict[int, list[int]] = {}
    level = [node.node_id for node in base]
    for _ in range(hops):
        following: list[int] = []
        for node_id in level:
            if node_id not in edges:
                edges[node_id] = neighbors(reading, node_id, direction)
                following += edges[node_id]
        if not following:
            break
        level = following
    reached = dict.fromkeys(node for ends in edges.values() for node in ends)
    rows = reading.nodes({*edges, *reached})
    own = {node.node_id for node in base}
    return LineageGraph(
        base_nodes=[LineageNode(reading, node) for node in base],
        connected_nodes=[LineageNode(reading, rows[node]) for node in reached if node not in own],
        flattened_edges=[
            FlattenedEdges(reading.mcon(rows[node]), [reading.mcon(rows[end]) for end in ends])
            for node, ends in edges.items()
            if ends
        ],
    )


@dataclass(frozen=True)
class SourceColumn:
    """The schema's type of the same name. The column type is from the latest pushed columns, if any."""

    column_name: str
    column_type: str | None


@dataclass(frozen=True)
class LineageSources:
    """The schema's type of the same name: columns of one table."""

    mcon: str
    source_columns: list[SourceColumn]


@dataclass(frozen=True)
class ColumnLineage:
    """The schema's type of the same name: the sources of one column."""

    selected_column: str
    lineage_sources: list[LineageSources]


@dataclass(frozen=True)
class TableColumnsLineage:
    """The schema's `TableColumnsLineageResult`."""

    mcon: str
    display_name: str
    columns_lineage: list[ColumnLineage]
    timestamp: str | None

    # Pushed lineage does not include columns that are only used in conditions.
    non_selected_source_columns: tuple[()] = ()


def read_columns(reading: Reading, node: NodeRow) -> TableColumnsLineage:
    """Return the source columns of each column of a table."""
    rows = reading.rows(
        """
        SELECT
            destination_column AS destination_column,
            source AS source,
            source_column AS source_column,
            seen AS seen
        FROM column_edges
        WHERE destination = :node AND seen >= :since
        ORDER BY destination_column, source, source_column
        """,
        {"node": node.node_id, "since": _oldest()},
    )
    nodes = reading.nodes({source for _, source, _, _ in rows})
    types = {source: _column_types(reading, source) for source in nodes}
    columns: dict[str, dict[int, list[SourceColumn]]] = defaultdict(lambda: defaultdict(list))
    for column, source, source_column, _ in rows:
        columns[column][source].append(SourceColumn(source_column, types[source].get(source_column)))
    return TableColumnsLineage(
        mcon=reading.mcon(node),
        display_name=node.name,
        columns_lineage=[
            ColumnLineage(
                column, [LineageSources(reading.mcon(nodes[source]), found) for source, found in sources.items()]
            )
            for column, sources in columns.items()
        ],
        timestamp=iso(max(seen for *_, seen in rows)) if rows else None,
    )


@dataclass(frozen=True)
class DerivedTable:
    """The schema's `DerivedTablePartialLineage`."""

    mcon: str
    display_name: str
    columns: list[SourceColumn]
    source_column_used_as_non_selected: bool = False


@dataclass(frozen=True)
class DerivedTables:
    """The schema's `DerivedTablesLineageResult`."""

    mcon: str
    source_column: str | None
    destinations: list[DerivedTable]
    is_last_page: bool
    cursor: str | None


def read_derived(
    reading: Reading, node: NodeRow, column: str | None, cursor: str | None, page_size: int | None
) -> DerivedTables:
    """Return a page of the tables with columns derived from `column`, or from any column if it is None.

    Raises GraphQLError.
    """
    size = DERIVED_PAGE if page_size is None else page_size
    if size < 1:
        raise GraphQLError("pageSize: must be at least 1")
    rows = reading.rows(
        """
        SELECT DISTINCT
            destination AS destination,
            destination_column AS destination_column
        FROM column_edges
        WHERE source = :node AND seen >= :since AND (:column IS NULL OR source_column = :column)
        ORDER BY destination, destination_column
        """,
        {"node": node.node_id, "since": _oldest(), "column": column},
    )
    derived: dict[int, list[str]] = defaultdict(list)
    for destination, destination_column in rows:
        derived[destination].append(destination_column)
    start = 0 if cursor is None else read_cursor(cursor)
    page = list(derived)[start : start + size]
    nodes = reading.nodes(page)
    destinations = []
    for destination in page:
        types = _column_types(reading, destination)
        columns = [SourceColumn(each, types.get(each)) for each in derived[destination]]
        destinations.append(DerivedTable(reading.mcon(nodes[destination]), nodes[destination].name, columns))
    is_last = start + size >= len(derived)
    following = None if is_last else write_cursor(start + size)
    return DerivedTables(reading.mcon(node), column, destinations, is_last, following)


def _oldest() -> int:
    return time.time_ns() // 1000 - COLUMN_EDGE_LIFE


def _column_types(reading: Reading, node_id: int) -> dict[str, str]:
    rows = reading.rows(
        """
        SELECT fields AS fields
        FROM versions
        WHERE node_id = :node
        ORDER BY version_id DESC
        LIMIT 1
        """,
        {"node": node_id},
    )
    return {field["name"]: field["type"] for field in orjson.loads(rows[0][0])} if rows else {}
