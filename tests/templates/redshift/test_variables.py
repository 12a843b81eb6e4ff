"""Tests wrong values of Redshift's variables through the real driver and SDK, which reach no server: secrets in the
wrong variable are not printed, malformed settings are refused by name, and nothing is sent unencrypted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests.folder_modules import CANARIES, CANARY, MetadataScript, error_of, imported
from tests.script_process import TEMPLATES
from tests.templates.redshift.aws import Aws

NOBODY_LISTENS = {"REDSHIFT_HOST": "127.0.0.1", "REDSHIFT_PORT": "1", "REDSHIFT_TIMEOUT": "5"}
# Reached before the server: one attempt, and no credentials of this machine.
AWS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-key",
    "AWS_REGION": "eu-west-1",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
USED_WITH_AWS = (
    *AWS,
    *("AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN", "REDSHIFT_PROFILE", "REDSHIFT_REGION"),
    *("REDSHIFT_CLUSTER_IDENTIFIER", "REDSHIFT_WORKGROUP", "REDSHIFT_SECRET_ARN", "REDSHIFT_DB_USER"),
    *("REDSHIFT_DB_GROUPS", "REDSHIFT_AUTH_PROFILE", "REDSHIFT_ACCESS_KEY_ID", "REDSHIFT_ENDPOINT_URL"),
)
METHODS = {
    "password": {**NOBODY_LISTENS, "REDSHIFT_USER": "monte_carlo", "REDSHIFT_PASSWORD": "right-password"},
    "secret": {**AWS, "REDSHIFT_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:x"},
    "cluster": {**AWS, "REDSHIFT_CLUSTER_IDENTIFIER": "c1", "REDSHIFT_DB_USER": "monte_carlo"},
    "identity provider": {
        "REDSHIFT_CREDENTIALS_PROVIDER": "OktaCredentialsProvider",
        "REDSHIFT_IDP_HOST": "127.0.0.1:1",
        "REDSHIFT_USER": "someone",
        "REDSHIFT_PASSWORD": "right-password",
        "REDSHIFT_APP_ID": "a",
        "REDSHIFT_APP_NAME": "b",
        "REDSHIFT_CLUSTER_IDENTIFIER": "c1",
        "REDSHIFT_REGION": "eu-west-1",
    },
}
HOSTS = ("REDSHIFT_HOST", "REDSHIFT_IDP_HOST")  # a canary that is a host name would be looked up


@dataclass
class Scripts(MetadataScript):
    variables: ModuleType

    @property
    def names(self) -> list[str]:
        options = [f"REDSHIFT_{name.upper()}" for name in self.variables.OPTIONS]
        return [*options, *self.variables.OWN_VARIABLES, *AWS, "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"]


@pytest.fixture(scope="module")
def modules() -> Iterator[list[ModuleType]]:
    with imported(TEMPLATES / "redshift", "collect_metadata", "variables") as found:
        yield found


@pytest.fixture
def scripts(
    modules: list[ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Scripts:
    return Scripts(modules[0], ("REDSHIFT_", "AWS_"), tmp_path, monkeypatch, capsys, variables=modules[1])


@pytest.mark.parametrize("method", METHODS)
def test_a_secret_in_any_variable_is_not_printed(scripts: Scripts, method: str) -> None:
    """With AWS, whose SDK is slow to start, only the variables that it uses, and the canary that passes all checks."""
    uses_aws = METHODS[method].keys() >= AWS.keys()
    problems = {}
    for name in USED_WITH_AWS if uses_aws else scripts.names:
        for canary in (CANARY,) if uses_aws else CANARIES:
            if canary == CANARY and name in HOSTS:
                continue
            run = scripts.run(METHODS[method] | {name: canary})
            output = (run.stdout + run.stderr).lower()  # drivers change the case of some values
            if run.exit_code not in (2, 3, 4) or CANARY in output or "traceback" in output:
                problems[name, canary] = run
    assert problems == {}


MALFORMED = [
    *[("REDSHIFT_PORT", text) for text in ("0", "70000", "-1", "5_439", "\uff15\uff14", "5439/dev", " 5439")],
    *[("REDSHIFT_STATEMENT_TIMEOUT", text) for text in ("0", "-5", "1.5", "9" * 30, "2147484", "\u0665")],
    *[("REDSHIFT_TIMEOUT", text) for text in ("0", "9" * 30, "60s")],
    *[("REDSHIFT_TCP_KEEPALIVE_IDLE", text) for text in ("0", "9" * 12, "-1")],
    *[("REDSHIFT_MAX_PREPARED_STATEMENTS", text) for text in ("9" * 12, "-1")],
    *[("REDSHIFT_SSL", text) for text in ("maybe", "2", "none", "false!")],
    *[("REDSHIFT_SSLMODE", text) for text in ("disable", "allow", "prefer", "require", "VERIFY-FULL")],
    *[("REDSHIFT_SOURCE_ADDRESS", text) for text in ("127.0.0.1:80", "a b")],
    *[("REDSHIFT_USER", text) for text in ("u" * 128, "two\nlines", "nul\x1b[31m")],
    *[("REDSHIFT_DATABASE", text) for text in ("\u00e9" * 64, "dev\ttab")],
    *[("AWS_REGION", text) for text in ("eu west", "https://eu-west-1", "eu/west")],
    *[("REDSHIFT_IDP_HOST", text) for text in ("https://idp.example.com", "idp.example.com:x", "idp/x", "a@idp", ":1")],
    *[("REDSHIFT_ENDPOINT_URL", text) for text in ("redshift.example.com", "ftp://x", "https:/x")],
]


@pytest.mark.parametrize(("variable", "value"), MALFORMED, ids=lambda value: ascii(value)[:40])
def test_a_malformed_setting_is_refused_by_its_name(scripts: Scripts, variable: str, value: str) -> None:
    run = scripts.run(METHODS["password"] | {variable: value})
    assert run.exit_code == 2
    assert variable in error_of(run)["message"]
    assert len(value) < 6 or value not in run.stderr
    assert "Traceback" not in run.stderr


UNENCRYPTED = {
    "a server": METHODS["password"] | {"REDSHIFT_HOST": "192.0.2.1", "REDSHIFT_SSL": "false"},
    "a server by another word": METHODS["password"] | {"REDSHIFT_HOST": "192.0.2.1", "REDSHIFT_SSL": "OFF"},
    "AWS": METHODS["cluster"] | {"AWS_ENDPOINT_URL": "http://192.0.2.1"},
    "a service of AWS": METHODS["cluster"] | {"AWS_ENDPOINT_URL_REDSHIFT": "http://192.0.2.1"},
    "Secrets Manager": METHODS["secret"] | {"AWS_ENDPOINT_URL": "http://192.0.2.1:80/"},
    "the driver's endpoint": METHODS["cluster"] | {"REDSHIFT_ENDPOINT_URL": "http://192.0.2.1"},
    "a login page": METHODS["identity provider"] | {"REDSHIFT_LOGIN_URL": "http://192.0.2.1/login"},
    "an issuer": METHODS["identity provider"] | {"REDSHIFT_ISSUER_URL": "http://192.0.2.1"},
}


@pytest.mark.parametrize("what", UNENCRYPTED)
def test_nothing_is_sent_unencrypted_to_another_machine(scripts: Scripts, what: str) -> None:
    run = scripts.run(UNENCRYPTED[what])
    assert run.exit_code == 2
    assert "--allow-plaintext" in error_of(run)["remedy"]


def test_the_host_in_a_secret_gets_no_unencrypted_connection(scripts: Scripts) -> None:
    with Aws("someone", "right-password", "192.0.2.1", 5439) as aws:
        env = METHODS["secret"] | aws.environment | {"REDSHIFT_SSL": "false"}
        run = scripts.run(env)
    assert run.exit_code == 2
    assert "--allow-plaintext" in error_of(run)["remedy"]
    assert aws.asked


@pytest.mark.parametrize(
    ("host", "port"), [("https://db.example.com", 5439), ("127.0.0.1", 70_000), ("127.0.0.1", "x")]
)
def test_a_malformed_address_in_a_secret_is_refused(scripts: Scripts, host: str, port: int) -> None:
    with Aws("someone", "right-password", host, port) as aws:
        run = scripts.run(METHODS["secret"] | aws.environment)
    assert run.exit_code == 2
    assert "REDSHIFT_SECRET_ARN" in error_of(run)["message"]


def test_an_endpoint_in_the_settings_of_aws_is_not_used_unencrypted(scripts: Scripts, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nendpoint_url = http://192.0.2.1\n")
    env = {name: value for name, value in METHODS["secret"].items() if name != "AWS_ENDPOINT_URL"}
    run = scripts.run(env | {"AWS_CONFIG_FILE": str(config)})
    assert run.exit_code == 2
    assert "--allow-plaintext" in error_of(run)["remedy"]


def test_a_socket_of_this_machine_needs_no_encryption(scripts: Scripts, tmp_path: Path) -> None:
    socket = {"REDSHIFT_UNIX_SOCK": str(tmp_path / "no-server"), "REDSHIFT_SSL": "false"}
    run = scripts.run(METHODS["password"] | socket | {"REDSHIFT_HOST": "db.example.com"})
    assert run.exit_code == 4
