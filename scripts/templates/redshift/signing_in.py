"""Converts environment variables to the driver's sign-in arguments.

README.md lists the variables. Every option of ``redshift_connector.connect()`` has one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]
import redshift_connector
from mcpush.console import log
from mcpush.errors import ConfigurationError
from mcpush.interrupts import interruptible
from mcpush.redaction import register_secret

PREFIX = "REDSHIFT_"
SECRET_VARIABLE = "REDSHIFT_SECRET_ARN"  # noqa: S105 - the name of a variable
WORKGROUP_VARIABLE = "REDSHIFT_WORKGROUP"
TIMEOUT_VARIABLE = "REDSHIFT_STATEMENT_TIMEOUT"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
OWN_VARIABLES = (SECRET_VARIABLE, WORKGROUP_VARIABLE, TIMEOUT_VARIABLE)
SECRET_ENDINGS = ("password", "secret", "token", "secret_access_key")  # suffixes of the driver's options with secrets
# These plugins sign in to the database without IAM; the driver refuses a combination of both.
WITHOUT_IAM = (*redshift_connector.IDC_OR_NATIVE_IDP_PLUGINS_LIST, *redshift_connector.IDC_PLUGINS_LIST)


def parse_bool(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in known:
        raise ValueError("use true or false")
    return known[text.lower()]


def parse_list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


# The driver's options, each with the parser of its variable.
# https://docs.aws.amazon.com/redshift/latest/mgmt/python-configuration-options.html
OPTIONS: dict[str, Callable[[str], Any]] = {
    "user": str,
    "database": str,
    "password": str,
    "port": int,
    "host": str,
    "source_address": str,
    "unix_sock": str,
    "ssl": parse_bool,
    "sslmode": str,
    "timeout": int,
    "max_prepared_statements": int,
    "tcp_keepalive": parse_bool,
    "tcp_keepalive_idle": int,
    "tcp_keepalive_interval": int,
    "tcp_keepalive_count": int,
    "application_name": str,
    "idp_host": str,
    "db_user": str,
    "app_id": str,
    "app_name": str,
    "preferred_role": str,
    "principal_arn": str,
    "access_key_id": str,
    "secret_access_key": str,
    "session_token": str,
    "profile": str,
    "credentials_provider": str,
    "region": str,
    "cluster_identifier": str,
    "iam": parse_bool,
    "client_id": str,
    "idp_tenant": str,
    "client_secret": str,
    "partner_sp_id": str,
    "idp_response_timeout": int,
    "idp_partition": str,
    "listen_port": int,
    "login_to_rp": str,
    "login_url": str,
    "auto_create": parse_bool,
    "db_groups": parse_list,
    "force_lowercase": parse_bool,
    "allow_db_user_override": parse_bool,
    "client_protocol_version": int,
    "database_metadata_current_db_only": parse_bool,
    "enable_table_types": parse_bool,
    "ssl_insecure": parse_bool,
    "web_identity_token": str,
    "role_session_name": str,
    "role_arn": str,
    "iam_disable_cache": parse_bool,
    "auth_profile": str,
    "endpoint_url": str,
    "provider_name": str,
    "scope": str,
    "numeric_to_float": parse_bool,
    "is_serverless": parse_bool,
    "serverless_acct_id": str,
    "serverless_work_group": str,
    "group_federation": parse_bool,
    "identity_namespace": str,
    "idc_client_display_name": str,
    "idc_region": str,
    "issuer_url": str,
    "token": str,
    "token_type": str,
}


def arguments_from_environment() -> tuple[str, dict[str, Any]]:
    """Returns the name of the configured sign-in method, and the driver's arguments for it."""
    given = _from_environment()
    method = Method.of(given)
    return method.name, given | method.arguments


def _from_environment() -> dict[str, Any]:
    """Returns the variables as arguments of the driver."""
    arguments: dict[str, Any] = {}
    known = {*OWN_VARIABLES, *(PREFIX + name.upper() for name in OPTIONS)}
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        log.info("note: %s is not an option of the driver and is ignored", variable)
    for name, parse in OPTIONS.items():
        text = os.environ.get(PREFIX + name.upper(), "")
        if not text:
            continue
        try:
            arguments[name] = parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{PREFIX}{name.upper()} is invalid: {error}", "See README.md.") from None
    if workgroup := os.environ.get(WORKGROUP_VARIABLE):
        arguments |= {"serverless_work_group": workgroup, "is_serverless": True}
    for name, value in arguments.items():
        if name.endswith(SECRET_ENDINGS):
            register_secret(str(value))
    region = next((os.environ[name] for name in REGION_VARIABLES if os.environ.get(name)), None)
    if region:
        arguments.setdefault("region", region)
    return arguments


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
    return Method(f"password of {given['user']}", {})


def _by_secret(given: dict[str, Any]) -> Method:
    """Uses the secret's fields for arguments without a variable.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
    """
    client = boto3.Session(profile_name=given.get("profile")).client("secretsmanager", region_name=given.get("region"))
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
    if "port" in found:
        found["port"] = int(found["port"])
    arguments = {name: value for name, value in found.items() if name not in given}
    _require(given | arguments, "host", "user", "password")
    return Method("a secret of Secrets Manager", arguments)


def _by_iam(given: dict[str, Any]) -> Method:
    if given.get("serverless_work_group"):
        return Method(f"IAM in workgroup {given['serverless_work_group']}", {"iam": True})
    _require(given, "cluster_identifier")
    if not given.get("group_federation"):
        _require(given, "db_user")
    return Method(f"IAM on cluster {given['cluster_identifier']}", {"iam": True})


def _by_identity_provider(given: dict[str, Any]) -> Method:
    provider = given["credentials_provider"]
    return Method(f"identity provider {provider}", {"iam": given.get("iam", provider not in WITHOUT_IAM)})


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
