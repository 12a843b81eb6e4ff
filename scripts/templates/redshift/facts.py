"""Reads additional metadata of a database's tables, by schema and name: volume, comments, view definitions and so on.

Runs one statement for each kind and keeps its rows in memory. Kinds that this user cannot read are counted and left
out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from catalog import Database, view_of_backing_table, view_texts
from mcpush.collect.catalog import Key
from mcpush.collect.collector import Options
from mcpush.records import Column

# https://docs.aws.amazon.com/redshift/latest/dg/PG_GET_LATE_BINDING_VIEW_COLS.html
LATE_BINDING_COLUMNS_SQL = """
SELECT
    c.view_schema AS schema_name,
    c.view_name AS view_name,
    c.col_name AS column_name,
    c.col_type AS column_type
FROM pg_get_late_binding_view_cols() AS c(
    view_schema name, view_name name, col_name name, col_type varchar, col_num int
)
ORDER BY c.view_schema, c.view_name, c.col_num
"""

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_TABLE_INFO.html
VOLUME_SQL = """
SELECT
    i."schema" AS schema_name,
    i."table" AS table_name,
    i.size AS size_in_megabytes,
    i.tbl_rows AS all_rows,
    i.estimated_visible_rows AS visible_rows
FROM svv_table_info AS i
"""

# https://docs.aws.amazon.com/redshift/latest/dg/r_PG_CLASS_INFO.html
CREATED_SQL = """
SELECT
    n.nspname AS schema_name,
    c.relname AS table_name,
    c.relcreationtime AS created
FROM pg_class_info AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relcreationtime IS NOT NULL
"""

# Full comments; the remarks of the SVV views are truncated to 256 characters. objsubid is the column's number.
# https://www.postgresql.org/docs/8.0/catalog-pg-description.html
COMMENTS_SQL = """
SELECT
    n.nspname AS schema_name,
    c.relname AS table_name,
    a.attname AS column_name,
    d.description AS description
FROM pg_description AS d
JOIN pg_class AS c ON c.oid = d.objoid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
WHERE d.classoid = CAST('pg_class' AS regclass)
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_MV_INFO.html
MATERIALIZED_VIEWS_SQL = """
SELECT
    RTRIM(m.schema_name) AS schema_name,
    RTRIM(m.name) AS view_name
FROM svv_mv_info AS m
WHERE m.database_name = :database
"""

# Refreshes that changed the view's data. A refresh from a stream without new records is also reported as successful.
# https://docs.aws.amazon.com/redshift/latest/dg/SYS_MV_REFRESH_HISTORY.html
# https://docs.aws.amazon.com/redshift/latest/dg/r_SVL_MV_REFRESH_STATUS.html (values of status)
REFRESHES_SQL = """
SELECT
    RTRIM(r.schema_name) AS schema_name,
    RTRIM(r.mv_name) AS view_name,
    MAX(r.end_time) AS refreshed
FROM sys_mv_refresh_history AS r
WHERE r.database_name = :database
    AND (r.status LIKE 'Refresh successfully%' OR r.status LIKE 'Refresh partially%')
    AND r.status NOT ILIKE '%no new data%'
    AND r.status NOT ILIKE '%all records%were skipped%'
GROUP BY RTRIM(r.schema_name), RTRIM(r.mv_name)
"""

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_EXTERNAL_TABLES.html
EXTERNAL_TABLES_SQL = """
SELECT
    e.schemaname AS schema_name,
    e.tablename AS table_name,
    e.location AS location
FROM svv_external_tables AS e
WHERE e.redshift_database_name = :database
"""

MEGABYTE = 1024 * 1024  # SVV_TABLE_INFO has sizes in 1-MB blocks

NO_VOLUME = "volume not readable (svv_table_info)"
NO_CREATION = "creation times not readable (pg_class_info)"
NO_COMMENTS = "comments not readable (pg_description)"
NO_VIEWS = "materialized views not readable (svv_mv_info)"
NO_REFRESHES = "refresh history not readable (sys_mv_refresh_history)"
NO_EXTERNAL = "external locations not readable (svv_external_tables)"
NO_LATE_BINDING = "columns of late-binding views not readable"


class VolumeRow(NamedTuple):
    """A row of VOLUME_SQL. Numbers are None for tables without statistics."""

    schema_name: str
    table_name: str
    size_in_megabytes: int | None
    all_rows: int | None
    visible_rows: int | None

    @property
    def row_count(self) -> int | None:
        """The estimate of visible rows, if known: tbl_rows includes deleted rows until VACUUM."""
        rows = self.visible_rows if self.visible_rows is not None else self.all_rows
        return None if rows is None else int(rows)

    @property
    def byte_count(self) -> int | None:
        return None if self.size_in_megabytes is None else int(self.size_in_megabytes) * MEGABYTE


class CreatedRow(NamedTuple):
    schema_name: str
    table_name: str
    created: datetime


class CommentRow(NamedTuple):
    """A comment on a table, or on one of its columns."""

    schema_name: str
    table_name: str
    column_name: str | None
    description: str


class MaterializedViewRow(NamedTuple):
    schema_name: str
    view_name: str


class RefreshRow(NamedTuple):
    schema_name: str
    view_name: str
    refreshed: datetime | None


class ExternalTableRow(NamedTuple):
    schema_name: str
    table_name: str
    location: str | None


class LateBindingColumnRow(NamedTuple):
    schema_name: str
    view_name: str
    column_name: str
    column_type: str


@dataclass
class Facts:
    """Additional metadata of the tables of one database. ``volumes`` is None if it is not readable."""

    materialized: set[Key]
    refreshed: dict[Key, datetime] = field(default_factory=dict)
    volumes: dict[Key, VolumeRow] | None = None
    created: dict[Key, datetime] = field(default_factory=dict)
    comments: dict[tuple[str, str, str | None], str] = field(default_factory=dict)
    view_texts: dict[Key, str] = field(default_factory=dict)
    locations: dict[Key, str] = field(default_factory=dict)
    late_binding: dict[Key, list[Column]] = field(default_factory=dict)

    def is_backing(self, key: Key) -> bool:
        """Whether this is the backing table of a materialized view, which Redshift creates."""
        return (key[0], view_of_backing_table(key[1])) in self.materialized

    def volume_key(self, key: Key) -> Key:
        """Returns the materialized view for its backing table, and any other table unchanged."""
        return (key[0], view_of_backing_table(key[1]) or "") if self.is_backing(key) else key


def materialized_views(database: Database, options: Options) -> set[Key]:
    rows = database.rows(options, NO_VIEWS, MaterializedViewRow, MATERIALIZED_VIEWS_SQL, database=database.name)
    return {(row.schema_name, row.view_name) for row in rows or []}


def facts_of(database: Database, options: Options) -> Facts:
    facts = Facts(materialized_views(database, options))
    if facts.materialized:
        refreshes = database.rows(options, NO_REFRESHES, RefreshRow, REFRESHES_SQL, database=database.name) or []
        facts.refreshed = {(row.schema_name, row.view_name): row.refreshed for row in refreshes if row.refreshed}
    if database.is_shared:  # the following views cover only the connected database
        return facts
    volumes = database.rows(options, NO_VOLUME, VolumeRow, VOLUME_SQL)
    if volumes is not None:
        facts.volumes = {facts.volume_key((row.schema_name, row.table_name)): row for row in volumes}
    created = database.rows(options, NO_CREATION, CreatedRow, CREATED_SQL) or []
    facts.created = {(row.schema_name, row.table_name): row.created for row in created}
    if not options.only_freshness_and_volume:
        _add_descriptions(facts, database, options)
    return facts


def _add_descriptions(facts: Facts, database: Database, options: Options) -> None:
    facts.view_texts = view_texts(database, options)
    comments = database.rows(options, NO_COMMENTS, CommentRow, COMMENTS_SQL) or []
    facts.comments = {(row.schema_name, row.table_name, row.column_name): row.description for row in comments}
    external = database.rows(options, NO_EXTERNAL, ExternalTableRow, EXTERNAL_TABLES_SQL, database=database.name) or []
    facts.locations = {(row.schema_name, row.table_name): row.location for row in external if row.location}
    for row in database.rows(options, NO_LATE_BINDING, LateBindingColumnRow, LATE_BINDING_COLUMNS_SQL) or []:
        fields = facts.late_binding.setdefault((row.schema_name, row.view_name), [])
        fields.append(Column(row.column_name, row.column_type))
