"""Stores everything in one SQLite file in write-ahead-log mode, with one writer thread and any number of readers.

`Store.write` runs a function in the writer thread, in one transaction, and returns after the commit, so that an
accepted push is visible to the next query and after a restart. `Store.reading()` returns a read-only connection for the
calling thread. Times are microseconds since 1970 UTC. A file of another version of the sandbox is rejected with
StoreError and not changed. Needs only the standard library.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

FILE_NAME = "sandbox.db"

# Stored in the file as its user_version. Increase it when _SCHEMA changes.
SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE pushes (
    push_id       INTEGER PRIMARY KEY,
    invocation_id TEXT NOT NULL UNIQUE,
    flow          TEXT NOT NULL,
    event_type    TEXT NOT NULL,
    log_type      TEXT,
    received      INTEGER NOT NULL,
    events        INTEGER NOT NULL,
    raw_bytes     INTEGER NOT NULL,
    body          BLOB NOT NULL          -- the request as received, zlib
);

-- Query log pushes whose queries are not in `queries` yet.
CREATE TABLE pushes_to_spread (
    push_id INTEGER PRIMARY KEY REFERENCES pushes
);

-- A lineage push across warehouses has several resources.
CREATE TABLE push_resources (
    push_id  INTEGER NOT NULL REFERENCES pushes,
    resource TEXT NOT NULL,
    flow     TEXT NOT NULL,
    PRIMARY KEY (push_id, resource)
) WITHOUT ROWID;
CREATE INDEX pushes_of_resource ON push_resources (resource, flow, push_id);

-- Every asset that metadata or lineage has named.
CREATE TABLE nodes (
    node_id       INTEGER PRIMARY KEY,
    resource      TEXT NOT NULL,
    full_table_id TEXT NOT NULL,
    type          TEXT NOT NULL,
    database      TEXT NOT NULL,
    schema        TEXT NOT NULL,
    name          TEXT NOT NULL,
    folded_name   TEXT NOT NULL,         -- in lower case, for matching query texts
    UNIQUE (resource, full_table_id)
);
CREATE INDEX nodes_in_order ON nodes (full_table_id, resource);
CREATE INDEX nodes_named ON nodes (resource, folded_name);

-- The latest metadata of a node.
CREATE TABLE assets (
    node_id       INTEGER PRIMARY KEY REFERENCES nodes,
    description   TEXT,
    view_query    TEXT,
    created_on    INTEGER,
    tags          TEXT NOT NULL,         -- JSON
    first_seen    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    invocation_id TEXT NOT NULL
);
CREATE INDEX assets_of_push ON assets (invocation_id);

CREATE TABLE versions (
    version_id INTEGER PRIMARY KEY,
    node_id    INTEGER NOT NULL REFERENCES nodes,
    seen       INTEGER NOT NULL,
    fields     TEXT NOT NULL             -- JSON, as pushed
);
CREATE INDEX versions_of_node ON versions (node_id, version_id);

CREATE TABLE volumes (
    node_id    INTEGER NOT NULL REFERENCES nodes,
    measured   INTEGER NOT NULL,
    row_count  INTEGER,
    byte_count INTEGER
);
CREATE INDEX volumes_of_node ON volumes (node_id, measured);

CREATE TABLE freshness (
    node_id     INTEGER NOT NULL REFERENCES nodes,
    measured    INTEGER NOT NULL,
    last_update INTEGER NOT NULL
);
CREATE INDEX freshness_of_node ON freshness (node_id, measured);

CREATE TABLE edges (
    source      INTEGER NOT NULL REFERENCES nodes,
    destination INTEGER NOT NULL REFERENCES nodes,
    seen        INTEGER NOT NULL,
    PRIMARY KEY (source, destination)
) WITHOUT ROWID;
CREATE INDEX edges_into ON edges (destination);

CREATE TABLE column_edges (
    source             INTEGER NOT NULL REFERENCES nodes,
    source_column      TEXT NOT NULL,
    destination        INTEGER NOT NULL REFERENCES nodes,
    destination_column TEXT NOT NULL,
    seen               INTEGER NOT NULL,
    PRIMARY KEY (source, source_column, destination, destination_column)
) WITHOUT ROWID;
CREATE INDEX column_edges_into ON column_edges (destination);

-- The queries of indexed pushes. The primary key is for the usual query: one shape in a time window.
CREATE TABLE queries (
    shape_id INTEGER NOT NULL REFERENCES shapes (shape_id),
    started  INTEGER NOT NULL,
    push_id  INTEGER NOT NULL REFERENCES pushes,
    position INTEGER NOT NULL,           -- in the push's events
    ended    INTEGER NOT NULL,
    user     TEXT,
    PRIMARY KEY (shape_id, started, push_id, position)
) WITHOUT ROWID;

-- A shape is a query text without its literals and whitespace, in one warehouse.
CREATE TABLE shapes (
    number   INTEGER PRIMARY KEY,        -- in the order of insertion
    shape_id INTEGER NOT NULL UNIQUE,    -- a hash
    resource TEXT NOT NULL,
    log_type TEXT NOT NULL,
    text     TEXT NOT NULL,              -- the first text of this shape
    parsed   INTEGER NOT NULL DEFAULT 0, -- whether its tables are known
    category TEXT
);

CREATE TABLE shape_tables (
    resource TEXT NOT NULL,
    parts    TEXT NOT NULL,              -- JSON list of the one to three parts of the name
    access   TEXT NOT NULL,              -- read or write
    shape_id INTEGER NOT NULL REFERENCES shapes (shape_id),
    PRIMARY KEY (resource, parts, access, shape_id)
) WITHOUT ROWID;

-- For each requested table name: shapes up to `number` that contain the name have been parsed.
CREATE TABLE names_asked (
    resource TEXT NOT NULL,
    name     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    PRIMARY KEY (resource, name)
) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The database cannot be used; the message says why and what to do."""


def make_private(path: Path) -> None:
    """Create a file that only its owner can read, or make it so. SQLite gives its -wal and -shm files the same mode."""
    for each in (path, *path.parent.glob(f"{path.name}-*")):
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        os.close(os.open(each, flags, 0o600))
        each.chmod(0o600)


class Store:
    """The database of a data directory. Raises StoreError if it cannot be opened or written."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._thread = threading.local()
        try:
            make_private(self._path)
            self._writing = self._connect(check_same_thread=False)
            self._prepare()
        except (sqlite3.Error, OSError) as problem:
            raise StoreError(f"{self._path}: {problem}") from problem

    def _prepare(self) -> None:
        """Create the tables of a new file; check the version of an existing one."""
        ((version,),) = self._writing.execute("PRAGMA user_version")
        ((tables,),) = self._writing.execute("SELECT count(*) FROM sqlite_master")
        if tables and version != SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} was created by another version of the sandbox (it has data version {version}, this one "
                f"needs {SCHEMA_VERSION}): use another directory, or delete the file to start over"
            )
        self._writing.execute("PRAGMA journal_mode = WAL")
        # Committed pushes survive a killed process. Only a power failure can lose the latest ones.
        self._writing.execute("PRAGMA synchronous = NORMAL")
        if not tables:
            self._writing.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def _connect(self, *, check_same_thread: bool = True) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=check_same_thread)
        connection.execute("PRAGMA cache_size = -32000")
        return connection

    def reading(self) -> sqlite3.Connection:
        """Return the calling thread's read-only connection."""
        connection: sqlite3.Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            self._thread.connection = connection
        return connection

    def submit(self, work: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """Run `work` in the writer thread, in one transaction. An exception rolls it back."""
        return self._writer.submit(self._transact, work)

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `work` as `submit` does, and wait for its result."""
        return await asyncio.wrap_future(self.submit(work))

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._writing)
        except BaseException:
            self._writing.execute("ROLLBACK")
            raise
        self._writing.execute("COMMIT")
        return result

    def close(self) -> None:
        """Finish pending writes, then close."""
        self._writer.shutdown(wait=True)
        self._writing.close()
