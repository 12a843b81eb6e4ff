"""Tests which files are read, in which order, and what happens to damaged and hostile ones."""

from __future__ import annotations

import errno
import gzip
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from mcpush.errors import ConfigurationError, UnavailableError
from mcpush.records import TimeRange

from tests.templates.hive.reading_logs import (
    BACKGROUND,
    DAY,
    ID,
    OTHER_ID,
    SESSION,
    Reader,
    at,
    line,
    reader,
    statement,
)

UNREADABLE = "log file not readable"
NOT_A_LOG = "file without log lines of HiveServer2"
LINES = statement(0, "SELECT 1")
EARLIER = statement(-60, "USE sales", OTHER_ID, took=1)
LAST_LINE = line(2, f"Completed executing command(queryId={ID}); Time taken: 2 seconds", BACKGROUND)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Reader]:
    with reader(tmp_path) as found:
        yield found


def zipped(**members: str) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def put(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", ["hive.log", "hive.log.gz", "hive.log.1", "named-otherwise"])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_file_is_read_by_its_content(logs: Reader, tmp_path: Path, name: str, is_compressed: bool) -> None:
    (tmp_path / name).write_bytes(gzip.compress(LINES.encode()) if is_compressed else LINES.encode())
    assert logs.read_paths(tmp_path / name).column("text") == ["SELECT 1"]


def test_all_files_of_a_zip_file_are_read(logs: Reader, tmp_path: Path) -> None:
    (tmp_path / "logs.zip").write_bytes(zipped(**{"hive.log": LINES, "old/hive.log.1": EARLIER}))
    assert sorted(logs.read_paths(tmp_path / "logs.zip").column("text")) == ["SELECT 1", "USE sales"]


def test_a_gzip_file_of_several_parts_is_read(logs: Reader, tmp_path: Path) -> None:
    (tmp_path / "hive.log.gz").write_bytes(gzip.compress(EARLIER.encode()) + gzip.compress(LINES.encode()))
    assert logs.read_paths(tmp_path).column("text") == ["USE sales", "SELECT 1"]


def _renamed(log: Path) -> None:
    log.rename(log.with_name("hive.log.2"))
    log.write_text(line(60, "Removed queryId: q_0") * 99, encoding="utf-8")


def _truncated(log: Path) -> None:
    log.with_name("hive.log.2").write_bytes(log.read_bytes())
    log.write_text(line(60, "Removed queryId: q_0"), encoding="utf-8")


@pytest.mark.parametrize("rotate", [_renamed, _truncated, Path.unlink])
def test_a_file_that_is_rotated_during_the_run_ends_it(
    logs: Reader, tmp_path: Path, rotate: Callable[[Path], None]
) -> None:
    """Under its name, there is now another file: what was listed would be lost without a word."""
    put(tmp_path, **{"hive.log": LINES, "hive.log.1": EARLIER})
    streams = logs.modules["log_files"].log_streams(logs.options(tmp_path))
    (files,) = streams
    rotate(tmp_path / "hive.log")
    with pytest.raises(UnavailableError, match=r"hive\.log was rotated"):
        files[-1].opener()


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("hive.log.1", "hive.log"),
        ("hive.log.2.gz", "hive.log.1.gz"),
        ("hive.log.2026-03-01", "hive.log"),
        ("hive.log.2026-03-01-09.gz", "hive.log.2026-03-01-10.gz"),
        ("hive.log.2026-03-01_1.gz", "hive.log.2026-03-01_2.gz"),
        ("hadoop-cmf-hive-HIVESERVER2-host.log.out.1", "hadoop-cmf-hive-HIVESERVER2-host.log.out"),
    ],
)
def test_rotated_files_are_one_log(logs: Reader, tmp_path: Path, older: str, newer: str) -> None:
    """In the order of their first lines. A USE in the older one counts in the newer one."""
    for name, text in ((older, EARLIER), (newer, LINES)):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert logs.read_paths(tmp_path).column("database") == [None, "sales"]


def test_files_of_several_servers_are_several_logs(logs: Reader, tmp_path: Path) -> None:
    """Their threads have the same names, and a failure in one says nothing about the other."""
    lines = LINES.splitlines(keepends=True)
    failure = line(1, "FAILED: x", BACKGROUND)
    put(tmp_path, **{"a__hive.log": "".join(lines[:3]), "b__hive.log": failure + EARLIER})
    with (tmp_path / "a" / "hive.log").open("a") as file:
        file.write(lines[3])
    assert sorted(zip((read := logs.read_paths(tmp_path)).column("text"), read.column("status"), strict=True)) == [
        ("SELECT 1", "finished"),
        ("USE sales", "finished"),
    ]


def test_in_the_folder_of_an_emr_cluster_only_hive_is_read(logs: Reader, tmp_path: Path) -> None:
    node = "j-2AB/node/i-0abc/"
    others = ("containers/app_1/stderr.gz", "steps/s-1/stderr.gz", f"{node}applications/spark/spark.log.gz",
              f"{node}daemons/instance-controller.log.gz")  # fmt: skip
    for name, text in ((f"{node}applications/hive/hive-server2.log.gz", LINES), *((name, EARLIER) for name in others)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    for path in (tmp_path, tmp_path / node, tmp_path / node / "applications"):
        read = logs.read_paths(path)
        assert (read.column("text"), read.skipped) == (["SELECT 1"], {})


@pytest.mark.parametrize("path", ["", "hive.log"])
def test_a_folder_above_the_path_can_have_a_name_of_emr(logs: Reader, tmp_path: Path, path: str) -> None:
    put(tmp_path, **{"containers__steps__applications__hs2__log__hive.log": LINES, "hive.log": EARLIER})
    inner = tmp_path / "containers" / "steps" / "applications" / "hs2" / "log" / path
    assert logs.read_paths(tmp_path / "hive.log", inner).column("text") == ["SELECT 1", "USE sales"]


def test_a_path_can_be_given_twice_and_links_can_form_a_loop(logs: Reader, tmp_path: Path) -> None:
    put(tmp_path, **{"logs__hive.log": LINES, "logs__.hidden": "x", "logs___SUCCESS": "x"})
    (tmp_path / "logs" / "loop").symlink_to(tmp_path / "logs")
    (tmp_path / "logs" / "again.log").symlink_to(tmp_path / "logs" / "hive.log")
    (tmp_path / "logs" / "broken.log").symlink_to(tmp_path / "nowhere")
    read = logs.read_paths(tmp_path / "logs", tmp_path / "logs" / "hive.log")
    assert (read.column("text"), read.skipped) == (["SELECT 1"], {UNREADABLE: 1})


def test_files_that_cannot_contain_the_window_are_not_read(logs: Reader, tmp_path: Path) -> None:
    """Older ones are not opened: this one is damaged. Of a newer one, only the start is read."""
    files: dict[str, str | bytes] = {"hive.log.1": b"\x1f\x8bdamaged", "hive.log": LINES}
    put(tmp_path, **files, **{"hive.log.9": statement(90_000, "SELECT 9")})
    long_ago = (DAY - timedelta(hours=24, seconds=1)).timestamp()
    os.utime(tmp_path / "hive.log.1", (long_ago, long_ago))
    assert logs.read_paths(tmp_path).column("text") == ["SELECT 1"]


def test_a_window_before_all_logs_is_empty(logs: Reader, tmp_path: Path) -> None:
    put(tmp_path, **{"hive.log": LINES})
    read = logs.read_paths(tmp_path, window=TimeRange(DAY - timedelta(days=2), DAY - timedelta(days=1)))
    assert (read.queries, read.skipped) == ([], {})


# --- files that are not logs ------------------------------------------------------------------------------------


def test_a_named_file_without_log_lines_is_an_error(logs: Reader, tmp_path: Path) -> None:
    put(tmp_path, **{"other.log": "[INFO] 10:00 Executing command(queryId=q): SELECT 1\n"})
    with pytest.raises(ConfigurationError, match=r"No line of .*other.log has a layout that is known.*\[INFO\] 10:00"):
        logs.read_paths(tmp_path / "other.log")


def test_files_without_log_lines_in_a_folder_are_counted(logs: Reader, tmp_path: Path) -> None:
    put(tmp_path, **{"hive.log": LINES, "gc.log": "[0.1s][info][gc] Pause\n", "new.log": ""})
    read = logs.read_paths(tmp_path)
    assert (read.column("text"), read.skipped) == (["SELECT 1"], {NOT_A_LOG: 1})


def test_a_folder_with_no_log_at_all_is_an_error(logs: Reader, tmp_path: Path) -> None:
    put(tmp_path, **{"logs__gc.log": "x\n"})
    with pytest.raises(ConfigurationError, match="No log file of HiveServer2 was found: 1 files"):
        logs.read_paths(tmp_path / "logs")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="No log file of HiveServer2 was found"):
        logs.read_paths(tmp_path / "empty")


def test_a_path_that_does_not_exist_is_an_error(logs: Reader, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Cannot read .*nowhere: No such file"):
        logs.read_paths(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_a_file_that_must_not_be_read_is_counted(logs: Reader, tmp_path: Path) -> None:
    put(tmp_path, **{"hive.log": LINES, "other.log": LINES})
    (tmp_path / "other.log").chmod(0)
    assert logs.read_paths(tmp_path).skipped == {UNREADABLE: 1}


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (gzip.compress(LINES.encode())[:-9], UnavailableError, "is cut off: its end is missing"),
        (gzip.compress(LINES.encode()) + b"rest", ConfigurationError, "is damaged"),
        (b"\x1f\x8b" + bytes(50), ConfigurationError, "is damaged"),
    ],
    ids=["cut", "rest", "wrong"],
)
def test_a_damaged_gzip_file_is_named(logs: Reader, content: bytes, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"hive.log {message}"):
        logs.read(content)


class FailingFile(BytesIO):
    """A file on a disk or in a store that fails after a while."""

    error: Exception = OSError(errno.EIO, os.strerror(errno.EIO))

    def read(self, size: int | None = -1, /) -> bytes:
        if size == 2:
            return super().read(size)
        raise self.error


class ClientError(Exception):
    __module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(FailingFile.error, "Input/output error"), (ClientError("connection closed"), "connection closed")],
)
def test_a_file_that_cannot_be_read_to_its_end_is_named(logs: Reader, error: Exception, reason: str) -> None:
    module = logs.modules["log_opening"]
    content = FailingFile(LINES.encode())
    content.error = error
    file = module.LogFile("hive.log", DAY, lambda: content, is_named=True)
    with pytest.raises(UnavailableError, match=rf"^hive\.log cannot be read: {reason}$"), module.opened(file) as opened:
        opened.read()


def test_a_zip_file_with_a_password_is_named(logs: Reader, tmp_path: Path) -> None:
    content = bytearray(zipped(**{"hive.log": LINES}))
    content[6] |= 1  # the flags of the member, in front of it and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "hive.zip").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"hive\.zip/hive\.log cannot be read: .*encrypted"):
        logs.read_paths(tmp_path)


def test_a_damaged_zip_file_is_named(logs: Reader, tmp_path: Path) -> None:
    put(tmp_path, **{"logs.zip": zipped(**{"hive.log": LINES})[:-30]})
    with pytest.raises(ConfigurationError, match=r"logs\.zip is damaged"):
        logs.read_paths(tmp_path)


# --- hostile contents -------------------------------------------------------------------------------------------


def test_a_line_that_is_too_long_is_cut_and_marked(logs: Reader) -> None:
    long = "x" * (20 << 20)
    read = logs.read(EARLIER + statement(0, f"SELECT '{long}'") + statement(5, "SELECT 2", "q_3"))
    assert read.column("text")[::2] == ["USE sales", "SELECT 2"]
    assert read.column("is_whole") == [True, False, True]
    assert len(read.column("text")[1]) < 6 << 20


def test_a_text_with_too_many_lines_is_cut_and_marked(logs: Reader) -> None:
    lines = "x\n" * (5 << 20)
    read = logs.read(statement(0, f"SELECT {lines}") + statement(5, "SELECT 2", OTHER_ID))
    assert (read.column("is_whole"), read.column("text")[1]) == ([False, True], "SELECT 2")


def test_statements_that_cross_the_pieces_of_a_file_are_read(logs: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(statement(number, f"SELECT {number}\nFROM t", f"q_{number}", took=0.5) for number in range(50))
    texts = [f"SELECT {number}\nFROM t" for number in range(50)]
    for size in (1, 7, 64, 333, 5_000):
        monkeypatch.setattr(logs.modules["log_blocks"], "PIECE", size)
        assert logs.read(lines).column("text") == texts, size


def test_statements_that_never_end_do_not_fill_the_memory(logs: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement takes memory beyond its text."""
    monkeypatch.setattr(logs.modules["log_statements"], "MAX_HELD", 10_000)
    dropped = "statement without an end in the logs: too many of them to wait for it"
    for length, expected in ((400, 41), (0, 35)):
        text = "x" * length
        starts = "".join(line(n, f"Executing command(queryId=q_{n}): {text}", f"t-{n}") for n in range(50))
        read = logs.read(starts + LINES)
        assert (read.column("text"), read.skipped[dropped]) == (["SELECT 1"], expected)
        assert sum(read.skipped.values()) == 50


def test_ids_are_remembered_in_little_memory(logs: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs.modules["seen_ids"], "MAX_RECENT", 10)
    seen = logs.modules["seen_ids"].SeenIds()
    keys = [(f"{SESSION}-{number}", at(number * 900)) for number in range(100)]
    assert [seen.add(*key) for key in keys] == [True] * 100
    assert [seen.add(*key) for key in keys] == [False] * 100
    assert (seen.has(keys[0][0]), seen.has("other")) == (True, False)
