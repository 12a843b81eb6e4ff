"""Fixtures: one local Databricks for the tests in this directory, with the small workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.warehouses.databricks.launch import DatabricksServer
from tests.warehouses.databricks.small_workspace import connection, workspace


@pytest.fixture(scope="session")
def running() -> Iterator[DatabricksServer]:
    with DatabricksServer() as server:
        server.load(workspace())
        yield server


@pytest.fixture
def server(running: DatabricksServer) -> Iterator[DatabricksServer]:
    yield running
    running.restore()


@pytest.fixture(scope="session")
def kept(running: DatabricksServer) -> Iterator[Any]:
    found = connection(running)
    yield found
    found.close()


@pytest.fixture
def client(server: DatabricksServer, kept: Any) -> Any:
    """A connection that tests share, as most do not change the session."""
    return kept
