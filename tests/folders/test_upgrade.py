"""new_push.py --upgrade replaces unedited files, keeps edited ones, and changes nothing if it refuses."""

from __future__ import annotations

import json
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from folders.bundle import FLOWS

from tests.folders.bundles import (
    NEWER,
    RECORD,
    Run,
    change,
    copied_bundle,
    edit,
    ended,
    files_of,
    interrupted,
    leftovers,
    make_read_only,
    new_push,
    offered,
    release_of,
    respecting_modes,
    set_release,
    sha256,
    signaled,
    small_bundle,
    snapshot,
    started_new_push,
    to_crlf,
    wait_until_stopped,
)
from tests.script_process import KINDS, run_script

WAREHOUSE = "redshift"
SCRIPT = "collect_metadata.py"
STAGING = ".push-ingestion-staging"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release that folders are created from. Tests do not write to it."""
    return copied_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def made(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "my-push"
    new_push(bundle, WAREHOUSE, folder).check(0)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A folder that new_push.py created, copied for one test."""
    return Path(shutil.copytree(made, tmp_path / "my-push"))


@pytest.fixture
def newer(bundle: Path, tmp_path: Path) -> Path:
    """A bundle of the next release, which only differs in its number. Tests change it."""
    scripts = Path(shutil.copytree(bundle, tmp_path / "newer/scripts"))
    set_release(scripts, NEWER)
    return scripts


@pytest.fixture
def template(newer: Path) -> Path:
    return newer / "templates" / WAREHOUSE


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return found


def rewrite_record(folder: Path, **changes: object) -> None:
    (folder / RECORD).write_text(json.dumps(record_of(folder) | changes), encoding="utf-8")


def upgrade(scripts: Path, folder: Path, *options: str, code: int = 0, before: list[str] | None = None) -> Run:
    """Run the upgrade, after a dry run that has to print the same and change nothing."""
    untouched = snapshot(folder)
    rehearsed = new_push(scripts, "--upgrade", folder, "--dry-run", *options, before=before).check(code)
    assert snapshot(folder) == untouched, "a dry run changed something"
    run = new_push(scripts, "--upgrade", folder, *options, before=before).check(code)
    assert rehearsed.lines == run.lines
    assert rehearsed.stderr == run.stderr
    assert "would be upgraded" in rehearsed.stdout
    assert "is upgraded" in run.stdout
    assert leftovers(folder) == []
    return run


def refused(scripts: Path, folder: Path, *said: str) -> None:
    """Assert that the upgrade and its dry run are refused with the same message, and change nothing."""
    untouched = snapshot(folder)
    rehearsed = new_push(scripts, "--upgrade", folder, "--dry-run").refused(*said)
    run = new_push(scripts, "--upgrade", folder).refused(*said)
    assert run.stderr == rehearsed.stderr
    assert snapshot(folder) == untouched


def said_of(run: Run, name: str) -> str:
    """The printed line about a file: the change, its name and the reason."""
    (line,) = (line for line in run.lines if line.split()[1] == name)
    return " ".join(line.split())


def check_record(scripts: Path, folder: Path, flows: list[str] | None = None, warehouse: str = WAREHOUSE) -> None:
    """Assert that the record describes the bundle's files, not the edited ones."""
    record = record_of(folder)
    assert (record["release"], record["warehouse"]) == (release_of(scripts), warehouse)
    assert record["flows"] == (flows or list(FLOWS))
    if flows is None:
        assert record["files"] == {name: sha256(content) for name, content in offered(scripts, warehouse).items()}


def check_is(folder: Path, expected: dict[str, bytes]) -> None:
    here = {name: content for name, content in files_of(folder).items() if name != RECORD}
    assert here.keys() == expected.keys()
    assert [name for name in here if here[name] != expected[name]] == []


def add_own_files(folder: Path) -> dict[str, bytes]:
    """Add the customer's own files to a folder: run results, settings, other scripts. Returns their content."""
    names = {
        "metadata.jsonl": b"{}\n",
        "metadata.jsonl.journal": b"\n",
        "metadata.jsonl.result.json": b"{}",
        "lineage.state.json": b"{}",
        "logs/2026/push.log": b"done\r\n",
        ".env": b"MCD_INGEST_ID=1\n",
        ".git/config": b"[core]\n",
        "nightly.py": b"import collect_metadata\n",
        "helpers/__init__.py": b"",
        "connection.py.orig": b"# older\n",
        "notes.new": b"mine\n",
    }
    for name, content in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return names


# --- scripts --------------------------------------------------------------------------------------------


def test_an_unedited_folder_gets_the_new_release(newer: Path, template: Path, folder: Path) -> None:
    edit(template / "connection.py", "# newer")
    edit(template / "README.md", "newer")
    edit(newer / "mcpush/program.py", "# newer")
    run = upgrade(newer, folder)
    assert run.lines[:2] == ["replaced  README.md", "replaced  connection.py"]
    assert [line.split()[:2] for line in run.lines[2:]] == [["replaced", "mcpush/"]]
    assert run.stdout.rstrip().endswith(f"-> {NEWER}")
    check_is(folder, offered(newer, WAREHOUSE))
    check_record(newer, folder)


def test_an_upgrade_to_the_same_release_changes_nothing(bundle: Path, folder: Path) -> None:
    record = (folder / RECORD).read_bytes()
    assert upgrade(bundle, folder).lines == ["nothing to change: every file is the bundle's"]
    check_is(folder, offered(bundle, WAREHOUSE))
    assert (folder / RECORD).read_bytes() == record


def test_an_edited_file_that_is_unchanged_in_the_bundle_is_kept(newer: Path, folder: Path) -> None:
    mine = edit(folder / "connection.py")
    run = upgrade(newer, folder)
    assert said_of(run, "connection.py") == "kept connection.py (edited here; unchanged in the bundle)"
    check_is(folder, offered(newer, WAREHOUSE) | {"connection.py": mine})
    check_record(newer, folder)


def test_an_edited_and_changed_file_is_kept_with_the_new_one_next_to_it(
    newer: Path, template: Path, folder: Path
) -> None:
    mine = edit(folder / "connection.py")
    theirs = edit(template / "connection.py", "# newer")
    run = upgrade(newer, folder, code=1)
    assert (
        said_of(run, "connection.py") == "kept connection.py (edited here; the bundle's version is connection.py.new)"
    )
    assert "merge" in run.stdout
    merging = offered(newer, WAREHOUSE) | {"connection.py": mine, "connection.py.new": theirs}
    check_is(folder, merging)
    check_record(newer, folder)
    run = upgrade(newer, folder, code=1)
    assert said_of(run, "connection.py").startswith("kept connection.py (edited here")
    assert "connection.py.new" in said_of(run, "connection.py")
    check_is(folder, merging)
    (folder / "connection.py.new").unlink()
    upgrade(newer, folder)
    check_is(folder, offered(newer, WAREHOUSE) | {"connection.py": mine})


def test_the_same_edit_on_both_sides_is_not_a_conflict(newer: Path, template: Path, folder: Path) -> None:
    edit(folder / "connection.py", "# the same")
    edit(template / "connection.py", "# the same")
    run = upgrade(newer, folder)
    assert not any("connection.py" in line for line in run.lines)
    check_is(folder, offered(newer, WAREHOUSE))


def test_a_merged_file_counts_as_edited_in_the_next_release(newer: Path, template: Path, folder: Path) -> None:
    edit(folder / "connection.py")
    edit(template / "connection.py", "# newer")
    upgrade(newer, folder, code=1)
    shutil.move(folder / "connection.py.new", folder / "connection.py")
    merged = edit(folder / "connection.py")
    set_release(newer, "99.1")
    upgrade(newer, folder)
    check_is(folder, offered(newer, WAREHOUSE) | {"connection.py": merged})


def test_an_unmerged_file_is_not_overwritten(newer: Path, template: Path, folder: Path) -> None:
    edit(folder / "connection.py")
    edit(template / "connection.py", "# newer")
    upgrade(newer, folder, code=1)
    edit(template / "connection.py", "# newer still")
    edit(template / "README.md", "newer still")
    edit(newer / "mcpush/program.py", "# newer still")
    set_release(newer, "99.1")
    refused(newer, folder, f"{folder / 'connection.py.new'} is not merged yet", "nothing was changed", "Merge it")
    (folder / "connection.py.new").unlink()
    upgrade(newer, folder, code=1)
    assert (folder / "connection.py.new").read_bytes() == (template / "connection.py").read_bytes()


def test_a_users_own_file_with_the_name_of_the_new_version_is_not_overwritten(
    newer: Path, template: Path, folder: Path
) -> None:
    edit(folder / "connection.py")
    edit(template / "connection.py", "# newer")
    (folder / "connection.py.new").write_text("# mine\n")
    refused(newer, folder, "connection.py.new is not merged yet")


def test_an_unedited_file_that_left_the_bundle_is_removed(newer: Path, template: Path, folder: Path) -> None:
    (template / "catalog.py").unlink()
    run = upgrade(newer, folder)
    assert "removed   catalog.py" in run.lines
    check_is(folder, offered(newer, WAREHOUSE))
    check_record(newer, folder)


def test_an_edited_file_that_left_the_bundle_is_kept(newer: Path, template: Path, folder: Path) -> None:
    mine = edit(folder / "catalog.py")
    (template / "catalog.py").unlink()
    run = upgrade(newer, folder, code=1)
    assert said_of(run, "catalog.py").startswith("kept catalog.py (edited here; ")
    check_is(folder, offered(newer, WAREHOUSE) | {"catalog.py": mine})
    check_record(newer, folder)
    upgrade(newer, folder)
    check_is(folder, offered(newer, WAREHOUSE) | {"catalog.py": mine})


def test_a_deleted_file_that_left_the_bundle_is_ignored(newer: Path, template: Path, folder: Path) -> None:
    (folder / "catalog.py").unlink()
    (template / "catalog.py").unlink()
    assert not any("catalog.py" in line for line in upgrade(newer, folder).lines)
    check_is(folder, offered(newer, WAREHOUSE))


def test_a_new_file_is_added(newer: Path, template: Path, folder: Path) -> None:
    (template / "spectrum.py").write_text("# external tables\n")
    run = upgrade(newer, folder)
    assert "added     spectrum.py" in run.lines
    check_is(folder, offered(newer, WAREHOUSE))
    check_record(newer, folder)


def test_a_users_own_file_with_the_name_of_a_new_file_is_kept(newer: Path, template: Path, folder: Path) -> None:
    theirs = edit(template / "spectrum.py", "# external tables")
    mine = edit(folder / "spectrum.py", "# mine")
    upgrade(newer, folder, code=1)
    check_is(folder, offered(newer, WAREHOUSE) | {"spectrum.py": mine, "spectrum.py.new": theirs})


def test_a_users_own_folder_with_the_name_of_a_new_file_is_kept(newer: Path, template: Path, folder: Path) -> None:
    """The upgrade can refuse or continue, but must not stop halfway."""
    (template / "spectrum.py").write_text("# external tables\n")
    edit(template / "connection.py", "# newer")
    (folder / "spectrum.py").mkdir()
    (folder / "spectrum.py/mine.txt").write_text("mine")
    untouched = snapshot(folder)
    run = new_push(newer, "--upgrade", folder)
    assert (folder / "spectrum.py/mine.txt").read_text() == "mine"
    if run.code == 2:
        assert snapshot(folder) == untouched, "refused, with something changed"
    else:
        run.check(1)
        check_record(newer, folder)


def test_a_deleted_file_is_not_restored(newer: Path, template: Path, folder: Path) -> None:
    (folder / "push_query_logs.py").unlink()
    (folder / "README.md").unlink()
    edit(template / "push_query_logs.py", "# newer")
    for release in (NEWER, "99.1"):
        set_release(newer, release)
        run = upgrade(newer, folder)
        assert said_of(run, "push_query_logs.py") == "absent push_query_logs.py (deleted here)"
        expected = offered(newer, WAREHOUSE)
        del expected["push_query_logs.py"], expected["README.md"]
        check_is(folder, expected)


def test_the_customers_own_files_are_never_changed(newer: Path, template: Path, folder: Path) -> None:
    own = add_own_files(folder)
    for path in template.glob("*.py"):
        edit(path, "# newer")
    edit(newer / "mcpush/program.py", "# newer")
    before = snapshot(folder)
    upgrade(newer, folder)
    after = snapshot(folder)
    assert {name: after[name] for name in own} == {name: before[name] for name in own}
    check_is(folder, offered(newer, WAREHOUSE) | own)


def test_modes_are_kept(newer: Path, template: Path, folder: Path) -> None:
    (folder / SCRIPT).chmod(0o750)
    (folder / "connection.py").chmod(0o600)
    for name in (SCRIPT, "connection.py"):
        edit(template / name, "# newer")
    upgrade(newer, folder)
    check_is(folder, offered(newer, WAREHOUSE))
    assert stat.S_IMODE((folder / SCRIPT).stat().st_mode) == 0o750
    assert stat.S_IMODE((folder / "connection.py").stat().st_mode) == 0o600


def test_unchanged_files_are_not_written(newer: Path, template: Path, folder: Path) -> None:
    edit(template / "connection.py", "# newer")
    before = snapshot(folder)
    upgrade(newer, folder)
    after = snapshot(folder)
    changed = {name for name in after if "/" not in name and after[name] != before.get(name)}
    assert changed == {"connection.py", "mcpush", RECORD}


def test_crlf_from_version_control_is_not_an_edit(newer: Path, template: Path, folder: Path) -> None:
    to_crlf(folder)
    edit(template / "connection.py", "# newer")
    edit(newer / "mcpush/program.py", "# newer")
    run = upgrade(newer, folder)
    assert [line for line in run.lines if line.startswith("kept")] == []
    for name, content in offered(newer, WAREHOUSE).items():
        assert (folder / name).read_bytes().replace(b"\r\n", b"\n") == content, name
    check_record(newer, folder)


def test_an_edit_is_detected_despite_crlf(newer: Path, template: Path, folder: Path) -> None:
    edit(folder / "connection.py")
    to_crlf(folder)
    edit(template / "connection.py", "# newer")
    upgrade(newer, folder, code=1)
    assert b"# edited by hand" in (folder / "connection.py").read_bytes()


def test_a_folder_given_as_a_relative_path_or_a_symlink(
    newer: Path, template: Path, folder: Path, tmp_path: Path
) -> None:
    edit(template / "connection.py", "# newer")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    new_push(newer, "--upgrade", "link", cwd=tmp_path).check(0)
    check_is(folder, offered(newer, WAREHOUSE))
    edit(template / "connection.py", "# newer still")
    new_push(newer, "--upgrade", ".", cwd=folder).check(0)
    check_is(folder, offered(newer, WAREHOUSE))


# --- library --------------------------------------------------------------------------------------------


def test_the_library_is_replaced_as_a_whole(newer: Path, folder: Path) -> None:
    edit(newer / "mcpush/program.py", "# newer")
    (newer / "mcpush/added.py").write_text("# added\n")
    (newer / "mcpush/deeper").mkdir()
    (newer / "mcpush/deeper/added.py").write_text("# added\n")
    (newer / "mcpush/collect/checkpoint.py").unlink()
    run = upgrade(newer, folder)
    assert said_of(run, "mcpush/") == "replaced mcpush/ (4 new or changed modules, 1 removed)"
    check_is(folder, offered(newer, WAREHOUSE))
    check_record(newer, folder)


def edited_module(library: Path) -> str:
    edit(library / "delivery.py")
    return "delivery.py"


def extra_module(library: Path) -> str:
    edit(library / "mine.py")
    return "mine.py"


def extra_file_deeper(library: Path) -> str:
    (library / "data").mkdir()
    (library / "data/mine.txt").write_text("mine")
    return "data/mine.txt"


def emptied_module(library: Path) -> str:
    (library / "errors.py").write_bytes(b"")
    return "errors.py"


@pytest.mark.parametrize(
    "edit_library",
    [edited_module, extra_module, extra_file_deeper, emptied_module],
    ids=lambda each: each.__name__.replace("_", " "),
)
@pytest.mark.parametrize("changed_upstream", [True, False], ids=["library changed", "library the same"])
def test_an_edited_library_is_refused_and_nothing_is_changed(
    changed_upstream: bool,
    edit_library: Callable[[Path], str],
    bundle: Path,
    newer: Path,
    template: Path,
    folder: Path,
) -> None:
    name = edit_library(folder / "mcpush")
    edit(template / "connection.py", "# newer")
    if changed_upstream:
        edit(newer / "mcpush/program.py", "# newer")
    else:
        (newer / "mcpush/version.py").write_bytes((bundle / "mcpush/version.py").read_bytes())
    refused(newer, folder, f"The library was edited: {folder / 'mcpush' / name}", "nothing was changed")


def test_the_upgrade_works_after_following_the_refusal_of_a_library(newer: Path, folder: Path) -> None:
    edited_module(folder / "mcpush")
    extra_module(folder / "mcpush")
    refused(newer, folder, "and 1 more", f"delete {folder / 'mcpush'}")
    shutil.rmtree(folder / "mcpush")
    assert upgrade(newer, folder).lines[-1].startswith("added     mcpush/")
    check_is(folder, offered(newer, WAREHOUSE))


def test_an_edit_that_the_bundle_adopted_is_not_an_edit(newer: Path, folder: Path) -> None:
    edit(folder / "mcpush/push/delivery.py", "# the fix")
    edit(newer / "mcpush/push/delivery.py", "# the fix")
    upgrade(newer, folder)
    check_is(folder, offered(newer, WAREHOUSE))


def test_a_missing_library_or_module_is_restored(bundle: Path, newer: Path, folder: Path) -> None:
    for scripts in (bundle, newer):
        (folder / "mcpush/program.py").unlink()
        upgrade(scripts, folder)
        check_is(folder, offered(scripts, WAREHOUSE))
        shutil.rmtree(folder / "mcpush")
        assert upgrade(scripts, folder).lines[-1].startswith("added     mcpush/")
        check_is(folder, offered(scripts, WAREHOUSE))


def test_caches_are_not_an_edit(newer: Path, folder: Path) -> None:
    run_script(folder, SCRIPT, "--version", env={"PYTHONDONTWRITEBYTECODE": ""}).check(0)
    assert list((folder / "mcpush/__pycache__").iterdir())
    (folder / "mcpush/.DS_Store").write_text("of this machine")
    edit(newer / "mcpush/program.py", "# newer")
    upgrade(newer, folder)
    assert (folder / "mcpush/program.py").read_bytes() == (newer / "mcpush/program.py").read_bytes()
    said = run_script(folder, SCRIPT, "--version", env={}).check(0).stdout
    assert said == f"{SCRIPT} {NEWER}\n"


# --- no record ------------------------------------------------------------------------------------------


@pytest.fixture
def by_hand(bundle: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(bundle / "templates" / WAREHOUSE, tmp_path / "by-hand"))
    shutil.copytree(bundle / "mcpush", folder / "mcpush")
    return folder


def catalog_of(scripts: Path) -> dict[str, bytes]:
    """The list of documented views, which a copy by hand contains and an upgrade does not change."""
    return {"catalog.toml": (scripts / "templates" / WAREHOUSE / "catalog.toml").read_bytes()}


def test_an_identical_copy_by_hand_only_gets_a_record(bundle: Path, by_hand: Path) -> None:
    assert upgrade(bundle, by_hand).lines == ["nothing to change: every file is the bundle's"]
    check_is(by_hand, offered(bundle, WAREHOUSE) | catalog_of(bundle))
    check_record(bundle, by_hand)


def test_differing_files_in_a_copy_by_hand_count_as_edited(newer: Path, template: Path, by_hand: Path) -> None:
    own = add_own_files(by_hand)
    mine = edit(by_hand / "connection.py")
    old = (by_hand / "README.md").read_bytes()
    theirs = edit(template / "README.md", "newer")
    (newer / "mcpush/version.py").write_bytes((by_hand / "mcpush/version.py").read_bytes())
    run = upgrade(newer, by_hand, code=1)
    assert said_of(run, "README.md") == "kept README.md (edited here; the bundle's version is README.md.new)"
    kept = {"connection.py": mine, "README.md": old}
    new = {"connection.py.new": (template / "connection.py").read_bytes(), "README.md.new": theirs}
    check_is(by_hand, offered(newer, WAREHOUSE) | catalog_of(newer) | kept | new | own)
    check_record(newer, by_hand)
    for name in new:
        (by_hand / name).unlink()
    upgrade(newer, by_hand)
    check_is(by_hand, offered(newer, WAREHOUSE) | catalog_of(newer) | kept | own)


def test_a_differing_library_in_a_copy_by_hand_counts_as_edited(newer: Path, by_hand: Path) -> None:
    refused(newer, by_hand, "The library differs from this bundle's", str(by_hand / "mcpush/version.py"))


def test_a_single_copy_gets_the_library(bundle: Path, by_hand: Path) -> None:
    shutil.rmtree(by_hand / "mcpush")
    assert run_script(by_hand, SCRIPT, "--version", env={}).exit_code == 2
    upgrade(bundle, by_hand)
    check_is(by_hand, offered(bundle, WAREHOUSE) | catalog_of(bundle))
    run_script(by_hand, SCRIPT, "--version", env={}).check(0)


@pytest.mark.parametrize("there", ["nothing", "other files", "what every template shares"])
def test_a_folder_without_a_recognizable_template_is_refused(there: str, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my-push"
    folder.mkdir()
    if there == "other files":
        (folder / "connection.py").write_text("# mine\n")
    if there == "what every template shares":
        shutil.copy(bundle / "templates/redshift/push_metadata.py", folder)
    refused(bundle, folder, f"{folder} has no {RECORD}")


# --- refusals -------------------------------------------------------------------------------------------


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: {name: value for name, value in record.items() if name != key}


def having(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda record: record | changes


def naming(name: str) -> Callable[[dict[str, Any]], object]:
    """Add a name with the digest of the file that it points to, so that the file counts as unedited."""
    return lambda record: record | {"files": record["files"] | {name: sha256(b"# not in the folder\n")}}


DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a list": lambda record: [record],
    "a number": lambda record: 1,
    "null": lambda record: None,
    "empty": lambda record: {},
    "no release": without("release"),
    "no warehouse": without("warehouse"),
    "no flows": without("flows"),
    "no files": without("files"),
    "release is a number": having(release=1),
    "release is not a number": having(release="new"),
    "release is empty": having(release=""),
    "warehouse is null": having(warehouse=None),
    "flows is a number": having(flows=3),
    "flows is a string": having(flows="metadata"),
    "a flow is a number": having(flows=["metadata", 3]),
    "files is a list": having(files=["connection.py"]),
    "files is null": having(files=None),
    "a digest is a number": having(files={"connection.py": 3}),
    "../x": naming("../outside.py"),
    "a/../../x": naming("logs/../../outside.py"),
    "..\\x": naming("..\\outside.py"),
    "/x": naming("/outside.py"),
    "C:\\x": naming("C:\\outside.py"),
    "C:x": naming("C:outside.py"),
    "\\\\server\\x": naming("\\\\server\\share\\outside.py"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_refused(damage: str, newer: Path, folder: Path) -> None:
    (folder / "logs").mkdir()
    outside = folder.parent / "outside.py"
    outside.write_text("# not in the folder\n")
    (folder / RECORD).write_text(json.dumps(DAMAGES[damage](record_of(folder))), encoding="utf-8")
    refused(newer, folder, f"{folder / RECORD} is damaged")
    assert outside.read_text() == "# not in the folder\n"


@pytest.mark.parametrize("content", [b"", b"{", b"release: 1\n", b"\xff\xfe\x00", b"<<<<<<< HEAD\n{}\n"])
def test_a_record_that_is_not_json_is_refused(content: bytes, newer: Path, folder: Path) -> None:
    (folder / RECORD).write_bytes(content)
    refused(newer, folder, f"{folder / RECORD} is damaged")


def test_the_upgrade_works_after_following_the_refusal_of_a_record(newer: Path, template: Path, folder: Path) -> None:
    (newer / "mcpush/version.py").write_bytes((folder / "mcpush/version.py").read_bytes())
    old = (folder / "README.md").read_bytes()
    edit(template / "README.md", "newer")
    (folder / RECORD).write_text("{")
    refused(newer, folder, "or delete it")
    (folder / RECORD).unlink()
    upgrade(newer, folder, code=1)
    assert (folder / "README.md").read_bytes() == old
    check_record(newer, folder)


@pytest.mark.parametrize("release", ["99.0.1", "100", "99.0.0.1"])
def test_a_folder_newer_than_the_bundle_is_refused(release: str, newer: Path, folder: Path) -> None:
    rewrite_record(folder, release=release)
    refused(newer, folder, f"{folder} has release {release}, newer than this bundle's {NEWER}")


def test_releases_are_compared_as_numbers(newer: Path, folder: Path) -> None:
    rewrite_record(folder, release="9.10.0")
    upgrade(newer, folder)
    set_release(newer, "99.10.0")
    upgrade(newer, folder)
    set_release(newer, "99.9.0")
    refused(newer, folder, "newer than this bundle's 99.9.0")


def test_a_copy_by_hand_newer_than_the_bundle_is_refused(bundle: Path, by_hand: Path) -> None:
    change(by_hand / "mcpush/version.py", release_of(bundle), NEWER)
    refused(bundle, by_hand, f"has release {NEWER}, newer than this bundle's")


def test_a_warehouse_that_the_bundle_no_longer_has_is_refused(newer: Path, template: Path, folder: Path) -> None:
    shutil.rmtree(template)
    refused(newer, folder, f"There is no template for '{WAREHOUSE}'")


def test_a_path_that_is_not_a_folder_is_refused(newer: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    new_push(newer, "--upgrade", tmp_path / "file").refused("is not a folder")
    new_push(newer, "--upgrade", tmp_path / "absent").refused("is not a folder")
    assert not (tmp_path / "absent").exists()


def test_a_read_only_folder_is_refused_and_not_changed(newer: Path, template: Path, folder: Path) -> None:
    before = respecting_modes()
    edit(template / "connection.py", "# newer")
    make_read_only(folder)
    untouched = snapshot(folder)
    try:
        new_push(newer, "--upgrade", folder, before=before).refused("permissions")
        assert snapshot(folder) == untouched
    finally:
        make_read_only(folder, read_only=False)


def test_nothing_is_written_outside_the_folder(newer: Path, template: Path, folder: Path) -> None:
    """The parent folder can belong to somebody else."""
    before = respecting_modes()
    edit(template / "connection.py", "# newer")
    edit(newer / "mcpush/program.py", "# newer")
    parent = folder.parent / "parent"
    parent.mkdir()
    inside = Path(shutil.move(folder, parent / "my-push"))
    parent.chmod(0o555)
    try:
        upgrade(newer, inside, before=before)
        check_is(inside, offered(newer, WAREHOUSE))
    finally:
        parent.chmod(0o755)


@pytest.mark.parametrize("linked", ["connection.py", "mcpush"])
def test_the_target_of_a_link_is_not_replaced(
    linked: str, newer: Path, template: Path, folder: Path, tmp_path: Path
) -> None:
    """As when several folders share one file."""
    shared = Path(shutil.move(folder / linked, tmp_path / f"shared-{linked}"))
    (folder / linked).symlink_to(shared)
    edit(template / "connection.py", "# newer")
    untouched = snapshot(tmp_path / "shared-mcpush") if linked == "mcpush" else shared.read_bytes()
    refused(newer, folder, f"{folder / linked} is a symbolic link", "nothing was changed")
    assert untouched == (snapshot(tmp_path / "shared-mcpush") if linked == "mcpush" else shared.read_bytes())
    assert (folder / linked).is_symlink()


def test_a_record_cannot_follow_a_link_out_of_the_folder(newer: Path, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs.py").write_text("# theirs\n")
    (folder / "sub").symlink_to(outside, target_is_directory=True)
    rewrite_record(folder, files=record_of(folder)["files"] | {"sub/theirs.py": sha256(b"# theirs\n")})
    refused(newer, folder, f"is outside {folder}")
    assert (outside / "theirs.py").read_text() == "# theirs\n"


# --- flows ----------------------------------------------------------------------------------------------


def flow_of(name: str) -> str:
    """The flow whose script this is, or an empty string."""
    return next((flow for flow in FLOWS if name in [f"{kind}_{flow}.py" for kind in KINDS]), "")


def test_flows_can_be_removed_and_added(bundle: Path, newer: Path, folder: Path, tmp_path: Path) -> None:
    own = add_own_files(folder)
    alone = tmp_path / "alone"
    new_push(newer, WAREHOUSE, alone, "--flows", "metadata").check(0)
    narrowed = files_of(alone)
    run = upgrade(newer, folder, "--flows", "metadata")
    assert {flow_of(line.split()[1]) for line in run.lines if line.startswith("removed")} >= {"lineage", "query_logs"}
    assert files_of(folder) == narrowed | own
    assert "nothing to change" in upgrade(newer, folder).stdout
    assert files_of(folder) == narrowed | own
    run = upgrade(newer, folder, "--flows", "metadata,lineage")
    assert {flow_of(line.split()[1]) for line in run.lines if line.startswith("added")} - {""} == {"lineage"}
    assert "sqlglot" in (folder / "requirements.txt").read_text()
    upgrade(newer, folder, "--flows", "metadata,lineage,query_logs")
    check_is(folder, offered(newer, WAREHOUSE) | own)
    check_record(newer, folder)


def test_removing_flows_keeps_edited_files(newer: Path, folder: Path) -> None:
    mine = edit(folder / "collect_lineage.py")
    listed = edit(folder / "requirements.txt", "my-own-package==1")
    upgrade(newer, folder, "--flows", "metadata,query_logs", code=1)
    assert (folder / "collect_lineage.py").read_bytes() == mine
    assert (folder / "requirements.txt").read_bytes() == listed
    assert "sqlglot" not in (folder / "requirements.txt.new").read_text()
    assert not (folder / "push_lineage.py").exists()
    check_record(newer, folder, ["metadata", "query_logs"])


def test_adding_a_flow_keeps_a_users_own_script(newer: Path, folder: Path) -> None:
    upgrade(newer, folder, "--flows", "metadata")
    mine = edit(folder / "collect_lineage.py", "# mine")
    upgrade(newer, folder, "--flows", "metadata,lineage", code=1)
    assert (folder / "collect_lineage.py").read_bytes() == mine
    assert (folder / "collect_lineage.py.new").is_file()


def test_an_unknown_flow_is_refused(newer: Path, folder: Path) -> None:
    untouched = snapshot(folder)
    new_push(newer, "--upgrade", folder, "--flows", "metadta").refused("Did you mean metadata?")
    assert snapshot(folder) == untouched


def test_an_upgrade_keeps_the_flows(newer: Path, template: Path, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my-push"
    new_push(bundle, WAREHOUSE, folder, "--flows", "query_logs").check(0)
    edit(template / "push_query_logs.py", "# newer")
    edit(template / "push_lineage.py", "# newer")
    upgrade(newer, folder)
    new_push(newer, WAREHOUSE, tmp_path / "fresh", "--flows", "query_logs").check(0)
    assert files_of(folder) == files_of(tmp_path / "fresh")


def test_a_flow_that_left_the_bundle_is_removed(newer: Path, template: Path, folder: Path) -> None:
    for path in template.glob("*_query_logs.py"):
        path.unlink()
    upgrade(newer, folder)
    check_record(newer, folder, ["metadata", "lineage"])
    assert list(folder.glob("*_query_logs.py")) == []


# --- interrupted ----------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two small releases, and a folder of the first. The upgrade has every kind of change, including a conflict."""
    old = small_bundle(tmp_path / "old")
    template = old / "templates/small"
    for name in ("edited", "gone", "kept"):
        (template / f"{name}.py").write_text(f"# {name}\n")
    (old / "mcpush/gone.py").write_text("# gone\n")
    new = Path(shutil.copytree(old, tmp_path / "new/scripts"))
    set_release(new, NEWER)
    (new / "mcpush/gone.py").unlink()
    (new / "templates/small/gone.py").unlink()
    for name in ("collect_metadata", "edited", "added"):
        edit(new / f"templates/small/{name}.py", "# newer")
    folder = tmp_path / "small"
    new_push(old, "small", folder).check(0)
    edit(folder / "edited.py")
    return old, new, folder


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_the_next_run_completes_an_upgrade_interrupted_at_any_step(
    sent: signal.Signals, small: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    old, new, folder = small
    before = files_of(folder)
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    upgrade(new, whole, code=1)
    after = files_of(whole)
    stopped = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[sent]
    libraries = {"old library": files_of(old / "mcpush"), "new library": files_of(new / "mcpush"), "no library": {}}
    states = set()
    for number in range(1, 100):
        again = Path(shutil.copytree(folder, tmp_path / str(number)))
        run = interrupted(new, "--upgrade", again, number=number, sent=sent, below=again)
        if run.code == 1:
            break
        assert run.code == stopped, run.stderr
        # No file is half written. The library is complete, of one release, or absent.
        here = {name: content for name, content in files_of(again).items() if not name.startswith(f"{STAGING}/")}
        for name in here.keys() - set(leftovers(again)):
            assert here[name] in (before.get(name), after.get(name)), name
        library = [name for name, content in libraries.items() if content == files_of(again / "mcpush")]
        assert len(library) == 1
        recorded = record_of(again)["release"] == NEWER
        states.add((*library, recorded))
        assert sent == signal.SIGKILL or recorded or leftovers(again) == []
        new_push(new, "--upgrade", again).check(1)
        assert files_of(again) == after
        shutil.rmtree(again)
    assert run.code == 1
    assert files_of(again) == after
    # Every state occurred. An upgrade that is interrupted but not killed restores the old library.
    expected = {("old library", False), ("new library", False), ("new library", True)}
    assert states == expected | ({("no library", False)} if sent == signal.SIGKILL else set())


def test_leftovers_of_a_killed_upgrade_are_deleted(newer: Path, template: Path, folder: Path) -> None:
    """The library is replaced in two renames. If the upgrade is killed between them, there is no library."""
    edit(template / "connection.py", "# newer")
    (folder / STAGING).mkdir()
    shutil.move(folder / "mcpush", folder / STAGING / "old")
    shutil.copytree(newer / "mcpush", folder / STAGING / "new")
    assert run_script(folder, SCRIPT, "--version", env={}).exit_code == 2
    run = new_push(newer, "--upgrade", folder).check(0)
    assert f"removed   {folder / STAGING}" in run.stdout
    check_is(folder, offered(newer, WAREHOUSE))


def test_the_second_of_two_concurrent_upgrades_is_refused(newer: Path, template: Path, folder: Path) -> None:
    edit(template / "connection.py", "# newer")
    edit(newer / "mcpush/program.py", "# newer")
    stopping = signaled(10, signal.SIGSTOP, folder)  # while it writes the new library
    with started_new_push(newer, "--upgrade", folder, before=stopping) as first:
        wait_until_stopped(first)
        untouched = files_of(folder)
        assert STAGING in leftovers(folder)
        new_push(newer, "--upgrade", folder).refused("Another run is using")
        assert files_of(folder) == untouched
        first.send_signal(signal.SIGCONT)
        ended(first).check(0)
    check_is(folder, offered(newer, WAREHOUSE))
