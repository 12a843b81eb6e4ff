"""The SQL engine extracts the recorded result from every fixture statement, including details fixtures do not state."""

from __future__ import annotations

import json
from typing import Any

from mcpush.sql import Extraction, TableName, extract

from tests.golden.comparing import Golden
from tests.mcpush.test_sql_lineage import CASES

EXAMPLE_CHARACTERS = 200  # of the start of a skipped statement


def of_table(table: TableName | None) -> list[str | None] | None:
    return [table.database, table.schema, table.name, table.kind] if table else None


def as_recorded(found: Extraction) -> dict[str, Any]:
    """The complete extraction except the lineage of temporary tables, which later statements use."""
    return {
        "lineages": [
            {
                "kind": lineage.kind,
                "target": of_table(lineage.target),
                "sources": [of_table(source) for source in lineage.sources],
                "columns": [
                    [of_table(edge.source), edge.source_column, edge.target_column] for edge in lineage.columns
                ],
                "certainty": lineage.certainty,
                "temporary": lineage.temporary,
                "moves_data": lineage.moves_data,
            }
            for lineage in found.lineages
        ],
        "skips": [[skip.reason, skip.example[:EXAMPLE_CHARACTERS]] for skip in found.skips],
        "effects": [[effect.action, of_table(effect.table), of_table(effect.to)] for effect in found.effects],
        "defaults": [found.defaults.database, found.defaults.schema],
    }


def test_every_statement_is_read_as_recorded(golden: Golden) -> None:
    lines = []
    for case in CASES:
        for cut in (False, True):
            found = extract(case.sql, case.dialect, case.defaults, case.schema, truncated=cut)
            lines.append({"case": case.name, "cut": cut, **as_recorded(found)})
    assert len(lines) == 2 * len(CASES) >= 200
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    golden.check("sql", {"statements.jsonl.gz": text})
