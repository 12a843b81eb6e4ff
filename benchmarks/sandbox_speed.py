"""Measures whether the sandbox responds as fast with much data as with little, in one run.

    python benchmarks/sandbox_speed.py [--tables N] [--queries N]

First posts query logs as fast as the sandbox accepts them. Reports how long the first getAggregatedQueries right after
that and the next ones take, as a share of the posting time (bounds: 0.5 and 0.02).

Then runs every query about one table against a sandbox with a hundredth of the tables, and against one with all of them
(20 columns and 10 lineage edges each). The ratio is 1 for a lookup and 100 for a full scan (bound: 10).

Exits with 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psutil
import requests

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from tests.sandbox_process import SandboxProcess  # noqa: E402

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
COLUMNS = [{"name": f"c{place}", "type": "NUMBER(38,0)"} for place in range(20)]
EDGES = 10
MOST_FIRST, MOST_NEXT, MOST_GROWTH = 0.5, 0.02, 10.0

OPERATIONS = {
    "getUser": "{ getUser { email } }",
    "getWarehouse": """query($w: UUID) { getWarehouse(uuid: $w) {
        pushEvents { eventType status firstReceived lastReceived lastInvocationId } } }""",
    "getTable": """query($m: String) { getTable(mcon: $m) { fullTableId
        versions(first: 1) { edges { node { fields(first: 500) { edges { node { name fieldType } } } } } }
        thresholds { freshness { status } size { sdStatus } } } }""",
    "getTables, all": "{ getTables(first: 20) { edges { node { fullTableId } } } }",
    "getTables, a push": """query($i: String) { getTables(ingestInvocationId: $i, first: 20) {
        edges { node { fullTableId } } } }""",
    "getMetricsV4": """query($m: String!) { getMetricsV4(metricName: "total_row_count",
        startTime: "2026-01-01T00:00:00Z", metricsFilter: {mcon: $m}) { metrics { value } } }""",
    "getTableLineage": """query($m: String) { getTableLineage(mcon: $m, direction: "upstream") {
        connectedNodes { mcon hasUpstreamNodes hasDownstreamNodes } } }""",
    "getTableColumnsLineage": """query($m: String) { getTableColumnsLineage(mcon: $m) {
        columnsLineage { selectedColumn lineageSources { mcon sourceColumns { columnName columnType } } } } }""",
    "getDerivedTablesPartialLineage": """query($m: String) { getDerivedTablesPartialLineage(mcon: $m, column: "c1") {
        destinations { mcon columns { columnName } } } }""",
    "getAggregatedQueries": """query($m: String!) { getAggregatedQueries(mcon: $m, startTime: "2026-03-01T00:00:00Z",
        endTime: "2026-03-31T00:00:00Z", queryType: read, limit: 10) { aggregatedQueries { count latestQuery } } }""",
}


class Loader:
    """Pushes to a sandbox and queries it."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self._sandbox = sandbox
        self._session = requests.Session()
        env = sandbox.env
        self._session.headers.update({"x-mcd-id": env["MCD_INGEST_ID"], "x-mcd-token": env["MCD_INGEST_TOKEN"]})
        self.invocation = ""

    def push(self, flow: str, event_type: str, events: list[dict[str, Any]]) -> None:
        kind = "log_type" if flow == "querylogs" else "resource_type"
        resource = {"uuid": self._sandbox.resource(), kind: "snowflake"}
        body = {"event_type": event_type, "resource": resource, "events": events}
        response = self._session.post(f"{self._sandbox.url}/ingest/v1/{flow}", json=body, timeout=120)
        response.raise_for_status()
        self.invocation = response.json()["invocation_id"]

    def seconds(self, operation: str, table: int) -> float:
        """Return how long a query about a table takes."""
        mcon = f"MCON++{self._sandbox.settings['account']}++{self._sandbox.resource()}++table++SHOP:S.T{table}"
        start = time.perf_counter()
        document = OPERATIONS[operation]
        known = {"m": mcon, "w": self._sandbox.resource(), "i": self.invocation}
        self._sandbox.graphql(document, {name: value for name, value in known.items() if f"${name}:" in document})
        return time.perf_counter() - start


def in_batches(count: int, size: int, event: Callable[[int], dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [[event(number) for number in range(first, min(first + size, count))] for first in range(0, count, size)]


def table(number: int) -> dict[str, Any]:
    metadata = {"database": "SHOP", "schema": "S", "name": f"T{number}"}
    volume = {"row_count": number}
    return {"relational_asset": {"type": "TABLE", "metadata": metadata, "fields": COLUMNS, "volume": volume}}


def edges(number: int, tables: int) -> dict[str, Any]:
    def named(place: int) -> dict[str, Any]:
        return {"type": "TABLE", "database": "SHOP", "schema": "S", "name": f"T{place % tables}"}

    sources = [named(number + step + 1) | {"asset_id": str(step)} for step in range(EDGES)]
    fields = [
        {"name": f"c{step}", "source_fields": [{"asset_id": str(step), "field_name": f"c{step}"}]}
        for step in range(EDGES)
    ]
    return {"destination": named(number), "sources": sources, "fields": fields}


def query(number: int, tables: int) -> dict[str, Any]:
    moment = (START + timedelta(milliseconds=86 * number)).isoformat().replace("+00:00", "Z")
    text = f"SELECT c1, 'run {number}' FROM S.T{number % tables} WHERE c2 = {number} AND c3 > '2026-03-01'"
    return {"start_time": moment, "end_time": moment, "query_text": text, "query_id": f"q{number}", "user": "ETL"}


def measure_query_logs(queries: int) -> bool:
    with tempfile.TemporaryDirectory() as folder, SandboxProcess(Path(folder)) as sandbox:
        loader = Loader(sandbox)
        loader.push("metadata", "METADATA", [table(number) for number in range(100)])
        loader.seconds("getUser", 0)
        start = time.perf_counter()
        for first in range(0, queries, 250):
            loader.push("querylogs", "QUERY_LOG", [query(first + place, 100) for place in range(250)])
        pushing = time.perf_counter() - start
        earliest = loader.seconds("getAggregatedQueries", 0)
        other = loader.seconds("getAggregatedQueries", 1)
        again = min(loader.seconds("getAggregatedQueries", 0) for _ in range(3))
        memory = psutil.Process(sandbox.pid).memory_info().rss / 2**20
    print(
        f"{queries} query logs: {queries / pushing:.0f}/s; getAggregatedQueries right after that takes "
        f"{earliest / pushing:.3f} of the posting time, for another table {other / pushing:.4f}, "
        f"repeated {again / pushing:.4f}; memory of the sandbox: {memory:.0f} MB"
    )
    return earliest / pushing <= MOST_FIRST and other / pushing <= MOST_NEXT


def response_times(tables: int) -> dict[str, float]:
    """Return the seconds each query takes in a sandbox with this many tables, the best of nine runs."""
    with tempfile.TemporaryDirectory() as folder, SandboxProcess(Path(folder)) as sandbox:
        loader = Loader(sandbox)
        for batch in in_batches(tables, 100, lambda number: edges(number, tables)):
            loader.push("lineage", "COLUMN_LINEAGE", batch)
        for batch in in_batches(tables, 250, lambda number: query(number, tables)):
            loader.push("querylogs", "QUERY_LOG", batch)
        for batch in in_batches(tables, 50, table):
            loader.push("metadata", "METADATA", batch)
        return {operation: min(loader.seconds(operation, 0) for _ in range(9)) for operation in OPERATIONS}


def measure_sizes(tables: int) -> bool:
    few, many = response_times(tables // 100), response_times(tables)
    print(f"{tables} tables of 20 columns, {tables * EDGES} edges, compared with {tables // 100} tables:")
    for operation in OPERATIONS:
        growth = many[operation] / few[operation]
        print(f"  {operation:<32} {many[operation] * 1000:6.1f} ms, {growth:.2f} times")
    return max(many[operation] / few[operation] for operation in OPERATIONS) <= MOST_GROWTH


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tables", type=int, default=10_000, help="tables of the larger sandbox (default: %(default)s)"
    )
    parser.add_argument("--queries", type=int, default=200_000, help="query log entries (default: %(default)s)")
    sizes = parser.parse_args()
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    met = [measure_query_logs(sizes.queries), measure_sizes(sizes.tables)]
    print("bounds met" if all(met) else "BOUNDS MISSED")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
