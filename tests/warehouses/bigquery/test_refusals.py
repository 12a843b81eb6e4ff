"""Tests of the local BigQuery: signing in, denials, and faults on request."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    RetryError,
    TooManyRequests,
)
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.cloud import bigquery
from google.oauth2 import service_account

from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.small_warehouse import OTHER, SHOP, SHORT, ask, tables
from tests.warehouses.harness import SECRET_MARK, Credentials

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


def test_a_workload_identity_signs_in_and_impersonates(server: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for impersonating, principal in (("", "workload"), ("right", "right")):
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.workload_file(impersonating)))
        with bigquery.Client() as client:
            assert list(client.list_datasets())
        assert server.requests()[-1]["principal"] == principal
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.workload_file("nobody")))
    with bigquery.Client() as client, pytest.raises(RefreshError, match="getAccessToken"):
        list(client.list_datasets(retry=SHORT))


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
