"""Indexes pushed queries, and returns the results of `getAggregatedQueries` for a table.

A query log push only stores its body. `Indexing` turns the queries in the bodies into rows in the background, thousands
at a time, because writing the rows of each push separately costs four times as much. `getAggregatedQueries` first
indexes the remaining pushes. The tables of a query are found by parsing its text, once per shape (a text without its
literals), when somebody first requests the queries of a table that the text names.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from graphql import GraphQLError
from paging import read_cursor, write_cursor
from query_tables import TableAccess, shape_of, table_access
from reading import NodeRow, Reading
from resolving import datetime_argument
from shapes import iso, microseconds
from store import Store

# Limits how long one transaction delays pushes that arrive during it.
_QUERIES_PER_TRANSACTION = 10_000
# Seconds. Pushes that arrive during the pause are indexed together.
_MIN_PAUSE = 1.0
_SHAPES_PER_WRITE = 500
DEFAULT_CHARACTERS = 1000


@dataclass(frozen=True)
class AggregatedQuery:
    """The schema's type of the same name: the runs of one query in the window, regardless of its literals."""

    date: str
    query_hash: str
    group_id: str
    user: str | None
    category: str | None
    latest_query: str
    latest_query_id: str | None
    latest_query_timestamp: str
    count: int
    average_run_time: int


@dataclass(frozen=True)
class NextPage:
    """The schema's `NextPageInfo`."""

    has_next_page: bool
    end_cursor: str | None


@dataclass(frozen=True)
class AggregatedQueries:
    """The schema's `AggregatedQueryResults`."""

    aggregated_queries: list[AggregatedQuery]
    page_info: NextPage


@dataclass(frozen=True)
class QueriesRequest:
    """The arguments of `getAggregatedQueries`. Times are in microseconds since 1970 UTC."""

    start: int
    end: int
    access: str
    limit: int
    cursor: str | None
    category: str | None
    user: str | None
    characters: int | None


def queries_request(start_time: str, end_time: str, query_type: str, limit: int, **rest: Any) -> QueriesRequest:
    """Parse the arguments of `getAggregatedQueries`. Raises GraphQLError."""
    if limit < 1:
        raise GraphQLError("limit: must be at least 1")
    return QueriesRequest(
        start=datetime_argument(start_time, "startTime"),
        end=datetime_argument(end_time, "endTime"),
        access=query_type,
        limit=limit,
        **rest,
    )


def read_queries(reading: Reading, node: NodeRow, request: QueriesRequest) -> AggregatedQueries:
    """Return a page of the queries that read or wrote a table, most frequent first. Raises GraphQLError."""
    index_all(reading.store)
    parse_queries_naming(reading.store, node.resource, node.name)
    start = 0 if request.cursor is None else read_cursor(request.cursor)
    rows = reading.rows(
        """
        SELECT
            queries.shape_id AS shape_id,
            count(*) AS runs,
            avg(queries.ended - queries.started) AS run_time,
            shapes.category AS category,
            max(queries.started) AS started,      -- SQLite takes the next three from that row
            queries.user AS user,
            queries.push_id AS push_id,
            queries.position AS position
        FROM queries
        JOIN shapes ON shapes.shape_id = queries.shape_id
        WHERE queries.shape_id IN (
                SELECT shape_tables.shape_id
                FROM shape_tables
                WHERE shape_tables.resource = :resource
                    AND shape_tables.parts IN (SELECT value FROM json_each(:names))
                    AND shape_tables.access = :access
            )
            AND queries.started BETWEEN :start AND :end
            AND (:user IS NULL OR queries.user = :user)
            AND (:category IS NULL OR shapes.category = :category)
        GROUP BY queries.shape_id
        ORDER BY runs DESC, queries.shape_id
        LIMIT :limit OFFSET :offset
        """,
        {
            "access": request.access,
            "names": orjson.dumps(_names_of(reading, node)).decode(),
            "resource": node.resource,
            "start": request.start,
            "end": request.end,
            "user": request.user,
            "category": request.category,
            "limit": request.limit + 1,
            "offset": start,
        },
    )
    more = len(rows) > request.limit
    return AggregatedQueries(
        aggregated_queries=[_aggregated(reading, row, request) for row in rows[: request.limit]],
        page_info=NextPage(more, write_cursor(start + request.limit) if more else None),
    )


def _aggregated(reading: Reading, row: Any, request: QueriesRequest) -> AggregatedQuery:
    shape_id, runs, run_time, category, started, user, push_id, position = row
    ((body,),) = reading.rows(
        "SELECT body AS body FROM pushes WHERE push_id = :push",
        {"push": push_id},
    )
    latest = orjson.loads(zlib.decompress(body))["events"][position]
    written = f"{shape_id & 0xFFFFFFFFFFFFFFFF:016x}"
    return AggregatedQuery(
        date=iso(started)[:10],
        query_hash=written,
        group_id=written,
        user=user,
        category=category,
        latest_query=latest["query_text"][: request.characters or DEFAULT_CHARACTERS],
        latest_query_id=latest.get("query_id"),
        latest_query_timestamp=iso(started),
        count=runs,
        average_run_time=round(run_time / 1000),
    )


def _names_of(reading: Reading, node: NodeRow) -> list[str]:
    """Return the names that refer to this table in a query, as JSON. A short name has to be unambiguous."""
    full = (node.database.lower(), node.schema.lower(), node.name.lower())
    namesakes = reading.rows(
        """
        SELECT
            schema AS schema
        FROM nodes
        WHERE resource = :resource AND folded_name = :name AND node_id <> :node
        """,
        {"resource": node.resource, "name": full[2], "node": node.node_id},
    )
    # Warehouses without databases, such as Hive, have two-part names. The first part can be stored as either one.
    names = [full, (full[0], full[2])]
    if full[1] not in {schema.lower() for (schema,) in namesakes}:
        names.append(full[1:])
    if not namesakes:
        names.append(full[2:])
    return [orjson.dumps(name).decode() for name in dict.fromkeys(names)]


class Indexing:
    """Indexes pushed queries in the background. Call `pushed` after each accepted push, in the event loop.

    Uses at most a tenth of the time while pushes arrive, so that it does not slow them down, and all of it otherwise.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._has_new = False
        self._task: asyncio.Task[None] | None = None

    def pushed(self) -> None:
        """Index the queries of a new push soon. Starts the background task if it is not running."""
        self._has_new = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        pause, waiting = _MIN_PAUSE, True
        while waiting or self._has_new:
            await asyncio.sleep(pause)
            self._has_new = False
            start = time.monotonic()
            try:
                waiting = await self._store.write(_index_some)
            except sqlite3.Error:  # a full disk: the next GraphQL query reports it
                return
            pause = max(_MIN_PAUSE, 9 * (time.monotonic() - start)) if self._has_new else 0


def index_all(store: Store) -> None:
    """Index the queries of all remaining pushes."""
    while store.submit(_index_some).result():
        continue


def _index_some(connection: sqlite3.Connection) -> bool:
    """Index the next pushes, and return whether there were any."""
    pushes = connection.execute(
        """
        SELECT
            pushes.push_id AS push_id,
            push_resources.resource AS resource,
            pushes.log_type AS log_type,
            pushes.body AS body
        FROM pushes_to_spread
        JOIN pushes ON pushes.push_id = pushes_to_spread.push_id
        JOIN push_resources ON push_resources.push_id = pushes.push_id
        ORDER BY pushes_to_spread.push_id
        """
    )
    done: list[tuple[int]] = []
    shapes: dict[int, tuple[Any, ...]] = {}
    queries: list[tuple[Any, ...]] = []
    for push_id, resource, log_type, body in pushes:
        for position, event in enumerate(orjson.loads(zlib.decompress(body))["events"]):
            text = event["query_text"]
            shape_id = _hash(resource, log_type, shape_of(text))
            shapes.setdefault(shape_id, (shape_id, resource, log_type, text))
            started, ended = microseconds(event["start_time"]), microseconds(event["end_time"])
            queries.append((shape_id, started, push_id, position, ended, event.get("user")))
        done.append((push_id,))
        if len(queries) >= _QUERIES_PER_TRANSACTION:
            break
    pushes.close()
    connection.executemany(
        "INSERT OR IGNORE INTO shapes (shape_id, resource, log_type, text) VALUES (?, ?, ?, ?)", shapes.values()
    )
    queries.sort()
    connection.executemany(
        "INSERT INTO queries (shape_id, started, push_id, position, ended, user) VALUES (?, ?, ?, ?, ?, ?)", queries
    )
    connection.executemany("DELETE FROM pushes_to_spread WHERE push_id = ?", done)
    return bool(done)


def parse_queries_naming(store: Store, resource: str, name: str) -> None:
    """Parse the new shapes whose text contains a table's name, ignoring case.

    New are the shapes that were added since the previous request for this name.
    """
    reading = store.reading()
    key = {"resource": resource, "name": name.lower()}
    requested = reading.execute("SELECT number FROM names_asked WHERE resource = :resource AND name = :name", key)
    ((upto,),) = requested.fetchall() or [(0,)]
    ((last,),) = reading.execute("SELECT coalesce(max(number), 0) FROM shapes").fetchall()
    if last == upto:
        return
    unparsed = reading.execute(
        """
        SELECT
            shape_id AS shape_id,
            log_type AS log_type,
            text AS text
        FROM shapes
        WHERE number > :upto AND number <= :last AND resource = :resource AND parsed = 0
        """,
        key | {"upto": upto, "last": last},
    )
    contains_name = _name_matcher(name)
    found: list[tuple[int, TableAccess]] = []
    for shape_id, log_type, text in unparsed:
        if contains_name(text.lower()):
            found.append((shape_id, table_access(text, log_type)))
        if len(found) == _SHAPES_PER_WRITE:
            store.submit(_save_parsed(resource, found)).result()
            found = []
    store.submit(_save_parsed(resource, found)).result()
    store.submit(
        lambda connection: connection.execute(
            "INSERT OR REPLACE INTO names_asked (resource, name, number) VALUES (:resource, :name, :last)",
            key | {"last": last},
        )
    ).result()


def _name_matcher(name: str) -> Callable[[str], Any]:
    """Return a search for this name as a word in a lower-case text. Also matches quotes in the name if doubled."""
    written = {name.lower(), name.lower().replace('"', '""'), name.lower().replace("`", "``")}
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, written)) + r")(?!\w)").search


def _save_parsed(resource: str, parsed: list[tuple[int, TableAccess]]) -> Callable[[sqlite3.Connection], None]:
    """Return the function for `Store.submit` that writes the results of parsing."""

    def work(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "UPDATE shapes SET parsed = 1, category = ? WHERE shape_id = ?",
            [(found.category, shape_id) for shape_id, found in parsed],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO shape_tables (resource, parts, access, shape_id) VALUES (?, ?, ?, ?)",
            [
                (resource, orjson.dumps(table).decode(), access, shape_id)
                for shape_id, found in parsed
                for access, tables in (("read", found.reads), ("write", found.writes))
                for table in tables
            ],
        )

    return work


def _hash(resource: str, log_type: str, shape: str) -> int:
    """Return a 64-bit id for a shape in its warehouse and dialect."""
    digest = blake2b(f"{resource}\0{log_type}\0{shape}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)
