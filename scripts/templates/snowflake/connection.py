"""Opens Snowflake: the one place of this folder that authenticates.

From environment variables, or from a profile of the driver's own ``connections.toml``, to an open connection. Needs
``snowflake-connector-python`` 4 or 5. README.md lists the variables; every method of the driver that they do not
name works through a profile.

    with connect() as connection:
        for name, text in stream(connection, "SELECT …", (since, until)):
            ...

The session only ever runs SELECT and SHOW. Parameters of a session:
https://docs.snowflake.com/en/sql-reference/parameters
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import snowflake.connector
from mcpush.console import say
from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError
from mcpush.interrupts import stop_if_asked
from mcpush.redaction import register_secret
from mcpush.version import RELEASE
from snowflake.connector import SnowflakeConnection
from snowflake.connector.config_manager import CONFIG_MANAGER
from snowflake.connector.errors import (
    DatabaseError,
    Error,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)

# Version 5 warns of AWS credentials that it does not find and does not need. What fails it raises as well.
logging.getLogger("snowflake.connector._core").setLevel(logging.CRITICAL)

PRODUCT = "push-ingestion"
LOGIN_TIMEOUT = 60  # seconds; a server that is not there is known within a minute
REQUEST_TIMEOUT = 120  # seconds for one request with its retries; a running query is asked for again and again
FETCH_ROWS = 1_000  # rows handed over at a time; the driver itself holds a chunk of the result
SHOW_ROW_CAP = 10_000  # SHOW answers with at most so many rows (page of each SHOW command)
DRIVER_MAJOR = int(snowflake.connector.__version__.split(".")[0])

# ADAPT: a slow account with a very long query history may need a longer statement timeout; a machine with
# memory to spare may raise threads and chunk size to fetch faster.
SESSION_PARAMETERS: dict[str, Any] = {
    "QUERY_TAG": f"{PRODUCT} {RELEASE}",  # so that the customer finds, and can filter out, what we ran
    "TIMEZONE": "UTC",
    # What an account or a user may have set otherwise, and what would then change the answers unnoticed:
    "ROWS_PER_RESULTSET": 0,  # rows after which every result ends; 0: none is cut
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,  # True would look for "My Table" as MY TABLE
    "TIMESTAMP_INPUT_FORMAT": "AUTO",  # windows are bound as ISO 8601 text
    "STATEMENT_TIMEOUT_IN_SECONDS": 3_600,
    "CLIENT_PREFETCH_THREADS": 1,  # chunks fetched ahead of the one being read
    "CLIENT_RESULT_CHUNK_SIZE": 48,  # MB of one chunk, uncompressed (default 160)
    "CLIENT_MEMORY_LIMIT": 64,  # MB the driver (version 5) may hold in chunks fetched ahead (default 1536)
}

# The driver's argument for what a variable holds. These may also override what a profile says.
SESSION_VARIABLES = {
    "SNOWFLAKE_ROLE": "role",
    "SNOWFLAKE_WAREHOUSE": "warehouse",
    "SNOWFLAKE_DATABASE": "database",
}
# Where the account is; SNOWFLAKE_HOST and the following two only for private links and gateways.
ACCOUNT_VARIABLES = {
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_HOST": "host",
    "SNOWFLAKE_PORT": "port",
    "SNOWFLAKE_PROTOCOL": "protocol",
}
PROFILE_VARIABLE = "SNOWFLAKE_DEFAULT_CONNECTION_NAME"
AUTHENTICATOR_VARIABLE = "SNOWFLAKE_AUTHENTICATOR"
SECRET_ARGUMENTS = (  # of the driver, whether a profile or a variable gives them
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


# --- how to sign in --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """One way to sign in: ``required`` and ``optional`` map variables to the driver's arguments."""

    name: str
    authenticator: str
    required: dict[str, str]
    optional: dict[str, str]
    needs_user: bool = True
    only_when_named: bool = False  # SNOWFLAKE_AUTHENTICATOR has to say it: its variables do not tell it apart


PASSPHRASE_ARGUMENT = "private_key_file_pwd" if DRIVER_MAJOR < 5 else "private_key_password"
TOKEN = {"SNOWFLAKE_TOKEN": "token"}
TOKEN_FILE_VARIABLE = "SNOWFLAKE_TOKEN_FILE_PATH"  # noqa: S105 - its content stands in for SNOWFLAKE_TOKEN

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


def _set(names: Sequence[str] | dict[str, str]) -> list[str]:
    return [name for name in names if os.environ.get(name)]


def _credential_variables() -> list[str]:
    """Every variable that carries a credential, in the order of METHODS, without repeats."""
    names = [name for method in METHODS for name in [*method.required, *method.optional]]
    return list(dict.fromkeys([*names, TOKEN_FILE_VARIABLE]))


def _arguments() -> tuple[str, dict[str, Any]]:
    """What the variables ask for: a sentence about the method, and the driver's arguments."""
    if _set([PROFILE_VARIABLE]) or not _set([*ACCOUNT_VARIABLES, *_credential_variables()]):
        about, arguments = _profile_arguments()
    else:
        about, arguments = _variable_arguments()
    arguments |= {SESSION_VARIABLES[name]: os.environ[name] for name in _set(SESSION_VARIABLES)}
    return about, arguments


def _profile_arguments() -> tuple[str, dict[str, Any]]:
    """A profile of connections.toml; the folder is the driver's: SNOWFLAKE_HOME, ~/.snowflake or the system's."""
    too_many = _set([*ACCOUNT_VARIABLES, *_credential_variables(), AUTHENTICATOR_VARIABLE])
    if too_many:
        raise ConfigurationError(
            f"{PROFILE_VARIABLE} names a profile, and {', '.join(too_many)} would say something else",
            f"Unset {PROFILE_VARIABLE} to use the variables, or the variables to use the profile.",
        )
    try:
        name = str(CONFIG_MANAGER["default_connection_name"])
        profiles: dict[str, Any] = dict(CONFIG_MANAGER["connections"] or {})  # type: ignore[arg-type]
    except Error as error:
        raise ConfigurationError(
            f"the driver cannot read its connections.toml: {error}",
            "It must be TOML, in the folder SNOWFLAKE_HOME names or ~/.snowflake, readable by its owner only.",
        ) from None
    if name not in profiles:
        raise ConfigurationError(
            f"there is no profile {name!r} in connections.toml"
            + (f"; there are {', '.join(sorted(profiles))}" if profiles else ""),
            f"Set SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and a credential, or {PROFILE_VARIABLE} (see README.md).",
        )
    _register_secrets(profiles[name])
    return f"profile {name!r}", {"connection_name": name}


def _register_secrets(arguments: dict[str, Any]) -> None:
    """Have them masked in everything printed, short ones (a passcode has six digits) as well."""
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
            f"signing in with {method.name} needs {', '.join(missing)}", "Set what is missing; README.md lists all."
        )
    if key_file := values.get("SNOWFLAKE_PRIVATE_KEY_FILE"):
        values["SNOWFLAKE_PRIVATE_KEY_FILE"] = _checked_key_file(key_file)
    names = {**ACCOUNT_VARIABLES, **method.required, **method.optional}
    arguments: dict[str, Any] = {names[name]: value for name, value in values.items()}
    _register_secrets(arguments)
    if "port" in arguments:
        arguments["port"] = _port(arguments["port"])
    authenticator = os.environ.get(AUTHENTICATOR_VARIABLE) or method.authenticator
    return f"{method.name} for account {arguments['account']}", arguments | {"authenticator": authenticator}


def _method() -> Method:
    """The method that SNOWFLAKE_AUTHENTICATOR names, or the only one whose variables are set."""
    named = os.environ.get(AUTHENTICATOR_VARIABLE, "")
    if named:
        return _named_method(named)
    if _set([*TOKEN, TOKEN_FILE_VARIABLE]) and not _set(["SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER"]):
        raise ConfigurationError(
            "a token is set, and it does not tell of which kind it is",
            f"Set {AUTHENTICATOR_VARIABLE} to OAUTH or to PROGRAMMATIC_ACCESS_TOKEN.",
        )
    possible = [method for method in METHODS if not method.only_when_named and _set(method.required)]
    if not possible:
        raise ConfigurationError(
            "no credential is set for Snowflake",
            "Set SNOWFLAKE_PRIVATE_KEY_FILE, SNOWFLAKE_TOKEN or SNOWFLAKE_PASSWORD, or name a profile with "
            f"{PROFILE_VARIABLE} (see README.md).",
        )
    return possible[0]


def _named_method(named: str) -> Method:
    if named.lower().startswith("https://"):  # Okta's own address: the password goes there
        return METHODS[-1]
    for method in METHODS:
        if method.authenticator == named.upper():
            return method
    raise ConfigurationError(
        f"{AUTHENTICATOR_VARIABLE} is {named!r}, which these scripts do not know",
        f"Use one of {', '.join(method.authenticator for method in METHODS)}, or a profile, which takes them all.",
    )


def _check_credentials(method: Method) -> None:
    """Refuse credentials of another method: which one counts would be a guess."""
    own = {*method.required, *method.optional}
    if TOKEN.keys() & own:
        own.add(TOKEN_FILE_VARIABLE)
    others = [name for name in _set(_credential_variables()) if name not in own]
    if others:
        raise ConfigurationError(
            f"{', '.join(others)} cannot be used together with {', '.join(_set(sorted(own))) or method.name}",
            f"Unset one of them, or set {AUTHENTICATOR_VARIABLE} and only what belongs to it.",
        )


def _token_from_file() -> str:
    if _set([*TOKEN]):
        raise ConfigurationError(f"SNOWFLAKE_TOKEN and {TOKEN_FILE_VARIABLE} both give a token", "Unset one of them.")
    path = Path(os.environ[TOKEN_FILE_VARIABLE]).expanduser()
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"cannot read the token in {path}: {error}", f"Correct {TOKEN_FILE_VARIABLE}."
        ) from None
    register_secret(token)
    return token


def _checked_key_file(path: str) -> str:
    """The path with ``~`` written out, once the file is found to be a private key that can be opened."""
    path = str(Path(path).expanduser())
    try:
        start = Path(path).read_bytes()[:64]
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the private key in {path}: {error.strerror}", "Correct SNOWFLAKE_PRIVATE_KEY_FILE."
        ) from None
    if b"PUBLIC KEY" in start:
        raise ConfigurationError(f"{path} holds the public key", "Sign in with the private one, rsa_key.p8.")
    if b"ENCRYPTED" in start and not _set(["SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"]):
        raise ConfigurationError(f"the private key in {path} is encrypted", "Set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE.")
    return path


def _port(text: str) -> int:
    if not text.isdecimal():
        raise ConfigurationError(f"SNOWFLAKE_PORT is {text!r}, not a number")
    return int(text)


# --- the connection --------------------------------------------------------------------------------------


@contextmanager
def connect() -> Iterator[SnowflakeConnection]:
    """An open session, closed at the end. Says on stderr how it signs in.

    Raises ConfigurationError for variables that are missing or contradict each other, and the driver's errors,
    which ``explain`` turns into ours.
    """
    about, arguments = _arguments()
    say(f"connecting to Snowflake: {about}")
    connection = _open(arguments)
    try:
        yield connection
    finally:
        try:
            connection.close()
        except Exception as error:  # the work is done or has failed already: its own outcome is what counts
            say(f"note: closing the session failed: {error}")


def _open(arguments: dict[str, Any]) -> SnowflakeConnection:
    try:
        return snowflake.connector.connect(
            **arguments,
            **_timeouts(),
            application="push_ingestion",
            paramstyle="qmark",  # values travel apart from the SQL text
            client_session_keep_alive=True,  # a slow reader must not lose its session
            session_parameters=SESSION_PARAMETERS,
        )
    except (ValueError, TypeError) as error:  # version 4 lets through what its cryptography library says of a key
        raise ConfigurationError(f"Snowflake's driver: {error}", WRONG_LOCALLY) from None


def _timeouts() -> dict[str, Any]:
    """The same limits in the words of the driver's two generations."""
    if DRIVER_MAJOR < 5:
        return {"login_timeout": LOGIN_TIMEOUT, "network_timeout": REQUEST_TIMEOUT}
    return {
        "login_timeout": LOGIN_TIMEOUT,
        "request_timeout": REQUEST_TIMEOUT,  # query_timeout would limit the query itself: the server does that
        "retry_timeout": REQUEST_TIMEOUT,
        "enable_server_session_keep_alive_auto_detection": False,  # no query of ours outlives the session
    }


def quote(identifier: str) -> str:
    """The identifier as SQL takes it literally: in double quotes, embedded ones doubled."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a SQL string, for commands that take no bound values."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def timestamp(moment: datetime) -> str:
    """The moment as a text with an offset, to be bound: TIMESTAMP_INPUT_FORMAT of the session reads it."""
    return moment.isoformat(timespec="microseconds")


def stream(connection: SnowflakeConnection, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
    """Run the query now, hand out its rows one at a time; ``?`` in the SQL takes the values."""
    cursor = connection.cursor()
    cursor.execute(sql, tuple(values)) if values else cursor.execute(sql)

    def rows() -> Iterator[tuple[Any, ...]]:
        try:
            while batch := cursor.fetchmany(FETCH_ROWS):
                stop_if_asked()
                yield from batch
        finally:
            cursor.close()

    return rows()


def show(connection: SnowflakeConnection, sql: str) -> Iterator[dict[str, Any]]:
    """Run a SHOW command now, hand out its rows by lower-case column name: their order may change."""
    cursor = connection.cursor()
    cursor.execute(sql)
    names = [column[0].lower() for column in cursor.description or []]

    def rows() -> Iterator[dict[str, Any]]:
        try:
            while batch := cursor.fetchmany(FETCH_ROWS):
                stop_if_asked()
                for row in batch:
                    yield dict(zip(names, row, strict=True))
        finally:
            cursor.close()

    return rows()


# --- what went wrong ------------------------------------------------------------------------------------------

# Snowflake answers 002003 for what is missing and for what the role may not see, and does not tell which:
# https://docs.snowflake.com/en/user-guide/security-access-control-overview
MISSING_OR_DENIED = {2003, 2043}
NOT_GRANTED = {3001}
SHARE_GONE = {3030}  # "Shared database is no longer available for use": its provider took it back
UNREADABLE = MISSING_OR_DENIED | NOT_GRANTED | SHARE_GONE
NO_WAREHOUSE = {606}
# What ends a statement that is right in itself. No page lists the numbers; these are the words they come with.
CUT_SHORT = {
    603: "Snowflake failed within: run the same command again; its support takes the query id.",
    604: "The statement was cancelled: run the same command again, or ask who cancels statements.",
    608: "The warehouse is suspended: resume it, or let it resume by itself (AUTO_RESUME), and run again.",
    630: "The statement took too long: raise STATEMENT_TIMEOUT_IN_SECONDS (in connection.py and of the warehouse), "
    "use a larger warehouse or a shorter window.",
}
QUOTA_USED_UP = {90_073}  # "cannot be resumed because resource monitor … has exceeded its quota"
# INFORMATION_SCHEMA and SHOW refuse to answer at too great a length; the pages give no numbers.
# https://docs.snowflake.com/en/sql-reference/info-schema
TOO_MUCH = ("too much data", "exceeded the max number of rows")
SIGN_IN_ERRORS = range(390_000, 396_000)
# No account, user, password or a value the driver does not take; 250001 also stands for a key it cannot use.
LOCAL_ERRORS = {250_001, 251_001, 251_005, 251_006, 251_007}
HTTP_ERRORS = range(290_000, 291_000)  # version 4: 290000 and the HTTP status of an answer that is no answer
VENDORED = "snowflake.connector.vendored."  # version 4 lets through what its copy of requests says of the network
# The session ended (idle, closed by an administrator, token run out): signing in anew helps.
SESSION_ENDED = {390_111, 390_112, 390_113, 390_114, 390_115}
WRONG_LOCALLY = "Correct the key file, its passphrase or the profile (see README.md)."
CHECK_ADDRESS = "Check SNOWFLAKE_ACCOUNT; a network policy may refuse this machine's address."
TRY_AGAIN = "Check the network and status.snowflake.com, then run the same command again."
MISSING_GRANTS = "Grant what README.md lists to the role, or correct SNOWFLAKE_ROLE."
ASK = "Run the same command again; if it stays, ask with the number and the query id (QUERY_HISTORY has the statement)."
SIGN_IN_REMEDIES = {
    390_100: "Check user and password; password-only sign-in may be switched off: use a key pair or a token.",
    390_102: "The user is disabled or locked: ask an administrator (DESCRIBE USER).",
    390_144: "The key does not belong to the user, or the clock is wrong: compare RSA_PUBLIC_KEY_FP in DESCRIBE USER.",
    390_189: "Grant the role to the user, or correct SNOWFLAKE_ROLE.",
    390_201: "Grant USAGE on the object to the role, or correct the variable.",
    390_303: "The OAuth token is not valid for this account: get a new one.",
    390_318: "The OAuth token has expired: get a new one.",
    390_422: "A network policy refuses this machine's address: ask an administrator.",
}


def is_unreadable(error: BaseException) -> bool:
    """Whether the object is missing, not granted or no longer shared: it can be skipped, the rest goes on."""
    return isinstance(error, ProgrammingError) and error.errno in UNREADABLE


def is_too_much(error: BaseException) -> bool:
    """Whether INFORMATION_SCHEMA refused a whole database as too much (schema by schema it will answer), or SHOW."""
    return isinstance(error, DatabaseError) and any(words in str(error).lower() for words in TOO_MUCH)


def explain(error: BaseException) -> PushIngestionError | None:
    """The driver's error as one of ours, with a remedy; None when it is not the driver's."""
    text = f"Snowflake: {str(error).strip()}"
    if type(error).__module__.startswith(VENDORED):
        return UnavailableError(text, TRY_AGAIN)
    if not isinstance(error, Error):
        return None
    number = error.errno if isinstance(error.errno, int) else -1
    return _by_number(number, text) or _by_kind(error, number, text) or PushIngestionError(text, ASK)


def _by_number(number: int, text: str) -> PushIngestionError | None:
    if number in SESSION_ENDED:
        return UnavailableError(text, "The session ended meanwhile: run the same command again.")
    if number in SIGN_IN_ERRORS:
        return RefusedError(text, SIGN_IN_REMEDIES.get(number, "Check credentials, role and network policy."))
    if number in NO_WAREHOUSE:
        return ConfigurationError(text, "Set SNOWFLAKE_WAREHOUSE and grant USAGE on it to the role.")
    if number in CUT_SHORT:
        return UnavailableError(text, CUT_SHORT[number])
    if number in QUOTA_USED_UP:
        return RefusedError(
            text, "Raise the resource monitor's quota, wait for its next period, or use another warehouse."
        )
    if number in UNREADABLE:
        return RefusedError(text, MISSING_GRANTS)
    return None


def _by_kind(error: Error, number: int, text: str) -> PushIngestionError | None:
    if _is_http_refusal(text):
        return RefusedError(text, CHECK_ADDRESS)
    if number in HTTP_ERRORS:
        return UnavailableError(text, TRY_AGAIN)
    if _is_local(error, text):
        return ConfigurationError(text, WRONG_LOCALLY)
    if isinstance(error, (OperationalError, InterfaceError, InternalError)) or "http request" in text.lower():
        return UnavailableError(text, TRY_AGAIN)
    return None


def _is_http_refusal(text: str) -> bool:
    """The two generations of the driver say it only in words: no such account, or the address is not let in."""
    return any(words in text for words in ("HTTP 403", "status: 403", "HTTP 404", "status: 404"))


def _is_local(error: Error, text: str) -> bool:
    """Whether the driver gave up before asking anyone: an unreadable key, a wrong passphrase, a bad argument."""
    lowered = text.lower()
    asked = "http" in lowered or "could not connect" in lowered
    return "configuration error" in lowered or (not asked and error.errno in LOCAL_ERRORS)
