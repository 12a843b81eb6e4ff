"""Makes a complete folder: the scripts of one warehouse, the library, requirements.txt and the record."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from folders import bundle
from folders.errors import UsageError
from folders.record import RECORD, make_record
from folders.staging import STAGING, staging_folder, write_all


def create(warehouse: str, target: Path, flows: str | None, dry_run: bool) -> None:
    """Make the folder ``target`` and print its files. ``flows`` is a comma-separated list, None for all.

    Raises UsageError for an unknown warehouse or flow, or a target that cannot be used.
    """
    template = bundle.template_of(warehouse)
    chosen = bundle.chosen_flows(flows, template) if flows else bundle.flows(template)
    check_target(target)
    files, library = bundle.template_files(template, chosen), bundle.library_files(bundle.LIBRARY)
    record = make_record(template, chosen, files, library)
    if not dry_run:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(target.parent / f".{target.name}{STAGING}") as staging:
            complete = staging / "complete"
            write_all(complete, files | {RECORD: record.as_bytes()})
            write_all(complete / bundle.LIBRARY.name, library)
            if os.name == "nt" and target.exists():
                target.rmdir()  # empty, and Windows does not rename over a folder
            complete.rename(target)
    made = "would be made" if dry_run else "is complete"
    for name in files:
        print(f"added     {name}")
    print(f"added     {bundle.LIBRARY.name}/ ({len(library)} files)")
    print(f"added     {RECORD}")
    print(f"\n{target} {made}: {template.name}, {', '.join(chosen)}, release {record.release}")
    if not dry_run:
        print(f"next: set the variables that its README.md lists, then run\n  cd {shlex.quote(str(target))}")
        print(f"  uv run collect_{chosen[0]}.py --list")


def check_target(target: Path) -> None:
    """Raises UsageError unless the target can become the folder: it does not exist, or is empty."""
    check_outside_bundle(target)
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file", "Choose the name of a new folder.")
    if any(target.iterdir()):
        upgrade = f", or upgrade it: --upgrade {target}" if (target / RECORD).exists() else ""
        raise UsageError(f"{target} is not empty", f"Choose a new or an empty folder{upgrade}.")
    if target == Path.cwd():
        raise UsageError(f"{target} is the current directory", "Run the command in the directory above, with the name.")


def check_outside_bundle(folder: Path) -> None:
    if bundle.SCRIPTS in (folder, *folder.parents):
        raise UsageError(f"{folder} is part of the bundle", "Choose a folder outside its scripts/ directory.")
