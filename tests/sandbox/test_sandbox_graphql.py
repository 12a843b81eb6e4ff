"""GraphQL: valid documents return the pushed data, and invalid ones are rejected.

The sandbox validates the documents against the schema of the installed pycarlo.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from pycarlo.common.mcon import MCONParser
from pycarlo.core import Client, Session

from tests.sandbox_process import GraphQLRefusedError, SandboxProcess

LONG_AGO, FAR_AHEAD = "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


@dataclass
class Shop:
    """A sandbox with the data of a small shop: `raw.orders` feeds `mart.daily`, which feeds `mart.report`."""

    sandbox: SandboxProcess
    first_push: str
    second_push: str

    def ask(self, query: str, **variables: Any) -> Any:
        (answer,) = self.sandbox.graphql(query, variables).values()
        return answer

    def mcon(self, full_table_id: str) -> str:
        account = self.sandbox.settings["account"]
        return f"MCON++{account}++{self.sandbox.resource()}++table++{full_table_id}"


def push(sandbox: SandboxProcess, flow: str, body: dict[str, Any]) -> str:
    key = {"x-mcd-id": sandbox.env["MCD_INGEST_ID"], "x-mcd-token": sandbox.env["MCD_INGEST_TOKEN"]}
    answer = requests.post(f"{sandbox.url}/ingest/v1/{flow}", json=body, headers=key, timeout=60)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["invocation_id"])


def asset(name: str, kind: str = "TABLE", schema: str = "raw", **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "database": "SHOP", "schema": schema} | rest.pop("metadata", {})
    return {"relational_asset": {"type": kind, "metadata": metadata, **rest}}


def push_metadata(sandbox: SandboxProcess, *events: dict[str, Any]) -> str:
    resource = {"uuid": sandbox.resource(), "resource_type": "snowflake"}
    return push(sandbox, "metadata", {"event_type": "METADATA", "resource": resource, "events": list(events)})


def reference(name: str, schema: str, **rest: Any) -> dict[str, Any]:
    return {"type": "TABLE", "name": name, "database": "SHOP", "schema": schema, **rest}


def push_lineage(sandbox: SandboxProcess) -> str:
    resource = {"uuid": sandbox.resource(), "resource_type": "snowflake"}
    daily = {
        "destination": reference("daily", "mart"),
        "sources": [reference("orders", "raw", asset_id="o"), reference("rates", "raw", asset_id="r")],
        "fields": [
            {
                "name": "total",
                "source_fields": [
                    {"asset_id": "o", "field_name": "amount"},
                    {"asset_id": "r", "field_name": "rate"},
                ],
            },
            {"name": "day", "source_fields": [{"asset_id": "o", "field_name": "at"}]},
        ],
    }
    report = {"destination": reference("report", "mart"), "sources": [reference("daily", "mart")]}
    body = {"event_type": "COLUMN_LINEAGE", "resource": resource, "events": [daily, report]}
    return push(sandbox, "lineage", body)


def push_queries(sandbox: SandboxProcess, *queries: tuple[str, str]) -> str:
    """Push queries, each as its start within an hour ("MM:SS") and its text."""
    resource = {"uuid": sandbox.resource(), "log_type": "snowflake"}
    events = [
        {
            "start_time": f"2026-03-01T12:{start}Z",
            "end_time": f"2026-03-01T12:{start}.250Z",
            "query_text": text,
            "query_id": start,
            "user": "ana",
        }
        for start, text in queries
    ]
    return push(sandbox, "querylogs", {"event_type": "QUERY_LOG", "resource": resource, "events": events})


@pytest.fixture(scope="module")
def shop(sandbox: SandboxProcess) -> Shop:
    columns = [{"name": "id", "type": "NUMBER(38,0)", "description": "key"}, {"name": "at", "type": "DATE"}]
    amount = {"name": "amount", "type": "NUMBER(10,2)"}
    first = push_metadata(
        sandbox,
        asset(
            "orders",
            fields=columns,
            tags=[{"key": "pii"}, {"key": "owner", "value": "ana"}],
            volume={"row_count": 10, "byte_count": 1000},
            freshness={"last_update_time": "2026-03-01T10:00:00Z"},
            metadata={"description": "what was bought", "created_on": "2020-01-01T00:00:00Z"},
        ),
        asset("rates"),
        asset("daily", "VIEW", "mart", metadata={"view_query": "SELECT 1"}),
    )
    second = push_metadata(
        sandbox,
        asset(
            "orders",
            fields=[*columns, amount],
            volume={"row_count": 12},
            freshness={"last_update_time": "2026-03-01T11:00:00Z"},
        ),
    )
    push_metadata(sandbox, asset("orders", volume={"row_count": 12}))
    push_lineage(sandbox)
    return Shop(sandbox, first, second)


TABLE = """
query table($resource: UUID, $table: String, $first: Int, $after: String) {
  getTable(dwId: $resource, fullTableId: $table) {
    mcon fullTableId friendlyName tableType description viewQuery createdTime isDeleted lastUpdatedOn
    ingestType ingestInvocationId
    objectProperties { propertyName propertyValue propertySourceType }
    warehouse { uuid name connectionType }
    versions(first: 1) {
      edges { node { fields(first: $first, after: $after) {
        edges { node { name fieldType description } } pageInfo { hasNextPage endCursor } } } }
      pageInfo { hasNextPage }
    }
    thresholds { freshness { status reason } size { sdStatus sdReason ucsStatus ucsReason } }
  }
}
"""


def test_a_table_is_returned_as_pushed(shop: Shop) -> None:
    table = shop.ask(TABLE, resource=shop.sandbox.resource(), table="SHOP:raw.orders")
    assert table["mcon"] == shop.mcon("SHOP:raw.orders")
    assert (table["friendlyName"], table["tableType"], table["isDeleted"]) == ("orders", "TABLE", False)
    assert table["description"] == "what was bought"
    assert table["createdTime"] == "2020-01-01T00:00:00Z"
    assert table["lastUpdatedOn"] == "2026-03-01T11:00:00Z"
    assert table["warehouse"]["connectionType"] == "SNOWFLAKE"
    assert table["ingestType"] == "PUSH"
    assert [(tag["propertyName"], tag["propertyValue"]) for tag in table["objectProperties"]] == [
        ("pii", None),
        ("owner", "ana"),
    ]
    (version,) = table["versions"]["edges"]
    fields = [edge["node"] for edge in version["node"]["fields"]["edges"]]
    assert [(field["name"], field["fieldType"]) for field in fields] == [
        ("id", "NUMBER(38,0)"),
        ("at", "DATE"),
        ("amount", "NUMBER(10,2)"),
    ]
    assert fields[0]["description"] == "key"
    # The columns changed once. The third push had no columns and changed nothing.
    assert table["versions"]["pageInfo"]["hasNextPage"] is True


def test_pycarlo_can_parse_the_mcon(shop: Shop) -> None:
    mcon = shop.mcon("SHOP:mart.daily")
    parsed = MCONParser.parse_mcon(mcon)
    assert parsed is not None
    assert str(parsed.resource_id) == shop.sandbox.resource()
    found = shop.ask("query($m: String) { getTable(mcon: $m) { mcon tableType viewQuery } }", m=mcon)
    assert found == {"mcon": mcon, "tableType": "VIEW", "viewQuery": "SELECT 1"}


def test_columns_are_paged(shop: Shop) -> None:
    names: list[str] = []
    after = None
    for _ in range(10):
        resource = shop.sandbox.resource()
        table = shop.ask(TABLE, resource=resource, table="SHOP:raw.orders", first=2, after=after)
        page = table["versions"]["edges"][0]["node"]["fields"]
        names += [edge["node"]["name"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert names == ["id", "at", "amount"]


def test_detectors_are_in_training_until_there_are_enough_samples(sandbox: SandboxProcess, shop: Shop) -> None:
    days = [f"2026-03-{day:02}T00:00:00Z" for day in (1, 3, 5, 7, 9, 11, 15)]
    for day in days:
        push_metadata(sandbox, asset("trained", freshness={"last_update_time": day}))
    for _ in days:
        push_metadata(sandbox, asset("stuck", freshness={"last_update_time": days[0]}))

    def thresholds(name: str) -> Any:
        return shop.ask(TABLE, resource=sandbox.resource(), table=f"SHOP:raw.{name}")["thresholds"]

    assert thresholds("trained")["freshness"] == {"status": "ACTIVE", "reason": None}
    assert thresholds("stuck")["freshness"]["status"] == "TRAINING"
    assert thresholds("stuck")["freshness"]["reason"].startswith("1 update times")
    assert thresholds("rates")["freshness"]["status"] == "INACTIVE"
    assert thresholds("rates")["size"]["sdStatus"] == "INACTIVE"
    assert thresholds("orders")["size"]["sdStatus"] == "TRAINING"
    assert thresholds("orders")["size"]["ucsReason"]


TABLES = """
query tables($resource: UUID, $push: String, $type: String, $first: Int, $after: String) {
  getTables(dwId: $resource, ingestInvocationId: $push, ingestType: $type, first: $first, after: $after) {
    edges { node { fullTableId } cursor }
    pageInfo { hasPreviousPage hasNextPage endCursor }
  }
}
"""


def test_tables_are_found_by_push_and_paged(sandbox: SandboxProcess, shop: Shop) -> None:
    wide = push_metadata(sandbox, *(asset(f"wide_{number:03}") for number in range(250)))
    found: list[str] = []
    after, pages = None, 0
    while True:
        page = shop.ask(TABLES, resource=sandbox.resource(), push=wide, type="push", after=after)
        found += [edge["node"]["fullTableId"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage"] is (pages > 0)
        pages += 1
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert pages == 3
    assert found == [f"SHOP:raw.wide_{number:03}" for number in range(250)]
    # A table belongs to the latest push that contained it.
    still_first = shop.ask(TABLES, push=shop.first_push)["edges"]
    assert [edge["node"]["fullTableId"] for edge in still_first] == ["SHOP:mart.daily", "SHOP:raw.rates"]
    assert shop.ask(TABLES, resource=sandbox.resource("redshift"))["edges"] == []


def test_the_warehouse_reports_what_it_received(tmp_path_factory: pytest.TempPathFactory) -> None:
    ask = """query($id: UUID) { getWarehouse(uuid: $id) {
        name connectionType pushEvents { eventType status firstReceived lastReceived lastInvocationId } } }"""
    with SandboxProcess(tmp_path_factory.mktemp("fresh")) as fresh:
        push_metadata(fresh, asset("a"))
        last = push_metadata(fresh, asset("a"))
        events = fresh.graphql(ask, {"id": fresh.resource()})["getWarehouse"]["pushEvents"]
        others = fresh.graphql(ask, {"id": fresh.resource("data-lake")})["getWarehouse"]
    by_type = {event["eventType"]: event for event in events}
    assert by_type["METADATA"]["status"] == "ACTIVE"
    assert by_type["METADATA"]["lastInvocationId"] == last
    assert by_type["METADATA"]["firstReceived"] < by_type["METADATA"]["lastReceived"]
    assert by_type["LINEAGE"]["status"] == by_type["QUERY_LOGS"]["status"] == "NEVER_RECEIVED"
    assert others["connectionType"] == "DATA_LAKE"
    assert {event["status"] for event in others["pushEvents"]} == {"NEVER_RECEIVED"}


METRIC = """
query metric($metric: String!, $mcon: String!, $end: DateTime, $first: Int, $once: Boolean) {
  getMetricsV4(
    metricName: $metric, startTime: "2000-01-01T00:00:00Z", endTime: $end, metricsFilter: {mcon: $mcon}
    first: $first, deduplicateValues: $once
  ) { metricsJson metrics { value measurementTimestamp } }
}
"""


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("total_row_count", [12, 12, 10]),
        ("total_byte_count", [1000]),
        ("last_updated_on", [1772362800, 1772359200]),
    ],
)
def test_metrics_are_the_samples_newest_first(shop: Shop, metric: str, values: list[float]) -> None:
    answer = shop.ask(METRIC, metric=metric, mcon=shop.mcon("SHOP:raw.orders"))
    assert [sample["value"] for sample in answer["metrics"]] == values
    written = json.loads(answer["metricsJson"])
    assert [sample["value"] for sample in written] == values
    assert written[0]["measurementTimestamp"] == answer["metrics"][0]["measurementTimestamp"]


def test_metrics_can_be_limited_by_time_and_number_and_deduplicated(shop: Shop) -> None:
    mcon = shop.mcon("SHOP:raw.orders")
    before = shop.ask(METRIC, metric="total_row_count", mcon=mcon, end=LONG_AGO)
    assert before["metrics"] == []
    once = shop.ask(METRIC, metric="total_row_count", mcon=mcon, once=True)
    assert [sample["value"] for sample in once["metrics"]] == [12, 10]
    assert len(shop.ask(METRIC, metric="total_row_count", mcon=mcon, first=1)["metrics"]) == 1
    changed = shop.ask(METRIC, metric="total_row_count_last_changed_on", mcon=mcon)
    assert len(changed["metrics"]) == 2
    with pytest.raises(GraphQLRefusedError, match="null_rate is not supported by the sandbox"):
        shop.ask(METRIC, metric="null_rate", mcon=mcon)


GRAPH = """
query graph($mcon: String, $direction: String!, $hops: Int) {
  getTableLineage(mcon: $mcon, direction: $direction, hops: $hops) {
    baseNode { mcon displayName objectType hasUpstreamNodes hasDownstreamNodes }
    connectedNodes { mcon displayName objectType hasUpstreamNodes hasDownstreamNodes }
    flattenedEdges { mcon directlyConnectedMcons }
  }
}
"""


@pytest.mark.parametrize(
    ("table", "direction", "hops", "reached"),
    [
        ("mart.daily", "upstream", None, {"raw.orders", "raw.rates"}),
        ("mart.daily", "downstream", None, {"mart.report"}),
        ("mart.report", "upstream", 1, {"mart.daily"}),
        ("mart.report", "upstream", 2, {"mart.daily", "raw.orders", "raw.rates"}),
        ("raw.orders", "upstream", 5, set()),
    ],
)
def test_table_lineage_follows_the_requested_hops(
    shop: Shop, table: str, direction: str, hops: int | None, reached: set[str]
) -> None:
    graph = shop.ask(GRAPH, mcon=shop.mcon(f"SHOP:{table}"), direction=direction, hops=hops)
    expected = {shop.mcon(f"SHOP:{each}") for each in reached}
    assert graph["baseNode"]["mcon"] == shop.mcon(f"SHOP:{table}")
    assert {node["mcon"] for node in graph["connectedNodes"]} == expected
    connected = {end for edge in graph["flattenedEdges"] for end in edge["directlyConnectedMcons"]}
    assert connected == expected
    if table == "mart.daily":  # metadata has the type VIEW, which overrides the type in lineage
        assert graph["baseNode"]["objectType"] == "view"
        assert graph["baseNode"]["hasUpstreamNodes"] is True


def test_column_lineage_both_ways(shop: Shop) -> None:
    columns = shop.ask(
        """query($m: String) { getTableColumnsLineage(mcon: $m) { timestamp columnsLineage {
             selectedColumn lineageSources { mcon sourceColumns { columnName columnType } } } } }""",
        m=shop.mcon("SHOP:mart.daily"),
    )
    assert columns["timestamp"]
    found = {
        (each["selectedColumn"], source["mcon"], column["columnName"], column["columnType"])
        for each in columns["columnsLineage"]
        for source in each["lineageSources"]
        for column in source["sourceColumns"]
    }
    orders, rates = shop.mcon("SHOP:raw.orders"), shop.mcon("SHOP:raw.rates")
    assert found == {
        ("total", orders, "amount", "NUMBER(10,2)"),
        ("total", rates, "rate", None),
        ("day", orders, "at", "DATE"),
    }
    derived = """query($m: String, $c: String, $cursor: String) {
        getDerivedTablesPartialLineage(mcon: $m, column: $c, cursor: $cursor, pageSize: 1) {
          destinations { mcon displayName columns { columnName } } isLastPage cursor } }"""
    one = shop.ask(derived, m=orders, c="amount")
    assert one == {
        "destinations": [
            {
                "mcon": shop.mcon("SHOP:mart.daily"),
                "displayName": "daily",
                "columns": [{"columnName": "total"}],
            }
        ],
        "isLastPage": True,
        "cursor": None,
    }
    assert shop.ask(derived, m=orders, c="nothing")["destinations"] == []


def test_derived_tables_are_paged(sandbox: SandboxProcess, shop: Shop) -> None:
    resource = {"uuid": sandbox.resource(), "resource_type": "snowflake"}
    copies = [
        {
            "destination": reference(f"copy_{number}", "mart"),
            "sources": [reference("copied", "raw", asset_id="c")],
            "fields": [{"name": "x", "source_fields": [{"asset_id": "c", "field_name": "x"}]}],
        }
        for number in range(5)
    ]
    push(sandbox, "lineage", {"event_type": "COLUMN_LINEAGE", "resource": resource, "events": copies})
    found, cursor, last = [], None, False
    while not last:
        page = shop.ask(
            """query($m: String, $cursor: String) {
                 getDerivedTablesPartialLineage(mcon: $m, column: "x", cursor: $cursor, pageSize: 2) {
                   destinations { displayName } isLastPage cursor } }""",
            m=shop.mcon("SHOP:raw.copied"),
            cursor=cursor,
        )
        found += [each["displayName"] for each in page["destinations"]]
        cursor, last = page["cursor"], page["isLastPage"]
    assert found == [f"copy_{number}" for number in range(5)]


QUERIES = """
query queries($mcon: String!, $type: QueryType!, $start: DateTime!, $end: DateTime!, $limit: Int!, $cursor: String) {
  getAggregatedQueries(
    mcon: $mcon, startTime: $start, endTime: $end, queryType: $type, limit: $limit, endCursor: $cursor
    queryCharacters: 200
  ) {
    aggregatedQueries {
      queryHash count latestQuery latestQueryId latestQueryTimestamp category user averageRunTime date
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

# A statement, the schema's category, and which of the tables q1 to q4 (in SHOP.LOG) it reads and writes.
STATEMENTS: list[tuple[str, str | None, str, str]] = [
    ("SELECT * FROM shop.log.q1", "query", "q1", ""),
    ('select * from "SHOP"."LOG"."q2" -- q3', "query", "q2", ""),
    ("WITH q2 AS (SELECT * FROM q1) SELECT 'q4' FROM q2", "query", "q1", ""),
    ("WITH q2 AS (SELECT * FROM q2) SELECT * FROM q2", "query", "q2", ""),
    ("INSERT INTO q1 (a) SELECT a FROM log.q2 JOIN q3", "insert_into", "q2 q3", "q1"),
    ("INSERT OVERWRITE INTO q1 SELECT a FROM q2", "insert_overwrite", "q2", "q1"),
    ("MERGE INTO q1 t USING q2 s ON t.a = s.a WHEN MATCHED THEN DELETE", "merge", "q2", "q1"),
    ("UPDATE q1 SET a = q3.a FROM q3", "update", "q3", "q1"),
    ("DELETE FROM q4 WHERE a IN (SELECT a FROM q2)", "delete_from", "q2", "q4"),
    ("CREATE OR REPLACE TABLE q4 AS SELECT * FROM q1", "create_table_as_select", "q1", "q4"),
    ("CREATE VIEW q4 AS SELECT * FROM q3", "create_view", "q3", "q4"),
    ("TRUNCATE TABLE q4", "truncate", "", "q4"),
    ("DROP TABLE q4", "drop_table", "", "q4"),
    ("SELECT q1 FROM elsewhere.log.q1_archive", "query", "", ""),
    ("q1 q2 this is not SQL at all (", None, "", ""),
]


@pytest.fixture(scope="module")
def queried(sandbox: SandboxProcess, shop: Shop) -> Shop:
    push_metadata(sandbox, *(asset(f"q{number}", schema="LOG") for number in range(1, 5)))
    texts = [text for text, *_ in STATEMENTS]
    push_queries(sandbox, *((f"00:{second:02}", text) for second, text in enumerate(texts)))
    return shop


def queries_of(shop: Shop, table: str, access: str, **rest: Any) -> Any:
    window = {"start": LONG_AGO, "end": FAR_AHEAD, "limit": 100} | rest
    return shop.ask(QUERIES, mcon=shop.mcon(f"SHOP:LOG.{table}"), type=access, **window)


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("table", ["q1", "q2", "q3", "q4"])
def test_queries_are_found_by_the_tables_in_their_text(queried: Shop, table: str, access: str) -> None:
    expected = {
        (text, category)
        for text, category, reads, writes in STATEMENTS
        if table in (reads if access == "read" else writes).split()
    }
    answer = queries_of(queried, table, access)["aggregatedQueries"]
    assert {(query["latestQuery"], query["category"]) for query in answer} == expected
    assert expected or (table, access) in {("q2", "write"), ("q3", "write"), ("q4", "read")}


def test_queries_that_differ_only_in_literals_count_as_one(sandbox: SandboxProcess, queried: Shop) -> None:
    push_metadata(sandbox, asset("often", schema="LOG"))
    runs = [(f"10:{second:02}", f"SELECT {second}, 'é''{second}'  FROM often") for second in range(30)]
    push_queries(sandbox, *runs, ("11:00", "SELECT a FROM often"))
    push_queries(sandbox, ("12:00", "/* again */ SELECT 1, '2' FROM often"))
    most, least = queries_of(queried, "often", "read")["aggregatedQueries"]
    assert (most["count"], least["count"]) == (31, 1)
    assert most["latestQueryTimestamp"] == "2026-03-01T12:12:00Z"
    assert most["latestQuery"].startswith("/* again */")
    assert (most["user"], most["averageRunTime"], most["date"]) == ("ana", 250, "2026-03-01")
    assert most["queryHash"] != least["queryHash"]

    window = {"start": "2026-03-01T12:10:00Z", "end": "2026-03-01T12:10:09Z"}
    (within,) = queries_of(queried, "often", "read", **window)["aggregatedQueries"]
    assert within["count"] == 10
    first = queries_of(queried, "often", "read", limit=1)
    assert [each["count"] for each in first["aggregatedQueries"]] == [31]
    assert first["pageInfo"]["hasNextPage"] is True
    second = queries_of(queried, "often", "read", limit=1, cursor=first["pageInfo"]["endCursor"])
    assert [each["count"] for each in second["aggregatedQueries"]] == [1]
    assert second["pageInfo"]["hasNextPage"] is False


def test_pycarlo_reads_with_the_api_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pycarlo.core.session.MCD_API_ENDPOINT", shop.sandbox.endpoint)
    env = shop.sandbox.env
    client = Client(session=Session(mcd_id=env["MCD_ID"], mcd_token=env["MCD_TOKEN"]))
    answer: Any = client("query { getUser { email tokenId role account { uuid } } }")
    assert answer.get_user.token_id == env["MCD_ID"]
    assert answer.get_user.role == "service"


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{ getTable(mcon: 1) { mcon } }", "String cannot represent"),
        ("{ getTable { displayName } }", "Cannot query field 'displayName'"),
        ("{ getNothing }", "Cannot query field 'getNothing'"),
        ('{ getMetricsV4(mcon: "x", metricName: "y", startTime: "z") { metricsJson } }', "Unknown argument 'mcon'"),
        ("{ getTable { mcon ", "Syntax Error"),
        ("query($m: Int!) { getTable(mcon: $m) { mcon } }", "used in position expecting type 'String'"),
        ("{ getWarehouse }", "must have a selection of subfields"),
    ],
)
def test_a_document_that_the_schema_does_not_allow_is_rejected(shop: Shop, document: str, complaint: str) -> None:
    with pytest.raises(GraphQLRefusedError, match=complaint):
        shop.sandbox.graphql(document)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{ getUser { groups: ssoGroups } }", "User.ssoGroups is not supported by the sandbox"),
        ('{ getTables(search: "x") { edges { cursor } } }', "the argument search is not supported by the sandbox"),
        ('{ getTables(dwId: "x") { edges { cursor } } }', "dwId: 'x' is not a UUID"),
        ('{ getTable(mcon: "x") { mcon } }', "is not an MCON"),
        ("{ getTable { mcon } }", "is required"),
        ("{ getAlerts { edges { cursor } } }", "Query.getAlerts is not supported by the sandbox"),
        ('mutation { deletePushIngestedTables(mcons: ["x"]) { success } }', "is not supported by the sandbox"),
    ],
)
def test_unsupported_fields_are_errors_and_never_null(shop: Shop, document: str, complaint: str) -> None:
    with pytest.raises(GraphQLRefusedError, match=complaint):
        shop.sandbox.graphql(document)


def test_data_that_was_never_pushed_is_null_or_an_error(shop: Shop) -> None:
    resource = shop.sandbox.resource()
    assert shop.ask(TABLE, resource=resource, table="SHOP:raw.never") is None
    # Lineage alone creates a node, but not a table. Names are case-sensitive.
    assert shop.ask(TABLE, resource=resource, table="SHOP:mart.report") is None
    assert shop.ask(TABLE, resource=resource, table="shop:raw.orders") is None
    assert shop.ask("query($i: UUID) { getWarehouse(uuid: $i) { name } }", i=str(uuid.uuid4())) is None
    with pytest.raises(GraphQLRefusedError, match="no push has named it"):
        shop.ask(GRAPH, mcon=shop.mcon("SHOP:raw.never"), direction="upstream")
    with pytest.raises(GraphQLRefusedError, match="direction"):
        shop.ask(GRAPH, mcon=shop.mcon("SHOP:raw.orders"), direction="sideways")


def test_graphql_requires_an_api_key(sandbox: SandboxProcess) -> None:
    document = {"query": "{ getUser { email } }"}

    def ask(key_id: str, token: str) -> int:
        headers = {"x-mcd-id": key_id, "x-mcd-token": token}
        return requests.post(sandbox.endpoint, json=document, headers=headers, timeout=60).status_code

    env = sandbox.env
    assert ask(env["MCD_ID"], env["MCD_TOKEN"]) == 200
    assert ask(env["MCD_ID"], "wrong") == 401
    assert requests.post(sandbox.endpoint, json=document, timeout=60).status_code == 401
    assert ask(env["MCD_INGEST_ID"], env["MCD_INGEST_TOKEN"]) == 403
