"""The contents of a local Databricks as plain data. filling.py converts them to rows of views and what commands show.

Names of catalogs, schemas and tables are in lower case, as Unity Catalog stores them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

OWNER = "owner@example.com"


@dataclass(frozen=True)
class Column:
    """A column. ``type`` is the full type, e.g. decimal(12,2) or struct<a:int>. ``tags``: name → value."""

    name: str
    type: str
    comment: str | None = None
    nullable: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Commit:
    """A version in the history of a table. ``operation``: WRITE, MERGE, OPTIMIZE, …"""

    version: int
    time: datetime
    operation: str = "WRITE"
    metrics: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Relation:
    """A table or view. ``kind`` is TABLES.table_type, in hive_metastore MANAGED, EXTERNAL or VIEW.

    ``rows`` is what SHOW STATISTICS knows: None before ANALYZE. ``size`` is what DESCRIBE DETAIL knows,
    ``active_bytes`` what the newest row of table_metrics_history has; without such a row it is None. ``is_owned``:
    whether the collector owns it, and so sees the definition of a view. ``altered`` is LAST_ALTERED, which is not about
    the data.
    """

    catalog: str
    schema: str
    name: str
    columns: tuple[Column, ...]
    created: datetime
    kind: str = "MANAGED"
    format: str = "DELTA"
    comment: str | None = None
    owner: str = OWNER
    altered: datetime | None = None
    rows: int | None = None
    size: int | None = None
    active_bytes: int | None = None
    history: tuple[Commit, ...] = ()
    definition: str | None = None
    is_owned: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    location: str = "s3://bucket/tables/7f3c8a52"

    @property
    def path(self) -> tuple[str, str, str]:
        return self.catalog, self.schema, self.name


@dataclass
class Warehouse:
    """Everything that fills a server. ``catalogs`` are those of Unity Catalog, without system. Relations in other
    catalogs are in the Hive metastore. ``schemas`` are empty ones: (catalog, name). ``schema_tags``, ``catalog_tags``:
    name → tags. ``rows`` are rows of further views: view → rows with the view's columns; times are datetimes.
    """

    catalogs: Sequence[str]
    relations: list[Relation] = field(default_factory=list)
    schemas: list[tuple[str, str]] = field(default_factory=list)
    catalog_tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    schema_tags: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    rows: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
