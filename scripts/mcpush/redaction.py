"""Keeps secrets out of everything that is printed or written.

A secret is the value of an environment variable with a telling name, the password in an address that a variable
holds (``HTTPS_PROXY=http://user:password@proxy``), or one that a connection module read from a file and registered.
"""

from __future__ import annotations

import json
import os
from re import split as split_pattern
from typing import Any
from urllib.parse import unquote

ADDRESS_ENDINGS = ("_PROXY", "_ENDPOINT", "_URL")
TELLING_ENDINGS = ("TOKEN", "PASSWORD", "PASSPHRASE", "PASSCODE", "_PWD", "SECRET", "_KEY")
SHORTEST_GUESSED = 8  # a telling name may hold "dev" or "2026": masking that would blank out ordinary words
SHORTEST_REGISTERED = 4
MASK = "***"

_registered: set[str] = set()


def register_secret(value: str | None) -> None:
    """Remember a secret that does not come from an environment variable."""
    if value and len(value.strip()) >= SHORTEST_REGISTERED:
        _registered.add(value)


def redact(text: str) -> str:
    """The text with every known secret replaced by ``***``, longest first."""
    for secret in sorted(_forms(), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def redact_values(value: Any) -> Any:
    """A JSON value with every text in it redacted. Keys and numbers stay: they are ours."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redact_values(each) for key, each in value.items()}
    if isinstance(value, list):
        return [redact_values(each) for each in value]
    return value


def _forms() -> set[str]:
    """Each secret as it is, and as messages quote it."""
    secrets = set(_registered)
    for name, value in os.environ.items():
        if name.upper().endswith(TELLING_ENDINGS) and len(value.strip()) >= SHORTEST_GUESSED:
            secrets |= {value, value.strip()}
        elif name.upper().endswith(ADDRESS_ENDINGS):
            secrets |= {each for each in _passwords(value) if len(each) >= SHORTEST_REGISTERED}
    secrets |= {value.strip() for value in _registered}
    return secrets | {repr(each)[1:-1] for each in secrets} | {json.dumps(each)[1:-1] for each in secrets}


def _passwords(address: str) -> set[str]:
    """The password in an address, as it stands and decoded, and the pieces that a parser may cut it into."""
    user_and_password = (address.partition("://")[2] or address).rpartition("@")[0]
    password = user_and_password.partition(":")[2]
    return {password, unquote(password), *split_pattern("[/?#@]", password)}
