"""What the cluster holds, as far as both the metadata and the lineage collector ask: databases, tables, view texts.

From the system views to plain rows. Needs the grants README.md lists. A database has its own catalog tables (PG_…), so
each local one is visited with a session of its own; the SVV_ALL_… views answer for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from connection import Session, Warehouse, is_closed, is_statements_own, message
from mcpush.collect.collector import Options
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
UNREADABLE_VIEWS = "view texts not readable (pg_views)"
UNREADABLE_DATABASE = "database dropped meanwhile or not authorised"
GRANT_REMEDY = "Give this user, or its IAM identity, what README.md lists for at least one of the databases."

Key = tuple[str, str]  # schema and name, as the catalog spells them
TableRow = tuple[str, str, str, "str | None"]


@dataclass(frozen=True)
class Database:
    """A database, and the session that answers for it: its own, or the main one for a database from a datashare."""

    name: str
    is_shared: bool
    session: Session


def is_system_schema(schema: str) -> bool:
    """Whether the schema is the service's own: catalogs, temporary tables, automatic materialised views."""
    return schema == "information_schema" or schema.startswith("pg_")


def backed_view(table: str) -> str | None:
    """The materialised view whose rows a table of this name holds, if there is one of that name in its schema."""
    found = BACKING_TABLE.fullmatch(table)
    return found["view"] if found else None


def databases(warehouse: Warehouse, options: Options, only: Collection[str] | None = None) -> Iterator[Database]:
    """The databases the filters may want (and ``only`` names), one after the other.

    Those that cannot be entered are counted. Raises RefusedError when that is all of them: nothing was collected then,
    which must not look like an empty cluster.
    """
    entered, refusal = 0, ""
    for name, kind in list(warehouse.main.rows(DATABASES_SQL)):
        if name in SYSTEM_DATABASES or not options.filters.may_hold(name) or (only is not None and name not in only):
            continue
        with ExitStack() as stack:
            try:
                session = warehouse.main if kind == SHARED else stack.enter_context(warehouse.within(name))
            except Exception as error:
                if not is_closed(error):
                    raise
                refusal = f"{name}: {message(error)}"
                options.skip(UNREADABLE_DATABASE, refusal)
                continue
            entered += 1
            yield Database(name, kind == SHARED, session)
    if refusal and not entered:
        raise RefusedError(f"no database that is wanted can be entered; {refusal}", GRANT_REMEDY)


class Listing:
    """Asks each database for its tables, and remembers whether any could say, and which said it ``wholly``."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._answers: list[bool] = []
        self.wholly: set[str] = set()

    def tables(self, database: Database) -> Iterator[TableRow]:
        """Schema, name, type and remarks of every table and view, by schema and name."""
        values = {"database": database.name}
        rows, is_whole = or_local(
            database, self._options, (NO_EXTERNAL_TABLES, TABLES_SQL), (UNREADABLE_TABLES, LOCAL_TABLES_SQL), values
        )
        self._answers.append(rows is not None)
        if is_whole:
            self.wholly.add(database.name)
        for row in rows or []:
            if not is_system_schema(row[0]):
                yield row[0], row[1], row[2] or "", row[3]

    def check(self) -> None:
        """After the last database. Raises UnavailableError when none could say which tables it has."""
        if self._answers and not any(self._answers):
            reason = self._options.skipped_examples.get(UNREADABLE_TABLES, "")
            raise UnavailableError(f"no database says which tables it has; {reason}", f"Run it again. {GRANT_REMEDY}")


def or_local(
    database: Database, options: Options, whole: tuple[str, str], local: tuple[str, str], values: dict[str, Any]
) -> tuple[list[tuple[Any, ...]] | None, bool]:
    """The rows of a statement that covers external schemas, else of one without them; each with its skip reason.

    And whether they are the first one's. Both failing counts as the second reason only: the first would say that the
    local rows are there.
    """
    try:
        return list(database.session.rows(whole[1], **values)), True
    except Exception as error:
        if not is_statements_own(error):
            raise
        problem = f"{database.name}: {message(error)}"
    rows = readable(database, options, local[0], local[1], **values)
    if rows is not None:
        options.skip(whole[0], problem)
    return rows, False


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
