"""Results in the form of jobs.getQueryResults: schema, and pages of rows.

https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

PAGE_ROWS = 10_000
PAGE_BYTES = 10_000_000  # a page ends at 10 MB, whatever maxResults says
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# DuckDB types → the names of legacy SQL, which schemas of the REST API use.
TYPES = {
    "varchar": "STRING",
    "boolean": "BOOLEAN",
    "double": "FLOAT",
    "float": "FLOAT",
    "date": "DATE",
    "time": "TIME",
    "blob": "BYTES",
    "decimal": "NUMERIC",
    "timestamp with time zone": "TIMESTAMP",
    "timestamp": "DATETIME",
}
INTEGERS = ("tinyint", "smallint", "integer", "bigint", "hugeint", "uinteger", "ubigint")
Field = dict[str, Any]


def schema(description: Sequence[tuple[Any, ...]]) -> list[Field]:
    """The TableFieldSchema of each column of a DuckDB result."""
    return [_field(column[0], column[1]) for column in description]


def _field(name: str, kind: Any) -> Field:
    if kind.id == "list":
        return _field(name, kind.children[0][1]) | {"mode": "REPEATED"}
    if kind.id == "struct":
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": [_field(*each) for each in kind.children]}
    if str(kind).upper() == "JSON":
        return {"name": name, "type": "JSON", "mode": "NULLABLE"}
    return {"name": name, "type": "INTEGER" if kind.id in INTEGERS else TYPES[kind.id], "mode": "NULLABLE"}


def page(rows: Sequence[tuple[Any, ...]], fields: Sequence[Field], integer_times: bool) -> list[dict[str, Any]]:
    """The rows that fit in one page, at least one."""
    found: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        found.append({"f": list(_cells(row, fields, integer_times))})
        size += sum(len(value) for value in row if isinstance(value, str)) + 20 * len(row)
        if size > PAGE_BYTES:
            break
    return found


def _cells(row: Sequence[Any], fields: Sequence[Field], integer_times: bool) -> Iterator[dict[str, Any]]:
    for value, field in zip(row, fields, strict=True):
        if field["mode"] == "REPEATED":
            single = field | {"mode": "NULLABLE"}
            yield {"v": [{"v": _value(each, single, integer_times)} for each in value or ()]}
        else:
            yield {"v": _value(value, field, integer_times)}


def _value(value: Any, field: Mapping[str, Any], integer_times: bool) -> Any:
    if value is None:
        return None
    kind = field["type"]
    if kind == "RECORD":
        inner = [value[each["name"]] for each in field["fields"]]
        return {"f": list(_cells(inner, field["fields"], integer_times))}
    if kind == "TIMESTAMP":
        microseconds = (value - EPOCH) // timedelta(microseconds=1)
        return str(microseconds) if integer_times else repr(microseconds / 1_000_000)
    if kind == "BOOLEAN":
        return "true" if value else "false"
    if kind == "BYTES":
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)
