"""Reduces CREATE TABLE and CREATE VIEW statements that sqlglot cannot parse to the parts that lineage needs.

Every warehouse has its own clauses between the name and the query (distribution, schedules, expectations,
constraints), and adds new ones every year.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType

from mcpush.sql.tokens import Statement, TokenWriter

# First words of items in a column list that are not columns.
_NO_COLUMN = frozenset(
    {"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "INDEX", "KEY", "LIKE", "EXCLUDE", "PERIOD", "PARTITION"}
)
_TEMPORARY = frozenset({"TEMP", "TEMPORARY", "VOLATILE"})


def simplified_create(statement: Statement) -> Statement | None:
    """Reduce a CREATE TABLE or VIEW to its name, its column names, and its query or the table that it copies.

    None if the statement has no query, copies no table and reads no files.
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
    writer = TokenWriter(statement.tokens[0])
    writer.write("CREATE TEMPORARY" if _TEMPORARY & set(modifiers) else "CREATE")
    writer.keep(statement.tokens[kind : kind + 1])
    writer.keep(statement.tokens[start:after])
    columns = _column_names(statement, after) if statement.word(after) == "(" else []
    if statement.word(source) != "AS":  # CLONE or COPY
        writer.keep(statement.tokens[source : statement.name_at(source + 1)[1]])
    elif "RECURSIVE" in modifiers:
        _add_recursive(writer, statement.part(source + 1), name[-1], columns)
    else:
        writer.names(columns)
        writer.keep(statement.tokens[source:])
    return statement.with_tokens(writer.tokens)


def _add_recursive(
    writer: TokenWriter, query: Statement, name: tuple[str, bool], columns: list[tuple[str, bool]]
) -> None:
    """Write a recursive view as a view over a recursive CTE of the same name."""
    writer.write("AS WITH RECURSIVE")
    writer.name([name])
    writer.names(columns)
    writer.write("AS (")
    writer.keep(query.tokens)
    writer.write(") SELECT * FROM")
    writer.name([name])


def _source(statement: Statement, start: int) -> int | None:
    """The position of AS before a query, or of CLONE or COPY before a table, outside of brackets."""
    for position in statement.same_level(start):
        word, following = statement.word(position), statement.word(position + 1)
        if word == "AS" and following in ("SELECT", "WITH", "FROM", "("):
            return position
        if position < len(statement) - 1 and (word == "CLONE" or (word == "COPY" and following != "GRANTS")):
            return position
    return None


def _column_names(statement: Statement, start: int) -> list[tuple[str, bool]]:
    """The first word of each item of the column list that opens at `start`, and whether it is quoted."""
    names: list[tuple[str, bool]] = []
    angles = 0  # open angle brackets of a type that contains commas: ARRAY<STRUCT<a INT, b INT>>
    for begin, end in statement.items(start + 1, statement.after(start) - 1):
        if begin < end and angles == 0 and statement.word(begin) not in _NO_COLUMN:
            names.append((statement.tokens[begin].text, statement.kind(begin) is TokenType.IDENTIFIER))
        kinds = [token.token_type for token in statement.tokens[begin:end]]
        angles += kinds.count(TokenType.LT) - kinds.count(TokenType.GT)
    return names


def _stored_externally(statement: Statement, start: int, after: int) -> Statement | None:
    """External tables with OPTIONS: https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language."""
    for position in range(after, len(statement)):
        if statement.has(position, "OPTIONS", "("):
            writer = TokenWriter(statement.tokens[0])
            writer.write("CREATE EXTERNAL TABLE")
            writer.keep(statement.tokens[start:after])
            writer.keep(statement.tokens[position : statement.after(position + 1)])
            return statement.with_tokens(writer.tokens)
    return None
