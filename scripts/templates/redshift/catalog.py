"""What the cluster holds, as far as both the metadata and the lineage collector ask: databases, tables, view texts.

From the system views to rows. Needs the grants README.md lists. A database has its own catalog tables (PG_…), so each
local one is visited with a session of its own; the SVV_ALL_… views answer for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from connection import Session, Warehouse, is_closed, is_statements_own
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

# The same without external schemas: one whose catalog does not answer makes SVV_ALL_TABLES fail as a whole.
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

# Databases of the service itself, which hold nothing of the customer's.
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
    """A table or view. ``table_type`` is empty where it is unknown."""

    schema_name: str
    table_name: str
    table_type: str
    remarks: str | None

    @property
    def key(self) -> Key:
        return self.schema_name, self.table_name


class ViewTextRow(NamedTuple):
    schema_name: str
    view_name: str
    view_definition: str | None


@dataclass(frozen=True)
class Database:
    """A database, and the session that answers for it: its own, or the main one for a database from a datashare."""

    name: str
    is_shared: bool
    session: Session

    def rows(self, options: Options, reason: str, kind: type[R], sql: str, /, **values: object) -> list[R] | None:
        """The rows, or None (counted under the reason) when they cannot be read."""
        return read_or_skip(
            options, reason, lambda: list(self.session.rows(kind, sql, **values)), is_statements_own, self.describe
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
        """The rows of a statement that covers external schemas, else of one without them, each given as skip reason
        and SQL; and whether they are the first one's."""

        def reading(reason: str, sql: str) -> Reading[list[R]]:
            return Reading(reason, lambda: list(self.session.rows(kind, sql, **values)))

        return read_or_fallback(options, reading(*whole), reading(*local), is_statements_own, self.describe)

    def describe(self, error: BaseException) -> str:
        return f"{self.name}: {message(error)}"


def is_system_schema(schema: str) -> bool:
    """Whether the schema is the service's own: catalogs, temporary tables, automatic materialised views."""
    return schema == "information_schema" or schema.startswith("pg_")


def backed_view(table: str) -> str | None:
    """The materialised view whose rows a table of this name holds, if there is one of that name in its schema."""
    found = BACKING_TABLE.fullmatch(table)
    return found["view"] if found else None


def databases(warehouse: Warehouse, options: Options, only: Collection[str] | None = None) -> Iterator[Database]:
    """The databases the filters may want (and ``only`` names), one after the other.

    Those that cannot be entered are counted. Raises RefusedError when that is all of them.
    """
    kinds = {row.database_name: row.database_type for row in warehouse.main.rows(DatabaseRow, DATABASES_SQL)}
    wanted = [
        name
        for name in kinds
        if name not in SYSTEM_DATABASES and options.filters.may_hold(name) and (only is None or name in only)
    ]

    def entered(name: str) -> Iterator[Database]:
        if kinds[name] == SHARED:
            yield Database(name, True, warehouse.main)
            return
        with warehouse.within(name) as session:
            yield Database(name, False, session)

    def refusal(refusals: list[str]) -> RefusedError:
        return RefusedError(f"Cannot connect to any of the selected databases; {refusals[-1]}", GRANT_REMEDY)

    return each_readable(options, wanted, entered, is_closed, refusal, message)


class Listing:
    """Asks each database for its tables, and remembers whether any could say, and which said it ``wholly``."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._answers: list[bool] = []
        self.wholly: set[str] = set()

    def tables(self, database: Database) -> Iterator[TableRow]:
        """Every table and view, by schema and name."""
        whole, local = (NO_EXTERNAL_TABLES, TABLES_SQL), (UNREADABLE_TABLES, LOCAL_TABLES_SQL)
        rows, is_whole = database.rows_or_local(self._options, whole, local, TableRow, database=database.name)
        self._answers.append(rows is not None)
        if is_whole:
            self.wholly.add(database.name)
        for row in rows or []:
            if not is_system_schema(row.schema_name):
                yield row._replace(table_type=row.table_type or "")

    def check(self) -> None:
        """After the last database. Raises UnavailableError when none could say which tables it has."""
        if self._answers and not any(self._answers):
            reason = self._options.skipped_examples.get(UNREADABLE_TABLES, "")
            raise UnavailableError(
                f"Cannot list the tables of any database; {reason}", f"Run the same command again. {GRANT_REMEDY}"
            )


def view_texts(database: Database, options: Options) -> dict[Key, str]:
    """The definition of each view: a SELECT, or the whole CREATE of a late-binding or materialised one."""
    rows = database.rows(options, UNREADABLE_VIEWS, ViewTextRow, VIEWS_SQL) or []
    return {
        (row.schema_name, row.view_name): row.view_definition.strip()
        for row in rows
        if row.view_definition and not is_system_schema(row.schema_name)
    }
