"""Robustness: concurrent, slow and disconnected clients, kills, full disks, unusual files and hostile documents."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox_process import SANDBOX, GraphQLRefusedError, SandboxProcess

TABLES_A_PUSH = 20


def headers(sandbox: SandboxProcess) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "x-mcd-id": sandbox.env["MCD_INGEST_ID"],
        "x-mcd-token": sandbox.env["MCD_INGEST_TOKEN"],
    }


def metadata(sandbox: SandboxProcess, *names: str) -> dict[str, Any]:
    events = [
        {"relational_asset": {"type": "TABLE", "metadata": {"database": "D", "schema": "S", "name": name}}}
        for name in names
    ]
    resource = {"uuid": sandbox.resource(), "resource_type": "snowflake"}
    return {"event_type": "METADATA", "resource": resource, "events": events}


def query_logs(sandbox: SandboxProcess, *texts: str, **rest: Any) -> dict[str, Any]:
    times = {"start_time": "2026-03-01T12:00:00Z", "end_time": "2026-03-01T12:00:01Z"}
    events = [times | {"query_text": text} | rest for text in texts]
    return {
        "event_type": "QUERY_LOG",
        "resource": {"uuid": sandbox.resource(), "log_type": "snowflake"},
        "events": events,
    }


def post(sandbox: SandboxProcess, flow: str, body: Any) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return requests.post(f"{sandbox.url}/ingest/v1/{flow}", data=data, headers=headers(sandbox), timeout=60)


QUERIES = """
query queries($mcon: String!) {
  getAggregatedQueries(
    mcon: $mcon, startTime: "2026-03-01T00:00:00Z", endTime: "2026-03-02T00:00:00Z", queryType: read, limit: 10
  ) { aggregatedQueries { count latestQuery } }
}
"""


def runs_of(sandbox: SandboxProcess, name: str) -> int:
    """Return the number of pushed queries that read a table."""
    mcon = f"MCON++{sandbox.settings['account']}++{sandbox.resource()}++table++D:S.{name}"
    found = sandbox.graphql(QUERIES, {"mcon": mcon})["getAggregatedQueries"]["aggregatedQueries"]
    return sum(query["count"] for query in found)


def tables_of(sandbox: SandboxProcess, invocation: str) -> list[str]:
    document = "query($i: String) { getTables(ingestInvocationId: $i) { edges { node { friendlyName } } } }"
    edges = sandbox.graphql(document, {"i": invocation})["getTables"]["edges"]
    return [edge["node"]["friendlyName"] for edge in edges]


def test_a_kill_during_concurrent_pushes_and_reads_loses_and_splits_no_push(tmp_path: Path) -> None:
    accepted: dict[str, list[str]] = {}
    enough = threading.Event()

    def send(worker: int) -> None:
        for number in range(10_000):
            names = [f"t_{worker}_{number}_{place}" for place in range(TABLES_A_PUSH)]
            try:
                answer = post(sandbox, "metadata", metadata(sandbox, *names))
                post(sandbox, "querylogs", query_logs(sandbox, *(f"SELECT {number} FROM anchor" for _ in names)))
            except requests.RequestException:
                return
            accepted[answer.json()["invocation_id"]] = names
            if len(accepted) > 40:
                enough.set()

    def read() -> None:
        while True:
            try:
                runs = runs_of(sandbox, "anchor")
                pushes = sandbox.pushes()
            except requests.RequestException:
                return
            seen_half.extend([runs] if runs % TABLES_A_PUSH else [])
            seen_half.extend(push["events"] for push in pushes[1:] if push["events"] != TABLES_A_PUSH)

    seen_half: list[int] = []
    with SandboxProcess(tmp_path) as sandbox:
        assert post(sandbox, "metadata", metadata(sandbox, "anchor")).status_code == 202
        threads = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
        threads.append(threading.Thread(target=read))
        for thread in threads:
            thread.start()
        assert enough.wait(900)
        sandbox.kill()
        for thread in threads:
            thread.join()
    with SandboxProcess(tmp_path) as sandbox:
        pushes = sandbox.pushes()[1:]
        stored = {push["invocation_id"] for push in pushes if push["flow"] == "metadata"}
        assert set(accepted) <= stored
        for push in pushes:
            assert len(list(sandbox.received(push["flow"], push["invocation_id"]))) == TABLES_A_PUSH
        for invocation in stored:
            assert len(tables_of(sandbox, invocation)) == TABLES_A_PUSH
        logs = [push for push in pushes if push["flow"] == "querylogs"]
        assert runs_of(sandbox, "anchor") == len(logs) * TABLES_A_PUSH
    assert seen_half == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files")
def test_a_full_disk_is_503_and_stores_nothing(tmp_path: Path) -> None:
    import resource

    with SandboxProcess(tmp_path) as sandbox:
        first = post(sandbox, "metadata", metadata(sandbox, "first")).json()["invocation_id"]
        size = sum(path.stat().st_size for path in tmp_path.glob("sandbox.db*"))
        _, most = resource.prlimit(sandbox.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(sandbox.pid, resource.RLIMIT_FSIZE, (size, most))
        wide = metadata(sandbox, *(f"table_{number}_{os.urandom(50).hex()}" for number in range(5000)))
        answer = post(sandbox, "metadata", wide)
        assert answer.status_code == 503
        assert "cannot store the request" in answer.json()["error"]
        assert tables_of(sandbox, first) == ["first"]
        assert len(sandbox.pushes()) == 1
        resource.prlimit(sandbox.pid, resource.RLIMIT_FSIZE, (most, most))
        assert post(sandbox, "metadata", metadata(sandbox, "second")).status_code == 202
        assert len(sandbox.pushes()) == 2


def refused_start(data: Path) -> str:
    command = [sys.executable, str(SANDBOX), "--port", "0", "--data", str(data)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert finished.returncode == 2
    assert finished.stderr.startswith("sandbox: cannot start: ")
    assert "Traceback" not in finished.stderr
    return finished.stderr


def test_data_of_another_version_is_rejected_and_not_changed(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "sandbox.db")) as old:
        old.execute("CREATE TABLE pushes (push_id INTEGER)")
    before = (tmp_path / "sandbox.db").read_bytes()
    assert "another version of the sandbox" in refused_start(tmp_path)
    assert (tmp_path / "sandbox.db").read_bytes() == before
    assert not (tmp_path / "sandbox.env").exists()


def test_an_unusable_directory_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in refused_start(tmp_path / "file")
    (tmp_path / "no-database").mkdir()
    (tmp_path / "no-database" / "sandbox.db").write_text("these are notes, " * 1000)
    assert "not a database" in refused_start(tmp_path / "no-database")
    if hasattr(os, "geteuid") and os.geteuid() != 0:  # root can write to every directory
        (tmp_path / "closed").mkdir(mode=0o500)
        assert "closed" in refused_start(tmp_path / "closed")


def test_slow_clients_delay_neither_others_nor_shutdown(tmp_path: Path) -> None:
    sandbox = SandboxProcess(tmp_path).start()
    port = int(sandbox.url.rpartition(":")[2])
    half = "POST /ingest/v1/metadata HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n"
    keys = "".join(f"{name}: {value}\r\n" for name, value in headers(sandbox).items())
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for place, connection in enumerate(slow):
        connection.sendall((half, half + keys + "\r\n{")[place % 2].encode())
    assert post(sandbox, "metadata", metadata(sandbox, "quick")).status_code == 202
    assert sandbox.stop() == 0
    for connection in slow:
        connection.close()


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ('{"deep": ' + "[" * 90 + "]" * 90 + "}", 202),
        ('{"deep": ' + "[" * 200 + "]" * 200 + "}", 400),
        ('{"deep": ' + "[" * 100_000 + "]" * 100_000 + "}", 400),
        ('{"rows": 123456789012345678901234567890}', 202),
        ('{"rows": 1e999}', 400),
        ('{"rows": NaN}', 400),
        ('{"rows": -Infinity}', 400),
        ('{"twice": 1, "twice": 2}', 202),
        ('{"text": "\\ud800"}', 400),
        ('{"text": "\\u0000"}', 202),
        ('{"text": "\x01"}', 400),
    ],
    ids=["deep", "deeper", "deepest", "huge", "1e999", "NaN", "infinite", "twice", "half a pair", "zero", "control"],
)
def test_unusual_json_is_rejected_or_can_be_read_back(sandbox: SandboxProcess, extra: str, status: int) -> None:
    body = json.dumps(query_logs(sandbox, "SELECT 1", extra={"here": 1})).replace('{"here": 1}', extra)
    answer = post(sandbox, "querylogs", body.encode())
    assert answer.status_code == status, answer.text
    if status == 202:
        (event,) = sandbox.received("querylogs", answer.json()["invocation_id"])
        assert list(event["extra"]) == list(json.loads(extra))
    else:
        assert answer.json()["details"]


def test_a_chunked_body_is_accepted_and_limited(sandbox: SandboxProcess) -> None:
    def pieces(texts: int) -> Iterator[bytes]:
        written = json.dumps(query_logs(sandbox, *(os.urandom(500).hex() for _ in range(texts)))).encode()
        for start in range(0, len(written), 1000):
            yield written[start : start + 1000]

    def send(texts: int) -> int:
        url = f"{sandbox.url}/ingest/v1/querylogs"
        return requests.post(url, data=pieces(texts), headers=headers(sandbox), timeout=60).status_code

    assert send(5) == 202
    assert send(3000) == 413


def test_an_unsupported_path_of_pycarlo_is_404_with_the_available_paths(sandbox: SandboxProcess) -> None:
    for path in ("etl/metadata", "etl/runs", "bi/metadata", "custom"):
        answer = post(sandbox, path, {})
        assert answer.status_code == 404
        assert f"/ingest/v1/{path}" in answer.json()["error"]
        assert {"/ingest/v1/metadata", "/ingest/v1/lineage", "/ingest/v1/querylogs", "/graphql"} <= set(
            answer.json()["paths"]
        )


DEEP = "{ getUser { account { " + "account { " * 3000 + "id" + " }" * 3003


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (DEEP, "nested too deeply|tokens"),
        ("{ getTable(mcon: " + "[" * 4000 + "]" * 4000 + ") { mcon } }", "nested too deeply|tokens"),
        ("{ " + " ".join(f"a{number}: getUser {{ email }}" for number in range(5000)) + " }", "tokens"),
        ("{ getUser { ...a } } fragment a on User { ...a }", "Cannot spread fragment"),
        ("query a { getUser { email } } query b { getUser { email } }", "operation name"),
        ("query($n: Int!) { getTables(first: $n) { edges { cursor } } }", "Int cannot represent"),
        ("{ getTables(first: -1) { edges { cursor } } }", "must not be negative"),
        ("{ getTables(offset: -1) { edges { cursor } } }", "must not be negative"),
        ('{ getTables(after: "YXJyYXljb25uZWN0aW9uOi01") { edges { cursor } } }', "is not a cursor"),
        ("subscription { getUser { email } }", "not configured to execute subscription|Schema is not|not support"),
        ("", "Syntax Error"),
    ],
    ids=["deep", "deep value", "aliases", "cycle", "two", "variable", "first", "offset", "cursor", "other", "empty"],
)
def test_a_hostile_document_is_only_an_error(sandbox: SandboxProcess, document: str, complaint: str) -> None:
    with pytest.raises(GraphQLRefusedError, match=complaint) as refusal:
        sandbox.graphql(document, {"n": "three"})
    assert refusal.value.status == 200
    assert sandbox.graphql("{ getUser { email } }")


def test_a_response_with_too_many_fields_is_rejected(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        wide = metadata(sandbox, "wide")
        wide["events"][0]["relational_asset"]["fields"] = [{"name": f"c{place}", "type": "T"} for place in range(1000)]
        assert post(sandbox, "metadata", wide).status_code == 202
        columns = "fields(first: 1000) { edges { cursor node { name } } }"
        columns = " ".join(f"a{place}: {columns}" for place in range(200))
        document = "{ getTables { edges { node { versions(first: 1) { edges { node { " + columns + " } } } } } } }"
        with pytest.raises(GraphQLRefusedError, match="request fewer fields"):
            sandbox.graphql(document)
        assert sandbox.graphql("{ getUser { email } }")


def test_more_hops_than_edges_stop_at_the_end_of_the_graph(sandbox: SandboxProcess) -> None:
    resource = {"uuid": sandbox.resource(), "resource_type": "snowflake"}
    name = {"type": "TABLE", "database": "D", "schema": "S"}
    # A cycle: the traversal only ends because it skips visited nodes.
    events = [
        {"destination": name | {"name": f"c{number}"}, "sources": [name | {"name": f"c{(number + 1) % 3}"}]}
        for number in range(3)
    ]
    assert post(sandbox, "lineage", {"event_type": "LINEAGE", "resource": resource, "events": events}).ok
    mcon = f"MCON++{sandbox.settings['account']}++{sandbox.resource()}++table++D:S.c0"
    document = """query($m: String) { getTableLineage(mcon: $m, direction: "upstream", hops: 2147483647) {
        connectedNodes { displayName } } }"""
    nodes = sandbox.graphql(document, {"m": mcon})["getTableLineage"]["connectedNodes"]
    assert sorted(node["displayName"] for node in nodes) == ["c1", "c2"]


def test_introspection_fragments_and_named_operations_work(sandbox: SandboxProcess) -> None:
    schema = sandbox.graphql("{ __schema { queryType { name } types { name } } }")["__schema"]
    assert schema["queryType"]["name"] == "Query"
    assert len(schema["types"]) > 1000
    document = """query first { getUser { ...who } } query second { __typename }
        fragment who on User { tokenId @include(if: true) email @skip(if: true) }"""
    answer = requests.post(
        sandbox.endpoint,
        json={"query": document, "operationName": "first"},
        headers={"x-mcd-id": sandbox.env["MCD_ID"], "x-mcd-token": sandbox.env["MCD_TOKEN"]},
        timeout=60,
    )
    assert answer.json() == {"data": {"getUser": {"tokenId": sandbox.env["MCD_ID"]}}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"query": 1}',
        b'{"query": "{x}", "variables": []}',
        b'{"query": "{x}", "operationName": 1}',
    ],
)
def test_a_body_that_is_not_a_graphql_request_is_400(sandbox: SandboxProcess, body: bytes) -> None:
    key = {"x-mcd-id": sandbox.env["MCD_ID"], "x-mcd-token": sandbox.env["MCD_TOKEN"]}
    answer = requests.post(sandbox.endpoint, data=body, headers=key | {"content-type": "application/json"}, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["details"]
    assert requests.get(sandbox.endpoint, headers=key, timeout=60).status_code == 405


def test_each_query_counts_once_before_and_after_a_kill(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        post(sandbox, "metadata", metadata(sandbox, "anchor"))
        post(sandbox, "querylogs", query_logs(sandbox, "SELECT 1 FROM anchor"))
        assert runs_of(sandbox, "anchor") == 1
        post(sandbox, "querylogs", query_logs(sandbox, "SELECT 2 FROM anchor", "SELECT a FROM S.Anchor"))
        sandbox.kill()
    with SandboxProcess(tmp_path) as sandbox:
        assert runs_of(sandbox, "anchor") == 3
        post(sandbox, "querylogs", query_logs(sandbox, "SELECT 3 FROM anchor"))
        assert runs_of(sandbox, "anchor") == 4
