"""Injected faults: by call number, every Nth request, delays, and connections closed before and after storing."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox_process import SandboxProcess

PATH = "/ingest/v1/querylogs"


def push(sandbox: SandboxProcess, timeout: float = 60) -> requests.Response:
    return requests.post(
        sandbox.url + PATH,
        json={
            "event_type": "QUERY_LOG",
            "resource": {"uuid": sandbox.resource(), "log_type": "snowflake"},
            "events": [
                {
                    "start_time": "2026-03-01T12:00:00Z",
                    "end_time": "2026-03-01T12:00:01Z",
                    "query_text": "SELECT 1",
                }
            ],
        },
        headers={"x-mcd-id": sandbox.env["MCD_INGEST_ID"], "x-mcd-token": sandbox.env["MCD_INGEST_TOKEN"]},
        timeout=timeout,
    )


def test_statuses_are_returned_on_the_requested_calls(quiet_sandbox: SandboxProcess) -> None:
    quiet_sandbox.fault(PATH, calls=[2, 4], status=503, headers={"Retry-After": "7"}, body={"error": "busy"})
    before = len(quiet_sandbox.pushes())
    answers = [push(quiet_sandbox) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202, 503, 202, 503, 202]
    assert answers[1].headers["retry-after"] == "7"
    assert answers[1].json() == {"error": "busy"}
    assert len(quiet_sandbox.pushes()) == before + 3
    assert quiet_sandbox.requests(PATH).answers == [202, 503, 202, 503, 202]


def test_calls_are_counted_since_the_fault_was_added(quiet_sandbox: SandboxProcess) -> None:
    push(quiet_sandbox)
    quiet_sandbox.fault(PATH, calls=[1], status=429)
    assert [push(quiet_sandbox).status_code for _ in range(2)] == [429, 202]


def test_every_third_and_every_request(quiet_sandbox: SandboxProcess) -> None:
    quiet_sandbox.fault(PATH, every=3, status=500)
    assert [push(quiet_sandbox).status_code for _ in range(6)] == [202, 202, 500, 202, 202, 500]
    quiet_sandbox.clear_faults()
    quiet_sandbox.fault(PATH, status=502)
    assert [push(quiet_sandbox).status_code for _ in range(2)] == [502, 502]
    quiet_sandbox.clear_faults()
    assert push(quiet_sandbox).status_code == 202


def test_a_fault_can_return_a_page_instead_of_json(quiet_sandbox: SandboxProcess) -> None:
    page = "<html>Bad Gateway</html>"
    quiet_sandbox.fault(PATH, status=502, headers={"Content-Type": "text/html", "X-Number": 1}, body=page)
    answer = push(quiet_sandbox)
    assert (answer.status_code, answer.text) == (502, page)
    assert (answer.headers["content-type"], answer.headers["x-number"]) == ("text/html", "1")
    quiet_sandbox.clear_faults()
    quiet_sandbox.fault(PATH, status=204)
    assert (push(quiet_sandbox).status_code, push(quiet_sandbox).content) == (204, b"")


@pytest.mark.parametrize(("drop", "stored"), [("before", 0), ("after", 1)])
def test_a_dropped_connection_has_no_response(quiet_sandbox: SandboxProcess, drop: str, stored: int) -> None:
    quiet_sandbox.fault(PATH, calls=[1], drop=drop)
    before = len(quiet_sandbox.pushes())
    with pytest.raises(requests.ConnectionError):
        push(quiet_sandbox)
    assert len(quiet_sandbox.pushes()) == before + stored
    assert push(quiet_sandbox).status_code == 202
    assert quiet_sandbox.requests(PATH).answers == ["dropped", 202]


def test_a_request_is_not_handled_if_the_client_leaves_during_the_delay(quiet_sandbox: SandboxProcess) -> None:
    quiet_sandbox.fault(PATH, calls=[1], delay=30)
    before = len(quiet_sandbox.pushes())
    with pytest.raises(requests.Timeout):
        push(quiet_sandbox, timeout=0.5)
    assert push(quiet_sandbox).status_code == 202
    assert quiet_sandbox.requests(PATH).count == 2
    assert len(quiet_sandbox.pushes()) == before + 1


def test_other_paths_are_not_affected(quiet_sandbox: SandboxProcess) -> None:
    quiet_sandbox.fault("/graphql", status=504)
    assert push(quiet_sandbox).status_code == 202
    assert requests.post(quiet_sandbox.endpoint, json={}, timeout=60).status_code == 504


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({}, "path"),
        ({"path": PATH, "calls": [0]}, "calls"),
        ({"path": PATH, "every": "3"}, "every"),
        ({"path": PATH, "status": 99}, "status"),
        ({"path": PATH, "drop": "later"}, "drop"),
        ({"path": PATH, "dealy": 3}, "dealy"),
        ({"path": PATH, "status": 503, "headers": {"Retry-After": "1\r\nx: y"}}, "headers"),
        ({"path": PATH, "status": 503, "headers": {"größe": "1"}}, "headers"),
        ({"path": PATH, "status": 503, "headers": ["Retry-After"]}, "headers"),
    ],
)
def test_an_invalid_fault_is_rejected(quiet_sandbox: SandboxProcess, fault: dict[str, Any], named: str) -> None:
    answer = requests.post(f"{quiet_sandbox.url}/sandbox/faults", json=fault, timeout=60)
    assert answer.status_code == 400
    assert list(answer.json()["details"]) == [named]
