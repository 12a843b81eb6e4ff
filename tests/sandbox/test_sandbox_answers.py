"""GraphQL results in both directions, below and above each limit, and for tables with the same name."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from tests.sandbox.test_sandbox_graphql import (
    FAR_AHEAD,
    GRAPH,
    LONG_AGO,
    METRIC,
    QUERIES,
    TABLE,
    TABLES,
    Shop,
    asset,
    push,
    push_metadata,
    push_queries,
    reference,
)
from tests.sandbox_process import SandboxProcess

MICROSECONDS = 1_000_000
TEN_DAYS = 10 * 24 * 3600 * MICROSECONDS
COLUMNS = """query($mcon: String) { getTableColumnsLineage(mcon: $mcon) {
    columnsLineage { selectedColumn lineageSources { mcon sourceColumns { columnName } } } } }"""
DERIVED = """query($mcon: String, $size: Int, $cursor: String) {
    getDerivedTablesPartialLineage(mcon: $mcon, pageSize: $size, cursor: $cursor) {
      destinations { mcon columns { columnName } } isLastPage cursor } }"""


@pytest.fixture(scope="module")
def shop(sandbox: SandboxProcess) -> Shop:
    return Shop(sandbox, "", "")


def push_edges(sandbox: SandboxProcess, *edges: tuple[str, str]) -> None:
    """Push lineage edges, each as "schema.name" of source and destination. Column ``in`` feeds column ``out``."""
    events = [
        {
            "destination": reference(*reversed(destination.split("."))),
            "sources": [reference(*reversed(source.split(".")), asset_id="s")],
            "fields": [{"name": "out", "source_fields": [{"asset_id": "s", "field_name": "in"}]}],
        }
        for source, destination in edges
    ]
    resource = {"uuid": sandbox.resource(), "resource_type": "snowflake"}
    push(sandbox, "lineage", {"event_type": "COLUMN_LINEAGE", "resource": resource, "events": events})


def columns_into(shop: Shop, table: str) -> list[tuple[str, str, str]]:
    """Return (column, source table, source column) of each column of a table."""
    answer = shop.ask(COLUMNS, mcon=shop.mcon(f"SHOP:{table}"))
    return [
        (column["selectedColumn"], source["mcon"].rpartition(":")[2], each["columnName"])
        for column in answer["columnsLineage"]
        for source in column["lineageSources"]
        for each in source["sourceColumns"]
    ]


def derived_from(shop: Shop, table: str) -> list[tuple[str, list[str]]]:
    """Return the derived tables, each as (table, its derived columns)."""
    answer = shop.ask(DERIVED, mcon=shop.mcon(f"SHOP:{table}"))
    return [
        (each["mcon"].rpartition(":")[2], [column["columnName"] for column in each["columns"]])
        for each in answer["destinations"]
    ]


@pytest.mark.parametrize(
    ("table", "upstream", "downstream"),
    [
        ("way.first", [], ["way.second"]),
        ("way.second", ["way.first"], ["way.third"]),
        ("way.third", ["way.second"], []),
    ],
)
def test_each_direction_has_its_own_tables_and_columns(
    sandbox: SandboxProcess, shop: Shop, table: str, upstream: list[str], downstream: list[str]
) -> None:
    push_edges(sandbox, ("way.first", "way.second"), ("way.second", "way.third"))
    for direction, next_to_it in (("upstream", upstream), ("downstream", downstream)):
        graph = shop.ask(GRAPH, mcon=shop.mcon(f"SHOP:{table}"), direction=direction)
        mcons = [shop.mcon(f"SHOP:{each}") for each in next_to_it]
        assert [node["mcon"] for node in graph["connectedNodes"]] == mcons
        edges = [{"mcon": shop.mcon(f"SHOP:{table}"), "directlyConnectedMcons": mcons}]
        assert graph["flattenedEdges"] == (edges if mcons else [])
        base = graph["baseNode"]
        assert (base["hasUpstreamNodes"], base["hasDownstreamNodes"]) == (bool(upstream), bool(downstream))
    assert columns_into(shop, table) == [("out", each, "in") for each in upstream]
    assert derived_from(shop, table) == [(each, ["out"]) for each in downstream]


def test_column_lineage_expires_ten_days_after_its_last_push(sandbox: SandboxProcess, shop: Shop) -> None:
    push_edges(sandbox, ("age.source", "age.young"), ("age.source", "age.old"))

    def grow_older(name: str, microseconds: int) -> None:
        with sqlite3.connect(sandbox.data_dir / "sandbox.db", timeout=60) as database:
            database.execute(
                """
                UPDATE column_edges
                SET seen = seen - ?
                WHERE destination IN (SELECT node_id FROM nodes WHERE schema = 'age' AND name = ?)
                """,
                (microseconds, name),
            )
        database.close()

    grow_older("young", TEN_DAYS - 3600 * MICROSECONDS)  # the test takes less than an hour
    grow_older("old", TEN_DAYS)
    assert columns_into(shop, "age.young") == [("out", "age.source", "in")]
    assert columns_into(shop, "age.old") == []
    assert derived_from(shop, "age.source") == [("age.young", ["out"])]
    graph = shop.ask(GRAPH, mcon=shop.mcon("SHOP:age.old"), direction="upstream")
    assert [node["displayName"] for node in graph["connectedNodes"]] == ["source"]
    push_edges(sandbox, ("age.source", "age.old"))
    assert columns_into(shop, "age.old") == [("out", "age.source", "in")]


def test_tables_that_feed_each_other_are_not_connected_to_themselves(sandbox: SandboxProcess, shop: Shop) -> None:
    push_edges(sandbox, ("circle.one", "circle.other"), ("circle.other", "circle.one"))
    for direction in ("upstream", "downstream"):
        graph = shop.ask(GRAPH, mcon=shop.mcon("SHOP:circle.one"), direction=direction, hops=3)
        assert [node["displayName"] for node in graph["connectedNodes"]] == ["other"]


def test_volumes_older_than_42_days_do_not_train_the_detector(sandbox: SandboxProcess, shop: Shop) -> None:
    push_metadata(sandbox, *(asset(name, schema="weighed", volume={"row_count": 1}) for name in ("young", "old")))
    with sqlite3.connect(sandbox.data_dir / "sandbox.db", timeout=60) as database:
        database.execute(
            """
            UPDATE volumes
            SET measured = measured - ?
            WHERE node_id IN (SELECT node_id FROM nodes WHERE schema = 'weighed' AND name = 'old')
            """,
            (42 * 24 * 3600 * MICROSECONDS,),
        )
    database.close()
    found = {
        name: shop.ask(TABLE, resource=sandbox.resource(), table=f"SHOP:weighed.{name}")["thresholds"]["size"][
            "sdStatus"
        ]
        for name in ("young", "old")
    }
    assert found == {"young": "TRAINING", "old": "INACTIVE"}


def test_a_push_of_volume_and_freshness_keeps_all_other_fields(sandbox: SandboxProcess, shop: Shop) -> None:
    said: dict[str, Any] = {
        "fields": [{"name": "id", "type": "NUMBER", "description": "key"}],
        "tags": [{"key": "owner", "value": "ana"}],
        "metadata": {"description": "a view", "view_query": "SELECT id FROM t", "created_on": "2020-01-01T00:00:00Z"},
    }
    push_metadata(sandbox, asset("kept", "VIEW", **said, freshness={"last_update_time": "2026-03-01T10:00:00Z"}))
    before = shop.ask(TABLE, resource=sandbox.resource(), table="SHOP:raw.kept")
    measured: dict[str, Any] = {"volume": {"row_count": 1}, "freshness": {"last_update_time": "2026-03-01T11:00:00Z"}}
    second = push_metadata(sandbox, asset("kept", "VIEW", **measured))
    found = shop.ask(TABLE, resource=sandbox.resource(), table="SHOP:raw.kept")
    assert before["viewQuery"] == "SELECT id FROM t"
    assert found["thresholds"]["size"]["sdStatus"] == "TRAINING"
    assert found == before | {
        "lastUpdatedOn": "2026-03-01T11:00:00Z",
        "ingestInvocationId": second,
        "thresholds": found["thresholds"],
    }


def test_columns_have_a_new_version_only_when_they_differ(sandbox: SandboxProcess, shop: Shop) -> None:
    first, second = [{"name": "a", "type": "NUMBER"}], [{"name": "a", "type": "TEXT"}]
    for fields, has_earlier in ((first, False), (first, False), (second, True)):
        push_metadata(sandbox, asset("versioned", fields=fields))
        found = shop.ask(TABLE, resource=sandbox.resource(), table="SHOP:raw.versioned")["versions"]
        (version,) = found["edges"]
        types = [edge["node"]["fieldType"] for edge in version["node"]["fields"]["edges"]]
        assert (types, found["pageInfo"]["hasNextPage"]) == ([fields[0]["type"]], has_earlier)


def test_metadata_corrects_the_type_that_lineage_guessed(sandbox: SandboxProcess, shop: Shop) -> None:
    push_edges(sandbox, ("typed.source", "typed.view"))
    push_metadata(sandbox, asset("view", "VIEW", schema="typed"))
    assert shop.ask(TABLE, resource=sandbox.resource(), table="SHOP:typed.view")["tableType"] == "VIEW"
    graph = shop.ask(GRAPH, mcon=shop.mcon("SHOP:typed.source"), direction="downstream")
    assert [(node["displayName"], node["objectType"]) for node in graph["connectedNodes"]] == [("view", "view")]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", ["SELECT 1 FROM q", "INSERT INTO q2 SELECT 1 FROM q"]),
        (', user: "ana"', ["SELECT 1 FROM q", "INSERT INTO q2 SELECT 1 FROM q"]),
        (', user: "bob"', []),
        (", category: insert_into", ["INSERT INTO q2 SELECT 1 FROM q"]),
        (", category: merge", []),
    ],
)
def test_queries_are_filtered_by_user_and_category(
    sandbox: SandboxProcess, shop: Shop, arguments: str, found: list[str]
) -> None:
    push_metadata(sandbox, asset("q", schema="asked"))
    push_queries(sandbox, ("50:00", "SELECT 1 FROM q"), ("50:00", "INSERT INTO q2 SELECT 1 FROM q"))
    document = f"""query($mcon: String!) {{ getAggregatedQueries(
        mcon: $mcon, startTime: "{LONG_AGO}", endTime: "{FAR_AHEAD}", queryType: read, limit: 9{arguments}
    ) {{ aggregatedQueries {{ latestQuery }} }} }}"""
    answer = shop.ask(document, mcon=shop.mcon("SHOP:asked.q"))["aggregatedQueries"]
    assert sorted(query["latestQuery"] for query in answer) == sorted(found)


def test_tables_with_the_same_name_are_kept_apart(sandbox: SandboxProcess, shop: Shop) -> None:
    sizes = {"one": 11, "two": 22}
    for schema, size in sizes.items():
        fields = [{"name": f"of_{schema}", "type": "NUMBER"}]
        said = {"description": schema}
        rows, updated = {"row_count": size}, {"last_update_time": f"2026-03-01T{size}:00:00Z"}
        twin = asset("twin", schema=schema, fields=fields, metadata=said, volume=rows, freshness=updated)
        push_metadata(sandbox, twin)
        push_edges(sandbox, (f"{schema}.twin", f"{schema}.child"))
    texts = ["SELECT 1 FROM one.twin", "SELECT 2, 2 FROM shop.two.twin", "SELECT 3, 3, 3 FROM twin"]
    push_queries(sandbox, *((f"30:0{second}", text) for second, text in enumerate(texts)))

    def of(schema: str) -> dict[str, Any]:
        mcon = shop.mcon(f"SHOP:{schema}.twin")
        table = shop.ask(TABLE, resource=sandbox.resource(), table=f"SHOP:{schema}.twin")
        (version,) = table["versions"]["edges"]
        window = {"start": LONG_AGO, "end": FAR_AHEAD, "limit": 10}
        queries = shop.ask(QUERIES, mcon=mcon, type="read", **window)["aggregatedQueries"]
        rows = shop.ask(METRIC, metric="total_row_count", mcon=mcon)["metrics"]
        return {
            "description": table["description"],
            "updated": table["lastUpdatedOn"],
            "columns": [edge["node"]["name"] for edge in version["node"]["fields"]["edges"]],
            "rows": [sample["value"] for sample in rows],
            "queries": [query["latestQuery"] for query in queries],
            "children": derived_from(shop, f"{schema}.twin"),
        }

    # The query with the unqualified name could mean either table, so it counts for neither.
    for schema, text in (("one", texts[0]), ("two", texts[1])):
        assert of(schema) == {
            "description": schema,
            "updated": f"2026-03-01T{sizes[schema]}:00:00Z",
            "columns": [f"of_{schema}"],
            "rows": [sizes[schema]],
            "queries": [text],
            "children": [(f"{schema}.child", ["out"])],
        }


SIZE = 3


@pytest.mark.parametrize(("first", "pages"), [(SIZE - 1, [2, 1]), (SIZE, [3]), (SIZE + 1, [3])])
def test_a_full_last_page_has_no_next_page(sandbox: SandboxProcess, shop: Shop, first: int, pages: list[int]) -> None:
    """Each kind of page has three entries: tables of a push, columns, derived tables, and queries."""
    names = [f"page_{number}" for number in range(SIZE)]
    columns = [{"name": name, "type": "NUMBER"} for name in names]
    pushed = push_metadata(sandbox, *(asset(name, schema="paged", fields=columns) for name in names))
    push_edges(sandbox, *(("paged.source", f"paged.{name}") for name in names))
    push_queries(sandbox, *((f"40:0{at}", f"SELECT {'x, ' * at} y FROM paged.page_0") for at in range(SIZE)))

    def tables(after: str | None) -> tuple[int, bool, str | None]:
        page = shop.ask(TABLES, push=pushed, first=first, after=after)
        return len(page["edges"]), page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]

    def fields(after: str | None) -> tuple[int, bool, str | None]:
        table = shop.ask(TABLE, resource=sandbox.resource(), table="SHOP:paged.page_0", first=first, after=after)
        page = table["versions"]["edges"][0]["node"]["fields"]
        return len(page["edges"]), page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]

    def derived(after: str | None) -> tuple[int, bool, str | None]:
        page = shop.ask(DERIVED, mcon=shop.mcon("SHOP:paged.source"), size=first, cursor=after)
        return len(page["destinations"]), not page["isLastPage"], page["cursor"]

    def queries(after: str | None) -> tuple[int, bool, str | None]:
        window = {"start": LONG_AGO, "end": FAR_AHEAD, "limit": first, "cursor": after}
        page = shop.ask(QUERIES, mcon=shop.mcon("SHOP:paged.page_0"), type="read", **window)
        return len(page["aggregatedQueries"]), page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]

    for read in (tables, fields, derived, queries):
        found: list[int] = []
        after, more = None, True
        while more and len(found) <= SIZE:
            count, more, after = read(after)
            found.append(count)
        assert (read.__name__, found) == (read.__name__, pages)
