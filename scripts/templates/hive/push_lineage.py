# Shared by all template folders; the source is scripts/templates/_shared/push_lineage.py.
# /// script
# requires-python = ">=3.10"
# dependencies = ["pycarlo>=0.15.500,<0.16", "tenacity>=9.1,<10", "tqdm>=4.67,<5", "psutil>=7,<8", "filelock>=3.21,<4"]
# ///
"""Push a lineage manifest to Monte Carlo: the sources of tables and columns.

Sends the file that collect_lineage.py wrote to the ingestion API. Needs MCD_INGEST_ID, MCD_INGEST_TOKEN and
MCD_RESOURCE_UUID, except with --dry-run. Run the same command again to send what is missing.
Column lineage expires after 10 days in Monte Carlo, so collect and push more often than that.
"""

from __future__ import annotations

import sys
from typing import Any

from mcpush.push.pusher import Pusher
from mcpush.push.run import run_push
from mcpush.records import Asset, LineageRecord
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.models import (
    ColumnLineageField,
    ColumnLineageSourceField,
    LineageAssetRef,
    LineageEvent,
)

EVENTS_PER_REQUEST = 250


def asset_reference(asset: Asset, asset_id: str | None = None) -> LineageAssetRef:
    # ADAPT: for lineage between two Monte Carlo warehouses, set resource_uuid and resource_type on every reference,
    # and do not pass them in send().
    return LineageAssetRef(
        type=asset.type,
        name=asset.name,
        database=asset.database,
        schema=asset.schema,
        asset_id=asset_id,
    )


def build_event(edge: LineageRecord) -> LineageEvent:
    """Returns pycarlo's event for a manifest record. Sources have an id only if column mappings refer to it."""
    return LineageEvent(
        destination=asset_reference(edge.destination),
        sources=[
            asset_reference(source, f"source-{position}" if edge.columns else None)
            for position, source in enumerate(edge.sources)
        ],
        fields=[
            ColumnLineageField(
                name=column.name,
                source_fields=[
                    ColumnLineageSourceField(asset_id=f"source-{source.source}", field_name=source.name)
                    for source in column.sources
                ],
            )
            for column in edge.columns
        ],
    )


def send(service: IngestionService, resource_uuid: str, resource_type: str, events: list[Any]) -> dict[str, Any] | None:
    return service.send_lineage(resource_uuid=resource_uuid, resource_type=resource_type, events=events)


PUSHER = Pusher(
    flow="lineage",
    batch_records=EVENTS_PER_REQUEST,
    description=__doc__ or "",
    build=build_event,
    send=send,
)

if __name__ == "__main__":
    sys.exit(run_push(PUSHER))
