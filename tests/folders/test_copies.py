"""Copied folders work as in place: their scripts run, push, parse SQL, can be installed, and pass type checkers."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.folders.bundles import (
    FOLDER_FLOWS,
    RECORD,
    WAREHOUSES,
    change,
    copied_bundle,
    files_of,
    new_push,
    release_of,
)
from tests.sandbox_process import SandboxProcess
from tests.script_process import KINDS, SCRIPTS, TEMPLATES, clean_environment, run_script, started_script, wait_for

ROOT = SCRIPTS.parent
ALL_SCRIPTS = [(warehouse, f"{kind}_{flow}.py") for warehouse, flow in FOLDER_FLOWS for kind in KINDS]
MANIFEST_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders <warehouse> (by new_push.py) and <warehouse>-by-hand (two copies). Their bundle was deleted."""
    home = tmp_path_factory.mktemp("copies")
    scripts = copied_bundle(home / "bundle")
    for warehouse in WAREHOUSES:
        new_push(scripts, warehouse, home / warehouse).check(0)
        shutil.copytree(scripts / "templates" / warehouse, home / f"{warehouse}-by-hand")
        shutil.copytree(scripts / "mcpush", home / f"{warehouse}-by-hand/mcpush")
    shutil.rmtree(home / "bundle")
    return home


# --- the scripts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("warehouse", "script"), ALL_SCRIPTS)
def test_a_copied_script_has_the_same_help_as_in_place(
    warehouse: str, script: str, copies: Path, tmp_path: Path
) -> None:
    """Starts both in another directory, concurrently to save time."""
    env = {"COLUMNS": "100"}
    with started_script(TEMPLATES / warehouse, script, "--help", env=env, cwd=tmp_path) as in_place:
        copied = run_script(copies / warehouse, script, "--help", env=env, cwd=tmp_path).check(0)
        assert wait_for(in_place).check(0).stdout == copied.stdout
    assert f"usage: {script}" in copied.stdout
    assert "exit codes: 0 done" in copied.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_a_copied_script_reports_the_release_of_its_bundle(warehouse: str, copies: Path, tmp_path: Path) -> None:
    for folder in (TEMPLATES / warehouse, copies / warehouse, copies / f"{warehouse}-by-hand"):
        for script in ("collect_metadata.py", "push_metadata.py"):
            said = run_script(folder, script, "--version", env={}, cwd=tmp_path).check(0).stdout
            assert said == f"{script} {release_of(SCRIPTS)}\n"


def without_run_details(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without times and ids, which differ between runs."""
    return {name: value for name, value in summary.items() if name not in ("seconds", "invocation_ids")}


def test_a_push_is_the_same_from_every_folder(copies: Path, tmp_path: Path, sandbox: SandboxProcess) -> None:
    (block,) = MANIFEST_BLOCK.findall((ROOT / "references/manifest.md").read_text(encoding="utf-8"))
    summaries, events = [], []
    for number, folder in enumerate([TEMPLATES / "snowflake", copies / "snowflake", copies / "snowflake-by-hand"]):
        cwd = tmp_path / str(number)
        cwd.mkdir()
        (cwd / "metadata.jsonl").write_text(block, encoding="utf-8")
        untouched = files_of(folder)
        summary = run_script(folder, "push_metadata.py", env=sandbox.env, cwd=cwd).check(0).summary
        assert files_of(folder) == untouched
        (invocation,) = summary["invocation_ids"]
        events.append(list(sandbox.received("metadata", invocation)))
        summaries.append(without_run_details(summary))
    assert summaries[0]["status"] == "complete"
    assert summaries[0]["records_accepted"] == 1
    assert summaries == [summaries[0]] * 3
    assert len(events[0]) == 1
    assert events == [events[0]] * 3


# --- SQL lineage, which starts worker processes ---------------------------------------------------------

READER = """
import sys
from datetime import datetime, timezone
from pathlib import Path
import mcpush.sql
from mcpush.lineage.query_log import LineageLog
from mcpush.sql import Defaults

def main() -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    with LineageLog("redshift", workers=2) as log:
        for number in range(20):
            text = f"INSERT INTO t{number} SELECT a FROM s{number}"
            log.add(text, session="1", defaults=Defaults("dev", "public"), at=at)
        found = {(source.name, each.asset.name) for each in log.targets() for source in each.sources.values()}
    assert found == {(f"s{number}", f"t{number}") for number in range(20)}, found
    print(Path(mcpush.sql.__file__).parents[1])

if __name__ == "__main__":
    main()
"""
PLANTED = """
with open({mark!r}, "a") as file:
    file.write(__name__)
raise SystemExit
"""


def read_sql(folder: Path, cwd: Path) -> Path:
    """Parse SQL in workers with a script in the folder. Returns the path of the library that it used."""
    script = folder / "read_sql.py"
    script.write_text(READER, encoding="utf-8")
    try:
        return Path(run_script(folder, script.name, env={}, cwd=cwd).check(0).stdout.strip())
    finally:
        script.unlink()


@pytest.fixture
def places(copies: Path, tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    """Folders of scripts with their libraries: the template folder in place, and copies."""
    scripts = copied_bundle(tmp_path / "bundle")
    return {
        "in place": (scripts / "templates/redshift", scripts / "mcpush"),
        "new_push": (copies / "redshift", copies / "redshift/mcpush"),
        "by hand": (copies / "redshift-by-hand", copies / "redshift-by-hand/mcpush"),
    }


@pytest.mark.parametrize("place", ["in place", "new_push", "by hand"])
def test_the_workers_that_read_sql_find_the_library(
    place: str, places: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    folder, library = places[place]
    assert read_sql(folder, tmp_path) == library


@pytest.mark.parametrize("planted", ["mcpush", "sqlglot", "queue"])
@pytest.mark.parametrize("place", ["in place", "new_push"])
def test_the_workers_run_no_code_in_the_current_directory(
    planted: str, place: str, places: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """As in Python itself, which puts the script's folder first on the path."""
    folder, library = places[place]
    mark = tmp_path / "ran.txt"
    here = tmp_path / "here"
    (here / planted).mkdir(parents=True)
    (here / planted / "__init__.py").write_text(PLANTED.format(mark=str(mark)), encoding="utf-8")
    try:
        assert read_sql(folder, here) == library
    finally:
        assert not mark.exists(), "code in the current directory ran"


# --- installing -----------------------------------------------------------------------------------------


def succeeds(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that has to exit with 0, and return its stdout."""
    run = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean_environment(env or {}), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    return run.stdout


def test_the_scripts_run_with_only_requirements_txt_installed(copies: Path, tmp_path: Path) -> None:
    folder = tmp_path / "redshift"
    shutil.copytree(copies / "redshift", folder)
    succeeds(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    succeeds(python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt", cwd=folder)
    succeeds(python, "-m", "pip", "check", cwd=folder)
    assert "mcpush" not in succeeds(python, "-m", "pip", "list", cwd=folder)
    for script in ("collect_and_push_metadata.py", "collect_and_push_lineage.py", "collect_and_push_query_logs.py"):
        # -E and -s: only packages of the new environment can be imported.
        said = succeeds(python, "-E", "-s", folder / script, "--version", cwd=tmp_path)
        assert said == f"{script} {release_of(SCRIPTS)}\n"
    (folder / "read_sql.py").write_text(READER, encoding="utf-8")
    assert succeeds(python, "-E", "-s", folder / "read_sql.py", cwd=tmp_path).strip() == str(folder / "mcpush")


def index_that_pip_uses() -> dict[str, str]:
    """Variables that give uv the package index and certificates of pip, whose configuration it does not read.

    Empty if uv created the environment, which then has no pip: uv uses its own configuration.
    """
    if find_spec("pip") is None:
        return {}
    listed = succeeds(sys.executable, "-m", "pip", "config", "list", cwd=ROOT)
    found = dict(re.findall(r"(?m)^(?::env:|\w+)\.(index-url|cert)=(.*)$", listed))
    variables = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
    return {
        variables[name]: ast.literal_eval(value) for name, value in found.items() if variables[name] not in os.environ
    }


def test_uv_runs_and_locks_a_script_as_in_the_readme(copies: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(copies / "snowflake", tmp_path / "my-push"))
    script = "collect_and_push_metadata.py"
    env = index_that_pip_uses() | {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    uv = [sys.executable, "-m", "uv"]
    said = f"{script} {release_of(SCRIPTS)}\n"
    assert succeeds(*uv, "run", script, "--version", cwd=folder, env=env) == said
    succeeds(*uv, "lock", "--script", script, cwd=folder, env=env)
    assert "sha256:" in (folder / f"{script}.lock").read_text(encoding="utf-8")
    assert succeeds(*uv, "run", "--locked", script, "--version", cwd=folder, env=env) == said
    change(folder / script, '"tenacity>=', '"six>=1",\n#     "tenacity>=')
    locked = [*uv, "run", "--locked", script, "--version"]
    run = subprocess.run(locked, cwd=folder, env=clean_environment(env), capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert run.stdout == ""
    assert "needs to be updated" in run.stderr


def test_uv_can_create_a_folder(tmp_path: Path) -> None:
    env = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never", "UV_OFFLINE": "1"}
    command = [sys.executable, "-m", "uv", "run", str(SCRIPTS / "new_push.py"), "redshift", "my-push"]
    succeeds(*command, cwd=tmp_path, env=env)
    assert (tmp_path / "my-push" / RECORD).is_file()


# --- type checkers --------------------------------------------------------------------------------------

# Both type checkers have to find this one error, which shows that they use the library's types and not Any.
WRONG = """\"\"\"Takes a text for a number.\"\"\"

from mcpush.version import RELEASE

NUMBER: int = RELEASE
"""
# pycarlo has type annotations, but no py.typed.
MYPY_SETTINGS = "[mypy]\npython_version = 3.10\n[mypy-pycarlo.*]\nfollow_untyped_imports = True\n"


@pytest.fixture(scope="module")
def checked(copies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copies, each with an invalid module, and settings for both type checkers."""
    home = tmp_path_factory.mktemp("checked") / "copies"
    shutil.copytree(copies, home, ignore=shutil.ignore_patterns("redshift-by-hand"))
    for folder in home.iterdir():
        (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    environments = [{"root": warehouse} for warehouse in WAREHOUSES]
    settings = {
        "typeCheckingMode": "standard",
        "pythonVersion": "3.10",
        "include": WAREHOUSES,
        "executionEnvironments": environments,
    }
    (home / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    (home / "mypy.ini").write_text(MYPY_SETTINGS, encoding="utf-8")
    return home


def modules_of(folders: Iterable[Path]) -> int:
    """The number of modules in the folders, without the stubs, which packages with the same name shadow."""
    return sum(path.name != "mcpush.py" for folder in folders for path in folder.rglob("*.py"))


@pytest.mark.parametrize(
    ("name", "options"), [*((name, ["--strict"]) for name in WAREHOUSES), ("snowflake-by-hand", [])]
)
def test_mypy_passes_in_a_copy(name: str, options: list[str], checked: Path) -> None:
    folder = checked / name
    settings = ["--config-file", str(checked / "mypy.ini"), "--cache-dir", str(checked.parent / "cache")]
    command = [sys.executable, "-m", "mypy", *settings, *options, "."]
    run = subprocess.run(command, cwd=folder, env=clean_environment({}), capture_output=True, text=True, check=False)
    *errors, summary = run.stdout.splitlines()
    assert len(errors) == 1, run.stdout
    assert errors[0].startswith("wrong.py:5: error: Incompatible types in assignment")
    assert f"(checked {modules_of([folder])} source files)" in summary
    assert run.returncode == 1


def test_pyright_passes_in_a_copy(checked: Path) -> None:
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(checked)]
    run = subprocess.run(command, cwd=checked, env=clean_environment({}), capture_output=True, text=True, check=False)
    found = json.loads(run.stdout)
    folders = [checked / warehouse for warehouse in WAREHOUSES]
    errors = [each for each in found["generalDiagnostics"] if each["severity"] == "error"]
    assert sorted(each["file"] for each in errors) == sorted(str(folder / "wrong.py") for folder in folders), errors
    assert {each["rule"] for each in errors} == {"reportAssignmentType"}
    assert found["summary"]["filesAnalyzed"] >= modules_of(folders)
    assert run.returncode == 1
