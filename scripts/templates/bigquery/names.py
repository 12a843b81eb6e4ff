"""The tables and views of all projects: what names in jobs and statements refer to, and which tables exist.

Lists them regardless of filters, because sources can be in any project.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from connection import Place, Warehouse
from mcpush.collect.collector import Options
from mcpush.collect.filters import Filters
from mcpush.lineage.graph import EXACT, LineageTarget, external_asset
from mcpush.lineage.query_log import FullName
from mcpush.records import Asset, AssetKey
from mcpush.sql import Schema, TableName
from projects import UNREACHABLE
from scopes import each_project
from shards import shard_prefix

# The base table of a clone or snapshot, and the CREATE statement of a materialized view, which VIEWS does not list.
# https://docs.cloud.google.com/bigquery/docs/information-schema-tables
NAMES_SQL = """
SELECT
    t.table_schema AS schema_name,
    t.table_name AS table_name,
    t.table_type AS table_type,
    t.base_table_catalog AS base_project,
    t.base_table_schema AS base_schema,
    t.base_table_name AS base_table,
    CASE WHEN t.table_type = 'MATERIALIZED VIEW' THEN t.ddl END AS ddl
FROM {project}.{scope}.INFORMATION_SCHEMA.TABLES AS t
ORDER BY t.table_schema, t.table_name
"""

TABLE, VIEW, WILDCARD_TABLE = "TABLE", "VIEW", "WILDCARD_TABLE"
INFORMATION_SCHEMA = "INFORMATION_SCHEMA"
# Partitions (t$20260101) and earlier versions (t@1767225600000). Names of tables have neither $ nor @.
# https://docs.cloud.google.com/bigquery/docs/managing-partition-data#partition_decorators
# https://docs.cloud.google.com/bigquery/docs/access-historical-data
DECORATOR = re.compile(r"[$@]")
# https://docs.cloud.google.com/bigquery/docs/querying-wildcard-tables
WILDCARD_OF_SHARDS = re.compile(r"(?P<prefix>.+_)[0-9]{0,8}\*", re.DOTALL)

NO_FULL_NAME = "name without a dataset in a query text (JOBS does not have the default dataset): no columns from it"


class NameRow(NamedTuple):
    """A row of NAMES_SQL."""

    schema_name: str
    table_name: str
    table_type: str
    base_project: str | None
    base_schema: str | None
    base_table: str | None
    ddl: str | None


def is_hidden(dataset: str) -> bool:
    """Whether no view lists the dataset. BigQuery keeps temporary tables and results of queries in such datasets.

    https://docs.cloud.google.com/bigquery/docs/datasets
    """
    return dataset.startswith("_")


class Names:
    """The existing tables and views. With ``is_collapsing``, date shards are one table, as in metadata."""

    def __init__(self, schema: Schema, is_collapsing: bool) -> None:
        self.schema = schema  # with columns from a metadata manifest, if there is one
        self.places: list[Place] = []  # the regions and datasets that were listed completely
        self.clones: list[LineageTarget] = []
        self.materialized_views: dict[AssetKey, str | None] = {}  # with their CREATE statements
        self._tables: set[AssetKey] = set()
        self._complete: set[tuple[str, str | None]] = set()  # projects and datasets whose tables are all known
        self._is_collapsing = is_collapsing
        self._shards: Counter[AssetKey] = Counter()  # project, dataset and prefix

    # --- listing -----------------------------------------------------------------------------------------

    def read(self, warehouse: Warehouse, options: Options) -> None:
        """Adds all tables and views. Counts unreadable projects and datasets; raises RefusedError if all are."""
        everything = replace(options, filters=Filters())

        def rows(place: Place, seen: set[str]) -> Iterator[tuple[str, NameRow]]:
            for row in warehouse.rows(NameRow, NAMES_SQL, place):
                seen.add(row.schema_name)
                yield place.project, row
            self._listed(place, warehouse, options)

        clones = []
        for project, row in each_project(warehouse, everything, rows):
            self._add(project, row)
            if row.base_project:
                clones.append((project, row))
        self.clones = [self._clone(project, row) for project, row in clones]  # when the kinds of all tables are known

    def _listed(self, place: Place, warehouse: Warehouse, options: Options) -> None:
        """Notes that a region or dataset is complete. A region is only readable with grants on the whole project.

        No project is complete if BigQuery could not reach a location: its datasets were not listed.
        """
        self.places.append(place)
        if place.dataset is not None:
            self._complete.add((place.project, place.dataset))
            return
        found = warehouse.listings[place.project] or []
        self._complete.update((place.project, each.name) for each in found if each.location == place.location)
        if UNREACHABLE not in options.skipped and all(
            Place(place.project, each.location) in self.places for each in found
        ):
            self._complete.add((place.project, None))

    def _add(self, project: str, row: NameRow) -> None:
        key = project, row.schema_name, row.table_name
        kind = VIEW if VIEW in row.table_type else TABLE
        known = self.schema.find(key)
        columns = known[1] if known and known[0].parts == key else ()
        self.schema.add(TableName(*key, kind), columns)
        self._tables.add(key)
        if row.table_type == "MATERIALIZED VIEW":
            self.materialized_views[key] = row.ddl
        prefix = shard_prefix(row.table_name) if kind == TABLE else None
        if prefix:
            self._shards[project, row.schema_name, prefix] += 1

    def _clone(self, project: str, row: NameRow) -> LineageTarget:
        target = LineageTarget(self._asset(project, row.schema_name, row.table_name), "base_table", EXACT)
        if row.base_project and row.base_schema and row.base_table:
            target.add(self._asset(row.base_project, row.base_schema, row.base_table))
        return target

    # --- finding -----------------------------------------------------------------------------------------

    def exists(self, asset: Asset) -> bool:
        """False only if all tables of the asset's dataset are known, and the asset is not among them."""
        is_listed = not self._complete.isdisjoint({(asset.database, None), (asset.database, asset.schema)})
        return not is_listed or asset.name.endswith("*") or asset.key in self._tables

    def asset(self, project: str, dataset: str, name: str) -> Asset | None:
        """The asset of a reference in a job; None for views of INFORMATION_SCHEMA and tables of hidden datasets."""
        if is_hidden(dataset) or INFORMATION_SCHEMA in f"{dataset}.{name}".upper().split("."):
            return None
        return self._asset(project, dataset, DECORATOR.split(name)[0])

    def complete(self, options: Options, table: TableName) -> FullName | None:
        """The asset of a name in a statement; counts it and returns None if its dataset is unknown."""
        if table.is_external:
            return FullName(external_asset(table.name))
        if not (table.database and table.schema):
            options.skip(NO_FULL_NAME, str(table))
            return None
        asset = self.asset(table.database, table.schema, table.name)
        return FullName(asset) if asset else None

    def _asset(self, project: str, dataset: str, name: str) -> Asset:
        found = self.schema.find((project, dataset, name))
        if found and found[0].parts == (project, dataset, name) and found[0].kind == VIEW:
            return Asset(VIEW, project, dataset, name)
        if self._is_collapsing and (collapsed := self._collapsed(project, dataset, name)):
            return Asset(TABLE, project, dataset, collapsed)
        return Asset(WILDCARD_TABLE if name.endswith("*") else TABLE, project, dataset, name)

    def _collapsed(self, project: str, dataset: str, name: str) -> str | None:
        """``events_*`` for a shard, or for a wildcard of shards; a single shard is not sharded, and stays as it is."""
        wildcard = WILDCARD_OF_SHARDS.fullmatch(name)
        prefix = wildcard["prefix"] if wildcard else shard_prefix(name)
        return f"{prefix}*" if prefix and self._shards[project, dataset, prefix] > 1 else None
