"""Extreme window arguments, checkpoints and clocks: exit 0, or 2 with the name of the option, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.collect.clock import NO_CLOCK
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.errors import UnavailableError
from mcpush.records import QueryLogRecord, TimeRange, parse_utc

from tests.mcpush.in_process import restored_handlers

LATENCY = timedelta(minutes=10)
SLICING = Slicing(first=timedelta(hours=1), few_rows=10, many_rows=100)
MAX_SLICES = 40  # hours double in quiet times: 2**40 hours


class Warehouse:
    """A warehouse without queries. ``connections`` counts connections; ``slices`` has the slices that a run read."""

    def __init__(self, **more: Any) -> None:
        self.connections = 0
        self.slices: list[TimeRange] = []
        self.more = more

    def connect(self) -> nullcontext[Warehouse]:
        self.connections += 1
        return nullcontext(self)

    def collect(self, connection: Warehouse, options: Options) -> Iterator[QueryLogRecord]:
        def read(part: TimeRange) -> Iterator[QueryLogRecord]:
            self.slices.append(part)
            (part.start - timedelta(days=7)).replace(tzinfo=None)  # as the folders bind it
            return iter(())

        yield from in_slices(TimeRange(options.since, options.until), read, SLICING)

    def run(self, *argv: str) -> int:
        made = Collector(
            flow="query_logs",
            warehouse="fixture",
            resource="snowflake",
            connect=self.connect,
            collect=self.collect,
            targets=lambda connection, options: iter(()),
            explain=lambda error: UnavailableError(str(error)) if isinstance(error, OSError) else None,
            description="A fixture.",
            latency=LATENCY,
            retention=timedelta(days=7),
            **self.more,
        )
        with restored_handlers():
            try:
                return run_collect(made, argv)
            except SystemExit as left:
                return int(str(left.code))


USAGE = [  # refused before connecting; the message names the option
    ("--since", "0001-01-01"),
    ("--since", "0001-01-02T00:00:00Z"),
    ("--since", "0001-01-01T00:00:00+14:00"),
    ("--since", "1899-12-31T23:59:59Z"),
    ("--since", "1900-01-01T00:00:00+00:01"),
    ("--since", "0000-00-00"),
    ("--since", "10000-01-01"),
    ("--since", "9999-12-31T23:59:59-12:00"),
    ("--since", "2026-02-30"),
    ("--since", "2026-13-01"),
    ("--since", "2026-01-31T24:00"),
    ("--since", "2026-01-31T23:59:60Z"),
    ("--since", "2026-01-31+05:00"),
    ("--since", "2026-01-31-05:00"),
    ("--since", "2026-01-31T06:00:00+25:00"),
    ("--since", "2026-01-31T06:00:00+05:30:15"),
    ("--since", "2026-01-31x06:00"),
    ("--since", "\uff12\uff10\uff12\uff16-01-31"),
    ("--since", "2026-01-31T06:00:00.\u0663Z"),
    ("--since", "2026-W05-6"),
    ("--since", "20260131"),
    ("--since", "1767139200"),
    ("--since", "-1"),
    ("--since", "now"),
    ("--since", ""),
    ("--since", " "),
    ("--since", "2026-01-31\x00"),
    ("--until", "0001-01-01"),
    ("--until", "0001-01-01T00:00:00+14:00"),
    ("--until", "1900-01-01"),
    ("--until", "9999-12-31T23:59:59-12:00"),
    ("--until", ""),
    ("--lookback-hours", "1e300"),
    ("--lookback-hours", "1e308"),
    ("--lookback-hours", "5e7"),
    ("--lookback-hours", "1.7e7"),
    ("--lookback-hours", "1e7"),
    ("--lookback-hours", "inf"),
    ("--lookback-hours", "nan"),
    ("--lookback-hours", "-1"),
    ("--lookback-hours", "1e999"),
    ("--lookback-hours", "0"),
    ("--lookback-hours", ""),
    ("--lookback-hours", "1h"),
]
REFUSED_BY_THE_CLOCK = [  # refused after connecting, because the warehouse's time is needed
    ("--since", "9999-12-31"),
    ("--since", "9999-12-31T23:59:59.999999Z"),
]
VALID = [
    ("--since", "1900-01-01"),
    ("--since", "1900-01-02T00:00:00+00:01"),
    ("--since", "1970-01-01"),
    ("--since", "2026-01-31T06"),
    ("--since", "2026-01-31 06:00"),
    ("--since", "2026-01-31t06:00:00z"),
    ("--since", "2026-01-31T06:00:00+0530"),
    ("--since", "2026-01-31T06:00:00-00:00"),
    ("--since", "2026-01-31T06:00:00.123456789Z"),
    ("--since", " 2026-01-31 "),
    ("--until", "9999-12-31"),
    ("--until", "9999-12-31T23:59:59.999999Z"),
    ("--until", "1900-01-02"),
    ("--lookback-hours", "1e-9"),
    ("--lookback-hours", "1e-300"),
    ("--lookback-hours", "1e6"),
]


@pytest.mark.parametrize("argument", USAGE + REFUSED_BY_THE_CLOCK + VALID, ids=ascii)
def test_an_extreme_argument_is_used_or_refused_with_its_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argument: tuple[str, str]
) -> None:
    warehouse = Warehouse()
    code = warehouse.run("--manifest", str(tmp_path / "m"), "=".join(argument))
    stderr = capsys.readouterr().err
    assert "Traceback" not in stderr
    assert (code, warehouse.connections > 0) == (0 if argument in VALID else 2, argument not in USAGE)
    if argument not in VALID:
        assert argument[0] in stderr
        assert not (tmp_path / "m").exists()
    assert len(warehouse.slices) < MAX_SLICES


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("0001-01-01T00:00:00Z", "before 1900"),
        ("0001-01-01T00:00:00+14:00", "Cannot read"),
        ("1899-12-31T23:59:59Z", "before 1900"),
        ("9999-12-31T23:59:59Z", "in the future"),
        ("9999-12-31T23:59:59-12:00", "Cannot read"),
        ("", "Cannot read"),
        ("[" * 100_000, "Cannot read"),
    ],
    ids=lambda value: value[:30],
)
def test_an_extreme_checkpoint_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, until: str, says: str
) -> None:
    state = tmp_path / "state"
    content = until if until.startswith("[") else {"until": until, "warehouse": "fixture", "flow": "query_logs"}
    state.write_text(content if isinstance(content, str) else json.dumps(content))
    before = state.read_bytes()
    for options in ([], ["--list"]):
        code = Warehouse().run("--manifest", str(tmp_path / "m"), "--state", str(state), *options)
        stderr = capsys.readouterr().err
        assert (code, "Traceback" in stderr, says in stderr) == (2, False, True)
    assert state.read_bytes() == before


def test_an_old_checkpoint_is_read_in_few_slices_and_advances(tmp_path: Path) -> None:
    """The gap before the retention period cannot be read by any later run: the checkpoint must not stay there."""
    state = tmp_path / "state"
    state.write_text(json.dumps({"until": "1900-01-01T00:00:00Z", "warehouse": "fixture", "flow": "query_logs"}))
    warehouse = Warehouse()
    assert warehouse.run("--manifest", str(tmp_path / "m"), "--state", str(state)) == 0
    assert len(warehouse.slices) < MAX_SLICES
    assert parse_utc(json.loads(state.read_text())["until"]) == warehouse.slices[-1].end


def test_slices_near_the_last_possible_time() -> None:
    end = datetime.max.replace(tzinfo=timezone.utc)
    slices: list[TimeRange] = []
    list(in_slices(TimeRange(end - timedelta(hours=3), end), lambda part: slices.append(part) or (), SLICING))  # type: ignore[func-returns-value]
    assert [part.end - part.start for part in slices] == [timedelta(hours=1), timedelta(hours=2)]


# --- the warehouse's clock --------------------------------------------------------------------------------


def now() -> datetime:
    return datetime.now(timezone.utc)


def window_and_messages(capsys: pytest.CaptureFixture[str]) -> tuple[TimeRange, dict[str, Any], str]:
    stdout, stderr = capsys.readouterr()
    summary = json.loads(stdout)
    return TimeRange(*(parse_utc(summary["window"][key]) for key in ("start", "end"))), summary, stderr


@pytest.mark.parametrize(
    ("ahead", "says"),
    [
        (timedelta(0), None),
        (timedelta(seconds=58), None),
        (timedelta(seconds=-58), None),
        (timedelta(seconds=70), "0:01:10 behind"),
        (timedelta(seconds=-70), "0:01:10 ahead of"),
        (timedelta(hours=3), "3:00:00 behind"),
        (timedelta(hours=-3), "3:00:00 ahead of"),
        (timedelta(days=400), "400 days, 0:00:00 behind"),
    ],
    ids=str,
)
def test_the_window_ends_by_the_warehouses_clock_and_a_skew_is_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, ahead: timedelta, says: str | None
) -> None:
    asked: list[datetime] = []

    def clock(connection: Warehouse, options: Options) -> datetime:
        asked.append(now() + ahead)
        return asked[-1]

    path = tmp_path / "m"
    assert Warehouse(clock=clock).run("--manifest", str(path)) == 0
    window, _, stderr = window_and_messages(capsys)
    assert window.end == (asked[0] - LATENCY).replace(microsecond=0)
    assert parse_utc(json.loads(path.read_text().splitlines()[0])["collected_at"]) == asked[0]
    assert ("warehouse's" in stderr) == (says is not None)
    if says:
        assert says in stderr
        assert f"{asked[0].replace(microsecond=0).isoformat()[:-6]}Z there" in stderr


def test_an_absurd_time_of_the_warehouse_is_used_and_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for year in (1970, 9998):
        there = datetime(year, 1, 2, 3)  # noqa: DTZ001 - as a driver returns it
        made = Warehouse(clock=lambda connection, options, there=there: there)
        assert made.run("--manifest", str(tmp_path / "m")) == 0
        window, _, stderr = window_and_messages(capsys)
        assert window.end == there.replace(tzinfo=timezone.utc) - LATENCY
        assert f"{year}-01-02T03:00:00Z there" in stderr


def test_a_time_that_waited_in_a_queue_is_not_a_skew(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([now() - timedelta(minutes=20), now()])
    monkeypatch.setattr("mcpush.collect.clock._here", lambda: next(moments))
    made = Warehouse(clock=lambda connection, options: now() - timedelta(minutes=10))
    assert made.run("--manifest", str(tmp_path / "m")) == 0
    assert "warehouse's" not in capsys.readouterr().err


def test_without_the_warehouses_time_the_window_ends_by_this_machines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for clock, says in ((None, False), (lambda connection, options: None, True)):
        before = now()
        assert Warehouse(clock=clock).run("--manifest", str(tmp_path / "m")) == 0
        window, _, stderr = window_and_messages(capsys)
        assert before - timedelta(seconds=1) <= window.end + LATENCY <= now()
        assert (f"warning: {NO_CLOCK}" in stderr) == says


def test_an_unexpected_error_of_the_clock_ends_the_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def clock(connection: Warehouse, options: Options) -> datetime:
        raise ZeroDivisionError

    assert Warehouse(clock=clock).run("--manifest", str(tmp_path / "m")) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_checkpoint_is_in_the_future_by_the_warehouses_clock(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    saved = now() + timedelta(days=3)
    state.write_text(json.dumps({"until": saved.isoformat(), "warehouse": "fixture", "flow": "query_logs"}))
    arguments = ("--manifest", str(tmp_path / "m"), "--state", str(state))
    assert Warehouse(clock=lambda connection, options: now()).run(*arguments) == 2
    assert "in the future" in capsys.readouterr().err
    assert Warehouse(clock=lambda connection, options: saved + timedelta(days=1)).run(*arguments) == 0
    window, _, _ = window_and_messages(capsys)
    assert window.start == saved
