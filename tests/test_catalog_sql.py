"""Every SQL statement in the templates names only views and columns that the vendor documents.

The statements are the module constants ending in ``_SQL`` of each template folder; the documented views are in its
``catalog.toml`` with the address of the page. A statement with ``{condition}`` has a variant for each constant of its
folder that ends in ``_CONDITION``. No server is needed.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from folders import bundle
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from tests.warehouses.harness import harness

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
STATEMENT = re.compile(r"\s*(SELECT|WITH|SHOW|DESCRIBE|DESC|INSERT|CREATE|ALTER|DROP|DELETE|UPDATE)\s+\S+\s", re.I)
READ_ONLY = (exp.Query, exp.Describe)
DIALECTS = {folder.name: harness(folder.name).dialect for folder in bundle.warehouses()}


@dataclass(frozen=True)
class Statement:
    """A constant of a template: its file, its name, its text with placeholders filled in."""

    path: Path
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}:{self.name}"


def constants(path: Path, ending: str = "_SQL") -> Iterator[tuple[str, str]]:
    """Names and texts of the module constants whose name ends so."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Assign) and isinstance(target, ast.Name) and target.id.endswith(ending):
            yield target.id, ast.literal_eval(node.value)


def variants(path: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of the statements in a module, one for each condition where they take one."""
    folder = sorted(path.parent.glob("*.py"))
    conditions = [found for each in folder for found in constants(each, "_CONDITION")]
    for name, text in constants(path):
        if "{condition}" not in text:
            yield name, text
            continue
        assert conditions, f"{path.name}: {name} takes a condition, and its folder has none"
        for condition, part in conditions:
            yield f"{name}[{condition}]", text.replace("{condition}", part)


def filled(text: str) -> str:
    """The text as it is sent: identifiers for ``{placeholders}``, a literal for every bound value."""
    text = re.sub(r"\{\w+\}", '"PLACEHOLDER"', text)
    return re.sub(r"%\(\w+\)s|%s", "'bound'", text).replace("%%", "%")


def template_files() -> list[Path]:
    return sorted((ROOT / "scripts/templates").glob("*/*.py"))


STATEMENTS = [
    Statement(path, name, filled(text))
    for path in template_files()
    if path.parent.name in DIALECTS
    for name, text in variants(path)
]


def documented(warehouse: str) -> dict[str, Any]:
    path = ROOT / "scripts/templates" / warehouse / "catalog.toml"
    found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return found


def view_of(table: exp.Table, views: dict[str, Any]) -> str | None:
    """The documented name a table reference ends in, e.g. INFORMATION_SCHEMA.TABLES."""
    name = ".".join(part.name for part in table.parts).upper()
    found = [view for view in views if name == view.upper() or name.endswith("." + view.upper())]
    return max(found, key=len) if found else None


def undocumented(statement: Statement, catalog: dict[str, Any], dialect: str) -> list[str]:
    """What the statement names that no page documents."""
    text = statement.text.strip().upper() + " "
    if text.startswith("SHOW "):  # sqlglot knows few of them
        commands = catalog.get("commands", {})
        return [] if any(text.startswith(f"{command.upper()} ") for command in commands) else [text.strip()]
    tree = parse_one(statement.text, read=dialect)
    assert isinstance(tree, READ_ONLY), f"{statement} is not a query: {type(tree).__name__}"
    views = catalog["views"]
    problems = []
    found_in = [(source, scope) for scope in traverse_scope(tree) for _, source in scope.references]
    physical = [source for source, scope in found_in if isinstance(source, exp.Table) and is_table(source, scope)]
    for table in {id(each): each for each in physical}.values():
        view = view_of(table, views)
        if view is None:
            problems.append(table.sql(dialect))
            continue
        alias = table.alias or table.name
        table.replace(exp.alias_(exp.to_table(f'"{view}"', dialect=dialect), alias, table=True))
    if not problems:
        schema: dict[str, object] = {view: dict(found["columns"]) for view, found in views.items()}
        try:
            qualify(tree, schema=schema, dialect=dialect, validate_qualify_columns=True)
        except SqlglotError as error:
            problems.append(str(error))
    return problems


def is_table(source: exp.Table, scope: Any) -> bool:
    """Whether it names a table or view: not a function, nor a WITH clause of the statement."""
    named = isinstance(source.this, exp.Identifier)
    return named and isinstance(scope.sources.get(source.alias_or_name), exp.Table)


def test_there_are_statements_in_every_collector() -> None:
    folders = bundle.warehouses()
    collectors = {folder / f"collect_{flow}.py" for folder in folders for flow in bundle.flows(folder)}
    assert collectors
    assert collectors <= {statement.path for statement in STATEMENTS}


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_a_statement_names_only_documented_views_and_columns(statement: Statement) -> None:
    warehouse = statement.path.parent.name
    assert undocumented(statement, documented(warehouse), DIALECTS[warehouse]) == []


@pytest.mark.parametrize("path", template_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_statement_hides_outside_the_constants(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {text for _, text in constants(path)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
    hidden = [text for text in texts if STATEMENT.match(text) and text not in known and text not in docstrings]
    assert hidden == []


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize("warehouse", sorted(DIALECTS))
def test_every_documented_view_has_its_page_and_columns(warehouse: str) -> None:
    views = documented(warehouse)["views"]
    assert views
    assert [name for name, view in views.items() if not view["page"].startswith("https://")] == []
    assert [name for name, view in views.items() if not view["columns"]] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT t.TABLE_NAME AS n FROM {database}.INFORMATION_SCHEMA.TABLES AS t", None),
        ("SELECT t.TABEL_NAME AS n FROM {database}.INFORMATION_SCHEMA.TABLES AS t", "TABEL_NAME"),
        ("SELECT x.n AS n FROM (SELECT t.ROWS AS n FROM {d}.INFORMATION_SCHEMA.TABLES AS t) AS x", "ROWS"),
        ("SELECT QUERY_ID AS q FROM SNOWFLAKE.ACCOUNT_USAGE.SYS_QUERYTEXT WHERE START_TIME > %s", "SYS_QUERYTEXT"),
        ("WITH h AS (SELECT QUERY_ID FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY) SELECT QUERY_ID AS q FROM h", None),
        ("SHOW NONSENSE", "SHOW NONSENSE"),
    ],
)
def test_the_check_itself_finds_what_it_should(text: str, says: str | None) -> None:
    statement = Statement(Path("snowflake/collect_x.py"), "X_SQL", filled(text))
    try:
        problems = undocumented(statement, documented("snowflake"), "snowflake")
    except AssertionError as error:
        problems = [str(error)]
    if says is None:
        assert problems == []
    else:
        assert any(says in problem for problem in problems), problems
