"""Where and how the scripts write their files: private, behind symbolic links, never through a stranger's file."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from mcpush.collect.checkpoint import Checkpoint
from mcpush.errors import ConfigurationError
from mcpush.files import open_new, partial_path, replace_file, require_replaceable
from mcpush.lock import lock_path
from mcpush.manifest import verify
from mcpush.pending import journal_path
from mcpush.push.result import result_path
from mcpush.records import iso_utc

from tests.mcpush.in_process import InProcess, ends_by_itself, restored_handlers
from tests.mcpush.test_collect_and_push import FIXTURES
from tests.mcpush.test_collection import LATENCY, collector, run
from tests.mcpush.test_delivery import METADATA, query, table, write
from tests.mcpush.test_kill import UNTIL, WINDOW, paused_at_the_gate, started
from tests.mcpush.test_kill import run as run_kind
from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, clean_environment

PRIVATE = 0o600
MOUNTED = 'mount --bind "$0" "$1" && shift && exec "$@"'


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    with restored_handlers():
        yield


@pytest.fixture
def env(quiet_sandbox: SandboxProcess) -> dict[str, str]:
    return quiet_sandbox.env | {"PYTHONPATH": str(TEMPLATES / "snowflake")}


@contextlib.contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir() if path.name != "connections"}


# --- modes ------------------------------------------------------------------------------------------------


def test_every_file_is_private_whatever_the_umask(env: dict[str, str], tmp_path: Path) -> None:
    """Locks, partial files, manifest, checkpoint, journal and result. Files of an earlier release become private."""
    arguments = ["--manifest", str(tmp_path / "q.jsonl"), "--state", str(tmp_path / "q.state"), *WINDOW]
    with umask(0), paused_at_the_gate("collect", *arguments, env=env, cwd=tmp_path):
        during = modes(tmp_path)
    assert during.pop("gate") != PRIVATE, "the umask is 0"
    assert len(during) == 3, during
    assert set(during.values()) == {PRIVATE}
    (tmp_path / "q.jsonl.result.json").write_text("{}")
    (tmp_path / "q.jsonl.result.json").chmod(0o644)
    with umask(0), started("collect_and_push", *arguments, env=env, cwd=tmp_path) as process:
        assert process.wait() == 0, process.communicate()
    private = dict.fromkeys(["q.jsonl", "q.jsonl.journal", "q.jsonl.result.json", "q.state"], PRIVATE)
    assert modes(tmp_path) == private
    (tmp_path / "q.jsonl.journal").chmod(0o644)
    run_kind("push", "--manifest", str(tmp_path / "q.jsonl"), env=env, cwd=tmp_path).check()
    assert modes(tmp_path) == private


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    """Not even a link that leads nowhere."""
    path = tmp_path / "m"
    makers: list[Callable[[Path], None]] = [Path.touch, os.mkfifo, lambda path: path.symlink_to(tmp_path / "elsewhere")]
    for make in makers:
        make(path)
        with pytest.raises(FileExistsError), ends_by_itself():
            open_new(path)
        path.unlink()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_runs_are_replaced_and_those_of_other_files_are_kept(tmp_path: Path) -> None:
    """In a container each run has the same process id."""
    path = tmp_path / "m.jsonl"
    own = [partial_path(path), tmp_path / ".m.jsonl.99999.partial"]
    foreign = [tmp_path / ".m.jsonl.gz.99999.partial", tmp_path / ".m.jsonl.result.json.partial"]
    for each in (*own, *foreign):
        each.write_text("half")
    replace_file(path, "whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, *foreign])
    for each in own:
        each.write_text("half")
    write(path, "metadata", [table("T")])
    assert sorted(tmp_path.iterdir()) == sorted([path, *foreign])


# --- symbolic links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [True, False], ids=["a link to a file", "a link to a file that does not exist yet"])
def test_a_link_is_followed_and_never_replaced(
    quiet_sandbox: SandboxProcess, env: dict[str, str], tmp_path: Path, exists: bool
) -> None:
    """State, manifest and result; twice, so that a window that is collected again would be noticed."""
    folder, behind = tmp_path / "links", tmp_path / "behind"
    folder.mkdir()
    links = {folder / name: behind / f"real-{name}" for name in ("q.jsonl", "q.state")}
    links[behind / "real-q.jsonl.result.json"] = behind / "result"
    behind.mkdir()
    if exists:
        checkpoint = {"warehouse": "snowflake", "flow": "query_logs", "until": iso_utc(UNTIL - timedelta(minutes=3))}
        (behind / "real-q.state").write_text(json.dumps(checkpoint))
        write(behind / "real-q.jsonl", "query_logs", [])
        (behind / "result").write_text("{}")
    for link, target in links.items():
        link.symlink_to(os.path.relpath(target, link.parent))
    arguments = ["--manifest", str(folder / "q.jsonl"), "--state", str(folder / "q.state")]
    window = [*arguments, "--lookback-hours", "0.05", "--until", iso_utc(UNTIL)]
    run_kind("collect_and_push", *window, env=env, cwd=tmp_path).check()
    again = run_kind("collect_and_push", *window, env=env, cwd=tmp_path).check()
    assert again.summary["records"] == 0, "the window was collected again"
    assert all(link.is_symlink() and link.resolve() == target.resolve() for link, target in links.items())
    assert json.loads((behind / "real-q.state").read_text())["until"] == iso_utc(UNTIL)
    assert json.loads((behind / "result").read_text())["complete"] is True
    assert verify(behind / "real-q.jsonl").records == 0
    assert sorted(each.name for each in folder.iterdir()) == ["q.jsonl", "q.state"], "journal and result are elsewhere"


def test_two_names_of_a_manifest_share_lock_and_journal(
    scripts: InProcess, env: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    manifest, link = tmp_path / "q.jsonl", folder / "other-name"
    write(manifest, "query_logs", [query(1)])
    link.symlink_to(manifest)
    with paused_at_the_gate("collect", "--manifest", str(manifest), *WINDOW, env=env, cwd=tmp_path):
        code, summary = scripts.push("query_logs", link)
        assert code == 4
        assert str(link) in summary["error"]["message"]
    assert [scripts.push("query_logs", path)[1]["records_accepted_before"] for path in (link, manifest)] == [0, 1]
    assert [each.name for each in folder.iterdir()] == ["other-name"]
    assert journal_path(manifest).exists()


# --- targets that nothing can be renamed over -------------------------------------------------------------


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def _device(path: Path) -> None:
    """A device like /dev/null, which itself must not be at stake in a test."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this user cannot create a device")


def _below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


def _link_to_a_fifo(path: Path) -> None:
    os.mkfifo(path.parent / "fifo")
    path.symlink_to("fifo")


def _loop(path: Path) -> None:
    path.symlink_to("other")
    path.with_name("other").symlink_to(path.name)


def _link_below_a_file(path: Path) -> None:
    path.with_name("file").touch()
    path.symlink_to("file/x")


TARGETS: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a FIFO": os.mkfifo,
    "a socket": _socket,
    "a device": _device,
    "a link to a folder": lambda path: path.symlink_to(path.parent),
    "a link to a FIFO": _link_to_a_fifo,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a loop of links": _loop,
    "stdout": lambda path: path.symlink_to("/proc/self/fd/1"),
    "a file descriptor that is closed": lambda path: path.symlink_to("/proc/self/fd/999"),
    "a file in /proc": lambda path: path.symlink_to("/proc/self/comm"),
    "below a file": _below_a_file,
    "a link below a file": _link_below_a_file,
}


@pytest.mark.parametrize("option", ["--state", "--manifest"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_cannot_be_replaced_is_reported_before_connecting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, target: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    path = place / "given"
    TARGETS[target](path)
    before = sorted(os.walk(tmp_path))
    connections = []

    def connect() -> contextlib.nullcontext[list[str]]:
        connections.append(1)
        return contextlib.nullcontext(["q"])

    paths = {"--state": tmp_path / "q.state", "--manifest": tmp_path / "q.jsonl"} | {option: path}
    arguments = [str(each) for pair in paths.items() for each in pair]
    made = collector(LATENCY, ["q"])
    object.__setattr__(made, "connect", connect)
    with ends_by_itself():
        code, summary, _ = run(capsys, made, *arguments)
    assert (code, connections) == (2, []), summary
    assert str(path) in summary["error"]["message"]
    assert option in summary["error"]["message"] + summary["error"]["remedy"]
    assert sorted(os.walk(tmp_path)) == before


@pytest.mark.parametrize("target", ["a folder", "a FIFO", "a socket", "a device", "a loop of links", "below a file"])
def test_a_push_reads_only_files(scripts: InProcess, tmp_path: Path, target: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    TARGETS[target](place / "given")
    for arguments in ([], ["--dry-run"]):
        with ends_by_itself():
            code, summary = scripts.push("metadata", place / "given", *arguments)
        assert code == 2
        assert str(place / "given") in summary["error"]["message"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(FIXTURES / "one_query_a_minute.py"), "collect", *arguments]


def test_the_file_that_stdout_goes_to_is_not_replaced(env: dict[str, str], tmp_path: Path) -> None:
    """The shell opened it: after a replacement, the summary would go to a deleted file."""
    path = tmp_path / "q.jsonl"
    with path.open("w") as out:
        collect = command("--manifest", str(path), *WINDOW)
        done = subprocess.run(collect, stdout=out, env=clean_environment(env), cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert json.loads(path.read_text())["exit_code"] == 2


def _can_mount() -> bool:
    try_it = ["unshare", "-Urm", "mount", "--bind", os.devnull, os.devnull]
    return bool(shutil.which("unshare")) and subprocess.run(try_it, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="this machine does not allow mounts in a namespace (unshare -Urm)")
@pytest.mark.parametrize(("option", "name"), [("--state", "given"), ("--manifest", "with space\\and ü")])
def test_a_mounted_file_is_reported_before_connecting(
    env: dict[str, str], tmp_path: Path, option: str, name: str
) -> None:
    """A file that Docker mounts with ``-v``: nothing can be renamed over it."""
    source, target = tmp_path / "source", tmp_path / name
    paths = {"--state": tmp_path / "q.state", "--manifest": tmp_path / "q.jsonl"} | {option: target}
    source.touch()
    if option == "--state":
        until = iso_utc(datetime.now(timezone.utc) - timedelta(hours=1))
        source.write_text(json.dumps({"warehouse": "snowflake", "flow": "query_logs", "until": until}))
    before = source.read_text()
    target.touch()
    arguments = [str(each) for pair in paths.items() for each in pair]
    mounted = ["unshare", "-Urm", "sh", "-c", MOUNTED, str(source), str(target)]
    done = subprocess.run(
        [*mounted, *command(*arguments)],
        env=clean_environment(env),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "mount" in json.loads(done.stdout)["error"]["message"]
    assert not (tmp_path / "connections").exists()
    assert source.read_text() == before


def test_a_file_of_another_user_in_a_shared_folder_is_not_replaceable(tmp_path: Path) -> None:
    """In a folder like /tmp, only the owner of a file or of the folder can replace it."""
    if os.geteuid():
        pytest.skip("needs two users")
    shared, path = tmp_path / "shared", tmp_path / "shared" / "q.state"
    shared.mkdir()
    shared.chmod(0o1777)
    path.write_text("{}")
    require_replaceable(path)
    os.chown(path, 12345, 12345)
    with pytest.raises(PermissionError):
        require_replaceable(path)
    with pytest.raises(ConfigurationError, match="another user"):
        Checkpoint(path, "snowflake", "query_logs").require_writable()


# --- files that others put in the way ---------------------------------------------------------------------


def _hard_link(path: Path) -> None:
    os.link(path.parent / "of-another-user", path)


OBSTACLES: dict[str, Callable[[Path], None]] = {
    "a link to a file": lambda path: path.symlink_to("of-another-user"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a hard link": _hard_link,
    "a FIFO": os.mkfifo,
    "a socket": _socket,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("which", [journal_path, lock_path], ids=["journal", "lock"])
def test_a_planted_file_is_neither_followed_nor_waited_for(
    scripts: InProcess, tmp_path: Path, which: Callable[[Path], Path], obstacle: str
) -> None:
    manifest = write(tmp_path / "m.jsonl", "metadata", [table("T")])
    victim = tmp_path / "of-another-user"
    victim.write_text("precious\n")
    OBSTACLES[obstacle](which(manifest))
    with ends_by_itself():
        code, summary = scripts.push("metadata", manifest)
    assert code == 2, summary
    assert str(which(manifest)) in summary["error"]["message"]
    assert summary["error"]["remedy"]
    assert victim.read_text() == "precious\n"
    assert not (tmp_path / "nothing").exists()
    assert scripts.sandbox.requests(METADATA).count == 0


@pytest.mark.parametrize("obstacle", ["a link to a file", "a link to nothing", "a hard link", "a FIFO"])
@pytest.mark.parametrize("which", ["state", "manifest"])
def test_a_planted_partial_file_is_removed_and_not_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, which: str, obstacle: str
) -> None:
    """The names of partial files can be guessed: they contain the process id."""
    paths = {"state": tmp_path / "q.state", "manifest": tmp_path / "q.jsonl"}
    victim = tmp_path / "of-another-user"
    victim.write_text("precious\n")
    OBSTACLES[obstacle](partial_path(paths[which]))
    with ends_by_itself():
        arguments = ["--manifest", str(paths["manifest"]), "--state", str(paths["state"])]
        code, summary, _ = run(capsys, collector(LATENCY, ["q"]), *arguments)
    assert (code, victim.read_text()) == (0, "precious\n"), summary
    assert sorted(each.name for each in tmp_path.iterdir()) == ["of-another-user", "q.jsonl", "q.state"]
    assert stat.S_ISREG(paths[which].lstat().st_mode)


def test_a_journal_of_another_user_in_a_shared_folder_is_not_believed(scripts: InProcess, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs two users")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    manifest = write(shared / "m.jsonl", "metadata", [table("T")])
    assert scripts.push("metadata", manifest)[0] == 0
    for path in (journal_path(manifest), lock_path(manifest)):
        path.touch()
        os.chown(path, 12345, 12345)
        code, summary = scripts.push("metadata", manifest)
        assert (code, str(path) in summary["error"]["message"]) == (2, True)
        os.chown(path, 0, 0)
    assert result_path(manifest).exists()
