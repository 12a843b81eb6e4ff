"""Tests that the tables of local metastores are those that a genuine Hive 2.3 creates for itself, in Derby."""

from __future__ import annotations

import pytest

from tests.warehouses.hive.metastore_database import columns_of, metastore_tables
from tests.warehouses.hive.shared import ONE_SERVER, shared_server

pytestmark = ONE_SERVER
NUMBERS = {"BIGINT", "INTEGER"}
TEXTS = {"VARCHAR", "CLOB", "LONG VARCHAR"}
KINDS = {"bigint": NUMBERS, "integer": NUMBERS, "text": TEXTS, "boolean": {"CHAR", "BOOLEAN", "SMALLINT"}}


@pytest.fixture(scope="module")
def genuine() -> dict[str, dict[str, str]]:
    return shared_server().metastore_columns()


@pytest.mark.parametrize("table", metastore_tables())
def test_a_table_has_the_columns_of_a_genuine_metastore(genuine: dict[str, dict[str, str]], table: str) -> None:
    documented = columns_of(metastore_tables()[table], "2.3.0")
    assert sorted(genuine[table]) == sorted(documented)
    kinds = {name: KINDS.get(kind, TEXTS) for name, kind in documented.items()}
    assert [name for name, kind in genuine[table].items() if kind not in kinds[name]] == []
