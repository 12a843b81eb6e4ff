# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "google-cloud-bigquery>=3.40,<4",
#     "sqlglot[c]==30.30.0; python_version >= '3.11'",
#     "sqlglot==30.30.0; python_version < '3.11'",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects lineage: the sources of tables, columns and views.

Reads JOBS, TABLES and VIEWS in BigQuery's INFORMATION_SCHEMA, and jobs.get. Writes a manifest, ``lineage.jsonl``. Needs
the roles and variables listed in README.md; changes nothing in the warehouse.

    python collect_lineage.py --state lineage.state --manifest lineage.jsonl.gz

Tables come from what BigQuery recorded: the destination and the referenced tables of each job. Columns, and views that
statements read, come from the text of statements, as far as the recorded tables confirm them. Jobs are streamed; the
distinct edges are kept in memory until the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import NamedTuple

from connection import Place, Warehouse, connect, explain, is_statement_error, is_too_much, quote
from error_table import message
from estimate import estimator
from job_history import JobRow, jobs
from logged_queries import LATENCY, RETENTION
from mcpush.collect.catalog import NO_VIEW_TEXT
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.query_text import NO_TEXT
from mcpush.console import log
from mcpush.interrupts import stop_if_asked
from mcpush.lineage.graph import (
    EXACT,
    PARSED,
    Key,
    LineageTarget,
    bypass_missing_tables,
    listed,
    merge_by_target,
    missing_tables,
)
from mcpush.lineage.query_log import LoggedStatement, Recent, statement_lineage
from mcpush.lineage.schema_manifest import add_schema_argument, schema_of
from mcpush.records import Asset, AssetKey, LineageRecord
from mcpush.sql import Defaults
from names import TABLE, VIEW, Names, is_hidden
from projects import clock
from scopes import EXTERNAL, LINKED
from shards import add_shard_argument
from transfers import Transfer, Transfers

# https://docs.cloud.google.com/bigquery/docs/information-schema-views
DEFINITIONS_SQL = """
SELECT
    v.table_schema AS schema_name,
    v.table_name AS table_name,
    v.view_definition AS definition,
    v.use_standard_sql AS use_standard_sql
FROM {project}.{scope}.INFORMATION_SCHEMA.VIEWS AS v
ORDER BY v.table_schema, v.table_name
"""

# Temporary tables whose sources are remembered. Scripts use theirs for minutes, sessions for up to 7 days.
MAX_TEMPORARIES = 20_000

MISSING_DESTINATION = "destination not in the catalog (renamed or dropped)"
UNKNOWN_TEMPORARY = "temporary or hidden table that no job writes in the period that is read: its sources are unknown"
UNNAMED_SOURCE = "source that BigQuery recorded without its project, dataset or name"
UNREADABLE_VIEWS = "view definitions of a region or dataset not readable (VIEWS)"
LEGACY_VIEW = "view in legacy SQL: its sources are not parsed"
UNCONFIRMED_SOURCE = "source in a query text that BigQuery's job history does not confirm"
UNCONFIRMED_TARGET = "target in a query text that BigQuery's job history does not confirm"


class DefinitionRow(NamedTuple):
    """A row of DEFINITIONS_SQL."""

    schema_name: str
    table_name: str
    definition: str | None
    use_standard_sql: str


# --- views -----------------------------------------------------------------------------------------------


class Views:
    """All views with their sources, regardless of filters."""

    def __init__(self, warehouse: Warehouse, names: Names, options: Options) -> None:
        self._warehouse, self._names, self._options = warehouse, names, options
        found = statement_lineage(
            self._texts(),
            "bigquery",
            partial(names.complete, options),
            options.skip,
            schema=names.schema,
            origin="view_definition",
        )
        self.targets = merge_by_target(target for target in found if target.asset.type == VIEW)

    def base_tables(self, view: Key) -> set[Key]:
        """The tables that a view reads, directly or through other views; empty if unknown."""
        found: set[Key] = set()
        seen, waiting = {view}, [view]
        while waiting:
            target = self.targets.get(waiting.pop())
            for key, source in target.sources.items() if target else ():
                if source.type != VIEW:
                    found.add(key)
                elif key not in seen:
                    seen.add(key)
                    waiting.append(key)
        return found

    def _texts(self) -> Iterator[LoggedStatement]:
        for key, ddl in self._names.materialized_views.items():
            if statement := self._statement(key, ddl):
                yield statement
        for place in self._names.places:
            for row in self._rows(place):
                key = place.project, row.schema_name, row.table_name
                if row.use_standard_sql == "NO":
                    self._options.skip(LEGACY_VIEW, ".".join(key))
                elif statement := self._statement(key, row.definition and creation(VIEW, key, row.definition)):
                    yield statement

    def _rows(self, place: Place) -> Iterable[DefinitionRow]:
        """The definitions of a place; dataset by dataset if there are too many. Counts unreadable places.

        Raises BigQuery's error if a single dataset has too many: every dataset can take as long.
        """
        try:
            return self._warehouse.rows(DefinitionRow, DEFINITIONS_SQL, place)
        except Exception as error:
            if is_too_much(error) and place.dataset is None:
                log.info("%s: reading views dataset by dataset, because of: %s", place, message(error))
                return chain.from_iterable(map(self._rows, self._parts(place)))
            if not is_statement_error(error):
                raise
            self._options.skip(UNREADABLE_VIEWS, f"{place}: {message(error)}")
            return ()

    def _parts(self, region: Place) -> Iterator[Place]:
        """The datasets of a region that VIEWS of the region has: linked ones are places of their own."""
        for dataset in self._warehouse.listings[region.project] or ():
            if dataset.location == region.location and dataset.type not in (LINKED, EXTERNAL):
                yield dataset.place

    def _statement(self, key: AssetKey, text: str | None) -> LoggedStatement | None:
        """A definition; counts a missing one. Names without a project are those of the view's project."""
        if not text:
            self._options.skip(NO_VIEW_TEXT, ".".join(key))
            return None
        return LoggedStatement(text, defaults=Defaults(key[0]))


def creation(kind: str, name: AssetKey, query: str) -> str:
    """The CREATE statement of a table or view with this query."""
    return f"{' '.join(('CREATE', kind, '.'.join(map(quote, name)), 'AS'))}\n{query}"


# --- jobs ------------------------------------------------------------------------------------------------


class History:
    """The tables that query jobs wrote and read, according to BigQuery. Temporary tables are replaced by their sources.

    BigQuery keeps temporary tables in hidden datasets, with a new name for each script and session.
    https://docs.cloud.google.com/bigquery/docs/multi-statement-queries#temporary_tables
    """

    def __init__(self, names: Names, transfers: Transfers, options: Options) -> None:
        self.targets: dict[Key, LineageTarget] = {}  # also those without a source
        self.textless: dict[Key, LineageTarget] = {}  # what jobs without a readable text wrote
        self.exported: dict[Key, Asset] = {}  # sources of EXPORT DATA, which has no destination table
        self._names, self._transfers, self._options = names, transfers, options
        self._temporaries: Recent[AssetKey, dict[Key, Asset]] = Recent(MAX_TEMPORARIES)

    def statements(self, warehouse: Warehouse) -> Iterator[LoggedStatement]:
        """Reads all jobs, and yields their statements."""
        for place, row in jobs(warehouse, self._options):
            if row.job_type != "QUERY":
                self._transfers.add(Transfer(row.end_time, row.job_id, place), row.target)
                continue
            has_sources = self._add(row)
            if row.query_text:
                yield logged(place, row, row.query_text)
            elif has_sources:
                self._options.skip(NO_TEXT, row.job_id)

    def _add(self, row: JobRow) -> bool:
        """Adds what BigQuery recorded about a job. Returns whether it read another table than its target."""
        sources: dict[Key, Asset] = {asset.key: asset for asset in self._sources(row)}
        if row.statement_type == "EXPORT_DATA":
            self.exported.update(sources)
        elif row.target and is_hidden(row.target[1]):
            self._temporaries[row.target] = (self._temporaries.get(row.target) or {}) | sources
        elif row.target and (asset := self._names.asset(*row.target)):
            for written in (self.targets,) if row.query_text else (self.targets, self.textless):
                target = written.setdefault(asset.key, LineageTarget(asset, "jobs", EXACT))
                for source in sources.values():
                    target.add(source)
            sources.pop(asset.key, None)
        return bool(sources)

    def _sources(self, row: JobRow) -> Iterator[Asset]:
        if row.unnamed:
            self._options.skip(UNNAMED_SOURCE, row.job_id, row.unnamed)
        for reference in row.references():
            if is_hidden(reference[1]):
                known = self._temporaries.get(reference)
                if known is None and reference != row.target:
                    self._options.skip(UNKNOWN_TEMPORARY, ".".join(reference))
                yield from (known or {}).values()
            elif asset := self._names.asset(*reference):
                yield asset


def logged(place: Place, row: JobRow, text: str) -> LoggedStatement:
    """A job's statement. A query with a destination table (a scheduled query) is parsed as CREATE TABLE … AS."""
    if row.statement_type == "SELECT" and row.target:
        text = creation(TABLE, row.target, text)
    return LoggedStatement(text, row.session, Defaults(place.project, default_dataset(place, row)), row.end_time)


def default_dataset(place: Place, row: JobRow) -> str | None:
    """The dataset of names without one, if it can be only one; JOBS does not have it."""
    found = {key[:2] for key in (row.target, *row.references()) if key}
    project, dataset = found.pop() if len(found) == 1 else (None, "")
    return dataset if project == place.project and not is_hidden(dataset) else None


# --- columns and views from the text -----------------------------------------------------------------------


class Text:
    """Adds what the query texts say to what BigQuery recorded. ``textless`` is what jobs without a text wrote."""

    def __init__(
        self,
        parsed: Mapping[Key, LineageTarget],
        textless: Mapping[Key, LineageTarget],
        views: Views,
        options: Options,
    ) -> None:
        self._parsed, self._textless, self._views, self._options = parsed, textless, views, options

    def added_to(self, exact: LineageTarget) -> LineageTarget:
        """Returns the recorded edges with columns, and with the views that the text reads instead of their base tables.

        BigQuery records the base tables of views. A source that only the text has is left out: a name that is resolved
        wrongly would become a wrong edge. Files (LOAD DATA) are in no record, and the text is enough.
        """
        parsed = self._parsed.get(exact.asset.key)
        if parsed is None:
            return exact
        views = {key: bases for key, bases in self._views_in(parsed) if not bases or bases & exact.sources.keys()}
        replaced = {base for bases in views.values() for base in bases} - parsed.sources.keys()
        if textless := self._textless.get(exact.asset.key):
            replaced -= textless.sources.keys()
        result = LineageTarget(exact.asset, exact.origin, exact.certainty)
        for (source, _), certainty in exact.sources_of(None).items():
            if source.key not in replaced:
                result.add(source, certainty=certainty)
        confirmed = set(result.sources)
        for name in (None, *parsed.columns):
            for (source, column), certainty in parsed.sources_of(name).items():
                if source.key in confirmed:
                    result.add(source, name, column)
                elif source.key in views or source.is_external:
                    result.add(source, name, column, certainty)
                elif name is None:
                    self._options.skip(UNCONFIRMED_SOURCE, f"{source} (source of {exact.asset})")
        return result

    def exports(self, exported: Mapping[Key, Asset]) -> Iterator[LineageTarget]:
        """Yields the files that EXPORT DATA statements write, with the sources that BigQuery recorded for them."""
        for parsed in self._parsed.values():
            if parsed.asset.is_external:
                named = set(parsed.sources).union(*(bases for _, bases in self._views_in(parsed)))
                target = LineageTarget(parsed.asset, "jobs", PARSED)
                for key in named & exported.keys():
                    target.add(exported[key])
                yield self.added_to(target)

    def count_unconfirmed(self, written: Mapping[Key, LineageTarget]) -> None:
        for key, parsed in self._parsed.items():
            if key not in written and not parsed.asset.is_external:
                self._options.skip(UNCONFIRMED_TARGET, str(parsed.asset))

    def _views_in(self, parsed: LineageTarget) -> Iterator[tuple[Key, set[Key]]]:
        for key, source in parsed.sources.items():
            if source.type == VIEW:
                yield key, self._views.base_tables(key)


# --- collector ---------------------------------------------------------------------------------------------


def edges(warehouse: Warehouse, options: Options) -> Iterator[LineageTarget]:
    """Yields all targets; a target can occur more than once."""
    names = Names(schema_of(options.arguments), options.arguments.collapse_date_shards)
    names.read(warehouse, options)
    views = Views(warehouse, names, options)
    yield from views.targets.values()

    transfers = Transfers(warehouse, names, options)
    history = History(names, transfers, options)
    parsed = merge_by_target(
        statement_lineage(
            history.statements(warehouse),
            "bigquery",
            partial(names.complete, options),
            options.skip,
            schema=names.schema,
        )
    )
    textless = merge_by_target(chain(history.textless.values(), transfers.targets(), names.clones))
    written = merge_by_target(chain(history.targets.values(), textless.values()))
    # Jobs such as DROP TABLE and DELETE have a destination, and lose no lineage.
    with_sources = (target for key, target in written.items() if target.sources or key in parsed)
    for asset in missing_tables(with_sources, names.exists):
        if options.filters.allows(*asset.key):
            options.skip(MISSING_DESTINATION, str(asset))
    existing = merge_by_target(bypass_missing_tables(written, names.exists))
    texts = merge_by_target(bypass_missing_tables(parsed, names.exists))
    textless = merge_by_target(bypass_missing_tables(textless, names.exists))
    text = Text(texts, textless, views, options)
    text.count_unconfirmed(written)
    for key, target in written.items():
        # Definitions have the lineage of views. If a job wrote one, it was a table then, or a materialized view.
        if target.asset.type != VIEW and (key in existing or key in texts):
            yield text.added_to(existing.get(key) or LineageTarget(target.asset, target.origin, EXACT))
    yield from text.exports(history.exported)


def collect(warehouse: Warehouse, options: Options) -> Iterator[LineageRecord]:
    """Yields one record for each target that has a source and that the filters select, by name."""
    found = merge_by_target(edges(warehouse, options))
    for target in sorted(found.values(), key=lambda target: target.asset.key):
        stop_if_asked()
        if target.sources and options.filters.allows(*target.asset.key):
            yield target.ordered().record()


def targets(warehouse: Warehouse, options: Options) -> Iterator[str]:
    """Yields a line for each target, as ``--list`` prints it: full name, number of sources and columns."""
    return map(listed, collect(warehouse, options))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_schema_argument(parser)
    add_shard_argument(parser)


COLLECTOR = Collector(
    flow="lineage",
    warehouse="bigquery",
    resource="bigquery",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect table and column lineage from BigQuery into a manifest.",
    latency=LATENCY,
    retention=RETENTION,
    clock=clock,
    arguments=add_arguments,
    estimate=estimator(collect),
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
