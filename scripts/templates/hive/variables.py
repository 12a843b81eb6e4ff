"""Reads the environment variables of a connection to HiveServer2 and refuses values that cannot be used.

Messages never repeat a value, which can be a secret in the wrong variable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mcpush.encryption import is_loopback, require_encryption
from mcpush.environment import checked, host_name, whole_number
from mcpush.errors import ConfigurationError
from mcpush.redaction import register_secret

T = TypeVar("T")

# https://hive.apache.org/docs/latest/admin/setting-up-hiveserver2/
AUTHENTICATIONS = ("NONE", "NOSASL", "LDAP", "CUSTOM", "PAM", "KERBEROS")
WITH_PASSWORD = ("LDAP", "CUSTOM", "PAM")
TRANSPORT_MODES = ("binary", "http")
PORTS = {"binary": 10_000, "http": 10_001}
DEFAULT_HTTP_PATH = "cliservice"
DEFAULT_USER = "hive"  # of a server that checks no user
DEFAULT_DATABASE = "default"  # every metastore has it
DEFAULT_CATALOG = "hive"  # of metastores since Hive 3; older ones have no catalogs
DEFAULT_SERVICE_NAME = "hive"
DEFAULT_CONNECT_TIMEOUT = 60  # seconds
# ADAPT: increase for a server whose metastore is very slow.
DEFAULT_TIMEOUT = 600  # seconds
# ADAPT: fewer workers for a small HiveServer2, which runs each statement in a thread of its own.
DEFAULT_WORKERS = 8
DEFAULT_DESCRIBE_SECONDS = 4 * 3600


@dataclass(frozen=True)
class Settings:
    """How to connect. ``timeout`` limits how long the server may take to answer, ``connect_timeout`` each step of
    connecting and signing in; both in seconds.
    """

    host: str
    port: int
    user: str
    password: str | None
    authentication: str
    is_http: bool
    http_path: str
    is_encrypted: bool
    ca_file: str | None
    service_name: str
    database: str
    timeout: int
    connect_timeout: int


def settings_from_environment() -> Settings:
    """Raises ConfigurationError if a variable is missing, malformed or contradicts another one."""
    password = os.environ.get("HIVE_PASSWORD") or None
    register_secret(password)
    authentication = _value("HIVE_AUTH", _one_of(*AUTHENTICATIONS), "LDAP" if password else "NONE")
    mode = _value("HIVE_TRANSPORT_MODE", _one_of(*TRANSPORT_MODES), "binary")
    host = _host()
    is_encrypted = _value("HIVE_SSL", _truth, not is_loopback(host))
    if not is_encrypted:
        require_encryption("HIVE_SSL=false", host)
    return Settings(
        host=host,
        port=_value("HIVE_PORT", whole_number(1, 65_535), PORTS[mode]),
        user=_user(authentication, password),
        password=password,
        authentication=authentication,
        is_http=mode == "http",
        http_path=_value("HIVE_HTTP_PATH", _path, DEFAULT_HTTP_PATH),
        is_encrypted=is_encrypted,
        ca_file=_value("HIVE_CA_FILE", _file, None),
        service_name=_value("HIVE_KERBEROS_SERVICE_NAME", _name, DEFAULT_SERVICE_NAME),
        database=_value("HIVE_DATABASE", _identifier, DEFAULT_DATABASE),
        timeout=_value("HIVE_TIMEOUT", whole_number(1, 86_400), DEFAULT_TIMEOUT),
        connect_timeout=_value("HIVE_CONNECT_TIMEOUT", whole_number(1, 3_600), DEFAULT_CONNECT_TIMEOUT),
    )


def catalog() -> str:
    """The database of all records."""
    return _value("HIVE_CATALOG", _identifier, DEFAULT_CATALOG)


def workers() -> int:
    """How many sessions describe tables at the same time."""
    return _value("HIVE_WORKERS", whole_number(1, 64), DEFAULT_WORKERS)


def describe_seconds() -> int:
    """How long a run waits for descriptions of tables, in total."""
    return _value("HIVE_DESCRIBE_SECONDS", whole_number(1, 7 * 86_400), DEFAULT_DESCRIBE_SECONDS)


def _host() -> str:
    if not os.environ.get("HIVE_HOST"):
        raise ConfigurationError(
            "HIVE_HOST is not set.",
            "Set it to the host name of HiveServer2, or set HIVE_METASTORE_URL (see README.md).",
        )
    return checked("HIVE_HOST", os.environ["HIVE_HOST"], host_name)


def _user(authentication: str, password: str | None) -> str:
    """The user who signs in. Raises ConfigurationError if user and password do not fit to the authentication."""
    user = _value("HIVE_USER", _name, None)
    if authentication in WITH_PASSWORD:
        missing = [name for name, value in (("HIVE_USER", user), ("HIVE_PASSWORD", password)) if not value]
        if missing:
            raise ConfigurationError(
                f"Not set: {', '.join(missing)}", f"HIVE_AUTH={authentication} needs a user and a password."
            )
    elif password:
        raise ConfigurationError(
            f"HIVE_AUTH={authentication} does not use a password, but HIVE_PASSWORD is set.",
            "Unset HIVE_PASSWORD, or set HIVE_AUTH to LDAP, CUSTOM or PAM.",
        )
    return user or DEFAULT_USER


# --- values -----------------------------------------------------------------------------------------------


def _value(variable: str, parse: Callable[[str], T], default: T) -> T:
    """The parsed value, or the default if the variable is not set or empty."""
    text = os.environ.get(variable, "")
    return checked(variable, text, parse) if text else default


def _one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        found = next((each for each in known if each.lower() == text.lower()), None)
        if found is None:
            raise ValueError(f"use {', '.join(known[:-1])} or {known[-1]}")
        return found

    return parse


def _truth(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in known:
        raise ValueError("use true or false")
    return known[text.lower()]


def _name(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use a name on one line, without spaces around it")
    return text


def _identifier(text: str) -> str:
    """A database or catalog. PyHive does not quote it: https://github.com/dropbox/PyHive/blob/v0.7.0/pyhive/hive.py"""
    if not re.fullmatch(r"\w{1,256}", text, re.ASCII):
        raise ValueError("use a name of letters, digits and underscores")
    return text


def _path(text: str) -> str:
    path = text.strip("/")
    if not re.fullmatch(r"[\w.~/-]{1,500}", path, re.ASCII):
        raise ValueError("use the path of the endpoint, such as cliservice, without host and query")
    return path


def _file(text: str) -> str:
    try:
        Path(text).read_bytes()
    except (OSError, ValueError):
        raise ValueError("it is not a readable file") from None
    return text
