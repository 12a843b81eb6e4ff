"""Damaged and hostile manifests and checkpoint files: each ends with exit code 2, and nothing is sent or collected."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcpush.manifest import MAX_LINE_BYTES, ManifestError, RecordTooLargeError, Writer, read, verify
from mcpush.records import Json

from tests.mcpush.in_process import InProcess, ends_by_itself, restored_handlers
from tests.mcpush.test_collection import LATENCY, collector, run
from tests.mcpush.test_delivery import METADATA, table, write
from tests.mcpush.test_manifest import HEADER as METADATA_HEADER

DEEP = 100_000
DEEP_LIST = b"[" * DEEP + b"]" * DEEP
HEADER: Json = {
    "manifest": "metadata",
    "version": 1,
    "warehouse": "snowflake",
    "resource_type": "snowflake",
    "collected_at": "2026-03-01T12:00:00Z",
    "window": None,
    "options": {},
}
TRAILER: Json = {"end": True, "records": 1, "skipped": {}, "skipped_examples": {}}
RECORD = json.dumps(table("T")).encode()
MIDNIGHT, NOON = "2026-03-01T00:00:00Z", "2026-03-01T12:00:00Z"


def lines(*parts: bytes) -> bytes:
    return b"".join(part + b"\n" for part in parts)


def packed(value: Json, **changes: Any) -> bytes:
    return json.dumps(value | changes, separators=(",", ":")).encode()


def header(**changes: Any) -> bytes:
    """A manifest with one record and some values of the header replaced."""
    return lines(packed(HEADER, **changes), RECORD, packed(TRAILER))


def trailer(**changes: Any) -> bytes:
    return lines(packed(HEADER), RECORD, packed(TRAILER, **changes))


def without(name: str) -> bytes:
    rest = {key: value for key, value in HEADER.items() if key != name}
    return lines(packed(rest), RECORD, packed(TRAILER))


MANIFESTS = {
    "nothing": b"",
    "one line end": b"\n",
    "NUL bytes": b"\0" * 5_000,
    "binary": bytes(range(256)) * 20,
    "another format": b"<html><body>404</body></html>\n",
    "UTF-16": header().decode().encode("utf-16"),
    "deep": lines(DEEP_LIST, RECORD, packed(TRAILER)),
    "the header is a list": lines(b"[]", RECORD, packed(TRAILER)),
    "the header is null": lines(b"null", RECORD, packed(TRAILER)),
    "the header is a number": lines(b"1" * 5_000, RECORD, packed(TRAILER)),
    "the header is a trailer": lines(packed(TRAILER), RECORD, packed(TRAILER)),
    "the header is too long": header(options={"include": ["x" * 2**20]}),
    "no header": lines(RECORD, packed(TRAILER)),
    "the flow is a list": header(manifest=["metadata"]),
    "the flow is an object": header(manifest={"metadata": 1}),
    "the flow is unknown": header(manifest="\x1b[2J"),
    "the version is a boolean": header(version=True),
    "the version is a float": header(version=1.0),
    "the version is a text": header(version="1"),
    "the version is long": header(version="9" * 100_000),
    "no warehouse": without("warehouse"),
    "the warehouse is a list": header(warehouse=["snowflake"]),
    "the warehouse is a number": header(warehouse=7),
    "the warehouse is empty": header(warehouse=""),
    "the resource is null": header(resource_type=None),
    "the resource is an object": header(resource_type={}),
    "the resource is a boolean": header(resource_type=True),
    "no time": without("collected_at"),
    "the time is a number": header(collected_at=5),
    "the time is a list": header(collected_at=[NOON]),
    "the time is infinite": header(collected_at=float("inf")),
    "the year is 0": header(collected_at="0000-01-01T00:00:00Z"),
    "the time is before the year 1": header(collected_at="0001-01-01T00:00:00+14:00"),
    "the time is after the year 9999": header(collected_at="9999-12-31T23:59:59-14:00"),
    "the window is a text": header(window="yesterday"),
    "the window is a list": header(window=[MIDNIGHT, NOON]),
    "the window is a number": header(window=5),
    "the window is true": header(window=True),
    "the window has no end": header(window={"start": MIDNIGHT}),
    "the window ends before it starts": header(window={"start": NOON, "end": MIDNIGHT}),
    "the window's end is null": header(window={"start": MIDNIGHT, "end": None}),
    "the window starts before the year 1": header(window={"start": "0001-01-01T00:00:00+01:00", "end": NOON}),
    "the options are a list": header(options=["--include"]),
    "the options are a text": header(options="--include"),
    "the options are a number": header(options=3),
    "no trailer": lines(packed(HEADER), RECORD),
    "only a header": lines(packed(HEADER)),
    "the trailer is half a line": lines(packed(HEADER), RECORD) + packed(TRAILER)[:-4],
    "the trailer is deep": lines(packed(HEADER), RECORD, b'{"end":true,"records":1,"skipped":' + DEEP_LIST + b"}"),
    "the end is 1": trailer(end=1),
    "the count is a boolean": trailer(records=True),
    "the count is a float": trailer(records=1.0),
    "the count is a text": trailer(records="1"),
    "the count is a long text": trailer(records="1" * 100_000),
    "the count is a list": trailer(records=[1]),
    "the count is infinite": trailer(records=float("inf")),
    "the count is not a number": trailer(records=float("nan")),
    "the count is negative": trailer(records=-1),
    "the count is huge": lines(packed(HEADER), RECORD, b'{"end":true,"records":' + b"1" * 5_000 + b"}"),
    "skipped is a list": trailer(skipped=["no grant"]),
    "skipped is a text": trailer(skipped="no grant"),
    "a skipped count is a text": trailer(skipped={"no grant": "many"}),
    "a skipped count is a float": trailer(skipped={"no grant": 1.5}),
    "a skipped count is a boolean": trailer(skipped={"no grant": True}),
    "a skipped count is negative": trailer(skipped={"no grant": -1}),
    "a skipped count is infinite": trailer(skipped={"no grant": float("inf")}),
    "examples are a list": trailer(skipped_examples=["x"]),
    "an example is a number": trailer(skipped_examples={"no grant": 5}),
    "an example is a list": trailer(skipped_examples={"no grant": ["x"]}),
    "the record is deep": lines(packed(HEADER), DEEP_LIST, packed(TRAILER)),
    "the record is a list": lines(packed(HEADER), b"[]", packed(TRAILER)),
    "the record is an empty line": lines(packed(HEADER), b"", packed(TRAILER)),
    "a second header": lines(packed(HEADER), packed(HEADER), RECORD, packed(TRAILER)),
    "a record after the trailer": lines(packed(HEADER), packed(TRAILER), RECORD),
}
GZIP = {
    "not gzip": header(),
    "nothing": b"",
    "half": gzip.compress(header())[:-20],
    "a wrong checksum": gzip.compress(header())[:-8] + b"\0" * 8,
    "zlib": zlib.compress(header()),
    "something after the end": gzip.compress(header()) + b"x" * 100,
    "a deep header": gzip.compress(MANIFESTS["deep"]),
}


def test_a_hostile_manifest_is_refused_and_nothing_is_sent(scripts: InProcess, tmp_path: Path) -> None:
    outcomes = {}
    for ending, manifests in (("", MANIFESTS), (".gz", GZIP)):
        path = tmp_path / f"m.jsonl{ending}"
        for name, content in manifests.items():
            path.write_bytes(content)
            with ends_by_itself():
                code, summary = scripts.push("metadata", path)
            error = summary.get("error", {"message": "", "remedy": ""})
            outcomes[name + ending] = code, str(path) in error["message"], len(error["message"]) < 500
            assert error["remedy"], name
    assert outcomes == dict.fromkeys(outcomes, (2, True, True))
    assert len(outcomes) == len(MANIFESTS) + len(GZIP)
    assert scripts.sandbox.requests(METADATA).count == 0


def test_the_same_manifest_without_damage_is_sent(scripts: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    for content in (header(), header(window={"start": MIDNIGHT, "end": MIDNIGHT}), trailer(skipped={"no grant": 3})):
        path.write_bytes(content)
        assert scripts.push("metadata", path)[0] == 0
    least = {"manifest": "metadata", "version": 1, "warehouse": "x", "resource_type": "snowflake", "collected_at": NOON}
    path.write_bytes(lines(packed(least), RECORD, b'{"end": true, "records": 1}'))
    assert scripts.push("metadata", path)[0] == 0


@pytest.mark.parametrize("name", ["m.jsonl", "m.jsonl.gz"])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_line_of_any_length_takes_little_memory(tmp_path: Path, name: str, place: int) -> None:
    """A gzip file of 400 KB can contain such a line. The limit of the first line is much lower."""
    path = tmp_path / name
    length = 6 * MAX_LINE_BYTES
    block = bytes(2**20)
    with gzip.open(path, "wb", 1) if name.endswith(".gz") else path.open("wb") as file:
        for number, line in enumerate((packed(HEADER), RECORD, packed(TRAILER)), start=1):
            if number < place:
                file.write(line + b"\n")
        if name.endswith(".gz"):
            for _ in range(length // len(block)):
                file.write(block)
        else:
            file.seek(length, 1)
            file.write(b"\0")
    for consume in (verify, lambda path: list(read(path))):
        tracemalloc.start()
        try:
            with pytest.raises(ManifestError, match=f"Line {place} of .* is longer than"):
                consume(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < (16 * 2**20 if place == 1 else 3 * MAX_LINE_BYTES)


def test_a_record_that_no_push_can_read_is_not_written(tmp_path: Path) -> None:
    """The writer goes on: the caller can write a shorter record instead."""
    path = tmp_path / "m.jsonl.gz"
    longest = MAX_LINE_BYTES - len(json.dumps(table("T", description=""), separators=(",", ":"))) - 1
    with Writer(path, METADATA_HEADER) as writer:
        with pytest.raises(RecordTooLargeError, match=f"^{MAX_LINE_BYTES + 1} bytes"):
            writer.write(table("T", description="x" * (longest + 1)))
        writer.write(table("T", description="x" * longest))
        writer.finish({}, {})
    assert verify(path).records == 1


CHECKPOINT = {"warehouse": "fixture", "flow": "query_logs", "until": NOON}
CHECKPOINTS = {
    "nothing": b"",
    "a space": b" ",
    "NUL bytes": b"\0" * 200,
    "binary": bytes(range(256)),
    "a list": b"[]",
    "null": b"null",
    "a number": b"5",
    "a text": b'"2026-03-01"',
    "an empty object": b"{}",
    "deep": DEEP_LIST,
    "a deep object": b'{"until":' * DEEP + b"1" + b"}" * DEEP,
    "too many digits": b'{"until":' + b"1" * 5_000 + b"}",
    "not JSON": b"until = 2026-03-01",
    "half": packed(CHECKPOINT)[:-3],
    "two values": packed(CHECKPOINT) * 2,
    "UTF-16": packed(CHECKPOINT).decode().encode("utf-16"),
    "not a number": packed(CHECKPOINT, until=float("nan")),
    "infinity": packed(CHECKPOINT, until=float("inf")),
    "the time is null": packed(CHECKPOINT, until=None),
    "the time is a number": packed(CHECKPOINT, until=1_772_366_400),
    "the time is a boolean": packed(CHECKPOINT, until=True),
    "the time is a list": packed(CHECKPOINT, until=[NOON]),
    "the time is an object": packed(CHECKPOINT, until={}),
    "the time is a word": packed(CHECKPOINT, until="yesterday"),
    "the time is empty": packed(CHECKPOINT, until=""),
    "the time is long": packed(CHECKPOINT, until="2" * 5_000),
    "the year is 0": packed(CHECKPOINT, until="0000-01-01T00:00:00Z"),
    "the year is 1": packed(CHECKPOINT, until="0001-01-01T00:00:00Z"),
    "the time is before the year 1": packed(CHECKPOINT, until="0001-01-01T00:00:00+01:00"),
    "the time is before 1900": packed(CHECKPOINT, until="1899-12-31T23:59:59Z"),
    "the year is 9999": packed(CHECKPOINT, until="9999-12-31T23:59:59Z"),
    "the time is after the year 9999": packed(CHECKPOINT, until="9999-12-31T23:59:59-01:00"),
    "the year is 10000": packed(CHECKPOINT, until="10000-01-01T00:00:00Z"),
    "no warehouse": packed({"flow": "query_logs", "until": NOON}),
    "the warehouse is a list": packed(CHECKPOINT, warehouse=["fixture"]),
    "the warehouse is another": packed(CHECKPOINT, warehouse="x" * 5_000),
    "the flow is a number": packed(CHECKPOINT, flow=1),
    "too long": b" " * 2**20 + packed(CHECKPOINT),
}


@pytest.fixture
def _handlers() -> Iterator[None]:
    with restored_handlers():
        yield


@pytest.mark.usefixtures("_handlers")
def test_a_hostile_checkpoint_is_refused_before_connecting(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state, manifest = tmp_path / "state.json", tmp_path / "m.jsonl"
    outcomes = {}
    for name, content in CHECKPOINTS.items():
        state.write_bytes(content)
        arguments = ["--manifest", str(manifest), "--state", str(state)]
        code, summary, _ = run(capsys, collector(LATENCY, ["q"]), *arguments)
        error = summary.get("error", {"message": ""})["message"]
        outcomes[name] = code, len(error) < 500, manifest.exists(), state.read_bytes() == content
    assert outcomes == dict.fromkeys(CHECKPOINTS, (2, True, False, True))
    state.write_bytes(packed(CHECKPOINT))
    assert run(capsys, collector(LATENCY, ["q"]), "--manifest", str(manifest), "--state", str(state))[0] == 0


@pytest.mark.usefixtures("_handlers")
def test_a_huge_checkpoint_takes_little_memory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with state.open("wb") as file:
        file.truncate(2**30)
    tracemalloc.start()
    try:
        arguments = ["--manifest", str(tmp_path / "m.jsonl"), "--state", str(state)]
        assert run(capsys, collector(LATENCY, ["q"]), *arguments)[0] == 2
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_a_manifest_at_the_limit_is_sent_as_a_whole(scripts: InProcess, tmp_path: Path) -> None:
    """A header that is almost as long as allowed, for example with many --include patterns."""
    path = write(tmp_path / "m.jsonl", "metadata", [table("T")])
    first, *rest = path.read_bytes().splitlines(keepends=True)
    patterns = ["x" * 1_000] * 1_000
    path.write_bytes(packed(json.loads(first), options={"include": patterns}) + b"\n" + b"".join(rest))
    assert scripts.push("metadata", path)[0] == 0
