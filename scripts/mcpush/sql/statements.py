"""What one parsed statement moves: its target, the tables it reads, and which column feeds which.

From a statement as sqlglot parsed it, to `StatementLineage` (one per target) and `Effect` (what it does to the
session's temporary tables). Which function reads which verb is in verbs.py; forms that sqlglot does not parse are read
in forms.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from mcpush.sql.expressions import table_parts
from mcpush.sql.names import Namer, TableName
from mcpush.sql.query import read_query, read_select
from mcpush.sql.relations import Base, Derived, Output, Relation, Sources, Temporary
from mcpush.sql.scope import Env, Reader, Scope

PARSED = "parsed"
PARTIAL = "partial"


@dataclass(frozen=True)
class ColumnEdge:
    """One column of the target takes part of its value from one column of a source table."""

    source: TableName
    source_column: str
    target_column: str


@dataclass(frozen=True)
class StatementLineage:
    """What a statement does to one target.

    `target` is None for a query that only reads. `kind` is the statement's verb in lower case ("insert", "create
    table", "merge", "rename", …). `certainty` is "parsed" when the whole statement was understood, "partial" when
    only its table names could be picked out. `temporary` says that the target lives only as long as the session.
    `moves_data` is False for statements that name tables without filling them (DROP, CREATE TABLE … LIKE, …).
    """

    target: TableName | None
    sources: tuple[TableName, ...]
    columns: tuple[ColumnEdge, ...]
    kind: str
    certainty: str = PARSED
    temporary: bool = False
    moves_data: bool = True


@dataclass(frozen=True)
class Effect:
    """A change to the session's temporary tables: one is created, filled further, dropped or renamed."""

    action: str  # create, fill, drop, rename
    table: TableName
    content: Temporary | None = None
    to: TableName | None = None


class StatementReader:
    """Reads the statements of one session at one moment: its defaults, catalog and temporary tables.

    `handlers` say which function reads which kind of tree. They add what they find with `emit` and to `effects`.
    """

    def __init__(
        self,
        namer: Namer,
        temporaries: Mapping[TableName, Temporary],
        handlers: Mapping[type, Handler],
        deadline: float | None = None,
    ) -> None:
        self.namer = namer
        self.temporaries = temporaries
        self.deadline = deadline
        self.lineages: list[StatementLineage] = []
        self.effects: list[Effect] = []
        self.unread: str | None = None  # why a statement was not understood
        self.queries: Reader
        self._handlers = handlers
        self._of_session: set[TableName] = set()  # targets whose schema says that they are temporary
        self.restart()

    def restart(self) -> None:
        """Forgets which tables were read: what follows is another statement."""
        self.queries = Reader(self.namer, self.temporaries, read_query, self.deadline, self._change_in_cte)

    def read(self, node: exp.Expr) -> None:
        """Adds what the statement does to `lineages` and `effects`. Raises TooCostly."""
        self.restart()
        handler = self._handlers.get(type(node))
        if handler is None and isinstance(node, (exp.Query, exp.Table)):
            handler = self._handlers[exp.Query]
        if handler is not None:
            handler(self, node)

    def name_of(self, node: exp.Expr | None) -> TableName | None:
        """The table a target node names; None when it is computed (a variable, a function)."""
        if isinstance(node, exp.Directory):
            return self.namer.external(node.this.name)
        if isinstance(node, exp.Literal):
            return self.namer.external(node.name)
        if node is None:
            return None
        parts = table_parts(node)
        if len(parts) == 1 and isinstance(node, exp.Table) and isinstance(node.this, (exp.Literal, exp.Var)):
            return self.namer.external(parts[0][0])
        if not parts:
            return None
        table = self.namer.table(parts)
        known = self.namer.created_as(table)
        if known is not table:
            self._of_session.add(known)
        return known

    def as_temporary(self, node: exp.Expr, table: TableName) -> TableName:
        """The table that a target node names, once it is known to be temporary."""
        parts = table_parts(node)
        return replace(self.namer.created(parts, is_temporary=True), kind=table.kind) if len(parts) == 1 else table

    def emit(
        self,
        target: TableName | None,
        kind: str,
        columns: Iterable[tuple[str, Sources]] = (),
        *,
        temporary: bool = False,
        content: Relation | None = None,
        moves_data: bool = True,
        action: str = "fill",
    ) -> None:
        """Records the lineage of one target from what was read so far, and its effect on the session."""
        reads = tuple(self.queries.reads)
        edges: dict[ColumnEdge, None] = {}
        for name, sources in columns:
            if name:
                known = self._catalog_column(target, name)
                for table, column in sources:
                    edges[ColumnEdge(table, column, known)] = None
        temporary = temporary or target in self.temporaries or target in self._of_session
        ordered = tuple(sorted(edges, key=lambda edge: (edge.target_column, str(edge.source), edge.source_column)))
        self.lineages.append(StatementLineage(target, reads, ordered, kind, PARSED, temporary, moves_data))
        if temporary and target is not None and moves_data:
            held = Temporary(reads, content if content is not None else Relation())
            self.effects.append(Effect(action, target, held))

    def _catalog_column(self, target: TableName | None, name: str) -> str:
        if target is None or self.namer.schema is None:
            return name
        columns = self.namer.columns(target)
        if not columns or name in columns:
            return name
        lowered = name.lower()
        return next((column for column in columns if column.lower() == lowered), name)

    def placed(
        self, relation: Relation, names: Sequence[str], target: TableName | None = None
    ) -> tuple[list[Output], Relation]:
        """The outputs under the target's column names: a column list, else the catalog's order, else their own."""
        known = len(relation.outputs) if relation.closed else 0
        if isinstance(relation, Derived) and relation.rest:
            known = relation.placed
        if not names and target is not None and relation.closed:
            columns = self.columns_of(target)
            if len(columns) >= len(relation.outputs):
                names = columns
        if not names:
            return list(relation.outputs), relation
        outputs: list[Output] = [
            (names[i], output[1]) for i, output in enumerate(relation.outputs[:known]) if i < len(names)
        ]
        return outputs, Relation(outputs) if relation.closed else relation

    def columns_of(self, target: TableName) -> Sequence[str]:
        """The columns of a table of the session or the catalog, in order; none when they are unknown."""
        held = self.temporaries.get(target)
        if held is None:
            return self.namer.columns(target)
        return [name for name, _ in held.relation.outputs] if held.relation.closed else ()

    def _change_in_cte(self, node: exp.Expr, env: Env) -> Relation:
        """An INSERT, UPDATE or DELETE inside a WITH clause: lineage of its own; it yields what RETURNING names."""
        inner = StatementReader(self.namer, self.temporaries, self._handlers, self.deadline)
        handler = self._handlers.get(type(node))
        if handler is not None:
            inner.queries.outer_env = dict(env)
            handler(inner, node)
        self.lineages.extend(inner.lineages)
        target = self.name_of(node.this if isinstance(node.this, exp.Expr) else None)
        relation: Relation = Base(target, self.namer.columns(target)) if target else Relation()
        returning = node.args.get("returning")
        if returning is None:
            return relation
        if target is not None:
            self.queries.reads[target] = None  # the rows it returns are the target's
        scope = Scope(env, None)
        scope.add(target.name if target else "", relation)
        query = exp.Select(expressions=[item.copy() for item in returning.expressions])
        return read_select(self.queries, query, scope)


Handler = Callable[[StatementReader, exp.Expr], None]


def column_list(node: exp.Expr | None, namer: Namer) -> list[str]:
    """The columns a target lists: INSERT INTO t (a, b), CREATE VIEW v (a, b)."""
    if not isinstance(node, exp.Schema):
        return []
    names = []
    for item in node.expressions:
        identifier = item.this if isinstance(item, (exp.ColumnDef, exp.Column)) else item
        if isinstance(identifier, exp.Identifier):
            names.append(namer.fold(identifier.name, bool(identifier.args.get("quoted"))))
    return names
