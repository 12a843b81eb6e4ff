"""What the cluster holds, as far as both the metadata and the lineage collector ask: databases, tables, view texts.

From the system views to plain rows. Needs the grants README.md lists. A database has its own catalog tables (PG_…), so
each local one is visited with a session of its own; the SVV_ALL_… views answer for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from connection import Session, Warehouse, is_statements_own, is_unreadable, message
from pushkit.collection import Options

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_REDSHIFT_DATABASES.html
DATABASES_SQL = """
SELECT
    d.database_name AS database_name,
    d.database_type AS database_type
FROM svv_redshift_databases AS d
ORDER BY d.database_name
"""

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_ALL_TABLES.html
TABLES_SQL = """
SELECT
    t.schema_name AS schema_name,
    t.table_name AS table_name,
    t.table_type AS table_type,
    t.remarks AS remarks
FROM svv_all_tables AS t
WHERE t.database_name = :database
ORDER BY t.schema_name, t.table_name
"""

# https://www.postgresql.org/docs/8.0/view-pg-views.html
VIEWS_SQL = """
SELECT
    v.schemaname AS schema_name,
    v.viewname AS view_name,
    v.definition AS view_definition
FROM pg_views AS v
WHERE v.schemaname NOT IN ('pg_catalog', 'information_schema')
"""

# Databases of the service itself, which hold nothing of the customer's.
SYSTEM_DATABASES = {"padb_harvest", "template0", "template1", "sys:internal"}
SHARED = "shared"
UNREADABLE_TABLES = "tables of a database not readable (svv_all_tables)"
UNREADABLE_VIEWS = "view texts not readable (pg_views)"
UNREADABLE_DATABASE = "database dropped meanwhile or not authorised"

Key = tuple[str, str]  # schema and name, as the catalog spells them


@dataclass(frozen=True)
class Database:
    """A database, and the session that answers for it: its own, or the main one for a database from a datashare."""

    name: str
    is_shared: bool
    session: Session


def is_system_schema(schema: str) -> bool:
    """Whether the schema is the service's own: catalogs, temporary tables, automatic materialised views."""
    return schema == "information_schema" or schema.startswith("pg_")


def databases(warehouse: Warehouse, options: Options) -> Iterator[Database]:
    """The databases the filters may want, one after the other; those that cannot be entered are counted."""
    for name, kind in list(warehouse.main.rows(DATABASES_SQL)):
        if name in SYSTEM_DATABASES or not options.filters.may_hold(name):
            continue
        if kind == SHARED:
            yield Database(name, True, warehouse.main)
            continue
        with ExitStack() as stack:
            try:
                session = stack.enter_context(warehouse.within(name))
            except Exception as error:
                if not is_unreadable(error):
                    raise
                options.skip(UNREADABLE_DATABASE, f"{name}: {message(error)}")
                continue
            yield Database(name, False, session)


def tables(database: Database, options: Options) -> Iterator[tuple[str, str, str, str | None]]:
    """Schema, name, type and remarks of every table and view, by schema and name."""
    for row in readable(database, options, UNREADABLE_TABLES, TABLES_SQL, database=database.name) or []:
        if not is_system_schema(row[0]):
            yield row[0], row[1], row[2] or "", row[3]


def view_texts(database: Database, options: Options) -> dict[Key, str]:
    """The definition of each view: a SELECT, or the whole CREATE of a late-binding or materialised one."""
    rows = readable(database, options, UNREADABLE_VIEWS, VIEWS_SQL) or []
    return {(schema, name): text.strip() for schema, name, text in rows if text and not is_system_schema(schema)}


def readable(
    place: Database, options: Options, reason: str, sql: str, /, **values: Any
) -> list[tuple[Any, ...]] | None:
    """The rows, or None (counted under the reason) when it cannot be read."""
    try:
        return list(place.session.rows(sql, **values))
    except Exception as error:
        if not is_statements_own(error):
            raise
        options.skip(reason, f"{place.name}: {message(error)}")
        return None
