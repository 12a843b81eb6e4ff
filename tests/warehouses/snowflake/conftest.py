"""Fixtures: one embedded Snowflake for the tests in this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.warehouses.snowflake.launch import EmbeddedSnowflake, embedded_snowflake


@pytest.fixture(scope="session")
def running_snowflake() -> Iterator[EmbeddedSnowflake]:
    """The server. It starts only once."""
    with embedded_snowflake() as server:
        yield server


@pytest.fixture
def snowflake(running_snowflake: EmbeddedSnowflake) -> EmbeddedSnowflake:
    """The server as a new account, without facts, denials, faults or sessions of other tests."""
    running_snowflake.reset()
    return running_snowflake
