"""sync_templates.py as its users run it: on a copy of the template folders, in step and out of step."""

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
    """Copies of snowflake/ and redshift/."""
    for warehouse in ("snowflake", "redshift"):
        ignored = shutil.ignore_patterns("__pycache__", ".mypy_cache")
        shutil.copytree(TEMPLATES / warehouse, tmp_path / warehouse, ignore=ignored)
    return tmp_path


def sync(mode: str, templates: Path) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), mode, "--templates", str(templates)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode, run.stderr


def test_the_repository_is_in_step(templates: Path) -> None:
    code, said = sync("--check", templates)
    assert code == 0, said
    assert "0 out of step" in said


@pytest.mark.parametrize(
    "name", ["push_metadata.py", "gateway.py", "pushkit/manifest.py", "collect_and_push_lineage.py", "requirements.txt"]
)
def test_drift_is_found_and_mended(templates: Path, name: str) -> None:
    copy = templates / "redshift" / name
    right = copy.read_bytes()
    copy.write_bytes(right + b"# edited in the wrong place\n")
    code, said = sync("--check", templates)
    assert code == 1
    assert f"redshift/{name}" in said
    assert copy.read_bytes() != right, "--check must not write"
    assert sync("--write", templates)[0] == 0
    assert copy.read_bytes() == right


def test_a_missing_copy_and_a_left_over_one_are_found(templates: Path) -> None:
    (templates / "redshift/pushkit/journal.py").unlink()
    (templates / "redshift/pushkit/old_name.py").write_text("# once shared\n")
    code, said = sync("--check", templates)
    assert code == 1
    assert "journal.py" in said
    assert "old_name.py" in said
    sync("--write", templates)
    assert (templates / "redshift/pushkit/journal.py").exists()
    assert not (templates / "redshift/pushkit/old_name.py").exists()


def test_nothing_to_compare_is_a_failure(templates: Path) -> None:
    shutil.rmtree(templates / "redshift")
    code, said = sync("--check", templates)
    assert code == 1
    assert "nothing to compare" in said


def test_lineage_scripts_go_only_where_lineage_is_collected(templates: Path) -> None:
    for path in (templates / "redshift").glob("*lineage.py"):
        path.unlink()
    code, said = sync("--check", templates)
    assert code == 1
    assert [line for line in said.splitlines() if "differs" in line] == [
        "redshift/requirements.txt: differs, is missing or is left over"
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


def test_a_copy_installs_its_own_driver_and_says_where_its_original_lives(templates: Path) -> None:
    text = (templates / "redshift/collect_and_push_metadata.py").read_text()
    assert "redshift-connector" in text
    assert "pycarlo" in text
    assert "snowflake-connector-python" not in text
    assert "snowflake/collect_and_push_metadata.py" in text.splitlines()[0]


def test_an_original_that_does_not_say_where_it_lives_is_found(templates: Path) -> None:
    original = templates / "snowflake/pushkit/sql_lineage.py"
    original.write_text(original.read_text().partition("\n")[2])
    sync("--write", templates)
    code, said = sync("--check", templates)
    assert code == 1
    assert "snowflake/pushkit/sql_lineage.py: the first line" in said
