"""Fixtures: a local Databricks, the folder's modules, and the metadata script in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests.collected import Collected, Record
from tests.folder_modules import MetadataScript, imported
from tests.script_process import TEMPLATES, Run
from tests.warehouses.databricks.launch import DatabricksServer
from tests.warehouses.databricks.truth import Warehouse

PREFIXES = ("DATABRICKS_", "ARM_", "GOOGLE_")


@dataclass
class Scripts(MetadataScript):
    """``modules`` are the folder's, by name."""

    server: DatabricksServer
    modules: dict[str, ModuleType]

    def load(self, warehouse: Warehouse) -> None:
        self.server.load(warehouse)

    def attempt(self, *arguments: str, without: str = "", **changes: str) -> Run:
        """Run the script with a token. ``without`` is a variable to leave out."""
        environment: Mapping[str, str] = {**self.server.environment(), **changes}
        kept = {name: value for name, value in environment.items() if name != without}
        return self.run({**kept, "HOME": str(self.work)}, *arguments)

    def collect(self, *arguments: str, **changes: str) -> Collected:
        """Run the script, which must succeed, and read its manifest."""
        self.attempt(*arguments, **changes).check()
        return Collected.read(self.work / "metadata.jsonl")

    def records(self, *arguments: str, **changes: str) -> dict[str, Record]:
        """The records of a run that must succeed, by full name."""
        found = self.collect(*arguments, **changes).records
        by_name = {".".join((each["database"], each["schema"], each["name"])): each for each in found}
        assert len(by_name) == len(found)
        return by_name


@pytest.fixture(scope="session")
def databricks_server() -> Iterator[DatabricksServer]:
    with DatabricksServer() as server:
        yield server


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    paths = (TEMPLATES / "databricks").glob("*.py")
    names = sorted(
        path.stem for path in paths if path.stem != "mcpush" and not path.stem.startswith(("push_", "collect_and_"))
    )
    with imported(TEMPLATES / "databricks", *names) as found:
        yield dict(zip(names, found, strict=True))


@pytest.fixture
def scripts(
    modules: dict[str, ModuleType],
    databricks_server: DatabricksServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Scripts]:
    monkeypatch.setenv("HOME", str(tmp_path))  # of the person who runs the tests: it can have a profile
    yield Scripts(modules["collect_metadata"], PREFIXES, tmp_path, monkeypatch, capsys, databricks_server, modules)
    databricks_server.restore()
