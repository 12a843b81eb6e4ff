"""Filters and windows: what is asked for, and where a window may end."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pushkit.collection import Collector, Filters, Options, run_collect
from pushkit.errors import PushIngestionError, UnavailableError
from pushkit.manifest import Record, parse_utc, read, verify

LATENCY = timedelta(minutes=45)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("include", "exclude", "name", "allowed"),
    [
        ([], [], ("SHOP", "PUBLIC", "ORDERS"), True),
        (["shop.*"], [], ("SHOP", "PUBLIC", "ORDERS"), True),
        (["SHOP.*"], [], ("SHOP2", "PUBLIC", "ORDERS"), False),
        (["*.orders"], ["*.tmp.*"], ("SHOP", "TMP", "ORDERS"), False),
        (["*.ORDERS", "*.ITEMS"], [], ("SHOP", "PUBLIC", "Items"), True),
        (["SHOP.PUBLIC.T[12]"], [], ("SHOP", "PUBLIC", "T2"), True),
        (["SHOP.PUBLIC.T[12]"], [], ("SHOP", "PUBLIC", "T3"), False),
        (['A.B.x.y "z"'], [], ("A", "B", 'x.y "z"'), True),
        (["A.*"], [], ("A", None, None), True),
    ],
)
def test_filters_are_globs_on_the_full_name(
    include: list[str], exclude: list[str], name: tuple[str | None, ...], allowed: bool
) -> None:
    assert Filters(include, exclude).allows(*name) is allowed


def test_databases_that_cannot_hold_anything_wanted_are_not_asked() -> None:
    wanted = Filters(["SHOP.PUBLIC.*", "MART_*"], ["RAW.*"])
    assert [wanted.may_hold(name) for name in ("SHOP", "shop", "MART_1", "OTHER")] == [True, True, True, False]
    excluded = Filters([], ["RAW.*", "T*"])
    assert [excluded.may_hold(name) for name in ("RAW", "RAW2", "TMP", "SHOP")] == [False, True, False, True]


PARTS = st.text("Ab.*?[x", min_size=1, max_size=4)


@given(st.lists(PARTS, max_size=3), st.lists(PARTS, max_size=3), st.tuples(PARTS, PARTS, PARTS))
def test_a_database_is_never_passed_over_that_holds_something_wanted(
    include: list[str], exclude: list[str], name: tuple[str, str, str]
) -> None:
    filters = Filters(include, exclude)
    if filters.allows(*name):
        assert filters.may_hold(name[0])


def collector(latency: timedelta | None, rows: list[Record], **more: Any) -> Collector:
    """A fixture: a collector whose warehouse is a list. It yields the rows and counts one as skipped."""

    def collect(connection: list[Record], options: Options) -> Iterator[Record]:
        options.skip("no grant", "SHOP.SECRET")
        yield from connection

    return Collector(
        flow="metadata" if latency is None else "query_logs",
        warehouse="fixture",
        resource="snowflake",
        connect=lambda: nullcontext(rows),
        collect=collect,
        targets=lambda connection, options: (row["name"] for row in connection),
        explain=lambda error: UnavailableError(str(error)) if isinstance(error, OSError) else None,
        description="A fixture.",
        latency=latency,
        **more,
    )


def run(capsys: pytest.CaptureFixture[str], made: Collector, *argv: str) -> tuple[int, dict[str, Any], str]:
    code = run_collect(made, list(argv))
    stdout, stderr = capsys.readouterr()
    return code, json.loads(stdout) if stdout.startswith("{") else {"stdout": stdout}, stderr


def window_of(summary: dict[str, Any]) -> tuple[datetime, datetime]:
    return parse_utc(summary["window"]["start"]), parse_utc(summary["window"]["end"])


def test_the_summary_and_the_trailer_say_what_was_skipped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    code, summary, stderr = run(capsys, collector(None, [{"name": "a"}]), "--manifest", str(path))
    assert (code, summary["status"], summary["records"]) == (0, "complete", 1)
    assert summary["skipped"] == verify(path).skipped == {"no grant": 1}
    assert verify(path).skipped_examples == {"no grant": "SHOP.SECRET"}
    assert "no grant" in stderr
    assert list(read(path, "metadata")) == [{"name": "a"}]


def test_a_window_ends_before_what_the_views_may_lack(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--manifest", str(tmp_path / "m.jsonl"), "--lookback-hours", "2"]
    before = datetime.now(timezone.utc)
    _, summary, _ = run(capsys, collector(LATENCY, []), *arguments)
    start, end = window_of(summary)
    assert before - LATENCY - timedelta(seconds=1) <= end <= datetime.now(timezone.utc) - LATENCY
    assert end - start == 2 * HOUR
    soon = (before + HOUR).isoformat()
    _, summary, stderr = run(capsys, collector(LATENCY, []), *arguments, "--until", soon)
    assert window_of(summary)[1] <= datetime.now(timezone.utc) - LATENCY
    assert "the system views lag" in stderr


def test_the_state_makes_windows_that_meet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state.json"
    arguments = ["--manifest", str(tmp_path / "m.jsonl"), "--state", str(state)]
    until = (datetime.now(timezone.utc) - 9 * HOUR).replace(microsecond=0)
    _, first, _ = run(capsys, collector(LATENCY, []), *arguments, "--until", until.isoformat())
    assert window_of(first) == (until - 24 * HOUR, until)
    _, second, _ = run(capsys, collector(LATENCY, []), *arguments, "--until", (until + HOUR).isoformat())
    assert window_of(second) == (until, until + HOUR)
    _, back, _ = run(capsys, collector(LATENCY, []), *arguments, "--until", until.isoformat())
    assert window_of(back) == (until + HOUR, until + HOUR), "an earlier end must not move the state back"
    _, third, _ = run(capsys, collector(LATENCY, []), *arguments)
    assert window_of(third)[0] == until + HOUR


def test_a_failed_run_leaves_state_and_manifest_as_they_were(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    state, path = tmp_path / "state.json", tmp_path / "m.jsonl"
    arguments = ["--manifest", str(path), "--state", str(state)]
    run(capsys, collector(LATENCY, [{"name": "a"}]), *arguments)
    before = state.read_bytes(), path.read_bytes()

    def rows() -> Iterator[Record]:
        yield {"name": "b"}
        raise ConnectionResetError("gone")

    code, summary, stderr = run(capsys, collector(LATENCY, rows()), *arguments)  # type: ignore[arg-type]
    assert (code, summary["status"], summary["error"]["message"]) == (4, "failed", "gone")
    assert "error: gone" in stderr
    assert (state.read_bytes(), path.read_bytes()) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.jsonl", "state.json"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"until": "yesterday"}', '{"until": null}'])
def test_a_damaged_state_file_is_refused_not_ignored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str
) -> None:
    state = tmp_path / "state.json"
    state.write_text(content)
    code, summary, _ = run(capsys, collector(LATENCY, []), "--manifest", str(tmp_path / "m"), "--state", str(state))
    assert code == 2
    assert "--since" in summary["error"]["remedy"]
    assert state.read_text() == content


def test_the_start_is_named_once_and_lies_before_the_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = ["--manifest", str(tmp_path / "m")]
    both = ["--since", "2026-01-01", "--lookback-hours", "3"]
    assert run(capsys, collector(LATENCY, []), *path, *both)[0] == 2
    ahead = ["--since", (datetime.now(timezone.utc) + HOUR).isoformat()]
    code, summary, _ = run(capsys, collector(LATENCY, []), *path, *ahead)
    assert code == 2
    assert "empty" in summary["error"]["message"]


@pytest.mark.parametrize("argument", [["--since", "soon"], ["--lookback-hours", "-1"], ["--lookback-hours", "nan"]])
def test_nonsense_is_wrong_usage(argument: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        run_collect(collector(LATENCY, []), ["--manifest", str(tmp_path / "m"), *argument])
    assert left.value.code == 2


def test_a_window_older_than_the_views_keep_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = collector(LATENCY, [], retention=timedelta(days=7))
    _, _, stderr = run(capsys, made, "--manifest", str(tmp_path / "m"), "--lookback-hours", "200")
    assert "7 days" in stderr
    _, _, stderr = run(capsys, made, "--manifest", str(tmp_path / "m"), "--lookback-hours", "20")
    assert "7 days" not in stderr


def test_list_prints_names_and_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = collector(None, [{"name": "A.B.C"}, {"name": "A.B.D"}])
    code, printed, stderr = run(capsys, made, "--list", "--manifest", str(tmp_path / "m"))
    assert (code, printed["stdout"]) == (0, "A.B.C\nA.B.D\n")
    assert "2 would be collected" in stderr
    assert not list(tmp_path.iterdir())


def test_an_unexpected_error_shows_where_but_no_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", 'hunter2"\\x')

    def rows() -> Iterator[Record]:
        raise RuntimeError(f"broken near {os.environ['SOME_PASSWORD']}")
        yield {}

    made = collector(None, rows())  # type: ignore[arg-type]
    code, summary, stderr = run(capsys, made, "--manifest", str(tmp_path / "m"))
    assert code == 1
    assert summary["status"] == "failed"
    assert "test_collection.py" in stderr
    assert "hunter2" not in stderr + json.dumps(summary)


def test_too_little_memory_is_said_before_connecting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushkit.cli.MINIMUM_FREE_MEMORY", 2**60)
    connected: list[int] = []

    def connect() -> Any:
        connected.append(1)
        return nullcontext([])

    made = Collector(**{**collector(None, []).__dict__, "connect": connect})
    code, summary, _ = run(capsys, made, "--manifest", str(tmp_path / "m"))
    assert (code, connected) == (2, [])
    assert "MB of memory are free" in summary["error"]["message"]


def test_own_arguments_reach_the_collector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[argparse.Namespace] = []

    def collect(connection: Any, options: Options) -> Iterator[Record]:
        seen.append(options.arguments)
        yield {"name": "a"}

    made = collector(None, [], arguments=lambda parser: parser.add_argument("--include-shared", action="store_true"))
    made = Collector(**{**made.__dict__, "collect": collect})
    assert run(capsys, made, "--include-shared", "--manifest", str(tmp_path / "m"))[0] == 0
    assert seen[0].include_shared is True


def test_explain_is_asked_for_errors_of_the_driver(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def fails() -> Any:
        raise TimeoutError("no route")

    made = Collector(**{**collector(None, []).__dict__, "connect": fails})
    code, summary, _ = run(capsys, made, "--manifest", str(tmp_path / "m"))
    assert (code, summary["error"]["message"]) == (4, "no route")
    assert issubclass(UnavailableError, PushIngestionError)
