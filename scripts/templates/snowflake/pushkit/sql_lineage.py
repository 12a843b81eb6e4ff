"""SQL lineage: which tables and columns feed which, from the text of statements.

    from pushkit.sql_lineage import Defaults, extract
    extract("INSERT INTO a SELECT x FROM b", "snowflake", Defaults("SHOP", "PUBLIC")).lineages

`extract` reads one statement or script; `LineageLog` reads a log of them, session by session, and yields lineage
manifest records. As a command, `python pushkit/sql_lineage.py --dialect snowflake file.sql` prints what it makes of
a file, for a person to look at. Needs sqlglot, nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a script: its own folder is on the path, the template's folder is not
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pushkit.sql_extract import Extraction, Skip, extract
from pushkit.sql_log import LineageLog
from pushkit.sql_names import Defaults, Schema, TableName
from pushkit.sql_statements import ColumnEdge, StatementLineage

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
]
