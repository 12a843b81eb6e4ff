"""Runs collect_metadata.py as a process against a local HiveServer2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyhive import hive as driver  # type: ignore[import-untyped]

from tests.collected import Collected
from tests.script_process import TEMPLATES, Run, run_script
from tests.warehouses.hive.front import Front
from tests.warehouses.hive.launch import HOST, HiveServer

FOLDER = TEMPLATES / "hive"
USER, PASSWORD = "ana", 'pass\'w örd \\ "x"'
PASSWORDS = {USER: PASSWORD}


@dataclass
class ServerRuns:
    """Runs through one front, as the user of PASSWORDS."""

    front: Front
    work: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HIVE_HOST": HOST,
            "HIVE_PORT": str(self.front.port),
            "HIVE_AUTH": "LDAP",
            "HIVE_USER": USER,
            "HIVE_PASSWORD": PASSWORD,
        }

    @property
    def manifest(self) -> Path:
        return self.work / "metadata.jsonl"

    def run(self, *arguments: str, **changes: str) -> Run:
        environment = {name: value for name, value in (self.environment | changes).items() if value}
        command = ("--manifest", str(self.manifest), *arguments)
        return run_script(FOLDER, "collect_metadata.py", *command, env=environment, cwd=self.work)

    def collect(self, *arguments: str, **changes: str) -> Collected:
        """Run a collection that must succeed, and read its manifest."""
        self.run(*arguments, **changes).check()
        return Collected.read(self.manifest)


def execute(server: HiveServer, *statements: str) -> None:
    """Run statements on the genuine server."""
    connection = driver.connect(HOST, server.port, auth="NOSASL", username="hive")
    try:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
    finally:
        connection.close()


def error_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = run.summary["error"]
    return found
