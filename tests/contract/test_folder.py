"""Tests the contents of a template folder: its scripts, its README, and its test harness."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from folders import bundle

from tests.contract.subject import Case, harness_of, template_folders
from tests.script_process import KINDS
from tests.warehouses.harness import harness

HERE = Path(__file__).resolve().parent
WAREHOUSES = HERE.parent / "warehouses"
FILES = ("README.md", "requirements.txt", "connection.py", "catalog.toml", "mcpush.py")
SECTIONS = ("Required permissions", "Configuration", "What is collected", "Limitations")
PUSH_VARIABLES = ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "MCD_RESOURCE_UUID")


def test_there_are_template_folders(pytestconfig: pytest.Config) -> None:
    assert template_folders(pytestconfig.getoption("templates")) != []


def test_a_folder_has_a_harness_for_its_flows(template: Path) -> None:
    found = harness_of(template.name)
    assert found is not None, f"tests/warehouses/{template.name}/harness.py is missing"
    assert sorted(found.flows) == sorted(bundle.flows(template))


def test_exemptions_name_a_promise_and_a_reason(template: Path) -> None:
    found = harness(template.name)
    promises = {name.removeprefix("test_") for name in _tests()}
    wrong = [key for key in found.not_applicable if key[0] not in found.flows or key[1] not in promises]
    assert wrong == [], "no test has this name"
    assert [key for key, reason in found.not_applicable.items() if not reason.strip()] == []


def _tests() -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in HERE.glob("test_*.py")]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_folder_is_complete(case: Case) -> None:
    wanted = {*FILES, *(f"{kind}_{case.flow}.py" for kind in KINDS)}
    assert sorted(wanted - {path.name for path in case.subject.template.iterdir()}) == []


def test_the_readme_has_the_required_sections(template: Path) -> None:
    text = (template / "README.md").read_text(encoding="utf-8")
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert [section for section in SECTIONS if section not in headings] == []
    assert [name for name in PUSH_VARIABLES if f"`{name}`" not in text] == []
