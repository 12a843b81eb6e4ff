"""Remembers which ids were seen, with 8 bytes each: a day can have ten million statements."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from datetime import datetime
from hashlib import blake2b

MAX_RECENT = 100_000  # ids of an hour that are in a set; more are sorted into arrays


class SeenIds:
    """Ids with the time at which their statement ended. A copy of a statement ends at the same time."""

    def __init__(self) -> None:
        self._recent: dict[datetime, set[int]] = {}
        self._sorted: dict[datetime, list[array[int]]] = {}

    def add(self, key: str, moment: datetime) -> bool:
        """Whether the id is new."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        number = _number(key)
        if self._has(number, hour):
            return False
        recent = self._recent.setdefault(hour, set())
        recent.add(number)
        if len(recent) >= MAX_RECENT or len(self._recent) > 2:
            self._compact(hour if len(recent) >= MAX_RECENT else next(iter(self._recent)))
        return True

    def has(self, key: str) -> bool:
        """Whether the id was seen at any time."""
        number = _number(key)
        return any(self._has(number, hour) for hour in {*self._recent, *self._sorted})

    def _has(self, number: int, hour: datetime) -> bool:
        if number in self._recent.get(hour, ()):
            return True
        return any(_is_in(number, each) for each in self._sorted.get(hour, ()))

    def _compact(self, hour: datetime) -> None:
        self._sorted.setdefault(hour, []).append(array("Q", sorted(self._recent.pop(hour))))


def _number(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _is_in(number: int, numbers: array[int]) -> bool:
    position = bisect_left(numbers, number)
    return position < len(numbers) and numbers[position] == number
