"""Tests that the check of SQL reads a metastore's statements as its database does: double quotes are names there."""

from __future__ import annotations

import pytest

from tests.contract.statements import Statement, catalog_of, filled, undocumented, variants
from tests.script_process import TEMPLATES
from tests.warehouses.harness import dialect_of, harness

MODULE = TEMPLATES / "hive/metastore_sql.py"
STATEMENTS = dict(variants(MODULE))
DIALECT = dialect_of(harness("hive"), MODULE)


def problems(text: str, dialect: str = DIALECT) -> list[str]:
    return undocumented(Statement(MODULE, "X_SQL", filled(text)), catalog_of(MODULE.parent), dialect)


def test_only_this_module_has_another_dialect() -> None:
    assert (DIALECT, dialect_of(harness("hive"), MODULE.with_name("query_history_table.py"))) == ("postgres", "hive")


def test_each_database_has_its_variant_of_the_sums() -> None:
    assert [name for name in STATEMENTS if name.startswith("PARTITIONS_SQL")] == [
        "PARTITIONS_SQL[POSTGRESQL_NUMBER_CONDITION]",
        "PARTITIONS_SQL[MYSQL_NUMBER_CONDITION]",
    ]


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_misspelled_column_is_found(name: str) -> None:
    text = STATEMENTS[name]
    assert problems(text) == []
    column = next(column for column in ("TBL_ID", "DB_ID", "SCHEMA_VERSION") if f'."{column}"' in text)
    found = problems(text.replace(f'."{column}"', '."MISSPELLED"', 1))
    assert any("MISSPELLED" in problem for problem in found), found


def test_a_table_that_no_schema_script_has_is_found() -> None:
    assert problems('SELECT t."TBL_ID" AS table_id FROM "TABLES" AS t') == ['"TABLES" AS t']


def test_a_name_without_quotes_is_found() -> None:
    assert problems('SELECT t.TBL_ID AS table_id FROM "TBLS" AS t') == ["Unknown column: tbl_id"]
