"""Reads the schema that Spark stores in the parameters of a table, where Hive's own columns are a placeholder.

For a table in a format that Hive's metastore does not know, such as Delta, Spark stores the columns as JSON in several
parameters, and ``col array<string>`` as Hive's columns:
https://github.com/apache/spark/blob/v3.5.3/sql/hive/src/main/scala/org/apache/spark/sql/hive/HiveExternalCatalog.scala
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcpush.records import Column

SCHEMA = "spark.sql.sources.schema"
PARTS = f"{SCHEMA}.numParts"
PREFIX = "spark.sql."
MAX_PARTS = 10_000  # of 4,000 characters each
MAX_DEPTH = 50  # of nested types


def spark_columns(parameters: Mapping[str, str]) -> list[Column] | None:
    """The columns as Spark wrote them, with partition columns; None if Spark wrote none or they are not readable."""
    text = _schema(parameters)
    if text is None:
        return None
    try:
        fields = json.loads(text)["fields"]
        return [Column(field["name"], type_of(field["type"]), _comment(field)) for field in fields]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _schema(parameters: Mapping[str, str]) -> str | None:
    """The JSON text: in one parameter (Spark 3.1 and later, if it is short), or cut into numbered parts."""
    count = parameters.get(PARTS, "")
    if not (count.isascii() and count.isdigit() and 0 < int(count[:9]) <= MAX_PARTS):
        return parameters.get(SCHEMA)
    parts = [parameters.get(f"{SCHEMA}.part.{number}") for number in range(int(count))]
    return "".join(filter(None, parts)) if all(parts) else None


def _comment(field: Mapping[str, Any]) -> str | None:
    comment = field.get("metadata", {}).get("comment")
    return comment if isinstance(comment, str) else None


def type_of(found: Any, depth: int = 0) -> str:
    """A type in Spark's JSON, spelled as in Hive: https://spark.apache.org/docs/latest/sql-ref-datatypes.html

    Raises ValueError, KeyError or TypeError if it is not such a type.
    """
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(found, str):
        return {"integer": "int", "long": "bigint", "short": "smallint", "byte": "tinyint"}.get(found, found)
    kind = found["type"]
    if kind == "array":
        return f"array<{type_of(found['elementType'], depth + 1)}>"
    if kind == "map":
        return f"map<{type_of(found['keyType'], depth + 1)},{type_of(found['valueType'], depth + 1)}>"
    if kind == "struct":
        fields = (f"{field['name']}:{type_of(field['type'], depth + 1)}" for field in found["fields"])
        return f"struct<{','.join(fields)}>"
    if kind == "udt":
        return type_of(found["sqlType"], depth + 1)
    raise ValueError("not a type")
