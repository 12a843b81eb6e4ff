# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "pyhive[hive-pure-sasl]>=0.7,<0.8",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
# ]
# ///
"""Collects metadata: tables and views of all databases, with columns, view SQL, volume and freshness.

With HIVE_METASTORE_URL it reads the metastore database, otherwise HiveServer2. Writes a manifest, ``metadata.jsonl``.
Needs the grants and variables listed in README.md; changes nothing in the warehouse.

    python collect_metadata.py --include 'hive.sales.*' --manifest metadata.jsonl.gz

The metastore database takes a constant number of statements. HiveServer2 takes one or two statements for each table
(server_tables.py), which a pool of sessions runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import connection
from mcpush.collect.collector import Collector, Options, run_collect
from mcpush.collect.driver_errors import explained
from mcpush.errors import PushIngestionError
from mcpush.records import TableRecord
from metastore import metastore_source
from metastore_errors import read_metastore_error
from metastore_url import URL_VARIABLE
from server_records import ServerSource


class Source(Protocol):
    """Where tables are read: server_records.py or metastore.py."""

    def records(self, options: Options) -> Iterator[TableRecord]: ...

    def targets(self, options: Options) -> Iterator[str]: ...


@contextmanager
def connect() -> Iterator[Source]:
    """Connects to the metastore database, or to HiveServer2 if there is no URL of one."""
    if os.environ.get(URL_VARIABLE):
        with metastore_source() as source:
            yield source
    else:
        with connection.connect() as hive:
            yield ServerSource(hive)


def collect(source: Source, options: Options) -> Iterator[TableRecord]:
    return source.records(options)


def targets(source: Source, options: Options) -> Iterator[str]:
    return source.targets(options)


def explain(error: BaseException) -> PushIngestionError | None:
    """Converts an error of either source to a PushIngestionError with a remedy; None for other errors."""
    return explained(read_metastore_error(error)) or connection.explain(error)


COLLECTOR = Collector(
    flow="metadata",
    warehouse="hive",
    resource="data-lake",
    connect=connect,
    collect=collect,
    targets=targets,
    explain=explain,
    description="Collect tables, views, columns, volume and freshness from Apache Hive into a manifest.",
)

if __name__ == "__main__":
    sys.exit(run_collect(COLLECTOR))
