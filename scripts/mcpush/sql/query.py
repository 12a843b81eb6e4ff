"""What one query reads, and which real columns each of its output columns is made of.

From a parsed query (sqlglot), in one walk, to a `Relation` and the set of tables read. Tables are found wherever a
query can stand: FROM, joins, subqueries in any clause, CTEs that nobody uses. Columns count for an output when the
value depends on them in its expression (CASE conditions and window keys too), not when they only filter rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import cast

from sqlglot import exp
from sqlglot.expressions.dml import DML

from mcpush.sql.names import EXTERNAL, Namer, TableName
from mcpush.sql.relations import (
    NOTHING,
    Base,
    Branches,
    Derived,
    Output,
    Relation,
    Rest,
    Rows,
    Sources,
    renamed,
    stacked,
)

# More columns than any warehouse allows: stars over stars double with every level.
MAX_OUTPUTS = 50_000
# How many nodes are looked at between two looks at the clock.
CLOCK_EVERY = 2048

# A later item of a SELECT list may use the alias of an earlier one in these dialects.
LATERAL_ALIASES = frozenset(
    {"Snowflake", "Redshift", "Databricks", "Spark", "Teradata", "ClickHouse", "DuckDB", "Presto", "Athena", "Trino"}
)
# A dot after a column reaches into a struct in these; elsewhere an unknown qualifier is a variable of a script.
STRUCT_DOTS = frozenset(
    {
        "Athena", "BigQuery", "ClickHouse", "Databricks", "Dialect", "DuckDB", "Hive", "Presto", "Redshift", "Spark",
        "Spark2", "Trino",
    }
)  # fmt: skip
# A subquery may read an array of the query around it by its path in these: (SELECT MAX(o.x) FROM t.orders AS o).
# https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
# https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#correlated_join
BARE_ARRAYS = frozenset({"BigQuery", "Redshift"})
# The alias of a table on its own is its row in these.
ROW_BY_ALIAS = frozenset({"BigQuery", "Postgres"})
# A CTE may read itself without the word RECURSIVE in these.
IMPLICIT_RECURSION = frozenset({"Snowflake", "TSQL", "Oracle", "Teradata", "Fabric"})

# https://docs.snowflake.com/en/sql-reference/functions/flatten#output
FLATTEN_COLUMNS = ("SEQ", "KEY", "PATH", "INDEX", "VALUE", "THIS")

# https://spark.apache.org/docs/latest/api/sql/#explode and #posexplode: what LATERAL VIEW without AS calls its columns
GENERATED_COLUMNS = ("col", "pos", "key", "value")
# https://docs.snowflake.com/en/sql-reference/constructs/connect-by
CONNECT_COLUMNS = frozenset({"level", "connect_by_isleaf", "connect_by_iscycle"})

LEAVES = (exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Var, exp.DataType, exp.Star, exp.Placeholder)
_LEAF_TYPES = frozenset(LEAVES)
# https://cwiki.apache.org/confluence/display/Hive/Enhanced+Aggregation%2C+Cube%2C+Grouping+and+Rollup
_GROUPING_COLUMNS = frozenset({"grouping__id"})
# Functions whose first argument names a table-like object: ClickHouse dictionaries and join tables.
_OBJECT_FUNCTIONS = ("DICTGET", "DICTHAS", "DICTISIN", "JOINGET")

# What sqlglot calls the CTEs that it makes of `|>`.
PIPE_CTE = "__tmp"

Env = Mapping[str, Relation]


class TooCostly(Exception):  # noqa: N818  it is a verdict about a statement, not a fault
    """The statement would take longer, or yield more columns, than any real one."""


class Scope:
    """The relations of one SELECT by alias, and the scope around it for correlated references."""

    __slots__ = (
        "aliases", "env", "hidden", "lateral_aliases", "outer", "own", "pseudo", "sources", "tables", "using",
        "windows",
    )  # fmt: skip

    def __init__(self, env: Env, outer: Scope | None, lateral_aliases: bool = False) -> None:
        self.lateral_aliases = lateral_aliases
        self.env = env
        self.outer = outer
        self.sources: dict[str, Relation] = {}
        self.tables: dict[tuple[str, ...], str] = {}  # full lower-case name -> alias
        self.using: dict[str, str] = {}  # lower-case -> the name as it is written
        self.hidden: set[str] = set()  # aliases a star does not show (semi joins)
        self.aliases: dict[str, Sources] = {}  # outputs so far, which later ones may use
        self.pseudo: frozenset[str] = frozenset()  # names that are columns of no table (LEVEL)
        self.windows: dict[str, Sources] = {}  # what the WINDOW clause's names depend on
        self.own: set[str] = set()  # names that are columns of the sources although an alias has them too

    def add(self, alias: str, relation: Relation, written: tuple[str, ...] = ()) -> None:
        key = alias.lower()
        while key in self.sources or not key:
            key += "\0"  # unnamed, or a second one of that name: reachable only by a star or unqualified
        self.sources[key] = relation
        if written:
            self.tables.setdefault(written, key)

    def closed_hits(self, name: str, path: Sequence[str]) -> list[Sources]:
        hits = []
        for relation in self.sources.values():
            if relation.closed:
                found = relation.lookup(name, path)
                if found is not None:
                    hits.append(found)
        return hits

    def find(self, name: str, path: Sequence[str] = ()) -> Sources | None:
        """The sources of an unqualified name; None when it cannot belong to this scope."""
        key = name.lower()
        if key in self.using:
            found = [relation.lookup(name, path) for relation in self.sources.values()]
            return frozenset().union(*(sources for sources in found if sources))
        hits = self.closed_hits(name, path)
        if hits:
            return hits[0]
        if key in self.pseudo:
            return NOTHING
        opened = [relation for relation in self.sources.values() if not relation.closed]
        if key in self.aliases and (not opened or (self.lateral_aliases and key not in self.own)):
            return self.aliases[key]
        explicit = [relation for relation in opened if any(key == output.lower() for output, _ in relation.outputs)]
        if len(explicit) == 1 or len(opened) == 1:
            self.own.add(key)
            return (explicit or opened)[0].lookup(name, path)
        if not opened:
            elements = [
                relation for relation in self.sources.values() if isinstance(relation, Rows) and relation.is_struct
            ]
            if len(elements) == 1:
                return elements[0].qualified(name, path)
        # Any of several unknown tables could have it: unresolved, and not the outer query's.
        return NOTHING if opened else None

    def qualifier(self, parts: tuple[str, ...]) -> tuple[Relation, int] | None:
        """The relation that leading parts of a dotted name point to, and how many parts that took."""
        count = len(parts)
        key = self.tables.get(parts) if count > 1 else None
        if key is not None:
            return self.sources[key], count
        for length in range(count, 0, -1):
            if length == 1 and parts[0] in self.sources:
                # An alias hides the table of that name: FROM b AS a JOIN a AS b.
                return self.sources[parts[0]], 1
            for written, alias in self.tables.items():
                if written[-length:] == parts[:length]:
                    return self.sources[alias], length
        return None


class Reader:
    """Reads the queries of one statement; `reads` collects the tables in the order they were met."""

    def __init__(
        self,
        namer: Namer,
        temporaries: Mapping[TableName, Temporary],
        deadline: float | None = None,
        change: Callable[[exp.Expr, Env], Relation] | None = None,
    ) -> None:
        self.namer = namer
        self.temporaries = temporaries
        self.deadline = deadline
        self.change = change  # what to do with an INSERT, UPDATE or DELETE inside a CTE
        self.reads: dict[TableName, None] = {}
        self.outer_env: Env = {}  # the CTEs around a statement that stands inside a WITH clause
        dialect = type(namer.dialect).__name__
        self.lateral_aliases = dialect in LATERAL_ALIASES
        self.implicit_recursion = dialect in IMPLICIT_RECURSION
        self.piped: dict[str, Scope] = {}  # what the CTE of a pipe operator stands for: its aliases go on
        self.struct_dots = dialect in STRUCT_DOTS
        self.bare_arrays = dialect in BARE_ARRAYS
        self.row_by_alias = dialect in ROW_BY_ALIAS
        self._steps = 0

    # -- queries ---------------------------------------------------------------------------------------------

    def query(self, node: exp.Expr, env: Env, outer: Scope | None = None) -> Relation:
        """Any query: SELECT, set operation, VALUES, parenthesised or with CTEs."""
        self._check_clock()
        env = self.with_env(node, env)
        if isinstance(node, exp.Select):
            return self._select(node, env, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, env, outer)
        if isinstance(node, exp.Subquery):
            return self._subquery(node, env, outer)
        if isinstance(node, exp.Paren):
            return self.query(node.this, env, outer)
        scope = Scope(env, outer)
        self.add_source(node, scope)
        return self._star_of(scope)

    def with_env(self, node: exp.Expr, env: Env) -> Env:
        """The CTEs in force inside a node that may have a WITH clause."""
        with_ = node.args.get("with_")
        if with_ is None:
            return env
        inner = dict(env)
        said = bool(with_.args.get("recursive"))
        for cte in with_.expressions:
            name = cte.alias.lower()
            columns = self._alias_columns(cte)
            recursive = said or (self.implicit_recursion and _reads_itself(cte.this, name))
            if name.startswith(PIPE_CTE) and isinstance(cte.this, exp.Select):
                self.piped[name] = Scope(self.with_env(cte.this, inner), None, self.lateral_aliases)
                inner[name] = self.select_in(cte.this, self.piped[name])
                continue
            inner[name] = self._cte(cte.this, name, columns, inner, recursive)
        return inner

    def _cte(self, body: exp.Expr, name: str, columns: list[str], env: Env, recursive: bool) -> Relation:
        if isinstance(body, DML) and self.change is not None:
            return renamed(self.change(body, env), columns)
        query = body.unnest() if isinstance(body, exp.Subquery) else body
        if recursive and isinstance(query, exp.SetOperation):
            branches = list(_branches(query))
            base_env = self.with_env(query, env)
            anchor = renamed(self.query(branches[0], base_env), columns)
            inner = {**base_env, name: anchor}
            rest = [self.query(branch, inner) for branch in branches[1:]]
            return renamed(stacked([anchor, *rest], False), columns)
        return renamed(self.query(body, env), columns)

    def _subquery(self, node: exp.Subquery, env: Env, outer: Scope | None) -> Relation:
        scope = Scope(env, outer)
        self._scan_modifiers(node, scope)
        inner = node.this
        if isinstance(inner, (exp.Table, exp.Lateral, exp.Unnest)) or node.args.get("joins"):
            self.add_source(inner, scope)
            self._add_joins(node, scope)
            relation = self._star_of(scope)
        else:
            relation = self.query(inner, env, outer)
        return self._pivoted(node, relation, scope)

    def _set_operation(self, node: exp.SetOperation, env: Env, outer: Scope | None) -> Relation:
        branches = [self.query(branch, env, outer) for branch in _branches(node)]
        self._scan_modifiers(node, Scope(env, outer))
        return stacked(branches, bool(node.args.get("by_name")))

    def _select(self, node: exp.Select, env: Env, outer: Scope | None) -> Relation:
        return self.select_in(node, Scope(env, outer, self.lateral_aliases))

    def select_in(self, node: exp.Select, scope: Scope) -> Relation:
        """A SELECT whose scope may already hold relations (Hive: FROM t INSERT … SELECT …)."""
        self.add_from(node, scope)
        self._match_recognize(node, scope)
        scope.pseudo = CONNECT_COLUMNS if node.args.get("connect") is not None else _GROUPING_COLUMNS
        for window in node.args.get("windows") or ():
            scope.windows[window.name.lower()] = self.value(window, scope)
        self._scan_modifiers(node, scope)
        self._time_windows(node, scope)
        outputs: list[Output] = []
        rest: list[Rest] = []
        rows: dict[str, Relation] = {}
        placed = 0
        for item in node.expressions:
            if not rest:
                placed = len(outputs)
            self._projection(item, scope, outputs, rest)
            self._note_rows(item, scope, rows)
            if len(outputs) > MAX_OUTPUTS:
                raise TooCostly(f"more than {MAX_OUTPUTS} output columns")
        excluded = node.args.get("exclude")
        if excluded:
            hidden = {item.name.lower() for item in excluded}
            outputs = [output for output in outputs if output[0].lower() not in hidden]
            rest = [Rest(item.relation, item.hidden | hidden, item.renamed) for item in rest]
        if node.args.get("kind") == "VALUE" and len(node.expressions) == 1:  # BigQuery: SELECT AS VALUE row
            row = self._row(node.expressions[0], scope)
            if row is not None:
                return row
        return (Derived(outputs, rest, placed) if rest else Relation(outputs)).holding(rows)

    def _note_rows(self, item: exp.Expr, scope: Scope, rows: dict[str, Relation]) -> None:
        if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
            for relation in self._starred(scope, _qualifier(item) if isinstance(item, exp.Column) else ()):
                rows.update(relation.rows)
            return
        row = self._row(item.this if isinstance(item, exp.Alias) else item, scope)
        if row is not None and item.alias_or_name:
            rows[item.alias_or_name.lower()] = row

    def _row(self, node: exp.Expr, scope: Scope) -> Relation | None:
        """What an expression is a row of: STRUCT(a, b AS c), ANY_VALUE(t), ARRAY_AGG(t ORDER BY x)[OFFSET(0)]."""
        while isinstance(node, _ROW_KEEPERS):
            node = node.this
        if isinstance(node, exp.Struct):
            return Relation([self._field(field, scope) for field in node.expressions])
        if isinstance(node, exp.Array):
            elements = [self._row(element, scope) for element in node.expressions]
            known = [element for element in elements if element is not None]
            return stacked(known, False) if known and len(known) == len(elements) else None
        if type(node) is not exp.Column or not isinstance(node.this, exp.Identifier):
            return None
        key = node.name.lower()
        for relation in scope.sources.values():
            if key in relation.rows:
                return relation.rows[key]
        is_alias = self.row_by_alias and node.args.get("table") is None and not scope.closed_hits(node.name, ())
        return scope.sources.get(key) if is_alias else None

    def _field(self, field: exp.Expr, scope: Scope) -> Output:
        if isinstance(field, exp.PropertyEQ):
            return self._fold(field.this), self.value(field.expression, scope)
        value = field.this if isinstance(field, exp.Alias) else field
        return self.namer.fold(field.alias_or_name), self.value(value, scope)

    def _time_windows(self, node: exp.Select, scope: Scope) -> None:
        """Spark: GROUP BY window(ts, …) makes a column of that name, with the fields start and end.

        https://spark.apache.org/docs/latest/api/sql/#window
        """
        group = node.args.get("group")
        for item in group.expressions if group is not None and self.namer.is_spark else ():
            if isinstance(item, exp.Anonymous) and item.name.lower() in ("window", "session_window"):
                scope.aliases[item.name.lower()] = self.value(item, scope)

    def add_from(self, node: exp.Expr, scope: Scope) -> None:
        """Puts the relations of FROM, JOIN and LATERAL VIEW clauses into the scope."""
        from_ = node.args.get("from_")
        if from_ is not None:
            self.add_source(from_.this, scope)
            for other in from_.args.get("expressions") or ():
                self.add_source(other, scope)
        self._add_joins(node, scope)
        for lateral in node.args.get("laterals") or ():
            self.add_source(lateral, scope)

    def _add_joins(self, node: exp.Expr, scope: Scope) -> None:
        for join in node.args.get("joins") or ():
            before = len(scope.sources)
            self.add_source(join.this, scope)
            added = list(scope.sources)[before:]
            if join.args.get("kind") in ("SEMI", "ANTI") or join.args.get("side") in ("SEMI", "ANTI"):
                scope.hidden.update(added)
            for column in join.args.get("using") or ():
                scope.using.setdefault(column.name.lower(), self._fold(column))
            if join.args.get("method") == "NATURAL":
                self._natural(scope, added)
            for key in ("on", "match_condition"):
                condition = join.args.get(key)
                if condition is not None:
                    self.scan(condition, scope)

    def _match_recognize(self, node: exp.Expr, scope: Scope) -> None:
        """MATCH_RECOGNIZE stands for the relation before it: its partition columns and what it measures."""
        match = node.args.get("match")
        if match is None:
            return
        measures = [item.this for item in match.args.get("measures") or ()]
        kept = [(self._implied_name(item), self.value(item, scope)) for item in match.args.get("partition_by") or ()]
        outputs = [(self._fold(item.args["alias"]), self.value(item.this, scope)) for item in measures if item.alias]
        every_row = "ALL ROWS" in str(match.args.get("rows") or "").upper()
        rest = [Rest(self._star_of(scope), frozenset(), {})] if every_row else []
        scope.sources.clear()
        scope.tables.clear()
        scope.add(match.alias, Derived([*kept, *outputs], rest))

    def _natural(self, scope: Scope, added: Iterable[str]) -> None:
        right = {name.lower(): name for alias in added for name, _ in scope.sources[alias].outputs}
        added = set(added)
        for alias, relation in scope.sources.items():
            if alias not in added:
                for name, _ in relation.outputs:
                    if name.lower() in right:
                        scope.using.setdefault(name.lower(), name)

    # -- the FROM clause -------------------------------------------------------------------------------------

    def add_source(self, node: exp.Expr, scope: Scope) -> None:
        """One item of a FROM clause, with the joins and laterals that hang on it."""
        if isinstance(node, exp.Table):
            self._add_table(node, scope)
        elif isinstance(node, exp.Subquery):
            self._add_subquery(node, scope)
        elif isinstance(node, exp.Lateral):
            self._add_lateral(node, scope)
        elif isinstance(node, exp.Unnest):
            self._add_unnest(node, scope)
        elif isinstance(node, exp.Values):
            self._add_values(node, scope)
        elif isinstance(node, exp.Query):
            scope.add(node.alias, self.query(node, scope.env, scope.outer))
            return
        elif isinstance(node, exp.TableAlias):  # sqlglot's `|> AS t`
            self._add_table(exp.Table(this=node.this), scope)
        elif isinstance(node, exp.Stream):
            self.add_source(node.this, scope)
        elif isinstance(node, (exp.AtIndex, exp.Pivot)):
            self._add_elements(node, scope)
        else:
            self._add_function(node, node, scope)
        self._add_joins(node, scope)
        for lateral in node.args.get("laterals") or ():
            self.add_source(lateral, scope)

    def _add_subquery(self, node: exp.Subquery, scope: Scope) -> None:
        if not node.alias and self._is_join_group(node):
            self.add_source(node.this, scope)
            return
        inner = Scope(self.with_env(node, scope.env), scope.outer)
        if isinstance(node.this, exp.Query) and not self._is_join_group(node):
            relation = self.query(node.this, inner.env, scope.outer)
        else:
            self.add_source(node.this, inner)
            relation = self._star_of(inner)
        self._scan_modifiers(node, inner)
        relation = self._pivoted(node, relation, inner)
        pivot_alias = next((pivot.alias for pivot in node.args.get("pivots") or () if pivot.alias), "")
        scope.add(pivot_alias or node.alias, renamed(relation, self._alias_columns(node)))

    @staticmethod
    def _is_join_group(node: exp.Expr) -> bool:
        """Parentheses around joins, which hide no alias inside them: FROM ((a JOIN b ON …) JOIN c ON …)."""
        while isinstance(node, exp.Subquery):
            inner = node.this
            if isinstance(inner, exp.Table) or (isinstance(inner, exp.Subquery) and inner.args.get("joins")):
                return True
            node = inner
            if node.alias:
                return False
        return False

    def _add_table(self, node: exp.Table, scope: Scope) -> None:
        this = node.this
        if isinstance(this, (exp.Func, exp.DirectoryStage)) and not isinstance(this, exp.DynamicIdentifier):
            self._add_function(node, this, scope)
            return
        if isinstance(this, exp.SemanticView):
            scope.add(node.alias, self._semantic_view(this))
            return
        parts = table_parts(node)
        alias = node.alias or (parts[-1][0] if parts else "")
        if len(parts) == 1 and parts[0][0].lower() in scope.env:
            relation = scope.env[parts[0][0].lower()]
            written: tuple[str, ...] = (parts[0][0].lower(),)
        elif len(parts) > 1 and (holder := self._array_holder(parts, scope)) is not None:
            # BigQuery: FROM t, t.items
            sources = holder.qualified(self.namer.fold(*parts[1]))
            relation, written = Rows([alias], sources, alias.lower()), ()
        elif parts:
            relation = self.table(parts)
            written = tuple(text.lower() for text, _ in parts)
        else:
            relation, written = Base(TableName(None, None, ""), ()), ()
            relation = Rows((), NOTHING)
        for key in ("when", "version", "changes"):
            if node.args.get(key) is not None:
                self.scan(node.args[key], scope)
        relation = self._pivoted(node, relation, scope)
        pivot_alias = next((pivot.alias for pivot in node.args.get("pivots") or () if pivot.alias), "")
        scope.add(pivot_alias or alias, renamed(relation, self._alias_columns(node)), written)

    def _array_holder(self, parts: tuple[tuple[str, bool], ...], scope: Scope) -> Relation | None:
        """The relation that a path in FROM starts from, in this query or, where arrays need no UNNEST, around it."""
        key = parts[0][0].lower()
        around: Scope | None = scope
        while around is not None and key not in around.sources:
            around = around.outer if self.bare_arrays else None
        if around is None or (self.namer.schema is not None and self.namer.columns(self.namer.table(parts))):
            return None
        relation = around.sources[key]
        return relation if not relation.closed or relation.lookup(parts[1][0]) is not None else None

    def table(self, parts: tuple[tuple[str, bool], ...]) -> Relation:
        """The table of that name, noted as read; a temporary table stands for what it was made from."""
        name = self.namer.table(parts)
        temporary = self.temporaries.get(self.namer.created_as(name))
        if temporary is not None:
            for source in temporary.reads:
                self.reads.setdefault(source)
            return temporary.relation
        self.reads.setdefault(name)
        return Base(name, self.namer.columns(name))

    def _semantic_view(self, node: exp.SemanticView) -> Relation:
        # What a semantic view calls metrics and dimensions are its columns: it stays one open table.
        name = self.namer.table(table_parts(node.this))
        self.reads.setdefault(name)
        return Base(name)

    def _add_lateral(self, node: exp.Lateral, scope: Scope) -> None:
        this = node.this
        columns = self._alias_columns(node)
        if isinstance(this, exp.Subquery):
            relation = self.query(this, scope.env, scope)
            scope.add(node.alias, renamed(relation, columns))
        elif isinstance(this, exp.Unnest):
            self._add_unnest(this, scope, node.alias, columns)
        else:
            is_view = bool(node.args.get("view"))
            names = columns or (list(GENERATED_COLUMNS[:1]) if is_view else list(FLATTEN_COLUMNS))
            also = frozenset((node.alias.lower(), *GENERATED_COLUMNS)) if is_view and not columns else frozenset()
            scope.add(node.alias, Rows(names, self._arguments(this, scope), also=also))

    def _add_unnest(self, node: exp.Unnest, scope: Scope, alias: str = "", columns: Sequence[str] = ()) -> None:
        sources = frozenset().union(*(self.value(item, scope) for item in node.expressions))
        names = list(columns or self._alias_columns(node))
        alias = alias or node.alias
        if not names and alias:
            names = [alias]
        element = names[0].lower() if len(names) == 1 and self.namer.is_bigquery else None
        offset = node.args.get("offset")
        fields = self._row(node.expressions[0], scope) if len(node.expressions) == 1 else None
        rows = Rows(names, sources, element, is_struct=self.namer.is_bigquery, fields=fields)
        if isinstance(offset, exp.Identifier):
            rows.outputs = [*rows.outputs, (self._fold(offset), NOTHING)]
        scope.add(alias or (names[0] if names else ""), rows)

    def _add_elements(self, node: exp.Expr, scope: Scope) -> None:
        """Redshift: FROM t, t.items AS item AT place; FROM t, UNPIVOT t.object AS value AT key.

        https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
        """
        is_object = isinstance(node, exp.Pivot)
        named = node.this if is_object else node
        place = named.expression if isinstance(named, exp.AtIndex) else None
        named = named.this if place is not None else named
        alias = named.alias
        sources = self.value(named.this if isinstance(named, exp.Alias) else named, scope)
        outputs = [(self.namer.fold(alias), sources)]
        if place is not None:  # the key of an object is part of its value, the place in an array is not
            outputs.append((self._fold(place), sources if is_object else NOTHING))
        rows = Rows((), sources)
        rows.outputs = outputs
        scope.add(alias, rows)

    def _add_values(self, node: exp.Values, scope: Scope) -> None:
        columns = self._alias_columns(node)
        rows: list[list[Sources]] = []
        for row in node.expressions:
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            rows.append([self.value(cell, scope) for cell in cells])
        width = max([len(columns), *(len(row) for row in rows)], default=0)
        outputs: list[Output] = []
        for position in range(width):
            name = columns[position] if position < len(columns) else self.namer.fold(f"column{position + 1}")
            outputs.append((name, frozenset().union(*(row[position] for row in rows if position < len(row)))))
        scope.add(node.alias, Relation(outputs))

    def _add_function(self, node: exp.Expr, call: exp.Expr, scope: Scope) -> None:
        """A table function: its columns come from its arguments, its tables from the queries among them."""
        path = _file_argument(call)
        inner = call.this if isinstance(call, exp.TableFromRows) else call
        if isinstance(inner, exp.Literal) and inner.is_string:
            relation: Relation = self.table(tuple((part, False) for part in inner.name.split(".")))
        elif type(inner) is exp.Column and inner is not call and isinstance(inner.this, exp.Identifier):
            relation = self._named_table(inner, scope)
        elif path:
            external = self.namer.external(path)
            self.reads.setdefault(external)
            relation = Base(external)
        else:
            relation = self._function_rows(node, inner, scope)
        scope.add(node.alias or "", relation)

    def _function_rows(self, node: exp.Expr, inner: exp.Expr, scope: Scope) -> Relation:
        passed = self._passed_relations(node, inner, scope)
        if len(passed) == 1:
            # ML.PREDICT(MODEL m, (SELECT …)), f(TABLE t): the rows go through under their own names.
            return renamed(passed[0], self._alias_columns(node))
        columns = self._alias_columns(node)
        if isinstance(inner, exp.Explode) and not columns:
            columns = list(FLATTEN_COLUMNS)
        values = (self.value(item, scope) for item in self._passed(node, inner))
        return Rows(columns or ([node.alias] if node.alias else ()), frozenset().union(*values))

    @staticmethod
    def _passed(node: exp.Expr, inner: exp.Expr) -> Iterable[exp.Expr]:
        """What a table function gets, without the model that BigQuery's ML functions name first."""
        schema = node.args.get("db")
        model = inner.args.get("this") if schema is not None and schema.name.upper() in ("ML", "AI") else None
        return (argument for argument in inner.iter_expressions() if argument is not model)

    def _passed_relations(self, node: exp.Expr, inner: exp.Expr, scope: Scope) -> list[Relation]:
        passed: list[Relation] = []
        for argument in self._passed(node, inner):
            if isinstance(argument, exp.Anonymous) and str(argument.this).upper() == "TABLE":
                # https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-function-invocation: f(TABLE(t))
                passed.extend(
                    self._named_table(named, scope) for named in argument.expressions if type(named) is exp.Column
                )
                argument = argument.expressions[0] if argument.expressions else argument
            if isinstance(argument, exp.Query):
                passed.append(self.query(argument, scope.env, scope))
            elif isinstance(argument, exp.Table):
                held = Scope(scope.env, scope)
                self._add_table(argument, held)
                passed.extend(held.sources.values())
        return passed

    def _arguments(self, call: exp.Expr, scope: Scope) -> Sources:
        return frozenset().union(*(self.value(item, scope) for item in call.iter_expressions()))

    # -- PIVOT -----------------------------------------------------------------------------------------------

    def _pivoted(self, node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
        for pivot in node.args.get("pivots") or ():
            relation = self._pivot(pivot, relation, scope)
        return relation

    def _pivot(self, pivot: exp.Pivot, relation: Relation, scope: Scope) -> Relation:
        inner = Scope(scope.env, scope.outer)
        inner.add("", relation)
        new = self._unpivot_outputs(pivot, inner) if pivot.args.get("unpivot") else None
        consumed = {column.name.lower() for field in pivot.args.get("fields") or () for column in _columns(field)}
        if new is None:
            consumed |= {column.name.lower() for agg in pivot.expressions for column in _columns(agg)}
            new = self._pivot_outputs(pivot, inner)
        kept = [output for output in relation.outputs if output[0].lower() not in consumed]
        rest = [] if relation.closed else [Rest(relation, frozenset(consumed), {})]
        outputs = kept + new
        result: Relation = Derived(outputs, rest) if rest else Relation(outputs)
        names = self._alias_columns(pivot)
        return renamed(result, names) if names and not rest else self._named_tail(result, names, new)

    @staticmethod
    def _named_tail(result: Relation, names: Sequence[str], new: Sequence[Output]) -> Relation:
        if not names or len(names) < len(new):
            return result
        # The columns kept are unknown, but the last names are those of the new columns.
        head = [(name, NOTHING) for name in names[: len(names) - len(new)]]
        tail = [(name, out[1]) for name, out in zip(names[len(names) - len(new) :], new, strict=True)]
        known = [(name, result.qualified(name) or sources) for name, sources in head]
        return Relation(known + tail)

    def _pivot_outputs(self, pivot: exp.Pivot, inner: Scope) -> list[Output]:
        aggregates = [self.value(agg, inner) for agg in pivot.expressions]
        fields = [item for field in pivot.args.get("fields") or () for item in field.args.get("expressions") or ()]
        is_query = any(isinstance(item, exp.Query) for item in fields)
        names = [] if is_query else [column.name for column in pivot.args.get("columns") or ()]
        if not names:
            # An IN list that is a query: what the columns are called is not written anywhere.
            for field in pivot.args.get("fields") or ():
                self.scan(field, inner)
            return []
        if pivot.args.get("value_columns_first") is None or len(aggregates) < 2:
            return [(name, aggregates[i % len(aggregates)] if aggregates else NOTHING) for i, name in enumerate(names)]
        return [(name, aggregates[i % len(aggregates)]) for i, name in enumerate(names)]

    def _unpivot_outputs(self, pivot: exp.Pivot, inner: Scope) -> list[Output]:
        values = [item.name for item in pivot.expressions for item in _names_of(item)]
        outputs: list[Output] = []
        for field in pivot.args.get("fields") or ():
            groups = field.expressions if isinstance(field, exp.In) else []
            for position, value in enumerate(values):
                picked = [self._unpivot_source(group, position, len(values), inner) for group in groups]
                outputs.append((self.namer.fold(value), frozenset().union(*picked)))
            if isinstance(field, exp.In):
                outputs.append((self.namer.fold(field.this.name), NOTHING))
        return outputs

    def _unpivot_source(self, group: exp.Expr, position: int, width: int, inner: Scope) -> Sources:
        columns = list(_columns(group))
        if width > 1 and position < len(columns):
            columns = [columns[position]]
        names = [self._fold(column.this if isinstance(column, exp.Column) else column) for column in columns]
        return frozenset().union(*(self._unqualified(name, (), inner) for name in names))

    # -- the SELECT list -------------------------------------------------------------------------------------

    def _projection(self, item: exp.Expr, scope: Scope, outputs: list[Output], rest: list[Rest]) -> None:
        kind = type(item)
        if kind is exp.Column:
            if isinstance(item.this, exp.Star):
                self._star(item.this, scope, outputs, rest, _qualifier(item))
            else:
                outputs.append((self._fold(item.this), self.value(item, scope)))
        elif kind is exp.Star:
            self._star(item, scope, outputs, rest, ())
        elif kind is exp.Alias:
            name = self._fold(item.args["alias"]) if item.args.get("alias") else ""
            sources = self.value(item.this, scope)
            outputs.append((name, sources))
            scope.aliases.setdefault(name.lower(), sources)
        elif kind is exp.Aliases:
            sources = self.value(item.this, scope)
            outputs.extend((self._fold(name), sources) for name in item.args.get("expressions") or ())
        elif isinstance(item, exp.Dot) and isinstance(item.expression, exp.Star):
            self.scan(item.this, scope)
        elif kind is exp.QueryTransform:
            # Hive: a script between; any of its outputs may come from any of its inputs.
            sources = frozenset().union(*(self.value(argument, scope) for argument in item.expressions))
            schema = item.args.get("schema")
            names = schema.expressions if schema is not None else ()
            outputs.extend(
                (self._fold(name.this if isinstance(name, exp.ColumnDef) else name), sources) for name in names
            )
        else:
            outputs.append((self._implied_name(item), self.value(item, scope)))

    def _implied_name(self, item: exp.Expr) -> str:
        name = item.output_name
        if name in ("", "*"):
            return ""
        leaf = item
        while not isinstance(leaf, (exp.Identifier, exp.Column)) and isinstance(leaf.args.get("this"), exp.Expr):
            leaf = leaf.this
        if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Identifier):
            leaf = item.expression
        return self.namer.fold(name, bool(getattr(leaf, "quoted", False) or leaf.args.get("quoted")))

    def _star(
        self, star: exp.Expr, scope: Scope, outputs: list[Output], rest: list[Rest], qualifier: tuple[str, ...]
    ) -> None:
        hidden = {item.name.lower() for item in star.args.get("except_") or ()}
        replaced = {
            item.alias_or_name.lower(): self.value(item.this if isinstance(item, exp.Alias) else item, scope)
            for item in star.args.get("replace") or ()
        }
        names = {
            item.this.name.lower(): self._fold(item.args["alias"])
            for item in star.args.get("rename") or ()
            if isinstance(item, exp.Alias)
        }
        relations = self._starred(scope, qualifier)
        pattern = star.args.get("ilike")
        if pattern is not None:
            listed = (name.lower() for relation in relations for name, _ in relation.outputs)
            hidden |= {name for name in listed if not _is_like(name, pattern.name.lower())}
        shown: set[str] = set()
        for relation in relations:
            for name, sources in relation.outputs:
                key = name.lower()
                if key in hidden or (key in scope.using and not qualifier and key in shown):
                    continue
                if key in scope.using and not qualifier:
                    sources = scope.find(name) or sources
                shown.add(key)
                outputs.append((names.get(key, name), replaced.get(key, sources)))
            if not relation.closed:
                known = {name.lower() for name, _ in relation.outputs}
                back = {new.lower(): old for old, new in names.items()}
                outputs.extend((key, sources) for key, sources in replaced.items() if key not in shown)
                covered = frozenset(hidden | known | set(replaced) | (set(names) - set(back)))
                rest.append(Rest(relation, covered, back))

    def _whole_rows(self, argument: exp.Expr, star: exp.Expr, qualifier: tuple[str, ...], scope: Scope) -> Sources:
        """A star as an argument: OBJECT_CONSTRUCT(*) depends on every column, COUNT(*) on none."""
        if isinstance(argument.parent, (exp.Count, exp.Distinct)):
            return NOTHING
        outputs: list[Output] = []
        self._star(star, scope, outputs, [], qualifier)
        return frozenset().union(*(sources for _, sources in outputs))

    def _starred(self, scope: Scope, qualifier: tuple[str, ...]) -> list[Relation]:
        if not qualifier:
            return [relation for alias, relation in scope.sources.items() if alias not in scope.hidden]
        around: Scope | None = scope
        while around is not None:
            found = around.qualifier(qualifier)
            if found is not None and found[1] == len(qualifier):
                return self._fields_of(found[0])
            held = [found[0]] if found is not None else around.sources.values()
            rows = [relation.rows[qualifier[-1]] for relation in held if qualifier[-1] in relation.rows]
            if found is not None or rows:
                return rows[:1]  # the fields of a struct: nothing when nobody knows them
            around = around.outer
        return []

    @staticmethod
    def _fields_of(relation: Relation) -> list[Relation]:
        """What `x.*` stands for: of an element of an array its fields, if anybody knows them."""
        if isinstance(relation, Rows) and relation.is_struct and relation.element is not None:
            return [] if relation.fields is None else [relation.fields]
        return [relation]

    def _star_of(self, scope: Scope) -> Relation:
        outputs: list[Output] = []
        rest: list[Rest] = []
        if len(scope.sources) == 1:
            return next(iter(scope.sources.values()))
        self._star(exp.Star(), scope, outputs, rest, ())
        return Derived(outputs, rest) if rest else Relation(outputs)

    # -- expressions -----------------------------------------------------------------------------------------

    def value(self, node: exp.Expr, scope: Scope) -> Sources:
        """The real columns an expression is computed from."""
        if type(node) is exp.Column:
            return self.column(node, (), scope)
        found: set[Sources] = set()
        self._walk(node, scope, found)
        if len(found) == 1:
            return next(iter(found))
        return frozenset().union(*found)

    def scan(self, node: exp.Expr, scope: Scope) -> None:
        """Reads the queries inside a clause whose columns are no part of the result."""
        self._walk(node, scope, None)

    def _walk(self, root: exp.Expr, scope: Scope, found: set[Sources] | None) -> None:
        stack = [root]
        while stack:
            node = stack.pop()
            kind = type(node)
            if kind in _LEAF_TYPES:
                if kind is exp.Star and found is not None:
                    found.add(self._whole_rows(node, node, (), scope))
                continue
            if kind is exp.Column:
                if found is not None:
                    found.add(self.column(cast(exp.Column, node), (), scope))
                continue
            self._count_step()
            if kind is exp.Dot:
                self._dotted(cast(exp.Dot, node), scope, found, stack)
            elif isinstance(node, exp.Query):
                relation = self.query(node, scope.env, scope)
                if found is not None:
                    found.add(relation.everything)
            elif kind is exp.Table:
                self._named_in_expression(cast(exp.Table, node), scope)
            elif kind is exp.TableFromRows and type(node.this) is exp.Column:
                self._named_table(node.this, scope)
            else:
                if found is not None or kind is exp.Anonymous:
                    self._special(node, kind, scope, found)
                _push_children(node, stack)

    def _special(self, node: exp.Expr, kind: type, scope: Scope, found: set[Sources] | None) -> None:
        if kind is exp.Parameter and found is not None:
            position = node.this
            if isinstance(position, exp.Literal) and not position.is_string:
                found.add(self._positional(int(position.name), scope))
        elif kind is exp.Window and found is not None and node.args.get("alias") is not None:
            found.add(scope.windows.get(node.alias.lower(), NOTHING))
        elif kind is exp.Anonymous and str(node.this).upper().startswith(_OBJECT_FUNCTIONS) and node.expressions:
            named = node.expressions[0]
            text = named.name if isinstance(named, exp.Literal) else named.sql()
            if isinstance(named, (exp.Literal, exp.Column)):
                self.reads.setdefault(self.namer.table(tuple((part, False) for part in text.split("."))))

    def _named_table(self, column: exp.Expr, scope: Scope) -> Relation:
        """TABLE(db.s.t), whose name the parser takes for a column's."""
        parts = tuple((part.name, bool(part.args.get("quoted"))) for part in cast(exp.Column, column).parts)
        if len(parts) == 1 and parts[0][0].lower() in scope.env:
            return scope.env[parts[0][0].lower()]
        return self.table(parts) if all(text for text, _ in parts) else Rows((), NOTHING)

    def _named_in_expression(self, node: exp.Table, scope: Scope) -> None:
        # ML.PREDICT(…, TABLE x), x IN table: a table as an argument.
        parts = table_parts(node)
        if parts and not (len(parts) == 1 and parts[0][0].lower() in scope.env):
            self.table(parts)
        elif isinstance(node.this, exp.Func):
            self._walk(node.this, scope, None)

    def _positional(self, position: int, scope: Scope) -> Sources:
        """`$1`: a column of a staged file, a table or a query, by its place."""
        if len(scope.sources) != 1:
            return NOTHING
        relation = next(iter(scope.sources.values()))
        if isinstance(relation, Base) and relation.table.kind == EXTERNAL:
            return relation.qualified(f"${position}")
        known = relation.placed if isinstance(relation, Derived) and relation.rest else len(relation.outputs)
        return relation.outputs[position - 1][1] if 0 < position <= known else NOTHING

    def _dotted(self, node: exp.Dot, scope: Scope, found: set[Sources] | None, stack: list[exp.Expr]) -> None:
        path: list[str] = []
        base: exp.Expr = node
        while isinstance(base, exp.Dot):
            if isinstance(base.expression, exp.Identifier):
                path.append(base.expression.name)
            else:
                stack.append(base.expression)
                path.clear()
            base = base.this
        if isinstance(base, exp.Column) and type(base) is exp.Column:
            if found is not None:
                found.add(self.column(base, tuple(reversed(path)), scope))
        else:
            stack.append(base)

    def column(self, node: exp.Column, path: tuple[str, ...], scope: Scope) -> Sources:
        """The real columns behind a column reference, which may be correlated or reach into a struct."""
        this = node.this
        args = node.args
        table = args.get("table")
        if not isinstance(this, exp.Identifier):
            if isinstance(this, exp.Parameter) and isinstance(this.this, exp.Literal) and not this.this.is_string:
                return self._positional_of(node, int(this.this.name), scope)
            return self._whole_rows(node, this, _qualifier(node), scope) if isinstance(this, exp.Star) else NOTHING
        name = self.namer.fold(this.this, bool(this.args.get("quoted")))
        if table is None:
            if self.row_by_alias and not path and self._is_whole_row(node, scope):
                return NOTHING
            return self._unqualified(name, path, scope)
        parts = [part for part in (args.get("catalog"), args.get("db"), table) if part is not None]
        return self._qualified([*parts, this], name, path, scope)

    def _is_whole_row(self, node: exp.Column, scope: Scope) -> bool:
        """Whether a name is the alias of a table whose columns nobody knows: TO_JSON_STRING(t), SELECT t FROM d.x AS t.

        The name of a table that has no alias may be that of a column as well, and is, when it stands on its own.
        """
        key = node.name.lower()
        around: Scope | None = scope
        while around is not None and key not in around.sources:
            around = around.outer
        if around is None or around.sources[key].closed:
            return False
        unaliased = any(alias == key == written[-1] for written, alias in around.tables.items())
        return not unaliased or isinstance(node.parent, _ROW_TAKERS)

    def _unqualified(self, name: str, path: tuple[str, ...], scope: Scope) -> Sources:
        around: Scope | None = scope
        while around is not None:
            found = around.find(name, path)
            if found is not None:
                return found
            around = around.outer
        # The alias of a relation on its own is the whole row.
        row = scope.sources.get(name.lower())
        return row.everything if row is not None and row.closed else NOTHING

    def _qualified(self, parts: Sequence[exp.Expr], name: str, path: tuple[str, ...], scope: Scope) -> Sources:
        qualifiers = tuple(part.name.lower() for part in parts[:-1])
        around: Scope | None = scope
        while around is not None:
            found = around.qualifier(qualifiers)
            if found is not None:
                relation, taken = found
                chain = [*(self._fold(part) for part in parts[taken:-1]), name]
                return relation.qualified(chain[0], (*chain[1:], *path))
            for alias in around.sources:
                if alias in self.piped:
                    return self._qualified(parts, name, path, self.piped[alias])
            around = around.outer
        if not self.struct_dots:
            return NOTHING
        chain = [*(self._fold(part) for part in parts[:-1]), name]
        return self._unqualified(chain[0], (*chain[1:], *path), scope)

    def _positional_of(self, node: exp.Column, position: int, scope: Scope) -> Sources:
        found = scope.qualifier(_qualifier(node)) if node.args.get("table") is not None else None
        if found is None:
            return self._positional(position, scope)
        inner = Scope(scope.env, None)
        inner.add("", found[0])
        return self._positional(position, inner)

    # -- small parts -----------------------------------------------------------------------------------------

    def _scan_modifiers(self, node: exp.Expr, scope: Scope) -> None:
        for key, clause in node.args.items():
            if clause and key in _FILTERS:
                for item in clause if isinstance(clause, list) else (clause,):
                    if isinstance(item, exp.Expr):
                        self.scan(item, scope)

    def _fold(self, identifier: exp.Expr) -> str:
        text = identifier.this if isinstance(identifier.this, str) else identifier.name
        return self.namer.fold(text, bool(identifier.args.get("quoted")))

    def _alias_columns(self, node: exp.Expr) -> list[str]:
        alias = node.args.get("alias")
        if not isinstance(alias, exp.TableAlias):
            return []
        return [
            self._fold(column.this if isinstance(column, exp.ColumnDef) else column)
            for column in alias.args.get("columns") or ()
        ]

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps % CLOCK_EVERY == 0:
            self._check_clock()

    def _check_clock(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TooCostly("over the time limit")


class Temporary:
    """What a temporary table holds: the real tables and columns it was filled from in this session."""

    __slots__ = ("reads", "relation")

    def __init__(self, reads: tuple[TableName, ...], relation: Relation) -> None:
        self.reads = reads
        self.relation = relation

    def merged(self, other: Temporary) -> Temporary:
        """After an INSERT into it: both, column by column."""
        reads = tuple(dict.fromkeys((*self.reads, *other.reads)))
        if not (self.relation.closed and other.relation.closed):
            branches = [
                relation for relation in (self.relation, other.relation) if relation.outputs or not relation.closed
            ]
            return Temporary(reads, Branches(branches) if branches else self.relation)
        outputs = [(name, sources | other.relation.qualified(name)) for name, sources in self.relation.outputs]
        known = {name.lower() for name, _ in outputs}
        outputs += [output for output in other.relation.outputs if output[0].lower() not in known]
        return Temporary(reads, Relation(outputs))


# What takes a whole row rather than a column.
_ROW_TAKERS = (exp.Anonymous, exp.AnyValue, exp.ArrayAgg, exp.JSONArrayAgg, exp.JSONFormat, exp.Order)
# What yields one or several of the rows that it is given, and what may stand around the row inside.
_ROW_KEEPERS = (
    exp.AnyValue, exp.ArgMax, exp.ArgMin, exp.ArrayAgg, exp.Bracket, exp.IgnoreNulls, exp.Limit, exp.Max, exp.Min,
    exp.Order, exp.Paren, exp.RespectNulls,
)  # fmt: skip

# Clauses that hold queries but no result columns.
_FILTERS = frozenset(
    {
        "where", "having", "qualify", "group", "order", "limit", "offset", "connect", "prewhere", "windows",
        "distinct", "sort", "cluster", "distribute", "match", "start",
    }
)  # fmt: skip


def table_parts(node: exp.Expr) -> tuple[tuple[str, bool], ...]:
    """The dotted parts of a table's name with whether each was quoted; empty when it is not a name."""
    if isinstance(node, exp.Schema):
        node = node.this
    this = node.this
    if isinstance(this, exp.DynamicIdentifier):
        text = this.this
        return _literal_parts(text.name) if isinstance(text, exp.Literal) else ()
    if isinstance(this, (exp.Var, exp.Literal)):
        return ((this.name, True),)
    parts = node.parts if isinstance(node, exp.Table) else [this]
    if not all(isinstance(part, (exp.Identifier, exp.Var)) and part.name for part in parts):
        return ()
    names = tuple((part.name, bool(part.args.get("quoted"))) for part in parts)
    if len(names) == 2 and node.args.get("catalog") is not None:
        return (names[0], ("", False), names[1])  # db..t
    return names


def _literal_parts(text: str) -> tuple[tuple[str, bool], ...]:
    """The parts of a name given as a string: IDENTIFIER('db."My Schema".t')."""
    parts: list[tuple[str, bool]] = []
    pieces = text.split('"')
    for position, piece in enumerate(pieces):
        if position % 2:
            parts.append((piece, True))
        else:
            parts.extend((part.strip(), False) for part in piece.split(".") if part.strip())
    return tuple(parts)


def _branches(node: exp.SetOperation) -> Iterable[exp.Expr]:
    """The operands of a chain of set operations from left to right, however long, without recursion."""
    found: list[exp.Expr] = []
    current: exp.Expr = node
    while isinstance(current, exp.SetOperation) and (current is node or current.args.get("with_") is None):
        found.append(current.expression)
        current = current.this
    found.append(current)
    return reversed(found)


def _reads_itself(body: exp.Expr, name: str) -> bool:
    """Whether a set operation reads `name` in a later branch only: in its first, that is a table of the same name."""
    query = body.unnest() if isinstance(body, exp.Subquery) else body
    if not isinstance(query, exp.SetOperation):
        return False
    first = next(iter(_branches(query)))
    return not any(table.name.lower() == name and not table.db for table in first.find_all(exp.Table))


def _columns(node: exp.Expr) -> Iterable[exp.Expr]:
    if isinstance(node, exp.PivotAlias):
        node = node.this
    return (
        found
        for found in node.find_all(exp.Column, exp.Identifier)
        if isinstance(found, exp.Column) or not isinstance(found.parent, exp.Column)
    )


def _push_children(node: exp.Expr, stack: list[exp.Expr]) -> None:
    for child in node.args.values():
        if isinstance(child, exp.Expr):
            stack.append(child)
        elif type(child) is list:
            stack.extend(item for item in child if isinstance(item, exp.Expr))


def _is_like(text: str, pattern: str) -> bool:
    """SQL's LIKE, for names: https://docs.snowflake.com/en/sql-reference/sql/select#parameters (ILIKE)."""
    shell = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return fnmatchcase(text, "".join(shell.get(character, character) for character in pattern))


def _names_of(node: exp.Expr) -> Iterable[exp.Expr]:
    return node.expressions if isinstance(node, exp.Tuple) else (node,)


def _qualifier(column: exp.Expr) -> tuple[str, ...]:
    return tuple(
        part.name.lower() for part in (column.args.get(key) for key in ("catalog", "db", "table")) if part is not None
    )


def _file_argument(call: exp.Expr) -> str | None:
    """The path a table function reads: read_files('s3://…'), READ_CSV('/x'), DIRECTORY(@stage)."""
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
