"""Reads databases, tables and view definitions, for the metadata and lineage collectors.

Needs the grants listed in README.md. Each database has its own catalog tables (PG_…), so each local database needs its
own session. The SVV_ALL_… views cover all databases.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from connection import Session, Warehouse, is_inaccessible, is_statement_error
from error_table import message
from mcpush.collect.catalog import Key, Reading, each_readable, read_or_fallback, read_or_skip
from mcpush.collect.collector import Options
from mcpush.collect.rows import R
from mcpush.errors import RefusedError, UnavailableError

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

# The same without external schemas: if one of their catalogs does not respond, SVV_ALL_TABLES fails completely.
# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_REDSHIFT_TABLES.html
LOCAL_TABLES_SQL = """
SELECT
    t.schema_name AS schema_name,
    t.table_name AS table_name,
    t.table_type AS table_type,
    t.remarks AS remarks
FROM svv_redshift_tables AS t
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

# Databases of Redshift itself, without customer data.
SYSTEM_DATABASES = {"padb_harvest", "template0", "template1", "sys:internal"}
SHARED = "shared"
# https://docs.aws.amazon.com/redshift/latest/dg/materialized-view-auto-rewrite.html
BACKING_TABLE = re.compile(r"mv_tbl__(?P<view>.+)__\d+")
UNREADABLE_TABLES = "tables of a database not readable (svv_redshift_tables)"
NO_EXTERNAL_TABLES = "external tables not readable (svv_all_tables)"
UNREADABLE_VIEWS = "view definitions not readable (pg_views)"
GRANT_REMEDY = "Grant this user, or its IAM identity, what README.md lists, in at least one of the databases."


class DatabaseRow(NamedTuple):
    database_name: str
    database_type: str


class TableRow(NamedTuple):
    """A table or view. ``table_type`` is empty if unknown."""

    schema_name: str
    table_name: str
    table_type: str
    remarks: str | None

    @property
    def key(self) -> Key:
        return self.schema_name, self.table_name

    @property
    def has_freshness(self) -> bool:
        """Whether SHOW TABLES has the time of its last change, if the user may select from it."""
        return not any(word in self.table_type.lower() for word in ("view", "external"))


class ViewTextRow(NamedTuple):
    schema_name: str
    view_name: str
    view_definition: str | None


@dataclass(frozen=True)
class Database:
    """A database and the session that reads it: its own, or the main one for a database from a datashare."""

    name: str
    is_shared: bool
    session: Session

    def rows(self, options: Options, reason: str, kind: type[R], sql: str, /, **values: object) -> list[R] | None:
        """Returns the rows; counts the reason and returns None if they are not readable."""
        return read_or_skip(
            options, reason, lambda: list(self.session.rows(kind, sql, **values)), is_statement_error, self.describe
        )

    def rows_or_local(
        self,
        options: Options,
        whole: tuple[str, str],
        local: tuple[str, str],
        kind: type[R],
        /,
        **values: object,
    ) -> tuple[list[R] | None, bool]:
        """Runs a statement that covers external schemas and, if it fails, one that does not.

        ``whole`` and ``local`` are a skip reason and SQL each. Returns the rows, or None if both statements fail, and
        whether they are from the first statement.
        """

        def reading(reason: str, sql: str) -> Reading[list[R]]:
            return Reading(reason, lambda: list(self.session.rows(kind, sql, **values)))

        return read_or_fallback(options, reading(*whole), reading(*local), is_statement_error, self.describe)

    def describe(self, error: BaseException) -> str:
        return f"{self.name}: {message(error)}"


def is_system_schema(schema: str) -> bool:
    """Whether Redshift owns the schema: catalogs, temporary tables, automatic materialized views."""
    return schema == "information_schema" or schema.startswith("pg_")


def view_of_backing_table(table: str) -> str | None:
    """Returns the materialized view (which need not exist) for the name of a backing table; None for other names."""
    found = BACKING_TABLE.fullmatch(table)
    return found["view"] if found else None


def databases(warehouse: Warehouse, options: Options, only: Collection[str] | None = None) -> Iterator[Database]:
    """Yields the databases that the filters can select and that are in ``only``, if given, one at a time.

    Counts databases that refuse a connection. Raises RefusedError if all of them do.
    """
    kinds = {row.database_name: row.database_type for row in warehouse.main.rows(DatabaseRow, DATABASES_SQL)}
    selected = [
        name
        for name in kinds
        if name not in SYSTEM_DATABASES and options.filters.may_hold(name) and (only is None or name in only)
    ]

    def open_database(name: str) -> Iterator[Database]:
        if kinds[name] == SHARED:
            yield Database(name, True, warehouse.main)
            return
        with warehouse.within(name) as session:
            yield Database(name, False, session)

    def refusal(refusals: list[str]) -> RefusedError:
        return RefusedError(f"Cannot connect to any of the selected databases; {refusals[-1]}", GRANT_REMEDY)

    return each_readable(options, selected, open_database, is_inaccessible, refusal, message)


class Listing:
    """Lists the tables of databases. ``complete`` has the databases whose list includes external tables."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._readable: list[bool] = []
        self.complete: set[str] = set()

    def tables(self, database: Database) -> Iterator[TableRow]:
        """Yields every table and view, by schema and name."""
        whole, local = (NO_EXTERNAL_TABLES, TABLES_SQL), (UNREADABLE_TABLES, LOCAL_TABLES_SQL)
        rows, is_complete = database.rows_or_local(self._options, whole, local, TableRow, database=database.name)
        self._readable.append(rows is not None)
        if is_complete:
            self.complete.add(database.name)
        for row in rows or []:
            if not is_system_schema(row.schema_name):
                yield row._replace(table_type=row.table_type or "")

    def check(self) -> None:
        """Raises UnavailableError if no database could list its tables. To be called after the last database."""
        if self._readable and not any(self._readable):
            reason = self._options.skipped_examples.get(UNREADABLE_TABLES, "")
            raise UnavailableError(
                f"Cannot list the tables of any database; {reason}", f"Run the same command again. {GRANT_REMEDY}"
            )


def view_texts(database: Database, options: Options) -> dict[Key, str]:
    """Returns the definition of each view: a SELECT, or the CREATE statement of a late-binding or materialized view."""
    rows = database.rows(options, UNREADABLE_VIEWS, ViewTextRow, VIEWS_SQL) or []
    return {
        (row.schema_name, row.view_name): row.view_definition.strip()
        for row in rows
        if row.view_definition and not is_system_schema(row.schema_name)
    }
