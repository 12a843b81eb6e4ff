"""Fixtures: one genuine HiveServer2 for the tests in this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.warehouses.hive.front import Front
from tests.warehouses.hive.launch import HiveServer

PASSWORDS = {"ana": "pass'w örd", "bob": "other"}


@pytest.fixture(scope="session")
def running() -> Iterator[HiveServer]:
    with HiveServer() as server:
        yield server


@pytest.fixture
def hive(running: HiveServer) -> HiveServer:
    """The server, without databases."""
    running.empty()
    return running


@pytest.fixture
def front(hive: HiveServer) -> Iterator[Front]:
    with Front(hive, PASSWORDS) as found:
        yield found
