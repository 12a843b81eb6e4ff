"""Reads the documented views and commands of catalog.toml, for the server and the tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).resolve().parents[3] / "scripts/templates/databricks/catalog.toml"
INFORMATION_SCHEMA = "information_schema"
SYSTEM = "system"
HIVE = "hive_metastore"  # the catalog of the Hive metastore, which has no information schema

Columns = Mapping[str, str]


@dataclass(frozen=True)
class Catalog:
    """Views and commands with their columns and types. Views are ``information_schema.NAME``, which every catalog has,
    or ``system.SCHEMA.NAME``.
    """

    views: Mapping[str, Columns]
    commands: Mapping[str, Columns]

    def view_of(self, catalog: str, schema: str, name: str) -> str | None:
        """The documented view of this name, or None."""
        view = f"{schema}.{name}" if schema == INFORMATION_SCHEMA else f"{catalog}.{schema}.{name}"
        return view if view in self.views else None


@cache
def documented_catalog() -> Catalog:
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Catalog(
        {name: dict(entry["columns"]) for name, entry in document["views"].items()},
        {name: dict(entry.get("columns", {})) for name, entry in document["commands"].items()},
    )


def catalog_column(columns: Columns) -> str:
    """The column of an information schema view that has the catalog."""
    return "table_catalog" if "table_catalog" in columns else "catalog_name"
