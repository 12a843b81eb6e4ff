"""The harness of Databricks for the contract suite: see tests/warehouses/harness.py. Importing it starts nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

from tests.warehouses.databricks import from_model, model_records
from tests.warehouses.databricks.launch import DatabricksServer, closed_port
from tests.warehouses.databricks.truth import Warehouse
from tests.warehouses.harness import Credentials, Fault, Flow, Record
from tests.warehouses.model import Model

flows: Sequence[Flow] = ("metadata", "lineage", "query_logs")
dialect = from_model.DIALECT
databases: Sequence[str] = from_model.CATALOGS
_A_URL = "a host without encryption is a URL: tests/templates/databricks/test_variables.py has malformed hosts"
_NAMES = "names of schemas and tables contain no control characters"
_SLOW = "up to three statements for each table take minutes: tests/templates/databricks/test_metadata_scale.py"
_NO_CATALOG = "the history has no catalog; that of the tables is not known for failed statements and several catalogs"
not_applicable: Mapping[tuple[Flow, str], str] = {
    ("metadata", "memory_does_not_grow_with_tables"): _SLOW,
    ("metadata", "a_malformed_host_is_refused_by_the_name_of_its_variable"): _A_URL,
    ("metadata", "names_are_printed_escaped_and_sent_unchanged"): _NAMES,
    ("query_logs", "names_are_spelled_the_same_in_all_flows"): _NO_CATALOG,
}
_HIVE = "the model has no tables of the Hive metastore: tests/templates/databricks/test_hive_metastore.py"
_PARTS = "a catalog is read in parts if its result is too large: tests/templates/databricks/test_metadata.py"
module_dialects: Mapping[str, str] = {}
run_elsewhere: Mapping[str, str] = {
    "DESCRIBE_SQL": _HIVE,
    "HIVE_VIEWS_SQL": _HIVE,
    "NAMES_SQL": _PARTS,
    "SCHEMAS_SQL": _PARTS,
}

LONGEST_NAME = 255


def legal_name(text: str) -> str:
    """The nearest name that is legal for a schema, a table and a column. Schemas and tables are stored in lower case,
    and have no period, space, slash or control character. Columns can have any character.
    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names
    """
    return re.sub(r"[./\x00-\x20\x7f]", "_", text).lower()[:LONGEST_NAME]


def arguments(flow: Flow) -> Sequence[str]:
    return ()


def expected(model: Model, flow: Flow) -> list[Record]:
    return model_records.expected(model, flow)


class Server:
    """The protocol's server, based on the server that launch.py starts. ``databricks`` has further orders."""

    def __init__(self, databricks: DatabricksServer) -> None:
        self.databricks = databricks
        self.empty()

    # --- connecting -------------------------------------------------------------------------------------

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        return self.databricks.environment(credentials)

    def unreachable(self) -> dict[str, str]:
        return self.environment() | {"DATABRICKS_HOST": f"http://127.0.0.1:{closed_port()}"}

    def at(self, host: str) -> dict[str, str]:
        return self.environment() | {"DATABRICKS_HOST": f"http://{host}:{self.databricks.port}"}

    # --- data -------------------------------------------------------------------------------------------

    def empty(self) -> None:
        self.databricks.empty(databases)

    def fill(self, model: Model) -> None:
        self.databricks.load(self.warehouse(model))

    def warehouse(self, model: Model) -> Warehouse:
        return from_model.warehouse(model)

    # --- faults -----------------------------------------------------------------------------------------

    def deny(self, *views: str) -> None:
        self.databricks.deny(*views)

    def deny_all(self) -> None:
        self.databricks.deny_all()

    def cut_after(self, rows: int) -> None:
        self.databricks.cut_after(rows)

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        self.databricks.fail(statement, fault, after=after)

    def set_clock(self, ahead: timedelta) -> None:
        self.databricks.set_clock(ahead)

    def restore(self) -> None:
        self.databricks.restore()

    # --- observing --------------------------------------------------------------------------------------

    def statements(self) -> Sequence[str]:
        return self.databricks.statements()


@contextmanager
def start() -> Iterator[Server]:
    with DatabricksServer() as databricks:
        yield Server(databricks)
