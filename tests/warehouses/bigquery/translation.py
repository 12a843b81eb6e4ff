"""Translates a GoogleSQL statement to DuckDB: names of views and tables, parameters, functions, the clock.

What a name refers to, and whether it may be read, is decided by the ``Resolver``. DuckDB runs some statements that
BigQuery refuses, e.g. with other implicit casts.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.warehouses.bigquery.errors import Refused

DIALECT = "bigquery"


@dataclass(frozen=True)
class Source:
    """What a table name refers to: DuckDB SQL, its region, and the view, if it is one."""

    sql: str
    region: str
    view: str | None = None


Resolver = Callable[[Sequence[str]], Source]


@dataclass
class Translated:
    """A DuckDB statement. ``is_ordered``: whether its outermost query has ORDER BY."""

    sql: str
    values: dict[str, Any] = field(default_factory=dict)
    regions: set[str] = field(default_factory=set)
    views: list[str] = field(default_factory=list)
    is_ordered: bool = False


def translate(statement: str, parameters: Sequence[Mapping[str, Any]], resolve: Resolver, now: datetime) -> Translated:
    """Translate a query. Raises :class:`Refused` if it is not a single, valid query."""
    tree = _parsed(statement)
    found = Translated("", is_ordered=bool(tree.args.get("order")))
    for table in list(_tables(tree)):
        source = resolve([part.name for part in table.parts])
        found.regions.add(source.region)
        if source.view:
            found.views.append(source.view)
        table.replace(_subquery(source.sql, table.alias or table.name.rpartition(".")[2]))
    _bind(tree, parameters, found.values)
    _replace_functions(tree, now)
    found.sql = tree.sql("duckdb")
    return found


def _parsed(statement: str) -> exp.Query:
    try:
        trees = [tree for tree in sqlglot.parse(statement, read=DIALECT) if tree]
    except SqlglotError as error:
        raise Refused("invalidQuery", f"Syntax error: {error}") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise Refused("invalidQuery", "The local server runs single queries only")
    return trees[0]


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """The names of views and tables: not those of WITH clauses, nor functions."""
    common = {each.alias for each in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        is_name = isinstance(table.this, exp.Identifier)
        if is_name and not (len(table.parts) == 1 and table.name in common):
            yield table


def _subquery(sql: str, alias: str) -> exp.Subquery:
    inner = sqlglot.parse_one(sql, read="duckdb")
    return exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))


# --- parameters -----------------------------------------------------------------------------------------


def _bind(tree: exp.Expr, parameters: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> None:
    """Replace named parameters with typed ones of DuckDB: https://docs.cloud.google.com/bigquery/docs/parameterized-queries"""
    given = {parameter.get("name"): parameter for parameter in parameters}
    for node in list(tree.find_all(exp.Parameter, exp.Placeholder)):
        if isinstance(node, exp.Placeholder) or node.name not in given:
            raise Refused("invalidQuery", f"Query parameter '{node.name}' not found")
        kind, value = _value(given[node.name])
        values[node.name] = value
        node.replace(exp.cast(exp.Parameter(this=exp.var(node.name)), exp.DataType.build(kind, dialect=DIALECT)))


def _value(parameter: Mapping[str, Any]) -> tuple[str, Any]:
    """The GoogleSQL type and the value of a parameter. All values but arrays are text."""
    kind, value = parameter["parameterType"], parameter["parameterValue"]
    if kind["type"] == "ARRAY":
        of = kind["arrayType"]["type"]
        return f"ARRAY<{of}>", [_scalar(of, each.get("value")) for each in value.get("arrayValues", [])]
    if kind["type"] == "STRUCT":
        raise Refused("invalidQuery", "The local server has no parameters of type STRUCT")
    return kind["type"], _scalar(kind["type"], value.get("value"))


def _scalar(kind: str, value: str | None) -> Any:
    return base64.b64decode(value) if kind == "BYTES" and value is not None else value


# --- functions ------------------------------------------------------------------------------------------


def _replace_functions(tree: exp.Expr, now: datetime) -> None:
    """Replace what sqlglot translates with another meaning."""
    for clock in list(tree.find_all(exp.CurrentTimestamp)):
        clock.replace(_timestamp(exp.Literal.string(now.isoformat())))
    for json in list(tree.find_all(exp.JSONFormat)):
        json.replace(exp.Anonymous(this="to_json_string", expressions=[json.this]))
    for time in list(tree.find_all(exp.UnixToTime)):
        time.replace(_timestamp(time.copy()))
    for array in list(tree.find_all(exp.Unnest)):
        if isinstance(array.parent, exp.From) and not array.args.get("alias"):
            array.replace(_fields_as_columns(array))


def _timestamp(value: exp.Expr) -> exp.Expr:
    return exp.cast(value, exp.DataType.build("TIMESTAMPTZ"))


def _fields_as_columns(array: exp.Unnest) -> exp.Expr:
    """UNNEST of structs without an alias: their fields are columns."""
    elements = exp.Anonymous(
        this="UNNEST", expressions=[array.expressions[0], exp.Kwarg(this="max_depth", expression="2")]
    )
    return exp.select(elements).subquery()
