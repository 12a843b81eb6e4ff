"""What a statement reads and writes, by the names in its text: from SQL and a log type to table names.

Good for saying which queries touched a table in a test; it is no lineage. Needs sqlglot.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

# sqlglot's names for the log types; those it has no dialect for are read as its own general one.
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

# The schema's QueryCategory for a statement that is one whatever is in it.
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

# What differs between runs of one query: text in quotes, numbers, comments. Quoted identifiers are matched too,
# so that a digit in one is not taken for a number. A first character of a fixed set lets the search skip, and
# what is never closed goes to the end, so that no text is gone over twice.
_LITERAL = re.compile(
    r"""["'`0-9](?:
        (?<=')[^'\\]*(?:(?:\\.?|'')[^'\\]*)*(?:'|\Z)        # text
      | (?<=[0-9])(?<!\w[0-9])[0-9]*(?:\.[0-9]+)?\b        # a number, not the end of a name
      | (?<=")[^"]*(?:"|\Z)                                # an identifier
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

# Longer ones are generated, and cost seconds each.
_LONGEST_PARSED = 500_000

_QUOTES = '"`'

TableName = tuple[str, ...]

# What cannot be parsed is told by an empty answer, not on stderr.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Touched:
    """A statement's category (of the schema's QueryCategory, None when unknown) and the tables in its text."""

    category: str | None
    reads: frozenset[TableName]
    writes: frozenset[TableName]


NOTHING = Touched(None, frozenset(), frozenset())


def shape_of(text: str) -> str:
    """Return a text with its literals, comments and spacing evened out: the same for runs of one query."""
    if "--" in text or "/*" in text:
        text = _COMMENT.sub(lambda found: " " if found[0][0] in "-/" else found[0], text)
    return " ".join(_LITERAL.sub(lambda found: found[0] if found[0][0] in _QUOTES else "?", text).split())


def touched(text: str, log_type: str) -> Touched:
    """Return what a text reads and writes; `NOTHING` for one that cannot be parsed. Names are lower case."""
    if len(text) > _LONGEST_PARSED:
        return NOTHING
    try:
        statements = [each for each in sqlglot.parse(text, read=_DIALECTS.get(log_type)) if each is not None]
        if not statements:
            return NOTHING
        parts = [_of_statement(each) for each in statements]
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError):
        return NOTHING
    return Touched(
        category=parts[-1].category,
        reads=frozenset().union(*(part.reads for part in parts)),
        writes=frozenset().union(*(part.writes for part in parts)),
    )


def _of_statement(statement: exp.Expr) -> Touched:
    written = {id(table): table for table in _targets(statement)}
    reads = {
        _name(table)
        for table in statement.find_all(exp.Table)
        if id(table) not in written and table.name and not _is_local(table)
    }
    writes = {_name(table) for table in written.values() if table.name}
    return Touched(_category(statement), frozenset(reads), frozenset(writes))


def _targets(statement: exp.Expr) -> Iterator[exp.Table]:
    """Yield the tables a statement writes."""
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


def _is_local(table: exp.Table) -> bool:
    """Say whether a name is that of a common table expression in sight."""
    if table.db:
        return False
    around = table.parent
    while around is not None:
        for each in getattr(around, "ctes", None) or []:
            same_name = each.alias_or_name.lower() == table.name.lower()
            if _holds(each, table):  # it sees those before it, and itself only when it is recursive
                if same_name and each.parent.args.get("recursive"):
                    return True
                break
            if same_name:
                return True
        around = around.parent
    return False


def _holds(around: exp.Expr, inside: exp.Expr) -> bool:
    step: exp.Expr | None = inside
    while step is not None and step is not around:
        step = step.parent
    return step is around


def _name(table: exp.Table) -> TableName:
    return tuple(part.lower() for part in (table.catalog, table.db, table.name) if part)


def _category(statement: exp.Expr) -> str | None:
    if isinstance(statement, exp.Create):
        return _creation(statement)
    if isinstance(statement, (exp.Insert, exp.MultitableInserts)):
        return "insert_overwrite" if statement.args.get("overwrite") else "insert_into"
    if isinstance(statement, exp.Delete):
        return "delete_using" if statement.args.get("using") else "delete_from"
    if isinstance(statement, exp.Select) and statement.args.get("into"):
        return "select_into"
    if isinstance(statement, exp.Command):
        return _COMMANDS.get(str(statement.this).upper())
    return next((name for kind, name in _CATEGORIES if isinstance(statement, kind)), None)


def _creation(statement: exp.Create) -> str | None:
    if statement.args.get("clone"):
        return "clone"
    if statement.kind == "VIEW":
        return "create_view"
    if statement.kind != "TABLE":
        return None
    return "create_table_as_select" if statement.expression else "create_table"
