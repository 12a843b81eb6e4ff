"""Finds the tables that a SQL statement reads and writes, by the names in its text.

Good enough for tests to find the queries of a table. It is not lineage. Needs sqlglot.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

# Log types and their sqlglot dialects. Other log types use sqlglot's default dialect.
_DIALECTS = {
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "databricks": "databricks",
    "databricks-metastore-sql-warehouse": "databricks",
    "redshift": "redshift",
    "hive-s3": "hive",
    "athena": "athena",
    "presto-s3": "presto",
    "teradata": "teradata",
    "clickhouse": "clickhouse",
}

# The schema's QueryCategory of statements whose category only depends on their type.
_CATEGORIES: list[tuple[type[exp.Expr], str]] = [
    (exp.Merge, "merge"),
    (exp.Update, "update"),
    (exp.Copy, "copy"),
    (exp.Drop, "drop_table"),
    (exp.TruncateTable, "truncate"),
    (exp.Alter, "alter"),
    (exp.Query, "query"),
]

_COMMANDS = {"EXPLAIN": "explain", "UNLOAD": "unload", "PUT": "put"}

# These parts differ between runs of the same query: strings, numbers, comments. Quoted identifiers are matched too, so
# that a digit in one is not mistaken for a number. A fixed set of first characters makes the search fast. An unclosed
# quote or comment extends to the end of the text, so that no text is scanned twice.
_LITERAL = re.compile(
    r"""["'`0-9](?:
        (?<=')[^'\\]*(?:(?:\\.?|'')[^'\\]*)*(?:'|\Z)        # a string
      | (?<=[0-9])(?<!\w[0-9])[0-9]*(?:\.[0-9]+)?\b        # a number, not the end of a name
      | (?<=")[^"]*(?:"|\Z)                                # a quoted identifier
      | (?<=`)[^`]*(?:`|\Z)
    )""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(
    r"""["'`/-](?:
        (?<=')[^'\\]*(?:(?:\\.?|'')[^'\\]*)*(?:'|\Z)
      | (?<=")[^"]*(?:"|\Z)
      | (?<=`)[^`]*(?:`|\Z)
      | (?<=-)-[^\n]*                                      # comments
      | (?<=/)\*.*?(?:\*/|\Z)
    )""",
    re.DOTALL | re.VERBOSE,
)

# Characters. Longer texts are generated ones, and take seconds each to parse.
_MAX_PARSED_LENGTH = 500_000

_QUOTES = '"`'

TableName = tuple[str, ...]

# If a text cannot be parsed, the result is empty; sqlglot must not log it to stderr.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class TableAccess:
    """A statement's category (a QueryCategory of the schema, None if unknown) and the tables in its text."""

    category: str | None
    reads: frozenset[TableName]
    writes: frozenset[TableName]


NO_ACCESS = TableAccess(None, frozenset(), frozenset())


def shape_of(text: str) -> str:
    """Return a text with normalized literals, comments and whitespace: the same for all runs of a query."""
    if "--" in text or "/*" in text:
        text = _COMMENT.sub(lambda found: " " if found[0][0] in "-/" else found[0], text)
    return " ".join(_LITERAL.sub(lambda found: found[0] if found[0][0] in _QUOTES else "?", text).split())


def table_access(text: str, log_type: str) -> TableAccess:
    """Return the tables that a text reads and writes, in lower case. Returns NO_ACCESS if it cannot be parsed."""
    if len(text) > _MAX_PARSED_LENGTH:
        return NO_ACCESS
    try:
        statements = [each for each in sqlglot.parse(text, read=_DIALECTS.get(log_type)) if each is not None]
        if not statements:
            return NO_ACCESS
        parts = [_statement_access(each) for each in statements]
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError):
        return NO_ACCESS
    return TableAccess(
        category=parts[-1].category,
        reads=frozenset().union(*(part.reads for part in parts)),
        writes=frozenset().union(*(part.writes for part in parts)),
    )


def _statement_access(statement: exp.Expr) -> TableAccess:
    written = {id(table): table for table in _targets(statement)}
    reads = {
        _name(table)
        for table in statement.find_all(exp.Table)
        if id(table) not in written and table.name and not _is_cte(table)
    }
    writes = {_name(table) for table in written.values() if table.name}
    return TableAccess(_category(statement), frozenset(reads), frozenset(writes))


def _targets(statement: exp.Expr) -> Iterator[exp.Table]:
    """Yield the tables that a statement writes."""
    if isinstance(statement, exp.MultitableInserts):
        for insert in statement.find_all(exp.Insert):
            yield from _targets(insert)
        return
    if isinstance(statement, (exp.TruncateTable, exp.Drop)):
        named = [statement.this, *statement.expressions, *(statement.args.get("tables") or [])]
        yield from (table for table in named if isinstance(table, exp.Table))
        return
    into = statement.args.get("into")
    if isinstance(into, exp.Into) and isinstance(into.this, exp.Table):
        yield into.this
    if isinstance(statement, (exp.DML, exp.Create, exp.Merge, exp.Update, exp.Alter, exp.Copy)):
        target = statement.this
        if isinstance(target, exp.Schema):
            target = target.this
        if isinstance(target, exp.Table):
            yield target


def _is_cte(table: exp.Table) -> bool:
    """Return whether a name refers to a common table expression in scope."""
    if table.db:
        return False
    around = table.parent
    while around is not None:
        for each in getattr(around, "ctes", None) or []:
            same_name = each.alias_or_name.lower() == table.name.lower()
            if _contains(each, table):  # a CTE can use earlier ones, and itself if recursive
                if same_name and each.parent.args.get("recursive"):
                    return True
                break
            if same_name:
                return True
        around = around.parent
    return False


def _contains(around: exp.Expr, inside: exp.Expr) -> bool:
    step: exp.Expr | None = inside
    while step is not None and step is not around:
        step = step.parent
    return step is around


def _name(table: exp.Table) -> TableName:
    return tuple(part.lower() for part in (table.catalog, table.db, table.name) if part)


def _category(statement: exp.Expr) -> str | None:
    if isinstance(statement, exp.Create):
        return _create_category(statement)
    if isinstance(statement, (exp.Insert, exp.MultitableInserts)):
        return "insert_overwrite" if statement.args.get("overwrite") else "insert_into"
    if isinstance(statement, exp.Delete):
        return "delete_using" if statement.args.get("using") else "delete_from"
    if isinstance(statement, exp.Select) and statement.args.get("into"):
        return "select_into"
    if isinstance(statement, exp.Command):
        return _COMMANDS.get(str(statement.this).upper())
    return next((name for kind, name in _CATEGORIES if isinstance(statement, kind)), None)


def _create_category(statement: exp.Create) -> str | None:
    if statement.args.get("clone"):
        return "clone"
    if statement.kind == "VIEW":
        return "create_view"
    if statement.kind != "TABLE":
        return None
    return "create_table_as_select" if statement.expression else "create_table"
