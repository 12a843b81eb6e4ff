"""sync_templates.py, run as a process on a copy of the template folders: up to date, edited, incomplete."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.script_process import TEMPLATES

SCRIPT = TEMPLATES.parent / "sync_templates.py"


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Copies of snowflake/, redshift/ and _shared/."""
    for warehouse in ("snowflake", "redshift", "_shared"):
        ignored = shutil.ignore_patterns("__pycache__", ".mypy_cache")
        shutil.copytree(TEMPLATES / warehouse, tmp_path / warehouse, ignore=ignored)
    return tmp_path


def sync(mode: str, templates: Path) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), mode, "--templates", str(templates)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode, run.stderr


def test_the_repository_is_in_sync(templates: Path) -> None:
    code, said = sync("--check", templates)
    assert code == 0, said
    assert "0 out of date" in said


@pytest.mark.parametrize("name", ["push_metadata.py", "mcpush.py", "collect_and_push_lineage.py", "requirements.txt"])
@pytest.mark.parametrize("warehouse", ["snowflake", "redshift"])
def test_drift_is_found_and_repaired(templates: Path, warehouse: str, name: str) -> None:
    copy = templates / warehouse / name
    right = copy.read_bytes()
    copy.write_bytes(right + b"# edited in the wrong place\n")
    code, said = sync("--check", templates)
    assert code == 1
    assert f"{warehouse}/{name}" in said
    assert copy.read_bytes() != right, "--check must not write"
    assert sync("--write", templates)[0] == 0
    assert copy.read_bytes() == right


def test_a_change_of_a_source_reaches_every_folder(templates: Path) -> None:
    with (templates / "_shared/mcpush.py").open("a") as source:
        source.write("# changed\n")
    assert sync("--check", templates)[0] == 1
    assert sync("--write", templates)[0] == 0
    for warehouse in ("snowflake", "redshift"):
        assert (templates / warehouse / "mcpush.py").read_text().endswith("# changed\n")


def test_a_missing_copy_and_an_obsolete_one_are_found(templates: Path) -> None:
    (templates / "redshift/push_lineage.py").unlink()
    (templates / "redshift/push_statistics.py").write_text("# once shared\n")
    code, said = sync("--check", templates)
    assert code == 1
    assert "redshift/push_lineage.py" in said
    assert "redshift/push_statistics.py" in said
    sync("--write", templates)
    assert (templates / "redshift/push_lineage.py").exists()
    assert not (templates / "redshift/push_statistics.py").exists()


def test_a_copied_library_in_a_template_folder_is_found(templates: Path) -> None:
    (templates / "redshift/mcpush").mkdir()
    code, said = sync("--check", templates)
    assert code == 1
    assert "redshift/mcpush: remove it" in said


@pytest.mark.parametrize("gone", [["_shared"], ["snowflake", "redshift"]])
def test_nothing_to_check_is_a_failure(templates: Path, gone: list[str]) -> None:
    for name in gone:
        shutil.rmtree(templates / name)
    code, said = sync("--check", templates)
    assert code == 1
    assert "nothing to check" in said


def test_a_folder_without_collect_metadata_is_not_a_warehouse(templates: Path) -> None:
    (templates / "notes").mkdir()
    (templates / "notes/collect_lineage.py").write_text("# a sketch\n")
    assert sync("--check", templates)[0] == 0


def test_lineage_scripts_go_only_where_lineage_is_collected(templates: Path) -> None:
    (templates / "redshift/collect_lineage.py").unlink()
    code, said = sync("--check", templates)
    assert code == 1
    assert [line.partition(":")[0] for line in said.splitlines() if "differs" in line] == [
        "redshift/collect_and_push_lineage.py",
        "redshift/push_lineage.py",
        "redshift/requirements.txt",
    ]
    assert sync("--write", templates)[0] == 0
    assert not list((templates / "redshift").glob("*lineage.py"))
    assert "sqlglot" not in (templates / "redshift/requirements.txt").read_text()
    assert sync("--check", templates)[0] == 0


def test_the_list_for_pip_follows_the_scripts(templates: Path) -> None:
    script = templates / "redshift/collect_query_logs.py"
    script.write_text(script.read_text().replace('"redshift-connector>=2.2,<3"', '"redshift-connector>=2.3,<3"'))
    assert sync("--check", templates)[0] == 1
    sync("--write", templates)
    assert "redshift-connector>=2.3,<3\n" in (templates / "redshift/requirements.txt").read_text()
    (templates / "redshift/requirements.txt").unlink()
    assert sync("--check", templates)[0] == 1


def test_a_copy_installs_its_own_driver_and_names_its_source(templates: Path) -> None:
    text = (templates / "redshift/collect_and_push_metadata.py").read_text()
    assert "redshift-connector" in text
    assert "pycarlo" in text
    assert "snowflake-connector-python" not in text
    assert "_shared/collect_and_push_metadata.py" in text.splitlines()[0]


def test_a_source_that_does_not_name_itself_is_found(templates: Path) -> None:
    source = templates / "_shared/mcpush.py"
    source.write_text(source.read_text().partition("\n")[2])
    sync("--write", templates)
    code, said = sync("--check", templates)
    assert code == 1
    assert "_shared/mcpush.py: the first line" in said


# --- families: folders whose names start alike ------------------------------------------------------------------------


SOURCE = "Shared; the source is scripts/templates/_shared"


@pytest.fixture
def family(templates: Path) -> Path:
    """The templates, with a family ``redshift`` of two folders and a folder whose name only starts like theirs."""
    for name in ("redshift-spectrum", "red"):
        (templates / name).mkdir()
        shutil.copy(templates / "redshift/collect_metadata.py", templates / name)
    shared = templates / "_shared/redshift"
    shared.mkdir()
    for module in ("signing", "errors"):
        (shared / f"{module}.py").write_text(
            f"# Shared; the source is scripts/templates/_shared/redshift/{module}.py.\n"
        )
    assert sync("--write", templates)[0] == 0
    return templates


def holders(templates: Path, name: str) -> set[str]:
    return {path.parent.name for path in templates.glob(f"*/{name}")} - {"_shared"}


def test_modules_of_a_family_are_copied_to_its_folders_only(family: Path) -> None:
    assert holders(family, "signing.py") == {"redshift", "redshift-spectrum"}
    source = (family / "_shared/redshift/signing.py").read_bytes()
    assert (family / "redshift-spectrum/signing.py").read_bytes() == source
    assert holders(family, "mcpush.py") == {"snowflake", "redshift", "redshift-spectrum", "red"}
    code, said = sync("--check", family)
    assert (code, "0 out of date" in said) == (0, True)


@pytest.mark.parametrize("folder", ["redshift", "redshift-spectrum"])
def test_drift_in_a_family_is_found_and_repaired(family: Path, folder: str) -> None:
    copy = family / folder / "errors.py"
    right = copy.read_bytes()
    copy.write_bytes(b"# edited in the wrong place\n")
    code, said = sync("--check", family)
    assert code == 1
    assert f"{folder}/errors.py" in said
    sync("--write", family)
    assert copy.read_bytes() == right


def test_copies_of_a_module_that_left_the_family_are_removed(family: Path) -> None:
    (family / "_shared/redshift/errors.py").unlink()
    code, said = sync("--check", family)
    assert code == 1
    assert [line.partition(":")[0] for line in said.splitlines() if "differs" in line] == [
        "redshift/errors.py",
        "redshift-spectrum/errors.py",
    ]
    assert holders(family, "errors.py") == {"redshift", "redshift-spectrum"}, "--check removes nothing"
    assert sync("--write", family)[0] == 0
    assert holders(family, "errors.py") == set()
    assert sync("--check", family)[0] == 0


def test_a_copy_in_a_folder_outside_the_family_is_removed(family: Path) -> None:
    shutil.copy(family / "redshift/signing.py", family / "red")
    code, said = sync("--check", family)
    assert code == 1
    assert "red/signing.py" in said
    sync("--write", family)
    assert holders(family, "signing.py") == {"redshift", "redshift-spectrum"}


def test_modules_of_a_folder_itself_stay(family: Path) -> None:
    own = family / "redshift/own.py"
    own.write_text('"""Own; like scripts/templates/_shared/redshift/signing.py."""\n')
    sync("--write", family)
    assert own.exists()


def test_a_module_of_a_family_that_does_not_name_itself_is_found(family: Path) -> None:
    (family / "_shared/redshift/signing.py").write_text(
        "# Shared; the source is scripts/templates/_shared/signing.py.\n"
    )
    sync("--write", family)
    code, said = sync("--check", family)
    assert code == 1
    assert "_shared/redshift/signing.py: the first line" in said
