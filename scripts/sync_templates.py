"""Copies the shared files in scripts/templates/_shared/ to all template folders.

Each folder has its own copies of the push scripts, the collect_and_push scripts and the stub mcpush.py, so that it can
be copied without changes. A folder in _shared/ has files for the warehouses whose names start with its name: those in
_shared/bigquery/ are copied to bigquery/ and bigquery-iceberg/. The copies are byte-identical, except for the inline
dependency block of collect_and_push_*.py, which merges the blocks of the folder's collect and push scripts.
requirements.txt merges all blocks of a folder.

    python scripts/sync_templates.py --check    exits 1 if a copy differs, is missing or is not needed, or if none exist
    python scripts/sync_templates.py --write    fixes what --check reports
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from folders import bundle, dependencies

SOURCES = "_shared"
NAMED_SOURCE = re.compile(rf"^#.*templates/{SOURCES}/\S+\.py")  # the first line of a copy
FLOW_SCRIPT = re.compile(r"(?:collect_and_)?push_(?P<flow>\w+)\.py")


@dataclass(frozen=True)
class Copy:
    """A file and its expected text; None if it should not exist."""

    path: Path
    text: str | None

    def is_up_to_date(self) -> bool:
        found = self.path.read_bytes() if self.path.exists() else None
        return found == (None if self.text is None else self.text.encode("utf-8"))

    def write(self) -> None:
        if self.text is None:
            self.path.unlink()
        else:
            self.path.write_bytes(self.text.encode("utf-8"))


def sources_of(templates: Path, folder: Path) -> list[Path]:
    """The shared files of a folder: those for all warehouses, and those for the ones whose names start alike."""
    families = [path for path in (templates / SOURCES).iterdir() if f"{folder.name}-".startswith(f"{path.name}-")]
    return sorted(path for place in (templates / SOURCES, *families) for path in place.glob("*.py"))


def copies(templates: Path, folder: Path) -> Iterator[Copy]:
    """Yields the shared files of a folder. A folder has the scripts of exactly the flows that it collects."""
    collected = bundle.flows(folder)
    for source in sources_of(templates, folder):
        text = source.read_text(encoding="utf-8")
        script = FLOW_SCRIPT.fullmatch(source.name)
        if script and script["flow"] not in collected:
            yield Copy(folder / source.name, None)
            continue
        if script and source.name.startswith("collect_and_push_"):
            collect, push = folder / f"collect_{script['flow']}.py", templates / SOURCES / f"push_{script['flow']}.py"
            both = dependencies.dependencies(collect) + dependencies.dependencies(push)
            text = dependencies.with_dependencies(text, list(dict.fromkeys(both)))
        yield Copy(folder / source.name, text)


def left_over(templates: Path, folder: Path) -> Iterator[Copy]:
    """Yields scripts that have the name of a shared file, or name a source in their first line, but have no source."""
    shared = {source.name for source in sources_of(templates, folder)}
    for path in sorted(folder.glob("*.py")):
        with path.open(encoding="utf-8") as lines:
            is_copy = bool(FLOW_SCRIPT.fullmatch(path.name) or NAMED_SOURCE.search(lines.readline()))
        if is_copy and path.name not in shared:
            yield Copy(path, None)


def requirements(templates: Path, folder: Path) -> Copy:
    """Returns the folder's requirements.txt. The collect_and_push scripts add no dependencies of their own."""
    names = dependencies.scripts_to_install_for(bundle.flows(folder))
    scripts = [(templates / SOURCES if name.startswith("push_") else folder) / name for name in names]
    return Copy(folder / dependencies.REQUIREMENTS, dependencies.requirements(scripts))


def without_origin(templates: Path) -> list[Path]:
    """Returns sources whose first line does not name the source path, so that their copies would not either."""
    return [
        path
        for path in sorted((templates / SOURCES).rglob("*.py"))
        if path.relative_to(templates).as_posix() not in path.read_text(encoding="utf-8").partition("\n")[0]
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="report, change nothing")
    mode.add_argument("--write", action="store_true", help="write the copies, remove extra ones")
    parser.add_argument("--templates", type=Path, default=bundle.TEMPLATES, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    templates: Path = arguments.templates
    folders = bundle.warehouses(templates)
    if not folders or not any((templates / SOURCES).glob("*.py")):
        print(f"nothing to check: no template folder, or nothing in {SOURCES}/", file=sys.stderr)
        return 1
    checked = [
        copy
        for folder in folders
        for copy in (*copies(templates, folder), *left_over(templates, folder), requirements(templates, folder))
    ]
    unnamed = without_origin(templates)
    for path in unnamed:
        print(f"{path.relative_to(templates)}: the first line does not name the source", file=sys.stderr)
    # A copy of the library in a template folder would shadow the stub, and hide later changes to the library.
    hidden = [folder / "mcpush" for folder in folders if (folder / "mcpush").is_dir()]
    for path in hidden:
        print(f"{path.relative_to(templates)}: remove it, it hides the library in scripts/mcpush", file=sys.stderr)
    wrong = [copy for copy in checked if not copy.is_up_to_date()]
    for copy in wrong:
        if arguments.write:
            copy.write()
        verb = "written" if arguments.write else "differs, is missing or is not needed"
        print(f"{copy.path.relative_to(templates)}: {verb}", file=sys.stderr)
    print(f"{len(checked)} files in {len(folders)} folders checked, {len(wrong)} out of date", file=sys.stderr)
    return 1 if unnamed or hidden or (wrong and not arguments.write) else 0


if __name__ == "__main__":
    sys.exit(main())
