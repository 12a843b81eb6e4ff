# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "databricks-sql-connector[pyarrow]>=4.2,<5",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects query logs: user, text, times, outcome and cost of each query.

Reads system.query.history and writes a manifest, ``query_logs.jsonl``. Needs the grants and variables listed
in README.md; changes nothing in the warehouse.

    python collect_query_logs.py --state query_logs.state --manifest query_logs.jsonl.gz

A query belongs to the window in which it ended. A query that is still running belongs to a later window. With
``--state``, an hourly job neither misses nor repeats a query.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from connection import Warehouse, clock, connect, explain
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import DATABASE_AND_SCHEMA, warn_about_narrow_filters
from mcpush.collect.query_text import NO_DATABASE, NO_TEXT, add_text_limit, limited_text
from mcpush.console import log
from mcpush.errors import RefusedError
from mcpush.records import QueryLogRecord, TimeRange, iso_utc, known
from query_history import LATENCY, RETENTION, HistoryRow, QueryHistory
from query_schemas import Schema

# https://docs.databricks.com/aws/en/admin/system-tables/query-history
REDACTED = "<redacted>"
REDACTED_TEXT = "query text redacted by Databricks: the principal is not in the account group databricks_pii_access"
ALL_REDACTED = "Databricks redacts the text of every query ({count} in this window)."
REMEDY = (
    "Add the principal to the account group databricks_pii_access (an account admin can), then run again. Without "
    "texts, there are no query logs."
)

EXTRA = HistoryRow._fields[HistoryRow._fields.index("workspace_id") :]
FINISHED = "FINISHED"


def collect(warehouse: Warehouse, options: Options) -> Iterator[QueryLogRecord]:
    """Yields one record for each query that ended in the window; failed and canceled ones have an error.

    Raises RefusedError if Databricks redacts all texts. The checkpoint stays then, so that no query is lost.
    """
    warn_about_narrow_filters(options.filters, DATABASE_AND_SCHEMA)
    redacted = readable = 0
    for row, schema in QueryHistory(warehouse, options).queries(TimeRange(options.since, options.until)):
        text = (row.text or "").strip()
        if text.lower() == REDACTED:
            redacted += 1
            options.skip(REDACTED_TEXT, row.statement_id)
            continue
        readable += bool(text)
        if not options.filters.allows_schema(*schema):
            continue
        if text:
            yield _record(row, schema, options)
        else:
            options.skip(NO_TEXT, row.statement_id)
    _check_redacted(redacted, is_any_readable=readable > 0)


def _check_redacted(redacted: int, *, is_any_readable: bool) -> None:
    if redacted and not is_any_readable:
        raise RefusedError(ALL_REDACTED.format(count=redacted), REMEDY)
    if redacted:
        log.warning("warning: the text of %d queries is redacted. %s", redacted, REMEDY)


def _record(row: HistoryRow, schema: Schema, options: Options) -> QueryLogRecord:
    failed = row.execution_status not in (None, FINISHED)
    return QueryLogRecord(
        query_id=row.statement_id,
        start_time=row.start_time,
        end_time=row.end_time,
        query_text=limited_text(row.text or "", row.statement_id, options),
        user=row.user_name,
        returned_rows=row.produced_rows,
        # Databricks has an error message but no code, so the code is the status: FAILED or CANCELED.
        error_code=row.execution_status if failed else None,
        error_text=(row.error_message or row.execution_status) if failed else None,
        extra=known(schema._asdict() | dict(zip(EXTRA, row[-len(EXTRA) :], strict=True))),
    )


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields hour, catalog and number of queries, as ``--list`` prints them. Databricks counts them."""
    warn_about_narrow_filters(options.filters, DATABASE_AND_SCHEMA)
    history, window = QueryHistory(warehouse, options), TimeRange(options.since, options.until)
    unknown: Counter[str] = Counter()  # queries whose catalog is not known
    redacted = 0
    for row in history.counts(window):
        unknown[iso_utc(row.hour)] += row.queries
        redacted += row.redacted
    if redacted:
        options.skip(REDACTED_TEXT, count=redacted)
    _check_redacted(redacted, is_any_readable=any(unknown.values()))
    found: Counter[tuple[str, str]] = Counter()
    for hour, schema in history.schemas(window):
        unknown[iso_utc(hour)] -= 1
        if options.filters.allows_schema(*schema):
            found[iso_utc(hour), schema.database or NO_DATABASE] += 1
    if options.filters.allows_schema(None, None):
        for hour_text, queries in unknown.items():
            found[hour_text, NO_DATABASE] += queries
    for (hour_text, database), queries in sorted(found.items()):
        if queries:
            yield f"{hour_text} {database} {queries}"


COLLECTOR = Collector(
    flow="query_logs",
    warehouse="databricks",
    resource="databricks",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect the queries that ended in a window, with user, error and cost, from Databricks.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_text_limit,
    other_resources=("databricks-metastore-sql-warehouse",),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
