"""Statements in words that sqlglot stumbles over, in other words that it parses and that have the same lineage.

From one `Statement` to another. Nothing is looked up: clauses that move no data are left out. Each rule names the
vendor's page for its syntax.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.identifiers import parts_of
from mcpush.sql.tokens import Statement, TokenWriter


def rewritten(statement: Statement) -> Statement:
    """The statement without words that only sqlglot stumbles over; the same one when there are none."""
    first = statement.word(0)
    if first == "REPLACE":  # https://dev.mysql.com/doc/refman/8.4/en/replace.html: an INSERT that may replace rows
        made = TokenWriter(statement.tokens[0])
        made.write("INSERT")
        return statement.named([*made.tokens, *statement.tokens[1:]], statement.computed)
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
    """Where words stand that only say in which way a table is made."""
    drop = _pipeline_words(statement)
    if statement.has(1, "SNAPSHOT", "TABLE"):
        # https://cloud.google.com/bigquery/docs/table-snapshots-create
        drop.add(1)
    return drop


def _pipeline_words(statement: Statement) -> set[int]:
    """https://docs.databricks.com/aws/en/ldp/developer/sql-ref: CREATE OR REFRESH LIVE TABLE a AS … FROM LIVE.b.

    In these statements LIVE is no schema, but stands for the one that the pipeline writes to.
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
    if before_dots == named:  # else it is the alias of something
        drop.update(place for at in before_dots for place in (at, at + 1))
    return drop


def _clone_details(statement: Statement) -> set[int]:
    """https://docs.databricks.com/aws/en/sql/language-manual/delta-clone: DEEP CLONE t VERSION AS OF 3 …"""
    for position in range(2, len(statement)):
        if statement.word(position) in ("DEEP", "SHALLOW") and statement.word(position + 1) == "CLONE":
            return {position, *range(statement.name_at(position + 2)[1], len(statement))}
    return set()


def _view_details(statement: Statement) -> set[int]:
    """Hive's PARTITIONED ON (…) and PostgreSQL's WITH NO DATA on a view."""
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
    """Words between an INSERT's target and its query: T-SQL's hints, Hive's IF NOT EXISTS, Spark's USING format."""
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
    """Where the path stands in DIRECTORY USING csv OPTIONS ('path' '/out'); nowhere when it stands before USING."""
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
    """Redshift's REMOVE DUPLICATES as the clause it stands for; Oracle's WHERE and DELETE WHERE left out.

    https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html: duplicates are replaced, so the source's rows stay.
    https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf/MERGE.html
    """
    end = len(statement)
    if statement.has(end - 2, "REMOVE", "DUPLICATES"):
        made = TokenWriter(statement.tokens[-1])
        made.write("WHEN NOT MATCHED THEN INSERT *")
        return statement.with_tokens([*statement.tokens[:-2], *made.tokens])
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
    """T-SQL `SET a += b`: for lineage the same as `SET a = b` with a itself, which moves nothing."""
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

# Procedures of Spark that fill one table from another: their arguments by position, and how the same is said in SQL.
# https://iceberg.apache.org/docs/latest/spark-procedures/#table-migration
_PROCEDURES = {
    "SNAPSHOT": ("source_table", "table"),
    "ADD_FILES": ("table", "source_table"),
}


def called(statement: Statement) -> Statement | None:
    """CALL c.system.add_files(table => 'a', source_table => 'b') as INSERT INTO a SELECT * FROM b; None for others."""
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
    made = TokenWriter(statement.tokens[0])
    made.write("INSERT INTO")
    made.name(parts_of(given["table"]))
    made.write("SELECT * FROM")
    made.name(parts_of(given["source_table"]))
    return statement.with_tokens(made.tokens)


# -- queries -----------------------------------------------------------------------------------------------------


def with_scripts(statement: Statement) -> Statement:
    """Hive's rows through a script, which sqlglot mistakes, as SELECT TRANSFORM (a, b) USING 's' AS (c, d).

    https://cwiki.apache.org/confluence/display/Hive/LanguageManual+Transform: MAP and REDUCE are other words for
    SELECT TRANSFORM, and the names after AS need no brackets.
    """
    tokens = statement.tokens
    if not any(token.token_type is TokenType.USING and statement.is_string(at + 1) for at, token in enumerate(tokens)):
        return statement
    made = TokenWriter(tokens[0])
    position = 0
    while position < len(tokens):
        made.near = tokens[position]
        using = _script_of(statement, position) if statement.word(position) in ("MAP", "REDUCE") else None
        if using is not None:
            made.write("SELECT TRANSFORM (")
            made.keep(tokens[position + 1 : using])
            made.write(")")
            position = using
        made.keep(tokens[position : position + 1])
        position += 1
        if statement.word(position - 1) == "USING" and statement.is_string(position):
            position = _named_rows(statement, position, made)
    return statement.with_tokens(made.tokens)


def _script_of(statement: Statement, start: int) -> int | None:
    """The position of the USING 'script' that belongs to the MAP or REDUCE at `start`."""
    using = statement.find("USING", start=start + 1)
    return using if using is not None and statement.is_string(using + 1) else None


def _named_rows(statement: Statement, script: int, made: TokenWriter) -> int:
    """Adds 'script' AS (a, b) for the 'script' AS a, b at that position; returns the position after it."""
    if (
        statement.word(script + 1) != "AS"
        or statement.word(script + 2) in ("(", "SELECT", "WITH", "FROM")  # CREATE TABLE … USING 'format' AS SELECT …
    ):
        return script
    made.keep(statement.tokens[script : script + 2])
    position = script + 2
    names: list[tuple[str, bool]] = []
    while position < len(statement):
        names.append((statement.tokens[position].text, False))
        position += 1
        if statement.word(position) != ",":
            break
        position += 1
    made.names(names)
    return position


def plain_words(statement: Statement) -> Statement | None:
    """The statement without words of one warehouse that name no table and no column; None when there are none.

    Spark's window(ts, …) as a function of any name: https://spark.apache.org/docs/latest/api/sql/#window
    MODEL m and TABLE t as arguments: https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-evaluate
    WATERMARK: https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-qry-select-watermark
    FOR SYSTEM_VERSION AS OF 5: https://iceberg.apache.org/docs/latest/hive/#timetravel
    """
    made = TokenWriter(statement.tokens[0])
    position = 0
    while position < len(statement):
        made.near = token = statement.tokens[position]
        word, following = statement.word(position), statement.word(position + 1)
        if token.token_type is TokenType.WINDOW and following in ("(", "."):
            made.add(TokenType.VAR, token.text)
            position += 1
        elif word == "MODEL" and statement.word(position - 1) == "(" and following not in (",", ")", "."):
            made.write("NULL")
            position = statement.name_at(position + 1)[1]
        elif word == "TABLE" and statement.word(position - 1) in ("(", ",") and statement.name_at(position + 1)[0]:
            end = statement.name_at(position + 1)[1]
            made.write("( SELECT * FROM")
            made.keep(statement.tokens[position + 1 : end])
            made.write(")")
            position = end
        elif word == "WATERMARK" and _after_delay(statement, position) > position:
            position = _after_delay(statement, position)
        elif word == "FOR" and following == "SYSTEM_VERSION":
            position += 5
        else:
            made.keep([token])
            position += 1
    same = len(made.tokens) == len(statement) and all(map(operator.is_, made.tokens, statement.tokens))
    return None if same else statement.with_tokens(made.tokens)


def _after_delay(statement: Statement, start: int) -> int:
    """The position after WATERMARK x DELAY OF INTERVAL 10 MINUTES; `start` when it is something else."""
    for position in range(start, start + 12):
        if statement.has(position, "DELAY", "OF"):
            end = position + 4
            units = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR")
            return end + (statement.word(end).rstrip("S") in units)
    return start


# Pipe operators that change some columns of a star, and the word that says so in a SELECT.
# https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
_PIPE_STARS = {"SET": "REPLACE", "DROP": "EXCEPT", "RENAME": "RENAME"}


def with_pipe_stars(statement: Statement) -> Statement:
    """`|> DROP a` as `|> SELECT * EXCEPT (a)`, `|> SET a = x` as `* REPLACE (x AS a)`, and RENAME."""
    if not any(token.token_type is TokenType.PIPE_GT for token in statement.tokens):
        return statement
    made = TokenWriter(statement.tokens[0])
    position = 0
    while position < len(statement):
        made.keep(statement.tokens[position : position + 1])
        position += 1
        word = statement.word(position)
        if statement.kind(position - 1) is not TokenType.PIPE_GT or word not in _PIPE_STARS:
            continue
        made.near = statement.tokens[position]
        made.write(f"SELECT * {_PIPE_STARS[word]} (")
        end = statement.end_of_part(position + 1, TokenType.PIPE_GT)
        for begin, stop in statement.items(position + 1, end):
            made.write("," if begin > position + 1 else "")
            _add_pipe_item(made, statement.tokens[begin:stop], is_assignment=word == "SET")
        made.write(")")
        position = end
    return statement.with_tokens(made.tokens)


def _add_pipe_item(made: TokenWriter, item: Sequence[Token], is_assignment: bool) -> None:
    if is_assignment and len(item) > 2 and item[1].token_type is TokenType.EQ:
        made.keep(item[2:])
        made.write("AS")
        made.keep(item[:1])
    else:
        made.keep(item)


_AFTER_FROM = frozenset({"SELECT", "WHERE", "GROUP", "HAVING", "QUALIFY", "ORDER", "LIMIT", "UNION", "SET", "WHEN"})


def without_subscripts(statement: Statement) -> Statement:
    """`FROM t AS a, a.items[0].parts AS x` as `FROM t AS a, a.items.parts AS x`: the column read is the same.

    https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    """
    if not any(token.token_type is TokenType.L_BRACKET for token in statement.tokens):
        return statement
    kept: list[Token] = []
    in_from: set[int] = set()  # the brackets in which a FROM clause goes on
    on_path = False
    position = 0
    while position < len(statement):
        token, bracket = statement.tokens[position], statement.around[position]
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
