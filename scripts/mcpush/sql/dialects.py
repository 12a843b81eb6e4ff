"""Differences between SQL dialects that matter for lineage and that sqlglot does not expose, as a table of traits.

`traits_of` returns the row of a dialect. A dialect without a row has the default of every trait. Rows are keyed by the
name of the sqlglot class and are not inherited: the traits of Hive are repeated for Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlglot.dialects.dialect import Dialect

# Common names of dialects, and the sqlglot dialect that parses each. "" is sqlglot's base dialect, for standard SQL.
DIALECT_ALIASES: Mapping[str, str] = {
    "ansi": "",
    "generic": "",
    "greenplum": "postgres",
    "vertica": "postgres",
    "netezza": "postgres",
    "postgresql": "postgres",
    "sparksql": "spark",
    "spark3": "spark",
    "mssql": "tsql",
    "sqlserver": "tsql",
    "mariadb": "mysql",
    "bigquery-iceberg": "bigquery",
    "impala": "hive",
    "db2": "postgres",
    "flink": "hive",
}


@lru_cache(maxsize=64)
def dialect_of(name: str | None) -> Dialect:
    """The sqlglot dialect for a common name. Raises ValueError for an unknown name."""
    key = (name or "").lower()
    return Dialect.get_or_raise(DIALECT_ALIASES.get(key, key))


@dataclass(frozen=True)
class Traits:
    """The traits of one dialect. The defaults are those of standard SQL.

    Table names:

    - keeps_case: table names keep their case, quoted or not, although sqlglot folds column names.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#case_sensitivity
    - legacy_names: `[project:dataset.table]` is one name.
      https://cloud.google.com/bigquery/docs/reference/legacy-sql#from
    - table_decorators: `table$20260101` names a partition of `table`.
      https://cloud.google.com/bigquery/docs/managing-partition-data#partition_decorators
    - wildcard_tables: a name that ends with `*` matches all tables with that prefix.
      https://cloud.google.com/bigquery/docs/querying-wildcard-tables
    - information_schema_in_schemas: in `dataset.INFORMATION_SCHEMA.TABLES` the last two parts are one table.
      https://cloud.google.com/bigquery/docs/information-schema-intro#syntax
    - table_branches: a fourth part `branch_x` or `tag_x` names a version of an Iceberg table (since Spark 3).
      https://iceberg.apache.org/docs/latest/spark-writes/#writing-to-branches
    - omitted_schema: the schema that `db..t` refers to. https://docs.snowflake.com/en/sql-reference/name-resolution

    Sessions and statements:

    - use_names_schema: USE with one name selects a schema (which these dialects call a database), not a database.
      https://spark.apache.org/docs/latest/sql-ref-syntax-ddl-usedb.html
      https://cwiki.apache.org/confluence/display/Hive/LanguageManual+DDL#LanguageManualDDL-UseDatabase
      https://dev.mysql.com/doc/refman/8.4/en/use.html
      https://clickhouse.com/docs/sql-reference/statements/use
    - create_sets_default: CREATE DATABASE and CREATE SCHEMA make the new object the session's default.
      https://docs.snowflake.com/en/sql-reference/sql/create-schema#general-usage-notes
    - flow_operator: `a ->> b` passes the result of one statement to the next.
      https://docs.snowflake.com/en/sql-reference/operators-flow
    - location_is_storage: LOCATION is where a table stores its data, not a source that it reads.
      https://spark.apache.org/docs/latest/sql-ref-syntax-ddl-create-table-datasource.html
      https://cwiki.apache.org/confluence/display/Hive/LanguageManual+DDL

    Queries:

    - lateral_aliases: an item of a SELECT list can use the alias of an earlier item.
      https://docs.aws.amazon.com/redshift/latest/dg/r_SELECT_list.html
      https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-name-resolution
    - struct_dots: a dot after a column accesses a struct field. If False, an unknown qualifier is a script variable.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#field_access_operator
      https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    - bare_arrays: a subquery can read an array of the outer query by its path: FROM t.orders AS o.
      https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
      https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#correlated_join
    - array_subscripts_in_from: a path in FROM can have subscripts: FROM t AS a, a.items[0].parts AS x.
      https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    - unnest_gives_elements: UNNEST returns one column, the element. Its fields can be used without its name.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
    - row_by_alias: a table alias without a column is the whole row.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#range_variables
      https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-USAGE
    - time_windows: GROUP BY window(ts, …) adds a column of that name.
      https://spark.apache.org/docs/latest/api/sql/#window
    - implicit_recursion: a CTE can read itself without RECURSIVE.
      https://docs.snowflake.com/en/sql-reference/constructs/with
      https://learn.microsoft.com/en-us/sql/t-sql/queries/with-common-table-expression-transact-sql
    """

    keeps_case: bool = False
    legacy_names: bool = False
    table_decorators: bool = False
    wildcard_tables: bool = False
    information_schema_in_schemas: bool = False
    table_branches: bool = False
    omitted_schema: str | None = None
    use_names_schema: bool = False
    create_sets_default: bool = False
    flow_operator: bool = False
    location_is_storage: bool = False
    lateral_aliases: bool = False
    struct_dots: bool = False
    bare_arrays: bool = False
    array_subscripts_in_from: bool = False
    unnest_gives_elements: bool = False
    row_by_alias: bool = False
    time_windows: bool = False
    implicit_recursion: bool = False


DEFAULT = Traits()

TRAITS: Mapping[str, Traits] = {
    "Dialect": Traits(struct_dots=True),  # unknown dialect: dots have their more common meaning
    "Athena": Traits(lateral_aliases=True, struct_dots=True),
    "BigQuery": Traits(
        keeps_case=True,
        legacy_names=True,
        table_decorators=True,
        wildcard_tables=True,
        information_schema_in_schemas=True,
        struct_dots=True,
        bare_arrays=True,
        unnest_gives_elements=True,
        row_by_alias=True,
    ),
    "ClickHouse": Traits(use_names_schema=True, lateral_aliases=True, struct_dots=True),
    "Databricks": Traits(
        table_branches=True,
        use_names_schema=True,
        location_is_storage=True,
        lateral_aliases=True,
        struct_dots=True,
        time_windows=True,
    ),
    # https://doris.apache.org/docs/sql-manual/sql-statements/session/context/USE
    "Doris": Traits(use_names_schema=True),
    "DuckDB": Traits(lateral_aliases=True, struct_dots=True),
    # Dune runs Trino: https://docs.dune.com/query-engine/overview
    "Dune": Traits(lateral_aliases=True, struct_dots=True),
    "Fabric": Traits(implicit_recursion=True),
    "Hive": Traits(use_names_schema=True, location_is_storage=True, struct_dots=True),
    "MySQL": Traits(use_names_schema=True),
    "Oracle": Traits(implicit_recursion=True),
    "Postgres": Traits(row_by_alias=True),
    "Presto": Traits(lateral_aliases=True, struct_dots=True),
    "Redshift": Traits(lateral_aliases=True, struct_dots=True, bare_arrays=True, array_subscripts_in_from=True),
    # https://docs.singlestore.com/cloud/reference/sql-reference/
    "SingleStore": Traits(use_names_schema=True),
    "Snowflake": Traits(
        omitted_schema="PUBLIC",
        create_sets_default=True,
        flow_operator=True,
        lateral_aliases=True,
        implicit_recursion=True,
    ),
    "Spark": Traits(
        table_branches=True,
        use_names_schema=True,
        location_is_storage=True,
        lateral_aliases=True,
        struct_dots=True,
        time_windows=True,
    ),
    # Spark 2 has window() (since 2.0), but not lateral aliases (since 3.4) or Iceberg branches (since 3).
    "Spark2": Traits(use_names_schema=True, location_is_storage=True, struct_dots=True, time_windows=True),
    # https://docs.starrocks.io/docs/sql-reference/sql-statements/Database/USE/
    "StarRocks": Traits(use_names_schema=True),
    "Teradata": Traits(lateral_aliases=True, implicit_recursion=True),
    "Trino": Traits(lateral_aliases=True, struct_dots=True),
    "TSQL": Traits(implicit_recursion=True),
}


def traits_of(dialect: Dialect) -> Traits:
    """The traits of a dialect; the default traits if it has no row."""
    return TRAITS.get(type(dialect).__name__, DEFAULT)
