"""What one parsed statement moves: its target, the tables it reads, and which column feeds which.

From a statement as sqlglot parsed it, to `StatementLineage` (one per target) and `Effect` (what it does to the
session's temporary tables). Forms that sqlglot does not parse are read in forms.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.dialects.hive import Hive

from mcpush.sql.expressions import read_value, scan, table_parts
from mcpush.sql.names import EXTERNAL, VIEW, Namer, TableName
from mcpush.sql.query import read_query, read_select
from mcpush.sql.relations import NOTHING, Base, Derived, Output, Relation, Sources, Temporary, stacked
from mcpush.sql.scope import Env, Reader, Scope
from mcpush.sql.sources import add_from, add_source, with_env

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
    """Reads the statements of one session at one moment: its defaults, catalog and temporary tables."""

    def __init__(self, namer: Namer, temporaries: Mapping[TableName, Temporary], deadline: float | None = None) -> None:
        self.namer = namer
        self.temporaries = temporaries
        self.deadline = deadline
        self.lineages: list[StatementLineage] = []
        self.effects: list[Effect] = []
        self.unread: str | None = None  # why a statement was not understood
        self._of_session: set[TableName] = set()  # targets whose schema says that they are temporary
        self._reader = self._new_reader()

    def read(self, node: exp.Expr) -> None:
        """Adds what the statement does to `lineages` and `effects`. Raises TooCostly."""
        self._reader = self._new_reader()
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            handler(self, node)
        elif isinstance(node, (exp.Query, exp.Table)):
            self._query(node)

    def _new_reader(self) -> Reader:
        return Reader(self.namer, self.temporaries, read_query, self.deadline, self._change_in_cte)

    # -- what every handler uses -----------------------------------------------------------------------------

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
        reads = tuple(self._reader.reads)
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
            columns = self._columns_of(target)
            if len(columns) >= len(relation.outputs):
                names = columns
        if not names:
            return list(relation.outputs), relation
        outputs: list[Output] = [
            (names[i], output[1]) for i, output in enumerate(relation.outputs[:known]) if i < len(names)
        ]
        return outputs, Relation(outputs) if relation.closed else relation

    def _columns_of(self, target: TableName) -> Sequence[str]:
        held = self.temporaries.get(target)
        if held is None:
            return self.namer.columns(target)
        return [name for name, _ in held.relation.outputs] if held.relation.closed else ()

    def _change_in_cte(self, node: exp.Expr, env: Env) -> Relation:
        """An INSERT, UPDATE or DELETE inside a WITH clause: lineage of its own; it yields what RETURNING names."""
        inner = StatementReader(self.namer, self.temporaries, self.deadline)
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            inner._reader.outer_env = dict(env)
            handler(inner, node)
        self.lineages.extend(inner.lineages)
        target = self.name_of(_target_of(node))
        relation: Relation = Base(target, self.namer.columns(target)) if target else Relation()
        returning = node.args.get("returning")
        if returning is None:
            return relation
        if target is not None:
            self._reader.reads[target] = None  # the rows it returns are the target's
        scope = Scope(env, None)
        scope.add(target.name if target else "", relation)
        query = exp.Select(expressions=[item.copy() for item in returning.expressions])
        return read_select(self._reader, query, scope)

    # -- statements ------------------------------------------------------------------------------------------

    def _query(self, node: exp.Expr) -> None:
        relation = read_query(self._reader, node, {})
        select = node
        while isinstance(select, (exp.Subquery, exp.SetOperation)):
            select = select.this
        into = select.args.get("into") if isinstance(select, exp.Select) else None
        target = self.name_of(into.this) if into is not None else None
        if target is None:
            self._partition_swap(node)
            self.emit(None, "select", relation.outputs)
            return
        temporary = bool(into.args.get("temporary")) or target.name.startswith("#") if into is not None else False
        self.emit(target, "select into", relation.outputs, temporary=temporary, content=relation, action="create")

    def _partition_swap(self, node: exp.Expr) -> None:
        """Vertica: SELECT SWAP_PARTITIONS_BETWEEN_TABLES('staging', min, max, 'target'), and its relatives."""
        for item in node.expressions if isinstance(node, exp.Select) else ():
            call = item.this if isinstance(item, exp.Alias) else item
            if not isinstance(call, exp.Anonymous) or str(call.this).upper() not in _PARTITION_FUNCTIONS:
                continue
            texts = [argument.name for argument in call.expressions if isinstance(argument, exp.Literal)]
            if len(texts) > 1:
                source, target = (
                    self.namer.table(tuple((p, False) for p in text.split("."))) for text in (texts[0], texts[-1])
                )
                self._reader.reads[source] = None
                self.emit(target, "swap partitions")
                self._reader.reads.clear()

    def _create(self, node: exp.Expr) -> None:
        kind = str(node.args.get("kind") or "").upper()
        if kind not in ("TABLE", "VIEW", "STREAMING TABLE", "MATERIALIZED VIEW", "DYNAMIC TABLE"):
            return
        target = self.name_of(node.this)
        if target is None:
            return
        names = _column_list(node.this, self.namer)
        properties = _properties(node)
        # https://docs.snowflake.com/en/sql-reference/sql/create-table: VOLATILE is TEMPORARY, as in Teradata.
        temporary = bool({exp.TemporaryProperty, exp.VolatileProperty} & properties.keys())
        temporary = temporary or target.name.startswith("#")
        if kind == "VIEW" and target.kind != EXTERNAL:
            target = TableName(target.database, target.schema, target.name, VIEW)
        verb = f"create {kind.lower()}"
        body = node.args.get("expression")
        clone = node.args.get("clone")
        if isinstance(body, (exp.Query, exp.Table)):
            env = with_env(self._reader, node, {})
            relation = read_query(self._reader, body, env)
            outputs, content = self.placed(relation, names)
            self._created(target, verb, outputs, content, properties, temporary)
        elif clone is not None:
            self._copied(target, clone.this, "clone", temporary)
        elif exp.LikeProperty in properties:
            scan(self._reader, properties[exp.LikeProperty], Scope({}, None))
            self.emit(target, "create like", temporary=temporary, moves_data=False)
            if temporary:
                self._emptied(target, self._model_columns(properties[exp.LikeProperty]))
        else:
            self._stored_outside(target, verb, properties, temporary)

    def _emptied(self, table: TableName, columns: Sequence[str]) -> None:
        """A temporary table that holds nothing now."""
        empty = Relation([(name, NOTHING) for name in columns])
        self.effects.append(Effect("create", table, Temporary((), empty)))

    def _model_columns(self, like: exp.Expr) -> Sequence[str]:
        model = self.name_of(like.this) if isinstance(like.this, exp.Expr) else None
        return self._columns_of(model) if model is not None else ()

    def _created(
        self,
        target: TableName,
        verb: str,
        outputs: list[Output],
        content: Relation,
        properties: Mapping[type, exp.Expr],
        temporary: bool,
    ) -> None:
        feeds = properties.get(exp.ToTableProperty)
        filled = self.name_of(feeds.this) if feeds is not None else None
        if filled is not None:
            # ClickHouse: a materialised view that only forwards rows to another table.
            self.emit(filled, verb, outputs)
            outputs = []
        self.emit(target, verb, outputs, temporary=temporary, content=content, action="create")
        if content.closed:
            self.namer.made[target] = tuple(name for name, _ in outputs)

    def _copied(self, target: TableName, source: exp.Expr, kind: str, temporary: bool = False) -> None:
        """CLONE, COPY, SWAP, RENAME: the same columns under another name."""
        parts = table_parts(source)
        relation = self._reader.table(parts) if parts else Relation()
        outputs = list(relation.outputs)
        if not outputs and isinstance(relation, Base):
            outputs = [(name, relation.qualified(name)) for name in self.namer.columns(target)]
        self.emit(target, kind, outputs, temporary=temporary, content=relation, action="create")

    def _stored_outside(
        self, target: TableName, verb: str, properties: Mapping[type, exp.Expr], temporary: bool
    ) -> None:
        # In Hive and Spark a LOCATION is where the table keeps its own data; elsewhere it is what it reads.
        own = isinstance(self.namer.dialect, Hive)
        location = None if own else properties.get(exp.LocationProperty)
        paths = (
            [location.this.name] if location is not None and isinstance(location.this, (exp.Literal, exp.Var)) else []
        )
        for item in _generic_properties(properties):
            if item.this.name.lower() in ("uris", "location") and item.args.get("value") is not None:
                paths.extend(literal.name for literal in item.args["value"].find_all(exp.Literal))
        options = properties.get(exp.OptionsProperty) if temporary else None
        for item in options.expressions if options is not None else ():
            if item.name.lower() == "path":  # Spark: CREATE TEMPORARY VIEW v USING csv OPTIONS (path '/in')
                paths.append(item.args["value"].name)
        files = [self.namer.external(path) for path in paths]
        self._reader.reads.update(dict.fromkeys(files))
        self.emit(
            target,
            verb,
            temporary=temporary,
            moves_data=bool(paths) or temporary,
            content=Base(files[0]) if len(files) == 1 else Relation(),
            action="create",
        )

    def _insert(self, node: exp.Expr) -> None:
        env = with_env(self._reader, node, self._reader.outer_env)
        target = self.name_of(node.this)
        source = node.args.get("source")
        body = node.args.get("expression") or (source if isinstance(source, exp.Expr) else None)
        verb = "insert overwrite" if node.args.get("overwrite") else "insert"
        if body is None:
            self.emit(target, verb, moves_data=False)
            return
        relation = read_query(self._reader, body, env)
        if node.args.get("conflict") is not None:
            scan(self._reader, node.args["conflict"], Scope(env, None))
        if node.args.get("by_name"):
            outputs, content = list(relation.outputs), relation
        else:
            outputs, content = self._placed_in(node, relation, target)
            if isinstance(body, exp.Values) and outputs == list(relation.outputs):
                outputs = []  # rows of values have no names: which columns they fill is not written
        if target is not None:
            replaces = bool(node.args.get("overwrite")) and not _partition(node)
            self.emit(target, verb, outputs, content=content, action="create" if replaces else "fill")
        else:
            self.unread = "the target of an INSERT is computed at run time"

    def _placed_in(self, node: exp.Expr, relation: Relation, target: TableName | None) -> tuple[list[Output], Relation]:
        """The outputs of an INSERT's query under the columns they fill.

        Partition columns without a value come last, whatever the query calls them.
        https://cwiki.apache.org/confluence/display/Hive/DynamicPartitions
        """
        fixed, dynamic = _partition_columns(node, self.namer)
        names = _column_list(node.this, self.namer)
        if names:
            names += [name for name in dynamic if name not in names]
        elif fixed and target is not None:
            names = [name for name in self.namer.columns(target) if name.lower() not in fixed]
        outputs, content = self.placed(relation, names, None if fixed else target)
        if dynamic and relation.closed and outputs == list(relation.outputs) and len(outputs) > len(dynamic):
            tail = outputs[-len(dynamic) :]
            outputs[-len(dynamic) :] = [(name, sources) for name, (_, sources) in zip(dynamic, tail, strict=True)]
        return outputs, content

    def _multi_insert(self, node: exp.Expr) -> None:
        source = node.args.get("source")
        hive = all(isinstance(item, exp.Insert) for item in node.expressions)
        if hive and source is not None:
            self._hive_inserts(node, source)
            return
        env = with_env(self._reader, node, {})
        relation = read_query(self._reader, source, env) if source is not None else Relation()
        scope = Scope(env, None)
        scope.add("", relation)
        for item in node.expressions:
            insert = item.this if isinstance(item, exp.ConditionalInsert) else item
            condition = item.args.get("expression") if insert is not item else None
            if condition is not None:
                scan(self._reader, condition, scope)
            target = self.name_of(insert.this)
            values = insert.args.get("expression")
            chosen = relation
            if isinstance(values, exp.Values) and values.expressions:
                row = values.expressions[0]
                cells = row.expressions if isinstance(row, exp.Tuple) else [row]
                chosen = Relation([(cell.output_name, read_value(self._reader, cell, scope)) for cell in cells])
            outputs, content = self.placed(chosen, _column_list(insert.this, self.namer), target)
            self.emit(target, "insert all", outputs, content=content)

    def _hive_inserts(self, node: exp.Expr, source: exp.Expr) -> None:
        for insert in node.expressions:
            self._reader = self._new_reader()  # each INSERT has the tables of the FROM clause, and its own
            env = with_env(self._reader, node, {})
            scope = Scope(env, None)
            add_source(self._reader, source, scope)
            query = insert.args.get("expression")
            if isinstance(query, exp.Select):
                relation = read_select(self._reader, query, scope)
            else:
                relation = read_query(self._reader, query, env) if query is not None else Relation()
            target = self.name_of(insert.this)
            outputs, content = self._placed_in(insert, relation, target)
            self.emit(target, "insert", outputs, content=content)

    def _merge(self, node: exp.Expr) -> None:
        env = with_env(self._reader, node, self._reader.outer_env)
        target = self.name_of(node.this)
        if target is None:
            self.unread = "the target of a MERGE is computed at run time"
            return
        incoming = Scope(env, None)
        add_source(self._reader, node.args["using"], incoming)
        both = Scope(env, None)
        both.add_all_of(incoming)
        held = Base(target, self.namer.columns(target))
        both.add(node.this.alias or target.name, held, tuple(p.lower() for p, _ in table_parts(node.this)))
        for clause in (node.args.get("on"), *(when.args.get("condition") for when in _whens(node))):
            if clause is not None:
                scan(self._reader, clause, both)
        outputs: list[Output] = []
        for when in _whens(node):
            then = when.args.get("then")
            if isinstance(then, exp.Update):
                outputs.extend(self._assignments(then.expressions, both, incoming, target))
            elif isinstance(then, exp.Insert):
                outputs.extend(self._merged_insert(then, incoming, both, target))
        self.emit(target, "merge", outputs, content=_merged_by_name(outputs))

    def _merged_insert(self, then: exp.Expr, incoming: Scope, both: Scope, target: TableName) -> list[Output]:
        names, cells = self._insert_lists(then, both)
        if isinstance(then.this, exp.Star) or not cells or _is_row(then):
            return self._by_name(incoming, target)
        names = names or list(self._columns_of(target)) or [self._implied(cell) for cell in cells]
        return [(name, read_value(self._reader, cell, incoming)) for name, cell in zip(names, cells, strict=False)]

    def _insert_lists(self, then: exp.Expr, both: Scope) -> tuple[list[str], list[exp.Expr]]:
        """The columns and the values of a MERGE's INSERT; INSERT VALUES (…) has no columns."""
        listed = then.this.expressions if isinstance(then.this, exp.Tuple) else []
        values = then.args.get("expression")
        if len(listed) == 1 and isinstance(listed[0], exp.Anonymous) and str(listed[0].this).upper() == "VALUES":
            return [], list(listed[0].expressions)
        names = [self._column_of(item, both) for item in listed]
        if not isinstance(values, exp.Expr):
            return names, []
        return names, list(values.expressions) if isinstance(values, exp.Tuple) else [values]

    def _implied(self, cell: exp.Expr) -> str:
        return self.namer.fold(cell.output_name) if cell.output_name else ""

    def _by_name(self, incoming: Scope, target: TableName) -> list[Output]:
        """UPDATE SET *, INSERT *, INSERT ROW: every column from the source column of the same name."""
        names = self.namer.columns(target) or [name for relation in incoming.relations for name, _ in relation.outputs]
        return [(name, incoming.find(name) or NOTHING) for name in names]

    def _column_of(self, node: exp.Expr, scope: Scope) -> str:
        """The column that an assignment or a column list names: `t.a`, `a`, or the struct `a` in `a.b` and `t.a.b`."""
        path: list[exp.Expr] = []
        while isinstance(node, (exp.Dot, exp.Bracket)):
            path = [node.expression, *path] if isinstance(node, exp.Dot) else []
            node = node.this
        parts = [*(node.parts if isinstance(node, exp.Column) else [node]), *path]
        taken = len(parts) - 1
        if taken:
            found = scope.qualifier(tuple(part.name.lower() for part in parts[:-1]))
            if found is not None:
                taken = found[1]
            elif self._reader.struct_dots:
                taken = 0
        named = parts[min(taken, len(parts) - 1)]
        return self.namer.fold(named.name, bool(named.args.get("quoted")))

    def _assignments(self, items: Iterable[exp.Expr], scope: Scope, incoming: Scope, target: TableName) -> list[Output]:
        outputs: list[Output] = []
        for item in items:
            if isinstance(item, exp.Star):
                outputs.extend(self._by_name(incoming, target))
            elif isinstance(item, exp.EQ) and isinstance(item.this, (exp.Tuple, exp.Paren)):
                names = [self._column_of(name, scope) for name in (item.this.expressions or [item.this.this])]
                outputs.extend(self._tuple_assignment(names, item.expression, scope))
            elif isinstance(item, exp.EQ):
                outputs.append((self._column_of(item.this, scope), read_value(self._reader, item.expression, scope)))
        return outputs

    def _tuple_assignment(self, names: list[str], value: exp.Expr, scope: Scope) -> list[Output]:
        if isinstance(value, exp.Query):
            relation = read_query(self._reader, value, scope.env, scope)
            return [(name, output[1]) for name, output in zip(names, relation.outputs, strict=False)]
        cells = value.expressions if isinstance(value, exp.Tuple) else [value]
        return [(name, read_value(self._reader, cell, scope)) for name, cell in zip(names, cells, strict=False)]

    def _through_query(self, node: exp.Expr, scope: Scope, changed: Sequence[str]) -> TableName | None:
        """T-SQL changes a table by the name of a query over it: WITH c AS (SELECT … FROM t) DELETE FROM c.

        None when `node` names no query, or one whose changed columns are not of one table.
        """
        parts = table_parts(node)
        key = parts[0][0].lower() if len(parts) == 1 else ""
        relation = scope.relation(key) or scope.env.get(key)
        if relation is None:
            return None
        found = [relation.lookup(name) or NOTHING for name in changed] or [relation.everything]
        tables = {table for sources in found for table, _ in sources}
        if isinstance(relation, Derived) and not changed:
            tables |= {item.relation.table for item in relation.rest if isinstance(item.relation, Base)}
        return next(iter(tables)) if len(tables) == 1 else None

    def _update(self, node: exp.Expr) -> None:
        env = with_env(self._reader, node, self._reader.outer_env)
        scope = Scope(env, None)
        add_from(self._reader, node, scope)
        changed = [item.this.name for item in node.expressions if isinstance(item, exp.EQ)]
        target = self._aliased_target(node.this, scope, changed)
        if target is None:
            self.unread = "the target of an UPDATE is computed at run time"
            return
        for join in node.this.args.get("joins") or ():
            add_source(self._reader, join.this, scope)
            if join.args.get("on") is not None:
                scan(self._reader, join.args["on"], scope)
        where = node.args.get("where")
        if where is not None:
            scan(self._reader, where, scope)
        outputs = self._assignments(node.expressions, scope, scope, target)
        self._reader.reads.pop(target, None)
        self.emit(target, "update", outputs, content=_merged_by_name(outputs))

    def _aliased_target(self, node: exp.Expr, scope: Scope, changed: Sequence[str] = ()) -> TableName | None:
        """The table an UPDATE or DELETE changes, which may be given by its alias in FROM."""
        parts = table_parts(node)
        if len(parts) == 1:
            relation = scope.relation(parts[0][0].lower())
            if isinstance(relation, Base):
                return relation.table
        through = self._through_query(node, scope, changed)
        if through is not None:
            name = parts[0][0].lower()
            if name not in scope.named:
                scope.add(name, scope.env.get(name, Relation()))
            return through
        target = self.name_of(node)
        if target is not None:
            relation = Base(target, self.namer.columns(target))
            scope.add(node.alias or target.name, relation, tuple(text.lower() for text, _ in parts))
        return target

    def _delete(self, node: exp.Expr) -> None:
        env = with_env(self._reader, node, self._reader.outer_env)
        scope = Scope(env, None)
        for item in node.args.get("using") or ():
            add_source(self._reader, item, scope)
        from_ = node.this if isinstance(node.this, exp.Expr) else None
        listed = node.args.get("tables") or []
        if listed and from_ is not None:
            add_source(self._reader, from_, scope)
        elif from_ is not None:
            listed = [from_]
            for join in from_.args.get("joins") or ():
                add_source(self._reader, join.this, scope)
        targets = [self._aliased_target(item, scope) for item in listed]
        if node.args.get("where") is not None:
            scan(self._reader, node.args["where"], scope)
        for target in targets:
            if target is not None:
                self._reader.reads.pop(target, None)
        for target in targets:
            self.emit(target, "delete", content=Relation())

    def _copy(self, node: exp.Expr) -> None:
        this = node.this
        files = node.args.get("files") or []
        if node.args.get("kind"):
            target = self.name_of(this)
            relations = [self._copied_from(item) for item in files]
            outputs, content = self.placed(
                stacked(relations, False) if relations else Relation(), _column_list(this, self.namer)
            )
            if target is not None:
                self.emit(target, "copy", outputs, content=content)
            return
        relation = self._copied_from(this)
        for item in files:
            self.emit(self.name_of(item), "copy", relation.outputs)

    def _copied_from(self, item: exp.Expr) -> Relation:
        if isinstance(item, exp.Literal):
            path = self.namer.external(item.name)
            self._reader.reads[path] = None
            return Relation()
        scope = Scope({}, None)
        if isinstance(item, exp.Schema):
            item = item.this
        if isinstance(item, exp.Table) and isinstance(item.this, (exp.Var, exp.Literal)):
            self._reader.reads[self.namer.external(item.name)] = None
            return Relation()
        add_source(self._reader, item, scope)
        return scope.items[0].relation if scope.items else Relation()

    def _load(self, node: exp.Expr) -> None:
        target = self.name_of(node.this)
        path = node.args.get("inpath")
        paths = [path] if isinstance(path, exp.Expr) else []
        files = node.args.get("files")
        if isinstance(files, exp.Expr):
            paths.extend(
                literal
                for item in files.find_all(exp.Property)
                if item.this.name.lower() == "uris"
                for literal in item.find_all(exp.Literal)
            )
        for literal in paths:
            self._reader.reads[self.namer.external(literal.name)] = None
        self.emit(target, "load data")

    def _export(self, node: exp.Expr) -> None:
        relation = read_query(self._reader, node.this, {})
        options = node.args.get("options")
        for item in options.find_all(exp.Property) if isinstance(options, exp.Expr) else ():
            path = item.args.get("value")
            if item.this.name.lower() != "uri":
                continue
            if isinstance(path, exp.Literal):
                self.emit(self.namer.external(path.name), "export", relation.outputs)
            else:
                self.unread = "the target of an EXPORT is computed at run time"

    def _alter(self, node: exp.Expr) -> None:
        target = self.name_of(node.this)
        if target is None:
            return
        for action in node.args.get("actions") or ():
            if isinstance(action, exp.AlterRename):
                self._rename(node.this, target, action.this)
                return
            if isinstance(action, exp.SwapTable):
                self._swap(node.this, target, action.this)
                return
            if isinstance(action, exp.Query):
                self._reader = self._new_reader()
                relation = read_query(self._reader, action, {})
                self.emit(target, "alter view", relation.outputs)
                return
        self.emit(target, "alter", moves_data=False)

    def _rename(self, node: exp.Expr, old: TableName, to: exp.Expr) -> None:
        parts = table_parts(to)
        new = self.namer.table(parts) if parts else None
        if new is None:
            return
        if len(parts) == 1:
            # A new name without a schema stays in the old one's.
            new = TableName(old.database, old.schema, new.name, old.kind)
        temporary = old in self.temporaries
        if temporary:
            self.effects.append(Effect("rename", old, to=new))
        self._copied(new, node, "rename", temporary)

    def _swap(self, node: exp.Expr, one: TableName, other_node: exp.Expr) -> None:
        other = self.name_of(other_node)
        if other is None:
            return
        self._copied(one, other_node, "swap")
        self._reader = self._new_reader()
        self._copied(other, node, "swap")

    def _drop(self, node: exp.Expr) -> None:
        if str(node.args.get("kind") or "").upper() not in ("TABLE", "VIEW", ""):
            return
        tables = [node.this] if isinstance(node.this, exp.Expr) else []
        tables += [item for key in ("tables", "expressions") for item in node.args.get(key) or ()]
        for item in tables:
            target = self.name_of(item) if isinstance(item, exp.Table) else None
            if target is not None:
                self.emit(target, "drop", moves_data=False)
                self.effects.append(Effect("drop", target))

    def _truncate(self, node: exp.Expr) -> None:
        for item in node.expressions:
            if isinstance(item, exp.Table):
                target = self.name_of(item)
                self.emit(target, "truncate", moves_data=False)
                if target is not None and target in self.temporaries and not node.args.get("partition"):
                    self._emptied(target, self._columns_of(target))

    def _cache(self, node: exp.Expr) -> None:
        target = self.name_of(node.this)
        body = node.args.get("expression")
        if target is not None and isinstance(body, exp.Query):
            relation = read_query(self._reader, body, {})
            self.emit(target, "cache", relation.outputs, temporary=True, content=relation, action="create")

    def _command(self, node: exp.Expr) -> None:
        verb = str(node.this).upper()
        if verb != "ALTER":  # the ways to alter a table that move data are read before this
            self.unread = f"unsupported statement: {verb}"


Handler = Callable[[StatementReader, exp.Expr], None]
_HANDLERS: dict[type, Handler] = {
    exp.Create: StatementReader._create,
    exp.Insert: StatementReader._insert,
    exp.MultitableInserts: StatementReader._multi_insert,
    exp.Merge: StatementReader._merge,
    exp.Update: StatementReader._update,
    exp.Delete: StatementReader._delete,
    exp.Copy: StatementReader._copy,
    exp.LoadData: StatementReader._load,
    exp.Export: StatementReader._export,
    exp.Alter: StatementReader._alter,
    exp.Drop: StatementReader._drop,
    exp.TruncateTable: StatementReader._truncate,
    exp.Cache: StatementReader._cache,
    exp.Command: StatementReader._command,
}

# https://docs.vertica.com/latest/en/sql-reference/functions/management-functions/partition-functions/
_PARTITION_FUNCTIONS = frozenset(
    {"SWAP_PARTITIONS_BETWEEN_TABLES", "MOVE_PARTITIONS_TO_TABLE", "COPY_PARTITIONS_TO_TABLE"}
)


def _properties(node: exp.Expr) -> dict[type, exp.Expr]:
    properties = node.args.get("properties")
    listed = list(properties.expressions) if properties is not None else []
    if isinstance(node.this, exp.Schema):  # CREATE TABLE a (LIKE b)
        listed.extend(item for item in node.this.expressions if isinstance(item, exp.LikeProperty))
    found: dict[type, Any] = {}
    for item in listed:
        found.setdefault(type(item), item)
        if type(item) is exp.Property:
            found.setdefault(list, []).append(item)
    return found


def _generic_properties(properties: Mapping[type, Any]) -> list[exp.Expr]:
    return list(properties.get(list) or ())


def _column_list(node: exp.Expr | None, namer: Namer) -> list[str]:
    """The columns a target lists: INSERT INTO t (a, b), CREATE VIEW v (a, b)."""
    if not isinstance(node, exp.Schema):
        return []
    names = []
    for item in node.expressions:
        identifier = item.this if isinstance(item, (exp.ColumnDef, exp.Column)) else item
        if isinstance(identifier, exp.Identifier):
            names.append(namer.fold(identifier.name, bool(identifier.args.get("quoted"))))
    return names


def _partition(node: exp.Expr) -> exp.Expr | None:
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    partition = table.args.get("partition") if isinstance(table, exp.Table) else None
    return partition if isinstance(partition, exp.Expr) else None


def _partition_columns(node: exp.Expr, namer: Namer) -> tuple[set[str], list[str]]:
    """Hive: the partition columns an INSERT gives a value for, in lower case, and those that its query fills."""
    partition = _partition(node)
    items = partition.expressions if isinstance(partition, exp.Partition) else ()
    fixed = {item.this.name.lower() for item in items if isinstance(item, exp.EQ)}
    return fixed, [namer.fold(item.name) for item in items if isinstance(item, (exp.Column, exp.Identifier))]


def _whens(node: exp.Expr) -> Sequence[exp.Expr]:
    whens = node.args.get("whens")
    return whens.expressions if whens is not None else ()


def _is_row(then: exp.Expr) -> bool:
    return isinstance(then.this, (exp.Var, exp.Column)) and then.this.name.upper() == "ROW"


def _target_of(node: exp.Expr) -> exp.Expr | None:
    this = node.args.get("this")
    return this if isinstance(this, exp.Expr) else None


def _merged_by_name(outputs: Iterable[Output]) -> Relation:
    names: dict[str, str] = {}
    merged: dict[str, Sources] = {}
    for name, sources in outputs:
        key = name.lower()
        names.setdefault(key, name)
        merged[key] = merged.get(key, NOTHING) | sources
    return Relation([(names[key], sources) for key, sources in merged.items()])
