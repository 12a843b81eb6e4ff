"""Creates a complete folder: the scripts of one warehouse, the library, requirements.txt and the record."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from folders import bundle
from folders.outcome import FolderError, Outcome
from folders.record import RECORD, make_record
from folders.staging import staging_folder, write_all


def create(warehouse: str, target: Path, flows: str | None, dry_run: bool) -> Outcome:
    """Create the folder ``target``; with ``dry_run``, only list its files. ``flows`` is comma-separated, None for all.

    Raises FolderError for an unknown warehouse or flow, or if the target cannot be used.
    """
    template = bundle.template_of(warehouse)
    chosen = bundle.flows(template) if flows is None else bundle.chosen_flows(flows, template)
    check_target(target)
    files, library = bundle.template_files(template, chosen), bundle.library_files(bundle.LIBRARY)
    record = make_record(template, chosen, files, library)
    notes: list[str] = []
    if not dry_run:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(target.with_name(f".{target.name}.push-ingestion"), notes) as staging:
            check_target(target)
            complete = staging / "complete"
            write_all(complete, files | {RECORD: record.as_bytes()})
            write_all(complete / bundle.LIBRARY.name, library)
            put_in_place(complete, target)
    added = [*files, f"{bundle.LIBRARY.name}/ ({len(library)} modules)", RECORD]
    done = "would be complete" if dry_run else "is complete"
    summary = [f"{target} {done}: {template.name}, {', '.join(chosen)}, release {record.release}"]
    if not dry_run:
        partial = " (it describes all flows)" if chosen != bundle.flows(template) else ""
        summary.append(f"next: set the variables that its README.md lists{partial}, then run")
        summary.append(f"  cd {shlex.quote(str(target))}")
        summary.append(f"  uv run collect_{chosen[0]}.py --list")
    return Outcome([*notes, *(f"added     {name}" for name in added)], summary)


def put_in_place(complete: Path, target: Path) -> None:
    """Rename a folder to the target, which is absent or empty. Keeps the mode of an empty target."""
    if target.exists():
        shutil.copymode(target, complete)
        if os.name == "nt":
            target.rmdir()  # Windows cannot rename over a folder
    complete.rename(target)


def check_target(target: Path) -> None:
    """Raise FolderError if the target cannot be used: it has to be absent or an empty folder outside the bundle."""
    check_outside_bundle(target)
    if not target.exists():
        return
    if not target.is_dir():
        raise FolderError(f"{target} is a file.", "Choose the name of a new folder.")
    if any(target.iterdir()):
        upgrade = f", or upgrade it: --upgrade {target}" if (target / RECORD).exists() else ""
        raise FolderError(f"{target} is not empty.", f"Choose a new or an empty folder{upgrade}.")
    if target == Path.cwd():
        raise FolderError(f"{target} is the current directory.", "Run the command in its parent, with its name.")
    if target.is_mount():
        raise FolderError(f"{target} is a mount point.", "Choose a folder below it.")


def check_outside_bundle(folder: Path) -> None:
    if bundle.SCRIPTS in (folder, *folder.parents):
        raise FolderError(f"{folder} is part of the bundle.", "Choose a folder outside its scripts/ directory.")
