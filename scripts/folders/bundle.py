"""What the bundle offers: warehouses, flows, the dependencies of scripts, the files of a complete folder.

Read from the files themselves, so that a new template folder is found without being named anywhere.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from folders.errors import UsageError

SCRIPTS = Path(__file__).resolve().parents[1]
TEMPLATES = SCRIPTS / "templates"
LIBRARY = SCRIPTS / "mcpush"
BUNDLE_ONLY = {"catalog.toml"}

FLOWS = ("metadata", "lineage", "query_logs")
REQUIREMENTS = "requirements.txt"
ABOVE_REQUIREMENTS = "# The dependencies of this folder's scripts, which list the same in their first lines.\n"
# https://packaging.python.org/en/latest/specifications/inline-script-metadata/
RELEASE = re.compile(r'(?m)^RELEASE = "(\d+(?:\.\d+)*)"$')
BLOCK = re.compile(r"(?m)^# /// script$\n(?P<content>(?:^#(?:| .*)$\n)+?)^# ///$\n")
LIST = re.compile(r"(?ms)^dependencies = (?P<list>\[(?:$.*?^\]|[^\n]*?\]))[ \t]*(?:#[^\n]*)?$")


def warehouses(templates: Path = TEMPLATES) -> list[Path]:
    """The template folders, sorted by name. A folder without collect_metadata.py is not a warehouse."""
    return sorted(path.parent for path in templates.glob("*/collect_metadata.py"))


def flows(folder: Path) -> list[str]:
    """The flows that a folder collects, in the order of FLOWS."""
    return [flow for flow in FLOWS if (folder / f"collect_{flow}.py").is_file()]


def scripts_of(flow: str) -> list[str]:
    """The file names of a flow's three scripts."""
    return [f"collect_{flow}.py", f"push_{flow}.py", f"collect_and_push_{flow}.py"]


def scripts_to_install_for(chosen: Iterable[str]) -> list[str]:
    """The scripts whose dependencies together are enough for these flows: a collect_and_push script adds none."""
    return [f"{kind}_{flow}.py" for kind in ("collect", "push") for flow in sorted(chosen)]


def dependencies(path: Path) -> list[str]:
    """The requirements in a script's inline metadata (PEP 723). Raises ValueError if there are none."""
    block = BLOCK.search(path.read_text(encoding="utf-8"))
    if block is None:
        raise ValueError(f"{path} has no inline dependency block (PEP 723)")
    toml = "".join(line[2:] + "\n" for line in block["content"].splitlines())
    found = LIST.search(toml)
    # Python 3.10 has no TOML reader. An array of strings is written the same in TOML and in Python.
    listed = ast.literal_eval(found["list"]) if found else []
    if not listed:
        raise ValueError(f"{path} lists no dependencies")
    return [str(each) for each in listed]


def requirements(scripts: Iterable[Path]) -> str:
    """The text of requirements.txt: every dependency of these scripts once, in their order."""
    listed = dict.fromkeys(each for path in scripts for each in dependencies(path))
    return ABOVE_REQUIREMENTS + "".join(f"{each}\n" for each in listed)


def with_imports(folder: Path, scripts: Iterable[str]) -> set[str]:
    """These scripts and the folder's own modules that they import, directly or not, as file names."""
    found: set[str] = set()
    waiting = list(scripts)
    while waiting:
        name = waiting.pop()
        if name not in found and (folder / name).is_file():
            found.add(name)
            waiting += [f"{module}.py" for module in imported(folder / name)]
    return found


def imported(path: Path) -> set[str]:
    """The top-level names of the modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def release_of(library: Path) -> str:
    """The release of a library, read as text: a copy is never imported. Raises UsageError if it has none."""
    try:
        found = RELEASE.search((library / "version.py").read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = None
    if found is None:
        raise UsageError(
            f"{library} is not a whole library",
            "Download the push-ingestion bundle again and run its scripts/new_push.py.",
        )
    return found[1]


def template_of(name: str) -> Path:
    """The template folder of a warehouse. Raises UsageError with the nearest name for an unknown one."""
    known = {path.name: path for path in warehouses()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"there is no template for {name!r}{guess}", f"The templates are: {', '.join(known) or 'none'}.")


def chosen_flows(text: str, template: Path) -> list[str]:
    """The flows in ``metadata,lineage``. Raises UsageError for a flow that the template does not have."""
    offered = flows(template)
    asked = [part.strip().replace("-", "_") for part in text.split(",")]
    for flow in asked:
        if flow not in offered:
            near = difflib.get_close_matches(flow, offered, n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"{template.name} has no flow {flow!r}{guess}",
                f"Give a comma-separated list of: {', '.join(offered)}.",
            )
    return [flow for flow in offered if flow in asked]


def own_files(folder: Path) -> list[str]:
    """The files below a folder by relative name, without caches and hidden files."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    kept = (name for name in names if not any(part.startswith(".") or part == "__pycache__" for part in name.parts))
    return sorted(name.as_posix() for name in kept)


def template_files(template: Path, chosen: list[str]) -> dict[str, bytes]:
    """The content of each file that a folder with these flows gets, without the library.

    A module that only the scripts of other flows import is left out, and requirements.txt lists what the scripts that
    are left need.
    """
    scripts = {flow: scripts_of(flow) for flow in flows(template)}
    every = [name for names in scripts.values() for name in names]
    needed = with_imports(template, [name for flow in chosen for name in scripts[flow]])
    unneeded = with_imports(template, every) - needed
    names = [name for name in own_files(template) if name not in unneeded | BUNDLE_ONLY]
    files = {name: (template / name).read_bytes() for name in names}
    if set(chosen) != set(scripts):
        files[REQUIREMENTS] = requirements(template / name for name in scripts_to_install_for(chosen)).encode("utf-8")
    return files


def library_files(library: Path) -> dict[str, bytes]:
    return {name: (library / name).read_bytes() for name in own_files(library)}
