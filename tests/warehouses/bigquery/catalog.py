"""Reads the documented views of catalog.toml, for the server and the harnesses."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "INFORMATION_SCHEMA."
FILE = Path(__file__).resolve().parents[3] / "scripts/templates/bigquery/catalog.toml"


@dataclass(frozen=True)
class View:
    """A documented view. ``columns`` maps names to GoogleSQL types. ``has_dataset_scope``: whether a dataset can
    qualify it, and not only a region.
    """

    name: str
    columns: dict[str, str]
    has_dataset_scope: bool


@dataclass(frozen=True)
class Catalog:
    views: dict[str, View]
    commands: tuple[str, ...]


@cache
def documented_catalog() -> Catalog:
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    views = {
        name: View(name, dict(entry["columns"]), "dataset" in entry["scope"])
        for name, entry in document["views"].items()
    }
    return Catalog(views, tuple(document["commands"]))
