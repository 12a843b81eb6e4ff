"""Responses that no ingestion API sends: each ends the run with an exit code and a short message, and none hangs it.

The push scripts run in this process, because separate processes would take minutes. The deadline of a request is
shortened only for responses that never end.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mcpush.interrupts import MAX_SHUTDOWN_SECONDS
from mcpush.push import request
from mcpush.push.gateway import open_gateway
from mcpush.push.pusher import RetriableError

from tests.mcpush.in_process import Outcome, Push
from tests.mcpush.raw_server import RawServer, Response, sent_once, without_end
from tests.mcpush.test_delivery import SNOWFLAKE, journal_lines, table, write
from tests.sandbox_process import SandboxProcess
from tests.script_process import peak_memory

SHORT_DEADLINE_SECONDS = 0.4
PAUSE = 0.03  # seconds between the pieces of an endless response; far shorter than the deadline
LIMIT = 1_000_000  # bytes of a response that are read
MEGABYTE = 2**20
ID = {"invocation_id": "3b0c9d1e-0000-4000-8000-000000000001"}
BODY = json.dumps(ID).encode()
GZIP_HEAD, EMPTY_BLOCK = gzip.compress(b"")[:10], b"\x00\x00\x00\xff\xff"
BOMB_HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n"


def bomb(megabytes: int) -> bytes:
    """A gzip stream of zeros that unpacks to this size. A block after a full flush can be repeated."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = compressor.compress(bytes(MEGABYTE)) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(bytes(MEGABYTE)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return first + block * (megabytes - 1)


def http(status: str = "202 Accepted", body: bytes = BODY, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *headers])
    return head.encode("latin-1") + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def until_closed(body: bytes, *headers: str, status: str = "202 Accepted") -> bytes:
    """A response without a usable length: it ends where the connection is closed."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, status: str = "202 Accepted") -> bytes:
    return until_closed(b"".join(chunks), "Transfer-Encoding: chunked", status=status)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def with_id(invocation_id: Any) -> bytes:
    return http(body=json.dumps({"invocation_id": invocation_id}).encode())


# What a response leads to: the exit code, and whether the request would have been retried.
ACCEPTED, NOT_MONTE_CARLO, RETRIED = (0, False), (4, False), (4, True)
REFUSED, WRONG_ADDRESS, REJECTED = (3, False), (2, False), (1, False)

RESPONSES: dict[str, tuple[bytes, tuple[int, bool]]] = {
    # --- valid, although unusual ---
    "accepted": (http(), ACCEPTED),
    "gzip": (http("202 Accepted", gzip.compress(BODY), "Content-Encoding: gzip"), ACCEPTED),
    "gzip in capitals": (http("202 Accepted", gzip.compress(BODY), "Content-Encoding: GZIP"), ACCEPTED),
    "identity": (http("202 Accepted", BODY, "Content-Encoding: identity"), ACCEPTED),
    "206": (http("206 Partial Content"), ACCEPTED),
    "chunked": (chunked(chunk(BODY[:9]), chunk(BODY[9:]), b"0\r\n\r\n"), ACCEPTED),
    "chunked with trailers": (chunked(chunk(BODY), b"0\r\nA: b\r\n\r\n"), ACCEPTED),
    "three times 100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + http(), ACCEPTED),
    "no length": (until_closed(BODY), ACCEPTED),
    "length is not a number": (until_closed(BODY, "Content-Length: many"), ACCEPTED),
    "negative length": (until_closed(BODY, "Content-Length: -1"), ACCEPTED),
    "length of 5,000 digits": (until_closed(BODY, f"Content-Length: {'9' * 5_000}"), ACCEPTED),
    "1 MB": (http(body=BODY + b" " * (LIMIT - len(BODY))), ACCEPTED),
    "unknown charset": (http("202 Accepted", BODY, "Content-Type: application/json; charset=no\x01such"), ACCEPTED),
    "100 headers": (http("202 Accepted", BODY, *(f"X-{number}: 1" for number in range(95))), ACCEPTED),
    "escape sequences in a header": (http("202 Accepted", BODY, "X: \x1b[31mred\x1b[0m"), ACCEPTED),
    "escape sequences in the reason": (http("202 \x1b[31mred\x1b[0m"), ACCEPTED),
    "header without a colon": (http("202 Accepted", BODY, "no colon here"), ACCEPTED),
    "header over two lines": (http("202 Accepted", BODY, "X: one", " two"), ACCEPTED),
    # --- accepted by status, but not Monte Carlo's response ---
    "one byte over 1 MB": (http(body=BODY + b" " * (LIMIT + 1 - len(BODY))), NOT_MONTE_CARLO),
    "5 MB": (http(body=BODY + b" " * 5_000_000), NOT_MONTE_CARLO),
    "5 MB as gzip": (
        http("202 Accepted", gzip.compress(BODY + b" " * 5_000_000), "Content-Encoding: gzip"),
        NOT_MONTE_CARLO,
    ),
    "gzip bomb": (http("202 Accepted", bomb(50), "Content-Encoding: gzip"), NOT_MONTE_CARLO),
    "gzip in gzip": (
        http("202 Accepted", gzip.compress(gzip.compress(BODY)), "Content-Encoding: gzip, gzip"),
        NOT_MONTE_CARLO,
    ),
    "gzip, truncated": (http("202 Accepted", gzip.compress(BODY)[:20], "Content-Encoding: gzip"), NOT_MONTE_CARLO),
    "gzip, not compressed": (http("202 Accepted", BODY, "Content-Encoding: gzip"), NOT_MONTE_CARLO),
    "unknown encoding": (http("202 Accepted", b"\x8b\x01\x80", "Content-Encoding: br"), NOT_MONTE_CARLO),
    "HTML": (http(body=b"<html>Please log in</html>"), NOT_MONTE_CARLO),
    "text": (http(body=b"Please log in"), NOT_MONTE_CARLO),
    "list": (http(body=b"[" + BODY + b"]"), NOT_MONTE_CARLO),
    "string": (http(body=b'"3b0c9d1e"'), NOT_MONTE_CARLO),
    "null": (http(body=b"null"), NOT_MONTE_CARLO),
    "number of a million digits": (http(body=b"9" * (LIMIT - 1)), NOT_MONTE_CARLO),
    "deep list": (http(body=b"[" * (LIMIT - 1)), NOT_MONTE_CARLO),
    "deep object": (http(body=b'{"a":' * 190_000), NOT_MONTE_CARLO),
    "not UTF-8": (http(body=b"\xff\xfe\x00\x00"), NOT_MONTE_CARLO),
    "UTF-16": (http(body=json.dumps(ID).encode("utf-16")), NOT_MONTE_CARLO),
    "truncated JSON": (http(body=BODY[:-1]), NOT_MONTE_CARLO),
    "empty": (http(body=b""), NOT_MONTE_CARLO),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", NOT_MONTE_CARLO),
    "204 with a body": (http("204 No Content"), NOT_MONTE_CARLO),
    # --- invocation ids ---
    "id of 64 characters": (with_id("-_aZ09" * 10 + "abcd"), ACCEPTED),
    "id of 65 characters": (with_id("a" * 65), NOT_MONTE_CARLO),
    "id of 900,000 characters": (with_id("a" * 900_000), NOT_MONTE_CARLO),
    "id with a final line end": (with_id("3b0c9d1e\n"), NOT_MONTE_CARLO),
    "id with a forged line": (with_id("3b0c\n2026-03-01T12:00:00Z all accepted"), NOT_MONTE_CARLO),
    "id with escape sequences": (with_id("3b0c\x1b[31m"), NOT_MONTE_CARLO),
    "id with a NUL": (with_id("3b0c\x00"), NOT_MONTE_CARLO),
    "id with bidi overrides": (with_id("3b0c\u202e"), NOT_MONTE_CARLO),
    "id with a surrogate": (with_id("3b0c\ud800"), NOT_MONTE_CARLO),
    "id with other letters": (with_id("ågå"), NOT_MONTE_CARLO),
    "id with other digits": (with_id("١٢٣"), NOT_MONTE_CARLO),
    "id with HTML": (with_id("<script>"), NOT_MONTE_CARLO),
    "id with a space": (with_id("3b0c 9d1e"), NOT_MONTE_CARLO),
    "empty id": (with_id(""), NOT_MONTE_CARLO),
    "id is a list": (with_id(["3b0c"]), NOT_MONTE_CARLO),
    "id is an object": (with_id({"a": "3b0c"}), NOT_MONTE_CARLO),
    "id is a number": (with_id(17), NOT_MONTE_CARLO),
    "id is true": (with_id(True), NOT_MONTE_CARLO),
    "id is null": (with_id(None), NOT_MONTE_CARLO),
    # --- other status codes ---
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + BODY, NOT_MONTE_CARLO),
    "102": (b"HTTP/1.1 102 Processing\r\n\r\n" + http(), NOT_MONTE_CARLO),
    "103": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + http(), NOT_MONTE_CARLO),
    "400, 2 MB of HTML": (http("400 Bad Request", b"<p>" * 700_000), NOT_MONTE_CARLO),
    "400, list": (http("400 Bad Request", b'["wrong"]'), NOT_MONTE_CARLO),
    "400, string": (http("400 Bad Request", b'"wrong"'), NOT_MONTE_CARLO),
    "400, deep JSON": (http("400 Bad Request", b"[" * 900_000), NOT_MONTE_CARLO),
    "400, 5 MB of JSON": (http("400 Bad Request", b'{"error": "%b"}' % (b"x" * 5_000_000)), NOT_MONTE_CARLO),
    "400, details are a list": (http("400 Bad Request", b'{"details": [1]}'), REJECTED),
    "400, details are deep": (http("400 Bad Request", b'{"details": %b}' % (b"[" * 900 + b"]" * 900)), REJECTED),
    "401, 2 MB of HTML": (http("401 Unauthorized", b"<p>" * 700_000), REFUSED),
    "403, gzip bomb": (http("403 Forbidden", bomb(50), "Content-Encoding: gzip"), REFUSED),
    "404, gzip bomb": (http("404 Not Found", bomb(50), "Content-Encoding: gzip"), WRONG_ADDRESS),
    "413, gzip bomb": (http("413 Content Too Large", bomb(50), "Content-Encoding: gzip"), REJECTED),
    "451": (http("451 Unavailable", b"no"), NOT_MONTE_CARLO),
    "499 escape sequences": (http("499 No", b"\x1b]0;title\x07\r\nforged"), NOT_MONTE_CARLO),
    "503, gzip bomb": (http("503 Unavailable", bomb(50), "Content-Encoding: gzip"), RETRIED),
    "503, not gzip": (http("503 Unavailable", b"plain", "Content-Encoding: gzip"), RETRIED),
    "503, 1 MB of random bytes": (http("503 Unavailable", bytes(range(256)) * 4_000), RETRIED),
    "999": (http("999 Request denied", b"no"), RETRIED),
    # --- not HTTP, or broken off ---
    "HTTP/0.9": (b"<html>Please log in</html>", RETRIED),
    "nothing": (b"", RETRIED),
    "status 99": (b"HTTP/1.1 99 OK\r\n\r\n" + BODY, RETRIED),
    "status 2020": (b"HTTP/1.1 2020 OK\r\n\r\n" + BODY, RETRIED),
    "status with a NUL": (b"HTTP/1.1 200\x00 OK\r\n\r\n" + BODY, RETRIED),
    "status is not a number": (b"HTTP/1.1 yes OK\r\n\r\n" + BODY, RETRIED),
    "negative status": (b"HTTP/1.1 -202 OK\r\n\r\n" + BODY, RETRIED),
    "HTTP/2": (b"HTTP/2.0 202 Accepted\r\n\r\n" + BODY, RETRIED),
    "HTTP/2 frames": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 9, RETRIED),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", RETRIED),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", RETRIED),
    "status line of 1 MB": (b"HTTP/1.1 202 " + b"x" * 1_000_000 + b"\r\n\r\n" + BODY, RETRIED),
    "header of 1 MB": (http("202 Accepted", BODY, "X: " + "x" * 1_000_000), RETRIED),
    "100,000 headers": (http("202 Accepted", BODY, *(f"X-{number}: 1" for number in range(100_000))), RETRIED),
    "two lengths": (http("202 Accepted", BODY, "Content-Length: 7"), NOT_MONTE_CARLO),
    "body shorter than its length": (until_closed(BODY, "Content-Length: 500"), RETRIED),
    "length of 10^18": (until_closed(BODY, f"Content-Length: {10**18}"), RETRIED),
    "chunk size is not a number": (chunked(b"zz\r\n", BODY), RETRIED),
    "chunk shorter than its size": (chunked(b"fff\r\n", BODY), RETRIED),
    "chunk of 10^18 bytes": (chunked(b"de0b6b3a7640000\r\n", BODY), RETRIED),
    "negative chunk size": (chunked(b"-5\r\n", BODY), RETRIED),
    "chunk extension of 1 MB": (chunked(b"5;" + b"x" * 1_000_000 + b"\r\n", BODY), RETRIED),
    "chunks without an end": (chunked(chunk(BODY)), RETRIED),
}  # fmt: skip


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "DEADLINE_SECONDS", SHORT_DEADLINE_SECONDS)


def check(outcome: Outcome, expected: tuple[int, bool], manifest: Path) -> None:
    """The exit code, the records accepted, and a short message without a traceback."""
    assert (outcome.exit_code, outcome.was_retriable) == expected, outcome.output[-2_000:]
    accepted = [line for line in journal_lines(manifest)[1:] if "rejected" not in line]
    assert (outcome.summary["records_accepted"], len(accepted)) == ((1, 1) if expected == ACCEPTED else (0, 0))
    assert "Traceback" not in outcome.output
    assert len(outcome.message) < 1_500
    assert len(outcome.output) < 10_000


@pytest.mark.parametrize(("response", "expected"), RESPONSES.values(), ids=RESPONSES)
def test_each_response_ends_the_run_with_a_short_message(
    response: bytes, expected: tuple[int, bool], push_to: Push, manifest_path: Path
) -> None:
    with RawServer(sent_once(response)) as server:
        outcome = push_to(server.endpoint)
    check(outcome, expected, manifest_path)


HEAD = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WITHOUT_END: dict[str, tuple[Response, tuple[int, bool]]] = {
    "silence": (without_end(b"", b"", PAUSE), RETRIED),
    "status line": (without_end(b"HTTP/1.1 202 ", b"x", PAUSE), RETRIED),
    "100 Continue": (without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n", PAUSE), RETRIED),
    "headers of 100 Continue": (without_end(b"HTTP/1.1 100 Continue\r\n", b"X: 1\r\n", PAUSE), RETRIED),
    "100 Continue at full speed": (without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000), RETRIED),
    "one byte of a header": (without_end(HEAD + b"X: ", b"x", PAUSE), RETRIED),
    "headers": (without_end(HEAD, b"X: 1\r\n", PAUSE), RETRIED),
    "one byte of a body": (without_end(HEAD + b"Content-Length: 5000\r\n\r\n", b" ", PAUSE), RETRIED),
    "body without a length": (without_end(HEAD + b"\r\n" + BODY, b" ", PAUSE), RETRIED),
    "chunks": (without_end(CHUNKED, chunk(b" "), PAUSE), RETRIED),
    "one byte of a chunk": (without_end(CHUNKED + b"fff\r\n", b" ", PAUSE), RETRIED),
    "chunk extension": (without_end(CHUNKED + b"f;", b"x", PAUSE), RETRIED),
    "trailers": (without_end(CHUNKED + chunk(BODY) + b"0\r\n", b"X: 1\r\n", PAUSE), RETRIED),
    "trailers at full speed": (without_end(CHUNKED + chunk(BODY) + b"0\r\n", b"X: 1\r\n" * 1_000), RETRIED),
    "gzip": (without_end(BOMB_HEAD % b"202 Accepted" + GZIP_HEAD, EMPTY_BLOCK, PAUSE), RETRIED),
    "body of an error": (without_end(b"HTTP/1.1 503 Unavailable\r\n\r\n", b" ", PAUSE), RETRIED),
    "body of a redirect": (without_end(b"HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n", b" ", PAUSE), NOT_MONTE_CARLO),
    "body at full speed": (without_end(HEAD + b"\r\n", b" " * 65_536), NOT_MONTE_CARLO),
    "chunks at full speed": (without_end(CHUNKED, chunk(b" " * 65_536)), NOT_MONTE_CARLO),
    "chunk of size -1 at full speed": (without_end(CHUNKED + b"-1\r\n", b" " * 65_536), NOT_MONTE_CARLO),
    "gzip at full speed": (without_end(BOMB_HEAD % b"202 Accepted" + bomb(1), bomb(3)[-1_100:]), NOT_MONTE_CARLO),
}  # fmt: skip


@pytest.mark.usefixtures("short_deadline")
@pytest.mark.parametrize(("response", "expected"), WITHOUT_END.values(), ids=WITHOUT_END)
def test_a_response_without_an_end_ends_at_the_deadline(
    response: Response, expected: tuple[int, bool], push_to: Push, manifest_path: Path
) -> None:
    with RawServer(response) as server:
        outcome = push_to(server.endpoint)
        assert not server.gave_up
    check(outcome, expected, manifest_path)


@pytest.mark.usefixtures("short_deadline")
def test_a_server_that_does_not_read_the_request_is_left_at_the_deadline(push_to: Push, manifest_path: Path) -> None:
    """The body compresses to less than the limit, but is larger than the buffers of a connection."""
    with RawServer(without_end(b"", b"", PAUSE), reads=False) as server:
        outcome = push_to(server.endpoint, record=table("T", view_query="x" * 30_000_000))
        assert not server.gave_up
    check(outcome, RETRIED, manifest_path)


@pytest.mark.usefixtures("short_deadline")
@pytest.mark.parametrize("piece", [b"HTTP/1.1 200 Connected\r\n", b""], ids=["endless headers", "silence"])
def test_a_proxy_that_never_opens_the_tunnel_is_left_at_the_deadline(
    piece: bytes, push_to: Push, monkeypatch: pytest.MonkeyPatch, manifest_path: Path
) -> None:
    with RawServer(without_end(piece, b"X: 1\r\n" if piece else b"", PAUSE)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        outcome = push_to("https://montecarlo.invalid/graphql")
        assert not proxy.gave_up
    check(outcome, RETRIED, manifest_path)
    assert proxy.requests[0].startswith(b"CONNECT montecarlo.invalid:443")


@pytest.mark.parametrize(("status", "expected"), [(407, REFUSED), (502, RETRIED), (200, RETRIED), (302, RETRIED)])
def test_the_response_of_a_proxy_is_shown_without_secrets_and_in_part(
    status: int, expected: tuple[int, bool], push_to: Push, monkeypatch: pytest.MonkeyPatch, manifest_path: Path
) -> None:
    """The proxy repeats its password in a long reason. After a 200, it sends something that is not TLS."""
    password = "S3cretPw1-of-the-proxy"
    response = f"HTTP/1.1 {status} {password} {'x' * 60_000}\r\nLocation: http://127.0.0.1:9/\r\n\r\nno TLS"
    with RawServer(sent_once(response.encode())) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{password}@127.0.0.1:{proxy.port}")
        outcome = push_to("https://montecarlo.invalid/graphql")
        assert len(proxy.requests) == 1
    check(outcome, expected, manifest_path)
    assert password not in outcome.output


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """The TLS context of a server on 127.0.0.1, and the file with its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


OVER_TLS: dict[str, tuple[Response, tuple[int, bool]]] = {
    "accepted": (sent_once(http()), ACCEPTED),
    "one byte of a header": (without_end(HEAD + b"X: ", b"x", PAUSE), RETRIED),
    "one byte of a body": (without_end(HEAD + b"Content-Length: 5000\r\n\r\n", b" ", PAUSE), RETRIED),
}  # fmt: skip


@pytest.mark.parametrize(("response", "expected"), OVER_TLS.values(), ids=OVER_TLS)
def test_the_deadline_holds_with_tls(
    response: Response,
    expected: tuple[int, bool],
    tls: tuple[ssl.SSLContext, Path],
    push_to: Push,
    monkeypatch: pytest.MonkeyPatch,
    manifest_path: Path,
) -> None:
    if expected != ACCEPTED:
        monkeypatch.setattr(request, "DEADLINE_SECONDS", SHORT_DEADLINE_SECONDS)
    context, certificate = tls
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with RawServer(response, tls=context) as server:
        outcome = push_to(f"https://localhost:{server.port}/graphql")
        assert len(server.requests) == 1
        assert not server.gave_up
    check(outcome, expected, manifest_path)


@pytest.mark.usefixtures("short_deadline")
def test_the_deadline_holds_during_the_tls_handshake(push_to: Push, manifest_path: Path) -> None:
    record_of_16_kilobytes = b"\x16\x03\x03\x40\x00\x02"
    with RawServer(without_end(record_of_16_kilobytes, b"\x00", PAUSE), reads=False) as server:
        outcome = push_to(f"https://127.0.0.1:{server.port}/graphql")
        assert not server.gave_up
    check(outcome, RETRIED, manifest_path)


@pytest.mark.usefixtures("short_deadline")
def test_a_request_that_missed_its_deadline_while_connecting_is_never_sent(
    push_to: Push, monkeypatch: pytest.MonkeyPatch, manifest_path: Path
) -> None:
    """The caller retries or gives up by then, so a late request would send the records once more."""
    resolved = threading.Event()
    resolve = socket.getaddrinfo

    def slow(*arguments: Any, **more: Any) -> Any:
        resolved.wait(30)
        return resolve(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with RawServer(sent_once(http())) as server:
        timer = threading.Timer(SHORT_DEADLINE_SECONDS * 2, resolved.set)
        timer.start()
        outcome = push_to(server.endpoint)  # returns when the late request has ended
        check(outcome, RETRIED, manifest_path)
        timer.join()
        assert server.requests in ([], [b""])


def test_a_run_can_shut_down_before_it_is_forced_to() -> None:
    assert request.DEADLINE_SECONDS + 10 <= MAX_SHUTDOWN_SECONDS


# --- memory ---

MEMORY = {
    "gzip that unpacks to 1.5 GB": sent_once(BOMB_HEAD % b"202 Accepted" + bomb(1_500)),
    "gzip that unpacks to 1.5 GB, of a redirect": sent_once(BOMB_HEAD % b"302 Found\r\nLocation: /a" + bomb(1_500)),
    "endless body": without_end(HEAD + b"\r\n", b" " * 65_536),
    "chunk of size -1": without_end(CHUNKED + b"-1\r\n", b" " * 65_536),
    "chunk extension": without_end(CHUNKED + b"f;", b"x" * 65_536),
}


@pytest.fixture(scope="module")
def usual_peak(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> int:
    manifest = write(tmp_path_factory.mktemp("usual") / "m.jsonl", "metadata", [table("T")])
    return peak_memory(SNOWFLAKE, "push_metadata.py", "--manifest", str(manifest), env=sandbox.env)


@pytest.mark.parametrize("response", MEMORY.values(), ids=MEMORY)
def test_memory_does_not_grow_with_the_response(
    response: Response, usual_peak: int, sandbox: SandboxProcess, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [table("T")])
    arguments = ["--manifest", str(manifest_path), "--max-retry-seconds", "0.1"]
    with RawServer(response) as server:
        env = sandbox.env | {"MCD_API_ENDPOINT": server.endpoint}
        peak = peak_memory(SNOWFLAKE, "push_metadata.py", *arguments, env=env, exit_code=4)
    assert peak - usual_peak < 8 * MEGABYTE


# --- Retry-After ---

RETRY_AFTER: dict[str, float | None] = {
    "7": 7.0,
    " 7 ": 7.0,
    "1.5": 1.5,
    "0": 0.0,
    "9" * 400: float("inf"),
    "9" * 60_000: float("inf"),
    "1e308": None,
    "1e999": None,
    "nan": None,
    "inf": None,
    "-1": None,
    "1_000": None,
    "0x10": None,
    "١٢": None,
    "soon": None,
    "Fri, 31 Dec 9999 23:59:59 GMT": 1e10,
    "Fri, 31 Dec 99999999999999999999 23:59:59 GMT": None,
    "Wed, 01 Jan 2200 00:00:00 +99999999999999": None,
    "Wed, 32 Jan 2200 00:00:00 GMT": None,
    "Wed, 01 Jan 2200 00:00:00 -0000": 1e9,
    "Wed, 01 Jan 2200 00:00:00": 1e9,
    "Wed, 01 Jan " + "9" * 60_000: None,
}


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(("value", "expected"), RETRY_AFTER.items(), ids=[each[:45] for each in RETRY_AFTER])
def test_any_retry_after_is_a_time_or_ignored(
    value: str, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date is checked only to be later than a number of seconds from now."""

    def call(service: Any, *_: Any) -> Any:
        return service.send_metadata_raw({})

    response = b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: %b\r\n\r\n" % value.encode()
    with RawServer(sent_once(response)) as server:
        monkeypatch.setattr("pycarlo.core.session.MCD_API_ENDPOINT", server.endpoint)
        with pytest.raises(RetriableError) as caught:
            open_gateway(call, dry_run=False).send("snowflake", [])
    found = caught.value.retry_after
    if expected is not None and 1e9 <= expected < float("inf"):
        assert found is not None
        assert expected < found < 1e12
    else:
        assert found == expected


def pieces(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(len(text) - size + 1))


@pytest.mark.parametrize("status", ["202 Accepted", "400 Bad Request", "401 Unauthorized", "418 Teapot", "503 Busy"])
def test_a_page_is_shown_by_its_first_200_characters_and_without_secrets(
    status: str, push_to: Push, sandbox: SandboxProcess
) -> None:
    """The key starts before the 200th character and ends after it: it is masked before the text is cut."""
    token = sandbox.env["MCD_INGEST_TOKEN"]
    page = "<p>" + "x" * 180 + token + "y" * 50 + "the end"
    with RawServer(sent_once(http(status, page.encode()))) as server:
        outcome = push_to(server.endpoint)
    assert "<p>" + "x" * 180 + "***" + "y" * 14 in outcome.message
    assert "y" * 15 not in outcome.message
    assert not any(piece in outcome.output for piece in pieces(token, 8))


def test_the_json_of_monte_carlo_is_shown_in_full(push_to: Push) -> None:
    body = json.dumps({"error": "x" * 500 + " the reason"}).encode()
    with RawServer(sent_once(http("401 Unauthorized", body))) as server:
        assert "the reason" in push_to(server.endpoint).message
