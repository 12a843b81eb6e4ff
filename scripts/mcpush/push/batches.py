"""Splits a manifest into batches by record count and compressed size, and splits rejected batches."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from mcpush.manifest import Manifest, parse_record, read_lines
from mcpush.pending import Span
from mcpush.records import Json

MAX_BODY_BYTES = 900_000  # gzip; the gateway rejects more than 1 MB, and might measure its own compression
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
SMALL_LINE_BYTES = 4096  # shorter lines count uncompressed: compressing each alone saves little


@dataclass(frozen=True)
class Batch:
    """Consecutive records of the manifest. ``first`` is the index of the first one, from 0."""

    first: int
    records: list[Json]

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1

    @property
    def is_single(self) -> bool:
        return len(self.records) == 1

    def split(self, fraction: float) -> tuple[Batch, list[Batch]]:
        """Split off the record at this fraction of the length. Returns it, and the non-empty parts before and after."""
        position = int(len(self.records) * fraction)
        before = Batch(self.first, self.records[:position])
        alone = Batch(self.first + position, self.records[position : position + 1])
        after = Batch(self.first + position + 1, self.records[position + 1 :])
        return alone, [part for part in (before, after) if part.records]


def split_into_batches(manifest: Manifest, spans: Iterator[Span], max_records: int) -> Iterator[Batch]:
    """Batches of the spans' records, limited to ``max_records`` records and to MAX_BODY_BYTES (estimated)."""
    span = next(spans, None)
    held: list[Json] = []
    weight = 0
    for index, line in enumerate(read_lines(manifest.path, manifest.header.flow)):
        while span and index >= span[1]:
            span = next(spans, None)
        if span is None or index < span[0]:
            continue
        added = _weight(line)
        if held and (len(held) == max_records or weight + added > MAX_BODY_BYTES):
            yield Batch(index - len(held), held)
            held, weight = [], 0
        held.append(parse_record(manifest.path, index + 2, line))
        weight += added
        if index + 1 == span[1]:  # a batch never spans a gap: the journal records it as one span
            yield Batch(index + 1 - len(held), held)
            held, weight = [], 0


def _weight(line: bytes) -> int:
    """Estimated bytes that a record adds to a compressed body, rather too high than too low."""
    return len(line) if len(line) < SMALL_LINE_BYTES else len(zlib.compress(line, 1))


class Backlog:
    """The queue of unsent batches: batches of the manifest, and the parts of rejected batches.

    A rejected batch is split into one record, the part before it and the part after it. Usually that is the middle
    record, and all parts are sent before the next batch: finding one bad record among n takes O(log n) requests.

    With ``spread``, used until something is accepted, only the single record is sent before the next batch, so that
    requests sample the whole manifest. Its position varies from batch to batch, because bad records can be regular, for
    example every second one.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._parts: deque[Batch] = deque()
        self._spread = 0  # how many batches were split with ``spread``

    def split_and_requeue(self, rejected: Batch, spread: bool) -> None:
        """Split a rejected batch of two or more records and queue its parts."""
        fraction = 0.5
        if spread:
            fraction = (0.5 + self._spread * GOLDEN_RATIO) % 1  # an irregular sequence of positions
            self._spread += 1
        alone, rest = rejected.split(fraction)
        if spread:
            self._parts.extend(rest)
        else:
            self._parts.extendleft(reversed(rest))
        self._parts.appendleft(alone)

    def take(self, spread: bool) -> Batch | None:
        """The next batch, or None if the queue is empty. Rejected batches in progress can refill it."""
        if self._parts and (self._parts[0].is_single or not spread):
            return self._parts.popleft()
        batch = next(self._batches, None)
        if batch is None and self._parts:
            return self._parts.popleft()
        return batch
