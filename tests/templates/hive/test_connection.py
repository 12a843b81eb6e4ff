"""Tests every way to connect and sign in to HiveServer2, and the errors of each, with a genuine server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.certificates import certificate_for
from tests.templates.hive.server_runs import PASSWORDS, USER, ServerRuns, error_of
from tests.warehouses.hive.front import Front
from tests.warehouses.hive.launch import Column, Database, HiveServer, Table
from tests.warehouses.hive.shared import ONE_SERVER

pytestmark = ONE_SERVER

NAMES = ["orders"]


@pytest.fixture
def filled(hive: HiveServer) -> HiveServer:
    hive.add([Database("sales")], [Table("sales", "orders", (Column("id", "int"),))])
    return hive


@pytest.fixture(scope="module")
def certificate() -> str:
    return certificate_for("localhost")


@pytest.fixture
def trusted(certificate: str, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(certificate, encoding="utf-8")
    return str(path)


def names(runs: ServerRuns, **changes: str) -> list[str]:
    return [each["name"] for each in runs.collect(**changes).records]


# --- ways to sign in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("authentication", ["LDAP", "CUSTOM", "PAM", "ldap", ""])
def test_a_password(filled: HiveServer, runs: ServerRuns, authentication: str) -> None:
    assert names(runs, HIVE_AUTH=authentication) == NAMES
    assert {each.user for each in runs.front.orders.received} == {USER}


def test_no_password(filled: HiveServer, tmp_path: Path) -> None:
    with Front(filled, {}, authentication="NONE") as front:
        runs = ServerRuns(front, tmp_path)
        assert names(runs, HIVE_AUTH="", HIVE_PASSWORD="") == NAMES
        assert {each.user for each in front.orders.received} == {USER}


def test_no_sasl(filled: HiveServer, tmp_path: Path) -> None:
    with Front(filled, {}, authentication="NOSASL") as front:
        assert names(ServerRuns(front, tmp_path), HIVE_AUTH="NOSASL", HIVE_PASSWORD="", HIVE_USER="") == NAMES
        assert {each.user for each in front.orders.received} == {"hive"}


def test_http(filled: HiveServer, tmp_path: Path) -> None:
    with Front(filled, PASSWORDS, http=True) as front:
        assert names(ServerRuns(front, tmp_path), HIVE_TRANSPORT_MODE="http") == NAMES
        assert {each.user for each in front.orders.received} == {USER}


def test_tls(filled: HiveServer, certificate: str, trusted: str, tmp_path: Path) -> None:
    with Front(filled, PASSWORDS, tls=certificate) as front:
        runs = ServerRuns(front, tmp_path)
        assert names(runs, HIVE_HOST="localhost", HIVE_SSL="true", HIVE_CA_FILE=trusted) == NAMES
    with Front(filled, PASSWORDS, tls=certificate, http=True) as front:
        runs = ServerRuns(front, tmp_path)
        changes = {"HIVE_HOST": "localhost", "HIVE_SSL": "true", "HIVE_CA_FILE": trusted}
        assert names(runs, HIVE_TRANSPORT_MODE="http", **changes) == NAMES


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("http", [False, True])
def test_certificates_and_host_names_are_verified(
    filled: HiveServer, certificate: str, trusted: str, tmp_path: Path, http: bool
) -> None:
    mode = "http" if http else "binary"
    with Front(filled, PASSWORDS, tls=certificate, http=http) as front:
        runs = ServerRuns(front, tmp_path)
        unknown = runs.run(HIVE_HOST="localhost", HIVE_SSL="true", HIVE_TRANSPORT_MODE=mode).check(2)
        other = runs.run(HIVE_HOST="127.0.0.1", HIVE_SSL="true", HIVE_CA_FILE=trusted, HIVE_TRANSPORT_MODE=mode).check(
            2
        )
        assert front.orders.received == []
    for run in (unknown, other):
        assert "CERTIFICATE_VERIFY_FAILED" in error_of(run)["message"]
        assert "HIVE_CA_FILE" in error_of(run)["remedy"]


@pytest.mark.parametrize("http", [False, True])
def test_a_wrong_password_is_refused(filled: HiveServer, tmp_path: Path, http: bool) -> None:
    with Front(filled, PASSWORDS, http=http) as front:
        run = ServerRuns(front, tmp_path).run(
            HIVE_PASSWORD="another secret", HIVE_TRANSPORT_MODE="http" if http else "binary"
        )
    error = error_of(run.check(3))
    assert error["message"].startswith("HiveServer2: " + ("HTTP status 401" if http else "Bad status: 3"))
    assert error["remedy"] == "Check HIVE_USER, HIVE_PASSWORD and HIVE_AUTH."
    assert "another secret" not in run.stdout + run.stderr


def test_a_wrong_path_is_reported(filled: HiveServer, tmp_path: Path) -> None:
    with Front(filled, PASSWORDS, http=True) as front:
        run = ServerRuns(front, tmp_path).run(HIVE_TRANSPORT_MODE="http", HIVE_HTTP_PATH="/gateway/hive/").check(2)
    assert error_of(run)["message"] == "HiveServer2: HTTP status 405 Method Not Allowed"
    assert "HIVE_HTTP_PATH" in error_of(run)["remedy"]


def test_tls_to_a_server_without_it(filled: HiveServer, runs: ServerRuns) -> None:
    error = error_of(runs.run(HIVE_SSL="true", HIVE_CONNECT_TIMEOUT="2").check(4))
    assert "HIVE_SSL" in error["remedy"]


def test_sasl_to_a_server_without_it_ends_by_the_timeout(filled: HiveServer, tmp_path: Path) -> None:
    """The server takes the first bytes for the length of a message, and waits for the rest."""
    with Front(filled, {}, authentication="NOSASL") as front:
        run = ServerRuns(front, tmp_path).run(HIVE_CONNECT_TIMEOUT="2").check(4)
    assert "HIVE_AUTH" in error_of(run)["remedy"]


def test_a_missing_database_is_reported(filled: HiveServer, runs: ServerRuns) -> None:
    run = runs.run(HIVE_DATABASE="nowhere").check(4)
    assert "Database does not exist: nowhere" in error_of(run)["message"]
    assert names(runs, HIVE_DATABASE="sales") == NAMES


# --- networks -----------------------------------------------------------------------------------------------


@contextmanager
def listening(*, answers: bool) -> Iterator[int]:
    """A port that accepts connections and then closes them, or says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as connections:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if answers:
                    connection.close()
                else:
                    connections.enter_context(connection)

        Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_server_that_says_nothing_ends_the_run(runs: ServerRuns) -> None:
    with listening(answers=False) as port:
        error = error_of(runs.run(HIVE_PORT=str(port), HIVE_CONNECT_TIMEOUT="1").check(4))
    assert error["message"] == "HiveServer2: no answer within the timeout"


@pytest.mark.parametrize("mode", ["binary", "http"])
def test_a_server_that_closes_connections_ends_the_run(runs: ServerRuns, mode: str) -> None:
    with listening(answers=True) as port:
        error = error_of(runs.run(HIVE_PORT=str(port), HIVE_TRANSPORT_MODE=mode).check(4))
    assert "HIVE_TRANSPORT_MODE" in error["remedy"]


def test_an_unknown_host_ends_the_run(runs: ServerRuns) -> None:
    error = error_of(runs.run(HIVE_HOST="nothing.invalid").check(4))
    assert "HIVE_HOST" in error["remedy"]


@pytest.mark.parametrize("mode", ["binary", "http"])
def test_nothing_is_sent_unencrypted_to_another_machine(runs: ServerRuns, mode: str) -> None:
    run = runs.run(HIVE_HOST="hive.invalid", HIVE_SSL="false", HIVE_TRANSPORT_MODE=mode).check(2)
    assert error_of(run)["message"].startswith("HIVE_SSL=false sends credentials and data unencrypted")
    allowed = runs.run("--allow-plaintext", HIVE_HOST="hive.invalid", HIVE_SSL="false", HIVE_TRANSPORT_MODE=mode)
    allowed.check(4)


def test_kerberos_names_its_package(runs: ServerRuns) -> None:
    error = error_of(runs.run(HIVE_AUTH="KERBEROS", HIVE_PASSWORD="").check(2))
    assert "uv run --with 'pure-sasl[GSSAPI]" in error["remedy"]
    assert "pip install 'pure-sasl[GSSAPI]" in error["remedy"]
