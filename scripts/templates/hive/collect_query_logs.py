# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "pyhive[hive-pure-sasl]>=0.7,<0.8",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects query logs: user, text, times and outcome of each query.

Reads HiveServer2's log files, without a connection, and writes a manifest, ``query_logs.jsonl``. README.md has the
variables, and the commands that fetch logs. With ``--from-query-history`` it reads Hive's table sys.query_history.

    python collect_query_logs.py --log-path /var/log/hive --state query_logs.state --manifest query_logs.jsonl.gz

A query belongs to the window in which it ended. A query that is still running belongs to a later window. With
``--state``, an hourly job neither misses nor repeats a query.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime

from connection import explain
from log_files import add_log_arguments
from logged_queries import LATENCY, LoggedQuery, logged_queries
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import DATABASE_AND_SCHEMA, warn_about_narrow_filters
from mcpush.collect.query_text import NO_TEXT, add_text_limit, limited_text
from mcpush.records import QueryLogRecord, iso_utc, known
from query_history_table import history_records
from variables import catalog

NO_USER = "user unknown: the logs do not name who opened the session"
NO_DATABASE = "query with an unknown database: --include cannot select it"
CUT = "query text incomplete: the log file ends in it, or it is too long"


def collect(connection: None, options: Options) -> Iterator[QueryLogRecord]:
    """Yields one record for each query that ended in the window; failed and canceled ones have an error."""
    warn_about_narrow_filters(options.filters, DATABASE_AND_SCHEMA)
    if options.arguments.from_query_history:
        yield from history_records(options)
        return
    for query in _queries(options):
        if query.text:
            yield _record(query, options)
        else:
            options.skip(NO_TEXT, query.key)


def _queries(options: Options) -> Iterator[LoggedQuery]:
    """Yields the queries that ended in the window and that the filters select."""
    for query in logged_queries(options):
        # ADAPT: leave out queries here, for instance those of a user: query.user != "monitoring"
        if not isinstance(query, LoggedQuery) or query.end < options.since:
            continue
        if options.filters.include and not query.database:
            options.skip(NO_DATABASE, query.key)
        elif options.filters.allows_schema(catalog(), query.database):
            yield query


def _record(query: LoggedQuery, options: Options) -> QueryLogRecord:
    if not query.user:
        options.skip(NO_USER, query.key)
    text = limited_text(query.text, query.key, options)
    if not query.is_whole:
        options.skip(CUT, query.key)
        text = f"{text}\n/* incomplete in the log */"
    return QueryLogRecord(
        query_id=query.id,
        start_time=query.start,
        end_time=query.end,
        query_text=text,
        user=query.user,
        error_code=query.error_code,
        error_text=query.error,
        extra=known(
            {"session_id": query.session, "database": catalog(), "schema": query.database, "status": query.status}
        ),
    )


def targets(connection: None, options: Options) -> Iterator[str]:
    """Yields hour, catalog and number of queries, as ``--list`` prints them."""
    counts = Counter(iso_utc(end.replace(minute=0, second=0, microsecond=0)) for end in _ends(options))
    for hour, number in sorted(counts.items()):
        yield f"{hour} {catalog()} {number}"


def _ends(options: Options) -> Iterator[datetime]:
    if options.arguments.from_query_history:
        return (record.end_time for record in history_records(options))
    return (query.end for query in _queries(options) if query.text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_log_arguments(parser)
    parser.add_argument(
        "--from-query-history",
        action="store_true",
        help="read sys.query_history (Hive 4.1 and later) over a connection, not log files",
    )
    add_text_limit(parser)


COLLECTOR = Collector(
    flow="query_logs",
    warehouse="hive",
    resource="hive-s3",
    connect=nullcontext,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect the queries that ended in a window, with user and error, from HiveServer2's logs.",
    latency=LATENCY,
    arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
