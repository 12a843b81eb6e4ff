"""Answers the shared lineage runner's protocol with this project's extractor, so that anyone can score it.

    python run.py --name ours --cmd "python benchmarks/lineage_adapter.py" --cases cases/*.jsonl

One JSON line in on stdin, {id, dialect, sql, default_db, default_schema, schemas}, one JSON line out:
{in, out, cols: [[source table, source column, target table, target column], …], error}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "templates" / "snowflake"))

from pushkit.sql_lineage import Defaults, Schema, StatementLineage, TableName, extract


def schema_of(tables: Mapping[str, Mapping[str, str]] | None) -> Schema | None:
    """The runner's `{dotted name: {column: type}}` as a catalog."""
    if not tables:
        return None
    schema = Schema()
    for dotted, columns in tables.items():
        parts = ["", "", *dotted.split(".")]
        name = TableName(".".join(filter(None, parts[:-2])) or None, parts[-2] or None, parts[-1])
        schema.add(name, columns)
    return schema


def answer(case: Mapping[str, Any]) -> dict[str, Any]:
    """The runner's answer for one case."""
    schema = schema_of(case.get("schemas"))
    found = extract(case["sql"], case["dialect"], Defaults(case.get("default_db"), case.get("default_schema")), schema)
    return {
        "in": list(dict.fromkeys(str(table) for lineage in found.lineages for table in lineage.sources)),
        "out": list(dict.fromkeys(str(lineage.target) for lineage in found.lineages if lineage.target)),
        "cols": [edge for lineage in found.lineages for edge in edges(lineage)],
        "error": "; ".join(skip.reason for skip in found.skips) or None,
    }


def edges(lineage: StatementLineage) -> list[list[str | None]]:
    target = str(lineage.target) if lineage.target else None
    return [[str(edge.source), edge.source_column, target, edge.target_column] for edge in lineage.columns]


def main() -> None:
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except ValueError as error:  # a dialect that nobody knows
            reply = {"in": [], "out": [], "cols": [], "error": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
