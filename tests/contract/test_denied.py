"""Tests refusals: wrong credentials, missing grants, an unreachable server, and single views that are denied."""

from __future__ import annotations

import pytest

from tests.contract.denials import denials, read_views
from tests.contract.records import not_within
from tests.contract.subject import Case, Observation


@pytest.mark.one_flow
def test_wrong_credentials_are_refused(case: Case) -> None:
    observation = case.observe(env=case.server.environment("wrong"))
    observation.run.check(3)
    assert observation.leftovers == []


def test_a_user_without_grants_is_refused(case: Case) -> None:
    observation = case.observe(env=case.server.environment("denied"))
    observation.run.check(3)
    assert observation.leftovers == []


def test_a_run_is_refused_if_every_view_is_denied(case: Case, full: Observation) -> None:
    case.server.deny_all()
    observation = case.observe()
    observation.run.check(3)
    assert observation.leftovers == []


@pytest.mark.one_flow
def test_an_unreachable_server_is_reported_as_unavailable(case: Case) -> None:
    observation = case.observe(env=case.server.unreachable())
    observation.run.check(4)
    assert observation.leftovers == []


def test_a_denied_view_is_counted_or_the_run_is_refused(case: Case, full: Observation) -> None:
    found = denials(case.subject, case.flow)
    assert len(found) > 0
    problems = {view: _problem(observation, full) for view, observation in found.items()}
    assert {view: problem for view, problem in problems.items() if problem} == {}


def _problem(observation: Observation, full: Observation) -> str:
    """The problem with a run that was denied a view, or an empty string if there is none."""
    code = observation.run.exit_code
    if code == 3:
        return f"refused, and it left {observation.leftovers}" if observation.leftovers else ""
    if code != 0:
        return f"exit {code}: {observation.run.stderr}"
    if not _counted(observation, full):
        return "exit 0, but nothing is counted"
    return "; ".join(not_within(observation.records, full.records))


def _counted(observation: Observation, full: Observation) -> bool:
    return any(count > full.skipped.get(reason, 0) for reason, count in observation.skipped.items())


def test_the_readme_names_every_view_that_needs_a_grant(case: Case, full: Observation) -> None:
    readme = (case.subject.template / "README.md").read_text(encoding="utf-8").upper()
    views = read_views(case.subject, case.flow)
    assert [view for view in views if ".".join(view.split(".")[-2:]).upper() not in readme] == []
