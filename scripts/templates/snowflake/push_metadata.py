# Shared by all template folders; the source is scripts/templates/_shared/push_metadata.py.
# /// script
# requires-python = ">=3.10"
# dependencies = ["pycarlo>=0.15.500,<0.16", "tenacity>=9.1,<10", "tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.21,<4"]
# ///
"""Push a metadata manifest to Monte Carlo: tables and views with columns, volume and freshness.

From the file collect_metadata.py wrote, to the ingestion API. Needs MCD_INGEST_ID, MCD_INGEST_TOKEN and
MCD_RESOURCE_UUID; --dry-run needs none of them. Run the same command again to send what is missing.
"""

from __future__ import annotations

import sys
from typing import Any

from gateway import Gateway, open_gateway
from mcpush.delivery import Pusher
from mcpush.manifest import Record
from mcpush.pushing import run_push
from mcpush.record_fields import Fields
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
ASSET_TYPES = ("TABLE", "VIEW")
NAMES = frozenset({"type", "kind", "database", "schema", "name"})
TEXTS = frozenset({"description", "view_query", "created_on", "fields", "tags"})
NUMBERS = frozenset({"row_count", "byte_count", "last_update_time"})
FIELD = frozenset({"name", "type", "description"})
TAG = frozenset({"key", "value"})


def full_name(record: Record) -> str:
    return f"{record['database']}.{record['schema']}.{record['name']}"


def build_asset(record: Record) -> RelationalAsset:
    """pycarlo's asset of one manifest record. What is unknown stays out: Monte Carlo must not learn guesses.

    Raises ValueError for what Monte Carlo would refuse.
    """
    # ADAPT: rename databases or schemas here when Monte Carlo knows them under other names.
    asset = Fields(record, NAMES | TEXTS | NUMBERS)
    rows, size = asset.count("row_count"), asset.count("byte_count")
    updated = asset.moment("last_update_time")
    return RelationalAsset(
        type=asset.one_of("type", ASSET_TYPES),
        metadata=AssetMetadata(
            name=asset.name("name"),
            database=asset.name("database"),
            schema=asset.name("schema"),
            description=asset.text("description"),
            view_query=asset.text("view_query"),
            created_on=asset.moment("created_on"),
        ),
        tags=[Tag(key=tag.name("key"), value=tag.text("value")) for tag in asset.members("tags", TAG)],
        fields=[
            AssetField(name=field.name("name"), type=field.name("type"), description=field.text("description"))
            for field in asset.members("fields", FIELD)
        ],
        volume=AssetVolume(rows, size) if rows is not None or size is not None else None,
        freshness=AssetFreshness(updated) if updated else None,
    )


def send(service: IngestionService, resource_uuid: str, resource_type: str, events: list[Any]) -> dict[str, Any] | None:
    return service.send_metadata(resource_uuid=resource_uuid, resource_type=resource_type, events=events)


def open_destination(dry_run: bool) -> Gateway:
    return open_gateway(send, dry_run)


PUSHER = Pusher(
    flow="metadata",
    batch_records=ASSETS_PER_REQUEST,
    description=__doc__ or "",
    full_name=full_name,
    build=build_asset,
    open=open_destination,
)

if __name__ == "__main__":
    sys.exit(run_push(PUSHER))
