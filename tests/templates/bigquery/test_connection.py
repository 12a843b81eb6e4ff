"""Tests requests, jobs and retries through the real client: timeouts, labels, cancellation, what is tried again.

In this process, so that a table of cases takes seconds; with signals and without retries of minutes, as processes.
"""

from __future__ import annotations

import pydoc
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.folder_modules import error_of
from tests.script_process import TEMPLATES, started_script, wait_for, wait_until
from tests.templates.bigquery import world
from tests.templates.bigquery.conftest import Scripts
from tests.templates.bigquery.front import (
    Action,
    Front,
    failed_job,
    gone,
    gone_after,
    refused,
    running_job,
    said,
)

INSERT = r"^POST /bigquery/v2/projects/[^/]+/jobs$"
GET_JOB = r"^GET /bigquery/v2/projects/[^/]+/jobs/"
RESULTS = r"^GET /bigquery/v2/projects/[^/]+/queries/"
LIST = r"^GET /bigquery/v2/projects/[^/]+/datasets$"
CANCEL = r"^POST .*/jobs/[^/]+/cancel$"
ONE_PROJECT = {"BIGQUERY_PROJECTS": world.LAB}  # one region, four statements
ONLY_VOLUME = "--only-freshness-and-volume"  # one statement
QUOTA_REMEDY = "https://docs.cloud.google.com/bigquery/quotas"


def submitted(scripts: Scripts) -> list[str]:
    """The IDs of the submitted jobs, also of repeated submissions."""
    return [request.json["jobReference"]["jobId"] for request in scripts.front.matching(INSERT)]


def test_all_projects_and_regions_are_read(scripts: Scripts) -> None:
    run = scripts.collect().check()
    assert sorted(scripts.names()) == sorted(world.ALL_TABLES)
    assert run.summary["skipped"] == {}


# --- what every request has ------------------------------------------------------------------------------------------


def test_every_job_has_a_label_a_timeout_and_the_location_of_its_region(scripts: Scripts) -> None:
    scripts.collect(BIGQUERY_STATEMENT_TIMEOUT="77").check()
    jobs = [request.json for request in scripts.front.matching(INSERT)]
    assert {job["jobReference"]["projectId"] for job in jobs} == {world.SHOP}, "the project that pays"
    assert sorted({job["jobReference"]["location"] for job in jobs}) == ["EU", "europe-west3"]
    for job in jobs:
        assert job["configuration"]["jobTimeoutMs"] == "77000"
        ((label, release),) = job["configuration"]["labels"].items()
        assert label == "push-ingestion"
        # https://docs.cloud.google.com/bigquery/docs/labels-intro#requirements
        assert re.fullmatch("[a-z0-9_-]{1,63}", release)
        assert job["configuration"]["query"]["useLegacySql"] is False


def test_every_request_names_the_product_and_goes_to_the_rest_api(scripts: Scripts) -> None:
    scripts.collect().check()
    assert {request.path.split("/")[1] for request in scripts.front.requests} == {"bigquery"}
    for request in scripts.front.requests:
        assert request.headers["user-agent"].startswith("push-ingestion/")


def test_every_request_has_a_timeout(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of tables.get. The client's own default is to wait forever."""
    found: dict[str, Any] = {}
    send = requests.Session.send

    def keep(session: requests.Session, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        found[str(request.url)] = more["timeout"]
        return send(session, request, **more)

    monkeypatch.setattr(requests.Session, "send", keep)
    scripts.server.turn_storage(on=False)
    scripts.collect().check()
    assert any("/tables/" in url for url in found)
    mine = {
        url: timeout
        for url, timeout in found.items()
        if url.startswith((scripts.front.url, f"{scripts.server.url}/token"))
    }
    assert set(mine.values()) == {60, 120}, "120 is the client's own minimum for a result"


def test_the_client_is_closed(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    client = scripts.modules["connection"].bigquery.Client
    close = client.close

    def keep(self: Any) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(client, "close", keep)
    scripts.front.answer(RESULTS, refused(400, "invalidQuery"))
    scripts.collect()
    assert len(closed) == 1


# --- what is tried again ---------------------------------------------------------------------------------------------

PASSING: dict[str, Action] = {
    "quota": refused(403, "quotaExceeded"),
    "rate": refused(403, "rateLimitExceeded"),
    "backend": refused(503, "backendError"),
    "internal": refused(500, "internalError"),
    "gateway": said(502, "<html>Bad Gateway</html>", "text/html"),
    "too many": said(429, "slow down", "text/plain"),
    "no connection": gone,
    "response lost": gone_after,
}
REQUESTS = {"insert": INSERT, "get job": GET_JOB, "results": RESULTS, "list": LIST}


@pytest.mark.parametrize("where", REQUESTS)
@pytest.mark.parametrize("what", PASSING)
def test_a_request_is_tried_again(scripts: Scripts, what: str, where: str) -> None:
    if where == "get job":
        scripts.front.answer(INSERT, running_job)  # BigQuery answers jobs.insert before the job is done
    scripts.front.answer(REQUESTS[where], PASSING[what], times=1)
    scripts.collect(**ONE_PROJECT, BIGQUERY_RETRY_SECONDS="10").check()
    assert scripts.names() == [f"{world.LAB}.probes.samples"]


@pytest.mark.parametrize("where", REQUESTS)
def test_a_request_that_fails_for_longer_ends_the_run_after_the_retry_time(scripts: Scripts, where: str) -> None:
    if where == "get job":
        scripts.front.answer(INSERT, running_job)
    scripts.front.answer(REQUESTS[where], refused(403, "quotaExceeded"))
    start = time.monotonic()
    run = scripts.collect(ONLY_VOLUME, **ONE_PROJECT, BIGQUERY_RETRY_SECONDS="3").check(4)
    assert time.monotonic() - start < 60, "the client's own retries take 10 minutes and longer"
    assert QUOTA_REMEDY in error_of(run)["remedy"]
    assert 2 <= len(scripts.front.matching(REQUESTS[where])) <= 20


def test_the_retries_of_the_client_are_not_added(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    """They submit the statement as another job, for 10 minutes; here, for a few seconds."""
    retries = "google.cloud.bigquery.retry._DEFAULT_QUERY_JOB_INSERT_RETRY"
    for seconds in ("1", "4"):
        scripts.front.requests.clear()
        scripts.front.answer(INSERT, refused(503, "backendError"))
        monkeypatch.setattr(retries, pydoc.locate(retries).with_timeout(8))  # type: ignore[attr-defined]
        scripts.collect(ONLY_VOLUME, **ONE_PROJECT, BIGQUERY_RETRY_SECONDS=seconds).check(4)
        assert len({*submitted(scripts)}) == 1


@pytest.mark.parametrize("reason", ["quotaExceeded", "backendError", "rateLimitExceeded", "jobRateLimitExceeded"])
def test_a_job_that_fails_for_a_reason_that_passes_is_submitted_again(scripts: Scripts, reason: str) -> None:
    scripts.front.answer(INSERT, running_job)
    scripts.front.answer(GET_JOB, failed_job(reason), times=2)
    scripts.collect(ONLY_VOLUME, **ONE_PROJECT, BIGQUERY_RETRY_SECONDS="20").check()
    assert scripts.names() == [f"{world.LAB}.probes.samples"]
    ids = submitted(scripts)
    assert len(ids) == len(set(ids)) == 3
    assert scripts.front.matching(CANCEL) == [], "failed jobs need no cancellation"


def test_a_job_that_keeps_failing_ends_the_run_with_its_reason(scripts: Scripts) -> None:
    scripts.front.answer(INSERT, failed_job("quotaExceeded", "Quota exceeded: too many bytes"))
    run = scripts.collect(ONLY_VOLUME, **ONE_PROJECT, BIGQUERY_RETRY_SECONDS="3").check(4)
    assert error_of(run)["message"] == "BigQuery: Quota exceeded: too many bytes"
    assert QUOTA_REMEDY in error_of(run)["remedy"]
    assert len(scripts.front.matching(INSERT)) > 1


@pytest.mark.parametrize(("reason", "status"), [("accessDenied", 403), ("invalidQuery", 400), ("notFound", 404)])
@pytest.mark.parametrize("where", REQUESTS)
def test_a_refusal_is_not_tried_again(scripts: Scripts, reason: str, status: int, where: str) -> None:
    if where == "get job":
        scripts.front.answer(INSERT, running_job)
    scripts.front.answer(REQUESTS[where], refused(status, reason))
    run = scripts.collect("--exclude", "*.samples", **ONE_PROJECT)
    assert run.exit_code in (3, 4)
    sent = [request.path.rpartition("/")[2] for request in scripts.front.matching(REQUESTS[where])]
    if where == "insert":
        sent = submitted(scripts)
    assert sent
    assert len(sent) == len(set(sent))


def test_a_lost_response_to_a_submission_runs_the_statement_once(scripts: Scripts) -> None:
    """The second attempt has the same job ID, and BigQuery refuses it as a duplicate."""
    scripts.front.answer(INSERT, gone_after, times=1)
    scripts.collect(ONLY_VOLUME, **ONE_PROJECT).check()
    ids = submitted(scripts)
    assert len(ids) == 2
    assert ids[0] == ids[1]


def test_credentials_that_are_revoked_in_mid_run_end_it(scripts: Scripts) -> None:
    scripts.front.answer(RESULTS, said(401, {"error": {"code": 401, "message": "Invalid Credentials"}}), after=1)
    run = scripts.collect().check(3)
    assert "Invalid Credentials" in error_of(run)["message"]
    assert "revoked" in error_of(run)["remedy"]


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> Scripts:
    """Scripts that wait for each request a second only. The client waits for a result 120 seconds at least."""
    monkeypatch.setattr("google.cloud.bigquery.client._MIN_GET_QUERY_RESULTS_TIMEOUT", 1)
    for name in ("query_job", "projects", "volumes"):
        monkeypatch.setattr(scripts.modules[name], "HTTP_TIMEOUT", 1)
    return scripts


@pytest.mark.parametrize("where", REQUESTS)
def test_a_server_that_never_answers_ends_the_run(impatient: Scripts, where: str) -> None:
    if where == "get job":
        impatient.front.answer(INSERT, running_job)
    impatient.front.answer(REQUESTS[where], impatient.front.hang)
    run = impatient.collect(ONLY_VOLUME, **ONE_PROJECT, BIGQUERY_RETRY_SECONDS="2").check(4)
    assert "network" in error_of(run)["remedy"]
    assert len(impatient.front.matching(REQUESTS[where])) >= 2


def test_a_job_that_does_not_end_is_cancelled(scripts: Scripts) -> None:
    """With TABLE_STORAGE, without, and for a single dataset."""
    scripts.front.answer(INSERT, running_job)
    scripts.front.answer(GET_JOB, running_job)
    run = scripts.collect(ONLY_VOLUME, **ONE_PROJECT, BIGQUERY_STATEMENT_TIMEOUT="1").check(4)
    assert "BIGQUERY_STATEMENT_TIMEOUT" in error_of(run)["remedy"]
    cancelled = scripts.front.matching(CANCEL)
    assert [request.path.split("/")[-2] for request in cancelled] == submitted(scripts)
    assert [request.arguments["location"] for request in cancelled] == 3 * [["EU"]]


def test_a_job_that_bigquery_stops_is_reported_with_the_variable(scripts: Scripts) -> None:
    scripts.server.fail("INFORMATION_SCHEMA.TABLES", "slow", seconds=600)
    run = scripts.collect(ONLY_VOLUME, **ONE_PROJECT, BIGQUERY_STATEMENT_TIMEOUT="1").check(4)
    assert "BIGQUERY_STATEMENT_TIMEOUT" in error_of(run)["remedy"]
    assert scripts.front.matching(CANCEL) == []


# --- signals ---------------------------------------------------------------------------------------------------------


def interrupted(scripts: Scripts, is_there: Callable[[], bool], *arguments: str, **changes: str) -> Any:
    """The run of a process that gets SIGTERM when the condition is true."""
    command = ("--manifest", str(scripts.work / "metadata.jsonl"), *arguments)
    env = {**scripts.environment, "BIGQUERY_RETRY_SECONDS": "300", **changes}
    with started_script(TEMPLATES / "bigquery", "collect_metadata.py", *command, env=env) as process:
        wait_until(is_there, 60)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        run = wait_for(process)
    assert time.monotonic() - start < 60, "it does not wait for the 300 seconds, nor for the forced exit after 75"
    assert list(scripts.work.iterdir()) == []
    return run


def test_a_signal_ends_the_wait_before_another_attempt(scripts: Scripts) -> None:
    scripts.front.answer(LIST, refused(503, "backendError"))
    interrupted(scripts, lambda: len(scripts.front.matching(LIST)) >= 2).check(130)


@pytest.mark.parametrize("page", [1, 2])
def test_a_signal_ends_the_wait_for_a_page(scripts: Scripts, page: int) -> None:
    load_pages(scripts)
    scripts.front.answer(RESULTS, scripts.front.hang, after=page - 1)

    def is_there() -> bool:
        return len(scripts.front.matching(RESULTS)) == page

    interrupted(scripts, is_there, ONLY_VOLUME, BIGQUERY_PROJECTS=world.SHOP).check(130)


def test_a_signal_cancels_the_job_that_runs(scripts: Scripts) -> None:
    scripts.front.answer(INSERT, running_job)
    scripts.front.answer(GET_JOB, running_job)
    interrupted(scripts, lambda: bool(scripts.front.matching(GET_JOB))).check(130)
    assert len(scripts.front.matching(CANCEL)) == 1


def test_a_signal_does_not_wait_for_requests_of_threads(scripts: Scripts) -> None:
    scripts.server.turn_storage(on=False)
    scripts.front.answer("/tables/", refused(503, "backendError"))
    interrupted(scripts, lambda: len(scripts.front.matching("/tables/")) >= 2).check(130)


# --- responses that are not BigQuery's -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302, 403, 404, 407, 418])
def test_a_page_of_a_proxy_is_reported_on_one_short_line(scripts: Scripts, status: int) -> None:
    page = "<html>\n\x1b[31m" + "blocked\r\n" * 5000 + "</html>"
    scripts.front.answer(LIST, said(status, page, "text/html"))
    run = scripts.collect()
    assert run.exit_code in (3, 4)
    assert "Traceback" not in run.stderr
    assert "\x1b" not in run.stderr
    assert max(map(len, run.stderr.splitlines())) < 1500
    assert error_of(run)["remedy"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((403, body) for body in ('{"error": "unauthorized"}', '{"error": ["no"]}', "[]", '"blocked"', "null", "7")),
        *((200, body) for body in ("[]", '"blocked"', "null", "7")),
    ],
)
def test_json_that_is_not_bigquerys_is_reported(scripts: Scripts, status: int, body: str) -> None:
    scripts.front.answer(LIST, said(status, body, "application/json"))
    run = scripts.collect()
    assert run.exit_code in (3, 4)
    assert "Traceback" not in run.stderr
    assert error_of(run)["remedy"]


@pytest.mark.parametrize(
    "body", [{}, {"error": {}}, {"error": {"errors": ["text"]}}, {"error": {"errors": [{}], "details": []}}, "{"]
)
@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_error_of_another_shape_is_reported(scripts: Scripts, status: int, body: Any) -> None:
    scripts.front.answer(LIST, said(status, body))
    run = scripts.collect(BIGQUERY_RETRY_SECONDS="1")
    assert run.exit_code in (3, 4)
    assert "Traceback" not in run.stderr


def test_a_front_keeps_what_it_answers(front_server: Front) -> None:
    """The tests above would pass without any request."""
    front_server.forget()
    front_server.answer("GET /x", said(404, {}), times=1)
    threading.Thread(target=requests.get, args=(f"{front_server.url}/x?a=b",), daemon=True).start()
    wait_until(lambda: bool(front_server.requests), 10)
    (request,) = front_server.requests
    assert (str(request), request.arguments) == ("GET /x", {"a": ["b"]})


def load_pages(scripts: Scripts) -> list[str]:
    """Fill the server with a table more than a page has. Returns their names."""
    big, last = world.small(), scripts.modules["query_job"].PAGE_ROWS + 1
    big.relations = [world.table(big.datasets[0], f"t{number:05}", number) for number in range(1, last + 1)]
    scripts.server.load(big)
    return [f"{world.SHOP}.sales.t{number:05}" for number in range(1, last + 1)]


def test_a_result_is_read_in_pages(scripts: Scripts) -> None:
    names = load_pages(scripts)
    scripts.collect(ONLY_VOLUME, BIGQUERY_PROJECTS=world.SHOP).check()
    assert scripts.names() == names
    assert len([request for request in scripts.front.matching(RESULTS) if "pageToken" in request.arguments]) == 1
