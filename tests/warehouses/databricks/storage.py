"""The DuckDB database behind the server: a table for each documented view, with the rows of all catalogs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from threading import RLock
from typing import Any

import duckdb  # type: ignore[import-not-found, unused-ignore]
from sqlglot import exp

from tests.warehouses.databricks.catalog import Catalog, Columns

SETUP_SQL = """
SET TimeZone = 'UTC';
SET threads = 1;
CREATE SCHEMA facts;
"""


@cache
def duckdb_type(kind: str) -> str:
    """The DuckDB type of a Databricks type, e.g. of STRUCT<job_id: STRING>."""
    return exp.DataType.build(kind, dialect="databricks").sql("duckdb")


def quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


class Storage:
    """The database. Each statement has its own cursor, so sessions do not wait for each other."""

    def __init__(self, catalog: Catalog) -> None:
        self._lock = RLock()
        self._duckdb: Any = duckdb.connect()
        self._duckdb.execute(SETUP_SQL)
        self._views = catalog.views
        for name, columns in catalog.views.items():
            body = ", ".join(f"{quoted(column)} {duckdb_type(kind)}" for column, kind in columns.items())
            self._duckdb.execute(f"CREATE TABLE {self.facts(name)} ({body})")

    @staticmethod
    def facts(view: str) -> str:
        return quoted("facts", view)

    def cursor(self) -> Any:
        with self._lock:
            return self._duckdb.cursor()

    def relation(self, sql: str, values: Mapping[str, Any] | None = None) -> Any:
        """The result of a query. It runs when it is read."""
        return self.cursor().sql(sql, params=dict(values or {}))

    def table_of(self, columns: Columns, rows: Sequence[Mapping[str, Any]]) -> Any:
        """A relation of these rows, with the types of Databricks."""
        fields = ", ".join(f"{quoted(name)} {duckdb_type(kind)}" for name, kind in columns.items())
        content = [{name: row.get(name) for name in columns} for row in rows]
        sql = f"SELECT UNNEST(CAST(CAST($rows AS JSON) AS STRUCT({fields})[]), max_depth := 2)"
        return self.relation(sql, {"rows": json.dumps(content)})

    def insert(self, view: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows of a view, in random order. Raises KeyError for a column that is not documented.

        Loads through a file: DuckDB reads 100,000 rows of JSON within seconds, and binds them within minutes.
        """
        if not rows:
            return
        kinds = {name: duckdb_type(self._views[view][name]) for row in rows for name in row}
        columns = ", ".join(f"{quoted(name)}: '{kind}'" for name, kind in kinds.items())
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            names = ", ".join(map(quoted, kinds))
            reader = f"read_json($file, format = 'newline_delimited', columns = {{{columns}}})"
            insert = f"INSERT INTO {self.facts(view)} ({names}) SELECT {names} FROM {reader} ORDER BY random()"
            self.cursor().execute(insert, {"file": file.name})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.cursor().execute(sql).fetchall()
        return found

    def empty(self) -> None:
        with self._lock:
            for view in self._views:
                self.cursor().execute(f"DELETE FROM {self.facts(view)}")
