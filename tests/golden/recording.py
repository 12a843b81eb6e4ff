"""Runs the scripts of a template folder and writes down what they did: what a golden recording is made of.

From a copy of the folder, a filled warehouse and a sandbox to texts by file name:

    <name>.txt                  every command with exit code, stdout, stderr and Monte Carlo's answers; result files
    <name>.manifest.jsonl.gz    a manifest, line by line
    <name>.requests.jsonl.gz    the bodies that Monte Carlo accepted: for each a line without the events, then these

What differs from run to run is replaced as ``NORMALISED`` says, and invocation ids by their number; lines on stderr
lose their times. All else is fixed instead: the shops are opened as of ``NOW`` and windows are given, keys and
warehouses of the sandbox are ``SETTINGS``, scripts run in the folder of their files, one request at a time.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from folders import bundle

from tests.sandbox_process import SandboxProcess
from tests.script_process import Run, run_script

# The shop's day has the hour in which New York's clocks change. More than a year ago, beyond what the views keep:
# the warning about that is always there.
NOW = datetime(2025, 3, 9, 18, 0, tzinfo=timezone.utc)

# (files, pattern, replacement): all that is replaced, except invocation ids.
NORMALISED = (
    ("*.txt", r'"seconds": [0-9.]+', '"seconds": "<seconds>"'),  # summary
    ("*.txt", r'"version": "[0-9][^"]*"', '"version": "<version>"'),  # summary; a manifest's version is a number
    ("*.txt", r'"collected_at": "[^"]+"', '"collected_at": "<time>"'),  # result file
    ("*.txt", r'"at": "[^"]+"', '"at": "<time>"'),  # journal and result file
    ("*.txt", r'"digest": "[0-9a-f]{64}"', '"digest": "<digest>"'),  # journal: it covers the header's time
    ("*.manifest.jsonl.gz", r'\A(.*?"collected_at":)"[^"]+"', r'\1"<time>"'),  # the header
    ("*.txt", r"(?m)^  (collecting|pushing): .* records\n", ""),  # said every half minute, on a slow machine
    ("*.txt", r"127\.0\.0\.1:[0-9]+", "127.0.0.1:<port>"),  # the sandbox and the warehouse
)

ACCOUNT = "11111111-0000-4000-8000-000000000000"
# The recordings of these hold these UUIDs. That of any other folder follows from its name.
OLDEST = {"snowflake": "11111111-0000-4000-8000-000000000001", "redshift": "11111111-0000-4000-8000-000000000002"}
RESOURCE_TYPES = {folder.name: bundle.resource_type(folder) for folder in bundle.warehouses()}
UUIDS = {warehouse: OLDEST.get(warehouse) or str(uuid5(UUID(ACCOUNT), warehouse)) for warehouse in RESOURCE_TYPES}
SETTINGS: dict[str, Any] = {
    "account": ACCOUNT,
    "keys": [
        {"id": "ingestion-key", "token": "ingestion-token-of-the-recording", "scope": "Ingestion", "warehouses": None},
        {"id": "api-key", "token": "api-token-of-the-recording", "scope": "GraphQL", "warehouses": None},
    ],
    "warehouses": [{"uuid": UUIDS[name], "name": name, "type": kind} for name, kind in RESOURCE_TYPES.items()],
}
INGESTION_PATHS = ("/ingest/v1/metadata", "/ingest/v1/lineage", "/ingest/v1/querylogs")


def window(hours_before: float, hours_until: float = 0) -> tuple[str, ...]:
    """The arguments for a window of the shop's day."""
    since, until = (NOW - timedelta(hours=hours) for hours in (hours_before, hours_until))
    return ("--since", f"{since:%Y-%m-%dT%H:%M:%SZ}", "--until", f"{until:%Y-%m-%dT%H:%M:%SZ}")


@dataclass(frozen=True)
class Place:
    """Where scripts run: a copy of the template folder, a folder for files, and what leads to the two servers."""

    warehouse: str
    folder: Path
    work: Path
    connection: dict[str, str]
    wrong_password: dict[str, str]
    sandbox: SandboxProcess

    @property
    def without_connection(self) -> dict[str, str]:
        """Nothing of the machine: no driver's or AWS's own files, plain UTF-8, help texts of one width.

        PYTHONUTF8 also makes run_script start Python itself, so that what packages say while they are imported is seen.
        """
        machine = {"HOME": str(self.work / "home"), "COLUMNS": "100", "NO_COLOR": "1", "PYTHONUTF8": "1"}
        return machine | {"SNOWFLAKE_HOME": str(self.work / "home")}

    @property
    def monte_carlo(self) -> dict[str, str]:
        return self.sandbox.env | {"MCD_RESOURCE_UUID": UUIDS[self.warehouse]}

    @property
    def environment(self) -> dict[str, str]:
        return self.without_connection | self.connection | self.monte_carlo


@dataclass
class Recording:
    """What was written down so far."""

    place: Place
    name: str
    lines: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    alike: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place.sandbox.clear_faults()
        self._before = self._pushes_so_far()
        self._told = self._before

    # --- running ------------------------------------------------------------------------------------------

    def run(self, script: str, *arguments: str, env: dict[str, str] | None = None) -> Run:
        """Run a script and write down the command and all it said; its files are named relative to ``work``."""
        place = self.place
        place.sandbox.clear_requests()
        environment = place.environment if env is None else env
        run = run_script(place.folder, script, *arguments, env=environment, cwd=place.work)
        self.lines += [f"$ {' '.join((script, *arguments))}", f"exit code {run.exit_code}"]
        self._section("stdout", _readable(run.stdout))
        self._section("stderr", run.said)
        for path in INGESTION_PATHS:
            if answers := place.sandbox.requests(path).answers:
                self.lines.append(f"answers of {path}: {', '.join(map(str, answers))}")
        self.lines.append("")
        return run

    def _section(self, title: str, text: str) -> None:
        if text:
            self.lines += [f"{title}:", *(f"  {line}" if line else "" for line in text.removesuffix("\n").split("\n"))]

    # --- files --------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.place.work / name

    def file(self, name: str) -> None:
        """Write down a small file, or that it is not there."""
        path = self.path(name)
        self._section(f"file {name}", path.read_text(encoding="utf-8") if path.exists() else "(none)")
        self.lines.append("")

    def journal_and_result(self, manifest: str) -> None:
        for ending in (".journal", ".result.json"):
            self.file(manifest + ending)

    def manifest(self, name: str, kept_as: str, like: str | None = None) -> None:
        """Keep a manifest; only its sameness, where it is the same as the one that was kept as ``like``."""
        content = self.path(name).read_bytes()
        text = (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8")
        self._keep(f"{kept_as}.manifest.jsonl.gz", text, like and f"{like}.manifest.jsonl.gz")

    def requests(self, kept_as: str, like: str | None = None) -> None:
        """Keep what Monte Carlo accepted since this was last asked; only its sameness as with manifests."""
        text = "".join(f"{line}\n" for line in self._accepted(self._told))
        self._told = self._pushes_so_far()
        self._keep(f"{kept_as}.requests.jsonl.gz", text, like and f"{like}.requests.jsonl.gz")

    def _keep(self, name: str, text: str, like: str | None) -> None:
        self.texts[name] = text
        if like:
            self.alike.append((name, like))

    def _pushes_so_far(self) -> int:
        return len(self.place.sandbox.pushes())

    def _accepted(self, after: int) -> Iterator[str]:
        """The bodies in full, as the sandbox stored them: its own views of them leave out what is around the events."""
        with closing(sqlite3.connect(self.place.sandbox.data_dir / "sandbox.db")) as store:
            rows = store.execute(
                "SELECT flow, body FROM pushes ORDER BY push_id LIMIT -1 OFFSET ?", (after,)
            ).fetchall()
        for flow, packed in rows:
            body = json.loads(zlib.decompress(packed))
            events = body.pop("events")
            yield json.dumps({"path": f"/ingest/v1/{flow}", "body": body, "events": len(events)}, ensure_ascii=False)
            yield from (json.dumps(event, ensure_ascii=False) for event in events)

    # --- the end ------------------------------------------------------------------------------------------

    def finish(self) -> dict[str, str]:
        """All texts by file name, normalised."""
        assert self._told == self._pushes_so_far(), "requests were accepted that are not in the recording"
        texts = {name: normalised(name, text) for name, text in self.texts.items()}
        for name, like in self.alike:
            if texts[name] == texts[like]:
                del texts[name]
                self.lines.append(f"{name}: the same as {like}")
        transcript = "\n".join(self.lines).rstrip("\n") + "\n"
        for number, push in enumerate(self.place.sandbox.pushes()[self._before :], 1):
            transcript = transcript.replace(push["invocation_id"], f"<invocation {number}>")
        name = f"{self.name}.txt"
        return {name: normalised(name, transcript), **texts}


def normalised(name: str, text: str) -> str:
    for files, pattern, replacement in NORMALISED:
        if fnmatch(name, files):
            text = re.sub(pattern, replacement, text)
    return text


def _readable(stdout: str) -> str:
    """A summary with a line for each value, which differences are easier to read in; all else as it is."""
    try:
        summary = json.loads(stdout)
    except ValueError:
        return stdout
    if json.dumps(summary) + "\n" != stdout:
        return stdout  # spaces, escapes or lines differ from what a summary has: that is to be seen
    return json.dumps(summary, indent=1, ensure_ascii=False)
