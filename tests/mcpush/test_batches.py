"""Batches: a manifest is split by record count and compressed size, within the spans that still have to be sent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from mcpush.manifest import Header, Manifest, Writer, verify
from mcpush.push.batches import split_into_batches
from mcpush.push.gateway import compressed_size

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
LARGEST_BODY_BYTES = 900_000


def written(path: Path, texts: Sequence[str]) -> Manifest:
    with Writer(path, Header("query_logs", "snowflake", "snowflake", NOON)) as writer:
        for text in texts:
            writer.write({"query_text": text})
        writer.finish({}, {})
    return verify(path)


def test_a_batch_never_exceeds_the_requested_size_or_spans_a_gap(tmp_path: Path) -> None:
    manifest = written(tmp_path / "m.jsonl", [str(number) for number in range(10)])
    found = list(split_into_batches(manifest, iter([(0, 4), (5, 6), (8, 10)]), 3))
    assert [(batch.first, batch.last) for batch in found] == [(0, 2), (3, 3), (5, 5), (8, 9)]
    assert [record["query_text"] for batch in found for record in batch.records] == list("0123589")


def test_batches_of_large_records_are_limited_by_compressed_size(tmp_path: Path) -> None:
    texts = [random.Random(number).randbytes(200_000).hex() for number in range(12)]
    manifest = written(tmp_path / "m.jsonl", texts)
    found = list(split_into_batches(manifest, iter([(0, 12)]), 250))
    assert [record["query_text"] for batch in found for record in batch.records] == texts
    assert 3 <= len(found) <= 4
    assert all(compressed_size({"events": batch.records}) <= LARGEST_BODY_BYTES for batch in found)
