"""SHOW, DESCRIBE and USE. A command's result has the columns of catalog.toml.

Databricks' own commands are at https://docs.databricks.com/aws/en/sql/language-manual/; names in them are like those in
queries: https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-identifiers
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.warehouses.databricks import descriptions
from tests.warehouses.databricks.catalog import Columns
from tests.warehouses.databricks.errors import Refused, denied, is_a_view, refused
from tests.warehouses.databricks.world import Session, World

PART = r"(?:`(?:[^`]|``)+`|\w+)"
NAME = rf"(?P<name>{PART}(?:\s*\.\s*{PART}){{0,2}})"
ONE_COLUMN: Columns = {"statistics": "STRING"}  # the page does not state its name
JSON_COLUMN: Columns = {"json_metadata": "STRING"}
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Result:
    columns: Columns
    rows: Rows


@dataclass(frozen=True)
class Call:
    """A command in a statement: the parts of its name, and the other groups of its pattern."""

    world: World
    session: Session
    command: str
    parts: Sequence[str]
    groups: dict[str, str | None]

    @property
    def columns(self) -> Columns:
        return self.world.documented.commands[self.command]

    def relation(self) -> dict[str, Any]:
        path, found = self.world.relation(self.session, self.parts)
        if self.world.orders.denies(self.command):
            raise denied("SELECT", "Table", ".".join(path))
        return found | {"path": path}

    def table(self) -> dict[str, Any]:
        """A relation that must not be a view."""
        found = self.relation()
        if found["definition"] is not None:
            raise is_a_view(".".join(f"`{part}`" for part in found["path"]), self.command)
        return found

    def schema(self) -> tuple[str, str]:
        lower = [part.lower() for part in self.parts] or [self.session.schema]
        catalog, schema = lower if len(lower) == 2 else [self.session.catalog, *lower]
        self.world.check_schema(self.session, catalog, schema)
        if self.world.orders.denies(self.command):
            raise denied("USE SCHEMA", "Schema", f"{catalog}.{schema}")
        return catalog, schema


def _shuffled(columns: Columns, rows: Rows) -> Result:
    return Result(columns, random.sample(rows, len(rows)))


def show_catalogs(call: Call) -> Result:
    """Without privileges, a catalog is not listed."""
    names = call.world.visible_catalogs(call.session)
    if call.world.orders.denies(call.command):
        names = []
    return _shuffled(call.columns, [{"catalog": name} for name in names])


def show_schemas(call: Call) -> Result:
    catalog = call.parts[0].lower() if call.parts else call.session.catalog
    call.world.check_schema(call.session, catalog)
    if call.world.orders.denies(call.command):
        raise denied("USE CATALOG", "Catalog", catalog)
    names = [name for name in call.world.schemas[catalog] if not call.world.hides(call.session, catalog, name)]
    return _shuffled(call.columns, [{"databaseName": name} for name in names])


def _listed(call: Call) -> list[tuple[str, dict[str, Any]]]:
    place = call.schema()
    found = [(path[2], each) for path, each in call.world.relations.items() if path[:2] == place]
    return [(name, each) for name, each in found if not call.world.hides(call.session, *place, name)]


def show_tables(call: Call) -> Result:
    rows = [{"database": each["schema"], "tableName": name, "isTemporary": False} for name, each in _listed(call)]
    return _shuffled(call.columns, rows)


def show_views(call: Call) -> Result:
    views = [(name, each) for name, each in _listed(call) if each["definition"] is not None]
    rows = [{"namespace": each["schema"], "viewName": name, "isTemporary": False} for name, each in views]
    return _shuffled(call.columns, rows)


def describe(call: Call) -> Result:
    found = call.relation()
    if call.groups.get("json"):
        return Result(JSON_COLUMN, [{"json_metadata": json.dumps(descriptions.as_json(found))}])
    return Result(call.columns, descriptions.as_rows(found))


def describe_detail(call: Call) -> Result:
    found = call.table()
    return Result(call.columns, [descriptions.detail(found)])


def describe_history(call: Call) -> Result:
    found = call.table()
    if found["format"].lower() != "delta":
        text = "Table is not a Delta table. DESCRIBE HISTORY is only supported for Delta tables."
        raise refused("DELTA_TABLE_ONLY_OPERATION", text, "0AKDD")
    newest_first = sorted(found["history"], key=lambda each: -int(each["version"]))
    limit = call.groups.get("limit")
    return Result(call.columns, newest_first[: int(limit)] if limit else newest_first)


def show_statistics(call: Call) -> Result:
    return Result(ONE_COLUMN, [{"statistics": json.dumps(descriptions.statistics(call.table()))}])


def show_properties(call: Call) -> Result:
    rows = [{"key": key, "value": value} for key, value in call.relation()["properties"].items()]
    return Result(call.columns, rows)


def show_create(call: Call) -> Result:
    return Result(call.columns, [{"createtab_stmt": descriptions.statement(call.relation())}])


def use_catalog(call: Call) -> Result:
    name = call.parts[0].lower()
    call.world.check_schema(call.session, name)
    if call.world.orders.denies(call.command):
        raise denied("USE CATALOG", "Catalog", name)
    call.session.catalog, call.session.schema = name, "default"
    return Result({"result": "STRING"}, [])


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(" ", r"\s+").replace("<name>", NAME), re.IGNORECASE | re.VERBOSE)


COMMANDS: list[tuple[str, re.Pattern[str], Callable[[Call], Result]]] = [
    ("SHOW CATALOGS", _pattern("SHOW CATALOGS"), show_catalogs),
    ("SHOW SCHEMAS", _pattern("SHOW (?:SCHEMAS|DATABASES)(?: (?:FROM|IN) <name>)?"), show_schemas),
    ("SHOW TABLES", _pattern("SHOW TABLES(?: (?:FROM|IN) <name>)?"), show_tables),
    ("SHOW VIEWS", _pattern("SHOW VIEWS(?: (?:FROM|IN) <name>)?"), show_views),
    ("DESCRIBE DETAIL", _pattern("DESC(?:RIBE)? DETAIL <name>"), describe_detail),
    ("DESCRIBE HISTORY", _pattern(r"DESC(?:RIBE)? HISTORY <name>(?: LIMIT (?P<limit>\d+))?"), describe_history),
    (
        "DESCRIBE TABLE EXTENDED",
        _pattern("DESC(?:RIBE)?(?: TABLE)? EXTENDED <name>(?P<json> AS JSON)?"),
        describe,
    ),
    ("SHOW STATISTICS", _pattern("SHOW STATISTICS(?: (?:FROM|IN))? <name> AS JSON"), show_statistics),
    ("SHOW TBLPROPERTIES", _pattern("SHOW TBLPROPERTIES <name>"), show_properties),
    ("SHOW CREATE TABLE", _pattern("SHOW CREATE TABLE <name>"), show_create),
    ("USE CATALOG", _pattern("(?:USE|SET) CATALOG <name>"), use_catalog),
]


def run(world: World, session: Session, statement: str) -> Result | None:
    """The result of a command. None if the statement is not one. Raises ``Refused``."""
    text = statement.strip().rstrip(";").rstrip()
    for command, pattern, function in COMMANDS:
        if found := pattern.fullmatch(text):
            groups = found.groupdict()
            return function(Call(world, session, command, parts_of(groups.get("name")), groups))
    return None


def parts_of(name: str | None) -> list[str]:
    """The parts of a dotted name, without their backticks."""
    found = re.findall(PART, name or "")
    return [part[1:-1].replace("``", "`") if part.startswith("`") else part for part in found]


__all__ = ["Refused", "Result", "parts_of", "run"]
