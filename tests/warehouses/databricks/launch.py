"""Starts the local Databricks as a process, fills it, and gives it orders.

    with DatabricksServer() as server:
        server.load(warehouse)
        subprocess.run([...], env={**os.environ, **server.environment()})

Runs in the main environment, and starts the server in the environment of ``requirements.txt``, built on first use.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from tests.server_logs import shown_on_failure
from tests.warehouses.databricks import filling
from tests.warehouses.databricks.identities import CLIENT_IDS, client_secret, token
from tests.warehouses.databricks.truth import Warehouse
from tests.warehouses.environments import REPOSITORY, environment_python
from tests.warehouses.harness import SECRET_MARK, TRAILING, Credentials

HOST = "127.0.0.1"
HTTP_PATH = "/sql/1.0/warehouses/ec58ee3772e8d305"
STOP_SECONDS = 60
LONGEST_ORDER_SECONDS = 600
ROWS_OF_AN_ORDER = 20_000
RETRY_SECONDS = "3"  # enough for a few retries; the folder's default would take minutes per test


class DatabricksServer:
    """A running server. Exiting the context ends it and removes its files. ``certificate``: a PEM file with a key, for
    HTTPS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._logs = ExitStack()
        self._certificate = certificate
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy can be set for the package index
        self._http.verify = str(certificate) if certificate else True

    def __enter__(self) -> DatabricksServer:
        folder = tempfile.TemporaryDirectory(prefix="databricks-")
        self._logs.enter_context(folder)
        said = Path(folder.name) / "server.log"
        module = "tests.warehouses.databricks.server"
        command = [str(environment_python("databricks")), "-m", module, "--mark", SECRET_MARK, "--trailing", TRAILING]
        if self._certificate:
            command += ["--certificate", str(self._certificate)]
        with said.open("w", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=os.environ | {"TMPDIR": folder.name},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            text = said.read_text(encoding="utf-8")[-4000:]
            self._logs.close()
            raise RuntimeError(f"the local Databricks did not start:\n{text}")
        self.port: int = json.loads(line)["port"]
        self._logs.enter_context(shown_on_failure(said))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._http.close()
        self._logs.close()

    def kill(self) -> None:
        """End the server at once, as a warehouse that fails. The context can still be exited."""
        self._process.kill()
        self._process.wait()

    # --- connecting -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://{'localhost' if self._certificate else HOST}:{self.port}"

    @staticmethod
    def token(credentials: Credentials = "right") -> str:
        return token(SECRET_MARK, credentials, TRAILING)

    @staticmethod
    def client(credentials: Credentials = "right") -> tuple[str, str]:
        """The id and the secret of a service principal."""
        return CLIENT_IDS[credentials], client_secret(SECRET_MARK, credentials, TRAILING)

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        """The variables with which a script connects, with a personal access token."""
        return {
            "DATABRICKS_HOST": self.url,
            "DATABRICKS_HTTP_PATH": HTTP_PATH,
            "DATABRICKS_TOKEN": self.token(credentials),
            "DATABRICKS_RETRY_SECONDS": RETRY_SECONDS,
        }

    def oauth_environment(self, credentials: Credentials = "right") -> dict[str, str]:
        """As ``environment``, for a service principal with an OAuth secret."""
        found = self.environment()
        del found["DATABRICKS_TOKEN"]
        client_id, secret = self.client(credentials)
        return found | {"DATABRICKS_CLIENT_ID": client_id, "DATABRICKS_CLIENT_SECRET": secret}

    # --- filling ----------------------------------------------------------------------------------------

    def empty(self, catalogs: Sequence[str]) -> None:
        """Delete all data, orders and records. The named catalogs exist and are empty, and so does system."""
        self.order("empty", catalogs=catalogs)

    def load(self, warehouse: Warehouse) -> None:
        """Call ``empty``, then insert the contents of the warehouse in random order."""
        self.empty(warehouse.catalogs)
        for catalog, content in filling.objects(warehouse).items():
            self.order("add", catalog=catalog, schemas=content.schemas, relations=[])
            for start in range(0, len(content.relations), ROWS_OF_AN_ORDER):
                part = content.relations[start : start + ROWS_OF_AN_ORDER]
                self.order("add", catalog=catalog, schemas=[], relations=part)
        for view, rows in filling.rows(warehouse).items():
            for start in range(0, len(rows), ROWS_OF_AN_ORDER):
                self.order("rows", view=view, rows=rows[start : start + ROWS_OF_AN_ORDER])

    def sql(self, sql: str) -> list[list[str]]:
        """Run DuckDB SQL in the server, e.g. to insert generated rows into ``facts."system.query.history"``."""
        found: list[list[str]] = self.order("sql", sql=sql)
        return found

    # --- orders -----------------------------------------------------------------------------------------

    def deny(self, *names: str) -> None:
        """Deny the right principal these names; replaces previous denials. A name is

        - a view or command as in catalog.toml: ``system.query.history``, ``information_schema.tables``,
          ``DESCRIBE DETAIL``. Without SHOW CATALOGS, the command lists nothing.
        - a catalog, schema or table: ``main_shop``, ``main_shop.sales``, ``main_shop.sales.orders``. Their rows are
          missing from the information schema, and commands are refused.
        """
        self.order("deny", names=names)

    def deny_all(self) -> None:
        """Deny the right principal everything but signing in."""
        self.order("deny_all")

    def disable(self, *schemas: str) -> None:
        """Let these schemas not exist, e.g. ``system.access``, which no account admin has enabled."""
        self.order("disable", schemas=schemas)

    def drop(self, *path: str) -> None:
        """Drop a table. The information schema still has it: it was dropped after that was read."""
        self.order("drop", path=path)

    def cut_after(self, rows: int) -> None:
        """Break the connection in the middle of a result, after this many rows."""
        self.order("cut", rows=rows)

    def fetch(self, rows: int) -> None:
        """Send at most this many rows with one fetch."""
        self.order("fetch", rows=rows)

    def fail(self, text: str, kind: str, **more: Any) -> None:
        """Apply a fault to each statement that contains the text. ``more``: faults.StatementFault."""
        self.order("fail", text=text, kind=kind, **more)

    def http_fault(self, method: str, status: int, **more: Any) -> None:
        """Apply a fault to each request of a Thrift method, e.g. OpenSession. ``more``: faults.HttpFault."""
        self.order("http_fault", method=method, status=status, **more)

    def end_sessions(self) -> None:
        """End all sessions, as a warehouse does that stops."""
        self.order("end_sessions")

    def set_clock(self, ahead: timedelta) -> None:
        """Set the warehouse's clock ahead of this machine's, or behind it if negative."""
        self.order("clock", ahead=ahead.total_seconds())

    def restore(self) -> None:
        """Undo all orders. The data stay."""
        self.order("restore")

    # --- observing --------------------------------------------------------------------------------------

    def statements(self) -> list[str]:
        """The statements since the last ``empty``, in order."""
        found: list[str] = self.order("statements")
        return found

    def observed(self) -> dict[str, Any]:
        """Since the last ``empty``: ``requests`` (method, path, headers such as user-agent), ``opened`` sessions with
        their settings, the number of ``closed`` ones, and how many ``sessions`` are open.
        """
        found: dict[str, Any] = self.order("observed")
        return found

    def order(self, name: str, **arguments: Any) -> Any:
        """Give the server an order: ``server.Control`` lists them."""
        response = self._http.post(f"{self.url}/testbed/{name}", json=arguments, timeout=LONGEST_ORDER_SECONDS)
        response.raise_for_status()
        return response.json()["answer"]


def closed_port() -> int:
    """A port on which no server listens."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
    return port
