"""State shared by the functions that read a query: the current statement, and the relations a SELECT can refer to.

The modules that read queries import each other in one direction: relations <- scope <- expressions <- sources <- query.
Expressions and FROM can contain subqueries. Their modules call `Reader.read_query`, which is `query.read_query`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from mcpush.sql.dialects import Traits
from mcpush.sql.names import Namer, TableName
from mcpush.sql.relations import NOTHING, Relation, Rows, Sources, TableRelation, Temporary

# Number of nodes visited between two deadline checks.
STEPS_PER_DEADLINE_CHECK = 2048

Env = Mapping[str, Relation]  # the CTEs in scope, by lower-case name


class LimitExceededError(Exception):
    """The statement exceeds the time limit or the maximum number of output columns."""


@dataclass(slots=True, eq=False)
class FromItem:
    """One relation of a FROM clause. A star skips it if it is hidden, like the right side of a semi join."""

    relation: Relation
    hidden: bool = False


@dataclass(slots=True, eq=False)
class Scope:
    """The relations of one SELECT, and the outer scope for correlated references. Keys are in lower case."""

    env: Env
    outer: Scope | None = None
    lateral_aliases: bool = False
    items: list[FromItem] = field(default_factory=list)
    named: dict[str, FromItem] = field(default_factory=dict)  # by alias; the first one if two have the same alias
    tables: dict[tuple[str, ...], FromItem] = field(default_factory=dict)  # by the table's name as written
    using: dict[str, str] = field(default_factory=dict)  # columns joined by USING -> as written
    aliases: dict[str, Sources] = field(default_factory=dict)  # outputs so far, which later ones can use
    own: set[str] = field(default_factory=set)  # columns of the relations that take precedence over an alias
    pseudo: frozenset[str] = frozenset()  # columns that belong to no table (LEVEL)
    windows: dict[str, Sources] = field(default_factory=dict)  # by name in the WINDOW clause

    def add(self, alias: str, relation: Relation, written: tuple[str, ...] = ()) -> None:
        """Add a relation. An alias or `written` table name that is already taken keeps referring to the earlier one."""
        item = FromItem(relation)
        self.items.append(item)
        if alias:
            self.named.setdefault(alias.lower(), item)
        if written:
            self.tables.setdefault(written, item)

    def add_all_of(self, other: Scope) -> None:
        """Add the relations of another scope under the same names."""
        self.items += other.items
        self.named.update(other.named)
        self.tables.update(other.tables)

    def clear(self) -> None:
        """Remove all relations."""
        self.items.clear()
        self.named.clear()
        self.tables.clear()

    @property
    def relations(self) -> list[Relation]:
        return [item.relation for item in self.items]

    def relation(self, alias: str) -> Relation | None:
        """The relation with that lower-case alias; None if there is none."""
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
        # Any of several open tables could have the column: unresolved, but not a column of the outer query.
        return NOTHING

    def _find_in_struct(self, name: str, path: Sequence[str]) -> Sources | None:
        elements = [relation for relation in self.relations if isinstance(relation, Rows) and relation.is_struct]
        return elements[0].qualified(name, path) if len(elements) == 1 else None

    def qualifier(self, parts: tuple[str, ...]) -> tuple[Relation, int] | None:
        """The relation that the leading parts of a dotted name refer to, and the number of those parts."""
        count = len(parts)
        item = self.tables.get(parts) if count > 1 else None
        if item is not None:
            return item.relation, count
        for length in range(count, 0, -1):
            if length == 1 and parts[0] in self.named:
                # An alias shadows a table of that name: FROM b AS a JOIN a AS b.
                return self.named[parts[0]].relation, 1
            for written, item in self.tables.items():
                if written[-length:] == parts[:length]:
                    return item.relation, length
        return None


@dataclass(slots=True, eq=False)
class Reader:
    """The state for reading one statement. `reads` collects the tables in order of appearance."""

    namer: Namer
    temporaries: Mapping[TableName, Temporary]
    read_query: Callable[[Reader, exp.Expr, Env, Scope | None], Relation]
    deadline: float | None = None  # on the monotonic clock
    change: Callable[[exp.Expr, Env], Relation] | None = None  # reads an INSERT, UPDATE or DELETE inside a CTE
    reads: dict[TableName, None] = field(default_factory=dict)
    outer_env: Env = field(default_factory=dict)  # for a statement inside a WITH clause: the CTEs in scope
    piped: dict[str, Scope] = field(default_factory=dict)  # scopes of pipe operators' CTEs, whose aliases stay valid
    steps: int = 0
    traits: Traits = field(init=False)

    def __post_init__(self) -> None:
        self.traits = self.namer.traits

    def fold(self, identifier: exp.Expr) -> str:
        """An identifier as the dialect stores it."""
        text = identifier.this if isinstance(identifier.this, str) else identifier.name
        return self.namer.fold(text, bool(identifier.args.get("quoted")))

    def table(self, parts: tuple[tuple[str, bool], ...]) -> Relation:
        """The table with that name, recorded as read. A temporary table is replaced by its sources."""
        name = self.namer.table(parts)
        temporary = self.temporaries.get(self.namer.created_as(name))
        if temporary is not None:
            for source in temporary.reads:
                self.reads.setdefault(source)
            return temporary.relation
        self.reads.setdefault(name)
        return TableRelation(name, self.namer.columns(name))

    def count_step(self) -> None:
        """Count a node; check the deadline every STEPS_PER_DEADLINE_CHECK nodes. Raises LimitExceededError after it."""
        self.steps += 1
        if self.steps % STEPS_PER_DEADLINE_CHECK == 0:
            self.check_deadline()

    def check_deadline(self) -> None:
        """Raise LimitExceededError if the deadline has passed."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise LimitExceededError("time limit exceeded")
