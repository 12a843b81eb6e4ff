# Shared by all template folders; the source is scripts/templates/_shared/push_query_logs.py.
# /// script
# requires-python = ">=3.10"
# dependencies = ["pycarlo>=0.15.500,<0.16", "tenacity>=9.1,<10", "tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.21,<4"]
# ///
"""Push a manifest of query logs to Monte Carlo: user, text, times and outcome of each query.

Sends the file that collect_query_logs.py wrote to the ingestion API. Needs MCD_INGEST_ID, MCD_INGEST_TOKEN and
MCD_RESOURCE_UUID, except with --dry-run. Run the same command again to send what is missing.
"""

from __future__ import annotations

import sys
from typing import Any

from mcpush.push.pusher import Pusher
from mcpush.push.run import run_push
from mcpush.records import QueryLogRecord
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.models import QueryLogEntry

ENTRIES_PER_REQUEST = 250


def build_entry(query: QueryLogRecord) -> QueryLogEntry:
    """Returns pycarlo's entry for a manifest record. Collectors leave out queries that have not ended."""
    # ADAPT: mask literals in query_text here if they must not leave your network.
    return QueryLogEntry(
        start_time=query.start_time,
        end_time=query.end_time,
        query_text=query.query_text,
        query_id=query.query_id,
        user=query.user,
        error_code=query.error_code,
        error_text=query.error_text,
        returned_rows=query.returned_rows,
        extra=query.extra,
    )


def send(service: IngestionService, resource_uuid: str, log_type: str, events: list[Any]) -> dict[str, Any] | None:
    return service.send_query_logs(resource_uuid=resource_uuid, log_type=log_type, events=events)


PUSHER = Pusher(
    flow="query_logs",
    batch_records=ENTRIES_PER_REQUEST,
    description=__doc__ or "",
    build=build_entry,
    send=send,
)

if __name__ == "__main__":
    sys.exit(run_push(PUSHER))
