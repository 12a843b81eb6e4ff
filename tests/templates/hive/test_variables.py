"""Tests the variables of a connection to HiveServer2: defaults, and values that are refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import ModuleType

import pytest
from mcpush.errors import ConfigurationError

from tests.folder_modules import imported
from tests.script_process import TEMPLATES

HOST = {"HIVE_HOST": "hive.example.com"}
LDAP = HOST | {"HIVE_USER": "ana", "HIVE_PASSWORD": "a secret word"}


@pytest.fixture(scope="module")
def variables() -> Iterator[ModuleType]:
    with imported(TEMPLATES / "hive", "variables") as (found,):
        yield found


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HIVE_")]:
        monkeypatch.delenv(name)


def settings(variables: ModuleType, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> object:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found: object = variables.settings_from_environment()
    return found


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        (HOST, {"authentication": "NONE", "user": "hive", "password": None, "port": 10_000, "is_encrypted": True}),
        (LDAP, {"authentication": "LDAP", "user": "ana", "password": "a secret word"}),
        ({"HIVE_HOST": "127.0.0.1"}, {"is_encrypted": False, "is_http": False, "database": "default"}),
        ({"HIVE_HOST": "localhost", "HIVE_SSL": "yes"}, {"is_encrypted": True}),
        (HOST | {"HIVE_TRANSPORT_MODE": "HTTP"}, {"is_http": True, "port": 10_001, "http_path": "cliservice"}),
        (HOST | {"HIVE_HTTP_PATH": "/gateway/default/hive/"}, {"http_path": "gateway/default/hive"}),
        (HOST | {"HIVE_AUTH": "kerberos"}, {"authentication": "KERBEROS", "service_name": "hive"}),
        (HOST, {"timeout": 600, "connect_timeout": 60}),
    ],
)
def test_settings(
    variables: ModuleType, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], wanted: dict[str, object]
) -> None:
    found = settings(variables, monkeypatch, env)
    assert {name: getattr(found, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "HIVE_HOST"),
        ({"HIVE_HOST": "hive2://hive.example.com:10000"}, "HIVE_HOST"),
        (HOST | {"HIVE_PORT": "0"}, "HIVE_PORT"),
        (HOST | {"HIVE_AUTH": "BASIC"}, "HIVE_AUTH"),
        (HOST | {"HIVE_AUTH": "LDAP"}, "HIVE_PASSWORD"),
        (HOST | {"HIVE_AUTH": "LDAP", "HIVE_PASSWORD": "a secret word"}, "HIVE_USER"),
        (LDAP | {"HIVE_AUTH": "NOSASL"}, "HIVE_PASSWORD"),
        (LDAP | {"HIVE_AUTH": "KERBEROS"}, "HIVE_PASSWORD"),
        (HOST | {"HIVE_TRANSPORT_MODE": "tcp"}, "HIVE_TRANSPORT_MODE"),
        (HOST | {"HIVE_HTTP_PATH": "cliservice?doAs=x"}, "HIVE_HTTP_PATH"),
        (HOST | {"HIVE_HTTP_PATH": "a b"}, "HIVE_HTTP_PATH"),
        (HOST | {"HIVE_SSL": "maybe"}, "HIVE_SSL"),
        (HOST | {"HIVE_SSL": "false"}, "HIVE_SSL"),
        (HOST | {"HIVE_CA_FILE": "/does/not/exist"}, "HIVE_CA_FILE"),
        (HOST | {"HIVE_DATABASE": "x` y"}, "HIVE_DATABASE"),
        (HOST | {"HIVE_TIMEOUT": "1.5"}, "HIVE_TIMEOUT"),
        (HOST | {"HIVE_USER": "ana\x1b"}, "HIVE_USER"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    variables: ModuleType, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], name: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(variables, monkeypatch, env)
    said = str(caught.value) + str(caught.value.remedy)
    assert name in said
    assert "secret word" not in said


@pytest.mark.parametrize(
    ("function", "name"), [("workers", "HIVE_WORKERS"), ("describe_seconds", "HIVE_DESCRIBE_SECONDS")]
)
def test_limits(variables: ModuleType, monkeypatch: pytest.MonkeyPatch, function: str, name: str) -> None:
    assert getattr(variables, function)() > 0
    monkeypatch.setenv(name, "0")
    with pytest.raises(ConfigurationError, match=name):
        getattr(variables, function)()
