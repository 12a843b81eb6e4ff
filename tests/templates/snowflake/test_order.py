"""Tests that order-dependent results are right although the server returns rows in random order."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.templates.snowflake.conftest import Templates
from tests.templates.snowflake.facts import (
    add_access,
    add_change,
    add_database,
    add_query,
    add_statement,
    asset,
    exist,
    table,
)

MISSING_DESTINATION = "destination no longer in the catalog (renamed, dropped or temporary)"
STEPS = 7


def test_a_table_renamed_several_times_has_its_last_name(templates: Templates) -> None:
    names = [f"D.S.NAME_{step}" for step in range(STEPS)]
    exist(templates, names[-1], "D.S.T")
    add_access(templates, modified=[table(names[0], columns={"A": [("D.S.T", "B")]})], accessed=[table("D.S.T")])
    for step in random.sample(range(STEPS - 1), STEPS - 1):
        add_change(templates, names[step], objectName=names[step + 1], minutes=step)
    collected = templates.collect("lineage")
    assert collected.records == [
        {
            "destination": asset("TABLE", names[-1]),
            "sources": [asset("TABLE", "D.S.T")],
            "columns": [{"name": "A", "sources": [{"source": 0, "name": "B"}]}],
            "origin": "access_history",
            "certainty": "exact",
        }
    ]
    assert collected.skipped == {MISSING_DESTINATION: STEPS - 1}


def test_temporary_tables_with_the_same_name_in_two_sessions_have_their_own_sources(templates: Templates) -> None:
    """The content of a temporary table depends on the earlier statements of its session."""
    logged = []
    for step in range(STEPS):
        for session in ("ONE", "TWO"):
            source = f"STEP_{step - 1}" if step else f"SOURCE_{session}"
            logged.append((f"CREATE TEMPORARY TABLE STEP_{step} AS SELECT A FROM {source}", session))
    for session in ("ONE", "TWO"):
        logged.append((f"INSERT INTO RESULT_{session} (A) SELECT A FROM STEP_{STEPS - 1}", session))
    for number, (text, session) in random.sample(list(enumerate(logged, 1)), len(logged)):
        add_statement(templates, text, number, SESSION_ID={"ONE": 1, "TWO": 2}[session])
    collected = templates.collect("lineage", "--from-query-text")
    assert sorted(collected.records, key=lambda record: str(record["destination"])) == [
        {
            "destination": asset("TABLE", f"D.S.RESULT_{session}"),
            "sources": [asset("TABLE", f"D.S.SOURCE_{session}")],
            "columns": [{"name": "A", "sources": [{"source": 0, "name": "A"}]}],
            "origin": "query_text",
            "certainty": "parsed",
        }
        for session in ("ONE", "TWO")
    ]
    assert collected.skipped == {}


def test_the_list_of_queries_has_a_line_for_each_hour_and_database(templates: Templates) -> None:
    until = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    wanted = []
    for hour in range(4):
        for database in (None, "ALPHA", "BETA"):
            numbers = range(3)  # one in each schema
            for number in numbers:
                end = until - timedelta(hours=4 - hour, minutes=-number)
                place: dict[str, Any] = {"DATABASE_NAME": database, "SCHEMA_NAME": database and f"S{number}"}
                add_query(templates, f"{hour}-{database}-{number}", "SELECT 1", end, **place)
            start = (until - timedelta(hours=4 - hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
            wanted.append(f"{start} {database or '(no database)'} {len(numbers)}")
    window = ("--since", (until - timedelta(hours=4)).isoformat(), "--until", until.isoformat())
    lines = templates.run("query_logs", "--list", *window).check().stdout.splitlines()
    assert sorted(lines) == sorted(wanted)
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in wanted), "by hour"


def test_the_collation_of_an_account_does_not_mix_up_tables(templates: Templates) -> None:
    """With a case-insensitive collation, names that differ only in case sort differently than in Python."""
    names = [f"{letter}{number}" for letter in "aBcDÉé_" for number in range(6)]
    tables = [(schema, name, "BASE TABLE") for schema in ("lower", "Mixed", "UPPER") for name in names]
    add_database(templates, "D", tables)
    schemata = [{"CATALOG_NAME": "D", "SCHEMA_NAME": schema} for schema in ("lower", "Mixed", "UPPER")]
    templates.server.insert("INFORMATION_SCHEMA.SCHEMATA", schemata)
    columns = {"TABLE_CATALOG": "D", "ORDINAL_POSITION": 1, "DATA_TYPE": "BOOLEAN"}
    templates.server.insert(
        "INFORMATION_SCHEMA.COLUMNS",
        [
            {**columns, "TABLE_SCHEMA": schema, "TABLE_NAME": name, "COLUMN_NAME": f"column of {schema}.{name}"}
            for schema, name, _ in tables
        ],
    )
    templates.server.sql("SET GLOBAL default_collation = 'nocase'")
    found = templates.collect("metadata")
    assert {(record["schema"], record["name"]): record["fields"] for record in found.records} == {
        (schema, name): [{"name": f"column of {schema}.{name}", "type": "BOOLEAN"}] for schema, name, _ in tables
    }
    assert len(found.records) == len(tables)
    assert found.skipped == {}
