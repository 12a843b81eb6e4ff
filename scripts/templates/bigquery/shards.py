"""Collapses date-sharded tables (events_20260101, events_20260102, …) into one, for ``--collapse-date-shards``.

https://docs.cloud.google.com/bigquery/docs/partitioned-tables#dt_partition_shard
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from mcpush.collect.collector import Options
from mcpush.records import TableRecord
from volumes import TableRow

SHARD = re.compile(r"(?P<prefix>.+_)(?P<date>[0-9]{8})", re.DOTALL)


def add_shard_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--collapse-date-shards",
        action="store_true",
        help="treat tables such as events_20260101 and events_20260102 as one table, events_*",
    )


def shard_prefix(name: str) -> str | None:
    """``events_`` for ``events_20260101``; None if the name does not end in a date."""
    found = SHARD.fullmatch(name)
    if found is None:
        return None
    try:
        datetime.strptime(found["date"], "%Y%m%d")  # noqa: DTZ007 - only checks that it is a date
    except ValueError:
        return None
    return found["prefix"]


@dataclass
class Shards:
    """The shards of a table so far: their number, and of those with a record, their sums and the last one's columns."""

    number: int = 0
    last: TableRecord | None = None

    def add(self, record: TableRecord) -> None:
        last = self.last
        self.last = (
            record
            if last is None
            else replace(
                record,
                created_on=_earliest(last.created_on, record.created_on),
                row_count=_sum(last.row_count, record.row_count),
                byte_count=_sum(last.byte_count, record.byte_count),
                last_update_time=_latest(last.last_update_time, record.last_update_time),
            )
        )


class Selection:
    """The tables that the filters select, by the names that are sent: ``events_*`` for shards if wanted.

    A single shard is not sharded, and keeps its name. Shards count regardless of filters, as in lineage.
    """

    def __init__(self, options: Options) -> None:
        self._filters = options.filters
        self._is_collapsing: bool = options.arguments.collapse_date_shards
        self._dataset: tuple[str, str] | None = None
        # By prefix: between two shards there can be tables such as events_20260101_copy.
        self._open: dict[str, Shards] = {}
        self._ended: list[TableRecord] = []

    def may_have(self, project: str, row: TableRow) -> bool:
        """Whether the table is selected under its own name or as a shard."""
        if self._filters.allows(project, *row.key):
            return True
        prefix = self._prefix(row.table_name, row.is_view)
        return prefix is not None and self._filters.allows(project, row.schema_name, f"{prefix}*")

    def read(self, project: str, row: TableRow) -> bool:
        """Call it for every row, in the order of datasets and names. Counts shards, and returns ``may_have``."""
        dataset = project, row.schema_name
        for prefix in [each for each in self._open if dataset != self._dataset or not row.table_name.startswith(each)]:
            self._end(prefix)
        self._dataset = dataset
        if shard := self._prefix(row.table_name, row.is_view):
            self._open.setdefault(shard, Shards()).number += 1
        return self.may_have(project, row)

    def collapsed(self, records: Iterator[TableRecord]) -> Iterator[TableRecord]:
        """Yields the selected records, with one for each sharded table. They are made of rows as these are read."""
        for record in records:
            yield from self._take_ended()
            if prefix := self._prefix(record.name, record.type == "VIEW"):
                self._open[prefix].add(record)
            else:
                yield record
        for prefix in list(self._open):
            self._end(prefix)
        yield from self._take_ended()

    def _prefix(self, name: str, is_view: bool) -> str | None:
        return shard_prefix(name) if self._is_collapsing and not is_view else None

    def _end(self, prefix: str) -> None:
        """Keeps the record of a table whose shards are all known, if it is selected."""
        shards = self._open.pop(prefix)
        if shards.last is None:
            return
        record = replace(shards.last, name=f"{prefix}*") if shards.number > 1 else shards.last
        if self._filters.allows(record.database, record.schema, record.name):
            self._ended.append(record)

    def _take_ended(self) -> list[TableRecord]:
        ended, self._ended = self._ended, []
        return ended


def _sum(first: int | None, second: int | None) -> int | None:
    """The sum; None if one of them is unknown."""
    return None if first is None or second is None else first + second


def _latest(first: datetime | None, second: datetime | None) -> datetime | None:
    known = [time for time in (first, second) if time is not None]
    return max(known) if known else None


def _earliest(first: datetime | None, second: datetime | None) -> datetime | None:
    known = [time for time in (first, second) if time is not None]
    return min(known) if known else None
