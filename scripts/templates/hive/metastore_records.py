"""Merges the rows of a metastore's statements into records, one table at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kinds import has_data, is_view, kind_of, type_of
from mcpush.collect.catalog import NO_COLUMNS, NO_VIEW_TEXT, SortedRows
from mcpush.collect.collector import Options
from mcpush.records import Column, TableRecord
from metastore_sql import ColumnRow, ParameterRow, PartitionsRow, TableRow, ViewRow
from spark_schema import current_columns, has_spark_format, spark_columns
from table_parameters import UNKNOWN_VOLUME, Change, Volume, change_of, latest_change, other_writer, time_of, volume_of
from view_text import column_comment, comment_of, view_query

T = TypeVar("T", ViewRow, ColumnRow, ParameterRow, PartitionsRow)

NO_TYPE = "column without a type"


@dataclass(frozen=True)
class Details:
    """The sorted rows of all statements but the first. A statement that was not run or not readable is None."""

    parameters: SortedRows[ParameterRow] | None
    partition_keys: SortedRows[ColumnRow] | None
    partitions: SortedRows[PartitionsRow] | None
    columns: SortedRows[ColumnRow] | None = None
    views: SortedRows[ViewRow] | None = None


def by_table(rows: Iterable[T] | None) -> SortedRows[T] | None:
    return None if rows is None else SortedRows(rows, key=lambda row: row.table_id)


def taken(rows: SortedRows[T] | None, table_id: int) -> list[T]:
    return [] if rows is None else rows.take(table_id)


@dataclass(frozen=True)
class Records:
    """Builds records. ``is_full``: not only volume and freshness."""

    catalog: str
    details: Details
    options: Options
    is_full: bool

    def record(self, database: str, name: str, row: TableRow) -> TableRecord:
        """The record of a table. Call it in the order of table ids."""
        found = taken(self.details.parameters, row.table_id)
        parameters = {each.parameter: each.parameter_value for each in found if each.parameter_value is not None}
        keys = taken(self.details.partition_keys, row.table_id)
        partitions = next(iter(taken(self.details.partitions, row.table_id)), None)
        shown = f"{self.catalog}.{database}.{name}"
        kind = kind_of(row.table_type or "")
        volume, change = Volume(), Change(None)
        if has_data(kind):
            volume, change = self._facts(parameters, is_partitioned=bool(keys), partitions=partitions, shown=shown)
        return TableRecord(
            type=type_of(kind),
            kind=kind or None,
            database=self.catalog,
            schema=database,
            name=name,
            created_on=time_of(row.created),
            row_count=volume.row_count,
            byte_count=volume.byte_count,
            last_update_time=change.time,
            description=comment_of(parameters) if self.is_full else None,
            view_query=self._view_query(row, shown) if self.is_full and is_view(kind) else None,
            fields=self._fields(row, keys, parameters, shown) if self.is_full else (),
        )

    def _facts(
        self,
        parameters: Mapping[str, str],
        *,
        is_partitioned: bool,
        partitions: PartitionsRow | None,
        shown: str,
    ) -> tuple[Volume, Change]:
        """Volume and last change. Counts what is unknown of a table whose rows could be read."""
        if self.details.parameters is None or self.details.partition_keys is None:
            return Volume(), Change(None)
        if not is_partitioned:
            volume, change = volume_of(parameters), change_of(parameters)
        elif self.details.partitions is None:
            return Volume(), Change(None)
        else:
            volume, change = sum_of(partitions), change_of_partitions(parameters, partitions)
        if volume.row_count is None and volume.byte_count is None:
            self.options.skip(UNKNOWN_VOLUME, shown)
        if change.time is None and change.reason:
            self.options.skip(change.reason, shown)
        return volume, change

    def _fields(
        self, row: TableRow, keys: list[ColumnRow], parameters: Mapping[str, str], shown: str
    ) -> Sequence[Column]:
        """The columns, with partition columns at the end. Those that Spark stored replace Hive's placeholder."""
        found = taken(self.details.columns, row.table_id)
        if self.details.columns is None:
            return spark_columns(parameters) or () if has_spark_format(parameters) else ()
        rows = [*found, *keys]
        hive = [Column(each.column_name, each.column_type or "", column_comment(each.comment)) for each in rows]
        fields = []
        for column in current_columns(parameters, hive):
            if column.type:
                fields.append(column)
            else:
                self.options.skip(NO_TYPE, f"{shown}.{column.name}")
        if not fields:
            self.options.skip(NO_COLUMNS, shown)
        return fields

    def _view_query(self, row: TableRow, shown: str) -> str | None:
        if self.details.views is None:
            return None
        view = next(iter(taken(self.details.views, row.table_id)), None)
        query = view_query(view.expanded_text, view.original_text) if view else None
        if not query:
            self.options.skip(NO_VIEW_TEXT, shown)
        return query


def sum_of(partitions: PartitionsRow | None) -> Volume:
    """Rows and bytes of a partitioned table, each only if all partitions have accurate statistics."""
    if partitions is None:
        return Volume()
    rows, size = partitions.row_count, partitions.byte_count
    return Volume(
        int(rows) if rows is not None and partitions.with_rows == partitions.partitions else None,
        int(size) if size is not None and partitions.with_bytes == partitions.partitions else None,
    )


def change_of_partitions(parameters: Mapping[str, str], partitions: PartitionsRow | None) -> Change:
    """The last change of any partition: writing to a partition does not update the parameters of its table."""
    if other_writer(parameters):
        return change_of(parameters)
    if partitions is None or partitions.with_change != partitions.partitions:
        return latest_change(None, None)
    return latest_change(_whole(partitions.changed), _whole(partitions.altered))


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def merged(rows: Iterable[TableRow], databases: Mapping[int, str], records: Records) -> Iterator[TableRecord]:
    """Yields the records of the selected tables in these databases, in the order of table ids."""
    for row in rows:
        database = databases.get(row.database_id)
        if database is None:
            continue  # of another catalog, or not selected
        if not row.table_name:
            records.options.skip("table without a name", f"{records.catalog}.{database}: TBL_ID {row.table_id}")
        elif records.options.filters.allows(records.catalog, database, row.table_name):
            yield records.record(database, row.table_name, row)
