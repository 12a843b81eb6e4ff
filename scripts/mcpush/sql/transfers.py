"""Statements that move data between tables and files: COPY, LOAD DATA, EXPORT DATA."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from mcpush.sql.query import read_query
from mcpush.sql.relations import Relation, stacked
from mcpush.sql.scope import Scope
from mcpush.sql.sources import add_source
from mcpush.sql.statements import Handler, StatementReader, column_list


def _copy(reader: StatementReader, node: exp.Expr) -> None:
    this = node.this
    files = node.args.get("files") or []
    if node.args.get("kind"):
        target = reader.name_of(this)
        relations = [_copied_from(reader, item) for item in files]
        rows = stacked(relations, False) if relations else Relation()
        outputs, content = reader.match_columns(rows, column_list(this, reader.namer))
        if target is not None:
            reader.emit(target, "copy", outputs, content=content)
        return
    relation = _copied_from(reader, this)
    for item in files:
        reader.emit(reader.name_of(item), "copy", relation.outputs)


def _copied_from(reader: StatementReader, item: exp.Expr) -> Relation:
    """The relation that COPY reads: a file, a stage, a table or a query."""
    if isinstance(item, exp.Schema):
        item = item.this
    is_stage = isinstance(item, exp.Table) and isinstance(item.this, (exp.Var, exp.Literal))
    if is_stage or isinstance(item, exp.Literal):
        reader.queries.reads[reader.namer.external(item.name)] = None
        return Relation()
    scope = Scope({}, None)
    add_source(reader.queries, item, scope)
    return scope.items[0].relation if scope.items else Relation()


def _load(reader: StatementReader, node: exp.Expr) -> None:
    target = reader.name_of(node.this)
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
        reader.queries.reads[reader.namer.external(literal.name)] = None
    reader.emit(target, "load data")


def _export(reader: StatementReader, node: exp.Expr) -> None:
    relation = read_query(reader.queries, node.this, {})
    options = node.args.get("options")
    for item in options.find_all(exp.Property) if isinstance(options, exp.Expr) else ():
        path = item.args.get("value")
        if item.this.name.lower() != "uri":
            continue
        if isinstance(path, exp.Literal):
            reader.emit(reader.namer.external(path.name), "export", relation.outputs)
        else:
            reader.skip_reason = "the target of an EXPORT is computed at run time"


HANDLERS: Mapping[type, Handler] = {
    exp.Copy: _copy,
    exp.LoadData: _load,
    exp.Export: _export,
}
