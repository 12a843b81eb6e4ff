"""Classifies a client's statement for the test server: session command, SHOW, or SQL with its system views resolved.

Converts Snowflake SQL to statements that the engine can run. System views resolve only if ``catalog.toml`` documents
them. Anything else, and anything denied to the session's role, "does not exist or not authorized". Needs sqlglot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from sqlglot import Expr, exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined, unused-ignore]

from tests.warehouses.snowflake import errors
from tests.warehouses.snowflake.catalog import Catalog
from tests.warehouses.snowflake.system_views import FACTS

_DATABASE_COLUMN = {"INFORMATION_SCHEMA.SCHEMATA": "CATALOG_NAME"}
_WORDS_AFTER_KIND = {"LIKE", "IN", "STARTS", "LIMIT", "HISTORY", "WITH"}

_COMPACT_OFFSET = re.compile(r"^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?([+-]\d\d):?(\d\d)$")

Name = tuple[str, ...]
"""The parts of a name, database first, in the catalog's case."""


@dataclass
class Context:
    """The context of a statement: the session's defaults and the objects hidden from its role."""

    catalog: Catalog
    database: str | None
    schema: str | None
    warehouse: str | None
    denied: set[Name] = field(default_factory=set)
    database_exists: Callable[[str], bool] = lambda _name: True
    values: dict[type[Expr], str | None] = field(default_factory=dict)
    clock_ahead: timedelta = timedelta(0)


@dataclass(frozen=True)
class AlterSession:
    """``ALTER SESSION SET`` (values as text) or ``UNSET`` (None)."""

    parameters: dict[str, str | None]


@dataclass(frozen=True)
class Use:
    """``USE DATABASE|SCHEMA|ROLE|WAREHOUSE|SECONDARY ROLES``."""

    kind: str
    name: Name


@dataclass(frozen=True)
class Show:
    """A SHOW command as a query on the facts, in DuckDB's SQL, to run unchanged."""

    command: str
    sql: str
    limited: bool


@dataclass(frozen=True)
class Change:
    """DDL or DML, passed to the engine unchanged."""

    text: str


@dataclass(frozen=True)
class Query:
    """A query for the engine, still in Snowflake's SQL, with its system views replaced by the facts."""

    expression: Expr
    reads_information_schema: bool


Statement = AlterSession | Use | Show | Change | Query


def tokens_of(text: str) -> list[Token]:
    """Snowflake's tokens, without a trailing semicolon."""
    tokens = Snowflake().tokenize(text)
    return tokens[:-1] if tokens and tokens[-1].token_type is TokenType.SEMICOLON else tokens


def parse_name(text: str) -> Name:
    """The parts of a dotted name. Unquoted parts are converted to uppercase, as in Snowflake."""
    return tuple(
        token.text if token.token_type is TokenType.IDENTIFIER else token.text.upper()
        for token in tokens_of(text)
        if token.token_type is not TokenType.DOT
    )


def read(text: str, context: Context) -> Statement:
    """Parse one statement. Raises :class:`errors.StatementError` where the service would refuse it."""
    tokens = tokens_of(text)
    words = [token.text.upper() for token in tokens[:2]]
    if words == ["ALTER", "SESSION"]:
        return _alter_session(tokens[2:])
    if words[:1] == ["SHOW"]:
        return _show(tokens[1:], context)
    try:
        expression = Snowflake().parse(text)[0]
    except SqlglotError as error:
        raise errors.unsupported(str(error).splitlines()[0]) from None
    if expression is None:
        raise errors.unsupported("empty statement")
    if isinstance(expression, exp.Use):
        target = expression.this
        parts = [target] if isinstance(target, exp.Var) else target.parts
        return Use(str(expression.args.get("kind") or "DATABASE").upper(), tuple(_folded(p) for p in parts))
    if not isinstance(expression, exp.Query):
        return Change(text)
    return _query(expression, context)


def _alter_session(tokens: list[Token]) -> AlterSession:
    """``SET a = 'x' b = 1`` or ``UNSET a, b``."""
    verb, *rest = tokens
    if verb.text.upper() == "UNSET":
        return AlterSession({t.text.upper(): None for t in rest if t.token_type is not TokenType.COMMA})
    pairs = [token for token in rest if token.token_type not in (TokenType.COMMA, TokenType.EQ)]
    return AlterSession({name.text.upper(): value.text for name, value in zip(pairs[::2], pairs[1::2], strict=True)})


def _show(tokens: list[Token], context: Context) -> Show:
    """``SHOW [TERSE] <kind> [LIKE 'p'] [IN …] [STARTS WITH 's'] [LIMIT n [FROM 's']]``."""
    words = [token.text.upper() for token in tokens]
    end = next((i for i, word in enumerate(words) if word in _WORDS_AFTER_KIND), len(words))
    command = "SHOW " + " ".join(word for word in words[:end] if word != "TERSE")
    if command not in context.catalog.commands:
        raise errors.unsupported(f"{command} is not in catalog.toml")
    if tuple(command.split()) in context.denied:
        raise errors.insufficient_privileges(command)
    conditions = []
    limit = ""
    i = end
    while i < len(words):
        if words[i] == "LIKE":
            conditions.append(f"name ILIKE {_literal(tokens[i + 1].text)}")
            i += 2
        elif words[i] == "STARTS":
            conditions.append(f"starts_with(name, {_literal(tokens[i + 2].text)})")
            i += 3
        elif words[i] == "LIMIT":
            limit = f"LIMIT {int(tokens[i + 1].text)}"
            i += 2
        elif words[i] == "FROM":
            conditions.append(f"name > {_literal(tokens[i + 1].text)}")
            i += 2
        elif words[i] == "IN":
            scope, i = _scope(tokens, i + 1, context)
            conditions += scope
        else:
            raise errors.unsupported(f"{command} … {words[i]}")
    if "IN" not in words:
        conditions += _current_scope(command, context)
    shown = f'{FACTS}.visible."{command}"'
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    where = _without_denied(command, where, context)
    # The docs specify an order only for SHOW DATABASES. LIMIT … FROM a name needs an order too.
    order = "name" if limit or command == "SHOW DATABASES" else "random()"
    return Show(command, f"SELECT * FROM {shown} {where} ORDER BY {order} {limit}", bool(limit))


def _scope(tokens: list[Token], start: int, context: Context) -> tuple[list[str], int]:
    """``ACCOUNT``, ``[DATABASE] name`` or ``[SCHEMA] [database.]name`` as conditions, and the next token's index."""
    kind = tokens[start].text.upper() if tokens[start].token_type is not TokenType.IDENTIFIER else ""
    if kind == "ACCOUNT":
        return [], start + 1
    i = start + 1 if kind in ("DATABASE", "SCHEMA") else start
    name: list[str] = []
    while i < len(tokens) and tokens[i].text.upper() not in _WORDS_AFTER_KIND:
        token = tokens[i]
        if token.token_type is TokenType.IDENTIFIER:
            name.append(token.text)
        elif token.token_type is not TokenType.DOT:
            name.append(token.text.upper())
        i += 1
    if kind == "DATABASE" or (kind != "SCHEMA" and len(name) == 1):
        database = name[0] if name else context.database
        _require_database(database, context)
        return [f"database_name = {_literal(str(database))}"], i
    database, schema = (context.database, *name)[-2:]
    _require_database(database, context)
    return [f"database_name = {_literal(str(database))}", f"schema_name = {_literal(str(schema))}"], i


def _current_scope(command: str, context: Context) -> list[str]:
    if command == "SHOW DATABASES" or context.database is None:
        return []
    return [f"database_name = {_literal(context.database)}"]


def _without_denied(command: str, where: str, context: Context) -> str:
    """Add the denials to a SHOW command: it lists only objects on which the role has a privilege."""
    clauses = []
    for name in sorted(context.denied):
        columns = ["name"] if command == "SHOW DATABASES" else ["database_name", "schema_name", "name"]
        if command == "SHOW DATABASES" and len(name) > 1:
            continue
        if command == "SHOW SCHEMAS":
            columns = ["database_name", "name"]
        pairs = zip(columns, name, strict=False)
        clauses.append("NOT (" + " AND ".join(f"{c} = {_literal(part)}" for c, part in pairs) + ")")
    if not clauses:
        return where
    return f"{where} AND {' AND '.join(clauses)}" if where else f"WHERE {' AND '.join(clauses)}"


def _query(expression: Expr, context: Context) -> Query:
    known_here = {cte.alias_or_name.upper() for cte in expression.find_all(exp.CTE)}
    reads_information_schema = False
    for table in list(expression.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            continue
        parts = tuple(_folded(part) for part in table.parts)
        if len(parts) == 1 and parts[0].upper() in known_here:
            continue
        name = _qualified(parts, context)
        section = _section(name)
        if section is not None:
            _refuse_unseen(name, context)
            if section not in context.catalog.views:
                raise errors.object_not_found(_spelled(name))
            if context.warehouse is None:
                raise errors.NO_WAREHOUSE
            reads_information_schema |= section.startswith("INFORMATION_SCHEMA.")
            table.replace(_facts(section, name[0], table, context))
        elif context.denied:
            _refuse_unseen(name, context)
    expression = expression.transform(_session_value, context)
    for literal in expression.find_all(exp.Literal):
        if literal.is_string:
            literal.set("this", engine_time(literal.name))
    _outer_flatten(expression)
    return Query(expression, reads_information_schema)


def _qualified(parts: Name, context: Context) -> Name:
    if len(parts) == 3:
        return parts
    if context.database is None:
        raise errors.NO_DATABASE
    if len(parts) == 2:
        return (context.database, *parts)
    return (context.database, context.schema or "PUBLIC", *parts)


def _section(name: Name) -> str | None:
    """The catalog's name for a system view, or None for any other object."""
    if name[1] == "INFORMATION_SCHEMA":
        return f"INFORMATION_SCHEMA.{name[2]}"
    return ".".join(name) if name[:2] == ("SNOWFLAKE", "ACCOUNT_USAGE") else None


def _refuse_unseen(name: Name, context: Context) -> None:
    _require_database(name[0], context)
    for length in (2, 3):
        if name[:length] in context.denied:
            raise errors.object_not_found(_spelled(name))


def _require_database(name: str | None, context: Context) -> None:
    if name is None:
        raise errors.NO_DATABASE
    if (name,) in context.denied or not context.database_exists(name):
        raise errors.database_not_found(_spelled((name,)))


def _facts(section: str, database: str, table: exp.Table, context: Context) -> Expr:
    """The rows of a system view that this session sees, with the alias from the statement."""
    conditions = []
    if context.catalog.views[section].scope == "database":
        column = _DATABASE_COLUMN.get(section, "TABLE_CATALOG")
        conditions.append(f'"{column}" = {_literal(database)}')
    columns = context.catalog.views[section].columns
    if {"TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME"} <= set(columns):
        for denied in sorted(context.denied):
            pairs = zip(("TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME"), denied, strict=False)
            conditions.append("NOT (" + " AND ".join(f'"{c}" = {_literal(p)}' for c, p in pairs) + ")")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = Snowflake().parse(f'SELECT * FROM "{FACTS}"."visible"."{section}" {where}')[0]
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
    subquery = exp.Subquery(this=query, alias=alias)
    for modifier in ("joins", "laterals", "pivots", "sample"):
        if value := table.args.get(modifier):
            subquery.set(modifier, value)
    return subquery


def shuffled(query: Expr) -> Expr:
    """The engine's query with rows in random order, as far as its outermost ORDER BY allows."""
    return query.order_by(exp.Rand(), copy=False) if isinstance(query, exp.Query) else query


def _session_value(node: Expr, context: Context) -> Expr:
    """Replace ``CURRENT_TIMESTAMP()``, and functions that the engine does not have, such as ``CURRENT_ROLE()``, with
    their values.
    """
    if isinstance(node, exp.CurrentTimestamp):
        now = datetime.now(timezone.utc) + context.clock_ahead
        return exp.cast(exp.Literal.string(now.isoformat()), exp.DataType.Type.TIMESTAMPLTZ)
    for kind, value in context.values.items():
        if isinstance(node, kind):
            return exp.Null() if value is None else exp.Literal.string(value)
    return node


def engine_time(text: str) -> str:
    """A time in Snowflake's format (``… +0100``) in the engine's format (``…+01:00``). Other text is unchanged."""
    return _COMPACT_OFFSET.sub(r"\1\2:\3", text)


def _outer_flatten(expression: Expr) -> None:
    """Replace ``FLATTEN(…, OUTER => TRUE)``, which keeps rows with an empty array, with the engine's LEFT JOIN."""
    for join in expression.find_all(exp.Join):
        call = join.this.this if isinstance(join.this, exp.Lateral | exp.TableFromRows) else None
        if not isinstance(call, exp.Explode):
            continue
        arguments: Iterable[Expr] = [call.this, *call.expressions]
        named = {a.this.name.upper(): a.expression for a in arguments if isinstance(a, exp.Kwarg)}
        if "INPUT" in named:
            call.set("this", named["INPUT"])
        call.set("expressions", [])
        outer = named.get("OUTER")
        if isinstance(outer, exp.Boolean) and outer.this:
            join.set("side", "LEFT")
            join.set("on", exp.true())


def _folded(part: Expr) -> str:
    quoted = isinstance(part, exp.Identifier) and bool(part.args.get("quoted"))
    return part.name if quoted else part.name.upper()


def _spelled(name: Name) -> str:
    """A name in the style of the service's messages: quoted only where necessary."""
    return ".".join(p if p.isidentifier() and p == p.upper() else '"' + p.replace('"', '""') + '"' for p in name)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
