"""Reads the sources of a query: the items of FROM and JOIN, and the CTEs of a WITH clause.

Adds each table, subquery, lateral, UNNEST, VALUES, table function, join, PIVOT and UNPIVOT as a relation to the scope
of its SELECT. Reads nested queries through `Reader.read_query`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp
from sqlglot.expressions.dml import DML

from mcpush.sql.expressions import (
    find_column,
    named_table,
    read_value,
    row_of,
    scan,
    scan_filters,
    star_of,
    table_parts,
)
from mcpush.sql.relations import (
    NOTHING,
    Derived,
    Output,
    Relation,
    RemainingColumns,
    Rows,
    Sources,
    TableRelation,
    renamed,
    stacked,
)
from mcpush.sql.scope import Env, FromItem, Reader, Scope

# https://docs.snowflake.com/en/sql-reference/functions/flatten#output
FLATTEN_COLUMNS = ("SEQ", "KEY", "PATH", "INDEX", "VALUE", "THIS")
# Column names of LATERAL VIEW without AS: https://spark.apache.org/docs/latest/api/sql/#explode and #posexplode
GENERATED_COLUMNS = ("col", "pos", "key", "value")


# -- WITH ------------------------------------------------------------------------------------------------------


def with_env(reader: Reader, node: exp.Expr, env: Env) -> Env:
    """The CTEs in scope inside a node, including those of its WITH clause if it has one."""
    with_ = node.args.get("with_")
    if with_ is None:
        return env
    inner = dict(env)
    declared = bool(with_.args.get("recursive"))
    for cte in with_.expressions:
        name = cte.alias.lower()
        recursive = declared or (reader.traits.implicit_recursion and _can_be_recursive(cte.this, name))
        inner[name] = renamed(_read_cte(reader, cte, name, inner, recursive), _alias_columns(reader, cte))
    return inner


def _read_cte(reader: Reader, cte: exp.Expr, name: str, env: Env, recursive: bool) -> Relation:
    body = cte.this
    if isinstance(body, DML) and reader.change is not None:
        return reader.change(body, env)
    query = body.unnest() if isinstance(body, exp.Subquery) else body
    if recursive and isinstance(query, exp.SetOperation):
        branches = list(branches_of(query))
        base_env = with_env(reader, query, env)
        anchor = renamed(reader.read_query(reader, branches[0], base_env, None), _alias_columns(reader, cte))
        inner = {**base_env, name: anchor}
        rest = [reader.read_query(reader, branch, inner, None) for branch in branches[1:]]
        return stacked([anchor, *rest], False)
    return reader.read_query(reader, body, env, None)


def _can_be_recursive(body: exp.Expr, name: str) -> bool:
    """Whether `body` can be a recursive CTE: a set operation whose first branch does not read a table called `name`."""
    query = body.unnest() if isinstance(body, exp.Subquery) else body
    if not isinstance(query, exp.SetOperation):
        return False
    first = next(iter(branches_of(query)))
    return not any(table.name.lower() == name and not table.db for table in first.find_all(exp.Table))


def branches_of(node: exp.SetOperation) -> Iterable[exp.Expr]:
    """The operands of a chain of set operations, from left to right. Not recursive, so the chain can be long."""
    found: list[exp.Expr] = []
    current: exp.Expr = node
    while isinstance(current, exp.SetOperation) and (current is node or current.args.get("with_") is None):
        found.append(current.expression)
        current = current.this
    found.append(current)
    return reversed(found)


# -- FROM and JOIN ---------------------------------------------------------------------------------------------


def add_from(reader: Reader, node: exp.Expr, scope: Scope) -> None:
    """Add the relations of FROM, JOIN and LATERAL VIEW clauses to the scope."""
    from_ = node.args.get("from_")
    if from_ is not None:
        add_source(reader, from_.this, scope)
        for other in from_.args.get("expressions") or ():
            add_source(reader, other, scope)
    _add_joins_and_laterals(reader, node, scope)


def add_source(reader: Reader, node: exp.Expr, scope: Scope) -> None:
    """Add one item of a FROM clause, with its joins and laterals."""
    if isinstance(node, exp.Table):
        _add_table(reader, node, scope)
    elif isinstance(node, exp.Subquery):
        _add_subquery(reader, node, scope)
    elif isinstance(node, exp.Lateral):
        _add_lateral(reader, node, scope)
    elif isinstance(node, exp.Unnest):
        _add_unnest(reader, node, scope, node.alias, _alias_columns(reader, node))
    elif isinstance(node, exp.Values):
        _add_values(reader, node, scope)
    elif isinstance(node, exp.Query):
        scope.add(node.alias, reader.read_query(reader, node, scope.env, scope.outer))
        return
    elif isinstance(node, exp.TableAlias):  # sqlglot's `|> AS t`
        _add_table(reader, exp.Table(this=node.this), scope)
    elif isinstance(node, exp.Stream):
        add_source(reader, node.this, scope)
    elif isinstance(node, (exp.AtIndex, exp.Pivot)):
        _add_elements(reader, node, scope)
    else:
        _add_function(reader, node, node, scope)
    _add_joins_and_laterals(reader, node, scope)


def _add_joins_and_laterals(reader: Reader, node: exp.Expr, scope: Scope) -> None:
    add_joins(reader, node, scope)
    for lateral in node.args.get("laterals") or ():
        add_source(reader, lateral, scope)


def add_joins(reader: Reader, node: exp.Expr, scope: Scope) -> None:
    """Add the joins of a query or of an item of FROM."""
    for join in node.args.get("joins") or ():
        left = len(scope.items)
        add_source(reader, join.this, scope)
        added = scope.items[left:]
        if join.args.get("kind") in ("SEMI", "ANTI") or join.args.get("side") in ("SEMI", "ANTI"):
            for item in added:
                item.hidden = True
        for column in join.args.get("using") or ():
            scope.using.setdefault(column.name.lower(), reader.fold(column))
        if join.args.get("method") == "NATURAL":
            _join_naturally(scope, scope.items[:left], added)
        for key in ("on", "match_condition"):
            condition = join.args.get(key)
            if condition is not None:
                scan(reader, condition, scope)


def _join_naturally(scope: Scope, left: Iterable[FromItem], right: Iterable[FromItem]) -> None:
    names = {name.lower() for item in right for name, _ in item.relation.outputs}
    for item in left:
        for name, _ in item.relation.outputs:
            if name.lower() in names:
                scope.using.setdefault(name.lower(), name)


# -- tables ----------------------------------------------------------------------------------------------------


def _add_table(reader: Reader, node: exp.Table, scope: Scope) -> None:
    this = node.this
    if isinstance(this, (exp.Func, exp.DirectoryStage)) and not isinstance(this, exp.DynamicIdentifier):
        _add_function(reader, node, this, scope)
        return
    if isinstance(this, exp.SemanticView):
        scope.add(node.alias, _semantic_view(reader, this))
        return
    parts = table_parts(node)
    alias = node.alias or (parts[-1][0] if parts else "")
    relation, written = _named_relation(reader, parts, alias, scope)
    for key in ("when", "version", "changes"):
        if node.args.get(key) is not None:
            scan(reader, node.args[key], scope)
    relation = pivoted(reader, node, relation, scope)
    scope.add(_pivot_alias(node) or alias, renamed(relation, _alias_columns(reader, node)), written)


def _named_relation(
    reader: Reader, parts: tuple[tuple[str, bool], ...], alias: str, scope: Scope
) -> tuple[Relation, tuple[str, ...]]:
    """The CTE, array or table with that name, and the name that qualifies its columns."""
    if not parts:
        return Rows((), NOTHING), ()
    written = tuple(text.lower() for text, _ in parts)
    if len(parts) == 1 and written[0] in scope.env:
        return scope.env[written[0]], written
    if len(parts) > 1:
        holder = _array_holder(reader, parts, scope)
        if holder is not None:
            # BigQuery: FROM t, t.items
            return Rows([alias], holder.qualified(reader.namer.fold(*parts[1])), alias.lower()), ()
    return reader.table(parts), written


def _array_holder(reader: Reader, parts: tuple[tuple[str, bool], ...], scope: Scope) -> Relation | None:
    """The relation that an array path in FROM starts with: in this query or, with bare_arrays, in an outer one."""
    key = parts[0][0].lower()
    current: Scope | None = scope
    while current is not None and key not in current.named:
        current = current.outer if reader.traits.bare_arrays else None
    namer = reader.namer
    if current is None or (namer.schema is not None and namer.columns(namer.table(parts))):
        return None
    relation = current.named[key].relation
    return relation if not relation.closed or relation.lookup(parts[1][0]) is not None else None


def _semantic_view(reader: Reader, node: exp.SemanticView) -> Relation:
    # The columns of a semantic view are its metrics and dimensions, so it is treated as one open table.
    name = reader.namer.table(table_parts(node.this))
    reader.reads.setdefault(name)
    return TableRelation(name)


# -- subqueries and rows ---------------------------------------------------------------------------------------


def _add_subquery(reader: Reader, node: exp.Subquery, scope: Scope) -> None:
    is_group = _is_join_group(node)
    if is_group and not node.alias:
        add_source(reader, node.this, scope)
        return
    inner = Scope(with_env(reader, node, scope.env), scope.outer)
    if isinstance(node.this, exp.Query) and not is_group:
        relation = reader.read_query(reader, node.this, inner.env, scope.outer)
    else:
        add_source(reader, node.this, inner)
        relation = star_of(reader, inner)
    scan_filters(reader, node, inner)
    relation = pivoted(reader, node, relation, inner)
    scope.add(_pivot_alias(node) or node.alias, renamed(relation, _alias_columns(reader, node)))


def _is_join_group(node: exp.Expr) -> bool:
    """Whether these are parentheses around joins: FROM ((a JOIN b ON …) JOIN c ON …). Inner aliases stay visible."""
    while isinstance(node, exp.Subquery):
        inner = node.this
        if isinstance(inner, exp.Table) or (isinstance(inner, exp.Subquery) and inner.args.get("joins")):
            return True
        node = inner
        if node.alias:
            return False
    return False


def _add_lateral(reader: Reader, node: exp.Lateral, scope: Scope) -> None:
    this = node.this
    columns = _alias_columns(reader, node)
    if isinstance(this, exp.Subquery):
        scope.add(node.alias, renamed(reader.read_query(reader, this, scope.env, scope), columns))
        return
    if isinstance(this, exp.Unnest):
        columns = columns or _alias_columns(reader, this)
        _add_unnest(reader, this, scope, node.alias or this.alias, columns)
        return
    is_view = bool(node.args.get("view"))
    names = columns or (GENERATED_COLUMNS[:1] if is_view else FLATTEN_COLUMNS)
    hidden_names = frozenset((node.alias.lower(), *GENERATED_COLUMNS)) if is_view and not columns else frozenset()
    sources = _union(reader, this.iter_expressions(), scope)
    scope.add(node.alias, Rows(names, sources, hidden_names=hidden_names))


def _add_unnest(reader: Reader, node: exp.Unnest, scope: Scope, alias: str, columns: Sequence[str]) -> None:
    sources = _union(reader, node.expressions, scope)
    gives_elements = reader.traits.unnest_gives_elements
    names = columns or ([alias] if alias else [])
    element = names[0].lower() if len(names) == 1 and gives_elements else None
    fields = row_of(reader, node.expressions[0], scope) if len(node.expressions) == 1 else None
    rows = Rows(names, sources, element, is_struct=gives_elements, fields=fields)
    offset = node.args.get("offset")
    if isinstance(offset, exp.Identifier):
        rows.outputs = [*rows.outputs, (reader.fold(offset), NOTHING)]
    scope.add(alias or (names[0] if names else ""), rows)


def _add_elements(reader: Reader, node: exp.Expr, scope: Scope) -> None:
    """Redshift: FROM t, t.items AS item AT place; FROM t, UNPIVOT t.object AS value AT key.

    https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    """
    is_object = isinstance(node, exp.Pivot)
    named = node.this if is_object else node
    place = named.expression if isinstance(named, exp.AtIndex) else None
    named = named.this if place is not None else named
    alias = named.alias
    sources = read_value(reader, named.this if isinstance(named, exp.Alias) else named, scope)
    rows = Rows([reader.namer.fold(alias)], sources)
    if place is not None:  # an object key is part of the data, an array index is not
        rows.outputs = [*rows.outputs, (reader.fold(place), sources if is_object else NOTHING)]
    scope.add(alias, rows)


def _add_values(reader: Reader, node: exp.Values, scope: Scope) -> None:
    columns = _alias_columns(reader, node)
    rows: list[list[Sources]] = []
    for row in node.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        rows.append([read_value(reader, cell, scope) for cell in cells])
    width = max([len(columns), *(len(row) for row in rows)], default=0)
    outputs: list[Output] = []
    for position in range(width):
        name = columns[position] if position < len(columns) else reader.namer.fold(f"column{position + 1}")
        outputs.append((name, frozenset().union(*(row[position] for row in rows if position < len(row)))))
    scope.add(node.alias, Relation(outputs))


# -- table functions -------------------------------------------------------------------------------------------


def _add_function(reader: Reader, node: exp.Expr, call: exp.Expr, scope: Scope) -> None:
    """Add a table function. Its columns come from its arguments, its tables from queries among the arguments."""
    path = _file_argument(call)
    inner = call.this if isinstance(call, exp.TableFromRows) else call
    if isinstance(inner, exp.Literal) and inner.is_string:
        relation: Relation = reader.table(tuple((part, False) for part in inner.name.split(".")))
    elif type(inner) is exp.Column and inner is not call and isinstance(inner.this, exp.Identifier):
        relation = named_table(reader, inner, scope)
    elif path:
        external = reader.namer.external(path)
        reader.reads.setdefault(external)
        relation = TableRelation(external)
    else:
        relation = _function_rows(reader, node, inner, scope)
    scope.add(node.alias, relation)


def _file_argument(call: exp.Expr) -> str | None:
    """The path that a table function reads: read_files('s3://…'), READ_CSV('/x'), DIRECTORY(@stage)."""
    for item in call.iter_expressions():
        if isinstance(item, exp.Var) and item.name.startswith("@"):
            return item.name
        if (
            isinstance(item, exp.Literal)
            and item.is_string
            and ("://" in item.name or item.name.startswith(("/", "@")))
        ):
            return str(item.name)
    return None


def _function_rows(reader: Reader, node: exp.Expr, inner: exp.Expr, scope: Scope) -> Relation:
    arguments = _arguments(node, inner)
    passed = [relation for argument in arguments for relation in _passed_relations(reader, argument, scope)]
    columns = _alias_columns(reader, node)
    if len(passed) == 1:
        # ML.PREDICT(MODEL m, (SELECT …)), f(TABLE t): the columns keep their names.
        return renamed(passed[0], columns)
    sources = _union(reader, arguments, scope)
    if isinstance(inner, exp.Explode) and not columns:
        return Rows(FLATTEN_COLUMNS, sources)
    return Rows(columns or ([node.alias] if node.alias else ()), sources)


def _arguments(node: exp.Expr, inner: exp.Expr) -> list[exp.Expr]:
    """The arguments of a table function, without the model, which is the first argument of BigQuery ML functions."""
    schema = node.args.get("db")
    model = inner.args.get("this") if schema is not None and schema.name.upper() in ("ML", "AI") else None
    return [argument for argument in inner.iter_expressions() if argument is not model]


def _passed_relations(reader: Reader, argument: exp.Expr, scope: Scope) -> list[Relation]:
    """The relations passed as one argument of a table function."""
    passed: list[Relation] = []
    if isinstance(argument, exp.Anonymous) and str(argument.this).upper() == "TABLE":
        # https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-function-invocation: f(TABLE(t))
        passed.extend(named_table(reader, named, scope) for named in argument.expressions if type(named) is exp.Column)
        argument = argument.expressions[0] if argument.expressions else argument
    if isinstance(argument, exp.Query):
        passed.append(reader.read_query(reader, argument, scope.env, scope))
    elif isinstance(argument, exp.Table):
        held = Scope(scope.env, scope)
        _add_table(reader, argument, held)
        passed.extend(held.relations)
    return passed


# -- PIVOT and UNPIVOT -----------------------------------------------------------------------------------------


def pivoted(reader: Reader, node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    """The relation with the PIVOT and UNPIVOT clauses of `node` applied."""
    for pivot in node.args.get("pivots") or ():
        relation = _pivot(reader, pivot, relation, scope)
    return relation


def _pivot(reader: Reader, pivot: exp.Pivot, relation: Relation, scope: Scope) -> Relation:
    inner = Scope(scope.env, scope.outer)
    inner.add("", relation)
    consumed = {column.name.lower() for field in pivot.args.get("fields") or () for column in _columns(field)}
    if pivot.args.get("unpivot"):
        new = _unpivot_outputs(reader, pivot, inner)
    else:
        consumed |= {column.name.lower() for aggregate in pivot.expressions for column in _columns(aggregate)}
        new = _pivot_outputs(reader, pivot, inner)
    kept = [output for output in relation.outputs if output[0].lower() not in consumed]
    names = _alias_columns(reader, pivot)
    if relation.closed:
        return renamed(Relation(kept + new), names)
    result = Derived(kept + new, [RemainingColumns(relation, frozenset(consumed), {})])
    return _named_tail(result, names, new) if names and len(names) >= len(new) else result


def _named_tail(result: Relation, names: Sequence[str], new: Sequence[Output]) -> Relation:
    """Apply a column list to an open relation. The kept columns are unknown; the last names are the new columns."""
    count = len(names) - len(new)
    head = [(name, result.qualified(name)) for name in names[:count]]
    return Relation(head + [(name, output[1]) for name, output in zip(names[count:], new, strict=True)])


def _pivot_outputs(reader: Reader, pivot: exp.Pivot, inner: Scope) -> list[Output]:
    aggregates = [read_value(reader, aggregate, inner) for aggregate in pivot.expressions]
    fields = pivot.args.get("fields") or ()
    is_query = any(isinstance(item, exp.Query) for field in fields for item in field.args.get("expressions") or ())
    names = [] if is_query else [column.name for column in pivot.args.get("columns") or ()]
    if not names:
        # The IN list is a query, so the column names are unknown.
        for field in fields:
            scan(reader, field, inner)
        return []
    return [(name, aggregates[i % len(aggregates)] if aggregates else NOTHING) for i, name in enumerate(names)]


def _unpivot_outputs(reader: Reader, pivot: exp.Pivot, inner: Scope) -> list[Output]:
    values = [name.name for item in pivot.expressions for name in _names_of(item)]
    outputs: list[Output] = []
    for field in pivot.args.get("fields") or ():
        groups = field.expressions if isinstance(field, exp.In) else []
        for position, value in enumerate(values):
            picked = [_unpivot_source(reader, group, position, len(values), inner) for group in groups]
            outputs.append((reader.namer.fold(value), frozenset().union(*picked)))
        if isinstance(field, exp.In):
            outputs.append((reader.namer.fold(field.this.name), NOTHING))
    return outputs


def _unpivot_source(reader: Reader, group: exp.Expr, position: int, width: int, inner: Scope) -> Sources:
    columns = list(_columns(group))
    if width > 1 and position < len(columns):
        columns = [columns[position]]
    names = [reader.fold(column.this if isinstance(column, exp.Column) else column) for column in columns]
    return frozenset().union(*(find_column(name, (), inner) for name in names))


def _columns(node: exp.Expr) -> Iterable[exp.Expr]:
    if isinstance(node, exp.PivotAlias):
        node = node.this
    return (
        found
        for found in node.find_all(exp.Column, exp.Identifier)
        if isinstance(found, exp.Column) or not isinstance(found.parent, exp.Column)
    )


def _names_of(node: exp.Expr) -> Iterable[exp.Expr]:
    return node.expressions if isinstance(node, exp.Tuple) else (node,)


# -- aliases ---------------------------------------------------------------------------------------------------


def _alias_columns(reader: Reader, node: exp.Expr) -> list[str]:
    """The column list of an alias: AS x (a, b)."""
    alias = node.args.get("alias")
    if not isinstance(alias, exp.TableAlias):
        return []
    return [
        reader.fold(column.this if isinstance(column, exp.ColumnDef) else column)
        for column in alias.args.get("columns") or ()
    ]


def _pivot_alias(node: exp.Expr) -> str:
    return next((pivot.alias for pivot in node.args.get("pivots") or () if pivot.alias), "")


def _union(reader: Reader, nodes: Iterable[exp.Expr], scope: Scope) -> Sources:
    return frozenset().union(*(read_value(reader, node, scope) for node in nodes))
