"""Rows with named fields: converts the rows of a result to NamedTuples with one field per column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from mcpush.interrupts import interruptible

R = TypeVar("R", bound=NamedTuple)


@dataclass(frozen=True)
class Rows(Generic[R]):
    """Rows of a result, readable once. ``columns`` are the result's column names in lower case."""

    columns: Sequence[str]
    rows: Iterator[R]

    def __iter__(self) -> Iterator[R]:
        return self.rows


class Cursor(Protocol):
    """The part of a DB-API cursor that reading rows needs."""

    def fetchmany(self, size: int, /) -> Sequence[Sequence[Any]]: ...


def fetch_in_batches(cursor: Cursor, size: int) -> Iterator[Sequence[Any]]:
    """Rows of a cursor, fetched ``size`` at a time. A signal interrupts only the driver call."""
    while True:
        with interruptible():
            batch = cursor.fetchmany(size)
        if not batch:
            return
        yield from batch


def named_rows(kind: type[R], columns: Iterable[str], rows: Iterable[Sequence[Any]]) -> Rows[R]:
    """Rows as NamedTuples of type ``kind``, matched to columns by name. Columns can have any order and case.

    Raises ValueError if fields and columns differ. If ``kind`` has fields with defaults, additional columns are ignored
    and fields with defaults need no column: results such as that of SHOW gain columns over time.
    """
    names = [str(column).lower() for column in columns]
    missing = [field for field in kind._fields if field not in names and field not in kind._field_defaults]
    unknown = [] if kind._field_defaults else [name for name in names if name not in kind._fields]
    if missing or unknown:
        raise ValueError(f"{kind.__name__} has no column for {missing}, and no field for {unknown}")
    return Rows(names, map(_row_factory(kind, names), rows))


def _row_factory(kind: type[R], names: list[str]) -> Callable[[Sequence[Any]], R]:
    if tuple(names) == kind._fields:
        return kind._make
    indexes = [names.index(field) if field in names else None for field in kind._fields]
    defaults = [kind._field_defaults.get(field) for field in kind._fields]

    def make(row: Sequence[Any]) -> R:
        found = zip(indexes, defaults, strict=True)
        return kind._make(default if index is None else row[index] for index, default in found)

    return make
