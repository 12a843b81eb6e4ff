"""Extracts table names from a statement that cannot be parsed: truncated by the log, or in unsupported syntax.

Returns a target and the tables read, without columns, from tokens. Includes names after FROM, JOIN, INTO and USING,
except names of CTEs and functions. The caller marks the result as less certain.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.tokens import Parts, Statement

# Terminators of a quote, comment or body that truncation left open.
_CLOSINGS = ("", "'", '"', "`", "*/", "$$", "'''", '"""', "]")
# FROM inside these functions does not name a table: EXTRACT(year FROM d), TRIM(x FROM y).
_FROM_FUNCTIONS = frozenset({"EXTRACT", "TRIM", "SUBSTRING", "SUBSTR", "OVERLAY", "POSITION", "LTRIM", "RTRIM"})
_NOT_NAMES = frozenset(
    {
        "SELECT", "VALUES", "LATERAL", "UNNEST", "TABLE", "ONLY", "WHERE", "SET", "ON", "USING", "AS", "IF", "NOT",
        "EXISTS", "INTO", "OVERWRITE", "FROM", "JOIN", "GROUP", "ORDER", "LIMIT", "UNION", "DUAL", "DIRECTORY", "LOCAL",
        "NULL", "WITH", "WHEN",
    }
)  # fmt: skip
_AFTER_TARGET = frozenset({"INTO", "OVERWRITE", "TABLE", "VIEW", "IF", "NOT", "EXISTS", "ONLY"})


def tokens_of(text: str, dialect: Dialect) -> list[Token]:
    """The tokens of a text that might be truncated; empty if it cannot be tokenized."""
    for closing in _CLOSINGS:
        try:
            return list(dialect.tokenize(text + closing))
        except TokenError:
            continue
    return []


def table_names(statement: Statement, is_truncated: bool) -> tuple[Parts | None, list[Parts]]:
    """The target (None for a query) and the tables read.

    Omits a name at the end of a truncated text, because it might be incomplete.
    """
    end = len(statement)
    ctes = _cte_names(statement)
    target, start = _target(statement)
    if is_truncated and start >= end:
        target = None
    sources: dict[Parts, int] = {}  # name -> position after it
    aliases: set[str] = set()
    position = start
    while position < end:
        if _introduces_table(statement, position):
            position = _names_from(statement, position + 1, sources, aliases)
        else:
            position += 1
    names = [
        name
        for name, after in sources.items()
        if not (len(name) == 1 and name[0][0].lower() in ctes) and not (is_truncated and after >= end)
    ]
    return target, [name for name in names if name != target]


def is_temporary(statement: Statement) -> bool:
    """Whether the statement is a CREATE of a temporary table or view."""
    if statement.word(0) != "CREATE":
        return False
    for position in range(1, min(len(statement), 8)):
        if statement.word(position) in ("TEMP", "TEMPORARY", "VOLATILE"):
            return True
        if statement.word(position) in ("TABLE", "VIEW"):
            break
    target, _ = _target(statement)
    return target is not None and target[-1][0].startswith("#")


def _introduces_table(statement: Statement, position: int) -> bool:
    word = statement.word(position)
    if word == "FROM":
        function = statement.word(statement.enclosing[position] - 1)
        return function not in _FROM_FUNCTIONS and statement.word(position - 1) != "DISTINCT"
    return word == "JOIN" or (word == "USING" and statement.word(0) in ("MERGE", "DELETE", "WITH"))


def _names_from(statement: Statement, position: int, sources: dict[Parts, int], aliases: set[str]) -> int:
    """Read `a x, b AS y, …` after FROM; return the position after it. Excludes paths from an alias (`x.items`)."""
    while True:
        while statement.word(position) in ("LATERAL", "ONLY", "TABLE") or _is_stream(statement, position):
            position += 1
        name, after = _table_at(statement, position)
        if not name:
            return position
        if statement.word(after) != "(" and not (len(name) > 1 and name[0][0].lower() in aliases):
            sources.setdefault(name, after)
        position = after
        if statement.word(position) == "AS":
            position += 1
        if statement.kind(position) in (TokenType.VAR, TokenType.IDENTIFIER):
            aliases.add(statement.tokens[position].text.lower())
            position += 1
        if statement.word(position) != ",":
            return position
        position += 1


def _is_stream(statement: Statement, position: int) -> bool:
    """Whether this is Databricks' STREAM before a table name: FROM STREAM c.s.t, but not FROM stream AS x."""
    if statement.word(position) != "STREAM":
        return False
    name, after = _table_at(statement, position + 1)
    return len(name) > 1 and statement.word(after) != "("


def _table_at(statement: Statement, position: int) -> tuple[Parts, int]:
    """The table name at `position` and the position after it. No parts if it is not a name, or ends with a dot."""
    quoted = statement.kind(position) is TokenType.IDENTIFIER
    if not quoted and (statement.word(position) in _NOT_NAMES or not _is_word(statement.word(position))):
        return (), position
    parts, after = statement.name_at(position)
    if not all(quoted or _is_word(text) for text, quoted in parts):
        return (), after
    # A name inside backticks can contain the whole dotted path.
    if len(parts) == 1 and quoted and "." in parts[0][0]:
        parts = tuple((part, True) for part in parts[0][0].split("."))
    return parts, after


def _is_word(text: str) -> bool:
    return text[:1].isalpha() or text.startswith(("_", "#"))


def _cte_names(statement: Statement) -> frozenset[str]:
    """The CTE names: `name AS (` or `name (a, b) AS (` after WITH or a comma."""
    names = set()
    for position in range(1, len(statement)):
        if not statement.has(position, "AS", "("):
            continue
        at = position - 1
        if statement.word(at) == ")":
            at = statement.enclosing[at] - 1
        if statement.word(at - 1) in ("WITH", "RECURSIVE", ",") and at > 0:
            names.add(statement.tokens[at].text.lower())
    return frozenset(names)


def _target(statement: Statement) -> tuple[Parts | None, int]:
    """The table that a statement writes, and the first position of its sources."""
    words = statement.words(0, 12)
    first = words[0] if words else ""
    if first == "WITH":
        # WITH … INSERT INTO: the verb comes after the CTEs.
        verbs = (at for at, word in enumerate(statement.words()) if word in ("INSERT", "MERGE"))
        verb = next(verbs, None)
        return (None if verb is None else _named_after(statement, verb + 1)[0]), 0
    if first == "INSERT" and not {"INTO", "OVERWRITE", "TABLE"} & set(words[1:6]):
        return None, 0
    if first == "INSERT" and words[1] in ("ALL", "FIRST", "OVERWRITE") and {"ALL", "FIRST"} & set(words[1:3]):
        return None, 0  # Snowflake's INSERT ALL has several targets, which cannot be told apart from column lists here
    if first in ("INSERT", "MERGE", "UPDATE"):
        return _named_after(statement, 4 if words[1:4] == ["WITH", "SCHEMA", "EVOLUTION"] else 1)
    if first == "DELETE" and len(words) > 1 and words[1] == "FROM":
        return _named_after(statement, 2)
    if first == "COPY" and len(words) > 1 and words[1] == "INTO":
        return _named_after(statement, 2)
    if first == "CREATE":
        return _created(statement, words)
    return None, 0


def _created(statement: Statement, words: Sequence[str]) -> tuple[Parts | None, int]:
    """The table or view created, and the start of its query or body. An earlier FROM does not name a source."""
    target: Parts | None = None
    start = 1
    for position, word in enumerate(words):
        if word in ("TABLE", "VIEW"):
            target, start = _named_after(statement, position + 1)
            break
    body = statement.find("AS", "BEGIN", start=start)
    if body is not None:
        return target, body
    # No query, so no sources: the end of the statement, or past it if other tokens follow the name.
    return target, len(statement) + (start < len(statement))


def _named_after(statement: Statement, position: int) -> tuple[Parts | None, int]:
    position = statement.skip(position, *_AFTER_TARGET)
    name, after = _table_at(statement, position)
    return (name or None), after
