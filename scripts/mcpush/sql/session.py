"""From SQL text to lineage: one statement or a script, in one session, with what could not be read.

Needs sqlglot (pinned exactly: the shape of its trees changes between minor versions). Never raises for what the text
holds: a statement that cannot be read becomes a `Skip`, and its neighbours are read all the same. No regular
expressions: what sqlglot does not parse is read from its tokens.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.redshift import Redshift
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql import unparsed
from mcpush.sql.forms import Form, Parts, name_at, read_form, rewritten
from mcpush.sql.names import EXTERNAL, Defaults, Namer, Schema, TableName, dialect_of
from mcpush.sql.query import Temporary, TooCostly
from mcpush.sql.relations import Relation
from mcpush.sql.rewrite import (
    COMPUTED,
    called,
    plain_create,
    plain_words,
    with_names,
    with_pipe_stars,
    with_scripts,
    without_subscripts,
)
from mcpush.sql.script import (
    SILENT,
    STARTERS,
    Piece,
    block_parts,
    flow_parts,
    is_use,
    line_starts,
    nesting,
    pieces,
    reads_flow,
    search_path,
    unwrapped,
    uses,
)
from mcpush.sql.statements import PARTIAL, Effect, StatementLineage, StatementReader

# Longer texts are generated data (INSERT … VALUES with a million rows), not lineage: only their table names are read.
MAX_PARSED_CHARACTERS = 2_000_000
MAX_PARSED_TOKENS = 200_000
# Of a text that is not parsed, this much is searched for table names.
MAX_NAMED_CHARACTERS = 500_000
# sqlglot recurses in C for every bracket. Up to SHALLOW the stack of any thread will do; up to MAX_NESTING a thread
# with DEEP_STACK bytes does (measured: below 8 KB a level); beyond, only the tokens are read.
SHALLOW = 100
MAX_NESTING = 25_000
DEEP_STACK = 512 * 1024 * 1024
# Tokens without brackets can nest too (NOT NOT NOT …): this many need no more stack than SHALLOW brackets.
SHALLOW_TOKENS = 2_000
EXAMPLE_CHARACTERS = 200
# Words of a search path that are not schemas with tables of the user's.
# https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
OUTSIDE_OF_PATHS = ("default", "pg_catalog", "pg_temp")

# Statements in words of one dialect reach logs of another (federated engines, mislabelled logs). When the session's
# own grammar fails, these are tried, and the result is marked as less certain.
OTHER_GRAMMARS = ("databricks", "snowflake", "bigquery", "postgres", "tsql", "mysql", "teradata", "oracle")
MAX_RETRIED_CHARACTERS = 50_000

# sqlglot warns on the root logger's stream of every statement it does not know. Those are counted here as skips.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Skip:
    """Something that could not be read: why (a short, countable phrase), and the beginning of the statement."""

    reason: str
    example: str


@dataclass(frozen=True)
class Extraction:
    """What a text does: lineage in the order of its statements, what was skipped, and the session after it."""

    lineages: tuple[StatementLineage, ...] = ()
    skips: tuple[Skip, ...] = ()
    effects: tuple[Effect, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)


def extract(
    sql: str,
    dialect: str,
    defaults: Defaults = Defaults(),  # noqa: B008  frozen
    schema: Schema | None = None,
    *,
    temporaries: Mapping[TableName, Temporary] | None = None,
    truncated: bool = False,
    time_limit: float | None = 30.0,
) -> Extraction:
    """Reads a statement or a script.

    `defaults` complete unqualified names; `schema` resolves stars and gives names the catalog's case; `temporaries`
    are the session's temporary tables so far. `truncated` says that the text was cut by the log that kept it: then
    only the tables before the cut are reported, as "partial". `time_limit` is in seconds, for the whole text, and is
    looked at between steps: a caller that cannot trust the text at all uses `LineageLog`, which reads it in another
    process. Raises ValueError for an unknown dialect; for nothing else.
    """
    work = _Script(dialect_of(dialect), defaults, schema, temporaries or {}, time_limit)
    work.read(sql.removeprefix("\ufeff"), truncated)
    return Extraction(tuple(work.lineages), tuple(work.skips), tuple(work.effects), work.defaults)


def defaults_after(sql: str, dialect: str, defaults: Defaults) -> Defaults:
    """The session's defaults after a text, of which only USE and its relatives are read."""
    work = _Script(dialect_of(dialect), defaults, None, {}, None)
    for piece in uses(sql, work.dialect):
        work.use(piece)
    return work.defaults


class _Script:
    """The state of one extraction: it changes with USE and with every temporary table."""

    def __init__(
        self,
        dialect: Dialect,
        defaults: Defaults,
        schema: Schema | None,
        temporaries: Mapping[TableName, Temporary],
        time_limit: float | None,
    ) -> None:
        self.dialect = dialect
        self.schema = schema
        self.defaults = defaults
        self.temporaries = dict(temporaries)
        self.lineages: list[StatementLineage] = []
        self.skips: list[Skip] = []
        self.effects: list[Effect] = []
        self.deadline = time.monotonic() + time_limit if time_limit is not None else None
        self._namer = Namer(dialect, defaults, schema)
        self._parser = dialect.parser()

    def read(self, sql: str, truncated: bool) -> None:
        sql = sql.removeprefix("\ufeff")  # the mark that Windows editors put before the first statement
        if truncated or len(sql) > MAX_PARSED_CHARACTERS:
            self._skip("truncated statement" if truncated else "statement too long", sql)
            self._read_names(sql[:MAX_NAMED_CHARACTERS], is_cut=True)
            return
        try:
            found = list(self._statements(sql))
        except (TokenError, RecursionError, ValueError):
            self._skip("cannot be split into words: cut off, or not SQL", sql)
            self._read_names(sql, is_cut=True)
            return
        for position, piece in enumerate(found):
            if self.deadline is not None and time.monotonic() > self.deadline:
                self._skip("over the time limit", piece.source)
                break
            self._read_piece(piece, alone=len(found) == 1 and position == 0)

    # -- one statement ---------------------------------------------------------------------------------------

    def _read_piece(self, piece: Piece, alone: bool = False) -> None:
        if is_use(piece):
            self.use(piece)
            return
        if piece.word(0) in ("EXECUTE", "EXEC"):
            self._skip("the statement is computed at run time", piece.source)
            return
        if piece.word(0) == "CALL":
            moved = called(piece)
            if moved is None:
                return
            piece = moved
        if isinstance(self.dialect, Snowflake):
            self._enter_created(piece)
        reason = _beyond_reading(piece)
        if reason is not None:
            self._skip(reason, piece.source)
            return
        piece = with_names(piece)
        form = read_form(piece)
        if form is not None:
            self._form(form)
            return
        if _only_values(piece):
            self._insert_values(piece)
            return
        if len(piece.tokens) > MAX_PARSED_TOKENS:
            self._unread("statement too long", piece)
            return
        depth = nesting(piece.tokens)
        if depth > MAX_NESTING:
            self._unread("nested too deep", piece)
        elif depth > SHALLOW or len(piece.tokens) > SHALLOW_TOKENS:
            _on_deep_stack(lambda: self._parse_and_read(piece))
        else:
            self._parse_and_read(piece)

    def _statements(self, sql: str) -> Iterator[Piece]:
        for piece in pieces(sql, self.dialect):
            for part in flow_parts(piece) if isinstance(self.dialect, Snowflake) else [piece]:
                if part is not piece and reads_flow(part):
                    self._skip("the result of a statement goes into another", part.source)
                else:
                    yield part

    def _parse_and_read(self, piece: Piece) -> None:
        try:
            told = with_pipe_stars(with_scripts(rewritten(piece)))
            if isinstance(self.dialect, Redshift):
                told = without_subscripts(told)
            trees, certain = self._parse(told)
            for tree in trees:
                self._read_tree(tree, piece, certain)
            if not trees:
                self._read_parts(piece)
        except TooCostly as error:
            self._unread(str(error), piece)
        except RecursionError:
            self._unread("nested too deep", piece)
        except (SqlglotError, AttributeError, KeyError, IndexError, TypeError, ValueError):
            # A tree of a shape nobody has met: the statement is lost, the script is not.
            self._unread("understood by the parser only", piece)

    def _read_parts(self, piece: Piece) -> None:
        parts = block_parts(piece)
        if not parts:
            self._unread("cannot be parsed", piece)
            return
        for part in parts:
            for inner in unwrapped(part, self.dialect):
                self._read_piece(inner)

    def _parse(self, piece: Piece) -> tuple[list[exp.Expr], bool]:
        tree = self._parsed_by(self._parser, piece.tokens, piece.text)
        if tree is not None and not isinstance(tree, exp.Command):
            return [tree], True
        simple = plain_words(piece)
        for plain in (plain_create(piece), simple, plain_create(simple) if simple is not None else None):
            if plain is None:
                continue
            told = self._parsed_by(self._parser, plain.tokens, plain.text)
            if told is not None and not isinstance(told, exp.Command):
                return [told], True
        starts = line_starts(piece)
        if starts:
            several = self._parse_lines(piece, starts)
            if several:
                return several, True
        if piece.word(0) in STARTERS and len(piece.source) <= MAX_RETRIED_CHARACTERS:
            other = self._parse_elsewhere(piece)
            if other is not None:
                return [other], False
        return ([tree], True) if tree is not None else ([], False)

    def _parse_lines(self, piece: Piece, starts: Sequence[int]) -> list[exp.Expr]:
        """Statements one below the other without semicolons, if that reads every one of them."""
        trees: list[exp.Expr] = []
        bounds = [0, *starts, len(piece.tokens)]
        begin = 0
        for end in bounds[1:]:
            tree = self._parsed_by(self._parser, piece.tokens[begin:end], piece.text)
            if tree is None or isinstance(tree, exp.Command):
                continue
            trees.append(tree)
            begin = end
        return trees if begin == len(piece.tokens) else []

    def _parse_elsewhere(self, piece: Piece) -> exp.Expr | None:
        source = piece.source
        for name in OTHER_GRAMMARS:
            dialect = dialect_of(name)
            if type(dialect) is type(self.dialect):
                continue
            try:
                tokens = dialect.tokenize(source)
            except TokenError:
                continue
            tree = self._parsed_by(dialect.parser(), with_names(Piece(tokens, source)).tokens, source)
            if tree is not None and not isinstance(tree, exp.Command):
                return tree
        return None

    @staticmethod
    def _parsed_by(parser: object, tokens: Sequence[Token], text: str) -> exp.Expr | None:
        try:
            trees = [tree for tree in parser.parse(list(tokens), text) if tree is not None]  # type: ignore[attr-defined]
        except (SqlglotError, AttributeError, KeyError, IndexError, TypeError, ValueError):
            return None
        return trees[0] if len(trees) == 1 else None

    def _read_tree(self, tree: exp.Expr, piece: Piece, certain: bool) -> None:
        if isinstance(tree, (exp.Condition, exp.Alias)) and not isinstance(tree, exp.Query):
            self._skip("not a statement", piece.source)
            return
        reader = StatementReader(self._namer, self.temporaries, self.deadline)
        reader.read(tree)
        if reader.unread is not None:
            self._unread(reader.unread, piece)
            return
        lineages = reader.lineages
        if not certain:
            lineages = [replace(lineage, certainty=PARTIAL) for lineage in lineages if lineage.sources]
        self._keep(lineages, piece)
        for effect in reader.effects:
            if effect.table.name != COMPUTED:
                self._apply(effect)

    def _keep(self, lineages: Iterable[StatementLineage], piece: Piece) -> None:
        """Adds lineage without what has no name before run time, which is counted."""
        for lineage in lineages:
            known = _without_computed(lineage)
            if known is not lineage:
                self._skip("a name is computed at run time", piece.source)
            if known is not None:
                self.lineages.append(known)

    def _insert_values(self, piece: Piece) -> None:
        """INSERT … VALUES reads no table, however long it is."""
        target, _ = unparsed.table_names(Piece(piece.tokens[:40], piece.text), is_cut=False)
        if target:
            self.lineages.append(StatementLineage(self._namer.table(target), (), (), "insert", moves_data=False))

    # -- the session -----------------------------------------------------------------------------------------

    def _apply(self, effect: Effect) -> None:
        self.effects.append(effect)
        self.temporaries = dict(applied(self.temporaries, effect))

    def use(self, piece: Piece) -> None:
        """Applies USE …, SET CATALOG …, SET search_path TO … or SET @@dataset_id = …."""
        path = search_path(piece)
        if path is not None:
            self._use_path(path)
            return
        if piece.word(1) == "@":
            self._enter(_dataset_set(piece, self.defaults))
            return
        piece = with_names(piece)
        first = piece.tokens[0]
        use = Token(TokenType.USE, "USE", first.line, first.col, first.start, first.end)
        tree = self._parsed_by(self._parser, [use, *piece.tokens[1:]], piece.text)
        changed = used(tree, self._namer, self.defaults) if isinstance(tree, exp.Use) else None
        if changed is not None:
            self._enter(changed)

    def _use_path(self, path: Sequence[Token]) -> None:
        """Applies a search path; one that is a list in a single string stays unknown."""
        schemas: list[str] = []
        for token in path:
            if token.text.lower() == "$user":
                schemas += [self.defaults.user_schema] if self.defaults.user_schema else []
            elif token.text.lower() not in OUTSIDE_OF_PATHS:
                is_quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
                schemas.append(self._namer.fold(token.text, is_quoted))
        if any("," in schema for schema in schemas):
            schemas = []
        self._enter(self.defaults.in_schemas(*schemas))

    def _enter_created(self, piece: Piece) -> None:
        """CREATE DATABASE and CREATE SCHEMA go on in what they made, in Snowflake alone.

        https://docs.snowflake.com/en/sql-reference/sql/create-schema#general-usage-notes
        """
        at = 1
        while piece.word(at) in ("OR", "REPLACE", "TRANSIENT"):
            at += 1
        kind = piece.word(at)
        if piece.word(0) != "CREATE" or kind not in ("DATABASE", "SCHEMA") or piece.word(at + 1) in ("IF", "ROLE"):
            return  # of one that may be there already the page does not say it
        names = [self._namer.fold(*part) for part in name_at(piece, at + 1)[0]]
        if names and kind == "DATABASE":
            self._enter(self.defaults.in_database(names[0]).in_schemas())
        elif names:
            database = names[-2] if len(names) > 1 else self.defaults.database
            self._enter(self.defaults.in_database(database).in_schemas(names[-1]))

    def _enter(self, defaults: Defaults) -> None:
        made = self._namer.made
        # A name computed at run time is no name.
        if defaults.database == COMPUTED:
            defaults = defaults.in_database(None)
        if defaults.schema == COMPUTED:
            defaults = defaults.in_schemas()
        self.defaults = defaults
        self._namer = Namer(self.dialect, self.defaults, self.schema)
        self._namer.made = made

    # -- what sqlglot does not parse -------------------------------------------------------------------------

    def _form(self, form: Form) -> None:
        target = self._form_name(form.target, form.target_is_path)
        if target is None:
            return
        sources: list[TableName] = []
        if form.query is not None:
            inner = _Script(self.dialect, self.defaults, self.schema, self.temporaries, None)
            inner.deadline = self.deadline
            inner.read(form.query, truncated=False)
            self.skips.extend(inner.skips)
            for lineage in inner.lineages:
                self.lineages.append(replace(lineage, target=target, kind=form.kind))
            return
        for parts in (form.source, *form.more):
            source = self._form_name(parts, False)
            if source is not None:
                held = self.temporaries.get(source)
                sources.extend(held.reads if held is not None else (source,))
        self.lineages.append(StatementLineage(target, tuple(sources), (), form.kind))

    def _form_name(self, parts: Parts, is_path: bool) -> TableName | None:
        if not parts:
            return None
        text = parts[-1][0]
        if is_path or (len(parts) == 1 and ("/" in text or text.startswith("@"))):
            return self._namer.external(text)
        return self._namer.table(parts)

    def _unread(self, reason: str, piece: Piece) -> None:
        self._skip(reason, piece.source)
        if piece.word(0) in STARTERS:
            self._add_names(piece, is_cut=False)

    def _read_names(self, sql: str, is_cut: bool) -> None:
        for candidate in _cut_pieces(sql, self.dialect):
            if candidate.word(0) in STARTERS:
                self._add_names(with_names(candidate), is_cut)

    def _add_names(self, piece: Piece, is_cut: bool) -> None:
        target, sources = unparsed.table_names(piece, is_cut)
        names = [self._namer.table(parts) for parts in sources]
        reads: dict[TableName, None] = {}
        for name in names:
            held = self.temporaries.get(name)
            for read in held.reads if held is not None else (name,):
                reads.setdefault(read)
        if target or reads:
            into = self._namer.table(target) if target else None
            if into is not None and into.name != COMPUTED and unparsed.is_temporary(piece):
                self._apply(Effect("create", into, Temporary(tuple(reads), Relation())))
            temporary = into in self.temporaries if into is not None else False
            self._keep([StatementLineage(into, tuple(reads), (), "unparsed", PARTIAL, temporary)], piece)

    def _skip(self, reason: str, text: str) -> None:
        self.skips.append(Skip(reason, " ".join(text[: EXAMPLE_CHARACTERS * 2].split())[:EXAMPLE_CHARACTERS]))


def _without_computed(lineage: StatementLineage) -> StatementLineage | None:
    """The same lineage when all its names are known, else without the computed ones; None when nothing is left."""
    sources = tuple(source for source in lineage.sources if source.name != COMPUTED)
    columns = tuple(
        edge for edge in lineage.columns if COMPUTED not in (edge.source.name, edge.source_column, edge.target_column)
    )
    if lineage.target is not None and lineage.target.name == COMPUTED:
        return replace(lineage, target=None, sources=sources, columns=(), temporary=False) if sources else None
    if len(sources) == len(lineage.sources) and len(columns) == len(lineage.columns):
        return lineage
    return replace(lineage, sources=sources, columns=columns)


def applied(temporaries: Mapping[TableName, Temporary], effect: Effect) -> Mapping[TableName, Temporary]:
    """The session's temporary tables after an effect; the mapping given is left as it was."""
    held = temporaries.get(effect.table)
    if effect.action == "create" and effect.content is not None:
        return {**temporaries, effect.table: effect.content}
    if effect.action == "fill" and effect.content is not None:
        return {**temporaries, effect.table: held.merged(effect.content) if held is not None else effect.content}
    if held is None:
        return temporaries
    rest = {name: content for name, content in temporaries.items() if name != effect.table}
    if effect.action == "rename" and effect.to is not None:
        rest[effect.to] = held
    return rest


def used(tree: exp.Expr, namer: Namer, defaults: Defaults) -> Defaults | None:
    """The session's defaults after USE …; None when it changes none (USE ROLE, USE WAREHOUSE)."""
    kind = str(tree.args.get("kind") or "").upper()
    table = tree.this
    if kind in ("ROLE", "WAREHOUSE", "SECONDARY ROLES") or table is None:
        return None
    parts = table.parts if isinstance(table, exp.Table) else [table]
    names = [namer.fold(part.name, bool(part.args.get("quoted"))) for part in parts]
    if not all(names):
        return None
    if len(names) > 1:
        return defaults.in_database(names[-2]).in_schemas(names[-1])
    dialect = type(namer.dialect).__name__
    if kind == "CATALOG":
        return defaults.in_database(names[0])
    # In Spark's words a database is a schema; in Hive and MySQL there is no level above it.
    if kind == "SCHEMA" or dialect in ("Databricks", "Spark", "Spark2", "Hive", "MySQL", "ClickHouse"):
        return defaults.in_schemas(names[0])
    return defaults.in_database(names[0])


def _dataset_set(piece: Piece, defaults: Defaults) -> Defaults:
    """BigQuery's SET @@dataset_id = 'd' and SET @@dataset_project_id = 'p'."""
    last = piece.tokens[-1]
    name = last.text if len(piece.tokens) == 6 and last.token_type is TokenType.STRING else COMPUTED
    is_dataset = piece.word(3) == "DATASET_ID"
    return defaults.in_schemas(name) if is_dataset else defaults.in_database(name)


def _beyond_reading(piece: Piece) -> str | None:
    """Why a statement that may move data is not read at all; None for all others."""
    first = piece.word(0)
    if first in SILENT:  # those come only when their result flows on: SHOW … ->> INSERT …
        return "the result of a command goes into a statement"
    if first == "CREATE":
        for position in range(1, min(len(piece.tokens), 8)):
            word = piece.word(position)
            if word in ("PROCEDURE", "PROC"):  # those in SQL came as the statements of their bodies
                return "a procedure in another language holds SQL"
            if word in ("SCHEMA", "DATABASE"):
                clones = any(piece.word(at) == "CLONE" for at in range(position + 2, len(piece.tokens)))
                return "a whole schema or database is cloned" if clones else None
            if word in ("TABLE", "VIEW"):
                break
    return None


def _cut_pieces(sql: str, dialect: Dialect) -> Iterable[Piece]:
    tokens = unparsed.tokens_of(sql, dialect)
    begin = 0
    for position, token in enumerate(tokens):
        if token.text == ";":
            yield Piece(tokens[begin:position], sql)
            begin = position + 1
    yield Piece(tokens[begin:], sql)


def _only_values(piece: Piece) -> bool:
    """Whether an INSERT lists its rows: no word in it could read a table."""
    if piece.word(0) != "INSERT" or len(piece.tokens) < 4:
        return False
    words = {token.text.upper() for token in piece.tokens[:12]}
    if "VALUES" not in words:
        return False
    reading = {TokenType.SELECT, TokenType.FROM, TokenType.WITH, TokenType.INTO}
    return sum(token.token_type in reading for token in piece.tokens) <= 1


_deep_stack_lock = threading.Lock()


def _on_deep_stack(work: object) -> None:
    """Runs `work` in a thread whose stack is large enough for MAX_NESTING levels of recursion in C."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            failure.append(error)

    with _deep_stack_lock:  # the size is a setting of the process, for the threads started next
        before = threading.stack_size(DEEP_STACK)
        try:
            thread = threading.Thread(target=run, name="sql-lineage", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    if failure:
        raise failure[0]


__all__ = [
    "EXTERNAL",
    "Defaults",
    "Extraction",
    "Schema",
    "Skip",
    "StatementLineage",
    "TableName",
    "applied",
    "extract",
    "used",
]
