"""Yields the statements in HiveServer2's log files, each once, and the entries of the lineage hook.

    for each in logged_queries(options):
        if isinstance(each, HookEntry): …

Both come stream by stream, in the order in which statements ended. Those that ended before the window are context:
``options.since <= query.end`` is for the caller to check.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from log_blocks import blocks
from log_files import log_streams, log_zone
from log_lines import Clock, parse_line
from log_opening import LogFile, opened
from log_statements import Statements
from logged_query import HookEntry, LoggedQuery
from mcpush.collect.collector import Options
from mcpush.console import log
from mcpush.records import iso_utc
from seen_ids import SeenIds

# How late lines can be in the files that are read: EMR uploads log files every five minutes.
# https://pyongwonlee.com/2021/11/16/aws-elastic-mapreduce-emr/
LATENCY = timedelta(minutes=15)
NO_END = "statement without an end in the logs: it still runs, or the server stopped"

__all__ = ["HookEntry", "LoggedQuery", "logged_queries"]


def logged_queries(options: Options) -> Iterator[LoggedQuery | HookEntry]:
    """Yields what ended before ``options.until``. Counts what the logs have only in part.

    A hook entry comes before its statement; ``HookEntry.query_id`` is None if the log does not show which one it is.
    """
    seen = SeenIds()
    unfinished: list[str] = []
    latest: datetime | None = None
    for files in log_streams(options):
        clock = Clock(log_zone(options))
        for each in _stream(files, clock, options, unfinished):
            moment = each.end if isinstance(each, LoggedQuery) else each.time
            if moment < options.until and seen.add(each.key, moment):
                yield each
        if clock.latest and (latest is None or clock.latest > latest):
            latest = clock.latest
    for key in unfinished:
        if not seen.has(key):
            options.skip(NO_END, key)
    if latest and latest < options.until:
        log.warning(
            "warning: the last line of the logs is of %s, before the end of the window. If they are copies, statements "
            "since then are lost: copy the logs before each run, or pass --until",
            iso_utc(latest),
        )


def _stream(
    files: list[LogFile], clock: Clock, options: Options, unfinished: list[str]
) -> Iterator[LoggedQuery | HookEntry]:
    statements = Statements(options)
    for file in files:
        with opened(file) as content:
            for block in blocks(content):
                text = block.content.decode("utf-8", "replace")
                if text.endswith("\r\n"):  # a log of Windows; otherwise, line ends of SQL stay as they are
                    text = text.replace("\r\n", "\n")
                line = parse_line(text.removesuffix("\n"), clock)
                if line and block.is_marked:
                    yield from statements.read(line, block.is_whole)
    yield from statements.finish()
    unfinished += statements.unfinished()
