"""A small declarative validator for JSON bodies: says by field path what is wrong, fast when nothing is.

A shape is built from `Record` and `ListOf` over plain checks (`text`, `timestamp`, `one_of(…)`), each a
function from a value to what is wrong with it, or None. Its use is `shape.check(value, path, found)`:
problems are added to `found` as `{"events[3].relational_asset.type": "must be …"}`. An optional field may
be absent or null; a field the shape does not name is a problem, because a misspelt optional field would
otherwise be lost without a word.

The query log path checks a million entries in a test, so nothing is built for a field that is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

Found = dict[str, str]
Check = Callable[[Any], "str | None"]

# A body with thousands of faults answers with this many of them: enough to see the pattern.
MOST_PROBLEMS = 50

_LARGEST_COUNT = 2**63 - 1

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Shape(Protocol):
    """What a field that holds more fields is made of."""

    def check(self, value: Any, path: str, found: Found) -> None: ...


@dataclass(frozen=True)
class Field:
    """One named field of a record: what it holds, and whether it may be missing."""

    holds: Check | Shape
    required: bool = True


def optional(holds: Check | Shape) -> Field:
    """Return a field that may be absent or null."""
    return Field(holds, required=False)


class Record:
    """An object with these fields and no others."""

    def __init__(self, **fields: Check | Shape | Field) -> None:
        given = {name: each if isinstance(each, Field) else Field(each) for name, each in fields.items()}
        self._names = frozenset(given)
        self._values: list[tuple[str, Check, bool]] = []
        self._nested: list[tuple[str, Shape, bool]] = []
        for name, field in given.items():
            if isinstance(field.holds, Record | ListOf):
                self._nested.append((name, field.holds, field.required))
            else:
                self._values.append((name, field.holds, field.required))  # type: ignore[arg-type]

    def check(self, value: Any, path: str, found: Found) -> None:
        """Add to `found` what is wrong with `value`, an object found at `path`."""
        if type(value) is not dict:
            found[path] = "must be an object"
            return
        for name, check, required in self._values:
            item = value.get(name)
            if item is None:
                if required:
                    found[_under(path, name)] = "is required"
                continue
            problem = check(item)
            if problem is not None:
                found[_under(path, name)] = problem
        for name, shape, required in self._nested:
            item = value.get(name)
            if item is not None:
                shape.check(item, _under(path, name), found)
            elif required:
                found[_under(path, name)] = "is required"
        if not self._names.issuperset(value):
            for name in sorted(set(value) - self._names):
                found[_under(path, name)] = "is not a field of this request"


class ListOf:
    """A list whose every member has one shape, at least `minimum` of them."""

    def __init__(self, member: Shape, minimum: int = 0) -> None:
        self._member = member
        self._minimum = minimum

    def check(self, value: Any, path: str, found: Found) -> None:
        """Add to `found` what is wrong with `value`, a list found at `path`."""
        if type(value) is not list:
            found[path] = "must be a list"
            return
        if len(value) < self._minimum:
            found[path] = f"must have at least {self._minimum} member" + "s" * (self._minimum > 1)
        for position, member in enumerate(value):
            self._member.check(member, f"{path}[{position}]", found)
            if len(found) >= MOST_PROBLEMS:
                return


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def text(value: Any) -> str | None:
    return None if type(value) is str else "must be a string"


def name(value: Any) -> str | None:
    """Check a string that may not be empty."""
    if type(value) is not str:
        return "must be a string"
    return None if value else "must not be empty"


def count(value: Any) -> str | None:
    """Check a whole number, zero or more (`true` is not one)."""
    fits = type(value) is int and 0 <= value <= _LARGEST_COUNT
    return None if fits else "must be a whole number from zero to 2^63 - 1"


def code(value: Any) -> str | None:
    return None if type(value) in (str, int) else "must be a string or an integer"


def any_object(value: Any) -> str | None:
    return None if type(value) is dict else "must be an object"


def identifier(value: Any) -> str | None:
    return None if type(value) is str and _UUID.fullmatch(value) else "must be a UUID"


def one_of(*allowed: str) -> Check:
    """Return the check for one of these strings, as they are written here."""
    choices = frozenset(allowed)
    problem = "must be one of " + ", ".join(allowed)

    def check(value: Any) -> str | None:
        return None if type(value) is str and value in choices else problem

    return check


_TIMESTAMP_PROBLEM = "must be an ISO 8601 date and time with its offset, like 2026-01-31T08:15:00Z"


def timestamp(value: Any) -> str | None:
    return None if type(value) is str and _seconds(_TIMESTAMP.fullmatch(value)) else _TIMESTAMP_PROBLEM


def _seconds(match: re.Match[str] | None) -> datetime | None:
    """Return the moment a matched timestamp names, without its fraction; None for the 31st of February."""
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match[1] + ("+00:00" if match[3] == "Z" else match[3]))
    except ValueError:
        return None


def microseconds(value: str) -> int | None:
    """Return an ISO 8601 time with its offset as microseconds since 1970 UTC, None when it is not one."""
    match = _TIMESTAMP.fullmatch(value)
    moment = _seconds(match)
    if match is None or moment is None:
        return None
    whole = int(moment.timestamp()) * 1_000_000
    return whole if match[2] is None else whole + int(match[2][1:7].ljust(6, "0"))


def iso(moment: int) -> str:
    """Return microseconds since 1970 UTC as ISO 8601 with `Z`."""
    written = datetime.fromtimestamp(moment // 1_000_000, tz=timezone.utc)
    written = written.replace(microsecond=moment % 1_000_000)
    return written.isoformat().replace("+00:00", "Z")
