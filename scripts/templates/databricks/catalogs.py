"""Finds the catalogs, and reads them whole or in parts: by schema, and by ranges of names.

Reads ``system.information_schema``, which needs no grants on the catalogs: it also has objects of which this principal
may only see the name (BROWSE). Its rows are found fast only by equality with a catalog and a schema.
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-information-schema
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial
from typing import NamedTuple, TypeVar

from connection import Warehouse, is_statement_error, is_too_much
from error_table import GRANTS, message
from mcpush.collect.catalog import UNREADABLE_SCHEMA, Key, Part, SplitDatabase, each_readable
from mcpush.collect.collector import Options
from mcpush.collect.rows import R, Rows
from mcpush.console import log
from mcpush.errors import RefusedError

# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-catalogs
CATALOGS_SQL = "SHOW CATALOGS"

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/schemata
SCHEMAS_SQL = """
SELECT
    s.schema_name AS schema_name
FROM system.information_schema.schemata AS s
WHERE s.catalog_name = :catalog
    AND s.schema_name <> 'information_schema'
ORDER BY s.schema_name
"""

# https://docs.databricks.com/aws/en/sql/language-manual/information-schema/tables
NAMES_SQL = """
SELECT
    t.table_name AS table_name
FROM system.information_schema.tables AS t
WHERE t.table_catalog = :catalog
    AND t.table_schema = :schema_name
ORDER BY t.table_name
"""

# Values of ``{condition}`` in a statement that reads a part of a catalog. Names are compared byte by byte, as Python
# compares them by code point: https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-collation
CATALOG_CONDITION = "t.table_schema <> 'information_schema'"
SCHEMA_CONDITION = "t.table_schema = :schema_name"
RANGE_CONDITION = """t.table_schema = :schema_name
    AND t.table_name >= :first_name
    AND t.table_name <= :last_name"""

HIVE = "hive_metastore"  # https://docs.databricks.com/aws/en/data-governance/unity-catalog/hive-metastore
# System tables, sample data, and what Databricks keeps for pipelines. Collected only if --include names them.
# https://docs.databricks.com/aws/en/admin/system-tables/, https://docs.databricks.com/aws/en/discover/databricks-datasets
OWN_CATALOGS = ("system", "samples", "__databricks_internal")
MOST_SCHEMAS = 20  # if the filters select more schemas of a catalog, one statement for all of them is faster

NO_CATALOG = "No catalog with tables is visible to this principal."

T = TypeVar("T")
ReadPart = Callable[[Part], Iterator[T]]


class CatalogRow(NamedTuple):
    catalog: str


class SchemaRow(NamedTuple):
    schema_name: str


class NameRow(NamedTuple):
    table_name: str


def catalogs(warehouse: Warehouse, options: Options) -> list[str]:
    """The catalogs that the filters select, sorted, also the Hive metastore.

    Raises RefusedError if this principal sees none: a run without tables would look like an empty metastore. The Hive
    metastore can be visible without any grant.
    """
    visible = sorted({row.catalog for row in warehouse.rows(CatalogRow, CATALOGS_SQL)})
    if all(name in OWN_CATALOGS for name in visible):
        raise RefusedError(NO_CATALOG, GRANTS)
    if all(name in (*OWN_CATALOGS, HIVE) for name in visible):
        log.warning("warning: no catalog of Unity Catalog is visible to this principal, only the Hive metastore")
    return [name for name in visible if options.filters.may_hold(name) and not _is_left_out(name, options)]


def not_empty(items: Iterable[T]) -> Iterator[T]:
    """Yields the items of the only visible catalog. Raises RefusedError if there are none."""
    is_empty = True
    for item in items:
        is_empty = False
        yield item
    if is_empty:
        raise RefusedError(NO_CATALOG, GRANTS)


def _is_left_out(catalog: str, options: Options) -> bool:
    named = any(pattern.lower().startswith(f"{catalog}.") for pattern in options.filters.include)
    return catalog in OWN_CATALOGS and not named


def in_part(warehouse: Warehouse, kind: type[R], sql: str, catalog: str, part: Part, **values: date) -> Rows[R]:
    """Runs a statement that has ``:catalog`` and ``{condition}`` for a part of a catalog."""
    conditions = {0: CATALOG_CONDITION, 1: SCHEMA_CONDITION, 3: RANGE_CONDITION}
    names = dict(zip(("schema_name", "first_name", "last_name"), part.values, strict=False))
    sql = sql.format(condition=conditions[len(names)])
    return warehouse.rows(kind, sql, catalog=catalog, **names, **values)


def each_table(
    warehouse: Warehouse,
    options: Options,
    names: list[str],
    reader: Callable[[str], ReadPart[T]],
    key: Callable[[T], Key],
) -> Iterator[T]:
    """Yields what the readers of these catalogs yield, one item for each table, sorted by schema and name.

    ``reader`` creates the reader of a catalog from its name. Counts unreadable catalogs and schemas. Raises
    RefusedError if no catalog is readable.
    """
    yield from each_readable(
        options,
        names,
        lambda name: _items(warehouse, options, name, reader(name), key),
        is_statement_error,
        lambda messages: RefusedError(f"Cannot read the tables of any catalog; {messages[-1]}", GRANTS),
        message,
    )


def _items(
    warehouse: Warehouse, options: Options, catalog: str, read: ReadPart[T], key: Callable[[T], Key]
) -> Iterator[T]:
    selected = _selected_schemas(warehouse, options, catalog)
    if selected is None:
        yield from _split(warehouse, options, catalog, read, key, lambda: _schemas(warehouse, catalog))
        return
    readable, refused = 0, None
    for schema in selected:
        try:
            yield from _split(warehouse, options, catalog, _within(read, schema), key, partial(list, [schema]))
            readable += 1
        except Exception as error:
            if not is_statement_error(error):
                raise
            options.skip(UNREADABLE_SCHEMA, f"{catalog}.{schema}: {message(error)}")
            refused = error
    if refused and not readable:
        raise refused


def _selected_schemas(warehouse: Warehouse, options: Options, catalog: str) -> list[str] | None:
    """The schemas that the filters select, if they are few; None if the catalog is to be read whole."""
    filters = options.filters
    if not (filters.include or filters.exclude):
        return None
    found = _schemas(warehouse, catalog)
    selected = [schema for schema in found if filters.may_hold(f"{catalog}.{schema}")]
    return None if len(selected) == len(found) or len(selected) > MOST_SCHEMAS else selected


def _schemas(warehouse: Warehouse, catalog: str) -> list[str]:
    return [row.schema_name for row in warehouse.rows(SchemaRow, SCHEMAS_SQL, catalog=catalog)]


def _within(read: ReadPart[T], schema: str) -> ReadPart[T]:
    return lambda part: read(part if part.schema else Part(schema))


def _split(
    warehouse: Warehouse,
    options: Options,
    catalog: str,
    read: ReadPart[T],
    key: Callable[[T], Key],
    schemas: Callable[[], list[str]],
) -> Iterator[T]:
    def names(schema: str) -> list[str]:
        found = warehouse.rows(NameRow, NAMES_SQL, catalog=catalog, schema_name=schema)
        return [row.table_name for row in found]

    yield from SplitDatabase(
        catalog, options, read, key, schemas, names, is_unreadable=is_statement_error, is_too_much=is_too_much
    ).items()
