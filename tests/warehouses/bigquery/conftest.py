"""Fixtures: one local BigQuery for the tests in this directory, with the small warehouse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.cloud import bigquery

from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.small_warehouse import SHOP, warehouse


@pytest.fixture(scope="session")
def running() -> Iterator[BigQueryServer]:
    with BigQueryServer() as server:
        server.load(warehouse())
        yield server


@pytest.fixture
def server(running: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryServer]:
    for name, value in running.environment([SHOP]).items():
        monkeypatch.setenv(name, value)
    yield running
    running.restore()


@pytest.fixture
def client(server: BigQueryServer) -> Iterator[bigquery.Client]:
    with bigquery.Client() as found:
        yield found
