"""How SQL dialects differ where it matters for lineage and sqlglot does not say: one table of traits.

`traits_of` gives the row of a dialect. A dialect without a row has the default of every trait. Rows are keyed by the
name of sqlglot's class and inherit nothing: what holds for Hive is written again for Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlglot.dialects.dialect import Dialect

# Names people use for a dialect, and the sqlglot dialect that reads it. "" is sqlglot's own, for standard SQL.
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
    """The sqlglot dialect for a name people use. Raises ValueError, listing the choices, for an unknown one."""
    key = (name or "").lower()
    return Dialect.get_or_raise(DIALECT_ALIASES.get(key, key))


@dataclass(frozen=True)
class Traits:
    """What is particular about one dialect. The defaults are those of standard SQL.

    Names of tables:

    - keeps_case: names keep the case they are written in, quoted or not, although sqlglot folds columns.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#case_sensitivity
    - legacy_names: `[project:dataset.table]` is one name.
      https://cloud.google.com/bigquery/docs/reference/legacy-sql#from
    - table_decorators: `table$20260101` names a partition of `table`.
      https://cloud.google.com/bigquery/docs/managing-partition-data#partition_decorators
    - wildcard_tables: a name that ends with `*` stands for all tables that begin so.
      https://cloud.google.com/bigquery/docs/querying-wildcard-tables
    - information_schema_in_schemas: in `dataset.INFORMATION_SCHEMA.TABLES` the last two parts are one table.
      https://cloud.google.com/bigquery/docs/information-schema-intro#syntax
    - table_branches: a fourth part `branch_x` or `tag_x` names a version of an Iceberg table; since Spark 3.
      https://iceberg.apache.org/docs/latest/spark-writes/#writing-to-branches
    - schema_left_out: the schema of `db..t`. https://docs.snowflake.com/en/sql-reference/name-resolution

    Sessions and statements:

    - use_names_schema: USE with one name enters a schema, which these call a database, not a database above it.
      https://spark.apache.org/docs/latest/sql-ref-syntax-ddl-usedb.html
      https://cwiki.apache.org/confluence/display/Hive/LanguageManual+DDL#LanguageManualDDL-UseDatabase
      https://dev.mysql.com/doc/refman/8.4/en/use.html
      https://clickhouse.com/docs/sql-reference/statements/use
    - enters_created: CREATE DATABASE and CREATE SCHEMA go on in what they made.
      https://docs.snowflake.com/en/sql-reference/sql/create-schema#general-usage-notes
    - flow_operator: `a ->> b` passes the result of one statement to the next.
      https://docs.snowflake.com/en/sql-reference/operators-flow
    - location_is_own: LOCATION is where a table keeps its own data, not what it reads.
      https://spark.apache.org/docs/latest/sql-ref-syntax-ddl-create-table-datasource.html
      https://cwiki.apache.org/confluence/display/Hive/LanguageManual+DDL

    Queries:

    - lateral_aliases: an item of a SELECT list may use the alias of an earlier one.
      https://docs.aws.amazon.com/redshift/latest/dg/r_SELECT_list.html
      https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-name-resolution
    - struct_dots: a dot after a column reaches into a struct; elsewhere an unknown qualifier is a variable of a script.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#field_access_operator
      https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    - bare_arrays: a subquery may read an array of the query around it by its path: FROM t.orders AS o.
      https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
      https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#correlated_join
    - array_subscripts_in_from: FROM t AS a, a.items[0].parts AS x.
      https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    - unnest_gives_elements: UNNEST gives one column, the element, whose fields can be named without it.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
    - row_by_alias: the alias of a table on its own is its row.
      https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#range_variables
      https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-USAGE
    - time_windows: GROUP BY window(ts, …) makes a column of that name.
      https://spark.apache.org/docs/latest/api/sql/#window
    - implicit_recursion: a CTE may read itself without the word RECURSIVE.
      https://docs.snowflake.com/en/sql-reference/constructs/with
      https://learn.microsoft.com/en-us/sql/t-sql/queries/with-common-table-expression-transact-sql
    """

    keeps_case: bool = False
    legacy_names: bool = False
    table_decorators: bool = False
    wildcard_tables: bool = False
    information_schema_in_schemas: bool = False
    table_branches: bool = False
    schema_left_out: str | None = None
    use_names_schema: bool = False
    enters_created: bool = False
    flow_operator: bool = False
    location_is_own: bool = False
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
    "Dialect": Traits(struct_dots=True),  # nobody said which dialect it is: dots are read as the commoner meaning
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
        location_is_own=True,
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
    "Hive": Traits(use_names_schema=True, location_is_own=True, struct_dots=True),
    "MySQL": Traits(use_names_schema=True),
    "Oracle": Traits(implicit_recursion=True),
    "Postgres": Traits(row_by_alias=True),
    "Presto": Traits(lateral_aliases=True, struct_dots=True),
    "Redshift": Traits(lateral_aliases=True, struct_dots=True, bare_arrays=True, array_subscripts_in_from=True),
    # https://docs.singlestore.com/cloud/reference/sql-reference/
    "SingleStore": Traits(use_names_schema=True),
    "Snowflake": Traits(
        schema_left_out="PUBLIC",
        enters_created=True,
        flow_operator=True,
        lateral_aliases=True,
        implicit_recursion=True,
    ),
    "Spark": Traits(
        table_branches=True,
        use_names_schema=True,
        location_is_own=True,
        lateral_aliases=True,
        struct_dots=True,
        time_windows=True,
    ),
    # Spark 2: window() is there since 2.0, aliases that later items may use came with 3.4, Iceberg's branches with 3.
    "Spark2": Traits(use_names_schema=True, location_is_own=True, struct_dots=True, time_windows=True),
    # https://docs.starrocks.io/docs/sql-reference/sql-statements/Database/USE/
    "StarRocks": Traits(use_names_schema=True),
    "Teradata": Traits(lateral_aliases=True, implicit_recursion=True),
    "Trino": Traits(lateral_aliases=True, struct_dots=True),
    "TSQL": Traits(implicit_recursion=True),
}


def traits_of(dialect: Dialect) -> Traits:
    """The traits of a dialect."""
    return TRAITS.get(type(dialect).__name__, DEFAULT)
