"""Edges through tables that are gone: what was written into them stands in for them, and nothing else changes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcpush.collect.collector import Options
from mcpush.collect.filters import Filters
from mcpush.lineage.graph import EXACT, PARSED, PARTIAL, Asset, Destination, external, gathered, through_absent
from mcpush.lineage.query_log import LineageLog
from mcpush.lineage.texts import Named, read_log
from mcpush.sql import Defaults

Edge = tuple[str, str]  # from, to
Flow = tuple[str, str, str, str]  # from a table's column, to a table's column


def table(name: str) -> Asset:
    return Asset("TABLE", "D", "S", name)


def written(*flows: Edge | Flow, certainty: str = PARSED) -> list[Destination]:
    made = []
    for flow in flows:
        if len(flow) == 2:
            destination = Destination(table(flow[1]), "test", certainty)
            destination.add(table(flow[0]))
        else:
            destination = Destination(table(flow[2]), "test", certainty)
            destination.add(table(flow[0]), flow[3], flow[1])
        made.append(destination)
    return made


def edges(found: Iterable[Destination]) -> set[Edge]:
    return {(source.name, each.asset.name) for each in found for source in each.sources.values()}


def flows(found: Iterable[Destination]) -> set[Flow]:
    return {
        (each.sources[key].name, column, each.asset.name, target)
        for each in found
        for target, pairs in each.columns.items()
        for key, column in pairs
    }


def only(*names: str) -> dict[str, Asset]:
    return {name: table(name) for name in names}


def seen_through(found: Iterable[Destination], existing: Iterable[str]) -> tuple[dict[str, Destination], list[str]]:
    kept, absent = through_absent(gathered(found), set(only(*existing).values()).__contains__)
    return {each.asset.name: each for each in kept.values()}, [asset.name for asset in absent]


def test_the_sources_of_a_table_that_is_gone_stand_in_for_it() -> None:
    found = written(("A", "a", "TMP", "t"), ("B", "TMP"), ("TMP", "t", "OUT", "o"), ("TMP", "unknown", "OUT", "p"))
    kept, absent = seen_through(found, "AB")
    assert (kept, absent) == ({}, ["TMP", "OUT"])
    kept, absent = seen_through(found, ["A", "B", "OUT"])
    assert edges(kept.values()) == {("A", "OUT"), ("B", "OUT")}
    assert flows(kept.values()) == {("A", "a", "OUT", "o")}
    assert absent == ["TMP"]


def test_an_absent_source_of_which_nothing_is_known_stays_with_its_columns() -> None:
    kept, absent = seen_through(written(("HIDDEN", "h", "OUT", "o")), ["OUT"])
    assert (flows(kept.values()), absent) == ({("HIDDEN", "h", "OUT", "o")}, [])


def test_tables_that_are_there_are_not_seen_through() -> None:
    found = written(("A", "B"), ("B", "C"))
    kept, absent = seen_through(found, "ABC")
    assert (edges(kept.values()), absent) == ({("A", "B"), ("B", "C")}, [])


def test_a_circle_of_absent_tables_ends() -> None:
    found = written(("A", "X"), ("X", "Y"), ("Y", "X"), ("Y", "OUT"), ("Z1", "Z2"), ("Z2", "Z1"), ("Z1", "LOST"))
    kept, _ = seen_through(found, ["A", "OUT", "LOST"])
    assert edges(kept.values()) == {("A", "OUT")}


def test_what_comes_back_to_a_table_through_an_absent_one_is_no_edge() -> None:
    found = written(("OUT", "OLD"), ("OLD", "OUT"), ("A", "OUT"))
    kept, _ = seen_through(found, ["A", "OUT"])
    assert edges(kept.values()) == {("A", "OUT")}


@pytest.mark.parametrize(
    ("of_target", "of_absent", "result"),
    [(EXACT, EXACT, EXACT), (EXACT, PARSED, PARSED), (PARSED, PARTIAL, PARTIAL), (PARTIAL, EXACT, PARTIAL)],
)
def test_an_edge_is_as_certain_as_the_least_certain_on_its_way(of_target: str, of_absent: str, result: str) -> None:
    found = [*written(("A", "TMP"), certainty=of_absent), *written(("TMP", "OUT"), certainty=of_target)]
    kept, _ = seen_through(found, ["A", "OUT"])
    assert kept["OUT"].certainty == result
    assert kept["OUT"].origin == "test"
    kept, _ = seen_through(found, ["A", "OUT", "TMP"])
    assert kept["OUT"].certainty == of_target


def test_paths_outside_are_always_there() -> None:
    path = external("s3://lake/orders/")
    unloaded, loaded = Destination(path, "test", PARSED), Destination(table("OUT"), "test", PARSED)
    unloaded.add(table("A"))
    loaded.add(path)
    kept, absent = through_absent(gathered([unloaded, loaded]), {table("A"), table("OUT")}.__contains__)
    assert {each.asset: list(each.sources.values()) for each in kept.values()} == {
        path: [table("A")],
        table("OUT"): [path],
    }
    assert absent == []


# What dbt runs where it cannot replace a table: https://docs.getdbt.com/faqs/Models/sql-dialect
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


def test_a_table_that_dbt_makes_comes_from_what_its_model_reads() -> None:
    with LineageLog("redshift", workers=0) as log:
        for text in DBT_TABLE:
            log.add(text, session="1", defaults=Defaults("dev", None))
        found = gathered(
            read_log(
                log,
                lambda it, _: Named(Asset(it["type"], it["database"], it["schema"], it["name"])),
                Options(Filters(), Namespace()),
            )
        )
    assert ("test_model__dbt_tmp", "test_model") in edges(found.values())
    existing = {("dev", "raw", "orders"), ("dev", "dbt_alice", "test_model")}
    kept, absent = through_absent(found, lambda asset: asset.key in existing)
    assert flows(kept.values()) == {("orders", "id", "test_model", "my_column")}
    assert edges(kept.values()) == {("orders", "test_model")}
    assert sorted(asset.name for asset in absent) == ["test_model__dbt_backup", "test_model__dbt_tmp"]


NAMES = "ABCDEF"
NAME, COLUMN = st.sampled_from(NAMES), st.sampled_from("xy")
FLOWS = st.lists(st.tuples(NAME, COLUMN, NAME, COLUMN) | st.tuples(NAME, NAME), max_size=14)


Spot = tuple[str, str]  # a table with a column, or with nothing


def reached(steps: set[tuple[Spot, Spot]], start: Spot, through: set[str]) -> set[Spot]:
    """What is reached from a start, going on from the tables ``through`` only."""
    found: set[Spot] = set()
    while further := {to for come, to in steps if come == start or (come in found and come[0] in through)} - found:
        found |= further
    return found


@given(FLOWS, st.sets(NAME))
def test_what_is_there_is_reached_as_before_and_by_nothing_else(moved: list[Edge | Flow], existing: set[str]) -> None:
    before = gathered(written(*moved)).values()
    kept, absent = seen_through(written(*moved), existing)
    assert set(absent) == {each.asset.name for each in before} - existing
    assert all(each.sources for each in kept.values())
    gone = set(NAMES) - existing
    stays = set(NAMES) - {each.asset.name for each in before if each.sources and each.asset.name in gone}
    assert edges(kept.values()) == {
        (come, to)
        for come in stays
        for to, _ in reached({((a, ""), (b, "")) for a, b in edges(before)}, (come, ""), gone)
        if to in existing and to != come
    }
    assert flows(kept.values()) == {
        (come, column, *to)
        for come in stays
        for column in "xy"
        for to in reached({((a, b), (c, d)) for a, b, c, d in flows(before)}, (come, column), gone)
        if to[0] in existing and to[0] != come
    }
