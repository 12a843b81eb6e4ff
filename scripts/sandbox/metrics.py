"""Volume and freshness over time, and the states of Monte Carlo's detectors.

`getMetricsV4` returns every pushed sample, newest first. A sample's measurement time is when its push was received. A
detector's state follows the minimum that Monte Carlo documents: seven distinct update times over about two weeks for
freshness, ten hourly samples within 42 days for volume. The thresholds are Monte Carlo's own and are not computed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import orjson
from graphql import GraphQLError
from reading import NodeRow, Reading
from resolving import datetime_argument
from shapes import iso

FRESHNESS_CHANGES = 7
FRESHNESS_DAYS = 14
VOLUME_SAMPLES = 10
VOLUME_DAYS = 42

_DAY = 24 * 3600 * 1_000_000
_HOUR = 3600 * 1_000_000

# Metric values are numbers. Those of the `last…on` metrics are seconds since 1970 UTC.
_SAMPLES = {
    "total_row_count": """
        SELECT measured AS measured, row_count AS value
        FROM volumes
        WHERE node_id = :node AND row_count IS NOT NULL
    """,
    "total_byte_count": """
        SELECT measured AS measured, byte_count AS value
        FROM volumes
        WHERE node_id = :node AND byte_count IS NOT NULL
    """,
    "last_updated_on": """
        SELECT measured AS measured, last_update / 1e6 AS value
        FROM freshness
        WHERE node_id = :node
    """,
    "total_row_count_last_changed_on": """
        SELECT measured AS measured, measured / 1e6 AS value
        FROM (
            SELECT
                measured,
                row_count,
                lag(row_count) OVER (ORDER BY measured, rowid) AS previous
            FROM volumes
            WHERE node_id = :node AND row_count IS NOT NULL
        )
        WHERE previous IS NULL OR previous <> row_count
    """,
    "total_byte_count_last_changed_on": """
        SELECT measured AS measured, measured / 1e6 AS value
        FROM (
            SELECT
                measured,
                byte_count,
                lag(byte_count) OVER (ORDER BY measured, rowid) AS previous
            FROM volumes
            WHERE node_id = :node AND byte_count IS NOT NULL
        )
        WHERE previous IS NULL OR previous <> byte_count
    """,
}


@dataclass(frozen=True)
class Sample:
    """The schema's `TableMetricV2`."""

    full_table_id: str
    metric: str
    value: float
    timestamp: str
    measurement_timestamp: str
    field: str | None = None


@dataclass(frozen=True)
class MetricsAnswer:
    """The schema's `Metrics`."""

    metrics: list[Sample]
    is_partial_date_range: bool = False

    @property
    def metrics_json(self) -> str:
        names = {"full_table_id": "fullTableId", "measurement_timestamp": "measurementTimestamp"}
        return orjson.dumps(
            [{names.get(name, name): value for name, value in asdict(sample).items()} for sample in self.metrics]
        ).decode()


@dataclass(frozen=True)
class MetricsRequest:
    """The arguments of `getMetricsV4`. Times are in microseconds since 1970 UTC."""

    metric: str
    start: int
    end: int
    first: int | None
    deduplicate: bool


def read_metrics(reading: Reading, node: NodeRow | None, request: MetricsRequest) -> MetricsAnswer:
    """Return the samples of one table's metric, newest first. Raises GraphQLError for an unknown metric."""
    if request.metric not in _SAMPLES:
        known = ", ".join(_SAMPLES)
        raise GraphQLError(f"metricName: {request.metric} is not supported by the sandbox, which supports {known}")
    if node is None:
        return MetricsAnswer([])
    rows = reading.rows(
        f"""
        SELECT samples.measured AS measured, samples.value AS value
        FROM ({_SAMPLES[request.metric]}) AS samples
        WHERE samples.measured BETWEEN :start AND :end
        ORDER BY samples.measured DESC
        """,  # noqa: S608 - the samples are a constant
        {"node": node.node_id, "start": request.start, "end": request.end},
    )
    pairs = list(_changed(rows)) if request.deduplicate else rows
    samples = [
        Sample(node.full_table_id, request.metric, float(value), iso(measured), iso(measured))
        for measured, value in pairs
    ]
    return MetricsAnswer(samples[: request.first])


def _changed(rows: list[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """Yield only the newest of consecutive samples with the same value."""
    previous = None
    for measured, value in rows:
        if value != previous:
            yield measured, value
        previous = value


def metrics_request(
    metric_name: str, start_time: str, end_time: str | None, first: int | None, deduplicate: bool | None
) -> MetricsRequest:
    """Parse the arguments of `getMetricsV4`. Raises GraphQLError."""
    return MetricsRequest(
        metric=metric_name,
        start=datetime_argument(start_time, "startTime"),
        end=time.time_ns() // 1000 if end_time is None else datetime_argument(end_time, "endTime"),
        first=first,
        deduplicate=bool(deduplicate),
    )


def latest_update(reading: Reading, node: NodeRow) -> str | None:
    """Return the update time that was pushed last, in ISO 8601, or None."""
    rows = reading.rows(
        """
        SELECT last_update AS last_update
        FROM freshness
        WHERE node_id = :node
        ORDER BY measured DESC, rowid DESC
        LIMIT 1
        """,
        {"node": node.node_id},
    )
    return iso(rows[0][0]) if rows else None


@dataclass(frozen=True)
class FreshnessDetector:
    """The schema's `Freshness`."""

    status: str
    reason: str | None
    last_update: str | None


@dataclass(frozen=True)
class SizeDetector:
    """The schema's `Size`: the detectors for changed and for unchanged size."""

    metric: str | None
    sd_status: str
    sd_reason: str | None

    @property
    def ucs_status(self) -> str:
        return self.sd_status

    @property
    def ucs_reason(self) -> str | None:
        return self.sd_reason


@dataclass(frozen=True)
class Thresholds:
    """The schema's `ThresholdsData`."""

    _reading: Reading
    _node: NodeRow

    @property
    def freshness(self) -> FreshnessDetector:
        ((changes, span),) = self._reading.rows(
            """
            SELECT
                count(DISTINCT last_update) AS changes,
                coalesce(max(last_update) - min(last_update), 0) AS span
            FROM freshness
            WHERE node_id = :node
            """,
            {"node": self._node.node_id},
        )
        last = latest_update(self._reading, self._node)
        days = span / _DAY
        if changes == 0:
            return FreshnessDetector("INACTIVE", "no last_update_time was pushed for this table", last)
        if changes < FRESHNESS_CHANGES or days < FRESHNESS_DAYS:
            need = f"{FRESHNESS_CHANGES} over {FRESHNESS_DAYS} days are required"
            return FreshnessDetector("TRAINING", f"{changes} update times over {days:.1f} days, {need}", last)
        return FreshnessDetector("ACTIVE", None, last)

    @property
    def size(self) -> SizeDetector:
        since = time.time_ns() // 1000 - VOLUME_DAYS * _DAY
        ((rows, sizes),) = self._reading.rows(
            """
            SELECT
                count(DISTINCT CASE WHEN row_count IS NOT NULL THEN measured / :hour END) AS rows,
                count(DISTINCT CASE WHEN byte_count IS NOT NULL THEN measured / :hour END) AS sizes
            FROM volumes
            WHERE node_id = :node AND measured >= :since
            """,
            {"node": self._node.node_id, "since": since, "hour": _HOUR},
        )
        metric, samples = ("total_row_count", rows) if rows else ("total_byte_count", sizes)
        if samples == 0:
            return SizeDetector(None, "INACTIVE", "no row_count or byte_count was pushed for this table")
        if samples < VOLUME_SAMPLES:
            need = f"{VOLUME_SAMPLES} within {VOLUME_DAYS} days are required"
            return SizeDetector(metric, "TRAINING", f"{samples} hourly samples, {need}")
        return SizeDetector(metric, "ACTIVE", None)
