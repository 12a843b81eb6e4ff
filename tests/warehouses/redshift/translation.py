"""Adapts statements to PostgreSQL: translates two that it lacks, and returns rows in random order.

Text in, text out. Needs only the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

# https://docs.aws.amazon.com/redshift/latest/dg/r_SHOW_TABLES.html
SHOW_TABLES = re.compile(
    r"""\s*SHOW\s+TABLES\s+FROM\s+SCHEMA\s+
    (?:(?P<database>"(?:[^"]|"")+"|\w+)\.)?(?P<schema>"(?:[^"]|"")+"|\w+)
    (?:\s+LIKE\s+(?P<pattern>'(?:[^']|'')*'))?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*;?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
SET_UNKNOWN = re.compile(
    r"\s*SET\s+(?P<name>query_group|enable_result_cache_for_session|enable_case_sensitive_identifier)\s+TO\s+",
    re.IGNORECASE,
)
# https://docs.aws.amazon.com/redshift/latest/dg/r_enable_case_sensitive_identifier.html
KEEP_CASE = re.compile(
    r"\s*SET\s+enable_case_sensitive_identifier\s+TO\s+(?P<value>true|on|false|off)\s*;?\s*", re.IGNORECASE
)
TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|[()]|\w+""", re.DOTALL)
# These allow only ORDER BY expressions from their list, so ties keep PostgreSQL's order.
ORDERED_BY_ITS_LIST = {"DISTINCT", "UNION", "INTERSECT", "EXCEPT", "MINUS"}


def keeps_case(sql: str, before: bool) -> bool:
    """Whether the session is case-sensitive for quoted names after this statement. By default Redshift is not."""
    found = KEEP_CASE.fullmatch(sql)
    return found["value"].lower() in ("true", "on") if found else before


def translate(sql: str, database: str, is_case_kept: bool = False) -> str:
    """The statement for PostgreSQL. Unchanged unless PostgreSQL lacks it."""
    if show := SHOW_TABLES.fullmatch(sql):
        named = show["database"]
        of_database = _unquoted(named, is_case_kept) if named else database
        arguments = [_literal(of_database), _literal(_unquoted(show["schema"], is_case_kept))]
        arguments += [show["pattern"] or "'%'", show["limit"] or "NULL"]
        return f"SELECT * FROM testbed.show_tables_from({', '.join(arguments)})"
    return SET_UNKNOWN.sub(lambda match: f"SET testbed.{match['name']} TO ", sql, count=1)


def shuffled(sql: str) -> str:
    """The query with its rows in random order. With an ORDER BY, only ties are in random order."""
    words = list(_outer_words(sql))
    names = [word for word, _ in words]
    if not names or names[0] not in ("SELECT", "WITH"):
        return sql
    sql = sql.rstrip().rstrip(";")
    if ("ORDER", "BY") not in pairwise(names):
        return f"SELECT * FROM ({sql}\n) AS shuffled ORDER BY random()"
    if ORDERED_BY_ITS_LIST.intersection(names):
        return sql
    end = next((at for word, at in words if word in ("LIMIT", "OFFSET")), len(sql))
    return f"{sql[:end]}\n, random() {sql[end:]}"


def _outer_words(sql: str) -> Iterator[tuple[str, int]]:
    """The words outside parentheses, literals, quoted names and comments, in uppercase, each with its position."""
    depth = 0
    for token in TOKEN.finditer(sql):
        text = token[0]
        if text in ("(", ")"):
            depth += 1 if text == "(" else -1
        elif depth == 0 and (text[0].isalnum() or text[0] == "_"):
            yield text.upper(), token.start()


def _unquoted(name: str, is_case_kept: bool) -> str:
    plain = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    return plain if is_case_kept else plain.lower()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
