"""Sign-in methods for Snowflake: their environment variables, and the driver's arguments for them."""

from __future__ import annotations

from dataclasses import dataclass

import snowflake.connector

DRIVER_MAJOR = int(snowflake.connector.__version__.split(".")[0])

# Variable → argument of the driver. These variables also override a profile.
SESSION_VARIABLES = {
    "SNOWFLAKE_ROLE": "role",
    "SNOWFLAKE_WAREHOUSE": "warehouse",
    "SNOWFLAKE_DATABASE": "database",
}
# The account and user. SNOWFLAKE_HOST, _PORT and _PROTOCOL are only for private links and gateways.
ACCOUNT_VARIABLES = {
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_HOST": "host",
    "SNOWFLAKE_PORT": "port",
    "SNOWFLAKE_PROTOCOL": "protocol",
}
PROFILE_VARIABLE = "SNOWFLAKE_DEFAULT_CONNECTION_NAME"
AUTHENTICATOR_VARIABLE = "SNOWFLAKE_AUTHENTICATOR"
SECRET_ARGUMENTS = (  # arguments of the driver, from a profile or a variable
    "password",
    "token",
    "passcode",
    "private_key",
    "private_key_file_pwd",
    "private_key_passphrase",
    "private_key_password",
    "oauth_client_secret",
    "session_token",
    "master_token",
    "proxy_password",
)


@dataclass(frozen=True)
class Method:
    """A sign-in method. ``required`` and ``optional`` map variables to the driver's arguments."""

    name: str
    authenticator: str
    required: dict[str, str]
    optional: dict[str, str]
    needs_user: bool = True
    only_when_named: bool = False  # needs SNOWFLAKE_AUTHENTICATOR: its variables are ambiguous


PASSPHRASE_ARGUMENT = "private_key_file_pwd" if DRIVER_MAJOR < 5 else "private_key_password"
TOKEN = {"SNOWFLAKE_TOKEN": "token"}
TOKEN_FILE_VARIABLE = "SNOWFLAKE_TOKEN_FILE_PATH"  # noqa: S105 - a file with the value of SNOWFLAKE_TOKEN

# https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-connect
METHODS = (
    Method(
        "key pair",
        "SNOWFLAKE_JWT",
        required={"SNOWFLAKE_PRIVATE_KEY_FILE": "private_key_file"},
        optional={"SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": PASSPHRASE_ARGUMENT},
    ),
    Method("OAuth token", "OAUTH", required=TOKEN, optional={}, needs_user=False, only_when_named=True),
    Method(
        "programmatic access token",
        "PROGRAMMATIC_ACCESS_TOKEN",
        required=TOKEN,
        optional={},
        needs_user=False,
        only_when_named=True,
    ),
    Method(
        "OAuth client credentials",
        "OAUTH_CLIENT_CREDENTIALS",
        required={
            "SNOWFLAKE_OAUTH_CLIENT_ID": "oauth_client_id",
            "SNOWFLAKE_OAUTH_CLIENT_SECRET": "oauth_client_secret",
            "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": "oauth_token_request_url",
        },
        optional={"SNOWFLAKE_OAUTH_SCOPE": "oauth_scope"},
        needs_user=False,
    ),
    Method(
        "workload identity",
        "WORKLOAD_IDENTITY",
        required={"SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "workload_identity_provider"},
        optional=TOKEN,
        needs_user=False,
    ),
    Method("external browser", "EXTERNALBROWSER", required={}, optional={}, only_when_named=True),
    Method(
        "password with MFA",
        "USERNAME_PASSWORD_MFA",
        required={"SNOWFLAKE_PASSWORD": "password"},
        optional={"SNOWFLAKE_PASSCODE": "passcode"},
        only_when_named=True,
    ),
    Method(
        "password",
        "SNOWFLAKE",
        required={"SNOWFLAKE_PASSWORD": "password"},
        optional={"SNOWFLAKE_PASSCODE": "passcode"},
    ),
)
