"""Values in the columns of system views that a model says nothing of: a collector that reads one by mistake is noticed.

Works on the facts that are in the server; no two columns get the same value.
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
# The engine's types, and an expression of a column's name, its number and DuckDB's number of the row.
VALUES = {
    "VARCHAR": "'{name} ' || rowid",
    "BIGINT": "{number} * 10000000 + rowid",
    "DOUBLE": "{number} * 10000000 + rowid",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ '2001-01-01 00:00:00+00' + to_days({number}) + to_seconds(rowid)",
}
# Null says that there was no error.
EMPTY_FOR_A_REASON = ("ERROR_CODE", "ERROR_MESSAGE")
# ``write_shop`` gives them the values of other columns.
REPEATED = ("LAST_DDL", "ROWS_PRODUCED", "data_timestamp")


def fill_empty_columns(server: EmbeddedSnowflake) -> None:
    """Give each column that is null in every row of its view, or repeats another one, a value for each row."""
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
