"""Keys of texts that are long, truncated or broken, which the main process computes without a time limit."""

from __future__ import annotations

import tracemalloc

import pytest
from mcpush.lineage.fingerprint import Fingerprint
from mcpush.lineage.query_log import LineageLog
from mcpush.sql import Defaults
from mcpush.sql.dialects import dialect_of
from mcpush.sql.session import EXAMPLE_CHARACTERS, MAX_PARSED_CHARACTERS

MEGABYTE = 1_000_000
JSON = '{"id": 7, "text": "it\\\'s \\"one\\"", "at": null}, '


def same_key(dialect: str, one: str, other: str) -> bool:
    fingerprint = Fingerprint(dialect_of(dialect))
    return fingerprint.key(one) == fingerprint.key(other)


@pytest.mark.parametrize("dialect", ["snowflake", "redshift", "bigquery"])
@pytest.mark.parametrize("end", ["'x", '"x', "`x", "/* x", "'x''", "'it''s", '"x""', "'x' 'y", "'x\\'"])
def test_a_text_that_ends_within_a_literal_or_comment_has_its_own_key(dialect: str, end: str) -> None:
    if (dialect, end) == ("redshift", "'x\\'"):
        end = "'x\\'''"  # a backslash does not escape a quote
    assert same_key(
        dialect, "INSERT INTO a SELECT 1 FROM b WHERE c = 'x'", "INSERT INTO a SELECT 2 FROM b WHERE c = 'y'"
    )
    assert not same_key(
        dialect, f"INSERT INTO a SELECT 1 FROM b WHERE c = {end}", f"INSERT INTO a SELECT 2 FROM b WHERE c = {end}"
    )


@pytest.mark.parametrize("quote", ["''", "\\'"])
def test_a_literal_with_very_many_escapes_makes_a_text_its_own_key(quote: str) -> None:
    one, other = "INSERT INTO a SELECT '{}' FROM b", "INSERT INTO a SELECT 'x' FROM b"
    assert same_key("snowflake", one.format(quote * 50_000), other)
    for more in (quote * 50_001, quote * 50_001 + "x" + quote, quote * 120_000 + "x"):
        assert not same_key("snowflake", one.format(more), other)


def test_a_text_that_is_not_parsed_has_its_own_key() -> None:
    one, other = (
        "INSERT INTO a SELECT {} AS b, '" + "x" * (MAX_PARSED_CHARACTERS + more) + "' AS c FROM d" for more in (-60, 1)
    )
    assert same_key("snowflake", one.format(1), one.format(2))
    assert not same_key("snowflake", other.format(1), other.format(2))


def test_truncated_texts_are_not_repeats_of_each_other() -> None:
    for truncated, distinct in ((False, 1), (True, 2)):
        with LineageLog("snowflake", workers=0) as log:
            for number in (1, 2, 2):
                log.add(
                    f"INSERT INTO a SELECT {number} FROM b JOIN",
                    session="1",
                    defaults=Defaults("d", "s"),
                    truncated=truncated,
                )
            assert log.distinct == distinct


@pytest.mark.parametrize(
    ("start", "unit"),
    [("SELECT '", JSON), ("SELECT '", "''"), ("SELECT '", "\\'"), ('SELECT "', "x"), ("SELECT a IN (1, ", "234567, ")],
    ids=["JSON", "quotes", "backslashes", "name", "list"],
)
@pytest.mark.parametrize("size", [MAX_PARSED_CHARACTERS - 100, 16 * MEGABYTE])
def test_the_key_of_a_long_text_takes_little_memory(start: str, unit: str, size: int) -> None:
    text = start + unit * ((size - len(start)) // len(unit)) + "0)"
    fingerprint = Fingerprint(dialect_of("snowflake"))
    tracemalloc.start()
    try:
        fingerprint.key(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(text) + 32 * MEGABYTE


def test_a_log_keeps_no_more_of_a_long_text_than_is_parsed() -> None:
    with LineageLog("snowflake", workers=1, time_limit=300.0) as log:
        log.add("INSERT INTO a SELECT '" + "x" * 50 * MEGABYTE + "' FROM b", session="1")
        (waiting,) = log._sessions["1"].waiting
        assert len(waiting.text) < 1.1 * MAX_PARSED_CHARACTERS
        log.flush()
        assert log.skipped == {
            "statement too long": (1, ("INSERT INTO a SELECT '" + "x" * EXAMPLE_CHARACTERS)[:EXAMPLE_CHARACTERS])
        }
