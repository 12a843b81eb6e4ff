"""The SQL of a template folder: its statements, the views they read, and the constants behind the statements that a
server received.

Statements are the module constants ending in ``_SQL``. The documented views, commands and functions are in the folder's
``catalog.toml``. A statement with ``{condition}`` has a variant for each constant that ends in ``_CONDITION``: of its
module and of those that this imports, or else of its folder. A table that is only ``{table}`` is one of the customer's,
which no page documents.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folders.dependencies import imported
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

READ_ONLY = (exp.Query, exp.Describe)
SETTINGS = (exp.Set, exp.Use)
WRITES = (exp.DML, exp.Create, exp.Drop, exp.Into, exp.Lock)
# sqlglot does not parse these; they are recognized by their first words.
COMMANDS = re.compile(r"\s*(SHOW|DESCRIBE|DESC|SET|USE|ALTER\s+SESSION)\s", re.I)
PLACEHOLDER = re.compile(r"\{\w+\}")
CUSTOMERS_TABLE, CUSTOMERS = "{table}", "CUSTOMERS_TABLE"
BOUND = re.compile(r"%\(\w+\)s|%s|\?|(?<![:\w]):[a-z_]\w*")
ANYTHING = "(?:.+?)"


# --- statements in a folder's files -----------------------------------------------------------------------


@dataclass(frozen=True)
class Statement:
    """A SQL constant of a template: its file, its name, and its text with placeholders filled in."""

    path: Path
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}:{self.name}"

    @property
    def constant(self) -> str:
        """The name without the condition of a variant."""
        return self.name.partition("[")[0]


def constants(path: Path, ending: str = "_SQL") -> Iterator[tuple[str, str]]:
    """Names and texts of the module constants whose names have this ending."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Assign) and isinstance(target, ast.Name) and target.id.endswith(ending):
            yield target.id, ast.literal_eval(node.value)


def variants(path: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of the statements in a module. One with ``{condition}`` yields a variant per condition."""
    near = [path, *(path.with_name(f"{module}.py") for module in imported(path))]
    conditions = _conditions(near) or _conditions(sorted(path.parent.glob("*.py")))
    for name, text in constants(path):
        if "{condition}" not in text:
            yield name, text
            continue
        assert conditions, f"{path.name}: {name} has {{condition}}, but its folder has no _CONDITION constant"
        for condition, part in conditions:
            yield f"{name}[{condition}]", text.replace("{condition}", part)


def _conditions(paths: Iterable[Path]) -> list[tuple[str, str]]:
    return [found for path in paths if path.is_file() for found in constants(path, "_CONDITION")]


def filled(text: str) -> str:
    """The text with an identifier for each ``{placeholder}`` and a literal for each bound value."""
    text = PLACEHOLDER.sub("PLACEHOLDER", text.replace(CUSTOMERS_TABLE, CUSTOMERS))
    return re.sub(r"%\(\w+\)s|%s", "'bound'", text).replace("%%", "%")


def statements_of(folder: Path) -> list[Statement]:
    """Every statement of a template folder, with placeholders filled in."""
    return [
        Statement(path, name, filled(text)) for path in sorted(folder.glob("*.py")) for name, text in variants(path)
    ]


def catalog_of(folder: Path) -> dict[str, Any]:
    """The documented views, commands and functions."""
    found: dict[str, Any] = tomllib.loads((folder / "catalog.toml").read_text(encoding="utf-8"))
    return found


# --- views that a statement reads -------------------------------------------------------------------------


def view_of(table: exp.Table, views: Mapping[str, Any]) -> str | None:
    """The documented view that a table reference ends with, e.g. INFORMATION_SCHEMA.TABLES."""
    name = ".".join(part.name for part in table.parts).upper()
    found = [view for view in views if name == view.upper() or name.endswith("." + view.upper())]
    return max(found, key=len) if found else None


def command_of(text: str, catalog: Mapping[str, Any]) -> str | None:
    """The documented command that a statement starts with, e.g. SHOW TABLES."""
    text = " ".join(text.split()).upper() + " "
    found = [command for command in catalog.get("commands", {}) if text.startswith(f"{command.upper()} ")]
    return max(found, key=len) if found else None


def undocumented(statement: Statement, catalog: Mapping[str, Any], dialect: str) -> list[str]:
    """The views, columns and commands that a statement uses and ``catalog.toml`` does not document."""
    if COMMANDS.match(statement.text):  # sqlglot parses few of them
        return [] if command_of(statement.text, catalog) else [statement.text.strip().upper()]
    tree = parse_one(statement.text, read=dialect)
    assert isinstance(tree, READ_ONLY), f"{statement} is not a query: {type(tree).__name__}"
    views = catalog["views"]
    problems = []
    for table in _physical_tables(tree):
        if table.name == CUSTOMERS:
            continue
        view = view_of(table, views)
        if view is None:
            problems.append(table.sql(dialect))
            continue
        alias = table.alias or table.name
        renamed = exp.Table(this=exp.to_identifier(view.lower(), quoted=True))
        table.replace(exp.alias_(renamed, alias, table=True))
    if not problems:
        # in lower case: sqlglot changes the case of a schema's names in some dialects
        schema: dict[str, object] = {view.lower(): _columns(found) for view, found in views.items()}
        try:
            qualify(tree, schema=schema, dialect=dialect, validate_qualify_columns=True)
        except SqlglotError as error:
            problems.append(str(error))
    return problems


def _columns(view: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a documented view. With ``quoted`` in the catalog, statements must quote their exact names."""
    return {f'"{name}"' if view.get("quoted") else name: kind for name, kind in view["columns"].items()}


def _physical_tables(tree: exp.Expr) -> list[exp.Table]:
    found_in = [(source, scope) for scope in traverse_scope(tree) for _, source in scope.references]
    tables = [source for source, scope in found_in if isinstance(source, exp.Table) and is_table(source, scope)]
    return list({id(table): table for table in tables}.values())


def is_table(source: exp.Table, scope: Any) -> bool:
    """Whether a source is a table or view, not a function or a WITH clause of the statement."""
    named = isinstance(source.this, exp.Identifier)
    return named and isinstance(scope.sources.get(source.alias_or_name), exp.Table)


def documented_in(statement: Statement, catalog: Mapping[str, Any], dialect: str) -> set[str]:
    """The documented views, commands and functions that a statement reads, spelled as in the catalog."""
    if command := command_of(statement.text, catalog):
        return {command}
    tree = parse_one(statement.text, read=dialect)
    views = {view_of(table, catalog["views"]) for table in tree.find_all(exp.Table)} - {None}
    called = {word.upper() for word in re.findall(r"(\w+)\s*\(", statement.text)}
    return {view for view in views if view} | {name for name in catalog.get("functions", {}) if name.upper() in called}


# --- statements that a server received --------------------------------------------------------------------


def is_setting(text: str, dialect: str) -> bool:
    """Whether a statement changes a setting of its own session and reads nothing."""
    if re.match(r"\s*ALTER\s+SESSION\s", text, re.I):
        return True
    return isinstance(_parsed(text, dialect), SETTINGS)


def is_read(text: str, dialect: str) -> bool:
    """Whether a statement reads data or changes a setting of its own session, and writes nothing."""
    if COMMANDS.match(text):
        return True
    tree = _parsed(text, dialect)
    return isinstance(tree, READ_ONLY) and not any(tree.find_all(*WRITES))


def _parsed(text: str, dialect: str) -> exp.Expr | None:
    try:
        return parse_one(text, read=dialect)
    except SqlglotError:
        return None


@dataclass(frozen=True)
class Sent:
    """The sent texts by constant, the constants' statements, each once, and the texts that match no constant."""

    by_constant: dict[str, list[str]]
    statements: list[Statement]
    foreign: list[str]


def sort_out(texts: Iterable[str], folder: Path) -> Sent:
    """Find the constant that each text was created from. If several match, choose the one with the most fixed text."""
    known = [
        (Statement(path, name, filled(text)), _fixed_text(text), _pattern(text))
        for path in sorted(folder.glob("*.py"))
        for name, text in variants(path)
    ]
    sent = Sent({}, [], [])
    for text in texts:
        fitting = [entry for entry in known if entry[2].fullmatch(_one_line(text))]
        if not fitting:
            sent.foreign.append(text)
            continue
        statement, _, _ = max(fitting, key=lambda entry: len(entry[1]))
        sent.by_constant.setdefault(statement.constant, []).append(text)
        if statement not in sent.statements:
            sent.statements.append(statement)
    return sent


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip("; ")


def _fixed_text(text: str) -> str:
    return BOUND.sub("", PLACEHOLDER.sub("", _one_line(text)))


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern for the text of a constant, on one line, after its placeholders are filled in and its values bound."""
    marked = BOUND.sub("\0", PLACEHOLDER.sub("\0", _one_line(text))).replace("%%", "%")
    return re.compile(ANYTHING.join(map(re.escape, marked.split("\0"))), re.S)


def mark_of(name: str, text: str, sent: Mapping[str, Sequence[str]]) -> str:
    """A segment of a constant's text that all of its statements contain, and if possible no other statement."""
    pieces = [piece.strip() for piece in BOUND.sub("\0", PLACEHOLDER.sub("\0", text)).replace("%%", "%").split("\0")]
    longest_first = sorted(filter(None, pieces), key=len, reverse=True)
    shared = [piece for piece in longest_first if all(piece in each for each in sent[name])]
    assert shared, f"{name}: the server received none of its text unchanged"
    others = [each for other, texts in sent.items() if other != name for each in texts]
    unique = [piece for piece in shared if not any(piece in each for each in others)]
    return unique[0] if unique else shared[0]
