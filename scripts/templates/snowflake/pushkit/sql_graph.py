"""Distinct lineage edges, merged by destination, as lineage manifest records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pushkit.sql_names import TableName
from pushkit.sql_statements import PARSED, StatementLineage


class LineageGraph:
    def __init__(self) -> None:
        self._sources: dict[TableName, dict[TableName, None]] = {}
        self._columns: dict[TableName, dict[str, dict[tuple[TableName, str], None]]] = {}
        self._certain: dict[TableName, bool] = {}

    def add(self, lineage: StatementLineage) -> None:
        target = lineage.target
        if target is None or lineage.temporary or not lineage.moves_data:
            return
        sources = [source for source in lineage.sources if source != target]
        if not sources:
            return
        held = self._sources.setdefault(target, {})
        for source in sources:
            held.setdefault(source)
        columns = self._columns.setdefault(target, {})
        for edge in lineage.columns:
            if edge.source in held:
                columns.setdefault(edge.target_column, {})[(edge.source, edge.source_column)] = None
        self._certain[target] = self._certain.get(target, True) and lineage.certainty == PARSED

    def records(self) -> Iterator[dict[str, Any]]:
        for target, held in sorted(self._sources.items(), key=lambda item: str(item[0])):
            sources = list(held)
            places = {source: place for place, source in enumerate(sources)}
            yield {
                "destination": reference(target),
                "sources": [reference(source) for source in sources],
                "columns": [
                    {
                        "name": name,
                        "sources": [{"source": places[source], "name": column} for source, column in pairs],
                    }
                    for name, pairs in self._columns.get(target, {}).items()
                ],
                "origin": "query_text",
                "certainty": "parsed" if self._certain[target] else "partial",
            }


def reference(table: TableName) -> dict[str, Any]:
    return {"type": table.kind, "database": table.database, "schema": table.schema, "name": table.name}
