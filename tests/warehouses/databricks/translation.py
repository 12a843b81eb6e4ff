"""Translates a query of Databricks SQL to DuckDB: names of views, parameters, the clock, the order of rows.

What a name refers to, and whether it may be read, is decided by the ``Resolver``. DuckDB runs some statements that
Databricks refuses, e.g. with other implicit casts: tests/templates/databricks/test_dialect.py has Spark parse them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.warehouses.databricks.errors import not_parsed, unbound

DIALECT = "databricks"
Resolver = Callable[[Sequence[str]], str]


def translate(statement: str, parameters: Sequence[Any], resolve: Resolver, now: datetime) -> str:
    """The DuckDB statement. Raises ``Refused`` if the statement is not a single, valid query."""
    tree = _parsed(statement)
    for table in list(_tables(tree)):
        table.replace(_subquery(resolve([part.name for part in table.parts]), table))
    _bind(tree, parameters)
    for clock in list(tree.find_all(exp.CurrentTimestamp)):
        clock.replace(exp.cast(exp.Literal.string(now.isoformat()), exp.DataType.build("TIMESTAMPTZ")))
    sql = tree.sql("duckdb")
    return sql if tree.args.get("order") else f"SELECT * FROM ({sql}) AS shuffled ORDER BY random()"


def _parsed(statement: str) -> exp.Query:
    try:
        trees = [tree for tree in sqlglot.parse(statement, read=DIALECT) if tree]
    except SqlglotError as error:
        place = re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()[0]
        raise not_parsed(f"({place})") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise not_parsed(f"'{statement.split()[0]}': the local server runs single queries and documented commands only")
    return trees[0]


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """The names of views: not those of WITH clauses, nor functions."""
    common = {each.alias.lower() for each in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        is_name = isinstance(table.this, exp.Identifier)
        if is_name and not (len(table.parts) == 1 and table.name.lower() in common):
            yield table


def _subquery(sql: str, table: exp.Table) -> exp.Subquery:
    alias = exp.to_identifier(table.alias or table.name, quoted=True)
    return exp.Subquery(this=sqlglot.parse_one(sql, read="duckdb"), alias=exp.TableAlias(this=alias))


# --- parameters: https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameter-marker --------------


def _bind(tree: exp.Expr, parameters: Sequence[Any]) -> None:
    """Replace markers with the typed values that the driver sent (TSparkParameter)."""
    named = {each.name: each for each in parameters if each.name}
    in_order = iter([each for each in parameters if not each.name])
    for node in list(tree.find_all(exp.Placeholder, exp.Parameter)):
        name = node.name  # sqlglot names the marker ? itself
        given = next(in_order, None) if name == "?" else named.get(name)
        if given is None:
            raise unbound(name)
        node.replace(_value(given))


def _value(given: Any) -> exp.Expr:
    if given.arguments:
        return exp.Array(expressions=[_scalar(each.type, each.value) for each in given.arguments])
    return _scalar(given.type, given.value.stringValue if given.value else None)


def _scalar(kind: str | None, text: Any) -> exp.Expr:
    literal = exp.null() if text is None else exp.Literal.string(str(text))
    return exp.cast(literal, exp.DataType.build("STRING" if kind in (None, "VOID") else kind, dialect=DIALECT))
