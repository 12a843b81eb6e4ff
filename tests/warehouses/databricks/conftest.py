"""Fixtures: one local Databricks for the tests in this directory, with the small workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.warehouses.databricks.launch import DatabricksServer
from tests.warehouses.databricks.small_workspace import connected, workspace


@pytest.fixture(scope="session")
def running() -> Iterator[DatabricksServer]:
    with DatabricksServer() as server:
        server.load(workspace())
        yield server


@pytest.fixture
def server(running: DatabricksServer) -> Iterator[DatabricksServer]:
    yield running
    running.restore()


@pytest.fixture
def client(server: DatabricksServer) -> Iterator[Any]:
    with connected(server) as found:
        yield found
