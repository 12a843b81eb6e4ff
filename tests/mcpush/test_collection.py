"""Collecting: filters, windows, checkpoints, memory checks and signals."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.filters import DATABASE, DATABASE_AND_SCHEMA, Filters, QueryScope, warn_about_narrow_filters
from mcpush.errors import PushIngestionError, UnavailableError
from mcpush.manifest import read, verify
from mcpush.program import _free_memory
from mcpush.records import QueryLogRecord, Record, TableRecord, iso_utc, parse_utc

from tests.mcpush.in_process import restored_handlers
from tests.script_process import LONGEST_RUN_SECONDS, TEMPLATES, clean_environment

LATENCY = timedelta(minutes=45)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _restore_signal_handlers() -> Iterator[None]:
    """Scripts that run in the test process replace its signal handlers."""
    with restored_handlers():
        yield


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


@pytest.mark.parametrize(
    ("include", "exclude", "schema", "allowed"),
    [
        ([], [], ("SHOP", "PUBLIC"), True),
        ([], [], (None, None), True),
        (["shop.public.*"], [], ("SHOP", "PUBLIC"), True),
        (["SHOP.PUBLIC"], [], ("SHOP", "PUBLIC"), True),
        (["SHOP.*"], [], ("SHOP", "PUBLIC"), True),
        (["SHOP.*"], [], ("SHOP", None), True),
        (["SHOP.PUBLIC.*"], [], ("SHOP", "PUBLIC2"), False),
        (["SHOP.PUBLIC.*"], [], ("SHOP", None), False),
        (["SHOP.*"], ["SHOP.TMP.*"], ("SHOP", "TMP"), False),
        (["SHOP.*"], ["*.TMP"], ("SHOP", "TMP"), False),
        (["SHOP.*"], [], (None, None), False),
    ],
)
def test_a_filter_matches_a_schema_by_its_name_or_by_its_whole_content(
    include: list[str], exclude: list[str], schema: tuple[str | None, str | None], allowed: bool
) -> None:
    assert Filters(include, exclude).allows_schema(*schema) is allowed


def test_databases_without_possible_matches_are_not_queried() -> None:
    wanted = Filters(["SHOP.PUBLIC.*", "MART_*"], ["RAW.*"])
    assert [wanted.may_hold(name) for name in ("SHOP", "shop", "MART_1", "OTHER")] == [True, True, True, False]
    either = Filters(["[RS]HOP.*"])
    assert [either.may_hold(name) for name in ("SHOP", "RHOP")] == [True, True]
    excluded = Filters([], ["RAW.*", "T*", "SHO?", "SHOP."])
    assert [excluded.may_hold(name) for name in ("RAW", "RAW2", "TMP", "SHO", "SHOP")] == [
        False,
        True,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("include", "exclude", "selected"),
    [
        ([], [], "acme-shop acme-lake-2 example.com:shop "),
        (["*"], [], "acme-shop acme-lake-2 example.com:shop "),
        (["*.*"], [], "acme-shop acme-lake-2 example.com:shop "),
        (["*.events_*"], [], "acme-shop acme-lake-2 example.com:shop "),
        (["*-shop.*"], [], "acme-shop"),
        (["*shop.sales.orders"], [], "acme-shop example.com:shop"),
        (["acme-*-2.*"], [], "acme-lake-2"),
        (["ACME-SHOP"], [], "acme-shop"),
        (["acme-*"], [], "acme-shop acme-lake-2"),
        (["acme-lake-[0-9].web"], [], "acme-lake-2"),
        (["acme.*"], [], ""),
        (["example.com:shop.*"], [], "example.com:shop"),
        (["example.com:*.sales.*"], [], "example.com:shop"),
        (["example.*"], [], "example.com:shop"),
        (["example.com:lake.*", "*-2.x"], [], "acme-lake-2"),
        ([], ["acme-lake-2"], "acme-shop example.com:shop "),
        ([], ["acme-lake-2.*"], "acme-shop example.com:shop "),
        ([], ["*-2.*.*"], "acme-shop example.com:shop "),
        ([], ["acme-lake-2.web.*"], "acme-shop acme-lake-2 example.com:shop "),
        ([], ["*.events_*"], "acme-shop acme-lake-2 example.com:shop "),
        ([], ["example.com:shop.*"], "acme-shop acme-lake-2 "),
        ([], ["*.*"], ""),
        (["*.*"], ["acme-*.*", ""], "example.com:shop"),
    ],
)
def test_filters_select_databases_by_the_first_part_of_a_name(
    include: list[str], exclude: list[str], selected: str
) -> None:
    """The last database is an unknown one, whose name is empty."""
    filters = Filters(include, exclude)
    found = [name for name in ("acme-shop", "acme-lake-2", "example.com:shop") if filters.allows_database(name)]
    assert (found, filters.allows_database(None)) == (selected.split(), selected.endswith(" "))


GLOBS = st.lists(st.text("abB*?", max_size=3), min_size=1, max_size=4).map(".".join)


@given(st.lists(GLOBS, max_size=3), st.text("aB", min_size=1, max_size=3))
def test_an_included_database_is_one_that_the_first_part_of_a_pattern_matches(include: list[str], name: str) -> None:
    first_parts = [pattern.split(".")[0].lower() for pattern in include]
    expected = not include or any(fnmatchcase(name.lower(), part) for part in first_parts)
    assert Filters(include).allows_database(name) is expected


@given(GLOBS, st.text("aB", min_size=1, max_size=3))
def test_an_excluded_database_is_covered_by_the_pattern(pattern: str, name: str) -> None:
    """Either the pattern is the database itself, or it excludes every table in it."""
    filters = Filters([], [pattern])
    whole = [fnmatchcase(name.lower(), pattern.lower().removesuffix(rest)) for rest in ("", ".*", ".*.*")]
    tables = [(name, schema, table) for schema in ("", "a", "xb") for table in ("", "b", "x.ax")]
    if any(whole):
        assert not filters.allows_database(name)
    elif not filters.allows_database(name):
        assert not any(filters.allows(*table) for table in tables)


PARTS = st.text("Ab.*?[x", min_size=1, max_size=4)


@given(st.lists(PARTS, max_size=3), st.lists(PARTS, max_size=3), st.tuples(PARTS, PARTS, PARTS))
def test_a_database_with_a_match_is_never_skipped(
    include: list[str], exclude: list[str], name: tuple[str, str, str]
) -> None:
    filters = Filters(include, exclude)
    if filters.allows(*name):
        assert filters.may_hold(name[0])


@pytest.mark.parametrize(
    ("of_queries", "option", "pattern", "says"),
    [
        (DATABASE, "include", "dev.sales.*", "selects whole databases: a query has only a database"),
        (DATABASE, "exclude", "dev.sales", "excludes no queries: a query has only a database"),
        (DATABASE, "include", "dev", None),
        (DATABASE, "include", "dev.*", None),
        (DATABASE, "exclude", "dev.*.*", None),
        (DATABASE_AND_SCHEMA, "include", "A.B.C*", "matches no queries: a query has only a database and a schema"),
        (DATABASE_AND_SCHEMA, "exclude", "A.B.x.y", "excludes no queries: a query has only a database and a schema"),
        (DATABASE_AND_SCHEMA, "include", "A.B.*.*", "matches no queries: a query has only a database and a schema"),
        (DATABASE_AND_SCHEMA, "include", "A.B.*", None),
        (DATABASE_AND_SCHEMA, "include", "A.B", None),
        (DATABASE_AND_SCHEMA, "include", "A.B.", None),
    ],
)
def test_filters_narrower_than_a_query_log_cause_a_warning(
    of_queries: QueryScope, option: str, pattern: str, says: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    filters = Filters([pattern], []) if option == "include" else Filters([], [pattern])
    warn_about_narrow_filters(filters, of_queries)
    assert [record.getMessage() for record in caplog.records] == (
        [f"warning: --{option} {pattern} {says}"] if says else []
    )


NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def collector(latency: timedelta | None, names: Iterable[str], **more: Any) -> Collector:
    """A collector whose warehouse is a list of table or query names. It counts one object as skipped."""

    def collect(connection: Iterable[str], options: Options) -> Iterator[Record]:
        options.skip("no grant", "SHOP.SECRET")
        for name in connection:
            if latency is None:
                yield TableRecord("TABLE", None, "A", "B", name)
            else:
                yield QueryLogRecord(name, NOON, NOON, "SELECT 1")

    return Collector(
        flow="metadata" if latency is None else "query_logs",
        warehouse="fixture",
        resource="snowflake",
        connect=lambda: nullcontext(names),
        collect=collect,
        targets=lambda connection, options: (f"A.B.{name}" for name in connection),
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


def test_the_summary_and_the_trailer_report_skipped_objects(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    code, summary, stderr = run(capsys, collector(None, ["a"]), "--manifest", str(path))
    assert (code, summary["status"], summary["records"]) == (0, "complete", 1)
    assert summary["skipped"] == verify(path).skipped == {"no grant": 1}
    assert verify(path).skipped_examples == {"no grant": "SHOP.SECRET"}
    assert "no grant" in stderr
    assert list(read(path, "metadata")) == [{"type": "TABLE", "database": "A", "schema": "B", "name": "a"}]


def test_the_example_of_a_skipped_object_is_masked_and_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "s3cret-of-the-test")
    options = Options(Filters(), argparse.Namespace())
    options.skip("no grant", "s3cret-of-the-test" + 1000 * "x")
    assert options.skipped_examples == {"no grant": "***" + 297 * "x"}


@pytest.mark.parametrize(
    ("latency", "key", "option"), [(None, "resource_type", "--resource-type"), (LATENCY, "log_type", "--log-type")]
)
def test_a_disputed_resource_is_an_option(
    latency: timedelta | None, key: str, option: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The value in the header is the one that the push sends."""
    path = tmp_path / "m.jsonl"
    made = collector(latency, [], other_resources=["data-lake"])
    headers = []
    for arguments in ([], [option, "data-lake"], [option, "not-known-yet"]):
        run(capsys, made, "--manifest", str(path), *arguments)
        headers.append(json.loads(path.read_text().splitlines()[0]))
    assert [header[key] for header in headers] == ["snowflake", "data-lake", "not-known-yet"]
    assert all("resource" not in header["options"] for header in headers)
    for typo in ("Data Lake", ""):
        with pytest.raises(SystemExit) as ended:
            run_collect(made, ["--manifest", str(path), option, typo])
        assert ended.value.code == 2


def test_without_other_resources_there_is_no_option_for_them(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run_collect(collector(None, []), ["--manifest", str(tmp_path / "m.jsonl"), "--resource-type", "data-lake"])
    assert ended.value.code == 2


def test_an_empty_warehouse_is_not_reported_as_a_filter_without_matches(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, summary, _ = run(capsys, collector(None, []), "--manifest", str(tmp_path / "m.jsonl"))
    assert (code, summary["records"], summary["skipped"]) == (0, 0, {"no grant": 1})


def test_a_window_excludes_the_lag_of_the_system_views(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
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


def test_a_checkpoint_makes_windows_contiguous(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state.json"
    arguments = ["--manifest", str(tmp_path / "m.jsonl"), "--state", str(state)]
    until = (datetime.now(timezone.utc) - 9 * HOUR).replace(microsecond=0)
    _, first, _ = run(capsys, collector(LATENCY, []), *arguments, "--until", until.isoformat())
    assert window_of(first) == (until - 24 * HOUR, until)
    _, second, _ = run(capsys, collector(LATENCY, []), *arguments, "--until", (until + HOUR).isoformat())
    assert window_of(second) == (until, until + HOUR)
    _, back, _ = run(capsys, collector(LATENCY, []), *arguments, "--until", until.isoformat())
    assert window_of(back) == (until + HOUR, until + HOUR), "an earlier end must not move the checkpoint back"
    _, third, _ = run(capsys, collector(LATENCY, []), *arguments)
    assert window_of(third)[0] == until + HOUR


def test_a_failed_run_changes_neither_checkpoint_nor_manifest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    state, path = tmp_path / "state.json", tmp_path / "m.jsonl"
    arguments = ["--manifest", str(path), "--state", str(state)]
    run(capsys, collector(LATENCY, ["a"]), *arguments)
    path.rename(tmp_path / "pushed.jsonl")
    assert run(capsys, collector(LATENCY, []), *arguments)[0] == 0  # an older manifest with nothing to push
    before = state.read_bytes(), path.read_bytes()

    def names() -> Iterator[str]:
        yield "b"
        raise ConnectionResetError("gone")

    code, summary, stderr = run(capsys, collector(LATENCY, names()), *arguments)
    assert (code, summary["status"], summary["error"]["message"]) == (4, "failed", "gone")
    assert "error: gone" in stderr
    assert (state.read_bytes(), path.read_bytes()) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.jsonl", "pushed.jsonl", "state.json"]


@pytest.mark.parametrize(
    ("since_hours", "until_hours", "moves", "says"),
    [(20, 8, True, ""), (9, 8, True, ""), (8, 7, False, "close the gap"), (30, 20, False, "ended before it")],
)
def test_only_a_window_that_continues_from_the_checkpoint_advances_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, since_hours: int, until_hours: int, moves: bool, says: str
) -> None:
    state = tmp_path / "state.json"
    now = datetime.now(timezone.utc).replace(microsecond=0)
    arguments = ["--manifest", str(tmp_path / "m"), "--state", str(state)]
    run(capsys, collector(LATENCY, []), *arguments, "--until", (now - 9 * HOUR).isoformat())
    times = ["--since", (now - since_hours * HOUR).isoformat(), "--until", (now - until_hours * HOUR).isoformat()]
    code, _, stderr = run(capsys, collector(LATENCY, []), *arguments, *times)
    assert code == 0
    assert says in stderr
    remembered = parse_utc(json.loads(state.read_text())["until"])
    assert remembered == now - (until_hours if moves else 9) * HOUR


def test_a_checkpoint_of_another_flow_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    arguments = ["--manifest", str(tmp_path / "m"), "--state", str(state)]
    run(capsys, collector(LATENCY, []), *arguments)
    content = json.loads(state.read_text())
    state.write_text(json.dumps(content | {"flow": "lineage"}))
    code, summary, _ = run(capsys, collector(LATENCY, []), *arguments)
    assert code == 2
    assert "fixture lineage" in summary["error"]["message"]


def test_a_checkpoint_in_the_future_causes_a_warning(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    tomorrow = (datetime.now(timezone.utc) + 24 * HOUR).isoformat()
    state.write_text(json.dumps({"until": tomorrow, "warehouse": "fixture", "flow": "query_logs"}))
    code, _, stderr = run(capsys, collector(LATENCY, []), "--manifest", str(tmp_path / "m"), "--state", str(state))
    assert code == 0
    assert "in the future" in stderr


def test_a_checkpoint_far_in_the_future_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    ahead = (datetime.now(timezone.utc) + timedelta(days=3)).isoformat()
    state.write_text(json.dumps({"until": ahead, "warehouse": "fixture", "flow": "query_logs"}))
    code, summary, _ = run(capsys, collector(LATENCY, []), "--manifest", str(tmp_path / "m"), "--state", str(state))
    assert code == 2
    assert "in the future" in summary["error"]["message"]


def test_a_filter_that_matches_nothing_is_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, summary, stderr = run(capsys, collector(None, []), "--manifest", str(tmp_path / "m"), "--include", "SHOP")
    assert code == 0
    [reason] = [each for each in summary["skipped"] if "--include" in each]
    assert summary["skipped"][reason] == 1
    assert "SHOP.*" in summary["skipped_examples"][reason]
    assert reason in stderr


def test_list_reports_an_include_that_matches_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ("--list", "--manifest", str(tmp_path / "m"))
    code, _, stderr = run(capsys, collector(None, []), *options, "--include", "SHOP")
    assert (code, "--include matched nothing" in stderr) == (0, True)
    code, _, stderr = run(capsys, collector(None, ["T"]), *options, "--include", "A.*")
    assert (code, "--include matched nothing" in stderr) == (0, False)


def test_with_a_checkpoint_an_unpushed_manifest_is_not_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "m.jsonl"
    arguments = ["--manifest", str(path), "--state", str(tmp_path / "state.json")]
    assert run(capsys, collector(LATENCY, ["a"]), *arguments)[0] == 0
    before = path.read_bytes()
    code, summary, _ = run(capsys, collector(LATENCY, ["b"]), *arguments)
    assert code == 2
    assert "push_query_logs.py" in summary["error"]["remedy"]
    assert path.read_bytes() == before
    path.rename(tmp_path / "moved.jsonl")
    assert run(capsys, collector(LATENCY, ["b"]), *arguments)[0] == 0


def test_free_memory_under_a_container_limit_includes_reclaimable_cache(tmp_path: Path) -> None:
    """The limit is a few megabytes: every test machine has more free memory than that."""
    for name, content in {
        "memory.max": f"{10 * 2**20}",
        "memory.current": f"{9 * 2**20}",
        "memory.stat": f"anon 5\ninactive_file {6 * 2**20}\n",
    }.items():
        (tmp_path / name).write_text(content)
    assert _free_memory(tmp_path) == 7 * 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert _free_memory(tmp_path) > 7 * 2**20


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"until": "yesterday"}', '{"until": null}'])
def test_a_damaged_checkpoint_file_is_refused_not_ignored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str
) -> None:
    state = tmp_path / "state.json"
    state.write_text(content)
    code, summary, _ = run(capsys, collector(LATENCY, []), "--manifest", str(tmp_path / "m"), "--state", str(state))
    assert code == 2
    assert "Move the file away" in summary["error"]["remedy"]
    assert state.read_text() == content


def test_the_start_is_given_once_and_is_before_the_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = ["--manifest", str(tmp_path / "m")]
    both = ["--since", "2026-01-01", "--lookback-hours", "3"]
    assert run(capsys, collector(LATENCY, []), *path, *both)[0] == 2
    assert run(capsys, collector(LATENCY, []), *path, "--lookback-hours", "1e12")[0] == 2
    ahead = ["--since", (datetime.now(timezone.utc) + HOUR).isoformat()]
    code, summary, _ = run(capsys, collector(LATENCY, []), *path, *ahead)
    assert code == 2
    assert "empty" in summary["error"]["message"]


@pytest.mark.parametrize(
    "argument",
    [
        ["--since", "soon"],
        ["--lookback-hours", "-1"],
        ["--lookback-hours", "0"],
        ["--lookback-hours", "nan"],
        ["--since", "0001-01-01T00:00:00+14:00"],
    ],
)
def test_invalid_times_are_usage_errors(argument: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        run_collect(collector(LATENCY, []), ["--manifest", str(tmp_path / "m"), *argument])
    assert left.value.code == 2


def test_a_window_beyond_the_retention_of_the_views_causes_a_warning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = collector(LATENCY, [], retention=timedelta(days=7))
    _, _, stderr = run(capsys, made, "--manifest", str(tmp_path / "m"), "--lookback-hours", "200")
    assert "7 days" in stderr
    _, _, stderr = run(capsys, made, "--manifest", str(tmp_path / "m"), "--lookback-hours", "20")
    assert "7 days" not in stderr


def test_list_prints_names_and_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = collector(None, ["C", "D"])
    code, printed, stderr = run(capsys, made, "--list", "--manifest", str(tmp_path / "m"))
    assert (code, printed["stdout"]) == (0, "A.B.C\nA.B.D\n")
    assert "2 lines listed" in stderr
    assert not list(tmp_path.iterdir())


def test_an_unexpected_error_shows_its_location_but_no_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", 'hunter2"\\x')

    def names() -> Iterator[str]:
        yield "a"
        raise RuntimeError(f"broken near {os.environ['SOME_PASSWORD']}")

    made = collector(None, names())
    code, summary, stderr = run(capsys, made, "--manifest", str(tmp_path / "m"))
    assert code == 1
    assert summary["status"] == "failed"
    assert "test_collection.py" in stderr
    assert summary["error"]["remedy"]
    assert f"what to do: {summary['error']['remedy']}" in stderr
    assert "hunter2" not in stderr + json.dumps(summary)


def test_too_little_memory_is_reported_before_connecting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcpush.program.MINIMUM_FREE_MEMORY", 2**60)
    connected: list[int] = []

    def connect() -> Any:
        connected.append(1)
        return nullcontext([])

    made = Collector(**{**collector(None, []).__dict__, "connect": connect})
    code, summary, _ = run(capsys, made, "--manifest", str(tmp_path / "m"))
    assert (code, connected) == (2, [])
    assert "MB of memory is free" in summary["error"]["message"]


def test_low_memory_causes_a_warning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.jsonl"
    code, _, stderr = run(capsys, collector(None, []), "--manifest", str(path))
    assert (code, "MB of memory" in stderr) == (0, False)
    monkeypatch.setattr("mcpush.program.AMPLE_FREE_MEMORY", 2**60)
    code, summary, stderr = run(capsys, collector(None, []), "--manifest", str(path))
    assert (code, summary["status"], stderr.count("MB of memory is free")) == (0, "complete", 1)
    assert "shorter window" in stderr
    assert "MB of memory" not in json.dumps(summary)


def test_custom_arguments_reach_the_collector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[argparse.Namespace] = []

    def collect(connection: Any, options: Options) -> Iterator[Record]:
        seen.append(options.arguments)
        yield TableRecord("TABLE", None, "A", "B", "a")

    made = collector(None, [], arguments=lambda parser: parser.add_argument("--include-shared", action="store_true"))
    made = Collector(**{**made.__dict__, "collect": collect})
    assert run(capsys, made, "--include-shared", "--manifest", str(tmp_path / "m"))[0] == 0
    assert seen[0].include_shared is True


def test_driver_errors_are_passed_to_explain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def fails() -> Any:
        raise TimeoutError("no route")

    made = Collector(**{**collector(None, []).__dict__, "connect": fails})
    code, summary, _ = run(capsys, made, "--manifest", str(tmp_path / "m"))
    assert (code, summary["error"]["message"]) == (4, "no route")
    assert issubclass(UnavailableError, PushIngestionError)


SIGNALED = """
import os, signal, sys
from contextlib import nullcontext
from mcpush.collect.collector import Collector, run_collect
from mcpush.interrupts import interruptible
from mcpush.records import TableRecord

def collect(connection, options):
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([signal.SIGUSR1], 5)  # ends when the handler raises
    except BaseException as error:
        {caught}
    for number in range(1_000_000):
        yield TableRecord("TABLE", None, "A", "B", str(number))

sys.exit(run_collect(Collector("metadata", "snowflake", "snowflake", lambda: nullcontext(), collect,
                               collect, lambda error: None, "Fixture.")))
"""


def run_fixture(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the code in a separate process, because a signal affects the whole process."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean_environment({"PYTHONPATH": str(TEMPLATES / "snowflake")}),
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("caught", ["pass", 'raise OSError("driver: interrupted") from None'])
def test_a_signal_that_a_driver_swallows_still_ends_the_run(tmp_path: Path, caught: str) -> None:
    done = run_fixture(SIGNALED.format(caught=caught), tmp_path)
    assert done.returncode == 130, done.stderr
    assert json.loads(done.stdout)["status"] == "interrupted"
    assert list(tmp_path.iterdir()) == []


LATE = """
import atexit, os, signal, sys
from mcpush.program import run

def send_signal(*arguments):
    os.kill(os.getpid(), signal.{signal})

def work(summary):
    {work}

class Last:
    def __del__(self, kill=os.kill, this=os.getpid(), signal=signal.{signal}):
        kill(this, signal)

{before}
sys.exit(run("collect_metadata.py", work, explain=send_signal))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(
    ("work", "before", "code", "status"),
    [
        ('raise OSError("gone")', "", 130, "interrupted"),
        ("return 0", "atexit.register(send_signal)", 0, "complete"),
        ("return 0", "last = Last()", 0, "complete"),
        ("send_signal()", "last = Last()", 130, "interrupted"),
    ],
    ids=["while an error is explained", "at exit", "during interpreter shutdown", "again during shutdown"],
)
def test_a_late_signal_loses_neither_exit_code_nor_summary(
    tmp_path: Path, name: str, work: str, before: str, code: int, status: str
) -> None:
    done = run_fixture(LATE.format(signal=name, work=work, before=before), tmp_path)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["status"] == status
    assert "Traceback" not in done.stderr


# --- --estimate -------------------------------------------------------------------------------------------------------


def estimating(latency: timedelta | None, windows: list[datetime]) -> Collector:
    """A collector that prints two lines as its estimate, and keeps the end of the window it was given."""

    def estimate(connection: Iterable[str], options: Options) -> Iterator[str]:
        if latency is not None:
            windows.append(options.until)
        options.skip("no estimate", "SHOP.HUGE")
        yield "A: 10 MiB"
        yield f"total: \x1b{len(list(connection))}"

    return collector(latency, ["a", "b"], estimate=estimate)


def test_a_collector_without_an_estimate_has_no_such_option(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(capsys, collector(None, ["a"]), "--manifest", str(tmp_path / "m.jsonl"), "--estimate")
    assert ended.value.code == 2
    assert "unrecognized arguments: --estimate" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--include", "A.B.nothing")], ids=["all", "a filter without matches"])
def test_an_estimate_prints_its_lines_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    manifest = ("--manifest", str(tmp_path / "m.jsonl"))
    code, printed, stderr = run(capsys, estimating(None, []), *manifest, "--estimate", *more)
    assert code == 0
    assert printed == {"stdout": "A: 10 MiB\ntotal: \\x1b2\n"}
    assert "no estimate (1)" in stderr
    assert "matched nothing" not in stderr, "that is about objects, not lines"
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_is_of_the_next_window_and_does_not_move_the_checkpoint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    windows: list[datetime] = []
    arguments = ["--manifest", str(tmp_path / "m.jsonl"), "--state", str(state)]
    until = (datetime.now(timezone.utc) - 9 * HOUR).replace(microsecond=0)
    run(capsys, collector(LATENCY, []), *arguments, "--until", until.isoformat())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for _ in range(2):
        end = until + HOUR
        code, _, stderr = run(
            capsys, estimating(LATENCY, windows), *arguments, "--until", end.isoformat(), "--estimate"
        )
        assert code == 0
        assert f"window: {iso_utc(until)} to {iso_utc(end)}" in stderr
    assert windows == 2 * [until + HOUR]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_error_of_an_estimate_is_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def estimate(connection: Iterable[str], options: Options) -> Iterator[str]:
        yield "A: 10 MiB"
        raise OSError("gone")

    made = collector(None, ["a"], estimate=estimate)
    code, _, stderr = run(capsys, made, "--manifest", str(tmp_path / "m.jsonl"), "--estimate")
    assert code == 4
    assert "gone" in stderr
