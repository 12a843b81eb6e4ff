"""Distinct lineage edges of a log, merged by destination, as lineage manifest records.

From `StatementLineage`, to one record per destination. Only distinct edges are kept, so memory follows the number
of tables and columns, not of statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mcpush.sql.names import EXTERNAL, TableName
from mcpush.sql.statements import PARSED, PARTIAL, StatementLineage

# Statements that give a table's whole content another name: its columns keep theirs.
_SAME_COLUMNS = frozenset({"rename", "swap", "clone", "append", "exchange partition", "create stream"})

Pair = tuple[TableName, str]


class _Node:
    """What is known of one destination."""

    __slots__ = ("certain", "columns", "copied", "sources", "target")

    def __init__(self, target: TableName) -> None:
        self.target = target
        self.sources: dict[TableName, bool] = {}  # True when a statement that was parsed whole says so
        self.columns: dict[str, dict[Pair, None]] = {}
        self.copied: set[TableName] = set()


class LineageGraph:
    """Gathers lineage; `records` reads it out, resolving what is not worth a record of its own."""

    def __init__(self) -> None:
        self._nodes: dict[TableName, _Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, lineage: StatementLineage) -> None:
        """Adds one statement's edges. Queries, statements that move nothing and session tables are left out."""
        target = lineage.target
        if target is None or not lineage.moves_data or not lineage.sources:
            return
        node = self._nodes.get(target)
        if node is None:
            node = self._nodes[target] = _Node(target)
        parsed = lineage.certainty == PARSED
        for source in lineage.sources:
            if source != target:
                node.sources[source] = node.sources.get(source, False) or parsed
        for edge in lineage.columns:
            if edge.source != target:
                node.columns.setdefault(edge.target_column, {})[(edge.source, edge.source_column)] = None
        if not lineage.columns and lineage.kind in _SAME_COLUMNS:
            node.copied.update(source for source in lineage.sources if source != target)

    def records(
        self, origin: str = "query_text", hidden: Callable[[TableName], bool] = lambda _: False
    ) -> Iterator[dict[str, Any]]:
        """One manifest record per destination, by name. `hidden` tables are replaced by what they were made from."""
        self._fill_copies()
        for target in sorted(self._nodes, key=str):
            if hidden(target):
                continue
            sources, columns = self._resolved(target, hidden)
            if sources:
                yield _record(target, sources, columns, origin)

    def _fill_copies(self) -> None:
        """A renamed or cloned table has the columns its original was seen to be filled with."""
        for node in self._nodes.values():
            for source in node.copied:
                original = self._nodes.get(source)
                for name in list(original.columns) if original is not None else ():
                    node.columns.setdefault(name, {})[(source, name)] = None

    def _resolved(
        self, target: TableName, hidden: Callable[[TableName], bool]
    ) -> tuple[dict[TableName, bool], dict[str, dict[Pair, None]]]:
        node = self._nodes[target]
        sources: dict[TableName, bool] = {}
        for source, parsed in node.sources.items():
            for real, certain in self._real_sources(source, hidden):
                if real != target:
                    sources[real] = sources.get(real, False) or (parsed and certain)
        columns: dict[str, dict[Pair, None]] = {}
        for name, pairs in node.columns.items():
            real_pairs: dict[Pair, None] = {}
            for pair in pairs:
                for real_pair in self._real_columns(pair, hidden):
                    if real_pair[0] in sources:
                        real_pairs.setdefault(real_pair)
            if real_pairs:
                columns[name] = real_pairs
        return sources, columns

    def _real_sources(self, source: TableName, hidden: Callable[[TableName], bool]) -> list[tuple[TableName, bool]]:
        found: dict[TableName, bool] = {}
        stack = [(source, True)]
        seen = {source}
        while stack:
            table, certain = stack.pop()
            node = self._nodes.get(table)
            if node is None or not hidden(table):
                if not hidden(table):
                    found[table] = certain
                continue
            for further, parsed in node.sources.items():
                if further not in seen:
                    seen.add(further)
                    stack.append((further, certain and parsed))
        return list(found.items())

    def _real_columns(self, pair: Pair, hidden: Callable[[TableName], bool]) -> list[Pair]:
        found: dict[Pair, None] = {}
        stack = [pair]
        seen = {pair}
        while stack:
            table, column = current = stack.pop()
            if not hidden(table):
                found.setdefault(current)
                continue
            node = self._nodes.get(table)
            held = node.columns if node is not None else {}
            lowered = column.lower()
            for name, pairs in held.items():
                if name.lower() == lowered:
                    stack.extend(further for further in pairs if further not in seen)
                    seen.update(pairs)
        return list(found)


def _record(
    target: TableName, sources: dict[TableName, bool], columns: dict[str, dict[Pair, None]], origin: str
) -> dict[str, Any]:
    ordered = sorted(sources, key=str)
    places = {source: place for place, source in enumerate(ordered)}
    return {
        "destination": reference(target),
        "sources": [reference(source) for source in ordered],
        "columns": [
            {
                "name": name,
                "sources": [
                    {"source": places[table], "name": column}
                    for table, column in sorted(columns[name], key=lambda pair: (places[pair[0]], pair[1]))
                ],
            }
            for name in sorted(columns)
        ],
        "origin": origin,
        "certainty": PARSED if all(sources.values()) else PARTIAL,
    }


def reference(table: TableName) -> dict[str, Any]:
    """A table as manifest records refer to it; an external path has neither database nor schema."""
    if table.kind == EXTERNAL:
        return {"type": EXTERNAL, "database": None, "schema": None, "name": table.name}
    return {"type": table.kind, "database": table.database, "schema": table.schema, "name": table.name}
