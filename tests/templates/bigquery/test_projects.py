"""Tests which projects, regions and datasets a run reads, and what it counts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from mcpush.collect.collector import Options
from mcpush.collect.filters import Filters

from tests.collected import Collected
from tests.folder_modules import error_of
from tests.templates.bigquery import world
from tests.templates.bigquery.conftest import Scripts
from tests.templates.bigquery.front import edited, refused
from tests.templates.bigquery.world import CREATED, LAB, SHOP, table
from tests.warehouses.bigquery.truth import Dataset, Warehouse

ONLY_VOLUME = "--only-freshness-and-volume"
LIST = r"^GET .*/datasets$"
INSERT = "^POST .*/jobs$"
MISSING = "mc-no-such-project"
UNREADABLE_PROJECT = "database or project missing, dropped during the run, or not accessible"
NO_DATASETS = "project in which no dataset is visible: it is empty, or this principal has no grants"
UNREADABLE_DATASET = "schema not readable"
UNREADABLE_DATASETS = "datasets of a project not listed (datasets.list)"
UNREACHABLE = "location that BigQuery could not reach: its datasets are missing"
FEDERATED = "federated dataset: its tables are not collected"


def with_dataset(dataset: Dataset, *tables: str) -> Warehouse:
    """The small world with another dataset."""
    found = world.small()
    found.datasets.append(dataset)
    found.relations += [table(dataset, name, 101 + number) for number, name in enumerate(tables)]
    return found


def places(scripts: Scripts) -> set[tuple[str, str]]:
    """(location, qualifier) of all statements."""
    jobs = [request.json for request in scripts.front.matching(INSERT)]
    return {
        (job["jobReference"].get("location", ""), scope.strip("`"))
        for job in jobs
        for scope in [job["configuration"]["query"]["query"].partition("INFORMATION_SCHEMA")[0].split(".")[-2]]
    }


# --- projects --------------------------------------------------------------------------------------------------------


def test_a_project_that_does_not_exist_is_counted(scripts: Scripts) -> None:
    run = scripts.collect(BIGQUERY_PROJECTS=f"{MISSING},{LAB}").check()
    assert scripts.names() == [f"{LAB}.probes.samples"]
    assert run.summary["skipped"] == {UNREADABLE_PROJECT: 1}
    assert run.summary["skipped_examples"] == {UNREADABLE_PROJECT: f"{MISSING}: Not found: Project {MISSING}"}


def test_a_run_of_which_no_project_exists_is_refused_with_the_variable(scripts: Scripts) -> None:
    run = scripts.collect(BIGQUERY_PROJECTS=f"{MISSING},{MISSING}-2").check(3)
    assert f"Not found: Project {MISSING}-2" in error_of(run)["message"]
    assert "BIGQUERY_PROJECTS" in error_of(run)["remedy"]
    assert "Required permissions" in error_of(run)["remedy"]
    assert list(scripts.work.iterdir()) == []


def test_a_project_in_which_the_api_is_disabled_is_counted(scripts: Scripts) -> None:
    said = "BigQuery API has not been used in project 1 before or it is disabled."
    scripts.front.answer(f"/projects/{SHOP}/datasets$", refused(403, "accessNotConfigured", said))
    run = scripts.collect().check()
    assert scripts.names() == [f"{LAB}.probes.samples"]
    assert run.summary["skipped_examples"] == {UNREADABLE_PROJECT: f"{SHOP}: {said}"}


def test_a_project_without_datasets_is_counted(scripts: Scripts) -> None:
    scripts.server.load(replace(world.small(), projects=[SHOP, LAB, "mc-empty"]))
    run = scripts.collect(BIGQUERY_PROJECTS=f"mc-empty,{LAB}").check()
    assert scripts.names() == [f"{LAB}.probes.samples"]
    assert run.summary["skipped_examples"] == {NO_DATASETS: "mc-empty"}


def test_a_principal_without_any_grant_is_refused(scripts: Scripts) -> None:
    """datasets.list returns an empty list, and no error, to everyone."""
    scripts.server.empty([SHOP])
    scripts.server.deny("jobs.insert")
    run = scripts.collect(BIGQUERY_PROJECTS=SHOP).check(3)
    assert "bigquery.jobs.create" in error_of(run)["message"]


@pytest.mark.parametrize(("regions", "location"), [("", None), ("europe-west3,EU", "europe-west3")])
def test_an_empty_warehouse_is_collected(scripts: Scripts, regions: str, location: str | None) -> None:
    """Only a dry run asks whether jobs may run at all; it runs in a region of the configuration."""
    scripts.server.empty([SHOP])
    run = scripts.collect(BIGQUERY_PROJECTS=SHOP, BIGQUERY_REGIONS=regions).check()
    assert run.summary["records"] == 0
    assert run.summary["skipped"] == {NO_DATASETS: 1}
    (job,) = [request.json for request in scripts.front.matching(INSERT)]
    assert job["configuration"]["dryRun"] is True
    assert job["jobReference"].get("location") == location


def test_a_project_that_the_filters_exclude_is_not_asked(scripts: Scripts) -> None:
    scripts.collect("--include", f"{LAB}.*").check()
    assert scripts.names() == [f"{LAB}.probes.samples"]
    assert [request.path.split("/")[-2] for request in scripts.front.matching(LIST)] == [LAB]


# --- regions ---------------------------------------------------------------------------------------------------------


def test_only_regions_with_a_dataset_are_read(scripts: Scripts) -> None:
    scripts.collect().check()
    assert places(scripts) == {("EU", "region-eu"), ("europe-west3", "region-europe-west3")}


def test_a_configured_region_without_a_dataset_causes_a_warning(scripts: Scripts) -> None:
    run = scripts.collect(BIGQUERY_REGIONS="US, europe-west3").check()
    assert "warning: BIGQUERY_REGIONS has US, where no dataset is visible" in run.said
    assert "europe-west3, where" not in run.said
    assert sorted(scripts.names()) == sorted(world.ALL_TABLES)


def test_an_unreachable_location_is_counted(scripts: Scripts) -> None:
    scripts.front.answer(f"/projects/{SHOP}/datasets$", edited(lambda body: body.update(unreachable=["asia-east1"])))
    run = scripts.collect().check()
    assert run.summary["skipped_examples"] == {UNREACHABLE: f"{SHOP} asia-east1"}


def test_thousands_of_datasets_are_listed_in_pages(scripts: Scripts) -> None:
    many = world.small()
    many.datasets = [Dataset(LAB, f"d{number:04}", "EU", CREATED) for number in range(5000)]
    many.relations = [table(many.datasets[4999], "last", 3), table(many.datasets[0], "first", 5)]
    scripts.server.load(many)
    run = scripts.collect(BIGQUERY_PROJECTS=LAB).check()
    assert scripts.names() == [f"{LAB}.d0000.first", f"{LAB}.d4999.last"]
    pages = scripts.front.matching(LIST)
    assert [page.arguments["maxResults"] for page in pages] == 5 * [["1000"]]
    assert len({str(page.arguments.get("pageToken")) for page in pages}) == 5
    assert len(scripts.front.requests) < 40, "no request for each dataset"
    assert run.summary["skipped"] == {}


# --- datasets --------------------------------------------------------------------------------------------------------


def test_a_hidden_dataset_is_not_read(scripts: Scripts) -> None:
    scripts.server.load(with_dataset(Dataset(LAB, "_cache", "EU", CREATED), "secret"))
    scripts.collect(BIGQUERY_PROJECTS=LAB).check()
    assert scripts.names() == [f"{LAB}.probes.samples"]


def test_a_linked_dataset_is_read_by_its_name(scripts: Scripts) -> None:
    linked = Dataset(LAB, "shared_sales", "EU", CREATED, linked_to=(SHOP, "sales"))
    scripts.server.load(with_dataset(linked))
    scripts.collect(BIGQUERY_PROJECTS=LAB).check()
    names = [f"{LAB}.probes.samples", f"{LAB}.shared_sales.items", f"{LAB}.shared_sales.orders"]
    assert scripts.names() == names
    assert places(scripts) == {("EU", "region-eu"), ("EU", "shared_sales")}


@pytest.mark.parametrize("denied", [(), ("region INFORMATION_SCHEMA.TABLES",)], ids=["by region", "by dataset"])
def test_a_federated_dataset_is_counted(scripts: Scripts, denied: tuple[str, ...]) -> None:
    scripts.server.load(with_dataset(Dataset(LAB, "glue", "EU", CREATED, external=True)))
    scripts.server.deny(*denied)
    run = scripts.collect(BIGQUERY_PROJECTS=LAB).check()
    assert scripts.names() == [f"{LAB}.probes.samples"]
    assert run.summary["skipped_examples"][FEDERATED] == f"{LAB}.glue"
    assert run.summary["skipped"][FEDERATED] == 1


def test_a_region_without_access_is_read_dataset_by_dataset(scripts: Scripts) -> None:
    """For principals with grants on datasets only."""
    scripts.collect().check()
    before = records(scripts)
    scripts.server.deny(*[f"region INFORMATION_SCHEMA.{view}" for view in ("TABLES", "COLUMNS", "VIEWS")])
    run = scripts.collect().check()
    assert records(scripts) == before
    assert set(run.summary["skipped"]) == {"TABLE_STORAGE not readable: volume and freshness come from tables.get"}
    assert ("EU", "sales") in places(scripts)


@pytest.mark.parametrize("reason", ["notImplemented", "invalidQuery"])
def test_a_region_that_does_not_support_the_views_does_not_end_the_run(scripts: Scripts, reason: str) -> None:
    scripts.server.fail(f"`{SHOP}`.`region-eu`.INFORMATION_SCHEMA.TABLES ", "error", reason=reason, message="not here")
    scripts.server.fail(f"`{SHOP}`.`sales`.INFORMATION_SCHEMA.TABLES ", "error", reason=reason, message="not here")
    run = scripts.collect().check()
    assert f"{LAB}.probes.samples" in scripts.names()
    assert f"{SHOP}.stock.shelves" in scripts.names()
    assert run.summary["skipped"]["schema not readable"] == 1
    assert run.summary["skipped_examples"]["schema not readable"] == f"{SHOP}.sales: not here"


def records(scripts: Scripts) -> list[dict[str, Any]]:
    found = Collected.read(scripts.work / "metadata.jsonl").records
    return sorted(found, key=lambda record: (record["database"], record["schema"], record["name"]))


def test_a_dataset_without_access_is_counted(scripts: Scripts) -> None:
    locked = Dataset(LAB, "locked", "EU", CREATED, may="dataset")
    scripts.server.load(with_dataset(locked, "vault"))
    scripts.server.deny("region INFORMATION_SCHEMA.TABLES")
    run = scripts.collect(BIGQUERY_PROJECTS=LAB).check()
    assert scripts.names() == [f"{LAB}.probes.samples"]
    assert run.summary["skipped"][UNREADABLE_DATASET] == 1
    assert run.summary["skipped_examples"][UNREADABLE_DATASET].startswith(f"{LAB}.locked: Access Denied: ")


def test_a_run_that_may_read_no_dataset_is_refused(scripts: Scripts) -> None:
    scripts.server.deny("INFORMATION_SCHEMA.TABLES")
    run = scripts.collect().check(3)
    assert "Cannot read the tables of any project" in error_of(run)["message"]
    assert "Required permissions" in error_of(run)["remedy"]
    assert list(scripts.work.iterdir()) == []


def test_a_project_of_which_one_region_is_readable_is_not_refused(scripts: Scripts) -> None:
    scripts.server.deny(f"{SHOP}.region-eu.INFORMATION_SCHEMA.TABLES", f"{SHOP}.sales.INFORMATION_SCHEMA.TABLES")
    run = scripts.collect(BIGQUERY_PROJECTS=SHOP).check()
    assert scripts.names() == [f"{SHOP}.stock.shelves"]
    assert run.summary["skipped"][UNREADABLE_DATASET] == 1


# --- places of jobs, and the time -----------------------------------------------------------------------------------


@pytest.fixture
def options() -> Options:
    return Options(Filters(), argparse.Namespace())


@contextmanager
def warehouse(scripts: Scripts, **changes: str) -> Iterator[Any]:
    """The connection of a run, as lineage and query logs get it."""
    with scripts.monkeypatch.context() as patch:
        for name, value in (scripts.environment | changes).items():
            patch.setenv(name, value)
        with scripts.modules["connection"].connect() as found:
            yield found


def test_jobs_are_read_in_every_region_of_every_project(scripts: Scripts, options: Options) -> None:
    """A project without datasets can query the data of another."""
    scripts.server.load(replace(world.small(), projects=[SHOP, LAB, "mc-empty"]))
    with warehouse(scripts, BIGQUERY_PROJECTS=f"mc-empty,{LAB},{SHOP}", BIGQUERY_REGIONS="us,EU") as found:
        places = scripts.modules["projects"].job_places(found, options)
    regions = ("EU", "US", "europe-west3")
    assert places == [(project, region, None) for project in ("mc-empty", LAB, SHOP) for region in regions]
    assert options.skipped == {}


def test_jobs_of_a_project_that_cannot_be_listed_are_read(scripts: Scripts, options: Options) -> None:
    scripts.server.deny(f"datasets.list {SHOP}")
    with warehouse(scripts) as found:
        places = scripts.modules["projects"].job_places(found, options)
        assert scripts.modules["projects"].job_places(found, options) == places
    assert places == [(SHOP, "EU", None), (LAB, "EU", None)]
    assert options.skipped == {UNREADABLE_DATASETS: 1}
    assert options.skipped_examples[UNREADABLE_DATASETS].startswith(f"{SHOP}: Access Denied")


def test_only_selected_projects_have_places_and_all_have_regions(scripts: Scripts) -> None:
    options = Options(Filters([f"{LAB}.*"]), argparse.Namespace())
    with warehouse(scripts) as found:
        assert scripts.modules["projects"].job_places(found, options) == [
            (LAB, "EU", None),
            (LAB, "europe-west3", None),
        ]


@pytest.mark.parametrize(("projects", "code"), [(f"{MISSING},{MISSING}-2", 2), (SHOP, 3)])
def test_projects_that_all_cannot_be_listed_are_refused(
    scripts: Scripts, options: Options, projects: str, code: int
) -> None:
    scripts.server.deny(f"datasets.list {SHOP}")
    with warehouse(scripts, BIGQUERY_PROJECTS=projects) as found:
        with pytest.raises(GoogleAPICallError) as raised:
            scripts.modules["projects"].job_places(found, options)
        assert scripts.modules["connection"].explain(raised.value).exit_code == code
    with warehouse(scripts, BIGQUERY_PROJECTS=projects, BIGQUERY_REGIONS="EU") as found:
        places = scripts.modules["projects"].job_places(found, options)
    assert places == [(project, "EU", None) for project in projects.split(",")]


def test_the_time_is_bigquerys(scripts: Scripts, options: Options) -> None:
    scripts.server.set_clock(timedelta(hours=3))
    with warehouse(scripts) as found:
        time = scripts.modules["projects"].clock(found, options)
    assert timedelta(hours=2) < time - datetime.now(timezone.utc) < timedelta(hours=4)
    (job,) = [request.json for request in scripts.front.matching(INSERT)]
    assert job["jobReference"]["location"] == "EU"
    assert job["configuration"]["query"]["query"] == scripts.modules["projects"].CLOCK_SQL


def test_a_time_that_is_not_readable_is_counted(scripts: Scripts, options: Options) -> None:
    scripts.server.fail("CURRENT_TIMESTAMP", "error", reason="invalidQuery", message="no time")
    with warehouse(scripts) as found:
        assert scripts.modules["projects"].clock(found, options) is None
    assert list(options.skipped_examples.values()) == ["no time"]


def test_the_time_of_an_empty_warehouse_is_that_of_this_machine(scripts: Scripts, options: Options) -> None:
    scripts.server.empty([SHOP])
    scripts.server.set_clock(timedelta(hours=3))
    with warehouse(scripts, BIGQUERY_PROJECTS=SHOP) as found:
        time = scripts.modules["projects"].clock(found, options)
    assert abs(time - datetime.now(timezone.utc)) < timedelta(hours=1)
    assert {request.json["configuration"]["dryRun"] for request in scripts.front.matching(INSERT)} == {True}


# --- --estimate ------------------------------------------------------------------------------------------------------


def test_an_estimate_only_dry_runs_the_statements_of_a_run(scripts: Scripts) -> None:
    scripts.collect().check()
    ran = sorted(statements(scripts))
    scripts.front.forget()
    run = scripts.collect("--estimate").check()
    assert sorted(statements(scripts)) == ran
    assert {request.json["configuration"]["dryRun"] for request in scripts.front.matching(INSERT)} == {True}
    lines = run.stdout.splitlines()
    assert lines[-1].startswith("total: ")
    places = (f"{SHOP} EU ", f"{SHOP} europe-west3 ", f"{LAB} EU ")
    assert all(line.startswith(places) for line in lines[:-1])


def statements(scripts: Scripts) -> list[str]:
    return [request.json["configuration"]["query"]["query"] for request in scripts.front.matching(INSERT)]


def test_an_estimate_leaves_the_manifest_as_it_is(scripts: Scripts) -> None:
    scripts.collect("--estimate").check()
    assert list(scripts.work.iterdir()) == []


def test_an_estimate_without_access_is_refused(scripts: Scripts) -> None:
    scripts.server.deny("INFORMATION_SCHEMA.TABLES")
    run = scripts.collect("--estimate")
    assert run.exit_code == 3
    assert run.stdout == ""
