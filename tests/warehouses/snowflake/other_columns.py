"""Fills columns of system views that the model does not define, so that tests notice a collector that reads the wrong
one.

Changes the facts in the server. No two columns get the same value.
"""

from __future__ import annotations

from tests.warehouses.snowflake.launch import EmbeddedSnowflake

VIEWS = (
    "INFORMATION_SCHEMA.TABLES",
    "INFORMATION_SCHEMA.VIEWS",
    "INFORMATION_SCHEMA.COLUMNS",
    "SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY",
    "SHOW DYNAMIC TABLES",
    "SHOW MATERIALIZED VIEWS",
)
# The engine's types, each with an expression of the column's name, its number and DuckDB's row number.
VALUES = {
    "VARCHAR": "'{name} ' || rowid",
    "BIGINT": "{number} * 10000000 + rowid",
    "DOUBLE": "{number} * 10000000 + rowid",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ '2001-01-01 00:00:00+00' + to_days({number}) + to_seconds(rowid)",
}
# Null means that there was no error.
EMPTY_FOR_A_REASON = ("ERROR_CODE", "ERROR_MESSAGE")
# ``write_shop`` copies the values of other columns to these.
REPEATED = ("LAST_DDL", "ROWS_PRODUCED", "data_timestamp")


def fill_empty_columns(server: EmbeddedSnowflake) -> None:
    """Set a distinct value per row in each column that is null in every row of its view or repeats another column."""
    for view in VIEWS:
        columns = server.sql(
            "SELECT column_name, data_type FROM duckdb_columns() "
            f"WHERE database_name = 'facts' AND schema_name = 'main' AND table_name = '{view}'"
        )
        counts = ", ".join(f'count("{name}")' for name, _ in columns)
        [filled] = server.sql(f'SELECT {counts} FROM facts."{view}"')
        changes = [
            f'"{name}" = {VALUES[kind].format(name=name, number=number)}'
            for number, ((name, kind), count) in enumerate(zip(columns, filled, strict=True), 1)
            if (not count or name in REPEATED) and kind in VALUES and name not in EMPTY_FOR_A_REASON
        ]
        if changes:
            server.sql(f'UPDATE facts."{view}" SET {", ".join(changes)}')
