"""Resolves table names given as a string or through a call: IDENTIFIER('a.b'), table_changes('a.b', 5).

Replaces each call with the name it refers to. A name that is computed at run time (a variable, a concatenation) is
replaced by a placeholder, `Statement.computed`, so that the rest of the statement can be parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.tokens import STRINGS, Parts, Statement, TokenWriter

# Calls that refer to the table they name. Databricks: IDENTIFIER clause, table_changes; BigQuery: APPENDS, CHANGES.
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names-identifier-clause
# https://docs.databricks.com/aws/en/sql/language-manual/functions/table_changes
# https://cloud.google.com/bigquery/docs/reference/standard-sql/time-series-functions
_NAMING = frozenset({"IDENTIFIER", "TABLE_CHANGES", "APPENDS", "CHANGES"})
_NAMING_LENGTHS = frozenset(map(len, _NAMING))


def with_names(statement: Statement) -> Statement:
    """Replace calls with the names they refer to. Returns the same statement if there are none."""
    tokens = statement.tokens
    kept: list[Token] = []
    position = 0
    computed = statement.computed
    changed = False
    while position < len(tokens):
        # Comparing lengths first rules out nearly every token.
        is_call = len(tokens[position].text) in _NAMING_LENGTHS and statement.word(position) in _NAMING
        named = _named(statement, position) if is_call else None
        if named is None:
            kept.append(tokens[position])
            position += 1
            continue
        changed = True
        parts, end = named
        if parts is None:
            computed = computed or _placeholder(statement.source)
            parts = ((computed, True),)
        first, last = tokens[position], tokens[end - 1]
        writer = TokenWriter(Token(TokenType.VAR, "", first.line, first.col, first.start, last.end))
        writer.name(parts)
        kept.extend(writer.tokens)
        position = end
    return statement.named(kept, computed) if changed else statement


def _named(statement: Statement, position: int) -> tuple[Parts | None, int] | None:
    """The name that the call at `position` refers to, and the position after the call.

    The name is None if it is computed at run time. Returns None if the call does not refer to a name.
    """
    word = statement.word(position)
    if statement.word(position + 1) != "(":
        return None
    inside = position + 2
    if word in ("APPENDS", "CHANGES"):
        if statement.word(inside) != "TABLE":
            return None  # Snowflake: t CHANGES (INFORMATION => DEFAULT)
        inside += 1
    end = statement.after(position + 1)
    is_alone = inside == end - 2
    if inside < end and statement.is_string(inside) and (is_alone or word == "TABLE_CHANGES"):
        return parts_of(statement.tokens[inside].text), end
    if word == "IDENTIFIER":
        return _concatenated(statement.tokens[inside : end - 1]), end
    parts, _ = statement.name_at(inside)
    return (parts, end) if parts else None


def _concatenated(tokens: Sequence[Token]) -> Parts | None:
    """The name in string literals concatenated with ||; None if any operand is not a string literal."""
    is_constant = (
        len(tokens) % 2 == 1
        and all(token.token_type in STRINGS for token in tokens[::2])
        and all(token.token_type is TokenType.DPIPE for token in tokens[1::2])
    )
    return parts_of("".join(token.text for token in tokens[::2])) if is_constant else None


def _placeholder(text: str) -> str:
    """An identifier that does not occur in the text."""
    longest = max((len(list(run)) for character, run in groupby(text) if character == "?"), default=0)
    return "?" * (longest + 1)


def parts_of(text: str) -> Parts:
    """The parts of a name given as a string: db."My Schema".t, c.`s 1`.t."""
    parts: list[tuple[str, bool]] = []
    for place, piece in enumerate(text.replace("`", '"').split('"')):
        if place % 2:
            parts.append((piece, True))
        else:
            parts.extend((part.strip(), False) for part in piece.split(".") if part.strip())
    return tuple(parts)
