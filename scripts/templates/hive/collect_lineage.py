# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "PyHive[hive-pure-sasl]>=0.7,<0.8",
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
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from lineage_hook import BrokenEntryError, HookLineage, parse_entry, without_comments
from lineage_names import Names
from logged_queries import (
    LATENCY,
    RETENTION,
    HookEntry,
    LoggedQuery,
    add_log_arguments,
    catalog_name,
    connect,
    explain,
    logged_queries,
)
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.query_text import NO_TEXT
from mcpush.console import log
from mcpush.interrupts import stop_if_asked
from mcpush.lineage.fingerprint import digest
from mcpush.lineage.graph import LineageTarget, bypass_missing_tables, listed, merge_by_target, missing_tables
from mcpush.lineage.query_log import LoggedStatement, Recent, statement_lineage
from mcpush.lineage.schema_manifest import add_schema_argument, schema_of
from mcpush.records import Asset, AssetKey, LineageRecord
from mcpush.sql import Defaults, extract

# First words of statements that write, or that affect later statements of their session.
CHANGES = frozenset(
    (
        "ALTER", "CREATE", "DELETE", "DROP", "EXPORT", "FROM", "IMPORT", "INSERT", "LOAD", "MERGE", "REPLACE",
        "TRUNCATE", "UPDATE", "WITH",
    )
)  # fmt: skip
_INSERT = re.compile(r"(?i)\bINSERT\b")
_WORD = re.compile(r"\w+")
# https://cwiki.apache.org/confluence/display/Hive/LanguageManual+DDL#LanguageManualDDL-TemporaryTables
_TEMPORARY = re.compile(r"(?i)CREATE\s+TEMPORARY\s+(?:EXTERNAL\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([^\s(]+)")
MAX_SESSIONS = 20_000  # sessions whose temporary tables and current database are remembered
MAX_WAITING = 20_000  # entries of the hook whose statement has not ended yet
MAX_DROP_CHARACTERS = 2_000  # of DROP and ALTER … RENAME statements, which are parsed in this process
TOLERANCE = timedelta(seconds=1)  # of the times in a log

BROKEN_ENTRY = "LineageLogger entry not readable (truncated)"
DROPPED = "destination that a later statement in the logs drops"
NO_SCHEMA = (
    "warning: without --schema-manifest, SELECT * is not expanded, and a view that these logs do not create is sent as "
    "a table"
)


# --- statements and the entries of the hook --------------------------------------------------------------


class Waiting(NamedTuple):
    """An entry of the hook that has no statement yet. The log contains it shortly before the statement's end."""

    at: datetime | None
    lineage: HookLineage

    def belongs_to(self, query: LoggedQuery) -> bool:
        is_late = query.start and self.at and self.at < query.start - TOLERANCE
        is_early = query.end and self.at and self.at > query.end + TOLERANCE
        return not (is_late or is_early)


class Entries:
    """The entries of the hook that wait for their statements. An entry has the statement's text, but no query id."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[Waiting]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: Waiting) -> None:
        self._waiting.setdefault(_text_key(entry.lineage.text), []).append(entry)

    def take(self, query: LoggedQuery) -> HookLineage | None:
        """Removes and returns the entry of a statement; None if there is none."""
        key = _text_key(query.text or "")
        found = self._waiting.get(key, [])
        for number, entry in enumerate(found):
            if entry.belongs_to(query):
                del found[number]
                if not found:
                    del self._waiting[key]
                return entry.lineage
        return None

    def take_oldest(self, count: int) -> list[Waiting]:
        """Removes and returns the entries of the oldest ``count`` texts."""
        keys = list(islice(self._waiting, count))
        return [entry for key in keys for entry in self._waiting.pop(key)]


def _text_key(text: str) -> bytes:
    return digest(" ".join(text.split()))  # the hook trims the text, and logs can have other line ends


class Statements:
    """Reads the log once. Collects what the hook recorded, and yields the statements that have to be parsed."""

    def __init__(self, names: Names, options: Options) -> None:
        self.exact: list[LineageTarget] = []
        self.renamed: list[tuple[Asset, Asset]] = []
        self._names, self._options = names, options
        self._entries = Entries()
        self._gone: dict[str, set[AssetKey]] = {}  # by name: dropped or renamed, and not written again
        self._temporaries: Recent[str | None, set[str]] = Recent(MAX_SESSIONS)
        self._databases: Recent[str, str] = Recent(MAX_SESSIONS)

    def texts(self) -> Iterator[LoggedStatement]:
        for item in logged_queries(self._options):
            if isinstance(item, HookEntry):
                self._wait_for_statement(item)
            elif item.status != "failed":
                yield from self._read(item)
            else:
                self._entries.take(item)
        self._add_without_statement(self._entries.take_oldest(len(self._entries)))

    def exists(self, asset: Asset) -> bool:
        return asset.key not in self._gone.get(asset.name, ())

    # -- the hook

    def _wait_for_statement(self, entry: HookEntry) -> None:
        try:
            self._entries.add(Waiting(entry.at, parse_entry(entry.text)))
        except BrokenEntryError:
            self._options.skip(BROKEN_ENTRY, entry.text)
        if len(self._entries) > MAX_WAITING:
            self._add_without_statement(self._entries.take_oldest(MAX_WAITING // 10))

    def _add_without_statement(self, entries: list[Waiting]) -> None:
        """Adds entries whose statements the logs do not contain: the hook runs only if a statement succeeds."""
        for entry in entries:
            if entry.at is None or self._options.since <= entry.at < self._options.until:
                self._add(entry.lineage)

    def _add(self, entry: HookLineage) -> None:
        if entry.is_usable and not _TEMPORARY.match(without_comments(entry.text)):
            self.exact.extend(entry.lineage(self._names))

    # -- statements

    def _read(self, query: LoggedQuery) -> Iterator[LoggedStatement]:
        """Yields the statement if it can write, unless the hook recorded its lineage."""
        entry = self._entries.take(query)
        defaults = Defaults(self._names.catalog, self._database(query, entry))
        if not query.text:
            self._options.skip(NO_TEXT, query.id)
            return
        start = without_comments(query.text)
        verb = _first_word(start)
        if verb not in CHANGES or (verb in ("FROM", "WITH") and not _INSERT.search(start)):
            return
        is_temporary = self._uses_temporary(query.session, start)
        if not is_temporary:
            self._note_gone(start, verb, defaults)
        if entry and entry.is_usable and not is_temporary:
            self._add(entry)
            if entry.is_complete:
                return
        yield LoggedStatement(query.text, query.session, defaults, query.start if query.session else None)

    def _database(self, query: LoggedQuery, entry: HookLineage | None) -> str | None:
        """The session's current database. The hook records it, also if no USE is in the logs."""
        if query.database or query.session is None:
            return query.database or (entry.database if entry else None)
        if entry and entry.database:
            self._databases[query.session] = entry.database
        return self._databases.get(query.session)

    def _uses_temporary(self, session: str | None, text: str) -> bool:
        """Whether a statement names a temporary table of its session.

        The hook records temporary tables as if they were permanent, and leaves them out as sources.
        """
        names = self._temporaries.get(session) or set()
        if created := _TEMPORARY.match(text):
            names.add(created[1].replace("`", "").rpartition(".")[2].lower())
            self._temporaries[session] = names
        return bool(names) and not names.isdisjoint(_words(text))

    def _note_gone(self, text: str, verb: str, defaults: Defaults) -> None:
        """Notes the tables that a statement drops or renames. They exist again when a later statement names them."""
        if verb in ("DROP", "ALTER") and len(text) <= MAX_DROP_CHARACTERS:
            for lineage in extract(text, "hive", defaults, self._names.schema).lineages:
                target = lineage.target
                if target is None or target.is_external or not target.schema:
                    continue
                if lineage.kind == "drop":
                    self._gone.setdefault(target.name, set()).add(self._names.asset(target).key)
                elif lineage.kind == "rename":
                    old, new = self._names.asset(lineage.sources[0]), self._names.asset(target)
                    self._gone.pop(new.name, None)
                    self._gone.setdefault(old.name, set()).add(old.key)
                    self.renamed.append((old, new))
        elif self._gone:
            for name in _words(text) & self._gone.keys():
                del self._gone[name]


def _first_word(text: str) -> str:
    found = _WORD.match(text.lstrip("("))
    return found[0].upper() if found else ""


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


# --- collector -------------------------------------------------------------------------------------------


def edges(options: Options) -> Iterator[LineageTarget]:
    """Yields each target once, with sources that exist as far as the logs say."""
    names = Names(catalog_name(), schema_of(options.arguments))
    if not len(names.schema):
        log.warning(NO_SCHEMA)
    statements = Statements(names, options)
    complete = partial(names.complete, options)
    parsed = statement_lineage(statements.texts(), "hive", complete, options.skip, schema=names.schema)
    later = list(parsed)  # also fills `exact`, which takes precedence
    found = merge_by_target(chain(statements.exact, later))
    for old, new in statements.renamed:
        if old.key in found and new.key in found:
            found[new.key].copy_columns(found[old.key])
    found = {target.asset.key: target for target in names.finished(found, options)}
    moved = {old.key for old, _ in statements.renamed}
    for asset in missing_tables(found.values(), statements.exists):
        if options.filters.allows(*asset.key) and asset.key not in moved:
            options.skip(DROPPED, str(asset))
    yield from bypass_missing_tables(found, statements.exists)


def collect(_: object, options: Options) -> Iterator[LineageRecord]:
    """Yields one record for each target that has a source and that the filters select, by name."""
    for target in sorted(edges(options), key=lambda target: target.asset.key):
        stop_if_asked()
        if target.sources and options.filters.allows(*target.asset.key):
            yield target.ordered().record()


def targets(connection: object, options: Options) -> Iterator[str]:
    """Yields a line for each target, as ``--list`` prints it: full name, number of sources and columns."""
    return map(listed, collect(connection, options))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_log_arguments(parser)
    add_schema_argument(parser)


COLLECTOR = Collector(
    flow="lineage",
    warehouse="hive",
    resource="data-lake",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect table and column lineage from HiveServer2's logs into a manifest.",
    latency=LATENCY,
    retention=RETENTION,
    arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
