"""A small workspace for the tests of the local Databricks, and how they connect to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from databricks import sql

from tests.warehouses.databricks.launch import HTTP_PATH, DatabricksServer
from tests.warehouses.databricks.truth import Column, Commit, Relation, Warehouse

NOW = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
SHOP, ARCHIVE, HIVE = "main_shop", "archive", "hive_metastore"
ORDERS = Relation(
    SHOP,
    "sales",
    "orders",
    (
        Column("Id", "bigint", "the id", nullable=False),
        Column("lines", "array<struct<sku:string,n:int>>", tags={"pii": "no"}),
    ),
    NOW,
    comment="all orders",
    rows=7,
    size=3_000_000_000,
    active_bytes=2_000_000_000,
    history=(
        Commit(0, NOW, "CREATE TABLE"),
        Commit(1, NOW + timedelta(hours=1), "WRITE", {"numOutputRows": "7"}, {"mode": "Append"}),
        Commit(2, NOW + timedelta(hours=2), "OPTIMIZE"),
    ),
    tags={"owner": "sales"},
    properties={"delta.minReaderVersion": "1"},
)
VIEW = Relation(SHOP, "sales", "v", ORDERS.columns[:1], NOW, kind="VIEW", definition="SELECT `Id` FROM `orders`")
OTHERS_VIEW = Relation(SHOP, "sales", "w", (), NOW, kind="VIEW", definition="SELECT 1", is_owned=False)
ODD = Relation(ARCHIVE, "odd-schema", "übergröße`x`", (Column("a b", "int"),), NOW)
OLD = Relation(HIVE, "old", "events", (Column("id", "int"),), NOW, kind="EXTERNAL", format="PARQUET")
OLD_VIEW = Relation(HIVE, "old", "v", (Column("id", "int"),), NOW, kind="VIEW", definition="SELECT id FROM old.events")


def workspace() -> Warehouse:
    history = {
        "statement_id": "s1",
        "statement_text": "SELECT 1",
        "compute": {"type": "WAREHOUSE", "warehouse_id": "w1"},
        "start_time": NOW,
        "end_time": NOW + timedelta(seconds=2),
        "query_tags": {"team": "x"},
        "read_rows": 12,
    }
    lineage = {"event_time": NOW, "event_date": NOW.date(), "source_table_name": "a", "target_table_name": "b"}
    return Warehouse(
        catalogs=[SHOP, ARCHIVE],
        relations=[ORDERS, VIEW, OTHERS_VIEW, ODD, OLD, OLD_VIEW],
        schemas=[(ARCHIVE, "empty")],
        catalog_tags={SHOP: {"env": "prod"}},
        schema_tags={(SHOP, "sales"): {"team": ""}},
        rows={"system.query.history": [history], "system.access.table_lineage": [lineage]},
    )


def connection(server: DatabricksServer, token: str | None = None, **more: Any) -> Any:
    """Connect with the real driver, without retries."""
    options: dict[str, Any] = {"enable_telemetry": False, "_retry_stop_after_attempts_count": 1}
    return sql.connect(
        server_hostname="127.0.0.1",
        http_path=HTTP_PATH,
        _connection_uri=f"{server.url}{HTTP_PATH}",
        access_token=server.token() if token is None else token,
        **(options | more),
    )


@contextmanager
def connected(server: DatabricksServer, **more: Any) -> Iterator[Any]:
    found = connection(server, **more)
    try:
        yield found
    finally:
        found.close()


def ask(client: Any, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    with client.cursor() as cursor:
        cursor.execute(statement, values)
        return [tuple(row) for row in cursor.fetchall()]
