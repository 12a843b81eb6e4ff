# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "redshift-connector>=2.2,<3",
#     "boto3>=1.42,<2",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects metadata: tables and views of every database the user sees, their columns, volume and freshness.

From Redshift's SVV views, PostgreSQL's catalog and SHOW TABLES to a manifest, ``metadata.jsonl``. Needs the grants and
variables that README.md lists; changes nothing in the warehouse.

    python collect_metadata.py --include 'dev.sales.*' --manifest metadata.jsonl.gz

A database costs ten queries, and each of its schemas one for the columns of every 2,000 tables and one SHOW TABLES: the
only documented place of a table's last change takes one schema at a time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from catalog import Database, Key, Listing, backed_view, databases, or_local, readable, view_texts
from connection import Warehouse, connect, explain, is_statements_own, message, quote
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.records import Json

# --- SQL ------------------------------------------------------------------------------------------------

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_ALL_COLUMNS.html
COLUMNS_SQL = """
SELECT
    c.table_name AS table_name,
    c.column_name AS column_name,
    c.data_type AS data_type,
    c.character_maximum_length AS character_maximum_length,
    c.numeric_precision AS numeric_precision,
    c.numeric_scale AS numeric_scale,
    c.remarks AS remarks
FROM svv_all_columns AS c
WHERE c.database_name = :database
    AND c.schema_name = :schema
    AND c.table_name >= :first_table
    AND c.table_name <= :last_table
ORDER BY c.table_name, c.ordinal_position
"""

# The same without external schemas: one whose catalog does not answer makes SVV_ALL_COLUMNS fail as a whole.
# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_REDSHIFT_COLUMNS.html
LOCAL_COLUMNS_SQL = """
SELECT
    c.table_name AS table_name,
    c.column_name AS column_name,
    c.data_type AS data_type,
    CAST(NULL AS INTEGER) AS character_maximum_length,
    CAST(NULL AS INTEGER) AS numeric_precision,
    CAST(NULL AS INTEGER) AS numeric_scale,
    c.remarks AS remarks
FROM svv_redshift_columns AS c
WHERE c.database_name = :database
    AND c.schema_name = :schema
    AND c.table_name >= :first_table
    AND c.table_name <= :last_table
ORDER BY c.table_name, c.ordinal_position
"""

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

# Whole comments; the remarks of the SVV views end after 256 characters. A column's comment has its number.
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

# Refreshes that changed the view's data. One from a stream that brought no record is called successful too.
# https://docs.aws.amazon.com/redshift/latest/dg/SYS_MV_REFRESH_HISTORY.html
# https://docs.aws.amazon.com/redshift/latest/dg/r_SVL_MV_REFRESH_STATUS.html (what the status may say)
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

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_DATASHARES.html
DATASHARES_SQL = """
SELECT
    s.consumer_database AS database_name,
    s.share_name AS share_name
FROM svv_datashares AS s
WHERE s.share_type = 'INBOUND'
"""

# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_USER_INFO.html
IS_SUPERUSER_SQL = """
SELECT
    u.superuser AS is_superuser
FROM svv_user_info AS u
WHERE u.user_name = CURRENT_USER
"""

# Freshness. https://docs.aws.amazon.com/redshift/latest/dg/r_SHOW_TABLES.html
SHOW_TABLES_SQL = "SHOW TABLES FROM SCHEMA {database}.{schema}"
SHOW_SOME_TABLES_SQL = "SHOW TABLES FROM SCHEMA {database}.{schema} LIKE {pattern}"

SHOW_ROW_CAP = 10_000  # more rows are an error (same page)
TABLES_PER_COLUMN_QUERY = 2_000  # the driver keeps a result in memory whole: of 50 columns a table, some 100 MB
MEGABYTE = 1024 * 1024  # SVV_TABLE_INFO counts 1-MB blocks

NO_VOLUME = "volume not readable (svv_table_info)"
UNKNOWN_VOLUME = "volume unknown: not in svv_table_info, and only a superuser can tell an empty table from a hidden one"
NO_CREATION = "creation times not readable (pg_class_info)"
NO_COMMENTS = "comments not readable (pg_description)"
NO_VIEWS = "materialised views not readable (svv_mv_info)"
NO_REFRESHES = "refreshes not readable (sys_mv_refresh_history)"
NO_EXTERNAL = "external locations not readable (svv_external_tables)"
NO_LATE_BINDING = "columns of late-binding views not readable"
NO_FRESHNESS = "freshness not readable (SHOW TABLES)"
NO_MODIFIED_TIME = "freshness not offered: SHOW TABLES of this patch level has no last_modified_time"
UNREADABLE_COLUMNS = "columns not readable (svv_redshift_columns)"
NO_EXTERNAL_COLUMNS = "columns of external tables, and lengths in types, not readable (svv_all_columns)"
NO_SHARES = "names of datashares not readable (svv_datashares)"
NO_USER = "not readable whether this user is a superuser (svv_user_info)"
NO_COLUMNS = "columns not visible"
NO_VIEW_TEXT = "view text not visible"


# --- what a database knows of its tables ----------------------------------------------------------------


class Volume(NamedTuple):
    """A row of SVV_TABLE_INFO. Numbers are None where the cluster has no statistics."""

    megabytes: int | None
    all_rows: Any
    visible_rows: Any

    @property
    def facts(self) -> Json:
        """Deleted rows stay in tbl_rows until VACUUM: the estimate without them is nearer to what a query counts."""
        rows = self.visible_rows if self.visible_rows is not None else self.all_rows
        byte_count = None if self.megabytes is None else int(self.megabytes) * MEGABYTE
        return {"row_count": None if rows is None else int(rows), "byte_count": byte_count}


@dataclass
class Facts:
    """What is merged into the tables of one database, by schema and name."""

    volumes: dict[Key, Volume] | None  # None: not readable
    created: dict[Key, datetime]
    comments: dict[tuple[str, str, str | None], str] = field(default_factory=dict)
    view_texts: dict[Key, str] = field(default_factory=dict)
    materialized: set[Key] = field(default_factory=set)
    refreshed: dict[Key, datetime] = field(default_factory=dict)
    locations: dict[Key, str] = field(default_factory=dict)
    late_binding: dict[Key, list[Json]] = field(default_factory=dict)

    def is_backing(self, key: Key) -> bool:
        """Whether this is the table that holds a materialised view's rows, which is no table of the user's."""
        return (key[0], backed_view(key[1])) in self.materialized


def facts_of(database: Database, options: Options) -> Facts:
    """One query for each kind of fact; those that this user may not read are counted and left out."""

    def rows(reason: str, sql: str, **values: Any) -> list[tuple[Any, ...]] | None:
        return readable(database, options, reason, sql, **values)

    here = {"database": database.name}
    materialized = {(schema, name) for schema, name in rows(NO_VIEWS, MATERIALIZED_VIEWS_SQL, **here) or []}
    refreshed = rows(NO_REFRESHES, REFRESHES_SQL, **here) if materialized else []
    facts = Facts(None, {}, materialized=materialized)
    facts.refreshed = {(schema, name): moment for schema, name, moment in refreshed or [] if moment}
    if database.is_shared:  # its catalog is the producer's: what follows is of the connected database only
        return facts
    volumes = rows(NO_VOLUME, VOLUME_SQL)
    if volumes is not None:
        facts.volumes = {_owner(schema, table, materialized): Volume(*rest) for schema, table, *rest in volumes}
    facts.created = {(schema, name): moment for schema, name, moment in rows(NO_CREATION, CREATED_SQL) or []}
    if not options.only_freshness_and_volume:
        facts.view_texts = view_texts(database, options)
        facts.comments = {(s, t, column): text for s, t, column, text in rows(NO_COMMENTS, COMMENTS_SQL) or []}
        facts.locations = {(s, t): path for s, t, path in rows(NO_EXTERNAL, EXTERNAL_TABLES_SQL, **here) or [] if path}
        for schema, view, name, kind in rows(NO_LATE_BINDING, LATE_BINDING_COLUMNS_SQL) or []:
            facts.late_binding.setdefault((schema, view), []).append({"name": name, "type": kind})
    return facts


def _owner(schema: str, table: str, materialized: set[Key]) -> Key:
    """Whose volume it is: the backing table's is its materialised view's."""
    view = backed_view(table)
    return (schema, view) if view and (schema, view) in materialized else (schema, table)


# --- freshness ------------------------------------------------------------------------------------------


class Shown(NamedTuple):
    """What SHOW TABLES says of a table."""

    kind: str
    modified: datetime | None


def shown_tables(database: Database, schema: str, names: Sequence[str], options: Options) -> dict[str, Shown]:
    """Kind and last change of a schema's tables; empty, and counted, where the command is refused."""
    names_in_sql = {"database": quote(database.name), "schema": quote(schema)}
    found: dict[str, Shown] = {}
    for pattern in [None] if len(names) <= SHOW_ROW_CAP else name_patterns(names, SHOW_ROW_CAP):
        sql = SHOW_TABLES_SQL if pattern is None else SHOW_SOME_TABLES_SQL
        literal = "" if pattern is None else "'" + pattern.replace("'", "''") + "'"
        try:
            rows = list(database.session.named_rows(sql.format(**names_in_sql, pattern=literal)))
        except Exception as error:
            if not is_statements_own(error):
                raise
            options.skip(NO_FRESHNESS, f"{database.name}.{schema}: {message(error)}")
            continue
        if rows and "last_modified_time" not in rows[0]:
            options.skip(NO_MODIFIED_TIME, f"{database.name}.{schema}")
        for row in rows:
            found[row["table_name"]] = Shown(_kind(row), row.get("last_modified_time"))
    return found


def name_patterns(
    names: Sequence[str], cap: int, prefix: str = "", matched: Sequence[str] | None = None
) -> Iterator[str]:
    """LIKE patterns that together match all names, each at most ``cap`` of them where prefixes can tell them apart.

    ``matched`` are the names that the pattern for ``prefix`` matches, of which ``names`` start with it: in a pattern
    the underscore stands for any character, and so it does here for the others that LIKE reads otherwise.
    """
    pattern, here = re.sub(r"[%\\]", "_", prefix), len(prefix)
    matched = names if matched is None else matched
    if len(matched) <= cap:
        yield pattern + "%"
        return
    if prefix in names:
        yield pattern
    starts: dict[str, list[str]] = {}
    for name in names:
        if name != prefix:
            starts.setdefault(name[: here + 1], []).append(name)
    for start, group in sorted(starts.items()):
        is_any = start[here] in "_%\\"
        also = [name for name in matched if len(name) > here and (is_any or name[here] == start[here])]
        yield from name_patterns(group, cap, start, also)


def _kind(row: dict[str, Any]) -> str:
    """Redshift's own word in lower case; "regular" goes without saying."""
    word = str(row.get("table_subtype") or row.get("table_type") or "").strip().lower()
    return word.removeprefix("regular ")


# --- records --------------------------------------------------------------------------------------------


def collect(warehouse: Warehouse, options: Options) -> Iterator[Json]:
    """One record for each table and view that the filters let through."""
    main = Database(warehouse.main.database, False, warehouse.main)
    is_superuser = any(row[0] for row in readable(main, options, NO_USER, IS_SUPERUSER_SQL) or [])
    shares = dict(readable(main, options, NO_SHARES, DATASHARES_SQL) or [])
    listing = Listing(options)
    for database in databases(warehouse, options):
        collection = _Collection(database, listing, options, is_superuser, shares.get(database.name))
        yield from collection.records()
    listing.check()


class Table(NamedTuple):
    """A row of TABLES_SQL."""

    schema: str
    name: str
    table_type: str
    remarks: str | None

    @property
    def key(self) -> Key:
        return self.schema, self.name


class _Collection:
    """One database's tables and views."""

    def __init__(
        self, database: Database, listing: Listing, options: Options, is_superuser: bool, share: str | None
    ) -> None:
        self._database, self._listing, self._options = database, listing, options
        self._is_superuser, self._share = is_superuser, share
        self._facts = facts_of(database, options)
        self._names: dict[str, list[str]] = {}

    def records(self) -> Iterator[Json]:
        for schema, found in groupby(self._wanted(), key=lambda table: table.schema):
            names = self._names.pop(schema)
            shown = shown_tables(self._database, schema, names, self._options)
            for page in pages(list(found), names, TABLES_PER_COLUMN_QUERY):
                columns = {} if self._options.only_freshness_and_volume else self._columns(page)
                for table in page:
                    yield self._record(table, shown.get(table.name), columns)

    def _wanted(self) -> list[Table]:
        """What the filters let through, by schema. All names are kept: how a schema is asked about depends on them."""
        wanted = []
        for row in self._listing.tables(self._database):
            table = Table(*row)
            self._names.setdefault(table.schema, []).append(table.name)
            allowed = self._options.filters.allows(self._database.name, *table.key)
            if allowed and not self._facts.is_backing(table.key):
                wanted.append(table)
        return wanted

    def _columns(self, page: list[Table]) -> dict[Key, list[Json]]:
        """The fields of a page of one schema's tables."""
        wanted, schema = {table.name for table in page}, page[0].schema
        values = {"database": self._database.name, "schema": schema}
        values |= {"first_table": page[0].name, "last_table": page[-1].name}
        whole, local = (NO_EXTERNAL_COLUMNS, COLUMNS_SQL), (UNREADABLE_COLUMNS, LOCAL_COLUMNS_SQL)
        columns: dict[Key, list[Json]] = {}
        rows, _ = or_local(self._database, self._options, whole, local, values)
        for table, *rest in rows or []:
            if table in wanted:
                columns.setdefault((schema, table), []).append(self._field((schema, table), *rest))
        return columns

    def _field(
        self, key: Key, name: str, kind: str, length: int | None, precision: int | None, scale: int | None, remarks: str
    ) -> Json:
        record = {"name": name, "type": full_type(kind, length, precision, scale)}
        description = self._facts.comments.get((*key, name)) or remarks
        return record | {"description": description} if description else record

    def _record(self, table: Table, shown: Shown | None, columns: dict[Key, list[Json]]) -> Json:
        kind = self._kind(table, shown)
        record: Json = {
            "type": "VIEW" if "view" in kind else "TABLE",
            "kind": kind,
            "database": self._database.name,
            "schema": table.schema,
            "name": table.name,
            "created_on": self._facts.created.get(table.key),
            **self._volume(table, kind),
            "last_update_time": (shown.modified if shown else None) or self._facts.refreshed.get(table.key),
        }
        if not self._options.only_freshness_and_volume:
            record |= self._description(table, kind, columns)
        return {name: value for name, value in record.items() if value not in (None, "")}

    def _kind(self, table: Table, shown: Shown | None) -> str:
        kind = (shown.kind if shown else "") or table.table_type.lower().replace("base ", "")
        if table.key in self._facts.materialized:
            kind = "materialized view"
        if self._database.is_shared and "datashare" not in kind:
            kind = "datashare view" if "view" in kind else "datashare table"
        return kind

    def _volume(self, table: Table, kind: str) -> Json:
        """What SVV_TABLE_INFO says. It leaves out empty tables: whoever sees all rows knows that they are empty."""
        if self._facts.volumes is None or kind not in ("table", "materialized view"):
            return {}
        if table.key in self._facts.volumes:
            return self._facts.volumes[table.key].facts
        if self._is_superuser:
            return {"row_count": 0, "byte_count": 0}
        self._options.skip(UNKNOWN_VOLUME, ".".join((self._database.name, *table.key)))
        return {}

    def _description(self, table: Table, kind: str, columns: dict[Key, list[Json]]) -> Json:
        full_name = ".".join((self._database.name, *table.key))
        fields = columns.get(table.key) or self._facts.late_binding.get(table.key)
        if not fields:
            self._options.skip(NO_COLUMNS, full_name)
        text = self._facts.view_texts.get(table.key)
        if not text and "view" in kind:
            self._options.skip(NO_VIEW_TEXT, full_name)
        return {
            "description": self._facts.comments.get((*table.key, None)) or table.remarks,
            "view_query": text,
            "fields": fields,
            "tags": list(self._tags(table)) or None,
        }

    def _tags(self, table: Table) -> Iterator[Json]:
        if self._database.is_shared:
            yield {"key": "datashare", "value": self._share} if self._share else {"key": "datashare"}
        if location := self._facts.locations.get(table.key):
            yield {"key": "external_location", "value": location}


def full_type(kind: str, length: int | None, precision: int | None, scale: int | None) -> str:
    """The type as one would declare it: SVV_ALL_COLUMNS carries its parts in columns of their own."""
    if kind in ("numeric", "decimal") and precision is not None:
        return f"{kind}({precision},{scale or 0})"
    if kind.startswith(("character", "varchar", "char", "binary varying")) and length and "(" not in kind:
        return f"{kind}({length})"
    return kind


def pages(wanted: list[Table], names: Sequence[str], size: int) -> Iterator[list[Table]]:
    """The wanted tables of one schema in parts whose first and last have at most ``size`` of its ``names`` from one to
    the other: whatever lies between is asked for along with them. Both are in the catalog's order."""
    place = {name: number // size for number, name in enumerate(names)}
    for _, found in groupby(wanted, key=lambda table: place[table.name]):
        yield list(found)


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Full name and type of each table and view, as ``--list`` prints them."""
    listing = Listing(options)
    for database in databases(warehouse, options):
        found = readable(database, options, NO_VIEWS, MATERIALIZED_VIEWS_SQL, database=database.name) or []
        facts = Facts(None, {}, materialized={(schema, name) for schema, name in found})
        for schema, name, kind, _ in listing.tables(database):
            if options.filters.allows(database.name, schema, name) and not facts.is_backing((schema, name)):
                yield f"{database.name}.{schema}.{name} ({kind.lower()})"
    listing.check()


COLLECTOR = Collector(
    flow="metadata",
    warehouse="redshift",
    resource="redshift",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect tables, views, columns, volume and freshness from Amazon Redshift into a manifest.",
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
