"""Determines which tables a query reads, and which base columns each of its output columns comes from.

Converts a parsed query (sqlglot), in one walk, to a `Relation`, and collects the tables in `Reader.reads`. Finds tables
wherever a query can appear: FROM, joins, subqueries in any clause, unused CTEs.
"""

from __future__ import annotations

from sqlglot import exp

from mcpush.sql.expressions import (
    expand_star,
    qualifier_of,
    read_value,
    row_of,
    scan,
    scan_filters,
    star_of,
    star_relations,
)
from mcpush.sql.relations import Derived, Output, Relation, RemainingColumns, stacked
from mcpush.sql.scope import Env, LimitExceededError, Reader, Scope
from mcpush.sql.sources import add_from, add_joins, add_source, branches_of, pivoted, with_env

# More columns than any warehouse allows. Nested stars can double the columns at every level.
MAX_OUTPUTS = 50_000

# https://docs.snowflake.com/en/sql-reference/constructs/connect-by
CONNECT_COLUMNS = frozenset({"level", "connect_by_isleaf", "connect_by_iscycle"})
# https://cwiki.apache.org/confluence/display/Hive/Enhanced+Aggregation%2C+Cube%2C+Grouping+and+Rollup
GROUPING_COLUMNS = frozenset({"grouping__id"})

# Prefix of the CTEs that sqlglot generates for `|>`.
PIPE_CTE = "__tmp"


def read_query(reader: Reader, node: exp.Expr, env: Env, outer: Scope | None = None) -> Relation:
    """Read any query: SELECT, set operation or VALUES, with or without parentheses and CTEs.

    Raises LimitExceededError.
    """
    reader.check_deadline()
    env = with_env(reader, node, env)
    if isinstance(node, exp.Select):
        return read_select(reader, node, _new_scope(reader, node, env, outer))
    if isinstance(node, exp.SetOperation):
        return _set_operation(reader, node, env, outer)
    if isinstance(node, exp.Subquery):
        return _subquery(reader, node, env, outer)
    if isinstance(node, exp.Paren):
        return read_query(reader, node.this, env, outer)
    scope = Scope(env, outer)
    add_source(reader, node, scope)
    return star_of(reader, scope)


def _new_scope(reader: Reader, node: exp.Select, env: Env, outer: Scope | None) -> Scope:
    scope = Scope(env, outer, reader.traits.lateral_aliases)
    cte = node.parent
    if isinstance(cte, exp.CTE) and cte.alias.lower().startswith(PIPE_CTE):
        reader.piped[cte.alias.lower()] = scope
    return scope


def _subquery(reader: Reader, node: exp.Subquery, env: Env, outer: Scope | None) -> Relation:
    scope = Scope(env, outer)
    scan_filters(reader, node, scope)
    inner = node.this
    if isinstance(inner, (exp.Table, exp.Lateral, exp.Unnest)) or node.args.get("joins"):
        add_source(reader, inner, scope)
        add_joins(reader, node, scope)
        relation = star_of(reader, scope)
    else:
        relation = read_query(reader, inner, env, outer)
    return pivoted(reader, node, relation, scope)


def _set_operation(reader: Reader, node: exp.SetOperation, env: Env, outer: Scope | None) -> Relation:
    branches = [read_query(reader, branch, env, outer) for branch in branches_of(node)]
    scan_filters(reader, node, Scope(env, outer))
    return stacked(branches, bool(node.args.get("by_name")))


# -- SELECT ----------------------------------------------------------------------------------------------------


def read_select(reader: Reader, node: exp.Select, scope: Scope) -> Relation:
    """Read a SELECT. The scope can already contain relations (Hive: FROM t INSERT … SELECT …)."""
    add_from(reader, node, scope)
    _match_recognize(reader, node, scope)
    scope.pseudo = CONNECT_COLUMNS if node.args.get("connect") is not None else GROUPING_COLUMNS
    for window in node.args.get("windows") or ():
        scope.windows[window.name.lower()] = read_value(reader, window, scope)
    scan_filters(reader, node, scope)
    _time_windows(reader, node, scope)
    listed = _select_list(reader, node, scope)
    if node.args.get("kind") == "VALUE" and len(node.expressions) == 1:  # BigQuery: SELECT AS VALUE row
        row = row_of(reader, node.expressions[0], scope)
        if row is not None:
            return row
    return listed


def _match_recognize(reader: Reader, node: exp.Select, scope: Scope) -> None:
    """Replace the relation before MATCH_RECOGNIZE with its result: the partition columns and the measures."""
    match = node.args.get("match")
    if match is None:
        return
    measures = [item.this for item in match.args.get("measures") or ()]
    kept = [
        (_implied_name(reader, item), read_value(reader, item, scope)) for item in match.args.get("partition_by") or ()
    ]
    outputs = [
        (reader.fold(item.args["alias"]), read_value(reader, item.this, scope)) for item in measures if item.alias
    ]
    every_row = "ALL ROWS" in str(match.args.get("rows") or "").upper()
    rest = [RemainingColumns(star_of(reader, scope), frozenset(), {})] if every_row else []
    scope.clear()
    scope.add(match.alias, Derived([*kept, *outputs], rest))


def _time_windows(reader: Reader, node: exp.Select, scope: Scope) -> None:
    """Spark: GROUP BY window(ts, …) adds a column of that name, with the fields start and end.

    https://spark.apache.org/docs/latest/api/sql/#window
    """
    group = node.args.get("group")
    for item in group.expressions if group is not None and reader.traits.time_windows else ():
        if isinstance(item, exp.Anonymous) and item.name.lower() in ("window", "session_window"):
            scope.aliases[item.name.lower()] = read_value(reader, item, scope)


def _select_list(reader: Reader, node: exp.Select, scope: Scope) -> Relation:
    outputs: list[Output] = []
    rest: list[RemainingColumns] = []
    rows: dict[str, Relation] = {}
    known_positions = 0
    for item in node.expressions:
        star = item.this if type(item) is exp.Column else item
        if isinstance(star, exp.Star):
            qualifier = qualifier_of(item)
            shown, passed_on = expand_star(reader, star, scope, qualifier)
            if not rest:
                known_positions = len(outputs)
            outputs += shown
            rest += passed_on
            for relation in star_relations(scope, qualifier):
                rows.update(relation.rows)
        else:
            outputs += _projected(reader, item, scope)
            row = row_of(reader, item.this if isinstance(item, exp.Alias) else item, scope)
            if row is not None and item.alias_or_name:
                rows[item.alias_or_name.lower()] = row
        if len(outputs) > MAX_OUTPUTS:
            raise LimitExceededError(f"more than {MAX_OUTPUTS} output columns")
    excluded = node.args.get("exclude")
    if excluded:
        hidden = {item.name.lower() for item in excluded}
        outputs = [output for output in outputs if output[0].lower() not in hidden]
        rest = [RemainingColumns(item.relation, item.hidden | hidden, item.renamed) for item in rest]
    listed = Derived(outputs, rest, known_positions) if rest else Relation(outputs)
    listed.rows = rows
    return listed


def _projected(reader: Reader, item: exp.Expr, scope: Scope) -> list[Output]:
    """The output columns of an item of a SELECT list that is not a star."""
    kind = type(item)
    if kind is exp.Column:
        return [(reader.fold(item.this), read_value(reader, item, scope))]
    if kind is exp.Alias:
        name = reader.fold(item.args["alias"]) if item.args.get("alias") else ""
        sources = read_value(reader, item.this, scope)
        scope.aliases.setdefault(name.lower(), sources)
        return [(name, sources)]
    if kind is exp.Aliases:
        sources = read_value(reader, item.this, scope)
        return [(reader.fold(name), sources) for name in item.args.get("expressions") or ()]
    if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Star):
        scan(reader, item.this, scope)
        return []
    if kind is exp.QueryTransform:
        return _transformed(reader, item, scope)
    return [(_implied_name(reader, item), read_value(reader, item, scope))]


def _transformed(reader: Reader, item: exp.Expr, scope: Scope) -> list[Output]:
    """Hive TRANSFORM: a script processes the rows, so each output can come from any input."""
    sources = frozenset().union(*(read_value(reader, argument, scope) for argument in item.expressions))
    schema = item.args.get("schema")
    names = schema.expressions if schema is not None else ()
    return [(reader.fold(name.this if isinstance(name, exp.ColumnDef) else name), sources) for name in names]


def _implied_name(reader: Reader, item: exp.Expr) -> str:
    """The name of an output column without an alias; empty if it has none."""
    name = item.output_name
    if name in ("", "*"):
        return ""
    leaf = item
    while not isinstance(leaf, (exp.Identifier, exp.Column)) and isinstance(leaf.args.get("this"), exp.Expr):
        leaf = leaf.this
    if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Identifier):
        leaf = item.expression
    return reader.namer.fold(name, bool(getattr(leaf, "quoted", False) or leaf.args.get("quoted")))
