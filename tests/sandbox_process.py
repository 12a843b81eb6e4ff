"""Starts the sandbox, the local Monte Carlo, as a process for tests, and sends requests to it.

    with SandboxProcess(tmp_path / "sandbox") as sandbox:
        subprocess.run([...], env=os.environ | sandbox.env)          # MCD_* variables are all that is needed
        sandbox.fault("/ingest/v1/metadata", calls=[3, 4], status=503, headers={"Retry-After": "1"})
        assert sandbox.requests("/ingest/v1/metadata").answers == [202, 202, 503, 503, 202]
        tables = list(sandbox.received("metadata"))                  # events as received
        data = sandbox.graphql("query($id: UUID) { getWarehouse(uuid: $id) { name } }", {"id": …})

To use other keys and warehouses, pass `settings`, the content of `sandbox.json` (see scripts/sandbox/accounts.py). To
start another copy of the sandbox, pass its folder as `program`. A second SandboxProcess with the same directory has the
data that the first one stored. Needs `requests`.
"""

from __future__ import annotations

import json
import select
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from tests.server_logs import shown_on_failure

SANDBOX = Path(__file__).resolve().parents[1] / "scripts" / "sandbox"
# Generous timeouts: a slow machine must not fail a test.
_START_SECONDS = 300
_STOP_SECONDS = 120
_RESPONSE_SECONDS = 600


class GraphQLRefusedError(AssertionError):
    """The sandbox returned errors for a GraphQL document. `errors` is the list of them."""

    def __init__(self, status: int, errors: list[dict[str, Any]]) -> None:
        super().__init__(f"HTTP {status}: " + "; ".join(str(each.get("message")) for each in errors))
        self.status = status
        self.errors = errors


@dataclass(frozen=True)
class PathRequests:
    """How often a path was requested, and the latest responses.

    A response is an HTTP status, "dropped", or "gone" if the client disconnected during a delay.
    """

    count: int
    answers: list[int | str]


class SandboxProcess:
    """A running sandbox; a context manager that starts and stops it.

    url       http://127.0.0.1:PORT
    endpoint  url + "/graphql", the value of MCD_API_ENDPOINT
    env       MCD_API_ENDPOINT, MCD_INGEST_ID, MCD_INGEST_TOKEN, MCD_ID, MCD_TOKEN, MCD_RESOURCE_UUID (the first
              warehouse: snowflake) and MCD_RESOURCE_UUID_<TYPE> for each resource type, such as DATA_LAKE
    settings  the content of sandbox.json: account, keys, warehouses
    """

    def __init__(
        self, data_dir: Path, *, settings: dict[str, Any] | None = None, port: int = 0, program: Path = SANDBOX
    ) -> None:
        self.data_dir = Path(data_dir)
        self._program = program
        self._given_settings = settings
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self._log = ExitStack()
        self.url = ""
        self.env: dict[str, str] = {}
        self.settings: dict[str, Any] = {}

    def __enter__(self) -> SandboxProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> SandboxProcess:
        """Start the process, and return when it is ready. Raises RuntimeError with its output if it does not start."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._given_settings is not None:
            (self.data_dir / "sandbox.json").write_text(json.dumps(self._given_settings), encoding="utf-8")
        self._log.enter_context(shown_on_failure(self.data_dir / "sandbox.log"))
        with (self.data_dir / "sandbox.log").open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(self._program), "--port", str(self._port), "--data", str(self.data_dir)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = self._announced_url()
        self.env = read_variables(self.data_dir / "sandbox.env")
        self.settings = json.loads((self.data_dir / "sandbox.json").read_text(encoding="utf-8"))
        return self

    def _announced_url(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        if sys.platform != "win32":  # on Windows, select only accepts sockets
            ready, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
            if not ready:
                self.kill()
        line = self._process.stdout.readline()
        if not line.startswith("sandbox ready: "):
            self.kill()
            log = (self.data_dir / "sandbox.log").read_text(encoding="utf-8")
            raise RuntimeError(f"the sandbox did not start; its output: {line}{log}")
        return line.split()[2]

    @property
    def endpoint(self) -> str:
        return f"{self.url}/graphql"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """Stop the process as an operator would (SIGTERM), and return its exit code."""
        self._log.close()
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()

    def kill(self) -> None:
        """Kill the process as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)

    def fault(self, path: str, **fault: Any) -> None:
        """Add a fault to a path.

        calls=[3, 4] (counted from 1, from now) or every=N, else every request; status=503, headers={…}, body=…;
        delay=seconds; drop="before" or "after" the request is handled (after: stored, but without a response).
        """
        url = f"{self.url}/sandbox/faults"
        _checked(requests.post(url, json={"path": path, **fault}, timeout=_RESPONSE_SECONDS))

    def clear_faults(self) -> None:
        _checked(requests.delete(f"{self.url}/sandbox/faults", timeout=_RESPONSE_SECONDS))

    def requests(self, path: str) -> PathRequests:
        """Return how often `path` was requested, and the latest responses."""
        paths = _checked(requests.get(f"{self.url}/sandbox/requests", timeout=_RESPONSE_SECONDS)).json()
        return PathRequests(**paths.get(path, {"count": 0, "answers": []}))

    def clear_requests(self) -> None:
        _checked(requests.delete(f"{self.url}/sandbox/requests", timeout=_RESPONSE_SECONDS))

    def pushes(self, flow: str | None = None) -> list[dict[str, Any]]:
        """Return the accepted pushes, oldest first.

        Each has invocation_id, flow ("metadata", "lineage", "querylogs"), event_type, received, events (their number),
        raw_bytes and resources.
        """
        parameters = {} if flow is None else {"flow": flow}
        answer = requests.get(f"{self.url}/sandbox/pushes", params=parameters, timeout=_RESPONSE_SECONDS)
        pushes: list[dict[str, Any]] = _checked(answer).json()["pushes"]
        return pushes

    def received(self, flow: str, invocation: str | None = None) -> Iterator[dict[str, Any]]:
        """Stream the events of a flow as received, in order, of one push or of all."""
        parameters = {} if invocation is None else {"invocation": invocation}
        url = f"{self.url}/sandbox/received/{flow}"
        with requests.get(url, params=parameters, timeout=_RESPONSE_SECONDS, stream=True) as answer:
            for line in _checked(answer).iter_lines(chunk_size=1 << 16):
                yield json.loads(line)

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a GraphQL document with the API key, and return its `data`. Raises GraphQLRefusedError on any error."""
        answer = requests.post(
            self.endpoint,
            json={"query": query, "variables": variables or {}},
            headers={"x-mcd-id": self.env["MCD_ID"], "x-mcd-token": self.env["MCD_TOKEN"]},
            timeout=_RESPONSE_SECONDS,
        )
        body = answer.json()
        if answer.status_code != 200 or body.get("errors"):
            raise GraphQLRefusedError(answer.status_code, body.get("errors") or [{"message": str(body)}])
        data: dict[str, Any] = body["data"]
        return data

    def resource(self, kind: str = "snowflake") -> str:
        """Return the UUID of the warehouse with this resource type."""
        return self.env["MCD_RESOURCE_UUID_" + kind.upper().replace("-", "_")]


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables in a `sandbox.env` file, as a shell would read them."""
    variables = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        variables[name] = shlex.split(value)[0]
    return variables


def _checked(answer: requests.Response) -> requests.Response:
    assert answer.ok, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
    return answer
