"""new_push.py creates a complete folder or nothing, for all bundles and locations, and when it is interrupted."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.folders.bundles import (
    FLOWS_OF,
    FOLDER_FLOWS,
    NEWER,
    RECORD,
    WAREHOUSES,
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
from tests.script_process import KINDS, clean_environment, run_script

MANY_FILES = 4_000  # enough to observe the staging folder while it exists


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle. Checks at the end that nothing was written to it."""
    scripts = copied_bundle(tmp_path_factory.mktemp("bundle"))
    before = snapshot(scripts)
    yield scripts
    assert snapshot(scripts) == before


@pytest.fixture(scope="module")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose library takes long to write."""
    scripts = copied_bundle(tmp_path_factory.mktemp("slow"))
    one = scripts / "mcpush/extra_0.py"
    one.write_text("# one of many\n")
    for number in range(1, MANY_FILES):
        (scripts / f"mcpush/extra_{number}.py").hardlink_to(one)
    return scripts


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "my-push"


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return found


def without_record(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_of(folder).items() if name != RECORD}


def check_runs(folder: Path, scripts: Path) -> None:
    script = "collect_metadata.py"
    said = run_script(folder, script, "--version", env={}, cwd=folder).check(0).stdout
    assert said == f"{script} {release_of(scripts)}\n"


# --- created folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_a_folder_is_complete_and_equal_to_the_bundle(warehouse: str, bundle: Path, target: Path) -> None:
    new_push(bundle, warehouse, target).check(0)
    assert without_record(target) == offered(bundle, warehouse)
    assert sum(name.startswith("mcpush/") for name in files_of(target)) > 20
    assert leftovers(target.parent) == []


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_list_of_documented_views_stays_in_the_bundle(warehouse: str, bundle: Path, target: Path) -> None:
    """The scripts do not read it. It is for tests and for changing the scripts' SQL."""
    assert (bundle / "templates" / warehouse / "catalog.toml").is_file()
    new_push(bundle, warehouse, target).check(0)
    assert list(target.rglob("*.toml")) == []


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_record_has_the_release_the_flows_and_every_digest(warehouse: str, bundle: Path, target: Path) -> None:
    new_push(bundle, warehouse, target).check(0)
    assert record_of(target) == {
        "release": release_of(bundle),
        "warehouse": warehouse,
        "flows": FLOWS_OF[warehouse],
        "files": {name: sha256(content) for name, content in without_record(target).items()},
    }


def test_a_new_template_folder_does_not_have_to_be_registered(tmp_path: Path, target: Path) -> None:
    scripts = copied_bundle(tmp_path / "bundle")
    shutil.copytree(scripts / "templates/redshift", scripts / "templates/teradata")
    assert "redshift, snowflake, teradata" in " ".join(new_push(scripts, "--help").check(0).stdout.split())
    new_push(scripts, "teradata", target).check(0)
    assert without_record(target) == offered(scripts, "teradata")
    assert record_of(target)["warehouse"] == "teradata"


def test_caches_and_run_files_in_the_bundle_are_not_copied(tmp_path: Path, target: Path) -> None:
    """Caches, settings, and manifests of runs in place, which contain data from a warehouse."""
    scripts = copied_bundle(tmp_path / "bundle")
    wanted = offered(scripts, "snowflake")
    for place in (scripts / "mcpush", scripts / "templates/snowflake"):
        for name in ("__pycache__/connection.cpython-311.pyc", ".mypy_cache/3.11/x.json", ".env", ".DS_Store"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("of this machine")
    for name in ("metadata.jsonl", "metadata.jsonl.journal", "lineage.state.json", "logs/push.log", "connection.py~"):
        (scripts / "templates/snowflake" / name).parent.mkdir(exist_ok=True)
        (scripts / "templates/snowflake" / name).write_text("of a run in place")
    new_push(scripts, "snowflake", target).check(0)
    assert without_record(target) == wanted


def test_an_empty_folder_is_filled(bundle: Path, target: Path) -> None:
    target.mkdir()
    new_push(bundle, "redshift", target).check(0)
    assert without_record(target) == offered(bundle, "redshift")


def test_an_empty_folder_keeps_its_mode(bundle: Path, target: Path) -> None:
    """A private folder stays private: it will contain keys and query texts."""
    target.mkdir(mode=0o700)
    new_push(bundle, "redshift", target).check(0)
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_parent_folders_are_created(bundle: Path, tmp_path: Path) -> None:
    new_push(bundle, "redshift", "a/b/my-push", cwd=tmp_path).check(0)
    assert without_record(tmp_path / "a/b/my-push") == offered(bundle, "redshift")


def test_a_dry_run_prints_the_same_and_writes_nothing(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "a/my-push"
    for options in ([], ["--flows", "metadata"]):
        rehearsed = new_push(bundle, "snowflake", target, "--dry-run", *options).check(0)
        assert list(tmp_path.iterdir()) == []
        made = new_push(bundle, "snowflake", target, *options).check(0)
        assert rehearsed.lines == made.lines
        assert "would be complete" in rehearsed.stdout
        listed = {line.split()[1] for line in made.lines}
        top = {name.partition("/")[0] for name in files_of(target)}
        assert {name.rstrip("/") for name in listed} == top
        shutil.rmtree(tmp_path / "a")


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [("snowflak", "snowflake"), ("Snowflake", "snowflake"), ("SNOWFLAKE", "snowflake"), ("red-shift", "redshift")],
)
def test_a_warehouse_is_suggested(given: str, meant: str, bundle: Path, target: Path) -> None:
    run = new_push(bundle, given, target)
    run.refused(f"There is no template for {given!r}. Did you mean {meant}?", ", ".join(WAREHOUSES))
    assert not target.exists()


@pytest.mark.parametrize("given", ["zzzz", "_shared", "..", "", "."])
def test_nothing_is_suggested_without_a_similar_warehouse(given: str, bundle: Path, target: Path) -> None:
    run = new_push(bundle, given, target).refused("There is no template for", ", ".join(WAREHOUSES))
    assert "Did you mean" not in run.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("metadta", "no flow 'metadta'. Did you mean metadata?"),
        ("metadata,query_log", "no flow 'query_log'. Did you mean query_logs?"),
        ("metadata,zzzz", "no flow 'zzzz'"),
        ("metadata,", "no flow ''"),
    ],
)
def test_a_flow_is_suggested(given: str, said: str, bundle: Path, target: Path) -> None:
    new_push(bundle, "snowflake", target, "--flows", given).refused(said, "metadata, lineage, query_logs")
    assert not target.exists()


def test_a_flow_that_a_warehouse_does_not_have_is_refused(tmp_path: Path, target: Path) -> None:
    scripts = copied_bundle(tmp_path / "bundle")
    for name in ("collect_lineage.py", "push_lineage.py", "collect_and_push_lineage.py"):
        (scripts / "templates/redshift" / name).unlink()
    new_push(scripts, "redshift", target, "--flows", "lineage").refused("redshift has no flow 'lineage'")
    new_push(scripts, "redshift", target).check(0)
    assert record_of(target)["flows"] == ["metadata", "query_logs"]


@pytest.mark.parametrize("there", ["notes.txt", ".hidden", "mcpush/x.py"])
def test_a_folder_that_is_not_empty_is_refused_and_not_changed(there: str, bundle: Path, target: Path) -> None:
    (target / there).parent.mkdir(parents=True)
    (target / there).write_text("mine")
    before = snapshot(target.parent)
    for options in ([], ["--dry-run"]):
        new_push(bundle, "snowflake", target, *options).refused(f"{target} is not empty")
    assert snapshot(target.parent) == before


def test_an_existing_folder_is_refused_and_the_message_suggests_upgrade(bundle: Path, target: Path) -> None:
    new_push(bundle, "snowflake", target).check(0)
    new_push(bundle, "snowflake", target).refused("is not empty", f"--upgrade {target}")


def test_a_file_is_refused(bundle: Path, target: Path) -> None:
    target.write_text("mine")
    new_push(bundle, "snowflake", target).refused(f"{target} is a file")
    assert target.read_text() == "mine"


@pytest.mark.parametrize("inside", [".", "my-push", "templates/my-push", "templates/snowflake", "mcpush/new/my-push"])
def test_a_folder_inside_the_bundle_is_refused(inside: str, bundle: Path) -> None:
    new_push(bundle, "snowflake", bundle / inside).refused("is part of the bundle")
    new_push(bundle, "--upgrade", bundle / inside).refused("is part of the bundle")


def test_the_current_directory_is_refused(bundle: Path, target: Path) -> None:
    target.mkdir()
    new_push(bundle, "snowflake", ".", cwd=target).refused("is the current directory")
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("given", [["snowflake"], [], ["--upgrade", "my-push", "snowflake"], ["--flows", "metadata"]])
def test_wrong_arguments_are_refused(given: list[str], bundle: Path, tmp_path: Path) -> None:
    run = new_push(bundle, *given, cwd=tmp_path).check(2)
    assert "usage: new_push.py" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_without_its_library_is_refused(tmp_path: Path, target: Path) -> None:
    scripts = copied_bundle(tmp_path / "bundle")
    new_push(scripts, "snowflake", target).check(0)
    shutil.rmtree(scripts / "mcpush")
    before = snapshot(target)
    new_push(scripts, "snowflake", tmp_path / "other").refused(str(scripts / "mcpush"), "Download")
    new_push(scripts, "--upgrade", target).refused(str(scripts / "mcpush"), "Download")
    assert snapshot(target) == before
    assert not (tmp_path / "other").exists()


# --- each flow alone ------------------------------------------------------------------------------------


def distributions_for(requirements: Path) -> set[str]:
    """The names of the packages that pip would install for a requirements file, by the packages installed here."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    waiting = [(Requirement(line), {""}) for line in lines if not line.startswith("#")]
    found: dict[str, set[str]] = {}
    while waiting:
        asked, extras = waiting.pop()
        if asked.marker and not any(asked.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        if not asked.extras <= found.get(asked.name, set()) or asked.name not in found:
            found[asked.name] = found.get(asked.name, set()) | asked.extras
            needed = importlib.metadata.requires(asked.name) or []
            waiting += [(Requirement(each), {"", *asked.extras}) for each in needed]
    return set(found)


def link_distributions(names: set[str], site: Path) -> None:
    """Create a folder from which exactly these distributions can be imported."""
    site.mkdir()
    for name in names:
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))


IMPORTED = """
import importlib, importlib.util, json, os, sys
folder, site, *modules = sys.argv[1:]
sys.path = [folder, *sys.path, site]
for module in modules:
    importlib.import_module(module)
files = [getattr(each, "__file__", None) for each in list(sys.modules.values())]
own = sorted(os.path.basename(each) for each in files if each and os.path.dirname(each) == folder)
print(json.dumps({"own": own, "sqlglot": importlib.util.find_spec("sqlglot") is not None}))
"""


@pytest.mark.parametrize(("warehouse", "flow"), FOLDER_FLOWS)
def test_a_flow_alone_has_what_it_imports_and_no_more(warehouse: str, flow: str, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my-push"
    new_push(bundle, warehouse, folder, "--flows", flow).check(0)
    link_distributions(distributions_for(folder / "requirements.txt"), tmp_path / "site")
    modules = [f"{kind}_{flow}" for kind in KINDS]
    # -I and -S: neither the current directory nor installed packages can be imported. -B: no caches are written.
    command = [sys.executable, "-I", "-S", "-B", "-c", IMPORTED, str(folder), str(tmp_path / "site"), *modules]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment({}))
    assert found.returncode == 0, found.stderr
    imported = json.loads(found.stdout)
    assert imported["sqlglot"] == ('"sqlglot' in (folder / f"collect_{flow}.py").read_text(encoding="utf-8"))
    assert imported["own"] == sorted(path.name for path in folder.glob("*.py") if path.name != "mcpush.py")
    assert record_of(folder)["flows"] == [flow]
    assert record_of(folder)["files"].keys() == without_record(folder).keys()


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_a_flow_alone_differs_in_scripts_and_requirements_only(warehouse: str, bundle: Path, target: Path) -> None:
    new_push(bundle, warehouse, target, "--flows", "metadata").check(0)
    here, whole = without_record(target), offered(bundle, warehouse)
    assert [name for name in here if here[name] != whole[name] and name != "requirements.txt"] == []
    left_out = whole.keys() - here.keys()
    others = [flow for flow in FLOWS_OF[warehouse] if flow != "metadata"]
    assert {f"{kind}_{flow}.py" for kind in KINDS for flow in others} <= left_out
    assert all(name.endswith(".py") and "/" not in name for name in left_out)
    comment, *listed = here["requirements.txt"].splitlines()
    assert {line.split(b"=")[0].split(b">")[0].split(b"[")[0] for line in listed} >= {b"pycarlo", b"tenacity", b"tqdm"}
    scripts = here["collect_metadata.py"] + here["push_metadata.py"]
    every = whole["requirements.txt"].splitlines()
    assert [comment, *listed] == [line for line in every if line.startswith(b"#") or b'"%s"' % line in scripts]


def test_flows_can_have_any_order_and_spelling(bundle: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    new_push(bundle, "redshift", one, "--flows", "query_logs,metadata").check(0)
    new_push(bundle, "redshift", other, "--flows", " metadata , query-logs,metadata").check(0)
    assert files_of(one) == files_of(other)
    assert record_of(one)["flows"] == ["metadata", "query_logs"]


def test_naming_all_flows_equals_the_default(bundle: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    new_push(bundle, "redshift", one, "--flows", "metadata,lineage,query_logs").check(0)
    new_push(bundle, "redshift", other).check(0)
    assert files_of(one) == files_of(other)


def test_an_empty_list_of_flows_is_refused(bundle: Path, target: Path) -> None:
    """As from an unset variable in a job: --flows "$FLOWS"."""
    new_push(bundle, "redshift", target, "--flows", "").refused("metadata, lineage, query_logs")
    assert not target.exists()


# --- bundles and locations ------------------------------------------------------------------------------


def test_spaces_quotes_and_other_alphabets_in_the_path(tmp_path: Path) -> None:
    home = tmp_path / "mein Bündel 数据 '1'"
    scripts = copied_bundle(home)
    target = tmp_path / "größe & 数据's" / "my push"
    run = new_push(scripts, "snowflake", target).check(0)
    assert str(target) in run.stdout
    assert without_record(target) == offered(scripts, "snowflake")
    check_runs(target, scripts)
    (command,) = (line for line in run.stdout.splitlines() if line.startswith("  cd "))
    shown = subprocess.run(f"{command} && pwd", shell=True, capture_output=True, text=True, check=True)  # noqa: S602
    assert shown.stdout == f"{target}\n"
    new_push(scripts, "--upgrade", target).check(0)


@pytest.mark.parametrize("warehouse", ["snowflake", "größe"])
def test_an_ascii_terminal(warehouse: str, bundle: Path, tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    target = tmp_path / "größe 数据"
    run = new_push(bundle, warehouse, target, env=ascii_only)
    if warehouse == "snowflake":
        run.check(0)
        assert run.stdout.isascii()
        assert without_record(target) == offered(bundle, "snowflake")
        new_push(bundle, "--upgrade", target, env=ascii_only).check(0)
    else:
        run.refused("There is no template for")


def test_a_read_only_bundle_creates_a_writable_folder(tmp_path: Path, target: Path) -> None:
    before = respecting_modes()
    scripts = copied_bundle(tmp_path / "bundle")
    newer = copied_bundle(tmp_path / "newer")
    set_release(newer, NEWER)
    change(newer / "templates/redshift/README.md", "# ", "# Newer: ")
    writing_caches = {"PYTHONDONTWRITEBYTECODE": ""}
    for each in (scripts, newer):
        make_read_only(each.parent)
    untouched = [snapshot(each.parent) for each in (scripts, newer)]
    try:
        new_push(scripts, "redshift", target, before=before, env=writing_caches).check(0)
        assert without_record(target) == offered(scripts, "redshift")
        for path in [target, *target.rglob("*")]:
            assert path.stat().st_mode & stat.S_IWUSR, path
        new_push(newer, "--upgrade", target, before=before, env=writing_caches).check(0)
        assert without_record(target) == offered(newer, "redshift")
        assert [snapshot(each.parent) for each in (scripts, newer)] == untouched
    finally:
        for each in (scripts, newer):
            make_read_only(each.parent, read_only=False)


def test_a_directory_without_write_permission_is_reported(bundle: Path, tmp_path: Path) -> None:
    before = respecting_modes()
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    new_push(bundle, "snowflake", locked / "my-push", before=before).refused(str(locked), "permissions")
    assert list(locked.iterdir()) == []


def test_a_bundle_from_a_zip(bundle: Path, tmp_path: Path, target: Path) -> None:
    """As users download it. No file is executable, and Python's zipfile does not restore modes."""
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for name, content in files_of(bundle).items():
            archive.writestr(f"push-ingestion-main/scripts/{name}", content)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        archive.extractall(tmp_path)
    scripts = tmp_path / "push-ingestion-main/scripts"
    new_push(scripts, "snowflake", target).check(0)
    assert without_record(target) == offered(bundle, "snowflake")
    shutil.rmtree(scripts)
    check_runs(target, bundle)


@pytest.mark.parametrize("options", [[], ["--flows", "metadata"]], ids=["all", "one flow"])
def test_a_bundle_with_crlf_creates_the_same_folder(options: list[str], bundle: Path, tmp_path: Path) -> None:
    scripts = copied_bundle(tmp_path / "bundle")
    to_crlf(scripts)
    assert b"\r\n" in (scripts / "new_push.py").read_bytes()
    one, other = tmp_path / "one", tmp_path / "other"
    new_push(scripts, "redshift", one, *options).check(0)
    new_push(bundle, "redshift", other, *options).check(0)
    assert record_of(one) == record_of(other)
    check_runs(one, bundle)
    for upgrading in (scripts, bundle):
        for folder in (one, other):
            assert "nothing to change" in new_push(upgrading, "--upgrade", folder).check(0).stdout


# --- interrupted ----------------------------------------------------------------------------------------


def wait_for_staging(parent: Path, process: subprocess.Popen[str]) -> Path:
    while process.poll() is None:
        if found := [name for name in leftovers(parent) if name.endswith("-staging")]:
            return parent / found[0]
        time.sleep(0.001)
    raise AssertionError(f"the process ended before it could be interrupted: {process.communicate()}")


def test_a_killed_run_leaves_no_folder_and_the_next_run_creates_it(slow_bundle: Path, target: Path) -> None:
    with started_new_push(slow_bundle, "redshift", target) as process:
        staging = wait_for_staging(target.parent, process)
        process.kill()
        assert ended(process).code == -signal.SIGKILL
    assert staging.is_dir()
    assert not target.exists()
    again = new_push(slow_bundle, "redshift", target).check(0)
    assert f"removed   {staging}" in again.stdout
    assert leftovers(target.parent) == []
    assert without_record(target) == offered(slow_bundle, "redshift")


def test_a_second_run_for_the_same_folder_is_refused(bundle: Path, target: Path) -> None:
    stopping = signaled(10, signal.SIGSTOP, target.parent)
    with started_new_push(bundle, "redshift", target, before=stopping) as first:
        wait_until_stopped(first)
        new_push(bundle, "redshift", target).refused("Another run is using")
        first.send_signal(signal.SIGCONT)
        ended(first).check(0)
    assert without_record(target) == offered(bundle, "redshift")
    assert leftovers(target.parent) == []


@pytest.mark.parametrize("number", [1, 2, 3, 4, 10])
def test_files_of_a_concurrent_run_are_not_deleted(number: int, bundle: Path, tmp_path: Path) -> None:
    """Two warehouses at once, as in a job. Includes the moments before the first run takes its lock."""
    stopping = signaled(number, signal.SIGSTOP, tmp_path / ".one")
    with started_new_push(bundle, "redshift", tmp_path / "one", before=stopping) as first:
        wait_until_stopped(first)
        second = new_push(bundle, "snowflake", tmp_path / "other").check(0)
        first.send_signal(signal.SIGCONT)
        ended(first).check(0)
    assert "removed" not in second.stdout
    assert without_record(tmp_path / "one") == offered(bundle, "redshift")
    assert without_record(tmp_path / "other") == offered(bundle, "snowflake")


def test_one_of_several_concurrent_runs_wins(bundle: Path, tmp_path: Path) -> None:
    for number in range(3):
        target = tmp_path / f"my-push-{number}"
        with ExitStack() as all_of_them:
            processes = [all_of_them.enter_context(started_new_push(bundle, "redshift", target)) for _ in range(4)]
            runs = [ended(process) for process in processes]
        assert sorted(run.code for run in runs) == [0, 2, 2, 2], [run.stderr for run in runs]
        assert [run.stderr.startswith("error: ") for run in runs if run.code] == [True] * 3
        assert without_record(target) == offered(bundle, "redshift")
        assert leftovers(tmp_path) == []


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_interrupting_any_step_leaves_a_complete_folder_or_none(sent: signal.Signals, tmp_path: Path) -> None:
    scripts = small_bundle(tmp_path / "bundle")
    new_push(scripts, "small", tmp_path / "whole").check(0)
    whole = files_of(tmp_path / "whole")
    stopped = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[sent]
    for number in range(1, 100):
        parent = tmp_path / str(number)
        parent.mkdir()
        target = parent / "my-push"
        run = interrupted(scripts, "small", target, number=number, sent=sent, below=parent)
        if run.code == 0:
            break
        assert run.code == stopped, run.stderr
        if sent == signal.SIGINT:
            assert "Run the same command again" in run.stderr
            assert "Traceback" not in run.stderr
        if not target.exists():
            assert sent == signal.SIGKILL or leftovers(parent) == []
            new_push(scripts, "small", target).check(0)
            assert leftovers(parent) == []
        assert files_of(target) == whole
    assert run.code == 0
    assert number > len(whole)  # at least one interruption before each file


def closed_pipe(scripts: Path, *arguments: str | Path, unbuffered: bool) -> tuple[int, str]:
    """The exit code and stderr of a run whose stdout is a closed pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    env = clean_environment({"PYTHONUNBUFFERED": "1"} if unbuffered else {})
    command = [sys.executable, str(scripts / "new_push.py"), *map(str, arguments)]
    try:
        run = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=env, check=False)
    finally:
        os.close(writing)
    return run.returncode, run.stderr


@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_a_closed_pipe_does_not_stop_the_run(unbuffered: bool, bundle: Path, target: Path) -> None:
    assert closed_pipe(bundle, "redshift", target, unbuffered=unbuffered) == (0, "")
    assert without_record(target) == offered(bundle, "redshift")


@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_a_closed_pipe_does_not_stop_the_run_after_a_kill(unbuffered: bool, bundle: Path, target: Path) -> None:
    """The first line, about the leftovers of the killed run, is printed before anything is created."""
    (target.parent / ".my-push.push-ingestion-staging").mkdir()
    assert closed_pipe(bundle, "redshift", target, unbuffered=unbuffered) == (0, "")
    assert without_record(target) == offered(bundle, "redshift")


@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_a_closed_pipe_does_not_change_the_exit_code_of_an_upgrade(
    unbuffered: bool, bundle: Path, tmp_path: Path, target: Path
) -> None:
    new_push(bundle, "redshift", target).check(0)
    newer = copied_bundle(tmp_path / "newer")
    edit(newer / "templates/redshift/connection.py", "# newer")
    edit(target / "connection.py")
    code, said = closed_pipe(newer, "--upgrade", target, unbuffered=unbuffered)
    assert (target / "connection.py.new").exists()
    assert (code, said) == (1, "")


# --- Python versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(3, 9, 18, "final", 0), (3, 8, 0, "final", 0)])
def test_an_old_python_is_refused_with_the_required_version(
    version: tuple[object, ...], bundle: Path, target: Path
) -> None:
    code = "import runpy, sys; sys.version_info = {}; runpy.run_path(sys.argv[1], run_name='__main__')"
    pretending = ["-c", code.format(version)]
    run = new_push(bundle, "snowflake", target, before=pretending)
    run.refused(f"Python 3.{version[1]} is too old", "Python 3.10 or newer", "uv run scripts/new_push.py")
    assert not target.exists()


def interpreters(version: str) -> list[str]:
    """The installed interpreters of a version, on the path or in pyenv's folder."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"versions/{version}.*/bin/python"))]
    show = ["-c", "import sys; print('%s.%s' % sys.version_info[:2])"]
    runs = [
        (each, subprocess.run([each, *show], capture_output=True, text=True, check=False)) for each in found if each
    ]
    return [each for each, run in runs if run.stdout == f"{version}\n"]


@pytest.mark.parametrize("version", ["3.9", "3.8"])
def test_a_real_old_python_is_refused_with_the_required_version(version: str, bundle: Path, target: Path) -> None:
    found = interpreters(version)
    if not found:
        pytest.skip(f"no Python {version} on this machine")
    command = [found[0], str(bundle / "new_push.py"), "snowflake", str(target)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment({}))
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith(f"error: Python {version} is too old: new_push.py and the scripts it copies need")
    assert "Traceback" not in run.stderr
    assert not target.exists()


@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13"])
def test_other_pythons_create_the_same_folder_without_dependencies(
    version: str, bundle: Path, tmp_path: Path, target: Path
) -> None:
    found = interpreters(version)
    if not found:
        pytest.skip(f"no Python {version} on this machine")
    command = [found[0], "-S", str(bundle / "new_push.py"), "snowflake", str(target)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment({}))
    assert run.returncode == 0, run.stderr
    new_push(bundle, "snowflake", tmp_path / "other").check(0)
    assert files_of(target) == files_of(tmp_path / "other")


def test_the_standard_library_is_enough(bundle: Path, target: Path) -> None:
    new_push(bundle, "snowflake", target, "--flows", "metadata", before=["-S"]).check(0)
    new_push(bundle, "--upgrade", target, "--flows", "lineage", before=["-S"]).check(0)
