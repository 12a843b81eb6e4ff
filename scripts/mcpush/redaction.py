"""Masks secrets in everything that is printed or written.

A secret is the value of an environment variable whose name suggests one, the password in a variable's URL
(``HTTPS_PROXY=http://user:password@proxy``), or a value that a connection module read from a file and registered.
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

ADDRESS_ENDINGS = ("_PROXY", "_ENDPOINT", "_URL")
SECRET_NAME_ENDINGS = ("TOKEN", "PASSWORD", "PASSPHRASE", "PASSCODE", "_PWD", "SECRET", "_KEY")
MIN_LENGTH_BY_NAME = 8  # a variable with such a name can contain "dev" or "2026": masking hides ordinary words
MIN_LENGTH = 4  # of all other secrets
MASK = "***"

_registered: set[str] = set()


def register_secret(value: str | None) -> None:
    """Mask a secret that is not in the environment."""
    if value and len(value.strip()) >= MIN_LENGTH:
        _registered.add(value)


def redact(text: str) -> str:
    """The text with every known secret replaced by ``***``."""
    return _mask(text, _secrets())


def excerpt(text: str, length: int) -> str:
    """At most ``length`` characters of the redacted text. Masks first: half a secret would not be recognized."""
    return redact(text)[:length]


def redact_values(value: Any) -> Any:
    """A JSON value with every string redacted. Keys and numbers stay: they come from the scripts."""
    return _mask_values(value, _secrets())


def secret_variables() -> set[str]:
    """The names of environment variables that contain secrets, to remove them from the environment of subprocesses.

    Includes variables whose values are too short to be masked.
    """
    return {
        name
        for name, value in os.environ.items()
        if any(_secrets_in_variable(name, value)) or any(secret in value for secret in _registered)
    }


def _secrets() -> re.Pattern[str]:
    """One pattern that matches all current secrets. Build it once per JSON value: scanning the environment is slow."""
    return _pattern(frozenset(_secret_spellings()))


@lru_cache(maxsize=1)
def _pattern(spellings: frozenset[str]) -> re.Pattern[str]:
    """Longest first: one secret can be a prefix of another."""
    alternatives = map(re.escape, sorted(spellings, key=len, reverse=True))
    return re.compile("|".join(alternatives) or r"(?!)")  # without secrets it matches nothing


def _mask(text: str, secrets: re.Pattern[str]) -> str:
    """The text with each secret masked. Overlapping secrets share one mask."""
    parts: list[str] = []
    end = position = 0
    while found := secrets.search(text, position):
        if found.start() >= end:
            parts += [text[end : found.start()], MASK]
        end, position = max(end, found.end()), found.start() + 1
    return "".join(parts) + text[end:]


def _mask_values(value: Any, secrets: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return _mask(value, secrets)
    if isinstance(value, dict):
        return {key: _mask_values(each, secrets) for key, each in value.items()}
    if isinstance(value, list):
        return [_mask_values(each, secrets) for each in value]
    return value


def _secret_spellings() -> set[str]:
    """Each secret in plain form, and escaped as in ``repr`` and JSON."""
    registered = frozenset(_registered)  # a copy: another thread can register a secret meanwhile
    secrets = {*registered, *(value.strip() for value in registered)}
    for name, value in os.environ.items():
        shortest = MIN_LENGTH_BY_NAME if _is_secret_name(name) else MIN_LENGTH
        secrets |= {each for each in _secrets_in_variable(name, value) if len(each.strip()) >= shortest}
    return secrets | {repr(each)[1:-1] for each in secrets} | {json.dumps(each)[1:-1] for each in secrets}


def _secrets_in_variable(name: str, value: str) -> set[str]:
    """The secrets in an environment variable, inferred from its name."""
    if _is_secret_name(name):
        return {value, value.strip()}
    if name.upper().endswith(ADDRESS_ENDINGS):
        return _passwords(value)
    return set()


def _is_secret_name(name: str) -> bool:
    return name.upper().endswith(SECRET_NAME_ENDINGS)


def _passwords(address: str) -> set[str]:
    """The password in a URL, raw and decoded, and the parts that a URL parser can split it into."""
    user_and_password = (address.partition("://")[2] or address).rpartition("@")[0]
    password = user_and_password.partition(":")[2]
    return {password, unquote(password), *re.split("[/?#@]", password)}
