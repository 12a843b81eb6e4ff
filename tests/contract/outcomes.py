"""Compares the outcomes of runs in which a statement fails with the warehouse's table of expected outcomes.

The table is ``tests/warehouses/<warehouse>/outcomes.toml``. For each constant that a full run of a flow sends, and for
each fault, it contains the exit code, the number of records in the manifest (if there is one) and the skipped counts:

    [metadata.TABLES_SQL]
    "connection gone" = {exit = 4}
    denied = {exit = 0, records = 12, skipped = {"volume not readable" = 1}}

With ``denied`` and ``timeout``, every execution of the statement fails. With ``session ended`` and ``connection gone``,
a statement that runs several times fails halfway through its executions. As a script, prints the observed table for
review:

    python -m tests.contract.outcomes snowflake
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))  # for direct execution

from tests.contract.statements import constants, mark_of, sort_out
from tests.contract.subject import Observation, Subject, started
from tests.script_process import TEMPLATES, reach_local_servers_directly
from tests.warehouses.harness import Fault, Flow

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WAREHOUSES = Path(__file__).resolve().parents[1] / "warehouses"
FAULTS: tuple[Fault, ...] = ("denied", "timeout", "session ended", "connection gone")
MIDWAY: tuple[Fault, ...] = ("session ended", "connection gone")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run. ``records`` is None if the run left no manifest."""

    exit: int
    records: int | None
    skipped: Mapping[str, int]

    @classmethod
    def of(cls, observation: Observation) -> Outcome:
        collected = observation.collected
        skipped = collected.skipped if collected else {}
        return cls(observation.run.exit_code, len(collected.records) if collected else None, skipped)

    @classmethod
    def from_toml(cls, entry: Mapping[str, Any]) -> Outcome:
        return cls(entry["exit"], entry.get("records"), entry.get("skipped", {}))

    def to_toml(self) -> str:
        parts = [f"exit = {self.exit}"]
        if self.records is not None:
            parts.append(f"records = {self.records}")
        if self.skipped:
            counts = ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {n}" for key, n in self.skipped.items())
            parts.append(f"skipped = {{{counts}}}")
        return f"{{{', '.join(parts)}}}"


def observed(subject: Subject, flow: Flow) -> dict[str, dict[Fault, Observation]]:
    """One run for each constant that a full run sends and each fault. Each runs once per session."""
    found = sort_out(subject.full(flow).statements, subject.template)
    sent = found.by_constant
    # Two modules of a folder can have constants of the same name, so look in the file that the statement was sent from.
    texts = {each.constant: dict(constants(each.path))[each.constant] for each in found.statements}
    return {
        name: {
            fault: _faulty(subject, flow, name, mark_of(name, texts[name], sent), fault, len(sent[name]))
            for fault in FAULTS
        }
        for name in sorted(sent)
    }


def _faulty(subject: Subject, flow: Flow, constant: str, mark: str, fault: Fault, times: int) -> Observation:
    name = f"fault {flow} {constant} {fault}"
    if name not in subject.kept:
        subject.server.fail(mark, fault, after=times // 2 if fault in MIDWAY else 0)
    observation = subject.once(name, flow)
    subject.server.restore()
    return observation


def table_of(warehouse: str) -> dict[str, dict[str, dict[str, Outcome]]]:
    """The expected outcomes by flow, constant and fault."""
    path = WAREHOUSES / warehouse / "outcomes.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        flow: {
            name: {fault: Outcome.from_toml(entry) for fault, entry in faults.items()}
            for name, faults in statements.items()
        }
        for flow, statements in table.items()
    }


def as_toml(subject: Subject, flow: Flow) -> Iterator[str]:
    for name, faults in observed(subject, flow).items():
        yield f"[{flow}.{name}]"
        for fault, observation in faults.items():
            key = fault if fault.isalpha() else f'"{fault}"'
            yield f"{key} = {Outcome.of(observation).to_toml()}"
        yield ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract.outcomes", description=__doc__.partition("\n")[0])
    parser.add_argument("warehouse")
    parser.add_argument("--templates", metavar="ROOT", type=Path, default=TEMPLATES)
    arguments = parser.parse_args()
    reach_local_servers_directly()
    with tempfile.TemporaryDirectory() as place, started(arguments.templates / arguments.warehouse, Path(place)) as it:
        for flow in it.flows:
            for line in as_toml(it, flow):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
