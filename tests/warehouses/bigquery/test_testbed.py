"""Tests of the local BigQuery itself: to the real client it behaves like the documented service, including refusals.

The warehouse is a fixture: what it contains is not evidence about BigQuery.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
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
    RetryError,
    TooManyRequests,
)
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.cloud import bigquery
from google.oauth2 import service_account

from tests.contract.world import many_tables, world
from tests.warehouses.bigquery import harness, iceberg_model
from tests.warehouses.bigquery.catalog import documented_catalog
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.truth import Column, Dataset, Job, Relation, Warehouse
from tests.warehouses.harness import SECRET_MARK, Credentials

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SHOP, OTHER = "mc-demo-shop", "mc-demo-archive"
TABLES_SQL = (
    "SELECT t.table_schema AS s, t.table_name AS n FROM `mc-demo-shop`.`{place}`.INFORMATION_SCHEMA.TABLES AS t"
)
ID = (Column("id", "INT64", nullable=False),)
NAMES = ("orders", "Zebra", "été 2026", "a-b", "_copy")
ADDRESS = Column(
    "address",
    "STRUCT",
    "where",
    fields=(Column("city", "STRING"), Column("lines", "STRING", "of the street", repeated=True)),
    repeated=True,
)


def warehouse() -> Warehouse:
    datasets = [
        Dataset(SHOP, "sales", "US", NOW, labels={"team": "shop"}),
        Dataset(SHOP, "eu_sales", "EU", NOW),
        Dataset(SHOP, "tokyo", "asia-northeast1", NOW),
        Dataset(SHOP, "secret", "US", NOW, may="nothing"),
        Dataset(SHOP, "half", "US", NOW, may="dataset"),
        Dataset(SHOP, "_hidden", "US", NOW),
        Dataset(SHOP, "shared", "US", NOW, linked_to=(OTHER, "source")),
        Dataset(SHOP, "glue", "US", NOW, external=True),
        Dataset(OTHER, "source", "US", NOW),
        *(Dataset(OTHER, f"more_{number:02}", "EU", NOW) for number in range(60)),
    ]
    relations = [
        *(Relation(SHOP, "sales", name, ID, NOW, rows=7, logical_bytes=99, modified=NOW) for name in NAMES),
        Relation(SHOP, "sales", "v", ID, NOW, kind="VIEW", definition="SELECT 1 AS id"),
        Relation(SHOP, "eu_sales", "people", (*ID, ADDRESS), NOW, description='say "hi"', labels={"env": "prod"}),
        *(Relation(SHOP, place, "inside", ID, NOW) for place in ("tokyo", "secret", "half", "_hidden", "glue")),
        Relation(OTHER, "source", "published", ID, NOW),
        Relation(SHOP, "tokyo", "filled", (Column("at", "TIMESTAMP"),), NOW, contents=[{"at": NOW.isoformat()}]),
    ]
    return Warehouse([SHOP, OTHER, "mc-demo-empty"], datasets, relations, [_query_job(), _load_job()])


def _query_job() -> Job:
    row = {
        "project_id": SHOP,
        "job_id": "read",
        "creation_time": NOW,
        "labels": [{"key": "team", "value": "shop"}, {"key": "app", "value": "bi"}],
        "referenced_tables": [{"project_id": SHOP, "dataset_id": "sales", "table_id": "orders"}],
        "destination_table": {"project_id": SHOP, "dataset_id": "_anonymous", "table_id": "anon1"},
        "dml_statistics": {"inserted_row_count": 5},
        "query": "SELECT 'é' AS x\n",
    }
    return Job("US", row)


def _load_job() -> Job:
    resource = {
        "kind": "bigquery#job",
        "id": f"{SHOP}:asia-northeast1.load-1",
        "jobReference": {"projectId": SHOP, "jobId": "load-1", "location": "asia-northeast1"},
        "status": {"state": "DONE"},
        "statistics": {},
        "configuration": {
            "jobType": "LOAD",
            "load": {
                "sourceUris": ["gs://bucket/a.csv"],
                "destinationTable": {"projectId": SHOP, "datasetId": "tokyo", "tableId": "inside"},
            },
        },
    }
    return Job("asia-northeast1", {"project_id": SHOP, "job_id": "load-1", "creation_time": NOW}, resource)


@pytest.fixture(scope="module")
def running() -> Iterator[BigQueryServer]:
    with BigQueryServer() as server:
        server.load(warehouse())
        yield server


@pytest.fixture
def server(running: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryServer]:
    for name, value in running.environment([SHOP]).items():
        monkeypatch.setenv(name, value)
    yield running
    running.restore()


@pytest.fixture
def client(server: BigQueryServer) -> Iterator[bigquery.Client]:
    with bigquery.Client() as found:
        yield found


SHORT = bigquery.DEFAULT_RETRY.with_timeout(1)


def ask(
    client: bigquery.Client, sql: str, *parameters: Any, location: str = "US", **config: Any
) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    settings = bigquery.QueryJobConfig(query_parameters=parameters, **config)
    job = client.query(sql, job_config=settings, location=location, retry=SHORT, job_retry=None)
    return [row.values() for row in job.result(retry=SHORT, job_retry=None)]


def tables(client: bigquery.Client, place: str, location: str = "US") -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in ask(client, TABLES_SQL.format(place=place), location=location)}


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


# --- statements -----------------------------------------------------------------------------------------

VALUES: list[tuple[str, Any]] = [
    ("STRING", 'it\'s "é"'),
    ("INT64", 2**62),
    ("FLOAT64", 0.5),
    ("NUMERIC", Decimal("12.50")),
    ("BOOL", True),
    ("BYTES", b"\x00\xff"),
    ("DATE", date(2026, 2, 28)),
    ("TIME", time(1, 2, 3, 400)),
    ("DATETIME", datetime(2026, 2, 28, 1, 2, 3, 400)),  # noqa: DTZ001 - a DATETIME has no zone
    ("TIMESTAMP", datetime(2026, 2, 28, 1, 2, 3, 400, tzinfo=timezone.utc)),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
def test_parameters_of_all_kinds(client: bigquery.Client, kind: str, value: Any) -> None:
    for given in (value, None):
        assert ask(client, "SELECT @x AS x", bigquery.ScalarQueryParameter("x", kind, given)) == [(given,)]
    array = bigquery.ArrayQueryParameter("x", kind, [value, value])
    assert ask(client, "SELECT y AS y FROM UNNEST(@x) AS y", array) == [(value,), (value,)]
    assert ask(client, "SELECT @y IN UNNEST(@x) AS y", array, bigquery.ScalarQueryParameter("y", kind, value)) == [
        (True,)
    ]


def test_a_missing_parameter_is_refused(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="'x' not found"):
        ask(client, "SELECT @x AS x")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "TO_JSON_STRING(j.referenced_tables)",
            f'[{{"project_id":"{SHOP}","dataset_id":"sales","table_id":"orders"}}]',
        ),
        (
            "TO_JSON_STRING(j.dml_statistics)",
            '{"inserted_row_count":5,"deleted_row_count":null,"updated_row_count":null}',
        ),
        ("TO_JSON_STRING(j.error_result)", "null"),
        ("TO_JSON_STRING(j.job_stages)", "[]"),
        ("TO_JSON_STRING(STRUCT(j.job_id AS id, 1 AS n))", '{"id":"read","n":1}'),
        (
            "TO_JSON_STRING(ARRAY(SELECT AS STRUCT l.key AS k FROM UNNEST(j.labels) AS l ORDER BY l.key))",
            '[{"k":"app"},{"k":"team"}]',
        ),
        ("(SELECT value FROM UNNEST(j.labels) WHERE key = 'app')", "bi"),
        ("EXISTS (SELECT 1 FROM UNNEST(j.labels) AS l WHERE l.key = 'app')", True),
        ("EXISTS (SELECT 1 FROM UNNEST(j.labels) WHERE key = 'none')", False),
        ("STARTS_WITH(j.destination_table.dataset_id, '_')", True),
        ("REGEXP_CONTAINS(j.query, r'^SELECT .é')", True),
        ("IFNULL(j.error_result.reason, 'none')", "none"),
        ("COALESCE(j.parent_job_id, j.job_id)", "read"),
        ("TIMESTAMP_SUB(j.creation_time, INTERVAL 24 HOUR)", NOW - timedelta(days=1)),
        ("TIMESTAMP_TRUNC(TIMESTAMP_ADD(j.creation_time, INTERVAL 59 MINUTE), HOUR)", NOW),
        ("TIMESTAMP_MILLIS(1000)", datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)),
        ("UNIX_MILLIS(j.creation_time)", int(NOW.timestamp() * 1000)),
        ("FORMAT_TIMESTAMP('%Y-%m-%dT%H', j.creation_time)", "2026-11-20T12"),
        ("ARRAY_LENGTH(j.labels)", 2),
        ("j.labels", [{"key": "team", "value": "shop"}, {"key": "app", "value": "bi"}]),
        ("j.referenced_tables[SAFE_OFFSET(0)].table_id", "orders"),
        ("j.referenced_tables[SAFE_OFFSET(1)].table_id", None),
        ("CONCAT(j.query, 'x')", "SELECT 'é' AS x\nx"),
        ("IF(j.cache_hit IS NULL, 1, 2)", 1),
    ],
)
def test_expressions_have_the_values_of_googlesql(client: bigquery.Client, expression: str, value: Any) -> None:
    assert ask(client, f"SELECT {expression} AS x FROM `region-us`.INFORMATION_SCHEMA.JOBS AS j") == [(value,)]


def test_json_of_times_is_refused_because_it_would_be_wrong(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="TO_JSON_STRING of times"):
        ask(client, "SELECT TO_JSON_STRING(j.creation_time) AS x FROM `region-us`.INFORMATION_SCHEMA.JOBS AS j")


def test_joins_with_clauses_and_correlated_arrays(client: bigquery.Client) -> None:
    sql = """
        WITH wanted AS (
            SELECT t.table_name AS name FROM sales.INFORMATION_SCHEMA.TABLES AS t WHERE t.table_type = 'VIEW'
        )
        SELECT v.view_definition AS d, label.key AS k
        FROM wanted
        JOIN sales.INFORMATION_SCHEMA.VIEWS AS v ON v.table_name = wanted.name
        CROSS JOIN `region-us`.INFORMATION_SCHEMA.JOBS AS j
        CROSS JOIN UNNEST(j.labels) AS label
        ORDER BY k
    """
    assert ask(client, sql) == [("SELECT 1 AS id", "app"), ("SELECT 1 AS id", "team")]


def test_the_clock_of_the_warehouse_can_be_set(server: BigQueryServer, client: bigquery.Client) -> None:
    server.set_clock(timedelta(days=-30))
    ((found,),) = ask(client, "SELECT CURRENT_TIMESTAMP() AS now")
    assert abs(found + timedelta(days=30) - datetime.now(timezone.utc)) < timedelta(hours=1)


def test_rows_are_shuffled_unless_the_outermost_query_is_ordered(client: bigquery.Client) -> None:
    numbers = "SELECT n AS n FROM UNNEST(GENERATE_ARRAY(1, 50)) AS n"
    ordered = [(n,) for n in range(1, 51)]
    assert ask(client, f"{numbers} ORDER BY n") == ordered
    for sql in (numbers, f"SELECT n FROM ({numbers} ORDER BY n)"):
        rows = ask(client, sql)
        assert sorted(rows) == ordered
        assert rows != ordered


def test_texts_are_ordered_by_their_bytes_and_nulls_come_first(client: bigquery.Client) -> None:
    sql = "SELECT x AS x FROM UNNEST(['b', 'B', '_', 'é', 'z', NULL, 'ż', '😀']) AS x ORDER BY x"
    assert [row[0] for row in ask(client, sql)] == [None, "B", "_", "b", "z", "é", "ż", "😀"]
    assert [row[0] for row in ask(client, f"{sql} DESC")][-1] is None


@pytest.mark.parametrize(
    ("text", "pages"), [("n", [10_000, 10_000, 5_000]), ("REPEAT('x', 2000)", [4902, 4902, 4902, 4902, 4902, 490])]
)
def test_results_come_in_pages_of_limited_rows_and_bytes(client: bigquery.Client, text: str, pages: list[int]) -> None:
    sql = f"SELECT n AS n, {text} AS x FROM UNNEST(GENERATE_ARRAY(1, 25000)) AS n ORDER BY n"
    rows = client.query(sql, location="US").result()
    assert [page.num_items for page in rows.pages] == pages


def test_a_dry_run_estimates_and_runs_nothing(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(dry_run=True)
    job = client.query(TABLES_SQL.format(place="region-us"), job_config=config, location="US")
    assert job.total_bytes_processed
    assert [field.name for field in job.schema or ()] == ["s", "n"]
    with pytest.raises(BadRequest):
        client.query("SELECT nonsense AS x", job_config=config, location="US")


def test_a_limit_of_bytes_billed_is_kept(client: bigquery.Client) -> None:
    sql = TABLES_SQL.format(place="region-us")
    assert ask(client, sql, maximum_bytes_billed=10 << 20)
    with pytest.raises(GoogleAPICallError, match="10485760 or higher required"):
        ask(client, sql, maximum_bytes_billed=(10 << 20) - 1)


# --- signing in -----------------------------------------------------------------------------------------


def _credentials(server: BigQueryServer, name: Credentials) -> service_account.Credentials:
    load: Any = service_account.Credentials.from_service_account_file
    scopes = ["https://www.googleapis.com/auth/bigquery"]
    found: service_account.Credentials = load(str(server.credentials_file(name)), scopes=scopes)
    return found


def other_client(server: BigQueryServer, credentials: Credentials) -> bigquery.Client:
    return bigquery.Client(credentials=_credentials(server, credentials))


def test_a_key_that_belongs_to_nobody_is_refused(server: BigQueryServer) -> None:
    with pytest.raises(RefreshError, match="invalid_grant: Invalid JWT Signature"):
        list(other_client(server, "wrong").list_projects(retry=SHORT))


def test_an_account_without_grants_signs_in_and_reads_nothing(server: BigQueryServer) -> None:
    client = other_client(server, "denied")
    assert list(client.list_projects()) == []
    with pytest.raises(Forbidden):
        list(client.list_datasets(SHOP))
    with pytest.raises(Forbidden, match=r"bigquery\.jobs\.create"):
        client.query("SELECT 1 AS one", project=SHOP, location="US", job_retry=None)


def test_requests_without_a_token_are_refused(server: BigQueryServer) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        response = requests.get(f"{server.url}/bigquery/v2/projects", headers=headers, timeout=60)
        assert (response.status_code, response.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_tokens_and_key_files_carry_the_secret_mark(server: BigQueryServer) -> None:
    path = server.credentials_file()
    assert path.name.endswith("\t")
    assert SECRET_MARK in json.loads(path.read_text(encoding="utf-8"))["private_key_id"]
    credentials = _credentials(server, "right")
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    assert SECRET_MARK in str(credentials.token)


# --- denials and faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "INFORMATION_SCHEMA.TABLES",
        "region INFORMATION_SCHEMA.TABLES",
        "mc-demo-shop.INFORMATION_SCHEMA.TABLES",
        "mc-demo-shop.region-us.INFORMATION_SCHEMA.TABLES",
    ],
)
def test_a_view_can_be_denied(server: BigQueryServer, client: bigquery.Client, name: str) -> None:
    server.deny(name)
    with pytest.raises(Forbidden, match=r"Access Denied: Table mc-demo-shop:region-us\.INFORMATION_SCHEMA\.TABLES"):
        tables(client, "region-us")
    assert ask(client, "SELECT COUNT(*) AS n FROM sales.INFORMATION_SCHEMA.VIEWS") == [(1,)]
    server.deny()
    assert tables(client, "region-us")


def test_a_view_can_be_denied_for_regions_or_for_datasets_only(server: BigQueryServer, client: bigquery.Client) -> None:
    server.deny("region INFORMATION_SCHEMA.TABLES")
    assert tables(client, "sales")
    for name in ("dataset INFORMATION_SCHEMA.TABLES", "mc-demo-shop.sales.INFORMATION_SCHEMA.TABLES"):
        server.deny(name)
        assert tables(client, "region-us")
        with pytest.raises(Forbidden, match="Access Denied: Dataset mc-demo-shop:sales"):
            tables(client, "sales")


def test_methods_tables_and_everything_can_be_denied(server: BigQueryServer, client: bigquery.Client) -> None:
    server.deny("tables.get mc-demo-shop.sales.orders", f"datasets.list {OTHER}", "mc-demo-shop.tokyo.filled")
    assert client.get_table("sales.Zebra")
    assert list(client.list_datasets())
    with pytest.raises(Forbidden):
        client.get_table("sales.orders")
    with pytest.raises(Forbidden):
        list(client.list_datasets(OTHER))
    with pytest.raises(Forbidden):
        ask(client, "SELECT t.at AS x FROM tokyo.filled AS t", location="asia-northeast1")
    server.deny_all()
    with pytest.raises(Forbidden):
        ask(client, "SELECT 1 AS one")


def test_faults_apply_to_statements_with_their_text_after_some(server: BigQueryServer, client: bigquery.Client) -> None:
    server.fail("AS one", "denied", after=1)
    assert ask(client, "SELECT 1 AS one") == [(1,)]
    with pytest.raises(Forbidden):
        ask(client, "SELECT 1 AS one")
    assert ask(client, "SELECT 2 AS two") == [(2,)]


def test_a_timeout_is_a_job_that_was_stopped(server: BigQueryServer, client: bigquery.Client) -> None:
    server.fail("AS one", "timeout")
    with pytest.raises(GoogleAPICallError, match="Job timed out after 9 sec"):
        ask(client, "SELECT 1 AS one", job_timeout_ms=9_000)
    job = client.query("SELECT 1 AS one", location="US")
    assert job.error_result["reason"] == "stopped"


def test_an_ended_session_cannot_be_renewed(server: BigQueryServer, client: bigquery.Client) -> None:
    server.fail("AS one", "session ended")
    with pytest.raises(RefreshError):
        ask(client, "SELECT 1 AS one")
    with pytest.raises(RefreshError, match="invalid_grant"):
        list(other_client(server, "right").list_projects(retry=SHORT))
    server.restore()
    with bigquery.Client() as again:
        assert ask(again, "SELECT 1 AS one") == [(1,)]


def test_a_connection_that_is_gone_stays_gone(server: BigQueryServer, client: bigquery.Client) -> None:
    server.fail("AS one", "connection gone")
    with pytest.raises(RetryError):
        ask(client, "SELECT 1 AS one")
    assert server.statements().count("SELECT 1 AS one") > 1


def test_a_result_breaks_after_some_rows(server: BigQueryServer, client: bigquery.Client) -> None:
    server.cut_after(10_001)
    sql = "SELECT n AS n FROM UNNEST(GENERATE_ARRAY(1, 10000)) AS n"
    assert len(ask(client, sql)) == 10_000
    with pytest.raises(RetryError):
        ask(client, sql)


def test_a_slow_job_is_polled_until_it_is_done_or_times_out(server: BigQueryServer, client: bigquery.Client) -> None:
    server.fail("AS one", "slow", seconds=1.5)
    job = client.query("SELECT 1 AS one", location="US")
    assert job.state == "RUNNING"
    assert [row.one for row in job.result()] == [1]
    with pytest.raises(GoogleAPICallError, match=r"timed out after 0\.5 sec"):
        ask(client, "SELECT 1 AS one", job_timeout_ms=500)
    job = client.query("SELECT 1 AS one", location="US")
    job.cancel()
    assert job.error_result["reason"] == "stopped"


def test_any_error_can_be_ordered_a_number_of_times(server: BigQueryServer, client: bigquery.Client) -> None:
    server.fail("AS one", "error", reason="quotaExceeded", message="too many", times=1)
    with pytest.raises(Forbidden, match="too many"):
        ask(client, "SELECT 1 AS one")
    assert ask(client, "SELECT 1 AS one") == [(1,)]


def test_faults_of_requests(server: BigQueryServer, client: bigquery.Client) -> None:
    server.rest_fault("GET .*/datasets", 403, "rateLimitExceeded", times=1)  # the client retries it
    assert list(client.list_datasets())
    server.rest_fault("GET .*/datasets", 429, "quotaExceeded", message="slow down", headers={"Retry-After": "1"})
    with pytest.raises(TooManyRequests, match="slow down") as error:  # the client does not retry it
        list(client.list_datasets())
    assert error.value.response.headers["Retry-After"] == "1"
    server.restore()
    server.rest_fault("POST .*/jobs", 0, after=1, times=1)
    assert ask(client, "SELECT 1 AS one") == ask(client, "SELECT 1 AS one")


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
    tables_of_model = [table for table in model.tables if not table.is_view]
    assert storage == [["native"]]
    assert sorted(kinds) == [["BIGLAKE", str(len(model.tables))], ["NATIVE", "1"], ["None", "1"]]
    assert minutes == [[str(len(tables_of_model))]]
    records = iceberg_model.expected(model, "metadata")
    assert sum("last_update_time" in record for record in records) == len(tables_of_model)
    assert not any(record.keys() & {"row_count", "byte_count", "view_query"} for record in records)
