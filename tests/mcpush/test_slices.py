"""A time range is read in slices that shrink and grow: every row once, even if slices are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcpush.collect.checkpoint import Slicing, in_slices
from mcpush.records import TimeRange

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class TooMuchDataError(Exception):
    pass


class ConnectionLostError(Exception):
    pass


def is_too_much(error: BaseException) -> bool:
    return isinstance(error, TooMuchDataError)


@dataclass
class Log:
    """Rows at the given minutes. A slice of more than ``most`` rows fails after ``before`` of them."""

    minutes: list[int]
    most: int = 10**9
    before: int = 0
    slices: list[tuple[float, float]] = field(default_factory=list)  # start and end in hours

    def read(self, part: TimeRange) -> Iterator[int]:
        self.slices.append(((part.start - START) / HOUR, (part.end - START) / HOUR))
        rows = [minute for minute in self.minutes if part.start <= START + minute * MINUTE < part.end]
        if len(rows) > self.most:
            yield from rows[: self.before]
            raise TooMuchDataError
        yield from rows


def window(hours: float) -> TimeRange:
    return TimeRange(START, START + hours * HOUR)


def test_the_default_is_one_slice() -> None:
    log = Log(list(range(600)))
    assert list(in_slices(window(10), log.read, Slicing())) == log.minutes
    assert log.slices == [(0, 10)]


def test_an_empty_range_runs_no_query() -> None:
    log = Log([])
    assert list(in_slices(window(0), log.read, Slicing())) == []
    assert log.slices == []


def test_a_slice_that_is_too_large_is_halved_and_the_next_has_that_length() -> None:
    log = Log(list(range(0, 480, 10)), most=12)  # six rows per hour
    assert list(in_slices(window(8), log.read, Slicing(), is_too_much)) == log.minutes
    assert log.slices == [(0, 8), (0, 4), (0, 2), (2, 4), (4, 6), (6, 8)]


def test_slices_grow_in_quiet_times_and_shrink_in_busy_ones() -> None:
    busy = list(range(16 * 60, 24 * 60))  # one row per minute
    log = Log(busy)
    slicing = Slicing(first=HOUR, shortest=30 * MINUTE, few_rows=10, many_rows=100)
    assert list(in_slices(window(24), log.read, slicing)) == busy
    assert log.slices == [(0, 1), (1, 3), (3, 7), (7, 15), (15, 24)]
    log = Log(list(range(24 * 60)))
    assert list(in_slices(window(6), log.read, Slicing(first=4 * HOUR, many_rows=100))) == log.minutes[:360]
    assert log.slices == [(0, 4), (4, 6)]


def test_after_a_refusal_slices_grow_again_in_quiet_times() -> None:
    log = Log(list(range(60)), most=30)
    slicing = Slicing(first=4 * HOUR, few_rows=10)
    assert list(in_slices(window(8), log.read, slicing, is_too_much)) == log.minutes
    assert log.slices == [(0, 4), (0, 2), (0, 1), (0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2.5), (2.5, 4.5), (4.5, 8)]


def test_a_slice_that_fails_after_its_first_row_ends_the_run() -> None:
    """The consumer already has its first rows: reading the slice again would repeat them."""
    log = Log(list(range(60)), most=30, before=1)
    rows = in_slices(window(1), log.read, Slicing(), is_too_much)
    assert next(rows) == 0
    with pytest.raises(TooMuchDataError):
        next(rows)
    assert log.slices == [(0, 1)]


def test_the_shortest_slice_is_not_halved() -> None:
    log = Log([0] * 9, most=5)
    with pytest.raises(TooMuchDataError):
        list(in_slices(window(1), log.read, Slicing(shortest=20 * MINUTE), is_too_much))
    assert log.slices == [(0, 1), (0, 0.5), (0, pytest.approx(1 / 3))]


def test_the_last_slice_is_halved_by_its_actual_length() -> None:
    log = Log([0, 1, 2, 3], most=3)
    slicing = Slicing(first=8 * HOUR)
    assert list(in_slices(window(0.1), log.read, slicing, is_too_much)) == [0, 1, 2, 3]
    assert log.slices == [(0, 0.1), (0, 0.05), (0.05, 0.1)]


def test_other_errors_end_the_run() -> None:
    def read(part: TimeRange) -> Iterator[int]:
        raise ConnectionLostError

    with pytest.raises(ConnectionLostError):
        list(in_slices(window(1), read, Slicing(), is_too_much))


def test_without_a_rule_no_slice_is_too_large() -> None:
    with pytest.raises(TooMuchDataError):
        list(in_slices(window(1), Log([0, 1], most=1).read, Slicing()))


def test_rows_are_streamed() -> None:
    def read(part: TimeRange) -> Iterator[int]:
        yield 1
        pytest.fail("read ahead")

    assert next(in_slices(window(1), read, Slicing())) == 1


@given(
    minutes=st.lists(st.integers(0, 59), max_size=200).map(sorted),
    most=st.integers(1, 50),
    first=st.none() | st.integers(1, 90),
    few=st.none() | st.integers(0, 10),
    many=st.none() | st.integers(10, 50),
)
def test_every_row_is_read_once_in_order_or_the_run_ends(
    minutes: list[int], most: int, first: int | None, few: int | None, many: int | None
) -> None:
    log = Log(minutes, most)
    slicing = Slicing(first * MINUTE if first else None, MINUTE, few, many)
    try:
        found = list(in_slices(window(1), log.read, slicing, is_too_much))
    except TooMuchDataError:
        assert max(minutes.count(minute) for minute in minutes) > most or most < 2
        return
    assert found == minutes
