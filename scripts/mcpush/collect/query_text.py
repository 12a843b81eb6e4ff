"""Truncates query texts to ``--max-query-text``. Also constants that query log collectors share."""

from __future__ import annotations

import argparse

from mcpush.collect.collector import Options
from mcpush.program import positive
from mcpush.reduction import truncated_sql

NO_TEXT = "query without text"  # a skip reason
NO_DATABASE = "(no database)"  # in --list
MAX_TEXT_LENGTH = 1_000_000  # characters; a request is limited to 1 MB of gzip, which shrinks SQL to a fifth or less


def add_text_limit(parser: argparse.ArgumentParser, kept: int | None = None) -> None:
    """Add ``--max-query-text``. ``kept`` is the number of characters of a text that the warehouse keeps; None: all."""
    default = "default and maximum: the warehouse keeps no more" if kept else "default"
    parser.add_argument(
        "--max-query-text",
        type=positive(int),
        default=kept or MAX_TEXT_LENGTH,
        metavar="N",
        help=f"truncate longer texts to N characters ({default}: %(default)s)",
    )


def limited_text(text: str, query_id: str, options: Options, kept: int | None = None) -> str:
    """The text, truncated and counted if too long. A comment marks the truncation.

    A text of exactly ``kept`` characters counts as truncated, because the warehouse does not mark truncated texts.
    """
    limit: int = min(options.arguments.max_query_text, kept or options.arguments.max_query_text)
    if len(text) <= limit and (kept is None or len(text) < kept):
        return text
    options.skip(f"query text truncated at {limit} characters", query_id)
    return truncated_sql(text, limit)
