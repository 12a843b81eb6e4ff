"""The warehouses of a new sandbox: the built-in types, then those of the template folders, which are never run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox_process import SandboxProcess
from tests.script_process import SCRIPTS

ALWAYS = ["snowflake", "bigquery", "databricks", "redshift", "data-lake"]
# A collector that exits if it is imported.
TEMPLATE = """
raise SystemExit("a template folder was imported")

COLLECTOR = Collector(flow="metadata", warehouse="new", resource={resource})
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A bundle with the sandbox and ``folders``, but without templates."""
    scripts = tmp_path / "scripts"
    for name in ("sandbox", "folders"):
        shutil.copytree(SCRIPTS / name, scripts / name, ignore=shutil.ignore_patterns("__pycache__"))
    return scripts


def add_template(scripts: Path, name: str, resource: str, script: str = "collect_metadata.py") -> None:
    folder = scripts / "templates" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / script).write_text(TEMPLATE.format(resource=resource), encoding="utf-8")


def types_of(program: Path, data: Path) -> list[str]:
    """Return the types of a new sandbox's warehouses, in order. Check that each has a variable, and the default one."""
    with SandboxProcess(data, program=program) as sandbox:
        warehouses = sandbox.settings["warehouses"]
        for each in warehouses:
            assert sandbox.resource(each["type"]) == each["uuid"]
        assert sandbox.env["MCD_RESOURCE_UUID"] == warehouses[0]["uuid"]
    return [each["type"] for each in warehouses]


def test_a_new_folder_adds_its_type(scripts: Path, tmp_path: Path) -> None:
    add_template(scripts, "zebra", '"teradata"')
    add_template(scripts, "antelope", '"clickhouse"')
    add_template(scripts, "antelope", '"clickhouse-logs"', "collect_query_logs.py")  # a log type, not a resource type
    add_template(scripts, "impala", '"data-lake"')
    add_template(scripts, "notes", '"nothing"', "collect_lineage.py")  # not a warehouse
    assert types_of(scripts / "sandbox", tmp_path / "data") == [*ALWAYS, "clickhouse", "teradata"]


@pytest.mark.parametrize("missing", ["templates", "folders"])
def test_it_runs_without_template_folders(missing: str, scripts: Path, tmp_path: Path) -> None:
    """In a bundle without templates, and in a copy of only the sandbox."""
    if missing == "folders":
        shutil.rmtree(scripts / "folders")
    assert types_of(scripts / "sandbox", tmp_path / "data") == ALWAYS


def test_a_folder_without_a_literal_type_stops_only_a_new_sandbox(scripts: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(scripts / "sandbox"), "--port", "0", "--data", str(tmp_path / "new")]
    (tmp_path / "new/sandbox.db").mkdir(parents=True)  # so that a sandbox that starts anyway exits too
    for resource in ("RESOURCE", '"a" if THERE else "b"', "("):
        add_template(scripts, "half_written", resource)
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 2, resource
        assert str(scripts / "templates/half_written/collect_metadata.py") in run.stderr
        assert "Traceback" not in run.stderr
        assert not (tmp_path / "new/sandbox.json").exists()
    warehouses = [{"uuid": "0b1c3d52-8f0e-4c57-b7a3-1f0f3a5ad2a1", "name": "shop", "type": "snowflake"}]
    settings = {"keys": [], "warehouses": warehouses}
    with SandboxProcess(tmp_path / "old", settings=settings, program=scripts / "sandbox") as sandbox:
        assert sandbox.settings["warehouses"] == warehouses
