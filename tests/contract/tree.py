"""Creates a copy of the project with a seventh warehouse from the three folders of ``tests/contract/tiny/``.

    python -m tests.contract.tree path/to/new/tree
    cd path/to/new/tree && .venv/bin/python -m pytest tests/contract -k tiny

Nothing else in the copy differs, so anything that works there also works for the next real warehouse.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.script_process import clean_environment

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).resolve().parent / "tiny"
# The folders of the fixture and their paths in the tree.
PLACES = {
    "template": "scripts/templates/tiny",
    "tests": "tests/templates/tiny",
    "warehouse": "tests/warehouses/tiny",
}
# Environments are large, so the copy links to those of the original.
ENVIRONMENTS = (".venv", ".envs")
GENERATED = shutil.ignore_patterns(".*", "__pycache__")
# A line of pytest's short summary with -rA: the outcome, and the test without its file.
OUTCOME = re.compile(r"(?m)^(PASSED|FAILED|ERROR|XFAIL|XPASS) (?:\S+?)::(\S+)|^(SKIPPED) (.*)$")


def make_tree(target: Path) -> Path:
    """Copy the project to a folder that does not exist yet, add the seventh warehouse, and write its shared files."""
    copy_of_project(target)
    add_warehouse(target)
    synchronize(target)
    return target


def copy_of_project(target: Path) -> None:
    shutil.copytree(ROOT, target, ignore=GENERATED)
    for name in ENVIRONMENTS:
        if (ROOT / name).exists():
            (target / name).symlink_to((ROOT / name).resolve())


def add_warehouse(tree: Path) -> None:
    for folder, place in PLACES.items():
        shutil.copytree(TINY / folder, tree / place, ignore=GENERATED)


def synchronize(tree: Path) -> None:
    run_in(tree, sys.executable, "scripts/sync_templates.py", "--write")


def run_in(tree: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the tree. Raises AssertionError with its output if it fails."""
    done = _run(tree, command, variables)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def outcomes_of(tree: Path, *arguments: str, base: Path) -> dict[str, set[str]]:
    """Run pytest in the tree. Returns the tests, without their files, by outcome in capitals (PASSED, FAILED, ERROR,
    …).

    ``base`` is the folder for its temporary files. Raises AssertionError if pytest itself fails or runs no tests.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--basetemp", str(base)]
    done = _run(tree, [*command, *arguments], {"TZ": "UTC"})  # time zone bugs then only show in tests that set a zone
    assert done.returncode in (0, 1), f"pytest ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    found: dict[str, set[str]] = {}
    for outcome, test, skipped, reason in OUTCOME.findall(done.stdout):
        found.setdefault(outcome or skipped, set()).add(test or reason)
    assert found, done.stdout
    return found


def _run(
    tree: Path, command: tuple[str, ...] | list[str], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(variables)
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]  # these belong to the pytest run that started this one
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    print(make_tree(Path(sys.argv[1])))
