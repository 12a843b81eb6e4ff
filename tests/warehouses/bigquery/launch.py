"""Starts the local BigQuery as a process, fills it, and gives it orders.

    with BigQueryServer() as server:
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
from tests.warehouses.bigquery import filling
from tests.warehouses.bigquery.identities import DENIED, PROJECT_OF_ACCOUNTS, RIGHT, email
from tests.warehouses.bigquery.truth import Warehouse
from tests.warehouses.environments import REPOSITORY, environment_python
from tests.warehouses.harness import SECRET_MARK, TRAILING, Credentials

HOST = "127.0.0.1"
STOP_SECONDS = 60
LONGEST_ORDER_SECONDS = 600
RETRY_SECONDS = "3"  # enough for a few retries; the folder's default would take minutes per test
ROWS_OF_AN_ORDER = 20_000
SUBJECT_TOKEN = "subject-token.txt"


class BigQueryServer:
    """A running server. Exiting the context ends it and removes its files."""

    def __init__(self) -> None:
        self._logs = ExitStack()
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy can be set for the package index

    def __enter__(self) -> BigQueryServer:
        folder = tempfile.TemporaryDirectory(prefix="bigquery-")
        self._logs.enter_context(folder)
        self.folder = Path(folder.name)
        said = self.folder / "server.log"
        command = [str(environment_python("bigquery")), "-m", "tests.warehouses.bigquery.server", "--mark", SECRET_MARK]
        with said.open("w", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=os.environ | {"TMPDIR": str(self.folder)},
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
            raise RuntimeError(f"the local BigQuery did not start:\n{text}")
        ready = json.loads(line)
        self.port: int = ready["port"]
        for name, key in ready["keys"].items():
            self._write_credentials(name, key)
        (self.folder / SUBJECT_TOKEN).write_text(ready["subject_token"], encoding="utf-8")
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

    # --- connecting -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def credentials_file(self, credentials: Credentials = "right") -> Path:
        """The key file of a service account. Its name ends in ``TRAILING``, as passwords of other warehouses do.
        ``wrong`` has the right account and a key that belongs to nobody.
        """
        return self.folder / f"{credentials}.json{TRAILING}"

    def _write_credentials(self, name: str, private_key: str) -> None:
        """https://docs.cloud.google.com/iam/docs/keys-create-delete#creating: the form of a key file"""
        path = self.folder / f"{name}.json{TRAILING}"
        path.touch(mode=0o600)
        key = {
            "type": "service_account",
            "project_id": PROJECT_OF_ACCOUNTS,
            "private_key_id": f"{SECRET_MARK}{name}",
            "private_key": private_key,
            "client_email": email(DENIED if name == DENIED else RIGHT),
            "client_id": "100000000000000000001",
            "token_uri": f"{self.url}/token",
            "universe_domain": "googleapis.com",
        }
        path.write_text(json.dumps(key), encoding="utf-8")

    def workload_file(self, impersonating: str = "") -> Path:
        """The configuration of a workload identity, which may impersonate a service account, e.g. ``right``:
        https://docs.cloud.google.com/iam/docs/workload-identity-federation-with-other-providers
        """
        configuration = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/other",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/sts/v1/token",
            "credential_source": {"file": str(self.folder / SUBJECT_TOKEN)},
        }
        if impersonating:
            method = f"{email(impersonating)}:generateAccessToken"
            url = f"{self.url}/v1/projects/-/serviceAccounts/{method}"
            configuration["service_account_impersonation_url"] = url
        path = self.folder / f"workload-{impersonating or 'itself'}.json"
        path.write_text(json.dumps(configuration), encoding="utf-8")
        return path

    def environment(self, projects: Sequence[str], credentials: Credentials = "right") -> dict[str, str]:
        """The variables with which a script reads these projects."""
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials_file(credentials)),
            "GOOGLE_CLOUD_PROJECT": projects[0],
            "BIGQUERY_PROJECTS": ",".join(projects),
            "BIGQUERY_EMULATOR_HOST": self.url,
            "BIGQUERY_RETRY_SECONDS": RETRY_SECONDS,
        }

    # --- filling ----------------------------------------------------------------------------------------

    def empty(self, projects: Sequence[str]) -> None:
        """Delete all data, orders and records. The named projects exist and are empty."""
        self.order("empty", projects=projects)

    def load(self, warehouse: Warehouse) -> None:
        """Call ``empty``, then insert the contents of the warehouse in random order."""
        self.empty(warehouse.projects)
        for project, resources in filling.resources(warehouse).items():
            self.order("add", project=project, resources=resources)
        for view, rows in filling.rows(warehouse).items():
            for start in range(0, len(rows), ROWS_OF_AN_ORDER):
                self.order("rows", view=view, rows=rows[start : start + ROWS_OF_AN_ORDER])
        for relation in warehouse.relations:
            if relation.contents is not None:
                columns = {column.name: column.full_type for column in relation.columns}
                self.order("table", path=relation.path, columns=columns, rows=relation.contents)

    def sql(self, sql: str) -> list[list[str]]:
        """Run DuckDB SQL in the server, e.g. to insert generated rows into ``facts."INFORMATION_SCHEMA.JOBS"``."""
        found: list[list[str]] = self.order("sql", sql=sql)
        return found

    # --- orders -----------------------------------------------------------------------------------------

    def deny(self, *names: str) -> None:
        """Deny the right account these names; replaces previous denials. A name is

        - a view: ``INFORMATION_SCHEMA.TABLES`` everywhere, ``region INFORMATION_SCHEMA.TABLES`` with any region
          qualifier, ``dataset INFORMATION_SCHEMA.TABLES`` with any dataset qualifier,
          ``project.INFORMATION_SCHEMA.TABLES`` in a project, ``project.region-eu.INFORMATION_SCHEMA.TABLES`` or
          ``project.dataset.INFORMATION_SCHEMA.TABLES``;
        - a REST method: ``tables.get``, ``tables.get project`` or ``tables.get project.dataset.table``;
        - a table in a statement: ``project.dataset.table``.
        """
        self.order("deny", names=names)

    def deny_all(self) -> None:
        """Deny the right account everything but signing in."""
        self.order("deny_all")

    def make_unreachable(self, *regions: str) -> None:
        """Let datasets.list leave out the datasets of these regions, and name the regions as unreachable."""
        self.order("unreachable", regions=regions)

    def turn_storage(self, on: bool) -> None:
        """Turn INFORMATION_SCHEMA.TABLE_STORAGE on or off, in all projects."""
        self.order("storage", on=on)

    def cut_after(self, rows: int) -> None:
        """Break the connection in the middle of a result, after this many rows."""
        self.order("cut", rows=rows)

    def fail(self, text: str, kind: str, **more: Any) -> None:
        """Apply a fault to each job whose statement contains the text. ``more``: faults.StatementFault."""
        self.order("fail", text=text, kind=kind, **more)

    def rest_fault(self, pattern: str, status: int, reason: str = "", **more: Any) -> None:
        """Apply a fault to each request whose "METHOD /path?query" matches the pattern. ``more``: faults.RestFault."""
        self.order("rest_fault", pattern=pattern, status=status, reason=reason, **more)

    def set_clock(self, ahead: timedelta) -> None:
        """Set the warehouse's clock ahead of this machine's, or behind it if negative."""
        self.order("clock", ahead=ahead.total_seconds())

    def restore(self) -> None:
        """Undo all orders. The data stay."""
        self.order("restore")

    # --- observing --------------------------------------------------------------------------------------

    def statements(self) -> list[str]:
        """The statements of all jobs since the last ``empty``, also of dry runs, in order."""
        found: list[str] = self.order("statements")
        return found

    def requests(self) -> list[dict[str, Any]]:
        """All REST requests since the last ``empty``: method, path, arguments, body, headers, principal."""
        found: list[dict[str, Any]] = self.order("recorded")
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
