"""Opens Amazon Redshift: the one place of this folder that authenticates.

From environment variables to open sessions, on provisioned clusters and on Serverless. Needs ``redshift-connector``
2.2 or later. README.md lists the variables; every option of ``redshift_connector.connect()`` has one.

    with connect() as warehouse:
        for row in warehouse.main.rows("SELECT …", since=since):
            ...
        with warehouse.within("analytics") as session:
            ...

A session only ever runs SELECT, SHOW and SET. The driver keeps a whole result in memory, so large ones are asked for in
pages by those who want them (query_history.py).
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]
import redshift_connector
from mcpush.console import say
from mcpush.errors import ConfigurationError, PushIngestionError, RefusedError, UnavailableError
from mcpush.interrupts import stop_if_asked
from mcpush.redaction import register_secret
from mcpush.version import RELEASE
from redshift_connector.error import Error, InterfaceError, OperationalError

PRODUCT = "push-ingestion"
PREFIX = "REDSHIFT_"
DEFAULT_DATABASE = "dev"  # the one every new cluster and namespace has
DEFAULT_PORT = 5439
# ADAPT: a cluster with a very long query history or a very large catalog may need longer for one statement.
DEFAULT_STATEMENT_TIMEOUT = 900  # seconds
NETWORK_GRACE = 60  # seconds a socket may stay silent beyond the statement's own limit

SECRET_VARIABLE = "REDSHIFT_SECRET_ARN"  # noqa: S105 - the name of a variable
WORKGROUP_VARIABLE = "REDSHIFT_WORKGROUP"
TIMEOUT_VARIABLE = "REDSHIFT_STATEMENT_TIMEOUT"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
OWN_VARIABLES = (SECRET_VARIABLE, WORKGROUP_VARIABLE, TIMEOUT_VARIABLE)
SECRET_ENDINGS = ("password", "secret", "token", "secret_access_key")  # how the driver's options with secrets end
# These plugins sign in to the database itself: IAM has no part in it, and the driver refuses both together.
WITHOUT_IAM = (*redshift_connector.IDC_OR_NATIVE_IDP_PLUGINS_LIST, *redshift_connector.IDC_PLUGINS_LIST)


# --- how to sign in --------------------------------------------------------------------------------------------


def _options() -> dict[str, Callable[[str], Any]]:
    """The driver's own options by name, each with what reads its value: its signature says which type it wants.

    https://docs.aws.amazon.com/redshift/latest/mgmt/python-configuration-options.html
    """
    readers: dict[str, Callable[[str], Any]] = {"bool": _truth, "int": int, "List[str]": _words}
    options = {}
    for name, parameter in inspect.signature(redshift_connector.connect).parameters.items():
        annotation = str(parameter.annotation)
        options[name] = next((read for kind, read in readers.items() if kind in annotation), str)
    return options


def _truth(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in known:
        raise ValueError("write true or false")
    return known[text.lower()]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _from_environment() -> dict[str, Any]:
    """What the variables say, as arguments of the driver."""
    arguments: dict[str, Any] = {}
    options = _options()
    known = {*OWN_VARIABLES, *(PREFIX + name.upper() for name in options)}
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        say(f"note: {variable} is no option of the driver and is ignored")
    for name, read in options.items():
        text = os.environ.get(PREFIX + name.upper(), "")
        if not text:
            continue
        try:
            arguments[name] = read(text)
        except ValueError as error:
            raise ConfigurationError(
                f"{PREFIX}{name.upper()} cannot be used: {error}", "README.md lists all."
            ) from None
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
    """One way to sign in, and what it needs beside the variables already read."""

    name: str
    arguments: dict[str, Any]

    @classmethod
    def of(cls, given: dict[str, Any]) -> Method:
        """The way the variables ask for. Two ways at once are refused: which one counts would be a guess."""
        chosen = [name for name, is_asked in _asked(given).items() if is_asked]
        if len(chosen) > 1:
            raise ConfigurationError(
                f"the variables ask for several ways to sign in: {', '.join(chosen)}",
                "Unset what belongs to the others (README.md says what belongs where).",
            )
        if not chosen:
            raise ConfigurationError(
                "no credential is set for Redshift",
                "Set REDSHIFT_USER and REDSHIFT_PASSWORD, REDSHIFT_SECRET_ARN, REDSHIFT_CLUSTER_IDENTIFIER with "
                "REDSHIFT_DB_USER, REDSHIFT_WORKGROUP, or REDSHIFT_CREDENTIALS_PROVIDER (see README.md).",
            )
        return _METHODS[chosen[0]](given)


def _asked(given: dict[str, Any]) -> dict[str, bool]:
    """Which ways the variables ask for. A cluster's identifier beside a password is only a name."""
    by_secret = bool(os.environ.get(SECRET_VARIABLE))
    by_provider = bool(given.get("credentials_provider"))
    by_password = bool(given.get("password")) and not by_provider  # some plugins take it for themselves
    on_aws = bool(given.get("serverless_work_group") or given.get("cluster_identifier"))
    others = by_secret or by_provider or by_password
    return {
        "Secrets Manager": by_secret,
        "identity provider": by_provider,
        "password": by_password,
        "IAM": (given.get("iam") is True and not by_provider) or (on_aws and not others),
    }


def _by_password(given: dict[str, Any]) -> Method:
    _need(given, "host", "user")
    return Method(f"password of {given['user']}", {})


def _by_secret(given: dict[str, Any]) -> Method:
    """The secret's fields fill what no variable says.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
    """
    client = boto3.Session(profile_name=given.get("profile")).client("secretsmanager", region_name=given.get("region"))
    answer = client.get_secret_value(SecretId=os.environ[SECRET_VARIABLE])
    try:
        secret = dict(json.loads(answer["SecretString"]))
    except (KeyError, ValueError, TypeError):
        raise ConfigurationError(
            f"the secret of {SECRET_VARIABLE} is not JSON with username and password", "Use a Redshift secret."
        ) from None
    register_secret(str(secret.get("password") or ""))
    fields = {"username": "user", "password": "password", "host": "host", "port": "port", "dbname": "database"}
    found = {name: secret[field] for field, name in fields.items() if secret.get(field)}
    if "port" in found:
        found["port"] = int(found["port"])
    arguments = {name: value for name, value in found.items() if name not in given}
    _need(given | arguments, "host", "user", "password")
    return Method("a secret of Secrets Manager", arguments)


def _by_iam(given: dict[str, Any]) -> Method:
    if given.get("serverless_work_group"):
        return Method(f"IAM in workgroup {given['serverless_work_group']}", {"iam": True})
    _need(given, "cluster_identifier")
    if not given.get("group_federation"):
        _need(given, "db_user")
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


def _need(given: dict[str, Any], *names: str) -> None:
    missing = [PREFIX + name.upper() for name in names if not given.get(name)]
    if missing:
        raise ConfigurationError(f"signing in needs {', '.join(missing)}", "Set what is missing; README.md lists all.")


# --- sessions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """A session in one database."""

    connection: Any
    database: str

    def rows(self, sql: str, **values: object) -> Iterator[tuple[Any, ...]]:
        """Run the statement now, hand out its rows; ``:name`` in the SQL takes the values."""
        return _rows(self._execute(sql, values))

    def named_rows(self, sql: str) -> Iterator[dict[str, Any]]:
        """Run the command now, hand out its rows by lower-case column name: SHOW gains columns over time."""
        cursor = self._execute(sql, {})
        names = [str(column[0]).lower() for column in cursor.description or []]
        return (dict(zip(names, row, strict=True)) for row in _rows(cursor))

    def _execute(self, sql: str, values: dict[str, object]) -> Any:
        cursor = self.connection.cursor()
        cursor.paramstyle = "named"
        cursor.execute(sql, values) if values else cursor.execute(sql)
        return cursor


def _rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    for row in cursor:
        stop_if_asked()
        yield tuple(row)


@dataclass(frozen=True)
class Warehouse:
    """A cluster or workgroup: its main session, and sessions in its other databases on request."""

    main: Session
    arguments: dict[str, Any]
    statement_timeout: int

    @contextmanager
    def within(self, database: str) -> Iterator[Session]:
        """A session in this database: the main one, or another that is closed at the end."""
        if database == self.main.database:
            yield self.main
            return
        session = _open(replace(self, arguments=self.arguments | {"database": database}))
        try:
            yield session
        finally:
            _close(session)


@contextmanager
def connect() -> Iterator[Warehouse]:
    """An open warehouse, closed at the end. Says on stderr how it signs in.

    Raises ConfigurationError for variables that are missing or contradict each other, and the driver's errors,
    which ``explain`` turns into ours.
    """
    given = _from_environment()
    method = Method.of(given)
    timeout = _statement_timeout()
    arguments = {
        "database": DEFAULT_DATABASE,
        "port": DEFAULT_PORT,
        "ssl": True,
        "sslmode": "verify-full",
        "application_name": f"{PRODUCT}/{RELEASE}",  # https://docs.aws.amazon.com/redshift/latest/dg/SYS_CONNECTION_LOG.html
        # The driver has one limit for connecting and for reading: it has to outlast the longest statement.
        "timeout": timeout + NETWORK_GRACE,
        **given,
        **method.arguments,
    }
    say(f"connecting to Redshift: {method.name}, database {arguments['database']}")
    warehouse = Warehouse(Session(None, arguments["database"]), arguments, timeout)
    session = _open(warehouse)
    try:
        yield replace(warehouse, main=session)
    finally:
        _close(session)


def _statement_timeout() -> int:
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise ConfigurationError(f"{TIMEOUT_VARIABLE} is {text!r}, not a number of seconds", "Write 900, for instance.")
    return int(text or DEFAULT_STATEMENT_TIMEOUT)


def _open(warehouse: Warehouse) -> Session:
    connection = redshift_connector.connect(**warehouse.arguments)
    connection.autocommit = True  # no transaction stays open while someone reads slowly
    session = Session(connection, warehouse.arguments["database"])
    # https://docs.aws.amazon.com/redshift/latest/dg/r_statement_timeout.html (milliseconds)
    session.rows(f"SET statement_timeout TO {warehouse.statement_timeout * 1000}")
    # The label under which our own statements stand in SYS_QUERY_HISTORY, so that they can be told apart.
    # https://docs.aws.amazon.com/redshift/latest/dg/r_query_group.html
    session.rows(f"SET query_group TO '{PRODUCT}'")
    # By default Redshift lower-cases even what is quoted, and SHOW TABLES would not find "Sales".
    # https://docs.aws.amazon.com/redshift/latest/dg/r_enable_case_sensitive_identifier.html
    session.rows("SET enable_case_sensitive_identifier TO true")
    return session


def _close(session: Session) -> None:
    with suppress(Exception):  # the work is done or has failed already: its own outcome is what counts
        session.connection.close()


def quote(identifier: str) -> str:
    """The identifier as SQL takes it literally: in double quotes, embedded ones doubled.

    Its case counts because ``_open`` asks for that.
    """
    return '"' + identifier.replace('"', '""') + '"'


# --- what went wrong -----------------------------------------------------------------------------------------

# https://www.postgresql.org/docs/8.0/errcodes-appendix.html
WRONG_CREDENTIALS = ("28000", "28P01")
NOT_GRANTED = "42501"
NO_SUCH_DATABASE = "3D000"
NO_SUCH_OBJECT = ("42P01", "3F000", "42704")
NOT_ACCEPTING = "55000"  # of a database: it does not accept connections
CANCELED = "57014"
LACKING = ("42703", "42883", "42704", "42P01")  # column, function, parameter, view
NOT_OFFERED = "0A000"
IN_FAILED_TRANSACTION = "25P02"
INTERNAL = "XX000"
UNREACHABLE_CLASSES = ("08", "53", "57", "58")  # connection, resources, shutdown, the server's own trouble
NOT_ALLOWED = ("AccessDenied", "UnauthorizedOperation")
AWS_REFUSALS = (
    *NOT_ALLOWED,
    "ExpiredToken",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
)


def sql_state(error: BaseException) -> str:
    """The server's error code, or an empty text when the error is not the server's."""
    fields = error.args[0] if isinstance(error, Error) and error.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


def message(error: BaseException) -> str:
    """What the server or the driver said, in a sentence."""
    fields = error.args[0] if error.args else None
    return str(fields.get("M") if isinstance(fields, dict) else error).strip()


def is_unreadable(error: BaseException) -> bool:
    """Whether the object is not granted or gone meanwhile: it can be skipped, the rest goes on."""
    return sql_state(error) in (NOT_GRANTED, NO_SUCH_DATABASE, *NO_SUCH_OBJECT)


def is_closed(error: BaseException) -> bool:
    """Whether this one database cannot be entered, by what Redshift says or by what IAM allows: others may be."""
    if isinstance(error, InterfaceError) and error.args and isinstance(error.args[0], Exception):
        return is_closed(error.args[0])
    if isinstance(error, botocore.exceptions.ClientError):
        return _aws_code(error).startswith(NOT_ALLOWED)
    return is_unreadable(error) or sql_state(error) == NOT_ACCEPTING


def is_statements_own(error: BaseException) -> bool:
    """Whether the server refused this one statement, and the session goes on: no right, too slow, or, as with an
    external schema whose catalog does not answer, a view that cannot be read just now."""
    state = sql_state(error)
    return state == CANCELED or bool(state and not state.startswith(UNREACHABLE_CLASSES))


def explain(error: BaseException) -> PushIngestionError | None:
    """The driver's error as one of ours, with a remedy; None when it is neither the driver's nor AWS's."""
    if isinstance(error, (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)):
        return _explain_aws(error)
    if isinstance(error, InterfaceError) and error.args and isinstance(error.args[0], Exception):
        return explain(error.args[0]) or _explain_driver(error)
    if isinstance(error, Error):
        return _explain_server(error) if sql_state(error) else _explain_driver(error)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return UnavailableError(f"Redshift: {error}", "Check the network, then run the same command again.")
    return None


def _explain_server(error: BaseException) -> PushIngestionError:
    code, text = sql_state(error), f"Redshift: {message(error)}"
    if code in WRONG_CREDENTIALS:
        return RefusedError(text, "Check REDSHIFT_USER and REDSHIFT_PASSWORD, or what stands in for them.")
    if code == NOT_GRANTED:
        return RefusedError(text, "Grant what README.md lists to this user.")
    if code == NO_SUCH_DATABASE:
        return ConfigurationError(text, "Correct REDSHIFT_DATABASE.")
    if code == CANCELED:
        return UnavailableError(text, f"Run it again when the cluster is less busy, or raise {TIMEOUT_VARIABLE}.")
    if code.startswith(UNREACHABLE_CLASSES):
        return UnavailableError(text, "Wait until the cluster is available, then run the same command again.")
    if code in LACKING:
        return UnavailableError(
            f"{text} (this patch level of Redshift lacks it, or this user may not see it)",
            "Check the grants in README.md; bring the cluster to a newer version, or take it out of the statement.",
        )
    if code == NOT_OFFERED:
        return UnavailableError(text, "This Redshift does not offer what the statement asks for: a newer version may.")
    if code == NOT_ACCEPTING:
        return UnavailableError(text, "Set REDSHIFT_DATABASE to a database that accepts connections.")
    if code == IN_FAILED_TRANSACTION:
        return UnavailableError(text, "Run the same command again; unset REDSHIFT_ options that change transactions.")
    if code == INTERNAL:
        return UnavailableError(
            text, "Run it again. Where the text names an external schema, repair its catalog or its IAM role."
        )
    return UnavailableError(f"{text} (code {code})", "Run it again; if it stays, the code says what Redshift refused.")


def _explain_driver(error: BaseException) -> PushIngestionError:
    """What the driver found out without the server's word: it says so in words only."""
    text = f"Redshift driver: {message(error)}"
    if "Server refuses SSL" in text:
        return ConfigurationError(text, "The server has no TLS; only a local one may be without: REDSHIFT_SSL=false.")
    if "CERTIFICATE_VERIFY_FAILED" in text or "Hostname mismatch" in text:
        return ConfigurationError(
            text, "Use the endpoint's own name as REDSHIFT_HOST; through a tunnel set REDSHIFT_SSLMODE=verify-ca."
        )
    signs = ("communication error", "BrokenPipe", "time out", "timed out", "server socket closed", "network error")
    if any(sign in text for sign in signs) or isinstance(error, OperationalError):
        return UnavailableError(text, "Check the network and REDSHIFT_HOST, then run the same command again.")
    if isinstance(error, InterfaceError):
        return ConfigurationError(text, "Correct the variables that sign in (README.md lists them).")
    return UnavailableError(text, "Run the same command again; if it stays, try another version of redshift-connector.")


def _aws_code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _explain_aws(error: Exception) -> PushIngestionError:
    text = f"AWS: {error}"
    if isinstance(error, botocore.exceptions.ClientError):
        code = _aws_code(error)
        if code.startswith(AWS_REFUSALS):
            return RefusedError(
                text, "Let the caller's policy allow what README.md lists, with credentials that are valid."
            )
        if code.startswith(("Throttling", "Internal", "ServiceUnavailable", "RequestLimit")):
            return UnavailableError(text, "Run the same command again.")
        return ConfigurationError(text, "Check the identifiers and the region.")
    unreachable = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)
    if isinstance(error, unreachable):
        return UnavailableError(text, "Check the network and the region, then run the same command again.")
    return ConfigurationError(
        text, "Give AWS credentials and a region (AWS_PROFILE, AWS_REGION, or a role of the machine)."
    )
