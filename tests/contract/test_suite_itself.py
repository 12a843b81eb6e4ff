"""Tests the contract suite itself: with mistakes inserted into Tiny, exactly the tests of the broken promises fail.

The mistakes are in tests/contract/tiny/breaks.toml. All mistakes of a run go into one copy, because the suite takes a
minute. Each promise is broken in one run and kept in another.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli

from tests.contract.tree import PLACES, TINY, make_tree, outcomes_of, run_in

NAME = "tiny"
WITHOUT_SCALE = ("-m", "not scale")
# The pytest arguments for each run in breaks.toml.
RUNS: Mapping[str, Sequence[str]] = {
    "first": ("tests/contract", *WITHOUT_SCALE),
    "second": ("tests/contract", *WITHOUT_SCALE),
    "harness": ("tests/contract/test_folder.py",),
    "scale": ("tests/contract", "-m", "scale"),
}
TEST = re.compile(r"::(test_\w+)\[")


@dataclass(frozen=True)
class Break:
    """A mistake and the promises that it breaks, by flow. "folder" means promises about a folder, not a single flow."""

    run: str
    what: str
    file: str
    fails: Mapping[str, Sequence[str]]
    old: str = ""
    new: str = ""

    def apply(self, root: Path) -> None:
        path = root / self.file
        if not self.old:
            path.unlink()
            return
        text = path.read_text(encoding="utf-8")
        assert self.old in text, f"{self.what}: {self.file} has no {self.old!r}"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")

    @property
    def failures(self) -> set[str]:
        """The names of the tests that must fail, as pytest prints them."""
        return {
            f"test_{promise}[{NAME if flow == 'folder' else f'{NAME}-{flow}'}]"
            for flow, promises in self.fails.items()
            for promise in promises
        }


def breaks() -> list[Break]:
    found: dict[str, list[dict[str, Any]]] = tomli.loads((TINY / "breaks.toml").read_text(encoding="utf-8"))
    return [Break(**each) for each in found["break"]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("itself") / "project")


def copies(tree: Path, place: Path) -> Path:
    """Copy Tiny's template folder and the library, so that mistakes can be inserted."""
    shutil.copytree(tree / PLACES["template"], place / "templates" / NAME)
    shutil.copytree(tree / "scripts/mcpush", place / "mcpush")
    return place


def put_in(run: str, tree: Path, place: Path) -> None:
    for each in breaks():
        if each.run == run:
            is_template = each.file.startswith(f"{NAME}/")
            each.apply(tree if run == "harness" else place / "templates" if is_template else place)


def broken_by(run: str, tree: Path, tmp_path: Path) -> dict[str, set[str]]:
    """The outcomes of the suite with the mistakes of a run."""
    place = copies(tree, tmp_path / "broken")
    put_in(run, tree, place)
    arguments = (*RUNS[run], "-k", NAME, "--templates", str(place / "templates"))
    return outcomes_of(tree, *arguments, base=tmp_path / "base")


def compare(run: str, found: Mapping[str, set[str]]) -> None:
    """Check that exactly the tests that the run's mistakes break have failed, and that no test ended with an error."""
    failed = found.get("FAILED", set())
    mistakes = [each for each in breaks() if each.run == run]
    wanted = {failure for each in mistakes for failure in each.failures}
    problems = [
        f"{each.what}: not noticed by {', '.join(each.failures - failed)}"
        for each in mistakes
        if each.failures - failed
    ]
    problems += [f"failed too: {test}" for test in sorted(failed - wanted)]
    assert not problems, "\n".join(problems)
    assert found.keys() == {"PASSED", "FAILED"}


@pytest.mark.scale
@pytest.mark.parametrize(
    "run", [pytest.param(run, marks=pytest.mark.xdist_group(f"mistakes of run {run}")) for run in ("first", "second")]
)
def test_exactly_the_broken_promises_fail(run: str, tree: Path, tmp_path: Path) -> None:
    compare(run, broken_by(run, tree, tmp_path))


def test_memory_growth_is_noticed(tree: Path, tmp_path: Path) -> None:
    found = broken_by("scale", tree, tmp_path)
    assert found.pop("PASSED", set()) == set()
    compare("scale", found | {"PASSED": set()})


def test_a_wrong_or_missing_harness_is_noticed(tmp_path: Path) -> None:
    """A folder without a harness fails the suite; it is not skipped."""
    tree = make_tree(tmp_path / "project")
    place = copies(tree, tmp_path / "broken")
    shutil.copytree(place / "templates" / NAME, place / "templates" / f"{NAME}-without")
    put_in("harness", tree, place)
    arguments = (*RUNS["harness"], "-k", NAME, "--templates", str(place / "templates"))
    found = outcomes_of(tree, *arguments, base=tmp_path / "base")
    without = {test for test in found["FAILED"] if f"[{NAME}-without]" in test}
    assert without == {
        f"test_{promise}[{NAME}-without]"
        for promise in (
            "a_folder_has_a_harness_for_its_flows",
            "exemptions_name_a_promise_and_a_reason",
        )
    }
    compare("harness", found | {"FAILED": found["FAILED"] - without})


def test_missing_template_folders_are_noticed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    arguments = ("tests/contract/test_folder.py", "--templates", str(tmp_path / "templates"))
    found = outcomes_of(tree, *arguments, base=tmp_path / "base")
    assert found.get("FAILED") == {"test_there_are_template_folders"}


def test_every_promise_is_broken_by_a_mistake(tree: Path) -> None:
    listed = run_in(tree, sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/contract", "-k", NAME).stdout
    promises = set(TEST.findall(listed))
    assert promises == {name.partition("[")[0] for each in breaks() for name in each.failures}


def test_every_mistake_belongs_to_a_run() -> None:
    assert {each.run for each in breaks()} == set(RUNS)
