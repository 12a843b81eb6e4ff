"""Names that a statement gives as a string or through a call: IDENTIFIER('a.b'), table_changes('a.b', 5).

From one `Statement` to another in which they stand as names. A name that only a run could compute (a variable, a
concatenation) is replaced by a stand-in, `Statement.computed`, so that the rest of the statement can be read.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.tokens import STRINGS, Parts, Statement, TokenWriter

# Calls that stand for the table they name. Databricks: IDENTIFIER clause, table_changes; BigQuery: APPENDS, CHANGES.
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names-identifier-clause
# https://docs.databricks.com/aws/en/sql/language-manual/functions/table_changes
# https://cloud.google.com/bigquery/docs/reference/standard-sql/time-series-functions
_NAMING = frozenset({"IDENTIFIER", "TABLE_CHANGES", "APPENDS", "CHANGES"})
_NAMING_LENGTHS = frozenset(map(len, _NAMING))


def with_names(statement: Statement) -> Statement:
    """The statement with names in place of the calls that give them; the same one when there are none."""
    tokens = statement.tokens
    kept: list[Token] = []
    position = 0
    computed = statement.computed
    changed = False
    while position < len(tokens):
        # The length alone rules out nearly every token.
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
    """The name that the call at that position gives, and the position after it.

    A name of None is computed at run time. None instead of both when the call gives no name.
    """
    word = statement.word(position)
    if statement.word(position + 1) != "(":
        return None
    end = statement.after(position + 1)
    inside = position + 2
    if word in ("APPENDS", "CHANGES"):
        if statement.word(inside) != "TABLE":
            return None  # Snowflake: t CHANGES (INFORMATION => DEFAULT)
        inside += 1
    is_alone = inside == end - 2
    if inside < end and statement.is_string(inside) and (is_alone or word == "TABLE_CHANGES"):
        return parts_of(statement.tokens[inside].text), end
    if word == "IDENTIFIER":
        return _concatenated(statement.tokens[inside : end - 1]), end
    parts, _ = statement.name_at(inside)
    return (parts, end) if parts else None


def _concatenated(tokens: Sequence[Token]) -> Parts | None:
    """The name that strings with || between them make; None when anything else takes part."""
    is_constant = (
        len(tokens) % 2 == 1
        and all(token.token_type in STRINGS for token in tokens[::2])
        and all(token.token_type is TokenType.DPIPE for token in tokens[1::2])
    )
    return parts_of("".join(token.text for token in tokens[::2])) if is_constant else None


def _placeholder(text: str) -> str:
    """An identifier that the text does not hold."""
    stand_in = "?"
    while stand_in in text:
        stand_in += "?"
    return stand_in


def parts_of(text: str) -> Parts:
    """The parts of a name given as a string: db."My Schema".t, c.`s 1`.t."""
    parts: list[tuple[str, bool]] = []
    for place, piece in enumerate(text.replace("`", '"').split('"')):
        if place % 2:
            parts.append((piece, True))
        else:
            parts.extend((part.strip(), False) for part in piece.split(".") if part.strip())
    return tuple(parts)
