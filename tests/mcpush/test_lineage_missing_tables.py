"""Edges through missing tables: the sources of a missing table replace it, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcpush.lineage.graph import (
    EXACT,
    PARSED,
    PARTIAL,
    LineageTarget,
    bypass_missing_tables,
    external_asset,
    merge_by_target,
    missing_tables,
)
from mcpush.lineage.query_log import FullName, LoggedStatement, statement_lineage
from mcpush.records import Asset
from mcpush.sql import Defaults, TableName

Edge = tuple[str, str]  # source table, target table
Flow = tuple[str, str, str, str]  # source table and column, target table and column


def table(name: str) -> Asset:
    return Asset("TABLE", "D", "S", name)


def written(*flows: Edge | Flow, certainty: str = PARSED) -> list[LineageTarget]:
    made = []
    for flow in flows:
        if len(flow) == 2:
            destination = LineageTarget(table(flow[1]), "test", certainty)
            destination.add(table(flow[0]))
        else:
            destination = LineageTarget(table(flow[2]), "test", certainty)
            destination.add(table(flow[0]), flow[3], flow[1])
        made.append(destination)
    return made


def edges(found: Iterable[LineageTarget]) -> set[Edge]:
    return {(source.name, each.asset.name) for each in found for source in each.sources.values()}


def flows(found: Iterable[LineageTarget]) -> set[Flow]:
    return {
        (each.sources[key].name, column, each.asset.name, target)
        for each in found
        for target, pairs in each.columns.items()
        for key, column in pairs
    }


def only(*names: str) -> dict[str, Asset]:
    return {name: table(name) for name in names}


def bypassed(found: Iterable[LineageTarget], existing: Iterable[str]) -> tuple[dict[str, LineageTarget], list[str]]:
    """The existing targets by name, and the names of the missing tables."""
    exists = set(only(*existing).values()).__contains__
    targets = merge_by_target(found)
    kept = {each.asset.name: each for each in bypass_missing_tables(targets, exists)}
    return kept, [asset.name for asset in missing_tables(targets.values(), exists)]


def test_the_sources_of_a_missing_table_replace_it() -> None:
    found = written(("A", "a", "TMP", "t"), ("B", "TMP"), ("TMP", "t", "OUT", "o"), ("TMP", "unknown", "OUT", "p"))
    kept, missing = bypassed(found, "AB")
    assert (kept, missing) == ({}, ["TMP", "OUT"])
    kept, missing = bypassed(found, ["A", "B", "OUT"])
    assert edges(kept.values()) == {("A", "OUT"), ("B", "OUT")}
    assert flows(kept.values()) == {("A", "a", "OUT", "o")}
    assert missing == ["TMP"]


def test_a_missing_source_with_unknown_lineage_is_kept_with_its_columns() -> None:
    kept, missing = bypassed(written(("HIDDEN", "h", "OUT", "o")), ["OUT"])
    assert (flows(kept.values()), missing) == ({("HIDDEN", "h", "OUT", "o")}, [])


def test_existing_tables_are_not_bypassed() -> None:
    found = written(("A", "B"), ("B", "C"))
    kept, missing = bypassed(found, "ABC")
    assert (edges(kept.values()), missing) == ({("A", "B"), ("B", "C")}, [])


def test_a_cycle_of_missing_tables_terminates() -> None:
    found = written(("A", "X"), ("X", "Y"), ("Y", "X"), ("Y", "OUT"), ("Z1", "Z2"), ("Z2", "Z1"), ("Z1", "LOST"))
    kept, _ = bypassed(found, ["A", "OUT", "LOST"])
    assert edges(kept.values()) == {("A", "OUT")}


def test_a_path_back_to_the_same_table_through_a_missing_one_is_not_an_edge() -> None:
    found = written(("OUT", "OLD"), ("OLD", "OUT"), ("A", "OUT"))
    kept, _ = bypassed(found, ["A", "OUT"])
    assert edges(kept.values()) == {("A", "OUT")}


@pytest.mark.parametrize(
    ("of_target", "of_missing", "result"),
    [(EXACT, EXACT, EXACT), (EXACT, PARSED, PARSED), (PARSED, PARTIAL, PARTIAL), (PARTIAL, EXACT, PARTIAL)],
)
def test_an_edge_is_as_certain_as_the_least_certain_edge_on_its_path(
    of_target: str, of_missing: str, result: str
) -> None:
    found = [*written(("A", "TMP"), certainty=of_missing), *written(("TMP", "OUT"), certainty=of_target)]
    kept, _ = bypassed(found, ["A", "OUT"])
    assert kept["OUT"].certainty == result
    assert kept["OUT"].origin == "test"
    kept, _ = bypassed(found, ["A", "OUT", "TMP"])
    assert kept["OUT"].certainty == of_target


def test_the_more_certain_of_two_paths_to_a_source_counts() -> None:
    found = [*written(("A", "TMP"), certainty=PARTIAL), *written(("TMP", "OUT"), ("A", "OUT"), certainty=EXACT)]
    kept, _ = bypassed(found, ["A", "OUT"])
    assert (edges(kept.values()), kept["OUT"].certainty) == ({("A", "OUT")}, EXACT)


def test_a_missing_source_with_unknown_lineage_can_be_dropped() -> None:
    targets = merge_by_target(written(("HIDDEN", "h", "OUT", "o"), ("A", "OUT"), ("HIDDEN", "LOST")))
    exists = set(only("A", "OUT", "LOST").values()).__contains__
    kept = list(bypass_missing_tables(targets, exists, drop_unknown=True))
    assert (edges(kept), flows(kept)) == ({("A", "OUT")}, set())


def test_columns_of_a_missing_table_match_case_insensitively_but_an_exact_match_comes_first() -> None:
    found = written(("A", "a", "TMP", "T"), ("B", "b", "TMP", "u"), ("C", "c", "TMP", "U"), ("TMP", "t", "OUT", "x"))
    kept, _ = bypassed([*found, *written(("TMP", "u", "OUT", "y"))], ["A", "B", "C", "OUT"])
    assert flows(kept.values()) == {("A", "a", "OUT", "x"), ("B", "b", "OUT", "y")}


def test_external_paths_always_exist() -> None:
    path = external_asset("s3://lake/orders/")
    unloaded, loaded = LineageTarget(path, "test", PARSED), LineageTarget(table("OUT"), "test", PARSED)
    unloaded.add(table("A"))
    loaded.add(path)
    targets, exists = merge_by_target([unloaded, loaded]), {table("A"), table("OUT")}.__contains__
    assert {each.asset: list(each.sources.values()) for each in bypass_missing_tables(targets, exists)} == {
        path: [table("A")],
        table("OUT"): [path],
    }
    assert missing_tables(targets.values(), exists) == []


# The statements dbt runs where it cannot replace a table: https://docs.getdbt.com/faqs/Models/sql-dialect
DBT_TABLE = (
    "begin",
    'create table "dbt_alice"."test_model__dbt_tmp" as (select id as my_column from "raw"."orders")',
    'alter table "dbt_alice"."test_model" rename to "test_model__dbt_backup"',
    'alter table "dbt_alice"."test_model__dbt_tmp" rename to "test_model"',
    "commit",
    "begin",
    'drop table if exists "dbt_alice"."test_model__dbt_backup" cascade',
    "commit",
)


def test_the_sources_of_a_dbt_table_are_those_of_its_model() -> None:
    def complete(name: TableName) -> FullName | None:
        return (
            FullName(Asset("TABLE", name.database, name.schema, name.name)) if name.database and name.schema else None
        )

    texts = [LoggedStatement(text, session="1", defaults=Defaults("dev")) for text in DBT_TABLE]
    found = merge_by_target(statement_lineage(texts, "redshift", complete, lambda *_: None))
    assert ("test_model__dbt_tmp", "test_model") in edges(found.values())
    existing = {("dev", "raw", "orders"), ("dev", "dbt_alice", "test_model")}
    kept = list(bypass_missing_tables(found, lambda asset: asset.key in existing))
    assert flows(kept) == {("orders", "id", "test_model", "my_column")}
    assert edges(kept) == {("orders", "test_model")}
    missing = missing_tables(found.values(), lambda asset: asset.key in existing)
    assert sorted(asset.name for asset in missing) == ["test_model__dbt_backup", "test_model__dbt_tmp"]


NAMES = "ABCDEF"
NAME, COLUMN = st.sampled_from(NAMES), st.sampled_from("xy")
FLOWS = st.lists(st.tuples(NAME, COLUMN, NAME, COLUMN) | st.tuples(NAME, NAME), max_size=14)


Node = tuple[str, str]  # a table and a column, or "" for the table itself


def reached(steps: set[tuple[Node, Node]], start: Node, through: set[str]) -> set[Node]:
    """The nodes that can be reached from ``start`` on paths through the tables ``through`` only."""
    found: set[Node] = set()
    while (
        further := {to for origin, to in steps if origin == start or (origin in found and origin[0] in through)} - found
    ):
        found |= further
    return found


@given(FLOWS, st.sets(NAME))
def test_bypassing_preserves_the_reachability_of_existing_tables(moved: list[Edge | Flow], existing: set[str]) -> None:
    before = merge_by_target(written(*moved)).values()
    kept, missing = bypassed(written(*moved), existing)
    assert set(missing) == {each.asset.name for each in before} - existing
    assert all(each.sources for each in kept.values())
    missing_names = set(NAMES) - existing
    stays = set(NAMES) - {each.asset.name for each in before if each.sources and each.asset.name in missing_names}
    assert edges(kept.values()) == {
        (origin, to)
        for origin in stays
        for to, _ in reached({((a, ""), (b, "")) for a, b in edges(before)}, (origin, ""), missing_names)
        if to in existing and to != origin
    }
    assert flows(kept.values()) == {
        (origin, column, *to)
        for origin in stays
        for column in "xy"
        for to in reached({((a, b), (c, d)) for a, b, c, d in flows(before)}, (origin, column), missing_names)
        if to[0] in existing and to[0] != origin
    }
