"""The inline dependency block of every script lists what the script imports, also through its own folder's modules."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import tomli

from tests.script_process import TEMPLATES

BLOCK = re.compile(r"(?m)^# /// script$\n((?:^#(?:| .*)$\n)+?)^# ///$\n")
REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9._-]+")
BROUGHT_ALONG = {"pycarlo": "requests", "boto3": "botocore"}  # parts of what is listed, at its own version
SCRIPTS = sorted(
    path for path in TEMPLATES.glob("*/*.py") if re.match(r"(collect|push|collect_and_push)_(?!and)", path.name)
)


def listed(script: Path) -> set[str]:
    """Names of the distributions in the block, in their plain spelling."""
    found = BLOCK.search(script.read_text(encoding="utf-8"))
    assert found is not None, f"{script} has no block"
    content = tomli.loads("".join(line[2:] + "\n" for line in found[1].splitlines()))
    return {plain(REQUIREMENT_NAME.match(each)[0]) for each in content["dependencies"]}  # type: ignore[index]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> Iterator[str]:
    """Modules that are imported when the file is: not those inside functions, which are for rare cases."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def local_file(folder: Path, module: str) -> Path | None:
    path = folder.joinpath(*module.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.exists()), None)


def third_party(script: Path) -> set[str]:
    """Top-level names of what a script needs installed, followed through its folder."""
    seen, todo, found = set(), [script], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in imported(path):
            local = local_file(script.parent, module)
            top = module.split(".")[0]
            if local is not None:
                todo.append(local)
            elif local_file(script.parent, top) is None and top not in sys.stdlib_module_names:
                found.add(top)
    return found


def test_the_scripts_are_found() -> None:
    assert len(SCRIPTS) >= 18
    assert len(SCRIPTS) % 3 == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_block_lists_what_is_imported(script: Path) -> None:
    distributions = packages_distributions()
    needed = third_party(script)
    assert needed, "a script that imports nothing is not what it seems"
    own = listed(script)
    brought_along = {part for whole, part in BROUGHT_ALONG.items() if whole in own}
    missing = {
        name for name in needed - brought_along if not {plain(each) for each in distributions.get(name, [name])} & own
    }
    assert missing == set()
