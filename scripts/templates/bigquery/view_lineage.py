"""Lineage of views and materialized views, parsed from their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from connection import Place, Warehouse, is_statement_error, quote
from error_table import message
from mcpush.collect.catalog import NO_VIEW_TEXT, read_or_skip
from mcpush.collect.collector import Options
from mcpush.lineage.graph import Key, merge_by_target
from mcpush.lineage.query_log import LoggedStatement, statement_lineage
from mcpush.records import AssetKey
from mcpush.sql import Defaults
from names import VIEW, Names

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

LEGACY_VIEW = "view in legacy SQL: its sources are not parsed"


class DefinitionRow(NamedTuple):
    """A row of DEFINITIONS_SQL."""

    schema_name: str
    table_name: str
    definition: str | None
    use_standard_sql: str


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
                elif statement := self._statement(key, row.definition and _create_view(key, row.definition)):
                    yield statement

    def _rows(self, place: Place) -> Iterator[DefinitionRow]:
        found = read_or_skip(
            self._options,
            NO_VIEW_TEXT,
            lambda: self._warehouse.rows(DefinitionRow, DEFINITIONS_SQL, place),
            is_statement_error,
            lambda error: f"{place}: {message(error)}",
        )
        yield from found or ()

    def _statement(self, key: AssetKey, text: str | None) -> LoggedStatement | None:
        """A definition; counts a missing one. Names without a project are those of the view's project."""
        if not text:
            self._options.skip(NO_VIEW_TEXT, ".".join(key))
            return None
        return LoggedStatement(text, defaults=Defaults(key[0]))


def _create_view(key: AssetKey, definition: str) -> str:
    return f"CREATE VIEW {'.'.join(map(quote, key))} AS\n{definition}"
