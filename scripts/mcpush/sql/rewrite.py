"""Statements in words that sqlglot stumbles over, told again in words that it parses, with the same lineage.

From the tokens of one `Piece` to the tokens of another. Nothing is looked up: names given as strings become names,
and clauses that move no data are left out.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.forms import closed, name_at
from mcpush.sql.script import Piece

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
    if word == "IDENTIFIER" and _is_concatenation(piece.tokens[inside : end - 1]):
        return _dotted(_parts("".join(token.text for token in piece.tokens[inside : end - 1 : 2])), first, last), end
    if word == "IDENTIFIER":
        return _dotted([(COMPUTED, True)], first, last), end
    parts, _ = name_at(piece, inside)
    return (_dotted(parts, first, last), end) if parts else None


def _is_concatenation(tokens: Sequence[Token]) -> bool:
    """Strings with || between them, and nothing that only a run would tell."""
    return (
        len(tokens) % 2 == 1
        and all(token.token_type in _STRINGS for token in tokens[::2])
        and all(token.token_type is TokenType.DPIPE for token in tokens[1::2])
    )


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


# Procedures of Spark that fill one table from another: their arguments by position, and how the same is said in SQL.
# https://iceberg.apache.org/docs/latest/spark-procedures/#table-migration
_PROCEDURES = {
    "SNAPSHOT": ("source_table", "table"),
    "ADD_FILES": ("table", "source_table"),
}


def called(piece: Piece) -> Piece | None:
    """CALL c.system.add_files(table => 'a', source_table => 'b') as INSERT INTO a SELECT * FROM b; None for others."""
    name, position = name_at(piece, 1)
    order = _PROCEDURES.get(name[-1][0].upper()) if len(name) > 1 and name[-2][0].lower() == "system" else None
    if order is None or piece.word(position) != "(":
        return None
    given: dict[str, str] = {}
    place = 0
    for at in range(position + 1, closed(piece, position)):
        token = piece.tokens[at]
        if token.token_type in _STRINGS and piece.word(at - 1) == "=>":
            given.setdefault(piece.word(at - 2).lower(), token.text)
        elif token.token_type in _STRINGS and place < len(order):
            given.setdefault(order[place], token.text)
            place += 1
    if not {"source_table", "table"} <= given.keys():
        return None
    made = _Made(piece.tokens[0])
    made.add((TokenType.INSERT, "INSERT"), (TokenType.INTO, "INTO"))
    made.keep(_dotted(_parts(given["table"]), made.near, made.near))
    made.add((TokenType.SELECT, "SELECT"), (TokenType.STAR, "*"), (TokenType.FROM, "FROM"))
    made.keep(_dotted(_parts(given["source_table"]), made.near, made.near))
    return Piece(made.tokens, piece.text, piece.source)


def with_scripts(piece: Piece) -> Piece:
    """Hive's rows through a script, which sqlglot mistakes, as SELECT TRANSFORM (a, b) USING 's' AS (c, d).

    https://cwiki.apache.org/confluence/display/Hive/LanguageManual+Transform: MAP and REDUCE are other words for
    SELECT TRANSFORM, and the names after AS need no brackets.
    """
    if not any(piece.tokens[at].token_type in _STRINGS for at in _usings(piece)):
        return piece
    made = _Made(piece.tokens[0])
    position = 0
    while position < len(piece.tokens):
        made.near = piece.tokens[position]
        using = _script_of(piece, position) if piece.word(position) in ("MAP", "REDUCE") else None
        if using is not None:
            made.add((TokenType.SELECT, "SELECT"), (TokenType.VAR, "TRANSFORM"), (TokenType.L_PAREN, "("))
            made.keep(piece.tokens[position + 1 : using])
            made.add((TokenType.R_PAREN, ")"))
            position = using
        made.keep(piece.tokens[position : position + 1])
        position += 1
        if piece.word(position - 1) == "USING" and piece.tokens[position : position + 1]:
            position = _named_rows(piece, position, made)
    return Piece(made.tokens, piece.text, piece.source)


def _usings(piece: Piece) -> list[int]:
    """The places after USING."""
    last = len(piece.tokens) - 1
    return [at + 1 for at, token in enumerate(piece.tokens) if token.token_type is TokenType.USING and at < last]


def _named_rows(piece: Piece, script: int, made: _Made) -> int:
    """Adds 'script' AS (a, b) for the 'script' AS a, b at that place; returns the place after it."""
    if (
        piece.tokens[script].token_type not in _STRINGS
        or piece.word(script + 1) != "AS"
        or piece.word(script + 2) in ("(", "SELECT", "WITH", "FROM")  # CREATE TABLE … USING 'format' AS SELECT …
    ):
        return script
    made.keep(piece.tokens[script : script + 2])
    made.add((TokenType.L_PAREN, "("))
    position = script + 2
    while position < len(piece.tokens):
        made.add((TokenType.VAR, piece.tokens[position].text))
        position += 1
        if piece.word(position) != ",":
            break
        made.add((TokenType.COMMA, ","))
        position += 1
    made.add((TokenType.R_PAREN, ")"))
    return position


def plain_words(piece: Piece) -> Piece | None:
    """The statement without words of one warehouse that name no table and no column; None when there are none.

    Spark's window(ts, …) as a function of any name: https://spark.apache.org/docs/latest/api/sql/#window
    MODEL m and TABLE t as arguments: https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-evaluate
    WATERMARK: https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-qry-select-watermark
    FOR SYSTEM_VERSION AS OF 5: https://iceberg.apache.org/docs/latest/hive/#timetravel
    """
    made = _Made(piece.tokens[0])
    position = 0
    while position < len(piece.tokens):
        made.near = token = piece.tokens[position]
        word, following = piece.word(position), piece.word(position + 1)
        if token.token_type is TokenType.WINDOW and following in ("(", "."):
            made.add((TokenType.VAR, token.text))
            position += 1
        elif word == "MODEL" and piece.word(position - 1) == "(" and following not in (",", ")", "."):
            made.add((TokenType.NULL, "NULL"))
            position = name_at(piece, position + 1)[1]
        elif word == "TABLE" and piece.word(position - 1) in ("(", ",") and name_at(piece, position + 1)[0]:
            made.add((TokenType.L_PAREN, "("), (TokenType.SELECT, "SELECT"), (TokenType.STAR, "*"))
            made.add((TokenType.FROM, "FROM"))
            end = name_at(piece, position + 1)[1]
            made.keep(piece.tokens[position + 1 : end])
            made.add((TokenType.R_PAREN, ")"))
            position = end
        elif word == "WATERMARK" and _after_delay(piece, position) > position:
            position = _after_delay(piece, position)
        elif word == "FOR" and following == "SYSTEM_VERSION":
            position += 5
        else:
            made.keep([token])
            position += 1
    same = len(made.tokens) == len(piece.tokens) and all(map(operator.is_, made.tokens, piece.tokens))
    return None if same else Piece(made.tokens, piece.text, piece.source)


def _after_delay(piece: Piece, start: int) -> int:
    """The place after WATERMARK x DELAY OF INTERVAL 10 MINUTES; `start` when it is something else."""
    for position in range(start, start + 12):
        if (piece.word(position), piece.word(position + 1)) == ("DELAY", "OF"):
            end = position + 4
            return end + (piece.word(end).rstrip("S") in ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"))
    return start


def _script_of(piece: Piece, start: int) -> int | None:
    """The place of the USING 'script' that belongs to the MAP or REDUCE at `start`."""
    depth = 0
    for position in range(start + 1, len(piece.tokens) - 1):
        kind = piece.tokens[position].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth < 0:
            return None
        if depth == 0 and kind is TokenType.USING:
            return position if piece.tokens[position + 1].token_type in _STRINGS else None
    return None


def plain_create(piece: Piece) -> Piece | None:
    """CREATE TABLE or VIEW with its name, the names of its columns and its query (or the table it copies), only.

    Every warehouse has clauses of its own between them (distribution, schedules, expectations, constraints), and
    new ones each year. None when there is no query, no copy and no file named.
    """
    if piece.word(0) != "CREATE":
        return None
    kind = next((at for at in range(1, min(len(piece.tokens), 9)) if piece.word(at) in ("TABLE", "VIEW")), None)
    if kind is None:
        return None
    start = kind + 1
    while piece.word(start) in ("IF", "NOT", "EXISTS"):
        start += 1
    name, after = name_at(piece, start)
    if not name:
        return None
    said = [piece.word(at) for at in range(1, kind)]
    made = _Made(piece.tokens[0])
    made.add((TokenType.CREATE, "CREATE"))
    if "EXTERNAL" in said and "AS" not in map(piece.word, range(after, len(piece.tokens))):
        return _outside(piece, made, (start, after))
    if _TEMPORARY & set(said):
        made.add((TokenType.TEMPORARY, "TEMPORARY"))
    made.keep(piece.tokens[kind : kind + 1])
    made.keep(piece.tokens[start:after])
    columns = _column_names(piece, after) if piece.word(after) == "(" else []
    resumed = _resumed(piece, after)
    if resumed is None:
        return None
    if piece.word(resumed) != "AS":  # CLONE or COPY
        made.keep(piece.tokens[resumed : name_at(piece, resumed + 1)[1]])
    elif "RECURSIVE" in said:
        made.recursive(columns, name[-1], piece.tokens[resumed + 1 :])
    else:
        made.bracketed(columns)
        made.keep(piece.tokens[resumed:])
    return Piece(made.tokens, piece.text, piece.source)


class _Made:
    """Tokens put together, those that nobody wrote at the place of `near`."""

    def __init__(self, near: Token) -> None:
        self.near = near
        self.tokens: list[Token] = []

    def add(self, *words: tuple[TokenType, str]) -> None:
        near = self.near
        self.tokens.extend(Token(kind, text, near.line, near.col, near.start, near.end) for kind, text in words)

    def keep(self, tokens: Sequence[Token]) -> None:
        self.tokens.extend(tokens)

    def bracketed(self, columns: Sequence[tuple[TokenType, str]]) -> None:
        for place, column in enumerate(columns):
            self.add((TokenType.COMMA, ",") if place else (TokenType.L_PAREN, "("), column)
        if columns:
            self.add((TokenType.R_PAREN, ")"))

    def recursive(
        self, columns: Sequence[tuple[TokenType, str]], name: tuple[str, bool], query: Sequence[Token]
    ) -> None:
        """A recursive view is a view of a recursive CTE of its own name."""
        own = (TokenType.IDENTIFIER if name[1] else TokenType.VAR, name[0])
        self.add((TokenType.ALIAS, "AS"), (TokenType.WITH, "WITH"), (TokenType.RECURSIVE, "RECURSIVE"), own)
        self.bracketed(columns)
        self.add((TokenType.ALIAS, "AS"), (TokenType.L_PAREN, "("))
        self.keep(query)
        self.add((TokenType.R_PAREN, ")"), (TokenType.SELECT, "SELECT"), (TokenType.STAR, "*"))
        self.add((TokenType.FROM, "FROM"), own)


def _resumed(piece: Piece, start: int) -> int | None:
    """The place of AS before a query, or of CLONE or COPY before a table, outside brackets."""
    depth = 0
    for position in range(start, len(piece.tokens) - 1):
        kind = piece.tokens[position].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        word, following = piece.word(position), piece.word(position + 1)
        if depth:
            continue
        if word == "AS" and following in ("SELECT", "WITH", "FROM", "("):
            return position
        if word == "CLONE" or (word == "COPY" and following != "GRANTS"):
            return position
    return None


def _column_names(piece: Piece, start: int) -> list[tuple[TokenType, str]]:
    """The first word of each item of the column list that opens at `start`."""
    names: list[tuple[TokenType, str]] = []
    depth = 0
    for position in range(start, closed(piece, start) - 1):
        token = piece.tokens[position]
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        depth += (token.token_type is TokenType.LT) - (token.token_type is TokenType.GT)
        begins = position == start or (depth == 1 and token.token_type is TokenType.COMMA)
        if begins and piece.word(position + 1) not in _NO_COLUMN:
            first = piece.tokens[position + 1]
            quoted = first.token_type is TokenType.IDENTIFIER
            names.append((TokenType.IDENTIFIER if quoted else TokenType.VAR, first.text))
    return names


def _outside(piece: Piece, made: _Made, name: tuple[int, int]) -> Piece | None:
    """https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language: files by OPTIONS."""
    for position in range(name[1], len(piece.tokens) - 1):
        if piece.word(position) == "OPTIONS" and piece.word(position + 1) == "(":
            made.add((TokenType.VAR, "EXTERNAL"), (TokenType.TABLE, "TABLE"))
            made.keep(piece.tokens[name[0] : name[1]])
            made.keep(piece.tokens[position : closed(piece, position + 1)])
            return Piece(made.tokens, piece.text, piece.source)
    return None


# Pipe operators that change some columns of a star, and the word that says so in a SELECT.
# https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
_PIPE_STARS = {"SET": "REPLACE", "DROP": "EXCEPT", "RENAME": "RENAME"}


def with_pipe_stars(piece: Piece) -> Piece:
    """`|> DROP a` as `|> SELECT * EXCEPT (a)`, `|> SET a = x` as `* REPLACE (x AS a)`, and RENAME."""
    if not any(token.token_type is TokenType.PIPE_GT for token in piece.tokens):
        return piece
    made = _Made(piece.tokens[0])
    position = 0
    while position < len(piece.tokens):
        made.keep(piece.tokens[position : position + 1])
        operator = piece.word(position + 1)
        position += 1
        if piece.tokens[position - 1].token_type is not TokenType.PIPE_GT or operator not in _PIPE_STARS:
            continue
        made.near = piece.tokens[position]
        kind = TokenType.EXCEPT if operator == "DROP" else TokenType.VAR
        kind = TokenType.REPLACE if operator == "SET" else kind
        made.add((TokenType.SELECT, "SELECT"), (TokenType.STAR, "*"), (kind, _PIPE_STARS[operator]))
        made.add((TokenType.L_PAREN, "("))
        for place, item in enumerate(_pipe_items(piece, position + 1)):
            made.add(*[(TokenType.COMMA, ",")] * bool(place))
            if operator == "SET" and len(item) > 2 and item[1].token_type is TokenType.EQ:
                made.keep(item[2:])
                made.add((TokenType.ALIAS, "AS"))
                made.keep(item[:1])
            else:
                made.keep(item)
            position += len(item) + 1
        made.add((TokenType.R_PAREN, ")"))
    return Piece(made.tokens, piece.text, piece.source)


def _pipe_items(piece: Piece, start: int) -> list[Sequence[Token]]:
    """The items between commas up to the next pipe, a bracket that closes more than it opened, or the end."""
    items: list[Sequence[Token]] = []
    depth = 0
    begin = start
    for position in range(start, len(piece.tokens) + 1):
        kind = piece.tokens[position].token_type if position < len(piece.tokens) else TokenType.PIPE_GT
        depth += (kind in (TokenType.L_PAREN, TokenType.L_BRACKET)) - (kind in (TokenType.R_PAREN, TokenType.R_BRACKET))
        ends = depth < 0 or (depth == 0 and kind is TokenType.PIPE_GT) or position == len(piece.tokens)
        if ends or (depth == 0 and kind is TokenType.COMMA):
            items.append(piece.tokens[begin:position])
            begin = position + 1
        if ends:
            break
    return items


def without_subscripts(piece: Piece) -> Piece:
    """`FROM t AS a, a.items[0].parts AS x` as `FROM t AS a, a.items.parts AS x`: the column read is the same.

    https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    """
    if not any(token.token_type is TokenType.L_BRACKET for token in piece.tokens):
        return piece
    kept: list[Token] = []
    in_from = [False]  # for each open bracket, whether a FROM clause goes on in it
    on_path = False
    position = 0
    while position < len(piece.tokens):
        token = piece.tokens[position]
        kind, word = token.token_type, piece.word(position)
        if on_path and kind is TokenType.L_BRACKET:
            position = _bracket_end(piece, position)
            continue
        if kind is TokenType.L_PAREN:
            in_from.append(False)
        elif kind is TokenType.R_PAREN and len(in_from) > 1:
            in_from.pop()
        in_from[-1] = word not in _AFTER_FROM and (in_from[-1] or word == "FROM")
        begins = word in ("FROM", "JOIN") or (kind is TokenType.COMMA and in_from[-1])
        on_path = begins or (on_path and kind in (TokenType.DOT, TokenType.VAR, TokenType.IDENTIFIER))
        kept.append(token)
        position += 1
    return Piece(kept, piece.text, piece.source) if len(kept) < len(piece.tokens) else piece


_AFTER_FROM = frozenset({"SELECT", "WHERE", "GROUP", "HAVING", "QUALIFY", "ORDER", "LIMIT", "UNION", "SET", "WHEN"})


def _bracket_end(piece: Piece, start: int) -> int:
    """The place after the square bracket that closes the one at `start`."""
    depth = 0
    for position in range(start, len(piece.tokens)):
        kind = piece.tokens[position].token_type
        depth += (kind is TokenType.L_BRACKET) - (kind is TokenType.R_BRACKET)
        if depth <= 0:
            return position + 1
    return len(piece.tokens)
