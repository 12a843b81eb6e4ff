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
from itertools import chain, groupby
from typing import NamedTuple

from connection import SHOW_ROW_CAP, connect, explain, is_too_much, is_unreadable, show, stream, timestamp
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.console import say
from mcpush.lineage.graph import EXACT, Asset, Destination, Key, external, gathered, listed, merged, through_absent
from mcpush.lineage.query_log import LineageLog
from mcpush.lineage.texts import Named, add_schema_argument, read_log, schema_of
from mcpush.records import Json
from mcpush.sql import Defaults, Schema
from query_history import LONGEST_TEXT, REDACTED_TEXT, is_redacted
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import ProgrammingError

# --- SQL ------------------------------------------------------------------------------------------------

# One row for each pair of written and read object, and one for each pair of their columns. Of what was read through a
# stream or a view, a further row tells the table beneath, and what it was read through: it stands in for
# streams, which are no assets, and for views that are gone. An unnamed stage has a location only.
# The columns' JSON: https://docs.snowflake.com/en/user-guide/access-history
# https://docs.snowflake.com/en/sql-reference/account-usage/access_history
ACCESS_SQL = """
WITH written AS (
    SELECT
        history.DIRECT_OBJECTS_ACCESSED AS direct_objects,
        history.BASE_OBJECTS_ACCESSED AS base_objects,
        modified.value AS target
    FROM SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY AS history,
        LATERAL FLATTEN(input => history.OBJECTS_MODIFIED) AS modified
    WHERE history.QUERY_START_TIME >= CAST(? AS TIMESTAMP_LTZ)
        AND history.QUERY_START_TIME < CAST(? AS TIMESTAMP_LTZ)
),
edges AS (
    SELECT
        written.target AS target,
        source.value AS source,
        NULL AS through_domain,
        NULL AS through_name,
        NULL AS target_column,
        NULL AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.direct_objects) AS source
    UNION ALL
    SELECT
        written.target AS target,
        base.value AS source,
        UPPER(direct.value:objectDomain::VARCHAR) AS through_domain,
        direct.value:objectName::VARCHAR AS through_name,
        NULL AS target_column,
        NULL AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.direct_objects) AS direct,
        LATERAL FLATTEN(input => written.base_objects) AS base
    WHERE UPPER(direct.value:objectDomain::VARCHAR) LIKE ANY ('STREAM', '%VIEW')
    UNION ALL
    SELECT
        written.target AS target,
        source.value AS source,
        NULL AS through_domain,
        NULL AS through_name,
        target_column.value:columnName::VARCHAR AS target_column,
        source.value:columnName::VARCHAR AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.target:columns) AS target_column,
        LATERAL FLATTEN(input => target_column.value:directSources) AS source
    UNION ALL
    SELECT
        written.target AS target,
        base.value AS source,
        UPPER(direct.value:objectDomain::VARCHAR) AS through_domain,
        direct.value:objectName::VARCHAR AS through_name,
        target_column.value:columnName::VARCHAR AS target_column,
        base.value:columnName::VARCHAR AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.target:columns) AS target_column,
        LATERAL FLATTEN(input => target_column.value:directSources) AS direct,
        LATERAL FLATTEN(input => target_column.value:baseSources) AS base
    WHERE UPPER(direct.value:objectDomain::VARCHAR) LIKE ANY ('STREAM', '%VIEW')
)
SELECT
    UPPER(edges.target:objectDomain::VARCHAR) AS target_domain,
    COALESCE(edges.target:objectName::VARCHAR, edges.target:location::VARCHAR) AS target_name,
    UPPER(edges.source:objectDomain::VARCHAR) AS source_domain,
    COALESCE(edges.source:objectName::VARCHAR, edges.source:location::VARCHAR) AS source_name,
    edges.through_domain AS through_domain,
    edges.through_name AS through_name,
    edges.target_column AS target_column,
    edges.source_column AS source_column
FROM edges
GROUP BY
    target_domain,
    target_name,
    source_domain,
    source_name,
    through_domain,
    through_name,
    target_column,
    source_column
ORDER BY
    target_name,
    target_domain = 'STAGE',
    target_domain,
    source_name,
    source_domain,
    target_column,
    source_column
"""

# Tables that were renamed or swapped; of a swap there is a row for each of the two. The guide shows the JSON of a swap
# ("Swap a table") and names the properties of no rename: the new name is where other readers of this view find it.
# Bundle 2026_01 changes only properties whose key was a user's name: these have fixed keys.
# https://docs.snowflake.com/en/user-guide/access-history
# https://docs.snowflake.com/en/release-notes/bcr-bundles/2026_01/bcr-2178
MOVES_SQL = """
SELECT
    UPPER(history.OBJECT_MODIFIED_BY_DDL:objectDomain::VARCHAR) AS domain,
    history.OBJECT_MODIFIED_BY_DDL:objectName::VARCHAR AS old_name,
    COALESCE(
        history.OBJECT_MODIFIED_BY_DDL:properties.swapTargetName.value::VARCHAR,
        history.OBJECT_MODIFIED_BY_DDL:properties.objectName.value::VARCHAR
    ) AS new_name
FROM SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY AS history
WHERE history.QUERY_START_TIME >= CAST(? AS TIMESTAMP_LTZ)
    AND history.QUERY_START_TIME < CAST(? AS TIMESTAMP_LTZ)
    AND UPPER(history.OBJECT_MODIFIED_BY_DDL:operationType::VARCHAR) = 'ALTER'
    AND UPPER(history.OBJECT_MODIFIED_BY_DDL:objectDomain::VARCHAR) LIKE '%TABLE'
    AND COALESCE(
        history.OBJECT_MODIFIED_BY_DDL:properties.swapTargetName.value::VARCHAR,
        history.OBJECT_MODIFIED_BY_DDL:properties.objectName.value::VARCHAR
    ) IS NOT NULL
ORDER BY history.QUERY_START_TIME, history.QUERY_ID
"""

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

# The statement that made each dynamic table. Of refreshes, ACCESS_HISTORY holds only those that a statement asked for.
# https://docs.snowflake.com/en/sql-reference/sql/show-dynamic-tables
DYNAMIC_TABLES_SQL = "SHOW DYNAMIC TABLES IN ACCOUNT"

# Only statements that can write, with what a session's later ones depend on (USE, temporary tables).
# https://docs.snowflake.com/en/sql-reference/account-usage/query_history
STATEMENTS_SQL = """
SELECT
    QUERY_ID AS query_id,
    QUERY_TEXT AS query_text,
    SESSION_ID AS session_id,
    DATABASE_NAME AS database,
    SCHEMA_NAME AS schema,
    START_TIME AS start_time
FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY
WHERE START_TIME >= CAST(? AS TIMESTAMP_LTZ)
    AND START_TIME < CAST(? AS TIMESTAMP_LTZ)
    AND UPPER(EXECUTION_STATUS) = 'SUCCESS'
    AND COALESCE(QUERY_TYPE, 'UNKNOWN') NOT IN ('SELECT', 'SHOW', 'DESCRIBE')
ORDER BY START_TIME, QUERY_ID
"""

LATENCY = timedelta(hours=3)  # pages of ACCESS_HISTORY and OBJECT_DEPENDENCIES
RETENTION = timedelta(days=365)  # page of ACCESS_HISTORY
# The views know when a statement started, and show it after it has ended: the window is opened this much earlier, for
# what was still running when the last one closed. Edges may repeat without harm.
# ADAPT: longer where statements that write run for more than six hours.
OVERLAP = timedelta(hours=6)

NO_ACCESS_HISTORY = "ACCESS_HISTORY not readable: lineage read from query text, less certain"
EMPTY_ACCESS_HISTORY = "ACCESS_HISTORY without a row: lineage read from query text, less certain"
NO_DEPENDENCIES = "view lineage not readable (SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES)"
NO_DYNAMIC_TABLES = "dynamic tables not readable (SHOW DYNAMIC TABLES)"
NO_DYNAMIC_TEXT = "text of a dynamic table not visible (MONITOR)"
OTHER_DYNAMIC_NAME = "text of a dynamic table has another table's name (renamed or cloned)"
CAPPED_DYNAMIC_TABLES = f"dynamic tables beyond the {SHOW_ROW_CAP} rows that SHOW answers"
NO_TEXTS = "query text not readable (SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY)"
CUT_BY_SNOWFLAKE = "names cut by Snowflake: record too large"
NO_MOVES = "renamed and swapped tables cannot be told (OBJECT_MODIFIED_BY_DDL of ACCESS_HISTORY not readable)"
NO_CATALOG = "tables that are gone cannot be told (SNOWFLAKE.ACCOUNT_USAGE.TABLES not readable)"
GONE = "destination that the catalog no longer has (renamed, dropped, temporary)"
TEMPORARY_STAGE = "temporary stage of Snowpark or write_pandas"
NOT_AN_ASSET = "source or target that is neither table, view, stage nor path"

UNSUPPORTED_FEATURE = 2  # 000002: what this edition of Snowflake does not have
CUT_MARKS = ("TRUNCATED", "-1")  # page of ACCESS_HISTORY
# The driver and Snowpark make one for each call (random_name_for_temp_object in snowflake.connector._utils).
TEMPORARY_NAME = "SNOWPARK_TEMP_STAGE_"


# --- names ---------------------------------------------------------------------------------------------


def split_name(text: str) -> list[str]:
    """The parts of a full name, unquoted: ``SHOP."a.b"."1"" pipe"`` has three, the last is ``1" pipe``.

    Raises ValueError when a quoted part does not end.
    """
    parts: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            part, rest = _quoted(rest)
        else:
            part, dot, tail = rest.partition(".")
            rest = dot + tail
        parts.append(part)
        if not rest.startswith("."):
            break
        rest = rest[1:]
    if rest:
        raise ValueError(f"text after a quoted name: {text}")
    return parts


def _quoted(text: str) -> tuple[str, str]:
    """The name in quotes that the text starts with, and what follows it."""
    place = 1
    while True:
        end = text.find('"', place)
        if end < 0:
            raise ValueError(f"a quoted name does not end: {text}")
        if text[end + 1 : end + 2] != '"':
            return text[1:end].replace('""', '"'), text[end + 1 :]
        place = end + 2


def asset_type(domain: str) -> str | None:
    """Monte Carlo's type for Snowflake's object domain in upper case; None for what is no asset."""
    if domain.endswith("VIEW"):
        return "VIEW"
    if domain.endswith("TABLE"):
        return "TABLE"
    return "EXTERNAL" if domain == "STAGE" else None


def asset_of(domain: str | None, name: str | None, options: Options) -> Asset | None:
    """The asset an ACCESS_HISTORY entry names; None, and counted, when it names none that Monte Carlo takes."""
    if name is None or name in CUT_MARKS or domain in CUT_MARKS:
        options.skip(CUT_BY_SNOWFLAKE if name else NOT_AN_ASSET, f"{domain} {name}")
        return None
    if "://" in name:
        return outside(name)
    kind = asset_type(domain or "")
    try:
        parts = split_name(name)
    except ValueError:
        parts = []
    if kind is None or len(parts) != 3:
        # A stream is replaced by the table beneath it, a function has no data: neither is a loss.
        if domain not in ("STREAM", "FUNCTION"):
            options.skip(NOT_AN_ASSET, f"{domain} {name}")
        return None
    return lasting(Asset(kind, *parts), options)


def outside(path: str) -> Asset | None:
    """A path outside Snowflake; None for a file on somebody's machine (PUT and GET), which is no place of data."""
    return None if path.startswith("file://") else external(path)


def lasting(asset: Asset, options: Options) -> Asset | None:
    """The asset; None, and counted, for a stage that was made for a single call and will never be seen again."""
    if asset.is_external and asset.name.startswith(TEMPORARY_NAME):
        options.skip(TEMPORARY_STAGE, asset.name)
        return None
    return asset


# --- what exists -----------------------------------------------------------------------------------------


class Existing:
    """The tables and views that exist; of a database without any here, as of a shared one, nothing is known."""

    def __init__(self, keys: set[Key]) -> None:
        self.keys = keys
        self.databases = {database for database, _, _ in keys}

    def __contains__(self, asset: Asset) -> bool:
        return asset.is_external or asset.key in self.keys or asset.database not in self.databases


def existing(connection: SnowflakeConnection, options: Options) -> Existing:
    """What exists now; counted, and everything taken to exist, where that cannot be read."""
    try:
        return Existing({(database, schema, name) for database, schema, name in stream(connection, EXISTING_SQL)})
    except ProgrammingError as error:
        options.skip(NO_CATALOG, str(error))
        return Existing(set())


Move = tuple[Asset, Asset]  # what had been written into the first is found in the second since


def moves(connection: SnowflakeConnection, options: Options) -> list[Move]:
    """Tables renamed or swapped in the window, in order; counted, and none, where that cannot be read."""
    try:
        rows = stream(connection, MOVES_SQL, _window(options))
    except ProgrammingError as error:
        options.skip(NO_MOVES, str(error))
        return []
    found = []
    for domain, old_name, new_name in rows:
        old, new = (asset_of(domain, name, options) for name in (old_name, new_name))
        if old and new:
            found.append((old, new))
    return found


def as_they_are_now(
    found: Iterable[Destination], moved: list[Move], known: Existing, options: Options
) -> Iterator[Destination]:
    """The destinations as tables are named now. Only those that a table concerns that is gone or moved are held."""
    names = {asset.key for move in moved for asset in move}
    held: dict[Key, Destination] = {}
    for destination in found:
        assets = (destination.asset, *destination.sources.values())
        if destination.asset.key in names or not all(asset in known for asset in assets):
            held[destination.asset.key] = destination
        else:
            yield destination
    for old, new in moved:
        if old.key in held:
            target = held.setdefault(new.key, Destination(new, held[old.key].origin, held[old.key].certainty))
            target.take(held[old.key])
    kept, absent = through_absent(held, known.__contains__)
    for asset in absent:
        if options.filters.allows(*asset.key):
            options.skip(GONE, str(asset))
    yield from kept.values()


# --- from ACCESS_HISTORY ---------------------------------------------------------------------------------


class AccessRow(NamedTuple):
    """A row of ACCESS_SQL. The columns are None where the row is of the two objects as a whole."""

    target_domain: str | None
    target_name: str | None
    source_domain: str | None
    source_name: str | None
    through_domain: str | None
    through_name: str | None
    target_column: str | None
    source_column: str | None


def accessed(rows: Iterable[AccessRow], known: Existing, options: Options) -> Iterator[Destination]:
    """Destinations with a source, from rows that come sorted by destination. A stage may have a table's name."""
    for (name, _), group in groupby(rows, key=lambda row: (row.target_name, row.target_domain == "STAGE")):
        first = next(group)
        asset = asset_of(first.target_domain, name, options)
        if asset is None:
            continue
        destination = Destination(asset, "access_history", EXACT)
        for row in seen_through(chain([first], group), known, options):
            source = asset_of(row.source_domain, row.source_name, options)
            if source is not None:
                target_column = None if row.target_column in CUT_MARKS else row.target_column
                destination.add(source, target_column, row.source_column)
        if destination.sources:
            yield destination


def seen_through(rows: Iterable[AccessRow], known: Existing, options: Options) -> Iterator[AccessRow]:
    """A destination's rows, those beneath streams and vanished views in the place of these; beneath others none.

    What lies beneath a statement is told as a whole. It is taken where nothing but these was read (dbt's incremental
    models), or no column came through; else what is beneath each column, as the rest may lie beneath another source.
    """
    direct: list[AccessRow] = []
    beneath: dict[tuple[str | None, str], list[AccessRow]] = {}
    for row in rows:
        if row.through_name is None:
            direct.append(row)
        else:
            beneath.setdefault((row.through_domain, row.through_name), []).append(row)
    gone = {(domain, name) for domain, name in beneath if is_seen_through(domain, name, known, options)}
    rest = [row for row in direct if (row.source_domain, row.source_name) not in gone]
    yield from rest
    is_all = all(row.source_name == row.target_name for row in rest)
    for place, below in beneath.items():
        if place in gone:
            of_columns = [row for row in below if row.target_column]
            yield from of_columns if of_columns and not is_all else below


def is_seen_through(domain: str | None, name: str, known: Existing, options: Options) -> bool:
    """Whether what was read through this is to be told as read from what is beneath."""
    if domain == "STREAM":
        return True
    view = asset_of(domain, name, options)
    return view is not None and view not in known


def open_access_history(connection: SnowflakeConnection, options: Options) -> Iterator[AccessRow] | None:
    """The sorted edges; None, said and counted, where ACCESS_HISTORY cannot be had or has nothing to tell."""
    try:
        rows = map(AccessRow._make, stream(connection, ACCESS_SQL, _window(options)))
    except Exception as error:
        if not (is_unreadable(error) or getattr(error, "errno", None) == UNSUPPORTED_FEATURE):
            raise
        _fall_back(NO_ACCESS_HISTORY, str(error), options)
        return None
    first = next(rows, None)
    if first is None:  # Standard Edition may show the view without ever filling it
        _fall_back(EMPTY_ACCESS_HISTORY, f"{options.since} to {options.until}", options)
        return None
    return chain([first], rows)


def _fall_back(reason: str, example: str, options: Options) -> None:
    say(f"warning: {reason}")
    options.skip(reason, example)


# --- from OBJECT_DEPENDENCIES ----------------------------------------------------------------------------


def dependencies(connection: SnowflakeConnection, kind: str, options: Options) -> Iterator[Destination]:
    """Destinations with a source that are views (``kind`` is VIEW) or tables (TABLE: dynamic ones), sorted by name."""
    try:
        rows = stream(connection, DEPENDENCIES_SQL, (kind,))
    except Exception as error:
        if not is_unreadable(error):
            raise
        if NO_DEPENDENCIES not in options.skipped:
            options.skip(NO_DEPENDENCIES, str(error))
        return
    for key, group in groupby(rows, key=lambda row: row[:3]):
        destination = Destination(Asset(kind, *key), "object_dependencies", EXACT)
        for *_, database, schema, name, domain in group:
            destination.add(Asset(asset_type(domain) or "TABLE", database, schema, name))
        if destination.sources:
            yield destination


# --- from texts ------------------------------------------------------------------------------------------


def dynamic_tables(connection: SnowflakeConnection, schema: Schema, options: Options) -> Iterator[Destination]:
    """Dynamic tables with the tables and columns that their definitions read."""
    try:
        rows = show(connection, DYNAMIC_TABLES_SQL)
    except Exception as error:
        if not (is_unreadable(error) or is_too_much(error)):
            raise
        options.skip(NO_DYNAMIC_TABLES, str(error))
        return
    names: set[Key] = set()
    with LineageLog("snowflake", schema=schema, origin="dynamic_table_text") as log:
        for row in rows:
            key = (row["database_name"], row["schema_name"], row["name"])
            names.add(key)
            if not row.get("text"):
                options.skip(NO_DYNAMIC_TEXT, ".".join(key))
            else:
                log.add(row["text"], defaults=Defaults(*key[:2]))
        if len(names) >= SHOW_ROW_CAP:
            options.skip(CAPPED_DYNAMIC_TABLES)
        for destination in read_log(log, full_name, options):
            if destination.asset.key in names:
                yield destination
            else:  # renamed or cloned: the text is that of the first table
                options.skip(OTHER_DYNAMIC_NAME, str(destination.asset))


def statements(connection: SnowflakeConnection, schema: Schema, options: Options) -> Iterator[Destination]:
    """Destinations read from the statements of the window, temporary tables resolved within their session."""
    try:
        rows = stream(connection, STATEMENTS_SQL, _window(options))
    except Exception as error:
        # Where nothing at all may be read, an empty manifest would pass for an account without lineage.
        if not is_unreadable(error) or NO_DEPENDENCIES in options.skipped:
            raise
        options.skip(NO_TEXTS, str(error))
        return
    with LineageLog("snowflake", schema=schema) as log:
        for query_id, text, session, database, schema_name, start_time in rows:
            if not text or is_redacted(text):
                options.skip(REDACTED_TEXT, query_id)
                continue
            log.add(
                text,
                session=str(session),
                defaults=Defaults(database, schema_name),
                at=start_time,
                truncated=len(text) >= LONGEST_TEXT,
            )
        yield from read_log(log, full_name, options)


def full_name(reference: Json, options: Options) -> Named | None:
    """The asset that a statement names; None, and counted, where nothing tells its database and schema."""
    kind, database, schema, name = (reference[part] for part in ("type", "database", "schema", "name"))
    if kind == "EXTERNAL" and "://" in name:
        path = outside(name)
        return Named(path) if path else None
    if kind == "EXTERNAL" and name.startswith("@"):  # @DB.SCHEMA.STAGE/path: the stage, as ACCESS_HISTORY names it
        parts = [part.upper() for part in name[1:].partition("/")[0].split(".")]
        if len(parts) == 3 and '"' not in name:
            stage = lasting(Asset(kind, *parts), options)
            return Named(stage) if stage else None
    if database and schema:
        return Named(Asset(kind, database, schema, name))
    options.skip(NOT_AN_ASSET, f"{kind} {name}")
    return None


# --- all of it -------------------------------------------------------------------------------------------


def destinations(connection: SnowflakeConnection, options: Options) -> Iterator[Destination]:
    """Every destination that has a source, once, whichever views tell of it."""
    schema = schema_of(options)
    known = existing(connection, options)
    rows = None if options.arguments.from_query_text else open_access_history(connection, options)
    texts = dynamic_tables(connection, schema, options)
    dynamic = gathered(chain(texts, dependencies(connection, "TABLE", options)))
    known.keys.update(dynamic)  # SHOW tells of them at once
    if rows is not None:
        # Views are no target of a statement: only what dynamic tables depend on meets what wrote into them.
        found = merged(accessed(rows, known, options), dynamic)
        yield from as_they_are_now(found, moves(connection, options), known, options)
        yield from dependencies(connection, "VIEW", options)
    else:
        views = gathered(dependencies(connection, "VIEW", options))
        known.keys.update(views)
        told = chain(statements(connection, schema, options), dynamic.values(), views.values())
        # The texts themselves tell of renames and swaps.
        yield from as_they_are_now(gathered(told).values(), [], known, options)


def collect(connection: SnowflakeConnection, options: Options) -> Iterator[Json]:
    """One record for each destination that the filters let through."""
    for destination in destinations(connection, options):
        if options.filters.allows(*destination.asset.key):
            yield destination.record()


def targets(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Full name of each destination and how much leads to it, as ``--list`` prints them."""
    return map(listed, collect(connection, options))


def _window(options: Options) -> tuple[str, str]:
    """The window with the overlap before it, to be bound."""
    return timestamp(options.since - OVERLAP), timestamp(options.until)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from-query-text",
        action="store_true",
        help="read the statements instead of ACCESS_HISTORY (chosen by itself where that cannot be read)",
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
