"""The table of dialect traits: every row is a dialect of sqlglot, and the effects of the traits are visible."""

from __future__ import annotations

from dataclasses import fields

import pytest
from mcpush.sql import Defaults, extract
from mcpush.sql.dialects import DEFAULT, DIALECT_ALIASES, TRAITS, Traits, dialect_of, traits_of
from sqlglot.dialects.dialect import Dialect

OFFERED = sorted(Dialect.classes)
# Dialects of sqlglot that need no row. Add a dialect of a new sqlglot version here or to the table.
WITHOUT_ROW = {
    "DAX", "Dremio", "Drill", "Druid", "Exasol", "Materialize", "PRQL", "RisingWave", "SQLite", "Solr", "Tableau",
}  # fmt: skip


def test_every_dialect_that_sqlglot_offers_has_a_row_or_is_known_to_need_none() -> None:
    classes = {type(dialect_of(name)).__name__ for name in OFFERED}
    assert len(classes) >= 30
    assert classes == TRAITS.keys() | WITHOUT_ROW
    assert not TRAITS.keys() & WITHOUT_ROW


@pytest.mark.parametrize("name", OFFERED)
def test_the_traits_of_a_dialect_are_its_row_or_the_default(name: str) -> None:
    dialect = dialect_of(name)
    assert traits_of(dialect) == TRAITS.get(type(dialect).__name__, DEFAULT)


def test_every_row_differs_from_the_default_and_every_trait_is_used() -> None:
    assert [name for name, row in TRAITS.items() if row == DEFAULT] == []
    unused = [
        item.name for item in fields(Traits) if all(getattr(row, item.name) == item.default for row in TRAITS.values())
    ]
    assert unused == []


def test_every_alias_resolves_to_a_dialect() -> None:
    for alias, name in DIALECT_ALIASES.items():
        assert type(dialect_of(alias)) is type(dialect_of(name))
    assert type(dialect_of(None)) is Dialect
    assert type(dialect_of("SparkSQL")) is type(dialect_of("spark"))
    with pytest.raises(ValueError, match="oracel"):
        dialect_of("oracel")


@pytest.mark.parametrize("name", OFFERED)
def test_use_sets_the_schema_if_that_is_the_highest_level(name: str) -> None:
    after = extract("USE x", name, Defaults("d", "s")).defaults
    if "x" in (after.database, after.schema):  # false for PRQL and similar dialects
        assert (after.schema == "x") is traits_of(dialect_of(name)).use_names_schema


@pytest.mark.parametrize(
    ("name", "is_own"),
    [
        *((name, True) for name in ("databricks", "spark", "spark2", "hive")),
        *((name, False) for name in ("snowflake", "redshift", "bigquery", "postgres")),
    ],
)
def test_a_location_is_a_source_unless_it_is_the_storage_of_the_table(name: str, is_own: bool) -> None:
    found = extract("CREATE EXTERNAL TABLE t (a INT) LOCATION 's3://b/x'", name)
    reads = [str(source) for lineage in found.lineages for source in lineage.sources]
    assert (reads == []) is is_own


def test_an_omitted_schema_has_the_default_name_of_the_dialect() -> None:
    for name in ("snowflake", "tsql"):
        found = extract("SELECT a FROM db..t", name, Defaults("d", "s")).lineages[0].sources[0]
        assert found.parts == (("DB", "PUBLIC", "T") if name == "snowflake" else ("d", "db", "t"))
