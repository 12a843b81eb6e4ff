# Shared: the original is snowflake/pushkit/redaction.py (see scripts/sync_templates.py).
"""Keeps secrets out of everything that is printed or written.

A secret is the value of an environment variable with a telling name, or one that a connection module read
from a file and registered here.
"""

from __future__ import annotations

import json
import os
from typing import Any

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
    guessed = {
        value
        for name, value in os.environ.items()
        if name.upper().endswith(TELLING_ENDINGS) and len(value.strip()) >= SHORTEST_GUESSED
    }
    secrets = guessed | _registered | {value.strip() for value in guessed | _registered}
    return secrets | {repr(each)[1:-1] for each in secrets} | {json.dumps(each)[1:-1] for each in secrets}
