"""Selects the sign-in method from the variables, and converts them to the driver's arguments.

README.md lists the variables; variables.py reads and checks them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]
import redshift_connector
from error_table import invalid_arguments
from mcpush.encryption import require_encrypted_url
from mcpush.environment import checked, host_name
from mcpush.errors import ConfigurationError
from mcpush.interrupts import interruptible
from mcpush.redaction import register_secret
from variables import (
    PREFIX,
    SECRET_VARIABLE,
    options_from_environment,
    parse_port,
    require_encrypted_aws,
    require_encrypted_connection,
)

# These plugins sign in to the database without IAM; the driver refuses a combination of both.
WITHOUT_IAM = (*redshift_connector.IDC_OR_NATIVE_IDP_PLUGINS_LIST, *redshift_connector.IDC_PLUGINS_LIST)


def arguments_from_environment() -> tuple[str, dict[str, Any]]:
    """Returns the name of the configured sign-in method, and the driver's arguments for it."""
    given = options_from_environment()
    method = Method.of(given)
    arguments = given | method.arguments
    require_encrypted_connection(arguments)
    return method.name, arguments


@dataclass(frozen=True)
class Method:
    """A sign-in method, and its arguments in addition to those from variables."""

    name: str
    arguments: dict[str, Any]

    @classmethod
    def of(cls, given: dict[str, Any]) -> Method:
        """Returns the configured method. Raises ConfigurationError if there is none or several."""
        configured = [name for name, is_configured in _configured_methods(given).items() if is_configured]
        if len(configured) > 1:
            raise ConfigurationError(
                f"Several sign-in methods are configured: {', '.join(configured)}",
                "Unset the variables of all but one (see README.md).",
            )
        if not configured:
            raise ConfigurationError(
                "No Redshift credentials are set.",
                "Set REDSHIFT_USER and REDSHIFT_PASSWORD, REDSHIFT_SECRET_ARN, REDSHIFT_CLUSTER_IDENTIFIER with "
                "REDSHIFT_DB_USER, REDSHIFT_WORKGROUP, or REDSHIFT_CREDENTIALS_PROVIDER (see README.md).",
            )
        if configured != ["password"]:
            require_encrypted_aws()
        return _METHODS[configured[0]](given)


def _configured_methods(given: dict[str, Any]) -> dict[str, bool]:
    """Returns which methods are configured. With a password, a cluster identifier does not imply IAM."""
    by_secret = bool(os.environ.get(SECRET_VARIABLE))
    by_provider = bool(given.get("credentials_provider"))
    by_password = bool(given.get("password")) and not by_provider  # some plugins use the password themselves
    on_aws = bool(given.get("serverless_work_group") or given.get("cluster_identifier"))
    others = by_secret or by_provider or by_password
    return {
        "Secrets Manager": by_secret,
        "identity provider": by_provider,
        "password": by_password,
        "IAM": (given.get("iam") is True and not by_provider) or (on_aws and not others),
    }


def _by_password(given: dict[str, Any]) -> Method:
    _require(given, "host", "user")
    return Method("password", {})


def _by_secret(given: dict[str, Any]) -> Method:
    """Uses the secret's fields for arguments without a variable.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
    """
    with invalid_arguments():
        session = boto3.Session(profile_name=given.get("profile"))
        client = session.client("secretsmanager", region_name=given.get("region"))
        require_encrypted_url("The endpoint of Secrets Manager", client.meta.endpoint_url)
        with interruptible():
            response = client.get_secret_value(SecretId=os.environ[SECRET_VARIABLE])
    try:
        secret = dict(json.loads(response["SecretString"]))
    except (KeyError, ValueError, TypeError):
        raise ConfigurationError(
            f"The secret {SECRET_VARIABLE} is not JSON with username and password.",
            "Use a secret of the Redshift type.",
        ) from None
    register_secret(str(secret.get("password") or ""))
    fields = {"username": "user", "password": "password", "host": "host", "port": "port", "dbname": "database"}
    found = {name: secret[field] for field, name in fields.items() if secret.get(field)}
    for name, parse in (("host", host_name), ("port", parse_port)):
        if name in found:
            found[name] = checked(f"The {name} in the secret of {SECRET_VARIABLE}", str(found[name]), parse)
    arguments = {name: value for name, value in found.items() if name not in given}
    _require(given | arguments, "host", "user", "password")
    return Method("a secret of Secrets Manager", arguments)


def _by_iam(given: dict[str, Any]) -> Method:
    if given.get("serverless_work_group"):
        return Method("IAM in a workgroup", {"iam": True})
    _require(given, "cluster_identifier")
    if not given.get("group_federation"):
        _require(given, "db_user")
    return Method("IAM on a cluster", {"iam": True})


def _by_identity_provider(given: dict[str, Any]) -> Method:
    provider = given["credentials_provider"]
    return Method("identity provider", {"iam": given.get("iam", provider not in WITHOUT_IAM)})


_METHODS: dict[str, Callable[[dict[str, Any]], Method]] = {
    "password": _by_password,
    "Secrets Manager": _by_secret,
    "IAM": _by_iam,
    "identity provider": _by_identity_provider,
}


def _require(given: dict[str, Any], *names: str) -> None:
    missing = [PREFIX + name.upper() for name in names if not given.get(name)]
    if missing:
        raise ConfigurationError(f"Not set: {', '.join(missing)}", "Set the missing variables (see README.md).")
