"""Runs this project's lineage extractor behind the protocol of the shared lineage runner, which scores it.

    python run.py --name ours --cmd "python benchmarks/lineage_adapter.py" --cases cases/*.jsonl

Reads JSON lines from stdin, {id, dialect, sql, default_db, default_schema, schemas}, and writes JSON lines:
{in, out, cols: [[source table, source column, target table, target column], …], error}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from mcpush.sql import ColumnEdge, Defaults, Schema, StatementLineage, TableName, extract


def schema_of(tables: Mapping[str, Mapping[str, str]] | None) -> Schema | None:
    """A catalog from the runner's `{dotted name: {column: type}}`."""
    if not tables:
        return None
    schema = Schema()
    for dotted, columns in tables.items():
        parts = ["", "", *dotted.split(".")]
        name = TableName(".".join(filter(None, parts[:-2])) or None, parts[-2] or None, parts[-1])
        schema.add(name, columns)
    return schema


def result_of(case: Mapping[str, Any]) -> dict[str, Any]:
    """The result for one case, in the runner's format."""
    schema = schema_of(case.get("schemas"))
    defaults = Defaults(case.get("default_db"), case.get("default_schema"))
    found = extract(case["sql"], case["dialect"], defaults, schema)
    # A cached result is not a table of the catalog.
    lineages = Script([lineage for lineage in found.lineages if lineage.kind != "cache"]).net()
    return {
        "in": list(dict.fromkeys(str(table) for lineage in lineages for table in lineage.sources)),
        "out": list(dict.fromkeys(str(lineage.target) for lineage in lineages if lineage.target)),
        "cols": [edge for lineage in lineages for edge in edges(lineage)],
        "error": "; ".join(skip.reason for skip in found.skips) or None,
    }


class Script:
    """The net lineage of a script: the runner expects one result, without tables that only the script itself uses.

    A table that the script creates and then reads or drops is resolved to its sources. A table that it fills and then
    renames appears under its last name. A temporary table counts if no permanent table is written after it.
    """

    def __init__(self, lineages: list[StatementLineage]) -> None:
        self.lineages = lineages
        self.made: dict[TableName, StatementLineage] = {}
        self.inner: set[TableName] = set()

    def net(self) -> list[StatementLineage]:
        if len(self.lineages) < 2:
            return self.lineages
        kept: list[StatementLineage] = []
        for place, lineage in enumerate(self.lineages):
            if (
                lineage.temporary
                and lineage.target
                and any(not later.temporary for later in self.lineages[place + 1 :])
            ):
                self.inner.add(lineage.target)
            if lineage.kind == "rename" and lineage.sources and lineage.target:
                old = lineage.sources[0]
                if any(earlier.target == old for earlier in kept):
                    kept = [replace(e, target=lineage.target) if e.target == old else e for e in kept]
                    continue
            resolved = self.resolved(lineage)
            kept.append(resolved)
            if lineage.target is None:
                continue
            if lineage.kind == "drop" and lineage.target in self.made:
                self.inner.add(lineage.target)
            elif lineage.kind.startswith("create ") and lineage.moves_data:
                self.made[lineage.target] = resolved
        return [lineage for lineage in kept if lineage.target not in self.inner]

    def resolved(self, lineage: StatementLineage) -> StatementLineage:
        made = [source for source in lineage.sources if source in self.made and source != lineage.target]
        if not made:
            return lineage
        self.inner.update(made)
        sources: dict[TableName, None] = {}
        for source in lineage.sources:
            for real in self.made[source].sources if source in made else (source,):
                sources.setdefault(real)
        columns: dict[ColumnEdge, None] = {}
        for edge in lineage.columns:
            for real_edge in self.through(edge) if edge.source in made else (edge,):
                columns.setdefault(real_edge)
        return replace(lineage, sources=tuple(sources), columns=tuple(columns))

    def through(self, edge: ColumnEdge) -> list[ColumnEdge]:
        name = edge.source_column.lower()
        return [
            ColumnEdge(inner.source, inner.source_column, edge.target_column)
            for inner in self.made[edge.source].columns
            if inner.target_column.lower() == name
        ]


def edges(lineage: StatementLineage) -> list[list[str | None]]:
    target = str(lineage.target) if lineage.target else None
    return [[str(edge.source), edge.source_column, target, edge.target_column] for edge in lineage.columns]


def main() -> None:
    for line in sys.stdin:
        try:
            output = result_of(json.loads(line))
        except ValueError as error:  # an unknown dialect
            output = {"in": [], "out": [], "cols": [], "error": str(error)}
        print(json.dumps(output), flush=True)


if __name__ == "__main__":
    main()
