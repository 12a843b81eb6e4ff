"""Tests sign-in: every method that the variables support, through the real driver, and the messages on failure."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.script_process import Run
from tests.templates.snowflake.conftest import Templates
from tests.warehouses.snowflake.faults import Fault

PASSPHRASE = "open-sesame-" + secrets.token_hex(4)
PASSCODE = "864209"
ROLE = "MONTE_CARLO"


@dataclass(frozen=True)
class Account:
    """A server with one user who has every credential, and the variables for each."""

    templates: Templates
    place: dict[str, str]
    key: Path
    encrypted_key: Path
    token_file: Path
    oauth: str
    token: str
    password: str

    def run(self, **variables: str) -> Run:
        return self.templates.run("metadata", env={**self.place, **variables})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A private key, the same key encrypted, and the public key, as PEM."""
    folder = tmp_path_factory.mktemp("keys")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    paths = folder / "rsa_key.p8", folder / "rsa_key_encrypted.p8"
    lock = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    for path, encryption in zip(paths, (serialization.NoEncryption(), lock), strict=True):
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return (*paths, public.decode())


@pytest.fixture
def account(templates: Templates, keys: tuple[Path, Path, str], tmp_path: Path) -> Account:
    key, encrypted, public = keys
    password, oauth, token = (secrets.token_urlsafe(18) for _ in range(3))
    templates.server.add_user(
        "EVERYTHING",
        password=password,
        passcode=PASSCODE,
        public_key_pem=public,
        oauth_token=oauth,
        programmatic_token=token,
        roles=[ROLE],
    )
    token_file = tmp_path / "token"
    token_file.write_text(token + "\n")
    place = {
        "SNOWFLAKE_ACCOUNT": "testbed",
        "SNOWFLAKE_USER": "EVERYTHING",
        "SNOWFLAKE_ROLE": ROLE,
        "SNOWFLAKE_HOST": "127.0.0.1",
        "SNOWFLAKE_PORT": str(templates.server.port),
        "SNOWFLAKE_PROTOCOL": "http",
        "SNOWFLAKE_HOME": str(tmp_path / "nothing"),
    }
    return Account(templates, place, key, encrypted, token_file, oauth, token, password)


def variables_of(account: Account, method: str) -> dict[str, str]:
    named = "SNOWFLAKE_AUTHENTICATOR"
    return {
        "password": {"SNOWFLAKE_PASSWORD": account.password},
        "token as password": {"SNOWFLAKE_PASSWORD": account.token},
        "password with MFA": {
            "SNOWFLAKE_PASSWORD": account.password,
            "SNOWFLAKE_PASSCODE": PASSCODE,
            named: "username_password_mfa",
        },
        "key pair": {"SNOWFLAKE_PRIVATE_KEY_FILE": str(account.key)},
        "encrypted key pair": {
            "SNOWFLAKE_PRIVATE_KEY_FILE": str(account.encrypted_key),
            "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": PASSPHRASE,
        },
        "OAuth token": {"SNOWFLAKE_TOKEN": account.oauth, named: "oauth"},
        "programmatic access token": {"SNOWFLAKE_TOKEN": account.token, named: "PROGRAMMATIC_ACCESS_TOKEN"},
        "token file": {
            "SNOWFLAKE_TOKEN_FILE_PATH": str(account.token_file),
            named: "PROGRAMMATIC_ACCESS_TOKEN",
        },
    }[method]


@pytest.mark.parametrize(
    ("method", "authenticator"),
    [
        ("password", "SNOWFLAKE"),
        ("token as password", "SNOWFLAKE"),
        ("password with MFA", "USERNAME_PASSWORD_MFA"),
        ("key pair", "SNOWFLAKE_JWT"),
        ("encrypted key pair", "SNOWFLAKE_JWT"),
        ("OAuth token", "OAUTH"),
        ("programmatic access token", "PROGRAMMATIC_ACCESS_TOKEN"),
        ("token file", "PROGRAMMATIC_ACCESS_TOKEN"),
    ],
)
def test_each_method_signs_in_and_shows_no_secret(account: Account, method: str, authenticator: str) -> None:
    run = account.run(**variables_of(account, method)).check()
    session = account.templates.server.sessions()[-1]
    assert (session["user"], session["role"]) == ("EVERYTHING", ROLE)
    assert session["authenticator"].upper() == authenticator
    assert "connecting to Snowflake: " in run.stderr
    assert_no_secret(account, run)


def test_a_profile_signs_in_and_variables_can_set_role_and_warehouse(templates: Templates) -> None:
    env = templates.environment | {"SNOWFLAKE_ROLE": "PUBLIC", "SNOWFLAKE_WAREHOUSE": "OTHER_WH"}
    templates.run("metadata", env=env).check()
    session = templates.server.sessions()[-1]
    assert (session["role"], session["warehouse"]) == ("PUBLIC", "OTHER_WH")


def test_the_profile_called_default_needs_no_variable(templates: Templates) -> None:
    home = Path(templates.environment["SNOWFLAKE_HOME"])
    profile = home / "connections.toml"
    profile.write_text(profile.read_text().replace("[testbed]", "[default]"))
    templates.run("metadata", env={"SNOWFLAKE_HOME": str(home)}).check()


def test_a_session_is_tagged_has_a_timeout_and_is_read_only(shop_templates: Templates) -> None:
    server = shop_templates.server
    before = len(server.statements())
    for flow in ("metadata", "lineage", "query_logs"):
        shop_templates.run(flow).check()
        parameters = server.sessions()[-1]["parameters"]
        assert parameters["QUERY_TAG"].startswith("push-ingestion ")
        assert parameters["TIMEZONE"] == "UTC"
        assert int(parameters["CLIENT_PREFETCH_THREADS"]) == 1
        assert int(parameters["STATEMENT_TIMEOUT_IN_SECONDS"]) == 3600
        # An account or a user can override these, which would truncate results or make names unresolvable.
        assert int(parameters["ROWS_PER_RESULTSET"]) == 0
        assert str(parameters["QUOTED_IDENTIFIERS_IGNORE_CASE"]).lower() == "false"
        assert parameters["TIMESTAMP_INPUT_FORMAT"] == "AUTO"
    statements = server.statements()[before:]
    assert len(statements) > 10
    assert {text.split()[0].upper() for text in statements} == {"SELECT", "SHOW", "WITH"}
    assert server.sessions()[-1]["closed"]


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("password", "SNOWFLAKE_PASSWORD"),
        ("OAuth token", "SNOWFLAKE_TOKEN"),
        ("programmatic access token", "SNOWFLAKE_TOKEN"),
        ("password with MFA", "SNOWFLAKE_PASSCODE"),
        ("password", "SNOWFLAKE_ROLE"),
        ("key pair", "SNOWFLAKE_USER"),
    ],
)
def test_wrong_credentials_are_refused_with_a_remedy_and_without_showing_them(
    account: Account, method: str, changed: str
) -> None:
    wrong = "WRONG" + secrets.token_hex(6)
    run = account.run(**{**variables_of(account, method), changed: wrong}).check(3)
    assert run.summary["error"]["remedy"]
    assert "Traceback" not in run.stderr
    assert account.templates.leftovers() == []
    assert_no_secret(account, run)
    if changed not in ("SNOWFLAKE_ROLE", "SNOWFLAKE_USER"):
        assert wrong not in run.stdout + run.stderr


def test_a_password_in_a_profile_is_masked_everywhere(templates: Templates, tmp_path: Path) -> None:
    env = templates.server.environment(home=tmp_path / "wrong", password="Incorrect username")
    run = templates.run("metadata", env=env).check(3)
    assert "Incorrect username" not in run.stdout + run.stderr, "the server's refusal starts with these words"
    assert "*** or password was specified" in run.summary["error"]["message"]


@pytest.mark.parametrize(
    ("method", "variable", "word"),
    [("password", "SNOWFLAKE_PASSWORD", "name or"), ("password with MFA", "SNOWFLAKE_PASSCODE", "attempt")],
)
def test_short_secrets_from_variables_are_masked_too(account: Account, method: str, variable: str, word: str) -> None:
    run = account.run(**{**variables_of(account, method), variable: word}).check(3)
    assert word not in run.stdout + run.stderr, "the server's refusal has this word"
    assert "***" in run.summary["error"]["message"]


def test_a_token_from_a_file_is_masked_too(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_text("access\n")
    run = account.run(SNOWFLAKE_TOKEN_FILE_PATH=str(path), SNOWFLAKE_AUTHENTICATOR="oauth").check(3)
    assert "access" not in run.stdout + run.stderr, "the server's refusal has this word"
    assert "Invalid OAuth *** token" in run.summary["error"]["message"]


def test_a_key_below_the_home_folder_is_found(account: Account) -> None:
    """As in README.md: no shell expands the tilde in a file of variables."""
    account.run(SNOWFLAKE_PRIVATE_KEY_FILE=f"~/{account.key.name}", HOME=str(account.key.parent)).check()


def test_a_wrong_key_is_refused(account: Account, tmp_path: Path) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "stranger.p8"
    path.write_bytes(
        stranger.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    run = account.run(SNOWFLAKE_PRIVATE_KEY_FILE=str(path)).check(3)
    assert "RSA_PUBLIC_KEY_FP" in run.summary["error"]["remedy"]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "SNOWFLAKE_PRIVATE_KEY_FILE"),
        ({"SNOWFLAKE_PASSWORD": "x" * 8, "SNOWFLAKE_ACCOUNT": ""}, "SNOWFLAKE_ACCOUNT"),
        ({"SNOWFLAKE_PASSWORD": "x" * 8, "SNOWFLAKE_USER": ""}, "SNOWFLAKE_USER"),
        ({"SNOWFLAKE_TOKEN": "x" * 8}, "SNOWFLAKE_AUTHENTICATOR"),
        ({"SNOWFLAKE_AUTHENTICATOR": "oauth"}, "SNOWFLAKE_TOKEN"),
        ({"SNOWFLAKE_AUTHENTICATOR": "kerberos", "SNOWFLAKE_TOKEN": "x" * 8}, "SNOWFLAKE_AUTHENTICATOR"),
        ({"SNOWFLAKE_PASSWORD": "x" * 8, "SNOWFLAKE_PRIVATE_KEY_FILE": "key.p8"}, "SNOWFLAKE_PASSWORD"),
        ({"SNOWFLAKE_PASSWORD": "x" * 8, "SNOWFLAKE_DEFAULT_CONNECTION_NAME": "prod"}, "SNOWFLAKE_PASSWORD"),
        ({"SNOWFLAKE_PRIVATE_KEY_FILE": "not-there.p8"}, "SNOWFLAKE_PRIVATE_KEY_FILE"),
        ({"SNOWFLAKE_PASSWORD": "x" * 8, "SNOWFLAKE_PORT": "https"}, "SNOWFLAKE_PORT"),
        (
            {
                "SNOWFLAKE_AUTHENTICATOR": "oauth",
                "SNOWFLAKE_TOKEN": "x" * 8,
                "SNOWFLAKE_TOKEN_FILE_PATH": "t",
            },
            "SNOWFLAKE_TOKEN_FILE_PATH",
        ),
    ],
)
def test_missing_or_conflicting_variables_are_named(account: Account, variables: dict[str, str], named: str) -> None:
    run = account.run(**variables).check(2)
    error = run.summary["error"]
    assert named in error["message"] + error["remedy"]
    assert account.templates.server.sessions() == [], "nothing was attempted"


def test_a_missing_profile_error_names_the_existing_profiles(templates: Templates) -> None:
    env = templates.environment | {"SNOWFLAKE_DEFAULT_CONNECTION_NAME": "prod"}
    message = templates.run("metadata", env=env).check(2).summary["error"]["message"]
    assert "SNOWFLAKE_DEFAULT_CONNECTION_NAME (4 characters)" in message, "not its value, which can be a secret"
    assert "testbed" in message


@pytest.mark.parametrize("missing", ["user", "password"])
def test_an_incomplete_profile_is_a_configuration_error(templates: Templates, tmp_path: Path, missing: str) -> None:
    env = templates.server.environment(home=tmp_path / "partial", **{missing: None})
    run = templates.run("metadata", env=env).check(2)
    assert missing in run.summary["error"]["message"].lower()
    assert "Traceback" not in run.stderr


def test_without_any_configuration_the_variables_are_named(templates: Templates, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = templates.run("metadata", env={"SNOWFLAKE_HOME": str(tmp_path / "empty")}).check(2)
    assert "SNOWFLAKE_ACCOUNT" in run.summary["error"]["remedy"]


def test_an_encrypted_key_needs_its_own_passphrase(account: Account) -> None:
    path = str(account.encrypted_key)
    run = account.run(SNOWFLAKE_PRIVATE_KEY_FILE=path).check(2)
    assert "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE" in run.summary["error"]["remedy"]
    wrong = account.run(SNOWFLAKE_PRIVATE_KEY_FILE=path, SNOWFLAKE_PRIVATE_KEY_PASSPHRASE="not-the-one").check(2)
    assert "not-the-one" not in wrong.stdout + wrong.stderr
    assert wrong.summary["error"]["remedy"]


def test_a_public_key_is_distinguished_from_a_private_key(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "rsa_key.pub"
    path.write_text("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n")
    assert "public key" in account.run(SNOWFLAKE_PRIVATE_KEY_FILE=str(path)).check(2).summary["error"]["message"]


def test_a_missing_server_is_reported_as_unavailable(account: Account) -> None:
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        run = account.run(SNOWFLAKE_PASSWORD=account.password, SNOWFLAKE_PORT=port).check(4)
    assert run.summary["error"]["remedy"]
    assert_no_secret(account, run)


def test_a_login_that_fails_in_the_service_is_unavailable(account: Account) -> None:
    account.templates.server.break_with(Fault("status", at="login", status=503))
    run = account.run(SNOWFLAKE_PASSWORD=account.password).check(4)
    assert "Traceback" not in run.stderr


def test_a_session_without_warehouse_names_the_variable_to_set(templates: Templates) -> None:
    fault = Fault("error", contains="QUERY_HISTORY", code="000606", sqlstate="57P03", message="No active warehouse")
    templates.server.break_with(fault)
    run = templates.run("query_logs").check(2)
    assert "SNOWFLAKE_WAREHOUSE" in run.summary["error"]["remedy"]


@pytest.mark.parametrize(
    ("code", "exit_code", "remedy"),
    [
        ("000630", 4, "STATEMENT_TIMEOUT_IN_SECONDS"),
        ("000604", 4, "Run the same command again"),
        ("000603", 4, "query id"),
        ("000608", 4, "AUTO_RESUME"),
        ("090073", 3, "resource monitor"),
        ("003030", 3, "README.md"),
        ("100096", 1, "query id"),
        ("000904", 1, "query id"),
    ],
)
def test_every_service_error_has_a_remedy(templates: Templates, code: str, exit_code: int, remedy: str) -> None:
    words = f"what {code} comes with"
    templates.server.break_with(Fault("error", contains="QUERY_HISTORY", code=code, message=words))
    run = templates.run("query_logs").check(exit_code)
    assert "Traceback" not in run.stderr
    error = run.summary["error"]
    assert words in error["message"]
    assert remedy in error["remedy"]
    assert templates.leftovers() == []


def assert_no_secret(account: Account, run: Run) -> None:
    output = run.stdout + run.stderr
    assert json.loads(run.stdout)
    for secret in (account.password, account.oauth, account.token, PASSPHRASE):
        assert secret not in output
