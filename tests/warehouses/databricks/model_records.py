"""The expected manifest records of a neutral model, derived from the model and not by the code under test."""

from __future__ import annotations

from tests.warehouses.harness import Flow, Record
from tests.warehouses.model import Model


def expected(model: Model, flow: Flow) -> list[Record]:
    raise NotImplementedError
