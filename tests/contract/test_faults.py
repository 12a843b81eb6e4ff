"""Tests faults during a run: every fault of every statement, and a connection that breaks in the middle of a result."""

from __future__ import annotations

from mcpush.records import parse_utc

from tests.contract.outcomes import Outcome, observed, table_of
from tests.contract.records import differences
from tests.contract.subject import Case, Observation

MANIFEST_CODES = (0, 1)  # a run with one of these exit codes leaves a manifest


def test_every_fault_of_every_statement_has_the_recorded_outcome(case: Case, full: Observation) -> None:
    """The table of the warehouse contains exactly the observed outcomes."""
    found: dict[tuple[str, str], Outcome] = {
        (constant, fault): Outcome.of(observation)
        for constant, faults in observed(case.subject, case.flow).items()
        for fault, observation in faults.items()
    }
    assert len(found) > 0
    tables = table_of(case.subject.name)
    assert tables.keys() <= set(case.subject.flows)
    table = tables.get(case.flow, {})
    wanted = {(constant, fault): outcome for constant, faults in table.items() for fault, outcome in faults.items()}
    keys = sorted(found.keys() | wanted.keys())
    assert {key: found.get(key) for key in keys} == {key: wanted.get(key) for key in keys}


def test_no_fault_passes_silently(case: Case, full: Observation) -> None:
    problems = {
        f"{constant}, {fault}": _problem(observation, full)
        for constant, faults in observed(case.subject, case.flow).items()
        for fault, observation in faults.items()
    }
    assert {name: problem for name, problem in problems.items() if problem} == {}


def _problem(observation: Observation, full: Observation) -> str:
    """The problem with a run, regardless of the table, or an empty string if there is none."""
    code = observation.run.exit_code
    if code not in MANIFEST_CODES:
        return f"exit {code}, and it left {observation.leftovers}" if observation.leftovers else ""
    if "Traceback" in observation.run.stderr:
        return f"an unexpected error: {observation.run.stderr}"
    is_less = differences(observation.records, full.records) != []
    return "different records, but nothing is counted" if is_less and observation.skipped == full.skipped else ""


def test_a_truncated_result_leaves_no_manifest_or_complete_slices(case: Case, full: Observation) -> None:
    for rows in sorted({1, len(full.records) // 2, len(full.records) - 1}):
        case.server.cut_after(rows)
        observation = case.observe()
        case.server.restore()
        if observation.run.exit_code == 4:
            assert observation.leftovers == [], f"after {rows} rows"
        else:
            observation.run.check(1)
            assert differences(observation.records, _slice(observation, full)) == [], f"after {rows} rows"
        case.manifest.unlink(missing_ok=True)


def _slice(observation: Observation, full: Observation) -> list[dict[str, object]]:
    """The records of the full run in the window that a run completed."""
    assert observation.collected is not None
    until = parse_utc(observation.collected.header["window"]["end"])
    return [record for record in full.records if parse_utc(str(record["end_time"])) < until]
