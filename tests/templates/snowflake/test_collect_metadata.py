"""Tests that the metadata manifest matches the account, through the real driver."""

from __future__ import annotations

from typing import Any

import pytest

from tests.collected import Collected, Record
from tests.templates.snowflake.conftest import Templates
from tests.templates.snowflake.facts import add_database
from tests.warehouses.snowflake import scale
from tests.warehouses.snowflake.faults import Fault
from tests.warehouses.snowflake.shop import DOTTED_NAME
from tests.warehouses.snowflake.shop_model import Name, Relation, Shop

SHARED = "shared database (use --include-shared)"
MEGABYTES = 2**20


def name_of(record: Record) -> Name:
    return record["database"], record["schema"], record["name"]


def by_name(collected: Collected) -> dict[Name, Record]:
    found = {name_of(record): record for record in collected.records}
    assert len(found) == len(collected.records), "a table is duplicated"
    return found


def expected(relation: Relation) -> Record:
    """The expected record of a relation, derived from the shop's truth."""
    plain_view = relation.kind in ("view", "secure view")
    fresh = not plain_view and relation.kind != "external table"
    record: dict[str, Any] = {
        "type": "VIEW" if relation.is_view else "TABLE",
        "kind": "view" if plain_view else relation.kind,
        "database": relation.name[0],
        "schema": relation.name[1],
        "name": relation.name[2],
        "description": relation.comment,
        "view_query": relation.definition,
        "created_on": iso(relation.created),
        "fields": [
            {"name": column.name, "type": column.type} | ({"description": column.comment} if column.comment else {})
            for column in relation.columns
        ],
        "tags": [{"key": tag.name, "value": tag.value} for tag in relation.tags if not tag.column] or None,
        "row_count": relation.row_count,
        "byte_count": relation.byte_count,
        "last_update_time": iso(relation.last_altered) if fresh else None,
    }
    return {name: value for name, value in record.items() if value is not None}


def iso(moment: Any) -> str:
    return str(moment.isoformat().replace("+00:00", "Z"))


def test_every_table_and_view_is_collected_completely(shop_templates: Templates, shop: Shop) -> None:
    collected = shop_templates.collect("metadata")
    found = by_name(collected)
    truth = {relation.name: expected(relation) for relation in shop.own()}
    assert len(truth) > 200
    assert found.keys() == truth.keys()
    for name, record in truth.items():
        assert found[name] == record
    assert DOTTED_NAME in found
    assert {"dynamic table", "external table", "iceberg table", "hybrid table", "transient table"} <= {
        record["kind"] for record in collected.records
    }
    assert any("tags" in record for record in collected.records)
    assert collected.header["resource_type"] == "snowflake"
    assert collected.skipped == {SHARED: 2}


def test_only_freshness_and_volume_does_not_query_the_rest(shop_templates: Templates, shop: Shop) -> None:
    shop_templates.server.break_with(  # all statements that request more fail
        *(Fault("error", contains=view, code="002003") for view in (".COLUMNS", ".VIEWS", "TAG_REFERENCES"))
    )
    collected = shop_templates.collect("metadata", "--only-freshness-and-volume")
    kept = ("row_count", "byte_count", "last_update_time", "type", "kind", "created_on")
    truth = {r.name: {key: value for key, value in expected(r).items() if key in kept} for r in shop.own()}
    found = {
        name: {key: value for key, value in record.items() if key not in ("database", "schema", "name")}
        for name, record in by_name(collected).items()
    }
    assert found == truth
    assert collected.header["options"]["only_freshness_and_volume"] is True


def test_filters_apply_and_list_shows_the_selection(shop_templates: Templates, shop: Shop) -> None:
    filters = ("--include", "analytics.*", "--include", "Marketing-EU.*", "--exclude", "*.CORE.*")
    wanted = {r.name for r in shop.own() if r.name[0] in ("ANALYTICS", "Marketing-EU") and r.name[1] != "CORE"}
    listed = shop_templates.run("metadata", "--list", *filters).check()
    assert shop_templates.leftovers() == []
    collected = shop_templates.collect("metadata", *filters)
    assert by_name(collected).keys() == wanted
    assert len(wanted) > 10
    assert sorted(listed.stdout.splitlines()) == sorted(
        f"{'.'.join(name_of(record))} ({record['kind']})" for record in collected.records
    )


def test_a_database_outside_the_filters_is_not_queried(shop_templates: Templates) -> None:
    before = len(shop_templates.server.statements())
    shop_templates.collect("metadata", "--include", "RAW.*")
    asked = [text for text in shop_templates.server.statements()[before:] if "INFORMATION_SCHEMA." in text]
    assert asked
    assert all('"RAW"' in text for text in asked)


def test_shared_databases_are_collected_on_request(shop_templates: Templates, shop: Shop) -> None:
    found = by_name(shop_templates.collect("metadata", "--include-shared"))
    assert {name[0] for name in found} == {name[0] for name in shop.relations}
    assert "PARTNER_SHARE" in {name[0] for name in found}


def test_unreadable_tags_are_counted(shop_templates: Templates, shop: Shop) -> None:
    shop_templates.server.deny("SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES")
    collected = shop_templates.collect("metadata")
    assert len(collected.records) == len(shop.own())
    assert not any("tags" in record for record in collected.records)
    assert collected.skipped == {SHARED: 2, "tags not readable (SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES)": 1}


def test_a_view_without_a_grant_is_missing_and_the_rest_is_collected(shop_templates: Templates, shop: Shop) -> None:
    hidden = next(relation.name for relation in shop.own() if relation.kind == "view")
    shop_templates.server.deny(".".join(hidden))
    found = by_name(shop_templates.collect("metadata"))
    assert found.keys() == {relation.name for relation in shop.own()} - {hidden}


def test_a_view_whose_text_is_hidden_is_counted(templates: Templates) -> None:
    add_database(templates, "D", [("S", "V", "VIEW")])
    collected = templates.collect("metadata")
    assert [name_of(record) for record in collected.records] == [("D", "S", "V")]
    assert collected.skipped == {"columns not visible": 1, "view definition not visible": 1}
    assert collected.trailer["skipped_examples"]["view definition not visible"] == "D.S.V"


def test_a_database_dropped_during_the_run_is_counted_and_the_run_continues(
    shop_templates: Templates, shop: Shop
) -> None:
    shop_templates.server.break_with(
        Fault("error", contains='FROM "RAW".', code="002003", sqlstate="02000", message="does not exist")
    )
    collected = shop_templates.collect("metadata")
    assert by_name(collected).keys() == {r.name for r in shop.own() if r.name[0] != "RAW"}
    unreadable = "database or project missing, dropped during the run, or not accessible"
    assert collected.skipped == {SHARED: 2, unreadable: 1}
    assert collected.trailer["skipped_examples"][unreadable].startswith("RAW")


def test_a_database_too_large_for_one_result_is_read_schema_by_schema(templates: Templates) -> None:
    scale.many_tables(templates.server, tables=300, columns=4, schemas=3)
    whole = templates.collect("metadata")
    templates.server.break_with(Fault("too_much_data", rows=500))
    parts = templates.collect("metadata")
    assert len(whole.records) == 300
    assert by_name(parts) == by_name(whole)


def test_a_schema_too_large_for_one_result_is_read_by_ranges_of_names(templates: Templates) -> None:
    scale.many_tables(templates.server, tables=120, columns=4, schemas=2)
    whole = templates.collect("metadata")
    before = len(templates.server.statements())
    templates.server.break_with(Fault("too_much_data", rows=65))  # a schema has 60 names and 240 columns
    parts = templates.collect("metadata")
    assert parts.records == whole.records
    assert parts.skipped == {}
    asked = [text for text in templates.server.statements()[before:] if "INFORMATION_SCHEMA.COLUMNS" in text]
    assert len(asked) == 2 * (1 + 2 + 4)  # for each schema: all names, then ranges of 30 and 15
    templates.server.break_with(Fault("too_much_data", rows=50))  # not even the names fit
    nothing = templates.run("metadata").check(1)  # an empty manifest would look like an empty account
    assert "090030" in nothing.summary["error"]["message"]
    assert nothing.summary["skipped"] == {"schema not readable": 2}


def test_database_wide_statements_run_once_even_if_the_database_is_read_in_parts(templates: Templates) -> None:
    names = [(schema, name, "BASE TABLE") for schema in "ABC" for name in ("T1", "T2", "T3")]
    add_database(templates, "D", names)
    schemata = [{"CATALOG_NAME": "D", "SCHEMA_NAME": schema} for schema in "ABC"]
    templates.server.insert("INFORMATION_SCHEMA.SCHEMATA", schemata)
    templates.server.sql("""UPDATE facts."INFORMATION_SCHEMA.TABLES" SET IS_DYNAMIC = 'YES' WHERE TABLE_NAME = 'T2'""")
    key = {"database_name": "D", "name": "T2"}
    templates.server.insert(
        "SHOW DYNAMIC TABLES", [{**key, "schema_name": schema, "text": f"SELECT '{schema}'"} for schema in "ABC"]
    )
    tagged = {"OBJECT_DATABASE": "D", "OBJECT_NAME": "T3", "DOMAIN": "TABLE", "TAG_NAME": "PLACE"}
    templates.server.insert(
        "SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES",
        [{**tagged, "OBJECT_SCHEMA": schema, "TAG_VALUE": f"in {schema}"} for schema in "ABC"],
    )
    templates.server.break_with(Fault("too_much_data", rows=8))
    before = len(templates.server.statements())
    found = by_name(templates.collect("metadata"))
    assert len(found) == 9
    for schema in "ABC":
        assert found["D", schema, "T2"]["view_query"] == f"SELECT '{schema}'"
        assert found["D", schema, "T3"]["tags"] == [{"key": "PLACE", "value": f"in {schema}"}]
    asked = templates.server.statements()[before:]
    assert sum("SHOW DYNAMIC TABLES" in text for text in asked) == 1
    assert sum("TAG_REFERENCES" in text for text in asked) == 1


def test_too_many_tags_affect_only_the_tags(templates: Templates) -> None:
    """Their statement is the same for every part of a database, so a smaller part would not help."""
    scale.many_tables(templates.server, tables=40, columns=2, schemas=2)
    whole = templates.collect("metadata")
    before = len(templates.server.statements())
    fault = Fault("error", contains="TAG_REFERENCES", code="090030", message="Query returned too much data.")
    templates.server.break_with(fault)
    collected = templates.collect("metadata")
    assert collected.records == whole.records
    assert collected.skipped == {"tags not readable (SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES)": 1}
    asked = templates.server.statements()[before:]
    assert sum("TAG_REFERENCES" in text for text in asked) == 1
    assert sum("INFORMATION_SCHEMA.COLUMNS" in text for text in asked) == 1


def test_a_name_in_an_error_message_does_not_change_its_kind(templates: Templates) -> None:
    add_database(templates, "D", [("A", "T", "BASE TABLE")])
    add_database(templates, "TOO MUCH DATA", [("A", "T", "BASE TABLE")])
    message = "Database '\"TOO MUCH DATA\"' does not exist or not authorized."
    fault = Fault("error", contains='FROM "TOO MUCH DATA".', code="002003", sqlstate="02000", message=message)
    templates.server.break_with(fault)
    collected = templates.collect("metadata")
    assert list(by_name(collected)) == [("D", "A", "T")]
    assert collected.skipped["database or project missing, dropped during the run, or not accessible"] == 1


@pytest.mark.parametrize("code", ["002003", "003030"])
def test_a_run_is_refused_if_no_database_is_readable(shop_templates: Templates, code: str) -> None:
    shop_templates.server.break_with(Fault("error", contains="INFORMATION_SCHEMA.TABLES", code=code, message="gone"))
    run = shop_templates.run("metadata").check(3)
    assert "Cannot read any of " in run.summary["error"]["message"]
    assert "README.md" in run.summary["error"]["remedy"]
    assert shop_templates.leftovers() == []


def test_a_revoked_share_is_counted_and_the_run_continues(shop_templates: Templates, shop: Shop) -> None:
    fault = Fault("error", contains='FROM "PARTNER_SHARE".', code="003030", sqlstate="02000", message="not available")
    shop_templates.server.break_with(fault)
    collected = shop_templates.collect("metadata", "--include-shared")
    assert by_name(collected).keys() == {name for name in shop.relations if name[0] != "PARTNER_SHARE"}
    assert collected.skipped["database or project missing, dropped during the run, or not accessible"] == 1


def test_all_databases_beyond_the_cap_of_show_are_found(templates: Templates) -> None:
    """SHOW returns at most 10,000 rows. The next page starts after the last name, whatever characters the name
    contains.
    """
    # With a quote and a backslash, which SQL escapes by doubling.
    quoted = "'D' || chr(39) || chr(92) || printf('%05d', i)"
    templates.server.sql(
        f"""
        INSERT INTO facts."INFORMATION_SCHEMA.DATABASES" (DATABASE_NAME, TYPE)
        SELECT {quoted}, 'STANDARD' FROM range(20001) AS r(i)
        """
    )
    add_database(templates, "ZULU", [("S", "T", "BASE TABLE")])
    before = len(templates.server.statements())
    collected = templates.collect("metadata", "--include", "ZULU.*")
    assert [name_of(record) for record in collected.records] == [("ZULU", "S", "T")]
    assert sum(text.startswith("SHOW DATABASES") for text in templates.server.statements()[before:]) == 3


def test_details_that_show_refuses_are_counted(shop_templates: Templates, shop: Shop) -> None:
    shop_templates.server.break_with(Fault("error", contains="SHOW DYNAMIC TABLES", code="003001", sqlstate="42501"))
    collected = shop_templates.collect("metadata")
    assert len(collected.records) == len(shop.own())
    assert collected.skipped["details not readable (SHOW)"] >= 1
    dynamic = [record for record in collected.records if record["kind"] == "dynamic table"]
    assert dynamic
    assert not any("view_query" in record for record in dynamic)


def test_an_account_without_tables_is_a_success(templates: Templates) -> None:
    collected = templates.collect("metadata")
    assert collected.records == []
    assert collected.skipped == {}


def test_names_with_quotes_dots_and_spaces_in_every_part(templates: Templates) -> None:
    odd = ('we"ird .db', 'a.b "c"', 'x "y".z é ')
    add_database(templates, odd[0], [(odd[1], odd[2], "BASE TABLE")])
    templates.server.insert(
        "INFORMATION_SCHEMA.COLUMNS",
        [
            {
                "TABLE_CATALOG": odd[0],
                "TABLE_SCHEMA": odd[1],
                "TABLE_NAME": odd[2],
                "COLUMN_NAME": 'c."d"',
                "ORDINAL_POSITION": 1,
                "DATA_TYPE": "VECTOR",
                "DATA_TYPE_ALIAS": "VECTOR(FLOAT, 256)",
            }
        ],
    )
    collected = templates.collect("metadata")
    assert [name_of(record) for record in collected.records] == [odd]
    assert collected.records[0]["fields"] == [{"name": 'c."d"', "type": "VECTOR(FLOAT, 256)"}]


def test_external_tables_have_neither_volume_nor_freshness(templates: Templates) -> None:
    add_database(templates, "D", [("S", "LAKE", "EXTERNAL TABLE")])
    templates.server.sql(
        """
        UPDATE facts."INFORMATION_SCHEMA.TABLES"
        SET ROW_COUNT = 0, BYTES = 0, LAST_ALTERED = TIMESTAMPTZ '2026-02-02 00:00:00+00'
        """
    )
    shown = {"database_name": "D", "schema_name": "S", "name": "LAKE"}
    templates.server.insert("SHOW EXTERNAL TABLES", [{**shown, "last_refreshed_on": "2026-01-01T00:00:00+00:00"}])
    [record] = templates.collect("metadata").records
    assert record["name"] == "LAKE"
    assert record.keys().isdisjoint({"row_count", "byte_count", "last_update_time"})


def test_temporary_tables_are_left_out(templates: Templates) -> None:
    tables = [("S", "T", "BASE TABLE"), ("S", "U", "TEMPORARY TABLE"), ("S", "W", "BASE TABLE")]
    add_database(templates, "D", tables)
    templates.server.sql("""UPDATE facts."INFORMATION_SCHEMA.TABLES" SET IS_TEMPORARY = 'YES' WHERE TABLE_NAME = 'W'""")
    assert [record["name"] for record in templates.collect("metadata").records] == ["T"]


@pytest.mark.scale
def test_ten_thousand_tables_of_twenty_columns_need_no_more_memory_than_ten(templates: Templates) -> None:
    scale.many_tables(templates.server, tables=10, columns=20)
    little = templates.peak_memory("metadata")
    few_statements = len(templates.server.statements())
    templates.server.reset()
    scale.many_tables(templates.server, tables=10_000, columns=20)
    much = templates.peak_memory("metadata")
    assert len(templates.server.statements()) == few_statements
    assert much - little < 64 * MEGABYTES
    collected = Collected.read(templates.manifest("metadata"))
    found = by_name(collected)
    assert len(found) == 10_000
    for number in (0, 1, 4_711, 9_999):
        record = found["WIDE", f"S{number % 10}", f"T{number}"]
        assert (record.get("row_count"), record.get("byte_count")) == (number, number * 100)
        assert [(each["name"], each["type"]) for each in record["fields"]] == [
            (f"C{column}", f"VARCHAR({10 + column})" if column % 2 else "NUMBER(38,0)") for column in range(20)
        ]
    assert all(len(record["fields"]) == 20 for record in collected.records)
