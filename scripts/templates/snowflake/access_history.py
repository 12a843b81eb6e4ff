"""Statements that read ACCESS_HISTORY, the rows they return, and the mapping from its entries to assets."""

from __future__ import annotations

from typing import NamedTuple

from mcpush.collect.collector import Options
from mcpush.lineage.graph import external_asset
from mcpush.records import Asset

TRUNCATED_BY_SNOWFLAKE = "names truncated by Snowflake: record too large"
TEMPORARY_STAGE = "temporary stage of Snowpark or write_pandas"
NOT_AN_ASSET = "source or target is not a table, view, stage or path"

TRUNCATION_MARKS = ("TRUNCATED", "-1")  # see the page of ACCESS_HISTORY
# The driver and Snowpark create one for each call (random_name_for_temp_object in snowflake.connector._utils).
TEMPORARY_NAME = "SNOWPARK_TEMP_STAGE_"

# Returns one row for each pair of written and read objects, and one for each pair of their columns. For a stream or
# view, additional rows name its base tables, and the stream or view itself in through_name. The base tables replace
# streams, which are not assets, and dropped views. An unnamed stage has only a location.
# JSON in the columns: https://docs.snowflake.com/en/user-guide/access-history
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
    """A row of ACCESS_SQL. ``target_column`` and ``source_column`` are None in rows about whole objects."""

    target_domain: str | None
    target_name: str | None
    source_domain: str | None
    source_name: str | None
    through_domain: str | None
    through_name: str | None
    target_column: str | None
    source_column: str | None


# Returns renamed and swapped tables; a swap has one row for each of the two tables. The guide shows the JSON of a swap
# ("Swap a table") but not that of a rename: the new name is read from objectName, as other users of this view do.
# Bundle 2026_01 changes only properties whose key was a user-defined name. The keys used here are fixed.
# https://docs.snowflake.com/en/user-guide/access-history
# https://docs.snowflake.com/en/release-notes/bcr-bundles/2026_01/bcr-2178
RENAMES_SQL = """
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


class RenameRow(NamedTuple):
    """A row of RENAMES_SQL."""

    domain: str | None
    old_name: str | None
    new_name: str | None


# --- names ---------------------------------------------------------------------------------------------


def split_name(text: str) -> list[str]:
    """Splits a full name into unquoted parts: ``SHOP."a.b"."1"" pipe"`` has three, the last is ``1" pipe``.

    Raises ValueError if a quoted part has no closing quote or is followed by other text.
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
    """Returns the quoted name at the start of the text, unquoted, and the rest of the text."""
    place = 1
    while True:
        end = text.find('"', place)
        if end < 0:
            raise ValueError(f"a quoted name does not end: {text}")
        if text[end + 1 : end + 2] != '"':
            return text[1:end].replace('""', '"'), text[end + 1 :]
        place = end + 2


def asset_type(domain: str) -> str | None:
    """Returns Monte Carlo's asset type for an object domain in upper case; None if it is not an asset."""
    if domain.endswith("VIEW"):
        return "VIEW"
    if domain.endswith("TABLE"):
        return "TABLE"
    return "EXTERNAL" if domain == "STAGE" else None


def asset_of(domain: str | None, name: str | None, options: Options) -> Asset | None:
    """Returns the asset of an ACCESS_HISTORY entry; None if there is none, counted if that loses lineage."""
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
        # Not counted: a stream is replaced by its base table, and a function has no data.
        if domain not in ("STREAM", "FUNCTION"):
            options.skip(NOT_AN_ASSET, f"{domain} {name}")
        return None
    return skip_temporary_stages(Asset(kind, *parts), options)


def path_asset(path: str) -> Asset | None:
    """Returns the asset of a path outside Snowflake; None for a local file (PUT and GET)."""
    return None if path.startswith("file://") else external_asset(path)


def skip_temporary_stages(asset: Asset, options: Options) -> Asset | None:
    """Returns the asset; counts it and returns None if it is a temporary stage, created for a single call."""
    if asset.is_external and asset.name.startswith(TEMPORARY_NAME):
        options.skip(TEMPORARY_STAGE, asset.name)
        return None
    return asset
