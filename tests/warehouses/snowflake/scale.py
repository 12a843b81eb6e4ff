"""Creates accounts of a realistic size inside the server, so that writing them takes seconds.

Rows are formulas of their numbers, which the tests repeat. Each function adds to the existing data.
"""

from __future__ import annotations

from datetime import datetime, timezone

from tests.warehouses.snowflake.launch import EmbeddedSnowflake

WIDE_DATABASE = "WIDE"


def many_tables(server: EmbeddedSnowflake, tables: int = 10_000, columns: int = 20, schemas: int = 10) -> None:
    """A database ``WIDE``: table ``T<i>`` in schema ``S<i mod schemas>``, with columns ``C0``, ``C1``, ….

    Table ``i`` has ``i`` rows of 100 bytes each. Even columns are numbers, odd ones text of length ``10 + j``.
    """
    server.sql(
        f"""
        INSERT INTO facts."INFORMATION_SCHEMA.DATABASES" (DATABASE_NAME, TYPE, IS_TRANSIENT, CREATED)
        VALUES ('{WIDE_DATABASE}', 'STANDARD', 'NO', TIMESTAMPTZ '2025-01-01 00:00:00+00');

        INSERT INTO facts."INFORMATION_SCHEMA.SCHEMATA" (CATALOG_NAME, SCHEMA_NAME)
        SELECT '{WIDE_DATABASE}', 'S' || i FROM range({schemas}) AS r(i);

        INSERT INTO facts."INFORMATION_SCHEMA.TABLES" BY NAME
        SELECT
            '{WIDE_DATABASE}' AS TABLE_CATALOG,
            'S' || (i % {schemas}) AS TABLE_SCHEMA,
            'T' || i AS TABLE_NAME,
            'BASE TABLE' AS TABLE_TYPE,
            'NO' AS IS_TRANSIENT,
            i AS ROW_COUNT,
            i * 100 AS BYTES,
            TIMESTAMPTZ '2025-01-01 00:00:00+00' AS CREATED,
            TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i) AS LAST_ALTERED,
            'NO' AS IS_TEMPORARY,
            'NO' AS IS_ICEBERG,
            'NO' AS IS_DYNAMIC,
            'NO' AS IS_IMMUTABLE,
            'NO' AS IS_HYBRID
        FROM range({tables}) AS r(i);

        INSERT INTO facts."INFORMATION_SCHEMA.COLUMNS" BY NAME
        SELECT
            '{WIDE_DATABASE}' AS TABLE_CATALOG,
            'S' || (i % {schemas}) AS TABLE_SCHEMA,
            'T' || i AS TABLE_NAME,
            'C' || j AS COLUMN_NAME,
            j + 1 AS ORDINAL_POSITION,
            'YES' AS IS_NULLABLE,
            CASE WHEN j % 2 = 0 THEN 'NUMBER' ELSE 'TEXT' END AS DATA_TYPE,
            CASE WHEN j % 2 = 1 THEN 10 + j END AS CHARACTER_MAXIMUM_LENGTH,
            CASE WHEN j % 2 = 0 THEN 38 END AS NUMERIC_PRECISION,
            CASE WHEN j % 2 = 0 THEN 0 END AS NUMERIC_SCALE,
            'COLUMN' AS KIND
        FROM range({tables}) AS r(i), range({columns}) AS c(j)
        """
    )


def many_queries(server: EmbeddedSnowflake, now: datetime, rows: int = 1_000_000, hours: int = 24) -> None:
    """``rows`` finished queries evenly spread over the ``hours`` before ``now``, IDs ``query-0`` …, oldest first.

    Query ``i`` takes 50 ms. Every 100th failed with error 2003. Texts repeat in 1,000 shapes of about 200 characters.
    """
    end = now.astimezone(timezone.utc).isoformat()
    step = hours * 3_600_000_000 // rows
    server.sql(
        f"""
        INSERT INTO facts."SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY" BY NAME
        SELECT
            'query-' || i AS QUERY_ID,
            'INSERT INTO ANALYTICS.CORE.TARGET_' || (i % 1000) || ' SELECT ORDER_ID, CUSTOMER_ID, SUM(TOTAL) AS TOTAL '
                || 'FROM RAW.SHOP.ORDERS WHERE ORDERED_AT >= DATEADD(DAY, -1, CURRENT_TIMESTAMP()) '
                || 'GROUP BY 1, 2 -- ' || i AS QUERY_TEXT,
            'ANALYTICS' AS DATABASE_NAME,
            'CORE' AS SCHEMA_NAME,
            'INSERT' AS QUERY_TYPE,
            1 AS SESSION_ID,
            'USER_' || (i % 50) AS USER_NAME,
            'TRANSFORMER' AS ROLE_NAME,
            'ETL_WH' AS WAREHOUSE_NAME,
            'X-Small' AS WAREHOUSE_SIZE,
            '' AS QUERY_TAG,
            CASE WHEN i % 100 = 99 THEN 'fail' ELSE 'success' END AS EXECUTION_STATUS,
            CASE WHEN i % 100 = 99 THEN 2003 END AS ERROR_CODE,
            CASE WHEN i % 100 = 99 THEN 'Object does not exist or not authorized.' END AS ERROR_MESSAGE,
            started AS START_TIME,
            started + INTERVAL 50 MILLISECOND AS END_TIME,
            50 AS TOTAL_ELAPSED_TIME,
            i * 10 AS BYTES_SCANNED,
            i % 1000 AS ROWS_WRITTEN_TO_RESULT
        FROM (
            SELECT i, TIMESTAMPTZ '{end}' - to_microseconds(({rows} - i) * {step}) AS started
            FROM range({rows}) AS r(i)
        )
        """
    )
