"""Rules for the code under scripts/: sizes, import directions, where sqlglot is imported, no NUL characters.

Every check also runs on a small tree that breaks its rule, and fails on a tree in which it finds nothing to check.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.script_process import SCRIPTS

MAX_FILE_LINES = 600
MAX_CLASS_LINES = 300

# Which packages of the library each of them may import. "" is the top-level modules.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "": frozenset({""}),
    "sql": frozenset({"sql"}),
    "lineage": frozenset({"", "lineage", "sql"}),
    "collect": frozenset({"", "collect", "sql"}),
    "push": frozenset({"", "push"}),
}
# Additional permissions: (module, package).
EXCEPTIONS = frozenset({("mcpush.push.run", "collect")})

WITHOUT_SQLGLOT = ("mcpush.program", "mcpush.collect.collector", "mcpush.push.run", "mcpush.lineage.graph")


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    at_run_time: bool


def sources(folder: Path) -> list[Path]:
    """The Python files under a folder. Raises AssertionError if there are none."""
    found = sorted(folder.rglob("*.py"))
    assert found, f"no Python file under {folder}"
    return found


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sources(folder):
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


# -- sizes -----------------------------------------------------------------------------------------------------


def too_long(scripts: Path) -> list[str]:
    """The files and classes that are longer than the project allows."""
    found = []
    for path, tree in trees(scripts):
        name = path.relative_to(scripts).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            found.append(f"{name}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > MAX_CLASS_LINES:
                    found.append(f"{name}: class {node.name}: {length} lines")
    return found


def test_no_file_and_no_class_is_too_long() -> None:
    found = too_long(SCRIPTS)
    assert not found, "\n".join(found)


# -- imports ---------------------------------------------------------------------------------------------------


def modules_of(scripts: Path) -> dict[str, Path]:
    """The modules of the library by their dotted names."""
    found = {}
    for path in sources(scripts / "mcpush"):
        parts = path.relative_to(scripts).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(scripts: Path) -> list[Import]:
    """All imports between modules of the library, including those inside functions and for type checkers."""
    modules = modules_of(scripts)
    found: list[Import] = []
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        typing_only = set(nodes_for_type_checkers(tree))
        for node in ast.walk(tree):
            for imported in imported_by(node, package, modules):
                found.append(Import(name, imported, node not in typing_only))
    assert found, f"no imports between modules under {scripts}"
    return found


def nodes_for_type_checkers(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes under `if TYPE_CHECKING:`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.body:
                yield from ast.walk(child)


def imported_by(node: ast.AST, package: str, modules: Iterable[str]) -> Iterator[str]:
    """The modules of the library that an import statement names; the package itself for `from package import name`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
    elif isinstance(node, ast.ImportFrom):
        source = node.module or ""
        if node.level:
            parents = package.split(".")
            source = ".".join([*parents[: len(parents) - node.level + 1], *([source] if source else [])])
        if source in modules:
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                yield submodule if submodule in modules else source


def part_of(module: str, packages: Iterable[str]) -> str:
    """The package of the library that a module is in; "" for the top-level modules."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in packages else ""


def forbidden_imports(scripts: Path) -> list[str]:
    """The imports that MAY_IMPORT and EXCEPTIONS do not allow."""
    packages = {path.parent.name for path in (scripts / "mcpush").glob("*/__init__.py")}
    assert packages <= MAY_IMPORT.keys(), f"MAY_IMPORT does not say what these may import: {packages}"
    return [
        f"{item.importer} imports {item.imported}"
        for item in imports_of(scripts)
        if (part := part_of(item.imported, packages)) not in MAY_IMPORT[part_of(item.importer, packages)]
        and (item.importer, part) not in EXCEPTIONS
    ]


def import_cycle(scripts: Path) -> list[str]:
    """A cycle of modules that import each other at run time; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for item in imports_of(scripts):
        if item.at_run_time:
            graph.setdefault(item.importer, set()).add(item.imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def test_imports_have_one_direction() -> None:
    found = forbidden_imports(SCRIPTS)
    assert not found, "\n".join(found)


def test_there_are_no_import_cycles() -> None:
    found = import_cycle(SCRIPTS)
    assert not found, " -> ".join(found)


@pytest.mark.parametrize("module", WITHOUT_SQLGLOT)
def test_sqlglot_is_imported_only_where_sql_is_read(module: str) -> None:
    """A folder without the lineage flow does not install sqlglot."""
    code = f"import sys, {module}; print(sorted(name for name in sys.modules if name.split('.')[0] == 'sqlglot'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


# -- sentinels -------------------------------------------------------------------------------------------------


def nul_characters(folder: Path) -> list[str]:
    """Where a string contains a NUL character, which in this project would be a sentinel with a hidden meaning."""
    return [
        f"{path.relative_to(folder).as_posix()}:{node.lineno}"
        for path, tree in trees(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\0" in node.value
    ]


@pytest.mark.parametrize("folder", ["mcpush", "templates"])
def test_no_string_contains_a_nul_character(folder: str) -> None:
    found = nul_characters(SCRIPTS / folder)
    assert not found, "\n".join(found)


# -- the checks themselves -------------------------------------------------------------------------------------


def library(folder: Path, **modules: str) -> Path:
    """Create a small library with these modules (`push_run` is push/run.py). The rest of it breaks no rule."""
    files = {"errors": "", "files": "from mcpush import errors\n"} | modules
    (folder / "mcpush").mkdir(parents=True)
    for package in ("", *(name for name in MAY_IMPORT if name)):
        (folder / "mcpush" / package).mkdir(exist_ok=True)
        (folder / "mcpush" / package / "__init__.py").touch()
    for name, text in files.items():
        (folder / "mcpush" / f"{name.replace('_', '/')}.py").write_text(text, encoding="utf-8")
    return folder


def test_a_long_file_and_a_long_class_are_noticed(tmp_path: Path) -> None:
    longest = "class A:\n" + "    x = 1\n" * (MAX_CLASS_LINES - 1)
    scripts = library(tmp_path, sql_a=longest, sql_b=longest + "    x = 1\n", sql_c="\n" * (MAX_FILE_LINES + 1))
    assert too_long(scripts) == ["mcpush/sql/b.py: class A: 301 lines", "mcpush/sql/c.py: 601 lines"]


@pytest.mark.parametrize(
    ("module", "text", "found"),
    [
        ("errors", "import mcpush.push.run\n", "mcpush.errors imports mcpush.push.run"),
        ("sql_a", "from mcpush.errors import X\n", "mcpush.sql.a imports mcpush.errors"),
        ("sql_a", "def f():\n    from mcpush import errors\n", "mcpush.sql.a imports mcpush.errors"),
        ("sql_a", "from .. import errors\n", "mcpush.sql.a imports mcpush.errors"),
        ("sql_a", "from ..errors import X\n", "mcpush.sql.a imports mcpush.errors"),
        (
            "collect_a",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mcpush.push import run\n",
            "mcpush.collect.a imports mcpush.push.run",
        ),
        ("lineage_a", "from mcpush.push import X\n", "mcpush.lineage.a imports mcpush.push"),
        ("push_a", "import mcpush.collect.b\n", "mcpush.push.a imports mcpush.collect.b"),
        ("push_run", "import mcpush.lineage\n", "mcpush.push.run imports mcpush.lineage"),
        ("push_run", "import mcpush.collect.b\n", None),
        ("lineage_a", "from mcpush import errors, sql\n", None),
        ("push_a", "import json\nfrom . import run\n", None),
    ],
)
def test_an_import_in_the_wrong_direction_is_noticed(module: str, text: str, found: str | None, tmp_path: Path) -> None:
    scripts = library(tmp_path, **({"push_run": "", "collect_b": ""} | {module: text}))
    assert forbidden_imports(scripts) == ([] if found is None else [found])


@pytest.mark.parametrize(
    ("text", "is_cycle"),
    [
        ("from mcpush.sql.b import X\n", True),
        ("def f():\n    from . import b\n", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mcpush.sql.b import X\n", False),
        ("import mcpush.sql\n", False),
    ],
)
def test_an_import_cycle_is_noticed(text: str, is_cycle: bool, tmp_path: Path) -> None:
    scripts = library(tmp_path, sql_a=text, sql_b="from mcpush.sql import c\n", sql_c="import mcpush.sql.a\n")
    assert set(import_cycle(scripts)) == ({f"mcpush.sql.{name}" for name in "abc"} if is_cycle else set())


def test_a_nul_character_is_noticed(tmp_path: Path) -> None:
    scripts = library(tmp_path, sql_a='X = "\\0"\n', sql_b='X = 1\ny = f"{X}\\x00"\n', sql_c='X = r"\\0"\n')
    assert nul_characters(scripts / "mcpush") == ["sql/a.py:1", "sql/b.py:2"]


@pytest.mark.parametrize("check", [too_long, imports_of, forbidden_imports, import_cycle, nul_characters])
def test_a_check_with_nothing_to_check_fails(check: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "mcpush").mkdir()
    with pytest.raises(AssertionError, match="no Python file"):
        check(tmp_path)


def test_a_library_without_imports_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no import"):
        imports_of(library(tmp_path, files=""))
