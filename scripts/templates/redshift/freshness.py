"""Reads last modification times and kinds of tables from SHOW TABLES, which accepts one schema at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from catalog import Database
from connection import is_statement_error, quote
from error_table import message
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.collector import Options
from mcpush.collect.rows import Rows

# https://docs.aws.amazon.com/redshift/latest/dg/r_SHOW_TABLES.html
SHOW_TABLES_SQL = "SHOW TABLES FROM SCHEMA {database}.{schema}"
SHOW_SOME_TABLES_SQL = "SHOW TABLES FROM SCHEMA {database}.{schema} LIKE {pattern}"

SHOW_ROW_CAP = 10_000  # more rows are an error (see the same page)
NO_FRESHNESS = "freshness not readable (SHOW TABLES)"
HIDDEN_FRESHNESS = "freshness hidden: SHOW TABLES has only tables that this user may select from"
NO_MODIFIED_TIME = "freshness not available: SHOW TABLES has no last_modified_time at this patch level"


class ShownRow(NamedTuple):
    """A row of SHOW TABLES. Newer patch levels have more columns."""

    table_name: str
    table_type: str | None = None
    table_subtype: str | None = None
    last_modified_time: datetime | None = None

    @property
    def kind(self) -> str:
        """Redshift's name for the kind of table in lower case, without "regular"."""
        return (self.table_subtype or self.table_type or "").strip().lower().removeprefix("regular ")


def shown_tables(
    database: Database, schema: str, names: Sequence[str], options: Options
) -> tuple[dict[str, ShownRow], bool]:
    """Returns the tables of a schema by name, and whether these are all that the user may select from.

    Counts statements that fail and leaves out their tables.
    """
    place = f"{database.name}.{schema}"
    found: dict[str, ShownRow] = {}
    is_complete = True
    for sql in _statements(database.name, schema, names):

        def read(sql: str = sql) -> tuple[Rows[ShownRow], list[ShownRow]]:
            result = database.session.rows(ShownRow, sql)
            return result, list(result)

        response = read_or_skip(
            options, NO_FRESHNESS, read, is_statement_error, lambda error: f"{place}: {message(error)}"
        )
        if response is None:
            is_complete = False
            continue
        result, rows = response
        if rows and "last_modified_time" not in result.columns:
            options.skip(NO_MODIFIED_TIME, place)
        found |= {row.table_name: row for row in rows}
    return found, is_complete


def _statements(database: str, schema: str, names: Sequence[str]) -> Iterator[str]:
    """Yields one statement for the schema, or several with patterns if it has too many names for one result."""
    quoted = {"database": quote(database), "schema": quote(schema)}
    if len(names) <= SHOW_ROW_CAP:
        yield SHOW_TABLES_SQL.format(**quoted)
        return
    for pattern in name_patterns(names, SHOW_ROW_CAP):
        yield SHOW_SOME_TABLES_SQL.format(**quoted, pattern="'" + pattern.replace("'", "''") + "'")


def name_patterns(
    names: Sequence[str], cap: int, prefix: str = "", matched: Sequence[str] | None = None
) -> Iterator[str]:
    """Yields LIKE patterns that together match all names, each at most ``cap`` of them if prefixes can separate them.

    ``matched`` are the names that the pattern for ``prefix`` matches; ``names`` are those that start with ``prefix``.
    They differ because an underscore in a pattern matches any character, and ``%`` and backslash are replaced by
    underscores.
    """
    pattern, here = re.sub(r"[%\\]", "_", prefix), len(prefix)
    matched = names if matched is None else matched
    if len(matched) <= cap:
        yield pattern + "%"
        return
    if prefix in names:
        yield pattern
    starts: dict[str, list[str]] = {}
    for name in names:
        if name != prefix:
            starts.setdefault(name[: here + 1], []).append(name)
    for start, group in sorted(starts.items()):
        is_any = start[here] in "_%\\"
        also = [name for name in matched if len(name) > here and (is_any or name[here] == start[here])]
        yield from name_patterns(group, cap, start, also)
