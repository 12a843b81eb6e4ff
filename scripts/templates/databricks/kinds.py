"""The types of tables and views in Unity Catalog, and the type that Monte Carlo has for each.

Metadata and lineage must agree on the type: Monte Carlo takes a reference with another type for another asset.
"""

from __future__ import annotations

TABLE, VIEW = "TABLE", "VIEW"

# TABLE_TYPE: https://docs.databricks.com/aws/en/sql/language-manual/information-schema/tables
# The types of system.access.table_lineage: https://docs.databricks.com/aws/en/admin/system-tables/lineage
VIEW_TYPES = frozenset({"VIEW", "MATERIALIZED_VIEW", "METRIC_VIEW"})
# Types with data of their own, about which commands can be asked. Not FOREIGN: the data are in another system.
STORED_TYPES = frozenset({"MANAGED", "EXTERNAL", "STREAMING_TABLE", "MANAGED_SHALLOW_CLONE", "EXTERNAL_SHALLOW_CLONE"})
# Formats with a history of commits: https://docs.databricks.com/aws/en/tables/history-schema
VERSIONED_FORMATS = frozenset({"DELTA", "ICEBERG"})


def asset_type(table_type: str | None) -> str:
    """TABLE or VIEW, from a type of the information schema or of lineage. An unknown type is a table."""
    return VIEW if (table_type or "").upper() in VIEW_TYPES else TABLE


def kind_of(table_type: str) -> str:
    """The type as records have it: view, materialized view, managed table."""
    words = table_type.lower().replace("_", " ")
    return f"{words} table" if table_type.upper() in ("MANAGED", "EXTERNAL", "FOREIGN") else words
