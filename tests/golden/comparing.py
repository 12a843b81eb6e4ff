"""Reads, writes and compares golden recordings. Messages name the file and the line of each difference.

A recording is a folder of text files. Files whose names end in ``.gz`` are compressed; their text is compared. After an
intended change of behavior, record again and review the diff in git (use ``gzip -dc`` for compressed files):

    python -m pytest tests/golden tests/templates -k golden --record-golden
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD_OPTION = "--record-golden"
DIFFERENCES_SHOWN = 5  # per file
LINES_SHOWN = 4  # per side of a difference
CHARACTERS_SHOWN = 240  # per line
CHARACTERS_BEFORE = 60  # of these, before the first difference


@dataclass(frozen=True)
class Golden:
    """Compares the texts of a test with a recorded folder. With ``records``, replaces the folder first."""

    records: bool = False

    def check(self, name: str, texts: Mapping[str, str]) -> None:
        """Raise AssertionError unless ``texts`` is not empty and equals the files of the folder ``name``."""
        assert texts, f"{name}: the test produced nothing to compare"
        folder = HERE / name
        if self.records:
            _write(folder, texts)
        problems = list(differences(_read(folder), texts))
        assert not problems, "\n".join(
            [
                f"{name} differs from its recording (- recorded, + now):",
                *problems,
                f"If the change is intended, run the test with {RECORD_OPTION}.",
            ]
        )


def _read(folder: Path) -> dict[str, str]:
    return {path.name: _text(path) for path in sorted(folder.glob("*")) if path.is_file()}


def _text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*"):
        path.unlink()
    for name, text in texts.items():
        content = text.encode("utf-8")
        (folder / name).write_bytes(gzip.compress(content, 9, mtime=0) if name.endswith(".gz") else content)


def differences(recorded: Mapping[str, str], made: Mapping[str, str]) -> Iterator[str]:
    """Human-readable lines: missing files, extra files, and the first differences of the others."""
    if not recorded:
        yield "  the recording is missing"
    for name in sorted(recorded.keys() | made.keys()):
        if name not in made:
            yield f"{name}: recorded, but not produced now"
        elif name not in recorded:
            yield f"{name}: produced now, but not recorded"
        elif recorded[name] != made[name]:
            yield from _of_lines(name, recorded[name].split("\n"), made[name].split("\n"))


def _of_lines(name: str, recorded: list[str], made: list[str]) -> Iterator[str]:
    matcher = SequenceMatcher(None, recorded, made, autojunk=False)
    places = [opcode for opcode in matcher.get_opcodes() if opcode[0] != "equal"]
    for _, first, last, made_first, made_last in places[:DIFFERENCES_SHOWN]:
        yield f"{name}: line {first + 1} recorded, line {made_first + 1} now"
        old, new = recorded[first:last], made[made_first:made_last]
        yield from _shown("-", old, new)
        yield from _shown("+", new, old)
    if len(places) > DIFFERENCES_SHOWN:
        yield f"{name}: and {len(places) - DIFFERENCES_SHOWN} more differences"


def _shown(sign: str, lines: list[str], others: list[str]) -> Iterator[str]:
    """The first lines of one side. Long lines are truncated to the part around the first difference."""
    for number, line in enumerate(lines[:LINES_SHOWN]):
        start = 0
        if len(line) > CHARACTERS_SHOWN and number < len(others):
            start = max(_shared(line, others[number]) - CHARACTERS_BEFORE, 0)
        end = start + CHARACTERS_SHOWN
        yield f"  {sign} {'…' if start else ''}{line[start:end]}{'…' if len(line) > end else ''}"
    if len(lines) > LINES_SHOWN:
        yield f"  {sign} and {len(lines) - LINES_SHOWN} more lines"


def _shared(one: str, other: str) -> int:
    """The length of the common prefix."""
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
