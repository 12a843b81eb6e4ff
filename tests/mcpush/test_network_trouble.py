"""Delivery with something between the script and Monte Carlo: proxies, login pages, broken connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mcpush.test_delivery import METADATA, journal_lines, push, query, result_of, table, write
from tests.sandbox_process import SandboxProcess

SHORT_RETRIES = ("--max-retry-seconds", "3")
UNRESOLVABLE = {"MCD_API_ENDPOINT": "https://montecarlo.invalid/graphql"}  # never resolves: RFC 2606


class FixedServer:
    """A server that sends the same bytes to every connection, whatever the request, and closes it."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # the socket is closed
            self.connections += 1
            with connection:
                connection.settimeout(5)
                connection.recv(65_536)
                connection.sendall(self._response)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def responding_with(response: bytes) -> Iterator[FixedServer]:
    server = FixedServer(response)
    try:
        yield server
    finally:
        server.close()


def http(status: str, content_type: str, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n".encode() + body


def env_with_port(sandbox: SandboxProcess, port: int, scheme: str = "http") -> dict[str, str]:
    return sandbox.env | {"MCD_API_ENDPOINT": f"{scheme}://127.0.0.1:{port}/graphql"}


@pytest.mark.parametrize("status", ["200 OK", "202 Accepted", "400 Bad Request"])
def test_the_html_page_of_a_proxy_rejects_no_record(quiet_sandbox: SandboxProcess, tmp_path: Path, status: str) -> None:
    manifest = write(tmp_path / "q.jsonl", "query_logs", [query(number) for number in range(3)])
    with responding_with(http(status, "text/html", b"<html>Please log in</html>")) as proxy:
        run = push("query_logs", manifest, env_with_port(quiet_sandbox, proxy.port)).check(4)
    assert run.summary["records_rejected"] == 0
    assert "proxy" in run.summary["error"]["remedy"]
    assert not [line for line in journal_lines(manifest) if "rejected" in line]
    run = push("query_logs", manifest, quiet_sandbox.env).check()
    assert run.summary["records_accepted"] == 3


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 202 Accepted\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["wrong content encoding", "endless redirects"],
)
def test_an_unreadable_response_is_not_reported_as_a_wrong_setting(
    quiet_sandbox: SandboxProcess, manifest_path: Path, response: bytes
) -> None:
    write(manifest_path, "metadata", [table("T")])
    with responding_with(response) as server:
        run = push("metadata", manifest_path, env_with_port(quiet_sandbox, server.port), *SHORT_RETRIES).check(4)
    assert "proxy" in run.summary["error"]["remedy"]
    assert run.summary["records_rejected"] == 0


@pytest.mark.parametrize(
    ("scheme", "response"),
    [("http", http("202 Accepted", "application/json", b'{"invocation_id": "12', 80)), ("https", b"")],
    ids=["truncated response", "TLS handshake closed"],
)
def test_a_broken_connection_is_retried(
    quiet_sandbox: SandboxProcess, manifest_path: Path, scheme: str, response: bytes
) -> None:
    write(manifest_path, "metadata", [table("T")])
    with responding_with(response) as server:
        run = push("metadata", manifest_path, env_with_port(quiet_sandbox, server.port, scheme), *SHORT_RETRIES).check(
            4
        )
        assert server.connections > 1
    assert "CA_BUNDLE" not in run.stderr


def test_a_proxy_that_requires_a_password_is_not_retried(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table("T")])
    with responding_with(http("407 Proxy Authentication Required", "text/plain", b"")) as proxy:
        env = quiet_sandbox.env | UNRESOLVABLE | {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        run = push("metadata", manifest_path, env, *SHORT_RETRIES).check(3)
        assert proxy.connections == 1
    assert "HTTPS_PROXY" in run.summary["error"]["remedy"]


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTPS_PROXY": "http://user:S3cretPw1/@proxy:1"},
        {"HTTPS_PROXY": "http://user:pass-S3cretPw1@127.0.0.1:none"},
        {"REQUESTS_CA_BUNDLE": "/no/such/S3cretPw1.pem", "ANY_TOKEN": "/no/such/S3cretPw1.pem"},
        {"MCD_API_ENDPOINT": "http://u:S3cretPw1@[::1"},
        {"MCD_API_ENDPOINT": "u:S3cretPw1@montecarlo.invalid/graphql"},
    ],
    ids=["a slash in a password", "invalid port", "missing certificates", "invalid address", "no scheme"],
)
def test_settings_that_make_requests_impossible_are_usage_errors_without_secrets(
    quiet_sandbox: SandboxProcess, manifest_path: Path, variables: dict[str, str]
) -> None:
    write(manifest_path, "metadata", [table("T")])
    run = push("metadata", manifest_path, quiet_sandbox.env | UNRESOLVABLE | variables, *SHORT_RETRIES)
    assert run.exit_code == 2, run.stderr
    assert "Traceback" not in run.stderr
    files = "".join(path.read_text() for path in manifest_path.parent.iterdir() if path != manifest_path)
    assert "S3cretPw1" not in run.stdout + run.stderr + files


def test_a_password_in_the_endpoint_is_refused_and_not_written(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    """With a user in a URL, parsers can disagree about the host. No ingestion API needs one."""
    write(manifest_path, "metadata", [table("T")])
    endpoint = quiet_sandbox.env["MCD_API_ENDPOINT"].replace("http://", "http://user:S3cretPw1@")
    run = push("metadata", manifest_path, quiet_sandbox.env | {"MCD_API_ENDPOINT": endpoint}).check(2)
    written = "".join(path.read_text() for path in manifest_path.parent.iterdir())
    assert "S3cretPw1" not in run.stdout + run.stderr + written
    assert "MCD_API_ENDPOINT" in run.summary["error"]["message"]
    assert quiet_sandbox.requests(METADATA).count == 0
    push("metadata", manifest_path, quiet_sandbox.env).check()


def test_a_resource_of_another_type_rejects_no_record(quiet_sandbox: SandboxProcess, tmp_path: Path) -> None:
    manifest = write(tmp_path / "m.jsonl", "metadata", [table("T"), table("U")])
    other = quiet_sandbox.env | {"MCD_RESOURCE_UUID": quiet_sandbox.env["MCD_RESOURCE_UUID_REDSHIFT"]}
    run = push("metadata", manifest, other).check(2)
    assert "MCD_RESOURCE_UUID" in run.summary["error"]["remedy"]
    assert result_of(manifest)["rejected"] == []
    push("metadata", manifest, quiet_sandbox.env).check()
