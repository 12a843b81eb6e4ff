"""A large generated world, from one number: datasets and tables in two projects and three regions, with their truth.

It is a fixture: what it contains is not evidence about BigQuery. The truth is computed from the world and README.md,
not by the code under test. large_jobs.py has its jobs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property

from tests.collected import Record
from tests.templates.bigquery.metadata_truth import figures, is_iceberg, iso, record
from tests.warehouses.bigquery.errors import STORAGE_OFF
from tests.warehouses.bigquery.launch import BigQueryServer
from tests.warehouses.bigquery.truth import Column, Dataset, Relation, Warehouse
from tests.warehouses.bigquery.truth import Path as Name

SHOP, LAKE = "mc-large-shop", "mc-large-lake"
GONE = "mc-large-gone"  # does not exist
EMPTY = "mc-large-empty"  # has no datasets
PROJECTS = (SHOP, LAKE, GONE)
# The regions of each project, with the number of their ordinary datasets.
PLACES = {(SHOP, "US"): 12, (SHOP, "EU"): 10, (SHOP, "europe-west3"): 6, (LAKE, "EU"): 4, (LAKE, "US"): 4}
WITHOUT_STORAGE = (SHOP, "europe-west3")
WITHOUT_GRANTS = (LAKE, "US")  # on the project: only on its datasets
VIEWS_OF_A_REGION = ("TABLES", "COLUMNS", "COLUMN_FIELD_PATHS", "TABLE_OPTIONS", "VIEWS", "TABLE_STORAGE")
DATASETS = 40
TABLES = 300  # for each 1 of the size

NOW = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
CREATED = NOW - timedelta(days=200)
STEMS = ("orders_", "with-hyphen-", "Été ", "表_", "Zebra_", "_copy")
FIRST_SHARD = datetime(2024, 1, 1, tzinfo=timezone.utc)
# The first tables of each dataset: what jobs read, what they write, and what only jobs without lineage read.
ROLES = ("anchor", "mart", "decoy")
KINDS = (
    *("BASE TABLE", "VIEW", "SHARD", "ICEBERG", "BASE TABLE", "MATERIALIZED VIEW", "SHARD", "CLONE", "EXTERNAL"),
    *("BASE TABLE", "SNAPSHOT", "SHARD", "VIEW", "BASE TABLE"),
)

ADDRESS = Column(
    "address",
    "STRUCT",
    "where",
    fields=(Column("zip", "STRING(5)"), Column("lines", "STRING", 'of the "street"\n', repeated=True)),
    repeated=True,
)

# Reasons of README.md, and how often they occur
NO_STORAGE = "TABLE_STORAGE not readable: volume and freshness come from tables.get"
ICEBERG_VOLUME = "managed Iceberg table: volume and freshness unknown (collect them with the bigquery-iceberg scripts)"
UNREADABLE_PROJECT = "database or project missing, dropped during the run, or not accessible"
UNREADABLE_DATASET = "schema not readable"
FEDERATED = "federated dataset: its tables are not collected"


@dataclass(frozen=True)
class Large:
    """The world of a size. 1 is a tenth of 3,000 tables."""

    size: int

    # --- the world -------------------------------------------------------------------------------------------

    @cached_property
    def ordinary(self) -> list[Dataset]:
        return [
            Dataset(project, f"{region.replace('-', '_')}_{number}", region, CREATED, labels={"n": str(number)})
            for (project, region), count in PLACES.items()
            for number in range(count)
        ]

    @cached_property
    def linked(self) -> Dataset:
        source = next(each for each in self.ordinary if (each.project, each.region) == (LAKE, "EU"))
        return Dataset(SHOP, "shared", "EU", CREATED, linked_to=(LAKE, source.name))

    @cached_property
    def unread(self) -> list[Dataset]:
        """Federated, denied and hidden datasets."""
        return [
            Dataset(SHOP, "glue", "US", CREATED, external=True),
            Dataset(LAKE, "private", "US", CREATED, may="dataset"),
            Dataset(SHOP, "_hidden", "US", CREATED),
        ]

    @cached_property
    def relations(self) -> list[Relation]:
        """The tables of the ordinary datasets."""
        return [self._relation(number) for number in range(TABLES * self.size)]

    @cached_property
    def warehouse(self) -> Warehouse:
        """The world without jobs."""
        datasets = [*self.ordinary, self.linked, *self.unread]
        assert len(datasets) == DATASETS
        inside = [
            Relation(each.project, each.name, "inside", (Column("id", "INT64"),), CREATED, rows=9, modified=NOW)
            for each in self.unread
        ]
        return Warehouse((SHOP, LAKE, EMPTY), datasets, [*self.relations, *inside])

    @cached_property
    def roles(self) -> dict[tuple[str, str, str], Relation]:
        """The tables with a role, by project, dataset and role."""
        first = [_table(self.ordinary[number % len(self.ordinary)], number) for number in range(3 * len(self.ordinary))]
        return {
            (each.project, each.dataset, ROLES[number // len(self.ordinary)]): each for number, each in enumerate(first)
        }

    def role(self, dataset: Dataset, role: str) -> Relation:
        return self.roles[dataset.project, dataset.name, role]

    def anchor_of(self, relation: Relation) -> Relation:
        """The table from which a view, clone or snapshot comes. In the linked dataset they are those of its source."""
        place = relation.project, relation.dataset
        project, dataset = (place == (SHOP, self.linked.name) and self.linked.linked_to) or place
        return self.roles[project, dataset, "anchor"]

    def _relation(self, number: int) -> Relation:
        dataset = self.ordinary[number % len(self.ordinary)]
        round_number = number // len(self.ordinary)
        kind = "BASE TABLE" if round_number < len(ROLES) else KINDS[number * 5 % len(KINDS)]
        found = _table(dataset, number)
        own = "BASE TABLE" if kind in ("SHARD", "ICEBERG") else kind
        if kind == "BASE TABLE":
            return found
        if kind == "SHARD":
            return replace(found, name=f"hits_{FIRST_SHARD + timedelta(days=number):%Y%m%d}")
        if kind in ("CLONE", "SNAPSHOT"):
            return replace(found, kind=own, base=self.role(dataset, "anchor").path)
        without = replace(found, rows=None, logical_bytes=None, physical_bytes=None, modified=None)
        if kind == "ICEBERG":
            lake = replace(without, name=f"lake_{number}", managed="BIGLAKE", stored=False)
            return replace(lake, ddl=f'CREATE TABLE t OPTIONS(\n  format="ICEBERG",\n  storage_uri="{folder(lake)}");')
        if kind == "EXTERNAL":
            return replace(without, kind=own, managed=None)
        query = f"SELECT id, amount FROM {quoted(self.role(dataset, 'anchor').path)}"
        if kind == "VIEW":
            return replace(without, kind=own, managed=None, definition=query)
        ddl = f"CREATE MATERIALIZED VIEW {quoted(found.path)} AS\n{query}"
        return replace(found, kind=own, definition=query, ddl=ddl, refreshed=found.modified)

    # --- orders to the server --------------------------------------------------------------------------------

    def load(self, server: BigQueryServer) -> None:
        server.load(self.warehouse)
        self.restore(server)

    @staticmethod
    def restore(server: BigQueryServer) -> None:
        """Undo the orders of tests, and give those of this world."""
        server.restore()
        project, region = WITHOUT_STORAGE
        text = f"`{project}`.`region-{region}`.INFORMATION_SCHEMA.TABLE_STORAGE"
        message = STORAGE_OFF.format(project=project, region=region)
        server.fail(text, "error", reason="invalidQuery", message=message)
        project, region = WITHOUT_GRANTS
        place = f"{project}.region-{region.lower()}"
        server.deny(*(f"{place}.INFORMATION_SCHEMA.{name}" for name in VIEWS_OF_A_REGION))

    # --- the truth -------------------------------------------------------------------------------------------

    @cached_property
    def visible(self) -> list[Relation]:
        """The tables that a run finds, also those of the linked dataset."""
        source = self.linked.linked_to
        shared = [
            replace(each, project=SHOP, dataset=self.linked.name)
            for each in self.relations
            if (each.project, each.dataset) == source
        ]
        return [*self.relations, *shared]

    @cached_property
    def iceberg(self) -> list[Relation]:
        return [each for each in self.visible if is_iceberg(each)]

    @property
    def records(self) -> list[Record]:
        return [record(each) for each in self.visible]

    @property
    def figures(self) -> list[Record]:
        return [figures(each) for each in self.visible]

    @property
    def collapsed(self) -> list[Record]:
        """The records with ``--collapse-date-shards``."""
        groups: dict[tuple[str, str], list[Relation]] = defaultdict(list)
        for each in self.visible:
            if each.name.startswith("hits_"):
                groups[each.project, each.dataset].append(each)
        shards = [sorted(group, key=lambda each: each.name) for group in groups.values()]
        others = [each for each in self.visible if not each.name.startswith("hits_")]
        return [record(each) for each in others] + [_collapsed(group) for group in shards]

    @property
    def skipped(self) -> dict[str, int]:
        """The skips of metadata. TABLE_STORAGE is missing in one region, and not readable in another."""
        return {
            NO_STORAGE: 2,
            ICEBERG_VOLUME: len(self.iceberg),
            UNREADABLE_DATASET: 1,
            FEDERATED: 1,
            UNREADABLE_PROJECT: 1,
        }


def _table(dataset: Dataset, number: int) -> Relation:
    """An ordinary table. No two have a name or figure in common."""
    columns = [Column("id", "INT64", nullable=False), Column("amount", "NUMERIC(12, 2)", "in €")]
    if number % 3 == 0:
        columns.insert(1, ADDRESS)
    if number % 4 == 0:
        columns.append(Column("day", "DATE", partitions=True))
    if number % 5 == 0:
        columns.append(Column("größe-x", "STRING", clusters=1))
    if number % 7 == 0:
        columns.append(Column("_PARTITIONTIME", "TIMESTAMP", pseudo=True))
    return Relation(
        dataset.project,
        dataset.name,
        f"{STEMS[number % len(STEMS)]}{number}",
        tuple(columns),
        created=CREATED + timedelta(seconds=number),
        description=f'number "{number}"\n\\ é' if number % 2 else None,
        labels={"team": f"t{number % 11}", "flag": ""} if number % 6 == 1 else {},
        rows=1_000_000 + number,
        logical_bytes=2_000_000 + number,
        physical_bytes=3_000_000 + number,
        modified=NOW - timedelta(days=3, seconds=number),
    )


def _collapsed(shards: Sequence[Relation]) -> Record:
    """The record of all shards of a dataset, which are sorted; a single one stays as it is."""
    if len(shards) == 1:
        return record(shards[0])
    together = replace(
        shards[-1],
        name="hits_*",
        created=min(each.created for each in shards),
        rows=sum(each.rows or 0 for each in shards),
        logical_bytes=sum(each.logical_bytes or 0 for each in shards),
        modified=max(each.modified for each in shards if each.modified),
    )
    return record(together)


def iceberg_records(relations: Sequence[Relation], written: dict[Name, datetime]) -> Iterator[Record]:
    """The records of the Iceberg folder. ``written`` has the last writes that are known."""
    for each in relations:
        yield record(each) | known_write(each, written)


def known_write(relation: Relation, written: dict[Name, datetime]) -> Record:
    return {"last_update_time": iso(written[relation.path])} if relation.path in written else {}


def folder(relation: Relation) -> str:
    """The folder with the files of an Iceberg table. A linked one has the files of the table behind it."""
    return f"gs://mc-large/{relation.name}"


def quoted(name: Name) -> str:
    return f"`{'.'.join(name)}`"
