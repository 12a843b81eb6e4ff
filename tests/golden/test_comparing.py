"""Differences, missing files and extra files in a recording are failures that name the place."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.golden import comparing
from tests.golden.comparing import Golden


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(comparing, "HERE", tmp_path)
    Golden(records=True).check("part", {"a.txt": "one\ntwo\nthree\n", "b.jsonl.gz": "x" * 500 + "1\n"})
    return tmp_path / "part"


def test_recorded_texts_are_read_back(recorded: Path) -> None:
    assert gzip.decompress((recorded / "b.jsonl.gz").read_bytes()).decode() == "x" * 500 + "1\n"
    Golden().check("part", {"a.txt": "one\ntwo\nthree\n", "b.jsonl.gz": "x" * 500 + "1\n"})


def test_a_difference_is_shown_with_file_line_and_both_texts(recorded: Path) -> None:
    with pytest.raises(AssertionError) as failure:
        Golden().check("part", {"a.txt": "one\n2\nthree\n", "b.jsonl.gz": "x" * 500 + "2\n"})
    said = str(failure.value)
    assert "a.txt: line 2 recorded, line 2 now\n  - two\n  + 2\n" in said
    assert f"  - …{'x' * 60}1\n  + …{'x' * 60}2\n" in said


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"a.txt": "one\ntwo\nthree\n"}, "b.jsonl.gz: recorded, but not produced now"),
        ({"a.txt": "one\ntwo\nthree\n", "b.jsonl.gz": "", "c.txt": ""}, "c.txt: produced now, but not recorded"),
        ({}, "produced nothing to compare"),
    ],
)
def test_a_missing_or_extra_file_is_a_difference(recorded: Path, made: dict[str, str], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        Golden().check("part", made)


def test_a_folder_that_was_never_recorded_is_a_difference(recorded: Path) -> None:
    with pytest.raises(AssertionError, match="the recording is missing"):
        Golden().check("other", {"a.txt": ""})


def test_recording_again_removes_files_that_are_no_longer_produced(recorded: Path) -> None:
    Golden(records=True).check("part", {"a.txt": "new"})
    assert [path.name for path in recorded.iterdir()] == ["a.txt"]
