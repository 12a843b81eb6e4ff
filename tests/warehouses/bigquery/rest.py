"""The methods of BigQuery's REST API that a collector calls: https://docs.cloud.google.com/bigquery/docs/reference/rest"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.warehouses.bigquery.accounts import Accounts
from tests.warehouses.bigquery.errors import ConnectionGone, Refused, not_found, unauthenticated
from tests.warehouses.bigquery.identities import DENIED, email
from tests.warehouses.bigquery.jobs import Job, Jobs
from tests.warehouses.bigquery.world import MULTI_REGIONS, World, region_name

PAGE = 50  # items of a list, without maxResults
LONGEST_PAGE = 1000
FIRST_PROJECT_NUMBER = 100_000_000_001
# https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables/list: the properties of a listed table
LISTED = (
    "kind",
    "id",
    "tableReference",
    "friendlyName",
    "type",
    "timePartitioning",
    "rangePartitioning",
    "clustering",
    "labels",
    "view",
    "creationTime",
    "expirationTime",
    "requirePartitionFilter",
)
STATISTICS = ("numRows", "numBytes", "numLongTermBytes", "numTotalLogicalBytes", "lastModifiedTime")


@dataclass(frozen=True)
class Request:
    """A request of a client who has signed in as ``principal``."""

    principal: str
    arguments: Mapping[str, str]
    body: dict[str, Any]


Method = Callable[..., dict[str, Any]]
ROUTES: list[tuple[str, re.Pattern[str], Method]] = []


def route(verb: str, path: str) -> Callable[[Method], Method]:
    """Register a method of ``Api``. ``{}`` in the path is a parameter."""
    pattern = re.compile("/bigquery/v2/" + path.replace("{}", "([^/]+)"))

    def register(method: Method) -> Method:
        ROUTES.append((verb, pattern, method))
        return method

    return register


@dataclass
class Api:
    world: World
    jobs: Jobs
    accounts: Accounts
    statements: list[str] = field(default_factory=list)

    def answer(self, verb: str, path: str, request: Request) -> dict[str, Any]:
        """The body of the response. Raises :class:`Refused` or :class:`ConnectionGone`."""
        for known, pattern, method in ROUTES:
            if known == verb and (found := pattern.fullmatch(path)):
                return method(self, request, *map(unquote, found.groups()))
        raise not_found("URL", f"{verb} {path}")

    # --- projects, datasets, tables ---------------------------------------------------------------------

    @route("GET", "projects")
    def list_projects(self, request: Request) -> dict[str, Any]:
        if "projects.list" in self.world.orders.denied:
            self.world.check_method(request.principal, "projects.list", "")
        names = list(self.world.projects) if request.principal != DENIED and not self.world.orders.denies_all else []
        items = [
            {
                "kind": "bigquery#project",
                "id": name,
                "numericId": str(FIRST_PROJECT_NUMBER + place),
                "projectReference": {"projectId": name},
                "friendlyName": name,
            }
            for place, name in enumerate(names)
        ]
        return _page("bigquery#projectList", "projects", items, request.arguments)

    @route("GET", "projects/{}/datasets")
    def list_datasets(self, request: Request, project: str) -> dict[str, Any]:
        self.world.check_method(request.principal, "datasets.list", project)
        found = self.world.listed_datasets(project, request.arguments.get("all", "").lower() == "true")
        keys = ("id", "datasetReference", "labels", "friendlyName", "location", "type")
        unreachable = self.world.orders.unreachable
        reached = [dataset for dataset in found if dataset["location"] not in unreachable]
        items = [{"kind": "bigquery#dataset", **_some(dataset, keys)} for dataset in reached]
        body = _page("bigquery#datasetList", "datasets", items, request.arguments)
        return body | {"unreachable": sorted(unreachable)} if unreachable else body

    @route("GET", "projects/{}/datasets/{}")
    def get_dataset(self, request: Request, project: str, dataset: str) -> dict[str, Any]:
        self.world.check_method(request.principal, "datasets.get", project, dataset)
        return _public(self.world.dataset(project, dataset, "bigquery.datasets.get"))

    @route("GET", "projects/{}/datasets/{}/tables")
    def list_tables(self, request: Request, project: str, dataset: str) -> dict[str, Any]:
        self.world.check_method(request.principal, "tables.list", project, dataset)
        self.world.dataset(project, dataset, "bigquery.tables.list")
        tables = sorted(self.world.project(project).tables.items())
        items = [_some(table, LISTED) for (place, _), table in tables if place == dataset]
        return _page("bigquery#tableList", "tables", items, request.arguments)

    @route("GET", "projects/{}/datasets/{}/tables/{}")
    def get_table(self, request: Request, project: str, dataset: str, table: str) -> dict[str, Any]:
        self.world.check_method(request.principal, "tables.get", project, dataset, table)
        self.world.dataset(project, dataset, "bigquery.tables.get")
        found = self.world.project(project).tables.get((dataset, table))
        if found is None:
            raise not_found("Table", f"{project}:{dataset}.{table}")
        left_out = STATISTICS if request.arguments.get("view") == "BASIC" else ()
        return {key: value for key, value in _public(found).items() if key not in left_out}

    # --- jobs -------------------------------------------------------------------------------------------

    @route("POST", "projects/{}/jobs")
    def insert_job(self, request: Request, project: str) -> dict[str, Any]:
        configuration = request.body["configuration"]
        if "query" not in configuration:
            raise Refused("invalid", "The local server runs query jobs only")
        return self._inserted(request, project, request.body.get("jobReference", {}), configuration).resource()

    @route("POST", "projects/{}/queries")
    def query(self, request: Request, project: str) -> dict[str, Any]:
        body = request.body
        general = ("labels", "dryRun", "jobTimeoutMs")
        configuration = {"query": {key: body[key] for key in body if key not in general}, **_some(body, general)}
        job = self._inserted(request, project, {"location": body.get("location")}, configuration)
        arguments = {key: str(body[key]) for key in ("maxResults", "timeoutMs") if key in body}
        times = body.get("formatOptions", {}).get("useInt64Timestamp")
        return self._broken(self.jobs.results(job, arguments | {"formatOptions.useInt64Timestamp": str(times)}))

    @route("GET", "projects/{}/queries/{}")
    def get_query_results(self, request: Request, project: str, job_id: str) -> dict[str, Any]:
        self.world.project(project)
        job = self.jobs.find(project, job_id, request.arguments.get("location"))
        return self._broken(self.jobs.results(job, request.arguments))

    @route("GET", "projects/{}/jobs/{}")
    def get_job(self, request: Request, project: str, job_id: str) -> dict[str, Any]:
        location = request.arguments.get("location")
        other = self.world.project(project).jobs.get(job_id)
        if other is None:
            return self.jobs.find(project, job_id, location).resource()
        self.world.check_method(request.principal, "jobs.get", project, job_id)
        place = other["jobReference"]["location"]
        is_there = region_name(location) == place if location else place in MULTI_REGIONS
        if not is_there:
            raise not_found("Job", f"{project}:{job_id}")
        return _public(other)

    @route("GET", "projects/{}/jobs")
    def list_jobs(self, request: Request, project: str) -> dict[str, Any]:
        self.world.check_method(request.principal, "jobs.list", project)
        others = map(_public, self.world.project(project).jobs.values())
        items = [*(job.resource() for job in self.jobs.of(project)), *others]
        return _page("bigquery#jobList", "jobs", items, request.arguments)

    @route("POST", "projects/{}/jobs/{}/cancel")
    def cancel_job(self, request: Request, project: str, job_id: str) -> dict[str, Any]:
        job = self.jobs.find(project, job_id, request.arguments.get("location"))
        self.jobs.cancel(job)
        return {"kind": "bigquery#jobCancelResponse", "job": job.resource()}

    def _inserted(
        self, request: Request, project: str, reference: Mapping[str, Any], configuration: dict[str, Any]
    ) -> Job:
        statement = configuration["query"]["query"]
        self.statements.append(statement)
        self.world.project(project)
        self.world.check_method(request.principal, "jobs.insert", project)
        fault = self.world.orders.statement_fault(statement)
        if fault and fault.kind == "connection gone":
            raise ConnectionGone
        if fault and fault.kind == "session ended":
            self.accounts.revoke()
            self.world.orders.is_signed_out = True
            raise unauthenticated()
        return self.jobs.insert(project, reference, configuration, email(request.principal), fault)

    def _broken(self, body: dict[str, Any]) -> dict[str, Any]:
        """The response, or the part of it that is sent before the connection breaks."""
        rows = len(body.get("rows", ()))
        if self.world.orders.sendable(rows) < rows:
            raise ConnectionGone(b'{"rows": [')
        return body


def _page(kind: str, key: str, items: Sequence[Any], arguments: Mapping[str, str]) -> dict[str, Any]:
    start = int(arguments.get("pageToken") or 0)
    end = start + min(int(arguments.get("maxResults") or PAGE), LONGEST_PAGE)
    body: dict[str, Any] = {"kind": kind, key: items[start:end], "totalItems": len(items)}
    return body | {"nextPageToken": str(end)} if end < len(items) else body


def _some(resource: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: resource[key] for key in keys if key in resource}


def _public(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if not key.startswith("_")}
