# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "snowflake-connector-python>=4,<6",
#     "sqlglot[c]==30.30.0",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.16,<4",
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
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

from connection import SHOW_ROW_CAP, connect, explain, is_too_much, is_unreadable, show, stream
from pushkit.cli import say
from pushkit.collection import Collector, Options, run_collect
from pushkit.manifest import Record, read
from pushkit.sql_lineage import Defaults, LineageLog, Schema
from snowflake.connector import SnowflakeConnection

# --- SQL ------------------------------------------------------------------------------------------------

# One row for each pair of written and read object, and one for each pair of their columns. A statement that reads a
# stream names the stream, which is no asset: the table beneath it stands in (base instead of direct objects).
# An unnamed stage has a location only.
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
        NULL AS target_column,
        NULL AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.direct_objects) AS source
    UNION ALL
    SELECT
        written.target AS target,
        base.value AS source,
        NULL AS target_column,
        NULL AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.direct_objects) AS stream,
        LATERAL FLATTEN(input => written.base_objects) AS base
    WHERE UPPER(stream.value:objectDomain::VARCHAR) = 'STREAM'
    UNION ALL
    SELECT
        written.target AS target,
        source.value AS source,
        target_column.value:columnName::VARCHAR AS target_column,
        source.value:columnName::VARCHAR AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.target:columns) AS target_column,
        LATERAL FLATTEN(input => target_column.value:directSources) AS source
    UNION ALL
    SELECT
        written.target AS target,
        base.value AS source,
        target_column.value:columnName::VARCHAR AS target_column,
        base.value:columnName::VARCHAR AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.target:columns) AS target_column,
        LATERAL FLATTEN(input => target_column.value:directSources) AS stream,
        LATERAL FLATTEN(input => target_column.value:baseSources) AS base
    WHERE UPPER(stream.value:objectDomain::VARCHAR) = 'STREAM'
)
SELECT
    UPPER(edges.target:objectDomain::VARCHAR) AS target_domain,
    COALESCE(edges.target:objectName::VARCHAR, edges.target:location::VARCHAR) AS target_name,
    UPPER(edges.source:objectDomain::VARCHAR) AS source_domain,
    COALESCE(edges.source:objectName::VARCHAR, edges.source:location::VARCHAR) AS source_name,
    edges.target_column AS target_column,
    edges.source_column AS source_column
FROM edges
GROUP BY
    target_domain,
    target_name,
    source_domain,
    source_name,
    target_column,
    source_column
ORDER BY
    target_name,
    target_domain,
    source_name,
    source_domain,
    target_column,
    source_column
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

# The statement that made each dynamic table. Refreshes are no statements that ACCESS_HISTORY is documented to hold.
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
LONGEST_TEXT = 100_000  # characters of QUERY_TEXT that Snowflake keeps (page of QUERY_HISTORY)
REDACTED = "<redacted>"

NO_ACCESS_HISTORY = "ACCESS_HISTORY not readable: lineage read from query text, less certain"
EMPTY_ACCESS_HISTORY = "ACCESS_HISTORY without a row: lineage read from query text, less certain"
NO_DEPENDENCIES = "view lineage not readable (SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES)"
NO_DYNAMIC_TABLES = "dynamic tables not readable (SHOW DYNAMIC TABLES)"
NO_DYNAMIC_TEXT = "text of a dynamic table not visible (MONITOR)"
OTHER_DYNAMIC_NAME = "text of a dynamic table has another table's name (renamed or cloned)"
CAPPED_DYNAMIC_TABLES = f"dynamic tables beyond the {SHOW_ROW_CAP} rows that SHOW answers"
NO_TEXTS = "query text not readable (SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY)"
CUT_BY_SNOWFLAKE = "names cut by Snowflake: record too large"
NOT_AN_ASSET = "source or target that is neither table, view, stage nor path"
REDACTED_TEXT = "query text redacted by Snowflake"

UNSUPPORTED_FEATURE = 2  # 000002: what this edition of Snowflake does not have
CUT_MARKS = ("TRUNCATED", "-1")  # page of ACCESS_HISTORY

CERTAINTIES = ("exact", "parsed", "partial")  # the most certain first

Key = tuple[str, str, str]  # database, schema and name, as the catalog spells them


# --- names and destinations ----------------------------------------------------------------------------


class Asset(NamedTuple):
    """A table, view or stage; ``type`` is one of Monte Carlo's."""

    type: str
    database: str
    schema: str
    name: str

    @property
    def key(self) -> Key:
        return self.database, self.schema, self.name

    def __str__(self) -> str:
        return ".".join(self.key)


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
        return external(name)
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
    return Asset(kind, *parts)


def external(path: str) -> Asset:
    """A path outside Snowflake. Monte Carlo wants a database and a schema: the scheme and the bucket are its own."""
    scheme, _, rest = path.partition("://")
    return Asset("EXTERNAL", scheme, rest.partition("/")[0] or scheme, path)


@dataclass
class Destination:
    """One destination while its edges come in; sources and columns keep their order."""

    asset: Asset
    origin: str
    certainty: str = "exact"
    sources: dict[Asset, int] = field(default_factory=dict)
    columns: dict[str, dict[tuple[int, str], None]] = field(default_factory=dict)

    def add(self, source: Asset, target_column: str | None = None, source_column: str | None = None) -> None:
        """Add an edge, and with both columns a column mapping. An edge to itself tells nothing."""
        if source.key == self.asset.key:
            return
        place = self.sources.setdefault(source, len(self.sources))
        if target_column and source_column and target_column not in CUT_MARKS:
            self.columns.setdefault(target_column, {})[(place, source_column)] = None

    def add_all(self, other: Destination) -> None:
        """Add another's sources, and its mappings of columns that have none here; with them comes its certainty."""
        sources, mapped, before = list(other.sources), set(self.columns), len(self.sources)
        for source in sources:
            self.add(source)
        for name in [each for each in other.columns if each not in mapped]:
            for place, column in other.columns[name]:
                self.add(sources[place], name, column)
        if len(self.sources) > before or len(self.columns) > len(mapped):
            self.certainty = max(self.certainty, other.certainty, key=CERTAINTIES.index)

    def record(self) -> Record:
        return {
            "destination": self.asset._asdict(),
            "sources": [source._asdict() for source in self.sources],
            "columns": [
                {"name": name, "sources": [{"source": place, "name": column} for place, column in pairs]}
                for name, pairs in self.columns.items()
            ],
            "origin": self.origin,
            "certainty": self.certainty,
        }


# --- from ACCESS_HISTORY ---------------------------------------------------------------------------------


def accessed(rows: Iterable[tuple[Any, ...]], options: Options) -> Iterator[Destination]:
    """Destinations from the rows of ACCESS_SQL, which come sorted by destination."""
    for name, group in groupby(rows, key=lambda row: row[1]):
        first = next(group)
        asset = asset_of(first[0], name, options)
        if asset is None:
            continue
        destination = Destination(asset, "access_history")
        for _, _, source_domain, source_name, target_column, source_column in chain([first], group):
            source = asset_of(source_domain, source_name, options)
            if source is not None:
                destination.add(source, target_column, source_column)
        yield destination


def open_access_history(connection: SnowflakeConnection, options: Options) -> Iterator[tuple[Any, ...]] | None:
    """The sorted edges; None, said and counted, where ACCESS_HISTORY cannot be had or has nothing to tell."""
    try:
        rows = stream(connection, ACCESS_SQL, _window(options))
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


def dependencies(connection: SnowflakeConnection, asset: str, options: Options) -> Iterator[Destination]:
    """Destinations that are views (``asset`` is VIEW) or tables (TABLE: dynamic tables), sorted by name."""
    try:
        rows = stream(connection, DEPENDENCIES_SQL, (asset,))
    except Exception as error:
        if not is_unreadable(error):
            raise
        if NO_DEPENDENCIES not in options.skipped:
            options.skip(NO_DEPENDENCIES, str(error))
        return
    for key, group in groupby(rows, key=lambda row: row[:3]):
        destination = Destination(Asset(asset, *key), "object_dependencies")
        for row in group:
            destination.add(Asset(asset_type(row[7]) or "TABLE", *row[4:7]))
        yield destination


# --- from the texts of dynamic tables --------------------------------------------------------------------


def dynamic_tables(connection: SnowflakeConnection, options: Options) -> Iterator[Destination]:
    """Dynamic tables with the tables and columns that their definitions read."""
    try:
        rows = show(connection, DYNAMIC_TABLES_SQL)
    except Exception as error:
        if not (is_unreadable(error) or is_too_much(error)):
            raise
        options.skip(NO_DYNAMIC_TABLES, str(error))
        return
    names: set[Key] = set()
    with _log("dynamic_table_text", options) as log:
        for row in rows:
            key = (row["database_name"], row["schema_name"], row["name"])
            names.add(key)
            if not row.get("text"):
                options.skip(NO_DYNAMIC_TEXT, ".".join(key))
            else:
                log.add(row["text"], defaults=Defaults(*key[:2]))
        if len(names) >= SHOW_ROW_CAP:
            options.skip(CAPPED_DYNAMIC_TABLES)
        for destination in _read_by(log, options):
            if destination.asset.key in names:
                yield destination
            else:  # renamed or cloned: the text is that of the first table
                options.skip(OTHER_DYNAMIC_NAME, str(destination.asset))


def _log(origin: str, options: Options) -> LineageLog:
    return LineageLog("snowflake", schema=_schema(options.arguments.schema_manifest), origin=origin)


def _read_by(log: LineageLog, options: Options) -> Iterator[Destination]:
    for record in log.records():
        destination = _parsed(record, options)
        if destination is not None:
            yield destination
    for reason, (count, example) in log.skipped.items():
        options.skip(reason, example, count)


# --- from query text -------------------------------------------------------------------------------------


def read_texts(connection: SnowflakeConnection, options: Options) -> Iterator[Destination]:
    """Destinations read from the statements of the window, temporary tables resolved within their session."""
    try:
        rows = stream(connection, STATEMENTS_SQL, _window(options))
    except Exception as error:
        # Where nothing at all may be read, an empty manifest would pass for an account without lineage.
        if not is_unreadable(error) or NO_DEPENDENCIES in options.skipped:
            raise
        options.skip(NO_TEXTS, str(error))
        return
    with _log("query_text", options) as log:
        for query_id, text, session, database, schema, start_time in rows:
            if not text or text.strip().lower() == REDACTED:
                options.skip(REDACTED_TEXT, query_id)
                continue
            log.add(
                text,
                session=str(session),
                defaults=Defaults(database, schema),
                at=start_time,
                truncated=len(text) >= LONGEST_TEXT,
            )
        yield from _read_by(log, options)


def _schema(path: Path | None) -> Schema | None:
    return Schema.from_records(read(path, "metadata")) if path else None


def _parsed(record: Record, options: Options) -> Destination | None:
    """The log's record as a destination. What has no full name, the API does not take."""
    asset = _full(record["destination"], options)
    if asset is None:
        return None
    destination = Destination(asset, record["origin"], record["certainty"])
    sources = [_full(source, options) for source in record["sources"]]
    for source in filter(None, sources):
        destination.add(source)
    for column in record["columns"]:
        for mapping in column["sources"]:
            source = sources[mapping["source"]]
            if source is not None:
                destination.add(source, column["name"], mapping["name"])
    return destination


def _full(reference: Record, options: Options) -> Asset | None:
    kind, name = reference["type"], reference["name"]
    if kind == "EXTERNAL" and "://" in name:
        return external(name)
    if kind == "EXTERNAL" and name.startswith("@"):  # @DB.SCHEMA.STAGE/path: the stage, as ACCESS_HISTORY names it
        parts = [part.upper() for part in name[1:].partition("/")[0].split(".")]
        if len(parts) == 3 and '"' not in name:
            return Asset(kind, *parts)
    if reference["database"] and reference["schema"]:
        return Asset(kind, reference["database"], reference["schema"], name)
    options.skip(NOT_AN_ASSET, f"{kind} {name}")
    return None


# --- all of it -------------------------------------------------------------------------------------------


def destinations(connection: SnowflakeConnection, options: Options) -> Iterator[Destination]:
    """Every destination once, whichever views tell of it."""
    rows = None if options.arguments.from_query_text else open_access_history(connection, options)
    known = {each.asset.key: each for each in dependencies(connection, "TABLE", options)}
    known = {each.asset.key: each for each in merged(dynamic_tables(connection, options), known)}
    if rows is not None:
        # Views are no target of a statement: only what dynamic tables depend on meets what wrote into them.
        yield from merged(accessed(rows, options), known)
        yield from dependencies(connection, "VIEW", options)
    else:
        known |= {each.asset.key: each for each in dependencies(connection, "VIEW", options)}
        yield from merged(read_texts(connection, options), known)


def merged(found: Iterator[Destination], known: dict[Key, Destination]) -> Iterator[Destination]:
    """The found destinations with what is known of each added; then those that nothing was found of."""
    for destination in found:
        addition = known.pop(destination.asset.key, None)
        if addition is not None:
            destination.add_all(addition)
        yield destination
    yield from known.values()


def collect(connection: SnowflakeConnection, options: Options) -> Iterator[Record]:
    """One record for each destination that has a source and that the filters let through."""
    for destination in destinations(connection, options):
        if destination.sources and options.filters.allows(*destination.asset.key):
            yield destination.record()


def targets(connection: SnowflakeConnection, options: Options) -> Iterator[str]:
    """Full name of each destination and how much leads to it, as ``--list`` prints them."""
    for record in collect(connection, options):
        name = ".".join(record["destination"][part] for part in ("database", "schema", "name"))
        yield f"{name} <- {len(record['sources'])} sources, {len(record['columns'])} columns ({record['origin']})"


def _window(options: Options) -> tuple[str, str]:
    """Start with the overlap, and end, as text with an offset; TIMESTAMP_INPUT_FORMAT of the session reads it."""
    start = options.since - OVERLAP
    return start.isoformat(timespec="microseconds"), options.until.isoformat(timespec="microseconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from-query-text",
        action="store_true",
        help="read the statements instead of ACCESS_HISTORY (chosen by itself where that cannot be read)",
    )
    parser.add_argument(
        "--schema-manifest",
        type=Path,
        metavar="FILE",
        help="metadata manifest of the same account: the columns that SELECT * stands for when text is read",
    )


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
