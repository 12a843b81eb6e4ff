"""The inline dependency block of every script lists all packages it imports, directly or through local modules."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import tomli
from folders import bundle
from packaging.requirements import Requirement

from tests.script_process import KINDS, TEMPLATES
from tests.script_process import SCRIPTS as HOME

BLOCK = re.compile(r"(?m)^# /// script$\n((?:^#(?:| .*)$\n)+?)^# ///$\n")
REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9._-]+")
# Listed package → its dependencies that scripts import too, in the versions that the listed package requires.
TRANSITIVE = {
    "pycarlo": {"requests", "urllib3"},
    "boto3": {"botocore"},
    "google-cloud-bigquery": {"requests"},
    "databricks-sql-connector": {"requests", "urllib3"},
    "pyhive": {"thrift", "thrift_sasl"},
}
SCRIPTS = sorted(
    folder / f"{kind}_{flow}.py" for folder in bundle.warehouses() for flow in bundle.flows(folder) for kind in KINDS
)
COMMANDS = [HOME / "sql_lineage.py"]


def listed(script: Path) -> set[str]:
    """Normalized names of the distributions in the block."""
    return {plain(REQUIREMENT_NAME.match(each)[0]) for each in requirements(script)}  # type: ignore[index]


def requirements(script: Path) -> set[str]:
    """The lines of the block, unchanged."""
    found = BLOCK.search(script.read_text(encoding="utf-8"))
    assert found is not None, f"{script} has no block"
    content = tomli.loads("".join(line[2:] + "\n" for line in found[1].splitlines()))
    return set(content["dependencies"])


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> Iterator[str]:
    """Modules that are imported with the file. Imports inside functions are for rare cases and do not count."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def local_file(folder: Path, module: str) -> Path | None:
    """The file of a module of the folder, or of the library, which is next to the folder's modules in a copy."""
    path = (HOME if module.startswith("mcpush") else folder).joinpath(*module.split("."))
    return next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.exists()), None)


def third_party(script: Path) -> set[str]:
    """Top-level names of the packages that a script imports, also through its folder and the library."""
    folder = script.parent
    seen, todo, found = set(), [script], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in imported(path):
            local = local_file(folder, module)
            top = module.split(".")[0]
            if local is not None:
                todo.append(local)
            elif local_file(folder, top) is None and top not in sys.stdlib_module_names:
                found.add(top)
    return found


def test_the_scripts_are_found() -> None:
    """All scripts named like those of a flow belong to a flow of their folder."""
    named = [path for path in TEMPLATES.glob("[!_]*/*.py") if re.match(r"(collect|push|collect_and_push)_", path.name)]
    assert named
    assert sorted(named) == SCRIPTS


@pytest.mark.parametrize("script", [*SCRIPTS, *COMMANDS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_block_lists_what_is_imported(script: Path) -> None:
    distributions = packages_distributions()
    needed = third_party(script)
    assert needed, "found no imports, but every script has some"
    own = listed(script)
    transitive = {part for whole, parts in TRANSITIVE.items() if whole in own for part in parts}
    missing = {
        name for name in needed - transitive if not {plain(each) for each in distributions.get(name, [name])} & own
    }
    assert missing == set()


@pytest.mark.parametrize("folder", sorted({script.parent for script in SCRIPTS}), ids=lambda path: path.name)
def test_one_list_serves_all_scripts_of_a_folder(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    together = {line for line in lines if not line.startswith("#")}
    for script in SCRIPTS:
        if script.parent == folder:
            assert requirements(script) <= together, script.name


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.14"])
def test_every_python_gets_one_sqlglot_and_none_has_to_compile_it(version: str) -> None:
    """The compiled parts have wheels for Python 3.11 and newer only; 3.10 would need a C compiler."""
    for script in [*SCRIPTS, *COMMANDS]:
        required = [Requirement(each) for each in requirements(script) if each.startswith("sqlglot")]
        marked = [each for each in required if each.marker and each.marker.evaluate({"python_version": version})]
        assert bool(required) == ("sqlglot" in third_party(script)), script.name
        assert not required or ("lineage" in script.name and not script.name.startswith("push_")), script.name
        if required:
            (selected,) = marked
            assert selected.extras == (set() if version == "3.10" else {"c"})
