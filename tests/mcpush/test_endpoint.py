"""Where key and data are sent: never to a redirect's target, unencrypted over a network, or with another password."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.mcpush.in_process import Push
from tests.mcpush.raw_server import RawServer, sent_once
from tests.mcpush.test_collect_and_push import FIXTURES
from tests.mcpush.test_delivery import METADATA, journal_lines, push, result_of, table, write
from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, run_script

SECRET = "S3cretPw1-of-another-variable"
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\nMIIEvQ{SECRET}\n-----END PRIVATE KEY-----"
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Length: 23\r\n\r\n{"invocation_id": "i1"}'
ONE_ATTEMPT = ("--max-retry-seconds", "0.1")


def redirect(status: int, location: str, body: bytes = b"") -> bytes:
    """A redirect; without a location if it is empty."""
    header = f"Location: {location}\r\n" if location else ""
    return f"HTTP/1.1 {status} Found\r\n{header}Content-Length: {len(body)}\r\n\r\n".encode() + body


# --- redirects ---


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 399])
def test_a_redirect_is_not_followed(status: int, quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table("T"), table("U")])
    with RawServer(sent_once(ACCEPTED)) as other:
        location = f"http://user:password@localhost:{other.port}/a/path?a=query"
        with RawServer(sent_once(redirect(status, location))) as server:
            env = quiet_sandbox.env | {"MCD_API_ENDPOINT": server.endpoint}
            run = push("metadata", manifest_path, env).check(4)
        assert (len(server.requests), other.connections) == (1, 0)
    assert f"redirects to localhost ({status})" in run.summary["error"]["message"]
    assert not [word for word in ("password", "query", "a/path") if word in run.summary["error"]["message"]]
    assert "MCD_API_ENDPOINT" in run.summary["error"]["remedy"]
    assert (run.summary["records_accepted"], run.summary["invocation_ids"]) == (0, [])
    assert journal_lines(manifest_path)[1:] == []
    assert result_of(manifest_path)["accepted"] == []


LOCATIONS = {
    "https://other.example/path?query#fragment": "other.example",
    "https://user:password@other.example:8443/": "other.example",
    "//other.example/path": "other.example",
    "https://[2001:db8::1]/": "2001:db8::1",
    "/again": "127.0.0.1",
    "": "an invalid address",
    "https://": "an invalid address",
    "https://[::1": "an invalid address",
    "https://[not-an-address]/": "an invalid address",
    "javascript:alert(1)": "an invalid address",
    "https://" + "a" * 300 + ".example/": "an invalid address",
    "https://\x1b[31mred.example/": "an invalid address",
    "https://\u202eexample/": "an invalid address",
    "https://other.example\\@127.0.0.1/": "127.0.0.1",
    f"https://{SECRET}.example/": "***.example",
    f"https://other.example/{SECRET}": "other.example",
}


@pytest.mark.parametrize(("location", "shown"), LOCATIONS.items(), ids=[ascii(each)[:40] for each in LOCATIONS])
def test_only_the_host_of_a_redirect_is_shown(
    location: str, shown: str, push_to: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_PASSWORD", SECRET)
    with RawServer(sent_once(redirect(307, location, b"<html>"))) as server:
        outcome = push_to(server.endpoint)
        assert len(server.requests) == 1
    assert outcome.exit_code == 4
    assert f"redirects to {shown} (307)" in outcome.message
    assert SECRET.lower() not in outcome.output.lower()


# --- unencrypted connections ---


def test_an_unencrypted_endpoint_is_refused_before_anything_is_collected(
    quiet_sandbox: SandboxProcess, tmp_path: Path
) -> None:
    env = quiet_sandbox.env | {
        "MCD_API_ENDPOINT": "http://montecarlo.invalid/graphql",
        "PYTHONPATH": str(TEMPLATES / "snowflake"),
    }
    arguments = ["--manifest", "q.jsonl", "--since", "2026-01-31", "--until", "2026-01-31T00:02", *ONE_ATTEMPT]

    def run(*more: str, exit_code: int) -> str:
        command = ["collect_and_push", *arguments, *more]
        found = run_script(FIXTURES, "one_query_a_minute.py", *command, env=env, cwd=tmp_path).check(exit_code)
        return str(found.summary.get("error", {}).get("message", ""))

    assert "MCD_API_ENDPOINT, with http://, sends" in run(exit_code=2)
    assert not (tmp_path / "connections").exists()
    run("--dry-run", exit_code=0)
    assert "no response" in run("--allow-plaintext", exit_code=4)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "127.0.0.1.example", "localhost.example", "[2001:db8::1]", "10.0.0.1", "2130706433", "127.1"]
)
def test_an_unencrypted_endpoint_on_another_machine_is_refused(host: str, push_to: Push) -> None:
    assert push_to(f"http://{host}:9/graphql").exit_code == 2
    assert push_to(f"HTTP://{host}:9/graphql").exit_code == 2
    assert push_to(f"http://{host}:9/graphql", "--dry-run").exit_code == 0


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_an_unencrypted_endpoint_on_this_machine_is_allowed(host: str, push_to: Push) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    outcome = push_to(f"http://{host}:{port}/graphql")
    assert (outcome.exit_code, outcome.was_retriable) == (4, True), outcome.output


def test_no_proxy_is_used_for_this_machine(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    """The proxy would get key and data unencrypted, and could not reach the sandbox anyway."""
    write(manifest_path, "metadata", [table("T")])
    with RawServer(sent_once(ACCEPTED)) as proxy:
        variables = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": "", "no_proxy": ""}
        push("metadata", manifest_path, quiet_sandbox.env | variables).check()
        assert proxy.connections == 0
    assert quiet_sandbox.requests(METADATA).answers == [202]


def test_a_proxy_is_used_for_other_machines(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [table("T")])
    with RawServer(sent_once(ACCEPTED)) as proxy:
        variables = {
            "HTTP_PROXY": f"http://127.0.0.1:{proxy.port}",
            "MCD_API_ENDPOINT": "http://montecarlo.invalid/graphql",
        }
        push("metadata", manifest_path, quiet_sandbox.env | variables, "--allow-plaintext").check()
    assert proxy.requests[0].startswith(b"POST http://montecarlo.invalid/ingest/v1/metadata HTTP/1.1")


# --- other passwords and addresses ---


@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "default"])
def test_passwords_in_netrc_are_not_sent(
    entry: str, quiet_sandbox: SandboxProcess, tmp_path: Path, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [table("T")])
    (tmp_path / ".netrc").write_text(f"{entry} login me password {SECRET}\n", encoding="utf-8")
    with RawServer(sent_once(ACCEPTED)) as server:
        variables = {"MCD_API_ENDPOINT": server.endpoint, "HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc")}
        push("metadata", manifest_path, quiet_sandbox.env | variables).check()
    [request] = server.requests
    assert quiet_sandbox.env["MCD_INGEST_TOKEN"].encode() in request
    assert b"authorization" not in request.lower()


def test_profiles_and_variables_of_the_api_do_not_change_the_address(tmp_path: Path, manifest_path: Path) -> None:
    """pycarlo has them for GraphQL, and a profile for a session without a key."""
    write(manifest_path, "metadata", [table("T")])
    other = "https://other.invalid/graphql"
    (tmp_path / ".mcd").mkdir()
    (tmp_path / ".mcd" / "profiles.ini").write_text(
        f"[default]\nmcd_id = a\nmcd_token = b\nmcd_api_endpoint = {other}\n", encoding="utf-8"
    )
    variables = {"HOME": str(tmp_path), "MCD_OAUTH_API_ENDPOINT": other, "MCD_TOKEN_ENDPOINT": other}
    run = push("metadata", manifest_path, variables, "--dry-run").check()
    assert run.summary["destination"] == "https://integrations.getmontecarlo.com (MCD_RESOURCE_UUID is not set)"


MALFORMED = {
    "no scheme": "montecarlo.invalid/graphql",
    "user in front": f"user:{SECRET}@montecarlo.invalid/graphql",
    "another scheme": "ftp://montecarlo.invalid/graphql",
    "a file": "file:///etc/passwd",
    "no host": "https:///graphql",
    "only a scheme": "https://",
    "spaces": "   ",
    "a space in the host": "https://monte carlo.invalid/graphql",
    "a tab": "https://monte\tcarlo.invalid/graphql",
    "a line end": "https://montecarlo.invalid/\ngraphql",
    "an escape sequence": "https://montecarlo.invalid/\x1b[31m",
    "other letters": "https://mönte.invalid/graphql",
    "a large port": "https://montecarlo.invalid:99999/graphql",
    "a port of six digits": "https://montecarlo.invalid:000443/graphql",
    "no number as port": "https://montecarlo.invalid:https/graphql",
    "other digits as port": "https://montecarlo.invalid:١٢/graphql",
    "an open bracket": "https://[::1/graphql",
    "a user": f"https://{SECRET}@montecarlo.invalid/graphql",
    "a password": f"https://user:{SECRET}@montecarlo.invalid/graphql",
    "a backslash": "http://192.0.2.1\\@localhost/graphql",
    "a query": f"https://montecarlo.invalid/graphql?token={SECRET}",
    "a fragment": f"https://montecarlo.invalid/graphql#{SECRET}",
    "another variable's value": PRIVATE_KEY,
    "two URLs": "https://montecarlo.invalid/,https://montecarlo.invalid/",
    "quotes": '"https://montecarlo.invalid/graphql"',
}


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["push", "dry run"])
@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_endpoint_is_a_usage_error_without_the_value(
    value: str, dry_run: tuple[str, ...], push_to: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCD_API_ENDPOINT", value)
    outcome = push_to(value, *dry_run)
    assert outcome.exit_code == 2
    assert f"MCD_API_ENDPOINT ({len(value)} characters)" in outcome.message
    assert SECRET not in outcome.output


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".invalid", ".", "-"])
def test_a_host_that_cannot_exist_is_an_error_without_a_traceback(host: str, push_to: Push) -> None:
    outcome = push_to(f"https://{host}/graphql")
    assert outcome.exit_code in (2, 4)
    assert "Traceback" not in outcome.output


def test_a_line_end_after_the_endpoint_is_ignored(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    """pycarlo reads the variable when it is imported, before the library removes line ends."""
    write(manifest_path, "metadata", [table("T")])
    endpoint = quiet_sandbox.env["MCD_API_ENDPOINT"]
    variables = {"MCD_API_ENDPOINT": endpoint + "\r\n", "MCD_USER_ID_HEADER": "me\n"}
    run = push("metadata", manifest_path, quiet_sandbox.env | variables).check()
    assert run.summary["destination"].startswith(endpoint + " ")


@pytest.mark.parametrize("value", [f"me\n{SECRET}", f"{SECRET}\x1b", f"å{SECRET}"], ids=ascii)
def test_an_unusable_user_id_is_a_usage_error_without_the_value(
    value: str, quiet_sandbox: SandboxProcess, push_to: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCD_USER_ID_HEADER", value)
    outcome = push_to(quiet_sandbox.endpoint)
    assert (outcome.exit_code, "MCD_USER_ID_HEADER" in outcome.message) == (2, True)
    assert SECRET not in outcome.output


# --- the resource ---

NOT_UUIDS = {
    "another variable's value": SECRET,
    "a private key": PRIVATE_KEY,
    "a digit too many": "11111111-0000-4000-8000-0000000000012",
    "quotes": '"11111111-0000-4000-8000-000000000001"',
    "other digits": "\u0661" * 8 + "-0000-4000-8000-000000000001",
    "a URL": f"https://getmontecarlo.com/{SECRET}",
}


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["push", "dry run"])
@pytest.mark.parametrize("value", NOT_UUIDS.values(), ids=NOT_UUIDS)
def test_a_resource_that_is_not_a_uuid_is_a_usage_error_without_the_value(
    value: str,
    dry_run: tuple[str, ...],
    quiet_sandbox: SandboxProcess,
    push_to: Push,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MCD_RESOURCE_UUID", value)
    outcome = push_to(quiet_sandbox.endpoint, *dry_run)
    assert outcome.exit_code == 2
    assert "MCD_RESOURCE_UUID" in outcome.message
    assert SECRET not in outcome.output
    assert value not in outcome.output


def test_a_dry_run_reports_the_resource_that_is_set(quiet_sandbox: SandboxProcess, push_to: Push) -> None:
    outcome = push_to(quiet_sandbox.endpoint, "--dry-run")
    assert outcome.summary["destination"] == f"{quiet_sandbox.endpoint} {quiet_sandbox.env['MCD_RESOURCE_UUID']}"
