"""The stub mcpush.py finds the bundle's library, defers to a copied one, and never runs a foreign one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from tests.folders.bundles import FLOWS_OF, WAREHOUSES, copied_bundle, files_of, new_push, release_of
from tests.script_process import KINDS, SCRIPTS, TEMPLATES, Run, clean_environment, run_script

SCRIPT = "collect_metadata.py"  # starts fastest
MARK = "ran.txt"
STRANGER = 54_321  # an unused user id
PLANTED = """
with open({mark!r}, "a") as file:
    file.write(__file__ + "\\n")
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that planted code writes if it runs."""
    return tmp_path / MARK


@pytest.fixture
def one_copy(bundle: Path, tmp_path: Path) -> Path:
    """A copy of only the template folder, in a deep path."""
    folder = tmp_path / "srv/jobs/warehouse/my-push"
    shutil.copytree(bundle / "templates/snowflake", folder)
    return folder


def plant(library: Path, mark: Path) -> None:
    """Create a foreign library with the modules of the real one. Each module leaves a mark if it runs."""
    for name in files_of(SCRIPTS / "mcpush"):
        if name.endswith(".py"):
            (library / name).parent.mkdir(parents=True, exist_ok=True)
            (library / name).write_text(PLANTED.format(mark=str(mark)), encoding="utf-8")
    (library / "version.py").write_text(PLANTED.format(mark=str(mark)) + 'RELEASE = "6.6.6"\n', encoding="utf-8")


def run(folder: Path, script: str = SCRIPT, cwd: Path | None = None, env: dict[str, str] | None = None) -> Run:
    return run_script(folder, script, "--version", env=env or {}, cwd=cwd)


def check_works(bundle: Path, run: Run, script: str = SCRIPT) -> None:
    assert run.check(0).stdout == f"{script} {release_of(bundle)}\n"


def check_refused(run: Run, folder: Path) -> None:
    """Assert exit code 2, and a message that says what is missing and what to do."""
    run.check(2)
    assert run.stdout == ""
    said = " ".join(run.stderr.split())
    assert said.startswith("error: the library is missing")
    assert str(folder.resolve() / "mcpush") in said
    assert "python scripts/new_push.py WAREHOUSE" in said
    assert "copy the bundle's scripts/mcpush into it" in said
    assert "Do not pip install mcpush" in said
    assert "Traceback" not in said


INSPECT = """
import json, sys
sys.path[0] = sys.argv[1]
import mcpush
names = sorted(name for name in vars(mcpush) if not name.startswith("__"))
import mcpush.version
print(json.dumps([names, list(mcpush.__path__), mcpush.version.__file__]))
"""


def inspect(folder: Path) -> tuple[list[str], list[str], str]:
    """The names that ``import mcpush`` defines in a folder, its __path__, and the file of mcpush.version."""
    command = [sys.executable, "-c", INSPECT, str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment({}))
    names, path, version = json.loads(found.stdout)
    return names, path, version


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_in_place_the_stub_only_finds_the_library(warehouse: str) -> None:
    names, path, version = inspect(TEMPLATES / warehouse)
    assert names == []
    assert path == [str(SCRIPTS / "mcpush")]
    assert version == str(SCRIPTS / "mcpush/version.py")


def test_the_library_defines_no_more_than_the_stub(bundle: Path, tmp_path: Path) -> None:
    """Otherwise a script might only run in place, or only in a copy."""
    new_push(bundle, "snowflake", tmp_path / "my-push").check(0)
    names, path, version = inspect(tmp_path / "my-push")
    assert names == []
    assert path == [str(tmp_path / "my-push/mcpush")]
    assert version == str(tmp_path / "my-push/mcpush/version.py")


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_scripts_of_a_single_copy_refuse(warehouse: str, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my-push"
    shutil.copytree(bundle / "templates" / warehouse, folder)
    for kind, flow in zip(KINDS, cycle(FLOWS_OF[warehouse]), strict=False):
        script = f"{kind}_{flow}.py"
        check_refused(run(folder, script, cwd=folder), folder)


def test_a_single_copy_next_to_the_bundle_refuses(bundle: Path, tmp_path: Path) -> None:
    """Two levels below the bundle's scripts/, and in the bundle's root."""
    for folder in (tmp_path / "scripts/mine/my-push", tmp_path / "my-push"):
        shutil.copytree(bundle, tmp_path / "scripts", dirs_exist_ok=True)
        shutil.copytree(bundle / "templates/snowflake", folder)
        check_refused(run(folder), folder)


@pytest.mark.parametrize("second", ["my-push/", "my-push/mcpush"])
def test_both_forms_of_the_second_copy_work_and_overwrite_nothing(second: str, bundle: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(bundle, scripts)
    commands = f"cp -r scripts/templates/snowflake my-push && cp -r scripts/mcpush {second}"
    subprocess.run(commands, shell=True, check=True, cwd=tmp_path)  # noqa: S602 - as the documents show it
    folder = tmp_path / "my-push"
    template = files_of(bundle / "templates/snowflake")
    library = {f"mcpush/{name}": content for name, content in files_of(bundle / "mcpush").items()}
    assert files_of(folder) == template | library
    assert (folder / "mcpush.py").is_file()
    shutil.rmtree(scripts)
    assert inspect(folder)[1] == [str(folder / "mcpush")]
    check_works(bundle, run(folder, cwd=tmp_path))


def test_the_planted_library_leaves_a_mark_if_it_runs(tmp_path: Path, mark: Path) -> None:
    """The tests below rely on this."""
    plant(tmp_path / "mcpush", mark)
    (tmp_path / "script.py").write_text("from mcpush.version import RELEASE\nprint(RELEASE)\n")
    assert run_script(tmp_path, "script.py", env={}).check(0).stdout == "6.6.6\n"
    assert [Path(line).name for line in mark.read_text().splitlines()] == ["__init__.py", "version.py"]


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_library_planted_above_a_single_copy_does_not_run(levels: int, one_copy: Path, mark: Path) -> None:
    plant(one_copy.parents[levels - 1] / "mcpush", mark)
    check_refused(run(one_copy), one_copy)
    check_refused(run(one_copy, cwd=one_copy), one_copy)
    assert not mark.exists()


@pytest.mark.parametrize("form", ["a directory", "a file"])
def test_a_library_planted_in_the_current_directory_does_not_run(
    form: str, bundle: Path, one_copy: Path, tmp_path: Path, mark: Path
) -> None:
    here = tmp_path / "here"
    plant(here / "mcpush", mark)
    if form == "a file":
        shutil.move(here / "mcpush/version.py", here / "mcpush.py")
        shutil.rmtree(here / "mcpush")
    check_refused(run(one_copy, cwd=here), one_copy)
    check_works(bundle, run(TEMPLATES / "snowflake", cwd=here))
    assert not mark.exists()


def named_templates(top: Path, mark: Path) -> Path:
    plant(top / "mcpush", mark)
    return top / "templates/my-push"


def template_in_templates(top: Path, mark: Path) -> Path:
    plant(top / "mcpush", mark)
    return top / "templates/snowflake"


def next_to_the_folder(top: Path, mark: Path) -> Path:
    plant(top / "templates/mcpush", mark)
    plant(top / "mcpush", mark)
    return top / "templates/snowflake"


def new_push_is_a_directory(top: Path, mark: Path) -> Path:
    plant(top / "mcpush", mark)
    (top / "new_push.py").mkdir()
    return top / "templates/snowflake"


def new_push_is_too_high(top: Path, mark: Path) -> Path:
    plant(top / "scripts/mcpush", mark)
    (top / "new_push.py").touch()
    return top / "scripts/templates/snowflake"


def other_name_next_to_new_push(top: Path, mark: Path) -> Path:
    plant(top / "mcpush", mark)
    (top / "new_push.py").touch()
    return top / "folders/snowflake"


def deeper_than_a_template(top: Path, mark: Path) -> Path:
    plant(top / "mcpush", mark)
    (top / "new_push.py").touch()
    return top / "templates/mine/snowflake"


def no_version_in_the_library(top: Path, mark: Path) -> Path:
    plant(top / "mcpush", mark)
    (top / "mcpush/version.py").unlink()
    (top / "new_push.py").touch()
    return top / "templates/snowflake"


@pytest.mark.parametrize(
    "lay",
    [
        named_templates,
        template_in_templates,
        next_to_the_folder,
        new_push_is_a_directory,
        new_push_is_too_high,
        other_name_next_to_new_push,
        deeper_than_a_template,
        no_version_in_the_library,
    ],
    ids=lambda lay: lay.__name__.replace("_", " "),
)
def test_a_folder_that_only_looks_like_the_bundle_does_not_run(
    lay: Callable[[Path, Path], Path], bundle: Path, tmp_path: Path, mark: Path
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    folder = lay(top, mark)
    shutil.copytree(bundle / "templates/snowflake", folder)
    check_refused(run(folder), folder)
    check_refused(run(folder, cwd=top), folder)
    assert not mark.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to another user")
@pytest.mark.parametrize("foreign", ["new_push.py", "mcpush", "mcpush/version.py"])
def test_files_of_another_user_are_not_taken_for_the_bundle(
    foreign: str, bundle: Path, tmp_path: Path, mark: Path
) -> None:
    """The folder is ours, but others can write to its parent: the owner of the other files decides."""
    top = tmp_path / "top"
    plant(top / "mcpush", mark)
    (top / "new_push.py").touch()
    folder = top / "templates/snowflake"
    shutil.copytree(bundle / "templates/snowflake", folder)
    os.chown(top / foreign, STRANGER, STRANGER)
    check_refused(run(folder, cwd=top), folder)
    assert not mark.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to another user")
@pytest.mark.parametrize("owner", ["root", "one user"])
def test_a_bundle_owned_by_root_or_by_one_user_works(owner: str, bundle: Path, tmp_path: Path) -> None:
    scripts = Path(shutil.copytree(bundle, tmp_path / "scripts"))
    folder = scripts / "templates/snowflake"
    for path in [folder, *folder.rglob("*")] if owner == "root" else [scripts, *scripts.rglob("*")]:
        os.chown(path, STRANGER, STRANGER)
    check_works(bundle, run(folder))


def test_a_bundle_without_its_library_refuses(bundle: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(bundle, scripts)
    folder = scripts / "templates/snowflake"
    check_works(bundle, run(folder))
    shutil.rmtree(scripts / "mcpush")
    check_refused(run(folder), folder)


def test_a_complete_folder_only_runs_its_own_library(bundle: Path, tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "srv/templates/my-push"
    new_push(bundle, "snowflake", folder).check(0)
    plant(tmp_path / "srv/mcpush", mark)
    plant(tmp_path / "srv/templates/mcpush", mark)
    plant(tmp_path / "mcpush", mark)
    (tmp_path / "srv/new_push.py").touch()
    for cwd in (tmp_path, folder):
        check_works(bundle, run(folder, cwd=cwd))
    assert not mark.exists()


def test_a_symlinked_template_folder_uses_the_bundles_library(bundle: Path, tmp_path: Path, mark: Path) -> None:
    link = tmp_path / "a/b/my-push"
    link.parent.mkdir(parents=True)
    link.symlink_to(bundle / "templates/snowflake", target_is_directory=True)
    plant(tmp_path / "mcpush", mark)
    plant(tmp_path / "a/mcpush", mark)
    check_works(bundle, run(link, cwd=tmp_path))
    assert inspect(link)[1] == [str(bundle / "mcpush")]
    assert not mark.exists()


def test_a_symlink_to_a_single_copy_refuses(one_copy: Path, tmp_path: Path, mark: Path) -> None:
    """Even if the link is where a template would be: only the location of the stub itself counts."""
    top = tmp_path / "top"
    plant(top / "mcpush", mark)
    (top / "new_push.py").touch()
    (top / "templates").mkdir()
    (top / "templates/snowflake").symlink_to(one_copy, target_is_directory=True)
    check_refused(run(top / "templates/snowflake", cwd=top), one_copy)
    assert not mark.exists()


def test_a_cached_stub_does_not_work_in_a_copy(bundle: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(bundle, scripts)
    folder = scripts / "templates/snowflake"
    check_works(bundle, run(folder, env={"PYTHONDONTWRITEBYTECODE": ""}))
    assert list(folder.glob("__pycache__/mcpush.*"))
    shutil.copytree(folder, tmp_path / "my-push")  # keeps modification times, so that the caches stay valid
    check_refused(run(tmp_path / "my-push"), tmp_path / "my-push")


def test_the_message_can_be_printed_in_any_encoding(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "größe 数据"
    shutil.copytree(bundle / "templates/snowflake", folder)
    plain = run(folder, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}).check(2)
    assert "gr\\xf6\\xdfe \\u6570\\u636e/mcpush does not exist" in plain.stderr
    check_refused(run(folder, env={"PYTHONUTF8": "1"}), folder)
