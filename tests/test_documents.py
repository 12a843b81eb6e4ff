"""What the documents point at is there, and the commands they show are taken by the scripts they name."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.script_process import clean_environment

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "references/*.md", "scripts/**/README.md", "tests/**/README.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
    if ".envs" not in path.parts
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?://)([^)#\s]+)")
FILE_NAME = re.compile(r"`((?:scripts|references|tests|benchmarks)/[\w./-]+)`")
SCRIPT = re.compile(r"(?:python|uv run) ((?:\w+/)*(?:collect|push)\w+\.py)([^#\n|;&]*)")
OPTION = re.compile(r"(--[a-z-]+)")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_documents_are_found() -> None:
    assert {"README.md", "SKILL.md", "CHANGELOG.md", "references/manifest.md"} <= {relative(path) for path in DOCUMENTS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_and_named_files_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    missing += [name for name in FILE_NAME.findall(text) if not (ROOT / name).exists()]
    assert missing == []


def test_every_reference_is_named_in_the_skill() -> None:
    skill = (ROOT / "SKILL.md").read_text(encoding="utf-8")
    references = [relative(path) for path in (ROOT / "references").glob("*.md")]
    assert references
    assert [name for name in references if name not in skill] == []
    assert len(skill.splitlines()) < 300


@cache
def options_of(script: Path) -> set[str]:
    command = [sys.executable, str(script), "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment({}))
    return set(OPTION.findall(run.stdout))


def commands(document: Path) -> list[tuple[Path, set[str]]]:
    """The scripts a document runs, with the options it gives them; in a folder's README the folder's own."""
    folder = document.parent if "templates" in document.parts else ROOT / "scripts/templates/snowflake"
    found = SCRIPT.findall(document.read_text(encoding="utf-8"))
    return [(folder / script, set(OPTION.findall(arguments))) for script, arguments in found]


def test_there_are_commands_to_check() -> None:
    assert sum(len(commands(document)) for document in DOCUMENTS) > 5


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if commands(path)], ids=relative)
def test_commands_name_scripts_and_options_that_exist(document: Path) -> None:
    for script, options in commands(document):
        assert script.exists(), script
        assert options <= options_of(script), (script.name, options - options_of(script))
