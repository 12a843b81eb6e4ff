# Shared: the original is snowflake/pushkit/redaction.py (see scripts/sync_templates.py).
"""Keeps secrets out of everything that is printed or written.

A secret is the value of an environment variable with a telling name, or one that a connection module read
from a file and registered here.
"""

from __future__ import annotations

import json
import os

TELLING_ENDINGS = ("TOKEN", "PASSWORD", "PASSPHRASE", "PASSCODE", "_PWD", "SECRET", "_KEY")
NO_SECRETS = ("PWD", "OLDPWD")  # the shell's working directories: they would blank out every path
SHORTEST_SECRET = 4  # shorter values ("x", "dev") would blank out ordinary words
MASK = "***"

_registered: set[str] = set()


def register_secret(value: str | None) -> None:
    """Remember a secret that does not come from an environment variable."""
    if value:
        _registered.add(value)


def redact(text: str) -> str:
    """The text with every known secret replaced by ``***``, longest first."""
    values = {
        value for name, value in os.environ.items() if name.upper().endswith(TELLING_ENDINGS) and name not in NO_SECRETS
    }
    for secret in sorted(values | _registered, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK).replace(json.dumps(secret)[1:-1], MASK)
    return text
