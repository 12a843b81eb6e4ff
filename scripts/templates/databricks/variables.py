"""Reads the folder's own environment variables. README.md lists them.

Messages never repeat a value, which can be a secret in the wrong variable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TypeVar

from mcpush.encryption import require_encrypted_url
from mcpush.environment import checked, host_name, whole_number
from mcpush.errors import ConfigurationError

T = TypeVar("T")
HOST_VARIABLES = ("DATABRICKS_HOST", "DATABRICKS_SERVER_HOSTNAME")  # of the SDK, and of the connector's documentation
PATH_VARIABLE = "DATABRICKS_HTTP_PATH"
WAREHOUSE_VARIABLE = "DATABRICKS_WAREHOUSE_ID"
TOKEN_VARIABLE = "DATABRICKS_TOKEN"  # noqa: S105 - the name of a variable
CLIENT_VARIABLES = ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET")
PROFILE_VARIABLE = "DATABRICKS_CONFIG_PROFILE"
CONFIG_FILE_VARIABLE = "DATABRICKS_CONFIG_FILE"
AUTH_TYPE_VARIABLE = "DATABRICKS_AUTH_TYPE"
TIMEOUT_VARIABLE = "DATABRICKS_STATEMENT_TIMEOUT"
RETRY_VARIABLE = "DATABRICKS_RETRY_SECONDS"
CLOUD_FETCH_VARIABLE = "DATABRICKS_CLOUD_FETCH"
DETAIL_SECONDS_VARIABLE = "DATABRICKS_DETAIL_SECONDS"
DETAIL_WORKERS_VARIABLE = "DATABRICKS_DETAIL_WORKERS"
# URLs to which the SDK sends keys or tokens, or from which it gets them.
URL_VARIABLES = ("DATABRICKS_DISCOVERY_URL", "DATABRICKS_METADATA_SERVICE_URL")

ADDRESS = re.compile(r"(?:(https?)://)?(\[[0-9a-f:.]+\]|[^\s\\@/?#:\[\]]+)(:[0-9]{1,5})?/?", re.IGNORECASE)
# https://docs.databricks.com/aws/en/integrations/compute-details: of a warehouse or of compute; ?o= names the workspace
PATH = re.compile(r"/?[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*(?:\?o=[0-9]+)?")
WAREHOUSE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
WAREHOUSE_PATH = "/sql/1.0/warehouses/"


def parse_address(text: str) -> str:
    """A host name, with or without scheme and port. Returns a URL without a path; https unless it says http."""
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError("use a host name such as dbc-a1b2345c-d6e7.cloud.databricks.com, without a path")
    host_name(found[2])
    return f"{(found[1] or 'https').lower()}://{found[2]}{found[3] or ''}"


def parse_path(text: str) -> str:
    if not PATH.fullmatch(text):
        raise ValueError("use the HTTP path of a SQL warehouse, such as /sql/1.0/warehouses/a1b234c567d8e9fa")
    return "/" + text.removeprefix("/")


def parse_warehouse(text: str) -> str:
    if not WAREHOUSE_ID.fullmatch(text):
        raise ValueError("use the ID of a SQL warehouse, such as a1b234c567d8e9fa")
    return text


def parse_bool(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in known:
        raise ValueError("use true or false")
    return known[text.lower()]


# --- where ---------------------------------------------------------------------------------------------------


def address() -> str | None:
    """The URL of the workspace; None if no variable has it. Refuses two different ones, and unencrypted ones."""
    found = {name: url for name in HOST_VARIABLES if (url := value(name, parse_address))}
    for name, url in found.items():
        require_encrypted_url(name, url)
    if len({url.lower() for url in found.values()}) > 1:
        raise ConfigurationError(f"{' and '.join(HOST_VARIABLES)} differ.", "Unset one of them.")
    return next(iter(found.values()), None)


def http_path() -> str | None:
    """The HTTP path of the SQL warehouse; None if no variable has it. Refuses two different ones."""
    path, warehouse = value(PATH_VARIABLE, parse_path), value(WAREHOUSE_VARIABLE, parse_warehouse)
    if path and warehouse and path.partition("?")[0].rpartition("/")[2] != warehouse:
        raise ConfigurationError(f"{PATH_VARIABLE} and {WAREHOUSE_VARIABLE} differ.", "Unset one of them.")
    return path or (WAREHOUSE_PATH + warehouse if warehouse else None)


def check_urls() -> None:
    """Raises ConfigurationError if the SDK would send credentials unencrypted to another machine."""
    for name in URL_VARIABLES:
        if url := os.environ.get(name):
            require_encrypted_url(name, url)


# --- how long ------------------------------------------------------------------------------------------------


def statement_timeout(default: int) -> int:
    """The maximum duration of a statement in seconds.

    https://docs.databricks.com/aws/en/sql/language-manual/parameters/statement_timeout
    """
    return value(TIMEOUT_VARIABLE, whole_number(1, 172_800)) or default


def retry_seconds(default: int) -> int:
    """How long a request is retried while the warehouse starts, in seconds."""
    return value(RETRY_VARIABLE, whole_number(1, 86_400)) or default


def detail_seconds(default: int) -> int:
    """How long a run waits in total for answers about single tables, in seconds; 0: it asks about none."""
    found = value(DETAIL_SECONDS_VARIABLE, whole_number(0, 86_400))
    return default if found is None else found


def detail_workers(default: int) -> int:
    """How many statements about single tables run at the same time."""
    return value(DETAIL_WORKERS_VARIABLE, whole_number(1, 64)) or default


def cloud_fetch() -> bool:
    """Whether large results are downloaded from cloud storage. True if the variable is not set."""
    found = value(CLOUD_FETCH_VARIABLE, parse_bool)
    return found is None or found


def value(variable: str, parse: Callable[[str], T]) -> T | None:
    """The parsed value; None if the variable is not set or empty."""
    text = os.environ.get(variable, "")
    return checked(variable, text, parse) if text else None
