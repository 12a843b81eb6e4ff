"""Upgrades a folder to the bundle's release: replaces unedited files and keeps edited ones."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from folders import bundle
from folders.create import check_outside_bundle
from folders.dependencies import REQUIREMENTS
from folders.outcome import DONE, PARTLY_DONE, FolderError, Outcome, PartlyDoneError
from folders.record import RECORD, Record, as_numbers, digest, make_record, read_record
from folders.staging import staging_folder, write_all

LIBRARY = bundle.LIBRARY.name
WAREHOUSE = re.compile(r'(?m)^    warehouse="([\w-]+)"')  # an argument of Collector


@dataclass(frozen=True)
class Change:
    """An upgrade's change to one file, or to the library.

    Writes ``content`` to ``target``. Without content, the target is deleted. Without a target, the file is not changed.
    A ``conflict`` has to be resolved by hand.
    """

    verb: str
    name: str
    note: str = ""
    target: str = ""
    content: bytes | None = None
    conflict: bool = False

    def __str__(self) -> str:
        return f"{self.verb:<9} {self.name}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True)
class Plan:
    """All changes of an upgrade. ``library`` is the modules of the new library, or None if it does not change."""

    changes: list[Change]
    library: dict[str, bytes] | None
    record: Record
    release_before: str
    flows_before: list[str]

    def outcome(self, folder: Path, notes: list[str], done: str) -> Outcome:
        lines = [*notes, *map(str, self.changes)] or ["nothing to change: every file is the bundle's"]
        record = self.record
        flows = ", ".join(record.flows)
        if record.flows != self.flows_before:
            flows = f"{', '.join(self.flows_before)} -> {flows}"
        releases = f"{self.release_before} -> {record.release}"
        summary = [f"{folder} {done}: {record.warehouse}; flows {flows}; release {releases}"]
        if any(change.name == REQUIREMENTS and change.content for change in self.changes):
            summary.append("next: if you use pip, run 'pip install -r requirements.txt' again")
        conflicts = [change.name for change in self.changes if change.conflict]
        if any(name in record.files for name in conflicts):  # the others are no longer in the bundle
            summary.append("next: merge each .new file into yours by hand, then delete it")
        return Outcome(lines, summary, PARTLY_DONE if conflicts else DONE)


def upgrade(folder: Path, flows: str | None, dry_run: bool) -> Outcome:
    """Upgrade a folder; with ``dry_run``, only report the changes. ``flows`` is comma-separated, None keeps them.

    Raises FolderError if the upgrade is not possible (nothing was changed), PartlyDoneError if it stopped partway.
    """
    check_outside_bundle(folder)
    if not folder.is_dir():
        raise FolderError(f"{folder} is not a folder.", "Give the folder that new_push.py created.")
    if dry_run:
        return make_plan(folder, flows).outcome(folder, [], "would be upgraded")
    notes: list[str] = []
    with staging_folder(folder / ".push-ingestion", notes) as staging:
        plan = make_plan(folder, flows)
        apply_plan(plan, folder, staging)
    return plan.outcome(folder, notes, "is upgraded")


# --- planning -------------------------------------------------------------------------------------------


def make_plan(folder: Path, flows: str | None) -> Plan:
    record = read_record(folder)
    before = release_before(folder, record)
    template = bundle.template_of(record.warehouse if record else detect_warehouse(folder))
    previous = record.flows if record else bundle.flows(folder)
    chosen = bundle.chosen_flows(flows, template) if flows is not None else still_offered(previous, template)
    files, library = bundle.template_files(template, chosen), bundle.library_files(bundle.LIBRARY)
    library_change = plan_library(folder, library, record)
    recorded = record.files if record else {}
    names = sorted(name for name in {*files, *recorded} if not name.startswith(f"{LIBRARY}/"))
    plans = (plan_file(folder, name, files.get(name), recorded.get(name)) for name in names)
    changes = [change for change in (*plans, library_change) if change]
    check_targets(folder, changes)
    return Plan(
        changes,
        library if library_change else None,
        make_record(template, chosen, files, library),
        before or "unknown",
        previous,
    )


def release_before(folder: Path, record: Record | None) -> str | None:
    """The release of a folder, from its record, else from its library; None if it has neither.

    Raises FolderError if it is newer than the bundle's.
    """
    here = (folder / LIBRARY / "version.py").is_file()
    before = record.release if record else bundle.release_of(folder / LIBRARY) if here else None
    release = bundle.release_of(bundle.LIBRARY)
    if before and as_numbers(before) > as_numbers(release):
        raise FolderError(
            f"{folder} has release {before}, newer than this bundle's {release}.",
            "Upgrade with a bundle of that release or a newer one.",
        )
    return before


def detect_warehouse(folder: Path) -> str:
    """The warehouse of a folder without a record, from its collect scripts. Raises FolderError if none declares it."""
    for path in sorted(folder.glob("collect_*.py")):
        if found := WAREHOUSE.search(path.read_text(encoding="utf-8", errors="replace")):
            return found[1]
    raise FolderError(
        f"{folder} has no {RECORD}, and no collect script that declares its warehouse.",
        "Give a folder of push scripts, or create one: new_push.py WAREHOUSE DIR.",
    )


def still_offered(flows: list[str], template: Path) -> list[str]:
    """The given flows that the bundle still offers. Raises FolderError if there are none."""
    kept = [flow for flow in bundle.flows(template) if flow in flows]
    if not kept:
        raise FolderError(f"The folder has no flow of {template.name}.", "Name the flows it should have with --flows.")
    return kept


def plan_library(folder: Path, library: dict[str, bytes], record: Record | None) -> Change | None:
    """The change of the library, or None if it is up to date. Raises FolderError if it was edited.

    A missing module does not count as an edit: it can be left by an interrupted upgrade or an incomplete copy.
    """
    here = folder / LIBRARY
    current = {name: digest((here / name).read_bytes()) for name in files_below(here)}
    offered = {name: digest(content) for name, content in library.items()}
    recorded = record.files if record else {}
    edited = [
        name for name, found in current.items() if found not in (offered.get(name), recorded.get(f"{LIBRARY}/{name}"))
    ]
    if edited:
        raise edited_library(here, edited, record)
    if current == offered:
        return None
    check_no_link(here)
    if not current:
        return Change("added", f"{LIBRARY}/", f"{len(offered)} modules")
    new = sum(current.get(name) != found for name, found in offered.items())
    removed = len(current.keys() - offered.keys())
    return Change("replaced", f"{LIBRARY}/", f"{new} new or changed modules, {removed} removed")


def files_below(folder: Path) -> list[str]:
    """The relative paths of the files below a folder, without caches and hidden files."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    kept = (name for name in names if not any(part.startswith(".") or part == "__pycache__" for part in name.parts))
    return sorted(name.as_posix() for name in kept)


def edited_library(here: Path, edited: list[str], record: Record | None) -> FolderError:
    others = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
    which = f"{here / edited[0]}{others}; nothing was changed."
    if record is None:
        return FolderError(
            f"The library differs from this bundle's: {which}",
            f"Without a {RECORD} this can be an edit or another release. If nobody edited it, delete {here} and run "
            "the command again.",
        )
    if (here / "version.py").is_file() and (release := bundle.release_of(here)) != record.release:
        return FolderError(
            f"The library has release {release}, the record says {record.release}: {which}",
            f"If an upgrade was interrupted, run it again with the bundle of release {release}.",
        )
    return FolderError(
        f"The library was edited: {which}",
        f"Move the change into a script of yours, delete {here}, and run the command again.",
    )


def plan_file(folder: Path, name: str, content: bytes | None, recorded: str | None) -> Change | None:
    """The change of one file outside the library, or None.

    ``content`` is the bundle's current file, ``recorded`` the digest of the bundle's file at the last upgrade.
    """
    check_inside(folder, name)
    path = folder / name
    current = digest(path.read_bytes()) if path.is_file() else None
    if content is None:
        return plan_dropped_file(name, current, recorded)
    offered = digest(content)
    if current == offered:
        return None
    if current is None:
        return Change("absent", name, "deleted here") if recorded else Change("added", name, "", name, content)
    if current == recorded:
        return Change("replaced", name, "", name, content)
    new = f"{name}.new"
    if offered != recorded:
        return Change("kept", name, f"edited here; the bundle's version is {new}", new, content, conflict=True)
    if (folder / new).exists():
        return Change("kept", name, f"edited here; not merged yet: {new}", conflict=True)
    return Change("kept", name, "edited here; unchanged in the bundle")


def plan_dropped_file(name: str, current: str | None, recorded: str | None) -> Change | None:
    """The change of a file that is no longer in the bundle, or not for these flows."""
    if current is None:
        return None
    if current == recorded:
        return Change("removed", name, target=name)
    note = "edited here; no longer in the bundle for these flows: delete it when you no longer need it"
    return Change("kept", name, note, conflict=True)


def check_inside(folder: Path, name: str) -> None:
    """Raise FolderError if a link points outside the folder: records are not trusted."""
    parent = (folder / name).parent.resolve()
    if folder != parent and folder not in parent.parents:
        raise FolderError(f"{folder / name} is outside {folder}.", f"Remove {name} from {RECORD}.")


def check_targets(folder: Path, changes: list[Change]) -> None:
    """Raise FolderError if a change would replace a link, a folder, or a NAME.new that is not merged yet."""
    for change in changes:
        if not change.target:
            continue
        path = folder / change.target
        check_no_link(path)
        if path.is_dir():
            raise FolderError(
                f"{path} is a folder; nothing was changed.", "Rename it: the upgrade adds a file with this name."
            )
        if (
            change.target.endswith(".new")
            and path.exists()
            and digest(path.read_bytes()) != digest(change.content or b"")
        ):
            raise FolderError(
                f"{path} is not merged yet; nothing was changed.", "Merge it, delete it, and run the command again."
            )


def check_no_link(path: Path) -> None:
    if path.is_symlink():
        raise FolderError(f"{path} is a symbolic link; nothing was changed.", "Replace it with a file or folder.")


# --- applying the plan ----------------------------------------------------------------------------------


def apply_plan(plan: Plan, folder: Path, staging: Path) -> None:
    """Write all files to the staging folder, then rename them into place, the record last.

    Raises OSError if nothing was changed yet, otherwise PartlyDoneError. Running the upgrade again completes it: files
    that are already in place equal the bundle's.
    """
    written = {change.target: change.content for change in plan.changes if change.content is not None}
    write_all(staging / "files", written | {RECORD: plan.record.as_bytes()})
    if plan.library is not None:
        write_all(staging / "new", plan.library)
    try:
        if plan.library is not None:
            replace_library(folder / LIBRARY, staging)
        for change in plan.changes:
            if change.target and change.content is None:
                (folder / change.target).unlink()
        for name in [*written, RECORD]:
            replace_file(folder / name, staging / "files" / name)
    except OSError as error:
        raise PartlyDoneError(f"The upgrade stopped partway: {error}", "Run the same command again.") from error


def replace_library(library: Path, staging: Path) -> None:
    """Replace the library folder with the new one. Restores the old library if that fails."""
    old = staging / "old"
    if library.exists():
        library.rename(old)
    try:
        (staging / "new").rename(library)
    except BaseException:
        if old.exists():
            old.rename(library)
        raise


def replace_file(path: Path, staged: Path) -> None:
    """Rename a staged file into place, with the mode of the file that it replaces."""
    if path.exists():
        shutil.copymode(path, staged)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, path)
