# Shared by the BigQuery folders; the source is scripts/templates/_shared/bigquery/projects.py.
"""Finds the datasets of the projects and the regions they are in, and BigQuery's time.

The regions decide what a run reads: a view of the wrong region is empty, without an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import NamedTuple

from connection import Dataset, Place, Warehouse, is_statement_error, is_unreadable
from error_table import GRANTS, PROJECTS, message
from mcpush.collect.catalog import read_or_skip
from mcpush.collect.clock import NO_CLOCK
from mcpush.collect.collector import Options
from mcpush.console import log
from mcpush.errors import RefusedError
from mcpush.interrupts import interruptible
from query_job import HTTP_TIMEOUT
from variables import canonical_location

# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#current_timestamp
CLOCK_SQL = "SELECT CURRENT_TIMESTAMP() AS warehouse_time"

PAGE_SIZE = 1000  # datasets; BigQuery can return fewer

NO_DATASETS = "project in which no dataset is visible: it is empty, or this principal has no grants"
UNREACHABLE = "location that BigQuery could not reach: its datasets are missing"
UNREADABLE_DATASETS = "datasets of a project not listed (datasets.list)"


class ClockRow(NamedTuple):
    """A row of CLOCK_SQL."""

    warehouse_time: datetime


def datasets(warehouse: Warehouse, options: Options, project: str) -> list[Dataset]:
    """The datasets of a project, sorted by location and name. Lists each project once per run.

    https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/datasets/list
    """
    found = warehouse.listings.get(project)
    if found is None:
        found = sorted(_listed(warehouse, options, project), key=lambda dataset: (dataset.location, dataset.name))
        warehouse.listings[project] = found
    return found


def _listed(warehouse: Warehouse, options: Options, project: str) -> Iterator[Dataset]:
    found = warehouse.client.list_datasets(project, retry=warehouse.retry, timeout=HTTP_TIMEOUT, page_size=PAGE_SIZE)
    pages = found.pages
    while True:
        with interruptible():
            page = next(pages, None)
        if page is None:
            return
        for location in page.raw_page.get("unreachable", ()):
            options.skip(UNREACHABLE, f"{project} {location}")
        for item in page.raw_page.get("datasets", ()):  # the client's objects lack location and type
            name = item["datasetReference"]["datasetId"]
            yield Dataset(project, name, canonical_location(item["location"]), item.get("type", ""))


def selected_projects(warehouse: Warehouse, options: Options) -> list[str]:
    """The projects that can have what the filters select."""
    return [project for project in warehouse.projects if options.filters.may_hold(project)]


def check_places(warehouse: Warehouse, projects: list[str]) -> None:
    """Call it after the projects were listed. Warns about regions of BIGQUERY_REGIONS without a visible dataset.

    Raises BigQuery's error if no dataset is visible in any of them, and this principal cannot run jobs either.
    """
    locations = {dataset.location for project in projects for dataset in warehouse.listings.get(project) or ()}
    for region in sorted(set(warehouse.regions) - locations):
        log.warning("warning: BIGQUERY_REGIONS has %s, where no dataset is visible", region)
    if projects and not locations:
        warehouse.estimate(CLOCK_SQL, None, {})


def refusal(what: str, messages: list[str]) -> RefusedError:
    """The error of a run that could read nothing: ``what`` is not readable in any place."""
    return RefusedError(f"Cannot read {what}; {messages[-1]}", f"{PROJECTS} {GRANTS}")


# --- places of jobs --------------------------------------------------------------------------------------


def job_places(warehouse: Warehouse, options: Options) -> list[Place]:
    """Every project in every region, because a job can run where another project has its data.

    Regions are those of all datasets of all projects, and those of BIGQUERY_REGIONS. Raises BigQuery's error if there
    are none because no project can be listed.
    """
    listed = [_if_listed(warehouse, options, project) for project in warehouse.projects]
    found = {dataset.location for each in listed for dataset in each or ()}
    locations = sorted(found | set(warehouse.regions))
    if not locations and all(each is None for each in listed):
        datasets(warehouse, options, warehouse.projects[-1])
    return [Place(project, location) for project in warehouse.projects for location in locations]


def _if_listed(warehouse: Warehouse, options: Options, project: str) -> list[Dataset] | None:
    """The datasets of a project; None, counted once, if they cannot be listed: its jobs can still be readable."""

    def describe(error: BaseException) -> str:
        return f"{project}: {message(error)}"

    if project not in warehouse.listings:
        warehouse.listings[project] = read_or_skip(
            options, UNREADABLE_DATASETS, lambda: datasets(warehouse, options, project), is_unreadable, describe
        )
    return warehouse.listings[project]


# --- time ------------------------------------------------------------------------------------------------


def clock(warehouse: Warehouse, options: Options) -> datetime | None:
    """The time of BigQuery, by which windows end; counts it and returns None if it is not readable.

    Reads it in a region that the run reads anyway. Without one, nothing will be read, and this machine's time suffices.
    """
    places = job_places(warehouse, options)
    check_places(warehouse, warehouse.projects)
    if not places:
        return datetime.now(timezone.utc)
    rows = read_or_skip(
        options, NO_CLOCK, lambda: list(warehouse.rows(ClockRow, CLOCK_SQL, places[0])), is_statement_error, message
    )
    return rows[0].warehouse_time if rows else None
