"""The system views that lineage is read from: their statements, and the rows that these return."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

# One row for each pair of written and read object, and one for each pair of their columns. Of what was read through a
# stream or a view, a further row tells the table beneath, and what it was read through: it stands in for
# streams, which are no assets, and for views that are gone. An unnamed stage has a location only.
# The columns' JSON: https://docs.snowflake.com/en/user-guide/access-history
# https://docs.snowflake.com/en/sql-reference/account-usage/access_history
ACCESS_SQL = """
WITH written AS (
    SELECT
        history.DIRECT_OBJECTS_ACCESSED AS direct_objects,
        history.BASE_OBJECTS_ACCESSED AS base_objects,
        modified.value AS target
    FROM SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY AS history,
        LATERAL FLATTEN(input => history.OBJECTS_MODIFIED) AS modified
    WHERE history.QUERY_START_TIME >= CAST(? AS TIMESTAMP_LTZ)
        AND history.QUERY_START_TIME < CAST(? AS TIMESTAMP_LTZ)
),
edges AS (
    SELECT
        written.target AS target,
        source.value AS source,
        NULL AS through_domain,
        NULL AS through_name,
        NULL AS target_column,
        NULL AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.direct_objects) AS source
    UNION ALL
    SELECT
        written.target AS target,
        base.value AS source,
        UPPER(direct.value:objectDomain::VARCHAR) AS through_domain,
        direct.value:objectName::VARCHAR AS through_name,
        NULL AS target_column,
        NULL AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.direct_objects) AS direct,
        LATERAL FLATTEN(input => written.base_objects) AS base
    WHERE UPPER(direct.value:objectDomain::VARCHAR) LIKE ANY ('STREAM', '%VIEW')
    UNION ALL
    SELECT
        written.target AS target,
        source.value AS source,
        NULL AS through_domain,
        NULL AS through_name,
        target_column.value:columnName::VARCHAR AS target_column,
        source.value:columnName::VARCHAR AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.target:columns) AS target_column,
        LATERAL FLATTEN(input => target_column.value:directSources) AS source
    UNION ALL
    SELECT
        written.target AS target,
        base.value AS source,
        UPPER(direct.value:objectDomain::VARCHAR) AS through_domain,
        direct.value:objectName::VARCHAR AS through_name,
        target_column.value:columnName::VARCHAR AS target_column,
        base.value:columnName::VARCHAR AS source_column
    FROM written,
        LATERAL FLATTEN(input => written.target:columns) AS target_column,
        LATERAL FLATTEN(input => target_column.value:directSources) AS direct,
        LATERAL FLATTEN(input => target_column.value:baseSources) AS base
    WHERE UPPER(direct.value:objectDomain::VARCHAR) LIKE ANY ('STREAM', '%VIEW')
)
SELECT
    UPPER(edges.target:objectDomain::VARCHAR) AS target_domain,
    COALESCE(edges.target:objectName::VARCHAR, edges.target:location::VARCHAR) AS target_name,
    UPPER(edges.source:objectDomain::VARCHAR) AS source_domain,
    COALESCE(edges.source:objectName::VARCHAR, edges.source:location::VARCHAR) AS source_name,
    edges.through_domain AS through_domain,
    edges.through_name AS through_name,
    edges.target_column AS target_column,
    edges.source_column AS source_column
FROM edges
GROUP BY
    target_domain,
    target_name,
    source_domain,
    source_name,
    through_domain,
    through_name,
    target_column,
    source_column
ORDER BY
    target_name,
    target_domain = 'STAGE',
    target_domain,
    source_name,
    source_domain,
    target_column,
    source_column
"""


class AccessRow(NamedTuple):
    """A row of ACCESS_SQL. The columns are None where the row is of the two objects as a whole."""

    target_domain: str | None
    target_name: str | None
    source_domain: str | None
    source_name: str | None
    through_domain: str | None
    through_name: str | None
    target_column: str | None
    source_column: str | None


# Tables that were renamed or swapped; of a swap there is a row for each of the two. The guide shows the JSON of a swap
# ("Swap a table") and names the properties of no rename: the new name is where other readers of this view find it.
# Bundle 2026_01 changes only properties whose key was a user's name: these have fixed keys.
# https://docs.snowflake.com/en/user-guide/access-history
# https://docs.snowflake.com/en/release-notes/bcr-bundles/2026_01/bcr-2178
MOVES_SQL = """
SELECT
    UPPER(history.OBJECT_MODIFIED_BY_DDL:objectDomain::VARCHAR) AS domain,
    history.OBJECT_MODIFIED_BY_DDL:objectName::VARCHAR AS old_name,
    COALESCE(
        history.OBJECT_MODIFIED_BY_DDL:properties.swapTargetName.value::VARCHAR,
        history.OBJECT_MODIFIED_BY_DDL:properties.objectName.value::VARCHAR
    ) AS new_name
FROM SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY AS history
WHERE history.QUERY_START_TIME >= CAST(? AS TIMESTAMP_LTZ)
    AND history.QUERY_START_TIME < CAST(? AS TIMESTAMP_LTZ)
    AND UPPER(history.OBJECT_MODIFIED_BY_DDL:operationType::VARCHAR) = 'ALTER'
    AND UPPER(history.OBJECT_MODIFIED_BY_DDL:objectDomain::VARCHAR) LIKE '%TABLE'
    AND COALESCE(
        history.OBJECT_MODIFIED_BY_DDL:properties.swapTargetName.value::VARCHAR,
        history.OBJECT_MODIFIED_BY_DDL:properties.objectName.value::VARCHAR
    ) IS NOT NULL
ORDER BY history.QUERY_START_TIME, history.QUERY_ID
"""


class MoveRow(NamedTuple):
    """A row of MOVES_SQL."""

    domain: str | None
    old_name: str | None
    new_name: str | None


# Every table and view that exists, whatever the role may see. Lags 90 minutes, half of what a window waits for.
# https://docs.snowflake.com/en/sql-reference/account-usage/tables
EXISTING_SQL = """
SELECT
    TABLE_CATALOG AS database,
    TABLE_SCHEMA AS schema,
    TABLE_NAME AS name
FROM SNOWFLAKE.ACCOUNT_USAGE.TABLES
WHERE DELETED IS NULL
    AND COALESCE(TABLE_TYPE, '') NOT LIKE '%TEMPORARY%'
"""


class ExistingRow(NamedTuple):
    """A row of EXISTING_SQL."""

    database: str
    schema: str
    name: str


# What views and materialised views are defined on, now: the view keeps no history. Its page excludes what copies data,
# which leaves open whether it lists dynamic tables: where it does, they are taken.
# https://docs.snowflake.com/en/sql-reference/account-usage/object_dependencies
DEPENDENCIES_SQL = """
SELECT
    REFERENCING_DATABASE AS target_database,
    REFERENCING_SCHEMA AS target_schema,
    REFERENCING_OBJECT_NAME AS target_name,
    REFERENCING_OBJECT_DOMAIN AS target_domain,
    REFERENCED_DATABASE AS source_database,
    REFERENCED_SCHEMA AS source_schema,
    REFERENCED_OBJECT_NAME AS source_name,
    REFERENCED_OBJECT_DOMAIN AS source_domain
FROM SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES
WHERE (REFERENCING_OBJECT_DOMAIN LIKE '%VIEW' OR REFERENCING_OBJECT_DOMAIN LIKE '%TABLE')
    AND (REFERENCED_OBJECT_DOMAIN LIKE '%VIEW' OR REFERENCED_OBJECT_DOMAIN LIKE '%TABLE')
    AND CASE WHEN REFERENCING_OBJECT_DOMAIN LIKE '%VIEW' THEN 'VIEW' ELSE 'TABLE' END = ?
ORDER BY
    REFERENCING_DATABASE,
    REFERENCING_SCHEMA,
    REFERENCING_OBJECT_NAME,
    REFERENCED_DATABASE,
    REFERENCED_SCHEMA,
    REFERENCED_OBJECT_NAME
"""


class DependencyRow(NamedTuple):
    """A row of DEPENDENCIES_SQL."""

    target_database: str
    target_schema: str
    target_name: str
    target_domain: str
    source_database: str
    source_schema: str
    source_name: str
    source_domain: str


# The statement that made each dynamic table. Of refreshes, ACCESS_HISTORY holds only those that a statement asked for.
# https://docs.snowflake.com/en/sql-reference/sql/show-dynamic-tables
DYNAMIC_TABLES_SQL = "SHOW DYNAMIC TABLES IN ACCOUNT"

# Only statements that can write, with what a session's later ones depend on (USE, temporary tables).
# https://docs.snowflake.com/en/sql-reference/account-usage/query_history
STATEMENTS_SQL = """
SELECT
    QUERY_ID AS query_id,
    QUERY_TEXT AS query_text,
    SESSION_ID AS session_id,
    DATABASE_NAME AS database,
    SCHEMA_NAME AS schema,
    START_TIME AS start_time
FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY
WHERE START_TIME >= CAST(? AS TIMESTAMP_LTZ)
    AND START_TIME < CAST(? AS TIMESTAMP_LTZ)
    AND UPPER(EXECUTION_STATUS) = 'SUCCESS'
    AND COALESCE(QUERY_TYPE, 'UNKNOWN') NOT IN ('SELECT', 'SHOW', 'DESCRIBE')
ORDER BY START_TIME, QUERY_ID
"""


class StatementRow(NamedTuple):
    """A row of STATEMENTS_SQL."""

    query_id: str
    text: str | None
    session_id: int
    database: str | None
    schema: str | None
    start_time: datetime
