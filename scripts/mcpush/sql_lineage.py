"""SQL lineage: which tables and columns feed which, from the text of statements.

    from mcpush.sql_lineage import Defaults, extract
    extract("INSERT INTO a SELECT x FROM b", "snowflake", Defaults("SHOP", "PUBLIC")).lineages

`extract` reads one statement or script; `LineageLog` reads a log of them, session by session, and yields lineage
manifest records. Needs sqlglot, nothing else.
"""

from __future__ import annotations

from pathlib import Path

from mcpush import manifest
from mcpush.sql_extract import Extraction, Skip, extract
from mcpush.sql_log import LineageLog
from mcpush.sql_names import Defaults, Schema, TableName
from mcpush.sql_statements import ColumnEdge, StatementLineage

__all__ = [
    "ColumnEdge",
    "Defaults",
    "Extraction",
    "LineageLog",
    "Schema",
    "Skip",
    "StatementLineage",
    "TableName",
    "extract",
    "schema_from_manifest",
]


def schema_from_manifest(path: Path) -> Schema:
    """The catalog in a metadata manifest (`.gz` too). Raises manifest.ManifestError when it is not a whole one."""
    return Schema.from_records(manifest.read(path, flow="metadata"))
