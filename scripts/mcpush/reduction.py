"""Makes a record smaller that is too large to send or to write, step by step, from the least to the greatest loss.

Every smaller record is valid, has the same identity, volume, freshness and times, and is never longer than the one
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcpush.records import LineageRecord, QueryLogRecord, Record, TableRecord

Step = tuple[str, Callable[[Any], Any]]  # what the step does, as a reason in the summary; and record -> smaller record


def truncated_sql(text: str, limit: int) -> str:
    """The first ``limit`` characters of an SQL text, and a comment that marks the truncation."""
    return f"{text[:limit]}\n/* truncated at {limit} characters */"


def _truncated_comment(text: str, limit: int) -> str:
    return f"{text[:limit]} ... (truncated at {limit} characters)"


def _shorter(text: str | None, limit: int, truncated: Callable[[str, int], str]) -> str | None:
    """The truncated text, or the text itself if truncating would not make it shorter."""
    if not text or len(text) <= limit:
        return text
    result = truncated(text, limit)
    return result if len(result) < len(text) else text


# --- steps ----------------------------------------------------------------------------------------------


def _comments(limit: int) -> Step:
    def step(table: TableRecord) -> TableRecord:
        return replace(
            table,
            description=_shorter(table.description, limit, _truncated_comment),
            fields=[
                column._replace(description=_shorter(column.description, limit, _truncated_comment))
                for column in table.fields
            ],
        )

    return f"comments truncated at {limit} characters", step


def _text(key: str, limit: int, truncated: Callable[[str, int], str]) -> Step:
    def step(record: Any) -> Any:
        return replace(record, **{key: _shorter(getattr(record, key), limit, truncated)})

    return f"{key.replace('_', ' ')} truncated at {limit} characters", step


def _left_out(what: str, key: str, unknown: Any) -> Step:
    return f"{what} left out", lambda record: replace(record, **{key: unknown}) if getattr(record, key) else record


# 100,000 characters always fit into a request: random ones of any alphabet are at most 400,000 bytes as gzip.
STEPS: Mapping[type, Sequence[Step]] = {
    TableRecord: (
        _comments(1_000),
        _text("view_query", 100_000, truncated_sql),
        _comments(100),
        _left_out("tags", "tags", ()),
        _left_out("columns", "fields", ()),
        _left_out("view query", "view_query", None),
    ),
    LineageRecord: (_left_out("column lineage", "columns", ()),),
    QueryLogRecord: (
        _text("error_text", 10_000, _truncated_comment),
        _text("query_text", 100_000, truncated_sql),
        _left_out("extra", "extra", None),
        _text("query_text", 10_000, truncated_sql),
    ),
}


def reductions(record: Record) -> Iterator[tuple[str, Record]]:
    """Yields smaller and smaller forms of a record, each with the reason to count. Skips steps that change nothing."""
    for reason, step in STEPS[type(record)]:
        smaller = step(record)
        if smaller.to_json() != record.to_json():
            record = smaller
            yield reason, record
