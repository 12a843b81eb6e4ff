"""What becomes of a run when one of its statements meets a fault: observed, and as the warehouse's table has it.

The table is ``tests/warehouses/<warehouse>/outcomes.toml``. For each constant that a whole run of a flow sends, and for
each fault, it has the exit code, the number of records in the manifest (if there is one) and what was skipped:

    [metadata.TABLES_SQL]
    "connection gone" = {exit = 4}
    denied = {exit = 0, records = 12, skipped = {"volume not readable" = 1}}

Every run of the statement is denied or times out; a statement that is run several times loses its session or its
connection midway. Prints the table as observed now, for a person to review:

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

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))  # when it is run by itself

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
    """``records`` is None where no manifest was left."""

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
    """A run for each constant that a whole run sends and each fault, made once."""
    sent = sort_out(subject.full(flow).statements, subject.template).by_constant
    texts = {name: text for path in sorted(subject.template.glob("*.py")) for name, text in constants(path)}
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
    """The table by flow, constant and fault."""
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
