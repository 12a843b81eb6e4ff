"""The declaration of a push script, and the outcomes of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcpush.records import Json

# One pycarlo call: (service, resource UUID, resource type or log type for query logs, events) -> response.
Send = Callable[[Any, str, str, list[Any]], "Json | None"]


@dataclass(frozen=True)
class Pusher:
    """Declares a push script.

    ``build`` converts a record of the flow's type (records.RECORDS) to a pycarlo event. ``send`` makes one pycarlo call
    with a batch of events.
    """

    flow: str
    batch_records: int
    description: str
    build: Callable[[Any], Any]
    send: Send


@dataclass(frozen=True)
class Receipt:
    """The response to an accepted request. ``body_bytes`` is the size of the request body (gateway.compressed_size)."""

    invocation_id: str | None
    body_bytes: int


class RetriableError(Exception):
    """The same batch might be accepted later. ``retry_after`` is the requested wait in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RejectedError(Exception):
    """The batch will never be accepted unchanged: its content is invalid (400) or too large (413)."""


class TooLargeError(RejectedError):
    """The batch exceeds the request limit: half of it, or a shorter record, might be accepted."""
