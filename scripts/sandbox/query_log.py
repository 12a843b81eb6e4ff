"""Pushed queries, and what `getAggregatedQueries` answers about a table.

A query log push leaves its queries in the push's body. The first question after it spreads them into rows, and
parses those texts that name the table asked for, once per shape (a text without its literals): a million entries
cost nothing until then, and about a minute once.
"""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from graphql import GraphQLError
from paging import read_cursor, write_cursor
from query_tables import shape_of, touched
from reading import NodeRow, Reading
from resolving import moment
from shapes import iso, microseconds
from store import Store

# Pushes spread in one transaction: new pushes are taken between two of them.
_PUSHES_AT_ONCE = 50
DEFAULT_CHARACTERS = 1000


@dataclass(frozen=True)
class AggregatedQuery:
    """The schema's type of the same name: the runs of one query in the window, whatever its literals."""

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
    """The arguments of `getAggregatedQueries`, in microseconds where they are times."""

    start: int
    end: int
    access: str
    limit: int
    cursor: str | None
    category: str | None
    user: str | None
    characters: int | None


def queries_request(start_time: str, end_time: str, query_type: str, limit: int, **rest: Any) -> QueriesRequest:
    """Return `getAggregatedQueries`'s arguments as they are used. Raises GraphQLError."""
    if limit < 1:
        raise GraphQLError("limit: must be at least 1")
    return QueriesRequest(
        start=moment(start_time, "startTime"),
        end=moment(end_time, "endTime"),
        access=query_type,
        limit=limit,
        **rest,
    )


def read_queries(reading: Reading, node: NodeRow, asked: QueriesRequest) -> AggregatedQueries:
    """Return a page of the queries that read or wrote a table, the most frequent first."""
    spread(reading.store)
    parse_those_naming(reading.store, node.name)
    start = 0 if asked.cursor is None else read_cursor(asked.cursor)
    rows = reading.rows(
        """
        SELECT
            queries.shape_id AS shape_id,
            count(*) AS runs,
            avg(queries.ended - queries.started) AS run_time,
            shapes.category AS category,
            max(queries.started) AS started,      -- the next four are of the row with this maximum
            queries.user AS user,
            queries.query_id AS query_id,
            queries.push_id AS push_id,
            queries.position AS position
        FROM queries
        JOIN shapes ON shapes.shape_id = queries.shape_id
        WHERE queries.shape_id IN (
                SELECT shape_tables.shape_id
                FROM shape_tables
                WHERE shape_tables.access = :access
                    AND shape_tables.parts IN (SELECT value FROM json_each(:names))
            )
            AND queries.resource = :resource
            AND queries.started BETWEEN :start AND :end
            AND (:user IS NULL OR queries.user = :user)
            AND (:category IS NULL OR shapes.category = :category)
        GROUP BY queries.shape_id
        ORDER BY runs DESC, queries.shape_id
        LIMIT :limit OFFSET :offset
        """,
        {
            "access": asked.access,
            "names": orjson.dumps(_names_of(reading, node)).decode(),
            "resource": node.resource,
            "start": asked.start,
            "end": asked.end,
            "user": asked.user,
            "category": asked.category,
            "limit": asked.limit + 1,
            "offset": start,
        },
    )
    more = len(rows) > asked.limit
    return AggregatedQueries(
        aggregated_queries=[_aggregated(reading, row, asked) for row in rows[: asked.limit]],
        page_info=NextPage(more, write_cursor(start + asked.limit) if more else None),
    )


def _aggregated(reading: Reading, row: Any, asked: QueriesRequest) -> AggregatedQuery:
    shape_id, runs, run_time, category, started, user, query_id, push_id, position = row
    ((body,),) = reading.rows(
        "SELECT body AS body FROM pushes WHERE push_id = :push",
        {"push": push_id},
    )
    text = orjson.loads(zlib.decompress(body))["events"][position]["query_text"]
    written = f"{shape_id & 0xFFFFFFFFFFFFFFFF:016x}"
    return AggregatedQuery(
        date=iso(started)[:10],
        query_hash=written,
        group_id=written,
        user=user,
        category=category,
        latest_query=text[: asked.characters or DEFAULT_CHARACTERS],
        latest_query_id=query_id,
        latest_query_timestamp=iso(started),
        count=runs,
        average_run_time=round(run_time / 1000),
    )


def _names_of(reading: Reading, node: NodeRow) -> list[str]:
    """Return the names in a text that mean this table: a short one only where no other table has it."""
    full = (node.database.lower(), node.schema.lower(), node.name.lower())
    others = reading.rows(
        """
        SELECT
            database AS database,
            schema AS schema,
            name AS name
        FROM nodes
        WHERE resource = :resource AND node_id <> :node
        """,
        {"resource": node.resource, "node": node.node_id},
    )
    taken = {tuple(part.lower() for part in other[-length:]) for other in others for length in (1, 2)}
    # A warehouse without databases, like Hive, has two-part names whose first part may be kept as either.
    names = [full, (full[0], full[2])]
    names += [short for short in (full[1:], full[2:]) if short not in taken]
    return [orjson.dumps(name).decode() for name in dict.fromkeys(names)]


def spread(store: Store) -> None:
    """Turn the queries that are only in push bodies yet into rows."""
    while store.submit(_spread_some).result():
        continue


def _spread_some(connection: sqlite3.Connection) -> bool:
    """Spread a few pushes; say whether there were any."""
    pushes = connection.execute(
        """
        SELECT
            pushes.push_id AS push_id,
            push_resources.resource AS resource,
            pushes.log_type AS log_type,
            pushes.body AS body
        FROM pushes
        JOIN push_resources ON push_resources.push_id = pushes.push_id
        WHERE pushes.spread = 0
        ORDER BY pushes.push_id
        LIMIT :limit
        """,
        {"limit": _PUSHES_AT_ONCE},
    ).fetchall()
    for push_id, resource, log_type, body in pushes:
        _spread_push(connection, push_id, resource, log_type, orjson.loads(zlib.decompress(body))["events"])
    return bool(pushes)


def _spread_push(
    connection: sqlite3.Connection, push_id: int, resource: str, log_type: str, events: list[dict[str, Any]]
) -> None:
    shapes, queries = {}, []
    for position, event in enumerate(events):
        text = event["query_text"]
        shape_id = _hash(log_type, shape_of(text))
        shapes[shape_id] = (shape_id, log_type, text)
        started, ended = microseconds(event["start_time"]), microseconds(event["end_time"])
        user, query_id = event.get("user"), event.get("query_id")
        queries.append((push_id, resource, shape_id, started, ended, user, query_id, position))
    connection.executemany("INSERT OR IGNORE INTO shapes (shape_id, log_type, text) VALUES (?, ?, ?)", shapes.values())
    connection.executemany(
        """
        INSERT INTO queries (push_id, resource, shape_id, started, ended, user, query_id, position)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
        queries,
    )
    connection.execute("UPDATE pushes SET spread = 1 WHERE push_id = ?", (push_id,))


def parse_those_naming(store: Store, name: str) -> None:
    """Parse the shapes not parsed yet whose text has this word in it, whatever its case."""
    unread = store.reading().execute(
        """
        SELECT
            shape_id AS shape_id,
            log_type AS log_type,
            text AS text
        FROM shapes
        WHERE read = 0
        """
    )
    wanted = name.lower()
    found = [
        (shape_id, touched(text, log_type)) for shape_id, log_type, text in unread.fetchall() if wanted in text.lower()
    ]
    if not found:
        return

    def keep(connection: sqlite3.Connection) -> None:
        for shape_id, parts in found:
            connection.execute(
                "UPDATE shapes SET read = 1, category = ? WHERE shape_id = ?", (parts.category, shape_id)
            )
            connection.executemany(
                "INSERT OR IGNORE INTO shape_tables (shape_id, access, parts) VALUES (?, ?, ?)",
                [
                    (shape_id, access, orjson.dumps(table).decode())
                    for access, tables in (("read", parts.reads), ("write", parts.writes))
                    for table in tables
                ],
            )

    store.submit(keep).result()


def _hash(log_type: str, shape: str) -> int:
    """Return a 64-bit key for a shape in its dialect."""
    digest = blake2b(f"{log_type}\0{shape}".encode(errors="surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)
