"""Fixtures: a local BigQuery with two small projects, a front before it, and the metadata script in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests.collected import Collected
from tests.folder_modules import MetadataScript, imported
from tests.script_process import TEMPLATES, Run
from tests.templates.bigquery import world
from tests.templates.bigquery.front import Front
from tests.warehouses.bigquery.launch import BigQueryServer

PREFIXES = ("BIGQUERY_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "GCE_", "NO_GCE_")


@dataclass
class Scripts(MetadataScript):
    """``modules`` are the folder's, by name."""

    front: Front
    server: BigQueryServer
    modules: dict[str, ModuleType]

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a run reads both projects through the front."""
        return self.server.environment(world.PROJECTS) | {"BIGQUERY_EMULATOR_HOST": self.front.url}

    def collect(self, *arguments: str, **changes: str) -> Run:
        return self.run({**self.environment, **changes}, *arguments)

    def names(self) -> list[str]:
        """The names of the collected tables."""
        records = Collected.read(self.work / "metadata.jsonl").records
        return [".".join((record["database"], record["schema"], record["name"])) for record in records]


@pytest.fixture(scope="session")
def bigquery_server() -> Iterator[BigQueryServer]:
    """A server. ``scripts`` fills it with the small world before each test."""
    with BigQueryServer() as server:
        yield server


@pytest.fixture(scope="session")
def front_server(bigquery_server: BigQueryServer) -> Iterator[Front]:
    with Front(bigquery_server.url) as front:
        yield front


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    names = [path.stem for path in (TEMPLATES / "bigquery").glob("*.py") if path.stem not in ("mcpush",)]
    names = sorted(name for name in names if not name.startswith(("push_", "collect_and_push_")))
    with imported(TEMPLATES / "bigquery", *names) as found:
        yield dict(zip(names, found, strict=True))


@pytest.fixture
def scripts(
    modules: dict[str, ModuleType],
    bigquery_server: BigQueryServer,
    front_server: Front,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Scripts:
    front_server.forget()
    bigquery_server.load(world.small())
    return Scripts(
        modules["collect_metadata"], PREFIXES, tmp_path, monkeypatch, capsys, front_server, bigquery_server, modules
    )
