"""Looks up which tables of the lineage still exist, and their types. Lineage keeps the names of dropped tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from connection import Warehouse, is_statement_error, is_too_much, quote
from error_table import message
from kinds import asset_type
from mcpush.collect.collector import Options
from mcpush.records import Asset, AssetKey

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/tables
EXISTING_TABLES_SQL = """
SELECT
    t.table_schema AS table_schema,
    t.table_name AS table_name,
    t.table_type AS table_type
FROM {catalog}.information_schema.tables AS t
WHERE t.table_catalog = :catalog
"""

NOT_LISTED = "catalog without visible tables: dropped and renamed tables in it are not recognized"


class TableRow(NamedTuple):
    """A row of EXISTING_TABLES_SQL."""

    table_schema: str
    table_name: str
    table_type: str


class ExistingTables:
    """The tables of the lineage that this principal sees. Those of a catalog in which it sees none can all exist."""

    def __init__(self) -> None:
        self._types: dict[AssetKey, str] = {}
        self._listed: set[str] = set()

    def read(self, warehouse: Warehouse, keys: Collection[AssetKey], options: Options) -> None:
        """Look up these tables, catalog by catalog."""
        for catalog in sorted({key[0] for key in keys}):
            try:
                for row in warehouse.rows(
                    TableRow, EXISTING_TABLES_SQL.format(catalog=quote(catalog)), catalog=catalog
                ):
                    self._add(catalog, row, keys)
            except Exception as error:
                if not (is_statement_error(error) or is_too_much(error)):
                    raise
                self._listed.discard(catalog)
                options.skip(NOT_LISTED, f"{catalog}: {message(error)}")
            else:
                if catalog not in self._listed:
                    options.skip(NOT_LISTED, catalog)

    def _add(self, catalog: str, row: TableRow, keys: Collection[AssetKey]) -> None:
        key = catalog, row.table_schema, row.table_name
        if row.table_schema != "information_schema":  # everybody sees it
            self._listed.add(catalog)
        if key in keys:
            self._types[key] = row.table_type

    def exists(self, asset: Asset) -> bool:
        """False only if this principal sees tables of the catalog, and not this one."""
        return asset.database not in self._listed or asset.key in self._types

    def asset(self, key: AssetKey, kind: str) -> Asset:
        """The asset, typed as in the metadata; for a table that is not visible, by the type that its lineage has."""
        return Asset(asset_type(self._types.get(key, kind)), *key)
