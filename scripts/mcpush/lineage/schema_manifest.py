"""Reads the catalog from a metadata manifest, to expand SELECT * in SQL lineage."""

from __future__ import annotations

import argparse
from pathlib import Path

from mcpush import manifest
from mcpush.sql.names import Schema

CORRECT_FILE = "With --schema-manifest, pass a complete manifest of collect_metadata.py of the same release."


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
    try:
        return schema_from_manifest(path) if path else Schema()
    except manifest.ManifestError as error:  # its remedy is that of a push
        raise manifest.ManifestError(str(error), CORRECT_FILE) from error


def schema_from_manifest(path: Path) -> Schema:
    """The tables of a metadata manifest with their columns.

    Raises ``manifest.ManifestError`` if the file is not a complete manifest.
    """
    return Schema.from_records(manifest.read(path, flow="metadata"))
