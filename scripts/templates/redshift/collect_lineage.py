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
"""Collects lineage: which tables and columns were written from which, and what views are made of.

From the texts in Redshift's SYS_QUERY_TEXT, the dependencies in PG_DEPEND and the definitions in PG_VIEWS to a
manifest, ``lineage.jsonl``. Needs the grants and variables that README.md lists; changes nothing in the warehouse.

    python collect_lineage.py --state lineage.state --manifest lineage.jsonl.gz

Redshift keeps no lineage of its own, so what statements moved is read from their text, session by session, in the
order they ended. Statements stream; the distinct edges are held until the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from catalog import Database, Key, Listing, backed_view, databases, is_system_schema, readable, view_texts
from connection import Warehouse, connect, explain, quote
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import Filters
from mcpush.lineage.graph import EXACT, Asset, Destination, external, gathered, listed, through_absent
from mcpush.lineage.query_log import LineageLog
from mcpush.lineage.texts import Named, add_schema_argument, read_log, schema_of
from mcpush.records import Json, TimeRange
from mcpush.sql import Defaults, Schema, TableName
from query_history import CHANGES_STATEMENT, LATENCY, RETENTION, logged_queries
from sqlglot import TokenType
from sqlglot.dialects.redshift import Redshift
from sqlglot.errors import TokenError

# The example of https://docs.aws.amazon.com/redshift/latest/dg/r_DROP_TABLE.html, for all views at once. Late-binding
# views depend on nothing here; materialised ones on the table that holds their rows. Their texts tell.
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

# How far before its window a run starts to read: what a session did there (temporary tables, its search path) says what
# its later names mean. The edges found there are sent once more, which changes nothing in Monte Carlo.
# ADAPT: the longest time a session of yours works with one temporary table.
OVERLAP = timedelta(hours=6)

NO_DEPENDENCIES = "dependencies of views not readable (pg_depend)"
GONE = "destination that the catalog no longer has (renamed, dropped, temporary), or hides from this user"
NO_FULL_NAME = "name without a schema, which no table or several tables of that database have"
# https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_system-tables.html: they are found without a schema.
SYSTEM_VIEWS = ("pg_", "stl_", "stv_", "svl_", "svv_", "svcs_", "sys_")
# Words of a search path that are no schema with tables of the customer's.
OUTSIDE_OF_PATHS = ("default", "pg_catalog", "pg_temp")
# Stands between the schemas of a search path, which goes through the LineageLog as if it were one schema.
NEXT = "\0"


# --- names ---------------------------------------------------------------------------------------------


class Names:
    """The tables and views there are: completes a name without a schema, and says whether it is a view."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._schemas_of: dict[tuple[str, str], set[str]] = {}
        self._schemas: set[tuple[str, str]] = set()
        self.listed: set[str] = set()  # databases of which all tables were added

    def add(self, database: str, schema: str, name: str, kind: str) -> None:
        table = TableName(database, schema, name, "VIEW" if "VIEW" in kind.upper() else "TABLE")
        known = self.schema.find(table.parts)  # regardless of case
        if known is None or known[0].parts != table.parts:
            self.schema.add(table, [])
        self._schemas_of.setdefault((database, name), set()).add(schema)
        self._schemas.add((database, schema))

    def exists(self, asset: Asset) -> bool:
        """False only where all tables of the asset's database are known, and it is none of them."""
        return asset.database not in self.listed or asset.schema in self._schemas_of.get(
            (asset.database, asset.name), ()
        )

    def path(self, database: str, user: str, schemas: list[str]) -> str | None:
        """A search path as ``complete`` takes it for the schema of a name; None for an empty one.

        ``$user`` is the schema of the user's name, if there is one.
        https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
        """
        there = [schema for schema in schemas if schema != "$user"]
        if "$user" in schemas and (database, user) in self._schemas:
            there.insert(schemas.index("$user"), user)
        return NEXT.join(there) or None

    def complete(self, reference: Json, options: Options) -> Named | None:
        """The asset a reference names; None, and counted, when its schema stays unknown.

        Of several schemas in a search path it is the first that has the table; what none of them has was made in the
        first, and is gone. Without a path: a statement that succeeded did find its table. Where only one of that name
        is in the database, it was most likely that one; but a temporary table that was made before what is read here
        may have had the same name. Where there are several, nothing can tell.
        """
        kind, database, schema, name = (reference[part] for part in ("type", "database", "schema", "name"))
        if kind == "EXTERNAL":
            return Named(external(name))
        is_sure, is_whole = bool(schema), bool(schema) and NEXT not in schema
        if database and not is_whole:
            schema, is_sure = self._schema_of(database, name, schema)
        found = self.schema.find((database, schema, name)) if database and schema else None
        if found:  # spelled as the catalog does: RENAME TO takes the schema of a statement, in its case
            database, schema, name = found[0].parts
            kind = kind if is_whole else found[0].kind
        if not is_sure and name.startswith(SYSTEM_VIEWS):
            return None  # no asset, and no loss
        if not (database and schema):
            options.skip(NO_FULL_NAME, f"{database or '?'}.?.{name}")
            return None
        return Named(Asset(kind, database, schema, name), is_sure)

    def _schema_of(self, database: str, name: str, path: str | None) -> tuple[str | None, bool]:
        """The schema that a name without one stands for, and whether that is sure."""
        schemas = self._schemas_of.get((database, name), set())
        if path is None:
            return (next(iter(schemas)) if len(schemas) == 1 else None), False
        in_order = path.split(NEXT)
        return next(((schema, True) for schema in in_order if schema in schemas), (in_order[0], False))


# --- views, from the catalog -----------------------------------------------------------------------------


def views_of(database: Database, names: Names, options: Options) -> Iterator[Destination]:
    """What each view of the database reads: tables as PG_DEPEND knows them, columns as its definition tells."""
    views: dict[Key, Destination] = {}
    for view_schema, view, schema, name in readable(database, options, NO_DEPENDENCIES, DEPENDENCIES_SQL) or []:
        known = names.schema.find((database.name, schema, name))
        if known and not is_system_schema(schema) and backed_view(name) != view:
            asset = Asset("VIEW", database.name, view_schema, view)
            destination = views.setdefault((view_schema, view), Destination(asset, "pg_depend", EXACT))
            destination.add(Asset(known[0].kind, database.name, schema, name))
    with LineageLog("redshift", schema=names.schema, origin="view_definition") as log:
        for key, text in view_texts(database, options).items():
            log.add(definition(key, text), defaults=Defaults(database.name, None))
        for parsed in read_log(log, names.complete, options):
            exact = views.get((parsed.asset.schema, parsed.asset.name))
            if exact is None:  # late-binding and materialised views
                yield parsed
            else:
                _take_columns(exact, parsed)
    yield from views.values()


def definition(key: Key, text: str) -> str:
    """The statement that makes the view: PG_VIEWS has the query alone, unless the sort of view is Redshift's own."""
    if text[:6].lower() == "create":
        return text
    return " ".join(("CREATE VIEW", f"{quote(key[0])}.{quote(key[1])}", "AS", text))


def _take_columns(exact: Destination, parsed: Destination) -> None:
    """Column mappings of the definition whose table the catalog confirms."""
    for name, pairs in parsed.columns.items():
        for key, column in pairs:
            if source := exact.sources.get(key):
                exact.add(source, name, column)


# --- statements, from the history ----------------------------------------------------------------------


def statements(warehouse: Warehouse, names: Names, options: Options) -> Iterator[Destination]:
    """Destinations of the statements of the window, temporary tables resolved within their session.

    Those of the time before it that is read along, to know the sessions by, are among them. A session's id is that of
    its process, which others get later: only with the user and the database it tells sessions apart.
    """
    window = TimeRange(options.since - OVERLAP, options.until)
    paths: dict[str, str | None] = {}
    with LineageLog("redshift", schema=names.schema) as log:
        for query in logged_queries(warehouse.main, window, options, CHANGES_STATEMENT):
            row = query.row
            database, session = row.database_name or "", f"{row.session_id} {row.user_id} {row.database_name}"
            path = search_path(query.text)
            if path is not None:
                paths[session] = names.path(database, row.user_name or "", path)
                continue
            log.add(
                query.text,
                session=session,
                defaults=Defaults(database or None, paths.get(session)),
                at=row.start_time,
                truncated=not query.is_whole,
            )
        yield from read_log(log, names.complete, options)


def search_path(text: str) -> list[str] | None:
    """The schemas of SET search_path in their order, none for the default; None when the statement is another one.

    https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
    """
    if "search_path" not in text.lower():
        return None
    try:
        tokens = Redshift().tokenize(text)
    except TokenError:
        return None
    quoted = (TokenType.IDENTIFIER, TokenType.STRING)
    words = [token.text if token.token_type in quoted else token.text.lower() for token in tokens]
    if words[:2] in (["set", "session"], ["set", "local"]):
        del words[1]
    if words[:2] == ["reset", "search_path"]:
        return []
    if len(words) < 4 or words[:2] != ["set", "search_path"] or words[2] not in ("to", "="):
        return None
    return [word for word in words[3:] if word not in (",", ";") and word.lower() not in OUTSIDE_OF_PATHS]


# --- all of it -------------------------------------------------------------------------------------------


def collect(warehouse: Warehouse, options: Options) -> Iterator[Json]:
    """One record for each destination that has a source and that the filters let through, by name."""
    names = Names(schema_of(options))
    entered = _list_names(warehouse, names, options)
    views = gathered(
        chain.from_iterable(
            views_of(database, names, options)
            for database in databases(warehouse, options, entered)
            if not database.is_shared
        )
    )
    for view in views.values():  # PG_VIEWS shows also those that the user may not read
        names.add(*view.asset.key, view.asset.type)
    moved, gone = through_absent(gathered(statements(warehouse, names, options)), names.exists)
    for asset in gone:
        if options.filters.allows(*asset.key):
            options.skip(GONE, str(asset))
    found = gathered(chain(views.values(), moved.values()))
    for key in sorted(found):
        if options.filters.allows(*key):
            yield found[key].record()


def _list_names(warehouse: Warehouse, names: Names, options: Options) -> set[str]:
    """Add what all databases hold to the names. The databases that could be entered: the others are counted now."""
    everything = _unfiltered(options)
    listing, entered = Listing(everything), set()
    for database in databases(warehouse, everything):
        entered.add(database.name)
        for schema, name, kind, _ in listing.tables(database):
            names.add(database.name, schema, name, kind)
            if database.name in listing.wholly:  # and shows this user at least something
                names.listed.add(database.name)
    listing.check()
    return entered


def _unfiltered(options: Options) -> Options:
    """A run without filters, for names only: the sources of what is wanted may lie in any database.

    It counts into the same places: names of a database that cannot be read are missing in what is collected.
    """
    return Options(Filters(), options.arguments, skipped=options.skipped, skipped_examples=options.skipped_examples)


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Full name of each destination and how much leads to it, as ``--list`` prints them."""
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
    arguments=add_schema_argument,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
