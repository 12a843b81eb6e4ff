"""Selects the sign-in method from the variables, and converts them to the connector's arguments.

A personal access token needs only the connector. The other methods are those of the Databricks SDK, which is optional.
https://docs.databricks.com/aws/en/dev-tools/auth/unified-auth
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from error_table import SIGN_IN, one_line
from mcpush.collect.driver_errors import DriverError, explained
from mcpush.console import log
from mcpush.encryption import require_encrypted_url
from mcpush.environment import checked
from mcpush.errors import ConfigurationError
from mcpush.interrupts import interruptible
from mcpush.redaction import register_secret
from mcpush.version import RELEASE
from variables import (
    AUTH_TYPE_VARIABLE,
    CLIENT_VARIABLES,
    CONFIG_FILE_VARIABLE,
    HOST_VARIABLES,
    PROFILE_VARIABLE,
    TOKEN_VARIABLE,
    address,
    check_urls,
    parse_address,
)

PRODUCT = "push-ingestion"
SDK = "databricks-sdk>=0.60,<1"
HTTP_SECONDS = 60
SIGN_IN_SECONDS = 60  # for the retries of a request; a warehouse that starts does not delay them
# Attributes of the SDK's configuration that a profile can set.
SECRET_ATTRIBUTES = ("token", "password", "client_secret", "azure_client_secret", "google_credentials")
BROWSER = "external-browser"
AZURE_VARIABLE = "DATABRICKS_AZURE_RESOURCE_ID"  # the SDK gets the host from it


class SignIn(NamedTuple):
    """The name of the method, the URL of the workspace, and the connector's arguments for the method.

    ``warehouse`` is the ID in the profile, if it has one.
    """

    method: str
    url: str
    arguments: dict[str, Any]
    warehouse: str | None = None


def sign_in(retry_seconds: int) -> SignIn:
    """Signs in, or prepares it. Raises ConfigurationError for missing or contradictory variables."""
    check_urls()
    url = address()
    method = _method()
    if method == "token":
        return SignIn("personal access token", _required(url), {"access_token": os.environ[TOKEN_VARIABLE]})
    if method == "client":
        client, secret = (os.environ[name] for name in CLIENT_VARIABLES)
        settings = {"host": _required(url), "client_id": client, "client_secret": secret, "auth_type": "oauth-m2m"}
        return _by_sdk("OAuth of a service principal", settings, retry_seconds)
    if not (url or _url_of_profile() or os.environ.get(AZURE_VARIABLE)):
        _required(None)
    # With a host, the SDK does not read the default profile.
    return _by_sdk("unified authentication", {"host": url} if url else {}, retry_seconds)


def _method() -> str:
    """Returns token, client or unified. Raises ConfigurationError if several are configured."""
    given = {name: bool(os.environ.get(name)) for name in (TOKEN_VARIABLE, *CLIENT_VARIABLES, PROFILE_VARIABLE)}
    kind = os.environ.get(AUTH_TYPE_VARIABLE)
    if kind == BROWSER:
        raise ConfigurationError(
            f"{AUTH_TYPE_VARIABLE}={BROWSER} needs a person and a browser.", "Use another method (see README.md)."
        )
    configured = {
        TOKEN_VARIABLE: given[TOKEN_VARIABLE],
        " and ".join(CLIENT_VARIABLES): any(given[name] for name in CLIENT_VARIABLES),
        PROFILE_VARIABLE: given[PROFILE_VARIABLE],
    }
    names = [name for name, is_given in configured.items() if is_given]
    if kind == "pat" and given[TOKEN_VARIABLE]:
        return "token"
    if kind:
        return "unified"  # the SDK uses only what belongs to this type
    if len(names) > 1:
        raise ConfigurationError(
            f"Several sign-in methods are configured: {', '.join(names)}",
            f"Unset the variables of all but one, or set {AUTH_TYPE_VARIABLE} (see README.md).",
        )
    missing = [name for name in CLIENT_VARIABLES if not given[name]]
    if len(missing) == 1:
        raise ConfigurationError(f"Not set: {missing[0]}", "Set it, or unset the other variable of the client.")
    return "token" if given[TOKEN_VARIABLE] else "unified" if missing else "client"


def _required(url: str | None) -> str:
    if not url:
        raise ConfigurationError(
            f"{HOST_VARIABLES[0]} is not set.",
            f"Set it to the host name of the workspace, and {TOKEN_VARIABLE} or another method (see README.md).",
        )
    return url


# --- SDK -----------------------------------------------------------------------------------------------------


def _by_sdk(name: str, settings: dict[str, Any], retry_seconds: int) -> SignIn:
    """Signs in with the SDK, which renews its tokens."""
    configuration = _configuration()
    limits = {"retry_timeout_seconds": min(retry_seconds, SIGN_IN_SECONDS), "http_timeout_seconds": HTTP_SECONDS}
    log.info("signing in to Databricks: %s", name)
    try:
        with interruptible():
            config = configuration(**settings, **limits, product=PRODUCT, product_version=RELEASE)
            _register_secrets(config)
            headers = dict(config.authenticate())
    # What the SDK raises: ValueError, NotImplementedError, its own errors, which are OSErrors, and those of requests.
    except (ValueError, OSError, NotImplementedError, TypeError, KeyError, AttributeError, TimeoutError) as error:
        found = explained(DriverError(SIGN_IN, error, None, one_line(_without_settings(str(error)))))
        raise found or error from None
    register_secret(headers.get("Authorization", "").partition(" ")[2])
    url = _required(config.host)
    checked("The host of the profile", url, parse_address)
    require_encrypted_url("The host of the profile", url)
    arguments = {"credentials_provider": lambda: config.authenticate}
    return SignIn(f"{name} ({config.auth_type})", parse_address(url), arguments, config.warehouse_id)


def _configuration() -> Callable[..., Any]:
    try:
        from databricks.sdk.core import Config
    except ImportError:
        raise ConfigurationError(
            f"All sign-in methods but {TOKEN_VARIABLE} need the package databricks-sdk.",
            f"Set {TOKEN_VARIABLE}, or run the script with: uv run --with '{SDK}' SCRIPT. "
            f"Or install the package: pip install '{SDK}'.",
        ) from None
    return Config


def _register_secrets(config: Any) -> None:
    for name in SECRET_ATTRIBUTES:
        if secret := getattr(config, name, None):
            register_secret(str(secret))


def _without_settings(text: str) -> str:
    """A message without the settings that the SDK appends."""
    return text.partition(". Config: ")[0]


def _url_of_profile() -> str | None:
    """The host in the SDK's configuration file, checked before the SDK sends credentials to it; None without one.

    https://docs.databricks.com/aws/en/dev-tools/auth/config-profiles
    """
    path = Path(os.environ.get(CONFIG_FILE_VARIABLE) or "~/.databrickscfg").expanduser()
    profile = os.environ.get(PROFILE_VARIABLE) or "DEFAULT"
    content = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        content.read(path, encoding="utf-8")
        host = content.get(profile, "host", fallback="")
    except (configparser.Error, OSError, ValueError) as error:
        raise ConfigurationError(
            f"The configuration file of Databricks is not readable ({type(error).__name__}).",
            f"Correct the file in {CONFIG_FILE_VARIABLE} or ~/.databrickscfg.",
        ) from None
    if not host:
        return None
    setting = f"The host in the profile of {PROFILE_VARIABLE}"
    url = checked(setting, host, parse_address)
    require_encrypted_url(setting, url)
    return url
