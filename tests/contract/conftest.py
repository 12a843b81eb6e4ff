"""Fixtures for the warehouses under test. Folders are discovered on disk, each server starts once, and every test
restores it afterwards.

A test of the suite requests a ``case`` (a warehouse and a flow) and runs for each flow of each template folder. With
the mark ``flows`` it runs for the named flows only. With ``one_flow`` it runs for the first flow of each warehouse,
because the library code is the same for all flows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.subject import Case, Observation, Subject, harness_of, started, template_folders
from tests.sandbox_process import SandboxProcess
from tests.warehouses.harness import SECRET_MARK, Flow

MARKS = (
    "flows(*names): a promise of these flows only",
    "one_flow: a promise that the library keeps in the same way for all flows of a warehouse",
)


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", mark)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folders = template_folders(metafunc.config.getoption("templates"))
    if "template" in metafunc.fixturenames and "subject" not in metafunc.fixturenames:
        metafunc.parametrize("template", folders, ids=[folder.name for folder in folders])
    if "subject" in metafunc.fixturenames:
        cases = [(folder, flow) for folder in folders for flow in _flows(folder.name, metafunc.definition)]
        ids = [f"{folder.name}-{flow}" for folder, flow in cases]
        metafunc.parametrize(("subject", "flow"), cases, ids=ids, indirect=["subject"], scope="session")


def _flows(warehouse: str, test: pytest.Item) -> list[Flow]:
    """The flows of a warehouse for which a test runs."""
    harness = harness_of(warehouse)
    flows = list(harness.flows) if harness else []
    if test.get_closest_marker("one_flow"):
        return flows[:1]
    if chosen := test.get_closest_marker("flows"):
        return [flow for flow in flows if flow in chosen.args]
    return flows


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    template: Path = request.param
    with started(template, tmp_path_factory.mktemp(f"contract-{template.name}")) as found:
        yield found


@pytest.fixture
def case(subject: Subject, flow: Flow, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """A flow of a warehouse. Its server contains the world; no views are denied and no faults are set when the test
    starts.
    """
    promise = request.function.__name__.removeprefix("test_")
    if reason := subject.harness.not_applicable.get((flow, promise)):
        pytest.skip(reason)
    subject.show(subject.world)
    work = tmp_path / "work"
    work.mkdir()
    yield Case(subject, flow, work)
    subject.server.restore()


@pytest.fixture
def full(case: Case) -> Observation:
    """The run that collected the whole world."""
    observation = case.subject.full(case.flow)
    observation.run.check()
    return observation


@pytest.fixture(scope="session")
def sandbox_of_subject(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    place = tmp_path_factory.mktemp(f"contract-sandbox-{subject.name}")
    with SandboxProcess(place, settings=_settings(subject.resource)) as process:
        yield process


@pytest.fixture
def monte_carlo(sandbox_of_subject: SandboxProcess, case: Case) -> Iterator[SandboxProcess]:
    """The local Monte Carlo sandbox with this warehouse, without faults, and with its request counts at zero."""
    sandbox_of_subject.clear_faults()
    sandbox_of_subject.clear_requests()
    yield sandbox_of_subject
    sandbox_of_subject.clear_faults()


def _settings(resource: str) -> dict[str, object]:
    """An account with one warehouse. Its keys contain the secret mark, so that tests can search for it in a script's
    output.
    """
    return {
        "account": str(uuid.uuid5(uuid.NAMESPACE_DNS, "contract")),
        "keys": [
            {"id": f"id-of-{scope}", "token": f"{SECRET_MARK}-token-of-{scope}", "scope": scope}
            for scope in ("Ingestion", "GraphQL")
        ],
        "warehouses": [{"uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, resource)), "name": resource, "type": resource}],
    }
