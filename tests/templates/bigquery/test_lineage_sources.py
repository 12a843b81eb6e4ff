"""Tests lineage from jobs.get, LOAD DATA, EXPORT DATA and definitions of views, and what is not readable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mcpush.records import parse_utc

from tests.collected import Collected
from tests.templates.bigquery.lineage_world import (
    DAILY,
    EVENTS,
    ITEMS,
    LAKE,
    ORDERS,
    RECENT,
    REGION,
    SHOP,
    SINCE,
    TOTALS,
    UNTIL,
    Jobs,
    Lineage,
    asset,
    record,
    relation,
    resource,
    started,
    view_records,
    warehouse,
    without_views,
)
from tests.warehouses.bigquery.truth import Dataset

JOBS, TABLES, VIEWS = (f"INFORMATION_SCHEMA.{name}" for name in ("JOBS", "TABLES", "VIEWS"))
UNREADABLE = "LOAD, COPY or EXTRACT job not readable (jobs.get)"
NOT_REACHED = "LOAD, COPY or EXTRACT job that jobs.get did not reach in 600 seconds"
EARLIER_NOT_REACHED = "job before the window that loaded a dropped table, and that jobs.get did not reach"
UPLOAD = "LOAD job without files in a storage (upload from a client)"
NO_TEXT = "query without text"
UNKNOWN_JOB = "job that is LOAD, COPY or EXTRACT in JOBS, but not in jobs.get"
NOT_A_TABLE = "EXTRACT job of a model, or job with a temporary table"
LEGACY_VIEW = "view in legacy SQL: its sources are not parsed"
NO_VIEW_TEXT = "view definition not visible"
UNREADABLE_VIEWS = "view definitions of a region or dataset not readable (VIEWS)"
UNREACHABLE = "location that BigQuery could not reach: its datasets are missing"
UNREADABLE_DATABASE = "database or project missing, dropped during the run, or not accessible"
UNCONFIRMED_SOURCE = "source in a query text that BigQuery's job history does not confirm"
INSERT_DAILY = "INSERT INTO marts.daily (day, total) SELECT order_id, amount FROM raw.orders"
DAILY_COLUMNS = {"day": [(0, "order_id")], "total": [(0, "amount")]}
BY_JOBS_GET: dict[str, Any] = {"origin": "jobs_api"}


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lineage]:
    with started(tmp_path_factory.mktemp("lineage")) as found:
        yield found


# --- files -----------------------------------------------------------------------------------------------


def test_load_copy_and_extract_jobs_are_asked_for_their_tables_and_files(lineage: Lineage) -> None:
    jobs = Jobs()
    partition = resource((SHOP, "raw", "orders$20260101"))
    uris = ["gs://acme-in/orders/dt=2026-01-01/a.csv", "gs://acme-in/orders/dt=2026-01-01/b.csv", "gs://acme-in/more"]
    jobs.transfer("LOAD", {"sourceUris": uris, "destinationTable": partition})
    sources = [resource(ORDERS), resource(EVENTS)]
    jobs.transfer("COPY", {"sourceTables": sources, "destinationTable": resource(DAILY)})
    jobs.transfer("COPY", {"sourceTable": resource(DAILY), "destinationTable": resource(TOTALS)})
    out = ["gs://acme-out/daily-*.csv", "gs://acme-out/more-*.csv"]
    jobs.transfer("EXTRACT", {"sourceTable": resource(DAILY), "destinationUris": out})
    jobs.transfer(
        "EXTRACT", {"sourceModel": {"projectId": SHOP, "datasetId": "raw", "modelId": "m"}, "destinationUris": out}
    )
    jobs.transfer("LOAD", {"destinationTable": resource(ITEMS)})
    jobs.transfer("COPY", {"sourceTable": resource((SHOP, "_anon", "a1")), "destinationTable": resource(TOTALS)})
    jobs.transfer(
        "LOAD", {"sourceUris": ["gs://acme-in/old"], "destinationTable": partition}, after=timedelta(minutes=-1)
    )
    collected = lineage.of(jobs)
    assert without_views(collected) == [
        record(DAILY, [EVENTS, ORDERS], **BY_JOBS_GET),
        record(TOTALS, [DAILY], **BY_JOBS_GET),
        record(ORDERS, ["gs://acme-in/more", "gs://acme-in/orders/"], **BY_JOBS_GET),
        record(out[0], [DAILY], **BY_JOBS_GET),
        record(out[1], [DAILY], **BY_JOBS_GET),
    ]
    assert collected.skipped == {NOT_A_TABLE: 2, UPLOAD: 1}


def test_a_table_that_was_loaded_and_dropped_is_replaced_by_its_files(lineage: Lineage) -> None:
    jobs, staging = Jobs(), (SHOP, "raw", "staging")
    jobs.transfer("LOAD", {"sourceUris": ["gs://acme-in/x.csv"], "destinationTable": resource(staging)})
    jobs.query("MERGE", DAILY, [staging, DAILY], None)
    assert without_views(lineage.of(jobs)) == [record(DAILY, ["gs://acme-in/x.csv"])]


def test_a_table_that_was_loaded_before_the_window_and_dropped_is_replaced_by_its_files(lineage: Lineage) -> None:
    """Of the jobs before the window, only those are asked about that wrote a table that is gone."""
    jobs, loaded, copied = Jobs(), (SHOP, "raw", "loaded"), (SHOP, "raw", "copied")
    files = {"sourceUris": ["gs://acme-in/early.csv"], "destinationTable": resource(loaded)}
    load = jobs.transfer("LOAD", files, after=timedelta(hours=-2))
    both = {"sourceTable": resource(loaded), "destinationTable": resource(copied)}
    copy = jobs.transfer("COPY", both, after=timedelta(hours=-1))
    known = {"sourceTable": resource(EVENTS), "destinationTable": resource(TOTALS)}
    jobs.transfer("COPY", known, after=timedelta(minutes=-5))
    jobs.transfer(
        "EXTRACT", {"sourceTable": resource(ITEMS), "destinationUris": ["gs://acme-out/i"]}, after=timedelta(minutes=-4)
    )
    jobs.query("MERGE", DAILY, [copied, DAILY], None)
    assert without_views(lineage.of(jobs)) == [record(DAILY, ["gs://acme-in/early.csv"])]
    asked = [each["path"] for each in lineage.server.requests() if re.search("/jobs/job-", each["path"])]
    assert sorted(asked) == sorted(f"/bigquery/v2/projects/{SHOP}/jobs/{each}" for each in (load, copy))
    with lineage.changed("transfers.py", "SECONDS = 600", "SECONDS = 0"):
        collected = lineage.collect()
    assert without_views(collected) == [record(DAILY, [copied])]
    assert collected.skipped == {EARLIER_NOT_REACHED: 2, NO_TEXT: 1}


def test_the_oldest_jobs_are_given_up_first_wherever_they_ran(lineage: Lineage) -> None:
    latest, oldest, gone = Jobs(), Jobs(project=LAKE), (SHOP, "raw", "gone")
    latest.transfer(
        "COPY", {"sourceTable": resource(ORDERS), "destinationTable": resource(DAILY)}, after=timedelta(hours=2)
    )
    old = oldest.transfer(
        "COPY", {"sourceTable": resource(EVENTS), "destinationTable": resource(TOTALS)}, after=timedelta(hours=1)
    )
    load = {"sourceUris": ["gs://acme-in/g.csv"], "destinationTable": resource(gone)}
    earlier = oldest.transfer("LOAD", load, after=timedelta(hours=-1))
    lineage.server.load(warehouse([*latest.made, *oldest.made]))
    with lineage.changed("transfers.py", "MAX_TRANSFERS = 50_000", "MAX_TRANSFERS = 1"):
        collected = lineage.collect()
    assert without_views(collected) == [record(DAILY, [ORDERS], **BY_JOBS_GET)]
    assert collected.skipped == {NOT_REACHED: 1, EARLIER_NOT_REACHED: 1}
    places = {NOT_REACHED: f"{LAKE} {REGION} {old}", EARLIER_NOT_REACHED: f"{LAKE} {REGION} {earlier}"}
    assert collected.trailer["skipped_examples"] == places


def test_a_job_that_cannot_be_read_is_counted(lineage: Lineage) -> None:
    jobs = Jobs()
    denied = jobs.transfer("COPY", {"sourceTable": resource(ORDERS), "destinationTable": resource(DAILY)})
    jobs.transfer("COPY", {"sourceTable": resource(ITEMS), "destinationTable": resource(TOTALS)})
    lineage.server.load(warehouse(jobs.made))
    lineage.server.deny(f"jobs.get {SHOP}.{denied}")
    collected = lineage.collect()
    assert without_views(collected) == [record(TOTALS, [ITEMS], **BY_JOBS_GET)]
    assert collected.skipped == {UNREADABLE: 1}
    lineage.server.restore()
    lineage.server.rest_fault("GET /bigquery/v2/projects/.*/jobs/job-", 503, "backendError")
    lineage.run().check(4)


def test_a_job_of_unknown_type_is_counted(lineage: Lineage) -> None:
    jobs = Jobs()
    job_id = jobs.transfer("COPY", {"sourceTable": resource(ORDERS), "destinationTable": resource(DAILY)})
    answer = jobs.made[-1].resource
    assert answer
    jobs.made[-1] = replace(jobs.made[-1], resource={**answer, "configuration": {"jobType": "COPY"}})
    collected = lineage.of(jobs)
    assert without_views(collected) == []
    assert collected.skipped == {UNKNOWN_JOB: 1}
    assert collected.trailer["skipped_examples"] == {UNKNOWN_JOB: f"{SHOP} {REGION} {job_id}"}


def test_the_latest_jobs_are_asked_first_until_the_time_is_up(lineage: Lineage) -> None:
    jobs = Jobs()
    ids = [
        jobs.transfer("COPY", {"sourceTable": resource(ORDERS), "destinationTable": resource(DAILY)}) for _ in range(3)
    ]
    lineage.of(jobs)
    asked = [each["path"] for each in lineage.server.requests() if re.search("/jobs/job-", each["path"])]
    assert sorted(asked) == sorted(f"/bigquery/v2/projects/{SHOP}/jobs/{each}" for each in ids)
    with lineage.changed("transfers.py", "SECONDS = 600", "SECONDS = 0"):
        collected = lineage.collect()
    assert without_views(collected) == []
    assert collected.skipped == {NOT_REACHED.replace("600", "0"): 3}
    assert collected.trailer["skipped_examples"] == {NOT_REACHED.replace("600", "0"): f"{SHOP} {REGION} {ids[-1]}"}


def test_statements_that_load_and_export_files(lineage: Lineage) -> None:
    """LOAD DATA and EXPORT DATA are query jobs. Their text names the files, and BigQuery confirms the tables."""
    jobs = Jobs()
    jobs.query(
        "LOAD_DATA", ORDERS, [], "LOAD DATA INTO raw.orders FROM FILES (format = 'CSV', uris = ['gs://acme-in/o.csv'])"
    )
    text = "EXPORT DATA OPTIONS (uri = 'gs://acme-out/{}-*.csv', format = 'CSV') AS SELECT order_id FROM {}"
    jobs.query("EXPORT_DATA", None, [ORDERS], text.format("orders", "raw.orders"))
    jobs.query("EXPORT_DATA", None, [ORDERS], text.format("recent", "marts.recent_orders"))
    jobs.query("EXPORT_DATA", None, [ITEMS], text.format("wrong", "`acme-lake-2.web.events`"))
    collected = lineage.of(jobs)
    exported: dict[str, Any] = {"columns": {"order_id": [(0, "order_id")]}, "certainty": "parsed"}
    assert without_views(collected) == [
        record(ORDERS, ["gs://acme-in/o.csv"], certainty="parsed"),
        record("gs://acme-out/orders-*.csv", [ORDERS], **exported),
        record("gs://acme-out/recent-*.csv", [RECENT], **exported),
    ]
    assert collected.skipped == {UNCONFIRMED_SOURCE: 1}


# --- views -----------------------------------------------------------------------------------------------


def test_views_come_from_their_definitions(lineage: Lineage) -> None:
    """Names are compared exactly: Orders is another table than orders."""
    daily, upper, legacy = (LAKE, "web", "daily"), (SHOP, "raw", "Orders"), (SHOP, "marts", "old")
    created = "CREATE MATERIALIZED VIEW `acme-lake-2.web.daily` OPTIONS (enable_refresh = true)"
    relations = [
        relation(daily, kind="MATERIALIZED VIEW", ddl=f"{created} AS SELECT page AS p FROM web.events"),
        relation(upper),
        relation((SHOP, "marts", "Ünïcode view"), kind="VIEW", definition="SELECT a AS x FROM `acme-shop`.raw.Orders"),
        relation((SHOP, "marts", "unknown"), kind="VIEW", definition=None),
    ]
    contents = warehouse([], relations)
    name = {"table_catalog": SHOP, "table_schema": legacy[1], "table_name": legacy[2]}
    contents.rows["TABLES"] = [(SHOP, REGION, name | {"table_type": "VIEW"})]
    text = "SELECT order_id FROM [acme-shop:raw.orders]"
    contents.rows["VIEWS"] = [(SHOP, REGION, name | {"view_definition": text, "use_standard_sql": "NO"})]
    lineage.server.load(contents)
    collected = lineage.collect()
    more = {"origin": "view_definition", "certainty": "parsed"}
    assert collected.records == [
        record(("VIEW", *daily), [EVENTS], {"p": [(0, "page")]}, **more),
        *view_records(),
        record(("VIEW", SHOP, "marts", "Ünïcode view"), [upper], {"x": [(0, "a")]}, **more),
    ]
    assert collected.skipped == {LEGACY_VIEW: 1, NO_VIEW_TEXT: 1}


def test_without_definitions_the_tables_remain(lineage: Lineage) -> None:
    jobs = Jobs()
    jobs.query(
        "INSERT", DAILY, [ORDERS, DAILY], "INSERT INTO marts.daily (day) SELECT order_id FROM marts.recent_orders"
    )
    lineage.server.load(warehouse(jobs.made))
    lineage.server.deny(VIEWS)
    collected = lineage.collect()
    sources = {"day": [(0, "order_id")]}
    assert collected.records == [record(DAILY, [RECENT, ORDERS], sources, certainty="parsed")]
    assert collected.skipped == {UNREADABLE_VIEWS: 2}


def test_a_base_table_that_a_job_without_text_read_stays_beside_its_view(lineage: Lineage) -> None:
    jobs, staged = Jobs(), (SHOP, "raw", "staged")
    text = "INSERT INTO marts.{} SELECT order_id, paid FROM marts.recent_orders"
    jobs.query("INSERT", DAILY, [ORDERS, DAILY], text.format("daily"))
    jobs.query("INSERT", TOTALS, [ORDERS, TOTALS], text.format("totals"))
    jobs.query("MERGE", staged, [ORDERS, staged], None)
    jobs.query("MERGE", TOTALS, [staged, TOTALS], None)
    only_text = without_views(lineage.of(Jobs(jobs.made[:1])))
    assert [each["sources"] for each in only_text] == [[asset(RECENT)]]
    jobs.transfer("COPY", {"sourceTable": resource(ORDERS), "destinationTable": resource(DAILY)})
    both = without_views(lineage.of(jobs))
    assert [each["destination"] for each in both] == [asset(DAILY), asset(TOTALS)]
    assert [each["sources"] for each in both] == [[asset(RECENT), asset(ORDERS)]] * 2


def test_too_many_definitions_are_read_dataset_by_dataset(lineage: Lineage) -> None:
    page, names = (LAKE, "web", "pages"), {"origin": "view_definition", "certainty": "parsed"}
    definition = "SELECT page AS p FROM web.events"
    lineage.server.load(warehouse([], [relation(page, kind="VIEW", definition=definition)]))
    pages = record(("VIEW", *page), [EVENTS], {"p": [(0, "page")]}, **names)
    lineage.server.fail(f"`region-eu`.{VIEWS}", "error", reason="resourcesExceeded")
    collected = lineage.collect()
    assert collected.records == [pages, *view_records()]
    assert collected.skipped == {}
    lineage.server.fail(f"`marts`.{VIEWS}", "error", reason="accessDenied")
    collected = lineage.collect()
    assert collected.records == [pages]
    assert collected.skipped == {UNREADABLE_VIEWS: 1}
    assert collected.trailer["skipped_examples"][UNREADABLE_VIEWS].startswith(f"{SHOP} marts: ")


def test_too_many_definitions_in_one_dataset_end_the_run(lineage: Lineage) -> None:
    """Each dataset could take as long as the first."""
    lineage.server.load(warehouse([]))
    lineage.server.fail(VIEWS, "error", reason="resourcesExceeded")
    lineage.run().check(4)


# --- what is not readable ----------------------------------------------------------------------------------


def test_jobs_that_are_not_readable_are_counted_or_the_run_is_refused(lineage: Lineage) -> None:
    jobs = Jobs()
    jobs.query("INSERT", DAILY, [ORDERS, DAILY], INSERT_DAILY)
    lineage.server.load(warehouse(jobs.made))
    lineage.server.deny(f"{LAKE}.{JOBS}")
    collected = lineage.collect()
    assert without_views(collected) == [record(DAILY, [ORDERS], DAILY_COLUMNS)]
    assert collected.skipped == {UNREADABLE_DATABASE: 1}
    lineage.server.deny(JOBS)
    refused = lineage.run().check(3)
    assert "Cannot read the jobs of any project (INFORMATION_SCHEMA.JOBS)" in refused.said
    lineage.server.deny(TABLES)
    assert "Cannot read the tables of any project" in lineage.run().check(3).said


def test_an_unlisted_dataset_does_not_make_its_tables_missing(lineage: Lineage) -> None:
    """Without grants on the project, datasets that this principal cannot see can exist."""
    jobs, unseen, dropped = Jobs(), (SHOP, "unseen", "t"), (SHOP, "marts", "gone")
    for target in (unseen, dropped):
        jobs.query("INSERT", target, [ORDERS, target], None)
    lineage.server.load(warehouse(jobs.made))
    lineage.server.deny(f"region {TABLES}")
    assert without_views(lineage.collect()) == [record(unseen, [ORDERS])]


def test_tables_of_a_location_that_was_not_reached_are_not_missing(lineage: Lineage) -> None:
    """The datasets of the EU are not listed, but its jobs are read."""
    jobs = Jobs()
    jobs.query("INSERT", DAILY, [ORDERS, DAILY], None)
    jobs.query("INSERT", EVENTS, [DAILY, EVENTS], None)
    world = warehouse(jobs.made)
    world.datasets = [replace(each, region="US" if each.project == LAKE else each.region) for each in world.datasets]
    world.datasets.append(Dataset(SHOP, "other", "US", SINCE))
    lineage.server.load(world)
    lineage.server.make_unreachable("EU")
    window = ("--since", SINCE.isoformat(), "--until", UNTIL.isoformat())
    lineage.script("lineage", *window, BIGQUERY_REGIONS="EU").check()
    found = Collected.read(lineage.work / "lineage.jsonl")
    assert found.records == [record(EVENTS, [DAILY]), record(DAILY, [ORDERS])]
    assert found.skipped == {UNREACHABLE: 2, NO_TEXT: 2}


def test_a_table_can_be_named_like_a_system_view(lineage: Lineage) -> None:
    saved, copy = (SHOP, "marts", "information_schema_jobs"), (SHOP, "marts", "copy_of_information_schema")
    jobs = Jobs()
    jobs.query("INSERT", saved, [ORDERS, (SHOP, "raw", "INFORMATION_SCHEMA.TABLES")], None)
    jobs.query("INSERT", copy, [saved], None)
    collected = lineage.of(jobs, [relation(saved), relation(copy)])
    assert without_views(collected) == [record(copy, [saved]), record(saved, [ORDERS])]


def test_a_slice_that_is_too_large_is_halved(lineage: Lineage) -> None:
    jobs = Jobs()
    jobs.query("INSERT", DAILY, [ORDERS, DAILY], INSERT_DAILY, after=timedelta(hours=1))
    lineage.server.load(warehouse(jobs.made))
    lineage.server.fail(JOBS, "error", reason="resourcesExceeded", times=2)
    assert without_views(lineage.collect()) == [record(DAILY, [ORDERS], DAILY_COLUMNS)]
    read = []
    for request in lineage.server.requests():
        query = (request["body"] or {}).get("configuration", {}).get("query", {})
        if JOBS in query.get("query", "") and f"`{SHOP}`" in query["query"]:
            values = {each["name"]: parse_utc(each["parameterValue"]["value"]) for each in query["queryParameters"]}
            assert values["created_since"] == values["since"] - timedelta(hours=24)
            read.append((values["since"], values["until"]))
    # A slice with few rows is followed by one of twice its length.
    hours = [(-6, 6), (-6, 0), (-6, -3), (-3, 3), (3, 6)]
    assert read == [(SINCE + timedelta(hours=start), SINCE + timedelta(hours=end)) for start, end in hours]


def test_an_estimate_assumes_slices_of_a_day(lineage: Lineage) -> None:
    """Dry runs return no rows. On a busy account, a run reads day by day, from six hours before its window."""
    lineage.server.load(warehouse())
    lines = lineage.run("--estimate", since=UNTIL - timedelta(days=7)).check().stdout.splitlines()
    assert [line.partition(":")[2] for line in lines if " JOBS:" in line] == 2 * [" 80 MiB, 8 statements"]


def test_an_estimate_runs_only_dry_runs(lineage: Lineage) -> None:
    lineage.server.load(warehouse())
    lines = lineage.run("--estimate").check().stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"{LAKE} {REGION} JOBS",
        f"{LAKE} {REGION} TABLES",
        f"{LAKE} {REGION} VIEWS",
        f"{SHOP} {REGION} JOBS",
        f"{SHOP} {REGION} TABLES",
        f"{SHOP} {REGION} VIEWS",
        "total",
    ]
