"""Reads the entries that Hive's LineageLogger hook writes to the log: which columns a statement read and wrote.

Format of an entry: https://github.com/apache/hive/blob/master/ql/src/java/org/apache/hadoop/hive/ql/hooks/LineageLogger.java
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from sys import intern
from typing import Any, NamedTuple

from lineage_names import VIRTUAL_COLUMNS, Names
from mcpush.lineage.fingerprint import digest
from mcpush.lineage.graph import EXACT, LineageTarget
from mcpush.sql import TableName

# The object follows POSTHOOK: LINEAGE: in older releases, such as
# https://github.com/apache/hive/blob/release-1.2.1/ql/src/java/org/apache/hadoop/hive/ql/hooks/LineageLogger.java
START = "{"
EDGES = '"edges":'  # only the rest of an entry has its lineage; in texts, quotes are escaped
# Statements whose entries are used. Hive rewrites UPDATE, DELETE and MERGE to inserts that select ROW__ID first. The
# hook matches columns by position, so their entries can have wrong columns.
# https://github.com/apache/hive/blob/rel/release-3.1.3/ql/src/java/org/apache/hadoop/hive/ql/parse/UpdateDeleteSemanticAnalyzer.java
_WRITES = re.compile(r"(?i)\b(?:INSERT|CREATE|ALTER)\b")
_INSERT = re.compile(r"(?i)\bINSERT\b")
_NOT_USED = re.compile(r"(?i)(?:UPDATE|DELETE|MERGE|EXPLAIN)\b")
_CREATES_VIEW = re.compile(r"(?i)(?:CREATE(?:\s+OR\s+REPLACE)?|ALTER)\s+VIEW\b")
_SPACE = re.compile(r"\s*")


class BrokenEntryError(Exception):
    """An entry that is truncated, or not an object with the hook's fields."""


class Place(NamedTuple):
    """A column of a table; ``column`` is None if an expression reads the table without a column: COUNT(*)."""

    database: str
    table: str
    column: str | None


class Edge(NamedTuple):
    """Columns that are computed from the same sources. No sources: constants, or columns of temporary tables."""

    targets: tuple[Place, ...]
    sources: tuple[Place, ...]


class HookLineage(NamedTuple):
    """An entry. ``database`` is the session's current database; None in older releases, which do not write it.

    Entries with the same ``key`` have the same lineage.
    """

    text: str
    database: str | None
    kind: str  # VIEW if the statement creates or changes a view, else TABLE
    edges: tuple[Edge, ...]
    key: bytes

    @property
    def is_usable(self) -> bool:
        """Whether each table that the entry names as a target has a source."""
        written = {_table(place) for edge in self.edges for place in edge.targets}
        filled = {_table(place) for edge in self.edges if edge.sources for place in edge.targets}
        return bool(written) and written == filled

    @property
    def is_complete(self) -> bool:
        """Whether the entry has as many targets as its text has INSERT clauses.

        The hook leaves out directories, and tables whose columns it cannot match.
        """
        written = {_table(place) for edge in self.edges for place in edge.targets}
        return len(_INSERT.findall(self.text)) <= max(1, len(written))

    @property
    def mapping_count(self) -> int:
        return sum(len(edge.targets) * len(edge.sources) for edge in self.edges)

    def lineage(self, names: Names, *, with_columns: bool = True) -> Iterator[LineageTarget]:
        """Yields the targets with their sources and column mappings."""
        edges = self.edges if with_columns else self._edges_of_tables()
        found: dict[tuple[str, str], LineageTarget] = {}
        for edge in edges:
            for place in edge.targets:
                asset = names.asset(TableName(names.catalog, place.database, place.table, self.kind))
                target = found.setdefault(_table(place), LineageTarget(asset, "lineage_hook", EXACT))
                if place.column:
                    names.note_column(asset, place.column, is_target=True)
                for source in edge.sources:
                    read = names.asset(TableName(names.catalog, source.database, source.table))
                    target.add(read, place.column, source.column)
                    if source.column:
                        names.note_column(read, source.column, is_target=False)
        return iter(found.values())

    def _edges_of_tables(self) -> Iterator[Edge]:
        for edge in self.edges:
            targets, sources = (
                tuple({place._replace(column=None) for place in places}) for places in (edge.targets, edge.sources)
            )
            yield Edge(targets, sources)


def _table(place: Place) -> tuple[str, str]:
    return place.database, place.table


def parse_entry(text: str) -> HookLineage:
    """Returns an entry. It has no edges if its statement only reads, or if Hive could not compute them.

    Raises BrokenEntryError.
    """
    try:
        value = json.loads(text[max(0, text.find(START)) :])
        query: str = _typed(value["queryText"], str)
        database: str | None = value.get("database") and _typed(value["database"], str)
        edges = tuple(_edges(value)) if _is_used(query) else ()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenEntryError(text) from error
    kind = "VIEW" if _CREATES_VIEW.match(without_comments(query)) else "TABLE"
    return HookLineage(query, database, kind, edges, digest(kind + text[max(0, text.rfind(EDGES)) :]))


def _is_used(query: str) -> bool:
    """Whether the targets of an entry are tables. The columns of a query's result can look like them."""
    start = without_comments(query)
    return bool(_WRITES.search(start)) and not _NOT_USED.match(start)


def _edges(value: dict[str, Any]) -> Iterator[Edge]:
    """PROJECTION edges: the values of columns. PREDICATE edges are conditions of joins and filters."""
    places = {vertex["id"]: _place(vertex) for vertex in value["vertices"]}
    for edge in value["edges"]:
        if edge["edgeType"] == "PROJECTION":
            targets = tuple(place for number in edge["targets"] if (place := places[number]) and place.column)
            sources = tuple(place for number in edge["sources"] if (place := places[number]))
            if targets:
                yield Edge(targets, sources)


def _place(vertex: dict[str, Any]) -> Place | None:
    """The table or column that a vertex names; None for a column of a result or directory (``c`` or ``alias.c``).

    Hive allows dots only in names of columns.
    """
    parts = [intern(part) for part in _typed(vertex["vertexId"], str).lower().split(".", 2)]
    if vertex["vertexType"] == "TABLE" and len(parts) == 2 and all(parts):
        return Place(parts[0], parts[1], None)
    if vertex["vertexType"] == "COLUMN" and len(parts) == 3 and all(parts):
        return Place(parts[0], parts[1], None if parts[2] in VIRTUAL_COLUMNS else parts[2])
    return None


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(value)
    return value


def without_comments(text: str) -> str:
    """The text from its first word on, without the comments in front of it."""
    position = 0
    while True:
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches everything
        end = {"--": "\n", "/*": "*/"}.get(text[position : position + 2])
        if end is None:
            return text[position:]
        after = text.find(end, position + 2)
        if after < 0:
            return ""
        position = after + len(end)
