"""What every test may ask for: a local Monte Carlo, and a template script run as its user would run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox_process import SandboxProcess

TESTS = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a server stay together, on one of the processes that run in parallel; long ones go first."""
    long = {group_of(item) for item in items if item.get_closest_marker("scale")}
    items.sort(key=lambda item: group_of(item) not in long)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))


def group_of(item: pytest.Item) -> str:
    """The folder of tests of a warehouse, whose server is started once; any other file by itself."""
    folder = item.path.parent
    return str((folder if folder.parent.parent == TESTS else item.path).relative_to(TESTS))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox of the test module's own."""
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def quiet_sandbox(sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    """The module's sandbox without faults, its request counts at zero."""
    sandbox.clear_faults()
    sandbox.clear_requests()
    yield sandbox
    sandbox.clear_faults()


@pytest.fixture
def manifest_path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.jsonl"
