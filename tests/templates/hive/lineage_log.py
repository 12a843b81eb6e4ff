"""Writes logs in HiveServer2's format, with entries of its hook LineageLogger, for the tests of lineage.

Lines and entries have the format of the recorded log of Hive 2.3.9 in tests/warehouses/hive/recorded. The session in
front of the thread's name is that of Hive 3 and 4, see
https://github.com/apache/hive/blob/master/service/src/java/org/apache/hive/service/cli/session/HiveSessionImpl.java
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.collected import Collected, Record
from tests.script_process import TEMPLATES, Run, run_script

START = datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc)
STEP = timedelta(minutes=1)  # from one statement to the next
Columns = Mapping[str, Sequence[str]]  # of a target, "db.table.column": [sources]


def entry(text: str, columns: Columns, database: str | None = "shop", predicates: Columns | None = None) -> Record:
    """What the hook writes about a statement, without its time. Targets come first in ``vertices``, as in Hive."""
    predicates = predicates or {}
    labels = dict.fromkeys(
        [*columns, *(source for sources in (*columns.values(), *predicates.values()) for source in sources)]
    )
    places = {label: number for number, label in enumerate(labels)}

    def edge(target: str, sources: Sequence[str], kind: str) -> Record:
        return {"sources": [places[each] for each in sources], "targets": [places[target]], "edgeType": kind}

    return {
        "version": "1.0",
        "user": "hive",
        "jobIds": [],
        "engine": "mr",
        **({"database": database} if database else {}),
        "hash": "0",
        "queryText": text.strip(),
        "edges": [
            *(edge(target, sources, "PROJECTION") for target, sources in columns.items()),
            *(edge(target, sources, "PREDICATE") for target, sources in predicates.items()),
        ],
        "vertices": [
            {"id": number, "vertexType": "TABLE" if label.count(".") == 1 else "COLUMN", "vertexId": label}
            for label, number in places.items()
        ],
    }


@dataclass
class ServerLog:
    """A log file. Each statement takes a second, and starts a minute after the one before it."""

    path: Path
    session: int | None = 1  # of the next statements; None: threads have no session in front of their names
    now: datetime = START
    count: int = 0
    lines: list[str] = field(default_factory=list)

    def run(self, text: str, hook: Mapping[str, Any] | None = None, *, error: str | None = None) -> None:
        """Add the lines of a statement. ``hook`` is the hook's entry, ``error`` the message of a failed statement."""
        self.count += 1
        query = f"hive_20261130120000_{UUID(int=self.count)}"
        front = f"{UUID(int=self.session)} " if self.session is not None else ""
        handler = f"{front}HiveServer2-Handler-Pool: Thread-{40 + (self.session or 0)}"
        background = f"HiveServer2-Background-Pool: Thread-{100 + self.count}"
        done = self.now + timedelta(seconds=1)
        self._line(self.now, handler, "ql.Driver", f"Compiling command(queryId={query}): {text}")
        self._line(
            self.now, handler, "ql.Driver", f"Completed compiling command(queryId={query}); Time taken: 0.1 seconds"
        )
        self._line(self.now, background, "ql.Driver", f"Executing command(queryId={query}): {text}")
        if hook is not None:
            self.add_entry(hook, background, done)
        if error is not None:
            self._line(done, background, "ql.Driver", f"FAILED: {error}", level="ERROR")
        self._line(
            done, background, "ql.Driver", f"Completed executing command(queryId={query}); Time taken: 1.0 seconds"
        )
        if error is None:
            self._line(done, background, "ql.Driver", "OK")
        self.now += STEP

    def add_entry(
        self, hook: Mapping[str, Any], thread: str = "HiveServer2-Background-Pool: Thread-7", at: datetime | None = None
    ) -> None:
        at = at or self.now
        times = {"timestamp": int(at.timestamp()) - 1, "duration": 900}
        self._line(at, thread, "hooks.LineageLogger", json.dumps({**times, **hook}, separators=(",", ":")))

    def add_old_entry(self, hook: Mapping[str, Any]) -> None:
        """The format of Hive 1.2: https://github.com/apache/hive/blob/release-1.2.1/ql/src/java/org/apache/hadoop/hive/ql/hooks/LineageLogger.java"""
        text = "POSTHOOK: LINEAGE: " + json.dumps({"timestamp": int(self.now.timestamp()), **hook}, indent=2)
        self._line(self.now, "HiveServer2-Background-Pool: Thread-7", "hooks.LineageLogger", text)

    def _line(self, at: datetime, thread: str, logger: str, message: str, level: str = "INFO") -> None:
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S,") + f"{at.microsecond // 1000:03d}"
        self.lines.append(f"{stamp} {level:>5} [{thread}] {logger}: {message}\n")

    def write(self) -> Path:
        self.path.write_text("".join(self.lines), encoding="utf-8", newline="\n")
        return self.path


def run_lineage(work: Path, *logs: Path, arguments: Sequence[str] = (), **env: str) -> Run:
    paths = [argument for path in logs for argument in ("--log-path", str(path))]
    window = () if "--since" in arguments else ("--since", "2026-11-30T00:00:00Z", "--until", "2026-12-01T00:00:00Z")
    manifest = ("--manifest", str(work / "lineage.jsonl"))
    return run_script(TEMPLATES / "hive", "collect_lineage.py", *manifest, *window, *paths, *arguments, env=env)


def collected(work: Path, *logs: Path, arguments: Sequence[str] = (), **env: str) -> Collected:
    """Run collect_lineage.py, which must succeed, and read its manifest."""
    run_lineage(work, *logs, arguments=arguments, **env).check()
    return Collected.read(work / "lineage.jsonl")


def asset(path: str, kind: str = "TABLE", catalog: str = "hive") -> Record:
    """The reference to ``database.table``."""
    schema, name = path.split(".")
    return {"type": kind, "database": catalog, "schema": schema, "name": name}


def record(
    target: Record,
    sources: Sequence[Record],
    columns: Mapping[str, Sequence[tuple[int, str]]] | None = None,
    *,
    origin: str = "query_text",
    certainty: str = "parsed",
) -> Record:
    """A record of the manifest. ``columns``: {column: [(position of the source, its column)]}."""
    return {
        "destination": target,
        "sources": list(sources),
        "columns": [
            {"name": name, "sources": [{"source": place, "name": column} for place, column in pairs]}
            for name, pairs in (columns or {}).items()
        ],
        "origin": origin,
        "certainty": certainty,
    }


def exact(
    target: Record, sources: Sequence[Record], columns: Mapping[str, Sequence[tuple[int, str]]] | None = None
) -> Record:
    return record(target, sources, columns, origin="lineage_hook", certainty="exact")
