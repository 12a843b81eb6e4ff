"""Runs all scripts of a folder on a large warehouse, into the local Monte Carlo, and compares what arrived."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.collected import Collected, Record
from tests.contract.records import as_event, differences
from tests.contract.subject import INGESTION_PATHS, Case, Subject, started
from tests.contract.world import large_world
from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, Run
from tests.warehouses.harness import Flow
from tests.warehouses.model import Model


@dataclass(frozen=True)
class EndToEnd:
    """The scripts of a flow, on a server that contains the model."""

    subject: Subject
    model: Model
    monte_carlo: SandboxProcess
    place: Path

    def check(self, flow: Flow) -> int:
        """Collect, push without sending, and push; then both in one run. Returns the number of records.

        Fails if a record in the manifest or in Monte Carlo is not that of the model.
        """
        wanted = self.subject.harness.expected(self.model, flow)
        case = Case(self.subject, flow, self.place)
        case.run("collect", *case.window(model=self.model)).check()
        assert differences(Collected.read(case.manifest).records, wanted) == []
        ours = self.monte_carlo.env | {"MCD_RESOURCE_UUID": self.monte_carlo.resource(self.subject.resource)}
        case.run("push", "--dry-run", env=ours).check()
        pushed = case.run("push", env=ours).check()
        both = case.run(
            "collect_and_push", *case.window(model=self.model), env=case.server.environment() | ours
        ).check()
        for run in (pushed, both):
            assert differences(self._arrived(flow, run), map(as_event, wanted)) == []
        return len(wanted)

    def _arrived(self, flow: Flow, run: Run) -> list[Record]:
        path = INGESTION_PATHS[flow].rpartition("/")[2]
        return [event for each in run.summary["invocation_ids"] for event in self.monte_carlo.received(path, each)]


@contextmanager
def end_to_end(warehouse: str, tables: int, monte_carlo: SandboxProcess, place: Path) -> Iterator[EndToEnd]:
    """Start the warehouse's server with this many tables and views."""
    with started(TEMPLATES / warehouse, place) as subject:
        model = large_world(subject.harness, tables)
        subject.show(model)
        yield EndToEnd(subject, model, monte_carlo, place)
