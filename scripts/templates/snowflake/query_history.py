"""What Snowflake's ACCOUNT_USAGE.QUERY_HISTORY keeps of a statement's text, for both collectors that read it.

https://docs.snowflake.com/en/sql-reference/account-usage/query_history
"""

from __future__ import annotations

LONGEST_TEXT = 100_000  # characters of QUERY_TEXT that Snowflake keeps
REDACTED_TEXT = "query text redacted by Snowflake"  # the reason it is counted under


def is_redacted(text: str) -> bool:
    """Whether this stands for a text that Snowflake hides, as for some syntax errors."""
    return text.strip().lower() == "<redacted>"
