# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/estimate.py.
"""Estimates what a run bills, for ``--estimate``: dry runs of all its statements, which cost nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from connection import Estimate, Warehouse
from mcpush.collect.checkpoint import Slicing
from mcpush.collect.collector import Options
from mcpush.records import Record

MIB = 1024 * 1024
# Each query of INFORMATION_SCHEMA bills at least 10 MB.
# https://docs.cloud.google.com/bigquery/docs/information-schema-intro#pricing
MINIMUM = 10 * MIB
VIEW = re.compile(r"INFORMATION_SCHEMA\.(\w+)")
NOTE = (
    "The dry run of a statement is an upper bound: for JOBS it ignores clustering, and counts whole partitions (days). "
    "A run splits days with very many jobs, or that BigQuery cannot read at once, into more statements. "
    "https://docs.cloud.google.com/bigquery/docs/information-schema-intro#pricing"
)


def estimator(
    collect: Callable[[Warehouse, Options], Iterator[Record]],
) -> Callable[[Warehouse, Options], Iterator[str]]:
    """A function that yields the lines of ``--estimate`` for a collect function: bytes by project, place and view."""

    def estimate(warehouse: Warehouse, options: Options) -> Iterator[str]:
        found: list[Estimate] = []
        for _ in collect(replace(warehouse, estimates=found), options):
            pass  # statements return no rows, so there are no records
        yield from lines(found)

    return estimate


def slicing_for(warehouse: Warehouse, slicing: Slicing) -> Slicing:
    """The slices of a run. While it is only estimated, they keep their length: statements without rows say nothing."""
    return slicing if warehouse.estimates is None else replace(slicing, few_rows=None)


def lines(estimates: list[Estimate]) -> Iterator[str]:
    billed: Counter[tuple[str, str]] = Counter()
    statements: Counter[tuple[str, str]] = Counter()
    for each in estimates:
        key = str(each.place), "+".join(sorted(set(VIEW.findall(each.sql)))) or "tables"
        billed[key] += max(each.bytes, MINIMUM)
        statements[key] += 1
    for (place, views), size in sorted(billed.items()):
        yield f"{place} {views}: {_mib(size)}, {statements[place, views]} statements"
    yield f"total: {_mib(sum(billed.values()))}, {len(estimates)} statements. {NOTE}"


def _mib(size: int) -> str:
    return f"{size / MIB:,.0f} MiB"
