"""Damaged and hostile journals: a push never fails because of one, and never takes an unsent record as sent.

Every journal lies next to a manifest with three records. A line that is not exactly what a push writes is skipped.
"""

from __future__ import annotations

import json
import logging
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from mcpush.manifest import verify
from mcpush.pending import PushStatus, journal_path, pending_manifest, read_journal

from tests.mcpush.in_process import InProcess, ends_by_itself
from tests.mcpush.test_delivery import METADATA, table, write

RECORDS = 3
WHOLE = {"first": 0, "count": RECORDS, "invocation_id": "an-id_1", "at": "2026-03-01T12:00:00Z"}
DEEP = 100_000
MANY = 2_000  # damaged lines
LARGE = 256 * 2**20  # bytes of one line


def line(**changes: Any) -> bytes:
    """The line of a batch with all three records, with some of its values replaced."""
    return json.dumps(WHOLE | changes).encode()


def written_as(text: str, name: str = "first") -> bytes:
    """The same line, with one value replaced by a text that need not be JSON."""
    return line(**{name: "VALUE"}).replace(b'"VALUE"', text.encode())


# After the header of this manifest and destination. None of them is a line that a push writes.
LINES = {
    "a deep list": b"[" * DEEP + b"]" * DEEP,
    "a deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a deep value": written_as("[" * DEEP + "]" * DEEP),
    "infinity": written_as("Infinity"),
    "minus infinity": written_as("-Infinity"),
    "an infinite count": written_as("Infinity", "count"),
    "not a number": written_as("NaN"),
    "beyond all floats": written_as("1e400"),
    "a huge index": written_as("1" + "0" * 400),
    "a huge count": written_as("1" + "0" * 400, "count"),
    "too many digits": written_as("1" * 5_000),
    "starts before the first record": line(first=-1, count=4),
    "ends after the last record": line(count=4),
    "far beyond the manifest": line(count=2**63),
    "starts after the last record": line(first=3, count=1),
    "no records": line(count=0),
    "a negative count": line(first=3, count=-3),
    "a boolean index": line(first=False),
    "a boolean count": line(count=True),
    "whole floats": line(first=0.0, count=3.0),
    "a fraction": line(count=3.5),
    "numbers as texts": line(first="0", count="3"),
    "a list as index": line(first=[0]),
    "null as count": line(count=None),
    "no index": json.dumps({key: value for key, value in WHOLE.items() if key != "first"}).encode(),
    "no count": json.dumps({key: value for key, value in WHOLE.items() if key != "count"}).encode(),
    "no id": json.dumps({key: value for key, value in WHOLE.items() if key != "invocation_id"}).encode(),
    "no time": json.dumps({key: value for key, value in WHOLE.items() if key != "at"}).encode(),
    "an id that is a number": line(invocation_id=5),
    "an id that is a list": line(invocation_id=["id"]),
    "an id that is an object": line(invocation_id={"id": "x"}),
    "an id with a line end": line(invocation_id="id\nforged"),
    "an id that ends with a line end": line(invocation_id="id\n"),
    "an id with an escape sequence": line(invocation_id="\x1b[2J"),
    "an id of other digits": line(invocation_id="٣٤"),
    "an id that is too long": line(invocation_id="x" * 65),
    "an empty id": line(invocation_id=""),
    "an id that is half a character": line(invocation_id="\ud800"),
    "a time that is a number": line(at=5),
    "a time that is a text": line(at="yesterday"),
    "a list": b"[0, 3]",
    "null": b"null",
    "a number": b"3",
    "a text": b'"first"',
    "an empty object": b"{}",
    "an empty line": b"",
    "NUL bytes": b"\0" * 4_096,
    "binary": bytes(byte for byte in range(256) if byte != 10),
    "UTF-16": line().decode().encode("utf-16"),
    "two values": line() + line(),
    "half a line": line()[:-5],
    "longer than any line of a push": b" " * 2**21 + line(),
    "rejected: the record before the first": b'{"rejected": -1}',
    "rejected: the record after the last": b'{"rejected": 3}',
    "rejected: a boolean": b'{"rejected": true}',
    "rejected: a text": b'{"rejected": "0"}',
    "rejected: infinity": b'{"rejected": 1e999}',
    "rejected: a list": b'{"rejected": [0, 1, 2]}',
    "rejected: null": b'{"rejected": null}',
}

# Headers before a line that says that all three records were accepted. The value replaces a part of the header.
HEADERS: dict[str, dict[str, Any] | bytes] = {
    "of an empty manifest": {"records": 0},
    "of a shorter manifest": {"records": 2},
    "of a negative number of records": {"records": -1},
    "records as a boolean": {"records": True},
    "records as a float": {"records": 3.0},
    "records as a text": {"records": "3"},
    "records as a list": {"records": [3]},
    "of another manifest": {"digest": "0" * 64},
    "a digest that is a list": {"digest": []},
    "a destination that is a list": {"destination": []},
    "another version": {"journal": 2},
    "a version that is a boolean": {"journal": True},
    "a version that is a float": {"journal": 1.0},
    "an infinite version": b'{"journal": Infinity}',
    "a list": b"[]",
    "null": b"null",
    "deep": b"[" * DEEP + b"]" * DEEP,
    "binary": bytes(byte for byte in range(256) if byte != 10),
    "missing": b"",
    "too long": b" " * 2**21,
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write(tmp_path / "m.jsonl", "metadata", [table(f"T{number}") for number in range(RECORDS)])


@pytest.fixture
def header(scripts: InProcess, manifest: Path) -> dict[str, Any]:
    """The first line that a push of the manifest to the sandbox writes."""
    assert scripts.push("metadata", manifest)[0] == 0
    found: dict[str, Any] = json.loads(journal_path(manifest).read_bytes().splitlines()[0])
    return found


def push_with(scripts: InProcess, manifest: Path, journal: bytes) -> tuple[int, int, int]:
    """Push with this journal. Returns the exit code, the number of records sent, and of those that count as sent."""
    journal_path(manifest).write_bytes(journal)
    before = len(list(scripts.sandbox.received("metadata")))
    with ends_by_itself():
        code, summary = scripts.push("metadata", manifest)
    return code, len(list(scripts.sandbox.received("metadata"))) - before, summary["records_accepted_before"]


def test_a_damaged_line_is_skipped_and_its_records_are_sent(
    scripts: InProcess, manifest: Path, header: dict[str, Any]
) -> None:
    first = json.dumps(header).encode()
    assert push_with(scripts, manifest, b"\n".join([first, line(), b""])) == (0, 0, RECORDS), "the intact line"
    outcomes = {name: push_with(scripts, manifest, b"\n".join([first, text, b""])) for name, text in LINES.items()}
    assert outcomes == dict.fromkeys(LINES, (0, RECORDS, 0))


def test_a_damaged_header_settles_nothing(scripts: InProcess, manifest: Path, header: dict[str, Any]) -> None:
    outcomes = {}
    for name, change in HEADERS.items():
        first = change if isinstance(change, bytes) else json.dumps(header | change).encode()
        journal = b"\n".join([first, line(), b""])
        outcomes[name] = push_with(scripts, manifest, journal)
        journal_path(manifest).write_bytes(journal)
        pending = pending_manifest(manifest, "metadata")
        assert pending is not None
        assert pending.status is PushStatus.NOT_STARTED, name
    assert outcomes == dict.fromkeys(HEADERS, (0, RECORDS, 0))


def test_intact_lines_after_damaged_ones_still_count(
    scripts: InProcess, manifest: Path, header: dict[str, Any]
) -> None:
    first = json.dumps(header).encode()
    spans = [line(count=2), *LINES.values(), line(first=1, count=2)]
    assert push_with(scripts, manifest, b"\n".join([first, *spans, b""])) == (0, 0, RECORDS)
    assert push_with(scripts, manifest, b"\n".join([first, *spans[:-1], line()])) == (0, 1, 2), (
        "an incomplete last line"
    )


def test_many_damaged_lines_cause_few_warnings(
    manifest: Path, header: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = journal_path(manifest)
    path.write_bytes(b"\n".join([json.dumps(header).encode(), *[b"{}"] * MANY, b""]))
    caplog.clear()
    logging.getLogger("mcpush").propagate = True
    assert read_journal(path) is not None
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) < 10
    assert "line 2 " in texts[0]
    assert str(MANY) in texts[-1], "the number of damaged lines"


def test_a_line_of_any_length_takes_little_memory(scripts: InProcess, manifest: Path, header: dict[str, Any]) -> None:
    """The long line is a hole in the file. It is the first line, a later one, or the incomplete last one."""
    path = journal_path(manifest)
    for before, after in ((header, line() + b"\n"), (header, b""), (None, b"")):
        with path.open("wb") as file:
            file.write(json.dumps(before).encode() + b"\n" if before else b"")
            file.seek(LARGE, 1)
            file.write(b"\n" + after if after else b"\0")
        tracemalloc.start()
        try:
            assert scripts.push("metadata", manifest)[0] == 0
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < LARGE / 4
        assert verify(manifest).records == RECORDS
    assert scripts.sandbox.requests(METADATA).count == 1 + 2, "the first push and two without an intact line"
