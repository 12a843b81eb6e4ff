"""Finds the managed Iceberg tables that the filters select, in all regions of the projects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple, TypeVar

from connection import Place, Warehouse
from mcpush.collect.catalog import Key
from mcpush.collect.collector import Options
from projects import check_places, selected_projects
from scopes import each_project

T = TypeVar("T")

# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
TABLES_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.creation_time AS created,
    t.ddl AS ddl
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
WHERE t.managed_table_type = 'BIGLAKE'
ORDER BY t.table_schema, t.table_name
"""


class TableRow(NamedTuple):
    """A row of TABLES_SQL: a managed Iceberg table."""

    schema_name: str
    table_name: str
    created: datetime
    ddl: str | None

    @property
    def key(self) -> Key:
        return self.schema_name, self.table_name


def each_table_place(
    warehouse: Warehouse, options: Options, read: Callable[[Place, Iterator[TableRow]], Iterator[T]]
) -> Iterator[T]:
    """Yields from ``read`` for each place with its selected tables, sorted by dataset and name.

    Counts what is not readable. Raises RefusedError if the tables of no project are.
    """

    def in_place(place: Place, seen: set[str]) -> Iterator[T]:
        yield from read(place, _selected(warehouse, options, place, seen))

    yield from each_project(warehouse, options, in_place)
    check_places(warehouse, selected_projects(warehouse, options))


def _selected(warehouse: Warehouse, options: Options, place: Place, seen: set[str]) -> Iterator[TableRow]:
    for row in warehouse.rows(TableRow, TABLES_SQL, place):
        seen.add(row.schema_name)
        if options.filters.allows(place.project, *row.key):
            yield row
