"""Runs collect_metadata.py as a process against a local metastore database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.collected import Collected
from tests.script_process import TEMPLATES, Run, peak_memory, run_script
from tests.warehouses.hive.metastore_database import Kind, Metastore, MetastoreServer, has_mariadb, started

FOLDER = TEMPLATES / "hive"
SCRIPT = "collect_metadata.py"
NO_MARIADB = "mariadbd is not installed: as root on Debian, run tests/warehouses/hive/install_mariadb.sh"


def server_of(kind: Kind) -> Iterator[MetastoreServer]:
    """A server for the tests of a module. Skips them if it cannot be installed from a package index."""
    if kind == "mariadb" and not has_mariadb():
        pytest.skip(NO_MARIADB)
    with started(kind) as server:
        yield server


@dataclass
class Runs:
    """Runs against one metastore."""

    metastore: Metastore
    work: Path

    @property
    def manifest(self) -> Path:
        return self.work / "metadata.jsonl"

    def command(self, *arguments: str) -> tuple[str, ...]:
        return ("--manifest", str(self.manifest), *arguments)

    def run(self, *arguments: str, **changes: str) -> Run:
        environment = self.metastore.environment(**changes)
        return run_script(FOLDER, SCRIPT, *self.command(*arguments), env=environment, cwd=self.work)

    def collect(self, *arguments: str, **changes: str) -> Collected:
        """Run a collection that must succeed, and read its manifest."""
        self.run(*arguments, **changes).check()
        return Collected.read(self.manifest)

    def peak_memory(self) -> int:
        return peak_memory(FOLDER, SCRIPT, *self.command(), env=self.metastore.environment())
