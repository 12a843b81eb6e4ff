"""A warehouse under test: a complete copy of its template folder, its running server, and runs that tests share.

The template folders are in ``--templates ROOT``. Each is copied once per session, together with the library next to
ROOT (``ROOT/../mcpush``) or, if there is none, the repository's library.
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
    """The harness of a warehouse, or None if it has none."""
    try:
        return harness(name)
    except ModuleNotFoundError as error:
        if error.name and f"tests.warehouses.{name}.harness".startswith(error.name):
            return None
        raise


def copied(template: Path, place: Path) -> Path:
    """Copy a template folder with the library, as a customer has it, and compile it because its scripts start many
    times.
    """
    folder = place / template.name
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("__pycache__"))
    beside = template.parent.parent / "mcpush"
    library = beside if beside.is_dir() else bundle.LIBRARY
    shutil.copytree(library, folder / "mcpush", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=2)
    return folder


@dataclass(frozen=True)
class Observation:
    """A run of a collect script and everything it left. ``collected`` is None if it left no manifest."""

    run: Run
    collected: Collected | None
    statements: Sequence[str]
    leftovers: Sequence[str]
    manifest: Path

    @property
    def records(self) -> list[Record]:
        """The records of the manifest. Fails if the run left no manifest."""
        assert self.collected is not None, self.run.stderr
        return self.collected.records

    @property
    def skipped(self) -> dict[str, int]:
        """The skipped counts of the run, by reason."""
        counted: dict[str, int] = self.run.summary.get("skipped", {})
        return counted


@dataclass
class Subject:
    """A warehouse under test. Its server contains ``world`` unless a test fills it with another model."""

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
        """Fill the server with this model, unless it already contains it."""
        if self.shown is not model:
            self.shown = None
            self.server.fill(model)
            self.shown = model

    def empty(self) -> None:
        self.shown = None
        self.server.empty()

    def full(self, flow: Flow) -> Observation:
        """The run that collects the whole world. It runs once; nothing may be denied or broken at the first call."""
        return self.once(f"full {flow}", flow)

    def listing(self, flow: Flow) -> Observation:
        """The run with ``--list``. It runs once."""
        return self.once(f"list {flow}", flow, "--list")

    def once(self, name: str, flow: Flow, *arguments: str, env: dict[str, str] | None = None) -> Observation:
        """The shared run of this name. The first call runs it."""
        if name not in self.kept:
            work = self.place / name.replace("/", "-")
            work.mkdir()
            self.kept[name] = Case(self, flow, work).observe(*arguments, env=env)
        return self.kept[name]

    @property
    def resource(self) -> str:
        """The type in Monte Carlo of the warehouse that the folder pushes to."""
        return bundle.resource_type(self.folder)


@dataclass
class Case:
    """A flow of a warehouse. Its scripts run in a separate folder for each test."""

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
        """The options for the model's window, with ``zone`` appended to its times. Empty for metadata."""
        if self.flow == "metadata":
            return ()
        model = model or self.subject.world
        since, until = (iso_utc(moment).replace("Z", zone) for moment in (model.since, model.until))
        return ("--since", since, "--until", until)

    def command(self, kind: Kind, *arguments: str) -> tuple[str, ...]:
        """The arguments of a script: the manifest and, if the script collects, the window of the world."""
        if kind == "push":
            return ("--manifest", str(self.manifest), *arguments)
        own = self.subject.harness.arguments(self.flow)
        return ("--manifest", str(self.manifest), *self.window(), *own, *arguments)

    def run(self, kind: Kind, *arguments: str, env: dict[str, str] | None = None) -> Run:
        """Run a script. ``env`` defaults to the valid variables for the warehouse."""
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
        """The names of all files that runs left in the work folder."""
        return sorted(path.relative_to(self.work).as_posix() for path in self.work.rglob("*") if path.is_file())


@contextmanager
def started(template: Path, place: Path) -> Iterator[Subject]:
    """Start the warehouse's server, fill it, and yield the warehouse under test."""
    given = harness(template.name)
    with given.start() as server:
        subject = Subject(template, copied(template, place), place, given, server, world(given))
        subject.show(subject.world)
        yield subject
