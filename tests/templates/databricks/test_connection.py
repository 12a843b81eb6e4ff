"""Tests the connection: the settings of sessions, retries, sign-in methods, and their errors."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.collected import Collected
from tests.folder_modules import error_of
from tests.script_process import TEMPLATES, run_script, started_script, wait_for, wait_until
from tests.templates.databricks.conftest import Scripts
from tests.warehouses.databricks.launch import HTTP_PATH, closed_port
from tests.warehouses.databricks.small_workspace import workspace

LIST = "--list"
HOST, TOKEN = "DATABRICKS_HOST", "DATABRICKS_TOKEN"


@pytest.fixture(autouse=True)
def filled(scripts: Scripts) -> None:
    scripts.load(workspace())


def lines(scripts: Scripts, *arguments: str, **changes: Any) -> int:
    return len(scripts.attempt(LIST, *arguments, **changes).check().stdout.splitlines())


def test_sessions_have_limits_utc_and_the_name_of_the_product(scripts: Scripts) -> None:
    release = scripts.modules["connection"].RELEASE
    scripts.collect(DATABRICKS_STATEMENT_TIMEOUT="77", DATABRICKS_DETAIL_WORKERS="2")
    observed = scripts.server.observed()
    wanted = {"STATEMENT_TIMEOUT": "77", "TIMEZONE": "UTC"}
    assert [wanted.items() <= each["settings"].items() for each in observed["opened"]] == [True] * len(
        observed["opened"]
    )
    assert {"(push-ingestion/" + release + ")" in each["headers"]["user-agent"] for each in observed["requests"]} == {
        True
    }
    assert {each["path"] for each in observed["requests"]} == {HTTP_PATH}  # no telemetry
    # the main one, two for Unity Catalog, two for the Hive metastore; all are closed
    assert 2 <= len(observed["opened"]) <= 5
    assert (observed["closed"], observed["sessions"]) == (len(observed["opened"]), 0)


@pytest.mark.parametrize("method", ["OpenSession", "ExecuteStatement"])
def test_a_starting_warehouse_is_waited_for(scripts: Scripts, method: str) -> None:
    scripts.server.http_fault(method, 503, times=2)
    assert lines(scripts) == 6


@pytest.mark.parametrize("status", [502, 504])
def test_a_statement_is_repeated_after_an_error_of_a_gateway(scripts: Scripts, status: int) -> None:
    scripts.server.http_fault("ExecuteStatement", status, times=1)
    assert lines(scripts) == 6


def test_a_warehouse_that_does_not_start_ends_the_run(scripts: Scripts) -> None:
    scripts.server.http_fault("OpenSession", 503)
    run = scripts.attempt(DATABRICKS_RETRY_SECONDS="1").check(4)
    assert "starting or busy" in error_of(run)["message"]
    assert "DATABRICKS_RETRY_SECONDS" in error_of(run)["remedy"]


@pytest.mark.parametrize(
    "message", ["requirement failed: Session handle: SessionHandle [x] has not been initialized or had already closed"]
)
def test_a_statement_of_a_starting_warehouse_is_repeated(scripts: Scripts, message: str) -> None:
    scripts.server.fail("SHOW CATALOGS", "error", message=message, state="HY000", times=2)
    assert lines(scripts) == 6


def test_threads_of_the_pool_repeat_statements_without_log_lines(scripts: Scripts) -> None:
    """The interpreter aborts if it exits while a daemon thread writes to stderr."""
    message = "SessionHandle [x] has not been initialized or had already closed"
    scripts.server.fail("DESCRIBE HISTORY", "error", message=message, state="HY000", times=1)
    run = scripts.attempt().check()
    assert "waiting for the SQL warehouse" not in run.stderr
    assert run.summary["skipped"] == scripts.attempt().check().summary["skipped"]


def test_a_session_that_is_gone_is_opened_again(scripts: Scripts) -> None:
    scripts.server.fail("SHOW SCHEMAS", "session ended", times=1)
    assert lines(scripts) == 6
    assert len(scripts.server.observed()["opened"]) == 2


def test_a_refused_statement_is_not_repeated(scripts: Scripts) -> None:
    scripts.server.fail("SHOW CATALOGS", "denied")
    scripts.attempt(LIST).check(3)
    assert scripts.server.statements().count("SHOW CATALOGS") == 1


def test_an_unreachable_host_is_not_waited_for_as_long_as_a_warehouse(scripts: Scripts) -> None:
    run = scripts.attempt(**{HOST: f"http://127.0.0.1:{closed_port()}"}).check(4)
    assert "waiting for the SQL warehouse" not in run.stderr
    assert "Connection refused" in error_of(run)["message"]


@pytest.mark.parametrize("proxy", ["proxysecret@proxy.example.com:3128", "me:proxysecret@proxy.example.com"])
def test_a_wrong_proxy_is_explained_without_a_traceback(scripts: Scripts, proxy: str) -> None:
    wrong = {HOST: "https://db.example.com", "HTTPS_PROXY": proxy, "HOME": str(scripts.work)}
    run = run_script(
        TEMPLATES / "databricks", "collect_metadata.py", LIST, env=scripts.server.environment() | wrong
    ).check(2)
    assert "HTTPS_PROXY" in run.stderr
    assert ("proxysecret" in run.stderr, "Traceback" in run.stderr) == (False, False)


def test_a_wrong_token_is_refused(scripts: Scripts) -> None:
    run = scripts.attempt(**{TOKEN: scripts.server.token("wrong")}).check(3)
    assert "Invalid access token" in error_of(run)["message"]


def test_a_token_with_a_line_end_is_not_taken_for_a_problem_of_the_network(scripts: Scripts) -> None:
    run = scripts.attempt(**{TOKEN: "dapi\nsecretvalue99"}).check(2)
    assert "line end" in error_of(run)["remedy"]
    assert "value99" not in run.stdout + run.stderr


def test_a_warehouse_that_is_not_known_is_named(scripts: Scripts) -> None:
    run = scripts.attempt(without="DATABRICKS_HTTP_PATH").check(2)
    assert "DATABRICKS_HTTP_PATH" in error_of(run)["message"]


def test_an_id_is_enough(scripts: Scripts) -> None:
    name = HTTP_PATH.rpartition("/")[2]
    assert lines(scripts, without="DATABRICKS_HTTP_PATH", DATABRICKS_WAREHOUSE_ID=name) == 6


def test_without_any_variable_the_first_one_is_named(scripts: Scripts) -> None:
    run = scripts.run({"HOME": str(scripts.work)}).check(2)
    assert HOST in error_of(run)["message"]


def test_identifiers_are_quoted(scripts: Scripts) -> None:
    assert scripts.modules["connection"].quoted("a", "b`c", "d.e") == "`a`.`b``c`.`d.e`"


# --- processes ---------------------------------------------------------------------------------------------


def test_without_pyarrow_the_records_are_the_same(scripts: Scripts) -> None:
    """Results then have columns instead of Arrow, and times without a zone."""
    hidden = scripts.work / "hidden"
    hidden.mkdir()
    (hidden / "pyarrow.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    expected = scripts.collect().records
    environment = scripts.server.environment() | {"PYTHONPATH": str(hidden), "HOME": str(scripts.work)}
    manifest = scripts.work / "other.jsonl"
    run_script(TEMPLATES / "databricks", "collect_metadata.py", "--manifest", str(manifest), env=environment).check()
    assert Collected.read(manifest).records == expected


@pytest.mark.parametrize("statement", ["SHOW CATALOGS", "DESCRIBE HISTORY"])
def test_a_signal_cancels_the_statement_and_closes_the_sessions(scripts: Scripts, statement: str) -> None:
    scripts.server.fail(statement, "slow", seconds=120)
    command = ("--manifest", str(scripts.work / "metadata.jsonl"))
    environment = scripts.server.environment() | {"HOME": str(scripts.work)}
    with started_script(TEMPLATES / "databricks", "collect_metadata.py", *command, env=environment) as process:
        wait_until(lambda: any(each.startswith(statement) for each in scripts.server.statements()))
        if statement == "SHOW CATALOGS":  # the connector can cancel it when it knows the statement's ID
            wait_until(lambda: "GetOperationStatus" in methods(scripts))
        process.send_signal(signal.SIGTERM)
        wait_for(process).check(130)
    assert list(scripts.work.iterdir()) == []
    assert ("CancelOperation" in methods(scripts)) is (statement == "SHOW CATALOGS")  # that of the main thread
    wait_until(lambda: scripts.server.observed()["sessions"] == 0)


def methods(scripts: Scripts) -> list[str]:
    """The methods of Thrift that the server was asked for."""
    return [each["method"] for each in scripts.server.observed()["requests"]]


# --- sign-in methods ---------------------------------------------------------------------------------------


def client(scripts: Scripts, credentials: Any = "right") -> dict[str, str]:
    return scripts.server.oauth_environment(credentials) | {"HOME": str(scripts.work)}


def test_a_service_principal_signs_in_with_oauth(scripts: Scripts) -> None:
    run = scripts.run(client(scripts), LIST).check()
    assert len(run.stdout.splitlines()) == 6
    assert "oauth-m2m" in run.stderr
    assert "token" in {each["method"] for each in scripts.server.observed()["requests"]}


def test_a_wrong_oauth_secret_is_refused(scripts: Scripts) -> None:
    run = scripts.run(client(scripts, "wrong"), LIST).check(3)
    assert "invalid_client" in run.stderr
    assert client(scripts, "wrong")["DATABRICKS_CLIENT_SECRET"].strip() not in run.stderr


def test_without_the_sdk_its_installation_is_explained(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "databricks.sdk.core", None)
    error = error_of(scripts.run(client(scripts)).check(2))
    assert "uv run --with 'databricks-sdk" in error["remedy"]
    assert "pip install 'databricks-sdk" in error["remedy"]


def test_without_a_sign_in_method_the_token_is_named(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"HOME": str(scripts.work), "DATABRICKS_RETRY_SECONDS": "1"}
    with_sdk = scripts.attempt(without=TOKEN, **changes).check(2)
    assert f"Set {TOKEN}" in error_of(with_sdk)["remedy"]
    assert "signing in to Databricks" in with_sdk.stderr
    monkeypatch.setitem(sys.modules, "databricks.sdk.core", None)
    without_sdk = error_of(scripts.attempt(without=TOKEN, **changes).check(2))
    assert TOKEN in without_sdk["message"]
    assert f"Set {TOKEN}" in without_sdk["remedy"]


def test_signing_in_is_not_waited_for_as_long_as_a_warehouse(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []

    def configuration(**settings: Any) -> None:
        limits.append(settings["retry_timeout_seconds"])
        raise ValueError("not configured")

    monkeypatch.setattr("databricks.sdk.core.Config", configuration)
    scripts.run(client(scripts) | {"DATABRICKS_RETRY_SECONDS": "600"}).check(2)
    scripts.run(client(scripts) | {"DATABRICKS_RETRY_SECONDS": "5"}).check(2)
    assert limits == [60, 5]


def profile(scripts: Scripts, host: str, name: str = "DEFAULT") -> dict[str, str]:
    """A configuration file with a token of OAuth: files do not keep the white space at the end of the other one."""
    form = {"grant_type": "client_credentials"}
    response = requests.post(f"{scripts.server.url}/oidc/v1/token", form, auth=scripts.server.client(), timeout=60)
    path = Path(scripts.work) / "databricks.cfg"
    path.write_text(f"[{name}]\nhost = {host}\ntoken = {response.json()['access_token']}\n", encoding="utf-8")
    return {
        "DATABRICKS_CONFIG_FILE": str(path),
        "DATABRICKS_HTTP_PATH": HTTP_PATH,
        "HOME": str(scripts.work),
        "DATABRICKS_RETRY_SECONDS": "3",
    }


def test_a_profile_has_the_host_and_the_token(scripts: Scripts) -> None:
    run = scripts.run(profile(scripts, scripts.server.url, "mc") | {"DATABRICKS_CONFIG_PROFILE": "mc"}, LIST).check()
    assert len(run.stdout.splitlines()) == 6


def test_the_default_profile_needs_no_variable(scripts: Scripts) -> None:
    assert len(scripts.run(profile(scripts, scripts.server.url), LIST).check().stdout.splitlines()) == 6


def test_a_profile_does_not_send_its_token_unencrypted(scripts: Scripts) -> None:
    run = scripts.run(profile(scripts, "http://databricks.invalid:80")).check(2)
    assert "DATABRICKS_CONFIG_PROFILE" in error_of(run)["message"]
    assert "unencrypted" in error_of(run)["message"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"DATABRICKS_CLIENT_ID": "x", "DATABRICKS_CLIENT_SECRET": "y"},
            "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET",
        ),
        ({"DATABRICKS_CONFIG_PROFILE": "mc"}, "DATABRICKS_CONFIG_PROFILE"),
        ({"DATABRICKS_AUTH_TYPE": "external-browser"}, "DATABRICKS_AUTH_TYPE"),
    ],
)
def test_contradictory_methods_are_refused(scripts: Scripts, changes: dict[str, str], named: str) -> None:
    assert named in error_of(scripts.attempt(**changes).check(2))["message"]


def test_a_type_selects_one_of_several_methods(scripts: Scripts) -> None:
    others = {"DATABRICKS_CLIENT_ID": "x", "DATABRICKS_CLIENT_SECRET": "y"}
    assert lines(scripts, DATABRICKS_AUTH_TYPE="pat", **others) == 6


def test_half_a_client_is_refused(scripts: Scripts) -> None:
    run = scripts.attempt(without=TOKEN, DATABRICKS_CLIENT_ID="x").check(2)
    assert "DATABRICKS_CLIENT_SECRET" in error_of(run)["message"]
