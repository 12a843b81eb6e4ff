"""Runs the scripts of a copied template folder as processes, against a local BigQuery and maybe a sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.collected import Collected
from tests.script_process import Run, run_script
from tests.warehouses.bigquery.launch import BigQueryServer


@dataclass
class CopiedFolder:
    """``work`` has the manifests. ``monte_carlo`` are the variables of a sandbox, if the scripts push."""

    server: BigQueryServer
    folder: Path
    work: Path
    projects: Sequence[str]
    monte_carlo: dict[str, str] = field(default_factory=dict)

    def manifest(self, flow: str) -> Path:
        return self.work / f"{flow}.jsonl"

    def run(self, kind: str, flow: str, *arguments: str, **changes: str) -> Run:
        """Run a script, e.g. of the kind collect_and_push. ``changes`` are further variables."""
        command = ("--manifest", str(self.manifest(flow)), *arguments)
        variables = {**self.server.environment(self.projects), **self.monte_carlo, **changes}
        return run_script(self.folder, f"{kind}_{flow}.py", *command, env=variables)

    def collect(self, flow: str, *arguments: str, **changes: str) -> Collected:
        """Run a collect script, which must succeed, and read its manifest."""
        run = self.run("collect", flow, *arguments, **changes).check()
        collected = Collected.read(self.manifest(flow))
        assert run.summary["skipped"] == collected.skipped
        return collected

    def changed(self, module: str, old: str, new: str) -> AbstractContextManager[None]:
        return changed(self.folder, module, old, new)


@contextmanager
def changed(folder: Path, module: str, old: str, new: str) -> Iterator[None]:
    """The folder with another constant, as its owner can set it."""
    path = folder / module
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
