"""The Makefile discovers the warehouses and detects changes of their requirements; all pins agree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PINS = ("requirements-dev.txt", "constraints.txt")
STAMPS = (".venv/.ready", ".envs/.ready")
BEFORE, BUILT, AFTER = 1_000_000_000, 1_100_000_000, 1_200_000_000  # modification times
FILES = (
    *("scripts/templates/old/collect_metadata.py", "scripts/templates/old/requirements.txt"),
    *("tests/templates/old/requirements.txt", "tests/warehouses/old/requirements.txt"),
    *("scripts/templates/notes/requirements.txt", "tests/warehouses/notes/requirements.txt"),
    *(*PINS, "uv.lock", *STAMPS),
)


def write(tree: Path, name: str, time: int = BEFORE) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time, time))


def is_ready(tree: Path, stamp: str) -> bool:
    """Whether make considers the stamp up to date."""
    command = ["make", "--question", f"PYTHON={os.devnull}", stamp]
    return subprocess.run(command, cwd=tree, capture_output=True, check=False).returncode == 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The Makefile in a project with one warehouse, both environments, and a folder that is not a warehouse."""
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    for name in FILES:
        write(tmp_path, name, BUILT if name in STAMPS else BEFORE)
    for folder in ("scripts/templates", "tests/templates", "tests/warehouses"):
        os.utime(tmp_path / folder, (BEFORE, BEFORE))
    return tmp_path


def test_an_unchanged_project_is_up_to_date(tree: Path) -> None:
    assert [is_ready(tree, stamp) for stamp in STAMPS] == [True, True]
    for name in ("scripts/templates/notes/requirements.txt", "tests/warehouses/notes/requirements.txt"):
        write(tree, name, AFTER)
    assert [is_ready(tree, stamp) for stamp in STAMPS] == [True, True]


def test_a_changed_list_of_packages_is_noticed(tree: Path) -> None:
    for name in (name for name in FILES if "/old/" in name and name.endswith(".txt")):
        write(tree, name, AFTER)
        assert [is_ready(tree, stamp) for stamp in STAMPS] == ["/warehouses/" in name, False], name
        write(tree, name)
    for name in (*PINS, "uv.lock"):
        write(tree, name, AFTER)
        assert [is_ready(tree, stamp) for stamp in STAMPS] == [False, False], name
        write(tree, name)


def test_a_new_folder_is_noticed_and_installed(tree: Path) -> None:
    """The files of the folder are older than the environments, as after moving it here."""
    for name in ("scripts/templates/new/collect_metadata.py", "scripts/templates/new/requirements.txt"):
        write(tree, name)
    for name in ("tests/templates/new/requirements.txt", "tests/warehouses/new/requirements.txt"):
        write(tree, name)
    assert [is_ready(tree, stamp) for stamp in STAMPS] == [False, False]
    command = ["make", "--dry-run", f"PYTHON={os.devnull}", "setup"]
    shown = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
    listed = {name for name in FILES if "templates/old/" in name and name.endswith(".txt")}
    expected = listed | {name.replace("/old/", "/new/") for name in listed}
    with_uv, with_pip = (set(re.findall(r"-r (\S+/requirements\.txt)", line)) for line in installing(shown))
    assert with_uv == with_pip == expected


def installing(commands: str) -> list[str]:
    """The uv and the pip command that install the requirements of the folders, each on one line."""
    lines = commands.replace("\\\n", " ").splitlines()
    (line,) = (line for line in lines if "uv pip install" in line)
    uv, _, pip = line.partition("else")
    return [uv, pip]


def pinned(name: str) -> dict[str, set[str]]:
    """The pinned versions of each package: one, or one for each range of Python versions."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line)
            assert not requirement.extras, f"{name}: pip does not support extras in constraints: {line}"
            (version,) = (each.version for each in requirement.specifier if each.operator == "==")
            found.setdefault(requirement.name, set()).add(version)
    return found


def test_both_lists_pin_the_same_versions() -> None:
    own, of_folders = map(pinned, PINS)
    both = own.keys() & of_folders.keys()
    assert "pycarlo" in both
    # A folder can need a package for some Python versions only.
    assert [name for name in both if not of_folders[name] <= own[name]] == []


GROUPED = """
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(20))
def test_it(number, worker_id):
    with open("workers.txt", "a") as file:
        print(worker_id, file=file)
"""


def test_the_tests_of_a_group_run_in_one_process(tmp_path: Path) -> None:
    """Otherwise each process would start the servers of every group, and tests would not share runs."""
    (tmp_path / "test_grouped.py").write_text(GROUPED, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup", "."]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    workers = (tmp_path / "workers.txt").read_text(encoding="utf-8").split()
    assert len(workers) == 20
    assert len(set(workers)) == 1
