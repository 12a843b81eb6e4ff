"""Rewrites statements that sqlglot cannot parse into equivalent ones with the same lineage.

Converts one `Statement` to another without any lookups, and removes clauses that move no data. Each rule links to the
vendor's documentation of the syntax.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.identifiers import parts_of
from mcpush.sql.tokens import Statement, TokenWriter


def rewritten(statement: Statement) -> Statement:
    """Remove or replace syntax that sqlglot cannot parse. Returns the same statement if there is none."""
    first = statement.word(0)
    if first == "REPLACE":  # https://dev.mysql.com/doc/refman/8.4/en/replace.html: an INSERT that can replace rows
        writer = TokenWriter(statement.tokens[0])
        writer.write("INSERT")
        return statement.named([*writer.tokens, *statement.tokens[1:]], statement.computed)
    if first in ("INSERT", "MERGE") and statement.has(1, "WITH", "SCHEMA"):
        # https://docs.databricks.com/aws/en/delta/update-schema: INSERT/MERGE WITH SCHEMA EVOLUTION INTO t
        statement = statement.without({1, 2, 3})
    if first == "INSERT":
        return statement.without(_insert_clauses(statement))
    if statement.has(0, "CREATE", "FLOW"):
        # https://docs.databricks.com/aws/en/ldp/developer/ldp-sql-ref-create-flow: … AS INSERT INTO t BY NAME query
        begin = statement.find("INSERT")
        if begin is None:
            return statement
        inserted = statement.part(begin)
        return inserted.without({2} if inserted.word(2) == "ONCE" else ())
    if first == "COPY":
        # https://docs.databricks.com/aws/en/sql/language-manual/delta-copy-into: COPY INTO t BY POSITION FROM …
        at = statement.name_at(statement.skip(1, "INTO"))[1]
        return statement.without({at, at + 1} if statement.has(at, "BY", "POSITION") else ())
    if first == "CREATE":
        return statement.without(_create_words(statement) | _clone_details(statement) | _view_details(statement))
    if first == "MERGE":
        statement = _plain_merge(statement)
    return _without_compound_assignment(statement)


# -- CREATE ------------------------------------------------------------------------------------------------------


def _create_words(statement: Statement) -> set[int]:
    """Positions of words that only describe how a table is created."""
    drop = _pipeline_words(statement)
    if statement.has(1, "SNAPSHOT", "TABLE"):
        # https://cloud.google.com/bigquery/docs/table-snapshots-create
        drop.add(1)
    return drop


def _pipeline_words(statement: Statement) -> set[int]:
    """https://docs.databricks.com/aws/en/ldp/developer/sql-ref: CREATE OR REFRESH LIVE TABLE a AS … FROM LIVE.b.

    In these statements LIVE is not a schema. It refers to the schema that the pipeline writes to.
    """
    drop: set[int] = set()
    for position in range(1, 8):
        word, following = statement.word(position), statement.word(position + 1)
        if word == "OR" and following == "REFRESH":
            drop |= {position, position + 1}
        elif word in ("LIVE", "PRIVATE") and following in ("TABLE", "VIEW", "STREAMING", "MATERIALIZED"):
            drop.add(position)
    if not drop:
        return drop
    named = [at for at in range(3, len(statement)) if statement.word(at) == "LIVE" and at not in drop]
    before_dots = [at for at in named if statement.word(at + 1) == "." and statement.word(at - 1) != "."]
    if before_dots == named:  # otherwise LIVE is an alias
        drop.update(place for at in before_dots for place in (at, at + 1))
    return drop


def _clone_details(statement: Statement) -> set[int]:
    """https://docs.databricks.com/aws/en/sql/language-manual/delta-clone: DEEP CLONE t VERSION AS OF 3 …"""
    for position in range(2, len(statement)):
        if statement.word(position) in ("DEEP", "SHALLOW") and statement.word(position + 1) == "CLONE":
            return {position, *range(statement.name_at(position + 2)[1], len(statement))}
    return set()


def _view_details(statement: Statement) -> set[int]:
    """Positions of Hive's PARTITIONED ON (…) and PostgreSQL's WITH NO DATA on a view."""
    if "VIEW" not in statement.words(1, 6):
        return set()
    drop: set[int] = set()
    for position in range(3, 60):
        if statement.has(position, "PARTITIONED", "ON"):
            drop.update(range(position, statement.after(position + 2)))
            break
    last = len(statement) - 3
    if statement.has(last, "WITH", "NO", "DATA"):
        drop.update(range(last, last + 3))
    return drop


# -- INSERT ------------------------------------------------------------------------------------------------------


def _insert_clauses(statement: Statement) -> set[int]:
    """Positions of clauses between INSERT target and query: T-SQL hints, Hive IF NOT EXISTS, Spark USING format."""
    drop: set[int] = set()
    for position in range(1, min(len(statement), 40)):
        word = statement.word(position)
        if word in ("SELECT", "VALUES", "FROM") or (word == "WITH" and statement.word(position + 1) != "("):
            break
        if word == "WITH":  # https://learn.microsoft.com/en-us/sql/t-sql/queries/hints-transact-sql-table
            drop.update(range(position, statement.after(position + 1)))
        elif statement.has(position, "IF", "NOT", "EXISTS"):
            drop.update(range(position, position + 3))
        elif word == "USING" and "DIRECTORY" in (statement.word(position - 1), statement.word(position - 2)):
            # https://spark.apache.org/docs/latest/sql-ref-syntax-dml-insert-overwrite-directory.html
            drop.update(range(position, _query_start(statement, position)))
            drop -= _path_option(statement, position)
        elif statement.has(position, "REPLACE", "ON"):
            return drop | _replaced_rows(statement, position)
    return drop


def _path_option(statement: Statement, position: int) -> set[int]:
    """Position of the path in DIRECTORY USING csv OPTIONS ('path' '/out'); empty if the path precedes USING."""
    end = _query_start(statement, position) if statement.word(position - 1) == "DIRECTORY" else position
    for place in range(position, end):
        if statement.tokens[place].text.lower() == "path" and statement.is_string(place + 1):
            return {place + 1}
    return set()


def _replaced_rows(statement: Statement, position: int) -> set[int]:
    """https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-dml-insert-into: REPLACE ON … (query) s."""
    start = _query_start(statement, position)
    start -= statement.word(start - 1) == "("
    end = statement.after(start) if statement.word(start) == "(" else len(statement)
    _, named = statement.name_at(statement.skip(1, "INTO", "TABLE"))
    return {*range(named, start), *range(end, len(statement))}


def _query_start(statement: Statement, position: int) -> int:
    while position < len(statement) and statement.word(position) not in ("SELECT", "WITH", "FROM", "TABLE"):
        position += 1
    return position


# -- MERGE and UPDATE --------------------------------------------------------------------------------------------


def _plain_merge(statement: Statement) -> Statement:
    """Replace Redshift's REMOVE DUPLICATES with the equivalent clause; remove Oracle's WHERE and DELETE WHERE.

    https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html: duplicates are replaced with the source's rows.
    https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf/MERGE.html
    """
    end = len(statement)
    if statement.has(end - 2, "REMOVE", "DUPLICATES"):
        writer = TokenWriter(statement.tokens[-1])
        writer.write("WHEN NOT MATCHED THEN INSERT *")
        return statement.with_tokens([*statement.tokens[:-2], *writer.tokens])
    drop: set[int] = set()
    when = statement.find("WHEN")
    while when is not None:
        following = statement.find("WHEN", start=when + 1)
        where = statement.find("WHERE", start=when)
        if where is not None and where < (following or end):
            start = where - (statement.word(where - 1) == "DELETE")
            drop.update(range(start, following or end))
        when = following
    return statement.without(drop)


def _without_compound_assignment(statement: Statement) -> Statement:
    """Rewrite T-SQL `SET a += b` as `SET a = b`. The lineage is the same: reading a itself adds no edge."""
    if statement.word(0) not in ("UPDATE", "MERGE", "WITH"):
        return statement
    arithmetic = (TokenType.PLUS, TokenType.DASH, TokenType.STAR, TokenType.SLASH)
    pairs = zip(statement.tokens, statement.tokens[1:], strict=False)
    return statement.without(
        [
            position
            for position, (token, following) in enumerate(pairs)
            if token.token_type in arithmetic
            and following.token_type is TokenType.EQ
            and following.start == token.end + 1
        ]
    )


# -- CALL --------------------------------------------------------------------------------------------------------

# Spark procedures that fill one table from another, and the order of their positional arguments.
# https://iceberg.apache.org/docs/latest/spark-procedures/#table-migration
_PROCEDURES = {
    "SNAPSHOT": ("source_table", "table"),
    "ADD_FILES": ("table", "source_table"),
}


def call_as_insert(statement: Statement) -> Statement | None:
    """Rewrite CALL c.system.add_files(table => 'a', source_table => 'b') as INSERT INTO a SELECT * FROM b.

    None for other calls.
    """
    name, position = statement.name_at(1)
    order = _PROCEDURES.get(name[-1][0].upper()) if len(name) > 1 and name[-2][0].lower() == "system" else None
    if order is None or statement.word(position) != "(":
        return None
    given: dict[str, str] = {}
    place = 0
    for at in range(position + 1, statement.after(position)):
        if statement.is_string(at) and statement.word(at - 1) == "=>":
            given.setdefault(statement.word(at - 2).lower(), statement.tokens[at].text)
        elif statement.is_string(at) and place < len(order):
            given.setdefault(order[place], statement.tokens[at].text)
            place += 1
    if not {"source_table", "table"} <= given.keys():
        return None
    writer = TokenWriter(statement.tokens[0])
    writer.write("INSERT INTO")
    writer.name(parts_of(given["table"]))
    writer.write("SELECT * FROM")
    writer.name(parts_of(given["source_table"]))
    return statement.with_tokens(writer.tokens)


# -- queries -----------------------------------------------------------------------------------------------------


def with_scripts(statement: Statement) -> Statement:
    """Rewrite Hive script clauses, which sqlglot misparses, as SELECT TRANSFORM (a, b) USING 's' AS (c, d).

    https://cwiki.apache.org/confluence/display/Hive/LanguageManual+Transform: MAP and REDUCE are synonyms for
    SELECT TRANSFORM, and the names after AS do not need brackets.
    """
    tokens = statement.tokens
    if not any(token.token_type is TokenType.USING and statement.is_string(at + 1) for at, token in enumerate(tokens)):
        return statement
    writer = TokenWriter(tokens[0])
    position = 0
    while position < len(tokens):
        writer.near = tokens[position]
        using = _script_of(statement, position) if statement.word(position) in ("MAP", "REDUCE") else None
        if using is not None:
            writer.write("SELECT TRANSFORM (")
            writer.keep(tokens[position + 1 : using])
            writer.write(")")
            position = using
        writer.keep(tokens[position : position + 1])
        position += 1
        if statement.word(position - 1) == "USING" and statement.is_string(position):
            position = _named_rows(statement, position, writer)
    return statement.with_tokens(writer.tokens)


def _script_of(statement: Statement, start: int) -> int | None:
    """The position of the USING 'script' that belongs to the MAP or REDUCE at `start`."""
    using = statement.find("USING", start=start + 1)
    return using if using is not None and statement.is_string(using + 1) else None


def _named_rows(statement: Statement, script: int, writer: TokenWriter) -> int:
    """Write the 'script' AS a, b at that position as 'script' AS (a, b). Returns the position after it."""
    if (
        statement.word(script + 1) != "AS"
        or statement.word(script + 2) in ("(", "SELECT", "WITH", "FROM")  # CREATE TABLE … USING 'format' AS SELECT …
    ):
        return script
    writer.keep(statement.tokens[script : script + 2])
    position = script + 2
    names: list[tuple[str, bool]] = []
    while position < len(statement):
        names.append((statement.tokens[position].text, False))
        position += 1
        if statement.word(position) != ",":
            break
        position += 1
    writer.names(names)
    return position


def without_vendor_syntax(statement: Statement) -> Statement | None:
    """Remove vendor-specific syntax that names no table or column. Returns None if there is none.

    Spark's window(ts, …), rewritten as an ordinary function: https://spark.apache.org/docs/latest/api/sql/#window
    MODEL m and TABLE t as arguments: https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-evaluate
    WATERMARK: https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-qry-select-watermark
    FOR SYSTEM_VERSION AS OF 5: https://iceberg.apache.org/docs/latest/hive/#timetravel
    """
    writer = TokenWriter(statement.tokens[0])
    position = 0
    while position < len(statement):
        writer.near = token = statement.tokens[position]
        word, following = statement.word(position), statement.word(position + 1)
        if token.token_type is TokenType.WINDOW and following in ("(", "."):
            writer.add(TokenType.VAR, token.text)
            position += 1
        elif word == "MODEL" and statement.word(position - 1) == "(" and following not in (",", ")", "."):
            writer.write("NULL")
            position = statement.name_at(position + 1)[1]
        elif word == "TABLE" and statement.word(position - 1) in ("(", ",") and statement.name_at(position + 1)[0]:
            end = statement.name_at(position + 1)[1]
            writer.write("( SELECT * FROM")
            writer.keep(statement.tokens[position + 1 : end])
            writer.write(")")
            position = end
        elif word == "WATERMARK" and _after_delay(statement, position) > position:
            position = _after_delay(statement, position)
        elif word == "FOR" and following == "SYSTEM_VERSION":
            position += 5
        else:
            writer.keep([token])
            position += 1
    same = len(writer.tokens) == len(statement) and all(map(operator.is_, writer.tokens, statement.tokens))
    return None if same else statement.with_tokens(writer.tokens)


def _after_delay(statement: Statement, start: int) -> int:
    """The position after WATERMARK x DELAY OF INTERVAL 10 MINUTES; `start` if the syntax does not match."""
    for position in range(start, start + 12):
        if statement.has(position, "DELAY", "OF"):
            end = position + 4
            units = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR")
            return end + (statement.word(end).rstrip("S") in units)
    return start


# Pipe operators that change some columns of a star, and the equivalent keyword in a SELECT.
# https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
_PIPE_STARS = {"SET": "REPLACE", "DROP": "EXCEPT", "RENAME": "RENAME"}


def with_pipe_stars(statement: Statement) -> Statement:
    """Rewrite `|> DROP a` as `|> SELECT * EXCEPT (a)`, `|> SET a = x` as `* REPLACE (x AS a)`, and also RENAME."""
    if not any(token.token_type is TokenType.PIPE_GT for token in statement.tokens):
        return statement
    writer = TokenWriter(statement.tokens[0])
    position = 0
    while position < len(statement):
        writer.keep(statement.tokens[position : position + 1])
        position += 1
        word = statement.word(position)
        if statement.kind(position - 1) is not TokenType.PIPE_GT or word not in _PIPE_STARS:
            continue
        writer.near = statement.tokens[position]
        writer.write(f"SELECT * {_PIPE_STARS[word]} (")
        end = statement.end_of_part(position + 1, TokenType.PIPE_GT)
        for begin, stop in statement.items(position + 1, end):
            writer.write("," if begin > position + 1 else "")
            _add_pipe_item(writer, statement.tokens[begin:stop], is_assignment=word == "SET")
        writer.write(")")
        position = end
    return statement.with_tokens(writer.tokens)


def _add_pipe_item(writer: TokenWriter, item: Sequence[Token], is_assignment: bool) -> None:
    if is_assignment and len(item) > 2 and item[1].token_type is TokenType.EQ:
        writer.keep(item[2:])
        writer.write("AS")
        writer.keep(item[:1])
    else:
        writer.keep(item)


_AFTER_FROM = frozenset({"SELECT", "WHERE", "GROUP", "HAVING", "QUALIFY", "ORDER", "LIMIT", "UNION", "SET", "WHEN"})


def without_subscripts(statement: Statement) -> Statement:
    """Rewrite `FROM t AS a, a.items[0].parts AS x` as `FROM t AS a, a.items.parts AS x`, which reads the same column.

    https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    """
    if not any(token.token_type is TokenType.L_BRACKET for token in statement.tokens):
        return statement
    kept: list[Token] = []
    in_from: set[int] = set()  # brackets that enclose an open FROM clause
    on_path = False
    position = 0
    while position < len(statement):
        token, bracket = statement.tokens[position], statement.enclosing[position]
        kind, word = token.token_type, statement.word(position)
        if on_path and kind is TokenType.L_BRACKET:
            position = statement.after(position)
            continue
        if word == "FROM":
            in_from.add(bracket)
        elif word in _AFTER_FROM:
            in_from.discard(bracket)
        begins = word in ("FROM", "JOIN") or (kind is TokenType.COMMA and bracket in in_from)
        on_path = begins or (on_path and kind in (TokenType.DOT, TokenType.VAR, TokenType.IDENTIFIER))
        kept.append(token)
        position += 1
    return statement.with_tokens(kept) if len(kept) < len(statement) else statement
