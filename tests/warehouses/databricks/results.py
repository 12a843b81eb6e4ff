"""Converts DuckDB results to the Thrift rows that the driver reads: Arrow batches, or columns without pyarrow.

Cloud Fetch (result files in cloud storage) is not served.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from tests.warehouses.databricks.stubs import ttypes

ROWS_OF_A_FETCH = 10_000
# The Thrift types of DuckDB's types. All others are text.
TYPES = {
    "boolean": "BOOLEAN_TYPE",
    "tinyint": "TINYINT_TYPE",
    "smallint": "SMALLINT_TYPE",
    "integer": "INT_TYPE",
    "bigint": "BIGINT_TYPE",
    "double": "DOUBLE_TYPE",
    "float": "FLOAT_TYPE",
    "date": "DATE_TYPE",
    "timestamp": "TIMESTAMP_TYPE",
    "timestamp with time zone": "TIMESTAMP_TYPE",
    "decimal": "DECIMAL_TYPE",
    "blob": "BINARY_TYPE",
    "list": "ARRAY_TYPE",
    "struct": "STRUCT_TYPE",
    "map": "MAP_TYPE",
}
NUMBERS = {
    "BOOLEAN_TYPE": ("boolVal", ttypes.TBoolColumn, False),
    "TINYINT_TYPE": ("byteVal", ttypes.TByteColumn, 0),
    "SMALLINT_TYPE": ("i16Val", ttypes.TI16Column, 0),
    "INT_TYPE": ("i32Val", ttypes.TI32Column, 0),
    "BIGINT_TYPE": ("i64Val", ttypes.TI64Column, 0),
    "DOUBLE_TYPE": ("doubleVal", ttypes.TDoubleColumn, 0.0),
    "FLOAT_TYPE": ("doubleVal", ttypes.TDoubleColumn, 0.0),
}


class Rows:
    """The rows of a result that have not been sent."""

    def __init__(self, relation: Any, is_arrow: bool) -> None:
        """``relation``: a DuckDB relation. It runs now."""
        named = zip(relation.columns, relation.types, strict=True)
        self._columns = [(name, TYPES.get(kind.id, "STRING_TYPE"), kind) for name, kind in named]
        self._is_arrow = is_arrow
        self._reader: Any = relation.to_arrow_reader(ROWS_OF_A_FETCH)
        self._next: Any = self._read()
        self._sent = 0

    @property
    def has_more(self) -> bool:
        return self._next is not None

    @property
    def waiting(self) -> int:
        """The number of rows that the next fetch can send."""
        return 0 if self._next is None else int(self._next.num_rows)

    def take(self, number: int) -> Any:
        """The next rows as a TRowSet, at most this many."""
        batch, number = self._next, min(number, self.waiting)
        found = ttypes.TRowSet(startRowOffset=self._sent, rows=[])
        if self._is_arrow:
            found.arrowBatches = [_batch(batch.slice(0, number))] if number else []
        else:
            values = batch.slice(0, number).columns if number else [None] * len(self._columns)
            of_columns = zip(self._columns, values, strict=True)
            found.columns = [_column(kind, each.to_pylist() if each else []) for (_, kind, _), each in of_columns]
        if number < self.waiting:
            self._next = batch.slice(number)
        elif number:
            self._next = self._read()
        self._sent += number
        return found

    def metadata(self) -> Any:
        """The TGetResultSetMetadataResp of the result."""
        columns = [
            ttypes.TColumnDesc(name, ttypes.TTypeDesc([ttypes.TTypeEntry(primitiveEntry=_entry(kind, of))]), at)
            for at, (name, kind, of) in enumerate(self._columns, 1)
        ]
        formats = ttypes.TSparkRowSetType
        return ttypes.TGetResultSetMetadataResp(
            status=ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS),
            schema=ttypes.TTableSchema(columns),
            resultFormat=formats.ARROW_BASED_SET if self._is_arrow else formats.COLUMN_BASED_SET,
            lz4Compressed=False,
            arrowSchema=self._reader.schema.serialize().to_pybytes() if self._is_arrow else None,
        )

    def _read(self) -> Any:
        return next((batch for batch in self._reader if batch.num_rows), None)


def _batch(batch: Any) -> Any:
    return ttypes.TSparkArrowBatch(batch=batch.serialize().to_pybytes(), rowCount=batch.num_rows)


def _entry(kind: str, of: Any) -> Any:
    entry = ttypes.TPrimitiveTypeEntry(getattr(ttypes.TTypeId, kind))
    if kind == "DECIMAL_TYPE":
        sizes = {name: ttypes.TTypeQualifierValue(i32Value=size) for name, size in of.children}
        entry.typeQualifiers = ttypes.TTypeQualifiers(sizes)
    return entry


def _column(kind: str, values: Sequence[Any]) -> Any:
    nulls = bytearray((len(values) + 7) // 8)
    for at, value in enumerate(values):
        if value is None:
            nulls[at // 8] |= 1 << at % 8
    if kind in NUMBERS:
        name, of, empty = NUMBERS[kind]
        return ttypes.TColumn(**{name: of([empty if value is None else value for value in values], bytes(nulls))})
    return ttypes.TColumn(stringVal=ttypes.TStringColumn([_text(value) for value in values], bytes(nulls)))


def _text(value: Any) -> str:
    """A value as text. Times are in the session's time zone, UTC; nested values are JSON."""
    if value is None:
        return ""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, separators=(",", ":"))
    if isinstance(value, dt.datetime):
        return f"{value.replace(tzinfo=None):%Y-%m-%d %H:%M:%S.%f}"
    return str(value)
