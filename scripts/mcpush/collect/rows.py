"""Rows with named fields: what a statement returns, as a NamedTuple that has one field for each column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from mcpush.interrupts import interruptible

R = TypeVar("R", bound=NamedTuple)


@dataclass(frozen=True)
class Rows(Generic[R]):
    """Rows of a result, read once. ``columns`` are the names that the result has, in lower case."""

    columns: Sequence[str]
    rows: Iterator[R]

    def __iter__(self) -> Iterator[R]:
        return self.rows


class Cursor(Protocol):
    """What reading rows needs of a DB-API cursor."""

    def fetchmany(self, size: int, /) -> Sequence[Sequence[Any]]: ...


def fetch_in_batches(cursor: Cursor, size: int) -> Iterator[Sequence[Any]]:
    """Rows of a cursor, fetched ``size`` at a time. A signal interrupts the driver's call only."""
    while True:
        with interruptible():
            batch = cursor.fetchmany(size)
        if not batch:
            return
        yield from batch


def named_rows(kind: type[R], columns: Iterable[str], rows: Iterable[Sequence[Any]]) -> Rows[R]:
    """Rows as the NamedTuple ``kind``, each field from the column of its name. Columns have any order and case.

    Fields and columns have to be the same. But a ``kind`` whose fields have defaults picks from a result that grows, as
    that of SHOW does: it ignores further columns, and a field with a default needs no column. Raises ValueError.
    """
    names = [str(column).lower() for column in columns]
    missing = [field for field in kind._fields if field not in names and field not in kind._field_defaults]
    unknown = [] if kind._field_defaults else [name for name in names if name not in kind._fields]
    if missing or unknown:
        raise ValueError(f"{kind.__name__} has no column for {missing}, and no field for {unknown} of the statement")
    return Rows(names, map(_row_factory(kind, names), rows))


def _row_factory(kind: type[R], names: list[str]) -> Callable[[Sequence[Any]], R]:
    if tuple(names) == kind._fields:
        return kind._make
    places = [names.index(field) if field in names else None for field in kind._fields]
    defaults = [kind._field_defaults.get(field) for field in kind._fields]

    def make(row: Sequence[Any]) -> R:
        found = zip(places, defaults, strict=True)
        return kind._make(default if place is None else row[place] for place, default in found)

    return make
