"""Reads the catalog and schema of queries: the history does not have them, but lineage has the tables of a query.

They are known if all tables that the query read and wrote are in one catalog, or in one schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from connection import Warehouse, is_unreadable
from error_table import message
from mcpush.collect.collector import Options
from mcpush.records import TimeRange
from table_lineage import TableLineage

# The only catalog, and the only schema, of the tables that a statement reads and writes.
# https://docs.databricks.com/aws/en/admin/system-tables/lineage (statement_id)
# https://docs.databricks.com/aws/en/sql/language-manual/functions/greatest (skips NULL, as least does)
SCHEMAS_SQL = """
SELECT
    h.logged_at AS logged_at,
    h.statement_id AS statement_id,
    MIN(LEAST(l.source_table_catalog, l.target_table_catalog)) AS first_catalog,
    MAX(GREATEST(l.source_table_catalog, l.target_table_catalog)) AS last_catalog,
    MIN(LEAST(l.source_table_schema, l.target_table_schema)) AS first_schema,
    MAX(GREATEST(l.source_table_schema, l.target_table_schema)) AS last_schema
FROM (
    SELECT
        q.statement_id AS statement_id,
        CASE WHEN q.update_time > q.end_time + INTERVAL 2 HOURS THEN q.update_time ELSE q.end_time END AS logged_at
    FROM system.query.history AS q
    WHERE q.start_time >= :started_since
        AND q.start_time < :until
        AND LOWER(TRIM(q.statement_text)) NOT IN ('', '<redacted>')
) AS h
JOIN system.access.table_lineage AS l ON l.statement_id = h.statement_id
WHERE h.logged_at >= :since
    AND h.logged_at < :until
    AND l.event_date >= :first_day
    AND l.event_date <= :last_day
    AND {condition}
GROUP BY h.logged_at, h.statement_id
ORDER BY h.logged_at, h.statement_id
"""

# Statements run for at most two days (https://docs.databricks.com/aws/en/sql/language-manual/parameters/statement_timeout).
# One day more, for waiting and fetching.
LONGEST_QUERY = timedelta(days=3)
NO_SCHEMAS = "catalog and schema of queries not readable (system.access.table_lineage)"


class Schema(NamedTuple):
    """The catalog and schema of all tables of a query. None: unknown, or several."""

    database: str | None
    schema: str | None


NO_SCHEMA = Schema(None, None)


class SchemaRow(NamedTuple):
    """A row of SCHEMAS_SQL: the first and last catalog and schema, by name, of the tables of a statement."""

    logged_at: datetime
    statement_id: str
    first_catalog: str | None
    last_catalog: str | None
    first_schema: str | None
    last_schema: str | None

    @property
    def schema(self) -> Schema:
        if self.first_catalog != self.last_catalog:
            return NO_SCHEMA
        return Schema(self.first_catalog, self.first_schema if self.first_schema == self.last_schema else None)


class QuerySchemas:
    """Reads the schemas of one run's queries. If they are not readable, counts it once, and then finds none."""

    def __init__(self, warehouse: Warehouse, options: Options) -> None:
        self._options = options
        self._lineage: TableLineage | None = TableLineage(warehouse)

    def rows(self, part: TimeRange) -> Iterator[SchemaRow]:
        """The queries that ended in this part of the window and have lineage, in the order of the history."""
        if self._lineage is None:
            return iter(())
        days = {"first_day": (part.start - LONGEST_QUERY).date(), "last_day": (part.end + timedelta(days=1)).date()}
        try:
            return iter(self._lineage.rows(SchemaRow, SCHEMAS_SQL, **bounds(part), **days))
        except Exception as error:
            if not is_unreadable(error):
                raise
            self._options.skip(NO_SCHEMAS, message(error))
            self._lineage = None
            return iter(())


def bounds(part: TimeRange) -> dict[str, date | datetime]:
    """Values to bind to statements on the history."""
    return {"since": part.start, "until": part.end, "started_since": part.start - LONGEST_QUERY}
