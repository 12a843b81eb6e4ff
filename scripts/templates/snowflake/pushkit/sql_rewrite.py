"""Statements in words that sqlglot stumbles over, told again in words that it parses, with the same lineage.

From the tokens of one `Piece` to the tokens of another. Nothing is looked up: names given as strings become names,
and clauses that move no data are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType

from pushkit.sql_forms import closed, name_at
from pushkit.sql_script import Piece

# Stands where a name is computed at run time (a variable, a concatenation): no real name holds this character.
COMPUTED = "\0"

_STRINGS = (TokenType.STRING, TokenType.RAW_STRING, TokenType.NATIONAL_STRING)
# Calls that stand for the table they name. Databricks: IDENTIFIER clause, table_changes; BigQuery: APPENDS, CHANGES.
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names-identifier-clause
# https://docs.databricks.com/aws/en/sql/language-manual/functions/table_changes
# https://cloud.google.com/bigquery/docs/reference/standard-sql/time-series-functions
_NAMING = frozenset({"IDENTIFIER", "TABLE_CHANGES", "APPENDS", "CHANGES"})
_NAMING_LENGTHS = frozenset(map(len, _NAMING))
# What an item of a column list may begin with and not be a column.
_NO_COLUMN = frozenset(
    {"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "INDEX", "KEY", "LIKE", "EXCLUDE", "PERIOD", "PARTITION"}
)
_TEMPORARY = frozenset({"TEMP", "TEMPORARY", "VOLATILE"})


def with_names(piece: Piece) -> Piece:
    """The statement with IDENTIFIER('a.b') as a.b, table_changes('a.b', 5) as a.b; a computed name as COMPUTED."""
    tokens = piece.tokens
    kept: list[Token] = []
    position = 0
    changed = False
    while position < len(tokens):
        named = _named(piece, position) if len(tokens[position].text) in _NAMING_LENGTHS else None
        if named is None:
            kept.append(tokens[position])
            position += 1
        else:
            kept.extend(named[0])
            position = named[1]
            changed = True
    return Piece(kept, piece.text, piece.written) if changed else piece


def _named(piece: Piece, position: int) -> tuple[list[Token], int] | None:
    word = piece.word(position)
    if word not in _NAMING or piece.word(position + 1) != "(":
        return None
    end = closed(piece, position + 1)
    inside = position + 2
    if word in ("APPENDS", "CHANGES"):
        if piece.word(inside) != "TABLE":
            return None  # Snowflake: t CHANGES (INFORMATION => DEFAULT)
        inside += 1
    first, last = piece.tokens[position], piece.tokens[end - 1]
    given = piece.tokens[inside] if inside < end else None
    alone = inside == end - 2
    if given is not None and given.token_type in _STRINGS and (alone or word == "TABLE_CHANGES"):
        return _dotted(_parts(given.text), first, last), end
    if word == "IDENTIFIER":
        return _dotted([(COMPUTED, True)], first, last), end
    parts, _ = name_at(piece, inside)
    return (_dotted(parts, first, last), end) if parts else None


def _parts(text: str) -> list[tuple[str, bool]]:
    """The parts of a name given as a string: db."My Schema".t, c.`s 1`.t."""
    parts: list[tuple[str, bool]] = []
    for place, piece in enumerate(text.replace("`", '"').split('"')):
        if place % 2:
            parts.append((piece, True))
        else:
            parts.extend((part.strip(), False) for part in piece.split(".") if part.strip())
    return parts


def _dotted(parts: Sequence[tuple[str, bool]], first: Token, last: Token) -> list[Token]:
    made: list[Token] = []
    for text, quoted in parts:
        if made:
            made.append(Token(TokenType.DOT, ".", first.line, first.col, first.start, last.end))
        kind = TokenType.IDENTIFIER if quoted else TokenType.VAR
        made.append(Token(kind, text, first.line, first.col, first.start, last.end))
    return made
