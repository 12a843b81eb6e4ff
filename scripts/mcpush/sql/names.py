"""Resolves table names in SQL to names as the catalog reports them.

Converts the identifiers of a parsed statement to a `TableName`. Three rules, in this order: an unqualified name is
completed with the session's defaults (never with a guess such as `public`); a name in the catalog gets the catalog's
case; any other name is folded by the rules of the dialect. Uses sqlglot for the folding rules.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot.dialects.dialect import Dialect, NormalizationStrategy

from mcpush.sql.dialects import traits_of

# File formats that Spark and Databricks accept in place of a schema: delta.`s3://bucket/path`.
PATH_FORMATS = frozenset({"avro", "binaryfile", "csv", "delta", "iceberg", "json", "orc", "parquet", "text", "xml"})

# Schemas of the session's temporary tables. The tables are created with unqualified names.
# https://cloud.google.com/bigquery/docs/multi-statement-queries#temporary_tables
# https://spark.apache.org/docs/latest/sql-ref-syntax-ddl-create-view.html (GLOBAL TEMPORARY)
# https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH
SESSION_SCHEMAS = frozenset({"_session", "global_temp", "pg_temp"})

EXTERNAL = "EXTERNAL"
TABLE = "TABLE"
VIEW = "VIEW"
WILDCARD = "WILDCARD_TABLE"


@dataclass(frozen=True)
class Defaults:
    """The session's current database (BigQuery: project; Databricks: catalog) and schema; None if unknown.

    For a search path of several schemas, `search_path` lists them in order and `schema` is None. `user_schema` is the
    schema that `$user` in a search path refers to; None if there is no such schema.
    """

    database: str | None = None
    schema: str | None = None
    search_path: tuple[str, ...] = ()
    user_schema: str | None = None

    def in_database(self, database: str | None) -> Defaults:
        return replace(self, database=database)

    def in_schemas(self, *schemas: str) -> Defaults:
        """The same session with another search path; unknown if no schemas are given."""
        if len(schemas) > 1:
            return replace(self, schema=None, search_path=schemas)
        return replace(self, schema=schemas[0] if schemas else None, search_path=())


@dataclass(frozen=True)
class TableName:
    """A table, view, external path or BigQuery wildcard. Parts that are neither written nor in the defaults are None.

    `kind` is one of TABLE, VIEW, EXTERNAL, WILDCARD_TABLE (the asset types that lineage references accept). It is
    ignored in comparisons: the same name is the same asset. For EXTERNAL, `name` is the whole path or stage. `is_guess`
    marks a name that got the first schema of the search path because the catalog has the table in none of its schemas.
    """

    database: str | None
    schema: str | None
    name: str
    kind: str = field(default=TABLE, compare=False)
    is_guess: bool = field(default=False, compare=False)

    @property
    def key(self) -> tuple[str | None, str | None, str]:
        return self.database, self.schema, self.name

    @property
    def is_external(self) -> bool:
        return self.kind == EXTERNAL

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in (self.database, self.schema, self.name) if part)

    @property
    def is_in_session_schema(self) -> bool:
        """Whether the schema is one of SESSION_SCHEMAS, so that the table is temporary."""
        return self.schema is not None and self.schema.lower() in SESSION_SCHEMAS

    def __str__(self) -> str:
        return ".".join(self.parts)


def fold(text: str, quoted: bool, strategy: NormalizationStrategy) -> str:
    """An identifier as the dialect stores it: Snowflake upper case, PostgreSQL lower case, BigQuery as written, …"""
    if strategy is NormalizationStrategy.UPPERCASE:
        return text if quoted else text.upper()
    if strategy is NormalizationStrategy.LOWERCASE:
        return text if quoted else text.lower()
    if strategy is NormalizationStrategy.CASE_INSENSITIVE:
        return text.lower()
    if strategy is NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE:
        return text.upper()
    return text


def folding(dialect: Dialect) -> NormalizationStrategy:
    """How the dialect folds table names."""
    if traits_of(dialect).keeps_case:
        return NormalizationStrategy.CASE_SENSITIVE
    return NormalizationStrategy(dialect.normalization_strategy)


class Schema:
    """The catalog: its tables, their kind, and their columns in order, in the catalog's case.

    Built from metadata manifest records (`Schema.from_records`) or table by table (`add`). Stores one tuple per table
    and interns column names: about 100 bytes per distinct column name.
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[str, ...], tuple[TableName, tuple[str, ...]]] = {}
        self._columns: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._tables)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Schema:
        """The schema from the records of a metadata manifest (`database`, `schema`, `name`, `type`, `fields`)."""
        schema = cls()
        for record in records:
            kind = VIEW if record.get("type") == VIEW else TABLE
            table = TableName(record.get("database"), record.get("schema"), record["name"], kind)
            schema.add(table, [item["name"] for item in record.get("fields") or []])
        return schema

    def add(self, table: TableName, columns: Iterable[str]) -> None:
        """Add a table and its columns in order. An empty list means that the columns are unknown."""
        interned = tuple(self._columns.setdefault(column, column) for column in columns)
        entry = (table, interned)
        self._tables[table.parts] = entry
        # A second, case-insensitive key. If two names differ only in case, the first one keeps it.
        self._tables.setdefault(_caseless(table.parts), entry)

    def find(self, parts: tuple[str, ...]) -> tuple[TableName, tuple[str, ...]] | None:
        """The table with that full name, and its columns. Prefers an exact match, then a case-insensitive one."""
        return self._tables.get(parts) or self._tables.get(_caseless(parts))

    def holds(self, parts: tuple[str, ...]) -> bool:
        """Whether there is a table with exactly that full name."""
        return parts in self._tables


def _caseless(parts: tuple[str, ...]) -> tuple[str, ...]:
    # The leading empty part distinguishes these keys from exact ones.
    return ("", *(part.lower() for part in parts))


class Namer:
    """Turns the parts of a name in a statement into a `TableName`, for one dialect, session and catalog."""

    def __init__(self, dialect: Dialect, defaults: Defaults, schema: Schema | None) -> None:
        self.dialect = dialect
        self.folding = folding(dialect)
        self.defaults = defaults
        self.schema = schema
        self.traits = traits_of(dialect)
        self.created_columns: dict[TableName, tuple[str, ...]] = {}  # columns of the tables that this script created
        self.temporaries: Container[TableName] = ()  # the session's temporary tables so far
        self._memo: dict[tuple[tuple[str, bool], ...], TableName] = {}

    def fold(self, text: str, quoted: bool = False) -> str:
        return fold(text, quoted, self.folding)

    def table(self, parts: tuple[tuple[str, bool], ...]) -> TableName:
        """The table with a name in these parts; each part says whether it was quoted."""
        if len(parts) == 1 and self.defaults.search_path and (own := self.temporary(parts[0])) in self.temporaries:
            return own
        known = self._memo.get(parts)
        if known is None:
            known = self._memo[parts] = self._table(parts)
        return known

    def created_as(self, table: TableName) -> TableName:
        """The name that a temporary table was created with, if `table` has one of SESSION_SCHEMAS; else `table`."""
        return self.table(((table.name, True),)) if table.is_in_session_schema else table

    def temporary(self, part: tuple[str, bool]) -> TableName:
        """A temporary table created with a search path. It is in none of its schemas and precedes them all."""
        return TableName(self.defaults.database, None, self.fold(*part))

    def created(self, parts: tuple[tuple[str, bool], ...], *, is_temporary: bool) -> TableName:
        """The table that a CREATE statement with this name creates."""
        if is_temporary and len(parts) == 1 and self.defaults.search_path:
            return self.temporary(parts[0])
        return self.table(parts)

    def external(self, path: str) -> TableName:
        """A file path, URL or stage, as written."""
        return TableName(None, None, path, EXTERNAL)

    def columns(self, table: TableName) -> tuple[str, ...]:
        """The table's columns in catalog order; empty if unknown."""
        entry = self.schema.find(table.parts) if self.schema else None
        return entry[1] if entry and entry[1] else self.created_columns.get(table, ())

    def _table(self, parts: tuple[tuple[str, bool], ...]) -> TableName:
        last = parts[-1][0]
        if len(parts) == 2 and parts[0][0].lower() in PATH_FORMATS and ("/" in last or "\\" in last):
            return self.external(last)
        if "://" in last or last.startswith(("@", "/")):
            return self.external(".".join(text for text, _ in parts))
        names = self._split(parts)
        if len(names) == 1 and self.defaults.search_path and self.schema is not None:
            return self._on_search_path(names[0], self.schema)
        if len(names) == 1 and self.defaults.schema:
            names = [self.defaults.schema, *names]
        if len(names) == 2 and self.defaults.database:
            names = [self.defaults.database, *names]
        elif len(names) == 1 and self.defaults.database:
            return self._known((self.defaults.database, "", names[0]))
        return self._known(tuple(names))

    def _on_search_path(self, name: str, catalog: Schema) -> TableName:
        """The table in the first schema that has it. If none has it, guess the first schema of the path."""
        database = (self.defaults.database,) if self.defaults.database else ()
        for schema in self.defaults.search_path:
            if catalog.holds((*database, schema, name)):
                return self._known((*database, schema, name))
        return replace(self._known((*database, self.defaults.search_path[0], name)), is_guess=True)

    def _split(self, parts: tuple[tuple[str, bool], ...]) -> list[str]:
        names = [self.fold(text, quoted) for text, quoted in parts]
        traits = self.traits
        if traits.legacy_names and len(names) == 1 and ":" in names[0]:
            project, _, rest = names[0].rpartition(":")
            names = [project, *rest.split(".")]
        if traits.table_decorators:
            names[-1] = names[-1].split("$", 1)[0] or names[-1]
        if traits.information_schema_in_schemas and len(names) > 2 and names[-2].upper() == "INFORMATION_SCHEMA":
            names[-2:] = [f"{names[-2]}.{names[-1]}"]
        if traits.table_branches and len(names) == 4 and names[3].lower().startswith(("branch_", "tag_")):
            names.pop()
        if "" in names:
            left_out = traits.omitted_schema
            names = [name or left_out for name in names] if left_out else [name for name in names if name]
        return names

    def _known(self, names: tuple[str, ...]) -> TableName:
        entry = self.schema.find(tuple(name for name in names if name)) if self.schema else None
        if entry:
            return entry[0]
        if len(names) > 3:
            names = (".".join(names[:-2]), *names[-2:])
        database, schema, name = ("", "", "", *names)[-3:]
        kind = WILDCARD if self.traits.wildcard_tables and name.endswith("*") else TABLE
        return TableName(database or None, schema or None, name, kind)
