"""The harness of Snowflake for the contract suite: see ``tests/warehouses/harness.py``. Importing it starts nothing."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tests.warehouses.harness import SECRET_MARK, TRAILING, Credentials, Fault, Flow, Record
from tests.warehouses.model import Model
from tests.warehouses.snowflake import model_records
from tests.warehouses.snowflake.catalog import documented_catalog
from tests.warehouses.snowflake.faults import Fault as ServerFault
from tests.warehouses.snowflake.launch import EmbeddedSnowflake, embedded_snowflake
from tests.warehouses.snowflake.model_account import DIALECT, write_model
from tests.warehouses.snowflake.shop_model import spelled

flows: Sequence[Flow] = ("metadata", "lineage", "query_logs")
dialect = DIALECT
databases: Sequence[str] = ("SHOP", 'Märkte "EU".2')
not_applicable: Mapping[tuple[Flow, str], str] = {}
_TESTS = "tests/templates/snowflake/test_collect_metadata.py::"
run_elsewhere: Mapping[str, str] = {
    "MORE_DATABASES_SQL": f"{_TESTS}test_all_databases_beyond_the_cap_of_show_are_found",
    "SCHEMAS_SQL": f"{_TESTS}test_a_database_too_large_for_one_result_is_read_schema_by_schema",
    "NAMES_SQL": f"{_TESTS}test_a_schema_too_large_for_one_result_is_read_by_ranges_of_names",
}

LONGEST_NAME = 255  # characters: https://docs.snowflake.com/en/sql-reference/identifiers-syntax
SLOW_SECONDS = 3.0
COLLECTOR, NOBODY = "COLLECTOR", "NOBODY"

_RECORDS = {
    "metadata": model_records.metadata,
    "lineage": model_records.lineage,
    "query_logs": model_records.query_logs,
}
# Users and their roles. NOBODY sees the databases, as a role with MONITOR does, but cannot read anything in them.
_ROLES = {COLLECTOR: "MONTE_CARLO", NOBODY: "NO_GRANTS"}
# The service's messages, as users quote them in public issues.
_FAULTS: Mapping[Fault, ServerFault] = {
    "denied": ServerFault(
        "error",
        code="002003",
        sqlstate="42S02",
        message="SQL compilation error:\nObject does not exist or not authorized.",
    ),
    "session ended": ServerFault("session"),
    "connection gone": ServerFault("abort"),
    "timeout": ServerFault(
        "error",
        code="000630",
        sqlstate="57014",
        message="Statement reached its statement or warehouse timeout of 3,600 second(s) and was canceled.",
    ),
    "slow": ServerFault("slow", seconds=SLOW_SECONDS),
}


def legal_name(text: str) -> str:
    """The nearest legal name. Quoted names allow all characters:
    https://docs.snowflake.com/en/sql-reference/identifiers-syntax
    """
    return text[:LONGEST_NAME]


def arguments(flow: Flow) -> Sequence[str]:
    return ()


def expected(model: Model, flow: Flow) -> list[Record]:
    return _RECORDS[flow](model)


@dataclass
class Server:
    """The embedded Snowflake with two users, one of whom cannot read anything."""

    embedded: EmbeddedSnowflake
    refusing_port: int
    password: str = field(default_factory=lambda: f"{SECRET_MARK}-{secrets.token_hex(8)}{TRAILING}", repr=False)
    denied: Sequence[str] = ()
    faults: list[ServerFault] = field(default_factory=list)

    def __post_init__(self) -> None:
        for user, role in _ROLES.items():
            self.embedded.add_user(user, password=self.password, roles=[role])
        self.empty()

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        user = NOBODY if credentials == "denied" else COLLECTOR
        return {
            "SNOWFLAKE_HOME": str(self.embedded.directory / "home"),  # without a profile
            "SNOWFLAKE_ACCOUNT": "testbed",
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": str(self.embedded.port),
            "SNOWFLAKE_PROTOCOL": "http",
            "SNOWFLAKE_USER": user,
            "SNOWFLAKE_ROLE": _ROLES[user],
            "SNOWFLAKE_WAREHOUSE": "COMPUTE_WH",
            "SNOWFLAKE_PASSWORD": self.password if credentials != "wrong" else f"not-{self.password}",
        }

    def unreachable(self) -> dict[str, str]:
        return self.environment() | {"SNOWFLAKE_PORT": str(self.refusing_port)}

    def at(self, host: str) -> dict[str, str]:
        return self.environment() | {"SNOWFLAKE_HOST": host}

    def empty(self) -> None:
        self.embedded.reset()
        self.restore()

    def fill(self, model: Model) -> None:
        self.empty()
        write_model(self.embedded, model)

    def deny(self, *views: str) -> None:
        self.denied = views
        rights = {_ROLES[COLLECTOR]: _objects(views), _ROLES[NOBODY]: _objects(documented_catalog().views)}
        self.embedded.deny_roles(rights)

    def deny_all(self) -> None:
        catalog = documented_catalog()
        self.deny(*catalog.views, *catalog.commands)

    def cut_after(self, rows: int) -> None:
        self._order(ServerFault("cut", rows=rows))

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        self._order(replace(_FAULTS[fault], contains=statement, after=after))

    def restore(self) -> None:
        self.deny()
        self.faults = []
        self.embedded.break_with()
        self.set_clock(timedelta(0))

    def set_clock(self, ahead: timedelta) -> None:
        self.embedded.set_clock(ahead)

    def statements(self) -> Sequence[str]:
        return self.embedded.statements()

    def _order(self, fault: ServerFault) -> None:
        self.faults.append(fault)
        self.embedded.break_with(*self.faults)


def _objects(views: Iterable[str]) -> list[str]:
    """The names that the server denies. Each database has its own INFORMATION_SCHEMA."""
    return [
        f"{spelled((database,))}.{view}" if view.startswith("INFORMATION_SCHEMA.") else view
        for view in views
        for database in databases
    ]


@contextmanager
def start() -> Iterator[Server]:
    with embedded_snowflake() as embedded, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        yield Server(embedded, taken.getsockname()[1])
