"""Statements that define tables and views: CREATE, ALTER, RENAME, SWAP, DROP, TRUNCATE, CACHE TABLE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from mcpush.sql.expressions import scan, table_parts
from mcpush.sql.names import EXTERNAL, VIEW, TableName
from mcpush.sql.query import read_query
from mcpush.sql.relations import NOTHING, Relation, TableRelation, Temporary
from mcpush.sql.scope import Scope
from mcpush.sql.sources import with_env
from mcpush.sql.statements import Effect, Handler, StatementReader, column_list

_KINDS = frozenset({"TABLE", "VIEW", "STREAMING TABLE", "MATERIALIZED VIEW", "DYNAMIC TABLE"})


@dataclass(frozen=True)
class _Creation:
    """The target of a CREATE and its properties: the first of each type, and all that have no sqlglot type."""

    target: TableName
    verb: str
    temporary: bool
    properties: Mapping[type, exp.Expr]
    generic_properties: Sequence[exp.Expr]


def _create(reader: StatementReader, node: exp.Expr) -> None:
    kind = str(node.args.get("kind") or "").upper()
    target = reader.name_of(node.this) if kind in _KINDS else None
    if target is None:
        return
    creation = _creation(node, kind, target)
    if creation.temporary:
        creation = replace(creation, target=reader.as_temporary(node.this, creation.target))
    body = node.args.get("expression")
    clone = node.args.get("clone")
    like = creation.properties.get(exp.LikeProperty)
    if isinstance(body, (exp.Query, exp.Table)):
        _create_from_query(reader, creation, body, node)
    elif clone is not None:
        _record_copy(reader, creation.target, clone.this, "clone", creation.temporary)
    elif like is not None:
        scan(reader.queries, like, Scope({}, None))
        reader.emit(creation.target, "create like", temporary=creation.temporary, moves_data=False)
        if creation.temporary:
            model = reader.name_of(like.this) if isinstance(like.this, exp.Expr) else None
            _record_empty(reader, creation.target, reader.columns_of(model) if model is not None else ())
    else:
        _stored_externally(reader, creation)


def _creation(node: exp.Expr, kind: str, target: TableName) -> _Creation:
    properties = node.args.get("properties")
    listed = list(properties.expressions) if properties is not None else []
    if isinstance(node.this, exp.Schema):  # CREATE TABLE a (LIKE b)
        listed.extend(item for item in node.this.expressions if isinstance(item, exp.LikeProperty))
    by_type: dict[type, exp.Expr] = {}
    for item in listed:
        by_type.setdefault(type(item), item)
    # https://docs.snowflake.com/en/sql-reference/sql/create-table: VOLATILE is TEMPORARY, as in Teradata.
    temporary = bool({exp.TemporaryProperty, exp.VolatileProperty} & by_type.keys()) or target.name.startswith("#")
    if kind == "VIEW" and target.kind != EXTERNAL:
        target = replace(target, kind=VIEW)
    generic = [item for item in listed if type(item) is exp.Property]
    return _Creation(target, f"create {kind.lower()}", temporary, by_type, generic)


def _create_from_query(reader: StatementReader, creation: _Creation, body: exp.Expr, node: exp.Expr) -> None:
    env = with_env(reader.queries, node, {})
    relation = read_query(reader.queries, body, env)
    outputs, content = reader.match_columns(relation, column_list(node.this, reader.namer))
    feeds = creation.properties.get(exp.ToTableProperty)
    filled = reader.name_of(feeds.this) if feeds is not None else None
    if filled is not None:
        # ClickHouse: a materialized view that only forwards rows to another table.
        reader.emit(filled, creation.verb, outputs)
        outputs = []
    reader.emit(creation.target, creation.verb, outputs, temporary=creation.temporary, content=content, action="create")
    if content.closed:
        reader.namer.created_columns[creation.target] = tuple(name for name, _ in outputs)


def _stored_externally(reader: StatementReader, creation: _Creation) -> None:
    """A table without a query: its data is in files, or is loaded later."""
    paths = _paths(creation, is_storage=reader.namer.traits.location_is_storage)
    files = [reader.namer.external(path) for path in paths]
    reader.queries.reads.update(dict.fromkeys(files))
    reader.emit(
        creation.target,
        creation.verb,
        temporary=creation.temporary,
        moves_data=bool(paths) or creation.temporary,
        content=TableRelation(files[0]) if len(files) == 1 else Relation(),
        action="create",
    )


def _paths(creation: _Creation, is_storage: bool) -> list[str]:
    """The file paths in the properties of a table."""
    paths: list[str] = []
    location = None if is_storage else creation.properties.get(exp.LocationProperty)
    if location is not None and isinstance(location.this, (exp.Literal, exp.Var)):
        paths.append(location.this.name)
    for item in creation.generic_properties:
        if item.this.name.lower() in ("uris", "location") and item.args.get("value") is not None:
            paths.extend(literal.name for literal in item.args["value"].find_all(exp.Literal))
    options = creation.properties.get(exp.OptionsProperty) if creation.temporary else None
    for item in options.expressions if options is not None else ():
        if item.name.lower() == "path":  # Spark: CREATE TEMPORARY VIEW v USING csv OPTIONS (path '/in')
            paths.append(item.args["value"].name)
    return paths


def _record_empty(reader: StatementReader, table: TableName, columns: Sequence[str]) -> None:
    """Record that a temporary table is now empty."""
    empty = Relation([(name, NOTHING) for name in columns])
    reader.effects.append(Effect("create", table, Temporary((), empty)))


def _record_copy(
    reader: StatementReader, target: TableName, source: exp.Expr, kind: str, temporary: bool = False
) -> None:
    """CLONE, COPY, SWAP, RENAME: the target has the columns of the source."""
    parts = table_parts(source)
    relation = reader.queries.table(parts) if parts else Relation()
    outputs = list(relation.outputs)
    if not outputs and isinstance(relation, TableRelation):
        outputs = [(name, relation.qualified(name)) for name in reader.namer.columns(target)]
    reader.emit(target, kind, outputs, temporary=temporary, content=relation, action="create")


def _alter(reader: StatementReader, node: exp.Expr) -> None:
    target = reader.name_of(node.this)
    if target is None:
        return
    for action in node.args.get("actions") or ():
        if isinstance(action, exp.AlterRename):
            if str(node.args.get("kind") or "").upper() == "VIEW":
                target = replace(target, kind=VIEW)
            _rename(reader, node.this, target, action.this)
            return
        if isinstance(action, exp.SwapTable):
            _swap(reader, node.this, target, action.this)
            return
        if isinstance(action, exp.Query):
            reader.restart()
            relation = read_query(reader.queries, action, {})
            reader.emit(replace(target, kind=VIEW), "alter view", relation.outputs)
            return
    reader.emit(target, "alter", moves_data=False)


def _rename(reader: StatementReader, node: exp.Expr, old: TableName, to: exp.Expr) -> None:
    parts = table_parts(to)
    new = reader.namer.table(parts) if parts else None
    if new is None:
        return
    if old.kind == VIEW:
        new = replace(new, kind=VIEW)
    if len(parts) == 1:
        # An unqualified new name stays in the schema of the old one.
        new = TableName(old.database, old.schema, new.name, old.kind)
    temporary = old in reader.temporaries
    if temporary:
        reader.effects.append(Effect("rename", old, to=new))
    _record_copy(reader, new, node, "rename", temporary)


def _swap(reader: StatementReader, node: exp.Expr, one: TableName, other_node: exp.Expr) -> None:
    other = reader.name_of(other_node)
    if other is None:
        return
    _record_copy(reader, one, other_node, "swap")
    reader.restart()
    _record_copy(reader, other, node, "swap")


def _drop(reader: StatementReader, node: exp.Expr) -> None:
    if str(node.args.get("kind") or "").upper() not in ("TABLE", "VIEW", ""):
        return
    tables = [node.this] if isinstance(node.this, exp.Expr) else []
    tables += [item for key in ("tables", "expressions") for item in node.args.get(key) or ()]
    for item in tables:
        target = reader.name_of(item) if isinstance(item, exp.Table) else None
        if target is not None:
            reader.emit(target, "drop", moves_data=False)
            reader.effects.append(Effect("drop", target))


def _truncate(reader: StatementReader, node: exp.Expr) -> None:
    for item in node.expressions:
        if isinstance(item, exp.Table):
            target = reader.name_of(item)
            reader.emit(target, "truncate", moves_data=False)
            if target is not None and target in reader.temporaries and not node.args.get("partition"):
                _record_empty(reader, target, reader.columns_of(target))


def _cache(reader: StatementReader, node: exp.Expr) -> None:
    target = reader.name_of(node.this)
    body = node.args.get("expression")
    if target is not None and isinstance(body, exp.Query):
        relation = read_query(reader.queries, body, {})
        reader.emit(target, "cache", relation.outputs, temporary=True, content=relation, action="create")


HANDLERS: Mapping[type, Handler] = {
    exp.Create: _create,
    exp.Alter: _alter,
    exp.Drop: _drop,
    exp.TruncateTable: _truncate,
    exp.Cache: _cache,
}
