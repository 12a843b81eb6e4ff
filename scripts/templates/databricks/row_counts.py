"""Takes the number of rows from the statistics of a table, unless they are older than its data."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from mcpush.records import parse_utc

# A commit can be a little later than the statistics that were collected while its data were written.
TOLERANCE = timedelta(minutes=5)
NO_ROWS = "row count unknown: no statistics (ANALYZE TABLE, or predictive optimization)"
OLD_ROWS = "row count unknown: statistics older than the last write"
UNKNOWN_AGE = "row count unknown: time of the statistics not readable"


def aware(moment: datetime) -> datetime:
    """The time with a zone. Without pyarrow, the connector returns times without one, in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def statistics_of(document: object) -> dict[str, Any]:
    """The statistics in the JSON of SHOW STATISTICS; empty if there are none."""
    try:
        content = json.loads(str(document))
    except ValueError:
        return {}
    found = content.get("statistics") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def current_rows(statistics: dict[str, Any], written: datetime | None) -> tuple[int | None, str | None]:
    """The number of rows, or the reason why it is not known. Statistics can be older than the data."""
    rows = statistics.get("num_rows")
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 0:
        return None, NO_ROWS
    created = statistics.get("created_at")
    collected = _time(created)
    if created and not collected:
        return None, UNKNOWN_AGE
    if collected and written and aware(written) > collected + TOLERANCE:
        return None, OLD_ROWS
    return rows, None


def _time(value: object) -> datetime | None:
    try:
        return parse_utc(str(value)) if value else None
    except (ValueError, OverflowError):
        return None
