"""Tests that a new warehouse needs only its three folders. Uses a copy of the project with one more warehouse."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from folders import bundle

from tests.contract.statements import constants
from tests.contract.tree import ENVIRONMENTS, PLACES, ROOT, make_tree, outcomes_of, run_in
from tests.script_process import KINDS

NAME = "tiny"
# Replaces mypy and pyright, which take minutes. These tests only check which files the type checkers receive.
CHECKER = "import os, sys\nprint('asked:', os.getcwd(), *sys.argv[1:], file=sys.stderr)\n"
SANDBOX = """
import json, pathlib, sys
from tests.sandbox_process import SandboxProcess
with SandboxProcess(pathlib.Path(sys.argv[1])) as sandbox:
    print(json.dumps(sandbox.env))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("seventh") / "project")


@pytest.fixture(scope="module")
def added(tree: Path) -> Path:
    """The template folder of the added warehouse."""
    return tree / PLACES["template"]


def contents(project: Path) -> Iterator[tuple[str, str]]:
    """Each file with its digest, without files that tools create and names that start with a dot."""
    for path in project.rglob("*"):
        name = path.relative_to(project).as_posix()
        if path.is_file() and "__pycache__" not in name and not name.startswith("."):
            yield name, sha256(path.read_bytes()).hexdigest()


def test_nothing_outside_its_three_folders_changes(tree: Path) -> None:
    own = tuple(f"{place}/" for place in PLACES.values())
    found = dict(contents(tree))
    assert {name.rpartition("/")[0] for name in found if name.startswith(own)} == set(PLACES.values())
    assert {name: digest for name, digest in found.items() if not name.startswith(own)} == dict(contents(ROOT))
    assert {path.name for path in tree.iterdir() if path.name.startswith(".")} <= set(ENVIRONMENTS)


def test_the_contract_suite_finds_it_and_passes(tree: Path, tmp_path: Path) -> None:
    found = outcomes_of(tree, "tests/contract", "-k", NAME, base=tmp_path / "base")
    assert found.keys() == {"PASSED"}
    for flow in bundle.FLOWS:
        assert f"test_records_are_complete_and_match_the_warehouse[{NAME}-{flow}]" in found["PASSED"]


def test_its_own_tests_pass(tree: Path, tmp_path: Path) -> None:
    found = outcomes_of(tree, PLACES["tests"], base=tmp_path / "base")
    assert found.keys() == {"PASSED"}


def test_the_checks_for_all_folders_find_it_and_pass(tree: Path, added: Path, tmp_path: Path) -> None:
    files = ("tests/test_catalog_sql.py", "tests/test_inline_dependencies.py", "tests/test_documents.py")
    chosen = f"({NAME} and not contract) or (sqlglot and 3.11)"
    found = outcomes_of(tree, *files, "-k", chosen, base=tmp_path / "base")
    assert found.keys() == {"PASSED"}
    statements = [f"{path.name}:{name}" for path in added.glob("*.py") for name, _ in constants(path)]
    scripts = [f"{kind}_{flow}.py" for kind in KINDS for flow in bundle.FLOWS]
    modules = [path.name for path in added.glob("*.py")]
    assert found["PASSED"] >= {
        *(f"test_a_statement_names_only_documented_views_and_columns[{NAME}/{each}]" for each in statements),
        *(f"test_no_statement_hides_outside_the_constants[{NAME}/{each}]" for each in modules),
        f"test_every_documented_view_has_its_page_and_columns[{NAME}]",
        *(f"test_the_block_lists_what_is_imported[{NAME}/{each}]" for each in scripts),
        f"test_one_list_serves_all_scripts_of_a_folder[{NAME}]",
        f"test_links_and_named_files_exist[{PLACES['template']}/README.md]",
        f"test_commands_name_scripts_and_options_that_exist[{PLACES['template']}/README.md]",
    }


def test_the_type_check_includes_it(tree: Path, added: Path, tmp_path: Path) -> None:
    for name in ("mypy", "basedpyright"):
        (tmp_path / f"{name}.py").write_text(CHECKER, encoding="utf-8")
    asked = run_in(tree, sys.executable, "scripts/check_types.py", PYTHONPATH=str(tmp_path)).stderr.splitlines()
    (in_folder,) = [line for line in asked if line.startswith(f"asked: {added} ")]
    assert in_folder.endswith(" .")


def test_the_sandbox_has_a_warehouse_of_its_type(tree: Path, tmp_path: Path) -> None:
    started = run_in(tree, sys.executable, "-c", SANDBOX, str(tmp_path / "sandbox"))
    assert "MCD_RESOURCE_UUID_TINY" in json.loads(started.stdout)


def test_make_installs_its_requirements(tree: Path) -> None:
    rules = run_in(tree, "make", "--print-data-base", "--dry-run", "help").stdout
    (rule,) = [line for line in rules.splitlines() if line.startswith(".venv/.ready:")]
    assert f"{PLACES['template']}/requirements.txt" in rule.split()


def test_new_push_creates_a_folder_from_it(tree: Path, added: Path, tmp_path: Path) -> None:
    mine = tmp_path / "my-push"
    run_in(tree, sys.executable, "scripts/new_push.py", NAME, str(mine))
    record = json.loads((mine / ".push-ingestion.json").read_text(encoding="utf-8"))
    assert (record["warehouse"], record["flows"]) == (NAME, list(bundle.FLOWS))
    left_out = {"catalog.toml", "__pycache__"}
    made = {path.name for path in mine.iterdir()}
    assert made == {path.name for path in added.iterdir()} - left_out | {"mcpush", ".push-ingestion.json"}
    for kind in KINDS:
        run_in(mine, sys.executable, f"{kind}_metadata.py", "--help")
