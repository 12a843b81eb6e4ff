# Shared by all template folders; the source is scripts/templates/_shared/push_metadata.py.
# /// script
# requires-python = ">=3.10"
# dependencies = ["pycarlo>=0.15.500,<0.16", "tenacity>=9.1,<10", "tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.21,<4"]
# ///
"""Push a metadata manifest to Monte Carlo: tables and views with columns, volume and freshness.

Sends the file that collect_metadata.py wrote to the ingestion API. Needs MCD_INGEST_ID, MCD_INGEST_TOKEN and
MCD_RESOURCE_UUID, except with --dry-run. Run the same command again to send what is missing.
"""

from __future__ import annotations

import sys
from typing import Any

from mcpush.push.pusher import Pusher
from mcpush.push.run import run_push
from mcpush.records import TableRecord, iso_utc
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.models import (
    AssetField,
    AssetFreshness,
    AssetMetadata,
    AssetVolume,
    RelationalAsset,
    Tag,
)

ASSETS_PER_REQUEST = 50


def build_asset(table: TableRecord) -> RelationalAsset:
    """Returns pycarlo's asset for a manifest record. Unknown values are left out, never guessed."""
    # ADAPT: rename databases or schemas here if they have other names in Monte Carlo.
    has_volume = table.row_count is not None or table.byte_count is not None
    return RelationalAsset(
        type=table.type,
        metadata=AssetMetadata(
            name=table.name,
            database=table.database,
            schema=table.schema,
            description=table.description,
            view_query=table.view_query,
            created_on=iso_utc(table.created_on) if table.created_on else None,
        ),
        tags=[Tag(key=tag.key, value=tag.value) for tag in table.tags],
        fields=[AssetField(name=field.name, type=field.type, description=field.description) for field in table.fields],
        volume=AssetVolume(table.row_count, table.byte_count) if has_volume else None,
        freshness=AssetFreshness(iso_utc(table.last_update_time)) if table.last_update_time else None,
    )


def send(service: IngestionService, resource_uuid: str, resource_type: str, events: list[Any]) -> dict[str, Any] | None:
    return service.send_metadata(resource_uuid=resource_uuid, resource_type=resource_type, events=events)


PUSHER = Pusher(
    flow="metadata",
    batch_records=ASSETS_PER_REQUEST,
    description=__doc__ or "",
    build=build_asset,
    send=send,
)

if __name__ == "__main__":
    sys.exit(run_push(PUSHER))
