"""Splits a script into statements, including BEGIN … END blocks, procedure and task bodies, and EXECUTE IMMEDIATE.

Tokenizes SQL text with sqlglot and yields one `Statement` per statement, without the keywords of the procedural
language. A statement that cannot be read does not affect the others. A text that cannot be tokenized raises
sqlglot.errors.TokenError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.tokens import STRINGS, Statement


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# SQL nested in strings (a procedure that executes a string that defines a task …). Deeper levels are ignored.
MAX_NESTED_TEXTS = 6
# Maximum number of control clauses before one statement (IF … THEN IF … THEN …).
MAX_WRAPPINGS = 100

STARTERS = _words(
    """
    ALTER CACHE COPY CREATE DELETE DROP EXPORT FROM INSERT LOAD MERGE REPLACE SEL SELECT TABLE TRUNCATE UNLOAD
    UPDATE UPSERT USE VALUES WITH
    """
)

# First words of statements that never move data between tables.
NO_LINEAGE_VERBS = _words(
    """
    ABORT ADD ANALYSE ANALYZE ASSERT ATTACH AWAIT BREAK CALL CANCEL CLEAR CLOSE COMMENT COMMIT CONTINUE CONVERT
    DEALLOCATE DECLARE DELIMITER DENY DESC DESCRIBE DETACH DFS DISCARD EXIT EXPLAIN FETCH FSCK GET GO GRANT ITERATE
    KILL LEAVE LET LIST LISTEN LOCK LS MSCK NOTIFY NULL OPEN OPTIMIZE PERFORM PRAGMA PRINT PUT RAISE REFRESH REINDEX
    RELOAD REMOVE REORG REPAIR RESET RESTORE RETURN REVOKE RM ROLLBACK SAVEPOINT SET SHOW SIGNAL START THROW UNCACHE
    UNDROP UNSET UNTIL VACUUM WAITFOR
    """
)

_CONTROL = _words("BEGIN CASE ELSE ELSEIF ELSIF END EXCEPTION EXEC EXECUTE FOR IF LOOP MERGE REPEAT THEN WHEN WHILE")
# First words of a statement in brackets that might do more than read.
_MOVING = _words("COPY CREATE DELETE EXEC EXECUTE INSERT MERGE TRUNCATE UPDATE WITH")
_TRANSACTION = _words("TRANSACTION TRAN WORK ISOLATION DEFERRED IMMEDIATE EXCLUSIVE READ")
# Languages whose procedure bodies are not SQL.
_FOREIGN = _words("PYTHON JAVASCRIPT JAVA SCALA JS")
_SQL_IN_BODIES = ("INSERT INTO", "MERGE INTO", "CREATE ", "UPDATE ", "SELECT ", "COPY INTO", "WRITE.", "SAVE_AS_TABLE")
_MODIFIERS = _words(
    """
    ALTER DYNAMIC EDITIONABLE EVENT EXTERNAL FORCE GLOBAL HYBRID ICEBERG INTERACTIVE LIVE LOCAL MATERIALIZED
    MULTISET NO OR PRIVATE RECURSIVE REFRESH REPLACE SECURE SET SNAPSHOT STREAMING TEMP TEMPORARY TRANSIENT UNLOGGED
    VOLATILE
    """
)
# First words of objects that CREATE accepts but that have no rows (ROW ACCESS POLICY, STORAGE CREDENTIAL, …).
_NO_DATA = _words(
    """
    ASSIGNMENT BLOOMFILTER CAPACITY CATALOG CONNECTION CREDENTIAL EXTENSION GROUP INDEX INTEGRATION LOCATION MASKING
    NAMESPACE NETWORK NOTIFICATION POLICY RECIPIENT RESERVATION RESOURCE ROLE ROW SEARCH SECRET SEQUENCE SERVER SHARE
    STORAGE TAG UNIQUE USER VECTOR VOLUME WAREHOUSE
    """
)
# In a script without semicolons (T-SQL), a statement starts with one of these words at the start of a line.
_LINE_STARTERS = _words(
    """
    ALTER CREATE DECLARE DELETE DROP EXEC INSERT MERGE SELECT SET TRUNCATE UPDATE WITH
    """
)
# First words of what can follow an END, or the condition of an IF without THEN.
_INNER_STARTERS = (*sorted(STARTERS - {"FROM", "TABLE", "VALUES", "REPLACE"}), "BEGIN", "ELSE")


def statements(sql: str, dialect: Dialect, depth: int = 0) -> Iterator[Statement]:
    """The statements of a script in order. Raises TokenError if the text cannot be tokenized."""
    if depth > MAX_NESTED_TEXTS:
        return
    declaring = False
    for statement in split(dialect.tokenize(sql), sql):
        if declaring and _is_declaration(statement):
            yield from _unwrap(_bracketed(statement) or statement.part(0, 0), dialect, depth)
        else:
            declaring = _begins_declarations(statement)
            yield from _unwrap(statement, dialect, depth)


def split(tokens: Sequence[Token], text: str) -> Iterator[Statement]:
    """Split a text at its semicolons."""
    start = 0
    for position, token in enumerate(tokens):
        if token.token_type is TokenType.SEMICOLON:
            yield Statement(tokens[start:position], text)
            start = position + 1
    yield Statement(tokens[start:], text)


def _begins_declarations(statement: Statement) -> bool:
    """Whether more declarations can follow: a DECLARE, in a procedure or alone, without the BEGIN that ends it."""
    if statement.word(0) not in ("DECLARE", "CREATE"):
        return False
    words = set(statement.words())
    return "DECLARE" in words and "BEGIN" not in words


def _is_declaration(statement: Statement) -> bool:
    """Whether a statement of a declaration section is a name and a type: `rs RESULTSET`, `n NUMBER(38, 0) := 3`."""
    word = statement.word(0)
    if len(statement) < 2 or word in STARTERS or word in NO_LINEAGE_VERBS or word in _CONTROL:
        return False
    words = set(statement.words())
    return (word[:1].isalpha() or word[:1] in ("", "_")) and statement.word(1) != ":" and "BEGIN" not in words


def _bracketed(statement: Statement) -> Statement | None:
    """The statement in `rs := (INSERT …)`, `LET rs RESULTSET := ASYNC (…)` and `ASYNC (…)`, if it can move data.

    https://docs.snowflake.com/en/developer-guide/snowflake-scripting/asynchronous-child-jobs
    """
    for position in range(min(len(statement) - 2, 12)):
        if statement.kind(position) is not TokenType.L_PAREN:
            continue
        before = statement.word(position - 1)
        if before not in (":=", "DEFAULT", "ASYNC") or statement.word(position + 1) not in _MOVING:
            return None
        last = len(statement) - 1
        return statement.part(position + 1, last if statement.kind(last) is TokenType.R_PAREN else None)
    return None


def _without_variables(statement: Statement, anywhere: bool) -> Statement:
    """Remove the INTO of PL/pgSQL's SELECT … INTO a, b …, which assigns variables.

    Unless `anywhere`, removes it only directly after SELECT, where no other language allows it.

    https://www.postgresql.org/docs/current/plpgsql-statements.html#PLPGSQL-STATEMENTS-SQL-ONEROW
    """
    into = statement.find("INTO", start=1) if statement.word(0) in ("SELECT", "WITH") else None
    if into is None or not (anywhere or into == 1) or statement.find("INSERT", start=1) is not None:
        return statement
    end = into + 1 + (statement.word(into + 1) == "STRICT")
    while statement.word(end + 1) in (".", ","):
        end += 2
    return statement.with_tokens([*statement.tokens[:into], *statement.tokens[end + 1 :]])


def is_use(statement: Statement) -> bool:
    """Whether the statement changes the session's defaults.

    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-set-catalog: SET CATALOG is USE CATALOG.
    https://cloud.google.com/bigquery/docs/reference/system-variables: SET @@dataset_id = 'd'
    """
    if statement.word(0) == "RESET":
        return search_path(statement) is not None
    if statement.word(0) != "SET":
        return statement.word(0) == "USE"
    if statement.has(1, "@", "@"):
        return statement.word(3) in ("DATASET_ID", "DATASET_PROJECT_ID")
    sets_catalog = statement.word(1) == "CATALOG" and len(statement) > 2 and statement.word(2) != "="
    return sets_catalog or search_path(statement) is not None


def search_path(statement: Statement) -> Sequence[Token] | None:
    """The schemas of SET search_path TO …, as written; empty for RESET; None for other statements.

    https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
    """
    if statement.word(0) == "RESET":  # the tokenizer can return the rest as one string
        return [] if [token.text.upper() for token in statement.tokens[1:]] == ["SEARCH_PATH"] else None
    start = statement.skip(1, "SESSION", "LOCAL")
    if not statement.has(0, "SET") or not statement.has(start, "SEARCH_PATH"):
        return None
    if statement.word(start + 1) not in ("TO", "="):
        return None
    return [token for token in statement.tokens[start + 2 :] if token.token_type is not TokenType.COMMA]


def use_statements(sql: str, dialect: Dialect) -> list[Statement]:
    """The statements of a text that change the session's defaults, except those in a procedure body.

    Empty if the text cannot be tokenized.
    """
    try:
        tokens = dialect.tokenize(sql)
    except TokenError:
        return []
    found: list[Statement] = []
    for statement in split(tokens, sql):
        if statement.word(0) == "BEGIN":
            statement = statement.part(1)
        if statement.word(0) == "CREATE" and {"PROCEDURE", "TASK"} & set(statement.words(1, 6)):
            break
        if is_use(statement):
            found.append(statement)
    return found


def _unwrap(statement: Statement, dialect: Dialect, depth: int) -> Iterator[Statement]:
    """Strip the procedural keywords before a statement. Yields the statements inside."""
    for _ in range(MAX_WRAPPINGS):
        if not statement.tokens:
            return
        word = statement.word(0)
        payload = _payload(statement)
        if payload is not None and word not in ("EXECUTE", "EXEC"):
            yield from _command_statements(statement, word, payload, dialect, depth)
            return
        if word in ("EXECUTE", "EXEC"):
            text = _executed(statement, dialect)
            if text:
                yield from statements(text, dialect, depth + 1)
            elif text is None:
                yield statement  # computed at run time: the caller reports it
            return
        if word == "CREATE" or _contains_statements(statement):
            yield from _created(statement, dialect, depth)
            return
        if is_use(statement):
            yield statement
            return
        inner = _bracketed(statement)
        if inner is not None:
            statement = inner
            continue
        statement = _without_variables(statement, anywhere=False)
        if word == "FOR":
            yield from _loop_query(statement)
        rest = _after_control_word(statement, word)
        if rest is None or word == "CALL" or (word in NO_LINEAGE_VERBS and _pipes_result(statement)):
            yield statement
            return
        statement = statement.part(rest)
    yield statement


def _loop_query(statement: Statement) -> Iterator[Statement]:
    """The query that a loop iterates over: FOR r IN (SELECT …) DO, FOR r AS SELECT … DO.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#for-in
    https://docs.databricks.com/aws/en/sql/language-manual/control-flow/for-stmt
    """
    begin = statement.find("IN", "AS", start=1)
    end = statement.find("DO", "LOOP", start=1)
    if begin is None or end is None:
        return
    query = statement.part(begin + 1, end)
    if query.word(0) in ("SELECT", "WITH") or (query.word(0) == "(" and query.word(1) in ("SELECT", "WITH")):
        yield query


def _command_statements(
    statement: Statement, word: str, payload: str, dialect: Dialect, depth: int
) -> Iterator[Statement]:
    """The statements in `payload`: the tokenizer returns the rest of a statement as one string after a command word."""
    inner = Statement(dialect.tokenize(payload), payload)
    if word in ("CALL", "UNLOAD"):
        yield Statement([statement.tokens[0], *inner.tokens], payload, f"{word} {payload}")
    elif word in ("ELSEIF", "ELSIF", "EXCEPTION", "WHILE", "WHEN"):
        begin = inner.find("THEN", "DO", "LOOP")
        if begin is not None:
            yield from _unwrap(inner.part(begin + 1), dialect, depth)
    elif word == "PREPARE" and (body := _find_body(inner, 0)) is not None:
        # https://docs.aws.amazon.com/redshift/latest/dg/r_PREPARE.html: PREPARE p (int) AS statement
        yield from _unwrap(inner.part(body), dialect, depth)
    elif word == "DO" and inner.is_string(0):
        yield from statements(inner.tokens[0].text, dialect, depth + 1)
    elif word in ("BEGIN", "ELSE", "LOOP", "REPEAT", "THEN"):
        yield from statements(payload, dialect, depth + 1)
    elif (word.split()[0] not in NO_LINEAGE_VERBS and word != "END") or _pipes_result(inner) or is_use(statement):
        yield statement  # the caller applies or reports it


def _pipes_result(statement: Statement) -> bool:
    """Whether a result is piped into a statement that moves data: SHOW … ->> INSERT INTO t SELECT … FROM $1.

    https://docs.snowflake.com/en/sql-reference/operators-flow
    """
    places = (at for at, token in enumerate(statement.tokens) if token.token_type is TokenType.DARROW)
    return any(statement.word(at + 1) in ("INSERT", "CREATE", "MERGE", "COPY", "UPDATE", "DELETE") for at in places)


def flow_parts(statement: Statement) -> list[Statement]:
    """The separate statements of a chain `a ->> b ->> c`; the statement itself if it is not a chain.

    https://docs.snowflake.com/en/sql-reference/operators-flow
    """
    arrows = [at for at, token in enumerate(statement.tokens) if token.token_type is TokenType.DARROW]
    if not arrows or statement.word(0) in NO_LINEAGE_VERBS:
        return [statement]
    bounds = zip([0, *(at + 1 for at in arrows)], [*arrows, len(statement)], strict=True)
    return [statement.part(begin, end) for begin, end in bounds if begin < end]


def reads_previous_result(statement: Statement) -> bool:
    """Whether a statement of a chain reads the result of an earlier one: FROM $1."""
    places = range(1, len(statement) - 1)
    return any(statement.word(at) == "$" and statement.word(at - 1) in ("FROM", "JOIN") for at in places)


def _payload(statement: Statement) -> str | None:
    first = statement.tokens[0]
    is_command = first.token_type in (TokenType.COMMAND, TokenType.EXECUTE, TokenType.SHOW, TokenType.FETCH)
    if is_command and len(statement) == 2 and statement.tokens[1].token_type is TokenType.STRING:
        return statement.tokens[1].text
    return None


def _after_control_word(statement: Statement, word: str) -> int | None:
    """The number of procedural tokens before the statement; None if there are none."""
    count = len(statement)
    if word == "BEGIN":
        named = statement.word(1) == "NAME" and count == 3  # Snowflake: BEGIN NAME t
        atomic = (statement.word(1) == "ATOMIC") + 2 * statement.has(1, "NOT", "ATOMIC")
        return count if named or statement.word(1) in _TRANSACTION else 1 + atomic
    if word in ("ELSE", "LOOP", "REPEAT", "EXCEPTION", "THEN"):
        return 1
    if word == "END":
        return _statement_from(statement, 1)
    for words, ends in _CLAUSES:
        if word in words:
            end = statement.find(*ends, start=1)
            return end + 1 if end is not None else _statement_from(statement, 1)
    if word == "DECLARE":
        begin = statement.find("BEGIN", start=1)
        return begin if begin is not None else _next_line_statement(statement)
    if word in NO_LINEAGE_VERBS:
        return _next_line_statement(statement)
    return _after_label(statement, word)


# First words of procedural clauses, and the words that end the clause and begin its statements.
_CLAUSES = (
    (frozenset({"IF", "ELSEIF", "ELSIF", "WHEN", "CASE"}), ("THEN",)),
    (frozenset({"WHILE", "FOR"}), ("DO", "LOOP")),
)


def _after_label(statement: Statement, word: str) -> int | None:
    """The position after a label, assignment or cursor: `<<a>>`, `a:`, `x := …`, `c CURSOR FOR …`."""
    if word == "<" and statement.word(1) == "<":
        return 5
    if word == "<<":
        return 3
    if statement.word(1) in (":=", "CURSOR") or (word == "@" and statement.word(2) == ":="):
        return len(statement)
    if statement.word(1) == ":" and word not in STARTERS:
        return 2
    return None


def _statement_from(statement: Statement, start: int) -> int:
    found = statement.find(*_INNER_STARTERS, start=start)
    return found if found is not None else len(statement)


def _next_line_statement(statement: Statement) -> int:
    """The start of the next statement in a script without semicolons (T-SQL): a starter that is first on its line."""
    if statement.tokens[0].line == statement.tokens[-1].line:
        return len(statement)
    return next(iter(line_starts(statement)), len(statement))


def line_starts(statement: Statement) -> list[int]:
    """Positions of statements that start a line without a semicolon before them."""
    tokens = statement.tokens
    return [
        position
        for position in statement.same_level()
        if position and tokens[position].line > tokens[position - 1].line and statement.word(position) in _LINE_STARTERS
    ]


def block_parts(statement: Statement) -> list[Statement]:
    """The parts before and after the END or ELSE of a block, in a script without semicolons (T-SQL)."""
    end = statement.find("END", "ELSE", start=1)
    if end is None:
        return []
    return [statement.part(0, end), statement.part(end)]


def unwrap(statement: Statement, dialect: Dialect) -> Iterator[Statement]:
    """The statements in a part of a block, without procedural keywords."""
    return _unwrap(statement, dialect, 0)


def _executed(statement: Statement, dialect: Dialect) -> str | None:
    """The text of EXECUTE IMMEDIATE '…', EXECUTE '…', EXEC('…') and sp_executesql N'…'.

    None if the text is computed; empty if the statement executes a procedure or a task, not a text.
    """
    payload = _payload(statement)
    tokens = list(dialect.tokenize(payload)) if payload is not None else list(statement.tokens[1:])
    start = 1 if tokens and tokens[0].text.upper() in ("IMMEDIATE", "(", "SP_EXECUTESQL") else 0
    start += start < len(tokens) and tokens[start].token_type is TokenType.L_PAREN
    if start < len(tokens) and tokens[start].token_type in STRINGS:
        follower = tokens[start + 1].text.upper() if start + 1 < len(tokens) else ""
        # A string that is only the start of a concatenation is not a statement.
        return None if follower in ("||", "+") else tokens[start].text
    return None if start else ""


def _contains_statements(statement: Statement) -> bool:
    """Whether a statement other than CREATE contains other statements.

    https://docs.snowflake.com/en/sql-reference/sql/alter-task: ALTER TASK t MODIFY AS statement
    https://docs.snowflake.com/en/sql-reference/sql/call-with: WITH p AS PROCEDURE () … AS 'body' CALL p()
    """
    if statement.word(0) == "ALTER":
        return statement.word(1) == "TASK"
    return statement.has(0, "WITH") and statement.has(2, "AS", "PROCEDURE")


def _created(statement: Statement, dialect: Dialect, depth: int) -> Iterator[Statement]:
    position = 3 if statement.word(0) == "WITH" else 1
    position = statement.skip(position, *_MODIFIERS)
    kind = statement.word(position)
    if kind in ("PROCEDURE", "PROC"):
        yield from _procedure_body(statement, position, dialect, depth)
    elif kind in ("TASK", "PIPE", "ALERT", "SCHEDULED"):  # Hive: CREATE SCHEDULED QUERY q … AS statement
        body = _find_body(statement, position)
        if body is not None:
            yield from _unwrap(statement.part(body), dialect, depth)
    elif kind in ("FUNCTION", "AGGREGATE", "TRIGGER", "MACRO", "EVENT") or kind in _NO_DATA:
        return
    else:
        yield statement


def _find_body(statement: Statement, start: int) -> int | None:
    """The position of the statement after AS or THEN; skips EXECUTE AS and column aliases. None if there is none."""
    position = statement.find("AS", "THEN", start=start)
    while position is not None:
        follower = statement.word(position + 1)
        if follower in STARTERS or follower in ("BEGIN", "DECLARE", "EXECUTE", "CALL", "IF"):
            return position + 1
        position = statement.find("AS", "THEN", start=position + 1)
    return None


def _procedure_body(statement: Statement, start: int, dialect: Dialect, depth: int) -> Iterator[Statement]:
    words = statement.words()
    if "LANGUAGE" in words and words[min(words.index("LANGUAGE") + 1, len(words) - 1)] in _FOREIGN:
        bodies = (token.text.upper() for token in statement.tokens if token.token_type in STRINGS)
        if any(word in body for body in bodies for word in _SQL_IN_BODIES):
            yield statement  # the caller reports it
        return
    for position in range(start, len(statement)):
        if statement.is_string(position) and words[position - 1] == "AS":
            for inner in statements(statement.tokens[position].text, dialect, depth + 1):
                yield _without_variables(inner, anywhere="PLPGSQL" in words)
            return
    begin = statement.find("BEGIN", "DECLARE", start=start)
    body = _find_body(statement, start) if begin is None else begin
    if body is not None:
        yield from _unwrap(statement.part(body), dialect, depth)
