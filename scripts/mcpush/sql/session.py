"""Extracts lineage from SQL text: a statement or a script in one session. Reports statements that cannot be read.

Requires sqlglot, pinned to an exact version because its syntax trees change between minor versions. Never raises
because of the SQL: a statement that cannot be read becomes a `Skip`, and the others are still read. Uses no regular
expressions: statements that sqlglot cannot parse are read from their tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from mcpush.sql import unparsed
from mcpush.sql.dialects import dialect_of, traits_of
from mcpush.sql.forms import Form, read_form
from mcpush.sql.identifiers import with_names
from mcpush.sql.names import Defaults, Namer, Schema, TableName
from mcpush.sql.parsing import (
    MAX_NESTING,
    PARSER_ERRORS,
    Parsed,
    needs_deep_stack,
    on_deep_stack,
    parse,
    parse_tokens,
)
from mcpush.sql.relations import Relation, Temporary
from mcpush.sql.rewrite import call_as_insert, rewritten, with_pipe_stars, with_scripts, without_subscripts
from mcpush.sql.scope import LimitExceededError
from mcpush.sql.script import (
    NO_LINEAGE_VERBS,
    STARTERS,
    block_parts,
    flow_parts,
    is_use,
    reads_previous_result,
    search_path,
    split,
    statements,
    unwrap,
    use_statements,
)
from mcpush.sql.statements import PARTIAL, Effect, StatementLineage, StatementReader
from mcpush.sql.tokens import Parts, Statement, TokenWriter
from mcpush.sql.verbs import HANDLERS

# Longer texts are generated data (INSERT … VALUES with a million rows). Only their table names are extracted.
MAX_PARSED_CHARACTERS = 2_000_000
MAX_PARSED_TOKENS = 200_000
# Number of characters searched for table names in a text that is not parsed.
MAX_NAMED_CHARACTERS = 500_000
EXAMPLE_CHARACTERS = 1_000  # more than is shown, because a secret in it is masked before it is cut
# Longer USE statements are not parsed. LineageLog applies them without a worker, so neither time nor stack is limited.
MAX_USE_TOKENS = 20
# Words of a search path that are not schemas with user tables.
# https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
IGNORED_IN_SEARCH_PATH = ("default", "pg_catalog", "pg_temp")


@dataclass(frozen=True)
class Skip:
    """A statement that could not be read: the reason (a short phrase to count by) and the start of the statement."""

    reason: str
    example: str

    @classmethod
    def of(cls, reason: str, text: str) -> Skip:
        """A skip with the start of the text, on one line, as the example."""
        return cls(reason, " ".join(text[:EXAMPLE_CHARACTERS].split()))


@dataclass(frozen=True)
class Extraction:
    """The result for a text: lineage in statement order, skips, effects on temporary tables, and resulting defaults."""

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
    """Extract the lineage of a statement or a script.

    `defaults` complete unqualified names; `schema` resolves stars and provides the catalog's case; `temporaries` are
    the session's temporary tables so far. `truncated` means that the log truncated the text: only its tables are
    reported, as "partial". `time_limit` is in seconds for the whole text and is checked between steps. For untrusted
    text, use `LineageLog`, which reads it in another process. Raises ValueError for an unknown dialect, and no other
    exception.
    """
    work = _Script(dialect_of(dialect), defaults, schema, temporaries or {}, time_limit)
    work.read(sql, truncated)
    return Extraction(tuple(work.lineages), tuple(work.skips), tuple(work.effects), work.defaults)


def readable(sql: str) -> str:
    """The part of a text that `extract` reads. What is left of a text that is too long is still too long."""
    return sql[: MAX_PARSED_CHARACTERS + 2]  # one character more than the maximum after a byte order mark


def defaults_after(sql: str, dialect: str, defaults: Defaults) -> Defaults:
    """The session's defaults after a text. Reads only USE and similar statements."""
    work = _Script(dialect_of(dialect), defaults, None, {}, None)
    for statement in use_statements(sql, work.dialect):
        work.use(statement)
    return work.defaults


class _Script:
    """The state of one extraction. USE and temporary tables change it."""

    def __init__(
        self,
        dialect: Dialect,
        defaults: Defaults,
        schema: Schema | None,
        temporaries: Mapping[TableName, Temporary],
        time_limit: float | None,
    ) -> None:
        self.dialect = dialect
        self.traits = traits_of(dialect)
        self.schema = schema
        self.defaults = defaults
        self.temporaries = dict(temporaries)
        self.lineages: list[StatementLineage] = []
        self.skips: list[Skip] = []
        self.effects: list[Effect] = []
        self.deadline = time.monotonic() + time_limit if time_limit is not None else None
        self._namer = Namer(dialect, defaults, schema)
        self._namer.temporaries = self.temporaries
        self._parser = dialect.parser()

    def read(self, sql: str, truncated: bool) -> None:
        """Read a text; add the results to `lineages`, `effects` and `skips`."""
        sql = sql.removeprefix("\ufeff")  # byte order mark, added by Windows editors
        if truncated or len(sql) > MAX_PARSED_CHARACTERS:
            self._skip("truncated statement" if truncated else "statement too long", sql)
            self._read_names(sql[:MAX_NAMED_CHARACTERS], is_truncated=True)
            return
        try:
            found = list(self._statements(sql))
        except (TokenError, RecursionError, ValueError):
            self._skip("cannot be tokenized: truncated, or not SQL", sql)
            self._read_names(sql, is_truncated=True)
            return
        for statement in found:
            if self.deadline is not None and time.monotonic() > self.deadline:
                self._skip("time limit exceeded", statement.source)
                break
            self._read_statement(statement)

    # -- one statement ---------------------------------------------------------------------------------------

    def _read_statement(self, statement: Statement) -> None:
        if is_use(statement):
            self.use(statement)
            return
        if statement.word(0) in ("EXECUTE", "EXEC"):
            self._skip("the statement is computed at run time", statement.source)
            return
        if statement.word(0) == "CALL":
            moved = call_as_insert(statement)
            if moved is None:
                return
            statement = moved
        if self.traits.create_sets_default:
            self._enter_created(statement)
        reason = _unsupported_reason(statement)
        if reason is not None:
            self._skip(reason, statement.source)
            return
        statement = with_names(statement)
        form = read_form(statement)
        if form is not None:
            self._form(form, statement)
        elif _is_values_insert(statement):
            self._insert_values(statement)
        elif len(statement) > MAX_PARSED_TOKENS:
            self._skip_with_names("statement too long", statement)
        elif statement.nesting > MAX_NESTING:
            self._skip_with_names("nested too deeply", statement)
        elif needs_deep_stack(statement):
            on_deep_stack(lambda: self._parse_and_read(statement))
        else:
            self._parse_and_read(statement)

    def _statements(self, sql: str) -> Iterator[Statement]:
        for statement in statements(sql, self.dialect):
            for part in flow_parts(statement) if self.traits.flow_operator else [statement]:
                if part is not statement and reads_previous_result(part):
                    self._skip("reads the result of another statement", part.source)
                else:
                    yield part

    def _parse_and_read(self, statement: Statement) -> None:
        try:
            prepared = with_pipe_stars(with_scripts(rewritten(statement)))
            if self.traits.array_subscripts_in_from:
                prepared = without_subscripts(prepared)
            parsed = parse(prepared, self.dialect, self._parser)
            for tree in parsed.trees:
                self._read_tree(tree, statement, parsed)
            if not parsed.trees:
                self._read_parts(statement)
        except LimitExceededError as error:
            self._skip_with_names(str(error), statement)
        except RecursionError:
            self._skip_with_names("nested too deeply", statement)
        except PARSER_ERRORS:
            # An unexpected syntax tree: skip this statement, but not the rest of the script.
            self._skip_with_names("parsed, but not supported", statement)

    def _read_parts(self, statement: Statement) -> None:
        parts = block_parts(statement)
        if not parts:
            self._skip_with_names("cannot be parsed", statement)
            return
        for part in parts:
            for inner in unwrap(part, self.dialect):
                self._read_statement(inner)

    def _read_tree(self, tree: exp.Expr, statement: Statement, parsed: Parsed) -> None:
        if isinstance(tree, (exp.Condition, exp.Alias)) and not isinstance(tree, exp.Query):
            self._skip("not a statement", statement.source)
            return
        reader = StatementReader(self._namer, self.temporaries, HANDLERS, self.deadline)
        reader.read(tree)
        if reader.skip_reason is not None:
            self._skip_with_names(reader.skip_reason, statement)
            return
        lineages = reader.lineages
        if not parsed.certain:
            lineages = [replace(lineage, certainty=PARTIAL) for lineage in lineages if lineage.sources]
        self._keep(lineages, statement, parsed.computed)
        for effect in reader.effects:
            if effect.table.name != parsed.computed:
                self._apply(effect)

    def _keep(self, lineages: Iterable[StatementLineage], statement: Statement, computed: str | None) -> None:
        """Add lineage without names that are computed at run time. Those are counted as skips."""
        for lineage in lineages:
            known = _without_computed(lineage, computed) if computed is not None else lineage
            if known is not lineage:
                self._skip("an object name is computed at run time", statement.source)
            if known is not None:
                self.lineages.append(known)

    def _insert_values(self, statement: Statement) -> None:
        """Record an INSERT … VALUES, which reads no tables. The list of values is not parsed."""
        target, _ = unparsed.table_names(statement.part(0, 40), is_truncated=False)
        if target and target[-1][0] != statement.computed:
            self.lineages.append(StatementLineage(self._namer.table(target), (), (), "insert", moves_data=False))

    # -- the session -----------------------------------------------------------------------------------------

    def _apply(self, effect: Effect) -> None:
        self.effects.append(effect)
        self.temporaries = dict(applied(self.temporaries, effect))
        self._namer.temporaries = self.temporaries

    def use(self, statement: Statement) -> None:
        """Apply USE …, SET CATALOG …, SET search_path TO … or SET @@dataset_id = …."""
        path = search_path(statement)
        if path is not None:
            self._use_path(path)
            return
        if statement.word(1) == "@":
            self._enter(_dataset_set(statement, self.defaults))
            return
        statement = with_names(statement)
        if len(statement) > MAX_USE_TOKENS:
            return
        written = TokenWriter(statement.tokens[0])
        written.write("USE")
        written.keep(statement.tokens[1:])
        tree = parse_tokens(self._parser, written.tokens, statement.text)
        changed = defaults_after_use(tree, self._namer, self.defaults) if isinstance(tree, exp.Use) else None
        if changed is not None:
            self._enter(_without_placeholder(changed, statement.computed))

    def _use_path(self, path: Sequence[Token]) -> None:
        """Apply a search path. A path that lists several schemas in one string is treated as unknown.

        Quoted names keep their case: a user with a schema "Raw" in Redshift has enabled case-sensitive names.
        """
        schemas: list[str] = []
        for token in path:
            if token.text.lower() == "$user":
                schemas += [self.defaults.user_schema] if self.defaults.user_schema else []
            elif token.text.lower() not in IGNORED_IN_SEARCH_PATH:
                is_quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
                schemas.append(token.text if is_quoted else self._namer.fold(token.text))
        if any("," in schema for schema in schemas):
            schemas = []
        self._enter(self.defaults.in_schemas(*schemas))

    def _enter_created(self, statement: Statement) -> None:
        """Apply CREATE DATABASE and CREATE SCHEMA: the new object becomes the session's default."""
        at = statement.skip(1, "OR", "REPLACE", "TRANSIENT")
        kind = statement.word(at)
        if (
            statement.word(0) != "CREATE"
            or kind not in ("DATABASE", "SCHEMA")
            or statement.word(at + 1) in ("IF", "ROLE")
        ):
            return  # with IF NOT EXISTS, the documentation does not say whether the default changes
        names = [self._namer.fold(*part) for part in statement.name_at(at + 1)[0]]
        if names and kind == "DATABASE":
            self._enter(self.defaults.in_database(names[0]).in_schemas())
        elif names:
            database = names[-2] if len(names) > 1 else self.defaults.database
            self._enter(self.defaults.in_database(database).in_schemas(names[-1]))

    def _enter(self, defaults: Defaults) -> None:
        created_columns = self._namer.created_columns
        self.defaults = defaults
        self._namer = Namer(self.dialect, self.defaults, self.schema)
        self._namer.created_columns = created_columns
        self._namer.temporaries = self.temporaries

    # -- statements that sqlglot cannot parse ----------------------------------------------------------------

    def _form(self, form: Form, statement: Statement) -> None:
        target = self._form_name(form.target, form.target_is_path)
        if target is None:
            return
        sources: list[TableName] = []
        if form.query is not None:
            inner = _Script(self.dialect, self.defaults, self.schema, self.temporaries, None)
            inner.deadline = self.deadline
            inner.read(form.query, truncated=False)
            self.skips.extend(inner.skips)
            moved = [replace(lineage, target=target, kind=form.kind) for lineage in inner.lineages]
            self._keep(moved, statement, statement.computed)
            return
        for parts in (form.source, *form.more):
            source = self._form_name(parts, False)
            if source is not None:
                sources.extend(self._reads(source))
        self._keep([StatementLineage(target, tuple(sources), (), form.kind)], statement, statement.computed)

    def _form_name(self, parts: Parts, is_path: bool) -> TableName | None:
        text = parts[-1][0] if parts else ""
        if not text:
            return None
        if is_path or (len(parts) == 1 and ("/" in text or text.startswith("@"))):
            return self._namer.external(text)
        return self._namer.table(parts)

    def _reads(self, name: TableName) -> Sequence[TableName]:
        """The table itself; for a temporary table, its sources."""
        held = self.temporaries.get(name)
        return held.reads if held is not None else (name,)

    def _skip_with_names(self, reason: str, statement: Statement) -> None:
        self._skip(reason, statement.source)
        if statement.word(0) in STARTERS:
            self._add_names(statement, is_truncated=False)

    def _read_names(self, sql: str, is_truncated: bool) -> None:
        for candidate in split(unparsed.tokens_of(sql, self.dialect), sql):
            if candidate.word(0) in STARTERS:
                self._add_names(with_names(candidate), is_truncated)

    def _add_names(self, statement: Statement, is_truncated: bool) -> None:
        target, sources = unparsed.table_names(statement, is_truncated)
        names = [self._namer.table(parts) for parts in sources]
        reads = dict.fromkeys(read for name in names for read in self._reads(name))
        if target or reads:
            is_temporary = unparsed.is_temporary(statement)
            into = self._namer.created(target, is_temporary=is_temporary) if target else None
            if into is not None and into.name != statement.computed and is_temporary:
                self._apply(Effect("create", into, Temporary(tuple(reads), Relation())))
            temporary = into in self.temporaries if into is not None else False
            found = StatementLineage(into, tuple(reads), (), "unparsed", PARTIAL, temporary)
            self._keep([found], statement, statement.computed)

    def _skip(self, reason: str, text: str) -> None:
        self.skips.append(Skip.of(reason, text))


def _without_computed(lineage: StatementLineage, computed: str) -> StatementLineage | None:
    """The lineage without computed names: the same object if it has none, None if nothing is left."""
    sources = tuple(source for source in lineage.sources if source.name != computed)
    columns = tuple(
        edge for edge in lineage.columns if computed not in (edge.source.name, edge.source_column, edge.target_column)
    )
    if lineage.target is not None and lineage.target.name == computed:
        return replace(lineage, target=None, sources=sources, columns=(), temporary=False) if sources else None
    if len(sources) == len(lineage.sources) and len(columns) == len(lineage.columns):
        return lineage
    return replace(lineage, sources=sources, columns=columns)


def applied(temporaries: Mapping[TableName, Temporary], effect: Effect) -> Mapping[TableName, Temporary]:
    """The session's temporary tables after an effect. Does not modify `temporaries`."""
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


def defaults_after_use(tree: exp.Expr, namer: Namer, defaults: Defaults) -> Defaults | None:
    """The session's defaults after USE …; None if it does not change them (USE ROLE, USE WAREHOUSE)."""
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
    if kind == "CATALOG":
        return defaults.in_database(names[0])
    if kind == "SCHEMA" or namer.traits.use_names_schema:
        return defaults.in_schemas(names[0])
    return defaults.in_database(names[0])


def _without_placeholder(defaults: Defaults, computed: str | None) -> Defaults:
    """The defaults with None in place of a name that is computed at run time."""
    if computed is not None and defaults.database == computed:
        defaults = defaults.in_database(None)
    return defaults.in_schemas() if computed is not None and defaults.schema == computed else defaults


def _dataset_set(statement: Statement, defaults: Defaults) -> Defaults:
    """The defaults after BigQuery's SET @@dataset_id = 'd' or SET @@dataset_project_id = 'p'."""
    name = statement.tokens[-1].text if len(statement) == 6 and statement.kind(5) is TokenType.STRING else None
    if statement.word(3) == "DATASET_PROJECT_ID":
        return defaults.in_database(name)
    return defaults.in_schemas(name) if name is not None else defaults.in_schemas()


def _unsupported_reason(statement: Statement) -> str | None:
    """The reason to skip a statement that might move data; None if the statement is supported."""
    first = statement.word(0)
    if first in NO_LINEAGE_VERBS:  # only possible if its result is piped into a statement: SHOW … ->> INSERT …
        return "reads the result of a command"
    if first == "CREATE":
        for position, word in enumerate(statement.words(1, 8), start=1):
            if word in ("PROCEDURE", "PROC"):  # SQL procedures are already split into the statements of their bodies
                return "a procedure in another language contains SQL"
            if word in ("SCHEMA", "DATABASE"):
                clones = "CLONE" in statement.words(position + 2)
                return "clones a whole schema or database" if clones else None
            if word in ("TABLE", "VIEW"):
                break
    return None


def _is_values_insert(statement: Statement) -> bool:
    """Whether the statement is an INSERT … VALUES without a keyword that could read a table."""
    if statement.word(0) != "INSERT" or len(statement) < 4:
        return False
    if not any(token.text.upper() == "VALUES" for token in statement.tokens[:12]):
        return False
    reading = {TokenType.SELECT, TokenType.FROM, TokenType.WITH, TokenType.INTO}
    return sum(token.token_type in reading for token in statement.tokens) <= 1
