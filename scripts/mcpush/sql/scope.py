"""What the functions that read a query share: the state of one statement, and the relations a SELECT can refer to.

The modules that read queries import each other in one direction: relations <- scope <- expressions <- sources <- query.
Subqueries also stand in expressions and in FROM; those modules call `Reader.read_query`, which is `query.read_query`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from mcpush.sql.dialects import Traits
from mcpush.sql.names import Namer, TableName
from mcpush.sql.relations import NOTHING, Base, Relation, Rows, Sources, Temporary

# How many nodes are visited between two looks at the clock.
CLOCK_EVERY = 2048

Env = Mapping[str, Relation]  # the CTEs in force, by lower-case name


class TooCostly(Exception):  # noqa: N818  it is a verdict about a statement, not a fault
    """The statement would take longer, or yield more columns, than any real one."""


@dataclass(slots=True, eq=False)
class FromItem:
    """One relation of a FROM clause. A star skips it if it is hidden, as the right side of a semi join is."""

    relation: Relation
    hidden: bool = False


@dataclass(slots=True, eq=False)
class Scope:
    """The relations of one SELECT, and the scope around it for correlated references. Keys are in lower case."""

    env: Env
    outer: Scope | None = None
    lateral_aliases: bool = False
    items: list[FromItem] = field(default_factory=list)
    named: dict[str, FromItem] = field(default_factory=dict)  # by alias; the first of two with the same alias
    tables: dict[tuple[str, ...], FromItem] = field(default_factory=dict)  # by the table's name as it is written
    using: dict[str, str] = field(default_factory=dict)  # columns joined by USING, and how they are written
    aliases: dict[str, Sources] = field(default_factory=dict)  # outputs so far, which later ones may use
    own: set[str] = field(default_factory=set)  # columns of the relations although an alias has the same name
    pseudo: frozenset[str] = frozenset()  # columns that belong to no table (LEVEL)
    windows: dict[str, Sources] = field(default_factory=dict)  # by name in the WINDOW clause

    def add(self, alias: str, relation: Relation, written: tuple[str, ...] = ()) -> None:
        """Adds a relation. Without an alias, or with one that is taken, only stars and bare names reach it."""
        item = FromItem(relation)
        self.items.append(item)
        if alias:
            self.named.setdefault(alias.lower(), item)
        if written:
            self.tables.setdefault(written, item)

    def add_all_of(self, other: Scope) -> None:
        """Adds the relations of another scope under the same names."""
        self.items += other.items
        self.named.update(other.named)
        self.tables.update(other.tables)

    def clear(self) -> None:
        """Removes all relations."""
        self.items.clear()
        self.named.clear()
        self.tables.clear()

    @property
    def relations(self) -> list[Relation]:
        return [item.relation for item in self.items]

    def relation(self, alias: str) -> Relation | None:
        """The relation with that alias, in lower case."""
        item = self.named.get(alias)
        return None if item is None else item.relation

    def find(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        """The sources of an unqualified name; None if it cannot belong to this scope."""
        key = name.lower()
        if key in self.using:
            found = [item.relation.lookup(name, path) for item in self.items]
            return frozenset().union(*(sources for sources in found if sources))
        known = self.find_known(name, path)
        if known is not None:
            return known
        if key in self.pseudo:
            return NOTHING
        opened = [item.relation for item in self.items if not item.relation.closed]
        if key in self.aliases and (not opened or (self.lateral_aliases and key not in self.own)):
            return self.aliases[key]
        return self._find_in_open(name, path, opened) if opened else self._find_in_struct(name, path)

    def find_known(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        """The sources of a column that one of the relations is known to have."""
        for item in self.items:
            relation = item.relation
            if relation.closed:
                found = relation.lookup(name, path)
                if found is not None:
                    return found
        return None

    def _find_in_open(self, name: str, path: Sequence[str], opened: list[Relation]) -> Sources | None:
        key = name.lower()
        explicit = [relation for relation in opened if any(key == output.lower() for output, _ in relation.outputs)]
        if len(explicit) == 1 or len(opened) == 1:
            self.own.add(key)
            return (explicit or opened)[0].lookup(name, path)
        # Any of several unknown tables could have it: unresolved, and not the outer query's.
        return NOTHING

    def _find_in_struct(self, name: str, path: Sequence[str]) -> Sources | None:
        elements = [relation for relation in self.relations if isinstance(relation, Rows) and relation.is_struct]
        return elements[0].qualified(name, path) if len(elements) == 1 else None

    def qualifier(self, parts: tuple[str, ...]) -> tuple[Relation, int] | None:
        """The relation that the leading parts of a dotted name refer to, and how many parts that took."""
        count = len(parts)
        item = self.tables.get(parts) if count > 1 else None
        if item is not None:
            return item.relation, count
        for length in range(count, 0, -1):
            if length == 1 and parts[0] in self.named:
                # An alias hides the table of that name: FROM b AS a JOIN a AS b.
                return self.named[parts[0]].relation, 1
            for written, item in self.tables.items():
                if written[-length:] == parts[:length]:
                    return item.relation, length
        return None


@dataclass(slots=True, eq=False)
class Reader:
    """The state of reading one statement. `reads` collects the tables in the order in which they are met."""

    namer: Namer
    temporaries: Mapping[TableName, Temporary]
    read_query: Callable[[Reader, exp.Expr, Env, Scope | None], Relation]
    deadline: float | None = None  # on the monotonic clock
    change: Callable[[exp.Expr, Env], Relation] | None = None  # reads an INSERT, UPDATE or DELETE inside a CTE
    reads: dict[TableName, None] = field(default_factory=dict)
    outer_env: Env = field(default_factory=dict)  # the CTEs around a statement that stands inside a WITH clause
    piped: dict[str, Scope] = field(default_factory=dict)  # the scope of a pipe operator's CTE: its aliases stay valid
    steps: int = 0
    traits: Traits = field(init=False)

    def __post_init__(self) -> None:
        self.traits = self.namer.traits

    def fold(self, identifier: exp.Expr) -> str:
        """An identifier as the dialect stores it."""
        text = identifier.this if isinstance(identifier.this, str) else identifier.name
        return self.namer.fold(text, bool(identifier.args.get("quoted")))

    def table(self, parts: tuple[tuple[str, bool], ...]) -> Relation:
        """The table of that name, recorded as read; a temporary table stands for what it was made from."""
        name = self.namer.table(parts)
        temporary = self.temporaries.get(self.namer.created_as(name))
        if temporary is not None:
            for source in temporary.reads:
                self.reads.setdefault(source)
            return temporary.relation
        self.reads.setdefault(name)
        return Base(name, self.namer.columns(name))

    def count_step(self) -> None:
        """Looks at the clock from time to time. Raises TooCostly after the deadline."""
        self.steps += 1
        if self.steps % CLOCK_EVERY == 0:
            self.check_clock()

    def check_clock(self) -> None:
        """Raises TooCostly after the deadline."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TooCostly("time limit exceeded")
