"""Batches: cutting a manifest by count and compressed size, and splitting batches that were rejected."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from mcpush.manifest import Manifest, parse_record, read_lines
from mcpush.pending import Span
from mcpush.records import Json

MAX_BODY_BYTES = 900_000  # of gzip; the gateway refuses more than 1 MB, and may count its own compression
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
SMALL_LINE_BYTES = 4096  # shorter lines are counted as they are: compressing each alone would gain little


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

    def split(self, share: float) -> tuple[Batch, list[Batch]]:
        """The record at this share of the length, alone, and what is before and after it, if anything."""
        place = int(len(self.records) * share)
        before = Batch(self.first, self.records[:place])
        alone = Batch(self.first + place, self.records[place : place + 1])
        after = Batch(self.first + place + 1, self.records[place + 1 :])
        return alone, [part for part in (before, after) if part.records]


def split_into_batches(manifest: Manifest, spans: Iterator[Span], max_records: int) -> Iterator[Batch]:
    """Cut the records of the spans into batches of at max_records ``max_records`` records, by estimated compressed size."""
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
        if index + 1 == span[1]:  # a batch never reaches over a gap: the journal records it as one span
            yield Batch(index + 1 - len(held), held)
            held, weight = [], 0


def _weight(line: bytes) -> int:
    """About the bytes a record adds to a compressed body, rather too many than too few."""
    return len(line) if len(line) < SMALL_LINE_BYTES else len(zlib.compress(line, 1))


class Backlog:
    """What is left to send: batches cut from the manifest, and the parts of those that were rejected.

    A rejected batch comes back as its middle record, then what is before and after it. One bad record of n so
    costs O(log n) requests. Usually these parts come before the next batch. With ``spread`` only the record alone
    does, so that requests reach all over the manifest until something is accepted; and it is at another place of each
    batch, since bad records may stand at regular distances, such as every second one.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._parts: deque[Batch] = deque()
        self._spread = 0  # how many batches were split with ``spread``

    def split_and_requeue(self, rejected: Batch, spread: bool) -> None:
        """Split a rejected batch of two or more records, and keep its parts to be sent."""
        share = 0.5
        if spread:
            share = (0.5 + self._spread * GOLDEN_RATIO) % 1  # at no regular distance
            self._spread += 1
        alone, rest = rejected.split(share)
        if spread:
            self._parts.extend(rest)
        else:
            self._parts.extendleft(reversed(rest))
        self._parts.appendleft(alone)

    def take(self, spread: bool) -> Batch | None:
        """The next batch, or None when nothing is left but what is under way."""
        if self._parts and (self._parts[0].is_single or not spread):
            return self._parts.popleft()
        batch = next(self._batches, None)
        if batch is None and self._parts:
            return self._parts.popleft()
        return batch
