"""A warehouse under test: a complete copy of its template folder, its running server, and runs that tests share.

The template folders come from ``--templates ROOT``; each is copied once a session, with the library that lies beside
ROOT (``ROOT/../mcpush``) or else with the repository's.
"""

from __future__ import annotations

import compileall
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from folders import bundle
from mcpush.records import iso_utc

from tests.collected import Collected, Record
from tests.contract.world import world
from tests.script_process import KINDS, Kind, Run, run_script
from tests.warehouses.harness import Flow, Harness, Server, harness
from tests.warehouses.model import Model

INGESTION_PATHS = {
    "metadata": "/ingest/v1/metadata",
    "lineage": "/ingest/v1/lineage",
    "query_logs": "/ingest/v1/querylogs",
}


def template_folders(root: Path) -> list[Path]:
    """The folders under test: those that the bundle itself offers."""
    return bundle.warehouses(root)


def harness_of(name: str) -> Harness | None:
    """The harness of a warehouse; None if there is none."""
    try:
        return harness(name)
    except ModuleNotFoundError as error:
        if error.name and f"tests.warehouses.{name}.harness".startswith(error.name):
            return None
        raise


def copied(template: Path, place: Path) -> Path:
    """A complete folder, as a customer has it, compiled: its scripts start many times."""
    folder = place / template.name
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("__pycache__"))
    beside = template.parent.parent / "mcpush"
    library = beside if beside.is_dir() else bundle.LIBRARY
    shutil.copytree(library, folder / "mcpush", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=2)
    return folder


@dataclass(frozen=True)
class Observation:
    """A run of a collect script with all that it left. ``collected`` is None where it left no manifest."""

    run: Run
    collected: Collected | None
    statements: Sequence[str]
    leftovers: Sequence[str]
    manifest: Path

    @property
    def records(self) -> list[Record]:
        """The manifest's records; the run must have left one."""
        assert self.collected is not None, self.run.stderr
        return self.collected.records

    @property
    def skipped(self) -> dict[str, int]:
        """What the run counted as skipped, by reason."""
        counted: dict[str, int] = self.run.summary.get("skipped", {})
        return counted


@dataclass
class Subject:
    """A warehouse under test. Its server holds ``world`` unless a test shows it something else."""

    template: Path
    folder: Path
    place: Path
    harness: Harness
    server: Server
    world: Model
    kept: dict[str, Observation] = field(default_factory=dict)
    shown: Model | None = None

    @property
    def name(self) -> str:
        return self.template.name

    @property
    def flows(self) -> Sequence[Flow]:
        return self.harness.flows

    def show(self, model: Model) -> None:
        """Fill the server with this model, unless it is there already."""
        if self.shown is not model:
            self.shown = None
            self.server.fill(model)
            self.shown = model

    def empty(self) -> None:
        self.shown = None
        self.server.empty()

    def full(self, flow: Flow) -> Observation:
        """A run that collects the whole world, made once. Nothing may be denied or broken when it is asked for."""
        return self.once(f"full {flow}", flow)

    def listing(self, flow: Flow) -> Observation:
        """A run of ``--list``, made once."""
        return self.once(f"list {flow}", flow, "--list")

    def once(self, name: str, flow: Flow, *arguments: str, env: dict[str, str] | None = None) -> Observation:
        """A run that tests share, by its name."""
        if name not in self.kept:
            work = self.place / name.replace("/", "-")
            work.mkdir()
            self.kept[name] = Case(self, flow, work).observe(*arguments, env=env)
        return self.kept[name]

    @property
    def resource(self) -> str:
        """The type of the warehouse in Monte Carlo that the folder's data are pushed to."""
        return bundle.resource_type(self.folder)


@dataclass
class Case:
    """A flow of a warehouse, whose scripts work in a folder of the test's own."""

    subject: Subject
    flow: Flow
    work: Path

    @property
    def server(self) -> Server:
        return self.subject.server

    @property
    def manifest(self) -> Path:
        return self.work / f"{self.flow}.jsonl"

    @property
    def scripts(self) -> list[str]:
        return [self.script(kind) for kind in KINDS]

    def script(self, kind: Kind) -> str:
        return f"{kind}_{self.flow}.py"

    def window(self, zone: str = "Z", model: Model | None = None) -> tuple[str, ...]:
        """The options for the model's window, its times followed by ``zone``; none for metadata."""
        if self.flow == "metadata":
            return ()
        model = model or self.subject.world
        since, until = (iso_utc(moment).replace("Z", zone) for moment in (model.since, model.until))
        return ("--since", since, "--until", until)

    def command(self, kind: Kind, *arguments: str) -> tuple[str, ...]:
        """The arguments of a script for the manifest, and for the world's window where it collects."""
        if kind == "push":
            return ("--manifest", str(self.manifest), *arguments)
        own = self.subject.harness.arguments(self.flow)
        return ("--manifest", str(self.manifest), *self.window(), *own, *arguments)

    def run(self, kind: Kind, *arguments: str, env: dict[str, str] | None = None) -> Run:
        """Run a script; without ``env`` with the right variables for the warehouse."""
        env = self.server.environment() if env is None else env
        return run_script(
            self.subject.folder, self.script(kind), *self.command(kind, *arguments), env=env, cwd=self.work
        )

    def observe(self, *arguments: str, env: dict[str, str] | None = None) -> Observation:
        """Run the collect script and read what it left."""
        before = len(self.server.statements())
        run = self.run("collect", *arguments, env=env)
        statements = list(self.server.statements())[before:]
        collected = Collected.read(self.manifest) if self.manifest.exists() else None
        return Observation(run, collected, statements, self.leftovers(), self.manifest)

    def leftovers(self) -> list[str]:
        """Names of all files that runs left in the work folder."""
        return sorted(path.relative_to(self.work).as_posix() for path in self.work.rglob("*") if path.is_file())


@contextmanager
def started(template: Path, place: Path) -> Iterator[Subject]:
    """A warehouse under test, its server running and filled."""
    given = harness(template.name)
    with given.start() as server:
        subject = Subject(template, copied(template, place), place, given, server, world(given))
        subject.show(subject.world)
        yield subject
