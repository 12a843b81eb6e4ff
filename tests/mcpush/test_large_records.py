"""Records too large to send: which form arrives, that volume and freshness do, and where the loss is reported."""

from __future__ import annotations

import base64
import gzip
import json
import random
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mcpush.collect.collector import Collector, run_collect
from mcpush.records import Asset, Column, ColumnLineage, Json, LineageRecord, QueryLogRecord, Record, TableRecord

from tests.collected import Collected
from tests.contract.records import as_event, differences
from tests.mcpush.in_process import InProcess, restored_handlers
from tests.mcpush.test_boundaries import GATEWAY_FLOWS
from tests.mcpush.test_delivery import (
    METADATA,
    SNOWFLAKE,
    has_journaled,
    journal_lines,
    push,
    query,
    result_of,
    table,
    write,
)
from tests.sandbox_process import SandboxProcess
from tests.script_process import peak_memory, started_script, wait_for, wait_until

MEGABYTES = 2**20
KNOWN = {"row_count": 12, "byte_count": 345, "last_update_time": "2026-03-01T11:30:00Z"}
NO_COLUMNS = [{"name": "ID", "type": "NUMBER"}]


def noise(length: int, seed: int = 1) -> str:
    """Text that compresses to three quarters."""
    return base64.b64encode(random.Random(seed).randbytes(length * 3 // 4 + 3)).decode()[:length]


def unicode_noise(length: int) -> str:
    """Random characters, almost all of which a JSON body escapes."""
    return random.Random(1).randbytes(3 * length).decode("utf-16-le", errors="ignore")[:length]


def comment(text: str, limit: int) -> str:
    return f"{text[:limit]} ... (truncated at {limit} characters)"


def sql(text: str, limit: int) -> str:
    return f"{text[:limit]}\n/* truncated at {limit} characters */"


def large(**more: Any) -> Json:
    return table("LARGE", **KNOWN, **more)


def columns(count: int, comment_length: int = 0, limit: int = 0) -> list[Json]:
    """Columns with comments of random characters, truncated at ``limit``."""
    text = noise(count * comment_length, 2)
    found: list[Json] = [{"name": f"C{number}", "type": "TEXT"} for number in range(count)]
    for number, column in enumerate(found if comment_length else ()):
        whole = text[number * comment_length : (number + 1) * comment_length]
        column["description"] = comment(whole, limit) if limit else whole
    return found


def asset(name: str) -> Json:
    return {"type": "TABLE", "database": "SHOP", "schema": "PUBLIC", "name": name}


def edge(sources: list[str], columns: list[Json]) -> Json:
    return {"destination": asset("LARGE"), "sources": [asset(name) for name in sources], "columns": columns}


def column_lineage(names: list[str]) -> list[Json]:
    return [{"name": name, "sources": [{"source": 0, "name": name}]} for name in names]


@dataclass(frozen=True)
class Case:
    """A record, the record that arrives instead (None: it is rejected), and what is reported as lost."""

    flow: str
    record: Json
    arrives: Json | None
    reasons: list[str] = field(default_factory=list)


TEXT = noise(1_500_000)
HUGE = noise(16 * MEGABYTES)
UNICODE = unicode_noise(400_000)
LONGEST_QUERY = unicode_noise(1_000_000)  # characters that a collector keeps
LONG_NAMES = [noise(800, number) for number in range(2_000)]
MANY_COLUMNS = [{"name": name, "type": "TEXT"} for name in LONG_NAMES]
SHORT_COMMENTS = [{"name": "ID", "type": "NUMBER", "description": "x" * 999}]
COMMENTS_1000, COMMENTS_100 = "comments truncated at 1000 characters", "comments truncated at 100 characters"
VIEW_QUERY, TAGS, COLUMNS = "view query truncated at 100000 characters", "tags left out", "columns left out"
QUERY_TEXT, EXTRA = "query text truncated at 100000 characters", "extra left out"
ERROR_TEXT = "error text truncated at 10000 characters"
COLUMN_LINEAGE = "column lineage left out"

CASES = {
    "a comment of 1.5 MB": Case(
        "metadata", large(description=TEXT), large(description=comment(TEXT, 1000)), [COMMENTS_1000]
    ),
    "a comment of 400,000 characters of any alphabet": Case(
        "metadata", large(description=UNICODE), large(description=comment(UNICODE, 1000)), [COMMENTS_1000]
    ),
    "a column's comment of 1.5 MB": Case(
        "metadata",
        large(fields=[{"name": "ID", "type": "NUMBER", "description": TEXT}]),
        large(fields=[{"name": "ID", "type": "NUMBER", "description": comment(TEXT, 1000)}]),
        [COMMENTS_1000],
    ),
    "1,000 columns with comments of 2,000 characters": Case(
        "metadata", large(fields=columns(1000, 2000)), large(fields=columns(1000, 2000, 1000)), [COMMENTS_1000]
    ),
    "5,000 columns with comments of 1,100 characters": Case(
        "metadata",
        large(fields=columns(5000, 1100)),
        large(fields=columns(5000, 1100, 100)),
        [COMMENTS_1000, COMMENTS_100],
    ),
    "2,000 columns with names of 800 characters": Case("metadata", large(fields=MANY_COLUMNS), large(), [COLUMNS]),
    "a column's name of 1.5 MB": Case("metadata", large(fields=[{"name": TEXT, "type": "TEXT"}]), large(), [COLUMNS]),
    "a column's type of 1.5 MB": Case("metadata", large(fields=[{"name": "ID", "type": TEXT}]), large(), [COLUMNS]),
    "a view of 1.5 MB": Case(
        "metadata",
        large(view_query=TEXT, fields=SHORT_COMMENTS),
        large(view_query=sql(TEXT, 100_000), fields=SHORT_COMMENTS),
        [VIEW_QUERY],
    ),
    "a view of 400,000 characters of any alphabet": Case(
        "metadata", large(view_query=UNICODE), large(view_query=sql(UNICODE, 100_000)), [VIEW_QUERY]
    ),
    "a tag of 1.5 MB": Case(
        "metadata", large(tags=[{"key": "k", "value": TEXT}], fields=NO_COLUMNS), large(fields=NO_COLUMNS), [TAGS]
    ),
    "2,000 tags": Case("metadata", large(tags=[{"key": each["name"]} for each in MANY_COLUMNS]), large(), [TAGS]),
    "everything of a table": Case(
        "metadata",
        large(description=TEXT, view_query=TEXT, tags=[{"key": TEXT}], fields=MANY_COLUMNS),
        large(description=comment(comment(TEXT, 1000), 100), view_query=sql(TEXT, 100_000)),
        [COMMENTS_1000, VIEW_QUERY, COMMENTS_100, TAGS, COLUMNS],
    ),
    "a table's name of 1.5 MB": Case("metadata", table(TEXT, **KNOWN), None),
    "a schema of 1.5 MB and a long comment": Case("metadata", table("T", description=TEXT) | {"schema": TEXT}, None),
    "2,000 lineage columns with names of 800 characters": Case(
        "lineage", edge(["A", "B"], column_lineage(LONG_NAMES)), edge(["A", "B"], []), [COLUMN_LINEAGE]
    ),
    "a lineage column's name of 1.5 MB": Case(
        "lineage",
        edge(["A"], [{"name": TEXT, "sources": [{"source": 0, "name": "A"}]}]),
        edge(["A"], []),
        [COLUMN_LINEAGE],
    ),
    "2,000 sources with names of 800 characters": Case("lineage", edge(LONG_NAMES, column_lineage(["A"])), None),
    "a source of 1.5 MB": Case("lineage", edge([TEXT], []), None),
    "a query of 1.5 MB": Case(
        "query_logs", query(1, query_text=TEXT), query(1, query_text=sql(TEXT, 100_000)), [QUERY_TEXT]
    ),
    "a query of 1,000,000 characters of any alphabet": Case(
        "query_logs", query(1, query_text=LONGEST_QUERY), query(1, query_text=sql(LONGEST_QUERY, 100_000)), [QUERY_TEXT]
    ),
    "an error of 1.5 MB": Case(
        "query_logs", query(1, error_text=TEXT), query(1, error_text=comment(TEXT, 10_000)), [ERROR_TEXT]
    ),
    "extra data of 1.5 MB": Case("query_logs", query(1, extra={"plan": [TEXT]}), query(1, extra=None), [EXTRA]),
    "everything of a query": Case(
        "query_logs",
        query(1, query_text=TEXT, error_text=TEXT, extra={TEXT: 1}),
        query(1, query_text=sql(TEXT, 100_000), error_text=comment(TEXT, 10_000), extra=None),
        [ERROR_TEXT, QUERY_TEXT, EXTRA],
    ),
    "a user of 1.5 MB": Case("query_logs", query(1, user=TEXT), None),
}
SMALL = {"metadata": table("SMALL"), "lineage": edge(["S"], []), "query_logs": query(0)}


def received(sandbox: SandboxProcess, flow: str, summary: dict[str, Any]) -> list[Json]:
    """The events of a run in the order of their acceptance."""
    ids = summary["invocation_ids"]
    return [event for each in ids for event in sandbox.received(GATEWAY_FLOWS[flow], each)]


def event_of(record: Json) -> Json:
    """The event of a record, as it arrives: times in UTC, and no empty values."""
    times = {key: record[key].replace("+00:00", "Z") for key in ("start_time", "end_time") if key in record}
    return as_event({key: value for key, value in (record | times).items() if value is not None})


@pytest.mark.parametrize("name", CASES)
def test_a_record_too_large_to_send_arrives_in_a_smaller_form(
    scripts: InProcess, manifest_path: Path, name: str
) -> None:
    case = CASES[name]
    flow, small = case.flow, SMALL[case.flow]
    write(manifest_path, flow, [small, case.record, small])
    counts = dict.fromkeys(case.reasons, 1)
    rejected = [] if case.arrives else [1]
    for arguments in (["--dry-run"], []):
        code, summary = scripts.push(flow, manifest_path, *arguments)
        assert (code, [each["index"] for each in summary["rejected"]]) == (1 if rejected else 0, rejected)
        assert (summary["records_reduced"], summary["reduced"]) == (1 if counts else 0, counts)
        [shown] = set(summary["reduced_examples"].values()) or {""}
        assert len(shown) <= 300
        assert len(json.dumps(summary)) < 10_000
    arrived = [small, *([case.arrives] if case.arrives else []), small]
    assert differences(received(scripts.sandbox, flow, summary), map(event_of, arrived)) == []
    answers = scripts.sandbox.requests(f"/ingest/v1/{GATEWAY_FLOWS[flow]}").answers
    assert set(answers) == {202}, "a body over the limit was sent"


def test_the_loss_is_reported_in_log_result_and_journal(quiet_sandbox: SandboxProcess, manifest_path: Path) -> None:
    wide = large(fields=columns(1500, 1100))
    write(manifest_path, "metadata", [table("T"), wide, large(view_query=TEXT) | {"name": "VIEW"}])
    run = push("metadata", manifest_path, quiet_sandbox.env).check(0)
    reduced = {COMMENTS_1000: 1, COMMENTS_100: 1, VIEW_QUERY: 1}
    examples = {COMMENTS_1000: "SHOP.PUBLIC.LARGE", COMMENTS_100: "SHOP.PUBLIC.LARGE", VIEW_QUERY: "SHOP.PUBLIC.VIEW"}
    result = result_of(manifest_path)
    for where in (run.summary, result):
        assert (where["records_reduced"], where["reduced"], where["reduced_examples"]) == (2, reduced, examples)
    assert (run.summary["status"], result["complete"]) == ("complete", True)
    assert f"SHOP.PUBLIC.LARGE: {COMMENTS_1000}, {COMMENTS_100}\n" in run.stderr
    assert f"2 too large to send complete: {COMMENTS_100} (1), {COMMENTS_1000} (1), {VIEW_QUERY} (1)" in run.stderr
    lost = {"name": "SHOP.PUBLIC.LARGE", "reasons": [COMMENTS_1000, COMMENTS_100]}
    settled = {line["first"]: line.get("reduced") for line in journal_lines(manifest_path)[1:]}
    assert settled == {0: None, 1: lost, 2: {"name": "SHOP.PUBLIC.VIEW", "reasons": [VIEW_QUERY]}}
    assert {line["first"]: line.get("reduced") for line in result["accepted"]} == settled
    again = push("metadata", manifest_path, quiet_sandbox.env).check(0)
    assert (again.summary["records_reduced"], again.summary["reduced"]) == (2, reduced)


def test_a_rerun_after_a_kill_reports_what_the_killed_run_reduced(
    quiet_sandbox: SandboxProcess, manifest_path: Path
) -> None:
    write(manifest_path, "metadata", [large(description=TEXT), *(table(f"T{number}") for number in range(2_000))])
    quiet_sandbox.fault(METADATA, calls=list(range(3, 43)), delay=0.7)
    arguments = ["--manifest", str(manifest_path), "--workers", "1"]
    with started_script(SNOWFLAKE, "push_metadata.py", *arguments, env=quiet_sandbox.env) as process:
        wait_until(has_journaled(manifest_path, 2))
        process.send_signal(signal.SIGKILL)
        wait_for(process)
    quiet_sandbox.clear_faults()
    run = push("metadata", manifest_path, quiet_sandbox.env).check()
    assert run.summary["records_accepted_before"] >= 1
    assert (run.summary["records_reduced"], run.summary["reduced"]) == (1, {COMMENTS_1000: 1})
    assert run.summary["reduced_examples"] == {COMMENTS_1000: "SHOP.PUBLIC.LARGE"}


@pytest.mark.parametrize(
    "damage",
    [
        *(None, 1, "x", [], {}, {"name": 1, "reasons": []}, {"name": "T"}),
        *({"name": "T", "reasons": wrong} for wrong in ("x", [1], {"a": 1})),
    ],
    ids=repr,
)
def test_a_journal_line_with_a_damaged_loss_is_damaged(scripts: InProcess, manifest_path: Path, damage: object) -> None:
    write(manifest_path, "metadata", [large(description=TEXT)])
    scripts.push("metadata", manifest_path)
    header, line = journal_lines(manifest_path)
    journal = manifest_path.with_name(manifest_path.name + ".journal")
    journal.write_text(json.dumps(header) + "\n" + json.dumps(line | {"reduced": damage}) + "\n")
    code, summary = scripts.push("metadata", manifest_path)
    assert (code, summary["records_accepted_before"], summary["records_reduced"]) == (0, 0, 1)


# --- a gateway with a lower limit -----------------------------------------------------------------------

LAYERS = large(
    description="d" * 2000,
    view_query="v" * 150_000,
    tags=[{"key": "k"}],
    fields=[{"name": "ID", "type": "NUMBER", "description": "c" * 200}],
)
SHORT = {"fields": [{"name": "ID", "type": "NUMBER", "description": comment("c" * 200, 100)}]}
FORMS: list[tuple[list[str], Json]] = [
    ([], LAYERS),
    ([COMMENTS_1000], LAYERS | {"description": comment("d" * 2000, 1000)}),
    ([VIEW_QUERY], LAYERS | {"description": comment("d" * 2000, 1000), "view_query": sql("v" * 150_000, 100_000)}),
    (
        [COMMENTS_100],
        LAYERS | SHORT | {"description": comment("d" * 2000, 100), "view_query": sql("v" * 150_000, 100_000)},
    ),
    (
        [TAGS],
        LAYERS
        | SHORT
        | {"description": comment("d" * 2000, 100), "view_query": sql("v" * 150_000, 100_000), "tags": None},
    ),
    ([COLUMNS], large(description=comment("d" * 2000, 100), view_query=sql("v" * 150_000, 100_000))),
    (["view query left out"], large(description=comment("d" * 2000, 100))),
]


@pytest.mark.parametrize("refusals", range(len(FORMS)))
def test_each_413_costs_one_request_and_one_step(scripts: InProcess, manifest_path: Path, refusals: int) -> None:
    write(manifest_path, "metadata", [LAYERS])
    for call in range(1, refusals + 1):
        scripts.sandbox.fault(METADATA, calls=[call], status=413)
    code, summary = scripts.push("metadata", manifest_path)
    assert (code, scripts.sandbox.requests(METADATA).answers) == (0, [413] * refusals + [202])
    assert list(summary["reduced"]) == [reason for reasons, _ in FORMS[: refusals + 1] for reason in reasons]
    assert received(scripts.sandbox, "metadata", summary) == [event_of(FORMS[refusals][1])]


def test_a_record_that_is_too_large_in_every_form_is_rejected(scripts: InProcess, manifest_path: Path) -> None:
    write(manifest_path, "metadata", [LAYERS])
    scripts.sandbox.fault(METADATA, status=413, body="no more than 10 bytes")
    code, summary = scripts.push("metadata", manifest_path)
    assert (code, scripts.sandbox.requests(METADATA).answers) == (1, [413] * len(FORMS))
    [rejected] = summary["rejected"]
    reasons = ", ".join(reason for reasons, _ in FORMS for reason in reasons)
    assert rejected["reason"] == f"HTTP 413: no more than 10 bytes; tried with {reasons}"
    assert (summary["records_reduced"], summary["reduced"]) == (0, {})


@contextmanager
def limited_gateway(limit: int) -> Iterator[tuple[dict[str, str], list[list[str]], list[str]]]:
    """A gateway that refuses bodies above ``limit`` bytes as gzip: its variables, requests, and accepted names."""
    requests: list[list[str]] = []
    accepted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = [event["relational_asset"]["metadata"]["name"] for event in json.loads(body)["events"]]
            requests.append(names)
            is_accepted = len(gzip.compress(body)) <= limit
            accepted.extend(names if is_accepted else [])
            self.send_response(202 if is_accepted else 413)
            self.end_headers()
            self.wfile.write(json.dumps({"invocation_id": str(uuid.uuid4())}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield (
            {
                "MCD_API_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}/graphql",
                "MCD_INGEST_ID": "id",
                "MCD_INGEST_TOKEN": "t0ken-of-a-test",
                "MCD_RESOURCE_UUID": str(uuid.UUID(int=1)),
            },
            requests,
            accepted,
        )
        server.shutdown()


def test_with_a_lower_limit_every_record_arrives_after_few_requests(manifest_path: Path) -> None:
    records = [table(f"T{number}") for number in range(200)]
    for number in (30, 77, 180):
        records[number] |= {"description": noise(60_000, number)}
    write(manifest_path, "metadata", records)
    with limited_gateway(20_000) as (env, requests, accepted):
        run = push("metadata", manifest_path, env).check(0)
    assert sorted(accepted) == sorted(f"T{number}" for number in range(200))
    assert (run.summary["records_rejected"], run.summary["reduced"]) == (0, {COMMENTS_1000: 3})
    assert len(requests) <= 4 + 3 * 3 * 6, "4 batches, and for each large record three parts at each of 6 bisections"


def test_records_too_large_to_send_cost_no_extra_requests(scripts: InProcess, manifest_path: Path) -> None:
    """Their size is known before anything is sent. The last one is over the limit only as JSON without Unicode."""
    records = [table(f"T{number}") for number in range(200)]
    for number in (0, 77, 180):
        records[number] |= {"view_query": noise(1_500_000, number)}
    records[199] |= {"view_query": UNICODE[:350_000]}
    write(manifest_path, "metadata", records)
    code, summary = scripts.push("metadata", manifest_path)
    answers = scripts.sandbox.requests(METADATA).answers
    assert (code, set(answers), summary["reduced"]) == (0, {202}, {VIEW_QUERY: 4})
    # One for each of the first three; between them 50 and 26, 50, 50 and 2; of the rest, 19, one is the last record.
    assert len(answers) <= 3 + 2 + 3 + 3 * 5


def test_a_comment_of_16_mb_takes_a_small_multiple_of_its_memory(quiet_sandbox: SandboxProcess, tmp_path: Path) -> None:
    small = write(tmp_path / "small.jsonl", "metadata", [large(description="x")])
    huge = write(tmp_path / "huge.jsonl", "metadata", [large(description=HUGE)])
    before, after = (
        peak_memory(SNOWFLAKE, "push_metadata.py", "--manifest", str(path), env=quiet_sandbox.env)
        for path in (small, huge)
    )
    assert after - before < 12 * len(HUGE)
    last = quiet_sandbox.pushes("metadata")[-1]["invocation_id"]
    [arrived] = quiet_sandbox.received("metadata", last)
    assert arrived == event_of(large(description=comment(HUGE, 1000)))


# --- when collecting ------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
LINE = 64 * MEGABYTES
AT = Asset("TABLE", "D", "S", "T")


def collected(tmp_path: Path, flow: str, records: list[Record]) -> tuple[int, Collected]:
    path = tmp_path / "m.jsonl"
    collector = Collector(
        flow=flow,
        warehouse="snowflake",
        resource="snowflake",
        connect=nullcontext,
        collect=lambda connection, options: iter(records),
        targets=lambda connection, options: iter(()),
        explain=lambda error: None,
        description="Test.",
        latency=None if flow == "metadata" else timedelta(minutes=1),
    )
    with restored_handlers():
        code = run_collect(collector, ["--manifest", str(path)])
    return code, Collected.read(path)


def test_a_record_too_large_for_a_line_is_written_in_a_smaller_form(tmp_path: Path) -> None:
    text = "x" * LINE
    view = TableRecord("VIEW", "view", "D", "S", "V", NOON, 1, 2, NOON, text, "SELECT 1", [Column("A", "B", text)])
    code, found = collected(tmp_path, "metadata", [view, TableRecord("TABLE", None, "D", "S", "SMALL")])
    assert (code, [record["name"] for record in found.records]) == (0, ["V", "SMALL"])
    assert found.records[0] == {
        "type": "VIEW",
        "kind": "view",
        "database": "D",
        "schema": "S",
        "name": "V",
        "created_on": "2026-03-01T12:00:00Z",
        "row_count": 1,
        "byte_count": 2,
        "last_update_time": "2026-03-01T12:00:00Z",
        "description": comment(text, 1000),
        "view_query": "SELECT 1",
        "fields": [{"name": "A", "type": "B", "description": comment(text, 1000)}],
    }
    assert found.trailer["skipped"] == {f"record too large: {COMMENTS_1000}": 1}
    assert found.trailer["skipped_examples"] == {f"record too large: {COMMENTS_1000}": "D.S.V"}


def test_a_record_too_large_for_a_line_in_every_form_is_left_out(tmp_path: Path) -> None:
    name = TableRecord("TABLE", None, "D", "S", "N" * LINE, description="d" * 2000)
    code, found = collected(tmp_path, "metadata", [name, TableRecord("TABLE", None, "D", "S", "SMALL")])
    assert (code, [record["name"] for record in found.records]) == (0, ["SMALL"])
    assert found.trailer["skipped"] == {"record too large: left out": 1}
    assert len(found.trailer["skipped_examples"]["record too large: left out"]) == 300


@pytest.mark.parametrize(
    ("flow", "record", "reason"),
    [
        ("lineage", LineageRecord(AT, [AT], [ColumnLineage("C" * LINE, [])]), COLUMN_LINEAGE),
        ("query_logs", QueryLogRecord(None, NOON, NOON, "S" * LINE), QUERY_TEXT),
    ],
    ids=["lineage", "query logs"],
)
def test_edges_and_queries_too_large_for_a_line_are_written_too(
    tmp_path: Path, flow: str, record: Record, reason: str
) -> None:
    code, found = collected(tmp_path, flow, [record])
    assert (code, len(found.records)) == (0, 1)
    assert found.trailer["skipped"] == {f"record too large: {reason}": 1}


def test_the_longest_line_is_written_complete_and_one_byte_more_is_not(tmp_path: Path) -> None:
    def length(text: str) -> tuple[int, dict[str, int]]:
        found = collected(tmp_path, "metadata", [TableRecord("TABLE", None, "D", "S", "T", description=text)])[1]
        return len((tmp_path / "m.jsonl").read_bytes().splitlines(keepends=True)[1]), found.trailer["skipped"]

    around = length("d")[0] - 1
    assert length("d" * (LINE - around)) == (LINE, {})
    shortened, skipped = length("d" * (LINE - around + 1))
    assert (shortened < 2_000, list(skipped)) == (True, [f"record too large: {COMMENTS_1000}"])
