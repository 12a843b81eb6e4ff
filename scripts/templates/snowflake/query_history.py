"""Limits of query texts in ACCOUNT_USAGE.QUERY_HISTORY: maximum length and redaction.

https://docs.snowflake.com/en/sql-reference/account-usage/query_history
"""

from __future__ import annotations

LONGEST_TEXT = 100_000  # characters of QUERY_TEXT that Snowflake keeps
REDACTED_TEXT = "query text redacted by Snowflake"  # skip reason


def is_redacted(text: str) -> bool:
    """Whether this is the placeholder for a text that Snowflake redacts, as for some syntax errors."""
    return text.strip().lower() == "<redacted>"
