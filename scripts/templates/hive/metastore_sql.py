"""The statements that read a Hive metastore database, and their rows.

The tables are those of Hive's schema scripts (catalog.toml has their pages). PostgreSQL keeps their upper-case names
only in double quotes, which MySQL accepts with the mode ANSI_QUOTES (see metastore_session.py). All statements are
sorted by table, so that their rows can be merged. ``:first`` and ``:last`` limit them to a range of databases.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

# SCHEMA_VERSION says which columns exist.
# https://github.com/apache/hive/blob/master/standalone-metastore/metastore-server/src/main/sql/postgres/hive-schema-4.1.0.postgres.sql
VERSION_SQL = """
SELECT
    v."SCHEMA_VERSION" AS schema_version
FROM "VERSION" AS v
"""

# Until Hive 2.
# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
DATABASES_SQL = """
SELECT
    d."DB_ID" AS database_id,
    d."NAME" AS database_name
FROM "DBS" AS d
"""

# Since Hive 3, which has catalogs.
# https://github.com/apache/hive/blob/master/standalone-metastore/metastore-server/src/main/sql/mysql/hive-schema-3.1.0.mysql.sql
DATABASES_OF_CATALOGS_SQL = """
SELECT
    d."DB_ID" AS database_id,
    d."NAME" AS database_name,
    d."CTLG_NAME" AS catalog_name
FROM "DBS" AS d
"""

# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
TABLES_SQL = """
SELECT
    t."TBL_ID" AS table_id,
    t."DB_ID" AS database_id,
    t."TBL_NAME" AS table_name,
    t."TBL_TYPE" AS table_type,
    t."CREATE_TIME" AS created
FROM "TBLS" AS t
WHERE t."DB_ID" BETWEEN :first AND :last
ORDER BY t."TBL_ID"
"""

# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
VIEWS_SQL = """
SELECT
    t."TBL_ID" AS table_id,
    t."VIEW_EXPANDED_TEXT" AS expanded_text,
    t."VIEW_ORIGINAL_TEXT" AS original_text
FROM "TBLS" AS t
WHERE t."DB_ID" BETWEEN :first AND :last
    AND t."TBL_TYPE" IN ('VIRTUAL_VIEW', 'MATERIALIZED_VIEW')
ORDER BY t."TBL_ID"
"""

# A view has a storage descriptor, too; without one, a table has no columns here.
# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
COLUMNS_SQL = """
SELECT
    t."TBL_ID" AS table_id,
    c."COLUMN_NAME" AS column_name,
    c."TYPE_NAME" AS column_type,
    c."COMMENT" AS comment
FROM "TBLS" AS t
INNER JOIN "SDS" AS s ON s."SD_ID" = t."SD_ID"
INNER JOIN "COLUMNS_V2" AS c ON c."CD_ID" = s."CD_ID"
WHERE t."DB_ID" BETWEEN :first AND :last
ORDER BY t."TBL_ID", c."INTEGER_IDX"
"""

# Partition columns are only here, not in COLUMNS_V2.
# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
PARTITION_KEYS_SQL = """
SELECT
    k."TBL_ID" AS table_id,
    k."PKEY_NAME" AS column_name,
    k."PKEY_TYPE" AS column_type,
    k."PKEY_COMMENT" AS comment
FROM "PARTITION_KEYS" AS k
INNER JOIN "TBLS" AS t ON t."TBL_ID" = k."TBL_ID"
WHERE t."DB_ID" BETWEEN :first AND :last
ORDER BY k."TBL_ID", k."INTEGER_IDX"
"""

# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
PARAMETERS_SQL = """
SELECT
    v."TBL_ID" AS table_id,
    v."PARAM_KEY" AS parameter,
    v."PARAM_VALUE" AS parameter_value
FROM "TABLE_PARAMS" AS v
INNER JOIN "TBLS" AS t ON t."TBL_ID" = v."TBL_ID"
WHERE t."DB_ID" BETWEEN :first AND :last
    AND (
        v."PARAM_KEY" IN (
            'COLUMN_STATS_ACCURATE',
            'numRows',
            'totalSize',
            'transient_lastDdlTime',
            'last_modified_time',
            'table_type',
            'current-snapshot-timestamp-ms',
            'comment',
            'presto_view'
        )
        OR v."PARAM_KEY" LIKE 'spark.sql.sources.%'
    )
ORDER BY v."TBL_ID"
"""

# The same without schemas, comments and views.
# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
VOLUME_PARAMETERS_SQL = """
SELECT
    v."TBL_ID" AS table_id,
    v."PARAM_KEY" AS parameter,
    v."PARAM_VALUE" AS parameter_value
FROM "TABLE_PARAMS" AS v
INNER JOIN "TBLS" AS t ON t."TBL_ID" = v."TBL_ID"
WHERE t."DB_ID" BETWEEN :first AND :last
    AND v."PARAM_KEY" IN (
        'COLUMN_STATS_ACCURATE',
        'numRows',
        'totalSize',
        'transient_lastDdlTime',
        'last_modified_time',
        'table_type',
        'current-snapshot-timestamp-ms',
        'spark.sql.sources.provider'
    )
ORDER BY v."TBL_ID"
"""

# Summed by the database: tables can have millions of partitions. {condition} is true for a number that CAST accepts:
# one other value would end the statement. COLUMN_STATS_ACCURATE is compared as in table_parameters.py.
# https://github.com/apache/hive/blob/branch-2.3/metastore/scripts/upgrade/mysql/hive-schema-2.3.0.mysql.sql
PARTITIONS_SQL = """
SELECT
    p."TBL_ID" AS table_id,
    COUNT(DISTINCT p."PART_ID") AS partitions,
    COUNT(CASE WHEN v."PARAM_KEY" = 'numRows' AND a."PART_ID" IS NOT NULL AND {condition} THEN 1 END) AS with_rows,
    COUNT(CASE WHEN v."PARAM_KEY" = 'totalSize' AND a."PART_ID" IS NOT NULL AND {condition} THEN 1 END) AS with_bytes,
    COUNT(CASE WHEN v."PARAM_KEY" = 'transient_lastDdlTime' AND {condition} THEN 1 END) AS with_change,
    SUM(
        CASE WHEN v."PARAM_KEY" = 'numRows' AND {condition} THEN CAST(v."PARAM_VALUE" AS DECIMAL(18, 0)) END
    ) AS row_count,
    SUM(
        CASE WHEN v."PARAM_KEY" = 'totalSize' AND {condition} THEN CAST(v."PARAM_VALUE" AS DECIMAL(18, 0)) END
    ) AS byte_count,
    MAX(
        CASE WHEN v."PARAM_KEY" = 'transient_lastDdlTime' AND {condition}
            THEN CAST(v."PARAM_VALUE" AS DECIMAL(18, 0)) END
    ) AS changed,
    MAX(
        CASE WHEN v."PARAM_KEY" = 'last_modified_time' AND {condition}
            THEN CAST(v."PARAM_VALUE" AS DECIMAL(18, 0)) END
    ) AS altered
FROM "PARTITIONS" AS p
INNER JOIN "TBLS" AS t ON t."TBL_ID" = p."TBL_ID"
LEFT JOIN "PARTITION_PARAMS" AS a ON a."PART_ID" = p."PART_ID"
    AND a."PARAM_KEY" = 'COLUMN_STATS_ACCURATE'
    AND (a."PARAM_VALUE" LIKE '%"BASIC_STATS":"true"%' OR LOWER(a."PARAM_VALUE") = 'true')
LEFT JOIN "PARTITION_PARAMS" AS v ON v."PART_ID" = p."PART_ID"
    AND v."PARAM_KEY" IN ('numRows', 'totalSize', 'transient_lastDdlTime', 'last_modified_time')
WHERE t."DB_ID" BETWEEN :first AND :last
GROUP BY p."TBL_ID"
ORDER BY p."TBL_ID"
"""

# https://www.postgresql.org/docs/current/functions-matching.html
POSTGRESQL_NUMBER_CONDITION = """v."PARAM_VALUE" ~ '^[0-9]{1,18}$'"""
# https://dev.mysql.com/doc/refman/8.4/en/regexp.html
MYSQL_NUMBER_CONDITION = """v."PARAM_VALUE" RLIKE '^[0-9]{1,18}$'"""


class VersionRow(NamedTuple):
    schema_version: str


class DatabaseRow(NamedTuple):
    """A row of DATABASES_SQL, or of DATABASES_OF_CATALOGS_SQL with the catalog."""

    database_id: int
    database_name: str | None
    catalog_name: str | None = None


class TableRow(NamedTuple):
    """A row of TABLES_SQL. ``created`` is in seconds since 1970."""

    table_id: int
    database_id: int
    table_name: str | None
    table_type: str | None
    created: int | None


class ViewRow(NamedTuple):
    table_id: int
    expanded_text: str | None
    original_text: str | None


class ColumnRow(NamedTuple):
    """A row of COLUMNS_SQL or PARTITION_KEYS_SQL."""

    table_id: int
    column_name: str
    column_type: str | None
    comment: str | None


class ParameterRow(NamedTuple):
    table_id: int
    parameter: str
    parameter_value: str | None


class PartitionsRow(NamedTuple):
    """A row of PARTITIONS_SQL: the partitions of a table, how many have accurate values, and the totals."""

    table_id: int
    partitions: int
    with_rows: int
    with_bytes: int
    with_change: int
    row_count: Decimal | None
    byte_count: Decimal | None
    changed: Decimal | None
    altered: Decimal | None
