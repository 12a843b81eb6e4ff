"""Keeps secrets out of everything that is printed or written.

A secret is the value of an environment variable with a telling name, the password in an address that a variable
holds (``HTTPS_PROXY=http://user:password@proxy``), or one that a connection module read from a file and registered.
"""

from __future__ import annotations

import json
import os
import re
import threading
from typing import Any
from urllib.parse import unquote

ADDRESS_ENDINGS = ("_PROXY", "_ENDPOINT", "_URL")
TELLING_ENDINGS = ("TOKEN", "PASSWORD", "PASSPHRASE", "PASSCODE", "_PWD", "SECRET", "_KEY")
SHORTEST_GUESSED = 8  # a telling name may hold "dev" or "2026": masking that would blank out ordinary words
SHORTEST_REGISTERED = 4
MASK = "***"

_registered: set[str] = set()
_pattern: re.Pattern[str] | None = None  # all forms of all secrets; None: to be made at the next use
_lock = threading.Lock()


def register_secret(value: str | None) -> None:
    """Remember a secret that does not come from an environment variable."""
    global _pattern
    if value and len(value.strip()) >= SHORTEST_REGISTERED:
        with _lock:
            _registered.add(value)
            _pattern = None


def environment_changed() -> None:
    """Look for secrets in the environment again at the next use: scanning it for each text would be slow."""
    global _pattern
    with _lock:
        _pattern = None


def redact(text: str) -> str:
    """The text with every known secret replaced by ``***``."""
    return _secrets().sub(MASK, text)


def redact_values(value: Any) -> Any:
    """A JSON value with every text in it redacted. Keys and numbers stay: they are ours."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redact_values(each) for key, each in value.items()}
    if isinstance(value, list):
        return [redact_values(each) for each in value]
    return value


def secret_variables() -> set[str]:
    """The names of environment variables that hold secrets, for starting processes that need none of them.

    Includes values that are too short to be masked.
    """
    return {
        name
        for name, value in os.environ.items()
        if any(_guessed(name, value)) or any(secret in value for secret in _registered)
    }


def _secrets() -> re.Pattern[str]:
    """One pattern for all secrets. Longest first: one secret may be the beginning of another."""
    global _pattern
    with _lock:
        if _pattern is None:
            forms = sorted(_forms(), key=len, reverse=True)
            _pattern = re.compile("|".join(map(re.escape, forms)) or r"(?!)")  # without secrets it matches nothing
        return _pattern


def _forms() -> set[str]:
    """Each secret as it is, and as messages quote it."""
    secrets = _registered | {value.strip() for value in _registered}
    for name, value in os.environ.items():
        shortest = SHORTEST_GUESSED if _is_telling(name) else SHORTEST_REGISTERED
        secrets |= {each for each in _guessed(name, value) if len(each.strip()) >= shortest}
    return secrets | {repr(each)[1:-1] for each in secrets} | {json.dumps(each)[1:-1] for each in secrets}


def _guessed(name: str, value: str) -> set[str]:
    """The secrets in an environment variable, judged by its name."""
    if _is_telling(name):
        return {value, value.strip()}
    if name.upper().endswith(ADDRESS_ENDINGS):
        return _passwords(value)
    return set()


def _is_telling(name: str) -> bool:
    return name.upper().endswith(TELLING_ENDINGS)


def _passwords(address: str) -> set[str]:
    """The password in an address, as it stands and decoded, and the pieces that a parser may cut it into."""
    user_and_password = (address.partition("://")[2] or address).rpartition("@")[0]
    password = user_and_password.partition(":")[2]
    return {password, unquote(password), *re.split("[/?#@]", password)}
