"""SQL lineage: which tables and columns feed which, from the text of statements.

    from mcpush.sql import Defaults, extract
    extract("INSERT INTO a SELECT x FROM b", "snowflake", Defaults("SHOP", "PUBLIC")).lineages

`extract` reads one statement or script. Needs sqlglot, nothing else, and imports nothing of the rest of the library.
"""

from __future__ import annotations

from mcpush.sql.names import Defaults, Schema, TableName
from mcpush.sql.session import Extraction, Skip, extract
from mcpush.sql.statements import ColumnEdge, StatementLineage

__all__ = ["ColumnEdge", "Defaults", "Extraction", "Schema", "Skip", "StatementLineage", "TableName", "extract"]
