"""Table names from a statement that cannot be parsed: cut off by the log, or in words no grammar here knows.

From tokens, to a target and the tables read, with nothing known about columns. Names that follow FROM, JOIN, INTO
and USING are taken; names of CTEs and functions are not. The result is marked as less certain by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.script import Piece

Parts = tuple[tuple[str, bool], ...]

# What closes the quote, comment or body that a cut has left open.
_CLOSINGS = ("", "'", '"', "`", "*/", "$$", "'''", '"""', "]")
# FROM inside these functions names no table: EXTRACT(year FROM d), TRIM(x FROM y).
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
    """The tokens of a text whose end may be missing; empty when it is no SQL at all."""
    for closing in _CLOSINGS:
        try:
            return list(dialect.tokenize(text + closing))
        except TokenError:
            continue
    return []


def table_names(piece: Piece, is_cut: bool) -> tuple[Parts | None, list[Parts]]:
    """The target (None for a query) and the tables read. A name that the end of a text cuts may go on: left out."""
    tokens = piece.tokens
    end = len(tokens)
    ctes = _cte_names(tokens)
    target, start = _target(piece)
    if is_cut and start >= end:
        target = None
    sources: dict[Parts, int] = {}  # with the first place after the name
    aliases: set[str] = set()
    functions: list[str] = []
    position = start
    while position < end:
        kind = tokens[position].token_type
        if kind is TokenType.L_PAREN:
            functions.append(piece.word(position - 1) if position else "")
        elif kind is TokenType.R_PAREN and functions:
            functions.pop()
        elif _introduces_table(piece, position, functions):
            position = _names_from(piece, position + 1, sources, aliases)
            continue
        position += 1
    names = [
        name
        for name, after in sources.items()
        if not (len(name) == 1 and name[0][0].lower() in ctes) and not (is_cut and after >= end)
    ]
    return target, [name for name in names if name != target]


def is_temporary(piece: Piece) -> bool:
    """Whether a CREATE says that its table or view lives only as long as the session."""
    if piece.word(0) != "CREATE":
        return False
    for position in range(1, min(len(piece.tokens), 8)):
        if piece.word(position) in ("TEMP", "TEMPORARY", "VOLATILE"):
            return True
        if piece.word(position) in ("TABLE", "VIEW"):
            break
    target, _ = _target(piece)
    return target is not None and target[-1][0].startswith("#")


def _introduces_table(piece: Piece, position: int, functions: Sequence[str]) -> bool:
    word = piece.word(position)
    if word == "FROM":
        in_function = bool(functions) and functions[-1] in _FROM_FUNCTIONS
        return not in_function and piece.word(position - 1) != "DISTINCT"
    return word == "JOIN" or (word == "USING" and piece.word(0) in ("MERGE", "DELETE", "WITH"))


def _names_from(piece: Piece, position: int, sources: dict[Parts, int], aliases: set[str]) -> int:
    """Reads `a x, b AS y, …` after FROM; returns the place after it. A path from an alias (`x.items`) is no table."""
    while True:
        while piece.word(position) in ("LATERAL", "ONLY", "TABLE") or _is_stream(piece, position):
            position += 1
        name, after = _name_at(piece, position)
        if not name:
            return position
        if piece.word(after) != "(" and not (len(name) > 1 and name[0][0].lower() in aliases):
            sources.setdefault(name, after)
        position = after
        if piece.word(position) == "AS":
            position += 1
        if position < len(piece.tokens) and piece.tokens[position].token_type in (TokenType.VAR, TokenType.IDENTIFIER):
            aliases.add(piece.tokens[position].text.lower())
            position += 1
        if piece.word(position) != ",":
            return position
        position += 1


def _is_stream(piece: Piece, position: int) -> bool:
    """Databricks' STREAM before the name of a table: FROM STREAM c.s.t, but not FROM stream AS x."""
    if piece.word(position) != "STREAM":
        return False
    name, after = _name_at(piece, position + 1)
    return len(name) > 1 and piece.word(after) != "("


def _name_at(piece: Piece, position: int) -> tuple[Parts, int]:
    """The name at that place and the place after it; none when it ends with a dot."""
    parts: list[tuple[str, bool]] = []
    tokens = piece.tokens
    while 0 <= position < len(tokens):
        token = tokens[position]
        quoted = token.token_type is TokenType.IDENTIFIER
        if not quoted and ((not parts and token.text.upper() in _NOT_NAMES) or not _is_word(token)):
            return (), position
        text = token.text
        position += 1
        if not parts and not quoted:
            text, position = _dashed(tokens, text, position)
        has_dot = text.endswith(".") and not quoted
        parts.append((text.rstrip(".") if has_dot else text, quoted))
        if not has_dot and position < len(tokens) and tokens[position].token_type is TokenType.DOT:
            position += 1
            has_dot = True
        if not has_dot:
            break
        if position >= len(tokens):
            return (), position
    # A name inside backticks may hold the whole dotted path.
    if len(parts) == 1 and parts[0][1] and "." in parts[0][0]:
        parts = [(part, True) for part in parts[0][0].split(".")]
    return tuple(parts), position


def _dashed(tokens: Sequence[Token], text: str, position: int) -> tuple[str, int]:
    """BigQuery's projects hold dashes without quotes: my-project-1.d.t, where `1.` is one token."""
    end = tokens[position - 1].end
    while position + 1 < len(tokens) and tokens[position].token_type is TokenType.DASH:
        dash, following = tokens[position], tokens[position + 1]
        if dash.start != end + 1 or following.start != dash.end + 1 or following.token_type is TokenType.IDENTIFIER:
            break
        text, end = f"{text}-{following.text}", following.end
        position += 2
    return text, position


def _is_word(token: Token) -> bool:
    first = token.text[:1]
    return token.token_type is not TokenType.STRING and (first.isalpha() or first in "_#")


def _cte_names(tokens: Sequence[Token]) -> frozenset[str]:
    """Names that `name AS (` or `name (a, b) AS (` define after WITH or a comma."""
    names = set()
    for position in range(1, len(tokens) - 1):
        if tokens[position].text.upper() != "AS" or tokens[position + 1].token_type is not TokenType.L_PAREN:
            continue
        at = position - 1
        if tokens[at].token_type is TokenType.R_PAREN:
            while at > 0 and tokens[at].token_type is not TokenType.L_PAREN:
                at -= 1
            at -= 1
        if at > 0 and tokens[at - 1].text.upper() in ("WITH", "RECURSIVE", ","):
            names.add(tokens[at].text.lower())
    return frozenset(names)


def _target(piece: Piece) -> tuple[Parts | None, int]:
    """The table a statement writes, and where its sources may start."""
    words = [piece.word(position) for position in range(min(len(piece.tokens), 12))]
    first = words[0] if words else ""
    if first == "WITH":
        # WITH … INSERT INTO: the verb comes after the CTEs.
        for position in range(len(piece.tokens)):
            if piece.word(position) in ("INSERT", "MERGE"):
                return _named_after(piece, position + 1)[0], 0
        return None, 0
    if first == "INSERT" and not {"INTO", "OVERWRITE", "TABLE"} & set(words[1:6]):
        return None, 0
    if first == "INSERT" and words[1] in ("ALL", "FIRST", "OVERWRITE") and {"ALL", "FIRST"} & set(words[1:3]):
        return None, 0  # Snowflake's INSERT ALL: into several tables, and the columns between them are not told apart
    if first in ("INSERT", "MERGE", "UPDATE"):
        return _named_after(piece, 4 if words[1:4] == ["WITH", "SCHEMA", "EVOLUTION"] else 1)
    if first == "DELETE" and len(words) > 1 and words[1] == "FROM":
        return _named_after(piece, 2)
    if first == "COPY" and len(words) > 1 and words[1] == "INTO":
        return _named_after(piece, 2)
    if first == "CREATE":
        return _created(piece, words)
    return None, 0


def _created(piece: Piece, words: Sequence[str]) -> tuple[Parts | None, int]:
    """The table or view made, and where its query or body starts: FROM before that names something else."""
    target: Parts | None = None
    start = 1
    for position, word in enumerate(words):
        if word in ("TABLE", "VIEW"):
            target, start = _named_after(piece, position + 1)
            break
    depth = 0
    for position in range(start, len(piece.tokens)):
        kind = piece.tokens[position].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth == 0 and piece.word(position) in ("AS", "BEGIN"):
            return target, position
    # No query: nothing to read. A name that the text ends with is still told by its place.
    return target, len(piece.tokens) + (start < len(piece.tokens))


def _named_after(piece: Piece, position: int) -> tuple[Parts | None, int]:
    while piece.word(position) in _AFTER_TARGET:
        position += 1
    name, after = _name_at(piece, position)
    return (name or None), after
