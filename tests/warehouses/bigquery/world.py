"""The resources of the warehouse, who may read them, and what the names in a statement refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.warehouses.bigquery import errors
from tests.warehouses.bigquery.catalog import PREFIX, Catalog, View
from tests.warehouses.bigquery.errors import Refused
from tests.warehouses.bigquery.faults import Orders
from tests.warehouses.bigquery.identities import DENIED
from tests.warehouses.bigquery.storage import Storage, quoted
from tests.warehouses.bigquery.translation import Source

Resource = dict[str, Any]
DEFAULT_REGION = "US"
MULTI_REGIONS = ("US", "EU")
# Regions of BigQuery Omni: https://docs.cloud.google.com/bigquery/docs/omni-introduction#limitations
OMNI_PREFIXES = ("aws-", "azure-")
STORAGE_VIEW = f"{PREFIX}TABLE_STORAGE"
JOBS_VIEW = f"{PREFIX}JOBS"
# https://docs.cloud.google.com/bigquery/docs/information-schema-jobs: both names mean the same view.
SYNONYMS = {f"{PREFIX}JOBS_BY_PROJECT": JOBS_VIEW}
# The permission in the error message of each method.
PERMISSIONS = {
    "projects.list": "resourcemanager.projects.get",
    "datasets.list": "bigquery.datasets.get",
    "datasets.get": "bigquery.datasets.get",
    "tables.list": "bigquery.tables.list",
    "tables.get": "bigquery.tables.get",
    "jobs.insert": "bigquery.jobs.create",
    "jobs.get": "bigquery.jobs.get",
    "jobs.list": "bigquery.jobs.list",
}


def region_name(text: str) -> str:
    """A region as BigQuery writes it: multi-regions in capitals."""
    return text.upper() if text.upper() in MULTI_REGIONS else text.lower()


@dataclass
class Project:
    """The resources of a project by name. Keys with an underscore are not part of a resource: ``_may`` of a dataset is
    "everything", "dataset" (not its tables) or "nothing".
    """

    datasets: dict[str, Resource] = field(default_factory=dict)
    tables: dict[tuple[str, str], Resource] = field(default_factory=dict)
    jobs: dict[str, Resource] = field(default_factory=dict)


@dataclass
class World:
    catalog: Catalog
    storage: Storage
    orders: Orders
    projects: dict[str, Project] = field(default_factory=dict)

    # --- filling ----------------------------------------------------------------------------------------

    def empty(self, projects: Sequence[str]) -> None:
        """Delete everything. The named projects exist and are empty."""
        self.storage.empty()
        self.projects = {name: Project() for name in projects}

    def add(self, project: str, resources: Mapping[str, list[Resource]]) -> None:
        """Add datasets, tables and jobs to a project."""
        target = self.projects.setdefault(project, Project())
        for dataset in resources.get("datasets", []):
            target.datasets[dataset["datasetReference"]["datasetId"]] = dataset
        for table in resources.get("tables", []):
            reference = table["tableReference"]
            target.tables[reference["datasetId"], reference["tableId"]] = table
        for job in resources.get("jobs", []):
            target.jobs[job["jobReference"]["jobId"]] = job

    # --- resources --------------------------------------------------------------------------------------

    def project(self, name: str) -> Project:
        if name not in self.projects:
            raise errors.not_found("Project", name)
        return self.projects[name]

    def dataset(self, project: str, name: str, permission: str) -> Resource:
        """A dataset on which the caller has the permission."""
        found = self.project(project).datasets.get(name)
        if found is None:
            raise errors.not_found("Dataset", f"{project}:{name}")
        may = found["_may"]
        if may == "nothing" or (may == "dataset" and permission.startswith("bigquery.tables.")):
            raise errors.denied_on_dataset(project, name, permission)
        return found

    def listed_datasets(self, project: str, with_hidden: bool) -> list[Resource]:
        """The datasets that datasets.list returns: those that the caller may get."""
        return [
            dataset
            for name, dataset in self.project(project).datasets.items()
            if dataset["_may"] != "nothing" and (with_hidden or not name.startswith("_"))
        ]

    # --- rights -----------------------------------------------------------------------------------------

    def check_method(self, principal: str, method: str, project: str, *names: str) -> None:
        """Raise :class:`Refused` if the caller may not use a method on this project, dataset or table."""
        on_what = ".".join((project, *names))
        is_denied = not self.orders.denied.isdisjoint({method, f"{method} {project}", f"{method} {on_what}"})
        if is_denied or self._may_nothing(principal):
            raise errors.denied_on_project(project, PERMISSIONS[method])

    def _may_nothing(self, principal: str) -> bool:
        return principal == DENIED or self.orders.denies_all

    def _is_denied(self, view: str, project: str, qualifier: str) -> bool:
        kind = "region" if qualifier.startswith("region-") else "dataset"
        names = {view, f"{kind} {view}", f"{project}.{qualifier}.{view}", f"{project}.{view}"}
        return not self.orders.denied.isdisjoint(names)

    # --- names in SQL -----------------------------------------------------------------------------------

    def resolve(self, parts: Sequence[str], project: str, location: str | None) -> Source:
        """What a name in a statement refers to. ``project`` and ``location`` are the job's."""
        if parts[-1].upper().startswith(PREFIX):
            return self._view(parts, project, location)
        if len(parts) < 2:
            raise Refused("invalid", f'Table "{parts[-1]}" must be qualified with a dataset (e.g. dataset.table).')
        return self._table([project, *parts][-3:], location)

    def _table(self, path: Sequence[str], location: str | None) -> Source:
        project, dataset, name = path
        region = self._dataset_of_statement(project, dataset, location)["location"]
        if (dataset, name) not in self.project(project).tables:
            raise errors.not_found("Table", f"{project}:{dataset}.{name}", location or region)
        if ".".join(path) in self.orders.denied:
            raise errors.denied_on_table(f"{project}:{dataset}.{name}", location or region)
        return Source(f"SELECT * FROM {self.storage.data(path)}", region)

    def _view(self, parts: Sequence[str], default: str, location: str | None) -> Source:
        name = SYNONYMS.get(parts[-1], parts[-1])
        view = self.catalog.views.get(name)
        if view is None:  # names of views are case-sensitive
            raise errors.not_found("Table", f"{'.'.join(parts[:-1])}.{parts[-1]}", location)
        project = parts[0] if len(parts) == 3 else default
        qualifier = parts[-2] if len(parts) > 1 else f"region-{DEFAULT_REGION.lower()}"
        self.project(project)
        if len(parts) == 1 and not name.startswith(f"{PREFIX}SCHEMATA"):
            raise Refused("invalidQuery", f"{name} must be qualified with a dataset or a region")
        if qualifier.lower().startswith("region-"):
            return self._of_region(view, project, region_name(qualifier[len("region-") :]))
        return self._of_dataset(view, project, qualifier, location)

    def _of_region(self, view: View, project: str, region: str) -> Source:
        if self._is_denied(view.name, project, f"region-{region.lower()}"):
            raise errors.denied_on_table(f"{project}:region-{region.lower()}.{view.name}", region)
        if view.name == STORAGE_VIEW:
            self._check_storage(project, region)
        unreadable = [name for name, each in self.project(project).datasets.items() if each["_may"] != "everything"]
        conditions = [f"_project = {_text(project)}", f"_region = {_text(region)}", "_regional"]
        if unreadable:
            conditions.append(f"(_dataset IS NULL OR _dataset NOT IN ({', '.join(map(_text, unreadable))}))")
        return Source(self._select(view, conditions), region, view.name)

    def _of_dataset(self, view: View, project: str, dataset: str, location: str | None) -> Source:
        if not view.has_dataset_scope:
            raise Refused("invalidQuery", f"{view.name} must be qualified with a region, not with a dataset")
        found = self._dataset_of_statement(project, dataset, location)
        if found.get("type") == "EXTERNAL":
            raise Refused(
                "invalidQuery", f"{PREFIX[:-1]} is not supported for the external dataset {project}:{dataset}"
            )
        if self._is_denied(view.name, project, dataset):
            raise errors.denied_on_dataset(project, dataset, "bigquery.tables.list")
        conditions = [f"_project = {_text(project)}", f"_dataset = {_text(dataset)}"]
        return Source(self._select(view, conditions), found["location"], view.name)

    def _dataset_of_statement(self, project: str, dataset: str, location: str | None) -> Resource:
        """A dataset in a statement. A dataset in another location than the job is not found."""
        found = self.project(project).datasets.get(dataset)
        if found is None or location not in (None, found["location"]):
            raise errors.not_found("Dataset", f"{project}:{dataset}", location or DEFAULT_REGION)
        return self.dataset(project, dataset, "bigquery.tables.list")

    def _check_storage(self, project: str, region: str) -> None:
        if not self.orders.storage_is_on:
            raise errors.storage_off(project, region)
        if region.startswith(OMNI_PREFIXES):
            raise Refused("invalidQuery", f"{STORAGE_VIEW} is not available in {region}")

    def _select(self, view: View, conditions: Sequence[str]) -> str:
        columns = ", ".join(map(quoted, view.columns))
        return f"SELECT {columns} FROM {self.storage.facts(view.name)} WHERE {' AND '.join(conditions)}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
