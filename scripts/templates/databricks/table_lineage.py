"""Reads Unity Catalog's table_lineage, for lineage and query logs: direct accesses only.

An access is indirect if a statement reads a table through a view. Lineage goes through the view then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

from connection import Warehouse, explain, is_statement_error, is_unreadable
from mcpush.collect.rows import R, Rows
from mcpush.console import log
from mcpush.errors import RefusedError
from mcpush.records import TimeRange

# https://docs.databricks.com/aws/en/admin/system-tables/lineage
DIRECT_CONDITION = "l.direct_access"
ANY_CONDITION = "TRUE"  # for a metastore whose table_lineage does not have the column

# https://docs.databricks.com/aws/en/admin/system-tables/lineage#data-retention
RETENTION = timedelta(days=365)

# https://docs.databricks.com/aws/en/admin/system-tables/#grant-access-to-system-tables
GRANTS = (
    "GRANT USE CATALOG ON CATALOG system TO `<principal>`; "
    "GRANT USE SCHEMA, SELECT ON SCHEMA {schema} TO `<principal>`. "
    "If the schema does not exist, an account admin has to enable it."
)


@contextmanager
def refused_without(schema: str) -> Iterator[None]:
    """Turns an error for a system schema that is not readable into a refusal with the grants: it is not just empty."""
    try:
        yield
    except Exception as error:
        if not is_unreadable(error):
            raise
        raise RefusedError(str(explain(error)), GRANTS.format(schema=schema)) from error


class TableLineage:
    """Runs statements on table_lineage. They contain ``{condition}`` for whether an access is direct."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._condition = DIRECT_CONDITION

    def rows(self, kind: type[R], sql: str, **values: date | datetime) -> Rows[R]:
        """Rows of the statement. If table_lineage does not say what is direct, all of its rows count as direct."""
        try:
            return self._rows(kind, sql, **values)
        except Exception as error:
            if self._condition == ANY_CONDITION or not _is_column_missing(error):
                raise
        log.warning("warning: system.access.table_lineage has no direct_access: indirect accesses are collected, too")
        self._condition = ANY_CONDITION
        return self._rows(kind, sql, **values)

    def _rows(self, kind: type[R], sql: str, **values: date | datetime) -> Rows[R]:
        return self._warehouse.rows(kind, sql.format(condition=self._condition), **values)


def _is_column_missing(error: BaseException) -> bool:
    # https://docs.databricks.com/aws/en/error-messages/unresolved-column-error-class
    text = str(error)
    return is_statement_error(error) and "UNRESOLVED_COLUMN" in text and "direct_access" in text


def bounds(window: TimeRange) -> dict[str, date | datetime]:
    """Values to bind: the window, and its days as a bound on event_date, by which the lineage tables are partitioned.

    A day more at the end: no page says that event_date is the date of event_time.
    """
    last_day = window.end.date() + timedelta(days=1)
    return {"since": window.start, "until": window.end, "first_day": window.start.date(), "last_day": last_day}
