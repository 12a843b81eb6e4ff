"""Masks secrets in everything that is printed or written.

A secret is the value of an environment variable whose name suggests one, a password in a variable's URL
(``HTTPS_PROXY=http://user:password@proxy``), connection string or JSON, a private key in any variable, or a value that
a connection module read from a file and registered. Each is masked in every encoding. Texts that are secrets by their
form, such as ``Bearer …``, are masked without being known. secret_forms.py has both.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from mcpush.control_characters import escape_line
from mcpush.secret_forms import known_forms, secrets_by_form

ADDRESS_ENDINGS = ("_PROXY", "_ENDPOINT", "_URL", "_URI", "_DSN", "_CONNECTION_STRING")
SECRET_NAME_ENDINGS = (
    *("TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "PASSCODE", "SECRET", "COOKIE", "CREDENTIALS", "AUTHORIZATION"),
    *("_PWD", "_PASS", "_PAT", "_KEY", "_SAS", "_PEM"),
)
PARAMETER_ENDINGS = ("PASSWORD", "PASSWD", "PWD", "PASSPHRASE", "TOKEN", "SECRET", "ACCESSKEY", "ACCOUNTKEY", "SIG")
MIN_LENGTH_BY_NAME = 8  # a variable with such a name can contain "dev" or "2026": masking hides ordinary words
MIN_LENGTH = 4  # of all other secrets
LONGEST_SECRET = 100_000  # characters that an excerpt reads beyond its end, so that it does not scan 64 MB
MASK = "***"
PATH = re.compile(r"[/~.]|[A-Za-z]:[\\/]")  # the start of a path
PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY")
USER_IN_URL = re.compile(r"""://[^\s/?#"'<>:@]*:[^\s/?#"'<>]+@""")
PARAMETER = re.compile(r"""(?<![\w.-])([\w.-]+)\s*=\s*('[^']*'|"[^"]*"|[^\s;&]+)""")

_registered: set[str] = set()


def register_secret(value: str | None) -> None:
    """Mask a secret that is not in the environment."""
    if value and len(value.strip()) >= MIN_LENGTH:
        _registered.add(value)


def redact(text: str) -> str:
    """The text with every secret replaced by ``***``."""
    return redactor()(text)


def redactor() -> Callable[[str], str]:
    """``redact`` for many texts: reads the environment once, now."""
    secrets = _secrets()
    return lambda text: _mask(text, secrets)


def excerpt(text: str, length: int) -> str:
    """At most ``length`` characters of the redacted text. Masks first: half a secret would not be recognized."""
    return redact(text[: length + LONGEST_SECRET])[:length]


def printable(text: str) -> str:
    """The text on one line, without secrets and control characters, safe to print."""
    return escape_line(redact(text))


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
    return _pattern(frozenset(_all_secrets()))


@lru_cache(maxsize=1)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    """Longest first: one secret can be a prefix of another."""
    longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
    forms = dict.fromkeys(form for secret in longest_first for form in known_forms(secret))
    return re.compile("|".join(forms) or r"(?!)")  # without secrets it matches nothing


def _mask(text: str, secrets: re.Pattern[str]) -> str:
    """The text with each secret masked. Overlapping secrets share one mask."""
    parts: list[str] = []
    end = 0
    for first, last in sorted([*_known_secrets(text, secrets), *secrets_by_form(text)]):
        if first >= end:
            parts += [text[end:first], MASK]
        end = max(end, last)
    return "".join(parts) + text[end:]


def _known_secrets(text: str, secrets: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    position = 0
    while found := secrets.search(text, position):
        yield found.span()
        position = found.start() + 1


def _mask_values(value: Any, secrets: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return _mask(value, secrets)
    if isinstance(value, dict):
        return {key: _mask_values(each, secrets) for key, each in value.items()}
    if isinstance(value, list):
        return [_mask_values(each, secrets) for each in value]
    return value


def _all_secrets() -> Iterator[str]:
    for value in frozenset(_registered):  # a copy: another thread can register a secret meanwhile
        yield from (value, value.strip())
    for name, value in os.environ.items():
        shortest = MIN_LENGTH_BY_NAME if _is_secret_name(name) else MIN_LENGTH
        yield from (each for each in _secrets_in_variable(name, value) if len(each.strip()) >= shortest)


@lru_cache(maxsize=4096)
def _secrets_in_variable(name: str, value: str) -> frozenset[str]:
    """The secrets in an environment variable, inferred from its name and its value."""
    found: set[str] = set()
    is_secret = _is_secret_name(name) and not (name.upper().endswith("CREDENTIALS") and PATH.match(value))
    if is_secret or PRIVATE_KEY.search(value):
        found |= {value, value.strip()}
    if name.upper().endswith(ADDRESS_ENDINGS):
        found |= _passwords(value) | _secret_parameters(value)
    elif "://" in value:
        found |= {secret for user in USER_IN_URL.findall(value) for secret in _passwords(user)}
    if value.lstrip().startswith("{"):
        found |= set(_secrets_in_json(value))
    return frozenset(found)


def _is_secret_name(name: str) -> bool:
    return name.upper().endswith(SECRET_NAME_ENDINGS)


def _passwords(address: str) -> set[str]:
    """The password in a URL, raw and decoded, the parts that a URL parser can split it into, and both with the user."""
    user_and_password = (address.partition("://")[2] or address).rpartition("@")[0]
    password = user_and_password.partition(":")[2]
    if not password:
        return set()
    # HTTP sends the base64 of user:password
    both = {user_and_password, unquote(user_and_password)}
    return {password, unquote(password), *re.split("[/?#@]", password), *both}


def _secret_parameters(address: str) -> set[str]:
    """The secrets in ``?password=…`` of a URL, and in ``Password=…;`` or ``password=…`` of a connection string."""
    found = {value.strip("'\"") for name, value in PARAMETER.findall(address) if _is_secret_parameter(name)}
    return found | {unquote(value) for value in found}


def _is_secret_parameter(name: str) -> bool:
    return name.upper().endswith(PARAMETER_ENDINGS)


def _secrets_in_json(text: str) -> Iterator[str]:
    """The strings with a secret's name in a JSON object, such as a service account's key. Nothing if it is not JSON."""
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        found.extend(value for name, value in pairs if isinstance(value, str) and _is_secret_name(name))

    try:
        json.loads(text, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return
    yield from found
