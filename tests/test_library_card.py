"""references/library.md is up to date, and scripts/library_card.py lists the right names."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import GenericAlias
from typing import Any, TypeVar

import pytest

from tests.script_process import SCRIPTS, TEMPLATES, clean_environment

CARD = SCRIPTS.parent / "references/library.md"
READ_SQL = ("mcpush.sql", "mcpush.lineage.query_log", "mcpush.lineage.schema_manifest")
CHECKS = ("mcpush.encryption", "mcpush.environment")


def library_card(scripts: Path, mode: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(scripts / "library_card.py"), mode]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, env=clean_environment({})
    )


def test_the_card_is_up_to_date() -> None:
    run = library_card(SCRIPTS, "--check")
    assert (run.returncode, run.stderr) == (0, "")


# --- the templates' imports -------------------------------------------------------------------------------


def imported() -> dict[Path, set[tuple[str, str]]]:
    """Module and name of each import from the library, by template folder, without the shared scripts."""
    shared = {path.name for path in (TEMPLATES / "_shared").glob("*.py")}
    found: dict[Path, set[tuple[str, str]]] = {}
    for path in TEMPLATES.glob("[!_]*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                path.name not in shared
                and isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith("mcpush")
            ):
                names = {(node.module or "", alias.name) for alias in node.names}
                found.setdefault(path.parent, set()).update(names)
    return found


def listed() -> set[tuple[str, str]]:
    """Module and name of each entry on the card."""
    found = set()
    for section in CARD.read_text(encoding="utf-8").split("\n## ")[1:]:
        module, _, text = section.partition("\n")
        for line in text.splitlines():
            if line.startswith("- "):
                found |= {(f"mcpush.{module}", name) for name in re.findall(r"(?:^- |, )`(?:with )?(\w+)", line)}
    return found


def is_left_out(module: str, name: str) -> bool:
    """Whether the card leaves it out: checks of variables, the SQL parser, record types, annotations."""
    value: Any = getattr(importlib.import_module(module), name)
    return module in (*READ_SQL, *CHECKS) or hasattr(value, "from_json") or isinstance(value, (TypeVar, GenericAlias))


def test_names_that_every_folder_imports_are_on_the_card() -> None:
    folders = imported()
    assert len(folders) > 1
    everywhere = {item for item in set.intersection(*folders.values()) if not is_left_out(*item)}
    assert everywhere, "no common imports found"
    assert everywhere - listed() == set()


def test_the_card_lists_nothing_that_no_folder_imports() -> None:
    anywhere = {item for names in imported().values() for item in names}
    assert listed() - anywhere == set()


def test_folders_import_nothing_private() -> None:
    private = {item for names in imported().values() for item in names if "._" in f".{'.'.join(item)}"}
    assert private == set()


# --- the generator itself ---------------------------------------------------------------------------------

LIBRARY = {
    "mcpush/__init__.py": "",
    "mcpush/records.py": '''
class TableRecord:
    """A table."""

    @classmethod
    def from_json(cls, value):
        """Reads one."""


class Column(NamedTuple):
    """A column. Its type is the warehouse's."""

    name: str
    type: str | None
    description: str | None = None
''',
    "mcpush/collect/__init__.py": "from mcpush.collect.reading import read_all\n",
    "mcpush/collect/reading.py": '''
T = TypeVar("T")
Key = tuple[str, str]
IsError = Callable[[BaseException], bool]
FIRST, SECOND = "a", "b"


class Scope(Enum):
    """How much an error prevents"""

    RUN = "everything"
    OBJECT = "one object"


class Options:
    """What is asked for; a run
    has one. More of it."""

    arguments: argparse.Namespace
    window: TimeRange | None = None
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count ``reason``."""

    @property
    def since(self) -> datetime:
        """The start."""

    def unused(self) -> None:
        """Nobody calls it."""

    def undocumented(self) -> None: ...


class Target(Generic[N]):
    """A target."""

    def __init__(self, asset: N, origin: str) -> None:
        """Not shown."""


LineageTarget = Target[Asset]


def read_all(options: Options, read: Callable[[str], Iterator[T]], *, is_wrong: IsError, size: int = 3) -> list[T]:
    """What ``read`` yields."""


def joined(found: Iterable[Target[N]], *names: str) -> dict[Key, Target[N]]:
    ...


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """Opens it."""
''',
    "mcpush/lineage.py": "from mcpush.sql import extract\n\n\ndef lineage_of(text: str) -> None: ...\n",
    "mcpush/sql/__init__.py": "def extract() -> None: ...\n",
}
IMPORTS = """
from mcpush.collect import read_all
from mcpush.collect.reading import FIRST, IsError, Key, LineageTarget, Options, Scope, T, joined, opened
from mcpush.lineage import lineage_of
from mcpush.records import Column, TableRecord
from mcpush.sql import extract

options.skip(options.since, options.undocumented)
"""
EXPECTED = """
## collect
- `read_all(options, read: (str) -> [T], *, is_wrong: (Exception) -> bool, size?) -> [T]`: What `read` yields

## collect.reading
- `LineageTarget(asset, origin)`: A target
- `Options(arguments, window?: TimeRange)`: What is asked for; a run has one
  - `.skip(reason, count?)`: Count `reason`
  - `.since`: The start
- `Scope.RUN, .OBJECT`: How much an error prevents
- `joined(found: [Target], *names) -> dict[Key, Target]`
- `with opened(path)`: Opens it
- `FIRST`

## records
- `Column(name, type, description?)`: A column
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A bundle with the library above, the two example folders with the same imports, and another folder."""
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPTS / "folders", scripts / "folders", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SCRIPTS / "library_card.py", scripts)
    shared = {"push_metadata.py": "from mcpush.push import of_push_scripts_only\n"}
    files = LIBRARY | {f"templates/_shared/{name}": text for name, text in shared.items()}
    for warehouse in ("snowflake", "redshift"):
        files |= {f"templates/{warehouse}/{name}": text for name, text in shared.items()}
        files[f"templates/{warehouse}/collect_metadata.py"] = IMPORTS
    files["templates/other/collect_metadata.py"] = "from mcpush.collect.reading import SECOND\n"
    for name, text in files.items():
        (scripts / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts / name).write_text(text, encoding="utf-8")
    (tmp_path / "references").mkdir()
    return scripts


def made_card(scripts: Path) -> str:
    """The output of --write, without the head."""
    run = library_card(scripts, "--write")
    assert (run.returncode, run.stderr) == (0, "")
    text = (scripts.parent / "references/library.md").read_text(encoding="utf-8")
    head, heading, rest = text.partition("\n## ")
    assert head.startswith("# Library card\n\nOpen this when ")
    return heading + rest


def test_the_card_has_signatures_and_first_sentences(scripts: Path) -> None:
    assert made_card(scripts) == EXPECTED


def test_only_what_both_example_folders_import_is_listed(scripts: Path) -> None:
    shortened = IMPORTS.replace(" Column,", "").replace("options.since", "options")
    (scripts / "templates/redshift/connection.py").write_text("from mcpush.records import Tag\n", encoding="utf-8")
    (scripts / "templates/snowflake/collect_metadata.py").write_text(shortened, encoding="utf-8")
    without_column, _, _ = EXPECTED.partition("\n## records")
    assert made_card(scripts) == without_column.replace("  - `.since`: The start\n", "")


@pytest.mark.parametrize(
    ("old", "new"),
    [("size: int = 3", "size: int"), ("What ``read`` yields.", "All that ``read`` yields."), ("RUN = ", "STEP = ")],
)
def test_a_change_of_the_library_is_noticed(scripts: Path, old: str, new: str) -> None:
    made_card(scripts)
    assert library_card(scripts, "--check").returncode == 0
    path = scripts / "mcpush/collect/reading.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    run = library_card(scripts, "--check")
    assert (run.returncode, run.stderr) == (
        1,
        "references/library.md is out of date: run scripts/library_card.py --write\n",
    )


def test_a_name_that_the_library_does_not_have_is_an_error(scripts: Path) -> None:
    text = (scripts / "mcpush/records.py").read_text(encoding="utf-8")
    (scripts / "mcpush/records.py").write_text(text.replace("class Column", "class Field"), encoding="utf-8")
    run = library_card(scripts, "--check")
    assert run.returncode == 1
    assert run.stderr.endswith("LookupError: mcpush.records defines no Column\n")


def test_a_bundle_without_imports_from_the_library_is_an_error(scripts: Path) -> None:
    shutil.rmtree(scripts / "templates")
    run = library_card(scripts, "--check")
    message = "nothing to list: the example folders import nothing from the library\n"
    assert (run.returncode, run.stderr) == (1, message)
