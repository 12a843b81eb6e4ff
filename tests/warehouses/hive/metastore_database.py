"""Metastore databases of Hive 2.3, 3.1 and 4.1, in PostgreSQL and in MariaDB, filled with tables.

    with started("postgresql") as server:
        metastore = server.metastore("4.1.0", [Table("sales", "orders", …)])
        subprocess.run([...], env={**os.environ, **metastore.environment()})

The tables are created from the facts in the folder's catalog.toml: names, types, keys and indexes of Hive's schema
scripts. MariaDB takes the place of MySQL. It is Debian's (``tests/warehouses/hive/install_mariadb.sh``); without it,
tests that need it are skipped.
"""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.pool import NullPool

from tests.contract.statements import catalog_of
from tests.script_process import TEMPLATES, wait_until
from tests.warehouses.environments import REPOSITORY, environment_python
from tests.warehouses.harness import SECRET_MARK
from tests.warehouses.hive.cutting_proxy import Proxy, proxied

Kind = Literal["postgresql", "mariadb"]
KINDS: tuple[Kind, ...] = ("postgresql", "mariadb")
USER = "collector"
PASSWORD = f"{SECRET_MARK}:/@%-of the collector"  # every character that needs an escape in a URL
STOP_SECONDS = 60
SHUFFLE = random.Random(7)


def has_mariadb() -> bool:
    return bool(shutil.which("mariadbd") and shutil.which("mariadb-install-db"))


# --- contents -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A row of TBLS with everything that belongs to it. ``partitions`` are the parameters of each."""

    database: str
    name: str | None
    type: str | None = "MANAGED_TABLE"
    columns: Sequence[tuple[str, str | None, str | None]] = ()
    partition_keys: Sequence[tuple[str, str, str | None]] = ()
    parameters: dict[str, str | None] = field(default_factory=dict)
    partitions: Sequence[dict[str, str]] = ()
    created: int = 0
    expanded_text: str | None = None
    original_text: str | None = None
    catalog: str = "hive"


Rows = dict[str, list[dict[str, object]]]


def rows_of(tables: Iterable[Table], version: str) -> Rows:
    """The rows of all metastore tables. Ids are given in the order of ``tables``."""
    rows: Rows = {name: [] for name in metastore_tables()}
    rows["VERSION"].append({"VER_ID": 1, "SCHEMA_VERSION": version, "VERSION_COMMENT": "Hive release"})
    databases: dict[tuple[str, str], int] = {}
    partition_id = 0
    for number, table in enumerate(tables, start=1):
        database = databases.setdefault((table.catalog, table.database), len(databases) + 1)
        storage, columns = 10_000_000 + number, 20_000_000 + number  # ids that no table has
        rows["TBLS"].append(
            {
                "TBL_ID": number,
                "DB_ID": database,
                "SD_ID": storage,
                "TBL_NAME": table.name,
                "TBL_TYPE": table.type,
                "CREATE_TIME": table.created,
                "VIEW_EXPANDED_TEXT": table.expanded_text,
                "VIEW_ORIGINAL_TEXT": table.original_text,
            }
        )
        rows["SDS"].append({"SD_ID": storage, "CD_ID": columns})
        rows["COLUMNS_V2"] += [
            {"CD_ID": columns, "COLUMN_NAME": name, "TYPE_NAME": kind, "COMMENT": comment, "INTEGER_IDX": position}
            for position, (name, kind, comment) in enumerate(table.columns)
        ]
        rows["PARTITION_KEYS"] += [
            {"TBL_ID": number, "PKEY_NAME": name, "PKEY_TYPE": kind, "PKEY_COMMENT": comment, "INTEGER_IDX": position}
            for position, (name, kind, comment) in enumerate(table.partition_keys)
        ]
        rows["TABLE_PARAMS"] += [
            {"TBL_ID": number, "PARAM_KEY": key, "PARAM_VALUE": value} for key, value in table.parameters.items()
        ]
        for parameters in table.partitions:
            partition_id += 1
            rows["PARTITIONS"].append({"PART_ID": partition_id, "TBL_ID": number, "PART_NAME": f"p={partition_id}"})
            rows["PARTITION_PARAMS"] += [
                {"PART_ID": partition_id, "PARAM_KEY": key, "PARAM_VALUE": value} for key, value in parameters.items()
            ]
    rows["DBS"] = [
        {"DB_ID": number, "NAME": name, "CTLG_NAME": catalog} for (catalog, name), number in databases.items()
    ]
    return rows


# --- tables -------------------------------------------------------------------------------------------------


def metastore_tables() -> dict[str, dict[str, Any]]:
    views: dict[str, dict[str, Any]] = catalog_of(TEMPLATES / "hive")["views"]
    return {name: view for name, view in views.items() if view.get("quoted")}


def columns_of(view: dict[str, Any], version: str) -> dict[str, str]:
    major = int(version.partition(".")[0])
    since = view.get("since", {})
    return {name: kind for name, kind in view["columns"].items() if since.get(name, 0) <= major}


def statements(kind: Kind, version: str) -> Iterator[str]:
    """The CREATE statements of a metastore. Only keys are NOT NULL: tests leave out what no script reads."""
    mark = '"' if kind == "postgresql" else "`"
    for name, view in metastore_tables().items():
        columns = [
            f"{mark}{column}{mark} {type_of(kind, name, column, documented)}"
            for column, documented in columns_of(view, version).items()
        ]
        key = ", ".join(f"{mark}{column}{mark}" for column in view["key"])
        charset = "" if kind == "postgresql" else " ENGINE=InnoDB DEFAULT CHARSET=latin1"
        yield f"CREATE TABLE {mark}{name}{mark} ({', '.join(columns)}, PRIMARY KEY ({key})){charset}"
        for column in view["indexes"]:
            yield f"CREATE INDEX {mark}{name}_{column}{mark} ON {mark}{name}{mark} ({mark}{column}{mark})"


def type_of(kind: Kind, table: str, column: str, documented: str) -> str:
    if kind == "postgresql":
        return documented
    if column in ("CREATE_TIME", "LAST_ACCESS_TIME", "RETENTION", "INTEGER_IDX") and table != "DBS":
        return "int"
    if documented == "boolean":
        return "bit(1)"
    binary = " CHARACTER SET latin1 COLLATE latin1_bin"
    if (table, column) == ("PARTITION_PARAMS", "PARAM_VALUE"):
        return f"varchar(4000){binary}"
    if documented == "text":
        return f"mediumtext{binary if column == 'PARAM_VALUE' else ''}"
    return documented + (binary if documented.startswith("varchar") and column != "CTLG_NAME" else "")


# --- servers ------------------------------------------------------------------------------------------------


@dataclass
class Metastore:
    """A database of a server. ``admin`` is a SQLAlchemy engine for changes during a test."""

    server: MetastoreServer
    name: str
    version: str

    @property
    def admin(self) -> sqlalchemy.Engine:
        return self.server.engine(self.name)

    def run(self, *commands: str) -> None:
        with self.admin.connect() as connection:
            for command in commands:
                connection.exec_driver_sql(command)

    def quoted(self, name: str) -> str:
        return f'"{name}"' if self.server.kind == "postgresql" else f"`{name}`"

    def revoke(self, table: str) -> None:
        """Revoke the right to read a table. MariaDB has it for each table, too."""
        self.run(f"REVOKE SELECT ON {self.quoted(table)} FROM {self.server.user}")

    def insert(self, rows: Rows) -> None:
        """Insert the rows, in random order."""
        with self.admin.connect() as connection:
            for name, found in rows.items():
                known = [
                    column
                    for column in columns_of(metastore_tables()[name], self.version)
                    if any(column in row for row in found)
                ]
                if not found:
                    continue
                names = ", ".join(map(self.quoted, known))
                values = ", ".join(f":{column}" for column in known)
                statement = sqlalchemy.text(f"INSERT INTO {self.quoted(name)} ({names}) VALUES ({values})")
                shuffled = [{column: row.get(column) for column in known} for row in found]
                SHUFFLE.shuffle(shuffled)
                connection.execute(statement, shuffled)

    def url(self, user: str = USER, password: str = PASSWORD, port: int | None = None, **query: str) -> str:
        """The URL for a script, through a port of this machine."""
        address = f"{quote(user)}:{quote(password, safe='')}@127.0.0.1:{port or self.server.port}/{self.name}"
        parameters = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return f"{self.server.scheme}://{address}" + (f"?{parameters}" if parameters else "")

    def environment(self, **changes: str) -> dict[str, str]:
        return {"HIVE_METASTORE_URL": self.url(), **changes}


class MetastoreServer:
    """A running database server. Its ``port`` is that of a proxy, which can cut connections."""

    kind: Kind
    scheme: str
    user: str

    def __init__(self) -> None:
        self._closing = ExitStack()
        self._count = 0
        self.folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="metastore-")))

    def start(self) -> Proxy:
        raise NotImplementedError

    def create(self, name: str) -> None:
        """Create a database with this name, which the user can use."""
        raise NotImplementedError

    def engine(self, database: str) -> sqlalchemy.Engine:
        raise NotImplementedError

    def __enter__(self) -> MetastoreServer:
        with ExitStack() as undo:
            undo.push(self._closing)
            self.proxy = self.start()
            undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    @property
    def port(self) -> int:
        return self.proxy.port

    def metastore(self, version: str, tables: Iterable[Table] = ()) -> Metastore:
        """A new metastore with these tables."""
        self._count += 1
        found = Metastore(self, f"metastore_{self._count}", version)
        self.create(found.name)
        found.run(*statements(self.kind, version))
        found.run(*(f"GRANT SELECT ON {found.quoted(name)} TO {self.user}" for name in metastore_tables()))
        found.insert(rows_of(tables, version))
        return found


class Postgres(MetastoreServer):
    kind: Kind = "postgresql"
    scheme = "postgresql+psycopg"
    user = USER

    def start(self) -> Proxy:
        command = [str(environment_python("redshift")), "-m", "tests.warehouses.hive.metastore_postgres"]
        data = self.folder / "data"
        log = self._closing.enter_context((self.folder / "server.log").open("w"))
        process = subprocess.Popen(
            [*command, str(data)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self._closing.callback(_end, process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (self.folder / "server.log").read_text()
        self._address = json.loads(line)
        with self.engine("postgres").connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'".replace("%", "%%"))
        path = f"{self._address['socket']}/.s.PGSQL.{self._address['port']}"
        return self._closing.enter_context(proxied(path))

    def engine(self, database: str) -> sqlalchemy.Engine:
        url = sqlalchemy.URL.create(
            "postgresql+psycopg",
            username="postgres",
            database=database,
            query={"host": self._address["socket"], "port": str(self._address["port"])},
        )
        return sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def create(self, name: str) -> None:
        with self.engine("postgres").connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")


class MariaDB(MetastoreServer):
    kind: Kind = "mariadb"
    scheme = "mysql+pymysql"
    user = f"'{USER}'@'%%'"

    def start(self) -> Proxy:
        data, path = self.folder / "data", self.folder / "socket"
        user = ["--user=root"]
        install = [
            str(shutil.which("mariadb-install-db")),
            "--no-defaults",
            *user,
            f"--datadir={data}",
            "--skip-test-db",
        ]
        subprocess.run([*install, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        log = self._closing.enter_context((self.folder / "server.log").open("w"))
        options = ["--skip-networking", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"]
        process = subprocess.Popen(
            [str(shutil.which("mariadbd")), "--no-defaults", *user, f"--datadir={data}", f"--socket={path}", *options],
            stdout=log,
            stderr=log,
        )
        self._closing.callback(_end, process)
        wait_until(lambda: _accepts(path) or process.poll() is not None)
        assert process.poll() is None, (self.folder / "server.log").read_text()
        self._path = str(path)
        with self.engine("").connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE USER '{USER}'@'%' IDENTIFIED BY :it"), {"it": PASSWORD})
        return self._closing.enter_context(proxied(self._path))

    def engine(self, database: str) -> sqlalchemy.Engine:
        url = sqlalchemy.URL.create(
            "mysql+pymysql", username="root", database=database, query={"unix_socket": self._path, "charset": "utf8mb4"}
        )
        return sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def create(self, name: str) -> None:
        with self.engine("").connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def _end(process: subprocess.Popen[Any]) -> None:
    """PostgreSQL's process ends when its input closes; MariaDB's at the signal."""
    if process.stdin:
        process.stdin.close()
    else:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def started(kind: Kind) -> Iterator[MetastoreServer]:
    with Postgres() if kind == "postgresql" else MariaDB() as server:
        yield server
