"""Starts the local Redshift as a process, fills it, and provides its connection details.

    with RedshiftServer() as server:
        server.load(shop.small_shop(now))
        subprocess.run([...], env={**os.environ, **server.environment("admin")})

Runs in the main environment, which has no PostgreSQL, and starts the server in the environment of ``requirements.txt``,
built on first use. For manual use, ``python -m tests.warehouses.redshift.launch`` starts a filled server and prints the
variables to connect to it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.server_logs import shown_on_failure
from tests.warehouses.environments import REPOSITORY, environment_python
from tests.warehouses.redshift.faults import Order

MAIN_DATABASE = "dev"
STOP_SECONDS = 120  # enough for PostgreSQL to stop, even on a busy machine


@dataclass(frozen=True)
class User:
    """A user who can sign in. ``grants`` are the (database, schema) pairs that a user who is not a superuser can see;
    schema None means all schemas.
    """

    user_id: int
    name: str
    password: str
    superuser: bool = False
    syslog_access: str = "RESTRICTED"
    grants: tuple[tuple[str, str | None], ...] = ()
    may_select_tables: bool = True  # otherwise ``grants`` show tables in the SVV views, but not in SHOW TABLES
    may_select: tuple[str, ...] = ()  # superuser-visible views granted to this user


@dataclass
class Load:
    """SQL to run in each database, in order. Databases are created as copies of the main one's current state."""

    users: list[User] = field(default_factory=list)
    databases: list[str] = field(default_factory=list)
    closed: dict[str, list[str]] = field(default_factory=dict)  # database -> the only users that can connect
    everywhere: list[str] = field(default_factory=list)
    main_only: list[str] = field(default_factory=list)  # too much to copy into every database
    within: dict[str, list[str]] = field(default_factory=dict)


# Scripts read the log in pages by end time, which a real cluster does from sorted blocks.
INDEXES_SQL = """
CREATE INDEX IF NOT EXISTS history_by_end ON testbed.sys_query_history (end_time, query_id);
CREATE INDEX IF NOT EXISTS text_by_query ON testbed.sys_query_text (query_id, sequence);
ANALYZE testbed.sys_query_history;
ANALYZE testbed.sys_query_text;
"""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _environment() -> dict[str, str]:
    """The variables of this machine, without those for its own PostgreSQL servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _copied(value: object) -> str:
    if not isinstance(value, str):
        return "\\N" if value is None else str(value)
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return value


def copy_block(table: str, columns: list[str], rows: Iterator[tuple[object, ...]]) -> str:
    """A COPY statement with its rows, in psql's format."""
    lines = ["\t".join([_copied(value) for value in row]) for row in rows]
    head = f"COPY {table} ({', '.join(quoted(column) for column in columns)}) FROM STDIN;"
    return "\n".join([head, *lines, "\\.", ""])


class RedshiftServer:
    """A running server. Exiting the context ends it and removes its files.

    ``tls``: a PEM text with a certificate for localhost and its key. The server then accepts TLS connections (Python
    3.11 and later).
    """

    def __init__(self, tls: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="redshift-"))
        self._users: dict[str, User] = {}
        self._logs = ExitStack()
        if tls:
            (self._folder / "server.pem").write_text(tls, encoding="utf-8")

    def __enter__(self) -> RedshiftServer:
        command = [str(environment_python("redshift")), "-m", "tests.warehouses.redshift.server"]
        said = self._folder / "server.log"
        with said.open("w", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(
                [*command, "--data", str(self._folder)],
                cwd=REPOSITORY,
                env=_environment() | {"XDG_RUNTIME_DIR": str(self._folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        ready = self._answer()
        self.port: int = ready["port"]
        self._psql: list[str] = ready["psql"]
        self._log = Path(ready["log"])
        self._logs.enter_context(shown_on_failure(said, self._folder / "postgres/log", self._log))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logs.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = (self._folder / "server.log").read_text(encoding="utf-8")[-4000:]
            raise RuntimeError(f"the local Redshift ended with {self._process.wait()} with the output:\n{said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    # --- filling ---------------------------------------------------------------------------------------

    def run(self, sql: str, database: str = MAIN_DATABASE) -> None:
        """Run SQL as the owner of all objects, without the driver. psql's own commands work too."""
        settings = "SET client_min_messages = error; SET allow_system_table_mods = on;\n"
        command = [*self._psql, "--dbname", database, "--output", os.devnull]
        text = (settings + sql).encode()
        done = subprocess.run(command, input=text, capture_output=True, check=False, env=_environment())
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-2000:])

    def load(self, what: Load) -> None:
        """Create users, then the objects of all databases, then the databases, then the objects of each single
        database.
        """
        for user in what.users:
            self._create(user)
        if what.everywhere:
            self.run("\n".join(what.everywhere))
        for name in what.databases:
            self.run(f"CREATE DATABASE {quoted(name)} TEMPLATE {MAIN_DATABASE}", "postgres")
        if what.main_only:
            self.run("\n".join(what.main_only))
        for database, allowed in what.closed.items():
            names = ", ".join(quoted(user) for user in allowed)
            self.run(f"REVOKE CONNECT ON DATABASE {quoted(database)} FROM PUBLIC", "postgres")
            self.run(f"GRANT CONNECT ON DATABASE {quoted(database)} TO {names}", "postgres")
        for database, statements in what.within.items():
            self.run("\n".join(statements), database)
        self.run(INDEXES_SQL)

    def _create(self, user: User) -> None:
        self._users[user.name] = user
        self.run(f"CREATE ROLE {quoted(user.name)} LOGIN PASSWORD {literal(user.password)}")
        access = (user.user_id, user.name, user.superuser, user.syslog_access)
        self.run(f"INSERT INTO testbed.users VALUES ({', '.join(literal(value) for value in access)})")
        self.run(
            "INSERT INTO testbed.svv_user_info (user_name, user_id, superuser, syslog_access) "
            f"VALUES ({literal(user.name)}, {user.user_id}, {user.superuser}, {literal(user.syslog_access)})"
        )
        for database, schema in user.grants:
            row = ", ".join(literal(value) for value in (user.name, database, schema, user.may_select_tables))
            self.run(f"INSERT INTO testbed.grants VALUES ({row})")
        if user.superuser:
            self.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA pg_catalog TO {quoted(user.name)}")
        for view in user.may_select:
            self.run(f"GRANT SELECT ON pg_catalog.{view} TO {quoted(user.name)}")

    def set_clock(self, ahead: timedelta, database: str = MAIN_DATABASE) -> None:
        """Set the clock of this database ahead of this machine's, or behind it if negative."""
        self.run(f"UPDATE testbed.clock SET ahead = make_interval(secs => {ahead.total_seconds()})", database)

    # --- connecting and observing ---------------------------------------------------------------------

    def environment(self, user: str, database: str = MAIN_DATABASE) -> dict[str, str]:
        """The variables that the templates read, for this user."""
        return {
            "REDSHIFT_HOST": "127.0.0.1",
            "REDSHIFT_PORT": str(self.port),
            "REDSHIFT_DATABASE": database,
            "REDSHIFT_USER": user,
            "REDSHIFT_PASSWORD": self._users[user].password,
            "REDSHIFT_SSL": "false",
        }

    def order(self, *orders: Order, rows: int | None = None) -> None:
        """Replace the current faults with these orders. With ``rows``, connections break after this many rows."""
        assert self._process.stdin is not None
        command = {"orders": [asdict(order) for order in orders], "rows": rows}
        print(json.dumps(command), file=self._process.stdin, flush=True)
        self._answer()

    def fail(self, fault: str, containing: str, after: int = 0) -> None:
        """Apply the fault to each statement that contains this text, after ``after`` of them have succeeded."""
        self.order(Order(fault, re.escape(containing), after))

    def cut(self, containing: str, after: int = 0) -> None:
        """Break the connection at such a statement."""
        self.fail("connection gone", containing, after)

    def mend(self) -> None:
        self.order()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events so far, oldest first: "session" (start-up parameters) or "statement" (database and SQL)."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [event for line in lines if (event := json.loads(line))["event"] == kind]


def main() -> int:
    from tests.warehouses.redshift import shop

    with RedshiftServer() as server:
        server.load(shop.shop(datetime.now(timezone.utc)).load())
        for name, value in server.environment("admin").items():
            print(f"export {name}={shlex.quote(value)}")
        print("# a filled Redshift is listening; close the standard input (Ctrl-D) to end it", flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
