"""Checks of sign-in arguments, which variables and profiles share: the address, encryption, and files with secrets.

Messages never repeat a value, which can be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcpush.encryption import require_encrypted_url, require_encryption
from mcpush.environment import checked, host_name, whole_number
from mcpush.errors import ConfigurationError

ACCOUNT = re.compile(r"(?=.{1,200}$)[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE | re.ASCII)
DOMAIN = "snowflakecomputing"
URL_ARGUMENTS = ("server_url", "oauth_token_request_url", "oauth_authorization_url")
YES = ("true", "yes", "on", "1")


def account_identifier(text: str) -> str:
    """The driver appends .snowflakecomputing.com to it.

    https://docs.snowflake.com/en/user-guide/admin-account-identifier
    """
    if not ACCOUNT.fullmatch(text) or DOMAIN in text.lower():
        raise ValueError(f"use an account identifier such as myorg-myaccount, without https:// and .{DOMAIN}.com")
    return text


def protocol(text: str) -> str:
    if text.lower() not in ("http", "https"):
        raise ValueError("use https")
    return text.lower()


PARSERS: dict[str, Callable[[str], Any]] = {
    "account": account_identifier,
    "host": host_name,
    "port": whole_number(1, 65_535),
    "protocol": protocol,
}


def check_address(arguments: dict[str, Any], setting: Callable[[str], str]) -> dict[str, Any]:
    """Returns these arguments of the driver with the parsed account, host, port and protocol.

    ``setting`` names the variable of an argument, or its place in a profile. Raises ConfigurationError if one of them
    is not valid, or if data would go unencrypted to another machine.
    """
    given = {name: parse for name, parse in PARSERS.items() if arguments.get(name) is not None}
    parsed = {name: checked(setting(name), str(arguments[name]), parse) for name, parse in given.items()}
    for name in URL_ARGUMENTS:
        if url := arguments.get(name):
            require_encrypted_url(setting(name), str(url))
    host = parsed.get("host", "")
    if parsed.get("protocol") == "http":
        require_encryption(f"{setting('protocol')}=http", host)
    if str(arguments.get("ssl", True)).lower() not in YES:
        require_encryption(f"{setting('ssl')}, which turns off encryption,", host)
    return arguments | parsed


def key_file(text: str) -> str:
    """Returns the path with ``~`` expanded. Raises ValueError if it is not readable, or has a public key."""
    if "BEGIN " in text or "\n" in text:
        raise ValueError("it contains a key, not the path of a file")
    path = _expanded(text)
    if b"PUBLIC KEY" in _start_of(path):
        raise ValueError("the file has the public key; use the private key, rsa_key.p8")
    return str(path)


def is_encrypted(path: str) -> bool:
    return b"ENCRYPTED" in _start_of(Path(path))


def token_in_file(text: str) -> str:
    """Returns the content of the file at this path. Raises ValueError if it is not readable."""
    try:
        return _expanded(text).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"the file is not readable: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not text") from None


def _start_of(path: Path) -> bytes:
    try:
        return path.read_bytes()[:64]
    except OSError as error:
        raise ValueError(f"the file is not readable: {error.strerror}") from None


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ and the name of an unknown user
        raise ValueError("its home folder does not exist") from None


def check_key_file(setting: str, text: str, has_passphrase: bool) -> str:
    """Returns the path of a private key. Raises ConfigurationError if it is not usable."""
    path = checked(setting, text, key_file)
    if not has_passphrase and is_encrypted(path):
        raise ConfigurationError(f"The private key in {setting} is encrypted.", "Set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE.")
    return path
