"""Every SQL statement in the templates names only views and columns that the vendor documents.

The statements are the module constants of each template folder whose names end in ``_SQL``. Its ``catalog.toml`` lists
the documented views, with the URL of each page. A statement with ``{condition}`` has a variant for each constant of its
folder whose name ends in ``_CONDITION``. No server is needed.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from folders import bundle
from folders.dependencies import imported

from tests.contract.statements import Statement, catalog_of, constants, filled, undocumented, variants
from tests.warehouses.harness import dialect_of, harness

ROOT = Path(__file__).resolve().parents[1]
STATEMENT = re.compile(r"\s*(SELECT|WITH|SHOW|DESCRIBE|DESC|INSERT|CREATE|ALTER|DROP|DELETE|UPDATE)\s+\S+\s", re.I)
HARNESSES = {folder.name: harness(folder.name) for folder in bundle.warehouses()}


def template_files() -> list[Path]:
    return sorted((ROOT / "scripts/templates").glob("*/*.py"))


STATEMENTS = [
    Statement(path, name, filled(text))
    for path in template_files()
    if path.parent.name in HARNESSES
    for name, text in variants(path)
]


def documented(warehouse: str) -> dict[str, Any]:
    return catalog_of(ROOT / "scripts/templates" / warehouse)


def test_there_are_statements_in_every_collector() -> None:
    folders = bundle.warehouses()
    with_statements = {statement.path for statement in STATEMENTS}
    collectors = [folder / f"collect_{flow}.py" for folder in folders for flow in bundle.flows(folder)]
    assert collectors
    assert [path for path in collectors if own_modules(path).isdisjoint(with_statements) and connects(path)] == []


def connects(path: Path) -> bool:
    """Whether a collector runs statements: one that only reads files does not."""
    key: Any = (path.stem.removeprefix("collect_"), "only_reads_and_session_settings_are_run")
    return key not in HARNESSES[path.parent.name].not_applicable


def own_modules(path: Path) -> set[Path]:
    """The module, and those of its folder that it imports, directly or not."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        if (module := waiting.pop()) not in found and module.is_file():
            found.add(module)
            waiting += [module.with_name(f"{name}.py") for name in imported(module)]
    return found


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_a_statement_names_only_documented_views_and_columns(statement: Statement) -> None:
    warehouse = statement.path.parent.name
    assert undocumented(statement, documented(warehouse), dialect_of(HARNESSES[warehouse], statement.path)) == []


@pytest.mark.parametrize("path", template_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_statement_hides_outside_the_constants(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {text for _, text in constants(path)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
    hidden = [text for text in texts if STATEMENT.match(text) and text not in known and text not in docstrings]
    assert hidden == []


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize("warehouse", sorted(HARNESSES))
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
def test_the_check_itself_finds_undocumented_names(text: str, says: str | None) -> None:
    statement = Statement(Path("snowflake/collect_x.py"), "X_SQL", filled(text))
    try:
        problems = undocumented(statement, documented("snowflake"), "snowflake")
    except AssertionError as error:
        problems = [str(error)]
    if says is None:
        assert problems == []
    else:
        assert any(says in problem for problem in problems), problems
