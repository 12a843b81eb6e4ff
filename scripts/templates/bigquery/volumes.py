"""Completes tables with volume and freshness from tables.get, where TABLE_STORAGE is not readable.

tables.get bills nothing, but takes about half a second per table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from connection import Place, Warehouse, is_unreadable
from error_table import message
from google.cloud.bigquery import DatasetReference, Table, TableReference
from mcpush.collect.catalog import Key
from mcpush.collect.collector import Options
from mcpush.collect.pool import Pool
from query_job import HTTP_TIMEOUT

# BigQuery allows 100 requests per second and user: https://docs.cloud.google.com/bigquery/quotas#api_request_quotas
WORKERS = 8
# ADAPT: raise the time budget of a run if your tables are many and TABLE_STORAGE cannot be enabled.
SECONDS = 900
UNREADABLE = "volume and freshness not readable (tables.get)"
NOT_REACHED = f"volume and freshness unknown: tables.get did not reach the table in {SECONDS} seconds"
# https://docs.cloud.google.com/bigquery/docs/information-schema-table-storage
STORED_TYPES = ("BASE TABLE", "CLONE", "SNAPSHOT", "MATERIALIZED VIEW")
ICEBERG = "BIGLAKE"  # managed_table_type of Apache Iceberg tables


class TableRow(NamedTuple):
    """A table or view. ``is_stored``: TABLE_STORAGE has it. The last three can also come from tables.get."""

    schema_name: str
    table_name: str
    table_type: str
    managed_table_type: str | None
    created: datetime
    ddl: str | None = None  # of managed Iceberg tables
    is_stored: bool = False
    row_count: int | None = None
    byte_count: int | None = None
    modified: datetime | None = None

    @property
    def key(self) -> Key:
        return self.schema_name, self.table_name

    @property
    def is_iceberg(self) -> bool:
        return self.managed_table_type == ICEBERG

    @property
    def has_storage(self) -> bool:
        """Whether BigQuery stores its data: neither a view nor an external or Iceberg table."""
        return self.table_type in STORED_TYPES and not self.is_iceberg

    @property
    def is_view(self) -> bool:
        return "VIEW" in self.table_type

    @property
    def kind(self) -> str:
        return "iceberg table" if self.is_iceberg else self.table_type.lower().replace("base ", "")


class Volumes:
    """Asks tables.get about the tables of a project that are selected, within one time budget for the run."""

    def __init__(self, warehouse: Warehouse, options: Options, is_selected: Callable[[str, TableRow], bool]) -> None:
        self._warehouse, self._options, self._is_selected = warehouse, options, is_selected
        self._pool = Pool(WORKERS, SECONDS)

    def completed(self, place: Place, rows: Iterable[TableRow]) -> Iterator[TableRow]:
        """Yields all rows in order, those with storage that are selected with what tables.get returns."""

        def is_wanted(row: TableRow) -> bool:
            return row.has_storage and self._is_selected(place.project, row)

        def ask(row: TableRow) -> TableRow:
            if not is_wanted(row):
                return row
            reference = TableReference(DatasetReference(place.project, row.schema_name), row.table_name)
            return _completed(
                row, self._warehouse.client.get_table(reference, retry=self._warehouse.retry, timeout=HTTP_TIMEOUT)
            )

        for answer in self._pool.answers(ask, rows):
            name = ".".join((place.project, *answer.item.key))
            if answer.error is not None:
                if not is_unreadable(answer.error):
                    raise answer.error
                self._options.skip(UNREADABLE, f"{name}: {message(answer.error)}")
            elif not answer.is_reached and is_wanted(answer.item):
                self._options.skip(NOT_REACHED, name)
            yield answer.value or answer.item


def _completed(row: TableRow, table: Table) -> TableRow:
    """The row with the figures of its table. The data of a materialized view change when it is refreshed.

    https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables#MaterializedViewDefinition
    """
    modified = table.mview_last_refresh_time if row.table_type == "MATERIALIZED VIEW" else table.modified
    return row._replace(row_count=table.num_rows, byte_count=table.num_bytes, modified=modified)
