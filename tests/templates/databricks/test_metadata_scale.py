"""Tests that the memory of metadata does not grow with the number of tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collected import Collected
from tests.contract.world import many_tables
from tests.script_process import TEMPLATES, peak_memory
from tests.warehouses.databricks import harness
from tests.warehouses.harness import Server

TABLES = (500, 5_000)
FLAT = 1.3  # times the peak with few


@pytest.fixture
def server() -> Iterator[Server]:
    with harness.start() as started:
        yield started


def peak(server: Server, number: int, manifest: Path, **more: str) -> int:
    server.fill(many_tables(harness, number))
    arguments = ("--manifest", str(manifest))
    environment = server.environment() | more
    found = peak_memory(TEMPLATES / "databricks", "collect_metadata.py", *arguments, env=environment)
    assert len(Collected.read(manifest).records) == number
    return found


@pytest.mark.scale
def test_memory_does_not_grow_with_tables(server: Server, tmp_path: Path) -> None:
    few, many = (peak(server, number, tmp_path / "m.jsonl", DATABRICKS_DETAIL_SECONDS="0") for number in TABLES)
    assert many < few * FLAT


@pytest.mark.stress
def test_memory_does_not_grow_with_tables_that_are_asked_about(server: Server, tmp_path: Path) -> None:
    few, many = (peak(server, number, tmp_path / "m.jsonl", DATABRICKS_DETAIL_SECONDS="3600") for number in TABLES)
    assert many < few * FLAT
