"""Reading a catalog with results that are too large, truncated or refused: each table is read once or counted."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcpush.collect.catalog import (
    UNREADABLE_DATABASE,
    UNREADABLE_SCHEMA,
    Key,
    Part,
    Reading,
    SortedRows,
    SplitDatabase,
    each_readable,
    listed_table,
    pages,
    read_or_fallback,
    read_or_skip,
)
from mcpush.collect.collector import Options
from mcpush.collect.filters import Filters
from mcpush.errors import RefusedError


class TooMuchDataError(Exception):
    pass


class UnreadableError(Exception):
    pass


class ConnectionLostError(Exception):
    pass


def is_unreadable(error: BaseException) -> bool:
    return isinstance(error, UnreadableError)


def is_too_much(error: BaseException) -> bool:
    return isinstance(error, TooMuchDataError)


def new_options() -> Options:
    return Options(Filters(), Namespace())


# --- database, schema, name range -----------------------------------------------------------------------


@dataclass
class FakeDatabase:
    """Tables and their sizes. Reading a part whose total size exceeds ``limit`` fails after ``cut`` tables.

    Schemas in ``denied`` cannot be read.
    """

    tables: dict[Key, int]
    limit: int = 10**9
    cut: int = 0
    names_limit: int = 10**9
    denied: frozenset[str] = frozenset()
    parts: list[Part] = field(default_factory=list)

    def read(self, part: Part) -> Iterator[Key]:
        self.parts.append(part)
        keys = sorted(key for key in self.tables if self._contains(part, key))
        if part.schema in self.denied:
            raise UnreadableError("not granted")
        is_refused = sum(self.tables[key] for key in keys) > self.limit
        for number, key in enumerate(keys):
            if is_refused and number >= self.cut:
                break
            yield key
        if is_refused:
            raise TooMuchDataError("too much data")

    @staticmethod
    def _contains(part: Part, key: Key) -> bool:
        schema, name = key
        if part.schema not in (None, schema):
            return False
        return part.first is None or part.last is None or part.first <= name <= part.last

    def names(self, schema: str) -> list[str]:
        found = sorted(name for key, name in self.tables if key == schema)
        if len(found) > self.names_limit:
            raise TooMuchDataError("too much data")
        return found

    def collect(self, options: Options) -> Iterator[Key]:
        return SplitDatabase(
            "D",
            options,
            self.read,
            key=lambda key: key,
            schemas=lambda: sorted({schema for schema, _ in self.tables}),
            names=self.names,
            is_unreadable=is_unreadable,
            is_too_much=is_too_much,
        ).items()


KEYS = st.tuples(st.sampled_from(["A", "B", "a", "é"]), st.sampled_from("abcdefgé日"))


@given(
    tables=st.dictionaries(KEYS, st.integers(1, 9), max_size=30),
    limit=st.integers(1, 60),
    cut=st.integers(0, 12),
)
def test_every_table_is_read_once_in_order_or_counted(tables: dict[Key, int], limit: int, cut: int) -> None:
    database, options = FakeDatabase(tables, limit, cut), new_options()
    if tables and not cut and min(tables.values()) > limit:
        with pytest.raises(TooMuchDataError):  # nothing can be read
            list(database.collect(options))
        return
    found = list(database.collect(options))
    # A table that is too large by itself can still be read: in a part that is truncated after it.
    assert found == sorted(set(found))
    missing = tables.keys() - found
    assert all(tables[key] > limit for key in missing)
    assert options.skipped.get(UNREADABLE_SCHEMA, 0) == len(missing)


def test_a_database_within_the_limit_is_read_in_one_statement() -> None:
    database, options = FakeDatabase({("A", "x"): 1, ("B", "y"): 1}), new_options()
    assert list(database.collect(options)) == [("A", "x"), ("B", "y")]
    assert database.parts == [Part()]
    assert options.skipped == {}


def test_after_truncation_reading_continues_after_the_last_table() -> None:
    tables = {(schema, name): 1 for schema in "ABC" for name in "wxyz"}
    database, options = FakeDatabase(tables, limit=4, cut=6), new_options()
    assert list(database.collect(options)) == sorted(tables)
    assert database.parts == [Part(), Part("B", "y", "z"), Part("C")]
    assert options.skipped == {}


def test_a_schema_that_is_too_large_is_read_by_name_ranges() -> None:
    tables = {("A", f"t{number}"): 1 for number in range(8)}
    database, options = FakeDatabase(tables, limit=3), new_options()
    assert list(database.collect(options)) == sorted(tables)
    assert database.parts == [
        Part(),
        Part("A"),
        Part("A", "t0", "t3"),
        Part("A", "t0", "t1"),
        Part("A", "t2", "t3"),
        Part("A", "t4", "t7"),
        Part("A", "t4", "t5"),
        Part("A", "t6", "t7"),
    ]
    assert [part.values for part in database.parts[:3]] == [[], ["A"], ["A", "t0", "t3"]]


@pytest.mark.parametrize("tables_in_schema", [1, 2, 3, 4, 7])
def test_ranges_go_down_to_single_tables(tables_in_schema: int) -> None:
    tables = {("A", f"t{number}"): 1 for number in range(tables_in_schema)} | {("B", "t"): 1}
    database, options = FakeDatabase(tables, limit=1), new_options()
    assert list(database.collect(options)) == sorted(tables)
    assert options.skipped == {}


def test_a_table_that_is_too_large_by_itself_is_counted_and_the_rest_is_read() -> None:
    tables = {("A", "huge"): 99, ("A", "small"): 1, ("B", "small"): 1}
    options = new_options()
    assert list(FakeDatabase(tables, limit=5).collect(options)) == [("A", "small"), ("B", "small")]
    assert options.skipped == {UNREADABLE_SCHEMA: 1}
    assert options.skipped_examples == {UNREADABLE_SCHEMA: "D.A.huge: too much data"}


def test_a_database_of_which_no_part_can_be_read_is_not_empty() -> None:
    """An empty catalog would look as if all tables had been dropped."""
    database, options = FakeDatabase({("A", "x"): 5, ("B", "y"): 6}, limit=4), new_options()
    with pytest.raises(TooMuchDataError):
        list(database.collect(options))


def test_a_schema_whose_names_cannot_be_listed_is_counted_and_the_rest_is_read() -> None:
    tables = {("A", name): 1 for name in "abcd"} | {("B", "x"): 1}
    options = new_options()
    assert list(FakeDatabase(tables, limit=2, names_limit=3).collect(options)) == [("B", "x")]
    assert options.skipped_examples == {UNREADABLE_SCHEMA: "D.A: too much data"}


def test_a_schema_that_cannot_be_read_is_counted_and_the_rest_is_read() -> None:
    tables = {(schema, "t"): 1 for schema in "ABC"}
    options = new_options()
    found = list(FakeDatabase(tables, limit=2, denied=frozenset("B")).collect(options))
    assert found == [("A", "t"), ("C", "t")]
    assert options.skipped_examples == {UNREADABLE_SCHEMA: "D.B: not granted"}


@pytest.mark.parametrize("limit", [10**9, 2, 1])
def test_other_errors_end_the_run(limit: int) -> None:
    def read(part: Part) -> Iterator[Key]:
        if len(part.values) < (limit < 3) + 2 * (limit < 2):
            raise TooMuchDataError
        yield "A", "a"
        raise ConnectionLostError

    database = FakeDatabase({("A", "a"): 1})
    split = SplitDatabase(
        "D", new_options(), read, lambda key: key, lambda: ["A"], database.names, is_unreadable, is_too_much
    )
    with pytest.raises(ConnectionLostError):
        list(split.items())


# --- read or skip ---------------------------------------------------------------------------------------


def raising(error: Exception) -> Callable[[], Any]:
    def read() -> Any:
        raise error

    return read


def test_unreadable_objects_are_counted_with_an_example() -> None:
    options = new_options()
    assert read_or_skip(options, "no tags", lambda: [1], is_unreadable) == [1]
    assert options.skipped == {}
    refused = raising(UnreadableError("not granted"))
    assert read_or_skip(options, "no tags", refused, is_unreadable, lambda error: f"D: {error}") is None
    assert (options.skipped, options.skipped_examples) == ({"no tags": 1}, {"no tags": "D: not granted"})
    with pytest.raises(ConnectionLostError):
        read_or_skip(options, "no tags", raising(ConnectionLostError()), is_unreadable)


@pytest.mark.parametrize(
    ("whole", "part", "found", "counted"),
    [
        (lambda: [1, 2], raising(ConnectionLostError()), ([1, 2], True), {}),
        (raising(UnreadableError("why")), lambda: [1], ([1], False), {"only a part": 1}),
        (raising(UnreadableError("why")), raising(UnreadableError("why")), (None, False), {"nothing": 1}),
    ],
    ids=["whole", "part", "neither"],
)
def test_a_part_is_read_if_the_whole_cannot_be_read(
    whole: Callable[[], Any], part: Callable[[], Any], found: tuple[Any, bool], counted: dict[str, int]
) -> None:
    options = new_options()
    answer = read_or_fallback(options, Reading("only a part", whole), Reading("nothing", part), is_unreadable)
    assert answer == found
    assert options.skipped == counted
    assert options.skipped_examples == dict.fromkeys(counted, "why")


def read_databases(options: Options, databases: Sequence[str]) -> Iterator[str]:
    def read(database: str) -> Iterator[str]:
        yield from (f"{database}.{name}" for name in "xy" if database != "empty")
        if database.startswith("denied"):
            raise UnreadableError("not granted")
        if database == "lost":
            raise ConnectionLostError("connection gone")

    def refusal(refusals: list[str]) -> RefusedError:
        return RefusedError("; ".join(refusals), "Grant something.")

    return each_readable(options, databases, read, is_unreadable, refusal)


def test_unreadable_databases_are_counted_and_the_others_are_read() -> None:
    options = new_options()
    found = list(read_databases(options, ["a", "denied", "b"]))
    assert found == ["a.x", "a.y", "denied.x", "denied.y", "b.x", "b.y"]
    assert options.skipped == {UNREADABLE_DATABASE: 1}
    assert options.skipped_examples == {UNREADABLE_DATABASE: "denied: not granted"}


def test_a_run_in_which_no_database_can_be_read_is_refused() -> None:
    with pytest.raises(RefusedError, match="denied 1: not granted; denied 2: not granted"):
        list(read_databases(new_options(), ["denied 1", "denied 2"]))
    assert list(read_databases(new_options(), [])) == []
    assert list(read_databases(new_options(), ["empty", "denied"]))  # one was readable, but empty


def test_a_lost_connection_ends_the_run_and_skips_no_database() -> None:
    options = new_options()
    found = read_databases(options, ["a", "lost", "b"])
    assert [next(found) for _ in range(4)] == ["a.x", "a.y", "lost.x", "lost.y"]
    with pytest.raises(ConnectionLostError):
        next(found)
    assert options.skipped == {}


@pytest.mark.parametrize("in_part", [False, True], ids=["whole", "part"])
def test_a_lost_connection_is_not_a_reason_to_read_a_part(in_part: bool) -> None:
    options = new_options()
    whole = raising(UnreadableError("why") if in_part else ConnectionLostError())
    part = raising(ConnectionLostError()) if in_part else lambda: [1]
    with pytest.raises(ConnectionLostError):
        read_or_fallback(options, Reading("only a part", whole), Reading("nothing", part), is_unreadable)
    assert options.skipped == {}


# --- merging and pages ----------------------------------------------------------------------------------


@given(st.lists(KEYS), st.sets(KEYS))
def test_sorted_rows_are_returned_by_key(rows: list[Key], requested: set[Key]) -> None:
    merged = SortedRows(sorted(rows), key=lambda row: row)
    for key in sorted(requested):
        expected = [row for row in rows if row == key]
        assert merged.take(key) == expected
        assert merged.take(key) == expected, "a key can be requested again"


def test_sorted_rows_buffer_one_key_at_a_time() -> None:
    given: list[int] = []

    def rows() -> Iterator[Key]:
        for number in range(9):
            given.append(number)
            yield "A", str(number // 3)

    merged = SortedRows(rows(), key=lambda row: row)
    assert len(merged.take(("A", "0"))) == 3
    assert len(given) == 4  # the group and the row after it


def test_pages_span_few_tables_even_if_few_are_selected() -> None:
    names = [f"t{number:02d}" for number in range(20)]
    wanted = [names[place] for place in (0, 1, 7, 8, 19)]
    found = list(pages(wanted, str, names, 8))
    assert found == [["t00", "t01", "t07"], ["t08"], ["t19"]]
    assert list(pages([], str, names, 8)) == []


def test_pages_follow_the_catalogs_order() -> None:
    assert list(pages(["b", "A"], str, ["b", "a", "A"], 2)) == [["b"], ["A"]]


def test_the_list_shows_the_full_name_of_a_table() -> None:
    assert listed_table("D", "S", "T", "dynamic table") == "D.S.T (dynamic table)"
