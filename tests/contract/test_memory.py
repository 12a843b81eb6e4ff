"""Tests that memory does not grow with the number of tables or queries."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.collected import Collected
from tests.contract.subject import Case
from tests.contract.world import many_queries, many_tables
from tests.script_process import peak_memory
from tests.warehouses.harness import Harness
from tests.warehouses.model import Model

TABLES = (500, 5_000)
QUERIES = (5_000, 20_000)  # fewer do not fill the drivers' pages and buffers
FLAT = 1.3  # times the peak with few


@pytest.mark.scale
@pytest.mark.flows("metadata")
def test_memory_does_not_grow_with_tables(case: Case) -> None:
    _is_flat(case, many_tables, TABLES)


@pytest.mark.scale
@pytest.mark.flows("query_logs")
def test_memory_does_not_grow_with_queries(case: Case) -> None:
    _is_flat(case, many_queries, QUERIES)


def _is_flat(case: Case, model: Callable[[Harness, int], Model], numbers: tuple[int, int]) -> None:
    few, many = (_peak(case, model(case.subject.harness, number), number) for number in numbers)
    assert many < few * FLAT


def _peak(case: Case, model: Model, number: int) -> int:
    """The peak memory in bytes of a run that collects this many records."""
    case.subject.show(model)
    environment = case.server.environment()
    arguments = case.command("collect", *case.window(model=model))
    peak = peak_memory(case.subject.folder, case.script("collect"), *arguments, env=environment)
    assert len(Collected.read(case.manifest).records) == number
    return peak
