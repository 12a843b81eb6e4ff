"""Each smaller form of any record is valid, keeps its identity, volume, freshness and times, and is not longer."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcpush.manifest import encode
from mcpush.push.batches import MAX_BODY_BYTES
from mcpush.push.gateway import compressed_size
from mcpush.records import (
    Asset,
    Column,
    ColumnLineage,
    ColumnSource,
    LineageRecord,
    QueryLogRecord,
    Record,
    TableRecord,
    Tag,
)
from mcpush.reduction import STEPS, reductions

from tests.mcpush.test_large_records import noise, unicode_noise

# Identity, volume, freshness and times; and lineage between tables.
KEPT: dict[type, tuple[str, ...]] = {
    TableRecord: (
        *("type", "kind", "database", "schema", "name"),
        *("created_on", "row_count", "byte_count", "last_update_time"),
    ),
    LineageRecord: ("destination", "sources", "origin", "certainty"),
    QueryLogRecord: ("query_id", "start_time", "end_time", "user", "returned_rows", "error_code"),
}

CHARACTERS = st.characters(exclude_categories=["Cs"])
NAMES = st.text(CHARACTERS, min_size=1, max_size=5)
# Around each limit, and around the length of a limit and its mark.
LENGTHS = [1, 99, 100, 101, 130, 150, 1_000, 1_001, 1_050, 10_000, 10_001, 10_050, 100_000, 100_001, 100_050]
TEXTS = st.builds(lambda character, length: character * length, CHARACTERS, st.sampled_from(LENGTHS))
OPTIONAL = st.none() | TEXTS
MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(timezone.utc))  # noqa: DTZ001
COUNTS = st.none() | st.integers(0, 2**63 - 1)
ASSETS = st.builds(Asset, st.sampled_from(["TABLE", "EXTERNAL"]), NAMES, NAMES, NAMES)
TABLES = st.builds(
    TableRecord,
    type=st.sampled_from(["TABLE", "VIEW"]),
    kind=NAMES,
    database=NAMES,
    schema=NAMES,
    name=NAMES,
    created_on=st.none() | MOMENTS,
    row_count=COUNTS,
    byte_count=COUNTS,
    last_update_time=st.none() | MOMENTS,
    description=OPTIONAL,
    view_query=OPTIONAL,
    fields=st.lists(st.builds(Column, NAMES, NAMES, OPTIONAL), max_size=3),
    tags=st.lists(st.builds(Tag, NAMES, OPTIONAL), max_size=2),
)
EDGES = st.builds(
    LineageRecord,
    destination=ASSETS,
    sources=st.lists(ASSETS, min_size=1, max_size=3),
    columns=st.lists(st.builds(ColumnLineage, NAMES, st.lists(st.builds(ColumnSource, st.just(0), NAMES))), max_size=2),
    origin=st.none() | NAMES,
    certainty=st.none() | NAMES,
)
QUERIES = st.builds(
    QueryLogRecord,
    query_id=st.none() | NAMES,
    start_time=MOMENTS,
    end_time=MOMENTS,
    query_text=TEXTS,
    user=st.none() | NAMES,
    returned_rows=COUNTS,
    error_code=st.none() | NAMES | st.integers(-(2**31), 2**31),
    error_text=OPTIONAL,
    extra=st.none() | st.dictionaries(NAMES, st.none() | st.booleans() | TEXTS, max_size=2),
)


def read_back(record: Record) -> Any:
    return type(record).from_json(json.loads(encode(record.to_json())))


@settings(max_examples=150)
@given(TABLES | EDGES | QUERIES)
def test_each_form_is_valid_keeps_what_counts_and_is_shorter(record: Record) -> None:
    before, seen = record, []
    for reason, smaller in reductions(record):
        assert read_back(smaller).to_json() == smaller.to_json()
        for key in KEPT[type(record)]:
            assert getattr(smaller, key) == getattr(record, key)
        assert len(encode(smaller.to_json())) < len(encode(before.to_json()))
        assert len(json.dumps(as_sent(smaller))) < len(json.dumps(as_sent(before)))
        before = smaller
        seen.append(reason)
    steps = [reason for reason, _ in STEPS[type(record)]]
    assert seen == [reason for reason in steps if reason in seen], "not in the order of the table, or twice"
    assert list(reductions(before)) == [], "the smallest form could be smaller"


def as_sent(record: Record) -> dict[str, Any]:
    return dict(json.loads(encode(record.to_json())))


LONG = noise(200_000)
MOMENT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
TABLE = TableRecord("VIEW", "view", "D", "S", "T", MOMENT, 1, 2, MOMENT)
QUERY = QueryLogRecord("q", MOMENT, MOMENT, "SELECT 1")


@pytest.mark.parametrize(
    ("record", "reasons"),
    [
        (TABLE, []),
        (replace(TABLE, description="d" * 1000, view_query="v" * 100_000), ["comments 100", "view query out"]),
        (replace(TABLE, description="d" * 1001), ["comments 100"]),
        (replace(TABLE, fields=[Column("A", "B")], tags=[Tag("k")]), ["tags out", "columns out"]),
        (LineageRecord(Asset("TABLE", "D", "S", "T"), [Asset("TABLE", "D", "S", "U")], []), []),
        (LineageRecord(Asset("TABLE", "D", "S", "T"), [Asset("TABLE", "D", "S", "U")], ()), []),
        (QUERY, []),
        (replace(QUERY, extra={}), []),
        (replace(QUERY, extra={"a": None}), ["extra out"]),
        (
            replace(QUERY, query_text=LONG, error_text=LONG),
            ["error text 10000", "query text 100000", "query text 10000"],
        ),
    ],
    ids=range(10),
)
def test_steps_without_effect_are_not_reported(record: Record, reasons: list[str]) -> None:
    found = [reason.replace("truncated at ", "").replace(" characters", "") for reason, _ in reductions(record)]
    assert [reason.replace("left out", "out") for reason in found] == reasons


ASTRAL = "".join(chr(0x10000 + number % 0x100000) for number in random.Random(1).choices(range(2**32), k=150_000))


@pytest.mark.parametrize("text", [unicode_noise(150_000), ASTRAL], ids=["two bytes each", "four bytes each"])
def test_a_truncated_text_of_any_alphabet_fits_into_a_request(text: str) -> None:
    """So later steps, which lose more, follow only if something else is too large."""
    for record in (replace(TABLE, view_query=text), replace(QUERY, query_text=text)):
        _, smaller = next(reductions(record))
        assert compressed_size(as_sent(smaller)) < MAX_BODY_BYTES
