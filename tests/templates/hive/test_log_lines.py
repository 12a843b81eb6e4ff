"""Tests the layouts of log lines and their time stamps: the same statement is read from each of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from mcpush.records import TimeRange

from tests.templates.hive.reading_logs import (
    BACKGROUND,
    HANDLER,
    ID,
    SESSION,
    WITH_SESSION,
    Reader,
    at,
    failed,
    line,
    reader,
    statement,
)

MDC = (
    r'[mdc@18060 class="{logger}" level="{level}" queryId="x \"q\" \] y" sessionId="' + SESSION + '" thread="{thread}"]'
)
# {message} of a line in each layout, as seen in public logs, and what it shows.
LAYOUTS = {
    "Apache": "2026-03-02T{time},000 {level:>5} [{thread}] {logger}: {message}",
    "Apache, padded on the right": "2026-03-02T{time},000 {level:<5} [{thread}] {logger}: {message}",
    "with a space": "2026-03-02 {time},000 {level:<5} [{thread}] {logger}: {message}",
    "HDP 2": "2026-03-02 {time},000 {level:<5} [{thread}]: {logger} (Driver.java:execute(1423)) - {message}",
    "HDP 3": "2026-03-02T{time},000 {level:<5} [{thread}]: {logger} (:()) - {message}",
    "CDH": "2026-03-02 {time},000 {level:<5} org.apache.hadoop.hive.{logger}: [{thread}]: {message}",
    "MapR": "2026-03-02 {time},000 {level} [{thread}([])]: {logger} (Driver.java:execute(1423)) - {message}",
    "console with a thread": "26/03/02 {time} [{thread}]: {level} {logger}: {message}",
    "console": "26/03/02 {time} {level} {logger}: {message}",
    "without a thread": "2026-03-02 {time},000 {level} {logger}: {message}",
    "RFC 5424": "<14>1 2026-03-02T{time}.000Z hiveserver2-0 hiveserver2 1 c0ffee " + MDC + " {message}",
    "with an offset": "2026-03-02T{shifted},000+0200 {level} [{thread}] {logger}: {message}",
    "Windows": "2026-03-02T{time},000 {level} [{thread}] {logger}: {message}\r",
}
WITHOUT_THREAD = ("console", "without a thread")


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Reader]:
    with reader(tmp_path) as found:
        yield found


def written(layout: str, seconds: int, message: str, thread: str = BACKGROUND, level: str = "INFO") -> str:
    moment = at(seconds)
    return (
        LAYOUTS[layout].format(
            time=f"{moment:%H:%M:%S}",
            shifted=f"{moment + timedelta(hours=2):%H:%M:%S}",
            level=level,
            thread=thread,
            logger="ql.Driver",
            message=message.replace("\n", "\r\n") if layout == "Windows" else message,
        )
        + "\n"
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_statement_is_read_from_each_layout(logs: Reader, layout: str) -> None:
    text = "SELECT 1\n  FROM t"
    error = "FAILED: Execution Error, return code 2"
    read = logs.read(
        written(layout, 0, f"Compiling command(queryId={ID}): {text}", HANDLER)
        + written(layout, 1, f"Completed compiling command(queryId={ID}); Time taken: 1.0 seconds", HANDLER)
        + written(layout, 1, f"Executing command(queryId={ID}): {text}")
        + written(layout, 2, error, level="ERROR")
        + written(layout, 3, f"Completed executing command(queryId={ID}); Time taken: 2.0 seconds")
        + written(layout, 4, "OK")
    )
    only = read.only
    assert (only["id"], only["text"], only["start"], only["end"]) == (ID, text, at(0), at(3))
    assert (only["status"], only["error"], read.skipped) == ("failed", error, {})
    assert only["thread"] == ("" if layout in WITHOUT_THREAD else BACKGROUND)
    assert only["session"] == (SESSION if layout == "RFC 5424" else None)


@pytest.mark.parametrize(
    ("thread", "session"),
    [
        (WITH_SESSION, SESSION),
        (f"{SESSION} main", SESSION),
        (f"HiveServer2-Handler-Pool: Thread-1732(SessionHandle={SESSION})", SESSION),
        (f"HiveServer2-Handler-Pool: Thread-{SESSION}", None),
        ("HiveServer2-Handler-Pool: Thread-57([])", None),
    ],
)
def test_the_name_of_a_thread_can_have_the_session(logs: Reader, thread: str, session: str | None) -> None:
    read = logs.read(statement(0, "SELECT 1", session=None).replace(f"[{HANDLER}]", f"[{thread}]"))
    assert read.only["session"] == session


def test_without_threads_a_failure_of_several_statements_makes_their_outcome_unknown(logs: Reader) -> None:
    def pair(seconds: int, text: str) -> str:
        return "".join(written("console", seconds, text.format(each)) for each in ("q_1", "q_2"))

    read = logs.read(
        pair(0, "Executing command(queryId={}): SELECT 1")
        + written("console", 1, "FAILED: Execution Error, return code 2", level="ERROR")
        + pair(2, "Completed executing command(queryId={}); Time taken: 2.0 seconds")
    )
    assert read.column("status") == [None, None]
    assert read.skipped == {"FAILED line that belongs to no known statement": 1}


# --- time stamps ------------------------------------------------------------------------------------------------


def utc(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, 2, hour, minute, tzinfo=timezone.utc)


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 10), ("utc", 10), ("Asia/Tokyo", 1), ("America/New_York", 15)])
def test_time_stamps_are_in_the_zone_of_the_option(logs: Reader, zone: str, hour: int) -> None:
    assert logs.read(statement(0, "SELECT 1"), zone=zone).only["start"] == utc(hour)


def test_an_offset_in_a_time_stamp_counts_more_than_the_option(logs: Reader) -> None:
    lines = statement(0, "SELECT 1")
    for number in range(10):
        lines = lines.replace(f"0{number},000 ", f"0{number},000-05:30 ")
    assert logs.read(lines, zone="Asia/Tokyo").only["start"] == utc(15, 30)


@pytest.mark.parametrize(("fraction", "microseconds"), [(",5", 500_000), (".123456789", 123_456), ("", 0)])
def test_fractions_of_a_second_have_any_length(logs: Reader, fraction: str, microseconds: int) -> None:
    assert logs.read(statement(0, "SELECT 1").replace(",000", fraction)).only["start"].microsecond == microseconds


def test_a_zone_that_is_unknown_is_an_error(logs: Reader) -> None:
    with pytest.raises(Exception, match="--log-timezone 'Mars/Olympus' is not a known time zone"):
        logs.read(statement(0, "SELECT 1"), zone="Mars/Olympus")


AUTUMN = datetime(2026, 10, 25, tzinfo=timezone.utc)  # at 3:00 in Berlin, clocks go back to 2:00


def shifted(hours: float, text: str, query_id: str) -> str:
    """A statement that starts at this time of that day, by the clocks in Berlin."""
    lines = statement(0, text, query_id, took=60)
    start = AUTUMN + timedelta(hours=hours)
    for seconds in (60, 0):
        old, new = at(seconds), start + timedelta(seconds=seconds)
        lines = lines.replace(f"{old:%Y-%m-%dT%H:%M:%S}", f"{new:%Y-%m-%dT%H:%M:%S}")
    return lines


def test_the_second_pass_through_an_hour_is_recognized(logs: Reader) -> None:
    """A stamp in the hour that clocks repeat is in the first pass, unless the log was already there."""
    local = [1.5, 2.25, 2.75, 2.25, 2.75, 3.25]
    lines = "".join(shifted(hour, "SELECT 1", f"q_{number}") for number, hour in enumerate(local))
    (logs.folder / "hive.log").write_text(lines)
    window = TimeRange(AUTUMN - timedelta(days=1), AUTUMN + timedelta(days=1))
    read = logs.read_paths(logs.folder, zone="Europe/Berlin", window=window)
    hours = [(start - AUTUMN) / timedelta(hours=1) for start in read.column("start")]
    assert hours == [-0.5, 0.25, 0.75, 1.25, 1.75, 2.25]
    assert [end - start for start, end in zip(read.column("start"), read.column("end"), strict=True)] == [
        timedelta(minutes=1)
    ] * 6


def test_disorder_between_threads_is_not_a_second_pass(logs: Reader) -> None:
    lines = shifted(2.75, "SELECT 1", "q_1") + shifted(2.74, "SELECT 2", "q_2")
    (logs.folder / "hive.log").write_text(lines)
    window = TimeRange(AUTUMN - timedelta(days=1), AUTUMN + timedelta(days=1))
    read = logs.read_paths(logs.folder, zone="Europe/Berlin", window=window)
    assert sorted((start - AUTUMN) / timedelta(hours=1) for start in read.column("start")) == [0.74, 0.75]


def test_a_line_without_a_valid_time_is_not_a_log_line(logs: Reader) -> None:
    lines = statement(0, "SELECT 1")
    wrong = line(0, f"Executing command(queryId={ID}): x").replace("2026-03-02", "2026-13-02")
    assert logs.read(wrong + lines + failed(9, "x").replace("T10", "T25")).only["text"] == "SELECT 1"
