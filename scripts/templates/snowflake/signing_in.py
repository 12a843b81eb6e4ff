"""Converts environment variables, or a profile of the driver, to the driver's sign-in arguments.

README.md lists the variables. A profile in the driver's ``connections.toml`` supports every method of the driver,
including those without variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from checks import check_address, check_key_file, token_in_file
from mcpush.encryption import require_encrypted_url
from mcpush.environment import checked, name_and_length
from mcpush.errors import ConfigurationError
from mcpush.redaction import register_secret
from sign_in_methods import (
    ACCOUNT_VARIABLES,
    AUTHENTICATOR_VARIABLE,
    METHODS,
    PROFILE_VARIABLE,
    SECRET_ARGUMENTS,
    SESSION_VARIABLES,
    TOKEN,
    TOKEN_FILE_VARIABLE,
    Method,
)
from snowflake.connector.config_manager import CONFIG_MANAGER
from snowflake.connector.errors import Error


def _set(names: Sequence[str] | dict[str, str]) -> list[str]:
    return [name for name in names if os.environ.get(name)]


def _credential_variables() -> list[str]:
    """Returns every variable for a credential, in the order of METHODS, without duplicates."""
    names = [name for method in METHODS for name in [*method.required, *method.optional]]
    return list(dict.fromkeys([*names, TOKEN_FILE_VARIABLE]))


def arguments_from_environment() -> tuple[str, dict[str, Any]]:
    """Returns a description of the configured sign-in method, and the driver's arguments for it."""
    if _set([PROFILE_VARIABLE]) or not _set([*ACCOUNT_VARIABLES, *_credential_variables()]):
        about, arguments = _profile_arguments()
    else:
        about, arguments = _variable_arguments()
    arguments |= {SESSION_VARIABLES[name]: os.environ[name] for name in _set(SESSION_VARIABLES)}
    return about, arguments


def _profile_arguments() -> tuple[str, dict[str, Any]]:
    """Selects a profile. The driver finds connections.toml in SNOWFLAKE_HOME, ~/.snowflake or the system's folder.

    The driver itself reads the profile's arguments; here they are only checked.
    """
    too_many = _set([*ACCOUNT_VARIABLES, *_credential_variables(), AUTHENTICATOR_VARIABLE])
    if too_many:
        raise ConfigurationError(
            f"{PROFILE_VARIABLE} names a profile, but {', '.join(too_many)} is also set.",
            f"Unset {PROFILE_VARIABLE} to use the variables, or unset the variables to use the profile.",
        )
    name, profile = _profile()
    _register_secrets(profile)

    def setting(argument: str) -> str:
        return f"{argument} in the profile {name!r}"

    check_address(profile, setting)
    authenticator = str(profile.get("authenticator", ""))
    if authenticator.lower().startswith("http:"):
        require_encrypted_url(setting("authenticator"), authenticator)
    if path := profile.get("private_key_file"):
        check_key_file(setting("private_key_file"), str(path), has_passphrase=True)  # the driver checks it
    return f"profile {name!r}", {"connection_name": name}


def _profile() -> tuple[str, dict[str, Any]]:
    """Returns the name of the selected profile and its arguments, in lower case as the driver reads them."""
    try:
        name = str(CONFIG_MANAGER["default_connection_name"])
        profiles: Any = CONFIG_MANAGER["connections"]
    except (Error, ValueError, OSError) as error:  # their messages can repeat the file
        raise ConfigurationError(
            f"The driver cannot read connections.toml ({type(error).__name__}).",
            "It must be valid TOML in UTF-8, in SNOWFLAKE_HOME or ~/.snowflake, and readable only by its owner.",
        ) from None
    names = ", ".join(sorted(map(str, profiles))) if isinstance(profiles, Mapping) else ""
    if not isinstance(profiles, Mapping) or name not in profiles:
        shown = name_and_length(PROFILE_VARIABLE) if os.environ.get(PROFILE_VARIABLE) else repr(name)
        raise ConfigurationError(
            f"connections.toml has no profile {shown}" + (f", only {names}" if names else ""),
            f"Set SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and a credential, or {PROFILE_VARIABLE} (see README.md).",
        )
    if not isinstance(profiles[name], Mapping):
        raise ConfigurationError(
            f"{name!r} in connections.toml is not a profile.", "A profile is a table: a line [name], then its keys."
        )
    return name, {str(key).lower(): value for key, value in profiles[name].items()}


def _register_secrets(arguments: dict[str, Any]) -> None:
    """Registers secrets for masking in all output, even short ones (a passcode has six digits)."""
    for name in SECRET_ARGUMENTS:
        register_secret(str(arguments.get(name) or ""))


def _variable_arguments() -> tuple[str, dict[str, Any]]:
    method = _method()
    _check_credentials(method)
    needed = ["SNOWFLAKE_ACCOUNT", *(["SNOWFLAKE_USER"] if method.needs_user else []), *method.required]
    values = {name: os.environ[name] for name in _set([*ACCOUNT_VARIABLES, *method.required, *method.optional])}
    if TOKEN.keys() & {*method.required, *method.optional} and _set([TOKEN_FILE_VARIABLE]):
        values["SNOWFLAKE_TOKEN"] = _token_from_file()
    missing = [name for name in needed if not values.get(name)]
    if missing:
        raise ConfigurationError(
            f"Not set for sign-in with {method.name}: {', '.join(missing)}",
            "Set the missing variables (see README.md).",
        )
    if path := values.get("SNOWFLAKE_PRIVATE_KEY_FILE"):
        has_passphrase = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE" in values
        values["SNOWFLAKE_PRIVATE_KEY_FILE"] = check_key_file("SNOWFLAKE_PRIVATE_KEY_FILE", path, has_passphrase)
    names = {**ACCOUNT_VARIABLES, **method.required, **method.optional}
    arguments: dict[str, Any] = {names[name]: value for name, value in values.items()}
    _register_secrets(arguments)
    variables = {argument: name for name, argument in names.items()}
    arguments = check_address(arguments, variables.__getitem__)
    authenticator = os.environ.get(AUTHENTICATOR_VARIABLE) or method.authenticator
    return method.name, arguments | {"authenticator": authenticator}


def _method() -> Method:
    """Returns the method that SNOWFLAKE_AUTHENTICATOR names, or the only one whose variables are set."""
    named = os.environ.get(AUTHENTICATOR_VARIABLE, "")
    if named:
        return _named_method(named)
    if _set([*TOKEN, TOKEN_FILE_VARIABLE]) and not _set(["SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER"]):
        raise ConfigurationError(
            f"A token is set, but {AUTHENTICATOR_VARIABLE} is not set.",
            f"Set {AUTHENTICATOR_VARIABLE} to the kind of the token: OAUTH or PROGRAMMATIC_ACCESS_TOKEN.",
        )
    possible = [method for method in METHODS if not method.only_when_named and _set(method.required)]
    if not possible:
        raise ConfigurationError(
            "No Snowflake credentials are set.",
            "Set SNOWFLAKE_PRIVATE_KEY_FILE, SNOWFLAKE_TOKEN or SNOWFLAKE_PASSWORD, or name a profile with "
            f"{PROFILE_VARIABLE} (see README.md).",
        )
    return possible[0]


def _named_method(named: str) -> Method:
    if named.lower().startswith(("https://", "http://")):  # an Okta URL, which receives the password
        require_encrypted_url(AUTHENTICATOR_VARIABLE, named)
        return METHODS[-1]
    for method in METHODS:
        if method.authenticator == named.upper():
            return method
    raise ConfigurationError(
        f"{name_and_length(AUTHENTICATOR_VARIABLE)} has an unsupported value.",
        f"Use one of {', '.join(method.authenticator for method in METHODS)}, or a profile, which supports all.",
    )


def _check_credentials(method: Method) -> None:
    """Raises ConfigurationError if credentials of another method are set: choosing between them would be a guess."""
    own = {*method.required, *method.optional}
    if TOKEN.keys() & own:
        own.add(TOKEN_FILE_VARIABLE)
    others = [name for name in _set(_credential_variables()) if name not in own]
    if others:
        raise ConfigurationError(
            f"{', '.join(others)} cannot be combined with {', '.join(_set(sorted(own))) or method.name}.",
            f"Unset one of them, or set {AUTHENTICATOR_VARIABLE} and only its own variables.",
        )


def _token_from_file() -> str:
    if _set([*TOKEN]):
        raise ConfigurationError(f"SNOWFLAKE_TOKEN and {TOKEN_FILE_VARIABLE} are both set.", "Unset one of them.")
    token = checked(TOKEN_FILE_VARIABLE, os.environ[TOKEN_FILE_VARIABLE], token_in_file)
    register_secret(token)
    return token
