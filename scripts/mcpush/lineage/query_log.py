"""Extracts lineage targets from a query log, and handles sessions, temporary tables and repeated statements.

    rows = (LoggedStatement(row.text, row.session, Defaults(row.database, row.schema), row.start) for row in rows)
    yield from statement_lineage(rows, "snowflake", full_name, options.skip, schema=schema)

Callers that do not need full names can use `LineageLog` directly. Worker processes parse the statements (workers.py).
Repeats are parsed once (fingerprint.py). The statements of each session are applied in order. Memory is bounded:
statements are discarded, caches have a maximum size, only distinct edges are stored. Requires sqlglot, unlike graph.py.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

from mcpush.interrupts import stop_if_asked
from mcpush.lineage import graph
from mcpush.lineage.fingerprint import Fingerprint, digest
from mcpush.lineage.graph import PARSED, PARTIAL, LineageTarget, Target
from mcpush.lineage.worker import Job
from mcpush.lineage.workers import Pool, cores
from mcpush.records import Asset
from mcpush.sql.dialects import dialect_of
from mcpush.sql.names import Defaults, Namer, Schema, TableName
from mcpush.sql.relations import Temporary
from mcpush.sql.session import Extraction, applied, defaults_after, extract, readable
from mcpush.sql.statements import StatementLineage

# Distinct statements whose lineage is cached for repeats (about 2 KB each).
CACHE_SIZE = 50_000
# Sessions with temporary tables or a USE. Above this number, the oldest are dropped.
MAX_SESSIONS = 20_000
# Distinct statements being parsed. Above this number, adding a statement waits for results.
MAX_WAITING = 5_000

# Longer texts are not searched for USE.
MAX_USE_CHARACTERS = 100_000
# Matches every text that changes the defaults. A false positive only costs a run of the tokenizer.
_USE = re.compile(r"(?i)(?<![\w$.\"`])(?:USE\s|SET\s+(?:CATALOG\s|@@DATASET_)|SEARCH_PATH\b)")

# Statements that copy or move whole tables, so that columns keep their names.
SAME_COLUMNS = frozenset({"rename", "swap", "clone", "append", "exchange partition", "create stream"})

Key = tuple[bytes, Defaults, bool, bytes]
K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A bounded cache. Drops entries that were not used while half of `size` other entries were added."""

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self[key] = found
        return found

    def __setitem__(self, key: K, value: V) -> None:
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def pop(self, key: K) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)


@dataclass
class _Result:
    """The result of one distinct statement, shared by all its repeats."""

    found: Extraction
    tables: frozenset[TableName]
    merged: bool = False


@dataclass
class _Session:
    """The state of a session that affects its later statements."""

    temporaries: Mapping[TableName, Temporary] = field(default_factory=dict)
    # Identifies the content of `temporaries`: a hash of the statements that created it.
    signature: bytes = b""
    given: Defaults | None = None  # the logged defaults when USE was read
    chosen: Defaults | None = None  # the defaults after USE
    waiting: deque[_Item] = field(default_factory=deque)


@dataclass
class _Item:
    """A statement that has not been applied yet. `unordered` means that its order is unknown."""

    text: str
    key: Key
    unordered: bool
    result: _Result | None = None


class LineageLog:
    """Collects the lineage of a query log. Add statements in the order of the log, then read the targets.

    `schema` is the catalog: it resolves stars and provides the catalog's case. `workers` is the number of processes:
    None for up to one per core, started on demand; 0 to parse in this process. `time_limit` is in seconds per
    statement; with 0 workers it cannot stop a parser that never returns. `is_temporary` identifies permanent tables
    that are used as temporary ones (dbt's `…__dbt_tmp`): edges bypass them and point to their sources.
    Not thread-safe. Raises ValueError for an unknown dialect.
    """

    def __init__(
        self,
        dialect: str,
        *,
        schema: Schema | None = None,
        workers: int | None = None,
        time_limit: float = 10.0,
        is_temporary: Callable[[TableName], bool] | None = None,
        origin: str = "query_text",
    ) -> None:
        self.dialect = dialect
        self.schema = schema
        self.time_limit = time_limit
        self.origin = origin
        self.statements = 0
        self.distinct = 0  # statements that were not repeats
        self.skipped: dict[str, tuple[int, str]] = {}
        self._is_temporary = is_temporary
        self._fingerprint = Fingerprint(dialect_of(dialect))
        self._targets: dict[graph.Key, Target[TableName]] = {}
        self._copied: dict[graph.Key, set[graph.Key]] = {}  # target -> sources with the same columns
        self._sessions: dict[str | None, _Session] = {}
        self._results: Recent[Key, _Result] = Recent(CACHE_SIZE)
        self._exact: Recent[bytes, bytes] = Recent(CACHE_SIZE)
        self._unordered_temporaries: set[TableName] = set()
        self._numbers = itertools.count()
        self._keys_by_job: dict[int, Key] = {}  # job number -> key of its statement
        self._pending: dict[Key, list[tuple[str | None, _Item]]] = {}
        count = cores() if workers is None else workers
        self._pool = Pool(dialect, schema, count, time_limit) if count > 0 else None

    def __enter__(self) -> LineageLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(
        self,
        text: str,
        *,
        session: str | None = None,
        defaults: Defaults = Defaults(),  # noqa: B008  frozen
        at: datetime | None = None,
        truncated: bool = False,
    ) -> None:
        """Add one statement of the log.

        `session` determines which temporary tables it sees; add the statements of a session in order. `defaults` are
        the database and schema that it ran in, according to the log. A USE in an earlier statement of the session
        overrides them until the logged defaults change. `at` is when it ran. Without session and time, the order is
        unknown, and temporary tables are resolved by name over the whole log. `truncated`: the log truncated the text.
        """
        self.statements += 1
        state = self._sessions.get(session)
        defaults = self._defaults(state, defaults)
        changed = self._changed(text, defaults)
        self._queue(text, session, defaults, truncated, unordered=session is None and at is None)
        if changed != defaults:
            self._use(session, defaults, changed)

    def _queue(self, text: str, session: str | None, defaults: Defaults, truncated: bool, *, unordered: bool) -> None:
        """Queue a statement. Uses the cached result of an earlier repeat, or requests parsing."""
        state = self._sessions.get(session)
        key: Key = (digest(text, b"text") if truncated else self._key(text), defaults, truncated, b"")
        result = self._results.get(key)
        idle = state is None or not (state.waiting or state.temporaries)
        if idle and result is not None and result.merged and not (result.found.effects or result.found.skips):
            return  # a repeat without effects, in a session without state
        if state is None:
            state = self._sessions[session] = _Session()
        item = _Item(readable(text), key, unordered, result)
        state.waiting.append(item)
        if result is None:
            self._request(session, item)
        self._drain(session)
        self._collect(wait=len(self._pending) > MAX_WAITING)

    def targets(self) -> Iterator[Target[TableName]]:
        """The targets of the whole log with their sources, merged and sorted by name. Bypasses temporary tables."""
        self.flush()
        for key, target in self._targets.items():
            for source in self._copied.get(key, set()) & self._targets.keys():
                target.copy_columns(self._targets[source])
        by_name = dict(sorted(self._targets.items(), key=lambda item: str(item[1].asset)))
        for found in graph.bypass_missing_tables(by_name, self._is_permanent, drop_unknown=True):
            yield found.ordered()

    def _is_permanent(self, table: TableName) -> bool:
        if table in self._unordered_temporaries or table.is_in_session_schema:
            return False
        return self._is_temporary is None or not self._is_temporary(table)

    def flush(self) -> None:
        """Wait until every statement added so far is parsed and applied."""
        while self._pending:
            self._collect(wait=True)

    def close(self) -> None:
        """Stop the worker processes. Targets of statements applied so far can still be read."""
        if self._pool is not None:
            self._pool.close()
        self._pending.clear()
        self._keys_by_job.clear()

    # -- before a statement is read --------------------------------------------------------------------------

    @staticmethod
    def _defaults(state: _Session | None, given: Defaults) -> Defaults:
        if state is None or state.chosen is None:
            return given
        if state.given == given:
            return state.chosen
        state.given = state.chosen = None  # the logged defaults changed and take precedence
        return given

    def _changed(self, text: str, defaults: Defaults) -> Defaults:
        """The session's defaults after the statement. A fast regex search rules out most texts."""
        found = _USE.search(text) if len(text) < MAX_USE_CHARACTERS else None
        return defaults_after(text, self.dialect, defaults) if found else defaults

    def _use(self, session: str | None, defaults: Defaults, changed: Defaults) -> None:
        state = self._sessions.setdefault(session, _Session())
        if state.chosen is None:
            state.given = defaults
        state.chosen = changed

    def _key(self, text: str) -> bytes:
        exact = digest(text)
        known = self._exact.get(exact)
        if known is None:
            known = self._fingerprint.key(text)
            self._exact[exact] = known
        return known

    # -- reading ---------------------------------------------------------------------------------------------

    def _request(
        self, session: str | None, item: _Item, temporaries: Mapping[TableName, Temporary] | None = None
    ) -> None:
        """Request that a statement is parsed, unless a request with the same key is pending."""
        waiting = self._pending.get(item.key)
        if waiting is not None:
            waiting.append((session, item))
            return
        self._pending[item.key] = [(session, item)]
        self.distinct += 1
        number = next(self._numbers)
        self._keys_by_job[number] = item.key
        job = Job(number, item.text, item.key[1], temporaries, item.key[2])
        if self._pool is not None:
            self._pool.submit(job)
        else:
            found = extract(
                job.text,
                self.dialect,
                job.defaults,
                self.schema,
                temporaries=job.temporaries,
                truncated=job.truncated,
                time_limit=self.time_limit,
            )
            self._store_result(number, found)

    def _collect(self, wait: bool) -> None:
        if self._pool is not None and self._pending:
            for number, found in self._pool.results(wait):
                self._store_result(number, found)

    def _store_result(self, number: int, found: Extraction) -> None:
        key = self._keys_by_job.pop(number)
        tables = frozenset(
            table for lineage in found.lineages for table in (lineage.target, *lineage.sources) if table is not None
        )
        namer = Namer(dialect_of(self.dialect), key[1], self.schema)
        tables |= {namer.created_as(table) for table in tables if table.is_in_session_schema}
        if namer.defaults.search_path:
            tables |= {namer.temporary((table.name, True)) for table in tables}
        result = _Result(found, tables | {effect.table for effect in found.effects})
        self._results[key] = result
        sessions = []
        for session, item in self._pending.pop(key, ()):
            item.result = result
            sessions.append(session)
        for session in dict.fromkeys(sessions):
            self._drain(session)

    # -- applying results in session order -------------------------------------------------------------------

    def _drain(self, session: str | None) -> None:
        state = self._sessions.get(session)
        if state is None:
            return
        while state.waiting:
            item = state.waiting[0]
            if item.result is None:
                return
            named = {} if item.key[3] else self._named_temporaries(state, item.result)
            if named:
                item.key = (*item.key[:3], state.signature)
                item.result = self._results.get(item.key)
                if item.result is None:
                    self._request(session, item, named)
                    return  # the result calls this method again
            state.waiting.popleft()
            self._apply(state, item, item.result)
        self._forget(session, state)

    @staticmethod
    def _named_temporaries(state: _Session, result: _Result) -> Mapping[TableName, Temporary]:
        """The session's temporary tables that a statement names, according to its result without any of them."""
        held = state.temporaries
        return {table: held[table] for table in result.tables if table in held}

    def _apply(self, state: _Session, item: _Item, result: _Result) -> None:
        found = result.found
        for skip in found.skips:
            count, example = self.skipped.get(skip.reason, (0, skip.example))
            self.skipped[skip.reason] = (count + 1, example)
        if not result.merged:
            result.merged = True
            for lineage in found.lineages:
                if item.unordered or not lineage.temporary:
                    self._add_edges(self._with_catalog_columns(lineage))
        if item.unordered:
            self._unordered_temporaries.update(effect.table for effect in found.effects if effect.action == "create")
            return
        for effect in found.effects:
            before = state.temporaries
            state.temporaries = applied(before, effect)
            if state.temporaries is not before:
                state.signature = digest(f"{state.signature.hex()} {item.key[0].hex()} {item.key[1]}")

    def _add_edges(self, lineage: StatementLineage) -> None:
        """Add a statement's edges. Queries and statements that move no data have none."""
        table = lineage.target
        if table is None or not lineage.moves_data or not lineage.sources:
            return

        def certainty(source: TableName) -> str:
            return PARTIAL if table.is_guess or source.is_guess else lineage.certainty

        target = self._targets.setdefault(table.key, Target(table, self.origin, PARSED))
        for source in lineage.sources:
            target.add(source, certainty=certainty(source))
        for edge in lineage.columns:
            target.add(edge.source, edge.target_column, edge.source_column, certainty(edge.source))
        if not lineage.columns and lineage.kind in SAME_COLUMNS:
            self._copied.setdefault(table.key, set()).update(source.key for source in lineage.sources)

    def _with_catalog_columns(self, lineage: StatementLineage) -> StatementLineage:
        """Replace struct fields that the catalog does not list with the column that contains them."""
        schema = self.schema
        if schema is None or not any("." in edge.source_column for edge in lineage.columns):
            return lineage
        edges = []
        for edge in lineage.columns:
            entry = schema.find(edge.source.parts)
            columns = entry[1] if entry is not None else ()
            top = edge.source_column.partition(".")[0]
            is_field = columns and edge.source_column not in columns and top in columns
            edges.append(replace(edge, source_column=top) if is_field else edge)
        return replace(lineage, columns=tuple(dict.fromkeys(edges)))

    def _forget(self, session: str | None, state: _Session) -> None:
        if not state.temporaries and state.chosen is None and not state.waiting:
            self._sessions.pop(session, None)
        elif len(self._sessions) > MAX_SESSIONS:
            for oldest in list(itertools.islice(self._sessions, MAX_SESSIONS // 10)):
                if not self._sessions[oldest].waiting:
                    del self._sessions[oldest]


# --- targets with full names ----------------------------------------------------------------------------


class LoggedStatement(NamedTuple):
    """A statement of a query log. `LineageLog.add` describes the fields."""

    text: str
    session: str | None = None
    defaults: Defaults = Defaults()
    at: datetime | None = None
    is_truncated: bool = False


class FullName(NamedTuple):
    """The asset that a name in a statement refers to. `is_sure` is False if the asset is a guess."""

    asset: Asset
    is_sure: bool = True


# Returns None for a name that has no database or schema: Monte Carlo accepts only full names.
Complete = Callable[[TableName], FullName | None]
# Reason, example, count: `Options.skip`.
Skip = Callable[[str, str, int], None]


def statement_lineage(
    statements: Iterable[LoggedStatement],
    dialect: str,
    complete: Complete,
    skip: Skip,
    *,
    schema: Schema | None = None,
    origin: str = "query_text",
) -> Iterator[LineageTarget]:
    """The targets that the statements write, with full names. Skips and counts statements that cannot be read.

    Two targets are the same asset if `complete` maps two names to it; `merge_by_target` merges them.
    """
    with LineageLog(dialect, schema=schema, origin=origin) as log:
        for each in statements:
            stop_if_asked()
            log.add(each.text, session=each.session, defaults=each.defaults, at=each.at, truncated=each.is_truncated)
        for target in log.targets():
            stop_if_asked()
            completed = _completed(target, complete)
            if completed is not None and completed.sources:
                yield completed
    for reason, (count, example) in log.skipped.items():
        skip(reason, example, count)


def _completed(target: Target[TableName], complete: Complete) -> LineageTarget | None:
    name = complete(target.asset)
    if name is None:
        return None
    completed = LineageTarget(name.asset, target.origin, target.certainty)
    sources = {key: complete(source) for key, source in target.sources.items()}
    for target_column in (None, *target.columns):
        for (table, column), certainty in target.sources_of(target_column).items():
            if source := sources[table.key]:
                is_sure = name.is_sure and source.is_sure
                completed.add(source.asset, target_column, column, certainty if is_sure else PARTIAL)
    return completed
