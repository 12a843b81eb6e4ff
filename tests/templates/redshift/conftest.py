"""Fixtures: local Redshifts for the tests of the Redshift templates, and scripts in a copy of their folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.collected import Collected, Record
from tests.sandbox_process import SandboxProcess
from tests.script_process import Run, copy_folder, peak_memory, run_script
from tests.warehouses.redshift import shop as shop_module
from tests.warehouses.redshift.launch import RedshiftServer
from tests.warehouses.redshift.shop import Shop


@dataclass
class Templates:
    """A copy of the template folder, connected to a filled Redshift and to a sandbox."""

    folder: Path
    work: Path
    server: RedshiftServer
    sandbox: SandboxProcess

    def environment(self, user: str = "admin", **changes: str) -> dict[str, str]:
        resource = {"MCD_RESOURCE_UUID": self.sandbox.resource("redshift")}
        return {**self.server.environment(user), **self.sandbox.env, **resource, **changes}

    def manifest(self, flow: str) -> Path:
        return self.work / f"{flow}.jsonl"

    def run(self, script: str, flow: str, *arguments: str, user: str = "admin", **changes: str) -> Run:
        command = ("--manifest", str(self.manifest(flow)), *arguments)
        return run_script(self.folder, f"{script}_{flow}.py", *command, env=self.environment(user, **changes))

    def collect(self, flow: str, *arguments: str, user: str = "admin") -> Collected:
        """Run a collect script that must succeed, and read its manifest."""
        run = self.run("collect", flow, *arguments, user=user).check()
        collected = Collected.read(self.manifest(flow))
        assert run.summary["records"] == len(collected.records)
        assert run.summary["skipped"] == collected.skipped
        return collected

    def received(self, run: Run, flow: str) -> list[Record]:
        """The records that the sandbox received from the pushes of this run."""
        return [
            event for invocation in run.summary["invocation_ids"] for event in self.sandbox.received(flow, invocation)
        ]

    def leftovers(self) -> list[str]:
        """The names of all files that runs left in the folder of the manifests."""
        return sorted(path.name for path in self.work.iterdir())

    def peak_memory(self, flow: str, *arguments: str) -> int:
        """Run a collect script that must succeed. Returns its maximum resident set size in bytes."""
        command = ("--manifest", str(self.manifest(flow)), *arguments)
        return peak_memory(self.folder, f"collect_{flow}.py", *command, env=self.environment())


@pytest.fixture(scope="session")
def template_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``python scripts/new_push.py redshift my-push``."""
    return copy_folder("redshift", tmp_path_factory.mktemp("copied") / "my-push")


@pytest.fixture(scope="session")
def shop_server() -> Iterator[tuple[RedshiftServer, Shop]]:
    """A server with the shop, filled only once. Tests only read it, and repair what they break."""
    truth = shop_module.shop(datetime.now(timezone.utc))
    with RedshiftServer() as server:
        server.load(truth.load())
        yield server, truth


@pytest.fixture
def shop(shop_server: tuple[RedshiftServer, Shop]) -> Shop:
    """The truth about the shop."""
    return shop_server[1]


@pytest.fixture
def templates(
    shop_server: tuple[RedshiftServer, Shop], template_folder: Path, sandbox: SandboxProcess, tmp_path: Path
) -> Iterator[Templates]:
    """The templates, connected to the shop."""
    yield connected(shop_server[0], template_folder, sandbox, tmp_path)
    shop_server[0].mend()


def connected(server: RedshiftServer, folder: Path, sandbox: SandboxProcess, tmp_path: Path) -> Templates:
    """The templates, with a separate work folder for each test."""
    work = tmp_path / "work"
    work.mkdir()
    return Templates(folder, work, server, sandbox)
