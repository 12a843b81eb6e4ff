"""SQL lineage: extracts table and column lineage from SQL text.

    from mcpush.sql import Defaults, extract
    extract("INSERT INTO a SELECT x FROM b", "snowflake", Defaults("SHOP", "PUBLIC")).lineages

`extract` reads one statement or script. Depends only on sqlglot and imports nothing from the rest of the library.
"""

from __future__ import annotations

from mcpush.sql.names import Defaults, Schema, TableName
from mcpush.sql.session import Extraction, Skip, extract
from mcpush.sql.statements import ColumnEdge, StatementLineage

__all__ = ["ColumnEdge", "Defaults", "Extraction", "Schema", "Skip", "StatementLineage", "TableName", "extract"]
