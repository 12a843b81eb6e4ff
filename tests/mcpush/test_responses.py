"""The response table: for each response of Monte Carlo or a proxy, the requests, exit code and settled records.

The push scripts run in this process, because separate processes would take minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.mcpush.in_process import InProcess
from tests.mcpush.test_delivery import METADATA, arrived_names, journal_lines, table, write

# Much longer than the retries of this table take on a slow machine, and much shorter than a day.
RETRY_SECONDS = "120"
ALL = [0, 1, 2]
EVENTS = {"error": "Schema validation failed", "details": {"events[0].relational_asset.type": "must be TABLE"}}
RESOURCE = {"error": "Schema validation failed", "details": {"resource.resource_type": "must be redshift"}}
PAGE = "<html>Please log in</html>"
ID = {"invocation_id": "3b0c9d1e-0000-4000-8000-000000000001"}


@dataclass(frozen=True)
class Row:
    """A push of three records: the first ``times`` requests get the fault, the others are accepted.

    ``responses`` are all responses of the sandbox. ``accepted`` and ``rejected`` are the record numbers in the journal
    after the run.
    """

    fault: dict[str, Any]
    times: int
    responses: list[int | str]
    exit_code: int
    accepted: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)


def retried(status: int, **more: Any) -> Row:
    """One retry, which is accepted."""
    return Row({"status": status, **more}, 1, [status, 202], 0, ALL)


def retry_after(value: str) -> dict[str, str]:
    return {"Retry-After": value}


def ended(status: int, exit_code: int, **more: Any) -> Row:
    """No retry: the run ends, and nothing is settled."""
    return Row({"status": status, **more}, 2, [status], exit_code)


def split(status: int, **more: Any) -> Row:
    """The batch is sent again in parts, which are accepted."""
    return Row({"status": status, **more}, 1, [status, 202, 202, 202], 0, ALL)


def rejected(status: int, **more: Any) -> Row:
    """The batch is sent again in parts, which are rejected too, down to each single record."""
    return Row({"status": status, **more}, 9, [status] * 4, 1, rejected=ALL)


def one_rejected(status: int, **more: Any) -> Row:
    """The batch is rejected, then its middle record, which is sent first. The others are accepted."""
    return Row({"status": status, **more}, 2, [status, status, 202, 202], 1, accepted=[0, 2], rejected=[1])


RESPONSES = {
    "accepted": Row({"status": 202, "body": ID}, 1, [202], 0, ALL),
    "200 accepted": Row({"status": 200, "body": ID}, 1, [200], 0, ALL),
    "200 without id": ended(200, 4, body={"healthy": True}),
    "202 without id": ended(202, 4, body={}),
    "202 HTML page": ended(202, 4, body=PAGE),
    "202 empty": ended(202, 4, body=""),
    "204": ended(204, 4, body=""),
    "400 events": one_rejected(400, body=EVENTS),
    "400 events, always": rejected(400, body=EVENTS),
    "400 resource": ended(400, 2, body=RESOURCE),
    "400 HTML page": ended(400, 4, body=PAGE),
    "400 empty": ended(400, 4, body=""),
    "400 without details": split(400),
    "401": ended(401, 3),
    "401 HTML page": ended(401, 3, body=PAGE),
    "401 with Retry-After": ended(401, 3, headers=retry_after("1")),
    "403": ended(403, 3),
    "404": ended(404, 2),
    "404 HTML page": ended(404, 2, body=PAGE),
    "405": ended(405, 2),
    "408": retried(408),
    "413": split(413),
    "413 HTML page": split(413, body=PAGE),
    "413 with Retry-After": split(413, headers=retry_after("1")),
    "413, always": rejected(413),
    "418": ended(418, 4),
    "422 events": one_rejected(422, body=EVENTS),
    "422 resource": ended(422, 2, body=RESOURCE),
    "425": retried(425),
    "429": retried(429),
    "429 for a second": retried(429, headers=retry_after("1")),
    "429 negative": retried(429, headers=retry_after("-86400")),
    "429 until a past date": retried(429, headers=retry_after("Sun, 01 Mar 2026 12:00:00 GMT")),
    "429 not a time": retried(429, headers=retry_after("soon")),
    "429 not a number": retried(429, headers=retry_after("nan")),
    "429 forever": retried(429, headers=retry_after("1e999")),
    "429 until a year of 20 digits": retried(429, headers=retry_after("Fri, 01 Jan 99999999999999999999 00:00:00 GMT")),
    "429 for a day": ended(429, 4, headers=retry_after("86400")),
    "429 until a date": ended(429, 4, headers=retry_after("Fri, 01 Jan 2100 00:00:00 GMT")),
    "500": retried(500),
    "500 HTML page": retried(500, body=PAGE),
    "502 HTML page": retried(502, body=PAGE),
    "503": retried(503),
    "503 empty": retried(503, body=""),
    "503 for a day": ended(503, 4, headers=retry_after("86400")),
    "504 empty": retried(504, body=""),
    "dropped": Row({"drop": "before"}, 1, ["dropped", 202], 0, ALL),
    "response lost": Row({"drop": "after"}, 1, ["dropped", 202], 0, ALL),
}


@pytest.mark.parametrize("row", RESPONSES.values(), ids=RESPONSES)
def test_each_response_settles_the_expected_records(row: Row, scripts: InProcess, manifest_path: Path) -> None:
    sandbox = scripts.sandbox
    names = ["zero", "one", "two"]
    write(manifest_path, "metadata", [table(name) for name in names])
    sandbox.fault(METADATA, calls=list(range(1, row.times + 1)), **row.fault)
    code, summary = scripts.push("metadata", manifest_path, "--max-retry-seconds", RETRY_SECONDS)
    assert (sandbox.requests(METADATA).answers, code) == (row.responses, row.exit_code)
    settled = journal_lines(manifest_path)[1:]
    accepted = [line for line in settled if "rejected" not in line]
    assert sorted(number for line in accepted for number in range(line["first"], line["first"] + line["count"])) == (
        row.accepted
    )
    assert sorted(line["rejected"] for line in settled if "rejected" in line) == row.rejected
    ids = [line["invocation_id"] for line in accepted]
    assert (summary["invocation_ids"], summary["records_rejected"]) == (ids, len(row.rejected))
    if row.fault.get("body") != ID:  # otherwise the fault sent the response, and nothing was stored
        assert sorted(arrived_names(sandbox, ids)) == sorted(names[number] for number in row.accepted)


def test_a_resource_that_rejects_everything_ends_the_run_after_ten_requests(
    scripts: InProcess, manifest_path: Path
) -> None:
    """Five batches are sent, each followed by one of its records alone. The records can be good, so none is settled."""
    write(manifest_path, "metadata", [table(f"T{number}") for number in range(500)])
    scripts.sandbox.fault(METADATA, status=400, body=EVENTS)
    code, summary = scripts.push("metadata", manifest_path)
    assert (code, scripts.sandbox.requests(METADATA).answers) == (2, [400] * 10)
    assert "Nothing was accepted: 5 batches and 5 single records" in summary["error"]["message"]
    assert (summary["records_accepted"], summary["records_rejected"]) == (0, 0)
    assert journal_lines(manifest_path)[1:] == []
