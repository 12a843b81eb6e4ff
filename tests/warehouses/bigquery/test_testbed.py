"""Tests of the local BigQuery: views, regions, REST resources, and what tests can observe.

To the real client the server behaves like the documented service.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    NotFound,
)
from google.cloud import bigquery

from tests.contract.world import many_tables, world
from tests.warehouses.bigquery import harness, iceberg_model
from tests.warehouses.bigquery.catalog import documented_catalog
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.small_warehouse import NAMES, NOW, OTHER, SHOP, TABLES_SQL, ask, tables, warehouse

# --- views ----------------------------------------------------------------------------------------------


def test_every_documented_view_exists_with_its_columns(client: bigquery.Client) -> None:
    views = documented_catalog().views
    assert len(views) > 10
    for view in views.values():
        columns = ", ".join(f"v.{name} AS {name}" for name in view.columns)
        rows = client.query(f"SELECT {columns} FROM `region-us`.{view.name} AS v", location="US").result()
        assert [field.name for field in rows.schema] == list(view.columns)
        places = {"sales"} if view.has_dataset_scope else set()
        for place in places:
            ask(client, f"SELECT COUNT(*) AS n FROM {place}.{view.name}")


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT t.table_name AS n FROM sales.INFORMATION_SCHEMA.tables AS t", NotFound),
        ("SELECT t.table_name AS n FROM sales.INFORMATION_SCHEMA.NONSENSE AS t", NotFound),
        ("SELECT t.tabel_name AS n FROM sales.INFORMATION_SCHEMA.TABLES AS t", BadRequest),
        ("SELECT t.table_name AS n FROM INFORMATION_SCHEMA.TABLES AS t", BadRequest),
        ("SELECT t.job_id AS n FROM sales.INFORMATION_SCHEMA.JOBS AS t", BadRequest),
        ("SELECT t.table_name AS n FROM sales.INFORMATION_SCHEMA.TABLE_STORAGE AS t", BadRequest),
        ("SELECT t.table_name AS n FROM `no-project`.`region-us`.INFORMATION_SCHEMA.TABLES AS t", NotFound),
        ("SELECT t.table_name AS n FROM nothing.INFORMATION_SCHEMA.TABLES AS t", NotFound),
        ("SELECT t.id AS n FROM sales.nothing AS t", NotFound),
        ("SELECT FROM", BadRequest),
        ("DELETE FROM sales.orders WHERE TRUE", BadRequest),
    ],
)
def test_wrong_names_and_statements_are_refused(
    client: bigquery.Client, sql: str, error: type[GoogleAPICallError]
) -> None:
    with pytest.raises(error):
        ask(client, sql)


def test_both_names_of_jobs_and_all_spellings_of_a_region_work(client: bigquery.Client) -> None:
    for name in (
        "`region-us`.INFORMATION_SCHEMA.JOBS",
        "`region-US`.INFORMATION_SCHEMA.JOBS_BY_PROJECT",
        "`mc-demo-shop.region-us`.INFORMATION_SCHEMA.JOBS",
        "`mc-demo-shop`.`region-us`.`INFORMATION_SCHEMA`.`JOBS`",
    ):
        assert ask(client, f"SELECT j.job_id AS id FROM {name} AS j") == [("read",)]


def test_a_query_of_a_region_leaves_out_linked_hidden_and_unreadable_datasets(client: bigquery.Client) -> None:
    assert tables(client, "region-us") == {("sales", name) for name in (*NAMES, "v")}
    assert tables(client, "shared") == {("shared", "published")}
    assert tables(client, "_hidden") == {("_hidden", "inside")}


def test_schemata_without_a_qualifier_are_those_of_the_us(client: bigquery.Client) -> None:
    rows = ask(client, "SELECT s.schema_name AS n, s.location AS l FROM INFORMATION_SCHEMA.SCHEMATA AS s ORDER BY n")
    assert rows == [("sales", "US")]


def test_a_federated_dataset_has_no_views(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="not supported"):
        tables(client, "glue")
    assert client.get_dataset("glue")._properties["type"] == "EXTERNAL"


def test_nested_fields_options_and_labels(client: bigquery.Client) -> None:
    paths = "SELECT c.field_path AS p, c.data_type AS t, c.description AS d FROM eu_sales.INFORMATION_SCHEMA.{} AS c"
    assert ask(client, paths.format("COLUMN_FIELD_PATHS") + " ORDER BY p", location="EU") == [
        ("address", "ARRAY<STRUCT<city STRING, lines ARRAY<STRING>>>", "where"),
        ("address.city", "STRING", None),
        ("address.lines", "ARRAY<STRING>", "of the street"),
        ("id", "INT64", None),
    ]
    options = "SELECT o.option_name AS n, o.option_value AS v FROM eu_sales.INFORMATION_SCHEMA.TABLE_OPTIONS AS o"
    assert sorted(ask(client, options, location="EU")) == [
        ("description", r'"say \"hi\""'),
        ("labels", '[STRUCT("env", "prod")]'),
    ]


def test_storage_of_tables_only_and_only_if_it_is_on(server: BigQueryServer, client: bigquery.Client) -> None:
    sql = "SELECT s.table_name AS n, s.total_rows AS r FROM `{}`.INFORMATION_SCHEMA.TABLE_STORAGE AS s"
    assert set(ask(client, sql.format("region-us"))) == {(name, 7) for name in NAMES}
    with pytest.raises(BadRequest, match="not available"):
        ask(client, sql.format("region-aws-us-east-1"), location="aws-us-east-1")
    server.turn_storage(on=False)
    with pytest.raises(BadRequest, match="hasn't been enabled for project mc-demo-shop"):
        ask(client, sql.format("region-us"))
    server.restore()
    assert len(ask(client, sql.format("region-us"))) == len(NAMES)


def test_user_tables_have_their_contents(client: bigquery.Client) -> None:
    sql = "SELECT MAX(t.at) AS latest FROM `mc-demo-shop`.`tokyo`.`filled` AS t"
    assert ask(client, sql, location="asia-northeast1") == [(NOW,)]


# --- locations ------------------------------------------------------------------------------------------


def test_a_job_in_the_wrong_location_finds_nothing(client: bigquery.Client) -> None:
    for place in ("region-eu", "eu_sales"):
        with pytest.raises(NotFound, match="was not found in location US"):
            tables(client, place)
        assert tables(client, place, location="EU") == {("eu_sales", "people")}


def test_a_region_without_datasets_is_empty(client: bigquery.Client) -> None:
    assert tables(client, "region-europe-west9", location="europe-west9") == set()


def test_two_regions_in_a_statement_are_refused(client: bigquery.Client) -> None:
    sql = f"{TABLES_SQL.format(place='region-us')} UNION ALL {TABLES_SQL.format(place='region-eu')}"
    with pytest.raises(NotFound):
        ask(client, sql)


def test_a_job_outside_the_multi_regions_is_found_by_its_location_only(client: bigquery.Client) -> None:
    assert client.get_job("load-1", location="asia-northeast1").job_type == "load"
    with pytest.raises(NotFound):
        client.get_job("load-1")
    with pytest.raises(NotFound):
        client.get_job("load-1", location="US")


def test_jobs_of_other_kinds_have_their_configuration(client: bigquery.Client) -> None:
    job = client.get_job("load-1", location="asia-northeast1")
    assert isinstance(job, bigquery.LoadJob)
    assert job.source_uris == ["gs://bucket/a.csv"]
    assert str(job.destination) == f"{SHOP}.tokyo.inside"
    listed = [each.job_id for each in client.list_jobs()]
    assert "load-1" in listed


# --- REST resources -------------------------------------------------------------------------------------


def test_projects_and_datasets_are_listed_in_pages(client: bigquery.Client) -> None:
    assert [project.project_id for project in client.list_projects()] == [SHOP, OTHER, "mc-demo-empty"]
    assert [each.dataset_id for each in client.list_datasets("mc-demo-empty")] == []
    names = {each.dataset_id for each in client.list_datasets(OTHER, page_size=7)}
    assert names == {"source", *(f"more_{number:02}" for number in range(60))}
    assert len({each.dataset_id for each in client.list_datasets(OTHER)}) == len(names)
    with pytest.raises(NotFound):
        list(client.list_datasets("no-project"))


def test_hidden_datasets_are_listed_on_demand_and_unreadable_ones_never(client: bigquery.Client) -> None:
    shown = {"sales", "eu_sales", "tokyo", "half", "shared", "glue"}
    assert {each.dataset_id for each in client.list_datasets()} == shown
    assert {each.dataset_id for each in client.list_datasets(include_all=True)} == {*shown, "_hidden"}


def test_unreachable_regions_are_named(server: BigQueryServer, client: bigquery.Client) -> None:
    server.make_unreachable("EU")
    connection: Any = client._connection
    listed = connection.api_request(method="GET", path=f"/projects/{SHOP}/datasets")
    assert listed["unreachable"] == ["EU"]
    assert "eu_sales" not in {each["datasetReference"]["datasetId"] for each in listed["datasets"]}


def test_a_dataset_has_its_properties(client: bigquery.Client) -> None:
    found = client.get_dataset("sales")
    assert (found.location, found.labels, found._properties["type"]) == ("US", {"team": "shop"}, "DEFAULT")
    source = client.get_dataset("shared")._properties["linkedDatasetSource"]["sourceDataset"]
    assert source == {"projectId": OTHER, "datasetId": "source"}


def test_rights_on_datasets(client: bigquery.Client) -> None:
    for refused in (
        lambda: client.get_dataset("secret"),
        lambda: list(client.list_tables("half")),
        lambda: client.get_table("half.inside"),
        lambda: tables(client, "secret"),
        lambda: tables(client, "half"),
    ):
        with pytest.raises(Forbidden, match="Access Denied: Dataset mc-demo-shop:"):
            refused()
    assert client.get_dataset("half").dataset_id == "half"


def test_a_table_has_statistics_unless_the_view_is_basic(client: bigquery.Client) -> None:
    assert {each.table_id for each in client.list_tables("sales", page_size=2)} == {*NAMES, "v"}
    for name in NAMES:
        table = client.get_table(f"{SHOP}.sales.{name}")
        assert (table.num_rows, table.num_bytes, table.modified) == (7, 99, NOW)
    assert client.get_table("sales.v").view_query == "SELECT 1 AS id"
    connection: Any = client._connection
    path = f"/projects/{SHOP}/datasets/sales/tables/orders"
    basic = connection.api_request(method="GET", path=path, query_params={"view": "BASIC"})
    assert basic.keys() & {"numRows", "numBytes", "lastModifiedTime", "schema"} == {"schema"}
    with pytest.raises(NotFound):
        client.get_table("sales.nothing")


# --- observing ------------------------------------------------------------------------------------------


def test_statements_and_requests_are_recorded(server: BigQueryServer) -> None:
    server.empty([SHOP])
    with bigquery.Client(client_options=ClientOptions(quota_project_id="payer")) as client:
        ask(client, "SELECT 1 AS one", location="asia-northeast1", labels={"app": "mc"}, job_timeout_ms=7_000)
    server_statements = server.statements()
    first = next(each for each in server.requests() if each["method"] == "POST")
    server.load(warehouse())
    assert server_statements == ["SELECT 1 AS one"]
    assert (first["path"], first["principal"]) == (f"/bigquery/v2/projects/{SHOP}/jobs", "right")
    assert first["headers"]["x-goog-user-project"] == "payer"
    assert first["body"]["jobReference"]["location"] == "asia-northeast1"
    assert first["body"]["configuration"]["labels"] == {"app": "mc"}
    assert first["body"]["configuration"]["jobTimeoutMs"] == "7000"


def test_query_and_wait_works_too(client: bigquery.Client) -> None:
    sql = "SELECT n AS n, CURRENT_TIMESTAMP() AS t FROM UNNEST(GENERATE_ARRAY(1, 10001)) AS n ORDER BY n"
    rows = [row.n for row in client.query_and_wait(sql, location="EU")]
    assert rows == list(range(1, 10_002))
    with pytest.raises(NotFound):
        client.query_and_wait(TABLES_SQL.format(place="region-eu"), location="US")


def test_emptying_leaves_projects_without_datasets(server: BigQueryServer, client: bigquery.Client) -> None:
    server.empty([SHOP])
    try:
        assert list(client.list_datasets()) == []
        assert tables(client, "region-us") == set()
    finally:
        server.load(warehouse())


# --- the harness ----------------------------------------------------------------------------------------


def test_names_of_the_world_stay_different() -> None:
    model = world(harness)
    paths = {table.path for table in model.tables}
    assert len(paths) == len(model.tables)
    for table in model.tables:
        assert len({column.name for column in table.columns}) == len(table.columns)
    texts = ("sales", "orders", "Zebra", "_copy", "éclair", "v_0", "v_1", "v_of_view")
    assert len({harness.legal_name(text) for text in texts}) == len(texts)


def test_a_model_fills_two_regions_of_its_first_project(server: BigQueryServer) -> None:
    filled = harness.Server(server)
    try:
        model = world(harness)
        filled.fill(replace(model, queries=()))
        with bigquery.Client() as client:
            places = {each._properties["location"] for each in client.list_datasets(harness.databases[0])}
            assert places == {"US", "EU"}
            assert {each._properties["location"] for each in client.list_datasets(OTHER)} == {"europe-west3"}
        filled.fill(many_tables(harness, 50))
        assert server.sql('SELECT count(*) FROM facts."INFORMATION_SCHEMA.TABLES"') == [["50"]]
    finally:
        server.load(warehouse())


def test_rows_with_an_undocumented_column_are_not_accepted(server: BigQueryServer) -> None:
    with pytest.raises(requests.RequestException):
        server.order("rows", view="INFORMATION_SCHEMA.VIEWS", rows=[{"_project": SHOP, "view_text": "x"}])
    assert Path(server.folder / "server.log").read_text(encoding="utf-8").count("KeyError: 'view_text'") == 1


def test_iceberg_tables_have_jobs_and_writes_but_no_storage(server: BigQueryServer) -> None:
    model = world(harness)
    try:
        server.load(iceberg_model.warehouse(model))
        storage = server.sql('SELECT table_name FROM facts."INFORMATION_SCHEMA.TABLE_STORAGE"')
        kinds = server.sql('SELECT managed_table_type, count(*) FROM facts."INFORMATION_SCHEMA.TABLES" GROUP BY 1')
        minutes = server.sql('SELECT count(*) FROM facts."INFORMATION_SCHEMA.WRITE_API_TIMELINE"')
    finally:
        server.load(warehouse())
    assert storage == [["native"]]
    assert sorted(kinds) == [["BIGLAKE", str(len(model.tables))], ["NATIVE", "1"], ["None", "1"]]
    assert minutes == [[str(len(model.tables))]]
    records = iceberg_model.expected(model, "metadata")
    assert sum("last_update_time" in record for record in records) == len(model.tables)
    assert not any(record.keys() & {"row_count", "byte_count", "view_query"} for record in records)
