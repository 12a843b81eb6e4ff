"""Collects the tables and views of the Hive metastore, which has no information schema.

SHOW lists names; DESCRIBE TABLE EXTENDED, one statement for each table, runs in a bounded pool of sessions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from catalogs import HIVE
from connection import Warehouse, is_statement_error, is_too_much, quote, quoted
from details import Details, Facts, Found, question
from error_table import message
from kinds import asset_type, kind_of
from mcpush.collect.catalog import (
    NO_COLUMNS,
    NO_VIEW_TEXT,
    UNREADABLE_DATABASE,
    UNREADABLE_SCHEMA,
    listed_table,
    read_or_skip,
)
from mcpush.collect.collector import Options
from mcpush.records import AssetKey, Column, TableRecord
from variables import DETAIL_SECONDS_VARIABLE

# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-schemas
HIVE_SCHEMAS_SQL = "SHOW SCHEMAS IN {catalog}"
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-tables: tables and views
HIVE_TABLES_SQL = "SHOW TABLES IN {schema}"
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-views
HIVE_VIEWS_SQL = "SHOW VIEWS IN {schema}"
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-describe-table
DESCRIBE_SQL = "DESCRIBE TABLE EXTENDED {table}"

T = TypeVar("T")

DETAILED = "# Detailed Table Information"
CREATED = re.compile(r"\w{3} (?P<day>\w{3} \d\d \d\d:\d\d:\d\d) (?P<zone>\w+) (?P<year>\d{4})")

NOT_REACHED = f"table of the Hive metastore not described: {DETAIL_SECONDS_VARIABLE} is over"
NOT_DESCRIBED = "table of the Hive metastore not described: dropped during the run, not readable, or too slow"
UNREADABLE_VIEWS = "views of a schema of the Hive metastore not told from tables (SHOW VIEWS)"


class SchemaRow(NamedTuple):
    databasename: str


class TableRow(NamedTuple):
    """A row of SHOW TABLES. Further columns are ignored."""

    tablename: str = ""
    istemporary: bool = False


class ViewRow(NamedTuple):
    """A row of SHOW VIEWS. Further columns are ignored."""

    viewname: str = ""


class DescribedRow(NamedTuple):
    """A row of DESCRIBE TABLE EXTENDED."""

    col_name: str | None
    data_type: str | None
    comment: str | None


class Name(NamedTuple):
    schema: str
    name: str
    is_view: bool

    @property
    def key(self) -> AssetKey:
        return HIVE, self.schema, self.name


class Described(NamedTuple):
    """What DESCRIBE TABLE EXTENDED says about a table or view: its columns, and the names and values of its details."""

    fields: list[Column]
    details: dict[str, str]

    @classmethod
    def of(cls, rows: Sequence[DescribedRow]) -> Described:
        names = [row.col_name or "" for row in rows]
        # Partition columns and metadata columns follow in sections of their own; the former are also among the columns.
        end = next((at for at, name in enumerate(names) if not name or name.startswith("# ")), len(rows))
        start = names.index(DETAILED) + 1 if DETAILED in names else len(rows)
        fields = [Column(row.col_name or "", row.data_type or "", row.comment or None) for row in rows[:end]]
        details: dict[str, str] = {}
        for row in rows[start:]:
            if not row.col_name or row.col_name.startswith("# "):
                break
            details.setdefault(row.col_name, row.data_type or "")
        return cls([field for field in fields if field.type], details)

    @property
    def kind(self) -> str | None:
        return self.details.get("Type") or None

    @property
    def created(self) -> datetime | None:
        """Java writes the zone of the warehouse as a name that can be ambiguous: only UTC is certain."""
        found = CREATED.fullmatch(self.details.get("Created Time", ""))
        if found is None or found["zone"] not in ("UTC", "GMT"):
            return None
        try:
            return datetime.strptime(f"{found['day']} {found['year']} +0000", "%b %d %H:%M:%S %Y %z")
        except ValueError:
            return None


class Answer(NamedTuple):
    described: Described
    found: Found | None


class HiveMetastore:
    """Reads the Hive metastore in a pool of its own. ``is_full``: not only volume and freshness."""

    def __init__(self, warehouse: Warehouse, options: Options, *, is_full: bool) -> None:
        self._warehouse, self._options, self._is_full = warehouse, options, is_full

    def names(self) -> Iterator[Name]:
        """The selected tables and views, sorted. Counts unreadable schemas."""
        filters = self._options.filters
        schemas = self._warehouse.rows(SchemaRow, HIVE_SCHEMAS_SQL.format(catalog=quote(HIVE)))
        for schema in sorted(row.databasename for row in schemas):
            if filters.may_hold(f"{HIVE}.{schema}"):
                for name, is_view in sorted(self._of_schema(schema).items()):
                    if filters.allows(HIVE, schema, name):
                        yield Name(schema, name, is_view)

    def _of_schema(self, schema: str) -> dict[str, bool]:
        """The names in a schema, and whether each is a view."""
        place = quoted(HIVE, schema)
        tables = read_or_skip(
            self._options,
            UNREADABLE_SCHEMA,
            lambda: list(self._warehouse.rows(TableRow, HIVE_TABLES_SQL.format(schema=place))),
            is_statement_error,
            lambda error: f"{HIVE}.{schema}: {message(error)}",
        )
        names = [row.tablename for row in tables or [] if not row.istemporary]
        if not names:
            return {}
        views = read_or_skip(
            self._options,
            UNREADABLE_VIEWS,
            lambda: {row.viewname for row in self._warehouse.rows(ViewRow, HIVE_VIEWS_SQL.format(schema=place))},
            is_statement_error,
            lambda error: f"{HIVE}.{schema}: {message(error)}",
        )
        return {name: name in (views or ()) for name in names}

    def records(self, details: Details) -> Iterator[TableRecord]:
        def ask(item: Name) -> Answer:
            return self._ask(details, item)

        for answer in details.new_pool().answers(ask, self.names()):
            name = ".".join(answer.item.key)
            if answer.error is not None:
                if not (is_statement_error(answer.error) or is_too_much(answer.error)):
                    raise answer.error
                self._options.skip(NOT_DESCRIBED, f"{name}: {message(answer.error)}")
            elif answer.value is None:
                self._options.skip(NOT_REACHED, name)
                yield self._record(answer.item, Described([], {}), Facts())
            else:
                yield self._answered(answer.item, answer.value)

    def _answered(self, item: Name, answer: Answer) -> TableRecord:
        described, found = answer
        name = ".".join(item.key)
        for reason, example in found.skipped if found else ():
            self._options.skip(reason, example)
        record = self._record(item, described, found.facts if found else Facts())
        if self._is_full and not record.fields:
            self._options.skip(NO_COLUMNS, name)
        if self._is_full and record.type == "VIEW" and not record.view_query:
            self._options.skip(NO_VIEW_TEXT, name)
        return record

    def _record(self, item: Name, described: Described, facts: Facts) -> TableRecord:
        kind = described.kind or ("VIEW" if item.is_view else None)
        details = described.details if self._is_full else {}
        return TableRecord(
            type=asset_type(kind),
            kind=kind_of(kind) if kind else None,
            database=HIVE,
            schema=item.schema,
            name=item.name,
            created_on=described.created,
            row_count=facts.row_count,
            byte_count=facts.byte_count,
            last_update_time=facts.last_write,
            description=details.get("Comment") or None,
            view_query=(details.get("View Text") or None) if asset_type(kind) == "VIEW" else None,
            fields=described.fields if self._is_full else [],
        )

    # --- in the threads of the pool ---------------------------------------------------------------------

    def _ask(self, details: Details, item: Name) -> Answer:
        rows = self._warehouse.read(DescribedRow, DESCRIBE_SQL.format(table=quoted(*item.key)))
        described = Described.of(rows)
        asked = question(item.key, described.kind or "", described.details.get("Provider"), None)
        if asked is None or item.is_view:
            return Answer(described, None)
        return Answer(described, details.found(item.key, is_versioned=asked.is_versioned))


def hive_records(warehouse: Warehouse, options: Options, details: Details, *, is_alone: bool) -> Iterator[TableRecord]:
    """The records of the Hive metastore. Counts it if it is not readable; raises if no other catalog was read."""
    reader = HiveMetastore(warehouse, options, is_full=not options.only_freshness_and_volume)
    yield from _readable(options, lambda: reader.records(details), is_alone=is_alone)


def hive_targets(warehouse: Warehouse, options: Options, *, is_alone: bool) -> Iterator[str]:
    """The lines of ``--list``, which does not describe the tables."""
    reader = HiveMetastore(warehouse, options, is_full=False)
    for name in _readable(options, reader.names, is_alone=is_alone):
        yield listed_table(*name.key, "view" if name.is_view else "table")


def _readable(options: Options, read: Callable[[], Iterator[T]], *, is_alone: bool) -> Iterator[T]:
    try:
        yield from read()
    except Exception as error:
        if is_alone or not is_statement_error(error):
            raise
        options.skip(UNREADABLE_DATABASE, f"{HIVE}: {message(error)}")
