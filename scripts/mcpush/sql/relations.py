"""Relations: the columns that an item of FROM offers, and the real columns that each of them is made of.

A relation answers two questions: which columns it has, in order (`outputs`, complete only if `closed`), and which real
columns one of them comes from (`lookup`). A table with unknown columns is open: it is taken to have every column that
is asked for. This module does not parse anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mcpush.sql.names import TableName

ColumnSource = tuple[TableName, str]
Sources = frozenset[ColumnSource]
Output = tuple[str, Sources]
NOTHING: Sources = frozenset()


class Relation:
    """Named columns with their sources. Names are compared case-insensitively."""

    __slots__ = ("_index", "outputs", "rows")
    closed = True

    def __init__(self, outputs: Sequence[Output] = ()) -> None:
        self.outputs = outputs
        self.rows: Mapping[
            str, Relation
        ] = {}  # the columns that hold a row, by lower-case name, and what it consists of
        self._index: dict[str, Sources] | None = None

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        """The sources of the column of that name; None if there is no such column."""
        row = self.rows.get(name.lower()) if path and self.rows else None
        if row is not None:
            return row.qualified(path[0], path[1:])
        if self._index is None:
            index: dict[str, Sources] = {}
            for output, sources in self.outputs:
                index.setdefault(output.lower(), sources)
            self._index = index
        return self._index.get(name.lower())

    def qualified(self, name: str, path: Sequence[str] = ()) -> Sources:
        """The sources of a column that the statement qualifies with this relation."""
        return self.lookup(name, path) or NOTHING

    @property
    def everything(self) -> Sources:
        """The sources of all columns."""
        return frozenset().union(*(sources for _, sources in self.outputs))


class Base(Relation):
    """A real table, view, stage or file. `names` are its columns in the catalog's case, empty if unknown."""

    __slots__ = ("_names", "table")

    def __init__(self, table: TableName, names: Sequence[str] = ()) -> None:
        super().__init__([(name, frozenset(((table, name),))) for name in names])
        self.table = table
        self._names: dict[str, str] | None = None

    @property
    def closed(self) -> bool:  # type: ignore[override]
        return bool(self.outputs)

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        if not self.outputs:
            return self._one(name, path)
        known = self._known(name)
        return None if known is None else self._one(known, path)

    def qualified(self, name: str, path: Sequence[str] = ()) -> Sources:
        # The catalog may be older than the statement: a column that it does not list belongs to the table all the same.
        return self._one(self._known(name) or name, path)

    def _known(self, name: str) -> str | None:
        if self._names is None:
            names: dict[str, str] = {}
            for output, _ in self.outputs:
                names.setdefault(output.lower(), output)
                names[output] = output
            self._names = names
        return self._names.get(name) or self._names.get(name.lower())

    def _one(self, name: str, path: Sequence[str]) -> Sources:
        return frozenset(((self.table, ".".join((name, *path))),))


class Rows(Relation):
    """What a table function yields (UNNEST, FLATTEN, explode, …): every column comes from its arguments.

    `element` is the name, in lower case, of one element of an array; its fields extend the path of the source column.
    `is_struct` says that those fields can be named without it (BigQuery). `also` are further names, in lower case, that
    the columns answer to and that a star does not show. `fields` are the fields of one element, where the statement
    itself builds the array.
    """

    __slots__ = ("also", "element", "fields", "is_struct", "sources")

    def __init__(
        self,
        names: Iterable[str],
        sources: Sources,
        element: str | None = None,
        *,
        is_struct: bool = False,
        also: frozenset[str] = frozenset(),
        fields: Relation | None = None,
    ) -> None:
        super().__init__([(name, sources) for name in names])
        self.sources = sources
        self.element = element
        self.is_struct = is_struct
        self.also = also
        self.fields = fields

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        sources = super().lookup(name)
        if sources is None and name.lower() in self.also:
            return self.sources
        if sources is None and self.fields is not None:
            return self.fields.lookup(name, path)
        if sources is not None and path and name.lower() == self.element:
            return self._within(path)
        return sources

    def qualified(self, name: str, path: Sequence[str] = ()) -> Sources:
        return self._within((name, *path)) if self.is_struct else self.sources

    def _within(self, path: Sequence[str]) -> Sources:
        if self.fields is not None:
            return self.fields.qualified(path[0], path[1:])
        return frozenset((table, ".".join((column, *path))) for table, column in self.sources)

    @property
    def everything(self) -> Sources:
        return self.sources


@dataclass(slots=True, eq=False)
class Rest:
    """The unknown columns of an open relation that a star passes on: all but those hidden, some under a new name."""

    relation: Relation
    hidden: frozenset[str]
    renamed: Mapping[str, str]  # the new name, in lower case, and the old one

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        name = self.renamed.get(name.lower(), name)
        return None if name.lower() in self.hidden else self.relation.lookup(name, path)


class Derived(Relation):
    """The result of a query with a star over open relations: its known columns, and the rest.

    The places of the first `placed` outputs are known: they stand before the first open star.
    """

    __slots__ = ("placed", "rest")

    def __init__(self, outputs: Sequence[Output], rest: Sequence[Rest], placed: int = 0) -> None:
        super().__init__(outputs)
        self.rest = rest
        self.placed = placed

    @property
    def closed(self) -> bool:  # type: ignore[override]
        return not self.rest

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        sources = super().lookup(name, path)
        if sources is not None or not self.rest:
            return sources
        found = [item for item in (rest.lookup(name, path) for rest in self.rest) if item is not None]
        # If two open tables could have the column, nobody can say which of them does.
        return found[0] if len(found) == 1 else NOTHING


class Branches(Relation):
    """A set operation with an open branch: positions are unknown, so columns are matched by name."""

    __slots__ = ("branches",)
    closed = False

    def __init__(self, branches: Sequence[Relation]) -> None:
        super().__init__()
        self.branches = branches
        self.outputs = [(name, self.qualified(name)) for name, _ in branches[0].outputs]

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        found = [item for item in (branch.lookup(name, path) for branch in self.branches) if item is not None]
        return frozenset().union(*found) if found else None


def stacked(branches: Sequence[Relation], by_name: bool) -> Relation:
    """UNION, INTERSECT or EXCEPT of these branches: by position; by name if asked for or if a branch is open."""
    if not all(branch.closed for branch in branches):
        return Branches(branches)
    if by_name:
        names: dict[str, str] = {}
        for branch in branches:
            for name, _ in branch.outputs:
                names.setdefault(name.lower(), name)
        return Relation(
            [(name, frozenset().union(*(branch.qualified(name) for branch in branches))) for name in names.values()]
        )
    longest = max(branches, key=lambda branch: len(branch.outputs))
    outputs: list[Output] = []
    for position, (name, _) in enumerate(longest.outputs):
        at = [branch.outputs[position] for branch in branches if position < len(branch.outputs)]
        outputs.append((at[0][0] or name, frozenset().union(*(sources for _, sources in at))))
    return Relation(outputs)


def renamed(relation: Relation, names: Sequence[str]) -> Relation:
    """The relation under a column list: `AS x (a, b)`. The positions of an open relation's columns are unknown."""
    if not names:
        return relation
    if isinstance(relation, Rows):
        return Rows(names, relation.sources)
    if not relation.closed:
        known = [] if isinstance(relation, Derived) else relation.outputs
        return Relation([(name, known[i][1] if i < len(known) else NOTHING) for i, name in enumerate(names)])
    tail = relation.outputs[len(names) :]
    return Relation([(name, out[1]) for name, out in zip(names, relation.outputs, strict=False)] + list(tail))


@dataclass(slots=True, eq=False)
class Temporary:
    """What a temporary table holds: the real tables and columns it was filled from in this session."""

    reads: tuple[TableName, ...]
    relation: Relation

    def merged(self, other: Temporary) -> Temporary:
        """What it holds after an INSERT of the other content: both, column by column."""
        reads = tuple(dict.fromkeys((*self.reads, *other.reads)))
        if not (self.relation.closed and other.relation.closed):
            branches = [
                relation for relation in (self.relation, other.relation) if relation.outputs or not relation.closed
            ]
            return Temporary(reads, Branches(branches) if branches else self.relation)
        outputs = [(name, sources | other.relation.qualified(name)) for name, sources in self.relation.outputs]
        known = {name.lower() for name, _ in outputs}
        outputs += [output for output in other.relation.outputs if output[0].lower() not in known]
        return Temporary(reads, Relation(outputs))
