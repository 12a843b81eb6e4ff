"""Snowflake's system views in DuckDB: one table of facts for each documented view and SHOW command.

Creates from ``catalog.toml`` a DuckDB database named ``facts``, whose tables have the section's own name, for example
``facts."INFORMATION_SCHEMA.TABLES"`` or ``facts."SHOW DYNAMIC TABLES"``, with exactly the documented columns. Tests
fill these tables. A session sees (schema ``visible``) the facts, the tables that were created through SQL and have no
fact, and the INFORMATION_SCHEMA views themselves, as documented. Needs DuckDB.
"""

from __future__ import annotations

from typing import Any

from tests.warehouses.snowflake.catalog import Catalog

FACTS = "facts"
SCRATCH = "scratch"
"""The engine's current database while a session has no database of its own."""

_DUCKDB_TYPES = {
    "VARCHAR": "VARCHAR",
    "TEXT": "VARCHAR",
    "NUMBER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP_LTZ": "TIMESTAMPTZ",
    "ARRAY": "JSON",
    "OBJECT": "JSON",
    "VARIANT": "JSON",
}
_SHOW_NUMBERS = {"rows", "bytes", "search_optimization_bytes"}

_OWN_DATABASES = f"('{FACTS}', '{SCRATCH}', '_fs_global', 'memory', 'system', 'temp')"

CREATED_DATABASES = f"""
    SELECT
        database_name AS DATABASE_NAME,
        'STANDARD' AS TYPE,
        'SYSADMIN' AS DATABASE_OWNER,
        'NO' AS IS_TRANSIENT,
        1 AS RETENTION_TIME
    FROM duckdb_databases()
    WHERE database_name NOT IN {_OWN_DATABASES}
      AND database_name NOT IN (SELECT DATABASE_NAME FROM facts.main."INFORMATION_SCHEMA.DATABASES")
"""

CREATED_TABLES = f"""
    SELECT
        database_name AS TABLE_CATALOG,
        schema_name AS TABLE_SCHEMA,
        table_name AS TABLE_NAME,
        'SYSADMIN' AS TABLE_OWNER,
        'BASE TABLE' AS TABLE_TYPE,
        'NO' AS IS_TRANSIENT,
        estimated_size AS ROW_COUNT,
        comment AS COMMENT,
        'NO' AS IS_TEMPORARY,
        'NO' AS IS_ICEBERG,
        'NO' AS IS_DYNAMIC,
        'NO' AS IS_HYBRID
    FROM duckdb_tables()
    WHERE database_name NOT IN {_OWN_DATABASES} AND schema_name NOT IN ('main', '_fs_information_schema')
    UNION ALL BY NAME
    SELECT
        database_name AS TABLE_CATALOG,
        schema_name AS TABLE_SCHEMA,
        view_name AS TABLE_NAME,
        'SYSADMIN' AS TABLE_OWNER,
        'VIEW' AS TABLE_TYPE,
        comment AS COMMENT
    FROM duckdb_views()
    WHERE database_name NOT IN {_OWN_DATABASES} AND schema_name NOT IN ('main', '_fs_information_schema')
      AND NOT internal
"""

CREATED_VIEWS = f"""
    SELECT
        database_name AS TABLE_CATALOG,
        schema_name AS TABLE_SCHEMA,
        view_name AS TABLE_NAME,
        'SYSADMIN' AS TABLE_OWNER,
        sql AS VIEW_DEFINITION,
        'NO' AS IS_SECURE,
        comment AS COMMENT
    FROM duckdb_views()
    WHERE database_name NOT IN {_OWN_DATABASES} AND schema_name NOT IN ('main', '_fs_information_schema')
      AND NOT internal
"""

CREATED_COLUMNS = f"""
    SELECT
        database_name AS TABLE_CATALOG,
        schema_name AS TABLE_SCHEMA,
        table_name AS TABLE_NAME,
        column_name AS COLUMN_NAME,
        column_index AS ORDINAL_POSITION,
        column_default AS COLUMN_DEFAULT,
        CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END AS IS_NULLABLE,
        CASE
            WHEN data_type IN ('VARCHAR') THEN 'TEXT'
            WHEN data_type IN ('DOUBLE', 'FLOAT') THEN 'FLOAT'
            WHEN data_type = 'BLOB' THEN 'BINARY'
            WHEN data_type = 'JSON' THEN 'VARIANT'
            WHEN data_type LIKE 'TIMESTAMP WITH%' THEN 'TIMESTAMP_TZ'
            WHEN data_type LIKE 'TIMESTAMP%' THEN 'TIMESTAMP_NTZ'
            WHEN data_type LIKE 'DECIMAL%' OR data_type LIKE '%INT%' THEN 'NUMBER'
            ELSE data_type
        END AS DATA_TYPE,
        CASE WHEN data_type = 'VARCHAR' THEN 16777216 END AS CHARACTER_MAXIMUM_LENGTH,
        CASE
            WHEN data_type LIKE 'DECIMAL%' THEN numeric_precision
            WHEN data_type LIKE '%INT%' THEN 38
        END AS NUMERIC_PRECISION,
        CASE WHEN data_type LIKE 'DECIMAL%' THEN numeric_scale WHEN data_type LIKE '%INT%' THEN 0 END
            AS NUMERIC_SCALE,
        CASE WHEN data_type LIKE 'TIMESTAMP%' THEN 9 END AS DATETIME_PRECISION,
        comment AS COMMENT,
        'COLUMN' AS KIND
    FROM duckdb_columns()
    WHERE database_name NOT IN {_OWN_DATABASES} AND schema_name NOT IN ('main', '_fs_information_schema')
      AND NOT internal
"""

CREATED_SCHEMATA = f"""
    SELECT
        database_name AS CATALOG_NAME,
        schema_name AS SCHEMA_NAME,
        'SYSADMIN' AS SCHEMA_OWNER,
        'NO' AS IS_TRANSIENT
    FROM duckdb_schemas()
    WHERE database_name NOT IN {_OWN_DATABASES}
      AND schema_name NOT IN ('main', '_fs_information_schema', 'information_schema', 'pg_catalog')
"""

OWN_SCHEMATA = """
    SELECT DATABASE_NAME AS CATALOG_NAME, 'INFORMATION_SCHEMA' AS SCHEMA_NAME
    FROM visible."INFORMATION_SCHEMA.DATABASES"
"""

OWN_VIEWS = """
    SELECT
        DATABASE_NAME AS TABLE_CATALOG,
        'INFORMATION_SCHEMA' AS TABLE_SCHEMA,
        VIEW_NAME AS TABLE_NAME,
        'VIEW' AS TABLE_TYPE,
        'NO' AS IS_SECURE
    FROM visible."INFORMATION_SCHEMA.DATABASES", facts.main."documented views"
"""

OWN_COLUMNS = """
    SELECT
        DATABASE_NAME AS TABLE_CATALOG,
        'INFORMATION_SCHEMA' AS TABLE_SCHEMA,
        VIEW_NAME AS TABLE_NAME,
        COLUMN_NAME AS COLUMN_NAME,
        ORDINAL_POSITION AS ORDINAL_POSITION,
        'YES' AS IS_NULLABLE,
        DATA_TYPE AS DATA_TYPE
    FROM visible."INFORMATION_SCHEMA.DATABASES", facts.main."documented columns"
"""

SHOWN_DATABASES = """
    SELECT
        CREATED AS created_on,
        DATABASE_NAME AS name,
        'N' AS is_default,
        'N' AS is_current,
        '' AS origin,
        coalesce(DATABASE_OWNER, '') AS owner,
        coalesce(COMMENT, '') AS comment,
        '' AS options,
        RETENTION_TIME::VARCHAR AS retention_time,
        TYPE AS kind,
        OWNER_ROLE_TYPE AS owner_role_type
    FROM visible."INFORMATION_SCHEMA.DATABASES"
    WHERE DATABASE_NAME NOT IN (SELECT name FROM facts.main."SHOW DATABASES")
"""

SHOWN_SCHEMAS = """
    SELECT
        CREATED AS created_on,
        SCHEMA_NAME AS name,
        'N' AS is_default,
        'N' AS is_current,
        CATALOG_NAME AS database_name,
        coalesce(SCHEMA_OWNER, '') AS owner,
        coalesce(COMMENT, '') AS comment,
        'N' AS is_nested
    FROM visible."INFORMATION_SCHEMA.SCHEMATA"
"""

SHOWN_TABLES = """
    SELECT
        CREATED AS created_on,
        TABLE_NAME AS name,
        TABLE_CATALOG AS database_name,
        TABLE_SCHEMA AS schema_name,
        CASE WHEN IS_TRANSIENT = 'YES' THEN 'TRANSIENT' ELSE 'TABLE' END AS kind,
        coalesce(COMMENT, '') AS comment,
        ROW_COUNT AS rows,
        BYTES AS bytes,
        coalesce(TABLE_OWNER, '') AS owner,
        CASE WHEN TABLE_TYPE = 'EXTERNAL TABLE' THEN 'Y' ELSE 'N' END AS is_external,
        CASE WHEN IS_HYBRID = 'YES' THEN 'Y' ELSE 'N' END AS is_hybrid,
        CASE WHEN IS_ICEBERG = 'YES' THEN 'Y' ELSE 'N' END AS is_iceberg
    FROM visible."INFORMATION_SCHEMA.TABLES"
    WHERE TABLE_TYPE NOT LIKE '%VIEW'
"""

SHOWN_VIEWS = """
    SELECT
        CREATED AS created_on,
        TABLE_NAME AS name,
        'VIEW' AS kind,
        TABLE_CATALOG AS database_name,
        TABLE_SCHEMA AS schema_name,
        coalesce(TABLE_OWNER, '') AS owner,
        coalesce(COMMENT, '') AS comment,
        VIEW_DEFINITION AS text,
        CASE WHEN IS_SECURE = 'YES' THEN 'true' ELSE 'false' END AS is_secure,
        'false' AS is_materialized
    FROM visible."INFORMATION_SCHEMA.VIEWS"
    UNION ALL BY NAME
    SELECT
        created_on,
        name,
        'MATERIALIZED_VIEW' AS kind,
        database_name,
        schema_name,
        owner,
        comment,
        text,
        is_secure,
        'true' AS is_materialized
    FROM facts.main."SHOW MATERIALIZED VIEWS"
"""

_KEY = ("TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME")
_CREATED = {
    "INFORMATION_SCHEMA.TABLES": (CREATED_TABLES, _KEY),
    "INFORMATION_SCHEMA.VIEWS": (CREATED_VIEWS, _KEY),
    "INFORMATION_SCHEMA.COLUMNS": (CREATED_COLUMNS, _KEY),
    "INFORMATION_SCHEMA.SCHEMATA": (CREATED_SCHEMATA, ("CATALOG_NAME", "SCHEMA_NAME")),
}
_DERIVED = {
    "INFORMATION_SCHEMA.DATABASES": [CREATED_DATABASES],
    "INFORMATION_SCHEMA.SCHEMATA": [OWN_SCHEMATA],
    "INFORMATION_SCHEMA.TABLES": [OWN_VIEWS],
    "INFORMATION_SCHEMA.VIEWS": [OWN_VIEWS],
    "INFORMATION_SCHEMA.COLUMNS": [OWN_COLUMNS],
    "SHOW DATABASES": [SHOWN_DATABASES],
    "SHOW SCHEMAS": [SHOWN_SCHEMAS],
    "SHOW TABLES": [SHOWN_TABLES],
    "SHOW VIEWS": [SHOWN_VIEWS],
}


def create(engine: Any, catalog: Catalog) -> None:
    """Create the database ``facts`` (tables) with the schema ``visible`` (views) in a DuckDB connection."""
    engine.execute(f"ATTACH ':memory:' AS {FACTS}")
    engine.execute(f"ATTACH ':memory:' AS {SCRATCH}")
    engine.execute(f"CREATE SCHEMA {FACTS}.visible")
    engine.execute(f'CREATE TABLE {FACTS}.main."documented views" (VIEW_NAME VARCHAR)')
    engine.execute(
        f'CREATE TABLE {FACTS}.main."documented columns" '
        "(VIEW_NAME VARCHAR, COLUMN_NAME VARCHAR, ORDINAL_POSITION BIGINT, DATA_TYPE VARCHAR)"
    )
    columns_of: dict[str, list[str]] = {}
    for view in catalog.views.values():
        _create_table(engine, view.name, {name: _type(name, kind) for name, kind in view.columns.items()})
        columns_of[view.name] = list(view.columns)
        schema, _, name = view.name.rpartition(".")
        if schema == "INFORMATION_SCHEMA":
            engine.execute(f'INSERT INTO {FACTS}.main."documented views" VALUES (?)', [name])
            for position, (column, kind) in enumerate(view.columns.items(), 1):
                engine.execute(
                    f'INSERT INTO {FACTS}.main."documented columns" VALUES (?, ?, ?, ?)',
                    [name, column, position, "TEXT" if kind == "VARCHAR" else kind],
                )
    for command in catalog.commands.values():
        _create_table(engine, command.name, {name: _shown_type(name) for name in command.columns})
        columns_of[command.name] = list(command.columns)
    for section in sorted(columns_of, key=_creation_order):
        _create_visible(engine, section, columns_of[section])


def _creation_order(section: str) -> tuple[int, str]:
    """Sort key: a view can read views created before it, so DATABASES is first and the SHOW commands are last."""
    return (0 if section.endswith(".DATABASES") else 2 if section.startswith("SHOW ") else 1, section)


def _type(column: str, documented: str) -> str:
    return "DECIMAL(38,9)" if column.startswith("CREDITS_") else _DUCKDB_TYPES[documented]


def _shown_type(column: str) -> str:
    """The type of a SHOW column. The pages give no types: times are recognized by their names."""
    if column.endswith("_on") or column == "data_timestamp":
        return "TIMESTAMPTZ"
    return "BIGINT" if column in _SHOW_NUMBERS else "VARCHAR"


def _create_table(engine: Any, section: str, columns: dict[str, str]) -> None:
    body = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    engine.execute(f'CREATE TABLE {FACTS}.main."{section}" ({body})')


def _create_visible(engine: Any, section: str, columns: list[str]) -> None:
    """Create a view of the facts, then the derived rows, with columns in the documented order."""
    queries = [f'SELECT * FROM {FACTS}.main."{section}"']
    if section in _CREATED:
        created, key = _CREATED[section]
        same = " AND ".join(f'fact."{name}" = made."{name}"' for name in key)
        known = f'SELECT 1 FROM {FACTS}.main."{section}" AS fact WHERE {same}'
        queries.append(f"SELECT * FROM ({created}) AS made WHERE NOT EXISTS ({known})")
    queries += [f"SELECT * FROM ({query})" for query in _DERIVED.get(section, [])]
    body = "\nUNION ALL BY NAME\n".join(queries).replace("visible.", f"{FACTS}.visible.")
    wanted = ", ".join(f'"{name}"' for name in columns)
    engine.execute(f'CREATE VIEW {FACTS}.visible."{section}" AS SELECT {wanted} FROM ({body}) AS united')
