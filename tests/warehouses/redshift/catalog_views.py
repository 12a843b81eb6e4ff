"""Generates SQL from ``catalog.toml`` that creates the system views documented by Amazon Redshift in PostgreSQL.

For each documented view, creates a table for fixture rows in the schema ``testbed`` and a view in ``pg_catalog`` with
the documented columns and types. The view shows each user the rows that the vendor's page specifies. Needs only the
file; the server runs the SQL as a PostgreSQL superuser.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

CATALOG = Path(__file__).resolve().parents[3] / "scripts/templates/redshift/catalog.toml"

# Types that PostgreSQL has dropped or renamed.
RENAMED_TYPES = {"abstime": "timestamp", "char": '"char"'}

# The columns with the database and the schema of a view's objects, if they are not database_name and schema_name.
OBJECT_COLUMNS = {
    "SVV_EXTERNAL_TABLES": ("redshift_database_name", "schemaname"),
    "SVV_EXTERNAL_COLUMNS": ("redshift_database_name", "schemaname"),
    "STV_MV_INFO": ("db_name", "schema"),
    "SVV_DATASHARES": ("consumer_database", None),
}
DATABASE_COLUMNS = ("database", "table_catalog")  # for views that show only the connected database
USER_COLUMNS = ("user_id", "userid")

FOUNDATION_SQL = """
SET allow_system_table_mods = on;
CREATE SCHEMA testbed;
CREATE TABLE testbed.users (
    user_id integer PRIMARY KEY,
    user_name text NOT NULL UNIQUE,
    superuser boolean NOT NULL,
    syslog_access text NOT NULL
);
CREATE TABLE testbed.grants (
    user_name text NOT NULL, database_name text NOT NULL, schema_name text, may_select boolean NOT NULL
);
CREATE TABLE testbed.late_binding_columns (
    view_schema name, view_name name, col_name name, col_type varchar, col_num integer
);
CREATE TABLE testbed.clock (ahead interval NOT NULL);
INSERT INTO testbed.clock VALUES ('0');
CREATE TABLE testbed.view_texts (schemaname name, viewname name, viewowner name, definition text);
"""

# PostgreSQL cannot represent Redshift's late-binding and materialized views, so their texts are added to PG_VIEWS.
VIEWS_SQL = """
ALTER VIEW pg_catalog.pg_views RENAME TO pg_views_of_postgresql;
CREATE VIEW pg_catalog.pg_views AS
SELECT p.schemaname, p.viewname, p.viewowner, p.definition FROM pg_catalog.pg_views_of_postgresql AS p
WHERE NOT EXISTS (
    SELECT 1 FROM testbed.view_texts AS t WHERE t.schemaname = p.schemaname AND t.viewname = p.viewname
)
UNION ALL
SELECT schemaname, viewname, viewowner, definition FROM testbed.view_texts;
GRANT SELECT ON pg_catalog.pg_views TO PUBLIC;

CREATE FUNCTION pg_catalog.pg_get_late_binding_view_cols() RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER AS
$$ SELECT view_schema, view_name, col_name, col_type, col_num FROM testbed.late_binding_columns $$;
"""

# In the time zone of the session. https://docs.aws.amazon.com/redshift/latest/dg/r_GETDATE.html
CLOCK_SQL = """
CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE SECURITY DEFINER AS
$$ SELECT CAST(date_trunc('second', statement_timestamp()) AS timestamp) + ahead FROM testbed.clock $$;
"""

# SHOW TABLES FROM SCHEMA …: the shim rewrites the command as a call of this function.
SHOW_TABLES_SQL = """
CREATE TABLE testbed.show_tables ({columns});
CREATE FUNCTION testbed.show_tables_from(the_database text, the_schema text, the_pattern text, the_limit integer)
RETURNS SETOF testbed.show_tables LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    IF NOT (SELECT superuser FROM testbed.users WHERE user_name = session_user) AND NOT EXISTS (
        SELECT 1 FROM testbed.grants AS g
        WHERE g.user_name = session_user AND g.database_name = the_database
          AND (g.schema_name IS NULL OR g.schema_name = the_schema)
    ) THEN
        RAISE EXCEPTION 'permission denied for schema %', the_schema USING ERRCODE = '42501';
    END IF;
    IF NOT (SELECT superuser FROM testbed.users WHERE user_name = session_user) AND NOT EXISTS (
        SELECT 1 FROM testbed.grants AS g
        WHERE g.user_name = session_user AND g.database_name = the_database AND g.may_select
          AND (g.schema_name IS NULL OR g.schema_name = the_schema)
    ) THEN
        RETURN;
    END IF;
    IF the_limit IS NULL AND {row_cap} < (
        SELECT count(*) FROM testbed.show_tables AS t
        WHERE t.database_name = the_database AND t.schema_name = the_schema AND t.table_name LIKE the_pattern
    ) THEN
        RAISE EXCEPTION 'SHOW TABLES would return more than {row_cap} tables' USING ERRCODE = '54000';
    END IF;
    RETURN QUERY SELECT * FROM testbed.show_tables AS t
    WHERE t.database_name = the_database AND t.schema_name = the_schema AND t.table_name LIKE the_pattern
    ORDER BY random() LIMIT the_limit;
END $$;
GRANT USAGE ON SCHEMA testbed TO PUBLIC;
"""

SEES_ALL_LOGS = "(SELECT superuser OR syslog_access = 'UNRESTRICTED' FROM testbed.users WHERE user_name = session_user)"
SEES_ALL_OBJECTS = "(SELECT superuser FROM testbed.users WHERE user_name = session_user)"
OWN_ID = "(SELECT user_id FROM testbed.users WHERE user_name = session_user)"


def load() -> dict[str, Any]:
    catalog: dict[str, Any] = tomllib.loads(CATALOG.read_text(encoding="utf-8"))
    return catalog


def bootstrap_sql(catalog: dict[str, Any]) -> str:
    """All statements for one database, in order."""
    show = catalog["commands"]["SHOW TABLES"]
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in show["columns"].items())
    parts = [FOUNDATION_SQL]
    for name, view in catalog["views"].items():
        if view.get("source") != "postgresql":
            parts.extend(_view_sql(name, view))
    parts += [VIEWS_SQL, CLOCK_SQL, SHOW_TABLES_SQL.format(columns=columns, row_cap=show["row_cap"])]
    return "\n".join(parts)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _view_sql(name: str, view: dict[str, Any]) -> Iterator[str]:
    """The fixture table (texts unpadded, so that it stays small) and the view that casts to the documented types."""
    table, columns = f"testbed.{name.lower()}", view["columns"]
    stored = ", ".join(f"{quoted(column)} {_stored(kind)}" for column, kind in columns.items())
    shown = ",\n    ".join(
        f"CAST(t.{quoted(column)} AS {RENAMED_TYPES.get(kind, kind)}) AS {quoted(column)}"
        if _stored(kind) != kind
        else f"t.{quoted(column)}"
        for column, kind in columns.items()
    )
    rule = _rule(name, view)
    yield f"CREATE TABLE {table} ({stored});"
    yield f"CREATE VIEW pg_catalog.{name.lower()} AS\nSELECT\n    {shown}\nFROM {table} AS t\nWHERE {rule};"
    if view["rows"] != "superuser":
        yield f"GRANT SELECT ON pg_catalog.{name.lower()} TO PUBLIC;"


def _stored(kind: str) -> str:
    if kind.startswith("char"):
        return "text"
    return RENAMED_TYPES.get(kind, kind)


def _rule(name: str, view: dict[str, Any]) -> str:
    """The condition that restricts a view to the rows that its page says a user sees."""
    columns = view["columns"]
    if view["scope"] == "database":
        own = [column for column in DATABASE_COLUMNS if column in columns]
        return f"t.{own[0]} = current_database()" if own else "true"
    if view["rows"] == "own":
        user = next(column for column in USER_COLUMNS if column in columns)
        return f"{SEES_ALL_LOGS} OR t.{user} = {OWN_ID}"
    if view["rows"] == "granted":
        database, schema = OBJECT_COLUMNS.get(name, ("database_name", "schema_name"))
        of_schema = f" AND (g.schema_name IS NULL OR g.schema_name = t.{schema})" if schema else ""
        return (
            f"{SEES_ALL_OBJECTS} OR EXISTS (SELECT 1 FROM testbed.grants AS g WHERE g.user_name = session_user"
            f" AND g.database_name = t.{database}{of_schema})"
        )
    return "true"
