"""Scores the lineage log on sessions: temporary tables, repeats and renames across statements.

    python benchmarks/lineage_sessions.py sessions.jsonl

One JSON object per line: {id, platform, events: [{type: "query", sql, session, default_db, default_schema, ts} or
{type: "rename", a, b, session}], schemas, options, expected: {destination: {upstreams, cols: [[source table, source
column, column], …]}}}. Prints the differences; exits with 1 if there are any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from mcpush.lineage.graph import Target  # noqa: E402
from mcpush.lineage.query_log import LineageLog  # noqa: E402
from mcpush.sql import Defaults, TableName  # noqa: E402

from benchmarks.lineage_adapter import schema_of  # noqa: E402

Found = dict[str, tuple[frozenset[str], frozenset[tuple[str, str, str]]]]


def is_scaffolding(table: TableName) -> bool:
    """The rule of the cases: these names mark temporary tables."""
    return table.name.lower().endswith(("_staging", "_tmp", "_swap"))


def lineage_of(case: Mapping[str, Any], workers: int) -> Found:
    """The lineage that the log extracts from a case's events."""
    rule = is_scaffolding if "is_temp_table" in case.get("options", {}) else None
    schema = schema_of(case.get("schemas"))
    with LineageLog(case["platform"], schema=schema, workers=workers, is_temporary=rule) as log:
        for event in case["events"]:
            text = f"ALTER TABLE {event['a']} RENAME TO {event['b']}" if event["type"] == "rename" else event["sql"]
            session = event.get("session")
            at = event.get("ts")
            log.add(
                text,
                session=None if session and session.startswith("__") else session,
                defaults=Defaults(event.get("default_db"), event.get("default_schema")),
                at=datetime.fromtimestamp(at, timezone.utc) if at is not None else None,
            )
        return {str(target.asset).lower(): edges_of(target) for target in log.targets()}


def edges_of(target: Target[TableName]) -> tuple[frozenset[str], frozenset[tuple[str, str, str]]]:
    sources = frozenset(str(source).lower() for source in target.sources.values())
    columns = frozenset(
        (str(source).lower(), str(column).lower(), name.lower())
        for name in target.columns
        for source, column in target.sources_of(name)
    )
    return sources, columns


def expected_of(case: Mapping[str, Any]) -> Found:
    return {
        target.lower(): (
            frozenset(name.lower() for name in edges["upstreams"]),
            frozenset((a.lower(), b.lower(), c.lower()) for a, b, c in edges["cols"]),
        )
        for target, edges in case["expected"].items()
    }


def main() -> int:
    cases = [json.loads(line) for path in sys.argv[1:] for line in Path(path).read_text("utf-8").splitlines()]
    right = 0
    for case in cases:
        found, expected = lineage_of(case, workers=1), expected_of(case)
        right += found == expected
        if found != expected:
            print(f"{case['id']}\n  expected {expected}\n  found    {found}")
    print(f"sessions: {right}/{len(cases)}")
    return 0 if cases and right == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
