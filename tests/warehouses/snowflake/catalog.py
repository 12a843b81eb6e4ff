"""Reads Snowflake's documented catalog from ``catalog.toml`` into plain objects.

The test server uses it to create its system views, and static checks of the templates' SQL use it to find out which
views and columns exist. Needs the standard library; on Python 3.10 also ``tomli``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

CATALOG_FILE = Path(__file__).resolve().parents[3] / "scripts/templates/snowflake/catalog.toml"


@dataclass(frozen=True)
class SystemView:
    """One documented view. ``columns`` maps names to documented types, in the page's order."""

    name: str
    page: str
    scope: str
    columns: dict[str, str]
    latency: str | None
    role: str | None


@dataclass(frozen=True)
class ShowCommand:
    """One documented SHOW command. ``columns`` are in lowercase and in the page's order."""

    name: str
    page: str
    columns: tuple[str, ...]
    row_cap: int
    above_row_cap: str


@dataclass(frozen=True)
class Catalog:
    """Views by full name (``INFORMATION_SCHEMA.TABLES``, ``SNOWFLAKE.ACCOUNT_USAGE.…``), commands by their words."""

    views: dict[str, SystemView]
    commands: dict[str, ShowCommand]


@cache
def documented_catalog() -> Catalog:
    """The content of ``catalog.toml``. Raises ``KeyError`` if an entry has no value for a required field."""
    document: dict[str, Any] = tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"))
    views = {
        name: SystemView(
            name=name,
            page=entry["page"],
            scope=entry["scope"],
            columns=entry["columns"],
            latency=entry.get("latency"),
            role=entry.get("role"),
        )
        for name, entry in document["views"].items()
    }
    commands = {
        name: ShowCommand(
            name=name,
            page=entry["page"],
            columns=tuple(entry["columns"]),
            row_cap=entry["row_cap"],
            above_row_cap=entry["above_row_cap"],
        )
        for name, entry in document["commands"].items()
    }
    return Catalog(views=views, commands=commands)
