"""Hostile records in a manifest: each is accepted or rejected, its neighbors arrive, and no run ends in a traceback.

The lines are written as text, because a collect script would not write most of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mcpush.in_process import InProcess

TIMES = '"start_time":"2026-03-01T12:00:00Z","end_time":"2026-03-01T12:00:01Z"'
HEADERS = {
    "metadata": {"manifest": "metadata", "version": 1, "warehouse": "snowflake", "resource_type": "snowflake"},
    "lineage": {"manifest": "lineage", "version": 1, "warehouse": "snowflake", "resource_type": "snowflake"},
    "query_logs": {"manifest": "query_logs", "version": 1, "warehouse": "snowflake", "log_type": "snowflake"},
}
PATHS = {"metadata": "metadata", "lineage": "lineage", "query_logs": "querylogs"}
DEEP = 900  # levels that Python's parser accepts
LONG = 2_000_000


def table(more: str = "", name: str = '"T"') -> str:
    return f'{{"type":"TABLE","database":"D","schema":"S","name":{name}{more}}}'


def edge(destination: str, more: str = "") -> str:
    return f'{{"destination":{destination},"sources":[{table()}]{more}}}'


def query(more: str = "", text: str = '"SELECT 1"') -> str:
    return f'{{{TIMES},"query_text":{text}{more}}}'


GOOD = {"metadata": table(name='"GOOD"'), "lineage": edge(table(name='"GOOD"')), "query_logs": query(text='"GOOD"')}


def nested(levels: int, opening: str = "[", inner: str = "", closing: str = "]") -> str:
    return opening * levels + inner + closing * levels


ACCEPTED = {
    "a NUL in a name": ("metadata", table(name=r'"T\u0000"')),
    "control characters in a name": ("metadata", table(name=r'"\u001b[31m\r\n\t\u0007"')),
    "a right-to-left override in a name": ("metadata", table(name=r'"\u202eT\u2066"')),
    "an astral character as a pair of escapes": ("metadata", table(name=r'"\ud83d\ude00"')),
    "a noncharacter": ("metadata", table(name=r'"\uffff\ufdd0"')),
    "a key twice: the last one counts": ("metadata", table(',"name":"LAST"')),
    "the largest count": ("metadata", table(',"row_count":9223372036854775807')),
    "the first moment": ("metadata", table(',"last_update_time":"0001-01-01T00:00:00Z"')),
    "the last moment": ("metadata", table(',"last_update_time":"9999-12-31T23:59:59.999999Z"')),
    "two columns of one name": ("metadata", table(',"fields":[{"name":"A","type":"B"},{"name":"A","type":"B"}]')),
    "a table that is its own source": ("lineage", edge(table())),
    "the same column source twice": (
        "lineage",
        edge(table(), ',"columns":[{"name":"C","sources":[{"source":0,"name":"A"},{"source":0,"name":"A"}]}]'),
    ),
    "a NUL in a text": ("query_logs", query(text=r'"SELECT \u0000"')),
    "an end before the start": ("query_logs", query(',"end_time":"2020-01-01T00:00:00Z"')),
    "an empty key in extra": ("query_logs", query(',"extra":{"":null}')),
    "nested extra": ("query_logs", query(f',"extra":{{"a":{nested(50)}}}')),
}

REJECTED = {
    "a lone surrogate in a name": ("metadata", table(name=r'"T\ud800"')),
    "a lone surrogate in a comment": ("metadata", table(r',"description":"\udfff"')),
    "a lone surrogate in a column": ("metadata", table(r',"fields":[{"name":"\udc00","type":"T"}]')),
    "a lone surrogate in a tag": ("metadata", table(r',"tags":[{"key":"k","value":"\ud800"}]')),
    "a lone surrogate in a source": ("lineage", edge(table(name=r'"\ud800"'))),
    "a lone surrogate in a query": ("query_logs", query(text=r'"\ud800"')),
    "a lone surrogate in an error code": ("query_logs", query(r',"error_code":"\ud800"')),
    "a lone surrogate in extra": ("query_logs", query(r',"extra":{"a":["\ud800"]}')),
    "a lone surrogate in a key of extra": ("query_logs", query(r',"extra":{"\ud800":1}')),
    "NaN in extra": ("query_logs", query(',"extra":{"a":NaN}')),
    "Infinity in extra": ("query_logs", query(',"extra":{"a":[-Infinity]}')),
    "an overflowing float in extra": ("query_logs", query(',"extra":{"a":1e999}')),
    "NaN as a count": ("query_logs", query(',"returned_rows":NaN')),
    "NaN as a number of bytes": ("metadata", table(',"byte_count":NaN')),
    "a count of 4,000 digits": ("metadata", table(f',"row_count":{"9" * 4_000}')),
    "an error code of 4,000 digits": ("query_logs", query(f',"error_code":{"9" * 4_000}')),
    "deep lists in extra": ("query_logs", query(f',"extra":{{"a":{nested(DEEP)}}}')),
    "deep objects in extra": (
        "query_logs",
        query(f',"extra":{nested(DEEP, "{" + chr(34) + "a" + chr(34) + ":", "1", "}")}'),
    ),
    "a deep list as a name": ("metadata", table(name=nested(DEEP))),
    "a deep list as columns": ("metadata", table(f',"fields":{nested(DEEP)}')),
    "a deep list as an unknown key's value": ("metadata", table(f',"more":{nested(DEEP)}')),
    "a deep list as the destination": ("lineage", edge(nested(DEEP))),
    "deep lists as columns": ("lineage", edge(table(), f',"columns":{nested(DEEP)}')),
    "a list as the type": ("metadata", '{"type":["TABLE"],"database":"D","schema":"S","name":"T"}'),
    "a long unknown key": ("metadata", table(f',"{"k" * LONG}":1')),
    "50,000 unknown keys": ("metadata", table("".join(f',"k{number}":1' for number in range(50_000)))),
    "an object that is empty": ("metadata", "{}"),
    "a record of another flow": ("lineage", table()),
    "a negative index": ("lineage", edge(table(), ',"columns":[{"name":"C","sources":[{"source":-1,"name":"A"}]}]')),
    "a boolean index": ("lineage", edge(table(), ',"columns":[{"name":"C","sources":[{"source":true,"name":"A"}]}]')),
    "a time before the first": ("metadata", table(',"last_update_time":"0001-01-01T00:00:00+23:59"')),
    "a time after the last": ("metadata", table(',"last_update_time":"9999-12-31T23:59:59-23:59"')),
    "a time in other digits": ("metadata", table(r',"last_update_time":"\uff12\uff10\uff12\uff16-01-01T00:00:00Z"')),
    "a time with a line end": ("metadata", table(r',"last_update_time":"2026-01-01T00:00:00Z\n"')),
}

# The file, not the record, is reported: the rest of the line cannot be trusted.
NOT_A_RECORD = {
    "a number of 5,000 digits": ("query_logs", query(f',"extra":{{"a":{"9" * 5_000}}}')),
    "a list of 100,000 levels": ("query_logs", query(f',"extra":{{"a":{nested(100_000)}}}')),
    "a list": ("metadata", "[]"),
    "a number": ("metadata", "1"),
    "NaN": ("metadata", "NaN"),
    "a second trailer": ("metadata", '{"end":true,"records":1'),
    "bytes that are not UTF-8": ("metadata", table(name='"\udcff"')),
    "an empty line": ("metadata", ""),
}


def write(path: Path, flow: str, lines: list[str]) -> None:
    header = HEADERS[flow] | {"collected_at": "2026-03-01T12:00:00Z", "window": None}
    trailer = {"end": True, "records": len(lines), "skipped": {}, "skipped_examples": {}}
    text = "\n".join([json.dumps(header), *lines, json.dumps(trailer)]) + "\n"
    path.write_bytes(text.encode("utf-8", errors="surrogateescape"))


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_unusual_record_is_accepted(scripts: InProcess, manifest_path: Path, name: str) -> None:
    flow, line = ACCEPTED[name]
    write(manifest_path, flow, [GOOD[flow], line, GOOD[flow]])
    code, summary = scripts.push(flow, manifest_path)
    assert (code, summary["records_accepted"]) == (0, 3), summary


@pytest.mark.parametrize("name", REJECTED)
def test_a_hostile_record_is_rejected_and_its_neighbors_arrive(
    scripts: InProcess, manifest_path: Path, name: str
) -> None:
    flow, line = REJECTED[name]
    write(manifest_path, flow, [GOOD[flow], line, GOOD[flow]])
    expected_code = 1
    code, dry_run = scripts.push(flow, manifest_path, "--dry-run")
    assert (code, [each["index"] for each in dry_run["rejected"]]) == (expected_code, [1]), dry_run
    code, summary = scripts.push(flow, manifest_path)
    assert (code, [each["index"] for each in summary["rejected"]]) == (expected_code, [1]), summary
    assert summary["records_accepted"] == 2
    assert scripts.sandbox.requests(f"/ingest/v1/{PATHS[flow]}").answers == [202, 202], "only valid bodies are sent"
    shown = json.dumps(summary["rejected"], ensure_ascii=False)
    assert len(shown.encode()) < 5_000  # raises UnicodeEncodeError for a lone surrogate


def test_five_hostile_records_end_the_run_with_a_short_message(scripts: InProcess, manifest_path: Path) -> None:
    flow, line = REJECTED["a long unknown key"]
    write(manifest_path, flow, [line] * 5)
    code, summary = scripts.push(flow, manifest_path)
    assert (code, summary["records_rejected"]) == (2, 0)
    assert "Nothing was accepted" in summary["error"]["message"]
    assert len(json.dumps(summary)) < 5_000


@pytest.mark.parametrize("name", NOT_A_RECORD)
def test_a_line_that_is_not_an_object_ends_the_run_with_its_number(
    scripts: InProcess, manifest_path: Path, name: str
) -> None:
    flow, line = NOT_A_RECORD[name]
    write(manifest_path, flow, [GOOD[flow], line, GOOD[flow]])
    code, summary = scripts.push(flow, manifest_path)
    assert (code, summary["records_rejected"]) == (2, 0), summary
    assert "ine 3 of" in summary["error"]["message"]
