"""Fixtures: a genuine HiveServer2, and runs of collect_metadata.py against it through a front."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.templates.hive.server_runs import PASSWORDS, ServerRuns
from tests.warehouses.hive.front import Front
from tests.warehouses.hive.launch import HiveServer
from tests.warehouses.hive.shared import shared_server


@pytest.fixture
def hive() -> HiveServer:
    """The server, without databases."""
    server = shared_server()
    server.empty()
    return server


@pytest.fixture
def runs(hive: HiveServer, tmp_path: Path) -> Iterator[ServerRuns]:
    """Runs through a front that checks passwords."""
    with Front(hive, PASSWORDS) as front:
        yield ServerRuns(front, tmp_path)
