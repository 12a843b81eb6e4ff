"""Collects metadata from a Hive metastore database, as set in ``HIVE_METASTORE_URL``.

    with metastore_source() as source:
        for record in source.records(options):
            ...

Runs a constant number of statements. Their rows are streamed in the same order and merged: memory holds one table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from mcpush.collect.catalog import listed_table, read_or_skip
from mcpush.collect.collector import Options
from mcpush.collect.rows import R, Rows
from mcpush.console import log
from mcpush.errors import ConfigurationError
from mcpush.records import TableRecord
from metastore_errors import is_unreadable_statement, read_metastore_error
from metastore_records import Details, Records, by_table, merged
from metastore_session import Session, open_session
from metastore_sql import (
    COLUMNS_SQL,
    DATABASES_OF_CATALOGS_SQL,
    DATABASES_SQL,
    PARAMETERS_SQL,
    PARTITION_KEYS_SQL,
    PARTITIONS_SQL,
    TABLES_SQL,
    VERSION_SQL,
    VIEWS_SQL,
    VOLUME_PARAMETERS_SQL,
    ColumnRow,
    DatabaseRow,
    ParameterRow,
    PartitionsRow,
    TableRow,
    VersionRow,
    ViewRow,
)
from metastore_url import URL_VARIABLE
from variables import catalog

FIRST_WITH_CATALOGS = 3  # major version
KNOWN_VERSIONS = range(2, 5)  # major versions

NO_PARAMETERS = "parameters not readable (TABLE_PARAMS): volume, freshness and descriptions unknown"
NO_PARTITION_KEYS = "partition columns not readable (PARTITION_KEYS): volume and freshness unknown"
NO_PARTITIONS = "partitions not readable (PARTITIONS, PARTITION_PARAMS): volume and freshness of their tables unknown"
UNREADABLE_COLUMNS = "columns not readable (SDS, COLUMNS_V2)"
UNREADABLE_VIEWS = "view definitions not readable (TBLS)"
OTHER_CATALOG = "database of another catalog than HIVE_CATALOG"


@dataclass(frozen=True)
class MetastoreSource:
    """A metastore database. ``catalog`` is the database of all records."""

    session: Session
    catalog: str
    has_catalogs: bool

    def records(self, options: Options) -> Iterator[TableRecord]:
        """Yields one record for each table and view that the filters select, in the order of creation."""
        is_full = not options.only_freshness_and_volume
        databases = self._databases(options)
        if not databases:
            return
        bounds = _bounds(databases)
        rows = self.session.rows(TableRow, TABLES_SQL, **bounds)
        details = self._details(options, bounds, is_full=is_full)
        yield from merged(rows, databases, Records(self.catalog, details, options, is_full))

    def targets(self, options: Options) -> Iterator[str]:
        """Yields the full name and type of each table and view, as ``--list`` prints them."""
        databases = self._databases(options)
        if not databases:
            return
        rows = self.session.rows(TableRow, TABLES_SQL, **_bounds(databases))
        records = Records(self.catalog, Details(None, None, None), options, is_full=False)
        for record in merged(rows, databases, records):
            yield listed_table(record.database, record.schema, record.name, record.kind or "")

    def _databases(self, options: Options) -> dict[int, str]:
        """The names of the databases that can have selected tables, by id. Counts those of other catalogs.

        Raises ConfigurationError if the metastore does not have the catalog.
        """
        sql = DATABASES_OF_CATALOGS_SQL if self.has_catalogs else DATABASES_SQL
        rows = [*self.session.rows(DatabaseRow, sql)]
        if self.has_catalogs:
            catalogs = sorted({row.catalog_name or "" for row in rows})
            if rows and self.catalog not in catalogs:
                raise ConfigurationError(
                    f"The metastore has no databases in the catalog {self.catalog}.",
                    f"Set HIVE_CATALOG to one of its catalogs: {', '.join(catalogs)}.",
                )
        found = {}
        for row in rows:
            if row.catalog_name not in (None, self.catalog):
                options.skip(OTHER_CATALOG, f"{row.catalog_name}.{row.database_name}")
            elif row.database_name and options.filters.may_hold(f"{self.catalog}.{row.database_name}"):
                found[row.database_id] = row.database_name
        return found

    def _details(self, options: Options, bounds: Mapping[str, int], *, is_full: bool) -> Details:
        def rows(reason: str, kind: type[R], sql: str) -> Rows[R] | None:
            return read_or_skip(
                options, reason, lambda: self.session.rows(kind, sql, **bounds), is_unreadable_statement, _message
            )

        partitions = PARTITIONS_SQL.format(condition=self.session.dialect.number_condition)
        return Details(
            parameters=by_table(
                rows(NO_PARAMETERS, ParameterRow, PARAMETERS_SQL if is_full else VOLUME_PARAMETERS_SQL)
            ),
            partition_keys=by_table(rows(NO_PARTITION_KEYS, ColumnRow, PARTITION_KEYS_SQL)),
            partitions=by_table(rows(NO_PARTITIONS, PartitionsRow, partitions)),
            columns=by_table(rows(UNREADABLE_COLUMNS, ColumnRow, COLUMNS_SQL)) if is_full else None,
            views=by_table(rows(UNREADABLE_VIEWS, ViewRow, VIEWS_SQL)) if is_full else None,
        )


def _bounds(databases: Mapping[int, str]) -> dict[str, int]:
    """The range of ids: one database is read alone."""
    return {"first": min(databases), "last": max(databases)}


def _message(error: BaseException) -> str:
    found = read_metastore_error(error)
    return found.text if found else str(error)


@contextmanager
def metastore_source() -> Iterator[MetastoreSource]:
    """Connects to the metastore database and reads its version; closes the connections at the end.

    Raises ConfigurationError if the URL, a package or the version is missing or not valid, and errors of SQLAlchemy,
    which ``read_metastore_error`` converts.
    """
    with open_session() as session:
        versions = [row.schema_version for row in session.rows(VersionRow, VERSION_SQL)]
        major = major_version(versions)
        log.info("connected to the metastore database, version %s", versions[0])
        yield MetastoreSource(session, catalog(), major >= FIRST_WITH_CATALOGS)


def major_version(versions: list[str]) -> int:
    """The major version of Hive that created the tables, from the only row of VERSION."""
    found = re.match(r"(\d{1,4})\.", versions[0]) if len(versions) == 1 else None
    if found is None:
        raise ConfigurationError(
            f"The table VERSION of the metastore database has no version: {', '.join(versions) or 'no row'}.",
            f"Check the database in {URL_VARIABLE}, or repair the metastore with Hive's schematool.",
        )
    if int(found[1]) not in KNOWN_VERSIONS:
        log.warning("warning: version %s of the metastore database was not tested, only Hive 2 to 4", versions[0])
    return int(found[1])
