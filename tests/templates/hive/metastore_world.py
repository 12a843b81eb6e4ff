"""Tables of a metastore and the records that they must become, one case next to the other."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.collected import Record
from tests.warehouses.hive.metastore_database import Table

CREATED = 1_600_000_000
CREATED_ON = "2020-09-13T12:26:40Z"
CHANGED = 1_700_000_000
CHANGED_ON = "2023-11-14T22:13:20Z"
ACCURATE = '{"BASIC_STATS":"true","COLUMN_STATS":{"id":"true"}}'
VOLUME_UNKNOWN = "statistics missing or not accurate: volume unknown (ANALYZE TABLE computes them)"
ALTERED = "last changed by ALTER: time of the last data change unknown"
NOT_BY_HIVE = "written by Spark or in another table format, without Hive: time of the last change unknown"
NO_CHANGE = "no time of the last change"
ID = ("id", "bigint", None)
FIELDS = [{"name": "id", "type": "bigint"}]
KEY = ("ds", "string", "the day")
FIELDS_WITH_KEY = [*FIELDS, {"name": "ds", "type": "string", "description": "the day"}]
# A table name is a bound value or a result for the script, never a part of its SQL.
HOSTILE = (
    "per%cent %s %(x)s",
    'quo"te',
    "back`tick",
    "it's",
    "co:lon :first",
    "back\\slash",
    "dots.in.it",
    "{condition}",
)


def parameters(**changes: str | None) -> dict[str, str | None]:
    """Those of a table with accurate statistics."""
    usual = {
        "COLUMN_STATS_ACCURATE": ACCURATE,
        "numRows": "7",
        "totalSize": "900",
        "rawDataSize": "500",
        "transient_lastDdlTime": str(CHANGED),
    }
    return {name: value for name, value in {**usual, **changes}.items() if value != "absent"}


def partition(**changes: str) -> dict[str, str]:
    return {name: value for name, value in parameters(**changes).items() if value is not None}


def table(name: str | None, type_: str | None = "MANAGED_TABLE", **fields: Any) -> Table:
    return Table("sales", name, type_, **{"columns": [ID], "created": CREATED, "parameters": parameters(), **fields})


def record(name: str, kind: str | None = "managed table", **changes: Any) -> Record:
    """The record of ``table(name)``; a change to None leaves a key out."""
    usual = {
        "type": "VIEW" if kind in ("virtual view", "materialized view") else "TABLE",
        "kind": kind,
        "database": "hive",
        "schema": "sales",
        "name": name,
        "created_on": CREATED_ON,
        "row_count": 7,
        "byte_count": 900,
        "last_update_time": CHANGED_ON,
        "fields": FIELDS,
    }
    return {key: value for key, value in {**usual, **changes}.items() if value is not None}


def spark_parameters(provider: str, *names: str) -> dict[str, str]:
    """A schema of columns of the type long, cut in the middle, as Spark stores it."""
    fields = [{"name": name, "type": "long", "nullable": True, "metadata": {}} for name in names]
    schema = json.dumps({"type": "struct", "fields": fields})
    return {
        "spark.sql.sources.provider": provider,
        "spark.sql.sources.schema.numParts": "2",
        "spark.sql.sources.schema.part.0": schema[:40],
        "spark.sql.sources.schema.part.1": schema[40:],
    }


def hive_table_of_spark() -> dict[str, str | None]:
    """Spark stores no provider for a table in Hive's formats."""
    stored = {name: value for name, value in spark_parameters("", "ID").items() if not name.endswith("provider")}
    return parameters(**stored)


NO_VOLUME: Record = {"row_count": None, "byte_count": None}
PRESTO = base64.b64encode(json.dumps({"originalSql": "SELECT 'ü' FROM orders"}).encode()).decode()

Case = tuple[Table, Record | None, tuple[str, ...]]

TABLES: list[Case] = [
    (
        table(
            "orders",
            columns=[ID, ("Note", "struct<a:array<string>,b:map<string,decimal(10,2)>>", 'two\nlines, "é" \\ 50%')],
            parameters=parameters(comment="All orders.\nÀ la carte"),
        ),
        record(
            "orders",
            description="All orders.\nÀ la carte",
            fields=[
                *FIELDS,
                {
                    "name": "Note",
                    "type": "struct<a:array<string>,b:map<string,decimal(10,2)>>",
                    "description": 'two\nlines, "é" \\ 50%',
                },
            ],
        ),
        (),
    ),
    (table("external", "EXTERNAL_TABLE"), record("external", "external table"), ()),
    # --- statistics
    (table("empty", parameters=parameters(numRows="0", totalSize="0")), record("empty", row_count=0, byte_count=0), ()),
    (
        table("without_autogather", parameters=parameters(COLUMN_STATS_ACCURATE="absent", numRows="0")),
        record("without_autogather", **NO_VOLUME),
        (VOLUME_UNKNOWN,),
    ),
    (
        table("only_column_stats", parameters=parameters(COLUMN_STATS_ACCURATE='{"COLUMN_STATS":{"id":"true"}}')),
        record("only_column_stats", **NO_VOLUME),
        (VOLUME_UNKNOWN,),
    ),
    (
        table("stats_false", parameters=parameters(COLUMN_STATS_ACCURATE='{"BASIC_STATS":"false"}')),
        record("stats_false", **NO_VOLUME),
        (VOLUME_UNKNOWN,),
    ),
    (table("old_stats", parameters=parameters(COLUMN_STATS_ACCURATE="TRUE")), record("old_stats"), ()),
    (table("minus_one", parameters=parameters(numRows="-1")), record("minus_one", row_count=None), ()),
    (
        table("no_numbers", parameters=parameters(numRows="many", totalSize="9" * 19)),
        record("no_numbers", **NO_VOLUME),
        (VOLUME_UNKNOWN,),
    ),
    (table("null_values", parameters=parameters(numRows=None)), record("null_values", row_count=None), ()),
    # --- partitions
    (
        table("partitioned", partition_keys=[KEY], parameters={}, partitions=[partition(), partition(numRows="5")]),
        record("partitioned", row_count=12, byte_count=1800, fields=FIELDS_WITH_KEY),
        (),
    ),
    (
        table(
            "newest_partition",
            partition_keys=[KEY],
            partitions=[partition(transient_lastDdlTime=str(CHANGED + 86_400)), partition()],
        ),
        record(
            "newest_partition",
            row_count=14,
            byte_count=1800,
            last_update_time="2023-11-15T22:13:20Z",
            fields=FIELDS_WITH_KEY,
        ),
        (),
    ),
    (
        table(
            "partly_accurate", partition_keys=[KEY], partitions=[partition(), partition(COLUMN_STATS_ACCURATE="absent")]
        ),
        record("partly_accurate", **NO_VOLUME, fields=FIELDS_WITH_KEY),
        (VOLUME_UNKNOWN,),
    ),
    (
        table("minus_one_in_one", partition_keys=[KEY], partitions=[partition(), partition(numRows="-1")]),
        record("minus_one_in_one", row_count=None, byte_count=1800, fields=FIELDS_WITH_KEY),
        (),
    ),
    (
        table(
            "text_in_one",
            partition_keys=[KEY],
            partitions=[partition(), partition(numRows="x", totalSize="1e5", transient_lastDdlTime="")],
        ),
        record("text_in_one", **NO_VOLUME, last_update_time=None, fields=FIELDS_WITH_KEY),
        (VOLUME_UNKNOWN, NO_CHANGE),
    ),
    (
        table("old_stats_in_one", partition_keys=[KEY], partitions=[partition(COLUMN_STATS_ACCURATE="true")]),
        record("old_stats_in_one", fields=FIELDS_WITH_KEY),
        (),
    ),
    (  # the table's own parameters say nothing about partitions
        table("no_partitions", partition_keys=[KEY]),
        record("no_partitions", **NO_VOLUME, last_update_time=None, fields=FIELDS_WITH_KEY),
        (VOLUME_UNKNOWN, NO_CHANGE),
    ),
    (
        table("bare_partition", partition_keys=[KEY], partitions=[partition(), {}]),
        record("bare_partition", **NO_VOLUME, last_update_time=None, fields=FIELDS_WITH_KEY),
        (VOLUME_UNKNOWN, NO_CHANGE),
    ),
    # --- the last change
    (
        table("altered", parameters=parameters(last_modified_time=str(CHANGED - 1))),
        record("altered", last_update_time=None),
        (ALTERED,),
    ),
    (
        table("inserted_later", parameters=parameters(last_modified_time=str(CHANGED - 61))),
        record("inserted_later"),
        (),
    ),
    (
        table(
            "altered_partition",
            partition_keys=[KEY],
            partitions=[
                partition(),
                partition(transient_lastDdlTime=str(CHANGED + 99), last_modified_time=str(CHANGED + 99)),
            ],
        ),
        record("altered_partition", row_count=14, byte_count=1800, last_update_time=None, fields=FIELDS_WITH_KEY),
        (ALTERED,),
    ),
    (
        table("no_time", created=0, parameters=parameters(transient_lastDdlTime="absent")),
        record("no_time", created_on=None, last_update_time=None),
        (NO_CHANGE,),
    ),
    # --- other formats
    (
        table(
            "iceberg",
            "EXTERNAL_TABLE",
            parameters=parameters(
                COLUMN_STATS_ACCURATE="absent",
                table_type="ICEBERG",
                metadata_location="s3://lake/orders/metadata/00001.metadata.json",
                **{"current-snapshot-timestamp-ms": f"{CHANGED + 86_400}123"},
            ),
        ),
        record("iceberg", "external table", **NO_VOLUME, last_update_time="2023-11-15T22:13:20Z"),
        (VOLUME_UNKNOWN,),
    ),
    (
        table("old_iceberg", parameters=parameters(table_type="ICEBERG", COLUMN_STATS_ACCURATE="absent")),
        record("old_iceberg", **NO_VOLUME, last_update_time=None),
        (VOLUME_UNKNOWN, NOT_BY_HIVE),
    ),
    (
        table(
            "spark", parameters=parameters(COLUMN_STATS_ACCURATE="absent", **{"spark.sql.sources.provider": "parquet"})
        ),
        record("spark", **NO_VOLUME, last_update_time=None),
        (VOLUME_UNKNOWN, NOT_BY_HIVE),
    ),
    (
        table("spark_hive", parameters=parameters(**{"spark.sql.sources.provider": "hive"})),
        record("spark_hive"),
        (),
    ),
    (  # Hive's own columns are a placeholder
        table(
            "delta",
            "EXTERNAL_TABLE",
            columns=[("col", "array<string>", "from deserializer")],
            parameters=parameters(COLUMN_STATS_ACCURATE="absent", **spark_parameters("delta", "total", "no`te")),
        ),
        record(
            "delta",
            "external table",
            **NO_VOLUME,
            last_update_time=None,
            fields=[{"name": "total", "type": "bigint"}, {"name": "no`te", "type": "bigint"}],
        ),
        (VOLUME_UNKNOWN, NOT_BY_HIVE),
    ),
    (  # Spark's schema of a Hive table is older than the ALTER by Hive
        table("spark_altered", columns=[ID, ("added", "int", None)], parameters=hive_table_of_spark()),
        record("spark_altered", fields=[*FIELDS, {"name": "added", "type": "int"}]),
        (),
    ),
    (
        table("spark_upper_case", parameters=hive_table_of_spark()),
        record("spark_upper_case", fields=[{"name": "ID", "type": "bigint"}]),
        (),
    ),
    # --- views
    (
        table(
            "view",
            "VIRTUAL_VIEW",
            parameters={"transient_lastDdlTime": str(CHANGED)},
            expanded_text="SELECT `orders`.`id` FROM `sales`.`orders`",
            original_text="SELECT id FROM orders",
        ),
        record(
            "view",
            "virtual view",
            **NO_VOLUME,
            last_update_time=None,
            view_query="SELECT `orders`.`id` FROM `sales`.`orders`",
        ),
        (),
    ),
    (
        table("unexpanded_view", "VIRTUAL_VIEW", original_text="SELECT id FROM orders"),
        record(
            "unexpanded_view", "virtual view", **NO_VOLUME, last_update_time=None, view_query="SELECT id FROM orders"
        ),
        (),
    ),
    (
        table(
            "presto_view",
            "VIRTUAL_VIEW",
            parameters={"presto_view": "true", "comment": "Presto View"},
            expanded_text="/* Presto View */",
            original_text=f"/* Presto View: {PRESTO} */",
        ),
        record("presto_view", "virtual view", **NO_VOLUME, last_update_time=None, view_query="SELECT 'ü' FROM orders"),
        (),
    ),
    (
        table(
            "broken_presto_view",
            "VIRTUAL_VIEW",
            parameters={"presto_view": "true", "comment": "mine"},
            expanded_text="/* Presto View */",
            original_text="/* Presto View: e30= */",
        ),
        record("broken_presto_view", "virtual view", **NO_VOLUME, last_update_time=None, description="mine"),
        ("view definition not visible",),
    ),
    (
        table("view_without_text", "VIRTUAL_VIEW"),
        record("view_without_text", "virtual view", **NO_VOLUME, last_update_time=None),
        ("view definition not visible",),
    ),
    (
        table("materialized", "MATERIALIZED_VIEW", expanded_text="SELECT 1"),
        record("materialized", "materialized view", view_query="SELECT 1"),
        (),
    ),
    # --- columns and names
    (table("no_columns", columns=[]), record("no_columns", fields=None), ("columns not visible",)),
    (
        table("serde_columns", columns=[("id", "bigint", "from deserializer"), ("x", "int", " ")]),
        record("serde_columns", fields=[*FIELDS, {"name": "x", "type": "int"}]),
        (),
    ),
    (table("no_type", columns=[ID, ("x", None, None)]), record("no_type"), ("column without a type",)),
    (table("no_kind", None), record("no_kind", kind=None), ()),
    (table(None), None, ("table without a name",)),
    *[(table(name), record(name), ()) for name in HOSTILE],
]


def skipped(cases: list[Case]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _, _, reasons in cases:
        for reason in reasons:
            counts[reason] = counts.get(reason, 0) + 1
    return counts
