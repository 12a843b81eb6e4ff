# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "pyhive[hive-pure-sasl]>=0.7,<0.8",
#     "sqlglot[c]==30.30.0; python_version >= '3.11'",
#     "sqlglot==30.30.0; python_version < '3.11'",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects lineage: the sources of tables, columns and views, from the logs of HiveServer2.

Reads the log files in --log-path or HIVE_LOG_PATH, and writes a manifest, ``lineage.jsonl``. Does not connect to Hive.

    python collect_lineage.py --log-path /var/log/hive --state lineage.state --manifest lineage.jsonl.gz

Where Hive's LineageLogger hook is on, lineage is what Hive recorded. Other statements are parsed, session by session.
Log files are streamed; the distinct edges are kept in memory until the end.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import NamedTuple

from connection import explain
from lineage_hook import BrokenEntryError, HookLineage, parse_entry, without_comments
from lineage_names import Names
from log_files import add_log_arguments
from logged_queries import LATENCY, HookEntry, LoggedQuery, logged_queries
from logged_tables import LoggedTables, creates_temporary
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.console import log
from mcpush.interrupts import stop_if_asked
from mcpush.lineage.fingerprint import digest
from mcpush.lineage.graph import Key, LineageTarget, bypass_missing_tables, listed, merge_by_target, missing_tables
from mcpush.lineage.query_log import FullName, LoggedStatement, Recent, statement_lineage
from mcpush.lineage.schema_manifest import add_schema_argument, schema_of
from mcpush.records import LineageRecord
from mcpush.sql import Defaults, TableName
from variables import catalog

# First words of statements that write, or that affect later statements of their session.
CHANGES = frozenset(
    (
        "ALTER", "CREATE", "DELETE", "DROP", "EXPORT", "FROM", "IMPORT", "INSERT", "LOAD", "MERGE", "REPLACE",
        "TRUNCATE", "UPDATE", "WITH",
    )
)  # fmt: skip
_INSERT = re.compile(r"(?i)\bINSERT\b")
FINISHED = "finished"
MAX_SESSIONS = 20_000  # sessions whose current database is remembered
MAX_ADDED = 100_000  # entries of the hook of which repeats are recognized
MAX_WAITING = 20_000  # texts of entries without a statement
MAX_MAPPINGS = 250_000  # columns of an entry of the hook, times their sources: about 50 MB
TOLERANCE = timedelta(seconds=1)  # of the times in a log

BROKEN_ENTRY = "LineageLogger entry not readable (truncated)"
TOO_WIDE = "LineageLogger entry with too many column mappings: only its tables are sent"
UNASSIGNED = "name of a temporary table whose session the logs do not show"
UNKNOWN_OUTCOME = "statement that writes, with an outcome that the logs do not show"
DROPPED = "destination that a later statement in the logs drops"
NO_SCHEMA = (
    "warning: without --schema-manifest, SELECT * is not expanded, and a view that these logs do not create is sent as "
    "a table"
)


# --- statements and the entries of the hook --------------------------------------------------------------


class Waiting(NamedTuple):
    """An entry of the hook that has no statement yet. The log contains it shortly before the statement's end."""

    at: datetime
    lineage: HookLineage

    def belongs_to(self, query: LoggedQuery) -> bool:
        return query.start - TOLERANCE <= self.at <= query.end + TOLERANCE


class Entries:
    """The entries of the hook that wait for their statements.

    An entry has no query id. If its thread does not show the statement either, as in a log file of its own, the entry
    belongs to a statement with the same text that was running at that time.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, HookLineage] = {}
        self._by_text: dict[bytes, list[Waiting]] = {}

    def add(self, entry: HookEntry, lineage: HookLineage) -> list[Waiting]:
        """Adds an entry. Returns the oldest ones without a statement if there are too many."""
        if entry.query_id is not None:
            self._by_id[entry.query_id] = lineage
            return []
        self._by_text.setdefault(_text_key(lineage.text), []).append(Waiting(entry.time, lineage))
        return self.take_oldest(MAX_WAITING // 10) if len(self._by_text) > MAX_WAITING else []

    def take(self, query: LoggedQuery) -> HookLineage | None:
        """Removes and returns the entry of a statement; None if there is none."""
        if query.id is not None and (lineage := self._by_id.pop(query.id, None)):
            return lineage
        key = _text_key(query.text) if self._by_text else b""
        found = self._by_text.get(key, [])
        for number, entry in enumerate(found):
            if entry.belongs_to(query):
                del found[number]
                if not found:
                    del self._by_text[key]
                return entry.lineage
        return None

    def take_oldest(self, count: int | None = None) -> list[Waiting]:
        """Removes and returns the entries of the oldest ``count`` texts, or all."""
        keys = list(islice(self._by_text, count))
        return [entry for key in keys for entry in self._by_text.pop(key)]


def _text_key(text: str) -> bytes:
    return digest(" ".join(text.split()))  # the hook trims the text, and logs can have other line ends


class Statements:
    """Reads the log once. Collects what the hook recorded, and yields the statements that have to be parsed."""

    def __init__(self, names: Names, options: Options) -> None:
        self.exact: dict[Key, LineageTarget] = {}  # what the hook recorded
        self.tables = LoggedTables(names)
        self._names, self._options = names, options
        self._entries = Entries()
        self._databases: Recent[str, str] = Recent(MAX_SESSIONS)
        self._added: Recent[bytes, bool] = Recent(MAX_ADDED)

    def texts(self) -> Iterator[LoggedStatement]:
        for item in logged_queries(self._options):
            if isinstance(item, HookEntry):
                self._wait_for_statement(item)
            elif (statement := self._read(item, self._entries.take(item))) is not None:
                yield statement
        self._add_without_statement(self._entries.take_oldest())

    def full_name(self, table: TableName) -> FullName | None:
        """The asset that a name in a statement refers to; counts it and returns None if that is unknown."""
        found = self._names.complete(self._options, table)
        if found and self.tables.is_unassigned(found.asset):
            self._options.skip(UNASSIGNED, str(found.asset))
            return None
        return found

    # -- the hook

    def _wait_for_statement(self, entry: HookEntry) -> None:
        try:
            lineage = parse_entry(entry.text)
        except BrokenEntryError:
            if self._options.since <= entry.time:
                self._options.skip(BROKEN_ENTRY, entry.text)
        else:
            self._add_without_statement(self._entries.add(entry, lineage))

    def _add_without_statement(self, entries: list[Waiting]) -> None:
        """Adds entries whose statements the logs do not contain: the hook runs only if a statement succeeds."""
        for entry in entries:
            if not self._options.since <= entry.at < self._options.until or creates_temporary(entry.lineage.text):
                continue
            places = (place for edge in entry.lineage.edges for place in edge.targets)
            if place := next((each for each in places if self.tables.was_temporary(each.table)), None):
                self._options.skip(UNASSIGNED, f"{place.database}.{place.table}")
            else:
                self._add(entry.lineage)

    def _add(self, entry: HookLineage) -> None:
        if not entry.is_usable or self._added.get(entry.key):
            return
        self._added[entry.key] = True
        is_too_wide = entry.mapping_count > MAX_MAPPINGS
        if is_too_wide:
            self._options.skip(TOO_WIDE, entry.text)
        for target in entry.lineage(self._names, with_columns=not is_too_wide):
            first = self.exact.setdefault(target.asset.key, target)
            if first is not target:
                first.merge(target)

    # -- statements

    def _read(self, query: LoggedQuery, entry: HookLineage | None) -> LoggedStatement | None:
        """Returns the statement if it has to be parsed: it can write, and the hook did not record its lineage."""
        start = without_comments(query.text)
        verb = _first_word(start)
        if verb == "USE" and query.session:
            self._databases.pop(query.session)  # what the hook recorded before is out of date
        database = self._database(query, entry)
        if verb not in CHANGES or (verb in ("FROM", "WITH") and not _INSERT.search(start)):
            return None
        if query.status is None and entry is None and query.end >= self._options.since:
            self._options.skip(UNKNOWN_OUTCOME, query.key)
        if query.status != FINISHED and (query.status or entry is None):
            return None  # if there is an entry, the hook ran: it only does after success
        defaults = Defaults(self._names.catalog, database)
        session = query.session or query.key  # unknown: a session of its own
        statement = LoggedStatement(query.text, session, defaults, query.start, not query.is_whole)
        is_temporary = self.tables.uses_temporary(session, start, defaults, is_known=query.session is not None)
        if query.end < self._options.since:
            return statement if is_temporary and self.tables.writes_only_temporary(session, start) else None
        if not is_temporary:
            self.tables.note(start, verb, defaults, query.end)
        if entry and entry.is_usable and not is_temporary:
            self._add(entry)
            if entry.is_complete:
                return None
        return statement

    def _database(self, query: LoggedQuery, entry: HookLineage | None) -> str | None:
        """The session's current database. The hook records it, also if no USE is in the logs."""
        if query.database or query.session is None:
            return query.database or (entry.database if entry else None)
        if entry and entry.database:
            self._databases[query.session] = entry.database
        return self._databases.get(query.session)


def _first_word(text: str) -> str:
    found = re.match(r"\w+", text.lstrip("("))
    return found[0].upper() if found else ""


# --- collector -------------------------------------------------------------------------------------------


def edges(options: Options) -> Iterator[LineageTarget]:
    """Yields each target once, by name, with sources that exist as far as the logs say."""
    names = Names(catalog(), schema_of(options.arguments))
    if not len(names.schema):
        log.warning(NO_SCHEMA)
    statements = Statements(names, options)
    found = merged(statements, names, options)
    moved = {old.key for old, _ in statements.tables.renamed}
    for asset in missing_tables(found.values(), statements.tables.exists):
        if options.filters.allows(*asset.key) and asset.key not in moved:
            options.skip(DROPPED, str(asset))
    yield from bypass_missing_tables(found, statements.tables.exists)


def merged(statements: Statements, names: Names, options: Options) -> dict[Key, LineageTarget]:
    """Reads the log. Returns what the hook recorded and what was parsed, by name."""
    parsed = list(  # also fills `exact`, which takes precedence
        statement_lineage(statements.texts(), "hive", statements.full_name, options.skip, schema=names.schema)
    )
    existing = (names.with_existing_columns(target, options) for target in parsed)
    found = merge_by_target(chain(statements.exact.values(), existing))
    for old, new in statements.tables.renamed:
        if old.key in found and new.key in found:
            found[new.key].copy_columns(found[old.key])
    return {target.asset.key: target for target in sorted(names.with_types(found), key=lambda each: each.asset.key)}


def collect(connection: None, options: Options) -> Iterator[LineageRecord]:
    """Yields one record for each target that has a source and that the filters select, by name."""
    for target in edges(options):
        stop_if_asked()
        if target.sources and options.filters.allows(*target.asset.key):
            yield target.ordered().record()


def targets(connection: None, options: Options) -> Iterator[str]:
    """Yields a line for each target, as ``--list`` prints it: full name, number of sources and columns."""
    return map(listed, collect(connection, options))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_log_arguments(parser)
    add_schema_argument(parser)


COLLECTOR = Collector(
    flow="lineage",
    warehouse="hive",
    resource="data-lake",
    connect=nullcontext,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect table and column lineage from HiveServer2's logs into a manifest.",
    latency=LATENCY,
    arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
