"""Relations: the columns of an item of FROM, and the base columns that each of them comes from.

A relation lists its columns in order (`outputs`, complete only if `closed`) and returns the base columns of one of them
(`lookup`). A table with unknown columns is open: it is assumed to have every column that is looked up. This module does
not parse anything.
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
        # Columns that contain a row, by lower-case name, and the relation of that row.
        self.rows: Mapping[str, Relation] = {}
        self._index: dict[str, Sources] | None = None

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        """The sources of the column with that name; None if there is no such column."""
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


class TableRelation(Relation):
    """A table, view, stage or file. `names` are its columns in the catalog's case; empty if unknown."""

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
        # The catalog can be older than the statement, so a column that it does not list still belongs to the table.
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
    """The result of a table function (UNNEST, FLATTEN, explode, …): every column comes from its arguments.

    `element` is the name, in lower case, of one element of an array; its fields extend the path of the source column.
    If `is_struct`, those fields can be used without it (BigQuery). `hidden_names` are additional column names, in lower
    case, that can be looked up but that a star does not include. `fields` are the fields of one element, if the
    statement itself builds the array.
    """

    __slots__ = ("element", "fields", "hidden_names", "is_struct", "sources")

    def __init__(
        self,
        names: Iterable[str],
        sources: Sources,
        element: str | None = None,
        *,
        is_struct: bool = False,
        hidden_names: frozenset[str] = frozenset(),
        fields: Relation | None = None,
    ) -> None:
        super().__init__([(name, sources) for name in names])
        self.sources = sources
        self.element = element
        self.is_struct = is_struct
        self.hidden_names = hidden_names
        self.fields = fields

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        sources = super().lookup(name)
        if sources is None and name.lower() in self.hidden_names:
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
class RemainingColumns:
    """The unknown columns of an open relation that a star includes, except the hidden ones; some are renamed."""

    relation: Relation
    hidden: frozenset[str]
    renamed: Mapping[str, str]  # new name, in lower case -> old name

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        name = self.renamed.get(name.lower(), name)
        return None if name.lower() in self.hidden else self.relation.lookup(name, path)


class Derived(Relation):
    """The result of a query with a star over open relations: its known columns and the remaining ones.

    The first `known_positions` outputs precede the first open star, so their positions are known.
    """

    __slots__ = ("known_positions", "rest")

    def __init__(self, outputs: Sequence[Output], rest: Sequence[RemainingColumns], known_positions: int = 0) -> None:
        super().__init__(outputs)
        self.rest = rest
        self.known_positions = known_positions

    @property
    def closed(self) -> bool:  # type: ignore[override]
        return not self.rest

    def lookup(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        sources = super().lookup(name, path)
        if sources is not None or not self.rest:
            return sources
        found = [item for item in (rest.lookup(name, path) for rest in self.rest) if item is not None]
        # If two open tables could have the column, it is unknown which of them does.
        return found[0] if len(found) == 1 else NOTHING


class Branches(Relation):
    """A set operation with an open branch. Positions are unknown, so columns are matched by name."""

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
    """The result of a set operation. Matches columns by position, or by name if requested or if a branch is open."""
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
    """The relation with a column list applied: `AS x (a, b)`. Column positions of an open relation are unknown."""
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
    """The content of a temporary table: the base tables and columns that it was filled from in this session."""

    reads: tuple[TableName, ...]
    relation: Relation

    def merged(self, other: Temporary) -> Temporary:
        """The content after an INSERT of `other`: the sources of both, merged column by column."""
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
