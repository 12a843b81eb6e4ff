"""Takes a script apart: statements, BEGIN … END blocks, procedure and task bodies, EXECUTE IMMEDIATE.

From SQL text, through sqlglot's tokenizer, to `Piece`s that hold one statement each, with the words of the
procedural language taken off. One statement that cannot be read loses none of its neighbours. A text that is not
tokens at all raises sqlglot.errors.TokenError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Texts inside texts (a procedure that executes a string that defines a task …): deeper ones are left unread.
MAX_NESTED_TEXTS = 6
# Words of a procedural language before one statement (IF … THEN IF … THEN …).
MAX_WRAPPINGS = 100

STARTERS = _words(
    """
    ALTER CACHE COPY CREATE DELETE DROP EXPORT FROM INSERT LOAD MERGE REPLACE SEL SELECT TABLE TRUNCATE UNLOAD
    UPDATE UPSERT USE VALUES WITH
    """
)

# Statements that move nothing between tables, whatever follows.
SILENT = _words(
    """
    ABORT ADD ANALYSE ANALYZE ASSERT ATTACH AWAIT BREAK CALL CANCEL CLEAR CLOSE COMMENT COMMIT CONTINUE CONVERT
    DEALLOCATE DECLARE DELIMITER DENY DESC DESCRIBE DETACH DFS DISCARD EXIT EXPLAIN FETCH FSCK GET GO GRANT ITERATE
    KILL LEAVE LET LIST LISTEN LOCK LS MSCK NOTIFY NULL OPEN OPTIMIZE PERFORM PRAGMA PRINT PUT RAISE REFRESH REINDEX
    RELOAD REMOVE REORG REPAIR RESET RESTORE RETURN REVOKE RM ROLLBACK SAVEPOINT SET SHOW SIGNAL START THROW UNCACHE
    UNDROP UNSET UNTIL VACUUM WAITFOR
    """
)

_CONTROL = _words("BEGIN CASE ELSE ELSEIF ELSIF END EXCEPTION EXEC EXECUTE FOR IF LOOP MERGE REPEAT THEN WHEN WHILE")
# What a statement in brackets begins with when more than reading may come of it.
_MOVING = _words("COPY CREATE DELETE EXEC EXECUTE INSERT MERGE TRUNCATE UPDATE WITH")
_TRANSACTION = _words("TRANSACTION TRAN WORK ISOLATION DEFERRED IMMEDIATE EXCLUSIVE READ")
_STRINGS = frozenset({TokenType.STRING, TokenType.RAW_STRING, TokenType.HEREDOC_STRING, TokenType.NATIONAL_STRING})
_OPENERS = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSERS = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
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
# What can be created and holds no rows, by its first word (ROW ACCESS POLICY, STORAGE CREDENTIAL, SEARCH INDEX, …).
_NO_DATA = _words(
    """
    ASSIGNMENT BLOOMFILTER CAPACITY CATALOG CONNECTION CREDENTIAL EXTENSION GROUP INDEX INTEGRATION LOCATION MASKING
    NAMESPACE NETWORK NOTIFICATION POLICY RECIPIENT RESERVATION RESOURCE ROLE ROW SEARCH SECRET SEQUENCE SERVER SHARE
    STORAGE TAG UNIQUE USER VECTOR VOLUME WAREHOUSE
    """
)
# A script without semicolons (T-SQL) starts its statements with these, first on a line.
_LINE_STARTERS = _words(
    """
    ALTER CREATE DECLARE DELETE DROP EXEC INSERT MERGE SELECT SET TRUNCATE UPDATE WITH
    """
)
# What may follow the condition of an IF that has no THEN, or an END.
_INNER_STARTERS = (*sorted(STARTERS - {"FROM", "TABLE", "VALUES", "REPLACE"}), "BEGIN", "ELSE")


@dataclass(frozen=True)
class Piece:
    """One statement: its tokens, and the text their positions refer to."""

    tokens: Sequence[Token]
    text: str
    written: str | None = None  # the statement, where the positions of its tokens do not tell

    @property
    def source(self) -> str:
        """The statement as it was written."""
        if self.written is not None:
            return self.written
        return self.text[self.tokens[0].start : self.tokens[-1].end + 1] if self.tokens else ""

    def word(self, position: int) -> str:
        """The token at that place in upper case; empty past the end or for a quoted name or a string."""
        if position >= len(self.tokens):
            return ""
        token = self.tokens[position]
        if token.token_type is TokenType.IDENTIFIER or token.token_type in _STRINGS:
            return ""
        return token.text.upper()


def pieces(sql: str, dialect: Dialect, depth: int = 0) -> Iterator[Piece]:
    """The statements of a script in order. Raises TokenError when the text cannot be tokenized."""
    if depth > MAX_NESTED_TEXTS:
        return
    tokens = dialect.tokenize(sql)
    start = 0
    declaring = False
    for position in range(len(tokens) + 1):
        if position < len(tokens) and tokens[position].token_type is not TokenType.SEMICOLON:
            continue
        piece = Piece(tokens[start:position], sql)
        start = position + 1
        if declaring and _is_declaration(piece):
            piece = _bracketed(piece) or Piece((), sql)
        else:
            declaring = _begins_declarations(piece)
        yield from _unwrapped(piece, dialect, depth)


def _begins_declarations(piece: Piece) -> bool:
    """Whether more declarations may follow: DECLARE without the BEGIN that ends them, in a procedure or alone."""
    if piece.word(0) not in ("DECLARE", "CREATE"):
        return False
    words = {piece.word(position) for position in range(len(piece.tokens))}
    return "DECLARE" in words and "BEGIN" not in words


def _is_declaration(piece: Piece) -> bool:
    """`rs RESULTSET`, `rec RECORD`, `n NUMBER(38, 0) := 3`: a name and a type, where only declarations can stand."""
    word = piece.word(0)
    if len(piece.tokens) < 2 or word in STARTERS or word in SILENT or word in _CONTROL:
        return False
    words = {piece.word(position) for position in range(len(piece.tokens))}
    return (word[:1].isalpha() or word[:1] in ("", "_")) and piece.word(1) != ":" and "BEGIN" not in words


def _bracketed(piece: Piece) -> Piece | None:
    """The statement in `rs := (INSERT …)`, `LET rs RESULTSET := ASYNC (…)` and `ASYNC (…)`, if it moves data.

    https://docs.snowflake.com/en/developer-guide/snowflake-scripting/asynchronous-child-jobs
    """
    tokens = piece.tokens
    for position in range(min(len(tokens) - 2, 12)):
        if tokens[position].token_type is not TokenType.L_PAREN:
            continue
        before = piece.word(position - 1) if position else ""
        if before not in (":=", "DEFAULT", "ASYNC") or piece.word(position + 1) not in _MOVING:
            return None
        end = len(tokens) - 1 if tokens[-1].token_type is TokenType.R_PAREN else len(tokens)
        return Piece(tokens[position + 1 : end], piece.text)
    return None


def _without_variables(piece: Piece, anywhere: bool) -> Piece:
    """PL/pgSQL's SELECT … INTO a, b …, which fills variables; `anywhere` or, as in no other language, after SELECT.

    https://www.postgresql.org/docs/current/plpgsql-statements.html#PLPGSQL-STATEMENTS-SQL-ONEROW
    """
    into = _find(piece, 1, ("INTO",)) if piece.word(0) in ("SELECT", "WITH") else None
    if into is None or not (anywhere or into == 1) or _find(piece, 1, ("INSERT",)) is not None:
        return piece
    end = into + 1 + (piece.word(into + 1) == "STRICT")
    while piece.word(end + 1) in (".", ","):
        end += 2
    return Piece([*piece.tokens[:into], *piece.tokens[end + 1 :]], piece.text, piece.source)


def is_use(piece: Piece) -> bool:
    """Whether the statement changes the session's defaults.

    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-set-catalog: SET CATALOG is USE CATALOG.
    https://cloud.google.com/bigquery/docs/reference/system-variables: SET @@dataset_id = 'd'
    """
    if piece.word(0) == "RESET":
        return search_path(piece) is not None
    if piece.word(0) != "SET":
        return piece.word(0) == "USE"
    if (piece.word(1), piece.word(2)) == ("@", "@"):
        return piece.word(3) in ("DATASET_ID", "DATASET_PROJECT_ID")
    sets_catalog = piece.word(1) == "CATALOG" and len(piece.tokens) > 2 and piece.word(2) != "="
    return sets_catalog or search_path(piece) is not None


def search_path(piece: Piece) -> Sequence[Token] | None:
    """The schemas of SET search_path TO …, as they are written; none for RESET; None for another statement.

    https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
    """
    if piece.word(0) == "RESET":  # what follows may be one string to the tokenizer
        return [] if [token.text.upper() for token in piece.tokens[1:]] == ["SEARCH_PATH"] else None
    start = 2 if piece.word(1) in ("SESSION", "LOCAL") else 1
    if (piece.word(0), piece.word(start)) != ("SET", "SEARCH_PATH") or piece.word(start + 1) not in ("TO", "="):
        return None
    return [token for token in piece.tokens[start + 2 :] if token.token_type is not TokenType.COMMA]


def uses(sql: str, dialect: Dialect) -> list[Piece]:
    """The statements of a text that change the session's defaults, not those that a procedure only holds.

    Empty for a text that cannot be tokenized.
    """
    try:
        tokens = dialect.tokenize(sql)
    except TokenError:
        return []
    found: list[Piece] = []
    start = 0
    for position in range(len(tokens) + 1):
        if position < len(tokens) and tokens[position].token_type is not TokenType.SEMICOLON:
            continue
        piece = Piece(tokens[start:position], sql)
        if piece.word(0) == "BEGIN":
            piece = Piece(tokens[start + 1 : position], sql)
        if piece.word(0) == "CREATE" and {"PROCEDURE", "TASK"} & {piece.word(place) for place in range(1, 6)}:
            break
        if is_use(piece):
            found.append(piece)
        start = position + 1
    return found


def nesting(tokens: Sequence[Token]) -> int:
    """How deep the brackets of a statement go (angle brackets too: ARRAY<STRUCT<…>>)."""
    depth = deepest = angles = most_angles = 0
    for token in tokens:
        kind = token.token_type
        if kind in _OPENERS or kind is TokenType.CASE:
            depth += 1
            deepest = max(deepest, depth)
        elif kind in _CLOSERS or kind is TokenType.END:
            depth -= 1
        elif kind is TokenType.LT:
            angles += 1
            most_angles = max(most_angles, angles)
        elif kind is TokenType.GT:
            angles = max(0, angles - 1)
    return max(deepest, most_angles)


def _unwrapped(piece: Piece, dialect: Dialect, depth: int) -> Iterator[Piece]:
    """Takes off what the procedural language puts before a statement."""
    for _ in range(MAX_WRAPPINGS):
        if not piece.tokens:
            return
        word = piece.word(0)
        payload = _payload(piece)
        if payload is not None and word not in ("EXECUTE", "EXEC"):
            yield from _commanded(piece, word, payload, dialect, depth)
            return
        if word in ("EXECUTE", "EXEC"):
            text = _executed(piece, dialect)
            if text:
                yield from pieces(text, dialect, depth + 1)
            elif text is None:
                yield piece  # computed at run time: for the reader to report
            return
        if word == "CREATE" or _holds_statements(piece):
            yield from _created(piece, dialect, depth)
            return
        if is_use(piece):
            yield piece
            return
        inner = _bracketed(piece)
        if inner is not None:
            piece = inner
            continue
        piece = _without_variables(piece, anywhere=False)
        if word == "FOR":
            yield from _looped_over(piece)
        rest = _after_control_word(piece, word)
        if rest is None or word == "CALL" or (word in SILENT and _flows_on(piece)):
            yield piece
            return
        piece = Piece(piece.tokens[rest:], piece.text)
    yield piece


def _looped_over(piece: Piece) -> Iterator[Piece]:
    """The query whose rows a loop takes one by one: FOR r IN (SELECT …) DO, FOR r AS SELECT … DO.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#for-in
    https://docs.databricks.com/aws/en/sql/language-manual/control-flow/for-stmt
    """
    begin = _find(piece, 1, ("IN", "AS"))
    end = _find(piece, 1, ("DO", "LOOP"))
    if begin is None or end is None:
        return
    query = Piece(piece.tokens[begin + 1 : end], piece.text)
    if query.word(0) in ("SELECT", "WITH") or (query.word(0) == "(" and query.word(1) in ("SELECT", "WITH")):
        yield query


def _commanded(piece: Piece, word: str, payload: str, dialect: Dialect, depth: int) -> Iterator[Piece]:
    """A statement whose words the tokenizer gave as one string, because it takes the first for a command."""
    inner = Piece(dialect.tokenize(payload), payload)
    if word in ("CALL", "UNLOAD"):
        yield Piece([piece.tokens[0], *inner.tokens], payload, f"{word} {payload}")
    elif word in ("ELSEIF", "ELSIF", "EXCEPTION", "WHILE", "WHEN"):
        begin = _find(inner, 0, ("THEN", "DO", "LOOP"))
        if begin is not None:
            yield from _unwrapped(Piece(inner.tokens[begin + 1 :], payload), dialect, depth)
    elif word == "PREPARE" and (body := _find_body(inner, 0)) is not None:
        # https://docs.aws.amazon.com/redshift/latest/dg/r_PREPARE.html: PREPARE p (int) AS statement
        yield from _unwrapped(Piece(inner.tokens[body:], payload), dialect, depth)
    elif word == "DO" and inner.tokens and inner.tokens[0].token_type in _STRINGS:
        yield from pieces(inner.tokens[0].text, dialect, depth + 1)
    elif word in ("BEGIN", "ELSE", "LOOP", "REPEAT", "THEN"):
        yield from pieces(payload, dialect, depth + 1)
    elif (word.split()[0] not in SILENT and word != "END") or _flows_on(inner) or is_use(piece):
        yield piece  # for the reader to apply or report


def _flows_on(piece: Piece) -> bool:
    """https://docs.snowflake.com/en/sql-reference/operators-flow: SHOW … ->> INSERT INTO t SELECT … FROM $1."""
    places = (at for at, token in enumerate(piece.tokens) if token.token_type is TokenType.DARROW)
    return any(piece.word(at + 1) in ("INSERT", "CREATE", "MERGE", "COPY", "UPDATE", "DELETE") for at in places)


def flow_parts(piece: Piece) -> list[Piece]:
    """The statements of a chain `a ->> b ->> c`, each a statement of its own; the piece alone when it is no chain.

    https://docs.snowflake.com/en/sql-reference/operators-flow
    """
    arrows = [at for at, token in enumerate(piece.tokens) if token.token_type is TokenType.DARROW]
    if not arrows or piece.word(0) in SILENT:
        return [piece]
    bounds = zip([0, *(at + 1 for at in arrows)], [*arrows, len(piece.tokens)], strict=True)
    return [Piece(piece.tokens[begin:end], piece.text) for begin, end in bounds if begin < end]


def reads_flow(piece: Piece) -> bool:
    """Whether a statement of a chain reads the result of one before it: FROM $1."""
    places = range(1, len(piece.tokens) - 1)
    return any(piece.word(at) == "$" and piece.word(at - 1) in ("FROM", "JOIN") for at in places)


def _payload(piece: Piece) -> str | None:
    first = piece.tokens[0]
    is_command = first.token_type in (TokenType.COMMAND, TokenType.EXECUTE, TokenType.SHOW, TokenType.FETCH)
    if is_command and len(piece.tokens) == 2 and piece.tokens[1].token_type is TokenType.STRING:
        return piece.tokens[1].text
    return None


def _after_control_word(piece: Piece, word: str) -> int | None:
    """How many tokens of a procedural language stand before the statement; None when there are none."""
    count = len(piece.tokens)
    if word == "BEGIN":
        named = piece.word(1) == "NAME" and count == 3  # Snowflake: BEGIN NAME t
        atomic = (piece.word(1) == "ATOMIC") + 2 * (piece.word(1) == "NOT" and piece.word(2) == "ATOMIC")
        return count if named or piece.word(1) in _TRANSACTION else 1 + atomic
    if word in ("ELSE", "LOOP", "REPEAT", "EXCEPTION", "THEN"):
        return 1
    if word == "END":
        return _statement_from(piece, 1)
    for words, ends in _CLAUSES:
        if word in words:
            end = _find(piece, 1, ends)
            return end + 1 if end is not None else _statement_from(piece, 1)
    if word == "DECLARE":
        begin = _find(piece, 1, ("BEGIN",))
        return begin if begin is not None else _next_line_statement(piece)
    if word in SILENT:
        return _next_line_statement(piece)
    return _after_label(piece, word)


# A clause of a procedural language, and the words that end it and begin its statements.
_CLAUSES = (
    (frozenset({"IF", "ELSEIF", "ELSIF", "WHEN", "CASE"}), ("THEN",)),
    (frozenset({"WHILE", "FOR"}), ("DO", "LOOP")),
)


def _after_label(piece: Piece, word: str) -> int | None:
    """Labels, assignments and cursors: `<<a>>`, `a:`, `x := …`, `c CURSOR FOR …`."""
    if word == "<" and piece.word(1) == "<":
        return 5
    if word == "<<":
        return 3
    if piece.word(1) in (":=", "CURSOR") or (word == "@" and piece.word(2) == ":="):
        return len(piece.tokens)
    if piece.word(1) == ":" and word not in STARTERS:
        return 2
    return None


def _find(piece: Piece, start: int, words: tuple[str, ...]) -> int | None:
    """The first of these words outside brackets and CASE expressions."""
    depth = 0
    for position in range(start, len(piece.tokens)):
        kind = piece.tokens[position].token_type
        if kind in _OPENERS or kind is TokenType.CASE:
            depth += 1
        elif kind in _CLOSERS or (kind is TokenType.END and depth):
            depth -= 1
        elif depth <= 0 and piece.word(position) in words:
            return position
    return None


def _statement_from(piece: Piece, start: int) -> int:
    found = _find(piece, start, _INNER_STARTERS)
    return found if found is not None else len(piece.tokens)


def _next_line_statement(piece: Piece) -> int:
    """Where the next statement starts in a script without semicolons (T-SQL): a starter first on its line."""
    if piece.tokens[0].line == piece.tokens[-1].line:
        return len(piece.tokens)
    for position in line_starts(piece):
        return position
    return len(piece.tokens)


def line_starts(piece: Piece) -> list[int]:
    """Places of statements that start a line without a semicolon before them."""
    places: list[int] = []
    depth = 0
    for position, token in enumerate(piece.tokens):
        kind = token.token_type
        if kind in _OPENERS:
            depth += 1
        elif kind in _CLOSERS:
            depth -= 1
        elif position and depth <= 0 and token.line > piece.tokens[position - 1].line:
            places.extend([position] if piece.word(position) in _LINE_STARTERS else ())
    return places


def block_parts(piece: Piece) -> list[Piece]:
    """A statement and what follows the END or ELSE of its block, in a script without semicolons (T-SQL)."""
    end = _find(piece, 1, ("END", "ELSE"))
    if end is None:
        return []
    return [Piece(piece.tokens[:end], piece.text), Piece(piece.tokens[end:], piece.text)]


def unwrapped(piece: Piece, dialect: Dialect) -> Iterator[Piece]:
    """The statements in a part of a block."""
    return _unwrapped(piece, dialect, 0)


def _executed(piece: Piece, dialect: Dialect) -> str | None:
    """The text of EXECUTE IMMEDIATE '…', EXECUTE '…', EXEC('…') and sp_executesql N'…'.

    None when the text is computed; empty when the statement executes a procedure or a task, not a text.
    """
    payload = _payload(piece)
    tokens = list(dialect.tokenize(payload)) if payload is not None else list(piece.tokens[1:])
    start = 1 if tokens and tokens[0].text.upper() in ("IMMEDIATE", "(", "SP_EXECUTESQL") else 0
    start += start < len(tokens) and tokens[start].token_type is TokenType.L_PAREN
    if start < len(tokens) and tokens[start].token_type in _STRINGS:
        follower = tokens[start + 1].text.upper() if start + 1 < len(tokens) else ""
        # A string that is only the beginning of a concatenation is no statement.
        return None if follower in ("||", "+") else tokens[start].text
    return None if start else ""


def _holds_statements(piece: Piece) -> bool:
    """Statements that hold others without a CREATE.

    https://docs.snowflake.com/en/sql-reference/sql/alter-task: ALTER TASK t MODIFY AS statement
    https://docs.snowflake.com/en/sql-reference/sql/call-with: WITH p AS PROCEDURE () … AS 'body' CALL p()
    """
    if piece.word(0) == "ALTER":
        return piece.word(1) == "TASK"
    return piece.word(0) == "WITH" and (piece.word(2), piece.word(3)) == ("AS", "PROCEDURE")


def _created(piece: Piece, dialect: Dialect, depth: int) -> Iterator[Piece]:
    position = 3 if piece.word(0) == "WITH" else 1
    while piece.word(position) in _MODIFIERS:
        position += 1
    kind = piece.word(position)
    if kind in ("PROCEDURE", "PROC"):
        yield from _procedure_body(piece, position, dialect, depth)
    elif kind in ("TASK", "PIPE", "ALERT", "SCHEDULED"):  # Hive: CREATE SCHEDULED QUERY q … AS statement
        body = _find_body(piece, position)
        if body is not None:
            yield from _unwrapped(Piece(piece.tokens[body:], piece.text), dialect, depth)
    elif kind in ("FUNCTION", "AGGREGATE", "TRIGGER", "MACRO", "EVENT") or kind in _NO_DATA:
        return
    else:
        yield piece


def _find_body(piece: Piece, start: int) -> int | None:
    """The statement after AS that is not the AS of EXECUTE AS, nor of a column."""
    position = _find(piece, start, ("AS", "THEN"))
    while position is not None:
        follower = piece.word(position + 1)
        if follower in STARTERS or follower in ("BEGIN", "DECLARE", "EXECUTE", "CALL", "IF"):
            return position + 1
        position = _find(piece, position + 1, ("AS", "THEN"))
    return None


def _procedure_body(piece: Piece, start: int, dialect: Dialect, depth: int) -> Iterator[Piece]:
    words = [piece.word(position) for position in range(len(piece.tokens))]
    if "LANGUAGE" in words and words[min(words.index("LANGUAGE") + 1, len(words) - 1)] in _FOREIGN:
        bodies = (token.text.upper() for token in piece.tokens if token.token_type in _STRINGS)
        if any(word in body for body in bodies for word in _SQL_IN_BODIES):
            yield piece  # for the reader to report
        return
    for position in range(start, len(piece.tokens)):
        if piece.tokens[position].token_type in _STRINGS and words[position - 1] == "AS":
            for inner in pieces(piece.tokens[position].text, dialect, depth + 1):
                yield _without_variables(inner, anywhere="PLPGSQL" in words)
            return
    begin = _find(piece, start, ("BEGIN", "DECLARE"))
    body = _find_body(piece, start) if begin is None else begin
    if body is not None:
        yield from _unwrapped(Piece(piece.tokens[body:], piece.text), dialect, depth)
