"""Builds records from the descriptions of tables by HiveServer2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connection import Hive
from describe import Description
from kinds import has_data, is_view, type_of
from mcpush.collect.catalog import NO_COLUMNS, NO_VIEW_TEXT, listed_table
from mcpush.collect.collector import Options
from mcpush.collect.pool import Pool
from mcpush.records import Column, TableRecord
from server_tables import Described, ServerTables
from spark_schema import current_columns
from table_parameters import UNKNOWN_VOLUME, Change, Volume, change_of, number, other_writer, volume_of
from variables import catalog, describe_seconds, workers
from view_text import comment_of

UNKNOWN_ZONE = "creation time in an ambiguous time zone (such as CST): unknown"
NO_TYPE = "column without a type"
NOT_A_TABLE = "description without the type of the table"
PARTITIONED_CHANGE = "partitioned table: time of the last change unknown (the metastore database has it)"
SPARK_VOLUME = "described by Spark: volume and time of the last change unknown"
PARTITION_COUNT = "numPartitions"  # Hive adds it when it has summed the statistics of all partitions


@dataclass(frozen=True)
class ServerSource:
    """The tables and views of HiveServer2."""

    hive: Hive

    def records(self, options: Options) -> Iterator[TableRecord]:
        """Yields one record for each table and view that the filters select, by database and name."""
        database = catalog()
        tables = ServerTables(self.hive, options, database)
        for found in tables.described(Pool(workers(), describe_seconds())):
            if found.description.kind:
                yield record(database, found, options)
            else:
                options.skip(NOT_A_TABLE, f"{database}.{found.table}")

    def targets(self, options: Options) -> Iterator[str]:
        """Yields the full name of each table and view, as ``--list`` prints them. SHOW TABLES has no types."""
        database = catalog()
        for table in ServerTables(self.hive, options, database).names():
            yield listed_table(database, table.database, table.name, "table or view")


def record(database: str, found: Described, options: Options) -> TableRecord:
    described, shown = found.description, f"{database}.{found.table}"
    is_full = not options.only_freshness_and_volume
    volume, change = _volume_and_change(described, shown, options)
    if described.has_unknown_zone:
        options.skip(UNKNOWN_ZONE, shown)
    if is_full and is_view(described.kind) and not found.query:
        options.skip(found.no_query or NO_VIEW_TEXT, shown)
    return TableRecord(
        type=type_of(described.kind),
        kind=described.kind,
        database=database,
        schema=found.table.database,
        name=found.table.name,
        created_on=described.created,
        row_count=volume.row_count,
        byte_count=volume.byte_count,
        last_update_time=change.time,
        description=comment_of(described.parameters) if is_full else None,
        view_query=found.query,
        fields=_fields(described, shown, options) if is_full else (),
    )


def _fields(described: Description, shown: str, options: Options) -> list[Column]:
    fields = []
    for column in current_columns(described.parameters, described.all_columns):
        if column.type:
            fields.append(column)
        else:
            options.skip(NO_TYPE, f"{shown}.{column.name}")
    if not fields:
        options.skip(NO_COLUMNS, shown)
    return fields


def _volume_and_change(described: Description, shown: str, options: Options) -> tuple[Volume, Change]:
    """Volume and last change, as far as Hive's parameters are certain. Counts what is unknown."""
    if not has_data(described.kind):
        return Volume(), Change(None)
    if not described.is_hive:
        options.skip(SPARK_VOLUME, shown)
        return Volume(), Change(None)
    parameters = described.parameters
    volume, change = volume_of(parameters), change_of(parameters)
    if described.partition_columns:
        # Hive has replaced the statistics by the sums of all partitions, and says whether those of all are accurate:
        # https://github.com/apache/hive/blob/rel/release-4.1.0/ql/src/java/org/apache/hadoop/hive/ql/ddl/table/info/desc/DescTableOperation.java
        # Not with hive.describe.partitionedtable.ignore.stats.
        if not number(parameters.get(PARTITION_COUNT)):
            volume = Volume()
        if not other_writer(parameters):  # writing to a partition does not change the parameters of its table
            change = Change(None, PARTITIONED_CHANGE)
    if volume.row_count is None and volume.byte_count is None:
        options.skip(UNKNOWN_VOLUME, shown)
    if change.time is None and change.reason:
        options.skip(change.reason, shown)
    return volume, change
