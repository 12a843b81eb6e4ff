"""Lists the bundle's warehouses, their flows, and the files of a complete folder.

Finds template folders by their files, so that a new one does not have to be registered.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from folders.dependencies import REQUIREMENTS, requirements, scripts_to_install_for, with_imports
from folders.outcome import FolderError

SCRIPTS = Path(__file__).resolve().parents[1]
TEMPLATES = SCRIPTS / "templates"
LIBRARY = SCRIPTS / "mcpush"

FLOWS = ("metadata", "lineage", "query_logs")
RELEASE = re.compile(r'(?m)^RELEASE = "(\d+(?:\.\d+)*)"$')


def warehouses(templates: Path = TEMPLATES) -> list[Path]:
    """The template folders, sorted by name. A folder without collect_metadata.py is not a warehouse."""
    return sorted(path.parent for path in templates.glob("*/collect_metadata.py"))


def flows(folder: Path) -> list[str]:
    """The flows that a folder collects, ordered as in FLOWS."""
    return [flow for flow in FLOWS if (folder / f"collect_{flow}.py").is_file()]


def resource_type(folder: Path) -> str:
    """Monte Carlo's name for a warehouse's type: ``resource`` of the COLLECTOR in collect_metadata.py.

    Parses the file and does not import it. In collect_query_logs.py, ``resource`` is a log type, which can have another
    name. Raises ValueError if the file cannot be parsed or ``resource`` is not exactly one literal string.
    """
    path = folder / "collect_metadata.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ValueError(f"{path} cannot be parsed: {error}") from error
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    collectors = [call for call in calls if ast.unparse(call.func) == "Collector"]
    given = [keyword.value for call in collectors for keyword in call.keywords if keyword.arg == "resource"]
    texts = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if len(texts) != 1:
        raise ValueError(f"{path} must give its COLLECTOR exactly one literal string as resource")
    return texts[0]


def template_of(name: str) -> Path:
    """The template folder of a warehouse. Raises FolderError, with the closest name, if it is unknown."""
    known = {path.name: path for path in warehouses()}
    if name in known:
        return known[name]
    guess = _nearest(name.lower().replace("_", "-"), known)
    raise FolderError(f"There is no template for {name!r}.{guess}", f"The templates are: {', '.join(known) or 'none'}.")


def chosen_flows(text: str, template: Path) -> list[str]:
    """The flows in a list like ``metadata,lineage``. Raises FolderError if the template does not have one of them."""
    offered = flows(template)
    requested = [part.strip().replace("-", "_") for part in text.split(",")]
    for flow in requested:
        if flow not in offered:
            raise FolderError(
                f"{template.name} has no flow {flow!r}.{_nearest(flow, offered)}",
                f"Give a comma-separated list of: {', '.join(offered)}.",
            )
    return [flow for flow in offered if flow in requested]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def release_of(library: Path) -> str:
    """The release of a library, read from the file without importing it. Raises FolderError if there is none."""
    try:
        found = RELEASE.search((library / "version.py").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        found = None
    if found is None:
        raise FolderError(
            f"{library} is incomplete: version.py is missing or has no RELEASE.",
            "Download the push-ingestion bundle again and run its scripts/new_push.py.",
        )
    return found[1]


def template_files(template: Path, chosen: list[str]) -> dict[str, bytes]:
    """The content of each file in a folder with these flows, by name, without the library.

    Omits modules that only scripts of other flows import. requirements.txt lists the dependencies of these flows only.
    Other files in the template, such as manifests from a run in place, are not copied.
    """
    every = [f"{kind}_{flow}.py" for flow in flows(template) for kind in ("collect", "push", "collect_and_push")]
    scripts = [name for name in every if name.endswith(tuple(f"_{flow}.py" for flow in chosen))]
    unneeded = with_imports(template, every) - with_imports(template, scripts)
    names = [path.name for path in template.glob("*.py") if path.name not in unneeded] + ["README.md"]
    files = {name: (template / name).read_bytes() for name in names}
    listed = requirements(template / name for name in scripts_to_install_for(chosen))
    return dict(sorted((files | {REQUIREMENTS: listed.encode("utf-8")}).items()))


def library_files(library: Path) -> dict[str, bytes]:
    """The content of each module of a library, by relative path."""
    return {path.relative_to(library).as_posix(): path.read_bytes() for path in sorted(library.rglob("*.py"))}
