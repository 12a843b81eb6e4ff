"""The parts of a golden recording: which scripts run, with which arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from folders.bundle import FLOWS

from tests.golden.comparing import HERE, Golden
from tests.golden.recording import OLDEST, RESOURCE_TYPES, Place, Recording, window
from tests.script_process import KINDS

SCRIPTS = tuple(f"{kind}_{flow}.py" for flow in FLOWS for kind in KINDS)
ONE_AT_A_TIME = ("--workers", "1")  # so requests arrive in manifest order
SOON = ("--max-retry-seconds", "0.5")  # shorter than the first wait, which is random, so nothing is retried


@dataclass(frozen=True)
class Arguments:
    """The arguments for a warehouse's scripts: windows, filters, and additional runs of collect_lineage.py."""

    query_logs_window: tuple[str, ...]
    small_window: tuple[str, ...]  # of query logs, with a few queries
    filters: dict[str, tuple[str, ...]]  # by flow
    lineage_window: tuple[str, ...] = window(24)
    more_lineage: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by name

    def window(self, flow: str) -> tuple[str, ...]:
        return {"metadata": (), "lineage": self.lineage_window, "query_logs": self.query_logs_window}[flow]


def every_way(recording: Recording, flow: str, manifest: str, arguments: Arguments) -> None:
    """Collect, push, push again, then both in one run; with the dry runs, the list and the filters."""
    chosen = arguments.window(flow)
    to, both = ("--manifest", manifest), f"both-{manifest}"
    recording.run(f"collect_{flow}.py", *to, *chosen)
    recording.manifest(manifest, flow)
    recording.run(f"push_{flow}.py", *to, "--dry-run")
    recording.run(f"push_{flow}.py", *to, *ONE_AT_A_TIME)
    recording.requests(flow)
    recording.journal_and_result(manifest)
    recording.run(f"push_{flow}.py", *to)  # nothing left to send

    recording.run(f"collect_and_push_{flow}.py", "--manifest", both, *chosen, "--dry-run")
    recording.run(f"collect_and_push_{flow}.py", "--manifest", both, *chosen, *ONE_AT_A_TIME)
    recording.manifest(both, f"{flow}-both", like=flow)
    recording.requests(f"{flow}-both", like=flow)
    recording.journal_and_result(both)

    recording.run(f"collect_{flow}.py", *chosen, "--list")
    recording.run(f"collect_{flow}.py", "--manifest", f"filtered-{manifest}", *chosen, *arguments.filters[flow])
    recording.manifest(f"filtered-{manifest}", f"{flow}-filtered")


def metadata(recording: Recording, arguments: Arguments) -> None:
    every_way(recording, "metadata", "metadata.jsonl", arguments)
    recording.run("collect_metadata.py", "--manifest", "volume.jsonl", "--only-freshness-and-volume")
    recording.manifest("volume.jsonl", "metadata-volume")
    recording.run("push_metadata.py", "--manifest", "volume.jsonl", *ONE_AT_A_TIME)
    recording.requests("metadata-volume")


def lineage(recording: Recording, arguments: Arguments) -> None:
    every_way(recording, "lineage", "lineage.jsonl", arguments)
    recording.run("collect_metadata.py", "--manifest", "metadata.jsonl")
    for name, options in arguments.more_lineage.items():
        recording.run("collect_lineage.py", "--manifest", f"{name}.jsonl", *arguments.lineage_window, *options)
        recording.manifest(f"{name}.jsonl", f"lineage-{name}")


def query_logs(recording: Recording, arguments: Arguments) -> None:
    every_way(recording, "query_logs", "query_logs.jsonl.gz", arguments)
    to, state = ("--manifest", "with-state.jsonl"), ("--state", "query_logs.state")
    recording.run("collect_query_logs.py", *to, *state, *arguments.small_window)
    recording.file("query_logs.state")
    _, _, *until = window(24)
    recording.run("collect_query_logs.py", *to, *state, *until)  # refused: the manifest has not been pushed
    cut = ("--manifest", "cut.jsonl", "--max-query-text", "20")
    recording.run("collect_query_logs.py", *cut, *arguments.small_window)
    recording.manifest("cut.jsonl", "query_logs-cut")


def helps(recording: Recording, arguments: Arguments) -> None:
    for script in SCRIPTS:
        recording.run(script, "--help")


def failures(recording: Recording, arguments: Arguments) -> None:
    """Missing, invalid or refused input: exit codes 2 to 4, and the messages."""
    _failing_to_collect(recording, arguments)
    write_manifest(recording, "whole.jsonl", 3)
    whole = recording.path("whole.jsonl").read_text(encoding="utf-8")
    recording.path("cut.jsonl").write_text(whole[: whole.rindex('{"end"')], encoding="utf-8")
    recording.path("damaged.jsonl").write_text(whole.replace('"type"', "type", 1), encoding="utf-8")
    place = recording.place
    recording.run("push_metadata.py", "--manifest", "cut.jsonl")
    recording.run("push_metadata.py", "--manifest", "damaged.jsonl")
    recording.run("push_metadata.py", "--manifest", "none.jsonl")
    recording.run("push_lineage.py", "--manifest", "whole.jsonl")
    recording.run("push_metadata.py", "--manifest", "whole.jsonl", env=place.without_connection)
    wrong_key = place.environment | {"MCD_INGEST_TOKEN": "another-token"}
    recording.run("push_metadata.py", "--manifest", "whole.jsonl", env=wrong_key)
    recording.journal_and_result("whole.jsonl")
    other = next(uuid for warehouse, uuid in OLDEST.items() if warehouse != place.warehouse)
    recording.run("push_metadata.py", "--manifest", "whole.jsonl", env=place.environment | {"MCD_RESOURCE_UUID": other})
    _interrupted_and_rejected(recording)


def _failing_to_collect(recording: Recording, arguments: Arguments) -> None:
    place = recording.place
    for flow in FLOWS:
        recording.run(f"collect_{flow}.py", *arguments.window(flow), env=place.without_connection)
    recording.run("collect_and_push_metadata.py", env=place.without_connection)  # MCD_* variables are checked first
    recording.run("collect_and_push_metadata.py", env=place.without_connection | place.monte_carlo)
    recording.run("collect_metadata.py", env=place.environment | place.wrong_password)
    recording.run("collect_lineage.py", "--since", "yesterday")
    recording.run("collect_query_logs.py", "--since", "2025-03-09", "--until", "2025-03-08")
    recording.run("collect_metadata.py", "--manifest", "nothing.jsonl", "--include", "NO_SUCH_DATABASE.*")


def _interrupted_and_rejected(recording: Recording) -> None:
    """Monte Carlo is unavailable for the second request. The next run sends the rest; one record is rejected."""
    write_manifest(recording, "long.jsonl", 600, wrong=520)
    command = ("push_metadata.py", "--manifest", "long.jsonl", *ONE_AT_A_TIME, *SOON)
    recording.place.sandbox.fault("/ingest/v1/metadata", calls=[2], status=503, body="busy")
    recording.run(*command)
    recording.place.sandbox.clear_faults()
    recording.journal_and_result("long.jsonl")
    recording.run(*command)
    recording.requests("resumed")
    recording.journal_and_result("long.jsonl")


def write_manifest(recording: Recording, name: str, tables: int, wrong: int | None = None) -> None:
    """Write a metadata manifest of ``tables`` tables. Table number ``wrong`` has a negative row count."""
    warehouse = recording.place.warehouse
    kind = RESOURCE_TYPES[warehouse]
    header = {"manifest": "metadata", "version": 1, "warehouse": warehouse, "resource_type": kind}
    lines: list[dict[str, object]] = [header | {"collected_at": "2025-03-09T18:00:00Z", "window": None, "options": {}}]
    for number in range(tables):
        table = {"type": "TABLE", "database": "SHOP", "schema": "PUBLIC", "name": f"T{number}"}
        lines.append(table | {"kind": "table", "row_count": -1 if number == wrong else number})
    lines.append({"end": True, "records": tables, "skipped": {}, "skipped_examples": {}})
    recording.path(name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


PARTS: dict[str, Callable[[Recording, Arguments], None]] = {
    "metadata": metadata,
    "lineage": lineage,
    "query_logs": query_logs,
    "help": helps,
    "failures": failures,
}


def check(part: str, place: Place, arguments: Arguments, golden: Golden) -> None:
    """Record a part and compare it with its folder."""
    recording = Recording(place, part)
    PARTS[part](recording, arguments)
    golden.check(f"{place.warehouse}/{part}", recording.finish())


def recorded_parts(warehouse: str) -> set[str]:
    return {path.name for path in (HERE / warehouse).iterdir()}
