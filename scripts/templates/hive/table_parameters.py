"""Interprets what Hive stores in the parameters of tables and partitions: volume and the time of the last change.

A value that might be wrong counts as unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import NamedTuple

# ALTER sets last_modified_time by the clock of the client, and transient_lastDdlTime by that of the metastore. If both
# are this close, the last change was an ALTER.
ALTER_SECONDS = 60
NUMBER = re.compile("[0-9]{1,18}")


class Volume(NamedTuple):
    row_count: int | None = None
    byte_count: int | None = None


class Change(NamedTuple):
    """When the data last changed. If that is unknown, ``reason`` says why."""

    time: datetime | None
    reason: str | None = None


UNKNOWN_VOLUME = "statistics missing or not accurate: volume unknown (ANALYZE TABLE computes them)"
UNKNOWN_CHANGE = "no time of the last change"
ALTERED = "last changed by ALTER: time of the last data change unknown"
OTHER_WRITER = "written by Spark or in another table format, without Hive: time of the last change unknown"


def volume_of(parameters: Mapping[str, str]) -> Volume:
    """Rows and bytes of a table without partitions, if Hive's statistics are accurate."""
    if not is_accurate(parameters.get("COLUMN_STATS_ACCURATE")):
        return Volume()
    return Volume(number(parameters.get("numRows")), number(parameters.get("totalSize")))


def is_accurate(value: str | None) -> bool:
    """Whether COLUMN_STATS_ACCURATE says so of the basic statistics. Until Hive 2.0 it was ``true``, not a JSON object.

    https://github.com/apache/hive/blob/master/standalone-metastore/metastore-common/src/main/java/org/apache/hadoop/hive/common/StatsSetupConst.java
    """
    if value is None:
        return False
    if value.lower() == "true":
        return True
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("BASIC_STATS") == "true"


def change_of(parameters: Mapping[str, str]) -> Change:
    """When the data of a table without partitions last changed, as far as Hive knows.

    Hive updates transient_lastDdlTime with each change of a table through Hive, including INSERT and ALTER:
    https://github.com/apache/hive/blob/branch-2.3/ql/src/java/org/apache/hadoop/hive/ql/metadata/Hive.java
    """
    if reason := other_writer(parameters):
        return Change(snapshot_time(parameters), reason)
    return latest_change(number(parameters.get("transient_lastDdlTime")), number(parameters.get("last_modified_time")))


def latest_change(changed: int | None, altered: int | None) -> Change:
    """The change at ``changed``, unless it was the ALTER at ``altered``. Both are in seconds since 1970."""
    if altered is not None and changed is not None and changed - altered <= ALTER_SECONDS:
        return Change(None, ALTERED)
    time = time_of(changed)
    return Change(time, None if time else UNKNOWN_CHANGE)


def other_writer(parameters: Mapping[str, str]) -> str | None:
    """Why transient_lastDdlTime says nothing about a table's data; None if it does.

    Spark changes only files when it writes to a table of its own formats (updateTableStats):
    https://github.com/apache/spark/blob/master/sql/core/src/main/scala/org/apache/spark/sql/execution/command/CommandUtils.scala
    Iceberg keeps the parameter unchanged; ``table_type`` has its name.
    """
    provider = parameters.get("spark.sql.sources.provider", "hive").lower()
    return OTHER_WRITER if provider != "hive" or parameters.get("table_type") else None


def snapshot_time(parameters: Mapping[str, str]) -> datetime | None:
    """The time of the current snapshot of an Iceberg table, which is the last change of its data or files.

    https://github.com/apache/iceberg/blob/main/core/src/main/java/org/apache/iceberg/TableProperties.java
    """
    if parameters.get("table_type", "").upper() != "ICEBERG":
        return None
    milliseconds = number(parameters.get("current-snapshot-timestamp-ms"))
    return None if milliseconds is None else time_of(milliseconds // 1000)


def number(value: str | None) -> int | None:
    """A count or time; None if it is unknown (-1) or not a number."""
    return int(value) if value is not None and NUMBER.fullmatch(value) else None


def time_of(seconds: int | None) -> datetime | None:
    """The time this many seconds after 1970; None for 0, which Hive writes for unknown times."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
