"""The rows of the information schema about the system's own objects: itself, and the catalog system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.warehouses.databricks.catalog import INFORMATION_SCHEMA, SYSTEM, Catalog, Columns

OWNER = "System user"
CREATED = "2024-01-01T00:00:00Z"
Row = dict[str, Any]


def rows(catalogs: Sequence[str], documented: Catalog) -> dict[str, list[Row]]:
    """The rows of each information schema view."""
    found: dict[str, list[Row]] = {}
    for view, row in _rows(catalogs, documented):
        found.setdefault(f"{INFORMATION_SCHEMA}.{view}", []).append(row)
    return found


def _rows(catalogs: Sequence[str], documented: Catalog) -> Iterator[tuple[str, Row]]:
    common = {"created": CREATED, "created_by": OWNER, "last_altered": CREATED, "last_altered_by": OWNER}
    for catalog in catalogs:
        yield "catalogs", {"catalog_name": catalog, "catalog_owner": OWNER, **common}
        seen = set()
        for schema, name, columns in _objects(catalog, documented):
            if schema not in seen:
                seen.add(schema)
                yield "schemata", {"catalog_name": catalog, "schema_name": schema, "schema_owner": OWNER, **common}
            place = {"table_catalog": catalog, "table_schema": schema, "table_name": name}
            kind = "VIEW" if schema == INFORMATION_SCHEMA else "MANAGED"
            yield "tables", {**place, "table_type": kind, "table_owner": OWNER, **common}
            if schema == INFORMATION_SCHEMA:
                yield "views", {**place, "view_definition": None}
            for at, (column, full_type) in enumerate(columns.items()):
                place_of_column = {"column_name": column, "ordinal_position": at + 1, "is_nullable": "YES"}
                yield "columns", {**place, **place_of_column, "full_data_type": full_type.lower()}


def _objects(catalog: str, documented: Catalog) -> Iterator[tuple[str, str, Columns]]:
    """(schema, name, columns) of each view that a catalog has by itself."""
    for view, columns in documented.views.items():
        *database, schema, name = view.split(".")
        if schema == INFORMATION_SCHEMA or (database and catalog == SYSTEM):
            yield schema, name, columns
