"""Writes a query's result as the driver expects it: Arrow, with the first rows in the response and the rest in chunks.

Converts a DuckDB relation to files in a directory, so that neither side ever has a complete large result in memory.
Needs DuckDB and pyarrow (the server's own environment).

The formats come from snowflake-connector-python: ``rowtype`` and ``chunks`` from ``result_batch.py``, and the Arrow
encoding of each column type from its ``nanoarrow_arrow_iterator`` (timestamps as structs, numbers with precision and
scale in the field's metadata).
"""

from __future__ import annotations

import base64
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
import pyarrow.compute as pc  # type: ignore[import-not-found, import-untyped, unused-ignore]

FIRST_ROWS = 2048
"""Maximum number of rows in the response itself."""

CHUNK_BYTES = 2_000_000
"""Size of a chunk in bytes of Arrow, before compression. A chunk ends with the batch that reaches it."""

_LONGEST_TEXT = 16_777_216
_SIMPLE_TYPES = {
    "BOOLEAN": "boolean",
    "DATE": "date",
    "DOUBLE": "real",
    "FLOAT": "real",
    "JSON": "variant",
    "TIME": "time",
    "TIMESTAMP": "timestamp_ntz",
    "TIMESTAMP WITH TIME ZONE": "timestamp_ltz",
    "VARCHAR": "text",
    '"NULL"': "text",
}
_WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


@dataclass
class Chunk:
    """One file of the result, a gzip-compressed Arrow IPC stream."""

    path: Path
    rows: int
    uncompressed_bytes: int
    compressed_bytes: int


@dataclass
class Result:
    """The part of a query's response that describes its result."""

    rowtype: list[dict[str, Any]]
    total: int
    first_part: str
    chunks: list[Chunk] = field(default_factory=list)


def write_result(relation: Any, directory: Path, query_id: str, first_rows: int | None = None) -> Result:
    """Run ``relation`` and write its rows. Chunk files are named ``<query_id>.<number>`` in ``directory``.

    ``first_rows`` limits the number of rows in the response itself; None means the default.
    """
    rowtype = [_describe(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]
    reader = relation.to_arrow_reader(FIRST_ROWS)
    nothing = pa.RecordBatch.from_pylist([], schema=reader.schema)
    found = (batch for batch in reader if batch.num_rows)
    batches = (_convert(batch, rowtype) for batch in _divided(found, first_rows))
    first = next(batches, None)
    if first is None:
        first = _convert(nothing, rowtype)
    result = Result(rowtype, first.num_rows, base64.b64encode(_stream([first])).decode())
    for number, group in enumerate(_grouped(batches)):
        content = _stream(group)
        compressed = gzip.compress(content, compresslevel=1)
        path = directory / f"{query_id}.{number}"
        path.write_bytes(compressed)
        rows = sum(batch.num_rows for batch in group)
        result.chunks.append(Chunk(path, rows, len(content), len(compressed)))
        result.total += rows
    return result


def _divided(batches: Iterator[Any], first_rows: int | None) -> Iterator[Any]:
    """The same rows, with at most ``first_rows`` rows in the first batch. None leaves the batches unchanged."""
    if first_rows is not None and (batch := next(batches, None)) is not None:
        yield batch.slice(0, first_rows)
        yield from (rest for rest in [batch.slice(first_rows)] if rest.num_rows)
    yield from batches


def _grouped(batches: Iterator[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    size = 0
    for batch in batches:
        group.append(batch)
        size += batch.nbytes
        if size >= CHUNK_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _stream(batches: list[Any]) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            if batch.num_rows:  # connector 4 reads past the end of an empty batch; a bare schema works
                writer.write_batch(batch)
    return sink.getvalue()


def _describe(name: str, kind: str) -> dict[str, Any]:
    """One entry of ``rowtype`` for a DuckDB column type."""
    column: dict[str, Any] = {
        "name": name,
        "database": "",
        "schema": "",
        "table": "",
        "nullable": True,
        "byteLength": None,
        "length": None,
        "precision": None,
        "scale": None,
        "collation": None,
    }
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        return column | {"type": "fixed", "precision": int(decimal[1]), "scale": int(decimal[2])}
    if kind in _WHOLE_NUMBERS or kind == "HUGEINT":
        return column | {"type": "fixed", "precision": 38, "scale": 0}
    column["type"] = _SIMPLE_TYPES.get(kind, "variant")
    if column["type"] == "text":
        column |= {"length": _LONGEST_TEXT, "byteLength": _LONGEST_TEXT}
    elif column["type"].startswith("time"):
        column |= {"precision": 0, "scale": 9}
    return column


def _convert(batch: Any, rowtype: list[dict[str, Any]]) -> Any:
    arrays = []
    fields = []
    for array, column in zip(batch.columns, rowtype, strict=True):
        converted = _convert_array(array, column)
        metadata = {
            "logicalType": column["type"].upper(),
            "precision": str(column["precision"] or 38),
            "scale": str(column["scale"] or 0),
            "charLength": str(column["length"] or 0),
        }
        arrays.append(converted)
        fields.append(pa.field(column["name"], converted.type, metadata=metadata))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _convert_array(array: Any, column: dict[str, Any]) -> Any:
    kind = array.type
    if pa.types.is_timestamp(kind):
        return _timestamps(array)
    if pa.types.is_time(kind):
        return pc.multiply(array.cast(pa.int64()), 1000)
    if pa.types.is_null(kind) or pa.types.is_nested(kind):
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], type=pa.string())
    if column["type"] == "fixed" and column["scale"] == 0:
        try:
            return array.cast(pa.int64())
        except pa.ArrowInvalid:  # more than 64 bits: the driver also accepts a decimal
            return array
    return array


def _timestamps(array: Any) -> Any:
    """Seconds since 1970 in UTC, and nanoseconds. Null if the time is null."""
    microseconds = array.cast(pa.timestamp("us", tz=array.type.tz)).cast(pa.int64())
    filled = pc.fill_null(microseconds, 0)
    seconds = pc.floor(pc.divide(filled.cast(pa.float64()), 1_000_000)).cast(pa.int64())
    nanoseconds = pc.multiply(pc.subtract(filled, pc.multiply(seconds, 1_000_000)), 1000).cast(pa.int32())
    return pa.StructArray.from_arrays(
        [seconds, nanoseconds],
        fields=[
            pa.field("epoch", pa.int64(), nullable=False),
            pa.field("fraction", pa.int32(), nullable=False),
        ],
        mask=pc.is_null(microseconds),
    )
