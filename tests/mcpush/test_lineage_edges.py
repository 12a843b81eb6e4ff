"""Lineage targets: what counts as an edge, and which report wins when two describe the same target."""

from __future__ import annotations

import pytest
from mcpush.lineage.graph import (
    EXACT,
    PARSED,
    PARTIAL,
    LineageTarget,
    external_asset,
    listed,
    merge_by_target,
    merge_into_stream,
)
from mcpush.records import Asset

TARGET = Asset("TABLE", "D", "S", "TARGET")
ONE, TWO = Asset("TABLE", "D", "S", "ONE"), Asset("TABLE", "D", "S", "TWO")

Mapping = tuple[str, Asset, str]  # target column, source, source column


def destination(certainty: str, *edges: Asset | Mapping, asset: Asset = TARGET, origin: str = "test") -> LineageTarget:
    made = LineageTarget(asset, origin, certainty)
    for edge in edges:
        if isinstance(edge, Asset):
            made.add(edge)
        else:
            made.add(edge[1], edge[0], edge[2])
    return made


def mappings(of: LineageTarget) -> set[tuple[str, str, str]]:
    """{(target column, source, source column)} of the record, with its source indexes resolved."""
    record = of.record().to_json()
    return {
        (column["name"], record["sources"][source["source"]]["name"], source["name"])
        for column in record["columns"]
        for source in column["sources"]
    }


@pytest.mark.parametrize(
    ("path", "database", "schema"),
    [
        ("s3://lake/orders/", "s3", "lake"),
        ("gcs://lake", "gcs", "lake"),
        ("file:///mnt/orders", "file", "file"),
        ("s3://lake/a://b", "s3", "lake"),
        ("landing/orders.csv", "external", "landing"),
        ("/mnt/orders", "external", "external"),
    ],
)
def test_a_path_has_a_database_and_a_schema(path: str, database: str, schema: str) -> None:
    assert external_asset(path) == ("EXTERNAL", database, schema, path)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("s3://lake/orders/2026/", "s3://lake/orders/"),
        ("s3://lake/orders/y=2026/m=11/d=22/h=09/part-000.parquet", "s3://lake/orders/"),
        ("s3://lake/orders/2026/11/22/09/part-000.parquet", "s3://lake/orders/"),
        ("s3://lake/orders/20261122/a.csv", "s3://lake/orders/"),
        ("s3://lake/orders/2026-11-22T09/a.csv", "s3://lake/orders/"),
        ("s3://lake/orders/2026_11", "s3://lake/orders/"),
        ("s3://lake/dt=x/2026/", "s3://lake/"),
        ("azure://shop.blob.core.windows.net/raw/2026/11/", "azure://shop.blob.core.windows.net/raw/"),
        ("landing/2026/orders.csv", "landing/"),
        ("s3://lake/orders/orders.csv", "s3://lake/orders/orders.csv"),
        ("s3://lake/orders/20261122.csv", "s3://lake/orders/20261122.csv"),
        ("s3://lake/09/42/orders_2026/v2026/", "s3://lake/09/42/orders_2026/v2026/"),
        ("s3://2026/orders", "s3://2026/orders"),
        ("s3://lake/=/orders", "s3://lake/=/orders"),
    ],
)
def test_a_path_is_truncated_before_its_date_parts(path: str, kept: str) -> None:
    assert external_asset(path).name == kept


def test_a_stage_with_the_same_name_as_the_table_is_a_source() -> None:
    made = destination(EXACT, Asset("EXTERNAL", *TARGET.key), Asset("VIEW", *TARGET.key))
    assert [source["type"] for source in made.record().to_json()["sources"]] == ["EXTERNAL"]


def test_lineage_written_under_another_name_is_taken_over() -> None:
    before = destination(PARSED, TARGET, ("A", ONE, "x"), asset=TWO)
    now = destination(EXACT, ("B", ONE, "y"))
    now.take(before)
    assert list(now.sources.values()) == [ONE], "an edge to itself"
    assert mappings(now) == {("A", "ONE", "x"), ("B", "ONE", "y")}
    assert now.certainty == PARSED


def test_an_edge_keeps_its_best_certainty_and_a_target_has_that_of_its_worst_edge() -> None:
    made = LineageTarget(TARGET, "test", PARSED)
    made.add(ONE, certainty=PARTIAL)
    made.add(TWO)
    assert made.certainty == PARTIAL
    made.add(ONE)
    assert made.certainty == PARSED


def test_taking_over_lineage_lowers_the_certainty_even_if_nothing_is_added() -> None:
    now = destination(EXACT, ("A", ONE, "x"), TWO)
    now.take(destination(PARTIAL, ("A", ONE, "x"), asset=TWO))
    assert now.certainty == PARTIAL


def test_a_renamed_table_has_the_columns_of_its_original() -> None:
    renamed, original = destination(PARSED, ONE), destination(PARSED, ("a", TWO, "x"), ("b", TWO, "y"), asset=ONE)
    renamed.copy_columns(original)
    renamed.copy_columns(destination(PARSED, ("c", ONE, "z"), asset=TWO))
    assert mappings(renamed) == {("a", "ONE", "a"), ("b", "ONE", "b")}


def test_sources_and_columns_can_be_ordered_by_name() -> None:
    made = destination(PARSED, ("b", TWO, "y"), ("a", TWO, "z"), ("a", ONE, "x"), ("a", TWO, "y")).ordered()
    assert [source.name for source in made.sources.values()] == ["ONE", "TWO"]
    assert [(name, list(pairs)) for name, pairs in made.columns.items()] == [
        ("a", [(ONE.key, "x"), (TWO.key, "y"), (TWO.key, "z")]),
        ("b", [(TWO.key, "y")]),
    ]


def test_a_record_refers_to_sources_by_index() -> None:
    made = destination(EXACT, TWO, ("A", ONE, "x"), ("A", TWO, "y"), ("B", ONE, "x"), ("A", ONE, "x"))
    assert made.record().to_json() == {
        "destination": {"type": "TABLE", "database": "D", "schema": "S", "name": "TARGET"},
        "sources": [
            {"type": "TABLE", "database": "D", "schema": "S", "name": "TWO"},
            {"type": "TABLE", "database": "D", "schema": "S", "name": "ONE"},
        ],
        "columns": [
            {"name": "A", "sources": [{"source": 1, "name": "x"}, {"source": 0, "name": "y"}]},
            {"name": "B", "sources": [{"source": 1, "name": "x"}]},
        ],
        "origin": "test",
        "certainty": "exact",
    }
    assert listed(made.record()) == "D.S.TARGET <- 2 sources, 2 columns (test)"


def test_a_self_reference_is_not_an_edge_whatever_its_type() -> None:
    made = destination(EXACT, ("A", TARGET, "A"), TARGET._replace(type="VIEW"))
    assert (made.sources, made.columns) == ({}, {})


def test_an_incomplete_column_mapping_is_a_table_edge() -> None:
    made = LineageTarget(TARGET, "test", EXACT)
    made.add(ONE, "A", None)
    made.add(TWO, None, "B")
    assert list(made.sources.values()) == [ONE, TWO]
    assert made.columns == {}


def test_an_exact_target_stays_exact_if_a_text_adds_nothing() -> None:
    exact = destination(EXACT, TWO, ("A", ONE, "x"))
    exact.merge(destination(PARSED, ("A", ONE, "x"), TWO))
    assert exact.certainty == EXACT


def test_edges_that_a_text_adds_have_the_certainty_of_the_text() -> None:
    for added in (TWO, ("B", ONE, "x")):
        exact = destination(EXACT, ("A", ONE, "x"))
        exact.merge(destination(PARSED, added))
        assert exact.certainty == PARSED
    exact.merge(destination(PARTIAL, Asset("TABLE", "D", "S", "THREE")))
    assert exact.certainty == PARTIAL
    parsed = destination(PARSED, ONE)
    parsed.merge(destination(EXACT, TWO))
    assert parsed.certainty == PARSED


def test_a_text_adds_no_mapping_to_a_column_whose_sources_are_known_exactly() -> None:
    exact = destination(EXACT, ("A", ONE, "x"))
    exact.merge(destination(PARSED, ("A", ONE, "other"), ("B", ONE, "y")))
    assert mappings(exact) == {("A", "ONE", "x"), ("B", "ONE", "y")}


@pytest.mark.parametrize("certainties", [(PARSED, PARSED), (PARSED, PARTIAL), (EXACT, EXACT)], ids="-".join)
def test_two_sources_of_one_column_are_combined(certainties: tuple[str, str]) -> None:
    """Two statements write the same column, each from a different table."""
    first = destination(certainties[0], ("A", ONE, "x"))
    first.merge(destination(certainties[1], ("A", TWO, "y")))
    assert mappings(first) == {("A", "ONE", "x"), ("A", "TWO", "y")}
    assert first.certainty == certainties[1]


def test_a_source_is_listed_once_with_the_type_from_the_warehouse() -> None:
    view = ONE._replace(type="VIEW")
    text, exact = destination(PARSED, TWO, ("A", ONE, "x")), destination(EXACT, view)
    text.merge(exact)
    assert list(text.sources.values()) == [TWO, view]
    assert mappings(text) == {("A", "ONE", "x")}
    exact.merge(destination(PARSED, ONE))
    assert list(exact.sources.values()) == [view]


def test_indexes_are_correct_if_the_sources_are_in_another_order() -> None:
    first = destination(PARSED, ONE, ("A", TWO, "y"))
    first.merge(destination(PARSED, TWO, ("B", TWO, "y"), ("C", ONE, "x")))
    assert mappings(first) == {("A", "TWO", "y"), ("B", "TWO", "y"), ("C", "ONE", "x")}


def test_merging_by_target_returns_each_target_once() -> None:
    other = TARGET._replace(name="OTHER")
    found = [destination(PARSED, ONE, origin="first"), destination(EXACT, TWO, asset=other), destination(PARSED, TWO)]
    held = merge_by_target(found)
    assert list(held) == [TARGET.key, other.key]
    assert list(held[TARGET.key].sources.values()) == [ONE, TWO]
    assert held[TARGET.key].origin == "first"


def test_merging_into_a_stream_adds_known_lineage_and_ends_with_the_rest() -> None:
    other, third = TARGET._replace(name="OTHER"), TARGET._replace(name="THIRD")
    known = merge_by_target([destination(PARSED, TWO), destination(PARSED, ONE, asset=third)])
    stream = iter([destination(EXACT, ONE, asset=other), destination(EXACT, ONE)])
    found = list(merge_into_stream(stream, known))
    assert [each.asset for each in found] == [other, TARGET, third]
    assert [list(each.sources.values()) for each in found] == [[ONE], [ONE, TWO], [ONE]]
