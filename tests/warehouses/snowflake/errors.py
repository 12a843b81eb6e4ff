"""The errors of the test server, with the codes and messages of the real service.

Sources: snowflake-connector-python (network.py contains the login codes), and messages that users report in public
issues of Snowflake's own drivers and of tools built on them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoginRefusedError(Exception):
    """A login request gets a response with ``success: false``."""

    code: str
    message: str


@dataclass(frozen=True)
class StatementError(Exception):
    """A statement gets a response with ``success: false``. ``code`` has six digits, as in the protocol."""

    code: str
    sqlstate: str
    message: str


WRONG_PASSWORD = LoginRefusedError("390100", "Incorrect username or password was specified.")
WRONG_JWT = LoginRefusedError("390144", "JWT token is invalid.")
WRONG_OAUTH_TOKEN = LoginRefusedError("390303", "Invalid OAuth access token.")
WRONG_PROGRAMMATIC_TOKEN = LoginRefusedError("394400", "Programmatic access token is invalid.")
MFA_PASSCODE_WRONG = LoginRefusedError("390127", "Authentication attempt failed: the passcode is invalid.")


def role_refused(role: str) -> LoginRefusedError:
    """The login requests a role that is not granted to the user."""
    return LoginRefusedError(
        "390189",
        f"Role '{role}' specified in the connect string does not exist or not authorized. Contact your local "
        "system administrator, or attempt to login with another role, e.g. PUBLIC.",
    )


def database_not_found(name: str) -> StatementError:
    """A database does not exist, or the role cannot use it. The service does not say which."""
    return StatementError(
        "002003", "02000", f"SQL compilation error:\nDatabase '{name}' does not exist or not authorized."
    )


def object_not_found(name: str) -> StatementError:
    """A table or view does not exist or is not granted."""
    return StatementError(
        "002003", "42S02", f"SQL compilation error:\nObject '{name}' does not exist or not authorized."
    )


def insufficient_privileges(name: str) -> StatementError:
    """The role can see the object but has no privilege for the operation."""
    return StatementError("003001", "42501", f"SQL access control error:\nInsufficient privileges to operate on {name}")


def invalid_identifier(detail: str) -> StatementError:
    """A column does not exist. ``detail`` is the first line of the engine's error."""
    return StatementError(
        "000904", "42000", f"SQL compilation error: error line 1 at position 0\ninvalid identifier: {detail}"
    )


def unsupported(detail: str) -> StatementError:
    """The test server does not support this; the real service might."""
    return StatementError("001003", "42000", f"SQL compilation error:\n{detail}")


NO_WAREHOUSE = StatementError(
    "000606",
    "57P03",
    "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' "
    "command.",
)
NO_DATABASE = StatementError(
    "090105",
    "22000",
    "Cannot perform SELECT. This session does not have a current database. Call 'USE DATABASE', or use a "
    "qualified name.",
)
TOO_MUCH_DATA = StatementError(
    "090030",
    "22000",
    "Information schema query returned too much data. Please repeat query with more selective predicates.",
)
SHOW_TOO_LARGE = StatementError(
    "090153",
    "22000",
    "The result set size exceeded the max number of rows(10000) supported for SHOW statements. Use LIMIT option "
    "to limit result set to a smaller number.",
)
