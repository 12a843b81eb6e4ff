"""Statements that change the rows of tables: INSERT, MERGE, UPDATE, DELETE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp

from mcpush.sql.expressions import read_value, scan, table_parts
from mcpush.sql.names import Namer, TableName
from mcpush.sql.query import read_query, read_select
from mcpush.sql.relations import NOTHING, Derived, Output, Relation, Sources, TableRelation
from mcpush.sql.scope import Scope
from mcpush.sql.sources import add_from, add_source, with_env
from mcpush.sql.statements import Handler, StatementReader, column_list


def _insert(reader: StatementReader, node: exp.Expr) -> None:
    env = with_env(reader.queries, node, reader.queries.outer_env)
    target = reader.name_of(node.this)
    source = node.args.get("source")
    body = node.args.get("expression") or (source if isinstance(source, exp.Expr) else None)
    verb = "insert overwrite" if node.args.get("overwrite") else "insert"
    if body is None:
        reader.emit(target, verb, moves_data=False)
        return
    relation = read_query(reader.queries, body, env)
    if node.args.get("conflict") is not None:
        scan(reader.queries, node.args["conflict"], Scope(env, None))
    if node.args.get("by_name"):
        outputs, content = list(relation.outputs), relation
    else:
        outputs, content = _match_insert_columns(reader, node, relation, target)
        if isinstance(body, exp.Values) and outputs == list(relation.outputs):
            outputs = []  # VALUES rows have no column names, so the target columns are unknown
    if target is not None:
        replaces = bool(node.args.get("overwrite")) and not _partition(node)
        reader.emit(target, verb, outputs, content=content, action="create" if replaces else "fill")
    else:
        reader.skip_reason = "the target of an INSERT is computed at run time"


def _match_insert_columns(
    reader: StatementReader, node: exp.Expr, relation: Relation, target: TableName | None
) -> tuple[list[Output], Relation]:
    """The outputs of an INSERT's query, renamed to the target columns that they fill.

    Partition columns without a value are last, regardless of their names in the query.
    https://cwiki.apache.org/confluence/display/Hive/DynamicPartitions
    """
    fixed, dynamic = _partition_columns(node, reader.namer)
    names = column_list(node.this, reader.namer)
    if names:
        names += [name for name in dynamic if name not in names]
    elif fixed and target is not None:
        names = [name for name in reader.namer.columns(target) if name.lower() not in fixed]
    outputs, content = reader.match_columns(relation, names, None if fixed else target)
    if dynamic and relation.closed and outputs == list(relation.outputs) and len(outputs) > len(dynamic):
        tail = outputs[-len(dynamic) :]
        outputs[-len(dynamic) :] = [(name, sources) for name, (_, sources) in zip(dynamic, tail, strict=True)]
    return outputs, content


def _multi_insert(reader: StatementReader, node: exp.Expr) -> None:
    source = node.args.get("source")
    hive = all(isinstance(item, exp.Insert) for item in node.expressions)
    if hive and source is not None:
        _hive_inserts(reader, node, source)
        return
    env = with_env(reader.queries, node, {})
    relation = read_query(reader.queries, source, env) if source is not None else Relation()
    scope = Scope(env, None)
    scope.add("", relation)
    for item in node.expressions:
        insert = item.this if isinstance(item, exp.ConditionalInsert) else item
        condition = item.args.get("expression") if insert is not item else None
        if condition is not None:
            scan(reader.queries, condition, scope)
        target = reader.name_of(insert.this)
        values = insert.args.get("expression")
        chosen = relation
        if isinstance(values, exp.Values) and values.expressions:
            row = values.expressions[0]
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            chosen = Relation([(cell.output_name, read_value(reader.queries, cell, scope)) for cell in cells])
        outputs, content = reader.match_columns(chosen, column_list(insert.this, reader.namer), target)
        reader.emit(target, "insert all", outputs, content=content)


def _hive_inserts(reader: StatementReader, node: exp.Expr, source: exp.Expr) -> None:
    for insert in node.expressions:
        reader.restart()  # each INSERT reads the tables of the shared FROM clause and its own
        env = with_env(reader.queries, node, {})
        scope = Scope(env, None)
        add_source(reader.queries, source, scope)
        query = insert.args.get("expression")
        if isinstance(query, exp.Select):
            relation = read_select(reader.queries, query, scope)
        else:
            relation = read_query(reader.queries, query, env) if query is not None else Relation()
        target = reader.name_of(insert.this)
        outputs, content = _match_insert_columns(reader, insert, relation, target)
        reader.emit(target, "insert", outputs, content=content)


def _merge(reader: StatementReader, node: exp.Expr) -> None:
    env = with_env(reader.queries, node, reader.queries.outer_env)
    target = reader.name_of(node.this)
    if target is None:
        reader.skip_reason = "the target of a MERGE is computed at run time"
        return
    incoming = Scope(env, None)
    add_source(reader.queries, node.args["using"], incoming)
    both = Scope(env, None)
    both.add_all_of(incoming)
    target_relation = TableRelation(target, reader.namer.columns(target))
    both.add(node.this.alias or target.name, target_relation, tuple(p.lower() for p, _ in table_parts(node.this)))
    for clause in (node.args.get("on"), *(when.args.get("condition") for when in _whens(node))):
        if clause is not None:
            scan(reader.queries, clause, both)
    outputs: list[Output] = []
    for when in _whens(node):
        then = when.args.get("then")
        if isinstance(then, exp.Update):
            outputs.extend(_assignments(reader, then.expressions, both, incoming, target))
        elif isinstance(then, exp.Insert):
            outputs.extend(_merged_insert(reader, then, incoming, both, target))
    reader.emit(target, "merge", outputs, content=_merged_by_name(outputs))


def _merged_insert(
    reader: StatementReader, then: exp.Expr, incoming: Scope, both: Scope, target: TableName
) -> list[Output]:
    names, cells = _insert_lists(reader, then, both)
    if isinstance(then.this, exp.Star) or not cells or _is_row(then):
        return _by_name(reader, incoming, target)
    names = names or list(reader.columns_of(target)) or [_implied(reader, cell) for cell in cells]
    return [(name, read_value(reader.queries, cell, incoming)) for name, cell in zip(names, cells, strict=False)]


def _insert_lists(reader: StatementReader, then: exp.Expr, both: Scope) -> tuple[list[str], list[exp.Expr]]:
    """The column list and the values of a MERGE's INSERT. INSERT VALUES (…) has no column list."""
    listed = then.this.expressions if isinstance(then.this, exp.Tuple) else []
    values = then.args.get("expression")
    if len(listed) == 1 and isinstance(listed[0], exp.Anonymous) and str(listed[0].this).upper() == "VALUES":
        return [], list(listed[0].expressions)
    names = [_column_of(reader, item, both) for item in listed]
    if not isinstance(values, exp.Expr):
        return names, []
    return names, list(values.expressions) if isinstance(values, exp.Tuple) else [values]


def _implied(reader: StatementReader, cell: exp.Expr) -> str:
    return reader.namer.fold(cell.output_name) if cell.output_name else ""


def _by_name(reader: StatementReader, incoming: Scope, target: TableName) -> list[Output]:
    """The outputs of UPDATE SET *, INSERT * and INSERT ROW: each column from the source column of the same name."""
    names = reader.namer.columns(target) or [name for item in incoming.relations for name, _ in item.outputs]
    return [(name, incoming.find(name) or NOTHING) for name in names]


def _column_of(reader: StatementReader, node: exp.Expr, scope: Scope) -> str:
    """The column named in an assignment or a column list: `t.a`, `a`, or the struct `a` in `a.b` and `t.a.b`."""
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
        elif reader.queries.traits.struct_dots:
            taken = 0
    named = parts[min(taken, len(parts) - 1)]
    return reader.namer.fold(named.name, bool(named.args.get("quoted")))


def _assignments(
    reader: StatementReader, items: Iterable[exp.Expr], scope: Scope, incoming: Scope, target: TableName
) -> list[Output]:
    outputs: list[Output] = []
    for item in items:
        if isinstance(item, exp.Star):
            outputs.extend(_by_name(reader, incoming, target))
        elif isinstance(item, exp.EQ) and isinstance(item.this, (exp.Tuple, exp.Paren)):
            names = [_column_of(reader, name, scope) for name in (item.this.expressions or [item.this.this])]
            outputs.extend(_tuple_assignment(reader, names, item.expression, scope))
        elif isinstance(item, exp.EQ):
            outputs.append((_column_of(reader, item.this, scope), read_value(reader.queries, item.expression, scope)))
    return outputs


def _tuple_assignment(reader: StatementReader, names: list[str], value: exp.Expr, scope: Scope) -> list[Output]:
    if isinstance(value, exp.Query):
        relation = read_query(reader.queries, value, scope.env, scope)
        return [(name, output[1]) for name, output in zip(names, relation.outputs, strict=False)]
    cells = value.expressions if isinstance(value, exp.Tuple) else [value]
    return [(name, read_value(reader.queries, cell, scope)) for name, cell in zip(names, cells, strict=False)]


def _through_query(reader: StatementReader, node: exp.Expr, scope: Scope, changed: Sequence[str]) -> TableName | None:
    """The base table of a CTE or subquery that T-SQL modifies: WITH c AS (SELECT … FROM t) DELETE FROM c.

    None if `node` does not name a query, or if the changed columns are not all from one table.
    """
    parts = table_parts(node)
    key = parts[0][0].lower() if len(parts) == 1 else ""
    relation = scope.relation(key) or scope.env.get(key)
    if relation is None:
        return None
    found = [relation.lookup(name) or NOTHING for name in changed] or [relation.everything]
    tables = {table for sources in found for table, _ in sources}
    if isinstance(relation, Derived) and not changed:
        tables |= {item.relation.table for item in relation.rest if isinstance(item.relation, TableRelation)}
    return next(iter(tables)) if len(tables) == 1 else None


def _update(reader: StatementReader, node: exp.Expr) -> None:
    env = with_env(reader.queries, node, reader.queries.outer_env)
    scope = Scope(env, None)
    add_from(reader.queries, node, scope)
    changed = [item.this.name for item in node.expressions if isinstance(item, exp.EQ)]
    target = _aliased_target(reader, node.this, scope, changed)
    if target is None:
        reader.skip_reason = "the target of an UPDATE is computed at run time"
        return
    for join in node.this.args.get("joins") or ():
        add_source(reader.queries, join.this, scope)
        if join.args.get("on") is not None:
            scan(reader.queries, join.args["on"], scope)
    where = node.args.get("where")
    if where is not None:
        scan(reader.queries, where, scope)
    outputs = _assignments(reader, node.expressions, scope, scope, target)
    reader.queries.reads.pop(target, None)
    reader.emit(target, "update", outputs, content=_merged_by_name(outputs))


def _aliased_target(
    reader: StatementReader, node: exp.Expr, scope: Scope, changed: Sequence[str] = ()
) -> TableName | None:
    """The table that an UPDATE or DELETE changes. It can be given by its alias in FROM."""
    parts = table_parts(node)
    if len(parts) == 1:
        relation = scope.relation(parts[0][0].lower())
        if isinstance(relation, TableRelation):
            return relation.table
    through = _through_query(reader, node, scope, changed)
    if through is not None:
        name = parts[0][0].lower()
        if name not in scope.named:
            scope.add(name, scope.env.get(name, Relation()))
        return through
    target = reader.name_of(node)
    if target is not None:
        relation = TableRelation(target, reader.namer.columns(target))
        scope.add(node.alias or target.name, relation, tuple(text.lower() for text, _ in parts))
    return target


def _delete(reader: StatementReader, node: exp.Expr) -> None:
    env = with_env(reader.queries, node, reader.queries.outer_env)
    scope = Scope(env, None)
    for item in node.args.get("using") or ():
        add_source(reader.queries, item, scope)
    from_ = node.this if isinstance(node.this, exp.Expr) else None
    listed = node.args.get("tables") or []
    if listed and from_ is not None:
        add_source(reader.queries, from_, scope)
    elif from_ is not None:
        listed = [from_]
        for join in from_.args.get("joins") or ():
            add_source(reader.queries, join.this, scope)
    targets = [_aliased_target(reader, item, scope) for item in listed]
    if node.args.get("where") is not None:
        scan(reader.queries, node.args["where"], scope)
    for target in targets:
        if target is not None:
            reader.queries.reads.pop(target, None)
    for target in targets:
        reader.emit(target, "delete", content=Relation())


def _partition(node: exp.Expr) -> exp.Expr | None:
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    partition = table.args.get("partition") if isinstance(table, exp.Table) else None
    return partition if isinstance(partition, exp.Expr) else None


def _partition_columns(node: exp.Expr, namer: Namer) -> tuple[set[str], list[str]]:
    """Hive: the partition columns with a fixed value, in lower case, and those that the query fills."""
    partition = _partition(node)
    items = partition.expressions if isinstance(partition, exp.Partition) else ()
    fixed = {item.this.name.lower() for item in items if isinstance(item, exp.EQ)}
    return fixed, [namer.fold(item.name) for item in items if isinstance(item, (exp.Column, exp.Identifier))]


def _whens(node: exp.Expr) -> Sequence[exp.Expr]:
    whens = node.args.get("whens")
    return whens.expressions if whens is not None else ()


def _is_row(then: exp.Expr) -> bool:
    return isinstance(then.this, (exp.Var, exp.Column)) and then.this.name.upper() == "ROW"


def _merged_by_name(outputs: Iterable[Output]) -> Relation:
    names: dict[str, str] = {}
    merged: dict[str, Sources] = {}
    for name, sources in outputs:
        key = name.lower()
        names.setdefault(key, name)
        merged[key] = merged.get(key, NOTHING) | sources
    return Relation([(names[key], sources) for key, sources in merged.items()])


HANDLERS: Mapping[type, Handler] = {
    exp.Insert: _insert,
    exp.MultitableInserts: _multi_insert,
    exp.Merge: _merge,
    exp.Update: _update,
    exp.Delete: _delete,
}
