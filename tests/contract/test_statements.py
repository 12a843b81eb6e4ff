"""Tests the statements that run in the warehouse: reads and session settings only, from the folder's constants, on
documented views and columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.contract.denials import denials
from tests.contract.statements import (
    Statement,
    catalog_of,
    is_read,
    is_setting,
    sort_out,
    statements_of,
    undocumented,
)
from tests.contract.subject import Case, Observation
from tests.warehouses.harness import dialect_of


def _statements(case: Case, full: Observation) -> list[str]:
    """All statements that a full run and ``--list`` send."""
    return [*full.statements, *case.subject.listing(case.flow).statements]


def test_only_reads_and_session_settings_are_run(case: Case, full: Observation) -> None:
    statements = _statements(case, full)
    assert len(statements) > 0
    assert [text for text in statements if not is_read(text, case.subject.harness.dialect)] == []


def test_every_statement_run_is_a_constant_or_a_session_setting(case: Case, full: Observation) -> None:
    sent = sort_out(_statements(case, full), case.subject.template)
    assert len(sent.by_constant) > 0
    assert [text for text in sent.foreign if not is_setting(text, case.subject.harness.dialect)] == []


@pytest.mark.one_flow
def test_statements_use_only_documented_views_and_columns(case: Case) -> None:
    catalog = catalog_of(case.subject.template)
    statements = statements_of(case.subject.template)
    assert len(statements) > 0
    dialects = [dialect_of(case.subject.harness, each.path) for each in statements]
    problems = {
        str(each): undocumented(each, catalog, dialect) for each, dialect in zip(statements, dialects, strict=True)
    }
    assert {name: found for name, found in problems.items() if found} == {}


@pytest.mark.one_flow
def test_every_sql_constant_is_run(case: Case) -> None:
    """A run, ``--list`` or a run with a denied view sends each constant. Otherwise the harness names the test that
    covers it.
    """
    subject = case.subject
    texts = []
    for flow in subject.flows:
        texts += _statements(Case(subject, flow, case.work), subject.full(flow))
        texts += [text for observation in denials(subject, flow).values() for text in observation.statements]
    run = _constants(sort_out(texts, subject.template).statements)
    not_run = sorted(name for _, name in _constants(statements_of(subject.template)) - run)
    elsewhere = getattr(subject.harness, "run_elsewhere", {})
    assert not_run == sorted(elsewhere), "a constant did not run, or ran although it is in run_elsewhere"
    assert [name for name, reason in elsewhere.items() if not reason.strip()] == []


def _constants(statements: Iterable[Statement]) -> set[tuple[str, str]]:
    """File and name of each constant. Two files can have constants of the same name."""
    return {(statement.path.name, statement.constant) for statement in statements}
