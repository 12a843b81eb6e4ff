"""Query texts are complete, or truncated at the limit with a marker and counted."""

from __future__ import annotations

from argparse import ArgumentParser

import pytest
from mcpush.collect.collector import Options
from mcpush.collect.filters import Filters
from mcpush.collect.query_text import MAX_TEXT_LENGTH, add_text_limit, limited_text


def options(*argv: str, kept: int | None = None) -> Options:
    parser = ArgumentParser()
    add_text_limit(parser, kept)
    return Options(Filters(), parser.parse_args(argv))


def limited(length: int, *argv: str, kept: int | None = None) -> tuple[int, dict[str, int]]:
    """How many characters are kept of a text of this length, and what is counted."""
    to = options(*argv, kept=kept)
    text = limited_text("x" * length, "query-1", to, kept)
    left = text.count("x")
    assert text == "x" * left + (f"\n/* truncated at {left} characters */" if to.skipped else "")
    assert to.skipped_examples == dict.fromkeys(to.skipped, "query-1")
    return left, to.skipped


@pytest.mark.parametrize(
    ("length", "argv", "kept", "left", "is_truncated"),
    [
        (20, ("--max-query-text", "20"), None, 20, False),
        (21, ("--max-query-text", "20"), None, 20, True),
        (MAX_TEXT_LENGTH, (), None, MAX_TEXT_LENGTH, False),
        (MAX_TEXT_LENGTH + 1, (), None, MAX_TEXT_LENGTH, True),
        (MAX_TEXT_LENGTH + 1, ("--max-query-text", str(MAX_TEXT_LENGTH + 1)), None, MAX_TEXT_LENGTH + 1, False),
        (99, (), 100, 99, False),
        (100, (), 100, 100, True),  # the warehouse might have truncated it
        (100, ("--max-query-text", "500"), 100, 100, True),
        (50, ("--max-query-text", "20"), 100, 20, True),
    ],
)
def test_a_text_is_truncated_at_the_limit_and_where_the_warehouse_truncates(
    length: int, argv: tuple[str, ...], kept: int | None, left: int, is_truncated: bool
) -> None:
    assert limited(length, *argv, kept=kept) == (
        left,
        {f"query text truncated at {left} characters": 1} if is_truncated else {},
    )


@pytest.mark.parametrize("letter", ["é", "漢", "😀", "e\u0301"], ids=["two bytes", "three", "four", "combining"])
def test_the_limit_counts_characters_not_bytes(letter: str) -> None:
    to = options("--max-query-text", "20")
    text = (20 * letter)[:20]
    assert limited_text(text, "query-1", to) == text
    assert to.skipped == {}
    assert limited_text(f"{text}x", "query-2", to) == f"{text}\n/* truncated at 20 characters */"
    assert (to.skipped, to.skipped_examples) == (
        {"query text truncated at 20 characters": 1},
        {"query text truncated at 20 characters": "query-2"},
    )


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_limit_is_a_positive_whole_number(number: str) -> None:
    with pytest.raises(SystemExit):
        options("--max-query-text", number)
