"""Tests the local HiveServer2: what it stores, how it answers, and that the front answers as the genuine server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pyhive import exc  # type: ignore[import-untyped]
from pyhive import hive as driver
from thrift.transport.TSSLSocket import TSSLSocket  # type: ignore[import-untyped]
from thrift.transport.TTransport import TBufferedTransport, TTransportException  # type: ignore[import-untyped]

from tests.certificates import certificate_for
from tests.script_process import wait_until
from tests.warehouses.environments import REPOSITORY
from tests.warehouses.hive.conftest import PASSWORDS
from tests.warehouses.hive.forwarding import denied
from tests.warehouses.hive.front import HTTP_NO_PASSWORD, HTTP_WRONG_PASSWORD, Front
from tests.warehouses.hive.launch import (
    ACCURATE,
    HOST,
    LINEAGE_HOOK,
    PASSWORD,
    Column,
    Database,
    HiveServer,
    Partition,
    Table,
)
from tests.warehouses.hive.orders import Fault, Kind
from tests.warehouses.hive.shared import ONE_SERVER

pytestmark = ONE_SERVER

USER = "ana"
ORDERS = Table("sales", "orders", (Column("id", "int", "the key"), Column("note", "varchar(40)")))
Rows = list[tuple[Any, ...]]


def cursor_of(server: HiveServer | Front, user: str = USER, **more: Any) -> driver.Cursor:
    if isinstance(server, HiveServer):
        more = {"auth": "NOSASL", **more}
    else:
        more = {"auth": "LDAP", "password": PASSWORDS[user], **more}
    return driver.connect(HOST, server.port, username=user, **more).cursor()


def ask(cursor: driver.Cursor, *statements: str) -> Rows:
    """Run statements. Returns the rows of the last one."""
    for statement in statements:
        cursor.execute(statement)
    rows: Rows = cursor.fetchall() if cursor._operationHandle.hasResultSet else []
    return rows


def refusal(cursor: driver.Cursor, statement: str) -> tuple[str | None, int, str]:
    """The SQLSTATE, code and message of a statement that the server refuses."""
    with pytest.raises(exc.OperationalError) as caught:
        ask(cursor, statement)
    status = caught.value.args[0].status
    return status.sqlState, status.errorCode, status.errorMessage


# --- what is stored -------------------------------------------------------------------------------------


def described(rows: Rows, name: str) -> Rows:
    """DESCRIBE FORMATTED without what differs between any two tables."""
    varying = ("CreateTime:", "Owner:", "Location:", "View Original", "View Expanded")
    kept = [row for row in rows if not row[0].startswith(varying)]
    return [tuple((cell or "").replace(name, "").strip() for cell in row) for row in kept]


def test_tables_are_stored_as_create_table_stores_them(hive: HiveServer) -> None:
    cursor = cursor_of(hive)
    ask(
        cursor,
        "CREATE DATABASE sales",
        "CREATE TABLE sales.made (id INT COMMENT 'the key', note VARCHAR(40)) COMMENT 'x'",
    )
    made = ask(cursor, "DESCRIBE FORMATTED sales.made")
    ddl_time = next(row[2].strip() for row in made if row[1] == "transient_lastDdlTime")
    statistics = {"numFiles": "0", "numRows": "0", "rawDataSize": "0", "totalSize": "0"}
    parameters = {**ACCURATE, **statistics, "comment": "x", "transient_lastDdlTime": ddl_time}
    hive.add([], [Table("sales", "stored", ORDERS.columns, parameters=parameters)])
    stored = ask(cursor, "DESCRIBE FORMATTED sales.stored")
    assert described(stored, "stored") == described(made, "made")


def test_views_are_stored_as_create_view_stores_them(hive: HiveServer) -> None:
    cursor = cursor_of(hive)
    hive.add([Database("sales")], [ORDERS])
    ask(cursor, "CREATE VIEW sales.made AS SELECT id FROM sales.orders")
    made = ask(cursor, "DESCRIBE FORMATTED sales.made")
    ddl_time = next(row[2].strip() for row in made if row[1] == "transient_lastDdlTime")
    text, expanded = "SELECT id FROM sales.orders", "SELECT `orders`.`id` FROM `sales`.`orders`"
    stored = Table(
        *("sales", "stored", (Column("id", "int"),)),
        parameters={"transient_lastDdlTime": ddl_time},
        type="VIRTUAL_VIEW",
        text=text,
        expanded_text=expanded,
    )
    hive.add([], [stored])
    rows = ask(cursor, "DESCRIBE FORMATTED sales.stored")
    assert described(rows, "stored") == described(made, "made")
    texts = [
        {row[0].strip(): row[1] for row in each if row[0].startswith("View ") and "Rewrite" not in row[0]}
        for each in (rows, made)
    ]
    assert texts == [{"View Original Text:": text, "View Expanded Text:": expanded}] * 2
    assert ask(cursor, "SHOW VIEWS IN sales") == [("made",), ("stored",)]


def test_times_and_statistics_are_stored_unchanged(hive: HiveServer) -> None:
    parameters = {**ACCURATE, "numRows": "7", "totalSize": "2097152", "transient_lastDdlTime": "1700000001"}
    table = Table("sales", "orders", ORDERS.columns, created=1_600_000_000, parameters=parameters)
    hive.add([Database("sales", "what was sold")], [table])
    rows = ask(cursor_of(hive), "DESCRIBE FORMATTED sales.orders")
    assert ("CreateTime:", "Sun Sep 13 12:26:40 UTC 2020") in [(row[0].strip(), row[1]) for row in rows]
    assert ask(cursor_of(hive), "SHOW TBLPROPERTIES sales.orders") == sorted(parameters.items())
    assert ask(cursor_of(hive), "DESCRIBE DATABASE sales")[0][:2] == ("sales", "what was sold")


def test_partitions_are_stored(hive: HiveServer) -> None:
    partitions = tuple(Partition((day,), 1_700_000_000, {"numRows": "3"}) for day in ("2026-11-29", "2026-11-30"))
    keys = (Column("day", "string"),)
    hive.add([Database("sales")], [Table("sales", "daily", ORDERS.columns, partition_keys=keys, partitions=partitions)])
    cursor = cursor_of(hive)
    assert ask(cursor, "SHOW PARTITIONS sales.daily") == [("day=2026-11-29",), ("day=2026-11-30",)]
    rows = ask(cursor, "DESCRIBE FORMATTED sales.daily PARTITION (day='2026-11-30')")
    assert ("", "numRows", "3") in [tuple((cell or "").strip() for cell in row) for row in rows]
    hive.empty()
    assert ask(cursor, "SHOW DATABASES") == [("default",)]


def test_names(hive: HiveServer) -> None:
    """Hive folds names to lower case. Databases and tables have letters, digits and underscores, columns anything."""
    cursor = cursor_of(hive)
    ask(cursor, "CREATE DATABASE `Sales`", 'CREATE TABLE `Sales`.`_Orders` (`Ünïcode\'s "%" ; x` INT)')
    assert ask(cursor, "SHOW TABLES IN sales") == [("_orders",)]
    assert ask(cursor, "DESCRIBE FORMATTED sales.`_orders`")[2][0] == 'ünïcode\'s "%" ; x'
    for name in ("é", "a-b", "a b"):
        assert "is not a valid table name" in refusal(cursor, f"CREATE TABLE sales.`{name}` (id INT)")[2]


# --- statements -----------------------------------------------------------------------------------------


def test_statements_run_in_hive_and_are_logged(hive: HiveServer) -> None:
    cursor = cursor_of(hive)
    ask(cursor, f"SET hive.exec.post.hooks={LINEAGE_HOOK}")
    ask(cursor, "CREATE DATABASE sales", "CREATE TABLE sales.a (id INT)", "INSERT INTO sales.a VALUES (1), (2)")
    statement = "CREATE TABLE sales.b AS\nSELECT id + 1 AS next FROM sales.a"
    ask(cursor, statement)
    assert sorted(ask(cursor, "SELECT next FROM sales.b")) == [(2,), (3,)]
    logged = hive.log.read_text(encoding="utf-8")
    assert "ql.Driver: Executing command(queryId=hive_2" in logged
    assert f"): {statement}\n" in logged
    assert '"vertexId":"sales.b.next"' in logged
    assert ("numRows", "2") in ask(cursor, "SHOW TBLPROPERTIES sales.b")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="this system has no /proc")
def test_the_server_ends_with_the_process_that_started_it() -> None:
    code = (
        "import time; from tests.warehouses.hive.launch import HiveServer; server = HiveServer().__enter__(); "
        "print(server._process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        server = Path("/proc") / starter.stdout.readline().strip()
        assert is_running(server)
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_running(server), seconds=60)


def is_running(process: Path) -> bool:
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- the front ------------------------------------------------------------------------------------------


@pytest.fixture
def filled(front: Front) -> Front:
    front.server.add([Database("sales")], [ORDERS])
    return front


def test_the_front_forwards_to_the_genuine_server(filled: Front) -> None:
    cursor, direct = cursor_of(filled), cursor_of(filled.server)
    for statement in ("DESCRIBE FORMATTED sales.orders", "SHOW TABLES IN sales", "SELECT * FROM sales.orders"):
        assert ask(cursor, statement) == ask(direct, statement)
    assert [each.text for each in filled.orders.received] == [
        "USE `default`",
        "DESCRIBE FORMATTED sales.orders",
        "SHOW TABLES IN sales",
        "SELECT * FROM sales.orders",
    ]
    assert {each.user for each in filled.orders.received} == {USER}


def test_databases_are_in_random_order(filled: Front) -> None:
    filled.server.add([Database(f"d{number}") for number in range(8)], [])
    found = [ask(cursor_of(filled), "SHOW DATABASES") for _ in range(4)]
    assert len({tuple(rows) for rows in found}) > 1
    assert {len(set(rows)) for rows in found} == {10}


DESCRIBE = "DESCRIBE FORMATTED `sales`.`orders`"
BREAKS: tuple[tuple[Kind, str], ...] = (
    ("session ended", "Invalid SessionHandle: SessionHandle ["),
    ("timeout", "Expected states: [FINISHED], but found TIMEDOUT"),
    (
        "dropped",
        "Error while compiling statement: FAILED: SemanticException [Error 10001]: Table not found sales.orders",
    ),
)


@pytest.mark.parametrize(("kind", "message"), BREAKS)
def test_a_statement_fails_on_request(filled: Front, kind: Kind, message: str) -> None:
    filled.orders.faults.append(Fault("`orders`", kind, after=1))
    ask(cursor_of(filled), DESCRIBE)
    assert refusal(cursor_of(filled), DESCRIBE)[2].startswith(message)


def test_the_connection_breaks_on_request(filled: Front) -> None:
    cursor = cursor_of(filled)
    filled.orders.faults.append(Fault(DESCRIBE, "connection gone"))
    with pytest.raises((TTransportException, OSError)):
        ask(cursor, DESCRIBE)
    filled.orders.restore()
    rows = ask(cursor_of(filled), DESCRIBE)
    for left, is_cut in ((len(rows), False), (len(rows) - 1, True)):
        filled.orders.rows_left = left
        cursor = cursor_of(filled)
        if is_cut:
            with pytest.raises((TTransportException, OSError)):
                ask(cursor, DESCRIBE)
        else:
            assert ask(cursor, DESCRIBE) == rows


def test_denials(filled: Front) -> None:
    filled.orders.denied = ["SHOW TABLES", "sys.query_history"]
    filled.orders.powerless = frozenset({"bob"})
    assert ask(cursor_of(filled), "SHOW DATABASES")
    for user, statement in (
        (USER, "show  tables IN `sales`"),
        (USER, "SELECT sql FROM sys.query_history"),
        (USER, "SELECT sql FROM `sys`.`query_history` WHERE true"),
        ("bob", "SHOW DATABASES"),
    ):
        assert refusal(cursor_of(filled, user), statement)[:2] == ("42000", 40000), statement
    filled.orders.restore()
    filled.orders.denies_all = True
    assert refusal(cursor_of(filled), DESCRIBE) == ("42000", 40000, denied(USER, DESCRIBE))


def test_every_way_to_sign_in(hive: HiveServer, tmp_path: Path) -> None:
    certificate = certificate_for("localhost")
    trusted = tmp_path / "certificate.pem"
    trusted.write_text(certificate, encoding="utf-8")
    right, wrong = {"username": USER, "password": PASSWORDS[USER]}, {"username": USER, "password": "wrong"}
    with Front(hive, PASSWORDS) as front, pytest.raises(TTransportException, match="Bad status: 3"):
        driver.connect(HOST, front.port, auth="LDAP", **wrong)
    with Front(hive, {}, authentication="NONE") as front:
        assert ask(driver.connect(HOST, front.port, auth="NONE", username=USER).cursor(), "SHOW DATABASES")
    with Front(hive, {}, authentication="NOSASL") as front:
        assert ask(driver.connect(HOST, front.port, auth="NOSASL", username=USER).cursor(), "SHOW DATABASES")
        assert {each.user for each in front.orders.received} == {USER}
    with Front(hive, PASSWORDS, http=True, tls=certificate) as front:
        connection = driver.connect("localhost", front.port, scheme="https", auth="BASIC", **right)
        assert ask(connection.cursor(), "SHOW DATABASES") == [("default",)]
    with Front(hive, {}, authentication="NOSASL", tls=certificate) as front:
        transport = TBufferedTransport(TSSLSocket("localhost", front.port, ca_certs=str(trusted)))
        assert ask(driver.connect(thrift_transport=transport).cursor(), "SHOW DATABASES") == [("default",)]


# --- the front and the genuine server -------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict() -> Iterator[HiveServer]:
    """A genuine server that checks passwords and grants itself."""
    with HiveServer("CUSTOM", authorization=True) as server:
        view = Table("sales", "v", ORDERS.columns, type="VIRTUAL_VIEW", text="SELECT 1", expanded_text="SELECT 1")
        server.add([Database("sales")], [ORDERS, view])
        yield server


def test_the_front_denies_as_the_genuine_server(strict: HiveServer) -> None:
    cursor = cursor_of(strict, auth="CUSTOM", password=PASSWORD)
    for statement in (
        DESCRIBE,
        "DESCRIBE FORMATTED sales.v",
        "SHOW PARTITIONS sales.orders",
        "SELECT * FROM sales.orders",
    ):
        assert refusal(cursor, statement) == ("42000", 40000, denied(USER, statement))
    # These need no grant.
    for statement in ("SHOW DATABASES", "SHOW TABLES IN sales", "SHOW TBLPROPERTIES sales.orders"):
        ask(cursor, statement)


def test_the_front_refuses_passwords_as_the_genuine_server(strict: HiveServer, front: Front) -> None:
    refusals = []
    for server, auth in ((strict, "CUSTOM"), (front, "LDAP")):
        with pytest.raises(TTransportException) as caught:
            driver.connect(HOST, server.port, auth=auth, username=USER, password="wrong")
        refusals.append(str(caught.value))
    assert refusals[0] == refusals[1] == "Bad status: 3 (b'Error validating the login')"


def test_the_front_refuses_passwords_by_http_as_the_genuine_server(hive: HiveServer) -> None:
    with HiveServer("CUSTOM", http=True) as strict, Front(hive, PASSWORDS, http=True) as front:
        for server in (strict, front):
            url = f"http://{HOST}:{server.port}/cliservice/"
            wrong = requests.post(url, auth=(USER, "wrong"), data=b"", timeout=60)
            assert (wrong.status_code, wrong.text) == (401, HTTP_WRONG_PASSWORD)
            nobody = requests.post(url, data=b"", timeout=60)
            assert (nobody.status_code, nobody.text) == (401, HTTP_NO_PASSWORD)
        connection = driver.connect(HOST, strict.port, scheme="http", auth="BASIC", username=USER, password=PASSWORD)
        assert ask(connection.cursor(), "SHOW DATABASES") == [("default",)]
