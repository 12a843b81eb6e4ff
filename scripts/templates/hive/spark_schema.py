"""Reads the schema that Spark stores in the parameters of a table, where Hive's own columns are a placeholder.

For a table in a format that Hive's metastore does not know, such as Delta, Spark stores the columns as JSON in several
parameters, and ``col array<string>`` as Hive's columns:
https://github.com/apache/spark/blob/v3.5.3/sql/hive/src/main/scala/org/apache/spark/sql/hive/HiveExternalCatalog.scala
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mcpush.records import Column

SCHEMA = "spark.sql.sources.schema"
PARTS = f"{SCHEMA}.numParts"
PROVIDER = "spark.sql.sources.provider"
# Of char and varchar, which the schema has as strings:
# https://github.com/apache/spark/blob/v3.5.3/sql/catalyst/src/main/scala/org/apache/spark/sql/catalyst/util/CharVarcharUtils.scala
RAW_TYPE = "__CHAR_VARCHAR_TYPE_STRING"
PREFIX = "spark.sql."
MAX_PARTS = 10_000  # of 4,000 characters each
MAX_DEPTH = 50  # of nested types


def current_columns(parameters: Mapping[str, str], found: Sequence[Column]) -> Sequence[Column]:
    """The columns as Spark wrote them, or those ``found`` as Hive's if Hive changed them later.

    As Spark itself reads them: its own schema counts for tables in its formats. For others it must be equal to Hive's,
    except for case. See restoreTableMetadata in HiveExternalCatalog.scala.
    """
    columns = spark_columns(parameters)
    if columns is None or not (
        has_spark_format(parameters) or _is_placeholder(found) or _shape(columns) == _shape(found)
    ):
        return found
    return columns


def has_spark_format(parameters: Mapping[str, str]) -> bool:
    return parameters.get(PROVIDER, "hive").lower() != "hive"


def _is_placeholder(columns: Sequence[Column]) -> bool:
    return bool(columns) and (columns[0].name, columns[0].type) == ("col", "array<string>")


def _shape(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(column.name.lower(), column.type.lower()) for column in columns]


def spark_columns(parameters: Mapping[str, str]) -> list[Column] | None:
    """The columns as Spark wrote them, with partition columns; None if Spark wrote none or they are not readable."""
    text = _schema(parameters)
    if text is None:
        return None
    try:
        fields = json.loads(text)["fields"]
        return [Column(field["name"], _type(field), _text(field, "comment")) for field in fields]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _schema(parameters: Mapping[str, str]) -> str | None:
    """The JSON text: in one parameter (Spark 3.1 and later, if it is short), or cut into numbered parts."""
    count = parameters.get(PARTS, "")
    if not (count.isascii() and count.isdigit() and 0 < int(count[:9]) <= MAX_PARTS):
        return parameters.get(SCHEMA)
    parts = [parameters.get(f"{SCHEMA}.part.{number}") for number in range(int(count))]
    return "".join(filter(None, parts)) if all(parts) else None


def _type(field: Mapping[str, Any]) -> str:
    return _text(field, RAW_TYPE) or type_of(field["type"])


def _text(field: Mapping[str, Any], name: str) -> str | None:
    """A text in the metadata of a column."""
    text = field.get("metadata", {}).get(name)
    return text if isinstance(text, str) else None


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
