"""Tests lineage and query logs with 200,000 rows, generated in the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.script_process import TEMPLATES, peak_memory
from tests.templates.databricks.system_tables import SINCE, UNTIL, Folder, iso, window
from tests.warehouses.databricks.launch import DatabricksServer

pytestmark = pytest.mark.stress

ROWS = 200_000
MB = 1_000_000
# Row i is of target i % targets, from its source i // targets % 5. Times are spread over the window.
EDGES_SQL = """
INSERT INTO facts."system.access.{view}"
    (event_time, event_date, {extra} entity_type,
    source_type, source_table_catalog, source_table_schema, source_table_name,
    target_type, target_table_catalog, target_table_schema, target_table_name)
SELECT
    moment, CAST(moment AS DATE), {values} 'JOB',
    'TABLE', 'raw', 'landing', 'source_' || (i % {targets}) || '_' || (i // {targets} % 5),
    'TABLE', 'main', 'shop', 'target_' || (i % {targets})
FROM (SELECT i, TIMESTAMPTZ '{since}' + to_seconds(i * {seconds} / {rows}) AS moment FROM range({rows}) AS t(i))
"""
QUERIES_SQL = """
INSERT INTO facts."system.query.history"
    (statement_id, start_time, end_time, update_time, execution_status, statement_text)
SELECT
    'q' || lpad(CAST(i AS VARCHAR), 7, '0'), moment - to_seconds(3), moment, moment, 'FINISHED',
    repeat('SELECT ' || i, 100)
FROM (SELECT i, TIMESTAMPTZ '{since}' + to_seconds(i * {seconds} / {rows}) AS moment FROM range({rows}) AS t(i))
"""
TIMES = {"since": iso(SINCE), "seconds": (UNTIL - SINCE).total_seconds()}


@pytest.fixture(scope="module")
def server() -> Iterator[DatabricksServer]:
    with DatabricksServer() as started:
        yield started


@pytest.fixture
def folder(server: DatabricksServer, tmp_path: Path) -> Folder:
    found = Folder(server, tmp_path)
    found.fill({})
    return found


def add_edges(folder: Folder, targets: int, rows: int = ROWS) -> None:
    values = TIMES | {"targets": targets, "rows": rows}
    folder.server.sql(EDGES_SQL.format(view="table_lineage", extra="direct_access,", values="TRUE,", **values))
    extra, columns = (
        "source_column_name, target_column_name,",
        f"'c' || (i // {targets} % 7), 'd' || (i // {targets}),",
    )
    folder.server.sql(EDGES_SQL.format(view="column_lineage", extra=extra, values=columns, **values))


def peak(folder: Folder, flow: str) -> int:
    """The peak memory of a run, which writes a manifest."""
    arguments = ("--manifest", str(folder.work / f"{flow}.jsonl"), *window())
    return peak_memory(TEMPLATES / "databricks", f"collect_{flow}.py", *arguments, env=folder.server.environment())


def test_repeated_edges_take_no_memory_and_do_not_cross_the_network(folder: Folder) -> None:
    """A job repeats its edges with each run. 200,000 rows of each table have 500 distinct ones per table."""
    least = peak(folder, "lineage")
    for view in ("table_lineage", "column_lineage"):
        names = {"table_lineage": ("direct_access,", "TRUE,")}
        extra, values = names.get(view, ("source_column_name, target_column_name,", "'c', 'd',"))
        folder.server.sql(EDGES_SQL.format(view=view, extra=extra, values=values, targets=100, rows=ROWS, **TIMES))
    assert peak(folder, "lineage") < least + 20 * MB
    records = folder.records("lineage")
    assert [len(record["sources"]) for record in records] == [5] * 100
    assert [len(record["columns"][0]["sources"]) for record in records] == [5] * 100


def test_memory_grows_with_distinct_edges_only(folder: Folder) -> None:
    """200,000 distinct pairs of columns, of 10,000 targets."""
    least = peak(folder, "lineage")
    add_edges(folder, targets=10_000)
    assert peak(folder, "lineage") < least + 300 * MB
    records = folder.records("lineage")
    assert len(records) == 10_000
    assert {(len(record["sources"]), len(record["columns"])) for record in records} == {(5, 20)}


def test_memory_does_not_grow_with_the_number_of_queries(folder: Folder) -> None:
    folder.server.sql(QUERIES_SQL.format(rows=40_000, **TIMES))  # more than the connector holds
    few = peak(folder, "query_logs")
    folder.fill({})
    folder.server.sql(QUERIES_SQL.format(rows=ROWS, **TIMES))
    assert peak(folder, "query_logs") < few + 60 * MB
    records = folder.records("query_logs")
    assert [record["query_id"] for record in records] == [f"q{n:07}" for n in range(ROWS)]
