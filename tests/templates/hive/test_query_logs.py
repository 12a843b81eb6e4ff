"""Tests collect_query_logs.py as a process: records, windows, filters, errors, and the server's own logs."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.collected import Collected
from tests.script_process import TEMPLATES, Run, run_script
from tests.templates.hive.reading_logs import (
    BACKGROUND,
    HANDLER,
    ID,
    OTHER_ID,
    OTHER_SESSION,
    SESSION,
    at,
    failed,
    line,
    statement,
)

RECORDED = Path(__file__).resolve().parents[2] / "warehouses" / "hive" / "recorded" / "hive-server2.log"
NO_USER = "user unknown: the logs do not name who opened the session"
NO_DATABASE = "query with an unknown database: --include cannot select it"
CUT = "query text incomplete: the log file ends in it, or it is too long"
WINDOW = ("--since", "2026-03-02", "--until", "2026-03-03")
OPENED = line(
    -9, "Creating Hive session handle for user [ana] from IP 10.0.0.7", HANDLER, "thrift.ThriftCLIService"
) + line(-9, f"Session opened, SessionHandle [{SESSION}], current sessions:1", HANDLER, "service.CompositeService")


@dataclass
class Folder:
    """The template folder, and a folder for the logs and the manifest."""

    work: Path

    @property
    def log(self) -> Path:
        return self.work / "hive-server2.log"

    def write(self, *lines: str) -> None:
        self.log.write_text("".join(lines), encoding="utf-8")

    def run(self, *arguments: str, **env: str) -> Run:
        command = ("--manifest", str(self.work / "query_logs.jsonl"), *arguments)
        return run_script(
            TEMPLATES / "hive", "collect_query_logs.py", *command, env={"HIVE_LOG_PATH": str(self.log), **env}
        )

    def collect(self, *arguments: str, **env: str) -> Collected:
        run = self.run(*arguments, **env).check()
        collected = Collected.read(self.work / "query_logs.jsonl")
        assert (run.summary["records"], run.summary["skipped"]) == (len(collected.records), collected.skipped)
        return collected


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def ids(collected: Collected) -> list[str]:
    return [record["query_id"] for record in collected.records]


# --- records ----------------------------------------------------------------------------------------------------


def test_a_record_has_everything_that_is_known(folder: Folder) -> None:
    folder.write(OPENED, statement(-5, "USE sales", "q_0", took=1), statement(0, "SELECT 'é'\nFROM t"))
    collected = folder.collect(*WINDOW, HIVE_CATALOG="lake")
    assert collected.records[1] == {
        "query_id": ID,
        "start_time": iso(at(0)),
        "end_time": iso(at(2)),
        "query_text": "SELECT 'é'\nFROM t",
        "user": "ana",
        "extra": {"session_id": SESSION, "database": "lake", "schema": "sales", "status": "finished"},
    }
    assert (collected.skipped, collected.header["log_type"]) == ({}, "hive-s3")


def test_unknown_values_are_left_out_and_counted(folder: Folder) -> None:
    folder.write(statement(0, "SELECT 1", session=None))
    collected = folder.collect(*WINDOW)
    assert collected.records == [
        {
            "query_id": ID,
            "start_time": iso(at(0)),
            "end_time": iso(at(2)),
            "query_text": "SELECT 1",
            "extra": {"database": "hive", "status": "finished"},
        }
    ]
    assert (collected.skipped, collected.examples) == ({NO_USER: 1}, {NO_USER: ID})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("SemanticException [Error 10001]: Line 1:14 Table not found 't'", "10001"),
        ("Execution Error, return code 2 from org.apache.hadoop.hive.ql.exec.tez.TezTask", "failed"),
        ("Operation cancelled", "canceled"),
    ],
)
def test_a_failed_query_has_a_code_and_the_message(folder: Folder, error: str, code: str) -> None:
    lines = statement(0, "SELECT 1").splitlines(keepends=True)
    folder.write(*lines[:3], failed(1, error), *lines[3:])
    (record,) = folder.collect(*WINDOW).records
    assert (record["error_code"], record["error_text"]) == (code, f"FAILED: {error}")


def test_texts_that_are_incomplete_are_marked_and_counted(folder: Folder) -> None:
    start = line(0, f"Compiling command(queryId={ID}): SELECT 'text'")
    folder.write(start[: start.index("xt'")])
    (folder.work / "rotated").mkdir()
    folder.log.rename(folder.work / "rotated" / "hive.log.1")
    end = line(2, f"Completed executing command(queryId={ID}); Time taken: 2 seconds", BACKGROUND)
    (folder.work / "rotated" / "hive.log").write_text(end)
    collected = folder.collect(*WINDOW, "--log-path", str(folder.work / "rotated"))
    assert collected.records[0]["query_text"] == "SELECT 'te\n/* incomplete in the log */"
    assert collected.skipped == {NO_USER: 1, CUT: 1}


def test_long_texts_are_truncated_only_with_the_option(folder: Folder) -> None:
    folder.write(OPENED, statement(0, "SELECT 12345"))
    assert folder.collect(*WINDOW, "--max-query-text", "12").records[0]["query_text"] == "SELECT 12345"
    collected = folder.collect(*WINDOW, "--max-query-text", "11")
    assert collected.skipped == {"query text truncated at 11 characters": 1}


# --- windows and filters ----------------------------------------------------------------------------------------


def test_a_query_belongs_to_the_window_in_which_it_ended(folder: Folder) -> None:
    since, until = at(0), at(3600)
    ends = {"before": -0.001, "first": 0, "last": 3599.999, "after": 3600}
    folder.write(*(statement(end - 2, "SELECT 1", name) for name, end in ends.items()))
    window = ("--since", iso(since), "--until", iso(until))
    assert ids(folder.collect(*window)) == ["first", "last"]


def test_an_hourly_job_neither_misses_nor_repeats_a_query(folder: Folder) -> None:
    """A query that runs across two windows is collected when its end is in the log."""
    long = statement(1700, "SELECT 'long'", "long", took=600).splitlines(keepends=True)
    state = ("--state", str(folder.work / "checkpoint"))
    folder.write(statement(60, "SELECT 1", "quick"), *long[:3])
    first = folder.collect(*state, "--since", iso(at(0)), "--until", iso(at(1800)))
    (folder.work / "query_logs.jsonl").unlink()
    folder.write(statement(60, "SELECT 1", "quick"), *long)
    second = folder.collect(*state, "--until", iso(at(3600)))
    assert (ids(first), ids(second)) == (["quick"], ["long"])
    assert second.records[0]["start_time"] == iso(at(1700))


def test_logs_that_end_before_the_window_are_a_warning(folder: Folder) -> None:
    """The last line of the logs counts, also if it has nothing to do with statements."""
    warning = "the last line of the logs is of"
    folder.write(statement(0, "SELECT 1"))
    assert f"{warning} 2026-03-02T10:00:02Z, before the end of the window" in folder.run(*WINDOW).stderr
    assert warning not in folder.run("--since", "2026-03-02", "--until", "2026-03-02T10:00:01").stderr
    other = line(60, "Shutting down the object store...", "main", "metastore.HMSHandler")
    folder.write(statement(0, "SELECT 1"), other, "java.lang.Exception\n\tat X\n" * 9)
    assert f"{warning} 2026-03-02T10:01:00Z" in folder.run(*WINDOW).stderr
    folder.write(statement(0, "SELECT 1"), "\n" * 70_000, other)
    assert warning not in folder.run("--since", "2026-03-02", "--until", "2026-03-02T10:01:00").stderr


def test_databases_are_selected_by_the_filters(folder: Folder) -> None:
    folder.write(
        statement(0, "SELECT 0", "q_0"),
        statement(10, "USE sales", "q_1"),
        statement(20, "SELECT 2", "q_2"),
        statement(10, "USE mart", "q_3", OTHER_SESSION),
        statement(20, "SELECT 4", "q_4", OTHER_SESSION),
    )
    included = folder.collect(*WINDOW, "--include", "hive.sales.*")
    assert (ids(included), included.skipped[NO_DATABASE]) == (["q_2"], 3)
    excluded = folder.collect(*WINDOW, "--exclude", "hive.sales.*")
    assert sorted(ids(excluded)) == ["q_0", "q_1", "q_3", "q_4"]


def test_list_prints_hours(folder: Folder) -> None:
    folder.write(statement(0, "USE sales"), statement(10, "SELECT 1", "q_1"), statement(3600, "SELECT 1", "q_2"))
    assert folder.run(*WINDOW, "--list", HIVE_CATALOG="lake").check().stdout.splitlines() == [
        "2026-03-02T10:00:00Z lake 2",
        "2026-03-02T11:00:00Z lake 1",
    ]


# --- paths and errors -------------------------------------------------------------------------------------------


def test_paths_come_from_the_variable_or_the_option(folder: Folder) -> None:
    folder.write(statement(0, "SELECT 1"))
    other = folder.work / "other.log.gz"
    other.write_bytes(gzip.compress(statement(0, "SELECT 2", OTHER_ID).encode()))
    assert len(folder.collect(*WINDOW, HIVE_LOG_PATH=f"{folder.log},{other}").records) == 2
    assert ids(folder.collect(*WINDOW, "--log-path", str(other))) == [OTHER_ID]
    assert ids(folder.collect(*WINDOW, HIVE_LOG_TIMEZONE="Asia/Tokyo")) == [ID]


def test_without_a_path_the_run_is_refused(folder: Folder) -> None:
    run = folder.run(*WINDOW, HIVE_LOG_PATH="").check(2)
    assert run.summary["error"] == {
        "message": "No log files are given.",
        "remedy": "Set HIVE_LOG_PATH, or pass --log-path.",
    }


def cut_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(statement(0, "SELECT 1").encode() * 100)[:-20])


def not_a_log(path: Path) -> None:
    path.write_text("\x1b[31mnothing\n")


@pytest.mark.parametrize(
    ("write", "code", "message"),
    [
        (cut_gzip, 4, "hive-server2.log is cut off"),
        (not_a_log, 2, "has a layout that is known"),
        (lambda _: None, 2, "No such"),
    ],
    ids=["cut", "other", "missing"],
)
def test_a_file_that_cannot_be_read_ends_the_run(
    folder: Folder, write: Callable[[Path], object], code: int, message: str
) -> None:
    write(folder.log)
    run = folder.run(*WINDOW).check(code)
    assert message in run.summary["error"]["message"]
    assert "\x1b" not in run.stderr + run.stdout
    assert not (folder.work / "query_logs.jsonl").exists()


@pytest.mark.parametrize("url", ["s3://bucket/logs/", "s3a://bucket/logs/"])
def test_without_its_packages_s3_is_refused_with_both_commands(folder: Folder, url: str) -> None:
    (folder.work / "fsspec.py").write_text("raise ImportError('hidden by a test')\n")
    run = folder.run(*WINDOW, "--log-path", url, PYTHONPATH=str(folder.work)).check(2)
    assert run.summary["error"]["message"] == "Reading s3:// needs the packages fsspec and s3fs."
    assert "uv run --with fsspec --with s3fs" in run.summary["error"]["remedy"]
    assert "pip install fsspec s3fs" in run.summary["error"]["remedy"]


def test_other_urls_are_refused(folder: Folder) -> None:
    run = folder.run(*WINDOW, "--log-path", "hdfs://namenode/logs").check(2)
    assert run.summary["error"]["message"] == "Logs at hdfs:// cannot be read."


# --- recorded logs ----------------------------------------------------------------------------------------------


def test_the_recorded_log_of_hive_2_3_is_read(folder: Folder) -> None:
    """Each statement that the recording sent is there once, with its outcome."""
    content = RECORDED.read_text(encoding="utf-8")
    day = content[:10]
    window = ("--since", day, "--until", f"{day}T23:59:59")
    collected = folder.collect(*window, "--session-per-connection", HIVE_LOG_PATH=str(RECORDED))
    texts = [record["query_text"] for record in collected.records]
    compiled = content.count(": Compiling command(queryId=")
    assert len(texts) == len(set(ids(collected))) == compiled
    assert collected.skipped == {NO_USER: compiled}
    by_text = {record["query_text"]: record for record in collected.records}
    assert {
        text: (by_text[text].get("error_code"), by_text[text]["extra"].get("schema"))
        for text in ("CREATE DATABASE sales", "SELECT nothing FROM sales.orders", "CREATE TABLE sales.orders (id INT)")
    } == {
        "CREATE DATABASE sales": (None, "default"),
        "SELECT nothing FROM sales.orders": ("10004", "sales"),
        "CREATE TABLE sales.orders (id INT)": ("failed", "sales"),
    }
    canceled = [record for record in collected.records if record["extra"]["status"] == "canceled"]
    assert [record["error_text"] for record in canceled] == ["FAILED: Operation cancelled"]
    assert [text for text in texts if text.endswith(("OK", "MapReduce Jobs Launched:"))] == []


def test_two_runs_write_the_same_records(folder: Folder) -> None:
    for number in range(3):
        (folder.work / f"server-{number}.log").write_text(statement(number, f"SELECT {number}", f"q_{number}"))
    first = folder.collect(*WINDOW, HIVE_LOG_PATH=str(folder.work))
    second = folder.collect(*WINDOW, HIVE_LOG_PATH=str(folder.work), TZ="Asia/Tokyo")
    assert first.records == second.records
    assert len(first.records) == 3
