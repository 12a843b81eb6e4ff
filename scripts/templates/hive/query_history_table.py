"""Reads query logs from sys.query_history, which Hive 4.1 and later fill if hive.query.history.enabled is true.

Hive writes rows in batches of 200, or when their memory is used up (hive.query.history.batch.size), so that a row can
arrive long after its query ended. https://github.com/apache/hive/pull/5613
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from connection import Hive, connect, is_unreadable
from error_table import message
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.collector import Options
from mcpush.collect.query_text import NO_TEXT, limited_text
from mcpush.errors import RefusedError
from mcpush.records import QueryLogRecord, TimeRange, known
from variables import catalog

# ADAPT: to add a column to extra of query logs, append it to this list and to HistoryRow.
# https://github.com/apache/hive/blob/master/ql/src/java/org/apache/hadoop/hive/ql/queryhistory/schema/Schema.java
HISTORY_SQL = """
SELECT
    h.query_id AS query_id,
    h.`sql` AS statement_text,
    h.end_user AS end_user,
    h.query_state AS query_state,
    h.failure_reason AS failure_reason,
    h.start_time_utc AS start_time_utc,
    h.end_time_utc AS end_time_utc,
    h.num_rows_fetched AS num_rows_fetched,
    h.session_id AS session_id,
    h.db_name AS db_name,
    h.operation AS operation,
    h.query_type AS query_type,
    h.execution_engine AS execution_engine,
    h.client_address AS client_address
FROM sys.query_history AS h
WHERE h.end_time_utc >= CAST(%(since)s AS TIMESTAMP)
    AND h.end_time_utc < CAST(%(until)s AS TIMESTAMP)
ORDER BY end_time_utc, query_id
"""

SLICING = Slicing(first=timedelta(hours=6), few_rows=10_000, many_rows=1_000_000)
# https://github.com/apache/hive/blob/master/service/src/java/org/apache/hive/service/cli/OperationState.java
FAILED_STATES = ("ERROR", "CANCELED", "TIMEDOUT")
NO_TIMES = "query without a start or an end"


class HistoryRow(NamedTuple):
    """A row of HISTORY_SQL. Times are in UTC."""

    query_id: str
    statement_text: str | None
    end_user: str | None
    query_state: str | None
    failure_reason: str | None
    start_time_utc: datetime | None
    end_time_utc: datetime | None
    num_rows_fetched: int | None
    session_id: str | None
    db_name: str | None
    operation: str | None
    query_type: str | None
    execution_engine: str | None
    client_address: str | None


def history_records(options: Options) -> Iterator[QueryLogRecord]:
    """Yields one record for each query that ended in the window, in the order of their ends.

    Raises RefusedError if the table does not exist or must not be read.
    """
    with connect() as hive:
        for row in _rows(hive, TimeRange(options.since, options.until)):
            if not options.filters.allows_schema(catalog(), row.db_name):
                continue
            if not (row.statement_text or "").strip():
                options.skip(NO_TEXT, row.query_id)
            elif row.start_time_utc is None or row.end_time_utc is None:
                options.skip(NO_TIMES, row.query_id)
            else:
                yield _record(row, row.start_time_utc, row.end_time_utc, options)


def _rows(hive: Hive, window: TimeRange) -> Iterator[HistoryRow]:
    def read(part: TimeRange) -> Iterator[HistoryRow]:
        return iter(hive.rows(HistoryRow, HISTORY_SQL, since=_literal(part.start), until=_literal(part.end)))

    try:
        yield from in_slices(window, read, SLICING)
    except Exception as error:
        if not is_unreadable(error):
            raise
        raise RefusedError(
            f"sys.query_history cannot be read: {message(error)}",
            "It needs Hive 4.1, hive.query.history.enabled=true and SELECT on the table. Or read log files instead.",
        ) from error


def _literal(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}"


def _record(row: HistoryRow, start: datetime, end: datetime, options: Options) -> QueryLogRecord:
    failed = bool(row.failure_reason) or row.query_state in FAILED_STATES
    rows = row.num_rows_fetched
    return QueryLogRecord(
        query_id=row.query_id,
        start_time=start,
        end_time=end,
        query_text=limited_text(row.statement_text or "", row.query_id, options),
        user=row.end_user,
        returned_rows=rows if rows is not None and rows >= 0 else None,
        error_code=row.query_state if failed else None,
        error_text=(row.failure_reason or row.query_state) if failed else None,
        extra=known(
            {
                "session_id": row.session_id,
                "database": catalog(),
                "schema": row.db_name,
                "status": row.query_state,
                "operation": row.operation,
                "query_type": row.query_type,
                "execution_engine": row.execution_engine,
                "client_address": row.client_address,
            }
        ),
    )
