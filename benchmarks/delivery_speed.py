"""Measures pycarlo's serialization as a share of a push: complete push_*.py runs compared with to_dict alone.

    python benchmarks/delivery_speed.py [--records N]

Pushes a manifest of query logs and one of metadata into a sandbox on this machine, and compares each push with only
building and serializing the same events. The ratio shows the cost of batches, journal, requests and responses.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SNOWFLAKE = ROOT / "scripts/templates/snowflake"
sys.path[:0] = [str(ROOT), str(SNOWFLAKE)]

from mcpush.manifest import Header, Writer, read  # noqa: E402
from mcpush.records import RECORDS, Json, TimeRange  # noqa: E402
from push_metadata import PUSHER as METADATA  # noqa: E402
from push_query_logs import PUSHER as QUERY_LOGS  # noqa: E402

from tests.sandbox_process import SandboxProcess  # noqa: E402
from tests.script_process import run_script  # noqa: E402

START = datetime(2026, 3, 1, tzinfo=timezone.utc)


def queries(count: int) -> Iterator[Json]:
    for number in range(count):
        moment = (START + timedelta(seconds=number)).isoformat()
        text = f"INSERT INTO mart.orders_{number % 50} SELECT * FROM raw.orders WHERE id = {number}"
        times = {"start_time": moment, "end_time": moment}
        yield {"query_id": f"q{number}", "query_text": text, "user": "ETL", "extra": {"role": "R"}, **times}


def tables(count: int) -> Iterator[Json]:
    fields = [{"name": f"column_{number}", "type": "NUMBER(38,0)"} for number in range(20)]
    for number in range(count):
        name = {"database": "SHOP", "schema": "PUBLIC", "name": f"T{number}"}
        yield {"type": "TABLE", **name, "fields": fields, "row_count": number}


def measure(flow: str, records: Iterator[Json], build: Callable[[Any], Any], sandbox: SandboxProcess) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{flow}.jsonl"
        with Writer(path, Header(flow, "snowflake", "snowflake", START, TimeRange(START, START))) as writer:
            for record in records:
                writer.write(record)
            writer.finish({}, {})
        start = time.perf_counter()
        for record in read(path):
            build(RECORDS[flow].from_json(record)).to_dict()
        serialization = time.perf_counter() - start
        start = time.perf_counter()
        run_script(SNOWFLAKE, f"push_{flow}.py", "--manifest", str(path), env=sandbox.env).check()
        pushing = time.perf_counter() - start
    print(
        f"{flow:<12} {writer.records} records: push {writer.records / pushing:7.0f}/s, "
        f"serialization alone {writer.records / serialization:7.0f}/s, ratio {serialization / pushing:.2f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--records",
        type=int,
        default=20_000,
        help="query log entries (default: %(default)s); tables: a tenth of this number",
    )
    count = parser.parse_args().records
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder, SandboxProcess(Path(folder)) as sandbox:
        measure("query_logs", queries(count), QUERY_LOGS.build, sandbox)
        measure("metadata", tables(count // 10), METADATA.build, sandbox)
    return 0


if __name__ == "__main__":
    sys.exit(main())
