"""Fixtures: a local BigQuery, and the scripts of the Iceberg folder connected to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.templates.bigquery.running import Folder
from tests.templates.bigquery.world import LAB, SHOP
from tests.warehouses.bigquery.launch import BigQueryServer


@pytest.fixture(scope="session")
def iceberg_server() -> Iterator[BigQueryServer]:
    """A server. Each test fills it."""
    with BigQueryServer() as server:
        yield server


@pytest.fixture
def folder(iceberg_server: BigQueryServer, tmp_path: Path) -> Iterator[Folder]:
    yield Folder("bigquery-iceberg", tmp_path, iceberg_server, (SHOP, LAB))
    iceberg_server.restore()
