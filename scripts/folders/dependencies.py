"""Reads the dependencies of scripts: requirements in their inline metadata (PEP 723), and imported modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

REQUIREMENTS = "requirements.txt"
HEADER = "# All dependencies of this folder's scripts. Each script also lists its own in its inline metadata.\n"
# https://packaging.python.org/en/latest/specifications/inline-script-metadata/
BLOCK = re.compile(r"(?m)^# /// script$\n(?P<content>(?:^#(?:| .*)$\n)+?)^# ///$\n")
LIST = re.compile(r"(?ms)^dependencies = (?P<list>\[(?:$.*?^\]|[^\n]*?\]))[ \t]*(?:#[^\n]*)?$")


def dependencies(path: Path) -> list[str]:
    """The requirements in a script's inline metadata. Raises ValueError if there are none."""
    block = BLOCK.search(path.read_text(encoding="utf-8"))
    if block is None:
        raise ValueError(f"{path} has no inline dependency block (PEP 723)")
    toml = "".join(line[2:] + "\n" for line in block["content"].splitlines())
    found = LIST.search(toml)
    # Python 3.10 has no TOML parser. Arrays of strings have the same syntax in TOML and in Python.
    listed = ast.literal_eval(found["list"]) if found else []
    if not listed:
        raise ValueError(f"{path} lists no dependencies")
    return [str(each) for each in listed]


def with_dependencies(text: str, wanted: list[str]) -> str:
    """A script's text with these requirements in its inline metadata."""
    listed = "".join(f'#     "{each}",\n' for each in wanted)
    block = f'# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n{listed}# ]\n# ///\n'
    return BLOCK.sub(lambda found: block, text, count=1)


def requirements(scripts: Iterable[Path]) -> str:
    """The text of requirements.txt: the dependencies of these scripts, in order and without duplicates."""
    listed = dict.fromkeys(each for path in scripts for each in dependencies(path))
    return HEADER + "".join(f"{each}\n" for each in listed)


def scripts_to_install_for(flows: Iterable[str]) -> list[str]:
    """The scripts with all dependencies of these flows. collect_and_push scripts have no others."""
    return [f"{kind}_{flow}.py" for kind in ("collect", "push") for flow in sorted(flows)]


def with_imports(folder: Path, scripts: Iterable[str]) -> set[str]:
    """The file names of these scripts and of the folder's modules that they import, directly or indirectly."""
    found: set[str] = set()
    waiting = list(scripts)
    while waiting:
        name = waiting.pop()
        if name not in found and (folder / name).is_file():
            found.add(name)
            waiting += [f"{module}.py" for module in imported(folder / name)]
    return found


def imported(path: Path) -> set[str]:
    """The top-level names of all modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
