"""The harness of Redshift for the contract suite. tests/warehouses/harness.py explains each name.

The right user is the one in the folder's README: not a superuser, with the grants listed there. A new cluster, with the
service's own objects, is prepared once as a template database; every ``empty`` copies it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from tests.warehouses.harness import SECRET_MARK, TRAILING, Credentials, Fault, Flow, Record
from tests.warehouses.model import Model
from tests.warehouses.redshift import catalog_views, from_model
from tests.warehouses.redshift.faults import Order
from tests.warehouses.redshift.filling import own_statements, query_blocks, relation_blocks
from tests.warehouses.redshift.launch import INDEXES_SQL, MAIN_DATABASE, Load, RedshiftServer, User

flows: Sequence[Flow] = ("metadata", "lineage", "query_logs")
dialect = "redshift"
databases: Sequence[str] = (MAIN_DATABASE, "analytics")
not_applicable: Mapping[tuple[Flow, str], str] = {
    ("metadata", "names_are_printed_escaped_and_sent_unchanged"): "names contain printable characters only",
}
run_elsewhere: Mapping[str, str] = {
    "REFRESHES_SQL": "where there are materialized views: tests/templates/redshift/test_metadata.py",
    "SHOW_SOME_TABLES_SQL": "for more than 10,000 tables in a schema: tests/templates/redshift/test_boundaries.py",
}

# Redshift allows 127 bytes (https://docs.aws.amazon.com/redshift/latest/dg/r_names.html); the local PostgreSQL keeps
# 63.
LONGEST_NAME = 63
TEMPLATE = "testbed_new"

RIGHT = User(
    100,
    "monte_carlo",
    f"r1ght' {SECRET_MARK}{TRAILING}",
    syslog_access="UNRESTRICTED",
    grants=tuple((database, None) for database in databases),
    may_select=("svv_table_info",),
)
DENIED = User(101, "may_read_nothing", f"den1ed {SECRET_MARK}")
WRONG_PASSWORD = f"wr0ng {SECRET_MARK}"
NOBODY_LISTENS = "1"  # a port


def legal_name(text: str) -> str:
    """The nearest legal name. Any printable text is a name in double quotes."""
    printable = "".join(letter for letter in text if letter.isprintable())
    return printable.encode()[:LONGEST_NAME].decode(errors="ignore")


def arguments(flow: Flow) -> Sequence[str]:
    return ()


def expected(model: Model, flow: Flow) -> list[Record]:
    records = {"metadata": from_model.metadata, "lineage": from_model.lineage, "query_logs": from_model.query_logs}
    return records[flow](model)


@contextmanager
def start() -> Iterator[Server]:
    with RedshiftServer() as redshift:
        redshift.load(Load([RIGHT, DENIED], everywhere=list(from_model.service_blocks(tuple(databases)))))
        redshift.run(f"CREATE DATABASE {TEMPLATE} TEMPLATE {MAIN_DATABASE}", "postgres")
        server = Server(redshift)
        server.empty()
        yield server


class Server:
    """The protocol's server, based on the server that launch.py starts."""

    def __init__(self, redshift: RedshiftServer) -> None:
        self._redshift = redshift
        self._documented = _documented()
        self._clock_ahead = timedelta(0)
        self._cleared = 0  # number of statements that had run when the data last changed

    # --- connecting -------------------------------------------------------------------------------------

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        found = self._redshift.environment(DENIED.name if credentials == "denied" else RIGHT.name)
        return found | {"REDSHIFT_PASSWORD": WRONG_PASSWORD} if credentials == "wrong" else found

    def unreachable(self) -> dict[str, str]:
        return self.environment() | {"REDSHIFT_PORT": NOBODY_LISTENS}

    def at(self, host: str) -> dict[str, str]:
        return self.environment() | {"REDSHIFT_HOST": host, "REDSHIFT_SSL": "false"}

    # --- data -------------------------------------------------------------------------------------------

    def empty(self) -> None:
        self.restore()
        for name in databases:
            self._redshift.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
            self._redshift.run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}", "postgres")
        self._cleared = len(self._redshift.events("statement"))

    def fill(self, model: Model) -> None:
        self.empty()
        relations = from_model.relations(model)
        queries = from_model.queries(model)
        everywhere = [*relation_blocks(relations), from_model.user_block(model), *query_blocks(queries)]
        for name in databases:
            own = [relation for relation in relations if relation.database == name]
            statements = [*everywhere, *(own_statements(own) if own else []), INDEXES_SQL]
            self._redshift.run("\n".join(statements), name)

    # --- faults -----------------------------------------------------------------------------------------

    def deny(self, *views: str) -> None:
        self._order(*(Order("denied", _named(view), user=RIGHT.name) for view in views))

    def deny_all(self) -> None:
        self.deny(*self._documented)

    def cut_after(self, rows: int) -> None:
        self._order(rows=rows)

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        self._order(Order(fault, re.escape(statement), after))

    def restore(self) -> None:
        self._order()
        self.set_clock(timedelta(0))

    def set_clock(self, ahead: timedelta) -> None:
        if ahead != self._clock_ahead:
            self._redshift.set_clock(ahead)
            self._clock_ahead = ahead

    def _order(self, *orders: Order, rows: int | None = None) -> None:
        """Send the orders, together with the one that always applies: the DENIED user cannot read anything."""
        nothing = Order("denied", "|".join(map(_named, self._documented)), user=DENIED.name)
        self._redshift.order(nothing, *orders, rows=rows)

    # --- observing --------------------------------------------------------------------------------------

    def statements(self) -> Sequence[str]:
        return [event["sql"] for event in self._redshift.events("statement")[self._cleared :]]


def _documented() -> list[str]:
    """Every view, command and function in catalog.toml."""
    catalog: dict[str, Any] = catalog_views.load()
    return [name for kind in ("views", "commands", "functions") for name in catalog[kind]]


def _named(view: str) -> str:
    """A pattern for the name of a view, command or function in a statement."""
    words = r"\s+".join(view.split())
    return rf"\b{words}\b"
