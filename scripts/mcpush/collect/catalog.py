"""Reading a catalog: database → schema → name range, read or skip, refuse when all fail, merge sorted results.

Nothing here knows a driver or a statement: a collect script passes functions that read, and functions that classify
the driver's errors.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, NamedTuple, TypeVar

from mcpush.collect.collector import Options
from mcpush.console import log
from mcpush.errors import PushIngestionError

Key = tuple[str, str]  # schema and name, as the catalog spells them
T = TypeVar("T")
IsError = Callable[[BaseException], bool]
Describe = Callable[[BaseException], str]

# Skip reasons that several warehouses count under the same words.
UNREADABLE_DATABASE = "database dropped during the run, or access denied"
UNREADABLE_SCHEMA = "schema not readable"
NO_COLUMNS = "columns not visible"
NO_VIEW_TEXT = "view definition not visible"


# --- read or skip ---------------------------------------------------------------------------------------


def read_or_skip(
    options: Options, reason: str, read: Callable[[], T], is_unreadable: IsError, describe: Describe = str
) -> T | None:
    """What ``read`` returns; None, and counted under ``reason``, if unreadable."""
    try:
        return read()
    except Exception as error:
        if not is_unreadable(error):
            raise
        options.skip(reason, describe(error))
        return None


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A way to read something, and the reason to count when it fails."""

    reason: str
    read: Callable[[], T]


def read_or_fallback(
    options: Options, full: Reading[T], fallback: Reading[T], is_unreadable: IsError, describe: Describe = str
) -> tuple[T | None, bool]:
    """What the first reading returns, else what the second does; and whether it is the first one's.

    When both fail, only the second reason is counted: the first one says that the part was read.
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
    """What ``read`` yields; counts unreadable databases, raises ``refusal(messages)`` if all are.

    An empty manifest would look like an empty warehouse. Without any database nothing is raised.
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
    """What one statement asks of a database: everything, one schema, or a range of the schema's names.

    ``first`` and ``last`` are both included.
    """

    schema: str | None = None
    first: str | None = None
    last: str | None = None

    @property
    def values(self) -> list[str]:
        """What a statement for this part binds: nothing, the schema, or the schema and both names."""
        return [value for value in self if value is not None]


@dataclass(frozen=True)
class SplitDatabase(Generic[T]):
    """A database whose catalog may be too much for one statement: it is then read in smaller parts.

    ``read`` yields the items of a part, one for each table, in the order of ``key``; ``schemas`` and ``names`` list
    the schemas, and the names in one of them, in the same order. Names are compared by code point.
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
        """All items, none twice: after a refusal in mid-stream, reading continues behind the last item.

        A schema that cannot be read, and a table that is too much by itself, are counted.
        """
        last, refusal = yield from self._read_until_refused(Part())
        if refusal is None:
            return
        log.info("%s: too large for one query, reading it schema by schema", self.name)
        for schema in self.schemas():
            if last is None or schema > last[0]:
                yield from self._readable(schema, self._schema(schema))
            elif schema == last[0]:
                yield from self._readable(schema, self._ranges(schema, last[1]))

    def _read_until_refused(self, part: Part) -> Generator[T, None, tuple[Key | None, Exception | None]]:
        """The items of a part. Returns the last one's key, and the error if the part was too much."""
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

    def _skip(self, place: str, error: BaseException) -> None:
        self.options.skip(UNREADABLE_SCHEMA, f"{self.name}.{place}: {error}")

    def _schema(self, schema: str) -> Iterator[T]:
        last, refusal = yield from self._read_until_refused(Part(schema))
        if refusal is not None:
            log.info("%s.%s: too large for one query, reading it in ranges of names", self.name, schema)
            yield from self._ranges(schema, last[1] if last else None)

    def _ranges(self, schema: str, after: str | None) -> Iterator[T]:
        """The items behind a name (None: of all, which were too much), in ranges halved until they can be read."""
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
    """The second and the first half: the last in the list is read first."""
    half = (len(names) + 1) // 2
    return [names[half:], names[:half]]


def pages(wanted: Iterable[T], name: Callable[[T], str], names: Sequence[str], size: int) -> Iterator[list[T]]:
    """The wanted items of one schema in lists whose first and last have at most ``size`` of the schema's ``names``
    from one to the other: a statement for that range returns what lies between, wanted or not.

    Both are in the catalog's order, which need not be Python's.
    """
    place = {each: number // size for number, each in enumerate(names)}
    for _, found in groupby(wanted, key=lambda item: place[name(item)]):
        yield list(found)


# --- merging --------------------------------------------------------------------------------------------


class SortedRows(Generic[T]):
    """Rows in the order of their key, handed out to the table they belong to. Holds the rows of one key at a time."""

    def __init__(self, rows: Iterable[T], key: Callable[[T], Key]) -> None:
        self._groups = groupby(rows, key=key)
        self._key: Key | None = None
        self._rows: list[T] = []
        self._advance()

    def _advance(self) -> None:
        self._key, group = next(self._groups, (None, iter(())))
        self._rows = list(group)

    def take(self, key: Key) -> list[T]:
        """The rows of this key, which may be none. Keys are asked for in their order; one may be asked for again."""
        while self._key is not None and self._key < key:
            self._advance()
        return self._rows if self._key == key else []


# --- the list -------------------------------------------------------------------------------------------


def listed_table(database: str, schema: str, name: str, kind: str) -> str:
    """A table or view as ``--list`` prints it."""
    return f"{database}.{schema}.{name} ({kind})"
