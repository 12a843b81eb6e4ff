"""The local Redshift itself: it looks to the driver as the documented one would, and refuses what that refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
import redshift_connector
from redshift_connector.error import Error, InterfaceError

from tests.warehouses.redshift import catalog_views, shim, shop
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


def test_every_documented_view_is_there_with_its_columns(server: RedshiftServer) -> None:
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


def test_a_view_that_no_page_documents_is_not_there(server: RedshiftServer) -> None:
    with pytest.raises(Error) as error:
        ask(server, shop.ADMIN, "SELECT 1 AS one FROM sys_querytext")
    assert code(error) == "42P01"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"password": "no"}, "28000"), ({"database": "no"}, "3D000"), ({"database": "finance"}, "42501")],
)
def test_who_may_not_come_in_hears_why(server: RedshiftServer, changes: dict[str, str], expected: str) -> None:
    with pytest.raises(Error) as error:
        connect(server, shop.MONITOR, **changes)
    assert code(error) == expected


def test_the_owner_cannot_come_in_over_the_network(server: RedshiftServer) -> None:
    with pytest.raises(Error) as error:
        connect(server, User(1, "postgres", "any"))
    assert code(error) == "28000"


def test_users_see_their_own_rows(server: RedshiftServer) -> None:
    sql = "SELECT DISTINCT user_id AS user_id FROM sys_query_history"
    assert [list(row) for row in ask(server, shop.MONITOR, sql)] == [[shop.MONITOR.user_id]]
    assert len(ask(server, shop.ADMIN, sql)) > 2
    assert len(ask(server, shop.AUDITOR, sql)) > 2


def test_superuser_views_want_a_grant(server: RedshiftServer) -> None:
    sql = 'SELECT i."table" AS name FROM svv_table_info AS i'
    assert ask(server, shop.ADMIN, sql)
    assert ask(server, shop.AUDITOR, sql)
    with pytest.raises(Error) as error:
        ask(server, shop.MONITOR, sql)
    assert code(error) == "42501"


def test_objects_are_shown_to_whom_they_are_granted(server: RedshiftServer) -> None:
    sql = "SELECT DISTINCT database_name || '.' || schema_name AS name FROM svv_all_tables ORDER BY 1"
    assert [row[0] for row in ask(server, shop.MONITOR, sql)] == ["analytics.marts", "dev.sales", "dev.spectrum"]
    assert len(ask(server, shop.ADMIN, sql)) > 5
    with pytest.raises(Error) as error:
        ask(server, shop.MONITOR, "SHOW TABLES FROM SCHEMA dev.public")
    assert code(error) == "42501"


def test_show_tables_ends_in_an_error_above_its_cap(server: RedshiftServer) -> None:
    server.run(
        "INSERT INTO testbed.show_tables (database_name, schema_name, table_name) "
        "SELECT 'dev', 'crowd', 't' || n FROM generate_series(1, 10001) AS n"
    )
    with pytest.raises(Error):
        ask(server, shop.ADMIN, "SHOW TABLES FROM SCHEMA dev.crowd")
    assert len(ask(server, shop.ADMIN, "SHOW TABLES FROM SCHEMA dev.crowd LIKE 't9%'")) == 1111
    assert len(ask(server, shop.ADMIN, "SHOW TABLES FROM SCHEMA dev.crowd LIMIT 5")) == 5


def test_a_connection_is_cut_where_it_should_be(server: RedshiftServer) -> None:
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
def test_only_what_postgresql_does_not_take_is_translated(sql: str, translated: str) -> None:
    assert shim.translate(sql, "dev") == translated
