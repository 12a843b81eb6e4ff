"""Requests of web pages of other origins, hostile control requests, and documents that are expensive to answer.

The requests are written to sockets as they are: a client library would correct them.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox_process import GraphQLRefusedError, SandboxProcess

JSON = "content-type: application/json"
FAULT = json.dumps({"path": "/graphql", "status": 503})
# Each endpoint, and one that a fault answers: a fault must not answer a page either.
TARGETS = (
    ("GET", "/sandbox/pushes", ""),
    ("GET", "/sandbox/received/metadata", ""),
    ("GET", "/sandbox/requests", ""),
    ("GET", "/nothing", ""),
    ("GET", "/faulty", ""),
    ("DELETE", "/sandbox/faults", ""),
    ("POST", "/sandbox/faults", FAULT),
    ("POST", "/graphql", '{"query": "{ getUser { email } }"}'),
    ("POST", "/ingest/v1/metadata", "{}"),
)


@pytest.fixture
def faulty(quiet_sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    quiet_sandbox.fault("/faulty", status=418, body="a fault")
    yield quiet_sandbox
    quiet_sandbox.clear_faults()


def exchange(sandbox: SandboxProcess, head: str, body: str = "") -> tuple[int, dict[str, str], str]:
    """Send a request, and return the status, the headers in lower case, and the body of the response."""
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall((head + "\r\n\r\n" + body).encode("latin-1"))
        received = b""
        while part := connection.recv(65536):
            received += part
    top, _, content = received.decode("latin-1").partition("\r\n\r\n")
    first, *lines = top.split("\r\n")
    headers = [line.partition(":") for line in lines]
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in headers}, content


def request(
    sandbox: SandboxProcess, target: tuple[str, str, str], *lines: str, host: str | None = None
) -> tuple[int, dict[str, str], str]:
    method, path, body = target
    port = sandbox.url.rpartition(":")[2]
    own = [f"Host: {host or f'127.0.0.1:{port}'}".replace("PORT", port), "Connection: close"]
    given = [line.replace("PORT", port) for line in lines]
    if method == "POST" and not any(line.lower().startswith("content-type") for line in given):
        given.append(JSON)
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *own, *given, f"Content-Length: {len(body)}"])
    return exchange(sandbox, head, body)


FOREIGN_HOSTS = [
    "evil.example",
    "localhost.evil.example:PORT",
    "127.0.0.1.evil.example:PORT",
    "evil.example:PORT",
    "localhost@evil.example",
    "evil.example#localhost",
    "127.0.0.2:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "0.0.0.0:PORT",
    "[::1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "localhost.:PORT",
    "localhost:PORT:80",
    "localhost:",
    "localhost:x",
    "localhost localhost",
    "",
]
FOREIGN_PAGES = [
    ("Origin: https://evil.example",),
    ("Origin: http://evil.example:PORT",),
    ("Origin: null",),
    ("Origin: ",),
    ("Origin: http://127.0.0.1",),
    ("Origin: http://127.0.0.1:1",),
    ("Origin: https://127.0.0.1:PORT",),
    ("Origin: http://localhost:PORT",),
    ("Origin: http://127.0.0.1:PORT.evil.example",),
    ("Origin: http://127.0.0.1:PORT/",),
    ("Origin: file://",),
    ("Origin: chrome-extension://abcdef",),
    ("Origin: http://127.0.0.1:PORT", "Origin: https://evil.example"),
    ("Sec-Fetch-Site: cross-site",),
    ("Sec-Fetch-Site: same-site",),
    ("Sec-Fetch-Site: Cross-Site",),
    ("Sec-Fetch-Site: ",),
    ("Sec-Fetch-Site: none, cross-site",),
    ("Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"),
    ("Sec-Fetch-Site: cross-site", "Origin: http://127.0.0.1:PORT"),
    ("Sec-Fetch-Site: same-origin", "Origin: https://evil.example"),
]
NOT_JSON = [
    "content-type: text/plain",
    "content-type: application/x-www-form-urlencoded",
    "content-type: multipart/form-data; boundary=x",
    "content-type: text/plain; application/json",
    "content-type: application/jsonp",
    "content-type: ",
    f"{JSON}\r\ncontent-type: text/plain",
]


def is_untouched(sandbox: SandboxProcess) -> bool:
    """Whether no refused request was counted or changed a fault."""
    faults = requests.get(f"{sandbox.url}/sandbox/faults", timeout=60).json()["faults"]
    counts = requests.get(f"{sandbox.url}/sandbox/requests", timeout=60).json()
    return [fault["path"] for fault in faults] == ["/faulty"] and counts == {}


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_is_refused_before_anything_else(faulty: SandboxProcess, host: str) -> None:
    for target in TARGETS:
        status, headers, content = request(faulty, target, host=host or " ")
        assert (status, headers["x-content-type-options"]) == (400, "nosniff"), (target, content)
    assert is_untouched(faulty)


@pytest.mark.parametrize("lines", FOREIGN_PAGES, ids=" ".join)
def test_a_page_of_another_origin_is_refused_before_anything_else(
    faulty: SandboxProcess, lines: tuple[str, ...]
) -> None:
    for target in (*TARGETS, ("OPTIONS", "/sandbox/faults", ""), ("HEAD", "/sandbox/pushes", "")):
        status, headers, content = request(faulty, target, *lines)
        assert (status, headers["x-content-type-options"]) == (403, "nosniff"), (target, content)
        assert not [name for name in headers if name.startswith("access-control")]
    assert is_untouched(faulty)


@pytest.mark.parametrize("line", NOT_JSON)
def test_a_body_that_is_not_json_is_refused_before_anything_else(faulty: SandboxProcess, line: str) -> None:
    for target in TARGETS:
        if target[0] == "POST":
            assert request(faulty, target, line)[0] == 415, target
    assert is_untouched(faulty)


def test_only_a_path_is_a_target(faulty: SandboxProcess) -> None:
    port = faulty.url.rpartition(":")[2]
    for target in (f"http://127.0.0.1:{port}/sandbox/pushes", "http://evil.example/sandbox/pushes", "*", "sandbox"):
        head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close"
        assert exchange(faulty, head)[0] == 400, target
    assert exchange(faulty, "GET /sandbox/pushes HTTP/1.0")[0] == 400
    assert exchange(faulty, "GET /sandbox/pushes HTTP/1.1\r\nConnection: close")[0] == 400
    twice = f"Host: 127.0.0.1:{port}\r\nHost: evil.example"
    assert exchange(faulty, f"GET /sandbox/pushes HTTP/1.1\r\n{twice}\r\nConnection: close")[0] == 400
    assert is_untouched(faulty)


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("127.0.0.1:PORT", ()),
        ("127.0.0.1", ()),
        ("localhost:PORT", ()),
        ("LocalHost:9999", ()),
        ("127.0.0.1:PORT", ("Origin: http://127.0.0.1:PORT",)),
        ("localhost:PORT", ("Origin: http://localhost:PORT", "Sec-Fetch-Site: same-origin")),
        ("127.0.0.1:PORT", ("Sec-Fetch-Site: none",)),
        ("127.0.0.1:PORT", ("Content-Type: Application/JSON; charset=utf-8",)),
    ],
)
def test_programs_and_own_pages_are_served(faulty: SandboxProcess, host: str, lines: tuple[str, ...]) -> None:
    statuses = [request(faulty, target, *lines, host=host)[0] for target in TARGETS]
    assert statuses == [200, 200, 200, 404, 418, 200, 200, 503, 400]


def test_every_response_forbids_guessing_its_type_and_other_origins(faulty: SandboxProcess) -> None:
    method_not_allowed = ("PUT", "/graphql", "")
    for target in (*TARGETS, method_not_allowed, ("OPTIONS", "/graphql", "")):
        _, headers, _ = request(faulty, target, JSON)
        assert headers["x-content-type-options"] == "nosniff", target
        assert headers["cross-origin-resource-policy"] == "same-origin", target
        assert not [name for name in headers if name.startswith("access-control")], target


# --- control requests ------------------------------------------------------------------------------------


def add_fault(sandbox: SandboxProcess, body: bytes | str) -> requests.Response:
    headers = {"content-type": "application/json"}
    return requests.post(f"{sandbox.url}/sandbox/faults", data=body, headers=headers, timeout=60)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"path": "/x", "body": "' + b"x" * 60_000 + b'"}', 200),
        (b'{"path": "/x", "body": "' + b"x" * 70_000 + b'"}', 413),
        (b" " * 5_000_000 + b'{"path": "/x"}', 413),
        (b'{"path": "/x", "body": ' + b"[" * 90 + b"]" * 90 + b"}", 200),
        (b'{"path": "/x", "body": ' + b"[" * 200 + b"]" * 200 + b"}", 400),
        (b'{"path": "/x", "body": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", 400),
        (b"[" * 30_000, 400),
        (b'{"path": "/x", "delay": 1e9}', 400),
        (b'{"path": "/x", "delay": NaN}', 400),
        (b'{"path": "/x", "delay": -1}', 400),
        (b'{"path": "/x", "status": 101}', 400),
        (b'{"path": "/x", "body": "\\ud800"}', 400),
        (b'{"path": "\xff"}', 400),
        (b'{"path": ["/x"]}', 400),
        (b"null", 400),
        (b"", 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_hostile_fault_is_rejected(quiet_sandbox: SandboxProcess, body: bytes, status: int) -> None:
    assert add_fault(quiet_sandbox, body).status_code == status
    assert len(requests.get(f"{quiet_sandbox.url}/sandbox/faults", timeout=60).json()["faults"]) == (status == 200)


def test_the_number_of_faults_and_of_counted_paths_is_limited(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox, requests.Session() as session:
        answers = [
            session.post(f"{sandbox.url}/sandbox/faults", json={"path": f"/{n}"}, timeout=60).status_code
            for n in range(102)
        ]
        assert answers == [200] * 100 + [400] * 2
        sandbox.clear_faults()
        for number in range(250):
            assert session.get(f"{sandbox.url}/scan/{number}", timeout=60).status_code == 404
        counts = session.get(f"{sandbox.url}/sandbox/requests", timeout=60).json()
        assert len(counts) == 201
        assert counts["(other paths)"]["count"] == 50


# --- documents -------------------------------------------------------------------------------------------

NAMES = " ".join(f"a{n}: name" for n in range(1_000))
DEEP_TYPES = "types { fields { type { fields { type { fields { name } } } } } }"
MANY = " ".join(f"a{n}: getUser {{ email }}" for n in range(600))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{ __schema { types { fields { " + NAMES + " } } } }", "request fewer fields"),
        ("{ __schema { ...f } } fragment f on __Schema { types { fields { " + NAMES + " } } }", "request fewer fields"),
        ("{ __schema { " + DEEP_TYPES + " } }", "introspection depth"),
        ("{ " + "x " * 9_000 + "}", "tokens"),
        ("{ " + "getUser { email } " * 2_000 + "}", "tokens"),
        ("{ getUser { ...a } } fragment a on User { ...b } fragment b on User { ...a }", "Cannot spread fragment"),
        ("{ getUser { ...missing } }", "Unknown fragment"),
        ("{ getTable(mcon: $m) { mcon } }", "not defined"),
    ],
    ids=["introspection", "fragment", "deep", "wide", "repeated", "cycle", "unknown", "variable"],
)
def test_an_expensive_document_is_an_error(sandbox: SandboxProcess, document: str, complaint: str) -> None:
    with pytest.raises(GraphQLRefusedError, match=complaint):
        sandbox.graphql(document)
    assert sandbox.graphql("{ getUser { email } }")


def test_ordinary_introspection_and_aliases_are_answered(sandbox: SandboxProcess) -> None:
    assert len(sandbox.graphql("{ " + MANY + " }")) == 600
    schema = sandbox.graphql("{ __schema { types { name kind fields { name type { name } } } } }")["__schema"]
    assert len(schema["types"]) > 1000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([{"query": "{ getUser { email } }"}] * 3, 400),
        ({"query": ["{ getUser { email } }"]}, 400),
        (
            {
                "query": "query($m: String) { getTables(first: 1, ingestInvocationId: $m) { edges { cursor } } }",
                "variables": {"m": "x" * 5_000_000},
            },
            200,
        ),
        ({"query": "{ getUser { email } }", "variables": {str(n): n for n in range(100_000)}}, 200),
        ({"query": "{ getUser { email } }", "variables": {"m": "x" * 11_000_000}}, 413),
        ({"query": "{ getUser { email } }", "variables": "DEEP"}, 400),
    ],
    ids=["batch", "list", "huge variable", "many variables", "too large", "deep"],
)
def test_a_hostile_body_is_answered_or_refused(sandbox: SandboxProcess, body: Any, status: int) -> None:
    text = json.dumps(body).replace('"DEEP"', '{"m": ' + "[" * 5_000 + "]" * 5_000 + "}")
    key = {"x-mcd-id": sandbox.env["MCD_ID"], "x-mcd-token": sandbox.env["MCD_TOKEN"]}
    headers = key | {"content-type": "application/json"}
    assert requests.post(sandbox.endpoint, data=text, headers=headers, timeout=60).status_code == status
    assert sandbox.graphql("{ getUser { email } }")
