"""Tests of what goes wrong with a metastore database: URLs, credentials, grants, locks, lost connections."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.script_process import SCRIPTS, Run, clean_environment, started_script, wait_for, wait_until
from tests.templates.hive.metastore_runs import FOLDER, SCRIPT, Runs, server_of
from tests.templates.hive.metastore_world import FIELDS_WITH_KEY, KEY, NO_VOLUME, partition, record, table
from tests.warehouses.harness import SECRET_MARK
from tests.warehouses.hive.metastore_database import KINDS, Metastore, MetastoreServer

URL = "HIVE_METASTORE_URL"
ORDERS = table("orders")
PARTITIONED = table("partitioned", partition_keys=[KEY], partitions=[partition()])
VIEW = table("view", "VIRTUAL_VIEW", expanded_text="SELECT 1")
EXAMPLE = "postgresql+psycopg://user:***@host:5432/metastore or mysql+pymysql://user:***@host:3306/metastore"
NO_PARTITIONS = "partitions not readable (PARTITIONS, PARTITION_PARAMS): volume and freshness of their tables unknown"


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[MetastoreServer]:
    yield from server_of(request.param)


@pytest.fixture(scope="module")
def filled(server: MetastoreServer) -> Metastore:
    """A metastore that tests do not change."""
    return server.metastore("4.1.0", [ORDERS, PARTITIONED, VIEW])


def error_of(run: Run) -> tuple[int, str]:
    assert run.summary.get("error"), run.stdout
    assert SECRET_MARK not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return run.exit_code, run.summary["error"]["remedy"]


# --- signing in ---------------------------------------------------------------------------------------------


def test_a_wrong_password(filled: Metastore, tmp_path: Path) -> None:
    url = filled.url(password=f"wr0ng {SECRET_MARK}")
    run = Runs(filled, tmp_path).run(**{URL: url})
    assert error_of(run) == (3, "Check the user and the password in HIVE_METASTORE_URL.")


def test_a_database_that_is_not_a_metastore(filled: Metastore, tmp_path: Path) -> None:
    runs = Runs(filled, tmp_path)
    is_mysql = filled.server.kind == "mariadb"  # which does not tell other users whether a database exists
    code, remedy = error_of(runs.run(**{URL: filled.url().replace(filled.name, "nonsuch")}))
    assert (code, remedy[:47]) == (3 if is_mysql else 2, "Set the database in HIVE_METASTORE_URL to the o")
    other = "information_schema" if is_mysql else "postgres"
    code, remedy = error_of(runs.run(**{URL: filled.url().replace(filled.name, other)}))
    assert (code, remedy[:47]) == (2, "Set the database in HIVE_METASTORE_URL to the o")


def test_nobody_listens(filled: Metastore, tmp_path: Path) -> None:
    code, remedy = error_of(Runs(filled, tmp_path).run(**{URL: filled.url(port=1)}))
    assert (code, remedy) == (
        4,
        "Check the network and HIVE_METASTORE_URL, then run the same command again.",
    )


def test_parameters_that_the_driver_does_not_know(filled: Metastore, tmp_path: Path) -> None:
    run = Runs(filled, tmp_path).run(**{URL: filled.url(useSSL="true")})
    assert error_of(run) == (2, "Correct the parameters after ? in the URL.")


def test_a_server_without_tls_is_refused_if_the_url_asks_for_it(filled: Metastore, tmp_path: Path) -> None:
    is_postgresql = filled.server.kind == "postgresql"
    url = filled.url(sslmode="require") if is_postgresql else filled.url(ssl_check_hostname="false")
    code, remedy = error_of(Runs(filled, tmp_path).run(**{URL: url}))
    assert (code, remedy.partition(".")[0]) == (
        2,
        "The connection must be encrypted and the server's certificate valid",
    )


# --- grants -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["VERSION", "DBS", "TBLS"])
def test_without_a_grant_on_the_tables_themselves_the_run_is_refused(
    server: MetastoreServer, tmp_path: Path, name: str
) -> None:
    runs = Runs(server.metastore("4.1.0", [ORDERS]), tmp_path)
    runs.metastore.revoke(name)
    assert error_of(runs.run()) == (3, "Grant this user SELECT on the tables that README.md lists.")
    assert not runs.manifest.exists()


def test_details_without_a_grant_are_counted(server: MetastoreServer, tmp_path: Path) -> None:
    runs = Runs(server.metastore("4.1.0", [ORDERS, PARTITIONED, VIEW]), tmp_path)
    view = record("view", "virtual view", **NO_VOLUME, last_update_time=None, view_query="SELECT 1")
    partitioned = record("partitioned", fields=FIELDS_WITH_KEY)
    unknown: dict[str, Any] = {**NO_VOLUME, "last_update_time": None}

    runs.metastore.revoke("PARTITION_PARAMS")
    found = runs.collect()
    assert found.records == [record("orders"), {**record("partitioned", **unknown, fields=FIELDS_WITH_KEY)}, view]
    assert found.skipped == {NO_PARTITIONS: 1}
    assert "PARTITION_PARAMS" in found.examples[NO_PARTITIONS]

    runs.metastore.revoke("COLUMNS_V2")
    found = runs.collect()
    without = {"fields": None}
    assert found.records == [
        record("orders", **without),
        record("partitioned", **unknown, **without),
        {key: value for key, value in view.items() if key != "fields"},
    ]
    assert found.skipped == {NO_PARTITIONS: 1, "columns not readable (SDS, COLUMNS_V2)": 1}

    runs.metastore.revoke("PARTITION_KEYS")  # whether numRows is that of the whole table is then unknown
    found = runs.collect("--only-freshness-and-volume")
    assert found.records == [
        record("orders", **unknown, **without),
        record("partitioned", **unknown, **without),
        {key: value for key, value in view.items() if key not in ("fields", "view_query")},
    ]
    assert found.skipped == {
        NO_PARTITIONS: 1,
        "partition columns not readable (PARTITION_KEYS): volume and freshness unknown": 1,
    }
    assert partitioned["row_count"] == 7  # what would be there with all grants


# --- locks and changes during a run ---------------------------------------------------------------------------


@contextmanager
def locked(metastore: Metastore, name: str) -> Iterator[Any]:
    """Lock a table, so that scripts wait for it. Yields the connection that has the lock."""
    with metastore.admin.connect() as connection:
        table_name = metastore.quoted(name)
        if metastore.server.kind == "postgresql":
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql(f"LOCK TABLE {table_name} IN ACCESS EXCLUSIVE MODE")
            end = "COMMIT"
        else:
            connection.exec_driver_sql(f"LOCK TABLES {table_name} WRITE")
            end = "UNLOCK TABLES"
        yield connection
        connection.exec_driver_sql(end)


def is_waiting(metastore: Metastore) -> bool:
    """Whether a script waits for a lock."""
    waits = {
        "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'collector'",
        "mariadb": (
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
            "WHERE STATE LIKE 'Waiting for%%' AND USER = 'collector'"
        ),
    }
    with metastore.admin.connect() as connection:
        return bool(connection.exec_driver_sql(waits[metastore.server.kind]).scalar())


def test_a_statement_that_takes_too_long(filled: Metastore, tmp_path: Path) -> None:
    runs = Runs(filled, tmp_path)
    with locked(filled, "PARTITION_PARAMS"):
        run = runs.run(HIVE_METASTORE_TIMEOUT="1").check()
    assert run.summary["skipped"] == {NO_PARTITIONS: 1}
    with locked(filled, "TBLS"):
        code, remedy = error_of(runs.run(HIVE_METASTORE_TIMEOUT="1"))
    assert code == 4
    assert "HIVE_METASTORE_TIMEOUT" in remedy


def test_a_table_that_is_dropped_during_a_run(server: MetastoreServer, tmp_path: Path) -> None:
    """PostgreSQL shows the whole run the same state; with MySQL the columns are gone, and that is counted."""
    runs = Runs(server.metastore("4.1.0", [ORDERS, table("dropped")]), tmp_path)
    environment = runs.metastore.environment()
    with started_script(FOLDER, SCRIPT, *runs.command(), env=environment) as process:
        with locked(runs.metastore, "COLUMNS_V2") as connection:
            wait_until(lambda: is_waiting(runs.metastore) or process.poll() is not None)
            column = runs.metastore.quoted("CD_ID")
            connection.exec_driver_sql(f"DELETE FROM {runs.metastore.quoted('COLUMNS_V2')} WHERE {column} = 20000002")
        summary = wait_for(process).check().summary
    assert summary["records"] == 2
    assert summary["skipped"] == ({} if server.kind == "postgresql" else {"columns not visible": 1})


def test_sigterm_ends_a_run_that_waits(filled: Metastore, tmp_path: Path) -> None:
    runs = Runs(filled, tmp_path)
    with (
        locked(filled, "PARTITION_PARAMS"),
        started_script(FOLDER, SCRIPT, *runs.command(), env=filled.environment()) as process,
    ):
        wait_until(lambda: is_waiting(filled) or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        run = wait_for(process).check(130)
    assert not runs.manifest.exists()
    assert "Traceback" not in run.stderr


def test_a_connection_that_is_lost(server: MetastoreServer, tmp_path: Path) -> None:
    """At the start of the run, and while rows are read."""
    columns = [(f"column_{number}", "bigint", "x" * 100) for number in range(10)]
    tables = [table(f"t{number}", columns=columns) for number in range(3_000)]
    runs = Runs(server.metastore("4.1.0", tables), tmp_path)
    for count in (3_000, 400_000):
        server.proxy.cut_after(count)
        try:
            run = runs.run()
        finally:
            server.proxy.cut_after(None)
        assert error_of(run) == (4, "Check the network and HIVE_METASTORE_URL, then run the same command again.")
        assert "ignored an error" not in run.stderr
        assert not runs.manifest.exists()


# --- the URL --------------------------------------------------------------------------------------------------


def run_with(tmp_path: Path, url: str, *arguments: str, **changes: str) -> Run:
    process = subprocess.run(
        [sys.executable, str(FOLDER / SCRIPT), "--manifest", str(tmp_path / "metadata.jsonl"), *arguments],
        env=clean_environment({URL: url, **changes}),
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(process.returncode, process.stdout, process.stderr)


@pytest.mark.parametrize(
    "url",
    [
        f"jdbc:mysql://db/metastore?user=hive&password={SECRET_MARK}",
        f"oracle+oracledb://hive:{SECRET_MARK}@db/metastore",
        f"postgresql+psycopg2://hive:{SECRET_MARK}@db/metastore",
        SECRET_MARK,
        f"postgresql://hive:{SECRET_MARK}@db:port/metastore",
    ],
)
def test_other_urls_are_refused_without_repeating_them(tmp_path: Path, url: str) -> None:
    run = run_with(tmp_path, url).check(2)
    assert f"HIVE_METASTORE_URL ({len(url)} characters) is not a" in run.summary["error"]["message"]
    assert EXAMPLE in run.summary["error"]["remedy"]
    assert SECRET_MARK not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("postgresql://hive@db.example/m?sslmode=disable", "sslmode=disable"),
        ("postgresql://hive@/m?sslmode=prefer&host=db.example", "sslmode=prefer"),
        ("postgresql://hive@/m?sslmode=allow&host=localhost:5432&host=db.example:5432", "sslmode=allow"),
        ("mysql://hive@db.example/m?ssl_disabled=false", "ssl_disabled"),
    ],
)
def test_unencrypted_connections_to_other_machines_are_refused(tmp_path: Path, url: str, setting: str) -> None:
    run = run_with(tmp_path, url).check(2)
    assert run.summary["error"]["message"] == (
        f"{setting} in HIVE_METASTORE_URL sends credentials and data unencrypted to another machine."
    )


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("postgresql://hive@/m?sslmode=disable", {"PGHOST": "db.example"}),
        ("postgresql://hive@localhost/m?sslmode=disable", {"PGHOSTADDR": "192.0.2.1"}),
        ("postgresql://hive@/m?sslmode=disable&service=metastore", {}),
        ("postgresql://hive@/m?sslmode=disable", {"PGSERVICE": "metastore"}),
        ("mysql://hive@/m?ssl_disabled=1&read_default_file=/etc/my.cnf", {}),
    ],
)
def test_hosts_that_only_the_driver_sees_are_other_machines(
    tmp_path: Path, url: str, variables: dict[str, str]
) -> None:
    run = run_with(tmp_path, url, **variables).check(2)
    assert "sends credentials and data unencrypted to another machine" in run.summary["error"]["message"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "mysql://hive@db.example/m?ssl_cert=c.pem&ssl_key=k.pem",
            "HIVE_METASTORE_URL has ssl_cert without ssl_ca: the driver would not verify the server.",
        ),
        (
            "mysql://hive@db.example/m?ssl_check_hostname=true",
            "HIVE_METASTORE_URL has ssl_check_hostname without ssl_ca: the driver would not verify the server.",
        ),
        ("mysql://hive@db.example/m?ssl_verify_cert=true", "HIVE_METASTORE_URL has an unknown ssl parameter."),
        ("mysql://hive@127.0.0.1:1/m?ssl=true", "HIVE_METASTORE_URL has an unknown ssl parameter."),
    ],
)
def test_parameters_with_which_mysql_would_not_verify_are_refused(tmp_path: Path, url: str, message: str) -> None:
    assert run_with(tmp_path, url).check(2).summary["error"]["message"] == message


@pytest.mark.parametrize("timeout", ["0", "soon", "86401"])
def test_a_timeout_that_is_not_valid(tmp_path: Path, timeout: str) -> None:
    run = run_with(tmp_path, "postgresql://hive@127.0.0.1:1/m", HIVE_METASTORE_TIMEOUT=timeout).check(2)
    assert "HIVE_METASTORE_TIMEOUT" in run.summary["error"]["message"]


@pytest.mark.parametrize(
    ("url", "missing", "packages"),
    [
        ("postgresql://hive@127.0.0.1:1/m", "sqlalchemy", "'sqlalchemy>=2,<3' 'psycopg[binary]>=3.2,<4'"),
        ("postgresql://hive@127.0.0.1:1/m", "psycopg", "'sqlalchemy>=2,<3' 'psycopg[binary]>=3.2,<4'"),
        ("mysql://hive@127.0.0.1:1/m", "pymysql", "'sqlalchemy>=2,<3' 'pymysql>=1.2,<2'"),
    ],
)
def test_a_missing_package_is_an_error_with_the_commands_that_install_it(
    tmp_path: Path, url: str, missing: str, packages: str
) -> None:
    """In a copy of the folder with a module that cannot be imported, in place of the package."""
    folder = tmp_path / "hive"
    shutil.copytree(FOLDER, folder)
    shutil.copytree(SCRIPTS / "mcpush", folder / "mcpush")
    (folder / f"{missing}.py").write_text(f'raise ModuleNotFoundError("No module named {missing!r}")\n')
    command = [sys.executable, str(folder / SCRIPT), "--manifest", str(tmp_path / "m.jsonl")]
    done = subprocess.run(
        command, env=clean_environment({URL: url}), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    error = Run(done.returncode, done.stdout, done.stderr).check(2).summary["error"]
    assert error["message"] == f"HIVE_METASTORE_URL needs packages that are not installed: No module named {missing!r}."
    options = " ".join(f"--with {package}" for package in packages.split(" "))
    assert error["remedy"] == f"Run: uv run {options} collect_metadata.py … (or: pip install {packages})"


def test_an_old_pymysql_that_connects_without_tls_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "hive"
    shutil.copytree(FOLDER, folder)
    shutil.copytree(SCRIPTS / "mcpush", folder / "mcpush")
    (folder / "pymysql.py").write_text('VERSION = (1, 1, 3, "final")\n')
    command = [sys.executable, str(folder / SCRIPT), "--manifest", str(tmp_path / "m.jsonl")]
    environment = clean_environment({URL: "mysql://hive@127.0.0.1:1/m"})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    error = Run(done.returncode, done.stdout, done.stderr).check(2).summary["error"]
    assert error["message"].endswith("PyMySQL 1.1.3 is too old to require TLS.")
    assert "'pymysql>=1.2,<2'" in error["remedy"]
