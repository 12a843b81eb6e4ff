# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "redshift-connector>=2.2,<3",
#     "boto3>=1.42,<2",
#     "sqlglot[c]==30.30.0; python_version >= '3.11'",
#     "sqlglot==30.30.0; python_version < '3.11'",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects lineage: the sources of tables, columns and views.

Reads query texts in Redshift's SYS_QUERY_TEXT, dependencies in PG_DEPEND and definitions in PG_VIEWS, and writes a
manifest, ``lineage.jsonl``. Needs the grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_lineage.py --state lineage.state --manifest lineage.jsonl.gz

Redshift does not record lineage, so it is parsed from the text of statements, session by session, in the order in which
they ended. Statements are streamed; the distinct edges are kept in memory until the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import NamedTuple

from catalog import Database, Listing, databases, is_system_schema, view_of_backing_table, view_texts
from connection import Warehouse, clock, connect, explain, quote
from mcpush.collect.catalog import Key
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import Filters
from mcpush.interrupts import stop_if_asked
from mcpush.lineage.graph import (
    EXACT,
    LineageTarget,
    bypass_missing_tables,
    external_asset,
    listed,
    merge_by_target,
    missing_tables,
)
from mcpush.lineage.query_log import FullName, LoggedStatement, statement_lineage
from mcpush.lineage.schema_manifest import add_schema_argument, schema_of
from mcpush.records import Asset, LineageRecord, TimeRange
from mcpush.sql import Defaults, Schema, TableName
from query_history import CHANGES_STATEMENT, LATENCY, RETENTION, logged_queries

# The example of https://docs.aws.amazon.com/redshift/latest/dg/r_DROP_TABLE.html, for all views at once. Late-binding
# views have no dependencies here, and materialized views depend only on their backing table. The sources of both are
# parsed from their definitions.
DEPENDENCIES_SQL = """
SELECT DISTINCT
    view_schema.nspname AS view_schema,
    dependent.relname AS view_name,
    source_schema.nspname AS source_schema,
    source.relname AS source_name
FROM pg_depend AS d
JOIN pg_rewrite AS r ON r.oid = d.objid
JOIN pg_class AS dependent ON dependent.oid = r.ev_class
JOIN pg_class AS source ON source.oid = d.refobjid
JOIN pg_namespace AS view_schema ON view_schema.oid = dependent.relnamespace
JOIN pg_namespace AS source_schema ON source_schema.oid = source.relnamespace
WHERE d.refclassid = CAST('pg_class' AS regclass)
    AND d.classid = CAST('pg_rewrite' AS regclass)
    AND dependent.oid <> source.oid
    AND view_schema.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY view_schema.nspname, dependent.relname, source_schema.nspname, source.relname
"""

# How far before its window a run starts to read. Earlier statements of a session (temporary tables, search path)
# determine what its later names refer to. Their edges are sent again, which changes nothing in Monte Carlo.
# ADAPT: set this to the longest time that one of your sessions uses a temporary table.
OVERLAP = timedelta(hours=6)

NO_DEPENDENCIES = "dependencies of views not readable (pg_depend)"
MISSING_DESTINATION = "destination not in the catalog (renamed, dropped or temporary), or not visible to this user"
NO_FULL_NAME = "unqualified name that matches no table, or several tables, in its database"
# https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_system-tables.html: they need no schema.
SYSTEM_VIEWS = ("pg_", "stl_", "stv_", "svl_", "svv_", "svcs_", "sys_")


class DependencyRow(NamedTuple):
    """A row of DEPENDENCIES_SQL."""

    view_schema: str
    view_name: str
    source_schema: str
    source_name: str


# --- names ---------------------------------------------------------------------------------------------


class Names:
    """The existing tables and views. Completes unqualified names and tells tables from views."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._schemas_of: dict[tuple[str, str], set[str]] = {}
        self._schemas: set[tuple[str, str]] = set()
        self.fully_listed: set[str] = set()  # databases whose tables have all been added

    def add(self, database: str, schema: str, name: str, kind: str) -> None:
        table = TableName(database, schema, name, "VIEW" if "VIEW" in kind.upper() else "TABLE")
        known = self.schema.find(table.parts)  # case-insensitive
        if known is None or known[0].parts != table.parts:
            self.schema.add(table, [])
        self._schemas_of.setdefault((database, name), set()).add(schema)
        self._schemas.add((database, schema))

    def exists(self, asset: Asset) -> bool:
        """False only if all tables of the asset's database are known, and the asset is not among them."""
        return asset.database not in self.fully_listed or asset.schema in self._schemas_of.get(
            (asset.database, asset.name), ()
        )

    def user_schema(self, database: str, user: str) -> str | None:
        """Returns the schema that ``$user`` in a search path refers to: the one named like the user, or None.

        https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
        """
        return user if (database, user) in self._schemas else None

    def complete(self, options: Options, table: TableName) -> FullName | None:
        """Returns the asset that a name in a statement refers to; counts it and returns None if its schema is unknown.

        An unqualified name most likely refers to the only table of that name in the database, because the statement
        succeeded. It is not certain: a temporary table, created before the period that is read, could have had the
        same name. If several tables have the name, the schema stays unknown.
        """
        if table.is_external:
            return FullName(external_asset(table.name))
        is_sure = bool(table.schema) and not table.is_guess
        schema = table.schema or self._only_schema_of(table)
        found = self.schema.find((table.database, schema, table.name)) if table.database and schema else None
        if not is_sure and table.name.startswith(SYSTEM_VIEWS):
            return None  # a system view: not an asset, so not counted
        if not (table.database and schema):
            options.skip(NO_FULL_NAME, f"{table.database or '?'}.?.{table.name}")
            return None
        if found is None:
            return FullName(Asset(table.kind, table.database, schema, table.name), is_sure)
        # Use the catalog's spelling: after RENAME TO, the schema name has the case used in the statement.
        database, schema, name = found[0].parts
        return FullName(Asset(table.kind if is_sure else found[0].kind, database, schema, name), is_sure)

    def _only_schema_of(self, table: TableName) -> str | None:
        schemas = self._schemas_of.get((table.database or "", table.name), set())
        return next(iter(schemas)) if len(schemas) == 1 else None


# --- views ---------------------------------------------------------------------------------------------


def views_of(database: Database, names: Names, options: Options) -> Iterator[LineageTarget]:
    """Yields each view with its sources: tables from PG_DEPEND, columns from the definition."""
    views = dependencies_of(database, names, options)
    texts = (
        LoggedStatement(definition(key, text), defaults=Defaults(database.name))
        for key, text in view_texts(database, options).items()
    )
    for parsed in statement_lineage(
        texts,
        "redshift",
        partial(names.complete, options),
        options.skip,
        schema=names.schema,
        origin="view_definition",
    ):
        exact = views.get((parsed.asset.schema, parsed.asset.name))
        if exact is None:  # late-binding and materialized views
            yield parsed
        else:
            _add_columns(exact, parsed)
    yield from views.values()


def dependencies_of(database: Database, names: Names, options: Options) -> dict[Key, LineageTarget]:
    """Returns views by schema and name, with the tables that they read according to PG_DEPEND."""
    views: dict[Key, LineageTarget] = {}
    for row in database.rows(options, NO_DEPENDENCIES, DependencyRow, DEPENDENCIES_SQL) or []:
        known = names.schema.find((database.name, row.source_schema, row.source_name))
        if (
            known
            and not is_system_schema(row.source_schema)
            and view_of_backing_table(row.source_name) != row.view_name
        ):
            view = Asset("VIEW", database.name, row.view_schema, row.view_name)
            target = views.setdefault((view.schema, view.name), LineageTarget(view, "pg_depend", EXACT))
            target.add(Asset(known[0].kind, database.name, row.source_schema, row.source_name))
    return views


def definition(key: Key, text: str) -> str:
    """Returns the CREATE statement of a view. PG_VIEWS has it only for late-binding and materialized views."""
    if text[:6].lower() == "create":
        return text
    return " ".join(("CREATE VIEW", f"{quote(key[0])}.{quote(key[1])}", "AS", text))


def _add_columns(exact: LineageTarget, parsed: LineageTarget) -> None:
    """Adds the definition's column mappings for source tables that PG_DEPEND confirms."""
    for name, pairs in parsed.columns.items():
        for key, column in pairs:
            if source := exact.sources.get(key):
                exact.add(source, name, column)


# --- statements ----------------------------------------------------------------------------------------


def statements(warehouse: Warehouse, names: Names, options: Options) -> Iterator[LineageTarget]:
    """Yields what the statements in the window write; temporary tables are resolved within their session.

    Includes the statements of the OVERLAP before the window. A session id is a process id, which later sessions can
    reuse, so sessions are identified by session id, user and database together.
    """
    logged = logged_statements(warehouse, names, options)
    complete = partial(names.complete, options)
    return statement_lineage(logged, "redshift", complete, options.skip, schema=names.schema)


def logged_statements(warehouse: Warehouse, names: Names, options: Options) -> Iterator[LoggedStatement]:
    window = TimeRange(options.since - OVERLAP, options.until)
    for query in logged_queries(warehouse.main, window, options, CHANGES_STATEMENT):
        row = query.row
        user_schema = names.user_schema(row.database or "", row.user_name or "")
        yield LoggedStatement(
            query.text,
            session=f"{row.session_id} {row.user_id} {row.database}",
            defaults=Defaults(row.database or None, user_schema=user_schema),
            at=row.start_time,
            is_truncated=not query.is_complete,
        )


# --- collector -----------------------------------------------------------------------------------------


def collect(warehouse: Warehouse, options: Options) -> Iterator[LineageRecord]:
    """Yields one record for each target that has a source and that the filters select, by name."""
    names = Names(schema_of(options.arguments))
    accessible = _list_names(warehouse, names, options)
    views = merge_by_target(
        chain.from_iterable(
            views_of(database, names, options)
            for database in databases(warehouse, options, accessible)
            if not database.is_shared
        )
    )
    for view in views.values():  # PG_VIEWS also lists views that this user cannot read
        names.add(*view.asset.key, view.asset.type)
    written = merge_by_target(statements(warehouse, names, options))
    for asset in missing_tables(written.values(), names.exists):
        if options.filters.allows(*asset.key):
            options.skip(MISSING_DESTINATION, str(asset))
    edges = merge_by_target(chain(views.values(), bypass_missing_tables(written, names.exists)))
    for target in sorted(edges.values(), key=lambda target: target.asset.key):
        stop_if_asked()
        if options.filters.allows(*target.asset.key):
            yield target.record()


def _list_names(warehouse: Warehouse, names: Names, options: Options) -> set[str]:
    """Adds the tables and views of all databases to the names. Returns the accessible databases, counts the others."""
    everything = _unfiltered(options)
    listing, accessible = Listing(everything), set()
    for database in databases(warehouse, everything):
        accessible.add(database.name)
        for schema, name, kind, _ in listing.tables(database):
            names.add(database.name, schema, name, kind)
            if database.name in listing.complete:  # only if this user sees at least one table
                names.fully_listed.add(database.name)
    listing.check()
    return accessible


def _unfiltered(options: Options) -> Options:
    """Returns the options without filters, to list names: sources can be in any database.

    Shares the skip counts: if a database is not readable, its names are missing from the collected lineage.
    """
    return Options(Filters(), options.arguments, skipped=options.skipped, skipped_examples=options.skipped_examples)


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields a line for each target, as ``--list`` prints it: full name, number of sources and columns."""
    return map(listed, collect(warehouse, options))


COLLECTOR = Collector(
    flow="lineage",
    warehouse="redshift",
    resource="redshift",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect table and column lineage from Amazon Redshift into a manifest.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_schema_argument,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
