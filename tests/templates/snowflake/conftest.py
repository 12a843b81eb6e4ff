"""Fixtures: embedded Snowflakes for the tests of the Snowflake templates, and scripts in a copy of their folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.collected import Collected
from tests.script_process import Run, copy_folder, peak_memory, run_script
from tests.warehouses.snowflake.launch import EmbeddedSnowflake, embedded_snowflake
from tests.warehouses.snowflake.shop import open_shop
from tests.warehouses.snowflake.shop_model import Shop


@dataclass
class Templates:
    """A copy of the template folder, and the variables to connect to one server."""

    folder: Path
    work: Path
    server: EmbeddedSnowflake
    environment: dict[str, str] = field(default_factory=dict)

    def manifest(self, flow: str) -> Path:
        return self.work / f"{flow}.jsonl"

    def run(self, flow: str, *arguments: str, env: dict[str, str] | None = None) -> Run:
        """Run a collect script. If it leaves a manifest, its path is ``self.manifest(flow)``."""
        command = ("--manifest", str(self.manifest(flow)), *arguments)
        return run_script(self.folder, f"collect_{flow}.py", *command, env=self.environment if env is None else env)

    def collect(self, flow: str, *arguments: str) -> Collected:
        """Run a collect script that must succeed, and read its manifest."""
        run = self.run(flow, *arguments).check()
        collected = Collected.read(self.manifest(flow))
        assert run.summary["records"] == len(collected.records)
        assert run.summary["skipped"] == collected.skipped
        return collected

    def leftovers(self) -> list[str]:
        """The names of all files that runs left in the folder of the manifests."""
        return sorted(path.name for path in self.work.iterdir())

    def peak_memory(self, flow: str, *arguments: str) -> int:
        """Run a collect script that must succeed. Returns its maximum resident set size in bytes."""
        command = ("--manifest", str(self.manifest(flow)), *arguments)
        return peak_memory(self.folder, f"collect_{flow}.py", *command, env=self.environment)


@pytest.fixture(scope="session")
def template_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``python scripts/new_push.py snowflake my-push``."""
    return copy_folder("snowflake", tmp_path_factory.mktemp("copied") / "my-push")


@pytest.fixture(scope="session")
def shop_server() -> Iterator[tuple[EmbeddedSnowflake, Shop]]:
    """A server with the demo shop, filled only once. Tests only read it, and undo their denials and faults."""
    with embedded_snowflake() as server:
        yield server, open_shop(server)


@pytest.fixture(scope="session")
def bare_server() -> Iterator[EmbeddedSnowflake]:
    with embedded_snowflake() as server:
        yield server


@pytest.fixture
def shop(shop_server: tuple[EmbeddedSnowflake, Shop]) -> Shop:
    """The truth about the shop."""
    return shop_server[1]


@pytest.fixture
def shop_templates(
    shop_server: tuple[EmbeddedSnowflake, Shop], template_folder: Path, tmp_path: Path
) -> Iterator[Templates]:
    """The templates, connected to the shop."""
    server = shop_server[0]
    yield connected(server, template_folder, tmp_path)
    server.deny()
    server.break_with()


@pytest.fixture
def templates(bare_server: EmbeddedSnowflake, template_folder: Path, tmp_path: Path) -> Templates:
    """The templates, connected to an empty account."""
    bare_server.reset()
    return connected(bare_server, template_folder, tmp_path)


def connected(server: EmbeddedSnowflake, folder: Path, tmp_path: Path) -> Templates:
    """The templates with a profile for this server and a separate work folder for each test."""
    work = tmp_path / "work"
    work.mkdir()
    return Templates(folder, work, server, server.environment(home=tmp_path / "home"))
