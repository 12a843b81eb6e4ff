"""Links and files named in the documents exist, and their commands use existing scripts and options."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from folders import bundle

from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, clean_environment

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "references/*.md", "scripts/**/README.md", "tests/**/README.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
    if ".envs" not in path.parts
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?://)([^)#\s]+)")
FILE_NAME = re.compile(r"`((?:scripts|references|tests|benchmarks)/[\w./-]+)`")
SCRIPT = re.compile(r"(?:python|uv run) ((?:\w+/)*(?:collect|push|new_push|sync|sql)\w*\.py)([^#\n|;&`]*)")
OPTION = re.compile(r"(--[a-z-]+)")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_documents_are_found() -> None:
    found = {relative(path) for path in DOCUMENTS}
    assert {"README.md", "SKILL.md", "CHANGELOG.md", "CONTRIBUTING.md", "references/manifest.md"} <= found
    folders = bundle.warehouses()
    assert folders
    assert {relative(folder / "README.md") for folder in folders} <= found


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
    """The scripts that a document runs, with their options.

    Paths are relative to the repository. Plain names are scripts of a template folder: in a folder's README of that
    folder, otherwise of Snowflake's.
    """
    folder = document.parent if document.parent.parent == TEMPLATES else TEMPLATES / "snowflake"
    found = SCRIPT.findall(document.read_text(encoding="utf-8"))
    return [
        ((ROOT if "/" in script else folder) / script, set(OPTION.findall(arguments))) for script, arguments in found
    ]


def test_there_are_commands_to_check() -> None:
    assert sum(len(commands(document)) for document in DOCUMENTS) > 5


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if commands(path)], ids=relative)
def test_commands_name_scripts_and_options_that_exist(document: Path) -> None:
    for script, options in commands(document):
        assert script.exists(), script
        assert options <= options_of(script), (script.name, options - options_of(script))


SANDBOX_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_the_examples_of_the_sandbox_work_one_after_the_other(sandbox: SandboxProcess) -> None:
    text = (ROOT / "scripts/sandbox/README.md").read_text(encoding="utf-8")
    responses = {}
    for language, block in SANDBOX_BLOCK.findall(text):
        here = block.replace("127.0.0.1:8380", sandbox.url.removeprefix("http://"))
        here = here.replace(".sandbox/", f"{sandbox.data_dir}/")
        command = [sys.executable, "-c", here] if language == "python" else ["sh", "-euc", here]
        environment = clean_environment(sandbox.env if language == "python" else {})
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        assert run.returncode == 0, run.stderr
        assert '"error' not in run.stdout, block
        responses[block] = run.stdout
    pushed, seen, faults = responses.values()
    (push,) = sandbox.pushes()
    assert push["invocation_id"] in pushed
    assert seen.count(push["invocation_id"]) == 2, "once in the list of pushes, once as the invocation id of the table"
    assert '"name":"ORDERS"' in seen
    assert faults.endswith('{"faults":[]}')
    assert faults.count('"status":503') == 3
