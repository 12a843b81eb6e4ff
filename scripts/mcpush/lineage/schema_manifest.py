"""Reads the catalog from a metadata manifest, to expand SELECT * in SQL lineage."""

from __future__ import annotations

import argparse
from pathlib import Path

from mcpush import manifest
from mcpush.sql.names import Schema


def add_schema_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--schema-manifest``, which ``schema_of`` reads."""
    parser.add_argument(
        "--schema-manifest",
        type=Path,
        metavar="FILE",
        help="metadata manifest of the same warehouse, to expand SELECT * in query text",
    )


def schema_of(arguments: argparse.Namespace) -> Schema:
    """The catalog in the manifest given with ``--schema-manifest``; an empty catalog without the option.

    Raises ``manifest.ManifestError`` if the file is not a complete manifest.
    """
    path: Path | None = arguments.schema_manifest
    return schema_from_manifest(path) if path else Schema()


def schema_from_manifest(path: Path) -> Schema:
    """The tables of a metadata manifest with their columns.

    Raises ``manifest.ManifestError`` if the file is not a complete manifest.
    """
    return Schema.from_records(manifest.read(path, flow="metadata"))
