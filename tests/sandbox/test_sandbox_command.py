"""The sandbox command: its files, its exit codes, and that it does not leak secrets."""

from __future__ import annotations

import json
import os
import runpy
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.sandbox_process import SANDBOX, SandboxProcess


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SANDBOX), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_help_and_version() -> None:
    for flag, word in (("--help", "example: python scripts/sandbox"), ("--version", "sandbox ")):
        finished = run(flag)
        assert finished.returncode == 0
        assert word in finished.stdout


def test_data_is_private_and_never_written_through_a_link(tmp_path: Path) -> None:
    """Whatever the umask, and also in data of an earlier release."""
    data = tmp_path / "data"
    names = {"sandbox.json", "sandbox.env", "sandbox.db", "sandbox.db-wal", "sandbox.db-shm"}
    before = os.umask(0)
    try:
        for _ in range(2):
            with SandboxProcess(data):
                modes = {name: stat.S_IMODE((data / name).stat().st_mode) for name in names}
            assert modes == dict.fromkeys(names, 0o600)
            (data / "sandbox.db").chmod(0o644)
    finally:
        os.umask(before)
    (data / "sandbox.db").rename(tmp_path / "precious")
    (data / "sandbox.db").symlink_to(tmp_path / "precious")
    finished = run("--data", str(data), "--port", "0")
    assert finished.returncode == 2
    assert "sandbox.db" in finished.stderr
    assert stat.S_IMODE((tmp_path / "precious").stat().st_mode) == 0o644


def test_keys_are_created_once_private_and_never_logged(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        first, env = sandbox.settings, sandbox.env
        for name in ("sandbox.json", "sandbox.env"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        sandbox.stop()
    with SandboxProcess(tmp_path) as again:
        assert again.settings == first
        assert {**again.env, "MCD_API_ENDPOINT": ""} == {**env, "MCD_API_ENDPOINT": ""}
    assert {warehouse["type"] for warehouse in first["warehouses"]} == {
        "snowflake",
        "bigquery",
        "databricks",
        "redshift",
        "data-lake",
    }
    said = (tmp_path / "sandbox.log").read_text(encoding="utf-8")
    for key in first["keys"]:
        assert key["token"] not in said


def test_the_ready_line_contains_no_secret(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(SANDBOX), "--port", "0", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    url = line.split()[2]
    assert requests.get(f"{url}/sandbox/requests", timeout=60).json() == {}
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    tokens = [key["token"] for key in json.loads((tmp_path / "sandbox.json").read_text())["keys"]]
    assert len(tokens) == 2
    assert not any(token in line + rest + errors for token in tokens)


ACCOUNTS = runpy.run_path(str(SANDBOX / "accounts.py"))
HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "a\ntouch pwned",
    "a;touch pwned",
]


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell reads the file")
@pytest.mark.parametrize("hostile", [*HOSTILE, "x=1;touch pwned;y", "x\r", "\x00", "é", "", "a b"], ids=ascii)
@pytest.mark.parametrize("place", ["type", "name", "token"])
def test_nothing_in_the_settings_is_executed_by_a_shell(tmp_path: Path, place: str, hostile: str) -> None:
    warehouse = {"uuid": "0b1c3d52-8f0e-4c57-b7a3-1f0f3a5ad2a1", "name": "shop", "type": "snowflake"}
    key = {"id": "a", "token": "t", "scope": "Ingestion"}
    (key if place == "token" else warehouse)[place] = hostile
    settings = {"account": None, "keys": [key], "warehouses": [warehouse]}
    (tmp_path / "sandbox.json").write_text(json.dumps(settings), encoding="utf-8")
    try:
        account = ACCOUNTS["open_account"](tmp_path)
    except ACCOUNTS["SettingsError"]:
        assert place != "name"
        assert not (tmp_path / "sandbox.env").exists()
        return
    assert place != "type"
    ACCOUNTS["write_variables"](tmp_path, account, "http://127.0.0.1:1")
    script = 'set -e; . ./sandbox.env; printf %s "$MCD_INGEST_TOKEN"'
    printed = subprocess.run(["/bin/sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert printed.stdout == key["token"]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell reads the file")
def test_a_shell_can_read_the_variables(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        script = '. "$1"; printf %s "$MCD_API_ENDPOINT $MCD_INGEST_TOKEN $MCD_RESOURCE_UUID_DATA_LAKE"'
        printed = subprocess.check_output(["/bin/sh", "-c", script, "sh", str(tmp_path / "sandbox.env")], text=True)
        env = sandbox.env
        assert printed.split() == [
            f"{sandbox.url}/graphql",
            env["MCD_INGEST_TOKEN"],
            env["MCD_RESOURCE_UUID_DATA_LAKE"],
        ]


def test_sigterm_exits_with_0(tmp_path: Path) -> None:
    sandbox = SandboxProcess(tmp_path).start()
    assert sandbox.stop() == 0


def test_a_port_in_use_exits_with_2(sandbox: SandboxProcess, tmp_path: Path) -> None:
    port = sandbox.url.rpartition(":")[2]
    finished = run("--port", port, "--data", str(tmp_path))
    assert finished.returncode == 2
    assert port in finished.stderr
    assert run("--port", "99999", "--data", str(tmp_path)).returncode == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{", "JSONDecodeError"),
        ('{"keys": []}', "warehouses"),
        ('{"warehouses": [], "keys": [{"id": "a", "token": "s3cret", "scope": "Everything"}]}', "Everything"),
        ('{"keys": [], "warehouses": [{"uuid": "x", "name": "n", "type": "snowflake"}]}', "UUID"),
        ('{"keys": [], "warehouses": [{"uuid": 5, "name": "n", "type": "snowflake"}]}', "AttributeError"),
        ('{"keys": [], "warehouses": [], "account": 5}', "AttributeError"),
        ('{"keys": ["a"], "warehouses": []}', "TypeError"),
        ("[]", "TypeError"),
        ("null", "TypeError"),
        ("[" * 100_000, "RecursionError"),
        ('{"warehouses": [], "keys": [{"id": "a", "token": "s3cret\\n", "scope": "GraphQL"}]}', "the token of a key"),
        (
            '{"warehouses": [], "keys": [{"id": "a", "token": "s3cret\\ud800", "scope": "GraphQL"}]}',
            "the token of a key",
        ),
        ('{"warehouses": [], "keys": [{"id": "\\u0000", "token": "s3cret", "scope": "GraphQL"}]}', "the id of a key"),
    ],
)
def test_invalid_settings_exit_with_2(tmp_path: Path, settings: str, said: str) -> None:
    (tmp_path / "sandbox.json").write_text(settings, encoding="utf-8")
    finished = run("--port", "0", "--data", str(tmp_path))
    assert finished.returncode == 2
    assert "sandbox.json" in finished.stderr
    assert said in finished.stderr
    assert "s3cret" not in finished.stderr
