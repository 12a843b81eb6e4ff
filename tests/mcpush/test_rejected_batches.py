"""Rejected batches of a large push: which requests are sent, that no good record is lost, and what ends the run.

A local server replaces Monte Carlo. Like Monte Carlo, it rejects a whole batch because of one bad record; each test
chooses the bad records. The push script and pycarlo are the real ones.
"""

from __future__ import annotations

import json
import math
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.mcpush.test_delivery import journal_lines, push, table, write
from tests.script_process import Run

RECORDS, BATCH = 10_000, 50
BATCHES = RECORDS // BATCH
POSITIONS = (25, 5, 36, 17, 48)  # in their batches, of the records that are sent alone while nothing has been accepted
Span = tuple[int, int]  # the first and the last record of a request


@dataclass
class Server:
    """Rejects requests that contain a bad record, and accepts the others."""

    bad: frozenset[int] = frozenset()
    requests: list[Span] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    def respond(self, numbers: list[int]) -> tuple[int, dict[str, object]]:
        self.requests.append((numbers[0], numbers[-1]))
        wrong = [f"events.{place}" for place, number in enumerate(numbers) if number in self.bad]
        if wrong:
            return 400, {"message": "Invalid request", "details": {place: ["bad"] for place in wrong}}
        self.accepted += numbers
        return 202, {"invocation_id": str(uuid.uuid4())}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = [event["relational_asset"]["metadata"]["name"] for event in body["events"]]
            status, response = made.respond([int(name[1:]) for name in names])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(response).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        made.env = {
            "MCD_API_ENDPOINT": f"http://127.0.0.1:{listening.server_address[1]}/graphql",
            "MCD_INGEST_ID": "id",
            "MCD_INGEST_TOKEN": "t0ken-of-a-test",
            "MCD_RESOURCE_UUID": str(uuid.UUID(int=1)),
        }
        yield made
        listening.shutdown()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tables") / "m.jsonl"
    return write(path, "metadata", (table(f"T{number}") for number in range(RECORDS))).read_bytes()


def push_tables(tables: bytes, manifest: Path, server: Server, *arguments: str) -> Run:
    manifest.write_bytes(tables)
    return push("metadata", manifest, server.env, *arguments)


def check_only_bad_ones_are_lost(server: Server, run: Run, records: int = RECORDS) -> None:
    """Check that each good record arrived once and each bad one was rejected."""
    assert sorted(server.accepted) == [number for number in range(records) if number not in server.bad]
    assert run.summary["records_rejected"] == len(server.bad)
    assert run.summary["records_accepted"] == records - len(server.bad)


def test_without_bad_records_each_batch_is_one_request(server: Server, tables: bytes, manifest_path: Path) -> None:
    run = push_tables(tables, manifest_path, server).check()
    assert sorted(server.requests) == [(first, first + BATCH - 1) for first in range(0, RECORDS, BATCH)]
    check_only_bad_ones_are_lost(server, run)


def test_one_bad_record_is_isolated_by_bisection(server: Server, tables: bytes, manifest_path: Path) -> None:
    server.bad = frozenset({5003})
    run = push_tables(tables, manifest_path, server, "--workers", "1").check(1)
    check_only_bad_ones_are_lost(server, run)
    before = [(first, first + BATCH - 1) for first in range(0, 5000, BATCH)]
    after = [(first, first + BATCH - 1) for first in range(5050, RECORDS, BATCH)]
    isolating = [
        *((5000, 5049), (5025, 5025)),
        *((5000, 5024), (5012, 5012)),
        *((5000, 5011), (5006, 5006)),
        *((5000, 5005), (5003, 5003)),  # the bad one
        *((5000, 5002), (5004, 5005)),
        *((5007, 5011), (5013, 5024), (5026, 5049)),
    ]
    assert server.requests == before + isolating + after


@pytest.mark.parametrize(
    "bad",
    [
        {0},
        {RECORDS - 1},
        {0, 1, 49, 50, RECORDS - 2, RECORDS - 1},
        set(range(4990, 5010)),
        {*range(150), *range(RECORDS - 150, RECORDS)},
    ],
    ids=["the first", "the last", "a few at both ends", "in the middle", "whole batches at both ends"],
)
def test_good_neighbors_of_bad_records_arrive(
    server: Server, tables: bytes, manifest_path: Path, bad: set[int]
) -> None:
    server.bad = frozenset(bad)
    run = push_tables(tables, manifest_path, server).check(1)
    check_only_bad_ones_are_lost(server, run)
    rejected = {line["rejected"] for line in journal_lines(manifest_path) if "rejected" in line}
    assert rejected == bad
    assert len(server.requests) <= BATCHES + len(bad) * 3 * math.ceil(math.log2(BATCH))


@pytest.mark.parametrize(("distance", "first"), [(2, 1), (2, 0), (5, 0), (10, 5), (25, 0), (50, 25), (3, 1)])
def test_bad_records_at_regular_intervals_do_not_end_the_run(
    server: Server, manifest_path: Path, distance: int, first: int
) -> None:
    records = 6 * BATCH
    server.bad = frozenset(range(first, records, distance))
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(records)])
    run = push("metadata", manifest_path, server.env).check(1)
    check_only_bad_ones_are_lost(server, run, records)


@pytest.mark.parametrize("good", [set(), {RECORDS - 1}], ids=["all", "all but one"])
def test_when_nothing_is_accepted_the_run_ends_and_rejects_no_record(
    server: Server, tables: bytes, manifest_path: Path, good: set[int]
) -> None:
    server.bad = frozenset(set(range(RECORDS)) - good)
    run = push_tables(tables, manifest_path, server).check(2)
    assert "Nothing was accepted: 5 batches and 5 single records were rejected" in run.summary["error"]["message"]
    tried = [(number * BATCH, number * BATCH + place) for number, place in enumerate(POSITIONS)]
    pairs = [((start, start + BATCH - 1), (alone, alone)) for start, alone in tried]
    assert server.requests == [span for pair in pairs for span in pair]
    assert len(journal_lines(manifest_path)) == 1, "only the header"
    assert run.summary["records_rejected"] == 0
    server.bad, server.requests = frozenset(), []
    run = push_tables(tables, manifest_path, server).check()
    check_only_bad_ones_are_lost(server, run)


@pytest.mark.parametrize("records", [49, 5])
def test_one_batch_of_bad_records_ends_the_run_too(server: Server, manifest_path: Path, records: int) -> None:
    server.bad = frozenset(range(records))
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(records)])
    run = push("metadata", manifest_path, server.env).check(2)
    singles = [span for span in server.requests if span[0] == span[1]]
    batches = len(server.requests) - len(singles)
    assert f"{batches} batches and {len(singles)} single records" in run.summary["error"]["message"]
    assert len(singles) == 5
    assert run.summary["records_rejected"] == 0


def test_a_few_records_that_are_all_bad_are_rejected(server: Server, manifest_path: Path) -> None:
    server.bad = frozenset(range(4))
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(4)])
    run = push("metadata", manifest_path, server.env).check(1)
    assert run.summary["records_rejected"] == 4
    assert run.summary["status"] == "failed"


def test_the_only_good_record_is_found_if_it_is_sent_alone(server: Server, manifest_path: Path) -> None:
    good = 2 * BATCH + POSITIONS[2]
    server.bad = frozenset(set(range(200)) - {good})
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(200)])
    run = push("metadata", manifest_path, server.env).check(1)
    check_only_bad_ones_are_lost(server, run, 200)
    assert len(server.requests) <= 2 * 200


def test_in_a_rerun_the_remaining_records_may_all_be_bad(server: Server, manifest_path: Path) -> None:
    server.bad = frozenset(range(40, 60))
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(60)])
    push("metadata", manifest_path, server.env).check(1)
    run = push("metadata", manifest_path, server.env).check(1)
    assert run.summary["records_accepted_before"] == 40
    check_only_bad_ones_are_lost(server, run, 60)
