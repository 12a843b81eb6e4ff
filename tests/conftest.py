"""Fixtures, options and hooks for all tests: the sandbox, golden recordings, and the grouping of tests by server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import server_logs
from tests.golden.comparing import RECORD_OPTION, Golden
from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, reach_local_servers_directly

TESTS = Path(__file__).resolve().parent
CONTRACT = "tests/contract/"
SUMMARY_WIDTH = 160  # of a line in a log file; 80 would truncate the reason of a failure

# The same examples in every run, and no deadline: a slow machine is not a failure. fuzz_sql_lineage.py finds new ones.
settings.register_profile(
    "suite", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

_own_folder = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "replace the golden recordings of the selected tests with what the tests produce now"
    parser.addoption(RECORD_OPTION, action="store_true", help=text)
    text = (
        "the parent of the template folders that tests/contract checks; their library is ROOT/../mcpush, if it exists"
    )
    parser.addoption("--templates", metavar="ROOT", type=Path, default=TEMPLATES, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Bypass the proxy for local servers, and keep all temporary files in one folder that is removed at the end."""
    reach_local_servers_directly()
    if hasattr(config, "workerinput"):
        return  # a worker of pytest-xdist inherits the folder
    # Files in tmp_path stay in pytest's usual place, which keeps those of the last runs.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="push-ingestion-tests-")
    config.stash[_own_folder] = os.environ["TMPDIR"] = tempfile.tempdir = folder


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(_own_folder, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend(server_logs.ends())
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    writer = config.get_terminal_writer()
    if not writer.hasmarkup:  # output goes to a log file
        writer.fullwidth = SUMMARY_WIDTH
    skipped = [report for report in terminalreporter.getreports("skipped") if report.nodeid.startswith(CONTRACT)]
    if skipped:
        terminalreporter.section("contract: checks that do not apply")
        for report in skipped:
            test, reason = report.nodeid.partition("::")[2].partition("@")[0], report.longrepr[2]
            terminalreporter.write_line(f"{test}: {reason.removeprefix('Skipped: ')}")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a server in one of the parallel processes. Groups with long tests start first."""
    long = {group_of(item) for item in items if item.get_closest_marker("scale")}
    items.sort(key=lambda item: group_of(item) not in long)
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(group_of(item)))


def group_of(item: pytest.Item) -> str:
    """The group of a test: all tests that share a warehouse's server, which starts once.

    That is a folder of tests, or a warehouse's part of the contract suite. Any other file is a group.
    """
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if isinstance(template := parameters.get("subject"), Path):
        return f"contract/{template.name}"
    folder = item.path.parent
    return str((folder if folder.parent.parent == TESTS else item.path).relative_to(TESTS))


@pytest.fixture(scope="session")
def golden(pytestconfig: pytest.Config) -> Golden:
    """Compares with the golden recordings, or replaces them."""
    return Golden(records=pytestconfig.getoption(RECORD_OPTION))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox for the test module."""
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def quiet_sandbox(sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    """The module's sandbox, without faults and with request counts at zero."""
    sandbox.clear_faults()
    sandbox.clear_requests()
    yield sandbox
    sandbox.clear_faults()


@pytest.fixture
def manifest_path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.jsonl"
