"""The harness of BigQuery Iceberg: BigQuery's server and variables, with another warehouse and other records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.warehouses.bigquery import harness as bigquery
from tests.warehouses.bigquery import iceberg_model
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.truth import Warehouse
from tests.warehouses.harness import Flow, Record
from tests.warehouses.model import Model

flows: Sequence[Flow] = ("metadata", "query_logs")
dialect = bigquery.dialect
databases = bigquery.databases
not_applicable: Mapping[tuple[Flow, str], str] = bigquery.not_applicable
_COLUMN = "only with --freshness-column: tests/templates/bigquery-iceberg/test_freshness_column.py"
run_elsewhere: Mapping[str, str] = {"DATED_COLUMNS_SQL": _COLUMN, "LATEST_SQL": _COLUMN}
legal_name = bigquery.legal_name
LONGEST_LOOKBACK = str(180 * 24)  # hours


def arguments(flow: Flow) -> Sequence[str]:
    """The model's tables were last written days and months ago."""
    return ("--freshness-lookback-hours", LONGEST_LOOKBACK) if flow == "metadata" else ()


def expected(model: Model, flow: Flow) -> list[Record]:
    return iceberg_model.expected(model, flow)


class Server(bigquery.Server):
    def warehouse(self, model: Model) -> Warehouse:
        return iceberg_model.warehouse(model)


@contextmanager
def start() -> Iterator[Server]:
    with BigQueryServer() as server:
        yield Server(server)
