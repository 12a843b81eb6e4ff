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
    """The shards of a table so far: their number, their sums, and the last one, which has the columns."""

    number: int
    last: TableRecord

    def add(self, record: TableRecord) -> None:
        self.number += 1
        self.last = replace(
            record,
            created_on=_earliest(self.last.created_on, record.created_on),
            row_count=_sum(self.last.row_count, record.row_count),
            byte_count=_sum(self.last.byte_count, record.byte_count),
            last_update_time=_latest(self.last.last_update_time, record.last_update_time),
        )

    def record(self, prefix: str) -> TableRecord:
        """One record for all shards; a single one is not sharded, and stays as it is."""
        return replace(self.last, name=f"{prefix}*") if self.number > 1 else self.last


def collapsed(records: Iterator[TableRecord], options: Options) -> Iterator[TableRecord]:
    """Yields the records, which are sorted by name within a dataset, with one for each sharded table if wanted."""
    if not options.arguments.collapse_date_shards:
        yield from records
        return
    open_shards: dict[
        str, Shards
    ] = {}  # by prefix: between two shards there can be tables such as events_20260101_copy
    dataset: tuple[str, str] | None = None
    for record in records:
        here = record.database, record.schema
        for prefix in [each for each in open_shards if here != dataset or not record.name.startswith(each)]:
            yield open_shards.pop(prefix).record(prefix)
        dataset = here
        shard = shard_prefix(record.name) if record.type == "TABLE" else None
        if shard is None:
            yield record
        elif shard in open_shards:
            open_shards[shard].add(record)
        else:
            open_shards[shard] = Shards(1, record)
    for prefix, shards in open_shards.items():
        yield shards.record(prefix)


def _sum(first: int | None, second: int | None) -> int | None:
    """The sum; None if one of them is unknown."""
    return None if first is None or second is None else first + second


def _latest(first: datetime | None, second: datetime | None) -> datetime | None:
    known = [time for time in (first, second) if time is not None]
    return max(known) if known else None


def _earliest(first: datetime | None, second: datetime | None) -> datetime | None:
    known = [time for time in (first, second) if time is not None]
    return min(known) if known else None
