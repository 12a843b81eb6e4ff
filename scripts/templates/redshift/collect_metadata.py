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

Reads Redshift's SVV views, PostgreSQL's catalog and SHOW TABLES and writes a manifest, ``metadata.jsonl``. Needs the
grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_metadata.py --include 'dev.sales.*' --manifest metadata.jsonl.gz

A database takes ten queries, and each of its schemas one SHOW TABLES and one query for the columns of every 2,000
tables. SHOW TABLES is the only documented source of a table's last change, and it accepts one schema at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from catalog import Database, Listing, TableRow, databases
from connection import Warehouse, connect, explain
from facts import Facts, facts_of, materialized_views
from freshness import HIDDEN_FRESHNESS, ShownRow, shown_tables
from mcpush.collect.catalog import NO_COLUMNS, NO_VIEW_TEXT, listed_table, pages
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.records import Column, TableRecord, Tag

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

# The same without external schemas: if one of their catalogs does not respond, SVV_ALL_COLUMNS fails completely.
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

TABLES_PER_COLUMN_QUERY = 2_000  # the driver buffers the whole result: about 100 MB with 50 columns per table

UNKNOWN_VOLUME = "volume unknown: not in svv_table_info, and only a superuser can tell an empty table from a hidden one"
UNREADABLE_COLUMNS = "columns not readable (svv_redshift_columns)"
NO_EXTERNAL_COLUMNS = "columns of external tables, and lengths in types, not readable (svv_all_columns)"
NO_SHARES = "datashare names not readable (svv_datashares)"
NO_USER = "cannot determine whether this user is a superuser (svv_user_info)"

# --- rows -----------------------------------------------------------------------------------------------


class ColumnRow(NamedTuple):
    """A row of COLUMNS_SQL or LOCAL_COLUMNS_SQL."""

    table_name: str
    column_name: str
    data_type: str
    character_maximum_length: int | None
    numeric_precision: int | None
    numeric_scale: int | None
    remarks: str | None


class ShareRow(NamedTuple):
    database_name: str
    share_name: str


class UserRow(NamedTuple):
    is_superuser: bool


def full_type(column: ColumnRow) -> str:
    """Returns the type as in a declaration, built from the columns of SVV_ALL_COLUMNS that have its parts."""
    kind, length = column.data_type, column.character_maximum_length
    if kind in ("numeric", "decimal") and column.numeric_precision is not None:
        return f"{kind}({column.numeric_precision},{column.numeric_scale or 0})"
    if kind.startswith(("character", "varchar", "char", "binary varying")) and length and "(" not in kind:
        return f"{kind}({length})"
    return kind


# --- records --------------------------------------------------------------------------------------------


def collect(warehouse: Warehouse, options: Options) -> Iterator[TableRecord]:
    """Yields one record for each table and view that the filters select."""
    main = Database(warehouse.main.database, False, warehouse.main)
    is_superuser = any(row.is_superuser for row in main.rows(options, NO_USER, UserRow, IS_SUPERUSER_SQL) or [])
    shares = {
        row.database_name: row.share_name for row in main.rows(options, NO_SHARES, ShareRow, DATASHARES_SQL) or []
    }
    listing = Listing(options)
    for database in databases(warehouse, options):
        reader = DatabaseReader(database, options, facts_of(database, options), is_superuser, shares.get(database.name))
        yield from reader.records(listing)
    listing.check()


class DatabaseReader:
    """Reads the tables and views of one database."""

    def __init__(
        self, database: Database, options: Options, facts: Facts, is_superuser: bool, share: str | None
    ) -> None:
        self._database, self._options, self._facts = database, options, facts
        self._is_superuser, self._share = is_superuser, share

    def records(self, listing: Listing) -> Iterator[TableRecord]:
        """Yields the records by schema. Keeps all names of the database: patterns and pages depend on them."""
        names: dict[str, list[str]] = {}
        selected: list[TableRow] = []
        for table in listing.tables(self._database):
            names.setdefault(table.schema_name, []).append(table.table_name)
            if is_selected(table, self._database, self._facts, self._options):
                selected.append(table)
        for schema, tables in groupby(selected, key=lambda table: table.schema_name):
            yield from self._of_schema(schema, list(tables), names.pop(schema))

    def _of_schema(self, schema: str, tables: list[TableRow], names: list[str]) -> Iterator[TableRecord]:
        shown, is_complete = shown_tables(self._database, schema, names, self._options)
        for page in pages(tables, lambda table: table.table_name, names, TABLES_PER_COLUMN_QUERY):
            columns = {} if self._options.only_freshness_and_volume else self._columns(page)
            for table in page:
                if is_complete and table.table_name not in shown and table.has_freshness:
                    self._options.skip(HIDDEN_FRESHNESS, self._full_name(table))
                yield self._record(table, shown.get(table.table_name), columns)

    def _columns(self, page: list[TableRow]) -> dict[str, list[Column]]:
        """Returns the columns of a page of tables of one schema, by table."""
        columns: dict[str, list[Column]] = {table.table_name: [] for table in page}
        rows, _ = self._database.rows_or_local(
            self._options,
            (NO_EXTERNAL_COLUMNS, COLUMNS_SQL),
            (UNREADABLE_COLUMNS, LOCAL_COLUMNS_SQL),
            ColumnRow,
            database=self._database.name,
            schema=page[0].schema_name,
            first_table=page[0].table_name,
            last_table=page[-1].table_name,
        )
        for row in rows or []:
            if row.table_name in columns:
                comment = self._facts.comments.get((page[0].schema_name, row.table_name, row.column_name))
                columns[row.table_name].append(Column(row.column_name, full_type(row), comment or row.remarks))
        return columns

    def _record(self, table: TableRow, shown: ShownRow | None, columns: dict[str, list[Column]]) -> TableRecord:
        kind = self._kind(table, shown)
        row_count, byte_count = self._volume(table, kind)
        record = TableRecord(
            type="VIEW" if "view" in kind else "TABLE",
            kind=kind,
            database=self._database.name,
            schema=table.schema_name,
            name=table.table_name,
            created_on=self._facts.created.get(table.key),
            row_count=row_count,
            byte_count=byte_count,
            last_update_time=(shown.last_modified_time if shown else None) or self._facts.refreshed.get(table.key),
        )
        if self._options.only_freshness_and_volume:
            return record
        fields = columns.get(table.table_name) or self._facts.late_binding.get(table.key, [])
        if not fields:
            self._options.skip(NO_COLUMNS, self._full_name(table))
        text = self._facts.view_texts.get(table.key)
        if not text and "view" in kind:
            self._options.skip(NO_VIEW_TEXT, self._full_name(table))
        description = self._facts.comments.get((*table.key, None)) or table.remarks
        return replace(record, description=description, view_query=text, fields=fields, tags=list(self._tags(table)))

    def _full_name(self, table: TableRow) -> str:
        return ".".join((self._database.name, *table.key))

    def _kind(self, table: TableRow, shown: ShownRow | None) -> str:
        kind = (shown.kind if shown else "") or table.table_type.lower().replace("base ", "")
        if table.key in self._facts.materialized:
            kind = "materialized view"
        if self._database.is_shared and "datashare" not in kind:
            kind = "datashare view" if "view" in kind else "datashare table"
        return kind

    def _volume(self, table: TableRow, kind: str) -> tuple[int | None, int | None]:
        """Returns rows and bytes. SVV_TABLE_INFO omits empty tables; it lists all others, but only for superusers."""
        if self._facts.volumes is None or kind not in ("table", "materialized view"):
            return None, None
        if volume := self._facts.volumes.get(table.key):
            return volume.row_count, volume.byte_count
        if self._is_superuser:
            return 0, 0
        self._options.skip(UNKNOWN_VOLUME, self._full_name(table))
        return None, None

    def _tags(self, table: TableRow) -> Iterator[Tag]:
        if self._database.is_shared:
            yield Tag("datashare", self._share)
        if location := self._facts.locations.get(table.key):
            yield Tag("external_location", location)


def is_selected(table: TableRow, database: Database, facts: Facts, options: Options) -> bool:
    return options.filters.allows(database.name, *table.key) and not facts.is_backing(table.key)


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields the full name and type of each table and view, as ``--list`` prints them."""
    listing = Listing(options)
    for database in databases(warehouse, options):
        facts = Facts(materialized_views(database, options))
        for table in listing.tables(database):
            if is_selected(table, database, facts, options):
                yield listed_table(database.name, *table.key, table.table_type.lower())
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
