"""Canary secrets: a secret that a server or warehouse repeats appears neither in files nor in the output."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.mcpush.test_collect_and_push import FIXTURES
from tests.mcpush.test_delivery import METADATA, journal_lines, push, result_of, table, write
from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, Run, run_script

# One variable of each kind from which scripts, drivers and HTTP libraries read secrets. The contract suite checks the
# variables of each warehouse in the same way.
SECRETS = {
    "MCD_TOKEN": "c4nary-of-the-api-key",
    "WAREHOUSE_PASSWORD": "c4nary-of-a-password",
    "WAREHOUSE_PASSCODE": "c4nary-of-a-passcode",
    "WAREHOUSE_PRIVATE_KEY_PASSPHRASE": "c4nary-of-a-passphrase",
    "WAREHOUSE_PRIVATE_KEY_FILE_PWD": "c4nary-of-a-key-file",
    "WAREHOUSE_OAUTH_CLIENT_SECRET": "c4nary-of-a-client",
    "WAREHOUSE_TOKEN": "c4nary-of-a-token",
    "WAREHOUSE_API_KEY": "c4nary-of-an-api",
    "AWS_SECRET_ACCESS_KEY": "c4nary-of-a-cloud",
    "AWS_SESSION_TOKEN": "c4nary-of-a-session",
}
IN_ADDRESSES = {
    "https_proxy": "http://user:c4nary-of-a-proxy@127.0.0.1:9",
    "ftp_proxy": "user:c4nary-without-a-scheme@127.0.0.1:9",
    "CALLBACK_URL": "user:c4nary-of-a-url@example.invalid/",
    "AIRFLOW_CONN_WAREHOUSE": "redshift://user:c4nary-of-a-connection@example.invalid/",
}
# As in the headers that a proxy repeats
ENCODED = [
    base64.b64encode(text.encode()).decode()
    for text in (*(f"user:{secret}" for secret in SECRETS.values()), "user:c4nary-of-a-proxy")
]
REPEATED = " ".join(["you sent", *SECRETS.values(), *IN_ADDRESSES.values(), *ENCODED])


def written(folder: Path) -> str:
    """The content of all files under a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return "".join(path.read_text(encoding="utf-8") for path in files)


def check_no_secret_is_shown(run: Run, folder: Path) -> None:
    for where, text in (("stdout", run.stdout), ("stderr", run.stderr), ("files", written(folder))):
        assert "c4nary" not in text, where
        assert [encoded for encoded in ENCODED if encoded[-16:] in text] == [], where
        assert "you sent ***" in text, f"nothing was repeated in {where}"


def test_secrets_that_monte_carlo_repeats_are_not_written(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    """One run gets a retry, a rejected record and a final refusal. Each of these responses repeats all secrets."""
    write(manifest_path, "metadata", [table(name) for name in ("zero", "one", "two")])
    token = quiet_sandbox.env["MCD_INGEST_TOKEN"]
    repeated = f"{REPEATED} {token}"
    wrong = {"error": repeated, "details": {"events[0].relational_asset.type": repeated}}
    quiet_sandbox.fault(METADATA, calls=[1], status=503, body=repeated)
    quiet_sandbox.fault(METADATA, calls=[2, 3], status=400, body=wrong)
    quiet_sandbox.fault(METADATA, calls=[5], status=401, body=repeated)
    run = push("metadata", manifest_path, quiet_sandbox.env | SECRETS | IN_ADDRESSES, "--workers", "1").check(3)
    assert quiet_sandbox.requests(METADATA).answers == [503, 400, 400, 202, 401]
    assert [line.get("rejected") for line in journal_lines(manifest_path)[1:]] == [None, 1]
    check_no_secret_is_shown(run, manifest_path.parent)
    assert token not in run.stdout + run.stderr + written(manifest_path.parent)
    assert "you sent ***" in result_of(manifest_path)["error"]
    assert "you sent ***" in result_of(manifest_path)["rejected"][0]["reason"]
    assert "you sent ***" in journal_lines(manifest_path)[-1]["reason"]


@pytest.mark.parametrize("before", [0, 30, 50, 55], ids=lambda before: f"after {before} characters")
def test_a_secret_in_an_invalid_value_is_not_written(
    quiet_sandbox: SandboxProcess, manifest_path: Path, before: int
) -> None:
    """Reasons show the first 60 characters of a value: a secret is not recognized if the cut splits it."""
    secret = "c4nary-of-an-invalid-value"
    write(manifest_path, "metadata", [table("zero"), table("one", type="x" * before + secret)])
    run = push("metadata", manifest_path, quiet_sandbox.env | {"ANY_TOKEN": secret}).check(1)
    texts = [run.stdout, run.stderr, json.dumps(journal_lines(manifest_path)), json.dumps(result_of(manifest_path))]
    for text in texts:
        assert "type is 'x" in text if before else "type is '***'" in text
        assert secret[:4] not in text


def test_secrets_that_a_record_contains_are_not_written_elsewhere(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    """The message about an unknown key repeats the key. It is the reason of a rejection, or the error of the run."""
    wrong = table("one") | {REPEATED: 1}
    for expected, records in ((1, [table("zero"), wrong]), (2, [wrong] * 5)):
        write(manifest_path, "metadata", records)
        run = push("metadata", manifest_path, quiet_sandbox.env | SECRETS | IN_ADDRESSES).check(expected)
        manifest_path.unlink()
        check_no_secret_is_shown(run, manifest_path.parent)
        if expected == 1:
            assert "you sent ***" in journal_lines(manifest_path)[-1]["reason"]
        else:
            assert "you sent ***" in result_of(manifest_path)["error"]


@pytest.mark.parametrize("script", ["collect", "collect_and_push"])
def test_secrets_that_a_warehouse_repeats_are_not_written(
    quiet_sandbox: SandboxProcess, tmp_path: Path, script: str
) -> None:
    env = quiet_sandbox.env | SECRETS | IN_ADDRESSES
    env |= {"PYTHONPATH": str(TEMPLATES / "snowflake"), "REPEATED": REPEATED}
    times = ["--since", "2026-01-31", "--until", "2026-01-31T00:02"]
    folder, name = FIXTURES, "one_query_a_minute.py"
    run = run_script(folder, name, script, "--manifest", "q.jsonl", *times, env=env, cwd=tmp_path).check()
    assert run.summary["records"] == 2
    check_no_secret_is_shown(run, tmp_path)
