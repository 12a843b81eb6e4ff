"""Tests of the embedded Snowflake itself, through the real driver.

They test the server, not Snowflake. For each refusal or column that they assert, the source is the vendor's page or the
driver's code, as cited in ``catalog.toml`` and ``errors.py``.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import Error, ProgrammingError

from tests.script_process import clean_environment
from tests.warehouses.snowflake.catalog import documented_catalog
from tests.warehouses.snowflake.faults import Fault
from tests.warehouses.snowflake.launch import STOP_SECONDS, EmbeddedSnowflake, embedded_snowflake
from tests.warehouses.snowflake.scale import many_queries, many_tables
from tests.warehouses.snowflake.shop import DOTTED_NAME, build_shop, open_shop

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*is deprecated; use:DeprecationWarning"),  # names that connector 4 also accepts
]

NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)

LINEAGE_SQL = """
    SELECT
        modified.value:"objectName"::VARCHAR AS target,
        written.value:"columnName"::VARCHAR AS target_column,
        source.value:"objectName"::VARCHAR AS source,
        source.value:"columnName"::VARCHAR AS source_column,
        COUNT(*) AS times
    FROM SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY AS history,
        LATERAL FLATTEN(INPUT => history.OBJECTS_MODIFIED) AS modified,
        LATERAL FLATTEN(INPUT => modified.value:"columns", OUTER => TRUE) AS written,
        LATERAL FLATTEN(INPUT => written.value:"directSources", OUTER => TRUE) AS source
    WHERE history.QUERY_START_TIME >= %s AND history.QUERY_START_TIME < %s
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
"""


@contextmanager
def connected(server: EmbeddedSnowflake, **changes: Any) -> Iterator[Any]:
    """A cursor of the real driver."""
    with closing(snowflake.connector.connect(**server.connection(**changes))) as connection:
        yield connection.cursor()


def fetch(server: EmbeddedSnowflake, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connected(server) as cursor:
        return list(cursor.execute(sql, parameters).fetchall())


def refusal(server: EmbeddedSnowflake, sql: str) -> tuple[int | None, str | None]:
    """The error number and SQLSTATE of a statement that must fail."""
    with pytest.raises(ProgrammingError) as caught:
        fetch(server, sql)
    return caught.value.errno, caught.value.sqlstate


# ---------------------------------------------------------------------- logins


def test_wrong_password_and_unknown_user_are_refused_as_in_snowflake(snowflake: EmbeddedSnowflake) -> None:
    for changes in ({"password": "wrong"}, {"user": "nobody"}):
        with pytest.raises(Error) as caught, connected(snowflake, **changes):
            pass
        assert caught.value.errno == 390100
        assert "Incorrect username or password" in str(caught.value)


def test_a_role_that_is_not_granted_is_refused_at_login(snowflake: EmbeddedSnowflake) -> None:
    with (
        pytest.raises(Error, match=r"Role 'OWNER'.* does not exist or not authorized"),
        connected(snowflake, role="OWNER"),
    ):
        pass


def key_files(directory: Path) -> tuple[Path, str]:
    """A private key file with a passphrase, and the matching public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = directory / "key.p8"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public.decode()


def test_the_right_key_pair_logs_in_and_another_key_does_not(snowflake: EmbeddedSnowflake, tmp_path: Path) -> None:
    private, public = key_files(tmp_path)
    login = {
        "user": "KEYED",
        "password": None,
        "role": None,
        "authenticator": "SNOWFLAKE_JWT",
        "private_key_file": str(private),
        "private_key_file_pwd": "open sesame",
    }
    snowflake.add_user("KEYED", public_key_pem=public)
    with connected(snowflake, **login) as cursor:
        assert cursor.execute("SELECT CURRENT_USER() AS me").fetchone() == ("KEYED",)
    assert snowflake.sessions()[-1]["authenticator"] == "SNOWFLAKE_JWT"
    _, foreign = key_files(tmp_path / "..")
    snowflake.add_user("KEYED", public_key_pem=foreign)
    with pytest.raises(Error) as caught, connected(snowflake, **login):
        pass
    assert caught.value.errno == 390144 or "JWT" in str(caught.value)


@pytest.mark.parametrize(
    ("authenticator", "credential"),
    [("OAUTH", "oauth_token"), ("PROGRAMMATIC_ACCESS_TOKEN", "programmatic_token")],
)
def test_tokens_are_compared(snowflake: EmbeddedSnowflake, authenticator: str, credential: str) -> None:
    snowflake.add_user("TOKENED", **{credential: "good token"})
    login = {"user": "TOKENED", "password": None, "role": None, "authenticator": authenticator}
    with connected(snowflake, **login, token="good token"):
        assert snowflake.sessions()[-1]["authenticator"] == authenticator
    with pytest.raises(Error), connected(snowflake, **login, token="bad token"):
        pass


PROFILE_SCRIPT = """
import os, snowflake.connector
name = os.environ["SNOWFLAKE_DEFAULT_CONNECTION_NAME"]
with snowflake.connector.connect(connection_name=name, session_parameters={"QUERY_TAG": "a tag"}) as connection:
    connection.cursor().execute("ALTER SESSION SET TIMEZONE = 'UTC'")
"""


def test_profile_and_session_parameters_arrive(snowflake: EmbeddedSnowflake, tmp_path: Path) -> None:
    """Runs in a separate process because the driver reads SNOWFLAKE_HOME at import."""
    environment = clean_environment(snowflake.environment(tmp_path))
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROFILE_SCRIPT], env=environment, check=True)
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "connections.toml").stat().st_mode) == 0o600
    [session] = snowflake.sessions()
    assert (session["user"], session["role"]) == (snowflake.credentials.user, snowflake.credentials.role)
    assert session["parameters"]["QUERY_TAG"] == "a tag"
    assert session["parameters"]["TIMEZONE"] == "UTC"


# ---------------------------------------------------------------------- system views


@pytest.mark.parametrize("name", sorted(documented_catalog().views))
def test_each_system_view_has_exactly_the_documented_columns(running_snowflake: EmbeddedSnowflake, name: str) -> None:
    view = documented_catalog().views[name]
    full = name if name.startswith("SNOWFLAKE.") else f"SNOWFLAKE.{name}"
    with connected(running_snowflake) as cursor:
        cursor.execute(f"SELECT * FROM {full} WHERE FALSE")
        assert [column.name for column in cursor.description] == list(view.columns)


@pytest.mark.parametrize("name", sorted(documented_catalog().commands))
def test_each_show_command_has_exactly_the_documented_columns(running_snowflake: EmbeddedSnowflake, name: str) -> None:
    with connected(running_snowflake) as cursor:
        cursor.execute(f"{name} IN ACCOUNT" if name != "SHOW DATABASES" else name)
        assert [column.name for column in cursor.description] == list(documented_catalog().commands[name].columns)


def test_undocumented_objects_do_not_exist(snowflake: EmbeddedSnowflake) -> None:
    assert refusal(snowflake, "SELECT 1 AS n FROM SNOWFLAKE.ACCOUNT_USAGE.NO_SUCH_VIEW") == (2003, "42S02")
    assert refusal(snowflake, "SELECT STATUS FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY") == (904, "42000")
    assert refusal(snowflake, "SELECT TABLE_NAME FROM NO_SUCH.INFORMATION_SCHEMA.TABLES") == (2003, "02000")


def test_tables_created_through_sql_are_visible(snowflake: EmbeddedSnowflake) -> None:
    with connected(snowflake) as cursor:
        for statement in (
            "CREATE DATABASE LIVE",
            "CREATE SCHEMA LIVE.S",
            "CREATE TABLE LIVE.S.T (id NUMBER(38,0), price NUMBER(12,2))",
            "INSERT INTO LIVE.S.T VALUES (1, 2.5)",
        ):
            cursor.execute(statement)
        columns = cursor.execute(
            "SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE FROM LIVE.INFORMATION_SCHEMA.COLUMNS "
            "WHERE TABLE_SCHEMA = 'S' ORDER BY ORDINAL_POSITION"
        ).fetchall()
    assert columns == [("ID", "NUMBER", 38, 0), ("PRICE", "NUMBER", 12, 2)]


# ---------------------------------------------------------------------- privileges and faults


def test_denied_objects_are_hidden_from_that_role_only(snowflake: EmbeddedSnowflake) -> None:
    open_shop(snowflake, NOON)
    history = "SELECT COUNT(*) AS n FROM SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY"
    view = '"Marketing-EU".PUBLIC."click view; --"'
    snowflake.deny("SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY", "RAW", view, role="MONTE_CARLO")
    assert refusal(snowflake, history) == (2003, "42S02")
    assert refusal(snowflake, "SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES") == (2003, "02000")
    listed = """SELECT TABLE_NAME FROM "Marketing-EU".INFORMATION_SCHEMA.VIEWS WHERE TABLE_SCHEMA = 'PUBLIC'"""
    assert fetch(snowflake, listed) == []
    assert "RAW" not in [row[1] for row in fetch(snowflake, "SHOW DATABASES")]
    with connected(snowflake, role="ACCOUNTADMIN") as cursor:
        assert cursor.execute(history).fetchone()[0] > 0
        assert cursor.execute(listed).fetchall() == [("click view; --",)]


def test_information_schema_needs_a_warehouse(snowflake: EmbeddedSnowflake) -> None:
    snowflake.add_user("IDLE", password="p", default_warehouse=None)
    login = {"user": "IDLE", "password": "p", "role": None, "warehouse": None}
    with connected(snowflake, **login) as cursor:
        assert cursor.execute("SHOW DATABASES").fetchall()
        with pytest.raises(ProgrammingError, match="No active warehouse"):
            cursor.execute("SELECT TABLE_NAME FROM SNOWFLAKE.INFORMATION_SCHEMA.TABLES")


def test_faults_apply_only_to_matching_calls(snowflake: EmbeddedSnowflake) -> None:
    many_tables(snowflake, tables=30, columns=2, schemas=3)
    tables = "SELECT TABLE_NAME FROM WIDE.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA LIKE 'S%'"
    snowflake.break_with(Fault("error", contains="QUERY_HISTORY", code="000630"), Fault("too_much_data", rows=20))
    assert refusal(snowflake, "SELECT 1 AS n FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY")[0] == 630
    assert refusal(snowflake, tables)[0] == 90030
    assert len(fetch(snowflake, f"{tables} AND TABLE_SCHEMA = 'S1'")) == 10
    snowflake.break_with()
    assert len(fetch(snowflake, tables)) == 30


def test_show_refuses_more_than_ten_thousand_rows_without_a_limit(snowflake: EmbeddedSnowflake) -> None:
    many_tables(snowflake, tables=10_001, columns=0)
    assert refusal(snowflake, "SHOW TABLES IN DATABASE WIDE")[0] == 90153
    assert len(fetch(snowflake, "SHOW TABLES IN DATABASE WIDE LIMIT 10000")) == 10_000


def test_a_session_can_end_while_others_continue(snowflake: EmbeddedSnowflake) -> None:
    with connected(snowflake) as first, connected(snowflake) as second:
        first.execute("SELECT 1").fetchall()
        snowflake.break_with(Fault("session", contains="SELECT 2", times=1))
        for text in ("SELECT 2", "SELECT 3"):
            with pytest.raises(Error) as caught:
                first.execute(text)
            assert caught.value.errno == 390111
        assert second.execute("SELECT 3").fetchall() == [(3,)]


def test_a_connection_breaks_in_the_result_that_exceeds_the_limit(snowflake: EmbeddedSnowflake) -> None:
    def numbers(count: int) -> str:
        return "SELECT n FROM (VALUES " + ", ".join(f"({n})" for n in range(count)) + ") AS v(n)"

    snowflake.break_with(Fault("cut", rows=5))
    with connected(snowflake) as cursor:
        assert sorted(cursor.execute(numbers(3)).fetchall()) == [(0,), (1,), (2,)]
        assert sorted(cursor.execute(numbers(2)).fetchall()) == [(0,), (1,)]
        with pytest.raises(Error):
            cursor.execute(numbers(2)).fetchall()
        snowflake.break_with()
        assert sorted(cursor.execute(numbers(2)).fetchall()) == [(0,), (1,)]


def test_a_server_ends_with_the_process_that_started_it() -> None:
    with embedded_snowflake() as server:
        assert server.process.stdin is not None
        server.process.stdin.close()  # the operating system does this when the owner dies
        assert server.process.wait(STOP_SECONDS) is not None


def test_a_server_exits_on_request() -> None:
    with embedded_snowflake() as server:
        server.break_with(Fault("exit", after=1))
        assert fetch(server, "SELECT 1 AS n") == [(1,)]
        with pytest.raises(Error), connected(server, network_timeout=3) as cursor:
            cursor.execute("SELECT 1 AS n")
        assert server.process.wait(STOP_SECONDS) == 70


# ---------------------------------------------------------------------- results


def test_large_results_arrive_in_chunks_complete_and_in_order(snowflake: EmbeddedSnowflake) -> None:
    many_queries(snowflake, NOON, rows=50_000)
    seen = []
    with connected(snowflake) as cursor:
        cursor.execute(
            "SELECT QUERY_ID, QUERY_TEXT, START_TIME FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY ORDER BY START_TIME"
        )
        assert len(cursor.get_result_batches()) > 2
        while rows := cursor.fetchmany(7_000):
            seen += [row[0] for row in rows]
    assert seen == [f"query-{i}" for i in range(50_000)]


def test_rows_have_only_the_requested_order(snowflake: EmbeddedSnowflake) -> None:
    """The probability that twelve rows have the same order by chance is 1 in 479 million."""
    values = "(VALUES " + ", ".join(f"({n}, {n % 2})" for n in range(12)) + ") AS v(n, half)"
    names = [{"database_name": "D", "schema_name": "S", "name": f"T{n:02}"} for n in range(12)]
    snowflake.insert("SHOW DYNAMIC TABLES", names)
    with connected(snowflake) as cursor:

        def orders(sql: str) -> list[list[Any]]:
            return [[row[0] for row in cursor.execute(sql).fetchall()] for _ in range(2)]

        assert orders(f"SELECT n FROM {values} ORDER BY n") == [list(range(12))] * 2
        for sql in (f"SELECT n FROM {values}", f"SELECT n FROM (SELECT n FROM {values} ORDER BY n)"):
            first, second = orders(sql)
            assert sorted(first) == sorted(second) == list(range(12))
            assert first != second
        first, second = orders(f"SELECT n FROM {values} ORDER BY half DESC")
        assert [n % 2 for n in first] == [n % 2 for n in second] == [1] * 6 + [0] * 6
        assert first != second
        shown = [[row[1] for row in cursor.execute("SHOW DYNAMIC TABLES IN ACCOUNT").fetchall()] for _ in range(2)]
        assert sorted(shown[0]) == sorted(shown[1]) == [row["name"] for row in names]
        assert shown[0] != shown[1]


def test_times_have_the_session_time_zone_and_bind_as_instants(snowflake: EmbeddedSnowflake) -> None:
    many_queries(snowflake, NOON, rows=24, hours=24)
    sql = "SELECT START_TIME FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY WHERE START_TIME >= %s ORDER BY START_TIME"
    for bound in (NOON - timedelta(hours=1), "2026-11-22 11:00:00 +0000", "2026-11-22T03:00:00-08:00"):
        [(start,)] = fetch(snowflake, sql, (bound,))
        assert start == NOON - timedelta(hours=1)
        assert start.utcoffset() == timedelta(hours=-8), "the documented default is America/Los_Angeles"
    with connected(snowflake, paramstyle="qmark") as cursor:
        cursor.execute(sql.replace("%s", "?"), (NOON - timedelta(hours=2),))
        assert len(cursor.fetchall()) == 2


# ---------------------------------------------------------------------- the shop


def test_the_shop_is_reproducible_and_has_a_realistic_size() -> None:
    shop = build_shop(NOON)
    assert shop == build_shop(NOON)
    assert shop.queries != build_shop(NOON, seed=1).queries
    assert len(shop.own()) >= 200
    assert {relation.kind for relation in shop.own()} == {
        *("table", "transient table", "external table", "iceberg table", "hybrid table", "dynamic table"),
        *("view", "secure view", "materialized view"),
    }
    assert any(query.end is None for query in shop.queries)
    assert max(len(query.text.encode()) for query in shop.queries) > 100_000
    assert all(query.start < NOON for query in shop.queries)


def test_the_catalog_shows_the_shop(snowflake: EmbeddedSnowflake) -> None:
    shop = open_shop(snowflake, NOON)
    for database in ("RAW", "ANALYTICS", "Marketing-EU"):
        rows = fetch(
            snowflake,
            f"""
            SELECT TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, ROW_COUNT, LAST_ALTERED
            FROM "{database}".INFORMATION_SCHEMA.TABLES
            WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA'
            """,
        )
        assert {row[:3]: row[3:] for row in rows} == {
            relation.name: (relation.row_count, relation.last_altered)
            for relation in shop.own()
            if relation.name[0] == database
        }
    assert DOTTED_NAME in shop.relations


def test_access_history_contains_the_lineage_of_the_shop(snowflake: EmbeddedSnowflake) -> None:
    shop = open_shop(snowflake, NOON)
    since, until = NOON - timedelta(hours=24), NOON
    found = fetch(snowflake, LINEAGE_SQL, (since, until))
    copied = {row[0] for row in found if row[2] is None}
    assert "RAW.SHOP.ORDERS" in copied, "FLATTEN with OUTER keeps what was written without a source column"
    rows = [row for row in found if row[2] not in (None, "TRUNCATED")]
    expected = {
        (shop.relations[target].full_name, column, shop.relations[source].full_name, source_column)
        for target, flows in shop.column_lineage(since, until).items()
        for column, source, source_column in flows
    }
    assert expected
    assert {row[:4] for row in rows} == expected


def test_query_history_contains_the_day_of_the_shop(snowflake: EmbeddedSnowflake) -> None:
    shop = open_shop(snowflake, NOON)
    rows = fetch(
        snowflake,
        """
        SELECT QUERY_ID, QUERY_TEXT, USER_NAME, START_TIME, END_TIME, ERROR_CODE
        FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY
        """,
    )
    assert {row[0]: row[1:] for row in rows} == {
        query.query_id: (query.text, query.user, query.start, query.end, query.error_code) for query in shop.queries
    }
