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
"""Collects lineage: the sources of tables, columns and views.

Reads Snowflake's ACCOUNT_USAGE.ACCESS_HISTORY and OBJECT_DEPENDENCIES and writes a manifest, ``lineage.jsonl``. If
ACCESS_HISTORY is empty or not readable (it needs Enterprise Edition and a grant), parses the statements in
QUERY_HISTORY instead. Needs the grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_lineage.py --state lineage.state --manifest lineage.jsonl.gz

Snowflake aggregates and sorts the edges, so memory holds one destination at a time. Only edges that the fallback parses
from texts, and dependencies of dynamic tables, are kept until the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import chain, groupby
from typing import NamedTuple

from access_history import ACCESS_SQL, RENAMES_SQL, TRUNCATION_MARKS, AccessRow, RenameRow, asset_of, asset_type
from connection import clock, connect, explain, is_statement_error, is_unreadable, rows, timestamp
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
from text_lineage import dynamic_tables, statements

# --- SQL ------------------------------------------------------------------------------------------------

# All existing tables and views, regardless of the role's grants. Lags 90 minutes, half of LATENCY.
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


# Current dependencies of views and materialized views; there is no history. The page excludes objects that copy data
# and does not say whether that includes dynamic tables. If they are listed, they are collected.
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


LATENCY = timedelta(hours=3)  # see the pages of ACCESS_HISTORY and OBJECT_DEPENDENCIES
RETENTION = timedelta(days=365)  # see the page of ACCESS_HISTORY
# The views have the start time of a statement but list it only after it has ended. Reading starts this much before the
# window, to include statements that were still running at the end of the previous one. Repeated edges are harmless.
# ADAPT: increase if statements that write run for more than six hours.
OVERLAP = timedelta(hours=6)

NO_ACCESS_HISTORY = "ACCESS_HISTORY not readable: lineage parsed from query text, with lower certainty"
EMPTY_ACCESS_HISTORY = "ACCESS_HISTORY is empty: lineage parsed from query text, with lower certainty"
NO_DEPENDENCIES = "view lineage not readable (SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES)"
NO_RENAMES = "renamed and swapped tables unknown (OBJECT_MODIFIED_BY_DDL of ACCESS_HISTORY not readable)"
NO_CATALOG = "dropped tables unknown (SNOWFLAKE.ACCOUNT_USAGE.TABLES not readable)"
MISSING_DESTINATION = "destination no longer in the catalog (renamed, dropped or temporary)"

UNSUPPORTED_FEATURE = 2  # error 000002: not available in this edition of Snowflake


# --- existing and renamed tables -------------------------------------------------------------------------


class Existing:
    """The tables and views that exist. If a database has none here (a shared one), all its assets count as existing."""

    def __init__(self, keys: set[AssetKey]) -> None:
        self.keys = keys
        self.databases = {database for database, _, _ in keys}

    def has(self, asset: Asset) -> bool:
        return asset.is_external or asset.key in self.keys or asset.database not in self.databases


def existing(connection: SnowflakeConnection, options: Options) -> Existing:
    """Reads which tables and views exist now. If that fails, counts it and takes all assets as existing."""
    keys = read_or_skip(
        options, NO_CATALOG, lambda: set(rows(connection, ExistingRow, EXISTING_SQL)), is_statement_error
    )
    return Existing(set(keys or ()))


class Rename(NamedTuple):
    """A renamed or swapped table: the data written to ``old`` is now in ``new``."""

    old: Asset
    new: Asset


def renames(connection: SnowflakeConnection, options: Options) -> list[Rename]:
    """Returns the tables renamed or swapped in the window, by time; counts it and returns none if not readable."""
    read = partial(rows, connection, RenameRow, RENAMES_SQL, _window(options))
    found = []
    for row in read_or_skip(options, NO_RENAMES, read, is_statement_error) or ():
        old, new = (asset_of(row.domain, name, options) for name in (row.old_name, row.new_name))
        if old and new:
            found.append(Rename(old, new))
    return found


def with_current_names(
    found: Iterable[LineageTarget], renamed: list[Rename], known: Existing, options: Options
) -> Iterator[LineageTarget]:
    """Yields the targets under their current names.

    Keeps in memory only targets that are missing or renamed, or that read from a missing table.
    """
    names = {asset.key for rename in renamed for asset in rename}
    held: dict[Key, LineageTarget] = {}
    for target in found:
        assets = (target.asset, *target.sources.values())
        if target.asset.key in names or not all(known.has(asset) for asset in assets):
            held[target.asset.key] = target
        else:
            yield target
    for old, new in renamed:
        if before := held.get(old.key):
            held.setdefault(new.key, LineageTarget(new, before.origin, before.certainty)).take(before)
    for asset in missing_tables(held.values(), known.has):
        if options.filters.allows(*asset.key):
            options.skip(MISSING_DESTINATION, str(asset))
    yield from bypass_missing_tables(held, known.has)


# --- from ACCESS_HISTORY ---------------------------------------------------------------------------------


def access_history_targets(entries: Iterable[AccessRow], known: Existing, options: Options) -> Iterator[LineageTarget]:
    """Yields targets that have a source, from rows sorted by target. A stage and a table can have the same name."""
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
    """Yields a target's rows, with streams and dropped views replaced by their base tables.

    ACCESS_HISTORY lists the base objects of a statement as a whole. All of them are used if the statement read nothing
    else (dbt's incremental models), or if they have no columns. Otherwise only base tables with a column are used: the
    others can belong to another source.
    """
    direct: list[AccessRow] = []
    base_tables: dict[tuple[str | None, str], list[AccessRow]] = {}
    for row in entries:
        if row.through_name is None:
            direct.append(row)
        else:
            base_tables.setdefault((row.through_domain, row.through_name), []).append(row)
    resolved = {(domain, name) for domain, name in base_tables if is_resolved(domain, name, known, options)}
    rest = [row for row in direct if (row.source_domain, row.source_name) not in resolved]
    yield from rest
    reads_nothing_else = all(row.source_name == row.target_name for row in rest)
    for through, base_rows in base_tables.items():
        if through in resolved:
            with_column = [row for row in base_rows if row.target_column]
            yield from with_column if with_column and not reads_nothing_else else base_rows


def is_resolved(domain: str | None, name: str, known: Existing, options: Options) -> bool:
    """Whether to replace this stream or view by its base tables."""
    if domain == "STREAM":
        return True
    view = asset_of(domain, name, options)
    return view is not None and not known.has(view)


def open_access_history(connection: SnowflakeConnection, options: Options) -> Iterator[AccessRow] | None:
    """Returns the sorted edges; warns, counts and returns None if ACCESS_HISTORY is empty or not readable."""
    try:
        found = iter(rows(connection, AccessRow, ACCESS_SQL, _window(options)))
    except Exception as error:
        if not (is_unreadable(error) or getattr(error, "errno", None) == UNSUPPORTED_FEATURE):
            raise
        _fall_back(NO_ACCESS_HISTORY, str(error), options)
        return None
    first = next(found, None)
    if first is None:  # in Standard Edition the view can exist without rows
        _fall_back(EMPTY_ACCESS_HISTORY, f"{options.since} to {options.until}", options)
        return None
    return chain([first], found)


def _fall_back(reason: str, example: str, options: Options) -> None:
    log.warning("warning: %s", reason)
    options.skip(reason, example)


# --- from OBJECT_DEPENDENCIES ----------------------------------------------------------------------------


def dependencies(connection: SnowflakeConnection, kind: str, options: Options) -> Iterator[LineageTarget]:
    """Yields views (``kind`` is VIEW) or dynamic tables (TABLE) that have a source, sorted by name."""
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


# --- collector -------------------------------------------------------------------------------------------


def edges(connection: SnowflakeConnection, options: Options) -> Iterator[LineageTarget]:
    """Yields every target that has a source once, merged from all views that report it."""
    schema = schema_of(options.arguments)
    known = existing(connection, options)
    entries = None if options.arguments.from_query_text else open_access_history(connection, options)
    texts = dynamic_tables(connection, schema, options)
    dynamic = merge_by_target(chain(texts, dependencies(connection, "TABLE", options)))
    known.keys.update(target.asset.key for target in dynamic.values())  # SHOW has no lag
    if entries is not None:
        # Statements do not write to views, so only dynamic tables are merged with ACCESS_HISTORY.
        found = merge_into_stream(access_history_targets(entries, known, options), dynamic)
        yield from with_current_names(found, renames(connection, options), known, options)
        yield from dependencies(connection, "VIEW", options)
    else:
        views = merge_by_target(dependencies(connection, "VIEW", options))
        known.keys.update(target.asset.key for target in views.values())
        # If nothing is readable, fail: an empty manifest would look like an account without lineage.
        is_required = NO_DEPENDENCIES in options.skipped
        written = statements(connection, schema, _window(options), options, is_required)
        found = chain(written, dynamic.values(), views.values())
        # No renames needed: the texts contain them.
        yield from with_current_names(merge_by_target(found).values(), [], known, options)


def collect(connection: SnowflakeConnection, options: Options) -> Iterator[LineageRecord]:
    """Yields one record for each target that the filters select."""
    for target in edges(connection, options):
        stop_if_asked()
        if options.filters.allows(*target.asset.key):
            yield target.record()


def targets(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Yields a line for each target, as ``--list`` prints it: full name, number of sources and columns."""
    return map(listed, collect(connection, options))


def _window(options: Options) -> tuple[str, str]:
    """Returns the window, with the overlap before it, as values to bind."""
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
    clock=clock,
    arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
