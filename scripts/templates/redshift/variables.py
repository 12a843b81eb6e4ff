"""Reads the driver's options from environment variables, and refuses values that the driver could not use.

Every option of ``redshift_connector.connect()`` has a variable: ``REDSHIFT_`` and its name in upper case. Messages
never repeat a value, which can be a secret in the wrong variable.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from mcpush.console import log
from mcpush.encryption import require_encrypted_url, require_encryption
from mcpush.environment import checked, host_name, whole_number
from mcpush.redaction import register_secret

PREFIX = "REDSHIFT_"
SECRET_VARIABLE = "REDSHIFT_SECRET_ARN"  # noqa: S105 - the name of a variable
WORKGROUP_VARIABLE = "REDSHIFT_WORKGROUP"
TIMEOUT_VARIABLE = "REDSHIFT_STATEMENT_TIMEOUT"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
OWN_VARIABLES = (SECRET_VARIABLE, WORKGROUP_VARIABLE, TIMEOUT_VARIABLE)
AWS_ENDPOINT_PREFIX = "AWS_ENDPOINT_URL"  # also AWS_ENDPOINT_URL_<SERVICE>
SECRET_ENDINGS = ("password", "secret", "token", "secret_access_key")  # suffixes of the driver's options with secrets
LONGEST_NAME = 127  # bytes
URL_OPTIONS = ("endpoint_url", "login_url", "issuer_url")  # credentials are sent to them, or come from them


def parse_bool(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in known:
        raise ValueError("use true or false")
    return known[text.lower()]


def parse_list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def parse_name(text: str) -> str:
    """The name of a user or database: https://docs.aws.amazon.com/redshift/latest/dg/r_names.html"""
    if len(text.encode()) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"use a name of at most {LONGEST_NAME} bytes, on one line")
    return text


def parse_ssl_mode(text: str) -> str:
    """The driver replaces other modes by one that does not refuse a certificate for another name."""
    if text not in ("verify-ca", "verify-full"):
        raise ValueError("use verify-full or verify-ca")
    return text


def parse_identity_provider(text: str) -> str:
    """A host name, with a port or without."""
    host, colon, port = text.rpartition(":")
    host_name(host if colon else text)
    if colon:
        parse_port(port)
    return text


parse_port = whole_number(1, 65_535)
parse_count = whole_number(0, 2**31 - 1)
parse_seconds = whole_number(1, 2_147_483)  # Redshift has the statement timeout in milliseconds, in 32 bits
parse_keepalive = whole_number(1, 32_767)  # the limit of Linux

# https://docs.aws.amazon.com/redshift/latest/mgmt/python-configuration-options.html
OPTIONS: dict[str, Callable[[str], Any]] = {
    "user": parse_name,
    "database": parse_name,
    "password": str,
    "port": parse_port,
    "host": host_name,
    "source_address": host_name,
    "unix_sock": str,
    "ssl": parse_bool,
    "sslmode": parse_ssl_mode,
    "timeout": parse_seconds,
    "max_prepared_statements": parse_count,
    "tcp_keepalive": parse_bool,
    "tcp_keepalive_idle": parse_keepalive,
    "tcp_keepalive_interval": parse_keepalive,
    "tcp_keepalive_count": parse_keepalive,
    "application_name": str,
    "idp_host": parse_identity_provider,
    "db_user": parse_name,
    "app_id": str,
    "app_name": str,
    "preferred_role": str,
    "principal_arn": str,
    "access_key_id": str,
    "secret_access_key": str,
    "session_token": str,
    "profile": str,
    "credentials_provider": str,
    "region": host_name,  # a part of the host name of AWS
    "cluster_identifier": str,
    "iam": parse_bool,
    "client_id": str,
    "idp_tenant": str,
    "client_secret": str,
    "partner_sp_id": str,
    "idp_response_timeout": parse_seconds,
    "idp_partition": str,
    "listen_port": parse_port,
    "login_to_rp": str,
    "login_url": str,
    "auto_create": parse_bool,
    "db_groups": parse_list,
    "force_lowercase": parse_bool,
    "allow_db_user_override": parse_bool,
    "client_protocol_version": parse_count,
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
    "idc_region": host_name,
    "issuer_url": str,
    "token": str,
    "token_type": str,
}


def options_from_environment() -> dict[str, Any]:
    """Returns the variables as arguments of the driver. Raises ConfigurationError if a value is not valid."""
    known = {*OWN_VARIABLES, *(PREFIX + name.upper() for name in OPTIONS)}
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        log.info("note: %s is not an option of the driver and is ignored", variable)
    found = {name: _value(PREFIX + name.upper(), parse) for name, parse in OPTIONS.items()}
    arguments = {name: value for name, value in found.items() if value is not None}
    if workgroup := os.environ.get(WORKGROUP_VARIABLE):
        arguments |= {"serverless_work_group": workgroup, "is_serverless": True}
    for name, value in arguments.items():
        if name.endswith(SECRET_ENDINGS):
            register_secret(str(value))
    regions = [_value(name, host_name) for name in REGION_VARIABLES]
    if region := next(filter(None, regions), None):
        arguments.setdefault("region", region)
    _require_encrypted_urls(arguments)
    return arguments


def statement_timeout(default: int) -> int:
    """Returns the maximum duration of a statement in seconds."""
    return _value(TIMEOUT_VARIABLE, parse_seconds) or default


def _value(variable: str, parse: Callable[[str], Any]) -> Any:
    """Returns the parsed value; None if the variable is not set or empty."""
    text = os.environ.get(variable, "")
    return checked(variable, text, parse) if text else None


def _require_encrypted_urls(arguments: dict[str, Any]) -> None:
    for name in URL_OPTIONS:
        if name in arguments:
            require_encrypted_url(PREFIX + name.upper(), arguments[name])


def require_encrypted_aws() -> None:
    """Raises ConfigurationError if a variable of the SDK sends requests unencrypted: AWS returns database passwords."""
    for variable, url in os.environ.items():
        if variable.startswith(AWS_ENDPOINT_PREFIX) and url:
            require_encrypted_url(variable, url)


def require_encrypted_connection(arguments: dict[str, Any]) -> None:
    """Raises ConfigurationError if these arguments of the driver send data unencrypted to another machine."""
    if arguments.get("ssl") is False and not arguments.get("unix_sock"):
        require_encryption(f"{PREFIX}SSL=false", str(arguments.get("host") or ""))
