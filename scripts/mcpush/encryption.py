"""Refuses connections that send credentials or data unencrypted over a network.

Connections to this machine are exempt. ``--allow-plaintext`` permits all.
"""

from __future__ import annotations

import argparse
import ipaddress
import re

from mcpush.errors import ConfigurationError

# A backslash or a user name before the host would let two parsers find different hosts.
URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\s\\@/?#:\[\]]+)(:[0-9]{1,5})?([/?#]\S*)?", re.IGNORECASE)

_is_plaintext_allowed = False


def add_plaintext_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-plaintext",
        action="store_true",
        help="permit unencrypted connections to other machines: anyone on the network can read credentials and data",
    )


def allow_plaintext(allowed: bool) -> None:
    """Permit or refuse unencrypted connections for the rest of the run."""
    global _is_plaintext_allowed
    _is_plaintext_allowed = allowed


def require_encryption(setting: str, host: str) -> None:
    """Call it before an unencrypted connection. ``setting`` is what requests it, such as ``REDSHIFT_SSL=false``.

    Raises ConfigurationError if ``host`` is not this machine, unless the run has ``--allow-plaintext``.
    """
    if _is_plaintext_allowed or is_loopback(host):
        return
    raise ConfigurationError(
        f"{setting} sends credentials and data unencrypted to another machine.",
        "Use an encrypted connection. If the network is private and this is intended, pass --allow-plaintext.",
    )


def require_encrypted_url(setting: str, url: str) -> None:
    """Call it before a request to a URL from the configuration. ``setting`` is the variable or option that has it.

    Raises ConfigurationError if it is not an http(s) URL, or sends unencrypted as in ``require_encryption``.
    """
    found = URL.fullmatch(url)
    if found is None:
        raise ConfigurationError(f"{setting} is not a URL.", "Use a URL such as https://example.com/path.")
    if found[1].lower() == "http":
        require_encryption(f"{setting}, with http://,", found[2])


def is_loopback(host: str) -> bool:
    """Whether this host name or IP address always means this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
