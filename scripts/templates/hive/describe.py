"""Parses the rows of DESCRIBE FORMATTED, as Hive 2, 3 and 4 and Spark's Thrift server write them.

The layout of Hive: https://github.com/apache/hive/blob/rel/release-4.1.0/ql/src/java/org/apache/hadoop/hive/ql/ddl/table/info/desc/formatter/TextDescTableFormatter.java
That of Spark: https://github.com/apache/spark/blob/v3.5.3/sql/core/src/test/resources/sql-tests/results/describe.sql.out
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from kinds import kind_of
from mcpush.records import Column
from view_text import PRESTO_VIEW, column_comment, view_query

# Titles of sections. Their data_type is empty, and that of a column never is. Other sections are ignored.
COLUMNS, PARTITIONS, DETAILS, VIEW, OTHER = "columns", "partitions", "details", "view", "other"
SECTIONS = {
    "# Partition Information": PARTITIONS,
    "# Detailed Table Information": DETAILS,
    "# View Information": VIEW,
    "# Materialized View Information": VIEW,
}
HEADER = ("# col_name", "data_type")  # in the sections of columns
PARAMETERS, TABLE_TYPE = "Table Parameters:", "Table Type:"
# Up to Hive 3, since Hive 4 and of materialized views.
ORIGINAL = ("View Original Text:", "Original Query:")
EXPANDED = ("View Expanded Text:", "Expanded Query:")
SPARK_KINDS = {"MANAGED": "managed table", "EXTERNAL": "external table", "VIEW": "virtual view"}

ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
# The text of java.util.Date, whose names of days and months are English.
DATE = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d) (UTC|GMT|Z|GMT([+-])(\d\d):(\d\d)) (\d{4})"
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NO_DATES = ("", "UNKNOWN", "null")


class DescribeRow(NamedTuple):
    """A row of DESCRIBE FORMATTED. Hive and Spark put everything into the columns of a column's description."""

    col_name: str | None
    data_type: str | None
    comment: str | None


@dataclass
class Description:
    """What the rows of a table say. ``created`` is None if the zone of its time is ambiguous or the time unknown.

    ``view_lines`` are the lines of a view's expanded query; Hive cuts what follows a tab. Without ``is_hive`` the rows
    are Spark's, which shows no parameters and no statistics that are certain.
    """

    is_hive: bool
    kind: str = ""
    created: datetime | None = None
    has_unknown_zone: bool = False
    columns: list[Column] = field(default_factory=list)
    partition_columns: list[Column] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    view_lines: list[str] = field(default_factory=list)
    original_line: str | None = None  # the first of the query as written

    @property
    def all_columns(self) -> list[Column]:
        """The columns, with those of partitions at the end. Spark lists these twice."""
        names = {column.name for column in self.columns}
        return self.columns + [column for column in self.partition_columns if column.name not in names]

    @property
    def certain_query(self) -> str | None:
        """The query of a view if it is complete. If it has several lines, Hive can have cut any of them at a tab.

        Views of Presto and Trino have one line, which is not a query (view_text.py).
        """
        is_complete = not self.is_hive or len(self.view_lines) == 1
        if not is_complete or not self.view_lines:
            return None
        is_presto = (self.original_line or "").startswith(PRESTO_VIEW)
        return view_query("\n".join(self.view_lines), self.original_line if is_presto else None)


def parse(rows: Iterable[DescribeRow]) -> Description:
    """The description of one table, from all its rows."""
    rows = list(rows)
    found = Description(is_hive=any((row.col_name or "").rstrip() == TABLE_TYPE for row in rows))
    section, last = COLUMNS, ""
    for name, value, comment in rows:
        title = (name or "").rstrip()
        if title.startswith("# ") and not (value or "").strip():
            section, last = SECTIONS.get(title, OTHER), ""
        elif section in (COLUMNS, PARTITIONS):
            if name and (title, (value or "").rstrip()) != HEADER:
                columns = found.columns if section == COLUMNS else found.partition_columns
                columns.append(_column(name, value or "", comment or "", is_hive=found.is_hive))
        elif section in (DETAILS, VIEW):
            last = title or last
            add = _add_of_hive if found.is_hive else _add_of_spark
            add(found, last, (name or "", value or "", comment))
    return found


def _column(name: str, kind: str, comment: str, *, is_hive: bool) -> Column:
    if is_hive:
        name, kind, comment = unescape(name), unescape(kind), unescape(comment)
    return Column(name, kind, column_comment(comment))


def _add_of_hive(found: Description, key: str, row: tuple[str, str, str | None]) -> None:
    """Adds a row of the sections below the columns. ``key`` is the last name in the first column."""
    name, value, comment = row
    if key == PARAMETERS and not name and comment is not None:
        found.parameters[value.rstrip()] = unescape(comment).rstrip(" ")
    elif key == TABLE_TYPE and name:
        found.kind = kind_of(value)
    elif key == "CreateTime:" and name:
        found.created, found.has_unknown_zone = time_of(value.strip())
    elif key in ORIGINAL and name:
        found.original_line = value.rstrip()
    elif key in EXPANDED and name:
        # A third value is what follows a tab in the first line. Then the text counts as one of several lines.
        found.view_lines = [value.rstrip()] if comment is None else [value, comment]
        if found.view_lines == ["null"]:
            found.view_lines = []
    elif key in EXPANDED:
        found.view_lines.append((comment or "").rstrip())


def _add_of_spark(found: Description, key: str, row: tuple[str, str, str | None]) -> None:
    name, value, _ = row
    if not name:
        return
    if key == "Type":
        found.kind = SPARK_KINDS.get(value.strip(), kind_of(value))
    elif key == "Comment":
        found.parameters["comment"] = value
    elif key == "Created Time":
        found.created, found.has_unknown_zone = time_of(value.strip())
    elif key == "View Text":
        found.view_lines = [value]


def unescape(text: str) -> str:
    """Undoes the escapes of Java that Hive writes. Characters outside Unicode's first plane are two escapes."""
    if "\\" not in text:
        return text
    found = ESCAPE.sub(lambda match: _unescaped(match[1]), text)
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescaped(text: str) -> str:
    return chr(int(text[1:], 16)) if len(text) == 5 else ESCAPES.get(text, text)


def time_of(text: str) -> tuple[datetime | None, bool]:
    """The time in the text of java.util.Date, and whether only its zone is unclear: CST and IST are several zones."""
    found = DATE.fullmatch(text)
    if found is None:
        return None, text not in NO_DATES
    month, day, hour, minute, second, _, sign, hours, minutes, year = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        zone = timezone(offset)
        moment = datetime(
            int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=zone
        )
    except ValueError:
        return None, True
    return moment.astimezone(timezone.utc), False
