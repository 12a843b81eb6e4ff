"""Tests wording: phrases that this project used before it adopted standard terms do not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("scripts", "references", "skills", "tests", "benchmarks")
TEXT_FILES = {".py", ".md", ".toml", ".txt"}
# Each phrase as a regular expression, case-insensitive, with the wording to use instead.
PHRASES = {
    r"\banew\b": "again",
    r"\btells? of\b": "says, reports",
    r"\bthe other side\b": "the service, the warehouse, Monte Carlo",
    r"\bat work on\b": "using",
    r"\bstill to come\b": "in the future",
    r"\bgarbles?\b": "is malformed",
    r"\bcannot know\b": "limitations",
    r"\bshall\b": "must, will",
    r"\bbeneath\b": "base tables, upstream",
    r"\bso many\b": "the number, or 'this many'",
    r"\bwholly\b": "completely",
    r"(?<!there )\bis no (?!longer|more)": "is not a",
    r"\b(is|are) told\b": "is reported, is known",
    r"\bstands? (for|beside)\b": "means, is next to",
}


def text_files() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in TEXT_FILES and path != Path(__file__) and "fixtures" not in path.parts:
                yield path


def test_replaced_phrases_do_not_come_back() -> None:
    found, read = [], 0
    for path in text_files():
        read += 1
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for phrase, better in PHRASES.items():
                if re.search(phrase, line, re.IGNORECASE):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()} (write: {better})")
    assert read > 200, "the files were not found"
    assert found == []
