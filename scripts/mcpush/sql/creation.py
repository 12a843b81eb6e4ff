"""CREATE TABLE and CREATE VIEW cut down to what lineage needs, for those that sqlglot does not parse.

Every warehouse has clauses of its own between the name and the query (distribution, schedules, expectations,
constraints), and new ones each year.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType

from mcpush.sql.tokens import Statement, TokenWriter

# What an item of a column list may begin with and not be a column.
_NO_COLUMN = frozenset(
    {"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "INDEX", "KEY", "LIKE", "EXCLUDE", "PERIOD", "PARTITION"}
)
_TEMPORARY = frozenset({"TEMP", "TEMPORARY", "VOLATILE"})


def plain_create(statement: Statement) -> Statement | None:
    """CREATE TABLE or VIEW with its name, the names of its columns and its query (or the table it copies), only.

    None when there is no query, no copy and no file named.
    """
    if statement.word(0) != "CREATE":
        return None
    kind = next((at for at in range(1, 9) if statement.word(at) in ("TABLE", "VIEW")), None)
    if kind is None:
        return None
    start = statement.skip(kind + 1, "IF", "NOT", "EXISTS")
    name, after = statement.name_at(start)
    if not name:
        return None
    modifiers = statement.words(1, kind)
    if "EXTERNAL" in modifiers and "AS" not in statement.words(after):
        return _stored_externally(statement, start, after)
    source = _source(statement, after)
    if source is None:
        return None
    made = TokenWriter(statement.tokens[0])
    made.write("CREATE TEMPORARY" if _TEMPORARY & set(modifiers) else "CREATE")
    made.keep(statement.tokens[kind : kind + 1])
    made.keep(statement.tokens[start:after])
    columns = _column_names(statement, after) if statement.word(after) == "(" else []
    if statement.word(source) != "AS":  # CLONE or COPY
        made.keep(statement.tokens[source : statement.name_at(source + 1)[1]])
    elif "RECURSIVE" in modifiers:
        _add_recursive(made, statement.part(source + 1), name[-1], columns)
    else:
        made.names(columns)
        made.keep(statement.tokens[source:])
    return statement.with_tokens(made.tokens)


def _add_recursive(
    made: TokenWriter, query: Statement, name: tuple[str, bool], columns: list[tuple[str, bool]]
) -> None:
    """A recursive view is a view of a recursive CTE of its own name."""
    made.write("AS WITH RECURSIVE")
    made.name([name])
    made.names(columns)
    made.write("AS (")
    made.keep(query.tokens)
    made.write(") SELECT * FROM")
    made.name([name])


def _source(statement: Statement, start: int) -> int | None:
    """The position of AS before a query, or of CLONE or COPY before a table, outside brackets."""
    for position in statement.along(start):
        word, following = statement.word(position), statement.word(position + 1)
        if word == "AS" and following in ("SELECT", "WITH", "FROM", "("):
            return position
        if position < len(statement) - 1 and (word == "CLONE" or (word == "COPY" and following != "GRANTS")):
            return position
    return None


def _column_names(statement: Statement, start: int) -> list[tuple[str, bool]]:
    """The first word of each item of the column list that opens at `start`, with whether it is quoted."""
    names: list[tuple[str, bool]] = []
    angles = 0  # of a type that goes on over commas: ARRAY<STRUCT<a INT, b INT>>
    for begin, end in statement.items(start + 1, statement.after(start) - 1):
        if begin < end and angles == 0 and statement.word(begin) not in _NO_COLUMN:
            names.append((statement.tokens[begin].text, statement.kind(begin) is TokenType.IDENTIFIER))
        kinds = [token.token_type for token in statement.tokens[begin:end]]
        angles += kinds.count(TokenType.LT) - kinds.count(TokenType.GT)
    return names


def _stored_externally(statement: Statement, start: int, after: int) -> Statement | None:
    """https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language: files by OPTIONS."""
    for position in range(after, len(statement)):
        if statement.has(position, "OPTIONS", "("):
            made = TokenWriter(statement.tokens[0])
            made.write("CREATE EXTERNAL TABLE")
            made.keep(statement.tokens[start:after])
            made.keep(statement.tokens[position : statement.after(position + 1)])
            return statement.with_tokens(made.tokens)
    return None
