"""Statements that move data and that sqlglot does not parse, read from their tokens.

From one `Piece`, to a `Form` (target and sources by name), or to other tokens that sqlglot does parse, or to
nothing when the statement is none of these. Each rule names the vendor's page for its syntax.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql.script import Piece

Parts = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Form:
    """Whole tables moved: `target`, `source` and `more` sources as written; `query` is SQL text that reads them."""

    kind: str
    target: Parts
    source: Parts = ()
    query: str | None = None
    target_is_path: bool = False
    more: tuple[Parts, ...] = ()


def read_form(piece: Piece) -> Form | None:
    """The statement as a form of this module; None when sqlglot should parse it."""
    first = piece.word(0)
    if first == "UNLOAD":
        return _unload(piece)
    if first == "ALTER":
        return _alter_table(piece)
    if first == "CREATE":
        return _create(piece)
    if first == "EXPORT":
        return _hive_export(piece)
    if first in ("IMPORT", "LOAD"):
        return _load_file(piece)
    if (first, piece.word(1)) == ("COPY", "FILES"):
        return _copy_files(piece)
    if first == "APPLY":
        return _apply_changes(piece)
    return None


def rewritten(piece: Piece) -> Piece:
    """The statement without words that only sqlglot stumbles over; the same piece when there are none."""
    first = piece.word(0)
    if first == "REPLACE":  # https://dev.mysql.com/doc/refman/8.4/en/replace.html: an INSERT that may replace rows
        token = piece.tokens[0]
        insert = Token(TokenType.INSERT, "INSERT", token.line, token.col, token.start, token.end)
        return Piece([insert, *piece.tokens[1:]], piece.text, piece.written)
    if first in ("INSERT", "MERGE") and (piece.word(1), piece.word(2)) == ("WITH", "SCHEMA"):
        # https://docs.databricks.com/aws/en/delta/update-schema: INSERT/MERGE WITH SCHEMA EVOLUTION INTO t
        piece = _without(piece, {1, 2, 3})
    if first == "INSERT":
        return _without(piece, _insert_clauses(piece))
    if (first, piece.word(1)) == ("CREATE", "FLOW"):
        # https://docs.databricks.com/aws/en/ldp/developer/ldp-sql-ref-create-flow: … AS INSERT INTO t BY NAME query
        begin = _find(piece, "INSERT")
        if begin is None:
            return piece
        inserted = Piece(piece.tokens[begin:], piece.text)
        return _without(inserted, {2} if inserted.word(2) == "ONCE" else set())
    if first == "COPY":
        # https://docs.databricks.com/aws/en/sql/language-manual/delta-copy-into: COPY INTO t BY POSITION FROM …
        at = name_at(piece, _skip(piece, 1, "INTO"))[1]
        return _without(piece, {at, at + 1}) if (piece.word(at), piece.word(at + 1)) == ("BY", "POSITION") else piece
    if first == "CREATE":
        return _without(piece, _create_words(piece) | _clone_details(piece) | _view_details(piece))
    if first == "MERGE":
        piece = _plain_merge(piece)
    return _without_compound_assignment(piece)


def _create_words(piece: Piece) -> set[int]:
    drop = _pipeline_words(piece)
    if (piece.word(1), piece.word(2)) == ("SNAPSHOT", "TABLE"):
        # https://cloud.google.com/bigquery/docs/table-snapshots-create
        drop.add(1)
    return drop


def _pipeline_words(piece: Piece) -> set[int]:
    """https://docs.databricks.com/aws/en/ldp/developer/sql-ref: CREATE OR REFRESH LIVE TABLE a AS … FROM LIVE.b.

    In these statements LIVE is no schema, but stands for the one that the pipeline writes to.
    """
    drop: set[int] = set()
    for position in range(1, min(len(piece.tokens), 8)):
        word, following = piece.word(position), piece.word(position + 1)
        if word == "OR" and following == "REFRESH":
            drop |= {position, position + 1}
        elif word in ("LIVE", "PRIVATE") and following in ("TABLE", "VIEW", "STREAMING", "MATERIALIZED"):
            drop.add(position)
    if not drop:
        return drop
    named = [at for at in range(3, len(piece.tokens)) if piece.word(at) == "LIVE" and at not in drop]
    before_dots = [at for at in named if piece.word(at + 1) == "." and piece.word(at - 1) != "."]
    if before_dots == named:  # else it is the alias of something
        drop.update(place for at in before_dots for place in (at, at + 1))
    return drop


def _clone_details(piece: Piece) -> set[int]:
    """https://docs.databricks.com/aws/en/sql/language-manual/delta-clone: DEEP CLONE t VERSION AS OF 3 …"""
    for position in range(2, len(piece.tokens) - 1):
        if piece.word(position) in ("DEEP", "SHALLOW") and piece.word(position + 1) == "CLONE":
            return {position, *range(name_at(piece, position + 2)[1], len(piece.tokens))}
    return set()


def _view_details(piece: Piece) -> set[int]:
    """Hive's PARTITIONED ON (…) and PostgreSQL's WITH NO DATA on a view."""
    if not any(piece.word(position) == "VIEW" for position in range(1, 6)):
        return set()
    drop: set[int] = set()
    for position in range(3, min(len(piece.tokens), 60)):
        if piece.word(position) == "PARTITIONED" and piece.word(position + 1) == "ON":
            drop.update(range(position, closed(piece, position + 2)))
            break
    last = len(piece.tokens) - 3
    if (piece.word(last), piece.word(last + 1), piece.word(last + 2)) == ("WITH", "NO", "DATA"):
        drop.update(range(last, last + 3))
    return drop


def closed(piece: Piece, start: int) -> int:
    """The place after the bracket that closes the one at `start`."""
    depth = 0
    for position in range(start, len(piece.tokens)):
        kind = piece.tokens[position].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth <= 0:
            return position + 1
    return len(piece.tokens)


def _insert_clauses(piece: Piece) -> set[int]:
    """Words between an INSERT's target and its query: T-SQL's hints, Hive's IF NOT EXISTS, Spark's USING format."""
    drop: set[int] = set()
    position = 1
    while position < min(len(piece.tokens), 40):
        word = piece.word(position)
        if word in ("SELECT", "VALUES", "FROM") or (word == "WITH" and piece.word(position + 1) != "("):
            break
        if word == "WITH":  # https://learn.microsoft.com/en-us/sql/t-sql/queries/hints-transact-sql-table
            end = closed(piece, position + 1)
            drop.update(range(position, end))
        elif (word, piece.word(position + 1), piece.word(position + 2)) == ("IF", "NOT", "EXISTS"):
            drop.update(range(position, position + 3))
        elif word == "USING" and "DIRECTORY" in (piece.word(position - 1), piece.word(position - 2)):
            # https://spark.apache.org/docs/latest/sql-ref-syntax-dml-insert-overwrite-directory.html
            drop.update(range(position, _query_start(piece, position)))
            drop.discard(_path_option(piece, position))
        elif (word, piece.word(position + 1)) == ("REPLACE", "ON"):
            return drop | _replaced_rows(piece, position)
        position += 1
    return drop


def _path_option(piece: Piece, position: int) -> int:
    """The place of the path in DIRECTORY USING csv OPTIONS ('path' '/out'); -1 when it stands before USING."""
    for place in range(position, _query_start(piece, position) if piece.word(position - 1) == "DIRECTORY" else 0):
        if piece.tokens[place].text.lower() == "path" and piece.tokens[place + 1].token_type is TokenType.STRING:
            return place + 1
    return -1


def _replaced_rows(piece: Piece, position: int) -> set[int]:
    """https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-dml-insert-into: REPLACE ON … (query) s."""
    start = _query_start(piece, position)
    start -= piece.word(start - 1) == "("
    end = closed(piece, start) if piece.word(start) == "(" else len(piece.tokens)
    _, named = name_at(piece, _skip(piece, 1, "INTO", "TABLE"))
    return {*range(named, start), *range(end, len(piece.tokens))}


def _query_start(piece: Piece, position: int) -> int:
    while position < len(piece.tokens) and piece.word(position) not in ("SELECT", "WITH", "FROM", "TABLE"):
        position += 1
    return position


def _without(piece: Piece, places: set[int]) -> Piece:
    if not places:
        return piece
    kept = [token for place, token in enumerate(piece.tokens) if place not in places]
    return Piece(kept, piece.text, piece.written)


_INSERT_ALL_COLUMNS = (
    (TokenType.WHEN, "WHEN"),
    (TokenType.NOT, "NOT"),
    (TokenType.VAR, "MATCHED"),
    (TokenType.THEN, "THEN"),
    (TokenType.INSERT, "INSERT"),
    (TokenType.STAR, "*"),
)


def _plain_merge(piece: Piece) -> Piece:
    """Redshift's REMOVE DUPLICATES as the clause it stands for; Oracle's WHERE and DELETE WHERE left out.

    https://docs.aws.amazon.com/redshift/latest/dg/r_MERGE.html: duplicates are replaced, so the source's rows stay.
    https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf/MERGE.html
    """
    end = len(piece.tokens)
    if (piece.word(end - 2), piece.word(end - 1)) == ("REMOVE", "DUPLICATES"):
        near = piece.tokens[-1]
        made = [Token(kind, text, near.line, near.col, near.start, near.end) for kind, text in _INSERT_ALL_COLUMNS]
        return Piece([*piece.tokens[:-2], *made], piece.text, piece.source)
    drop: set[int] = set()
    when = _find(piece, "WHEN")
    while when is not None:
        following = _find(piece, "WHEN", when + 1)
        where = _find(piece, "WHERE", when)
        if where is not None and where < (following or end):
            start = where - (piece.word(where - 1) == "DELETE")
            drop.update(range(start, following or end))
        when = following
    return _without(piece, drop)


def _without_compound_assignment(piece: Piece) -> Piece:
    """T-SQL `SET a += b`: for lineage the same as `SET a = b` with a itself, which moves nothing."""
    if piece.word(0) not in ("UPDATE", "MERGE", "WITH"):
        return piece
    arithmetic = (TokenType.PLUS, TokenType.DASH, TokenType.STAR, TokenType.SLASH)
    kept: list[Token] = []
    for position, token in enumerate(piece.tokens):
        following = piece.tokens[position + 1] if position + 1 < len(piece.tokens) else None
        assigns = following is not None and following.token_type is TokenType.EQ and following.start == token.end + 1
        if not (assigns and token.token_type in arithmetic):
            kept.append(token)
    return Piece(kept, piece.text) if len(kept) < len(piece.tokens) else piece


def name_at(piece: Piece, position: int) -> tuple[Parts, int]:
    """A dotted name, a string or a stage at that place, and the place after it."""
    tokens = piece.tokens
    if position >= len(tokens):
        return (), position
    if tokens[position].token_type in (TokenType.STRING, TokenType.RAW_STRING):
        return ((tokens[position].text, True),), position + 1
    if tokens[position].text.startswith("@"):
        return _stage_at(piece, position)
    parts: list[tuple[str, bool]] = []
    while position < len(tokens):
        token = tokens[position]
        parts.append((token.text, token.token_type is TokenType.IDENTIFIER))
        position += 1
        if position >= len(tokens) or tokens[position].token_type is not TokenType.DOT:
            break
        position += 1
    return tuple(parts), position


def _stage_at(piece: Piece, position: int) -> tuple[Parts, int]:
    start = piece.tokens[position].start
    end = piece.tokens[position].end
    position += 1
    while position < len(piece.tokens) and piece.tokens[position].start == end + 1:
        end = piece.tokens[position].end
        position += 1
    return ((piece.text[start : end + 1], True),), position


def _skip(piece: Piece, position: int, *words: str) -> int:
    while piece.word(position) in words:
        position += 1
    return position


def _find(piece: Piece, word: str, start: int = 0) -> int | None:
    depth = 0
    for position in range(start, len(piece.tokens)):
        kind = piece.tokens[position].token_type
        if kind is TokenType.L_PAREN:
            depth += 1
        elif kind is TokenType.R_PAREN:
            depth -= 1
        elif depth == 0 and piece.word(position) == word:
            return position
    return None


def _unload(piece: Piece) -> Form | None:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html: UNLOAD ('query') TO 's3://…'."""
    position = _skip(piece, 1, "(")
    if position >= len(piece.tokens):
        return None
    query = piece.tokens[position].text
    start = position
    to = _find(piece, "TO", position + 2)
    if piece.word(position) in ("SELECT", "WITH"):
        # Athena writes the query without quotes.
        depth = 1
        while position < len(piece.tokens) and depth:
            kind = piece.tokens[position].token_type
            depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
            position += 1
        query = piece.text[piece.tokens[start].start : piece.tokens[position - 1].start]
        to = _find(piece, "TO", position)
    if to is None:
        return None
    target, _ = name_at(piece, to + 1)
    return Form("unload", target, query=query, target_is_path=True)


def _alter_table(piece: Piece) -> Form | None:
    position = _skip(piece, 1, "TABLE", "IF", "EXISTS")
    table, position = name_at(piece, position)
    # https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE_APPEND.html
    if piece.word(position) == "APPEND" and piece.word(position + 1) == "FROM":
        return Form("append", table, name_at(piece, position + 2)[0])
    # https://cwiki.apache.org/confluence/display/Hive/Exchange+Partition: the rows move from the second into the first
    if piece.word(position) == "EXCHANGE":
        with_ = _find(piece, "WITH", position)
        if with_ is not None:
            return Form("exchange partition", table, name_at(piece, _skip(piece, with_ + 1, "TABLE"))[0])
    # https://learn.microsoft.com/en-us/sql/t-sql/statements/alter-table-transact-sql: SWITCH [PARTITION 1] TO t
    if piece.word(position) == "SWITCH":
        to = _find(piece, "TO", position)
        return Form("switch partition", name_at(piece, to + 1)[0], table) if to is not None else None
    return _clickhouse_partition(piece, table, position)


def _clickhouse_partition(piece: Piece, table: Parts, position: int) -> Form | None:
    """https://clickhouse.com/docs/sql-reference/statements/alter/partition."""
    if piece.word(position) in ("ATTACH", "REPLACE") and piece.word(position + 1) == "PARTITION":
        from_ = _find(piece, "FROM", position)
        return Form("attach partition", table, name_at(piece, from_ + 1)[0]) if from_ is not None else None
    if piece.word(position) == "MOVE" and piece.word(position + 1) == "PARTITION":
        to = _find(piece, "TO", position)
        if to is not None and piece.word(to + 1) == "TABLE":
            return Form("move partition", name_at(piece, to + 2)[0], table)
    return None


def _create(piece: Piece) -> Form | None:
    position = _skip(piece, 1, "OR", "REPLACE", "TEMP", "TEMPORARY")
    kind = piece.word(position)
    if kind == "FLOW" and _find(piece, "CDC") is not None:
        return _apply_changes(piece)
    if kind in ("STREAMING", "REFRESH"):
        return _flow_of_changes(piece)
    if kind == "MATERIALIZED":
        return _replica(piece, position + 2)
    if (kind, piece.word(position + 1)) == ("EXTERNAL", "TABLE"):
        return _external_table(piece, position + 2)
    if kind not in ("STREAM", "STAGE"):
        return None
    target, position = name_at(piece, _skip(piece, position + 1, "IF", "NOT", "EXISTS"))
    if kind == "STREAM":
        # https://docs.snowflake.com/en/sql-reference/sql/create-stream
        on = _find(piece, "ON", position)
        if on is None:
            return None
        position = _skip(piece, on + 1, "EXTERNAL", "DYNAMIC", "EVENT", "TABLE", "VIEW")
        # A stream on a stage holds the changes of its list of files: no rows of a table.
        on_stage = piece.word(position) in ("STAGE", "DIRECTORY")
        source = () if on_stage else name_at(piece, position)[0]
        return Form("create stream", target, source)
    # https://docs.snowflake.com/en/sql-reference/sql/create-stage
    url = _find(piece, "URL", position)
    if url is None or piece.word(url + 1) != "=":
        return None
    return Form("create stage", target, name_at(piece, url + 2)[0])


def _flow_of_changes(piece: Piece) -> Form | None:
    """https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table-auto-cdc."""
    table, flow = _find(piece, "TABLE"), _find(piece, "FLOW")
    source = _find(piece, "FROM", flow or 0)
    if table is None or flow is None or source is None or piece.word(flow + 2) != "CDC":
        return None
    target, _ = name_at(piece, _skip(piece, table + 1, "IF", "NOT", "EXISTS"))
    return Form("apply changes", target, name_at(piece, _skip(piece, source + 1, "STREAM", "("))[0])


def _replica(piece: Piece, position: int) -> Form | None:
    """https://cloud.google.com/bigquery/docs/materialized-view-replicas-create: … VIEW a AS REPLICA OF b."""
    target, _ = name_at(piece, _skip(piece, position, "IF", "NOT", "EXISTS"))
    at = _find(piece, "REPLICA", position)
    if at is None or (piece.word(at - 1), piece.word(at + 1)) != ("AS", "OF"):
        return None
    return Form("create materialized view", target, name_at(piece, at + 2)[0])


def _external_table(piece: Piece, position: int) -> Form | None:
    """https://docs.snowflake.com/en/sql-reference/sql/create-external-table: … [ WITH ] LOCATION = @stage/path/ …."""
    target, position = name_at(piece, _skip(piece, position, "IF", "NOT", "EXISTS"))
    location = _find(piece, "LOCATION", position)
    if location is None or piece.word(location + 1) != "=" or not piece.word(location + 2).startswith("@"):
        return None
    return Form("create external table", target, name_at(piece, location + 2)[0])


def _hive_export(piece: Piece) -> Form | None:
    """https://cwiki.apache.org/confluence/display/Hive/LanguageManual+ImportExport."""
    if piece.word(1) != "TABLE":
        return None
    table, position = name_at(piece, 2)
    to = _find(piece, "TO", position)
    return Form("export", name_at(piece, to + 1)[0], table, target_is_path=True) if to is not None else None


def _load_file(piece: Piece) -> Form | None:
    """A file into a table: MySQL's LOAD DATA INFILE, and Hive's IMPORT, beside the EXPORT on the same page.

    https://dev.mysql.com/doc/refman/8.4/en/load-data.html
    """
    if piece.word(0) == "IMPORT":
        table, source = _find(piece, "TABLE"), _find(piece, "FROM")
    elif _find(piece, "FILES") is not None:
        return _load_files(piece)
    else:
        table, source = _find(piece, "TABLE"), _find(piece, "INFILE")
    if table is None or source is None:
        return None
    return Form(piece.word(0).lower(), name_at(piece, table + 1)[0], name_at(piece, source + 1)[0])


def _copy_files(piece: Piece) -> Form | None:
    """https://docs.snowflake.com/en/sql-reference/sql/copy-files: COPY FILES INTO @a FROM @b, or FROM (query)."""
    target, position = name_at(piece, _skip(piece, 2, "INTO"))
    if not target or piece.word(position) != "FROM":
        return None
    if piece.word(position + 1) != "(":
        return Form("copy files", target, name_at(piece, position + 1)[0], target_is_path=True)
    end = closed(piece, position + 1) - 1
    query = piece.text[piece.tokens[position + 2].start : piece.tokens[end].start]
    return Form("copy files", target, query=query, target_is_path=True)


def _load_files(piece: Piece) -> Form | None:
    """https://cloud.google.com/bigquery/docs/reference/standard-sql/load-statements: LOAD DATA INTO t … FROM FILES."""
    target, _ = name_at(piece, _skip(piece, 2, "INTO", "OVERWRITE", "TEMP", "TEMPORARY", "TABLE"))
    paths: list[Parts] = []
    for position in range(3, len(piece.tokens) - 2):
        if piece.word(position) == "URIS" and piece.tokens[position + 1].token_type is TokenType.EQ:
            for token in piece.tokens[position + 2 :]:
                if token.token_type is TokenType.R_BRACKET:
                    break
                if token.token_type in (TokenType.STRING, TokenType.RAW_STRING):
                    paths.append(((token.text, True),))
    return Form("load", target, more=tuple(paths)) if target and paths else None


def _apply_changes(piece: Piece) -> Form | None:
    """https://docs.databricks.com/aws/en/ldp/developer/ldp-sql-ref-apply-changes-into: … INTO t FROM STREAM(s)."""
    into, source = _find(piece, "INTO"), _find(piece, "FROM")
    if into is None or source is None:
        return None
    position = _skip(piece, source + 1, "STREAM", "(")
    names = [name_at(piece, place)[0] for place in (into + 1, position)]
    target, read = (name[1:] if len(name) == 2 and name[0][0].upper() == "LIVE" else name for name in names)
    return Form("apply changes", target, read)
