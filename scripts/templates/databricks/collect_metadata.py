# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "databricks-sql-connector[pyarrow]>=4.2,<5",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects metadata: tables and views of all catalogs, with columns, view SQL, tags, volume and freshness.

Reads Unity Catalog's information schema and the Hive metastore and writes a manifest, ``metadata.jsonl``. Needs the
grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_metadata.py --include 'main.sales.*' --manifest metadata.jsonl.gz

A catalog takes five statements, whose rows are streamed in the same order and merged. Rows, bytes and the last write
come from statements about single tables, for a limited time (details.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from catalogs import HIVE, catalogs, each_table, not_empty
from connection import Warehouse, connect, explain
from details import NO_HISTORY, Details
from hive_metastore import hive_records, hive_targets
from kinds import VIEW, asset_type, kind_of
from mcpush.collect.catalog import (
    NO_COLUMNS,
    NO_VIEW_TEXT,
    Part,
    SortedRows,
    listed_table,
)
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.rows import R
from mcpush.records import Column, TableRecord, Tag
from tables import TableRow, Tables, sort_key

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/columns
COLUMNS_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.column_name AS column_name,
    t.full_data_type AS full_type,
    t.comment AS comment
FROM system.information_schema.columns AS t
WHERE t.table_catalog = :catalog
    AND {condition}
ORDER BY t.table_schema, t.table_name, t.ordinal_position
"""

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/views
VIEWS_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.view_definition AS definition
FROM system.information_schema.views AS t
WHERE t.table_catalog = :catalog
    AND {condition}
ORDER BY t.table_schema, t.table_name
"""

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/table_tags
TAGS_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.tag_name AS tag_name,
    t.tag_value AS tag_value
FROM (
    SELECT
        g.catalog_name AS table_catalog,
        g.schema_name AS table_schema,
        g.table_name AS table_name,
        g.tag_name AS tag_name,
        g.tag_value AS tag_value
    FROM system.information_schema.table_tags AS g
) AS t
WHERE t.table_catalog = :catalog
    AND {condition}
ORDER BY t.table_schema, t.table_name, t.tag_name
"""

WITHOUT_HISTORY = ("FOREIGN", "MATERIALIZED_VIEW")

UNREADABLE_COLUMNS = "columns of a catalog not readable (information_schema.columns)"
UNREADABLE_VIEWS = "view definitions of a catalog not readable (information_schema.views)"
UNREADABLE_TAGS = "tags of a catalog not readable (information_schema.table_tags)"
NO_TYPE = "column without a type"


class ColumnRow(NamedTuple):
    schema_name: str
    table_name: str
    column_name: str
    full_type: str | None
    comment: str | None


class ViewRow(NamedTuple):
    """A row of VIEWS_SQL. Databricks shows definitions only to the owner of the view."""

    schema_name: str
    table_name: str
    definition: str | None


class TagRow(NamedTuple):
    schema_name: str
    table_name: str
    tag_name: str
    tag_value: str | None


def collect(warehouse: Warehouse, options: Options) -> Iterator[TableRecord]:
    """Yields one record for each table and view that the filters select, by catalog, schema and name."""
    names = catalogs(warehouse, options)
    details = Details(warehouse, options)
    reader = Reader(warehouse, options, details)
    unity = [name for name in names if name != HIVE]
    details.ask(reader.tables.questions(unity))
    yield from each_table(warehouse, options, unity, reader.records_of, lambda record: (record.schema, record.name))
    if HIVE in names:
        records = hive_records(warehouse, options, details, is_alone=not unity)
        yield from not_empty(records) if _is_only_catalog(HIVE, names, options) else records


class Reader:
    """Reads the tables of catalogs with all that is known about them."""

    def __init__(self, warehouse: Warehouse, options: Options, details: Details | None) -> None:
        self._options, self._details = options, details
        self._is_full = details is not None and not options.only_freshness_and_volume
        self.tables = Tables(warehouse, options, has_sizes=details is not None)

    # --- records ----------------------------------------------------------------------------------------

    def records_of(self, catalog: str) -> Callable[[Part], Iterator[TableRecord]]:
        return lambda part: self._records(catalog, part)

    def _records(self, catalog: str, part: Part) -> Iterator[TableRecord]:
        tables = self.tables.sized(catalog, part)
        columns = self._described(UNREADABLE_COLUMNS, ColumnRow, COLUMNS_SQL, catalog, part)
        views = self._described(UNREADABLE_VIEWS, ViewRow, VIEWS_SQL, catalog, part)
        tags = self._described(UNREADABLE_TAGS, TagRow, TAGS_SQL, catalog, part)
        for row, size in tables:
            record = self._record(catalog, row, size)
            if self._is_full:
                view = next(iter(views.take(row.key)), None)
                record = replace(
                    record,
                    description=row.comment or None,
                    view_query=(view.definition if view else None) or None,
                    fields=list(self._columns(catalog, columns.take(row.key))),
                    tags=[Tag(tag.tag_name, tag.tag_value or None) for tag in tags.take(row.key)],
                )
                self._count_missing(record)
            yield record

    def _record(self, catalog: str, row: TableRow, size: int | None) -> TableRecord:
        facts = self._details.of((catalog, *row.key)) if self._details else None
        name = ".".join((catalog, *row.key))
        if self._details and row.table_type in WITHOUT_HISTORY:
            self._options.skip(NO_HISTORY, name)
        return TableRecord(
            type=asset_type(row.table_type),
            kind=kind_of(row.table_type),
            database=catalog,
            schema=row.schema_name,
            name=row.table_name,
            created_on=row.created,
            row_count=facts.row_count if facts else None,
            byte_count=size if size is not None else facts.byte_count if facts else None,
            last_update_time=facts.last_write if facts else None,
        )

    def _columns(self, catalog: str, rows: list[ColumnRow]) -> Iterator[Column]:
        for row in rows:
            if row.full_type:
                yield Column(row.column_name, row.full_type, row.comment or None)
            else:
                self._options.skip(NO_TYPE, ".".join((catalog, *row[:3])))

    def _count_missing(self, record: TableRecord) -> None:
        name = ".".join((record.database, record.schema, record.name))
        if record.type == VIEW and not record.view_query:
            self._options.skip(NO_VIEW_TEXT, name)
        if not record.fields:
            self._options.skip(NO_COLUMNS, name)

    # --- statements -------------------------------------------------------------------------------------

    def _described(self, reason: str, kind: type[R], sql: str, catalog: str, part: Part) -> SortedRows[R]:
        found = self.tables.sorted(reason, kind, sql, catalog, part) if self._is_full else None
        return found or SortedRows((), key=sort_key)


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields the full name and type of each table and view, as ``--list`` prints them."""
    names = catalogs(warehouse, options)
    reader = Reader(warehouse, options, None)
    unity = [name for name in names if name != HIVE]
    for record in each_table(warehouse, options, unity, reader.records_of, lambda record: (record.schema, record.name)):
        yield listed_table(record.database, record.schema, record.name, record.kind or "")
    if HIVE in names:
        lines = hive_targets(warehouse, options, is_alone=not unity)
        yield from not_empty(lines) if _is_only_catalog(HIVE, names, options) else lines


def _is_only_catalog(name: str, names: list[str], options: Options) -> bool:
    return names == [name] and not (options.filters.include or options.filters.exclude)


COLLECTOR = Collector(
    flow="metadata",
    warehouse="databricks",
    resource="databricks",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect tables, views, columns, volume and freshness from Databricks into a manifest.",
    other_resources=("databricks-metastore-sql-warehouse", "data-lake"),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
