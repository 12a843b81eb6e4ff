"""Does the sandbox answer as fast when it holds much? What it is asked, at two sizes, in one run.

    python benchmarks/sandbox_speed.py [--tables N] [--queries N]

Query logs, posted as fast as they are taken: how long the first getAggregatedQueries right after them and the next
ones take, as a share of the posting (bounds: 0.5 and 0.02). Then every question about one table, asked of a sandbox
with a hundredth of the tables and of one with all (20 columns and 10 lineage edges each): 1 for a question that looks
up, 100 for one that goes over everything (bound: 10). Ends with 1 when a bound is missed.
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

QUESTIONS = {
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
    """Pushes to a sandbox of its own, which it asks."""

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
        answer = self._session.post(f"{self._sandbox.url}/ingest/v1/{flow}", json=body, timeout=120)
        answer.raise_for_status()
        self.invocation = answer.json()["invocation_id"]

    def seconds(self, question: str, table: int) -> float:
        """Return how long a question about a table takes."""
        mcon = f"MCON++{self._sandbox.settings['account']}++{self._sandbox.resource()}++table++SHOP:S.T{table}"
        start = time.perf_counter()
        document = QUESTIONS[question]
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
        f"{queries} query logs: {queries / pushing:.0f}/s; getAggregatedQueries right after them takes "
        f"{earliest / pushing:.3f} of their time, of another table {other / pushing:.4f}, again {again / pushing:.4f}; "
        f"the sandbox has {memory:.0f} MB"
    )
    return earliest / pushing <= MOST_FIRST and other / pushing <= MOST_NEXT


def answer_times(tables: int) -> dict[str, float]:
    """Return the seconds each question takes in a sandbox with so many tables, the best of several."""
    with tempfile.TemporaryDirectory() as folder, SandboxProcess(Path(folder)) as sandbox:
        loader = Loader(sandbox)
        for batch in in_batches(tables, 100, lambda number: edges(number, tables)):
            loader.push("lineage", "COLUMN_LINEAGE", batch)
        for batch in in_batches(tables, 250, lambda number: query(number, tables)):
            loader.push("querylogs", "QUERY_LOG", batch)
        for batch in in_batches(tables, 50, table):
            loader.push("metadata", "METADATA", batch)
        return {question: min(loader.seconds(question, 0) for _ in range(9)) for question in QUESTIONS}


def measure_sizes(tables: int) -> bool:
    few, many = answer_times(tables // 100), answer_times(tables)
    print(f"{tables} tables of 20 columns, {tables * EDGES} edges, against {tables // 100} tables:")
    for question in QUESTIONS:
        growth = many[question] / few[question]
        print(f"  {question:<32} {many[question] * 1000:6.1f} ms, {growth:.2f} times")
    return max(many[question] / few[question] for question in QUESTIONS) <= MOST_GROWTH


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=10_000, help="tables of the larger sandbox (10,000)")
    parser.add_argument("--queries", type=int, default=200_000, help="query log entries (200,000)")
    sizes = parser.parse_args()
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    kept = [measure_query_logs(sizes.queries), measure_sizes(sizes.tables)]
    print("bounds kept" if all(kept) else "a bound was missed")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
