"""The harness of BigQuery for the contract suite: see ``tests/warehouses/harness.py``. Importing it starts nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

from tests.warehouses.bigquery import from_model, model_records
from tests.warehouses.bigquery.launch import BigQueryServer, closed_port
from tests.warehouses.bigquery.truth import Warehouse
from tests.warehouses.harness import Credentials, Fault, Flow, Record
from tests.warehouses.model import Model

flows: Sequence[Flow] = ("metadata", "lineage", "query_logs")
dialect = from_model.DIALECT
databases: Sequence[str] = from_model.PROJECTS
_A_URL = "BIGQUERY_EMULATOR_HOST is a URL, not a host name: tests/templates/bigquery/ has malformed ones"
_NAMES = "names of datasets, tables and columns contain no control characters"
not_applicable: Mapping[tuple[Flow, str], str] = {
    ("metadata", "a_malformed_host_is_refused_by_the_name_of_its_variable"): _A_URL,
    ("metadata", "names_are_printed_escaped_and_sent_unchanged"): _NAMES,
}
module_dialects: Mapping[str, str] = {}
run_elsewhere: Mapping[str, str] = {}

LONGEST_NAME = 300  # of a column: https://docs.cloud.google.com/bigquery/docs/schemas#column_names
UNLIKE_ASCII = str.maketrans({"ß": "ss"})


def legal_name(text: str) -> str:
    """The nearest name that is legal for a dataset, a table and a column: ASCII letters, digits and underscores. Tables
    and columns may have more characters, datasets not:
    https://docs.cloud.google.com/bigquery/docs/datasets#dataset-naming
    """
    letters = unicodedata.normalize("NFKD", text.translate(UNLIKE_ASCII))
    without_marks = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"\W", "_", without_marks, flags=re.ASCII)[:LONGEST_NAME]


def arguments(flow: Flow) -> Sequence[str]:
    return ()


def expected(model: Model, flow: Flow) -> list[Record]:
    return model_records.expected(model, flow)


class Server:
    """The protocol's server, based on the server that launch.py starts. ``bigquery`` has further orders."""

    def __init__(self, bigquery: BigQueryServer) -> None:
        self.bigquery = bigquery
        self.empty()

    # --- connecting -------------------------------------------------------------------------------------

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        return self.bigquery.environment(databases, credentials)

    def unreachable(self) -> dict[str, str]:
        return self.environment() | {"BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{closed_port()}"}

    def at(self, host: str) -> dict[str, str]:
        return self.environment() | {"BIGQUERY_EMULATOR_HOST": f"http://{host}:{self.bigquery.port}"}

    # --- data -------------------------------------------------------------------------------------------

    def empty(self) -> None:
        self.bigquery.empty(databases)

    def fill(self, model: Model) -> None:
        self.bigquery.load(self.warehouse(model))

    def warehouse(self, model: Model) -> Warehouse:
        return from_model.warehouse(model)

    # --- faults -----------------------------------------------------------------------------------------

    def deny(self, *views: str) -> None:
        self.bigquery.deny(*views)

    def deny_all(self) -> None:
        self.bigquery.deny_all()

    def cut_after(self, rows: int) -> None:
        self.bigquery.cut_after(rows)

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        self.bigquery.fail(statement, fault, after=after)

    def set_clock(self, ahead: timedelta) -> None:
        self.bigquery.set_clock(ahead)

    def restore(self) -> None:
        self.bigquery.restore()

    # --- observing --------------------------------------------------------------------------------------

    def statements(self) -> Sequence[str]:
        return self.bigquery.statements()


@contextmanager
def start() -> Iterator[Server]:
    with BigQueryServer() as bigquery:
        yield Server(bigquery)
