"""Tests limits with one item less, the exact number, and one more: history pages, SHOW TABLES, and ties in an order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.templates.redshift.breaking import logged_too
from tests.templates.redshift.conftest import Templates
from tests.warehouses.redshift.shop import DEV, LOADER, Shop
from tests.warehouses.redshift.truth import SEGMENT_LENGTH, Query, segments

PAGE = 4_000  # maximum number of rows in a result of the history statement
SHOWN = 10_000  # maximum number of tables in a result of SHOW TABLES
BEFORE_THE_SHOPS_QUERIES = timedelta(hours=20)
WINDOW = timedelta(minutes=30)  # one slice


def in_segments(number: int, count: int, end: datetime, seconds: float = 1) -> Query:
    """A query whose text has this many segments, all different."""
    text = "SELECT " + ", ".join(f"'{number} {place:08d}'" for place in range(count * SEGMENT_LENGTH // 25))
    text += " " * ((count - 1) * SEGMENT_LENGTH + 9 - len(text)) + "FROM sales.orders" if count > 1 else ""
    assert len(segments(text)) == count
    return Query(number, LOADER, DEV, "SELECT", text, end - timedelta(seconds=seconds), seconds)


def texts_of(templates: Templates, since: datetime) -> list[tuple[str, str]]:
    """(ID, text) of each query that ended in the window, in the manifest's order. Fails if anything is skipped."""
    window = ("--since", since.isoformat(), "--until", (since + WINDOW).isoformat())
    collected = templates.collect("query_logs", *window)
    assert collected.skipped == {}
    return [(record["query_id"], record["query_text"]) for record in collected.records]


def asked_with(templates: Templates, text: str, before: int) -> int:
    """How many statements contain this text, not counting the first ``before`` statements."""
    events: list[dict[str, Any]] = templates.server.events("statement")
    return sum(text in event["sql"] for event in events[before:])


@pytest.mark.parametrize(
    ("rows", "pages"), [(PAGE - 1, 1), (PAGE, 2), (PAGE + 1, 2), (PAGE + 2, 2)], ids=["less", "full", "one", "two"]
)
def test_a_text_at_the_end_of_a_page_is_complete(templates: Templates, shop: Shop, rows: int, pages: int) -> None:
    """The last query has three text segments: all on the first page, or one or two of them on the second.

    After a full page the script always reads another one, which can be empty.
    """
    since = shop.now - BEFORE_THE_SHOPS_QUERIES
    short = [
        Query(100_000 + number, LOADER, DEV, "SELECT", f"SELECT {number}", since + timedelta(seconds=1), number / 10)
        for number in range(rows - 3)
    ]
    queries = [*short, in_segments(200_000, 3, since + timedelta(minutes=20))]
    before = len(templates.server.events("statement"))
    with logged_too(templates.server, *queries):
        found = texts_of(templates, since)
    assert found == [(str(query.query_id), query.text) for query in queries]
    assert asked_with(templates, "FROM sys_query_history", before) == pages


def test_a_page_can_end_between_queries_with_the_same_end_time(templates: Templates, shop: Shop) -> None:
    since = shop.now - BEFORE_THE_SHOPS_QUERIES
    end = since + timedelta(minutes=5)
    queries = [
        Query(300_000 + number, LOADER, DEV, "SELECT", f"SELECT {number}", end - timedelta(seconds=1), 1)
        for number in range(PAGE + 1)
    ]
    with logged_too(templates.server, *queries):
        found = texts_of(templates, since)
    assert found == [(str(query.query_id), query.text) for query in queries]


def test_queries_with_the_same_end_time_are_not_mixed_up(templates: Templates, shop: Shop) -> None:
    """Their text segments arrive grouped by query and in order."""
    since = shop.now - BEFORE_THE_SHOPS_QUERIES
    queries = [in_segments(number, 6, since + timedelta(minutes=5), number - 1_000) for number in range(1_001, 1_004)]
    with logged_too(templates.server, *queries):
        found = texts_of(templates, since)
    assert found == [(str(query.query_id), query.text) for query in queries]


SHOWN_SQL = """
INSERT INTO testbed.svv_all_tables (database_name, schema_name, table_name, table_type)
SELECT 'dev', 'shown', 't' || n, 'TABLE' FROM generate_series(1, {count}) AS n;
INSERT INTO testbed.show_tables (database_name, schema_name, table_name, table_subtype, last_modified_time)
SELECT 'dev', 'shown', 't' || n, 'REGULAR TABLE', TIMESTAMP '2026-01-01' FROM generate_series(1, {count}) AS n;
"""
NOT_SHOWN_SQL = """
DELETE FROM testbed.svv_all_tables WHERE schema_name = 'shown';
DELETE FROM testbed.show_tables WHERE schema_name = 'shown';
"""


@pytest.mark.parametrize(
    ("count", "statements"), [(SHOWN - 1, 1), (SHOWN, 1), (SHOWN + 1, 9)], ids=["less", "full", "one"]
)
def test_a_schema_is_listed_in_parts_only_if_it_is_too_large(templates: Templates, count: int, statements: int) -> None:
    """Above the cap, the tables are listed by first digit: t1 to t9."""
    templates.server.run(SHOWN_SQL.format(count=count))
    before = len(templates.server.events("statement"))
    try:
        collected = templates.collect("metadata", "--include", "dev.shown.*", "--only-freshness-and-volume")
    finally:
        templates.server.run(NOT_SHOWN_SQL)
    assert collected.skipped == {}
    assert {record["name"]: record.get("last_update_time") for record in collected.records} == {
        f"t{number}": "2026-01-01T00:00:00Z" for number in range(1, count + 1)
    }
    assert asked_with(templates, "SHOW TABLES", before) == statements


QUOTED_SQL = (
    SHOWN_SQL.format(count=SHOWN).replace("'t'", "'o'''")
    + """
INSERT INTO testbed.svv_all_tables (database_name, schema_name, table_name, table_type)
VALUES ('dev', 'shown', 'o''', 'TABLE');
INSERT INTO testbed.show_tables (database_name, schema_name, table_name, table_subtype, last_modified_time)
VALUES ('dev', 'shown', 'o''', 'REGULAR TABLE', TIMESTAMP '2026-01-01');
"""
)


def test_a_name_that_is_a_prefix_of_others_is_listed(templates: Templates) -> None:
    """One table above the cap: o' is listed by its exact name, and o'1 to o'9 by pattern."""
    templates.server.run(QUOTED_SQL)
    try:
        collected = templates.collect("metadata", "--include", "dev.shown.*", "--only-freshness-and-volume")
    finally:
        templates.server.run(NOT_SHOWN_SQL)
    assert collected.skipped == {}
    assert {record["name"]: record.get("last_update_time") for record in collected.records} == {
        f"o'{number}": "2026-01-01T00:00:00Z" for number in ("", *range(1, SHOWN + 1))
    }
