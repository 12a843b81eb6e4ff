"""The sandbox's memory: one SQLite file in write-ahead-log mode, one writer, as many readers as ask.

`Store.write` runs a function in the one writing thread, in one transaction, and returns when it is on disk,
so that an accepted push is visible to the next query and after a restart. `Store.reading()` is a connection
for the calling thread that cannot write. Times are microseconds since 1970 UTC. Needs only the standard
library.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

FILE_NAME = "sandbox.db"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pushes (
    push_id       INTEGER PRIMARY KEY,
    invocation_id TEXT NOT NULL UNIQUE,
    flow          TEXT NOT NULL,
    event_type    TEXT NOT NULL,
    log_type      TEXT,
    received      INTEGER NOT NULL,
    events        INTEGER NOT NULL,
    raw_bytes     INTEGER NOT NULL,
    spread        INTEGER NOT NULL,      -- 0: queries that are only in the body yet
    body          BLOB NOT NULL          -- the request as it came, zlib
);

CREATE INDEX IF NOT EXISTS pushes_to_spread ON pushes (push_id) WHERE spread = 0;

-- A cross-warehouse lineage push belongs to several.
CREATE TABLE IF NOT EXISTS push_resources (
    push_id  INTEGER NOT NULL REFERENCES pushes,
    resource TEXT NOT NULL,
    PRIMARY KEY (push_id, resource)
) WITHOUT ROWID;

-- Whatever metadata or lineage has named.
CREATE TABLE IF NOT EXISTS nodes (
    node_id       INTEGER PRIMARY KEY,
    resource      TEXT NOT NULL,
    full_table_id TEXT NOT NULL,
    type          TEXT NOT NULL,
    database      TEXT NOT NULL,
    schema        TEXT NOT NULL,
    name          TEXT NOT NULL,
    UNIQUE (resource, full_table_id)
);

-- What metadata has said of it last.
CREATE TABLE IF NOT EXISTS assets (
    node_id       INTEGER PRIMARY KEY REFERENCES nodes,
    description   TEXT,
    view_query    TEXT,
    created_on    INTEGER,
    tags          TEXT NOT NULL,         -- JSON
    first_seen    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    invocation_id TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS versions (
    version_id INTEGER PRIMARY KEY,
    node_id    INTEGER NOT NULL REFERENCES nodes,
    seen       INTEGER NOT NULL,
    fields     TEXT NOT NULL             -- JSON, as pushed
);
CREATE INDEX IF NOT EXISTS versions_of_node ON versions (node_id, version_id);

CREATE TABLE IF NOT EXISTS volumes (
    node_id    INTEGER NOT NULL REFERENCES nodes,
    measured   INTEGER NOT NULL,
    row_count  INTEGER,
    byte_count INTEGER
);
CREATE INDEX IF NOT EXISTS volumes_of_node ON volumes (node_id, measured);

CREATE TABLE IF NOT EXISTS freshness (
    node_id     INTEGER NOT NULL REFERENCES nodes,
    measured    INTEGER NOT NULL,
    last_update INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS freshness_of_node ON freshness (node_id, measured);

CREATE TABLE IF NOT EXISTS edges (
    source      INTEGER NOT NULL REFERENCES nodes,
    destination INTEGER NOT NULL REFERENCES nodes,
    seen        INTEGER NOT NULL,
    PRIMARY KEY (source, destination)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS edges_into ON edges (destination);

CREATE TABLE IF NOT EXISTS column_edges (
    source             INTEGER NOT NULL REFERENCES nodes,
    source_column      TEXT NOT NULL,
    destination        INTEGER NOT NULL REFERENCES nodes,
    destination_column TEXT NOT NULL,
    seen               INTEGER NOT NULL,
    PRIMARY KEY (source, source_column, destination, destination_column)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS column_edges_into ON column_edges (destination);

-- The queries of the pushes that are spread. A shape is a text without its literals and spacing.
CREATE TABLE IF NOT EXISTS queries (
    push_id  INTEGER NOT NULL REFERENCES pushes,
    resource TEXT NOT NULL,
    shape_id INTEGER NOT NULL REFERENCES shapes,
    started  INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    user     TEXT,
    query_id TEXT,
    position INTEGER NOT NULL            -- in the push's events
);
CREATE INDEX IF NOT EXISTS queries_of_shape ON queries (shape_id, resource, started);

CREATE TABLE IF NOT EXISTS shapes (
    shape_id INTEGER PRIMARY KEY,        -- a hash
    log_type TEXT NOT NULL,
    text     TEXT NOT NULL,              -- one of the texts of this shape
    read     INTEGER NOT NULL DEFAULT 0, -- whether its tables are known
    category TEXT
);

CREATE TABLE IF NOT EXISTS shape_tables (
    shape_id INTEGER NOT NULL REFERENCES shapes,
    access   TEXT NOT NULL,              -- read or write
    parts    TEXT NOT NULL,              -- JSON list of the one to three parts of the name
    PRIMARY KEY (shape_id, access, parts)
) WITHOUT ROWID;
"""


class Store:
    """The one database of a data directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._thread = threading.local()
        self._writing = self._connect(check_same_thread=False)
        self._writing.execute("PRAGMA journal_mode = WAL")
        # Survives a kill of the process; only a power cut could take back the last pushes.
        self._writing.execute("PRAGMA synchronous = NORMAL")
        self._writing.executescript(_SCHEMA)

    def _connect(self, *, check_same_thread: bool = True) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=check_same_thread)
        connection.execute("PRAGMA cache_size = -32000")
        return connection

    def reading(self) -> sqlite3.Connection:
        """Return the calling thread's own read-only connection."""
        connection: sqlite3.Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            self._thread.connection = connection
        return connection

    def submit(self, work: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """Run `work` in the writing thread, in one transaction that an exception rolls back."""
        return self._writer.submit(self._transact, work)

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `work` as `submit` does, and wait for it."""
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
        """Finish what is being written, then close."""
        self._writer.shutdown(wait=True)
        self._writing.close()
