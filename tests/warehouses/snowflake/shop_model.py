"""The data model of the demo shop: the truth with which tests compare the results.

Plain dataclasses; nothing here talks to a server. Names are tuples (database, schema, name) in the catalog's own case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Name = tuple[str, str, str]

_TEXT_LENGTH = 16_777_216
_BINARY_LENGTH = 8_388_608
_TYPE = re.compile(r"(\w+)(?:\((\d+)(?:,\s*(\d+))?\))?")


@dataclass(frozen=True)
class Column:
    """A column. ``type`` is the full type in Snowflake's spelling, ``NUMBER(38,0)`` or ``VARCHAR(16777216)``."""

    name: str
    type: str
    comment: str | None = None
    nullable: bool = True

    def facts(self) -> dict[str, Any]:
        """The columns of INFORMATION_SCHEMA.COLUMNS that describe the type."""
        match = _TYPE.fullmatch(self.type)
        assert match is not None, self.type
        word, first, second = match[1], match[2], match[3]
        text = word == "VARCHAR"
        number = word == "NUMBER"
        length = int(first) if first and (text or word == "BINARY") else None
        return {
            "DATA_TYPE": "TEXT" if text else word,
            "CHARACTER_MAXIMUM_LENGTH": length,
            "CHARACTER_OCTET_LENGTH": None if length is None else min(length * (4 if text else 1), _TEXT_LENGTH),
            "NUMERIC_PRECISION": int(first) if number else None,
            "NUMERIC_PRECISION_RADIX": 10 if number else None,
            "NUMERIC_SCALE": int(second) if number else None,
            "DATETIME_PRECISION": int(first) if first and word.startswith("TIME") else None,
        }


@dataclass(frozen=True)
class Tag:
    """A tag set on a table, or on one of its columns."""

    name: str
    value: str
    column: str | None = None


@dataclass(frozen=True)
class Relation:
    """A table or view of the shop.

    ``kind`` is one of: table, transient table, external table, iceberg table, hybrid table, dynamic table, view, secure
    view, materialized view. ``definition`` is the text that the catalog shows (None for tables). ``refreshed`` is the
    refresh time of a materialized view (None: same as ``last_altered``). Unknown facts are None.
    """

    name: Name
    kind: str
    columns: tuple[Column, ...]
    created: datetime
    last_altered: datetime
    comment: str | None = None
    row_count: int | None = None
    byte_count: int | None = None
    definition: str | None = None
    tags: tuple[Tag, ...] = ()
    sources: tuple[Name, ...] = ()
    object_id: int = 0
    refreshed: datetime | None = None

    @property
    def is_view(self) -> bool:
        """Whether Monte Carlo calls it a VIEW (a materialized view is one, a dynamic table is not)."""
        return self.kind.endswith("view")

    @property
    def full_name(self) -> str:
        """The dotted name, with parts quoted where necessary."""
        return spelled(self.name)

    def column_id(self, column: str) -> int:
        """An ID that is unique within the account, provided that the table has such a column."""
        return self.object_id * 100 + next((place for place, c in enumerate(self.columns) if c.name == column), 99)


@dataclass(frozen=True)
class ColumnFlow:
    """A target column and the source columns written to it."""

    target: str
    direct: tuple[tuple[Name, str], ...]
    base: tuple[tuple[Name, str], ...] = ()


@dataclass(frozen=True)
class Write:
    """The write of a successful statement, as ACCESS_HISTORY records it."""

    target: Name
    flows: tuple[ColumnFlow, ...]


@dataclass(frozen=True)
class LoggedQuery:
    """One row of QUERY_HISTORY. ``end`` is None while it runs. ``more`` maps the view's own column names to values."""

    query_id: str
    text: str
    kind: str
    user: str
    role: str
    warehouse: str | None
    start: datetime
    end: datetime | None
    database: str | None = None
    schema: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    rows_produced: int | None = None
    bytes_scanned: int = 0
    query_tag: str = ""
    write: Write | None = None
    reads: tuple[Name, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows_returned(self) -> int | None:
        """ROWS_WRITTEN_TO_RESULT: 1 (the count) for a statement that writes, None for a failed one."""
        if self.rows_produced is None:
            return None
        return self.rows_produced if self.kind == "SELECT" else 1


@dataclass
class Shop:
    """The complete shop."""

    now: datetime
    databases: dict[str, str]
    """Kind by name: STANDARD, IMPORTED DATABASE or APPLICATION."""
    relations: dict[Name, Relation] = field(default_factory=dict)
    queries: list[LoggedQuery] = field(default_factory=list)
    truncated_query_ids: set[str] = field(default_factory=set)
    """Queries whose ACCESS_HISTORY record was truncated, so that its names are not real names."""

    def own(self) -> list[Relation]:
        """Tables and views in the account's own databases, without shares and sample data."""
        return [r for r in self.relations.values() if self.databases[r.name[0]] == "STANDARD"]

    def finished(self, since: datetime, until: datetime) -> list[LoggedQuery]:
        """Queries that started in ``[since, until)`` and have ended."""
        return [q for q in self.queries if since <= q.start < until and q.end is not None]

    def column_lineage(self, since: datetime, until: datetime) -> dict[Name, set[tuple[str, Name, str]]]:
        """By written table: (its column, source table, source column), from ACCESS_HISTORY's direct sources."""
        lineage: dict[Name, set[tuple[str, Name, str]]] = {}
        for query in self.queries:
            if query.write is None or query.query_id in self.truncated_query_ids or not since <= query.start < until:
                continue
            for flow in query.write.flows:
                for source, column in flow.direct:
                    lineage.setdefault(query.write.target, set()).add((flow.target, source, column))
        return lineage

    def table_lineage(self, since: datetime, until: datetime) -> set[tuple[Name, Name]]:
        """(source, target) of writes, except a table's writes to itself."""
        return {
            (source, target)
            for target, flows in self.column_lineage(since, until).items()
            for _, source, _ in flows
            if source != target
        }

    def dependencies(self) -> set[tuple[Name, Name]]:
        """(referenced, referencing) of views, materialized views and dynamic tables: OBJECT_DEPENDENCIES."""
        return {(source, r.name) for r in self.relations.values() for source in r.sources}


def spelled(name: tuple[str, ...]) -> str:
    """A dotted name in Snowflake's spelling: parts are quoted unless they are plain uppercase."""
    return ".".join(_part(part) for part in name)


def _part(part: str) -> str:
    return part if re.fullmatch(r"[A-Z_][A-Z0-9_$]*", part) else '"' + part.replace('"', '""') + '"'


def columns(*specifications: str) -> tuple[Column, ...]:
    """Columns from ``"NAME TYPE"`` or ``"NAME TYPE -- comment"``. Bare type names get Snowflake's defaults."""
    return tuple(_column(text) for text in specifications)


def _column(text: str) -> Column:
    declaration, _, comment = text.partition(" -- ")
    name, kind = declaration.rsplit(" ", 1)
    defaults = {
        "INT": "NUMBER(38,0)",
        "TEXT": f"VARCHAR({_TEXT_LENGTH})",
        "BINARY": f"BINARY({_BINARY_LENGTH})",
        "TIME": "TIME(9)",
        "TIMESTAMP_NTZ": "TIMESTAMP_NTZ(9)",
        "TIMESTAMP_LTZ": "TIMESTAMP_LTZ(9)",
        "TIMESTAMP_TZ": "TIMESTAMP_TZ(9)",
    }
    return Column(name, defaults.get(kind, kind), comment or None)
