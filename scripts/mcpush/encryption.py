"""Refuses connections that send credentials or data unencrypted over a network.

Connections to this machine are exempt. ``--allow-plaintext`` permits all.
"""

from __future__ import annotations

import argparse
import ipaddress

from mcpush.errors import ConfigurationError

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


def is_loopback(host: str) -> bool:
    """Whether this host name or IP address always means this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
