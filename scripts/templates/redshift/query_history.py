"""Streams the queries that ended in a window, with their full text, in the order in which they ended.

Reads SYS_QUERY_HISTORY and SYS_QUERY_TEXT. A user sees only its own queries, unless it is a superuser or has SYSLOG
ACCESS UNRESTRICTED.

The driver buffers the whole result in memory, and Redshift materializes cursors on its leader node, within a limit that
all cursors share (https://docs.aws.amazon.com/redshift/latest/dg/declare.html recommends pages instead). So the window
is read in time slices, and each slice in pages. A page starts after the last row of the previous one, by end time,
query and text segment. Memory holds one page of 4,000 segments and one query's text, regardless of the length of the
window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from connection import Session
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.collector import Options
from mcpush.records import TimeRange
from query_text_segments import join_segments, may_be_truncated

# Text is split into segments of 4,000 characters. Their trailing blanks are kept, because they can separate two words.
# A query belongs to the window in which it ended; a running one belongs to a later window. User 1 is Redshift itself.
# Both views have the start time of a query, so the bounds on t.start_time keep texts that cannot match out of the join.
# ADAPT: to add a column of SYS_QUERY_HISTORY to extra of query logs, append it to this list and to HistoryRow.
# https://docs.aws.amazon.com/redshift/latest/dg/SYS_QUERY_HISTORY.html
# https://docs.aws.amazon.com/redshift/latest/dg/SYS_QUERY_TEXT.html
HISTORY_SQL = """
SELECT
    h.end_time AS end_time,
    h.query_id AS query_id,
    t.sequence AS sequence,
    COALESCE(t.text, h.query_text) AS text,
    h.start_time AS start_time,
    RTRIM(h.username) AS user_name,
    RTRIM(h.error_message) AS error_message,
    h.returned_rows AS returned_rows,
    RTRIM(h.database_name) AS database,
    RTRIM(h.query_type) AS query_type,
    RTRIM(h.status) AS status,
    RTRIM(h.service_class_name) AS queue,
    RTRIM(h.query_priority) AS query_priority,
    h.compute_type AS compute_type,
    RTRIM(h.query_label) AS query_label,
    h.user_id AS user_id,
    h.session_id AS session_id,
    h.transaction_id AS transaction_id,
    h.elapsed_time AS elapsed_time_us,
    h.queue_time AS queue_time_us,
    h.execution_time AS execution_time_us,
    h.compile_time AS compile_time_us,
    h.planning_time AS planning_time_us,
    h.lock_wait_time AS lock_wait_time_us,
    h.returned_bytes AS returned_bytes,
    h.result_cache_hit AS result_cache_hit,
    RTRIM(h.generic_query_hash) AS generic_query_hash
FROM sys_query_history AS h
LEFT JOIN sys_query_text AS t
    ON t.query_id = h.query_id
    AND t.start_time >= :texts_since
    AND t.start_time < :until
WHERE h.end_time >= :page_end
    AND h.end_time < :until
    AND (
        h.end_time > :page_end
        OR h.query_id > :page_query
        OR (h.query_id = :page_query AND COALESCE(t.sequence, 0) > :page_sequence)
    )
    AND h.user_id > 1
    AND {condition}
ORDER BY h.end_time, h.query_id, COALESCE(t.sequence, 0)
LIMIT 4000
"""

# Statements that write data or change the session (temporary tables, search path). Most of a log is plain SELECTs,
# which write nothing. SELECT … INTO does, but no page states its query_type. The history's text is truncated at 4,000
# characters and padded with blanks, which RTRIM removes. Long texts are selected, too: INTO can be in the missing part.
CHANGES_CONDITION = """h.status = 'success'
    AND (
        COALESCE(RTRIM(h.query_type), '') <> 'SELECT'
        OR h.query_text ILIKE '%into%'
        OR OCTET_LENGTH(RTRIM(h.query_text)) >= 3000
    )"""
ENDED_CONDITION = "h.status IN ('success', 'failed', 'canceled')"
CHANGES_STATEMENT = HISTORY_SQL.format(condition=CHANGES_CONDITION)
ENDED_STATEMENT = HISTORY_SQL.format(condition=ENDED_CONDITION)

# https://docs.aws.amazon.com/redshift/latest/dg/SYS_QUERY_HISTORY.html
COUNTS_SQL = """
SELECT
    RTRIM(h.database_name) AS database_name,
    COUNT(*) AS queries
FROM sys_query_history AS h
WHERE h.end_time >= :since
    AND h.end_time < :until
    AND h.user_id > 1
    AND h.status IN ('success', 'failed', 'canceled')
GROUP BY RTRIM(h.database_name)
ORDER BY RTRIM(h.database_name)
"""

# Whether this user sees all users' queries. https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_USER_INFO.html
VISIBILITY_SQL = """
SELECT
    u.user_id AS user_id,
    u.superuser AS is_superuser,
    u.syslog_access AS syslog_access
FROM svv_user_info AS u
WHERE u.user_name = CURRENT_USER
"""

PAGE_ROWS = 4_000  # the LIMIT in HISTORY_SQL
# Slices are short, so that each page query sorts only a few pages of rows. In quiet hours they become longer.
SLICING = Slicing(
    first=timedelta(hours=1), shortest=timedelta(minutes=1), few_rows=PAGE_ROWS // 2, many_rows=PAGE_ROWS * 4
)
# ADAPT: the longest run time for which texts of more than 4,000 characters are complete. Queries that ran longer have
# the history's text, and are counted if it can be truncated.
LONGEST_RUN = timedelta(days=1)
# No page states the latency or retention of SYS views. STL views keep seven days. SHOW TABLES lags by five minutes;
# this is twice that.
LATENCY = timedelta(minutes=10)
RETENTION = timedelta(days=7)
OWN_ONLY = "other users' queries not visible: this user has no SYSLOG ACCESS UNRESTRICTED"
INCOMPLETE_TEXT = "query text incomplete: rows are missing in sys_query_text"


class HistoryRow(NamedTuple):
    """A row of HISTORY_SQL. Times are UTC; durations are in microseconds.

    If ``sequence`` is None, the text is the history's, truncated at 4,000 characters. The fields from ``database`` on
    go into ``extra`` of a query log under the same names.
    """

    end_time: datetime
    query_id: int
    sequence: int | None
    text: str | None
    start_time: datetime
    user_name: str | None
    error_message: str | None
    returned_rows: int | None
    database: str | None
    query_type: str | None
    status: str
    queue: str | None
    query_priority: str | None
    compute_type: str | None
    query_label: str | None
    user_id: int
    session_id: int | None
    transaction_id: int | None
    elapsed_time_us: int | None
    queue_time_us: int | None
    execution_time_us: int | None
    compile_time_us: int | None
    planning_time_us: int | None
    lock_wait_time_us: int | None
    returned_bytes: int | None
    result_cache_hit: bool | None
    generic_query_hash: str | None


class CountRow(NamedTuple):
    """A row of COUNTS_SQL."""

    database_name: str | None
    queries: int


class VisibilityRow(NamedTuple):
    """A row of VISIBILITY_SQL."""

    user_id: int
    is_superuser: bool
    syslog_access: str | None


@dataclass(frozen=True)
class LoggedQuery:
    """A query that ended. ``is_complete`` is False if parts of its text are or can be missing."""

    row: HistoryRow
    text: str
    is_complete: bool


def logged_queries(
    session: Session, window: TimeRange, options: Options, sql: str = ENDED_STATEMENT
) -> Iterator[LoggedQuery]:
    """Yields the queries that ended in the window. Counts missing text segments and rows hidden from this user."""
    only_user = _only_visible_user(session)
    found = in_slices(window, lambda part: _pages(session, part, sql), SLICING)
    for _, rows in groupby(found, key=lambda row: row.query_id):
        segments = list(rows)
        is_complete = _is_complete(segments)
        if not is_complete:
            options.skip(INCOMPLETE_TEXT, f"query {segments[0].query_id}")
        if segments[0].user_id != only_user:
            only_user = None  # a role grants more than the user's own setting
        yield LoggedQuery(segments[0], join_segments([row.text or "" for row in segments]), is_complete)
    if only_user is not None:
        options.skip(OWN_ONLY, f"user id {only_user}")


def _is_complete(segments: list[HistoryRow]) -> bool:
    """Whether no segment is missing or, without segments, the history's text is too short to be truncated."""
    if segments[0].sequence is None:
        return not may_be_truncated(segments[0].text or "")
    return [row.sequence for row in segments] == list(range(len(segments)))


def _only_visible_user(session: Session) -> int | None:
    """Returns the id of the current user if its settings limit it to its own queries, else None."""
    for user in session.rows(VisibilityRow, VISIBILITY_SQL):
        if not user.is_superuser and user.syslog_access != "UNRESTRICTED":
            return int(user.user_id)
    return None


def _pages(session: Session, part: TimeRange, sql: str) -> Iterator[HistoryRow]:
    """Yields the rows of queries that ended in the slice, page by page."""
    # Times in SYS views are UTC without a time zone, and so are the values bound here.
    start, stop = part.start.replace(tzinfo=None), part.end.replace(tzinfo=None)
    end, query, sequence = start, -1, -1
    while True:
        count = 0
        values = {"page_end": end, "until": stop, "page_query": query, "page_sequence": sequence}
        for row in session.rows(HistoryRow, sql, texts_since=start - LONGEST_RUN, **values):
            end, query, sequence = row.end_time, row.query_id, row.sequence or 0
            count += 1
            yield row
        if count < PAGE_ROWS:
            return
