"""Tests limits of the warehouse and the folder: one below, the limit itself, one above."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.templates.snowflake.conftest import Templates
from tests.templates.snowflake.facts import add_access, add_change, add_database, add_query, add_statement, exist, table

SHOW_CAP = 10_000  # page of each SHOW command
LONGEST_TEXT = 100_000  # page of QUERY_HISTORY
LONGEST_STATEMENT = timedelta(days=7)  # page of STATEMENT_TIMEOUT_IN_SECONDS
OVERLAP = timedelta(hours=6)
TICK = timedelta(microseconds=1)

NO_SHOW = "details not readable (SHOW)"
CAPPED_SHOW = "details beyond the 10000 rows that SHOW returns"
NO_COLUMNS = "columns not visible"
NO_VIEW_TEXT = "view definition not visible"
NO_DYNAMIC_TABLES = "dynamic tables not readable (SHOW DYNAMIC TABLES)"
NO_DYNAMIC_TEXT = "dynamic table definition not visible (needs MONITOR)"
EMPTY_ACCESS_HISTORY = "ACCESS_HISTORY is empty: lineage parsed from query text, with lower certainty"
MISSING_DESTINATION = "destination no longer in the catalog (renamed, dropped or temporary)"
CAPPED_DYNAMIC_TABLES = "dynamic tables beyond the 10000 rows that SHOW returns"


def iso(moment: datetime) -> str:
    return moment.isoformat()


@pytest.fixture
def window() -> tuple[datetime, datetime]:
    """An hour further in the past than any system view lags."""
    until = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    return until - timedelta(hours=1), until


def span(window: tuple[datetime, datetime]) -> tuple[str, ...]:
    return "--since", iso(window[0]), "--until", iso(window[1])


# --- SHOW -------------------------------------------------------------------------------------------------


def show(templates: Templates, command: str, database: str, count: int) -> None:
    """Add this many objects that a SHOW command lists in a database, without their texts."""
    templates.server.sql(
        f"""
        INSERT INTO facts."{command}" (database_name, schema_name, name)
        SELECT '{database}', 'OTHER', 'T' || i FROM range({count}) AS r(i)
        """
    )


def test_details_beyond_the_cap_of_show_are_counted(templates: Templates) -> None:
    for database, count in (("BELOW", SHOW_CAP - 1), ("EQUAL", SHOW_CAP), ("OVER", SHOW_CAP + 1)):
        add_database(templates, database, [("S", "DYN", "BASE TABLE"), ("S", "MV", "MATERIALIZED VIEW")])
        for command in ("SHOW DYNAMIC TABLES", "SHOW MATERIALIZED VIEWS"):
            show(templates, command, database, count)
    templates.server.sql("""UPDATE facts."INFORMATION_SCHEMA.TABLES" SET IS_DYNAMIC = 'YES' WHERE TABLE_NAME = 'DYN'""")
    collected = templates.collect("metadata")
    assert [(record["database"], record["name"]) for record in collected.records] == [
        (database, name) for database in ("BELOW", "EQUAL", "OVER") for name in ("DYN", "MV")
    ]
    # Materialized views above the cap are missing; SHOW DYNAMIC TABLES fails.
    assert collected.skipped == {CAPPED_SHOW: 3, NO_SHOW: 1, NO_VIEW_TEXT: 6, NO_COLUMNS: 6}


@pytest.mark.parametrize(
    ("count", "skipped"),
    [
        (SHOW_CAP - 1, {NO_DYNAMIC_TEXT: SHOW_CAP - 1}),
        (SHOW_CAP, {NO_DYNAMIC_TEXT: SHOW_CAP, CAPPED_DYNAMIC_TABLES: 1}),
        (SHOW_CAP + 1, {NO_DYNAMIC_TABLES: 1}),
    ],
)
def test_dynamic_tables_beyond_the_cap_of_show_are_counted(
    templates: Templates, count: int, skipped: dict[str, int]
) -> None:
    show(templates, "SHOW DYNAMIC TABLES", "D", count)
    assert templates.collect("lineage").skipped == {EMPTY_ACCESS_HISTORY: 1, **skipped}


@pytest.mark.parametrize(("count", "pages"), [(SHOW_CAP - 1, 1), (SHOW_CAP, 2), (SHOW_CAP + 1, 2)])
def test_databases_are_read_until_a_page_is_not_full(templates: Templates, count: int, pages: int) -> None:
    """Of this many databases, including SNOWFLAKE, the last one has a table."""
    templates.server.sql(
        f"""
        INSERT INTO facts."INFORMATION_SCHEMA.DATABASES" (DATABASE_NAME, TYPE)
        SELECT 'D' || printf('%05d', i), 'STANDARD' FROM range({count - 2}) AS r(i)
        """
    )
    add_database(templates, "ZULU", [("S", "T", "BASE TABLE")])
    before = len(templates.server.statements())
    listed = templates.run("metadata", "--list", "--include", "ZULU.*").check().stdout
    assert listed == "ZULU.S.T (table)\n"
    shown = [text for text in templates.server.statements()[before:] if text.startswith("SHOW DATABASES")]
    assert len(shown) == pages


# --- texts ------------------------------------------------------------------------------------------------


def test_a_text_as_long_as_the_limit_of_snowflake_is_truncated_and_counted(
    templates: Templates, window: tuple[datetime, datetime]
) -> None:
    texts = {length: "é" * length for length in (LONGEST_TEXT - 1, LONGEST_TEXT, LONGEST_TEXT + 1)}
    for length, text in texts.items():
        add_query(templates, f"q{length}", text, window[0])
    collected = templates.collect("query_logs", *span(window))
    cut = "é" * LONGEST_TEXT + f"\n/* truncated at {LONGEST_TEXT} characters */"
    assert {record["query_id"]: record["query_text"] for record in collected.records} == {
        f"q{LONGEST_TEXT - 1}": texts[LONGEST_TEXT - 1],
        f"q{LONGEST_TEXT}": cut,  # as long as Snowflake's limit, so the rest may be missing
        f"q{LONGEST_TEXT + 1}": cut,
    }
    assert collected.skipped == {f"query text truncated at {LONGEST_TEXT} characters": 2}


def test_a_text_of_exactly_the_requested_length_is_complete(
    templates: Templates, window: tuple[datetime, datetime]
) -> None:
    for length in (19, 20, 21):
        add_query(templates, f"q{length}", "x" * length, window[0])
    collected = templates.collect("query_logs", *span(window), "--max-query-text", "20")
    assert {record["query_id"]: record["query_text"] for record in collected.records} == {
        "q19": "x" * 19,
        "q20": "x" * 20,
        "q21": "x" * 20 + "\n/* truncated at 20 characters */",
    }
    assert collected.skipped == {"query text truncated at 20 characters": 1}


def test_lineage_is_not_read_from_a_text_that_may_be_truncated(
    templates: Templates, window: tuple[datetime, datetime]
) -> None:
    for number, length in enumerate((LONGEST_TEXT - 1, LONGEST_TEXT)):
        text = f"CREATE TABLE D.S.TARGET_{number} AS SELECT * FROM D.S.T /*"
        add_statement(templates, f"{text}{'x' * (length - len(text) - 2)}*/", number, at=window[0])
    collected = templates.collect("lineage", *span(window), "--from-query-text")
    assert [record["destination"]["name"] for record in collected.records] == ["TARGET_0"]
    assert collected.skipped == {"truncated statement": 1}


# --- windows ----------------------------------------------------------------------------------------------


def test_a_query_belongs_to_the_window_in_which_it_ended(
    templates: Templates, window: tuple[datetime, datetime]
) -> None:
    since, until = window
    week = LONGEST_STATEMENT.total_seconds()
    add_query(templates, "before", "SELECT 1", since - TICK)
    add_query(templates, "first", "SELECT 1", since, seconds=week)
    add_query(templates, "last", "SELECT 1", until - TICK, seconds=week)
    add_query(templates, "after", "SELECT 1", until)
    collected = templates.collect("query_logs", *span(window))
    assert [record["query_id"] for record in collected.records] == ["first", "last"]
    listed = templates.run("query_logs", "--list", *span(window)).check().stdout.splitlines()
    assert listed == [f"{since.strftime('%Y-%m-%dT%H:%M:%SZ')} (no database) 2"]


def starts_at_the_edges(since: datetime, until: datetime) -> dict[str, datetime]:
    """Times just outside and just inside the period from which lineage is read."""
    return {"BEFORE": since - OVERLAP - TICK, "FIRST": since - OVERLAP, "LAST": until - TICK, "AFTER": until}


@pytest.mark.parametrize("options", [(), ("--from-query-text",)])
def test_lineage_is_read_from_six_hours_before_the_window_to_its_end(
    templates: Templates, window: tuple[datetime, datetime], options: tuple[str, ...]
) -> None:
    starts = starts_at_the_edges(*window)
    for number, (name, at) in enumerate(starts.items()):
        add_access(templates, modified=[table(f"D.S.{name}")], accessed=[table("D.S.T")], at=at)
        add_statement(templates, f"CREATE TABLE D.S.{name} AS SELECT * FROM D.S.T", number, at=at)
    collected = templates.collect("lineage", *span(window), *options)
    assert sorted(record["destination"]["name"] for record in collected.records) == ["FIRST", "LAST"]


def test_tables_are_renamed_by_statements_in_the_same_period(
    templates: Templates, window: tuple[datetime, datetime]
) -> None:
    starts = starts_at_the_edges(*window)
    since = window[0]
    exist(templates, "D.S.T", *(f"D.S.NEW_{name}" for name in starts))
    for name, at in starts.items():
        add_access(templates, modified=[table(f"D.S.{name}")], accessed=[table("D.S.T")], at=since)
        add_change(templates, f"D.S.{name}", at=at, objectName=f"D.S.NEW_{name}")
    collected = templates.collect("lineage", *span(window))
    assert sorted(record["destination"]["name"] for record in collected.records) == ["NEW_FIRST", "NEW_LAST"]
    assert collected.skipped == {MISSING_DESTINATION: 4}
