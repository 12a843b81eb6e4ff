"""Relay connections: pages of nodes by `first`, `after` and `offset`, with `edges` and `pageInfo`."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from graphql import GraphQLError

Node = TypeVar("Node")

# Monte Carlo does not document its limits. These are small enough that clients have to page through large results.
DEFAULT_PAGE = 100
MAX_PAGE = 1000

_CURSOR = re.compile(rb"arrayconnection:([0-9]{1,15})")


@dataclass(frozen=True)
class Edge(Generic[Node]):
    node: Node
    cursor: str


@dataclass(frozen=True)
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(frozen=True)
class Connection(Generic[Node]):
    """One page of nodes."""

    edges: list[Edge[Node]]
    page_info: PageInfo


def connect(
    fetch: Callable[[int, int], Sequence[Node]],
    first: int | None,
    after: str | None,
    offset: int | None = None,
) -> Connection[Node]:
    """Return one page of the rows from `fetch(limit, offset)`.

    Raises GraphQLError for an invalid cursor or a negative `first` or `offset`.
    """
    if min(first or 0, offset or 0) < 0:
        raise GraphQLError("first and offset: must not be negative")
    start = (0 if after is None else read_cursor(after) + 1) + (offset or 0)
    size = min(DEFAULT_PAGE if first is None else first, MAX_PAGE)
    found = fetch(size + 1, start)  # one more, to see whether there is a next page
    edges = [Edge(node, write_cursor(start + place)) for place, node in enumerate(found[:size])]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=len(found) > size,
            has_previous_page=start > 0,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def write_cursor(place: int) -> str:
    return base64.b64encode(f"arrayconnection:{place}".encode()).decode()


def read_cursor(cursor: str) -> int:
    """Return the position that a cursor encodes. Raises GraphQLError."""
    try:
        place = _CURSOR.fullmatch(base64.b64decode(cursor, validate=True))
    except ValueError:  # not base64, or not ASCII
        place = None
    if place is None:
        raise GraphQLError(f"{cursor[:100]!r} is not a cursor of this connection")
    return int(place[1])
