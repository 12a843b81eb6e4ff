"""ACCESS_HISTORY: the statements that read it, their rows, and the assets that its entries name."""

from __future__ import annotations

from typing import NamedTuple

from mcpush.collect.collector import Options
from mcpush.lineage.graph import external_asset
from mcpush.records import Asset

TRUNCATED_BY_SNOWFLAKE = "names truncated by Snowflake: record too large"
TEMPORARY_STAGE = "temporary stage of Snowpark or write_pandas"
NOT_AN_ASSET = "source or target is not a table, view, stage or path"

TRUNCATION_MARKS = ("TRUNCATED", "-1")  # page of ACCESS_HISTORY
# The driver and Snowpark make one for each call (random_name_for_temp_object in snowflake.connector._utils).
TEMPORARY_NAME = "SNOWPARK_TEMP_STAGE_"

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


# --- names ---------------------------------------------------------------------------------------------


def split_name(text: str) -> list[str]:
    """The parts of a full name, unquoted: ``SHOP."a.b"."1"" pipe"`` has three, the last is ``1" pipe``.

    Raises ValueError when a quoted part does not end.
    """
    parts: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            part, rest = _quoted(rest)
        else:
            part, dot, tail = rest.partition(".")
            rest = dot + tail
        parts.append(part)
        if not rest.startswith("."):
            break
        rest = rest[1:]
    if rest:
        raise ValueError(f"text after a quoted name: {text}")
    return parts


def _quoted(text: str) -> tuple[str, str]:
    """The name in quotes that the text starts with, and what follows it."""
    place = 1
    while True:
        end = text.find('"', place)
        if end < 0:
            raise ValueError(f"a quoted name does not end: {text}")
        if text[end + 1 : end + 2] != '"':
            return text[1:end].replace('""', '"'), text[end + 1 :]
        place = end + 2


def asset_type(domain: str) -> str | None:
    """Monte Carlo's type for Snowflake's object domain in upper case; None for what is no asset."""
    if domain.endswith("VIEW"):
        return "VIEW"
    if domain.endswith("TABLE"):
        return "TABLE"
    return "EXTERNAL" if domain == "STAGE" else None


def asset_of(domain: str | None, name: str | None, options: Options) -> Asset | None:
    """The asset an ACCESS_HISTORY entry names; None, and counted, when it names none that Monte Carlo takes."""
    if name is None or name in TRUNCATION_MARKS or domain in TRUNCATION_MARKS:
        options.skip(TRUNCATED_BY_SNOWFLAKE if name else NOT_AN_ASSET, f"{domain} {name}")
        return None
    if "://" in name:
        return path_asset(name)
    kind = asset_type(domain or "")
    try:
        parts = split_name(name)
    except ValueError:
        parts = []
    if kind is None or len(parts) != 3:
        # A stream is replaced by the table beneath it, a function has no data: neither is a loss.
        if domain not in ("STREAM", "FUNCTION"):
            options.skip(NOT_AN_ASSET, f"{domain} {name}")
        return None
    return skip_temporary_stages(Asset(kind, *parts), options)


def path_asset(path: str) -> Asset | None:
    """A path outside Snowflake; None for a file on somebody's machine (PUT and GET), which is not a place of data."""
    return None if path.startswith("file://") else external_asset(path)


def skip_temporary_stages(asset: Asset, options: Options) -> Asset | None:
    """The asset; None, and counted, for a stage that was made for a single call and will never be seen again."""
    if asset.is_external and asset.name.startswith(TEMPORARY_NAME):
        options.skip(TEMPORARY_STAGE, asset.name)
        return None
    return asset
