"""Interprets texts in Hive's metastore: the query of a view, which has two, and comments."""

from __future__ import annotations

import base64
import json

PRESTO_VIEW = "/* Presto View: "
PRESTO_COMMENT = "Presto View"  # Presto and Trino set it as the comment of their views, as a mark
# Hive sets it for columns that a SerDe reports, as with Avro:
# https://github.com/apache/hive/blob/rel/release-2.3.9/metastore/src/java/org/apache/hadoop/hive/metastore/MetaStoreUtils.java
NO_COMMENT = ("", "from deserializer")


def view_query(expanded: str | None, original: str | None) -> str | None:
    """The query of a view, with full names if Hive expanded it. None if there is none or it is not readable.

    Presto and Trino store JSON in base64 as the original text, and a mark as the expanded one:
    https://github.com/trinodb/trino/blob/master/plugin/trino-hive/src/main/java/io/trino/plugin/hive/ViewReaderUtil.java
    """
    if not original or not original.startswith(PRESTO_VIEW):
        return expanded or original or None
    encoded = original.removeprefix(PRESTO_VIEW).partition(" ")[0]
    try:
        found = json.loads(base64.b64decode(encoded, validate=True))
    except (ValueError, RecursionError):
        return None
    text = found.get("originalSql") if isinstance(found, dict) else None
    return text if isinstance(text, str) else None


def comment_of(parameters: dict[str, str]) -> str | None:
    """The comment of a table or view, without the mark of Presto and Trino."""
    comment = parameters.get("comment")
    return None if comment == PRESTO_COMMENT and parameters.get("presto_view") == "true" else comment


def column_comment(comment: str | None) -> str | None:
    """The comment of a column, without the mark of columns that a SerDe reports."""
    return None if comment is None or comment.strip() in NO_COMMENT else comment
