"""The DuckDB database behind the server: a table of facts for each documented view, and user tables with contents.

A table of facts has four more columns: ``_project`` and ``_region`` say where a row is, ``_dataset`` is NULL if it
belongs to no dataset, and ``_regional`` says whether a query of the whole region includes it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Any

import duckdb  # type: ignore[import-not-found, unused-ignore]
from sqlglot import exp

from tests.warehouses.bigquery.catalog import Catalog, View

PLACES = {"_project": "VARCHAR", "_region": "VARCHAR", "_dataset": "VARCHAR", "_regional": "BOOLEAN"}
BYTES_OF_A_ROW = 400  # what a statement is said to process for each row of a view
# GoogleSQL functions that DuckDB lacks. TO_JSON_STRING of a time would have another form, so it is refused.
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#to_json_string
SETUP_SQL = """
SET TimeZone = 'UTC';
SET threads = 1;
CREATE SCHEMA facts;
CREATE SCHEMA data;
CREATE SCHEMA results;
CREATE MACRO to_json_string(value) AS CASE
    WHEN typeof(value) SIMILAR TO '.*(TIMESTAMP|DATE|TIME|BLOB).*'
        THEN error('the local server has no TO_JSON_STRING of times and bytes')
    WHEN value IS NULL THEN 'null'
    ELSE CAST(to_json(value) AS VARCHAR)
END;
"""


def duckdb_type(google_type: str) -> str:
    """The DuckDB type of a GoogleSQL type, e.g. of ARRAY<STRUCT<key STRING, value STRING>>."""
    return exp.DataType.build(google_type, dialect="bigquery").sql("duckdb")


def quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


class Storage:
    """The database. One statement runs at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self.lock = RLock()
        self.duckdb: Any = duckdb.connect()
        self.duckdb.execute(SETUP_SQL)
        self._views = catalog.views
        for view in catalog.views.values():
            columns = PLACES | {name: duckdb_type(kind) for name, kind in view.columns.items()}
            body = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
            self.duckdb.execute(f"CREATE TABLE {self.facts(view.name)} ({body})")

    @staticmethod
    def facts(view: str) -> str:
        return quoted("facts", view)

    @staticmethod
    def data(table: Sequence[str]) -> str:
        return quoted("data", ".".join(table))

    def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> Any:
        """Run DuckDB SQL. The result is valid until the next statement, so hold ``lock`` while you read it."""
        return self.duckdb.execute(sql, dict(values)) if values else self.duckdb.execute(sql)

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self.lock:
            found: list[tuple[Any, ...]] = self.execute(sql, values).fetchall()
        return found

    def insert(self, view: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows of a view, in random order. Raises KeyError for a column that is not documented."""
        columns = PLACES | {name: duckdb_type(kind) for name, kind in self._views[view].columns.items()}
        names = list(rows[0]) if rows else []
        kinds = {name: columns[name] for name in names}
        self._load(self.facts(view), kinds, _with_empty_arrays(self._views[view], names), rows)

    def fill_table(self, table: Sequence[str], columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Create a user table with contents."""
        kinds = {name: duckdb_type(kind) for name, kind in columns.items()}
        body = ", ".join(f"{quoted(name)} {kind}" for name, kind in kinds.items())
        with self.lock:
            self.execute(f"CREATE TABLE {self.data(table)} ({body})")
        self._load(self.data(table), kinds, {}, rows)

    def _load(
        self, table: str, kinds: Mapping[str, str], more: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Load through a file: DuckDB reads 100,000 rows of JSON within seconds, and binds them within minutes."""
        if not rows:
            return
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            with self.lock:
                target = ", ".join(map(quoted, [*kinds, *more]))
                source = ", ".join([*map(quoted, kinds), *more.values()])
                reader = f"read_json($file, format = 'newline_delimited', columns = {{{_struct(kinds)}}})"
                insert = f"INSERT INTO {table} ({target}) SELECT {source} FROM {reader} ORDER BY random()"
                self.execute(insert, {"file": file.name})

    def empty(self) -> None:
        """Delete all rows, user tables and results."""
        with self.lock:
            for view in self._views:
                self.execute(f"TRUNCATE {self.facts(view)}")
            for schema in ("data", "results"):
                self.execute(f"DROP SCHEMA {schema} CASCADE")
                self.execute(f"CREATE SCHEMA {schema}")

    def size(self, views: Sequence[str]) -> int:
        """The bytes that a statement on these views is said to process."""
        return sum(self.rows(f"SELECT count(*) FROM {self.facts(view)}")[0][0] * BYTES_OF_A_ROW for view in views)


def _struct(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{quoted(name)}: '{kind}'" for name, kind in kinds.items())


def _with_empty_arrays(view: View, given: Sequence[str]) -> dict[str, str]:
    """Values for the arrays that rows do not mention. BigQuery stores no NULL arrays."""
    arrays = [name for name, kind in view.columns.items() if kind.startswith("ARRAY") and name not in given]
    return dict.fromkeys(arrays, "[]")
