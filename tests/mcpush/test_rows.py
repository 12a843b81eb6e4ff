"""Rows with named fields, which are matched to the columns of the result by name."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from mcpush.collect.rows import fetch_in_batches, named_rows
from mcpush.records import known


class TableRow(NamedTuple):
    schema_name: str
    table_name: str
    row_count: int | None


class ShownRow(NamedTuple):
    name: str
    text: str | None = None


def test_fields_are_filled_by_name_in_any_order_and_case() -> None:
    expected = [TableRow("S", "T", 3)]
    assert list(named_rows(TableRow, ["SCHEMA_NAME", "TABLE_NAME", "ROW_COUNT"], [("S", "T", 3)])) == expected
    assert list(named_rows(TableRow, ["row_count", "schema_name", "table_name"], [[3, "S", "T"]])) == expected


def test_a_column_that_is_missing_or_has_no_field_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"TableRow has no column for \['row_count'\]"):
        named_rows(TableRow, ["schema_name", "table_name"], [])
    with pytest.raises(ValueError, match=r"no field for \['owner'\]"):
        named_rows(TableRow, ["schema_name", "table_name", "row_count", "owner"], [])
    with pytest.raises(ValueError, match=r"ShownRow has no column for \['name'\]"):
        named_rows(ShownRow, ["text"], [])


def test_a_row_with_default_values_ignores_additional_columns() -> None:
    found = named_rows(ShownRow, ["created_on", "name"], [("now", "T")])
    assert found.columns == ["created_on", "name"]
    assert list(found) == [ShownRow("T", None)]
    assert list(named_rows(ShownRow, ["name", "text"], [("T", "SELECT 1")])) == [ShownRow("T", "SELECT 1")]


class FakeCursor:
    """A cursor over numbers that records how many are requested."""

    def __init__(self, rows: int) -> None:
        self._left, self.requested = [(number,) for number in range(rows)], list[int]()

    def fetchmany(self, size: int, /) -> list[tuple[int]]:
        self.requested.append(size)
        found, self._left = self._left[:size], self._left[size:]
        return found


def test_rows_are_fetched_as_they_are_read() -> None:
    cursor = FakeCursor(5)
    rows = fetch_in_batches(cursor, 2)
    assert [next(rows), next(rows)] == [(0,), (1,)]
    assert cursor.requested == [2]
    assert list(rows) == [(2,), (3,), (4,)]
    assert cursor.requested == [2, 2, 2, 2]


def test_known_values_are_neither_none_nor_empty() -> None:
    assert known({"a": None, "b": "", "c": 0, "d": False, "e": "x"}) == {"c": 0, "d": False, "e": "x"}
