"""Tests of the local Databricks: sign-in, missing grants, sessions, broken connections, and a warehouse that starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from databricks.sdk.core import Config
from databricks.sql.exc import DatabaseError, Error, RequestError, ServerOperationError
from urllib3.exceptions import HTTPError

from tests.certificates import certificate_for
from tests.warehouses.databricks.launch import DatabricksServer
from tests.warehouses.databricks.small_workspace import ARCHIVE, HIVE, SHOP, ask, connected, connection, workspace
from tests.warehouses.harness import SECRET_MARK, TRAILING

TABLES_SQL = f"SELECT t.table_name AS n FROM {SHOP}.information_schema.tables AS t WHERE t.table_schema = 'sales'"
HISTORY_SQL = "SELECT h.statement_id AS id FROM system.query.history AS h"
DETAIL_SQL = f"DESCRIBE DETAIL {SHOP}.sales.orders"


# --- signing in -----------------------------------------------------------------------------------------


def test_secrets_are_marked_and_tokens_are_compared_to_the_last_character(server: DatabricksServer) -> None:
    assert SECRET_MARK in server.token()
    assert server.token().endswith(TRAILING)
    for token in (server.token("wrong"), server.token().strip()):
        with pytest.raises(RequestError, match="Invalid access token") as caught:
            connection(server, token)
        assert caught.value.context["http-code"] == 403


def test_a_service_principal_signs_in_with_the_sdk(server: DatabricksServer) -> None:
    client_id, secret = server.client()
    config = Config(host=server.url, client_id=client_id, client_secret=secret, auth_type="oauth-m2m")
    with connected(server, credentials_provider=lambda: config.authenticate, token="unused") as client:
        assert ask(client, HISTORY_SQL) == [("s1",)]
    methods = [each["method"] for each in server.observed()["requests"]]
    assert "token" in methods


def test_a_wrong_client_secret_is_refused(server: DatabricksServer) -> None:
    client_id, secret = server.client("wrong")
    config = Config(host=server.url, client_id=client_id, client_secret=secret, auth_type="oauth-m2m")
    with pytest.raises(Exception, match="invalid_client"):
        config.authenticate()


def test_the_user_agent_and_the_settings_of_sessions_are_recorded(server: DatabricksServer) -> None:
    settings = {"STATEMENT_TIMEOUT": "60"}
    with connected(server, user_agent_entry="shop/1.0", session_configuration=settings):
        pass
    seen = server.observed()
    assert seen["requests"][-1]["headers"]["user-agent"].endswith("(shop/1.0)")
    assert seen["opened"][-1]["settings"]["STATEMENT_TIMEOUT"] == "60"


def test_https_with_a_certificate(tmp_path: Path) -> None:
    file = tmp_path / "localhost.pem"
    file.write_text(certificate_for("localhost"), encoding="utf-8")
    with DatabricksServer(file) as server:
        server.load(workspace())
        with connected(server, _tls_trusted_ca_file=str(file)) as client:
            assert ask(client, HISTORY_SQL) == [("s1",)]
        with pytest.raises(HTTPError, match="CERTIFICATE_VERIFY_FAILED"):
            connection(server)


# --- grants ---------------------------------------------------------------------------------------------


def test_a_principal_without_grants_sees_only_the_catalog_system(server: DatabricksServer) -> None:
    with connected(server, token=server.token("denied")) as client:
        assert ask(client, "SHOW CATALOGS") == [("system",)]
        catalogs = "SELECT DISTINCT t.table_catalog AS c FROM system.information_schema.tables AS t"
        assert ask(client, catalogs) == [("system",)]
        for statement, privilege in (
            (TABLES_SQL, f"USE CATALOG on Catalog '{SHOP}'"),
            (HISTORY_SQL, "USE SCHEMA on Schema 'system.query'"),
            (DETAIL_SQL, f"USE CATALOG on Catalog '{SHOP}'"),
            (f"SHOW SCHEMAS IN {HIVE}", f"USE CATALOG on Catalog '{HIVE}'"),
        ):
            with pytest.raises(ServerOperationError, match=f"User does not have {privilege}.*42501"):
                ask(client, statement)


def test_denied_views_and_commands_name_the_missing_privilege(server: DatabricksServer, client: Any) -> None:
    server.deny("information_schema.tables", "system.query.history", "DESCRIBE DETAIL", "SHOW CATALOGS", "SHOW TABLES")
    for statement, privilege in (
        (TABLES_SQL, f"SELECT on Table '{SHOP}.information_schema.tables'"),
        (HISTORY_SQL, "USE SCHEMA on Schema 'system.query'"),
        (DETAIL_SQL, f"SELECT on Table '{SHOP}.sales.orders'"),
        (f"SHOW TABLES IN {HIVE}.old", f"USE SCHEMA on Schema '{HIVE}.old'"),
    ):
        with pytest.raises(ServerOperationError, match=privilege):
            ask(client, statement)
    assert ask(client, "SHOW CATALOGS") == []
    assert ask(client, f"DESCRIBE HISTORY {SHOP}.sales.orders LIMIT 1") != []


def test_denied_objects_are_missing_from_the_information_schema(server: DatabricksServer, client: Any) -> None:
    server.deny(f"{SHOP}.sales.orders", ARCHIVE, f"{HIVE}.old")
    assert sorted(ask(client, TABLES_SQL)) == [("v",), ("w",)]
    assert (ARCHIVE,) not in ask(client, "SHOW CATALOGS")
    tables = "SELECT t.table_name AS n FROM system.information_schema.tables AS t WHERE t.table_catalog = :catalog"
    assert ask(client, tables, {"catalog": ARCHIVE}) == []
    for statement, privilege in (
        (DETAIL_SQL, f"SELECT on Table '{SHOP}.sales.orders'"),
        (f"SHOW SCHEMAS IN {ARCHIVE}", f"USE CATALOG on Catalog '{ARCHIVE}'"),
        (f"SHOW TABLES IN {HIVE}.old", f"USE SCHEMA on Schema '{HIVE}.old'"),
    ):
        with pytest.raises(ServerOperationError, match=privilege):
            ask(client, statement)


def test_deny_all_leaves_nothing_but_signing_in(server: DatabricksServer, client: Any) -> None:
    server.deny_all()
    assert ask(client, "SHOW CATALOGS") == []
    for statement in (
        TABLES_SQL,
        HISTORY_SQL,
        DETAIL_SQL,
        "SELECT t.table_name AS n FROM system.information_schema.tables AS t",
    ):
        with pytest.raises(ServerOperationError, match="42501"):
            ask(client, statement)


def test_a_system_schema_that_is_not_enabled_does_not_exist(server: DatabricksServer, client: Any) -> None:
    server.disable("system.query")
    with pytest.raises(ServerOperationError, match=r"SCHEMA_NOT_FOUND.*42704"):
        ask(client, HISTORY_SQL)


def test_a_table_can_be_dropped_between_two_statements(server: DatabricksServer, client: Any) -> None:
    server.drop(SHOP, "sales", "orders")
    try:
        assert ("orders",) in ask(client, TABLES_SQL)
        with pytest.raises(ServerOperationError, match="42P01"):
            ask(client, DETAIL_SQL)
    finally:
        server.load(workspace())


# --- faults ---------------------------------------------------------------------------------------------


def test_statements_fail_as_ordered(server: DatabricksServer, client: Any) -> None:
    server.fail("SHOW CATALOGS", "denied", after=1, times=2)
    assert ask(client, "SHOW CATALOGS") != []
    for _ in range(2):
        with pytest.raises(ServerOperationError, match="42501"):
            ask(client, "SHOW CATALOGS")
    assert ask(client, "SHOW CATALOGS") != []
    server.fail("DESCRIBE", "error", message="[DELTA_X] broken", state="XX000")
    with pytest.raises(ServerOperationError, match="DELTA_X"):
        ask(client, DETAIL_SQL)
    server.fail("history", "timeout")
    with pytest.raises(ServerOperationError, match="took too long"):
        ask(client, HISTORY_SQL)


def test_a_slow_statement_runs_until_it_is_done_or_canceled(server: DatabricksServer, client: Any) -> None:
    server.fail("SHOW CATALOGS", "slow", seconds=0.5)
    assert ask(client, "SHOW CATALOGS") != []
    methods = [each["method"] for each in server.observed()["requests"]]
    assert "GetOperationStatus" in methods


def test_a_session_ends_and_another_one_can_be_opened(server: DatabricksServer) -> None:
    client = connection(server)
    server.end_sessions()
    with pytest.raises(DatabaseError, match="Invalid SessionHandle"):
        ask(client, "SHOW CATALOGS")
    with connected(server) as other:
        assert ask(other, "SHOW CATALOGS") != []


def test_a_statement_can_end_its_session(server: DatabricksServer) -> None:
    server.fail("SHOW CATALOGS", "session ended", times=1)
    client = connection(server)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="Invalid SessionHandle"):
            ask(client, "SHOW CATALOGS")


def test_the_connection_breaks_at_a_statement(server: DatabricksServer) -> None:
    with connected(server) as client:
        server.fail("SHOW CATALOGS", "connection gone")
        with pytest.raises((HTTPError, Error)):
            ask(client, "SHOW CATALOGS")
        assert ask(client, TABLES_SQL) != []


@pytest.mark.parametrize("rows", [0, 3, 7])
def test_the_connection_breaks_in_the_middle_of_a_result(server: DatabricksServer, rows: int) -> None:
    received: list[Any] = []

    def read() -> None:
        cursor.execute(f"SELECT c.column_name AS n FROM {SHOP}.information_schema.columns AS c")
        while found := cursor.fetchmany(1):
            received.extend(found)

    with connected(server) as client, client.cursor() as cursor:
        server.cut_after(rows)
        with pytest.raises((HTTPError, Error)):
            read()
        server.restore()
    assert len(received) == rows


def test_a_warehouse_that_starts_answers_503(server: DatabricksServer) -> None:
    """The driver waits for at least _retry_delay_max before it tries again, whatever Retry-After says."""
    server.http_fault("OpenSession", 503, times=2, headers={"Retry-After": "1"}, message="TEMPORARILY_UNAVAILABLE")
    with pytest.raises(RequestError, match="would exceed"):
        connection(server, _retry_delay_max=5, _retry_stop_after_attempts_duration=1)
    retries = {"_retry_stop_after_attempts_count": 5, "_retry_delay_max": 5, "_retry_stop_after_attempts_duration": 60}
    with connected(server, **retries) as client:
        assert ask(client, "SHOW CATALOGS") != []


def test_an_unknown_path_is_not_found(server: DatabricksServer) -> None:
    response = requests.get(f"{server.url}/api/2.0/nothing", timeout=30)
    assert (response.status_code, response.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
