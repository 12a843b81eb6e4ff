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
run_elsewhere: Mapping[str, str] = {}
legal_name = bigquery.legal_name
arguments = bigquery.arguments


def expected(model: Model, flow: Flow) -> list[Record]:
    return iceberg_model.expected(model, flow)


class Server(bigquery.Server):
    def warehouse(self, model: Model) -> Warehouse:
        return iceberg_model.warehouse(model)


@contextmanager
def start() -> Iterator[Server]:
    with BigQueryServer() as server:
        yield Server(server)
