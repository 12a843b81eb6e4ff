"""Finds in DESCRIBE HISTORY when the data of a table last changed.

OPTIMIZE, VACUUM and changes of properties are commits, too, but leave the data as they are. Operations are those of
https://docs.databricks.com/aws/en/tables/history-schema and of the class DeltaOperations in
https://github.com/delta-io/delta, which says for each whether it changes data.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

# https://docs.databricks.com/aws/en/sql/language-manual/delta-describe-history: newest first
RECENT_SQL = "DESCRIBE HISTORY {table} LIMIT 50"
HISTORY_SQL = "DESCRIBE HISTORY {table}"

WRITES = (
    "WRITE, STREAMING UPDATE, COPY INTO, DELETE, TRUNCATE, MERGE, UPDATE, CONVERT, RESTORE, CLONE, REPLACE TABLE, "
    "CREATE TABLE AS SELECT, REPLACE TABLE AS SELECT, CREATE OR REPLACE TABLE AS SELECT, CREATE OR REPLACE TABLE"
)
OTHERS = (
    "OPTIMIZE, CREATE TABLE, REORG, REORG TABLE UPGRADE UNIFORM, VACUUM START, VACUUM END, FSCK, COMPUTE STATS, "
    "CLUSTER BY, SET TBLPROPERTIES, UNSET TBLPROPERTIES, UPGRADE PROTOCOL, ADD CONSTRAINT, DROP CONSTRAINT, "
    "ADD COLUMNS, DROP COLUMNS, RENAME COLUMN, CHANGE COLUMN, CHANGE COLUMNS, REPLACE COLUMNS, UPDATE SCHEMA, "
    "REMOVE COLUMN MAPPING, DROP FEATURE, ROW TRACKING BACKFILL, Empty Commit"
)
DATA_OPERATIONS = frozenset(WRITES.split(", "))
OTHER_OPERATIONS = frozenset(OTHERS.split(", "))


class CommitRow(NamedTuple):
    """A row of DESCRIBE HISTORY. Further columns depend on the runtime."""

    version: int
    timestamp: datetime
    operation: str | None = None


class LastWrite(NamedTuple):
    """The last change of the data. ``time`` is None if the history does not say when it was.

    ``unknown`` is the newest operation if its effect is not known. ``latest`` is then its time: the data can have
    changed until then.
    """

    time: datetime | None = None
    unknown: str | None = None
    latest: datetime | None = None


def last_write(commits: Iterable[CommitRow]) -> LastWrite:
    """The newest commit that changed data, whatever the order of the rows. Not known after an unknown operation."""
    for commit in sorted(commits, key=lambda each: each.version, reverse=True):
        if commit.operation in DATA_OPERATIONS:
            return LastWrite(commit.timestamp, None, commit.timestamp)
        if commit.operation not in OTHER_OPERATIONS:
            return LastWrite(None, str(commit.operation), commit.timestamp)
    return LastWrite()
