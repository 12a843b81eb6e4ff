"""Fixtures: a genuine HiveServer2 for the tests in this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.warehouses.hive.front import Front
from tests.warehouses.hive.launch import HiveServer
from tests.warehouses.hive.shared import shared_server

PASSWORDS = {"ana": "pass'w örd", "bob": "other"}


@pytest.fixture
def hive() -> HiveServer:
    """The server, without databases."""
    server = shared_server()
    server.empty()
    return server


@pytest.fixture
def front(hive: HiveServer) -> Iterator[Front]:
    with Front(hive, PASSWORDS) as found:
        yield found
