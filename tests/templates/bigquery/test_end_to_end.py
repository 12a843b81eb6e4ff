"""Tests all fifteen scripts with a large world, through the real client into the sandbox: all that was there arrives.

With ``make bench`` the world has 3,000 tables and 200,000 jobs, otherwise a tenth of that (large.py, large_jobs.py).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.collected import Collected, Record
from tests.contract.records import as_event, differences
from tests.sandbox_process import SandboxProcess
from tests.script_process import Run, copy_folder, peak_memory
from tests.templates.bigquery.copied_folder import CopiedFolder
from tests.templates.bigquery.large import (
    EMPTY,
    FEDERATED,
    LAKE,
    PLACES,
    PROJECTS,
    SHOP,
    UNREADABLE_DATASET,
    UNREADABLE_PROJECT,
    Large,
    iceberg_records,
    known_write,
)
from tests.templates.bigquery.large_jobs import (
    GROUP,
    MIDDLE,
    MISSING_DESTINATION,
    ROLLED_BACK,
    SINCE,
    UNTIL,
    Jobs,
    Lineage,
    Logged,
)
from tests.templates.bigquery.metadata_truth import figures, iso
from tests.warehouses.bigquery.launch import BigQueryServer

PATHS = {"metadata": "/ingest/v1/metadata", "lineage": "/ingest/v1/lineage", "query_logs": "/ingest/v1/querylogs"}
FLOWS = [*(("bigquery", flow) for flow in PATHS), ("bigquery-iceberg", "metadata"), ("bigquery-iceberg", "query_logs")]
UNREADABLE_LIST = "datasets of a project not listed (datasets.list)"
NO_JOBS = "JOBS not readable: unless the project does not exist, freshness of the tables in its region is unknown"
NO_STORAGE_OF_LAKE = "TABLE_STORAGE not readable: freshness comes from the other sources only"
NO_FRESHNESS = "freshness unknown (see --freshness-lookback-hours and --freshness-column)"
REGIONS = len({region for _, region in PLACES})
SOURCE = re.compile(r"FROM `([^`]+)`\.`([^`]+)`\.INFORMATION_SCHEMA")


@dataclass(frozen=True)
class World:
    """The loaded world. ``folders`` are copies of the template folders."""

    tables: Large
    jobs: Jobs
    server: BigQueryServer
    folders: dict[str, Path]


@pytest.fixture(scope="module", params=[1, pytest.param(10, marks=pytest.mark.stress)])
def world(
    request: pytest.FixtureRequest, bigquery_server: BigQueryServer, tmp_path_factory: pytest.TempPathFactory
) -> World:
    return loaded(Large(request.param), bigquery_server, copies(tmp_path_factory.mktemp("large")))


def copies(place: Path) -> dict[str, Path]:
    return {name: copy_folder(name, place / name) for name in ("bigquery", "bigquery-iceberg")}


def loaded(tables: Large, server: BigQueryServer, folders: dict[str, Path]) -> World:
    jobs = Jobs(tables)
    tables.load(server)
    jobs.load(server)
    return World(tables, jobs, server, folders)


@dataclass
class Scripts:
    """Runs scripts of the two folders, and reads what the sandbox has received."""

    world: World
    sandbox: SandboxProcess
    work: Path

    def folder(self, name: str, projects: Sequence[str] = PROJECTS) -> CopiedFolder:
        monte_carlo = {**self.sandbox.env, "MCD_RESOURCE_UUID": self.sandbox.resource("bigquery")}
        work = self.work / name
        work.mkdir(exist_ok=True)
        return CopiedFolder(self.world.server, self.world.folders[name], work, projects, monte_carlo)

    def received(self, flow: str, run: Run) -> Iterator[Record]:
        for invocation in run.summary["invocation_ids"]:
            yield from self.sandbox.received(PATHS[flow].rpartition("/")[2], invocation)

    def statements(self, since: int = 0) -> list[str]:
        return self.world.server.statements()[since:]


@pytest.fixture
def scripts(world: World, quiet_sandbox: SandboxProcess, tmp_path: Path) -> Iterator[Scripts]:
    yield Scripts(world, quiet_sandbox, tmp_path)
    world.tables.restore(world.server)


def window(since: datetime, until: datetime) -> tuple[str, ...]:
    return ("--since", iso(since), "--until", iso(until))


# --- metadata --------------------------------------------------------------------------------------------


def test_every_table_arrives_once_with_all_that_is_known(scripts: Scripts, world: World) -> None:
    """A statement over the quota is sent again. The dry run of the push sends nothing."""
    world.server.fail("TABLE_OPTIONS", "error", reason="quotaExceeded", message="Quota exceeded", times=2)
    folder = scripts.folder("bigquery")
    before = len(scripts.statements())
    collected = folder.collect("metadata", BIGQUERY_RETRY_SECONDS="60")
    options = [each for each in scripts.statements(before) if "TABLE_OPTIONS" in each]
    # once for each readable region, for the linked dataset and for those of the other region, and two that failed
    assert len(options) == (len(PLACES) - 1) + 1 + PLACES[LAKE, "US"] + 2
    assert collected.skipped == world.tables.skipped
    assert differences(collected.records, world.tables.records) == []
    dry = folder.run("push", "metadata", "--dry-run").check()
    assert dry.summary["records"] == len(collected.records)
    assert scripts.sandbox.requests(PATHS["metadata"]).count == 0
    run = folder.run("push", "metadata").check()
    assert differences(scripts.received("metadata", run), map(as_event, world.tables.records)) == []


def test_only_freshness_and_volume_arrive_with_one_statement_for_each_region(scripts: Scripts, world: World) -> None:
    """Further ones only for the linked dataset, and where TABLE_STORAGE or the region is not readable."""
    before = len(scripts.statements())
    run = scripts.folder("bigquery").run("collect_and_push", "metadata", "--only-freshness-and-volume").check()
    assert differences(scripts.received("metadata", run), map(as_event, world.tables.figures)) == []
    assert run.summary["skipped"] == world.tables.skipped
    scopes = Counter(place for each in scripts.statements(before) for place in SOURCE.findall(each))
    denied = [
        (LAKE, each.name)
        for each in (*world.tables.ordinary, *world.tables.unread)
        if (each.project, each.region) == (LAKE, "US")
    ]
    assert scopes == {
        **{(project, f"region-{region.lower()}"): 1 for project, region in PLACES},
        (SHOP, "region-europe-west3"): 2,
        (LAKE, "region-us"): 2,
        (SHOP, "shared"): 1,
        **dict.fromkeys(denied, 1),
    }


def test_date_shards_arrive_as_one_table(scripts: Scripts, world: World) -> None:
    run = scripts.folder("bigquery").run("collect_and_push", "metadata", "--collapse-date-shards").check()
    assert differences(scripts.received("metadata", run), map(as_event, world.tables.collapsed)) == []
    assert len(world.tables.collapsed) < len(world.tables.records)


# --- query logs ------------------------------------------------------------------------------------------


@dataclass
class Queries:
    """What must arrive of a window: each ID once, a sample of whole records, and the skips."""

    ids: Counter[str]
    sample: list[Record]
    skipped: Counter[str]

    @classmethod
    def of(cls, jobs: Iterable[Logged], unreadable: dict[str, int]) -> Queries:
        found = cls(Counter(), [], Counter(unreadable))
        for each in jobs:
            if each.reason:
                found.skipped[each.reason] += 1
            if (record := each.record) is not None:
                found.ids[record["query_id"]] += 1
                if is_sampled(record["query_id"]):
                    found.sample.append(record)
        return found

    def check(self, run: Run, events: Iterable[Record]) -> None:
        ids: Counter[str] = Counter()
        sample = []
        for event in events:
            ids[event["query_id"]] += 1
            if is_sampled(event["query_id"]):
                sample.append(event)
        assert ids == self.ids
        assert differences(sample, self.sample) == []
        assert run.summary["skipped"] == self.skipped


def is_sampled(query_id: str) -> bool:
    return not query_id.startswith("bquxjob") or zlib.crc32(query_id.encode()) % 7 == 0


def in_window(jobs: Jobs, since: datetime, until: datetime) -> Iterator[Logged]:
    return (each for each in jobs.all() if since <= each.end < until)


def test_every_query_arrives_once_over_two_windows(scripts: Scripts, world: World, tmp_path: Path) -> None:
    """A job that runs across the border of the windows belongs to the second one."""
    folder, state = scripts.folder("bigquery"), str(tmp_path / "state.json")

    def run(*arguments: str) -> Run:
        return folder.run("collect_and_push", "query_logs", "--state", state, *arguments).check()

    unreadable = {UNREADABLE_LIST: 1, UNREADABLE_PROJECT: REGIONS}
    first = run("--lookback-hours", "6", "--until", iso(MIDDLE))
    Queries.of(in_window(world.jobs, SINCE, MIDDLE), unreadable).check(first, scripts.received("query_logs", first))
    with world.jobs.finished(world.server):
        second = run("--until", iso(UNTIL))
        listed = folder.run("collect", "query_logs", "--list", *window(SINCE, UNTIL)).check().stdout.splitlines()
    long = Logged(world.jobs.running())
    expected = Queries.of([*in_window(world.jobs, MIDDLE, UNTIL), long], unreadable)
    expected.check(second, scripts.received("query_logs", second))
    assert len(expected.sample) > 500
    assert sum(int(line.split()[2]) for line in listed) == first.summary["records"] + second.summary["records"]


def test_queries_of_one_hour_are_collected_and_pushed_separately(scripts: Scripts, world: World) -> None:
    folder, until = scripts.folder("bigquery", (SHOP, LAKE)), SINCE + timedelta(hours=1)
    folder.run("collect", "query_logs", *window(SINCE, until)).check()
    run = folder.run("push", "query_logs").check()
    collected = Collected.read(folder.manifest("query_logs"))
    expected = Queries.of(in_window(world.jobs, SINCE, until), {})
    assert collected.skipped == expected.skipped
    assert differences(scripts.received("query_logs", run), collected.records) == []
    assert Counter(each["query_id"] for each in collected.records) == expected.ids


# --- lineage ---------------------------------------------------------------------------------------------


def edges_of(events: Iterable[Record]) -> Lineage:
    """The edges that arrived. Each target must arrive once."""
    found, targets = Lineage(), Counter[Any]()
    for event in events:
        target = key_of(event["destination"])
        targets[target] += 1
        sources = {each.get("asset_id"): key_of(each) for each in event["sources"]}
        found.edges.update((key_of(each), target) for each in event["sources"])
        for column in event.get("fields", []):
            for each in column["source_fields"]:
                found.columns.add((sources[each["asset_id"]], each["field_name"], target, column["name"]))
    assert max(targets.values(), default=1) == 1
    return found


def key_of(asset: Record) -> Any:
    return asset["type"], asset["database"], asset["schema"], asset["name"]


def check_edges(found: Lineage, expected: Lineage) -> None:
    assert sorted(found.edges - expected.edges)[:5] == []
    assert sorted(expected.edges - found.edges)[:5] == []
    assert sorted(found.columns - expected.columns)[:5] == []
    assert sorted(expected.columns - found.columns)[:5] == []


def test_all_edges_arrive_and_no_others(scripts: Scripts, world: World) -> None:
    run = scripts.folder("bigquery").run("collect_and_push", "lineage", *window(SINCE, UNTIL)).check()
    assert len(world.jobs.lineage.edges) > 200
    check_edges(edges_of(scripts.received("lineage", run)), world.jobs.lineage)
    assert run.summary["skipped"] == {
        ROLLED_BACK: world.jobs.total // GROUP,
        MISSING_DESTINATION: len(world.tables.ordinary),
        FEDERATED: 1,
        UNREADABLE_DATASET: 1,
        UNREADABLE_LIST: 1,
        UNREADABLE_PROJECT: 1 + REGIONS,
    }


def test_edges_of_one_dataset_are_collected_and_pushed_separately(scripts: Scripts, world: World) -> None:
    folder, dataset = scripts.folder("bigquery", (SHOP, LAKE)), world.tables.ordinary[13]
    selected = ("--include", f"{dataset.project}.{dataset.name}.*")
    folder.run("collect", "lineage", *window(SINCE, UNTIL), *selected).check()
    assert folder.run("push", "lineage", "--dry-run").check().summary["records"] > 1
    assert scripts.sandbox.requests(PATHS["lineage"]).count == 0
    run = folder.run("push", "lineage").check()
    whole, place = world.jobs.lineage, (dataset.project, dataset.name)
    expected = Lineage(
        {each for each in whole.edges if each[1][1:3] == place},
        {each for each in whole.columns if each[2][1:3] == place},
    )
    check_edges(edges_of(scripts.received("lineage", run)), expected)


# --- managed Iceberg tables ------------------------------------------------------------------------------


def test_iceberg_tables_arrive_with_their_last_known_write(scripts: Scripts, world: World) -> None:
    folder = scripts.folder("bigquery-iceberg", (SHOP, LAKE))
    folder.run("collect", "metadata").check()
    run = folder.run("push", "metadata").check()
    collected = Collected.read(folder.manifest("metadata"))
    lake, written = world.tables.iceberg, world.jobs.written
    expected = list(iceberg_records(lake, written))
    assert differences(collected.records, expected) == []
    assert differences(scripts.received("metadata", run), map(as_event, expected)) == []
    assert 0 < len(written) < len(lake)
    unknown = sum(each.path not in written for each in lake)
    assert collected.skipped == {NO_FRESHNESS: unknown, NO_STORAGE_OF_LAKE: 2, FEDERATED: 1, UNREADABLE_DATASET: 1}


def test_only_the_freshness_of_iceberg_tables_arrives(scripts: Scripts, world: World) -> None:
    """A project that does not exist is counted, and runs no jobs whose writes could be missing."""
    run = scripts.folder("bigquery-iceberg").run("collect_and_push", "metadata", "--only-freshness-and-volume").check()
    lake, written = world.tables.iceberg, world.jobs.written
    expected = [figures(each) | known_write(each, written) for each in lake]
    assert run.summary["skipped"] == {
        NO_JOBS: REGIONS,
        NO_FRESHNESS: sum(each.path not in written for each in lake),
        NO_STORAGE_OF_LAKE: 2,
        FEDERATED: 1,
        UNREADABLE_DATASET: 1,
        UNREADABLE_PROJECT: 1,
    }
    assert differences(scripts.received("metadata", run), map(as_event, expected)) == []


def test_queries_of_iceberg_tables_arrive_once_over_two_windows(scripts: Scripts, world: World, tmp_path: Path) -> None:
    folder, state = scripts.folder("bigquery-iceberg", (SHOP, LAKE)), str(tmp_path / "state.json")
    unreadable = {FEDERATED: 1, UNREADABLE_DATASET: 1}

    def lake(since: datetime, until: datetime) -> Queries:
        return Queries.of((each for each in in_window(world.jobs, since, until) if each.is_of_lake), unreadable)

    arguments = ("--state", state, "--lookback-hours", "6", "--until", iso(MIDDLE))
    first = folder.run("collect_and_push", "query_logs", *arguments).check()
    lake(SINCE, MIDDLE).check(first, scripts.received("query_logs", first))
    collected = folder.run("collect", "query_logs", "--state", state, "--until", iso(UNTIL)).check()
    second = folder.run("push", "query_logs").check()
    lake(MIDDLE, UNTIL).check(collected, scripts.received("query_logs", second))
    assert lake(SINCE, UNTIL).ids.total() > 20


# --- all scripts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "flow"), FLOWS)
def test_an_estimate_prints_a_total_and_collects_nothing(scripts: Scripts, world: World, name: str, flow: str) -> None:
    folder = scripts.folder(name, (SHOP, LAKE))
    before = len(world.server.requests())
    lines = folder.run("collect", flow, "--estimate").check().stdout.splitlines()
    assert re.match(r"total: [0-9,]+ MiB, [0-9]+ statements\. ", lines[-1])
    assert len(lines) > len(PLACES)
    assert not folder.manifest(flow).exists()
    jobs = [each["body"] for each in world.server.requests()[before:] if each["method"] == "POST"]
    clock = [each for each in jobs if "CURRENT_TIMESTAMP" in str(each) and "INFORMATION_SCHEMA" not in str(each)]
    assert all(each["configuration"]["dryRun"] for each in jobs if each not in clock)
    assert len(clock) == (flow != "metadata")


@pytest.mark.parametrize(("name", "flow"), FLOWS)
def test_an_empty_project_is_a_success_that_sends_nothing(scripts: Scripts, name: str, flow: str) -> None:
    """Not even the manifest of an earlier run, which was never pushed: the new run replaces it."""
    folder, part = scripts.folder(name, (SHOP, LAKE)), scripts.folder(name, (EMPTY,))
    arguments = () if flow == "metadata" else window(SINCE, SINCE + timedelta(minutes=30))
    assert folder.run("collect", flow, *arguments).check().summary["records"] > 0
    run = part.run("collect_and_push", flow, *arguments).check()
    assert (run.summary["records"], run.summary["invocation_ids"], run.summary["status"]) == (0, [], "complete")
    assert scripts.sandbox.requests(PATHS[flow]).count == 0
    assert Collected.read(part.manifest(flow)).records == []
    assert part.run("push", flow).check().summary["records"] == 0
    assert scripts.sandbox.requests(PATHS[flow]).count == 0


@pytest.mark.parametrize(("name", "flow"), FLOWS)
def test_a_dry_run_sends_nothing(scripts: Scripts, name: str, flow: str) -> None:
    folder = scripts.folder(name, (SHOP, LAKE))
    arguments = () if flow == "metadata" else window(SINCE, SINCE + timedelta(minutes=30))
    run = folder.run("collect_and_push", flow, "--dry-run", *arguments).check()
    assert run.summary["records"] > 0
    assert scripts.sandbox.requests(PATHS[flow]).count == 0
    assert list(folder.work.iterdir()) == []


@pytest.mark.stress
def test_memory_does_not_grow_with_the_world(bigquery_server: BigQueryServer, tmp_path: Path) -> None:
    """At most 1.3 times as much for ten times as many tables and jobs."""
    folders = copies(tmp_path)
    peaks: dict[tuple[str, str], list[int]] = {each: [] for each in FLOWS}
    for size in (1, 10):
        loaded(Large(size), bigquery_server, folders)
        for name, flow in FLOWS:
            arguments = () if flow == "metadata" else window(SINCE, UNTIL)
            command = ("--manifest", str(tmp_path / f"{name}-{flow}.jsonl"), *arguments)
            environment = bigquery_server.environment((SHOP, LAKE))
            peaks[name, flow].append(peak_memory(folders[name], f"collect_{flow}.py", *command, env=environment))
    limits = {each: 1.3 * small for each, (small, _) in peaks.items()}
    # A small world has few of these queries: the pages of the result are not full. They are in the other folder.
    limits["bigquery-iceberg", "query_logs"] = limits["bigquery", "query_logs"]
    assert {each: large for each, (_, large) in peaks.items() if large > limits[each]} == {}
