"""Tests that all named mutants can be applied and that the runner distinguishes noticed from unnoticed mutants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, run
from tests.mutants.mutant import FOLDER, Mutant, problems, read_mutants

CODE = "def half(number):\n    return number / 2\n"
TESTS = """
import pytest

from code_under_test import half


@pytest.fixture
def four():
    return half(8)


def test_half():
    assert half(8) == 4


def test_type():
    assert isinstance(half(8), float)


def test_four(four):
    assert four == 4
"""
GOOD = Mutant("added", "a double", "code_under_test.py", "number / 2", "number + 2", "tests/test_code.py::test_half")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project to mutate. Its tests need no plugins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "tests").mkdir()
    (tmp_path / "code_under_test.py").write_text(CODE)
    (tmp_path / "tests" / "test_code.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    return tmp_path


def test_each_mutant_can_be_applied_and_its_test_exists() -> None:
    assert list(problems(read_mutants(sorted(FOLDER.glob("*.toml"))), ROOT)) == []


@pytest.mark.parametrize(
    ("mutants", "found"),
    [
        ([], ["there is no mutant"]),
        ([GOOD], []),
        ([GOOD, GOOD], ["added: 2 mutants have this name"]),
        ([replace(GOOD, why="")], ["added: why is empty"]),
        ([replace(GOOD, file="gone.py")], ["added: there is no file gone.py"]),
        ([replace(GOOD, old="number")], ["added: old occurs 2 times in code_under_test.py"]),
        ([replace(GOOD, old="gone")], ["added: old occurs 0 times in code_under_test.py"]),
        ([replace(GOOD, old="")], ["added: old occurs 0 times in code_under_test.py"]),
        ([replace(GOOD, new=GOOD.old)], ["added: new is the same as old"]),
        ([replace(GOOD, new="number /")], ["added: code_under_test.py with new is not valid Python"]),
        (
            [replace(GOOD, test="tests/test_code.py::test_gone")],
            ["added: there is no test tests/test_code.py::test_gone"],
        ),
        ([replace(GOOD, test="tests/gone.py::test_half")], ["added: there is no test tests/gone.py::test_half"]),
    ],
)
def test_problems_of_a_mutant_are_named(project: Path, mutants: list[Mutant], found: list[str]) -> None:
    assert list(problems(mutants, project)) == found


def test_a_mutant_is_noticed_only_if_its_test_fails(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_zero = replace(GOOD, name="by-zero", new="number / 0", test="tests/test_code.py::test_four")
    unnoticed = replace(GOOD, name="third", new="number / 3", test="tests/test_code.py::test_type")
    not_imported = replace(GOOD, name="renamed", old="def half", new="def third")
    assert run([GOOD, by_zero, unnoticed, not_imported], project) == 1
    printed = capsys.readouterr().out.splitlines()
    verdicts = [line.split()[:2] for line in printed if line.endswith(" code_under_test.py")]
    assert verdicts == [["noticed", "added"], ["BROKEN", "by-zero"], ["UNNOTICED", "third"], ["BROKEN", "renamed"]]
    assert printed[-1] == "1 of 4 noticed"
    assert (project / "code_under_test.py").read_text() == CODE


def test_tests_that_fail_on_unchanged_code_are_reported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "code_under_test.py").write_text(CODE.replace("/ 2", "/ 4"))
    assert run([replace(GOOD, old="number / 4")], project) == 2
    assert "not all tests pass unchanged" in capsys.readouterr().out


def test_a_noticed_mutant_is_a_success(project: Path) -> None:
    assert run([GOOD], project) == 0
