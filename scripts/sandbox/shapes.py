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
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

Found = dict[str, str]
Check = Callable[[Any], "str | None"]

# A body with thousands of faults answers with this many of them: enough to see the pattern.
MOST_PROBLEMS = 50

_LARGEST_COUNT = 2**63 - 1

# Of objects without a shape: what nests deeper could be read, but not written again.
DEEPEST = 100

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_FRACTION = re.compile(r"\.\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
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
                found[_under(path, name)] = "is not a field of this object"


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
    return None if fits else "must be an integer from 0 to 2^63 - 1"


def code(value: Any) -> str | None:
    return None if type(value) in (str, int) else "must be a string or an integer"


def any_object(value: Any) -> str | None:
    if type(value) is not dict:
        return "must be an object"
    return f"must not be nested deeper than {DEEPEST}" if _is_deeper(value, DEEPEST) else None


def _is_deeper(value: Any, levels: int) -> bool:
    if type(value) not in (dict, list):
        return False
    members = value.values() if type(value) is dict else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in members if type(each) in (dict, list))


def identifier(value: Any) -> str | None:
    return None if type(value) is str and _UUID.fullmatch(value) else "must be a UUID"


def one_of(*allowed: str) -> Check:
    """Return the check for one of these strings, as they are written here."""
    choices = frozenset(allowed)
    problem = "must be one of " + ", ".join(allowed)

    def check(value: Any) -> str | None:
        return None if type(value) is str and value in choices else problem

    return check


_TIMESTAMP_PROBLEM = "must be an ISO 8601 date and time with an offset, such as 2026-01-31T08:15:00Z"


def timestamp(value: Any) -> str | None:
    match = _TIMESTAMP.fullmatch(value) if type(value) is str else None
    if match is None:
        return _TIMESTAMP_PROBLEM
    try:
        if match[3] == "Z":
            datetime.fromisoformat(match[1] + "+00:00")
        else:  # an offset may take it beyond the years 1 and 9999
            datetime.fromisoformat(match[1] + match[3]).astimezone(timezone.utc)
    except (ValueError, OverflowError):  # the 31st of February
        return _TIMESTAMP_PROBLEM
    return None


def microseconds(value: str) -> int:
    """Return a time that `timestamp` finds right as microseconds since 1970 UTC."""
    written = value[:-1] + "+00:00" if value[-1] == "Z" else value
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:  # Python 3.10 knows fractions of three and six digits only
        moment = datetime.fromisoformat(_FRACTION.sub(lambda digits: digits[0][:7].ljust(7, "0"), written))
    return (moment - _EPOCH) // _MICROSECOND


def iso(moment: int) -> str:
    """Return microseconds since 1970 UTC as ISO 8601 with `Z`."""
    written = datetime.fromtimestamp(moment // 1_000_000, tz=timezone.utc)
    written = written.replace(microsecond=moment % 1_000_000)
    return written.isoformat().replace("+00:00", "Z")
