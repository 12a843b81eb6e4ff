"""The neutral warehouse model with which the contract suite fills every server.

Plain data, independent of any warehouse. Names are already legal in the warehouse. No two columns of a record have the
same value, so that tests notice a value from the wrong column. Statement texts quote names as the dialect does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlglot import exp

Path = tuple[str, str, str]  # database, schema, name
ColumnType = Literal["integer", "decimal", "text", "timestamp", "boolean"]


@dataclass(frozen=True)
class Column:
    """A column. ``decimal`` is decimal(12,2), ``text`` is text of at most 40 characters."""

    name: str
    type: ColumnType
    comment: str | None = None


@dataclass(frozen=True)
class Table:
    """A table, or a view of all columns of ``source`` under the same names.

    ``rows``, ``size`` (bytes, a multiple of 1 MiB) and ``modified`` are None for views.
    """

    path: Path
    columns: tuple[Column, ...]
    created: datetime
    comment: str | None = None
    rows: int | None = None
    size: int | None = None
    modified: datetime | None = None
    source: Path | None = None

    @property
    def is_view(self) -> bool:
        return self.source is not None


@dataclass(frozen=True)
class Query:
    """A finished statement, run with the schema of ``path`` as its current schema.

    With a target, it wrote all columns of ``path`` into it (INSERT … SELECT); otherwise it read ``path``. ``error`` is
    the message of a statement that failed and wrote nothing. ``rows`` is the number of rows that it returned or wrote.
    """

    number: int
    session: int
    user: str
    start: datetime
    seconds: int
    path: Path
    target: Path | None = None
    error: str | None = None
    rows: int | None = None

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Model:
    """The contents of a warehouse. All queries end between ``since`` and ``until``. Both are further in the past than
    any system view lags.
    """

    now: datetime
    since: datetime
    until: datetime
    tables: tuple[Table, ...] = ()
    queries: tuple[Query, ...] = ()

    def table(self, path: Path) -> Table:
        return next(table for table in self.tables if table.path == path)

    def text(self, query: Query, dialect: str) -> str:
        """The text of the statement, with names quoted."""
        columns = [column.name for column in self.table(query.path).columns]
        select = exp.select(*(_quoted(name) for name in columns)).from_(_named(query.path))
        if query.target is None:
            return select.where(
                exp.EQ(this=_quoted(columns[0]), expression=exp.Literal(this=str(query.number), is_string=False))
            ).sql(dialect)
        written = exp.Schema(this=_named(query.target), expressions=[_quoted(name) for name in columns])
        return exp.Insert(this=written, expression=select).sql(dialect)

    def definition(self, view: Table, dialect: str) -> str:
        """The SELECT of a view."""
        assert view.source is not None
        return exp.select(*(_quoted(column.name) for column in view.columns)).from_(_named(view.source)).sql(dialect)


def spelled(path: Sequence[str], dialect: str) -> str:
    """A dotted name with each part quoted."""
    return ".".join(_quoted(part).sql(dialect) for part in path)


def _quoted(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _named(path: Path) -> exp.Table:
    database, schema, name = map(_quoted, path)
    return exp.Table(this=name, db=schema, catalog=database)
