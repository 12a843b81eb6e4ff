"""The Makefile discovers the warehouses and detects changes of their requirements; all pins agree."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PINS = ("requirements-dev.txt", "constraints.txt")  # without the hashes in requirements-folders.txt
HASHED = ("requirements-dev.txt", "requirements-check.txt", "requirements-folders.txt")
LOCKS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/warehouses/*/requirements.lock"))
STAMPS = (".venv/.ready", ".envs/.ready")
BEFORE, BUILT, AFTER = 1_000_000_000, 1_100_000_000, 1_200_000_000  # modification times
FILES = (
    *("scripts/templates/old/collect_metadata.py", "scripts/templates/old/requirements.txt"),
    *("tests/templates/old/requirements.txt", "tests/warehouses/old/requirements.txt"),
    *("scripts/templates/notes/requirements.txt", "tests/warehouses/notes/requirements.txt"),
    *(*PINS, "requirements-folders.txt", "uv.lock", *STAMPS),
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
    for name in (*PINS, "requirements-folders.txt", "uv.lock"):
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
        text = re.split(r" \\$|\s+#|^#", line)[0]
        if text and not text.startswith(" "):
            requirement = Requirement(text)
            assert not requirement.extras or "warehouses" in name, f"{name}: pip does not support extras in constraints"
            (version,) = (each.version for each in requirement.specifier if each.operator == "==")
            found.setdefault(canonicalize_name(requirement.name), set()).add(version)
    return found


def test_both_lists_pin_the_same_versions() -> None:
    own, of_folders = map(pinned, PINS)
    both = own.keys() & of_folders.keys()
    assert "pycarlo" in both
    # A folder can need a package for some Python versions only.
    assert [name for name in both if not of_folders[name] <= own[name]] == []


def test_the_list_with_hashes_has_the_same_versions() -> None:
    assert pinned("requirements-folders.txt") == pinned("constraints.txt")


@pytest.mark.parametrize("name", [*HASHED, *LOCKS])
def test_every_package_has_hashes_of_its_files(name: str) -> None:
    """pip then refuses a package without a hash, or with another one. No line names an index or a file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    packages = re.split(r"(?m)^(?=[a-z])", re.sub(r"(?m)^#.*\n", "", text))[1:]
    assert len(packages) > 1
    for package in packages:
        assert re.fullmatch(r"\S+==\S+( ; [^\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n", package), package


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_of_a_server_has_the_versions_of_its_requirements(name: str) -> None:
    locked, wanted = pinned(name), pinned(name.replace(".lock", ".txt"))
    newer = {package: versions for package, versions in wanted.items() if package != "tomli"}  # only for Python 3.10
    assert {package: locked.get(package) for package in newer} == newer


WRONG_HASH = """
import sys
import zipfile
from pathlib import Path
from tests.warehouses import environments as e
e.ENVIRONMENTS, e.REQUIREMENTS, e.REPOSITORY = (Path(each) for each in sys.argv[1:4])
e.shutil.which = lambda name: None  # pip, also if uv is installed
sys.exit(e.main(["tiny"]))
"""


@pytest.mark.stress  # an environment with pip takes half a minute on a slow machine
def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    """An empty wheel that pip finds in a folder, because no index is needed to notice it."""
    wheel = tmp_path / "files" / "tiny_server-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny_server-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-server\nVersion: 1.0\n")
        file.writestr(
            "tiny_server-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("tiny_server-1.0.dist-info/RECORD", "")
    folder = tmp_path / "warehouses" / "tiny"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("tiny-server==1.0\n")
    (folder / "requirements.lock").write_text(f"tiny-server==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    places = [str(tmp_path / "environments"), str(tmp_path / "warehouses"), str(tmp_path)]
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}
    command = [sys.executable, "-c", WRONG_HASH, *places]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "DO NOT MATCH THE HASHES" in run.stderr
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() in run.stderr, "the wheel was found"


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
