"""Reads a catalog in parts (database, schema, range of names), skips what is unreadable, and merges sorted results.

This module does not depend on a driver or on SQL: a collect script passes functions that read, and functions that
classify the driver's errors. If no database is readable, the run ends with an error.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar

from mcpush.collect.collector import Options
from mcpush.console import log
from mcpush.errors import PushIngestionError

Key = tuple[str, str]  # schema and name, spelled as in the catalog
T = TypeVar("T")
IsError = Callable[[BaseException], bool]
Describe = Callable[[BaseException], str]

# Skip reasons shared by several warehouses.
UNREADABLE_DATABASE = "database or project missing, dropped during the run, or not accessible"
UNREADABLE_SCHEMA = "schema not readable"
NO_COLUMNS = "columns not visible"
NO_VIEW_TEXT = "view definition not visible"


# --- read or skip ---------------------------------------------------------------------------------------


def read_or_skip(
    options: Options, reason: str, read: Callable[[], T], is_unreadable: IsError, describe: Describe = str
) -> T | None:
    """Return ``read()``; if unreadable, count it under ``reason`` and return None."""
    try:
        return read()
    except Exception as error:
        if not is_unreadable(error):
            raise
        options.skip(reason, describe(error))
        return None


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A function that reads, and the skip reason to count if it fails."""

    reason: str
    read: Callable[[], T]


def read_or_fallback(
    options: Options, full: Reading[T], fallback: Reading[T], is_unreadable: IsError, describe: Describe = str
) -> tuple[T | None, bool]:
    """Return the result of ``full``, or of ``fallback`` if that is unreadable, and whether it is from ``full``.

    If both fail, only the reason of ``fallback`` is counted: the reason of ``full`` implies that a part was read.
    """
    try:
        return full.read(), True
    except Exception as error:
        if not is_unreadable(error):
            raise
        problem = describe(error)
    found = read_or_skip(options, fallback.reason, fallback.read, is_unreadable, describe)
    if found is not None:
        options.skip(full.reason, problem)
    return found, False


def each_readable(
    options: Options,
    databases: Iterable[str],
    read: Callable[[str], Iterator[T]],
    is_unreadable: IsError,
    refusal: Callable[[list[str]], PushIngestionError],
    message: Describe = str,
) -> Iterator[T]:
    """Yield from ``read``; count the unreadable, raise ``refusal(messages)`` if all are.

    It raises because an empty manifest would look like an empty warehouse. An empty ``databases`` raises nothing.
    """
    readable, refusals = 0, []
    for database in databases:
        try:
            yield from read(database)
            readable += 1
        except Exception as error:
            if not is_unreadable(error):
                raise
            refusals.append(f"{database}: {message(error)}")
            options.skip(UNREADABLE_DATABASE, refusals[-1])
    if refusals and not readable:
        raise refusal(refusals)


# --- database, schema, name range -----------------------------------------------------------------------


class Part(NamedTuple):
    """The part of a database that one statement reads: everything, one schema, or a range of names in a schema.

    ``first`` and ``last`` are inclusive.
    """

    schema: str | None = None
    first: str | None = None
    last: str | None = None

    @property
    def values(self) -> list[str]:
        """The bind values of a statement for this part: none, the schema, or the schema and both names."""
        return [value for value in self if value is not None]


@dataclass(frozen=True)
class SplitDatabase(Generic[T]):
    """A database whose catalog is read in smaller parts if it is too large for one statement.

    ``read`` yields the items of a part, one per table, sorted by ``key``. ``schemas`` lists the schemas and ``names``
    the names in a schema, in the same order. Names are compared by code point.
    """

    name: str
    options: Options
    read: Callable[[Part], Iterator[T]]
    key: Callable[[T], Key]
    schemas: Callable[[], Sequence[str]]
    names: Callable[[str], Sequence[str]]
    is_unreadable: IsError
    is_too_much: IsError

    def items(self) -> Iterator[T]:
        """Yield each item once. If a statement turns out to be too large midway, reading resumes after the last item.

        Unreadable schemas, and tables that alone are too large, are counted as skipped. If no part can be read, the
        first error is raised: it has another reason than the size.
        """
        last, refusal = yield from self._read_until_refused(Part())
        if refusal is None:
            return
        log.info("%s: too large for one query, reading it schema by schema", self.name)
        found = last is not None
        for item in self._by_schema(last):
            found = True
            yield item
        if not found:
            raise refusal

    def _by_schema(self, last: Key | None) -> Iterator[T]:
        for schema in self.schemas():
            if last is None or schema > last[0]:
                yield from self._readable(schema, self._schema(schema))
            elif schema == last[0]:
                yield from self._readable(schema, self._ranges(schema, last[1]))

    def _read_until_refused(self, part: Part) -> Generator[T, None, tuple[Key | None, Exception | None]]:
        """Yield the items of a part. Returns the last item's key, and the error if the part was too large."""
        last = None
        try:
            for item in self.read(part):
                last = self.key(item)
                yield item
        except Exception as error:
            if not self.is_too_much(error):
                raise
            return last, error
        return last, None

    def _readable(self, schema: str, items: Iterator[T]) -> Iterator[T]:
        try:
            yield from items
        except Exception as error:
            if not (self.is_unreadable(error) or self.is_too_much(error)):
                raise
            self._skip(schema, error)

    def _skip(self, name: str, error: BaseException) -> None:
        self.options.skip(UNREADABLE_SCHEMA, f"{self.name}.{name}: {error}")

    def _schema(self, schema: str) -> Iterator[T]:
        last, refusal = yield from self._read_until_refused(Part(schema))
        if refusal is not None:
            log.info("%s.%s: too large for one query, reading it in name ranges", self.name, schema)
            yield from self._ranges(schema, last[1] if last else None)

    def _ranges(self, schema: str, after: str | None) -> Iterator[T]:
        """Yield the items after a name, in ranges that are halved until they can be read.

        None means that reading the whole schema failed before its first item.
        """
        names = self.names(schema)
        waiting = _halves(names) if after is None else [_after(names, after)]
        while waiting:
            names = waiting.pop()
            if not names:
                continue
            last, refusal = yield from self._read_until_refused(Part(schema, names[0], names[-1]))
            if refusal is None:
                continue
            rest = _after(names, last[1] if last else None)
            if rest and len(names) == 1:
                self._skip(f"{schema}.{names[0]}", refusal)
            else:
                waiting += _halves(rest)


def _after(names: Sequence[str], last: str | None) -> Sequence[str]:
    return names if last is None else names[bisect_right(names, last) :]


def _halves(names: Sequence[str]) -> list[Sequence[str]]:
    """The second half, then the first half, which ``pop`` returns first."""
    half = (len(names) + 1) // 2
    return [names[half:], names[:half]]


def pages(wanted: Iterable[T], name: Callable[[T], str], names: Sequence[str], size: int) -> Iterator[list[T]]:
    """Group the wanted items of a schema into lists that each span at most ``size`` of the schema's ``names``.

    A statement for the range from the first to the last item of a list also returns unwanted names in between;
    ``size`` limits how many. ``wanted`` and ``names`` are in the catalog's order, which can differ from Python's.
    """
    page = {each: number // size for number, each in enumerate(names)}
    for _, found in groupby(wanted, key=lambda item: page[name(item)]):
        yield list(found)


# --- merging --------------------------------------------------------------------------------------------


class SortedRows(Generic[T]):
    """Rows sorted by key, read in step with the tables they belong to. Keeps the rows of one key in memory.

    Keys are schema and name, or ids of tables.
    """

    def __init__(self, rows: Iterable[T], key: Callable[[T], Key | int]) -> None:
        self._groups = groupby(rows, key=key)
        self._key: Any = None
        self._rows: list[T] = []
        self._advance()

    def _advance(self) -> None:
        self._key, group = next(self._groups, (None, iter(())))
        self._rows = list(group)

    def take(self, key: Key | int) -> list[T]:
        """The rows of this key, possibly none. Call it with keys in ascending order; a key can be repeated."""
        while self._key is not None and self._key < key:
            self._advance()
        return self._rows if self._key == key else []


# --- listing ----------------------------------------------------------------------------------------------


def listed_table(database: str, schema: str, name: str, kind: str) -> str:
    """A table or view for ``--list``."""
    return f"{database}.{schema}.{name} ({kind})"
