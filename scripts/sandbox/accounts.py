"""The sandbox's keys and warehouses.

Reads `sandbox.json` from the data directory. If the file is missing, creates one (readable only by its owner) with an
ingestion key, an API key and one warehouse for each resource type: RESOURCE_TYPES and those of the template folders.
Also writes `sandbox.env`, the same values as shell variables. An existing `sandbox.json` is not changed, so a test can
provide its own keys and warehouses:

    {"account": uuid,
     "keys": [{"id": …, "token": …, "scope": "Ingestion" | "GraphQL", "warehouses": [uuid, …] | null}, …],
     "warehouses": [{"uuid": …, "name": …, "type": "snowflake"}, …]}

`warehouses: null` on a key means every warehouse. Needs only the standard library and `scripts/folders`.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import shlex
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SETTINGS_FILE = "sandbox.json"
VARIABLES_FILE = "sandbox.env"

INGESTION_SCOPE = "Ingestion"
GRAPHQL_SCOPE = "GraphQL"

# Every new sandbox has these types, regardless of the template folders. Monte Carlo uses `data-lake` for Hive and
# similar warehouses. MCD_RESOURCE_UUID is the warehouse of the first type.
TYPE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
RESOURCE_TYPES = ("snowflake", "bigquery", "databricks", "redshift", "data-lake")
SCRIPTS = Path(__file__).resolve().parents[1]


class SettingsError(ValueError):
    """`sandbox.json` exists but cannot be used; the message says what to change in it."""


@dataclass(frozen=True)
class Key:
    """One pair of `x-mcd-id` and `x-mcd-token`. If `warehouses` is None, the key may use all of them."""

    id: str
    token: str
    scope: str
    warehouses: tuple[str, ...] | None = None

    def may_use(self, warehouse: str) -> bool:
        return self.warehouses is None or warehouse in self.warehouses

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, scope={self.scope!r})"


@dataclass(frozen=True)
class Warehouse:
    """A warehouse that data is pushed for; `type` is its `resource_type` in requests."""

    uuid: str
    name: str
    type: str


@dataclass(frozen=True)
class Account:
    """The content of `sandbox.json`."""

    uuid: str
    keys: tuple[Key, ...]
    warehouses: tuple[Warehouse, ...]

    def key(self, key_id: str, token: str) -> Key | None:
        """Return the key with this id and token, or None. Compares in constant time."""
        found = None
        for key in self.keys:
            same_id = hmac.compare_digest(key.id.encode(), key_id.encode())
            same_token = hmac.compare_digest(key.token.encode(), token.encode())
            if same_id and same_token:
                found = key
        return found

    def warehouse(self, warehouse_uuid: str) -> Warehouse | None:
        return next((known for known in self.warehouses if known.uuid == warehouse_uuid.lower()), None)

    def first_key(self, scope: str) -> Key | None:
        return next((key for key in self.keys if key.scope == scope), None)


def resource_types() -> list[str]:
    """Return RESOURCE_TYPES and the types of the template folders, without duplicates.

    If only the sandbox was copied, there are no template folders. Raises SettingsError if a folder does not give its
    type as exactly one literal string.
    """
    if not (SCRIPTS / "templates").is_dir():
        return list(RESOURCE_TYPES)
    sys.path.append(str(SCRIPTS))
    from folders import bundle

    try:
        found = [bundle.resource_type(folder) for folder in bundle.warehouses()]
    except ValueError as problem:
        raise SettingsError(f"cannot create sandbox.json: {problem}") from problem
    return list(dict.fromkeys([*RESOURCE_TYPES, *found]))


def open_account(directory: Path) -> Account:
    """Return the account stored in `directory`; create one if there is none. Raises SettingsError."""
    path = directory / SETTINGS_FILE
    if not path.exists():
        account = _new_account()
        _write_privately(path, json.dumps(_settings(account), indent=2) + "\n")
        return account
    try:
        return _read_account(json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as problem:
        raise SettingsError(
            f"{path} cannot be used: {type(problem).__name__}: {problem}. "
            f"Repair it, or remove it: the sandbox creates a new one."
        ) from problem


def write_variables(directory: Path, account: Account, url: str) -> Path:
    """Write the variables that point pycarlo and the templates at this sandbox; return the file's path."""
    variables = {"MCD_API_ENDPOINT": f"{url}/graphql"}
    names = {
        INGESTION_SCOPE: ("MCD_INGEST_ID", "MCD_INGEST_TOKEN"),
        GRAPHQL_SCOPE: ("MCD_ID", "MCD_TOKEN"),
    }
    for scope, (id_name, token_name) in names.items():
        key = account.first_key(scope)
        if key is not None:
            variables |= {id_name: key.id, token_name: key.token}
    if account.warehouses:
        variables["MCD_RESOURCE_UUID"] = account.warehouses[0].uuid
    for warehouse in reversed(account.warehouses):  # if several have the same type, the first one wins
        variables["MCD_RESOURCE_UUID_" + warehouse.type.upper().replace("-", "_")] = warehouse.uuid
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    path = directory / VARIABLES_FILE
    path.unlink(missing_ok=True)
    _write_privately(path, "\n".join(lines) + "\n")
    return path


def _new_account() -> Account:
    def key(scope: str) -> Key:
        return Key(id=secrets.token_hex(16), token=secrets.token_urlsafe(42), scope=scope)

    return Account(
        uuid=str(uuid.uuid4()),
        keys=(key(INGESTION_SCOPE), key(GRAPHQL_SCOPE)),
        warehouses=tuple(Warehouse(str(uuid.uuid4()), f"sandbox-{kind}", kind) for kind in resource_types()),
    )


def _settings(account: Account) -> dict[str, Any]:
    return {
        "account": account.uuid,
        "keys": [asdict(key) for key in account.keys],
        "warehouses": [asdict(warehouse) for warehouse in account.warehouses],
    }


def _read_account(settings: dict[str, Any]) -> Account:
    keys = []
    for entry in settings["keys"]:
        if entry["scope"] not in (INGESTION_SCOPE, GRAPHQL_SCOPE):
            raise ValueError(f"scope must be {INGESTION_SCOPE} or {GRAPHQL_SCOPE}, not {entry['scope']!r}")
        allowed = entry.get("warehouses")
        keys.append(
            Key(
                id=_header(entry, "id"),
                token=_header(entry, "token"),
                scope=entry["scope"],
                warehouses=None if allowed is None else tuple(str(uuid.UUID(each)) for each in allowed),
            )
        )
    warehouses = [
        Warehouse(str(uuid.UUID(entry["uuid"])), str(entry["name"]), _type(entry)) for entry in settings["warehouses"]
    ]
    # The account only appears in MCONs and getUser. A file without one always gets the same default.
    account = settings.get("account") or str(uuid.UUID(int=0))
    return Account(str(uuid.UUID(account)), tuple(keys), tuple(warehouses))


def _header(entry: dict[str, Any], name: str) -> str:
    """Return a key's id or token, which is a header of requests. Raises ValueError without showing it."""
    value = str(entry[name])
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"the {name} of a key must be printable ASCII")
    return value


def _type(entry: dict[str, Any]) -> str:
    """Return a warehouse's type, which is part of a shell variable's name. Raises ValueError."""
    kind = str(entry["type"])
    if not TYPE.fullmatch(kind):
        raise ValueError(f"a type has letters, digits, - and _, not {kind!r}")
    return kind


def _write_privately(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
