"""Lineage from texts: what a ``LineageLog`` has read of statements, as destinations with full names.

    with LineageLog("redshift", schema=schema_of(options)) as log:
        for row in rows:
            log.add(row.text, session=row.session, defaults=Defaults(row.database, None), at=row.start)
        yield from read_log(log, complete, options)

Only for collectors that read SQL: it needs sqlglot, which graph.py does not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mcpush.collect.collector import Options
from mcpush.lineage.graph import PARTIAL, Asset, Destination
from mcpush.lineage.query_log import LineageLog, schema_from_manifest
from mcpush.records import Json
from mcpush.sql import Schema


class Named(NamedTuple):
    """The asset that a name in a text stands for. ``is_sure`` is False where that is likely, but a guess."""

    asset: Asset
    is_sure: bool = True


# From a reference (a record's ``destination``, or one of its ``sources``), whose database and schema may be None. The
# API takes full names only: None for one that stays without, counted where that is a loss.
Complete = Callable[[Json, Options], "Named | None"]


def read_log(log: LineageLog, complete: Complete, options: Options) -> Iterator[Destination]:
    """The log's destinations that have a source. What it could not read is counted.

    Two may be of the same asset, where ``complete`` makes one of two names: ``gathered`` brings them together.
    """
    for record in log.records():
        target = complete(record["destination"], options)
        if target is None:
            continue
        sources = [complete(source, options) for source in record["sources"]]
        is_sure = all(each.is_sure for each in (target, *sources) if each)
        destination = Destination(target.asset, record["origin"], record["certainty"] if is_sure else PARTIAL)
        for source in filter(None, sources):
            destination.add(source.asset)
        for column in record["columns"]:
            for mapping in column["sources"]:
                if source := sources[mapping["source"]]:
                    destination.add(source.asset, column["name"], mapping["name"])
        if destination.sources:
            yield destination
    for reason, (count, example) in log.skipped.items():
        options.skip(reason, example, count)


def add_schema_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--schema-manifest",
        type=Path,
        metavar="FILE",
        help="metadata manifest of the same warehouse: the columns that SELECT * stands for when text is read",
    )


def schema_of(options: Options) -> Schema:
    """The catalog in the manifest that ``--schema-manifest`` names; an empty one without it."""
    path: Path | None = options.arguments.schema_manifest
    return schema_from_manifest(path) if path else Schema()
