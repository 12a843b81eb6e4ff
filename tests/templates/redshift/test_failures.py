"""Tests failures: each has its exit code, leaves no partial files, and reveals no secret."""

from __future__ import annotations

import pytest
from folders.bundle import FLOWS

from tests.templates.redshift.breaking import broken
from tests.templates.redshift.conftest import Templates
from tests.warehouses.redshift.shop import MONITOR

WRONG = "Wr0ng-secret"


def test_a_wrong_password_is_refused(templates: Templates) -> None:
    for flow in FLOWS:
        run = templates.run("collect", flow, REDSHIFT_PASSWORD=WRONG).check(3)
        assert "password authentication failed" in run.stderr
        assert "what to do" in run.stderr
        assert WRONG not in run.stdout + run.stderr
    assert templates.leftovers() == []


def test_a_database_that_the_user_cannot_connect_to_is_refused(templates: Templates) -> None:
    run = templates.run("collect", "metadata", user="monitor", REDSHIFT_DATABASE="finance").check(3)
    assert "permission denied for database" in run.stderr
    assert MONITOR.password not in run.stdout + run.stderr


def test_a_short_password_is_masked_too(templates: Templates) -> None:
    run = templates.run("collect", "metadata", REDSHIFT_PASSWORD="adm", REDSHIFT_USER="q9z!", REDSHIFT_TOKEN="q9z!")
    run.check(3)
    assert "q9z!" not in run.stdout + run.stderr  # the server's message contains the user, which equals the secret here


def test_an_internal_server_error_has_a_plain_message(templates: Templates) -> None:
    with broken(templates.server, "svv_redshift_databases"):
        for flow in ("metadata", "lineage"):
            run = templates.run("collect", flow).check(4)
            assert "External Catalog Error" in run.stderr
            assert "Traceback" not in run.stderr
    assert templates.leftovers() == []


def test_a_missing_database_is_a_configuration_error(templates: Templates) -> None:
    run = templates.run("collect", "metadata", REDSHIFT_DATABASE="nowhere").check(2)
    assert "REDSHIFT_DATABASE" in run.stderr


def test_a_missing_server_is_reported_as_unavailable(templates: Templates) -> None:
    templates.run("collect", "metadata", REDSHIFT_PORT="1").check(4)


def test_a_server_without_tls_is_refused_unless_tls_is_turned_off(templates: Templates) -> None:
    run = templates.run("collect", "metadata", REDSHIFT_SSL="").check(2)
    assert "REDSHIFT_SSL" in run.stderr
    sessions = templates.server.events("session")
    assert all(session["parameters"]["user"] for session in sessions)


@pytest.mark.parametrize(
    ("flow", "statement", "after"),
    [
        ("metadata", "svv_all_columns", 1),
        ("metadata", "SHOW TABLES", 3),
        ("metadata", "SET statement_timeout", 1),  # when the run enters the second database
        ("lineage", "SET statement_timeout", 1),
        ("lineage", "pg_depend", 0),
        ("lineage", "sys_query_text", 2),
        ("query_logs", "sys_query_text", 2),
    ],
)
def test_a_connection_lost_midway_is_unavailable_and_leaves_no_files(
    templates: Templates, flow: str, statement: str, after: int
) -> None:
    templates.server.cut(statement, after)
    state = str(templates.work / "state")
    arguments = () if flow == "metadata" else ("--state", state)
    run = templates.run("collect", flow, *arguments).check(4)
    assert run.summary["status"] == "failed"
    assert "run the same command again" in run.stderr
    assert templates.leftovers() == []
    templates.server.mend()
    templates.run("collect", flow, *arguments).check()


def test_collect_and_push_sends_nothing_from_a_truncated_run(templates: Templates) -> None:
    before = len(templates.sandbox.pushes())
    templates.server.cut("sys_query_text", 2)
    templates.run("collect_and_push", "query_logs").check(4)
    assert len(templates.sandbox.pushes()) == before
    assert templates.leftovers() == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"REDSHIFT_USER": "", "REDSHIFT_PASSWORD": ""}, "No Redshift credentials are set"),
        ({"REDSHIFT_USER": ""}, "REDSHIFT_USER"),
        ({"REDSHIFT_HOST": ""}, "REDSHIFT_HOST"),
        ({"REDSHIFT_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:x"}, "Several sign-in methods"),
        ({"REDSHIFT_IAM": "true"}, "Several sign-in methods"),
        ({"REDSHIFT_PORT": "many"}, "REDSHIFT_PORT"),
        ({"REDSHIFT_SSL": "perhaps"}, "REDSHIFT_SSL"),
        ({"REDSHIFT_STATEMENT_TIMEOUT": "-1"}, "REDSHIFT_STATEMENT_TIMEOUT"),
        ({"REDSHIFT_PASSWORD": "", "REDSHIFT_CLUSTER_IDENTIFIER": "c1"}, "REDSHIFT_DB_USER"),
    ],
)
def test_invalid_or_conflicting_variables_are_named(templates: Templates, changes: dict[str, str], says: str) -> None:
    before = len(templates.server.events("session"))
    run = templates.run("collect", "metadata", **changes).check(2)
    assert says in run.stderr
    assert len(templates.server.events("session")) == before


def test_an_unknown_variable_is_named(templates: Templates) -> None:
    run = templates.run("collect", "metadata", "--include", "analytics.*", REDSHIFT_SSL_MODE="verify-ca").check()
    assert "REDSHIFT_SSL_MODE is not an option" in run.stderr
    assert run.stderr.count("is not an option") == 1


def test_the_session_sets_its_name_and_a_statement_timeout(templates: Templates) -> None:
    before = len(templates.server.events("session"))
    statements = len(templates.server.events("statement"))
    templates.run("collect", "query_logs", REDSHIFT_STATEMENT_TIMEOUT="77").check()
    session = templates.server.events("session")[before]
    assert session["parameters"]["application_name"].startswith("push-ingestion/")
    texts = [event["sql"] for event in templates.server.events("statement")[statements:]]
    assert "SET statement_timeout TO 77000" in texts
    assert "SET query_group TO 'push-ingestion'" in texts
    assert "SET enable_case_sensitive_identifier TO true" in texts
    assert all(text.lstrip().startswith(("SELECT", "SET", "SHOW")) for text in texts)
