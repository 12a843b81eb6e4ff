"""Tests lineage from jobs: which jobs count, and what BigQuery's record and the text contribute to a record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.templates.bigquery.lineage_world import (
    DAILY,
    EVENTS,
    ITEMS,
    LAKE,
    LATEST,
    ORDERS,
    RECENT,
    SHOP,
    TOTALS,
    UNTIL,
    Jobs,
    Lineage,
    record,
    reference,
    relation,
    started,
    view_records,
    warehouse,
    without_views,
)

MISSING_DESTINATION = "destination not in the catalog (renamed or dropped)"
NO_FULL_NAME = "name without a dataset in a query text (JOBS does not have the default dataset): no columns from it"
UNKNOWN_TEMPORARY = "temporary or hidden table that no job writes in the period that is read: its sources are unknown"
UNNAMED_SOURCE = "source that BigQuery recorded without its project, dataset or name"
UNCONFIRMED_SOURCE = "source in a query text that BigQuery's job history does not confirm"
UNCONFIRMED_TARGET = "target in a query text that BigQuery's job history does not confirm"
ROLLED_BACK = "statement of a transaction that was rolled back"
UNCOMMITTED = (
    "statement of a transaction without COMMIT in the window: it was rolled back, or is read again by the next run"
)
TOO_LONG = "statement of a transaction with too many statements to wait for its COMMIT"
SCRIPT_DATASET = "_script0b5e2d8cbe6ff2f0e5a1"
TEMPORARY = (SHOP, SCRIPT_DATASET, "bases")
INSERT_DAILY = "INSERT INTO marts.daily (day, total) SELECT order_id, amount FROM raw.orders"
DAILY_COLUMNS = {"day": [(0, "order_id")], "total": [(0, "amount")]}


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lineage]:
    with started(tmp_path_factory.mktemp("lineage")) as found:
        yield found


def test_a_job_gives_exact_tables_and_the_columns_of_its_text(lineage: Lineage) -> None:
    jobs = Jobs()
    jobs.query("INSERT", DAILY, [ORDERS, DAILY], INSERT_DAILY)
    jobs.query("MERGE", TOTALS, [ITEMS, TOTALS, EVENTS], "MERGE marts.totals USING (not SQL")
    collected = lineage.of(jobs)
    assert collected.records == sorted(
        [
            record(DAILY, [ORDERS], DAILY_COLUMNS),
            record(TOTALS, [EVENTS, ITEMS]),
            *view_records(),
        ],
        key=lambda each: each["destination"]["name"],
    )
    assert list(collected.skipped.values()) == [1]


def test_sources_without_a_full_name_are_counted(lineage: Lineage) -> None:
    jobs = Jobs()
    nameless = [reference(ORDERS) | {part: None} for part in reference(ORDERS)]
    read = [reference(EVENTS), *nameless, reference(DAILY)]
    job_id = jobs.query("INSERT", DAILY, [], INSERT_DAILY, referenced_tables=read)
    collected = lineage.of(jobs)
    assert without_views(collected) == [record(DAILY, [EVENTS])]
    assert collected.skipped == {UNNAMED_SOURCE: 3, UNCONFIRMED_SOURCE: 1}
    assert collected.trailer["skipped_examples"][UNNAMED_SOURCE] == job_id


def test_only_jobs_that_wrote_count(lineage: Lineage) -> None:
    """Failed, running and cached jobs do not; a script's children have its lineage; SELECTs write hidden tables."""
    jobs = Jobs()
    error: dict[str, Any] = {"error_result": {"reason": "invalidQuery", "message": "no"}}
    jobs.query("INSERT", DAILY, [EVENTS, DAILY], "INSERT marts.daily SELECT 1, 2", **error)
    jobs.query("INSERT", DAILY, [EVENTS, DAILY], "INSERT marts.daily SELECT 1, 2", state="RUNNING")
    jobs.query("CREATE_TABLE_AS_SELECT", DAILY, [EVENTS], "CREATE TABLE marts.daily AS SELECT 1", cache_hit=True)
    jobs.query("SCRIPT", DAILY, [EVENTS, ITEMS], "BEGIN END", cache_hit=None)
    jobs.query("SELECT", (SHOP, "_8d1f", "anon44"), [EVENTS], "SELECT * FROM `acme-lake-2.web.events`")
    jobs.query("CREATE_VIEW", DAILY, [EVENTS], "CREATE VIEW marts.daily AS SELECT 1")  # a table since then
    jobs.query("INSERT", RECENT, [EVENTS], "INSERT marts.recent_orders SELECT 1")  # a view since then
    jobs.query("INSERT", DAILY, [EVENTS, DAILY], "INSERT marts.daily SELECT 1, 2", after=timedelta(hours=6))
    jobs.query(
        "INSERT", DAILY, [EVENTS, DAILY], "INSERT marts.daily SELECT 1, 2", after=timedelta(hours=-6, seconds=-1)
    )
    jobs.query("INSERT", DAILY, [DAILY], "INSERT INTO marts.daily VALUES (((", cache_hit=None)  # the text is not read
    jobs.query(None, TOTALS, [ORDERS], None, cache_hit=None)
    collected = lineage.of(jobs)
    assert without_views(collected) == [record(TOTALS, [ORDERS])]
    assert collected.skipped == {"query without text": 1}


def test_the_overlap_before_the_window_is_read_too(lineage: Lineage) -> None:
    jobs = Jobs()
    jobs.query("INSERT", DAILY, [ORDERS, DAILY], INSERT_DAILY, after=timedelta(hours=-6))
    long_job: dict[str, Any] = {
        "creation_time": warehouse().datasets[0].created
    }  # started much earlier: not within 24 hours
    jobs.query("INSERT", TOTALS, [ITEMS], "INSERT marts.totals SELECT 1, 2", **long_job)
    collected = lineage.of(jobs)
    assert without_views(collected) == [record(DAILY, [ORDERS], DAILY_COLUMNS)]


def test_temporary_tables_of_a_script_are_replaced_by_their_sources(lineage: Lineage) -> None:
    jobs = Jobs()
    script: dict[str, Any] = {"parent_job_id": "script-1"}
    jobs.query("CREATE_TABLE", None, [], "CREATE TEMP TABLE bases (k INT64, v INT64)", **script)
    jobs.query(
        "INSERT",
        TEMPORARY,
        [ORDERS, TEMPORARY],
        "INSERT INTO bases (k, v) SELECT order_id, amount FROM raw.orders",
        **script,
    )
    jobs.query(
        "INSERT",
        TEMPORARY,
        [ITEMS, TEMPORARY],
        "INSERT INTO bases (k, v) SELECT order_id, price FROM raw.`order items é`",
        **script,
    )
    jobs.query(
        "INSERT", DAILY, [TEMPORARY, DAILY], "INSERT INTO marts.daily (day, total) SELECT k, v FROM bases", **script
    )
    jobs.query(
        "INSERT",
        TOTALS,
        [(SHOP, "_scriptother", "bases"), TOTALS],
        "INSERT INTO marts.totals (total) SELECT v FROM bases",
    )
    jobs.query("SCRIPT", None, [ORDERS, ITEMS], "BEGIN END", cache_hit=None)
    collected = lineage.of(jobs)
    columns = {"day": [(0, "order_id"), (1, "order_id")], "total": [(0, "price"), (1, "amount")]}
    assert without_views(collected) == [record(DAILY, [ITEMS, ORDERS], columns)]
    assert collected.skipped == {UNKNOWN_TEMPORARY: 1, NO_FULL_NAME: 1}


def test_a_temporary_table_of_a_session_can_be_created_before_the_window(lineage: Lineage) -> None:
    jobs = Jobs()
    session: dict[str, Any] = {"session_info": {"session_id": "session-7"}}
    own = (SHOP, "_5e55", "bases")
    text = "CREATE TEMP TABLE bases AS SELECT order_id AS k FROM `acme-shop.raw.orders`"
    jobs.query("CREATE_TABLE_AS_SELECT", own, [ORDERS], text, after=timedelta(hours=-5), **session)
    text = "INSERT INTO marts.daily (day) SELECT k FROM bases"
    jobs.query("INSERT", DAILY, [own, DAILY], text, parent_job_id="script-of-the-session", **session)
    collected = lineage.of(jobs)
    assert without_views(collected) == [record(DAILY, [ORDERS], {"day": [(0, "order_id")]})]
    assert collected.skipped == {}


def test_a_table_that_no_longer_exists_is_replaced_by_its_sources(lineage: Lineage) -> None:
    jobs, staging, dropped = Jobs(), (SHOP, "marts", "daily__dbt_tmp"), (SHOP, "pr_123", "daily")
    text = "CREATE OR REPLACE TABLE `acme-shop`.`marts`.`daily__dbt_tmp` AS SELECT order_id AS k FROM raw.orders"
    jobs.query("CREATE_TABLE_AS_SELECT", staging, [ORDERS], text)
    text = "MERGE marts.daily USING marts.daily__dbt_tmp ON day = k WHEN NOT MATCHED THEN INSERT (day) VALUES (k)"
    jobs.query("MERGE", DAILY, [staging, DAILY], text)
    jobs.query("INSERT", dropped, [ORDERS], "INSERT INTO pr_123.daily (day) SELECT order_id FROM raw.orders")
    gone = (SHOP, "raw", "gone")  # whose sources are unknown
    jobs.query("INSERT", TOTALS, [gone, TOTALS], "INSERT INTO marts.totals (total) SELECT t FROM raw.gone")
    collected = lineage.of(jobs)
    assert without_views(collected) == [
        record(DAILY, [ORDERS], {"day": [(0, "order_id")]}),
        record(TOTALS, [gone], {"total": [(0, "t")]}),
    ]
    assert collected.skipped == {MISSING_DESTINATION: 2}


def test_dropped_tables_without_sources_are_not_counted(lineage: Lineage) -> None:
    jobs, filled, loaded, empty = Jobs(), (SHOP, "raw", "filled"), (SHOP, "raw", "loaded"), (SHOP, "raw", "empty")
    jobs.query("CREATE_TABLE", empty, [], "CREATE TABLE raw.empty (a INT64)")
    jobs.query("INSERT", filled, [ORDERS, filled], "INSERT INTO raw.filled SELECT order_id, amount FROM raw.orders")
    files = "FROM FILES (format = 'CSV', uris = ['gs://acme-in/l.csv'])"
    jobs.query("LOAD_DATA", loaded, [], f"LOAD DATA INTO raw.loaded {files}")
    jobs.query("ALTER_TABLE", empty, [], "ALTER TABLE raw.empty ADD COLUMN b INT64")
    jobs.query("DELETE", empty, [empty], "DELETE FROM raw.empty WHERE true")
    jobs.query("TRUNCATE_TABLE", empty, [], "TRUNCATE TABLE raw.empty")
    for table in (empty, filled, loaded):
        jobs.query("DROP_TABLE", table, [], f"DROP TABLE raw.{table[2]}")
    collected = lineage.of(jobs)
    assert without_views(collected) == []
    assert collected.skipped == {MISSING_DESTINATION: 2}
    assert collected.trailer["skipped_examples"] == {MISSING_DESTINATION: ".".join(filled)}


def test_a_query_with_a_destination_is_parsed_as_the_creation_of_its_table(lineage: Lineage) -> None:
    """Scheduled queries are SELECTs with a destination table. Partitions belong to their table."""
    jobs = Jobs()
    text = (
        "-- nightly\nWITH o AS (SELECT order_id, amount FROM raw.orders) SELECT order_id AS day, amount AS total FROM o"
    )
    jobs.query("SELECT", (*DAILY[:2], "daily$20260101"), [(*ORDERS[:2], "orders@1767225600000")], text)
    collected = lineage.of(jobs)
    assert without_views(collected) == [record(DAILY, [ORDERS], DAILY_COLUMNS)]


def test_clones_come_from_the_catalog_or_from_the_job(lineage: Lineage) -> None:
    copy, logged = (SHOP, "marts", "orders_copy"), (SHOP, "marts", "orders_logged")
    jobs = Jobs()
    jobs.query("CREATE_TABLE", logged, [ORDERS], "CREATE TABLE marts.orders_logged CLONE raw.orders")
    relations = [relation(copy, kind="SNAPSHOT", base=ORDERS), relation(logged)]
    collected = lineage.of(jobs, relations)
    assert without_views(collected) == [record(copy, [ORDERS], origin="base_table"), record(logged, [ORDERS])]


def test_transactions_count_when_they_are_committed(lineage: Lineage) -> None:
    jobs = Jobs()
    for name, source, end in (
        ("kept", ORDERS, "COMMIT_TRANSACTION"),
        ("undone", ITEMS, "ROLLBACK_TRANSACTION"),
        ("open", EVENTS, None),
    ):
        own: dict[str, Any] = {"transaction_id": name, "parent_job_id": f"script {name}"}
        jobs.query("BEGIN_TRANSACTION", None, [], "BEGIN TRANSACTION", **own)
        jobs.query(
            "INSERT", DAILY, [source, DAILY], "INSERT INTO marts.daily (day) SELECT order_id FROM raw.orders", **own
        )
        jobs.query("DELETE", DAILY, [DAILY], "DELETE FROM marts.daily WHERE day < 0", **own)
        if end:
            jobs.query(end, None, [], end.replace("_", " "), **own)
    last: dict[str, Any] = {"transaction_id": "open", "parent_job_id": "script open", "after": timedelta(hours=6)}
    jobs.query("COMMIT_TRANSACTION", None, [], "COMMIT TRANSACTION", **last)
    collected = lineage.of(jobs)
    assert without_views(collected) == [record(DAILY, [ORDERS], {"day": [(0, "order_id")]})]
    assert collected.skipped == {ROLLED_BACK: 2, UNCOMMITTED: 2}
    collected = lineage.collect(since=UNTIL, until=UNTIL + timedelta(hours=12))
    assert without_views(collected) == [record(DAILY, [EVENTS, ORDERS], {"day": [(1, "order_id")]})]


def test_a_transaction_that_is_too_long_to_wait_for_is_counted(lineage: Lineage) -> None:
    jobs = Jobs()
    for name, target in (("long", DAILY), ("short", TOTALS)):
        text = f"INSERT INTO marts.{target[2]} (total) SELECT amount FROM raw.orders"
        jobs.query("INSERT", target, [ORDERS, target], text, transaction_id=name)
        jobs.query("UPDATE", target, [target], "UPDATE x" + 90 * len(name) * " ", transaction_id=name)
    for name in ("short", "long"):
        jobs.query("COMMIT_TRANSACTION", None, [], "COMMIT TRANSACTION", transaction_id=name)
    with lineage.changed("job_history.py", "MAX_HELD_CHARACTERS = 50_000_000", "MAX_HELD_CHARACTERS = 1_250"):
        collected = lineage.of(jobs)
    assert without_views(collected) == [record(TOTALS, [ORDERS], {"total": [(0, "amount")]})]
    assert collected.skipped == {TOO_LONG: 2}


def test_views_in_the_text_replace_the_base_tables_that_bigquery_records(lineage: Lineage) -> None:
    jobs = Jobs()
    text = "INSERT INTO marts.daily (day, total) SELECT order_id, last_paid FROM marts.latest"
    jobs.query("INSERT", DAILY, [ORDERS, DAILY], text)
    text = (
        "SELECT r.paid AS total, o.amount AS number FROM marts.recent_orders AS r JOIN raw.orders AS o USING (order_id)"
    )
    text = f"INSERT INTO marts.totals (total, number) {text}"
    jobs.query("INSERT", TOTALS, [ORDERS, TOTALS], text)
    collected = lineage.of(jobs)
    assert without_views(collected) == [
        record(DAILY, [LATEST], {"day": [(0, "order_id")], "total": [(0, "last_paid")]}, certainty="parsed"),
        record(TOTALS, [RECENT, ORDERS], {"number": [(1, "amount")], "total": [(0, "paid")]}, certainty="parsed"),
    ]


def test_what_only_the_text_has_is_left_out_and_counted(lineage: Lineage) -> None:
    """A view of other tables than those that BigQuery recorded, a source and a target that it did not record."""
    jobs = Jobs()
    jobs.query(
        "INSERT", DAILY, [ITEMS, DAILY], "INSERT INTO marts.daily (day) SELECT order_id FROM marts.recent_orders"
    )
    jobs.query(
        "INSERT",
        TOTALS,
        [ITEMS, TOTALS],
        "INSERT INTO marts.totals (total) SELECT event_id FROM `acme-lake-2.web.events`",
    )
    jobs.query(
        "INSERT", (SHOP, "raw", "orders"), [ITEMS], "INSERT INTO marts.other (a) SELECT price FROM raw.`order items é`"
    )
    collected = lineage.of(jobs, [relation((SHOP, "marts", "other"))])
    assert without_views(collected) == [record(DAILY, [ITEMS]), record(TOTALS, [ITEMS]), record(ORDERS, [ITEMS])]
    assert collected.skipped == {UNCONFIRMED_SOURCE: 2, UNCONFIRMED_TARGET: 1}


def test_names_without_a_dataset_are_resolved_if_only_one_dataset_is_possible(lineage: Lineage) -> None:
    jobs, other = Jobs(), (SHOP, "marts", "other")
    jobs.query("INSERT", other, [DAILY, other], "INSERT INTO other (a) SELECT day FROM daily")
    jobs.query("INSERT", TOTALS, [ORDERS, TOTALS], "INSERT INTO marts.totals (total) SELECT amount FROM orders")
    collected = lineage.of(jobs, [relation(other)])
    assert without_views(collected) == [record(other, [DAILY], {"a": [(0, "day")]}), record(TOTALS, [ORDERS])]
    assert collected.skipped == {NO_FULL_NAME: 1}


def test_jobs_of_any_project_can_write_to_a_selected_one(lineage: Lineage) -> None:
    """Names without a project are those of the project that ran the job, where the dataset can be another one."""
    jobs = Jobs(project=LAKE)
    text = "INSERT INTO `acme-shop.marts.daily` (day) SELECT event_id FROM web.events"
    jobs.query("INSERT", DAILY, [EVENTS, DAILY, (SHOP, "INFORMATION_SCHEMA", "TABLES")], text)
    jobs.query(
        "INSERT", TOTALS, [EVENTS], "INSERT INTO `acme-shop.marts.totals` (total) SELECT event_id FROM web.events"
    )
    collected = lineage.of(jobs, [], "--include", f"{SHOP}.marts.daily")
    assert collected.records == [record(DAILY, [EVENTS], {"day": [(0, "event_id")]})]
    listed = lineage.run("--list", "--include", f"{SHOP}.marts.*").check().stdout.splitlines()
    assert listed == [
        "acme-shop.marts.daily <- 1 sources, 1 columns (jobs)",
        "acme-shop.marts.latest <- 1 sources, 2 columns (view_definition)",
        "acme-shop.marts.recent_orders <- 1 sources, 2 columns (view_definition)",
        "acme-shop.marts.totals <- 1 sources, 1 columns (jobs)",
    ]


def test_wildcards_are_assets_of_their_own(lineage: Lineage) -> None:
    jobs, shards = Jobs(), (LAKE, "web", "hits_*")
    text = "INSERT INTO marts.daily (day) SELECT a FROM `acme-lake-2.web.hits_*` WHERE _TABLE_SUFFIX > '2026'"
    jobs.query("INSERT", DAILY, [shards, DAILY], text)
    relations = [relation((LAKE, "web", f"hits_2026010{day}")) for day in (1, 2)]
    relations.append(relation((LAKE, "web", "single_20260101")))
    jobs.query("INSERT", relations[0].path, [EVENTS], None)
    jobs.query("INSERT", relations[1].path, [(LAKE, "web", "hits_202601*")], None)
    jobs.query("INSERT", relations[2].path, [EVENTS], None)
    collected = lineage.of(jobs, relations)
    assert without_views(collected) == [
        record(relations[0].path, [EVENTS]),
        record(relations[1].path, [("WILDCARD_TABLE", LAKE, "web", "hits_202601*")]),
        record(relations[2].path, [EVENTS]),
        record(DAILY, [("WILDCARD_TABLE", *shards)], {"day": [(0, "a")]}),
    ]
    collected = lineage.collect("--collapse-date-shards")
    assert without_views(collected) == [
        record(shards, [EVENTS]),
        record(relations[2].path, [EVENTS]),
        record(DAILY, [shards], {"day": [(0, "a")]}),
    ]
    for pattern, expected in (("*.hits_2026*", []), ("*.hits_[*]", [shards]), ("*_2026*", [relations[2].path])):
        collected = lineage.collect("--collapse-date-shards", "--include", pattern)
        assert collected.records == [record(each, [EVENTS]) for each in expected]


def test_the_columns_of_a_star_come_from_a_metadata_manifest(lineage: Lineage) -> None:
    jobs, text = Jobs(), "CREATE TABLE marts.totals AS SELECT * FROM raw.`order items é`"
    jobs.query("CREATE_TABLE_AS_SELECT", TOTALS, [ITEMS], text)
    lineage.server.load(warehouse(jobs.made))
    lineage.script("metadata").check()
    collected = lineage.collect("--schema-manifest", str(lineage.work / "metadata.jsonl"))
    columns = {"order_id": [(0, "order_id")], "price": [(0, "price")]}
    assert without_views(collected) == [record(TOTALS, [ITEMS], columns)]
