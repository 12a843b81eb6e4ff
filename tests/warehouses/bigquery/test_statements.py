"""Tests of the local BigQuery: statements, their parameters and results."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import (
    BadRequest,
    GoogleAPICallError,
)
from google.cloud import bigquery

from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.small_warehouse import NOW, SHOP, TABLES_SQL, ask

VALUES: list[tuple[str, Any]] = [
    ("STRING", 'it\'s "é"'),
    ("INT64", 2**62),
    ("FLOAT64", 0.5),
    ("NUMERIC", Decimal("12.50")),
    ("BOOL", True),
    ("BYTES", b"\x00\xff"),
    ("DATE", date(2026, 2, 28)),
    ("TIME", time(1, 2, 3, 400)),
    ("DATETIME", datetime(2026, 2, 28, 1, 2, 3, 400)),  # noqa: DTZ001 - a DATETIME has no zone
    ("TIMESTAMP", datetime(2026, 2, 28, 1, 2, 3, 400, tzinfo=timezone.utc)),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[kind for kind, _ in VALUES])
def test_parameters_of_all_kinds(client: bigquery.Client, kind: str, value: Any) -> None:
    for given in (value, None):
        assert ask(client, "SELECT @x AS x", bigquery.ScalarQueryParameter("x", kind, given)) == [(given,)]
    array = bigquery.ArrayQueryParameter("x", kind, [value, value])
    assert ask(client, "SELECT y AS y FROM UNNEST(@x) AS y", array) == [(value,), (value,)]
    assert ask(client, "SELECT @y IN UNNEST(@x) AS y", array, bigquery.ScalarQueryParameter("y", kind, value)) == [
        (True,)
    ]


def test_a_missing_parameter_is_refused(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="'x' not found"):
        ask(client, "SELECT @x AS x")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "TO_JSON_STRING(j.referenced_tables)",
            f'[{{"project_id":"{SHOP}","dataset_id":"sales","table_id":"orders"}}]',
        ),
        (
            "TO_JSON_STRING(j.dml_statistics)",
            '{"inserted_row_count":5,"deleted_row_count":null,"updated_row_count":null}',
        ),
        ("TO_JSON_STRING(j.error_result)", "null"),
        ("TO_JSON_STRING(j.job_stages)", "[]"),
        ("TO_JSON_STRING(STRUCT(j.job_id AS id, 1 AS n))", '{"id":"read","n":1}'),
        (
            "TO_JSON_STRING(ARRAY(SELECT AS STRUCT l.key AS k FROM UNNEST(j.labels) AS l ORDER BY l.key))",
            '[{"k":"app"},{"k":"team"}]',
        ),
        ("(SELECT value FROM UNNEST(j.labels) WHERE key = 'app')", "bi"),
        ("EXISTS (SELECT 1 FROM UNNEST(j.labels) AS l WHERE l.key = 'app')", True),
        ("EXISTS (SELECT 1 FROM UNNEST(j.labels) WHERE key = 'none')", False),
        ("STARTS_WITH(j.destination_table.dataset_id, '_')", True),
        ("REGEXP_CONTAINS(j.query, r'^SELECT .é')", True),
        ("IFNULL(j.error_result.reason, 'none')", "none"),
        ("COALESCE(j.parent_job_id, j.job_id)", "read"),
        ("TIMESTAMP_SUB(j.creation_time, INTERVAL 24 HOUR)", NOW - timedelta(days=1)),
        ("TIMESTAMP_TRUNC(TIMESTAMP_ADD(j.creation_time, INTERVAL 59 MINUTE), HOUR)", NOW),
        ("TIMESTAMP_MILLIS(1000)", datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)),
        ("UNIX_MILLIS(j.creation_time)", int(NOW.timestamp() * 1000)),
        ("FORMAT_TIMESTAMP('%Y-%m-%dT%H', j.creation_time)", "2026-11-20T12"),
        ("ARRAY_LENGTH(j.labels)", 2),
        ("j.labels", [{"key": "team", "value": "shop"}, {"key": "app", "value": "bi"}]),
        ("j.referenced_tables[SAFE_OFFSET(0)].table_id", "orders"),
        ("j.referenced_tables[SAFE_OFFSET(1)].table_id", None),
        ("CONCAT(j.query, 'x')", "SELECT 'é' AS x\nx"),
        ("IF(j.cache_hit IS NULL, 1, 2)", 1),
    ],
)
def test_expressions_have_the_values_of_googlesql(client: bigquery.Client, expression: str, value: Any) -> None:
    assert ask(client, f"SELECT {expression} AS x FROM `region-us`.INFORMATION_SCHEMA.JOBS AS j") == [(value,)]


def test_json_of_times_is_refused_because_it_would_be_wrong(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="TO_JSON_STRING of times"):
        ask(client, "SELECT TO_JSON_STRING(j.creation_time) AS x FROM `region-us`.INFORMATION_SCHEMA.JOBS AS j")


def test_joins_with_clauses_and_correlated_arrays(client: bigquery.Client) -> None:
    sql = """
        WITH wanted AS (
            SELECT t.table_name AS name FROM sales.INFORMATION_SCHEMA.TABLES AS t WHERE t.table_type = 'VIEW'
        )
        SELECT v.view_definition AS d, label.key AS k
        FROM wanted
        JOIN sales.INFORMATION_SCHEMA.VIEWS AS v ON v.table_name = wanted.name
        CROSS JOIN `region-us`.INFORMATION_SCHEMA.JOBS AS j
        CROSS JOIN UNNEST(j.labels) AS label
        ORDER BY k
    """
    assert ask(client, sql) == [("SELECT 1 AS id", "app"), ("SELECT 1 AS id", "team")]


def test_the_clock_of_the_warehouse_can_be_set(server: BigQueryServer, client: bigquery.Client) -> None:
    server.set_clock(timedelta(days=-30))
    ((found,),) = ask(client, "SELECT CURRENT_TIMESTAMP() AS now")
    assert abs(found + timedelta(days=30) - datetime.now(timezone.utc)) < timedelta(hours=1)


def test_rows_are_shuffled_unless_the_outermost_query_is_ordered(client: bigquery.Client) -> None:
    numbers = "SELECT n AS n FROM UNNEST(GENERATE_ARRAY(1, 50)) AS n"
    ordered = [(n,) for n in range(1, 51)]
    assert ask(client, f"{numbers} ORDER BY n") == ordered
    for sql in (numbers, f"SELECT n FROM ({numbers} ORDER BY n)"):
        rows = ask(client, sql)
        assert sorted(rows) == ordered
        assert rows != ordered


def test_texts_are_ordered_by_their_bytes_and_nulls_come_first(client: bigquery.Client) -> None:
    sql = "SELECT x AS x FROM UNNEST(['b', 'B', '_', 'é', 'z', NULL, 'ż', '😀']) AS x ORDER BY x"
    assert [row[0] for row in ask(client, sql)] == [None, "B", "_", "b", "z", "é", "ż", "😀"]
    assert [row[0] for row in ask(client, f"{sql} DESC")][-1] is None


@pytest.mark.parametrize(
    ("text", "pages"), [("n", [10_000, 10_000, 5_000]), ("REPEAT('x', 2000)", [4902, 4902, 4902, 4902, 4902, 490])]
)
def test_results_come_in_pages_of_limited_rows_and_bytes(client: bigquery.Client, text: str, pages: list[int]) -> None:
    sql = f"SELECT n AS n, {text} AS x FROM UNNEST(GENERATE_ARRAY(1, 25000)) AS n ORDER BY n"
    rows = client.query(sql, location="US").result()
    assert [page.num_items for page in rows.pages] == pages


def test_a_dry_run_estimates_and_runs_nothing(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(dry_run=True)
    job = client.query(TABLES_SQL.format(place="region-us"), job_config=config, location="US")
    assert job.total_bytes_processed
    assert [field.name for field in job.schema or ()] == ["s", "n"]
    with pytest.raises(BadRequest):
        client.query("SELECT nonsense AS x", job_config=config, location="US")


def test_a_limit_of_bytes_billed_is_kept(client: bigquery.Client) -> None:
    sql = TABLES_SQL.format(place="region-us")
    assert ask(client, sql, maximum_bytes_billed=10 << 20)
    with pytest.raises(GoogleAPICallError, match="10485760 or higher required"):
        ask(client, sql, maximum_bytes_billed=(10 << 20) - 1)
