"""A small warehouse for the tests of lineage, jobs with the columns that BigQuery gives them, and expected records.

It is a fixture: what it contains is not evidence about BigQuery, whose pages are in catalog.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.collected import Collected, Record
from tests.script_process import Run, copy_folder, run_script
from tests.templates.bigquery.copied_folder import changed
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.truth import Column, Dataset, Job, Relation, Warehouse
from tests.warehouses.bigquery.truth import Path as Name

SHOP, LAKE = "acme-shop", "acme-lake-2"
PROJECTS = (SHOP, LAKE)
REGION = "EU"
SINCE = (datetime.now(timezone.utc) - timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
UNTIL = SINCE + timedelta(hours=6)

ORDERS, ITEMS = (SHOP, "raw", "orders"), (SHOP, "raw", "order items é")
EVENTS = (LAKE, "web", "events")
DAILY, TOTALS = (SHOP, "marts", "daily"), (SHOP, "marts", "totals")
RECENT, LATEST = (SHOP, "marts", "recent_orders"), (SHOP, "marts", "latest")  # a view, and a view of that view
COLUMNS: Mapping[Name, Sequence[str]] = {
    ORDERS: ("order_id", "amount"),
    ITEMS: ("order_id", "price"),
    EVENTS: ("event_id", "page"),
    DAILY: ("day", "total"),
    TOTALS: ("total", "number"),
    RECENT: ("order_id", "paid"),
    LATEST: ("order_id", "last_paid"),
}
VIEWS = {
    RECENT: "SELECT order_id, amount AS paid FROM `acme-shop`.raw.orders",
    LATEST: "SELECT order_id, paid AS last_paid FROM marts.recent_orders",  # the project is the view's
}


def warehouse(jobs: Sequence[Job] = (), relations: Sequence[Relation] = ()) -> Warehouse:
    created = SINCE - timedelta(days=400)
    found = [relation(name) for name in COLUMNS if name not in VIEWS]
    found += [relation(name, kind="VIEW", definition=text) for name, text in VIEWS.items()]
    datasets = [Dataset(SHOP, "raw", REGION, created), Dataset(SHOP, "marts", REGION, created)]
    datasets.append(Dataset(LAKE, "web", REGION, created))
    return Warehouse(PROJECTS, datasets, [*found, *relations], list(jobs))


def relation(name: Name, **more: Any) -> Relation:
    columns = tuple(Column(each, "INT64") for each in COLUMNS.get(name, ("a", "b")))
    return Relation(*name, columns=columns, created=SINCE - timedelta(days=300), **more)


# --- jobs ------------------------------------------------------------------------------------------------


@dataclass
class Jobs:
    """Creates jobs, one minute after the other from the start of the window."""

    made: list[Job] = field(default_factory=list)
    project: str = SHOP
    region: str = REGION

    def query(
        self,
        kind: str | None,
        target: Name | None,
        read: Sequence[Name],
        text: str | None = None,
        *,
        after: timedelta | None = None,
        **more: Any,
    ) -> str:
        """A query job that ended ``after`` the start of the window. Returns its id."""
        row = {"statement_type": kind, "referenced_tables": [reference(each) for each in read], "query": text}
        return self._add("QUERY", row | ({"destination_table": reference(target)} if target else {}) | more, after)

    def transfer(self, kind: str, configuration: Mapping[str, Any], *, after: timedelta | None = None) -> str:
        """A LOAD, COPY or EXTRACT job, whose tables and files only its resource has."""
        target = configuration.get("destinationTable")
        names = dict(zip(reference((SHOP, "", "")), target.values(), strict=True)) if target else None
        job_id = self._add(kind, {"referenced_tables": [], "destination_table": names}, after)
        place = {"projectId": self.project, "jobId": job_id, "location": self.region}
        configured = {"jobType": kind, kind.lower(): configuration}
        resource = {"jobReference": place, "status": {"state": "DONE"}, "configuration": configured, "statistics": {}}
        self.made[-1] = replace(self.made[-1], resource=resource)
        return job_id

    def _add(self, kind: str, row: Mapping[str, Any], after: timedelta | None) -> str:
        number = len(self.made) + 1
        ended = SINCE + (timedelta(minutes=number) if after is None else after)
        job_id = f"job-{999 - number}"  # the order of the ids is not that of the times
        times = {"creation_time": ended - timedelta(seconds=50), "end_time": ended}
        common = {"project_id": self.project, "job_id": job_id, "job_type": kind, "state": "DONE", "cache_hit": False}
        self.made.append(Job(self.region, {**common, **times, **row}))
        return job_id


def reference(name: Name) -> dict[str, str]:
    return dict(zip(("project_id", "dataset_id", "table_id"), name, strict=True))


def resource(name: Name) -> dict[str, str]:
    """A table reference of the REST API."""
    return dict(zip(("projectId", "datasetId", "tableId"), name, strict=True))


# --- running ---------------------------------------------------------------------------------------------


@dataclass
class Lineage:
    """Runs the folder's scripts. Loading a warehouse also undoes all orders to the server."""

    server: BigQueryServer
    folder: Path
    work: Path

    def script(self, flow: str, *arguments: str, **changes: str) -> Run:
        command = ("--manifest", str(self.work / f"{flow}.jsonl"), *arguments)
        environment = {**self.server.environment(PROJECTS), **changes}
        return run_script(self.folder, f"collect_{flow}.py", *command, env=environment)

    def run(self, *arguments: str, since: datetime = SINCE, until: datetime = UNTIL) -> Run:
        return self.script("lineage", "--since", since.isoformat(), "--until", until.isoformat(), *arguments)

    def collect(self, *arguments: str, since: datetime = SINCE, until: datetime = UNTIL) -> Collected:
        """Run the script, which must succeed, and read its manifest."""
        run = self.run(*arguments, since=since, until=until).check()
        collected = Collected.read(self.work / "lineage.jsonl")
        assert run.summary["skipped"] == collected.skipped
        return collected

    def changed(self, module: str, old: str, new: str) -> AbstractContextManager[None]:
        return changed(self.folder, module, old, new)

    def of(self, jobs: Jobs, relations: Sequence[Relation] = (), *arguments: str) -> Collected:
        """Load the warehouse with these jobs and relations, and collect from it."""
        self.server.load(warehouse(jobs.made, relations))
        return self.collect(*arguments)


@contextmanager
def started(work: Path) -> Iterator[Lineage]:
    """A server, and a copy of the template folder in ``work``."""
    folder = copy_folder("bigquery", work / "my-push")
    with BigQueryServer() as server:
        yield Lineage(server, folder, work)


# --- records ---------------------------------------------------------------------------------------------


def record(
    target: Any, sources: Sequence[Any], columns: Mapping[str, Sequence[Any]] | None = None, **more: Any
) -> Record:
    """A record of the manifest. ``columns`` maps a column to pairs of the place of a source and its column."""
    return {
        "destination": asset(target),
        "sources": [asset(each) for each in sources],
        "columns": [
            {"name": name, "sources": [{"source": place, "name": column} for place, column in pairs]}
            for name, pairs in (columns or {}).items()
        ],
        "origin": "jobs",
        "certainty": "exact",
        **more,
    }


def asset(name: Any) -> Record:
    """An asset from (project, dataset, name), with a type in front if it is not a TABLE, or from the path of files."""
    if isinstance(name, str):
        scheme, _, rest = name.partition("://")
        name = ("EXTERNAL", scheme, rest.partition("/")[0], name)
    kind, *parts = name if len(name) == 4 else ("VIEW" if name in VIEWS else "TABLE", *name)
    return dict(zip(("type", "database", "schema", "name"), (kind, *parts), strict=True))


def view_records() -> list[Record]:
    """The records of the views in the warehouse."""
    more = {"origin": "view_definition", "certainty": "parsed"}
    latest = record(LATEST, [RECENT], {"last_paid": [(0, "paid")], "order_id": [(0, "order_id")]}, **more)
    recent = record(RECENT, [ORDERS], {"order_id": [(0, "order_id")], "paid": [(0, "amount")]}, **more)
    return [latest, recent]


def without_views(collected: Collected) -> list[Record]:
    """The records of tables and files; those of the views must be as expected."""
    views = [each for each in collected.records if each["destination"]["type"] == "VIEW"]
    assert views == view_records()
    return [each for each in collected.records if each["destination"]["type"] != "VIEW"]
