"""Pushes many query logs: all of them arrive, and memory does not grow with their number."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from mcpush.manifest import Header, Writer
from mcpush.records import TimeRange, iso_utc

from tests.sandbox_process import SandboxProcess
from tests.script_process import TEMPLATES, peak_memory

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
SNOWFLAKE = TEMPLATES / "snowflake"
MEGABYTES = 2**20


def write_queries(path: Path, count: int) -> None:
    with Writer(path, Header("query_logs", "snowflake", "snowflake", START, TimeRange(START, START))) as writer:
        for number in range(count):
            moment = iso_utc(START + timedelta(milliseconds=number))
            text = f"SELECT o.id, sum(o.total) FROM raw.shop.orders AS o WHERE o.day = {number} GROUP BY 1"
            times = {"start_time": moment, "end_time": moment}
            writer.write({"query_id": f"q{number}", "query_text": text, "user": "ETL", **times})
        writer.finish({}, {})


@pytest.mark.scale
@pytest.mark.parametrize("many", [200_000, pytest.param(1_000_000, marks=pytest.mark.stress)])
def test_many_entries_arrive_with_the_memory_of_ten_thousand(
    many: int, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    little, much = tmp_path / "little.jsonl", tmp_path / "much.jsonl.gz"
    write_queries(little, 10_000)
    write_queries(much, many)
    before = peak_memory(SNOWFLAKE, "push_query_logs.py", "--manifest", str(little), env=sandbox.env)
    earlier = {push["invocation_id"] for push in sandbox.pushes("querylogs")}
    after = peak_memory(SNOWFLAKE, "push_query_logs.py", "--manifest", str(much), env=sandbox.env)
    assert after - before < 64 * MEGABYTES
    numbers = bytearray(many)
    for push in sandbox.pushes("querylogs"):
        if push["invocation_id"] not in earlier:
            for event in sandbox.received("querylogs", push["invocation_id"]):
                numbers[int(event["query_id"][1:])] += 1
    assert numbers == b"\x01" * many, "each query once"
