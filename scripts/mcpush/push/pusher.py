"""What a push script declares, and how one request can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcpush.records import Json

# One canonical pycarlo call: service, resource UUID, resource type (log type for query logs) and events, to the answer.
Send = Callable[[Any, str, str, list[Any]], "Json | None"]


@dataclass(frozen=True)
class Pusher:
    """A push script in data.

    ``build`` makes pycarlo's event of a record, whose type is the flow's in records.RECORDS. ``send`` makes one
    pycarlo call with a batch of events.
    """

    flow: str
    batch_records: int
    description: str
    build: Callable[[Any], Any]
    send: Send


@dataclass(frozen=True)
class Receipt:
    """The answer to an accepted request. ``body_bytes`` is the size of the request's body as gzip."""

    invocation_id: str | None
    body_bytes: int


class RetriableError(Exception):
    """The same batch may be accepted later. ``retry_after`` is the wait that was asked for, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(Exception):
    """The batch can never be accepted as it is: its content is wrong (400) or too large (413)."""
