"""Tests the variables: which values are accepted, and that contradictory ones are refused."""

from __future__ import annotations

from types import ModuleType

import pytest
from mcpush.errors import ConfigurationError

Modules = dict[str, ModuleType]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("dbc-a1b2345c.cloud.databricks.com", "https://dbc-a1b2345c.cloud.databricks.com"),
        ("https://adb-123.4.azuredatabricks.net/", "https://adb-123.4.azuredatabricks.net"),
        ("HTTPS://host:8443", "https://host:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("[::1]:443", "https://[::1]:443"),
    ],
)
def test_a_host_with_or_without_scheme_is_an_address(modules: Modules, text: str, url: str) -> None:
    assert modules["variables"].parse_address(text) == url


@pytest.mark.parametrize("text", ["https://h/sql/1.0", "user@host", "a b", "ftp://h", "h?o=1", "h\\x", "https://"])
def test_other_texts_are_refused_as_an_address(modules: Modules, text: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        modules["variables"].parse_address(text)


@pytest.mark.parametrize(
    "text", ["/sql/1.0/warehouses/a1b2", "sql/1.0/warehouses/a1b2", "/sql/protocolv1/o/123/0123-abc?o=123"]
)
def test_paths_of_warehouses_and_compute_are_accepted(modules: Modules, text: str) -> None:
    assert modules["variables"].parse_path(text) == "/" + text.lstrip("/")


@pytest.mark.parametrize("text", ["https://h/sql", "/sql/../x", "/sql?x=1", "/sql x", "//h/sql", "a@b"])
def test_other_texts_are_refused_as_a_path(modules: Modules, text: str) -> None:
    with pytest.raises(ValueError, match="HTTP path"):
        modules["variables"].parse_path(text)


def test_an_id_becomes_the_path_of_the_warehouse(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_WAREHOUSE_ID", "a1b2")
    monkeypatch.delenv("DATABRICKS_HTTP_PATH", raising=False)
    assert modules["variables"].http_path() == "/sql/1.0/warehouses/a1b2"
    monkeypatch.setenv("DATABRICKS_HTTP_PATH", "/sql/1.0/warehouses/a1b2")
    assert modules["variables"].http_path() == "/sql/1.0/warehouses/a1b2"


def test_an_id_and_the_path_of_another_warehouse_are_refused(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_WAREHOUSE_ID", "a1b2")
    monkeypatch.setenv("DATABRICKS_HTTP_PATH", "/sql/1.0/warehouses/c3d4")
    with pytest.raises(ConfigurationError, match="differ"):
        modules["variables"].http_path()


def test_two_different_hosts_are_refused(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://one.example.com")
    monkeypatch.setenv("DATABRICKS_SERVER_HOSTNAME", "ONE.example.com")
    assert modules["variables"].address() == "https://one.example.com"
    monkeypatch.setenv("DATABRICKS_SERVER_HOSTNAME", "two.example.com")
    with pytest.raises(ConfigurationError, match="differ"):
        modules["variables"].address()


@pytest.mark.parametrize("variable", ["DATABRICKS_HOST", "DATABRICKS_SERVER_HOSTNAME"])
def test_an_unencrypted_host_on_another_machine_is_refused(
    modules: Modules, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in modules["variables"].HOST_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://192.0.2.1:8080")
    with pytest.raises(ConfigurationError, match=variable):
        modules["variables"].address()


def test_zero_seconds_for_details_are_not_the_default(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_DETAIL_SECONDS", "0")
    assert modules["variables"].detail_seconds(600) == 0
    monkeypatch.setenv("DATABRICKS_DETAIL_SECONDS", "")
    assert modules["variables"].detail_seconds(600) == 600


@pytest.mark.parametrize(("text", "expected"), [("", True), ("true", True), ("false", False), ("OFF", False)])
def test_cloud_fetch_is_on_unless_it_is_switched_off(
    modules: Modules, monkeypatch: pytest.MonkeyPatch, text: str, expected: bool
) -> None:
    monkeypatch.setenv("DATABRICKS_CLOUD_FETCH", text)
    assert modules["variables"].cloud_fetch() is expected
