"""Variables: only line ends are removed, and messages about values do not repeat them. Unencrypted URLs are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from mcpush import encryption
from mcpush.encryption import is_loopback, require_encrypted_url, require_encryption
from mcpush.environment import checked, hide_values, host_name, name_and_length, strip_line_ends, whole_number
from mcpush.errors import ConfigurationError


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r"])
def test_line_ends_and_nothing_else_are_removed(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    for text in ("p4ss \t", "\x0bp4ss\x0c", "\u2028p4ss\u00a0", "two\nlines", ""):
        monkeypatch.setenv("ANY_VARIABLE", text + end)
        strip_line_ends()
        assert os.environ["ANY_VARIABLE"] == text


VALID_HOSTS = (
    *(
        "localhost",
        "127.0.0.1",
        "db.example.com",
        "db.example.com.",
        "my_db.a-b.example.com",
        "DB",
        "xn--dtenbank-5wa.de",
    ),
    *("[::1]", "[2001:db8::7]", "a" * 63, ".".join(["a" * 49] * 5)),
)
INVALID_HOSTS = (
    *("https://db.example.com", "https://db.example.com/", "db.example.com:5439", "db.example.com:5439/dev", "db/dev"),
    *("jdbc:redshift://db.example.com:5439/dev", "someone:word@db.example.com", "someone@db", "//db", "db?x=1", "db#x"),
    *(
        "",
        " ",
        "db example.com",
        " db",
        "db ",
        "db\t",
        "db\nx",
        "db\x00",
        "a..b",
        ".db",
        ".",
        "db.example.com\\@evil.com",
    ),
    *(
        "dätenbank.example.com",
        "\uff44\uff42.example.com",
        "db。example",
        "a" * 64,
        "a" * 300,
        ".".join(["a" * 50] * 6),
    ),
    *("::1", "[::1", "[db]", "[]", "[", "db:", "db,other", "$HOST", "%DB%", "'db'", '"db"', "<db>", "*", "db;ls"),
)


def test_only_host_names_and_addresses_are_valid_hosts() -> None:
    assert [host for host in VALID_HOSTS if checked("X_HOST", host, host_name) != host] == []
    for host in INVALID_HOSTS:
        _is_refused_without_the_value(host, host_name)


INVALID_NUMBERS = (
    "0",
    "70000",
    "65536",
    "-1",
    "+1",
    "1_000",
    " 1",
    "1 ",
    "\uff11\uff12",
    "٣",
    "1e3",
    "1.0",
    "0x10",
    "x",
    "9" * 5000,
)


def test_only_numbers_in_the_range_are_valid() -> None:
    port = whole_number(1, 65_535)
    assert [checked("X_PORT", text, port) for text in ("1", "5439", "65535", "0443")] == [1, 5439, 65_535, 443]
    for text in INVALID_NUMBERS:
        _is_refused_without_the_value(text, port)


def _is_refused_without_the_value(text: str, parse: Callable[[str], Any]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        checked("X_VARIABLE", f"{text}", parse)
    message = str(refusal.value)
    assert message.startswith(f"X_VARIABLE ({len(text)} characters) is not valid: ")
    assert len(text) < 10 or text not in message + refusal.value.remedy


def test_values_that_drivers_repeat_are_replaced_by_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_HOST", "Token-in-Host")
    monkeypatch.setenv("X_USER", "Token-in")
    monkeypatch.setenv("X_KEY_FILE", "-----BEGIN\nMIIB")
    monkeypatch.setenv("X_DATABASE", "dev")
    names = ["X_HOST", "X_USER", "X_KEY_FILE", "X_DATABASE", "X_NOT_SET"]
    text = r"dev: token-in-host.example.com, 'Token-in', '-----BEGIN\nMIIB', -----BEGIN" + "\nMIIB"
    assert hide_values(text, names) == "dev: <X_HOST>.example.com, '<X_USER>', '<X_KEY_FILE>', <X_KEY_FILE>"
    assert hide_values(text, []) == text
    # Without regard to case, both of these also match other letters: the long s and the Kelvin sign.
    monkeypatch.setenv("X_HOST", "kiosk_sales")
    assert hide_values("\u212aio\u017fk_\u017fales", names) == "<X_HOST>"
    monkeypatch.setenv("X_HOST", "Token-in-Host")
    assert name_and_length("X_HOST") == "X_HOST (13 characters)"


ENCRYPTED_OR_LOCAL = (
    *(
        "https://example.com",
        "HTTPS://example.com:443/a?b#c",
        "http://127.0.0.1:1/x",
        "http://localhost",
        "http://[::1]:1",
    ),
    *("http://127.8.9.1", "http://LOCALHOST./"),
)
UNENCRYPTED = (
    *("http://example.com", "HTTP://example.com", "http://192.0.2.1:80/x", "http://0.0.0.0", "http://2130706433"),
    *("http://localhost.example.com", "http://127.0.0.1.example.com", "http://[2001:db8::1]/"),
)
NO_URLS = (
    *("", "example.com", "ftp://example.com", "http:/example.com", "http://", "http://user:pw@127.0.0.1", "http:///x"),
    *("http://example.com\\@127.0.0.1/", "http://127.0.0.1 .example.com", "ht\ntp://127.0.0.1", " http://127.0.0.1"),
    *("http://127.0.0.1:x/", "http://127.0.0.1#@example.com x", "javascript:alert(1)"),
)


def test_urls_without_encryption_are_refused_unless_they_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ENCRYPTED_OR_LOCAL:
        require_encrypted_url("X_URL", url)
    for url in (*UNENCRYPTED, *NO_URLS):
        with pytest.raises(ConfigurationError) as refusal:
            require_encrypted_url("X_URL", url)
        assert ("--allow-plaintext" in refusal.value.remedy) is (url in UNENCRYPTED), url
        assert not url or url not in str(refusal.value)
    monkeypatch.setattr(encryption, "_is_plaintext_allowed", True)
    for url in UNENCRYPTED:
        require_encrypted_url("X_URL", url)
    with pytest.raises(ConfigurationError):
        require_encrypted_url("X_URL", "example.com")


@pytest.mark.parametrize(
    "host",
    ["", "localhost.example.com", "0.0.0.0", "127.1", "::ffff:192.0.2.1", "\uff4cocalhost", "::"],  # noqa: S104
)
def test_hosts_that_are_not_always_this_machine_need_encryption(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match="X=false"):
        require_encryption("X=false", host)
