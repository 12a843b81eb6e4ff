# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/descriptions.py.
"""Turns rows of COLUMNS and TABLE_OPTIONS into columns, tags and descriptions, for the metadata collectors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mcpush.records import Column, Tag

PARTITIONED_BY, CLUSTERED_BY, EXTERNAL_LOCATION = "partitioned_by", "clustered_by", "external_location"  # tags
# An option in the DDL. Quotes in other string literals are escaped, so that it is not found in a description.
# https://docs.cloud.google.com/bigquery/docs/biglake-iceberg-tables-in-bigquery#view-iceberg-table-metadata
STORAGE_URI = re.compile(r'\bstorage_uri\s*=\s*"([^"\\]+)"')
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
LABEL = re.compile(r'STRUCT\(("(?:[^"\\]|\\.)*"), ("(?:[^"\\]|\\.)*")\)', re.DOTALL)
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class ColumnRow(NamedTuple):
    """A column, or a field of a nested column; ``field_path`` has the names, separated by dots."""

    schema_name: str
    table_name: str
    column_name: str
    field_path: str
    data_type: str
    description: str | None
    is_hidden: str
    is_partitioning_column: str
    clustering_position: int | None


class OptionRow(NamedTuple):
    """An option of a table: its description or its labels, written as a GoogleSQL expression."""

    schema_name: str
    table_name: str
    option_name: str
    option_value: str


class Description(NamedTuple):
    """What is known about a table besides its volume and freshness."""

    fields: list[Column]
    tags: list[Tag]
    text: str | None

    @classmethod
    def of(cls, columns: list[ColumnRow], options: list[OptionRow]) -> Description:
        values = {row.option_name: row.option_value for row in options}
        text = string_literal(values["description"]) if "description" in values else None
        return cls(list(fields(columns)), [*labels(values.get("labels", "")), *layout(columns)], text)


def fields(columns: Iterable[ColumnRow]) -> Iterator[Column]:
    """Columns and nested fields, without pseudo-columns such as _PARTITIONTIME."""
    for row in columns:
        if row.is_hidden != "YES":
            yield Column(row.field_path, row.data_type, row.description)


def layout(columns: list[ColumnRow]) -> Iterator[Tag]:
    """Partitioning and clustering. The rows of a nested column's fields repeat those of the column."""
    partitioning = dict.fromkeys(row.column_name for row in columns if row.is_partitioning_column == "YES")
    clustering = {row.clustering_position: row.column_name for row in columns if row.clustering_position is not None}
    if partitioning:
        yield Tag(PARTITIONED_BY, ", ".join(partitioning))
    if clustering:
        yield Tag(CLUSTERED_BY, ", ".join(name for _, name in sorted(clustering.items())))


def storage(ddl: str | None) -> list[Tag]:
    """The folder in Cloud Storage with the files of a managed Iceberg table, as a tag; empty if it is unknown."""
    found = STORAGE_URI.search(ddl or "")
    return [Tag(EXTERNAL_LOCATION, found[1])] if found else []


def labels(option: str) -> Iterator[Tag]:
    """The labels in an option's value: ``[STRUCT("team", "finance"), …]``."""
    for key, value in LABEL.findall(option):
        yield Tag(string_literal(key), string_literal(value) or None)


def string_literal(text: str) -> str:
    """The value of a string literal in double quotes, as option values have it. Returns any other text unchanged."""
    if not LITERAL.fullmatch(text):
        return text

    def replaced(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code or found[4]:
            number = int(code, 16) if code else int(found[4], 8)
            return found[0] if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF else chr(number)
        return CONTROLS.get(found[5], found[5])

    return ESCAPE.sub(replaced, text[1:-1])
