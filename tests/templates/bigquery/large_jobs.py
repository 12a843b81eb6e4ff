"""The jobs of the large world, in two windows, with the truth about their query logs and lineage.

They come in groups of 40, one after the other, each group in one project and region. Their tables have roles
(large.py): what reads a decoy must not become lineage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count, islice
from typing import Any

from tests.collected import Record
from tests.templates.bigquery.large import EMPTY, LAKE, NOW, PLACES, SHOP, Large, quoted
from tests.templates.bigquery.metadata_truth import is_iceberg, iso
from tests.warehouses.bigquery import filling
from tests.warehouses.bigquery.launch import ROWS_OF_AN_ORDER, BigQueryServer
from tests.warehouses.bigquery.truth import Dataset, Job, Relation, Warehouse
from tests.warehouses.bigquery.truth import Path as Name

JOBS = 20_000  # for each 1 of the size
GROUP = 40
TRANSFERS_EVERY = 10  # groups: each of these jobs needs a request
WINDOW = timedelta(hours=6)
SINCE = NOW - timedelta(hours=36)
MIDDLE, UNTIL = SINCE + WINDOW, SINCE + 2 * WINDOW
RUNNING = "running-across-windows"
MAINTENANCE_USER = "bigquery-adminbot@system.gserviceaccount.com"

# Reasons of README.md
SCRIPT = "script: its statements are collected instead"
MAINTENANCE = "maintenance job of BigQuery"
NO_TEXT = "query without text"
ROLLED_BACK = "statement of a transaction that was rolled back"
MISSING_DESTINATION = "destination not in the catalog (renamed or dropped)"

Asset = tuple[str, str, str, str]  # type, project, dataset, name
Edge = tuple[Asset, Asset]  # source, target
Row = dict[str, Any]


@dataclass
class Lineage:
    """What jobs and definitions contribute. ``columns`` are (source, source column, target, target column)."""

    edges: set[Edge] = field(default_factory=set)
    columns: set[tuple[Asset, str, Asset, str]] = field(default_factory=set)

    def add(self, source: Asset, target: Asset, columns: Mapping[str, str] | None = None) -> None:
        self.edges.add((source, target))
        self.columns.update((source, one, target, other) for one, other in (columns or {}).items())


SAME = {"id": "id", "amount": "amount"}


@dataclass(frozen=True)
class Logged:
    """A job with what it must become: its record in query logs, or the reason why it has none.

    Neither: it is not a query, or one of the collector's own. ``is_of_lake``: it uses a managed Iceberg table.
    """

    job: Job
    reason: str | None = None
    is_query: bool = True
    is_of_lake: bool = False

    @property
    def end(self) -> datetime:
        found: datetime = self.job.row["end_time"]
        return found

    @property
    def record(self) -> Record | None:
        return None if self.reason or not self.is_query else query_record(self.job)


def query_record(job: Job) -> Record:
    """The whole record of a query: the columns of JOBS by their names in README.md."""
    row = job.row
    error, statistics = row.get("error_result") or {}, row.get("dml_statistics") or {}
    extra = {
        "database": row["project_id"],
        "location": job.region,
        "session_id": (row.get("session_info") or {}).get("session_id"),
        "labels": {each["key"]: each["value"] for each in row["labels"]},
        "rows_inserted": statistics.get("inserted_row_count"),
        "query_hash": row["query_info"]["query_hashes"]["normalized_literals"],
        **{name: row.get(name) for name in SAME_NAME},
    }
    found = {
        "query_id": row["job_id"],
        "start_time": iso(row["start_time"]),
        "end_time": iso(row["end_time"]),
        "query_text": row["query"],
        "user": row["user_email"],
        "error_code": error.get("reason"),
        "error_text": error.get("message"),
        "extra": {name: value for name, value in extra.items() if value not in (None, {})},
    }
    return {name: value for name, value in found.items() if value is not None}


SAME_NAME = (
    *("transaction_id", "parent_job_id", "job_type", "statement_type", "priority", "cache_hit"),
    *("total_bytes_processed", "total_bytes_billed", "total_slot_ms", "reservation_id", "edition"),
)


class Jobs:
    """Makes the jobs of the world of a size, always the same ones."""

    def __init__(self, world: Large) -> None:
        self.world = world
        self.total = JOBS * world.size
        self._step = 2 * WINDOW / self.total

    # --- making ----------------------------------------------------------------------------------------------

    def all(self) -> Iterator[Logged]:
        """All jobs that ended, in order, and those at the borders of the windows."""
        lineage = Lineage()
        for group in range(self.total // GROUP):
            made = list(_Group(self, group, lineage).jobs())
            assert len(made) == GROUP
            yield from made
        yield from self.at_borders()

    def at_borders(self) -> Iterator[Logged]:
        for name, end in (("first", SINCE), ("middle", MIDDLE), ("after", UNTIL), ("before", SINCE - self._step)):
            yield Logged(self._border(f"border-{name}", end, f"SELECT '{name}'"))

    def running(self) -> Job:
        """A job that runs when the first window is read. ``finish`` ends it in the second window."""
        job = self._border(RUNNING, MIDDLE + timedelta(hours=1), "SELECT 'long'")
        return Job(job.region, {**job.row, "start_time": SINCE, "creation_time": SINCE})

    def _border(self, job_id: str, end: datetime, text: str) -> Job:
        return self.job((SHOP, "EU"), self.total, end, job_id=job_id, query=text)

    def job(self, place: tuple[str, str], number: int, end: datetime, **columns: Any) -> Job:
        """A successful SELECT. ``columns`` replace or complete its row in JOBS."""
        project, region = place
        row: Row = {
            "project_id": project,
            "job_id": f"bquxjob_{number * 7919 % 1_000_003:06x}_{number}",  # not in the order of the times
            "job_type": "QUERY",
            "statement_type": "SELECT",
            "state": "DONE",
            "priority": ("INTERACTIVE", "BATCH")[number % 2],
            "user_email": f"user-{number % 50}@example.com",
            "creation_time": end - timedelta(seconds=5),
            "start_time": end - timedelta(seconds=3, milliseconds=number % 1_000),
            "end_time": end,
            "query": f"SELECT {number} AS n -- é",
            "cache_hit": False,
            "labels": [{"key": "team", "value": f"t{number % 9}"}] if number % 3 == 0 else [],
            "referenced_tables": [],
            "destination_table": reference((project, f"_{number % 50:040x}", f"anon{number:032x}")),
            "session_info": {"session_id": f"s{number % 40}"} if number % 4 == 0 else None,
            "query_info": {"query_hashes": {"normalized_literals": f"h{number % 977}"}},
            "error_result": None,
            "parent_job_id": None,
            "transaction_id": None,
            "dml_statistics": None,
            "reservation_id": f"{project}:{region}.r{number % 2}" if number % 5 == 0 else None,
            "edition": "ENTERPRISE" if number % 5 == 0 else None,
            "total_bytes_processed": 10_000_000 + number,
            "total_bytes_billed": 20_000_000 + number,
            "total_slot_ms": 30_000_000 + number,
        }
        return Job(region, row | columns)

    def end_of(self, number: int) -> datetime:
        """The time at which a job ends: half a step after the border, so that no other one ends at a border."""
        return SINCE + self._step * number + self._step / 2

    # --- loading ---------------------------------------------------------------------------------------------

    def load(self, server: BigQueryServer) -> None:
        """Adds the jobs to the server, in parts."""
        waiting = (each.job for each in self.all())
        while part := list(islice(waiting, ROWS_OF_AN_ORDER)):
            self._insert(server, part)
        unfinished = self.running()
        row = {**unfinished.row, "state": "RUNNING", "end_time": None}
        self._insert(server, [Job(unfinished.region, row)])
        streamed = Warehouse((SHOP, LAKE, EMPTY), rows={"WRITE_API_TIMELINE": list(self.streamed())})
        for view, rows in filling.rows(streamed).items():
            server.order("rows", view=view, rows=rows)

    @staticmethod
    def _insert(server: BigQueryServer, jobs: list[Job]) -> None:
        part = Warehouse((SHOP, LAKE, EMPTY), jobs=jobs)
        for project, resources in filling.resources(part).items():
            server.order("add", project=project, resources=resources)
        server.order("rows", view="INFORMATION_SCHEMA.JOBS", rows=filling.rows(part)["INFORMATION_SCHEMA.JOBS"])

    @contextmanager
    def finished(self, server: BigQueryServer) -> Iterator[None]:
        """The running job has ended in this block."""
        end = self.running().row["end_time"].isoformat()
        update, where = 'UPDATE facts."INFORMATION_SCHEMA.JOBS" SET', f"WHERE job_id = '{RUNNING}'"
        server.sql(f"{update} state = 'DONE', end_time = '{end}' {where}")
        try:
            yield
        finally:
            server.sql(f"{update} state = 'RUNNING', end_time = NULL {where}")

    # --- the truth -------------------------------------------------------------------------------------------

    @cached_property
    def lineage(self) -> Lineage:
        """All edges of jobs, views, clones and snapshots."""
        found = Lineage()
        for group in range(self.total // GROUP):
            for _ in _Group(self, group, found).jobs():
                pass
        for each in self.world.visible:
            anchor = self.world.anchor_of(each)
            if each.kind in ("VIEW", "MATERIALIZED VIEW"):
                found.add(asset(anchor), asset(each), SAME)
            elif each.kind in ("CLONE", "SNAPSHOT"):
                found.add(asset(anchor), asset(each))
        return found

    @cached_property
    def written(self) -> dict[Name, datetime]:
        """The last known write of each Iceberg table: of a job, or of the Storage Write API."""
        found: dict[Name, datetime] = {}
        for _, _, row in self.streamed():
            found[row["project_id"], row["dataset_id"], row["table_id"]] = row["start_timestamp"]
        for each in self.all():
            target = each.job.row["destination_table"]
            name = tuple(target.values()) if each.is_of_lake and target else ()
            if each.job.row["statement_type"] == "INSERT" and len(name) == 3:
                found[name] = max(each.end, found.get(name, each.end))
        return found

    def streamed(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Rows that arrived over the Storage Write API, before the windows."""
        regions = {(each.project, each.name): each.region for each in self.world.ordinary}
        for number, each in enumerate(filter(is_iceberg, self.world.relations)):
            if writers(each) != "none":
                row = {
                    "start_timestamp": SINCE - timedelta(minutes=number + 1),
                    "project_id": each.project,
                    "dataset_id": each.dataset,
                    "table_id": each.name,
                    "stream_type": "DEFAULT",
                    "error_code": "OK",
                    "total_requests": 3,
                    "total_rows": 77,
                }
                yield each.project, regions[each.project, each.dataset], row


def writers(lake: Relation) -> str:
    """Who writes an Iceberg table: none, only other engines, or jobs too."""
    return ("none", "others", "jobs")[int(lake.name.removeprefix("lake_")) % 3]


@dataclass
class _Group:
    """Makes 40 jobs, and adds their edges to ``lineage``."""

    owner: Jobs
    number: int
    lineage: Lineage

    def __post_init__(self) -> None:
        world = self.owner.world
        self.place = list(PLACES)[self.number % len(PLACES)]
        here = [each for each in world.ordinary if (each.project, each.region) == self.place]
        self.turn = self.number // len(PLACES)
        self.dataset = here[self.turn % len(here)]
        self._here: list[Dataset] = here
        self._next = count(self.number * GROUP)
        self.target = world.role(self.dataset, "mart")
        self.decoy = world.role(self.dataset, "decoy")
        self.own = world.role(self.dataset, "anchor")
        place = self.dataset.project, self.dataset.name
        self.lake = [each for each in world.iceberg if (each.project, each.dataset) == place]

    def source(self, shift: int) -> Relation:
        """Another table of the region to read from, which differs by group."""
        return self.owner.world.role(self._here[(self.turn + shift) % len(self._here)], "anchor")

    def jobs(self) -> Iterator[Logged]:
        makers: list[Callable[[], Iterator[Logged]]] = [
            self._insert,
            self._script,
            self._failed,
            self._transactions,
            self._transfers,
            self._unlogged,
            self._without_lineage,
            self._lake,
            self._staging,
            self._scheduled,
            self._rest,
        ]
        for make in makers:
            yield from make()

    def _job(self, **columns: Any) -> Job:
        number = next(self._next)
        return self.owner.job(self.place, number, self.owner.end_of(number), **columns)

    def _write(self, kind: str, target: Name, sources: list[Name], text: str, **more: Any) -> Logged:
        read = [reference(each) for each in sources]
        statistics = {"inserted_row_count": self.number, "deleted_row_count": None, "updated_row_count": None}
        return Logged(
            self._job(
                statement_type=kind,
                destination_table=reference(target),
                referenced_tables=[*read, reference(target)] if kind == "INSERT" else read,
                query=text,
                dml_statistics=statistics if kind == "INSERT" else None,
                **more,
            )
        )

    def _copy(self, source: Relation, **more: Any) -> Logged:
        text = f"INSERT INTO {quoted(self.target.path)} (id, amount) SELECT id, amount FROM {quoted(source.path)}"
        return self._write("INSERT", self.target.path, [source.path], text, **more)

    def _insert(self) -> Iterator[Logged]:
        yield self._copy(self.source(1))
        self.lineage.add(asset(self.source(1)), asset(self.target), SAME)

    def _script(self) -> Iterator[Logged]:
        """A script with a temporary table. The parent has all tables of its children."""
        source, temporary = self.source(2), (self.place[0], f"_script{self.number:040x}", "bases")
        own = {"parent_job_id": f"script-{self.number}"}
        text = f"CREATE TEMP TABLE bases AS SELECT id AS k, amount AS v FROM {quoted(source.path)}"
        yield self._write("CREATE_TABLE_AS_SELECT", temporary, [source.path], text, **own)
        text = f"INSERT INTO {quoted(self.target.path)} (id, amount) SELECT k, v FROM bases"
        yield self._write("INSERT", self.target.path, [temporary], text, **own)
        self.lineage.add(asset(source), asset(self.target), SAME)
        read = [reference(each.path) for each in (source, self.decoy)]
        job = self._job(
            job_id=f"script-{self.number}",
            statement_type="SCRIPT",
            query="BEGIN … END",
            referenced_tables=read,
            destination_table=reference(self.target.path),
        )
        yield Logged(job, SCRIPT)

    def _failed(self) -> Iterator[Logged]:
        error = {"reason": "resourcesExceeded", "message": f"Resources exceeded: {self.number}"}
        yield self._copy(self.decoy, error_result=error)

    def _transactions(self) -> Iterator[Logged]:
        for name, source, end in (("undone", self.decoy, "ROLLBACK"), ("kept", self.source(3), "COMMIT")):
            own = {"transaction_id": f"{name}-{self.number}"}
            none = {"destination_table": None, **own}
            yield Logged(self._job(statement_type="BEGIN_TRANSACTION", query="BEGIN TRANSACTION", **none))
            yield self._copy(source, **own)
            yield Logged(self._job(statement_type=f"{end}_TRANSACTION", query=f"{end} TRANSACTION", **none))
        self.lineage.add(asset(self.source(3)), asset(self.target), SAME)

    def _transfers(self) -> Iterator[Logged]:
        """LOAD, COPY and EXTRACT; ordinary queries in other groups."""
        if self.number % TRANSFERS_EVERY:
            for _ in range(3):
                yield Logged(self._job())
            return
        files = f"gs://mc-large-files/{self.dataset.name}/{self.place[0]}.csv"
        target, source = rest(self.target.path), rest(self.source(4).path)
        outside: Asset = ("EXTERNAL", "gs", "mc-large-files", files)
        yield self._transfer("LOAD", {"sourceUris": [files], "destinationTable": target})
        self.lineage.add(outside, asset(self.target))
        yield self._transfer("COPY", {"sourceTables": [source], "destinationTable": target})
        self.lineage.add(asset(self.source(4)), asset(self.target))
        written = files.replace(".csv", ".out")
        yield self._transfer("EXTRACT", {"sourceTable": source, "destinationUris": [written]})
        self.lineage.add(asset(self.source(4)), ("EXTERNAL", "gs", "mc-large-files", written))

    def _transfer(self, kind: str, configuration: Row) -> Logged:
        target = reference(self.target.path) if kind != "EXTRACT" else None
        job = self._job(job_type=kind, statement_type=None, query=None, destination_table=target)
        resource = {
            "jobReference": {"projectId": self.place[0], "jobId": job.row["job_id"], "location": self.place[1]},
            "configuration": {"jobType": kind, kind.lower(): configuration},
            "status": {"state": "DONE"},
            "statistics": {},
        }
        return Logged(Job(job.region, job.row, resource), is_query=False)

    def _unlogged(self) -> Iterator[Logged]:
        """Maintenance and own jobs, and those whose text this principal may not read."""
        call = {"query": "CALL BQ.OPTIMIZE_STORAGE('t')", "user_email": MAINTENANCE_USER, "destination_table": None}
        yield Logged(self._job(statement_type="CALL", **call), MAINTENANCE)
        yield Logged(self._job(job_type=None, statement_type=None, destination_table=None), MAINTENANCE)
        export = {"statement_type": "EXPORT_METADATA", "query": "EXPORT TABLE METADATA FROM t"}
        yield Logged(self._job(**export, destination_table=None), MAINTENANCE)
        yield Logged(self._job(labels=[{"key": "push-ingestion", "value": "0-1-0"}]), is_query=False)
        yield Logged(self._job(query=None), NO_TEXT)

    def _without_lineage(self) -> Iterator[Logged]:
        """Results from the cache, and a failed SELECT."""
        text = f"SELECT id, amount FROM {quoted(self.decoy.path)}"
        yield Logged(self._job(cache_hit=True, query=text))
        yield Logged(self._job(cache_hit=True, query=text, destination_table=reference(self.target.path)))
        error = {"reason": "invalidQuery", "message": 'Syntax error: Unexpected "é"'}
        yield Logged(self._job(query="SELEC 1", error_result=error))

    def _lake(self) -> Iterator[Logged]:
        """A query of an Iceberg table, and an INSERT into it, in datasets that have one."""
        if not self.lake:
            yield Logged(self._job())
            yield Logged(self._job())
            return
        table = self.lake[self.turn % len(self.lake)]
        read = {"query": f"SELECT * FROM {quoted(table.path)}", "referenced_tables": [reference(table.path)]}
        yield Logged(self._job(**read), is_of_lake=True)
        if writers(table) != "jobs":
            yield Logged(self._job(**read), is_of_lake=True)
            return
        text = f"INSERT INTO {quoted(table.path)} (id) SELECT id FROM {quoted(self.own.path)}"
        yield Logged(self._write("INSERT", table.path, [self.own.path], text).job, is_of_lake=True)
        self.lineage.add(asset(self.own), asset(table), {"id": "id"})

    def _staging(self) -> Iterator[Logged]:
        """A table that was dropped since: its target has its sources."""
        staging = (*self.own.path[:2], "orders__dbt_tmp")
        text = f"CREATE TABLE {quoted(staging)} AS SELECT id, amount FROM {quoted(self.own.path)}"
        yield self._write("CREATE_TABLE_AS_SELECT", staging, [self.own.path], text)
        text = f"INSERT INTO {quoted(self.target.path)} (id, amount) SELECT id, amount FROM {quoted(staging)}"
        yield self._write("INSERT", self.target.path, [staging], text)
        self.lineage.add(asset(self.own), asset(self.target), SAME)

    def _scheduled(self) -> Iterator[Logged]:
        """A scheduled query: a SELECT with a destination table. It reads the other project, if that has the region."""
        other = {SHOP: LAKE, LAKE: SHOP}[self.place[0]]
        there = [each for each in self.owner.world.ordinary if (each.project, each.region) == (other, self.place[1])]
        source = self.owner.world.role(there[0], "anchor") if there else self.source(5)
        text = f"SELECT id, amount FROM {quoted(source.path)}"
        yield self._write("SELECT", self.target.path, [source.path], text)
        self.lineage.add(asset(source), asset(self.target), SAME)

    def _rest(self) -> Iterator[Logged]:
        """Ordinary queries, of which some need more than one page of text."""
        for number in range(next(self._next), (self.number + 1) * GROUP):
            end = self.owner.end_of(number)
            more = {"query": f"SELECT {number} -- {'x' * 5_000}"} if number % 200 == 39 else {}
            yield Logged(self.owner.job(self.place, number, end, **more))


def asset(relation: Relation) -> Asset:
    kind = "VIEW" if "VIEW" in relation.kind else "TABLE"
    return kind, *relation.path


def reference(name: Name) -> dict[str, str]:
    return dict(zip(("project_id", "dataset_id", "table_id"), name, strict=True))


def rest(name: Name) -> dict[str, str]:
    """A table reference of the REST API."""
    return dict(zip(("projectId", "datasetId", "tableId"), name, strict=True))
