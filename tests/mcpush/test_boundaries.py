"""Boundary values: one below, at and one above each limit, and times without a zone in any local time zone."""

from __future__ import annotations

import json
import random
import string
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from mcpush.push.batches import MAX_BODY_BYTES
from mcpush.records import Json, iso_utc, parse_utc

from tests.collected import Collected
from tests.mcpush.in_process import InProcess
from tests.mcpush.test_delivery import arrived_names, query, table, write
from tests.script_process import TEMPLATES, run_script

FIXTURES = Path(__file__).parent / "fixtures"
CHARACTERS_PER_BYTE = 1.18  # noise of printable characters, per compressed byte
GATEWAY_FLOWS = {"metadata": "metadata", "lineage": "lineage", "query_logs": "querylogs"}


def edge(name: str) -> Json:
    source, destination = ({"type": "TABLE", "database": "D", "schema": "S", "name": each} for each in ("s", name))
    return {"destination": destination, "sources": [source], "columns": []}


def records(flow: str, count: int) -> list[Json]:
    if flow == "query_logs":
        return [query(number) for number in range(count)]
    return [table(f"T{number}") if flow == "metadata" else edge(f"T{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("flow", "count", "batches"),
    [
        ("metadata", 49, [49]),
        ("metadata", 50, [50]),
        ("metadata", 51, [50, 1]),
        ("metadata", 101, [50, 50, 1]),
        ("lineage", 249, [249]),
        ("lineage", 250, [250]),
        ("lineage", 251, [250, 1]),
        ("query_logs", 249, [249]),
        ("query_logs", 250, [250]),
        ("query_logs", 251, [250, 1]),
    ],
)
def test_a_batch_is_full_at_its_limit(
    scripts: InProcess, manifest_path: Path, flow: str, count: int, batches: list[int]
) -> None:
    write(manifest_path, flow, records(flow, count))
    code, summary = scripts.push(flow, manifest_path, "--workers", "1")
    sent = {push["invocation_id"]: push["events"] for push in scripts.sandbox.pushes(GATEWAY_FLOWS[flow])}
    assert (code, [sent[each] for each in summary["invocation_ids"]]) == (0, batches)


def test_a_body_is_sent_up_to_its_limit_and_one_byte_more_is_rejected(scripts: InProcess, manifest_path: Path) -> None:
    noise = "".join(random.Random(7).choices(string.printable[:94], k=1_200_000))

    def size(length: int) -> int:
        """The compressed size of a body with one record of this much noise, in bytes, as a dry run reports it.

        The noise is a name: a record is not sent without its name.
        """
        write(manifest_path, "metadata", [table("LARGE") | {"schema": noise[:length]}])
        summary = scripts.push("metadata", manifest_path, "--dry-run")[1]
        [size] = [int(each["reason"].split()[0]) for each in summary["rejected"]] or [summary["largest_body_bytes"]]
        return int(size)

    def length_of(body: int, length: int) -> int:
        """How much noise gives a body of this size. Found by trial, because compressors differ."""
        for _ in range(50):
            missing = body - size(length)
            if missing == 0:
                return length
            length += round(missing * CHARACTERS_PER_BYTE)
        pytest.fail(f"no amount of noise gives a body of {body} bytes")

    fits = length_of(MAX_BODY_BYTES, 1_060_000)
    too_long = length_of(MAX_BODY_BYTES + 1, fits + 1)
    write(manifest_path, "metadata", [table("LARGE") | {"schema": noise[:fits]}])
    code, summary = scripts.push("metadata", manifest_path)
    assert (code, arrived_names(scripts.sandbox, summary["invocation_ids"])) == (0, ["LARGE"])
    write(manifest_path, "metadata", [table("LARGE") | {"schema": noise[:too_long]}])
    code, summary = scripts.push("metadata", manifest_path)
    assert (code, [each["name"] for each in summary["rejected"]]) == (1, [f"SHOP.{noise}"[:300]])
    reason = f"{MAX_BODY_BYTES + 1} bytes compressed; the request limit is {MAX_BODY_BYTES}"
    assert summary["rejected"][0]["reason"] == reason


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_a_time_without_a_zone_is_utc_wherever_the_script_runs(tmp_path: Path, zone: str) -> None:
    arguments = ["--manifest", "q.jsonl", "--state", "state.json"]
    times = ["--since", "2026-01-31T23:58:00", "--until", "2026-02-01"]
    env = {"PYTHONPATH": str(TEMPLATES / "snowflake"), "TZ": zone}
    script = FIXTURES / "one_query_a_minute.py"
    run_script(script.parent, script.name, "collect", *arguments, *times, env=env, cwd=tmp_path).check()
    found = Collected.read(tmp_path / "q.jsonl")
    assert found.header["window"] == {"start": "2026-01-31T23:58:00Z", "end": "2026-02-01T00:00:00Z"}
    assert [(each["start_time"], each["end_time"]) for each in found.records] == [
        ("2026-01-31T23:58:00Z", "2026-01-31T23:58:30Z"),
        ("2026-01-31T23:59:00Z", "2026-01-31T23:59:30Z"),
    ]
    state: dict[str, Any] = json.loads((tmp_path / "state.json").read_text())
    assert state == {"warehouse": "snowflake", "flow": "query_logs", "until": "2026-02-01T00:00:00Z"}


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_a_drivers_time_without_a_zone_is_written_as_utc(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", zone)
        time.tzset()
        written = iso_utc(datetime(2026, 1, 31, 23, 58))  # noqa: DTZ001 - as a driver returns it
        read = parse_utc("2026-01-31T23:58:00")
    time.tzset()
    assert written == "2026-01-31T23:58:00Z"
    assert (read.isoformat(), read.tzinfo) == ("2026-01-31T23:58:00+00:00", timezone.utc)
