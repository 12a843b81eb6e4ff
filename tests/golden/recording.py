"""Runs the scripts of a template folder and creates a golden recording of their behavior.

Takes a copy of the folder, a filled warehouse and a sandbox. Produces texts by file name:

    <name>.txt                  every command with exit code, stdout, stderr and Monte Carlo's responses; result files
    <name>.manifest.jsonl.gz    a manifest, line by line
    <name>.requests.jsonl.gz    the accepted request bodies: for each, a line without the events, then the events

Values that differ between runs are replaced by the rules in ``NORMALIZED``, and invocation ids by their number. Lines
on stderr lose their times. Everything else is fixed: the shops are opened as of ``NOW``, windows are explicit, the
sandbox has the keys and warehouses in ``SETTINGS``, scripts run in the folder of their files and send one request at a
time.
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

# New York's clocks change on this day. It is more than a year ago, beyond the retention of the views, so the scripts
# always warn about that.
NOW = datetime(2025, 3, 9, 18, 0, tzinfo=timezone.utc)

# (files, pattern, replacement): everything that is replaced, except invocation ids.
NORMALIZED = (
    ("*.txt", r'"seconds": [0-9.]+', '"seconds": "<seconds>"'),  # summary
    ("*.txt", r'"version": "[0-9][^"]*"', '"version": "<version>"'),  # summary; a manifest's version is a number
    ("*.txt", r'"collected_at": "[^"]+"', '"collected_at": "<time>"'),  # result file
    ("*.txt", r'"at": "[^"]+"', '"at": "<time>"'),  # journal and result file
    ("*.txt", r'"digest": "[0-9a-f]{64}"', '"digest": "<digest>"'),  # journal: the digest includes the header's time
    ("*.manifest.jsonl.gz", r'\A(.*?"collected_at":)"[^"]+"', r'\1"<time>"'),  # the header
    ("*.txt", r"(?m)^  (collecting|pushing): .* records\n", ""),  # progress every half minute, on slow machines only
    ("*.txt", r"127\.0\.0\.1:[0-9]+", "127.0.0.1:<port>"),  # the sandbox and the warehouse
)

ACCOUNT = "11111111-0000-4000-8000-000000000000"
# The recordings of these folders contain these UUIDs. UUIDs of other folders are derived from their names.
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
    """The arguments for a window that starts and ends this many hours before ``NOW``."""
    since, until = (NOW - timedelta(hours=hours) for hours in (hours_before, hours_until))
    return ("--since", f"{since:%Y-%m-%dT%H:%M:%SZ}", "--until", f"{until:%Y-%m-%dT%H:%M:%SZ}")


@dataclass(frozen=True)
class Place:
    """Where scripts run: a copy of the template folder, a folder for files, and the connections to both servers."""

    warehouse: str
    folder: Path
    work: Path
    connection: dict[str, str]
    wrong_password: dict[str, str]
    sandbox: SandboxProcess

    @property
    def without_connection(self) -> dict[str, str]:
        """Variables for machine-independent runs: no driver or AWS configuration, UTF-8, help texts of fixed width.

        PYTHONUTF8 also makes run_script start a new Python, so that messages of packages during import are recorded.
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
    """A recording in progress."""

    place: Place
    name: str
    lines: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    equal: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place.sandbox.clear_faults()
        self._before = self._pushes_so_far()
        self._recorded = self._before

    # --- running ------------------------------------------------------------------------------------------

    def run(self, script: str, *arguments: str, env: dict[str, str] | None = None) -> Run:
        """Run a script and record the command and its output. File names are relative to ``work``."""
        place = self.place
        place.sandbox.clear_requests()
        environment = place.environment if env is None else env
        run = run_script(place.folder, script, *arguments, env=environment, cwd=place.work)
        self.lines += [f"$ {' '.join((script, *arguments))}", f"exit code {run.exit_code}"]
        self._section("stdout", _readable(run.stdout))
        self._section("stderr", run.said)
        for path in INGESTION_PATHS:
            if responses := place.sandbox.requests(path).answers:
                self.lines.append(f"responses of {path}: {', '.join(map(str, responses))}")
        self.lines.append("")
        return run

    def _section(self, title: str, text: str) -> None:
        if text:
            self.lines += [f"{title}:", *(f"  {line}" if line else "" for line in text.removesuffix("\n").split("\n"))]

    # --- files --------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.place.work / name

    def file(self, name: str) -> None:
        """Record a small file, or that it does not exist."""
        path = self.path(name)
        self._section(f"file {name}", path.read_text(encoding="utf-8") if path.exists() else "(none)")
        self.lines.append("")

    def journal_and_result(self, manifest: str) -> None:
        for ending in (".journal", ".result.json"):
            self.file(manifest + ending)

    def manifest(self, name: str, kept_as: str, like: str | None = None) -> None:
        """Record a manifest. If it equals the one recorded as ``like``, record only that."""
        content = self.path(name).read_bytes()
        text = (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8")
        self._keep(f"{kept_as}.manifest.jsonl.gz", text, like and f"{like}.manifest.jsonl.gz")

    def requests(self, kept_as: str, like: str | None = None) -> None:
        """Record the requests accepted since the last call. If they equal those of ``like``, record only that."""
        text = "".join(f"{line}\n" for line in self._accepted(self._recorded))
        self._recorded = self._pushes_so_far()
        self._keep(f"{kept_as}.requests.jsonl.gz", text, like and f"{like}.requests.jsonl.gz")

    def _keep(self, name: str, text: str, like: str | None) -> None:
        self.texts[name] = text
        if like:
            self.equal.append((name, like))

    def _pushes_so_far(self) -> int:
        return len(self.place.sandbox.pushes())

    def _accepted(self, after: int) -> Iterator[str]:
        """The complete bodies from the sandbox's database: its API returns only the events."""
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
        """All texts by file name, normalized."""
        assert self._recorded == self._pushes_so_far(), "accepted requests are missing from the recording"
        texts = {name: normalized(name, text) for name, text in self.texts.items()}
        for name, like in self.equal:
            if texts[name] == texts[like]:
                del texts[name]
                self.lines.append(f"{name}: the same as {like}")
        transcript = "\n".join(self.lines).rstrip("\n") + "\n"
        for number, push in enumerate(self.place.sandbox.pushes()[self._before :], 1):
            transcript = transcript.replace(push["invocation_id"], f"<invocation {number}>")
        name = f"{self.name}.txt"
        return {name: normalized(name, transcript), **texts}


def normalized(name: str, text: str) -> str:
    for files, pattern, replacement in NORMALIZED:
        if fnmatch(name, files):
            text = re.sub(pattern, replacement, text)
    return text


def _readable(stdout: str) -> str:
    """Format a summary with one line per value, so that differences are easy to read. Returns other text unchanged."""
    try:
        summary = json.loads(stdout)
    except ValueError:
        return stdout
    if json.dumps(summary) + "\n" != stdout:
        return stdout  # not formatted like a summary: the recording must show this
    return json.dumps(summary, indent=1, ensure_ascii=False)
