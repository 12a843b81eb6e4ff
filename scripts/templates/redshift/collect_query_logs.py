# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "redshift-connector>=2.2,<3",
#     "boto3>=1.42,<2",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects query logs: user, text, times, outcome and cost of each query.

Reads Redshift's SYS_QUERY_HISTORY and SYS_QUERY_TEXT and writes a manifest, ``query_logs.jsonl``. Needs the grants and
variables listed in README.md; changes nothing in the warehouse.

    python collect_query_logs.py --state query_logs.state --manifest query_logs.jsonl.gz

A query belongs to the window in which it ended. A query that is still running belongs to a later window. With
``--state``, an hourly job neither misses nor repeats a query.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from connection import Warehouse, clock, connect, explain
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import DATABASE, warn_about_narrow_filters
from mcpush.collect.query_text import NO_DATABASE, NO_TEXT, add_text_limit, limited_text
from mcpush.records import QueryLogRecord, TimeRange, known
from query_history import COUNTS_SQL, LATENCY, RETENTION, CountRow, HistoryRow, LoggedQuery, logged_queries

# Fallback for user names that are missing in the query history.
# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_USER_INFO.html
USERS_SQL = """
SELECT
    u.user_id AS user_id,
    u.user_name AS user_name
FROM svv_user_info AS u
"""

NO_USER = "user unknown: not in sys_query_history or svv_user_info"

EXTRA = HistoryRow._fields[HistoryRow._fields.index("database") :]
SUCCESS = "success"


class UserRow(NamedTuple):
    """A row of USERS_SQL."""

    user_id: int
    user_name: str


def collect(warehouse: Warehouse, options: Options) -> Iterator[QueryLogRecord]:
    """Yields one record for each query that ended in the window; failed and canceled ones have an error."""
    warn_about_narrow_filters(options.filters, DATABASE)
    users = {row.user_id: row.user_name for row in warehouse.main.rows(UserRow, USERS_SQL)}
    for query in logged_queries(warehouse.main, TimeRange(options.since, options.until), options):
        if not options.filters.allows_database(query.row.database):
            continue
        if not query.text.strip():
            options.skip(NO_TEXT, str(query.row.query_id))
            continue
        yield _record(query, users, options)


def _record(query: LoggedQuery, users: dict[int, str], options: Options) -> QueryLogRecord:
    row = query.row
    user = row.user_name or users.get(row.user_id)
    if not user:
        options.skip(NO_USER, f"user id {row.user_id}")
    failed = row.status != SUCCESS
    return QueryLogRecord(
        query_id=str(row.query_id),
        start_time=row.start_time,
        end_time=row.end_time,
        query_text=_text(query, options),
        user=user,
        returned_rows=row.returned_rows,
        # Redshift has an error message but no code, so the code is the status: failed or canceled.
        error_code=row.status if failed else None,
        error_text=(row.error_message or row.status) if failed else None,
        extra=known(dict(zip(EXTRA, row[-len(EXTRA) :], strict=True))),
    )


def _text(query: LoggedQuery, options: Options) -> str:
    """Returns the query text, with a comment at the end if parts of it are missing."""
    text = limited_text(query.text, str(query.row.query_id), options)
    if query.is_complete or text != query.text:
        return text
    return f"{text}\n/* incomplete in sys_query_text */"


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields database and number of queries, as ``--list`` prints them. Redshift counts them."""
    warn_about_narrow_filters(options.filters, DATABASE)
    since, until = (moment.replace(tzinfo=None) for moment in (options.since, options.until))
    for row in warehouse.main.rows(CountRow, COUNTS_SQL, since=since, until=until):
        if options.filters.allows_database(row.database_name):
            yield f"{row.database_name or NO_DATABASE} {row.queries}"


COLLECTOR = Collector(
    flow="query_logs",
    warehouse="redshift",
    resource="redshift",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect the queries that ended in a window, with user, error and cost, from Amazon Redshift.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_text_limit,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
