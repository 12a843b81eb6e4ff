"""A small warehouse with every kind of dataset, for the tests of the server itself, and helpers that ask it.

It is a fixture: what it contains is not evidence about BigQuery.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from google.cloud import bigquery

from tests.warehouses.bigquery.truth import Column, Dataset, Job, Relation, Warehouse

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SHOP, OTHER = "mc-demo-shop", "mc-demo-archive"
TABLES_SQL = (
    "SELECT t.table_schema AS s, t.table_name AS n FROM `mc-demo-shop`.`{place}`.INFORMATION_SCHEMA.TABLES AS t"
)
ID = (Column("id", "INT64", nullable=False),)
NAMES = ("orders", "Zebra", "été 2026", "a-b", "_copy")
ADDRESS = Column(
    "address",
    "STRUCT",
    "where",
    fields=(Column("city", "STRING"), Column("lines", "STRING", "of the street", repeated=True)),
    repeated=True,
)


def warehouse() -> Warehouse:
    datasets = [
        Dataset(SHOP, "sales", "US", NOW, labels={"team": "shop"}),
        Dataset(SHOP, "eu_sales", "EU", NOW),
        Dataset(SHOP, "tokyo", "asia-northeast1", NOW),
        Dataset(SHOP, "secret", "US", NOW, may="nothing"),
        Dataset(SHOP, "half", "US", NOW, may="dataset"),
        Dataset(SHOP, "_hidden", "US", NOW),
        Dataset(SHOP, "shared", "US", NOW, linked_to=(OTHER, "source")),
        Dataset(SHOP, "glue", "US", NOW, external=True),
        Dataset(OTHER, "source", "US", NOW),
        *(Dataset(OTHER, f"more_{number:02}", "EU", NOW) for number in range(60)),
    ]
    relations = [
        *(Relation(SHOP, "sales", name, ID, NOW, rows=7, logical_bytes=99, modified=NOW) for name in NAMES),
        Relation(SHOP, "sales", "v", ID, NOW, kind="VIEW", definition="SELECT 1 AS id"),
        Relation(SHOP, "eu_sales", "people", (*ID, ADDRESS), NOW, description='say "hi"', labels={"env": "prod"}),
        *(Relation(SHOP, place, "inside", ID, NOW) for place in ("tokyo", "secret", "half", "_hidden", "glue")),
        Relation(OTHER, "source", "published", ID, NOW),
        Relation(SHOP, "tokyo", "filled", (Column("at", "TIMESTAMP"),), NOW, contents=[{"at": NOW.isoformat()}]),
    ]
    return Warehouse([SHOP, OTHER, "mc-demo-empty"], datasets, relations, [_query_job(), _load_job()])


def _query_job() -> Job:
    row = {
        "project_id": SHOP,
        "job_id": "read",
        "creation_time": NOW,
        "labels": [{"key": "team", "value": "shop"}, {"key": "app", "value": "bi"}],
        "referenced_tables": [{"project_id": SHOP, "dataset_id": "sales", "table_id": "orders"}],
        "destination_table": {"project_id": SHOP, "dataset_id": "_anonymous", "table_id": "anon1"},
        "dml_statistics": {"inserted_row_count": 5},
        "query": "SELECT 'é' AS x\n",
    }
    return Job("US", row)


def _load_job() -> Job:
    resource = {
        "kind": "bigquery#job",
        "id": f"{SHOP}:asia-northeast1.load-1",
        "jobReference": {"projectId": SHOP, "jobId": "load-1", "location": "asia-northeast1"},
        "status": {"state": "DONE"},
        "statistics": {},
        "configuration": {
            "jobType": "LOAD",
            "load": {
                "sourceUris": ["gs://bucket/a.csv"],
                "destinationTable": {"projectId": SHOP, "datasetId": "tokyo", "tableId": "inside"},
            },
        },
    }
    return Job("asia-northeast1", {"project_id": SHOP, "job_id": "load-1", "creation_time": NOW}, resource)


# --- asking ---

SHORT = bigquery.DEFAULT_RETRY.with_timeout(1)


def ask(
    client: bigquery.Client, sql: str, *parameters: Any, location: str = "US", **config: Any
) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    settings = bigquery.QueryJobConfig(query_parameters=parameters, **config)
    job = client.query(sql, job_config=settings, location=location, retry=SHORT, job_retry=None)
    return [row.values() for row in job.result(retry=SHORT, job_retry=None)]


def tables(client: bigquery.Client, place: str, location: str = "US") -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in ask(client, TABLES_SQL.format(place=place), location=location)}
