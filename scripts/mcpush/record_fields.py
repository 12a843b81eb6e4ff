"""Reading manifest records strictly: a value that Monte Carlo would refuse, or a key that nothing reads, is an error.

So that ``--dry-run`` finds it too. The tables in references/manifest.md say what a record holds.
"""

from __future__ import annotations

import re
from typing import Any

from mcpush.manifest import parse_utc

LARGEST_COUNT = 2**63 - 1
LONGEST_VALUE = 60  # characters of a wrong value that are shown
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
A_MOMENT = "a time with its offset, such as 2026-01-31T06:00:00Z"


class Fields:
    """One object of a record, read key by key. Null is the same as absent.

    ``keys`` are all it may have; ``path`` is where in the record it stands, for messages. Every method raises
    ValueError with a sentence that names the field and its value.
    """

    def __init__(self, value: Any, keys: frozenset[str], path: str = "") -> None:
        if not isinstance(value, dict):
            raise _wrong(path or "the record", value, "an object")
        if not value.keys() <= keys:
            unknown = ", ".join(sorted(map(repr, value.keys() - keys)))
            known = ", ".join(sorted(keys))
            raise ValueError(f"{path or 'the record'} has {unknown}, which nothing reads; it may have {known}")
        self._value, self._path = value, path

    def name(self, key: str) -> str:
        """A string that must be there and may not be empty."""
        found = self._value.get(key)
        if not isinstance(found, str) or not found:
            raise _wrong(self._at(key), found, "a string that is not empty")
        return found

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        found = self._value.get(key)
        if found not in allowed:
            raise _wrong(self._at(key), found, " or ".join(allowed))
        return str(found)

    def text(self, key: str) -> str | None:
        found: str | None = self._optional(key, str, "a string")
        return found

    def code(self, key: str) -> str | int | None:
        found: str | int | None = self._optional(key, (str, int), "a string or a whole number")
        return found

    def table(self, key: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._optional(key, dict, "an object")
        return found

    def count(self, key: str) -> int | None:
        found: int | None = self._optional(key, int, "a whole number, 0 or more")
        if found is not None and not 0 <= found <= LARGEST_COUNT:
            raise _wrong(self._at(key), found, "a whole number from 0 to 2^63 - 1")
        return found

    def place(self, key: str, size: int) -> int:
        """Which member of a list of ``size`` is meant, from 0."""
        found = self.count(key)
        if found is None or found >= size:
            raise _wrong(self._at(key), found, f"a place among {size}, counted from 0")
        return found

    def moment(self, key: str) -> str | None:
        """A time with its offset from UTC, as it stands: a clock without a zone tells no moment."""
        found: str | None = self._optional(key, str, A_MOMENT)
        if found is not None and not _is_moment(found):
            raise _wrong(self._at(key), found, A_MOMENT)
        return found

    def needed_moment(self, key: str) -> str:
        found = self.moment(key)
        if found is None:
            raise _wrong(self._at(key), found, A_MOMENT)
        return found

    def members(self, key: str, keys: frozenset[str], fewest: int = 0) -> list[Fields]:
        """The objects of a list."""
        found = self._optional(key, list, "a list") or []
        if len(found) < fewest:
            raise _wrong(self._at(key), found, f"a list of at least {fewest}")
        return [Fields(each, keys, f"{self._at(key)}[{place}]") for place, each in enumerate(found)]

    def member(self, key: str, keys: frozenset[str]) -> Fields:
        """The one object that must stand there."""
        return Fields(self._value.get(key), keys, self._at(key))

    def _optional(self, key: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        found = self._value.get(key)
        if found is not None and (not isinstance(found, kind) or isinstance(found, bool)):
            raise _wrong(self._at(key), found, wanted)
        return found

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _is_moment(text: str) -> bool:
    try:
        return MOMENT.fullmatch(text) is not None and parse_utc(text) is not None
    except (ValueError, OverflowError):  # no such day
        return False


def _wrong(where: str, value: Any, wanted: str) -> ValueError:
    if value is None:
        return ValueError(f"{where} is missing; it must be {wanted}")
    shown = repr(value)
    shown = shown if len(shown) <= LONGEST_VALUE else shown[:LONGEST_VALUE] + "…"
    return ValueError(f"{where} is {shown}; it must be {wanted}")
