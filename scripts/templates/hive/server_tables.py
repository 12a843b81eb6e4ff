"""Reads the tables of HiveServer2: SHOW DATABASES, SHOW TABLES, and DESCRIBE FORMATTED for each table in a pool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from connection import Hive, explain, is_statement_error, is_unreadable, quote
from describe import DescribeRow, Description, parse
from error_table import INVALID_TABLE, message, read_error
from kinds import is_view
from mcpush.collect.catalog import each_readable
from mcpush.collect.collector import Options
from mcpush.collect.pool import Answer, Pool
from mcpush.errors import PushIngestionError, RefusedError
from view_text import view_query

# https://hive.apache.org/docs/latest/language/languagemanual-ddl/#show-databases
DATABASES_SQL = "SHOW DATABASES"
# Tables, views and materialized views.
# https://hive.apache.org/docs/latest/language/languagemanual-ddl/#show-tables
TABLES_SQL = "SHOW TABLES IN {database}"
# https://hive.apache.org/docs/latest/language/languagemanual-ddl/#describe-tableviewmaterialized-viewcolumn
DESCRIBE_SQL = "DESCRIBE FORMATTED {database}.{table}"
# With JSON_SETTING, one row with the table as JSON. DESCRIBE FORMATTED cuts the lines of a query at tabs.
# https://hive.apache.org/docs/latest/language/languagemanual-ddl/#describe-tableviewmaterialized-viewcolumn
VIEW_SQL = "DESCRIBE EXTENDED {database}.{table}"
# https://hive.apache.org/docs/latest/user/configuration-properties/#hiveddloutputformat
JSON_SETTING = "SET hive.ddl.output.format=json"

DROPPED = "table dropped during the run"
UNREADABLE_TABLE = "table not readable (DESCRIBE FORMATTED)"
NOT_REACHED = "table not described in time (HIVE_DESCRIBE_SECONDS)"
NO_JSON = (
    "view definition of several lines: HiveServer2 does not allow hive.ddl.output.format, without which it can be cut "
    "(see README.md)"
)
UNREADABLE_VIEW = "view definition not readable (DESCRIBE EXTENDED)"
GRANT_REMEDY = "Grant this user what README.md lists."
MOST_FAILURES = 100  # kept in memory


class DatabaseRow(NamedTuple):
    """A row of DATABASES_SQL: of Hive, or of Spark."""

    database_name: str = ""
    namespace: str = ""


class TableNameRow(NamedTuple):
    """A row of TABLES_SQL: of Hive, or of Spark, which also shows temporary views."""

    tab_name: str = ""
    tablename: str = ""
    istemporary: bool = False


class TableName(NamedTuple):
    database: str
    name: str

    def sql(self, statement: str) -> str:
        return statement.format(database=quote(self.database), table=quote(self.name))

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


class Described(NamedTuple):
    """A table and its description. For a view, ``query``, or ``no_query``: a reason why there is none."""

    table: TableName
    description: Description
    query: str | None = None
    no_query: str | None = None


@dataclass
class Describer:
    """Asks for the description of one table, in a thread. ``is_full``: with the query of a view."""

    hive: Hive
    is_full: bool
    is_json_refused: bool = False

    def ask(self, table: TableName) -> Described:
        description = parse(self.hive.read(DescribeRow, table.sql(DESCRIBE_SQL)))
        if not self.is_full or not is_view(description.kind):
            return Described(table, description)
        if not description.is_hive:
            return Described(table, description, description.certain_query)
        if not self.is_json_refused:
            try:
                rows = self.hive.read(DescribeRow, table.sql(VIEW_SQL), JSON_SETTING)
            except Exception as error:
                if not is_statement_error(error):
                    raise
                if "hive.ddl.output.format" not in message(error):
                    return Described(table, description, None, UNREADABLE_VIEW)
                self.is_json_refused = True
            else:
                return Described(table, description, query_in_json(rows))
        query = description.certain_query
        return Described(table, description, query, None if query else NO_JSON)


def query_in_json(rows: list[DescribeRow]) -> str | None:
    """The query in the JSON that describes a view.

    https://github.com/apache/hive/blob/rel/release-4.1.0/ql/src/java/org/apache/hadoop/hive/ql/ddl/table/info/desc/formatter/JsonDescTableFormatter.java
    """
    try:
        table = json.loads(rows[0].col_name or "")["tableInfo"]
        return view_query(table.get("viewExpandedText"), table.get("viewOriginalText"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None


@dataclass
class ServerTables:
    """The tables of a server that the filters select."""

    hive: Hive
    options: Options
    catalog: str
    failures: list[PushIngestionError] = field(default_factory=list)

    def names(self) -> Iterator[TableName]:
        """Yields the names by database. Counts databases that cannot be read; raises RefusedError if none can."""
        rows = self.hive.read(DatabaseRow, DATABASES_SQL)
        databases = sorted(row.database_name or row.namespace for row in rows)
        selected = [name for name in databases if self.options.filters.may_hold(f"{self.catalog}.{name}")]
        yield from each_readable(self.options, selected, self._of_database, is_unreadable, _refusal, message)

    def _of_database(self, database: str) -> Iterator[TableName]:
        rows = self.hive.read(TableNameRow, TABLES_SQL.format(database=quote(database)))
        for name in sorted(row.tab_name or row.tablename for row in rows if not row.istemporary):
            if self.options.filters.allows(self.catalog, database, name):
                yield TableName(database, name)

    def described(self, pool: Pool) -> Iterator[Described]:
        """Yields all tables that can be described, and counts the others. Raises an error if none can."""
        describer = Describer(self.hive, not self.options.only_freshness_and_volume)
        is_any_described = False
        for answer in pool.answers(describer.ask, self.names()):
            if answer.value is not None:
                is_any_described = True
                yield answer.value
            else:
                self._skip(answer)
        if self.failures and not is_any_described:
            raise next((each for each in self.failures if isinstance(each, RefusedError)), self.failures[0])

    def _skip(self, answer: Answer[TableName, Described]) -> None:
        name = f"{self.catalog}.{answer.item}"
        if answer.error is None:
            self.options.skip(NOT_REACHED, name)
            return
        if not is_statement_error(answer.error):
            raise answer.error
        found = read_error(answer.error)
        if found is not None and found.code == INVALID_TABLE:
            self.options.skip(DROPPED, name)
            return
        self.options.skip(UNREADABLE_TABLE, f"{name}: {message(answer.error)}")
        explained = explain(answer.error)
        if explained is not None and len(self.failures) < MOST_FAILURES:
            self.failures.append(explained)


def _refusal(messages: list[str]) -> PushIngestionError:
    return RefusedError(f"HiveServer2 refuses access to all databases: {messages[0]}", GRANT_REMEDY)
