# Shared: the original is snowflake/push_query_logs.py (see scripts/sync_templates.py).
# /// script
# requires-python = ">=3.10"
# dependencies = ["pycarlo>=0.15.500,<0.16", "tenacity>=9.1,<10", "tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.16,<4"]
# ///
"""Push a manifest of query logs to Monte Carlo: who ran what, when, and how it ended.

From the file collect_query_logs.py wrote, to the ingestion API. Needs MCD_INGEST_ID, MCD_INGEST_TOKEN and
MCD_RESOURCE_UUID; --dry-run needs none of them. Run the same command again to send what is missing.
"""

from __future__ import annotations

import sys
from typing import Any

from gateway import Gateway, open_gateway
from pushkit.delivery import Pusher
from pushkit.manifest import Record, parse_utc
from pushkit.pushing import run_push
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.models import QueryLogEntry

ENTRIES_PER_REQUEST = 250


def full_name(record: Record) -> str:
    return f"query {record['query_id']}"


def build_entry(record: Record) -> QueryLogEntry:
    """pycarlo's entry of one manifest record. Collectors leave out queries that have not ended."""
    # ADAPT: mask literals in query_text here when query texts must not leave your network as they are.
    return QueryLogEntry(
        start_time=parse_utc(record["start_time"]),
        end_time=parse_utc(record["end_time"]),
        query_text=record["query_text"],
        query_id=record.get("query_id"),
        user=record.get("user"),
        error_code=record.get("error_code"),
        error_text=record.get("error_text"),
        returned_rows=record.get("returned_rows"),
        extra=record.get("extra"),
    )


def send(service: IngestionService, resource_uuid: str, log_type: str, events: list[Any]) -> dict[str, Any] | None:
    return service.send_query_logs(resource_uuid=resource_uuid, log_type=log_type, events=events)


def open_destination(dry_run: bool) -> Gateway:
    return open_gateway(send, dry_run)


PUSHER = Pusher(
    flow="query_logs",
    batch_records=ENTRIES_PER_REQUEST,
    description=__doc__ or "",
    full_name=full_name,
    build=build_entry,
    open=open_destination,
)

if __name__ == "__main__":
    sys.exit(run_push(PUSHER))
