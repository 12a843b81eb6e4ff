"""Lineage of a log of statements: sessions, temporary tables, repeats; out come lineage manifest records.

log = LineageLog("snowflake", schema=schema)
for row in rows:
    log.add(row.text, session=row.session, defaults=Defaults(row.database, row.schema))
for record in log.records():
    …
log.skipped  # {reason: (count, example)}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any

from pushkit.sql_extract import applied, extract
from pushkit.sql_graph import LineageGraph
from pushkit.sql_names import Defaults, Schema, TableName
from pushkit.sql_query import Temporary


class LineageLog:
    """Collects the lineage of a log. Add statements in the log's order, then take the records."""

    def __init__(
        self,
        dialect: str,
        *,
        schema: Schema | None = None,
        workers: int | None = None,
        time_limit: float = 10.0,
        is_temporary: Callable[[TableName], bool] | None = None,
    ) -> None:
        self.dialect = dialect
        self.schema = schema
        self.workers = workers
        self.time_limit = time_limit
        self.is_temporary = is_temporary
        self.skipped: dict[str, tuple[int, str]] = {}
        self._graph = LineageGraph()
        self._temporaries: dict[str | None, Mapping[TableName, Temporary]] = {}

    def __enter__(self) -> LineageLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(
        self,
        text: str,
        *,
        session: str | None = None,
        defaults: Defaults = Defaults(),  # noqa: B008  frozen
        at: datetime | None = None,
        truncated: bool = False,
    ) -> None:
        """Adds one statement of the log."""
        held = self._temporaries.get(session, {})
        found = extract(text, self.dialect, defaults, self.schema, temporaries=held, truncated=truncated)
        for effect in found.effects:
            held = applied(held, effect)
        self._temporaries[session] = held
        for skip in found.skips:
            count, example = self.skipped.get(skip.reason, (0, skip.example))
            self.skipped[skip.reason] = (count + 1, example)
        for lineage in found.lineages:
            self._graph.add(lineage)

    def records(self) -> Iterator[dict[str, Any]]:
        """One lineage manifest record per destination: sources and columns merged over the whole log."""
        yield from self._graph.records()

    def close(self) -> None:
        """Ends the worker processes."""
