"""Tests wrong values of BigQuery's variables through the real client: secrets in the wrong variable are not printed,
malformed settings are refused by name, and nothing is sent unencrypted.

Not covered: a secret that is also a valid project ID. A project ID is not secret, and messages name projects.
"""

from __future__ import annotations

import pytest

from tests.folder_modules import CANARIES, CANARY, error_of
from tests.script_process import TEMPLATES, run_script
from tests.templates.bigquery import world
from tests.templates.bigquery.conftest import Scripts
from tests.templates.bigquery.identity_provider import TARGET, key_of, write

PROJECT_IDS = ("BIGQUERY_PROJECTS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT")
NAMES = (
    *PROJECT_IDS,
    *("BIGQUERY_REGIONS", "BIGQUERY_STATEMENT_TIMEOUT", "BIGQUERY_RETRY_SECONDS", "BIGQUERY_EMULATOR_HOST"),
    *("BIGQUERY_IMPERSONATE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_UNIVERSE_DOMAIN"),
    *("GOOGLE_API_CERTIFICATE_CONFIG", "GOOGLE_API_USE_CLIENT_CERTIFICATE", "GOOGLE_API_USE_MTLS_ENDPOINT"),
    *("GOOGLE_API_PREVENT_AGENT_TOKEN_SHARING_FOR_GCP_SERVICES", "GOOGLE_AUTH_TRUST_BOUNDARY_ENABLED"),
    *("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "GOOGLE_SDK_PYTHON_LOGGING_SCOPE"),
    *("CLOUDSDK_CONFIG", "CLOUDSDK_PYTHON", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
# A canary that passes all checks is in use, and the run succeeds without printing it.
IN_USE = {(name, CANARY) for name in PROJECT_IDS}


def fast(scripts: Scripts) -> dict[str, str]:
    return scripts.environment | {"BIGQUERY_PROJECTS": world.LAB, "BIGQUERY_RETRY_SECONDS": "1"}


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_in_any_variable_is_not_printed(scripts: Scripts, name: str) -> None:
    problems = {}
    for canary in CANARIES:
        if (name, canary) in IN_USE:
            continue
        run = scripts.run(fast(scripts) | {name: canary}, "--only-freshness-and-volume")
        output = (run.stdout + run.stderr).lower()
        if run.exit_code not in (0, 2, 3, 4) or CANARY in output or "traceback" in output:
            problems[canary] = run
    assert problems == {}


def test_a_secret_in_a_variable_is_not_printed_when_nothing_else_is_set(scripts: Scripts) -> None:
    """Without credentials in a file, google-auth reads more variables."""
    for name in ("CLOUDSDK_CONFIG", "GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_TIMEOUT", "CLOUDSDK_PYTHON"):
        env = {
            "CLOUDSDK_CONFIG": str(scripts.work),
            "GCE_METADATA_IP": "127.0.0.1:1",
            "GOOGLE_CLOUD_PROJECT": "a-project",
        }
        env |= {name: CANARY} if name != "GCE_METADATA_IP" else {name: "127.0.0.1:2"}
        run = scripts.run(env).check(2)
        assert CANARY not in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


MALFORMED = [
    *[
        ("BIGQUERY_PROJECTS", text)
        for text in (",", " , ", "a", "Shop-Prod", "shop prod", "shop-", "1shop-prod", "123456")
    ],
    *[("BIGQUERY_PROJECTS", f"{world.SHOP};{world.LAB}"), ("BIGQUERY_PROJECTS", f"{world.SHOP},a b")],
    *[
        ("BIGQUERY_PROJECTS", text)
        for text in ("p" * 31, "projects/shop-prod", "shop-prod`", "example.com:", "\u0430-project")
    ],
    *[("GOOGLE_CLOUD_PROJECT", text) for text in ("my project", "MY-PROJECT", "x")],
    *[("GCLOUD_PROJECT", "a/b/c/d/e/f"), ("GOOGLE_CLOUD_QUOTA_PROJECT", "two\nlines")],
    *[
        ("BIGQUERY_REGIONS", text)
        for text in (",", "asia-east", "eu-west3-a", "region-eu", "EU US", "us;eu", "europe-west\uff13")
    ],
    *[("BIGQUERY_STATEMENT_TIMEOUT", text) for text in ("0", "-5", "1.5", "9" * 30, "21601", "\u0665", "60s", " 60")],
    *[("BIGQUERY_RETRY_SECONDS", text) for text in ("0", "86401", "-1", "1e3")],
    *[("BIGQUERY_EMULATOR_HOST", text) for text in ("localhost:9050", "ftp://x", "https:/x", "http://u:p@127.0.0.1/")],
    *[
        ("BIGQUERY_IMPERSONATE_SERVICE_ACCOUNT", text)
        for text in ("collector", "a@b@c", "A@B.iam", "a@b/c", f"{TARGET}:x")
    ],
    *[("GOOGLE_CLOUD_UNIVERSE_DOMAIN", text) for text in ("https://googleapis.com", "google apis")],
    *[("REQUESTS_CA_BUNDLE", "/no/such/file.pem"), ("CURL_CA_BUNDLE", "no-such-file")],
]


@pytest.mark.parametrize(("variable", "value"), MALFORMED, ids=lambda value: ascii(value)[:40])
def test_a_malformed_setting_is_refused_by_its_name(scripts: Scripts, variable: str, value: str) -> None:
    run = scripts.run(scripts.environment | {variable: value}).check(2)
    assert variable in error_of(run)["message"]
    assert error_of(run)["remedy"]
    assert len(value) < 6 or value not in run.stderr
    assert "Traceback" not in run.stderr
    assert scripts.front.requests == []


@pytest.mark.parametrize("host", ["http://192.0.2.1", "http://192.0.2.1:9050/", "HTTP://bigquery.example.com"])
def test_nothing_is_sent_unencrypted_to_another_machine(scripts: Scripts, host: str) -> None:
    run = scripts.run(scripts.environment | {"BIGQUERY_EMULATOR_HOST": host}).check(2)
    assert "--allow-plaintext" in error_of(run)["remedy"]


def test_a_universe_that_is_not_that_of_the_credentials_is_refused(scripts: Scripts) -> None:
    run = scripts.run(scripts.environment | {"GOOGLE_CLOUD_UNIVERSE_DOMAIN": "example.com"}).check(2)
    assert "GOOGLE_CLOUD_UNIVERSE_DOMAIN" in error_of(run)["message"]
    assert "example.com" not in run.stderr
    assert scripts.front.requests == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_line_ends_of_values_are_ignored(scripts: Scripts, end: str) -> None:
    """As a process: the client reads some variables itself."""
    key = write(scripts.work / "key.json", key_of(scripts.server))
    env = scripts.environment | {
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "BIGQUERY_REGIONS": "eu",
        "BIGQUERY_STATEMENT_TIMEOUT": "60",
        "GOOGLE_CLOUD_QUOTA_PROJECT": world.LAB,
    }
    env = {name: value + end for name, value in env.items()}
    command = ("--manifest", str(scripts.work / "metadata.jsonl"))
    run_script(TEMPLATES / "bigquery", "collect_metadata.py", *command, env=env).check()
    assert sorted(scripts.names()) == sorted(world.ALL_TABLES)
    assert {request.headers["x-goog-user-project"] for request in scripts.front.requests} == {world.LAB}


def test_empty_variables_are_not_set(scripts: Scripts) -> None:
    empty = dict.fromkeys(name for name in NAMES if name not in scripts.environment)
    env = dict.fromkeys(empty, "") | scripts.environment
    scripts.run(env).check()
    assert sorted(scripts.names()) == sorted(world.ALL_TABLES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("us", "US"),
        ("Eu", "EU"),
        ("EUROPE-WEST3", "europe-west3"),
        ("northamerica-northeast1", "northamerica-northeast1"),
        ("aws-us-east-1", "aws-us-east-1"),
        ("azure-eastus2", "azure-eastus2"),
    ],
)
def test_a_region_is_written_as_bigquery_reports_it(scripts: Scripts, text: str, found: str) -> None:
    assert scripts.modules["variables"].parse_region(text) == found


@pytest.mark.parametrize("text", ["my-project-123", "example.com:my-project", "abcdef"])
def test_project_ids_of_all_kinds_are_accepted(scripts: Scripts, text: str) -> None:
    assert scripts.modules["variables"].parse_project(text) == text
