"""Brings a folder to the bundle's release: replaces what nobody edited, keeps what somebody did."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from folders import bundle
from folders.create import check_outside_bundle
from folders.errors import UsageError
from folders.record import RECORD, Record, as_numbers, digest, make_record, read_record
from folders.staging import STAGING, staging_folder, write_all

DONE, CONFLICTS = 0, 1
LIBRARY = bundle.LIBRARY.name


@dataclass(frozen=True)
class Change:
    """What an upgrade does to one file. ``content`` is written to ``path``, or None: nothing is written."""

    verb: str
    name: str
    note: str = ""
    path: str = ""
    content: bytes | None = None
    conflict: bool = False

    def __str__(self) -> str:
        return f"{self.verb:<9} {self.name}{f' ({self.note})' if self.note else ''}"


def upgrade(folder: Path, flows: str | None, dry_run: bool) -> int:
    check_outside_bundle(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "Give the folder that new_push.py made.")
    record = read_record(folder)
    before, release = release_before(folder, record), bundle.release_of(bundle.LIBRARY)
    if before and as_numbers(before) > as_numbers(release):
        raise UsageError(
            f"{folder} has release {before}, newer than this bundle's {release}",
            "Upgrade with a bundle of that release or a newer one.",
        )
    template = bundle.template_of(record.warehouse) if record else recognised(folder)
    had = record.flows if record else bundle.flows(folder)
    chosen = bundle.chosen_flows(flows or ",".join(set(had) & set(bundle.flows(template))), template)
    files, library = bundle.template_files(template, chosen), bundle.library_files(bundle.LIBRARY)
    recorded = record.files if record else {}
    library_change = library_upgrade(folder, library, recorded)
    names = sorted(name for name in {*files, *recorded} if not name.startswith(f"{LIBRARY}/"))
    changes = [change for name in names if (change := upgraded(folder, name, files, recorded))]
    check_unmerged(folder, changes)
    if not dry_run:
        with staging_folder(folder / STAGING) as staging:
            if library_change:
                replace_library(folder, library, staging)
            for change in changes:
                apply(folder, change, staging)
            put(folder / RECORD, make_record(template, chosen, files, library).as_bytes(), staging)
    report(folder, [*changes, *([library_change] if library_change else [])])
    done = "would be upgraded" if dry_run else "is upgraded"
    print(f"\n{folder} {done}: {template.name}, {', '.join(chosen)}, {before or 'unknown release'} -> {release}")
    if any(change.conflict for change in changes):
        print("merge the kept files by hand; delete each .new file when it is merged", file=sys.stderr)
        return CONFLICTS
    return DONE


def release_before(folder: Path, record: Record | None) -> str | None:
    """The release a folder has: from its record, else from its library, else None."""
    if record:
        return record.release
    return bundle.release_of(folder / LIBRARY) if (folder / LIBRARY / "version.py").is_file() else None


def report(folder: Path, changes: list[Change]) -> None:
    for change in changes:
        print(change)
    if not changes:
        print("nothing to change: every file is the bundle's")


def recognised(folder: Path) -> Path:
    """The template that a folder without a record was copied from: the one it shares the most unedited files with."""
    alike = Counter(
        {
            template.name: sum(
                digest(content) == digest((folder / name).read_bytes())
                for name, content in bundle.template_files(template, bundle.flows(template)).items()
                if (folder / name).is_file()
            )
            for template in bundle.warehouses()
        }
    )
    ranked = alike.most_common(2)
    if not ranked or not ranked[0][1] or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        raise UsageError(
            f"{folder} has no {RECORD}, and its files do not show which template they came from",
            "Make a new folder with 'new_push.py WAREHOUSE DIR' and move your changes into it.",
        )
    return bundle.template_of(ranked[0][0])


def library_upgrade(folder: Path, library: dict[str, bytes], recorded: dict[str, str]) -> Change | None:
    """The change of the library, None if it is the bundle's already. Raises UsageError if somebody edited it.

    A missing file is not an edit: an interrupted upgrade, or a copy that left it out.
    """
    here = bundle.library_files(folder / LIBRARY) if (folder / LIBRARY).is_dir() else {}
    edited = [
        name
        for name, content in here.items()
        if digest(content) != recorded.get(f"{LIBRARY}/{name}")
        and not (name in library and digest(content) == digest(library[name]))
    ]
    if edited:
        others = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
        raise UsageError(
            f"the library was edited: {folder / LIBRARY / edited[0]}{others}; nothing was changed",
            f"Move the change into a script of yours, delete {folder / LIBRARY}, and run the command again.",
        )
    new = [name for name in library if name not in here or digest(here[name]) != digest(library[name])]
    gone = [name for name in here if name not in library]
    if not new and not gone:
        return None
    return Change("replaced" if here else "added", f"{LIBRARY}/", f"{len(new)} new or changed files, {len(gone)} gone")


def upgraded(folder: Path, name: str, files: dict[str, bytes], recorded: dict[str, str]) -> Change | None:
    """What happens to one file outside the library, None for nothing.

    ``files`` is what the bundle offers now, ``recorded`` the digests of what it offered when the folder was made.
    """
    here = digest((folder / name).read_bytes()) if (folder / name).is_file() else None
    offered = digest(files[name]) if name in files else None
    if offered is None:
        if here is None:
            return None
        if here == recorded[name]:
            return Change("removed", name, path=name)
        return Change("kept", name, "edited here; the bundle no longer has it", conflict=True)
    if here is None and name not in recorded:
        return Change("added", name, path=name, content=files[name])
    if here == offered:
        return None
    if here is None:
        return Change("kept", name, "deleted here")
    if here == recorded.get(name):
        return Change("replaced", name, path=name, content=files[name])
    if offered == recorded.get(name):
        return Change("kept", name, "edited here; unchanged in the bundle")
    new = f"{name}.new"
    note = f"edited here; the bundle's version is {new}"
    return Change("kept", name, note, path=new, content=files[name], conflict=True)


def check_unmerged(folder: Path, changes: list[Change]) -> None:
    """Raises UsageError if a NAME.new with other content would be overwritten: somebody may be merging it."""
    for change in changes:
        path = folder / change.path
        if change.path.endswith(".new") and path.exists() and path.read_bytes() != change.content:
            raise UsageError(f"{path} is still there; nothing was changed", "Merge it, delete it, and run it again.")


def replace_library(folder: Path, library: dict[str, bytes], staging: Path) -> None:
    """Write the library aside and swap the two folders, so that no run meets a mixture of two releases."""
    write_all(staging / "new", library)
    if (folder / LIBRARY).exists():
        (folder / LIBRARY).rename(staging / "old")
    (staging / "new").rename(folder / LIBRARY)


def apply(folder: Path, change: Change, staging: Path) -> None:
    if change.content is not None:
        put(folder / change.path, change.content, staging)
    elif change.path:
        (folder / change.path).unlink()


def put(path: Path, content: bytes, staging: Path) -> None:
    """Write a file aside and rename it, so that it is never half written. It keeps the mode of the file it replaces."""
    staged = staging / "file"
    staged.write_bytes(content)
    if path.exists():
        shutil.copymode(path, staged)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, path)
