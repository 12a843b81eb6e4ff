"""``make demo``: the complete workflow on this machine, with nothing but the packages that make installs.

Starts an embedded Snowflake with demo data, and a local Monte Carlo. Creates a folder, .demo/my-push, with
scripts/new_push.py. Collects and pushes metadata, lineage and query logs with the real driver and the real pycarlo.
Then queries Monte Carlo's GraphQL API for one table.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.sandbox_process import SandboxProcess
from tests.script_process import copy_folder, reach_local_servers_directly, run_script
from tests.warehouses.snowflake.launch import EmbeddedSnowflake, embedded_snowflake
from tests.warehouses.snowflake.shop import open_shop

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".demo"
FLOWS = ("metadata", "lineage", "query_logs")

TABLE = """
query Table($warehouse: UUID, $name: String) {
  getTable(dwId: $warehouse, fullTableId: $name) {
    mcon
    fullTableId
    tableType
    ingestType
    ingestInvocationId
    lastUpdatedOn
    versions(first: 1) { edges { node { fields(first: 500) { edges { node { name fieldType } } } } } }
    thresholds { freshness { status reason } size { sdStatus sdReason } }
  }
}
"""
LINEAGE = """
query Lineage($mcon: String!) {
  up: getTableLineage(mcon: $mcon, direction: "upstream", hops: 1) { connectedNodes { mcon } }
  down: getTableLineage(mcon: $mcon, direction: "downstream", hops: 1) { connectedNodes { mcon } }
  getTableColumnsLineage(mcon: $mcon) {
    columnsLineage { selectedColumn lineageSources { mcon sourceColumns { columnName } } }
  }
}
"""
ACTIVITY = """
query Activity($mcon: String!, $start: DateTime!, $end: DateTime!) {
  rows: getMetricsV4(metricName: "total_row_count", startTime: $start, endTime: $end, metricsFilter: {mcon: $mcon}) {
    metrics { value timestamp }
  }
  bytes: getMetricsV4(metricName: "total_byte_count", startTime: $start, endTime: $end, metricsFilter: {mcon: $mcon}) {
    metrics { value timestamp }
  }
  reads: getAggregatedQueries(mcon: $mcon, startTime: $start, endTime: $end, queryType: read, limit: 100) {
    aggregatedQueries { queryHash count latestQueryTimestamp }
  }
  writes: getAggregatedQueries(mcon: $mcon, startTime: $start, endTime: $end, queryType: write, limit: 100) {
    aggregatedQueries { queryHash count latestQueryTimestamp }
  }
}
"""


def main() -> int:
    started = time.monotonic()
    reach_local_servers_directly()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    with SandboxProcess(HOME / "sandbox") as sandbox, embedded_snowflake() as snowflake:
        title("Start an embedded Snowflake and a local Monte Carlo")
        open_shop(snowflake)
        folder = copy_folder("snowflake", HOME / "my-push")
        print("Snowflake has the demo data")
        print(f"created the folder: python scripts/new_push.py snowflake {shown(folder)}")
        summaries = [collect_and_push(flow, folder, snowflake, sandbox) for flow in FLOWS]
        read_back(sandbox, featured_table(folder))
        print_next_steps(summaries, sandbox, time.monotonic() - started)
    return 0


def collect_and_push(flow: str, folder: Path, snowflake: EmbeddedSnowflake, sandbox: SandboxProcess) -> dict[str, Any]:
    """Run the two scripts of a flow as a customer would, and print their messages."""
    title(f"Collect and push {flow}: collect_{flow}.py, then push_{flow}.py")
    environment = snowflake.environment() | sandbox.env
    manifest = folder / f"{flow}.jsonl.gz"
    for script in (f"collect_{flow}.py", f"push_{flow}.py"):
        run = run_script(folder, script, "--manifest", str(manifest), env=environment, cwd=folder)
        print(run.said.strip().replace(str(ROOT) + "/", ""))
        if run.exit_code != 0:
            sys.exit(f"{script} failed with exit code {run.exit_code}:\n{run.stdout}")
    summary = run.summary
    invocations = summary["invocation_ids"]
    print(f"requests accepted: {len(invocations)}; first invocation id: {invocations[0]}")
    return summary


def records_of(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a manifest."""
    from mcpush.manifest import read

    yield from read(path)


def featured_table(folder: Path) -> str:
    """The table with the most columns of known origin, then the most columns, among those with an update time."""
    known = {
        name_of(record): len(record.get("fields") or [])
        for record in records_of(folder / "metadata.jsonl.gz")
        if record["type"] == "TABLE" and record.get("last_update_time")
    }
    mapped = {
        name_of(record["destination"]): len(record["columns"]) for record in records_of(folder / "lineage.jsonl.gz")
    }
    return max(known, key=lambda name: (mapped.get(name, 0), known[name]))


def name_of(asset: dict[str, Any]) -> str:
    """The fullTableId in Monte Carlo."""
    return f"{asset['database']}:{asset['schema']}.{asset['name']}"


def read_back(sandbox: SandboxProcess, name: str) -> None:
    """Query Monte Carlo for the table, and print the result."""
    title(f"Read back from Monte Carlo: {name}")
    now = datetime.now(timezone.utc)
    table = sandbox.graphql(TABLE, {"warehouse": sandbox.resource("snowflake"), "name": name})["getTable"]
    period = {"start": (now - timedelta(days=2)).isoformat(), "end": (now + timedelta(hours=1)).isoformat()}
    lineage = sandbox.graphql(LINEAGE, {"mcon": table["mcon"]})
    activity = sandbox.graphql(ACTIVITY, {"mcon": table["mcon"], **period})
    [version] = table["versions"]["edges"]
    fields = [edge["node"] for edge in version["node"]["fields"]["edges"]]
    sources = {column["selectedColumn"]: column["lineageSources"] for column in columns_of(lineage)}
    row("table", f"{table['tableType']}, ingest type {table['ingestType']}, invocation {table['ingestInvocationId']}")
    for field in fields:
        origins = [
            f"{full_name(source['mcon'])}.{column['columnName']}"
            for source in sources.get(field["name"], [])
            for column in source["sourceColumns"]
        ]
        arrow = f"<- {listed(origins)}" if origins else ""
        row("column", f"{field['name']:<16} {field['fieldType']:<18} {arrow}")
    row("volume", f"{latest(activity['rows'])} rows, {latest(activity['bytes'])} bytes")
    row("freshness", f"last updated {table['lastUpdatedOn']}")
    detectors = table["thresholds"]
    row("detectors", f"freshness {detectors['freshness']['status']}, size {detectors['size']['sdStatus']}")
    row("upstream", names(lineage["up"]))
    row("downstream", names(lineage["down"]))
    for kind in ("reads", "writes"):
        queries = activity[kind]["aggregatedQueries"]
        row(kind, f"{sum(query['count'] for query in queries)} queries, {len(queries)} distinct")


def columns_of(lineage: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lineage["getTableColumnsLineage"]["columnsLineage"]
    return found


def latest(response: dict[str, Any]) -> str:
    samples = response["metrics"]
    return f"{samples[-1]['value']:,.0f}" if samples else "unknown"


def names(graph: dict[str, Any]) -> str:
    return listed(sorted(full_name(node["mcon"]) for node in graph["connectedNodes"])) or "none"


def full_name(mcon: str) -> str:
    return mcon.rsplit("++", 1)[-1]


def listed(each: list[str], most: int = 2) -> str:
    more = f" and {len(each) - most} more" if len(each) > most else ""
    return ", ".join(each[:most]) + more


def print_next_steps(summaries: list[dict[str, Any]], sandbox: SandboxProcess, seconds: float) -> None:
    title("Invocation ids and next steps")
    for flow, summary in zip(FLOWS, summaries, strict=True):
        print(f"{flow}: {summary['records_accepted']} records accepted")
        shown_ids = summary["invocation_ids"][:3]
        for invocation in shown_ids:
            print(f"  {invocation}")
        if len(summary["invocation_ids"]) > len(shown_ids):
            print(f"  … and {len(summary['invocation_ids']) - len(shown_ids)} more in {shown(result_of(summary))}")
    folder = shown(HOME / "my-push")
    print()
    print(f"see a manifest         zcat {folder}/lineage.jsonl.gz | head -2")
    print(f"see a push result      cat {folder}/metadata.jsonl.gz.result.json")
    print("query the sandbox      make sandbox DATA=.demo/sandbox, then see scripts/sandbox/README.md")
    print("use your own account   see scripts/templates/snowflake/README.md: grants and variables")
    print(f"\nfinished in {seconds:.0f} s")


def result_of(summary: dict[str, Any]) -> Path:
    result = Path(summary["result"])
    json.loads(result.read_text(encoding="utf-8"))  # the file that the output names must exist and be valid
    return result


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def row(label: str, text: str) -> None:
    print(f"  {label:<10} {text}".rstrip())


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "scripts"))
    sys.exit(main())
