"""Manifest files: they survive the round trip, and a damaged file is refused with a remedy."""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcpush.errors import ConfigurationError
from mcpush.manifest import Header, ManifestError, Writer, encode, read, verify
from mcpush.records import Json, TimeRange, iso_utc, parse_utc

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HEADER = Header("metadata", "snowflake", "snowflake", NOON, None, {"include": ["SHOP.*"]})
RECORDS: list[Json] = [
    {"name": 'Größe\u2028 "x".y'},
    {"name": "b", "row_count": None},
    {"name": "c", "tags": [{"key": "pii"}]},
]


def written(path: Path, records: list[Json] = RECORDS, header: Header = HEADER) -> Path:
    with Writer(path, header) as writer:
        for record in records:
            writer.write(record)
        writer.finish({"no grant": 2}, {"no grant": "SHOP.SECRET"})
    return path


@pytest.mark.parametrize("name", ["m.jsonl", "m.jsonl.gz"])
def test_a_manifest_survives_the_round_trip(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "new" / "folder" / name)
    found = verify(path, "metadata")
    assert list(read(path, "metadata")) == RECORDS
    assert (found.header, found.records, found.skipped) == (HEADER, 3, {"no grant": 2})
    assert found.skipped_examples == {"no grant": "SHOP.SECRET"}
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    assert [each.name for each in path.parent.iterdir()] == [name], "a temporary file was left"


def test_the_digest_is_of_the_content_not_of_the_compression(tmp_path: Path) -> None:
    plain, packed = written(tmp_path / "m.jsonl"), written(tmp_path / "m.jsonl.gz")
    assert verify(plain).digest == verify(packed).digest
    other = written(tmp_path / "o.jsonl", [*RECORDS, {"name": "d"}])
    assert verify(other).digest != verify(plain).digest


def test_query_logs_name_their_log_type_and_window(tmp_path: Path) -> None:
    header = Header("query_logs", "hive", "hive-s3", NOON, TimeRange(NOON - timedelta(hours=1), NOON))
    path = written(tmp_path / "q.jsonl", header=header)
    first = json.loads(path.read_text().splitlines()[0])
    assert first["log_type"] == "hive-s3"
    assert "resource_type" not in first
    assert first["window"] == {"start": "2026-03-01T11:00:00Z", "end": "2026-03-01T12:00:00Z"}
    assert verify(path).header == header


def test_an_interrupted_writer_leaves_no_file_and_keeps_the_earlier_one(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), Writer(path, HEADER) as writer:
        writer.write({"name": "half", "rows": 1 // 0})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["m.jsonl"]


class InterruptedHeader(Header):
    """Simulates a signal that arrives while the first line is written."""

    def to_json(self) -> Json:
        raise KeyboardInterrupt


def test_an_interrupt_before_the_first_record_leaves_no_file(tmp_path: Path) -> None:
    header = InterruptedHeader("metadata", "snowflake", "snowflake", NOON, None)
    with pytest.raises(KeyboardInterrupt), Writer(tmp_path / "m.jsonl", header):
        pass
    assert list(tmp_path.iterdir()) == []


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda lines: [], "empty"),
        (lambda lines: lines[:1], "it is truncated"),
        (lambda lines: lines[:-1], "it is truncated"),
        (lambda lines: [*lines[:-1], lines[-1][:9]], "not JSON"),
        (lambda lines: [lines[0], *lines[2:]], "2 records, but its trailer says 3"),
        (lambda lines: [*lines[:2], *lines[1:]], "4 records, but its trailer says 3"),
        (lambda lines: lines[1:], "does not name a flow"),
        (lambda lines: [lines[0].replace(b'"version":1', b'"version":2'), *lines[1:]], "format version 2"),
        (lambda lines: [lines[0].replace(b'"warehouse"', b'"wherehouse"'), *lines[1:]], "field 'warehouse' is missing"),
        (lambda lines: [lines[0].replace(b'"window":null', b'"window":{"start":5}'), *lines[1:]], "field 'window' is"),
        (lambda lines: [re.sub(rb'"collected_at":"[^"]*"', b'"collected_at":"now"', lines[0])], "field 'collected_at'"),
        (lambda lines: [b"\x80\x81 not text\n", *lines[1:]], "not JSON"),
    ],
)
def test_a_damaged_manifest_is_refused_with_a_remedy(tmp_path: Path, damage, says: str) -> None:  # type: ignore[no-untyped-def]
    path = written(tmp_path / "m.jsonl")
    path.write_bytes(b"".join(damage(lines_of(path))))
    with pytest.raises(ManifestError, match=says) as refused:
        verify(path, "metadata")
    assert refused.value.remedy
    with pytest.raises(ManifestError):
        list(read(path, "metadata"))


def test_another_flow_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl")
    with pytest.raises(ManifestError, match="contains metadata, not lineage") as refused:
        verify(path, "lineage")
    assert "push_metadata.py" in refused.value.remedy


@pytest.mark.parametrize("cut", [20, -10])
def test_a_truncated_gzip_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "m.jsonl.gz")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ManifestError, match=r"not a complete gzip file|it is truncated"):
        verify(path)
    path.write_bytes(gzip.compress(b"") + b"not gzip")
    with pytest.raises(ManifestError, match="gzip"):
        verify(path)


def test_the_remedy_for_a_missing_file_is_to_collect_first(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No manifest at") as refused:
        verify(tmp_path / "nowhere.jsonl")
    assert "collect" in refused.value.remedy


def test_driver_numbers_and_times_are_written_as_json() -> None:
    naive = datetime(2026, 3, 1, 12, 0, 0, 120)  # noqa: DTZ001 - as drivers return it
    east = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    line = json.loads(encode({"rows": Decimal("12"), "part": Decimal("0.5"), "naive": naive, "east": east}))
    assert line == {
        "rows": 12,
        "part": 0.5,
        "naive": "2026-03-01T12:00:00.000120Z",
        "east": "2026-03-01T12:00:00Z",
    }
    assert type(line["rows"]) is int  # 12.0 is equal, but is not a count
    unknown = {"a": float("nan"), "b": [float("-inf"), 1.5], "c": Decimal("NaN"), "d": {"e": Decimal("Infinity")}}
    assert json.loads(encode(unknown)) == {"a": None, "b": [None, 1.5], "c": None, "d": {"e": None}}
    with pytest.raises(TypeError, match="bytes"):
        encode({"raw": b"x"})


@given(st.dictionaries(st.text(st.characters(exclude_categories=[])), st.text(st.characters(exclude_categories=[]))))
def test_any_text_is_one_line_of_utf8(record: dict[str, str]) -> None:
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    lossless = all(not 0xD800 <= ord(letter) <= 0xDFFF for text in [*record, *record.values()] for letter in text)
    if lossless:
        assert json.loads(line.decode("utf-8")) == record
    else:
        json.loads(line.decode("utf-8"))


@given(st.datetimes(timezones=st.timezones()))
def test_times_survive_the_round_trip(moment: datetime) -> None:
    try:
        expected = moment.astimezone(timezone.utc)
    except OverflowError:
        return
    assert parse_utc(iso_utc(moment)) == expected


@pytest.mark.parametrize("fraction", ["", ".1", ".123", ".1234567", ".123456789"])
def test_fractions_of_any_length_are_read_on_every_python(fraction: str) -> None:
    microseconds = int(fraction[1:7].ljust(6, "0"))
    assert parse_utc(f"2026-01-31T06:00:00{fraction}Z") == datetime(2026, 1, 31, 6, 0, 0, microseconds, timezone.utc)


def test_a_folder_is_not_a_manifest_and_leftovers_of_a_killed_run_are_deleted(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="folder"):
        Writer(tmp_path, HEADER)
    leftover = tmp_path / ".m.jsonl.99999.partial"
    leftover.write_text("half")
    written(tmp_path / "m.jsonl")
    assert [each.name for each in tmp_path.iterdir()] == ["m.jsonl"]
