"""Tests size: 2,000 tables, and 100,000 queries of which some have texts of 40 segments, with few statements and little
memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.collected import Record
from tests.sandbox_process import SandboxProcess
from tests.script_process import run_script
from tests.templates.redshift.conftest import Templates, connected
from tests.warehouses.redshift import shop as shop_module
from tests.warehouses.redshift.launch import RedshiftServer
from tests.warehouses.redshift.shop import Shop
from tests.warehouses.redshift.truth import SEGMENT_LENGTH, segments

TABLES, QUERIES, LONG_QUERIES = 2_000, 100_000, 50
MEGABYTES = 2**20

pytestmark = pytest.mark.scale


@pytest.fixture(scope="module")
def large() -> Iterator[tuple[RedshiftServer, Shop]]:
    now = datetime.now(timezone.utc)
    truth = shop_module.shop(now)
    truth.bulk_relations = shop_module.many_tables(TABLES, now)
    truth.bulk_queries = list(shop_module.many_queries(QUERIES, now, LONG_QUERIES))
    with RedshiftServer() as server:
        server.load(truth.load())
        yield server, truth


@pytest.fixture
def templates(
    large: tuple[RedshiftServer, Shop], template_folder: Path, sandbox: SandboxProcess, tmp_path: Path
) -> Templates:
    return connected(large[0], template_folder, sandbox, tmp_path)


def records_of(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if not line.startswith(('{"manifest"', '{"end"')))


def test_two_thousand_tables_need_few_statements(templates: Templates, large: tuple[RedshiftServer, Shop]) -> None:
    server, truth = large
    before = len(server.events("statement"))
    run = templates.run("collect_and_push", "metadata", "--include", "dev.bulk.*").check()
    asked = len(server.events("statement")) - before
    arrived = {event["relational_asset"]["metadata"]["name"]: event for event in templates.received(run, "metadata")}
    assert arrived.keys() == {relation.name for relation in truth.bulk_relations}
    assert asked < 25  # constant for the database and its single schema
    some = arrived["t01234"]["relational_asset"]
    assert len(some["fields"]) == 10
    assert some["volume"] == {"row_count": 1234, "byte_count": MEGABYTES}


@dataclass(frozen=True)
class Whole:
    """The query logs of the whole day. They are collected only once."""

    manifest: Path
    peak_memory: int


@pytest.fixture(scope="module")
def whole(
    large: tuple[RedshiftServer, Shop],
    template_folder: Path,
    sandbox: SandboxProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Whole:
    templates = connected(large[0], template_folder, sandbox, tmp_path_factory.mktemp("whole"))
    return Whole(templates.manifest("query_logs"), templates.peak_memory("query_logs", "--lookback-hours", "24"))


def test_a_hundred_thousand_queries_arrive_complete(
    templates: Templates, large: tuple[RedshiftServer, Shop], whole: Whole
) -> None:
    truth = {str(query.query_id): query for query in large[1].bulk_queries}
    longest = max(truth.values(), key=lambda query: len(query.text))
    assert len(segments(longest.text)) == 40
    assert len(longest.text) > 65_535
    run = run_script(
        templates.folder, "push_query_logs.py", "--manifest", str(whole.manifest), env=templates.environment()
    ).check()
    seen = 0
    for record in records_of(whole.manifest):
        query = truth.get(record["query_id"])
        if query is not None:
            seen += 1
            assert record["query_text"] == query.text
            assert record["user"] == "Loader-Ünit"
    assert seen == QUERIES
    assert run.summary["records_accepted"] == run.summary["records"] == seen + 13  # plus the shop's own queries
    assert sum(push["events"] for push in templates.sandbox.pushes("querylogs")) == seen + 13


def test_lineage_parses_long_texts(templates: Templates) -> None:
    run = templates.run("collect", "lineage").check()
    assert sum(run.summary["skipped"].values()) == 1  # the shop's own statement with a name that two schemas have
    found = [each["destination"]["name"] for each in records_of(templates.manifest("lineage"))]
    assert "order_items" in found


def test_memory_does_not_grow_with_the_window(templates: Templates, whole: Whole) -> None:
    little = templates.peak_memory("query_logs", "--lookback-hours", "2")
    collected = sum(1 for _ in records_of(templates.manifest("query_logs")))
    assert sum(1 for _ in records_of(whole.manifest)) > 8 * collected > 0
    assert whole.peak_memory - little < 64 * MEGABYTES


def test_the_long_texts_contain_edge_cases(large: tuple[RedshiftServer, Shop]) -> None:
    """Checks the data: text segments do end in spaces, which CHAR drops, and in the middle of an escaped newline."""
    texts = [segments(query.text) for query in large[1].bulk_queries[:LONG_QUERIES]]
    assert all(len(segment) == SEGMENT_LENGTH for each in texts for segment in each[:-1])
    assert any(segment.endswith(" ") for each in texts for segment in each[:-1])
    assert any(segment.endswith("\\") for each in texts for segment in each[:-1])
