"""Starts and stops the embedded Snowflake, and provides its connection details.

Runs in the repository's own environment, which imports nothing of the server, and starts a process on the loopback
interface in the server's environment, built on first use. A client connects as it would to Snowflake, through its own
configuration: a ``connections.toml`` in the directory that ``SNOWFLAKE_HOME`` names.

    python -m tests.warehouses.snowflake.launch --seed shop

starts a server with the demo shop, prints the variables to set, and serves until it is interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from tests.server_logs import shown_on_failure
from tests.warehouses.environments import REPOSITORY, environment_python
from tests.warehouses.snowflake.faults import Fault

CONNECTION_NAME = "testbed"
# Generous, so that a busy machine does not fail.
START_SECONDS = 300.0
STOP_SECONDS = 60.0


class ServerStartError(RuntimeError):
    """The server did not start. The message contains its output."""


@dataclass(frozen=True)
class Credentials:
    """A user that every fresh server has."""

    user: str = "COLLECTOR"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    role: str = "MONTE_CARLO"
    warehouse: str = "COMPUTE_WH"


@dataclass
class EmbeddedSnowflake:
    """A running server. All methods raise ``requests.HTTPError`` if the server refuses the request."""

    port: int
    process: subprocess.Popen[str]
    directory: Path
    credentials: Credentials = field(default_factory=Credentials)

    @property
    def url(self) -> str:
        """The server's base URL."""
        return f"http://127.0.0.1:{self.port}"

    # ---------------------------------------------------------------- connecting

    def connection(self, **changes: Any) -> dict[str, Any]:
        """Arguments for ``snowflake.connector.connect``. A change of None removes the argument."""
        arguments: dict[str, Any] = {
            "account": "testbed",
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": "http",
            **asdict(self.credentials),
        }
        return {name: value for name, value in (arguments | changes).items() if value is not None}

    def environment(self, home: Path | None = None, **changes: Any) -> dict[str, str]:
        """Variables for a process: ``SNOWFLAKE_HOME`` with a ``connections.toml``, and the connection's name.

        ``home`` is the directory for the file (a directory of this server by default). ``changes`` are as in
        :meth:`connection`.
        """
        home = home or Path(tempfile.mkdtemp(prefix="home-", dir=self.directory))
        home.mkdir(parents=True, exist_ok=True)
        lines = [f"[{CONNECTION_NAME}]"]
        lines += [f"{name} = {_toml(value)}" for name, value in self.connection(**changes).items()]
        path = home / "connections.toml"
        path.touch(mode=0o600)  # the connector refuses a file that other users can read
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"SNOWFLAKE_HOME": str(home), "SNOWFLAKE_DEFAULT_CONNECTION_NAME": CONNECTION_NAME}

    # ---------------------------------------------------------------- filling

    def sql(self, statement: str) -> list[list[Any]]:
        """Run DuckDB SQL. Facts are in ``facts."INFORMATION_SCHEMA.TABLES"`` and similar tables."""
        rows: list[list[Any]] = self._post("sql", {"sql": statement})["rows"]
        return rows

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Append rows (dicts with the same keys) to a table of facts, named as in ``catalog.toml``."""
        if rows:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            self._post("rows", {"table": table, "columns": columns})

    def reset(self) -> None:
        """Reset to a new account: only the database SNOWFLAKE, no history, no denials, no faults. Users stay."""
        self._post("reset", None)

    # ---------------------------------------------------------------- controlling

    def add_user(self, name: str, **credentials: Any) -> None:
        """Register a user. See ``accounts.User`` for the possible credentials."""
        self._post("users", {"name": name, **credentials})

    def deny(self, *objects: str, role: str = "*") -> None:
        """Hide these objects (``DB``, ``DB.SCHEMA``, ``DB.SCHEMA.NAME``) from ``role``. Replaces previous denials.

        ``role`` can also be ``user:NAME``. Without objects, nothing is denied.
        """
        self.deny_roles({role: objects})

    def deny_roles(self, denied: Mapping[str, Sequence[str]]) -> None:
        """Hide objects like :meth:`deny`, by role. A SHOW command is denied by its words."""
        self._post("denials", [{"role": role, "object": name} for role, names in denied.items() for name in names])

    def break_with(self, *faults: Fault) -> None:
        """Replace all faults with these. Without arguments, removes all faults."""
        self._post("faults", [asdict(fault) for fault in faults])

    def set_clock(self, ahead: timedelta) -> None:
        """Set the account's clock ahead of this machine's, or behind it if negative."""
        self._post("clock", {"ahead": ahead.total_seconds()})

    def sessions(self) -> list[dict[str, Any]]:
        """Every login so far: user, role, authenticator, session parameters, number of statements."""
        return list(self._get("sessions"))

    def statements(self) -> list[str]:
        """The text of every statement so far, in order."""
        return [entry["text"] for entry in self._get("statements")]

    def stop(self) -> None:
        """End the process. No-op if it has already ended."""
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _post(self, path: str, body: Any) -> Any:
        answer = requests.post(f"{self.url}/testbed/{path}", json=body, timeout=300)
        if not answer.ok:
            raise requests.HTTPError(f"{path}: {answer.status_code} {answer.text[:2000]}", response=answer)
        return answer.json()

    def _get(self, path: str) -> Any:
        answer = requests.get(f"{self.url}/testbed/{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def embedded_snowflake() -> Iterator[EmbeddedSnowflake]:
    """Start an empty server with one user. It always ends when the context exits.

    Raises :class:`ServerStartError` if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="snowflake-testbed-") as directory:
        server = _start(Path(directory))
        try:
            user = server.credentials
            roles = [user.role, "ACCOUNTADMIN", "PUBLIC"]
            server.add_user(user.user, password=user.password, roles=roles, default_warehouse=user.warehouse)
            with shown_on_failure(server.directory / "server.log"):
                yield server
        finally:
            server.stop()


def _start(directory: Path) -> EmbeddedSnowflake:
    python = environment_python("snowflake")
    log = directory / "server.log"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [str(python), "-m", "tests.warehouses.snowflake.server", "--until-stdin-closes"],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        process.kill()
        process.wait()
        raise ServerStartError(f"the embedded Snowflake said {line!r} and then:\n{log.read_text()[-4000:]}")
    server = EmbeddedSnowflake(int(line.split()[-1]), process, directory)
    _wait_until_ready(server)
    return server


def _wait_until_ready(server: EmbeddedSnowflake) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(requests.ConnectionError):
            requests.get(f"{server.url}/testbed/ready", timeout=60)
            return
        if time.monotonic() > deadline or server.process.poll() is not None:
            server.stop()
            raise ServerStartError("the embedded Snowflake does not respond")
        time.sleep(0.05)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> int:
    """Serve for manual use. Prints the variables to standard output in shell syntax."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", choices=["empty", "shop"], default="shop")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with embedded_snowflake() as server:
        if options.seed == "shop":
            from tests.warehouses.snowflake.shop import open_shop

            open_shop(server)
        for name, value in server.environment().items():
            print(f"export {name}={value}", flush=True)
        print("serving; interrupt to end", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.process.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
