"""Runs scripts of the BigQuery folders as processes against a local BigQuery, and makes the jobs of its world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.collected import Collected
from tests.script_process import TEMPLATES, Run, run_script
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.truth import Job


@dataclass
class Folder:
    """A template folder, connected to a server. ``projects`` are those of the current world."""

    name: str
    work: Path
    server: BigQueryServer
    projects: Sequence[str]

    @property
    def environment(self) -> dict[str, str]:
        return self.server.environment(self.projects)

    def run(self, flow: str, *arguments: str, **changes: str) -> Run:
        command = ("--manifest", str(self.work / f"{flow}.jsonl"), *arguments)
        environment = {**self.environment, **changes}
        return run_script(TEMPLATES / self.name, f"collect_{flow}.py", *command, env=environment, cwd=self.work)

    def collect(self, flow: str, *arguments: str, **changes: str) -> Collected:
        """Run a collect script that must succeed, and read its manifest."""
        self.run(flow, *arguments, **changes).check()
        return Collected.read(self.work / f"{flow}.jsonl")

    def lines(self, flow: str, option: str, *arguments: str) -> list[str]:
        """The lines that a run with ``--list`` or ``--estimate`` prints."""
        return self.run(flow, option, *arguments).check().stdout.splitlines()


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def window(since: datetime, until: datetime) -> tuple[str, ...]:
    return ("--since", iso(since), "--until", iso(until))


def reference(path: str) -> dict[str, str]:
    """The REST and SQL form of ``project.dataset.table``."""
    return dict(zip(("project_id", "dataset_id", "table_id"), path.split("."), strict=True))


def query_job(project: str, region: str, job_id: str, end: datetime, /, **columns: Any) -> Job:
    """A successful SELECT that ran for three seconds. ``columns`` replace or complete its row in JOBS."""
    row: Mapping[str, Any] = {
        "project_id": project,
        "job_id": job_id,
        "job_type": "QUERY",
        "statement_type": "SELECT",
        "state": "DONE",
        "user_email": "ana@example.com",
        "creation_time": end - timedelta(seconds=5),
        "start_time": end - timedelta(seconds=3),
        "end_time": end,
        "query": f"SELECT 1 AS {job_id}",
    }
    return Job(region, {**row, **columns})
