"""Finds the query of a view in what the metastore stores about it."""

from __future__ import annotations

import base64
import binascii
import json

PRESTO_VIEW = "/* Presto View: "
PRESTO_COMMENT = "Presto View"  # Presto and Trino set it as the comment of their views, as a mark


def view_query(original: str | None, expanded: str | None) -> str | None:
    """The SELECT of a view, with full names if Hive expanded it. Presto and Trino store it as JSON in base64.

    https://github.com/prestodb/presto/blob/0.290/presto-hive/src/main/java/com/facebook/presto/hive/HiveUtil.java
    """
    text = original or ""
    if not text.startswith(PRESTO_VIEW):
        return expanded or text or None
    encoded = text.removeprefix(PRESTO_VIEW).partition(" ")[0]
    try:
        found = json.loads(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return None
    query = found.get("originalSql") if isinstance(found, dict) else None
    return query if isinstance(query, str) else None


def table_comment(comment: str | None) -> str | None:
    """The comment of a table or view, without the marks of Presto and Trino."""
    return None if comment == PRESTO_COMMENT else comment
