"""The lineage of one parsed statement: its target, the tables that it reads, and its column mappings.

Converts a sqlglot tree to `StatementLineage` (one per target) and `Effect` (a change to the session's temporary
tables). verbs.py maps each kind of statement to its handler; forms.py handles statements that sqlglot cannot parse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from mcpush.sql.expressions import table_parts
from mcpush.sql.names import Namer, TableName
from mcpush.sql.query import read_query, read_select
from mcpush.sql.relations import Derived, Output, Relation, Sources, TableRelation, Temporary
from mcpush.sql.scope import Env, Reader, Scope

PARSED = "parsed"
PARTIAL = "partial"


@dataclass(frozen=True)
class ColumnEdge:
    """A mapping from one column of a source table to one column of the target."""

    source: TableName
    source_column: str
    target_column: str


@dataclass(frozen=True)
class StatementLineage:
    """The lineage of one target of a statement.

    `target` is None for a query that only reads. `kind` is the statement's verb in lower case ("insert", "create
    table", "merge", "rename", …). `certainty` is "parsed" if the whole statement was parsed in the session's dialect,
    else "partial" (parsed in another dialect, or only table names extracted). `temporary` is True if the target exists
    only in the session. `moves_data` is False for statements that do not fill the tables that they name (DROP, CREATE
    TABLE … LIKE, …).
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
    """A change to the session's temporary tables: one is created, added to, dropped or renamed."""

    action: str  # create, fill, drop, rename
    table: TableName
    content: Temporary | None = None
    to: TableName | None = None


class StatementReader:
    """Reads statements with the current defaults, catalog and temporary tables of a session.

    `handlers` maps types of syntax trees to the functions that read them. Handlers add results with `emit` and to
    `effects`.
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
        self.skip_reason: str | None = None  # why the statement cannot be read
        self.queries: Reader
        self._handlers = handlers
        self._session_tables: set[TableName] = set()  # targets in a schema of temporary tables
        self.restart()

    def restart(self) -> None:
        """Clear the list of tables read, to start another statement."""
        self.queries = Reader(self.namer, self.temporaries, read_query, self.deadline, self._change_in_cte)

    def read(self, node: exp.Expr) -> None:
        """Add the results for a statement to `lineages` and `effects`. Raises LimitExceededError."""
        self.restart()
        handler = self._handlers.get(type(node))
        if handler is None and isinstance(node, (exp.Query, exp.Table)):
            handler = self._handlers[exp.Query]
        if handler is not None:
            handler(self, node)

    def name_of(self, node: exp.Expr | None) -> TableName | None:
        """The table that a target node names; None if it is computed (a variable, a function)."""
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
            self._session_tables.add(known)
        return known

    def as_temporary(self, node: exp.Expr, table: TableName) -> TableName:
        """The table that a target node names, given that it is temporary."""
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
        """Record the lineage of one target from the tables read so far, and its effect on the session."""
        reads = tuple(self.queries.reads)
        edges: dict[ColumnEdge, None] = {}
        for name, sources in columns:
            if name:
                known = self._catalog_column(target, name)
                for table, column in sources:
                    edges[ColumnEdge(table, column, known)] = None
        temporary = temporary or target in self.temporaries or target in self._session_tables
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

    def match_columns(
        self, relation: Relation, names: Sequence[str], target: TableName | None = None
    ) -> tuple[list[Output], Relation]:
        """Rename the outputs to the target's columns: from a column list, else in catalog order, else unchanged."""
        known = len(relation.outputs) if relation.closed else 0
        if isinstance(relation, Derived) and relation.rest:
            known = relation.known_positions
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
        """The columns of a temporary or catalog table, in order; empty if unknown."""
        held = self.temporaries.get(target)
        if held is None:
            return self.namer.columns(target)
        return [name for name, _ in held.relation.outputs] if held.relation.closed else ()

    def _change_in_cte(self, node: exp.Expr, env: Env) -> Relation:
        """Read an INSERT, UPDATE or DELETE inside a WITH clause.

        Records its own lineage. Returns the relation of its RETURNING clause; without one, the target.
        """
        inner = StatementReader(self.namer, self.temporaries, self._handlers, self.deadline)
        handler = self._handlers.get(type(node))
        if handler is not None:
            inner.queries.outer_env = dict(env)
            handler(inner, node)
        self.lineages.extend(inner.lineages)
        target = self.name_of(node.this if isinstance(node.this, exp.Expr) else None)
        relation: Relation = TableRelation(target, self.namer.columns(target)) if target else Relation()
        returning = node.args.get("returning")
        if returning is None:
            return relation
        if target is not None:
            self.queries.reads[target] = None  # RETURNING reads rows of the target
        scope = Scope(env, None)
        scope.add(target.name if target else "", relation)
        query = exp.Select(expressions=[item.copy() for item in returning.expressions])
        return read_select(self.queries, query, scope)


Handler = Callable[[StatementReader, exp.Expr], None]


def column_list(node: exp.Expr | None, namer: Namer) -> list[str]:
    """The column list of a target: INSERT INTO t (a, b), CREATE VIEW v (a, b)."""
    if not isinstance(node, exp.Schema):
        return []
    names = []
    for item in node.expressions:
        identifier = item.this if isinstance(item, (exp.ColumnDef, exp.Column)) else item
        if isinstance(identifier, exp.Identifier):
            names.append(namer.fold(identifier.name, bool(identifier.args.get("quoted"))))
    return names
