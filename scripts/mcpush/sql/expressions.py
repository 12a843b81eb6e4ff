"""Finds the base columns that an expression depends on: column references, stars, struct fields, subqueries.

Includes every column that the value depends on, also in CASE conditions and window keys. `scan` handles clauses that
only filter or order rows: it records the tables of the subqueries inside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from sqlglot import exp

from mcpush.sql.identifiers import parts_of
from mcpush.sql.names import EXTERNAL
from mcpush.sql.relations import (
    NOTHING,
    Derived,
    Output,
    Relation,
    RemainingColumns,
    Rows,
    Sources,
    TableRelation,
    stacked,
)
from mcpush.sql.scope import Reader, Scope

_LEAVES = frozenset(
    {exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Var, exp.DataType, exp.Star, exp.Placeholder}
)
# Nodes with sources beyond those of their children.
_SPECIAL = frozenset({exp.Anonymous, exp.Parameter, exp.Window})
# Functions whose first argument names a table-like object: ClickHouse dictionaries and Join tables.
_OBJECT_FUNCTIONS = ("DICTGET", "DICTHAS", "DICTISIN", "JOINGET")
# Nodes that accept a whole row rather than a column.
_ROW_CONSUMERS = (exp.Anonymous, exp.AnyValue, exp.ArrayAgg, exp.JSONArrayAgg, exp.JSONFormat, exp.Order)
# Nodes that return one or several of their input rows, and nodes that can wrap the row argument.
_ROW_PRESERVING = (
    exp.AnyValue, exp.ArgMax, exp.ArgMin, exp.ArrayAgg, exp.Bracket, exp.IgnoreNulls, exp.Limit, exp.Max, exp.Min,
    exp.Order, exp.Paren, exp.RespectNulls,
)  # fmt: skip
# Clauses that can contain queries but do not add result columns.
_FILTERS = frozenset(
    {
        "where", "having", "qualify", "group", "order", "limit", "offset", "connect", "prewhere", "windows",
        "distinct", "sort", "cluster", "distribute", "match", "start",
    }
)  # fmt: skip


def read_value(reader: Reader, node: exp.Expr, scope: Scope) -> Sources:
    """The base columns that an expression is computed from."""
    if type(node) is exp.Column:
        return _column(reader, node, (), scope)
    found: set[Sources] = set()
    _walk(reader, node, scope, found)
    if len(found) == 1:
        return next(iter(found))
    return frozenset().union(*found)


def scan(reader: Reader, node: exp.Expr, scope: Scope) -> None:
    """Reads the queries inside a clause whose columns are not part of the result."""
    _walk(reader, node, scope, None)


def scan_filters(reader: Reader, node: exp.Expr, scope: Scope) -> None:
    """Scans the clauses of a query that filter, group or order its rows."""
    for key, clause in node.args.items():
        if clause and key in _FILTERS:
            for item in clause if isinstance(clause, list) else (clause,):
                if isinstance(item, exp.Expr):
                    scan(reader, item, scope)


# -- traversal -------------------------------------------------------------------------------------------------


def _walk(reader: Reader, root: exp.Expr, scope: Scope, found: set[Sources] | None) -> None:
    """Visits an expression without recursion. Adds the sources of each column to `found` unless it is None."""
    stack = [root]
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is exp.Column:
            if found is not None:
                found.add(_column(reader, node, (), scope))
            continue
        if kind in _LEAVES:
            if kind is exp.Star and found is not None:
                found.add(_whole_rows(reader, node, node, (), scope))
            continue
        reader.count_step()
        if kind is exp.Dot:
            stack += _dotted(reader, node, scope, found)
        elif isinstance(node, exp.Query):
            relation = reader.read_query(reader, node, scope.env, scope)
            if found is not None:
                found.add(relation.everything)
        elif isinstance(node, exp.Table):
            _table_argument(reader, node, scope)
        elif kind is exp.TableFromRows and type(node.this) is exp.Column:
            named_table(reader, node.this, scope)
        else:
            if kind in _SPECIAL:
                _special(reader, node, scope, found)
            _push_children(node, stack)


def _push_children(node: exp.Expr, stack: list[exp.Expr]) -> None:
    for child in node.args.values():
        if isinstance(child, exp.Expr):
            stack.append(child)
        elif type(child) is list:
            stack.extend(item for item in child if isinstance(item, exp.Expr))


def _special(reader: Reader, node: exp.Expr, scope: Scope, found: set[Sources] | None) -> None:
    """Resolves what a function, a window or a parameter ($1) refers to by name or position."""
    if isinstance(node, exp.Anonymous):
        if str(node.this).upper().startswith(_OBJECT_FUNCTIONS) and node.expressions:
            _object_argument(reader, node.expressions[0])
    elif found is None:
        return
    elif isinstance(node, exp.Window):
        if node.args.get("alias") is not None:
            found.add(scope.windows.get(node.alias.lower(), NOTHING))
    elif isinstance(node.this, exp.Literal) and not node.this.is_string:
        found.add(_positional(int(node.this.name), scope))


def _object_argument(reader: Reader, named: exp.Expr) -> None:
    if isinstance(named, (exp.Literal, exp.Column)):
        text = named.name if isinstance(named, exp.Literal) else named.sql()
        reader.reads.setdefault(reader.namer.table(tuple((part, False) for part in text.split("."))))


def _table_argument(reader: Reader, node: exp.Table, scope: Scope) -> None:
    # A table as an argument: ML.PREDICT(…, TABLE x), x IN table.
    parts = table_parts(node)
    if parts and not (len(parts) == 1 and parts[0][0].lower() in scope.env):
        reader.table(parts)
    elif isinstance(node.this, exp.Func):
        scan(reader, node.this, scope)


def _dotted(reader: Reader, node: exp.Expr, scope: Scope, found: set[Sources] | None) -> list[exp.Expr]:
    """Adds the sources of a struct field (`column.a.b`) to `found`. Returns the nodes that still have to be visited."""
    path: list[str] = []
    remaining: list[exp.Expr] = []
    base = node
    while isinstance(base, exp.Dot):
        if isinstance(base.expression, exp.Identifier):
            path.append(base.expression.name)
        else:
            remaining.append(base.expression)
            path.clear()
        base = base.this
    if type(base) is not exp.Column:
        remaining.append(base)
    elif found is not None:
        found.add(_column(reader, base, tuple(reversed(path)), scope))
    return remaining


# -- tables in expressions -------------------------------------------------------------------------------------


def table_parts(node: exp.Expr) -> tuple[tuple[str, bool], ...]:
    """The parts of a dotted table name, and whether each was quoted; empty if the node is not a name."""
    if isinstance(node, exp.Schema):
        node = node.this
    this = node.this
    if isinstance(this, exp.DynamicIdentifier):
        text = this.this
        return parts_of(text.name) if isinstance(text, exp.Literal) else ()
    if isinstance(this, (exp.Var, exp.Literal)):
        return ((this.name, True),)
    parts = node.parts if isinstance(node, exp.Table) else [this]
    if not all(isinstance(part, (exp.Identifier, exp.Var)) and part.name for part in parts):
        return ()
    names = tuple((part.name, bool(part.args.get("quoted"))) for part in parts)
    if len(names) == 2 and node.args.get("catalog") is not None:
        return (names[0], ("", False), names[1])  # db..t
    return names


def named_table(reader: Reader, column: exp.Column, scope: Scope) -> Relation:
    """The table in TABLE(db.s.t), whose name sqlglot parses as a column."""
    parts = tuple((part.name, bool(part.args.get("quoted"))) for part in column.parts)
    if len(parts) == 1 and parts[0][0].lower() in scope.env:
        return scope.env[parts[0][0].lower()]
    return reader.table(parts) if all(text for text, _ in parts) else Rows((), NOTHING)


# -- column references -----------------------------------------------------------------------------------------


def qualifier_of(column: exp.Expr) -> tuple[str, ...]:
    """The qualifier parts of a column name, in lower case."""
    return tuple(
        part.name.lower() for part in (column.args.get(key) for key in ("catalog", "db", "table")) if part is not None
    )


def _column(reader: Reader, node: exp.Expr, path: tuple[str, ...], scope: Scope) -> Sources:
    """The base columns of a column reference, which can be correlated or access a struct field."""
    this = node.this
    args = node.args
    table = args.get("table")
    if not isinstance(this, exp.Identifier):
        if isinstance(this, exp.Parameter) and isinstance(this.this, exp.Literal) and not this.this.is_string:
            return _positional_of(node, int(this.this.name), scope)
        return _whole_rows(reader, node, this, qualifier_of(node), scope) if isinstance(this, exp.Star) else NOTHING
    name = reader.namer.fold(this.this, bool(this.args.get("quoted")))
    if table is None:
        if reader.traits.row_by_alias and not path and _is_whole_row(node, scope):
            return NOTHING
        return find_column(name, path, scope)
    parts = [part for part in (args.get("catalog"), args.get("db"), table) if part is not None]
    return _qualified(reader, [*parts, this], name, path, scope)


def find_column(name: str, path: tuple[str, ...], scope: Scope) -> Sources:
    """The sources of an unqualified column, in this scope or an outer one."""
    current: Scope | None = scope
    while current is not None:
        found = current.find(name, path)
        if found is not None:
            return found
        current = current.outer
    # A relation's alias without a column is the whole row.
    row = scope.relation(name.lower())
    return row.everything if row is not None and row.closed else NOTHING


def _qualified(reader: Reader, parts: Sequence[exp.Expr], name: str, path: tuple[str, ...], scope: Scope) -> Sources:
    qualifiers = tuple(part.name.lower() for part in parts[:-1])
    current: Scope | None = scope
    while current is not None:
        found = current.qualifier(qualifiers)
        if found is not None:
            relation, taken = found
            chain = [*(reader.fold(part) for part in parts[taken:-1]), name]
            return relation.qualified(chain[0], (*chain[1:], *path))
        for alias in current.named:
            if alias in reader.piped:
                return _qualified(reader, parts, name, path, reader.piped[alias])
        current = current.outer
    if not reader.traits.struct_dots:
        return NOTHING
    chain = [*(reader.fold(part) for part in parts[:-1]), name]
    return find_column(chain[0], (*chain[1:], *path), scope)


def _positional(position: int, scope: Scope) -> Sources:
    """The sources of `$1`: a column of a staged file, a table or a query, by position."""
    if len(scope.items) != 1:
        return NOTHING
    relation = scope.items[0].relation
    if isinstance(relation, TableRelation) and relation.table.kind == EXTERNAL:
        return relation.qualified(f"${position}")
    known = relation.known_positions if isinstance(relation, Derived) and relation.rest else len(relation.outputs)
    return relation.outputs[position - 1][1] if 0 < position <= known else NOTHING


def _positional_of(node: exp.Expr, position: int, scope: Scope) -> Sources:
    found = scope.qualifier(qualifier_of(node)) if node.args.get("table") is not None else None
    if found is None:
        return _positional(position, scope)
    inner = Scope(scope.env)
    inner.add("", found[0])
    return _positional(position, inner)


# -- rows ------------------------------------------------------------------------------------------------------


def _is_whole_row(node: exp.Expr, scope: Scope) -> bool:
    """Whether a name is the alias of a table with unknown columns: TO_JSON_STRING(t), SELECT t FROM d.x AS t.

    If the table has no alias, its name can also be the name of a column. It then counts as a row only as an argument
    of one of _ROW_CONSUMERS.
    """
    key = node.name.lower()
    current: Scope | None = scope
    while current is not None and key not in current.named:
        current = current.outer
    if current is None:
        return False
    item = current.named[key]
    if item.relation.closed:
        return False
    unaliased = any(found is item and written[-1] == key for written, found in current.tables.items())
    return not unaliased or isinstance(node.parent, _ROW_CONSUMERS)


def row_of(reader: Reader, node: exp.Expr, scope: Scope) -> Relation | None:
    """The relation that an expression is a row of; None if it is not a row.

    Examples: STRUCT(a, b AS c), ANY_VALUE(t), ARRAY_AGG(t ORDER BY x)[OFFSET(0)].
    """
    while isinstance(node, _ROW_PRESERVING):
        node = node.this
    if isinstance(node, exp.Struct):
        return Relation([_field(reader, field, scope) for field in node.expressions])
    if isinstance(node, exp.Array):
        elements = [row_of(reader, element, scope) for element in node.expressions]
        known = [element for element in elements if element is not None]
        return stacked(known, False) if known and len(known) == len(elements) else None
    if type(node) is not exp.Column or not isinstance(node.this, exp.Identifier):
        return None
    key = node.name.lower()
    for item in scope.items:
        if key in item.relation.rows:
            return item.relation.rows[key]
    is_alias = reader.traits.row_by_alias and node.args.get("table") is None and scope.find_known(node.name) is None
    return scope.relation(key) if is_alias else None


def _field(reader: Reader, field: exp.Expr, scope: Scope) -> Output:
    if isinstance(field, exp.PropertyEQ):
        return reader.fold(field.this), read_value(reader, field.expression, scope)
    value = field.this if isinstance(field, exp.Alias) else field
    return reader.namer.fold(field.alias_or_name), read_value(reader, value, scope)


# -- stars -----------------------------------------------------------------------------------------------------


def expand_star(
    reader: Reader, star: exp.Expr, scope: Scope, qualifier: tuple[str, ...] = ()
) -> tuple[list[Output], list[RemainingColumns]]:
    """Expands a star: returns the known columns, and the remaining columns of open relations."""
    replaced = {
        item.alias_or_name.lower(): read_value(reader, item.this if isinstance(item, exp.Alias) else item, scope)
        for item in star.args.get("replace") or ()
    }
    names = {
        item.this.name.lower(): reader.fold(item.args["alias"])
        for item in star.args.get("rename") or ()
        if isinstance(item, exp.Alias)
    }
    relations = star_relations(scope, qualifier)
    hidden = _hidden(star, relations)
    using = {} if qualifier else scope.using
    outputs: list[Output] = []
    rest: list[RemainingColumns] = []
    shown: set[str] = set()
    for relation in relations:
        for name, sources in relation.outputs:
            key = name.lower()
            if key in hidden or (key in using and key in shown):
                continue
            if key in using:
                sources = scope.find(name) or sources
            shown.add(key)
            outputs.append((names.get(key, name), replaced.get(key, sources)))
        if not relation.closed:
            known = {name.lower() for name, _ in relation.outputs}
            back = {new.lower(): old for old, new in names.items()}
            outputs.extend((key, sources) for key, sources in replaced.items() if key not in shown)
            rest.append(
                RemainingColumns(relation, frozenset(hidden | known | set(replaced) | (set(names) - set(back))), back)
            )
    return outputs, rest


def _hidden(star: exp.Expr, relations: Sequence[Relation]) -> set[str]:
    """The columns that EXCEPT and ILIKE exclude from a star, in lower case."""
    hidden = {item.name.lower() for item in star.args.get("except_") or ()}
    pattern = star.args.get("ilike")
    if pattern is not None:
        listed = {name.lower() for relation in relations for name, _ in relation.outputs}
        hidden |= {name for name in listed if not _is_like(name, pattern.name.lower())}
    return hidden


def _is_like(text: str, pattern: str) -> bool:
    """SQL LIKE for column names: https://docs.snowflake.com/en/sql-reference/sql/select#parameters (ILIKE)."""
    wildcards = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return fnmatchcase(text, "".join(wildcards.get(character, character) for character in pattern))


def _whole_rows(
    reader: Reader, argument: exp.Expr, star: exp.Expr, qualifier: tuple[str, ...], scope: Scope
) -> Sources:
    """The sources of a star as an argument: OBJECT_CONSTRUCT(*) depends on every column, COUNT(*) on none."""
    if isinstance(argument.parent, (exp.Count, exp.Distinct)):
        return NOTHING
    outputs, _ = expand_star(reader, star, scope, qualifier)
    return frozenset().union(*(sources for _, sources in outputs))


def star_relations(scope: Scope, qualifier: tuple[str, ...]) -> list[Relation]:
    """The relations whose columns a star expands to."""
    if not qualifier:
        return [item.relation for item in scope.items if not item.hidden]
    current: Scope | None = scope
    while current is not None:
        found = current.qualifier(qualifier)
        if found is not None and found[1] == len(qualifier):
            return _fields_of(found[0])
        held = current.relations if found is None else [found[0]]
        rows = [relation.rows[qualifier[-1]] for relation in held if qualifier[-1] in relation.rows]
        if found is not None or rows:
            return rows[:1]  # the fields of a struct; empty if they are unknown
        current = current.outer
    return []


def _fields_of(relation: Relation) -> list[Relation]:
    """The relations that `x.*` expands to. For an array element: its fields, or nothing if they are unknown."""
    if isinstance(relation, Rows) and relation.is_struct and relation.element is not None:
        return [] if relation.fields is None else [relation.fields]
    return [relation]


def star_of(reader: Reader, scope: Scope) -> Relation:
    """A relation with all columns of all relations in the scope."""
    if len(scope.items) == 1:
        return scope.items[0].relation
    outputs, rest = expand_star(reader, exp.Star(), scope)
    return Derived(outputs, rest) if rest else Relation(outputs)
