"""Tests of the local Redshift itself: to the driver it behaves like the documented service, including refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
import redshift_connector
from redshift_connector.error import Error, InterfaceError

from tests.warehouses.redshift import catalog_views, shop, translation
from tests.warehouses.redshift.faults import Order
from tests.warehouses.redshift.launch import RedshiftServer, User


@pytest.fixture(scope="module")
def server() -> Iterator[RedshiftServer]:
    with RedshiftServer() as running:
        running.load(shop.shop(datetime.now(timezone.utc)).load())
        yield running


def connect(server: RedshiftServer, user: User, **changes: Any) -> Any:
    place: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "database": "dev", "ssl": False}
    connection = redshift_connector.connect(user=user.name, **place | {"password": user.password} | changes)
    connection.autocommit = True
    return connection


def ask(server: RedshiftServer, user: User, sql: str, **changes: Any) -> list[Any]:
    connection = connect(server, user, **changes)
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall())
    finally:
        connection.close()


def code(error: pytest.ExceptionInfo[Error]) -> str:
    return str(error.value.args[0]["C"])


def test_every_documented_view_exists_with_its_columns(server: RedshiftServer) -> None:
    views = catalog_views.load()["views"]
    assert len(views) > 25
    for name, view in views.items():
        cursor = connect(server, shop.ADMIN).cursor()
        wanted = ", ".join(f'v."{column}"' for column in view["columns"])
        cursor.execute(f"SELECT {wanted} FROM {name} AS v LIMIT 1")
        assert [str(column[0]) for column in cursor.description] == list(view["columns"])
        if view.get("source") != "postgresql":
            cursor.execute(f"SELECT * FROM {name} LIMIT 1")
            assert len(cursor.description) == len(view["columns"])


def test_an_undocumented_view_does_not_exist(server: RedshiftServer) -> None:
    with pytest.raises(Error) as error:
        ask(server, shop.ADMIN, "SELECT 1 AS one FROM sys_querytext")
    assert code(error) == "42P01"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"password": "no"}, "28000"), ({"database": "no"}, "3D000"), ({"database": "finance"}, "42501")],
)
def test_refused_logins_get_a_reason(server: RedshiftServer, changes: dict[str, str], expected: str) -> None:
    with pytest.raises(Error) as error:
        connect(server, shop.MONITOR, **changes)
    assert code(error) == expected


def test_the_owner_cannot_connect_over_the_network(server: RedshiftServer) -> None:
    with pytest.raises(Error) as error:
        connect(server, User(1, "postgres", "any"))
    assert code(error) == "28000"


def test_users_see_their_own_rows(server: RedshiftServer) -> None:
    sql = "SELECT DISTINCT user_id AS user_id FROM sys_query_history"
    assert [list(row) for row in ask(server, shop.MONITOR, sql)] == [[shop.MONITOR.user_id]]
    assert len(ask(server, shop.ADMIN, sql)) > 2
    assert len(ask(server, shop.AUDITOR, sql)) > 2


def test_superuser_views_need_a_grant(server: RedshiftServer) -> None:
    sql = 'SELECT i."table" AS name FROM svv_table_info AS i'
    assert ask(server, shop.ADMIN, sql)
    assert ask(server, shop.AUDITOR, sql)
    with pytest.raises(Error) as error:
        ask(server, shop.MONITOR, sql)
    assert code(error) == "42501"


def test_objects_are_visible_only_to_users_with_a_grant(server: RedshiftServer) -> None:
    sql = "SELECT DISTINCT database_name || '.' || schema_name AS name FROM svv_all_tables ORDER BY 1"
    assert [row[0] for row in ask(server, shop.MONITOR, sql)] == ["analytics.marts", "dev.sales", "dev.spectrum"]
    assert len(ask(server, shop.ADMIN, sql)) > 5
    with pytest.raises(Error) as error:
        ask(server, shop.MONITOR, "SHOW TABLES FROM SCHEMA dev.public")
    assert code(error) == "42501"


def test_show_tables_fails_above_its_cap(server: RedshiftServer) -> None:
    server.run(
        "INSERT INTO testbed.show_tables (database_name, schema_name, table_name) "
        "SELECT 'dev', 'crowd', 't' || n FROM generate_series(1, 10001) AS n"
    )
    with pytest.raises(Error):
        ask(server, shop.ADMIN, "SHOW TABLES FROM SCHEMA dev.crowd")
    assert len(ask(server, shop.ADMIN, "SHOW TABLES FROM SCHEMA dev.crowd LIKE 't9%'")) == 1111
    assert len(ask(server, shop.ADMIN, "SHOW TABLES FROM SCHEMA dev.crowd LIMIT 5")) == 5


def test_a_connection_is_cut_at_the_requested_statement(server: RedshiftServer) -> None:
    server.cut("cut_here", after=1)
    assert ask(server, shop.ADMIN, "SELECT 1 AS cut_here")
    with pytest.raises(InterfaceError):
        ask(server, shop.ADMIN, "SELECT 2 AS cut_here")
    server.mend()
    assert ask(server, shop.ADMIN, "SELECT 3 AS cut_here")


@pytest.mark.parametrize(
    ("sql", "translated"),
    [
        ("SHOW TABLES FROM SCHEMA s", "SELECT * FROM testbed.show_tables_from('dev', 's', '%', NULL)"),
        (
            'SHOW TABLES FROM SCHEMA "a.b"."it\'s ""q""" LIKE \'x%\' LIMIT 3;',
            "SELECT * FROM testbed.show_tables_from('a.b', 'it''s \"q\"', 'x%', 3)",
        ),
        ("SET query_group TO 'x'", "SET testbed.query_group TO 'x'"),
        ("SET statement_timeout TO 5", "SET statement_timeout TO 5"),
        ("SELECT 'SHOW TABLES FROM SCHEMA s'", "SELECT 'SHOW TABLES FROM SCHEMA s'"),
    ],
)
def test_only_statements_that_postgresql_lacks_are_translated(sql: str, translated: str) -> None:
    assert translation.translate(sql, "dev") == translated


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("SELECT a FROM t", "SELECT * FROM (SELECT a FROM t\n) AS shuffled ORDER BY random()"),
        (
            "WITH c AS (SELECT 1 ORDER BY 1) SELECT * FROM c;",
            "SELECT * FROM (WITH c AS (SELECT 1 ORDER BY 1) SELECT * FROM c\n) AS shuffled ORDER BY random()",
        ),
        (
            "SELECT ' ORDER BY ' FROM t -- ORDER BY",
            "SELECT * FROM (SELECT ' ORDER BY ' FROM t -- ORDER BY\n) AS shuffled ORDER BY random()",
        ),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a\n, random() "),
        ("SELECT a FROM t ORDER  BY a, (b) LIMIT 3", "SELECT a FROM t ORDER  BY a, (b) \n, random() LIMIT 3"),
        ("SELECT DISTINCT a FROM t ORDER BY a", "SELECT DISTINCT a FROM t ORDER BY a"),
        ("SET statement_timeout TO 5", "SET statement_timeout TO 5"),
    ],
)
def test_only_the_outermost_order_by_determines_the_order(sql: str, changed: str) -> None:
    assert translation.shuffled(sql) == changed


def test_rows_are_returned_in_random_order(server: RedshiftServer) -> None:
    numbers = "FROM (VALUES {}) AS v (n)".format(", ".join(f"({n})" for n in range(50)))
    for sql in (f"SELECT n {numbers}", f"SELECT n {numbers} ORDER BY n / 50"):
        answers = {tuple(row[0] for row in ask(server, shop.ADMIN, sql)) for _ in range(5)}
        assert len(answers) == 5
        assert {tuple(sorted(answer)) for answer in answers} == {tuple(range(50))}
    ordered = ask(server, shop.ADMIN, f"SELECT n {numbers} ORDER BY n DESC LIMIT 3")
    assert [row[0] for row in ordered] == [49, 48, 47]


@pytest.mark.parametrize(("fault", "expected"), [("denied", "42501"), ("timeout", "57014")])
def test_a_requested_fault_applies_to_its_statement(server: RedshiftServer, fault: str, expected: str) -> None:
    server.fail(fault, "as MARKED", after=1)
    connection = connect(server, shop.ADMIN)
    cursor = connection.cursor()
    cursor.execute("SELECT 1 AS marked")
    with pytest.raises(Error) as error:
        cursor.execute("SELECT 1 AS marked")  # prepared earlier
    assert code(error) == expected
    cursor.execute("SELECT 2 AS other")
    assert list(cursor.fetchall()[0]) == [2]
    server.mend()
    assert ask(server, shop.ADMIN, "SELECT 3 AS marked")


def test_an_ended_session_is_closed(server: RedshiftServer) -> None:
    """After the server's reason, the driver reads until the connection closes, and reports that."""
    server.fail("session ended", "marked")
    connection = connect(server, shop.ADMIN)
    with pytest.raises(InterfaceError, match="server socket closed"):
        connection.cursor().execute("SELECT 1 AS marked")
    server.mend()


def test_faults_apply_to_one_user(server: RedshiftServer) -> None:
    server.order(Order("denied", r"\bone\b", user=shop.MONITOR.name))
    assert ask(server, shop.ADMIN, "SELECT 1 AS one")
    with pytest.raises(Error) as error:
        ask(server, shop.MONITOR, "SELECT 1 AS one")
    assert code(error) == "42501"
    server.mend()


def test_a_connection_breaks_in_the_middle_of_a_result(server: RedshiftServer) -> None:
    sql = "SELECT n FROM generate_series(1, 5) AS n"
    server.order(rows=5)
    assert len(ask(server, shop.ADMIN, sql)) == 5
    server.order(rows=4)
    for _ in range(2):
        with pytest.raises(InterfaceError):
            ask(server, shop.ADMIN, sql)
    server.mend()
    assert len(ask(server, shop.ADMIN, sql)) == 5
