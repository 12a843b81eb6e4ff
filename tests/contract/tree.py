"""The project with a seventh warehouse: a copy of the whole tree and the three folders of ``tests/contract/tiny/``.

    python -m tests.contract.tree path/to/new/tree
    cd path/to/new/tree && .venv/bin/python -m pytest tests/contract -k tiny

Nothing else in the copy differs, so what works there works for the next real warehouse.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).resolve().parent / "tiny"
# A folder of the fixture, and where it stands in the tree.
PLACES = {
    "template": "scripts/templates/tiny",
    "tests": "tests/templates/tiny",
    "warehouse": "tests/warehouses/tiny",
}
# Environments are large: the copy uses those of the original.
ENVIRONMENTS = (".venv", ".envs")


def make_tree(target: Path) -> Path:
    """Copy the project to a folder that does not exist yet, add the seventh warehouse, write its shared files."""
    copy_of_project(target)
    add_warehouse(target)
    synchronize(target)
    return target


def copy_of_project(target: Path) -> None:
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    for name in ENVIRONMENTS:
        if (ROOT / name).exists():
            (target / name).symlink_to((ROOT / name).resolve())


def add_warehouse(tree: Path) -> None:
    for folder, place in PLACES.items():
        shutil.copytree(TINY / folder, tree / place, ignore=shutil.ignore_patterns("__pycache__"))


def synchronize(tree: Path) -> None:
    """``python scripts/sync_templates.py --write``. Raises CalledProcessError."""
    command = [sys.executable, str(tree / "scripts/sync_templates.py"), "--write"]
    subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    print(make_tree(Path(sys.argv[1])))
