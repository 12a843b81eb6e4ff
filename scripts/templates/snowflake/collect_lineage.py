# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "snowflake-connector-python>=4,<6",
#     "sqlglot[c]==30.30.0; python_version >= '3.11'",
#     "sqlglot==30.30.0; python_version < '3.11'",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects lineage: which tables and columns were written from which, and what views are made of.

From Snowflake's ACCOUNT_USAGE.ACCESS_HISTORY and OBJECT_DEPENDENCIES to a manifest, ``lineage.jsonl``. Where
ACCESS_HISTORY cannot be read (it needs Enterprise Edition and a grant) or is empty, from the statements in
QUERY_HISTORY instead. Needs the grants and variables that README.md lists; changes nothing in the warehouse.

    python collect_lineage.py --state lineage.state --manifest lineage.jsonl.gz

Edges are gathered and sorted in Snowflake, so that memory holds one destination at a time; only what the fallback
reads from texts, and the dependencies of dynamic tables, are kept until the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import chain, groupby
from typing import NamedTuple

from access_history import ACCESS_SQL, MOVES_SQL, TRUNCATION_MARKS, AccessRow, MoveRow, asset_of, asset_type
from connection import connect, explain, is_unreadable, rows, timestamp
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.console import log
from mcpush.interrupts import stop_if_asked
from mcpush.lineage.graph import (
    EXACT,
    Key,
    LineageTarget,
    bypass_missing_tables,
    listed,
    merge_by_target,
    merge_into_stream,
    missing_tables,
)
from mcpush.lineage.schema_manifest import add_schema_argument, schema_of
from mcpush.records import Asset, AssetKey, LineageRecord
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import ProgrammingError
from text_lineage import dynamic_tables, statements

# --- SQL ------------------------------------------------------------------------------------------------

# Every table and view that exists, whatever the role may see. Lags 90 minutes, half of what a window waits for.
# https://docs.snowflake.com/en/sql-reference/account-usage/tables
EXISTING_SQL = """
SELECT
    TABLE_CATALOG AS database,
    TABLE_SCHEMA AS schema,
    TABLE_NAME AS name
FROM SNOWFLAKE.ACCOUNT_USAGE.TABLES
WHERE DELETED IS NULL
    AND COALESCE(TABLE_TYPE, '') NOT LIKE '%TEMPORARY%'
"""


class ExistingRow(NamedTuple):
    """A row of EXISTING_SQL."""

    database: str
    schema: str
    name: str


# What views and materialised views are defined on, now: the view keeps no history. Its page excludes what copies data,
# which leaves open whether it lists dynamic tables: where it does, they are taken.
# https://docs.snowflake.com/en/sql-reference/account-usage/object_dependencies
DEPENDENCIES_SQL = """
SELECT
    REFERENCING_DATABASE AS target_database,
    REFERENCING_SCHEMA AS target_schema,
    REFERENCING_OBJECT_NAME AS target_name,
    REFERENCING_OBJECT_DOMAIN AS target_domain,
    REFERENCED_DATABASE AS source_database,
    REFERENCED_SCHEMA AS source_schema,
    REFERENCED_OBJECT_NAME AS source_name,
    REFERENCED_OBJECT_DOMAIN AS source_domain
FROM SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES
WHERE (REFERENCING_OBJECT_DOMAIN LIKE '%VIEW' OR REFERENCING_OBJECT_DOMAIN LIKE '%TABLE')
    AND (REFERENCED_OBJECT_DOMAIN LIKE '%VIEW' OR REFERENCED_OBJECT_DOMAIN LIKE '%TABLE')
    AND CASE WHEN REFERENCING_OBJECT_DOMAIN LIKE '%VIEW' THEN 'VIEW' ELSE 'TABLE' END = ?
ORDER BY
    REFERENCING_DATABASE,
    REFERENCING_SCHEMA,
    REFERENCING_OBJECT_NAME,
    REFERENCED_DATABASE,
    REFERENCED_SCHEMA,
    REFERENCED_OBJECT_NAME
"""


class DependencyRow(NamedTuple):
    """A row of DEPENDENCIES_SQL."""

    target_database: str
    target_schema: str
    target_name: str
    target_domain: str
    source_database: str
    source_schema: str
    source_name: str
    source_domain: str


LATENCY = timedelta(hours=3)  # pages of ACCESS_HISTORY and OBJECT_DEPENDENCIES
RETENTION = timedelta(days=365)  # page of ACCESS_HISTORY
# The views know when a statement started, and show it after it has ended: the window is opened this much earlier, for
# what was still running when the last one closed. Edges may repeat without harm.
# ADAPT: longer where statements that write run for more than six hours.
OVERLAP = timedelta(hours=6)

NO_ACCESS_HISTORY = "ACCESS_HISTORY not readable: lineage parsed from query text, with lower certainty"
EMPTY_ACCESS_HISTORY = "ACCESS_HISTORY is empty: lineage parsed from query text, with lower certainty"
NO_DEPENDENCIES = "view lineage not readable (SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES)"
NO_MOVES = "renamed and swapped tables unknown (OBJECT_MODIFIED_BY_DDL of ACCESS_HISTORY not readable)"
NO_CATALOG = "dropped tables unknown (SNOWFLAKE.ACCOUNT_USAGE.TABLES not readable)"
GONE = "destination no longer in the catalog (renamed, dropped or temporary)"

UNSUPPORTED_FEATURE = 2  # 000002: what this edition of Snowflake does not have


# --- what exists -----------------------------------------------------------------------------------------


class Existing:
    """The tables and views that exist. Of a database without any here, as of a shared one, nothing is known."""

    def __init__(self, keys: set[AssetKey]) -> None:
        self.keys = keys
        self.databases = {database for database, _, _ in keys}

    def has(self, asset: Asset) -> bool:
        return asset.is_external or asset.key in self.keys or asset.database not in self.databases


def existing(connection: SnowflakeConnection, options: Options) -> Existing:
    """What exists now; counted, and everything taken to exist, where that cannot be read."""
    keys = read_or_skip(options, NO_CATALOG, lambda: set(rows(connection, ExistingRow, EXISTING_SQL)), is_not_run)
    return Existing(set(keys or ()))


def is_not_run(error: BaseException) -> bool:
    """Whether Snowflake did not run the statement, for whatever reason."""
    return isinstance(error, ProgrammingError)


class Move(NamedTuple):
    """A table that was renamed or swapped: what had been written into ``old`` is found in ``new`` since."""

    old: Asset
    new: Asset


def moves(connection: SnowflakeConnection, options: Options) -> list[Move]:
    """Tables renamed or swapped in the window, in order; counted, and none, where that cannot be read."""
    read = partial(rows, connection, MoveRow, MOVES_SQL, _window(options))
    found = []
    for row in read_or_skip(options, NO_MOVES, read, is_not_run) or ():
        old, new = (asset_of(row.domain, name, options) for name in (row.old_name, row.new_name))
        if old and new:
            found.append(Move(old, new))
    return found


def with_current_names(
    found: Iterable[LineageTarget], moved: list[Move], known: Existing, options: Options
) -> Iterator[LineageTarget]:
    """The targets as tables are named now. Holds only those that are gone or moved, or read from such a table."""
    names = {asset.key for move in moved for asset in move}
    held: dict[Key, LineageTarget] = {}
    for target in found:
        assets = (target.asset, *target.sources.values())
        if target.asset.key in names or not all(known.has(asset) for asset in assets):
            held[target.asset.key] = target
        else:
            yield target
    for old, new in moved:
        if before := held.get(old.key):
            held.setdefault(new.key, LineageTarget(new, before.origin, before.certainty)).take(before)
    for asset in missing_tables(held.values(), known.has):
        if options.filters.allows(*asset.key):
            options.skip(GONE, str(asset))
    yield from bypass_missing_tables(held, known.has)


# --- from ACCESS_HISTORY ---------------------------------------------------------------------------------


def accessed(entries: Iterable[AccessRow], known: Existing, options: Options) -> Iterator[LineageTarget]:
    """Targets with a source, from rows that come sorted by target. A stage may have a table's name."""
    for (name, _), group in groupby(entries, key=lambda row: (row.target_name, row.target_domain == "STAGE")):
        first = next(group)
        asset = asset_of(first.target_domain, name, options)
        if asset is None:
            continue
        target = LineageTarget(asset, "access_history", EXACT)
        for row in resolve_streams_and_dropped_views(chain([first], group), known, options):
            source = asset_of(row.source_domain, row.source_name, options)
            if source is not None:
                target_column = None if row.target_column in TRUNCATION_MARKS else row.target_column
                target.add(source, target_column, row.source_column)
        if target.sources:
            yield target


def resolve_streams_and_dropped_views(
    entries: Iterable[AccessRow], known: Existing, options: Options
) -> Iterator[AccessRow]:
    """A target's rows, in which the tables beneath streams and dropped views replace these.

    What lies beneath a statement is told as a whole. It is taken where nothing but these was read (dbt's incremental
    models), or no column came through; else what is beneath each column, as the rest may lie beneath another source.
    """
    direct: list[AccessRow] = []
    beneath: dict[tuple[str | None, str], list[AccessRow]] = {}
    for row in entries:
        if row.through_name is None:
            direct.append(row)
        else:
            beneath.setdefault((row.through_domain, row.through_name), []).append(row)
    gone = {(domain, name) for domain, name in beneath if is_replaced(domain, name, known, options)}
    rest = [row for row in direct if (row.source_domain, row.source_name) not in gone]
    yield from rest
    is_all = all(row.source_name == row.target_name for row in rest)
    for place, below in beneath.items():
        if place in gone:
            of_columns = [row for row in below if row.target_column]
            yield from of_columns if of_columns and not is_all else below


def is_replaced(domain: str | None, name: str, known: Existing, options: Options) -> bool:
    """Whether what was read through this counts as read from what is beneath it."""
    if domain == "STREAM":
        return True
    view = asset_of(domain, name, options)
    return view is not None and not known.has(view)


def open_access_history(connection: SnowflakeConnection, options: Options) -> Iterator[AccessRow] | None:
    """The sorted edges; None, said and counted, where ACCESS_HISTORY cannot be had or has nothing to tell."""
    try:
        found = iter(rows(connection, AccessRow, ACCESS_SQL, _window(options)))
    except Exception as error:
        if not (is_unreadable(error) or getattr(error, "errno", None) == UNSUPPORTED_FEATURE):
            raise
        _fall_back(NO_ACCESS_HISTORY, str(error), options)
        return None
    first = next(found, None)
    if first is None:  # Standard Edition may show the view without ever filling it
        _fall_back(EMPTY_ACCESS_HISTORY, f"{options.since} to {options.until}", options)
        return None
    return chain([first], found)


def _fall_back(reason: str, example: str, options: Options) -> None:
    log.warning("warning: %s", reason)
    options.skip(reason, example)


# --- from OBJECT_DEPENDENCIES ----------------------------------------------------------------------------


def dependencies(connection: SnowflakeConnection, kind: str, options: Options) -> Iterator[LineageTarget]:
    """Targets with a source that are views (``kind`` is VIEW) or tables (TABLE: dynamic ones), sorted by name."""
    if NO_DEPENDENCIES in options.skipped:
        return
    read = partial(rows, connection, DependencyRow, DEPENDENCIES_SQL, (kind,))
    found = read_or_skip(options, NO_DEPENDENCIES, read, is_unreadable) or ()
    for key, group in groupby(found, key=lambda row: (row.target_database, row.target_schema, row.target_name)):
        target = LineageTarget(Asset(kind, *key), "object_dependencies", EXACT)
        for row in group:
            source_kind = asset_type(row.source_domain) or "TABLE"
            target.add(Asset(source_kind, row.source_database, row.source_schema, row.source_name))
        if target.sources:
            yield target


# --- all of it -------------------------------------------------------------------------------------------


def edges(connection: SnowflakeConnection, options: Options) -> Iterator[LineageTarget]:
    """Every target that has a source, once, whichever views report it."""
    schema = schema_of(options.arguments)
    known = existing(connection, options)
    entries = None if options.arguments.from_query_text else open_access_history(connection, options)
    texts = dynamic_tables(connection, schema, options)
    dynamic = merge_by_target(chain(texts, dependencies(connection, "TABLE", options)))
    known.keys.update(target.asset.key for target in dynamic.values())  # SHOW tells of them at once
    if entries is not None:
        # Views are no target of a statement: only what dynamic tables depend on meets what wrote into them.
        found = merge_into_stream(accessed(entries, known, options), dynamic)
        yield from with_current_names(found, moves(connection, options), known, options)
        yield from dependencies(connection, "VIEW", options)
    else:
        views = merge_by_target(dependencies(connection, "VIEW", options))
        known.keys.update(target.asset.key for target in views.values())
        # Where nothing at all may be read, an empty manifest would pass for an account without lineage.
        is_required = NO_DEPENDENCIES in options.skipped
        written = statements(connection, schema, _window(options), options, is_required)
        found = chain(written, dynamic.values(), views.values())
        # The texts themselves contain renames and swaps.
        yield from with_current_names(merge_by_target(found).values(), [], known, options)


def collect(connection: SnowflakeConnection, options: Options) -> Iterator[LineageRecord]:
    """One record for each target that the filters let through."""
    for target in edges(connection, options):
        stop_if_asked()
        if options.filters.allows(*target.asset.key):
            yield target.record()


def targets(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Full name of each target and how much leads to it, as ``--list`` prints them."""
    return map(listed, collect(connection, options))


def _window(options: Options) -> tuple[str, str]:
    """The window with the overlap before it, to be bound."""
    return timestamp(options.since - OVERLAP), timestamp(options.until)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from-query-text",
        action="store_true",
        help="parse query text instead of reading ACCESS_HISTORY (automatic if that is not readable)",
    )
    add_schema_argument(parser)


COLLECTOR = Collector(
    flow="lineage",
    warehouse="snowflake",
    resource="snowflake",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect table and column lineage from Snowflake into a manifest.",
    latency=LATENCY,
    retention=RETENTION,
    arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
