"""Tests wrong values of Snowflake's variables and profiles through the real driver: secrets in the wrong variable are
not printed, malformed settings are refused by name, and nothing is sent unencrypted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from tests.folder_modules import CANARIES, CANARY, MetadataScript, error_of, imported
from tests.script_process import TEMPLATES, Run
from tests.templates.snowflake.conftest import Templates

ELSEWHERE = "192.0.2.1"


@dataclass
class Scripts(MetadataScript):
    """``port`` is that of a server that refuses each request."""

    methods: ModuleType
    port: int

    @property
    def place(self) -> dict[str, str]:
        place = {"SNOWFLAKE_HOST": "127.0.0.1", "SNOWFLAKE_PORT": str(self.port), "SNOWFLAKE_PROTOCOL": "http"}
        return {**place, "SNOWFLAKE_ACCOUNT": "testbed", "SNOWFLAKE_USER": "somebody"}

    @property
    def signing_in(self) -> dict[str, dict[str, str]]:
        """The variables for each method that does not leave this machine."""
        token_file, key_file = self.work / "token", self.work / "no-key.p8"
        token_file.write_text("the-token")
        key_file.write_text("-----BEGIN PRIVATE KEY-----\n")
        return {
            "password": {"SNOWFLAKE_PASSWORD": "the-password"},
            "key pair": {"SNOWFLAKE_PRIVATE_KEY_FILE": str(key_file)},
            "token": {"SNOWFLAKE_TOKEN": "the-token", "SNOWFLAKE_AUTHENTICATOR": "oauth"},
            "token file": {
                "SNOWFLAKE_TOKEN_FILE_PATH": str(token_file),
                "SNOWFLAKE_AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN",
            },
            "client credentials": {
                "SNOWFLAKE_OAUTH_CLIENT_ID": "client",
                "SNOWFLAKE_OAUTH_CLIENT_SECRET": "the-client-secret",
                "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": f"http://127.0.0.1:{self.port}/token",
            },
            "workload identity": {"SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "OIDC", "SNOWFLAKE_TOKEN": "the-token"},
            "profile": {},
        }

    @property
    def names(self) -> list[str]:
        methods = self.methods
        tables = [methods.SESSION_VARIABLES, methods.ACCOUNT_VARIABLES]
        tables += [table for method in methods.METHODS for table in (method.required, method.optional)]
        others = (methods.PROFILE_VARIABLE, methods.AUTHENTICATOR_VARIABLE, methods.TOKEN_FILE_VARIABLE)
        return sorted({*others, "SNOWFLAKE_CONNECTIONS", *(name for table in tables for name in table)})


@pytest.fixture(scope="module")
def modules() -> Iterator[list[ModuleType]]:
    with imported(TEMPLATES / "snowflake", "collect_metadata", "sign_in_methods") as found:
        yield found


@pytest.fixture(scope="module")
def refusing_port() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def scripts(
    modules: list[ModuleType],
    refusing_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Scripts:
    return Scripts(modules[0], ("SNOWFLAKE_",), tmp_path, monkeypatch, capsys, methods=modules[1], port=refusing_port)


@pytest.mark.parametrize(
    "method",
    ["password", "key pair", "token", "token file", "client credentials", "workload identity", "profile"],
)
def test_a_secret_in_any_variable_is_not_printed(scripts: Scripts, method: str) -> None:
    own = scripts.signing_in[method]
    right = scripts.place | own if own else {}
    problems = {}
    for name in scripts.names:
        for canary in CANARIES:
            if canary == CANARY and name == "SNOWFLAKE_HOST":
                continue  # it would be looked up
            run = scripts.run(right | {name: canary})
            output = (run.stdout + run.stderr).lower()  # drivers change the case of some values
            if run.exit_code not in (2, 3, 4) or CANARY in output or "traceback" in output:
                problems[name, canary] = run
    assert problems == {}


def test_a_key_instead_of_the_path_of_its_file_is_named(scripts: Scripts) -> None:
    for key in (CANARIES[1], CANARIES[1] * 200, CANARIES[1].replace("\n", "\\n")):
        run = scripts.run(scripts.place | {"SNOWFLAKE_PRIVATE_KEY_FILE": key})
        assert run.exit_code == 2
        assert "contains a key, not the path of a file" in error_of(run)["message"]


MALFORMED = [
    *[
        ("SNOWFLAKE_ACCOUNT", text)
        for text in (
            *("https://xy.snowflakecomputing.com/", "xy.snowflakecomputing.com", "XY.SNOWFLAKECOMPUTING.COM"),
            *("xy.snowflakecomputing.cn", "xy:443/db", "jdbc:snowflake://xy", "someone:word@xy", "xy/../z", "xy?a=1"),
            *(" ", "my account", " xy", "xy.", ".xy", "xy..z", "\u00fcn\u00ef", "\uff58\uff59", "x" * 300, "xy\nz"),
        )
    ],
    *[
        ("SNOWFLAKE_HOST", text)
        for text in ("https://h.example/", "h.example:443", "h.example/db", "a@h.example", "h\u00e9")
    ],
    *[("SNOWFLAKE_PORT", text) for text in ("0", "70000", "-1", "4_43", "\uff14\uff14\uff13", "https", "443/x")],
    *[("SNOWFLAKE_PROTOCOL", text) for text in ("ftp", "https://", "tcp", "http ")],
    *[("SNOWFLAKE_AUTHENTICATOR", text) for text in ("kerberos", "http://idp.example.com", "oauth token")],
    *[("SNOWFLAKE_PRIVATE_KEY_FILE", text) for text in ("/", "~nobody-has-this-name/key.p8", "x" * 5000, "\udcff")],
    *[("SNOWFLAKE_TOKEN_FILE_PATH", text) for text in ("/", "~nobody-has-this-name/token", "x" * 5000)],
]


@pytest.mark.parametrize(("variable", "value"), MALFORMED, ids=lambda value: ascii(value)[:40])
def test_a_malformed_setting_is_refused_by_its_name(scripts: Scripts, variable: str, value: str) -> None:
    own = {
        "SNOWFLAKE_PRIVATE_KEY_FILE": {},
        "SNOWFLAKE_TOKEN_FILE_PATH": {"SNOWFLAKE_AUTHENTICATOR": "oauth"},
    }
    right = scripts.place | own.get(variable, {"SNOWFLAKE_PASSWORD": "the-password"})
    run = scripts.run(right | {variable: value})
    assert run.exit_code == 2
    assert variable in error_of(run)["message"]
    assert len(value) < 7 or value not in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "account", ["myorg-my_account", "XY12345", "xy12345.eu-west-1", "xy12345.eu-central-1.privatelink"]
)
def test_every_form_of_an_account_identifier_is_accepted(scripts: Scripts, account: str) -> None:
    run = scripts.run(scripts.place | {"SNOWFLAKE_PASSWORD": "the-password", "SNOWFLAKE_ACCOUNT": account})
    assert "connecting to Snowflake" in run.stderr
    assert "400 Bad Request" in error_of(run)["message"], "the answer of the server"


def test_nothing_is_sent_unencrypted_to_another_machine(scripts: Scripts) -> None:
    password, client = scripts.signing_in["password"], scripts.signing_in["client credentials"]
    url = {"SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": f"http://{ELSEWHERE}/token"}
    without_host = {name: value for name, value in scripts.place.items() if name != "SNOWFLAKE_HOST"}
    for env in (
        scripts.place | password | {"SNOWFLAKE_HOST": ELSEWHERE},
        scripts.place | password | {"SNOWFLAKE_HOST": ELSEWHERE, "SNOWFLAKE_PROTOCOL": "HTTP"},
        without_host | password,
        scripts.place | client | url,
    ):
        run = scripts.run(env)
        assert run.exit_code == 2
        assert "--allow-plaintext" in error_of(run)["remedy"]


# --- profiles: processes, because the driver reads SNOWFLAKE_HOME when it is imported -----------------------

PROFILE = 'account = "a"\nuser = "u"\npassword = "the-password"\n'
UNENCRYPTED_PROFILES = {
    "protocol": f'host = "{ELSEWHERE}"\nprotocol = "http"\n',
    "capital letters": f'HOST = "{ELSEWHERE}"\nPROTOCOL = "HTTP"\n',
    "no host": 'protocol = "http"\n',
    "ssl": f'host = "{ELSEWHERE}"\nssl = false\n',
    "server_url": f'server_url = "http://{ELSEWHERE}"\n',
    "token request": f'oauth_token_request_url = "http://{ELSEWHERE}/token"\n',
    "authenticator": f'authenticator = "http://{ELSEWHERE}/okta"\n',
}
MALFORMED_PROFILES = {
    "text": b'default = "x"\n',
    "number": b"default = 3\n",
    "list": b"default = [1, 2]\n",
    "list of tables": b'[[default]]\naccount = "a"\n',
    "no TOML": b"[default\naccount: a\nc4nary-of-somebody = ",
    "no UTF-8": b'[default]\naccount = "\xff\xfe"\n',
    "empty": b"",
    "account as URL": b'[default]\naccount = "https://a.snowflakecomputing.com"\n',
    "host with port": b'[default]\naccount = "a"\nhost = "h.example:443/db"\n',
    "account as list": b'[default]\naccount = ["a"]\n',
    "port": b'[default]\naccount = "a"\nport = 70000\n',
    "port as text": b'[default]\naccount = "a"\nport = "c4nary-of-somebody"\n',
    "protocol": b'[default]\naccount = "a"\nprotocol = "c4nary-of-somebody"\n',
    "key": b'[default]\naccount = "a"\nprivate_key_file = """-----BEGIN PRIVATE KEY-----\nc4nary-of-somebody"""\n',
}


def with_profile(templates: Templates, home: Path, content: bytes, *arguments: str, **variables: str) -> Run:
    home.mkdir()
    path = home / "connections.toml"
    path.write_bytes(content)
    path.chmod(0o600)
    return templates.run("metadata", *arguments, env={"SNOWFLAKE_HOME": str(home), **variables})


@pytest.mark.parametrize("what", UNENCRYPTED_PROFILES)
def test_a_profile_sends_nothing_unencrypted_to_another_machine(
    templates: Templates, tmp_path: Path, what: str
) -> None:
    content = f"[default]\n{PROFILE}{UNENCRYPTED_PROFILES[what]}"
    run = with_profile(templates, tmp_path / "profiles", content.encode()).check(2)
    assert "--allow-plaintext" in run.summary["error"]["remedy"]


@pytest.mark.parametrize("what", MALFORMED_PROFILES)
def test_a_malformed_profile_is_refused(templates: Templates, tmp_path: Path, what: str) -> None:
    run = with_profile(templates, tmp_path / "profiles", MALFORMED_PROFILES[what]).check(2)
    message = run.summary["error"]["message"]
    assert "connections.toml" in message or "profile 'default'" in message
    assert CANARY not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("variable", ["SNOWFLAKE_CONNECTIONS", "SNOWFLAKE_HOME"])
def test_other_places_of_profiles_are_checked(templates: Templates, tmp_path: Path, variable: str) -> None:
    (tmp_path / "connections.toml").mkdir()
    values = {"SNOWFLAKE_CONNECTIONS": f"default = {CANARY}", "SNOWFLAKE_HOME": str(tmp_path)}
    run = templates.run("metadata", env={"HOME": str(tmp_path), variable: values[variable]}).check(2)
    assert "connections.toml" in run.summary["error"]["message"]
    assert CANARY not in run.stdout + run.stderr


@pytest.mark.parametrize("flow", ["metadata", "lineage", "query_logs"])
def test_the_folder_of_profiles_is_found_despite_a_line_end(templates: Templates, flow: str) -> None:
    env = {name: f"{value}\r\n" for name, value in templates.environment.items()}
    assert "SNOWFLAKE_HOME" in env
    templates.run(flow, env=env).check()
